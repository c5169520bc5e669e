/* PUT, POST and DELETE: a command for the node, and its answer.
 *
 *   keys__write --> node_submit            writer: on_done
 *                                             | host's inbox
 *   http_respond <-- api_answer <-------------'
 *
 */
#include "api/api_int.h"
#include "base/check.h"

/* ---- the command -------------------------------------------------------- */

/* As etcd reads a PUT: prevExist first, then the comparisons. */
static enum tree_op put_op(const struct keys_params *params)
{
    bool compares = params->prev_index != 0 || params->prev_value.size > 0;
    if (params->has_prev_exist && !params->prev_exist) {
        return TREE_CREATE;
    }
    if (compares) {
        return TREE_COMPARE_AND_SWAP;
    }
    return params->has_prev_exist ? TREE_UPDATE : TREE_SET;
}

static enum tree_op op_of(enum http_method method,
                          const struct keys_params *params)
{
    bool compares = params->prev_index != 0 || params->prev_value.size > 0;
    if (method == HTTP_PUT) {
        return put_op(params);
    }
    if (method == HTTP_POST) {
        return TREE_CREATE_IN_ORDER;
    }
    CHECK_EQ(method, HTTP_DELETE);
    return compares ? TREE_COMPARE_AND_DELETE : TREE_DELETE;
}

static struct tree_command command_of(enum tree_op op, struct slice key,
                                      const struct keys_params *params)
{
    struct tree_command command = {.op = op, .path = key};
    bool removes = op == TREE_DELETE || op == TREE_COMPARE_AND_DELETE;
    if (!removes) {
        command.value = params->value;
        command.has_ttl = params->has_ttl;
        command.ttl_s = params->ttl_s;
    }
    if (op == TREE_COMPARE_AND_SWAP || op == TREE_COMPARE_AND_DELETE) {
        command.prev_value = params->prev_value;
        command.prev_index = params->prev_index;
    }
    if (op == TREE_SET || op == TREE_UPDATE || op == TREE_COMPARE_AND_SWAP) {
        command.refresh = params->refresh;
    }
    if (op == TREE_SET || op == TREE_CREATE || op == TREE_CREATE_IN_ORDER) {
        command.dir = params->dir;
    }
    if (op == TREE_DELETE) {
        command.recursive = params->recursive;
        command.dir = params->dir || params->recursive;
    }
    return command;
}

/* ---- and back ----------------------------------------------------------- */

static void count_op(struct api *api, enum tree_op op, bool success)
{
    static const enum api_stat stats[][2] = {
        [TREE_SET] = {API_SETS_FAIL, API_SETS_SUCCESS},
        [TREE_CREATE] = {API_CREATE_FAIL, API_CREATE_SUCCESS},
        [TREE_UPDATE] = {API_UPDATE_FAIL, API_UPDATE_SUCCESS},
        [TREE_COMPARE_AND_SWAP] = {API_COMPARE_AND_SWAP_FAIL,
                                   API_COMPARE_AND_SWAP_SUCCESS},
        [TREE_DELETE] = {API_DELETE_FAIL, API_DELETE_SUCCESS},
        [TREE_COMPARE_AND_DELETE] = {API_COMPARE_AND_DELETE_FAIL,
                                     API_COMPARE_AND_DELETE_SUCCESS},
        [TREE_CREATE_IN_ORDER] = {API_CREATE_FAIL, API_CREATE_SUCCESS},
    };
    CHECK(op >= TREE_SET && op <= TREE_CREATE_IN_ORDER);
    api__count(api, stats[op][success]);
}

static void write_success(struct api *api, const struct tree_event *event,
                          enum tree_op op, bool no_value)
{
    struct buf *out = api__body(api);
    if (no_value && op != TREE_DELETE && op != TREE_COMPARE_AND_DELETE) {
        buf_append_str(out, "{\"action\":\"");
        buf_append_str(out, event->action);
        buf_append_str(out, "\"}\n");
    } else {
        json__event(out, event, api->shared->clock);
    }
}

/* Who may write a key and not read it isn't told what was in it: neither by a
 * comparison that fails, nor by the node of before. */
static bool may_read(const struct api *api, const struct job *done)
{
    if (done->caller.auth_revision == 0) {
        return true;
    }
    lock_read(node_lock(api->node));
    bool may = access__may(api, done->caller.user, AUTH_READ, done->key, false);
    unlock_read(node_lock(api->node));
    return may;
}

static void respond_error(struct api *api, const struct job *done)
{
    const struct tree_result *result = &done->write.tree;
    struct v2_error error = {.code = (int)result->error,
                             .cause = tree_result_cause(result)};
    if (result->error == TREE_UNAUTHORIZED) {
        if (!access__again(api, done->exchange, &done->caller)) {
            access__refuse_key(api, done->exchange, &done->caller, done->key);
        }
        return;
    }
    if (result->error == TREE_COMPARE_FAILED && !may_read(api, done)) {
        error.cause = SLICE("");
    }
    api__respond_error(api, done->exchange, 0, &error, result->index);
}

/* Answers with what the tree said; `done` is a copy. */
static void respond_result(struct api *api, const struct job *done)
{
    const struct tree_result *result = &done->write.tree;
    struct answer answer;
    if (result->error != TREE_NONE) {
        respond_error(api, done);
        return;
    }
    struct tree_event event = result->event;
    if (!may_read(api, done)) {
        event.prev.value = SLICE("");
        event.node.value = event.refresh ? SLICE("") : event.node.value;
    }
    write_success(api, &event, done->op, done->no_value_on_success);
    answer__init_keys(&answer, api, done->exchange, result->index,
                      done->write.index, done->write.term);
    answer__send(&answer, api, done->exchange, result->created ? 201 : 200);
}

static void finish(struct api *api, struct job *done)
{
    struct node_request *request = &done->write;
    enum err err = request->err;
    meter__write(clock_monotonic_ns(api->shared->clock) - done->start_ns);
    if (err == ERR_OK) {
        count_op(api, done->op, request->tree.error == TREE_NONE);
    }
    if (done->exchange != NULL && err == ERR_OK) {
        respond_result(api, done);
    } else if (done->exchange != NULL) {
        api__respond_failure(api, done->exchange, err);
    }
    if (err == ERR_OK) {
        tree_result_deinit(&request->tree);
    }
}

/* ---- to the node -------------------------------------------------------- */

void keys__write(struct api *api, struct http_exchange *exchange,
                 struct slice key, const struct keys_params *params)
{
    enum tree_op op = op_of(exchange->request.method, params);
    struct command command = {
        .type = COMMAND_TREE,
        .user = api->caller.user,
        .auth_revision = api->caller.auth_revision,
        .tree = command_of(op, key, params),
    };
    struct job *job = job__new(api, exchange, finish);
    job->op = op;
    job->key = key;
    job->no_value_on_success = params->no_value_on_success;
    job->start_ns = clock_monotonic_ns(api->shared->clock);
    job__write(job, command_encode(&command));
}
