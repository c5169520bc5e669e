/* Actions, each with all that it may have and with nothing: what the plan has
 * of them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "recipe_plan.h"
#include "recipe_support.h"

struct row {
    const char *text;
    const char *plan;
};

static const struct row puts_rows[] = {
    {"put: {key: /b, value: x}", "put #0 key=\"/b\" value=\"x\" writes=/b"},
    {"put: {key: '/b/{{x}}', value: '{{value}}'}",
     "put #0 key=T(/b/ x) value=T( value) writes=/b/{}"},
    {"put: {key: '/b/{{ x }}/{{key}}', value: null}",
     "put #0 key=T(/b/ key x) value=null writes=/b/{}/*"},
    {"put: {key: /b, value: 7, ttl: 1s}",
     "put #0 key=\"/b\" value=7 ttl=1000ms writes=/b"},
    {"put: {ttl: 1d, value: -0.5, key: '{{x}}/b'}",
     "put #0 key=T( x) value=-0.5 ttl=86400000ms writes={}/b"},
    {"put: {key: /b, value: true}", "put #0 key=\"/b\" value=true writes=/b"},
    {"put: {key: /b, value: []}", "put #0 key=\"/b\" value=[] writes=/b"},
    {"put: {key: /b, value: {}}", "put #0 key=\"/b\" value={} writes=/b"},
    {"put: {key: /b, value: {a: {b: [1, [2, '{{x}}'], {c: null}]}, d: ''}}",
     "put #0 key=\"/b\" value={a: {b: [1, [2, T( x)], {c: null}]}, d: \"\"} "
     "writes=/b"},
    {"put: {key: /b, value: 'a {{x}} b {{raw}}'}",
     "put #0 key=\"/b\" value=T(a  raw x) writes=/b"},
    {"put: {key: /b, value: 'a {{{{ b'}",
     "put #0 key=\"/b\" value=\"a {{ b\" writes=/b"},
    {"put: {key: /b, value: \"{{get('/c').x}}\"}",
     "put #0 key=\"/b\" value=T( store()) writes=/b"},
    {"put: {key: \"/b/{{get('/c')}}/d\", value: 1}",
     "put #0 key=T(/b/ store()) value=1 writes=/b/*/d"},
    {"{put: {key: /b, value: 1}, id: one, if: \"x == 'q' && exists('/c')\"}",
     "put #one if=E(x bool store()) key=\"/b\" value=1 writes=/b"},
    {"{id: _a9, put: {key: 'b', value: 9223372036854775807}}",
     "put #_a9 key=\"b\" value=9223372036854775807 writes=b"},
    {"put: {key: /b, value: '{{event.revision}}'}",
     "put #0 key=\"/b\" value=T( event) writes=/b"},
    {"put: {key: '/b/{{x}}{{x}}', value: '{{steps}}'}",
     "put #0 key=T(/b/ x) value=T( steps) writes=/b/{}{}"},
    {"put: {key: '/b/{{recipe}}', value: '{{labels.team}} {{args.n}}'}",
     "put #0 key=T(/b/ recipe) value=T( labels args) writes=/b/r"},
};

static const struct row deletes_rows[] = {
    {"delete: /b", "delete #0 key=\"/b\" writes=/b"},
    {"delete: '/b/{{x}}'", "delete #0 key=T(/b/ x) writes=/b/{}"},
    {"delete: {key: /b}", "delete #0 key=\"/b\" writes=/b"},
    {"delete: {key: /b/, prefix: true}",
     "delete #0 key=\"/b/\" prefix writes=/b/*"},
    {"delete: {prefix: false, key: '/b/{{x}}'}",
     "delete #0 key=T(/b/ x) writes=/b/{}"},
    {"delete: {key: '/b/{{x}}/', prefix: true}",
     "delete #0 key=T(/b/ x) prefix writes=/b/{}/*"},
    {"{delete: '{{x}}', if: 'true', id: gone}",
     "delete #gone if=E(bool) key=T( x) writes={}"},
};

