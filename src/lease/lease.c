#include "lease/lease.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

/* Three ways to a lease: by its id, by its end (the soonest on top), and by
 * a key that it holds.
 *
 *    by_id --> lease <-- ends (heap)
 *               | ^
 *          keys v |
 *             lease_key <-- by_key[table]
 *
 * Invariants: a lease is in by_id and in `ends`; a key is in its lease's list
 * and in by_key of its table; a v2 lease that had a key and lost it is gone.
 * Orders that the outside sees (keys, ends) never depend on the hash seed. */

struct lease {
    struct heap_node end; /* its key: expire_ns */
    lease_id id;
    int64_t granted_s;
    size_t key_count;
    struct list keys; /* in the order of lease_attach */
};

struct lease_key {
    struct list link;
    struct lease *lease;
    enum mvcc_table table;
    size_t size;
    char bytes[];
};

struct lease_table {
    struct map_u64 by_id;
    struct heap ends;
    struct map by_key[MVCC_TABLE_COUNT];
};

static struct slice key_of(const void *value)
{
    const struct lease_key *key = value;
    return slice_of(key->bytes, key->size);
}

static struct lease *lease_of_end(struct heap_node *end)
{
    return CONTAINER_OF(end, struct lease, end);
}

static struct lease *find(const struct lease_table *table, lease_id id)
{
    return map_u64_get(&table->by_id, (uint64_t)id);
}

struct lease_table *lease_table_new(void)
{
    struct lease_table *table = mem_alloc_zero(sizeof *table);
    /* Clients choose keys and ids. Where the system put this block is what
     * they can't know of; nothing that anybody sees depends on it. */
    uint64_t seed = (uint64_t)(uintptr_t)table * UINT64_C(0x9E3779B97F4A7C15);
    map_u64_init_seeded(&table->by_id, seed);
    for (size_t i = 0; i < MVCC_TABLE_COUNT; i++)
        map_init(&table->by_key[i], key_of, seed ^ i);
    heap_init(&table->ends);
    return table;
}

static void drop_key(struct lease_table *table, struct lease_key *key)
{
    CHECK(map_remove(&table->by_key[key->table], key_of(key)) == key);
    list_remove(&key->link);
    CHECK(key->lease->key_count > 0);
    key->lease->key_count--;
    mem_free(key);
}

static void drop_lease(struct lease_table *table, struct lease *lease)
{
    LIST_EACH (link, &lease->keys) {
        drop_key(table, CONTAINER_OF(link, struct lease_key, link));
    }
    CHECK_EQ(lease->key_count, 0);
    heap_remove(&table->ends, &lease->end);
    CHECK(map_u64_remove(&table->by_id, (uint64_t)lease->id) == lease);
    mem_free(lease);
}

void lease_table_clear(struct lease_table *table)
{
    struct heap_node *end;
    while ((end = heap_top(&table->ends)) != NULL)
        drop_lease(table, lease_of_end(end));
    CHECK_EQ(table->by_id.count, 0);
    for (size_t i = 0; i < MVCC_TABLE_COUNT; i++)
        CHECK_EQ(table->by_key[i].count, 0);
}

void lease_table_free(struct lease_table *table)
{
    if (table == NULL)
        return;
    lease_table_clear(table);
    for (size_t i = 0; i < MVCC_TABLE_COUNT; i++)
        map_deinit(&table->by_key[i]);
    map_u64_deinit(&table->by_id);
    heap_deinit(&table->ends);
    mem_free(table);
}

static struct lease *set(struct lease_table *table, lease_id id,
                         int64_t expire_ns)
{
    CHECK_NE(id, 0);
    struct lease *lease = find(table, id);
    if (lease == NULL) {
        lease = mem_alloc_zero(sizeof *lease);
        lease->id = id;
        list_init(&lease->keys);
        CHECK(map_u64_put(&table->by_id, (uint64_t)id, lease) == NULL);
    }
    heap_set(&table->ends, &lease->end, expire_ns);
    return lease;
}

void lease_set(struct lease_table *table, lease_id id, int64_t expire_ns)
{
    (void)set(table, id, expire_ns);
}

void lease_grant(struct lease_table *table, lease_id id, int64_t granted_s,
                 int64_t expire_ns)
{
    CHECK_LE(0, granted_s);
    set(table, id, expire_ns)->granted_s = granted_s;
}

void lease_revoke(struct lease_table *table, lease_id id)
{
    struct lease *lease = find(table, id);
    if (lease != NULL)
        drop_lease(table, lease);
}

bool lease_get(const struct lease_table *table, lease_id id, int64_t *expire_ns)
{
    const struct lease *lease = find(table, id);
    if (lease == NULL)
        return false;
    *expire_ns = lease->end.key;
    return true;
}

bool lease_info(const struct lease_table *table, lease_id id,
                struct lease_info *out)
{
    const struct lease *lease = find(table, id);
    if (lease == NULL)
        return false;
    *out = (struct lease_info){
        .granted_s = lease->granted_s,
        .expire_ns = lease->end.key,
        .keys = lease->key_count,
    };
    return true;
}

