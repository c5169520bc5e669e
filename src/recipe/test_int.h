/* What the tests of documents run on.
 *
 *   test_store.c   a small store: every record that ever was, in order. Tests
 *                  are short, so it is searched from its end
 *   test_world.c   the store, the machine and a clock: events to the machine,
 *                  its turns to the store, what is done written down as deeds
 *   test_clock.c   how its time passes, and what comes in by the inbox
 *   test_given.c   `given`: what happens in that world
 *   test_expect.c  `expect`: whether the deeds are those
 *   test.c         a test after the other
 */
#ifndef ETCHED_RECIPE_TEST_INT_H
#define ETCHED_RECIPE_TEST_INT_H

#include "recipe/machine.h"
#include "recipe/test.h"

/* ---- the store ----------------------------------------------------------- */

struct test_record {
    int64_t revision;
    int64_t created;
    int64_t version;    /* 0: the key is gone */
    int64_t expires_ns; /* INT64_MAX: never */
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
                                          struct slice key, struct slice value,
                                          int64_t expires_ns);
const struct test_record *test_store__delete(struct test_store *store,
                                             struct slice key);
/* Keys of [from, end) that are there, the first of them; an `end` of one zero
 * byte: there is none. */
const struct test_record *test_store__next(const struct test_store *store,
                                           struct slice from, struct slice end);
/* The key that expires first; NULL: none does. */
const struct test_record *
test_store__next_expiry(const struct test_store *store);
bool test_store__compare(const struct test_store *store,
                         const struct turn_compare *compare);

/* ---- the world ----------------------------------------------------------- */

/* Something that the recipe did. */
struct test_deed {
    const char *kind;   /* as in `expect` */
    struct slice name;  /* the key, the step, the text */
    struct value value; /* of a put: as an ingredient; else the request */
    int64_t ttl_ns;     /* of a put */
};

/* An event that hasn't been told yet. */
struct test_event {
    struct test_event *next;
    struct recipe_event event;
};

/* An id of what came in, that is known until then. */
struct test_seen {
    struct test_seen *next;
    size_t trigger;
    struct slice id;
    int64_t until_ns;
};

struct test_world {
    struct recipe recipe; /* of the caller, but never as a shadow */
    const struct zones *zones;
    struct arena arena;
    struct test_store store;
    struct machine *machine;
    int64_t now_ns;
    const struct doc_value *answers; /* by step */
    struct test_deed *deeds;
    size_t deed_count;
    size_t deed_capacity;
    struct test_event *first;
    struct test_event **last;
    struct test_seen *seen;
    /* By trigger, to number the events of a revision. */
    int64_t revisions[RECIPE_TRIGGERS_MAX + 1];
    uint32_t places[RECIPE_TRIGGERS_MAX + 1];
    int steps_left;
    unsigned depth;    /* of the events that are made now */
    const char *fault; /* the test itself is wrong; NULL: it isn't */
};
void test_world__open(struct test_world *world, const struct recipe *recipe,
                      const struct zones *zones);
void test_world__close(struct test_world *world);
struct slice test_world__keep(struct test_world *world, struct slice text);
/* A document's value as the text of a key; strings are bare. */
struct slice test_world__text(struct test_world *world,
                              const struct doc_value *doc);
/* Each is a revision of its own. A ttl of 0: none. */
void test_world__put(struct test_world *world, struct slice key,
                     struct slice value);
void test_world__delete(struct test_world *world, struct slice key,
                        bool by_lease);
/* A key of the inbox, as the runner would make it: `id` is unique. */
void test_world__arrive(struct test_world *world, size_t trigger,
                        struct slice id, struct slice json);
void test_world__tick(struct test_world *world, size_t trigger,
                      int64_t scheduled_ns);
bool test_world__is_clock(const struct trigger *trigger);
/* All that follows at this moment. */
void test_world__settle(struct test_world *world);
/* Time goes from one thing that is due to the next. */
void test_world__advance(struct test_world *world, int64_t until_ns);

/* ---- given and expect ---------------------------------------------------- */

void test_given__do(struct test_world *world, const struct doc_value *row);
/* False: `why` has it, as text. */
bool test_expect__holds(struct test_world *world, const struct doc_value *rows,
                        struct buf *why);

#endif
