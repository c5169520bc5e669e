#include "runner_world.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/list.h"
#include "proto/pb.h"
#include "recipe/keys.h"
#include "recipe/recipe.h"
#include "runner_history.h"

#define MILLI INT64_C(1000000)
#define SECOND INT64_C(1000000000)
#define WALL_BEGIN (INT64_C(1790000000) * SECOND)

enum { CODE_UNAVAILABLE = 14 };

enum errand_kind {
    CALL_ARRIVES,
    CALL_ANSWERED,
    ASK_ARRIVES, /* on the watch stream */
    TOLD,        /* on it, back */
    STREAM_ENDS,
    ACTED,
    WAKES,
};

struct errand {
    struct heap_node node;
    enum errand_kind kind;
    struct world_client *client;
    unsigned life;
    unsigned stream;
    uint64_t id;
    enum runner_method method;
    bool is_answered; /* its caller was told already */
    bool more;        /* History: another part comes */
    int code;
    struct buf bytes;
    bool is_owners; /* it has an owner's permissions */
    struct buf owner;
    struct act_answer answer;
};

/* ---- time --------------------------------------------------------------- */

int64_t world_wall(const struct world *world)
{
    return WALL_BEGIN + world->mono_ns;
}

static bool by_chance(struct world *world, unsigned of_thousand)
{
    return of_thousand && prng_below(&world->prng, 1000) < of_thousand;
}

static int64_t delay(struct world *world)
{
    return world->faults.delay_ns
               ? prng_between(&world->prng, 1, world->faults.delay_ns)
               : 1;
}

static struct errand *send_errand(struct world_client *client,
                                  enum errand_kind kind, int64_t at_ns)
{
    struct errand *errand = mem_alloc_zero(sizeof *errand);
    errand->kind = kind;
    errand->client = client;
    errand->life = client->life;
    errand->stream = client->stream;
    heap_push(&client->world->queue, &errand->node, at_ns);
    return errand;
}

/* ---- calls -------------------------------------------------------------- */

static void door_call_as(void *context, uint64_t id, enum runner_method method,
                         struct slice user, struct slice request)
{
    struct world_client *client = context;
    struct world *world = client->world;
    struct errand *errand =
        send_errand(client, CALL_ARRIVES, world->mono_ns + delay(world));
    errand->id = id;
    errand->method = method;
    buf_append_slice(&errand->bytes, request);
    errand->is_owners = user.at != NULL;
    buf_append_slice(&errand->owner, user);
    world->calls++;
}

static void door_call(void *context, uint64_t id, enum runner_method method,
                      struct slice request)
{
    door_call_as(context, id, method, slice_of(NULL, 0), request);
}

static bool door_may(void *context, struct slice user, enum runner_right right,
                     struct slice key, struct slice end)
{
    struct world_client *client = context;
    return world_may(&client->world->users, user, right, key, end);
}

static void answer_call(struct errand *call, int code, struct slice bytes)
{
    struct world *world = call->client->world;
    struct errand *errand =
        send_errand(call->client, CALL_ANSWERED, world->mono_ns + delay(world));
    errand->life = call->life;
    errand->id = call->id;
    errand->code = code;
    buf_append_slice(&errand->bytes, bytes);
}

/* All in one part, and then the end. */
static void answer_history(struct errand *call, struct slice part)
{
    struct world *world = call->client->world;
    int64_t at_ns = world->mono_ns + delay(world);
    for (int i = 0; i < 2; i++) {
        struct errand *errand =
            send_errand(call->client, CALL_ANSWERED, at_ns + i);
        errand->life = call->life;
        errand->id = call->id;
        errand->more = i == 0;
        buf_append_slice(&errand->bytes, i == 0 ? part : SLICE(""));
    }
}

