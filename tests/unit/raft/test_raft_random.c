/* Random proposals, crashes and compactions, for many seeds. raft_world holds
 * what must be true all along: nothing is applied that isn't durable, and what
 * was applied once at an index is applied there again after every crash. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "unit/raft/raft_world.h"

enum { SEEDS = 300, STEPS = 400 };

static struct raft_world world;

static void compact(struct raft_world *w)
{
    struct raft_status status;
    raft_status(w->raft, &status);
    if (status.applied <= w->compacted) {
        return;
    }
    w->compacted_term = raft_entry_at(w->raft, status.applied)->term;
    w->compacted = status.applied;
    struct raft_event event = {.type = RAFT_COMPACT, .index = status.applied};
    assert_int_equal(raft_step(w->raft, &event, &w->update), ERR_OK);
}

static void propose_letter(struct raft_world *w, struct prng *prng)
{
    char text[2] = {(char)('a' + prng_below(prng, 26)), '\0'};
    enum err err = raft_world_propose(w, text);
    assert_true(err == ERR_OK || err == ERR_NOT_LEADER || err == ERR_FULL);
}

static void take_step(struct raft_world *w, struct prng *prng)
{
    switch (prng_below(prng, 16)) {
    case 0:
        raft_world_restart(w);
        break;
    case 1:
        raft_world_campaign(w);
        break;
    case 2:
        raft_world_tick(w, (int64_t)prng_below(prng, 3000));
        break;
    case 3:
        compact(w);
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        (void)raft_world_turn(w);
        break;
    default:
        propose_letter(w, prng);
        break;
    }
}

static void crashes_never_take_back_what_was_applied(void **state)
{
    (void)state;
    uint64_t applied = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct prng prng;
        prng_init(&prng, seed);
        raft_world_init(&world);
        for (int i = 0; i < STEPS; i++) {
            take_step(&world, &prng);
        }
        raft_world_campaign(&world);
        raft_world_settle(&world);
        struct raft_status status;
        raft_status(world.raft, &status);
        assert_int_equal(status.applied, status.last);
        assert_int_equal(status.role, RAFT_LEADER);
        applied += world.applied_to;
        raft_world_deinit(&world);
    }
    /* The run would show nothing if hardly anything were applied. */
    assert_true(applied > SEEDS * 20);
}

static void the_same_seed_gives_the_same_run(void **state)
{
    (void)state;
    char first[WORLD_ENTRIES_MAX];
    raft_index first_to = 0;
    for (int run = 0; run < 2; run++) {
        struct prng prng;
        prng_init(&prng, 99);
        raft_world_init(&world);
        for (int i = 0; i < STEPS; i++) {
            take_step(&world, &prng);
        }
        if (run == 0) {
            memcpy(first, world.applied, sizeof(first));
            first_to = world.applied_to;
        }
        assert_int_equal(world.applied_to, first_to);
        assert_memory_equal(world.applied, first, sizeof(first));
        raft_world_deinit(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crashes_never_take_back_what_was_applied),
        cmocka_unit_test(the_same_seed_gives_the_same_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
