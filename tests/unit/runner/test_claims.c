/* Claims, leases and releases, answered by hand: late, twice asked for, in
 * the wrong order, or never. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "proto/message.h"
#include "runner_hand.h"

static const char copy_json[] =
    "{\"name\":\"copy\",\"if\":[{\"key\":\"/from/{id}\"}],"
    "\"then\":[{\"put\":{\"key\":\"/to/{{id}}\",\"value\":\"x\"}}]}";

/* Definitions are known: none but those that the watch tells. */
static struct hand *begin(int64_t revision)
{
    struct hand *hand = hand_new(true);
    hand_answer_defs(hand, revision);
    return hand;
}

static void tell_one(struct hand *hand, const char *prefix,
                     const struct hand_kv *kv)
{
    hand_tell(hand, hand_watch_of(hand, prefix), kv, 1, false);
}

static void tell_def(struct hand *hand, const char *name, int64_t revision)
{
    char key[64];
    char json[256];
    snprintf(key, sizeof key, "/_recipes/def/%s", name);
    snprintf(json, sizeof json,
             "{\"name\":\"%s\",\"if\":[{\"key\":\"/from/{id}\"}],"
             "\"then\":[{\"put\":{\"key\":\"/to/{{id}}\",\"value\":\"x\"}}]}",
             name);
    struct hand_kv kv = {key, json, revision, revision, 1};
    tell_one(hand, "/_recipes/def/", &kv);
}

static struct def *def_of(struct hand *hand, const char *name)
{
    return def__find(hand->runner, slice_str(name));
}

static struct hand_call *claim_of(struct hand *hand, const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "/_recipes/owner/%s", name);
    return hand_find(hand, RUNNER_TXN, key);
}

/* ---- the beginning ------------------------------------------------------- */

static void test_without_a_recipe_the_store_is_left_alone(void **state)
{
    (void)state;
    struct hand *hand = begin(10);
    hand_run(hand, 30 * SECOND_NS);
    assert_null(hand_find(hand, RUNNER_LEASE_GRANT, ""));
    assert_int_equal(hand->runner->workers.state, WORKER_NONE);
    struct hand_kv kv = {"/_recipes/def/copy", copy_json, 11, 11, 1};
    tell_one(hand, "/_recipes/def/", &kv);
    assert_non_null(hand_find(hand, RUNNER_LEASE_GRANT, ""));
    assert_int_equal(hand->runner->workers.state, WORKER_GRANTING);
    hand_free(hand);
}

static const Etcdserverpb__TxnRequest *read_txn(struct arena *arena,
                                                const struct hand_call *call)
{
    ProtobufCMessage *message;
    enum err err = message_decode(&etcdserverpb__txn_request__descriptor,
                                  buf_slice(&call->request), arena, &message);
    assert_int_equal(err, ERR_OK);
    return (const Etcdserverpb__TxnRequest *)message;
}

static void assert_bytes(ProtobufCBinaryData bytes, const char *text)
{
    assert_true(slice_eq(message_bytes(bytes), slice_str(text)));
}

static void test_a_worker_puts_its_key_on_its_lease(void **state)
{
    (void)state;
    struct hand *hand = begin(10);
    struct arena arena;
    struct buf grant = {0};
    arena_init(&arena, 0);
    tell_def(hand, "copy", 11);
    pb_put_i64(&grant, 2, 0xabcdef);
    pb_put_i64(&grant, 3, 10);
    hand_answer(hand, hand_find(hand, RUNNER_LEASE_GRANT, ""), &grant);
    buf_deinit(&grant);
    struct hand_call *join = hand_find(hand, RUNNER_TXN, "/_recipes/worker/");
    const Etcdserverpb__TxnRequest *txn = read_txn(&arena, join);
    assert_int_equal(txn->n_compare, 0);
    assert_int_equal(txn->n_success, 1);
    const Etcdserverpb__PutRequest *put = txn->success[0]->request_put;
    assert_bytes(put->key, "/_recipes/worker/abcdef");
    assert_bytes(put->value, "{\"name\":\"by \\\"hand\\\"\"}");
    assert_int_equal(put->lease, 0xabcdef);
    /* Nothing is claimed before the key is there. */
    assert_null(claim_of(hand, "copy"));
    hand_answer_txn(hand, join, true, 12);
    assert_int_equal(hand->runner->workers.state, WORKER_LIVES);
    txn = read_txn(&arena, claim_of(hand, "copy"));
    assert_int_equal(txn->n_compare, 2);
    assert_bytes(txn->compare[0]->key, "/_recipes/owner/copy");
    assert_int_equal(txn->compare[0]->target_union_case,
                     ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION);
    assert_int_equal(txn->compare[0]->create_revision, 0);
    assert_bytes(txn->compare[1]->key, "/_recipes/def/copy");
    assert_int_equal(txn->compare[1]->create_revision, 11);
    assert_bytes(txn->success[0]->request_put->value, "abcdef");
    assert_int_equal(txn->success[0]->request_put->lease, 0xabcdef);
    arena_deinit(&arena);
    hand_free(hand);
}

