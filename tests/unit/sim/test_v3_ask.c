/* The messages that clients send to v3: each kind as rpc/ would hand it on,
 * and good by the checks that come before a proposal. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/message.h"
#include "unit/sim/sim_worlds.h"

enum { PAIR = SIM_KEYS, SEEN_PAIR = SIM_KEYS + 1 };

/* A question that is never asked. */
struct question {
    struct sim *sim;
    struct sim_op op;
    struct arena arena;
    struct command command;
    struct refbuf *encoded;
};

static void put_question(struct question *question, enum sim_kind kind,
                         int object, uint32_t value)
{
    *question = (struct question){.sim = world_new(1)};
    question->op = (struct sim_op){
        .sim = question->sim,
        .kind = kind,
        .key = object,
        .value = value,
        .path = "/t/3",
    };
    arena_init(&question->arena, 0);
}

/* It is encoded, and read as a member reads it. */
static void ask(struct question *question, enum command_type type)
{
    question->encoded = sim__v3_command(&question->op);
    struct slice bytes =
        slice_of(question->encoded->bytes, question->encoded->size);
    assert_int_equal(
        command_decode(bytes, &question->arena, &question->command), ERR_OK);
    assert_int_equal(question->command.type, type);
}

static void *message_of(struct question *question,
                        const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *message;
    assert_int_equal(message_decode(type, question->command.message,
                                    &question->arena, &message),
                     ERR_OK);
    return message;
}

static const Etcdserverpb__TxnRequest *txn_of(struct question *question)
{
    ask(question, COMMAND_TXN);
    const Etcdserverpb__TxnRequest *txn =
        message_of(question, &etcdserverpb__txn_request__descriptor);
    assert_int_equal(txn_check(txn, 128), V3_OK);
    return txn;
}

static void take_away(struct question *question)
{
    arena_deinit(&question->arena);
    refbuf_unref(question->encoded);
    world_free(question->sim);
}

static void is_text(ProtobufCBinaryData bytes, const char *text)
{
    struct slice slice = message_bytes(bytes);
    if (!slice_eq(slice, slice_str(text)))
        fail_msg("\"%.*s\" is not \"%s\"", (int)slice.size, slice.at, text);
}

/* ---- names --------------------------------------------------------------- */

