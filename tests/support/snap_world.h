/* A world for stories about snapshots: files in memory, what their sets hold
 * as text, and the way of chunks from one to another. */
#ifndef ETCHED_TESTS_SUPPORT_SNAP_WORLD_H
#define ETCHED_TESTS_SUPPORT_SNAP_WORLD_H

#include "base/bytes.h"
#include "port/kv.h"
#include "snap/snap.h"

extern const struct snap_header snap_world_header;

/* One pair in a transaction of its own. */
void snap_world_put(struct kv *kv, kv_table table, const char *key,
                    const char *value);
/* `count` pairs with keys of 8 bytes, the number from `first` on, and values
 * of `bytes` bytes that depend on it. */
void snap_world_fill(struct kv *kv, kv_table table, uint64_t first,
                     uint64_t count, size_t bytes);
/* How many pairs the tables of [from, end) hold. */
uint64_t snap_world_count(struct kv *kv, kv_table from, kv_table end);
/* A number of all pairs of a set's tables: equal where they are. */
uint64_t snap_world_digest(struct kv *kv);

struct snap_set *snap_world_set(struct kv *file);
struct snap_source *snap_world_source(struct snap_set *set);
struct snap_sink *snap_world_sink(struct snap_set *set,
                                  const struct snap_header *header);
/* Gives the sink up to `chunks_max` chunks; true: it is complete. */
bool snap_world_send(struct snap_source *source, struct snap_sink *sink,
                     unsigned chunks_max);
/* All of it: what `from` holds becomes what `to` has active. */
void snap_world_copy(struct snap_set *from, struct snap_set *to,
                     const struct snap_header *header);
/* Until there is nothing to clean; how many parts it took. */
unsigned snap_world_clean(struct snap_set *set);

#endif