size_t lease_count(const struct lease_table *table)
{
    CHECK_EQ(table->by_id.count, table->ends.count);
    return table->by_id.count;
}

/* ---- keys ---------------------------------------------------------------- */

void lease_attach(struct lease_table *table, lease_id id,
                  enum mvcc_table key_table, struct slice key)
{
    struct lease *lease = find(table, id);
    CHECK(lease != NULL && key_table < MVCC_TABLE_COUNT);
    struct lease_key *held = mem_alloc(sizeof *held + key.size);
    *held = (struct lease_key){
        .lease = lease, .table = key_table, .size = key.size};
    if (key.size > 0)
        memcpy(held->bytes, key.at, key.size);
    list_push_back(&lease->keys, &held->link);
    lease->key_count++;
    CHECK(map_put(&table->by_key[key_table], held) == NULL);
}

void lease_detach(struct lease_table *table, lease_id id,
                  enum mvcc_table key_table, struct slice key)
{
    CHECK(key_table < MVCC_TABLE_COUNT);
    struct lease_key *held = map_get(&table->by_key[key_table], key);
    if (held == NULL)
        return;
    struct lease *lease = held->lease;
    CHECK_EQ(lease->id, id);
    drop_key(table, held);
    if (lease_is_v2(id) && lease->key_count == 0)
        drop_lease(table, lease);
}

bool lease_of_key(const struct lease_table *table, enum mvcc_table key_table,
                  struct slice key, lease_id *id)
{
    CHECK(key_table < MVCC_TABLE_COUNT);
    const struct lease_key *held = map_get(&table->by_key[key_table], key);
    if (held == NULL)
        return false;
    *id = held->lease->id;
    return true;
}

void lease_each_key(const struct lease_table *table, lease_id id,
                    void (*each)(void *context, enum mvcc_table key_table,
                                 struct slice key),
                    void *context)
{
    struct lease *lease = find(table, id);
    if (lease == NULL)
        return;
    LIST_EACH (link, &lease->keys) {
        const struct lease_key *key =
            CONTAINER_OF(link, struct lease_key, link);
        each(context, key->table, key_of(key));
    }
}

/* ---- ends ---------------------------------------------------------------- */

bool lease_next(const struct lease_table *table, lease_id *id,
                int64_t *expire_ns)
{
    struct heap_node *end = heap_top(&table->ends);
    if (end == NULL)
        return false;
    *id = lease_of_end(end)->id;
    *expire_ns = end->key;
    return true;
}

struct listed {
    int64_t expire_ns;
    lease_id id;
};

static int compare_ends(const void *a, const void *b)
{
    const struct listed *one = a;
    const struct listed *other = b;
    if (one->expire_ns != other->expire_ns)
        return one->expire_ns < other->expire_ns ? -1 : 1;
    return one->id < other->id ? -1 : one->id > other->id;
}

/* The heap knows the first only, so a copy is sorted: of what is compared, so
 * that the leases themselves are looked at once. */
void lease_each(const struct lease_table *table,
                void (*each)(void *context, lease_id id), void *context)
{
    size_t count = lease_count(table);
    if (count == 0)
        return;
    struct listed *all = mem_alloc(count * sizeof(*all));
    for (size_t i = 0; i < count; i++) {
        struct heap_node *end = table->ends.nodes[i];
        all[i] = (struct listed){end->key, lease_of_end(end)->id};
    }
    qsort(all, count, sizeof(*all), compare_ends);
    for (size_t i = 0; i < count; i++)
        each(context, all[i].id);
    mem_free(all);
}

/* A place in the heap whose parent has been taken. */
struct candidate {
    struct heap_node end;
    size_t index;
};

size_t lease_expired(const struct lease_table *table, int64_t now_ns,
                     lease_id *out, size_t max)
{
    const struct heap *ends = &table->ends;
    struct heap open;
    size_t count = 0, made = 0;
    max = max < ends->count ? max : ends->count;
    if (max == 0 || ends->nodes[0]->key > now_ns)
        return 0;
    /* The heap is read from the top down: whoever comes next is a child of
     * one that was taken. So the cost is that of what is asked for, however
     * many have ended. */
    struct candidate *candidates =
        mem_alloc((2 * max + 1) * sizeof *candidates);
    heap_init(&open);
    candidates[made] = (struct candidate){.index = 0};
    heap_push(&open, &candidates[made++].end, ends->nodes[0]->key);
    while (count < max && open.count > 0) {
        struct candidate *next =
            CONTAINER_OF(heap_top(&open), struct candidate, end);
        heap_remove(&open, &next->end);
        out[count++] = lease_of_end(ends->nodes[next->index])->id;
        for (size_t child = next->index * 2 + 1;
             child <= next->index * 2 + 2 && child < ends->count; child++) {
            if (ends->nodes[child]->key > now_ns)
                continue;
            candidates[made] = (struct candidate){.index = child};
            heap_push(&open, &candidates[made++].end, ends->nodes[child]->key);
        }
    }
    heap_deinit(&open);
    mem_free(candidates);
    return count;
}