static void test_the_names_of_objects(void **state)
{
    (void)state;
    char name[SIM_PATH_BYTES_MAX];
    static const struct {
        int object;
        int part;
        const char *name;
    } names[] = {{0, 0, "/k0"},           {5, 0, "/k5"},
                 {PAIR, 0, "p0/a"},       {PAIR, 1, "p0/b"},
                 {SEEN_PAIR, 0, "/p1/a"}, {SEEN_PAIR, 1, "/p1/b"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        sim__part_name(names[i].object, names[i].part, name);
        assert_string_equal(name, names[i].name);
    }
    assert_int_equal(sim__part_count(5), 1);
    assert_int_equal(sim__part_count(PAIR), 2);
}

static void test_which_kinds_are_of_v3(void **state)
{
    (void)state;
    assert_false(sim__is_v3(SIM_READ));
    assert_false(sim__is_v3(SIM_LOOSEN));
    assert_true(sim__is_v3(SIM_GET));
    assert_true(sim__is_v3(SIM_TAKE_OVER));
    assert_true(sim__is_plain(SIM_READ) && sim__is_plain(SIM_REMOVE));
    assert_true(sim__is_plain(SIM_GET) && sim__is_plain(SIM_END_IF));
    assert_false(sim__is_plain(SIM_IN_ORDER) || sim__is_plain(SIM_LOOSEN));
    assert_false(sim__is_plain(SIM_GRANT) || sim__is_plain(SIM_TAKE_OVER));
}

/* ---- requests of their own ----------------------------------------------- */

static void test_a_put(void **state)
{
    (void)state;
    struct question question;
    put_question(&question, SIM_PUT, 2, 17);
    ask(&question, COMMAND_PUT);
    const Etcdserverpb__PutRequest *put =
        message_of(&question, &etcdserverpb__put_request__descriptor);
    is_text(put->key, "/k2");
    is_text(put->value, "v17.xxxxxx");
    assert_true(put->prev_kv);
    assert_int_equal(put->lease, 0);
    take_away(&question);
}

static void test_a_delete_of_a_key(void **state)
{
    (void)state;
    struct question question;
    put_question(&question, SIM_END, 2, 17);
    ask(&question, COMMAND_DELETE_RANGE);
    const Etcdserverpb__DeleteRangeRequest *end =
        message_of(&question, &etcdserverpb__delete_range_request__descriptor);
    is_text(end->key, "/k2");
    is_text(end->range_end, "");
    assert_true(end->prev_kv);
    take_away(&question);
}

static void test_a_delete_of_a_pair(void **state)
{
    (void)state;
    struct question question;
    put_question(&question, SIM_END, SEEN_PAIR, 17);
    ask(&question, COMMAND_DELETE_RANGE);
    const Etcdserverpb__DeleteRangeRequest *end =
        message_of(&question, &etcdserverpb__delete_range_request__descriptor);
    is_text(end->key, "/p1/a");
    is_text(end->range_end, "/p1/c");
    take_away(&question);
}

/* ---- txns ---------------------------------------------------------------- */

static void test_a_put_of_a_pair(void **state)
{
    (void)state;
    struct question question;
    put_question(&question, SIM_PUT, PAIR, 17);
    const Etcdserverpb__TxnRequest *txn = txn_of(&question);
    assert_int_equal(txn->n_compare, 0);
    assert_int_equal(txn->n_success, 2);
    is_text(txn->success[0]->request_put->key, "p0/a");
    is_text(txn->success[1]->request_put->key, "p0/b");
    is_text(txn->success[0]->request_put->value, "v17.xxxxxx");
    is_text(txn->success[1]->request_put->value, "v17.xxxxxx");
    take_away(&question);
}

static void test_a_txn_in_a_txn(void **state)
{
    (void)state;
    struct question question;
    put_question(&question, SIM_PUT, PAIR, 20);
    const Etcdserverpb__TxnRequest *txn = txn_of(&question);
    assert_int_equal(txn->n_success, 2);
    assert_int_equal(txn->success[1]->request_case,
                     ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN);
    const Etcdserverpb__TxnRequest *inner = txn->success[1]->request_txn;
    assert_int_equal(inner->n_success, 1);
    is_text(inner->success[0]->request_put->key, "p0/b");
    is_text(inner->success[0]->request_put->value, "v20.xxxxxx");
    take_away(&question);
}

static void test_who_is_refused_ranges(void **state)
{
    (void)state;
    struct question question;
    put_question(&question, SIM_PUT_NEW, PAIR, 17);
    const Etcdserverpb__TxnRequest *txn = txn_of(&question);
    assert_int_equal(txn->n_failure, 1);
    is_text(txn->failure[0]->request_range->key, "p0/a");
    is_text(txn->failure[0]->request_range->range_end, "p0/c");
    take_away(&question);
}

/* The only comparison of a txn on a plain key. */
static const Etcdserverpb__Compare *compare_of(struct question *question)
{
    const Etcdserverpb__TxnRequest *txn = txn_of(question);
    assert_int_equal(txn->n_compare, 1);
    is_text(txn->compare[0]->key, "/k2");
    return txn->compare[0];
}

static void test_new_is_a_version_or_a_revision_of_0(void **state)
{
    (void)state;
    struct question question;
    put_question(&question, SIM_PUT_NEW, 2, 17);
    const Etcdserverpb__Compare *compare = compare_of(&question);
    assert_int_equal(compare->target,
                     ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION);
    assert_int_equal(compare->result,
                     ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL);
    assert_int_equal(compare->version, 0);
    take_away(&question);
    put_question(&question, SIM_PUT_NEW, 2, 18);
    compare = compare_of(&question);
    assert_int_equal(compare->target,
                     ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD);
    assert_int_equal(compare->mod_revision, 0);
    take_away(&question);
}

static void test_old_is_more_than_0(void **state)
{
    (void)state;
    struct question question;
    put_question(&question, SIM_PUT_OLD, 2, 17);
    const Etcdserverpb__Compare *compare = compare_of(&question);
    assert_int_equal(compare->result,
                     ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER);
    assert_int_equal(compare->version, 0);
    take_away(&question);
}

static void test_a_value_or_its_revision_is_compared(void **state)
{
    (void)state;
    struct question question;
    put_question(&question, SIM_PUT_IF, 2, 17);
    question.op.expect = 9;
    question.op.expect_at = 40;
    const Etcdserverpb__Compare *compare = compare_of(&question);
    assert_int_equal(compare->target,
                     ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE);
    is_text(compare->value, "v9.xxxxxxx");
    take_away(&question);
    put_question(&question, SIM_PUT_IF, 2, 18);
    question.op.expect = 9;
    question.op.expect_at = 40;
    compare = compare_of(&question);
    assert_int_equal(compare->target,
                     ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD);
    assert_int_equal(compare->mod_revision, 40);
    take_away(&question);
}

static void test_what_nobody_has_written_is_not_deleted(void **state)
{
    (void)state;
    struct question question;
    /* By its revision, 0, it would "hold" where there is nothing to delete. */
    put_question(&question, SIM_END_IF, 2, 18);
    const Etcdserverpb__Compare *compare = compare_of(&question);
    assert_int_equal(compare->target,
                     ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE);
    take_away(&question);
    /* And a put by value would never. */
    put_question(&question, SIM_PUT_IF, 2, 17);
    compare = compare_of(&question);
    assert_int_equal(compare->target,
                     ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD);
    assert_int_equal(compare->mod_revision, 0);
    take_away(&question);
}

static void test_both_keys_of_a_pair_are_compared(void **state)
{
    (void)state;
    struct question question;
    put_question(&question, SIM_END_IF, PAIR, 18);
    question.op.expect = 9;
    question.op.expect_at = 40;
    const Etcdserverpb__TxnRequest *txn = txn_of(&question);
    assert_int_equal(txn->n_compare, 2);
    is_text(txn->compare[0]->key, "p0/a");
    is_text(txn->compare[1]->key, "p0/b");
    assert_int_equal(txn->compare[1]->mod_revision, 40);
    assert_int_equal(txn->n_success, 1);
    is_text(txn->success[0]->request_delete_range->range_end, "p0/c");
    take_away(&question);
}

/* ---- leases -------------------------------------------------------------- */

static void test_a_grant_has_an_id_of_its_own(void **state)
{
    (void)state;
    struct question question;
    put_question(&question, SIM_GRANT, 2, 17);
    ask(&question, COMMAND_LEASE_GRANT);
    const Etcdserverpb__LeaseGrantRequest *grant =
        message_of(&question, &etcdserverpb__lease_grant_request__descriptor);
    assert_int_equal(grant->id, 17);
    assert_int_equal(question.op.lease, 17);
    assert_true(grant->ttl >= 1 && grant->ttl <= 8);
    take_away(&question);
}

static void test_what_is_asked_of_a_lease(void **state)
{
    (void)state;
    struct question question;
    put_question(&question, SIM_KEEP, 2, 17);
    question.op.lease = 5;
    ask(&question, COMMAND_LEASE_RENEW);
    assert_int_equal(question.command.renew.count, 1);
    assert_int_equal(question.command.renew.leases[0], 5);
    take_away(&question);
    put_question(&question, SIM_REVOKE, 2, 17);
    question.op.lease = 5;
    ask(&question, COMMAND_LEASE_REVOKE);
    const Etcdserverpb__LeaseRevokeRequest *revoke =
        message_of(&question, &etcdserverpb__lease_revoke_request__descriptor);
    assert_int_equal(revoke->id, 5);
    take_away(&question);
}

static void is_put(struct question *question, lease_id lease, bool ignores)
{
    ask(question, COMMAND_PUT);
    const Etcdserverpb__PutRequest *put =
        message_of(question, &etcdserverpb__put_request__descriptor);
    is_text(put->key, "/t/3");
    assert_int_equal(put->lease, lease);
    assert_int_equal(put->ignore_lease, ignores);
    assert_int_equal(txn_check_put(put), V3_OK);
    take_away(question);
}

static void test_puts_with_a_lease_and_without(void **state)
{
    (void)state;
    struct question question;
    put_question(&question, SIM_ATTACH, 2, 17);
    question.op.lease = 5;
    is_put(&question, 5, false);
    put_question(&question, SIM_TAKE_OVER, 2, 17);
    question.op.lease = 5;
    is_put(&question, 0, true);
    put_question(&question, SIM_TAKE_OVER, 2, 18);
    is_put(&question, 0, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_names_of_objects),
        cmocka_unit_test(test_which_kinds_are_of_v3),
        cmocka_unit_test(test_a_put),
        cmocka_unit_test(test_a_delete_of_a_key),
        cmocka_unit_test(test_a_delete_of_a_pair),
        cmocka_unit_test(test_a_put_of_a_pair),
        cmocka_unit_test(test_a_txn_in_a_txn),
        cmocka_unit_test(test_who_is_refused_ranges),
        cmocka_unit_test(test_new_is_a_version_or_a_revision_of_0),
        cmocka_unit_test(test_old_is_more_than_0),
        cmocka_unit_test(test_a_value_or_its_revision_is_compared),
        cmocka_unit_test(test_what_nobody_has_written_is_not_deleted),
        cmocka_unit_test(test_both_keys_of_a_pair_are_compared),
        cmocka_unit_test(test_a_grant_has_an_id_of_its_own),
        cmocka_unit_test(test_what_is_asked_of_a_lease),
        cmocka_unit_test(test_puts_with_a_lease_and_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
