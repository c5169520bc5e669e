#include "cmd/etchctl/flags.h"

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/time_text.h"

void flags_init(struct flags *flags, struct arena *arena,
                const struct flag_spec *specs)
{
    size_t count = 0;

    while (specs && specs[count].name)
        count++;
    flags->specs = specs;
    flags->count = count;
    flags->values = arena_alloc(arena, (count + 1) * sizeof(*flags->values));
    memset(flags->values, 0, (count + 1) * sizeof(*flags->values));
    for (size_t i = 0; i < count; i++) {
        flags->values[i].text = "";
        if (specs[i].initial) {
            enum err err = flags_set(flags, specs[i].name, specs[i].initial);
            CHECK(err == ERR_OK);
            flags->values[i].is_given = false;
        }
    }
}

/* ---- values ------------------------------------------------------------- */

static bool parse_bool(const char *text, bool *out)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};

    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *out = strcmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 99;
}

static const char *skip_base(const char *text, int *base)
{
    *base = 10;
    if (text[0] != '0' || text[1] == '\0')
        return text;
    switch (text[1] | 0x20) {
    case 'x':
        *base = 16;
        return text + 2;
    case 'o':
        *base = 8;
        return text + 2;
    case 'b':
        *base = 2;
        return text + 2;
    default:
        *base = 8;
        return text + 1;
    }
}

static bool parse_int(const char *text, int64_t *out)
{
    bool negative = text[0] == '-';
    int64_t number = 0;
    int base;

    if (text[0] == '-' || text[0] == '+')
        text++;
    text = skip_base(text, &base);
    if (text[0] == '\0')
        return false;
    for (; *text; text++) {
        int digit = digit_of(*text);
        if (digit >= base || __builtin_mul_overflow(number, base, &number) ||
            __builtin_add_overflow(number, digit, &number))
            return false;
    }
    *out = negative ? -number : number;
    return true;
}

static enum err set_value(const struct flag_spec *spec,
                          struct flag_value *value, const char *text)
{
    int64_t duration_ns;
    bool good = true;

    if (spec->kind == FLAG_BOOL) {
        good = parse_bool(text, &value->boolean);
    } else if (spec->kind == FLAG_INT) {
        good = parse_int(text, &value->number);
    } else if (spec->kind == FLAG_DURATION) {
        good = duration_from_text(slice_str(text), &duration_ns);
        /* Rounded up: a nanosecond is not "no time-out". */
        if (good)
            value->number =
                duration_ns <= 0 ? 0 : (duration_ns - 1) / 1000000 + 1;
    }
    if (!good && spec->kind == FLAG_BOOL)
        return err_set(ERR_INVALID,
                       "invalid boolean value \"%s\" for -%s: parse error",
                       text, spec->name);
    if (!good)
        return err_set(ERR_INVALID,
                       "invalid value \"%s\" for flag -%s: parse error", text,
                       spec->name);
    value->text = text;
    value->is_given = true;
    return ERR_OK;
}

static bool is_name(const struct flag_spec *spec, struct slice name)
{
    if (slice_eq(slice_str(spec->name), name))
        return true;
    return spec->letter && name.size == 1 && name.at[0] == spec->letter;
}

static struct flag_value *find(const struct flags *flags, struct slice name,
                               const struct flag_spec **spec)
{
    for (size_t i = 0; flags && i < flags->count; i++) {
        if (is_name(&flags->specs[i], name)) {
            *spec = &flags->specs[i];
            return &flags->values[i];
        }
    }
    return NULL;
}

enum err flags_set(struct flags *flags, const char *name, const char *text)
{
    const struct flag_spec *spec = NULL;
    struct flag_value *value = find(flags, slice_str(name), &spec);

    CHECK(value);
    return set_value(spec, value, text);
}

static const struct flag_value *must_find(const struct flags *flags,
                                          const char *name)
{
    const struct flag_spec *spec = NULL;
    const struct flag_value *value = find(flags, slice_str(name), &spec);

    CHECK(value);
    return value;
}

bool flags_bool(const struct flags *flags, const char *name)
{
    return must_find(flags, name)->boolean;
}

int64_t flags_number(const struct flags *flags, const char *name)
{
    return must_find(flags, name)->number;
}

const char *flags_text(const struct flags *flags, const char *name)
{
    return must_find(flags, name)->text;
}

bool flags_is_given(const struct flags *flags, const char *name)
{
    return must_find(flags, name)->is_given;
}

/* ---- the command line --------------------------------------------------- */