static void test_a_grant_that_is_none(void **state)
{
    (void)state;
    struct hand *hand = begin(10);
    tell_def(hand, "copy", 11);
    /* Refused; granted without an id; without a time; not to be read. */
    for (int i = 0; i < 4; i++) {
        struct hand_call *call = hand_find(hand, RUNNER_LEASE_GRANT, "");
        assert_non_null(call);
        struct buf grant = {0};
        if (i == 1)
            pb_put_i64(&grant, 3, 10);
        if (i == 2)
            pb_put_i64(&grant, 2, 5);
        if (i == 3)
            buf_append_str(&grant, "\x12");
        if (i == 0)
            hand_refuse(hand, call, 8);
        else
            hand_answer(hand, call, &grant);
        buf_deinit(&grant);
        assert_int_equal(hand->runner->workers.state, WORKER_NONE);
        assert_null(hand_find(hand, RUNNER_TXN, "/_recipes/worker/"));
        hand_run(hand, 11 * SECOND_NS);
    }
    hand_grant(hand, 77, 10, 12);
    assert_int_equal(hand->runner->workers.state, WORKER_LIVES);
    assert_int_equal(hand->runner->workers.failures, 0);
    hand_free(hand);
}

/* ---- keepalives ---------------------------------------------------------- */

static void answer_beat(struct hand *hand, int64_t ttl_s)
{
    struct buf beat = {0};
    pb_put_i64(&beat, 2, 77);
    pb_put_i64(&beat, 3, ttl_s);
    hand_answer(hand, hand_find(hand, RUNNER_LEASE_KEEPALIVE, ""), &beat);
    buf_deinit(&beat);
}

static void test_a_beat_counts_from_when_it_was_sent(void **state)
{
    (void)state;
    struct hand *hand = begin(10);
    tell_def(hand, "copy", 11);
    hand_grant(hand, 77, 9, 12);
    const struct workers *workers = &hand->runner->workers;
    int64_t granted_ns = hand->now.mono_ns;
    assert_int_equal(workers->alive_until_ns, granted_ns + 9 * SECOND_NS);
    hand_run(hand, 3 * SECOND_NS);
    assert_int_equal(hand_count(hand, RUNNER_LEASE_KEEPALIVE, ""), 1);
    hand_run(hand, 2 * SECOND_NS);
    answer_beat(hand, 9);
    /* 3 s after it was granted it was sent, whenever it came back. */
    assert_int_equal(workers->alive_until_ns, granted_ns + 12 * SECOND_NS);
    /* The shorter word of one that is late changes nothing. */
    hand_run(hand, SECOND_NS);
    answer_beat(hand, 1);
    assert_int_equal(workers->alive_until_ns, granted_ns + 12 * SECOND_NS);
    hand_free(hand);
}

static void test_without_beats_it_is_another_worker(void **state)
{
    (void)state;
    struct hand *hand = begin(10);
    tell_def(hand, "copy", 11);
    hand_grant(hand, 77, 9, 12);
    hand_answer_txn(hand, claim_of(hand, "copy"), true, 13);
    assert_non_null(def_of(hand, "copy")->work);
    for (int i = 0; i < 8; i++) {
        hand_run(hand, SECOND_NS);
        assert_non_null(def_of(hand, "copy")->work);
    }
    hand_run(hand, SECOND_NS);
    assert_null(def_of(hand, "copy")->work);
    assert_int_equal(hand->runner->workers.state, WORKER_NONE);
    assert_int_equal(hand->runner->workers.lease, 0);
    /* An old beat that is answered now revives nobody. */
    hand_run(hand, 0);
    struct hand_call *old = hand_find(hand, RUNNER_LEASE_KEEPALIVE, "");
    struct buf beat = {0};
    pb_put_i64(&beat, 3, 9);
    hand_answer(hand, old, &beat);
    buf_deinit(&beat);
    assert_int_equal(hand->runner->workers.state, WORKER_NONE);
    hand_run(hand, 11 * SECOND_NS);
    assert_int_equal(hand->runner->workers.state, WORKER_GRANTING);
    hand_free(hand);
}

