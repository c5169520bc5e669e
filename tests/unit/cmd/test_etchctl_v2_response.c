#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "cmd/etchctl/v2_response.h"

/* Reads the JSON of a server, prints it, and expects the text. */
static void assert_prints(const char *json, uint64_t index,
                          enum output_format format, const char *expected)
{
    struct arena arena;
    struct v2_response response;
    struct buf out = {0};

    arena_init(&arena, 0);
    assert_true(v2_response_parse(&arena, slice_str(json), &response));
    response.index = index;
    v2_response_print(&response, format, &out);
    buf_append_char(&out, '\0');
    assert_string_equal(out.at, expected);
    buf_deinit(&out);
    arena_deinit(&arena);
}

static void assert_lists(const char *json, bool slash, const char *expected)
{
    struct arena arena;
    struct v2_response response;
    struct buf out = {0};

    arena_init(&arena, 0);
    assert_true(v2_response_parse(&arena, slice_str(json), &response));
    v2_listing_print(&response, slash, &out);
    buf_append_char(&out, '\0');
    assert_string_equal(out.at, expected);
    buf_deinit(&out);
    arena_deinit(&arena);
}

static void assert_no_response(const char *json)
{
    struct arena arena;
    struct v2_response response;

    arena_init(&arena, 0);
    assert_false(v2_response_parse(&arena, slice_str(json), &response));
    arena_deinit(&arena);
}

static const char get_foo[] =
    "{\"action\":\"get\",\"node\":{\"key\":\"/foo\",\"value\":\"bar\","
    "\"modifiedIndex\":7,\"createdIndex\":4}}\n";

static const char set_foo[] =
    "{\"action\":\"set\",\"node\":{\"key\":\"/foo\",\"value\":\"new\","
    "\"expiration\":\"2030-01-02T03:04:05.6Z\",\"ttl\":100,"
    "\"modifiedIndex\":9,\"createdIndex\":9},\"prevNode\":{\"key\":\"/foo\","
    "\"value\":\"old\",\"modifiedIndex\":7,\"createdIndex\":7}}";

static const char delete_foo[] =
    "{\"action\":\"delete\",\"node\":{\"key\":\"/foo\",\"modifiedIndex\":10,"
    "\"createdIndex\":9},\"prevNode\":{\"key\":\"/foo\",\"value\":\"old\","
    "\"modifiedIndex\":9,\"createdIndex\":9}}";

static const char tree[] =
    "{\"action\":\"get\",\"node\":{\"dir\":true,\"nodes\":["
    "{\"key\":\"/a\",\"value\":\"1\",\"modifiedIndex\":1,\"createdIndex\":1},"
    "{\"key\":\"/d\",\"dir\":true,\"nodes\":["
    "{\"key\":\"/d/e\",\"dir\":true,\"modifiedIndex\":3,\"createdIndex\":3},"
    "{\"key\":\"/d/f\",\"value\":\"2\",\"modifiedIndex\":4,"
    "\"createdIndex\":4}],\"modifiedIndex\":2,\"createdIndex\":2}]}}";

static void simple_is_the_value_alone(void **state)
{
    (void)state;
    assert_prints(get_foo, 12, OUTPUT_SIMPLE, "bar\n");
    assert_prints(set_foo, 12, OUTPUT_SIMPLE, "new\n");
}

static void a_delete_shows_what_was_there(void **state)
{
    (void)state;
    assert_prints(delete_foo, 10, OUTPUT_SIMPLE, "PrevNode.Value: old\n");
}

static void a_compared_delete_and_an_expiry_show_an_empty_value(void **state)
{
    (void)state;
    assert_prints("{\"action\":\"compareAndDelete\",\"node\":{\"key\":\"/a\"},"
                  "\"prevNode\":{\"key\":\"/a\",\"value\":\"x\"}}",
                  1, OUTPUT_SIMPLE, "\n");
    assert_prints("{\"action\":\"expire\",\"node\":{\"key\":\"/a\"},"
                  "\"prevNode\":{\"key\":\"/a\",\"value\":\"x\"}}",
                  1, OUTPUT_SIMPLE, "\n");
}

static void a_delete_without_its_former_node_is_no_crash(void **state)
{
    (void)state;
    assert_prints("{\"action\":\"delete\",\"node\":{\"key\":\"/a\"}}", 1,
                  OUTPUT_SIMPLE, "PrevNode.Value: \n");
}

static void extended_has_a_line_for_each_field(void **state)
{
    (void)state;
    assert_prints(get_foo, 12, OUTPUT_EXTENDED,
                  "Key: /foo\nCreated-Index: 4\nModified-Index: 7\n"
                  "TTL: 0\nIndex: 12\n\nbar\n");
    assert_prints(set_foo, 9, OUTPUT_EXTENDED,
                  "Key: /foo\nCreated-Index: 9\nModified-Index: 9\n"
                  "PrevNode.Value: old\nTTL: 100\nIndex: 9\n\nnew\n");
    assert_prints(delete_foo, 10, OUTPUT_EXTENDED,
                  "Key: /foo\nCreated-Index: 9\nModified-Index: 10\n"
                  "PrevNode.Value: old\nTTL: 0\nIndex: 10\n");
}

static void json_has_the_fields_of_the_go_client(void **state)
{
    (void)state;
    assert_prints(get_foo, 12, OUTPUT_JSON,
                  "{\"action\":\"get\",\"node\":{\"key\":\"/foo\","
                  "\"value\":\"bar\",\"nodes\":null,\"createdIndex\":4,"
                  "\"modifiedIndex\":7},\"prevNode\":null}\n");
    assert_prints(set_foo, 12, OUTPUT_JSON,
                  "{\"action\":\"set\",\"node\":{\"key\":\"/foo\","
                  "\"value\":\"new\",\"nodes\":null,\"createdIndex\":9,"
                  "\"modifiedIndex\":9,"
                  "\"expiration\":\"2030-01-02T03:04:05.6Z\",\"ttl\":100},"
                  "\"prevNode\":{\"key\":\"/foo\",\"value\":\"old\","
                  "\"nodes\":null,\"createdIndex\":7,\"modifiedIndex\":7}}\n");
}

