/* What clients ask of v3 and what is made of the answers: each of them is held
 * against the twin and the leases of the log. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/sim/sim_stories.h"
#include "unit/sim/sim_worlds.h"

enum { PAIR = SIM_KEYS, SEEN_PAIR = SIM_KEYS + 1 };

static const struct linear_op *last_op(const struct sim *sim, int object)
{
    const struct sim_history *history = &sim->histories[object];
    assert_true(history->count > 0);
    return &history->ops[history->count - 1];
}

/* ---- objects ------------------------------------------------------------- */

static void every_kind(int object)
{
    struct sim *sim = world_led(1);
    static const struct {
        enum sim_kind kind;
        enum linear_kind linear;
        bool refused;
    } story[] = {
        {SIM_PUT_OLD, LINEAR_UPDATE, true},
        {SIM_END, LINEAR_DELETE, true},
        {SIM_END_IF, LINEAR_END_IF, true},
        {SIM_PUT_NEW, LINEAR_PUT_IF, false},
        {SIM_PUT_NEW, LINEAR_PUT_IF, true},
        {SIM_PUT_NEW, LINEAR_PUT_IF, true},
        {SIM_PUT_IF, LINEAR_PUT_IF, false},
        {SIM_PUT_IF, LINEAR_PUT_IF, false},
        {SIM_PUT_OLD, LINEAR_UPDATE, false},
        {SIM_PUT, LINEAR_SET, false},
        {SIM_PUT, LINEAR_SET, false},
        {SIM_PUT, LINEAR_SET, false},
        {SIM_PUT, LINEAR_SET, false}, /* one of four has a txn in it */
        {SIM_GET, LINEAR_READ, false},
        {SIM_END_IF, LINEAR_END_IF, false},
        {SIM_PUT_NEW, LINEAR_PUT_IF, false},
        {SIM_END, LINEAR_DELETE, false},
        {SIM_PUT_IF, LINEAR_PUT_IF, true},
        {SIM_GET, LINEAR_READ, false},
    };
    for (size_t i = 0; i < sizeof story / sizeof story[0]; i++) {
        world_done(sim->members[1], story[i].kind, object);
        assert_int_equal(last_op(sim, object)->kind, story[i].linear);
        assert_int_equal(last_op(sim, object)->refused, story[i].refused);
    }
    assert_int_equal(last_op(sim, object)->seen, 0);
    sim__check_histories(sim);
    sim__check_hash(sim->members[1]);
    world_free(sim);
}

static void test_every_kind_on_a_plain_key(void **state)
{
    (void)state;
    every_kind(0);
}

static void test_every_kind_on_a_pair(void **state)
{
    (void)state;
    every_kind(PAIR);
    every_kind(SEEN_PAIR);
}

static void test_a_pair_is_written_in_one_commit(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    world_done(sim->members[1], SIM_PUT, PAIR);
    const struct mvcc_commit *commit =
        ledger_commit_at(&sim->ledger, sim->ledger.revision);
    assert_int_equal(commit->count, 2);
    assert_true(slice_eq(commit->records[0].key, SLICE("p0/a")));
    assert_true(slice_eq(commit->records[1].key, SLICE("p0/b")));
    assert_true(slice_eq(commit->records[0].value, commit->records[1].value));
    world_free(sim);
}

static void test_both_apis_on_one_key(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *member = world_follower(sim);
    world_done(member, SIM_PUT, 3);
    uint32_t put = last_op(sim, 3)->value;
    world_done(world_leader(sim), SIM_READ, 3);
    assert_int_equal(last_op(sim, 3)->seen, put);
    world_done(member, SIM_SWAP, 3);
    assert_false(last_op(sim, 3)->refused);
    uint32_t swapped = last_op(sim, 3)->value;
    world_done(member, SIM_GET, 3);
    assert_int_equal(last_op(sim, 3)->seen, swapped);
    world_done(member, SIM_PUT_IF, 3);
    assert_false(last_op(sim, 3)->refused);
    world_done(member, SIM_DELETE, 3);
    world_done(member, SIM_PUT_NEW, 3);
    assert_false(last_op(sim, 3)->refused);
    sim__check_histories(sim);
    world_free(sim);
}

/* ---- objections ---------------------------------------------------------- */

