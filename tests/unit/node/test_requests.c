/* v3's requests on a member alone: what each is answered, what it counts, and
 * what passes while there is no room. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "proto/message.h"
#include "proto/pb.h"
#include "support/node_requests.h"
#include "support/node_harness.h"

static struct node_harness world;

static int begin(void **state)
{
    (void)state;
    node_harness_init(&world, 1);
    return node_harness_open(&world) == ERR_OK ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    node_harness_deinit(&world);
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define RUN() assert_int_equal(node_harness_run(&world), ERR_OK)
#define RECORD(key, text) \
    assert_string_equal(record_text(world.node, key), text)
#define SET(key, value) \
    assert_int_equal(node_harness_set(&world, key, value), ERR_OK)

enum { NOSPACE = 1, CORRUPT = 2 };

static const struct node_request *ask(struct command command)
{
    enum err err;
    struct harness_write *write = node_harness_send(&world, &command, &err);
    assert_non_null(write);
    RUN();
    assert_true(write->done);
    return &write->request;
}

static const struct txn_answer *good(struct command command)
{
    const struct node_request *request = ask(command);
    assert_int_equal(request->err, ERR_OK);
    assert_int_equal(request->answer.error, V3_OK);
    return &request->answer;
}

static void bad(struct command command, enum v3_error error)
{
    const struct node_request *request = ask(command);
    assert_int_equal(request->err, ERR_OK);
    assert_int_equal(request->answer.error, error);
    assert_int_equal(request->answer.body.size, 0);
}

static void refused(struct command command)
{
    const struct node_request *request = ask(command);
    assert_int_equal(request->err, ERR_NO_SPACE);
    assert_int_equal(request->answer.error, V3_OK);
    assert_null(request->answer.body.at);
}

static struct node_counters counters(void)
{
    struct node_counters counters;
    node_counters(world.node, &counters);
    return counters;
}

/* ---- keys ---------------------------------------------------------------- */

static void a_put_is_answered_with_its_revision(void **state)
{
    (void)state;
    assert_int_equal(good(ask_put("a", "1", 0))->revision, 2);
    assert_int_equal(good(ask_put("a", "2", 0))->revision, 3);
    RECORD("a", "2 [2,3] v2 put");
    assert_int_equal(counters().puts, 2);
    assert_int_equal(world.commit_last, 3);
}

static void a_put_with_a_lease_that_is_not_there_does_nothing(void **state)
{
    (void)state;
    bad(ask_put("a", "1", 77), V3_LEASE_NOT_FOUND);
    RECORD("a", "none");
    assert_int_equal(counters().puts, 0);
    assert_int_equal(world.commit_count, 0);
}

/* What it deleted is field 2. */
static void a_delete_tells_how_many(void **state)
{
    (void)state;
    good(ask_put("a", "1", 0));
    good(ask_put("b", "1", 0));
    good(ask_put("c", "1", 0));
    const struct txn_answer *answer = good(ask_delete("a", "c"));
    assert_int_equal(answer_number(answer, 2), 2);
    assert_int_equal(answer->revision, 5);
    answer = good(ask_delete("a", "c"));
    assert_int_equal(answer_number(answer, 2), 0);
    assert_int_equal(answer->revision, 5);
    RECORD("a", "none");
    RECORD("c", "1 [4,4] v1 put");
    /* A deletion is one, however many keys it finds. */
    assert_int_equal(counters().deletes, 2);
    assert_int_equal(counters().puts, 3);
    assert_int_equal(counters().txns, 0);
}

/* Field 2 says which branch was taken. */
static void a_txn_looks_first(void **state)
{
    (void)state;
    const struct txn_answer *answer = good(ask_toggle("a"));
    assert_int_equal(answer_number(answer, 2), 1);
    assert_int_equal(answer->revision, 2);
    RECORD("a", "on [2,2] v1 put");
    answer = good(ask_toggle("a"));
    assert_int_equal(answer_number(answer, 2), 0);
    assert_int_equal(answer->revision, 3);
    RECORD("a", "none");
    assert_int_equal(counters().puts, 1);
    assert_int_equal(counters().deletes, 1);
    assert_int_equal(counters().txns, 0); /* one change each */
}

