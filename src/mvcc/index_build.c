/* Building the index of all keys at once: sort, then fill it from below.
 *
 * The sort compares 8 bytes at a time. All keys of a range begin alike as far
 * as `depth`; their heads behind that are sorted as numbers, digit by digit,
 * and where heads are equal, the rest of these keys is sorted the same way.
 */
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "mvcc/index_int.h"

enum {
    FILL = INDEX_SLOTS - 4, /* of a node: some room for what comes later */
    SMALL = 24,             /* ranges of up to this: insertion sort */
    MIDDLE = 2048,          /* ranges of up to this: qsort */
    AHEAD = 16,             /* entries to fetch before they are needed */
    DIGITS = 8,
};

/* ---- sorting ------------------------------------------------------------- */

static void sort_few(struct index_item *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct index_item item = items[i];
        size_t to = i;
        for (; to > 0; to--) {
            if (slice_cmp(entry_key(items[to - 1].entry),
                          entry_key(item.entry)) <= 0)
                break;
            items[to] = items[to - 1];
        }
        items[to] = item;
    }
}

static int compare_heads(const void *a, const void *b)
{
    uint64_t left = ((const struct index_item *)a)->head;
    uint64_t right = ((const struct index_item *)b)->head;
    return (left > right) - (left < right);
}

static void count_digits(const struct index_item *items, size_t count,
                         size_t counts[DIGITS][256])
{
    memset(counts, 0, sizeof(size_t) * DIGITS * 256);
    for (size_t i = 0; i < count; i++)
        for (unsigned digit = 0; digit < DIGITS; digit++)
            counts[digit][items[i].head >> (8 * digit) & 255]++;
}

/* Radix sort, lowest digit first. Digits that are the same in all are passed
 * over. */
static void sort_heads(struct index_item *items, struct index_item *scratch,
                       size_t count)
{
    size_t counts[DIGITS][256];
    struct index_item *from = items, *to = scratch;
    count_digits(items, count, counts);
    for (unsigned digit = 0; digit < DIGITS; digit++) {
        size_t *ends = counts[digit];
        size_t begin = 0;
        if (ends[items[0].head >> (8 * digit) & 255] == count)
            continue;
        for (unsigned i = 0; i < 256; i++) {
            size_t size = ends[i];
            ends[i] = begin;
            begin += size;
        }
        CHECK_EQ(begin, count);
        for (size_t i = 0; i < count; i++)
            to[ends[from[i].head >> (8 * digit) & 255]++] = from[i];
        struct index_item *swap = from;
        from = to;
        to = swap;
    }
    if (from != items)
        memcpy(items, from, count * sizeof *items);
}

static void fetch(const struct index_item *items, size_t i, size_t count)
{
    if (i + AHEAD < count)
        __builtin_prefetch(items[i + AHEAD].entry);
}

/* How far all keys begin alike. */
static size_t common_of(const struct index_item *items, size_t count)
{
    struct slice first = entry_key(items[0].entry);
    for (size_t i = 1; i < count && first.size > 0; i++) {
        fetch(items, i, count);
        struct slice key = entry_key(items[i].entry);
        if (!slice_has_prefix(key, first))
            first.size = index__common(first, key);
    }
    return first.size;
}

/* Keys that end at or before `depth` come first, shortest first: with all
 * before `depth` alike, they are what the others begin with. */
static size_t sort_ended(struct index_item *items, size_t count, size_t depth)
{
    size_t ended = 0;
    for (size_t i = 0; i < count; i++) {
        if (items[i].entry->key_size > depth)
            continue;
        struct index_item item = items[i];
        items[i] = items[ended];
        items[ended++] = item;
    }
    sort_few(items, ended);
    return ended;
}

void index__sort(struct index_item *items, struct index_item *scratch,
                 size_t count)
{
    if (count <= SMALL) {
        sort_few(items, count);
        return;
    }
    size_t depth = common_of(items, count);
    for (size_t i = 0; i < count; i++) {
        fetch(items, i, count);
        items[i].head = index__head(entry_key(items[i].entry), depth);
    }
    if (count <= MIDDLE)
        qsort(items, count, sizeof *items, compare_heads);
    else
        sort_heads(items, scratch, count);
    for (size_t begin = 0, end; begin < count; begin = end) {
        for (end = begin + 1; end < count; end++)
            if (items[end].head != items[begin].head)
                break;
        if (end - begin == 1)
            continue;
        size_t at = begin + sort_ended(items + begin, end - begin, depth + 8);
        /* Heads are of no more use here: the recursion writes them anew. */
        uint64_t next = end < count ? items[end].head : 0;
        index__sort(items + at, scratch, end - at);
        CHECK(end == count || items[end].head == next);
    }
}