static void test_told_that_its_lease_has_ended(void **state)
{
    (void)state;
    struct hand *hand = begin(10);
    tell_def(hand, "copy", 11);
    hand_grant(hand, 77, 9, 12);
    hand_answer_txn(hand, claim_of(hand, "copy"), true, 13);
    hand_run(hand, 3 * SECOND_NS);
    answer_beat(hand, 0);
    assert_int_equal(hand->runner->workers.state, WORKER_NONE);
    assert_null(def_of(hand, "copy")->work);
    hand_free(hand);
}

/* ---- claims -------------------------------------------------------------- */

static void test_a_claim_that_comes_back_under_another_name(void **state)
{
    (void)state;
    struct hand *hand = begin(10);
    tell_def(hand, "copy", 11);
    hand_grant(hand, 0x77, 9, 12);
    struct hand_call *late = claim_of(hand, "copy");
    assert_non_null(late);
    hand_run(hand, 9 * SECOND_NS); /* the lease is in doubt */
    assert_int_equal(hand->runner->workers.state, WORKER_NONE);
    hand_run(hand, 5 * SECOND_NS);
    hand_grant(hand, 0x88, 9, 14);
    /* The claim of the worker that was: it isn't ours by that. */
    late = claim_of(hand, "copy");
    assert_non_null(memmem(late->request.at, late->request.size, "77", 2));
    hand_answer_txn(hand, late, true, 13);
    struct def *def = def_of(hand, "copy");
    assert_null(def->work);
    struct hand_kv kv = {"/_recipes/owner/copy", "77", 13, 13, 1};
    tell_one(hand, "/_recipes/owner/", &kv);
    assert_true(slice_eq(def->owner, SLICE("77")));
    assert_null(def->work);
    /* Its key goes with its lease; then it is claimed anew. */
    struct hand_kv gone = {"/_recipes/owner/copy", NULL, 0, 20, 0};
    tell_one(hand, "/_recipes/owner/", &gone);
    struct hand_call *claim = NULL;
    for (size_t i = 0; i < hand->call_count; i++)
        if (!hand->calls[i].is_answered && hand->calls[i].method == RUNNER_TXN)
            claim = &hand->calls[i];
    assert_non_null(memmem(claim->request.at, claim->request.size, "88", 2));
    hand_answer_txn(hand, claim, true, 21);
    assert_non_null(def->work);
    assert_int_equal(def->work->claim, 21);
    hand_free(hand);
}

static void test_a_claim_that_was_lost_is_not_repeated_at_once(void **state)
{
    (void)state;
    struct hand *hand = begin(10);
    tell_def(hand, "copy", 11);
    hand_grant(hand, 77, 600, 12);
    hand_refuse(hand, claim_of(hand, "copy"), 14);
    size_t calls = hand->call_count;
    hand_run(hand, MILLI_NS);
    /* Who claims again and again while the store is away helps nobody. */
    assert_in_range(hand->call_count - calls, 0, 1);
    for (int i = 0; i < 20 && !claim_of(hand, "copy"); i++)
        hand_run(hand, 500 * MILLI_NS);
    assert_non_null(claim_of(hand, "copy"));
    hand_answer_txn(hand, claim_of(hand, "copy"), true, 13);
    assert_non_null(def_of(hand, "copy")->work);
    hand_free(hand);
}

static void test_somebody_else_has_it(void **state)
{
    (void)state;
    struct hand *hand = begin(10);
    tell_def(hand, "copy", 11);
    hand_grant(hand, 77, 600, 12);
    struct hand_call *claim = claim_of(hand, "copy");
    /* The watch is faster than the answer. */
    struct hand_kv kv = {"/_recipes/owner/copy", "other", 13, 13, 1};
    tell_one(hand, "/_recipes/owner/", &kv);
    claim = claim_of(hand, "copy");
    hand_answer_txn(hand, claim, false, 13);
    struct def *def = def_of(hand, "copy");
    assert_true(slice_eq(def->owner, SLICE("other")));
    assert_null(def->work);
    assert_null(claim_of(hand, "copy"));
    /* News from before is passed over. */
    def__set_owner(hand->runner, def, SLICE("older"), 12, 12);
    assert_true(slice_eq(def->owner, SLICE("other")));
    hand_free(hand);
}

