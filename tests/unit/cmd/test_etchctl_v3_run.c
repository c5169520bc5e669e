/* Whole runs of v3 commands against a server that follows a script: what they
 * ask, and what they do when a connection breaks, a lease ends, a signal
 * comes. (Their output is compared with etcdctl's by
 * tests/compat/etcdctl_v3.py.) */
#include "v3_script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct script script;
static Etcdserverpb__ResponseHeader header;
static Mvccpb__KeyValue kv;
static Mvccpb__KeyValue *kvs[] = {&kv, &kv};

static int set_up(void **state)
{
    (void)state;
    script_start(&script);
    etcdserverpb__response_header__init(&header);
    header.member_id = 7;
    header.revision = 5;
    mvccpb__key_value__init(&kv);
    kv.key = message_data(SLICE("k"));
    kv.value = message_data(SLICE("v"));
    kv.mod_revision = 5;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    script_stop(&script);
    return 0;
}

static void expect(const char *line, int code, const char *out, const char *err)
{
    struct run run = run_line(&script, line, NULL);
    run_expect(&run, code, out, err);
}

/* ---- answers ------------------------------------------------------------ */

static void answer_range(size_t count, bool more)
{
    Etcdserverpb__RangeResponse answer = ETCDSERVERPB__RANGE_RESPONSE__INIT;

    answer.header = &header;
    answer.kvs = kvs;
    answer.n_kvs = count;
    answer.more = more;
    script_answer(&script, "KV/Range", &answer, SCRIPT_END);
}

static void answer_txn(void)
{
    Etcdserverpb__TxnResponse answer = ETCDSERVERPB__TXN_RESPONSE__INIT;

    answer.header = &header;
    answer.succeeded = true;
    script_answer(&script, "KV/Txn", &answer, SCRIPT_END);
}

static void answer_grant(int64_t id)
{
    Etcdserverpb__LeaseGrantResponse answer =
        ETCDSERVERPB__LEASE_GRANT_RESPONSE__INIT;

    answer.id = id;
    answer.ttl = 60;
    script_answer(&script, "Lease/LeaseGrant", &answer, SCRIPT_END);
}

static void answer_revoke(void)
{
    Etcdserverpb__LeaseRevokeResponse answer =
        ETCDSERVERPB__LEASE_REVOKE_RESPONSE__INIT;

    script_answer(&script, "Lease/LeaseRevoke", &answer, SCRIPT_END);
}

static struct script_step *answer_alive(int64_t ttl, enum script_then then)
{
    Etcdserverpb__LeaseKeepAliveResponse answer =
        ETCDSERVERPB__LEASE_KEEP_ALIVE_RESPONSE__INIT;

    answer.id = 0x12;
    answer.ttl = ttl;
    return script_answer(&script, "Lease/LeaseKeepAlive", &answer, then);
}

/* "created", with which each watch begins. */
static struct script_step *answer_watch(int64_t revision, enum script_then then)
{
    Etcdserverpb__WatchResponse answer = ETCDSERVERPB__WATCH_RESPONSE__INIT;

    header.revision = revision;
    answer.header = &header;
    answer.created = true;
    return script_answer(&script, "Watch/Watch", &answer, then);
}

static void add_event(struct script_step *step, bool is_put, const char *key,
                      int64_t revision)
{
    Etcdserverpb__WatchResponse answer = ETCDSERVERPB__WATCH_RESPONSE__INIT;
    Mvccpb__Event event = MVCCPB__EVENT__INIT;
    Mvccpb__Event *events[] = {&event};

    header.revision = revision;
    kv.key = message_data(slice_str(key));
    kv.mod_revision = revision;
    event.type = is_put ? MVCCPB__EVENT__EVENT_TYPE__PUT
                        : MVCCPB__EVENT__EVENT_TYPE__DELETE;
    event.kv = &kv;
    answer.header = &header;
    answer.events = events;
    answer.n_events = 1;
    script_more(step, &answer);
}

static void add_cancel(struct script_step *step, int64_t compacted,
                       char *reason)
{
    Etcdserverpb__WatchResponse answer = ETCDSERVERPB__WATCH_RESPONSE__INIT;

    answer.header = &header;
    answer.canceled = true;
    answer.compact_revision = compacted;
    answer.cancel_reason = reason;
    script_more(step, &answer);
}