/* A word that looks like a flag, taken apart. */
struct dashed {
    struct slice name;
    const char *text; /* after '='; NULL: none */
};

static enum err take_apart(const char *word, struct dashed *out)
{
    const char *name = word + (word[1] == '-' ? 2 : 1);
    const char *equals = strchr(name, '=');

    if (name[0] == '-' || name[0] == '=' || name[0] == '\0')
        return err_set(ERR_INVALID, "bad flag syntax: %s", word);
    out->name = slice_of(name, equals ? (size_t)(equals - name) : strlen(name));
    out->text = equals ? equals + 1 : NULL;
    return ERR_OK;
}

static struct flag_value *find_either(const struct flags_grammar *grammar,
                                      struct slice name, size_t words,
                                      const struct flag_spec **spec)
{
    struct flag_value *value = find(grammar->own, name, spec);

    if (!value && !(grammar->is_dash_word && words > 0))
        value = find(grammar->global, name, spec);
    return value;
}

/* Reads the flag at *at with its value. */
static enum err parse_flag(const struct flags_grammar *grammar,
                           const struct words *in, size_t *at,
                           struct words *out, bool *is_word)
{
    const char *word = in->at[*at];
    const struct flag_spec *spec = NULL;
    struct flag_value *value;
    struct dashed dashed = {0};
    enum err err = take_apart(word, &dashed);

    *is_word = grammar->is_dash_word && out->count > 0;
    if (err != ERR_OK)
        return *is_word ? ERR_OK : err;
    value = find_either(grammar, dashed.name, out->count, &spec);
    if (!value)
        return *is_word ? ERR_OK
                        : err_set(ERR_INVALID,
                                  "flag provided but not defined: -%.*s",
                                  (int)dashed.name.size, dashed.name.at);
    *is_word = false;
    ++*at;
    if (dashed.text)
        return set_value(spec, value, dashed.text);
    if (spec->kind == FLAG_BOOL)
        return set_value(spec, value, "true");
    if (*at == in->count)
        return err_set(ERR_INVALID, "flag needs an argument: -%.*s",
                       (int)dashed.name.size, dashed.name.at);
    return set_value(spec, value, in->at[(*at)++]);
}

enum err flags_parse(const struct flags_grammar *grammar,
                     const struct words *in, size_t *at, struct words *out)
{
    bool ended = false;

    while (*at < in->count) {
        const char *word = in->at[*at];
        bool is_word = ended || word[0] != '-' || word[1] == '\0';
        if (!ended && strcmp(word, "--") == 0) {
            ended = true;
            ++*at;
            if (grammar->words_max == 0)
                return ERR_OK;
            continue;
        }
        if (!is_word) {
            enum err err = parse_flag(grammar, in, at, out, &is_word);
            if (err != ERR_OK)
                return err;
            if (!is_word)
                continue;
        }
        if (grammar->words_max == 0)
            return ERR_OK;
        out->at[out->count++] = word;
        ++*at;
        if (out->count >= grammar->words_max)
            ended = true;
    }
    return ERR_OK;
}

/* ---- did you mean ------------------------------------------------------- */

enum { NEAREST_BYTES_MAX = 32 };

static size_t min_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment distance, over three rows. */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][NEAREST_BYTES_MAX + 1];
    size_t a_size = strlen(a);
    size_t b_size = strlen(b);

    if (a_size > NEAREST_BYTES_MAX || b_size > NEAREST_BYTES_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_size; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        const size_t *above2 = rows[(i + 1) % 3];
        const size_t *above = rows[(i + 2) % 3];
        size_t *row = rows[i % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t change = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = min_of(change, min_of(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = min_of(row[j], above2[j - 2] + 1);
        }
    }
    return rows[a_size % 3][b_size];
}

const char *nearest_word(const char *word, const char *const *words,
                         size_t count)
{
    const char *nearest = NULL;
    size_t size = strlen(word);
    /* Half of a short word, and never more than two edits. */
    size_t best = (size < 4 ? size / 2 : 2) + 1;

    for (size_t i = 0; i < count; i++) {
        size_t edits = distance(word, words[i]);
        if (edits < best) {
            best = edits;
            nearest = words[i];
        }
    }
    return nearest;
}

const char *flags_nearest(const struct flags_grammar *grammar, const char *name)
{
    const struct flags *both[] = {grammar->own, grammar->global};
    const char *names[64];
    size_t count = 0;

    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; both[i] && j < both[i]->count && count < 64; j++)
            if (!both[i]->specs[j].is_hidden)
                names[count++] = both[i]->specs[j].name;
    return nearest_word(name, names, count);
}
