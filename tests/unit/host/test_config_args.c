/* The command line: forms of a flag, old names, mistakes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "config_case.h"

#define NAME_X "name=x data_dir=x.etcd initial_cluster=x@http://localhost:2380"
#define LATER \
    ": accepted, but it comes with a later version and has no effect yet"
#define NO_EFFECT ": accepted for compatibility; it has no effect here"

static void nothing_given_serves_localhost(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct config config;
    const struct config_case nothing = {0};
    assert_int_equal(load_case(&arena, &config, &nothing), ERR_OK);
    assert_int_equal(config.request, CONFIG_SERVE);
    assert_string_equal(config.file, "");
    assert_string_equal(config.name, "default");
    assert_string_equal(config.data_dir, "default.etcd");
    assert_string_equal(config.wal_dir, "");
    assert_int_equal(config.heartbeat_interval_ms, 100);
    assert_int_equal(config.election_timeout_ms, 1000);
    assert_int_equal(config.listen_client_urls.count, 1);
    assert_string_equal(config.listen_client_urls.at[0].text,
                        "http://localhost:2379");
    assert_string_equal(config.listen_client_urls.at[0].host, "localhost");
    assert_int_equal(config.listen_client_urls.at[0].port, 2379);
    assert_false(config.listen_client_urls.at[0].tls);
    assert_string_equal(config.listen_peer_urls.at[0].text,
                        "http://localhost:2380");
    assert_string_equal(config.advertise_client_urls.at[0].text,
                        "http://localhost:2379");
    assert_string_equal(config.initial_advertise_peer_urls.at[0].text,
                        "http://localhost:2380");
    assert_int_equal(config.listen_metrics_urls.count, 0);
    assert_int_equal(config.initial_cluster.count, 1);
    assert_string_equal(config.initial_cluster.at[0].name, "default");
    assert_string_equal(config.initial_cluster_token, "etcd-cluster");
    assert_false(config.initial_cluster_existing);
    assert_int_equal(config.quota_backend_bytes, 0);
    assert_int_equal(config.max_request_bytes, 1572864);
    assert_int_equal(config.backend_batch_interval_ms, 100);
    assert_int_equal(config.backend_batch_limit, 10000);
    assert_int_equal(config.auto_compaction_mode, CONFIG_COMPACTION_OFF);
    assert_int_equal(config.cors.count, 0);
    assert_int_equal(config.log_level, LOG_INFO);
    assert_int_equal(config.log_format, LOG_TEXT);
    assert_int_equal(config.log_outputs.count, 1);
    assert_string_equal(config.log_outputs.at[0], "stderr");
    assert_false(config.force);
    assert_false(config.force_new_cluster);
    assert_false(config.unsafe_no_fsync);
    assert_int_equal(config.max_connections, 20000);
    assert_int_equal(config.io_threads, 0);
    assert_true(config.recipes);
    assert_string_equal(config.client_tls.cert_file, "");
    assert_false(config.peer_tls.client_cert_auth);
    assert_int_equal(config.warning_count, 0);
    config_deinit(&config);
    arena_deinit(&arena);
}

static void a_flag_has_several_forms(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.args = "--name x", .wanted = NAME_X},
        {.args = "-name x", .wanted = NAME_X},
        {.args = "--name=x", .wanted = NAME_X},
        {.args = "-name=x", .wanted = NAME_X},
        {.args = "-n x", .wanted = NAME_X},
        {.args = "--name y --name x", .wanted = NAME_X},
        {.args = "--name x --", .wanted = NAME_X},
        {.args = "--data_dir /d", .wanted = "data_dir=/d"},
        {.args = "--initial-cluster-token a=b", .wanted = "token=a=b"},
        {.args = "--initial-cluster-token=a=b", .wanted = "token=a=b"},
        {.args = "--force-new-cluster", .wanted = "force_new_cluster=1"},
        {.args = "--force-new-cluster=true", .wanted = "force_new_cluster=1"},
        {.args = "--force-new-cluster=T", .wanted = "force_new_cluster=1"},
        {.args = "--force-new-cluster=0", .wanted = ""},
        {.args = "-snapshot=false",
         .wanted = "! --snapshot: accepted for compatibility; it has no "
                   "effect here"},
        {.args = "--quota-backend-bytes -1", .wanted = "quota=-1"},
        /* "" stands for the default. */
        {.args = "--name ''", .wanted = ""},
        {.args = "--listen-client-urls=", .wanted = ""},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

