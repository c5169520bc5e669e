/* The trie of patterns finds just what one by one would be found. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/prng.h"
#include "recipe/pattern.h"

enum { PATTERNS = 400, KEYS = 3000 };

struct entry {
    struct pattern pattern;
    bool is_in;
    int found;
};

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

static void parse(const char *text, struct pattern *out)
{
    assert_int_equal(pattern_parse(&arena, slice_str(text), out, NULL), ERR_OK);
}

static void count_found(void *context, void *value)
{
    ((struct entry *)value)->found++;
    ++*(int *)context;
}

static void it_is_told_what_matches(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "/m/{host}/disk", "/m/a/disk", "/m/", "/m/{x...}", "/m/{a}/{b}",
        "/m/a/load",      "/{x}",      "/",   "{x...}",    "/m/a/disk/",
    };
    enum { COUNT = sizeof texts / sizeof texts[0] };
    static const bool wanted[COUNT] = {true,  true,  true, true, true,
                                       false, false, true, true, false};
    struct entry entries[COUNT] = {0};
    struct pattern_trie *trie = pattern_trie_new();
    int count = 0;
    for (size_t i = 0; i < COUNT; i++) {
        parse(texts[i], &entries[i].pattern);
        pattern_trie_add(trie, &entries[i].pattern, &entries[i]);
    }
    assert_int_equal(pattern_trie_count(trie), COUNT);
    pattern_trie_match(trie, SLICE("/m/a/disk"), count_found, &count);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(entries[i].found, wanted[i]);
    assert_int_equal(count, 7);
    pattern_trie_free(trie);
}

static void one_pattern_may_have_several_values(void **state)
{
    (void)state;
    struct entry a = {0}, b = {0};
    struct pattern_trie *trie = pattern_trie_new();
    int count = 0;
    parse("/a/{x}", &a.pattern);
    parse("/a/{y}", &b.pattern);
    pattern_trie_add(trie, &a.pattern, &a);
    pattern_trie_add(trie, &b.pattern, &b);
    pattern_trie_add(trie, &a.pattern, &a);
    pattern_trie_match(trie, SLICE("/a/1"), count_found, &count);
    assert_int_equal(count, 3);
    assert_int_equal(a.found, 2);
    pattern_trie_remove(trie, &a.pattern, &a);
    pattern_trie_remove(trie, &b.pattern, &b);
    count = 0;
    pattern_trie_match(trie, SLICE("/a/1"), count_found, &count);
    assert_int_equal(count, 1);
    assert_int_equal(pattern_trie_count(trie), 1);
    pattern_trie_free(trie);
}

/* ---- beside a naive twin ------------------------------------------------ */

/* Few words, so that much overlaps. */
static const char *any_word(struct prng *prng)
{
    static const char *const words[] = {"a", "b", "c", "", "_recipes"};
    return words[prng_below(prng, 5)];
}

static void any_pattern(struct prng *prng, char *out, size_t room)
{
    size_t size = 0;
    uint64_t depth = 1 + prng_below(prng, 4);
    for (uint64_t i = 0; i < depth; i++) {
        bool captures = prng_below(prng, 3) == 0;
        bool is_rest = captures && i + 1 == depth && prng_below(prng, 2);
        const char *slash = i == 0 && prng_below(prng, 8) == 0 ? "" : "/";
        if (captures)
            size += (size_t)snprintf(out + size, room - size, "%s{x%d%s}",
                                     slash, (int)i, is_rest ? "..." : "");
        else
            size += (size_t)snprintf(out + size, room - size, "%s%s", slash,
                                     any_word(prng));
    }
    bool is_rest = size >= 4 && memcmp(out + size - 4, "...}", 4) == 0;
    if (size == 0 || (!is_rest && prng_below(prng, 5) == 0))
        snprintf(out + size, room - size, "/");
}

static void any_key(struct prng *prng, char *out, size_t room)
{
    size_t size = 0;
    uint64_t depth = prng_below(prng, 6);
    out[0] = '\0';
    for (uint64_t i = 0; i < depth; i++)
        size += (size_t)snprintf(out + size, room - size, "%s%s",
                                 i == 0 && prng_below(prng, 8) == 0 ? "" : "/",
                                 any_word(prng));
}

static void compare(const struct pattern_trie *trie, struct entry *entries,
                    const char *key)
{
    struct slice captures[PATTERN_CAPTURES_MAX];
    int count = 0, wanted = 0;
    for (size_t i = 0; i < PATTERNS; i++)
        entries[i].found = 0;
    pattern_trie_match(trie, slice_str(key), count_found, &count);
    for (size_t i = 0; i < PATTERNS; i++) {
        bool matches =
            entries[i].is_in &&
            pattern_matches(&entries[i].pattern, slice_str(key), captures);
        if (entries[i].found != matches)
            fail_msg("%s and %.*s", key, (int)entries[i].pattern.text.size,
                     entries[i].pattern.text.at);
        wanted += matches;
    }
    assert_int_equal(count, wanted);
}

static void it_agrees_with_a_naive_twin(void **state)
{
    (void)state;
    static struct entry entries[PATTERNS];
    struct pattern_trie *trie = pattern_trie_new();
    struct prng prng;
    char text[128];
    size_t in = 0;
    prng_init(&prng, 3);
    for (size_t i = 0; i < PATTERNS; i++) {
        any_pattern(&prng, text, sizeof text);
        parse(text, &entries[i].pattern);
    }
    for (int i = 0; i < KEYS; i++) {
        struct entry *entry = &entries[prng_below(&prng, PATTERNS)];
        if (entry->is_in)
            pattern_trie_remove(trie, &entry->pattern, entry);
        else
            pattern_trie_add(trie, &entry->pattern, entry);
        in += entry->is_in ? (size_t)-1 : 1;
        entry->is_in = !entry->is_in;
        assert_int_equal(pattern_trie_count(trie), in);
        any_key(&prng, text, sizeof text);
        compare(trie, entries, text);
    }
    for (size_t i = 0; i < PATTERNS; i++) {
        if (entries[i].is_in)
            pattern_trie_remove(trie, &entries[i].pattern, &entries[i]);
        entries[i].is_in = false;
    }
    assert_int_equal(pattern_trie_count(trie), 0);
    compare(trie, entries, "/a/b");
    pattern_trie_free(trie);
}

static void a_key_of_many_slashes_is_no_trouble(void **state)
{
    (void)state;
    static char key[100000];
    struct entry entry = {0};
    struct pattern_trie *trie = pattern_trie_new();
    int count = 0;
    memset(key, '/', sizeof key);
    parse("//{x...}", &entry.pattern);
    pattern_trie_add(trie, &entry.pattern, &entry);
    pattern_trie_match(trie, slice_of(key, sizeof key), count_found, &count);
    assert_int_equal(count, 1);
    pattern_trie_free(trie);
    pattern_trie_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_told_what_matches),
        cmocka_unit_test(one_pattern_may_have_several_values),
        cmocka_unit_test(it_agrees_with_a_naive_twin),
        cmocka_unit_test(a_key_of_many_slashes_is_no_trouble),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
