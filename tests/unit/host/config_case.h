/* Configuration tests as tables: what is given, and what comes of it, in one
 * line each.
 *
 * What comes of it is the error's note, or the fields that are not as they
 * are with nothing given: "name=x data_dir=x.etcd", then "! " and each
 * warning. */
#ifndef ETCHED_TESTS_CONFIG_CASE_H
#define ETCHED_TESTS_CONFIG_CASE_H

#include <stdio.h>

#include "host/config.h"

struct config_case {
    const char *args; /* words with blanks between; NULL: none */
    const char *env;  /* the same */
    const char *path; /* where `file` is to be found; NULL: nowhere */
    const char *file;
    const char *wanted;
};

/* ---- the world --------------------------------------------------------- */

static enum err read_case_file(void *context, const char *path, struct buf *out)
{
    const struct config_case *given = context;
    if (given->path && strcmp(path, given->path) == 0) {
        if (!given->file) {
            return err_set(ERR_PERMISSION, "permission denied");
        }
        buf_append_str(out, given->file);
        return ERR_OK;
    }
    return err_set(ERR_NOT_FOUND, "no such file");
}

enum { CASE_WORDS_MAX = 40 };

/* Splits at blanks; '' is an empty word. Returns how many there are. */
static int split_words(struct arena *arena, const char *text, char **out)
{
    int count = 0;
    while (text && *text) {
        size_t size = strcspn(text, " ");
        bool is_empty = size == 2 && memcmp(text, "''", 2) == 0;
        out[count++] =
            arena_printf(arena, "%.*s", is_empty ? 0 : (int)size, text);
        text += size;
        text += *text == ' ';
    }
    out[count] = NULL;
    return count;
}

static enum err load_case(struct arena *arena, struct config *config,
                          const struct config_case *given)
{
    char *argv[CASE_WORDS_MAX] = {"etched"};
    char *env[CASE_WORDS_MAX];
    int argc = 1 + split_words(arena, given->args, argv + 1);
    split_words(arena, given->env, env);
    const struct config_input input = {
        .argc = argc,
        .argv = argv,
        .env = env,
        .default_file = CONFIG_FILE_DEFAULT,
        .read = read_case_file,
        .context = (void *)(uintptr_t)given,
    };
    return config_load(config, &input);
}

/* ---- a configuration in words ------------------------------------------ */

enum { FIELDS_MAX = 128 };

struct description {
    struct arena *arena;
    const char *fields[FIELDS_MAX];
    int count;
};

static void add_text(struct description *to, const char *name, const char *text)
{
    to->fields[to->count++] = arena_printf(to->arena, "%s=%s", name, text);
}

static void add_number(struct description *to, const char *name, int64_t number)
{
    to->fields[to->count++] =
        arena_printf(to->arena, "%s=%lld", name, (long long)number);
}

static void add_list(struct description *to, const char *name,
                     const struct config_list *list)
{
    const char *text = "";
    for (size_t i = 0; i < list->count; i++) {
        text =
            arena_printf(to->arena, "%s%s%s", text, i ? "," : "", list->at[i]);
    }
    add_text(to, name, text);
}

static void add_urls(struct description *to, const char *name,
                     const struct config_urls *urls)
{
    const char *text = "";
    for (size_t i = 0; i < urls->count; i++) {
        text = arena_printf(to->arena, "%s%s%s", text, i ? "," : "",
                            urls->at[i].text);
    }
    add_text(to, name, text);
}

static void add_cluster(struct description *to,
                        const struct config_cluster *cluster)
{
    const char *text = "";
    for (size_t i = 0; i < cluster->count; i++) {
        text = arena_printf(to->arena, "%s%s%s@%s", text, i ? "," : "",
                            cluster->at[i].name, cluster->at[i].url.text);
    }
    add_text(to, "initial_cluster", text);
}

