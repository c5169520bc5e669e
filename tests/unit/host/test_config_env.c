/* The environment, files of such lines, and who wins over whom. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "config_case.h"

#define ETC CONFIG_FILE_DEFAULT
#define NAMED(n)                                                   \
    "name=" n " data_dir=" n ".etcd initial_cluster=" n "@http://" \
    "localhost:2380"
#define NAME_X "name=x data_dir=x.etcd initial_cluster=x@http://localhost:2380"

static void variables_are_named_like_flags(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.env = "ETCD_NAME=x", .wanted = NAME_X},
        {.env = "ETCHED_NAME=x", .wanted = NAME_X},
        {.env = "ETCD_DATA_DIR=/d ETCD_QUOTA_BACKEND_BYTES=-1",
         .wanted = "data_dir=/d quota=-1"},
        {.env = "ETCD_UNSAFE_NO_FSYNC=1 ETCHED_IO_THREADS=2",
         .wanted = "no_fsync=1 io_threads=2"},
        {.env = "ETCD_INITIAL_CLUSTER_TOKEN=a=b", .wanted = "token=a=b"},
        {.env = "ETCD_EXPERIMENTAL_GRPC_ADDR=x",
         .wanted = "! ETCD_EXPERIMENTAL_GRPC_ADDR: accepted for "
                   "compatibility; it has no effect here"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void variables_of_0_4_work(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.env = "ETCD_ADDR=10.0.0.1:4001 ETCD_BIND_ADDR=0.0.0.0:4002",
         .wanted = "listen_client=http://0.0.0.0:4002 "
                   "advertise_client=http://10.0.0.1:4001"},
        {.env = "ETCD_VERBOSE=true", .wanted = "log_level=debug"},
        {.env = "ETCD_VERY_VERY_VERBOSE=1", .wanted = "log_level=debug"},
        {.env = "ETCD_SNAPSHOTCOUNT=500",
         .wanted = "! ETCD_SNAPSHOTCOUNT: accepted for compatibility; "
                   "it has no effect here"},
        {.env = "ETCD_SNAPSHOT=false",
         .wanted = "! ETCD_SNAPSHOT: accepted for compatibility; it has "
                   "no effect here"},
        {.env = "ETCD_CORS=*", .wanted = "cors=*"},
        {.env = "ETCD_PEER_HEARTBEAT_INTERVAL=20 "
                "ETCD_PEER_ELECTION_TIMEOUT=300",
         .wanted = "heartbeat=20 election=300"},
        {.env = "ETCD_CA_FILE=/ca", .wanted = "ca=/ca"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void what_is_not_ours_is_left_alone(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.env = "PATH=/bin HOME=/ ETCDCTL_API=3 MY_ETCD_NAME=y =x ETCD_NAME",
         .wanted = ""},
        /* Empty counts as not there. */
        {.env = "ETCD_NAME= ETCD_HEARTBEAT_INTERVAL=", .wanted = ""},
        {.env = "ETCD_CERT_FILE= ETCD_CLIENT_CERT_AUTH=false", .wanted = ""},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void unknown_variables_make_a_warning(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.env = "ETCD_PORT_2379_TCP=tcp://10.0.0.1:2379",
         .wanted = "! unrecognized environment variable ETCD_PORT_2379_TCP"},
        {.env = "ETCD_NMAE=x",
         .wanted = "! unrecognized environment variable ETCD_NMAE; did you "
                   "mean ETCD_NAME?"},
        {.env = "ETCHED_DATADIR=x",
         .wanted = "! unrecognized environment variable ETCHED_DATADIR; did "
                   "you mean ETCHED_DATA_DIR?"},
        /* These are for the command line only. */
        {.env = "ETCD_VERSION=3.5.0",
         .wanted = "! unrecognized environment variable ETCD_VERSION"},
        {.env = "ETCD_N=x",
         .wanted = "! unrecognized environment variable ETCD_N"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void bad_values_name_the_variable(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.env = "ETCD_HEARTBEAT_INTERVAL=x",
         .wanted = "INVALID: ETCD_HEARTBEAT_INTERVAL: \"x\" is not a whole "
                   "number from 1 to 50000"},
        {.env = "ETCD_LISTEN_CLIENT_URLS=localhost:2379",
         .wanted = "INVALID: ETCD_LISTEN_CLIENT_URLS: \"localhost:2379\" "
                   "does not begin with http://, https://, unix:// or "
                   "unixs://"},
        /* What doesn't win isn't looked at. */
        {.args = "--heartbeat-interval 90",
         .env = "ETCD_HEARTBEAT_INTERVAL=x",
         .wanted = "heartbeat=90"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void the_order_is_line_own_theirs_file(void **state)
{
    (void)state;
    static const char file[] = "name = \"file\"\n";
    static const struct config_case cases[] = {
        {.path = ETC, .file = file, .wanted = "file=" ETC " " NAMED("file")},
        {.path = ETC,
         .file = file,
         .env = "ETCD_NAME=theirs",
         .wanted = "file=" ETC " " NAMED("theirs")},
        {.path = ETC,
         .file = file,
         .env = "ETCHED_NAME=own ETCD_NAME=theirs",
         .wanted = "file=" ETC " " NAMED("own")},
        {.path = ETC,
         .file = file,
         .env = "ETCD_NAME=theirs ETCHED_NAME=own",
         .wanted = "file=" ETC " " NAMED("own")},
        {.path = ETC,
         .file = file,
         .env = "ETCD_NAME=theirs ETCHED_NAME=own",
         .args = "-name line",
         .wanted = "file=" ETC " " NAMED("line")},
        /* A name of today wins over an old one of the same source. */
        {.env = "ETCD_HEARTBEAT_INTERVAL=30 ETCD_PEER_HEARTBEAT_INTERVAL=40",
         .wanted = "heartbeat=30"},
        {.env = "ETCD_PEER_HEARTBEAT_INTERVAL=40 ETCD_HEARTBEAT_INTERVAL=30",
         .wanted = "heartbeat=30"},
        /* An empty value on the command line brings the default back. */
        {.env = "ETCD_CORS=*", .args = "--cors=", .wanted = ""},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void the_higher_source_wins_between_old_and_new_flags(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.env = "ETCD_ADDR=10.0.0.1:4001 ETCD_BIND_ADDR=10.0.0.1",
         .args = "--listen-client-urls http://10.0.0.2:1 "
                 "--advertise-client-urls http://10.0.0.3:2",
         .wanted = "listen_client=http://10.0.0.2:1 "
                   "advertise_client=http://10.0.0.3:2"},
        {.env = "ETCD_LISTEN_CLIENT_URLS=http://10.0.0.2:1 "
                "ETCD_ADVERTISE_CLIENT_URLS=http://10.0.0.3:2",
         .args = "-addr 10.0.0.1:4001 -bind-addr 10.0.0.1",
         .wanted = "listen_client=http://10.0.0.1:4001 "
                   "advertise_client=http://10.0.0.1:4001"},
        {.env = "ETCD_LISTEN_CLIENT_URLS=http://10.0.0.2:1",
         .args = "-addr 10.0.0.1:4001",
         .wanted = "listen_client=http://10.0.0.2:1 "
                   "advertise_client=http://10.0.0.1:4001"},
        {.args = "-addr 10.0.0.1:4001 --advertise-client-urls http://a:1",
         .wanted = "INVALID: --advertise-client-urls: give this or --addr, "
                   "not both; they say the same"},
        {.args = "-peer-bind-addr :1 --listen-peer-urls http://127.0.0.1:1",
         .wanted = "INVALID: --listen-peer-urls: give this or "
                   "--peer-bind-addr, not both; they say the same"},
        {.env = "ETCD_VERBOSE=1",
         .args = "--log-level warn",
         .wanted = "log_level=warn"},
        {.env = "ETCD_LOG_LEVEL=warn",
         .args = "-v",
         .wanted = "log_level=debug"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

static void a_file_may_be_lines_of_variables(void **state)
{
    (void)state;
    static const struct config_case cases[] = {
        {.path = ETC,
         .file = "# [member]\n"
                 "ETCD_NAME=x\n"
                 "\n"
                 "  export ETCD_DATA_DIR=\"/var/lib/etcd/x y\"  \r\n"
                 "ETCD_CORS='*'\n"
                 "#ETCD_WAL_DIR=\"\"\n"
                 "GOMAXPROCS=2\n",
         .wanted = "file=" ETC " name=x data_dir=/var/lib/etcd/x y "
                   "initial_cluster=x@http://localhost:2380 cors=*"},
        {.path = ETC,
         .file = "ETCD_NAME=x",
         .env = "ETCD_NAME=y",
         .args = "-d /d",
         .wanted = "file=" ETC " name=y data_dir=/d "
                   "initial_cluster=y@http://localhost:2380"},
        {.path = ETC,
         .file = "\nETCD_HEARTBEAT_INTERVAL=x\n",
         .wanted = "INVALID: " ETC ": line 2, column 1: "
                   "ETCD_HEARTBEAT_INTERVAL: \"x\" is not a whole number "
                   "from 1 to 50000"},
        {.path = ETC,
         .file = "ETCD_NAME=x\nwhat\n",
         .wanted = "INVALID: " ETC ": line 2, column 1: NAME=value is wanted"},
        {.path = ETC,
         .file = "ETCD_NAME=\"x\n",
         .wanted = "INVALID: " ETC ": line 1, column 11: the quote is open"},
        {.path = ETC,
         .file = "ETCD_NMAE=x\n",
         .wanted = "file=" ETC " ! unrecognized environment variable "
                   "ETCD_NMAE; did you mean ETCD_NAME?"},
    };
    assert_int_equal(COUNT_FAILURES(cases), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_are_named_like_flags),
        cmocka_unit_test(variables_of_0_4_work),
        cmocka_unit_test(what_is_not_ours_is_left_alone),
        cmocka_unit_test(unknown_variables_make_a_warning),
        cmocka_unit_test(bad_values_name_the_variable),
        cmocka_unit_test(the_order_is_line_own_theirs_file),
        cmocka_unit_test(the_higher_source_wins_between_old_and_new_flags),
        cmocka_unit_test(a_file_may_be_lines_of_variables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
