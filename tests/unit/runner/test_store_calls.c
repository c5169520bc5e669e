/* What goes to the store and what comes from it, byte by byte; and that
 * nothing that comes can hurt. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "proto/message.h"
#include "runner/runner_core.h"
#include "runner_world.h"

#define MILLI INT64_C(1000000)
#define SECOND INT64_C(1000000000)

static void test_the_end_of_a_prefix(void **state)
{
    (void)state;
    struct buf end = {0};
    store__prefix_end(SLICE("/a/"), &end);
    assert_true(slice_eq(buf_slice(&end), SLICE("/a0")));
    buf_reset(&end);
    store__prefix_end(SLICE("a\xff\xff"), &end);
    assert_true(slice_eq(buf_slice(&end), SLICE("b")));
    buf_reset(&end);
    store__prefix_end(SLICE("\xff"), &end);
    assert_int_equal(end.size, 1);
    assert_int_equal(end.at[0], 0);
    buf_reset(&end);
    store__prefix_end(SLICE(""), &end);
    assert_int_equal(end.size, 1);
    buf_deinit(&end);
}

static void test_what_may_have_been_done(void **state)
{
    (void)state;
    /* UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED, UNKNOWN, INTERNAL, ABORTED,
     * and whatever nobody knows. */
    const int unsure[] = {14, 4, 1, 2, 13, 10, 15, 77, -1};
    const int sure[] = {0, 3, 5, 7, 8, 9, 11, 12, 16};
    for (size_t i = 0; i < sizeof unsure / sizeof unsure[0]; i++)
        assert_true(
            store__is_unsure(&(struct store_answer){.code = unsure[i]}));
    for (size_t i = 0; i < sizeof sure / sizeof sure[0]; i++)
        assert_false(store__is_unsure(&(struct store_answer){.code = sure[i]}));
}

static int64_t lease_of(const void *context, int64_t ttl_ns)
{
    (void)context;
    return 7000 + ttl_ns / SECOND;
}

static const Etcdserverpb__TxnRequest *decode(struct arena *arena,
                                              const struct store_txn *txn)
{
    ProtobufCMessage *message;
    enum err err = message_decode(&etcdserverpb__txn_request__descriptor,
                                  buf_slice(&txn->body), arena, &message);
    assert_int_equal(err, ERR_OK);
    return (const Etcdserverpb__TxnRequest *)message;
}

static void test_a_txn_as_etcd_reads_it(void **state)
{
    (void)state;
    struct arena arena;
    struct store_txn txn;
    static char large[300];
    arena_init(&arena, 0);
    memset(large, 'x', sizeof large);
    struct turn_operation inner_put = {.kind = TURN_PUT,
                                       .key = SLICE("/inner"),
                                       .value = SLICE("i"),
                                       .ttl_ns = 20 * SECOND};
    struct turn_operation inner_delete = {
        .kind = TURN_DELETE, .key = SLICE("/x/"), .end = SLICE("/x0")};
    struct turn_compare inner_compare = {.key = SLICE("/v"),
                                         .target = TURN_VALUE,
                                         .operator= TURN_UNEQUAL,
                                         .value = SLICE("")};
    struct turn_txn inner = {.compares = &inner_compare,
                             .compare_count = 1,
                             .then = &inner_put,
                             .then_count = 1,
                             .otherwise = &inner_delete,
                             .otherwise_count = 1};
    struct turn_operation operation = {.kind = TURN_TXN, .txn = &inner};
    store_txn__begin(&txn);
    store_txn__compare_number(&txn, SLICE("/k"), TURN_CREATE_REVISION, 0);
    store_txn__compare_number(&txn, SLICE("/k"), TURN_MOD_REVISION, 12345);
    store_txn__compare(&txn, &(struct turn_compare){.key = SLICE("/k"),
                                                    .target = TURN_VERSION,
                                                    .operator= TURN_GREATER,
                                                    .number = 3});
    store_txn__put(&txn, SLICE("/p"), slice_of(large, sizeof large), 99);
    store_txn__operation(&txn, &operation, lease_of, NULL);
    store_txn__range(&txn, SLICE("/r/"), SLICE("/r0"), 5, 10);
    store_txn__else_get(&txn, SLICE("/e"));
    const Etcdserverpb__TxnRequest *read = decode(&arena, &txn);
    assert_int_equal(read->n_compare, 3);
    assert_int_equal(read->compare[0]->target,
                     ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE);
    /* A zero that is compared with is there, and isn't left out. */
    assert_int_equal(read->compare[0]->target_union_case,
                     ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION);
    assert_int_equal(read->compare[1]->mod_revision, 12345);
    assert_int_equal(read->compare[2]->result,
                     ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER);
    assert_int_equal(read->compare[2]->version, 3);
    assert_int_equal(read->n_success, 3);
    assert_int_equal(read->success[0]->request_put->value.len, sizeof large);
    assert_int_equal(read->success[0]->request_put->lease, 99);
    const Etcdserverpb__TxnRequest *nested = read->success[1]->request_txn;
    assert_int_equal(nested->compare[0]->target_union_case,
                     ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE);
    assert_int_equal(nested->success[0]->request_put->lease, 7020);
    assert_int_equal(nested->failure[0]->request_delete_range->range_end.len,
                     3);
    assert_int_equal(read->success[2]->request_range->revision, 5);
    assert_int_equal(read->success[2]->request_range->limit, 10);
    assert_int_equal(read->n_failure, 1);
    buf_deinit(&txn.body);
    arena_deinit(&arena);
}

