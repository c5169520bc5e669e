/* The table of methods beside what etcd's own clients say and expect: all of
 * them, with who streams, what is sent and where the gateway has them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "rpc/rpc_int.h"

/* As etcd's .proto files have them; "stream " as there. */
struct row {
    const char *package;
    const char *service;
    const char *method;
    const char *request;
    const char *response;
    const char *gateway; /* "": none */
};

static const struct row rows[] = {
    {"etcdserverpb", "KV", "Range", "RangeRequest", "RangeResponse",
     "/v3/kv/range"},
    {"etcdserverpb", "KV", "RangeStream", "RangeRequest",
     "stream RangeStreamResponse", ""},
    {"etcdserverpb", "KV", "Put", "PutRequest", "PutResponse", "/v3/kv/put"},
    {"etcdserverpb", "KV", "DeleteRange", "DeleteRangeRequest",
     "DeleteRangeResponse", "/v3/kv/deleterange"},
    {"etcdserverpb", "KV", "Txn", "TxnRequest", "TxnResponse", "/v3/kv/txn"},
    {"etcdserverpb", "KV", "Compact", "CompactionRequest", "CompactionResponse",
     "/v3/kv/compaction"},
    {"etcdserverpb", "Watch", "Watch", "stream WatchRequest",
     "stream WatchResponse", "/v3/watch"},
    {"etcdserverpb", "Lease", "LeaseGrant", "LeaseGrantRequest",
     "LeaseGrantResponse", "/v3/lease/grant"},
    {"etcdserverpb", "Lease", "LeaseRevoke", "LeaseRevokeRequest",
     "LeaseRevokeResponse", "/v3/kv/lease/revoke"},
    {"etcdserverpb", "Lease", "LeaseKeepAlive", "stream LeaseKeepAliveRequest",
     "stream LeaseKeepAliveResponse", "/v3/lease/keepalive"},
    {"etcdserverpb", "Lease", "LeaseTimeToLive", "LeaseTimeToLiveRequest",
     "LeaseTimeToLiveResponse", "/v3/kv/lease/timetolive"},
    {"etcdserverpb", "Lease", "LeaseLeases", "LeaseLeasesRequest",
     "LeaseLeasesResponse", "/v3/kv/lease/leases"},
    {"etcdserverpb", "Cluster", "MemberAdd", "MemberAddRequest",
     "MemberAddResponse", "/v3/cluster/member/add"},
    {"etcdserverpb", "Cluster", "MemberRemove", "MemberRemoveRequest",
     "MemberRemoveResponse", "/v3/cluster/member/remove"},
    {"etcdserverpb", "Cluster", "MemberUpdate", "MemberUpdateRequest",
     "MemberUpdateResponse", "/v3/cluster/member/update"},
    {"etcdserverpb", "Cluster", "MemberList", "MemberListRequest",
     "MemberListResponse", "/v3/cluster/member/list"},
    {"etcdserverpb", "Cluster", "MemberPromote", "MemberPromoteRequest",
     "MemberPromoteResponse", "/v3/cluster/member/promote"},
    {"etcdserverpb", "Maintenance", "Alarm", "AlarmRequest", "AlarmResponse",
     "/v3/maintenance/alarm"},
    {"etcdserverpb", "Maintenance", "Status", "StatusRequest", "StatusResponse",
     "/v3/maintenance/status"},
    {"etcdserverpb", "Maintenance", "Defragment", "DefragmentRequest",
     "DefragmentResponse", "/v3/maintenance/defragment"},
    {"etcdserverpb", "Maintenance", "Hash", "HashRequest", "HashResponse",
     "/v3/maintenance/hash"},
    {"etcdserverpb", "Maintenance", "HashKV", "HashKVRequest", "HashKVResponse",
     "/v3/maintenance/hashkv"},
    {"etcdserverpb", "Maintenance", "Snapshot", "SnapshotRequest",
     "stream SnapshotResponse", "/v3/maintenance/snapshot"},
    {"etcdserverpb", "Maintenance", "MoveLeader", "MoveLeaderRequest",
     "MoveLeaderResponse", "/v3/maintenance/transfer-leadership"},
    {"etcdserverpb", "Maintenance", "Downgrade", "DowngradeRequest",
     "DowngradeResponse", "/v3/maintenance/downgrade"},
    {"etcdserverpb", "Auth", "AuthEnable", "AuthEnableRequest",
     "AuthEnableResponse", "/v3/auth/enable"},
    {"etcdserverpb", "Auth", "AuthDisable", "AuthDisableRequest",
     "AuthDisableResponse", "/v3/auth/disable"},
    {"etcdserverpb", "Auth", "AuthStatus", "AuthStatusRequest",
     "AuthStatusResponse", "/v3/auth/status"},
    {"etcdserverpb", "Auth", "Authenticate", "AuthenticateRequest",
     "AuthenticateResponse", "/v3/auth/authenticate"},
    {"etcdserverpb", "Auth", "UserAdd", "AuthUserAddRequest",
     "AuthUserAddResponse", "/v3/auth/user/add"},
    {"etcdserverpb", "Auth", "UserGet", "AuthUserGetRequest",
     "AuthUserGetResponse", "/v3/auth/user/get"},
    {"etcdserverpb", "Auth", "UserList", "AuthUserListRequest",
     "AuthUserListResponse", "/v3/auth/user/list"},
    {"etcdserverpb", "Auth", "UserDelete", "AuthUserDeleteRequest",
     "AuthUserDeleteResponse", "/v3/auth/user/delete"},
    {"etcdserverpb", "Auth", "UserChangePassword",
     "AuthUserChangePasswordRequest", "AuthUserChangePasswordResponse",
     "/v3/auth/user/changepw"},
    {"etcdserverpb", "Auth", "UserGrantRole", "AuthUserGrantRoleRequest",
     "AuthUserGrantRoleResponse", "/v3/auth/user/grant"},
    {"etcdserverpb", "Auth", "UserRevokeRole", "AuthUserRevokeRoleRequest",
     "AuthUserRevokeRoleResponse", "/v3/auth/user/revoke"},
    {"etcdserverpb", "Auth", "RoleAdd", "AuthRoleAddRequest",
     "AuthRoleAddResponse", "/v3/auth/role/add"},
    {"etcdserverpb", "Auth", "RoleGet", "AuthRoleGetRequest",
     "AuthRoleGetResponse", "/v3/auth/role/get"},
    {"etcdserverpb", "Auth", "RoleList", "AuthRoleListRequest",
     "AuthRoleListResponse", "/v3/auth/role/list"},
    {"etcdserverpb", "Auth", "RoleDelete", "AuthRoleDeleteRequest",
     "AuthRoleDeleteResponse", "/v3/auth/role/delete"},
    {"etcdserverpb", "Auth", "RoleGrantPermission",
     "AuthRoleGrantPermissionRequest", "AuthRoleGrantPermissionResponse",
     "/v3/auth/role/grant"},
    {"etcdserverpb", "Auth", "RoleRevokePermission",
     "AuthRoleRevokePermissionRequest", "AuthRoleRevokePermissionResponse",
     "/v3/auth/role/revoke"},
    {"v3lockpb", "Lock", "Lock", "LockRequest", "LockResponse",
     "/v3/lock/lock"},
    {"v3lockpb", "Lock", "Unlock", "UnlockRequest", "UnlockResponse",
     "/v3/lock/unlock"},
    {"v3electionpb", "Election", "Campaign", "CampaignRequest",
     "CampaignResponse", "/v3/election/campaign"},
    {"v3electionpb", "Election", "Proclaim", "ProclaimRequest",
     "ProclaimResponse", "/v3/election/proclaim"},
    {"v3electionpb", "Election", "Leader", "LeaderRequest", "LeaderResponse",
     "/v3/election/leader"},
    {"v3electionpb", "Election", "Observe", "LeaderRequest",
     "stream LeaderResponse", "/v3/election/observe"},
    {"v3electionpb", "Election", "Resign", "ResignRequest", "ResignResponse",
     "/v3/election/resign"},
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static struct buf text;

static int tear_down(void **state)
{
    (void)state;
    buf_deinit(&text);
    return 0;
}

/* "/etcdserverpb.KV/Range"; good until the next one. */
static struct slice path_of(const struct row *row)
{
    buf_reset(&text);
    buf_append_char(&text, '/');
    buf_append_str(&text, row->package);
    buf_append_char(&text, '.');
    buf_append_str(&text, row->service);
    buf_append_char(&text, '/');
    buf_append_str(&text, row->method);
    return buf_slice(&text);
}

/* The gateway's path under another version. */
static struct slice under(const char *version, const char *gateway)
{
    buf_reset(&text);
    buf_append_str(&text, version);
    buf_append_str(&text, gateway + strlen("/v3"));
    return buf_slice(&text);
}

static const struct method *found(const struct row *row)
{
    const struct method *method = method__find(path_of(row));
    assert_non_null(method);
    return method;
}

static bool take_stream(const char **type)
{
    static const char word[] = "stream ";
    bool streams = strncmp(*type, word, sizeof(word) - 1) == 0;
    *type += streams ? sizeof(word) - 1 : 0;
    return streams;
}

static void every_method_is_found_by_its_path(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        struct slice path = path_of(&rows[i]);
        const struct method *method = method__find(path);
        assert_non_null(method);
        assert_true(slice_eq(slice_str(method->path), path));
        assert_non_null(method->begin);
        /* A byte less, a byte more, another case: that is none. */
        assert_null(method__find(slice_of(path.at, path.size - 1)));
        assert_null(method__find(slice_of(path.at + 1, path.size - 1)));
        buf_append_char(&text, 's');
        assert_null(method__find(buf_slice(&text)));
        text.at[1] = (char)(text.at[1] - 'a' + 'A');
        assert_null(method__find(slice_of(text.at, text.size - 1)));
    }
}