static void a_batch_is_answered_in_its_order(void **state)
{
    (void)state;
    struct harness_write *writes[50];
    enum err err;
    for (size_t i = 0; i < 50; i++) {
        struct command command = ask_put("a", "x", 0);
        writes[i] = node_harness_send(&world, &command, &err);
        assert_non_null(writes[i]);
    }
    RUN();
    for (size_t i = 0; i < 50; i++) {
        assert_int_equal(writes[i]->request.answer.revision, (revision)i + 2);
        assert_int_equal(writes[i]->order, i + 1);
    }
    RECORD("a", "x [2,51] v50 put");
}

static void what_was_answered_is_there_after_a_crash(void **state)
{
    (void)state;
    good(ask_put("a", "1", 0));
    good(ask_toggle("b"));
    good(ask_put("c", "1", 0));
    good(ask_delete("c", NULL));
    node_harness_recover(&world);
    RECORD("a", "1 [2,2] v1 put");
    RECORD("b", "on [3,3] v1 put");
    RECORD("c", "none");
    assert_int_equal(node_harness_revision(&world), 5);
}

/* ---- compaction ---------------------------------------------------------- */

static void a_compaction_is_told_what_came_of_it(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        good(ask_put("a", "1", 0));
    assert_int_equal(good(ask_compact(4))->revision, 6);
    bad(ask_compact(4), V3_COMPACTED);
    bad(ask_compact(3), V3_COMPACTED);
    bad(ask_compact(7), V3_FUTURE_REV);
    good(ask_compact(6));
    assert_int_equal(counters().compactions, 2);
}

/* Which changes nothing; also after a restart it was done. */
static void nothing_can_be_compacted_once(void **state)
{
    (void)state;
    bad(ask_compact(-1), V3_COMPACTED);
    assert_int_equal(good(ask_compact(0))->revision, 1);
    bad(ask_compact(0), V3_COMPACTED);
    node_harness_restart(&world);
    bad(ask_compact(0), V3_COMPACTED);
    assert_int_equal(counters().compactions, 0);
    good(ask_compact(1));
    bad(ask_compact(0), V3_COMPACTED);
}

/* And not after a real one. */
static void nothing_is_compacted_before_all_else(void **state)
{
    (void)state;
    good(ask_put("a", "1", 0));
    good(ask_compact(2));
    bad(ask_compact(0), V3_COMPACTED);
}

/* ---- alarms -------------------------------------------------------------- */

static void an_alarm_is_raised_and_ended(void **state)
{
    (void)state;
    struct pb_reader reader;
    struct pb_field field;
    assert_string_equal(alarm_text(world.node), "");
    const struct txn_answer *answer = good(ask_raise(0xb2, NOSPACE));
    pb_reader_init(&reader, buf_slice(&answer->body));
    assert_true(pb_next(&reader, &field));
    assert_int_equal(field.number, 2); /* alarms */
    assert_true(slice_eq(field.bytes, SLICE("\x08\xb2\x01\x10\x01")));
    assert_false(pb_next(&reader, &field));
    assert_int_equal(good(ask_raise(0xb2, NOSPACE))->body.size, 7);
    good(ask_raise(0xa1, CORRUPT));
    good(ask_raise(0xa1, NOSPACE));
    assert_string_equal(alarm_text(world.node), "a1:1 a1:2 b2:1 ");
    assert_int_equal(good(ask_end(0xb2, CORRUPT))->body.size, 0);
    assert_int_equal(good(ask_end(0xb2, NOSPACE))->body.size, 7);
    good(ask_end(0xa1, CORRUPT));
    assert_string_equal(alarm_text(world.node), "a1:1 ");
    assert_int_equal(good(ask_raise(0xa1, 0))->body.size, 0);
    assert_string_equal(alarm_text(world.node), "a1:1 ");
}

static void alarms_are_kept(void **state)
{
    (void)state;
    good(ask_raise(UINT64_MAX, NOSPACE));
    good(ask_raise(0xb2, CORRUPT));
    node_harness_recover(&world);
    assert_string_equal(alarm_text(world.node), "b2:2 ffffffffffffffff:1 ");
    node_harness_restart(&world);
    assert_string_equal(alarm_text(world.node), "b2:2 ffffffffffffffff:1 ");
    refused(ask_put("a", "1", 0));
    good(ask_end(UINT64_MAX, NOSPACE));
    good(ask_end(0xb2, CORRUPT));
    node_harness_restart(&world);
    assert_string_equal(alarm_text(world.node), "");
    good(ask_put("a", "1", 0));
}

