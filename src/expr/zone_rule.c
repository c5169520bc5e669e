/* The footer of a TZif file: a POSIX TZ string with the two extensions of
 * RFC 9636, 3.3.1 (hours from -167 to 167).
 *
 *   std offset [dst [offset] , start [/time] , end [/time]]
 *
 * Offsets in it count to the west. */
#include "expr/zone_int.h"

#include "base/check.h"

enum {
    HOURS_MAX = 167,
    OFFSET_HOURS_MAX = 24,
    NAME_BYTES_MIN = 3,
    NAME_BYTES_MAX = 64,
    SECONDS_DEFAULT = 2 * 3600, /* of a change, of the day */
};

/* ---- reading ------------------------------------------------------------ */

static bool take(struct slice *text, char c)
{
    if (text->size == 0 || text->at[0] != c)
        return false;
    *text = slice_of(text->at + 1, text->size - 1);
    return true;
}

/* One to three digits, in [low, high]. */
static bool take_number(struct slice *text, int low, int high, int *out)
{
    int number = 0, digits = 0;
    for (; digits < 3 && text->size > 0; digits++) {
        char c = text->at[0];
        if (c < '0' || c > '9')
            break;
        number = number * 10 + (c - '0');
        *text = slice_of(text->at + 1, text->size - 1);
    }
    *out = number;
    return digits > 0 && number >= low && number <= high;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_quoted_name_char(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-';
}

/* "CET" or "<+0330>"; nobody asks what it is. */
static bool take_name(struct slice *text)
{
    bool is_quoted = take(text, '<');
    size_t size = 0;
    while (size < text->size && (is_quoted ? is_quoted_name_char(text->at[size])
                                           : is_letter(text->at[size])))
        size++;
    if (size < NAME_BYTES_MIN || size > NAME_BYTES_MAX)
        return false;
    *text = slice_of(text->at + size, text->size - size);
    return !is_quoted || take(text, '>');
}

/* [+-]hh[:mm[:ss]] */
static bool take_clock(struct slice *text, int hours_max, int32_t *out)
{
    int sign = take(text, '-') ? -1 : 1;
    int hours, minutes = 0, seconds = 0;
    if (sign == 1)
        (void)take(text, '+');
    if (!take_number(text, 0, hours_max, &hours))
        return false;
    if (take(text, ':')) {
        if (!take_number(text, 0, 59, &minutes))
            return false;
        if (take(text, ':') && !take_number(text, 0, 59, &seconds))
            return false;
    }
    *out = sign * (hours * 3600 + minutes * 60 + seconds);
    return true;
}

static bool take_month_day(struct slice *text, struct rule_day *out)
{
    out->kind = RULE_DAY_MONTH;
    return take_number(text, 1, 12, &out->month) && take(text, '.') &&
           take_number(text, 1, 5, &out->week) && take(text, '.') &&
           take_number(text, 0, 6, &out->day);
}

/* ",M3.5.0/2" */
static bool take_day(struct slice *text, struct rule_day *out)
{
    bool is_there;
    *out = (struct rule_day){.seconds = SECONDS_DEFAULT};
    if (!take(text, ','))
        return false;
    if (take(text, 'M')) {
        is_there = take_month_day(text, out);
    } else if (take(text, 'J')) {
        out->kind = RULE_DAY_JULIAN;
        is_there = take_number(text, 1, 365, &out->day);
    } else {
        out->kind = RULE_DAY_OF_YEAR;
        is_there = take_number(text, 0, 365, &out->day);
    }
    return is_there &&
           (!take(text, '/') || take_clock(text, HOURS_MAX, &out->seconds));
}

static bool take_summer(struct slice *text, struct zone_rule *out)
{
    int32_t west;
    if (!take_name(text))
        return false;
    out->has_summer = true;
    out->summer = out->standard + 3600;
    if (text->size > 0 && text->at[0] != ',') {
        if (!take_clock(text, OFFSET_HOURS_MAX, &west))
            return false;
        out->summer = -west;
    }
    return take_day(text, &out->begin) && take_day(text, &out->end);
}

bool zone_rule__parse(struct slice text, struct zone_rule *out)
{
    int32_t west;
    *out = (struct zone_rule){0};
    if (!take_name(&text) || !take_clock(&text, OFFSET_HOURS_MAX, &west))
        return false;
    out->standard = -west;
    if (text.size > 0 && !take_summer(&text, out))
        return false;
    return text.size == 0 && out->summer <= OFFSET_MAX &&
           out->summer >= OFFSET_MIN;
}

/* ---- asking ------------------------------------------------------------- */

static bool is_leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* 0 Sunday: 1970-01-01 was a Thursday. */
static int weekday_of(int64_t days)
{
    int64_t weekday = (days + 4) % 7;
    return (int)(weekday < 0 ? weekday + 7 : weekday);
}

static int64_t month_day(const struct rule_day *day, int year)
{
    int64_t first = days_from_date(year, day->month, 1);
    int64_t next = day->month == 12 ? days_from_date(year + 1, 1, 1)
                                    : days_from_date(year, day->month + 1, 1);
    int64_t at = first + (day->day - weekday_of(first) + 7) % 7 +
                 (int64_t)(day->week - 1) * 7;
    while (at >= next)
        at -= 7;
    CHECK_LE(first, at);
    return at;
}

/* The moment of a change, by the clock that counts until then. */
static int64_t moment_of(const struct rule_day *day, int year, int32_t offset)
{
    int64_t days = days_from_date(year, 1, 1);
    switch (day->kind) {
    case RULE_DAY_JULIAN:
        days += day->day - 1 + (is_leap(year) && day->day >= 60);
        break;
    case RULE_DAY_OF_YEAR:
        days += day->day;
        break;
    case RULE_DAY_MONTH:
        days = month_day(day, year);
        break;
    }
    return days * DAY_SECONDS + day->seconds - offset;
}

struct change {
    int64_t at;
    int32_t offset; /* from then on */
};

/* The changes of five years, in order: a change may move by some weeks over
 * the end of its year, so that the ones of a single year aren't known from its
 * neighbours alone. Where two fall together the later one counts, so what is
 * inserted later goes behind: a summer that ends as the next begins is summer
 * without end. */
enum { YEARS_AROUND = 2, CHANGES = 2 * (2 * YEARS_AROUND + 1) };

static void insert(struct change *changes, size_t *count, int64_t at,
                   int32_t offset)
{
    size_t to = (*count)++;
    for (; to > 0 && changes[to - 1].at > at; to--)
        changes[to] = changes[to - 1];
    changes[to] = (struct change){at, offset};
}

static void changes_around(const struct zone_rule *rule, int year,
                           struct change *changes)
{
    size_t count = 0;
    for (int y = year - YEARS_AROUND; y <= year + YEARS_AROUND; y++) {
        int64_t begin = moment_of(&rule->begin, y, rule->standard);
        int64_t end = moment_of(&rule->end, y, rule->summer);
        if (begin > end)
            insert(changes, &count, end, rule->standard);
        insert(changes, &count, begin, rule->summer);
        if (begin <= end)
            insert(changes, &count, end, rule->standard);
    }
    CHECK_EQ(count, CHANGES);
}

void zone_rule__span(const struct zone_rule *rule, int64_t unix_seconds,
                     struct zone_span *out)
{
    *out = (struct zone_span){INT64_MIN, INT64_MAX, rule->standard};
    if (!rule->has_summer)
        return;
    int year, month, day;
    int64_t local = unix_seconds + rule->standard;
    int64_t days = local / DAY_SECONDS - (local % DAY_SECONDS < 0);
    date_from_days(days, &year, &month, &day);

    struct change changes[CHANGES];
    changes_around(rule, year, changes);
    CHECK_LE(changes[0].at, unix_seconds);
    for (size_t i = 0; i < CHANGES; i++) {
        if (changes[i].at > unix_seconds) {
            out->end = changes[i].at;
            break;
        }
        out->begin = changes[i].at;
        out->offset = changes[i].offset;
    }
    CHECK(out->begin <= unix_seconds && unix_seconds < out->end);
}
