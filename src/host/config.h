/* The server's configuration: every flag of etcd 0.4, 2.x and 3.x and our own,
 * from the command line, the environment and a file, as plain typed fields.
 *
 *   command line  >  environment (ETCHED_*, then ETCD_*)  >  file  >  default
 *
 * The file is the one that --config-file (0.4: -config) or ETCD_CONFIG_FILE
 * names, else /etc/etcd/etcd.conf where there is one. It may be TOML (0.4),
 * YAML or JSON (3.x), or a list of ETCD_X=y lines (as init scripts have).
 *
 * Nothing here touches the world: arguments, environment and the way to read
 * a file are handed in, so that tests and fuzzers can.
 */
#ifndef ETCHED_HOST_CONFIG_H
#define ETCHED_HOST_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

/* Where clients or peers connect. */
struct config_url {
    bool tls;         /* https, unixs */
    bool is_unix;     /* `host` is then the socket's path, `port` is 0 */
    const char *host; /* an IP address without brackets, or a name; of a
                         listen URL only "localhost" (take 127.0.0.1) */
    int port;         /* 0 to 65535; 0: the system chooses */
    const char *text; /* whole: "http://[::1]:2379" */
};

struct config_urls {
    struct config_url *at;
    size_t count;
};

struct config_list {
    const char **at;
    size_t count;
};

/* One name=URL of --initial-cluster; a name may come more than once. */
struct config_peer {
    const char *name;
    struct config_url url;
};

struct config_cluster {
    struct config_peer *at;
    size_t count;
};

enum config_proxy { CONFIG_PROXY_OFF, CONFIG_PROXY_READONLY, CONFIG_PROXY_ON };

/* The TLS files of one side. */
struct config_tls {
    const char *cert_file;
    const char *key_file;
    const char *ca_file; /* deprecated in 2.x: trusted-ca-file and cert auth */
    const char *trusted_ca_file;
    const char *client_cert_file;
    const char *client_key_file;
    const char *crl_file;
    struct config_list allowed_cn;
    struct config_list allowed_hostname;
    bool client_cert_auth;
    bool auto_tls;
};

/* What the command line asked for. */
enum config_request {
    CONFIG_SERVE,
    CONFIG_HELP,    /* print config_help, exit 0 */
    CONFIG_VERSION, /* print config_version, exit 0 */
};

enum config_compaction {
    CONFIG_COMPACTION_OFF,
    CONFIG_COMPACTION_PERIODIC,
    CONFIG_COMPACTION_REVISION,
};

/* Strings are never NULL; one that isn't set is "". */
struct config {
    enum config_request request;
    const char *file; /* the one that was read; "" if none */

    /* Member. */
    const char *name;
    const char *data_dir;
    const char *wal_dir; /* "": in data_dir */
    int heartbeat_interval_ms;
    int election_timeout_ms;
    struct config_urls listen_client_urls;
    struct config_urls listen_peer_urls;
    struct config_urls listen_client_http_urls;
    struct config_urls listen_metrics_urls;
    int64_t quota_backend_bytes; /* 0: the default, 2 GiB; negative: none */
    int64_t max_request_bytes;
    int64_t backend_batch_interval_ms;
    int64_t backend_batch_limit;
    int64_t max_txn_ops;
    int64_t max_concurrent_streams;
    int64_t grpc_keepalive_min_time_ns;
    int64_t grpc_keepalive_interval_ns;
    int64_t grpc_keepalive_timeout_ns;
    bool enable_grpc_gateway;
    bool socket_reuse_port;
    bool socket_reuse_address;
    int64_t warning_apply_duration_ns;
    int64_t warning_unary_request_duration_ns;
    int64_t watch_progress_notify_interval_ns;

    /* Clustering. */
    struct config_urls advertise_client_urls;
    struct config_urls initial_advertise_peer_urls;
    struct config_cluster initial_cluster; /* as given; else this member */
    bool has_initial_cluster;              /* it was given */
    const char *initial_cluster_token;
    bool initial_cluster_existing; /* --initial-cluster-state existing */
    const char *discovery;
    bool discovery_fallback_proxy;
    const char *discovery_proxy;
    const char *discovery_srv;
    const char *discovery_srv_name;
    struct config_urls peers; /* 0.4's, of --peers and --peers-file */
    int64_t max_retry_attempts;
    int64_t retry_interval_ns;
    int64_t cluster_active_size;
    int64_t cluster_remove_delay_ns;
    int64_t cluster_sync_interval_ns;
    bool strict_reconfig_check;
    int64_t max_learners; /* 0: the default */
    bool pre_vote;
    int64_t snapshot_catchup_entries;
    enum config_compaction auto_compaction_mode;
    int64_t auto_compaction_period_ns; /* PERIODIC; above 0 */
    int64_t auto_compaction_revisions; /* REVISION; above 0 */

