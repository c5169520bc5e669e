/* The conformance tables: an expression, and what it has to give.
 *
 * What is expected is written as the language itself writes it, so that kinds
 * can't be mixed up: 1, 1u, 1.0, 'text', b'bytes', true, null, [1, 'a'],
 * {'k': 1}, timestamp('...'), duration('...'), int (a type). An error is
 * "error: " and a part of what it says; a text that isn't compiled is
 * "refused: " and a part of why.
 *
 * The sections follow those of the conformance data of cel-spec
 * (tests/simple/testdata) as far as our subset goes. */
#ifndef ETCHED_TESTS_EXPR_CEL_TABLE_H
#define ETCHED_TESTS_EXPR_CEL_TABLE_H

#include "expr/expr.h"

struct cel_row {
    const char *text;
    const char *expected;
};

/* The ingredients of every row: x is {"name": 1024, "list": [1, 2],
 * "deep": {"a": {"b": "c"}}}, whose kind isn't known when it is compiled; a is
 * [0]; n is 7, s is 'text', d is 0.0, t is true, u is 2u: not known either. */
void cel_check(const struct cel_row *rows, size_t count);
#define CEL_CHECK(rows) cel_check((rows), sizeof(rows) / sizeof(rows)[0])

/* A value in that notation. */
void cel_write(struct buf *out, const struct value *value);

#endif
