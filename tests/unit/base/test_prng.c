#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/prng.h"

/* The numbers that the authors' own programs print. */
static void xoshiro_gives_the_published_numbers(void **state)
{
    (void)state;
    static const uint64_t expected[] = {
        UINT64_C(11520),
        UINT64_C(0),
        UINT64_C(1509978240),
        UINT64_C(1215971899390074240),
        UINT64_C(1216172134540287360),
        UINT64_C(607988272756665600),
        UINT64_C(16172922978634559625),
        UINT64_C(8476171486693032832),
        UINT64_C(10595114339597558777),
        UINT64_C(2904607092377533576),
    };
    struct prng prng = {{1, 2, 3, 4}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_true(prng_next(&prng) == expected[i]);
}

static void the_seed_goes_through_splitmix(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 1234567);
    assert_true(prng.state[0] == UINT64_C(6457827717110365317));
    assert_true(prng.state[1] == UINT64_C(3203168211198807973));
    assert_true(prng.state[2] == UINT64_C(9817491932198370423));
    assert_true(prng.state[3] == UINT64_C(4593380528125082431));
}

static void the_same_seed_gives_the_same_numbers(void **state)
{
    (void)state;
    struct prng one, two, other;
    prng_init(&one, 0);
    prng_init(&two, 0);
    prng_init(&other, 1);
    int same_as_other = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t number = prng_next(&one);
        assert_true(number == prng_next(&two));
        same_as_other += number == prng_next(&other);
    }
    assert_int_equal(same_as_other, 0);
}

static void below_stays_below(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 8);
    for (int bits = 0; bits < 64; bits++) {
        uint64_t bound = UINT64_C(1) << bits;
        for (int i = 0; i < 200; i++) {
            assert_true(prng_below(&prng, bound) < bound);
            assert_true(prng_below(&prng, bound + 1) <= bound);
        }
    }
    assert_true(prng_below(&prng, UINT64_MAX) < UINT64_MAX);
    for (int i = 0; i < 100; i++)
        assert_int_equal(prng_below(&prng, 1), 0);
}

/* With 3/4 of the range as the bound, a plain remainder would give the answers
 * of the first third twice as often as the others, and a plain product every
 * third answer. */
static void below_has_no_bias(void **state)
{
    (void)state;
    enum { DRAWS = 60000, BOXES = 6 };
    struct prng prng;
    prng_init(&prng, 9);
    uint64_t bound = UINT64_C(3) << 62;
    int boxes[BOXES] = {0}, remainders[BOXES] = {0}, dice[BOXES] = {0};
    for (int i = 0; i < DRAWS; i++) {
        uint64_t answer = prng_below(&prng, bound);
        boxes[answer / (bound / BOXES + 1)]++;
        remainders[answer % BOXES]++;
        dice[prng_below(&prng, BOXES)]++;
    }
    for (int i = 0; i < BOXES; i++) {
        /* Five standard deviations of about 91 each. */
        assert_in_range(boxes[i], DRAWS / BOXES - 460, DRAWS / BOXES + 460);
        assert_in_range(remainders[i], DRAWS / BOXES - 460,
                        DRAWS / BOXES + 460);
        assert_in_range(dice[i], DRAWS / BOXES - 460, DRAWS / BOXES + 460);
    }
}

static void between_takes_both_ends_in(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 10);
    int met[7] = {0};
    for (int i = 0; i < 1000; i++) {
        int64_t n = prng_between(&prng, -3, 3);
        assert_true(n >= -3 && n <= 3);
        met[n + 3]++;
    }
    for (int i = 0; i < 7; i++)
        assert_true(met[i] > 50);
    assert_true(prng_between(&prng, 5, 5) == 5);
    assert_true(prng_between(&prng, INT64_MIN, INT64_MIN) == INT64_MIN);
    int negative = 0;
    for (int i = 0; i < 1000; i++)
        negative += prng_between(&prng, INT64_MIN, INT64_MAX) < 0;
    assert_in_range(negative, 400, 600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xoshiro_gives_the_published_numbers),
        cmocka_unit_test(the_seed_goes_through_splitmix),
        cmocka_unit_test(the_same_seed_gives_the_same_numbers),
        cmocka_unit_test(below_stays_below),
        cmocka_unit_test(below_has_no_bias),
        cmocka_unit_test(between_takes_both_ends_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
