/* What clients ask, what they are told, and what is made of it: histories, and
 * objections where an answer can't be true. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/sim/sim_stories.h"
#include "unit/sim/sim_worlds.h"

static const struct linear_op *last_op(const struct sim *sim, int key)
{
    const struct sim_history *history = &sim->histories[key];
    assert_true(history->count > 0);
    return &history->ops[history->count - 1];
}

/* ---- what is asked ------------------------------------------------------- */

static void test_a_write_and_a_read(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    world_done(sim->members[1], SIM_SET, 2);
    const struct linear_op *set = last_op(sim, 2);
    uint32_t value = set->value;
    assert_int_equal(set->kind, LINEAR_SET);
    assert_int_equal(set->seen, 0);
    assert_true(set->return_ns > set->call_ns);
    assert_int_equal(sim->histories[2].newest, value);
    world_done(sim->members[1], SIM_READ, 2);
    assert_int_equal(last_op(sim, 2)->kind, LINEAR_READ);
    assert_int_equal(last_op(sim, 2)->seen, value);
    assert_int_equal(sim->result.counts[SIM_COUNT_WRITES], 1);
    assert_int_equal(sim->result.counts[SIM_COUNT_READS], 1);
    world_free(sim);
}

static void test_every_kind_on_a_plain_key(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct sim_member *member = sim->members[1];
    static const struct {
        enum sim_kind kind;
        bool refused;
    } story[] = {
        {SIM_UPDATE, true},  {SIM_DELETE, true},  {SIM_SWAP, true},
        {SIM_REMOVE, true},  {SIM_CREATE, false}, {SIM_CREATE, true},
        {SIM_SWAP, false},   {SIM_SWAP, false},   {SIM_UPDATE, false},
        {SIM_SET, false},    {SIM_REMOVE, false}, {SIM_CREATE, false},
        {SIM_DELETE, false}, {SIM_READ, false},
    };
    for (size_t i = 0; i < sizeof story / sizeof story[0]; i++) {
        world_done(member, story[i].kind, 0);
        assert_int_equal(last_op(sim, 0)->kind, story[i].kind);
        assert_int_equal(last_op(sim, 0)->refused, story[i].refused);
    }
    assert_int_equal(last_op(sim, 0)->seen, 0);
    sim__check_histories(sim);
    world_free(sim);
}

static void test_the_other_keys(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct sim_member *member = sim->members[1];
    static const enum sim_kind kinds[] = {
        SIM_IN_ORDER, SIM_IN_ORDER, SIM_TTL,     SIM_REFRESH,
        SIM_NESTED,   SIM_NESTED,   SIM_DIR_TTL, SIM_DIR_DELETE};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        world_done(member, kinds[i], 0);
    struct ledger_sum sum;
    ledger_count(&sim->ledger, MVCC_KEYS, sim->ledger.revision, &sum);
    assert_int_equal(sum.keys, 3); /* two in order, and the one with a TTL */
    assert_int_equal(sum.with_ttl, 1);
    /* It ends by itself, not before its time. */
    world_wait(sim, 20000);
    ledger_count(&sim->ledger, MVCC_KEYS, sim->ledger.revision, &sum);
    assert_int_equal(sum.keys, 2);
    assert_int_equal(sum.with_ttl, 0);
    assert_int_equal(sim->result.counts[SIM_COUNT_EXPIRIES], 1);
    world_free(sim);
}

static void test_values_may_be_large(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    sim->value_bytes = 5000;
    world_done(sim->members[1], SIM_SET, 0);
    world_done(sim->members[1], SIM_SWAP, 0);
    assert_false(last_op(sim, 0)->refused);
    const struct record *record =
        ledger_get(&sim->ledger, MVCC_KEYS, SLICE("/k0"), sim->ledger.revision);
    assert_int_equal(record->value.size, 5000);
    world_free(sim);
}

static void test_through_a_follower(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    world_done(world_follower(sim), SIM_SET, 0);
    world_done(world_follower(sim), SIM_READ, 0);
    assert_int_equal(last_op(sim, 0)->seen, sim->histories[0].newest);
    world_free(sim);
}

/* ---- what can't be true -------------------------------------------------- */

static struct record of_value(revision main, const char *value)
{
    return story_record(main, "/x", value, NULL);
}

