/* v2's errors: a code that clients know, its message, its HTTP status. */
#include "api/api_int.h"
#include "base/check.h"
#include "doc/json_write.h"

/* What the tree's own table doesn't have. */
#define V2_ERROR_TABLE(X)                                           \
    X(V2_PEER_ADDR_EXISTS, "Peer address has existed")              \
    X(V2_LEADER_ELECT, "During Leader Election")                    \
    X(V2_PREV_VALUE_REQUIRED, "PrevValue is Required in POST form") \
    X(V2_TTL_NAN, "The given TTL in POST form is not a number")     \
    X(V2_INDEX_NAN, "The given index in POST form is not a number") \
    X(V2_INVALID_FIELD, "Invalid field")                            \
    X(V2_INVALID_FORM, "Invalid POST form")                         \
    X(V2_REFRESH_VALUE, "Value provided on refresh")                \
    X(V2_REFRESH_TTL_REQUIRED, "A TTL must be provided on refresh")

const char *v2_error_text(int code)
{
    switch (code) {
#define X(name, text) \
    case name:        \
        return text;
        V2_ERROR_TABLE(X)
#undef X
    default:
        return tree_error_text((enum tree_error)code);
    }
}

int v2_error_status(int code)
{
    switch (code) {
    case TREE_KEY_NOT_FOUND:
        return 404;
    case TREE_COMPARE_FAILED:
    case TREE_NODE_EXIST:
        return 412;
    case TREE_UNAUTHORIZED:
        return 401;
    case TREE_NOT_FILE:
    case TREE_DIR_NOT_EMPTY:
        return 403;
    case TREE_RAFT_INTERNAL:
    case V2_LEADER_ELECT:
        return 500;
    default:
        return 400;
    }
}

void v2_error_write(struct buf *out, const struct v2_error *error,
                    revision index)
{
    CHECK(error->code != 0);
    buf_append_str(out, "{\"errorCode\":");
    buf_append_u64(out, (uint64_t)error->code);
    buf_append_str(out, ",\"message\":");
    json_write_string(out, slice_str(v2_error_text(error->code)));
    if (error->cause.size > 0) {
        buf_append_str(out, ",\"cause\":");
        json_write_string(out, error->cause);
    }
    buf_append_str(out, ",\"index\":");
    buf_append_u64(out, (uint64_t)index);
    buf_append_str(out, "}\n");
}

void api__respond_error(struct api *api, struct http_exchange *exchange,
                        int status, const struct v2_error *error,
                        revision index)
{
    struct answer answer;
    v2_error_write(api__body(api), error, index);
    answer__init(&answer, api, exchange, api__type_json);
    answer__add_cluster(&answer, api);
    answer__add_number(&answer, SLICE("X-Etcd-Index"), (uint64_t)index);
    answer__send(&answer, api, exchange,
                 status != 0 ? status : v2_error_status(error->code));
}

/* etcd's words where it has some. 503 tells a client to come again later;
 * what needs a person's hand first is v2's 500. */
static const char *failure_cause(enum err err, int *status)
{
    *status = 500;
    switch (err) {
    case ERR_FULL:
        *status = 503;
        return "etcdserver: too many requests";
    case ERR_STOPPED:
        *status = 503;
        return "etcdserver: server stopped";
    case ERR_NO_LEADER:
    case ERR_NOT_LEADER:
        *status = 503;
        return "etcdserver: no leader";
    case ERR_TIMEOUT: /* whether it was done nobody knows */
        return "etcdserver: request timed out";
    case ERR_TOO_LARGE:
        *status = 413;
        return "etcdserver: request is too large";
    case ERR_NO_SPACE:
    case ERR_DISK_FULL:
        return "etcdserver: mvcc: database space exceeded";
    case ERR_COMPACTED:
        return "etcdserver: mvcc: required revision has been compacted";
    default:
        return err_text(err);
    }
}

void api__respond_failure(struct api *api, struct http_exchange *exchange,
                          enum err err)
{
    struct node_progress progress;
    int status;
    CHECK_NE(err, ERR_OK);
    node_progress(api->node, &progress);
    struct v2_error error = {
        .code = V2_RAFT_INTERNAL,
        .cause = slice_str(failure_cause(err, &status)),
    };
    api__respond_error(api, exchange, status, &error, progress.revision);
}
