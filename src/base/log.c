/* A line is made in a fixed array on the caller's stack, then kept in the
 * ring, then given to the sink. A short spin lock guards the settings and the
 * ring; the sink, which may take its time, is called without it. */
#include "base/log.h"

#include <assert.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <threads.h>

#include "base/check.h"
#include "base/time_text.h"

/* ---- settings and the ring ---------------------------------------------- */

struct settings {
    enum log_format format;
    log_sink sink;
    log_clock clock;
    void *context;
};

struct kept_line {
    uint64_t number; /* of the line, from 1; 0: never used */
    size_t size;
    char text[LOG_RECENT_BYTES_MAX];
};

static atomic_flag lock = ATOMIC_FLAG_INIT;
static struct settings settings;
static struct kept_line ring[LOG_RECENT_LINES_MAX];
static uint64_t lines_kept;

static atomic_int level_now = LOG_INFO;

static bool try_enter(void)
{
    return !atomic_flag_test_and_set_explicit(&lock, memory_order_acquire);
}

static void enter(void)
{
    while (!try_enter())
        thrd_yield();
}

static void leave(void)
{
    atomic_flag_clear_explicit(&lock, memory_order_release);
}

void log_setup(enum log_format format, log_sink sink, log_clock clock,
               void *context)
{
    enter();
    settings = (struct settings){format, sink, clock, context};
    leave();
}

static void keep(struct slice line)
{
    enter();
    struct kept_line *kept = &ring[lines_kept % LOG_RECENT_LINES_MAX];
    kept->number = ++lines_kept;
    kept->size =
        line.size < LOG_RECENT_BYTES_MAX ? line.size : LOG_RECENT_BYTES_MAX;
    memcpy(kept->text, line.at, kept->size);
    leave();
}

/* A thread that died with the lock must not keep a failed CHECK from telling
 * what it knows: after a while it goes on without. */
static bool enter_or_give_up(void)
{
    for (int tries = 0; tries < 10000; tries++) {
        if (try_enter())
            return true;
        thrd_yield();
    }
    return false;
}

/* False when the line isn't in the ring any more. */
static bool copy_kept(uint64_t number, struct kept_line *copy)
{
    bool entered = enter_or_give_up();
    *copy = ring[(number - 1) % LOG_RECENT_LINES_MAX];
    if (entered)
        leave();
    return copy->number == number && copy->size <= sizeof copy->text;
}

void log_recent(void (*each)(void *context, struct slice line), void *context)
{
    bool entered = enter_or_give_up();
    uint64_t last = lines_kept;
    if (entered)
        leave();
    uint64_t number =
        last > LOG_RECENT_LINES_MAX ? last - LOG_RECENT_LINES_MAX + 1 : 1;
    for (; number <= last; number++) {
        struct kept_line copy;
        if (copy_kept(number, &copy))
            each(context, slice_of(copy.text, copy.size));
    }
}

/* ---- levels ------------------------------------------------------------- */

static const struct {
    const char *name;
    enum log_level level;
} levels[] = {
    {"debug", LOG_DEBUG},  {"info", LOG_INFO},   {"warn", LOG_WARN},
    {"error", LOG_ERROR},  {"fatal", LOG_FATAL}, {"panic", LOG_FATAL},
    {"dpanic", LOG_FATAL},
};

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&level_now, (int)level, memory_order_relaxed);
}

enum log_level log_get_level(void)
{
    return (enum log_level)atomic_load_explicit(&level_now,
                                                memory_order_relaxed);
}

bool log_level_from_text(struct slice text, enum log_level *out)
{
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (slice_eq_nocase(text, slice_str(levels[i].name))) {
            *out = levels[i].level;
            return true;
        }
    }
    return false;
}

const char *log_level_name(enum log_level level)
{
    CHECK((unsigned)level <= LOG_FATAL);
    return levels[level].name;
}