/* ---- keys --------------------------------------------------------------- */

static void expect_range(const char *words, const char *request)
{
    char line[128];
    char wanted[256];

    answer_range(1, false);
    kv.mod_revision = 5;
    snprintf(line, sizeof(line), "get %s", words);
    snprintf(wanted, sizeof(wanted), "KV/Range {%s}\n", request);
    expect(line, 0, "k\nv\n", "");
    script_expect(&script, wanted);
}

static void what_get_asks(void **state)
{
    (void)state;
    expect_range("a", "\"key\":\"YQ==\"");
    expect_range("a b", "\"key\":\"YQ==\",\"range_end\":\"Yg==\"");
    expect_range("a --prefix", "\"key\":\"YQ==\",\"range_end\":\"Yg==\"");
    expect_range("a --from-key", "\"key\":\"YQ==\",\"range_end\":\"AA==\"");
    /* The last byte can't be raised: the one before it is. */
    expect_range("a\xff\xff --prefix",
                 "\"key\":\"Yf//\",\"range_end\":\"Yg==\"");
    expect_range("\xff --prefix", "\"key\":\"/w==\",\"range_end\":\"AA==\"");
    expect_range("a --limit 3 --rev 4 --consistency s --keys-only",
                 "\"key\":\"YQ==\",\"limit\":3,\"revision\":4,"
                 "\"serializable\":true,\"keys_only\":true");
    expect_range("a --order descend", "\"key\":\"YQ==\",\"sort_order\":2");
    expect_range("a --order ASCEND", "\"key\":\"YQ==\"");
    expect_range("a --order ASCEND --sort-by modify",
                 "\"key\":\"YQ==\",\"sort_order\":1,\"sort_target\":3");
    expect_range("a --sort-by VALUE", "\"key\":\"YQ==\",\"sort_target\":4");
    expect_range("a --min-mod-rev 1 --max-mod-rev 2 --min-create-rev 3 "
                 "--max-create-rev 4",
                 "\"key\":\"YQ==\",\"min_mod_revision\":1,"
                 "\"max_mod_revision\":2,\"min_create_revision\":3,"
                 "\"max_create_revision\":4");
}

static void what_put_and_del_ask(void **state)
{
    (void)state;
    Etcdserverpb__PutResponse put = ETCDSERVERPB__PUT_RESPONSE__INIT;
    Etcdserverpb__DeleteRangeResponse del =
        ETCDSERVERPB__DELETE_RANGE_RESPONSE__INIT;
    struct run run;

    script_answer(&script, "KV/Put", &put, SCRIPT_END);
    expect("put a b --lease 1f --prev-kv", 0, "OK\n", "");
    script_answer(&script, "KV/Put", &put, SCRIPT_END);
    expect("put a --ignore-value --ignore-lease", 0, "OK\n", "");
    script_answer(&script, "KV/Put", &put, SCRIPT_END);
    run = run_line(&script, "put a", "from stdin\n");
    run_expect(&run, 0, "OK\n", "");
    script_answer(&script, "KV/DeleteRange", &del, SCRIPT_END);
    expect("del a c --prev-kv", 0, "0\n", "");
    script_expect(&script,
                  "KV/Put {\"key\":\"YQ==\",\"value\":\"Yg==\",\"lease\":31,"
                  "\"prev_kv\":true}\n"
                  "KV/Put {\"key\":\"YQ==\",\"ignore_value\":true,"
                  "\"ignore_lease\":true}\n"
                  "KV/Put {\"key\":\"YQ==\",\"value\":\"ZnJvbSBzdGRpbgo=\"}\n"
                  "KV/DeleteRange {\"key\":\"YQ==\",\"range_end\":\"Yw==\","
                  "\"prev_kv\":true}\n");
}

