#include "cmd/etchctl/pflags.h"

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/time_text.h"
#include "cmd/etchctl/go_text.h"

/* ---- values ------------------------------------------------------------- */

static enum err set_bool(struct pflag *flag, const char *text)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};

    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            flag->boolean = strcmp(text, yes[i]) == 0;
            return ERR_OK;
        }
    }
    return err_set(ERR_INVALID,
                   "strconv.ParseBool: parsing \"%s\": invalid "
                   "syntax",
                   text);
}

static enum err set_duration(struct pflag *flag, const char *text)
{
    struct slice slice = slice_str(text);
    int64_t ns;
    uint64_t number;

    if (slice_to_u64(slice, &number) && number != 0)
        return err_set(ERR_INVALID, "time: missing unit in duration \"%s\"",
                       text);
    if (!duration_from_text(slice, &ns))
        return err_set(ERR_INVALID, "time: invalid duration \"%s\"", text);
    /* Rounded up: a nanosecond is not "no time-out". */
    flag->number = ns <= 0 ? 0 : (ns - 1) / 1000000 + 1;
    return ERR_OK;
}

/* What is given takes the place of what is the default, and then adds up. */
static const char *grown(struct arena *arena, const struct pflag *flag,
                         const char *text)
{
    if (!flag->is_given)
        return text;
    return arena_printf(arena, "%s,%s", flag->text, text);
}

static enum err set_value(struct pflags *flags, struct pflag *flag,
                          const char *text)
{
    enum err err = ERR_OK;

    switch (flag->spec->kind) {
    case PFLAG_BOOL:
        err = set_bool(flag, text);
        break;
    case PFLAG_INT:
        err = go_parse_int(text, 0, &flag->number);
        break;
    case PFLAG_DURATION:
        err = set_duration(flag, text);
        break;
    case PFLAG_LIST:
        text = grown(flags->arena, flag, text);
        break;
    case PFLAG_STRING:
        break;
    }
    if (err == ERR_OK) {
        flag->text = text;
        flag->is_given = true;
    }
    return err;
}

/* ---- tables ------------------------------------------------------------- */

void pflags_init(struct pflags *flags, struct arena *arena)
{
    flags->arena = arena;
    flags->count = 0;
}

static struct pflag *find(const struct pflags *flags, struct slice name)
{
    for (size_t i = 0; i < flags->count; i++)
        if (slice_eq(slice_str(flags->at[i].spec->name), name))
            return (struct pflag *)(uintptr_t)&flags->at[i];
    return NULL;
}

static struct pflag *find_letter(const struct pflags *flags, char letter)
{
    for (size_t i = 0; i < flags->count; i++)
        if (flags->at[i].spec->letter == letter)
            return (struct pflag *)(uintptr_t)&flags->at[i];
    return NULL;
}

void pflags_add(struct pflags *flags, const struct pflag_spec *table)
{
    for (; table && table->name; table++) {
        struct pflag *flag = &flags->at[flags->count];
        CHECK_LT(flags->count, PFLAGS_MAX);
        CHECK(!find(flags, slice_str(table->name)));
        *flag = (struct pflag){.spec = table, .text = ""};
        flags->count++;
        if (table->initial) {
            enum err err = set_value(flags, flag, table->initial);
            CHECK(err == ERR_OK);
            flag->is_given = false;
        }
    }
}

enum err pflags_set(struct pflags *flags, const char *name, const char *text)
{
    struct pflag *flag = find(flags, slice_str(name));

    CHECK(flag);
    return set_value(flags, flag, text);
}

const struct pflag *pflags_find(const struct pflags *flags, const char *name)
{
    return find(flags, slice_str(name));
}

static const struct pflag *must_find(const struct pflags *flags,
                                     const char *name)
{
    const struct pflag *flag = pflags_find(flags, name);

    CHECK(flag);
    return flag;
}

bool pflags_bool(const struct pflags *flags, const char *name)
{
    return must_find(flags, name)->boolean;
}

int64_t pflags_number(const struct pflags *flags, const char *name)
{
    return must_find(flags, name)->number;
}

