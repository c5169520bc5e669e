/* Watches whose clients don't read, and much to be told: what is held stays
 * bounded, and nothing is lost. */
#include "watch_requests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HIGH = LIMIT_HTTP_OUT_HIGH_BYTES,
    LARGE = 100 * 1000,
    OVER = WATCH_RESPONSE_BYTES,
};

/* How often this stands in what was heard, which is forgotten. */
static size_t count_heard(struct hearer *hearer, const char *what)
{
    size_t count = 0;
    buf_append_char(&hearer->text, '\0');
    for (const char *at = hearer->text.at; (at = strstr(at, what)) != NULL;
         at += strlen(what)) {
        count++;
    }
    buf_reset(&hearer->text);
    return count;
}

/* The revisions of the events of key `k`, which must go up one by one from
 * `next`; returns the one after the last. */
static revision follow(struct hearer *hearer, revision next)
{
    buf_append_char(&hearer->text, '\0');
    for (const char *at = hearer->text.at; (at = strstr(at, "PUT k=")) != NULL;
         at++) {
        const char *slash = strchr(at, '/');
        assert_non_null(slash);
        assert_int_equal(strtoll(slash + 1, NULL, 10), next);
        next++;
    }
    buf_reset(&hearer->text);
    return next;
}

/* ---- slow readers -------------------------------------------------------- */

static void a_slow_reader_loses_nothing(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    watch_key(stream, "k");
    hear(stream, "@1 created\n");
    stream->is_slow = true;
    for (int i = 0; i < 100; i++) {
        put_large(stage, "k", LARGE);
        assert_true(stream->unsent <= HIGH + LARGE + 200);
    }
    revision next = follow(stream, 2);
    assert_int_equal(next, 2 + 3);
    for (int i = 0; next < 102; i++) {
        assert_true(i < 100);
        stage_take(stream);
        stage_turn(stage);
        assert_true(stream->unsent <= HIGH + OVER + LARGE + 200);
        next = follow(stream, next);
    }
    put(stage, "k", "live");
    stage_take(stream);
    stage_turn(stage);
    assert_int_equal(follow(stream, next), 103);
    stage_hang_up(stream);
}

/* What was given to one of them is given to all, though each of them lags. */
static void all_of_a_slow_stream_go_on(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    for (int i = 0; i < 50; i++) {
        watch_key(stream, "k");
    }
    assert_int_equal(count_heard(stream, "created"), 50);
    stream->is_slow = true;
    for (int i = 0; i < 20; i++) {
        put_large(stage, "k", LARGE);
        assert_true(stream->unsent <= HIGH + LARGE + 200);
    }
    size_t heard = count_heard(stream, "PUT");
    for (int i = 0; heard < 50 * 20; i++) {
        assert_true(i < 1000);
        stage_take(stream);
        stage_turn(stage);
        assert_true(stream->unsent <= HIGH + OVER + LARGE + 200);
        heard += count_heard(stream, "PUT");
    }
    assert_int_equal(heard, 50 * 20);
    stream->is_slow = false;
    stage_take(stream);
    put(stage, "k", "live");
    assert_int_equal(count_heard(stream, "PUT k=live"), 50);
    stage_hang_up(stream);
}

static void a_slow_reader_holds_up_no_other(void **state)
{
    struct stage *stage = *state;
    struct hearer *slow = stage_call(stage, WATCH, NULL);
    struct hearer *quick = stage_call(stage, WATCH, NULL);
    watch_key(slow, "k");
    watch_key(quick, "k");
    slow->is_slow = true;
    for (int i = 0; i < 10; i++) {
        put_large(stage, "k", LARGE);
    }
    assert_int_equal(follow(quick, 2), 12);
    watch_ask_progress(quick);
    hear(quick, "@11 watch_id=-1\n");
    stage_hang_up(slow);
    stage_hang_up(quick);
}

/* Its requests wait, too; and so does what it asks for. */
static void a_slow_reader_is_not_read(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    watch_key(stream, "k");
    stream->is_slow = true;
    for (int i = 0; i < 5; i++) {
        put_large(stage, "k", LARGE);
    }
    size_t consumed = stream->consumed;
    assert_int_equal(consumed, stream->said);
    watch_ask_progress(stream);
    watch_key(stream, "z");
    assert_int_equal(stream->consumed, consumed);
    assert_int_equal(count_heard(stream, "watch_id=-1"), 0);
    stream->is_slow = false;
    stage_take(stream);
    stage_turn(stage);
    assert_int_equal(stream->consumed, stream->said);
    hear(stream, "@6 PUT k=<100000> 2/5/4 PUT k=<100000> 2/6/5\n"
                 "@6 watch_id=-1\n");
    stage_hang_up(stream);
}

