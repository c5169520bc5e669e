/* '%s is at %.1f'.format([host, used]): CEL's string extension.
 *
 *   %s any value, as a template shows it   %d int or uint
 *   %f %e a number, with .digits (6)       %x %X int, uint; of strings and
 *   %b int, uint or bool   %o int, uint       bytes: each byte */
#include "expr/function_int.h"

#include <stdio.h>

#include "base/check.h"
#include "expr/value_int.h"

enum {
    PRECISION_DEFAULT = 6,
    PRECISION_MAX = 100,
    /* 309 digits before the point, and as many as there may be behind it. */
    FIXED_BYTES_MAX = 512,
};

/* One place: "%.3f". */
struct place {
    char verb;
    int precision; /* -1: not said */
};

static bool take_precision(struct slice *text, int *precision)
{
    *precision = -1;
    if (text->size == 0 || text->at[0] != '.')
        return true;
    *text = slice_of(text->at + 1, text->size - 1);
    *precision = 0;
    while (text->size > 0 && text->at[0] >= '0' && text->at[0] <= '9') {
        *precision = *precision * 10 + (text->at[0] - '0');
        if (*precision > PRECISION_MAX)
            return false;
        *text = slice_of(text->at + 1, text->size - 1);
    }
    return true;
}

static bool take_place(struct slice *text, struct place *out)
{
    if (!take_precision(text, &out->precision) || text->size == 0)
        return false;
    out->verb = text->at[0];
    *text = slice_of(text->at + 1, text->size - 1);
    return strchr("sdfexXob", out->verb) != NULL && out->verb != '\0' &&
           (out->precision < 0 || out->verb == 'f' || out->verb == 'e');
}

/* ---- one value ---------------------------------------------------------- */

static bool put_text(struct maker *maker, const struct value *value)
{
    if (value->kind == VALUE_STRING)
        return maker__append(maker, value->text.at, value->text.size);
    if (!run__weigh(maker->run, value))
        return false;
    struct buf text = {0};
    value_write_text(&text, value);
    bool is_done = maker__append(maker, text.at, text.size);
    buf_deinit(&text);
    return is_done;
}

static bool put_fixed(struct maker *maker, const struct value *value,
                      const struct place *place)
{
    char text[FIXED_BYTES_MAX];
    int precision = place->precision < 0 ? PRECISION_DEFAULT : place->precision;
    double number = value->kind == VALUE_INT    ? (double)value->integer
                    : value->kind == VALUE_UINT ? (double)value->natural
                                                : value->number;
    int size = place->verb == 'f'
                   ? snprintf(text, sizeof text, "%.*f", precision, number)
                   : snprintf(text, sizeof text, "%.*e", precision, number);
    CHECK(size > 0 && size < FIXED_BYTES_MAX);
    return run__steps(maker->run, 4) &&
           maker__append(maker, text, (size_t)size);
}

static bool put_digits(struct maker *maker, bool is_below, uint64_t natural,
                       unsigned base, bool is_upper)
{
    const char *digits = is_upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[66];
    size_t at = sizeof text;
    do {
        text[--at] = digits[natural % base];
        natural /= base;
    } while (natural > 0);
    if (is_below)
        text[--at] = '-';
    return maker__append(maker, text + at, sizeof text - at);
}

static bool put_hex_bytes(struct maker *maker, struct slice bytes,
                          bool is_upper)
{
    const char *digits = is_upper ? "0123456789ABCDEF" : "0123456789abcdef";
    for (size_t i = 0; i < bytes.size; i++) {
        unsigned char c = (unsigned char)bytes.at[i];
        char pair[2] = {digits[c >> 4], digits[c & 15]};
        if (i % 8 == 0 && !run__steps(maker->run, 1))
            return false;
        if (!maker__append(maker, pair, sizeof pair))
            return false;
    }
    return true;
}

static unsigned base_of(char verb)
{
    return verb == 'd' ? 10 : verb == 'o' ? 8 : verb == 'b' ? 2 : 16;
}

/* False where the value has no such form: *is_wrong; or at the budget's end. */
static bool put_place(struct maker *maker, const struct place *place,
                      const struct value *value, bool *is_wrong)
{
    bool is_hex = place->verb == 'x' || place->verb == 'X';
    if (place->verb == 's')
        return put_text(maker, value);
    if (place->verb == 'f' || place->verb == 'e') {
        *is_wrong = !value__is_number(value);
        return !*is_wrong && put_fixed(maker, value, place);
    }
    if (value->kind == VALUE_INT) {
        bool is_below = value->integer < 0;
        uint64_t natural = (uint64_t)value->integer;
        return put_digits(maker, is_below, is_below ? 0 - natural : natural,
                          base_of(place->verb), place->verb == 'X');
    }
    if (value->kind == VALUE_UINT)
        return put_digits(maker, false, value->natural, base_of(place->verb),
                          place->verb == 'X');
    if (value->kind == VALUE_BOOL && place->verb == 'b')
        return maker__append(maker, value->boolean ? "1" : "0", 1);
    if (is_hex && (value->kind == VALUE_STRING || value->kind == VALUE_BYTES))
        return put_hex_bytes(maker, value->text, place->verb == 'X');
    *is_wrong = true;
    return false;
}

/* ---- all of it ---------------------------------------------------------- */

/* Up to the next '%'; false: there is none. */
static bool put_plain(struct maker *maker, struct slice *text)
{
    ptrdiff_t found = slice_find(*text, '%');
    size_t size = found < 0 ? text->size : (size_t)found;
    (void)maker__append(maker, text->at, size);
    *text = slice_of(text->at + size, text->size - size);
    return found >= 0;
}

static bool next_place(struct maker *maker, struct slice *text,
                       const struct value_list *list, size_t *at,
                       struct value *out)
{
    struct run *run = maker->run;
    struct place place;
    bool is_wrong = false;
    *text = slice_of(text->at + 1, text->size - 1);
    if (text->size > 0 && text->at[0] == '%') {
        *text = slice_of(text->at + 1, text->size - 1);
        return maker__append(maker, "%", 1);
    }
    if (!take_place(text, &place)) {
        *out = run__error(run,
                          "format: place %zu isn't one of %%s %%d %%f "
                          "%%e %%x %%X %%o %%b",
                          *at + 1);
        return false;
    }
    if (*at == list->count) {
        *out = run__error(run, "format: no value for place %zu", *at + 1);
        return false;
    }
    const struct value *value = &list->items[(*at)++];
    if (put_place(maker, &place, value, &is_wrong))
        return true;
    if (is_wrong)
        *out = run__error(run, "format: %%%c can't show %s", place.verb,
                          value_kind_text(value->kind));
    return false;
}

void function__format(struct run *run, const struct value *arguments,
                      size_t count, struct value *out)
{
    if (arguments[0].kind != VALUE_STRING || arguments[1].kind != VALUE_LIST) {
        function__no_overload(run, "format", arguments, count, out);
        return;
    }
    struct maker maker = {.run = run};
    struct slice text = arguments[0].text;
    const struct value_list *list = arguments[1].list;
    size_t at = 0;
    while (put_plain(&maker, &text)) {
        if (!run__steps(run, 1) || !next_place(&maker, &text, list, &at, out))
            return;
    }
    if (at < list->count)
        *out = run__error(run, "format: %zu values, but %zu places",
                          list->count, at);
    else
        maker__give(&maker, out);
}
