/* What an expression is compiled to: operations for a machine with a stack of
 * values, in the order in which they are done. `a.b > 1 && c` becomes
 *
 *      0  SLOT       a            push the ingredient
 *      1  FIELD      .b           the top becomes its field
 *      2  CONSTANT   1            push
 *      3  BINARY     >            the two on top become one
 *      4  AND_LEFT   -> 7         false on top: that's it
 *      5  SLOT       c
 *      6  AND                     the two on top become one
 *      7
 *
 * Evaluating never recurses, however an expression is nested.
 *
 * Invariants: each operation finds what it takes on the stack, whichever way
 *             the machine came there; jumps lead forward, save a loop's end,
 *             which leads back to its body; at the end one value is left.
 */
#ifndef ETCHED_EXPR_CODE_INT_H
#define ETCHED_EXPR_CODE_INT_H

#include "expr/expr_int.h"
#include "expr/lex_int.h"

enum op_code {
    OP_CONSTANT,  /* push `constant` */
    OP_SLOT,      /* push slots[index], whose name is `text` */
    OP_LOCAL,     /* push the item that loop `index` stands at */
    OP_FIELD,     /* x -> x.text */
    OP_HAS_FIELD, /* x -> has(x.text) */
    OP_HAS_SLOT,  /* push has(slots[index]) */
    OP_NOT,       /* x -> !x */
    OP_NEGATE,    /* x -> -x */
    OP_BINARY,    /* x y -> x `detail` y; an enum operator */
    OP_CALL,      /* `index` arguments -> function(arguments) */
    OP_LIST,      /* `index` items -> a list of them */
    OP_MAP,       /* `index` pairs of key and value -> a map */
    OP_AND_LEFT,  /* false on top: on to `index` */
    OP_AND,       /* x y -> x && y */
    OP_OR_LEFT,   /* true on top: on to `index` */
    OP_OR,        /* x y -> x || y */
    OP_CHOOSE,    /* x -> ; false: on to `index`, before which stands the JUMP
                     to the end of it all */
    OP_JUMP,      /* on to `index` */
    OP_LOOP,      /* list -> ; with no items: the result, on behind the loop's
                     end, which is at `index`; `detail` is an enum macro */
    OP_LOOP_IF,   /* x -> ; false: the next item */
    OP_LOOP_END,  /* x -> ; the next item, back to `index`; after the last one
                     the result */
};

/* The detail of an OP_SLOT: push VALUE_ABSENT rather than an error. */
enum { SLOT_MAY_BE_ABSENT = 1 };

/* The order is that of the table in macro.c. */
enum macro {
    MACRO_ALL,
    MACRO_EXISTS,
    MACRO_EXISTS_ONE,
    MACRO_FILTER,
    MACRO_MAP,
    MACRO_COUNT,
};

struct op {
    uint8_t code;
    uint8_t detail;
    uint32_t index;
    union {
        const struct value *constant;
        const struct function *function;
        const struct slice *text;
    };
};

struct expr {
    const struct op *ops;
    uint32_t count;
    uint32_t stack_max; /* values on the stack at once */
    enum value_kind gives;
    unsigned uses;
};

/* ---- compiling ---------------------------------------------------------- */

/* What the parser knows of a part of the expression that it has read: its
 * operations are [begin, end) and leave one value. */
struct operand {
    uint32_t begin;
    uint32_t end;
    size_t at;            /* in the text */
    enum value_kind kind; /* VALUE_LAZY: not known */
    bool is_field;        /* a.b */
};

struct parser {
    struct arena *arena;
    const struct expr_names *names;
    struct lexer lexer;
    struct token token; /* the next one */
    enum err err;       /* the first fault: from then on nothing happens */
    struct expr_fault fault;

    struct op *ops;
    uint32_t count;
    uint32_t capacity;
    uint32_t height; /* of the stack, at this place */
    uint32_t height_max;
    unsigned uses;

    int depth;                           /* of nesting */
    struct slice locals[EXPR_DEPTH_MAX]; /* variables of macros */
    uint32_t local_count;

    struct run fold; /* for constant parts: one budget for all of them */
};

/* parse.c. One expression that begins at parser->lexer.at; the token behind it
 * is left in parser->token. NULL: parser->err, with the fault. */
struct expr *parse__expression(struct parser *parser);
/* Names and strings of the expression are parts of the copy of `text` that is
 * made in the arena. A text that can't be taken is parser->err. */
void parse__init(struct parser *parser, struct arena *arena, struct slice text,
                 const struct expr_names *names);
/* For the next expression of the same text, that begins at `at`. */
void parse__restart(struct parser *parser, size_t at);
/* As an error with its note. */
enum err parse__report(const struct parser *parser, struct expr_fault *fault);

