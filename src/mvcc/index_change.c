/* Adding to the index and taking out of it: splits and merges.
 *
 * A full leaf is split in the middle; but when the new key would come last
 * in it, the leaf stays as it is and the key begins a new one. So keys that
 * ascend, be it all of them or those below one directory, leave full leaves
 * behind them.
 *
 * A node that is less than a quarter full is merged with a neighbour below
 * the same parent, where that leaves room in the result.
 */
#include "base/check.h"
#include "base/mem.h"
#include "mvcc/index_int.h"

enum {
    MERGE_BELOW = INDEX_SLOTS / 4,    /* a node emptier than this... */
    MERGE_ROOM = INDEX_SLOTS * 3 / 4, /* ...merges into one of this */
    SPLIT_AT = INDEX_SLOTS / 2,
};

/* ---- bits ---------------------------------------------------------------- */

static uint64_t bits_below(uint32_t slot)
{
    CHECK_LE(slot, INDEX_SLOTS);
    return slot == INDEX_SLOTS ? UINT64_MAX : (UINT64_C(1) << slot) - 1;
}

static uint64_t bits_insert(uint64_t bits, uint32_t slot)
{
    uint64_t low = bits_below(slot);
    return (bits & low) | (bits & ~low) << 1;
}

static uint64_t bits_remove(uint64_t bits, uint32_t slot)
{
    uint64_t low = bits_below(slot);
    return (bits & low) | (bits >> 1 & ~low);
}

/* ---- splitting ----------------------------------------------------------- */

static void insert_child(struct index *index, const struct place *place,
                         uint32_t levels, struct separator *sep, void *child,
                         uint64_t live);

static void new_root(struct index *index, struct separator *sep, void *right,
                     uint64_t live)
{
    struct inner *root = index__inner_new(index);
    CHECK(index->height + 1 < INDEX_LEVELS && live <= index->live);
    root->count = 2;
    root->child[0] = index->root;
    root->child[1] = right;
    root->sep[0] = NULL;
    root->sep[1] = sep;
    root->live[0] = index->live - live;
    root->live[1] = live;
    index->root = root;
    index->height++;
    index__inner_set_skip(root, 0);
}

/* Children [at..) of a full inner go to a new one on its right. */
static struct inner *split_inner(struct index *index, const struct place *place,
                                 uint32_t level)
{
    struct inner *left = place->inner[level];
    CHECK_EQ(left->count, INDEX_SLOTS);
    uint32_t at =
        place->at[level] + 1 == INDEX_SLOTS ? INDEX_SLOTS - 1 : SPLIT_AT;
    const struct separator *low = index__fence_low(place, level);
    const struct separator *high = index__fence_high(place, level);
    struct inner *right = index__inner_new(index);
    struct separator *sep = left->sep[at];

    right->count = INDEX_SLOTS - at;
    for (uint32_t i = 0; i < right->count; i++) {
        right->sep[i] = left->sep[at + i];
        right->child[i] = left->child[at + i];
        right->live[i] = left->live[at + i];
    }
    right->sep[0] = NULL;
    left->count = at;
    index__inner_set_skip(left, index__skip(low, sep));
    index__inner_set_skip(right, index__skip(sep, high));
    insert_child(index, place, level, sep, right, index__inner_live(right));
    return right;
}

static void put_child(struct inner *inner, uint32_t slot, struct separator *sep,
                      void *child, uint64_t live)
{
    uint32_t rest = inner->count - slot;
    CHECK(slot >= 1 && slot <= inner->count && inner->count < INDEX_SLOTS);
    memmove(&inner->head[slot + 1], &inner->head[slot], rest * 8);
    memmove(&inner->sep[slot + 1], &inner->sep[slot], rest * sizeof sep);
    memmove(&inner->child[slot + 1], &inner->child[slot], rest * sizeof child);
    memmove(&inner->live[slot + 1], &inner->live[slot], rest * 8);
    inner->head[slot] = index__head(index__separator_text(sep), inner->skip);
    inner->sep[slot] = sep;
    inner->child[slot] = child;
    inner->live[slot] = live;
    CHECK(inner->live[slot - 1] >= live);
    inner->live[slot - 1] -= live;
    inner->count++;
}

