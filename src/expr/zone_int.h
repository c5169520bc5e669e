/* What the files of zones share. */
#ifndef ETCHED_EXPR_ZONE_INT_H
#define ETCHED_EXPR_ZONE_INT_H

#include "expr/zone.h"

/* A span of time in which the offset stays the same: [begin, end). */
struct zone_span {
    int64_t begin; /* INT64_MIN: since ever */
    int64_t end;   /* INT64_MAX: for ever */
    int32_t offset;
};

/* ---- a rule: "CET-1CEST,M3.5.0,M10.5.0/3" (zone_rule.c) ------------------ */

enum rule_day_kind {
    RULE_DAY_JULIAN,  /* J1..J365: 29 February is never counted */
    RULE_DAY_OF_YEAR, /* 0..365: it is */
    RULE_DAY_MONTH,   /* Mm.w.d: the w-th weekday d of month m, 5: the last */
};
struct rule_day {
    enum rule_day_kind kind;
    int month;
    int week;
    int day;
    int32_t seconds; /* of the wall's clock, from that day's midnight */
};
struct zone_rule {
    int32_t standard; /* seconds east */
    int32_t summer;
    bool has_summer;
    struct rule_day begin; /* of summer time */
    struct rule_day end;
};

/* False where it isn't one. */
bool zone_rule__parse(struct slice text, struct zone_rule *out);
/* Needs: `unix_seconds` in the years 0 to 10000. */
void zone_rule__span(const struct zone_rule *rule, int64_t unix_seconds,
                     struct zone_span *out);

/* ---- a file (zone_file.c) ----------------------------------------------- */

/* Views of the file's bytes, checked when it was opened. */
struct zone_table {
    const unsigned char *times; /* ascending */
    size_t time_size;           /* 4 in version 1, else 8 */
    size_t count;
    const unsigned char *type_of; /* of the time after each */
    const unsigned char *types;   /* six bytes each, the offset first */
    bool has_rule;                /* for the time after the last */
    struct zone_rule rule;
};

enum err zone_file__read(struct slice file, struct zone_table *out) MUST_USE;
void zone_table__span(const struct zone_table *table, int64_t unix_seconds,
                      struct zone_span *out);

struct zone {
    bool is_fixed;
    int32_t offset; /* where it is */
    struct zone_table table;
};

enum {
    DAY_SECONDS = 86400,
    /* RFC 9636, 3.2: offsets lie within [-89999, 93599]. */
    OFFSET_MIN = -89999,
    OFFSET_MAX = 93599,
};

#endif
