/* Where a fault is said to be: in each kind of scalar, in each member of a
 * document, in whatever is wrong with it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "recipe_support.h"

static struct recipe_fault fault_of(struct slice text)
{
    struct recipe *recipe;
    struct recipe_fault fault;
    enum err err = recipe_parse(text, &recipe_zones, &recipe, &fault);
    if (!err)
        fail_msg("taken: %.*s", (int)text.size, text.at);
    return fault;
}

/* ---- in a scalar -------------------------------------------------------- */

/* A condition in many spellings; what is wrong in it is `oops`. */
static void a_column_leads_to_the_word(void **state)
{
    (void)state;
    static const char *const spellings[] = {
        "key == 'a' && oops",
        "\"key == 'a' && oops\"",
        "'key == \"a\" && oops'",
        "'key == ''a'' && oops'",
        "\"key == \\\"a\\\" && oops\"",
        "\"key == '\xc3\xa4\xe2\x82\xac' && oops\"",
        "'key.matches(\"a\\\\.b\") && oops'",
    };
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        char text[256];
        int size = snprintf(text, sizeof text,
                            "name: r\nif: {key: /a}\nthen: {log: hi}\n"
                            "where: %s\n",
                            spellings[i]);
        struct recipe_fault fault = fault_of(slice_of(text, (size_t)size));
        /* Columns count characters. */
        int column = 1;
        const char *line = strstr(text, "where:");
        for (const char *at = line; at < strstr(line, "oops"); at++)
            column += (*at & 0xc0) != 0x80;
        assert_int_equal(fault.line, 4);
        assert_int_equal(fault.column, column);
        assert_string_equal(fault.path, "where[0]");
        assert_non_null(strstr(fault.text, "unknown name 'oops'"));
    }
}

