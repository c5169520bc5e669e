/* Watches of keys, one after the other as a client makes them. */
#include "watch_requests.h"

/* ---- events -------------------------------------------------------------- */

static void a_key_is_watched(void **state)
{
    struct stage *stage = *state;
    put(stage, "a", "0");
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    assert_false(stage->watching);
    watch_key(stream, "a");
    assert_true(stage->watching);
    hear(stream, "@2 created\n");
    put(stage, "a", "1");
    hear(stream, "@3 PUT a=1 2/3/2\n");
    put(stage, "b", "1");
    put(stage, "aa", "1");
    hear(stream, "");
    del(stage, "a");
    hear(stream, "@6 DELETE a 6\n");
    put(stage, "a", "2");
    hear(stream, "@7 PUT a=2 7/7/1\n");
    assert_int_equal(stream->consumed, stream->said);
    stage_hang_up(stream);
    assert_false(stage->watching);
}

/* As etcd has it: no key is the smallest one, "\0" as an end is no end. */
static void ranges_are_watched(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    create_request all = watch_of("", "");
    create_request above = watch_of("b", "");
    all.range_end = above.range_end = message_data(SLICE("\0"));
    watch_create(stream, all);
    watch_create(stream, watch_of("a", "b"));
    watch_create(stream, above);
    watch_create(stream, watch_of("", ""));
    hear(stream, "@1 created\n"
                 "@1 watch_id=1 created\n"
                 "@1 watch_id=2 created\n"
                 "@1 watch_id=3 created\n");
    put(stage, "a", "1");
    hear(stream, "@2* PUT a=1 2/2/1\n@2* PUT a=1 2/2/1\n");
    put(stage, "b", "1");
    hear(stream, "@3* PUT b=1 3/3/1\n@3* PUT b=1 3/3/1\n");
    stage_hang_up(stream);
}

static void what_never_can_be_is_refused(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    create_request seven = watch_of("a", "");
    seven.watch_id = 7;
    watch_create(stream, watch_of("b", "a"));
    watch_create(stream, watch_of("b", "b"));
    watch_create(stream, seven);
    watch_create(stream, seven);
    hear(stream,
         "@1 watch_id=-1 created canceled "
         "cancel_reason='mvcc: watcher range is empty'\n"
         "@1 watch_id=-1 created canceled "
         "cancel_reason='mvcc: watcher range is empty'\n"
         "@1 watch_id=7 created\n"
         "@1 watch_id=-1 created canceled cancel_reason='mvcc: duplicate watch "
         "ID provided on the WatchStream'\n");
    assert_int_equal(atomic_load(&stage->shared.stats[API_V3_WATCHERS]), 1);
    stage_hang_up(stream);
}

static void there_are_only_so_many(void **state)
{
    struct stage *stage = *state;
    stage->shared.watchers_max = 1;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    watch_key(stream, "a");
    watch_key(stream, "b");
    watch_cancel(stream, 0);
    watch_key(stream, "b");
    hear(stream, "@1 created\n"
                 "@1 watch_id=-1 created canceled "
                 "cancel_reason='etcdserver: too many requests'\n"
                 "@1 canceled\n"
                 "@1 watch_id=1 created\n");
    stage_hang_up(stream);
}

/* The server counts up, past those that the client has chosen, and never gives
 * a number twice. */
static void ids_are_given_or_chosen(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    create_request chosen = watch_of("a", "");
    watch_key(stream, "a");
    chosen.watch_id = 2;
    watch_create(stream, chosen);
    watch_key(stream, "a");
    watch_key(stream, "a");
    watch_cancel(stream, 3);
    watch_key(stream, "a");
    chosen.watch_id = -1;
    watch_create(stream, chosen);
    hear(stream, "@1 created\n"
                 "@1 watch_id=2 created\n"
                 "@1 watch_id=1 created\n"
                 "@1 watch_id=3 created\n"
                 "@1 watch_id=3 canceled\n"
                 "@1 watch_id=4 created\n"
                 "@1 watch_id=-1 created\n");
    stage_hang_up(stream);
}

static void a_watch_is_canceled(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    watch_key(stream, "a");
    watch_key(stream, "a");
    hear(stream, "*\n*\n");
    watch_cancel(stream, 1);
    hear(stream, "@1 watch_id=1 canceled\n");
    watch_cancel(stream, 1);
    watch_cancel(stream, 99);
    hear(stream, "");
    put(stage, "a", "1");
    hear(stream, "@2 PUT a=1 2/2/1\n");
    watch_cancel(stream, 0);
    hear(stream, "@2 canceled\n");
    assert_false(stage->watching);
    stage_hang_up(stream);
}

