/* Zones: files made by hand, and the system's own where there are any. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/time_text.h"
#include "expr/zone_int.h"
#include "zone_build.h"

static struct arena arena;
static struct buf file;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    file = (struct buf){0};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&arena);
    buf_deinit(&file);
    return 0;
}

static int64_t seconds_of(const char *text)
{
    int64_t ns;
    assert_true(time_from_rfc3339(slice_str(text), &ns));
    return ns / 1000000000;
}

static const struct zone *open_named(const char *name)
{
    const struct zone *zone;
    assert_int_equal(
        zone_open(&arena, &zone_build_door, slice_str(name), &zone), ERR_OK);
    return zone;
}

/* A zone of that rule and nothing else. */
static const struct zone *open_rule(const char *rule)
{
    static const struct zone_type type = {0};
    const struct zone *zone;
    struct zone_parts parts = {
        .version = '3', .types = &type, .type_count = 1, .footer = rule};
    struct buf made = {0};
    zone_build(&made, &parts);
    struct zone_one one = zone_build_one(
        slice_of(arena_dup(&arena, made.at, made.size), made.size));
    buf_deinit(&made);
    enum err err = zone_open(&arena, &one.door, SLICE("Rule"), &zone);
    return err ? NULL : zone;
}

static const char *wall_text(const struct zone *zone, int64_t seconds)
{
    static char text[64];
    struct wall_time wall;
    zone_wall(zone, seconds, &wall);
    snprintf(text, sizeof text, "%04d-%02d-%02d %02d:%02d:%02d %d %d",
             wall.year, wall.month, wall.day, wall.hour, wall.minute,
             wall.second, wall.weekday, wall.yearday);
    return text;
}

static struct wall_time wall_at(int year, int month, int day, int hour,
                                int minute)
{
    return (struct wall_time){.year = year,
                              .month = month,
                              .day = day,
                              .hour = hour,
                              .minute = minute};
}

static void assert_fit(const struct zone *zone, struct wall_time wall,
                       enum zone_fit fit, const char *moment)
{
    int64_t seconds = 0;
    assert_int_equal(zone_moment(zone, &wall, &seconds), fit);
    assert_int_equal(seconds, seconds_of(moment));
}

/* ---- the calendar ------------------------------------------------------- */

static void days_and_dates_go_both_ways(void **state)
{
    (void)state;
    int year, month, day;
    assert_int_equal(days_from_date(1970, 1, 1), 0);
    assert_int_equal(days_from_date(2000, 3, 1), 11017);
    assert_int_equal(days_from_date(1, 1, 1), -719162);
    assert_int_equal(days_from_date(9999, 12, 31), 2932896);
    int64_t expected = days_from_date(-400, 1, 1);
    for (int64_t days = expected; days < days_from_date(2800, 1, 1); days++) {
        date_from_days(days, &year, &month, &day);
        assert_int_equal(days_from_date(year, month, day), days);
        assert_true(month >= 1 && month <= 12 && day >= 1 && day <= 31);
    }
}

/* ---- without a file ----------------------------------------------------- */

static void utc_and_offsets_need_no_file(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int32_t offset;
    } table[] = {
        {"", 0},         {"UTC", 0},        {"+00:00", 0},
        {"-00:00", 0},   {"+08:00", 28800}, {"-02:30", -9000},
        {"02:00", 7200}, {"+23:59", 86340}, {"-23:59", -86340},
    };
    const struct zone *zone;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        assert_int_equal(
            zone_open(&arena, NULL, slice_str(table[i].name), &zone), ERR_OK);
        assert_int_equal(zone_offset(zone, 0), table[i].offset);
    }
    assert_int_equal(zone_open(&arena, NULL, SLICE("+08:00"), &zone), ERR_OK);
    assert_string_equal(wall_text(zone, 1234567890),
                        "2009-02-14 07:31:30 6 44");
    assert_fit(zone, wall_at(2009, 2, 14, 7, 31), ZONE_ONCE,
               "2009-02-13T23:31:00Z");
}

