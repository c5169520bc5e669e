/* Conformance: literals, comparisons, parsing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "cel_table.h"

static void literals_of_nothing_are_themselves(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"0", "0"},         {"0u", "0u"},
        {"0.0", "0.0"},     {"0e+0", "0.0"},
        {"''", "''"},       {"\"\"", "''"},
        {"r\"\"", "''"},    {"R''", "''"},
        {"''''''", "''"},   {"\"\"\"\"\"\"", "''"},
        {"b\"\"", "b''"},   {"B''", "b''"},
        {"false", "false"}, {"null", "null"},
        {"[]", "[]"},       {"{}", "{}"},
        {"0x0", "0"},       {"-0", "0"},
        {"-0.0", "-0.0"},
    };
    CEL_CHECK(rows);
}

static void literals_are_themselves(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"42", "42"},
        {"123456789u", "123456789u"},
        {"123456789U", "123456789u"},
        {"0x1F", "31"},
        {"0xffu", "255u"},
        {"-0x55", "-85"},
        {"0x7fffffffffffffff", "9223372036854775807"},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"18446744073709551615u", "18446744073709551615u"},
        {"-2.3e+1", "-23.0"},
        {".5", "0.5"},
        {"1e3", "1000.0"},
        {"1.5E-2", "0.015"},
        {"6.02214e23", "6.02214e+23"},
        {"\"!\"", "'!'"},
        {"'\\''", "'\\x27'"},
        {"'a' 'b'", "refused: "},
        {"b'\\u00FF'", "refused: "},
        {"b'\\xff\\000'", "b'\\xff\\x00'"},
        {"b'\303\277'", "b'\\xc3\\xbf'"},
        {"[-1]", "[-1]"},
        {"[1, 2, 3,]", "[1, 2, 3]"},
        {"{\"k\":\"v\"}", "{'k': 'v'}"},
        {"{'a': 1, 'b': 2,}", "{'a': 1, 'b': 2}"},
        {"true", "true"},
        {"[1, 'a', null, [true]]", "[1, 'a', null, [true]]"},
    };
    CEL_CHECK(rows);
}

static void literals_that_are_too_large_are_refused(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"9223372036854775808", "refused: "},
        {"-9223372036854775809", "refused: "},
        {"18446744073709551616u", "refused: "},
        {"0x8000000000000000", "refused: "},
        {"1e400", "refused: "},
    };
    CEL_CHECK(rows);
}

static void escapes_of_strings(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"'hello'", "'hello'"},
        {"\"hello\"", "'hello'"},
        {"'''hello'''", "'hello'"},
        {"\"\"\"hello\"\"\"", "'hello'"},
        {"'it\"s'", "'it\"s'"},
        {"\"it's\"", "'it\\x27s'"},
        {"'''a 'b' c'''", "'a \\x27b\\x27 c'"},
        {"\"\"\"a \"b\" c\"\"\"", "'a \"b\" c'"},
        {"' \\\\ \\? \\\" \\' \\` '", "' \\x5c ? \" \\x27 ` '"},
        {"'''\n'''", "'\\x0a'"},
        {"'\\a\\b\\f\\t\\v'", "'\\x07\\x08\\x0c\\x09\\x0b'"},
        {"'\\n\\r'", "'\\x0a\\x0d'"},
        {"'\\x01\\x1f\\X7F'", "'\\x01\\x1f\\x7f'"},
        {"'\\012\\177'", "'\\x0a\\x7f'"},
        {"'\\u0041\\u00e9'", "'A\303\251'"},
        {"'\\U0001F600'", "'\360\237\230\200'"},
        {"'\303\277'", "'\303\277'"},
        {"'\\xe9'", "'\303\251'"},
        {"'\\377'", "'\303\277'"},
        {"r'\\n\\x41'", "'\\x5cn\\x5cx41'"},
        {"r\"\\\"", "'\\x5c'"},
        {"R'''\\'''", "'\\x5c'"},
        {"b'\\x00\\x41\\377'", "b'\\x00A\\xff'"},
        {"br'\\x41'", "b'\\x41'"},
        {"rb'\\x41'", "refused: "},
    };
    CEL_CHECK(rows);
}

static void bad_strings_are_refused(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"'abc", "refused: "},          {"\"abc", "refused: "},
        {"'''abc''", "refused: "},      {"'a\nb'", "refused: "},
        {"'\\q'", "refused: "},         {"'\\x4'", "refused: "},
        {"'\\u12'", "refused: "},       {"'\\ud800'", "refused: "},
        {"'\\U00110000'", "refused: "}, {"'\\400'", "refused: "},
        {"'\\18'", "refused: "},        {"'\\", "refused: "},
    };
    CEL_CHECK(rows);
}

static void equal_is_by_value(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"1 == 1", "true"},
        {"-1 == 1", "false"},
        {"2u == 2u", "true"},
        {"1u == 2u", "false"},
        {"1.0 == 1.0e+0", "true"},
        {"-1.0 == 1.0", "false"},
        {"'' == \"\"", "true"},
        {"'a' == 'b'", "false"},
        {"'abc' == r'abc'", "true"},
        {"'abc' == 'ABC'", "false"},
        {"'\\u00e9' == 'e\\u0301'", "false"},
        {"null == null", "true"},
        {"true == true", "true"},
        {"false == true", "false"},
        {"b'abc' == b'abcd'", "false"},
        {"b'\303\277' == b'\\303\\277'", "true"},
        {"[] == []", "true"},
        {"[1, 2, 3] == [1, 2, 3]", "true"},
        {"[1, 2, 3] == [1, 3, 2]", "false"},
        {"['case'] == ['cAse']", "false"},
        {"[1] == [1.0]", "true"},
        {"[1.0, 2] == [1, 2u]", "true"},
        {"[] == [null]", "false"},
        {"{} == {}", "true"},
        {"{'k':'v'} == {\"k\":\"v\"}", "true"},
        {"{'k':1.0} == {'k':1}", "true"},
        {"{1:'v'} == {1u:'v'}", "true"},
        {"{'k':'v'} == {'k':'v1'}", "false"},
        {"{'k':'v','k1':'v1'} == {'k':'v'}", "false"},
        {"{'k1':'v1','k2':'v2'} == {'k2':'v2','k1':'v1'}", "true"},
        {"{'key':'value'} == {'Key':'value'}", "false"},
        {"{'a':[1,{'b':2}]} == {'a':[1,{'b':2.0}]}", "true"},
        {"int == int", "true"},
        {"type(1) == int", "true"},
        {"type('a') == int", "false"},
    };
    CEL_CHECK(rows);
}

static void equal_over_kinds_is_false_but_for_numbers(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"1 == 1u", "true"},
        {"1 == 1.0", "true"},
        {"1u == 1.0", "true"},
        {"1 == 1.5", "false"},
        {"1u == 1.5", "false"},
        {"-1 == 18446744073709551615u", "false"},
        {"9223372036854775807 == 9223372036854775808.0", "false"},
        {"9007199254740993 == 9007199254740992.0", "false"},
        {"18446744073709551615u == 18446744073709551616.0", "false"},
        {"n == '7'", "false"},
        {"s == 1", "false"},
        {"t == 1", "false"},
        {"x == null", "false"},
        {"n == null", "false"},
        {"a == x", "false"},
        {"n == 7.0", "true"},
        {"u == 2", "true"},
        {"d == 0", "true"},
        {"d == -0.0", "true"},
        {"double('NaN') == double('NaN')", "false"},
        {"double('NaN') != double('NaN')", "true"},
        {"[double('NaN')] == [double('NaN')]", "false"},
    };
    CEL_CHECK(rows);
}

static void unequal_is_the_opposite(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"24 != 42", "true"},
        {"1 != 1", "false"},
        {"1u != 2u", "true"},
        {"99u != 99u", "false"},
        {"9.0e+3 != 9001.0", "true"},
        {"1.0 != 1e+0", "false"},
        {"'abc' != ''", "true"},
        {"'abc' != 'abc'", "false"},
        {"b'\\x00\\xFF' != b'\\xFF'", "true"},
        {"false != true", "true"},
        {"true != true", "false"},
        {"null != null", "false"},
        {"[] != [1]", "true"},
        {"[] != []", "false"},
        {"[true, false, true] != [true, true, false]", "true"},
        {"[[]] != [[]]", "false"},
        {"{'k':'v'} != {'k':'v1'}", "true"},
        {"{'k':true} != {'k1':true}", "true"},
        {"{1:1.0} != {1:1.0}", "false"},
        {"{'a':'b','c':'d'} != {'c':'d','a':'b'}", "false"},
        {"n != 'seven'", "true"},
    };
    CEL_CHECK(rows);
}

static void order(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"-1 < 0", "true"},
        {"0 < 0", "false"},
        {"0u < 1u", "true"},
        {"2u < 2u", "false"},
        {"1.0 < 1.0000001", "true"},
        {"-0.0 < 0.0", "false"},
        {"'a' < 'b'", "true"},
        {"'Abc' < 'aBC'", "true"},
        {"'abc' < 'abcd'", "true"},
        {"'a' < '\303\241'", "true"},
        {"'' < ''", "false"},
        {"'a' < 'AB'", "false"},
        {"b'a' < b'b'", "true"},
        {"b'abc' < b'abc'", "false"},
        {"b'\303\241' < b'b'", "false"},
        {"false < true", "true"},
        {"true < true", "false"},
        {"true < false", "false"},
        {"42 > -42", "true"},
        {"0 > 0", "false"},
        {"48u > 46u", "true"},
        {"0u > 999u", "false"},
        {"1e+1 > 1e+0", "true"},
        {".99 > 9.9e-1", "false"},
        {"'abc' > 'aBc'", "true"},
        {"'A' > ''", "true"},
        {"b'\\x01' > b'\\x00'", "true"},
        {"b'\\x00\\x01' > b'\\x01'", "false"},
        {"true > false", "true"},
        {"false > true", "false"},
        {"0 <= -1", "false"},
        {"4 <= 4", "true"},
        {"1u <= 0u", "false"},
        {"1.0 <= 1.0", "true"},
        {"'a' <= 'b'", "true"},
        {"'a' <= 'a'", "true"},
        {"b'' <= b'\\x00'", "true"},
        {"false <= true", "true"},
        {"0 >= -1", "true"},
        {"0 >= 1", "false"},
        {"1e-1 >= 1e+1", "false"},
        {"'abc' >= 'abd'", "false"},
        {"b'abc' >= b'abc'", "true"},
        {"true >= false", "true"},
    };
    CEL_CHECK(rows);
}

static void order_over_kinds_of_numbers(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"1 < 1u", "false"},
        {"1u < 2", "true"},
        {"1 < 1.1", "true"},
        {"1.1 < 1", "false"},
        {"1u < 1.1", "true"},
        {"2.5 > 2u", "true"},
        {"-1 < 0u", "true"},
        {"0u > -1", "true"},
        {"9223372036854775807 < 9223372036854775808.0", "true"},
        {"9223372036854775807 < 9223372036854775808u", "true"},
        {"-9223372036854775808 >= -9223372036854775808.0", "true"},
        {"18446744073709551615u < 18446744073709551616.0", "true"},
        {"9007199254740993 > 9007199254740992.0", "true"},
        {"1 < double('Infinity')", "true"},
        {"-1 > double('-Infinity')", "true"},
        {"u > double('-Infinity')", "true"},
        {"1 < double('NaN')", "false"},
        {"1 > double('NaN')", "false"},
        {"1u <= double('NaN')", "false"},
        {"double('NaN') >= double('NaN')", "false"},
        {"n > 6.5", "true"},
        {"d < u", "true"},
    };
    CEL_CHECK(rows);
}

static void what_has_no_order(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"[0] < [1]", "refused: no such overload"},
        {"{0:'a'} < {1:'b'}", "refused: no such overload"},
        {"null < null", "refused: no such overload"},
        {"null > null", "refused: no such overload"},
        {"'1' < 1", "refused: no such overload"},
        {"a < a", "error: no such overload: list < list"},
        {"x >= x", "error: no such overload: map >= map"},
        {"s < 1", "error: no such overload: string < int"},
        {"n > 'a'", "error: no such overload: int > string"},
        {"t <= 0", "error: no such overload: bool <= int"},
    };
    CEL_CHECK(rows);
}

static void deep_and_long_texts_are_taken(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"a[a[a[a[a[a[a[a[a[a[a[a[0]]]]]]]]]]]]", "0"},
        {"int(uint(int(uint(int(uint(int(uint(int(uint(int(uint(7))))))))))))",
         "7"},
        {"size([[[[[[[[[[[[0]]]]]]]]]]]])", "1"},
        {"size({0: {0: {0: {0: {0: {0: {0: {0: {0: {0: {0: {0: "
         "'x'}}}}}}}}}}}})",
         "1"},
        {"((((((((((((((((((((((((((((((((7))))))))))))))))))))))))))))))))",
         "7"},
        {"false ? 0 : false ? 1 : false ? 2 : false ? 3 : false ? 4 : 5", "5"},
        {"false || false || false || false || false || false || true", "true"},
        {"true && true && true && true && true && true && false", "false"},
        {"3 - 3 + 3 - 3 + 3 - 3 + 3 - 3 + 3 - 3 + 3 - 3 + 3", "3"},
        {"4 * 4 / 4 * 4 / 4 * 4 / 4 * 4 / 4 * 4 / 4 * 4 / 4", "4"},
        {"!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!true", "true"},
        {"--------------------------------19", "19"},
        {"[[[[[[[[[[[['foo']]]]]]]]]]]][0][0][0][0][0][0][0][0][0][0][0][0]",
         "'foo'"},
        {"[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15][13]", "13"},
        {"{0: 'zero', 1: 'one', 2: 'two', 3: 'three', 4: 'four'}[3]",
         "'three'"},
        {"x.deep.a.b", "'c'"},
        {"1 + // a remark\n 2", "3"},
        {"\t1\r\n+\f2", "3"},
    };
    CEL_CHECK(rows);
}

static void what_is_not_in_the_grammar_is_refused(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"", "refused: "},
        {"1 +", "refused: "},
        {"(1", "refused: "},
        {"1)", "refused: "},
        {"[1, 2", "refused: "},
        {"{1: 2", "refused: "},
        {"{1}", "refused: "},
        {"1 2", "refused: "},
        {"1 = 1", "refused: "},
        {"1 & 1", "refused: "},
        {"1 | 1", "refused: "},
        {"1 === 1", "refused: "},
        {"true ? 1", "refused: "},
        {"x.", "refused: "},
        {"x.1", "refused: "},
        {"x[", "refused: "},
        {"f(1", "refused: "},
        {"#", "refused: "},
        {"@x", "refused: "},
        {"nothing_of_that_name", "refused: "},
        {"nofunction(1)", "refused: "},
        {"s.nomethod()", "refused: "},
        {"in", "refused: "},
        {"for", "refused: "},
        {"package", "refused: "},
        {"while", "refused: "},
        {"Message{field: 1}", "refused: "},
        {"size()", "refused: "},
        {"size(1, 2)", "refused: "},
    };
    CEL_CHECK(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_of_nothing_are_themselves),
        cmocka_unit_test(literals_are_themselves),
        cmocka_unit_test(literals_that_are_too_large_are_refused),
        cmocka_unit_test(escapes_of_strings),
        cmocka_unit_test(bad_strings_are_refused),
        cmocka_unit_test(equal_is_by_value),
        cmocka_unit_test(equal_over_kinds_is_false_but_for_numbers),
        cmocka_unit_test(unequal_is_the_opposite),
        cmocka_unit_test(order),
        cmocka_unit_test(order_over_kinds_of_numbers),
        cmocka_unit_test(what_has_no_order),
        cmocka_unit_test(deep_and_long_texts_are_taken),
        cmocka_unit_test(what_is_not_in_the_grammar_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
