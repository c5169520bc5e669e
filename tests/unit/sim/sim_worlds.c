#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "unit/sim/sim_worlds.h"

struct sim *world_unborn(int members)
{
    struct sim *sim = sim_new(&(struct sim_options){
        .seed = 11, .members = members, .seconds = 100000, .calm = true});
    sim->election_ms = 1000;
    sim->heartbeat_ms = 100;
    sim->pre_vote = true;
    sim->lease_reads = false;
    sim->strict = false;
    sim->catch_up_entries = 1000;
    sim->flush_revisions = 1000;
    sim->flush_ns = 100 * SIM_MS;
    sim->compaction_keep = 0;
    sim->value_bytes = 10;
    sim->chunk_bytes = 1024 * 1024;
    sim->client_count = 0;
    sim->watcher_count = 0;
    sim->active_size = 9;
    sim->remove_delay_s = 1800;
    sim->weather = (struct sim_weather){
        .delay_ns = SIM_MS, .keeps_order = true, .queue_max = 1000};
    return sim;
}

struct sim *world_new(int members)
{
    struct sim *sim = world_unborn(members);
    sim__begin(sim);
    return sim;
}

struct sim *world_led(int members)
{
    struct sim *sim = world_new(members);
    world_wait(sim, 6000);
    assert_non_null(world_leader(sim));
    assert_true(sim->ledger.commit > 0);
    return sim;
}

static void has_not_failed(const struct sim *sim)
{
    if (sim->result.failed)
        fail_msg("the world failed: %s", sim->result.why);
}

void world_free(struct sim *sim)
{
    has_not_failed(sim);
    sim_free(sim);
}

static void go_on(struct sim *sim, int64_t ms)
{
    int64_t end_ns = sim->now_ns + ms * SIM_MS;
    while (!sim->over && heap_top(&sim->events)->key <= end_ns)
        sim__turn(sim);
    if (!sim->over)
        sim->now_ns = end_ns;
}

void world_wait(struct sim *sim, int64_t ms)
{
    go_on(sim, ms);
    has_not_failed(sim);
}

void world_has_failed(struct sim *sim, const char *words)
{
    if (!sim->result.failed)
        fail_msg("the world is good, and should not be: %s", words);
    if (strstr(sim->result.why, words) == NULL)
        fail_msg("it failed, but not so: %s", sim->result.why);
    sim_free(sim);
}

void world_fails(struct sim *sim, int64_t ms, const char *words)
{
    go_on(sim, ms);
    world_has_failed(sim, words);
}

struct sim_member *world_leader(struct sim *sim)
{
    for (int i = 1; i <= sim->member_count; i++)
        if (sim->members[i]->view.role == RAFT_LEADER &&
            sim->members[i]->state == SIM_UP)
            return sim->members[i];
    return NULL;
}

struct sim_member *world_follower(struct sim *sim)
{
    for (int i = 1; i <= sim->member_count; i++)
        if (sim->members[i]->view.role != RAFT_LEADER)
            return sim->members[i];
    return NULL;
}

static void on_answer(struct sim_client *client, enum err err)
{
    struct world_answer *answer =
        CONTAINER_OF(client, struct world_answer, client);
    answer->told = true;
    answer->err = err;
}

void world_ask(struct world_answer *answer, struct sim_member *member,
               enum sim_kind kind, int key)
{
    *answer = (struct world_answer){.client = {.sim = member->sim,
                                               .number = 50,
                                               .member = member,
                                               .on_answer = on_answer}};
    assert_non_null(sim__ask(member, &answer->client, kind, key));
}

void world_done(struct sim_member *member, enum sim_kind kind, int key)
{
    struct world_answer answer;
    world_ask(&answer, member, kind, key);
    world_wait(member->sim, 500);
    assert_true(answer.told);
    assert_int_equal(answer.err, ERR_OK);
}

size_t world_count(const struct sim *sim, enum sim_trace_what what)
{
    size_t count = 0;
    for (uint64_t i = 0; i < sim->trace.count && i < SIM_TRACE_EVENTS_MAX; i++)
        count += sim->trace.events[i].what == what;
    return count;
}