static void test_at_most_so_many_claims_are_under_way(void **state)
{
    (void)state;
    struct hand *hand = begin(10);
    for (int i = 0; i < 200; i++) {
        char name[16];
        snprintf(name, sizeof name, "r%d", i);
        tell_def(hand, name, 11 + i);
    }
    hand_grant(hand, 77, 600, 300);
    size_t most = 0;
    int64_t revision = 300;
    for (int i = 0; i < 200; i++) {
        size_t under_way = hand_count(hand, RUNNER_TXN, "/_recipes/owner/") -
                           hand_count(hand, RUNNER_TXN, "/_recipes/cursor/");
        most = under_way > most ? under_way : most;
        assert_true(hand->runner->workers.claiming <= CALLS_IN_FLIGHT_MAX);
        struct hand_call *call = hand_find(hand, RUNNER_TXN, "");
        if (!call)
            break;
        /* Those that are loaded are told that they aren't theirs. */
        bool is_load =
            memmem(call->request.at, call->request.size, "cursor", 6) != NULL;
        hand_answer_txn(hand, call, !is_load, ++revision);
    }
    assert_int_equal(most, CALLS_IN_FLIGHT_MAX);
    hand_free(hand);
}

/* ---- others come and go -------------------------------------------------- */

/* A worker that has a greater weight for the recipe than 0x77 (or a less
 * one). */
static void find_worker(const char *recipe, bool is_heavier, char out[24])
{
    uint64_t mine = workers__weight(slice_str(recipe), SLICE("77"));
    for (unsigned i = 0x1000;; i++) {
        snprintf(out, 24, "%x", i);
        if ((workers__weight(slice_str(recipe), slice_str(out)) > mine) ==
            is_heavier)
            return;
    }
}

static void tell_worker(struct hand *hand, const char *id, bool lives,
                        int64_t revision)
{
    char key[64];
    snprintf(key, sizeof key, "/_recipes/worker/%s", id);
    struct hand_kv kv = {key, lives ? "{}" : NULL, revision, revision, lives};
    tell_one(hand, "/_recipes/worker/", &kv);
}

static void test_it_is_given_to_who_should_have_it(void **state)
{
    (void)state;
    struct hand *hand = begin(10);
    struct arena arena;
    char heavy[24];
    char light[24];
    arena_init(&arena, 0);
    find_worker("copy", true, heavy);
    find_worker("copy", false, light);
    tell_def(hand, "copy", 11);
    hand_grant(hand, 0x77, 600, 12);
    hand_answer_txn(hand, claim_of(hand, "copy"), true, 13);
    struct def *def = def_of(hand, "copy");
    tell_worker(hand, light, true, 14);
    assert_non_null(def->work);
    assert_false(def->work->is_parting);
    /* One that comes and is gone before the load is done: it stays. */
    struct hand_call *load = claim_of(hand, "copy");
    assert_non_null(load);
    tell_worker(hand, heavy, true, 15);
    assert_true(def->work->is_parting);
    tell_worker(hand, heavy, false, 16);
    assert_false(def->work->is_parting);
    tell_worker(hand, heavy, true, 17);
    load = claim_of(hand, "copy");
    hand_refuse(hand, load, 14);
    /* At rest: it is given back, with the claim's revision compared. */
    assert_null(def->work);
    const Etcdserverpb__TxnRequest *txn =
        read_txn(&arena, claim_of(hand, "copy"));
    assert_int_equal(txn->n_compare, 1);
    assert_int_equal(txn->compare[0]->create_revision, 13);
    assert_int_equal(txn->success[0]->request_case,
                     ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE);
    hand_answer_txn(hand, claim_of(hand, "copy"), true, 18);
    assert_int_equal(def->owner.size, 0);
    assert_null(claim_of(hand, "copy"));
    /* The other one goes: it is ours again. */
    tell_worker(hand, heavy, false, 19);
    assert_non_null(claim_of(hand, "copy"));
    arena_deinit(&arena);
    hand_free(hand);
}

