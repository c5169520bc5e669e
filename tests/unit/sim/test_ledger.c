/* The ledger believes what fits together, and says what doesn't. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "lease/lease.h"
#include "proto/command.h"
#include "unit/sim/sim_stories.h"

static const struct raft_members three = {.voter_count = 3,
                                          .voters = {1, 2, 3}};

static int begin(void **state)
{
    struct ledger *ledger = mem_alloc(sizeof *ledger);
    ledger_init(ledger, &three);
    *state = ledger;
    return 0;
}

static int end(void **state)
{
    ledger_deinit(*state);
    mem_free(*state);
    return 0;
}

/* ---- logs ---------------------------------------------------------------- */

/* Sees an entry; returns its chain. */
static uint64_t see(struct ledger *ledger, raft_index index, raft_term term,
                    const char *text, uint64_t before)
{
    uint64_t chain = 0;
    struct raft_entry entry = story_entry(index, term, text);
    assert_int_equal(ledger_see(ledger, &entry, before, &chain), ERR_OK);
    story_forget(&entry);
    return chain;
}

static enum err see_wrong(struct ledger *ledger, raft_index index,
                          raft_term term, const char *text, uint64_t before)
{
    uint64_t chain = 0;
    struct raft_entry entry = story_entry(index, term, text);
    enum err err = ledger_see(ledger, &entry, before, &chain);
    story_forget(&entry);
    return err;
}

static void test_two_logs_that_are_the_same(void **state)
{
    struct ledger *ledger = *state;
    uint64_t a = see(ledger, 1, 1, NULL, 0);
    uint64_t b = see(ledger, 1, 1, NULL, 0);
    assert_int_equal(a, b);
    a = see(ledger, 2, 1, "x", a);
    b = see(ledger, 2, 1, "x", b);
    assert_int_equal(a, b);
    assert_int_not_equal(a, 0);
}

static void test_two_logs_may_differ_in_another_term(void **state)
{
    struct ledger *ledger = *state;
    uint64_t first = see(ledger, 1, 1, NULL, 0);
    uint64_t a = see(ledger, 2, 2, "x", first);
    uint64_t b = see(ledger, 2, 3, "y", first);
    assert_int_not_equal(a, b);
}

static void test_one_index_and_term_is_one_entry(void **state)
{
    struct ledger *ledger = *state;
    uint64_t first = see(ledger, 1, 1, NULL, 0);
    (void)see(ledger, 2, 2, "x", first);
    assert_int_equal(see_wrong(ledger, 2, 2, "y", first), ERR_CORRUPT);
    story_note_has("logs differ at or before index 2, term 2");
}

static void test_one_entry_has_one_past(void **state)
{
    struct ledger *ledger = *state;
    uint64_t first = see(ledger, 1, 1, NULL, 0);
    uint64_t a = see(ledger, 2, 2, "x", first);
    uint64_t b = see(ledger, 2, 3, "x", first);
    (void)see(ledger, 3, 4, "z", a);
    assert_int_equal(see_wrong(ledger, 3, 4, "z", b), ERR_CORRUPT);
}

static void test_an_entry_is_its_time_and_type_too(void **state)
{
    struct ledger *ledger = *state;
    uint64_t chain;
    struct raft_entry entry = story_entry(1, 1, NULL);
    assert_int_equal(ledger_see(ledger, &entry, 0, &chain), ERR_OK);
    entry.time_ns++;
    assert_int_equal(ledger_see(ledger, &entry, 0, &chain), ERR_CORRUPT);
    entry.time_ns--;
    entry.type = RAFT_ENTRY_COMMAND;
    assert_int_equal(ledger_see(ledger, &entry, 0, &chain), ERR_CORRUPT);
}

/* ---- commits of the log -------------------------------------------------- */

static enum err commit(struct ledger *ledger, raft_index index, raft_term term,
                       uint64_t chain, const char *text, raft_term of_member)
{
    struct raft_entry entry = story_entry(index, term, text);
    enum err err = ledger_commit(ledger, index, of_member, chain, &entry);
    story_forget(&entry);
    return err;
}