static void names_that_are_none_are_not_found(void **state)
{
    (void)state;
    static const char *const names[] = {
        "Mars/Olympus",      "+8:00",     "+24:00",         "+08:60", "08",
        "/etc/passwd",       "../secret", "Europe/../x",    "utc",    "a b",
        "Europe/Berlin.bak", "+08:00:00", "Europe\\Berlin",
    };
    const struct zone *zone;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(
            zone_open(&arena, &zone_build_door, slice_str(names[i]), &zone),
            ERR_NOT_FOUND);
        assert_null(zone);
        assert_non_null(strstr(err_note(), "no time zone"));
    }
    assert_int_equal(zone_open(&arena, NULL, SLICE("Europe/Berlin"), &zone),
                     ERR_NOT_FOUND);
}

/* A wall shows the years 1 to 9999 and nothing else. */
static void beyond_the_calendar_the_wall_stands_still(void **state)
{
    (void)state;
    const struct zone *zone;
    assert_int_equal(zone_open(&arena, NULL, SLICE("+08:00"), &zone), ERR_OK);
    assert_string_equal(wall_text(zone, INT64_MAX),
                        "9999-12-31 23:59:59 5 364");
    assert_string_equal(wall_text(zone, INT64_MIN), "0001-01-01 08:00:00 1 0");
    zone = open_named("Europe/Berlin");
    (void)zone_offset(zone, INT64_MAX);
    (void)zone_offset(zone, INT64_MIN);
}

/* ---- rules -------------------------------------------------------------- */

static void berlin_by_its_rule(void **state)
{
    (void)state;
    const struct zone *zone = open_named("Europe/Berlin");
    assert_string_equal(wall_text(zone, seconds_of("2024-01-15T12:00:00Z")),
                        "2024-01-15 13:00:00 1 14");
    assert_string_equal(wall_text(zone, seconds_of("2024-07-15T12:00:00Z")),
                        "2024-07-15 14:00:00 1 196");
    /* The second before, and the second of the change. */
    assert_string_equal(wall_text(zone, seconds_of("2024-03-31T00:59:59Z")),
                        "2024-03-31 01:59:59 0 90");
    assert_string_equal(wall_text(zone, seconds_of("2024-03-31T01:00:00Z")),
                        "2024-03-31 03:00:00 0 90");
    assert_string_equal(wall_text(zone, seconds_of("2024-10-27T00:59:59Z")),
                        "2024-10-27 02:59:59 0 300");
    assert_string_equal(wall_text(zone, seconds_of("2024-10-27T01:00:00Z")),
                        "2024-10-27 02:00:00 0 300");
}

static void a_wall_time_that_is_skipped_or_comes_twice(void **state)
{
    (void)state;
    const struct zone *zone = open_named("Europe/Berlin");
    assert_fit(zone, wall_at(2024, 3, 31, 1, 59), ZONE_ONCE,
               "2024-03-31T00:59:00Z");
    assert_fit(zone, wall_at(2024, 3, 31, 2, 0), ZONE_SKIPPED,
               "2024-03-31T01:00:00Z");
    assert_fit(zone, wall_at(2024, 3, 31, 2, 59), ZONE_SKIPPED,
               "2024-03-31T01:00:00Z");
    assert_fit(zone, wall_at(2024, 3, 31, 3, 0), ZONE_ONCE,
               "2024-03-31T01:00:00Z");
    assert_fit(zone, wall_at(2024, 10, 27, 1, 59), ZONE_ONCE,
               "2024-10-26T23:59:00Z");
    assert_fit(zone, wall_at(2024, 10, 27, 2, 0), ZONE_TWICE,
               "2024-10-27T00:00:00Z");
    assert_fit(zone, wall_at(2024, 10, 27, 2, 59), ZONE_TWICE,
               "2024-10-27T00:59:00Z");
    assert_fit(zone, wall_at(2024, 10, 27, 3, 0), ZONE_ONCE,
               "2024-10-27T02:00:00Z");
    assert_fit(zone, wall_at(2024, 7, 1, 2, 30), ZONE_ONCE,
               "2024-07-01T00:30:00Z");
}