static void every_method_takes_and_gives_its_messages(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        const struct method *method = found(&rows[i]);
        const char *request = rows[i].request;
        const char *response = rows[i].response;
        assert_int_equal(method->client_streams, take_stream(&request));
        assert_int_equal(method->server_streams, take_stream(&response));
        assert_string_equal(method->request->short_name, request);
        assert_string_equal(method->response->short_name, response);
        assert_string_equal(method->request->package_name, rows[i].package);
        assert_string_equal(method->response->package_name, rows[i].package);
        /* From bytes alone only what is one message can begin. */
        assert_true(method->begin_bytes == NULL ||
                    (!method->client_streams && !method->server_streams));
    }
}

static void the_gateway_has_them_under_three_versions(void **state)
{
    static const char *const versions[] = {"/v3", "/v3beta", "/v3alpha"};
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        const struct method *method = found(&rows[i]);
        if (rows[i].gateway[0] == '\0') {
            assert_null(method->gateway);
            continue;
        }
        assert_string_equal(method->gateway, rows[i].gateway);
        for (size_t j = 0; j < 3; j++) {
            struct slice path = under(versions[j], rows[i].gateway);
            assert_true(rpc_is_gateway(path));
            assert_ptr_equal(method__find_gateway(path), method);
            assert_null(method__find_gateway(slice_of(path.at, path.size - 1)));
            buf_append_char(&text, '/');
            assert_null(method__find_gateway(buf_slice(&text)));
        }
    }
}