static void test_all_commit_the_same(void **state)
{
    struct ledger *ledger = *state;
    assert_int_equal(commit(ledger, 1, 1, 11, NULL, 1), ERR_OK);
    assert_int_equal(commit(ledger, 2, 1, 22, "x", 1), ERR_OK);
    assert_int_equal(ledger->commit, 2);
    assert_int_equal(commit(ledger, 1, 1, 11, NULL, 3), ERR_OK);
    assert_int_equal(ledger_commit(ledger, 2, 3, 22, NULL), ERR_OK);
    assert_int_equal(ledger_chain(ledger, 0), 0);
    assert_int_equal(ledger_chain(ledger, 1), 11);
    assert_int_equal(ledger_chain(ledger, 2), 22);
    assert_int_equal(ledger->places[2].data->size, 1);
}

static void test_one_index_is_committed_once(void **state)
{
    struct ledger *ledger = *state;
    assert_int_equal(commit(ledger, 1, 1, 11, NULL, 1), ERR_OK);
    assert_int_equal(commit(ledger, 1, 2, 12, NULL, 2), ERR_CORRUPT);
    story_note_has("index 1 is committed as two entries");
}

static void test_a_commit_that_nobody_has(void **state)
{
    struct ledger *ledger = *state;
    assert_int_equal(ledger_commit(ledger, 1, 1, 11, NULL), ERR_CORRUPT);
    story_note_has("doesn't have it");
}

static void test_a_leader_must_have_what_was_committed_before(void **state)
{
    struct ledger *ledger = *state;
    assert_int_equal(ledger_commit_before(ledger, 5), 0);
    assert_int_equal(commit(ledger, 1, 1, 11, NULL, 1), ERR_OK);
    /* Of an old term, but by a leader of the third. */
    assert_int_equal(commit(ledger, 2, 1, 22, "x", 3), ERR_OK);
    assert_int_equal(commit(ledger, 3, 3, 33, "y", 3), ERR_OK);
    assert_int_equal(ledger_commit_before(ledger, 1), 0);
    assert_int_equal(ledger_commit_before(ledger, 2), 1);
    assert_int_equal(ledger_commit_before(ledger, 3), 1);
    assert_int_equal(ledger_commit_before(ledger, 4), 3);
}

static void test_a_change_of_membership_is_kept(void **state)
{
    struct ledger *ledger = *state;
    struct raft_members four = {.voter_count = 4, .voters = {1, 2, 3, 4}};
    struct buf bytes = {0};
    raft_members_encode(&four, &bytes);
    struct raft_entry entry = {.index = 1,
                               .term = 1,
                               .type = RAFT_ENTRY_CHANGE,
                               .data = refbuf_dup(bytes.at, bytes.size)};
    assert_int_equal(ledger->members.voter_count, 3);
    assert_int_equal(ledger_commit(ledger, 1, 1, 11, &entry), ERR_OK);
    assert_int_equal(ledger->members.voter_count, 4);
    assert_int_equal(ledger->members_index, 1);
    /* One that can't be read is wrong. */
    struct raft_entry bad = {.index = 2, .term = 1, .type = RAFT_ENTRY_CHANGE};
    assert_int_equal(ledger_commit(ledger, 2, 1, 22, &bad), ERR_CORRUPT);
    story_forget(&entry);
    buf_deinit(&bytes);
}

static void test_one_leader_a_term(void **state)
{
    struct ledger *ledger = *state;
    bool is_new;
    assert_int_equal(ledger_lead(ledger, 1, 1, &is_new), ERR_OK);
    assert_true(is_new);
    assert_int_equal(ledger_lead(ledger, 1, 1, &is_new), ERR_OK);
    assert_false(is_new);
    assert_int_equal(ledger_lead(ledger, 700, 2, &is_new), ERR_OK);
    assert_true(is_new);
    assert_int_equal(ledger->leader_count, 2);
    assert_int_equal(ledger_lead(ledger, 1, 2, &is_new), ERR_CORRUPT);
    story_note_has("two leaders in term 1");
}