/* A node below the first `levels` inner nodes of the way to `place` was
 * split: `child`, with `live` of its keys, comes on its right. */
static void insert_child(struct index *index, const struct place *place,
                         uint32_t levels, struct separator *sep, void *child,
                         uint64_t live)
{
    if (levels == 0) {
        new_root(index, sep, child, live);
        return;
    }
    struct inner *parent = place->inner[levels - 1];
    uint32_t slot = place->at[levels - 1] + 1u;
    if (parent->count == INDEX_SLOTS) {
        struct inner *right = split_inner(index, place, levels - 1);
        if (slot > parent->count) {
            slot -= parent->count;
            parent = right;
        }
    }
    put_child(parent, slot, sep, child, live);
}

/* `key` is about to be added at the place, where there is no room. */
static void split_leaf(struct index *index, const struct place *place,
                       struct slice key)
{
    struct leaf *left = place->leaf;
    CHECK_EQ(left->count, INDEX_SLOTS);
    uint32_t at = place->slot == INDEX_SLOTS ? INDEX_SLOTS : SPLIT_AT;
    struct leaf *right = index__leaf_new(index);
    struct slice first = at < INDEX_SLOTS ? entry_key(left->entry[at]) : key;
    struct separator *sep =
        index__separator_new(index, entry_key(left->entry[at - 1]), first);

    right->count = INDEX_SLOTS - at;
    for (uint32_t i = 0; i < right->count; i++)
        right->entry[i] = left->entry[at + i];
    right->live = at < INDEX_SLOTS ? left->live >> at : 0;
    left->live &= bits_below(at);
    left->count = at;

    right->prev = left;
    right->next = left->next;
    left->next = right;
    if (right->next != NULL)
        right->next->prev = right;

    index__leaf_set_skip(
        left, index__skip(index__fence_low(place, place->height), sep));
    index__leaf_set_skip(
        right, index__skip(sep, index__fence_high(place, place->height)));
    insert_child(index, place, place->height, sep, right,
                 index__leaf_live(right));
}

struct entry *index__add(struct index *index, struct place *place,
                         struct slice key)
{
    if (place->leaf->count == INDEX_SLOTS) {
        split_leaf(index, place, key);
        bool found = index__locate(index, key, place);
        CHECK(!found && place->leaf->count < INDEX_SLOTS);
    }
    struct leaf *leaf = place->leaf;
    uint32_t slot = place->slot;
    uint32_t rest = leaf->count - slot;
    CHECK_LE(slot, leaf->count);
    memmove(&leaf->head[slot + 1], &leaf->head[slot], rest * 8);
    memmove(&leaf->entry[slot + 1], &leaf->entry[slot], rest * sizeof(void *));
    leaf->head[slot] = index__head(key, leaf->skip);
    leaf->entry[slot] = index__entry_new(index->slab, key);
    leaf->live = bits_insert(leaf->live, slot);
    leaf->count++;
    index->count++;
    index->shape++;
    return leaf->entry[slot];
}

void index__mark(struct index *index, const struct place *place, bool live)
{
    uint64_t bit = UINT64_C(1) << place->slot;
    CHECK_LT(place->slot, place->leaf->count);
    if (((place->leaf->live & bit) != 0) == live)
        return;
    place->leaf->live ^= bit;
    uint64_t change = live ? 1 : UINT64_MAX; /* UINT64_MAX: -1, modulo */
    index->live += change;
    for (uint32_t i = 0; i < place->height; i++)
        place->inner[i]->live[place->at[i]] += change;
    CHECK_LE(index->live, index->count);
}

/* ---- merging ------------------------------------------------------------- */

static bool fits(uint32_t left, uint32_t right)
{
    uint32_t smaller = left < right ? left : right;
    return left + right <= (smaller <= 1 ? INDEX_SLOTS : MERGE_ROOM);
}

static void merge_leaves(struct index *index, struct leaf *left,
                         struct leaf *right, uint32_t skip)
{
    CHECK(left->next == right && left->count + right->count <= INDEX_SLOTS);
    for (uint32_t i = 0; i < right->count; i++)
        left->entry[left->count + i] = right->entry[i];
    if (right->count > 0) /* else left may be full, and the shift undefined */
        left->live |= right->live << left->count;
    left->count += right->count;
    left->next = right->next;
    if (left->next != NULL)
        left->next->prev = left;
    index__leaf_set_skip(left, skip);
    index__leaf_free(index, right);
}