static void south_of_the_equator_summer_runs_over_new_year(void **state)
{
    (void)state;
    const struct zone *zone = open_named("Australia/Sydney");
    assert_int_equal(zone_offset(zone, seconds_of("2023-12-31T23:00:00Z")),
                     39600);
    assert_int_equal(zone_offset(zone, seconds_of("2024-01-01T00:00:00Z")),
                     39600);
    assert_int_equal(zone_offset(zone, seconds_of("2024-06-01T00:00:00Z")),
                     36000);
    assert_fit(zone, wall_at(2024, 4, 7, 2, 30), ZONE_TWICE,
               "2024-04-06T15:30:00Z");
    assert_fit(zone, wall_at(2024, 10, 6, 2, 30), ZONE_SKIPPED,
               "2024-10-05T16:00:00Z");
}

static void other_forms_of_rules(void **state)
{
    (void)state;
    static const struct {
        const char *rule;
        const char *moment;
        int32_t offset;
    } table[] = {
        {"<+0545>-5:45", "2024-01-01T00:00:00Z", 20700},
        {"EST5", "2024-07-01T00:00:00Z", -18000},
        {"ABC+1:02:03", "2024-07-01T00:00:00Z", -3723},
        /* J60 is 1 March in every year, 59 is 29 February in a leap year. */
        {"ABC0DEF,J60/0,J300/0", "2024-02-29T23:59:59Z", 0},
        {"ABC0DEF,J60/0,J300/0", "2024-03-01T00:00:00Z", 3600},
        {"ABC0DEF,J60/0,J300/0", "2023-02-28T23:59:59Z", 0},
        {"ABC0DEF,J60/0,J300/0", "2023-03-01T00:00:00Z", 3600},
        {"ABC0DEF,59/0,300/0", "2024-02-29T00:00:00Z", 3600},
        {"ABC0DEF,59/0,300/0", "2024-02-28T23:59:59Z", 0},
        /* Summer with an offset of its own. */
        {"ABC-10:30DEF-11,M10.1.0,M4.1.0", "2024-01-01T00:00:00Z", 39600},
        {"ABC-10:30DEF-11,M10.1.0,M4.1.0", "2024-06-01T00:00:00Z", 37800},
        /* Summer is winter: Ireland's. */
        {"IST-1GMT0,M10.5.0,M3.5.0/1", "2024-01-01T00:00:00Z", 0},
        {"IST-1GMT0,M10.5.0,M3.5.0/1", "2024-07-01T00:00:00Z", 3600},
        /* Hours before midnight and days after (RFC 9636, 3.3.1). */
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2024-03-31T00:59:59Z", -7200},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2024-03-31T01:00:00Z", -3600},
        {"IST-2IDT,M3.4.4/26,M10.5.0", "2024-03-28T23:59:59Z", 7200},
        {"IST-2IDT,M3.4.4/26,M10.5.0", "2024-03-29T00:00:00Z", 10800},
        /* Summer all year. */
        {"XXX3EDT4,0/0,J365/23", "2024-01-01T00:00:00Z", -14400},
        {"XXX3EDT4,0/0,J365/23", "2024-01-01T03:00:00Z", -14400},
        {"XXX3EDT4,0/0,J365/23", "2024-12-31T23:59:59Z", -14400},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct zone *zone = open_rule(table[i].rule);
        assert_non_null(zone);
        int32_t got = zone_offset(zone, seconds_of(table[i].moment));
        if (got != table[i].offset)
            fail_msg("%s at %s: %d", table[i].rule, table[i].moment, got);
    }
}

