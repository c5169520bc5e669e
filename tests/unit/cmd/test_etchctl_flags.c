#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "cmd/etchctl/flags.h"

static const struct flag_spec own_specs[] = {
    {.name = "ttl", .kind = FLAG_INT},
    {.name = "recursive", .letter = 'r'},
    {.name = "p"},
    {.name = "with-value", .kind = FLAG_STRING, .initial = "none"},
    {0},
};

static const struct flag_spec global_specs[] = {
    {.name = "debug"},
    {.name = "output", .letter = 'o', .kind = FLAG_STRING, .initial = "simple"},
    {.name = "timeout", .kind = FLAG_DURATION, .initial = "2s"},
    {.name = "secret", .is_hidden = true},
    {0},
};

enum { WORDS_MAX = 16 };

/* A command line, and what is read of it. */
struct line {
    struct arena arena;
    struct flags own;
    struct flags global;
    struct flags_grammar grammar;
    struct words in;
    struct words out;
    const char *in_words[WORDS_MAX];
    const char *out_words[WORDS_MAX];
    size_t at;
};

static void begin(struct line *line, const char *const *words)
{
    memset(line, 0, sizeof(*line));
    arena_init(&line->arena, 0);
    flags_init(&line->own, &line->arena, own_specs);
    flags_init(&line->global, &line->arena, global_specs);
    line->grammar = (struct flags_grammar){.own = &line->own,
                                           .global = &line->global,
                                           .words_max = FLAGS_WORDS_ANY};
    while (words[line->in.count]) {
        line->in_words[line->in.count] = words[line->in.count];
        line->in.count++;
    }
    line->in.at = line->in_words;
    line->out.at = line->out_words;
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static enum err parse(struct line *line)
{
    return flags_parse(&line->grammar, &line->in, &line->at, &line->out);
}

static void assert_words(const struct line *line, const char *const *words)
{
    size_t count = 0;

    for (; words[count]; count++) {
        assert_true(count < line->out.count);
        assert_string_equal(line->out.at[count], words[count]);
    }
    assert_int_equal(line->out.count, count);
}

static void end(struct line *line)
{
    arena_deinit(&line->arena);
}

/* Reads the words and expects them to be refused with this note. */
static void assert_refused(const char *const *words, const char *note)
{
    struct line line;

    begin(&line, words);
    assert_int_equal(parse(&line), ERR_INVALID);
    assert_string_equal(err_note(), note);
    end(&line);
}

static void nothing_given_leaves_what_was_initial(void **state)
{
    struct line line;

    (void)state;
    begin(&line, (const char *const[]){NULL});
    assert_int_equal(parse(&line), ERR_OK);
    assert_int_equal(line.out.count, 0);
    assert_int_equal(flags_number(&line.own, "ttl"), 0);
    assert_false(flags_bool(&line.own, "recursive"));
    assert_string_equal(flags_text(&line.own, "with-value"), "none");
    assert_string_equal(flags_text(&line.own, "ttl"), "");
    assert_int_equal(flags_number(&line.global, "timeout"), 2000);
    assert_false(flags_is_given(&line.global, "timeout"));
    end(&line);
}

static void flags_stand_before_between_and_after_words(void **state)
{
    struct line line;

    (void)state;
    begin(&line, WORDS("--ttl", "5", "/foo", "-r", "bar", "-o=json"));
    assert_int_equal(parse(&line), ERR_OK);
    assert_words(&line, WORDS("/foo", "bar"));
    assert_int_equal(flags_number(&line.own, "ttl"), 5);
    assert_true(flags_bool(&line.own, "recursive"));
    assert_string_equal(flags_text(&line.global, "output"), "json");
    assert_true(flags_is_given(&line.global, "output"));
    assert_int_equal(line.at, 6);
    end(&line);
}

static void one_dash_or_two_name_or_letter(void **state)
{
    static const char *const forms[] = {
        "-r",      "--r",           "-recursive", "--recursive",
        "-r=true", "--recursive=1", "--r=T"};
    struct line line;

    (void)state;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        begin(&line, WORDS(forms[i], "-p"));
        assert_int_equal(parse(&line), ERR_OK);
        assert_true(flags_bool(&line.own, "recursive"));
        assert_true(flags_bool(&line.own, "p"));
        assert_int_equal(line.out.count, 0);
        end(&line);
    }
}

static void a_boolean_takes_its_value_only_after_an_equals_sign(void **state)
{
    struct line line;

    (void)state;
    begin(&line, WORDS("-r", "false", "--debug=false"));
    assert_int_equal(parse(&line), ERR_OK);
    assert_true(flags_bool(&line.own, "recursive"));
    assert_false(flags_bool(&line.global, "debug"));
    assert_words(&line, WORDS("false"));
    end(&line);
}