static void one_revision_is_one_response(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    watch_create(stream, watch_of("a", "b"));
    watch_key(stream, "a1");
    hear(stream, "*\n*\n");
    put_many(stage, "a", 3, 1);
    hear(stream, "@2 PUT a0=x 2/2/1 PUT a1=x 2/2/1 PUT a2=x 2/2/1\n"
                 "@2 watch_id=1 PUT a1=x 2/2/1\n");
    del_prefix(stage, "a");
    hear(stream, "@3 DELETE a0 3 DELETE a1 3 DELETE a2 3\n"
                 "@3 watch_id=1 DELETE a1 3\n");
    stage_hang_up(stream);
}

/* Several commits may come at once; each watch is told in one response. */
static void commits_of_a_batch_share_a_response(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    watch_create(stream, watch_of("a", "b"));
    watch_key(stream, "a2");
    hear(stream, "*\n*\n");
    stage->hold_commits = true;
    put(stage, "a1", "1");
    put(stage, "a2", "2");
    put(stage, "a3", "3");
    hear(stream, "");
    stage->hold_commits = false;
    stage_turn(stage);
    hear(stream, "@4 PUT a1=1 2/2/1 PUT a2=2 3/3/1 PUT a3=3 4/4/1\n"
                 "@3 watch_id=1 PUT a2=2 3/3/1\n");
    stage_hang_up(stream);
}

static void what_was_before_is_told(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    create_request request = watch_of("a", "");
    request.prev_kv = true;
    watch_create(stream, request);
    watch_key(stream, "a");
    hear(stream, "*\n*\n");
    put(stage, "a", "1");
    hear(stream, "@2 PUT a=1 2/2/1\n@2 watch_id=1 PUT a=1 2/2/1\n");
    put(stage, "a", "2");
    hear(stream, "@3 PUT a=2 2/3/2 (a=1 2/2/1)\n@3 watch_id=1 PUT a=2 2/3/2\n");
    del(stage, "a");
    hear(stream, "@4 DELETE a 4 (a=2 2/3/2)\n@4 watch_id=1 DELETE a 4\n");
    put(stage, "a", "3");
    hear(stream, "@5 PUT a=3 5/5/1\n@5 watch_id=1 PUT a=3 5/5/1\n");
    stage_hang_up(stream);
}

static void some_events_are_filtered(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    Etcdserverpb__WatchCreateRequest__FilterType filters[2] = {
        ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NOPUT,
        ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NODELETE};
    create_request request = watch_of("a", "");
    request.filters = filters;
    request.n_filters = 1;
    watch_create(stream, request);
    request.n_filters = 2;
    watch_create(stream, request);
    request.filters = filters + 1;
    request.n_filters = 1;
    watch_create(stream, request);
    hear(stream, "*\n*\n*\n");
    put(stage, "a", "1");
    hear(stream, "@2 watch_id=2 PUT a=1 2/2/1\n");
    del(stage, "a");
    hear(stream, "@3 DELETE a 3\n");
    stage_hang_up(stream);
}

static void a_lease_ends_in_one_response(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    grant(stage, 5, 10);
    put_leased(stage, "a1", 5);
    put_leased(stage, "a2", 5);
    watch_create(stream, watch_of("a", "b"));
    hear(stream, "*\n");
    stage_wait(stage, 11 * SECOND_NS);
    hear(stream, "@4 DELETE a1 4 DELETE a2 4\n");
    stage_hang_up(stream);
}

/* ---- history ------------------------------------------------------------- */

static void the_past_is_told(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    create_request prev = watch_of("a", "");
    put(stage, "a", "1");
    put(stage, "b", "1");
    put(stage, "a", "2");
    del(stage, "a");
    watch_from(stream, "a", 3);
    hear(stream, "@5 created\n@5 PUT a=2 2/4/2 DELETE a 5\n");
    prev.prev_kv = true;
    prev.start_revision = 1;
    watch_create(stream, prev);
    hear(stream, "@5 watch_id=1 created\n"
                 "@5 watch_id=1 PUT a=1 2/2/1 PUT a=2 2/4/2 (a=1 2/2/1) "
                 "DELETE a 5 (a=2 2/4/2)\n");
    put(stage, "a", "3");
    hear(stream, "@6 PUT a=3 6/6/1\n@6 watch_id=1 PUT a=3 6/6/1\n");
    stage_hang_up(stream);
}

static void the_future_is_waited_for(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    watch_from(stream, "a", 4);
    watch_from(stream, "a", INT64_MAX);
    hear(stream, "@1 created\n@1 watch_id=1 created\n");
    put(stage, "a", "2");
    put(stage, "a", "3");
    hear(stream, "");
    put(stage, "a", "4");
    hear(stream, "@4 PUT a=4 2/4/3\n");
    stage_hang_up(stream);
}

