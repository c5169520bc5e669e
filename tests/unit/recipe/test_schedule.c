/* Clocks: every, cron with its fields and zones, at; and what happens when
 * the clocks are changed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/prng.h"
#include "base/time_text.h"
#include "recipe/schedule.h"
#include "recipe_zones.h"

static const int64_t second = 1000000000;
static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static int64_t at(const char *text)
{
    int64_t ns;
    if (!time_from_rfc3339(slice_str(text), &ns))
        fail_msg("no moment: %s", text);
    return ns;
}

static struct schedule cron(const char *text, const char *zone_name)
{
    const struct zone *zone;
    struct schedule schedule;
    assert_int_equal(
        zone_open(&arena, &recipe_zones, slice_str(zone_name), &zone), ERR_OK);
    enum err err = schedule_parse_cron(slice_str(text), zone, &schedule);
    if (err)
        fail_msg("%s: %s", text, err_note());
    return schedule;
}

/* The next `count` firings, as UTC with a space between. */
static const char *firings(const struct schedule *schedule, const char *after,
                           int count)
{
    static char out[512];
    size_t size = 0;
    int64_t moment = at(after);
    for (int i = 0; i < count; i++) {
        char text[TIME_TEXT_BYTES_MAX];
        moment = schedule_next(schedule, moment);
        assert_true(moment < INT64_MAX);
        int length = (int)time_to_rfc3339(moment, text);
        size += (size_t)snprintf(out + size, sizeof out - size, "%s%.*s",
                                 i ? " " : "", length, text);
    }
    return out;
}

static const char *cron_firings(const char *text, const char *zone,
                                const char *after, int count)
{
    struct schedule schedule = cron(text, zone);
    return firings(&schedule, after, count);
}

/* ---- every and at ------------------------------------------------------- */

static void every_counts_from_1970(void **state)
{
    (void)state;
    struct schedule schedule = {.kind = SCHEDULE_EVERY,
                                .every_ns = 300 * second};
    assert_string_equal(firings(&schedule, "2026-01-01T00:00:01Z", 2),
                        "2026-01-01T00:05:00Z 2026-01-01T00:10:00Z");
    assert_string_equal(firings(&schedule, "2026-01-01T00:05:00Z", 1),
                        "2026-01-01T00:10:00Z");
    assert_string_equal(firings(&schedule, "1969-12-31T23:59:59Z", 1),
                        "1970-01-01T00:00:00Z");
    schedule.every_ns = 7 * second;
    int64_t next = schedule_next(&schedule, at("2026-01-01T00:00:00Z"));
    assert_int_equal(next % (7 * second), 0);
    assert_int_equal(schedule_next(&schedule, INT64_MAX), INT64_MAX);
    assert_int_equal(schedule_next(&schedule, INT64_MAX - second), INT64_MAX);
}

static void at_comes_once(void **state)
{
    (void)state;
    struct schedule schedule = {.kind = SCHEDULE_AT,
                                .at_ns = at("2026-12-24T18:00:00Z")};
    assert_string_equal(firings(&schedule, "2026-01-01T00:00:00Z", 1),
                        "2026-12-24T18:00:00Z");
    assert_int_equal(schedule_next(&schedule, schedule.at_ns), INT64_MAX);
    assert_int_equal(schedule_next(&schedule, schedule.at_ns - 1),
                     schedule.at_ns);
}

/* ---- cron --------------------------------------------------------------- */

