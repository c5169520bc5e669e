/* A plan as text: everything that is in it, so that two can be held against
 * each other, or one against what a test expects.
 *
 *   "text"                a template that is a literal
 *   T(/a/ x value)        one that isn't: what it begins with, what it reads
 *   E(value int)          an expression: what it reads, uses, gives
 */
#ifndef ETCHED_TESTS_RECIPE_PLAN_H
#define ETCHED_TESTS_RECIPE_PLAN_H

#include "recipe/recipe.h"

/* All of it, a line for each thing. */
void plan_write(struct buf *out, const struct recipe *recipe);
void plan_write_trigger(struct buf *out, const struct recipe *recipe,
                        const struct trigger *trigger);
void plan_write_action(struct buf *out, const struct recipe *recipe,
                       const struct action *action);

/* Fails where the two aren't one and the same. */
void plan_expect_same(const struct recipe *a, const struct recipe *b);
/* Its stored form, read again, is that very form and the same plan. */
void plan_expect_fixed_point(const struct recipe *recipe);

#endif
