/* TZif files made by hand, and a door that has a few zones of them. */
#ifndef ETCHED_TESTS_EXPR_ZONE_BUILD_H
#define ETCHED_TESTS_EXPR_ZONE_BUILD_H

#include "base/bytes.h"
#include "port/zones.h"

struct zone_type {
    int32_t offset;
    uint8_t is_summer;
    uint8_t name;
};
struct zone_change {
    int64_t at;
    uint8_t type;
};
struct zone_parts {
    char version; /* 0, '2'.. */
    const struct zone_type *types;
    size_t type_count;
    const struct zone_change *changes;
    size_t change_count;
    const char *footer; /* NULL: without its two line ends even */
};

/* Appends the file. From version 2 on the first block is an empty one. */
void zone_build(struct buf *out, const struct zone_parts *parts);

/* Sydney, Kathmandu, Berlin, US/Central and St. John's by rule alone. */
extern const struct zones zone_build_door;

/* A door to one file by any name. */
struct zone_one {
    struct zones door;
    struct slice file;
};
struct zone_one zone_build_one(struct slice file);

#endif