static void test_one_revision_an_index(void **state)
{
    struct ledger *ledger = *state;
    assert_int_equal(ledger_applied(ledger, 1, 2, 1000), ERR_CORRUPT);
    story_note_has("not committed");
    assert_int_equal(commit(ledger, 1, 1, 11, NULL, 1), ERR_OK);
    assert_int_equal(ledger_applied(ledger, 1, 2, 1000), ERR_OK);
    assert_int_equal(ledger_applied(ledger, 1, 2, 1000), ERR_OK);
    assert_int_equal(ledger_applied(ledger, 1, 3, 1000), ERR_CORRUPT);
    story_note_has("revision 3, on another member 2");
    assert_int_equal(ledger_applied(ledger, 1, 2, 1001), ERR_CORRUPT);
    story_note_has("a time that no entry is of");
    assert_int_equal(ledger_applied(ledger, 0, 1, 0), ERR_CORRUPT);
}

/* ---- the twin ------------------------------------------------------------ */

static void change(struct ledger *ledger, const struct record *record)
{
    enum err err = story_change(ledger, record, record->rev.main * 1000);
    if (err)
        fail_msg("%s", err_note());
}

static void wrong(struct ledger *ledger, const struct record *record,
                  const char *words)
{
    assert_int_equal(story_change(ledger, record, record->rev.main * 1000),
                     ERR_CORRUPT);
    story_note_has(words);
}

static const char *value_at(struct ledger *ledger, const char *key, revision at)
{
    static char text[32];
    const struct record *record =
        ledger_get(ledger, MVCC_KEYS, slice_str(key), at);
    if (record == NULL)
        return "-";
    assert_true(record->value.size < sizeof text);
    memcpy(text, record->value.at, record->value.size);
    text[record->value.size] = 0;
    return text;
}

static void test_a_key_through_its_life(void **state)
{
    struct ledger *ledger = *state;
    struct record a = story_record(2, "/k", "one", NULL);
    struct record b = story_record(3, "/k", "two", &a);
    struct record c = story_record(5, "/k", NULL, &b);
    struct record other = story_record(4, "/l", "x", NULL);
    change(ledger, &a);
    change(ledger, &b);
    change(ledger, &other);
    change(ledger, &c);
    assert_string_equal(value_at(ledger, "/k", 1), "-");
    assert_string_equal(value_at(ledger, "/k", 2), "one");
    assert_string_equal(value_at(ledger, "/k", 3), "two");
    assert_string_equal(value_at(ledger, "/k", 4), "two");
    assert_string_equal(value_at(ledger, "/k", 5), "-");
    assert_string_equal(value_at(ledger, "/l", 3), "-");
    assert_string_equal(value_at(ledger, "/l", 5), "x");
    assert_string_equal(value_at(ledger, "/m", 5), "-");
    struct record again = story_record(6, "/k", "new", NULL);
    change(ledger, &again);
    assert_string_equal(value_at(ledger, "/k", 6), "new");
    assert_null(ledger_commit_at(ledger, 1));
    assert_int_equal(ledger_commit_at(ledger, 6)->count, 1);
    assert_null(ledger_commit_at(ledger, 7));
}

static void test_an_update_keeps_its_life(void **state)
{
    struct ledger *ledger = *state;
    struct record a = story_record(2, "/k", "one", NULL);
    struct record b = story_record(3, "/k", "two", &a);
    change(ledger, &a);
    b.create = 2;
    b.version = 2;
    change(ledger, &b);
    struct record c = story_record(4, "/k", "three", &b);
    c.create = 2;
    c.version = 4;
    wrong(ledger, &c, "its version doesn't follow");
}

static void test_an_update_of_another_life(void **state)
{
    struct ledger *ledger = *state;
    struct record a = story_record(2, "/k", "one", NULL);
    struct record b = story_record(3, "/k", "two", &a);
    change(ledger, &a);
    b.create = 1;
    b.version = 2;
    wrong(ledger, &b, "its version doesn't follow");
}

static void test_a_new_life_begins_with_its_revision(void **state)
{
    struct record a = story_record(2, "/k", "one", NULL);
    a.create = 1;
    wrong(*state, &a, "a new life that began elsewhere");
}

