/* Writing JSON the way Go's encoding/json does, byte for byte, since clients
 * and tests of etcd compare text: no spaces, `<`, `>`, `&`, U+2028 and U+2029
 * escaped as \u00XX, control characters as \n \r \t or \u00XX, bytes that are
 * not UTF-8 as \ufffd. */
#ifndef ETCHED_DOC_JSON_WRITE_H
#define ETCHED_DOC_JSON_WRITE_H

#include "base/bytes.h"

/* Appends `text` as a JSON string with its quotes. Plain runs are copied
 * whole: this is on the path of every v2 answer. */
void json_write_string(struct buf *out, struct slice text);

/* Standard base64 with padding, as a JSON string (v3 gateway's bytes). */
void json_write_base64(struct buf *out, struct slice bytes);

#endif
