/* Webhooks: what comes in is a key first; signatures, ids, several recipes on
 * one path, and all that may go wrong between. */
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
    *state = rest_scene_new(17);
    return 0;
}

static int teardown(void **state)
{
    rest_scene_free(*state);
    return 0;
}

#define ASKING (&((struct rest_scene *)*state)->asking)
#define WORLD (&((struct rest_scene *)*state)->world)

/* A recipe that counts what its webhook was told. */
static void define_hook(void **state, const char *name, const char *hook,
                        const char *more)
{
    char yaml[768];
    (void)snprintf(yaml, sizeof yaml,
                   "name: %s\n"
                   "if: [{webhook: %s}]\n"
                   "then: [{put: {key: /got/%s, value: '{{body}}'}}]\n"
                   "%s",
                   name, hook, name, more);
    rest_define(ASKING, name, yaml);
}

static int post(void **state, const char *path,
                const struct rest_given *headers, const char *body)
{
    char target[128];
    (void)snprintf(target, sizeof target, "hooks/%s", path);
    int status =
        rest_ask_with(ASKING, "POST", target, headers, slice_str(body));
    world_run(WORLD, SECOND);
    return status;
}

/* The runs that a hook has had: what it put, each time. */
static size_t runs_of(void **state, const char *name)
{
    char key[64];
    (void)snprintf(key, sizeof key, "/got/%s", name);
    return world_puts(WORLD, key);
}

/* As the door computes it (see door_hmac of the world). */
static void sign(const char *key, const char *body, char out[80])
{
    unsigned char hash[32] = {0};
    uint64_t number =
        slice_hash(slice_str(body), slice_hash(slice_str(key), 1));
    memcpy(out, "sha256=", 7);
    put_le64(hash, number);
    for (size_t i = 0; i < sizeof hash; i++)
        (void)snprintf(out + 7 + 2 * i, 3, "%02x", hash[i]);
}

/* ---- what comes in ------------------------------------------------------ */

static void test_a_hook_is_taken_and_run(void **state)
{
    define_hook(state, "h", "github/push", "");
    assert_int_equal(post(state, "github/push", NULL, "{\"n\": 1}"), 202);
    assert_string_equal(rest_at(ASKING, "duplicate"), "false");
    assert_string_equal(rest_at(ASKING, "taken"), "1");
    assert_int_equal(strlen(rest_at(ASKING, "id")), 32);
    assert_true(slice_eq(world_get(WORLD, "/got/h"), SLICE("{\"n\":1}")));
    /* A slash at the end is the same address. */
    assert_int_equal(post(state, "github/push/", NULL, "two"), 202);
    assert_true(slice_eq(world_get(WORLD, "/got/h"), SLICE("two")));
}

static void test_nobody_has_this_path(void **state)
{
    define_hook(state, "off", "off", "enabled: false\n");
    define_hook(state, "h", "some/path", "");
    assert_int_equal(post(state, "none", NULL, ""), 404);
    assert_int_equal(post(state, "off", NULL, ""), 404);
    assert_int_equal(post(state, "some", NULL, ""), 404);
    assert_int_equal(post(state, "some/path/more", NULL, ""), 404);
    assert_int_equal(world_count(WORLD, "/_recipes/in/"), 0);
}

/* Promise 3: once it has its 2xx it is a key, whatever happens next. */
static void test_what_was_answered_is_never_lost(void **state)
{
    char body[32];
    define_hook(state, "h", "h", "");
    for (int i = 0; i < 20; i++) {
        (void)snprintf(body, sizeof body, "%d", i);
        int status = rest_ask(ASKING, "POST", "hooks/h", body);
        assert_int_equal(status, 202);
        world_kill(WORLD, 0);
        world_start(WORLD, 0);
        world_run(WORLD, 3 * SECOND);
    }
    world_run(WORLD, 30 * SECOND);
    assert_int_equal(runs_of(state, "h"), 20);
}

static void test_a_paused_one_takes_it_for_later(void **state)
{
    define_hook(state, "h", "h", "");
    assert_int_equal(rest_ask(ASKING, "POST", "defs/h/pause", NULL), 200);
    world_run(WORLD, SECOND);
    assert_int_equal(post(state, "h", NULL, "x"), 202);
    assert_int_equal(runs_of(state, "h"), 0);
    assert_int_equal(rest_ask(ASKING, "POST", "defs/h/resume", NULL), 200);
    world_run(WORLD, 3 * SECOND);
    assert_int_equal(runs_of(state, "h"), 1);
}