static void a_watch_is_canceled_while_it_lags(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    watch_key(stream, "k");
    watch_key(stream, "k");
    stream->is_slow = true;
    for (int i = 0; i < 5; i++) {
        put_large(stage, "k", LARGE);
    }
    watch_cancel(stream, 0);
    buf_reset(&stream->text);
    stage_take(stream);
    stage_turn(stage);
    assert_int_equal(follow(stream, 3), 7);
    stage_hang_up(stream); /* the other one, still with something to tell */
}

static void a_slow_reader_may_be_too_late(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    watch_key(stream, "k");
    stream->is_slow = true;
    for (int i = 0; i < 10; i++) {
        put_large(stage, "k", LARGE);
    }
    assert_int_equal(follow(stream, 2), 5);
    stage_compact(stage, 11);
    stage_take(stream);
    stage_turn(stage);
    hear(stream, "@0 canceled compact_revision=11\n");
    stage_hang_up(stream);
}

static void a_server_stops_while_one_lags(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    watch_key(stream, "k");
    stream->is_slow = true;
    for (int i = 0; i < 10; i++) {
        put_large(stage, "k", LARGE);
    }
    watch_ask_progress(stream);
    rpc_stop(stage->rpc);
    hear_end(stream, GRPC_UNAVAILABLE, "etcdserver: server stopped");
    stage_hang_up(stream);
}

/* ---- much at once -------------------------------------------------------- */

/* Responses end between revisions when there is enough in them. */
static void history_comes_in_responses_of_some_size(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    for (int i = 0; i < 30; i++) {
        put_large(stage, "k", LARGE);
    }
    watch_from(stream, "k", 1);
    assert_true(stream->messages >= 1 + 10);
    assert_true(stream->bytes / stream->messages < OVER + LARGE + 200);
    assert_int_equal(follow(stream, 2), 32);
    stage_hang_up(stream);
}

/* More records than a slice of history has, and large ones, so that slices
 * get shorter: no revision is split. */
static void a_revision_is_never_split(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    put_many(stage, "k", 2500, 100);
    put_many(stage, "k", 40, 30000);
    put_many(stage, "k", 3, 10);
    create_request request = watch_of("k", "l");
    request.start_revision = 2;
    watch_create(stream, request);
    hear(stream, "@4 created\n@2 PUT k0*\n@3 PUT k0*\n@4 PUT k0*\n");
    del_prefix(stage, "k");
    assert_int_equal(count_heard(stream, "DELETE"), 2500);
    assert_int_equal(stream->messages, 5);
    stage_hang_up(stream);
}

static void fragments_are_asked_for(void **state)
{
    struct stage *stage = *state;
    struct hearer *live = stage_call(stage, WATCH, NULL);
    struct hearer *late = stage_call(stage, WATCH, NULL);
    create_request request = watch_of("k", "l");
    stage->rpc_shared.request_bytes_max = 1000000;
    request.fragment = true;
    request.prev_kv = true;
    watch_create(live, request);
    put_many(stage, "k", 9, 100000);
    del_prefix(stage, "k"); /* with what was before it is too long for one */
    request.start_revision = 1;
    watch_create(late, request);
    hear(live, "@1 created\n"
               "@2 PUT k0=<100000>*\n"
               "@3 DELETE k0 3 (k0=<100000>*\n");
    hear(late, "@3 created\n"
               "@2 PUT k0=<100000>*\n"
               "@3 DELETE k0 3 (k0=<100000>*\n");
    put_many(stage, "k", 9, 100000);
    stage->rpc_shared.request_bytes_max = 100; /* and 512 KiB over it */
    del_prefix(stage, "k");
    hear(live, "@4 PUT*\n"
               "@5 fragment DELETE k0 5*DELETE k4 5 (*\n"
               "@5 DELETE k5*DELETE k8 5 (*\n");
    hear(late, "@4 PUT*\n"
               "@5 fragment DELETE k0 5*DELETE k4 5 (*\n"
               "@5 DELETE k5*DELETE k8 5 (*\n");
    assert_true(live->bytes_last < 524388);
    put(stage, "k1", "v");
    hear(live, "@6 PUT k1=v 6/6/1\n");
    hear(late, "@6 PUT k1=v 6/6/1\n");
    stage_hang_up(live);
    stage_hang_up(late);
}

static void a_fragment_waits_for_a_slow_reader(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    create_request request = watch_of("k", "l");
    put_many(stage, "k", 12, 100000);
    stage->rpc_shared.request_bytes_max = 1;
    request.fragment = true;
    request.start_revision = 1;
    stream->is_slow = true;
    watch_create(stream, request);
    hear(stream, "@2 created\n@2 fragment PUT k0*PUT k4=*\n");
    stage_take(stream);
    stage_turn(stage);
    hear(stream, "@2 fragment PUT k5*PUT k9=*\n");
    stage_take(stream);
    stage_turn(stage);
    hear(stream, "@2 PUT k10*PUT k11=*\n");
    stage_hang_up(stream);
}

