#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/prng.h"
#include "base/time_text.h"

enum { SECOND = 1000000000 };

/* ---- RFC 3339 ------------------------------------------------------------ */

static const struct {
    int64_t ns;
    const char *text;
} times[] = {
    {0, "1970-01-01T00:00:00Z"},
    {1, "1970-01-01T00:00:00.000000001Z"},
    {-1, "1969-12-31T23:59:59.999999999Z"},
    {INT64_C(1767323045) * SECOND + 6, "2026-01-02T03:04:05.000000006Z"},
    {INT64_C(1767323045) * SECOND + 120000000, "2026-01-02T03:04:05.12Z"},
    {INT64_C(951782400) * SECOND, "2000-02-29T00:00:00Z"},
    {INT64_C(951868799) * SECOND, "2000-02-29T23:59:59Z"},
    {INT64_C(951868800) * SECOND, "2000-03-01T00:00:00Z"},
    {INT64_C(4107542400) * SECOND, "2100-03-01T00:00:00Z"},
    {INT64_C(1234567890) * SECOND, "2009-02-13T23:31:30Z"},
    {INT64_C(-2208988800) * SECOND, "1900-01-01T00:00:00Z"},
    {INT64_MAX, "2262-04-11T23:47:16.854775807Z"},
    {INT64_MIN, "1677-09-21T00:12:43.145224192Z"},
};

static void times_are_written_as_go_writes_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        char out[TIME_TEXT_BYTES_MAX];
        size_t size = time_to_rfc3339(times[i].ns, out);
        out[size] = '\0';
        assert_string_equal(out, times[i].text);
        int64_t back;
        assert_true(time_from_rfc3339(slice_of(out, size), &back));
        assert_true(back == times[i].ns);
    }
}

/* The naive twin: a calendar that goes one day on at a time. */
static void every_day_of_three_centuries_is_right(void **state)
{
    (void)state;
    int year = 1970, month = 1, day = 1;
    struct buf text = {0};
    for (int64_t days = 0; year < 2262; days++) {
        char out[TIME_TEXT_BYTES_MAX];
        buf_reset(&text);
        buf_printf(&text, "%d-%02d-%02dT00:00:00Z", year, month, day);
        size_t size = time_to_rfc3339(days * 86400 * SECOND, out);
        assert_int_equal(size, text.size);
        assert_memory_equal(out, text.at, size);
        int64_t back;
        assert_true(time_from_rfc3339(slice_of(out, size), &back));
        assert_true(back == days * 86400 * SECOND);

        static const int lengths[] = {31, 28, 31, 30, 31, 30,
                                      31, 31, 30, 31, 30, 31};
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        if (++day > lengths[month - 1] + (month == 2 && leap)) {
            day = 1;
            if (++month > 12) {
                month = 1;
                year++;
            }
        }
    }
    buf_deinit(&text);
}

static void any_time_comes_back(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 13);
    for (int i = 0; i < 50000; i++) {
        int64_t ns = (int64_t)prng_next(&prng), back;
        if (i % 2) /* with few digits */
            ns -= ns % 100000000;
        char out[TIME_TEXT_BYTES_MAX];
        size_t size = time_to_rfc3339(ns, out);
        assert_true(size <= 30);
        assert_true(time_from_rfc3339(slice_of(out, size), &back));
        assert_true(back == ns);
    }
}

static void offsets_and_fractions_are_understood(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ns;
    } rows[] = {
        {"1970-01-01T01:00:00+01:00", 0},
        {"1969-12-31T18:30:00-05:30", 0},
        {"1970-01-01T00:00:00+00:00", 0},
        {"1970-01-01T00:00:00-00:00", 0},
        {"1970-01-01t00:00:01z", SECOND},
        {"1970-01-01T00:00:00.5Z", SECOND / 2},
        {"1970-01-01T00:00:00.500000000Z", SECOND / 2},
        {"1970-01-01T23:59:59.000+23:59", INT64_C(59) * SECOND},
        {"1969-12-31T23:59:59.75Z", -SECOND / 4},
        {"1677-09-21T00:12:43.145224192Z", INT64_MIN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t ns;
        assert_true(time_from_rfc3339(slice_str(rows[i].text), &ns));
        assert_true(ns == rows[i].ns);
    }
}

static void what_is_no_time_is_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "now",
        "2026-01-02",
        "2026-01-02T03:04:05",
        "2026-01-02 03:04:05Z",
        "2026-01-02T03:04:05ZZ",
        "2026-01-02T03:04:05Z ",
        " 2026-01-02T03:04:05Z",
        "2026-1-2T03:04:05Z",
        "26-01-02T03:04:05Z",
        "2026-00-02T03:04:05Z",
        "2026-13-02T03:04:05Z",
        "2026-01-00T03:04:05Z",
        "2026-01-32T03:04:05Z",
        "2026-02-29T03:04:05Z",
        "2100-02-29T03:04:05Z",
        "2026-04-31T03:04:05Z",
        "2026-01-02T24:00:00Z",
        "2026-01-02T03:60:00Z",
        "2026-01-02T03:04:60Z",
        "2026-01-02T03:04:05.Z",
        "2026-01-02T03:04:05,5Z",
        "2026-01-02T03:04:05.1234567890Z",
        "2026-01-02T03:04:05+1:00",
        "2026-01-02T03:04:05+0100",
        "2026-01-02T03:04:05+24:00",
        "2026-01-02T03:04:05+01:60",
        "2262-04-11T23:47:16.854775808Z", /* one too late */
        "1677-09-21T00:12:43.145224191Z", /* one too early */
        "9999-12-31T23:59:59Z",
        "0000-01-01T00:00:00Z",
    };
    int64_t ns = 42;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_false(time_from_rfc3339(slice_str(rows[i]), &ns));
    assert_true(ns == 42);
}

