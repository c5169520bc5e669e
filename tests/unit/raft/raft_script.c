#include "unit/raft/raft_script.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "unit/raft/raft_cluster.h"

enum {
    WORDS_MAX = 16,
    WORD_BYTES_MAX = 32,
    BEFORE = 4, /* so many commands need no cluster */
};

/* A command, in its words. */
struct line {
    size_t count;
    char words[WORDS_MAX][WORD_BYTES_MAX];
};

static struct raft_config config;
static struct cluster *cluster;
static struct cluster_trace trace;

static void say(const char *format, ...) PRINTF_LIKE(1, 2);
static void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_vprintf(&trace.out, format, args);
    va_end(args);
}

static void say_result(enum err err)
{
    if (err != ERR_OK) {
        say("  refused %s\n", err_name(err));
    }
}

static uint64_t number(const struct line *line, size_t at)
{
    uint64_t value = 0;
    if (at >= line->count ||
        !slice_to_u64(slice_str(line->words[at]), &value)) {
        fail_msg("%s: no number where one should be", line->words[0]);
    }
    return value;
}

static struct cluster_member *member(const struct line *line, size_t at)
{
    struct cluster_member *found = cluster_member(cluster, number(line, at));
    assert_non_null(found);
    return found;
}

static bool is(const struct line *line, size_t at, const char *word)
{
    return at < line->count && strcmp(line->words[at], word) == 0;
}

/* ---- before -------------------------------------------------------------- */

static void do_config(const struct line *line)
{
    uint64_t value = number(line, 2);
    assert_null(cluster);
    if (is(line, 1, "pre_vote")) {
        config.pre_vote = value != 0;
    } else if (is(line, 1, "check_quorum")) {
        config.check_quorum = value != 0;
    } else if (is(line, 1, "lease_reads")) {
        config.lease_reads = value != 0;
    } else if (is(line, 1, "log")) {
        config.log_entries_max = value;
    } else if (is(line, 1, "entries")) {
        config.append_entries_max = value;
    } else if (is(line, 1, "window")) {
        config.inflight_messages_max = value;
    } else {
        fail_msg("no such setting: %s", line->words[1]);
    }
}

static void do_cluster(const struct line *line)
{
    assert_null(cluster);
    cluster = cluster_new(&config, number(line, 1),
                          line->count > 2 ? number(line, 2) : 0, 1);
    cluster->trace = &trace;
}

/* ---- time ---------------------------------------------------------------- */

static void do_settle(const struct line *line)
{
    (void)line;
    cluster_settle(cluster);
}

static void do_wait(const struct line *line)
{
    cluster_run(cluster, (int64_t)number(line, 1));
}

static void do_clock(const struct line *line)
{
    cluster->now_ms += (int64_t)number(line, 1);
}

/* ---- one member ---------------------------------------------------------- */

static void step(const struct line *line, struct raft_event event)
{
    say_result(cluster_step(cluster, member(line, 1), event));
}

static void do_tick(const struct line *line)
{
    step(line, (struct raft_event){.type = RAFT_TICK});
}

static void do_campaign(const struct line *line)
{
    step(line, (struct raft_event){.type = RAFT_CAMPAIGN});
}

static void do_elect(const struct line *line)
{
    cluster->trace = NULL;
    do_campaign(line);
    cluster_settle(cluster);
    cluster->trace = &trace;
    assert_int_equal(member(line, 1)->role_seen, RAFT_LEADER);
}

static void do_propose(const struct line *line)
{
    for (size_t i = 2; i < line->count; i++) {
        say_result(cluster_propose(cluster, member(line, 1), line->words[i]));
    }
}

static void do_read(const struct line *line)
{
    say_result(cluster_read(cluster, member(line, 1)));
}

static void do_change(const struct line *line)
{
    struct raft_change changes[WORDS_MAX];
    size_t count = 0;
    for (size_t i = 2; i + 1 < line->count; i += 2) {
        changes[count].id = number(line, i + 1);
        changes[count].op = RAFT_REMOVE;
        if (is(line, i, "add")) {
            changes[count].op = RAFT_ADD_VOTER;
        } else if (is(line, i, "learner")) {
            changes[count].op = RAFT_ADD_LEARNER;
        } else {
            assert_true(is(line, i, "remove"));
        }
        count++;
    }
    say_result(cluster_change(cluster, member(line, 1), changes, count));
}

static void do_leave(const struct line *line)
{
    say_result(cluster_leave_joint(cluster, member(line, 1)));
}

