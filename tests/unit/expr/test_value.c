/* Values: made of documents and of text, found, shown. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/prng.h"
#include "expr/value_int.h"

static struct arena arena;
static struct buf shown;

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
    buf_deinit(&shown);
    return 0;
}

static struct value of_text(const char *text)
{
    return value_from_text(&arena, slice_str(text));
}

static const char *text_of(const struct value *value)
{
    buf_reset(&shown);
    value_write_text(&shown, value);
    buf_append_char(&shown, '\0');
    return shown.at;
}

static const char *json_of(const struct value *value)
{
    buf_reset(&shown);
    value_write_json(&shown, value);
    buf_append_char(&shown, '\0');
    return shown.at;
}

/* ---- made --------------------------------------------------------------- */

static void what_is_json_becomes_what_it_says(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum value_kind kind;
    } table[] = {
        {"null", VALUE_NULL},    {"true", VALUE_BOOL},
        {"false", VALUE_BOOL},   {"7", VALUE_INT},
        {"-7", VALUE_INT},       {" 7 \n", VALUE_INT},
        {"7.0", VALUE_DOUBLE},   {"7e0", VALUE_DOUBLE},
        {"\"x\"", VALUE_STRING}, {"[]", VALUE_LIST},
        {"{}", VALUE_MAP},       {"{\"a\":1}", VALUE_MAP},
        {"\t[1,2]", VALUE_LIST},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_int_equal(of_text(table[i].text).kind, table[i].kind);
    assert_int_equal(of_text("-9223372036854775808").integer, INT64_MIN);
    assert_true(of_text("0.1").number == 0.1);
    assert_true(slice_eq(of_text("\"a\\n\"").text, SLICE("a\n")));
}

static void what_is_not_json_is_itself(void **state)
{
    (void)state;
    static const char *const table[] = {
        "",
        "hello",
        "7 apples",
        "{",
        "tru",
        "nullx",
        "07",
        "1.",
        "[1,]",
        "{\"a\" 1}",
        "\"open",
        "-",
        "NaN",
        "'x'",
        " ",
        "0x10",
        "{\"a\":1,\"a\":2}",
        "1e400",
        "+1",
        "9223372036854775808",
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct value value = of_text(table[i]);
        assert_int_equal(value.kind, VALUE_STRING);
        assert_true(slice_eq(value.text, slice_str(table[i])));
    }
    struct value raw = of_text("\xff\xfe");
    assert_int_equal(raw.kind, VALUE_BYTES);
    assert_int_equal(raw.text.size, 2);
}

static void a_document_keeps_its_order_and_its_integers(void **state)
{
    (void)state;
    struct doc_value *doc;
    assert_int_equal(doc_parse_yaml(&arena,
                                    SLICE("z: 9007199254740993\n"
                                          "a: [1, 2.5, x, null, true]\n"),
                                    &doc_limits_default, &doc),
                     ERR_OK);
    struct value value = value_from_doc(&arena, doc);
    assert_string_equal(json_of(&value), "{\"z\":9007199254740993,"
                                         "\"a\":[1,2.5,\"x\",null,true]}");
}

static void an_error_is_cut_where_it_is_too_long(void **state)
{
    (void)state;
    struct value value = value_error(&arena, "%s and %d", "this", 7);
    assert_int_equal(value.kind, VALUE_ERROR);
    assert_string_equal(text_of(&value), "this and 7");
    value = value_error(&arena, "%0500d", 1);
    assert_int_equal(value.text.size, 255);
}

/* ---- found -------------------------------------------------------------- */

static void a_member_is_found_by_its_whole_name(void **state)
{
    (void)state;
    struct value map = of_text("{\"used\":1,\"use\":2,\"\":3}");
    assert_int_equal(value_member(&map, SLICE("used"))->integer, 1);
    assert_int_equal(value_member(&map, SLICE("use"))->integer, 2);
    assert_int_equal(value_member(&map, SLICE(""))->integer, 3);
    assert_null(value_member(&map, SLICE("us")));
    assert_null(value_member(&map, SLICE("used ")));
    struct value list = of_text("[1]"), word = of_text("word");
    assert_null(value_member(&list, SLICE("0")));
    assert_null(value_member(&word, SLICE("word")));
}

