/* How one membership becomes the next (thesis 4), and its form as bytes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/prng.h"
#include "proto/pb.h"
#include "raft/raft.h"

static void add_ids(struct buf *out, const char *name, const member_id *ids,
                    size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "%s%d", i == 0 ? name : " ", (int)ids[i]);
    }
}

/* "1 2 3", "1 2, learners 4", "2 3, outgoing 1 2, next 1". */
static const char *text_of(const struct raft_members *members)
{
    static char text[4096];
    struct buf out = {0};
    add_ids(&out, "", members->voters, members->voter_count);
    add_ids(&out, ", outgoing ", members->outgoing, members->outgoing_count);
    add_ids(&out, ", learners ", members->learners, members->learner_count);
    add_ids(&out, ", next ", members->learners_next,
            members->learner_next_count);
    buf_append_char(&out, '\0');
    assert_true(out.size <= sizeof(text));
    memcpy(text, out.at, out.size);
    buf_deinit(&out);
    return text;
}

static struct raft_members voters_to(size_t count)
{
    struct raft_members members = {.voter_count = count};
    for (size_t i = 0; i < count; i++) {
        members.voters[i] = i + 1;
    }
    return members;
}

static void expect(struct raft_members *members,
                   const struct raft_change *changes, size_t count,
                   const char *want)
{
    assert_int_equal(raft_members_change(members, changes, count, members),
                     ERR_OK);
    assert_string_equal(text_of(members), want);
}

static void expect_refused(const struct raft_members *members,
                           const struct raft_change *changes, size_t count,
                           enum err want)
{
    struct raft_members out = voters_to(1);
    assert_int_equal(raft_members_change(members, changes, count, &out), want);
    assert_string_equal(text_of(&out), "1"); /* nothing was written */
}

#define CHANGE(members, want, ...)                       \
    expect(members, (struct raft_change[]){__VA_ARGS__}, \
           sizeof((struct raft_change[]){__VA_ARGS__}) / \
               sizeof(struct raft_change),               \
           want)
#define REFUSE(members, err, ...)                                \
    expect_refused(members, (struct raft_change[]){__VA_ARGS__}, \
                   sizeof((struct raft_change[]){__VA_ARGS__}) / \
                       sizeof(struct raft_change),               \
                   err)

/* ---- changes ------------------------------------------------------------- */

static void one_voter_more_or_less_takes_one_step(void **state)
{
    (void)state;
    struct raft_members members = voters_to(1);
    CHANGE(&members, "1 2", {RAFT_ADD_VOTER, 2});
    CHANGE(&members, "1 2 3", {RAFT_ADD_VOTER, 3});
    CHANGE(&members, "2 3", {RAFT_REMOVE, 1});
    CHANGE(&members, "2", {RAFT_REMOVE, 3});
}

static void learners_come_and_go_in_one_step(void **state)
{
    (void)state;
    struct raft_members members = voters_to(2);
    CHANGE(&members, "1 2, learners 4 9", {RAFT_ADD_LEARNER, 9},
           {RAFT_ADD_LEARNER, 4});
    CHANGE(&members, "1 2 9, learners 4", {RAFT_ADD_VOTER, 9});
    CHANGE(&members, "1 9, learners 2 4", {RAFT_ADD_LEARNER, 2});
    CHANGE(&members, "1 9, learners 2", {RAFT_REMOVE, 4});
    /* Many learners and one voter: one voter is what counts. */
    CHANGE(&members, "1 3 9, learners 5 6", {RAFT_REMOVE, 2},
           {RAFT_ADD_LEARNER, 5}, {RAFT_ADD_LEARNER, 6}, {RAFT_ADD_VOTER, 3});
}

static void two_voters_at_once_take_a_joint_change(void **state)
{
    (void)state;
    struct raft_members members = voters_to(3);
    CHANGE(&members, "1 2 4, outgoing 1 2 3", {RAFT_REMOVE, 3},
           {RAFT_ADD_VOTER, 4});
    REFUSE(&members, ERR_INVALID, {RAFT_ADD_LEARNER, 5});
    raft_members_leave_joint(&members, &members);
    assert_string_equal(text_of(&members), "1 2 4");
}