static void broken_rules_are_refused(void **state)
{
    (void)state;
    static const char *const rules[] = {
        "CET",
        "CE-1",
        "-1",
        "CET-25",
        "CET-1CEST",
        "CET-1CEST,M3.5.0",
        "CET-1CEST,M13.5.0,M10.5.0",
        "CET-1CEST,M3.6.0,M10.5.0",
        "CET-1CEST,M3.5.7,M10.5.0",
        "CET-1CEST,M3.5,M10.5.0",
        "CET-1CEST,J0,J365",
        "CET-1CEST,J1,J366",
        "CET-1CEST,366,1",
        "CET-1CEST,M3.5.0/168,M10.5.0",
        "CET-1CEST,M3.5.0/2:60,M10.5.0",
        "CET-1CEST,M3.5.0,M10.5.0x",
        "<CET-1",
        "<+05:45>-5",
        "CET-1:60",
        "CET-1CEST-1CEST",
        "CET-0001",
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (open_rule(rules[i]) != NULL)
            fail_msg("'%s' was taken", rules[i]);
    }
    assert_non_null(strstr(err_note(), "time zone 'Rule'"));
}

/* ---- tables ------------------------------------------------------------- */

static const struct zone_type three_types[] = {
    {.offset = 1000}, {.offset = 3600}, {.offset = 7200, .is_summer = 1}};
static const struct zone_change two_changes[] = {{1000000, 1}, {2000000, 2}};

static const struct zone *open_parts(const struct zone_parts *parts)
{
    const struct zone *zone;
    buf_reset(&file);
    zone_build(&file, parts);
    struct zone_one one = zone_build_one(buf_slice(&file));
    enum err err = zone_open(&arena, &one.door, SLICE("Any"), &zone);
    assert_true(err == ERR_OK || err == ERR_INVALID);
    return err ? NULL : zone;
}

static void before_between_and_after_the_changes(void **state)
{
    (void)state;
    struct zone_parts parts = {.types = three_types,
                               .type_count = 3,
                               .changes = two_changes,
                               .change_count = 2,
                               .footer = ""};
    static const char versions[] = {0, '2', '3', '4', '9'};
    for (size_t i = 0; i < sizeof versions; i++) {
        parts.version = versions[i];
        const struct zone *zone = open_parts(&parts);
        assert_non_null(zone);
        assert_int_equal(zone_offset(zone, INT64_MIN), 1000);
        assert_int_equal(zone_offset(zone, 999999), 1000);
        assert_int_equal(zone_offset(zone, 1000000), 3600);
        assert_int_equal(zone_offset(zone, 1999999), 3600);
        assert_int_equal(zone_offset(zone, 2000000), 7200);
        assert_int_equal(zone_offset(zone, INT64_MAX), 7200);
    }
}

static void after_the_last_change_the_rule_goes_on(void **state)
{
    (void)state;
    struct zone_parts parts = {.version = '2',
                               .types = three_types,
                               .type_count = 3,
                               .changes = two_changes,
                               .change_count = 2,
                               .footer = "CET-1CEST,M3.5.0,M10.5.0/3"};
    const struct zone *zone = open_parts(&parts);
    assert_int_equal(zone_offset(zone, 1999999), 3600);
    assert_int_equal(zone_offset(zone, seconds_of("2030-01-15T00:00:00Z")),
                     3600);
    assert_int_equal(zone_offset(zone, seconds_of("2030-07-15T00:00:00Z")),
                     7200);
    /* 9999-07-15: beyond what nanoseconds reach. */
    assert_int_equal(zone_offset(zone, INT64_C(253387440000)), 7200);
}

/* Three changes within an hour: the wall shows one time up to three times, and
 * the first of them counts. */
static void changes_close_to_each_other(void **state)
{
    (void)state;
    static const struct zone_change changes[] = {
        {1000000, 2}, {1000600, 1}, {1001200, 2}};
    struct zone_parts parts = {.version = '2',
                               .types = three_types,
                               .type_count = 3,
                               .changes = changes,
                               .change_count = 3,
                               .footer = ""};
    const struct zone *zone = open_parts(&parts);
    int64_t seconds;
    struct wall_time wall;
    for (int64_t at = 990000; at < 1010000; at += 7) {
        zone_wall(zone, at, &wall);
        enum zone_fit fit = zone_moment(zone, &wall, &seconds);
        assert_int_not_equal(fit, ZONE_SKIPPED);
        assert_true(seconds <= at);
        assert_true(fit == ZONE_TWICE || seconds == at);
        struct wall_time again;
        zone_wall(zone, seconds, &again);
        assert_memory_equal(&wall, &again, sizeof wall);
    }
}

