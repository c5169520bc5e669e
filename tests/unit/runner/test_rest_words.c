/* What stands in a request: methods and what is allowed, paths, queries,
 * headers and bodies, as clients of all sorts write them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "rest_world.h"

#define SECOND INT64_C(1000000000)

static int setup(void **state)
{
    *state = rest_scene_new(29);
    return 0;
}

static int teardown(void **state)
{
    rest_scene_free(*state);
    return 0;
}

#define ASKING (&((struct rest_scene *)*state)->asking)
#define WORLD (&((struct rest_scene *)*state)->world)
#define ASK(method, target, body) rest_ask(ASKING, method, target, body)

static void define(struct rest_asking *asking, const char *name)
{
    char yaml[256];
    (void)snprintf(yaml, sizeof yaml,
                   "name: %s\nif: [{manual: true}]\nthen: [{put: {key: "
                   "'/ran/{{recipe}}', value: '{{args}}'}}]",
                   name);
    rest_define(asking, name, yaml);
}

/* ---- methods ------------------------------------------------------------ */

static void test_a_refused_method_is_told_all_that_are_allowed(void **state)
{
    static const struct {
        const char *method;
        const char *path;
        const char *allow;
    } cases[] = {
        {"POST", "defs", "GET"},
        {"PATCH", "defs/x", "GET, PUT, DELETE"},
        {"GET", "defs/x/run", "POST"},
        {"PUT", "defs/x/resume", "POST"},
        {"DELETE", "runs/x", "GET"},
        {"DELETE", "runs/x/5", "GET"},
        {"POST", "stream", "GET"},
        {"PUT", "explain", "GET, POST"},
        {"GET", "backtest", "POST"},
        {"GET", "dead/retry", "POST"},
        {"GET", "dead/x/5.a", "DELETE"},
        {"GET", "dead/x/5.a/retry", "POST"},
        {"GET", "hooks/a/b/c", "POST"},
        {"DELETE", "secrets", "GET"},
        {"GET", "secrets/x", "PUT, DELETE"},
        {"get", "defs", "GET"}, /* methods have capitals */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(ASK(cases[i].method, cases[i].path, NULL), 405);
        assert_string_equal(ASKING->allow, cases[i].allow);
        assert_string_equal(rest_code(ASKING), "method_not_allowed");
        assert_non_null(strstr(rest_text(ASKING), cases[i].allow));
    }
}

static void test_others_are_told_none(void **state)
{
    static const char *const paths[] = {"defs", "nothing", "runs?limit=0"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_int_not_equal(ASK("GET", paths[i], NULL), 405);
        assert_string_equal(ASKING->allow, "");
    }
}

/* ---- paths -------------------------------------------------------------- */

static void test_a_name_may_be_written_in_hex(void **state)
{
    define(ASKING, "a.b_c-9");
    static const char *const same[] = {"defs/a.b_c-9", "defs/%61.b_c-9",
                                       "defs/a%2eb_c%2D9", "defs/a%2Eb_c-9/",
                                       "%64efs/a.b_c-9"};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        assert_int_equal(ASK("GET", same[i], NULL), 200);
        assert_string_equal(rest_at(ASKING, "recipe.name"), "a.b_c-9");
    }
    /* In a path a plus is one. */
    assert_int_equal(ASK("GET", "defs/a+b", NULL), 404);
    assert_non_null(strstr(rest_at(ASKING, "error.message"), "a+b"));
    /* A slash in hex is no separator. */
    assert_int_equal(ASK("GET", "defs%2Fa.b_c-9", NULL), 404);
    assert_int_equal(ASK("POST", "defs/a.b_c-9%2Frun", NULL), 405);
}

static void test_what_has_no_name_is_no_path(void **state)
{
    static const char *const bad[] = {"//defs",  "defs//run", "defs/%",
                                      "defs/%4", "defs/%4g",  "defs/a%"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(ASK("GET", bad[i], NULL), 400);
        assert_string_equal(rest_at(ASKING, "error.message"),
                            "the path can't be read");
    }
    assert_int_equal(ASK("GET", "defs/", NULL), 200); /* the list */
    assert_string_equal(rest_at(ASKING, "recipes"), "0");
    assert_int_equal(ASK("GET", "/", NULL), 404);
}