static void test_answers_in_place(void **state)
{
    (void)state;
    struct buf header = {0};
    struct buf answer = {0};
    int64_t revision = 0;
    pb_put_i64(&header, 3, 77);
    pb_put_bytes_always(&answer, 1, buf_slice(&header));
    assert_false(store__succeeded(buf_slice(&answer), &revision));
    assert_int_equal(revision, 77);
    pb_put_bool(&answer, 2, true);
    assert_true(store__succeeded(buf_slice(&answer), &revision));
    /* Cut short it is no success. */
    buf_append_char(&answer, 0x1a);
    buf_append_char(&answer, 0x7f);
    assert_false(store__succeeded(buf_slice(&answer), &revision));
    buf_deinit(&header);
    buf_deinit(&answer);
}

/* ---- a runner whose doors note what they are asked ---------------------- */

struct notes {
    uint64_t last_id;
    enum runner_method last_method;
    unsigned calls;
    unsigned watches;
};

static void note_call(void *context, uint64_t id, enum runner_method method,
                      struct slice request)
{
    struct notes *notes = context;
    (void)request;
    notes->last_id = id;
    notes->last_method = method;
    notes->calls++;
}

static void note_watch(void *context, struct slice request)
{
    struct notes *notes = context;
    (void)request;
    notes->watches++;
}

static void note_act(void *context, uint64_t id, const struct act *act)
{
    (void)context;
    (void)id;
    (void)act;
}

static void note_answer(void *context, uint64_t id,
                        const struct rest_answer *answer)
{
    (void)context;
    (void)id;
    (void)answer;
}

static struct runner *begin(struct notes *notes)
{
    *notes = (struct notes){0};
    struct runner_config config = {
        .doors = {.context = notes,
                  .call = note_call,
                  .watch = note_watch,
                  .act = note_act,
                  .respond = note_answer},
        .zones = world_zones(),
        .seed = 1,
        .name = "one",
        .is_etched = true,
        .lease_ns = 10 * SECOND,
        .lazy_ns = 60 * SECOND,
    };
    return runner_new(&config);
}

static int done_times;
static int done_code;
static void done(struct runner *runner, void *context,
                 const struct store_answer *answer)
{
    (void)runner;
    (void)context;
    done_times++;
    done_code = answer->code;
}