static void do_call(struct world *world, const struct errand *call,
                    struct store_reply *reply)
{
    struct memory_store *store = &world->store;
    struct slice request = buf_slice(&call->bytes);
    switch (call->method) {
    case RUNNER_RANGE:
        memory_store_range(store, request, reply);
        break;
    case RUNNER_TXN:
        memory_store_txn(store, request, "recipe", reply);
        break;
    case RUNNER_LEASE_GRANT:
        memory_store_grant(store, request, reply);
        break;
    case RUNNER_LEASE_REVOKE:
        memory_store_revoke(store, request, reply);
        break;
    case RUNNER_LEASE_KEEPALIVE:
        memory_store_keepalive(store, request, reply);
        break;
    case RUNNER_HISTORY:
        memory_store_history(store, request, reply);
        break;
    case RUNNER_REVISION_AT:
        memory_store_revision_at(store, request, reply);
        break;
    default:
        *reply = (struct store_reply){.code = 12, .text = "not here"};
        break;
    }
}

/* A call is lost: its caller hears of it, and it is done never, now, or later
 * than that. */
static void lose_call(struct world *world, struct errand *call)
{
    if (!call->is_answered)
        answer_call(call, CODE_UNAVAILABLE, SLICE(""));
    uint64_t fate = prng_below(&world->prng, 3);
    if (fate == 0)
        return;
    int64_t late_ns =
        fate == 1 ? 1
                  : prng_between(&world->prng, 1, world->faults.late_ns + 1);
    struct errand *again =
        send_errand(call->client, CALL_ARRIVES, world->mono_ns + late_ns);
    again->life = call->life;
    again->id = call->id;
    again->method = call->method;
    again->is_answered = true;
    buf_append_slice(&again->bytes, buf_slice(&call->bytes));
    again->is_owners = call->is_owners;
    buf_append_slice(&again->owner, buf_slice(&call->owner));
}

static void call_arrives(struct world *world, struct errand *call)
{
    bool is_dead = call->life != call->client->life || !call->client->runner;
    if (is_dead && !call->is_answered) {
        /* Its sender was killed while it was under way. */
        call->is_answered = true;
        lose_call(world, call);
        return;
    }
    if (!call->is_answered &&
        (world->faults.is_away || by_chance(world, world->faults.lost))) {
        lose_call(world, call);
        return;
    }
    if (call->is_answered && world->faults.is_away)
        return;
    struct store_reply reply = {.text = "refused"};
    memory_store_tick(&world->store, world_wall(world));
    if (world->refuse)
        reply.code =
            world->refuse(world, call->method, buf_slice(&call->bytes));
    if (reply.code == 0 && call->is_owners && call->method == RUNNER_TXN &&
        !world_may_txn(&world->users, buf_slice(&call->owner),
                       buf_slice(&call->bytes))) {
        reply = (struct store_reply){.code = 7,
                                     .text = "etcdserver: permission denied"};
        world->denied++;
    }
    if (reply.code == 0)
        do_call(world, call, &reply);
    if (!call->is_answered && call->method == RUNNER_HISTORY && !reply.code)
        answer_history(call, buf_slice(&reply.message));
    else if (!call->is_answered)
        answer_call(call, reply.code,
                    reply.code ? slice_str(reply.text)
                               : buf_slice(&reply.message));
    buf_deinit(&reply.message);
}

/* ---- the watch stream --------------------------------------------------- */

static void door_watch(void *context, struct slice request)
{
    struct world_client *client = context;
    struct world *world = client->world;
    if (!client->is_open) {
        client->is_open = true;
        client->has_stream = true;
        client->stream++;
    }
    int64_t at_ns = world->mono_ns + delay(world);
    if (at_ns <= client->asked_last_ns)
        at_ns = client->asked_last_ns + 1;
    client->asked_last_ns = at_ns;
    struct errand *errand = send_errand(client, ASK_ARRIVES, at_ns);
    buf_append_slice(&errand->bytes, request);
}

static void drop_watch(struct world_client *client, size_t index)
{
    buf_deinit(&client->watches[index].key);
    buf_deinit(&client->watches[index].end);
    client->watches[index] = client->watches[--client->watch_count];
}

