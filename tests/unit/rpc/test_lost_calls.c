/* Calls that end while their work is elsewhere: with the node, on its way
 * back, with a worker. The client cancels, its time is over, its connection
 * breaks, the server stops. What was asked is done all the same; the answer
 * finds nobody, and nothing is left.
 *
 *   open_call --> rpc --> node: held in its queue, or --> answers: held
 *   lose          rpc: no call                            release: thrown away
 */
#include "grpc_world.h"

#include <stdio.h>

#include "node/node_int.h"
#include "proto/lock.pb-c.h"
#include "proto/rpc.pb-c.h"

enum {
    HOLDER = 77, /* the lease that has the lock; it lives on */
    WAITER = 78, /* the lease of who waits for it */
    TTL_S = 100000,
    WORKS_MAX = 16,
    FILE_BYTES = 3000000,
    TIMEOUT_MS = 300,
};

static struct grpc_world *world;
static struct line *line;
static uint64_t learner;
static char name[32]; /* of this round's key, and of its URL */
static int round_number;

/* ---- the host's works ------------------------------------------------ */

static struct work *works[WORKS_MAX];
static size_t work_count;
static int files_open;

static void hold_work(void *context, struct work *work)
{
    (void)context;
    assert_true(work_count < WORKS_MAX);
    works[work_count++] = work;
}

static enum err open_file(void *context, struct rpc_snapshot *out)
{
    (void)context;
    *out = (struct rpc_snapshot){.fd = -1, .bytes = FILE_BYTES};
    files_open++;
    return ERR_OK;
}

static enum err read_file(void *context, struct rpc_snapshot *file, char *out,
                          size_t size, size_t *got)
{
    (void)context;
    (void)file;
    memset(out, 's', size);
    *got = size;
    return ERR_OK;
}

static void close_file(void *context, struct rpc_snapshot *file)
{
    (void)context;
    (void)file;
    files_open--;
}

/* Where a call's work stays. */
enum hold { IN_QUEUE, IN_ANSWERS, HOLDS };

static void hold(enum hold where)
{
    world->world.idle_core = where == IN_QUEUE;
    world->holds_answers = where == IN_ANSWERS;
}

/* All goes on, until nothing is left to do. */
static void release(void)
{
    world->world.idle_core = false;
    world->holds_answers = false;
    grpc_world_turn(world);
    while (work_count > 0) {
        struct work *work = works[--work_count];
        work->run(work);
        grpc_world_turn(world);
    }
}

/* The answers that wait come in the other order. */
static void turn_answers_round(void)
{
    struct queue_link *link = world->answers;
    struct queue_link *round = NULL;
    world->answers_end = link != NULL ? &link->next : &world->answers;
    while (link != NULL) {
        struct queue_link *next = link->next;
        link->next = round;
        round = link;
        link = next;
    }
    world->answers = round;
}

/* ---- requests -------------------------------------------------------- */

static struct slice put_this(void)
{
    return put_request(name, "v");
}

static struct slice range_this(void)
{
    return range_request("lock", "");
}

static struct slice grant_of(int64_t id)
{
    Etcdserverpb__LeaseGrantRequest grant =
        ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    grant.ttl = TTL_S;
    grant.id = id;
    return request_of(&grant.base);
}

static struct slice grant_this(void)
{
    return grant_of(1000 + round_number);
}

static struct slice keep_holder(void)
{
    Etcdserverpb__LeaseKeepAliveRequest keep =
        ETCDSERVERPB__LEASE_KEEP_ALIVE_REQUEST__INIT;
    keep.id = HOLDER;
    return request_of(&keep.base);
}

static struct slice watch_this(void)
{
    Etcdserverpb__WatchRequest watch = ETCDSERVERPB__WATCH_REQUEST__INIT;
    Etcdserverpb__WatchCreateRequest create =
        ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    create.key = message_data(SLICE("sound"));
    watch.request_union_case =
        ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    watch.create_request = &create;
    return request_of(&watch.base);
}

static struct slice lock_by(int64_t lease)
{
    V3lockpb__LockRequest lock = V3LOCKPB__LOCK_REQUEST__INIT;
    lock.name = message_data(SLICE("L"));
    lock.lease = lease;
    return request_of(&lock.base);
}

static struct slice lock_it(void)
{
    return lock_by(WAITER);
}

static struct slice nothing(void)
{
    return SLICE("");
}

