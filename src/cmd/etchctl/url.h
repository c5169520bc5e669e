/* The path and the query of v2 requests, escaped as Go's net/url does, so
 * that --debug shows what etcdctl's shows. */
#ifndef ETCHED_CMD_ETCHCTL_URL_H
#define ETCHED_CMD_ETCHCTL_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

/* Appends "/v2/keys" and the key: rooted, without "//", "." and "..", and
 * with its '/' at the end where it has one. ".." never leaves /v2/keys. */
void url_append_key(struct buf *out, const char *key);
/* Appends "name=value" to a query or a form, with '&' before it when `out`
 * has a field already. Go writes fields sorted by name: the caller does too. */
void url_append_field(struct buf *out, const char *name, struct slice value);
void url_append_number(struct buf *out, const char *name, uint64_t number);
void url_append_bool(struct buf *out, const char *name, bool yes);

#endif
