/* Zones: opening one, and the two ways between a moment and a wall. */
#include "expr/zone.h"

#include "base/check.h"
#include "expr/zone_int.h"

enum {
    NAME_BYTES_MAX = 64,
    ERA_DAYS = 146097,       /* 400 years */
    DAYS_TO_1970 = 719468,   /* from 0000-03-01 */
    DAYS_ABOVE = 1000000000, /* nobody asks for dates beyond that */
};

/* 0001-01-01T00:00:00 and 9999-12-31T23:59:59: what a wall can show. */
static const int64_t wall_first = INT64_C(-62135596800);
static const int64_t wall_last = INT64_C(253402300799);

/* ---- the calendar ------------------------------------------------------- */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Years begin in March here: the leap day is then the last of a year, and the
 * months before it follow one rule, 153 days in each five. */
int64_t days_from_date(int year, int month, int day)
{
    CHECK(month >= 1 && month <= 12);
    int64_t y = (int64_t)year - (month <= 2);
    int64_t era = floor_div(y, 400);
    int64_t of_era = y - era * 400;
    int64_t from_march = (month + 9) % 12;
    int64_t of_year = (153 * from_march + 2) / 5 + day - 1;
    return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year -
           DAYS_TO_1970;
}

void date_from_days(int64_t days, int *year, int *month, int *day)
{
    CHECK(days > -DAYS_ABOVE && days < DAYS_ABOVE);
    days += DAYS_TO_1970;
    int64_t era = floor_div(days, ERA_DAYS);
    int64_t of_era = days - era * ERA_DAYS;
    int64_t leap_days = of_era / 1460 - of_era / 36524 + of_era / 146096;
    int64_t y = (of_era - leap_days) / 365;
    int64_t of_year = of_era - (y * 365 + y / 4 - y / 100);
    int64_t from_march = (5 * of_year + 2) / 153;
    *day = (int)(of_year - (153 * from_march + 2) / 5 + 1);
    *month = (int)(from_march < 10 ? from_march + 3 : from_march - 9);
    *year = (int)(era * 400 + y + (*month <= 2));
}

/* ---- opening ------------------------------------------------------------ */

static const struct zone utc = {.is_fixed = true};

static bool two_digits(const char *at, int max, int *out)
{
    if (at[0] < '0' || at[0] > '9' || at[1] < '0' || at[1] > '9')
        return false;
    *out = (at[0] - '0') * 10 + (at[1] - '0');
    return *out <= max;
}

/* "+08:00", "-02:30", and as CEL has it "02:00". */
static bool parse_offset(struct slice name, int32_t *out)
{
    int sign = name.size > 0 && name.at[0] == '-' ? -1 : 1;
    if (name.size > 0 && (name.at[0] == '+' || name.at[0] == '-'))
        name = slice_of(name.at + 1, name.size - 1);
    int hours, minutes;
    if (name.size != 5 || name.at[2] != ':' ||
        !two_digits(name.at, 23, &hours) ||
        !two_digits(name.at + 3, 59, &minutes))
        return false;
    *out = sign * (hours * 3600 + minutes * 60);
    return true;
}

/* Names are paths below the zoneinfo directory, and stay there. */
static bool is_name(struct slice name)
{
    if (name.size > NAME_BYTES_MAX || name.at[0] == '/')
        return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.at[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '_' || c == '+' ||
                        c == '-' || c == '/';
        if (!is_plain)
            return false;
    }
    return true;
}

static enum err no_zone(struct slice name)
{
    int shown = name.size > NAME_BYTES_MAX ? NAME_BYTES_MAX : (int)name.size;
    return err_set(ERR_NOT_FOUND, "no time zone '%.*s'", shown, name.at);
}

