/* The trie of patterns: a node for each segment of each pattern.
 *
 *     root -- "" -- "metrics" -- {} -- "disk"       /metrics/{host}/disk
 *                             \-- "load"            /metrics/load
 *                             \-- rest: ..          /metrics/{x...}
 *
 * Literal children are found by a hash, so a key costs as many lookups as it
 * has segments, and at a node with a {} child one more way is tried. Captures
 * have no names here: patterns that differ in these alone share their nodes.
 *
 * Invariant: every node but the root has an entry or a child.
 */
#include "recipe/pattern.h"

#include "base/check.h"
#include "base/map.h"
#include "recipe/pattern_int.h"

enum entry_list {
    ENDS_HERE, /* the key ends with this node */
    REST,      /* a {x...} follows */
    BELOW,     /* a '/' follows, then anything */
    ENTRY_LISTS,
};

struct trie_node {
    struct slice name; /* of a literal; its own copy */
    struct trie_node *parent;
    struct trie_node *one; /* the {} child */
    struct map literals;
    struct entries {
        void **values;
        size_t count;
        size_t capacity;
    } entries[ENTRY_LISTS];
};

struct pattern_trie {
    struct trie_node root;
    size_t count;
};

/* ---- nodes -------------------------------------------------------------- */

static struct slice name_of_node(const void *node)
{
    return ((const struct trie_node *)node)->name;
}

static void init_node(struct trie_node *node, struct slice name,
                      struct trie_node *parent)
{
    *node = (struct trie_node){.parent = parent};
    node->name = slice_of(mem_dup(name.at, name.size), name.size);
    /* Who may save recipes chooses the names; the address is what he can't
     * know. */
    map_init(&node->literals, name_of_node, (uint64_t)(uintptr_t)node);
}

static void deinit_node(struct trie_node *node)
{
    for (size_t i = 0; i < ENTRY_LISTS; i++)
        mem_free(node->entries[i].values);
    map_deinit(&node->literals);
    mem_free((char *)(uintptr_t)node->name.at);
}

static struct trie_node *new_node(struct slice name, struct trie_node *parent)
{
    struct trie_node *node = mem_alloc(sizeof *node);
    init_node(node, name, parent);
    return node;
}

/* As deep as a pattern has segments. */
static void free_below(struct trie_node *node)
{
    struct trie_node *child;
    for (size_t at = 0; (child = map_next(&node->literals, &at)) != NULL;) {
        free_below(child);
        mem_free(child);
    }
    if (node->one) {
        free_below(node->one);
        mem_free(node->one);
    }
    deinit_node(node);
}

static bool is_bare(const struct trie_node *node)
{
    for (size_t i = 0; i < ENTRY_LISTS; i++) {
        if (node->entries[i].count)
            return false;
    }
    return !node->one && node->literals.count == 0;
}

static void prune(struct trie_node *node)
{
    while (node->parent && is_bare(node)) {
        struct trie_node *parent = node->parent;
        if (parent->one == node)
            parent->one = NULL;
        else
            CHECK(map_remove(&parent->literals, node->name) == node);
        deinit_node(node);
        mem_free(node);
        node = parent;
    }
}

struct pattern_trie *pattern_trie_new(void)
{
    struct pattern_trie *trie = mem_alloc_zero(sizeof *trie);
    init_node(&trie->root, SLICE(""), NULL);
    return trie;
}

void pattern_trie_free(struct pattern_trie *trie)
{
    if (!trie)
        return;
    free_below(&trie->root);
    mem_free(trie);
}

size_t pattern_trie_count(const struct pattern_trie *trie)
{
    return trie->count;
}

/* ---- patterns in and out ------------------------------------------------ */

static struct trie_node *find_child(const struct trie_node *node,
                                    const struct segment *segment)
{
    return segment->kind == SEGMENT_ONE
               ? node->one
               : map_get(&node->literals, segment->text);
}

static struct trie_node *make_child(struct trie_node *node,
                                    const struct segment *segment)
{
    struct trie_node *child = find_child(node, segment);
    if (child)
        return child;
    if (segment->kind == SEGMENT_ONE)
        return node->one = new_node(SLICE(""), node);
    child = new_node(segment->text, node);
    CHECK(map_put(&node->literals, child) == NULL);
    return child;
}

/* The list that the pattern's values are in; *node is the last of its nodes.
 * NULL: it isn't in the trie. */
static struct entries *find_entries(const struct pattern *pattern,
                                    struct trie_node **node, bool makes)
{
    enum entry_list list = pattern->is_prefix ? BELOW : ENDS_HERE;
    for (size_t i = 0; i < pattern->count; i++) {
        const struct segment *segment = &pattern->segments[i];
        if (segment->kind == SEGMENT_REST) {
            list = REST;
            break;
        }
        *node = makes ? make_child(*node, segment) : find_child(*node, segment);
        if (!*node)
            return NULL;
    }
    return &(*node)->entries[list];
}

void pattern_trie_add(struct pattern_trie *trie, const struct pattern *pattern,
                      void *value)
{
    struct trie_node *node = &trie->root;
    struct entries *entries = find_entries(pattern, &node, true);
    if (entries->count == entries->capacity) {
        entries->capacity = entries->capacity ? entries->capacity * 2 : 1;
        entries->values = mem_realloc(
            entries->values, entries->capacity * sizeof *entries->values);
    }
    entries->values[entries->count++] = value;
    trie->count++;
}

void pattern_trie_remove(struct pattern_trie *trie,
                         const struct pattern *pattern, void *value)
{
    struct trie_node *node = &trie->root;
    struct entries *entries = find_entries(pattern, &node, false);
    CHECK(entries);
    size_t at = 0;
    while (at < entries->count && entries->values[at] != value)
        at++;
    CHECK_LT(at, entries->count);
    /* In their order: who is told first shouldn't change. */
    memmove(entries->values + at, entries->values + at + 1,
            (entries->count - at - 1) * sizeof *entries->values);
    entries->count--;
    trie->count--;
    prune(node);
}

/* ---- matching ----------------------------------------------------------- */

struct search {
    void (*found)(void *context, void *value);
    void *context;
};

static void tell(const struct search *search, const struct entries *entries)
{
    for (size_t i = 0; i < entries->count; i++)
        search->found(search->context, entries->values[i]);
}

/* As deep as a pattern has segments, however many the key has. */
static void match(const struct search *search, const struct trie_node *node,
                  struct segments left)
{
    for (;;) {
        if (left.is_over) {
            tell(search, &node->entries[ENDS_HERE]);
            return;
        }
        if (left.rest.size > 0)
            tell(search, &node->entries[REST]);
        tell(search, &node->entries[BELOW]);
        struct slice text = segments_take(&left);
        const struct trie_node *child =
            node->literals.count ? map_get(&node->literals, text) : NULL;
        if (node->one && text.size > 0) {
            if (child)
                match(search, child, left);
            child = node->one;
        }
        if (!child)
            return;
        node = child;
    }
}

void pattern_trie_match(const struct pattern_trie *trie, struct slice key,
                        void (*found)(void *context, void *value),
                        void *context)
{
    struct search search = {found, context};
    struct segments left = segments_of(key);
    const struct trie_node *node = &trie->root;
    /* Straight to where nothing but literals has led. */
    for (int i = 0; i < 2 && pattern__is_hidden(key); i++) {
        node = map_get(&node->literals, segments_take(&left));
        if (!node)
            return;
    }
    match(&search, node, left);
}
