/* Key patterns: "/metrics/{host}/disk", "/logs/{path...}", "/config/" (all
 * below). A `{x}` is one segment that isn't empty, `{x...}` the rest, at least
 * one byte; both stand alone between slashes. A capture in the first segment
 * never matches "_recipes".
 *
 * A trie finds the patterns that match a key by the key's depth, however many
 * patterns there are. */
#ifndef ETCHED_RECIPE_PATTERN_H
#define ETCHED_RECIPE_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"

enum { PATTERN_CAPTURES_MAX = 16, PATTERN_SEGMENTS_MAX = 64 };

enum segment_kind { SEGMENT_LITERAL, SEGMENT_ONE, SEGMENT_REST };
struct pattern {
    struct slice text;
    /* A key is split at '/': "/a/b" has "", "a", "b". */
    struct segment {
        enum segment_kind kind;
        struct slice text; /* literal, or the capture's name */
    } * segments;
    size_t count;
    bool is_prefix; /* ends in '/': all below, without a name */
    size_t captures;
};

/* Errors: ERR_INVALID with a note that says what to write instead; *at (may
 *         be NULL) is the byte. */
enum err pattern_parse(struct arena *arena, struct slice text,
                       struct pattern *out, size_t *at) MUST_USE;
/* `captures` (PATTERN_CAPTURES_MAX) are parts of the key, in the pattern's
 * order. */
bool pattern_matches(const struct pattern *pattern, struct slice key,
                     struct slice *captures);
/* The bytes that every key of it begins with; `exact`: and no more. */
struct slice pattern_literal(const struct pattern *pattern, bool *exact);

/* What a template of a key may become: literal pieces, and holes of one
 * segment or of anything. */
struct key_shape {
    struct shape_piece {
        enum { SHAPE_TEXT, SHAPE_SEGMENT, SHAPE_ANY } kind;
        struct slice text;
    } * pieces;
    size_t count;
};
/* True where some key that `shape` may become is matched. */
bool pattern_meets_shape(const struct pattern *pattern,
                         const struct key_shape *shape);

struct pattern_trie;
struct pattern_trie *pattern_trie_new(void);
void pattern_trie_free(struct pattern_trie *trie);
/* The pattern must outlive its stay. The same may be in it more than once,
 * for other values. */
void pattern_trie_add(struct pattern_trie *trie, const struct pattern *pattern,
                      void *value);
void pattern_trie_remove(struct pattern_trie *trie,
                         const struct pattern *pattern, void *value);
size_t pattern_trie_count(const struct pattern_trie *trie);
/* Calls `found` for each that matches; it may not change the trie. No
 * allocation. */
void pattern_trie_match(const struct pattern_trie *trie, struct slice key,
                        void (*found)(void *context, void *value),
                        void *context);

#endif