static void a_name_is_not_found_among_other_kinds_of_keys(void **state)
{
    (void)state;
    struct value keys[] = {value_int(1), value_string(SLICE("1")),
                           value_bool(true)};
    struct value values[] = {value_int(10), value_int(20), value_int(30)};
    struct value_map map = {.count = 3, .keys = keys, .values = values};
    struct value value = {.kind = VALUE_MAP, .map = &map};
    assert_int_equal(value_member(&value, SLICE("1"))->integer, 20);
    assert_string_equal(json_of(&value), "{\"1\":10,\"1\":20,\"true\":30}");
    struct value key = {.kind = VALUE_DOUBLE, .number = 1};
    assert_int_equal(value__at_key(NULL, &map, &key)->integer, 10);
}

/* ---- equal -------------------------------------------------------------- */

static void equal_whatever_the_order_of_a_map(void **state)
{
    (void)state;
    struct value a = of_text("{\"a\":[1,{\"b\":null}],\"c\":2}");
    struct value b = of_text("{\"c\":2.0,\"a\":[1.0,{\"b\":null}]}");
    struct value c = of_text("{\"c\":2.0,\"a\":[1.0,{\"b\":false}]}");
    struct value d = of_text("{\"c\":2,\"d\":[1,{\"b\":null}]}");
    assert_true(value_equals(&a, &b));
    assert_true(value_equals(&b, &a));
    assert_false(value_equals(&a, &c));
    assert_false(value_equals(&a, &d));
}

static void an_error_equals_nothing(void **state)
{
    (void)state;
    struct value error = value_error(&arena, "no");
    struct value absent = {.kind = VALUE_ABSENT};
    struct value null = {.kind = VALUE_NULL};
    assert_false(value_equals(&error, &error));
    assert_true(value_equals(&absent, &absent));
    assert_false(value_equals(&absent, &null));
}

/* Thirty lists, each twice in the next one: a walk would take 2^30 steps. */
static void what_is_shared_without_end_ends_with_the_budget(void **state)
{
    (void)state;
    struct value_list lists[2][30];
    struct value items[2][30][2];
    struct value top[2];
    for (size_t side = 0; side < 2; side++) {
        top[side] = value_int(1);
        for (size_t i = 0; i < 30; i++) {
            items[side][i][0] = items[side][i][1] = top[side];
            lists[side][i] = (struct value_list){2, items[side][i]};
            top[side] =
                (struct value){.kind = VALUE_LIST, .list = &lists[side][i]};
        }
    }
    struct run run = {.arena = &arena, .steps_left = 1000};
    assert_false(value__equals(&run, &top[0], &top[1]));
    assert_int_equal(run.end, EXPR_TOO_FAR);
}

/* ---- shown -------------------------------------------------------------- */

static void strings_are_bare_as_text_and_quoted_as_json(void **state)
{
    (void)state;
    struct value value = value_string(SLICE("a \"b\"\\ <c> & d\n\t\x01\x7f"));
    assert_string_equal(text_of(&value), "a \"b\"\\ <c> & d\n\t\x01\x7f");
    assert_string_equal(json_of(&value),
                        "\"a \\\"b\\\"\\\\ <c> & d\\n\\t\\u0001\\u007f\"");
    value = value_string(SLICE("\303\244\342\202\254\360\237\230\200"));
    assert_string_equal(json_of(&value),
                        "\"\303\244\342\202\254\360\237\230\200\"");
    value = value_string(SLICE("a\xff\303(\xe2\x82"));
    assert_string_equal(json_of(&value), "\"a\\ufffd\\ufffd(\\ufffd\\ufffd\"");
    value = value_string(SLICE(""));
    assert_string_equal(json_of(&value), "\"\"");
    assert_string_equal(text_of(&value), "");
}

