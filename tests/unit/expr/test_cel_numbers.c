/* Conformance: arithmetic, and conversions between kinds. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "cel_table.h"

static void integers(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"42 + 2", "44"},   {"42 + (-2)", "40"},  {"-42 + (-2)", "-44"},
        {"42 - 2", "40"},   {"42 - (-2)", "44"},  {"-42 - (-2)", "-40"},
        {"42 * 2", "84"},   {"42 * (-2)", "-84"}, {"-42 * (-2)", "84"},
        {"42 / 2", "21"},   {"-42 / 2", "-21"},   {"-42 / (-2)", "21"},
        {"7 / 2", "3"},     {"-7 / 2", "-3"},     {"42 % 5", "2"},
        {"42 % (-5)", "2"}, {"-42 % (-5)", "-2"}, {"-42 % 5", "-2"},
        {"-(42)", "-42"},   {"-(0)", "0"},        {"-(-42)", "42"},
        {"15 * 0", "0"},    {"n + n * n", "56"},  {"-n", "-7"},
        {"n % 4", "3"},
    };
    CEL_CHECK(rows);
}

static void naturals(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"42u + 2u", "44u"},
        {"42u - 2u", "40u"},
        {"40u * 2u", "80u"},
        {"60u / 4u", "15u"},
        {"42u % 5u", "2u"},
        {"15u * 0u", "0u"},
        {"u + u", "4u"},
        {"u / 3u", "0u"},
        {"18446744073709551614u + 1u", "18446744073709551615u"},
    };
    CEL_CHECK(rows);
}

static void nothing_is_divided_by_zero(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"n / 0", "error: divide by zero"},
        {"n % 0", "error: modulus by zero"},
        {"u / 0u", "error: divide by zero"},
        {"u % 0u", "error: modulus by zero"},
        {"15 / 0", "error: divide by zero"},
        {"42 % 0", "error: modulus by zero"},
        {"15u / 0u", "error: divide by zero"},
        {"42u % 0u", "error: modulus by zero"},
        {"0 / 0", "error: divide by zero"},
    };
    CEL_CHECK(rows);
}

static void overflow_is_an_error(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"9223372036854775807 + 1", "error: overflow"},
        {"-9223372036854775808 + (-1)", "error: overflow"},
        {"9223372036854775807 - (-1)", "error: overflow"},
        {"0 - (-9223372036854775807) + 1", "error: overflow"},
        {"-9223372036854775808 - 1", "error: overflow"},
        {"5000000000 * 5000000000", "error: overflow"},
        {"(-5000000000) * 5000000000", "error: overflow"},
        {"-(-9223372036854775808)", "error: overflow"},
        {"-9223372036854775808 / -1", "error: overflow"},
        {"-9223372036854775808 % -1", "error: overflow"},
        {"18446744073709551615u + 1u", "error: overflow"},
        {"0u - 1u", "error: overflow"},
        {"5000000000u * 5000000000u", "error: overflow"},
        {"n - 8 + 9223372036854775807 + 2", "error: overflow"},
        {"u - 3u", "error: overflow"},
        {"9223372036854775807 - 1 + 1", "9223372036854775807"},
        {"-9223372036854775807 - 1", "-9223372036854775808"},
    };
    CEL_CHECK(rows);
}

static void doubles(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"4.25 + 15.25", "19.5"},
        {"17.75 + (-7.75)", "10.0"},
        {"-4.125 + (-2.125)", "-6.25"},
        {"42.0 - 12.0", "30.0"},
        {"42.875 - (-22.0)", "64.875"},
        {"-4.875 - (-0.125)", "-4.75"},
        {"42.5 * 0.2", "8.5"},
        {"40.75 * (-2.25)", "-91.6875"},
        {"-3.0 * (-2.5)", "7.5"},
        {"0.0625 / 0.002", "31.25"},
        {"-2.0 / 2.0", "-1.0"},
        {"-8.875 / (-0.0625)", "142.0"},
        {"-(4.5)", "-4.5"},
        {"-(-1.25)", "1.25"},
        {"-(0.0)", "-0.0"},
        {"15.36 * 0.0", "0.0"},
        {"0.0 + 1.75", "1.75"},
        {"7.5 + 1.5 == 1.5 + 7.5", "true"},
        {"5.625 + (15.75 + 2.0) == (5.625 + 15.75) + 2.0", "true"},
        {"1.5 * (23.625 * 0.75) == (1.5 * 23.625) * 0.75", "true"},
        {"5.75 * (1.5 + 2.5) == 5.75 * 1.5 + 5.75 * 2.5", "true"},
        {"0.1 + 0.2", "0.30000000000000004"},
        {"15.75 / 0.0", "Infinity"},
        {"-15.75 / 0.0", "-Infinity"},
        {"0.0 / 0.0", "NaN"},
        {"2.0 * 8.988466e+307", "Infinity"},
        {"2.0 * -8.988466e+307", "-Infinity"},
        {"1e-323 / 4.0", "0.0"},
        {"1e21", "1e+21"},
        {"1e20", "100000000000000000000.0"},
        {"1e-7", "1e-7"},
        {"0.000001", "0.000001"},
        {"123456.789e3", "123456789.0"},
        {"1.7976931348623157e308", "1.7976931348623157e+308"},
        {"5e-324", "5e-324"},
    };
    CEL_CHECK(rows);
}

static void kinds_do_not_mix_in_arithmetic(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"1 + 1.0", "refused: no such overload"},
        {"1u + 1", "refused: no such overload"},
        {"47.5 % 5.5", "refused: no such overload"},
        {"-(5u)", "refused: no such overload"},
        {"'a' - 'b'", "refused: no such overload"},
        {"'a' + 1", "refused: no such overload"},
        {"[1] - [1]", "refused: no such overload"},
        {"true + true", "refused: no such overload"},
        {"null + null", "refused: no such overload"},
        {"!1", "refused: "},
        {"n + 1.0", "error: no such overload: int + double"},
        {"n * u", "error: no such overload: int * uint"},
        {"n + s", "error: no such overload: int + string"},
        {"d % d", "error: no such overload: double % double"},
        {"-u", "error: no such overload: -uint"},
        {"-s", "error: no such overload: -string"},
        {"!n", "error: no such overload"},
        {"a * 2", "error: no such overload: list * int"},
        {"x + x", "error: no such overload: map + map"},
    };
    CEL_CHECK(rows);
}

static void to_int(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"int(0)", "0"},
        {"int(42u)", "42"},
        {"int(0u)", "0"},
        {"int(18446744073709551615u)", "error: range"},
        {"int(9223372036854775807u)", "9223372036854775807"},
        {"int(9223372036854775808u)", "error: range"},
        {"int(123.456)", "123"},
        {"int(1.9)", "1"},
        {"int(-7.9)", "-7"},
        {"int(-123.456)", "-123"},
        {"int(11.5)", "11"},
        {"int(-3.5)", "-3"},
        {"int(1e99)", "error: range"},
        {"int(-1e99)", "error: range"},
        {"int(9223372036854775807.0)", "error: range"},
        {"int(double('NaN'))", "error: range"},
        {"int(double('Infinity'))", "error: range"},
        {"int('987')", "987"},
        {"int('-1')", "-1"},
        {"int('9223372036854775807')", "9223372036854775807"},
        {"int('9223372036854775808')", "error: isn't an int"},
        {"int('')", "error: isn't an int"},
        {"int('1.5')", "error: isn't an int"},
        {"int(' 1')", "error: isn't an int"},
        {"int('0x1')", "error: isn't an int"},
        {"int(timestamp('2004-09-16T23:59:59Z'))", "1095379199"},
        {"int(timestamp('1969-12-31T23:59:58.5Z'))", "-2"},
        {"int(true)", "refused: no such overload"},
        {"int(null)", "refused: no such overload"},
        {"int(t)", "error: no such overload: int(bool)"},
    };
    CEL_CHECK(rows);
}

static void to_uint(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"uint(1729)", "1729u"},
        {"uint(9223372036854775807)", "9223372036854775807u"},
        {"uint(-1)", "error: range"},
        {"uint(3.14159265)", "3u"},
        {"uint(1.9)", "1u"},
        {"uint(25.5)", "25u"},
        {"uint(-0.5)", "0u"},
        {"uint(-1.0)", "error: range"},
        {"uint(1e19)", "10000000000000000000u"},
        {"uint(6.022e23)", "error: range"},
        {"uint(18446744073709551615.0)", "error: range"},
        {"uint('300')", "300u"},
        {"uint('18446744073709551615')", "18446744073709551615u"},
        {"uint('18446744073709551616')", "error: isn't a uint"},
        {"uint('-1')", "error: isn't a uint"},
        {"uint(7u)", "7u"},
        {"uint(a)", "error: no such overload: uint(list)"},
    };
    CEL_CHECK(rows);
}

static void to_double(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"double(0)", "0.0"},
        {"double(1000000000000)", "1000000000000.0"},
        {"double(-1000000000000000)", "-1000000000000000.0"},
        {"double(9223372036854775807)", "9223372036854776000.0"},
        {"double(0u)", "0.0"},
        {"double(123u)", "123.0"},
        {"double(18446744073709551615u)", "18446744073709552000.0"},
        {"double('0')", "0.0"},
        {"double('0.0')", "0.0"},
        {"double('-0.0')", "-0.0"},
        {"double('123')", "123.0"},
        {"double('123.456')", "123.456"},
        {"double('-987.654')", "-987.654"},
        {"double('6.02214e23')", "6.02214e+23"},
        {"double('1.38e-23')", "1.38e-23"},
        {"double('-84.32e7')", "-843200000.0"},
        {"double('-5.43e-21')", "-5.43e-21"},
        {"double('NaN')", "NaN"},
        {"double('-Infinity')", "-Infinity"},
        {"double('')", "error: isn't a double"},
        {"double('1.5x')", "error: isn't a double"},
        {"double(' 1')", "error: isn't a double"},
        {"double('0x10')", "error: isn't a double"},
        {"double('nan(1)')", "error: isn't a double"},
        {"double(1.5)", "1.5"},
        {"double(t)", "error: no such overload: double(bool)"},
    };
    CEL_CHECK(rows);
}

static void to_bool(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"bool(true)", "true"},
        {"bool('true')", "true"},
        {"bool('True')", "true"},
        {"bool('TRUE')", "true"},
        {"bool('t')", "true"},
        {"bool('1')", "true"},
        {"bool('false')", "false"},
        {"bool('False')", "false"},
        {"bool('FALSE')", "false"},
        {"bool('f')", "false"},
        {"bool('0')", "false"},
        {"bool('TrUe')", "error: isn't a bool"},
        {"bool('')", "error: isn't a bool"},
        {"bool(n)", "error: no such overload: bool(int)"},
    };
    CEL_CHECK(rows);
}

static void types(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"type(true)", "bool"},
        {"bool", "bool"},
        {"type(0)", "int"},
        {"int", "int"},
        {"type(64u)", "uint"},
        {"type(3.14)", "double"},
        {"type(null)", "null_type"},
        {"null_type", "null_type"},
        {"type('foo')", "string"},
        {"type(b'\\xff')", "bytes"},
        {"type([1, 2, 3])", "list"},
        {"type([1, 2, 3]) == type(['one', 'two'])", "true"},
        {"type({4: 16})", "map"},
        {"type({'one': 1}) == type({1: 'one'})", "true"},
        {"type(7) == type(7u)", "false"},
        {"type(0.0) != type(-0.0)", "false"},
        {"type(0.0) != type(0)", "true"},
        {"type(type(7)) == type(type(7u))", "true"},
        {"type(int)", "type"},
        {"type", "type"},
        {"type(type)", "type"},
        {"type(x)", "map"},
        {"type(n) == int", "true"},
        {"type(dyn([1, 'one']))", "list"},
        {"dyn(n) == 7", "true"},
        {"dyn", "refused: "},
    };
    CEL_CHECK(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers),
        cmocka_unit_test(naturals),
        cmocka_unit_test(nothing_is_divided_by_zero),
        cmocka_unit_test(overflow_is_an_error),
        cmocka_unit_test(doubles),
        cmocka_unit_test(kinds_do_not_mix_in_arithmetic),
        cmocka_unit_test(to_int),
        cmocka_unit_test(to_uint),
        cmocka_unit_test(to_double),
        cmocka_unit_test(to_bool),
        cmocka_unit_test(types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
