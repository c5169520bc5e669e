/* Conformance: lists, maps and their fields, macros, logic with errors. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "cel_table.h"

static void lists(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"[0, 1, 2] + [3, 4, 5] == [0, 1, 2, 3, 4, 5]", "true"},
        {"[0, 1, 2] + [3, 4, 5] == [3, 4, 5, 0, 1, 2]", "false"},
        {"[2] + [2]", "[2, 2]"},
        {"[] + []", "[]"},
        {"[1] + []", "[1]"},
        {"[] + ['a']", "['a']"},
        {"a + [n]", "[0, 7]"},
        {"[7, 8, 9][0]", "7"},
        {"[7, 8, 9][2]", "9"},
        {"['foo'][0]", "'foo'"},
        {"[0, 1, 2, 3][3]", "3"},
        {"[7, 8, 9][3]", "error: index out of range: 3, of 3 items"},
        {"[7, 8, 9][-1]", "error: index out of range: -1, of 3 items"},
        {"[7, 8, 9][d]", "7"},
        {"[7, 8, 9][u]", "9"},
        {"[7, 8, 9][d + 0.1]", "error: the index isn't a whole number"},
        {"[7, 8, 9][n]", "error: index out of range: 7, of 3 items"},
        {"a[double('NaN')]", "error: "},
        {"a[1e300]", "error: index out of range"},
        {"a[s]", "error: no such overload: list[string]"},
        {"a['0']", "error: no such overload: list[string]"},
        {"[][0]", "error: index out of range: 0, of 0 items"},
        {"n[0]", "error: no such overload: int[int]"},
        {"size([])", "0"},
        {"size([7, 8, 9])", "3"},
        {"[7, 8].size()", "2"},
    };
    CEL_CHECK(rows);
}

static void membership(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"7 in []", "false"},
        {"4 in [7, 1, 4]", "true"},
        {"'elem' in ['elem']", "true"},
        {"'not' in ['elem']", "false"},
        {"'x' in [1, 'x', null]", "true"},
        {"1.0 in [1]", "true"},
        {"1u in [1.0]", "true"},
        {"null in [1, null]", "true"},
        {"[1] in [[1], [2]]", "true"},
        {"{'a': 1} in [{'a': 1.0}]", "true"},
        {"7 in {}", "false"},
        {"true in {true: 1}", "true"},
        {"'k' in {'k': null}", "true"},
        {"'l' in {'k': null}", "false"},
        {"1 in {1u: 'a'}", "true"},
        {"1.0 in {1: 'a'}", "true"},
        {"1.5 in {1: 'a'}", "false"},
        {"'name' in x", "true"},
        {"'nome' in x", "false"},
        {"n in a", "false"},
        {"0 in a", "true"},
        {"n in s", "error: no such overload: int in string"},
        {"a in x", "error: no such overload: list in map"},
        {"!('a' in ['b'])", "true"},
    };
    CEL_CHECK(rows);
}

static void maps_and_fields(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"{0: 1, 2: 2, 5: true}[5]", "true"},
        {"{0u: 1u, 2u: 'happy', 5u: 3u}[2u]", "'happy'"},
        {"{'name': 100u}['name']", "100u"},
        {"{true: 5}[true]", "5"},
        {"{true: 1, 2: 2, 5u: 3}[true]", "1"},
        {"{true: null}[true]", "null"},
        {"{27: false}[27]", "false"},
        {"{3: 15.15}[3]", "15.15"},
        {"{0: b''}[0]", "b''"},
        {"{0u: [1]}[0u]", "[1]"},
        {"{'map': {'k': 'v'}}['map']", "{'k': 'v'}"},
        {"{'map': {'k': 'v'}}.map.k", "'v'"},
        {"{1: 'a'}[1u]", "'a'"},
        {"{1u: 'a'}[1.0]", "'a'"},
        {"{1: 'a'}[1.5]", "error: no such key: 1.5"},
        {"{0: 1, 2: 2, 5: 3}[1]", "error: no such key: 1"},
        {"x.name", "1024"},
        {"x['name']", "1024"},
        {"x.list[1]", "2"},
        {"x.deep.a", "{'b': 'c'}"},
        {"x.holiday", "error: no such key: holiday"},
        {"x['holiday']", "error: no such key: holiday"},
        {"x[true]", "error: no such key: true"},
        {"x[a]", "error: no such overload: map[list]"},
        {"n.field", "error: "},
        {"a.field", "error: "},
        {"{'a': 1, 'a': 2}", "error: "},
        {"{1: 1, 1u: 2}", "error: "},
        {"{n: 1, 7: 2}", "error: "},
        {"{1.5: 1}", "error: no such overload"},
        {"{d: 1}", "error: "},
        {"{null: 1}", "error: no such overload"},
        {"{[]: 1}", "error: no such overload"},
        {"size({})", "0"},
        {"size({1: 'a', 2: 'b'})", "2"},
        {"{1: 'a'}.size()", "1"},
        {"x.size()", "3"},
    };
    CEL_CHECK(rows);
}

static void has(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"has({'a': 1}.a)", "true"},    {"has({'a': 1}.b)", "false"},
        {"has({'a': null}.a)", "true"}, {"has({}.a)", "false"},
        {"has(x.name)", "true"},        {"has(x.nome)", "false"},
        {"has(x.deep.a)", "true"},      {"has(x.deep.b)", "false"},
        {"has(n.field)", "error: "},    {"has(x['name'])", "refused: "},
        {"has(1)", "refused: "},        {"has()", "refused: "},
    };
    CEL_CHECK(rows);
}

static void exists(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"[1, 2, 3].exists(e, e > 0)", "true"},
        {"[1, 2, 3].exists(e, e == 2)", "true"},
        {"[1, 2, 3].exists(e, e > 3)", "false"},
        {"[1, 'foo', 3].exists(e, e != '1')", "true"},
        {"[1, 'foo', 3].exists(e, e == '10')", "false"},
        {"[1, 'foo', 3].exists(e, e % 2 == 1)", "true"},
        {"['foo', 2].exists(e, e % 2 == 1)", "error: no such overload"},
        {"[1, 2, 3].exists(e, e / 0 == 17)", "error: divide by zero"},
        {"[].exists(e, e == 2)", "false"},
        {"{'key1': 1, 'key2': 2}.exists(k, k == 'key2')", "true"},
        {"!{'key1': 1, 'key2': 2}.exists(k, k == 'key3')", "true"},
        {"{'key': 1, 1: 21}.exists(k, k != 2)", "true"},
        {"x.list.exists(i, i == 2)", "true"},
        {"n.exists(e, true)", "error: "},
        {"[1].exists(e, e)", "error: "},
        {"[[1], [2]].exists(l, l.exists(e, e == 2))", "true"},
        {"[1, 2].exists(n, n == 2) && n == 7", "true"},
    };
    CEL_CHECK(rows);
}

static void all(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"[1, 2, 3].all(e, e > 0)", "true"},
        {"[1, 2, 3].all(e, e == 2)", "false"},
        {"[1, 2, 3].all(e, e == 17)", "false"},
        {"[1, 'foo', 3].all(e, e == 1)", "false"},
        {"[1, 'foo', 3].all(e, e % 2 == 1)", "error: no such overload"},
        {"[1, 'foo', 2].all(e, e % 2 == 1)", "false"},
        {"[1, 2, 3].all(e, 6 / (2 - e) == 6)", "false"},
        {"[1, 2, 3].all(e, e / 0 != 17)", "error: divide by zero"},
        {"[].all(e, e > 0)", "true"},
        {"{'key1': 1, 'key2': 2}.all(k, k == 'key2')", "false"},
        {"{'key1': 1, 'key2': 2}.all(k, k.startsWith('key'))", "true"},
    };
    CEL_CHECK(rows);
}

static void exists_one(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"[].exists_one(a, a == 7)", "false"},
        {"[7].exists_one(a, a == 7)", "true"},
        {"[8].exists_one(a, a == 7)", "false"},
        {"[1, 2, 3].exists_one(x, x > 20)", "false"},
        {"[6, 7, 8].exists_one(foo, foo % 5 == 2)", "true"},
        {"[0, 1, 2, 3, 4].exists_one(n, n % 2 == 1)", "false"},
        {"['foal', 'foo', 'four'].exists_one(n, n.startsWith('fo'))", "false"},
        {"[3, 2, 1, 0].exists_one(n, 12 / n > 1)", "error: divide by zero"},
        {"{6: 'six', 7: 'seven'}.exists_one(foo, foo % 5 == 2)", "true"},
    };
    CEL_CHECK(rows);
}

static void map_and_filter(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"[].map(n, n / 2)", "[]"},
        {"[3].map(n, n * n)", "[9]"},
        {"[2, 4, 6].map(n, n / 2)", "[1, 2, 3]"},
        {"[2, 1, 0].map(n, 4 / n)", "error: divide by zero"},
        {"{1: 1, 2: 4, 3: 9}.map(x, x * x)", "[1, 4, 9]"},
        {"[1, 2, 3].map(i, i % 2 == 1, i * 10)", "[10, 30]"},
        {"[1, 2].map(i, [1, 2].map(j, i * j))", "[[1, 2], [2, 4]]"},
        {"[].filter(n, n % 2 == 0)", "[]"},
        {"[2].filter(n, n == 2)", "[2]"},
        {"[1].filter(n, n > 3)", "[]"},
        {"[1, 2, 3].filter(e, e > 3)", "[]"},
        {"[0, 1, 2, 3, 4].filter(x, x % 2 == 1)", "[1, 3]"},
        {"[1, 2, 3].filter(n, n > 0)", "[1, 2, 3]"},
        {"[3, 2, 1, 0].filter(n, 12 / n > 4)", "error: divide by zero"},
        {"{0: 10, 1: 11, 2: 12}.filter(x, x % 2 == 0)", "[0, 2]"},
        {"x.list.map(i, i + n)", "[8, 9]"},
        {"size([1, 2, 3].filter(i, i > 1))", "2"},
        {"[1, 2].map(i, i, i)", "error: "},
        {"[1].map(1, 2)", "refused: "},
        {"[1].map(i)", "refused: "},
        {"[1].filter(i, true, false)", "refused: "},
    };
    CEL_CHECK(rows);
}

static void choice(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"true ? 1 : 2", "1"},
        {"false ? 'foo' : 'bar'", "'bar'"},
        {"2 / 0 > 4 ? 'baz' : 'quux'", "error: divide by zero"},
        {"t ? 'cows' : 17", "'cows'"},
        {"!t ? 'cows' : 17", "17"},
        {"t ? 1 : 1 / 0", "1"},
        {"!t ? 1 / 0 : 2", "2"},
        {"s ? false : 17", "error: "},
        {"'cows' ? false : 17", "refused: "},
    };
    CEL_CHECK(rows);
}

static void and_with_errors(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"true && true", "true"},
        {"false && false", "false"},
        {"false && true", "false"},
        {"true && false", "false"},
        {"false && n", "false"},
        {"s && false", "false"},
        {"false && (2 / 0 > 3)", "false"},
        {"(2 / 0 > 3) && false", "false"},
        {"!t && n / 0 == 1", "false"},
        {"n / 0 == 1 && !t", "false"},
        {"true && 1 / 0 != 0", "error: divide by zero"},
        {"1 / 0 != 0 && true", "error: divide by zero"},
        {"s && s", "error: no such overload"},
        {"'less' && 'great'", "refused: "},
        {"x.nome && false", "false"},
    };
    CEL_CHECK(rows);
}

static void or_with_errors(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"true || true", "true"},
        {"false || false", "false"},
        {"false || true", "true"},
        {"true || false", "true"},
        {"t || n", "true"},
        {"s || true", "true"},
        {"true || (2 / 0 > 3)", "true"},
        {"(2 / 0 > 3) || true", "true"},
        {"n / 0 == 1 || t", "true"},
        {"false || 1 / 0 != 0", "error: divide by zero"},
        {"1 / 0 != 0 || false", "error: divide by zero"},
        {"s || s", "error: no such overload"},
        {"x.nome || x.name == 1024", "true"},
        {"!(1 / 0 == 1)", "error: divide by zero"},
        {"!true", "false"},
        {"!false", "true"},
    };
    CEL_CHECK(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists),           cmocka_unit_test(membership),
        cmocka_unit_test(maps_and_fields), cmocka_unit_test(has),
        cmocka_unit_test(exists),          cmocka_unit_test(all),
        cmocka_unit_test(exists_one),      cmocka_unit_test(map_and_filter),
        cmocka_unit_test(choice),          cmocka_unit_test(and_with_errors),
        cmocka_unit_test(or_with_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