static void what_txn_asks(void **state)
{
    (void)state;
    struct run run;

    answer_txn();
    run = run_line(&script, "txn",
                   "mod(\"a\") > \"0\"\n\nput a b\n  get a --prefix \n\n"
                   "del a\n\n");
    run_expect(&run, 0, "SUCCESS\n", "");
    script_expect(
        &script,
        "KV/Txn {\"compare\":[{\"result\":1,\"target\":2,\"key\":\"YQ==\","
        "\"Response\":{\"ModRevision\":0}}],\"success\":["
        "{\"Response\":{\"RequestPut\":{\"key\":\"YQ==\",\"value\":\"Yg==\"}}},"
        "{\"Response\":{\"RequestRange\":{\"key\":\"YQ==\",\"range_end\":"
        "\"Yg==\"}}}],\"failure\":[{\"Response\":{\"RequestDeleteRange\":"
        "{\"key\":\"YQ==\"}}}]}\n");
}

/* ---- errors ------------------------------------------------------------- */

static void errors_of_servers(void **state)
{
    (void)state;
    script_fail(&script, "KV/Range", "3", "etcdserver: key is not provided");
    expect("get a", 1, "", "Error: etcdserver: key is not provided\n");
    script_fail(&script, "KV/Range", "12", "unknown method");
    expect("get a", 1, "",
           "Error: rpc error: code = Unimplemented desc = unknown method\n");
    script_fail(&script, "KV/Range", "2", "context deadline exceeded");
    expect("get a", 1, "",
           "Error: rpc error: code = Unknown desc = context deadline "
           "exceeded\n");
    script_fail(&script, "KV/Put", "99", "odd");
    expect("put a b", 1, "", "Error: rpc error: code = Unknown desc = odd\n");
}

static void a_read_is_repeated_and_a_write_is_not(void **state)
{
    (void)state;
    script_fail(&script, "KV/Range", "14", "etcdserver: no leader");
    script_answer(&script, "KV/Range", NULL, SCRIPT_DROP);
    answer_range(1, false);
    expect("get a", 0, "k\nv\n", "");
    script_expect(&script, "KV/Range {\"key\":\"YQ==\"}\n"
                           "KV/Range {\"key\":\"YQ==\"}\n"
                           "KV/Range {\"key\":\"YQ==\"}\n");
    script_fail(&script, "KV/Put", "14", "etcdserver: no leader");
    expect("put a b", 1, "", "Error: etcdserver: no leader\n");
    script_expect(&script, "KV/Put {\"key\":\"YQ==\",\"value\":\"Yg==\"}\n");
}

static void an_answer_that_is_none(void **state)
{
    (void)state;
    struct script_step *step =
        script_answer(&script, "KV/Range", NULL, SCRIPT_END);

    grpc_stub_frame(&step->messages, SLICE("\xff\xff"));
    expect("get a", 1, "",
           "Error: rpc error: code = Internal desc = RangeResponse is "
           "malformed or too deep\n");
}

static void a_deadline(void **state)
{
    (void)state;
    script_answer(&script, "KV/Range", NULL, SCRIPT_KEEP);
    expect("get a --command-timeout 100ms", 1, "",
           "Error: context deadline exceeded\n");
}

/* ---- TLS ---------------------------------------------------------------- */

/* In etcdctl's words. */
static void files_of_tls_are_looked_at_first(void **state)
{
    (void)state;
    expect("get a --cert x", 128, "",
           "Error: KeyFile and CertFile must both be present[key: , cert: "
           "x]\n");
    expect("get a --cacert /nowhere/ca", 128, "",
           "Error: open /nowhere/ca: no such file or directory\n");
    expect("get a --cacert=", 128, "",
           "Error: empty string is passed to --cacert option\n");
    expect("get a --endpoints ftp://127.0.0.1:1", 128, "",
           "Error: endpoint \"ftp://127.0.0.1:1\": ftp:// isn't supported\n");
}

/* Asked for TLS, it doesn't do without: the server of this test is plain. */
static void there_is_no_way_back_to_plain(void **state)
{
    struct run run;
    (void)state;
    run = run_line(&script,
                   "get a --insecure-transport=false --command-timeout 300ms",
                   NULL);
    assert_int_equal(run.code, 1);
    assert_non_null(strstr(run.err.at, "authentication handshake failed"));
    assert_int_equal(run.out.at[0], '\0');
    script_expect(&script, "");
    run_deinit(&run);
}

/* ---- users -------------------------------------------------------------- */

