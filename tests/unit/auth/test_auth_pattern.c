/* v2's patterns, and the ranges that they are. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "auth/auth.h"

static struct arena arena;

static int begin(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define EXPECT(got, literal) assert_true(slice_eq(got, SLICE(literal)))

static bool say(struct slice key, struct slice range_end, struct slice *out)
{
    struct auth_permission permission = {
        .access = AUTH_READ, .key = key, .range_end = range_end};
    return auth_pattern_of(&permission, &arena, out);
}

static void test_a_key(void **state)
{
    (void)state;
    struct slice key, range_end, pattern;
    auth_range_of(SLICE("/a"), &arena, &key, &range_end);
    EXPECT(key, "/a");
    EXPECT(range_end, "");
    assert_true(say(key, range_end, &pattern));
    EXPECT(pattern, "/a");
}

static void test_a_prefix(void **state)
{
    (void)state;
    struct slice key, range_end, pattern;
    auth_range_of(SLICE("/a*"), &arena, &key, &range_end);
    EXPECT(key, "/a");
    EXPECT(range_end, "/b");
    assert_true(say(key, range_end, &pattern));
    EXPECT(pattern, "/a*");
    auth_range_of(SLICE("/a/*"), &arena, &key, &range_end);
    EXPECT(key, "/a/");
    EXPECT(range_end, "/a0");
    auth_range_of(SLICE("/a\xff*"), &arena, &key, &range_end);
    EXPECT(key, "/a\xff");
    EXPECT(range_end, "/b");
    auth_range_of(SLICE("\xff\xff*"), &arena, &key, &range_end);
    EXPECT(range_end, "\0");
}

/* Only the last one is a wildcard. */
static void test_a_star_in_a_name(void **state)
{
    (void)state;
    struct slice key, range_end, pattern;
    auth_range_of(SLICE("/a**"), &arena, &key, &range_end);
    EXPECT(key, "/a*");
    EXPECT(range_end, "/a+");
    assert_true(say(key, range_end, &pattern));
    EXPECT(pattern, "/a**");
    auth_range_of(SLICE("/*a"), &arena, &key, &range_end);
    EXPECT(key, "/*a");
    EXPECT(range_end, "");
    assert_false(say(SLICE("/a*"), SLICE(""), &pattern));
}

static void test_everything(void **state)
{
    (void)state;
    struct slice key, range_end, pattern;
    auth_range_of(SLICE("*"), &arena, &key, &range_end);
    EXPECT(key, "\0");
    EXPECT(range_end, "\0");
    assert_true(say(key, range_end, &pattern));
    EXPECT(pattern, "*");
    assert_true(say(SLICE(""), SLICE("\0"), &pattern));
    EXPECT(pattern, "*");
    auth_range_of(SLICE("/*"), &arena, &key, &range_end);
    EXPECT(key, "/");
    EXPECT(range_end, "0");
}

static void test_what_cant_be_said(void **state)
{
    (void)state;
    struct slice pattern;
    assert_false(say(SLICE("/a"), SLICE("/c"), &pattern));
    assert_false(say(SLICE("/a"), SLICE("\0"), &pattern));
    assert_false(say(SLICE("/a"), SLICE("/a\0"), &pattern));
    assert_false(say(SLICE(""), SLICE("b"), &pattern));
    assert_false(say(SLICE(""), SLICE(""), &pattern));
    assert_false(say(SLICE("/\xff"), SLICE("0"), &pattern));
    assert_false(say(SLICE("\xff"), SLICE("\0"), &pattern));
}

static void test_an_empty_pattern(void **state)
{
    (void)state;
    struct slice key, range_end;
    auth_range_of(SLICE(""), &arena, &key, &range_end);
    assert_int_equal(key.size, 0);
    assert_int_equal(range_end.size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_a_key),
        STORY(test_a_prefix),
        STORY(test_a_star_in_a_name),
        STORY(test_everything),
        STORY(test_what_cant_be_said),
        STORY(test_an_empty_pattern),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
