/* Documents that nobody writes by hand: torn, mangled, of bytes that are no
 * text; and memory that isn't there. Whatever comes, it is refused with a
 * reason, or taken and then as sound as any. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/prng.h"
#include "recipe_corpus.h"
#include "recipe_plan.h"
#include "recipe_support.h"

/* From a copy of its very size, so that a sanitizer sees a read beyond it. */
static bool try_text(struct slice text)
{
    struct recipe *recipe;
    struct recipe_fault fault;
    char *copy = mem_dup(text.at, text.size);
    enum err err =
        recipe_parse(slice_of(copy, text.size), &recipe_zones, &recipe, &fault);
    if (err) {
        assert_null(recipe);
        assert_true(fault.text[0] != '\0');
        assert_true(slice_is_utf8(slice_str(fault.path)) ||
                    strlen(fault.path) == sizeof fault.path - 1);
        assert_true(fault.line >= 0 && fault.column >= 0);
        assert_true((fault.line == 0) == (fault.column == 0));
    } else {
        plan_expect_fixed_point(recipe);
        recipe_free(recipe);
    }
    mem_free(copy);
    return err == ERR_OK;
}

static void each_beginning_is_refused_or_whole(void **state)
{
    (void)state;
    struct slice text;
    for (size_t i = 0; corpus_text(i, &text); i += 3) {
        int taken = 0;
        for (size_t size = 0; size <= text.size; size++)
            taken += try_text(slice_of(text.at, size));
        assert_in_range(taken, 1, text.size / 2);
    }
}

/* Bytes that mean something to some reader, or to none. */
static char any_byte(struct prng *prng)
{
    static const char bytes[] = "{}[]:,'\"\\\n\t -#&*!|>%@`~?0\0\x01\x7f"
                                "\x80\xc3\xff";
    return bytes[prng_below(prng, sizeof bytes - 1)];
}

static void mangle(struct prng *prng, struct buf *text)
{
    size_t at = prng_below(prng, text->size);
    size_t more = 1 + prng_below(prng, 8);
    size_t left = text->size - at;
    switch (prng_below(prng, 4)) {
    case 0:
        text->at[at] = any_byte(prng);
        break;
    case 1: /* something is gone */
        more = more < left ? more : left;
        memmove(text->at + at, text->at + at + more, left - more);
        text->size -= more;
        break;
    case 2: /* something is there that was elsewhere */
        memcpy(text->at + at, text->at + prng_below(prng, at + 1),
               more < left && more < 2 ? more : 1);
        break;
    default:
        buf_append_char(text, ' ');
        memmove(text->at + at + 1, text->at + at, left);
        text->at[at] = any_byte(prng);
    }
}

static void mangled_texts_are_refused_or_sound(void **state)
{
    (void)state;
    struct prng prng;
    struct slice text;
    int taken = 0, tried = 0;
    prng_init(&prng, 12);
    for (size_t i = 0; corpus_text(i, &text); i++) {
        for (int j = 0; j < 250; j++) {
            struct buf copy = {0};
            buf_append_slice(&copy, text);
            for (uint64_t k = 1 + prng_below(&prng, 3); k > 0 && copy.size; k--)
                mangle(&prng, &copy);
            taken += try_text(buf_slice(&copy));
            tried++;
            buf_deinit(&copy);
        }
    }
    assert_in_range(taken, tried / 20, tried);
}

static const char *told_of(struct slice text)
{
    static char told[512];
    struct recipe *recipe;
    enum err err = recipe_parse(text, &recipe_zones, &recipe, NULL);
    snprintf(told, sizeof told, "%s", err ? err_note() : "taken");
    recipe_free(recipe);
    return told;
}

#define HEAD "name: r\n"
#define REST "if: {key: /a}\nthen: {log: hi}\n"

