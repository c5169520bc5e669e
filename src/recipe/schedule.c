/* When a clock trigger fires next.
 *
 * For cron the wall is walked: the first minute on it that the fields allow
 * and whose moment is after the given one. A later minute of the wall never
 * has an earlier moment, whatever the clocks do (zone_moment: a skipped one
 * has the first moment after the gap, a doubled one the first of its two), so
 * the walk may begin at the wall of the given moment; and two minutes with one
 * moment are one firing.
 */
#include "recipe/schedule.h"

#include "base/check.h"
#include "recipe/cron_int.h"

static const int64_t second_ns = 1000000000;

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* ---- the wall ----------------------------------------------------------- */

static int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    CHECK(month >= 1 && month <= 12);
    return days[month - 1] + (month == 2 && is_leap);
}

static bool day_fits(const struct schedule *schedule, int year, int month,
                     int day)
{
    /* 1970-01-01 was a Thursday. */
    int64_t days = days_from_date(year, month, day) + 4;
    int weekday = (int)(days - floor_div(days, 7) * 7);
    CHECK(weekday >= 0 && weekday < 7);
    bool by_day = schedule->days >> day & 1;
    bool by_weekday = schedule->weekdays >> weekday & 1;
    if (schedule->any_day || schedule->any_weekday)
        return by_day && by_weekday;
    return by_day || by_weekday;
}

/* The first bit at or after `from`, or -1. */
static int next_bit(uint64_t bits, int from)
{
    bits = from < 64 ? bits >> from << from : 0;
    return bits ? __builtin_ctzll(bits) : -1;
}

/* The first minute of that day at or after the wall's; false: none. */
static bool find_minute(const struct schedule *schedule, struct wall_time *wall)
{
    int hour = next_bit(schedule->hours, wall->hour);
    int minute = wall->minute;
    if (hour < 0)
        return false;
    if (hour > wall->hour)
        minute = 0;
    minute = next_bit(schedule->minutes, minute);
    if (minute < 0) {
        hour = next_bit(schedule->hours, hour + 1);
        minute = next_bit(schedule->minutes, 0);
    }
    wall->hour = hour;
    wall->minute = minute;
    return hour >= 0;
}

static void begin_next_day(struct wall_time *wall)
{
    wall->hour = wall->minute = 0;
    if (++wall->day > days_of_month(wall->year, wall->month))
        cron__begin_next_month(wall);
}

void cron__begin_next_month(struct wall_time *wall)
{
    wall->hour = wall->minute = 0;
    wall->day = 1;
    if (++wall->month > 12) {
        wall->month = 1;
        wall->year++;
    }
}

/* The first minute of the wall at or after *wall that the fields allow. The
 * 29th of February is at most eight years away. */
bool cron__find_wall(const struct schedule *schedule, struct wall_time *wall)
{
    int last_year = wall->year + 9;
    while (wall->year <= last_year) {
        if (!(schedule->months >> wall->month & 1))
            cron__begin_next_month(wall);
        else if (!day_fits(schedule, wall->year, wall->month, wall->day) ||
                 !find_minute(schedule, wall))
            begin_next_day(wall);
        else
            return true;
    }
    return false;
}

static void begin_next_minute(struct wall_time *wall)
{
    if (++wall->minute < 60)
        return;
    wall->minute = 0;
    if (++wall->hour == 24)
        begin_next_day(wall);
}

/* ---- the next moment ---------------------------------------------------- */

static int64_t next_cron(const struct schedule *schedule, int64_t after_ns)
{
    struct wall_time wall;
    int64_t moment;
    CHECK(schedule->zone);
    int64_t after = floor_div(after_ns, second_ns);
    zone_wall(schedule->zone, after, &wall);
    wall.second = 0;
    while (cron__find_wall(schedule, &wall)) {
        zone_moment(schedule->zone, &wall, &moment);
        if (moment > INT64_MAX / second_ns)
            return INT64_MAX;
        if (moment > after)
            return moment * second_ns;
        begin_next_minute(&wall);
    }
    return INT64_MAX;
}

static int64_t next_every(int64_t every_ns, int64_t after_ns)
{
    int64_t next;
    CHECK_LT(0, every_ns);
    if (__builtin_mul_overflow(floor_div(after_ns, every_ns) + 1, every_ns,
                               &next))
        return INT64_MAX;
    return next;
}

int64_t schedule_next(const struct schedule *schedule, int64_t after_ns)
{
    switch (schedule->kind) {
    case SCHEDULE_EVERY:
        return next_every(schedule->every_ns, after_ns);
    case SCHEDULE_CRON:
        return next_cron(schedule, after_ns);
    case SCHEDULE_AT:
        return schedule->at_ns > after_ns ? schedule->at_ns : INT64_MAX;
    }
    UNREACHABLE();
}
