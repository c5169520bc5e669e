/* Ask an expression and get the answer as text, for tests that read as a
 * table of questions and answers. */
#ifndef ETCHED_TESTS_EXPR_ASK_H
#define ETCHED_TESTS_EXPR_ASK_H

#include "expr/expr.h"

/* The ingredients of every question here:
 *
 *   value   {"used":95,"name":"web","tags":["a","b","c"],"deep":{"x":{"y":1}},
 *            "none":null,"big":9007199254740993,"part":0.5}
 *   host    "web-17", known to be a string
 *   count   7, known to be an int
 *   ready   true, known to be a bool
 *   prev    is absent
 *   later   is asked of the world: 42
 *   never   is asked of the world, and pending for ever
 */
enum {
    ASK_VALUE,
    ASK_HOST,
    ASK_COUNT,
    ASK_READY,
    ASK_PREV,
    ASK_LATER,
    ASK_NEVER,
    ASK_SLOTS,
};
extern const struct expr_names ask_names;
extern const struct expr_world ask_world;
void ask_fill(struct arena *arena, struct value slots[ASK_SLOTS]);

/* The value as JSON; "error: " and its text; "waits"; "too far"; "refused: "
 * and the note. Valid until the next question. */
const char *ask(const char *text);
const char *ask_size(const char *text, size_t size);
const char *ask_template(const char *text);
/* With a budget of its own. */
const char *ask_within(const char *text, uint64_t steps, size_t bytes);

struct question {
    const char *text;
    const char *answer;
};
/* Each must be answered so; all that aren't are printed. */
void ask_all(const struct question *questions, size_t count);
void ask_all_templates(const struct question *questions, size_t count);
#define ASK_ALL(table) ask_all((table), sizeof(table) / sizeof(table)[0])
#define ASK_ALL_TEMPLATES(table) \
    ask_all_templates((table), sizeof(table) / sizeof(table)[0])

/* `piece` repeated, between `before` and `after`; the arena's. */
struct slice ask_repeat(struct arena *arena, const char *before,
                        const char *piece, size_t count, const char *after);

#endif
