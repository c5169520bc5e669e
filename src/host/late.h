/* Libraries that are loaded when they are first needed: with libcurl come 30
 * others, and 9 MB that most servers never use.
 *
 * A header for each, late_<library>.h, has the library's own header and makes
 * the names of the functions listed there mean those of the loaded library;
 * code that calls them looks as if it were linked. late_load comes first.
 *
 * Threads: any.
 */
#ifndef ETCHED_HOST_LATE_H
#define ETCHED_HOST_LATE_H

#include <stddef.h>

#include "base/err.h"

enum late {
    LATE_CURL,
    LATE_CRYPTO,
    LATE_XML,
    LATE_SSL,
    LATE_X509, /* of libcrypto, what goes with libssl */
    LATE_COUNT
};

/* Loads a library and all its functions, once.
 * Errors: ERR_UNSUPPORTED: it isn't installed, or another version; the note
 *         names the file. */
enum err late_load(enum late library) MUST_USE;

#endif