/* Thesis 4.3: until the end of the change it votes, as one of the old. */
static void a_voter_that_becomes_a_learner_waits_for_the_end(void **state)
{
    (void)state;
    struct raft_members members = voters_to(3);
    CHANGE(&members, "1 2 4, outgoing 1 2 3, learners 7, next 3",
           {RAFT_ADD_LEARNER, 3}, {RAFT_ADD_VOTER, 4}, {RAFT_ADD_LEARNER, 7});
    assert_true(raft_members_votes(&members, 3));
    assert_true(raft_members_votes(&members, 4));
    assert_false(raft_members_votes(&members, 7));
    raft_members_leave_joint(&members, &members);
    assert_string_equal(text_of(&members), "1 2 4, learners 3 7");
    assert_false(raft_members_votes(&members, 3));
    assert_true(raft_members_have(&members, 3));
}

/* A member that is dead, and the learner that takes its place. */
static void a_learner_replaces_a_voter(void **state)
{
    (void)state;
    struct raft_members members = voters_to(3);
    CHANGE(&members, "1 2 3, learners 4", {RAFT_ADD_LEARNER, 4});
    CHANGE(&members, "1 3 4, outgoing 1 2 3", {RAFT_ADD_VOTER, 4},
           {RAFT_REMOVE, 2});
    assert_true(raft_members_have(&members, 2));
    raft_members_leave_joint(&members, &members);
    assert_string_equal(text_of(&members), "1 3 4");
    assert_false(raft_members_have(&members, 2));
}

static void what_changes_nothing_is_refused(void **state)
{
    (void)state;
    struct raft_members members = voters_to(2);
    CHANGE(&members, "1 2, learners 3", {RAFT_ADD_LEARNER, 3});
    REFUSE(&members, ERR_INVALID, {RAFT_ADD_VOTER, 2});
    REFUSE(&members, ERR_INVALID, {RAFT_ADD_LEARNER, 3});
    REFUSE(&members, ERR_INVALID, {RAFT_REMOVE, 8});
    REFUSE(&members, ERR_INVALID, {RAFT_ADD_VOTER, 8}, {RAFT_REMOVE, 8});
    REFUSE(&members, ERR_INVALID, {RAFT_ADD_VOTER, 0});
    assert_int_equal(raft_members_change(&members, NULL, 0, &members),
                     ERR_INVALID);
}

static void a_voter_must_be_left(void **state)
{
    (void)state;
    struct raft_members members = voters_to(1);
    CHANGE(&members, "1, learners 2", {RAFT_ADD_LEARNER, 2});
    REFUSE(&members, ERR_INVALID, {RAFT_REMOVE, 1});
    REFUSE(&members, ERR_INVALID, {RAFT_ADD_LEARNER, 1});
    /* But another may take the place of the last. */
    CHANGE(&members, "2, outgoing 1, next 1", {RAFT_ADD_VOTER, 2},
           {RAFT_ADD_LEARNER, 1});
}

static void there_is_room_for_64(void **state)
{
    (void)state;
    struct raft_members members = voters_to(RAFT_MEMBERS_MAX - 1);
    assert_int_equal(raft_members_change(
                         &members, &(struct raft_change){RAFT_ADD_LEARNER, 100},
                         1, &members),
                     ERR_OK);
    REFUSE(&members, ERR_FULL, {RAFT_ADD_LEARNER, 101});
    REFUSE(&members, ERR_FULL, {RAFT_ADD_VOTER, 101});
    /* In a joint change those that leave take room until its end. */
    REFUSE(&members, ERR_FULL, {RAFT_REMOVE, 1}, {RAFT_ADD_VOTER, 101});
    assert_int_equal(
        raft_members_change(
            &members,
            (struct raft_change[]){{RAFT_REMOVE, 1}, {RAFT_ADD_VOTER, 100}}, 2,
            &members),
        ERR_OK);
    assert_int_equal(members.voter_count, RAFT_MEMBERS_MAX - 1);
    assert_int_equal(members.outgoing_count, RAFT_MEMBERS_MAX - 1);
    REFUSE(&members, ERR_INVALID, {RAFT_REMOVE, 2});
}

static void the_first_membership_comes_out_of_nothing(void **state)
{
    (void)state;
    struct raft_members members = {0};
    CHANGE(&members, "1 2 3", {RAFT_ADD_VOTER, 2}, {RAFT_ADD_VOTER, 3},
           {RAFT_ADD_VOTER, 1});
}

/* ---- a naive twin -------------------------------------------------------- */

/* Bit i: member i + 1. */
struct twin {
    uint64_t voters;
    uint64_t outgoing;
    uint64_t learners;
    uint64_t next;
};

