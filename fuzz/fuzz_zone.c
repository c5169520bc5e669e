/* A zone's file from anywhere: refused, or a zone whose walls and moments fit
 * together. The first eight bytes choose where to look. */
#include "base/check.h"
#include "expr/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct one {
    struct zones door;
    struct slice file;
};

static enum err find_one(const struct zones *zones, struct slice name,
                         struct slice *tzif)
{
    const struct one *one = (const struct one *)(const void *)zones;
    (void)name;
    *tzif = one->file;
    return ERR_OK;
}

/* The first moment with the wall of `at` is `at`, or one before it with the
 * same wall. */
static void look(const struct zone *zone, int64_t at)
{
    struct wall_time wall, again;
    int64_t moment;
    zone_wall(zone, at, &wall);
    CHECK(wall.month >= 1 && wall.month <= 12 && wall.day >= 1 &&
          wall.day <= 31 && wall.hour < 24 && wall.minute < 60);
    enum zone_fit fit = zone_moment(zone, &wall, &moment);
    if (wall.year <= 1 || wall.year >= 9999)
        return; /* the wall may have been held at the calendar's end */
    CHECK(fit != ZONE_SKIPPED);
    CHECK_LE(moment, at);
    CHECK(fit == ZONE_TWICE || moment == at);
    zone_wall(zone, moment, &again);
    CHECK(wall.day == again.day && wall.hour == again.hour &&
          wall.minute == again.minute && wall.second == again.second);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size < 8)
        return 0;
    const int64_t at = (int64_t)get_le64(bytes);
    struct one one = {.door = {.find = find_one},
                      .file = slice_of(bytes + 8, size - 8)};
    const struct zone *zone;
    struct arena arena;
    arena_init(&arena, 0);
    enum err err = zone_open(&arena, &one.door, SLICE("Fuzz"), &zone);
    CHECK_EQ(err == ERR_OK, zone != NULL);
    if (!err) {
        look(zone, at);
        look(zone, at % INT64_C(10000000000));
        look(zone, at % 100000000 + 1700000000);
    }
    arena_deinit(&arena);
    return 0;
}
