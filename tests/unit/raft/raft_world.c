#include "unit/raft/raft_world.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static struct raft_entry copy_of(const struct raft_entry *entry)
{
    struct raft_entry copy = *entry;
    if (entry->data != NULL) {
        copy.data = refbuf_ref(entry->data);
    }
    return copy;
}

static void boot(struct raft_world *world)
{
    struct raft_config config;
    raft_config_init(&config);
    config.id = 1;
    config.seed = 7;
    config.log_entries_max = 64;
    config.members.voters[0] = 1;
    config.members.voter_count = 1;
    world->raft = raft_new(&config, &world->hard, world->compacted,
                           world->compacted_term);
    for (size_t i = 0; i < world->entry_count; i++) {
        if (world->entries[i].index > world->compacted) {
            struct raft_entry entry = copy_of(&world->entries[i]);
            assert_int_equal(raft_restore_entry(world->raft, &entry), ERR_OK);
        }
    }
    raft_restore_done(world->raft);
    raft_update_init(&world->update);
}

void raft_world_init(struct raft_world *world)
{
    memset(world, 0, sizeof(*world));
    boot(world);
}

void raft_world_deinit(struct raft_world *world)
{
    raft_free(world->raft);
    for (size_t i = 0; i < world->entry_count; i++) {
        refbuf_unref(world->entries[i].data);
    }
}

void raft_world_restart(struct raft_world *world)
{
    raft_free(world->raft);
    boot(world);
}

enum err raft_world_propose(struct raft_world *world, const char *text)
{
    struct raft_entry entry = {
        .type = RAFT_ENTRY_COMMAND,
        .time_ns = world->now_ms * 1000000,
        .data = refbuf_dup(text, strlen(text)),
    };
    struct raft_event event = {.type = RAFT_PROPOSE,
                               .now_ms = world->now_ms,
                               .entries = &entry,
                               .count = 1};
    enum err err = raft_step(world->raft, &event, &world->update);
    if (err != ERR_OK) {
        refbuf_unref(entry.data);
    }
    return err;
}

static void step(struct raft_world *world, struct raft_event event)
{
    event.now_ms = world->now_ms;
    assert_int_equal(raft_step(world->raft, &event, &world->update), ERR_OK);
}

void raft_world_campaign(struct raft_world *world)
{
    step(world, (struct raft_event){.type = RAFT_CAMPAIGN});
}

void raft_world_tick(struct raft_world *world, int64_t ms)
{
    world->now_ms += ms;
    step(world, (struct raft_event){.type = RAFT_TICK});
}

static void persist(struct raft_world *world, const struct raft_update *update)
{
    world->hard = update->hard_state;
    for (raft_index i = update->persist_from; i != 0 && i <= update->persist_to;
         i++) {
        const struct raft_entry *entry = raft_entry_at(world->raft, i);
        assert_non_null(entry);
        assert_true(world->entry_count < WORLD_ENTRIES_MAX);
        world->entries[world->entry_count++] = copy_of(entry);
    }
    step(world, (struct raft_event){.type = RAFT_PERSISTED,
                                    .index = update->persist_to,
                                    .term = update->hard_state.term});
}

static bool is_durable(const struct raft_world *world, raft_index index)
{
    for (size_t i = 0; i < world->entry_count; i++) {
        if (world->entries[i].index == index) {
            return true;
        }
    }
    return false;
}

static void apply(struct raft_world *world, const struct raft_update *update)
{
    for (raft_index i = update->apply_from; i <= update->apply_to; i++) {
        const struct raft_entry *entry = raft_entry_at(world->raft, i);
        assert_non_null(entry);
        /* Nothing is applied that a crash could take back. */
        assert_true(is_durable(world, i));
        char text = entry->data == NULL ? '-' : entry->data->bytes[0];
        if (i <= world->applied_to) {
            /* After a restart: the same entry comes again. */
            assert_int_equal(world->applied[i], text);
        } else {
            assert_int_equal(i, world->applied_to + 1);
            world->applied[i] = text;
            world->applied_to = i;
        }
    }
    step(world,
         (struct raft_event){.type = RAFT_APPLIED, .index = update->apply_to});
}

bool raft_world_turn(struct raft_world *world)
{
    struct raft_update update = world->update;
    raft_update_init(&world->update);
    bool worked = false;
    if (update.hard_state_changed || update.persist_from != 0) {
        persist(world, &update);
        worked = true;
    }
    if (update.apply_from != 0) {
        apply(world, &update);
        worked = true;
    }
    return worked;
}

void raft_world_settle(struct raft_world *world)
{
    while (raft_world_turn(world)) {
    }
}