static void a_user_gets_a_token(void **state)
{
    (void)state;
    char token[] = "secret.1";
    Etcdserverpb__AuthenticateResponse answer =
        ETCDSERVERPB__AUTHENTICATE_RESPONSE__INIT;

    answer.token = token;
    script_answer(&script, "Auth/Authenticate", &answer, SCRIPT_END);
    answer_range(1, false);
    expect("get a --user root:pass:word", 0, "k\nv\n", "");
    script_expect(&script, "Auth/Authenticate {\"name\":\"root\",\"password\":"
                           "\"pass:word\"}\n"
                           "KV/Range {\"key\":\"YQ==\"}\n");
    assert_string_equal(script.token, "secret.1");
    script_fail(&script, "Auth/Authenticate", "9",
                "etcdserver: authentication is not enabled");
    answer_range(1, false);
    expect("get a --user root --password p", 0, "k\nv\n", "");
    assert_string_equal(script.token, "");
    script_fail(&script, "Auth/Authenticate", "3",
                "etcdserver: authentication failed, invalid user ID or "
                "password");
    expect("get a --user root:p", 2, "",
           "Error: etcdserver: authentication failed, invalid user ID or "
           "password\n");
}

/* ---- watches ------------------------------------------------------------ */

static void a_watch_goes_on_where_it_stopped(void **state)
{
    (void)state;
    struct script_step *step = answer_watch(5, SCRIPT_DROP);

    add_event(step, true, "a", 7);
    step = answer_watch(9, SCRIPT_DROP);
    step = answer_watch(9, SCRIPT_KEEP);
    add_event(step, false, "a", 8);
    add_cancel(step, 0, (char[]){"no more"});
    expect("watch a", 5, "PUT\na\nv\nDELETE\na\nv\n",
           "watch was canceled (rpc error: code = FailedPrecondition desc = no "
           "more)\n"
           "Error: watch is canceled by the server\n");
    script_expect(&script,
                  "Watch/Watch {\"Response\":{\"CreateRequest\":{\"key\":"
                  "\"YQ==\"}}}\n"
                  "Watch/Watch {\"Response\":{\"CreateRequest\":{\"key\":"
                  "\"YQ==\",\"start_revision\":8}}}\n"
                  "Watch/Watch {\"Response\":{\"CreateRequest\":{\"key\":"
                  "\"YQ==\",\"start_revision\":8}}}\n");
}

static void a_watch_from_now_misses_nothing(void **state)
{
    (void)state;
    struct script_step *step;

    answer_watch(5, SCRIPT_DROP);
    step = answer_watch(9, SCRIPT_KEEP);
    add_cancel(step, 0, NULL);
    expect("watch a", 5, "",
           "watch was canceled (etcdserver: mvcc: required revision is a "
           "future revision)\n"
           "Error: watch is canceled by the server\n");
    script_expect(&script,
                  "Watch/Watch {\"Response\":{\"CreateRequest\":{\"key\":"
                  "\"YQ==\"}}}\n"
                  "Watch/Watch {\"Response\":{\"CreateRequest\":{\"key\":"
                  "\"YQ==\",\"start_revision\":6}}}\n");
}

static void a_compacted_watch_ends(void **state)
{
    (void)state;
    struct script_step *step = answer_watch(9, SCRIPT_KEEP);

    add_cancel(step, 6, NULL);
    expect("watch a b --rev 3 --prev-kv --progress-notify", 5, "",
           "watch was canceled (etcdserver: mvcc: required revision has been "
           "compacted)\n"
           "Error: watch is canceled by the server\n");
    script_expect(&script,
                  "Watch/Watch {\"Response\":{\"CreateRequest\":{\"key\":"
                  "\"YQ==\",\"range_end\":\"Yg==\",\"start_revision\":3,"
                  "\"progress_notify\":true,\"prev_kv\":true}}}\n");
}

static void a_watch_that_is_refused(void **state)
{
    (void)state;
    script_fail(&script, "Watch/Watch", "7", "etcdserver: permission denied");
    expect("watch a", 5, "",
           "watch was canceled (etcdserver: permission denied)\n"
           "Error: watch is canceled by the server\n");
}

static void a_program_that_fails_ends_the_watch(void **state)
{
    (void)state;
    struct script_step *step = answer_watch(5, SCRIPT_KEEP);

    add_event(step, true, "a", 7);
    expect("watch a -- false", 1, "PUT\na\nv\n",
           "command [\"false\"] error (exit status 1)\n");
}

