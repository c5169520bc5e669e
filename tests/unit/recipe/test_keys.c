/* Keys of the service: written, read back, in the order of what they name. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/prng.h"
#include "recipe/keys.h"

static void a_key_is_written_as_the_table_has_it(void **state)
{
    (void)state;
    static const struct {
        enum recipe_key kind;
        const char *name, *rest, *key;
    } rows[] = {
        {RECIPE_KEY_DEF, "disk-full", NULL, "/_recipes/def/disk-full"},
        {RECIPE_KEY_RUN, "a", "", "/_recipes/run/a/"},
        {RECIPE_KEY_IN, "a", "0/x", "/_recipes/in/a/0/x"},
        {RECIPE_KEY_STATE, "a", "hold/0/b/c", "/_recipes/state/a/hold/0/b/c"},
        {RECIPE_KEY_STATUS, "s", NULL, "/_recipes/status/s"},
        {RECIPE_KEY_WORKER, "1a", NULL, "/_recipes/worker/1a"},
        {RECIPE_KEY_OWNER, "s", NULL, "/_recipes/owner/s"},
        {RECIPE_KEY_CURSOR, "s", NULL, "/_recipes/cursor/s"},
        {RECIPE_KEY_ACTIVE, "s", "1.2.3", "/_recipes/active/s/1.2.3"},
        {RECIPE_KEY_DEAD, "s", "1.2.3.page", "/_recipes/dead/s/1.2.3.page"},
        {RECIPE_KEY_SEEN, "s", "1/id", "/_recipes/seen/s/1/id"},
        {RECIPE_KEY_SECRET, "pager_url", NULL, "/_recipes/secret/pager_url"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf key = {0};
        enum recipe_key kind;
        struct slice name, rest;
        struct slice rest_in = slice_str(rows[i].rest);
        recipe_key_write(&key, rows[i].kind, slice_str(rows[i].name),
                         rows[i].rest ? &rest_in : NULL);
        assert_true(slice_eq(buf_slice(&key), slice_str(rows[i].key)));
        assert_true(recipe_key_read(buf_slice(&key), &kind, &name, &rest));
        assert_int_equal(kind, rows[i].kind);
        assert_true(slice_eq(name, slice_str(rows[i].name)));
        assert_true(slice_eq(rest, rest_in));
        buf_deinit(&key);
    }
}

static void other_keys_are_not_read(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "",
        "/",
        "/_recipes",
        "/_recipes/",
        "/_recipes/def",
        "/_recipes/def/",
        "/_recipes/defs/a",
        "/_recipe/def/a",
        "_recipes/def/a",
        "/a/_recipes/def/a",
        "/_recipes//a",
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        enum recipe_key kind;
        struct slice name, rest;
        assert_false(recipe_key_read(slice_str(keys[i]), &kind, &name, &rest));
    }
}

static void names_are_small_letters_and_digits(void **state)
{
    (void)state;
    char text[RECIPE_NAME_BYTES_MAX + 1];
    memset(text, 'a', sizeof text);
    assert_true(recipe_name_is_valid(slice_of(text, RECIPE_NAME_BYTES_MAX)));
    assert_false(recipe_name_is_valid(slice_of(text, sizeof text)));
    assert_true(recipe_name_is_valid(SLICE("0")));
    assert_true(recipe_name_is_valid(SLICE("a.b_c-9")));
    static const char *const bad[] = {"",    "-a",  ".a", "_a",      "A",
                                      "a/b", "a b", "a{", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(recipe_name_is_valid(slice_str(bad[i])));
}

static void check_id(struct run_id id, const char *key, const char *text)
{
    char out[RUN_ID_BYTES_MAX];
    struct run_id read;
    size_t size = run_id_to_key(&id, out);
    assert_true(slice_eq(slice_of(out, size), slice_str(key)));
    assert_true(run_id_parse(slice_of(out, size), &read));
    assert_int_equal(run_id_compare(&id, &read), 0);
    size = run_id_to_text(&id, out);
    assert_true(slice_eq(slice_of(out, size), slice_str(text)));
    assert_true(run_id_parse(slice_of(out, size), &read));
    assert_int_equal(run_id_compare(&id, &read), 0);
}

static void a_run_has_two_spellings(void **state)
{
    (void)state;
    check_id((struct run_id){1234, 0, 0}, "0000000000000001234.00000.0000",
             "1234");
    check_id((struct run_id){1234, 2, 0}, "0000000000000001234.00002.0000",
             "1234.2");
    check_id((struct run_id){1234, 0, RUN_TAG_DUE},
             "0000000000000001234.00000.0001", "1234.0.1");
    check_id((struct run_id){INT64_MAX, UINT32_MAX, UINT32_MAX},
             "9223372036854775807.:4294967295.:4294967295",
             "9223372036854775807.4294967295.4294967295");
}

static void what_is_no_run_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        ".",
        "1.",
        "1..2",
        "a",
        "1.a",
        "1.2.3.4",
        "-1",
        "1.2.",
        "1.-2",
        "1.2.:",
        "1.::2.3",
        "9223372036854775808",
        "1.4294967296",
    };
    struct run_id id = {7, 7, 7};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(run_id_parse(slice_str(bad[i]), &id));
    assert_int_equal(id.revision, 7);
}

/* Small numbers and large ones, so that the wider form comes in too. */
static uint32_t any_part(struct prng *prng)
{
    uint32_t bound = prng_below(prng, 2) ? 20 : UINT32_MAX;
    return (uint32_t)prng_below(prng, bound);
}

static void keys_of_runs_are_in_their_order(void **state)
{
    (void)state;
    struct prng prng;
    char a_key[RUN_ID_BYTES_MAX], b_key[RUN_ID_BYTES_MAX];
    prng_init(&prng, 7);
    for (int i = 0; i < 100000; i++) {
        struct run_id a = {(int64_t)prng_below(&prng, 20), any_part(&prng),
                           any_part(&prng)};
        struct run_id b = {(int64_t)prng_below(&prng, 20), any_part(&prng),
                           any_part(&prng)};
        struct slice a_text = slice_of(a_key, run_id_to_key(&a, a_key));
        struct slice b_text = slice_of(b_key, run_id_to_key(&b, b_key));
        int by_key = slice_cmp(a_text, b_text);
        assert_int_equal((by_key > 0) - (by_key < 0), run_id_compare(&a, &b));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_written_as_the_table_has_it),
        cmocka_unit_test(other_keys_are_not_read),
        cmocka_unit_test(names_are_small_letters_and_digits),
        cmocka_unit_test(a_run_has_two_spellings),
        cmocka_unit_test(what_is_no_run_is_refused),
        cmocka_unit_test(keys_of_runs_are_in_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
