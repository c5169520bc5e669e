/* Pages of other origins (CVE-2018-1098), and that no route is without a rule.
 */
#include "auth_story.h"

#include <stdio.h>

#define STORY(name) cmocka_unit_test_setup_teardown(name, auth_begin, auth_end)

static int ask_from(struct world *world, const char *method,
                    const char *headers)
{
    char all[400];
    bool has_body = method[0] == 'P';
    snprintf(all, sizeof(all), "%s%s", headers,
             has_body ? "Content-Type: application/x-www-form-urlencoded\r\n"
                      : "");
    struct reply reply = world_request(world, method, "/v2/keys/a", all,
                                       has_body ? "value=1" : NULL);
    struct slice sniff = reply_header(&reply, "X-Content-Type-Options");
    assert_true(slice_eq(sniff, SLICE("nosniff")));
    return reply.status;
}

/* The client's Host is "h". */
static void a_page_of_another_origin_changes_nothing(void **state)
{
    struct world *world = *state;
    static const char *const forged[] = {
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "Origin: \r\n",
        "Origin: http://h.evil.example\r\n",
        "Origin: http://h:8080\r\n",
        "Origin: h\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Origin: http://h\r\nSec-Fetch-Site: cross-site\r\n",
    };
    for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
        assert_int_equal(ask_from(world, "PUT", forged[i]), 403);
        assert_int_equal(ask_from(world, "POST", forged[i]), 403);
        assert_int_equal(ask_from(world, "DELETE", forged[i]), 403);
        assert_int_equal(ask_from(world, "GET", forged[i]), 404);
    }
}

static void who_is_no_page_or_is_ours_may(void **state)
{
    struct world *world = *state;
    assert_int_equal(ask_from(world, "PUT", ""), 201);
    assert_int_equal(ask_from(world, "PUT", "Origin: http://h\r\n"), 200);
    assert_int_equal(ask_from(world, "PUT", "Origin: https://H\r\n"), 200);
    assert_int_equal(
        ask_from(world, "PUT",
                 "Origin: http://h\r\nSec-Fetch-Site: same-origin\r\n"),
        200);
    assert_int_equal(ask_from(world, "PUT", "Sec-Fetch-Site: none\r\n"), 200);
}

static void who_cors_allows_may(void **state)
{
    struct world *world = *state;
    const char *const some[] = {"http://good.example"};
    const char *const any[] = {"*"};
    world->shared.cors = some;
    world->shared.cors_count = 1;
    assert_int_equal(ask_from(world, "PUT",
                              "Origin: http://good.example\r\n"
                              "Sec-Fetch-Site: cross-site\r\n"),
                     201);
    assert_int_equal(ask_from(world, "PUT", "Origin: http://evil.example\r\n"),
                     403);
    world->shared.cors = any;
    assert_int_equal(ask_from(world, "PUT", "Origin: http://evil.example\r\n"),
                     200);
}

static void it_is_noted(void **state)
{
    struct world *world = *state;
    (void)audit_text();
    (void)ask_from(world, "PUT", "Origin: http://evil.example\r\n");
    assert_string_equal(audit_text(),
                        "- PUT /v2/keys/a another origin's page\n");
}

static void every_route_has_a_rule(void **state)
{
    struct api_route route;
    size_t count = 0;
    size_t peers = 0;
    (void)state;
    while (api_route(count, &route)) {
        static const char *const rules[] = {"anyone", "root changes", "root",
                                            "keys"};
        bool known = false;
        for (size_t i = 0; i < 4; i++) {
            known = known || strcmp(route.rule, rules[i]) == 0;
        }
        assert_true(known);
        assert_int_equal(route.path[0], '/');
        assert_true(route.allow[0] != '\0');
        peers += route.is_peer_port;
        count++;
    }
    assert_true(peers > 5 && count - peers > 20);
    assert_false(api_route(count + 1, &route));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_page_of_another_origin_changes_nothing),
        STORY(who_is_no_page_or_is_ours_may),
        STORY(who_cors_allows_may),
        STORY(it_is_noted),
        STORY(every_route_has_a_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
