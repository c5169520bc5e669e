/* The configuration file in each of its forms. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "config_case.h"

#define ETC CONFIG_FILE_DEFAULT
#define NO_EFFECT ": accepted for compatibility; it has no effect here"

/* The document that it all started from has this file, as it stands. */
static const char seed_file[] =
    "addr = \"127.0.0.1:2379\"\n"
    "bind_addr = \"127.0.0.1:2379\"\n"
    "ca_file = \"\"\n"
    "cert_file = \"\"\n"
    "cors = []\n"
    "cpu_profile_file = \"\"\n"
    "data_dir = \".\"\n"
    "discovery = \"http://etcd.local:2379/v2/keys/_etcd/registry/"
    "examplecluster\"\n"
    "http_read_timeout = 10.0\n"
    "http_write_timeout = 10.0\n"
    "key_file = \"\"\n"
    "peers = []\n"
    "peers_file = \"\"\n"
    "max_cluster_size = 9\n"
    "max_result_buffer = 1024\n"
    "max_retry_attempts = 3\n"
    "name = \"default-name\"\n"
    "snapshot = true\n"
    "verbose = false\n"
    "very_verbose = false\n"
    "\n"
    "[peer]\n"
    "addr = \"127.0.0.1:2380\"\n"
    "bind_addr = \"127.0.0.1:2380\"\n"
    "ca_file = \"\"\n"
    "cert_file = \"\"\n"
    "key_file = \"\"\n"
    "\n"
    "[cluster]\n"
    "active_size = 9\n"
    "remove_delay = 1800.0\n"
    "sync_interval = 5.0\n";

#define SEED_FIELDS(path, data_dir)                                          \
    "file=" path " name=default-name data_dir=" data_dir                     \
    " listen_client=http://127.0.0.1:2379 "                                  \
    "listen_peer=http://127.0.0.1:2380 "                                     \
    "advertise_client=http://127.0.0.1:2379 "                                \
    "advertise_peer=http://127.0.0.1:2380 "                                  \
    "initial_cluster=default-name@http://127.0.0.1:2380 "                    \
    "discovery=http://etcd.local:2379/v2/keys/_etcd/registry/examplecluster" \
    " ! " path ": line 9, column 21: http_read_timeout" NO_EFFECT " ! " path \
    ": line 10, column 22: http_write_timeout" NO_EFFECT

static void the_seeds_file_is_read_as_it_stands(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.path = ETC, .file = seed_file, .wanted = SEED_FIELDS(ETC, ".")},
        {.path = "/my.conf",
         .file = seed_file,
         .args = "-config=/my.conf",
         .wanted = SEED_FIELDS("/my.conf", ".")},
        {.path = "/my.conf",
         .file = seed_file,
         .args = "--config-file /my.conf -data-dir /d",
         .wanted = SEED_FIELDS("/my.conf", "/d")},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

/* The keys of etcd 3.x's own sample, with its values. */
static const char sample_yaml[] =
    "# This is the configuration file for the server.\n"
    "\n"
    "name: 'default'\n"
    "data-dir:\n"
    "wal-dir:\n"
    "snapshot-count: 10000\n"
    "heartbeat-interval: 100\n"
    "election-timeout: 1000\n"
    "quota-backend-bytes: 0\n"
    "listen-peer-urls: http://localhost:2380\n"
    "listen-client-urls: http://localhost:2379\n"
    "max-snapshots: 5\n"
    "max-wals: 5\n"
    "cors:\n"
    "initial-advertise-peer-urls: http://localhost:2380\n"
    "advertise-client-urls: http://localhost:2379\n"
    "discovery:\n"
    "discovery-fallback: 'proxy'\n"
    "discovery-proxy:\n"
    "discovery-srv:\n"
    "initial-cluster:\n"
    "initial-cluster-token: 'etcd-cluster'\n"
    "initial-cluster-state: 'new'\n"
    "strict-reconfig-check: false\n"
    "enable-pprof: true\n"
    "proxy: 'off'\n"
    "proxy-failure-wait: 5000\n"
    "client-transport-security:\n"
    "  cert-file:\n"
    "  key-file:\n"
    "  client-cert-auth: false\n"
    "  trusted-ca-file:\n"
    "  auto-tls: false\n"
    "peer-transport-security:\n"
    "  cert-file:\n"
    "  client-cert-auth: false\n"
    "  allowed-cn:\n"
    "  allowed-hostname:\n"
    "self-signed-cert-validity: 1\n"
    "log-level: debug\n"
    "logger: zap\n"
    "log-outputs: [stderr]\n"
    "force-new-cluster: false\n"
    "auto-compaction-mode: periodic\n"
    "auto-compaction-retention: \"1\"\n"
    "tls-min-version: 'TLS1.2'\n";

