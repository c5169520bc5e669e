/* The table of methods: what there is, by its path and by the gateway's. */
#include "base/check.h"
#include "proto/election.pb-c.h"
#include "proto/health.pb-c.h"
#include "proto/history.pb-c.h"
#include "proto/lock.pb-c.h"
#include "proto/quota.pb-c.h"
#include "proto/reflection.pb-c.h"
#include "proto/reflection_alpha.pb-c.h"
#include "proto/rpc.pb-c.h"
#include "rpc/rpc_int.h"

/* Who streams. */
#define UNARY false, false
#define FROM_SERVER false, true
#define BOTH_WAYS true, true

#define METHOD(path, gateway, rule, streams, request, response, begin)        \
    {                                                                         \
        path, gateway, &request##__descriptor, &response##__descriptor, rule, \
            streams, begin, NULL                                              \
    }
#define METHOD_BYTES(path, gateway, rule, streams, request, response, begin)  \
    {                                                                         \
        path, gateway, &request##__descriptor, &response##__descriptor, rule, \
            streams, begin, begin##_bytes                                     \
    }

/* By path, in order. */
static const struct method methods[] = {
    METHOD("/etcdserverpb.Auth/AuthDisable", "/v3/auth/disable", RULE_ADMIN,
           UNARY, etcdserverpb__auth_disable_request,
           etcdserverpb__auth_disable_response, auth__disable),
    METHOD("/etcdserverpb.Auth/AuthEnable", "/v3/auth/enable", RULE_ADMIN,
           UNARY, etcdserverpb__auth_enable_request,
           etcdserverpb__auth_enable_response, auth__enable),
    METHOD("/etcdserverpb.Auth/AuthStatus", "/v3/auth/status", RULE_ADMIN,
           UNARY, etcdserverpb__auth_status_request,
           etcdserverpb__auth_status_response, auth__status),
    METHOD("/etcdserverpb.Auth/Authenticate", "/v3/auth/authenticate",
           RULE_ANYONE, UNARY, etcdserverpb__authenticate_request,
           etcdserverpb__authenticate_response, auth__authenticate),
    METHOD("/etcdserverpb.Auth/RoleAdd", "/v3/auth/role/add", RULE_ADMIN, UNARY,
           etcdserverpb__auth_role_add_request,
           etcdserverpb__auth_role_add_response, auth__role_add),
    METHOD("/etcdserverpb.Auth/RoleDelete", "/v3/auth/role/delete", RULE_ADMIN,
           UNARY, etcdserverpb__auth_role_delete_request,
           etcdserverpb__auth_role_delete_response, auth__role_delete),
    METHOD("/etcdserverpb.Auth/RoleGet", "/v3/auth/role/get", RULE_BY_REQUEST,
           UNARY, etcdserverpb__auth_role_get_request,
           etcdserverpb__auth_role_get_response, auth__role_get),
    METHOD("/etcdserverpb.Auth/RoleGrantPermission", "/v3/auth/role/grant",
           RULE_ADMIN, UNARY, etcdserverpb__auth_role_grant_permission_request,
           etcdserverpb__auth_role_grant_permission_response,
           auth__role_grant_permission),
    METHOD("/etcdserverpb.Auth/RoleList", "/v3/auth/role/list", RULE_ADMIN,
           UNARY, etcdserverpb__auth_role_list_request,
           etcdserverpb__auth_role_list_response, auth__role_list),
    METHOD("/etcdserverpb.Auth/RoleRevokePermission", "/v3/auth/role/revoke",
           RULE_ADMIN, UNARY, etcdserverpb__auth_role_revoke_permission_request,
           etcdserverpb__auth_role_revoke_permission_response,
           auth__role_revoke_permission),
    METHOD("/etcdserverpb.Auth/UserAdd", "/v3/auth/user/add", RULE_ADMIN, UNARY,
           etcdserverpb__auth_user_add_request,
           etcdserverpb__auth_user_add_response, auth__user_add),
    METHOD("/etcdserverpb.Auth/UserChangePassword", "/v3/auth/user/changepw",
           RULE_ADMIN, UNARY, etcdserverpb__auth_user_change_password_request,
           etcdserverpb__auth_user_change_password_response,
           auth__user_change_password),
    METHOD("/etcdserverpb.Auth/UserDelete", "/v3/auth/user/delete", RULE_ADMIN,
           UNARY, etcdserverpb__auth_user_delete_request,
           etcdserverpb__auth_user_delete_response, auth__user_delete),
    METHOD("/etcdserverpb.Auth/UserGet", "/v3/auth/user/get", RULE_BY_REQUEST,
           UNARY, etcdserverpb__auth_user_get_request,
           etcdserverpb__auth_user_get_response, auth__user_get),
    METHOD("/etcdserverpb.Auth/UserGrantRole", "/v3/auth/user/grant",
           RULE_ADMIN, UNARY, etcdserverpb__auth_user_grant_role_request,
           etcdserverpb__auth_user_grant_role_response, auth__user_grant_role),
    METHOD("/etcdserverpb.Auth/UserList", "/v3/auth/user/list", RULE_ADMIN,
           UNARY, etcdserverpb__auth_user_list_request,
           etcdserverpb__auth_user_list_response, auth__user_list),
    METHOD("/etcdserverpb.Auth/UserRevokeRole", "/v3/auth/user/revoke",
           RULE_ADMIN, UNARY, etcdserverpb__auth_user_revoke_role_request,
           etcdserverpb__auth_user_revoke_role_response,
           auth__user_revoke_role),
    METHOD("/etcdserverpb.Cluster/MemberAdd", "/v3/cluster/member/add",
           RULE_ADMIN, UNARY, etcdserverpb__member_add_request,
           etcdserverpb__member_add_response, cluster__member_add),
    METHOD("/etcdserverpb.Cluster/MemberList", "/v3/cluster/member/list",
           RULE_KNOWN, UNARY, etcdserverpb__member_list_request,
           etcdserverpb__member_list_response, cluster__member_list),
    METHOD("/etcdserverpb.Cluster/MemberPromote", "/v3/cluster/member/promote",
           RULE_ADMIN, UNARY, etcdserverpb__member_promote_request,
           etcdserverpb__member_promote_response, cluster__member_promote),
    METHOD("/etcdserverpb.Cluster/MemberRemove", "/v3/cluster/member/remove",
           RULE_ADMIN, UNARY, etcdserverpb__member_remove_request,
           etcdserverpb__member_remove_response, cluster__member_remove),
    METHOD("/etcdserverpb.Cluster/MemberUpdate", "/v3/cluster/member/update",
           RULE_ADMIN, UNARY, etcdserverpb__member_update_request,
           etcdserverpb__member_update_response, cluster__member_update),
    METHOD("/etcdserverpb.KV/Compact", "/v3/kv/compaction", RULE_ADMIN, UNARY,
           etcdserverpb__compaction_request, etcdserverpb__compaction_response,
           kv__compact),
    METHOD_BYTES("/etcdserverpb.KV/DeleteRange", "/v3/kv/deleterange",
                 RULE_BY_REQUEST, UNARY, etcdserverpb__delete_range_request,
                 etcdserverpb__delete_range_response, kv__delete_range),
    METHOD_BYTES("/etcdserverpb.KV/Put", "/v3/kv/put", RULE_BY_REQUEST, UNARY,
                 etcdserverpb__put_request, etcdserverpb__put_response,
                 kv__put),
    METHOD_BYTES("/etcdserverpb.KV/Range", "/v3/kv/range", RULE_BY_REQUEST,
                 UNARY, etcdserverpb__range_request,
                 etcdserverpb__range_response, kv__range),
    METHOD("/etcdserverpb.KV/RangeStream", NULL, RULE_BY_REQUEST, FROM_SERVER,
           etcdserverpb__range_request, etcdserverpb__range_stream_response,
           kv__range_stream),
    METHOD_BYTES("/etcdserverpb.KV/Txn", "/v3/kv/txn", RULE_BY_REQUEST, UNARY,
                 etcdserverpb__txn_request, etcdserverpb__txn_response,
                 kv__txn),
    METHOD("/etcdserverpb.Lease/LeaseGrant", "/v3/lease/grant", RULE_KNOWN,
           UNARY, etcdserverpb__lease_grant_request,
           etcdserverpb__lease_grant_response, lease__grant),
    METHOD("/etcdserverpb.Lease/LeaseKeepAlive", "/v3/lease/keepalive",
           RULE_KNOWN, BOTH_WAYS, etcdserverpb__lease_keep_alive_request,
           etcdserverpb__lease_keep_alive_response, lease__keep_alive),
    METHOD("/etcdserverpb.Lease/LeaseLeases", "/v3/kv/lease/leases",
           RULE_BY_REQUEST, UNARY, etcdserverpb__lease_leases_request,
           etcdserverpb__lease_leases_response, lease__leases),
    METHOD("/etcdserverpb.Lease/LeaseRevoke", "/v3/kv/lease/revoke",
           RULE_BY_REQUEST, UNARY, etcdserverpb__lease_revoke_request,
           etcdserverpb__lease_revoke_response, lease__revoke),
    METHOD("/etcdserverpb.Lease/LeaseTimeToLive", "/v3/kv/lease/timetolive",
           RULE_BY_REQUEST, UNARY, etcdserverpb__lease_time_to_live_request,
           etcdserverpb__lease_time_to_live_response, lease__time_to_live),
    METHOD("/etcdserverpb.Maintenance/Alarm", "/v3/maintenance/alarm",
           RULE_BY_REQUEST, UNARY, etcdserverpb__alarm_request,
           etcdserverpb__alarm_response, maintenance__alarm),
    METHOD("/etcdserverpb.Maintenance/Defragment", "/v3/maintenance/defragment",
           RULE_ADMIN, UNARY, etcdserverpb__defragment_request,
           etcdserverpb__defragment_response, maintenance__defragment),
    METHOD("/etcdserverpb.Maintenance/Downgrade", "/v3/maintenance/downgrade",
           RULE_ADMIN, UNARY, etcdserverpb__downgrade_request,
           etcdserverpb__downgrade_response, maintenance__downgrade),
    METHOD("/etcdserverpb.Maintenance/Hash", "/v3/maintenance/hash", RULE_ADMIN,
           UNARY, etcdserverpb__hash_request, etcdserverpb__hash_response,
           maintenance__hash),
    METHOD("/etcdserverpb.Maintenance/HashKV", "/v3/maintenance/hashkv",
           RULE_ADMIN, UNARY, etcdserverpb__hash_kvrequest,
           etcdserverpb__hash_kvresponse, maintenance__hash_kv),
    METHOD("/etcdserverpb.Maintenance/MoveLeader",
           "/v3/maintenance/transfer-leadership", RULE_ADMIN, UNARY,
           etcdserverpb__move_leader_request,
           etcdserverpb__move_leader_response, maintenance__move_leader),
    METHOD("/etcdserverpb.Maintenance/Snapshot", "/v3/maintenance/snapshot",
           RULE_ADMIN, FROM_SERVER, etcdserverpb__snapshot_request,
           etcdserverpb__snapshot_response, maintenance__snapshot),
    METHOD("/etcdserverpb.Maintenance/Status", "/v3/maintenance/status",
           RULE_ADMIN, UNARY, etcdserverpb__status_request,
           etcdserverpb__status_response, maintenance__status),
    METHOD("/etcdserverpb.Watch/Watch", "/v3/watch", RULE_BY_REQUEST, BOTH_WAYS,
           etcdserverpb__watch_request, etcdserverpb__watch_response,
           watch__watch),
    METHOD("/etched.v1.History/Records", "/v3/history/records", RULE_BY_REQUEST,
           FROM_SERVER, etched__v1__history_request,
           etched__v1__history_response, history__records),
    METHOD("/etched.v1.History/RevisionAt", "/v3/history/revisionat",
           RULE_KNOWN, UNARY, etched__v1__revision_at_request,
           etched__v1__revision_at_response, history__revision_at),
    METHOD("/etched.v1.Quota/List", "/v3/quota/list", RULE_ADMIN, UNARY,
           etched__v1__quota_list_request, etched__v1__quota_list_response,
           quota__list),
    METHOD("/etched.v1.Quota/Set", "/v3/quota/set", RULE_ADMIN, UNARY,
           etched__v1__quota_set_request, etched__v1__quota_set_response,
           quota__set),
    METHOD("/grpc.health.v1.Health/Check", NULL, RULE_ANYONE, UNARY,
           grpc__health__v1__health_check_request,
           grpc__health__v1__health_check_response, health__check),
    METHOD("/grpc.health.v1.Health/Watch", NULL, RULE_ANYONE, FROM_SERVER,
           grpc__health__v1__health_check_request,
           grpc__health__v1__health_check_response, health__watch),
    METHOD("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", NULL,
           RULE_ANYONE, BOTH_WAYS,
           grpc__reflection__v1__server_reflection_request,
           grpc__reflection__v1__server_reflection_response, reflection__info),
    METHOD("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
           NULL, RULE_ANYONE, BOTH_WAYS,
           grpc__reflection__v1alpha__server_reflection_request,
           grpc__reflection__v1alpha__server_reflection_response,
           reflection__info),
    METHOD("/v3electionpb.Election/Campaign", "/v3/election/campaign",
           RULE_BY_REQUEST, UNARY, v3electionpb__campaign_request,
           v3electionpb__campaign_response, election__campaign),
    METHOD("/v3electionpb.Election/Leader", "/v3/election/leader",
           RULE_BY_REQUEST, UNARY, v3electionpb__leader_request,
           v3electionpb__leader_response, election__leader),
    METHOD("/v3electionpb.Election/Observe", "/v3/election/observe",
           RULE_BY_REQUEST, FROM_SERVER, v3electionpb__leader_request,
           v3electionpb__leader_response, election__observe),
    METHOD("/v3electionpb.Election/Proclaim", "/v3/election/proclaim",
           RULE_BY_REQUEST, UNARY, v3electionpb__proclaim_request,
           v3electionpb__proclaim_response, election__proclaim),
    METHOD("/v3electionpb.Election/Resign", "/v3/election/resign",
           RULE_BY_REQUEST, UNARY, v3electionpb__resign_request,
           v3electionpb__resign_response, election__resign),
    METHOD("/v3lockpb.Lock/Lock", "/v3/lock/lock", RULE_BY_REQUEST, UNARY,
           v3lockpb__lock_request, v3lockpb__lock_response, lock__lock),
    METHOD("/v3lockpb.Lock/Unlock", "/v3/lock/unlock", RULE_BY_REQUEST, UNARY,
           v3lockpb__unlock_request, v3lockpb__unlock_response, lock__unlock),
};