static void drop_stream(struct world_client *client)
{
    while (client->watch_count)
        drop_watch(client, 0);
    client->has_stream = false;
}

static void tell(struct world_client *client, struct slice response)
{
    struct world *world = client->world;
    int64_t at_ns = world->mono_ns + delay(world);
    if (at_ns <= client->stream_last_ns)
        at_ns = client->stream_last_ns + 1;
    client->stream_last_ns = at_ns;
    bool breaks =
        world->faults.is_away || by_chance(world, world->faults.broken);
    struct errand *errand =
        send_errand(client, breaks ? STREAM_ENDS : TOLD, at_ns);
    if (breaks)
        drop_stream(client);
    else
        buf_append_slice(&errand->bytes, response);
}

static void put_header(struct buf *out, int64_t revision)
{
    struct buf header = {0};
    pb_put_i64(&header, 3, revision);
    pb_put_bytes_always(out, 1, buf_slice(&header));
    buf_deinit(&header);
}

static void put_kv(struct buf *out, uint32_t number, struct slice key,
                   const struct store_version *version)
{
    struct buf kv = {0};
    pb_put_bytes(&kv, 1, key);
    pb_put_i64(&kv, 2, version->create_revision);
    pb_put_i64(&kv, 3, version->mod_revision);
    pb_put_i64(&kv, 4, version->version);
    pb_put_bytes(&kv, 5, version->value);
    pb_put_bytes_always(out, number, buf_slice(&kv));
    buf_deinit(&kv);
}

static void put_event(const struct world *world, struct buf *out,
                      const struct store_event *event, bool wants_prev)
{
    struct buf bytes = {0};
    pb_put_u64(&bytes, 1, event->kv.version == 0);
    put_kv(&bytes, 2, event->key->key, &event->kv);
    if (wants_prev && event->prev.version &&
        event->prev.mod_revision >= world->store.compacted)
        put_kv(&bytes, 3, event->key->key, &event->prev);
    if (world->is_etched) {
        pb_put_bytes(&bytes, 100, slice_str(event->cause));
        pb_put_i64(&bytes, 101, event->time_ns);
    }
    pb_put_bytes_always(out, 11, buf_slice(&bytes));
    buf_deinit(&bytes);
}

/* Some of the events that a watch has to be told; false: all have been. */
static bool tell_some(struct world_client *client, struct world_watch *watch)
{
    struct world *world = client->world;
    const struct memory_store *store = &world->store;
    struct buf events = {0};
    size_t count = 0;
    int64_t last = 0;
    bool is_fragment = false;
    for (; watch->next < store->event_count; watch->next++) {
        const struct store_event *event = &store->events[watch->next];
        if (!memory_store_in_range(event->key->key, buf_slice(&watch->key),
                                   buf_slice(&watch->end)))
            continue;
        /* Of the compacted revision itself the tombstones are gone. */
        if (event->revision <= store->compacted && event->kv.version == 0)
            continue;
        /* Between revisions a response may end, within one it is a fragment. */
        if (count && event->revision != last &&
            prng_below(&world->prng, 8) == 0)
            break;
        if (count && event->revision == last &&
            by_chance(world, world->faults.fragments)) {
            is_fragment = true;
            break;
        }
        put_event(world, &events, event, watch->wants_prev);
        last = event->revision;
        count++;
    }
    if (count) {
        struct buf response = {0};
        put_header(&response, store->revision);
        pb_put_i64(&response, 2, watch->id);
        pb_put_bool(&response, 7, is_fragment);
        buf_append_slice(&response, buf_slice(&events));
        tell(client, buf_slice(&response));
        buf_deinit(&response);
    }
    buf_deinit(&events);
    return count && client->has_stream && watch->next < store->event_count;
}

