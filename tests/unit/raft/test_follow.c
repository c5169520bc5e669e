/* A follower: what its leader sends, and what it answers. The member under
 * test is 1; 2 leads. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "unit/raft/raft_one.h"

static struct raft_one one;

static int set_up(void **state)
{
    (void)state;
    struct raft_config config = one_config(1, 3, 0);
    one_init(&one, &config);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    one_deinit(&one);
    return 0;
}

static void restart_with(raft_term term, const raft_term *terms, size_t count)
{
    struct raft_config config = one.config;
    one_deinit(&one);
    one_init_log(&one, &config, (struct raft_hard_state){.term = term}, terms,
                 count);
}

#define APPEND(term, index, log_term, commit, ...)             \
    do {                                                       \
        static const raft_term of[] = {__VA_ARGS__};           \
        one_append(&one, 2, term, index, log_term, commit, of, \
                   sizeof(of) / sizeof(of[0]));                \
    } while (0)
#define APPEND_NOTHING(term, index, log_term, commit) \
    one_append(&one, 2, term, index, log_term, commit, NULL, 0)

/* The only message that leaves, to the leader. */
static const struct raft_message *only_answer(void)
{
    assert_int_equal(one_pull(&one), 1);
    assert_int_equal(one.sent[0].to, 2);
    return &one.sent[0];
}

static void assert_agrees(raft_index index)
{
    const struct raft_message *answer = only_answer();
    assert_int_equal(answer->type, RAFT_MESSAGE_APPEND_ANSWER);
    assert_false(answer->rejected);
    assert_int_equal(answer->index, index);
}

static void assert_rejects(raft_index index, raft_index hint,
                           raft_term hint_term)
{
    const struct raft_message *answer = only_answer();
    assert_int_equal(answer->type, RAFT_MESSAGE_APPEND_ANSWER);
    assert_true(answer->rejected);
    assert_int_equal(answer->index, index);
    assert_int_equal(answer->hint_index, hint);
    assert_int_equal(answer->hint_term, hint_term);
}

static void assert_log(const raft_term *terms, size_t count)
{
    assert_int_equal(one_status(&one).last, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(raft_entry_at(one.raft, i + 1)->term, terms[i]);
    }
}

/* ---- taking -------------------------------------------------------------- */

static void entries_are_answered_when_they_are_durable(void **state)
{
    (void)state;
    APPEND(1, 0, 0, 0, 1, 1);
    assert_int_equal(one_status(&one).leader, 2);
    assert_int_equal(one.update.persist_from, 1);
    assert_int_equal(one.update.persist_to, 2);
    assert_int_equal(one_pull(&one), 0);
    one_persist(&one);
    assert_agrees(2);
    assert_int_equal(one_pull(&one), 0);
}

static void one_answer_for_many_appends(void **state)
{
    (void)state;
    APPEND(1, 0, 0, 0, 1);
    APPEND(1, 1, 1, 0, 1);
    APPEND(1, 2, 1, 0, 1, 1);
    one_persist(&one);
    assert_agrees(4);
}

static void an_append_that_came_twice_is_answered_twice(void **state)
{
    (void)state;
    APPEND(1, 0, 0, 0, 1, 1);
    one_settle(&one);
    assert_agrees(2);
    APPEND(1, 0, 0, 0, 1, 1);
    assert_int_equal(one.update.persist_from, 0);
    assert_agrees(2);
}

/* Old and short: what follows it stays. */
static void a_late_append_cuts_nothing(void **state)
{
    (void)state;
    APPEND(1, 0, 0, 0, 1, 1, 1);
    one_settle(&one);
    one_pull(&one);
    APPEND(1, 0, 0, 0, 1);
    assert_int_equal(one_status(&one).last, 3);
    assert_agrees(3);
}

static void while_a_write_is_on_its_way_it_says_what_is_durable(void **state)
{
    (void)state;
    APPEND(1, 0, 0, 0, 1, 1);
    struct raft_update first = one.update;
    raft_update_init(&one.update);
    APPEND(1, 2, 1, 0, 1);
    one_step(&one, (struct raft_event){.type = RAFT_PERSISTED,
                                       .index = first.persist_to,
                                       .term = first.hard_state.term});
    assert_agrees(2);
    one_persist(&one);
    assert_agrees(3);
}

/* ---- what doesn't fit ---------------------------------------------------- */

