#include "host/recipes_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"

enum { READ_BYTES = 16 * 1024, READS_MAX = 16, ERROR_SHOWN_BYTES = 200 };

struct recipes_exec {
    struct recipes_exec_config config;
    struct list waiting;
    struct list running;
    size_t running_count;
    bool has_room;
};

enum stream { STREAM_INPUT, STREAM_OUTPUT, STREAM_ERROR, STREAM_COUNT };

struct program {
    struct list link;
    struct recipes_exec *exec;
    uint64_t id;
    struct arena arena;
    char **argv;
    struct slice input;
    int64_t timeout_ms;

    pid_t pid; /* 0: not started */
    int64_t until_ms;
    bool is_late;
    struct poller_entry process;               /* its pidfd */
    struct poller_entry streams[STREAM_COUNT]; /* our ends; fd -1: closed */
    size_t input_at;
    struct buf output;
    struct buf errors;
    struct buf why;
};

/* ---- the end ------------------------------------------------------------ */

static void close_entry(struct program *program, struct poller_entry *entry)
{
    if (entry->fd >= 0) {
        poller_set(program->exec->config.poller, entry, 0);
        close(entry->fd);
        entry->fd = -1;
    }
}

static void free_program(struct program *program)
{
    list_remove(&program->link);
    for (int i = 0; i < STREAM_COUNT; i++) {
        close_entry(program, &program->streams[i]);
    }
    close_entry(program, &program->process);
    buf_deinit(&program->output);
    buf_deinit(&program->errors);
    buf_deinit(&program->why);
    arena_deinit(&program->arena);
    mem_free(program);
}

/* Kills its group and takes the pid back; its exit code. While it hasn't been
 * waited for, no other group can have this number. */
static int reap(struct program *program)
{
    int status = 0;
    (void)kill(-program->pid, SIGKILL);
    pid_t waited;
    do {
        waited = waitpid(program->pid, &status, 0);
    } while (waited < 0 && errno == EINTR);
    CHECK_EQ(waited, program->pid);
    program->pid = 0;
    return WIFSIGNALED(status) ? RECIPES_EXEC_SIGNAL_BASE + WTERMSIG(status)
                               : WEXITSTATUS(status);
}

static void answer(struct program *program, const struct act_answer *answer)
{
    struct recipes_exec *exec = program->exec;
    exec->config.on_acted(exec->config.context, program->id, answer);
    free_program(program);
}

static void refuse(struct program *program, const char *why, const char *what)
{
    buf_printf(&program->why, "%s%s", what, why);
    const struct act_answer refusal = {
        .is_refused = true,
        .error = buf_slice(&program->why),
        .headers = SLICE("{}"),
    };
    answer(program, &refusal);
}

/* The first line of what it complained of. */
static struct slice complaint_of(const struct program *program)
{
    struct slice text = buf_slice(&program->errors);
    ptrdiff_t end = text.size > 0 ? slice_find(text, '\n') : -1;
    text.size = end >= 0 ? (size_t)end : text.size;
    text.size = text.size < ERROR_SHOWN_BYTES ? text.size : ERROR_SHOWN_BYTES;
    while (text.size > 0 && !slice_is_utf8(text)) {
        text.size--;
    }
    return text;
}

static void explain(struct program *program, int code)
{
    struct slice complaint = complaint_of(program);
    if (program->is_late) {
        buf_printf(&program->why, "killed after %lld ms",
                   (long long)program->timeout_ms);
    } else if (code > RECIPES_EXEC_SIGNAL_BASE) {
        buf_printf(&program->why, "killed by signal %d",
                   code - RECIPES_EXEC_SIGNAL_BASE);
    } else if (code != 0) {
        buf_printf(&program->why, "exit code %d", code);
    }
    if (program->why.size > 0 && complaint.size > 0) {
        buf_printf(&program->why, ": %.*s", (int)complaint.size, complaint.at);
    }
}

