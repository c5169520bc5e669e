/* TOML in: each form of key and value, tables and their rules, and where an
 * error is said to be. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "doc_dump.h"

static void an_empty_document_is_an_empty_map(void **state)
{
    (void)state;
    static const struct doc_case cases[] = {
        {"", "{}"},
        {"\n\n# a comment\n  \t# another", "{}"},
        {"\xef\xbb\xbf"
         "a = 1",
         "{a:1}"},
        {"a = 1 # why\r\nb = 2\r\n", "{a:1,b:2}"},
    };
    assert_int_equal(COUNT_FAILURES(doc_parse_toml, cases), 0);
}

static void keys_of_each_form(void **state)
{
    (void)state;
    static const struct doc_case cases[] = {
        {"a-b_C9=1", "{a-b_C9:1}"},
        {"1234 = 1", "{1234:1}"},
        {"\"a b\\t\" = 1", "{a b\t:1}"},
        {"'c\\d' = 1", "{c\\d:1}"},
        {"\"\" = 1", "{:1}"},
        {"a.b . \"c.d\" = 1\na.e = 2", "{a:{b:{c.d:1},e:2}}"},
        {"3.14 = 1", "{3:{14:1}}"},
    };
    assert_int_equal(COUNT_FAILURES(doc_parse_toml, cases), 0);
}

static void strings_of_each_form(void **state)
{
    (void)state;
    static const struct doc_case cases[] = {
        {"a = \"\"", "{a:\"\"}"},
        {"a = \"tab \\t quote \\\" \\\\ \\u00e9 \\U0001F333\"",
         "{a:\"tab \t quote \" \\ é 🌳\"}"},
        {"a = \"\\b\\f\\n\\r\"", "{a:\"\b\f\n\r\"}"},
        {"a = 'C:\\temp\\'", "{a:\"C:\\temp\\\"}"},
        {"a = \"\"\"\none\ntwo\"\"\"", "{a:\"one\ntwo\"}"},
        {"a = \"\"\"one \\\n   \n  two\"\"\"", "{a:\"one two\"}"},
        {"a = \"\"\"\"quoted\"\"\"\"\"", "{a:\"\"quoted\"\"\"}"},
        {"a = '''\nI'm \\ raw'''", "{a:\"I'm \\ raw\"}"},
        {"a = \"# no comment\"", "{a:\"# no comment\"}"},
        {"a = \"ключ\"", "{a:\"ключ\"}"},
    };
    assert_int_equal(COUNT_FAILURES(doc_parse_toml, cases), 0);
}

static void numbers_and_booleans(void **state)
{
    (void)state;
    static const struct doc_case cases[] = {
        {"a = true", "{a:true}"},
        {"a = false", "{a:false}"},
        {"a = 0", "{a:0}"},
        {"a = +99", "{a:99}"},
        {"a = -17", "{a:-17}"},
        {"a = 1_000_000", "{a:1000000}"},
        {"a = 0xDEAD_beef", "{a:3735928559}"},
        {"a = 0o755", "{a:493}"},
        {"a = 0b1101", "{a:13}"},
        {"a = 9223372036854775807", "{a:9223372036854775807}"},
        {"a = -9223372036854775808", "{a:-9223372036854775808}"},
        {"a = 10.0", "{a:10.0}"},
        {"a = -0.5e-1", "{a:-0.05}"},
        {"a = 5e+2", "{a:500.0}"},
        {"a = 1_0.2_5", "{a:10.25}"},
        {"a = inf", "{a:inf}"},
        {"a = -inf", "{a:-inf}"},
        {"a = nan", "{a:nan}"},
    };
    assert_int_equal(COUNT_FAILURES(doc_parse_toml, cases), 0);
}

static void lists_may_span_lines_and_nest(void **state)
{
    (void)state;
    static const struct doc_case cases[] = {
        {"a = []", "{a:[]}"},
        {"a = [ 1, 2.5 , \"x\" ]", "{a:[1,2.5,\"x\"]}"},
        {"a = [\n  1, # one\n\n  2,\n]\nb = 3", "{a:[1,2],b:3}"},
        {"a = [[1, 2], [], [\"x\"]]", "{a:[[1,2],[],[\"x\"]]}"},
        {"a = [{b = 1}, {b = 2}]", "{a:[{b:1},{b:2}]}"},
    };
    assert_int_equal(COUNT_FAILURES(doc_parse_toml, cases), 0);
}

static void tables_of_each_form(void **state)
{
    (void)state;
    static const struct doc_case cases[] = {
        {"a = 1\n[peer]\naddr = \"x\"\n[cluster]\nn = 2\n",
         "{a:1,peer:{addr:\"x\"},cluster:{n:2}}"},
        {"[a.b.c]\nd = 1\n[a]\ne = 2\n[a.b]\nf = 3\n",
         "{a:{b:{c:{d:1},f:3},e:2}}"},
        {"[ a . \"b c\" ]\n", "{a:{b c:{}}}"},
        {"a = {}", "{a:{}}"},
        {"a = { b = 1, c.d = 2, e = {f = []} }", "{a:{b:1,c:{d:2},e:{f:[]}}}"},
        {"[fruit]\napple.color = 1\n[fruit.apple.taste]\nsweet = true\n",
         "{fruit:{apple:{color:1,taste:{sweet:true}}}}"},
    };
    assert_int_equal(COUNT_FAILURES(doc_parse_toml, cases), 0);
}

static void a_table_is_written_once(void **state)
{
    (void)state;
    static const struct doc_case cases[] = {
        {"a = 1\na = 2",
         "INVALID: line 2, column 1: the key \"a\" is there twice"},
        {"[a]\n[b]\n[a]",
         "INVALID: line 3, column 2: the table \"a\" is there twice"},
        {"a.b = 1\n[a]",
         "INVALID: line 2, column 2: the table \"a\" is there twice"},
        {"a = {b = 1}\n[a]",
         "INVALID: line 2, column 2: the table \"a\" can't be added to from "
         "here"},
        {"a = {b = 1}\na.c = 2",
         "INVALID: line 2, column 1: the table \"a\" can't be added to from "
         "here"},
        {"[a.b.c]\nz = 9\n[a]\nb.c.t = 1",
         "INVALID: line 4, column 1: the table \"b\" can't be added to from "
         "here"},
        {"[a]\nb.c = 1\n[a.b]\n",
         "INVALID: line 3, column 4: the table \"b\" is there twice"},
        {"a = 1\n[a]", "INVALID: line 2, column 2: \"a\" is an integer "
                       "already, so it can't be a table"},
        {"a = []\na.b = 1", "INVALID: line 2, column 1: \"a\" is a list "
                            "already, so it can't be a table"},
        {"[[a]]\n",
         "INVALID: line 1, column 2: arrays of tables are not supported"},
    };
    assert_int_equal(COUNT_FAILURES(doc_parse_toml, cases), 0);
}

static void an_error_says_where(void **state)
{
    (void)state;
    static const struct doc_case cases[] = {
        {"a = 1\nb 2", "INVALID: line 2, column 3: \"=\" is wanted here"},
        {"= 1", "INVALID: line 1, column 1: a key is wanted here"},
        {"a. = 1", "INVALID: line 1, column 4: a key is wanted here"},
        {"a =", "INVALID: line 1, column 4: a value is wanted here"},
        {"a = # x", "INVALID: line 1, column 5: a value is wanted here"},
        {"a = 1 b = 2", "INVALID: line 1, column 7: the line should end here"},
        {"[a", "INVALID: line 1, column 3: \"]\" is wanted here"},
        {"[]", "INVALID: line 1, column 2: a key is wanted here"},
        {"[a] b = 1", "INVALID: line 1, column 5: the line should end here"},
        {"a = [1 2]",
         "INVALID: line 1, column 8: \",\" or \"]\" is wanted here"},
        {"a = [1,\n2",
         "INVALID: line 2, column 2: \",\" or \"]\" is wanted here"},
        {"a = {b = 1,}", "INVALID: line 1, column 12: a key is wanted here"},
        {"a = {b = 1\n}",
         "INVALID: line 1, column 11: \",\" or \"}\" is wanted here"},
        {"é = 1", "INVALID: line 1, column 1: a key is wanted here"},
        /* Columns count characters. */
        {"a = [\"éé\" x]",
         "INVALID: line 1, column 11: \",\" or \"]\" is wanted here"},
        {"a = 1\n\xff = 2", "INVALID: line 2, column 1: this line is not "
                            "UTF-8"},
    };
    assert_int_equal(COUNT_FAILURES(doc_parse_toml, cases), 0);
}

