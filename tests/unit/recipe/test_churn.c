/* Patterns that come and go in their thousands, and keys there and back. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/prng.h"
#include "recipe/keys.h"
#include "recipe/pattern.h"

/* ---- the trie ----------------------------------------------------------- */

enum { PATTERNS = 2000, TURNS = 20000, TWICE = 3 };

struct entry {
    struct pattern pattern;
    int in; /* how many times */
    int found;
};

static void note(void *context, void *value)
{
    ((struct entry *)value)->found++;
    ++*(int *)context;
}

/* Broad at the top, some of them deep, with captures that share their way. */
static void make_pattern(struct arena *arena, struct prng *prng,
                         struct pattern *out)
{
    char text[256];
    size_t size = 0;
    uint64_t depth = 1 + prng_below(prng, 6);
    for (uint64_t i = 0; i < depth; i++) {
        uint64_t kind = prng_below(prng, 5);
        if (kind == 0)
            size += (size_t)snprintf(text + size, sizeof text - size, "/{c%d}",
                                     (int)i);
        else
            size += (size_t)snprintf(text + size, sizeof text - size, "/n%d",
                                     (int)prng_below(prng, i ? 4 : 300));
    }
    if (prng_below(prng, 6) == 0)
        snprintf(text + size, sizeof text - size, "/{rest...}");
    else if (prng_below(prng, 6) == 0)
        snprintf(text + size, sizeof text - size, "/");
    assert_int_equal(pattern_parse(arena, slice_str(text), out, NULL), ERR_OK);
}

/* A key that this pattern matches. */
static size_t make_key(const struct pattern *pattern, struct prng *prng,
                       char *out)
{
    size_t size = 0;
    for (size_t i = 0; i < pattern->count; i++) {
        const struct segment *segment = &pattern->segments[i];
        if (i > 0)
            out[size++] = '/';
        if (segment->kind == SEGMENT_LITERAL) {
            memcpy(out + size, segment->text.at, segment->text.size);
            size += segment->text.size;
        } else {
            size += (size_t)snprintf(out + size, 8, "n%d",
                                     (int)prng_below(prng, 4));
        }
    }
    if (pattern->is_prefix)
        size +=
            (size_t)snprintf(out + size, 8, "/n%d", (int)prng_below(prng, 4));
    return size;
}

static void compare(const struct pattern_trie *trie, struct entry *entries,
                    struct slice key, int *matched)
{
    struct slice captures[PATTERN_CAPTURES_MAX];
    int told = 0, wanted = 0;
    for (size_t i = 0; i < PATTERNS; i++)
        entries[i].found = 0;
    pattern_trie_match(trie, key, note, &told);
    for (size_t i = 0; i < PATTERNS; i++) {
        int times =
            entries[i].in && pattern_matches(&entries[i].pattern, key, captures)
                ? entries[i].in
                : 0;
        if (entries[i].found != times)
            fail_msg("%.*s and %.*s: %d times, not %d", (int)key.size, key.at,
                     (int)entries[i].pattern.text.size,
                     entries[i].pattern.text.at, entries[i].found, times);
        wanted += times;
    }
    assert_int_equal(told, wanted);
    *matched += wanted;
}

/* Each may be in it several times; most go again, all at the end. */
static void thousands_come_and_go(void **state)
{
    (void)state;
    static struct entry entries[PATTERNS];
    struct pattern_trie *trie = pattern_trie_new();
    struct arena arena;
    struct prng prng;
    size_t in = 0;
    int matched = 0;
    arena_init(&arena, 0);
    prng_init(&prng, 21);
    for (size_t i = 0; i < PATTERNS; i++)
        make_pattern(&arena, &prng, &entries[i].pattern);
    for (int i = 0; i < TURNS; i++) {
        struct entry *entry = &entries[prng_below(&prng, PATTERNS)];
        /* Waves: now more come, now more go. */
        bool comes = prng_below(&prng, 10) < (i / 4000 % 2 ? 2u : 8u);
        if (comes && entry->in < TWICE) {
            pattern_trie_add(trie, &entry->pattern, entry);
            entry->in++;
            in++;
        } else if (!comes && entry->in > 0) {
            pattern_trie_remove(trie, &entry->pattern, entry);
            entry->in--;
            in--;
        }
        assert_int_equal(pattern_trie_count(trie), in);
        if (i % 40 == 0) {
            char key[256];
            const struct pattern *of =
                &entries[prng_below(&prng, PATTERNS)].pattern;
            compare(trie, entries, slice_of(key, make_key(of, &prng, key)),
                    &matched);
        }
    }
    assert_true(matched > 500);
    for (size_t i = 0; i < PATTERNS; i++) {
        for (; entries[i].in > 0; entries[i].in--)
            pattern_trie_remove(trie, &entries[i].pattern, &entries[i]);
    }
    assert_int_equal(pattern_trie_count(trie), 0);
    compare(trie, entries, SLICE("/n1/n1"), &matched);
    pattern_trie_free(trie);
    arena_deinit(&arena);
}