static const struct row txns_rows[] = {
    {"txn: {compare: [], then: [{delete: /b}]}",
     "txn #0 then[delete key=\"/b\" writes=/b]"},
    {"txn: {compare: {key: /b, exists: true}, then: {delete: /b}}",
     "txn #0 key=\"/b\" exists=true then[delete key=\"/b\" writes=/b]"},
    {"txn: {compare: [{key: /b, value: x}], else: [{put: {key: /b, value: "
     "x}}]}",
     "txn #0 key=\"/b\" value=\"x\" else[put key=\"/b\" value=\"x\" "
     "writes=/b]"},
    {"txn: {compare: [{key: '/b/{{x}}', value: '{{prev}}', op: '='}], then: "
     "[{delete: '/b/{{x}}'}]}",
     "txn #0 key=T(/b/ x) value=T( prev) then[delete key=T(/b/ x) "
     "writes=/b/{}]"},
    {"txn: {compare: [{key: /b, version: 0}, {key: /b, created: 1, op: '>'}, "
     "{key: /b, modified: '{{event.revision}}', op: <}, {key: /b, value: {a: "
     "1}, op: '!='}], then: [{delete: /b}]}",
     "txn #0 key=\"/b\" version=0 key=\"/b\" created>1 key=\"/b\" modified<T( "
     "event) key=\"/b\" value!={a: 1} then[delete key=\"/b\" writes=/b]"},
    {"txn: {else: [{delete: {key: /d/, prefix: true}}, {put: {key: /e, value: "
     "[1], ttl: 5m}}], then: [{put: {key: '/c/{{x}}', value: 2}}, {delete: "
     "/f}], compare: [{exists: false, key: /b}]}",
     "txn #0 key=\"/b\" exists=false then[put key=T(/c/ x) value=2 "
     "writes=/c/{}; delete key=\"/f\" writes=/f] else[delete key=\"/d/\" "
     "prefix writes=/d/*; put key=\"/e\" value=[1] ttl=300000ms writes=/e]"},
    {"{txn: {compare: [], then: [{delete: /b}], else: []}, id: swap, if: prev "
     "== null}",
     "txn #swap if=E(prev bool) then[delete key=\"/b\" writes=/b]"},
};

static const struct row https_rows[] = {
    {"http: {url: 'http://e.org'}",
     "http #0 method=\"GET\" url=\"http://e.org\" timeout=10000ms retry=8 "
     "base=1000ms cap=300000ms"},
    {"http: {url: 'https://e.org/{{x}}', method: DELETE}",
     "http #0 method=\"DELETE\" url=T(https://e.org/ x) timeout=10000ms "
     "retry=8 base=1000ms cap=300000ms"},
    {"http: {url: 'https://e.org', json: {a: '{{x}}', b: [1, null]}}",
     "http #0 method=\"POST\" url=\"https://e.org\" json={a: T( x), b: [1, "
     "null]} timeout=10000ms retry=8 base=1000ms cap=300000ms"},
    {"http: {url: 'https://e.org', json: null}",
     "http #0 method=\"POST\" url=\"https://e.org\" json=null timeout=10000ms "
     "retry=8 base=1000ms cap=300000ms"},
    {"http: {url: 'https://e.org', json: '{{value}}'}",
     "http #0 method=\"POST\" url=\"https://e.org\" json=T( value) "
     "timeout=10000ms retry=8 base=1000ms cap=300000ms"},
    {"http: {url: 'https://e.org', body: ''}",
     "http #0 method=\"POST\" url=\"https://e.org\" body=\"\" timeout=10000ms "
     "retry=8 base=1000ms cap=300000ms"},
    {"http: {url: 'https://e.org', body: 'a={{x}}', method: PATCH, headers: "
     "{Content-Type: text/plain, X-Key: \"{{secret('k')}}\"}}",
     "http #0 method=\"PATCH\" url=\"https://e.org\" headers={Content-Type: "
     "\"text/plain\", X-Key: T( secret())} body=T(a= x) timeout=10000ms "
     "retry=8 base=1000ms cap=300000ms"},
    {"http: {url: \"{{secret('url')}}\", redirects: true}",
     "http #0 method=\"GET\" url=T( secret()) redirects timeout=10000ms "
     "retry=8 base=1000ms cap=300000ms"},
    {"http: {url: 'h{{x}}', method: '{{x}}', redirects: false}",
     "http #0 method=T( x) url=T(h x) timeout=10000ms retry=8 base=1000ms "
     "cap=300000ms"},
    {"{http: {url: 'https://e.org'}, timeout: 1ms, retry: {max: 0}}",
     "http #0 method=\"GET\" url=\"https://e.org\" timeout=1ms retry=0 "
     "base=1000ms cap=300000ms"},
    {"{http: {url: 'https://e.org'}, timeout: 5m, retry: {max: 1000, base: "
     "1ms, cap: 1ms}}",
     "http #0 method=\"GET\" url=\"https://e.org\" timeout=300000ms retry=1000 "
     "base=1ms cap=1ms"},
    {"{retry: {cap: 1d, base: 1h}, http: {url: 'https://e.org'}, id: call_it, "
     "if: value > 3}",
     "http #call_it if=E(value bool) method=\"GET\" url=\"https://e.org\" "
     "timeout=10000ms retry=8 base=3600000ms cap=86400000ms"},
    {"{http: {url: 'https://e.org'}, retry: {base: 5m}}",
     "http #0 method=\"GET\" url=\"https://e.org\" timeout=10000ms retry=8 "
     "base=300000ms cap=300000ms"},
    {"{http: {url: 'https://e.org'}, retry: {base: 10m}}",
     "http #0 method=\"GET\" url=\"https://e.org\" timeout=10000ms retry=8 "
     "base=600000ms cap=600000ms"},
    {"{http: {url: 'https://e.org', headers: {}}, retry: {}}",
     "http #0 method=\"GET\" url=\"https://e.org\" timeout=10000ms retry=8 "
     "base=1000ms cap=300000ms"},
};

