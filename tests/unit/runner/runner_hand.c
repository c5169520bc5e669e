#include "runner_hand.h"

#include <stdio.h>

#include "proto/message.h"
#include "runner_world.h"

/* ---- doors -------------------------------------------------------------- */

static void door_call(void *context, uint64_t id, enum runner_method method,
                      struct slice request)
{
    struct hand *hand = context;
    hand->calls =
        mem_realloc(hand->calls, (hand->call_count + 1) * sizeof *hand->calls);
    struct hand_call *call = &hand->calls[hand->call_count++];
    *call = (struct hand_call){.id = id, .method = method};
    buf_append_slice(&call->request, request);
}

static void copy_text(char *to, size_t capacity, struct slice from)
{
    snprintf(to, capacity, "%.*s", (int)from.size, from.at);
}

static void door_watch(void *context, struct slice bytes)
{
    struct hand *hand = context;
    struct arena arena;
    ProtobufCMessage *message;
    arena_init(&arena, 0);
    enum err err = message_decode(&etcdserverpb__watch_request__descriptor,
                                  bytes, &arena, &message);
    CHECK_EQ(err, ERR_OK);
    const Etcdserverpb__WatchRequest *request =
        (const Etcdserverpb__WatchRequest *)message;
    hand->asks =
        mem_realloc(hand->asks, (hand->ask_count + 1) * sizeof *hand->asks);
    struct hand_ask *ask = &hand->asks[hand->ask_count++];
    *ask = (struct hand_ask){.kind = HAND_PROGRESS};
    if (request->request_union_case ==
        ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST) {
        const Etcdserverpb__WatchCreateRequest *create =
            request->create_request;
        ask->kind = HAND_CREATE;
        ask->id = create->watch_id;
        ask->start = create->start_revision;
        ask->wants_prev = create->prev_kv;
        ask->wants_progress = create->progress_notify;
        ask->may_fragment = create->fragment;
        copy_text(ask->key, sizeof ask->key, message_bytes(create->key));
        copy_text(ask->end, sizeof ask->end, message_bytes(create->range_end));
    } else if (request->request_union_case ==
               ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CANCEL_REQUEST) {
        ask->kind = HAND_CANCEL;
        ask->id = request->cancel_request->watch_id;
    }
    arena_deinit(&arena);
}

static void door_act(void *context, uint64_t id, const struct act *act)
{
    struct hand *hand = context;
    (void)act;
    hand->last_act = id;
    hand->acts++;
}

static void door_respond(void *context, uint64_t id,
                         const struct rest_answer *answer)
{
    (void)context;
    (void)id;
    (void)answer;
}

/* ---- life --------------------------------------------------------------- */

struct hand *hand_new(bool is_etched)
{
    struct hand *hand = mem_alloc_zero(sizeof *hand);
    struct runner_config config = {
        .doors = {.context = hand,
                  .call = door_call,
                  .watch = door_watch,
                  .act = door_act,
                  .respond = door_respond},
        .zones = world_zones(),
        .seed = 7,
        .name = "by \"hand\"",
        .is_etched = is_etched,
        .lease_ns = 10 * SECOND_NS,
        .lazy_ns = 60 * SECOND_NS,
    };
    hand->now.mono_ns = SECOND_NS;
    hand->now.wall_ns = INT64_C(1790000000) * SECOND_NS;
    hand->runner = runner_new(&config);
    hand_run(hand, 0);
    return hand;
}

void hand_free(struct hand *hand)
{
    runner_free(hand->runner);
    for (size_t i = 0; i < hand->call_count; i++)
        buf_deinit(&hand->calls[i].request);
    mem_free(hand->calls);
    mem_free(hand->asks);
    mem_free(hand);
}

int64_t hand_run(struct hand *hand, int64_t ns)
{
    hand->now.mono_ns += ns;
    hand->now.wall_ns += ns;
    return runner_run(hand->runner, hand->now);
}

/* ---- calls -------------------------------------------------------------- */

static bool is_wanted(const struct hand_call *call, enum runner_method method,
                      const char *text)
{
    return !call->is_answered && call->method == method &&
           (!*text ||
            memmem(call->request.at, call->request.size, text, strlen(text)));
}

struct hand_call *hand_find(struct hand *hand, enum runner_method method,
                            const char *text)
{
    for (size_t i = 0; i < hand->call_count; i++)
        if (is_wanted(&hand->calls[i], method, text))
            return &hand->calls[i];
    return NULL;
}

size_t hand_count(const struct hand *hand, enum runner_method method,
                  const char *text)
{
    size_t count = 0;
    for (size_t i = 0; i < hand->call_count; i++)
        count += is_wanted(&hand->calls[i], method, text);
    return count;
}