static void what_was_compacted_is_said(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    for (int i = 0; i < 4; i++) {
        put(stage, "a", "x");
    }
    stage_compact(stage, 4);
    watch_from(stream, "a", 3);
    hear(stream, "@5 created\n@0 canceled compact_revision=4\n");
    assert_false(stage->watching);
    watch_from(stream, "a", 4);
    hear(stream, "@5 watch_id=1 created\n"
                 "@* watch_id=1 PUT a=x 2/4/3 PUT a=x 2/5/4\n");
    watch_from(stream, "a", -1);
    hear(stream, "@5 watch_id=2 created\n"
                 "@0 watch_id=2 canceled compact_revision=4\n");
    stage_hang_up(stream);
}

/* Before anything was compacted etcd takes -1 for now, and is odd below. */
static void a_negative_start_is_as_in_etcd(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    put(stage, "a", "1");
    watch_from(stream, "a", -1);
    watch_from(stream, "a", -5);
    hear(stream, "@2 created\n@2 watch_id=1 created\n"
                 "@0 watch_id=1 canceled compact_revision=-1\n");
    put(stage, "a", "2");
    hear(stream, "@3 PUT a=2 2/3/2\n");
    stage_hang_up(stream);
}

/* Who was told 4 goes on with 4: what was put there is still told. */
static void one_goes_on_at_the_compaction(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    create_request all = watch_of("a", "b");
    put(stage, "a0", "old");
    put_many(stage, "a", 3, 1);
    put(stage, "a1", "new");
    stage_compact(stage, 3);
    stage_flush(stage);
    all.start_revision = 3;
    all.prev_kv = true;
    watch_create(stream, all);
    watch_from(stream, "a1", 3);
    hear(stream, "@4 created\n"
                 "@* PUT a0=x 2/3/2 PUT a1=x 3/3/1 PUT a2=x 3/3/1 "
                 "PUT a1=new 3/4/2 (a1=x 3/3/1)\n"
                 "@4 watch_id=1 created\n"
                 "@* watch_id=1 PUT a1=x 3/3/1 PUT a1=new 3/4/2\n");
    stage_compact(stage, 4);
    watch_from(stream, "a1", 4);
    hear(stream, "@4 watch_id=2 created\n@4 watch_id=2 PUT a1=new 3/4/2\n");
    put(stage, "a1", "newer");
    hear(stream, "@5* PUT a1=newer 3/5/3*\n@5* PUT a1=newer 3/5/3*\n"
                 "@5* PUT a1=newer 3/5/3*\n");
    stage_hang_up(stream);
}

/* A commit that came while a watch was made isn't told twice, nor left out. */
static void there_is_no_seam(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    watch_key(stream, "z");
    stage->hold_commits = true;
    put(stage, "a", "2");
    put(stage, "a", "3");
    watch_key(stream, "a");
    watch_from(stream, "a", 3);
    put(stage, "a", "4");
    hear(stream, "@1 created\n@3 watch_id=1 created\n@3 watch_id=2 created\n");
    stage->hold_commits = false;
    stage_turn(stage);
    hear(stream, "@4 watch_id=2 PUT a=3 2/3/2 PUT a=4 2/4/3\n"
                 "@4 watch_id=1 PUT a=4 2/4/3\n");
    stage_hang_up(stream);
}

/* ---- how far it is ------------------------------------------------------- */

static void progress_is_told(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    put(stage, "a", "1");
    watch_ask_progress(stream);
    hear(stream, "@2 watch_id=-1\n");
    watch_from(stream, "a", 1);
    watch_ask_progress(stream);
    hear(stream, "@2 created\n@2 PUT a=1 2/2/1\n@2 watch_id=-1\n");
    put(stage, "b", "1");
    watch_ask_progress(stream);
    hear(stream, "@3 watch_id=-1\n");
    stage_hang_up(stream);
}

/* Never more than was told: what the hub wasn't given doesn't count. */
static void progress_waits_for_events(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    watch_key(stream, "a");
    hear(stream, "@1 created\n");
    stage->hold_commits = true;
    put(stage, "a", "2");
    watch_ask_progress(stream);
    hear(stream, "@1 watch_id=-1\n");
    watch_key(stream, "b");
    hear(stream, "@2 watch_id=1 created\n");
    watch_ask_progress(stream); /* it would go back behind what was said */
    watch_ask_progress(stream);
    hear(stream, "");
    stage->hold_commits = false;
    stage_turn(stage);
    hear(stream, "@2 PUT a=2 2/2/1\n@2 watch_id=-1\n");
    stage_hang_up(stream);
}