static void other_scalars_say_where_in_their_text(void **state)
{
    (void)state;
    static const struct {
        const char *spelling, *place;
    } rows[] = {
        {"|\n  key == 'a' &&\n  oops\n", "line 2, column 1 of the text: "},
        {">\n  key == 'a' &&\n  oops\n", "column 15 of the text: "},
        {"\"key == '\\x61' && oops\"", "column 15 of the text: "},
        {"key == 'a' &&\n  oops\n", "column 15 of the text: "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[256];
        int size = snprintf(text, sizeof text,
                            "name: r\nif: {key: /a}\nthen: {log: hi}\n"
                            "where: %s\n",
                            rows[i].spelling);
        struct recipe_fault fault = fault_of(slice_of(text, (size_t)size));
        assert_int_equal(fault.line, 4);
        assert_int_equal(fault.column, 8);
        assert_true(
            slice_has_prefix(slice_str(fault.text), slice_str(rows[i].place)));
    }
}

static void the_note_says_it_all(void **state)
{
    (void)state;
    struct recipe *recipe;
    struct recipe_fault fault;
    struct slice text = SLICE("name: r\nif: {key: /a}\n"
                              "then: {log: '{{oops}}'}\n");
    assert_int_equal(recipe_parse(text, NULL, &recipe, &fault), ERR_INVALID);
    assert_null(recipe);
    assert_true(slice_has_prefix(
        slice_str(err_note()),
        SLICE("line 3, column 16: then[0].log: unknown name 'oops'")));
    /* Who doesn't want the parts has the note. */
    assert_int_equal(recipe_parse(text, NULL, &recipe, NULL), ERR_INVALID);
    assert_non_null(strstr(err_note(), "then[0].log"));
}

static void a_long_path_is_cut(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_append_str(&text,
                   "name: r\nif: {key: /a}\nthen: {put: {key: /b, value: ");
    for (int i = 0; i < 20; i++)
        buf_append_str(&text, "{a-long-name-of-a-member: ");
    buf_append_str(&text, "'{{oops}}'");
    for (int i = 0; i < 22; i++)
        buf_append_char(&text, '}');
    struct recipe_fault fault = fault_of(buf_slice(&text));
    assert_int_equal(strlen(fault.path), sizeof fault.path - 1);
    assert_int_equal(fault.line, 3);
    buf_deinit(&text);
}

/* ---- in every member ---------------------------------------------------- */

/* One member a line, each a name before a colon. */
static const char document[] = "name: r\n"
                               "description: d\n"
                               "enabled: true\n"
                               "shadow: false\n"
                               "owner: alice\n"
                               "if:\n"
                               "  - key: '/a/{x}'\n"
                               "    events: [put]\n"
                               "    crosses:\n"
                               "      of: value.used\n"
                               "      above: 90\n"
                               "      reset: 85\n"
                               "    for: 5m\n"
                               "  - cron: '0 9 * * *'\n"
                               "    tz: Europe/Berlin\n"
                               "    misfire: all\n"
                               "  - webhook:\n"
                               "      path: a\n"
                               "      secret: s\n"
                               "      header: h\n"
                               "      dedupe: body.id\n"
                               "      dedupe_ttl: 1h\n"
                               "  - poll:\n"
                               "      url: 'https://e.org'\n"
                               "      every: 1m\n"
                               "      items: body.list\n"
                               "      id: item.id\n"
                               "  - recipe:\n"
                               "      name: other\n"
                               "      outcome: any\n"
                               "where: key == 'x'\n"
                               "then:\n"
                               "  - id: one\n"
                               "    http:\n"
                               "      method: POST\n"
                               "      url: 'https://e.org'\n"
                               "      redirects: true\n"
                               "    if: x == 'q'\n"
                               "    timeout: 5s\n"
                               "    retry:\n"
                               "      max: 3\n"
                               "      base: 1s\n"
                               "      cap: 2s\n"
                               "  - put:\n"
                               "      key: '/b/{{x}}'\n"
                               "      value: '{{x}}'\n"
                               "      ttl: 5s\n"
                               "  - delete:\n"
                               "      key: /b/\n"
                               "      prefix: true\n"
                               "  - email:\n"
                               "      server: smtp://m\n"
                               "      from: a\n"
                               "      to: b\n"
                               "      subject: c\n"
                               "      text: d\n"
                               "  - log:\n"
                               "      message: m\n"
                               "      level: warn\n"
                               "order: strict\n"
                               "mode: queued\n"
                               "max: 5\n"
                               "dedupe:\n"
                               "  key: '{{x}}'\n"
                               "  ttl: 5s\n"
                               "throttle:\n"
                               "  count: 5\n"
                               "  per: 1h\n"
                               "debounce: 5s\n"
                               "start: now\n"
                               "on_gap: skip\n"
                               "loop:\n"
                               "  max_depth: 3\n"
                               "  reentrant: false\n"
                               "  breaker:\n"
                               "    count: 5\n"
                               "    per: 1m\n"
                               "keep:\n"
                               "  runs: 5\n"
                               "  for: 1d\n";

/* The name in a line: its offset and size; false where there is none. */
static bool find_name(const char *line, size_t *at, size_t *size)
{
    *at = strspn(line, " -");
    *size = strspn(line + *at, "abcdefghijklmnopqrstuvwxyz_");
    return *size > 0 && line[*at + *size] == ':';
}

/* A letter more in any one name, and that place is told. */
static void every_misspelled_name_is_found_in_its_place(void **state)
{
    (void)state;
    recipe_free(parse_recipe(document));
    int line = 1, tried = 0;
    for (const char *begin = document; *begin; line++) {
        size_t at, size;
        struct buf text = {0};
        const char *end = strchr(begin, '\n');
        if (find_name(begin, &at, &size)) {
            const char *behind = begin + at + size;
            buf_append(&text, document, (size_t)(behind - document));
            buf_append_str(&text, "x");
            buf_append_str(&text, behind);
            struct recipe_fault fault = fault_of(buf_slice(&text));
            char named[64];
            snprintf(named, sizeof named, "\"%.*sx\"", (int)size, begin + at);
            if (fault.line != line || fault.column != (int)at + 1 ||
                !strstr(fault.text, named))
                fail_msg("%s at %d:%d: %d:%d %s", named, line, (int)at + 1,
                         fault.line, fault.column, fault.text);
            tried++;
        }
        buf_deinit(&text);
        begin = end + 1;
    }
    assert_true(tried > 70);
}

/* A list of a null in the place of any one value is refused, on its line. */
static void every_wrong_value_is_found_in_its_place(void **state)
{
    (void)state;
    int line = 1, tried = 0;
    for (const char *begin = document; *begin; line++) {
        size_t at, size;
        const char *end = strchr(begin, '\n');
        struct buf text = {0};
        bool is_free = strstr(begin, "value: '{{x}}'") == begin + 6;
        if (find_name(begin, &at, &size) && begin[at + size + 1] == ' ' &&
            !is_free) {
            const char *value = begin + at + size + 2;
            buf_append(&text, document, (size_t)(value - document));
            buf_append_str(&text, "[null]");
            buf_append_str(&text, end);
            struct recipe_fault fault = fault_of(buf_slice(&text));
            /* What depends on it may be what is told. */
            if (fault.line != line)
                fail_msg("line %d: %d:%d %s", line, fault.line, fault.column,
                         fault.text);
            assert_true(fault.text[0] && fault.path[0]);
            tried++;
        }
        buf_deinit(&text);
        begin = end + 1;
    }
    assert_true(tried > 55);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_column_leads_to_the_word),
        cmocka_unit_test(other_scalars_say_where_in_their_text),
        cmocka_unit_test(the_note_says_it_all),
        cmocka_unit_test(a_long_path_is_cut),
        cmocka_unit_test(every_misspelled_name_is_found_in_its_place),
        cmocka_unit_test(every_wrong_value_is_found_in_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
