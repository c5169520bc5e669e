/* Time zones: what a clock on the wall shows, by the TZif file of a zone
 * (RFC 9636; its footer is a POSIX TZ rule, for years past the table). */
#ifndef ETCHED_EXPR_ZONE_H
#define ETCHED_EXPR_ZONE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"
#include "port/zones.h"

struct zone;

/* A moment as a calendar and a wall show it. */
struct wall_time {
    int year;    /* 1..9999 */
    int month;   /* 1..12 */
    int day;     /* 1..31 */
    int hour;    /* 0..23 */
    int minute;  /* 0..59 */
    int second;  /* 0..59 */
    int weekday; /* 0 Sunday .. 6 */
    int yearday; /* 0..365 */
};

/* "UTC", "" (the same), an offset "+08:00", or a name that `zones` knows
 * (NULL: none).
 * Owns:   the arena's.
 * Errors: ERR_NOT_FOUND, ERR_INVALID (a broken file), with a note. */
enum err zone_open(struct arena *arena, const struct zones *zones,
                   struct slice name, const struct zone **out) MUST_USE;

/* Seconds east of Greenwich at a moment. */
int32_t zone_offset(const struct zone *zone, int64_t unix_seconds);
void zone_wall(const struct zone *zone, int64_t unix_seconds,
               struct wall_time *out);

enum zone_fit {
    ZONE_ONCE,
    ZONE_SKIPPED, /* clocks jump over it: *out is the first moment after */
    ZONE_TWICE,   /* clocks go back: *out is the first of the two */
};
/* The moment at which the wall shows year..second (the rest isn't read). */
enum zone_fit zone_moment(const struct zone *zone, const struct wall_time *wall,
                          int64_t *unix_seconds);

/* Days of the proleptic Gregorian calendar since 1970-01-01, and back. */
int64_t days_from_date(int year, int month, int day);
void date_from_days(int64_t days, int *year, int *month, int *day);

#endif