static const struct row emails_rows[] = {
    {"email: {server: 'smtp://m', from: a@b, to: c@d, subject: s, text: t}",
     "email #0 server=\"smtp://m\" from=\"a@b\" to=[\"c@d\"] subject=\"s\" "
     "text=\"t\" timeout=10000ms retry=8 base=1000ms cap=300000ms"},
    {"email: {text: '{{value}}', subject: 'x {{x}}', to: [a@b, '{{x}}@b', "
     "c@d], from: '{{recipe}}@e', server: 'smtps://{{x}}:465'}",
     "email #0 server=T(smtps:// x) from=T( recipe) to=[\"a@b\", T( x), "
     "\"c@d\"] subject=T(x  x) text=T( value) timeout=10000ms retry=8 "
     "base=1000ms cap=300000ms"},
    {"{email: {server: \"{{secret('smtp')}}\", from: \"{{secret('me')}}\", to: "
     "[\"{{secret('you')}}\"], subject: '', text: ''}, timeout: 30s, retry: "
     "{max: 1}}",
     "email #0 server=T( secret()) from=T( secret()) to=[T( secret())] "
     "subject=\"\" text=\"\" timeout=30000ms retry=1 base=1000ms cap=300000ms"},
};

static const struct row execs_rows[] = {
    {"exec: [/bin/true]", "exec #0 arguments=[\"/bin/true\"] timeout=10000ms "
                          "retry=8 base=1000ms cap=300000ms"},
    {"exec: [/usr/bin/page, '{{x}}', \"{{secret('s')}}\", '', '{{{{']",
     "exec #0 arguments=[\"/usr/bin/page\", T( x), T( secret()), \"\", \"{{\"] "
     "timeout=10000ms retry=8 base=1000ms cap=300000ms"},
    {"exec: {args: [page]}", "exec #0 arguments=[\"page\"] timeout=10000ms "
                             "retry=8 base=1000ms cap=300000ms"},
    {"exec: {args: [page, -v], input: '{{value}}'}",
     "exec #0 arguments=[\"page\", \"-v\"] input=T( value) timeout=10000ms "
     "retry=8 base=1000ms cap=300000ms"},
    {"{exec: {input: {a: ['{{x}}', 1]}, args: [page]}, timeout: 1d, id: run, "
     "if: \"x in ['a', 'b']\"}",
     "exec #run if=E(x bool) arguments=[\"page\"] input={a: [T( x), 1]} "
     "timeout=86400000ms retry=8 base=1000ms cap=300000ms"},
};

static const struct row others_rows[] = {
    {"log: hi", "log #0 message=\"hi\" level=info"},
    {"log: ''", "log #0 message=\"\" level=info"},
    {"log: '{{x}} is {{value}}'", "log #0 message=T( value x) level=info"},
    {"log: {message: m}", "log #0 message=\"m\" level=info"},
    {"log: {message: m, level: debug}", "log #0 message=\"m\" level=debug"},
    {"log: {level: warn, message: '{{x}}'}", "log #0 message=T( x) level=warn"},
    {"{log: {message: m, level: error}, id: said, if: 'false'}",
     "log #said if=E(bool) message=\"m\" level=error"},
    {"call: other", "call #0 callee=other"},
    {"call: {recipe: other}", "call #0 callee=other"},
    {"call: {recipe: other, args: {}}", "call #0 callee=other"},
    {"call: {args: {host: '{{x}}', n: 1, deep: {a: [true]}}, recipe: o.2}",
     "call #0 callee=o.2 args={host: T( x), n: 1, deep: {a: [true]}}"},
    {"{call: other, id: c, if: \"key.startsWith('/a')\"}",
     "call #c if=E(key bool) callee=other"},
    {"wait: 1ms", "wait #0 wait=1ms"},
    {"wait: 7d", "wait #0 wait=604800000ms"},
    {"{wait: 1h30m, id: w, if: 'size(x) > 3'}",
     "wait #w if=E(x bool) wait=5400000ms"},
};
/* Each is planned so; and what is stored of it says the same. */
static void expect_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char text[1024];
        struct buf plan = {0};
        snprintf(text, sizeof text,
                 "name: r\nif: [{key: '/a/{x}'}]\nthen:\n  - %s\n",
                 rows[i].text);
        struct recipe *recipe = parse_recipe(text);
        plan_write_action(&plan, recipe, &recipe->then[0]);
        if (!slice_eq(buf_slice(&plan), slice_str(rows[i].plan)))
            fail_msg("%s\nis    %.*s\nnot   %s", rows[i].text, (int)plan.size,
                     plan.at, rows[i].plan);
        plan_expect_fixed_point(recipe);
        recipe_free(recipe);
        buf_deinit(&plan);
    }
}
#define EXPECT_ROWS(rows) expect_rows(rows, sizeof(rows) / sizeof(rows)[0])

