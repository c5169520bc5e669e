/* Loading the configuration: what is given is collected from the three
 * sources, the winner of each flag is parsed into its field, then what
 * depends on several is worked out and checked.
 *
 *   read_args -> read_env -> read_file -> apply -> resolve -> check
 *
 * (The file comes last since the other two may name it; its settings are of
 * the lowest rank all the same.) */
#include "host/config_int.h"

#include <stdio.h>

#include "base/check.h"

/* ---- settings ---------------------------------------------------------- */

struct config_setting *config__setting(const struct config_loader *loader,
                                       const struct config_flag *flag)
{
    CHECK(flag >= config__flags);
    CHECK_LT((size_t)(flag - config__flags), config__flag_count);
    return &loader->settings[flag - config__flags];
}

void config__put(struct config_loader *loader, const struct config_flag *flag,
                 const struct config_setting *setting)
{
    CHECK(setting->text && setting->name && setting->rank != RANK_NONE);
    struct config_setting *old = config__setting(loader, flag);
    if (setting->rank < old->rank) {
        return;
    }
    const char *before = old->text;
    bool is_more = flag->adds_up && setting->rank == RANK_ARGS &&
                   old->rank == RANK_ARGS && *before && *setting->text;
    *old = *setting;
    if (is_more) {
        old->text = arena_printf(&loader->config->arena, "%s,%s", before,
                                 setting->text);
    }
}

bool config__is_given(const struct config_loader *loader, const char *name)
{
    const struct config_setting *setting =
        config__setting(loader, config__flag(name));
    return setting->rank != RANK_NONE && *setting->text;
}

const char *config__text(const struct config_loader *loader, const char *name)
{
    const struct config_flag *flag = config__flag(name);
    return config__is_given(loader, name) ? config__setting(loader, flag)->text
                                          : flag->fallback;
}

int config__source(const struct config_loader *loader, const char *name)
{
    return config__is_given(loader, name)
               ? (int)config__setting(loader, config__flag(name))->rank / 10
               : 0;
}

/* ---- words ------------------------------------------------------------- */

void config__warn(struct config_loader *loader, const char *format, ...)
{
    struct config *config = loader->config;
    struct buf text = {0};
    va_list args;
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    buf_append_char(&text, '\0');
    size_t count = config->warning_count;
    const char **warnings =
        arena_alloc(&config->arena, (count + 1) * sizeof *warnings);
    if (count) {
        memcpy(warnings, config->warnings, count * sizeof *warnings);
    }
    warnings[count] = arena_dup(&config->arena, text.at, text.size);
    config->warnings = warnings;
    config->warning_count = count + 1;
    buf_deinit(&text);
}

const char *config__place(const struct config_loader *loader,
                          const struct config_setting *setting)
{
    struct arena *arena = &loader->config->arena;
    if (setting->rank >= RANK_ENV_ALIAS) {
        return setting->name;
    }
    CHECK_NE(setting->rank, RANK_NONE);
    if (setting->line == 0) {
        return arena_printf(arena, "%s: %s", loader->config->file,
                            setting->name);
    }
    return arena_printf(arena, "%s: line %d, column %d: %s",
                        loader->config->file, setting->line, setting->column,
                        setting->name);
}

enum err config__refuse(const struct config_loader *loader, const char *flag,
                        enum err err, const char *format, ...)
{
    const struct config_setting *setting =
        config__setting(loader, config__flag(flag));
    const char *place = setting->rank == RANK_NONE
                            ? arena_printf(&loader->config->arena, "--%s", flag)
                            : config__place(loader, setting);
    char text[ERR_NOTE_BYTES_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    err_set(err, "%s", text);
    return err_wrap(err, "%s", place);
}

/* ---- load -------------------------------------------------------------- */

static void preset(struct config_loader *loader, const char *name,
                   const char *text)
{
    const struct config_setting setting = {
        .rank = RANK_PRESET, .text = text, .name = name};
    config__put(loader, config__flag(name), &setting);
}

static enum err load(struct config_loader *loader)
{
    if (loader->input->is_worker) {
        preset(loader, "listen-client-urls", CONFIG_WORKER_URL);
        preset(loader, "name", CONFIG_WORKER_NAME);
    }
    enum err err = config__read_args(loader);
    if (err || loader->config->request != CONFIG_SERVE) {
        return err;
    }
    config__read_env(loader);
    err = config__read_file(loader);
    if (!err) {
        err = config__apply(loader);
    }
    if (!err) {
        err = config__resolve_addresses(loader);
    }
    if (!err) {
        err = config__check(loader);
    }
    return err;
}

enum err config_load(struct config *config, const struct config_input *input)
{
    CHECK(input->argc >= 0);
    *config = (struct config){.request = CONFIG_SERVE, .file = ""};
    arena_init(&config->arena, 0);
    size_t size = config__flag_count * sizeof(struct config_setting);
    struct config_loader loader = {
        .config = config,
        .input = input,
        .settings = memset(arena_alloc(&config->arena, size), 0, size),
    };
    enum err err = load(&loader);
    if (err) {
        config_deinit(config);
    }
    return err;
}

void config_deinit(struct config *config)
{
    arena_deinit(&config->arena);
    *config = (struct config){.request = CONFIG_SERVE};
}
