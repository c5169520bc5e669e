/* Searching the index, and its nodes. Changes: index_change.c. */
#include "mvcc/index.h"

#include "base/check.h"
#include "base/mem.h"
#include "mvcc/index_int.h"

void index__init(struct index *index, struct slab *slab)
{
    *index = (struct index){.slab = slab};
    index->root = index__leaf_new(index);
}

static void free_below(struct index *index, void *node, uint32_t height)
{
    if (height == 0) {
        index__leaf_free(index, node);
        return;
    }
    struct inner *inner = node;
    for (uint32_t i = 0; i < inner->count; i++) {
        free_below(index, inner->child[i], height - 1);
        if (i > 0)
            index__separator_free(index, inner->sep[i]);
    }
    index__inner_free(index, inner);
}

void index__deinit(struct index *index)
{
    free_below(index, index->root, index->height);
    CHECK_EQ(index->bytes, 0);
    *index = (struct index){0};
}

/* ---- nodes --------------------------------------------------------------- */

struct leaf *index__leaf_new(struct index *index)
{
    struct leaf *leaf = mem_alloc(sizeof *leaf);
    leaf->count = leaf->skip = 0;
    leaf->live = 0;
    leaf->next = leaf->prev = NULL;
    index->bytes += sizeof *leaf;
    return leaf;
}

struct inner *index__inner_new(struct index *index)
{
    struct inner *inner = mem_alloc(sizeof *inner);
    inner->count = inner->skip = 0;
    index->bytes += sizeof *inner;
    return inner;
}

static void give_back(struct index *index, void *memory, size_t size)
{
    CHECK(index->bytes >= size);
    index->bytes -= size;
    mem_free(memory);
}

void index__leaf_free(struct index *index, struct leaf *leaf)
{
    give_back(index, leaf, sizeof *leaf);
}

void index__inner_free(struct index *index, struct inner *inner)
{
    give_back(index, inner, sizeof *inner);
}

struct separator *index__separator_new(struct index *index, struct slice left,
                                       struct slice right)
{
    size_t size = index__common(left, right) + 1;
    CHECK_LE(size, right.size); /* left < right, so right goes on */
    struct separator *sep = mem_alloc(sizeof *sep + size);
    sep->size = (uint32_t)size;
    memcpy(sep->bytes, right.at, size);
    index->bytes += sizeof *sep + size;
    return sep;
}

void index__separator_free(struct index *index, struct separator *sep)
{
    give_back(index, sep, sizeof *sep + sep->size);
}

size_t index__common(struct slice a, struct slice b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    size_t same = 0;
    while (same < size && a.at[same] == b.at[same])
        same++;
    return same;
}

uint32_t index__skip(const struct separator *low, const struct separator *high)
{
    if (low == NULL || high == NULL)
        return 0;
    return (uint32_t)index__common(index__separator_text(low),
                                   index__separator_text(high));
}

void index__leaf_set_skip(struct leaf *leaf, uint32_t skip)
{
    for (uint32_t i = 0; i < leaf->count; i++)
        leaf->head[i] = index__head(entry_key(leaf->entry[i]), skip);
    leaf->skip = skip;
}

void index__inner_set_skip(struct inner *inner, uint32_t skip)
{
    for (uint32_t i = 1; i < inner->count; i++)
        inner->head[i] =
            index__head(index__separator_text(inner->sep[i]), skip);
    inner->skip = skip;
}

uint64_t index__inner_live(const struct inner *inner)
{
    uint64_t live = 0;
    for (uint32_t i = 0; i < inner->count; i++)
        live += inner->live[i];
    return live;
}

struct entry *index__entry_new(struct slab *slab, struct slice key)
{
    CHECK(key.size <= UINT32_MAX);
    struct entry *entry = slab_alloc(slab, sizeof *entry + key.size);
    *entry = (struct entry){.key_size = (uint32_t)key.size};
    if (key.size)
        memcpy(entry->key, key.at, key.size);
    return entry;
}

void index__entry_free(struct slab *slab, struct entry *entry)
{
    slab_free(slab, entry, sizeof *entry + entry->key_size);
}

/* ---- searching ----------------------------------------------------------- */

/* The first of heads[0..count) that is not less than `head`. The loop has no
 * branch that depends on the data: a guess would be wrong half the time. */
static uint32_t lower_bound(const uint64_t *heads, uint32_t count,
                            uint64_t head)
{
    const uint64_t *base = heads;
    while (count > 1) {
        uint32_t half = count / 2;
        base = base[half - 1] < head ? base + half : base;
        count -= half;
    }
    return (uint32_t)(base - heads) + (count == 1 && *base < head);
}