static void test_headers_reach_the_recipe_but_no_credentials(void **state)
{
    static const struct rest_given headers[] = {
        {"X-Kind", "push"},
        {"x-forwarded-for", "10.0.0.1"},
        {"X-Forwarded-For", "10.0.0.2"},
        {"Authorization", "Bearer hush"},
        {"Cookie", "hush"},
        {"Proxy-Authorization", "hush"},
        {"x-odd", "\xff\xfe"},
        {NULL, NULL}};
    rest_define(ASKING, "h",
                "name: h\nif: [{webhook: h}]\n"
                "then: [{put: {key: /got/h, value: '{{headers[\"x-kind\"]}} "
                "{{headers[\"x-forwarded-for\"]}}'}}]\n");
    assert_int_equal(post(state, "h", headers, "b"), 202);
    assert_true(
        slice_eq(world_get(WORLD, "/got/h"), SLICE("push 10.0.0.1, 10.0.0.2")));
    /* Nowhere, in no revision. */
    for (size_t i = 0; i < WORLD->store.event_count; i++) {
        struct slice value = WORLD->store.events[i].kv.value;
        assert_null(value.size ? memmem(value.at, value.size, "hush", 4)
                               : NULL);
    }
}

static void test_bodies_of_any_bytes(void **state)
{
    define_hook(state, "h", "h", "");
    assert_int_equal(post(state, "h", NULL, ""), 202);
    assert_int_equal(post(state, "h", NULL, "\xff\xfe\x80"), 202);
    assert_int_equal(post(state, "h", NULL, "{\"broken\": "), 202);
    assert_int_equal(post(state, "h", NULL, "\"text\""), 202);
    assert_int_equal(runs_of(state, "h"), 4);
}

/* ---- ids ---------------------------------------------------------------- */

static void test_the_same_again_is_a_duplicate(void **state)
{
    define_hook(state, "h", "{path: h, dedupe_ttl: 1m}", "");
    assert_int_equal(post(state, "h", NULL, "a"), 202);
    assert_int_equal(post(state, "h", NULL, "a"), 202);
    assert_string_equal(rest_at(ASKING, "duplicate"), "true");
    assert_int_equal(post(state, "h", NULL, "b"), 202);
    assert_string_equal(rest_at(ASKING, "duplicate"), "false");
    assert_int_equal(runs_of(state, "h"), 2);
    world_run(WORLD, 50 * SECOND);
    assert_int_equal(post(state, "h", NULL, "a"), 202);
    assert_string_equal(rest_at(ASKING, "duplicate"), "true");
    /* It is remembered for its time, and not for ever. */
    world_run(WORLD, 30 * SECOND);
    assert_int_equal(post(state, "h", NULL, "a"), 202);
    assert_string_equal(rest_at(ASKING, "duplicate"), "false");
    assert_int_equal(runs_of(state, "h"), 3);
}

/* A delivery's id counts, whatever its body, and the other way about. */
static void test_ids_of_deliveries(void **state)
{
    static const char *const names[] = {"X-GitHub-Delivery", "webhook-id",
                                        "x-delivery-id", "Idempotency-Key"};
    define_hook(state, "h", "h", "");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char one[16];
        char two[16];
        (void)snprintf(one, sizeof one, "%zu-1", i);
        (void)snprintf(two, sizeof two, "%zu-2/\xff", i);
        const struct rest_given first[] = {{names[i], one}, {NULL, NULL}};
        const struct rest_given second[] = {{names[i], two}, {NULL, NULL}};
        assert_int_equal(post(state, "h", first, "x"), 202);
        assert_int_equal(post(state, "h", first, "y"), 202);
        assert_string_equal(rest_at(ASKING, "duplicate"), "true");
        assert_int_equal(post(state, "h", second, "x"), 202);
        assert_string_equal(rest_at(ASKING, "duplicate"), "false");
        assert_int_equal(runs_of(state, "h"), 2 * i + 2);
    }
}