static void there_are_not_too_many_alarms(void **state)
{
    (void)state;
    for (member_id i = 1; i <= NODE_ALARMS_MAX; i++)
        good(ask_raise(i, CORRUPT));
    bad(ask_raise(0xffff, NOSPACE), V3_REQUEST_TOO_MANY_REQUESTS);
    good(ask_raise(NODE_ALARMS_MAX, CORRUPT)); /* one that is there */
    good(ask_end(5, CORRUPT));
    good(ask_raise(0xffff, NOSPACE));
    node_harness_restart(&world);
    bad(ask_raise(5, CORRUPT), V3_REQUEST_TOO_MANY_REQUESTS);
}

static void deletes_only(lease_id lease)
{
    struct tree_command v2_set = harness_set("/v2", "2");
    struct tree_command v2_delete = harness_delete("/v2");
    enum err err;
    refused(ask_put("a", "2", 0));
    refused(ask_grant(lease + 1, 60));
    refused(ask_toggle("txn"));
    node_harness_write(&world, &v2_set, &err);
    assert_int_equal(err, ERR_NO_SPACE);
    node_harness_write(&world, &v2_delete, &err);
    assert_int_equal(err, ERR_OK);
    good(ask_delete("a", NULL));
    good(ask_renew(lease));
    good(ask_revoke(lease));
    good(ask_compact(node_harness_revision(&world)));
}

static void with_an_alarm_only_what_makes_room_passes(void **state)
{
    (void)state;
    struct node_progress progress;
    good(ask_put("a", "1", 0));
    good(ask_grant(7, 60));
    SET("/v2", "1");
    good(ask_raise(0xb2, NOSPACE)); /* another member's is as good */
    node_progress(world.node, &progress);
    assert_true(progress.no_space);
    deletes_only(7);
    good(ask_end(0xb2, NOSPACE));
    node_progress(world.node, &progress);
    assert_false(progress.no_space);
    good(ask_put("a", "2", 0));
    good(ask_grant(8, 60));
}

static void a_full_member_refuses_without_an_alarm(void **state)
{
    (void)state;
    good(ask_put("a", "1", 0));
    good(ask_grant(7, 60));
    SET("/v2", "1");
    assert_int_equal(node_harness_flush(&world), ERR_OK);
    node_harness_close(&world);
    world.config.quota_bytes = 1;
    assert_int_equal(node_harness_open(&world), ERR_OK);
    assert_string_equal(alarm_text(world.node), "a1:1 ");
    deletes_only(7);
    /* One that was raised too is shown once, and ends alone. */
    good(ask_raise(0xa1, NOSPACE));
    assert_string_equal(alarm_text(world.node), "a1:1 ");
    good(ask_end(0xa1, NOSPACE));
    assert_string_equal(alarm_text(world.node), "a1:1 ");
}

static void a_txn_without_a_put_passes(void **state)
{
    (void)state;
    Etcdserverpb__DeleteRangeRequest delete =
        ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    Etcdserverpb__RequestOp op = ETCDSERVERPB__REQUEST_OP__INIT;
    Etcdserverpb__RequestOp *ops[] = {&op};
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    delete.key = message_data(SLICE("a"));
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    op.request_delete_range = &delete;
    txn.n_success = 1;
    txn.success = ops;
    good(ask_put("a", "1", 0));
    good(ask_raise(1, NOSPACE));
    good(ask_message(COMMAND_TXN, &txn.base));
    RECORD("a", "none");
}

static void a_corrupt_cluster_writes_nothing(void **state)
{
    (void)state;
    good(ask_put("a", "1", 0));
    good(ask_grant(7, 60));
    good(ask_raise(0xa1, CORRUPT));
    bad(ask_put("a", "2", 0), V3_CORRUPT);
    bad(ask_delete("a", NULL), V3_CORRUPT);
    bad(ask_toggle("a"), V3_CORRUPT);
    bad(ask_grant(8, 60), V3_CORRUPT);
    bad(ask_revoke(7), V3_CORRUPT);
    bad(ask_compact(2), V3_CORRUPT);
    RECORD("a", "1 [2,2] v1 put");
    assert_int_equal(answer_number(good(ask_renew(7)), 3), 60);
    good(ask_end(0xa1, CORRUPT));
    good(ask_put("a", "2", 0));
}