static void describe_member(struct description *to, const struct config *c)
{
    add_text(to, "file", c->file);
    add_text(to, "name", c->name);
    add_text(to, "data_dir", c->data_dir);
    add_text(to, "wal_dir", c->wal_dir);
    add_urls(to, "listen_client", &c->listen_client_urls);
    add_urls(to, "listen_peer", &c->listen_peer_urls);
    add_urls(to, "listen_http", &c->listen_client_http_urls);
    add_urls(to, "listen_metrics", &c->listen_metrics_urls);
    add_number(to, "heartbeat", c->heartbeat_interval_ms);
    add_number(to, "election", c->election_timeout_ms);
    add_number(to, "quota", c->quota_backend_bytes);
    add_number(to, "max_request", c->max_request_bytes);
    add_number(to, "batch_interval", c->backend_batch_interval_ms);
    add_number(to, "batch_limit", c->backend_batch_limit);
    add_number(to, "max_txn_ops", c->max_txn_ops);
    add_number(to, "max_learners", c->max_learners);
    add_number(to, "max_streams", c->max_concurrent_streams);
    add_number(to, "ping_min", c->grpc_keepalive_min_time_ns);
    add_number(to, "ping_interval", c->grpc_keepalive_interval_ns);
    add_number(to, "ping_timeout", c->grpc_keepalive_timeout_ns);
    add_number(to, "gateway", c->enable_grpc_gateway);
    add_number(to, "reuse_port", c->socket_reuse_port);
    add_number(to, "reuse_address", c->socket_reuse_address);
}

static void describe_cluster(struct description *to, const struct config *c)
{
    add_urls(to, "advertise_client", &c->advertise_client_urls);
    add_urls(to, "advertise_peer", &c->initial_advertise_peer_urls);
    add_cluster(to, &c->initial_cluster);
    add_text(to, "token", c->initial_cluster_token);
    add_number(to, "existing", c->initial_cluster_existing);
    add_text(to, "discovery", c->discovery);
    add_number(to, "fallback", c->discovery_fallback_proxy);
    add_text(to, "discovery_proxy", c->discovery_proxy);
    add_text(to, "srv", c->discovery_srv);
    add_text(to, "srv_name", c->discovery_srv_name);
    add_urls(to, "peers", &c->peers);
    add_number(to, "retry_attempts", c->max_retry_attempts);
    add_number(to, "retry_ns", c->retry_interval_ns);
    add_number(to, "active_size", c->cluster_active_size);
    add_number(to, "remove_ns", c->cluster_remove_delay_ns);
    add_number(to, "sync_ns", c->cluster_sync_interval_ns);
    add_number(to, "strict", c->strict_reconfig_check);
    add_number(to, "pre_vote", c->pre_vote);
    add_number(to, "catch_up", c->snapshot_catchup_entries);
    add_number(to, "compaction", c->auto_compaction_mode);
    add_number(to, "period", c->auto_compaction_period_ns);
    add_number(to, "revisions", c->auto_compaction_revisions);
}

static void describe_proxy(struct description *to, const struct config *c)
{
    add_number(to, "proxy", c->proxy);
    add_number(to, "failure_wait", c->proxy_failure_wait_ms);
    add_number(to, "refresh", c->proxy_refresh_interval_ms);
    add_number(to, "dial", c->proxy_dial_timeout_ms);
    add_number(to, "write", c->proxy_write_timeout_ms);
    add_number(to, "read", c->proxy_read_timeout_ms);
}

static void describe_rest(struct description *to, const struct config *c)
{
    add_list(to, "cors", &c->cors);
    add_list(to, "hosts", &c->host_whitelist);
    add_text(to, "log_level", log_level_name(c->log_level));
    add_number(to, "log_json", c->log_format == LOG_JSON);
    add_list(to, "log_outputs", &c->log_outputs);
    add_number(to, "warn_request", c->warning_unary_request_duration_ns);
    add_number(to, "warn_apply", c->warning_apply_duration_ns);
    add_number(to, "progress", c->watch_progress_notify_interval_ns);
    add_number(to, "force", c->force);
    add_number(to, "force_new_cluster", c->force_new_cluster);
    add_number(to, "no_fsync", c->unsafe_no_fsync);
    add_number(to, "max_connections", c->max_connections);
    add_number(to, "io_threads", c->io_threads);
    add_number(to, "recipes", c->recipes);
    add_list(to, "recipes_at", &c->recipes_endpoints);
    add_list(to, "recipes_exec", &c->recipes_exec_allow);
    add_number(to, "recipes_local", c->recipes_allow_local);
    add_text(to, "recipes_key", c->recipes_secret_key_file);
    add_text(to, "recipes_user", c->recipes_user);
    add_text(to, "recipes_password", c->recipes_password_file);
    add_number(to, "recipes_ttl", c->recipes_lease_ttl_ns);
}