static struct ledger_key *twin_of(struct sim *sim, const char *key)
{
    struct ledger_key *found =
        map_get(&sim->ledger.keys[MVCC_KEYS], slice_str(key));
    assert_non_null(found);
    return found;
}

/* Until the answer is here; the twin is as the test has made it. */
static void wait_for_end(struct sim *sim)
{
    int64_t end_ns = sim->now_ns + SIM_SECOND;
    while (!sim->over && sim->now_ns < end_ns)
        sim__turn(sim);
}

static void test_a_condition_that_did_not_hold(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct world_answer answer;
    world_done(sim->members[1], SIM_PUT, 0);
    world_ask(&answer, sim->members[1], SIM_PUT_IF, 0);
    /* As if another value had been there. */
    answer.client.op->expect++;
    world_fails(sim, 100, "its condition held at revision");
}

static void test_what_was_found_is_what_the_twin_has(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct world_answer answer;
    world_done(sim->members[1], SIM_PUT, 0);
    struct record *record =
        (struct record *)(uintptr_t)twin_of(sim, "/k0")->records[0];
    record->version++;
    world_ask(&answer, sim->members[1], SIM_GET, 0);
    wait_for_end(sim);
    record->version--;
    world_has_failed(sim, "m1: a read: /k0 is told as it isn't");
}

static void test_a_range_that_has_too_much(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct world_answer answer;
    world_done(sim->members[1], SIM_PUT, 0);
    struct ledger_key *key = twin_of(sim, "/k0");
    key->count = 0;
    world_ask(&answer, sim->members[1], SIM_GET, 0);
    wait_for_end(sim);
    key->count = 1;
    world_has_failed(sim, "a key is told that isn't there: /k0");
}

static void test_an_acknowledged_put_is_there(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct world_answer answer;
    world_ask(&answer, sim->members[1], SIM_PUT, 0);
    answer.client.op->value++;
    world_fails(sim, 100, "/k0 isn't at revision");
}

/* An answer that another one has written: `body` in the place of the true. */
static void another_answer(struct sim *sim, struct world_answer *answer,
                           const char *body, size_t size)
{
    struct sim_op *op = answer->client.op;
    while (op->waits)
        sim__turn(sim);
    buf_reset(&op->request.answer.body);
    buf_append(&op->request.answer.body, body, size);
}

static void test_a_put_that_tells_of_nothing(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct world_answer answer;
    world_done(sim->members[1], SIM_PUT, 0);
    world_ask(&answer, sim->members[1], SIM_PUT, 0);
    another_answer(sim, &answer, "", 0); /* no prev_kv */
    world_fails(sim, 100, "/k0 is told as it isn't: it is of revision 2");
}

static void test_a_delete_that_counts_wrong(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct world_answer answer;
    world_done(sim->members[1], SIM_PUT, PAIR);
    world_ask(&answer, sim->members[1], SIM_END, PAIR);
    another_answer(sim, &answer, "\x10\x02", 2); /* and no prev_kvs */
    world_fails(sim, 100, "an answer of another kind");
}

static void test_a_delete_that_says_it_did_nothing(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct world_answer answer;
    world_done(sim->members[1], SIM_PUT, PAIR);
    world_done(sim->members[1], SIM_PUT, 0);
    world_ask(&answer, sim->members[1], SIM_END, PAIR);
    another_answer(sim, &answer, "", 0);
    answer.client.op->request.answer.revision--;
    world_fails(sim, 100, "its condition didn't hold at revision 3");
}

static void test_a_txn_that_says_it_held(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct world_answer answer;
    world_ask(&answer, sim->members[1], SIM_PUT_OLD, 0);
    another_answer(sim, &answer, "\x10\x01", 2);
    world_fails(sim, 100, "its condition held at revision");
}

static void test_an_answer_that_is_no_message(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct world_answer answer;
    world_ask(&answer, sim->members[1], SIM_PUT, PAIR);
    another_answer(sim, &answer, "\xff", 1);
    world_fails(sim, 100, "m1: an acknowledged write: ");
}

static void test_an_object_is_not_refused(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct world_answer answer;
    world_ask(&answer, sim->members[1], SIM_PUT, 0);
    while (answer.client.op->waits)
        sim__turn(sim);
    answer.client.op->request.answer.error = V3_CORRUPT;
    world_fails(sim, 100, "it is refused: error");
}

