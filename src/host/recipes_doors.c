/* The runner's doors: calls of v3 as streams of the gRPC client, its one watch,
 * actions, answers to REST, and what is computed at once. */
#include <stdio.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/hmac.h"
#include "host/recipes_feed.h"
#include "host/recipes_int.h"

enum {
    /* A store that doesn't answer is one that can't be reached: the runner
     * tries again. A history is long. */
    CALL_MS = 10 * 1000,
    HISTORY_MS = 120 * 1000,
    ASK_MS = 2 * 1000,
    ASK_AGAIN_MS = 500,
    SAY_AGAIN_MS = 60 * 1000,
};

/* A message out that is waited for. */
struct recipes_call {
    struct list link;
    struct recipes *recipes;
    uint64_t id;
    bool is_many; /* messages come until the end */
    bool is_answered;
    uint64_t login; /* with which one it was opened */
};

/* ---- what the runner is told -------------------------------------------- */

static void tell_answer(struct recipes_call *call, int code, struct slice text,
                        struct slice message, bool more)
{
    struct recipes *recipes = call->recipes;
    call->is_answered = !more;
    recipes->is_touched = true;
    rpc_client_wake(recipes->client);
    pthread_mutex_lock(&recipes->mutex);
    runner_answered(recipes->runner, call->id, code, text, message, more);
    pthread_mutex_unlock(&recipes->mutex);
}

static void on_call_message(void *context, struct slice message)
{
    struct recipes_call *call = context;
    if (!call->is_answered) {
        tell_answer(call, GRPC_OK, slice_of("", 0), message, call->is_many);
    }
}

static void on_call_end(void *context, int code, struct slice text)
{
    struct recipes_call *call = context;
    if (!call->is_answered) {
        if (code == GRPC_OK && !call->is_many) {
            code = GRPC_INTERNAL;
            text = SLICE("the store's answer has no message");
        } else if (recipes_login_refused(&call->recipes->login, call->login,
                                         code, text)) {
            code = GRPC_UNAVAILABLE;
        }
        tell_answer(call, code, text, slice_of("", 0), false);
    }
    list_remove(&call->link);
    mem_free(call);
}

static void on_watch_message(void *context, struct slice message)
{
    struct recipes *recipes = context;
    recipes->is_touched = true;
    rpc_client_wake(recipes->client);
    recipes_login_watched(&recipes->login, recipes->watch_login, message);
    pthread_mutex_lock(&recipes->mutex);
    runner_watched(recipes->runner, message);
    pthread_mutex_unlock(&recipes->mutex);
}

static void on_watch_end(void *context, int code, struct slice text)
{
    struct recipes *recipes = context;
    (void)recipes_login_refused(&recipes->login, recipes->watch_login, code,
                                text);
    recipes->watch = NULL;
    recipes->is_touched = true;
    rpc_client_wake(recipes->client);
    pthread_mutex_lock(&recipes->mutex);
    runner_watch_ended(recipes->runner, code, text);
    pthread_mutex_unlock(&recipes->mutex);
}

void recipes__on_acted(void *context, uint64_t id,
                       const struct act_answer *answer)
{
    struct recipes *recipes = context;
    recipes->is_touched = true;
    pthread_mutex_lock(&recipes->mutex);
    runner_acted(recipes->runner, id, answer);
    pthread_mutex_unlock(&recipes->mutex);
}

/* ---- the store ---------------------------------------------------------- */

/* user.at NULL: the service itself. */
static void call_as(void *context, uint64_t id, enum runner_method method,
                    struct slice user, struct slice request)
{
    const struct grpc_header headers[] = {
        {SLICE("etched-cause"), SLICE("recipe")},
        {SLICE("etched-owner"), user},
    };
    struct recipes *recipes = context;
    struct recipes_call *own = mem_alloc_zero(sizeof(*own));
    bool is_many = method == RUNNER_HISTORY;
    struct rpc_stream_config config = {
        .path = slice_str(runner_method_path(method)),
        .metadata = headers,
        .metadata_count = user.at != NULL ? 2 : 1,
        .deadline_ms = rpc_client_now_ms() + (is_many ? HISTORY_MS : CALL_MS),
        .on_message = on_call_message,
        .on_end = on_call_end,
        .context = own,
    };
    own->recipes = recipes;
    own->id = id;
    own->is_many = is_many;
    own->login = recipes->login.number;
    list_push_back(&recipes->calls, &own->link);
    struct rpc_stream *stream = rpc_stream_open(recipes->client, &config);
    rpc_stream_send(stream, request, true);
}

static void call(void *context, uint64_t id, enum runner_method method,
                 struct slice request)
{
    call_as(context, id, method, slice_of(NULL, 0), request);
}

static bool may(void *context, struct slice user, enum runner_right right,
                struct slice key, struct slice end)
{
    const struct recipes *recipes = context;
    return recipes->may(recipes->may_context, user, right, key, end);
}

static void watch(void *context, struct slice request)
{
    static const struct grpc_header told = {{"etched-told", 11}, {"cause", 5}};
    struct recipes *recipes = context;
    if (recipes->watch == NULL) {
        struct rpc_stream_config config = {
            .path = SLICE("/etcdserverpb.Watch/Watch"),
            .metadata = &told,
            .metadata_count = 1,
            .on_message = on_watch_message,
            .on_end = on_watch_end,
            .context = recipes,
        };
        recipes->watch = rpc_stream_open(recipes->client, &config);
        recipes->watch_login = recipes->login.number;
    }
    rpc_stream_send(recipes->watch, request, false);
}