/* ---- many watches -------------------------------------------------------- */

/* What all are told is encoded once: the chain, and the event, are shared. */
static void events_are_encoded_once(void **state)
{
    struct stage *stage = *state;
    struct rpc *rpc = stage->rpc;
    struct record record = {
        .cause = MVCC_PUT,
        .rev = {5, 0},
        .create = 5,
        .version = 1,
        .key = SLICE("k"),
        .value = SLICE("v"),
    };
    struct told *one = told__add(rpc, NULL, &record, false);
    struct told *other = told__add(rpc, NULL, &record, false);
    assert_ptr_equal(one, other);
    size_t gathered = rpc->watches->gathered;
    assert_int_equal(gathered, one->bytes);
    record.rev.sub = 1;
    one = told__add(rpc, one, &record, false);
    other = told__add(rpc, other, &record, false);
    struct told *third = told__add(rpc, NULL, &record, false);
    assert_ptr_equal(one, other);
    assert_ptr_not_equal(one, third);
    assert_ptr_equal(one->event, third->event);
    assert_int_equal(rpc->watches->gathered, 2 * gathered);
    assert_ptr_equal(told__events(one), told__events(other));
    assert_int_equal(told__events(one)->size, 2 * gathered);
    assert_ptr_equal(told__events(third), third->event);
    told__unref(rpc->watches, one);
    told__unref(rpc->watches, other);
    told__unref(rpc->watches, third);
    assert_null(rpc->watches->first[0]);
}

static void there_may_be_many(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    enum { COUNT = 10000 };
    char key[16];
    for (int i = 0; i < COUNT; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        watch_key(stream, key);
    }
    for (int i = 0; i < COUNT; i++) {
        watch_key(stream, "all");
    }
    assert_int_equal(count_heard(stream, "created"), 2 * COUNT);
    put(stage, "k77", "1");
    hear(stream, "@2 watch_id=77 PUT k77=1 2/2/1\n");
    put(stage, "all", "1");
    assert_int_equal(count_heard(stream, "PUT all=1 3/3/1"), COUNT);
    watch_ask_progress(stream);
    hear(stream, "@3 watch_id=-1\n");
    stage_hang_up(stream);
}

/* Watches come, go and lag at random beside one that reads all; each must be
 * told of each revision of its key, in order, once. */
static void at_random_nothing_is_lost(void **state)
{
    struct stage *stage = *state;
    enum { STREAMS = 4, STEPS = 600 };
    struct hearer *streams[STREAMS];
    revision next[STREAMS];
    struct prng prng;
    prng_init(&prng, 20);
    for (int i = 0; i < STREAMS; i++) {
        streams[i] = stage_call(stage, WATCH, NULL);
        streams[i]->is_slow = i > 0;
        next[i] = 2;
        watch_from(streams[i], "k", 2);
    }
    for (int step = 0; step < STEPS; step++) {
        size_t i = prng_below(&prng, STREAMS);
        switch (prng_below(&prng, 4)) {
        case 0:
            stage_take(streams[i]);
            stage_turn(stage);
            break;
        case 1:
            next[i] = follow(streams[i], next[i]);
            stage_hang_up(streams[i]);
            streams[i] = stage_call(stage, WATCH, NULL);
            streams[i]->is_slow = i > 0;
            watch_from(streams[i], "k", next[i]);
            break;
        case 2:
            stage->hold_commits = !stage->hold_commits;
            stage_turn(stage);
            break;
        default:
            put_large(stage, "k", prng_below(&prng, 2) ? LARGE : 60);
        }
        next[i] = follow(streams[i], next[i]);
    }
    stage->hold_commits = false;
    stage_turn(stage);
    for (int i = 0; i < STREAMS; i++) {
        streams[i]->is_slow = false;
        stage_take(streams[i]);
        stage_turn(stage);
        assert_int_equal(follow(streams[i], next[i]),
                         stage_revision(stage) + 1);
        stage_hang_up(streams[i]);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_begin, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_slow_reader_loses_nothing),
        TEST(all_of_a_slow_stream_go_on),
        TEST(a_slow_reader_holds_up_no_other),
        TEST(a_slow_reader_is_not_read),
        TEST(a_watch_is_canceled_while_it_lags),
        TEST(a_slow_reader_may_be_too_late),
        TEST(a_server_stops_while_one_lags),
        TEST(history_comes_in_responses_of_some_size),
        TEST(a_revision_is_never_split),
        TEST(fragments_are_asked_for),
        TEST(a_fragment_waits_for_a_slow_reader),
        TEST(events_are_encoded_once),
        TEST(there_may_be_many),
        TEST(at_random_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