/* ---- queries ------------------------------------------------------------ */

static void test_a_query_is_decoded(void **state)
{
    define(ASKING, "ab");
    define(ASKING, "ac");
    define(ASKING, "b");
    static const struct {
        const char *query;
        const char *count;
    } cases[] = {
        {"defs?prefix=a", "2"},
        {"defs?prefix=%61", "2"},
        {"defs?prefi%78=a", "2"},
        {"defs?&&prefix=a&", "2"},
        {"defs?prefix=a+", "0"}, /* a blank */
        {"defs?prefix=a%20", "0"},
        {"defs?prefix=%2B", "0"},
        {"defs?prefix=", "3"}, /* as if it weren't there */
        {"defs?limit=&prefix=b", "1"},
        {"defs?limit=1&limit=3", "1"}, /* the first one counts */
        {"defs?limit=+2", "?"},
        {"defs?after=ab", "2"},
        {"defs?prefix=a=b", "0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool is_refused = cases[i].count[0] == '?';
        assert_int_equal(ASK("GET", cases[i].query, NULL),
                         is_refused ? 400 : 200);
        if (!is_refused)
            assert_string_equal(rest_at(ASKING, "recipes"), cases[i].count);
    }
}

static void test_what_isnt_known_is_told_what_is(void **state)
{
    assert_int_equal(ASK("GET", "defs?Limit=1", NULL), 400);
    assert_string_equal(rest_at(ASKING, "error.message"),
                        "no parameter \"Limit\" is known here: write prefix "
                        "limit after");
    assert_int_equal(ASK("POST", "defs/x/run?a=1", NULL), 400);
    assert_string_equal(rest_at(ASKING, "error.message"),
                        "no parameter \"a\" is known here");
    assert_int_equal(ASK("GET", "defs?prefix=%f", NULL), 400);
    assert_int_equal(ASK("GET", "defs?%=a", NULL), 400);
    /* What a webhook's sender puts there is its own business. */
    assert_int_equal(ASK("POST", "hooks/x?anything=%zz", "{}"), 404);
}

static void test_flags_are_true_or_false(void **state)
{
    define(ASKING, "a");
    static const char *const bad[] = {"yes", "1", "TRUE", "true+", "t"};
    char target[64];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        (void)snprintf(target, sizeof target, "defs/a?purge=%s", bad[i]);
        assert_int_equal(ASK("DELETE", target, NULL), 400);
        assert_string_equal(rest_at(ASKING, "error.message"),
                            "purge: write true or false");
    }
    assert_int_equal(ASK("GET", "defs/a", NULL), 200); /* it is still there */
    assert_int_equal(ASK("DELETE", "defs/a?purge=false", NULL), 200);
    assert_int_equal(ASK("DELETE", "defs/a?purge=", NULL), 404);
    assert_int_equal(ASK("DELETE", "defs/a?purge=true", NULL), 404);
}