static uint64_t bits_of(const member_id *ids, size_t count)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < count; i++) {
        assert_true(ids[i] >= 1 && ids[i] <= 64);
        assert_true(i == 0 || ids[i - 1] < ids[i]);
        bits |= UINT64_C(1) << (ids[i] - 1);
    }
    return bits;
}

static void assert_twins(const struct raft_members *members,
                         const struct twin *twin)
{
    assert_true(bits_of(members->voters, members->voter_count) == twin->voters);
    assert_true(bits_of(members->outgoing, members->outgoing_count) ==
                twin->outgoing);
    assert_true(bits_of(members->learners, members->learner_count) ==
                twin->learners);
    assert_true(bits_of(members->learners_next, members->learner_next_count) ==
                twin->next);
}

static bool twin_change(struct twin *twin, const struct raft_change *changes,
                        size_t count)
{
    struct twin next = *twin;
    for (size_t i = 0; i < count; i++) {
        uint64_t bit = UINT64_C(1) << (changes[i].id - 1);
        next.voters &= ~bit;
        next.learners &= ~bit;
        next.voters |= changes[i].op == RAFT_ADD_VOTER ? bit : 0;
        next.learners |= changes[i].op == RAFT_ADD_LEARNER ? bit : 0;
    }
    if (twin->outgoing != 0 || next.voters == 0 ||
        (next.voters == twin->voters && next.learners == twin->learners)) {
        return false;
    }
    if (__builtin_popcountll(next.voters ^ twin->voters) > 1) {
        next.outgoing = twin->voters;
        next.next = next.learners & next.outgoing;
        next.learners &= ~next.outgoing;
    }
    *twin = next;
    return true;
}

static void assert_survives_bytes(const struct raft_members *members)
{
    struct buf bytes = {0};
    struct raft_members again;
    struct slice rest;
    raft_members_encode(members, &bytes);
    buf_append_str(&bytes, "rest");
    assert_int_equal(raft_members_decode(buf_slice(&bytes), &again, &rest),
                     ERR_OK);
    assert_int_equal(rest.size, 4);
    assert_memory_equal(rest.at, "rest", 4);
    assert_memory_equal(&again, members, sizeof(again));
    buf_deinit(&bytes);
}

static void random_changes_agree_with_sets(void **state)
{
    (void)state;
    struct prng prng;
    struct raft_members members = voters_to(3);
    struct twin twin = {.voters = 7};
    int taken = 0;
    int joint = 0;
    prng_init(&prng, 4);
    for (int i = 0; i < 20000; i++) {
        struct raft_change changes[3];
        size_t count = 1 + (size_t)prng_below(&prng, 3);
        for (size_t c = 0; c < count; c++) {
            changes[c].op = (enum raft_change_op)prng_below(&prng, 3);
            changes[c].id = 1 + prng_below(&prng, 12);
        }
        bool want = twin_change(&twin, changes, count);
        enum err err = raft_members_change(&members, changes, count, &members);
        assert_int_equal(err, want ? ERR_OK : ERR_INVALID);
        assert_twins(&members, &twin);
        taken += want;
        if (twin.outgoing != 0 && prng_below(&prng, 3) == 0) {
            raft_members_leave_joint(&members, &members);
            twin.learners |= twin.next;
            twin.outgoing = twin.next = 0;
            assert_twins(&members, &twin);
            joint++;
        }
        for (member_id id = 1; id <= 12; id++) {
            uint64_t bit = UINT64_C(1) << (id - 1);
            uint64_t votes = twin.voters | twin.outgoing;
            assert_int_equal(raft_members_votes(&members, id),
                             (votes & bit) != 0);
            assert_int_equal(raft_members_have(&members, id),
                             ((votes | twin.learners) & bit) != 0);
        }
        if (i % 16 == 0) {
            assert_survives_bytes(&members);
        }
    }
    assert_true(taken > 4000);
    assert_true(joint > 1000);
}

/* ---- bytes --------------------------------------------------------------- */

static void the_bytes_are_these(void **state)
{
    (void)state;
    static const char want[] = "\x0a\x08\x01\x08\x04\x10\x01\x10\x02\x20\x02";
    struct raft_members members = {.voter_count = 2,
                                   .voters = {1, 4},
                                   .outgoing_count = 2,
                                   .outgoing = {1, 2},
                                   .learner_next_count = 1,
                                   .learners_next = {2}};
    struct buf bytes = {0};
    buf_append_str(&bytes, "before ");
    raft_members_encode(&members, &bytes);
    assert_int_equal(bytes.size, 7 + sizeof(want) - 1);
    assert_memory_equal(bytes.at + 7, want, sizeof(want) - 1);
    buf_deinit(&bytes);
    assert_survives_bytes(&members);
}

