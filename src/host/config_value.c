/* From the text of a setting to the flag's field, by the flag's kind. The
 * defaults go the same way, so that the table can't say one thing and the
 * program do another. */
#include "host/config_int.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/time_text.h"

enum { NS_PER_MS = 1000000 };

static bool bool_from_text(const char *text, int64_t *out)
{
    static const char *const trues[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const falses[] = {"0",     "f",     "F",
                                         "false", "FALSE", "False"};
    for (size_t i = 0; i < sizeof trues / sizeof trues[0]; i++) {
        if (strcmp(text, trues[i]) == 0) {
            *out = 1;
            return true;
        }
        if (strcmp(text, falses[i]) == 0) {
            *out = 0;
            return true;
        }
    }
    return false;
}

/* Seconds with a fraction, as nanoseconds; not negative, up to a century. */
static bool seconds_from_text(const char *text, int64_t *out)
{
    if (*text < '0' || *text > '9') {
        return false;
    }
    char *end;
    double seconds = strtod(text, &end);
    if (*end || !isfinite(seconds) || seconds > 100.0 * 366 * 86400) {
        return false;
    }
    *out = (int64_t)(seconds * 1e9);
    return true;
}

bool config__number(enum config_kind kind, const char *text, int64_t *out)
{
    switch (kind) {
    case KIND_BOOL:
        return bool_from_text(text, out);
    case KIND_INT:
    case KIND_INT32:
        return slice_to_i64(slice_str(text), out);
    case KIND_SECONDS:
        return seconds_from_text(text, out);
    case KIND_DURATION:
        return duration_from_text(slice_str(text), out);
    case KIND_DURATION_MS:
        if (!duration_from_text(slice_str(text), out)) {
            return false;
        }
        *out /= NS_PER_MS;
        return true;
    case KIND_STRING:
    case KIND_CHOICE:
    case KIND_LIST:
    case KIND_URLS:
        return false;
    }
    UNREACHABLE();
}

bool config__is_true(const struct config_loader *loader, const char *name)
{
    int64_t number;
    return bool_from_text(config__text(loader, name), &number) && number;
}

/* ---- lists ------------------------------------------------------------- */

bool config__next_part(struct slice *rest, struct slice *part)
{
    if (!rest->at) {
        return false;
    }
    ptrdiff_t comma = slice_find(*rest, ',');
    *part = slice_of(rest->at, comma < 0 ? rest->size : (size_t)comma);
    if (comma < 0) {
        *rest = slice_of(NULL, 0);
    } else {
        *rest = slice_of(rest->at + comma + 1, rest->size - (size_t)comma - 1);
    }
    while (part->size && strchr(" \t", part->at[0])) {
        *part = slice_of(part->at + 1, part->size - 1);
    }
    while (part->size && strchr(" \t", part->at[part->size - 1])) {
        part->size--;
    }
    return true;
}

enum err config__parse_list(struct arena *arena, const char *text,
                            struct config_list *out)
{
    size_t count_max = 1;
    for (const char *at = text; *at; at++) {
        count_max += *at == ',';
    }
    *out = (struct config_list){
        .at = arena_alloc(arena, count_max * sizeof *out->at)};
    struct slice rest = *text ? slice_str(text) : slice_of(NULL, 0);
    struct slice part;
    while (config__next_part(&rest, &part)) {
        if (part.size == 0) {
            return err_set(ERR_INVALID, "\"%.100s\" has an empty part", text);
        }
        CHECK_LT(out->count, count_max);
        out->at[out->count++] =
            arena_printf(arena, "%.*s", (int)part.size, part.at);
    }
    return ERR_OK;
}

/* ---- fields ------------------------------------------------------------ */

static void *field_of(struct config *config, const struct config_flag *flag)
{
    CHECK(flag->has_field);
    return (char *)config + flag->offset;
}

/* A range in words, for an error. */
static const char *range_words(struct arena *arena,
                               const struct config_flag *flag)
{
    switch (flag->kind) {
    case KIND_BOOL:
        return "true or false";
    case KIND_SECONDS:
        return "a number of seconds";
    case KIND_DURATION:
    case KIND_DURATION_MS:
        return "a duration such as 100ms, 5s or 1h30m";
    default:
        break;
    }
    if (flag->min == INT64_MIN) {
        return "a whole number";
    }
    if (flag->max == INT64_MAX) {
        return arena_printf(arena, "a whole number from %lld up",
                            (long long)flag->min);
    }
    return arena_printf(arena, "a whole number from %lld to %lld",
                        (long long)flag->min, (long long)flag->max);
}

static bool has_range(const struct config_flag *flag)
{
    return flag->kind != KIND_BOOL && flag->kind != KIND_SECONDS;
}

static enum err store_number(struct config_loader *loader,
                             const struct config_flag *flag, const char *text)
{
    int64_t number = 0;
    if (!config__number(flag->kind, text, &number) ||
        (has_range(flag) && (number < flag->min || number > flag->max))) {
        return config__refuse(loader, flag->name, ERR_INVALID,
                              "\"%.60s\" is not %s", text,
                              range_words(&loader->config->arena, flag));
    }
    if (!flag->has_field) {
        return ERR_OK;
    }
    void *field = field_of(loader->config, flag);
    if (flag->kind == KIND_BOOL) {
        *(bool *)field = number != 0;
    } else if (flag->kind == KIND_INT32) {
        CHECK_LE(number, INT_MAX);
        *(int *)field = (int)number;
    } else {
        *(int64_t *)field = number;
    }
    return ERR_OK;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t size = strlen(text);
    for (const char *at = choices; at; at = strchr(at, '|')) {
        at += *at == '|';
        if (strncmp(at, text, size) == 0 &&
            (at[size] == '|' || at[size] == '\0')) {
            return true;
        }
    }
    return false;
}

static enum err store_choice(struct config_loader *loader,
                             const struct config_flag *flag, const char *text)
{
    if (!is_choice(flag->argument, text)) {
        return config__refuse(loader, flag->name, ERR_INVALID,
                              "\"%.60s\" is not one of %s", text,
                              flag->argument);
    }
    CHECK(!flag->has_field); /* config__check makes an enum of it */
    return ERR_OK;
}

/* Refuses what can't be a name, a path or a token: control characters. */
static enum err store_string(struct config_loader *loader,
                             const struct config_flag *flag, const char *text)
{
    for (const char *at = text; *at; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f) {
            return config__refuse(loader, flag->name, ERR_INVALID,
                                  "a control character in the value");
        }
    }
    if (flag->has_field) {
        *(const char **)field_of(loader->config, flag) =
            arena_dup(&loader->config->arena, text, strlen(text) + 1);
    }
    return ERR_OK;
}

