/* The expression language: a subset of CEL (the Common Expression Language,
 * cel-spec "Language Definition"), compiled once and evaluated many times
 * within a budget of steps and bytes.
 *
 *   expr_compile   text -> struct expr: parsed, names resolved to slots, types
 *                  checked where they are known, constants folded
 *   expr_eval      struct expr + ingredients -> struct value
 *   template_*     text with {{ }} in it, the same way
 *
 * What there is: int (64 bits, exact, overflow is an error), uint, double,
 * string (UTF-8), bytes, bool, null, list, map, timestamp, duration, type;
 * ?: || && ! == != < <= > >= in + - * / % [] . and f(), x.f(); has(), all(),
 * exists(), exists_one(), filter(), map() (two and three arguments); size
 * contains startsWith endsWith matches int uint double string bytes bool
 * timestamp duration type dyn, and the accessors of timestamps and durations
 * (getFullYear() .. getMilliseconds(), with a zone or without). Literals:
 * 0x, u, exponents, r"", """ """, b"", escapes. Reserved words are refused.
 * Numbers of different kinds compare by value (1 == 1.0, 1u < 2).
 * Errors are values: `||` and `&&` pass over one where the other side decides.
 *
 * Ours: exists(key), get(key) (null where there is none), count(prefix),
 * secret(name), glob(pattern, text), time.hour(from, to, zone) (true from
 * `from` o'clock to before `to`, over midnight where from > to),
 * time.weekday(first, last, zone) (0 Sunday), json(text), lower() upper()
 * trim() replace() split() join() format of strings as methods, now() (the
 * event's time; the present never enters).
 *
 * Not there, and refused with that word: message construction, protobuf
 * types, user functions, optional syntax.
 *
 * Pure: no clock, no file; the world comes in through struct expr_world.
 * Threads: a compiled expression may be used by any number at once.
 */
#ifndef ETCHED_EXPR_EXPR_H
#define ETCHED_EXPR_EXPR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"
#include "doc/doc.h"
#include "port/zones.h"

/* ---- values ------------------------------------------------------------- */

enum value_kind {
    VALUE_NULL,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_UINT,
    VALUE_DOUBLE,
    VALUE_STRING,
    VALUE_BYTES,
    VALUE_LIST,
    VALUE_MAP,
    VALUE_TIMESTAMP, /* integer: nanoseconds since 1970 */
    VALUE_DURATION,  /* integer: nanoseconds */
    VALUE_TYPE,      /* integer: an enum value_kind */
    VALUE_ERROR,     /* text: why */
    VALUE_ABSENT,    /* of an ingredient: nothing by that name at this event */
    VALUE_LAZY,      /* of an ingredient: ask the world when it is wanted */
};

struct value {
    enum value_kind kind;
    union {
        bool boolean;
        int64_t integer;
        uint64_t natural;
        double number;
        struct slice text; /* string, bytes, error */
        const struct value_list *list;
        const struct value_map *map;
    };
};
struct value_list {
    size_t count;
    struct value *items;
};
/* Keys are bool, int, uint or string, each once, in the order they came. */
struct value_map {
    size_t count;
    struct value *keys;
    struct value *values;
};

/* Sizes: ints stay ints; a number with a fraction or an exponent is a double.
 * Owns: all lives in the arena; strings are the document's, not copied. */
struct value value_from_doc(struct arena *arena, const struct doc_value *doc);
/* JSON text where it is some (an object, a list, a number, true, false, null
 * or a quoted string), else the text itself as a string; bytes where it isn't
 * UTF-8. Bounded as doc_limits_default. This is how `value` is made. */
struct value value_from_text(struct arena *arena, struct slice text);
struct value value_string(struct slice text);
struct value value_int(int64_t integer);
struct value value_bool(bool boolean);
struct value value_error(struct arena *arena, const char *format, ...)
    PRINTF_LIKE(2, 3);
/* NULL when `map` isn't one or has none such. */
const struct value *value_member(const struct value *map, struct slice name);
bool value_equals(const struct value *a, const struct value *b);
/* As template text shows it: strings bare, the rest as JSON (timestamps RFC
 * 3339, durations "1.5s", bytes base64), maps in their order. */
void value_write_text(struct buf *out, const struct value *value);
/* As JSON. int64 beyond 2^53 stay numbers. Bytes are base64. */
void value_write_json(struct buf *out, const struct value *value);
const char *value_kind_text(enum value_kind kind); /* "int", "string" */

/* ---- compiling ---------------------------------------------------------- */

/* An ingredient's name, and what is known of it. Its slot is its place in the
 * table. */