enum { METHODS = sizeof(methods) / sizeof(methods[0]) };

const struct method *method__table(size_t *count)
{
    *count = METHODS;
    return methods;
}

const struct method *method__find(struct slice path)
{
    size_t low = 0;
    size_t high = METHODS;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = slice_cmp(path, slice_str(methods[middle].path));
        if (order == 0) {
            return &methods[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

bool method__has_service(struct slice name)
{
    for (size_t i = 0; i < METHODS; i++) {
        struct slice own = slice_str(methods[i].path + 1);
        if (slice_has_prefix(own, name) && own.at[name.size] == '/') {
            return true;
        }
    }
    return false;
}

/* ---- the gateway's --------------------------------------------------- */

/* What follows "/v3", "/v3beta" or "/v3alpha", from its '/' on; at == NULL:
 * none of them. */
static struct slice below_version(struct slice path)
{
    static const struct slice versions[] = {
        {"/v3/", 4}, {"/v3beta/", 8}, {"/v3alpha/", 9}};
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        size_t size = versions[i].size - 1;
        if (slice_has_prefix(path, versions[i])) {
            return slice_of(path.at + size, path.size - size);
        }
    }
    return slice_of(NULL, 0);
}

bool rpc_is_gateway(struct slice path)
{
    return below_version(path).at != NULL;
}

const struct method *method__find_gateway(struct slice path)
{
    struct slice rest = below_version(path);
    for (size_t i = 0; i < METHODS && rest.at != NULL; i++) {
        const char *gateway = methods[i].gateway;
        if (gateway != NULL &&
            slice_eq(rest, below_version(slice_str(gateway)))) {
            return &methods[i];
        }
    }
    return NULL;
}