void recipes__renew_watch(struct recipes *recipes)
{
    if (recipes->watch != NULL &&
        recipes->watch_login != recipes->login.number) {
        rpc_stream_cancel(recipes->watch);
        on_watch_end(recipes, GRPC_UNAVAILABLE, SLICE("a login anew"));
    }
}

void recipes__drop_calls(struct recipes *recipes)
{
    struct list *node;
    /* Their streams go with the client, untold. */
    while ((node = list_first(&recipes->calls)) != NULL) {
        list_remove(node);
        mem_free(CONTAINER_OF(node, struct recipes_call, link));
    }
    recipes->watch = NULL;
}

/* ---- what the store is -------------------------------------------------- */

static void say_unreachable(struct recipes *recipes, struct slice why)
{
    int64_t now_ms = rpc_client_now_ms();
    if (recipes->said_ms != 0 && now_ms < recipes->said_ms + SAY_AGAIN_MS) {
        return;
    }
    recipes->said_ms = now_ms;
    log_warn("recipes", "the store doesn't answer; trying on",
             LOG_STR("endpoint", rpc_client_endpoint(recipes->client)),
             LOG_SLICE("why", why));
}

/* etcd knows no service of that name; any other answer is from one that
 * does. */
static void on_store_told(void *context, int code, struct slice text)
{
    struct recipes *recipes = context;
    recipes->is_asking = false;
    rpc_client_wake(recipes->client);
    if (code == GRPC_UNAVAILABLE || code == GRPC_DEADLINE_EXCEEDED ||
        code == GRPC_CANCELED) {
        const char *failure = rpc_client_failure(recipes->client);
        say_unreachable(recipes,
                        failure[0] != '\0' ? slice_str(failure) : text);
        recipes->ask_store_ms = rpc_client_now_ms() + ASK_AGAIN_MS;
        return;
    }
    recipes->is_known = true;
    recipes->is_etched = code != GRPC_UNIMPLEMENTED;
}

void recipes__ask_store(struct recipes *recipes, int64_t now_ms)
{
    struct rpc_stream_config config = {
        .path = slice_str(runner_method_path(RUNNER_REVISION_AT)),
        .deadline_ms = now_ms + ASK_MS,
        .on_end = on_store_told,
        .context = recipes,
    };
    CHECK(!recipes->is_known && !recipes->is_asking);
    recipes->is_asking = true;
    recipes->ask_store_ms = INT64_MAX;
    struct rpc_stream *stream = rpc_stream_open(recipes->client, &config);
    rpc_stream_send(stream, slice_of("", 0), true);
}

/* ---- the outside -------------------------------------------------------- */

static void act(void *context, uint64_t id, const struct act *act)
{
    struct recipes *recipes = context;
    if (act->kind == ACT_EXEC) {
        recipes_exec_start(recipes->exec, id, act);
    } else {
        recipes_http_start(recipes->http, id, act);
    }
}

static void respond(void *context, uint64_t id,
                    const struct rest_answer *answer)
{
    struct recipes *recipes = context;
    size_t place = (size_t)(id >> RECIPES_GATE_SHIFT);
    struct recipes_part *part = mem_alloc(sizeof(*part) + answer->body.size);
    CHECK(place > 0 && place <= recipes->gate_count);
    *part = (struct recipes_part){
        .id = id,
        .status = answer->status,
        .more = answer->more,
        .size = answer->body.size,
    };
    (void)snprintf(part->content_type, sizeof(part->content_type), "%s",
                   answer->content_type != NULL ? answer->content_type : "");
    (void)snprintf(part->retry_after, sizeof(part->retry_after), "%s",
                   answer->retry_after != NULL ? answer->retry_after : "");
    (void)snprintf(part->allow, sizeof(part->allow), "%s",
                   answer->allow != NULL ? answer->allow : "");
    if (answer->body.size > 0) {
        memcpy(part->body, answer->body.at, answer->body.size);
    }
    recipes_gate__post(recipes->gates[place - 1], part);
}

/* ---- what is computed here ---------------------------------------------- */

static enum err feed_items(void *context, struct arena *arena,
                           struct slice body, struct value *out)
{
    (void)context;
    return recipes_feed_items(arena, body, out);
}

static enum err seal(void *context, struct slice name, struct slice text,
                     struct buf *out)
{
    const struct recipes *recipes = context;
    return secret_box_seal(recipes->secrets, name, text, out);
}

static enum err unseal(void *context, struct slice name, struct slice sealed,
                       struct buf *out)
{
    const struct recipes *recipes = context;
    return secret_box_unseal(recipes->secrets, name, sealed, out);
}

static void hmac(void *context, struct slice key, struct slice text,
                 unsigned char out[32])
{
    (void)context;
    hmac_sha256(key, text, out);
}

void recipes__fill_doors(struct recipes *recipes, struct runner_doors *doors)
{
    *doors = (struct runner_doors){
        .context = recipes,
        .call = call,
        .call_as = recipes->is_own ? call_as : NULL,
        .may = recipes->may != NULL ? may : NULL,
        .watch = watch,
        .act = act,
        .respond = respond,
        .feed_items = feed_items,
        .seal = seal,
        .unseal = unseal,
        .hmac_sha256 = hmac,
    };
}