static void test_a_condition_on_half_of_a_pair(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct world_answer answer;
    world_done(sim->members[1], SIM_PUT, PAIR);
    struct ledger_key *half = twin_of(sim, "p0/b");
    half->count = 0;
    world_ask(&answer, sim->members[1], SIM_GET, PAIR);
    wait_for_end(sim);
    half->count = 1;
    world_has_failed(sim, "p0/b: half of a pair at revision 2");
}

static void test_old_revisions_are_seen_as_they_were(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    uint32_t values[4];
    uint32_t value;
    for (int i = 1; i < 4; i++) {
        world_done(sim->members[1], i % 2 ? SIM_PUT : SIM_SET, 0);
        values[i] = last_op(sim, 0)->value;
    }
    for (revision at = 1; at <= 4; at++) {
        revision seen_at = at;
        assert_int_equal(sim__v3_range(sim->members[1], 0, &seen_at, &value),
                         ERR_OK);
        assert_int_equal(seen_at, at);
        assert_int_equal(value, at == 1 ? 0 : values[at - 1]);
    }
    /* What isn't there yet means now. */
    revision at = 1000;
    assert_int_equal(sim__v3_range(sim->members[1], 0, &at, &value), ERR_OK);
    assert_int_equal(at, 4);
    assert_int_equal(value, values[3]);
    world_free(sim);
}

static void test_half_of_a_pair(void **state)
{
    (void)state;
    struct sim *sim = world_new(1);
    struct record record = story_record(5, "/p1/a", "v17.", NULL);
    struct mvcc_commit *commit = story_commit(5, 1, &record, 1);
    sim__v3_note_commit(sim, commit);
    mvcc_commit_unref(commit);
    world_has_failed(sim, "revision 5 changes half of a pair");
}

static void test_two_halves_that_differ(void **state)
{
    (void)state;
    struct sim *sim = world_new(1);
    struct record records[2] = {story_record(5, "p0/a", "v17.", NULL),
                                story_record(5, "p0/b", "v17.", NULL)};
    struct mvcc_commit *commit = story_commit(5, 1, records, 2);
    sim__v3_note_commit(sim, commit);
    assert_false(sim->over);
    mvcc_commit_unref(commit);
    records[1].value = SLICE("v18.");
    commit = story_commit(5, 1, records, 2);
    sim__v3_note_commit(sim, commit);
    mvcc_commit_unref(commit);
    world_has_failed(sim, "half of a pair");
}

static void test_a_hash_that_differs(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    world_done(world_leader(sim), SIM_PUT, PAIR);
    world_wait(sim, 1000);
    for (int i = 1; i <= 3; i++)
        sim__check_hash(sim->members[i]);
    assert_false(sim->over);
    sim->ledger.places[sim->ledger.commit].hash ^= 1;
    sim__check_hash(sim->members[1]);
    world_has_failed(sim, "m1: HashKV: index");
}

/* ---- leases -------------------------------------------------------------- */

static size_t lease_keys(struct sim *sim, lease_id id)
{
    return ledger_lease_keys(&sim->ledger, id, sim->ledger.revision);
}

/* Granted, with two keys. */
static lease_id with_lease(struct sim *sim)
{
    struct sim_member *member = sim->members[1];
    world_done(member, SIM_GRANT, 0);
    lease_id id = sim->leases[0].id;
    assert_int_not_equal(id, 0);
    assert_true(sim->leases[0].ttl_s >= 2);
    world_done(member, SIM_ATTACH, 0);
    world_done(member, SIM_ATTACH, 0);
    assert_int_equal(lease_keys(sim, id), 2);
    sim__check_store(member);
    return id;
}

static void test_a_lease_ends_with_its_keys(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    lease_id id = with_lease(sim);
    for (int i = 0; i < 10; i++) {
        world_done(sim->members[1], SIM_KEEP, 0);
        assert_int_equal(lease_keys(sim, id), 2);
    }
    world_wait(sim, sim->leases[0].ttl_s * 1000 - 600);
    assert_int_equal(lease_keys(sim, id), 2);
    world_wait(sim, 1500);
    assert_int_equal(lease_keys(sim, id), 0);
    sim__check_store(sim->members[1]);
    /* Whoever comes too late is told so, and that is true. */
    world_done(sim->members[1], SIM_KEEP, 0);
    world_done(sim->members[1], SIM_ATTACH, 0);
    world_done(sim->members[1], SIM_REVOKE, 0);
    world_free(sim);
}