    /* Proxy: in place of a member. */
    enum config_proxy proxy;
    int64_t proxy_failure_wait_ms;
    int64_t proxy_refresh_interval_ms;
    int64_t proxy_dial_timeout_ms;
    int64_t proxy_write_timeout_ms;
    int64_t proxy_read_timeout_ms;

    /* Security. */
    struct config_tls client_tls;
    struct config_tls peer_tls;
    int self_signed_years;
    struct config_list cipher_suites;
    const char *tls_min_version;
    const char *tls_max_version;
    struct config_list cors; /* allowed origins; "*" any; empty: none */
    struct config_list host_whitelist;
    bool has_host_whitelist; /* it was given */
    const char *auth_token;  /* host/auth_flags.h reads it */
    int64_t auth_token_ttl_s;
    int64_t bcrypt_cost;
    int64_t password_bytes_min;
    /* What --discovery is asked with; "": none. */
    const char *discovery_ca_file;
    const char *discovery_cert_file;
    const char *discovery_key_file;
    bool discovery_skip_verify;

    /* Logging. */
    enum log_level log_level;
    enum log_format log_format;
    struct config_list log_outputs; /* "stderr", "stdout" or a path */

    /* Start-up. */
    bool force; /* 0.4's -f: forget what data_dir holds, begin anew */
    bool force_new_cluster;
    bool unsafe_no_fsync;

    /* Our own. */
    int64_t max_connections;
    int io_threads; /* 0: choose by the number of processors */

    /* The process. */
    const char *user; /* "": whoever started it */
    bool core_dumps;
    bool has_seccomp;
    const char *audit_log; /* "": none; "stderr"; or a path */

    /* What one client, an address, may have; 0: no bound. */
    int64_t limit_connections;
    int64_t limit_requests_per_second;
    int64_t limit_bytes_in_flight;
    int64_t limit_watchers; /* of one connection */

    /* Recipes. */
    bool recipes;
    struct config_list recipes_endpoints; /* empty: this server */
    const char *recipes_ca_file;          /* of TLS with them; "": none */
    const char *recipes_cert_file;
    const char *recipes_key_file;
    bool recipes_skip_verify;
    const char *recipes_user; /* to log in as there; "": nobody */
    const char *recipes_password_file;
    struct config_list recipes_exec_allow;
    bool recipes_allow_local;
    const char *recipes_secret_key_file;
    int64_t recipes_lease_ttl_ns;

    /* Sentences for the log, one for each flag that was accepted but does
     * nothing (yet), and for what looks like a mistake. */
    const char **warnings;
    size_t warning_count;

    struct arena arena; /* owns all of the above */
};

#define CONFIG_FILE_DEFAULT "/etc/etcd/etcd.conf"
#define CONFIG_WORKER_URL "http://127.0.0.1:2389"
#define CONFIG_WORKER_NAME "worker"
enum { CONFIG_FILE_BYTES_MAX = 1024 * 1024 };

/* Appends the file's bytes to `out`, at most CONFIG_FILE_BYTES_MAX.
 * Errors: ERR_NOT_FOUND, ERR_TOO_LARGE, ERR_PERMISSION, ERR_IO, with a note. */
typedef enum err (*config_read)(void *context, const char *path,
                                struct buf *out);

struct config_input {
    int argc; /* as main has them: argv[0] is the program */
    char *const *argv;
    char *const *env;         /* "NAME=value", NULL last; NULL: none */
    const char *default_file; /* CONFIG_FILE_DEFAULT; NULL: none */
    /* `etched recipes`: no server, so where it listens by default and what it
     * is called are not a server's. */
    bool is_worker;
    config_read read;
    void *context; /* of `read` */
};

/* Fills `config` in. With CONFIG_HELP or CONFIG_VERSION only `request` is of
 * use. A default file that is not there or can't be read is passed over.
 * Owns: config_deinit frees; after an error there is nothing to free.
 * Errors: ERR_INVALID with a note that names the flag, variable or line, what
 *         was given and what is wanted; ERR_UNSUPPORTED for what would be
 *         wrong to go on without (TLS); those of `read`. */
enum err config_load(struct config *config,
                     const struct config_input *input) MUST_USE;
void config_deinit(struct config *config);

void config_help(struct buf *out);
void config_version(struct buf *out);
/* docs/configuration.md, made of the same table. */
void config_markdown(struct buf *out);

#endif
