/* cron beside a twin that reads the fields anew for each minute and walks
 * through all of them, in zones of many kinds. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/prng.h"
#include "recipe/schedule.h"

/* As the footer of a zone's file has them (RFC 9636). */
static const char *const rules[] = {
    "CET-1CEST,M3.5.0,M10.5.0/3",           /* one hour, at night */
    "EST5EDT,M3.2.0,M11.1.0",               /* west */
    "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", /* half an hour, in the south */
    "<+0545>-5:45",                         /* an odd one without summer */
    "<-0330>3:30<-0230>,M3.2.0,M11.1.0",    /* at half past */
    "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",      /* the day before */
    "AAA-3BBB,J60/0,J300/0",         /* at midnight: a day begins at one */
    "AAA-1BBB-3,M3.5.0/1,M10.5.0/4", /* two hours */
    "WST-13",                        /* beyond half a day */
    "UTC0",
};
enum { RULES = sizeof rules / sizeof rules[0] };

/* A door whose zones, "0" to "9", are of these rules alone. */
static enum err find_by_rule(const struct zones *zones, struct slice name,
                             struct slice *tzif)
{
    static char file[256];
    size_t size = 0;
    (void)zones;
    assert_int_equal(name.size, 1);
    struct slice rule = slice_str(rules[name.at[0] - '0']);
    for (int part = 0; part < 2; part++, size += 54) {
        memset(file + size, 0, 54);
        memcpy(file + size, "TZif3", 5);
        put_be32(file + size + 36, 1); /* types */
        put_be32(file + size + 40, 4); /* bytes of names */
        memcpy(file + size + 50, "UTC", 4);
    }
    file[size++] = '\n';
    memcpy(file + size, rule.at, rule.size);
    size += rule.size;
    file[size++] = '\n';
    *tzif = slice_of(file, size);
    return ERR_OK;
}
static const struct zones by_rule = {.find = find_by_rule};

static const struct zone *open_zone(struct arena *arena, size_t index)
{
    const struct zone *zone;
    char name = (char)('0' + index);
    if (zone_open(arena, &by_rule, slice_of(&name, 1), &zone))
        fail_msg("%s: %s", rules[index], err_note());
    return zone;
}

/* ---- the twin ----------------------------------------------------------- */

static int number_of(struct slice text, const char *names)
{
    uint64_t number;
    for (int i = 0; names[0] && names[3 * i]; i++) {
        if (slice_eq_nocase(text, slice_of(names + 3 * i, 3)))
            return names[0] == 's' ? i : i + 1;
    }
    assert_true(slice_to_u64(text, &number));
    return (int)number;
}

/* Whether `value` is in one part of a field: "*", "5", "1-5", "x/2". */
static bool is_in_part(struct slice part, const char *names, int first,
                       int last, int value)
{
    int step = 1, from = first, to = last;
    ptrdiff_t slash = slice_find(part, '/');
    if (slash >= 0) {
        step = number_of(
            slice_of(part.at + slash + 1, part.size - (size_t)slash - 1), "");
        part.size = (size_t)slash;
    }
    ptrdiff_t dash = slice_find(part, '-');
    if (dash >= 0) {
        from = number_of(slice_of(part.at, (size_t)dash), names);
        to = number_of(
            slice_of(part.at + dash + 1, part.size - (size_t)dash - 1), names);
        if (names[0] == 's' && to == 0 && from > 0)
            to = 7;
    } else if (!slice_eq(part, SLICE("*"))) {
        from = number_of(part, names);
        to = slash >= 0 ? last : from;
    }
    return value >= from && value <= to && (value - from) % step == 0;
}

static bool is_in(const char *field, const char *names, int first, int last,
                  int value)
{
    struct slice rest = slice_of(field, strcspn(field, " "));
    for (;;) {
        ptrdiff_t comma = slice_find(rest, ',');
        struct slice part =
            slice_of(rest.at, comma < 0 ? rest.size : (size_t)comma);
        if (is_in_part(part, names, first, last, value))
            return true;
        if (comma < 0)
            return false;
        rest = slice_of(rest.at + comma + 1, rest.size - (size_t)comma - 1);
    }
}

static bool fits(const char *cron, const struct wall_time *wall)
{
    const char *fields[5];
    for (int i = 0; i < 5; i++) {
        fields[i] = cron;
        cron += strcspn(cron, " ");
        cron += *cron == ' ';
    }
    bool by_day = is_in(fields[2], "", 1, 31, wall->day);
    bool by_weekday =
        is_in(fields[4], "sunmontuewedthufrisat", 0, 7, wall->weekday) ||
        (wall->weekday == 0 &&
         is_in(fields[4], "sunmontuewedthufrisat", 0, 7, 7));
    bool any = strncmp(fields[2], "* ", 2) == 0 || strcmp(fields[4], "*") == 0;
    return is_in(fields[0], "", 0, 59, wall->minute) &&
           is_in(fields[1], "", 0, 23, wall->hour) &&
           is_in(fields[3], "janfebmaraprmayjunjulaugsepoctnovdec", 1, 12,
                 wall->month) &&
           (any ? by_day && by_weekday : by_day || by_weekday);
}

static const struct zone *utc;

/* Whether a wall has shown this minute before `now`, in the last hours. */
static bool was_shown(const struct zone *zone, int64_t shown, int64_t now)
{
    for (int64_t at = now - 60; at >= now - 10800; at -= 60) {
        if (at + zone_offset(zone, at) >= shown)
            return true;
    }
    return false;
}

