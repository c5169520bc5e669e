/* Durations, and what was meant by a word: beside naive twins. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/prng.h"
#include "recipe/recipe_int.h"

/* ---- durations ---------------------------------------------------------- */

enum { PARTS = 6 };
static const char *const units[PARTS] = {"d", "h", "m", "s", "ms", "us"};
static const int64_t unit_ns[PARTS] = {
    86400000000000, 3600000000000, 60000000000, 1000000000, 1000000, 1000,
};

/* Whole numbers of units, the largest first: what a user writes. */
static void sums_of_units_are_durations(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 4);
    for (int i = 0; i < 20000; i++) {
        char text[128];
        size_t size = 0;
        int64_t wanted = 0, ns;
        for (size_t j = 0; j < PARTS; j++) {
            int64_t count = (int64_t)prng_below(&prng, 1000);
            if (prng_below(&prng, 2))
                continue;
            size += (size_t)snprintf(text + size, sizeof text - size, "%lld%s",
                                     (long long)count, units[j]);
            wanted += count * unit_ns[j];
        }
        if (size == 0)
            continue;
        assert_true(recipe_duration(slice_of(text, size), &ns));
        assert_int_equal(ns, wanted);
        /* From any unit on, something is missing or too much. */
        text[size++] = (char)('0' + prng_below(&prng, 10));
        assert_false(recipe_duration(slice_of(text, size), &ns));
    }
}

/* Up to the last nanosecond of 64 bits, and not one further. */
static void durations_end_with_64_bits(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool fits;
    } rows[] = {
        {"106751d23h47m16s854ms775us807ns", true},
        {"106751d23h47m16s854ms775us808ns", false},
        {"106751d23h47m16.854775807s", true},
        {"106751d23h47m16.854775808s", false},
        {"106751d24h", false},
        {"2562047h47m16.854775807s", true},
        {"2562047h47m17s", false},
        {"9223372036s", true},
        {"9223372037s", false},
        {"99999999999999999999d", false},
        {"99999999999999999999s", false},
        {"18446744073709551616d", false},
        {"0d", true},
        {"0d0h", true},
        {"00001d", true},
        {"0s", true},
        {"0", false},
        {"1d0", false},
        {"1d00", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t ns = -1;
        if (recipe_duration(slice_str(rows[i].text), &ns) != rows[i].fits)
            fail_msg("%s", rows[i].text);
        if (rows[i].fits)
            assert_true(ns >= 0);
    }
}

/* Any bytes: whatever is taken is not negative. */
static void other_texts_are_none(void **state)
{
    (void)state;
    static const char letters[] = "0159.dhmsun-+ de";
    struct prng prng;
    int taken = 0;
    prng_init(&prng, 5);
    for (int i = 0; i < 200000; i++) {
        size_t size = prng_below(&prng, 7);
        int64_t ns;
        char *text = mem_alloc(size + 1);
        for (size_t j = 0; j < size; j++)
            text[j] = letters[prng_below(&prng, sizeof letters)];
        if (recipe_duration(slice_of(text, size), &ns)) {
            assert_true(ns >= 0);
            assert_true(text[size - 1] == 'd' || text[size - 1] == 'h' ||
                        text[size - 1] == 'm' || text[size - 1] == 's');
            taken++;
        }
        mem_free(text);
    }
    assert_in_range(taken, 1000, 100000);
}

/* The least that each place takes; a thousandth less is too short. */
static void each_place_has_its_least(void **state)
{
    (void)state;
    static const struct {
        const char *document, *least, *less;
    } rows[] = {
        {"if: {key: /a, for: %s}\nthen: {log: a}\n", "1ms", "999us"},
        {"if: {absent: /a, for: %s}\nthen: {log: a}\n", "1ms", "0s"},
        {"if: {every: %s}\nthen: {log: a}\n", "1s", "999ms"},
        {"if: {webhook: {path: a, dedupe_ttl: %s}}\nthen: {log: a}\n", "1s",
         "999ms"},
        {"if: {feed: {url: 'http://e', every: %s}}\nthen: {log: a}\n", "1s",
         "1ms"},
        {"if: {key: /a}\nthen: {put: {key: /b, value: 1, ttl: %s}}\n", "1s",
         "999999us"},
        {"if: {key: /a}\nthen: {wait: %s}\n", "1ms", "1ns"},
        {"if: {key: /a}\nthen: {exec: [a], timeout: %s}\n", "1ms", "999us"},
        {"if: {key: /a}\nthen: {exec: [a], retry: {base: %s}}\n", "1ms", "0ms"},
        {"if: {key: /a}\nthen: {exec: [a], retry: {base: 1ms, cap: %s}}\n",
         "1ms", "0d"},
        {"if: {key: /a}\nthen: {log: a}\ndebounce: %s\n", "1ms", "0s"},
        {"if: {key: /a}\nthen: {log: a}\nkeep: {for: %s}\n", "1s", "1ms"},
        {"if: {key: /a}\nthen: {log: a}\nthrottle: {count: 1, per: %s}\n", "1s",
         "1ms"},
        {"if: {key: /a}\nthen: {log: a}\nloop: {breaker: {count: 1, per: "
         "%s}}\n",
         "1s", "1ms"},
        {"if: {key: /a}\nthen: {log: a}\ndedupe: {key: a, ttl: %s}\n", "1s",
         "1ms"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int j = 0; j < 3; j++) {
            char text[256] = "name: r\n";
            struct recipe *recipe;
            struct recipe_fault fault;
            const char *duration = j == 0   ? rows[i].least
                                   : j == 1 ? rows[i].less
                                            : "106752d";
            const char *hole = strstr(rows[i].document, "%s");
            snprintf(text + 8, sizeof text - 8, "%.*s%s%s",
                     (int)(hole - rows[i].document), rows[i].document, duration,
                     hole + 2);
            enum err err = recipe_parse(slice_str(text), NULL, &recipe, &fault);
            if (err != (j == 0 ? ERR_OK : ERR_INVALID))
                fail_msg("%s: %s", text, err ? fault.text : "taken");
            if (j == 1)
                assert_non_null(strstr(fault.text, "is too short"));
            recipe_free(recipe);
        }
    }
}

