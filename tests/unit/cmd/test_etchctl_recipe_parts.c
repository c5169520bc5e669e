/* What the recipe commands are made of: tables, YAML, server-sent events,
 * files, errors. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "cmd/etchctl/recipe.h"

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

static struct doc_value *parse(const char *json)
{
    struct doc_value *out = NULL;
    enum err err =
        doc_parse_json(&arena, slice_str(json), &doc_limits_default, &out);
    assert_int_equal(err, ERR_OK);
    return out;
}

static void assert_text(struct buf *text, const char *expected)
{
    buf_append_char(text, '\0');
    assert_string_equal(text->at, expected);
    buf_deinit(text);
}

/* ---- tables -------------------------------------------------------------- */

static void columns_are_as_wide_as_their_widest(void **state)
{
    static const char *const heads[] = {"NAME", "N", "WHY", NULL};
    static const char *const cells[] = {
        "a",  "1000", "because", "longer", "2", "", "\xC3\xA4\xC3\xB6\xC3\xBC",
        "33", "x"};
    struct recipe_table table;
    struct buf out = {0};

    (void)state;
    recipe_table_init(&table, &arena, heads);
    for (size_t i = 0; i < 9; i++)
        recipe_table_add(&table, slice_str(cells[i]));
    recipe_table_write(&table, &out);
    assert_text(&out, "NAME    N     WHY\n"
                      "a       1000  because\n"
                      "longer  2\n"
                      "\xC3\xA4\xC3\xB6\xC3\xBC     33    x\n");
}

static void a_table_grows(void **state)
{
    static const char *const heads[] = {"A", "B", NULL};
    struct recipe_table table;
    struct buf out = {0};

    (void)state;
    recipe_table_init(&table, &arena, heads);
    for (size_t i = 0; i < 500; i++)
        recipe_table_add(&table, SLICE("x"));
    recipe_table_write(&table, &out);
    assert_int_equal(out.size, 251 * strlen("A  B\n"));
    buf_deinit(&out);
}

/* What comes from a server isn't for the terminal to obey. */
static void nothing_is_left_for_a_terminal_to_obey(void **state)
{
    struct buf out = {0};

    (void)state;
    recipe_plain(&out, SLICE("a\nb\tc\x1b[2J\x7f|\xC2\x9b|\xC3\xA9"));
    assert_text(&out, "a b c?[2J?|\x9b|\xC3\xA9");
}

static void members_become_cells(void **state)
{
    const struct doc_value *map =
        parse("{\"t\":\"x\",\"i\":-7,\"b\":true,\"d\":1.5,\"n\":null,"
              "\"m\":{\"a\":1,\"b\":\"c\"},\"l\":[1]}");
    static const char *const expected[][2] = {
        {"t", "x"}, {"i", "-7"},      {"b", "true"}, {"d", "1.5"},
        {"n", ""},  {"m", "a=1,b=c"}, {"l", ""},     {"missing", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        struct slice cell = recipe_cell(&arena, map, expected[i][0]);
        assert_true(slice_eq(cell, slice_str(expected[i][1])));
    }
    assert_int_equal(recipe_number(map, "i"), -7);
    assert_int_equal(recipe_number(map, "t"), 0);
    assert_int_equal(recipe_list(map, "l")->count, 1);
    assert_int_equal(recipe_list(map, "m")->count, 0);
}

/* ---- YAML ---------------------------------------------------------------- */

static void documents_are_written_to_be_read(void **state)
{
    struct buf out = {0};

    (void)state;
    recipe_yaml(&out, parse("{\"name\":\"disk-full\",\"if\":[{\"key\":"
                            "\"/a/{x}\",\"for\":\"5m\"}],\"max\":10,"
                            "\"rate\":1.0,\"labels\":{},\"tests\":[],"
                            "\"then\":[{\"put\":{\"key\":\"/b\",\"value\":"
                            "[1,[true,null]]}}]}"));
    assert_text(&out, "name: disk-full\n"
                      "if:\n"
                      "  - key: \"/a/{x}\"\n"
                      "    for: \"5m\"\n"
                      "max: 10\n"
                      "rate: 1.0\n"
                      "labels: {}\n"
                      "tests: []\n"
                      "then:\n"
                      "  - put:\n"
                      "      key: /b\n"
                      "      value:\n"
                      "        - 1\n"
                      "        - - true\n"
                      "          - null\n");
}

static void assert_same(const struct doc_value *a, const struct doc_value *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->count, b->count);
    if (a->kind == DOC_STRING)
        assert_true(slice_eq(a->text, b->text));
    if (a->kind == DOC_BOOL)
        assert_true(a->boolean == b->boolean);
    if (a->kind == DOC_INT)
        assert_int_equal(a->integer, b->integer);
    if (a->kind == DOC_DOUBLE)
        assert_memory_equal(&a->number, &b->number, sizeof(double));
    for (size_t i = 0; i < a->count; i++) {
        if (a->kind == DOC_MAP)
            assert_true(slice_eq(a->members[i].name, b->members[i].name));
        assert_same(a->kind == DOC_MAP ? a->members[i].value : a->items[i],
                    b->kind == DOC_MAP ? b->members[i].value : b->items[i]);
    }
}

