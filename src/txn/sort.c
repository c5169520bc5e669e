/* The order of a range that is sorted by other than the key.
 *
 * An item is 24 bytes: what it is sorted by as a number, the name of its
 * record, and its place among the keys, which decides where the rest is equal
 * (etcd's sort leaves that open; short ranges keep the keys' order there too).
 *
 * Of a value the number is its first 7 bytes and how many bytes there are, 8
 * standing for more; only where that is equal the values are read again:
 *
 *      "ab"        61 62 00 00 00 00 00 | 02
 *      "ab\0"      61 62 00 00 00 00 00 | 03
 *      "abcdefgh"  61 62 63 64 65 66 67 | 08
 */
#include "txn/txn_int.h"

enum { VALUE_HEAD = 7, VALUE_MORE = 8, CAPACITY_FIRST = 64 };

void txn__sorter_init(struct sorter *sorter, const struct range_plan *plan)
{
    *sorter = (struct sorter){.plan = plan};
}

void txn__sorter_deinit(struct sorter *sorter)
{
    mem_free(sorter->items);
    *sorter = (struct sorter){0};
}

static bool is_by_value(const struct sorter *sorter)
{
    return sorter->plan->request->sort_target ==
           ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE;
}

static uint64_t number_rank(int64_t number)
{
    return (uint64_t)number ^ (uint64_t)1 << 63;
}

static uint64_t value_rank(struct slice value)
{
    char bytes[8] = {0};
    size_t size = value.size < VALUE_HEAD ? value.size : VALUE_HEAD;
    if (size > 0)
        memcpy(bytes, value.at, size);
    bytes[VALUE_HEAD] =
        (char)(value.size < VALUE_MORE ? value.size : VALUE_MORE);
    return get_be64(bytes);
}

static uint64_t rank_of(const struct sorter *sorter, struct rev rev,
                        const struct record *record)
{
    uint64_t rank;
    switch (sorter->plan->request->sort_target) {
    case ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VERSION:
        rank = number_rank(record->version);
        break;
    case ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE:
        rank = number_rank(record->create);
        break;
    case ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__MOD:
        rank = number_rank(rev.main);
        break;
    default:
        rank = value_rank(record->value);
    }
    return sorter->plan->descend ? ~rank : rank;
}

/* Both values go on behind the 7 bytes that they begin with alike. */
static int compare_values(struct sorter *sorter, const struct sort_item *a,
                          const struct sort_item *b)
{
    struct record left, right;
    enum err err =
        txn__record(sorter->reader, (struct rev){a->main, a->sub}, &left);
    if (err == ERR_OK)
        err =
            txn__record(sorter->reader, (struct rev){b->main, b->sub}, &right);
    if (err != ERR_OK) {
        sorter->err = err;
        return 0;
    }
    int order = slice_cmp(left.value, right.value);
    return sorter->plan->descend ? -order : order;
}

static bool comes_before(struct sorter *sorter, const struct sort_item *a,
                         const struct sort_item *b)
{
    if (a->rank != b->rank)
        return a->rank < b->rank;
    uint64_t rank = sorter->plan->descend ? ~a->rank : a->rank;
    if (is_by_value(sorter) && (rank & 0xff) == VALUE_MORE) {
        int order = compare_values(sorter, a, b);
        if (order != 0)
            return order < 0;
    }
    return a->order < b->order;
}

/* ---- the heap ------------------------------------------------------------ */

/* Whether `a` is nearer to the top than `b`. */
static bool is_above(struct sorter *sorter, const struct sort_item *a,
                     const struct sort_item *b)
{
    bool worst_first = !sorter->sealed && sorter->plan->limit != 0;
    return worst_first ? comes_before(sorter, b, a)
                       : comes_before(sorter, a, b);
}

static void sift_up(struct sorter *sorter, size_t i)
{
    struct sort_item item = sorter->items[i];
    while (i > 0) {
        size_t parent = (i - 1) / 2;
        if (!is_above(sorter, &item, &sorter->items[parent]))
            break;
        sorter->items[i] = sorter->items[parent];
        i = parent;
    }
    sorter->items[i] = item;
}

static void sift_down(struct sorter *sorter, size_t i)
{
    struct sort_item item = sorter->items[i];
    for (size_t child; (child = 2 * i + 1) < sorter->count; i = child) {
        if (child + 1 < sorter->count &&
            is_above(sorter, &sorter->items[child + 1], &sorter->items[child]))
            child++;
        if (!is_above(sorter, &sorter->items[child], &item))
            break;
        sorter->items[i] = sorter->items[child];
    }
    sorter->items[i] = item;
}

/* How many items there will be the client decides. */
static enum err make_room(struct sorter *sorter)
{
    if (sorter->count < sorter->capacity)
        return ERR_OK;
    size_t capacity = sorter->capacity ? sorter->capacity * 2 : CAPACITY_FIRST;
    struct sort_item *items =
        mem_try_realloc(sorter->items, capacity * sizeof *items);
    if (items == NULL)
        return err_set(ERR_NO_MEMORY, "sort %zu keys", sorter->count);
    sorter->items = items;
    sorter->capacity = capacity;
    return ERR_OK;
}

static struct rev rev_of(const struct sort_item *item)
{
    return (struct rev){item->main, item->sub};
}

/* The worst goes, or the new one, if it is worse. */
static void replace_worst(struct sorter *sorter, const struct sort_item *item,
                          struct rev *dropped)
{
    struct sort_item *worst = &sorter->items[0];
    if (!comes_before(sorter, item, worst)) {
        *dropped = rev_of(item);
        return;
    }
    *dropped = rev_of(worst);
    *worst = *item;
    sift_down(sorter, 0);
}

enum err txn__sorter_add(struct sorter *sorter, struct mvcc_reader *reader,
                         struct rev rev, const struct record *record,
                         struct rev *dropped)
{
    CHECK(!sorter->sealed && sorter->seen < UINT32_MAX);
    struct sort_item item = {
        .rank = rank_of(sorter, rev, record),
        .main = rev.main,
        .sub = rev.sub,
        .order = (uint32_t)sorter->seen++,
    };
    sorter->reader = reader;
    *dropped = (struct rev){0};
    if (sorter->plan->limit != 0 && sorter->count == sorter->plan->limit) {
        replace_worst(sorter, &item, dropped);
        return sorter->err;
    }
    enum err err = make_room(sorter);
    if (err != ERR_OK)
        return err;
    sorter->items[sorter->count++] = item;
    sift_up(sorter, sorter->count - 1);
    return sorter->err;
}

enum err txn__sorter_seal(struct sorter *sorter, struct mvcc_reader *reader)
{
    CHECK(!sorter->sealed);
    sorter->reader = reader;
    sorter->sealed = true;
    if (sorter->plan->limit != 0) {
        for (size_t i = sorter->count / 2; i-- > 0;)
            sift_down(sorter, i);
    }
    return sorter->err;
}

enum err txn__sorter_peek(const struct sorter *sorter, struct rev *rev)
{
    CHECK(sorter->sealed);
    if (sorter->count == 0)
        return ERR_END;
    *rev = rev_of(&sorter->items[0]);
    return ERR_OK;
}

enum err txn__sorter_pop(struct sorter *sorter, struct mvcc_reader *reader)
{
    CHECK(sorter->sealed && sorter->count > 0);
    sorter->reader = reader;
    sorter->items[0] = sorter->items[--sorter->count];
    if (sorter->count > 0)
        sift_down(sorter, 0);
    return sorter->err;
}