static void tell_canceled(struct world_client *client, int64_t id,
                          int64_t compacted)
{
    struct buf response = {0};
    put_header(&response, 0);
    pb_put_i64(&response, 2, id);
    pb_put_bool(&response, 4, true);
    pb_put_i64(&response, 5, compacted);
    tell(client, buf_slice(&response));
    buf_deinit(&response);
}

/* What it has to be told next is gone. */
static bool is_behind(const struct memory_store *store,
                      const struct world_watch *watch)
{
    return watch->next < store->event_count &&
           store->events[watch->next].revision < store->compacted;
}

static void pump(struct world_client *client)
{
    const struct memory_store *store = &client->world->store;
    for (size_t i = 0; i < client->watch_count;) {
        if (is_behind(store, &client->watches[i])) {
            int64_t id = client->watches[i].id;
            drop_watch(client, i);
            tell_canceled(client, id, store->compacted);
            continue;
        }
        while (i < client->watch_count &&
               tell_some(client, &client->watches[i]))
            ;
        i++;
    }
}

static void tell_created(struct world_client *client, int64_t id)
{
    struct buf response = {0};
    put_header(&response, client->world->store.revision);
    pb_put_i64(&response, 2, id);
    pb_put_bool(&response, 3, true);
    tell(client, buf_slice(&response));
    buf_deinit(&response);
}

static void create_watch(struct world_client *client,
                         const Etcdserverpb__WatchCreateRequest *request)
{
    struct world *world = client->world;
    struct memory_store *store = &world->store;
    tell_created(client, request->watch_id);
    if (!client->has_stream)
        return;
    CHECK(request->prev_kv || request->start_revision > 0);
    if (request->start_revision < store->compacted) {
        tell_canceled(client, request->watch_id, store->compacted);
        return;
    }
    client->watches = mem_realloc(client->watches, (client->watch_count + 1) *
                                                       sizeof *client->watches);
    struct world_watch *watch = &client->watches[client->watch_count++];
    *watch = (struct world_watch){
        .id = request->watch_id,
        .next = memory_store_event_at(store, request->start_revision),
        .wants_prev = request->prev_kv,
    };
    struct slice key = message_bytes(request->key);
    struct slice end = message_bytes(request->range_end);
    buf_append_slice(&watch->key, key);
    buf_append_slice(&watch->end, end);
}

static void ask_arrives(struct world *world, struct errand *errand)
{
    struct world_client *client = errand->client;
    if (errand->stream != client->stream || !client->has_stream)
        return;
    struct arena arena;
    ProtobufCMessage *message;
    arena_init(&arena, 0);
    enum err err = message_decode(&etcdserverpb__watch_request__descriptor,
                                  buf_slice(&errand->bytes), &arena, &message);
    CHECK_EQ(err, ERR_OK);
    const Etcdserverpb__WatchRequest *request =
        (const Etcdserverpb__WatchRequest *)message;
    switch (request->request_union_case) {
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST:
        create_watch(client, request->create_request);
        break;
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CANCEL_REQUEST:
        for (size_t i = 0; i < client->watch_count; i++)
            if (client->watches[i].id == request->cancel_request->watch_id) {
                drop_watch(client, i);
                break;
            }
        break;
    default:
        CHECK(world->is_etched);
        pump(client);
        if (client->has_stream) {
            struct buf response = {0};
            put_header(&response, world->store.revision);
            pb_put_i64(&response, 2, -1);
            tell(client, buf_slice(&response));
            buf_deinit(&response);
        }
        break;
    }
    arena_deinit(&arena);
}

/* ---- other doors -------------------------------------------------------- */

static struct slice keep(struct slice bytes)
{
    return slice_of(
        mem_dup(bytes.size ? bytes.at : "", bytes.size + !bytes.size),
        bytes.size);
}

