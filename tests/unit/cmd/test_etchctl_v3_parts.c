/* The pure parts of the v3 commands: comparisons, the words of a watch, the
 * environment, lines. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "cmd/etchctl/v3_compare.h"
#include "cmd/etchctl/v3_environment.h"
#include "cmd/etchctl/v3_lines.h"
#include "cmd/etchctl/v3_watch_args.h"

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

/* ---- comparisons -------------------------------------------------------- */

static Etcdserverpb__Compare parsed(const char *line)
{
    Etcdserverpb__Compare out;

    assert_int_equal(v3_compare_parse(&arena, line, &out), ERR_OK);
    return out;
}

static void expect_failure(const char *line, const char *note)
{
    Etcdserverpb__Compare out;

    assert_int_equal(v3_compare_parse(&arena, line, &out), ERR_INVALID);
    assert_string_equal(err_note(), note);
}

static void comparisons(void **state)
{
    (void)state;
    Etcdserverpb__Compare out = parsed("mod(\"key1\") > \"12\"");

    assert_int_equal(out.target, ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD);
    assert_int_equal(out.result,
                     ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER);
    assert_int_equal(out.target_union_case,
                     ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION);
    assert_int_equal(out.mod_revision, 12);
    assert_true(slice_eq(message_bytes(out.key), SLICE("key1")));

    out = parsed("c(`k`)  !=  `-3`");
    assert_int_equal(out.target, ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE);
    assert_int_equal(out.result,
                     ETCDSERVERPB__COMPARE__COMPARE_RESULT__NOT_EQUAL);
    assert_int_equal(out.create_revision, -3);

    out = parsed("ver( \"k\") < \"4\"");
    assert_int_equal(out.target,
                     ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION);
    assert_int_equal(out.result, ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS);
    assert_int_equal(out.version, 4);

    out = parsed("value(\"a b\\n\") = \"x\\\"y\" and what follows");
    assert_int_equal(out.target, ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE);
    assert_true(slice_eq(message_bytes(out.key), SLICE("a b\n")));
    assert_true(slice_eq(message_bytes(out.value), SLICE("x\"y")));

    out = parsed("lease(\"k\") = \"1f\"");
    assert_int_equal(out.target, ETCDSERVERPB__COMPARE__COMPARE_TARGET__LEASE);
    assert_int_equal(out.lease, 0x1f);
}

static void what_is_no_comparison(void **state)
{
    (void)state;
    expect_failure("foo", "malformed comparison: foo");
    expect_failure("foo(\"k\") = \"1\"",
                   "malformed comparison: foo(\"k\") = \"1\" (unknown target "
                   "foo)");
    expect_failure("mod(k) = \"1\"",
                   "malformed comparison: mod(k) = \"1\"; got mod(\"\")  \"\"");
    expect_failure("mod(\"k\" = \"1\"",
                   "malformed comparison: mod(\"k\" = \"1\"; got "
                   "mod(\"k\")  \"\"");
    expect_failure("mod(\"k\")= \"1\"",
                   "malformed comparison: mod(\"k\")= \"1\"; got "
                   "mod(\"k\")  \"\"");
    expect_failure("mod(\"k\") = 1",
                   "malformed comparison: mod(\"k\") = 1; got mod(\"k\") = "
                   "\"\"");
    expect_failure("mod(\"k\") =",
                   "malformed comparison: mod(\"k\") =; got mod(\"k\") = "
                   "\"\"");
    expect_failure("mod(\"k\") = \"x\"",
                   "invalid txn compare request: mod(\"k\") = \"x\"");
    expect_failure("mod(\"k\") ~ \"1\"",
                   "malformed comparison: mod(\"k\") ~ \"1\" (unknown operator "
                   "~)");
}

/* ---- the words of a watch ----------------------------------------------- */

static struct words line_of(const char *line)
{
    struct words out = {.at = arena_alloc(&arena, 32 * sizeof(*out.at))};

    while (*line) {
        size_t size = strcspn(line, " ");
        out.at[out.count++] = arena_printf(&arena, "%.*s", (int)size, line);
        line += size;
        line += strspn(line, " ");
    }
    return out;
}

static void expect_watch(const char *line, const char *words, const char *env,
                         const char *key, const char *end, const char *program)
{
    struct v3_watch_args args;
    struct words wanted = line_of(program);

    assert_int_equal(
        v3_watch_args_find(line_of(line), line_of(words), env, "z", &args),
        ERR_OK);
    assert_string_equal(args.key, key);
    if (end)
        assert_string_equal(args.range_end, end);
    else
        assert_null(args.range_end);
    assert_int_equal(args.program.count, wanted.count);
    for (size_t i = 0; i < wanted.count; i++)
        assert_string_equal(args.program.at[i], wanted.at[i]);
}

static void expect_no_watch(const char *line, const char *words,
                            const char *env, const char *note)
{
    struct v3_watch_args args;

    assert_int_equal(
        v3_watch_args_find(line_of(line), line_of(words), env, "", &args),
        ERR_INVALID);
    assert_string_equal(err_note(), note);
}