static void other_versions_are_not_the_gateways(void **state)
{
    static const char *const versions[] = {
        "/v2",  "/v4",  "/v3gamma", "/v3beta2", "/V3",   "v3",
        "/v3 ", "//v3", "/v3alph",  "/",        "/v3.0", "/v30"};
    (void)state;
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        struct slice path = under(versions[i], "/v3/kv/range");
        assert_false(rpc_is_gateway(path));
        assert_null(method__find_gateway(path));
    }
    assert_false(rpc_is_gateway(SLICE("")));
    assert_false(rpc_is_gateway(SLICE("/v3")));
    assert_true(rpc_is_gateway(SLICE("/v3/")));
    assert_null(method__find_gateway(SLICE("/v3/")));
    assert_null(method__find_gateway(SLICE("/v3/kv/put/range")));
    assert_null(method__find_gateway(SLICE("/v3/v3/kv/range")));
    assert_null(method__find_gateway(SLICE("/v3/KV/Range")));
    assert_null(method__find_gateway(SLICE("/etcdserverpb.KV/Range")));
    assert_null(method__find(SLICE("/v3/kv/range")));
}

static void unknown_words_are_found_nowhere(void **state)
{
    static const char *const paths[] = {
        "",
        "/",
        "//",
        "/etcdserverpb.KV",
        "/etcdserverpb.KV/",
        "/etcdserverpb.KV/Frob",
        "/etcdserverpb.KV/range",
        "/etcdserverpb.KV//Range",
        "/etcdserverpb.KV/Range/",
        "/etcdserverpb.Lease/Range",
        "/etcdserverpb.Frob/Range",
        "/v3lockpb.KV/Range",
        "/KV/Range",
        "/A",
        "/zzz",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        assert_null(method__find(slice_str(paths[i])));
    }
}

static void services_are_known_by_their_whole_names(void **state)
{
    static const char *const strange[] = {
        "etcdserverpb.K",   "etcdserverpb.KVs",    "etcdserverpb",
        "/etcdserverpb.KV", "etcdserverpb.KV/",    "KV",
        "v3lockpb.lock",    "etcdserverpb.KV/Put", "frob.Frob"};
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        struct slice path = path_of(&rows[i]);
        size_t size = path.size - strlen(rows[i].method) - 2;
        assert_true(method__has_service(slice_of(path.at + 1, size)));
    }
    for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
        assert_false(method__has_service(slice_str(strange[i])));
    }
}

/* What is looked for by halves has to be in order, and each path once. */
static void the_table_is_in_order_and_has_no_more_of_etcds(void **state)
{
    size_t count;
    size_t etcds = 0;
    const struct method *table = method__table(&count);
    (void)state;
    for (size_t i = 0; i < count; i++) {
        assert_true(i == 0 || strcmp(table[i - 1].path, table[i].path) < 0);
        assert_ptr_equal(method__find(slice_str(table[i].path)), &table[i]);
        etcds += strncmp(table[i].path, "/etcdserverpb.", 14) == 0 ||
                 strncmp(table[i].path, "/v3", 3) == 0;
        for (size_t j = 0; j < i && table[i].gateway != NULL; j++) {
            assert_true(table[j].gateway == NULL ||
                        strcmp(table[j].gateway, table[i].gateway) != 0);
        }
    }
    assert_int_equal(etcds, ROWS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_is_found_by_its_path),
        cmocka_unit_test(every_method_takes_and_gives_its_messages),
        cmocka_unit_test(the_gateway_has_them_under_three_versions),
        cmocka_unit_test(other_versions_are_not_the_gateways),
        cmocka_unit_test(unknown_words_are_found_nowhere),
        cmocka_unit_test(services_are_known_by_their_whole_names),
        cmocka_unit_test(the_table_is_in_order_and_has_no_more_of_etcds),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
