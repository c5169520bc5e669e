/* What holds for all three parsers alike: their limits to the very value, an
 * end at any byte, memory that runs out at any place, and the same tree of
 * the same things. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "doc_dump.h"

static const struct parser {
    const char *name;
    doc_parser parse;
    const char *sample; /* {a:[1,2.5,true,"x\n"],b:{c:{d:"é"}}} */
} parsers[] = {
    {"json", doc_parse_json,
     "{\"a\": [1, 2.5, true, \"x\\n\"], \"b\": {\"c\": {\"d\": \"\\u00e9\"}}}"},
    {"yaml", doc_parse_yaml,
     "# sample\na:\n  - 1\n  - 2.5\n  - true\n  - \"x\\n\"\nb:\n  c: {d: é}\n"},
    {"toml", doc_parse_toml,
     "# sample\na = [ 1, 2.5, true,\n  \"x\\n\" ]\n[b]\nc.d = 'é'\n"},
};

enum { PARSERS = sizeof parsers / sizeof parsers[0], SAMPLE_VALUES = 9 };

/* Parses the sample with these limits; the error, or ERR_OK. */
static enum err parse_sample(const struct parser *parser,
                             const struct doc_limits *limits)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct doc_value *value;
    enum err err =
        parser->parse(&arena, slice_str(parser->sample), limits, &value);
    assert_int_equal(err == ERR_OK, value != NULL);
    arena_deinit(&arena);
    return err;
}

static void the_same_things_make_the_same_tree(void **state)
{
    (void)state;
    struct buf out = {0};
    for (int i = 0; i < PARSERS; i++) {
        dump_parsed(parsers[i].parse, slice_str(parsers[i].sample),
                    &doc_limits_default, &out);
        assert_string_equal(out.at, "{a:[1,2.5,true,\"x\n\"],b:{c:{d:\"é\"}}}");
    }
    buf_deinit(&out);
}

static void the_last_byte_within_the_limit_is_fine(void **state)
{
    (void)state;
    for (int i = 0; i < PARSERS; i++) {
        struct doc_limits limits = doc_limits_default;
        limits.bytes_max = strlen(parsers[i].sample);
        assert_int_equal(parse_sample(&parsers[i], &limits), ERR_OK);
        limits.bytes_max--;
        assert_int_equal(parse_sample(&parsers[i], &limits), ERR_TOO_LARGE);
    }
}

static void the_last_value_within_the_limit_is_fine(void **state)
{
    (void)state;
    for (int i = 0; i < PARSERS; i++) {
        struct doc_limits limits = doc_limits_default;
        limits.values_max = SAMPLE_VALUES;
        assert_int_equal(parse_sample(&parsers[i], &limits), ERR_OK);
        for (size_t count = 0; count < SAMPLE_VALUES; count++) {
            limits.values_max = count;
            assert_int_equal(parse_sample(&parsers[i], &limits), ERR_TOO_LARGE);
        }
    }
}

static void the_last_level_within_the_limit_is_fine(void **state)
{
    (void)state;
    for (int i = 0; i < PARSERS; i++) {
        struct doc_limits limits = doc_limits_default;
        int deepest = -1;
        for (int depth = 0; depth < 10; depth++) {
            limits.depth_max = depth;
            enum err err = parse_sample(&parsers[i], &limits);
            assert_true(err == ERR_OK || err == ERR_TOO_LARGE);
            /* Once it is enough, more is enough too. */
            assert_false(err && deepest >= 0);
            deepest = !err && deepest < 0 ? depth : deepest;
        }
        /* Root, b, c, d; TOML's dotted key counts its last name besides. */
        assert_true(deepest == 4 || deepest == 5);
    }
}

static void the_default_limits_are_as_documented(void **state)
{
    (void)state;
    assert_int_equal(doc_limits_default.bytes_max, 1024 * 1024);
    assert_int_equal(doc_limits_default.depth_max, 64);
    assert_int_equal(doc_limits_default.values_max, 100000);
}

