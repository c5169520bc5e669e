/* The revisions of one key, as its entry holds them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/prng.h"
#include "mvcc/revs.h"

static struct slab slab;
static struct entry *entry;

static int setup(void **state)
{
    (void)state;
    slab_init(&slab);
    entry = index__entry_new(&slab, SLICE("/key"));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    revs__deinit(&slab, entry);
    index__entry_free(&slab, entry);
    slab_deinit(&slab);
    return 0;
}

static void push(revision main, uint32_t sub, revision create, int64_t version)
{
    revs__push(&slab, entry, (struct rev){main, sub}, create, version);
}

static void end(revision main, uint32_t sub)
{
    push(main, sub, 0, 0);
}

static struct buf text;

static const char *shown(void)
{
    buf_append_char(&text, '\0');
    return text.at;
}

/* "main.sub", with "!" where it is a tombstone. */
static const char *at(revision main)
{
    bool live;
    struct rev rev = revs__at(entry, main, &live);
    buf_reset(&text);
    buf_printf(&text, "%lld.%u%s", (long long)rev.main, rev.sub,
               live ? "" : "!");
    return shown();
}

static const char *from(revision main)
{
    struct rev rev = revs__from(entry, main);
    buf_reset(&text);
    buf_printf(&text, "%lld.%u", (long long)rev.main, rev.sub);
    return shown();
}

static void note_drop(void *context, struct rev rev)
{
    struct buf *to = context;
    buf_printf(to, "%lld.%u ", (long long)rev.main, rev.sub);
}

/* What was dropped, then how it ended. */
static const char *compact_some(revision main, size_t budget)
{
    static const char *const ends[] = {"some", "none", "more"};
    buf_reset(&text);
    enum revs__rest rest =
        revs__compact(&slab, entry, main, &budget, note_drop, &text);
    buf_append_str(&text, ends[rest]);
    return shown();
}

static const char *compact(revision main)
{
    return compact_some(main, 1000000);
}

#define IS(text, want) assert_string_equal(text, want)

/* ---- stories ------------------------------------------------------------- */

static void test_an_entry_without_a_revision(void **state)
{
    (void)state;
    assert_false(revs__live(entry));
    assert_int_equal(revs__count(entry), 0);
    IS(at(100), "0.0!");
    IS(from(0), "0.0");
}

static void test_a_key_written_once_has_no_past(void **state)
{
    (void)state;
    push(7, 2, 7, 1);
    assert_null(entry->more);
    assert_true(revs__live(entry));
    assert_int_equal(revs__create(entry), 7);
    assert_int_equal(revs__version(entry), 1);
    assert_int_equal(revs__newest(entry).main, 7);
    assert_int_equal(revs__newest(entry).sub, 2);
    assert_int_equal(revs__count(entry), 1);
    IS(at(6), "0.0!");
    IS(at(7), "7.2");
    IS(at(8), "7.2");
    IS(from(0), "7.2");
    IS(from(7), "7.2");
    IS(from(8), "0.0");
}

/* As a restart after a compaction finds it. */
static void test_a_key_whose_beginning_is_gone(void **state)
{
    (void)state;
    push(100, 0, 7, 12);
    assert_non_null(entry->more);
    assert_int_equal(revs__create(entry), 7);
    assert_int_equal(revs__version(entry), 12);
    assert_int_equal(revs__count(entry), 1);
    push(101, 0, 7, 13);
    assert_int_equal(revs__version(entry), 13);
    assert_int_equal(revs__count(entry), 2);
    IS(at(100), "100.0");
    IS(at(99), "0.0!");
}

static void test_a_long_life(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 1000; i++)
        push(10 + 10 * (revision)i, i, 10, 1 + i);
    assert_int_equal(revs__count(entry), 1000);
    for (uint32_t i = 0; i < 1000; i++) {
        char want[32];
        snprintf(want, sizeof want, "%u.%u", 10 + 10 * i, i);
        IS(at(10 + 10 * (revision)i), want);
        IS(at(19 + 10 * (revision)i), want);
        IS(from(10 + 10 * (revision)i), want);
        IS(from(1 + 10 * (revision)i), want);
    }
    IS(at(9), "0.0!");
    IS(from(10001), "0.0");
    assert_int_equal(revs__version(entry), 1000);
    assert_int_equal(revs__create(entry), 10);
}

