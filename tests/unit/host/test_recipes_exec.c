/* Programs that recipes start: allowed by name, bounded in output and time,
 * and gone with all that they started. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/recipes_exec.h"
#include "recipes_case.h"

#define SECOND (1000 * 1000 * 1000LL)

static struct recipes_case world;
static struct recipes_exec *exec_all;

static int64_t run(void *outside, int64_t now_ms)
{
    return recipes_exec_run(outside, now_ms);
}

static int set_up(void **state)
{
    static const char *const allowed[] = {"/bin/sh", "/bin/cat", "/bin/echo",
                                          "/no/such/program"};
    (void)state;
    world = (struct recipes_case){.run = run};
    poller_init(&world.poller);
    const struct recipes_exec_config config = {
        .poller = &world.poller,
        .allowed = allowed,
        .allowed_count = sizeof(allowed) / sizeof(allowed[0]),
        .on_acted = case_on_acted,
        .context = &world,
    };
    (void)signal(SIGPIPE, SIG_IGN); /* as the program has it */
    exec_all = recipes_exec_new(&config);
    world.outside = exec_all;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    recipes_exec_free(exec_all);
    case_deinit(&world);
    return 0;
}

static void start(const char *program, const char *first, const char *second,
                  struct slice input, int64_t timeout_ns)
{
    static uint64_t id;
    const struct slice arguments[] = {slice_str(program), slice_str(first),
                                      slice_str(second)};
    const struct act act = {
        .kind = ACT_EXEC,
        .timeout_ns = timeout_ns,
        .arguments = arguments,
        .argument_count = second != NULL  ? 3
                          : first != NULL ? 2
                                          : 1,
        .input = input,
    };
    recipes_exec_start(exec_all, ++id, &act);
}

static struct told_answer *run_shell(const char *script, const char *input)
{
    start("/bin/sh", "-c", script, slice_str(input), 10 * SECOND);
    case_run_until(&world, world.count + 1);
    return case_last(&world);
}

/* ---- stories ------------------------------------------------------------- */

static void its_input_goes_in_and_its_output_comes_out(void **state)
{
    (void)state;
    struct told_answer *answer = run_shell("cat; echo; echo done", "hello");
    assert_true(answer->was_sent);
    assert_false(answer->is_refused);
    assert_int_equal(answer->status, 0);
    assert_string_equal(answer->error, "");
    assert_string_equal(answer->headers, "{}");
    assert_string_equal(answer->body.at, "hello\ndone\n");
}

/* No shell: what looks like one is a word among others. */
static void arguments_are_words(void **state)
{
    (void)state;
    start("/bin/echo", "$(id); rm -rf / | x", "*", SLICE(""), SECOND);
    case_run_until(&world, 1);
    assert_string_equal(case_last(&world)->body.at, "$(id); rm -rf / | x *\n");
}

static void a_failure_says_its_code_and_its_words(void **state)
{
    (void)state;
    struct told_answer *answer = run_shell(
        "echo out; echo 'disk is gone' >&2; echo more >&2; exit 7", "");
    assert_true(answer->was_sent);
    assert_int_equal(answer->status, 7);
    assert_string_equal(answer->error, "exit code 7: disk is gone");
    assert_string_equal(answer->body.at, "out\n");
    answer = run_shell("kill -9 $$", "");
    assert_int_equal(answer->status, RECIPES_EXEC_SIGNAL_BASE + SIGKILL);
    assert_string_equal(answer->error, "killed by signal 9");
    /* What it says while all is well is no error. */
    answer = run_shell("echo fine >&2", "");
    assert_int_equal(answer->status, 0);
    assert_string_equal(answer->error, "");
}

static void only_what_is_named_starts(void **state)
{
    (void)state;
    static const char *const programs[] = {"/bin/ls", "sh", "/bin/../bin/sh",
                                           "", "/bin/sh "};
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        start(programs[i], NULL, NULL, SLICE(""), SECOND);
        case_run_until(&world, i + 1);
        struct told_answer *answer = case_last(&world);
        assert_true(answer->is_refused);
        assert_false(answer->was_sent);
        assert_non_null(strstr(answer->error, "--recipes-exec-allow"));
    }
    /* Allowed, but not there: may be tomorrow. */
    start("/no/such/program", NULL, NULL, SLICE(""), SECOND);
    case_run_until(&world, world.count + 1);
    assert_false(case_last(&world)->is_refused);
    assert_false(case_last(&world)->was_sent);
    assert_non_null(strstr(case_last(&world)->error, "No such file"));
}

static void what_cant_be_an_argument_is_refused(void **state)
{
    (void)state;
    const struct slice arguments[] = {SLICE("/bin/echo"), SLICE("a\0b")};
    struct act act = {.kind = ACT_EXEC,
                      .timeout_ns = SECOND,
                      .arguments = arguments,
                      .argument_count = 2};
    recipes_exec_start(exec_all, 1, &act);
    act.argument_count = 0;
    recipes_exec_start(exec_all, 2, &act);
    case_run_until(&world, 2);
    assert_true(world.answers[0].is_refused);
    assert_true(world.answers[1].is_refused);
}

static void its_environment_is_its_own(void **state)
{
    (void)state;
    assert_int_equal(setenv("ETCHED_RECIPES_SECRET_KEY", "s3cr3t", 1), 0);
    struct told_answer *answer =
        run_shell("env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD= | sort;"
                  " pwd; ls /proc/self/fd | wc -l",
                  "");
    assert_int_equal(unsetenv("ETCHED_RECIPES_SECRET_KEY"), 0);
    assert_string_equal(answer->body.at,
                        "HOME=/\nLANG=C.UTF-8\n"
                        "PATH=/usr/local/bin:/usr/bin:/bin\n/\n"
                        /* 0, 1, 2, and that of the listing */
                        "4\n");
}