static void door_act(void *context, uint64_t id, const struct act *act)
{
    struct world_client *client = context;
    struct world *world = client->world;
    struct act_answer answer = {.was_sent = true,
                                .status = act->kind == ACT_EXEC ? 0 : 200,
                                .error = SLICE(""),
                                .headers = SLICE("{}"),
                                .body = SLICE("")};
    buf_append_slice(&world->acted, act->method);
    buf_append_char(&world->acted, ' ');
    buf_append_slice(&world->acted, act->url);
    buf_append_char(&world->acted, ' ');
    buf_append_slice(&world->acted, act->body);
    buf_append_char(&world->acted, '\n');
    if (world->act && !world->act(world, act, &answer))
        return;
    struct errand *errand =
        send_errand(client, ACTED, world->mono_ns + 1 + world->act_ns);
    errand->id = id;
    errand->answer = answer;
    errand->answer.error = keep(answer.error);
    errand->answer.headers = keep(answer.headers);
    errand->answer.body = keep(answer.body);
}

static void door_respond(void *context, uint64_t id,
                         const struct rest_answer *answer)
{
    struct world_client *client = context;
    struct world *world = client->world;
    world->rests = mem_realloc(world->rests,
                               (world->rest_count + 1) * sizeof *world->rests);
    struct world_rest *rest = &world->rests[world->rest_count++];
    *rest = (struct world_rest){.id = id, .status = answer->status};
    (void)snprintf(rest->allow, sizeof rest->allow, "%s",
                   answer->allow ? answer->allow : "");
    buf_append_slice(&rest->body, answer->body);
}

static enum err door_feed_items(void *context, struct arena *arena,
                                struct slice body, struct value *out)
{
    struct world_client *client = context;
    if (client->world->feed_items)
        return client->world->feed_items(client->world, arena, body, out);
    *out = value_from_text(arena, body);
    return ERR_OK;
}

/* A seal that anybody can break: the text behind its name. */
static enum err door_seal(void *context, struct slice name, struct slice text,
                          struct buf *out)
{
    (void)context;
    buf_append_slice(out, name);
    buf_append_char(out, ':');
    buf_append_slice(out, text);
    return ERR_OK;
}

static enum err door_unseal(void *context, struct slice name,
                            struct slice sealed, struct buf *out)
{
    (void)context;
    if (!slice_has_prefix(sealed, name) || sealed.size <= name.size)
        return err_set(ERR_CORRUPT, "sealed for another name");
    buf_append(out, sealed.at + name.size + 1, sealed.size - name.size - 1);
    return ERR_OK;
}

static void door_hmac(void *context, struct slice key, struct slice text,
                      unsigned char out[32])
{
    (void)context;
    memset(out, 0, 32);
    put_le64(out, slice_hash(text, slice_hash(key, 1)));
}

/* ---- the world goes round ------------------------------------------------ */

static void run_client(struct world_client *client)
{
    struct world *world = client->world;
    if (!client->runner)
        return;
    struct runner_now now = {.mono_ns = world->mono_ns,
                             .wall_ns = world_wall(world)};
    int64_t next_ns = runner_run(client->runner, now);
    if (runner_is_stopped(client->runner)) {
        world_kill(world, (int)(client - world->clients));
        return;
    }
    if (next_ns <= world->mono_ns)
        next_ns = world->mono_ns + 1;
    if (next_ns == INT64_MAX || next_ns >= client->wake_ns)
        return;
    client->wake_ns = next_ns;
    send_errand(client, WAKES, next_ns);
}

static void deliver(struct errand *errand)
{
    struct world_client *client = errand->client;
    if (errand->life != client->life || !client->runner)
        return;
    switch (errand->kind) {
    case CALL_ANSWERED:
        runner_answered(client->runner, errand->id, errand->code,
                        errand->code ? buf_slice(&errand->bytes) : SLICE(""),
                        errand->code ? SLICE("") : buf_slice(&errand->bytes),
                        errand->more);
        break;
    case TOLD:
        if (errand->stream == client->stream)
            runner_watched(client->runner, buf_slice(&errand->bytes));
        break;
    case STREAM_ENDS:
        if (errand->stream != client->stream || !client->is_open)
            break;
        client->is_open = false;
        runner_watch_ended(client->runner, CODE_UNAVAILABLE,
                           SLICE("the stream broke"));
        break;
    case ACTED:
        runner_acted(client->runner, errand->id, &errand->answer);
        break;
    case WAKES:
        client->wake_ns = INT64_MAX;
        break;
    default:
        UNREACHABLE();
    }
    run_client(client);
}