static void test_one_whose_owner_went_without_a_word(void **state)
{
    (void)state;
    struct hand *hand = begin(10);
    char heavy[24];
    find_worker("copy", true, heavy);
    tell_def(hand, "copy", 11);
    hand_grant(hand, 0x77, 600, 12);
    tell_worker(hand, heavy, true, 13);
    hand_answer_txn(hand, claim_of(hand, "copy"), false, 13);
    struct hand_kv kv = {"/_recipes/owner/copy", heavy, 14, 14, 1};
    tell_one(hand, "/_recipes/owner/", &kv);
    assert_null(claim_of(hand, "copy"));
    /* Its worker's key is gone first, its claim a revision later. */
    tell_worker(hand, heavy, false, 15);
    assert_null(claim_of(hand, "copy"));
    struct hand_kv gone = {"/_recipes/owner/copy", NULL, 0, 16, 0};
    tell_one(hand, "/_recipes/owner/", &gone);
    assert_non_null(claim_of(hand, "copy"));
    hand_free(hand);
}

static void test_deleted_while_it_is_claimed(void **state)
{
    (void)state;
    struct hand *hand = begin(10);
    tell_def(hand, "copy", 11);
    hand_grant(hand, 77, 600, 12);
    assert_int_equal(hand->runner->workers.claiming, 1);
    struct hand_kv gone = {"/_recipes/def/copy", NULL, 0, 13, 0};
    tell_one(hand, "/_recipes/def/", &gone);
    assert_null(def_of(hand, "copy"));
    assert_int_equal(hand->runner->workers.claiming, 0);
    hand_answer_txn(hand, claim_of(hand, "copy"), true, 12);
    assert_int_equal(hand->runner->defs.by_name.count, 0);
    /* One that is ours and is deleted: the claim is given back. */
    tell_def(hand, "copy", 14);
    hand_answer_txn(hand, claim_of(hand, "copy"), true, 15);
    assert_non_null(def_of(hand, "copy")->work);
    struct hand_kv again = {"/_recipes/def/copy", NULL, 0, 16, 0};
    tell_one(hand, "/_recipes/def/", &again);
    assert_null(def_of(hand, "copy"));
    assert_int_equal(hand->runner->workers.claiming, 1);
    hand_free(hand);
}

/* ---- leaving ------------------------------------------------------------ */

static void test_it_leaves_with_its_lease(void **state)
{
    (void)state;
    struct hand *hand = begin(10);
    tell_def(hand, "copy", 11);
    hand_grant(hand, 77, 600, 12);
    hand_answer_txn(hand, claim_of(hand, "copy"), true, 13);
    runner_stop(hand->runner);
    hand_run(hand, 0);
    /* What is being loaded is let go when its answer has come. */
    assert_false(runner_is_stopped(hand->runner));
    if (!hand_find(hand, RUNNER_LEASE_REVOKE, ""))
        hand_answer_txn(hand, claim_of(hand, "copy"), false, 14);
    struct hand_call *revoke = hand_find(hand, RUNNER_LEASE_REVOKE, "");
    assert_non_null(revoke);
    struct buf none = {0};
    hand_answer(hand, revoke, &none);
    assert_true(runner_is_stopped(hand->runner));
    assert_int_equal(hand_run(hand, SECOND_NS), INT64_MAX);
    hand_free(hand);
}

static void test_left_alone_it_stops_all_the_same(void **state)
{
    (void)state;
    struct hand *hand = begin(10);
    tell_def(hand, "copy", 11);
    hand_grant(hand, 77, 9, 12);
    hand_answer_txn(hand, claim_of(hand, "copy"), true, 13);
    runner_stop(hand->runner);
    runner_stop(hand->runner);
    for (int i = 0; i < 60 && !runner_is_stopped(hand->runner); i++)
        hand_run(hand, SECOND_NS);
    assert_true(runner_is_stopped(hand->runner));
    hand_free(hand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_recipe_the_store_is_left_alone),
        cmocka_unit_test(test_a_worker_puts_its_key_on_its_lease),
        cmocka_unit_test(test_a_grant_that_is_none),
        cmocka_unit_test(test_a_beat_counts_from_when_it_was_sent),
        cmocka_unit_test(test_without_beats_it_is_another_worker),
        cmocka_unit_test(test_told_that_its_lease_has_ended),
        cmocka_unit_test(test_a_claim_that_comes_back_under_another_name),
        cmocka_unit_test(test_a_claim_that_was_lost_is_not_repeated_at_once),
        cmocka_unit_test(test_somebody_else_has_it),
        cmocka_unit_test(test_at_most_so_many_claims_are_under_way),
        cmocka_unit_test(test_it_is_given_to_who_should_have_it),
        cmocka_unit_test(test_one_whose_owner_went_without_a_word),
        cmocka_unit_test(test_deleted_while_it_is_claimed),
        cmocka_unit_test(test_it_leaves_with_its_lease),
        cmocka_unit_test(test_left_alone_it_stops_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
