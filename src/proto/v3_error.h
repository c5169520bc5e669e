/* v3's errors: their gRPC codes and the exact texts that clients match on
 * (etcd 3.7, api/v3rpc/rpctypes/error.go). The same table serves whoever
 * finds an error, at apply as at the wire.
 */
#ifndef ETCHED_PROTO_V3_ERROR_H
#define ETCHED_PROTO_V3_ERROR_H

#include "base/err.h"

/* gRPC's status codes (grpc.io/docs/guides/status-codes). */
enum grpc_code {
    GRPC_OK = 0,
    GRPC_CANCELED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_ALREADY_EXISTS = 6,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
    GRPC_UNAUTHENTICATED = 16,
};

/* clang-format off */
#define V3_ERROR_TABLE(X) \
    X(OK, 0, "") \
    X(EMPTY_KEY, 3, "etcdserver: key is not provided") \
    X(KEY_NOT_FOUND, 3, "etcdserver: key not found") \
    X(VALUE_PROVIDED, 3, "etcdserver: value is provided") \
    X(LEASE_PROVIDED, 3, "etcdserver: lease is provided") \
    X(TOO_MANY_OPS, 3, "etcdserver: too many operations in txn request") \
    X(DUPLICATE_KEY, 3, "etcdserver: duplicate key given in txn request") \
    X(INVALID_CLIENT_API_VERSION, 3, "etcdserver: invalid client api version") \
    X(INVALID_SORT_OPTION, 3, "etcdserver: invalid sort option") \
    X(COMPACTED, 11, "etcdserver: mvcc: required revision has been compacted") \
    X(FUTURE_REV, 11, \
      "etcdserver: mvcc: required revision is a future revision") \
    X(NO_SPACE, 8, "etcdserver: mvcc: database space exceeded") \
    X(LEASE_NOT_FOUND, 5, "etcdserver: requested lease not found") \
    X(LEASE_EXIST, 9, "etcdserver: lease already exists") \
    X(LEASE_TTL_TOO_LARGE, 11, "etcdserver: too large lease TTL") \
    X(WATCH_CANCELED, 1, "etcdserver: watch canceled") \
    X(MEMBER_EXIST, 9, "etcdserver: member ID already exist") \
    X(PEER_URL_EXIST, 9, "etcdserver: Peer URLs already exists") \
    X(MEMBER_NOT_ENOUGH_STARTED, 9, \
      "etcdserver: re-configuration failed due to not enough started " \
      "members") \
    X(MEMBER_BAD_URLS, 3, "etcdserver: given member URLs are invalid") \
    X(MEMBER_NOT_FOUND, 5, "etcdserver: member not found") \
    X(MEMBER_NOT_LEARNER, 9, "etcdserver: can only promote a learner member") \
    X(LEARNER_NOT_READY, 9, \
      "etcdserver: can only promote a learner member which is in sync with " \
      "leader") \
    X(TOO_MANY_LEARNERS, 9, "etcdserver: too many learner members in cluster") \
    X(CLUSTER_ID_MISMATCH, 9, "etcdserver: cluster ID mismatch") \
    X(REQUEST_TOO_LARGE, 3, "etcdserver: request is too large") \
    X(REQUEST_TOO_MANY_REQUESTS, 8, "etcdserver: too many requests") \
    X(ROOT_USER_NOT_EXIST, 9, "etcdserver: root user does not exist") \
    X(ROOT_ROLE_NOT_EXIST, 9, "etcdserver: root user does not have root role") \
    X(USER_ALREADY_EXIST, 9, "etcdserver: user name already exists") \
    X(USER_EMPTY, 3, "etcdserver: user name is empty") \
    X(USER_NOT_FOUND, 9, "etcdserver: user name not found") \
    X(ROLE_ALREADY_EXIST, 9, "etcdserver: role name already exists") \
    X(ROLE_NOT_FOUND, 9, "etcdserver: role name not found") \
    X(ROLE_EMPTY, 3, "etcdserver: role name is empty") \
    X(AUTH_FAILED, 3, \
      "etcdserver: authentication failed, invalid user ID or password") \
    X(PERMISSION_NOT_GIVEN, 3, "etcdserver: permission not given") \
    X(PERMISSION_DENIED, 7, "etcdserver: permission denied") \
    X(ROLE_NOT_GRANTED, 9, "etcdserver: role is not granted to the user") \
    X(PERMISSION_NOT_GRANTED, 9, \
      "etcdserver: permission is not granted to the role") \
    X(AUTH_NOT_ENABLED, 9, "etcdserver: authentication is not enabled") \
    X(INVALID_AUTH_TOKEN, 16, "etcdserver: invalid auth token") \
    X(INVALID_AUTH_MGMT, 3, "etcdserver: invalid auth management") \
    X(AUTH_OLD_REVISION, 3, "etcdserver: revision of auth store is old") \
    X(NO_LEADER, 14, "etcdserver: no leader") \
    X(NOT_LEADER, 9, "etcdserver: not leader") \
    X(LEADER_CHANGED, 14, "etcdserver: leader changed") \
    X(NOT_CAPABLE, 9, "etcdserver: not capable") \
    X(STOPPED, 14, "etcdserver: server stopped") \
    X(TIMEOUT, 14, "etcdserver: request timed out") \
    X(TIMEOUT_DUE_TO_LEADER_FAIL, 14, \
      "etcdserver: request timed out, possibly due to previous leader " \
      "failure") \
    X(TIMEOUT_DUE_TO_CONNECTION_LOST, 14, \
      "etcdserver: request timed out, possibly due to connection lost") \
    X(TIMEOUT_WAIT_APPLIED_INDEX, 14, \
      "etcdserver: request timed out, waiting for the applied index took " \
      "too long") \
    X(UNHEALTHY, 14, "etcdserver: unhealthy cluster") \
    X(CORRUPT, 15, "etcdserver: corrupt cluster") \
    X(NOT_SUPPORTED_FOR_LEARNER, 9, \
      "etcdserver: rpc not supported for learner") \
    X(BAD_LEADER_TRANSFEREE, 9, "etcdserver: bad leader transferee") \
    X(WRONG_DOWNGRADE_VERSION_FORMAT, 3, \
      "etcdserver: wrong downgrade target version format") \
    X(INVALID_DOWNGRADE_TARGET_VERSION, 3, \
      "etcdserver: invalid downgrade target version") \
    X(CLUSTER_VERSION_UNAVAILABLE, 9, \
      "etcdserver: cluster version not found during downgrade") \
    X(DOWNGRADE_IN_PROCESS, 9, \
      "etcdserver: cluster has a downgrade job in progress") \
    X(NO_INFLIGHT_DOWNGRADE, 9, "etcdserver: no inflight downgrade job") \
    X(NO_PASSWORD_USER, 2, \
      "auth: authentication failed, password was given for no password user") \
    X(CANCELED, 1, "etcdserver: request canceled") \
    X(DEADLINE_EXCEEDED, 4, "etcdserver: context deadline exceeded") \
    X(QUOTA_USED_UP, 8, "etched: the quota of a prefix is used up") \
    X(QUOTA_NOT_FOUND, 5, "etched: the prefix has no quota") \
    X(QUOTA_TOO_MANY, 8, "etched: there are too many quotas") \
    X(QUOTA_PREFIX, 3, "etched: the prefix is too long to have a quota")

/* clang-format on */

enum v3_error {
#define X(name, code, text) V3_##name,
    V3_ERROR_TABLE(X)
#undef X
        V3_ERROR_COUNT
};

enum grpc_code v3_error_code(enum v3_error error);
const char *v3_error_text(enum v3_error error);
/* What a client of v3 is told where the node or the store said `err`. Needs:
 * not ERR_OK. V3_OK: there is no such text; err_grpc_code and err_text do. */
enum v3_error v3_error_of(enum err err);

#endif