/* SIGPIPE is ignored here; a program expects it to be as usual. */
static void its_signals_are_as_usual(void **state)
{
    (void)state;
    struct told_answer *answer = run_shell("grep SigIgn /proc/self/status", "");
    unsigned long long ignored = 0;
    assert_non_null(strchr(answer->body.at, '\t'));
    ignored = strtoull(strchr(answer->body.at, '\t'), NULL, 16);
    assert_true((ignored & (1ULL << (SIGPIPE - 1))) == 0);
}

static void output_is_cut_and_the_program_is_not_held_up(void **state)
{
    (void)state;
    struct told_answer *answer =
        run_shell("head -c 1000000 /dev/zero | tr '\\0' x; exit 3", "");
    assert_int_equal(answer->status, 3); /* it could write all of it */
    assert_int_equal(answer->body.size, RECIPES_EXEC_OUTPUT_BYTES_MAX + 1);
}

static void a_large_input_and_one_that_nobody_reads(void **state)
{
    (void)state;
    struct buf input = {0};
    memset(buf_extend(&input, 1 << 20), 'y', 1 << 20);
    start("/bin/sh", "-c", "wc -c", buf_slice(&input), 10 * SECOND);
    case_run_until(&world, 1);
    assert_string_equal(case_last(&world)->body.at, "1048576\n");
    start("/bin/sh", "-c", "exec <&-; echo no", buf_slice(&input), 10 * SECOND);
    case_run_until(&world, 2);
    assert_string_equal(case_last(&world)->body.at, "no\n");
    buf_deinit(&input);
}

static bool is_running(pid_t pid)
{
    for (int i = 0; i < 200; i++) {
        if (kill(pid, 0) != 0 && errno == ESRCH) {
            return false;
        }
        /* Whoever adopts it may need a moment to take its end. */
        char path[64];
        char state_of[256] = "";
        (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        FILE *file = fopen(path, "r");
        if (file == NULL) {
            return false;
        }
        (void)fread(state_of, 1, sizeof(state_of) - 1, file);
        (void)fclose(file);
        const char *end = strrchr(state_of, ')');
        if (end != NULL && (end[2] == 'Z' || end[2] == 'X')) {
            return false;
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return true;
}

static void who_takes_too_long_is_killed_with_its_children(void **state)
{
    (void)state;
    int64_t from_ms = case_now_ms();
    start("/bin/sh", "-c", "sleep 60 & echo $!; wait", SLICE(""),
          SECOND * 3 / 10);
    case_run_until(&world, 1);
    int64_t took_ms = case_now_ms() - from_ms;
    struct told_answer *answer = case_last(&world);
    assert_true(took_ms >= 300 && took_ms < 5000);
    assert_string_equal(answer->error, "killed after 300 ms");
    assert_int_equal(answer->status, RECIPES_EXEC_SIGNAL_BASE + SIGKILL);
    assert_true(answer->was_sent);
    pid_t child = (pid_t)strtol(answer->body.at, NULL, 10);
    assert_true(child > 1);
    assert_false(is_running(child));
}

/* It ends, and leaves somebody behind who holds its output open. */
static void what_it_leaves_behind_ends_with_it(void **state)
{
    (void)state;
    int64_t from_ms = case_now_ms();
    struct told_answer *answer = run_shell("sleep 60 & echo $!", "");
    assert_int_equal(answer->status, 0);
    assert_true(case_now_ms() - from_ms < 5000);
    assert_false(is_running((pid_t)strtol(answer->body.at, NULL, 10)));
}

static void other_children_are_left_alone(void **state)
{
    (void)state;
    pid_t other = fork();
    assert_true(other >= 0);
    if (other == 0) {
        _exit(42);
    }
    (void)run_shell("true", "");
    (void)run_shell("true", "");
    int status = 0;
    assert_int_equal(waitpid(other, &status, 0), other);
    assert_int_equal(WEXITSTATUS(status), 42);
}

static void many_take_turns(void **state)
{
    (void)state;
    for (int i = 0; i < 3 * RECIPES_EXEC_AT_ONCE_MAX; i++) {
        start("/bin/sh", "-c", "sleep 0.05; echo x", SLICE(""), 20 * SECOND);
    }
    case_run_until(&world, 3 * RECIPES_EXEC_AT_ONCE_MAX);
    for (size_t i = 0; i < world.count; i++) {
        assert_string_equal(world.answers[i].body.at, "x\n");
    }
    /* None is a zombie. */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void the_end_of_all_ends_them(void **state)
{
    (void)state;
    start("/bin/sh", "-c", "sleep 60 & sleep 60", SLICE(""), 60 * SECOND);
    start("/bin/sh", "-c", "sleep 60", SLICE(""), 60 * SECOND);
    (void)recipes_exec_run(exec_all, case_now_ms());
    int64_t from_ms = case_now_ms();
    assert_int_equal(tear_down(NULL), 0);
    assert_true(case_now_ms() - from_ms < 5000);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(set_up(NULL), 0);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        STORY(its_input_goes_in_and_its_output_comes_out),
        STORY(arguments_are_words),
        STORY(a_failure_says_its_code_and_its_words),
        STORY(only_what_is_named_starts),
        STORY(what_cant_be_an_argument_is_refused),
        STORY(its_environment_is_its_own),
        STORY(its_signals_are_as_usual),
        STORY(output_is_cut_and_the_program_is_not_held_up),
        STORY(a_large_input_and_one_that_nobody_reads),
        STORY(who_takes_too_long_is_killed_with_its_children),
        STORY(what_it_leaves_behind_ends_with_it),
        STORY(other_children_are_left_alone),
        STORY(many_take_turns),
        STORY(the_end_of_all_ends_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