static void free_errand(struct errand *errand)
{
    buf_deinit(&errand->bytes);
    buf_deinit(&errand->owner);
    mem_free((char *)(uintptr_t)errand->answer.error.at);
    mem_free((char *)(uintptr_t)errand->answer.headers.at);
    mem_free((char *)(uintptr_t)errand->answer.body.at);
    mem_free(errand);
}

static void step(struct world *world)
{
    struct heap_node *top = heap_top(&world->queue);
    heap_remove(&world->queue, top);
    struct errand *errand = CONTAINER_OF(top, struct errand, node);
    CHECK_LE(world->mono_ns, top->key);
    world->mono_ns = top->key;
    memory_store_tick(&world->store, world_wall(world));
    if (errand->kind == CALL_ARRIVES)
        call_arrives(world, errand);
    else if (errand->kind == ASK_ARRIVES)
        ask_arrives(world, errand);
    else
        deliver(errand);
    free_errand(errand);
    for (int i = 0; i < WORLD_RUNNERS_MAX; i++)
        pump(&world->clients[i]);
}

static void end_leases(struct world *world)
{
    memory_store_tick(&world->store, world_wall(world));
    for (int i = 0; i < WORLD_RUNNERS_MAX; i++)
        pump(&world->clients[i]);
}

void world_run(struct world *world, int64_t ns)
{
    int64_t end_ns = world->mono_ns + ns;
    for (int i = 0; i < WORLD_RUNNERS_MAX; i++)
        pump(&world->clients[i]);
    for (;;) {
        const struct heap_node *top = heap_top(&world->queue);
        if (!top || top->key > end_ns)
            break;
        step(world);
    }
    world->mono_ns = end_ns;
    end_leases(world);
}

bool world_run_until(struct world *world, bool (*is_so)(struct world *world),
                     int64_t most_ns)
{
    int64_t end_ns = world->mono_ns + most_ns;
    while (!is_so(world)) {
        if (world->mono_ns >= end_ns)
            return false;
        world_run(world, 20 * MILLI);
    }
    return true;
}

/* ---- runners ------------------------------------------------------------ */

void world_start(struct world *world, int index)
{
    struct world_client *client = &world->clients[index];
    CHECK(client->runner == NULL);
    client->world = world;
    client->life++;
    client->wake_ns = INT64_MAX;
    struct runner_config config = {
        .doors = {.context = client,
                  .call = door_call,
                  .call_as = door_call_as,
                  .may = door_may,
                  .watch = door_watch,
                  .act = door_act,
                  .respond = door_respond,
                  .feed_items = door_feed_items,
                  .seal = door_seal,
                  .unseal = door_unseal,
                  .hmac_sha256 = door_hmac},
        .zones = world_zones(),
        .seed = prng_next(&world->prng),
        .name = "worker",
        .exec_allowed = true,
        .is_etched = world->is_etched,
        .lease_ns = world->lease_ns,
        .lazy_ns = world->lazy_ns,
    };
    client->runner = runner_new(&config);
    run_client(client);
}

void world_kill(struct world *world, int index)
{
    struct world_client *client = &world->clients[index];
    if (!client->runner)
        return;
    runner_free(client->runner);
    client->runner = NULL;
    client->life++;
    client->is_open = false;
    drop_stream(client);
}

void world_stop(struct world *world, int index)
{
    struct world_client *client = &world->clients[index];
    runner_stop(client->runner);
    run_client(client);
}

/* ---- a client's view ---------------------------------------------------- */