/* ---- leases ------------------------------------------------------------- */

static void a_lease_is_renewed_until_it_ends(void **state)
{
    (void)state;
    answer_alive(1, SCRIPT_KEEP);
    answer_alive(1, SCRIPT_KEEP);
    answer_alive(0, SCRIPT_KEEP);
    expect("lease keep-alive 12", 0,
           "lease 0000000000000012 keepalived with TTL(1)\n"
           "lease 0000000000000012 keepalived with TTL(1)\n"
           "lease 0000000000000012 expired or revoked.\n",
           "");
    script_expect(&script, "Lease/LeaseKeepAlive {\"ID\":18}\n"
                           "Lease/LeaseKeepAlive {\"ID\":18}\n"
                           "Lease/LeaseKeepAlive {\"ID\":18}\n");
}

static void renewing_outlives_a_connection(void **state)
{
    (void)state;
    answer_alive(3, SCRIPT_KEEP);
    script_answer(&script, "Lease/LeaseKeepAlive", NULL, SCRIPT_DROP);
    answer_alive(0, SCRIPT_KEEP);
    expect("lease keep-alive 12", 0,
           "lease 0000000000000012 keepalived with TTL(3)\n"
           "lease 0000000000000012 expired or revoked.\n",
           "");
}

static void a_lease_that_nobody_renews_ends(void **state)
{
    (void)state;
    answer_alive(1, SCRIPT_KEEP);
    for (int i = 0; i < 8; i++)
        script_answer(&script, "Lease/LeaseKeepAlive", NULL, SCRIPT_KEEP);
    expect("lease keep-alive 12", 0,
           "lease 0000000000000012 keepalived with TTL(1)\n"
           "lease 0000000000000012 expired or revoked.\n",
           "");
}

static void renewed_once(void **state)
{
    (void)state;
    answer_alive(60, SCRIPT_KEEP);
    expect("lease keep-alive --once 12", 0,
           "lease 0000000000000012 keepalived with TTL(60)\n", "");
    answer_alive(0, SCRIPT_KEEP);
    expect("lease keep-alive --once 12", 2, "",
           "Error: etcdserver: requested lease not found\n");
    script_fail(&script, "Lease/LeaseKeepAlive", "7",
                "etcdserver: permission denied");
    expect("lease keep-alive --once 12", 2, "",
           "Error: etcdserver: permission denied\n");
}

/* ---- lock and elect ----------------------------------------------------- */

static void a_lock_waits_for_those_before_it(void **state)
{
    (void)state;
    struct script_step *step;

    answer_grant(0x12);
    answer_alive(60, SCRIPT_KEEP);
    answer_txn();
    kv.key = message_data(SLICE("l/11"));
    answer_range(1, false);
    step = answer_watch(5, SCRIPT_KEEP);
    add_event(step, true, "l/11", 6);
    add_event(step, false, "l/11", 7);
    answer_range(0, false);
    answer_txn();
    answer_revoke();
    expect("lock l true", 0, "", "");
    buf_append_char(&script.seen, '\0');
    /* Our key; who is before us; until he is gone; nobody; gone ourselves. */
    assert_non_null(strstr(script.seen.at,
                           "\"RequestPut\":{\"key\":\"bC8xMg==\","
                           "\"lease\":18}"));
    assert_non_null(strstr(script.seen.at,
                           "KV/Range {\"key\":\"bC8=\",\"range_end\":\"bDA=\","
                           "\"limit\":1,\"sort_order\":2,\"sort_target\":2,"
                           "\"max_create_revision\":4}"));
    assert_non_null(strstr(script.seen.at,
                           "\"CreateRequest\":{\"key\":"
                           "\"bC8xMQ==\",\"start_revision\":5"));
    assert_non_null(strstr(script.seen.at,
                           "\"RequestDeleteRange\":{\"key\":\"bC8xMg==\"}"));
    assert_non_null(strstr(script.seen.at, "Lease/LeaseRevoke {\"ID\":18}"));
}

