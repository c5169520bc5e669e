/* Percent-encoding and forms, as Go's net/url reads them (RFC 3986; the
 * WHATWG's application/x-www-form-urlencoded), since etcd's v2 API is defined
 * by what that accepts.
 *
 * Owns: decoded text lives in the arena, or in the input where there was
 *       nothing to decode.
 */
#ifndef ETCHED_WIRE_FORM_H
#define ETCHED_WIRE_FORM_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"

struct form_field {
    struct slice name;
    struct slice value;
};

struct form {
    struct form_field *fields; /* in order */
    size_t count;
};

enum { FORM_FIELDS_MAX = 256 };

/* Adds the fields of `text` ("a=1&b=x+y%20z") to `form` ({0} to begin; a form
 * may be parsed from a body and a query, the body's first).
 * Errors: ERR_INVALID with Go's words in the note (`invalid URL escape
 *         "%zz"`, `invalid semicolon separator in query`), ERR_TOO_LARGE for
 *         more than FORM_FIELDS_MAX. Good fields before a bad one are kept. */
enum err form_parse(struct arena *arena, struct slice text,
                    struct form *form) MUST_USE;

/* The first field of that name, or NULL. */
const struct form_field *form_get(const struct form *form, const char *name);

/* Decodes a path: '%41' -> 'A', '+' stays. ERR_INVALID on a bad escape. */
enum err path_decode(struct arena *arena, struct slice text,
                     struct slice *out) MUST_USE;
/* Go's path.Clean for a rooted path: no "//", ".", "..", no trailing '/'
 * except for the root itself. */
struct slice path_clean(struct arena *arena, struct slice path);
/* Appends `text` with everything but unreserved characters (and '/' where
 * `keep_slash`) percent-encoded. */
void percent_encode(struct buf *out, struct slice text, bool keep_slash);

#endif
