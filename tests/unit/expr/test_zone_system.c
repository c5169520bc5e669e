/* Zones of the system's zoneinfo against the C library's own idea of them;
 * skipped where the system has none. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "expr/zone.h"
#include "zone_build.h"

static const char *const names[] = {
    "Europe/Berlin",       "America/New_York", "Asia/Shanghai",
    "Australia/Lord_Howe", "America/St_Johns", "Asia/Kathmandu",
    "Africa/Casablanca",   "Europe/Dublin",    "Asia/Gaza",
    "Pacific/Apia",        "America/Nuuk",     "Etc/GMT+12",
};

static struct buf file;

/* NULL: the system has none of that name. */
static const struct zone *open_system(struct arena *arena, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", name);
    FILE *in = fopen(path, "rb");
    if (in == NULL)
        return NULL;
    buf_reset(&file);
    buf_reserve(&file, 1 << 20);
    file.size = fread(file.at, 1, file.capacity, in);
    fclose(in);
    struct zone_one one = zone_build_one(buf_slice(&file));
    const struct zone *zone;
    assert_int_equal(zone_open(arena, &one.door, slice_str(name), &zone),
                     ERR_OK);
    return zone;
}

static void use_zone(const char *name)
{
    setenv("TZ", name, 1);
    tzset();
}

static void assert_same_wall(const struct zone *zone, time_t at)
{
    struct tm expected;
    struct wall_time got;
    assert_non_null(localtime_r(&at, &expected));
    zone_wall(zone, at, &got);
    assert_int_equal(zone_offset(zone, at), expected.tm_gmtoff);
    assert_int_equal(got.year, expected.tm_year + 1900);
    assert_int_equal(got.month, expected.tm_mon + 1);
    assert_int_equal(got.day, expected.tm_mday);
    assert_int_equal(got.hour, expected.tm_hour);
    assert_int_equal(got.minute, expected.tm_min);
    assert_int_equal(got.second, expected.tm_sec);
    assert_int_equal(got.weekday, expected.tm_wday);
    assert_int_equal(got.yearday, expected.tm_yday);
}

/* The earliest moment with that wall, by looking at each of two days. */
static enum zone_fit slow_moment(const struct wall_time *wall, time_t near,
                                 int64_t *out)
{
    enum { STEP = 60, DAY = 86400 };
    int found = 0;
    time_t after = 0;
    bool was_before = true;
    for (time_t at = near - DAY; at <= near + DAY; at += STEP) {
        struct tm tm;
        localtime_r(&at, &tm);
        int64_t shown =
            days_from_date(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday) *
                1440 +
            tm.tm_hour * 60 + tm.tm_min;
        int64_t wanted =
            days_from_date(wall->year, wall->month, wall->day) * 1440 +
            wall->hour * 60 + wall->minute;
        if (shown == wanted && found++ == 0)
            *out = at;
        if (was_before && shown > wanted && found == 0) {
            after = at;
            was_before = false;
        }
    }
    if (found == 0)
        *out = after;
    return found == 0 ? ZONE_SKIPPED : found == 1 ? ZONE_ONCE : ZONE_TWICE;
}

/* Every eleven hours from 1900 to 2100, and a wall around each change of the
 * last years, minute by minute. */
static void the_library_sees_the_same_walls(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    size_t seen = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct zone *zone = open_system(&arena, names[i]);
        if (zone == NULL)
            continue;
        seen++;
        use_zone(names[i]);
        for (time_t at = -2208988800; at < 4102444800; at += 11 * 3600 + 17)
            assert_same_wall(zone, at);
    }
    arena_deinit(&arena);
    if (seen == 0)
        skip();
}

static void around_each_change_moments_are_the_same(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    size_t seen = 0, changes = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct zone *zone = open_system(&arena, names[i]);
        if (zone == NULL)
            continue;
        seen++;
        use_zone(names[i]);
        int32_t before = zone_offset(zone, 1577836800);
        for (time_t at = 1577836800; at < 1704067200; at += 3600) {
            int32_t offset = zone_offset(zone, at);
            if (offset == before)
                continue;
            before = offset;
            changes++;
            for (time_t shift = -7200; shift <= 7200; shift += 900) {
                time_t shown = at + offset + shift;
                struct tm tm;
                gmtime_r(&shown, &tm);
                struct wall_time wall = {.year = tm.tm_year + 1900,
                                         .month = tm.tm_mon + 1,
                                         .day = tm.tm_mday,
                                         .hour = tm.tm_hour,
                                         .minute = tm.tm_min};
                int64_t expected = 0, got = 0;
                enum zone_fit fit = slow_moment(&wall, at, &expected);
                assert_int_equal(zone_moment(zone, &wall, &got), fit);
                assert_int_equal(got, expected);
            }
        }
    }
    arena_deinit(&arena);
    if (seen == 0)
        skip();
    assert_true(changes > 20);
}

/* Half an hour of summer time, in a zone with half an hour of its own. */
static void lord_howe_goes_forward_by_half_an_hour(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    const struct zone *zone = open_system(&arena, "Australia/Lord_Howe");
    if (zone == NULL) {
        arena_deinit(&arena);
        skip();
    }
    int64_t moment;
    struct wall_time wall = {
        .year = 2024, .month = 10, .day = 6, .hour = 2, .minute = 15};
    assert_int_equal(zone_moment(zone, &wall, &moment), ZONE_SKIPPED);
    assert_int_equal(moment, 1728142200); /* 2024-10-05T15:30:00Z */
    wall = (struct wall_time){
        .year = 2024, .month = 4, .day = 7, .hour = 1, .minute = 45};
    assert_int_equal(zone_moment(zone, &wall, &moment), ZONE_TWICE);
    assert_int_equal(moment, 1712414700); /* 2024-04-06T14:45:00Z */
    arena_deinit(&arena);
}

static int tear_down(void **state)
{
    (void)state;
    buf_deinit(&file);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_library_sees_the_same_walls),
        cmocka_unit_test(around_each_change_moments_are_the_same),
        cmocka_unit_test(lord_howe_goes_forward_by_half_an_hour),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