int64_t world_put(struct world *world, const char *key, const char *value)
{
    memory_store_tick(&world->store, world_wall(world));
    return memory_store_put(&world->store, slice_str(key), slice_str(value), 0);
}

int64_t world_delete(struct world *world, const char *key)
{
    memory_store_tick(&world->store, world_wall(world));
    return memory_store_delete(&world->store, slice_str(key));
}

struct slice world_get(const struct world *world, const char *key)
{
    const struct store_version *version =
        memory_store_get(&world->store, slice_str(key), 0);
    return version ? version->value : SLICE("");
}

size_t world_count(const struct world *world, const char *prefix)
{
    size_t count = 0;
    for (size_t i = 0; i < world->store.key_count; i++) {
        struct slice key = world->store.keys[i]->key;
        if (slice_has_prefix(key, slice_str(prefix)) &&
            memory_store_get(&world->store, key, 0))
            count++;
    }
    return count;
}

size_t world_puts(const struct world *world, const char *key)
{
    size_t count = 0;
    for (size_t i = 0; i < world->store.event_count; i++) {
        const struct store_event *event = &world->store.events[i];
        if (event->kv.version && slice_eq(event->key->key, slice_str(key)))
            count++;
    }
    return count;
}

void world_define(struct world *world, const char *yaml)
{
    struct recipe *recipe = NULL;
    struct recipe_fault fault;
    struct buf text = {0};
    buf_append_str(&text, "# YAML\n");
    buf_append_str(&text, yaml);
    enum err err =
        recipe_parse(buf_slice(&text), world_zones(), &recipe, &fault);
    buf_deinit(&text);
    if (err)
        fprintf(stderr, "%d:%d %s: %s\n", fault.line, fault.column, fault.path,
                fault.text);
    CHECK_EQ(err, ERR_OK);
    struct buf key = {0};
    recipe_key_write(&key, RECIPE_KEY_DEF, recipe->name, NULL);
    memory_store_tick(&world->store, world_wall(world));
    memory_store_put(&world->store, buf_slice(&key), recipe->json, 0);
    buf_deinit(&key);
    recipe_free(recipe);
}

void world_undefine(struct world *world, const char *name)
{
    struct buf key = {0};
    recipe_key_write(&key, RECIPE_KEY_DEF, slice_str(name), NULL);
    memory_store_delete(&world->store, buf_slice(&key));
    buf_deinit(&key);
}

static enum err no_zone(const struct zones *zones, struct slice name,
                        struct slice *tzif)
{
    (void)zones;
    (void)tzif;
    return err_set(ERR_NOT_FOUND, "no zone \"%.*s\"", (int)name.size, name.at);
}

const struct zones *world_zones(void)
{
    static const struct zones zones = {.find = no_zone};
    return &zones;
}

/* ---- life --------------------------------------------------------------- */

void world_init(struct world *world, uint64_t seed)
{
    *world = (struct world){.is_etched = true,
                            .lease_ns = 5 * SECOND,
                            .lazy_ns = 60 * SECOND,
                            .faults.delay_ns = 2 * MILLI};
    prng_init(&world->prng, seed);
    heap_init(&world->queue);
    memory_store_init(&world->store);
    memory_store_tick(&world->store, world_wall(world));
    for (int i = 0; i < WORLD_RUNNERS_MAX; i++)
        world->clients[i].world = world;
}

void world_deinit(struct world *world)
{
    for (int i = 0; i < WORLD_RUNNERS_MAX; i++) {
        world_kill(world, i);
        mem_free(world->clients[i].watches);
    }
    for (struct heap_node *top; (top = heap_top(&world->queue));) {
        heap_remove(&world->queue, top);
        free_errand(CONTAINER_OF(top, struct errand, node));
    }
    heap_deinit(&world->queue);
    for (size_t i = 0; i < world->rest_count; i++)
        buf_deinit(&world->rests[i].body);
    mem_free(world->rests);
    buf_deinit(&world->acted);
    memory_store_deinit(&world->store);
}