static void finish(struct program *program)
{
    struct recipes_exec *exec = program->exec;
    int code = reap(program);
    CHECK_LT(0, exec->running_count);
    exec->running_count--;
    exec->has_room = true;
    explain(program, code);
    const struct act_answer ended = {
        .was_sent = true,
        .status = code,
        .error = buf_slice(&program->why),
        .headers = SLICE("{}"),
        .body = buf_slice(&program->output),
    };
    answer(program, &ended);
}

/* ---- input and output --------------------------------------------------- */

static void write_input(struct program *program)
{
    struct poller_entry *entry = &program->streams[STREAM_INPUT];
    while (program->input_at < program->input.size) {
        ssize_t written =
            write(entry->fd, program->input.at + program->input_at,
                  program->input.size - program->input_at);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0 && errno == EAGAIN) {
            poller_set(program->exec->config.poller, entry, EPOLLOUT);
            return;
        }
        if (written < 0) {
            break; /* it doesn't want more */
        }
        program->input_at += (size_t)written;
    }
    close_entry(program, entry);
}

/* Reads what is there; beyond `max` it is dropped. */
static void read_output(struct program *program, enum stream stream)
{
    struct poller_entry *entry = &program->streams[stream];
    bool is_output = stream == STREAM_OUTPUT;
    struct buf *out = is_output ? &program->output : &program->errors;
    size_t max = is_output ? RECIPES_EXEC_OUTPUT_BYTES_MAX
                           : RECIPES_EXEC_ERROR_BYTES_MAX;
    char bytes[READ_BYTES];
    for (int i = 0; i < READS_MAX && entry->fd >= 0; i++) {
        ssize_t got = read(entry->fd, bytes, sizeof(bytes));
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (got <= 0) {
            close_entry(program, entry);
            return;
        }
        size_t room = max - out->size;
        buf_append(out, bytes, (size_t)got < room ? (size_t)got : room);
    }
}

static void on_input(struct poller_entry *entry, uint32_t events)
{
    struct program *program =
        CONTAINER_OF(entry, struct program, streams[STREAM_INPUT]);
    (void)events;
    write_input(program);
}

static void on_output(struct poller_entry *entry, uint32_t events)
{
    (void)events;
    read_output(CONTAINER_OF(entry, struct program, streams[STREAM_OUTPUT]),
                STREAM_OUTPUT);
}

static void on_error(struct poller_entry *entry, uint32_t events)
{
    (void)events;
    read_output(CONTAINER_OF(entry, struct program, streams[STREAM_ERROR]),
                STREAM_ERROR);
}

/* It has ended; what it wrote before that is in the pipes. */
static void on_ended(struct poller_entry *entry, uint32_t events)
{
    struct program *program = CONTAINER_OF(entry, struct program, process);
    (void)events;
    read_output(program, STREAM_OUTPUT);
    read_output(program, STREAM_ERROR);
    finish(program);
}

/* ---- the start ---------------------------------------------------------- */

/* Pipes: ends[i][0] is ours, ends[i][1] is the program's. */
static bool make_pipes(int ends[STREAM_COUNT][2])
{
    for (int i = 0; i < STREAM_COUNT; i++) {
        int pair[2];
        if (pipe2(pair, O_CLOEXEC) != 0) {
            return false;
        }
        bool is_input = i == STREAM_INPUT;
        ends[i][0] = pair[is_input ? 1 : 0];
        ends[i][1] = pair[is_input ? 0 : 1];
        CHECK_EQ(fcntl(ends[i][0], F_SETFL, O_NONBLOCK), 0);
    }
    return true;
}

static void close_side(int ends[STREAM_COUNT][2], int side)
{
    for (int i = 0; i < STREAM_COUNT; i++) {
        if (ends[i][side] >= 0) {
            close(ends[i][side]);
        }
    }
}