const char *pflags_text(const struct pflags *flags, const char *name)
{
    return must_find(flags, name)->text;
}

bool pflags_is_given(const struct pflags *flags, const char *name)
{
    return must_find(flags, name)->is_given;
}

/* ---- the command line --------------------------------------------------- */

static enum err set_named(struct pflags *flags, struct pflag *flag,
                          const char *text)
{
    char note[ERR_NOTE_BYTES_MAX];
    enum err err = set_value(flags, flag, text);

    if (err == ERR_OK)
        return err;
    memcpy(note, err_note(), strlen(err_note()) + 1);
    if (flag->spec->letter)
        return err_set(err,
                       "invalid argument \"%s\" for \"-%c, --%s\" flag: %s",
                       text, flag->spec->letter, flag->spec->name, note);
    return err_set(err, "invalid argument \"%s\" for \"--%s\" flag: %s", text,
                   flag->spec->name, note);
}

static enum err parse_long(struct pflags *flags, const struct words *in,
                           size_t *at)
{
    const char *word = in->at[(*at)++];
    const char *equals = strchr(word, '=');
    struct slice name = slice_of(word + 2, equals ? (size_t)(equals - word) - 2
                                                  : strlen(word) - 2);
    struct pflag *flag = find(flags, name);

    if (name.size == 0 || name.at[0] == '-')
        return err_set(ERR_INVALID, "bad flag syntax: %s", word);
    if (!flag)
        return err_set(ERR_INVALID, "unknown flag: --%.*s", (int)name.size,
                       name.at);
    if (equals)
        return set_named(flags, flag, equals + 1);
    if (flag->spec->kind == PFLAG_BOOL)
        return set_named(flags, flag, "true");
    if (*at == in->count)
        return err_set(ERR_INVALID, "flag needs an argument: %s", word);
    return set_named(flags, flag, in->at[(*at)++]);
}

static enum err parse_letters(struct pflags *flags, const struct words *in,
                              size_t *at)
{
    const char *letters = in->at[(*at)++] + 1;

    for (; *letters; letters++) {
        struct pflag *flag = find_letter(flags, *letters);
        enum err err;
        if (!flag)
            return err_set(ERR_INVALID, "unknown shorthand flag: '%c' in -%s",
                           *letters, letters);
        if (letters[1] == '=')
            return set_named(flags, flag, letters + 2);
        if (flag->spec->kind != PFLAG_BOOL && letters[1])
            return set_named(flags, flag, letters + 1);
        if (flag->spec->kind != PFLAG_BOOL && *at == in->count)
            return err_set(ERR_INVALID, "flag needs an argument: '%c' in -%s",
                           *letters, letters);
        if (flag->spec->kind != PFLAG_BOOL)
            return set_named(flags, flag, in->at[(*at)++]);
        err = set_named(flags, flag, "true");
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

static bool is_flag(const char *word)
{
    return word[0] == '-' && word[1] != '\0';
}

enum err pflags_parse(struct pflags *flags, const struct words *in,
                      struct words *out)
{
    bool ended = false;

    for (size_t at = 0; at < in->count;) {
        const char *word = in->at[at];
        enum err err;
        if (ended || !is_flag(word)) {
            out->at[out->count++] = word;
            at++;
            continue;
        }
        if (strcmp(word, "--") == 0) {
            ended = true;
            at++;
            continue;
        }
        err = word[1] == '-' ? parse_long(flags, in, &at)
                             : parse_letters(flags, in, &at);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

size_t pflags_first_word(const struct pflags *flags, const struct words *in)
{
    size_t at = 0;

    while (at < in->count && is_flag(in->at[at])) {
        const char *word = in->at[at];
        const struct pflag *flag = word[1] == '-'
                                       ? find(flags, slice_str(word + 2))
                                       : find_letter(flags, word[1]);
        bool is_alone = strchr(word, '=') ||
                        (word[1] != '-' && word[2] != '\0') ||
                        (flag && flag->spec->kind == PFLAG_BOOL);
        if (strcmp(word, "--") == 0)
            return in->count;
        at += is_alone ? 1 : 2;
    }
    return at < in->count ? at : in->count;
}
