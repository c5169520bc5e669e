/* Times as feeds write them. */
#include "base/time_text.h"
#include "host/recipes_feed_int.h"

#define DAY_S (24LL * 3600)

/* RFC 822 (section 5) with four digits for the year, as RSS has it:
 * [Mon, ]02 Jan 2006 15:04[:05] (-0700 | GMT | EST ...). */
struct date {
    int64_t day, month, year;
    int64_t hour, minute, second;
    int64_t zone_minutes;
};

static bool next_word(struct slice *rest, struct slice *word)
{
    while (rest->size > 0 && (rest->at[0] == ' ' || rest->at[0] == '\t')) {
        *rest = slice_of(rest->at + 1, rest->size - 1);
    }
    if (rest->size == 0) {
        return false;
    }
    size_t size = 0;
    while (size < rest->size && rest->at[size] != ' ' &&
           rest->at[size] != '\t') {
        size++;
    }
    *word = slice_of(rest->at, size);
    *rest = slice_of(rest->at + size, rest->size - size);
    return true;
}

static bool number(struct slice text, int64_t least, int64_t most, int64_t *out)
{
    return text.size <= 4 && slice_to_i64(text, out) && *out >= least &&
           *out <= most;
}

static bool read_month(struct slice text, int64_t *out)
{
    static const char *const names[] = {"Jan", "Feb", "Mar", "Apr",
                                        "May", "Jun", "Jul", "Aug",
                                        "Sep", "Oct", "Nov", "Dec"};
    for (int i = 0; i < 12; i++) {
        if (slice_eq_nocase(text, slice_str(names[i]))) {
            *out = i + 1;
            return true;
        }
    }
    return false;
}

/* Two digits: of this century or the last, as RFC 5322 (4.3) has it. */
static bool read_year(struct slice text, int64_t *out)
{
    if (!number(text, 0, 9999, out)) {
        return false;
    }
    if (text.size <= 2) {
        *out += *out < 50 ? 2000 : 1900;
    }
    return *out >= 1700 && *out <= 2200; /* nanoseconds fit 64 bits */
}

static bool read_clock(struct slice text, struct date *date)
{
    ptrdiff_t colon = slice_find(text, ':');
    if (colon <= 0) {
        return false;
    }
    struct slice rest =
        slice_of(text.at + colon + 1, text.size - (size_t)colon - 1);
    ptrdiff_t second = slice_find(rest, ':');
    struct slice minute =
        slice_of(rest.at, second < 0 ? rest.size : (size_t)second);
    date->second = 0;
    return number(slice_of(text.at, (size_t)colon), 0, 23, &date->hour) &&
           number(minute, 0, 59, &date->minute) &&
           (second < 0 || number(slice_of(rest.at + second + 1,
                                          rest.size - (size_t)second - 1),
                                 0, 60, &date->second));
}

static bool read_zone(struct slice text, int64_t *minutes)
{
    static const struct {
        const char *name;
        int hours;
    } zones[] = {{"GMT", 0},  {"UT", 0},   {"UTC", 0},  {"Z", 0},
                 {"EST", -5}, {"EDT", -4}, {"CST", -6}, {"CDT", -5},
                 {"MST", -7}, {"MDT", -6}, {"PST", -8}, {"PDT", -7}};
    for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
        if (slice_eq_nocase(text, slice_str(zones[i].name))) {
            *minutes = zones[i].hours * 60;
            return true;
        }
    }
    int64_t hours;
    if (text.size != 5 || (text.at[0] != '+' && text.at[0] != '-') ||
        !number(slice_of(text.at + 1, 2), 0, 23, &hours) ||
        !number(slice_of(text.at + 3, 2), 0, 59, minutes)) {
        return false;
    }
    *minutes = (*minutes + hours * 60) * (text.at[0] == '-' ? -1 : 1);
    return true;
}

/* Days since 1970-01-01, of the proleptic Gregorian calendar: years begin in
 * March, so that the leap day is the last one. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2 ? 1 : 0;
    int64_t month_of_march = month > 2 ? month - 3 : month + 9;
    int64_t leap_days = year / 4 - year / 100 + year / 400;
    return year * 365 + leap_days + (month_of_march * 153 + 2) / 5 + day - 1 -
           719468;
}

static bool read_rfc822(struct slice text, struct date *date)
{
    struct slice word;
    struct slice zone;
    if (!next_word(&text, &word)) {
        return false;
    }
    if (word.at[word.size - 1] == ',' && !next_word(&text, &word)) {
        return false;
    }
    bool is_good = number(word, 1, 31, &date->day) && next_word(&text, &word) &&
                   read_month(word, &date->month) && next_word(&text, &word) &&
                   read_year(word, &date->year) && next_word(&text, &word) &&
                   read_clock(word, date);
    date->zone_minutes = 0;
    return is_good &&
           (!next_word(&text, &zone) || read_zone(zone, &date->zone_minutes));
}

bool feed__time(struct slice text, int64_t *out)
{
    struct date date;
    if (time_from_rfc3339(text, out)) {
        return true;
    }
    if (!read_rfc822(text, &date)) {
        return false;
    }
    int64_t seconds = days_of(date.year, date.month, date.day) * DAY_S +
                      date.hour * 3600 + date.minute * 60 + date.second -
                      date.zone_minutes * 60;
    *out = seconds * 1000 * 1000 * 1000;
    return true;
}