static void a_lock_until_a_signal(void **state)
{
    (void)state;
    answer_grant(0x12);
    answer_alive(1, SCRIPT_KEEP);
    answer_alive(1, SCRIPT_TERM); /* a third of a second later */
    answer_txn();
    answer_range(0, false);
    answer_range(1, false);
    answer_txn();
    answer_revoke();
    expect("lock l", 0, "k\nv\n", "");
}

static void a_lock_that_is_lost(void **state)
{
    (void)state;
    answer_grant(0x12);
    answer_alive(60, SCRIPT_KEEP);
    answer_txn();
    answer_range(0, false);
    answer_range(0, false);
    answer_revoke();
    expect("lock l", 1, "", "Error: lock lost on init\n");
}

static void a_lock_without_a_lease(void **state)
{
    (void)state;
    script_fail(&script, "Lease/LeaseGrant", "14", "etcdserver: no leader");
    expect("lock l true", 1, "", "Error: etcdserver: no leader\n");
}

static void the_leader_is_shown(void **state)
{
    (void)state;
    struct script_step *step;

    answer_grant(0x12);
    answer_alive(60, SCRIPT_KEEP);
    kv.key = message_data(SLICE("e/1"));
    answer_range(1, false);
    step = answer_watch(5, SCRIPT_KEEP);
    add_event(step, true, "e/1", 6);
    add_event(step, false, "e/1", 7);
    answer_range(0, false);
    answer_watch(7, SCRIPT_TERM);
    answer_revoke();
    expect("elect -l e", 0, "e/1\nv\ne/1\nv\n", "");
}

/* ---- snapshots ---------------------------------------------------------- */

static struct script_step *answer_blobs(size_t first, size_t second)
{
    Etcdserverpb__SnapshotResponse answer =
        ETCDSERVERPB__SNAPSHOT_RESPONSE__INIT;
    char bytes[600];
    struct script_step *step;

    memset(bytes, 's', sizeof(bytes));
    answer.blob = message_data(slice_of(bytes, first));
    step = script_answer(&script, "Maintenance/Snapshot", &answer, SCRIPT_END);
    answer.blob = message_data(slice_of(bytes, second));
    script_more(step, &answer);
    return step;
}

static void a_snapshot_in_a_file(void **state)
{
    (void)state;
    char path[] = "/tmp/etched-snapshot-XXXXXX";
    char line[128];
    char said[128];
    struct stat stat_of;
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    close(fd);
    snprintf(line, sizeof(line), "snapshot save %s", path);
    answer_blobs(512, 32);
    snprintf(said, sizeof(said), "Snapshot saved at %s\n", path);
    expect(line, 0, said, "");
    assert_int_equal(stat(path, &stat_of), 0);
    assert_int_equal(stat_of.st_size, 544);
    assert_int_equal(stat_of.st_mode & 0777, 0600);

    /* What isn't complete doesn't take its place. */
    answer_blobs(512, 31);
    expect(line, 5, "", "Error: sha256 checksum not found [bytes: 543]\n");
    answer_blobs(100, 100)->code = "15";
    expect(line, 5, "", "Error: rpc error: code = DataLoss desc = \n");
    script_answer(&script, "Maintenance/Snapshot", NULL, SCRIPT_KEEP);
    snprintf(line, sizeof(line), "snapshot save %s --command-timeout 100ms",
             path);
    expect(line, 5, "", "Error: context deadline exceeded\n");
    assert_int_equal(stat(path, &stat_of), 0);
    assert_int_equal(stat_of.st_size, 544);
    snprintf(said, sizeof(said), "%s.part", path);
    assert_int_not_equal(stat(said, &stat_of), 0);
    unlink(path);
}

/* ---- mirrors ------------------------------------------------------------ */