static void cron_walks_the_calendar(void **state)
{
    (void)state;
    static const struct {
        const char *text, *after, *next;
    } rows[] = {
        {"0 9 * * 1-5", "2026-01-02T10:00:00Z", /* a Friday */
         "2026-01-05T09:00:00Z 2026-01-06T09:00:00Z"},
        {"*/15 * * * *", "2026-01-01T00:01:00Z",
         "2026-01-01T00:15:00Z 2026-01-01T00:30:00Z"},
        {"5/20 * * * *", "2026-01-01T00:05:00Z",
         "2026-01-01T00:25:00Z 2026-01-01T00:45:00Z"},
        {"0 0 29 2 *", "2096-03-01T00:00:00Z",
         "2104-02-29T00:00:00Z 2108-02-29T00:00:00Z"},
        {"0 0 31 * *", "2026-01-31T00:00:00Z",
         "2026-03-31T00:00:00Z 2026-05-31T00:00:00Z"},
        {"30 4 1,15 * 5", "2026-01-01T04:30:00Z", /* either is enough */
         "2026-01-02T04:30:00Z 2026-01-09T04:30:00Z"},
        {"0 0 */2 * 1", "2026-01-01T00:00:00Z", /* given, too */
         "2026-01-03T00:00:00Z 2026-01-05T00:00:00Z"},
        {"0 12 * JAN,jul sun", "2026-02-01T00:00:00Z",
         "2026-07-05T12:00:00Z 2026-07-12T12:00:00Z"},
        {"0 0 * * 7", "2026-01-01T00:00:00Z",
         "2026-01-04T00:00:00Z 2026-01-11T00:00:00Z"},
        {"0 0 * * fri-sun", "2026-01-01T00:00:00Z",
         "2026-01-02T00:00:00Z 2026-01-03T00:00:00Z"},
        {"0 0 1-7/3 * *", "2026-01-01T00:00:00Z",
         "2026-01-04T00:00:00Z 2026-01-07T00:00:00Z"},
        {"59 23 31 12 *", "2026-12-31T23:59:00Z",
         "2027-12-31T23:59:00Z 2028-12-31T23:59:00Z"},
        {"@hourly", "2026-01-01T00:00:00.5Z",
         "2026-01-01T01:00:00Z 2026-01-01T02:00:00Z"},
        {"@daily", "2026-02-28T00:00:00Z",
         "2026-03-01T00:00:00Z 2026-03-02T00:00:00Z"},
        {"@weekly", "2026-01-01T00:00:00Z",
         "2026-01-04T00:00:00Z 2026-01-11T00:00:00Z"},
        {"@monthly", "2026-01-01T00:00:00Z",
         "2026-02-01T00:00:00Z 2026-03-01T00:00:00Z"},
        {"@yearly", "2026-01-01T00:00:00Z",
         "2027-01-01T00:00:00Z 2028-01-01T00:00:00Z"},
        {"  0\t0  1 1   * ", "2026-01-01T00:00:00Z",
         "2027-01-01T00:00:00Z 2028-01-01T00:00:00Z"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(cron_firings(rows[i].text, "UTC", rows[i].after, 2),
                            rows[i].next);
}

static void a_time_that_is_jumped_over_fires_right_after(void **state)
{
    (void)state;
    /* 02:00 becomes 03:00 at 01:00Z on 2026-03-29. */
    assert_string_equal(
        cron_firings("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3),
        "2026-03-28T01:30:00Z 2026-03-29T01:00:00Z "
        "2026-03-30T00:30:00Z");
    /* Six of them, and 03:00 itself: one moment, one firing. */
    assert_string_equal(cron_firings("*/10 2,3 * * *", "Europe/Berlin",
                                     "2026-03-29T00:30:00Z", 2),
                        "2026-03-29T01:00:00Z 2026-03-29T01:10:00Z");
    /* In New York at 07:00Z on 2026-03-08. */
    assert_string_equal(cron_firings("15 2 * * *", "America/New_York",
                                     "2026-03-08T00:00:00Z", 2),
                        "2026-03-08T07:00:00Z 2026-03-09T06:15:00Z");
}

static void a_time_that_comes_twice_fires_once(void **state)
{
    (void)state;
    /* 03:00 becomes 02:00 at 01:00Z on 2026-10-25. */
    assert_string_equal(
        cron_firings("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
        "2026-10-25T00:30:00Z 2026-10-26T01:30:00Z");
    /* Asked in the second of the two hours. */
    assert_string_equal(
        cron_firings("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", 1),
        "2026-10-26T01:30:00Z");
    assert_string_equal(
        cron_firings("0 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", 3),
        "2026-10-25T00:00:00Z 2026-10-25T02:00:00Z "
        "2026-10-25T03:00:00Z");
    /* Half an hour, on Lord Howe: 02:00 becomes 01:30 at 15:00Z. */
    assert_string_equal(cron_firings("45 1 * * *", "Australia/Lord_Howe",
                                     "2026-04-04T12:00:00Z", 2),
                        "2026-04-04T14:45:00Z 2026-04-05T15:15:00Z");
}

static void offsets_are_zones_too(void **state)
{
    (void)state;
    assert_string_equal(
        cron_firings("0 9 * * *", "+08:00", "2026-01-01T00:00:00Z", 2),
        "2026-01-01T01:00:00Z 2026-01-02T01:00:00Z");
}

static void the_end_of_time_is_never(void **state)
{
    (void)state;
    struct schedule schedule = cron("0 0 1 1 *", "UTC");
    assert_int_equal(schedule_next(&schedule, INT64_MAX), INT64_MAX);
    assert_int_equal(schedule_next(&schedule, at("2262-01-01T00:00:00Z")),
                     INT64_MAX);
    assert_string_equal(firings(&schedule, "1677-10-01T00:00:00Z", 1),
                        "1678-01-01T00:00:00Z");
}

static void what_cron_is_not(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "*",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 0 *",
        "* * * 13 *",
        "* * * * 8",
        "-1 * * * *",
        "1- * * * *",
        "-5 * * * *",
        "1,, * * * *",
        "*/0 * * * *",
        "*/x * * * *",
        "a * * * *",
        "5-1 * * * *",
        "* * * * mo",
        "* * * jann *",
        "0 0 30 2 *",
        "0 0 31 4,6,9,11 *",
        "@dayly",
        "@",
        "1//2 * * * *",
        "1-2-3 * * * *",
        "99999999999999999999 * * * *",
    };
    const struct zone *zone;
    struct schedule schedule;
    assert_int_equal(zone_open(&arena, NULL, SLICE("UTC"), &zone), ERR_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        enum err err = schedule_parse_cron(slice_str(bad[i]), zone, &schedule);
        if (err != ERR_INVALID)
            fail_msg("taken: %s", bad[i]);
    }
}

/* ---- beside a walk through all minutes ---------------------------------- */

static bool wall_fits(const struct schedule *schedule,
                      const struct wall_time *wall)
{
    bool by_day = schedule->days >> wall->day & 1;
    bool by_weekday = schedule->weekdays >> wall->weekday & 1;
    bool day = schedule->any_day || schedule->any_weekday
                   ? by_day && by_weekday
                   : by_day || by_weekday;
    return day && (schedule->months >> wall->month & 1) &&
           (schedule->hours >> wall->hour & 1) &&
           (schedule->minutes >> wall->minute & 1);
}

/* By what the zone shows at each minute of the world: a minute that shows for
 * the second time is passed over, and at one before which the wall jumped the
 * minutes of the gap count too. */
static int64_t walk(const struct schedule *schedule, int64_t after, int64_t end)
{
    for (int64_t now = (after / 60 + 1) * 60; now <= end; now += 60) {
        struct wall_time wall;
        int32_t offset = zone_offset(schedule->zone, now);
        int32_t before = zone_offset(schedule->zone, now - 60);
        int32_t earlier = zone_offset(schedule->zone, now - 3600);
        int32_t back = earlier - offset; /* the clocks were put back by it */
        bool is_second =
            back > 0 && zone_offset(schedule->zone, now - back) == earlier;
        zone_wall(schedule->zone, now, &wall);
        if (wall_fits(schedule, &wall) && !is_second)
            return now;
        for (int32_t gap = before; gap < offset; gap += 60) {
            /* What a clock that doesn't jump would show. */
            int64_t shown = now + gap;
            struct wall_time skipped;
            const struct zone *utc;
            assert_int_equal(zone_open(&arena, NULL, SLICE("UTC"), &utc),
                             ERR_OK);
            zone_wall(utc, shown, &skipped);
            if (wall_fits(schedule, &skipped))
                return now;
        }
    }
    return -1;
}

static void any_cron(struct prng *prng, char *out, size_t room)
{
    static const char *const minutes[] = {"0", "*/7", "30", "5,50", "*"};
    static const char *const hours[] = {"*", "2", "1-3", "*/2", "0,23"};
    static const char *const days[] = {"*", "*", "29,25", "8-14", "*/2"};
    static const char *const weekdays[] = {"*", "*", "0", "1-5", "6"};
    snprintf(out, room, "%s %s %s * %s", minutes[prng_below(prng, 5)],
             hours[prng_below(prng, 5)], days[prng_below(prng, 5)],
             weekdays[prng_below(prng, 5)]);
}

static void it_agrees_with_a_walk_through_all_minutes(void **state)
{
    (void)state;
    /* Three days around each change of the clocks. */
    static const char *const begins[] = {
        "2026-03-28T00:00:00Z", "2026-10-24T00:00:00Z", "2026-03-07T00:00:00Z",
        "2026-10-31T00:00:00Z", "2026-04-03T00:00:00Z", "2026-10-03T00:00:00Z",
        "2028-02-28T00:00:00Z",
    };
    struct prng prng;
    prng_init(&prng, 5);
    for (int i = 0; i < 300; i++) {
        char text[64];
        any_cron(&prng, text, sizeof text);
        const char *zone = recipe_zone_rules[prng_below(&prng, 3)][0];
        struct schedule schedule = cron(text, zone);
        int64_t now = at(begins[prng_below(&prng, 7)]) / second +
                      (int64_t)prng_below(&prng, 86400);
        int64_t end = now + 3 * 86400;
        for (int j = 0; j < 200; j++) {
            int64_t wanted = walk(&schedule, now, end);
            int64_t next = schedule_next(&schedule, now * second) / second;
            if (wanted < 0) {
                assert_true(next > end);
                break;
            }
            if (next != wanted)
                fail_msg("%s in %s after %lld: %lld, not %lld", text, zone,
                         (long long)now, (long long)next, (long long)wanted);
            now = next;
        }
        arena_reset(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_counts_from_1970),
        cmocka_unit_test(at_comes_once),
        cmocka_unit_test(cron_walks_the_calendar),
        cmocka_unit_test(a_time_that_is_jumped_over_fires_right_after),
        cmocka_unit_test(a_time_that_comes_twice_fires_once),
        cmocka_unit_test(offsets_are_zones_too),
        cmocka_unit_test(the_end_of_time_is_never),
        cmocka_unit_test(what_cron_is_not),
        cmocka_unit_test(it_agrees_with_a_walk_through_all_minutes),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
