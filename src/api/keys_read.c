/* GET of a file or a directory, under the shared lock: here and now, of what
 * this member has applied; with quorum=true as soon as that is known to hold
 * every write that was answered before the read began. */
#include "api/api_int.h"
#include "base/check.h"

#define APPEND(out, literal) buf_append(out, literal, sizeof(literal) - 1)

static void write_file(struct api *api, const struct tree_node *node)
{
    struct buf *out = api__body(api);
    APPEND(out, "{\"action\":\"get\",\"node\":");
    json__node(out, node, api->shared->clock);
    APPEND(out, "}\n");
}

static void respond_missing(struct api *api, struct http_exchange *exchange,
                            enum tree_error code, struct slice cause,
                            revision index)
{
    struct v2_error error = {.code = (int)code, .cause = cause};
    api__count(api, API_GETS_FAIL);
    api__respond_error(api, exchange, 0, &error, index);
}

/* Who may read "/a" may see that it is a directory, but not what is in it: that
 * are other keys. Also, users and roles may have changed since a read that had
 * to wait was let in. Needs: api__read_begin. */
static bool may_see(const struct api *api, const struct caller *caller,
                    const struct tree_node *node, struct slice key,
                    bool recursive)
{
    return caller->auth_revision == 0 ||
           access__may(api, caller->user, AUTH_READ, key,
                       recursive || node->dir);
}

static void read_now(struct api *api, struct http_exchange *exchange,
                     const struct caller *caller, struct slice key,
                     bool recursive)
{
    struct tree_node node = {.dir = false};
    struct slice cause;
    struct answer answer;
    enum tree_error error = TREE_NONE;
    api__read_begin(api);
    revision index = api__revision(api);
    enum err err = tree_get(api->reader, key, 0, &node, &error, &cause);
    if (err == ERR_OK && !may_see(api, caller, &node, key, recursive)) {
        api__read_end(api);
        api__count(api, API_GETS_FAIL);
        access__refuse_key(api, exchange, caller, key);
        return;
    }
    if (err == ERR_OK && error == TREE_NONE) {
        api__count(api, API_GETS_SUCCESS);
        if (node.dir) {
            api__list(api, exchange, &node, recursive);
            return;
        }
        write_file(api, &node);
    }
    api__read_end(api);
    if (err != ERR_OK) {
        api__respond_failure(api, exchange, err);
    } else if (error != TREE_NONE) {
        respond_missing(api, exchange, error, cause, index);
    } else {
        answer__init_keys(&answer, api, exchange, index, 0, 0);
        answer__send(&answer, api, exchange, 200);
    }
}

static void finish(struct api *api, struct job *done)
{
    if (done->exchange == NULL) {
        return;
    }
    if (done->read.err == ERR_OK) {
        read_now(api, done->exchange, &done->caller, done->key,
                 done->recursive);
    } else {
        api__count(api, API_GETS_FAIL);
        api__respond_failure(api, done->exchange, done->read.err);
    }
}

void keys__read(struct api *api, struct http_exchange *exchange,
                struct slice key, const struct keys_params *params)
{
    if (!params->quorum || node_reads_are_current(api->node)) {
        read_now(api, exchange, &api->caller, key, params->recursive);
        return;
    }
    struct job *job = job__new(api, exchange, finish);
    job->key = key;
    job->recursive = params->recursive;
    job__read(job);
}
