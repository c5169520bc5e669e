/* Every method there is, asked by everybody: nobody, a token that isn't one, a
 * token that has ended, a user without the right, one with it, root.
 *
 * The methods are those of the table itself: one that has no row here fails. */
#include "auth_world.h"

#include "base/check.h"
#include "proto/election.pb-c.h"
#include "proto/health.pb-c.h"
#include "proto/history.pb-c.h"
#include "proto/lock.pb-c.h"
#include "proto/quota.pb-c.h"
#include "proto/reflection.pb-c.h"

enum { LEASE = 77, OPEN = -1 };

/* Who has the right. */
enum right { ANYBODY, KNOWN, KEEPER, ADMIN };

/* What comes of the call once it is let in: its code and text; OPEN: it goes
 * on. */
struct outcome {
    int code;
    const char *text;
};
#define GOOD        \
    {               \
        GRPC_OK, "" \
    }
#define GOES_ON  \
    {            \
        OPEN, "" \
    }

struct row {
    const char *path;
    enum right right;
    struct slice (*request)(void);
    struct outcome with; /* whoever has the right asks, first */
    struct outcome root; /* and then root; text NULL: the same */
};

static char *text(const char *from)
{
    return (char *)(uintptr_t)from;
}

#define K1 message_data(SLICE("k/1"))

/* ---- requests --------------------------------------------------------- */

static struct slice nothing(void)
{
    return SLICE("");
}

/* A message of this type, with these fields. */
#define REQUEST(name, type, init, ...)    \
    static struct slice name(void)        \
    {                                     \
        type request = init;              \
        __VA_ARGS__;                      \
        return request_of(&request.base); \
    }

static struct slice authenticate(void)
{
    return login_request("with", "with");
}

static struct slice add_user(void)
{
    return user_request("with", "x");
}

static struct slice change_password(void)
{
    return password_request("nobody", "x");
}

static struct slice grant_role(void)
{
    return grant_role_request("nobody", "keeper");
}

static struct slice revoke_role(void)
{
    return revoke_role_request("nobody", "keeper");
}

static struct slice grant_permission(void)
{
    return permission_request("none", AUTH_READ, "a", "");
}

static struct slice put(void)
{
    return put_request("k/1", "1");
}

static struct slice range(void)
{
    return range_request("k/", "k0");
}

static struct slice key(void)
{
    return range_request("k/1", "");
}

static struct slice lease(void)
{
    return lease_request(0);
}

static struct slice watch(void)
{
    return watch_request(1, SLICE("k/1"), SLICE(""));
}

REQUEST(named_user, Etcdserverpb__AuthUserGetRequest,
        ETCDSERVERPB__AUTH_USER_GET_REQUEST__INIT, request.name = text("with"))
REQUEST(named_nobody, Etcdserverpb__AuthUserDeleteRequest,
        ETCDSERVERPB__AUTH_USER_DELETE_REQUEST__INIT,
        request.name = text("nobody"))
REQUEST(old_role, Etcdserverpb__AuthRoleAddRequest,
        ETCDSERVERPB__AUTH_ROLE_ADD_REQUEST__INIT,
        request.name = text("keeper"))
REQUEST(named_role, Etcdserverpb__AuthRoleGetRequest,
        ETCDSERVERPB__AUTH_ROLE_GET_REQUEST__INIT,
        request.role = text("keeper"))
REQUEST(no_role, Etcdserverpb__AuthRoleDeleteRequest,
        ETCDSERVERPB__AUTH_ROLE_DELETE_REQUEST__INIT,
        request.role = text("none"))
REQUEST(revoke_permission, Etcdserverpb__AuthRoleRevokePermissionRequest,
        ETCDSERVERPB__AUTH_ROLE_REVOKE_PERMISSION_REQUEST__INIT,
        request.role = text("none"))