static void json_of_a_tree(void **state)
{
    (void)state;
    assert_prints(
        tree, 12, OUTPUT_JSON,
        "{\"action\":\"get\",\"node\":{\"key\":\"\",\"dir\":true,"
        "\"value\":\"\",\"nodes\":[{\"key\":\"/a\",\"value\":\"1\","
        "\"nodes\":null,\"createdIndex\":1,\"modifiedIndex\":1},"
        "{\"key\":\"/d\",\"dir\":true,\"value\":\"\",\"nodes\":["
        "{\"key\":\"/d/e\",\"dir\":true,\"value\":\"\",\"nodes\":null,"
        "\"createdIndex\":3,\"modifiedIndex\":3},{\"key\":\"/d/f\","
        "\"value\":\"2\",\"nodes\":null,\"createdIndex\":4,"
        "\"modifiedIndex\":4}],\"createdIndex\":2,\"modifiedIndex\":2}],"
        "\"createdIndex\":0,\"modifiedIndex\":0},\"prevNode\":null}\n");
}

static void json_escapes_as_go_does(void **state)
{
    (void)state;
    assert_prints("{\"action\":\"get\",\"node\":{\"key\":\"/<\","
                  "\"value\":\"\\u0026\\n\\\"\"}}",
                  1, OUTPUT_JSON,
                  "{\"action\":\"get\",\"node\":{\"key\":\"/\\u003c\","
                  "\"value\":\"\\u0026\\n\\\"\",\"nodes\":null,"
                  "\"createdIndex\":0,\"modifiedIndex\":0},"
                  "\"prevNode\":null}\n");
}

static void a_listing_goes_down_the_tree(void **state)
{
    (void)state;
    assert_lists(tree, false, "/a\n/d\n/d/e\n/d/f\n");
    assert_lists(tree, true, "/a\n/d/\n/d/e/\n/d/f\n");
}

static void a_listing_of_a_key_is_the_key(void **state)
{
    (void)state;
    assert_lists(get_foo, true, "/foo\n");
}

static void a_listing_of_nothing_is_nothing(void **state)
{
    (void)state;
    assert_lists("{\"action\":\"get\",\"node\":{\"key\":\"/d\",\"dir\":true}}",
                 true, "");
}

static void what_is_no_answer_is_refused(void **state)
{
    (void)state;
    assert_no_response("");
    assert_no_response("garbage");
    assert_no_response("[]");
    assert_no_response("{}");
    assert_no_response("{\"action\":\"get\"}");
    assert_no_response("{\"action\":\"get\",\"node\":null}");
    assert_no_response("{\"action\":\"get\",\"node\":7}");
    assert_no_response("{\"action\":\"get\",\"node\":{\"nodes\":[1]}}");
    assert_no_response("{\"action\":\"get\",\"node\":{}} x");
}

static void unknown_fields_and_kinds_are_passed_over(void **state)
{
    (void)state;
    assert_prints("{\"action\":\"get\",\"refresh\":true,\"node\":{\"key\":"
                  "\"/a\",\"value\":7,\"more\":[{}],\"ttl\":\"x\"}}",
                  3, OUTPUT_EXTENDED,
                  "Key: /a\nCreated-Index: 0\nModified-Index: 0\nTTL: 0\n"
                  "Index: 3\n\n\n");
}

static void assert_error(const char *json, const char *expected)
{
    struct arena arena;
    struct v2_error error;
    struct buf out = {0};

    arena_init(&arena, 0);
    assert_true(v2_error_parse(&arena, slice_str(json), &error));
    v2_error_print(&error, &out);
    buf_append_char(&out, '\0');
    assert_string_equal(out.at, expected);
    buf_deinit(&out);
    arena_deinit(&arena);
}

static void an_error_is_one_line(void **state)
{
    struct arena arena;
    struct v2_error error;

    (void)state;
    assert_error("{\"errorCode\":100,\"message\":\"Key not found\","
                 "\"cause\":\"/foo\",\"index\":12}\n",
                 "100: Key not found (/foo) [12]");
    assert_error("{\"message\":\"Insufficient credentials\"}",
                 "0: Insufficient credentials () [0]");
    arena_init(&arena, 0);
    assert_false(v2_error_parse(&arena, SLICE("<html>"), &error));
    assert_false(v2_error_parse(&arena, SLICE("7"), &error));
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(simple_is_the_value_alone),
        cmocka_unit_test(a_delete_shows_what_was_there),
        cmocka_unit_test(a_compared_delete_and_an_expiry_show_an_empty_value),
        cmocka_unit_test(a_delete_without_its_former_node_is_no_crash),
        cmocka_unit_test(extended_has_a_line_for_each_field),
        cmocka_unit_test(json_has_the_fields_of_the_go_client),
        cmocka_unit_test(json_of_a_tree),
        cmocka_unit_test(json_escapes_as_go_does),
        cmocka_unit_test(a_listing_goes_down_the_tree),
        cmocka_unit_test(a_listing_of_a_key_is_the_key),
        cmocka_unit_test(a_listing_of_nothing_is_nothing),
        cmocka_unit_test(what_is_no_answer_is_refused),
        cmocka_unit_test(unknown_fields_and_kinds_are_passed_over),
        cmocka_unit_test(an_error_is_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
