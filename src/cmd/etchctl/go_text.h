/* Text as Go's library reads and writes it, where etcdctl's users see it:
 * quoted strings (%q), numbers with their errors, sizes. Pure. */
#ifndef ETCHED_CMD_ETCHCTL_GO_TEXT_H
#define ETCHED_CMD_ETCHCTL_GO_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"
#include "cmd/etchctl/flags.h"

/* strconv.Quote. */
void go_quote(struct buf *out, struct slice text);
/* The string in quotes ("..." or `...`) that `text` begins with, with its
 * escapes resolved; *used is what it takes. False: there is none. */
bool go_unquote(struct slice text, size_t *used, struct buf *out);

/* strconv.ParseInt and ParseUint with 64 bits; base 0: by the prefix.
 * Errors: ERR_INVALID, ERR_TOO_LARGE, with Go's note. */
enum err go_parse_int(const char *text, int base, int64_t *out) MUST_USE;
enum err go_parse_uint(const char *text, int base, uint64_t *out) MUST_USE;

/* strerror's text as Go has it: "no such file or directory".
 * Owns: the arena. */
const char *go_error(struct arena *arena, int number);

/* The words of a line: by spaces, "with escapes" or 'as they are'. A quote
 * that isn't closed is left out.
 * Errors: ERR_INVALID, a bad escape. Owns: the arena. */
enum err go_split(struct arena *arena, struct slice line,
                  struct words *out) MUST_USE;

/* "20 kB", "1.1 MB": by thousands. */
void go_size(struct buf *out, uint64_t bytes);

#endif
