/* Stories of a cluster of one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "unit/raft/raft_world.h"

static struct raft_world world;

static int set_up(void **state)
{
    (void)state;
    raft_world_init(&world);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    raft_world_deinit(&world);
    return 0;
}

static struct raft_status status(void)
{
    struct raft_status out;
    raft_status(world.raft, &out);
    return out;
}

static void a_member_starts_as_a_follower(void **state)
{
    (void)state;
    assert_int_equal(status().role, RAFT_FOLLOWER);
    assert_int_equal(status().leader, 0);
    assert_int_equal(status().term, 0);
    assert_int_equal(status().last, 0);
}

static void a_follower_takes_no_proposal(void **state)
{
    (void)state;
    assert_int_equal(raft_world_propose(&world, "a"), ERR_NOT_LEADER);
    assert_int_equal(status().last, 0);
}

static void its_own_vote_counts_only_when_durable(void **state)
{
    (void)state;
    raft_world_campaign(&world);
    assert_true(world.update.hard_state_changed);
    assert_int_equal(world.update.hard_state.term, 1);
    assert_int_equal(world.update.hard_state.vote, 1);
    assert_int_equal(status().role, RAFT_CANDIDATE);
    assert_int_equal(raft_world_propose(&world, "a"), ERR_NOT_LEADER);
    assert_true(raft_world_turn(&world));
    assert_int_equal(status().role, RAFT_LEADER);
    assert_int_equal(status().leader, 1);
}

static void a_new_leader_begins_with_an_empty_entry(void **state)
{
    (void)state;
    raft_world_campaign(&world);
    raft_world_turn(&world);
    const struct raft_entry *entry = raft_entry_at(world.raft, 1);
    assert_non_null(entry);
    assert_int_equal(entry->type, RAFT_ENTRY_EMPTY);
    assert_int_equal(entry->term, 1);
    assert_int_equal(status().commit, 0);
    raft_world_settle(&world);
    assert_int_equal(status().commit, 1);
    assert_int_equal(status().applied, 1);
}

static void an_entry_is_committed_when_it_is_durable(void **state)
{
    (void)state;
    raft_world_campaign(&world);
    raft_world_settle(&world);
    assert_int_equal(raft_world_propose(&world, "a"), ERR_OK);
    assert_int_equal(world.update.persist_from, 2);
    assert_int_equal(world.update.persist_to, 2);
    assert_int_equal(world.update.apply_from, 0);
    assert_int_equal(status().commit, 1);
    raft_world_settle(&world);
    assert_int_equal(status().commit, 2);
    assert_int_equal(world.applied[2], 'a');
}

static void several_steps_share_one_write(void **state)
{
    (void)state;
    raft_world_campaign(&world);
    raft_world_settle(&world);
    assert_int_equal(raft_world_propose(&world, "a"), ERR_OK);
    assert_int_equal(raft_world_propose(&world, "b"), ERR_OK);
    assert_int_equal(raft_world_propose(&world, "c"), ERR_OK);
    assert_int_equal(world.update.persist_from, 2);
    assert_int_equal(world.update.persist_to, 4);
    assert_true(raft_world_turn(&world));
    assert_int_equal(world.update.apply_from, 2);
    assert_int_equal(world.update.apply_to, 4);
}

static void
a_proposal_while_a_write_is_on_its_way_comes_with_the_next(void **state)
{
    (void)state;
    raft_world_campaign(&world);
    raft_world_settle(&world);
    assert_int_equal(raft_world_propose(&world, "a"), ERR_OK);
    struct raft_update first = world.update;
    raft_update_init(&world.update);
    assert_int_equal(raft_world_propose(&world, "b"), ERR_OK);
    assert_int_equal(world.update.persist_from, 3);
    struct raft_event event = {.type = RAFT_PERSISTED,
                               .index = first.persist_to,
                               .term = first.hard_state.term};
    assert_int_equal(raft_step(world.raft, &event, &world.update), ERR_OK);
    assert_int_equal(world.update.apply_to, 2);
    assert_int_equal(status().commit, 2);
    /* The disk of this story is written by hand. */
    world.entries[world.entry_count++] =
        (struct raft_entry){.index = 2, .term = 1, .type = RAFT_ENTRY_COMMAND};
    raft_world_settle(&world);
    assert_int_equal(status().commit, 3);
}

