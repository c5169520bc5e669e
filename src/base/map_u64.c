#include "base/check.h"
#include "base/map.h"
#include "base/mem.h"

/* As map.c, with the key itself in the slot and its hash made when needed. */

enum { CAPACITY_MIN = 16 };

__extension__ typedef unsigned __int128 wide;

static size_t home_of(const struct map_u64 *map, uint64_t key)
{
    /* An odd word without a pattern; the fold brings the high bits, where all
     * bits of the key have their say, down to those that choose the slot. */
    wide product = (wide)(key ^ map->seed) * UINT64_C(0xd1b54a32d192ed03);
    uint64_t hash = (uint64_t)product ^ (uint64_t)(product >> 64);
    return (size_t)(hash ^ hash >> 32) & (map->capacity - 1);
}

void map_u64_init(struct map_u64 *map)
{
    map_u64_init_seeded(map, 0);
}

void map_u64_init_seeded(struct map_u64 *map, uint64_t seed)
{
    *map = (struct map_u64){.seed = seed};
}

void map_u64_deinit(struct map_u64 *map)
{
    mem_free(map->slots);
    map_u64_init_seeded(map, map->seed);
}

/* The slot with `key`, else the free one where it would go. */
static struct map_u64_slot *find(const struct map_u64 *map, uint64_t key)
{
    size_t i = home_of(map, key);
    while (map->slots[i].value != NULL && map->slots[i].key != key)
        i = (i + 1) & (map->capacity - 1);
    return &map->slots[i];
}

static void resize(struct map_u64 *map, size_t capacity)
{
    struct map_u64_slot *old = map->slots;
    size_t old_capacity = map->capacity;
    CHECK(capacity > map->count && capacity <= SIZE_MAX / 2 / sizeof *old);
    map->slots = mem_alloc_zero(capacity * sizeof *old);
    map->capacity = capacity;
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i].value != NULL)
            *find(map, old[i].key) = old[i];
    }
    mem_free(old);
}

void *map_u64_get(const struct map_u64 *map, uint64_t key)
{
    return map->count ? find(map, key)->value : NULL;
}

void *map_u64_put(struct map_u64 *map, uint64_t key, void *value)
{
    CHECK(value != NULL);
    if ((map->count + 1) * 4 > map->capacity * 3)
        resize(map, map->capacity ? map->capacity * 2 : CAPACITY_MIN);
    struct map_u64_slot *slot = find(map, key);
    void *old = slot->value;
    map->count += old == NULL;
    *slot = (struct map_u64_slot){key, value};
    return old;
}

static void close_hole(struct map_u64 *map, size_t hole)
{
    size_t mask = map->capacity - 1;
    for (size_t i = (hole + 1) & mask; map->slots[i].value != NULL;
         i = (i + 1) & mask) {
        size_t from_home = (i - home_of(map, map->slots[i].key)) & mask;
        if (from_home >= ((i - hole) & mask)) {
            map->slots[hole] = map->slots[i];
            hole = i;
        }
    }
    map->slots[hole] = (struct map_u64_slot){0};
}

void *map_u64_remove(struct map_u64 *map, uint64_t key)
{
    struct map_u64_slot *slot = map->count ? find(map, key) : NULL;
    if (slot == NULL || slot->value == NULL)
        return NULL;
    void *value = slot->value;
    close_hole(map, (size_t)(slot - map->slots));
    map->count--;
    if (map->capacity > CAPACITY_MIN && map->count < map->capacity / 8)
        resize(map, map->capacity / 2);
    return value;
}

void *map_u64_next(const struct map_u64 *map, size_t *position, uint64_t *key)
{
    while (*position < map->capacity) {
        const struct map_u64_slot *slot = &map->slots[(*position)++];
        if (slot->value != NULL) {
            *key = slot->key;
            return slot->value;
        }
    }
    return NULL;
}
