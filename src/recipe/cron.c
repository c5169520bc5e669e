/* The five fields of cron, read into bits. */
#include <stdio.h>

#include "base/check.h"
#include "recipe/cron_int.h"
#include "recipe/schedule.h"

struct cron_field {
    const char *name;
    unsigned first;
    unsigned last;
    const char *const *names; /* of three letters, in order from `first` */
    size_t name_count;
};

static const char *const month_names[] = {"jan", "feb", "mar", "apr",
                                          "may", "jun", "jul", "aug",
                                          "sep", "oct", "nov", "dec"};
static const char *const day_names[] = {"sun", "mon", "tue", "wed",
                                        "thu", "fri", "sat"};

enum { MINUTE, HOUR, DAY, MONTH, WEEKDAY, CRON_FIELDS };
static const struct cron_field fields[CRON_FIELDS] = {
    {"minute", 0, 59, NULL, 0},      {"hour", 0, 23, NULL, 0},
    {"day", 1, 31, NULL, 0},         {"month", 1, 12, month_names, 12},
    {"weekday", 0, 7, day_names, 7},
};

static enum err refuse(const struct cron_field *field, struct slice text,
                       const char *why)
{
    int shown = text.size < 40 ? (int)text.size : 40;
    return err_set(ERR_INVALID, "the %s \"%.*s\": %s; it goes from %u to %u%s",
                   field->name, shown, text.at, why, field->first, field->last,
                   field->names == day_names     ? " (0 and 7 are Sunday)"
                   : field->names == month_names ? " (or jan to dec)"
                                                 : "");
}

static bool read_name(const struct cron_field *field, struct slice text,
                      unsigned *out)
{
    for (size_t i = 0; i < field->name_count; i++) {
        if (slice_eq_nocase(text, slice_str(field->names[i]))) {
            *out = field->first + (unsigned)i;
            return true;
        }
    }
    return false;
}

static enum err read_number(const struct cron_field *field, struct slice text,
                            unsigned *out)
{
    uint64_t number;
    if (read_name(field, text, out))
        return ERR_OK;
    if (!slice_to_u64(text, &number))
        return refuse(field, text, "not a number");
    if (number < field->first || number > field->last)
        return refuse(field, text, "out of bounds");
    *out = (unsigned)number;
    return ERR_OK;
}

/* The part before the first `c` to *head; false: there is no `c`. */
static bool split(struct slice *text, char c, struct slice *head)
{
    ptrdiff_t at = slice_find(*text, c);
    *head = *text;
    if (at < 0)
        return false;
    *head = slice_of(text->at, (size_t)at);
    *text = slice_of(text->at + at + 1, text->size - (size_t)at - 1);
    return true;
}

/* "5", "5-9", "*"; `steps`: a '/' follows, so "5" is "5-last". */
static enum err read_span(const struct cron_field *field, struct slice text,
                          bool steps, unsigned *from, unsigned *to)
{
    struct slice rest = text, head;
    if (slice_eq(text, SLICE("*"))) {
        *from = field->first;
        *to = field->last;
        return ERR_OK;
    }
    bool is_span = split(&rest, '-', &head);
    enum err err = read_number(field, head, from);
    *to = steps ? field->last : *from;
    if (!err && is_span) {
        err = read_number(field, rest, to);
        /* fri-sun */
        if (!err && field->names == day_names && *to == 0 && *from > 0)
            *to = 7;
        if (!err && *to < *from)
            err = refuse(field, text,
                         "it ends before it begins; write two parts with a "
                         "comma");
    }
    return err;
}

static enum err read_part(const struct cron_field *field, struct slice text,
                          uint64_t *bits)
{
    struct slice step_text = text, span;
    unsigned from, to;
    uint64_t step = 1;
    bool has_step = split(&step_text, '/', &span);
    enum err err = read_span(field, span, has_step, &from, &to);
    if (!err && has_step && (!slice_to_u64(step_text, &step) || step == 0))
        err = refuse(field, text, "what follows the '/' is a number above 0");
    CHECK(err || (from <= to && to <= field->last));
    for (uint64_t i = from; !err && i <= to; i += step > 64 ? 64 : step)
        *bits |= (uint64_t)1 << i;
    return err;
}

