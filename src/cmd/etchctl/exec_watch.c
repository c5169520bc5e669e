/* exec-watch: run a program for every change of a key.
 *
 * Programs are started in the order of the events and not waited for, so a
 * slow one doesn't hold up the next; but no more than CHILDREN_MAX run at
 * once, so that a burst of events doesn't fill the machine. */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "cmd/etchctl/watch.h"

enum { CHILDREN_MAX = 64 };

extern char **environ;

static const struct flag_spec flags[] = {
    {.name = "after-index",
     .kind = FLAG_INT,
     .value = "index",
     .about = "begin after this index (0: now)"},
    {.name = "recursive",
     .letter = 'r',
     .about = "what happens below the key, too"},
    {0},
};

/* The environment of the program: ours, and the event. */
static char **make_environment(struct arena *arena,
                               const struct v2_response *event)
{
    const struct v2_node *node = event->node;
    size_t count = 0;
    char **out;

    while (environ[count])
        count++;
    out = arena_alloc(arena, (count + 5) * sizeof(*out));
    memcpy(out, environ, count * sizeof(*out));
    out[count++] = arena_printf(arena, "ETCD_WATCH_ACTION=%.*s",
                                (int)event->action.size, event->action.at);
    out[count++] = arena_printf(arena, "ETCD_WATCH_MODIFIED_INDEX=%llu",
                                (unsigned long long)node->modified_index);
    out[count++] = arena_printf(arena, "ETCD_WATCH_KEY=%.*s",
                                (int)node->key.size, node->key.at);
    out[count++] = arena_printf(arena, "ETCD_WATCH_VALUE=%.*s",
                                (int)node->value.size, node->value.at);
    out[count] = NULL;
    return out;
}

/* Collects those that have ended; waits for one where too many run. */
static void reap(int *children)
{
    while (*children > 0) {
        int options = *children >= CHILDREN_MAX ? 0 : WNOHANG;
        pid_t pid = waitpid(-1, NULL, options);
        if (pid == 0)
            return;
        if (pid < 0 && errno == EINTR)
            return; /* a signal: the watch will see it */
        if (pid > 0)
            --*children;
        else
            *children = 0;
    }
}

static int start(struct session *session, struct arena *arena,
                 const struct v2_response *event, int *children)
{
    /* As posix_spawnp wants them; it doesn't change them. */
    char **argv =
        arena_alloc(arena, (session->words.count + 1) * sizeof(*argv));
    size_t count = session->words.count - 1;
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int failed;

    for (size_t i = 0; i < count; i++) {
        const char *word = session->words.at[i + 1];
        argv[i] = arena_dup(arena, word, strlen(word) + 1);
    }
    argv[count] = NULL;
    /* Our connections are not its business. */
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_addclosefrom_np(&actions, 3) == 0);
    failed = posix_spawnp(&pid, argv[0], &actions, NULL, argv,
                          make_environment(arena, event));
    posix_spawn_file_actions_destroy(&actions);
    if (failed) {
        fprintf(stderr, "exec: \"%s\": %s\n", argv[0], strerror(failed));
        return EXIT_BAD_ARGUMENTS;
    }
    ++*children;
    return EXIT_DONE;
}

static int watch_and_start(struct session *session)
{
    struct watch watch;
    struct v2_response event;
    int children = 0;
    int code = EXIT_DONE;

    watch_init(&watch, session, session->words.at[0]);
    watch.is_forever = true;
    while (code == EXIT_DONE) {
        if (!watch_next(&watch, &event)) {
            code = session_fail(session, EXIT_SERVER_ERROR);
            break;
        }
        reap(&children);
        if (event.node->is_dir)
            fprintf(stderr, "Ignored dir %.*s change\n",
                    (int)event.node->key.size, event.node->key.at);
        else
            code = start(session, &watch.arena, &event, &children);
    }
    watch_deinit(&watch);
    return code;
}

static int run(struct session *session)
{
    int code;

    if (session->words.count < 2)
        return session_fail_text(session, EXIT_BAD_ARGUMENTS,
                                 "key and command to exec required");
    session_catch_signals(session);
    code = session_connect(session, true);
    return code == EXIT_DONE ? watch_and_start(session) : code;
}

const struct command command_exec_watch = {
    .name = "exec-watch",
    .family = "Watching",
    .arguments = "<key> [--] <command> [argument...]",
    .summary = "run a command for every change of a key",
    .about =
        "The command finds the event in its environment:\n"
        "  ETCD_WATCH_ACTION          set, create, update, delete, expire, "
        "...\n"
        "  ETCD_WATCH_KEY             the key that changed\n"
        "  ETCD_WATCH_VALUE           its value, empty where it is gone\n"
        "  ETCD_WATCH_MODIFIED_INDEX  the index of the change\n"
        "Flags of etchctl stand before <command>; what follows is its own.\n",
    .flags = flags,
    .words_max = 2,
    .run = run,
};
