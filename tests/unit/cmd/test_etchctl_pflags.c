/* Flags as pflag reads them, with its words for what is wrong. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "cmd/etchctl/pflags.h"

static const struct pflag_spec table[] = {
    {"limit", 0, PFLAG_INT, NULL, "how many"},
    {"prefix", 'p', PFLAG_BOOL, NULL, "all"},
    {"write-out", 'w', PFLAG_STRING, "simple", "the format"},
    {"interactive", 'i', PFLAG_BOOL, NULL, "ask"},
    {"timeout", 0, PFLAG_DURATION, "5s", "how long"},
    {"endpoints", 0, PFLAG_LIST, "127.0.0.1:2379", "whom"},
    {"secure", 0, PFLAG_BOOL, "true", "or not"},
    {0},
};

static struct arena arena;
static struct pflags flags;
static struct words words;
static const char *word_room[32];

/* None is given. */
static void forget(void)
{
    pflags_init(&flags, &arena);
    pflags_add(&flags, table);
    words = (struct words){.at = word_room};
}

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    forget();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

/* The words of a line, by spaces. */
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

static enum err parse(const char *line)
{
    struct words in = line_of(line);

    words.count = 0;
    return pflags_parse(&flags, &in, &words);
}

static void expect_words(const char *text)
{
    struct words wanted = line_of(text);

    assert_int_equal(words.count, wanted.count);
    for (size_t i = 0; i < wanted.count; i++)
        assert_string_equal(words.at[i], wanted.at[i]);
}

static void expect_failure(const char *line, const char *note)
{
    forget();
    assert_int_equal(parse(line), ERR_INVALID);
    assert_string_equal(err_note(), note);
}

static void without_flags_there_are_defaults(void **state)
{
    (void)state;
    assert_int_equal(parse("a b"), ERR_OK);
    expect_words("a b");
    assert_int_equal(pflags_number(&flags, "limit"), 0);
    assert_false(pflags_bool(&flags, "prefix"));
    assert_true(pflags_bool(&flags, "secure"));
    assert_string_equal(pflags_text(&flags, "write-out"), "simple");
    assert_int_equal(pflags_number(&flags, "timeout"), 5000);
    assert_false(pflags_is_given(&flags, "timeout"));
    assert_null(pflags_find(&flags, "nothing"));
}

static void long_flags(void **state)
{
    (void)state;
    assert_int_equal(parse("a --limit 5 --prefix b --write-out=json "
                           "--timeout=1m30s --secure=false"),
                     ERR_OK);
    expect_words("a b");
    assert_int_equal(pflags_number(&flags, "limit"), 5);
    assert_true(pflags_bool(&flags, "prefix"));
    assert_string_equal(pflags_text(&flags, "write-out"), "json");
    assert_int_equal(pflags_number(&flags, "timeout"), 90000);
    assert_false(pflags_bool(&flags, "secure"));
    assert_true(pflags_is_given(&flags, "secure"));
}

static void a_boolean_takes_no_word(void **state)
{
    (void)state;
    assert_int_equal(parse("--prefix false"), ERR_OK);
    expect_words("false");
    assert_true(pflags_bool(&flags, "prefix"));
}

static void letters(void **state)
{
    (void)state;
    static const char *const lines[] = {"-w json x", "-wjson x", "-w=json x",
                                        "-piw json x", "x -pi -wjson"};

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        forget();
        assert_int_equal(parse(lines[i]), ERR_OK);
        expect_words("x");
        assert_string_equal(pflags_text(&flags, "write-out"), "json");
        assert_int_equal(pflags_bool(&flags, "interactive"), i >= 3);
    }
}

static void two_dashes_end_the_flags(void **state)
{
    (void)state;
    assert_int_equal(parse("a - -- --limit -5 --"), ERR_OK);
    expect_words("a - --limit -5 --");
    assert_false(pflags_is_given(&flags, "limit"));
}

static void a_list_grows(void **state)
{
    (void)state;
    assert_int_equal(parse("--endpoints a:1,b:2 --endpoints=c:3"), ERR_OK);
    assert_string_equal(pflags_text(&flags, "endpoints"), "a:1,b:2,c:3");
}

static void numbers_in_any_base(void **state)
{
    (void)state;
    assert_int_equal(parse("--limit 0x10"), ERR_OK);
    assert_int_equal(pflags_number(&flags, "limit"), 16);
    assert_int_equal(parse("--limit -7"), ERR_OK);
    assert_int_equal(pflags_number(&flags, "limit"), -7);
}

static void what_is_wrong(void **state)
{
    (void)state;
    expect_failure("--bogus", "unknown flag: --bogus");
    expect_failure("--bogus=1", "unknown flag: --bogus");
    expect_failure("-x", "unknown shorthand flag: 'x' in -x");
    expect_failure("-pxi", "unknown shorthand flag: 'x' in -xi");
    expect_failure("-endpoints", "unknown shorthand flag: 'e' in -endpoints");
    expect_failure("a --limit", "flag needs an argument: --limit");
    expect_failure("-pw", "flag needs an argument: 'w' in -w");
    expect_failure("--=5", "bad flag syntax: --=5");
    expect_failure("---x", "bad flag syntax: ---x");
    expect_failure("--limit=x",
                   "invalid argument \"x\" for \"--limit\" flag: "
                   "strconv.ParseInt: parsing \"x\": invalid syntax");
    expect_failure("--prefix=2",
                   "invalid argument \"2\" for \"-p, --prefix\" flag: "
                   "strconv.ParseBool: parsing \"2\": invalid syntax");
    expect_failure("--timeout=5",
                   "invalid argument \"5\" for \"--timeout\" flag: time: "
                   "missing unit in duration \"5\"");
    expect_failure("--timeout=x",
                   "invalid argument \"x\" for \"--timeout\" flag: time: "
                   "invalid duration \"x\"");
}

static void expect_first(const char *line, size_t at)
{
    struct words in = line_of(line);
    assert_int_equal(pflags_first_word(&flags, &in), at);
}

static void the_first_word_of_a_line(void **state)
{
    (void)state;
    expect_first("get a", 0);
    expect_first("--prefix get a", 1);
    expect_first("--limit 5 get a", 2);
    expect_first("--limit=5 get a", 1);
    expect_first("-w json get a", 2);
    expect_first("-wjson get a", 1);
    expect_first("-p get", 1);
    /* What isn't known is taken for a flag with a value. */
    expect_first("--unknown get a", 2);
    expect_first("--limit", 1);
    expect_first("-- get", 2);
    expect_first("", 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(without_flags_there_are_defaults),
        TEST(long_flags),
        TEST(a_boolean_takes_no_word),
        TEST(letters),
        TEST(two_dashes_end_the_flags),
        TEST(a_list_grows),
        TEST(numbers_in_any_base),
        TEST(what_is_wrong),
        TEST(the_first_word_of_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
