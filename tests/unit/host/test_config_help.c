/* The table of flags: that it has every flag that etcd ever had, that it is
 * sound in itself, and what people are shown of it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "host/config_int.h"

static const char of_0_4[] =
    "config h help version f force v vv vvv peers C peers-file CF name n "
    "addr c discovery bind-addr cl peer-addr s peer-bind-addr sl ca-file "
    "clientCAFile cert-file clientCert key-file clientKey peer-ca-file "
    "serverCAFile peer-cert-file serverCert peer-key-file serverKey "
    "http-read-timeout http-write-timeout data-dir d max-result-buffer m "
    "max-retry-attempts r retry-interval peer-heartbeat-interval "
    "peer-heartbeat-timeout peer-election-timeout cors snapshot "
    "snapshot-count snapshotCount cpuprofile trace graphite-host "
    "cluster-active-size maxsize max-cluster-size cluster-remove-delay "
    "cluster-sync-interval";

static const char variables_of_0_4[] =
    "ETCD_VERBOSE ETCD_VERY_VERBOSE ETCD_VERY_VERY_VERBOSE ETCD_PEERS "
    "ETCD_PEERS_FILE ETCD_NAME ETCD_ADDR ETCD_DISCOVERY ETCD_BIND_ADDR "
    "ETCD_PEER_ADDR ETCD_PEER_BIND_ADDR ETCD_CA_FILE ETCD_CERT_FILE "
    "ETCD_KEY_FILE ETCD_PEER_CA_FILE ETCD_PEER_CERT_FILE ETCD_PEER_KEY_FILE "
    "ETCD_HTTP_READ_TIMEOUT ETCD_HTTP_WRITE_TIMEOUT ETCD_DATA_DIR "
    "ETCD_MAX_RESULT_BUFFER ETCD_MAX_RETRY_ATTEMPTS ETCD_RETRY_INTERVAL "
    "ETCD_PEER_HEARTBEAT_INTERVAL ETCD_PEER_ELECTION_TIMEOUT ETCD_CORS "
    "ETCD_SNAPSHOT ETCD_SNAPSHOTCOUNT ETCD_TRACE ETCD_GRAPHITE_HOST "
    "ETCD_CLUSTER_ACTIVE_SIZE ETCD_CLUSTER_REMOVE_DELAY "
    "ETCD_CLUSTER_SYNC_INTERVAL";

static const char of_2[] =
    "name data-dir wal-dir snapshot-count heartbeat-interval "
    "election-timeout listen-peer-urls listen-client-urls max-snapshots "
    "max-wals cors initial-advertise-peer-urls initial-cluster "
    "initial-cluster-state initial-cluster-token advertise-client-urls "
    "discovery discovery-fallback discovery-proxy discovery-srv "
    "strict-reconfig-check proxy proxy-failure-wait proxy-refresh-interval "
    "proxy-dial-timeout proxy-write-timeout proxy-read-timeout ca-file "
    "cert-file key-file client-cert-auth trusted-ca-file peer-ca-file "
    "peer-cert-file peer-key-file peer-client-cert-auth peer-trusted-ca-file "
    "debug log-package-levels force-new-cluster experimental-v3demo "
    "experimental-auto-compaction-retention experimental-gRPC-addr "
    "enable-pprof addr bind-addr peer-addr peer-bind-addr peers peers-file "
    "version cluster-active-size cluster-remove-delay cluster-sync-interval "
    "config force max-result-buffer max-retry-attempts "
    "peer-heartbeat-interval peer-election-timeout retry-interval snapshot v "
    "vv";

static const char of_3[] =
    "name data-dir wal-dir snapshot-count heartbeat-interval "
    "election-timeout initial-election-tick-advance listen-peer-urls "
    "listen-client-urls listen-client-http-urls max-snapshots max-wals "
    "memory-mlock quota-backend-bytes backend-bbolt-freelist-type "
    "backend-batch-interval backend-batch-limit max-txn-ops "
    "max-request-bytes max-concurrent-streams grpc-keepalive-min-time "
    "grpc-keepalive-interval grpc-keepalive-timeout socket-reuse-port "
    "socket-reuse-address enable-grpc-gateway raft-read-timeout "
    "raft-write-timeout feature-gates initial-advertise-peer-urls "
    "initial-cluster initial-cluster-state initial-cluster-token "
    "advertise-client-urls discovery discovery-token discovery-endpoints "
    "discovery-dial-timeout discovery-request-timeout "
    "discovery-keepalive-time discovery-keepalive-timeout "
    "discovery-insecure-transport discovery-insecure-skip-tls-verify "
    "discovery-cert discovery-key discovery-cacert discovery-user "
    "discovery-password discovery-fallback discovery-proxy discovery-srv "
    "discovery-srv-name strict-reconfig-check pre-vote "
    "auto-compaction-retention auto-compaction-mode v2-deprecation cert-file "
    "key-file client-cert-auth client-cert-file client-key-file "
    "client-crl-file client-cert-allowed-hostname trusted-ca-file auto-tls "
    "peer-cert-file peer-key-file peer-client-cert-auth "
    "peer-client-cert-file peer-client-key-file peer-trusted-ca-file "
    "peer-cert-allowed-cn peer-cert-allowed-hostname peer-auto-tls "
    "self-signed-cert-validity peer-crl-file cipher-suites cors "
    "host-whitelist tls-min-version tls-max-version auth-token bcrypt-cost "
    "auth-token-ttl enable-pprof metrics listen-metrics-urls logger "
    "log-outputs log-level log-format enable-log-rotation "
    "log-rotation-config-json warning-unary-request-duration "
    "experimental-enable-distributed-tracing enable-distributed-tracing "
    "experimental-distributed-tracing-address distributed-tracing-address "
    "experimental-distributed-tracing-service-name "
    "distributed-tracing-service-name "
    "experimental-distributed-tracing-instance-id "
    "distributed-tracing-instance-id "
    "experimental-distributed-tracing-sampling-rate "
    "distributed-tracing-sampling-rate experimental-initial-corrupt-check "
    "experimental-corrupt-check-time corrupt-check-time "
    "experimental-compact-hash-check-enabled "
    "experimental-compact-hash-check-time compact-hash-check-time "
    "experimental-enable-lease-checkpoint "
    "experimental-compaction-batch-limit compaction-batch-limit "
    "experimental-peer-skip-client-san-verification "
    "peer-skip-client-san-verification "
    "experimental-watch-progress-notify-interval "
    "watch-progress-notify-interval experimental-warning-apply-duration "
    "warning-apply-duration experimental-txn-mode-write-with-shared-buffer "
    "experimental-bootstrap-defrag-threshold-megabytes "
    "bootstrap-defrag-threshold-megabytes "
    "experimental-warning-unary-request-duration max-learners "
    "experimental-compaction-sleep-interval compaction-sleep-interval "
    "experimental-downgrade-check-time downgrade-check-time "
    "experimental-enable-lease-checkpoint-persist experimental-memory-mlock "
    "experimental-snapshot-catchup-entries snapshot-catchup-entries "
    "experimental-stop-grpc-service-on-defrag force-new-cluster "
    "unsafe-no-fsync config-file help";

static int count_missing(const char *names, enum config_where where)
{
    int missing = 0;
    struct slice name;
    while (config__next_name(&names, &name)) {
        if (!config__find(name, where)) {
            fprintf(stderr, "missing: %.*s\n", (int)name.size, name.at);
            missing++;
        }
    }
    return missing;
}

static void every_flag_of_etcd_is_known(void **state)
{
    (void)state;
    assert_int_equal(count_missing(of_0_4, IN_ARGS), 0);
    assert_int_equal(count_missing(of_2, IN_ARGS), 0);
    assert_int_equal(count_missing(of_3, IN_ARGS), 0);
    assert_int_equal(count_missing("no-such-flag", IN_ARGS), 1);
}

static void every_variable_of_0_4_is_known(void **state)
{
    (void)state;
    const char *names = variables_of_0_4;
    struct slice name;
    int count = 0;
    while (config__next_name(&names, &name)) {
        struct slice rest = slice_of(name.at + 5, name.size - 5);
        assert_true(slice_has_prefix(name, SLICE("ETCD_")));
        assert_non_null(config__find(rest, IN_ENV));
        count++;
    }
    assert_true(count > 30);
}

/* A name leads to its own flag everywhere where the flag may be given. */
static void names_are_unique(void **state)
{
    (void)state;
    for (size_t i = 0; i < config__flag_count; i++) {
        const struct config_flag *flag = &config__flags[i];
        assert_ptr_equal(config__find(slice_str(flag->name), IN_ARGS), flag);
        assert_ptr_equal(config__flag(flag->name), flag);
        const char *lists[3] = {flag->aliases, flag->cli_names,
                                flag->file_names};
        static const enum config_where wheres[3] = {IN_ARGS, IN_ARGS, IN_FILE};
        for (int list = 0; list < 3; list++) {
            struct slice name;
            while (config__next_name(&lists[list], &name)) {
                assert_ptr_equal(config__find(name, wheres[list]), flag);
            }
        }
        if (!(flag->not_in & IN_ENV)) {
            assert_ptr_equal(config__find(slice_str(flag->name), IN_ENV), flag);
        }
    }
}

