/* The tests inside a document: a small store in memory, the recipe's machine,
 * and what is expected of them. No server.
 *
 *   given:  put: {key, value, lease?}, delete: key, expire: key, advance: 5m,
 *           at: <RFC 3339>, tick: <n or nothing>, webhook: {path?, body,
 *           headers}, item: {...}, run: {args}, answer: {<step>: {status,
 *           body}} (of the next actions outside; else 200)
 *   expect: the effects and actions in order, each with what it must at least
 *           have: {put: key, value?}, {delete: key}, {http: step, url?, json?},
 *           {email: step}, {exec: step}, {log: text}, {call: name},
 *           {failed: text}; an empty list: nothing happens
 */
#ifndef ETCHED_RECIPE_TEST_H
#define ETCHED_RECIPE_TEST_H

#include "recipe/recipe.h"

struct recipe_test_result {
    size_t passed;
    size_t failed;
};
/* Appends a line of text for each that failed: "test 2: expected put
 * /alerts/a/disk, saw nothing". */
struct recipe_test_result recipe_test(const struct recipe *recipe,
                                      const struct zones *zones,
                                      struct buf *out);

#endif
