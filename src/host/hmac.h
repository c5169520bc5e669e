/* HMAC-SHA-256 (RFC 2104), over the crypto library's hash. */
#ifndef ETCHED_HOST_HMAC_H
#define ETCHED_HOST_HMAC_H

#include "host/sha256.h"

void hmac_sha256(struct slice key, struct slice text,
                 unsigned char out[SHA256_BYTES]);

#endif