static void test_an_answer_is_told_once(void **state)
{
    (void)state;
    struct notes notes;
    struct runner *runner = begin(&notes);
    struct runner_now now = {.mono_ns = SECOND, .wall_ns = SECOND};
    done_times = 0;
    runner_run(runner, now);
    uint64_t id = store__range(runner, SLICE("/a"), NULL, 0, 0, done, NULL);
    assert_int_equal(notes.last_id, id);
    runner_answered(runner, id, 0, SLICE(""), SLICE(""), false);
    runner_answered(runner, id, 0, SLICE(""), SLICE(""), false);
    assert_int_equal(done_times, 1);
    assert_int_equal(done_code, 0);
    /* One that was canceled is never told. */
    id = store__range(runner, SLICE("/a"), NULL, 0, 0, done, NULL);
    store__cancel(runner, id);
    store__cancel(runner, id);
    store__cancel(runner, 0);
    runner_answered(runner, id, 0, SLICE(""), SLICE(""), false);
    assert_int_equal(done_times, 1);
    /* One that can't be read is an error. */
    id = store__range(runner, SLICE("/a"), NULL, 0, 0, done, NULL);
    runner_answered(runner, id, 0, SLICE(""), SLICE("\x0a\x7f"), false);
    assert_int_equal(done_times, 2);
    assert_int_equal(done_code, 13);
    /* And one that never comes, too. */
    store__range(runner, SLICE("/a"), NULL, 0, 0, done, NULL);
    now.mono_ns += (CALL_TIMEOUT_S + 1) * SECOND;
    runner_run(runner, now);
    assert_int_equal(done_times, 3);
    assert_int_equal(done_code, 4);
    runner_free(runner);
}

static void test_nothing_that_comes_hurts(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct notes notes;
        struct prng prng;
        char bytes[200];
        prng_init(&prng, seed);
        struct runner *runner = begin(&notes);
        struct runner_now now = {.mono_ns = SECOND, .wall_ns = SECOND};
        for (int i = 0; i < 200; i++) {
            size_t size = prng_below(&prng, sizeof bytes);
            for (size_t at = 0; at < size; at++)
                bytes[at] =
                    (char)(prng_below(&prng, 2) ? prng_below(&prng, 256)
                                                : prng_below(&prng, 16));
            struct slice text = slice_of(bytes, size);
            bool is_fine = prng_below(&prng, 3) == 0;
            switch (prng_below(&prng, 5)) {
            case 0:
                runner_watched(runner, text);
                break;
            case 1:
                runner_watch_ended(runner, 14, text);
                break;
            case 2:
                runner_acted(runner, prng_below(&prng, 5),
                             &(struct act_answer){.error = text});
                break;
            default:
                runner_answered(runner, notes.last_id - prng_below(&prng, 3),
                                is_fine ? 0 : (int)prng_below(&prng, 17), text,
                                prng_below(&prng, 2) ? SLICE("") : text, false);
                break;
            }
            now.mono_ns += prng_between(&prng, 0, SECOND);
            now.wall_ns += prng_between(&prng, -SECOND, SECOND);
            runner_run(runner, now);
        }
        runner_free(runner);
    }
}

static void test_watch_responses_of_another_mind(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 3);
    world_define(&world, "{name: copy, start: beginning,"
                         " if: [{key: '/from/{id}'}], then:"
                         " [{put: {key: '/to/{{id}}', value: '{{raw}}'}}]}");
    world_start(&world, 0);
    world_run(&world, SECOND);
    struct runner *runner = world.clients[0].runner;
    const struct feed *feed =
        def__find(runner, SLICE("copy"))->work->subs[0].feed;
    assert_non_null(feed);
    /* Events whose revisions run back, and one without a key: the watch begins
     * again, and what was meant comes. */
    struct buf event = {0};
    struct buf response = {0};
    pb_put_bytes_always(&event, 2, SLICE("\x18\x05"));
    pb_put_i64(&response, 2, feed->watch.id);
    struct buf later = {0};
    struct buf kv = {0};
    pb_put_bytes(&kv, 1, SLICE("/from/odd"));
    pb_put_i64(&kv, 3, 1000000);
    pb_put_bytes_always(&later, 2, buf_slice(&kv));
    pb_put_bytes_always(&response, 11, buf_slice(&later));
    pb_put_bytes_always(&response, 11, buf_slice(&event));
    runner_watched(runner, buf_slice(&response));
    buf_deinit(&event);
    buf_deinit(&later);
    buf_deinit(&kv);
    buf_deinit(&response);
    world_run(&world, 3 * SECOND);
    assert_true(feed->watch.generation > 1);
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_end_of_a_prefix),
        cmocka_unit_test(test_what_may_have_been_done),
        cmocka_unit_test(test_a_txn_as_etcd_reads_it),
        cmocka_unit_test(test_answers_in_place),
        cmocka_unit_test(test_an_answer_is_told_once),
        cmocka_unit_test(test_nothing_that_comes_hurts),
        cmocka_unit_test(test_watch_responses_of_another_mind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