static void a_put_has_a_key_a_value_and_a_time_to_live(void **state)
{
    (void)state;
    EXPECT_ROWS(puts_rows);
}

static void a_delete_has_a_key_or_all_below(void **state)
{
    (void)state;
    EXPECT_ROWS(deletes_rows);
}

static void a_txn_compares_and_then_writes(void **state)
{
    (void)state;
    EXPECT_ROWS(txns_rows);
}

static void http_has_an_address_and_maybe_a_body(void **state)
{
    (void)state;
    EXPECT_ROWS(https_rows);
}

static void an_email_has_all_that_an_envelope_has(void **state)
{
    (void)state;
    EXPECT_ROWS(emails_rows);
}

static void exec_has_a_program_and_its_arguments(void **state)
{
    (void)state;
    EXPECT_ROWS(execs_rows);
}

static void log_call_and_wait_are_short(void **state)
{
    (void)state;
    EXPECT_ROWS(others_rows);
}

/* ---- several ------------------------------------------------------------ */

/* Those without an id are called by their place, in on_failure with an f; what
 * came before may be asked for by id, of `then` in on_failure too. */
static void actions_stand_one_after_the_other(void **state)
{
    (void)state;
    static const char text[] =
        "name: r\n"
        "if: {key: '/a/{x}'}\n"
        "then:\n"
        "- {http: {url: 'http://e.org'}, id: first}\n"
        "- {log: '{{steps.first.status}}'}\n"
        "- {exec: [/bin/a, '{{steps.first.body}}'], if: steps.first.status == "
        "200}\n"
        "- {txn: {compare: [], then: [{put: {key: /b, value: "
        "'{{steps.first}}'}}]}, id: last}\n"
        "on_failure:\n"
        "- log: '{{error}} {{steps.first.status}} {{steps.last}}'\n"
        "- {email: {server: 'smtp://m', from: a, to: b, subject: c, text: "
        "'{{error}}'}, id: mail}\n"
        "- {log: '{{steps.mail}}', if: \"error != ''\"}\n";
    static const char *const plans[] = {
        "http #first method=\"GET\" url=\"http://e.org\" timeout=10000ms "
        "retry=8 "
        "base=1000ms cap=300000ms",
        "log #1 message=T( steps) level=info",
        "exec #2 if=E(steps bool) arguments=[\"/bin/a\", T( steps)] "
        "timeout=10000ms retry=8 base=1000ms cap=300000ms",
        "txn #last then[put key=\"/b\" value=T( steps) writes=/b]",
        "log #f0 message=T( steps error) level=info",
        "email #mail server=\"smtp://m\" from=\"a\" to=[\"b\"] subject=\"c\" "
        "text=T( error) timeout=10000ms retry=8 base=1000ms cap=300000ms",
        "log #f2 if=E(error bool) message=T( steps) level=info",
    };
    struct recipe *recipe = parse_recipe(text);
    assert_int_equal(recipe->then_count, 4);
    assert_int_equal(recipe->on_failure_count, 3);
    for (size_t i = 0; i < 7; i++) {
        struct buf plan = {0};
        plan_write_action(&plan, recipe,
                          i < 4 ? &recipe->then[i]
                                : &recipe->on_failure[i - 4]);
        buf_append_char(&plan, '\0');
        assert_string_equal(plan.at, plans[i]);
        buf_deinit(&plan);
    }
    plan_expect_fixed_point(recipe);
    recipe_free(recipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_put_has_a_key_a_value_and_a_time_to_live),
        cmocka_unit_test(a_delete_has_a_key_or_all_below),
        cmocka_unit_test(a_txn_compares_and_then_writes),
        cmocka_unit_test(http_has_an_address_and_maybe_a_body),
        cmocka_unit_test(an_email_has_all_that_an_envelope_has),
        cmocka_unit_test(exec_has_a_program_and_its_arguments),
        cmocka_unit_test(log_call_and_wait_are_short),
        cmocka_unit_test(actions_stand_one_after_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
