#include "cmd/etchctl/v3_program.h"

#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "cmd/etchctl/go_text.h"

extern char **environ;

static char **make_environment(struct arena *arena, const char *const *more,
                               size_t count)
{
    size_t have = 0;
    char **out;

    while (environ[have])
        have++;
    out = arena_alloc(arena, (have + count + 1) * sizeof(*out));
    memcpy(out, environ, have * sizeof(*out));
    for (size_t i = 0; i < count; i++)
        out[have + i] = arena_printf(arena, "%s", more[i]);
    out[have + count] = NULL;
    return out;
}

/* As posix_spawnp wants them; it doesn't change them. */
static char **make_words(struct arena *arena, struct words words)
{
    char **out = arena_alloc(arena, (words.count + 1) * sizeof(*out));

    for (size_t i = 0; i < words.count; i++)
        out[i] = arena_printf(arena, "%s", words.at[i]);
    out[words.count] = NULL;
    return out;
}

static enum err fail_start(struct arena *arena, const char *name, int number)
{
    if (number == ENOENT && !strchr(name, '/'))
        return err_set(ERR_INVALID,
                       "exec: \"%s\": executable file not found in $PATH",
                       name);
    return err_set(ERR_INVALID, "fork/exec %s: %s", name,
                   go_error(arena, number));
}

enum err v3_program_start(struct arena *arena, struct words words,
                          const char *const *more, size_t count,
                          struct v3_program *out)
{
    posix_spawn_file_actions_t actions;
    char **argv = make_words(arena, words);
    pid_t pid;
    int number;

    CHECK(words.count > 0);
    /* Our connections are not its business. */
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_addclosefrom_np(&actions, 3) == 0);
    number = posix_spawnp(&pid, argv[0], &actions, NULL, argv,
                          make_environment(arena, more, count));
    posix_spawn_file_actions_destroy(&actions);
    if (number)
        return fail_start(arena, argv[0], number);
    out->pid = pid;
    out->pid_fd = pidfd_open(pid, 0);
    return ERR_OK;
}

enum err v3_program_finish(struct v3_program *program)
{
    int status = 0;
    pid_t pid;

    do
        pid = waitpid(program->pid, &status, 0);
    while (pid < 0 && errno == EINTR);
    if (program->pid_fd >= 0)
        close(program->pid_fd);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return ERR_OK;
    if (WIFEXITED(status))
        return err_set(ERR_INVALID, "exit status %d", WEXITSTATUS(status));
    return err_set(ERR_INVALID, "signal: %s", strsignal(WTERMSIG(status)));
}