static enum err read_field(const struct cron_field *field, struct slice text,
                           uint64_t *bits)
{
    CHECK_LT(field->last, 64);
    struct slice part;
    bool more = true;
    enum err err = ERR_OK;
    *bits = 0;
    while (more && !err) {
        more = split(&text, ',', &part);
        err = read_part(field, part, bits);
    }
    return err;
}

/* ---- the whole ---------------------------------------------------------- */

static size_t split_fields(struct slice text, struct slice out[CRON_FIELDS])
{
    size_t count = 0;
    for (size_t at = 0; at < text.size;) {
        size_t begin = at;
        while (at < text.size && text.at[at] != ' ' && text.at[at] != '\t')
            at++;
        if (at > begin) {
            if (count < CRON_FIELDS)
                out[count] = slice_of(text.at + begin, at - begin);
            count++;
        } else {
            at++;
        }
    }
    return count;
}

static enum err read_nickname(struct slice text, struct slice *out)
{
    static const char *const nicknames[][2] = {
        {"@hourly", "0 * * * *"},   {"@daily", "0 0 * * *"},
        {"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"},
        {"@monthly", "0 0 1 * *"},  {"@yearly", "0 0 1 1 *"},
        {"@annually", "0 0 1 1 *"},
    };
    for (size_t i = 0; i < sizeof nicknames / sizeof nicknames[0]; i++) {
        if (slice_eq(text, slice_str(nicknames[i][0]))) {
            *out = slice_str(nicknames[i][1]);
            return ERR_OK;
        }
    }
    int shown = text.size < 40 ? (int)text.size : 40;
    if (slice_has_prefix(text, SLICE("@every")))
        return err_set(ERR_INVALID,
                       "\"%.*s\" isn't cron here: write the "
                       "trigger `every: 5m`",
                       shown, text.at);
    return err_set(ERR_INVALID,
                   "\"%.*s\" isn't known: write @hourly, @daily, @weekly, "
                   "@monthly, @yearly or five fields",
                   shown, text.at);
}

static enum err check_comes(const struct schedule *schedule)
{
    struct wall_time wall = {.year = 2000, .month = 1, .day = 1};
    if (cron__find_wall(schedule, &wall))
        return ERR_OK;
    return err_set(ERR_INVALID,
                   "this day never comes: no such month has it (February has "
                   "29 days at most; April, June, September and November 30)");
}

enum err schedule_parse_cron(struct slice text, const struct zone *zone,
                             struct schedule *out)
{
    struct slice parts[CRON_FIELDS] = {{0}};
    uint64_t bits[CRON_FIELDS];
    enum err err = ERR_OK;
    if (text.size > 0 && text.at[0] == '@')
        err = read_nickname(text, &text);
    if (err)
        return err;
    size_t count = split_fields(text, parts);
    if (count != CRON_FIELDS)
        return err_set(ERR_INVALID,
                       "cron has five fields, minute hour day month weekday "
                       "(\"0 9 * * 1-5\"), and here %s %zu%s",
                       count == 1 ? "is" : "are", count,
                       count == 6 ? "; there are no seconds" : "");
    for (size_t i = 0; i < CRON_FIELDS && !err; i++)
        err = read_field(&fields[i], parts[i], &bits[i]);
    if (err)
        return err;
    /* 7 is Sunday too. */
    bits[WEEKDAY] = (bits[WEEKDAY] | bits[WEEKDAY] >> 7) & 0x7f;
    CHECK(zone);
    *out = (struct schedule){
        .kind = SCHEDULE_CRON,
        .minutes = bits[MINUTE],
        .hours = (uint32_t)bits[HOUR],
        .days = (uint32_t)bits[DAY],
        .months = (uint16_t)bits[MONTH],
        .weekdays = (uint8_t)bits[WEEKDAY],
        .any_day = slice_eq(parts[DAY], SLICE("*")),
        .any_weekday = slice_eq(parts[WEEKDAY], SLICE("*")),
        .zone = zone,
    };
    return check_comes(out);
}
