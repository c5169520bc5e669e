#include "base/time_text.h"

static const int64_t second_ns = 1000000000;
static const int64_t day_seconds = 86400;

/* ---- the calendar ------------------------------------------------------- */

/* Days are counted in years that begin on the first of March: the leap day is
 * then a year's last, and the months before it follow one rule (153 days in
 * each five months). An era is 400 years, 146,097 days. */
enum { ERA_DAYS = 146097, DAYS_TO_1970 = 719468 /* from 0000-03-01 */ };

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t days_from_date(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = floor_div(year, 400);
    int64_t year_of_era = year - era * 400;
    int64_t month_from_march = (month + 9) % 12;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    int64_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * ERA_DAYS + day_of_era - DAYS_TO_1970;
}

static void date_from_days(int64_t days, int64_t *year, int64_t *month,
                           int64_t *day)
{
    days += DAYS_TO_1970;
    int64_t era = floor_div(days, ERA_DAYS);
    int64_t day_of_era = days - era * ERA_DAYS;
    int64_t leap_days = day_of_era / 1460 - day_of_era / 36524 +
                        day_of_era / 146096; /* of the era's years so far */
    int64_t year_of_era = (day_of_era - leap_days) / 365;
    int64_t day_of_year =
        day_of_era - (year_of_era * 365 + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    *day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    *month =
        month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    *year = era * 400 + year_of_era + (*month <= 2);
}

static int64_t days_of_month(int64_t year, int64_t month)
{
    int64_t next_year = month == 12 ? year + 1 : year;
    int64_t next_month = month == 12 ? 1 : month + 1;
    return days_from_date(next_year, next_month, 1) -
           days_from_date(year, month, 1);
}

/* ---- RFC 3339 ----------------------------------------------------------- */

static size_t put_digits(char *out, uint64_t number, size_t digits)
{
    for (size_t i = digits; i > 0; i--, number /= 10)
        out[i - 1] = (char)('0' + number % 10);
    return digits;
}

/* "." and the digits of `part` out of 10^digits, less zeros at the end;
 * nothing when it is 0. */
static size_t put_fraction(char *out, uint64_t part, size_t digits)
{
    if (part == 0)
        return 0;
    for (; part % 10 == 0; part /= 10)
        digits--;
    out[0] = '.';
    return 1 + put_digits(out + 1, part, digits);
}

size_t time_to_rfc3339(int64_t time_ns, char out[TIME_TEXT_BYTES_MAX])
{
    int64_t seconds = floor_div(time_ns, second_ns);
    int64_t days = floor_div(seconds, day_seconds);
    uint64_t in_day = (uint64_t)(seconds - days * day_seconds);
    int64_t fraction = time_ns % second_ns;
    if (fraction < 0)
        fraction += second_ns;
    int64_t year, month, day;
    date_from_days(days, &year, &month, &day);

    const struct {
        uint64_t number;
        size_t digits;
        char after;
    } parts[] = {
        {(uint64_t)year, 4, '-'},   {(uint64_t)month, 2, '-'},
        {(uint64_t)day, 2, 'T'},    {in_day / 3600, 2, ':'},
        {in_day / 60 % 60, 2, ':'}, {in_day % 60, 2, 0},
    };
    size_t at = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        at += put_digits(out + at, parts[i].number, parts[i].digits);
        if (parts[i].after)
            out[at++] = parts[i].after;
    }
    at += put_fraction(out + at, (uint64_t)fraction, 9);
    out[at++] = 'Z';
    return at;
}

static bool take_char(struct slice *text, char c)
{
    if (text->size == 0 || text->at[0] != c)
        return false;
    *text = slice_of(text->at + 1, text->size - 1);
    return true;
}

static bool take_digit(struct slice *text, unsigned *digit)
{
    if (text->size == 0 || text->at[0] < '0' || text->at[0] > '9')
        return false;
    *digit = (unsigned)(text->at[0] - '0');
    *text = slice_of(text->at + 1, text->size - 1);
    return true;
}