/* Its three streams and nothing else of ours, in /. */
static void set_actions(posix_spawn_file_actions_t *actions,
                        int ends[STREAM_COUNT][2])
{
    CHECK_EQ(posix_spawn_file_actions_init(actions), 0);
    for (int i = 0; i < STREAM_COUNT; i++) {
        CHECK_EQ(posix_spawn_file_actions_adddup2(actions, ends[i][1], i), 0);
    }
    CHECK_EQ(posix_spawn_file_actions_addclosefrom_np(actions, STREAM_COUNT),
             0);
    CHECK_EQ(posix_spawn_file_actions_addchdir_np(actions, "/"), 0);
}

/* A group of its own, and signals as a new program expects them. */
static void set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t all;
    sigset_t none;
    sigfillset(&all);
    sigemptyset(&none);
    CHECK_EQ(posix_spawnattr_init(attributes), 0);
    CHECK_EQ(posix_spawnattr_setpgroup(attributes, 0), 0);
    CHECK_EQ(posix_spawnattr_setsigdefault(attributes, &all), 0);
    CHECK_EQ(posix_spawnattr_setsigmask(attributes, &none), 0);
    CHECK_EQ(posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP |
                                                      POSIX_SPAWN_SETSIGDEF |
                                                      POSIX_SPAWN_SETSIGMASK),
             0);
}

