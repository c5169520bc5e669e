/* Hash maps: open addressing, linear probing, at most 3/4 full, backward-shift
 * deletion, half the size again when less than 1/8 full. The map owns neither
 * keys nor values: it stores pointers.
 *
 * struct map      keyed by bytes; the key is found through the value by the
 *                 map's `key_of`, so nothing is stored twice
 * struct map_u64  keyed by a 64-bit number
 */
#ifndef ETCHED_BASE_MAP_H
#define ETCHED_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

typedef struct slice (*map_key_of)(const void *value);

struct map_slot {
    uint64_t hash;
    void *value; /* NULL: free */
};

struct map {
    struct map_slot *slots;
    size_t capacity; /* 0 or a power of two */
    size_t count;
    uint64_t seed;
    map_key_of key_of;
};

/* Needs: a seed that clients can't guess, where they choose the keys. */
void map_init(struct map *map, map_key_of key_of, uint64_t seed);
void map_deinit(struct map *map);
void *map_get(const struct map *map, struct slice key);
/* Puts `value`; returns the one that had the same key (now out), or NULL. */
void *map_put(struct map *map, void *value);
/* Takes the value of `key` out and returns it, or NULL. */
void *map_remove(struct map *map, struct slice key);
/* The next value at or after *position (start with 0), or NULL at the end.
 * Needs: no put or remove while walking. */
void *map_next(const struct map *map, size_t *position);

struct map_u64_slot {
    uint64_t key;
    void *value; /* NULL: free */
};

struct map_u64 {
    struct map_u64_slot *slots;
    size_t capacity;
    size_t count;
    uint64_t seed;
};

/* map_u64_init is for keys that we give out ourselves; where clients choose
 * them (lease ids), start with a seed that they can't guess. */
void map_u64_init(struct map_u64 *map);
void map_u64_init_seeded(struct map_u64 *map, uint64_t seed);
void map_u64_deinit(struct map_u64 *map);
void *map_u64_get(const struct map_u64 *map, uint64_t key);
void *map_u64_put(struct map_u64 *map, uint64_t key, void *value);
void *map_u64_remove(struct map_u64 *map, uint64_t key);
void *map_u64_next(const struct map_u64 *map, size_t *position, uint64_t *key);

#endif