enum err zone_open(struct arena *arena, const struct zones *zones,
                   struct slice name, const struct zone **out)
{
    int32_t offset;
    *out = NULL;
    if (name.size == 0 || slice_eq(name, SLICE("UTC"))) {
        *out = &utc;
        return ERR_OK;
    }
    bool is_fixed = parse_offset(name, &offset);
    struct slice file;
    if (!is_fixed && (zones == NULL || !is_name(name)))
        return no_zone(name);
    if (!is_fixed && zones->find(zones, name, &file))
        return no_zone(name);
    struct zone *zone = arena_try_alloc(arena, sizeof *zone);
    if (zone == NULL)
        return err_set(ERR_NO_MEMORY, "no memory for a time zone");
    *zone =
        (struct zone){.is_fixed = is_fixed, .offset = is_fixed ? offset : 0};
    enum err err = is_fixed ? ERR_OK : zone_file__read(file, &zone->table);
    if (err)
        return err_wrap(err, "time zone '%.*s'", (int)name.size, name.at);
    *out = zone;
    return ERR_OK;
}

/* ---- asking ------------------------------------------------------------- */

static int64_t clamp(int64_t number, int64_t low, int64_t high)
{
    return number < low ? low : number > high ? high : number;
}

static void span_at(const struct zone *zone, int64_t unix_seconds,
                    struct zone_span *out)
{
    if (zone->is_fixed)
        *out = (struct zone_span){INT64_MIN, INT64_MAX, zone->offset};
    else
        zone_table__span(&zone->table, unix_seconds, out);
    CHECK(out->offset >= OFFSET_MIN && out->offset <= OFFSET_MAX);
}

int32_t zone_offset(const struct zone *zone, int64_t unix_seconds)
{
    struct zone_span span;
    span_at(zone, clamp(unix_seconds, wall_first, wall_last), &span);
    return span.offset;
}

void zone_wall(const struct zone *zone, int64_t unix_seconds,
               struct wall_time *out)
{
    unix_seconds = clamp(unix_seconds, wall_first, wall_last);
    int64_t local = clamp(unix_seconds + zone_offset(zone, unix_seconds),
                          wall_first, wall_last);
    int64_t days = floor_div(local, DAY_SECONDS);
    int in_day = (int)(local - days * DAY_SECONDS);
    date_from_days(days, &out->year, &out->month, &out->day);
    out->hour = in_day / 3600;
    out->minute = in_day / 60 % 60;
    out->second = in_day % 60;
    out->weekday = (int)((days + 4) % 7 + 7) % 7;
    out->yearday = (int)(days - days_from_date(out->year, 1, 1));
    CHECK(out->year >= 1 && out->year <= 9999);
}

/* The wall as seconds, as if it stood in Greenwich. */
static int64_t wall_seconds(const struct wall_time *wall)
{
    return days_from_date(wall->year, wall->month, wall->day) * DAY_SECONDS +
           wall->hour * 3600 + wall->minute * 60 + wall->second;
}

/* Go through the spans that can show this wall, first to last. Within one,
 * moment and wall run side by side; the wall jumps from one to the next. */
enum zone_fit zone_moment(const struct zone *zone, const struct wall_time *wall,
                          int64_t *unix_seconds)
{
    int64_t shown = clamp(wall_seconds(wall), wall_first, wall_last);
    int64_t at = shown - OFFSET_MAX;
    int64_t after_gap = INT64_MAX;
    size_t found = 0;
    while (at <= shown - OFFSET_MIN && found < 2) {
        struct zone_span span;
        span_at(zone, at, &span);
        int64_t moment = shown - span.offset;
        if (moment >= span.begin && moment < span.end) {
            if (found++ == 0)
                *unix_seconds = moment;
        } else if (span.begin > moment && after_gap == INT64_MAX) {
            after_gap = span.begin; /* the first moment after the jump */
        }
        if (span.end == INT64_MAX)
            break;
        CHECK_LT(at, span.end);
        at = span.end;
    }
    if (found > 0)
        return found == 1 ? ZONE_ONCE : ZONE_TWICE;
    CHECK(after_gap != INT64_MAX);
    *unix_seconds = after_gap;
    return ZONE_SKIPPED;
}