static void a_yaml_file_of_3_is_read(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.path = "/e.yml",
         .file = sample_yaml,
         .args = "--config-file /e.yml",
         .wanted = "file=/e.yml fallback=1 strict=0 compaction=1 "
                   "period=3600000000000 log_level=debug "
                   "! /e.yml: line 25, column 15: enable-pprof" NO_EFFECT},
        {.path = "/e.yaml",
         .file = "listen-client-urls:\n"
                 "  - http://127.0.0.1:1\n"
                 "  - http://127.0.0.1:2\n"
                 "cors: [http://a, http://b]\n",
         .env = "ETCD_CONFIG_FILE=/e.yaml",
         .wanted = "file=/e.yaml "
                   "listen_client=http://127.0.0.1:1,http://127.0.0.1:2 "
                   "advertise_client=http://127.0.0.1:1,http://127.0.0.1:2 "
                   "cors=http://a,http://b"},
        /* A number for a duration is in nanoseconds there. */
        {.path = "/e.yaml",
         .file = "backend-batch-interval: 20000000\n"
                 "grpc-keepalive-min-time: 5s\n",
         .args = "--config-file=/e.yaml",
         .wanted = "file=/e.yaml batch_interval=20"},
        {.path = "/e.yaml",
         .file = "name: 0123\nauto-compaction-retention: 2\n",
         .args = "--config-file=/e.yaml",
         .wanted = "file=/e.yaml name=0123 data_dir=0123.etcd "
                   "initial_cluster=0123@http://localhost:2380 compaction=1 "
                   "period=7200000000000"},
        {.path = "/e.yaml",
         .file = "# nothing\n",
         .args = "--config-file=/e.yaml",
         .wanted = "file=/e.yaml"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void a_json_file_is_read(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.path = "/e.json",
         .file = "{\"data-dir\": \"/d\", \"heartbeat-interval\": 50, "
                 "\"unsafe-no-fsync\": true, \"log-outputs\": [\"stdout\"],"
                 "\"wal-dir\": null, \"http-read-timeout\": 1.5}",
         .args = "--config-file=/e.json",
         .wanted = "file=/e.json data_dir=/d heartbeat=50 log_outputs=stdout "
                   "no_fsync=1 ! /e.json: http-read-timeout" NO_EFFECT},
        {.path = "/e.json",
         .file = "{\"heartbeat-interval\": \"x\"}",
         .args = "--config-file=/e.json",
         .wanted = "INVALID: /e.json: heartbeat-interval: \"x\" is not a "
                   "whole number from 1 to 50000"},
        {.path = "/e.json",
         .file = "{\"name\": \"a\\u0000b\"}",
         .args = "--config-file=/e.json",
         .wanted = "INVALID: /e.json: name: a string is not what this key "
                   "takes"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void the_form_is_told_by_the_text(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.path = ETC, .file = "", .wanted = "file=" ETC},
        {.path = ETC,
         .file = "# name = x\n\n  wal-dir: /w=x\n",
         .wanted = "file=" ETC " wal_dir=/w=x"},
        {.path = ETC,
         .file = "# wal-dir: x\nwal-dir = \"a:b\"\n",
         .wanted = "file=" ETC " wal_dir=a:b"},
        {.path = ETC,
         .file = "---\nwal-dir: /w\n",
         .wanted = "file=" ETC " wal_dir=/w"},
        {.path = ETC,
         .file = "[peer]\nheartbeat_interval = 30\nelection_timeout = 300\n",
         .wanted = "file=" ETC " heartbeat=30 election=300"},
        {.path = ETC,
         .file = "  {\"wal-dir\": \"/w\"}",
         .wanted = "file=" ETC " wal_dir=/w"},
        /* The name's ending comes first. */
        {.path = "/e.TOML",
         .file = "wal-dir: /w\n",
         .args = "--config /e.TOML",
         .wanted = "INVALID: /e.TOML: line 1, column 8: \"=\" is wanted "
                   "here"},
        {.path = "/e.yaml",
         .file = "wal-dir = \"/w\"\n",
         .args = "--config /e.yaml",
         .wanted = "INVALID: /e.yaml: keys with values are wanted, not a "
                   "string"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void a_file_that_is_not_there(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.args = "--config-file /no",
         .wanted = "NOT_FOUND: the configuration file /no: no such file"},
        {.path = "/no",
         .env = "ETCHED_CONFIG_FILE=/no",
         .wanted = "PERMISSION: the configuration file /no: permission denied"},
        /* The default one need not be there, nor be readable. */
        {.wanted = ""},
        {.path = ETC, .wanted = "! " ETC " is passed over: permission denied"},
        /* Where one is named, the default one isn't looked at. */
        {.path = "/e.yml",
         .file = "cors: '*'",
         .args = "-config /e.yml",
         .env = "ETCD_CONFIG_FILE=/no",
         .wanted = "file=/e.yml cors=*"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void mistakes_are_named_with_their_place(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.path = ETC,
         .file = "name = \"x\"\nadr = \"x\"\n",
         .wanted = "INVALID: " ETC ": line 2, column 1: adr: unknown key; did "
                   "you mean addr?"},
        {.path = ETC,
         .file = "[peer]\n  bind_adr = \"x\"\n",
         .wanted = "INVALID: " ETC ": line 2, column 3: peer.bind_adr: "
                   "unknown key; did you mean peer-bind-addr?"},
        {.path = ETC,
         .file = "name: x\nzzzzzz: 1\n",
         .wanted = "INVALID: " ETC ": line 2, column 1: zzzzzz: unknown key"},
        {.path = ETC,
         .file = "n: x\n",
         .wanted = "INVALID: " ETC ": line 1, column 1: n: unknown key"},
        {.path = ETC,
         .file = "config-file: x\n",
         .wanted = "INVALID: " ETC ": line 1, column 1: config-file: unknown "
                   "key"},
        {.path = ETC,
         .file = "{\"nam\": 1}",
         .wanted = "INVALID: " ETC ": nam: unknown key; did you mean name?"},
        {.path = ETC,
         .file = "name = x\n",
         .wanted = "INVALID: " ETC ": line 1, column 8: \"x\" is not a value "
                   "(strings stand in quotes; dates are not supported)"},
        {.path = ETC,
         .file = "name: [x\n",
         .wanted = "INVALID: " ETC ": line 2, column 1: did not find expected "
                   "',' or ']'"},
        {.path = ETC,
         .file = "name:\n  a: b\n",
         .wanted = "INVALID: " ETC ": line 2, column 3: name: a map is not "
                   "what this key takes"},
        {.path = ETC,
         .file = "heartbeat-interval: [1, 2]\n",
         .wanted = "INVALID: " ETC ": line 1, column 21: heartbeat-interval: "
                   "a list is not what this key takes"},
        {.path = ETC,
         .file = "cors: [[a]]\n",
         .wanted = "INVALID: " ETC ": line 1, column 7: cors: a list is not "
                   "what this key takes"},
        {.path = ETC,
         .file = "peer: 12\n",
         .wanted = "INVALID: " ETC ": line 1, column 1: peer: a section with "
                   "keys of its own is wanted"},
        {.path = ETC,
         .file = "heartbeat_interval = 1.5\n",
         .wanted = "INVALID: " ETC ": line 1, column 22: heartbeat_interval: "
                   "\"1.5\" is not a whole number from 1 to 50000"},
        {.path = ETC,
         .file = "listen-client-urls: http://localhost\n",
         .wanted = "INVALID: " ETC ": line 1, column 21: listen-client-urls: "
                   "\"http://localhost\" has no port"},
        {.path = ETC,
         .file = "- name\n",
         .wanted = "INVALID: " ETC ": keys with values are wanted, not a list"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_seeds_file_is_read_as_it_stands),
        cmocka_unit_test(a_yaml_file_of_3_is_read),
        cmocka_unit_test(a_json_file_is_read),
        cmocka_unit_test(the_form_is_told_by_the_text),
        cmocka_unit_test(a_file_that_is_not_there),
        cmocka_unit_test(mistakes_are_named_with_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