static void test_ids_by_expression(void **state)
{
    define_hook(state, "h", "{path: h, dedupe: 'body.id'}", "");
    assert_int_equal(post(state, "h", NULL, "{\"id\": 7, \"n\": 1}"), 202);
    assert_int_equal(post(state, "h", NULL, "{\"id\": 7, \"n\": 2}"), 202);
    assert_string_equal(rest_at(ASKING, "duplicate"), "true");
    assert_int_equal(post(state, "h", NULL, "{\"id\": 8, \"n\": 2}"), 202);
    assert_int_equal(runs_of(state, "h"), 2);
    assert_int_equal(post(state, "h", NULL, "{\"nothing\": 1}"), 400);
    assert_string_equal(rest_code(ASKING), "no_id");
    assert_int_equal(runs_of(state, "h"), 2);
}

/* Who can't sign learns nothing of the expression. */
static void test_no_id_is_said_to_those_who_sign(void **state)
{
    char signature[80];
    define_hook(state, "h", "{path: h, secret: k, dedupe: 'body.id'}", "");
    assert_int_equal(rest_ask(ASKING, "PUT", "secrets/k", "key"), 200);
    assert_int_equal(post(state, "h", NULL, "{}"), 401);
    sign("key", "{}", signature);
    const struct rest_given right[] = {{"x-hub-signature-256", signature},
                                       {NULL, NULL}};
    assert_int_equal(post(state, "h", right, "{}"), 400);
}

/* ---- signatures --------------------------------------------------------- */

static void test_a_signature_is_right_or_refused(void **state)
{
    char signature[160];
    struct rest_given given[] = {{"X-Hub-Signature-256", signature},
                                 {NULL, NULL}};
    define_hook(state, "h", "{path: h, secret: k}", "");
    assert_int_equal(rest_ask(ASKING, "PUT", "secrets/k", "key"), 200);
    assert_int_equal(post(state, "h", NULL, "a"), 401);
    assert_string_equal(rest_code(ASKING), "bad_signature");
    sign("key", "a", signature);
    assert_int_equal(post(state, "h", given, "a"), 202);
    assert_int_equal(post(state, "h", given, "b"), 401);
    sign("other", "b", signature);
    assert_int_equal(post(state, "h", given, "b"), 401);
    sign("key", "b", signature);
    signature[70] ^= 1; /* its last digit */
    assert_int_equal(post(state, "h", given, "b"), 401);
    sign("key", "b", signature);
    signature[70] = '\0';
    assert_int_equal(post(state, "h", given, "b"), 401);
    sign("key", "b", signature);
    memcpy(signature + 71, "00", 3);
    assert_int_equal(post(state, "h", given, "b"), 401);
    sign("key", "b", signature);
    given[0].value = signature + 7; /* without "sha256=" */
    assert_int_equal(post(state, "h", given, "b"), 202);
    given[0].value = "";
    assert_int_equal(post(state, "h", given, "c"), 401);
    assert_int_equal(runs_of(state, "h"), 2);
}

static void test_a_header_of_their_own(void **state)
{
    char signature[80];
    const struct rest_given given[] = {{"X-Gitea-Signature", signature},
                                       {NULL, NULL}};
    define_hook(state, "h", "{path: h, secret: k, header: X-Gitea-Signature}",
                "");
    assert_int_equal(rest_ask(ASKING, "PUT", "secrets/k", "key"), 200);
    sign("key", "a", signature);
    assert_int_equal(post(state, "h", given, "a"), 202);
    assert_int_equal(runs_of(state, "h"), 1);
}

/* Signed with nothing is not signed. */
static void test_without_its_secret_nothing_is_right(void **state)
{
    char signature[80];
    const struct rest_given given[] = {{"x-hub-signature-256", signature},
                                       {NULL, NULL}};
    define_hook(state, "h", "{path: h, secret: k}", "");
    sign("", "a", signature);
    assert_int_equal(post(state, "h", given, "a"), 401);
    world_put(WORLD, "/_recipes/secret/k", "k:");
    assert_int_not_equal(post(state, "h", given, "a"), 202);
    assert_int_equal(runs_of(state, "h"), 0);
}

/* The trouble is ours: it is to come again. */
static void test_a_secret_that_cant_be_opened(void **state)
{
    char signature[80];
    const struct rest_given given[] = {{"x-hub-signature-256", signature},
                                       {NULL, NULL}};
    define_hook(state, "h", "{path: h, secret: k}", "");
    define_hook(state, "open", "h", "");
    world_put(WORLD, "/_recipes/secret/k", "other:key");
    sign("key", "a", signature);
    assert_int_equal(post(state, "h", given, "a"), 503);
    /* The one that could take it has it. */
    assert_int_equal(runs_of(state, "open"), 1);
    assert_int_equal(rest_ask(ASKING, "PUT", "secrets/k", "key"), 200);
    assert_int_equal(post(state, "h", given, "a"), 202);
    assert_int_equal(runs_of(state, "open"), 1);
    assert_int_equal(runs_of(state, "h"), 1);
}