static enum err store_list(struct config_loader *loader,
                           const struct config_flag *flag, const char *text)
{
    enum err err;
    if (flag->kind == KIND_LIST) {
        struct config_list list;
        err = config__parse_list(&loader->config->arena, text, &list);
        if (!err && flag->has_field) {
            *(struct config_list *)field_of(loader->config, flag) = list;
        }
    } else {
        struct config_urls urls;
        err = config__parse_urls(&loader->config->arena, text, &urls);
        if (!err && flag->has_field) {
            *(struct config_urls *)field_of(loader->config, flag) = urls;
        }
    }
    if (err) {
        const struct config_setting *setting = config__setting(loader, flag);
        CHECK_NE(setting->rank, RANK_NONE);
        return err_wrap(err, "%s", config__place(loader, setting));
    }
    return ERR_OK;
}

static enum err store(struct config_loader *loader,
                      const struct config_flag *flag, const char *text)
{
    switch (flag->kind) {
    case KIND_BOOL:
    case KIND_INT:
    case KIND_INT32:
    case KIND_SECONDS:
    case KIND_DURATION:
    case KIND_DURATION_MS:
        return store_number(loader, flag, text);
    case KIND_STRING:
        return store_string(loader, flag, text);
    case KIND_CHOICE:
        return store_choice(loader, flag, text);
    case KIND_LIST:
    case KIND_URLS:
        return store_list(loader, flag, text);
    }
    UNREACHABLE();
}

static bool is_number(const struct config_flag *flag)
{
    int64_t number;
    return config__number(flag->kind, "0", &number);
}

static const char *setting_text(const struct config_setting *setting)
{
    return setting->rank == RANK_NONE ? "" : setting->text;
}

/* An empty text stands for the default, but not where a number is wanted on
 * the command line: there it is a mistake. */
static const char *text_to_store(const struct config_flag *flag,
                                 const struct config_setting *setting)
{
    bool counts = *setting_text(setting) ||
                  (is_number(flag) && setting->rank == RANK_ARGS);
    return counts ? setting->text : flag->fallback;
}

/* Given, and something else than what would be without it. */
static bool differs(const struct config_flag *flag, const char *text)
{
    int64_t given;
    int64_t standard;
    if (config__number(flag->kind, text, &given) &&
        config__number(flag->kind, flag->fallback, &standard)) {
        return given != standard;
    }
    return strcmp(text, flag->fallback) != 0;
}

static enum err judge(struct config_loader *loader,
                      const struct config_flag *flag, const char *text)
{
    const struct config_setting *setting = config__setting(loader, flag);
    if (!differs(flag, text)) {
        return ERR_OK;
    }
    const char *place = config__place(loader, setting);
    switch (flag->status) {
    case STATUS_EFFECTIVE:
        break;
    case STATUS_LATER:
        config__warn(loader,
                     "%s: accepted, but it comes with a later version and "
                     "has no effect yet",
                     place);
        break;
    case STATUS_NO_EFFECT:
        config__warn(loader,
                     "%s: accepted for compatibility; it has no effect here",
                     place);
        break;
    }
    return ERR_OK;
}

enum err config__apply(struct config_loader *loader)
{
    for (size_t i = 0; i < config__flag_count; i++) {
        const struct config_flag *flag = &config__flags[i];
        const char *text = text_to_store(flag, config__setting(loader, flag));
        /* A number without a default, and not given. */
        bool is_nothing = text == flag->fallback && !*text && is_number(flag);
        enum err err = is_nothing ? ERR_OK : store(loader, flag, text);
        if (!err) {
            err = judge(loader, flag, text);
        }
        if (err) {
            return err;
        }
    }
    return ERR_OK;
}