static void test_times_are_moments_or_how_long_ago(void **state)
{
    define(ASKING, "a");
    assert_int_equal(ASK("POST", "defs/a/run", NULL), 202);
    world_run(WORLD, 60 * SECOND);
    assert_int_equal(ASK("POST", "defs/a/run", NULL), 202);
    world_run(WORLD, SECOND);
    static const struct {
        const char *target;
        const char *count;
    } cases[] = {
        {"runs", "2"},
        {"runs?since=30s", "1"},
        {"runs?until=30s", "1"},
        {"runs?since=5m", "2"},
        {"runs?since=1m30s&until=30s", "1"},
        {"runs?since=2000-01-01T00:00:00Z", "2"},
        {"runs?until=2000-01-01T00:00:00%2B02:00", "0"},
        {"runs?since=2200-01-01T00:00:00.5-11:30", "0"},
        {"runs?since=0s", NULL},
        {"runs?since=2026-13-01T00:00:00Z", NULL},
        {"runs?since=2026-01-01", NULL},
        {"runs?since=-5m", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int status = ASK("GET", cases[i].target, NULL);
        if (!cases[i].count && status == 200)
            assert_string_equal(rest_at(ASKING, "runs"), "0");
        else if (status != (cases[i].count ? 200 : 400))
            fail_msg("%s: %s", cases[i].target, rest_text(ASKING));
        if (cases[i].count)
            assert_string_equal(rest_at(ASKING, "runs"), cases[i].count);
    }
}

/* ---- bodies ------------------------------------------------------------- */

static void test_a_body_is_json_or_yaml(void **state)
{
    define(ASKING, "a");
    static const struct {
        const char *body;
        const char *ran;
    } cases[] = {
        {NULL, "{}"},
        {"", "{}"},
        {" \r\n\t", "{}"},
        {"{}", "{}"},
        {"\n {\"args\": {\"x\": [1, \"y\"]}}", "{\"x\":[1,\"y\"]}"},
        {"args:\n  x: [1, y]\n", "{\"x\":[1,\"y\"]}"},
        {"args: {}", "{}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(ASK("POST", "defs/a/run", cases[i].body), 202);
        world_run(WORLD, SECOND);
        struct slice ran = world_get(WORLD, "/ran/a");
        assert_true(slice_eq(ran, slice_str(cases[i].ran)));
        world_delete(WORLD, "/ran/a");
    }
}

static void test_a_body_that_is_none_says_why(void **state)
{
    define(ASKING, "a");
    static const struct {
        const char *body;
        const char *says;
    } cases[] = {
        {"{", "the body: line 1"},
        {"{\"args\": }", "the body: line 1"},
        {"[1]", "the body: a list is here: write a map"},
        {"text", "the body: a string is here: write a map"},
        {"{\"arguments\": {}}", "write {\"args\": {...}}"},
        {"{\"args\": [1]}", "args: write a map"},
        {"args: 5", "args: write a map"},
        {"{\"args\": {}, \"more\": 1}", "write {\"args\": {...}}"},
        {"a: &x [*x]", "the body: "}, /* no aliases */
        {"\xff\xfe", "the body: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(ASK("POST", "defs/a/run", cases[i].body), 400);
        const char *message = rest_at(ASKING, "error.message");
        if (strncmp(message, cases[i].says, strlen(cases[i].says)) != 0)
            fail_msg("%s: %s", cases[i].body, message);
    }
    world_run(WORLD, SECOND);
    assert_int_equal(world_count(WORLD, "/ran/"), 0);
}

/* ---- the name in the address -------------------------------------------- */

#define REST_OF_IT "if: [{key: '/i/{x}'}]\nthen: [{log: '{{x}}'}]\n"

static void test_a_document_need_not_repeat_its_name(void **state)
{
    assert_int_equal(ASK("PUT", "defs/short", REST_OF_IT), 201);
    assert_string_equal(rest_at(ASKING, "name"), "short");
    world_run(WORLD, SECOND);
    assert_int_equal(ASK("GET", "defs/short", NULL), 200);
    assert_string_equal(rest_at(ASKING, "recipe.name"), "short");
    assert_string_equal(rest_at(ASKING, "status.state"), "running");
    /* It is the same as with the name. */
    assert_int_equal(ASK("PUT", "defs/short", "name: short\n" REST_OF_IT), 200);
    assert_string_equal(rest_at(ASKING, "changed"), "false");
    assert_int_equal(ASK("PUT", "defs/json",
                         "{\"if\":[{\"manual\":true}],"
                         "\"then\":[{\"log\":\"hi\"}]}"),
                     201);
}

static void test_but_not_say_another_one(void **state)
{
    assert_int_equal(ASK("PUT", "defs/short", "name: long\n" REST_OF_IT), 400);
    assert_string_equal(rest_at(ASKING, "error.at.path"), "name");
    assert_int_equal(ASK("PUT", "defs/short", "name: ''\n" REST_OF_IT), 400);
    assert_int_equal(ASK("PUT", "defs/short", "name: 5\n" REST_OF_IT), 400);
    assert_int_equal(ASK("PUT", "defs/Short", REST_OF_IT), 400);
    assert_string_equal(rest_at(ASKING, "error.at.path"), "name");
    assert_int_equal(ASK("PUT", "defs/short", ""), 400);
    assert_int_equal(ASK("PUT", "defs/short", "[]"), 400);
    /* Where there is no address to have it from it is missing. */
    assert_int_equal(ASK("POST", "test", REST_OF_IT), 400);
    assert_non_null(strstr(rest_text(ASKING), "name"));
    world_run(WORLD, SECOND);
    assert_int_equal(world_count(WORLD, "/_recipes/def/"), 0);
}

/* Places are those of the text as it was written. */
static void test_places_stay_where_they_were(void **state)
{
    assert_int_equal(ASK("PUT", "defs/a",
                         "if: [{key: '/i/{x}'}]\n"
                         "then: [{log: '{{y}}'}]\n"),
                     400);
    assert_string_equal(rest_at(ASKING, "error.at.line"), "2");
    assert_string_equal(rest_at(ASKING, "error.at.path"), "then[0].log");
}

/* ---- secrets' names ----------------------------------------------------- */

static void test_a_secret_may_be_called_as_in_the_environment(void **state)
{
    assert_int_equal(ASK("PUT", "secrets/GITHUB_TOKEN", "swordfish"), 200);
    assert_int_equal(ASK("PUT", "secrets/9Lives.v-2", "cat"), 200);
    assert_int_equal(ASK("GET", "secrets", NULL), 200);
    assert_string_equal(rest_text(ASKING),
                        "{\"secrets\":[\"9Lives.v-2\",\"GITHUB_TOKEN\"]}");
    assert_int_equal(ASK("GET", "secrets?after=9Lives.v-2", NULL), 200);
    assert_string_equal(rest_text(ASKING), "{\"secrets\":[\"GITHUB_TOKEN\"]}");
    assert_int_equal(ASK("DELETE", "secrets/github_token", NULL), 404);
    assert_int_equal(ASK("DELETE", "secrets/GITHUB_TOKEN", NULL), 200);
    static const char *const bad[] = {"_A",    ".a",     "a%20b",
                                      "a%2Fb", "%C3%A4", "a%00"};
    char target[64];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        (void)snprintf(target, sizeof target, "secrets/%s", bad[i]);
        assert_int_equal(ASK("PUT", target, "x"), 400);
    }
}

/* What a document may name can be put, and the other way round. */
static void test_a_webhook_may_name_what_can_be_put(void **state)
{
    static const struct {
        const char *name;
        bool is_fine;
    } cases[] = {
        {"push", true}, {"PUSH_SECRET", true}, {"a.b-c_9", true},
        {"9", true},    {"-a", false},         {"a b", false},
        {"a/b", false}, {"a~b", false},        {"", false},
    };
    char yaml[256];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)snprintf(yaml, sizeof yaml,
                       "if: [{webhook: {path: p, secret: '%s'}}]\n"
                       "then: [{log: hi}]",
                       cases[i].name);
        int status = ASK("PUT", "defs/hook", yaml);
        if (cases[i].is_fine != (status / 100 == 2))
            fail_msg("%s: %s", cases[i].name, rest_text(ASKING));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_refused_method_is_told_all_that_are_allowed),
        TEST(test_others_are_told_none),
        TEST(test_a_name_may_be_written_in_hex),
        TEST(test_what_has_no_name_is_no_path),
        TEST(test_a_query_is_decoded),
        TEST(test_what_isnt_known_is_told_what_is),
        TEST(test_flags_are_true_or_false),
        TEST(test_times_are_moments_or_how_long_ago),
        TEST(test_a_body_is_json_or_yaml),
        TEST(test_a_body_that_is_none_says_why),
        TEST(test_a_document_need_not_repeat_its_name),
        TEST(test_but_not_say_another_one),
        TEST(test_places_stay_where_they_were),
        TEST(test_a_secret_may_be_called_as_in_the_environment),
        TEST(test_a_webhook_may_name_what_can_be_put),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