static struct slice update_learner(void)
{
    Etcdserverpb__MemberUpdateRequest update =
        ETCDSERVERPB__MEMBER_UPDATE_REQUEST__INIT;
    char url[64];
    char *urls[] = {url};
    (void)snprintf(url, sizeof(url), "http://%s:1", name);
    update.id = learner;
    update.n_peerurls = 1;
    update.peerurls = urls;
    return request_of(&update.base);
}

/* ---- what was done all the same -------------------------------------- */

static struct talk *well(const char *path, struct slice request)
{
    struct talk *talk = ask(line, path, NULL, request);
    expect_end(talk, GRPC_OK, "");
    return talk;
}

static size_t keys_in(const char *key, const char *end)
{
    struct talk *talk = well("/etcdserverpb.KV/Range", range_request(key, end));
    size_t count = number_of(expect_message(talk), 4);
    talk_free(talk);
    return count;
}

static bool is_put(void)
{
    return keys_in(name, "") == 1;
}

static bool is_granted(void)
{
    Etcdserverpb__LeaseTimeToLiveRequest left =
        ETCDSERVERPB__LEASE_TIME_TO_LIVE_REQUEST__INIT;
    left.id = 1000 + round_number;
    struct talk *talk =
        well("/etcdserverpb.Lease/LeaseTimeToLive", request_of(&left.base));
    int64_t ttl_s = (int64_t)number_of(expect_message(talk), 3);
    talk_free(talk);
    return ttl_s > 0;
}

static bool is_updated(void)
{
    struct talk *talk = well("/etcdserverpb.Cluster/MemberList", SLICE(""));
    struct slice list = expect_message(talk);
    bool found = memmem(list.at, list.size, name, strlen(name)) != NULL;
    talk_free(talk);
    return found;
}

/* Whoever waited is gone, its key too. */
static bool is_left(void)
{
    return keys_in("L/", "L0") == 1;
}

/* ---- one of each kind ------------------------------------------------ */

struct kind {
    const char *path;
    struct slice (*request)(void);
    bool is_stream; /* of the client's: it stays open */
    size_t away;    /* works that are elsewhere, once it is asked */
    bool stays;     /* when these are back there is more to wait for */
    bool (*done)(void);
    bool waits_for_node; /* when the server stops */
};