/* ---- a line in the making ----------------------------------------------- */

/* Room kept free for the mark of what was left out and the closing brace. */
enum { LINE_END_BYTES = 32 };

struct line {
    size_t size;
    size_t size_max;
    bool full; /* something didn't fit */
    bool json;
    char text[LOG_LINE_BYTES_MAX];
};

static void add(struct line *line, const char *bytes, size_t size)
{
    if (line->full || size > line->size_max - line->size) {
        line->full = true;
        return;
    }
    memcpy(line->text + line->size, bytes, size);
    line->size += size;
}

static void add_str(struct line *line, const char *text)
{
    add(line, text, strlen(text));
}

static void add_u64(struct line *line, uint64_t number)
{
    char text[20];
    add(line, text, u64_to_text(number, text));
}

static void add_hex(struct line *line, uint64_t number, int digits_min)
{
    int shift = 60;
    while (shift >= 4 * digits_min && shift > 0 && number >> shift == 0)
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        add(line, &"0123456789abcdef"[number >> shift & 15], 1);
}

static void add_control(struct line *line, unsigned char c)
{
    switch (c) {
    case '\n':
        add(line, "\\n", 2);
        break;
    case '\r':
        add(line, "\\r", 2);
        break;
    case '\t':
        add(line, "\\t", 2);
        break;
    default:
        add(line, "\\u00", 4);
        add(line, &"0123456789abcdef"[c >> 4], 1);
        add(line, &"0123456789abcdef"[c & 15], 1);
    }
}

/* The size of the UTF-8 character at the beginning of `text`, 0 if it isn't
 * one. */
static size_t character_size(struct slice text)
{
    for (size_t size = 1; size <= 4 && size <= text.size; size++) {
        if (slice_is_utf8(slice_of(text.at, size)))
            return size;
    }
    return 0;
}

/* The text as it stands between quotes in JSON; `quoted` false leaves quotes
 * and backslashes alone, for a message that has no quotes around it. */
static void add_escaped(struct line *line, struct slice text, bool quoted)
{
    bool cut = text.size > LOG_VALUE_BYTES_MAX;
    size_t end = cut ? LOG_VALUE_BYTES_MAX : text.size;
    for (size_t i = 0; i < end;) {
        unsigned char c = (unsigned char)text.at[i];
        size_t size = 1;
        if (c < 0x20 || c == 0x7F) {
            add_control(line, c);
        } else if (quoted && (c == '"' || c == '\\')) {
            add(line, "\\", 1);
            add(line, text.at + i, 1);
        } else if (c < 0x80) {
            add(line, text.at + i, 1);
        } else {
            /* A character that the cut goes through is still shown whole. */
            size = character_size(slice_of(text.at + i, text.size - i));
            if (size)
                add(line, text.at + i, size);
            else
                add_str(line, "\xEF\xBF\xBD");
            size += size == 0;
        }
        i += size;
    }
    if (cut)
        add_str(line, "...");
}

static void add_quoted(struct line *line, struct slice text)
{
    add(line, "\"", 1);
    add_escaped(line, text, true);
    add(line, "\"", 1);
}

/* A word needs no quotes in a text line: not empty, printable ASCII, none of
 * the characters that the line is built with. */
static bool is_word(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.at[i];
        if (c <= ' ' || c > '~' || c == '"' || c == '\\' || c == '=')
            return false;
    }
    return text.size > 0;
}

/* The time of a line: RFC 3339 with milliseconds, always three digits. */
static void add_time(struct line *line, int64_t time_ns)
{
    enum { SECONDS_SIZE = sizeof "2026-01-02T03:04:05" - 1 };
    char text[TIME_TEXT_BYTES_MAX];
    int64_t ns = time_ns % 1000000000;
    unsigned ms = (unsigned)((ns < 0 ? ns + 1000000000 : ns) / 1000000);
    time_to_rfc3339(time_ns, text);
    add(line, text, SECONDS_SIZE);
    char fraction[] = {'.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10),
                       (char)('0' + ms % 10), 'Z'};
    add(line, fraction, sizeof fraction);
}