REQUEST(txn, Etcdserverpb__TxnRequest, ETCDSERVERPB__TXN_REQUEST__INIT,
        Etcdserverpb__RequestOp op = ETCDSERVERPB__REQUEST_OP__INIT;
        Etcdserverpb__PutRequest inner = ETCDSERVERPB__PUT_REQUEST__INIT;
        Etcdserverpb__RequestOp *ops = &op; inner.key = K1;
        op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        op.request_put = &inner; request.success = &ops; request.n_success = 1)
REQUEST(compact, Etcdserverpb__CompactionRequest,
        ETCDSERVERPB__COMPACTION_REQUEST__INIT, request.revision = 1)
REQUEST(member, Etcdserverpb__MemberRemoveRequest,
        ETCDSERVERPB__MEMBER_REMOVE_REQUEST__INIT, request.id = 5)
REQUEST(same_lease, Etcdserverpb__LeaseRevokeRequest,
        ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT, request.id = LEASE)
REQUEST(lease_keys, Etcdserverpb__LeaseTimeToLiveRequest,
        ETCDSERVERPB__LEASE_TIME_TO_LIVE_REQUEST__INIT, request.id = LEASE;
        request.keys = true)
REQUEST(raise_alarm, Etcdserverpb__AlarmRequest,
        ETCDSERVERPB__ALARM_REQUEST__INIT,
        request.action = ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__ACTIVATE;
        request.memberid = 5; request.alarm = ETCDSERVERPB__ALARM_TYPE__NOSPACE)
REQUEST(downgrade, Etcdserverpb__DowngradeRequest,
        ETCDSERVERPB__DOWNGRADE_REQUEST__INIT, request.version = text("3.5.0"))
REQUEST(history, Etched__V1__HistoryRequest, ETCHED__V1__HISTORY_REQUEST__INIT,
        request.key = K1)
REQUEST(revision_at, Etched__V1__RevisionAtRequest,
        ETCHED__V1__REVISION_AT_REQUEST__INIT,
        request.time_unix_nanos = INT64_MAX)
REQUEST(quota, Etched__V1__QuotaSetRequest, ETCHED__V1__QUOTA_SET_REQUEST__INIT,
        request.prefix = K1;
        request.keys_max = 9)
REQUEST(lock, V3lockpb__LockRequest, V3LOCKPB__LOCK_REQUEST__INIT,
        request.name = message_data(SLICE("k/lock")))
REQUEST(unlock, V3lockpb__UnlockRequest, V3LOCKPB__UNLOCK_REQUEST__INIT,
        request.key = K1)
REQUEST(campaign, V3electionpb__CampaignRequest,
        V3ELECTIONPB__CAMPAIGN_REQUEST__INIT,
        request.name = message_data(SLICE("k/elect")))
REQUEST(leader, V3electionpb__LeaderRequest, V3ELECTIONPB__LEADER_REQUEST__INIT,
        request.name = message_data(SLICE("k/elect")))
REQUEST(proclaim, V3electionpb__ProclaimRequest,
        V3ELECTIONPB__PROCLAIM_REQUEST__INIT,
        V3electionpb__LeaderKey own = V3ELECTIONPB__LEADER_KEY__INIT;
        own.key = K1; request.leader = &own)
REQUEST(resign, V3electionpb__ResignRequest, V3ELECTIONPB__RESIGN_REQUEST__INIT,
        V3electionpb__LeaderKey own = V3ELECTIONPB__LEADER_KEY__INIT;
        own.key = K1; request.leader = &own)

/* ---- the rows --------------------------------------------------------- */

#define ETCD "/etcdserverpb."
#define AUTH ETCD "Auth/"
#define CLUSTER ETCD "Cluster/"
#define MAINTENANCE ETCD "Maintenance/"
#define REFLECTION(version) \
    "/grpc.reflection." version ".ServerReflection/ServerReflectionInfo"
#define NOT_FOUND(what)                               \
    {                                                 \
        GRPC_FAILED_PRECONDITION, "etcdserver: " what \
    }