static void other_kinds_as_text_and_as_json(void **state)
{
    (void)state;
    static const struct {
        struct value value;
        const char *text;
        const char *json;
    } table[] = {
        {{.kind = VALUE_NULL}, "null", "null"},
        {{.kind = VALUE_ABSENT}, "null", "null"},
        {{.kind = VALUE_BOOL, .boolean = true}, "true", "true"},
        {{.kind = VALUE_INT, .integer = INT64_MIN},
         "-9223372036854775808",
         "-9223372036854775808"},
        {{.kind = VALUE_UINT, .natural = UINT64_MAX},
         "18446744073709551615",
         "18446744073709551615"},
        {{.kind = VALUE_BYTES, .text = {"\xff\x00", 2}}, "/wA=", "\"/wA=\""},
        {{.kind = VALUE_BYTES, .text = {"", 0}}, "", "\"\""},
        {{.kind = VALUE_TIMESTAMP, .integer = 1500000000},
         "1970-01-01T00:00:01.5Z",
         "\"1970-01-01T00:00:01.5Z\""},
        {{.kind = VALUE_DURATION, .integer = -1500000000},
         "-1.5s",
         "\"-1.5s\""},
        {{.kind = VALUE_TYPE, .integer = VALUE_UINT}, "uint", "\"uint\""},
        {{.kind = VALUE_ERROR, .text = {"oh", 2}}, "oh", "\"oh\""},
        {{.kind = VALUE_DOUBLE, .number = INFINITY},
         "Infinity",
         "\"Infinity\""},
        {{.kind = VALUE_DOUBLE, .number = 95}, "95", "95"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        assert_string_equal(text_of(&table[i].value), table[i].text);
        assert_string_equal(json_of(&table[i].value), table[i].json);
    }
}

static void durations_are_seconds(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        const char *text;
    } table[] = {
        {0, "0s"},
        {1, "0.000000001s"},
        {-1, "-0.000000001s"},
        {1000000000, "1s"},
        {5400000000000, "5400s"},
        {1230000000, "1.23s"},
        {INT64_MAX, "9223372036.854775807s"},
        {INT64_MIN, "-9223372036.854775808s"},
    };
    char text[NUMBER_TEXT_BYTES_MAX];
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        size_t size = value__duration_text(table[i].ns, text);
        assert_true(slice_eq(slice_of(text, size), slice_str(table[i].text)));
    }
}

static void a_double_reads_back_as_the_same_number(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 7);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = prng_next(&prng);
        double number;
        memcpy(&number, &bits, sizeof number);
        if (i % 2)
            number = (double)(int64_t)bits / 1000;
        if (!isfinite(number))
            continue;
        char text[NUMBER_TEXT_BYTES_MAX + 1];
        size_t size = value__number_text(number, text);
        text[size] = '\0';
        assert_true(strtod(text, NULL) == number);
        /* One digit less is another number. */
        int digits = 0, zeros = 0;
        for (size_t at = 0; at < size && text[at] != 'e'; at++) {
            bool is_digit = text[at] >= '0' && text[at] <= '9';
            if (is_digit && (text[at] != '0' || digits > 0)) {
                digits++;
                zeros = text[at] == '0' ? zeros + 1 : 0;
            }
        }
        digits -= zeros;
        if (digits > 1) {
            char shorter[64];
            snprintf(shorter, sizeof shorter, "%.*e", digits - 2, number);
            assert_true(strtod(shorter, NULL) != number);
        }
    }
}

/* A value of values of values, deeper than any document. */
static void what_is_too_deep_still_ends(void **state)
{
    (void)state;
    struct value_list lists[400];
    struct value items[401];
    items[400] = value_int(1);
    for (size_t i = 400; i-- > 0;) {
        lists[i] = (struct value_list){1, &items[i + 1]};
        items[i] = (struct value){.kind = VALUE_LIST, .list = &lists[i]};
    }
    assert_non_null(strstr(json_of(&items[0]), "\"(nested too deep)\""));
    struct run run = {.arena = &arena, .steps_left = 1000};
    assert_false(value__equals(&run, &items[0], &items[0]));
    assert_int_equal(run.end, EXPR_TOO_FAR);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_json_becomes_what_it_says),
        TEST(what_is_not_json_is_itself),
        TEST(a_document_keeps_its_order_and_its_integers),
        TEST(an_error_is_cut_where_it_is_too_long),
        TEST(a_member_is_found_by_its_whole_name),
        TEST(a_name_is_not_found_among_other_kinds_of_keys),
        TEST(equal_whatever_the_order_of_a_map),
        TEST(an_error_equals_nothing),
        TEST(what_is_shared_without_end_ends_with_the_budget),
        TEST(strings_are_bare_as_text_and_quoted_as_json),
        TEST(other_kinds_as_text_and_as_json),
        TEST(durations_are_seconds),
        TEST(a_double_reads_back_as_the_same_number),
        TEST(what_is_too_deep_still_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