static void what_yaml_has_beside_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *told;
    } rows[] = {
        {HEAD "labels: &l {a: b}\n" REST, "anchors are not supported"},
        {HEAD "labels: {a: b, a: c}\n" REST, "\"a\" is there twice"},
        {HEAD HEAD REST, "the key \"name\" is there twice"},
        {HEAD "labels: {a: !x b}\n" REST, "tag"},
        {HEAD "labels: {[a]: b}\n" REST, "line 2"},
        {HEAD "description: \"\xff\"\n" REST, "UTF-8"},
        {HEAD "description: \"\xed\xa0\x80\"\n" REST, "Unicode"},
        {HEAD "description: \x01\n" REST, "control characters"},
        {HEAD REST "---\n" HEAD REST, "document"},
        {HEAD "<<: {a: b}\n" REST, "unknown field \"<<\""},
        {"{\"name\":\"r\",\"name\":\"r\"}", "duplicate"},
        {"{\"name\":\"\\ud800\"}", "line 1"},
        {"{\"name\":\"r\"} x", "line 1"},
        {"{\"name\":r}", "line 1"},
        {"{\"name\":'r'}", "line 1"},
        {"{\"max\":01}", "line 1"},
        {"{\"max\":1e999}", "line 1"},
        {"{name: r}", "line 1"},
        {"\xef\xbb\xbf", "nothing is here"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *told = told_of(slice_str(rows[i].text));
        if (!strstr(told, rows[i].told))
            fail_msg("%s: %s, not %s", rows[i].text, told, rows[i].told);
    }
}

/* One string that fills the document, in each place that takes one. */
static void huge_strings_are_no_trouble(void **state)
{
    (void)state;
    static const char *const places[] = {
        HEAD REST "description: ",
        HEAD "if: {key: /a}\nthen: {log: ",
        HEAD "if: {key: /",
        HEAD REST "where: ",
        HEAD REST "owner: ",
        HEAD REST "order: ",
        HEAD REST "debounce: ",
        HEAD "then: {log: hi}\nif: {cron: ",
        HEAD "if: {key: /a}\nthen: {put: {value: 1, key: ",
        HEAD REST,
        "name: ",
    };
    static const char *const pieces[] = {
        "x", "{{x}}", "{{", "9", "x+", "((", "\"", "'", "\xc3\xa4", "/", "0 "};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        for (size_t j = 0; j < sizeof pieces / sizeof pieces[0]; j++) {
            struct buf text = {0};
            buf_append_str(&text, places[i]);
            while (text.size + strlen(pieces[j]) < RECIPE_BYTES_MAX - 8)
                buf_append_str(&text, pieces[j]);
            (void)try_text(buf_slice(&text));
            buf_append_char(&text, '}');
            (void)try_text(buf_slice(&text));
            buf_deinit(&text);
        }
    }
}

/* matches() and zones ask for memory that may not be there. */
static void without_memory_it_is_refused(void **state)
{
    (void)state;
    struct slice text =
        SLICE("name: r\nif: [{key: '/a/{x}'}, {cron: '@daily', tz: "
              "Europe/Berlin}]\nwhere: [\"x.matches('^a+$')\", "
              "\"time.hour(8, 9, 'UTC')\"]\nthen: {log: \"{{x.matches(key)}}\"}"
              "\n");
    int refused = 0;
    for (uint64_t n = 1;; n++) {
        struct recipe *recipe;
        mem_fail_after(n);
        enum err err = recipe_parse(text, &recipe_zones, &recipe, NULL);
        uint64_t asked = mem_fail_after(0);
        recipe_free(recipe);
        if (asked < n) { /* all were there */
            assert_int_equal(err, ERR_OK);
            break;
        }
        refused += err != ERR_OK;
        assert_true(n < 1000);
    }
    assert_true(refused >= 3);
}

/* ---- a pattern that can't be -------------------------------------------- */

static void a_bad_regex_is_refused_in_its_place(void **state)
{
    (void)state;
    assert_string_equal(
        told_of(SLICE("name: r\nif: {key: '/a/{x}'}\nthen: {log: hi}\n"
                      "where: \"x == 'q' || x.matches('[z-a]')\"\n")),
        "line 4, column 31: where[0]: matches: bad pattern, at byte 3: range "
        "out of order in character class");
    assert_string_equal(
        told_of(SLICE("{\"name\":\"r\",\"if\":{\"key\":\"/a\"},\"then\":{"
                      "\"log\":\"{{key.matches('(')}}\"}}")),
        "line 1, column 60: then[0].log: matches: bad pattern, at byte 1: "
        "missing closing parenthesis");
    assert_string_equal(told_of(SLICE("name: r\nif: {key: '/a/{x}'}\n"
                                      "then: {log: \"{{x.matches(key)}}\"}\n")),
                        "taken");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_beginning_is_refused_or_whole),
        cmocka_unit_test(mangled_texts_are_refused_or_sound),
        cmocka_unit_test(what_yaml_has_beside_is_refused),
        cmocka_unit_test(huge_strings_are_no_trouble),
        cmocka_unit_test(without_memory_it_is_refused),
        cmocka_unit_test(a_bad_regex_is_refused_in_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