#define NO_USER NOT_FOUND("user name not found")
#define NO_ROLE NOT_FOUND("role name not found")
#define NO_MEMBER                                      \
    {                                                  \
        GRPC_NOT_FOUND, "etcdserver: member not found" \
    }

static const struct row rows[] = {
    {AUTH "AuthDisable", ADMIN, nothing, GOOD, {0}},
    {AUTH "AuthEnable", ADMIN, nothing, GOOD, {0}},
    {AUTH "AuthStatus", ADMIN, nothing, GOOD, {0}},
    {AUTH "Authenticate", ANYBODY, authenticate, GOOD, {0}},
    {AUTH "RoleAdd",
     ADMIN,
     old_role,
     NOT_FOUND("role name already exists"),
     {0}},
    {AUTH "RoleDelete", ADMIN, no_role, NO_ROLE, {0}},
    {AUTH "RoleGet", KEEPER, named_role, GOOD, {0}},
    {AUTH "RoleGrantPermission", ADMIN, grant_permission, NO_ROLE, {0}},
    {AUTH "RoleList", ADMIN, nothing, GOOD, {0}},
    {AUTH "RoleRevokePermission", ADMIN, revoke_permission, NO_ROLE, {0}},
    {AUTH "UserAdd",
     ADMIN,
     add_user,
     NOT_FOUND("user name already exists"),
     {0}},
    {AUTH "UserChangePassword", ADMIN, change_password, NO_USER, {0}},
    {AUTH "UserDelete", ADMIN, named_nobody, NO_USER, {0}},
    {AUTH "UserGet", KEEPER, named_user, GOOD, {0}},
    {AUTH "UserGrantRole", ADMIN, grant_role, NO_USER, {0}},
    {AUTH "UserList", ADMIN, nothing, GOOD, {0}},
    {AUTH "UserRevokeRole", ADMIN, revoke_role, NO_USER, {0}},
    {CLUSTER "MemberAdd",
     ADMIN,
     nothing,
     {GRPC_INVALID_ARGUMENT, "etcdserver: given member URLs are invalid"},
     {0}},
    {CLUSTER "MemberList", KNOWN, nothing, GOOD, {0}},
    {CLUSTER "MemberPromote", ADMIN, member, NO_MEMBER, {0}},
    {CLUSTER "MemberRemove", ADMIN, member, NO_MEMBER, {0}},
    {CLUSTER "MemberUpdate", ADMIN, member, NO_MEMBER, {0}},
    {ETCD "KV/Compact",
     ADMIN,
     compact,
     GOOD,
     {GRPC_OUT_OF_RANGE,
      "etcdserver: mvcc: required revision has been compacted"}},
    {ETCD "KV/DeleteRange", KEEPER, range, GOOD, {0}},
    {ETCD "KV/Put", KEEPER, put, GOOD, {0}},
    {ETCD "KV/Range", KEEPER, range, GOOD, {0}},
    {ETCD "KV/RangeStream", KEEPER, key, GOOD, {0}},
    {ETCD "KV/Txn", KEEPER, txn, GOOD, {0}},
    {ETCD "Lease/LeaseGrant", KNOWN, lease, GOOD, {0}},
    {ETCD "Lease/LeaseKeepAlive", KEEPER, same_lease, GOOD, {0}},
    {ETCD "Lease/LeaseLeases", KEEPER, nothing, GOOD, {0}},
    {ETCD "Lease/LeaseRevoke",
     KEEPER,
     same_lease,
     GOOD,
     {GRPC_NOT_FOUND, "etcdserver: requested lease not found"}},
    {ETCD "Lease/LeaseTimeToLive", KEEPER, lease_keys, GOOD, {0}},
    {MAINTENANCE "Alarm", ADMIN, raise_alarm, GOOD, {0}},
    {MAINTENANCE "Defragment", ADMIN, nothing, GOOD, {0}},
    {MAINTENANCE "Downgrade",
     ADMIN,
     downgrade,
     {GRPC_INVALID_ARGUMENT, "etcdserver: invalid downgrade target version"},
     {0}},
    {MAINTENANCE "Hash", ADMIN, nothing, GOOD, {0}},
    {MAINTENANCE "HashKV", ADMIN, nothing, GOOD, {0}},
    {MAINTENANCE "MoveLeader",
     ADMIN,
     nothing,
     {GRPC_FAILED_PRECONDITION, "etcdserver: bad leader transferee"},
     {0}},
    {MAINTENANCE "Snapshot",
     ADMIN,
     nothing,
     {GRPC_RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded"},
     {0}},
    {MAINTENANCE "Status", ADMIN, nothing, GOOD, {0}},
    {ETCD "Watch/Watch", KEEPER, watch, GOES_ON, {0}},
    {"/etched.v1.History/Records", KEEPER, history, GOOD, {0}},
    {"/etched.v1.History/RevisionAt", KNOWN, revision_at, GOOD, {0}},
    {"/etched.v1.Quota/List", ADMIN, nothing, GOOD, {0}},
    {"/etched.v1.Quota/Set", ADMIN, quota, GOOD, {0}},
    {"/grpc.health.v1.Health/Check", ANYBODY, nothing, GOOD, {0}},
    {"/grpc.health.v1.Health/Watch", ANYBODY, nothing, GOES_ON, {0}},
    {REFLECTION("v1"), ANYBODY, nothing, GOOD, {0}},
    {REFLECTION("v1alpha"), ANYBODY, nothing, GOOD, {0}},
    {"/v3electionpb.Election/Campaign", KEEPER, campaign, GOOD, GOES_ON},
    {"/v3electionpb.Election/Leader",
     KEEPER,
     leader,
     {GRPC_UNKNOWN, "election: no leader"},
     {0}},
    {"/v3electionpb.Election/Observe", KEEPER, leader, GOES_ON, {0}},
    {"/v3electionpb.Election/Proclaim",
     KEEPER,
     proclaim,
     {GRPC_UNKNOWN, "election: not leader"},
     {0}},
    {"/v3electionpb.Election/Resign", KEEPER, resign, GOOD, {0}},
    {"/v3lockpb.Lock/Lock", KEEPER, lock, GOOD, GOES_ON},
    {"/v3lockpb.Lock/Unlock", KEEPER, unlock, GOOD, {0}},
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static const struct row *row_of(const struct method *method)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (strcmp(rows[i].path, method->path) == 0) {
            return &rows[i];
        }
    }
    print_error("%s has no row: say who may call it\n", method->path);
    return NULL;
}