/* Exactly `digits` digits, a number in [low, high]. */
static bool take_number(struct slice *text, int digits, int64_t low,
                        int64_t high, int64_t *out)
{
    unsigned digit;
    *out = 0;
    for (int i = 0; i < digits; i++) {
        if (!take_digit(text, &digit))
            return false;
        *out = *out * 10 + digit;
    }
    return *out >= low && *out <= high;
}

static bool take_date(struct slice *text, int64_t *days)
{
    int64_t year, month, day;
    if (!take_number(text, 4, 0, 9999, &year) || !take_char(text, '-') ||
        !take_number(text, 2, 1, 12, &month) || !take_char(text, '-') ||
        !take_number(text, 2, 1, days_of_month(year, month), &day))
        return false;
    *days = days_from_date(year, month, day);
    return true;
}

/* No leap second: a time in nanoseconds has no place for one. */
static bool take_clock(struct slice *text, int64_t *seconds)
{
    int64_t hour, minute, second;
    if (!take_number(text, 2, 0, 23, &hour) || !take_char(text, ':') ||
        !take_number(text, 2, 0, 59, &minute) || !take_char(text, ':') ||
        !take_number(text, 2, 0, 59, &second))
        return false;
    *seconds = hour * 3600 + minute * 60 + second;
    return true;
}

static bool take_fraction(struct slice *text, int64_t *ns)
{
    unsigned digit;
    *ns = 0;
    if (!take_char(text, '.'))
        return true;
    if (!take_digit(text, &digit))
        return false;
    int64_t scale = second_ns / 10;
    do {
        if (scale == 0)
            return false;
        *ns += digit * scale;
        scale /= 10;
    } while (take_digit(text, &digit));
    return true;
}

static bool take_offset(struct slice *text, int64_t *seconds)
{
    int64_t hours, minutes;
    *seconds = 0;
    if (take_char(text, 'Z') || take_char(text, 'z'))
        return true;
    bool west = take_char(text, '-');
    if (!west && !take_char(text, '+'))
        return false;
    if (!take_number(text, 2, 0, 23, &hours) || !take_char(text, ':') ||
        !take_number(text, 2, 0, 59, &minutes))
        return false;
    *seconds = hours * 3600 + minutes * 60;
    if (west)
        *seconds = -*seconds;
    return true;
}

bool time_from_rfc3339(struct slice text, int64_t *time_ns)
{
    int64_t days, in_day, fraction, offset, ns;
    if (!take_date(&text, &days) ||
        !(take_char(&text, 'T') || take_char(&text, 't')) ||
        !take_clock(&text, &in_day) || !take_fraction(&text, &fraction) ||
        !take_offset(&text, &offset) || text.size != 0)
        return false;
    int64_t seconds = days * day_seconds + in_day - offset;
    /* Before 1970 a second's end is nearer to zero than its beginning: go
     * there first, so that the earliest times don't overflow on the way. */
    if (seconds < 0 && fraction > 0) {
        seconds++;
        fraction -= second_ns;
    }
    if (__builtin_mul_overflow(seconds, second_ns, &ns) ||
        __builtin_add_overflow(ns, fraction, &ns))
        return false;
    *time_ns = ns;
    return true;
}

/* ---- durations ---------------------------------------------------------- */

static size_t put_unit(char *out, uint64_t whole, uint64_t part, size_t digits,
                       const char *unit)
{
    size_t at = u64_to_text(whole, out);
    at += put_fraction(out + at, part, digits);
    size_t size = strlen(unit);
    memcpy(out + at, unit, size);
    return at + size;
}

/* From a second up: hours and minutes where there are any, then seconds. */
static size_t put_hms(char *out, uint64_t ns)
{
    uint64_t seconds = ns / (uint64_t)second_ns;
    size_t at = 0;
    if (seconds >= 3600)
        at += put_unit(out + at, seconds / 3600, 0, 0, "h");
    if (seconds >= 60)
        at += put_unit(out + at, seconds / 60 % 60, 0, 0, "m");
    return at +
           put_unit(out + at, seconds % 60, ns % (uint64_t)second_ns, 9, "s");
}