static void two_dashes_end_the_flags(void **state)
{
    struct line line;

    (void)state;
    begin(&line, WORDS("-r", "--", "--ttl", "--", "-p"));
    assert_int_equal(parse(&line), ERR_OK);
    assert_words(&line, WORDS("--ttl", "--", "-p"));
    assert_false(flags_bool(&line.own, "p"));
    end(&line);
}

static void a_dash_alone_is_a_word(void **state)
{
    struct line line;

    (void)state;
    begin(&line, WORDS("-", "-r"));
    assert_int_equal(parse(&line), ERR_OK);
    assert_words(&line, WORDS("-"));
    assert_true(flags_bool(&line.own, "recursive"));
    end(&line);
}

static void what_is_no_flag_is_refused_as_go_does(void **state)
{
    (void)state;
    assert_refused(WORDS("--bogus"), "flag provided but not defined: -bogus");
    assert_refused(WORDS("/foo", "-x=1"), "flag provided but not defined: -x");
    assert_refused(WORDS("-rp"), "flag provided but not defined: -rp");
    assert_refused(WORDS("---r"), "bad flag syntax: ---r");
    assert_refused(WORDS("--=1"), "bad flag syntax: --=1");
    assert_refused(WORDS("--ttl"), "flag needs an argument: -ttl");
    assert_refused(WORDS("/foo", "-o"), "flag needs an argument: -o");
    assert_refused(WORDS("--ttl", "abc"),
                   "invalid value \"abc\" for flag -ttl: parse error");
    assert_refused(WORDS("--ttl="),
                   "invalid value \"\" for flag -ttl: parse error");
    assert_refused(WORDS("--ttl=5s"),
                   "invalid value \"5s\" for flag -ttl: parse error");
    assert_refused(WORDS("--timeout", "5"),
                   "invalid value \"5\" for flag -timeout: parse error");
    assert_refused(WORDS("-p=maybe"),
                   "invalid boolean value \"maybe\" for -p: parse error");
}

static void numbers_are_go_s(void **state)
{
    static const struct {
        const char *text;
        int64_t number;
    } good[] = {
        {"0", 0},
        {"7", 7},
        {"-5", -5},
        {"+5", 5},
        {"0x64", 100},
        {"0X1f", 31},
        {"-0x10", -16},
        {"010", 8},
        {"0o17", 15},
        {"0b101", 5},
        {"9223372036854775807", INT64_MAX},
    };
    static const char *const bad[] = {"-",
                                      "+",
                                      "0x",
                                      "1a",
                                      "08",
                                      "0b2",
                                      " 1",
                                      "1 ",
                                      "--1",
                                      "1.5",
                                      "9223372036854775808"};
    struct line line;

    (void)state;
    begin(&line, (const char *const[]){NULL});
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(flags_set(&line.own, "ttl", good[i].text), ERR_OK);
        assert_int_equal(flags_number(&line.own, "ttl"), good[i].number);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(flags_set(&line.own, "ttl", bad[i]), ERR_INVALID);
    end(&line);
}

static void durations_are_rounded_up_to_milliseconds(void **state)
{
    struct line line;

    (void)state;
    begin(&line, (const char *const[]){NULL});
    assert_int_equal(flags_set(&line.global, "timeout", "1m30s"), ERR_OK);
    assert_int_equal(flags_number(&line.global, "timeout"), 90000);
    assert_int_equal(flags_set(&line.global, "timeout", "1ns"), ERR_OK);
    assert_int_equal(flags_number(&line.global, "timeout"), 1);
    assert_int_equal(flags_set(&line.global, "timeout", "0s"), ERR_OK);
    assert_int_equal(flags_number(&line.global, "timeout"), 0);
    assert_int_equal(flags_set(&line.global, "timeout", "-1s"), ERR_OK);
    assert_int_equal(flags_number(&line.global, "timeout"), 0);
    end(&line);
}

static void the_first_word_stops_where_none_is_wanted(void **state)
{
    struct line line;

    (void)state;
    begin(&line, WORDS("--debug", "get", "--ttl", "x"));
    line.grammar.words_max = 0;
    assert_int_equal(parse(&line), ERR_OK);
    assert_int_equal(line.at, 1);
    assert_int_equal(line.out.count, 0);
    assert_true(flags_bool(&line.global, "debug"));
    end(&line);

    begin(&line, WORDS("--debug", "--", "get"));
    line.grammar.words_max = 0;
    assert_int_equal(parse(&line), ERR_OK);
    assert_int_equal(line.at, 2);
    end(&line);
}