static void the_idle_are_notified(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    create_request request = watch_of("a", "");
    request.progress_notify = true;
    watch_create(stream, request);
    watch_key(stream, "b");
    hear(stream, "*\n*\n");
    stage_wait(stage, 900 * 1000 * 1000);
    hear(stream, "");
    assert_true(rpc_deadline_ms(stage->rpc) <=
                stage->monotonic_ns / 1000000 + 201);
    put(stage, "c", "1");
    stage_wait(stage, 201 * 1000 * 1000);
    hear(stream, "@2\n");
    put(stage, "a", "1");
    hear(stream, "@3 PUT a=1 3/3/1\n");
    stage_wait(stage, 1101 * 1000 * 1000); /* it has heard of us */
    hear(stream, "");
    stage_wait(stage, 1101 * 1000 * 1000);
    hear(stream, "@3\n");
    stage_hang_up(stream);
    assert_int_equal(rpc_deadline_ms(stage->rpc), INT64_MAX);
}

static void a_notification_doesnt_go_back(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    create_request request = watch_of("a", "");
    request.progress_notify = true;
    watch_create(stream, request);
    stage->hold_commits = true;
    put(stage, "a", "1");
    watch_key(stream, "b");
    hear(stream, "@1 created\n@2 watch_id=1 created\n");
    stage_wait(stage, 1101 * 1000 * 1000);
    hear(stream, "");
    stage->hold_commits = false;
    stage_turn(stage);
    hear(stream, "@2 PUT a=1 2/2/1\n");
    stage_wait(stage, 101 * 1000 * 1000);
    hear(stream, "");
    stage_wait(stage, 1101 * 1000 * 1000);
    hear(stream, "@2\n");
    stage_hang_up(stream);
}

/* ---- streams ------------------------------------------------------------- */

static void a_stream_outlives_its_requests(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    Etcdserverpb__WatchRequest nothing = ETCDSERVERPB__WATCH_REQUEST__INIT;
    stage_say(stream, &nothing);
    watch_key(stream, "a");
    stage_half_close(stream);
    hear(stream, "@1 created\n");
    put(stage, "a", "1");
    hear(stream, "@2 PUT a=1 2/2/1\n");
    stage_hang_up(stream);
}

static void malformed_requests_end_it(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    watch_key(stream, "a");
    stage_say_bytes(stream, SLICE("\x0a\x50"));
    assert_true(stream->is_over);
    assert_int_equal(stream->code, GRPC_INTERNAL);
    assert_false(stage->watching);
    stage_hang_up(stream);
}

static void a_stop_ends_them(void **state)
{
    struct stage *stage = *state;
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    watch_key(stream, "a");
    watch_from(stream, "b", 1);
    rpc_stop(stage->rpc);
    hear_end(stream, GRPC_UNAVAILABLE, "etcdserver: server stopped");
    assert_false(stage->watching);
    stage_hang_up(stream);
}

static void streams_dont_mind_each_other(void **state)
{
    struct stage *stage = *state;
    struct hearer *one = stage_call(stage, WATCH, NULL);
    struct hearer *other = stage_call(stage, WATCH, NULL);
    watch_key(one, "a");
    watch_key(other, "a");
    hear(one, "@1 created\n");
    hear(other, "@1 created\n");
    put(stage, "a", "1");
    hear(one, "@2 PUT a=1 2/2/1\n");
    hear(other, "@2 PUT a=1 2/2/1\n");
    stage_hang_up(one);
    put(stage, "a", "2");
    hear(other, "@3 PUT a=2 2/3/2\n");
    stage_hang_up(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_begin, stage_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_key_is_watched),
        TEST(ranges_are_watched),
        TEST(what_never_can_be_is_refused),
        TEST(there_are_only_so_many),
        TEST(ids_are_given_or_chosen),
        TEST(a_watch_is_canceled),
        TEST(one_revision_is_one_response),
        TEST(commits_of_a_batch_share_a_response),
        TEST(what_was_before_is_told),
        TEST(some_events_are_filtered),
        TEST(a_lease_ends_in_one_response),
        TEST(the_past_is_told),
        TEST(the_future_is_waited_for),
        TEST(what_was_compacted_is_said),
        TEST(a_negative_start_is_as_in_etcd),
        TEST(one_goes_on_at_the_compaction),
        TEST(there_is_no_seam),
        TEST(progress_is_told),
        TEST(progress_waits_for_events),
        TEST(the_idle_are_notified),
        TEST(a_notification_doesnt_go_back),
        TEST(a_stream_outlives_its_requests),
        TEST(malformed_requests_end_it),
        TEST(a_stop_ends_them),
        TEST(streams_dont_mind_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