static const struct kind kinds[] = {
    {"/etcdserverpb.KV/Put", put_this, false, 1, false, is_put, true},
    {"/etcdserverpb.KV/Range", range_this, false, 1, false, NULL, true},
    {"/etcdserverpb.Lease/LeaseGrant", grant_this, false, 1, false, is_granted,
     true},
    {"/etcdserverpb.Lease/LeaseKeepAlive", keep_holder, true, 1, true, NULL,
     false},
    {"/etcdserverpb.Watch/Watch", watch_this, true, 0, true, NULL, false},
    {"/v3lockpb.Lock/Lock", lock_it, false, 1, true, is_left, false},
    {"/etcdserverpb.Maintenance/Snapshot", nothing, false, 1, false, NULL,
     false},
    {"/etcdserverpb.Cluster/MemberUpdate", update_learner, false, 1, false,
     is_updated, true},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static void next_round(void)
{
    (void)snprintf(name, sizeof(name), "round-%d.test", ++round_number);
}

/* The node's reads have to be confirmed, as where it isn't alone: until it
 * looks at itself again. */
static struct talk *open_call(struct line *on, const struct kind *kind,
                              const char *headers)
{
    size_t before = rpc_pending(world->rpc);
    bool is_idle = world->world.idle_core;
    world->world.idle_core = true;
    atomic_store(&world->world.node->reads_are_current, false);
    struct talk *talk = talk_open(on, kind->path, headers);
    talk_send(talk, kind->request(), !kind->is_stream);
    world->world.idle_core = is_idle;
    grpc_world_turn(world);
    assert_false(talk->ended);
    assert_int_equal(rpc_pending(world->rpc), before + kind->away);
    return talk;
}

static void expect_no_calls(void)
{
    assert_true(list_is_empty(&world->rpc->calls));
    assert_int_equal(rpc_deadline_ms(world->rpc), INT64_MAX);
}

/* Nothing is left of any call, and all goes on as before. */
static void expect_sound(void)
{
    expect_no_calls();
    assert_int_equal(rpc_pending(world->rpc), 0);
    assert_int_equal(files_open, 0);
    assert_false(world->watching);
    assert_int_equal(atomic_load(&world->world.shared.stats[API_V3_WATCHERS]),
                     0);
    put_key(line, "sound", "yes");
    assert_int_equal(keys_in("sound", ""), 1);
    assert_true(is_left());
}

static void expect_done(const struct kind *kind)
{
    release();
    expect_sound();
    assert_true(kind->done == NULL || kind->done());
}

/* ---- set-up ---------------------------------------------------------- */

static uint64_t add_learner(void)
{
    Etcdserverpb__MemberAddRequest add = ETCDSERVERPB__MEMBER_ADD_REQUEST__INIT;
    char url[] = "http://learner:1";
    char *urls[] = {url};
    add.n_peerurls = 1;
    add.peerurls = urls;
    add.islearner = true;
    struct talk *talk =
        well("/etcdserverpb.Cluster/MemberAdd", request_of(&add.base));
    uint64_t id = number_of(bytes_of(expect_message(talk), 2), 1);
    talk_free(talk);
    return id;
}

static int begin(void **state)
{
    (void)state;
    work_count = 0;
    round_number = 0;
    next_round();
    world = grpc_world_new(11);
    world->shared.submit_work = hold_work;
    world->shared.snapshot = open_file;
    world->shared.snapshot_read = read_file;
    world->shared.snapshot_close = close_file;
    line = line_open(world);
    talk_free(well("/etcdserverpb.Lease/LeaseGrant", grant_of(HOLDER)));
    talk_free(well("/etcdserverpb.Lease/LeaseGrant", grant_of(WAITER)));
    talk_free(well("/v3lockpb.Lock/Lock", lock_by(HOLDER)));
    learner = add_learner();
    return 0;
}

static int end(void **state)
{
    (void)state;
    release();
    grpc_world_free(world);
    assert_int_equal(files_open, 0);
    return 0;
}

/* ---- while it is elsewhere ------------------------------------------- */

static void a_cancelled_call_is_answered_to_nobody(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS * HOLDS; i++) {
        const struct kind *kind = &kinds[i / HOLDS];
        next_round();
        hold(i % HOLDS);
        struct talk *talk = open_call(line, kind, NULL);
        size_t heard = talk->got.size;
        talk_reset(talk);
        expect_no_calls();
        assert_int_equal(rpc_pending(world->rpc), kind->away);
        expect_done(kind);
        assert_int_equal(talk->got.size, heard);
        assert_int_equal(talk->code, -1);
        talk_free(talk);
    }
}

static void a_deadline_comes_before_the_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS * HOLDS; i++) {
        const struct kind *kind = &kinds[i / HOLDS];
        next_round();
        hold(i % HOLDS);
        int64_t due_ms = rpc__now_ms(world->rpc) + TIMEOUT_MS;
        struct talk *talk = open_call(line, kind, "grpc-timeout: 300m\n");
        size_t heard = talk->got.size;
        assert_int_equal(rpc_deadline_ms(world->rpc), due_ms);
        grpc_world_wait(world, TIMEOUT_MS - 10);
        assert_false(talk->ended);
        grpc_world_wait(world, 10);
        expect_end(talk, GRPC_DEADLINE_EXCEEDED, "context deadline exceeded");
        expect_no_calls();
        assert_int_equal(rpc_pending(world->rpc), kind->away);
        expect_done(kind);
        assert_int_equal(talk->got.size, heard);
        talk_free(talk);
    }
}

static void a_broken_connection_is_not_answered(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS * HOLDS; i++) {
        const struct kind *kind = &kinds[i / HOLDS];
        struct line *other = line_open(world);
        next_round();
        hold(i % HOLDS);
        (void)open_call(other, kind, "grpc-timeout: 1S\n");
        line_close(other);
        expect_no_calls();
        assert_int_equal(rpc_pending(world->rpc), kind->away);
        expect_done(kind);
    }
}

/* All at once, on one connection; and the answers come from behind. */
static void calls_of_all_kinds_go_with_their_connection(void **state)
{
    (void)state;
    for (int where = 0; where < HOLDS; where++) {
        struct line *other = line_open(world);
        size_t away = 0;
        next_round();
        hold((enum hold)where);
        for (size_t i = 0; i < KINDS; i++) {
            (void)open_call(other, &kinds[i], NULL);
            away += kinds[i].away;
        }
        line_close(other);
        expect_no_calls();
        assert_int_equal(rpc_pending(world->rpc), away);
        turn_answers_round();
        release();
        expect_sound();
        assert_true(is_put() && is_granted() && is_updated());
    }
}

