/* When a clock trigger fires: `every`, `cron` with a zone, `at`.
 *
 * cron has five fields (minute hour day month weekday): * , - / and names
 * (jan, mon); 7 is Sunday too; when both day and weekday are given, either is
 * enough; @hourly @daily @weekly @monthly @yearly. A time that the clock jumps
 * over fires once, right after; one that comes twice fires once. `every`
 * counts from 1970-01-01T00:00:00Z, so that it is the same for every worker. */
#ifndef ETCHED_RECIPE_SCHEDULE_H
#define ETCHED_RECIPE_SCHEDULE_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"
#include "expr/zone.h"

enum schedule_kind { SCHEDULE_EVERY, SCHEDULE_CRON, SCHEDULE_AT };
struct schedule {
    enum schedule_kind kind;
    int64_t every_ns; /* at least a second */
    int64_t at_ns;
    uint64_t minutes; /* bits */
    uint32_t hours;
    uint32_t days;    /* bits 1..31 */
    uint16_t months;  /* bits 1..12 */
    uint8_t weekdays; /* bits 0..6 */
    bool any_day;     /* the field was * */
    bool any_weekday;
    const struct zone *zone;
};

/* Errors: ERR_INVALID with a note that names the field and its bounds. */
enum err schedule_parse_cron(struct slice text, const struct zone *zone,
                             struct schedule *out) MUST_USE;
/* The first moment after `after_ns`; INT64_MAX: never again. */
int64_t schedule_next(const struct schedule *schedule, int64_t after_ns);

#endif