static void the_table_is_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < config__flag_count; i++) {
        const struct config_flag *flag = &config__flags[i];
        int64_t number;
        bool is_number = config__number(flag->kind, "0", &number);
        if (is_number && *flag->fallback) {
            assert_true(config__number(flag->kind, flag->fallback, &number));
        }
        /* Only a bool goes without an argument. */
        assert_int_equal(flag->argument == NULL, flag->kind == KIND_BOOL);
        if (is_number && flag->has_field && flag->kind != KIND_BOOL) {
            assert_true(*flag->fallback);
            assert_true(number >= flag->min && number <= flag->max);
        }
        /* What has no effect can't be read by anybody either. */
        if (flag->status == STATUS_NO_EFFECT) {
            assert_false(flag->has_field);
        }
        assert_true(flag->help && *flag->help);
    }
}

static void the_nearest_name_is_the_one_meant(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"nmae", "name"},
        {"Name", "name"},
        {"data_dri", "data-dir"},
        {"LISTEN_CLIENT_URL", "listen-client-urls"},
        {"advertise-clients-urls", "advertise-client-urls"},
        {"initial-clutser", "initial-cluster"},
        {"peer-adr", "peer-addr"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        const char *nearest = config__nearest(slice_str(pairs[i][0]), IN_ARGS);
        assert_non_null(nearest);
        assert_string_equal(nearest, pairs[i][1]);
    }
    assert_null(config__nearest(SLICE("x"), IN_ARGS));
    assert_null(config__nearest(SLICE(""), IN_ARGS));
    assert_null(config__nearest(SLICE("qqqqqqqq"), IN_ARGS));
    /* Longer than any name: not even looked at. */
    assert_null(config__nearest(
        SLICE("data-dirdata-dirdata-dirdata-dirdata-dirdata-dirdata-dirdata-"
              "dirdata-dir"),
        IN_ARGS));
    /* What can't be given in a file isn't proposed for one. */
    assert_string_equal(config__nearest(SLICE("versio"), IN_ARGS), "version");
    assert_null(config__nearest(SLICE("versio"), IN_FILE));
}