/* The lost call's answer is not taken for the next one's. */
static void an_answer_finds_its_own_call(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        const struct kind *kind = &kinds[i];
        next_round();
        hold(IN_ANSWERS);
        struct talk *lost = open_call(line, kind, NULL);
        talk_reset(lost);
        next_round();
        struct talk *put = open_call(line, &kinds[0], NULL);
        assert_int_equal(rpc_pending(world->rpc), kind->away + 1);
        turn_answers_round();
        release();
        expect_end(put, GRPC_OK, "");
        uint64_t at = number_of(bytes_of(expect_message(put), 1), 3);
        struct talk *range =
            well("/etcdserverpb.KV/Range", range_request(name, ""));
        struct slice kv = bytes_of(expect_message(range), 2);
        assert_int_equal(number_of(kv, 3), at); /* when it was modified */
        expect_sound();
        talk_free(range);
        talk_free(put);
        talk_free(lost);
    }
}

/* ---- while it waits for something else ------------------------------- */

static void lose(struct talk *talk, struct line *on, int how)
{
    switch (how) {
    case 0:
        talk_reset(talk);
        talk_free(talk);
        break;
    case 1:
        grpc_world_wait(world, TIMEOUT_MS);
        expect_end(talk, GRPC_DEADLINE_EXCEEDED, "context deadline exceeded");
        break;
    default:
        line_close(on);
        return;
    }
    line_close(on);
}

static void who_waits_on_is_let_go_of(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS * 3; i++) {
        const struct kind *kind = &kinds[i / 3];
        if (!kind->stays) {
            continue;
        }
        struct line *other = line_open(world);
        next_round();
        hold(IN_ANSWERS);
        struct talk *talk = open_call(other, kind, "grpc-timeout: 300m\n");
        release();
        assert_false(talk->ended);
        assert_int_equal(rpc_pending(world->rpc), 0);
        hold(IN_ANSWERS);
        lose(talk, other, (int)(i % 3));
        expect_no_calls();
        /* Only who waited for the lock has a key that must go. */
        assert_int_equal(rpc_pending(world->rpc), kind->done == is_left);
        expect_done(kind);
    }
}

/* A file that is open and waits for a client that doesn't read. */
static void a_snapshot_that_nobody_reads_is_closed(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct line *other = line_open(world);
        other->is_slow = true;
        struct talk *talk = open_call(other, &kinds[6],
                                      how == 1 ? "grpc-timeout: 300m\n" : NULL);
        release();
        assert_int_equal(files_open, 1);
        assert_int_equal(rpc_pending(world->rpc), 0);
        if (how == 0) {
            talk_reset(talk);
        } else if (how == 1) {
            grpc_world_wait(world, TIMEOUT_MS);
        } else {
            line_close(other);
        }
        expect_no_calls();
        assert_int_equal(rpc_pending(world->rpc), 1); /* it is being closed */
        assert_int_equal(files_open, 1);
        expect_done(&kinds[6]);
        if (how < 2) {
            line_close(other);
        }
    }
}

/* ---- time ------------------------------------------------------------ */

static void each_deadline_comes_at_its_own_time(void **state)
{
    struct talk *talks[KINDS];
    int64_t due_ms[KINDS];
    (void)state;
    hold(IN_ANSWERS);
    for (size_t i = 0; i < KINDS; i++) { /* 3 and 8 have no divisor */
        char timeout[64];
        size_t turn = i * 3 % KINDS;
        (void)snprintf(timeout, sizeof(timeout), "grpc-timeout: %dm\n",
                       100 + 50 * (int)turn);
        talks[turn] = open_call(line, &kinds[i], timeout);
        due_ms[turn] = rpc__now_ms(world->rpc) + 100 + 50 * (int)turn;
    }
    size_t away = rpc_pending(world->rpc);
    for (size_t i = 0; i < KINDS; i++) {
        assert_int_equal(rpc_deadline_ms(world->rpc), due_ms[i]);
        rpc_tick(world->rpc, due_ms[i] - 1);
        grpc_world_turn(world);
        assert_false(talks[i]->ended);
        rpc_tick(world->rpc, due_ms[i]);
        grpc_world_turn(world);
        expect_end(talks[i], GRPC_DEADLINE_EXCEEDED,
                   "context deadline exceeded");
        assert_true(i + 1 == KINDS || !talks[i + 1]->ended);
    }
    assert_int_equal(rpc_pending(world->rpc), away);
    release();
    expect_sound();
}