/* ---- a cell ----------------------------------------------------------- */

static struct auth_world world;
static const struct row *asked;

static bool has_prefix(const char *word, const char *prefix)
{
    return strncmp(word, prefix, strlen(prefix)) == 0;
}

/* A watch is answered: the reason of its end is what is looked at. */
static void expect_watch(struct talk *talk, struct outcome outcome)
{
    enum { CANCELED = 4, REASON = 6 };
    struct slice message = expect_message(talk);
    struct slice reason = bytes_of(message, REASON);
    size_t size = strlen(outcome.text);
    assert_false(talk->ended);
    assert_int_equal(number_of(message, CANCELED), outcome.code != OPEN);
    assert_true(reason.size >= size);
    assert_memory_equal(reason.at + reason.size - size, outcome.text, size);
    assert_true(outcome.code != OPEN || reason.size == 0);
}

static void expect_outcome(struct talk *talk, struct outcome outcome)
{
    if (has_prefix(asked->path, ETCD "Watch/")) {
        expect_watch(talk, outcome);
        return;
    }
    if (talk->code != outcome.code) {
        print_error("%s: %d %.*s\n", asked->path, talk->code,
                    (int)talk->text.size, talk->text.at);
    }
    if (outcome.code == OPEN) {
        assert_false(talk->ended);
    } else {
        expect_end(talk, outcome.code, outcome.text);
    }
}