static void bad_strings_are_refused(void **state)
{
    (void)state;
    static const struct doc_case cases[] = {
        {"a = \"x", "INVALID: line 1, column 7: the string does not end"},
        {"a = \"x\nb", "INVALID: line 1, column 7: the string does not end in "
                       "this line"},
        {"a = '''x\n", "INVALID: line 2, column 1: the string does not end"},
        {"a = \"\\x\"",
         "INVALID: line 1, column 7: an unknown escape; there are \\b \\t \\n "
         "\\f \\r \\\" \\\\ \\uXXXX \\UXXXXXXXX"},
        {"a = \"\\u12\"", "INVALID: line 1, column 8: \\u wants 4 hex digits"},
        {"a = \"\\U0011\"",
         "INVALID: line 1, column 8: \\U wants 8 hex digits"},
        {"a = \"\\ud800\"",
         "INVALID: line 1, column 8: this is not a Unicode character"},
        {"a = \"\\U00110000\"",
         "INVALID: line 1, column 8: this is not a Unicode character"},
        {"a = \"\x01\"",
         "INVALID: line 1, column 6: a control character in a string"},
        {"a = 1 # \x7f",
         "INVALID: line 1, column 9: a control character in a comment"},
        {"\"\"\"a\"\"\" = 1", "INVALID: line 1, column 3: \"=\" is wanted "
                              "here"},
    };
    assert_int_equal(COUNT_FAILURES(doc_parse_toml, cases), 0);
}