/* Answered in time: the deadline goes with the call. */
static void what_was_answered_has_no_deadline(void **state)
{
    (void)state;
    hold(IN_ANSWERS);
    struct talk *put = open_call(line, &kinds[0], "grpc-timeout: 300m\n");
    grpc_world_wait(world, TIMEOUT_MS - 10);
    release();
    expect_end(put, GRPC_OK, "");
    expect_no_calls();
    grpc_world_wait(world, 1000);
    expect_end(put, GRPC_OK, "");
    expect_sound();
}

/* ---- the end --------------------------------------------------------- */

static void open_all(struct talk *talks[KINDS], const char *headers)
{
    for (size_t i = 0; i < KINDS; i++) {
        talks[i] = open_call(line, &kinds[i], headers);
    }
}

/* Only what the node has to say is still waited for. */
static void expect_stopped(struct talk *talks[KINDS])
{
    rpc_stop(world->rpc);
    grpc_world_turn(world);
    for (size_t i = 0; i < KINDS; i++) {
        if (kinds[i].waits_for_node) {
            assert_false(talks[i]->ended);
        } else {
            expect_end(talks[i], GRPC_UNAVAILABLE,
                       "etcdserver: server stopped");
        }
    }
}

static void expect_stopped_and_empty(void)
{
    expect_no_calls();
    assert_int_equal(rpc_pending(world->rpc), 0);
    assert_int_equal(files_open, 0);
    assert_false(world->watching);
}

static void a_stop_waits_for_the_node_alone(void **state)
{
    struct talk *talks[KINDS];
    (void)state;
    hold(IN_ANSWERS);
    open_all(talks, NULL);
    size_t away = rpc_pending(world->rpc);
    expect_stopped(talks);
    assert_int_equal(rpc_pending(world->rpc), away);
    release();
    for (size_t i = 0; i < KINDS; i++) {
        if (kinds[i].waits_for_node) {
            expect_end(talks[i], GRPC_OK, "");
        }
    }
    expect_stopped_and_empty();
}

static void a_stop_does_not_keep_calls_from_their_end(void **state)
{
    struct talk *talks[KINDS];
    (void)state;
    hold(IN_QUEUE);
    open_all(talks, "grpc-timeout: 300m\n");
    expect_stopped(talks);
    talk_reset(talks[0]);
    grpc_world_wait(world, TIMEOUT_MS);
    for (size_t i = 1; i < KINDS; i++) {
        if (kinds[i].waits_for_node) {
            expect_end(talks[i], GRPC_DEADLINE_EXCEEDED,
                       "context deadline exceeded");
        }
    }
    expect_no_calls();
    assert_int_not_equal(rpc_pending(world->rpc), 0);
    release();
    expect_stopped_and_empty();
}

/* They have ended for their clients; then the clients go too. */
static void a_stop_and_a_break_go_together(void **state)
{
    struct talk *talks[KINDS];
    (void)state;
    hold(IN_ANSWERS);
    open_all(talks, NULL);
    expect_stopped(talks);
    line_close(line);
    expect_no_calls();
    turn_answers_round();
    release();
    expect_stopped_and_empty();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(story) cmocka_unit_test_setup_teardown(story, begin, end)
        TEST(a_cancelled_call_is_answered_to_nobody),
        TEST(a_deadline_comes_before_the_answer),
        TEST(a_broken_connection_is_not_answered),
        TEST(calls_of_all_kinds_go_with_their_connection),
        TEST(an_answer_finds_its_own_call),
        TEST(who_waits_on_is_let_go_of),
        TEST(a_snapshot_that_nobody_reads_is_closed),
        TEST(each_deadline_comes_at_its_own_time),
        TEST(what_was_answered_has_no_deadline),
        TEST(a_stop_waits_for_the_node_alone),
        TEST(a_stop_does_not_keep_calls_from_their_end),
        TEST(a_stop_and_a_break_go_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