/* The order in which they came is that in which they are told. */
static void note_order(void *context, void *value)
{
    int *last = context;
    assert_true(*(int *)value > *last);
    *last = *(int *)value;
}

static void those_of_one_pattern_are_told_in_order(void **state)
{
    (void)state;
    enum { VALUES = 200 };
    int values[VALUES];
    struct arena arena;
    struct pattern pattern;
    struct pattern_trie *trie = pattern_trie_new();
    arena_init(&arena, 0);
    assert_int_equal(pattern_parse(&arena, SLICE("/a/{x}"), &pattern, NULL),
                     ERR_OK);
    for (int i = 0; i < VALUES; i++) {
        values[i] = i;
        pattern_trie_add(trie, &pattern, &values[i]);
    }
    for (int i = 0; i < VALUES; i += 3)
        pattern_trie_remove(trie, &pattern, &values[i]);
    int last = -1;
    pattern_trie_match(trie, SLICE("/a/b"), note_order, &last);
    assert_int_equal(last, VALUES - 1);
    pattern_trie_free(trie);
    arena_deinit(&arena);
}

/* ---- keys --------------------------------------------------------------- */

static void any_text(struct prng *prng, const char *letters, size_t max,
                     char *out)
{
    size_t size = prng_below(prng, max) + 1;
    for (size_t i = 0; i < size; i++)
        out[i] = letters[prng_below(prng, strlen(letters))];
    out[size] = '\0';
}

static void keys_go_there_and_back(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 22);
    for (int i = 0; i < 20000; i++) {
        char name[40], text[40];
        struct buf key = {0};
        enum recipe_key kind, read_kind;
        struct slice read_name, read_rest, rest;
        any_text(&prng, "abz09._-", 30, name);
        any_text(&prng, "a/0.{}\xc3\xa4 ", 30, text);
        kind = (enum recipe_key)prng_below(&prng, RECIPE_KEY_COUNT);
        rest = slice_str(prng_below(&prng, 4) ? text : "");
        bool has_rest = prng_below(&prng, 3);
        recipe_key_write(&key, kind, slice_str(name), has_rest ? &rest : NULL);
        assert_true(recipe_key_read(buf_slice(&key), &read_kind, &read_name,
                                    &read_rest));
        assert_int_equal(read_kind, kind);
        assert_true(slice_eq(read_name, slice_str(name)));
        assert_true(slice_eq(read_rest, has_rest ? rest : SLICE("")));
        /* Nothing shorter than the kind and one letter is read. */
        for (size_t size = 0; size < sizeof RECIPES_PREFIX; size++)
            assert_false(recipe_key_read(slice_of(key.at, size), &read_kind,
                                         &read_name, &read_rest));
        buf_deinit(&key);
    }
}

static void runs_go_there_and_back(void **state)
{
    (void)state;
    static const uint32_t parts[] = {0,     1,      9999,   10000,
                                     99999, 100000, 999999, UINT32_MAX};
    static const int64_t revisions[] = {0, 1, 9, 10, 1LL << 53, INT64_MAX};
    struct prng prng;
    prng_init(&prng, 23);
    for (int i = 0; i < 20000; i++) {
        char key[RUN_ID_BYTES_MAX], text[RUN_ID_BYTES_MAX];
        struct run_id read,
            id = {revisions[prng_below(&prng, 6)], parts[prng_below(&prng, 8)],
                  parts[prng_below(&prng, 8)]};
        size_t size = run_id_to_key(&id, key);
        assert_true(run_id_parse(slice_of(key, size), &read));
        assert_int_equal(run_id_compare(&id, &read), 0);
        assert_true(
            run_id_parse(slice_of(text, run_id_to_text(&id, text)), &read));
        assert_int_equal(run_id_compare(&id, &read), 0);
        /* Another byte in it is another run, or none. */
        size_t at = prng_below(&prng, size);
        key[at] = (char)(key[at] == '0' ? '1' : '0');
        if (run_id_parse(slice_of(key, size), &read) && key[at] == '1')
            assert_int_not_equal(run_id_compare(&id, &read), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thousands_come_and_go),
        cmocka_unit_test(those_of_one_pattern_are_told_in_order),
        cmocka_unit_test(keys_go_there_and_back),
        cmocka_unit_test(runs_go_there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