static void add_value(struct line *line, const struct log_field *field)
{
    switch (field->kind) {
    case LOG_FIELD_SLICE:
        if (!line->json && is_word(field->text))
            add_escaped(line, field->text, false);
        else
            add_quoted(line, field->text);
        break;
    case LOG_FIELD_INT:
        if ((int64_t)field->number < 0)
            add(line, "-", 1);
        add_u64(line,
                (int64_t)field->number < 0 ? 0 - field->number : field->number);
        break;
    case LOG_FIELD_UINT:
        add_u64(line, field->number);
        break;
    case LOG_FIELD_HEX: /* a string in JSON, whose numbers have no hex */
        add_str(line, line->json ? "\"" : "");
        add_hex(line, field->number, 1);
        add_str(line, line->json ? "\"" : "");
        break;
    case LOG_FIELD_BOOL:
        add_str(line, field->number ? "true" : "false");
        break;
    }
}

static void add_field(struct line *line, const struct log_field *field)
{
    if (line->json) {
        add(line, ",", 1);
        add_quoted(line, slice_str(field->name));
        add(line, ":", 1);
    } else {
        add(line, " ", 1);
        add_str(line, field->name);
        add(line, "=", 1);
    }
    add_value(line, field);
}

static void add_head(struct line *line, enum log_level level, int64_t time_ns,
                     const char *logger, const char *message)
{
    if (line->json) {
        add_str(line, "{\"level\":\"");
        add_str(line, log_level_name(level));
        add_str(line, "\",\"ts\":\"");
        add_time(line, time_ns);
        add_str(line, "\",\"logger\":");
        add_quoted(line, slice_str(logger));
        add_str(line, ",\"msg\":");
        add_quoted(line, slice_str(message));
    } else {
        add_time(line, time_ns);
        add(line, " ", 1);
        add(line, &"DIWEF"[level], 1);
        add(line, " ", 1);
        add_escaped(line, slice_str(logger), false);
        add(line, ": ", 2);
        add_escaped(line, slice_str(message), false);
    }
}

/* A field that doesn't fit is left out whole, and so are all after it. */
static void add_fields(struct line *line, va_list fields)
{
    for (;;) {
        struct log_field field = va_arg(fields, struct log_field);
        if (field.name == NULL)
            return;
        size_t size_before = line->size;
        add_field(line, &field);
        if (line->full) {
            line->size = size_before;
            return;
        }
    }
}

static void finish(struct line *line)
{
    bool cut = line->full;
    line->size_max = LOG_LINE_BYTES_MAX;
    line->full = false;
    if (cut)
        add_str(line, line->json ? ",\"cut\":true" : " ...");
    add_str(line, line->json ? "}" : "");
}

void log_write(enum log_level level, const char *logger, const char *message,
               ...)
{
    /* A line's head, at its largest, fits: what is left out are fields. */
    static_assert(LOG_LINE_BYTES_MAX - LINE_END_BYTES - 128 >=
                      LOG_VALUE_BYTES_MAX * 6 + 256,
                  "a message of control characters fits");
    if (level < log_get_level())
        return;
    enter();
    struct settings now = settings;
    leave();

    struct line line;
    line.size = 0;
    line.size_max = LOG_LINE_BYTES_MAX - LINE_END_BYTES;
    line.full = false;
    line.json = now.format == LOG_JSON;
    add_head(&line, level, now.clock ? now.clock(now.context) : 0, logger,
             message);
    va_list fields;
    va_start(fields, message);
    add_fields(&line, fields);
    va_end(fields);
    finish(&line);

    struct slice text = slice_of(line.text, line.size);
    keep(text);
    if (now.sink != NULL)
        now.sink(now.context, level, text);
}