/* ---- filling ------------------------------------------------------------- */

/* One level of nodes, from left to right. */
struct row {
    void **node;
    struct separator **sep; /* left of node i; [0]: NULL */
    uint64_t *live;
    size_t count;
};

static void row_init(struct row *row, size_t count)
{
    row->count = count;
    row->node = mem_alloc(count * sizeof *row->node);
    row->sep = mem_alloc(count * sizeof *row->sep);
    row->live = mem_alloc(count * sizeof *row->live);
}

static void row_deinit(struct row *row)
{
    mem_free(row->node);
    mem_free(row->sep);
    mem_free(row->live);
}

/* Where part `i` of `parts` begins, all as equal in size as can be. */
static size_t part(size_t count, size_t parts, size_t i)
{
    return (size_t)((unsigned long long)count / parts * i +
                    (count % parts < i ? count % parts : i));
}

static const struct separator *fence(const struct row *row, size_t i)
{
    return i < row->count ? row->sep[i] : NULL;
}

static void fill_leaf(struct leaf *leaf, const struct index_item *items,
                      size_t begin, size_t end, size_t count,
                      bool (*lives)(const struct entry *entry))
{
    for (size_t i = begin; i < end; i++) {
        fetch(items, i, count);
        uint64_t live = lives(items[i].entry);
        leaf->live |= live << leaf->count;
        leaf->entry[leaf->count++] = items[i].entry;
    }
}

static void build_leaves(struct index *index, struct row *row,
                         const struct index_item *items, size_t count,
                         bool (*lives)(const struct entry *entry))
{
    row_init(row, (count + FILL - 1) / FILL);
    struct leaf *last = NULL;
    for (size_t i = 0; i < row->count; i++) {
        struct leaf *leaf = index__leaf_new(index);
        size_t begin = part(count, row->count, i);
        fill_leaf(leaf, items, begin, part(count, row->count, i + 1), count,
                  lives);
        row->node[i] = leaf;
        row->live[i] = index__leaf_live(leaf);
        row->sep[i] = NULL;
        if (last != NULL) {
            last->next = leaf;
            row->sep[i] =
                index__separator_new(index, entry_key(items[begin - 1].entry),
                                     entry_key(items[begin].entry));
        }
        leaf->prev = last;
        last = leaf;
        index->live += row->live[i];
    }
    for (size_t i = 0; i < row->count; i++)
        index__leaf_set_skip(row->node[i],
                             index__skip(row->sep[i], fence(row, i + 1)));
}

static void build_inners(struct index *index, struct row *row,
                         const struct row *below)
{
    row_init(row, (below->count + FILL - 1) / FILL);
    for (size_t i = 0; i < row->count; i++) {
        struct inner *inner = index__inner_new(index);
        size_t begin = part(below->count, row->count, i);
        size_t end = part(below->count, row->count, i + 1);
        for (size_t j = begin; j < end; j++) {
            uint32_t slot = inner->count++;
            inner->sep[slot] = slot > 0 ? below->sep[j] : NULL;
            inner->child[slot] = below->node[j];
            inner->live[slot] = below->live[j];
        }
        index__inner_set_skip(
            inner, index__skip(below->sep[begin], fence(below, end)));
        row->node[i] = inner;
        row->sep[i] = below->sep[begin];
        row->live[i] = index__inner_live(inner);
    }
}

static bool ascends(const struct index_item *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        fetch(items, i, count);
        if (slice_cmp(entry_key(items[i - 1].entry),
                      entry_key(items[i].entry)) >= 0)
            return false;
    }
    return true;
}

bool index__build(struct index *index, const struct index_item *items,
                  size_t count, bool (*lives)(const struct entry *entry))
{
    CHECK(index->count == 0 && index->height == 0);
    if (!ascends(items, count))
        return false;
    if (count == 0)
        return true;
    index__leaf_free(index, index->root);
    struct row row;
    build_leaves(index, &row, items, count, lives);
    while (row.count > 1) {
        struct row above;
        build_inners(index, &above, &row);
        row_deinit(&row);
        row = above;
        index->height++;
        CHECK(index->height < INDEX_LEVELS);
    }
    index->root = row.node[0];
    index->count = count;
    index->shape++;
    CHECK(row.live[0] == index->live);
    row_deinit(&row);
    return true;
}