/* ---- durations ----------------------------------------------------------- */

static const struct {
    int64_t ns;
    const char *text;
} durations[] = {
    {0, "0s"},
    {1, "1ns"},
    {999, "999ns"},
    {1000, "1\xC2\xB5s"},
    {1100, "1.1\xC2\xB5s"},
    {2200000, "2.2ms"},
    {100000000, "100ms"},
    {1500000000, "1.5s"},
    {INT64_C(120) * SECOND, "2m0s"},
    {INT64_C(300) * SECOND + 500000001, "5m0.500000001s"},
    {INT64_C(3600) * SECOND, "1h0m0s"},
    {INT64_C(3661) * SECOND, "1h1m1s"},
    {INT64_C(86400) * SECOND, "24h0m0s"},
    {-1500000, "-1.5ms"},
    {INT64_C(-61) * SECOND, "-1m1s"},
    {INT64_MAX, "2562047h47m16.854775807s"},
    {INT64_MIN, "-2562047h47m16.854775808s"},
};

static void durations_are_written_as_go_writes_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++) {
        char out[TIME_TEXT_BYTES_MAX];
        size_t size = duration_to_text(durations[i].ns, out);
        out[size] = '\0';
        assert_string_equal(out, durations[i].text);
    }
}

static void written_durations_come_back(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 14);
    for (int i = 0; i < 50000; i++) {
        /* Up to some months: beyond, the fraction's double is inexact. */
        int64_t ns = (int64_t)prng_next(&prng) >> prng_between(&prng, 10, 63);
        int64_t back;
        char out[TIME_TEXT_BYTES_MAX];
        size_t size = duration_to_text(ns, out);
        assert_true(duration_from_text(slice_of(out, size), &back));
        assert_in_range(back - ns + 1, 0, 2);
    }
    for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++) {
        int64_t back;
        assert_true(duration_from_text(slice_str(durations[i].text), &back));
        assert_true(back == durations[i].ns);
    }
}

static void people_write_durations_in_many_ways(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ns;
    } rows[] = {
        {"0", 0},
        {"+0", 0},
        {"-0", 0},
        {"5s", INT64_C(5) * SECOND},
        {"+5s", INT64_C(5) * SECOND},
        {"-5s", INT64_C(-5) * SECOND},
        {"1h30m", INT64_C(5400) * SECOND},
        {"30m1h", INT64_C(5400) * SECOND},
        {"1h1h", INT64_C(7200) * SECOND},
        {"500ms", SECOND / 2},
        {"1.5s", SECOND + SECOND / 2},
        {".5s", SECOND / 2},
        {"5.s", INT64_C(5) * SECOND},
        {"0005s", INT64_C(5) * SECOND},
        {"10us", 10000},
        {"10\xC2\xB5s", 10000},
        {"10\xCE\xBCs", 10000},
        {"1.5h", INT64_C(5400) * SECOND},
        {"0.1ns", 0},
        {"1.9ns", 1},
        {"3h4m5.006007008s", INT64_C(11045006007008)},
        {"0.50000000000000000000000000000000s", SECOND / 2},
        {"0.3333333333333333333h", INT64_C(1200) * SECOND},
        {"9223372036854775807ns", INT64_MAX},
        {"-9223372036854775808ns", INT64_MIN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t ns;
        if (!duration_from_text(slice_str(rows[i].text), &ns) ||
            ns != rows[i].ns)
            fail_msg("%s", rows[i].text);
    }
}

static void what_is_no_duration_is_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "+",
        "-",
        "s",
        "5",
        "00",
        ".",
        ".s",
        "-.s",
        "--5s",
        "+-5s",
        "5 s",
        " 5s",
        "5s ",
        "5S",
        "5sec",
        "5d",
        "1h30",
        "1..5s",
        "1.5.5s",
        "1e3s",
        "5\xC2s",
        "9223372036854775808ns",
        "-9223372036854775809ns",
        "2562048h",
        "99999999999999999999s",
        "9223372036854775807ns1ns",
        "18446744073709551615ns18446744073709551615ns",
        "9223372036s0.9s",
    };
    int64_t ns = 42;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (duration_from_text(slice_str(rows[i]), &ns))
            fail_msg("%s was taken", rows[i]);
    }
    assert_true(ns == 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_written_as_go_writes_them),
        cmocka_unit_test(every_day_of_three_centuries_is_right),
        cmocka_unit_test(any_time_comes_back),
        cmocka_unit_test(offsets_and_fractions_are_understood),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(durations_are_written_as_go_writes_them),
        cmocka_unit_test(written_durations_come_back),
        cmocka_unit_test(people_write_durations_in_many_ways),
        cmocka_unit_test(what_is_no_duration_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
