/* Conformance: strings, bytes, and what is made of them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "cel_table.h"

static void sizes(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"size('')", "0"},
        {"size('A')", "1"},
        {"size('\303\277')", "1"},
        {"size('four')", "4"},
        {"size('\317\200\316\255\316\275\317\204\316\265')", "5"},
        {"size('\360\237\230\200')", "1"},
        {"'four'.size()", "4"},
        {"size(b'')", "0"},
        {"size(b'\303\277')", "2"},
        {"b'abc'.size()", "3"},
        {"size(s)", "4"},
        {"s.size() == size(s)", "true"},
        {"size(n)", "error: no such overload: size(int)"},
        {"size(1)", "refused: no such overload"},
    };
    CEL_CHECK(rows);
}

static void starts_and_ends(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"'foobar'.startsWith('foo')", "true"},
        {"'foobar'.startsWith('bar')", "false"},
        {"''.startsWith('foo')", "false"},
        {"'foobar'.startsWith('')", "true"},
        {"''.startsWith('')", "true"},
        {"'\320\267\320\260\320\262'.startsWith('\320\267\320\260')", "true"},
        {"'foobar'.endsWith('bar')", "true"},
        {"'foobar'.endsWith('foo')", "false"},
        {"''.endsWith('foo')", "false"},
        {"'foobar'.endsWith('')", "true"},
        {"''.endsWith('')", "true"},
        {"'fort\303\251'.endsWith('t\303\251')", "true"},
        {"s.startsWith('te') && s.endsWith('xt')", "true"},
        {"n.startsWith('7')", "error: no such overload: startsWith"},
        {"s.startsWith(n)", "error: no such overload: startsWith"},
        {"'a'.startsWith(1)", "refused: no such overload"},
        {"s.startsWith()", "refused: "},
        {"startsWith('a', 'a')", "refused: "},
    };
    CEL_CHECK(rows);
}

static void contains(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"'hello'.contains('he')", "true"},
        {"'hello'.contains('')", "true"},
        {"'hello'.contains('ol')", "false"},
        {"'abababc'.contains('ababc')", "true"},
        {"'Stra\303\237e'.contains('a\303\237')", "true"},
        {"''.contains('a')", "false"},
        {"''.contains('')", "true"},
        {"s.contains('ex')", "true"},
    };
    CEL_CHECK(rows);
}

static void regular_expressions(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"'hubba'.matches('ubb')", "true"},
        {"''.matches('foo|bar')", "false"},
        {"'cows'.matches('')", "true"},
        {"''.matches('')", "true"},
        {"'abcd'.matches('bc')", "true"},
        {"'grey'.matches('gr(a|e)y')", "true"},
        {"'banana'.matches('ba(na)*')", "true"},
        {"'ma\303\261ana'.matches('a+\303\261+a+')", "true"},
        {"'\360\237\230\201'.matches('^.$')", "true"},
        {"matches('foobar', '^foo')", "true"},
        {"matches('foobar', '^bar')", "false"},
        {"s.matches('^[a-z]+$')", "true"},
        {"s.matches('^t.*t$')", "true"},
        {"s.matches('^T')", "false"},
        {"s.matches('(?i)^T')", "true"},
        {"s.matches(r'^\\w{4}$')", "true"},
        {"s.matches(r'\\d')", "false"},
        {"s.matches('(' + s)", "error: matches: bad pattern"},
        {"s.matches('[z-a]' + s)", "error: matches: bad pattern"},
        {"s.matches('*' + s)", "error: matches: bad pattern"},
        {"'a\\n'.matches('a$')", "false"},
        {"n.matches('7')", "error: no such overload: matches(int, string)"},
    };
    CEL_CHECK(rows);
}

static void joined_strings(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"'he' + 'llo'", "'hello'"},
        {"'hello' + ' ' == 'hello'", "false"},
        {"'' + 'abc'", "'abc'"},
        {"'abc' + ''", "'abc'"},
        {"'' + ''", "''"},
        {"'\302\242' + '\303\277' + '\310\200'", "'\302\242\303\277\310\200'"},
        {"'r' + '\303\264' + 'le'", "'r\303\264le'"},
        {"b'abc' + b'def'", "b'abcdef'"},
        {"b'' + b'\\xff'", "b'\\xff'"},
        {"s + '-' + s", "'text-text'"},
        {"s + string(n)", "'text7'"},
        {"s + b'x'", "error: no such overload: string + bytes"},
    };
    CEL_CHECK(rows);
}

static void to_string(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"string(123)", "'123'"},
        {"string(-456)", "'-456'"},
        {"string(-9223372036854775808)", "'-9223372036854775808'"},
        {"string(9876u)", "'9876'"},
        {"string(123.456)", "'123.456'"},
        {"string(-4.5e-3)", "'-0.0045'"},
        {"string(1e6)", "'1000000'"},
        {"string(true)", "'true'"},
        {"string(false)", "'false'"},
        {"string('abc')", "'abc'"},
        {"string(b'abc')", "'abc'"},
        {"string(b'\\303\\277')", "'\303\277'"},
        {"string(b'\\000\\xff')", "error: invalid UTF-8"},
        {"string(b'\\xed\\xa0\\x80')", "error: invalid UTF-8"},
        {"string(a)", "error: no such overload: string(list)"},
        {"string(null)", "refused: no such overload"},
        {"string(type(1))", "refused: no such overload"},
    };
    CEL_CHECK(rows);
}

static void to_bytes(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"bytes('')", "b''"},
        {"bytes('abc')", "b'abc'"},
        {"bytes('\303\277')", "b'\\xc3\\xbf'"},
        {"bytes('\\377') == b'\\377'", "false"},
        {"bytes(b'\\xff')", "b'\\xff'"},
        {"bytes(s)", "b'text'"},
        {"bytes(n)", "error: no such overload: bytes(int)"},
        {"string(bytes(s)) == s", "true"},
    };
    CEL_CHECK(rows);
}

static void letters_and_spaces(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"'TacoCat'.lower()", "'tacocat'"},
        {"'TacoCat'.upper()", "'TACOCAT'"},
        {"'T\303\204[{@`Zz'.lower()", "'t\303\204[{@`zz'"},
        {"'t\303\244[{@`zZ'.upper()", "'T\303\244[{@`ZZ'"},
        {"''.lower()", "''"},
        {"'  \\t trim me\\r\\n '.trim()", "'trim me'"},
        {"'   '.trim()", "''"},
        {"''.trim()", "''"},
        {"'a b'.trim()", "'a b'"},
        {"s.upper().lower() == s", "true"},
        {"n.lower()", "error: no such overload: lower(int)"},
    };
    CEL_CHECK(rows);
}

static void replaced(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"'12 days 12 hours'.replace('12', '7')", "'7 days 7 hours'"},
        {"'12 days 12 hours'.replace('12', '7', 1)", "'7 days 12 hours'"},
        {"'12 days 12 hours'.replace('12', '7', 0)", "'12 days 12 hours'"},
        {"'12 days 12 hours'.replace('12', '7', -1)", "'7 days 7 hours'"},
        {"'aaaa'.replace('aa', 'b')", "'bb'"},
        {"'aaa'.replace('a', '')", "''"},
        {"'abc'.replace('x', 'y')", "'abc'"},
        {"''.replace('a', 'b')", "''"},
        {"'a\303\244b'.replace('', '_')", "'_a_\303\244_b_'"},
        {"'ab'.replace('', '_', 2)", "'_a_b'"},
        {"''.replace('', '_')", "'_'"},
        {"s.replace('t', 'T')", "'TexT'"},
        {"s.replace('t')", "refused: "},
        {"s.replace('t', n)", "error: no such overload: replace"},
        {"s.replace('t', 'T', s)", "error: no such overload: replace"},
    };
    CEL_CHECK(rows);
}

static void split_and_joined(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"'hello world'.split(' ')", "['hello', 'world']"},
        {"'hello world events!'.split(' ', 0)", "[]"},
        {"'hello world events!'.split(' ', 1)", "['hello world events!']"},
        {"'o-k-a'.split('-', 2)", "['o', 'k-a']"},
        {"'o-k'.split('-', -1)", "['o', 'k']"},
        {"'a,,b,'.split(',')", "['a', '', 'b', '']"},
        {"''.split(',')", "['']"},
        {"''.split('')", "[]"},
        {"'a\303\244b'.split('')", "['a', '\303\244', 'b']"},
        {"'abc'.split('', 2)", "['a', 'bc']"},
        {"'abc'.split('abc')", "['', '']"},
        {"'/a/b'.split('/')[2]", "'b'"},
        {"['x', 'y'].join()", "'xy'"},
        {"['x', 'y'].join('-')", "'x-y'"},
        {"[].join('-')", "''"},
        {"['x'].join('-')", "'x'"},
        {"'a-b-c'.split('-').join('+')", "'a+b+c'"},
        {"[1, 'b'].join()", "error: join: item 0 is int"},
        {"a.join()", "error: join: item 0 is int"},
        {"a.join(1)", "refused: "},
        {"s.join()", "error: no such overload: join(string)"},
    };
    CEL_CHECK(rows);
}

static void formatted(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"'no place'.format([])", "'no place'"},
        {"'100%%'.format([])", "'100%'"},
        {"'%s and %s'.format(['a', s])", "'a and text'"},
        {"'%s'.format([1])", "'1'"},
        {"'%s'.format([1.5])", "'1.5'"},
        {"'%s'.format([true])", "'true'"},
        {"'%s'.format([null])", "'null'"},
        {"'%s'.format([[1, 'a']])", "'[1,\"a\"]'"},
        {"'%s'.format([{'k': 1}])", "'{\"k\":1}'"},
        {"'%s'.format([duration('90m')])", "'5400s'"},
        {"'%d'.format([42])", "'42'"},
        {"'%d'.format([-9223372036854775808])", "'-9223372036854775808'"},
        {"'%d'.format([18446744073709551615u])", "'18446744073709551615'"},
        {"'%f'.format([2.71828])", "'2.718280'"},
        {"'%.3f'.format([2.71828])", "'2.718'"},
        {"'%.0f'.format([2.5])", "'2'"},
        {"'%.1f'.format([n])", "'7.0'"},
        {"'%e'.format([1052.032911275])", "'1.052033e+03'"},
        {"'%.2e'.format([0.00015])", "'1.50e-04'"},
        {"'%x %X'.format([255, 255u])", "'ff FF'"},
        {"'%x'.format([-255])", "'-ff'"},
        {"'%x'.format(['Hello'])", "'48656c6c6f'"},
        {"'%X'.format([b'\\xfe\\x01'])", "'FE01'"},
        {"'%o'.format([11])", "'13'"},
        {"'%b'.format([5])", "'101'"},
        {"'%b'.format([true])", "'1'"},
        {"'%b'.format([-1])", "'-1'"},
        {"'%d'.format([])", "error: format: no value for place 1"},
        {"'%d'.format([1, 2])", "error: format: 2 values, but 1 places"},
        {"'%d'.format(['a'])", "error: format: %d can't show string"},
        {"'%f'.format(['a'])", "error: format: %f can't show string"},
        {"'%b'.format(['a'])", "error: format: %b can't show string"},
        {"'%q'.format([1])", "error: format: place 1 isn't one of"},
        {"'%'.format([1])", "error: format: place 1 isn't one of"},
        {"'%.'.format([1])", "error: format: place 1 isn't one of"},
        {"'%.2d'.format([1])", "error: format: place 1 isn't one of"},
        {"'%.101f'.format([1.0])", "error: format: place 1 isn't one of"},
        {"s.format(n)", "error: no such overload: format(string, int)"},
    };
    CEL_CHECK(rows);
}

static void json_texts(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"json('{\"a\": [1, 2.5, \"b\", null, true]}')",
         "{'a': [1, 2.5, 'b', null, true]}"},
        {"json('7')", "7"},
        {"json('1.0')", "1.0"},
        {"json('1e2')", "100.0"},
        {"json('\"x\"')", "'x'"},
        {"json('null')", "null"},
        {"json(b'[9223372036854775807]')", "[9223372036854775807]"},
        {"json('{\"a\": {\"b\": 5}}').a.b", "5"},
        {"json('{')", "error: json: "},
        {"json('')", "error: json: "},
        {"json('abc')", "error: json: "},
        {"json('{\"a\":1,\"a\":2}')", "error: json: "},
        {"json(s)", "error: json: "},
        {"json(n)", "error: no such overload: json(int)"},
    };
    CEL_CHECK(rows);
}

static void wildcards(void **state)
{
    (void)state;
    static const struct cel_row rows[] = {
        {"glob('t*', s)", "true"},
        {"glob('*.conf', 'a.conf')", "true"},
        {"glob('/a/*', '/a/b/c')", "false"},
        {"glob('/a/**', '/a/b/c')", "true"},
        {"glob('t?x[s-u]', s)", "true"},
        {"glob('t?x[!s-u]', s)", "false"},
        {"glob(s, n)", "error: no such overload: glob(string, int)"},
    };
    CEL_CHECK(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),          cmocka_unit_test(starts_and_ends),
        cmocka_unit_test(contains),       cmocka_unit_test(regular_expressions),
        cmocka_unit_test(joined_strings), cmocka_unit_test(to_string),
        cmocka_unit_test(to_bytes),       cmocka_unit_test(letters_and_spaces),
        cmocka_unit_test(replaced),       cmocka_unit_test(split_and_joined),
        cmocka_unit_test(formatted),      cmocka_unit_test(json_texts),
        cmocka_unit_test(wildcards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
