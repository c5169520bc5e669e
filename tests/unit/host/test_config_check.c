/* URLs, addresses, and what follows from several flags together. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "config_case.h"

static void urls_are_taken_apart(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct config config;
    const struct config_case given = {
        .args = "--listen-client-urls HTTP://[::1]:2379/,http://0.0.0.0:0,"
                "unix:///run/etched.sock "
                "--advertise-client-urls https://A-1.example_x:65535"};
    assert_int_equal(load_case(&arena, &config, &given), ERR_OK);
    assert_int_equal(config.listen_client_urls.count, 3);
    const struct config_url *url = config.listen_client_urls.at;
    assert_string_equal(url[0].host, "::1");
    assert_int_equal(url[0].port, 2379);
    assert_string_equal(url[0].text, "http://[::1]:2379");
    assert_false(url[0].tls);
    assert_false(url[0].is_unix);
    assert_string_equal(url[1].host, "0.0.0.0");
    assert_int_equal(url[1].port, 0);
    assert_true(url[2].is_unix);
    assert_string_equal(url[2].host, "/run/etched.sock");
    assert_string_equal(url[2].text, "unix:///run/etched.sock");
    assert_int_equal(config.advertise_client_urls.count, 1);
    url = config.advertise_client_urls.at;
    assert_true(url[0].tls);
    assert_string_equal(url[0].host, "A-1.example_x");
    assert_int_equal(url[0].port, 65535);
    config_deinit(&config);
    arena_deinit(&arena);
}

#define LISTEN(url) "--listen-client-urls " url
#define REFUSED(text) "INVALID: --listen-client-urls: " text

static void bad_urls_are_refused(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.args = LISTEN("localhost:2379"),
         .wanted = REFUSED("\"localhost:2379\" does not begin with http://, "
                           "https://, unix:// or unixs://")},
        {.args = LISTEN("http://localhost"),
         .wanted = REFUSED("\"http://localhost\" has no port")},
        {.args = LISTEN("http://[::1]"),
         .wanted = REFUSED("\"http://[::1]\" has no port")},
        {.args = LISTEN("http://localhost:"),
         .wanted = REFUSED("\"http://localhost:\" is not SCHEME://HOST:PORT")},
        {.args = LISTEN("http://:2379"),
         .wanted = REFUSED("\"http://:2379\" has no valid host")},
        {.args = LISTEN("http://"),
         .wanted = REFUSED("\"http://\" has no port")},
        {.args = LISTEN("http://localhost:65536"),
         .wanted = REFUSED("\"http://localhost:65536\" has no port from 0 to "
                           "65535")},
        {.args = LISTEN("http://localhost:-1"),
         .wanted = REFUSED("\"http://localhost:-1\" has no port from 0 to "
                           "65535")},
        {.args = LISTEN("http://localhost:1/v2"),
         .wanted = REFUSED("\"http://localhost:1/v2\" has more than scheme, "
                           "host and port")},
        {.args = LISTEN("http://me@localhost:1"),
         .wanted = REFUSED("\"http://me@localhost:1\" has more than scheme, "
                           "host and port")},
        {.args = LISTEN("http://[::1:2379"),
         .wanted = REFUSED("\"http://[::1:2379\" is not SCHEME://HOST:PORT")},
        {.args = LISTEN("http://[1.2.3]:1"),
         .wanted = REFUSED("\"http://1.2.3:1\" can't be listened on; an IP "
                           "address or localhost is wanted")},
        {.args = LISTEN("http://[::g]:1"),
         .wanted = REFUSED("\"http://[::g]:1\" has no valid host")},
        {.args = LISTEN("http://::1:2379"),
         .wanted = REFUSED("\"http://::1:2379\" has no valid host")},
        {.args = LISTEN("http://a!b:1"),
         .wanted = REFUSED("\"http://a!b:1\" has no valid host")},
        {.args = LISTEN("unix://"),
         .wanted = REFUSED("\"unix://\" has no path")},
        {.args = LISTEN("http://127.0.0.1:1,"),
         .wanted = REFUSED("\"http://127.0.0.1:1,\" has an empty part")},
        {.args = LISTEN("http://node.example:2379"),
         .wanted = REFUSED("\"http://node.example:2379\" can't be listened "
                           "on; an IP address or localhost is wanted")},
        {.args = LISTEN("http://127.0.0.1:1,HTTP://127.0.0.1:1"),
         .wanted = REFUSED("\"http://127.0.0.1:1\" is there twice")},
        {.args = LISTEN("http://localhost:2380"),
         .wanted = "INVALID: --listen-peer-urls: \"http://localhost:2380\" is "
                   "for clients already; peers need another"},
        {.args = LISTEN("http://127.0.0.1:0") " --listen-peer-urls "
                                              "http://127.0.0.1:0",
         .wanted = "listen_client=http://127.0.0.1:0 "
                   "listen_peer=http://127.0.0.1:0 "
                   "advertise_client=http://127.0.0.1:0 "
                   "advertise_peer=http://127.0.0.1:0 "
                   "initial_cluster=default@http://127.0.0.1:0"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void addresses_of_0_4_become_urls(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.args = "-addr 10.0.0.1:4001",
         .wanted = "listen_client=http://10.0.0.1:4001 "
                   "advertise_client=http://10.0.0.1:4001"},
        {.args = "-addr 10.0.0.1",
         .wanted = "listen_client=http://10.0.0.1:2379 "
                   "advertise_client=http://10.0.0.1:2379"},
        {.args = "-addr [fe80::1]:4001",
         .wanted = "listen_client=http://[fe80::1]:4001 "
                   "advertise_client=http://[fe80::1]:4001"},
        {.args = "-addr http://10.0.0.1:4001",
         .wanted = "listen_client=http://10.0.0.1:4001 "
                   "advertise_client=http://10.0.0.1:4001"},
        {.args = "-bind-addr :4001",
         .wanted = "listen_client=http://0.0.0.0:4001 "
                   "advertise_client=http://localhost:4001 "
                   "! clients are told http://localhost:4001, since "
                   "http://0.0.0.0:4001 is every address of this machine; "
                   "give --advertise-client-urls where they come from "
                   "elsewhere"},
        {.args = "-bind-addr 10.0.0.1",
         .wanted = "listen_client=http://10.0.0.1:2379 "
                   "advertise_client=http://10.0.0.1:2379"},
        {.args = "-addr node.example:4001",
         .wanted = "INVALID: --addr: \"http://node.example:4001\" can't be "
                   "listened on; an IP address or localhost is wanted (or "
                   "give --bind-addr besides)"},
        {.args = "-peer-addr node.example:7001",
         .wanted = "INVALID: --peer-addr: \"http://node.example:7001\" can't "
                   "be listened on; an IP address or localhost is wanted (or "
                   "give --peer-bind-addr besides)"},
        {.args = "-addr :4001",
         .wanted = "INVALID: --addr: \":4001\" has no valid host"},
        {.args = "-addr a:b:c",
         .wanted = "INVALID: --addr: \"a:b:c\" has no port from 0 to 65535"},
        {.args = "-bind-addr 10.0.0.1:",
         .wanted = "INVALID: --bind-addr: \"10.0.0.1:\" is not HOST:PORT"},
        {.args = "-bind-addr 10.0.0.1:70000",
         .wanted = "INVALID: --bind-addr: \"10.0.0.1:70000\" has no port from "
                   "0 to 65535"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void clients_are_told_what_is_listened_on(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.args = LISTEN("http://10.0.0.1:1,http://10.0.0.2:1"),
         .wanted = "listen_client=http://10.0.0.1:1,http://10.0.0.2:1 "
                   "advertise_client=http://10.0.0.1:1,http://10.0.0.2:1"},
        {.args = LISTEN("http://[::]:2379"),
         .wanted = "listen_client=http://[::]:2379 "
                   "! clients are told http://localhost:2379, since "
                   "http://[::]:2379 is every address of this machine; give "
                   "--advertise-client-urls where they come from elsewhere"},
        {.args = LISTEN("http://0.0.0.0:2379") " --advertise-client-urls "
                                               "http://0.0.0.0:2379",
         .wanted = "listen_client=http://0.0.0.0:2379 "
                   "advertise_client=http://0.0.0.0:2379"},
        /* With one member, nobody asks for its peer URL. */
        {.args = "--listen-peer-urls http://0.0.0.0:2380",
         .wanted = "listen_peer=http://0.0.0.0:2380"},
        {.args = LISTEN("unix://etched.sock"),
         .wanted = "listen_client=unix://etched.sock "
                   "advertise_client=unix://etched.sock"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void the_cluster_is_what_the_list_says(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.args = "--initial-cluster default=http://localhost:2380",
         .wanted = ""},
        /* What others are told comes from the list where nothing else says. */
        {.args = "--initial-cluster default=http://a:1,default=http://b:2",
         .wanted = "advertise_peer=http://a:1,http://b:2 "
                   "initial_cluster=default@http://a:1,default@http://b:2"},
        {.args = "--name a --initial-cluster a=http://a:1 "
                 "--initial-advertise-peer-urls http://a:1",
         .wanted = "name=a data_dir=a.etcd advertise_peer=http://a:1 "
                   "initial_cluster=a@http://a:1"},
        {.args = "--initial-cluster default=http://a:1,b=http://b:1",
         .wanted = "advertise_peer=http://a:1 "
                   "initial_cluster=default@http://a:1,b@http://b:1"},
        {.args = "--initial-cluster a=http://a:1 --initial-cluster-state "
                 "existing",
         .wanted = "initial_cluster=a@http://a:1 existing=1"},
        /* A name or URLs that don't fit: bootstrap's to say, if there is no
         * data yet. */
        {.args = "--initial-cluster b=http://a:1",
         .wanted = "initial_cluster=b@http://a:1"},
        {.args = "--initial-cluster default=http://a:1 "
                 "--initial-advertise-peer-urls http://b:1",
         .wanted = "advertise_peer=http://b:1 "
                   "initial_cluster=default@http://a:1"},
        {.args = "--initial-cluster default=http://a:1 -peer-addr 10.0.0.1:1",
         .wanted = "listen_peer=http://10.0.0.1:1 "
                   "advertise_peer=http://10.0.0.1:1 "
                   "initial_cluster=default@http://a:1"},
        {.args = "--initial-cluster default=https://a:1",
         .wanted = "advertise_peer=https://a:1 "
                   "initial_cluster=default@https://a:1"},
        {.args = "--initial-cluster default=http://a:1,b=https://b:1",
         .wanted = "advertise_peer=http://a:1 "
                   "initial_cluster=default@http://a:1,b@https://b:1"},
        {.args = "--initial-cluster http://a:1",
         .wanted = "INVALID: --initial-cluster: \"http://a:1\" is not "
                   "NAME=URL"},
        {.args = "--initial-cluster =http://a:1",
         .wanted = "INVALID: --initial-cluster: \"=http://a:1\" is not "
                   "NAME=URL"},
        {.args = "--initial-cluster a=b",
         .wanted = "INVALID: --initial-cluster: \"b\" does not begin with "
                   "http://, https://, unix:// or unixs://"},
        {.env = "ETCD_INITIAL_CLUSTER=,",
         .wanted = "INVALID: ETCD_INITIAL_CLUSTER: \",\" has an empty part"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

#define SEVERAL                                                       \
    ": multiple discovery or bootstrap flags are set; choose one of " \
    "this and "

static void a_cluster_is_found_in_one_way(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.args = "--discovery http://d:1/v2/keys/x --discovery-fallback proxy "
                 "--discovery-proxy http://p:1",
         .wanted = "discovery=http://d:1/v2/keys/x fallback=1 "
                   "discovery_proxy=http://p:1"},
        {.args = "--discovery-srv example.com --discovery-srv-name blue "
                 "--initial-cluster-state existing",
         .wanted = "existing=1 srv=example.com srv_name=blue"},
        {.args =
             "--discovery http://d:1/x --initial-cluster default=http://a:1",
         .wanted = "INVALID: --discovery" SEVERAL "--initial-cluster"},
        {.args = "--discovery-srv example.com",
         .env = "ETCD_DISCOVERY=http://d:1/x",
         .wanted = "INVALID: --discovery-srv" SEVERAL "ETCD_DISCOVERY"},
        {.args = "--peers a:1 --discovery http://d:1/x",
         .wanted = "INVALID: --peers" SEVERAL "--discovery"},
        {.args = "--initial-cluster default=http://a:1 -CF /p",
         .wanted = "INVALID: --CF" SEVERAL "--initial-cluster"},
        {.args = "--discovery d:1/x",
         .wanted = "INVALID: --discovery: \"d:1/x\" is not a URL with http:// "
                   "or https://"},
        {.args = "--discovery http://d:1/x --initial-cluster-state existing",
         .wanted = "INVALID: --discovery: it is for a new cluster; to join one "
                   "that exists give --initial-cluster with its members"},
        {.args = "--discovery-endpoints http://d:1",
         .wanted = "UNSUPPORTED: --discovery-endpoints: v3 discovery comes "
                   "with a later version, and to run as a cluster of one "
                   "instead would be wrong; use --discovery, --discovery-srv "
                   "or --initial-cluster"},
        {.args = "--discovery-fallback member",
         .wanted = "INVALID: --discovery-fallback: \"member\" is not one of "
                   "exit|proxy"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void peers_of_0_4_are_addresses(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.args = "-peers 10.0.0.1,http://b.example:7001 -peers-file /p",
         .path = "/p",
         .file = "# the old ones\n10.0.0.3:1, [::1]:2\r\n\n\tc:3",
         .wanted = "peers=http://10.0.0.1:2380,http://b.example:7001,"
                   "http://10.0.0.3:1,http://[::1]:2,http://c:3"},
        {.args = "-peers-file /p", .path = "/p", .file = "", .wanted = ""},
        {.args = "-peers-file /p",
         .path = "/p",
         .wanted = "PERMISSION: --peers-file: permission denied"},
        {.args = "-peers-file /p",
         .path = "/p",
         .file = "a:1 b:c",
         .wanted =
             "INVALID: --peers-file: \"b:c\" has no port from 0 to 65535"},
        {.args = "-peers https://a:1", .wanted = "peers=https://a:1"},
        {.args = "-peers-file /p",
         .path = "/p",
         .file = "unix:///x",
         .wanted = "UNSUPPORTED: --peers-file: \"unix:///x\": peers are "
                   "HOST:PORT"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void too_many_peers_are_refused(void **state)
{
    (void)state;
    char file[1024] = "";
    for (size_t i = 0; i < 65; i++) {
        memcpy(file + i * 4, "a:1 ", 5);
    }
    const struct config_case cases[] = {
        {.args = "-peers-file /p",
         .path = "/p",
         .file = file,
         .wanted = "TOO_LARGE: --peers-file: more than 64 peers"}};
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void a_proxy_and_the_clusters_sizes(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.args = "--proxy on --proxy-failure-wait 1 --proxy-refresh-interval 2 "
                 "--proxy-dial-timeout 3 --proxy-write-timeout 4 "
                 "--proxy-read-timeout 5",
         .wanted = "proxy=2 failure_wait=1 refresh=2 dial=3 write=4 read=5"},
        {.args = "--proxy readonly", .wanted = "proxy=1"},
        {.args = "--proxy off", .wanted = ""},
        {.args = "--proxy yes",
         .wanted = "INVALID: --proxy: \"yes\" is not one of off|readonly|on"},
        {.args = "--cluster-active-size 2 --cluster-remove-delay 0.5 "
                 "--cluster-sync-interval 0",
         .wanted =
             "active_size=3 remove_ns=2000000000 sync_ns=1000000000 "
             "! --cluster-active-size is raised to 3, the least that there is "
             "! --cluster-remove-delay is raised to 2, the least that there is "
             "! --cluster-sync-interval is raised to 1, the least that there "
             "is"},
        {.args = "--strict-reconfig-check=false --pre-vote=false "
                 "--snapshot-catchup-entries 7",
         .wanted = "strict=0 pre_vote=0 catch_up=7"},
        {.args = "--snapshot-catchup-entries 0", .wanted = ""},
        {.args = "--experimental-snapshot-catchup-entries 7",
         .wanted = "catch_up=7"},
        {.args = "--retry-interval -1",
         .wanted = "INVALID: --retry-interval: \"-1\" is not a number of "
                   "seconds"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void names_that_would_confuse_are_refused(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.args = "--name a=b",
         .wanted = "INVALID: --name: \"a=b\" has a \",\", \"=\" or \"/\" in "
                   "it, which a name can't have"},
        {.args = "--name ../a",
         .wanted = "INVALID: --name: \"../a\" has a \",\", \"=\" or \"/\" in "
                   "it, which a name can't have"},
        {.env = "ETCD_NAME=a,b",
         .wanted = "INVALID: ETCD_NAME: \"a,b\" has a \",\", \"=\" or \"/\" "
                   "in it, which a name can't have"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void an_election_takes_five_heartbeats(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.args = "--heartbeat-interval 200", .wanted = "heartbeat=200"},
        {.args = "--heartbeat-interval 201",
         .wanted = "INVALID: --election-timeout: 1000 ms is less than 5 times "
                   "--heartbeat-interval, which is 201 ms"},
        {.args = "--election-timeout 499",
         .wanted = "INVALID: --election-timeout: 499 ms is less than 5 times "
                   "--heartbeat-interval, which is 100 ms"},
        {.env = "ETCD_ELECTION_TIMEOUT=499",
         .wanted = "INVALID: ETCD_ELECTION_TIMEOUT: 499 ms is less than 5 "
                   "times --heartbeat-interval, which is 100 ms"},
        /* 0.4's own defaults, spelled out, go on working. */
        {.args = "-peer-heartbeat-interval 50 -peer-election-timeout 200",
         .wanted = "heartbeat=50 election=250 ! the election timeout of 200 "
                   "ms is raised to 250 ms, 5 heartbeats of 50 ms"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

#define PERIOD "INVALID: --auto-compaction-retention: "

/* Below 0 it was a loop without a pause (GHSA-pm3m-32r3-7mfh,
 * TOB-ETCD-011). */
static void retention_depends_on_the_mode(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.args = "--auto-compaction-retention 0h", .wanted = ""},
        {.args = "--auto-compaction-retention -1",
         .wanted = PERIOD "\"-1\" is not a number of hours from 0 up"},
        {.args = "--auto-compaction-retention 9223372036854775807",
         .wanted = PERIOD "\"9223372036854775807\" is not a number of hours "
                          "from 0 up"},
        {.args = "--auto-compaction-retention -1h",
         .wanted = PERIOD "\"-1h\" is neither a number of hours nor a "
                          "duration such as 30m"},
        {.args = "--auto-compaction-retention long",
         .wanted = PERIOD "\"long\" is neither a number of hours nor a "
                          "duration such as 30m"},
        {.args = "--auto-compaction-mode revision "
                 "--auto-compaction-retention 1h",
         .wanted = PERIOD "\"1h\" is not a number of revisions from 0 up"},
        {.args = "--auto-compaction-mode revision "
                 "--auto-compaction-retention -5",
         .wanted = PERIOD "\"-5\" is not a number of revisions from 0 up"},
        {.args = "--auto-compaction-mode sometimes",
         .wanted = "INVALID: --auto-compaction-mode: \"sometimes\" is not one "
                   "of periodic|revision|off"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

/* After an error there is nothing to free, and freeing is harmless. */
static void an_error_leaves_nothing_behind(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct config config;
    const struct config_case given = {.args = "--heartbeat-interval x"};
    assert_int_equal(load_case(&arena, &config, &given), ERR_INVALID);
    assert_null(config.name);
    assert_int_equal(config.warning_count, 0);
    config_deinit(&config);
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(bad_urls_are_refused),
        cmocka_unit_test(addresses_of_0_4_become_urls),
        cmocka_unit_test(clients_are_told_what_is_listened_on),
        cmocka_unit_test(the_cluster_is_what_the_list_says),
        cmocka_unit_test(a_cluster_is_found_in_one_way),
        cmocka_unit_test(peers_of_0_4_are_addresses),
        cmocka_unit_test(too_many_peers_are_refused),
        cmocka_unit_test(a_proxy_and_the_clusters_sizes),
        cmocka_unit_test(names_that_would_confuse_are_refused),
        cmocka_unit_test(an_election_takes_five_heartbeats),
        cmocka_unit_test(retention_depends_on_the_mode),
        cmocka_unit_test(an_error_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