static void the_words_of_a_watch(void **state)
{
    (void)state;
    expect_watch("watch a", "a", "", "a", NULL, "");
    expect_watch("watch a b", "a b", "", "a", "b", "");
    expect_watch("watch a b c", "a b c", "", "a", NULL, "");
    expect_watch("watch a -- echo hello", "a echo hello", "", "a", NULL,
                 "echo hello");
    expect_watch("watch a b --rev 1 -- echo a", "a b echo a", "", "a", "b",
                 "echo a");
    expect_watch("watch", "", "k", "k", "z", "");
    expect_watch("watch -- echo -- x", "echo -- x", "k", "k", "z", "echo -- x");
}

static void what_is_no_watch(void **state)
{
    (void)state;
    expect_no_watch("watch", "", "", "bad number of arguments");
    expect_no_watch("watch -- echo", "echo", "", "bad number of arguments");
    expect_no_watch("watch a --", "a", "",
                    "bad number of arguments (found separator --, but no "
                    "commands)");
    expect_no_watch("watch a", "a", "k",
                    "bad number of arguments (found conflicting environment "
                    "key)");
    expect_no_watch("watch a -- b", "a b", "k",
                    "bad number of arguments (found conflicting environment "
                    "key)");
}

/* ---- the environment ---------------------------------------------------- */

static const struct pflag_spec table[] = {
    {"write-out", 'w', PFLAG_STRING, "simple", ""},
    {"hex", 0, PFLAG_BOOL, NULL, ""},
    {"timeout", 0, PFLAG_DURATION, "5s", ""},
    {0},
};

static enum err apply(struct pflags *flags, char *const *environment,
                      struct buf *warnings)
{
    static const char *const known[] = {"ETCDCTL_API", NULL};
    enum err err =
        v3_environment_apply(flags, table, environment, known, warnings);

    buf_append_char(warnings, '\0');
    return err;
}

static void flags_from_the_environment(void **state)
{
    (void)state;
    char one[] = "ETCDCTL_WRITE_OUT=json";
    char two[] = "ETCDCTL_HEX=true";
    char bad[] = "ETCDCTL_TIMEOUT=x";
    char api[] = "ETCDCTL_API=3";
    char other[] = "HOME=/root";
    char empty[] = "ETCDCTL_HEX=";
    char unknown[] = "ETCDCTL_BOGUS=1";
    char *const first[] = {other, one, two, bad, api, NULL};
    char *const second[] = {empty, unknown, NULL};
    struct buf warnings = {0};
    struct pflags flags;

    pflags_init(&flags, &arena);
    pflags_add(&flags, table);
    assert_int_equal(apply(&flags, first, &warnings), ERR_OK);
    assert_string_equal(warnings.at, "");
    assert_string_equal(pflags_text(&flags, "write-out"), "json");
    assert_true(pflags_bool(&flags, "hex"));
    assert_int_equal(pflags_number(&flags, "timeout"), 5000);

    pflags_init(&flags, &arena);
    pflags_add(&flags, table);
    buf_reset(&warnings);
    assert_int_equal(apply(&flags, second, &warnings), ERR_OK);
    assert_string_equal(warnings.at,
                        "unrecognized environment variable ETCDCTL_HEX=\n"
                        "unrecognized environment variable ETCDCTL_BOGUS=1\n");
    buf_deinit(&warnings);
}

static void a_flag_and_its_variable(void **state)
{
    (void)state;
    char one[] = "ETCDCTL_WRITE_OUT=json";
    char *const environment[] = {one, NULL};
    struct buf warnings = {0};
    struct pflags flags;

    pflags_init(&flags, &arena);
    pflags_add(&flags, table);
    assert_int_equal(pflags_set(&flags, "write-out", "table"), ERR_OK);
    assert_int_equal(apply(&flags, environment, &warnings), ERR_INVALID);
    assert_non_null(strstr(err_note(), "\"ETCDCTL_WRITE_OUT\" is shadowed"));
    buf_deinit(&warnings);
}

/* ---- lines -------------------------------------------------------------- */

static void lines_as_they_come(void **state)
{
    (void)state;
    struct v3_lines lines = {0};
    int pipes[2];

    assert_int_equal(pipe(pipes), 0);
    lines.fd = pipes[0];
    assert_null(v3_lines_take(&lines, &arena));
    assert_int_equal(write(pipes[1], "one\ntw", 6), 6);
    v3_lines_read(&lines);
    assert_string_equal(v3_lines_take(&lines, &arena), "one");
    assert_null(v3_lines_take(&lines, &arena));
    assert_int_equal(write(pipes[1], "o\n\nrest", 7), 7);
    v3_lines_read(&lines);
    assert_string_equal(v3_lines_take(&lines, &arena), "two");
    assert_string_equal(v3_lines_take(&lines, &arena), "");
    assert_false(lines.ended);
    close(pipes[1]);
    v3_lines_read(&lines);
    assert_true(lines.ended);
    assert_null(v3_lines_take(&lines, &arena));
    close(pipes[0]);
    v3_lines_deinit(&lines);
}

static void trimmed_lines(void **state)
{
    (void)state;
    char text[] = " \t a b \r";
    char empty[] = "  ";

    assert_string_equal(v3_trim(text), "a b");
    assert_string_equal(v3_trim(empty), "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(comparisons),
        TEST(what_is_no_comparison),
        TEST(the_words_of_a_watch),
        TEST(what_is_no_watch),
        TEST(flags_from_the_environment),
        TEST(a_flag_and_its_variable),
        TEST(lines_as_they_come),
        TEST(trimmed_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
