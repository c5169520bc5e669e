/* etched.v1.Quota: what may live below a prefix is set and shown, and what
 * goes beyond it is refused with a code of its own. */
#include "gates.h"

#include <stdio.h>
#include <string.h>

#include "rpc/rpc_int.h"

static struct gates *gates;

static int set_up(void **state)
{
    (void)state;
    gates = gates_new(1, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gates_free(gates);
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define SET "/v3/quota/set"
#define LIST "/v3/quota/list"
#define PUT "/v3/kv/put"
#define HEAD(revision)                                                   \
    "\"header\":{\"cluster_id\":\"*\",\"member_id\":\"*\",\"revision\":" \
    "\"" revision "\",\"raft_term\":\"*\"}"
#define ERROR(text, code)                                             \
    "{\"error\":\"" text "\",\"message\":\"" text "\",\"code\":" code \
    ",\"details\":[]}"
#define USED_UP ERROR("etched: the quota of a prefix is used up", "8")

static void story(const char *path, const char *body, int status,
                  const char *expected)
{
    gate_story(gates, 0, path, body, status, expected);
}

/* a/ is YS8=, a/1 is YS8x, a/2 is YS8y. */
static void a_quota_is_set_and_listed(void **state)
{
    (void)state;
    story(LIST, "{}", 200, "{" HEAD("1") "}");
    story(SET, "{\"prefix\":\"YS8=\",\"keys_max\":2,\"bytes_max\":\"90\"}", 200,
          "{" HEAD("1") "}");
    story(PUT, "{\"key\":\"YS8x\",\"value\":\"eA==\"}", 200, "{*}");
    story(LIST, "{}", 200,
          "{" HEAD("2") ",\"quotas\":[{\"prefix\":\"YS8=\",\"keys_max\":\"2\","
                        "\"bytes_max\":\"90\",\"keys\":\"1\",\"bytes\":"
                        "\"4\"}]}");
    story(SET, "{\"bytes_max\":\"50\"}", 200, "{*}");
    story(LIST, "{}", 200,
          "{*,\"quotas\":[{\"bytes_max\":\"50\",\"keys\":\"1\",\"bytes\":"
          "\"4\"},{\"prefix\":\"YS8=\",*}]}");
}

static void what_is_too_much_is_refused(void **state)
{
    (void)state;
    story(SET, "{\"prefix\":\"YS8=\",\"keys_max\":1}", 200, "{*}");
    story(PUT, "{\"key\":\"YS8x\"}", 200, "{*}");
    story(PUT, "{\"key\":\"YS8y\"}", 429, USED_UP);
    story("/v3/kv/txn", "{\"success\":[{\"request_put\":{\"key\":\"YS8y\"}}]}",
          429, USED_UP);
    story("/v3/kv/deleterange", "{\"key\":\"YS8x\"}", 200, "{*}");
    story(PUT, "{\"key\":\"YS8y\"}", 200, "{*}");
    story(SET, "{\"prefix\":\"YS8=\"}", 200, "{*}");
    story(PUT, "{\"key\":\"YS8x\"}", 200, "{*}");
    story(LIST, "{}", 200, "{" HEAD("5") "}");
}

static void a_prefix_without_one_is_told(void **state)
{
    (void)state;
    story(SET, "{\"prefix\":\"YS8=\"}", 404,
          ERROR("etched: the prefix has no quota", "5"));
    story(SET, "{}", 404, ERROR("etched: the prefix has no quota", "5"));
}

static void a_prefix_that_is_too_long_is_refused(void **state)
{
    char body[1000];
    char prefix[801];
    (void)state;
    memset(prefix, 'Y', sizeof(prefix) - 1);
    prefix[sizeof(prefix) - 1] = '\0';
    snprintf(body, sizeof(body), "{\"prefix\":\"%s\",\"keys_max\":1}", prefix);
    story(SET, body, 400,
          ERROR("etched: the prefix is too long to have a quota", "3"));
    story(LIST, "{}", 200, "{" HEAD("1") "}");
}

/* v1: only its own service's name. */
static void the_service_is_there(void **state)
{
    (void)state;
    assert_true(method__has_service(SLICE("etched.v1.Quota")));
    assert_non_null(method__find(SLICE("/etched.v1.Quota/Set")));
    assert_non_null(method__find(SLICE("/etched.v1.Quota/List")));
    assert_null(method__find(SLICE("/etcdserverpb.Quota/Set")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_quota_is_set_and_listed),
        STORY(what_is_too_much_is_refused),
        STORY(a_prefix_without_one_is_told),
        STORY(a_prefix_that_is_too_long_is_refused),
        STORY(the_service_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
