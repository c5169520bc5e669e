/* elect: stands for an election until a signal comes, or watches one. */
#include "cmd/etchctl/v3_hold.h"
#include "cmd/etchctl/v3_keys.h"
#include "cmd/etchctl/v3_print.h"

static const struct pflag_spec flags[] = {
    {"listen", 'l', PFLAG_BOOL, NULL, "only show who leads"},
    {0},
};

/* ---- candidates --------------------------------------------------------- */

static int fail_wait(struct v3 *v3, enum v3_wait wait)
{
    if (wait == V3_WAIT_STOPPED)
        return v3_fail(v3, V3_ERROR, "context canceled");
    if (wait == V3_WAIT_EXPIRED)
        return v3_fail(v3, V3_ERROR, "elect: session expired");
    return v3_fail(v3, V3_ERROR, "%s", v3->failure);
}

static int lead(struct v3_hold *hold)
{
    struct v3 *v3 = hold->v3;
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    struct v3_result result = {0};
    enum v3_wait wait;
    int code;

    request.key = v3_text(hold->key);
    result.message = v3_hold_range(hold, &request);
    if (!result.message)
        return v3_fail(v3, V3_ERROR, "%s", v3->failure);
    code = v3_print(v3, &result);
    if (code != V3_DONE)
        return code;
    wait = v3_hold_wait(hold, -1);
    if (wait != V3_WAIT_STOPPED)
        return fail_wait(v3, wait);
    return v3_hold_leave(hold) ? V3_DONE
                               : v3_fail(v3, V3_ERROR, "%s", v3->failure);
}

static int campaign(struct v3 *v3)
{
    struct v3_hold hold;
    enum v3_wait wait;
    int code = v3_hold_open(&hold, v3, v3_word(v3, 0), V3_HOLD_TTL);

    if (code != V3_DONE)
        return code;
    wait = v3_hold_enter(&hold, v3_word(v3, 1)) ? v3_hold_wait_turn(&hold)
                                                : V3_WAIT_FAILED;
    code = wait == V3_WAIT_DONE ? lead(&hold) : fail_wait(v3, wait);
    v3_hold_close(&hold);
    return code;
}

/* ---- observers ---------------------------------------------------------- */

struct observer {
    struct v3_hold hold;
    bool waits_for_put; /* nobody leads; else for the leader's end */
    bool is_done;
    int code;
};

static void print_leader(struct observer *observer,
                         const Etcdserverpb__ResponseHeader *header,
                         const Mvccpb__KeyValue *kv)
{
    Etcdserverpb__RangeResponse answer = ETCDSERVERPB__RANGE_RESPONSE__INIT;
    struct v3_result result = {.message = &answer};
    Etcdserverpb__ResponseHeader own_header;
    Mvccpb__KeyValue own_kv = *kv;
    Mvccpb__KeyValue *kvs[] = {&own_kv};

    if (header) {
        own_header = *header;
        answer.header = &own_header;
    }
    answer.kvs = kvs;
    answer.n_kvs = 1;
    observer->code = v3_print(observer->hold.v3, &result);
}

static void on_answer(void *context, const Etcdserverpb__WatchResponse *answer)
{
    struct observer *observer = context;

    for (size_t i = 0; i < answer->n_events && !observer->is_done; i++) {
        const Mvccpb__Event *event = answer->events[i];
        bool is_put = event->type == MVCCPB__EVENT__EVENT_TYPE__PUT;
        if (observer->waits_for_put)
            observer->is_done = is_put;
        else if (!is_put)
            observer->is_done = true;
        else if (event->kv)
            print_leader(observer, answer->header, event->kv);
        if (observer->code != V3_DONE)
            observer->is_done = true;
    }
    if (observer->is_done)
        rpc_client_wake(observer->hold.v3->client);
}

/* From one leader, or from none, to the next. */
static enum v3_wait observe_once(struct observer *observer)
{
    struct v3_hold *hold = &observer->hold;
    Etcdserverpb__RangeRequest request;
    const Etcdserverpb__RangeResponse *answer;
    struct v3_watcher watcher = {
        .request = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT,
        .on_answer = on_answer,
        .context = observer,
    };

    v3_hold_first(hold, &request);
    answer = v3_hold_range(hold, &request);
    if (!answer)
        return V3_WAIT_FAILED;
    observer->is_done = false;
    observer->waits_for_put = answer->n_kvs == 0;
    watcher.request.key = request.key;
    if (observer->waits_for_put) {
        watcher.request.range_end = request.range_end;
    } else {
        print_leader(observer, answer->header, answer->kvs[0]);
        watcher.request.key = answer->kvs[0]->key;
    }
    watcher.request.start_revision =
        answer->header ? answer->header->revision + 1 : 0;
    return observer->code == V3_DONE
               ? v3_hold_watch(hold, &watcher, &observer->is_done)
               : V3_WAIT_DONE;
}

static int observe(struct v3 *v3)
{
    struct observer observer = {.code = V3_DONE};
    enum v3_wait wait = V3_WAIT_DONE;
    int code = v3_hold_open(&observer.hold, v3, v3_word(v3, 0), V3_HOLD_TTL);

    if (code != V3_DONE)
        return code;
    while (wait == V3_WAIT_DONE && observer.code == V3_DONE)
        wait = observe_once(&observer);
    /* A signal may have come while we asked. */
    if (wait == V3_WAIT_FAILED && strcmp(v3->failure, "context canceled") == 0)
        wait = V3_WAIT_STOPPED;
    if (observer.code != V3_DONE)
        code = observer.code;
    else if (wait != V3_WAIT_STOPPED)
        code = v3_fail(v3, V3_ERROR, "elect: observer lost");
    v3_hold_close(&observer.hold);
    return code;
}

/* ---- the command -------------------------------------------------------- */

static int run(struct v3 *v3)
{
    bool is_listen = pflags_bool(&v3->flags, "listen");
    size_t count = v3->words.count;

    if (count != 1 && count != 2)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "elect takes one election name argument and an optional "
                       "proposal argument");
    if (count == 1 && !is_listen)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "no proposal argument but -l not set");
    if (count == 2 && is_listen)
        return v3_fail(v3, V3_BAD_ARGUMENTS, "proposal given but -l is set");
    return is_listen ? observe(v3) : campaign(v3);
}

const struct v3_command v3_command_elect = {
    .name = "elect",
    .arguments = "[flags] <election-name> [proposal]",
    .summary = "stands for an election, or watches one",
    .flags = flags,
    .run = run,
};