static void note(struct sim *sim, const struct record *record)
{
    struct mvcc_commit *commit = story_commit(record->rev.main, 1, record, 1);
    sim__note_commit(sim, commit);
    mvcc_commit_unref(commit);
}

static void test_a_value_is_written_once(void **state)
{
    (void)state;
    struct sim *sim = world_new(1);
    struct record record = of_value(5, "v17.xx");
    note(sim, &record);
    assert_int_equal(sim->values[17], SIM_VALUE_DONE);
    record.rev.main = 6;
    note(sim, &record);
    world_has_failed(sim, "value 17 is written twice: at revision 6");
}

static void test_what_was_refused_is_not_written(void **state)
{
    (void)state;
    struct sim *sim = world_new(1);
    struct record record = of_value(5, "v17.");
    sim->values[17] = SIM_VALUE_REFUSED;
    note(sim, &record);
    world_has_failed(sim, "value 17 was refused, and is written at 5");
}

static void test_other_values_are_nobodys(void **state)
{
    (void)state;
    struct sim *sim = world_new(1);
    static const char *const texts[] = {"v",   "v.",   "17.",           "vx.",
                                        "v17", "v-1.", "v99999999999.", "x17.",
                                        "v1x."};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct record record = of_value(5, texts[i]);
        note(sim, &record);
        note(sim, &record);
    }
    /* Nor are those that a refresh keeps, or an end. */
    struct record record = of_value(5, "v18.");
    record.flags = MVCC_REFRESH;
    note(sim, &record);
    note(sim, &record);
    record.flags = MVCC_TOMBSTONE;
    note(sim, &record);
    assert_int_equal(sim->values[18], 0);
    world_free(sim);
}

static void test_expiries_are_counted(void **state)
{
    (void)state;
    struct sim *sim = world_new(1);
    struct record record = story_record(5, "/x", NULL, NULL);
    record.cause = MVCC_EXPIRE;
    note(sim, &record);
    assert_int_equal(sim->result.counts[SIM_COUNT_EXPIRIES], 1);
    world_free(sim);
}

static void test_a_read_sees_what_was_answered(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct world_answer answer;
    world_ask(&answer, sim->members[1], SIM_READ, 0);
    answer.client.op->revision_floor = 1000;
    world_fails(sim, 100, "a stale read: m1 was at revision");
}

static void test_a_write_is_behind_what_was_answered(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct world_answer answer;
    world_ask(&answer, sim->members[1], SIM_SET, 0);
    answer.client.op->index_floor = 1000;
    world_fails(sim, 100, "was done before it was asked");
}

static void test_an_acknowledged_write_stands_in_the_log(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct world_answer answer;
    world_ask(&answer, sim->members[1], SIM_SET, 0);
    /* As if another command stood there. */
    answer.client.op->command->bytes[3] ^= 1;
    struct refbuf *mine = refbuf_dup("another", 7);
    struct refbuf *its = answer.client.op->command;
    its->bytes[3] ^= 1;
    answer.client.op->command = mine;
    refbuf_unref(its);
    world_fails(sim, 100, "is another entry");
}

static void test_a_read_is_what_the_twin_has(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct world_answer answer;
    world_done(sim->members[1], SIM_SET, 0);
    struct ledger_key *key =
        map_get(&sim->ledger.keys[MVCC_KEYS], SLICE("/k0"));
    size_t count = key->count;
    key->count = 0;
    world_ask(&answer, sim->members[1], SIM_READ, 0);
    world_wait(sim, 0);
    int64_t end_ns = sim->now_ns + SIM_SECOND;
    while (!sim->over && sim->now_ns < end_ns)
        sim__turn(sim);
    key->count = count;
    world_has_failed(sim, "m1: a read: /k0 is v");
}

static void test_a_history_that_is_not_linearizable(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    for (int i = 0; i < 3; i++)
        world_done(sim->members[1], SIM_SET, 4);
    world_done(sim->members[1], SIM_READ, 4);
    sim__check_histories(sim);
    assert_false(sim->over);
    sim->histories[4].ops[3].seen = sim->histories[4].ops[0].value;
    sim__check_histories(sim);
    world_has_failed(sim, "the history of /k4 is not linearizable");
}

/* ---- giving up ----------------------------------------------------------- */