static void a_mirror(void **state)
{
    (void)state;
    struct script_step *step;

    answer_range(0, false); /* which revision? */
    kv.key = message_data(SLICE("from/a"));
    answer_range(2, true);
    answer_range(1, false);
    answer_txn();
    answer_txn();
    step = answer_watch(5, SCRIPT_KEEP);
    add_event(step, true, "from/b", 6);
    add_event(step, true, "from/c", 6);
    add_event(step, false, "from/b", 7);
    add_cancel(step, 9, NULL);
    for (int i = 0; i < 3; i++)
        answer_txn();
    expect("make-mirror {E} --prefix from/ --dest-prefix to/ --max-txn-ops 2",
           1, "",
           "Error: etcdserver: mvcc: required revision has been compacted\n");
    script_expect(
        &script,
        "KV/Range {\"key\":\"Zm9v\"}\n"
        "KV/Range {\"key\":\"ZnJvbS8=\",\"range_end\":\"ZnJvbTA=\",\"limit\":"
        "1000,\"revision\":5}\n"
        "KV/Txn {\"success\":[{\"Response\":{\"RequestPut\":{\"key\":"
        "\"dG8vYQ==\",\"value\":\"dg==\"}}},{\"Response\":{\"RequestPut\":{"
        "\"key\":\"dG8vYQ==\",\"value\":\"dg==\"}}}]}\n"
        "KV/Range {\"key\":\"ZnJvbS9hAA==\",\"range_end\":\"ZnJvbTA=\","
        "\"limit\":1000,\"revision\":5}\n"
        "KV/Txn {\"success\":[{\"Response\":{\"RequestPut\":{\"key\":"
        "\"dG8vYQ==\",\"value\":\"dg==\"}}}]}\n"
        "Watch/Watch {\"Response\":{\"CreateRequest\":{\"key\":\"ZnJvbS8=\","
        "\"range_end\":\"ZnJvbTA=\",\"start_revision\":6}}}\n"
        "KV/Txn {\"success\":[{\"Response\":{\"RequestPut\":{\"key\":"
        "\"dG8vYg==\",\"value\":\"dg==\"}}}]}\n"
        "KV/Txn {\"success\":[{\"Response\":{\"RequestPut\":{\"key\":"
        "\"dG8vYw==\",\"value\":\"dg==\"}}}]}\n"
        "KV/Txn {\"success\":[{\"Response\":{\"RequestDeleteRange\":{\"key\":"
        "\"dG8vYg==\"}}}]}\n");
}

/* ---- members ------------------------------------------------------------ */

static void the_leader_is_found(void **state)
{
    (void)state;
    Etcdserverpb__StatusResponse answer = ETCDSERVERPB__STATUS_RESPONSE__INIT;
    Etcdserverpb__MoveLeaderResponse moved =
        ETCDSERVERPB__MOVE_LEADER_RESPONSE__INIT;
    char said[128];

    answer.header = &header;
    answer.leader = 8;
    script_answer(&script, "Maintenance/Status", &answer, SCRIPT_END);
    answer.leader = 7;
    script_answer(&script, "Maintenance/Status", &answer, SCRIPT_END);
    script_answer(&script, "Maintenance/MoveLeader", &moved, SCRIPT_END);
    expect("move-leader f --endpoints {E} --endpoints {E}", 0,
           "Leadership transferred from 7 to f\n", "");
    script_expect(&script, "Maintenance/Status {}\nMaintenance/Status {}\n"
                           "Maintenance/MoveLeader {\"targetID\":15}\n");
    answer.leader = 8;
    script_answer(&script, "Maintenance/Status", &answer, SCRIPT_END);
    snprintf(said, sizeof(said), "Error: no leader endpoint given at [%s]\n",
             script.server.endpoint);
    expect("move-leader f", 128, "", said);
}

static void alarms_are_disarmed_one_by_one(void **state)
{
    (void)state;
    Etcdserverpb__AlarmResponse answer = ETCDSERVERPB__ALARM_RESPONSE__INIT;
    Etcdserverpb__AlarmMember alarm = ETCDSERVERPB__ALARM_MEMBER__INIT;
    Etcdserverpb__AlarmMember *list[] = {&alarm, &alarm};

    alarm.memberid = 7;
    alarm.alarm = ETCDSERVERPB__ALARM_TYPE__NOSPACE;
    answer.alarms = list;
    answer.n_alarms = 2;
    script_answer(&script, "Maintenance/Alarm", &answer, SCRIPT_END);
    answer.n_alarms = 1;
    script_answer(&script, "Maintenance/Alarm", &answer, SCRIPT_END);
    script_answer(&script, "Maintenance/Alarm", &answer, SCRIPT_END);
    expect("alarm disarm", 0,
           "memberID:7 alarm:NOSPACE \nmemberID:7 alarm:NOSPACE \n", "");
    script_expect(
        &script, "Maintenance/Alarm {}\n"
                 "Maintenance/Alarm {\"action\":2,\"memberID\":7,\"alarm\":1}\n"
                 "Maintenance/Alarm {\"action\":2,\"memberID\":7,\"alarm\":1}"
                 "\n");
}