/* The slot of the first key >= `key`; *found: it is equal. */
static uint32_t find_slot(const struct leaf *leaf, struct slice key,
                          bool *found)
{
    DCHECK(leaf->skip <= key.size);
    uint64_t head = index__head(key, leaf->skip);
    uint32_t low = lower_bound(leaf->head, leaf->count, head);
    uint32_t high = low;
    *found = false;
    while (high < leaf->count && leaf->head[high] == head)
        high++;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        int order = slice_cmp(entry_key(leaf->entry[middle]), key);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The child whose keys would hold `key`: the last with a separator <= it. */
static uint32_t find_child(const struct inner *inner, struct slice key)
{
    DCHECK(inner->skip <= key.size);
    uint64_t head = index__head(key, inner->skip);
    uint32_t low = 1 + lower_bound(inner->head + 1, inner->count - 1, head);
    uint32_t high = low;
    while (high < inner->count && inner->head[high] == head)
        high++;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (slice_cmp(index__separator_text(inner->sep[middle]), key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    CHECK(low >= 1 && low <= inner->count);
    return low - 1;
}

static struct leaf *find_leaf(const struct index *index, struct slice key)
{
    void *node = index->root;
    for (uint32_t level = index->height; level > 0; level--) {
        struct inner *inner = node;
        node = inner->child[find_child(inner, key)];
    }
    return node;
}

struct entry *index__get(const struct index *index, struct slice key)
{
    const struct leaf *leaf = find_leaf(index, key);
    bool found;
    uint32_t slot = find_slot(leaf, key, &found);
    return found ? leaf->entry[slot] : NULL;
}

void index__seek(const struct index *index, struct slice key,
                 const struct leaf **leaf, size_t *slot)
{
    bool found;
    *leaf = find_leaf(index, key);
    *slot = find_slot(*leaf, key, &found);
    while (*leaf != NULL && *slot >= (*leaf)->count) {
        *leaf = (*leaf)->next;
        *slot = 0;
    }
}

uint64_t index__rank(const struct index *index, struct slice key)
{
    void *node = index->root;
    uint64_t rank = 0;
    for (uint32_t level = index->height; level > 0; level--) {
        struct inner *inner = node;
        uint32_t at = find_child(inner, key);
        for (uint32_t i = 0; i < at; i++)
            rank += inner->live[i];
        node = inner->child[at];
    }
    const struct leaf *leaf = node;
    bool found;
    uint32_t slot = find_slot(leaf, key, &found);
    uint64_t before =
        slot < INDEX_SLOTS ? (UINT64_C(1) << slot) - 1 : UINT64_MAX;
    rank += (uint64_t)__builtin_popcountll(leaf->live & before);
    CHECK(rank <= index->live);
    return rank;
}

bool index__locate(const struct index *index, struct slice key,
                   struct place *place)
{
    void *node = index->root;
    place->height = index->height;
    for (uint32_t level = 0; level < index->height; level++) {
        struct inner *inner = node;
        uint32_t at = find_child(inner, key);
        place->inner[level] = inner;
        place->at[level] = (uint8_t)at;
        node = inner->child[at];
    }
    bool found;
    place->leaf = node;
    place->slot = find_slot(place->leaf, key, &found);
    return found;
}

const struct separator *index__fence_low(const struct place *place,
                                         uint32_t level)
{
    while (level-- > 0)
        if (place->at[level] > 0)
            return place->inner[level]->sep[place->at[level]];
    return NULL;
}

const struct separator *index__fence_high(const struct place *place,
                                          uint32_t level)
{
    while (level-- > 0) {
        const struct inner *inner = place->inner[level];
        if (place->at[level] + 1u < inner->count)
            return inner->sep[place->at[level] + 1];
    }
    return NULL;
}

/* ---- invariants ---------------------------------------------------------- */

struct verify {
    uint64_t count;
    uint64_t live;
    const struct leaf *last;  /* leaf seen */
    const struct entry *prev; /* entry seen */
};

static void verify_leaf(struct verify *verify, const struct leaf *leaf,
                        const struct separator *low,
                        const struct separator *high)
{
    CHECK_LE(leaf->count, INDEX_SLOTS);
    CHECK(leaf->prev == verify->last);
    CHECK(verify->last == NULL || verify->last->next == leaf);
    CHECK(leaf->count == INDEX_SLOTS || leaf->live >> leaf->count == 0);
    for (uint32_t i = 0; i < leaf->count; i++) {
        struct slice key = entry_key(leaf->entry[i]);
        CHECK_EQ(leaf->head[i], index__head(key, leaf->skip));
        CHECK(verify->prev == NULL ||
              slice_cmp(entry_key(verify->prev), key) < 0);
        CHECK(low == NULL || slice_cmp(index__separator_text(low), key) <= 0);
        CHECK(high == NULL || slice_cmp(key, index__separator_text(high)) < 0);
        verify->prev = leaf->entry[i];
    }
    verify->last = leaf;
    verify->count += leaf->count;
    verify->live += index__leaf_live(leaf);
}

static uint64_t verify_below(struct verify *verify, const void *node,
                             uint32_t height, const struct separator *low,
                             const struct separator *high)
{
    uint64_t live = verify->live;
    if (height == 0) {
        CHECK_LE(((const struct leaf *)node)->skip, index__skip(low, high));
        verify_leaf(verify, node, low, high);
        return verify->live - live;
    }
    const struct inner *inner = node;
    CHECK(inner->count >= 1 && inner->count <= INDEX_SLOTS);
    CHECK_LE(inner->skip, index__skip(low, high));
    for (uint32_t i = 0; i < inner->count; i++) {
        const struct separator *left = i > 0 ? inner->sep[i] : low;
        const struct separator *right =
            i + 1 < inner->count ? inner->sep[i + 1] : high;
        if (i > 0)
            CHECK_EQ(inner->head[i],
                     index__head(index__separator_text(left), inner->skip));
        CHECK_EQ(inner->live[i], verify_below(verify, inner->child[i],
                                              height - 1, left, right));
    }
    return verify->live - live;
}

void index__verify(const struct index *index)
{
    struct verify verify = {0};
    CHECK_EQ(index->live,
             verify_below(&verify, index->root, index->height, NULL, NULL));
    CHECK_EQ(index->count, verify.count);
    CHECK(verify.last->next == NULL);
    CHECK_LE(index->live, index->count);
}
