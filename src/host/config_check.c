/* What follows from several flags together, and what would be wrong to go on
 * with: a name that can't be one, an election before its heartbeats. */
#include "host/config_int.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/time_text.h"
#include "host/auth_flags.h"

static const int64_t hour_ns = 3600LL * 1000 * 1000 * 1000;
static const int64_t second_ns = 1000LL * 1000 * 1000;
enum {
    HEARTBEATS_PER_ELECTION = 5,
    CATCH_UP_ENTRIES = 5000,
    RECIPES_TTL_S_MIN = 2,
    RECIPES_TTL_S_MAX = 3600,
};

/* ---- name and directory ------------------------------------------------ */

static enum err check_name(struct config_loader *loader)
{
    struct config *config = loader->config;
    if (strpbrk(config->name, ",=/")) {
        return config__refuse(loader, "name", ERR_INVALID,
                              "\"%.60s\" has a \",\", \"=\" or \"/\" in it, "
                              "which a name can't have",
                              config->name);
    }
    if (!*config->data_dir) {
        config->data_dir =
            arena_printf(&config->arena, "%s.etcd", config->name);
    }
    return ERR_OK;
}

/* ---- times ------------------------------------------------------------- */

/* Given by 0.4's name, whose defaults (50 and 200 ms) were 4 apart. */
static bool is_old_name(const struct config_loader *loader, const char *flag)
{
    const struct config_setting *setting =
        config__setting(loader, config__flag(flag));
    return setting->rank != RANK_NONE &&
           (strstr(setting->name, "peer") || strstr(setting->name, "PEER"));
}

static enum err check_election(struct config_loader *loader)
{
    struct config *config = loader->config;
    int least = config->heartbeat_interval_ms * HEARTBEATS_PER_ELECTION;
    if (config->election_timeout_ms >= least) {
        return ERR_OK;
    }
    if (is_old_name(loader, "heartbeat-interval") ||
        is_old_name(loader, "election-timeout")) {
        config__warn(loader,
                     "the election timeout of %d ms is raised to %d ms, 5 "
                     "heartbeats of %d ms",
                     config->election_timeout_ms, least,
                     config->heartbeat_interval_ms);
        config->election_timeout_ms = least;
        return ERR_OK;
    }
    return config__refuse(loader, "election-timeout", ERR_INVALID,
                          "%d ms is less than 5 times --heartbeat-interval, "
                          "which is %d ms",
                          config->election_timeout_ms,
                          config->heartbeat_interval_ms);
}

/* ---- compaction -------------------------------------------------------- */

static enum err check_period(struct config_loader *loader, const char *text)
{
    struct config *config = loader->config;
    static const char *const flag = "auto-compaction-retention";
    int64_t hours;
    int64_t period;
    if (slice_to_i64(slice_str(text), &hours)) {
        if (hours < 0 || hours > INT64_MAX / hour_ns) {
            return config__refuse(loader, flag, ERR_INVALID,
                                  "\"%.60s\" is not a number of hours from 0 "
                                  "up",
                                  text);
        }
        period = hours * hour_ns;
    } else if (!duration_from_text(slice_str(text), &period) || period < 0) {
        return config__refuse(loader, flag, ERR_INVALID,
                              "\"%.60s\" is neither a number of hours nor a "
                              "duration such as 30m",
                              text);
    }
    config->auto_compaction_mode =
        period ? CONFIG_COMPACTION_PERIODIC : CONFIG_COMPACTION_OFF;
    config->auto_compaction_period_ns = period;
    return ERR_OK;
}

static enum err check_compaction(struct config_loader *loader)
{
    struct config *config = loader->config;
    const char *mode = config__text(loader, "auto-compaction-mode");
    const char *text = config__text(loader, "auto-compaction-retention");
    config->auto_compaction_mode = CONFIG_COMPACTION_OFF;
    if (strcmp(mode, "periodic") == 0) {
        return check_period(loader, text);
    }
    if (strcmp(mode, "off") == 0) {
        return ERR_OK;
    }
    CHECK(strcmp(mode, "revision") == 0);
    int64_t revisions;
    if (!slice_to_i64(slice_str(text), &revisions) || revisions < 0) {
        return config__refuse(loader, "auto-compaction-retention", ERR_INVALID,
                              "\"%.60s\" is not a number of revisions from 0 "
                              "up",
                              text);
    }
    if (revisions) {
        config->auto_compaction_mode = CONFIG_COMPACTION_REVISION;
        config->auto_compaction_revisions = revisions;
    }
    return ERR_OK;
}