/* ---- hostile files ------------------------------------------------------ */

static bool is_taken(struct slice bytes)
{
    const struct zone *zone;
    struct zone_one one = zone_build_one(bytes);
    enum err err = zone_open(&arena, &one.door, SLICE("Any"), &zone);
    assert_true(err == ERR_OK || err == ERR_INVALID);
    return err == ERR_OK;
}

static void a_file_that_is_cut_anywhere_is_refused(void **state)
{
    (void)state;
    struct zone_parts parts = {.version = '2',
                               .types = three_types,
                               .type_count = 3,
                               .changes = two_changes,
                               .change_count = 2,
                               .footer = "CET-1CEST,M3.5.0,M10.5.0/3"};
    zone_build(&file, &parts);
    for (size_t size = 0; size < file.size; size++) {
        /* A copy of its own, so that a read beyond it is seen. */
        char *cut = mem_dup(file.at, size ? size : 1);
        assert_false(is_taken(slice_of(cut, size)));
        mem_free(cut);
    }
    assert_true(is_taken(buf_slice(&file)));
}

static void counts_that_lie_are_refused(void **state)
{
    (void)state;
    struct zone_parts parts = {.version = 0,
                               .types = three_types,
                               .type_count = 3,
                               .changes = two_changes,
                               .change_count = 2};
    static const uint32_t lies[] = {4, 1000, 0x7fffffff, 0xffffffff};
    for (size_t field = 0; field < 6; field++) {
        for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
            buf_reset(&file);
            zone_build(&file, &parts);
            size_t at = 20 + 4 * field;
            if (get_be32(file.at + at) == lies[i])
                continue;
            put_be32(file.at + at, lies[i]);
            assert_false(is_taken(buf_slice(&file)));
        }
    }
}

static void contents_that_lie_are_refused(void **state)
{
    (void)state;
    enum { TIMES = 44, TYPES_OF = TIMES + 8, TYPES = TYPES_OF + 2 };
    static const struct {
        size_t at;
        char byte;
    } lies[] = {
        {0, 't'},      /* no header */
        {4, ' '},      /* no version */
        {TIMES, 0x70}, /* the first change is after the second */
        {TYPES_OF, 3}, /* a type that there isn't */
        {TYPES_OF + 1, (char)0xff},
        {TYPES, 0x7f},  /* an offset of years */
        {TYPES + 4, 2}, /* neither summer nor winter */
        {TYPES + 5, 4}, /* a name behind the names */
    };
    struct zone_parts parts = {.version = 0,
                               .types = three_types,
                               .type_count = 3,
                               .changes = two_changes,
                               .change_count = 2};
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        buf_reset(&file);
        zone_build(&file, &parts);
        assert_true(is_taken(buf_slice(&file)));
        file.at[lies[i].at] = lies[i].byte;
        if (is_taken(buf_slice(&file)))
            fail_msg("byte %zu", lies[i].at);
    }
}

static void without_memory_it_is_an_error(void **state)
{
    (void)state;
    const struct zone *zone;
    mem_fail_after(1);
    assert_int_equal(
        zone_open(&arena, &zone_build_door, SLICE("Europe/Berlin"), &zone),
        ERR_NO_MEMORY);
    mem_fail_after(0);
    assert_null(zone);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(days_and_dates_go_both_ways),
        TEST(utc_and_offsets_need_no_file),
        TEST(names_that_are_none_are_not_found),
        TEST(beyond_the_calendar_the_wall_stands_still),
        TEST(berlin_by_its_rule),
        TEST(a_wall_time_that_is_skipped_or_comes_twice),
        TEST(south_of_the_equator_summer_runs_over_new_year),
        TEST(other_forms_of_rules),
        TEST(broken_rules_are_refused),
        TEST(before_between_and_after_the_changes),
        TEST(after_the_last_change_the_rule_goes_on),
        TEST(changes_close_to_each_other),
        TEST(a_file_that_is_cut_anywhere_is_refused),
        TEST(counts_that_lie_are_refused),
        TEST(contents_that_lie_are_refused),
        TEST(without_memory_it_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