static void after_so_many_words_all_is_the_program_s(void **state)
{
    struct line line;

    (void)state;
    begin(&line, WORDS("/foo", "-r", "sh", "-c", "--", "-o"));
    line.grammar.words_max = 2;
    assert_int_equal(parse(&line), ERR_OK);
    assert_words(&line, WORDS("/foo", "sh", "-c", "--", "-o"));
    assert_true(flags_bool(&line.own, "recursive"));
    end(&line);

    begin(&line, WORDS("/foo", "--", "env", "-r", "--"));
    line.grammar.words_max = 2;
    assert_int_equal(parse(&line), ERR_OK);
    assert_words(&line, WORDS("/foo", "env", "-r", "--"));
    assert_false(flags_bool(&line.own, "recursive"));
    end(&line);
}

static void values_may_begin_with_a_dash(void **state)
{
    static const char *const values[] = {"-1",  "--bogus", "--debug",
                                         "---", "-o",      "-"};
    struct line line;

    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        begin(&line, WORDS("-o", "json", "/foo", values[i], "--ttl", "5"));
        line.grammar.is_dash_word = true;
        assert_int_equal(parse(&line), ERR_OK);
        assert_words(&line, WORDS("/foo", values[i]));
        assert_int_equal(flags_number(&line.own, "ttl"), 5);
        assert_string_equal(flags_text(&line.global, "output"), "json");
        assert_false(flags_bool(&line.global, "debug"));
        end(&line);
    }

    /* Before the first word nothing but a flag has a dash. */
    begin(&line, WORDS("--bogus", "/foo"));
    line.grammar.is_dash_word = true;
    assert_int_equal(parse(&line), ERR_INVALID);
    end(&line);
}

static void the_last_of_two_counts(void **state)
{
    struct line line;

    (void)state;
    begin(&line, WORDS("--ttl", "1", "--ttl=2", "-r", "-r=false"));
    assert_int_equal(parse(&line), ERR_OK);
    assert_int_equal(flags_number(&line.own, "ttl"), 2);
    assert_false(flags_bool(&line.own, "recursive"));
    end(&line);
}

static void the_nearest_word_is_one_that_may_be_meant(void **state)
{
    static const char *const names[] = {"get",   "set",   "ls",
                                        "mkdir", "watch", "exec-watch"};
    static const size_t count = sizeof(names) / sizeof(names[0]);

    (void)state;
    assert_string_equal(nearest_word("gett", names, count), "get");
    assert_string_equal(nearest_word("mkdri", names, count), "mkdir");
    assert_string_equal(nearest_word("wacth", names, count), "watch");
    assert_string_equal(nearest_word("exec-wath", names, count), "exec-watch");
    assert_string_equal(nearest_word("set", names, count), "set");
    assert_null(nearest_word("bogus", names, count));
    assert_null(nearest_word("x", names, count));
    assert_null(nearest_word("", names, count));
    assert_null(nearest_word("a-word-that-is-longer-than-any-of-ours-can-be",
                             names, count));
}

static void the_nearest_flag_is_of_either_table_but_not_hidden(void **state)
{
    struct line line;

    (void)state;
    begin(&line, (const char *const[]){NULL});
    assert_string_equal(flags_nearest(&line.grammar, "recursiv"), "recursive");
    assert_string_equal(flags_nearest(&line.grammar, "ouptut"), "output");
    assert_null(flags_nearest(&line.grammar, "secert"));
    line.grammar.global = NULL;
    assert_null(flags_nearest(&line.grammar, "ouptut"));
    end(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_given_leaves_what_was_initial),
        cmocka_unit_test(flags_stand_before_between_and_after_words),
        cmocka_unit_test(one_dash_or_two_name_or_letter),
        cmocka_unit_test(a_boolean_takes_its_value_only_after_an_equals_sign),
        cmocka_unit_test(two_dashes_end_the_flags),
        cmocka_unit_test(a_dash_alone_is_a_word),
        cmocka_unit_test(what_is_no_flag_is_refused_as_go_does),
        cmocka_unit_test(numbers_are_go_s),
        cmocka_unit_test(durations_are_rounded_up_to_milliseconds),
        cmocka_unit_test(the_first_word_stops_where_none_is_wanted),
        cmocka_unit_test(after_so_many_words_all_is_the_program_s),
        cmocka_unit_test(values_may_begin_with_a_dash),
        cmocka_unit_test(the_last_of_two_counts),
        cmocka_unit_test(the_nearest_word_is_one_that_may_be_meant),
        cmocka_unit_test(the_nearest_flag_is_of_either_table_but_not_hidden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