/* ---- logging ----------------------------------------------------------- */

static void resolve_log_level(struct config_loader *loader)
{
    static const char *const louder[] = {"v", "vv", "vvv", "debug"};
    struct config *config = loader->config;
    const char *text = config__text(loader, "log-level");
    CHECK(log_level_from_text(slice_str(text), &config->log_level));
    int level_source = config__source(loader, "log-level");
    for (size_t i = 0; i < sizeof louder / sizeof louder[0]; i++) {
        if (config__is_true(loader, louder[i]) &&
            config__source(loader, louder[i]) > level_source) {
            config->log_level = LOG_DEBUG;
        }
    }
}

static void resolve_log_outputs(struct config_loader *loader)
{
    struct config_list *outputs = &loader->config->log_outputs;
    for (size_t i = 0; i < outputs->count; i++) {
        const char *output = outputs->at[i];
        if (strcmp(output, "default") == 0) {
            outputs->at[i] = "stderr";
        } else if (strcmp(output, "systemd/journal") == 0) {
            /* The journal takes what a service writes there. */
            outputs->at[i] = "stderr";
            config__warn(loader, "the log goes to stderr, which a service's "
                                 "journal takes, for systemd/journal");
        }
    }
}

/* ---- recipes ----------------------------------------------------------- */

/* Two signs of life fit the least; nobody wants to wait longer than the most
 * for the recipes of a worker that died. */
static enum err check_lease(struct config_loader *loader)
{
    int64_t ttl_ns = loader->config->recipes_lease_ttl_ns;
    if (ttl_ns >= RECIPES_TTL_S_MIN * second_ns &&
        ttl_ns <= RECIPES_TTL_S_MAX * second_ns) {
        return ERR_OK;
    }
    return config__refuse(loader, "recipes-lease-ttl", ERR_INVALID,
                          "\"%.60s\" is not between %ds and %ds",
                          config__text(loader, "recipes-lease-ttl"),
                          RECIPES_TTL_S_MIN, RECIPES_TTL_S_MAX);
}

/* A name without its folder would mean whatever is first in PATH. */
static enum err check_programs(struct config_loader *loader)
{
    const struct config_list *programs = &loader->config->recipes_exec_allow;
    for (size_t i = 0; i < programs->count; i++) {
        if (programs->at[i][0] != '/') {
            return config__refuse(loader, "recipes-exec-allow", ERR_INVALID,
                                  "\"%.60s\" is not a whole path, such as "
                                  "/usr/local/bin/page",
                                  programs->at[i]);
        }
    }
    return ERR_OK;
}

static enum err check_tokens(struct config_loader *loader)
{
    struct config *config = loader->config;
    struct auth_flags flags;
    enum err err = auth_flags_parse(&config->arena, config->auth_token,
                                    config->auth_token_ttl_s, &flags);
    if (!err) {
        return ERR_OK;
    }
    const char *why = arena_printf(&config->arena, "%s", err_note());
    return config__refuse(loader, "auth-token", err, "%s", why);
}

/* ---- the rest ---------------------------------------------------------- */

/* 0 stands for the default in etcd. */
static void fill_zeros(struct config *config)
{
    if (config->backend_batch_interval_ms == 0) {
        config->backend_batch_interval_ms = LIMIT_FLUSH_INTERVAL_MS;
    }
    if (config->backend_batch_limit == 0) {
        config->backend_batch_limit = LIMIT_FLUSH_REVISIONS;
    }
    if (config->snapshot_catchup_entries == 0) {
        config->snapshot_catchup_entries = CATCH_UP_ENTRIES;
    }
}

enum err config__check(struct config_loader *loader)
{
    fill_zeros(loader->config);
    resolve_log_level(loader);
    resolve_log_outputs(loader);
    loader->config->has_seccomp =
        strcmp(config__text(loader, "seccomp"), "on") == 0;
    loader->config->has_host_whitelist =
        config__is_given(loader, "host-whitelist");
    loader->config->log_format =
        strcmp(config__text(loader, "log-format"), "json") == 0 ? LOG_JSON
                                                                : LOG_TEXT;
    enum err err = check_name(loader);
    if (!err) {
        err = config__check_cluster(loader);
    }
    if (!err) {
        err = check_election(loader);
    }
    if (!err) {
        err = check_compaction(loader);
    }
    if (!err) {
        err = check_lease(loader);
    }
    if (!err) {
        err = check_programs(loader);
    }
    if (!err) {
        err = check_tokens(loader);
    }
    return err;
}