static void do_manual(const struct line *line)
{
    (void)line;
    cluster->leave_joint = false;
}

static void do_transfer(const struct line *line)
{
    step(line,
         (struct raft_event){.type = RAFT_TRANSFER, .member = number(line, 2)});
}

static void do_lost(const struct line *line)
{
    step(line, (struct raft_event){.type = RAFT_PEER_LOST,
                                   .member = number(line, 2)});
}

static void do_unreachable(const struct line *line)
{
    step(line, (struct raft_event){.type = RAFT_UNREACHABLE,
                                   .member = number(line, 2)});
}

static void do_send(const struct line *line)
{
    (void)cluster_send(cluster, member(line, 1));
}

static void do_write(const struct line *line)
{
    (void)cluster_write(cluster, member(line, 1));
}

static void do_apply(const struct line *line)
{
    (void)cluster_apply(cluster, member(line, 1));
}

static void do_turn(const struct line *line)
{
    (void)cluster_turn(cluster, member(line, 1));
}

static void do_pause(const struct line *line)
{
    member(line, 1)->paused = true;
}

static void do_resume(const struct line *line)
{
    member(line, 1)->paused = false;
}

static void do_crash(const struct line *line)
{
    cluster_crash(cluster, member(line, 1));
}

static void do_start(const struct line *line)
{
    cluster_start(cluster, member(line, 1));
}

static void do_compact(const struct line *line)
{
    cluster_save(cluster, member(line, 1));
    cluster_compact(cluster, member(line, 1), number(line, 2));
}

static void do_add(const struct line *line)
{
    (void)line;
    (void)cluster_add(cluster, true);
}

/* ---- the network --------------------------------------------------------- */

static void do_cut(const struct line *line)
{
    if (is(line, 2, ">")) {
        cluster_net_cut(cluster, number(line, 1), number(line, 3), true);
    } else {
        cluster_net_cut(cluster, number(line, 1), number(line, 2), true);
        cluster_net_cut(cluster, number(line, 2), number(line, 1), true);
    }
}

static void do_isolate(const struct line *line)
{
    for (member_id id = 1; id <= cluster->member_count; id++) {
        cluster_net_cut(cluster, id, number(line, 1), true);
        cluster_net_cut(cluster, number(line, 1), id, true);
    }
}

static void do_heal(const struct line *line)
{
    (void)line;
    cluster_net_heal(cluster);
}

static void do_deliver(const struct line *line)
{
    size_t at;
    assert_true(
        cluster_net_find(cluster, number(line, 1), number(line, 3), &at));
    cluster_net_deliver(cluster, at);
}

static void do_overtake(const struct line *line)
{
    for (size_t at = cluster->packet_count; at-- > 0;) {
        const struct raft_message *message = &cluster->packets[at]->message;
        if (message->from == number(line, 1) &&
            message->to == number(line, 3)) {
            cluster_net_deliver(cluster, at);
            return;
        }
    }
    fail_msg("nothing is on its way there");
}

static void do_double(const struct line *line)
{
    size_t at;
    assert_true(
        cluster_net_find(cluster, number(line, 1), number(line, 3), &at));
    cluster_net_duplicate(cluster, at);
}

static void do_aside(const struct line *line)
{
    size_t at;
    assert_true(
        cluster_net_find(cluster, number(line, 1), number(line, 3), &at));
    cluster_net_set_aside(cluster, at);
}

static void do_bring(const struct line *line)
{
    (void)line;
    cluster_net_bring_back(cluster);
}

static void do_drop(const struct line *line)
{
    size_t at;
    while (cluster_net_find(cluster, number(line, 1), number(line, 3), &at)) {
        cluster_net_drop(cluster, at);
    }
}

/* ---- to look ------------------------------------------------------------- */

static void say_status(const struct cluster_member *of)
{
    struct raft_status status;
    if (of->raft == NULL) {
        say("  %d  down\n", (int)of->id);
        return;
    }
    raft_status(of->raft, &status);
    say("  %d  %-12s term %d, log %d..%d, durable %d, commit %d, applied %d\n",
        (int)of->id, raft_role_text(status.role) + strlen("State"),
        (int)status.term, (int)status.first, (int)status.last,
        (int)status.persisted, (int)status.commit, (int)status.applied);
}

static void do_status(const struct line *line)
{
    (void)line;
    for (size_t i = 0; i < cluster->member_count; i++) {
        say_status(&cluster->members[i]);
    }
}