/* Texts that YAML would take for something else, and numbers to the last
 * bit. */
static void what_is_written_reads_back_the_same(void **state)
{
    static const char *const documents[] = {
        "{\"a\":\"true\",\"b\":\"Yes\",\"c\":\"null\",\"d\":\"~\",\"e\":\"on\","
        "\"f\":\"12\",\"g\":\"1.5\",\"h\":\"\",\"i\":\" x\",\"j\":\"x \","
        "\"k\":\"a: b\",\"l\":\"a #b\",\"m\":\"- a\",\"n\":\"{a}\","
        "\"o\":\"2026-01-01\",\"p\":\"a\\nb\\tc\\\"d\\\\e\\u0001\","
        "\"q\":\"\\u0085\\u00e9\\u2028\",\"r\":\"!x\",\"s\":\"*x\","
        "\"t\":\"&x\",\"u\":\"'x'\",\"v\":\"%x\",\"w\":\"@x\",\"x\":\"`x\"}",
        "{\"on\":1,\"1\":2,\"a b\":3,\"\":4,\"{{x}}\":5,\"y\":6}",
        "[0,-1,9223372036854775807,-9223372036854775808]",
        "[0.1,1e300,1e-300,123456789.123456789,2.0,-0.0]",
        "[[],{},[[]],[{}],{\"a\":[]},[[1,2],[3]],[{\"a\":1,\"b\":[2]}]]",
        "{\"deep\":{\"er\":{\"and\":[{\"so\":{\"on\":[null,false]}}]}}}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        const struct doc_value *before = parse(documents[i]);
        struct doc_value *after = NULL;
        struct buf out = {0};
        recipe_yaml(&out, before);
        enum err err = doc_parse_yaml(&arena, buf_slice(&out),
                                      &doc_limits_default, &after);
        if (err != ERR_OK)
            fail_msg("%s of %.*s", err_note(), (int)out.size, out.at);
        assert_same(before, after);
        buf_deinit(&out);
    }
}

/* ---- server-sent events -------------------------------------------------- */

struct heard {
    struct buf text;
    int most;
    int count;
};

static bool hear(void *context, struct slice event, struct slice data)
{
    struct heard *heard = context;

    buf_printf(&heard->text, "%.*s|%.*s\n", (int)event.size,
               event.at ? event.at : "", (int)data.size, data.at);
    return ++heard->count != heard->most;
}

static const char stream_text[] =
    ": hello\n\nevent: run\ndata: {\"a\": 1}\n\n: \n\nevent:active\r\n"
    "data:x\r\ndata: y\r\nid: 7\r\n\r\ndata: alone\n\nevent: none\n\n"
    "event: cut\ndata: off";

/* However it is cut into pieces. */
static void events_are_taken_apart(void **state)
{
    (void)state;
    for (size_t step = 1; step <= sizeof(stream_text); step++) {
        struct heard heard = {0};
        struct recipe_stream stream = {.on_event = hear, .context = &heard};
        for (size_t at = 0; at < sizeof(stream_text) - 1; at += step) {
            size_t left = sizeof(stream_text) - 1 - at;
            assert_true(recipe_stream_take(
                &stream,
                slice_of(stream_text + at, step < left ? step : left)));
        }
        recipe_stream_deinit(&stream);
        assert_text(&heard.text, "run|{\"a\": 1}\nactive|x\ny\n|alone\n");
    }
}

static void a_listener_may_end_it(void **state)
{
    struct heard heard = {.most = 1};
    struct recipe_stream stream = {.on_event = hear, .context = &heard};

    (void)state;
    assert_false(recipe_stream_take(&stream, SLICE("data: 1\n\ndata: 2\n\n")));
    assert_int_equal(heard.count, 1);
    recipe_stream_deinit(&stream);
    buf_deinit(&heard.text);
}

static void a_line_has_a_bound(void **state)
{
    struct heard heard = {0};
    struct recipe_stream stream = {.on_event = hear, .context = &heard};
    static char piece[1 << 20];
    int taken = 0;

    (void)state;
    memset(piece, 'x', sizeof(piece));
    while (taken < 64 &&
           recipe_stream_take(&stream, slice_of(piece, sizeof(piece))))
        taken++;
    assert_in_range(taken, 4, 16);
    recipe_stream_deinit(&stream);
}