/* ---- what people are shown --------------------------------------------- */

static void help_names_every_flag_in_lines_of_80(void **state)
{
    (void)state;
    struct buf help = {0};
    config_help(&help);
    buf_append_char(&help, '\0');
    for (size_t i = 0; i < config__flag_count; i++) {
        char name[80];
        snprintf(name, sizeof name, "%s", config__flags[i].name);
        assert_non_null(strstr(help.at, name));
    }
    for (char *line = help.at; *line;) {
        size_t size = strcspn(line, "\n");
        assert_true(size < 80);
        assert_true(size == 0 || line[size - 1] != ' ');
        line += size + 1;
    }
    assert_non_null(strstr(help.at, "\n  --name <name>    "));
    assert_non_null(strstr(help.at, "this member's name [default]\n"));
    assert_non_null(strstr(help.at, "\n  -v    "));
    assert_non_null(strstr(help.at, "usage: etched [flags]\n"));
    assert_null(strchr(help.at, '\t'));
    buf_deinit(&help);
}

static void version_is_in_etcds_form(void **state)
{
    (void)state;
    struct buf out = {0};
    config_version(&out);
    buf_append_char(&out, '\0');
    assert_string_equal(out.at, "etched Version: 0.1.0\netcd API: 3.6.0\n");
    buf_deinit(&out);
}

/* The page, from wherever in the tree the test runs; NULL if it is not
 * there, as where only the binaries are. */
static FILE *open_page(const char *mode)
{
    static const char *const roots[] = {"", "../", "../../", "../../../"};
    for (size_t i = 0; i < sizeof roots / sizeof roots[0]; i++) {
        char path[80];
        snprintf(path, sizeof path, "%sdocs/configuration.md", roots[i]);
        FILE *file = fopen(path, "r+");
        if (file) {
            fclose(file);
            return fopen(path, mode);
        }
    }
    return NULL;
}

static void the_page_in_docs_is_the_tables(void **state)
{
    (void)state;
    struct buf wanted = {0};
    config_markdown(&wanted);
    bool is_update = getenv("UPDATE") != NULL;
    FILE *file = open_page(is_update ? "w" : "r");
    if (!file) {
        buf_deinit(&wanted);
        skip();
    }
    if (is_update) {
        assert_int_equal(fwrite(wanted.at, 1, wanted.size, file), wanted.size);
    } else {
        struct buf found = {0};
        char *to = buf_extend(&found, wanted.size + 1);
        size_t size = fread(to, 1, wanted.size + 1, file);
        assert_int_equal(size, wanted.size);
        assert_memory_equal(found.at, wanted.at, wanted.size);
        buf_deinit(&found);
    }
    fclose(file);
    buf_deinit(&wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flag_of_etcd_is_known),
        cmocka_unit_test(every_variable_of_0_4_is_known),
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(the_table_is_sound),
        cmocka_unit_test(the_nearest_name_is_the_one_meant),
        cmocka_unit_test(help_names_every_flag_in_lines_of_80),
        cmocka_unit_test(version_is_in_etcds_form),
        cmocka_unit_test(the_page_in_docs_is_the_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
