/* The log: levelled lines with fields, as text for people or JSON for
 * machines, to one sink that the program sets. Pure: the sink writes, and the
 * time of a line comes from the clock that the program gave.
 *
 *   log_info("wal", "cut a torn tail", LOG_STR("file", path),
 *            LOG_INT("bytes", n));
 *
 * text: 2026-01-02T03:04:05.678Z I wal: cut a torn tail file=... bytes=12
 * json: {"level":"info","ts":"...","logger":"wal","msg":"...","bytes":12}
 *
 * A text value is quoted where it isn't one plain word. No value can break a
 * line or the JSON: control characters are escaped, what is not UTF-8 becomes
 * U+FFFD, what is longer than LOG_VALUE_BYTES_MAX is cut and ends in "...".
 *
 * Threads: any; a line is given to the sink whole. The last lines are kept in
 * a small ring for CHECK (log_recent). A line costs no allocation.
 */
#ifndef ETCHED_BASE_LOG_H
#define ETCHED_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_FATAL };

enum log_format { LOG_TEXT, LOG_JSON };

struct log_field {
    const char *name; /* NULL: none */
    enum {
        LOG_FIELD_SLICE,
        LOG_FIELD_INT,
        LOG_FIELD_UINT,
        LOG_FIELD_HEX,
        LOG_FIELD_BOOL
    } kind;
    struct slice text;
    uint64_t number;
};

#define LOG_FIELD(name, kind, text, number) \
    ((struct log_field){name, LOG_FIELD_##kind, text, (uint64_t)(number)})
#define LOG_SLICE(name, slice) LOG_FIELD(name, SLICE, slice, 0)
#define LOG_STR(name, text) LOG_FIELD(name, SLICE, slice_str(text), 0)
#define LOG_INT(name, n) LOG_FIELD(name, INT, slice_of(0, 0), (int64_t)(n))
#define LOG_UINT(name, n) LOG_FIELD(name, UINT, slice_of(0, 0), n)
#define LOG_HEX(name, n) LOG_FIELD(name, HEX, slice_of(0, 0), n)
#define LOG_BOOL(name, yes) LOG_FIELD(name, BOOL, slice_of(0, 0), !!(yes))

enum {
    LOG_LINE_BYTES_MAX = 8192, /* fields that would go beyond are left out */
    LOG_VALUE_BYTES_MAX = 1024,
    LOG_RECENT_LINES_MAX = 64,
    LOG_RECENT_BYTES_MAX = 512, /* of one line as kept for log_recent */
};

/* Takes one line, without a newline at its end.
 * Threads: may be called by several at once. */
typedef void (*log_sink)(void *context, enum log_level level,
                         struct slice line);
typedef int64_t (*log_clock)(void *context); /* nanoseconds since 1970 */

/* NULL sink: lines are only kept for log_recent. NULL clock: time 0. */
void log_setup(enum log_format format, log_sink sink, log_clock clock,
               void *context);
/* Lines below the level (LOG_INFO at first) are dropped unseen. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
/* "debug", "info", "warn", "error", "fatal" (and "panic", "dpanic"), any
 * case; false when it is none of them. */
bool log_level_from_text(struct slice text, enum log_level *out);
const char *log_level_name(enum log_level level);

#define LOG_END ((struct log_field){0})

/* log_info(logger, message, field...): the message is the first of `...`. */
#define log_debug(logger, ...) \
    log_write(LOG_DEBUG, logger, __VA_ARGS__, LOG_END)
#define log_info(logger, ...) log_write(LOG_INFO, logger, __VA_ARGS__, LOG_END)
#define log_warn(logger, ...) log_write(LOG_WARN, logger, __VA_ARGS__, LOG_END)
#define log_error(logger, ...) \
    log_write(LOG_ERROR, logger, __VA_ARGS__, LOG_END)

/* The arguments after `message` are `struct log_field`, by value, the last
 * one LOG_END. */
void log_write(enum log_level level, const char *logger, const char *message,
               ...);

/* Call `each` with the last lines, oldest first. Async-signal-unsafe; used by
 * a failed CHECK, which has nothing to lose. */
void log_recent(void (*each)(void *context, struct slice line), void *context);

#endif