/* ---- several ------------------------------------------------------------ */

static void test_several_recipes_on_one_path(void **state)
{
    char signature[80];
    const struct rest_given given[] = {{"x-hub-signature-256", signature},
                                       {NULL, NULL}};
    define_hook(state, "a", "{path: h, secret: ka}", "");
    define_hook(state, "b", "{path: h, secret: kb}", "");
    define_hook(state, "c", "{path: h}", "");
    assert_int_equal(rest_ask(ASKING, "PUT", "secrets/ka", "one"), 200);
    assert_int_equal(rest_ask(ASKING, "PUT", "secrets/kb", "two"), 200);
    sign("two", "x", signature);
    assert_int_equal(post(state, "h", given, "x"), 202);
    assert_string_equal(rest_at(ASKING, "taken"), "2");
    assert_int_equal(runs_of(state, "a"), 0);
    assert_int_equal(runs_of(state, "b"), 1);
    assert_int_equal(runs_of(state, "c"), 1);
    /* Signed for the other one it is new there, and nowhere else. */
    sign("one", "x", signature);
    assert_int_equal(post(state, "h", given, "x"), 202);
    assert_string_equal(rest_at(ASKING, "duplicate"), "false");
    assert_int_equal(runs_of(state, "a"), 1);
    assert_int_equal(runs_of(state, "b"), 1);
    assert_int_equal(runs_of(state, "c"), 1);
    assert_int_equal(rest_ask(ASKING, "DELETE", "defs/c", NULL), 200);
    world_run(WORLD, SECOND);
    assert_int_equal(post(state, "h", NULL, "x"), 401);
}

static void test_two_triggers_of_one_recipe(void **state)
{
    rest_define(ASKING, "h",
                "name: h\nif: [{webhook: h}, {webhook: h}]\n"
                "then: [{put: {key: /got/h, value: 'x'}}]\norder: strict\n");
    assert_int_equal(post(state, "h", NULL, "x"), 202);
    assert_string_equal(rest_at(ASKING, "taken"), "2");
    assert_int_equal(runs_of(state, "h"), 2);
}

static void test_no_more_than_so_many(void **state)
{
    char name[16];
    for (int i = 0; i < 33; i++) {
        (void)snprintf(name, sizeof name, "h%d", i);
        define_hook(state, name, "h", "");
        if (i == 31)
            assert_int_equal(post(state, "h", NULL, "x"), 202);
    }
    assert_string_equal(rest_at(ASKING, "changed"), "true");
    assert_int_equal(runs_of(state, "h31"), 1);
    assert_int_equal(post(state, "h", NULL, "y"), 500);
    assert_string_equal(rest_code(ASKING), "too_many");
    assert_int_equal(runs_of(state, "h0"), 1);
}

/* Each transaction has its bound, so several are made of it. */
static void test_a_large_body_for_several(void **state)
{
    size_t size = 300 << 10;
    char *body = mem_alloc(size + 1);
    memset(body, 'x', size);
    body[size] = '\0';
    for (int i = 0; i < 4; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "h%d", i);
        define_hook(state, name, "h", "");
    }
    assert_int_equal(post(state, "h", NULL, body), 202);
    assert_string_equal(rest_at(ASKING, "taken"), "4");
    world_run(WORLD, 5 * SECOND);
    for (int i = 0; i < 4; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "h%d", i);
        assert_int_equal(runs_of(state, name), 1);
    }
    mem_free(body);
}

/* ---- leases, and what goes wrong ---------------------------------------- */

static void test_leases_are_shared(void **state)
{
    char body[32];
    define_hook(state, "h", "h", "");
    size_t before = WORLD->store.lease_count;
    for (int i = 0; i < 50; i++) {
        (void)snprintf(body, sizeof body, "%d", i);
        assert_int_equal(rest_ask(ASKING, "POST", "hooks/h", body), 202);
    }
    assert_int_equal(WORLD->store.lease_count, before + 1);
}