static void a_gap_is_refused_with_the_end_of_the_log(void **state)
{
    (void)state;
    static const raft_term terms[] = {1, 1, 2};
    restart_with(2, terms, 3);
    APPEND(3, 7, 3, 0, 3);
    one_persist(&one);
    assert_rejects(7, 3, 2);
    assert_log(terms, 3);
}

/* Paper 5.3, end. */
static void a_conflict_is_refused_with_the_last_that_could_agree(void **state)
{
    (void)state;
    static const raft_term terms[] = {1, 1, 3, 3, 3};
    restart_with(3, terms, 5);
    APPEND(4, 5, 2, 0, 4);
    one_persist(&one);
    assert_rejects(5, 2, 1);
}

static void a_hint_is_never_below_what_is_committed(void **state)
{
    (void)state;
    static const raft_term terms[] = {3, 3, 3, 3, 3};
    struct raft_config config = one.config;
    one_deinit(&one);
    one_init_log(&one, &config,
                 (struct raft_hard_state){.term = 3, .commit = 2}, terms, 5);
    APPEND(4, 5, 2, 0, 4);
    one_settle(&one);
    assert_rejects(5, 2, 3);
}

static void below_the_commit_everything_agrees(void **state)
{
    (void)state;
    static const raft_term terms[] = {1, 1, 1, 1};
    struct raft_config config = one.config;
    one_deinit(&one);
    one_init_log(&one, &config,
                 (struct raft_hard_state){.term = 1, .commit = 4}, terms, 4);
    one_settle(&one);
    one_step(&one, (struct raft_event){.type = RAFT_COMPACT, .index = 3});
    APPEND(1, 1, 1, 0, 1);
    assert_agrees(4);
    APPEND(1, 2, 1, 0, 1, 1, 1);
    one_persist(&one);
    assert_agrees(5);
}

/* ---- cutting ------------------------------------------------------------- */

static void what_conflicts_goes_with_all_that_follows(void **state)
{
    (void)state;
    static const raft_term old[] = {1, 1, 2, 2, 2};
    static const raft_term new[] = {1, 1, 3};
    restart_with(2, old, 5);
    APPEND(3, 1, 1, 0, 1, 3);
    assert_log(new, 3);
    assert_int_equal(one.update.persist_from, 3);
    assert_int_equal(one.update.persist_to, 3);
    assert_int_equal(one_status(&one).persisted, 2);
    assert_int_equal(one_pull(&one), 0);
    one_persist(&one);
    assert_agrees(3);
}

/* The write that is on its way is of entries that are no more. */
static void a_write_of_what_was_cut_counts_for_nothing(void **state)
{
    (void)state;
    APPEND(1, 0, 0, 0, 1, 1, 1);
    raft_update_init(&one.update); /* being written */
    one_append(&one, 3, 2, 1, 1, 0, (const raft_term[]){2, 2, 2}, 3);
    assert_int_equal(one.update.persist_from, 2);
    one_step(&one, (struct raft_event){
                       .type = RAFT_PERSISTED, .index = 3, .term = 1});
    assert_int_equal(one_status(&one).persisted, 1);
    one_pull(&one);
    assert_null(one_sent(&one, RAFT_MESSAGE_APPEND_ANSWER, 3));
    one_persist(&one);
    one_pull(&one);
    assert_int_equal(one_sent(&one, RAFT_MESSAGE_APPEND_ANSWER, 3)->index, 4);
}

/* Both come before the caller writes anything. */
static void what_was_never_written_is_replaced_in_the_update(void **state)
{
    (void)state;
    APPEND(1, 0, 0, 0, 1, 1, 1, 1);
    one_append(&one, 3, 2, 2, 1, 0, (const raft_term[]){2}, 1);
    assert_int_equal(one.update.persist_from, 1);
    assert_int_equal(one.update.persist_to, 3);
    one_persist(&one);
    one_pull(&one);
    assert_int_equal(one_sent(&one, RAFT_MESSAGE_APPEND_ANSWER, 3)->index, 3);
    assert_int_equal(one.sent_count, 1);
}

static void the_update_goes_back_as_far_as_the_cut(void **state)
{
    (void)state;
    static const raft_term old[] = {1, 1, 1, 1};
    restart_with(1, old, 4);
    APPEND(1, 4, 1, 0, 1, 1);
    assert_int_equal(one.update.persist_from, 5);
    one_append(&one, 3, 2, 2, 1, 0, (const raft_term[]){2, 2}, 2);
    assert_int_equal(one.update.persist_from, 3);
    assert_int_equal(one.update.persist_to, 4);
}