static void bad_words_are_refused(void **state)
{
    (void)state;
    static const char *const words[] = {
        "yes",        "True",
        "007",        "1__0",
        "_1",         "1_",
        "0x",         "-0x1",
        "0b12",       "1.",
        ".5",         "1.e2",
        "1e",         "1e5_",
        "--1",        "1.5.2",
        "0o8",        "+true",
        "2016-03-11", "00.5",
        "infinity",   "127.0.0.1:2379",
    };
    struct buf text = {0};
    struct buf out = {0};
    struct buf wanted = {0};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        buf_reset(&text);
        buf_printf(&text, "a = %s", words[i]);
        dump_parsed(doc_parse_toml, buf_slice(&text), &doc_limits_default,
                    &out);
        buf_reset(&wanted);
        buf_printf(&wanted,
                   "INVALID: line 1, column 5: \"%s\" is not a value (strings "
                   "stand in quotes; dates are not supported)",
                   words[i]);
        buf_append_char(&wanted, '\0');
        assert_string_equal(out.at, wanted.at);
    }
    dump_parsed(doc_parse_toml, SLICE("a = 9223372036854775808"),
                &doc_limits_default, &out);
    assert_string_equal(
        out.at, "INVALID: line 1, column 5: the integer is beyond 64 bits");
    buf_deinit(&text);
    buf_deinit(&out);
    buf_deinit(&wanted);
}

static void zero_bytes_are_errors_everywhere(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        const char *dump;
    } cases[] = {
        {{"\0", 1}, "INVALID: line 1, column 1: a key is wanted here"},
        {{"a = 1\0", 6},
         "INVALID: line 1, column 6: the line should end "
         "here"},
        {{"#\0", 2},
         "INVALID: line 1, column 2: a control character in a "
         "comment"},
        {{"a='\0'", 5},
         "INVALID: line 1, column 4: a control character in a "
         "string"},
        {{"a=\"\\\0\"", 6},
         "INVALID: line 1, column 5: an unknown escape; there are \\b \\t \\n "
         "\\f \\r \\\" \\\\ \\uXXXX \\UXXXXXXXX"},
        {{"a=\"\"\"\\\n\0", 8},
         "INVALID: line 2, column 1: a control "
         "character in a string"},
    };
    struct buf out = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        dump_parsed(doc_parse_toml, cases[i].text, &doc_limits_default, &out);
        assert_string_equal(out.at, cases[i].dump);
    }
    buf_deinit(&out);
}

