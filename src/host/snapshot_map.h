/* A snapshot's file as bytes, for the tools that look at it. */
#ifndef ETCHED_HOST_SNAPSHOT_MAP_H
#define ETCHED_HOST_SNAPSHOT_MAP_H

#include "base/bytes.h"

struct snapshot_map {
    struct slice bytes; /* to be read only */
};
/* Errors: ERR_NOT_FOUND, ERR_PERMISSION, ERR_IO..., in the words of Go. */
enum err snapshot_map_open(const char *path, struct snapshot_map *out) MUST_USE;
void snapshot_map_close(struct snapshot_map *map);

#endif