/* ---- did you mean ------------------------------------------------------- */

/* Letters to put in, leave out, change or swap; by its definition. */
static size_t naive_distance(struct slice a, struct slice b)
{
    if (a.size == 0 || b.size == 0)
        return a.size + b.size;
    struct slice a_less = slice_of(a.at, a.size - 1);
    struct slice b_less = slice_of(b.at, b.size - 1);
    bool same = a.at[a.size - 1] == b.at[b.size - 1];
    if (same)
        return naive_distance(a_less, b_less);
    size_t least = naive_distance(a_less, b_less);
    size_t other = naive_distance(a_less, b);
    least = other < least ? other : least;
    other = naive_distance(a, b_less);
    least = other < least ? other : least;
    if (a.size > 1 && b.size > 1 && a.at[a.size - 1] == b.at[b.size - 2] &&
        a.at[a.size - 2] == b.at[b.size - 1]) {
        other = naive_distance(slice_of(a.at, a.size - 2),
                               slice_of(b.at, b.size - 2));
        least = other < least ? other : least;
    }
    return least + 1;
}

/* The first of the nearest that is near enough. */
static const char *naive_near(struct slice wanted, const char *const *names,
                              size_t count)
{
    const char *found = NULL;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        struct slice name = slice_str(names[i]);
        size_t differ = naive_distance(wanted, name);
        bool is_near = differ <= wanted.size / 3 + 1 && differ < wanted.size &&
                       differ < name.size;
        if (is_near && differ < least) {
            found = names[i];
            least = differ;
        }
    }
    return found;
}

static void the_nearest_word_is_meant(void **state)
{
    (void)state;
    static const char *const names[] = {"abba",  "ab",   "cab", "abc",
                                        "bacca", "aabb", "a",   "cc"};
    enum { COUNT = sizeof names / sizeof names[0] };
    struct prng prng;
    int found = 0;
    prng_init(&prng, 6);
    for (int i = 0; i < 3000; i++) {
        char word[8];
        size_t size = prng_below(&prng, 7);
        for (size_t j = 0; j < size; j++)
            word[j] = (char)('a' + prng_below(&prng, 3));
        size_t count = prng_below(&prng, COUNT + 1);
        struct slice wanted = slice_of(word, size);
        const char *near = suggest__near(wanted, names, count);
        if (near != naive_near(wanted, names, count))
            fail_msg("%.*s: %s", (int)size, word, near ? near : "none");
        found += near != NULL;
    }
    assert_in_range(found, 500, 2900);
}

static void slips_of_fingers_are_seen(void **state)
{
    (void)state;
    static const char *const names[] = {"enabled",    "description", "throttle",
                                        "on_failure", "if",          "then"};
    static const struct {
        const char *word, *meant;
    } rows[] = {
        {"enabeld", "enabled"},
        {"enabled_", "enabled"},
        {"Enabled", "enabled"},
        {"descripton", "description"},
        {"desription", "description"},
        {"throtle", "throttle"},
        {"trhottle", "throttle"},
        {"onfailure", "on_failure"},
        {"on-failure", "on_failure"},
        {"fi", "if"},
        {"i", "nothing"},
        {"iff", "if"},
        {"the", "then"},
        {"than", "then"},
        {"xyz", "nothing"},
        {"", "nothing"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *near = suggest__near(slice_str(rows[i].word), names, 6);
        assert_string_equal(near ? near : "nothing", rows[i].meant);
    }
    /* A word of any length is looked at in bounds. */
    char word[100];
    memset(word, 'e', sizeof word);
    for (size_t size = 0; size <= sizeof word; size++) {
        const char *near = suggest__near(slice_of(word, size), names, 6);
        assert_true(near == NULL || size < 40);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_of_units_are_durations),
        cmocka_unit_test(durations_end_with_64_bits),
        cmocka_unit_test(other_texts_are_none),
        cmocka_unit_test(each_place_has_its_least),
        cmocka_unit_test(the_nearest_word_is_meant),
        cmocka_unit_test(slips_of_fingers_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
