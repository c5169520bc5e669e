/* Where a recipe's things are: all below RECIPES_PREFIX
 * (docs/internals/recipes-design.md has the table). */
#ifndef ETCHED_RECIPE_KEYS_H
#define ETCHED_RECIPE_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define RECIPES_PREFIX "/_recipes/"

/* The names of the kinds, as they are in keys. */
enum recipe_key {
    RECIPE_KEY_DEF,
    RECIPE_KEY_STATUS,
    RECIPE_KEY_WORKER,
    RECIPE_KEY_OWNER,
    RECIPE_KEY_CURSOR,
    RECIPE_KEY_STATE,
    RECIPE_KEY_ACTIVE,
    RECIPE_KEY_RUN,
    RECIPE_KEY_DEAD,
    RECIPE_KEY_IN,
    RECIPE_KEY_SEEN,
    RECIPE_KEY_SECRET,
    RECIPE_KEY_COUNT,
};

/* Appends "/_recipes/<kind>/<name>"; with `rest`, "/<rest>" too (an empty one:
 * the prefix of all below). `rest` NULL: none. */
void recipe_key_write(struct buf *out, enum recipe_key kind, struct slice name,
                      const struct slice *rest);
/* False where it isn't one. `rest` is empty where there is none. */
bool recipe_key_read(struct slice key, enum recipe_key *kind,
                     struct slice *name, struct slice *rest);

/* [a-z0-9][a-z0-9._-]*, at most 128 bytes. */
enum { RECIPE_NAME_BYTES_MAX = 128 };
bool recipe_name_is_valid(struct slice name);
/* The same with capital letters, as names of environment variables are. */
bool secret_name_is_valid(struct slice name);

/* A run: by the event that began it. */
struct run_id {
    int64_t revision;
    uint32_t place; /* among the events of the revision that the trigger has */
    uint32_t tag;   /* 0: the event itself */
};
/* Two triggers may both have a first event at a revision, so a tag tells them
 * apart: each is added to the trigger's index, RUN_TAG_TRIGGER only where that
 * isn't 0. RUN_TAG_AGAIN, or twice that for one of on_failure, is added to the
 * run of a dead letter that is tried again. */
enum {
    RUN_TAG_DUE = 1,
    RUN_TAG_QUIET = 1000,   /* a debounce */
    RUN_TAG_TRIGGER = 2000, /* an event itself */
    RUN_TAG_AGAIN = 3000,
    RUN_ID_BYTES_MAX = 48,
};
/* In keys: "0000000000000001234.00000.0000", in their order. Not terminated;
 * returns the length. */
size_t run_id_to_key(const struct run_id *id, char out[RUN_ID_BYTES_MAX]);
/* For people: "1234", "1234.2", "1234.0.1". */
size_t run_id_to_text(const struct run_id *id, char out[RUN_ID_BYTES_MAX]);
/* Takes both. */
bool run_id_parse(struct slice text, struct run_id *out);
int run_id_compare(const struct run_id *a, const struct run_id *b);

#endif
