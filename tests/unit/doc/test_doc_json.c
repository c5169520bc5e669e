/* JSON in. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "doc_dump.h"

static void each_kind_is_read(void **state)
{
    (void)state;
    static const struct doc_case cases[] = {
        {"null", "null"},
        {"true", "true"},
        {" false ", "false"},
        {"0", "0"},
        {"-0", "0"},
        {"12", "12"},
        {"1.5", "1.5"},
        {"2.0", "2.0"},
        {"1e3", "1000.0"},
        {"-2.5E-2", "-0.025"},
        {"\"\"", "\"\""},
        {"\"a\\n\\u00e9\\ud83c\\udf33\\/\"", "\"a\né🌳/\""},
        {"[]", "[]"},
        {"[1,[2,[]],\"3\"]", "[1,[2,[]],\"3\"]"},
        {"{}", "{}"},
        {"{\"z\":1,\"a\":{\"b\":[true]},\"m\":null}",
         "{z:1,a:{b:[true]},m:null}"},
    };
    assert_int_equal(COUNT_FAILURES(doc_parse_json, cases), 0);
}

static void integers_are_exact_to_64_bits(void **state)
{
    (void)state;
    static const struct doc_case cases[] = {
        {"9007199254740993", "9007199254740993"},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"{\"a\": 9223372036854775808}",
         "INVALID: line 1, column 25: the number is beyond 64 bits (integers "
         "go from -9223372036854775808 to 9223372036854775807)"},
        {"18446744073709551615",
         "INVALID: line 1, column 20: the number is beyond 64 bits (integers "
         "go from -9223372036854775808 to 9223372036854775807)"},
        {"1e999",
         "INVALID: line 1, column 5: the number is beyond 64 bits (integers "
         "go from -9223372036854775808 to 9223372036854775807)"},
    };
    assert_int_equal(COUNT_FAILURES(doc_parse_json, cases), 0);
}

static void an_error_says_where(void **state)
{
    (void)state;
    static const struct doc_case cases[] = {
        {"", "INVALID: line 1, column 0: unexpected token near end of file"},
        {"{\n \"a\": 1,\n \"b\": x\n}",
         "INVALID: line 3, column 7: invalid token near 'x'"},
        {"[1,]", "INVALID: line 1, column 4: unexpected token near ']'"},
        {"{} {}", "INVALID: line 1, column 4: end of file expected near '{'"},
        {"01", "INVALID: line 1, column 1: invalid token near '0'"},
        {"{\"a\":1,\"a\":2}",
         "INVALID: line 1, column 10: duplicate object key near '\"a\"'"},
        {"\"\xff\"",
         "INVALID: line 1, column 1: unable to decode byte 0xff near "
         "'\"'"},
        {"\"a\tb\"",
         "INVALID: line 1, column 2: control character 0x9 near '\"a'"},
    };
    assert_int_equal(COUNT_FAILURES(doc_parse_json, cases), 0);
}

static void a_zero_byte_in_a_string_is_kept(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct doc_value *value;
    assert_int_equal(doc_parse_json(&arena, SLICE("\"a\\u0000b\""),
                                    &doc_limits_default, &value),
                     ERR_OK);
    assert_true(slice_eq(value->text, SLICE("a\0b")));
    arena_deinit(&arena);
}

static void limits_hold(void **state)
{
    (void)state;
    const struct doc_limits limits = {
        .bytes_max = 20, .depth_max = 3, .values_max = 4};
    struct buf out = {0};
    dump_parsed(doc_parse_json, SLICE("[[[1]]]"), &limits, &out);
    assert_string_equal(out.at, "TOO_LARGE: nested more than 3 deep");
    dump_parsed(doc_parse_json, SLICE("[[1]]"), &limits, &out);
    assert_string_equal(out.at, "[[1]]");
    dump_parsed(doc_parse_json, SLICE("[1,2,3]"), &limits, &out);
    assert_string_equal(out.at, "[1,2,3]");
    dump_parsed(doc_parse_json, SLICE("[1,2,3,4]"), &limits, &out);
    assert_string_equal(out.at, "TOO_LARGE: more than 4 values");
    dump_parsed(doc_parse_json, SLICE("\"012345678901234567\""), &limits, &out);
    assert_string_equal(out.at, "\"012345678901234567\"");
    dump_parsed(doc_parse_json, SLICE("\"0123456789012345678\""), &limits,
                &out);
    assert_string_equal(out.at, "TOO_LARGE: 21 bytes, more than 20");
    buf_deinit(&out);
}

static void deep_nesting_is_no_trouble(void **state)
{
    (void)state;
    struct buf text = {0};
    struct buf out = {0};
    for (int i = 0; i < 100000; i++) {
        buf_append_char(&text, '[');
    }
    dump_parsed(doc_parse_json, buf_slice(&text), &doc_limits_default, &out);
    assert_string_equal(out.at, "TOO_LARGE: nested too deep");
    buf_deinit(&text);
    buf_deinit(&out);
}

/* Members by name; more of them than the first array holds. */
static void members_are_found_by_name(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct buf text = {0};
    buf_append_char(&text, '{');
    for (int i = 0; i < 1000; i++) {
        buf_printf(&text, "%s\"k%d\":%d", i ? "," : "", i, i * i);
    }
    buf_append_char(&text, '}');
    struct doc_value *value;
    assert_int_equal(
        doc_parse_json(&arena, buf_slice(&text), &doc_limits_default, &value),
        ERR_OK);
    assert_int_equal(value->count, 1000);
    assert_int_equal(doc_get(value, "k0")->integer, 0);
    assert_int_equal(doc_get(value, "k4")->integer, 16);
    assert_int_equal(doc_get(value, "k999")->integer, 998001);
    assert_null(doc_get(value, "k1000"));
    assert_null(doc_get(doc_get(value, "k1"), "x"));
    assert_null(doc_get(NULL, "x"));
    buf_deinit(&text);
    arena_deinit(&arena);
}