static bool is_hook_txn(enum runner_method method, struct slice request)
{
    return method == RUNNER_TXN &&
           memmem(request.at, request.size, "/_recipes/in/h/0/", 17) != NULL &&
           memmem(request.at, request.size, "\"headers\"", 9) != NULL;
}

static int lease_is_gone_once(struct world *world, enum runner_method method,
                              struct slice request)
{
    int *left = world->context;
    if (!is_hook_txn(method, request) || *left == 0)
        return 0;
    --*left;
    return 5; /* NOT_FOUND */
}

static void test_a_lease_that_was_taken_back(void **state)
{
    int left = 1;
    define_hook(state, "h", "h", "");
    assert_int_equal(post(state, "h", NULL, "a"), 202);
    size_t before = WORLD->store.lease_count;
    WORLD->context = &left;
    WORLD->refuse = lease_is_gone_once;
    assert_int_equal(post(state, "h", NULL, "b"), 202);
    assert_string_equal(rest_at(ASKING, "taken"), "1");
    assert_int_equal(WORLD->store.lease_count, before + 1);
    assert_int_equal(runs_of(state, "h"), 2);
    left = 100; /* always */
    assert_int_equal(post(state, "h", NULL, "c"), 503);
    assert_int_equal(left, 98);
}

static void test_a_store_that_is_away_or_full(void **state)
{
    define_hook(state, "h", "{path: h, secret: k}", "");
    define_hook(state, "open", "open", "");
    WORLD->faults.is_away = true;
    assert_int_equal(post(state, "h", NULL, "a"), 503);
    assert_int_equal(post(state, "open", NULL, "a"), 503);
    WORLD->faults.is_away = false;
    world_run(WORLD, 30 * SECOND);
    assert_int_equal(post(state, "open", NULL, "a"), 202);
    assert_int_equal(runs_of(state, "open"), 1);
}

/* Lost on the way, and tried again until it is answered: it is run once. */
static void test_over_a_bad_net(void **state)
{
    char body[32];
    define_hook(state, "h", "h", "");
    WORLD->faults.lost = 200;
    WORLD->faults.late_ns = SECOND;
    for (int i = 0; i < 30; i++) {
        (void)snprintf(body, sizeof body, "%d", i);
        int tries = 0;
        while (rest_ask(ASKING, "POST", "hooks/h", body) != 202)
            assert_true(++tries < 100);
    }
    WORLD->faults.lost = 0;
    world_run(WORLD, 60 * SECOND);
    assert_int_equal(runs_of(state, "h"), 30);
}

static void test_a_sender_that_goes(void **state)
{
    char signature[80];
    const struct rest_given given[] = {{"x-hub-signature-256", signature},
                                       {NULL, NULL}};
    define_hook(state, "h", "{path: h, secret: k}", "");
    assert_int_equal(rest_ask(ASKING, "PUT", "secrets/k", "key"), 200);
    sign("key", "a", signature);
    for (int64_t ns = 0; ns < 20 * SECOND / 1000; ns += SECOND / 1000) {
        uint64_t id = rest_send(ASKING, "POST", "hooks/h", given, SLICE("a"));
        world_run(WORLD, ns);
        rest_leave(ASKING, id);
    }
    world_run(WORLD, 3 * SECOND);
    assert_true(runs_of(state, "h") <= 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_hook_is_taken_and_run),
        TEST(test_nobody_has_this_path),
        TEST(test_what_was_answered_is_never_lost),
        TEST(test_a_paused_one_takes_it_for_later),
        TEST(test_headers_reach_the_recipe_but_no_credentials),
        TEST(test_bodies_of_any_bytes),
        TEST(test_the_same_again_is_a_duplicate),
        TEST(test_ids_of_deliveries),
        TEST(test_ids_by_expression),
        TEST(test_no_id_is_said_to_those_who_sign),
        TEST(test_a_signature_is_right_or_refused),
        TEST(test_a_header_of_their_own),
        TEST(test_without_its_secret_nothing_is_right),
        TEST(test_a_secret_that_cant_be_opened),
        TEST(test_several_recipes_on_one_path),
        TEST(test_two_triggers_of_one_recipe),
        TEST(test_no_more_than_so_many),
        TEST(test_a_large_body_for_several),
        TEST(test_leases_are_shared),
        TEST(test_a_lease_that_was_taken_back),
        TEST(test_a_store_that_is_away_or_full),
        TEST(test_over_a_bad_net),
        TEST(test_a_sender_that_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