static void test_a_lease_that_is_revoked(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    lease_id id = with_lease(sim);
    world_done(sim->members[1], SIM_REVOKE, 0);
    assert_int_equal(lease_keys(sim, id), 0);
    sim__check_store(sim->members[1]);
    world_free(sim);
}

static void test_v2_and_v3_take_keys_over(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct sim_member *member = sim->members[1];
    lease_id id = with_lease(sim);
    for (int i = 0; i < 4; i++)
        world_done(member, SIM_LOOSEN, 0);
    assert_int_equal(lease_keys(sim, id), 0);
    for (int i = 0; i < 4; i++)
        world_done(member, i % 2 ? SIM_TAKE_OVER : SIM_TTL, 1);
    sim__check_store(member);
    world_wait(sim, 10000);
    sim__check_store(member);
    world_free(sim);
}

static void test_a_lease_keeps_its_time_over_a_restart(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct sim_member *member = world_leader(sim);
    world_done(member, SIM_GRANT, 0);
    world_done(member, SIM_KEEP, 0);
    sim__kill(member);
    world_wait(sim, 200);
    sim__start(member); /* which looks at its leases */
    world_wait(sim, 500);
    struct lessor_change *change = &sim->ledger.lessor.leases[0].changes[0];
    assert_true(sim->ledger.lessor.leases[0].count >= 2);
    change[sim->ledger.lessor.leases[0].count - 1].expire_ns -= SIM_SECOND;
    sim__kill(member);
    sim__start(member);
    world_has_failed(sim, "ends 1000 ms later than it should");
}

static void test_a_snapshot_brings_the_leases(void **state)
{
    (void)state;
    struct sim *sim = world_unborn(3);
    sim->catch_up_entries = 8;
    sim->flush_ns = 20 * SIM_MS;
    sim__begin(sim);
    world_wait(sim, 6000);
    struct sim_member *behind = world_follower(sim);
    for (int i = 1; i <= 3; i++)
        sim__link(sim, i, behind->place)->cut = true;
    /* One that lives long enough. */
    do
        world_done(world_leader(sim), SIM_GRANT, 0);
    while (sim->leases[0].ttl_s < 5);
    for (int i = 0; i < 40; i++)
        world_done(world_leader(sim), i % 4 ? SIM_ATTACH : SIM_KEEP, 0);
    lease_id id = sim->leases[0].id;
    assert_true(lease_keys(sim, id) > 0);
    for (int i = 1; i <= 3; i++)
        sim__link(sim, i, behind->place)->cut = false;
    uint64_t before = sim->result.counts[SIM_COUNT_SNAPSHOTS];
    int64_t end_ns = sim->now_ns + 20 * SIM_SECOND;
    while (sim->result.counts[SIM_COUNT_SNAPSHOTS] == before &&
           sim->now_ns < end_ns)
        sim__turn(sim);
    assert_true(sim->result.counts[SIM_COUNT_SNAPSHOTS] > before);
    world_wait(sim, 100);
    sim__check_store(behind);
    assert_false(sim->over);
    /* Which would have seen a lease that came with another time. */
    const struct lessor_change *lease =
        lessor_get(&sim->ledger.lessor, id, behind->view.applied);
    struct lease_info info;
    if (lease) {
        assert_true(lease_info(node_leases(behind->node), id, &info));
        assert_int_equal(info.expire_ns, lease->expire_ns);
    }
    world_free(sim);
}

static void test_a_lease_that_should_not_be(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    world_done(sim->members[1], SIM_GRANT, 0);
    sim->ledger.lessor.leases[0].changes[0].granted_s = 0;
    sim__check_store(sim->members[1]);
    world_has_failed(sim, "is there, at index");
}

static void test_an_answer_on_a_lease_that_is_wrong(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct world_answer answer;
    world_done(sim->members[1], SIM_GRANT, 0);
    world_ask(&answer, sim->members[1], SIM_ATTACH, 0);
    answer.client.op->lease = 5000;
    world_fails(sim, 100, "lease 5000 is not there before index");
}