struct expr_name {
    struct slice name;
    enum value_kind kind; /* VALUE_LAZY: not known (dyn) */
};
struct expr_names {
    const struct expr_name *names;
    size_t count;
    /* Where set, a name that isn't in the table is said to be one of these. */
    const char *hint;
};

enum {
    EXPR_TEXT_BYTES_MAX = 64 << 10,
    EXPR_DEPTH_MAX = 64, /* of nesting */
    EXPR_NODES_MAX = 10000,
};

/* Where and why it was refused: also in the error's note, as
 * "column 7: expected ')' here, found ']'". */
struct expr_fault {
    int line; /* of the text, from 1 */
    int column;
    char text[256]; /* what is wrong, and what was expected */
};

struct expr;
/* Owns:   the expression lives in the arena.
 * Errors: ERR_INVALID, with *fault (may be NULL) and a note; ERR_TOO_LARGE. */
enum err expr_compile(struct arena *arena, struct slice text,
                      const struct expr_names *names, struct expr **out,
                      struct expr_fault *fault) MUST_USE;
/* What it is known to give; VALUE_LAZY where that isn't known. */
enum value_kind expr_gives(const struct expr *expr);
/* Which of ours it calls. */
enum expr_use {
    EXPR_USES_STORE = 1, /* exists, get, count */
    EXPR_USES_SECRET = 2,
    EXPR_USES_TIME = 4, /* now, time.hour, time.weekday */
};
unsigned expr_uses(const struct expr *expr);
/* True where it reads this slot. */
bool expr_reads(const struct expr *expr, size_t slot);

/* ---- evaluating --------------------------------------------------------- */

enum expr_found {
    EXPR_FOUND,   /* *out is set (maybe to an error) */
    EXPR_PENDING, /* not known yet: the evaluation ends, to be begun anew when
                     it is (what was asked for is the world's to remember) */
};

/* What is outside. Any function may be NULL: calling it is then an error
 * value ("get() can't be had here"). */
struct expr_world {
    void *context;
    enum expr_found (*ingredient)(void *context, size_t slot,
                                  struct arena *arena, struct value *out);
    /* Of a key that isn't there VALUE_ABSENT: get() makes null of it, exists()
     * false. (A key whose value is JSON's null exists.) */
    enum expr_found (*get)(void *context, struct slice key, struct arena *arena,
                           struct value *out);
    enum expr_found (*count)(void *context, struct slice prefix, int64_t *out);
    enum expr_found (*secret)(void *context, struct slice name,
                              struct arena *arena, struct value *out);
    const struct zones *zones; /* NULL: UTC and offsets only */
    int64_t now_ns;            /* the event's time */
};

struct expr_budget {
    uint64_t steps_max; /* a node, an item of a list, 64 bytes of a string */
    size_t bytes_max;   /* made by the evaluation */
};
extern const struct expr_budget expr_budget_default; /* 100,000; 1 MiB */

enum expr_end {
    EXPR_DONE,    /* *out is the value; VALUE_ERROR where it is an error */
    EXPR_WAITS,   /* something was pending */
    EXPR_TOO_FAR, /* the budget is used up; *out is an error that says so */
};
/* `slots` has names->count values; a VALUE_LAZY one is asked of the world and
 * written to its slot. Strings of the result may be parts of the ingredients.
 * Cost: no system call, no lock; memory from `arena` alone. Ends within 10 ms
 *       with the default budget, whatever the text. */
enum expr_end expr_eval(const struct expr *expr, struct value *slots,
                        const struct expr_world *world,
                        const struct expr_budget *budget, struct arena *arena,
                        struct value *out);

/* ---- templates ---------------------------------------------------------- */

/* "disk of {{host}} is at {{value.used}} %". `{{{{` gives `{{`. A template
 * that is one {{ }} and nothing else gives that value with its kind. */
struct template;
enum err template_compile(struct arena *arena, struct slice text,
                          const struct expr_names *names, struct template **out,
                          struct expr_fault *fault) MUST_USE;
enum expr_end template_eval(const struct template *template,
                            struct value *slots, const struct expr_world *world,
                            const struct expr_budget *budget,
                            struct arena *arena, struct value *out);
/* The text before the first {{ }}: all of it where there is none. */
struct slice template_literal_prefix(const struct template *template);
bool template_is_literal(const struct template *template);
unsigned template_uses(const struct template *template);
bool template_reads(const struct template *template, size_t slot);

/* Wildcards: * (any run of bytes but '/'), ** (any run), ?, [a-z], [!a]; time
 * linear in pattern x text. */
bool glob_matches(struct slice pattern, struct slice text);

#endif