/* `of`: "" or "peer_". */
static void describe_side(struct description *to, const char *of,
                          const struct config_tls *tls)
{
#define OF(name) arena_printf(to->arena, "%s" name, of)
    add_text(to, OF("cert"), tls->cert_file);
    add_text(to, OF("key"), tls->key_file);
    add_text(to, OF("ca"), tls->ca_file);
    add_text(to, OF("trusted"), tls->trusted_ca_file);
    add_text(to, OF("crl"), tls->crl_file);
    add_list(to, OF("cn"), &tls->allowed_cn);
    add_list(to, OF("hostname"), &tls->allowed_hostname);
    add_number(to, OF("cert_auth"), tls->client_cert_auth);
    add_number(to, OF("auto_tls"), tls->auto_tls);
#undef OF
}

static void describe_tls(struct description *to, const struct config *c)
{
    describe_side(to, "", &c->client_tls);
    describe_side(to, "peer_", &c->peer_tls);
    add_text(to, "peer_out_cert", c->peer_tls.client_cert_file);
    add_text(to, "peer_out_key", c->peer_tls.client_key_file);
    add_number(to, "years", c->self_signed_years);
    add_list(to, "suites", &c->cipher_suites);
    add_text(to, "tls_min", c->tls_min_version);
    add_text(to, "tls_max", c->tls_max_version);
}

static void describe(struct description *to, const struct config *config)
{
    describe_member(to, config);
    describe_cluster(to, config);
    describe_proxy(to, config);
    describe_tls(to, config);
    describe_rest(to, config);
}

/* ---- a case ------------------------------------------------------------ */

static void append_difference(struct buf *out, struct arena *arena,
                              const struct config *config)
{
    static const struct config_case nothing = {0};
    struct config plain;
    struct description ours = {.arena = arena};
    struct description theirs = {.arena = arena};
    if (load_case(arena, &plain, &nothing)) {
        buf_append_str(out, "the default configuration is refused");
        return;
    }
    describe(&ours, config);
    describe(&theirs, &plain);
    for (int i = 0; i < ours.count; i++) {
        if (strcmp(ours.fields[i], theirs.fields[i]) != 0) {
            buf_printf(out, "%s%s", out->size ? " " : "", ours.fields[i]);
        }
    }
    config_deinit(&plain);
}

static void run_case(const struct config_case *given, struct buf *out)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct config config;
    buf_reset(out);
    enum err err = load_case(&arena, &config, given);
    if (err) {
        buf_printf(out, "%s: %s", err_name(err), err_note());
    } else if (config.request != CONFIG_SERVE) {
        buf_append_str(out, config.request == CONFIG_HELP ? "help" : "version");
    } else {
        append_difference(out, &arena, &config);
        for (size_t i = 0; i < config.warning_count; i++) {
            buf_printf(out, "%s! %s", out->size ? " " : "", config.warnings[i]);
        }
    }
    buf_append_char(out, '\0');
    config_deinit(&config);
    arena_deinit(&arena);
}

/* Runs a table and says which row failed. */
static int count_failures(const struct config_case *cases, size_t count)
{
    struct buf out = {0};
    int failures = 0;
    for (size_t i = 0; i < count; i++) {
        run_case(&cases[i], &out);
        if (strcmp(out.at, cases[i].wanted) != 0) {
            fprintf(stderr,
                    "args: %s\nenv:  %s\nfile: %s\ngot:  %s\n"
                    "want: %s\n",
                    cases[i].args ? cases[i].args : "",
                    cases[i].env ? cases[i].env : "",
                    cases[i].file ? cases[i].file : "", out.at,
                    cases[i].wanted);
            failures++;
        }
    }
    buf_deinit(&out);
    return failures;
}

#define COUNT_FAILURES(cases) \
    count_failures(cases, sizeof(cases) / sizeof(cases)[0])

#endif