static void test_a_record_names_the_one_before(void **state)
{
    struct ledger *ledger = *state;
    struct record a = story_record(2, "/k", "one", NULL);
    struct record b = story_record(3, "/k", "two", NULL);
    change(ledger, &a);
    wrong(ledger, &b, "it doesn't name the record before it");
}

static void test_what_is_dead_does_not_die(void **state)
{
    struct record a = story_record(2, "/k", NULL, NULL);
    wrong(*state, &a, "what ends here didn't live");
}

static void test_revisions_have_no_hole(void **state)
{
    struct ledger *ledger = *state;
    struct record a = story_record(2, "/k", "one", NULL);
    struct record c = story_record(4, "/l", "three", NULL);
    change(ledger, &a);
    wrong(ledger, &c, "revision 4 follows 2");
    struct record zero = story_record(1, "/l", "three", NULL);
    wrong(ledger, &zero, "a commit of revision 1");
}

static void test_time_does_not_run_backwards(void **state)
{
    struct ledger *ledger = *state;
    struct record a = story_record(2, "/k", "one", NULL);
    struct record b = story_record(3, "/l", "two", NULL);
    assert_int_equal(story_change(ledger, &a, 5000), ERR_OK);
    assert_int_equal(story_change(ledger, &b, 4999), ERR_CORRUPT);
    story_note_has("its time runs backwards");
}

static void test_a_commit_of_several_records(void **state)
{
    struct ledger *ledger = *state;
    struct record records[3] = {
        story_record(2, "/a", NULL, NULL),
        story_record(2, "/a/b", "x", NULL),
        story_record(2, "/a/b", "y", NULL),
    };
    records[0].table = MVCC_DIRS;
    records[0].flags = MVCC_PART;
    records[0].create = 2;
    records[0].version = 1;
    records[2].prev = (struct rev){2, 1};
    struct mvcc_commit *commit_ = story_commit(2, 7, records, 3);
    assert_int_equal(ledger_change(ledger, commit_), ERR_OK);
    mvcc_commit_unref(commit_);
    assert_string_equal(value_at(ledger, "/a/b", 2), "y");
    assert_non_null(ledger_get(ledger, MVCC_DIRS, SLICE("/a"), 2));
    assert_null(ledger_get(ledger, MVCC_KEYS, SLICE("/a"), 2));
}

/* A lease of v3's, as the log has it. */
static void grant(struct ledger *ledger, raft_index index, int64_t time_ns,
                  const char *message)
{
    struct command command = {.type = COMMAND_LEASE_GRANT,
                              .message = slice_str(message)};
    struct refbuf *encoded = command_encode(&command);
    assert_int_equal(lessor_take(&ledger->lessor, index, time_ns,
                                 slice_of(encoded->bytes, encoded->size)),
                     ERR_OK);
    refbuf_unref(encoded);
}

static void test_a_lease_of_v3_does_not_end_early(void **state)
{
    struct ledger *ledger = *state;
    grant(ledger, 5, 1000, "\x08\x02\x10\x07"); /* 7, of 2 s */
    struct record a = story_record(2, "/a", "1", NULL);
    a.lease = 7;
    change(ledger, &a);
    struct record end = story_record(3, "/a", NULL, &a);
    end.cause = MVCC_EXPIRE;
    assert_int_equal(story_change(ledger, &end, 2000000999), ERR_CORRUPT);
    story_note_has("its lease ended before its time");
}

static void test_a_lease_of_v3_ends_in_time(void **state)
{
    struct ledger *ledger = *state;
    grant(ledger, 5, 1000, "\x08\x02\x10\x07");
    struct record a = story_record(2, "/a", "1", NULL);
    a.lease = 7;
    change(ledger, &a);
    assert_int_equal(ledger_lease_keys(ledger, 7, 2), 1);
    struct record end = story_record(3, "/a", NULL, &a);
    end.cause = MVCC_EXPIRE;
    assert_int_equal(story_change(ledger, &end, 2000001000), ERR_OK);
    assert_int_equal(ledger_lease_keys(ledger, 7, 3), 0);
    assert_int_equal(ledger_lease_keys(ledger, 7, 2), 1);
}