static void what_was_not_durable_is_gone_after_a_crash(void **state)
{
    (void)state;
    raft_world_campaign(&world);
    raft_world_settle(&world);
    assert_int_equal(raft_world_propose(&world, "a"), ERR_OK);
    raft_world_settle(&world);
    assert_int_equal(raft_world_propose(&world, "b"), ERR_OK);
    raft_world_restart(&world);
    assert_int_equal(status().last, 2);
    raft_world_campaign(&world);
    raft_world_settle(&world);
    assert_int_equal(status().term, 2);
    assert_int_equal(status().applied, 3); /* empty, a, empty */
    assert_int_equal(world.applied[2], 'a');
    assert_int_equal(world.applied[3], '-');
}

static void old_entries_are_committed_with_the_new_terms_first(void **state)
{
    (void)state;
    raft_world_campaign(&world);
    raft_world_settle(&world);
    assert_int_equal(raft_world_propose(&world, "a"), ERR_OK);
    raft_world_settle(&world);
    world.hard.commit = 0; /* the hint was lost */
    raft_world_restart(&world);
    assert_int_equal(status().commit, 0);
    raft_world_campaign(&world);
    raft_world_turn(&world); /* the vote; now the empty entry waits */
    assert_int_equal(status().commit, 0);
    raft_world_settle(&world);
    assert_int_equal(status().commit, 3);
}

static void a_commit_hint_beyond_the_log_is_cut(void **state)
{
    (void)state;
    raft_world_campaign(&world);
    raft_world_settle(&world);
    world.hard.commit = 99;
    raft_world_restart(&world);
    assert_int_equal(status().commit, 1);
}

static void a_restart_goes_on_with_the_next_term(void **state)
{
    (void)state;
    for (int i = 1; i <= 5; i++) {
        raft_world_campaign(&world);
        raft_world_settle(&world);
        assert_int_equal(status().term, i);
        raft_world_restart(&world);
    }
    assert_int_equal(status().last, 5);
}

static void the_log_is_bounded(void **state)
{
    (void)state;
    raft_world_campaign(&world);
    raft_world_settle(&world);
    enum err err = ERR_OK;
    /* 64 in all: one is there, four are kept for leaders to come. */
    for (int i = 0; i < 59; i++) {
        assert_int_equal(raft_world_propose(&world, "x"), ERR_OK);
    }
    err = raft_world_propose(&world, "y");
    assert_int_equal(err, ERR_FULL);
    raft_world_settle(&world);
    assert_int_equal(raft_world_propose(&world, "y"), ERR_FULL);
    struct raft_event event = {.type = RAFT_COMPACT, .index = 56};
    assert_int_equal(raft_step(world.raft, &event, &world.update), ERR_OK);
    assert_int_equal(status().first, 57);
    assert_null(raft_entry_at(world.raft, 56));
    assert_non_null(raft_entry_at(world.raft, 57));
    assert_int_equal(raft_world_propose(&world, "y"), ERR_OK);
    world.compacted = 56;
    world.compacted_term = 1;
    raft_world_settle(&world);
    raft_world_restart(&world);
    assert_int_equal(status().first, 57);
    assert_int_equal(status().last, 61);
}

static void times_never_run_backwards(void **state)
{
    (void)state;
    world.now_ms = 1000;
    raft_world_campaign(&world);
    raft_world_settle(&world);
    assert_int_equal(raft_world_propose(&world, "a"), ERR_OK);
    world.now_ms = 500; /* the clock was set back */
    assert_int_equal(raft_world_propose(&world, "b"), ERR_OK);
    raft_world_settle(&world);
    assert_int_equal(raft_entry_at(world.raft, 3)->time_ns, 1000000000);
}

