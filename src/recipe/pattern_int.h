/* What pattern.c shares with trie.c and shape.c. */
#ifndef ETCHED_RECIPE_PATTERN_INT_H
#define ETCHED_RECIPE_PATTERN_INT_H

#include "recipe/pattern.h"

enum { PATTERN_BYTES_MAX = 1024 };

/* The segments of a key, one at a time. */
struct segments {
    struct slice rest;
    bool is_over; /* the last one was taken */
};
static inline struct segments segments_of(struct slice key)
{
    return (struct segments){.rest = key};
}
/* Needs: not over. */
static inline struct slice segments_take(struct segments *segments)
{
    struct slice rest = segments->rest;
    const char *slash = rest.size ? memchr(rest.at, '/', rest.size) : NULL;
    if (!slash) {
        segments->is_over = true;
        return rest;
    }
    size_t size = (size_t)(slash - rest.at);
    segments->rest = slice_of(slash + 1, rest.size - size - 1);
    return slice_of(rest.at, size);
}

/* True for "/_recipes" and all below. Only a pattern that names it sees what
 * is there: a recipe that watches everything would else be fed by what the
 * service notes of that very recipe. */
bool pattern__is_hidden(struct slice key);
/* Its first segments are "" and "_recipes", as literals. */
bool pattern__names_hidden(const struct pattern *pattern);

#endif
