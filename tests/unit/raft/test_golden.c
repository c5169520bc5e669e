/* Stories of the state machine as scripts that a person can read: each line
 * "> command" of tests/golden/raft/<name>.txt is followed by what then
 * happens. UPDATE=1 writes the files anew.
 *
 * The stories of whole clusters are run by raft_script.h, which lists their
 * commands. Those of one member alone show what the update asks for:
 *
 *   campaign          stand for election now
 *   tick MS           time passes
 *   propose WORD...   one entry for each word, in one step
 *   read N            ask for a read index
 *   turn              do what the update asks for, once
 *   settle            take turns until nothing is left
 *   compact INDEX     forget the log up to there
 *   crash             lose what is not durable, and start again
 *   status
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "unit/raft/raft_script.h"
#include "unit/raft/raft_world.h"

static struct raft_world world;
static struct buf out;

static void say_entries(const char *what, raft_index from, raft_index to)
{
    buf_printf(&out, "  %s", what);
    for (raft_index i = from; i <= to; i++) {
        const struct raft_entry *entry = raft_entry_at(world.raft, i);
        assert_non_null(entry);
        buf_printf(&out, " %d/%d:", (int)entry->term, (int)entry->index);
        if (entry->data == NULL) {
            buf_append_str(&out, "(empty)");
        } else {
            buf_append(&out, entry->data->bytes, entry->data->size);
        }
    }
    buf_append_char(&out, '\n');
}

static const char *role_text(enum raft_role role)
{
    return raft_role_text(role) + strlen("State");
}

/* What the update asks for now. */
static void say_update(void)
{
    struct raft_update *update = &world.update;
    if (update->role_changed) {
        buf_printf(&out, "  role    %s, leader %d\n", role_text(update->role),
                   (int)update->leader);
        update->role_changed = false;
    }
    if (update->hard_state_changed) {
        buf_printf(&out, "  state   term %d, vote %d\n",
                   (int)update->hard_state.term, (int)update->hard_state.vote);
    }
    if (update->persist_from != 0) {
        say_entries("persist", update->persist_from, update->persist_to);
    }
    if (update->apply_from != 0) {
        say_entries("apply  ", update->apply_from, update->apply_to);
    }
    for (size_t i = 0; i < update->read_count; i++) {
        buf_printf(&out, "  read    %d at %d\n", (int)update->reads[i].read,
                   (int)update->reads[i].index);
    }
}

static void say_result(enum err err)
{
    if (err != ERR_OK) {
        buf_printf(&out, "  refused %s\n", err_name(err));
    }
}

static void step(struct raft_event event)
{
    event.now_ms = world.now_ms;
    say_result(raft_step(world.raft, &event, &world.update));
}

/* ---- the commands -------------------------------------------------------- */

static void do_campaign(const char *argument)
{
    (void)argument;
    step((struct raft_event){.type = RAFT_CAMPAIGN});
}

static void do_tick(const char *argument)
{
    world.now_ms += strtol(argument, NULL, 10);
    step((struct raft_event){.type = RAFT_TICK});
}

static void do_propose(const char *argument)
{
    while (*argument != '\0') {
        char word[64] = {0};
        size_t size = strcspn(argument, " ");
        memcpy(word, argument, size);
        say_result(raft_world_propose(&world, word));
        argument += size + strspn(argument + size, " ");
    }
}

static void do_read(const char *argument)
{
    step((struct raft_event){.type = RAFT_READ,
                             .read = strtoul(argument, NULL, 10)});
}

static void do_turn(const char *argument)
{
    (void)argument;
    (void)raft_world_turn(&world);
}

static void do_settle(const char *argument)
{
    (void)argument;
    raft_world_settle(&world);
}

static void do_compact(const char *argument)
{
    raft_index index = strtoul(argument, NULL, 10);
    world.compacted_term = raft_entry_at(world.raft, index)->term;
    world.compacted = index;
    step((struct raft_event){.type = RAFT_COMPACT, .index = index});
}

static void do_crash(const char *argument)
{
    (void)argument;
    raft_world_restart(&world);
}