static void test_a_hash_is_one_for_each_index(void **state)
{
    struct ledger *ledger = *state;
    assert_int_equal(commit(ledger, 1, 1, 11, NULL, 1), ERR_OK);
    assert_int_equal(ledger_hashed(ledger, 1, 0), ERR_OK);
    assert_int_equal(ledger_hashed(ledger, 1, 0), ERR_OK);
    assert_int_equal(ledger_hashed(ledger, 1, 5), ERR_CORRUPT);
    story_note_has("hash 5, on another member 0");
}

static void test_counts_of_what_lives(void **state)
{
    struct ledger *ledger = *state;
    struct ledger_sum sum;
    struct record a = story_record(2, "/a", "1", NULL);
    struct record b = story_record(3, "/b", "2", NULL);
    b.lease = LEASE_V2 | 77;
    b.expire_ns = 9000;
    struct record gone = story_record(4, "/a", NULL, &a);
    change(ledger, &a);
    change(ledger, &b);
    change(ledger, &gone);
    ledger_count(ledger, MVCC_KEYS, 3, &sum);
    assert_int_equal(sum.keys, 2);
    assert_int_equal(sum.with_ttl, 1);
    assert_int_equal(sum.with_lease, 0);
    ledger_count(ledger, MVCC_KEYS, 4, &sum);
    assert_int_equal(sum.keys, 1);
    ledger_count(ledger, MVCC_DIRS, 4, &sum);
    assert_int_equal(sum.keys, 0);
    assert_int_equal(sum.with_ttl, 0);
}

/* ---- expiry -------------------------------------------------------------- */

static struct record leased(revision main, const char *key, int64_t expire_ns)
{
    struct record record = story_record(main, key, "x", NULL);
    record.lease = LEASE_V2 | (1000 + main);
    record.expire_ns = expire_ns;
    return record;
}

static void test_a_lease_ends_in_time(void **state)
{
    struct ledger *ledger = *state;
    struct record a = leased(2, "/t", 3000);
    struct record gone = story_record(3, "/t", NULL, &a);
    gone.cause = MVCC_EXPIRE;
    change(ledger, &a);
    change(ledger, &gone); /* at 3000 */
}

static void test_a_lease_does_not_end_early(void **state)
{
    struct ledger *ledger = *state;
    struct record a = leased(2, "/t", 3001);
    struct record gone = story_record(3, "/t", NULL, &a);
    gone.cause = MVCC_EXPIRE;
    change(ledger, &a);
    wrong(ledger, &gone, "expired before its time");
}

static void test_what_has_no_lease_does_not_expire(void **state)
{
    struct ledger *ledger = *state;
    struct record a = story_record(2, "/t", "x", NULL);
    struct record gone = story_record(3, "/t", NULL, &a);
    gone.cause = MVCC_EXPIRE;
    change(ledger, &a);
    wrong(ledger, &gone, "expired without a lease");
}

static void test_a_directory_takes_its_keys_along(void **state)
{
    struct ledger *ledger = *state;
    struct record dir = leased(2, "/d", 3000);
    struct record key = story_record(2, "/d/k", "x", NULL);
    dir.table = MVCC_DIRS;
    struct record both[2] = {dir, key};
    struct mvcc_commit *made = story_commit(2, 2000, both, 2);
    assert_int_equal(ledger_change(ledger, made), ERR_OK);
    mvcc_commit_unref(made);
    struct record gone[2] = {
        story_record(3, "/d", NULL, &dir),
        story_record(3, "/d/k", NULL, NULL),
    };
    gone[0].table = MVCC_DIRS;
    gone[0].cause = gone[1].cause = MVCC_EXPIRE;
    gone[1].flags |= MVCC_PART;
    gone[1].prev = (struct rev){2, 1};
    struct mvcc_commit *ended = story_commit(3, 3000, gone, 2);
    if (ledger_change(ledger, ended))
        fail_msg("%s", err_note());
    mvcc_commit_unref(ended);
}

/* ---- members that differ ------------------------------------------------- */