static void test_lives_and_tombstones(void **state)
{
    (void)state;
    push(2, 0, 2, 1);
    end(3, 0);
    push(5, 0, 5, 1);
    push(6, 0, 5, 2);
    end(8, 1);
    assert_false(revs__live(entry));
    IS(at(2), "2.0");
    IS(at(3), "3.0!");
    IS(at(4), "3.0!");
    IS(at(5), "5.0");
    IS(at(7), "6.0");
    IS(at(8), "8.1!");
    IS(at(1000), "8.1!");
    IS(from(3), "3.0");
    IS(from(4), "5.0");
    IS(from(7), "8.1");
}

static void test_the_last_of_several_in_one_revision(void **state)
{
    (void)state;
    push(2, 0, 2, 1);
    push(2, 5, 2, 2);
    end(2, 7);
    push(2, 9, 2, 1);
    push(3, 0, 2, 2);
    IS(at(2), "2.9");
    IS(from(2), "2.0");
    IS(at(3), "3.0");
}

static void test_large_numbers(void **state)
{
    (void)state;
    revision large = INT64_MAX / 2 - 10;
    push(large, UINT32_MAX - 1, large, 1);
    push(large + 1, UINT32_MAX, large, 2);
    end(large + 2, 0);
    assert_int_equal(revs__main(entry), large + 2);
    bool live;
    struct rev rev = revs__at(entry, large + 1, &live);
    assert_true(live);
    assert_int_equal(rev.main, large + 1);
    assert_true(rev.sub == UINT32_MAX);
    IS(compact(large + 2), "4611686018427387893.4294967294 "
                           "4611686018427387894.4294967295 "
                           "4611686018427387895.0 none");
}

/* ---- compaction ---------------------------------------------------------- */

static void test_what_compaction_keeps(void **state)
{
    (void)state;
    push(2, 0, 2, 1);
    push(4, 0, 2, 2);
    push(6, 0, 2, 3);
    push(8, 0, 2, 4);
    IS(compact(1), "some");
    IS(compact(2), "some");
    IS(compact(3), "some");
    IS(compact(4), "2.0 some");
    IS(at(4), "4.0");
    IS(compact(7), "4.0 some");
    IS(at(7), "6.0");
    IS(compact(8), "6.0 some");
    IS(compact(9), "some");
    IS(at(9), "8.0");
    assert_int_equal(revs__count(entry), 1);
    assert_int_equal(revs__create(entry), 2);
    assert_int_equal(revs__version(entry), 4);
}

static void test_a_tombstone_goes_with_what_it_ended(void **state)
{
    (void)state;
    push(2, 0, 2, 1);
    end(4, 0);
    push(6, 0, 6, 1);
    push(8, 0, 6, 2);
    IS(compact(3), "some");
    IS(compact(4), "2.0 4.0 some");
    IS(at(5), "0.0!");
    IS(at(6), "6.0");
    end(10, 0);
    IS(compact(9), "6.0 some");
    IS(compact(10), "8.0 10.0 none");
    assert_int_equal(revs__count(entry), 0);
    assert_null(entry->more);
}

static void test_a_plain_key_needs_no_past_again(void **state)
{
    (void)state;
    push(2, 0, 2, 1);
    push(3, 0, 3, 1); /* anew */
    assert_non_null(entry->more);
    IS(compact(3), "2.0 some");
    assert_null(entry->more);
    assert_int_equal(revs__create(entry), 3);
    assert_int_equal(revs__version(entry), 1);
    end(4, 0);
    push(5, 0, 5, 1);
    IS(compact(4), "3.0 4.0 some");
    assert_null(entry->more);
    IS(at(5), "5.0");
}

static void test_a_tombstone_alone(void **state)
{
    (void)state;
    push(2, 0, 2, 1);
    push(3, 0, 2, 2);
    end(4, 0);
    IS(compact(3), "2.0 some");
    IS(compact(4), "3.0 4.0 none");
    /* As a restart finds it when only the tombstone is left. */
    end(9, 0);
    assert_null(entry->more);
    IS(at(9), "9.0!");
    IS(compact(8), "some");
    IS(compact(9), "9.0 none");
}

