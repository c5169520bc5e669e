/* Values, for the folder: equality within a budget, numbers as text. */
#ifndef ETCHED_EXPR_VALUE_INT_H
#define ETCHED_EXPR_VALUE_INT_H

#include "expr/expr_int.h"

/* Room for a double's text, its sign and its exponent. */
enum { NUMBER_TEXT_BYTES_MAX = 40 };

/* The shortest digits that read back as the same number, with an exponent
 * below 1e-6 and from 1e21 on, as JavaScript writes it. NaN and infinities are
 * "NaN", "Infinity", "-Infinity". Returns the size. */
size_t value__number_text(double number, char out[NUMBER_TEXT_BYTES_MAX]);
/* Seconds, with a fraction where there is one: "90s", "-0.5s". */
size_t value__duration_text(int64_t duration_ns,
                            char out[NUMBER_TEXT_BYTES_MAX]);

/* value_equals that takes its cost from the run; false, too, where the budget
 * ends (run->end says so). */
bool value__equals(struct run *run, const struct value *a,
                   const struct value *b);
/* What the map has under a key of any kind; NULL: none. */
const struct value *value__at_key(struct run *run, const struct value_map *map,
                                  const struct value *key);
/* Can it be a map's key? */
static inline bool value__is_key(const struct value *value)
{
    return value->kind == VALUE_BOOL || value->kind == VALUE_INT ||
           value->kind == VALUE_UINT || value->kind == VALUE_STRING;
}
static inline bool value__is_number(const struct value *value)
{
    return value->kind == VALUE_INT || value->kind == VALUE_UINT ||
           value->kind == VALUE_DOUBLE;
}
/* Two numbers of any kinds by value: -1, 0, 1; 2 where one is NaN. */
int value__compare_numbers(const struct value *a, const struct value *b);

#endif