/* For macro.c and name.c: */
struct operand parse__nested(struct parser *parser);
void parse__next(struct parser *parser);
bool parse__expect(struct parser *parser, enum token_kind kind);
/* "expected <what> here, found ...". */
void parse__expect_mark(struct parser *parser, const char *what);
/* True, and past it, where the next token is of this kind. */
bool parse__accept(struct parser *parser, enum token_kind kind);
/* The first fault stays. */
void parse__refuse(struct parser *parser, size_t at, const char *format, ...)
    PRINTF_LIKE(3, 4);
void parse__refuse_size(struct parser *parser, size_t at, const char *format,
                        ...) PRINTF_LIKE(3, 4);
struct slice parse__token_text(const struct parser *parser);

/* macro.c: `x.all(` has been read, with `x` as `range`. False: this name is
 * none of a macro. */
bool macro__find(struct slice name, enum macro *out);
struct operand macro__parse(struct parser *parser, struct operand range,
                            enum macro macro);
/* `has(` has been read. */
struct operand macro__parse_has(struct parser *parser, size_t at);

/* name.c: a name on its own, or one that a call or a "Message{" follows. */
struct operand name__parse(struct parser *parser);
/* `target.name(` has been read. */
struct operand name__parse_method(struct parser *parser, struct operand target,
                                  struct slice name, size_t at);

/* check.c: what operators and functions give, by what is known. They refuse
 * what can't be. */
enum value_kind check__binary(struct parser *parser, enum operator operator,
                              struct operand left, struct operand right);
enum value_kind check__bool(struct parser *parser, struct operand operand,
                            const char *whose);
enum value_kind check__negate(struct parser *parser, struct operand operand);
bool check__field(struct parser *parser, struct operand target,
                  struct slice name);
bool check__call(struct parser *parser, const struct function *function,
                 const struct operand *arguments, size_t count, size_t at);
const char *operator__text(enum operator operator); /* "+" */

/* emit.c: operations are appended, constant parts computed at once. `pushes`
 * is how the stack's height changes. */
uint32_t emit__op(struct parser *parser, struct op op, int pushes);
struct operand emit__value(struct parser *parser, const struct value *value,
                           size_t at);
struct operand emit__binary(struct parser *parser, enum operator operator,
                            struct operand left, struct operand right,
                            enum value_kind kind);
struct operand emit__unary(struct parser *parser, enum op_code code,
                           struct operand operand, enum value_kind kind);
struct operand emit__call(struct parser *parser,
                          const struct function *function, uint32_t begin,
                          size_t count, size_t at);
/* OP_LIST or OP_MAP of all that was pushed since `begin`. */
struct operand emit__collect(struct parser *parser, enum op_code code,
                             uint32_t begin, size_t count, size_t at);
/* From `begin` to here. */
struct operand emit__operand(const struct parser *parser, uint32_t begin,
                             size_t at, enum value_kind kind);

/* ---- evaluating --------------------------------------------------------- */

/* eval.c: the value in *out; run->end says whether there is one. */
void eval__run(struct run *run, const struct expr *expr, struct value *out);
/* An item more: false where that is too much, in steps or in bytes. */
bool run__item(struct run *run);
/* *out becomes what `end` means where it isn't EXPR_DONE. */
enum expr_end eval__end(struct run *run, struct value *out);
void run__init(struct run *run, const struct expr_world *world,
               const struct expr_budget *budget, struct arena *arena,
               struct value *slots);

/* collect.c: a list or a map of `count` values or pairs on the stack. */
void collect__list(struct run *run, const struct value *values, size_t count,
                   struct value *out);
void collect__map(struct run *run, const struct value *pairs, size_t count,
                  struct value *out);
/* x.name and has(x.name). */
void collect__field(struct run *run, const struct value *target,
                    struct slice name, struct value *out);
void collect__has_field(struct run *run, const struct value *target,
                        struct slice name, struct value *out);

/* Where a macro stands in its range. */
struct loop {
    const struct value *items; /* the keys of a map */
    size_t count;
    size_t index;
    enum macro macro;
    uint32_t end;            /* the place of its OP_LOOP_END */
    struct value error;      /* the first one of all() and exists() */
    struct value_list *list; /* of filter() and map(): the result */
    struct value *made;      /* and its items */
    size_t made_count;       /* of exists_one(): those that were true */
};

/* loop.c. Begin at the first item; false: there is none, *result is set. */
bool loop__begin(struct run *run, struct loop *loop, enum macro macro,
                 const struct value *range, struct value *result);
/* The body gave `value` for this item (NULL: it was passed over). True: there
 * is a next item; false: *result is set. */
bool loop__step(struct run *run, struct loop *loop, const struct value *value,
                struct value *result);
static inline const struct value *loop__item(const struct loop *loop)
{
    return &loop->items[loop->index];
}

#endif