static void do_status(const char *argument)
{
    struct raft_status status;
    (void)argument;
    raft_status(world.raft, &status);
    buf_printf(&out,
               "  %s term %d, log %d..%d, persisted %d, commit %d, "
               "applied %d\n",
               role_text(status.role), (int)status.term, (int)status.first,
               (int)status.last, (int)status.persisted, (int)status.commit,
               (int)status.applied);
}

static const struct {
    const char *name;
    void (*run)(const char *argument);
} commands[] = {
    {"campaign", do_campaign}, {"tick", do_tick},   {"propose", do_propose},
    {"read", do_read},         {"turn", do_turn},   {"settle", do_settle},
    {"compact", do_compact},   {"crash", do_crash}, {"status", do_status},
};

static void run_command(const char *line)
{
    size_t size = strcspn(line, " ");
    const char *argument = line + size + strspn(line + size, " ");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strlen(commands[i].name) == size &&
            memcmp(commands[i].name, line, size) == 0) {
            commands[i].run(argument);
            say_update();
            return;
        }
    }
    fail_msg("no such command: %s", line);
}

/* ---- the files ----------------------------------------------------------- */

enum { SCRIPT_BYTES_MAX = 256 * 1024 };

static void read_whole(const char *path, struct buf *text)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fail_msg("can't open %s; run from the top of the tree", path);
        return;
    }
    char *at = buf_extend(text, SCRIPT_BYTES_MAX);
    text->size = fread(at, 1, SCRIPT_BYTES_MAX - 1, file);
    assert_true(text->size < SCRIPT_BYTES_MAX - 1);
    (void)fclose(file);
    buf_append_char(text, '\0');
}

static void write_whole(const char *path, const struct buf *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text->at, 1, text->size, file), text->size);
    assert_int_equal(fclose(file), 0);
}

/* Commands are run; their old answers (indented) are left out; the rest (the
 * story's own words) is kept. */
static void play(const char *script)
{
    while (*script != '\0') {
        char line[256] = {0};
        size_t size = strcspn(script, "\n");
        assert_true(size < sizeof(line));
        memcpy(line, script, size);
        script += size + (script[size] == '\n');
        if (strncmp(line, "  ", 2) == 0) {
            continue;
        }
        buf_append_str(&out, line);
        buf_append_char(&out, '\n');
        if (strncmp(line, "> ", 2) == 0) {
            run_command(line + 2);
        }
    }
}

/* "cluster_..." are those of whole clusters. */
static void play_file(void **state)
{
    const char *name = *state;
    struct buf want = {0};
    char path[128];
    (void)snprintf(path, sizeof(path), "tests/golden/raft/%s.txt", name);
    out = (struct buf){0};
    read_whole(path, &want);
    if (strncmp(name, "cluster_", 8) == 0) {
        raft_script_play(want.at, &out);
    } else {
        raft_world_init(&world);
        play(want.at);
        raft_world_deinit(&world);
    }
    if (getenv("UPDATE") != NULL) {
        write_whole(path, &out);
    } else if (out.size != want.size - 1 ||
               memcmp(out.at, want.at, out.size) != 0) {
        buf_append_char(&out, '\0');
        fail_msg("%s is now (UPDATE=1 writes it):\n%s", path, out.at);
    }
    buf_deinit(&want);
    buf_deinit(&out);
}

#define SCRIPT(name)                                         \
    {                                                        \
        name, play_file, NULL, NULL, (void *)(uintptr_t)name \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRIPT("election"),
        SCRIPT("replication"),
        SCRIPT("crash"),
        SCRIPT("read"),
        SCRIPT("compaction"),
        SCRIPT("cluster_election"),
        SCRIPT("cluster_leader_lost"),
        SCRIPT("cluster_replication"),
        SCRIPT("cluster_conflict"),
        SCRIPT("cluster_membership"),
        SCRIPT("cluster_joint"),
        SCRIPT("cluster_read"),
        SCRIPT("cluster_lease"),
        SCRIPT("cluster_snapshot"),
        SCRIPT("cluster_transfer"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