/* ---- documents' names ---------------------------------------------------- */

static void expect_name(const char *text, const char *name)
{
    const struct recipe_file file = {.path = "f", .text = slice_str(text)};
    struct buf message = {0};
    struct recipe_place place;
    struct slice found;

    assert_true(recipe_file_name(&arena, &file, &found, &message, &place));
    assert_true(slice_eq(found, slice_str(name)));
    buf_deinit(&message);
}

static void expect_no_name(const char *text, const char *where)
{
    const struct recipe_file file = {.path = "f.yaml", .text = slice_str(text)};
    struct buf message = {0};
    struct buf out = {0};
    struct recipe_place place;
    struct slice found;

    assert_false(recipe_file_name(&arena, &file, &found, &message, &place));
    recipe_file_place(file.path, &place, buf_slice(&message), &out);
    buf_append_char(&out, '\0');
    if (strncmp(out.at, where, strlen(where)) != 0)
        fail_msg("%s isn't %s", out.at, where);
    buf_deinit(&message);
    buf_deinit(&out);
}

static void names_are_found_in_documents(void **state)
{
    (void)state;
    expect_name("name: a-b.c\nif: []\n", "a-b.c");
    expect_name("# a comment\n\nthen: []\nname: last\n", "last");
    expect_name("  {\"name\": \"json\", \"if\": []}", "json");
    expect_no_name("", "f.yaml");
    expect_no_name("if: []\n", "f.yaml:1:1: name: write one of small letters");
    expect_no_name("if: []\nname: Big\n", "f.yaml:2:7: name: ");
    expect_no_name("name: a/b\n", "f.yaml:1:7: name: ");
    expect_no_name("name: [1]\n", "f.yaml:1:7: name: ");
    expect_no_name("name: a\nif: [\n", "f.yaml:3:1: ");
    expect_no_name("{\"name\": \"a\",}", "f.yaml:1:");
    expect_no_name("just text\n", "f.yaml:1:1: name: ");
}

static void places_are_said_as_compilers_do(void **state)
{
    struct buf out = {0};
    struct recipe_place place = {3, 7, SLICE("if[0].key")};

    (void)state;
    recipe_file_place("a.yaml", &place, SLICE("why"), &out);
    assert_text(&out, "a.yaml:3:7: if[0].key: why");
    out = (struct buf){0};
    place = (struct recipe_place){0};
    recipe_file_place("-", &place, SLICE("why"), &out);
    assert_text(&out, "stdin: why");
}

/* ---- paths and errors ---------------------------------------------------- */

static void paths_are_escaped(void **state)
{
    struct buf path = {0};

    (void)state;
    recipe_path_add(&path, SLICE("defs"));
    recipe_path_add(&path, SLICE("a b/c?d%"));
    recipe_path_field(&path, "none", "");
    recipe_path_field(&path, "null", NULL);
    recipe_path_field(&path, "since", "2026-01-01T00:00:00+01:00");
    recipe_path_field(&path, "x", "a b&c");
    assert_text(&path, "defs/a%20b%2Fc%3Fd%25?since=2026-01-01T00%3A00%3A00"
                       "%2B01%3A00&x=a+b%26c");
}

static void errors_are_read(void **state)
{
    struct buf message = {0};
    struct recipe_place place;

    (void)state;
    assert_true(recipe_read_error(
        parse("{\"error\":{\"code\":\"invalid\",\"message\":\"why\",\"at\":"
              "{\"line\":3,\"column\":7,\"path\":\"if[0]\"}}}"),
        &message, &place));
    assert_int_equal(place.line, 3);
    assert_int_equal(place.column, 7);
    assert_true(slice_eq(place.path, SLICE("if[0]")));
    assert_text(&message, "why");
    message = (struct buf){0};
    assert_true(recipe_read_error(parse("{\"error\":{}}"), &message, &place));
    assert_int_equal(place.line, 0);
    assert_int_equal(message.size, 0);
    assert_false(
        recipe_read_error(parse("{\"error\":\"x\"}"), &message, &place));
    assert_false(recipe_read_error(parse("[]"), &message, &place));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(columns_are_as_wide_as_their_widest),
        TEST(a_table_grows),
        TEST(nothing_is_left_for_a_terminal_to_obey),
        TEST(members_become_cells),
        TEST(documents_are_written_to_be_read),
        TEST(what_is_written_reads_back_the_same),
        TEST(events_are_taken_apart),
        TEST(a_listener_may_end_it),
        TEST(a_line_has_a_bound),
        TEST(names_are_found_in_documents),
        TEST(places_are_said_as_compilers_do),
        TEST(paths_are_escaped),
        TEST(errors_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