size_t duration_to_text(int64_t duration_ns, char out[TIME_TEXT_BYTES_MAX])
{
    uint64_t ns = (uint64_t)duration_ns;
    size_t at = 0;
    if (duration_ns < 0) {
        ns = 0 - ns;
        out[at++] = '-';
    }
    if (ns == 0)
        return at + put_unit(out + at, 0, 0, 0, "s");
    if (ns < 1000)
        return at + put_unit(out + at, ns, 0, 0, "ns");
    if (ns < 1000000)
        return at + put_unit(out + at, ns / 1000, ns % 1000, 3, "\xC2\xB5s");
    if (ns < (uint64_t)second_ns)
        return at + put_unit(out + at, ns / 1000000, ns % 1000000, 6, "ms");
    return at + put_hms(out + at, ns);
}

/* The two micro signs: U+00B5 and the Greek letter U+03BC. */
static const struct {
    struct slice name;
    uint64_t ns;
} units[] = {
    {{"ns", 2}, 1},
    {{"us", 2}, 1000},
    {{"\xC2\xB5s", 3}, 1000},
    {{"\xCE\xBCs", 3}, 1000},
    {{"ms", 2}, 1000000},
    {{"s", 1}, 1000000000},
    {{"m", 1}, UINT64_C(60000000000)},
    {{"h", 1}, UINT64_C(3600000000000)},
};

/* A unit's name goes up to the next digit or point, as in Go. */
static bool take_unit(struct slice *text, uint64_t *ns)
{
    size_t size = 0;
    while (size < text->size && text->at[size] != '.' &&
           (text->at[size] < '0' || text->at[size] > '9'))
        size++;
    struct slice name = slice_of(text->at, size);
    *text = slice_of(text->at + size, text->size - size);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (slice_eq(name, units[i].name)) {
            *ns = units[i].ns;
            return true;
        }
    }
    return false;
}

/* Digits before and after a point, at least one in all. The fraction is
 * `*part / *scale`; digits that its number has no room for are passed over. */
static bool take_decimal(struct slice *text, uint64_t *whole, uint64_t *part,
                         double *scale)
{
    unsigned digit;
    bool any = false, full = false;
    *whole = *part = 0;
    *scale = 1;
    for (; take_digit(text, &digit); any = true) {
        if (__builtin_mul_overflow(*whole, 10, whole) ||
            __builtin_add_overflow(*whole, digit, whole))
            return false;
    }
    if (!take_char(text, '.'))
        return any;
    for (; take_digit(text, &digit); any = true) {
        full = full || *part > (uint64_t)INT64_MAX / 10;
        if (!full) {
            *part = *part * 10 + digit;
            *scale *= 10;
        }
    }
    return any;
}

/* One "1.5h". The fraction goes by way of a double, because Go's does: both
 * then round alike. */
static bool take_term(struct slice *text, uint64_t *ns)
{
    uint64_t whole, part, unit;
    double scale;
    if (!take_decimal(text, &whole, &part, &scale) || !take_unit(text, &unit) ||
        __builtin_mul_overflow(whole, unit, ns))
        return false;
    uint64_t rest = (uint64_t)((double)part * ((double)unit / scale));
    return !__builtin_add_overflow(*ns, rest, ns);
}

bool duration_from_text(struct slice text, int64_t *duration_ns)
{
    bool negative = take_char(&text, '-');
    if (!negative)
        take_char(&text, '+');
    if (slice_eq(text, SLICE("0"))) {
        *duration_ns = 0;
        return true;
    }
    uint64_t sum = 0, term;
    if (text.size == 0)
        return false;
    while (text.size > 0) {
        if (!take_term(&text, &term) || __builtin_add_overflow(sum, term, &sum))
            return false;
    }
    if (sum > (uint64_t)INT64_MAX + negative)
        return false;
    *duration_ns = (int64_t)(negative ? 0 - sum : sum);
    return true;
}