/* `sep` comes down from the parent to stand between the two. */
static void merge_inners(struct index *index, struct inner *left,
                         struct inner *right, struct separator *sep,
                         uint32_t skip)
{
    CHECK_LE(left->count + right->count, INDEX_SLOTS);
    for (uint32_t i = 0; i < right->count; i++) {
        left->sep[left->count + i] = i > 0 ? right->sep[i] : sep;
        left->child[left->count + i] = right->child[i];
        left->live[left->count + i] = right->live[i];
    }
    left->count += right->count;
    index__inner_set_skip(left, skip);
    index__inner_free(index, right);
}

static uint32_t count_of(const struct index *index, const struct place *place,
                         uint32_t level, uint32_t slot)
{
    const void *node = place->inner[level]->child[slot];
    return level + 1 == index->height ? ((const struct leaf *)node)->count
                                      : ((const struct inner *)node)->count;
}

static void take_child(struct inner *inner, uint32_t slot)
{
    uint32_t rest = inner->count - slot - 1;
    CHECK(slot >= 1 && slot < inner->count);
    inner->live[slot - 1] += inner->live[slot];
    memmove(&inner->head[slot], &inner->head[slot + 1], rest * 8);
    memmove(&inner->sep[slot], &inner->sep[slot + 1], rest * sizeof(void *));
    memmove(&inner->child[slot], &inner->child[slot + 1],
            rest * sizeof(void *));
    memmove(&inner->live[slot], &inner->live[slot + 1], rest * 8);
    inner->count--;
}

/* Merges children `slot` and `slot + 1` of the inner at `level`. */
static void merge(struct index *index, struct place *place, uint32_t level,
                  uint32_t slot)
{
    struct inner *parent = place->inner[level];
    void *left = parent->child[slot];
    void *right = parent->child[slot + 1];
    struct separator *sep = parent->sep[slot + 1];

    place->at[level] = (uint8_t)slot;
    const struct separator *low = index__fence_low(place, level + 1);
    place->at[level] = (uint8_t)(slot + 1);
    uint32_t skip = index__skip(low, index__fence_high(place, level + 1));

    take_child(parent, slot + 1);
    if (level + 1 == index->height) {
        merge_leaves(index, left, right, skip);
        index__separator_free(index, sep);
    } else {
        merge_inners(index, left, right, sep, skip);
    }
}

/* The node below the inner at `level` has lost something. */
static void merge_up(struct index *index, struct place *place)
{
    for (uint32_t level = place->height; level-- > 0;) {
        struct inner *parent = place->inner[level];
        uint32_t slot = place->at[level];
        uint32_t count = count_of(index, place, level, slot);
        if (count >= MERGE_BELOW)
            return;
        if (slot + 1 < parent->count &&
            fits(count, count_of(index, place, level, slot + 1)))
            merge(index, place, level, slot);
        else if (slot > 0 &&
                 fits(count, count_of(index, place, level, slot - 1)))
            merge(index, place, level, slot - 1);
        else
            return;
    }
    while (index->height > 0 && ((struct inner *)index->root)->count == 1) {
        struct inner *old = index->root;
        index->root = old->child[0];
        index->height--;
        index__inner_free(index, old);
    }
}

void index__drop(struct index *index, struct place *place)
{
    struct leaf *leaf = place->leaf;
    uint32_t slot = place->slot;
    index__mark(index, place, false);
    CHECK_LT(slot, leaf->count);
    index__entry_free(index->slab, leaf->entry[slot]);
    uint32_t rest = leaf->count - slot - 1;
    memmove(&leaf->head[slot], &leaf->head[slot + 1], rest * 8);
    memmove(&leaf->entry[slot], &leaf->entry[slot + 1], rest * sizeof(void *));
    leaf->live = bits_remove(leaf->live, slot);
    leaf->count--;
    index->count--;
    index->shape++;
    merge_up(index, place);
    place->leaf = NULL;
}
