/* Conformance: timestamps, durations, zones. A timestamp here is 64 bits of
 * nanoseconds, so it lies within the years 1678 to 2262, where CEL's go from 1
 * to 9999: beyond is an error, as it is there beyond theirs. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "cel_table.h"

#define FRIDAY "timestamp('2009-02-13T23:31:30Z')"

static void conversions(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"int(" FRIDAY ")", "1234567890"},
        {"string(" FRIDAY ")", "'2009-02-13T23:31:30Z'"},
        {"string(timestamp('2009-02-13T23:31:30.123456789Z'))",
         "'2009-02-13T23:31:30.123456789Z'"},
        {"string(timestamp('2009-02-13T23:31:30.5+01:00'))",
         "'2009-02-13T22:31:30.5Z'"},
        {"type(" FRIDAY ")", "timestamp"},
        {"timestamp(1234567890) == " FRIDAY, "true"},
        {"timestamp(0)", "timestamp('1970-01-01T00:00:00Z')"},
        {"timestamp(-1)", "timestamp('1969-12-31T23:59:59Z')"},
        {"timestamp(" FRIDAY ")", FRIDAY},
        {"timestamp('2009-02-13')", "error: isn't a timestamp"},
        {"timestamp('2009-02-30T00:00:00Z')", "error: isn't a timestamp"},
        {"timestamp('2009-02-13T24:00:00Z')", "error: isn't a timestamp"},
        {"timestamp('2009-02-13T23:31:30')", "error: isn't a timestamp"},
        {"timestamp('')", "error: isn't a timestamp"},
        {"timestamp(1.5)", "refused: no such overload"},
        {"string(duration('1000000s'))", "'1000000s'"},
        {"type(duration('1000000s'))", "duration"},
        {"duration('1h30m')", "duration('5400s')"},
        {"duration('1.5s')", "duration('1.5s')"},
        {"duration('-1.5h')", "duration('-5400s')"},
        {"duration('100ms')", "duration('0.1s')"},
        {"duration('7us')", "duration('0.000007s')"},
        {"duration('3ns')", "duration('0.000000003s')"},
        {"duration('0')", "duration('0s')"},
        {"duration(duration('1s'))", "duration('1s')"},
        {"duration('1')", "error: isn't a duration"},
        {"duration('1d')", "error: isn't a duration"},
        {"duration('')", "error: isn't a duration"},
        {"duration('s')", "error: isn't a duration"},
        {"duration(1)", "refused: no such overload"},
    };
    CEL_CHECK(rows);
}

static void parts_of_a_timestamp(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {FRIDAY ".getDate()", "13"},
        {FRIDAY ".getDayOfMonth()", "12"},
        {FRIDAY ".getDayOfWeek()", "5"},
        {FRIDAY ".getDayOfYear()", "43"},
        {FRIDAY ".getFullYear()", "2009"},
        {FRIDAY ".getHours()", "23"},
        {FRIDAY ".getMinutes()", "31"},
        {FRIDAY ".getMonth()", "1"},
        {FRIDAY ".getSeconds()", "30"},
        {FRIDAY ".getMilliseconds()", "0"},
        {"timestamp('2009-02-13T23:31:20.123456789Z').getMilliseconds()",
         "123"},
        {"timestamp('1969-12-31T23:59:59.25Z').getMilliseconds()", "250"},
        {"timestamp('1969-12-31T23:59:59.25Z').getSeconds()", "59"},
        {"timestamp('1900-03-01T00:00:00Z').getDayOfYear()", "59"},
        {"timestamp('2000-12-31T00:00:00Z').getDayOfYear()", "365"},
        {"timestamp('2024-02-29T12:00:00Z').getDate()", "29"},
        {"timestamp('1700-01-01T00:00:00Z').getDayOfWeek()", "5"},
        {"now() == " FRIDAY, "true"},
        {"now().getHours()", "23"},
        {"n.getDate()", "error: no such overload: getDate(int)"},
        {"'2009'.getDate()", "refused: no such overload"},
    };
    CEL_CHECK(rows);
}

static void parts_in_a_zone(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {FRIDAY ".getDate('Australia/Sydney')", "14"},
        {FRIDAY ".getDayOfMonth('US/Central')", "12"},
        {FRIDAY ".getDayOfMonth('+11:00')", "13"},
        {"timestamp('2009-02-13T02:00:00Z').getDayOfMonth('-02:30')", "11"},
        {"timestamp('2009-02-13T02:00:00Z')"
         ".getDayOfMonth('America/St_Johns')",
         "11"},
        {FRIDAY ".getDayOfWeek('UTC')", "5"},
        {FRIDAY ".getDayOfYear('US/Central')", "43"},
        {FRIDAY ".getFullYear('-09:30')", "2009"},
        {FRIDAY ".getHours('02:00')", "1"},
        {FRIDAY ".getHours('+02:00')", "1"},
        {FRIDAY ".getHours('-02:00')", "21"},
        {FRIDAY ".getMinutes('Asia/Kathmandu')", "16"},
        {FRIDAY ".getMonth('UTC')", "1"},
        {FRIDAY ".getSeconds('-00:00')", "30"},
        {FRIDAY ".getHours('')", "23"},
        {FRIDAY ".getHours('Europe/Berlin')", "0"},
        {"timestamp('2009-07-01T12:00:00Z').getHours('Europe/Berlin')", "14"},
        {"timestamp('2020-12-31T23:30:00Z').getFullYear('Europe/Berlin')",
         "2021"},
        {"timestamp('2021-01-01T01:30:00Z').getMonth('US/Central')", "11"},
        {FRIDAY ".getHours('Mars/Olympus')",
         "error: no time zone 'Mars/Olympus'"},
        {FRIDAY ".getHours('../etc/passwd')", "error: no time zone"},
        {FRIDAY ".getHours('+25:00')", "error: no time zone"},
        {FRIDAY ".getHours(n)", "error: no such overload: getHours"},
    };
    CEL_CHECK(rows);
}

static void comparisons(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {FRIDAY " == " FRIDAY, "true"},
        {FRIDAY " == timestamp('2009-02-14T00:31:30+01:00')", "true"},
        {"timestamp('2009-02-13T23:31:29Z') == " FRIDAY, "false"},
        {FRIDAY " != " FRIDAY, "false"},
        {FRIDAY " != timestamp(0)", "true"},
        {"duration('123s') == duration('123s')", "true"},
        {"duration('60s') == duration('3600s')", "false"},
        {"duration('60m') == duration('1h')", "true"},
        {"duration('604800s') != duration('604800s')", "false"},
        {"duration('86400s') != duration('86164s')", "true"},
        {"duration('1s') == 1", "false"},
        {FRIDAY " <= " FRIDAY, "true"},
        {FRIDAY " <= timestamp('2009-02-13T22:59:59Z')", "false"},
        {"duration('200s') <= duration('200s')", "true"},
        {"duration('300s') <= duration('200s')", "false"},
        {FRIDAY " < timestamp('2009-03-13T23:00:00Z')", "true"},
        {"duration('200s') < duration('300s')", "true"},
        {"duration('-1s') < duration('0s')", "true"},
        {FRIDAY " >= timestamp('2009-02-13T23:31:31Z')", "false"},
        {"duration('120s') >= duration('200s')", "false"},
        {FRIDAY " > timestamp('2009-02-13T23:00:00Z')", "true"},
        {"duration('300s') > duration('200s')", "true"},
        {FRIDAY " < duration('1s')", "refused: no such overload"},
        {"n < duration('1s')", "error: no such overload: int < duration"},
    };
    CEL_CHECK(rows);
}

static void arithmetic(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"timestamp('2009-02-13T23:00:00Z') + duration('240s')",
         "timestamp('2009-02-13T23:04:00Z')"},
        {"duration('120s') + timestamp('2009-02-13T23:01:00Z')",
         "timestamp('2009-02-13T23:03:00Z')"},
        {"duration('600s') + duration('50s')", "duration('650s')"},
        {"timestamp('1970-01-01T00:00:01.000000001Z') + "
         "duration('-999999999ns')",
         "timestamp('1970-01-01T00:00:00.000000002Z')"},
        {"timestamp('1970-01-01T00:00:01.999999999Z') + "
         "duration('999999999ns')",
         "timestamp('1970-01-01T00:00:02.999999998Z')"},
        {"timestamp('2009-02-13T23:10:00Z') - duration('600s')",
         "timestamp('2009-02-13T23:00:00Z')"},
        {"timestamp('2009-02-13T23:31:00Z') - "
         "timestamp('2009-02-13T23:29:00Z')",
         "duration('120s')"},
        {"timestamp(0) - timestamp(1)", "duration('-1s')"},
        {"duration('900s') - duration('42s')", "duration('858s')"},
        {"now() - duration('1h') < now()", "true"},
        {FRIDAY " + " FRIDAY, "refused: no such overload"},
        {"duration('1s') - " FRIDAY, "refused: no such overload"},
        {"duration('1s') * duration('2s')", "refused: no such overload"},
        {"duration('1s') * 2", "refused: no such overload"},
        {FRIDAY " + 1", "refused: no such overload"},
        {"n + duration('1s')", "error: no such overload: int + duration"},
    };
    CEL_CHECK(rows);
}

static void parts_of_a_duration(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"duration('10000s').getHours()", "2"},
        {"duration('3730s').getMinutes()", "62"},
        {"duration('3730s').getSeconds()", "3730"},
        {"duration('123.321456789s').getMilliseconds()", "321"},
        {"duration('-3730s').getMinutes()", "-62"},
        {"duration('-1.5s').getMilliseconds()", "-500"},
        {"duration('1s').getHours('UTC')", "error: no such overload"},
        {"duration('1s').getFullYear()", "refused: no such overload"},
    };
    CEL_CHECK(rows);
}

static void beyond_the_range(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"timestamp('0000-01-01T00:00:00Z')", "error: range"},
        {"timestamp('10000-01-01T00:00:00Z')", "error: range"},
        {"timestamp('9999-12-31T23:59:59Z')", "error: range"},
        {"timestamp('1677-09-21T00:12:43Z')", "error: range"},
        {"timestamp('2262-04-11T23:47:16.854775807Z')",
         "timestamp('2262-04-11T23:47:16.854775807Z')"},
        {"timestamp('2262-04-11T23:47:16.854775808Z')", "error: range"},
        {"timestamp(9223372037)", "error: range"},
        {"timestamp(-9223372037)", "error: range"},
        {"timestamp('2262-04-11T23:47:16.854775807Z') + duration('1ns')",
         "error: timestamp out of range"},
        {"timestamp('1677-09-21T00:12:43.145224192Z') - duration('1ns')",
         "error: timestamp out of range"},
        {"timestamp('2262-01-01T00:00:00Z') - "
         "timestamp('1678-01-01T00:00:00Z')",
         "error: duration out of range"},
        {"timestamp('1678-01-01T00:00:00Z') - "
         "timestamp('2262-01-01T00:00:00Z')",
         "error: duration out of range"},
        {"duration('-320000000000s')", "error: range"},
        {"duration('320000000000s')", "error: range"},
        {"duration('9000000000s') + duration('9000000000s')",
         "error: duration out of range"},
        {"duration('-9000000000s') + duration('-9000000000s')",
         "error: duration out of range"},
        {"duration('-9000000000s') - duration('9000000000s')",
         "error: duration out of range"},
        {"duration('9000000000s') - duration('-9000000000s')",
         "error: duration out of range"},
    };
    CEL_CHECK(rows);
}

/* The event was on a Friday at 23:31 in UTC. */
static void hours_and_weekdays_of_the_event(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"time.hour(23, 24, 'UTC')", "true"},
        {"time.hour(8, 22, 'UTC')", "false"},
        {"time.hour(22, 23, 'UTC')", "false"},
        {"time.hour(22, 6, 'UTC')", "true"},
        {"time.hour(6, 22, '-09:00')", "true"},
        {"time.hour(0, 1, 'Europe/Berlin')", "true"},
        {"time.hour(23, 6, 'Europe/Berlin')", "true"},
        {"time.hour(0, 24, 'UTC')", "true"},
        {"time.hour(5, 5, 'UTC')", "false"},
        {"time.hour(-1, 5, 'UTC')", "error: time.hour: -1 isn't in 0..24"},
        {"time.hour(1, 25, 'UTC')", "error: time.hour: 25 isn't in 0..24"},
        {"time.hour(1, 5, 'Nowhere')", "error: no time zone 'Nowhere'"},
        {"time.hour(s, 5, 'UTC')", "error: no such overload: time.hour"},
        {"time.hour(1, 5)", "refused: "},
        {"time.weekday(1, 5, 'UTC')", "true"},
        {"time.weekday(5, 5, 'UTC')", "true"},
        {"time.weekday(6, 0, 'UTC')", "false"},
        {"time.weekday(6, 7, 'Europe/Berlin')", "true"},
        {"time.weekday(6, 0, 'Europe/Berlin')", "true"},
        {"time.weekday(1, 7, 'UTC')", "true"},
        {"time.weekday(0, 4, 'UTC')", "false"},
        {"time.weekday(5, 1, 'UTC')", "true"},
        {"time.weekday(1, 8, 'UTC')", "error: time.weekday: 8 isn't in 0..7"},
    };
    CEL_CHECK(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conversions),
        cmocka_unit_test(parts_of_a_timestamp),
        cmocka_unit_test(parts_in_a_zone),
        cmocka_unit_test(comparisons),
        cmocka_unit_test(arithmetic),
        cmocka_unit_test(parts_of_a_duration),
        cmocka_unit_test(beyond_the_range),
        cmocka_unit_test(hours_and_weekdays_of_the_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