static void a_read_waits_for_the_first_commit_of_the_term(void **state)
{
    (void)state;
    struct raft_event event = {.type = RAFT_READ, .read = 42};
    assert_int_equal(raft_step(world.raft, &event, &world.update),
                     ERR_NO_LEADER);
    raft_world_campaign(&world);
    raft_world_turn(&world);
    assert_int_equal(raft_step(world.raft, &event, &world.update),
                     ERR_NO_LEADER);
    raft_world_settle(&world);
    assert_int_equal(raft_step(world.raft, &event, &world.update), ERR_OK);
    assert_int_equal(world.update.read_count, 1);
    assert_int_equal(world.update.reads[0].read, 42);
    assert_int_equal(world.update.reads[0].index, 1);
}

static void reads_are_bounded(void **state)
{
    (void)state;
    struct raft_event event = {.type = RAFT_READ};
    raft_world_campaign(&world);
    raft_world_settle(&world);
    for (int i = 0; i < RAFT_READS_MAX; i++) {
        event.read = (uint64_t)i;
        assert_int_equal(raft_step(world.raft, &event, &world.update), ERR_OK);
    }
    assert_int_equal(raft_step(world.raft, &event, &world.update), ERR_FULL);
}

static void nobody_stands_before_the_election_timeout(void **state)
{
    (void)state;
    raft_world_tick(&world, 1);
    int64_t deadline_ms = world.update.deadline_ms;
    assert_in_range(deadline_ms, 1001, 2001);
    raft_world_tick(&world, deadline_ms - world.now_ms - 1);
    assert_int_equal(status().role, RAFT_FOLLOWER);
    raft_world_tick(&world, 1);
    assert_int_equal(status().role, RAFT_CANDIDATE);
    raft_world_settle(&world);
    assert_int_equal(status().role, RAFT_LEADER);
}

static void a_leader_needs_no_ticks(void **state)
{
    (void)state;
    raft_world_campaign(&world);
    raft_world_settle(&world);
    raft_world_tick(&world, 100000);
    assert_int_equal(world.update.deadline_ms, INT64_MAX);
    assert_int_equal(status().role, RAFT_LEADER);
    raft_world_campaign(&world); /* it stays what it is */
    assert_int_equal(status().term, 1);
}

static void a_stranger_to_the_voters_never_stands(void **state)
{
    (void)state;
    struct raft_hard_state none = {0};
    struct raft_config config;
    raft_config_init(&config);
    config.id = 1;
    config.seed = 7;
    config.log_entries_max = 64;
    config.members.voters[0] = 2;
    config.members.voter_count = 1;
    struct raft *raft = raft_new(&config, &none, 0, 0);
    struct raft_update update;
    struct raft_event event = {.type = RAFT_CAMPAIGN};
    raft_update_init(&update);
    raft_restore_done(raft);
    assert_int_equal(raft_step(raft, &event, &update), ERR_OK);
    assert_int_equal(update.role, RAFT_FOLLOWER);
    assert_int_equal(update.deadline_ms, INT64_MAX);
    raft_free(raft);
}

static void every_role_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(raft_role_text(RAFT_FOLLOWER), "StateFollower");
    assert_string_equal(raft_role_text(RAFT_PRE_CANDIDATE),
                        "StatePreCandidate");
    assert_string_equal(raft_role_text(RAFT_CANDIDATE), "StateCandidate");
    assert_string_equal(raft_role_text(RAFT_LEADER), "StateLeader");
}

/* ---- what a damaged log is answered with -------------------------------- */

static struct raft *fresh(raft_index snapshot)
{
    struct raft_hard_state none = {0};
    struct raft_config config;
    raft_config_init(&config);
    config.id = 1;
    config.seed = 7;
    config.log_entries_max = 4;
    config.members.voters[0] = 1;
    config.members.voter_count = 1;
    return raft_new(&config, &none, snapshot, snapshot > 0 ? 1 : 0);
}

static enum err restore(struct raft *raft, raft_index index, raft_term term,
                        int64_t time_ns)
{
    struct raft_entry entry = {.index = index,
                               .term = term,
                               .time_ns = time_ns,
                               .type = RAFT_ENTRY_COMMAND};
    return raft_restore_entry(raft, &entry);
}

