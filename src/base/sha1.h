/* SHA-1 (FIPS 180-4), for the ids that etcd derives from it. Not for secrets:
 * it is here, and not from a crypto library, so that ids can be computed on a
 * pure floor. */
#ifndef ETCHED_BASE_SHA1_H
#define ETCHED_BASE_SHA1_H

#include "base/bytes.h"

enum { SHA1_BYTES = 20 };

void sha1(struct slice input, unsigned char out[SHA1_BYTES]);

#endif