static int spawn(struct program *program, int ends[STREAM_COUNT][2])
{
    static const char *const environment[] = {
        "PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/", "LANG=C.UTF-8", NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    set_actions(&actions, ends);
    set_attributes(&attributes);
    int number =
        posix_spawn(&program->pid, program->argv[0], &actions, &attributes,
                    program->argv, (char *const *)(uintptr_t)environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    program->pid = number == 0 ? program->pid : 0;
    return number;
}

static void watch(struct program *program, int ends[STREAM_COUNT][2])
{
    struct poller *poller = program->exec->config.poller;
    program->process.on_ready = on_ended;
    program->streams[STREAM_INPUT].on_ready = on_input;
    program->streams[STREAM_OUTPUT].on_ready = on_output;
    program->streams[STREAM_ERROR].on_ready = on_error;
    for (int i = 0; i < STREAM_COUNT; i++) {
        program->streams[i].fd = ends[i][0];
    }
    poller_set(poller, &program->process, EPOLLIN);
    poller_set(poller, &program->streams[STREAM_OUTPUT], EPOLLIN);
    poller_set(poller, &program->streams[STREAM_ERROR], EPOLLIN);
    write_input(program);
}

static void fail_start(struct program *program, const char *what, int number)
{
    buf_printf(&program->why, "%s: %s", what, strerror(number));
    const struct act_answer failure = {
        .error = buf_slice(&program->why),
        .headers = SLICE("{}"),
    };
    answer(program, &failure);
}

static void begin(struct program *program, int64_t now_ms)
{
    struct recipes_exec *exec = program->exec;
    int ends[STREAM_COUNT][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
    int number = make_pipes(ends) ? spawn(program, ends) : errno;
    close_side(ends, 1);
    if (number != 0) {
        close_side(ends, 0);
        fail_start(program, program->argv[0], number);
        return;
    }
    list_remove(&program->link);
    list_push_back(&exec->running, &program->link);
    exec->running_count++;
    program->until_ms = now_ms + program->timeout_ms;
    program->process.fd = (int)syscall(SYS_pidfd_open, program->pid, 0);
    if (program->process.fd < 0) {
        number = errno;
        close_side(ends, 0);
        (void)reap(program);
        exec->running_count--;
        fail_start(program, "pidfd_open", number);
        return;
    }
    watch(program, ends);
}

static bool is_allowed(const struct recipes_exec *exec, const char *path)
{
    for (size_t i = 0; i < exec->config.allowed_count; i++) {
        if (strcmp(exec->config.allowed[i], path) == 0) {
            return true;
        }
    }
    return false;
}

static void begin_or_refuse(struct program *program, int64_t now_ms)
{
    if (program->argv == NULL) {
        refuse(program, "the arguments can't be passed on", "");
    } else if (!is_allowed(program->exec, program->argv[0])) {
        refuse(program,
               " isn't among the programs that --recipes-exec-allow names",
               program->argv[0]);
    } else {
        begin(program, now_ms);
    }
}

/* ---- the outside -------------------------------------------------------- */

struct recipes_exec *recipes_exec_new(const struct recipes_exec_config *config)
{
    struct recipes_exec *exec = mem_alloc_zero(sizeof(*exec));
    CHECK(config->on_acted != NULL && config->poller != NULL);
    exec->config = *config;
    list_init(&exec->waiting);
    list_init(&exec->running);
    return exec;
}

void recipes_exec_free(struct recipes_exec *exec)
{
    struct list *node;
    if (exec == NULL) {
        return;
    }
    while ((node = list_first(&exec->running)) != NULL) {
        struct program *program = CONTAINER_OF(node, struct program, link);
        (void)reap(program);
        free_program(program);
    }
    while ((node = list_first(&exec->waiting)) != NULL) {
        free_program(CONTAINER_OF(node, struct program, link));
    }
    mem_free(exec);
}

/* NULL where they can't be passed to a program as they are. */
static char **copy_arguments(struct arena *arena, const struct act *act)
{
    size_t bytes = 0;
    if (act->argument_count == 0 ||
        act->argument_count > RECIPES_EXEC_ARGUMENTS_MAX) {
        return NULL;
    }
    char **argv = arena_alloc(arena, (act->argument_count + 1) * sizeof(*argv));
    for (size_t i = 0; i < act->argument_count; i++) {
        struct slice argument = act->arguments[i];
        bytes += argument.size;
        if (slice_find(argument, '\0') >= 0 ||
            bytes > RECIPES_EXEC_ARGUMENT_BYTES_MAX) {
            return NULL;
        }
        argv[i] = arena_printf(arena, "%.*s", (int)argument.size, argument.at);
    }
    argv[act->argument_count] = NULL;
    return argv;
}

void recipes_exec_start(struct recipes_exec *exec, uint64_t id,
                        const struct act *act)
{
    struct program *program = mem_alloc_zero(sizeof(*program));
    CHECK_EQ(act->kind, ACT_EXEC);
    program->exec = exec;
    program->id = id;
    arena_init(&program->arena, 0);
    program->argv = copy_arguments(&program->arena, act);
    program->input =
        slice_of(act->input.size > 0 ? arena_dup(&program->arena, act->input.at,
                                                 act->input.size)
                                     : "",
                 act->input.size);
    program->timeout_ms = act->timeout_ns / 1000000;
    program->process.fd = -1;
    for (int i = 0; i < STREAM_COUNT; i++) {
        program->streams[i].fd = -1;
    }
    list_push_back(&exec->waiting, &program->link);
    exec->has_room = true;
}

static void begin_waiting(struct recipes_exec *exec, int64_t now_ms)
{
    struct list *node;
    exec->has_room = false;
    while (exec->running_count < RECIPES_EXEC_AT_ONCE_MAX &&
           (node = list_first(&exec->waiting)) != NULL) {
        begin_or_refuse(CONTAINER_OF(node, struct program, link), now_ms);
    }
}

int64_t recipes_exec_run(struct recipes_exec *exec, int64_t now_ms)
{
    int64_t next_ms = INT64_MAX;
    if (exec->has_room) {
        begin_waiting(exec, now_ms);
    }
    LIST_EACH (node, &exec->running) {
        struct program *program = CONTAINER_OF(node, struct program, link);
        if (program->until_ms <= now_ms) {
            program->is_late = true;
            finish(program);
            return now_ms; /* the list may be another one now */
        }
        next_ms = program->until_ms < next_ms ? program->until_ms : next_ms;
    }
    return exec->has_room ? now_ms : next_ms;
}