static void large_ids_and_nobody_survive(void **state)
{
    (void)state;
    struct raft_members members = {.voter_count = 2,
                                   .voters = {0x8e9e05c52164694d, UINT64_MAX},
                                   .learner_count = 1,
                                   .learners = {1}};
    assert_survives_bytes(&members);
    members = (struct raft_members){0};
    assert_survives_bytes(&members);
    members = voters_to(RAFT_MEMBERS_MAX);
    assert_survives_bytes(&members);
}

static void refuse_bytes(const void *bytes, size_t size)
{
    struct raft_members out;
    assert_int_equal(raft_members_decode(slice_of(bytes, size), &out, NULL),
                     ERR_CORRUPT);
}

#define REFUSE_BYTES(literal) refuse_bytes(literal, sizeof(literal) - 1)

static void what_is_no_membership_is_refused(void **state)
{
    (void)state;
    REFUSE_BYTES("");
    REFUSE_BYTES("\x02\x08");                     /* cut short */
    REFUSE_BYTES("\x05\x08\x01");                 /* cut short */
    REFUSE_BYTES("\x01\x08");                     /* a tag alone */
    REFUSE_BYTES("\x02\x08\x00");                 /* id 0 */
    REFUSE_BYTES("\x04\x08\x02\x08\x01");         /* falling */
    REFUSE_BYTES("\x04\x08\x02\x08\x02");         /* twice */
    REFUSE_BYTES("\x03\x0a\x01\x01");             /* bytes, no number */
    REFUSE_BYTES("\x02\x10\x01");                 /* outgoing alone */
    REFUSE_BYTES("\x02\x18\x01");                 /* learners alone */
    REFUSE_BYTES("\x04\x08\x01\x18\x01");         /* voter and learner */
    REFUSE_BYTES("\x06\x08\x01\x10\x02\x18\x02"); /* outgoing, learner */
    REFUSE_BYTES("\x04\x08\x01\x20\x02");         /* next, not outgoing */
    REFUSE_BYTES("\x06\x08\x02\x10\x02\x20\x02"); /* next, but a voter */
    REFUSE_BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"); /* a length */
}

static void more_than_64_are_refused(void **state)
{
    (void)state;
    struct buf body = {0};
    for (uint64_t id = 1; id <= RAFT_MEMBERS_MAX + 1; id++) {
        pb_put_u64(&body, 1, id);
    }
    struct buf bytes = {0};
    char size[VARINT_BYTES_MAX];
    buf_append(&bytes, size, put_varint(size, body.size));
    buf_append_slice(&bytes, buf_slice(&body));
    refuse_bytes(bytes.at, bytes.size);
    /* 63 voters and two learners, too. */
    body.at[body.size - 2] = body.at[body.size - 4] = 3 << 3;
    memcpy(bytes.at + bytes.size - body.size, body.at, body.size);
    refuse_bytes(bytes.at, bytes.size);
    buf_deinit(&body);
    buf_deinit(&bytes);
}

static void a_newer_versions_field_is_skipped(void **state)
{
    (void)state;
    struct raft_members out;
    struct slice rest;
    assert_int_equal(
        raft_members_decode(SLICE("\x05\x08\x07\x7a\x01x!"), &out, &rest),
        ERR_OK);
    assert_string_equal(text_of(&out), "7");
    assert_int_equal(rest.size, 1);
    assert_int_equal(rest.at[0], '!');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_voter_more_or_less_takes_one_step),
        cmocka_unit_test(learners_come_and_go_in_one_step),
        cmocka_unit_test(two_voters_at_once_take_a_joint_change),
        cmocka_unit_test(a_voter_that_becomes_a_learner_waits_for_the_end),
        cmocka_unit_test(a_learner_replaces_a_voter),
        cmocka_unit_test(what_changes_nothing_is_refused),
        cmocka_unit_test(a_voter_must_be_left),
        cmocka_unit_test(there_is_room_for_64),
        cmocka_unit_test(the_first_membership_comes_out_of_nothing),
        cmocka_unit_test(random_changes_agree_with_sets),
        cmocka_unit_test(the_bytes_are_these),
        cmocka_unit_test(large_ids_and_nobody_survive),
        cmocka_unit_test(what_is_no_membership_is_refused),
        cmocka_unit_test(more_than_64_are_refused),
        cmocka_unit_test(a_newer_versions_field_is_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
