/* The small store that the tests of documents run on: every record that ever
 * was, in order. Tests are short, so it is searched from its end. */
#ifndef ETCHED_RECIPE_TEST_INT_H
#define ETCHED_RECIPE_TEST_INT_H

#include "recipe/machine.h"
#include "recipe/test.h"

struct test_record {
    int64_t revision;
    int64_t created;
    int64_t version; /* 0: the key is gone */
    struct slice key;
    struct slice value;
};
struct test_store {
    struct arena *arena; /* of all that is kept */
    struct test_record *records;
    size_t count;
    size_t capacity;
    int64_t revision;
    struct lookups lookups;
    struct lookup found; /* the last one */
};
void test_store__init(struct test_store *store, struct arena *arena);
/* As it was at a revision; NULL where it wasn't there. */
const struct test_record *test_store__get(const struct test_store *store,
                                          struct slice key, int64_t revision);
/* Both copy, and are of the present revision: who begins a change counts it
 * up. What the record was before, for an event; NULL: nothing. */
const struct test_record *test_store__put(struct test_store *store,
                                          struct slice key, struct slice value);
const struct test_record *test_store__delete(struct test_store *store,
                                             struct slice key);
/* Keys of [key, end) that are there, the first at or after `from`. */
const struct test_record *test_store__next(const struct test_store *store,
                                           struct slice from, struct slice end);
bool test_store__compare(const struct test_store *store,
                         const struct turn_compare *compare);

#endif