static void kinds_have_words(void **state)
{
    (void)state;
    assert_string_equal(doc_kind_text(DOC_NULL), "nothing");
    assert_string_equal(doc_kind_text(DOC_BOOL), "true or false");
    assert_string_equal(doc_kind_text(DOC_INT), "an integer");
    assert_string_equal(doc_kind_text(DOC_DOUBLE), "a number");
    assert_string_equal(doc_kind_text(DOC_STRING), "a string");
    assert_string_equal(doc_kind_text(DOC_LIST), "a list");
    assert_string_equal(doc_kind_text(DOC_MAP), "a map");
}

/* Out of memory at every place where it can be: an error, no leak. */
static void each_failed_allocation_is_an_error(void **state)
{
    (void)state;
    struct slice text = SLICE("{\"a\":[1,2,3,4,5],\"b\":{\"c\":\"d\"}}");
    enum err err = ERR_NO_MEMORY;
    uint64_t n;
    for (n = 1; err && n < 1000; n++) {
        struct arena arena;
        arena_init(&arena, 0);
        struct doc_value *value;
        mem_fail_after(n);
        err = doc_parse_json(&arena, text, &doc_limits_default, &value);
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

static void an_arena_with_a_bound_is_respected(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1000);
    struct doc_value *value;
    enum err err =
        doc_parse_json(&arena, SLICE("[1,2,3,4,5,6,7,8,9,10,11,12,13,14]"),
                       &doc_limits_default, &value);
    assert_int_equal(err, ERR_NO_MEMORY);
    assert_null(value);
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_is_read),
        cmocka_unit_test(integers_are_exact_to_64_bits),
        cmocka_unit_test(an_error_says_where),
        cmocka_unit_test(a_zero_byte_in_a_string_is_kept),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(deep_nesting_is_no_trouble),
        cmocka_unit_test(members_are_found_by_name),
        cmocka_unit_test(kinds_have_words),
        cmocka_unit_test(each_failed_allocation_is_an_error),
        cmocka_unit_test(an_arena_with_a_bound_is_respected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