static void test_a_ttl_that_is_wrong(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct world_answer answer;
    world_done(sim->members[1], SIM_GRANT, 0);
    world_ask(&answer, sim->members[1], SIM_KEEP, 0);
    sim->ledger.lessor.leases[0].changes[0].granted_s += 3;
    world_fails(sim, 100, "s, and should have");
}

static void test_a_lease_that_ends_early(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    with_lease(sim);
    /* As if it had been kept alive in an hour's time. */
    sim->leases[0].kept_ns = sim->now_ns + 3600 * SIM_SECOND;
    world_fails(sim, 12000, "was kept alive at");
}

static void test_a_lease_that_ends_by_half(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    lease_id id = with_lease(sim);
    /* A third key, that only the twin has. */
    struct record record =
        story_record(sim->ledger.revision + 1, "/l/0/9", "x", NULL);
    record.lease = id;
    assert_int_equal(story_change(&sim->ledger, &record, sim->ledger.time_ns),
                     ERR_OK);
    /* The end of one of the others. */
    const struct mvcc_commit *put =
        ledger_commit_at(&sim->ledger, sim->ledger.revision - 1);
    struct record last = story_record(sim->ledger.revision + 1, "/l/0/9", NULL,
                                      &put->records[0]);
    last.key = put->records[0].key;
    last.cause = MVCC_REVOKE;
    assert_int_equal(story_change(&sim->ledger, &last, sim->ledger.time_ns),
                     ERR_CORRUPT);
    story_note_has("its lease ends, and has keys");
    sim_free(sim);
}

/* ---- all of it ----------------------------------------------------------- */

static void test_clients_speak_both(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    sim->client_count = 4;
    sim->think_ns = 20 * SIM_MS;
    sim__clients_start(sim);
    world_wait(sim, 6000);
    uint64_t v3 = sim->result.counts[SIM_COUNT_V3];
    assert_true(v3 > 100);
    assert_true(sim->result.counts[SIM_COUNT_WRITES] > v3 + 50);
    for (int i = 0; i < SIM_OBJECTS; i++)
        assert_true(sim->histories[i].count > 10);
    assert_true(sim->ledger.lessor.count > 1);
    sim__clients_stop(sim);
    sim__check_histories(sim);
    world_wait(sim, 1000);
    for (int i = 1; i <= 3; i++)
        sim__check_hash(sim->members[i]);
    world_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_on_a_plain_key),
        cmocka_unit_test(test_every_kind_on_a_pair),
        cmocka_unit_test(test_a_pair_is_written_in_one_commit),
        cmocka_unit_test(test_both_apis_on_one_key),
        cmocka_unit_test(test_a_condition_that_did_not_hold),
        cmocka_unit_test(test_what_was_found_is_what_the_twin_has),
        cmocka_unit_test(test_a_range_that_has_too_much),
        cmocka_unit_test(test_an_acknowledged_put_is_there),
        cmocka_unit_test(test_a_put_that_tells_of_nothing),
        cmocka_unit_test(test_a_delete_that_counts_wrong),
        cmocka_unit_test(test_a_delete_that_says_it_did_nothing),
        cmocka_unit_test(test_a_txn_that_says_it_held),
        cmocka_unit_test(test_an_answer_that_is_no_message),
        cmocka_unit_test(test_an_object_is_not_refused),
        cmocka_unit_test(test_a_condition_on_half_of_a_pair),
        cmocka_unit_test(test_old_revisions_are_seen_as_they_were),
        cmocka_unit_test(test_half_of_a_pair),
        cmocka_unit_test(test_two_halves_that_differ),
        cmocka_unit_test(test_a_hash_that_differs),
        cmocka_unit_test(test_a_lease_ends_with_its_keys),
        cmocka_unit_test(test_a_lease_that_is_revoked),
        cmocka_unit_test(test_v2_and_v3_take_keys_over),
        cmocka_unit_test(test_a_lease_keeps_its_time_over_a_restart),
        cmocka_unit_test(test_a_snapshot_brings_the_leases),
        cmocka_unit_test(test_a_lease_that_should_not_be),
        cmocka_unit_test(test_an_answer_on_a_lease_that_is_wrong),
        cmocka_unit_test(test_a_ttl_that_is_wrong),
        cmocka_unit_test(test_a_lease_that_ends_early),
        cmocka_unit_test(test_a_lease_that_ends_by_half),
        cmocka_unit_test(test_clients_speak_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