static void do_peers(const struct line *line)
{
    static const char *const states[] = {"probe", "replicate", "snapshot"};
    const struct cluster_member *of = member(line, 1);
    for (member_id id = 1; id <= cluster->member_count; id++) {
        struct raft_peer_status peer;
        if (raft_peer_status(of->raft, id, &peer)) {
            say("  %d  %-9s %s, has %d, next %d, %d on their way\n", (int)id,
                peer.is_voter     ? "voter"
                : peer.is_learner ? "learner"
                                  : "leaving",
                states[peer.state], (int)peer.match, (int)peer.next,
                (int)peer.inflight_messages);
        }
    }
}

static void do_log(const struct line *line)
{
    const struct cluster_member *of = member(line, 1);
    struct raft_status status;
    raft_status(of->raft, &status);
    say("  %d ", (int)of->id);
    for (raft_index i = status.first; i <= status.last; i++) {
        say(" ");
        cluster_entry_text(raft_entry_at(of->raft, i), &trace.out);
    }
    say("\n");
}

static void do_members(const struct line *line)
{
    const struct cluster_member *of = member(line, 1);
    say("  %d  ", (int)of->id);
    cluster_members_text(raft_members(of->raft), &trace.out);
    say("\n");
}

static void do_show(const struct line *line)
{
    (void)line;
    trace.heartbeats = true;
}

static void do_hide(const struct line *line)
{
    (void)line;
    trace.heartbeats = false;
}

/* ---- playing ------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*run)(const struct line *line);
} commands[] = {
    {"config", do_config},
    {"show", do_show},
    {"hide", do_hide},
    {"cluster", do_cluster},
    {"settle", do_settle},
    {"wait", do_wait},
    {"clock", do_clock},
    {"tick", do_tick},
    {"campaign", do_campaign},
    {"elect", do_elect},
    {"double", do_double},
    {"propose", do_propose},
    {"read", do_read},
    {"change", do_change},
    {"leave", do_leave},
    {"manual", do_manual},
    {"transfer", do_transfer},
    {"lost", do_lost},
    {"send", do_send},
    {"write", do_write},
    {"apply", do_apply},
    {"turn", do_turn},
    {"crash", do_crash},
    {"start", do_start},
    {"compact", do_compact},
    {"add", do_add},
    {"cut", do_cut},
    {"isolate", do_isolate},
    {"heal", do_heal},
    {"deliver", do_deliver},
    {"drop", do_drop},
    {"status", do_status},
    {"peers", do_peers},
    {"log", do_log},
    {"members", do_members},
    {"pause", do_pause},
    {"resume", do_resume},
    {"overtake", do_overtake},
    {"unreachable", do_unreachable},
    {"aside", do_aside},
    {"bring", do_bring},
};

static void run_command(const char *text)
{
    struct line line = {0};
    while (*text != '\0') {
        size_t size = strcspn(text, " ");
        assert_true(line.count < WORDS_MAX && size < WORD_BYTES_MAX);
        memcpy(line.words[line.count++], text, size);
        text += size + strspn(text + size, " ");
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (is(&line, 0, commands[i].name)) {
            assert_true(cluster != NULL || i < BEFORE);
            commands[i].run(&line);
            return;
        }
    }
    fail_msg("no such command: %s", line.words[0]);
}

static void begin(void)
{
    raft_config_init(&config);
    config.log_entries_max = 64;
    cluster = NULL;
    trace = (struct cluster_trace){0};
}

static void end(void)
{
    if (cluster != NULL) {
        cluster_free(cluster);
        cluster = NULL;
    }
}

/* "> new" ends the cluster, for the next story of the same file. */
void raft_script_play(const char *script, struct buf *out)
{
    begin();
    while (*script != '\0') {
        char text[256] = {0};
        size_t size = strcspn(script, "\n");
        assert_true(size < sizeof(text));
        memcpy(text, script, size);
        script += size + (script[size] == '\n');
        if (strncmp(text, "  ", 2) == 0) {
            continue;
        }
        say("%s\n", text);
        if (strcmp(text, "> new") == 0) {
            struct buf kept = trace.out;
            end();
            begin();
            trace.out = kept;
        } else if (strncmp(text, "> ", 2) == 0) {
            run_command(text + 2);
        }
    }
    end();
    buf_append_slice(out, buf_slice(&trace.out));
    buf_deinit(&trace.out);
}