/* ---- what else ----------------------------------------------------------- */

static void where_the_store_stands(void **state)
{
    (void)state;
    struct node_position position;
    struct node_progress progress;
    good(ask_put("a", "1", 0));
    const struct node_request *last = ask(ask_put("a", "2", 0));
    lock_read(node_lock(world.node));
    node_position(world.node, &position);
    unlock_read(node_lock(world.node));
    node_progress(world.node, &progress);
    assert_int_equal(position.applied, last->index);
    assert_int_equal(position.applied, progress.applied);
    assert_int_equal(position.term, progress.term);
}

/* Checked requests only come this way: one that can't be read is a log that
 * can't be trusted. */
static void a_request_that_is_none_stops_the_member(void **state)
{
    (void)state;
    static const enum command_type types[] = {
        COMMAND_PUT,         COMMAND_DELETE_RANGE, COMMAND_TXN,
        COMMAND_LEASE_GRANT, COMMAND_LEASE_REVOKE, COMMAND_ALARM};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct command command = {.type = types[i],
                                  .message = SLICE("\x0a\x7f")};
        enum err err;
        node_harness_deinit(&world);
        begin(NULL);
        good(ask_put("a", "1", 0));
        struct harness_write *write = node_harness_send(&world, &command, &err);
        assert_int_equal(node_run(world.node), ERR_CORRUPT);
        assert_true(write->done);
        assert_int_equal(write->request.err, ERR_STOPPED);
        assert_null(write->request.answer.body.at);
    }
}

/* A field that an older member doesn't know is passed over; one of another
 * type is no put. */
static void a_put_is_read_as_protobuf_is(void **state)
{
    (void)state;
    struct buf body = {0};
    struct command command = {.type = COMMAND_PUT};
    pb_put_bytes(&body, 1, SLICE("first"));
    pb_put_u64(&body, 99, 5);
    pb_put_bytes(&body, 98, SLICE("newer"));
    pb_put_bytes(&body, 2, SLICE("1"));
    pb_put_bytes(&body, 1, SLICE("a")); /* the last one counts */
    command.message = buf_slice(&body);
    good(command);
    RECORD("a", "1 [2,2] v1 put");
    RECORD("first", "none");
    assert_true(node__is_well_formed(world.node, &command));
    pb_put_u64(&body, 2, 7);
    command.message = buf_slice(&body);
    assert_false(node__is_well_formed(world.node, &command));
    buf_deinit(&body);
}

static void who_is_stopped_answers_nothing(void **state)
{
    (void)state;
    struct command command = ask_put("a", "1", 0);
    enum err err;
    struct harness_write *write = node_harness_send(&world, &command, &err);
    assert_non_null(write);
    node_harness_close(&world);
    assert_true(write->done);
    assert_int_equal(write->request.err, ERR_STOPPED);
    assert_null(write->request.answer.body.at);
    assert_int_equal(write->request.answer.revision, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_put_is_answered_with_its_revision),
        STORY(a_put_with_a_lease_that_is_not_there_does_nothing),
        STORY(a_delete_tells_how_many),
        STORY(a_txn_looks_first),
        STORY(a_batch_is_answered_in_its_order),
        STORY(what_was_answered_is_there_after_a_crash),
        STORY(a_compaction_is_told_what_came_of_it),
        STORY(nothing_can_be_compacted_once),
        STORY(nothing_is_compacted_before_all_else),
        STORY(an_alarm_is_raised_and_ended),
        STORY(alarms_are_kept),
        STORY(there_are_not_too_many_alarms),
        STORY(with_an_alarm_only_what_makes_room_passes),
        STORY(a_full_member_refuses_without_an_alarm),
        STORY(a_txn_without_a_put_passes),
        STORY(a_corrupt_cluster_writes_nothing),
        STORY(where_the_store_stands),
        STORY(a_request_that_is_none_stops_the_member),
        STORY(a_put_is_read_as_protobuf_is),
        STORY(who_is_stopped_answers_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