static void end_call(struct hand *hand, struct hand_call *call, int code,
                     struct slice message)
{
    CHECK(call != NULL && !call->is_answered);
    call->is_answered = true;
    /* It may make other calls, and `call` may move. */
    runner_answered(hand->runner, call->id, code,
                    code ? SLICE("refused") : SLICE(""), message, false);
    hand_run(hand, 0);
}

void hand_answer(struct hand *hand, struct hand_call *call,
                 const struct buf *message)
{
    end_call(hand, call, 0, buf_slice(message));
}

void hand_refuse(struct hand *hand, struct hand_call *call, int code)
{
    end_call(hand, call, code, SLICE(""));
}

void hand_answer_txn(struct hand *hand, struct hand_call *call, bool succeeded,
                     int64_t revision)
{
    struct buf message = {0};
    hand_header(&message, revision);
    pb_put_bool(&message, 2, succeeded);
    hand_answer(hand, call, &message);
    buf_deinit(&message);
}

void hand_answer_defs(struct hand *hand, int64_t revision)
{
    static const char *const kinds[] = {"/_recipes/def/", "/_recipes/status/",
                                        "/_recipes/owner/",
                                        "/_recipes/worker/"};
    struct buf message = {0};
    hand_header(&message, revision);
    for (size_t i = 0; i < 4; i++) {
        struct hand_call *call = hand_find(hand, RUNNER_RANGE, kinds[i]);
        if (call)
            hand_answer(hand, call, &message);
    }
    buf_deinit(&message);
}

void hand_grant(struct hand *hand, int64_t lease, int64_t ttl_s,
                int64_t revision)
{
    struct buf message = {0};
    hand_header(&message, revision);
    pb_put_i64(&message, 2, lease);
    pb_put_i64(&message, 3, ttl_s);
    hand_answer(hand, hand_find(hand, RUNNER_LEASE_GRANT, ""), &message);
    buf_deinit(&message);
    hand_answer_txn(hand, hand_find(hand, RUNNER_TXN, "/_recipes/worker/"),
                    true, revision);
}

/* ---- messages ------------------------------------------------------------ */

void hand_header(struct buf *out, int64_t revision)
{
    struct buf header = {0};
    pb_put_i64(&header, 3, revision);
    pb_put_bytes_always(out, 1, buf_slice(&header));
    buf_deinit(&header);
}

void hand_kv(struct buf *out, uint32_t number, const struct hand_kv *kv)
{
    size_t mark = store__nest(out, number);
    pb_put_bytes(out, 1, slice_str(kv->key));
    pb_put_i64(out, 2, kv->create);
    pb_put_i64(out, 3, kv->mod);
    pb_put_i64(out, 4, kv->version);
    pb_put_bytes(out, 5, slice_str(kv->value ? kv->value : ""));
    store__unnest(out, mark);
}

static void tell(struct hand *hand, struct buf *response)
{
    runner_watched(hand->runner, buf_slice(response));
    buf_deinit(response);
    hand_run(hand, 0);
}

void hand_tell_created(struct hand *hand, int64_t id)
{
    struct buf response = {0};
    hand_header(&response, 1);
    pb_put_i64(&response, 2, id);
    pb_put_bool(&response, 3, true);
    tell(hand, &response);
}

void hand_tell(struct hand *hand, int64_t id, const struct hand_kv *kvs,
               size_t count, bool is_fragment)
{
    struct buf response = {0};
    hand_header(&response, count ? kvs[count - 1].mod : 1);
    pb_put_i64(&response, 2, id);
    pb_put_bool(&response, 7, is_fragment);
    for (size_t i = 0; i < count; i++) {
        size_t mark = store__nest(&response, 11);
        pb_put_u64(&response, 1, kvs[i].value == NULL);
        hand_kv(&response, 2, &kvs[i]);
        store__unnest(&response, mark);
    }
    tell(hand, &response);
}

void hand_tell_canceled(struct hand *hand, int64_t id, int64_t compacted)
{
    struct buf response = {0};
    hand_header(&response, 0);
    pb_put_i64(&response, 2, id);
    pb_put_bool(&response, 4, true);
    pb_put_i64(&response, 5, compacted);
    pb_put_bytes(&response, 6, SLICE("it was so"));
    tell(hand, &response);
}

void hand_tell_progress(struct hand *hand, int64_t id, int64_t revision)
{
    struct buf response = {0};
    hand_header(&response, revision);
    pb_put_i64(&response, 2, id);
    tell(hand, &response);
}

int64_t hand_watch_of(const struct hand *hand, const char *key)
{
    for (size_t i = hand->ask_count; i-- > 0;)
        if (hand->asks[i].kind == HAND_CREATE &&
            strcmp(hand->asks[i].key, key) == 0)
            return hand->asks[i].id;
    return 0;
}

const struct hand_ask *hand_last_ask(const struct hand *hand)
{
    CHECK_LT(0, hand->ask_count);
    return &hand->asks[hand->ask_count - 1];
}