static void values_know_their_place(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct doc_value *value;
    struct slice text = SLICE("a = 1\n[peer]\n  \"é\" = \"x\"\n");
    assert_int_equal(doc_parse_toml(&arena, text, &doc_limits_default, &value),
                     ERR_OK);
    assert_int_equal(value->members[0].line, 1);
    assert_int_equal(value->members[0].column, 1);
    assert_int_equal(value->members[0].value->column, 5);
    const struct doc_value *peer = doc_get(value, "peer");
    assert_int_equal(peer->members[0].line, 3);
    assert_int_equal(peer->members[0].column, 3);
    assert_int_equal(peer->members[0].value->column, 9);
    arena_deinit(&arena);
}

static void limits_hold(void **state)
{
    (void)state;
    const struct doc_limits limits = {
        .bytes_max = 20, .depth_max = 4, .values_max = 4};
    struct buf out = {0};
    dump_parsed(doc_parse_toml, SLICE("a=[1]"), &limits, &out);
    assert_string_equal(out.at, "{a:[1]}");
    dump_parsed(doc_parse_toml, SLICE("a=[[1]]"), &limits, &out);
    assert_string_equal(out.at, "TOO_LARGE: line 1, column 5: nested more "
                                "than 4 deep");
    dump_parsed(doc_parse_toml, SLICE("a.b.c.d=1"), &limits, &out);
    assert_string_equal(out.at, "TOO_LARGE: line 1, column 7: nested more "
                                "than 4 deep");
    dump_parsed(doc_parse_toml, SLICE("a=[1,2,3]"), &limits, &out);
    assert_string_equal(out.at, "TOO_LARGE: more than 4 values");
    dump_parsed(doc_parse_toml, SLICE("#12345678901234567890"), &limits, &out);
    assert_string_equal(out.at, "TOO_LARGE: 21 bytes, more than 20");
    buf_deinit(&out);
}

/* Neither many keys nor many values in one line make it slow. */
static void a_large_document_takes_no_long_time(void **state)
{
    (void)state;
    struct buf text = {0};
    for (int i = 0; i < 30000; i++) {
        buf_printf(&text, "key%d = 1\n", i);
    }
    buf_append_str(&text, "list = [");
    for (int i = 0; i < 60000; i++) {
        buf_append_str(&text, "1,");
    }
    buf_append_str(&text, "]\n");
    struct arena arena;
    arena_init(&arena, 0);
    struct doc_value *value;
    assert_int_equal(
        doc_parse_toml(&arena, buf_slice(&text), &doc_limits_default, &value),
        ERR_OK);
    assert_int_equal(value->count, 30001);
    assert_int_equal(doc_get(value, "list")->count, 60000);
    arena_deinit(&arena);
    buf_deinit(&text);
}

static void each_failed_allocation_is_an_error(void **state)
{
    (void)state;
    struct slice text = SLICE("a = [1, 2, 3, 4, 5]\n[b.c]\nd.e = \"f\"\n");
    enum err err = ERR_NO_MEMORY;
    uint64_t n;
    for (n = 1; err && n < 1000; n++) {
        struct arena arena;
        arena_init(&arena, 0);
        struct doc_value *value;
        mem_fail_after(n);
        err = doc_parse_toml(&arena, text, &doc_limits_default, &value);
        mem_fail_after(0);
        if (err) {
            assert_int_equal(err, ERR_NO_MEMORY);
            assert_null(value);
        }
        arena_deinit(&arena);
    }
    assert_int_equal(err, ERR_OK);
    assert_true(n > 2); /* some of them did fail */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_document_is_an_empty_map),
        cmocka_unit_test(keys_of_each_form),
        cmocka_unit_test(strings_of_each_form),
        cmocka_unit_test(numbers_and_booleans),
        cmocka_unit_test(lists_may_span_lines_and_nest),
        cmocka_unit_test(tables_of_each_form),
        cmocka_unit_test(a_table_is_written_once),
        cmocka_unit_test(an_error_says_where),
        cmocka_unit_test(bad_strings_are_refused),
        cmocka_unit_test(bad_words_are_refused),
        cmocka_unit_test(zero_bytes_are_errors_everywhere),
        cmocka_unit_test(values_know_their_place),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(a_large_document_takes_no_long_time),
        cmocka_unit_test(each_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
