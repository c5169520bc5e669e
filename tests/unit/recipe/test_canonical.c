/* The document as it is stored. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "recipe_support.h"

/* The sample of the guide, nearly. */
static const char sample[] =
    "tests:\n"
    "  - given: [{put: {key: /metrics/a/disk, value: '{\"used\":95}'}}, "
    "{advance: 5m}]\n"
    "    expect: [{put: /alerts/a/disk}, {http: page}]\n"
    "then:\n"
    "  - put: {ttl: 1h, value: \"{{msg}}\", key: \"/alerts/{{host}}/disk\"}\n"
    "  - http: {json: {text: \"{{msg}}\", n: 0x10, f: 1e3, g: 0.1}, url: "
    "\"{{secret('pager_url')}}\", method: POST}\n"
    "    timeout: 10s\n"
    "    retry: {max: 8, base: 1000ms, cap: 5m}\n"
    "    if: \"value.used > 95\"\n"
    "    id: page\n"
    "if: {for: 5m, events: put, key: \"/metrics/{host}/disk\"}\n"
    "let: {msg: \"{{host}} disk {{value.used}} %\"}\n"
    "where: \"!exists('/hosts/' + host + '/muted')\"\n"
    "enabled: true\n"
    "max: 1000\n"
    "loop: {max_depth: 8, reentrant: false, breaker: {per: 60s, count: 1000}}\n"
    "keep: {for: 168h}\n"
    "labels: {}\n"
    "name: disk-full\n";

static const char stored[] =
    "{\"name\":\"disk-full\",\"if\":[{\"key\":\"/metrics/{host}/disk\","
    "\"for\":\"5m\"}],\"where\":[\"!exists('/hosts/' + host + '/muted')\"],"
    "\"let\":{\"msg\":\"{{host}} disk {{value.used}} %\"},\"then\":[{\"put\":{"
    "\"key\":\"/alerts/{{host}}/disk\",\"value\":\"{{msg}}\",\"ttl\":\"1h\"}},{"
    "\"id\":\"page\",\"http\":{\"method\":\"POST\",\"url\":\"{{secret('pager_"
    "url')}}\",\"json\":{\"text\":\"{{msg}}\",\"n\":16,\"f\":1000.0,\"g\":0.1}}"
    ",\"if\":\"value.used \\u003e 95\"}],\"loop\":{\"breaker\":{\"count\":1000,"
    "\"per\":\"60s\"}},\"tests\":[{\"given\":[{\"put\":{\"key\":\"/metrics/a/"
    "disk\",\"value\":\"{\\\"used\\\":95}\"}},{\"advance\":\"5m\"}],\"expect\":"
    "[{\"put\":\"/alerts/a/disk\"},{\"http\":\"page\"}]}]}";

static void members_are_in_order_and_defaults_left_out(void **state)
{
    (void)state;
    struct recipe *recipe = parse_recipe(sample);
    char *json = mem_alloc(recipe->json.size + 1);
    memcpy(json, recipe->json.at, recipe->json.size);
    json[recipe->json.size] = '\0';
    assert_string_equal(json, stored);
    mem_free(json);
    recipe_free(recipe);
}

/* Each is stored as a text that is stored as itself. */
static void what_is_stored_reads_as_itself(void **state)
{
    (void)state;
    static const char *const texts[] = {
        sample,
        stored,
        "name: r\nif: [{every: 1m}, {cron: '@daily', tz: UTC}]\n"
        "then: {log: {message: hi, level: info}}\n",
        "name: r\nif: {webhook: {path: a, secret: s}}\n"
        "then: [{txn: {then: {delete: {key: /a, prefix: false}}, compare: "
        "{exists: true, key: /a, op: '='}}}]\non_failure: {wait: 1s}\n",
        "name: r\nif: {recipe: {name: o, outcome: ok}}\n"
        "then: [{email: {to: a, from: b, subject: \"\\u00e9\\n\", text: '', "
        "server: 'smtp://x'}}]\nstart: {revision: 5}\nloop: {}\n",
        "name: r\nif: {key: /a, crosses: {above: 1.0, of: value}}\n"
        "then: [{put: {key: /b, value: [1.0, -0.0, 1e300, "
        "9223372036854775807, null, true, \"\\0\", '']}}]\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct recipe *first = parse_recipe(texts[i]);
        char *json = mem_alloc(first->json.size + 1);
        memcpy(json, first->json.at, first->json.size);
        json[first->json.size] = '\0';
        struct recipe *second = parse_recipe(json);
        ASSERT_TEXT(second->json, json);
        assert_int_equal(first->trigger_count, second->trigger_count);
        assert_int_equal(first->then_count, second->then_count);
        assert_int_equal(first->names.count, second->names.count);
        mem_free(json);
        recipe_free(first);
        recipe_free(second);
    }
}

static void numbers_keep_their_kind(void **state)
{
    (void)state;
    struct recipe *recipe = parse_recipe(
        "name: r\nif: {key: /a}\nthen: {put: {key: /b, value: [1, 1.0, 1e2, "
        "0.30000000000000004, -9223372036854775808, 0o17]}}\n");
    const char *wanted = "[1,1.0,100.0,0.30000000000000004,"
                         "-9223372036854775808,15]";
    assert_non_null(
        memmem(recipe->json.at, recipe->json.size, wanted, strlen(wanted)));
    recipe_free(recipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_in_order_and_defaults_left_out),
        cmocka_unit_test(what_is_stored_reads_as_itself),
        cmocka_unit_test(numbers_keep_their_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
