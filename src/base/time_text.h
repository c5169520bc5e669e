/* Times as text. A time is nanoseconds since 1970-01-01T00:00:00Z. */
#ifndef ETCHED_BASE_TIME_TEXT_H
#define ETCHED_BASE_TIME_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum { TIME_TEXT_BYTES_MAX = 40 };

/* RFC 3339 in UTC with as many fraction digits as needed (Go's RFC3339Nano):
 * "2026-01-02T03:04:05.000000006Z". Returns the length; not terminated. */
size_t time_to_rfc3339(int64_t time_ns, char out[TIME_TEXT_BYTES_MAX]);
/* Takes any offset and 0 to 9 fraction digits; false when it is not one. */
bool time_from_rfc3339(struct slice text, int64_t *time_ns);
/* Go's Duration.String(): "1.5s", "2m0s", "100ms", "0s". */
size_t duration_to_text(int64_t duration_ns, char out[TIME_TEXT_BYTES_MAX]);
/* Go's ParseDuration: "1h30m", "500ms", "1.5s", "-2s"; false if it isn't. */
bool duration_from_text(struct slice text, int64_t *duration_ns);

#endif