static void test_a_client_that_gives_up_is_not_told(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    struct sim_client *client = &sim->clients[0];
    sim->client_count = 1;
    sim->think_ns = 1000 * SIM_SECOND;
    sim__clients_start(sim);
    sim__at(sim, &client->next, sim->now_ns);
    /* It asks something of a member that sleeps from now on. */
    sim__turn(sim);
    while (client->op == NULL)
        sim__turn(sim);
    sim__pause(sim->members[1], 100 * SIM_SECOND);
    struct sim_op *op = client->op;
    world_wait(sim, 20000);
    assert_ptr_not_equal(client->op, op);
    assert_true(world_count(sim, SIM_TRACE_GIVE_UP) >= 1);
    assert_true(sim->result.counts[SIM_COUNT_UNKNOWN] >= 1);
    sim__clients_stop(sim);
    assert_null(client->op);
    sim__resume(sim->members[1]);
    world_wait(sim, 1000);
    world_free(sim);
}

static void test_clients_think_and_ask(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    sim->client_count = 3;
    sim->think_ns = 20 * SIM_MS;
    sim__clients_start(sim);
    world_wait(sim, 5000);
    assert_true(sim->result.counts[SIM_COUNT_WRITES] > 100);
    assert_true(sim->result.counts[SIM_COUNT_READS] > 50);
    assert_true(sim->result.counts[SIM_COUNT_LOOKS] > 20);
    assert_int_equal(sim->result.counts[SIM_COUNT_UNKNOWN], 0);
    sim__check_histories(sim);
    sim__clients_stop(sim);
    uint64_t writes = sim->result.counts[SIM_COUNT_WRITES];
    world_wait(sim, 2000);
    assert_int_equal(sim->result.counts[SIM_COUNT_WRITES], writes);
    world_free(sim);
}

static void test_where_nobody_is_up_clients_wait(void **state)
{
    (void)state;
    struct sim *sim = world_led(1);
    sim->client_count = 2;
    sim__clients_start(sim);
    sim__kill(sim->members[1]);
    world_wait(sim, 3000);
    assert_int_equal(sim->value_count, 0);
    sim__start(sim->members[1]);
    world_wait(sim, 8000);
    assert_true(sim->value_count > 0);
    world_free(sim);
}

static void test_a_refusal_means_nothing_was_done(void **state)
{
    (void)state;
    struct sim *sim = world_led(3);
    struct world_answer answer;
    sim__kill(sim->members[2]);
    sim__kill(sim->members[3]);
    sim__kill(sim->members[1]);
    sim__start(sim->members[1]);
    world_ask(&answer, sim->members[1], SIM_SET, 0);
    uint32_t value = sim->value_count;
    world_wait(sim, 20000);
    assert_int_equal(answer.err, ERR_NO_LEADER);
    assert_int_equal(sim->values[value], SIM_VALUE_REFUSED);
    /* In its history it is as nothing. */
    assert_int_equal(last_op(sim, 0)->kind, LINEAR_READ);
    assert_int_equal(last_op(sim, 0)->return_ns, LINEAR_NEVER);
    world_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_write_and_a_read),
        cmocka_unit_test(test_every_kind_on_a_plain_key),
        cmocka_unit_test(test_the_other_keys),
        cmocka_unit_test(test_values_may_be_large),
        cmocka_unit_test(test_through_a_follower),
        cmocka_unit_test(test_a_value_is_written_once),
        cmocka_unit_test(test_what_was_refused_is_not_written),
        cmocka_unit_test(test_other_values_are_nobodys),
        cmocka_unit_test(test_expiries_are_counted),
        cmocka_unit_test(test_a_read_sees_what_was_answered),
        cmocka_unit_test(test_a_write_is_behind_what_was_answered),
        cmocka_unit_test(test_an_acknowledged_write_stands_in_the_log),
        cmocka_unit_test(test_a_read_is_what_the_twin_has),
        cmocka_unit_test(test_a_history_that_is_not_linearizable),
        cmocka_unit_test(test_a_client_that_gives_up_is_not_told),
        cmocka_unit_test(test_clients_think_and_ask),
        cmocka_unit_test(test_where_nobody_is_up_clients_wait),
        cmocka_unit_test(test_a_refusal_means_nothing_was_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