/* A minute of the world fires where the wall shows a fitting one for the first
 * time, or jumped over one to get there. */
static bool fires(const char *cron, const struct zone *zone, int64_t now)
{
    struct wall_time wall;
    int64_t shown = now + zone_offset(zone, now);
    int64_t before = now - 60 + zone_offset(zone, now - 60);
    for (int64_t at = before + 60; at <= shown; at += 60) {
        /* Of a clock that nobody puts forward or back. */
        zone_wall(utc, at, &wall);
        if (fits(cron, &wall) && !was_shown(zone, at, now))
            return true;
    }
    return false;
}

/* ---- beside it ---------------------------------------------------------- */

static void any_field(struct prng *prng, int first, int last, const char *names,
                      char *out)
{
    int a = (int)prng_between(prng, first, last);
    int b = (int)prng_between(prng, a, last);
    int step = (int)prng_between(prng, 1, 9);
    switch (prng_below(prng, 8)) {
    case 0:
        snprintf(out, 32, "%d", a);
        break;
    case 1:
        snprintf(out, 32, "%d-%d", a, b);
        break;
    case 2:
        snprintf(out, 32, "*/%d", step);
        break;
    case 3:
        snprintf(out, 32, "%d/%d", a, step);
        break;
    case 4:
        snprintf(out, 32, "%d,%d-%d/%d", a, a, b, step);
        break;
    case 5:
        if (names[0]) {
            int of = (int)prng_below(prng, strlen(names) / 3);
            snprintf(out, 32, "%.3s", names + (size_t)of * 3);
            break;
        } /* fall through */
    default:
        snprintf(out, 32, "*");
    }
}

static void any_cron(struct prng *prng, char out[160])
{
    char fields[5][32];
    any_field(prng, 0, 59, "", fields[0]);
    any_field(prng, 0, 23, "", fields[1]);
    any_field(prng, 1, 28, "", fields[2]);
    any_field(prng, 1, 12, "", fields[3]);
    any_field(prng, 0, 7, "SunmonTueweDthuFRIsat", fields[4]);
    /* Nearly always the month that is looked at. */
    if (prng_below(prng, 4))
        snprintf(fields[3], 32, "*");
    snprintf(out, 160, "%s %s %s %s %s", fields[0], fields[1], fields[2],
             fields[3], fields[4]);
}

/* Some day of 2026; mostly the next one at which the clocks are changed. */
static int64_t any_begin(struct prng *prng, const struct zone *zone)
{
    int64_t day = 86400;
    int64_t begin = 1767225600 + (int64_t)prng_below(prng, 365) * day;
    bool is_any = prng_below(prng, 4) == 0;
    for (int i = 0; i < 365 && !is_any; i++, begin += day) {
        if (zone_offset(zone, begin) != zone_offset(zone, begin + day))
            return begin - 3600;
    }
    return begin;
}

static void a_twin_fires_at_the_same_minutes(void **state)
{
    (void)state;
    struct arena arena;
    struct prng prng;
    int fired = 0, changes = 0;
    prng_init(&prng, 8);
    arena_init(&arena, 0);
    for (int i = 0; i < 300; i++) {
        char text[160];
        const struct zone *zone;
        struct schedule schedule;
        const char *rule = rules[(size_t)i % RULES];
        any_cron(&prng, text);
        assert_int_equal(zone_open(&arena, NULL, SLICE("UTC"), &utc), ERR_OK);
        zone = open_zone(&arena, (size_t)i % RULES);
        if (schedule_parse_cron(slice_str(text), zone, &schedule))
            fail_msg("%s: %s", text, err_note());
        int64_t begin = any_begin(&prng, zone), end = begin + 26 * 3600;
        changes += zone_offset(zone, begin) != zone_offset(zone, end);
        int64_t next = schedule_next(&schedule, (begin - 1) * 1000000000);
        for (int64_t now = begin; now < end; now += 60) {
            bool is_next = next == now * 1000000000;
            if (fires(text, zone, now) != is_next)
                fail_msg("\"%s\" in %s at %lld: %d", text, rule, (long long)now,
                         is_next);
            if (is_next)
                next = schedule_next(&schedule, next);
            fired += is_next;
        }
        arena_reset(&arena);
    }
    assert_true(fired > 3000);
    assert_true(changes > 100);
    arena_deinit(&arena);
}

/* Asked at any moment, the answer is the first of what comes. */
static void between_two_firings_there_is_none(void **state)
{
    (void)state;
    struct arena arena;
    struct prng prng;
    prng_init(&prng, 9);
    arena_init(&arena, 0);
    for (int i = 0; i < 2000; i++) {
        char text[160];
        struct schedule schedule;
        any_cron(&prng, text);
        const struct zone *zone = open_zone(&arena, prng_below(&prng, RULES));
        if (schedule_parse_cron(slice_str(text), zone, &schedule))
            fail_msg("%s: %s", text, err_note());
        int64_t after = prng_between(&prng, -2000000000, 6000000000);
        after *= 1000000000;
        int64_t next = schedule_next(&schedule, after);
        assert_true(next > after && next % 60000000000 == 0);
        int64_t between = prng_between(&prng, after, next - 1);
        assert_int_equal(schedule_next(&schedule, between), next);
        assert_int_equal(schedule_next(&schedule, next - 1), next);
        assert_true(schedule_next(&schedule, next) > next);
        arena_reset(&arena);
    }
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_twin_fires_at_the_same_minutes),
        cmocka_unit_test(between_two_firings_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
