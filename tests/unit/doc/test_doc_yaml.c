/* YAML in: scalars by 1.2's core schema, block and flow, and what we refuse. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "doc_dump.h"

static void plain_scalars_follow_the_core_schema(void **state)
{
    (void)state;
    static const struct doc_case cases[] = {
        {"", "null"},
        {"# nothing but a comment\n", "null"},
        {"~", "null"},
        {"null", "null"},
        {"Null", "null"},
        {"NULL", "null"},
        {"nULL", "\"nULL\""},
        {"true", "true"},
        {"False", "false"},
        {"TRUE", "true"},
        {"yes", "\"yes\""},
        {"off", "\"off\""},
        {"0", "0"},
        {"-12", "-12"},
        {"+7", "7"},
        {"007", "7"},
        {"0x1F", "31"},
        {"0o17", "15"},
        {"0b11", "\"0b11\""},
        {"-0x1F", "\"-0x1F\""},
        {"0x", "\"0x\""},
        {"1_000", "\"1_000\""},
        {"1.5", "1.5"},
        {"-.5", "-0.5"},
        {"3.", "3.0"},
        {"2e3", "2000.0"},
        {"1e-2", "0.01"},
        {".", "\".\""},
        {"-", "[null]"},
        {"1e", "\"1e\""},
        {"1.2.3", "\"1.2.3\""},
        {".inf", "inf"},
        {"-.INF", "-inf"},
        {".NaN", "nan"},
        {"+.nan", "\"+.nan\""},
        {"2016-03-11", "\"2016-03-11\""},
        {"http://localhost:2379", "\"http://localhost:2379\""},
        {"12:30", "\"12:30\""},
    };
    assert_int_equal(COUNT_FAILURES(doc_parse_yaml, cases), 0);
}

static void quoted_scalars_are_strings(void **state)
{
    (void)state;
    static const struct doc_case cases[] = {
        {"'true'", "\"true\""},
        {"\"12\"", "\"12\""},
        {"''", "\"\""},
        {"'it''s'", "\"it's\""},
        {"\"a\\tb\\u00e9\"", "\"a\tbé\""},
        {"!!str 12", "\"12\""},
        {"a: |\n  two\n  lines\n", "{a:\"two\nlines\n\"}"},
        {"a: >-\n  two\n  lines\n", "{a:\"two lines\"}"},
    };
    assert_int_equal(COUNT_FAILURES(doc_parse_yaml, cases), 0);
}

static void integers_are_exact_to_64_bits(void **state)
{
    (void)state;
    static const struct doc_case cases[] = {
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"0x7fffffffffffffff", "9223372036854775807"},
        {"a: 9223372036854775808",
         "INVALID: line 1, column 4: the integer is beyond 64 bits (quote it "
         "where it is meant as text)"},
        {"0x10000000000000000",
         "INVALID: line 1, column 1: the integer is beyond 64 bits (quote it "
         "where it is meant as text)"},
        {"'9223372036854775808'", "\"9223372036854775808\""},
    };
    assert_int_equal(COUNT_FAILURES(doc_parse_yaml, cases), 0);
}

static void lists_and_maps_of_both_styles(void **state)
{
    (void)state;
    static const struct doc_case cases[] = {
        {"- 1\n- [2, '3']\n- - 4\n", "[1,[2,\"3\"],[4]]"},
        {"[]", "[]"},
        {"{}", "{}"},
        {"{a: 1, b: {c: }}", "{a:1,b:{c:null}}"},
        {"name: infra0\n"
         "client-transport-security:\n"
         "  cert-file: x\n"
         "  client-cert-auth: false\n"
         "log-outputs: [stderr]\n"
         "wal-dir:\n",
         "{name:\"infra0\",client-transport-security:{cert-file:\"x\","
         "client-cert-auth:false},log-outputs:[\"stderr\"],wal-dir:null}"},
        {"1: one\ntrue: two\n", "{1:\"one\",true:\"two\"}"},
        {"---\na: 1\n...\n", "{a:1}"},
        {"{\"json\": [1, 2.5, null, \"x\"]}", "{json:[1,2.5,null,\"x\"]}"},
    };
    assert_int_equal(COUNT_FAILURES(doc_parse_yaml, cases), 0);
}

static void what_could_grow_or_surprise_is_refused(void **state)
{
    (void)state;
    static const struct doc_case cases[] = {
        {"a: &x 1\nb: 2\n",
         "INVALID: line 1, column 4: anchors are not supported"},
        {"a: &x [1]\n", "INVALID: line 1, column 4: anchors are not supported"},
        {"a: &x {b: 1}\n",
         "INVALID: line 1, column 4: anchors are not supported"},
        {"&x a: 1\n", "INVALID: line 1, column 1: anchors are not supported"},
        {"a: *x\n", "INVALID: line 1, column 4: aliases are not supported"},
        {"a: !!int '12'\n", "INVALID: line 1, column 4: the tag "
                            "\"tag:yaml.org,2002:int\" is not supported"},
        {"!mine [1]\n",
         "INVALID: line 1, column 1: the tag \"!mine\" is not supported"},
        {"? [1, 2]\n: x\n",
         "INVALID: line 1, column 3: a key has to be a scalar"},
        {"a: 1\n---\nb: 2\n", "INVALID: line 2, column 1: a second document "
                              "begins here; only one is read"},
        {"a: 1\nb: 2\na: 3\n",
         "INVALID: line 3, column 1: the key \"a\" is there twice"},
    };
    assert_int_equal(COUNT_FAILURES(doc_parse_yaml, cases), 0);
}

static void an_error_says_where(void **state)
{
    (void)state;
    static const struct doc_case cases[] = {
        {"a: [1, 2\nb: 3\n",
         "INVALID: line 2, column 2: did not find expected ',' or ']'"},
        {"a: b: c\n", "INVALID: line 1, column 5: mapping values are not "
                      "allowed in this context"},
        {"a:\n\t- 1\n", "INVALID: line 2, column 1: found character that "
                        "cannot start any token"},
        {"'open", "INVALID: line 1, column 6: found unexpected end of stream"},
        {"a: \xff", "INVALID: byte 4: invalid leading UTF-8 octet"},
    };
    assert_int_equal(COUNT_FAILURES(doc_parse_yaml, cases), 0);
}

static void values_know_their_place_and_their_text(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct doc_value *value;
    struct slice text = SLICE("# first\nnumber: 0042\nlist:\n  - é: x\n");
    assert_int_equal(doc_parse_yaml(&arena, text, &doc_limits_default, &value),
                     ERR_OK);
    assert_int_equal(value->members[1].line, 3);
    assert_int_equal(value->members[1].column, 1);
    const struct doc_value *number = doc_get(value, "number");
    assert_int_equal(number->kind, DOC_INT);
    assert_int_equal(number->integer, 42);
    assert_true(number->number == 42.0);
    assert_true(slice_eq(number->text, SLICE("0042")));
    assert_int_equal(number->line, 2);
    assert_int_equal(number->column, 9);
    const struct doc_value *inner = doc_get(value, "list")->items[0];
    assert_int_equal(inner->members[0].value->line, 4);
    assert_int_equal(inner->members[0].value->column, 8);
    arena_deinit(&arena);
}

static void limits_hold(void **state)
{
    (void)state;
    const struct doc_limits limits = {
        .bytes_max = 20, .depth_max = 3, .values_max = 4};
    struct buf out = {0};
    dump_parsed(doc_parse_yaml, SLICE("[[1]]"), &limits, &out);
    assert_string_equal(out.at, "[[1]]");
    dump_parsed(doc_parse_yaml, SLICE("[[[1]]]"), &limits, &out);
    assert_string_equal(out.at, "TOO_LARGE: line 1, column 4: nested more "
                                "than 3 deep");
    dump_parsed(doc_parse_yaml, SLICE("[1,2,3,4]"), &limits, &out);
    assert_string_equal(out.at, "TOO_LARGE: more than 4 values");
    dump_parsed(doc_parse_yaml, SLICE("aaaaaaaaaaaaaaaaaaaaa"), &limits, &out);
    assert_string_equal(out.at, "TOO_LARGE: 21 bytes, more than 20");
    buf_deinit(&out);
}

static void each_failed_allocation_is_an_error(void **state)
{
    (void)state;
    struct slice text = SLICE("a: [1, 2, 3, 4, 5]\nb: {c: d}\n");
    enum err err = ERR_NO_MEMORY;
    uint64_t n;
    for (n = 1; err && n < 1000; n++) {
        struct arena arena;
        arena_init(&arena, 0);
        struct doc_value *value;
        mem_fail_after(n);
        err = doc_parse_yaml(&arena, text, &doc_limits_default, &value);
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
        cmocka_unit_test(plain_scalars_follow_the_core_schema),
        cmocka_unit_test(quoted_scalars_are_strings),
        cmocka_unit_test(integers_are_exact_to_64_bits),
        cmocka_unit_test(lists_and_maps_of_both_styles),
        cmocka_unit_test(what_could_grow_or_surprise_is_refused),
        cmocka_unit_test(an_error_says_where),
        cmocka_unit_test(values_know_their_place_and_their_text),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(each_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