static void a_gap_in_the_log_is_corrupt(void **state)
{
    (void)state;
    struct raft *raft = fresh(0);
    assert_int_equal(restore(raft, 1, 1, 0), ERR_OK);
    assert_int_equal(restore(raft, 3, 1, 0), ERR_CORRUPT);
    assert_non_null(strstr(err_note(), "from entry 1 to 3"));
    raft_free(raft);
}

static void an_entry_below_the_snapshot_is_corrupt(void **state)
{
    (void)state;
    struct raft *raft = fresh(5);
    assert_int_equal(restore(raft, 5, 1, 0), ERR_CORRUPT);
    assert_int_equal(restore(raft, 6, 1, 0), ERR_OK);
    raft_free(raft);
}

static void a_falling_term_or_time_is_corrupt(void **state)
{
    (void)state;
    struct raft *raft = fresh(0);
    assert_int_equal(restore(raft, 1, 2, 10), ERR_OK);
    assert_int_equal(restore(raft, 2, 1, 10), ERR_CORRUPT);
    assert_int_equal(restore(raft, 2, 2, 9), ERR_CORRUPT);
    /* But for a leader's first. */
    struct raft_entry first = {.index = 2, .term = 2};
    assert_int_equal(raft_restore_entry(raft, &first), ERR_OK);
    assert_int_equal(restore(raft, 2, 2, 10), ERR_OK);
    raft_free(raft);
}

static void a_later_entry_replaces_what_follows(void **state)
{
    (void)state;
    struct raft *raft = fresh(0);
    struct raft_status out;
    for (raft_index i = 1; i <= 3; i++) {
        assert_int_equal(restore(raft, i, 1, 0), ERR_OK);
    }
    assert_int_equal(restore(raft, 2, 2, 0), ERR_OK);
    raft_restore_done(raft);
    raft_status(raft, &out);
    assert_int_equal(out.last, 2);
    assert_int_equal(raft_entry_at(raft, 2)->term, 2);
    assert_null(raft_entry_at(raft, 3));
    raft_free(raft);
}

static void more_than_the_memory_holds_is_said(void **state)
{
    (void)state;
    struct raft *raft = fresh(0);
    for (raft_index i = 1; i <= 4; i++) {
        assert_int_equal(restore(raft, i, 1, 0), ERR_OK);
    }
    assert_int_equal(restore(raft, 5, 1, 0), ERR_TOO_LARGE);
    raft_free(raft);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_member_starts_as_a_follower),
        STORY(a_follower_takes_no_proposal),
        STORY(its_own_vote_counts_only_when_durable),
        STORY(a_new_leader_begins_with_an_empty_entry),
        STORY(an_entry_is_committed_when_it_is_durable),
        STORY(several_steps_share_one_write),
        STORY(a_proposal_while_a_write_is_on_its_way_comes_with_the_next),
        STORY(what_was_not_durable_is_gone_after_a_crash),
        STORY(old_entries_are_committed_with_the_new_terms_first),
        STORY(a_commit_hint_beyond_the_log_is_cut),
        STORY(a_restart_goes_on_with_the_next_term),
        STORY(the_log_is_bounded),
        STORY(times_never_run_backwards),
        STORY(a_read_waits_for_the_first_commit_of_the_term),
        STORY(reads_are_bounded),
        STORY(nobody_stands_before_the_election_timeout),
        STORY(a_leader_needs_no_ticks),
        cmocka_unit_test(a_stranger_to_the_voters_never_stands),
        cmocka_unit_test(every_role_has_a_name),
        cmocka_unit_test(a_gap_in_the_log_is_corrupt),
        cmocka_unit_test(an_entry_below_the_snapshot_is_corrupt),
        cmocka_unit_test(a_falling_term_or_time_is_corrupt),
        cmocka_unit_test(a_later_entry_replaces_what_follows),
        cmocka_unit_test(more_than_the_memory_holds_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
