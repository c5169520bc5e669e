/* Values of one piece: words, numbers, durations; and what was meant. */
#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "base/time_text.h"
#include "recipe/recipe_int.h"

/* ---- did you mean ------------------------------------------------------- */

enum { WORD_BYTES_MAX = 40 };

static size_t least_of(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* How many letters must be put in, left out or changed (Levenshtein), or two
 * neighbours swapped: what fingers do. Rows of the table, newest first. */
static size_t distance(struct slice a, struct slice b)
{
    size_t rows[3][WORD_BYTES_MAX + 1];
    size_t *older = rows[0], *old = rows[1], *row = rows[2];
    CHECK_LE(b.size, WORD_BYTES_MAX);
    for (size_t j = 0; j <= b.size; j++)
        old[j] = older[j] = j;
    for (size_t i = 1; i <= a.size; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            size_t differs = a.at[i - 1] != b.at[j - 1];
            row[j] = least_of(old[j] + 1, row[j - 1] + 1, old[j - 1] + differs);
            if (i > 1 && j > 1 && a.at[i - 1] == b.at[j - 2] &&
                a.at[i - 2] == b.at[j - 1] && older[j - 2] + 1 < row[j])
                row[j] = older[j - 2] + 1;
        }
        size_t *swap = older;
        older = old;
        old = row;
        row = swap;
    }
    return old[b.size];
}

const char *suggest__near(struct slice wanted, const char *const *names,
                          size_t count)
{
    const char *found = NULL;
    size_t least = wanted.size / 3 + 1;
    for (size_t i = 0; i < count && wanted.size <= WORD_BYTES_MAX; i++) {
        struct slice name = slice_str(names[i]);
        size_t differ =
            name.size <= WORD_BYTES_MAX ? distance(wanted, name) : SIZE_MAX;
        /* A word of two letters isn't near to another one of two. */
        if (differ <= least && differ < wanted.size && differ < name.size) {
            found = names[i];
            least = differ ? differ - 1 : 0;
        }
    }
    return found;
}

const char *reader__list(struct reader *reader, const char *const *words,
                         size_t count)
{
    struct buf text = {0};
    for (size_t i = 0; i < count; i++) {
        buf_append_str(&text, i == 0 ? "" : ", ");
        buf_append_str(&text, words[i]);
    }
    char *copy = arena_alloc(reader->arena, text.size + 1);
    if (text.size)
        memcpy(copy, text.at, text.size);
    copy[text.size] = '\0';
    buf_deinit(&text);
    return copy;
}

/* ---- scalars ------------------------------------------------------------ */

bool reader__string(struct reader *reader, const struct doc_value *value,
                    struct slice *out)
{
    bool is_scalar = value->kind != DOC_LIST && value->kind != DOC_MAP;
    *out = value->text;
    if (value->kind == DOC_STRING)
        return true;
    if (is_scalar && value->kind != DOC_NULL && value->text.size > 0)
        reader__fail(reader, value,
                     "%s is here, and text is wanted: write it in quotes, "
                     "\"%.*s\"",
                     doc_kind_text(value->kind), SHOWN(value->text));
    else
        reader__fail(reader, value, "%s is here, and text is wanted",
                     doc_kind_text(value->kind));
    return false;
}

bool reader__bool(struct reader *reader, const struct doc_value *value,
                  bool *out)
{
    if (value->kind != DOC_BOOL) {
        reader__fail(reader, value, "%s is here: write true or false",
                     doc_kind_text(value->kind));
        return false;
    }
    *out = value->boolean;
    return true;
}

bool reader__count(struct reader *reader, const struct doc_value *value,
                   int64_t min, int64_t max, int64_t *out)
{
    CHECK_LE(min, max);
    if (value->kind != DOC_INT || value->integer < min ||
        value->integer > max) {
        reader__fail(reader, value,
                     "write a whole number from %lld to %lld, without quotes",
                     (long long)min, (long long)max);
        return false;
    }
    *out = value->integer;
    return true;
}

bool reader__number(struct reader *reader, const struct doc_value *value,
                    double *out)
{
    if ((value->kind != DOC_INT && value->kind != DOC_DOUBLE) ||
        !isfinite(value->number)) {
        reader__fail(reader, value, "write a number, without quotes");
        return false;
    }
    *out = value->number;
    return true;
}

/* Digits and a 'd' in front: days of 24 hours. */
static bool take_days(struct slice *text, int64_t *out)
{
    uint64_t days;
    ptrdiff_t at = slice_find(*text, 'd');
    *out = 0;
    if (at < 0)
        return true;
    if (!slice_to_u64(slice_of(text->at, (size_t)at), &days) ||
        days > INT64_MAX / (uint64_t)day_ns)
        return false;
    *out = (int64_t)days * day_ns;
    *text = slice_of(text->at + at + 1, text->size - (size_t)at - 1);
    return true;
}

bool recipe_duration(struct slice text, int64_t *out)
{
    int64_t days, rest = 0;
    bool has_days = slice_find(text, 'd') >= 0;
    if (!take_days(&text, &days))
        return false;
    if (!has_days || text.size > 0) {
        /* Go's has a sign, and a zero without a unit. */
        if (!duration_from_text(text, &rest) || text.at[0] == '-' ||
            text.at[0] == '+' || slice_eq(text, SLICE("0")))
            return false;
    }
    return !__builtin_add_overflow(days, rest, out);
}

bool reader__duration(struct reader *reader, const struct doc_value *value,
                      int64_t min_ns, int64_t *out)
{
    char least[TIME_TEXT_BYTES_MAX];
    CHECK_LE(0, min_ns);
    if (value->kind != DOC_STRING || !recipe_duration(value->text, out)) {
        reader__fail(reader, value,
                     "write a duration with its unit: 30s, 5m, 1h30m, 7d%s",
                     value->kind == DOC_INT ? " (a bare number has none)" : "");
        return false;
    }
    if (*out < min_ns) {
        reader__fail(reader, value, "\"%.*s\" is too short: %.*s is the least",
                     SHOWN(value->text), (int)duration_to_text(min_ns, least),
                     least);
        return false;
    }
    return true;
}

bool reader__choice(struct reader *reader, const struct doc_value *value,
                    const char *const *words, size_t count, size_t *out)
{
    for (size_t i = 0; i < count && value->kind == DOC_STRING; i++) {
        if (slice_eq(value->text, slice_str(words[i]))) {
            *out = i;
            return true;
        }
    }
    const char *near = value->kind == DOC_STRING
                           ? suggest__near(value->text, words, count)
                           : NULL;
    if (near)
        reader__fail(reader, value, "\"%.*s\" isn't known: did you mean %s?",
                     SHOWN(value->text), near);
    else if (value->kind == DOC_STRING)
        reader__fail(reader, value, "\"%.*s\" isn't known: write one of %s",
                     SHOWN(value->text), reader__list(reader, words, count));
    else
        reader__fail(reader, value, "%s is here: write one of %s",
                     doc_kind_text(value->kind),
                     reader__list(reader, words, count));
    return false;
}

bool reader__recipe_name(struct reader *reader, const struct doc_value *value,
                         struct slice *out)
{
    if (!reader__string(reader, value, out))
        return false;
    if (!recipe_name_is_valid(*out)) {
        reader__fail(reader, value,
                     "\"%.*s\" can't be a recipe's name: write small letters, "
                     "digits, '.', '_' and '-', a letter or digit first, at "
                     "most %d",
                     SHOWN(*out), RECIPE_NAME_BYTES_MAX);
        return false;
    }
    return true;
}