/* ---- commits ------------------------------------------------------------- */

static void it_commits_what_it_has_of_what_is_committed(void **state)
{
    (void)state;
    APPEND(1, 0, 0, 9, 1, 1);
    assert_int_equal(one_status(&one).commit, 2);
    /* Others have it, but it is applied when it is durable here too. */
    assert_int_equal(one.update.apply_from, 0);
    one_persist(&one);
    assert_int_equal(one.update.apply_from, 1);
    assert_int_equal(one.update.apply_to, 2);
}

/* Entries of its own behind them may be other ones. */
static void it_commits_no_further_than_agrees(void **state)
{
    (void)state;
    static const raft_term terms[] = {1, 1, 1, 1};
    restart_with(1, terms, 4);
    APPEND_NOTHING(2, 2, 1, 4);
    assert_int_equal(one_status(&one).commit, 2);
}

static void a_heartbeat_commits(void **state)
{
    (void)state;
    APPEND(1, 0, 0, 0, 1, 1);
    one_settle(&one);
    one_pull(&one);
    one_receive(&one, (struct raft_message){.type = RAFT_MESSAGE_HEARTBEAT,
                                            .from = 2,
                                            .commit = 2,
                                            .read = 5});
    assert_int_equal(one.update.apply_to, 2);
    const struct raft_message *answer = only_answer();
    assert_int_equal(answer->type, RAFT_MESSAGE_HEARTBEAT_ANSWER);
    assert_int_equal(answer->read, 5);
}

/* In one turn: the newest round is answered. */
static void heartbeats_are_answered_once(void **state)
{
    (void)state;
    for (uint64_t round = 3; round <= 5; round++) {
        one_receive(&one, (struct raft_message){.type = RAFT_MESSAGE_HEARTBEAT,
                                                .from = 2,
                                                .term = 1,
                                                .read = round});
    }
    assert_int_equal(only_answer()->read, 5);
}

/* The leader says what it knows: then nothing is owed. */
static void news_of_a_commit_need_no_answer(void **state)
{
    (void)state;
    APPEND(1, 0, 0, 0, 1, 1);
    one_settle(&one);
    assert_agrees(2);
    struct raft_message news = {.type = RAFT_MESSAGE_APPEND,
                                .from = 2,
                                .term = 1,
                                .index = 2,
                                .log_term = 1,
                                .commit = 2,
                                .hint_index = 2};
    one_receive(&one, news);
    assert_int_equal(one_status(&one).commit, 2);
    one_settle(&one);
    assert_int_equal(one_pull(&one), 0);
    news.hint_index = 1; /* the answer was lost */
    one_receive(&one, news);
    assert_agrees(2);
}

/* ---- limits -------------------------------------------------------------- */

static void a_full_log_takes_what_it_can(void **state)
{
    (void)state;
    static raft_term terms[40];
    for (size_t i = 0; i < 40; i++) {
        terms[i] = 1;
    }
    one_append(&one, 2, 1, 0, 0, 0, terms, 40);
    one_append(&one, 2, 1, 40, 1, 0, terms, 40);
    assert_int_equal(one_status(&one).last, 64);
    one_settle(&one);
    assert_agrees(64);
    one_append(&one, 2, 1, 64, 1, 64, terms, 1);
    assert_agrees(64);
    one_settle(&one);
    one_step(&one, (struct raft_event){.type = RAFT_COMPACT, .index = 30});
    one_append(&one, 2, 1, 64, 1, 64, terms, 10);
    one_settle(&one);
    assert_agrees(74);
}

static void entries_that_do_not_follow_are_not_taken(void **state)
{
    (void)state;
    APPEND(2, 0, 0, 0, 1, 1);
    one_settle(&one);
    one_pull(&one);
    APPEND(2, 2, 1, 0, 2, 1); /* terms fall */
    APPEND(2, 2, 1, 0, 3);    /* of a term to come */
    struct raft_entry entry = {.index = 4, .term = 2};
    one_receive(&one, (struct raft_message){.type = RAFT_MESSAGE_APPEND,
                                            .from = 2,
                                            .index = 2,
                                            .log_term = 1,
                                            .entries = &entry,
                                            .count = 1});
    assert_int_equal(one_status(&one).last, 2);
    assert_int_equal(one_pull(&one), 0);
}