static void test_a_budget_is_kept(void **state)
{
    (void)state;
    for (revision main = 2; main < 12; main++)
        push(main, 0, 2, main - 1);
    IS(compact_some(8, 0), "more");
    IS(compact_some(8, 2), "2.0 3.0 more");
    IS(at(4), "4.0");
    IS(at(3), "0.0!");
    IS(compact_some(8, 3), "4.0 5.0 6.0 more");
    IS(compact_some(8, 1), "7.0 some"); /* just enough */
    IS(compact_some(8, 0), "some");
    end(12, 0);
    IS(compact_some(12, 4), "8.0 9.0 10.0 11.0 more");
    IS(compact_some(12, 1), "12.0 none");
}

/* Memory follows what is left, and dropping many parts costs no more than
 * dropping all at once: the rest isn't moved each time. */
static void test_memory_follows(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    uint64_t empty = slab.bytes;
    for (revision main = 2; main < MANY + 2; main++)
        push(main, 0, 2, main - 1);
    uint64_t full = slab.bytes - empty;
    assert_true(full >= MANY * sizeof(struct old));
    assert_true(full <= 2 * MANY * sizeof(struct old));
    for (revision to = 2; to < MANY + 2; to += 100)
        compact_some(to, 1000);
    assert_int_equal(revs__count(entry), 100);
    assert_true(slab.bytes - empty < 4096 + 400 * sizeof(struct old));
    buf_reset(&text);
}

static void test_against_a_plain_list(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 3);
    for (int life = 0; life < 300; life++) {
        struct rev revs[200];
        bool lives[200];
        size_t count = 0, first = 0;
        revision main = 1, compacted = 0;
        for (int i = 0; i < 150; i++) {
            if (prng_below(&prng, 3) > 0) {
                main += (revision)prng_below(&prng, 3) + (count == first);
                uint32_t sub = (uint32_t)i;
                bool live = prng_below(&prng, 3) > 0;
                push(main, sub, live ? 1 : 0, live ? 5 : 0);
                revs[count] = (struct rev){main, sub};
                lives[count++] = live;
            } else if (count > first) {
                compacted += (revision)prng_below(
                    &prng, (uint64_t)(main - compacted) + 1);
                size_t keep = count;
                while (keep > first && revs[keep - 1].main > compacted)
                    keep--;
                if (keep > first && lives[keep - 1])
                    keep--;
                first = keep > first ? keep : first;
                const char *end_text = compact(compacted);
                assert_int_equal(strstr(end_text, "none") != NULL,
                                 first == count);
            }
            assert_int_equal(revs__count(entry), count - first);
            for (revision look = compacted; look <= main + 1; look++) {
                size_t k = count;
                while (k > first && revs[k - 1].main > look)
                    k--;
                bool live;
                struct rev rev = revs__at(entry, look, &live);
                assert_int_equal(live, k > first && lives[k - 1]);
                assert_int_equal(rev.sub, k > first ? revs[k - 1].sub : 0);
            }
        }
        end(main + 2, 0);
        compact(main + 2);
        assert_int_equal(revs__count(entry), 0);
    }
}

static int free_text(void **state)
{
    (void)state;
    buf_deinit(&text);
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_an_entry_without_a_revision),
        STORY(test_a_key_written_once_has_no_past),
        STORY(test_a_key_whose_beginning_is_gone),
        STORY(test_a_long_life),
        STORY(test_lives_and_tombstones),
        STORY(test_the_last_of_several_in_one_revision),
        STORY(test_large_numbers),
        STORY(test_what_compaction_keeps),
        STORY(test_a_tombstone_goes_with_what_it_ended),
        STORY(test_a_plain_key_needs_no_past_again),
        STORY(test_a_tombstone_alone),
        STORY(test_a_budget_is_kept),
        STORY(test_memory_follows),
        STORY(test_against_a_plain_list),
    };
    return cmocka_run_group_tests(tests, NULL, free_text);
}