/* The document that it all started from has these. */
static void the_seeds_command_lines_work(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.args = "-data-dir /tmp/etcd/ -name Test01",
         .wanted = "name=Test01 data_dir=/tmp/etcd/ "
                   "initial_cluster=Test01@http://localhost:2380"},
        {.args = "-f", .wanted = "force=1"},
        {.args = "-force", .wanted = "force=1"},
        {.args = "--version", .wanted = "version"},
        {.args = "-name=x", .wanted = NAME_X},
        {.args = "-data-dir=/d", .wanted = "data_dir=/d"},
        {.args = "-cors=http://a.example,*",
         .wanted = "cors=http://a.example,*"},
        {.args = "-v", .wanted = "log_level=debug"},
        {.args = "-vv", .wanted = "log_level=debug"},
        {.args = "-discovery=http://e.example/v2/keys/x",
         .wanted = "discovery=http://e.example/v2/keys/x"},
        {.args = "-peers-file=/p",
         .path = "/p",
         .file = "10.0.0.1:7001\n10.0.0.2:7001\n",
         .wanted = "peers=http://10.0.0.1:7001,http://10.0.0.2:7001"},
        {.args = "-peers=10.0.0.1:7001,10.0.0.2:7001",
         .wanted = "peers=http://10.0.0.1:7001,http://10.0.0.2:7001"},
        {.args = "--proxy on", .wanted = "proxy=2"},
        {.args = "-addr=127.0.0.1:4001",
         .wanted = "listen_client=http://127.0.0.1:4001 "
                   "advertise_client=http://127.0.0.1:4001"},
        {.args = "-addr=node.example:4001 -bind-addr=0.0.0.0",
         .wanted = "listen_client=http://0.0.0.0:4001 "
                   "advertise_client=http://node.example:4001"},
        {.args = "-peer-addr=127.0.0.1:7001 -peer-bind-addr=127.0.0.1:7002",
         .wanted = "listen_peer=http://127.0.0.1:7002 "
                   "advertise_peer=http://127.0.0.1:7001 "
                   "initial_cluster=default@http://127.0.0.1:7001"},
        {.args = "-peer-heartbeat-interval=50 -peer-election-timeout=500",
         .wanted = "heartbeat=50 election=500"},
        {.args = "-max-result-buffer 2048",
         .wanted = "! --max-result-buffer" NO_EFFECT},
        {.args = "-max-retry-attempts 5", .wanted = "retry_attempts=5"},
        {.args = "-retry-interval 2.5", .wanted = "retry_ns=2500000000"},
        {.args = "-snapshot-count 500",
         .wanted = "! --snapshot-count: accepted for compatibility; it has "
                   "no effect here"},
        {.args = "-cluster-active-size 5", .wanted = "active_size=5"},
        {.args = "-cluster-remove-delay 60", .wanted = "remove_ns=60000000000"},
        {.args = "-cluster-sync-interval 1.5", .wanted = "sync_ns=1500000000"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

#define SEED_CLUSTER(member, peer, client)                                 \
    "--name " member " --initial-advertise-peer-urls http://0.0.0.0:" peer \
    " --listen-peer-urls http://0.0.0.0:" peer                             \
    " --listen-client-urls http://0.0.0.0:" client                         \
    " --advertise-client-urls http://0.0.0.0:" client                      \
    " --initial-cluster-token etcd-cluster-1 --initial-cluster "           \
    "infra0=http://0.0.0.0:2380,infra1=http://0.0.0.0:2480,"               \
    "infra2=http://0.0.0.0:2580 --initial-cluster-state new"
#define SEED_LIST                                                            \
    "initial_cluster=infra0@http://0.0.0.0:2380,infra1@http://0.0.0.0:2480," \
    "infra2@http://0.0.0.0:2580 "
#define SEED_MEMBER(member, peer, client)                \
    "name=" member " data_dir=" member                   \
    ".etcd listen_client=http://0.0.0.0:" client         \
    " listen_peer=http://0.0.0.0:" peer                  \
    " advertise_client=http://0.0.0.0:" client           \
    " advertise_peer=http://0.0.0.0:" peer " " SEED_LIST \
    "token=etcd-cluster-1"

static void the_seeds_cluster_has_three_members(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.args = SEED_CLUSTER("infra0", "2380", "2379"),
         .wanted = SEED_MEMBER("infra0", "2380", "2379")},
        {.args = SEED_CLUSTER("infra1", "2480", "2479"),
         .wanted = SEED_MEMBER("infra1", "2480", "2479")},
        {.args = SEED_CLUSTER("infra2", "2580", "2579"),
         .wanted = SEED_MEMBER("infra2", "2580", "2579")},
        /* The same with itself alone. */
        {.args = SEED_CLUSTER(
             "infra0", "2380",
             "2379") " --initial-cluster infra0=http://0.0.0.0:2380",
         .wanted = "name=infra0 data_dir=infra0.etcd "
                   "listen_client=http://0.0.0.0:2379 "
                   "listen_peer=http://0.0.0.0:2380 "
                   "advertise_client=http://0.0.0.0:2379 "
                   "advertise_peer=http://0.0.0.0:2380 "
                   "initial_cluster=infra0@http://0.0.0.0:2380 "
                   "token=etcd-cluster-1"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void the_oldest_names_work(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.args = "-c 127.0.0.1:5001 -cl 0.0.0.0 -s 127.0.0.1:8001 -sl "
                 "127.0.0.1:8001 -d /d",
         .wanted = "data_dir=/d listen_client=http://0.0.0.0:5001 "
                   "listen_peer=http://127.0.0.1:8001 "
                   "advertise_client=http://127.0.0.1:5001 "
                   "advertise_peer=http://127.0.0.1:8001 "
                   "initial_cluster=default@http://127.0.0.1:8001"},
        {.args = "-m 1 -r 1 -maxsize 5",
         .wanted = "retry_attempts=1 active_size=5 ! -m" NO_EFFECT},
        {.args = "-max-cluster-size 3", .wanted = "active_size=3"},
        {.args = "-snapshotCount 7",
         .wanted = "! --snapshotCount: accepted for compatibility; it has "
                   "no effect here"},
        {.args = "-peer-heartbeat-timeout 60", .wanted = "heartbeat=60"},
        {.args = "-C 10.0.0.1:7001", .wanted = "peers=http://10.0.0.1:7001"},
        {.args = "-CF /p",
         .path = "/p",
         .file = "10.0.0.1",
         .wanted = "peers=http://10.0.0.1:2380"},
        {.args = "-cpuprofile p -trace x -graphite-host h "
                 "-http-read-timeout 10 -http-write-timeout 10.0",
         .wanted =
             "! --http-read-timeout" NO_EFFECT
             " ! --http-write-timeout" NO_EFFECT " ! --cpuprofile" NO_EFFECT
             " ! --trace" NO_EFFECT " ! --graphite-host" NO_EFFECT},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void flags_of_2_and_3_work(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.args = "--wal-dir /w --max-request-bytes 100 "
                 "--quota-backend-bytes 8589934592",
         .wanted = "wal_dir=/w quota=8589934592 max_request=100"},
        {.args = "--backend-batch-interval 50ms --backend-batch-limit 7",
         .wanted = "batch_interval=50 batch_limit=7"},
        {.args = "--backend-batch-interval 0s --backend-batch-limit 0",
         .wanted = ""},
        {.args = "--heartbeat-interval=200 --election-timeout=2000",
         .wanted = "heartbeat=200 election=2000"},
        {.args = "--initial-cluster-state existing", .wanted = "existing=1"},
        {.args = "--auto-compaction-retention 1",
         .wanted = "compaction=1 period=3600000000000"},
        {.args = "--auto-compaction-mode=periodic "
                 "--auto-compaction-retention=90s",
         .wanted = "compaction=1 period=90000000000"},
        {.args = "--auto-compaction-mode revision "
                 "--auto-compaction-retention 1000",
         .wanted = "compaction=2 revisions=1000"},
        {.args = "--auto-compaction-mode revision", .wanted = ""},
        {.args = "--auto-compaction-mode off --auto-compaction-retention 5",
         .wanted = ""},
        {.args = "--experimental-auto-compaction-retention 2",
         .wanted = "compaction=1 period=7200000000000"},
        {.args = "--log-level warn --log-format json --log-outputs stdout,/l",
         .wanted = "log_level=warn log_json=1 log_outputs=stdout,/l"},
        {.args = "--log-outputs default --log-format console", .wanted = ""},
        {.args = "--debug", .wanted = "log_level=debug"},
        {.args = "--unsafe-no-fsync --io-threads 3 --max-connections 5",
         .wanted = "no_fsync=1 max_connections=5 io_threads=3"},
        /* At their defaults they are silent. */
        {.args = "--proxy off --strict-reconfig-check --pre-vote=true "
                 "--max-snapshots 5 --tls-min-version TLS1.2 --logger zap "
                 "--grpc-keepalive-interval 120m --enable-pprof=false",
         .wanted = ""},
        {.args = "--max-txn-ops 500 --grpc-keepalive-min-time 1s",
         .wanted = "max_txn_ops=500 ping_min=1000000000"},
        {.args = "--experimental-max-learners 3", .wanted = "max_learners=3"},
        {.args = "--enable-pprof --enable-pprof --metrics extensive",
         .wanted = "! --metrics" NO_EFFECT " ! --enable-pprof" NO_EFFECT},
        {.args = "--experimental-corrupt-check-time 1h",
         .wanted = "! --experimental-corrupt-check-time" LATER},
        {.args = "--listen-metrics-urls http://localhost:2381",
         .wanted = "listen_metrics=http://localhost:2381"},
        {.args = "--log-outputs systemd/journal",
         .wanted = "! the log goes to stderr, which a service's journal "
                   "takes, for systemd/journal"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void help_and_version_win_over_what_follows(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.args = "--help", .wanted = "help"},
        {.args = "-h", .wanted = "help"},
        {.args = "-help", .wanted = "help"},
        {.args = "--version --nonsense", .wanted = "version"},
        {.args = "--name x -version", .wanted = "version"},
        {.args = "--help=false", .wanted = ""},
        {.args = "--nonsense --help",
         .wanted = "INVALID: unknown flag --nonsense; --help lists those "
                   "there are"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.args = "--nmae x",
         .wanted = "INVALID: unknown flag --nmae; did you mean --name?"},
        {.args = "-listen-client-url=http://x",
         .wanted = "INVALID: unknown flag --listen-client-url; did you mean "
                   "--listen-client-urls?"},
        {.args = "--datadir x",
         .wanted = "INVALID: unknown flag --datadir; did you mean "
                   "--data-dir?"},
        {.args = "-x",
         .wanted = "INVALID: unknown flag -x; --help lists those there are"},
        {.args = "--name",
         .wanted = "INVALID: --name: a value is missing: --name <name>"},
        {.args = "-d", .wanted = "INVALID: -d: a value is missing: -d <path>"},
        {.args = "serve",
         .wanted = "INVALID: unexpected argument \"serve\"; "
                   "flags begin with a dash"},
        {.args = "-",
         .wanted = "INVALID: unexpected argument \"-\"; flags "
                   "begin with a dash"},
        {.args = "--=x",
         .wanted = "INVALID: unexpected argument \"--=x\"; "
                   "flags begin with a dash"},
        {.args = "-- --name x",
         .wanted = "INVALID: unexpected argument "
                   "\"--\"; flags begin with a dash"},
        {.args = "''",
         .wanted = "INVALID: unexpected argument \"\"; flags "
                   "begin with a dash"},
        {.args = "-snapshot false",
         .wanted = "INVALID: unexpected argument \"false\"; --snapshot takes "
                   "its value after \"=\": --snapshot=false"},
        {.args = "-name x true",
         .wanted = "INVALID: unexpected argument \"true\"; flags begin with a "
                   "dash"},
        {.args = "-snapshot=true false",
         .wanted = "INVALID: unexpected argument \"false\"; flags begin with "
                   "a dash"},
        {.args = "gateway start",
         .wanted = "UNSUPPORTED: the command \"gateway\" comes with a later "
                   "version"},
        {.args = "grpc-proxy start",
         .wanted = "UNSUPPORTED: the command \"grpc-proxy\" comes with a "
                   "later version"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void bad_values_are_named(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.args = "--heartbeat-interval fast",
         .wanted = "INVALID: --heartbeat-interval: \"fast\" is not a whole "
                   "number from 1 to 50000"},
        {.args = "--heartbeat-interval=",
         .wanted = "INVALID: --heartbeat-interval: \"\" is not a whole "
                   "number from 1 to 50000"},
        {.args = "--heartbeat-interval 0",
         .wanted = "INVALID: --heartbeat-interval: \"0\" is not a whole "
                   "number from 1 to 50000"},
        {.args = "-peer-election-timeout 50001",
         .wanted = "INVALID: --peer-election-timeout: \"50001\" is not a "
                   "whole number from 1 to 50000"},
        {.args = "--snapshot-count -1",
         .wanted = "INVALID: --snapshot-count: \"-1\" is not a whole number "
                   "from 0 up"},
        {.args = "--quota-backend-bytes 2GB",
         .wanted = "INVALID: --quota-backend-bytes: \"2GB\" is not a whole "
                   "number"},
        {.args = "--max-request-bytes 67108865",
         .wanted = "INVALID: --max-request-bytes: \"67108865\" is not a "
                   "whole number from 1 to 67108864"},
        {.args = "--force-new-cluster=yes",
         .wanted = "INVALID: --force-new-cluster: \"yes\" is not true or "
                   "false"},
        {.args = "--backend-batch-interval 100",
         .wanted = "INVALID: --backend-batch-interval: \"100\" is not a "
                   "duration such as 100ms, 5s or 1h30m"},
        {.args = "--grpc-keepalive-timeout -1s",
         .wanted = "INVALID: --grpc-keepalive-timeout: \"-1s\" is not a "
                   "duration such as 100ms, 5s or 1h30m"},
        {.args = "--cluster-remove-delay 5s",
         .wanted = "INVALID: --cluster-remove-delay: \"5s\" is not a number "
                   "of seconds"},
        {.args = "--retry-interval inf",
         .wanted = "INVALID: --retry-interval: \"inf\" is not a number of "
                   "seconds"},
        {.args = "--initial-cluster-state old",
         .wanted = "INVALID: --initial-cluster-state: \"old\" is not one of "
                   "new|existing"},
        {.args = "--log-level loud",
         .wanted = "INVALID: --log-level: \"loud\" is not one of "
                   "debug|info|warn|error|dpanic|panic|fatal"},
        {.args = "--log-level inf",
         .wanted = "INVALID: --log-level: \"inf\" is not one of "
                   "debug|info|warn|error|dpanic|panic|fatal"},
        {.args = "--cors a,,b",
         .wanted = "INVALID: --cors: \"a,,b\" has an empty part"},
        {.args = "--name a\tb",
         .wanted = "INVALID: --name: a control character in the value"},
        {.args = "--io-threads 257",
         .wanted = "INVALID: --io-threads: \"257\" is not a whole number from "
                   "0 to 256"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void recipes_have_flags(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.args = "--recipes=false", .wanted = "recipes=0"},
        {.args = "--recipes-endpoints a:1,b:2", .wanted = "recipes_at=a:1,b:2"},
        {.args = "--endpoints a:1", .wanted = "recipes_at=a:1"},
        {.args = "--recipes-allow-local --recipes-secret-key-file /k",
         .wanted = "recipes_local=1 recipes_key=/k"},
        {.args = "--recipes-lease-ttl 3s", .wanted = "recipes_ttl=3000000000"},
        /* The one list that several flags add up to, here alone. */
        {.args = "--recipes-exec-allow /a --recipes-exec-allow=/b,/c",
         .wanted = "recipes_exec=/a,/b,/c"},
        {.args = "--recipes-exec-allow /a",
         .env = "ETCD_RECIPES_EXEC_ALLOW=/b",
         .wanted = "recipes_exec=/a"},
        {.args = "--recipes-exec-allow '' --recipes-exec-allow /a",
         .wanted = "recipes_exec=/a"},
        {.env = "ETCHED_RECIPES_EXEC_ALLOW=/b,/c",
         .wanted = "recipes_exec=/b,/c"},
        {.args = "--cors a --cors b", .wanted = "cors=b"},
        {.args = "--recipes-lease-ttl 1s",
         .wanted = "INVALID: --recipes-lease-ttl: \"1s\" is not between 2s "
                   "and 3600s"},
        {.args = "--recipes-lease-ttl 2h",
         .wanted = "INVALID: --recipes-lease-ttl: \"2h\" is not between 2s "
                   "and 3600s"},
        {.args = "--recipes-exec-allow sh",
         .wanted = "INVALID: --recipes-exec-allow: \"sh\" is not a whole "
                   "path, such as /usr/local/bin/page"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

/* `etched recipes`: what is given counts, from wherever; else its own. */
static void a_worker_listens_elsewhere(void **state)
{
    (void)state;
    char *env[] = {"ETCD_NAME=from-env", NULL};
    char *argv[] = {"etched", "--endpoints=a:1", "--listen-client-urls",
                    "http://127.0.0.1:1", NULL};
    struct config config;
    struct config_input input = {.argc = 2, .argv = argv, .is_worker = true};
    assert_int_equal(config_load(&config, &input), ERR_OK);
    assert_string_equal(config.listen_client_urls.at[0].text,
                        CONFIG_WORKER_URL);
    assert_string_equal(config.name, CONFIG_WORKER_NAME);
    config_deinit(&config);
    input.argc = 4;
    input.env = env;
    assert_int_equal(config_load(&config, &input), ERR_OK);
    assert_string_equal(config.listen_client_urls.at[0].text,
                        "http://127.0.0.1:1");
    assert_string_equal(config.name, "from-env");
    config_deinit(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_given_serves_localhost),
        cmocka_unit_test(a_flag_has_several_forms),
        cmocka_unit_test(the_seeds_command_lines_work),
        cmocka_unit_test(the_seeds_cluster_has_three_members),
        cmocka_unit_test(the_oldest_names_work),
        cmocka_unit_test(flags_of_2_and_3_work),
        cmocka_unit_test(help_and_version_win_over_what_follows),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(bad_values_are_named),
        cmocka_unit_test(recipes_have_flags),
        cmocka_unit_test(a_worker_listens_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