static void times_do_not_fall_but_at_a_new_leader(void **state)
{
    (void)state;
    struct raft_entry entries[] = {
        {.index = 1, .term = 1, .time_ns = 50, .type = RAFT_ENTRY_COMMAND},
        {.index = 2, .term = 2, .time_ns = 0, .type = RAFT_ENTRY_EMPTY},
        {.index = 3, .term = 2, .time_ns = 60, .type = RAFT_ENTRY_COMMAND},
        {.index = 4, .term = 2, .time_ns = 59, .type = RAFT_ENTRY_COMMAND},
    };
    struct raft_message message = {.type = RAFT_MESSAGE_APPEND,
                                   .from = 2,
                                   .term = 2,
                                   .entries = entries,
                                   .count = 3};
    one_receive(&one, message);
    assert_int_equal(one_status(&one).last, 3);
    message.index = 3;
    message.log_term = 2;
    message.entries = &entries[3];
    message.count = 1;
    one_receive(&one, message);
    assert_int_equal(one_status(&one).last, 3);
}

static void references_are_its_own(void **state)
{
    (void)state;
    struct refbuf *data = refbuf_dup("d", 1);
    struct raft_entry entry = {
        .index = 1, .term = 1, .type = RAFT_ENTRY_COMMAND, .data = data};
    one_receive(&one, (struct raft_message){.type = RAFT_MESSAGE_APPEND,
                                            .from = 2,
                                            .term = 1,
                                            .entries = &entry,
                                            .count = 1});
    assert_int_equal(atomic_load(&data->refs), 2);
    one_append(&one, 3, 2, 0, 0, 0, (const raft_term[]){2}, 1);
    assert_int_equal(atomic_load(&data->refs), 1);
    refbuf_unref(data);
}

/* It knows nobody; whoever leads, it follows. */
static void one_that_joins_hears_of_the_cluster_from_its_leader(void **state)
{
    (void)state;
    struct raft_config config = one_config(7, 0, 0);
    one_deinit(&one);
    one_init(&one, &config);
    assert_true(one.update.deadline_ms == INT64_MAX);
    APPEND(4, 0, 0, 1, 1, 4);
    one_settle(&one);
    assert_agrees(2);
    assert_int_equal(one_status(&one).leader, 2);
    assert_int_equal(one_status(&one).applied, 1);
}

/* The hard state may reach the disk without the entries that replace others:
 * by its commit index those others would count as committed after a restart. */
static void the_commit_index_on_disk_speaks_of_what_is_on_disk(void **state)
{
    (void)state;
    static const raft_term old[] = {1, 1, 1};
    restart_with(1, old, 3);
    APPEND(2, 1, 1, 3, 2, 2);
    assert_int_equal(one_status(&one).commit, 3);
    assert_true(one.update.hard_state_changed);
    assert_int_equal(one.update.hard_state.commit, 1);
    one_settle(&one);
    APPEND(3, 3, 2, 3, 3);
    assert_int_equal(one.update.hard_state.commit, 3);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(entries_are_answered_when_they_are_durable),
        STORY(the_commit_index_on_disk_speaks_of_what_is_on_disk),
        STORY(one_answer_for_many_appends),
        STORY(an_append_that_came_twice_is_answered_twice),
        STORY(a_late_append_cuts_nothing),
        STORY(while_a_write_is_on_its_way_it_says_what_is_durable),
        STORY(a_gap_is_refused_with_the_end_of_the_log),
        STORY(a_conflict_is_refused_with_the_last_that_could_agree),
        STORY(a_hint_is_never_below_what_is_committed),
        STORY(below_the_commit_everything_agrees),
        STORY(what_conflicts_goes_with_all_that_follows),
        STORY(a_write_of_what_was_cut_counts_for_nothing),
        STORY(what_was_never_written_is_replaced_in_the_update),
        STORY(the_update_goes_back_as_far_as_the_cut),
        STORY(it_commits_what_it_has_of_what_is_committed),
        STORY(it_commits_no_further_than_agrees),
        STORY(a_heartbeat_commits),
        STORY(heartbeats_are_answered_once),
        STORY(news_of_a_commit_need_no_answer),
        STORY(a_full_log_takes_what_it_can),
        STORY(entries_that_do_not_follow_are_not_taken),
        STORY(times_do_not_fall_but_at_a_new_leader),
        STORY(references_are_its_own),
        STORY(one_that_joins_hears_of_the_cluster_from_its_leader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