/* A text that ends anywhere: a tree or an error that says something. */
static void an_end_at_any_byte_is_no_trouble(void **state)
{
    (void)state;
    struct buf out = {0};
    for (int i = 0; i < PARSERS; i++) {
        size_t size_max = strlen(parsers[i].sample);
        int errors = 0;
        for (size_t size = 0; size < size_max; size++) {
            dump_parsed(parsers[i].parse, slice_of(parsers[i].sample, size),
                        &doc_limits_default, &out);
            bool is_error =
                slice_has_prefix(buf_slice(&out), SLICE("INVALID: "));
            assert_true(!is_error || out.size > sizeof "INVALID: ");
            errors += is_error;
        }
        assert_true(errors > 10);
    }
    buf_deinit(&out);
}

/* Any byte instead of any other: the same. */
static void a_wrong_byte_anywhere_is_no_trouble(void **state)
{
    (void)state;
    static const unsigned char wrong[] = {0,   '\n', '"', '\'', '[', ']', '{',
                                          '}', ',',  ':', '=',  '.', '#', '\\',
                                          '&', '*',  '!', 0x80, 0xff};
    struct buf out = {0};
    struct buf text = {0};
    for (int i = 0; i < PARSERS; i++) {
        struct slice sample = slice_str(parsers[i].sample);
        for (size_t at = 0; at < sample.size; at++) {
            for (size_t j = 0; j < sizeof wrong; j++) {
                buf_reset(&text);
                buf_append_slice(&text, sample);
                text.at[at] = (char)wrong[j];
                dump_parsed(parsers[i].parse, buf_slice(&text),
                            &doc_limits_default, &out);
                assert_true(out.size > 1);
            }
        }
    }
    buf_deinit(&text);
    buf_deinit(&out);
}

/* The arena's own bound is met as an error at whatever value it comes. */
static void an_arena_of_any_size_is_no_trouble(void **state)
{
    (void)state;
    for (int i = 0; i < PARSERS; i++) {
        enum err err = ERR_NO_MEMORY;
        size_t bytes_max;
        for (bytes_max = 16; err; bytes_max += 16) {
            assert_true(bytes_max < 100000);
            struct arena arena;
            arena_init(&arena, bytes_max);
            struct doc_value *value;
            err = parsers[i].parse(&arena, slice_str(parsers[i].sample),
                                   &doc_limits_default, &value);
            assert_int_equal(err == ERR_OK, value != NULL);
            assert_true(err == ERR_OK || err == ERR_NO_MEMORY);
            arena_deinit(&arena);
        }
        assert_true(bytes_max > SAMPLE_VALUES * sizeof(struct doc_value));
    }
}

/* An arena may hold several documents, one after the other. */
static void documents_share_an_arena(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct doc_value *values[PARSERS];
    for (int i = 0; i < PARSERS; i++) {
        assert_int_equal(parsers[i].parse(&arena, slice_str(parsers[i].sample),
                                          &doc_limits_default, &values[i]),
                         ERR_OK);
    }
    for (int i = 0; i < PARSERS; i++) {
        const struct doc_value *list = doc_get(values[i], "a");
        assert_int_equal(list->count, 4);
        assert_int_equal(list->items[0]->integer, 1);
        assert_true(list->items[0]->number == 1.0);
        assert_true(list->items[1]->number == 2.5);
        assert_true(list->items[2]->boolean);
        assert_true(slice_eq(list->items[3]->text, SLICE("x\n")));
        /* The zero behind a string's text is not part of it. */
        assert_int_equal(list->items[3]->text.at[2], '\0');
    }
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_things_make_the_same_tree),
        cmocka_unit_test(the_last_byte_within_the_limit_is_fine),
        cmocka_unit_test(the_last_value_within_the_limit_is_fine),
        cmocka_unit_test(the_last_level_within_the_limit_is_fine),
        cmocka_unit_test(the_default_limits_are_as_documented),
        cmocka_unit_test(an_end_at_any_byte_is_no_trouble),
        cmocka_unit_test(a_wrong_byte_anywhere_is_no_trouble),
        cmocka_unit_test(an_arena_of_any_size_is_no_trouble),
        cmocka_unit_test(documents_share_an_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