static void all_members_are_asked(void **state)
{
    (void)state;
    Etcdserverpb__MemberListResponse members =
        ETCDSERVERPB__MEMBER_LIST_RESPONSE__INIT;
    Etcdserverpb__Member one = ETCDSERVERPB__MEMBER__INIT;
    Etcdserverpb__Member *list[] = {&one};
    char url[64];
    char *urls[] = {url, url};
    struct run run;

    snprintf(url, sizeof(url), "http://%s", script.server.endpoint);
    one.clienturls = urls;
    one.n_clienturls = 2;
    members.members = list;
    members.n_members = 1;
    script_answer(&script, "Cluster/MemberList", &members, SCRIPT_END);
    answer_range(0, false);
    script_fail(&script, "KV/Range", "7", "etcdserver: permission denied");
    run = run_line(&script, "endpoint health --cluster", NULL);
    assert_int_equal(run.code, 0);
    assert_non_null(strstr(run.err.at, "is healthy: successfully committed"));
    assert_non_null(strstr(strstr(run.err.at, "is healthy") + 1, "is healthy"));
    run_deinit(&run);
    script_fail(&script, "Cluster/MemberList", "14", "etcdserver: no leader");
    expect("endpoint status --cluster --command-timeout 50ms", 1, "",
           "Error: failed to fetch endpoints from etcd cluster member list: "
           "rpc error: code = Unimplemented desc = not in the script\n");
}

/* ---- help --------------------------------------------------------------- */

static void help(void **state)
{
    (void)state;
    static const char *const lines[] = {"",           "help",         "--help",
                                        "get --help", "help get",     "lease",
                                        "help lease", "lease list -h"};

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct run run = run_line(&script, lines[i], NULL);
        assert_int_equal(run.code, 0);
        assert_string_equal(run.err.at, "");
        assert_non_null(strstr(run.out.at, "Usage: etchctl"));
        for (const char *line = run.out.at; *line;
             line += strcspn(line, "\n") + 1)
            assert_in_range(strcspn(line, "\n"), 0, 79);
        run_deinit(&run);
    }
}

static void completions(void **state)
{
    (void)state;
    static const char *const shells[] = {"bash", "zsh", "fish", "powershell"};

    for (size_t i = 0; i < 4; i++) {
        char line[32];
        struct run run;
        snprintf(line, sizeof(line), "completion %s", shells[i]);
        run = run_line(&script, line, NULL);
        assert_int_equal(run.code, 0);
        assert_non_null(strstr(run.out.at, "compaction"));
        assert_non_null(strstr(run.out.at, "etchctl"));
        run_deinit(&run);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_get_asks),
        TEST(what_put_and_del_ask),
        TEST(what_txn_asks),
        TEST(errors_of_servers),
        TEST(a_read_is_repeated_and_a_write_is_not),
        TEST(an_answer_that_is_none),
        TEST(a_deadline),
        TEST(files_of_tls_are_looked_at_first),
        TEST(there_is_no_way_back_to_plain),
        TEST(a_user_gets_a_token),
        TEST(a_watch_goes_on_where_it_stopped),
        TEST(a_watch_from_now_misses_nothing),
        TEST(a_compacted_watch_ends),
        TEST(a_watch_that_is_refused),
        TEST(a_program_that_fails_ends_the_watch),
        TEST(a_lease_is_renewed_until_it_ends),
        TEST(renewing_outlives_a_connection),
        TEST(a_lease_that_nobody_renews_ends),
        TEST(renewed_once),
        TEST(a_lock_waits_for_those_before_it),
        TEST(a_lock_until_a_signal),
        TEST(a_lock_that_is_lost),
        TEST(a_lock_without_a_lease),
        TEST(the_leader_is_shown),
        TEST(a_snapshot_in_a_file),
        TEST(a_mirror),
        TEST(the_leader_is_found),
        TEST(alarms_are_disarmed_one_by_one),
        TEST(all_members_are_asked),
        TEST(help),
        TEST(completions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