static void test_every_member_makes_the_same_commit(void **state)
{
    struct ledger *ledger = *state;
    struct record a = leased(2, "/k", 9000);
    change(ledger, &a);
    change(ledger, &a);
    const struct {
        const char *words;
        struct record differs;
    } cases[] = {
        {"the key", {.key = SLICE("/l")}},
        {"the value", {.value = SLICE("y")}},
        {"the cause", {.cause = MVCC_CREATE}},
        {"the cause", {.flags = MVCC_REFRESH}},
        {"the version", {.version = 2}},
        {"the version", {.create = 1}},
        {"the lease", {.lease = 7}},
        {"the lease", {.expire_ns = 7}},
        {"the record before", {.prev = {1, 0}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct record *differs = &cases[i].differs;
        struct record b = a;
        b.key = differs->key.at ? differs->key : b.key;
        b.value = differs->value.at ? differs->value : b.value;
        b.cause = differs->cause ? differs->cause : b.cause;
        b.flags |= differs->flags;
        b.version = differs->version ? differs->version : b.version;
        b.create = differs->create ? differs->create : b.create;
        b.lease = differs->lease ? differs->lease : b.lease;
        b.expire_ns = differs->expire_ns ? differs->expire_ns : b.expire_ns;
        b.prev = differs->prev.main ? differs->prev : b.prev;
        wrong(ledger, &b, cases[i].words);
    }
}

static void test_another_time_or_count_is_another_commit(void **state)
{
    struct ledger *ledger = *state;
    struct record a = story_record(2, "/k", "x", NULL);
    struct record two[2] = {a, story_record(2, "/l", "y", NULL)};
    change(ledger, &a);
    assert_int_equal(story_change(ledger, &a, 2001), ERR_CORRUPT);
    struct mvcc_commit *commit_ = story_commit(2, 2000, two, 2);
    assert_int_equal(ledger_change(ledger, commit_), ERR_CORRUPT);
    story_note_has("on another member");
    mvcc_commit_unref(commit_);
}

static void test_records_differ_in_place_and_time(void **state)
{
    (void)state;
    struct record a = story_record(2, "/k", "x", NULL);
    struct record b = a;
    assert_int_equal(ledger_same_record(&a, &b), ERR_OK);
    b.rev.sub = 1;
    assert_int_equal(ledger_same_record(&a, &b), ERR_CORRUPT);
    story_note_has("the revision");
    b = a;
    b.time_ns = 3;
    assert_int_equal(ledger_same_record(&a, &b), ERR_CORRUPT);
    story_note_has("the time");
}

#define STORY(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_two_logs_that_are_the_same),
        STORY(test_two_logs_may_differ_in_another_term),
        STORY(test_one_index_and_term_is_one_entry),
        STORY(test_one_entry_has_one_past),
        STORY(test_an_entry_is_its_time_and_type_too),
        STORY(test_all_commit_the_same),
        STORY(test_one_index_is_committed_once),
        STORY(test_a_commit_that_nobody_has),
        STORY(test_a_leader_must_have_what_was_committed_before),
        STORY(test_a_change_of_membership_is_kept),
        STORY(test_one_leader_a_term),
        STORY(test_one_revision_an_index),
        STORY(test_a_key_through_its_life),
        STORY(test_an_update_keeps_its_life),
        STORY(test_an_update_of_another_life),
        STORY(test_a_new_life_begins_with_its_revision),
        STORY(test_a_record_names_the_one_before),
        STORY(test_what_is_dead_does_not_die),
        STORY(test_revisions_have_no_hole),
        STORY(test_time_does_not_run_backwards),
        STORY(test_a_commit_of_several_records),
        STORY(test_a_lease_of_v3_does_not_end_early),
        STORY(test_a_lease_of_v3_ends_in_time),
        STORY(test_a_hash_is_one_for_each_index),
        STORY(test_counts_of_what_lives),
        STORY(test_a_lease_ends_in_time),
        STORY(test_a_lease_does_not_end_early),
        STORY(test_what_has_no_lease_does_not_expire),
        STORY(test_a_directory_takes_its_keys_along),
        STORY(test_every_member_makes_the_same_commit),
        STORY(test_another_time_or_count_is_another_commit),
        STORY(test_records_differ_in_place_and_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
