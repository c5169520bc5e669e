#include "base/map.h"

#include "base/check.h"
#include "base/mem.h"

/* Invariant: between a value's home slot and the slot that it is in, no slot
 * is free. So a search may stop at the first free one, and a removal moves
 * later values back into the hole where that brings them nearer home. */

enum { CAPACITY_MIN = 16 };

static size_t slot_of(const struct map *map, uint64_t hash)
{
    return (size_t)hash & (map->capacity - 1);
}

void map_init(struct map *map, map_key_of key_of, uint64_t seed)
{
    *map = (struct map){.key_of = key_of, .seed = seed};
}

void map_deinit(struct map *map)
{
    mem_free(map->slots);
    map_init(map, map->key_of, map->seed);
}

/* The slot with `key`, else the free one where it would go. */
static struct map_slot *find(const struct map *map, struct slice key,
                             uint64_t hash)
{
    size_t mask = map->capacity - 1;
    for (size_t i = slot_of(map, hash);; i = (i + 1) & mask) {
        struct map_slot *slot = &map->slots[i];
        if (slot->value == NULL ||
            (slot->hash == hash && slice_eq(map->key_of(slot->value), key)))
            return slot;
    }
}

static void resize(struct map *map, size_t capacity)
{
    struct map_slot *old = map->slots;
    size_t old_capacity = map->capacity;
    CHECK(capacity > map->count && capacity <= SIZE_MAX / 2 / sizeof *old);
    map->slots = mem_alloc_zero(capacity * sizeof *old);
    map->capacity = capacity;
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i].value == NULL)
            continue;
        size_t to = slot_of(map, old[i].hash);
        while (map->slots[to].value != NULL)
            to = (to + 1) & (capacity - 1);
        map->slots[to] = old[i];
    }
    mem_free(old);
}

void *map_get(const struct map *map, struct slice key)
{
    if (map->count == 0)
        return NULL;
    return find(map, key, slice_hash(key, map->seed))->value;
}

void *map_put(struct map *map, void *value)
{
    CHECK(value != NULL);
    if ((map->count + 1) * 4 > map->capacity * 3)
        resize(map, map->capacity ? map->capacity * 2 : CAPACITY_MIN);
    struct slice key = map->key_of(value);
    uint64_t hash = slice_hash(key, map->seed);
    struct map_slot *slot = find(map, key, hash);
    void *old = slot->value;
    map->count += old == NULL;
    *slot = (struct map_slot){hash, value};
    return old;
}

static void close_hole(struct map *map, size_t hole)
{
    size_t mask = map->capacity - 1;
    for (size_t i = (hole + 1) & mask; map->slots[i].value != NULL;
         i = (i + 1) & mask) {
        size_t from_home = (i - slot_of(map, map->slots[i].hash)) & mask;
        if (from_home >= ((i - hole) & mask)) {
            map->slots[hole] = map->slots[i];
            hole = i;
        }
    }
    map->slots[hole] = (struct map_slot){0};
}

void *map_remove(struct map *map, struct slice key)
{
    if (map->count == 0)
        return NULL;
    struct map_slot *slot = find(map, key, slice_hash(key, map->seed));
    void *value = slot->value;
    if (value == NULL)
        return NULL;
    close_hole(map, (size_t)(slot - map->slots));
    map->count--;
    if (map->capacity > CAPACITY_MIN && map->count < map->capacity / 8)
        resize(map, map->capacity / 2);
    return value;
}

void *map_next(const struct map *map, size_t *position)
{
    while (*position < map->capacity) {
        void *value = map->slots[(*position)++].value;
        if (value != NULL)
            return value;
    }
    return NULL;
}