/* As etcd has it Lock and Election tell no codes. */
static struct outcome refusal(int code, const char *why)
{
    bool is_uncoded = has_prefix(asked->path, "/v3");
    return (struct outcome){is_uncoded ? GRPC_UNKNOWN : code, why};
}

static struct talk *cell(const char *token, struct outcome outcome)
{
    struct talk *talk = ask_as(&world, token, asked->path, asked->request());
    expect_outcome(talk, outcome);
    return talk;
}

static void close_cell(struct talk *talk)
{
    if (!talk->ended) {
        talk_reset(talk);
    }
    talk_free(talk);
    auth_world_turn(&world);
}

/* ---- a row ------------------------------------------------------------ */

static void begin(void)
{
    auth_world_init(&world, 13);
    do_as(&world, NULL, ETCD "Lease/LeaseGrant", lease_request(LEASE));
    do_as(&world, NULL, ETCD "KV/Put", leased_put_request("k/1", LEASE));
    auth_world_enable(&world);
}

static void ask_without_a_right(const char *ended)
{
    bool anybody = asked->right == ANYBODY;
    struct outcome nobody = refusal(GRPC_INVALID_ARGUMENT, user_empty);
    struct outcome wrong = refusal(GRPC_UNAUTHENTICATED, no_token);
    close_cell(cell(NULL, anybody ? asked->with : nobody));
    close_cell(cell("wrong", anybody ? asked->with : wrong));
    close_cell(cell(ended, anybody ? asked->with : wrong));
    const char *bare = login(&world, "bare", "bare");
    close_cell(cell(bare, asked->right <= KNOWN
                              ? asked->with
                              : refusal(GRPC_PERMISSION_DENIED, denied)));
    if (asked->right == ADMIN) {
        const char *with = login(&world, "with", "with");
        close_cell(cell(with, refusal(GRPC_PERMISSION_DENIED, denied)));
    }
}

static void ask_with_the_right(void)
{
    const char *name = asked->right == ADMIN ? "boss" : "with";
    const char *with = login(&world, name, name);
    const char *root = login(&world, "root", "root");
    struct talk *first = cell(with, asked->with);
    struct outcome second =
        asked->root.text != NULL ? asked->root : asked->with;
    close_cell(cell(root, second));
    close_cell(first);
}

static void every_method_asks_who_it_is(void **state)
{
    size_t count;
    const struct method *table = method__table(&count);
    (void)state;
    for (size_t i = 0; i < count; i++) {
        asked = row_of(&table[i]);
        assert_non_null(asked);
        begin();
        const char *ended = login(&world, "root", "root");
        auth_world_wait(&world, AUTH_WORLD_TTL_MS + 200);
        ask_without_a_right(ended);
        ask_with_the_right();
        auth_world_deinit(&world);
    }
    assert_int_equal(count, ROWS);
}

/* The table's own word for it is what this file says. */
static void every_rule_is_the_one_that_is_seen(void **state)
{
    static const enum method_rule rules[] = {
        [ANYBODY] = RULE_ANYONE,
        [KNOWN] = RULE_KNOWN,
        [KEEPER] = RULE_BY_REQUEST,
        [ADMIN] = RULE_ADMIN,
    };
    size_t count;
    const struct method *table = method__table(&count);
    (void)state;
    for (size_t i = 0; i < count; i++) {
        enum method_rule rule = rules[row_of(&table[i])->right];
        assert_int_not_equal(table[i].rule, RULE_UNSAID);
        if (has_prefix(table[i].path, MAINTENANCE "Alarm")) {
            rule = RULE_BY_REQUEST; /* which are only looked at by others */
        } else if (has_prefix(table[i].path, ETCD "Lease/LeaseKeepAlive")) {
            rule = RULE_KNOWN; /* and then by the lease */
        }
        assert_int_equal(table[i].rule, rule);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_asks_who_it_is),
        cmocka_unit_test(every_rule_is_the_one_that_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
