/* Text with expressions in it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/prng.h"
#include "expr_ask.h"

static void text_without_braces_is_itself(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"", "\"\""},
        {"abc", "\"abc\""},
        {"{", "\"{\""},
        {"}", "\"}\""},
        {"}}", "\"}}\""},
        {"{ {", "\"{ {\""},
        {"{a}", "\"{a}\""},
        {"{\"a\": {\"b\": 1}}", "\"{\\\"a\\\": {\\\"b\\\": 1}}\""},
        {"'", "\"'\""},
        {"a\nb", "\"a\\nb\""},
        {"// no comment", "\"// no comment\""},
        {"\xe2\x82\xac", "\"\xe2\x82\xac\""},
    };
    ASK_ALL_TEMPLATES(table);
}

static void expressions_stand_in_braces(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"disk of {{host}} is at {{value.used}} %",
         "\"disk of web-17 is at 95 %\""},
        {"{{host}}{{host}}", "\"web-17web-17\""},
        {" {{host}}", "\" web-17\""},
        {"{{host}} ", "\"web-17 \""},
        {"{{ host }}{{\nhost\n}}.", "\"web-17web-17.\""},
        {"a{{1 + 2}}b", "\"a3b\""},
        {"/alerts/{{host}}/disk", "\"/alerts/web-17/disk\""},
        {"{\"used\": {{value.used}}}", "\"{\\\"used\\\": 95}\""},
        {"{{host}}}", "\"web-17}\""},
        {"{{host}}}}", "\"web-17}}\""},
        {"{{host // why\n}}.", "\"web-17.\""},
    };
    ASK_ALL_TEMPLATES(table);
}

static void one_expression_alone_keeps_its_kind(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"{{value.used}}", "95"},
        {"{{value.tags}}", "[\"a\",\"b\",\"c\"]"},
        {"{{null}}", "null"},
        {"{{value.part}}", "0.5"},
        {"{{value.used > 1}}", "true"},
        {"{{ {'a': {'b': 1}} }}", "{\"a\":{\"b\":1}}"},
        {"{{value.big}}", "9007199254740993"},
        {"{{host}}", "\"web-17\""},
    };
    ASK_ALL_TEMPLATES(table);
}

static void other_kinds_become_text_among_text(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"<{{value.tags}}>", "\"<[\\\"a\\\",\\\"b\\\",\\\"c\\\"]>\""},
        {"<{{value.deep}}>", "\"<{\\\"x\\\":{\\\"y\\\":1}}>\""},
        {"<{{null}}>", "\"<null>\""},
        {"<{{ready}}>", "\"<true>\""},
        {"<{{value.big}}>", "\"<9007199254740993>\""},
        {"<{{-value.part}}>", "\"<-0.5>\""},
        {"<{{1u}}>", "\"<1>\""},
        {"<{{duration('90s')}}>", "\"<90s>\""},
        {"<{{timestamp('2020-01-02T03:04:05Z')}}>",
         "\"<2020-01-02T03:04:05Z>\""},
        {"<{{''}}>", "\"<>\""},
    };
    ASK_ALL_TEMPLATES(table);
}

static void four_braces_are_two(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"{{{{", "\"{{\""},
        {"{{{{x}}", "\"{{x}}\""},
        {"a{{{{b", "\"a{{b\""},
        {"{{{{{{host}}", "\"{{web-17\""},
        {"{{{{{{{{", "\"{{{{\""},
        {"{{host}}{{{{", "\"web-17{{\""},
        {"{{{{{{host}}}}", "\"{{web-17}}\""},
    };
    ASK_ALL_TEMPLATES(table);
}

static void an_expression_ends_where_it_is_complete(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"a{{'}}'}}b", "\"a}}b\""},
        {"a{{\"{{\"}}b", "\"a{{b\""},
        {"a{{{'x': {'y': 1}}.x.y}}b", "\"a1b\""},
        {"a{{ {'x': {'y': '}}'}}.x.y }}b", "\"a}}b\""},
        {"{{ {'x': {}}}}", "{\"x\":{}}"},
        {"a{{r'\\'}}b", "\"a\\\\b\""},
        {"a{{'''}}\n'''}}b", "\"a}}\\nb\""},
    };
    ASK_ALL_TEMPLATES(table);
}

static void faults_are_counted_from_the_templates_beginning(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"abc {{", "refused: column 5: this '{{' isn't closed: expected "
                   "'}}'"},
        {"abc {{host", "refused: column 5: this '{{' isn't closed: expected "
                       "'}}'"},
        {"abc {{host}", "refused: column 5: this '{{' isn't closed: expected "
                        "'}}'"},
        {"abc {{}}", "refused: column 7: expected an expression between '{{' "
                     "and '}}'"},
        {"abc {{ }}", "refused: column 8: expected a value here, found '}'"},
        {"abc {{host} }}", "refused: column 11: expected '}}' here, found "
                           "'}'"},
        {"abc {{host host}}", "refused: column 12: expected '}}' here, found "
                              "'host'"},
        {"abc {{hots}}", "refused: column 7: unknown name 'hots': did you "
                         "mean 'host'?"},
        {"{{host}}\n{{count}} {{1 +}}",
         "refused: line 2, column 16: expected a value here, found '}'"},
        {"\xe2\x82\xac {{1 +}}", "refused: column 8: expected a value here, "
                                 "found '}'"},
        {"\xff", "refused: column 1: this text is not UTF-8"},
    };
    ASK_ALL_TEMPLATES(table);
}

static void an_error_in_any_part_is_the_result(void **state)
{
    (void)state;
    static const struct question table[] = {
        {"{{value.x}}", "error: no such key: x"},
        {"a {{host}} {{value.x}} {{1 / 0}}", "error: no such key: x"},
        {"{{1 / 0}}{{value.x}}", "error: divide by zero"},
        {"{{prev}}!", "error: there is no 'prev' at this event"},
        {"{{never}}", "waits"},
        {"{{host}} {{never}}", "waits"},
        {"{{later}}!", "\"42!\""},
    };
    ASK_ALL_TEMPLATES(table);
}

struct known {
    const char *text;
    const char *prefix;
    bool is_literal;
};

static void what_is_known_of_a_template(void **state)
{
    (void)state;
    static const struct known table[] = {
        {"", "", true},
        {"/a/b", "/a/b", true},
        {"/a/{{host}}/b", "/a/", false},
        {"{{host}}/b", "", false},
        {"/{{{{a", "/{{a", true},
        {"/{{{{a{{host}}", "/{{a", false},
        {"{{'a'}}", "", false},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct arena arena;
        arena_init(&arena, 0);
        struct template *template;
        assert_int_equal(template_compile(&arena, slice_str(table[i].text),
                                          &ask_names, &template, NULL),
                         ERR_OK);
        assert_true(slice_eq(template_literal_prefix(template),
                             slice_str(table[i].prefix)));
        assert_int_equal(template_is_literal(template), table[i].is_literal);
        arena_deinit(&arena);
    }
}

static void what_a_template_uses_and_reads(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct template *template;
    assert_int_equal(template_compile(&arena,
                                      SLICE("{{host}} {{exists('/a')}} "
                                            "{{time.hour(1, 2, 'UTC')}}"),
                                      &ask_names, &template, NULL),
                     ERR_OK);
    assert_int_equal(template_uses(template), EXPR_USES_STORE | EXPR_USES_TIME);
    assert_true(template_reads(template, ASK_HOST));
    assert_false(template_reads(template, ASK_VALUE));
    assert_int_equal(
        template_compile(&arena, SLICE("host"), &ask_names, &template, NULL),
        ERR_OK);
    assert_int_equal(template_uses(template), 0);
    assert_false(template_reads(template, ASK_HOST));
    arena_deinit(&arena);
}

static void a_fault_leaves_no_template(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct template *template = (void *)&arena;
    struct expr_fault fault;
    assert_int_equal(template_compile(&arena, SLICE("\n {{(1}}"), &ask_names,
                                      &template, &fault),
                     ERR_INVALID);
    assert_null(template);
    assert_int_equal(fault.line, 2);
    assert_int_equal(fault.column, 6);
    assert_string_equal(fault.text, "expected ')' here, found '}'");
    struct slice text = ask_repeat(&arena, "", "x", EXPR_TEXT_BYTES_MAX, "");
    assert_int_equal(
        template_compile(&arena, text, &ask_names, &template, NULL), ERR_OK);
    assert_true(slice_eq(template_literal_prefix(template), text));
    text = ask_repeat(&arena, "", "x", EXPR_TEXT_BYTES_MAX + 1, "");
    assert_int_equal(
        template_compile(&arena, text, &ask_names, &template, NULL),
        ERR_TOO_LARGE);
    arena_deinit(&arena);
}

/* Parts put together at random give what they give one by one. */
static void random_templates_give_what_their_parts_give(void **state)
{
    (void)state;
    static const char *const parts[][2] = {
        {"a", "a"},
        {"{{host}}", "web-17"},
        {"{{{{", "{{"},
        {"}", "}"},
        {"{{count+1}}", "8"},
        {" ", " "},
        {"{{'}}'}}", "}}"},
        {"{{''}}", ""},
        {"\xe2\x82\xac", "\xe2\x82\xac"},
        {"{{[1,'a']}}", "[1,\"a\"]"},
    };
    struct prng prng;
    prng_init(&prng, 7);
    struct arena arena;
    arena_init(&arena, 0);
    for (int round = 0; round < 2000; round++) {
        struct buf text = {0}, wanted = {0};
        buf_append_char(&text, '<'); /* never one expression alone */
        buf_append_char(&wanted, '<');
        for (uint64_t i = prng_below(&prng, 12); i > 0; i--) {
            const char *const *part =
                parts[prng_below(&prng, sizeof parts / sizeof parts[0])];
            buf_append_str(&text, part[0]);
            buf_append_str(&wanted, part[1]);
        }
        struct template *template;
        struct value slots[ASK_SLOTS], out;
        ask_fill(&arena, slots);
        assert_int_equal(template_compile(&arena, buf_slice(&text), &ask_names,
                                          &template, NULL),
                         ERR_OK);
        assert_int_equal(
            template_eval(template, slots, NULL, NULL, &arena, &out),
            EXPR_DONE);
        assert_int_equal(out.kind, VALUE_STRING);
        assert_true(slice_eq(out.text, buf_slice(&wanted)));
        buf_deinit(&text);
        buf_deinit(&wanted);
        arena_reset(&arena);
    }
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_without_braces_is_itself),
        cmocka_unit_test(expressions_stand_in_braces),
        cmocka_unit_test(one_expression_alone_keeps_its_kind),
        cmocka_unit_test(other_kinds_become_text_among_text),
        cmocka_unit_test(four_braces_are_two),
        cmocka_unit_test(an_expression_ends_where_it_is_complete),
        cmocka_unit_test(faults_are_counted_from_the_templates_beginning),
        cmocka_unit_test(an_error_in_any_part_is_the_result),
        cmocka_unit_test(what_is_known_of_a_template),
        cmocka_unit_test(what_a_template_uses_and_reads),
        cmocka_unit_test(a_fault_leaves_no_template),
        cmocka_unit_test(random_templates_give_what_their_parts_give),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
