/* The parts of timestamps and durations, and the two questions that recipes
 * ask of the clock. */
#include "expr/function_int.h"

#include "base/check.h"
#include "expr/zone.h"

enum {
    /* Opening a zone walks through its file: some 250 changes. */
    ZONE_STEPS = 20,
};

static const int64_t second_ns = 1000000000;

static int64_t floor_seconds(int64_t ns)
{
    return ns / second_ns - (ns % second_ns < 0);
}

/* What a wall in that zone shows; false: *out is why it can't be known. */
static bool wall_in(struct run *run, int64_t ns, struct slice name,
                    struct wall_time *wall, struct value *out)
{
    const struct zone *zone;
    const struct zones *zones = run->world ? run->world->zones : NULL;
    if (!run__steps(run, ZONE_STEPS))
        return false;
    enum err err = zone_open(run->arena, zones, name, &zone);
    if (err) {
        *out = run__error(run, "%s", err_note());
        return false;
    }
    zone_wall(zone, floor_seconds(ns), wall);
    return true;
}

/* The arguments of an accessor: a timestamp, and a zone or none. */
static bool wall_of(struct run *run, const char *name,
                    const struct value *arguments, size_t count,
                    struct wall_time *wall, struct value *out)
{
    if (arguments[0].kind != VALUE_TIMESTAMP ||
        (count > 1 && arguments[1].kind != VALUE_STRING)) {
        function__no_overload(run, name, arguments, count, out);
        return false;
    }
    struct slice zone = count > 1 ? arguments[1].text : SLICE("UTC");
    return wall_in(run, arguments[0].integer, zone, wall, out);
}

/* The accessors that only timestamps have. Months and two of the days count
 * from zero, as JavaScript's do. */
#define ACCESSOR(name, text, expression)                                  \
    void function__##name(struct run *run, const struct value *arguments, \
                          size_t count, struct value *out)                \
    {                                                                     \
        struct wall_time wall;                                            \
        if (wall_of(run, text, arguments, count, &wall, out))             \
            *out = value_int(expression);                                 \
    }
ACCESSOR(full_year, "getFullYear", wall.year)
ACCESSOR(month, "getMonth", wall.month - 1)
ACCESSOR(date, "getDate", wall.day)
ACCESSOR(day_of_month, "getDayOfMonth", wall.day - 1)
ACCESSOR(day_of_week, "getDayOfWeek", wall.weekday)
ACCESSOR(day_of_year, "getDayOfYear", wall.yearday)

/* A duration counts whole units of all of it, and has no zone. */
static bool is_duration(const struct value *arguments, size_t count)
{
    return arguments[0].kind == VALUE_DURATION && count == 1;
}

void function__hours(struct run *run, const struct value *arguments,
                     size_t count, struct value *out)
{
    struct wall_time wall;
    if (is_duration(arguments, count))
        *out = value_int(arguments[0].integer / (3600 * second_ns));
    else if (wall_of(run, "getHours", arguments, count, &wall, out))
        *out = value_int(wall.hour);
}

void function__minutes(struct run *run, const struct value *arguments,
                       size_t count, struct value *out)
{
    struct wall_time wall;
    if (is_duration(arguments, count))
        *out = value_int(arguments[0].integer / (60 * second_ns));
    else if (wall_of(run, "getMinutes", arguments, count, &wall, out))
        *out = value_int(wall.minute);
}

void function__seconds(struct run *run, const struct value *arguments,
                       size_t count, struct value *out)
{
    struct wall_time wall;
    if (is_duration(arguments, count))
        *out = value_int(arguments[0].integer / second_ns);
    else if (wall_of(run, "getSeconds", arguments, count, &wall, out))
        *out = value_int(wall.second);
}

/* Of a duration, too, these are the ones within its second: CEL's one
 * exception. */
void function__milliseconds(struct run *run, const struct value *arguments,
                            size_t count, struct value *out)
{
    struct wall_time wall;
    int64_t ns = arguments[0].integer;
    if (is_duration(arguments, count))
        *out = value_int(ns % second_ns / 1000000);
    else if (wall_of(run, "getMilliseconds", arguments, count, &wall, out))
        *out = value_int((ns - floor_seconds(ns) * second_ns) / 1000000);
}

/* ---- ours --------------------------------------------------------------- */

/* Two ints within [0, max] and a zone. */
static bool take_span(struct run *run, const char *name,
                      const struct value *arguments, size_t count, int max,
                      struct wall_time *wall, struct value *out)
{
    if (arguments[0].kind != VALUE_INT || arguments[1].kind != VALUE_INT ||
        arguments[2].kind != VALUE_STRING) {
        function__no_overload(run, name, arguments, count, out);
        return false;
    }
    for (size_t i = 0; i < 2; i++) {
        if (arguments[i].integer < 0 || arguments[i].integer > max) {
            *out = run__error(run, "%s: %lld isn't in 0..%d", name,
                              (long long)arguments[i].integer, max);
            return false;
        }
    }
    if (run->world == NULL) {
        *out = run__error(run, "%s() can't be had here", name);
        return false;
    }
    return wall_in(run, run->world->now_ns, arguments[2].text, wall, out);
}

void function__time_hour(struct run *run, const struct value *arguments,
                         size_t count, struct value *out)
{
    struct wall_time wall;
    if (!take_span(run, "time.hour", arguments, count, 24, &wall, out))
        return;
    int64_t from = arguments[0].integer, to = arguments[1].integer;
    *out = value_bool(from <= to ? wall.hour >= from && wall.hour < to
                                 : wall.hour >= from || wall.hour < to);
}

/* 7 is a Sunday as well, as in cron: (1, 7) is all week, (6, 7) its end. */
void function__time_weekday(struct run *run, const struct value *arguments,
                            size_t count, struct value *out)
{
    struct wall_time wall;
    if (!take_span(run, "time.weekday", arguments, count, 7, &wall, out))
        return;
    int64_t first = arguments[0].integer % 7, last = arguments[1].integer % 7;
    int64_t day = wall.weekday;
    *out = value_bool(first <= last ? day >= first && day <= last
                                    : day >= first || day <= last);
}
