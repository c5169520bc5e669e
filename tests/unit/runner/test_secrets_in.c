/* Secrets: found in what goes out, read, put in at the last moment, and
 * forgotten; and what is said where they can't be had. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "proto/message.h"
#include "runner_hand.h"
#include "runner_world.h"

static unsigned done_times;
static void done(struct runner *runner, void *context)
{
    (void)runner;
    (void)context;
    done_times++;
}

/* Reads the secrets in this JSON. */
static void read_of(struct hand *hand, struct secrets *secrets,
                    struct arena *arena, const char *json)
{
    struct value *value = arena_alloc(arena, sizeof *value);
    char *text = arena_dup(arena, json, strlen(json) + 1);
    *value = value_from_text(arena, slice_str(text));
    done_times = 0;
    secrets__read(hand->runner, secrets, SLICE(""), value, done, NULL);
}

static void answer_secrets(struct hand *hand, const char *const *values,
                           size_t count)
{
    struct buf message = {0};
    hand_header(&message, 9);
    pb_put_bool(&message, 2, true);
    for (size_t i = 0; i < count; i++) {
        size_t op = store__nest(&message, 3);
        size_t range = store__nest(&message, 1);
        struct hand_kv kv = {"/_recipes/secret/x", values[i], 5, 5, 1};
        if (values[i])
            hand_kv(&message, 2, &kv);
        store__unnest(&message, range);
        store__unnest(&message, op);
    }
    hand_answer(hand, hand_find(hand, RUNNER_TXN, "/_recipes/secret/"),
                &message);
    buf_deinit(&message);
}

static void assert_fault(const struct secrets *secrets, const char *text)
{
    assert_true(slice_eq(buf_slice(&secrets->fault), slice_str(text)));
}

static void test_without_one_nothing_is_asked(void **state)
{
    (void)state;
    struct hand *hand = hand_new(true);
    struct secrets secrets;
    struct arena arena;
    struct buf out = {0};
    arena_init(&arena, 0);
    size_t calls = hand->call_count;
    read_of(hand, &secrets, &arena, "{\"a\":[1,null,\"text\"]}");
    assert_int_equal(done_times, 1);
    assert_int_equal(hand->call_count, calls);
    assert_int_equal(secrets.fault.size, 0);
    secrets__put_in(&secrets, SLICE("as it is"), &out);
    assert_true(slice_eq(buf_slice(&out), SLICE("as it is")));
    secrets__forget(hand->runner, &secrets);
    buf_deinit(&out);
    arena_deinit(&arena);
    hand_free(hand);
}

static void test_each_is_read_once_however_deep(void **state)
{
    (void)state;
    struct hand *hand = hand_new(true);
    struct secrets secrets;
    struct arena arena;
    ProtobufCMessage *message;
    arena_init(&arena, 0);
    read_of(hand, &secrets, &arena,
            "{\"url\":\"http://\\u0001host\\u0002/\\u0001key\\u0002\","
            "\"json\":{\"deep\":[[\"\\u0001key\\u0002\"],"
            "{\"x\":\"\\u0001last\\u0002\"}]},\"open\":\"\\u0001no end\"}");
    assert_int_equal(done_times, 0);
    assert_int_equal(secrets.count, 3);
    const struct hand_call *call =
        hand_find(hand, RUNNER_TXN, "/_recipes/secret/");
    assert_int_equal(message_decode(&etcdserverpb__txn_request__descriptor,
                                    buf_slice(&call->request), &arena,
                                    &message),
                     ERR_OK);
    const Etcdserverpb__TxnRequest *txn =
        (const Etcdserverpb__TxnRequest *)message;
    static const char *const keys[] = {"/_recipes/secret/host",
                                       "/_recipes/secret/key",
                                       "/_recipes/secret/last"};
    assert_int_equal(txn->n_success, 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(slice_eq(message_bytes(txn->success[i]->request_range->key),
                             slice_str(keys[i])));
    secrets__forget(hand->runner, &secrets);
    arena_deinit(&arena);
    hand_free(hand);
}

static void test_one_that_cannot_be_had(void **state)
{
    (void)state;
    struct hand *hand = hand_new(true);
    struct secrets secrets;
    struct arena arena;
    static const char text[] = "\"\\u0001a\\u0002 \\u0001b\\u0002\"";
    arena_init(&arena, 0);
    /* The store is away: another time. */
    read_of(hand, &secrets, &arena, text);
    hand_refuse(hand, hand_find(hand, RUNNER_TXN, "secret"), 14);
    assert_int_equal(done_times, 1);
    assert_false(secrets.is_final);
    assert_fault(&secrets, "secret \"a\" can't be read now");
    secrets__forget(hand->runner, &secrets);
    /* An answer of another size is none. */
    read_of(hand, &secrets, &arena, text);
    answer_secrets(hand, (const char *const[]){"x"}, 1);
    assert_false(secrets.is_final);
    assert_true(secrets.fault.size > 0);
    secrets__forget(hand->runner, &secrets);
    /* This worker has no key; another one may have it. */
    read_of(hand, &secrets, &arena, text);
    answer_secrets(hand, (const char *const[]){"x", "y"}, 2);
    assert_int_equal(done_times, 1);
    assert_false(secrets.is_final);
    assert_fault(&secrets, "secret \"a\" no key was given");
    secrets__forget(hand->runner, &secrets);
    /* It isn't there: no use to try again. */
    read_of(hand, &secrets, &arena, text);
    answer_secrets(hand, (const char *const[]){NULL, NULL}, 2);
    assert_true(secrets.is_final);
    assert_fault(&secrets, "secret \"a\" isn't there");
    secrets__forget(hand->runner, &secrets);
    /* Forgotten while it was asked for. */
    read_of(hand, &secrets, &arena, text);
    secrets__forget(hand->runner, &secrets);
    answer_secrets(hand, (const char *const[]){"x", "y"}, 2);
    assert_int_equal(done_times, 0);
    arena_deinit(&arena);
    hand_free(hand);
}

static void test_more_than_there_is_room_for(void **state)
{
    (void)state;
    struct hand *hand = hand_new(true);
    struct secrets secrets;
    struct arena arena;
    struct buf text = {0};
    arena_init(&arena, 0);
    for (int count = SECRETS_MAX; count <= SECRETS_MAX + 1; count++) {
        buf_reset(&text);
        buf_append_char(&text, '"');
        for (int i = 0; i < count; i++)
            buf_printf(&text, "\\u0001s%d\\u0002", i);
        buf_append_char(&text, '"');
        buf_append_char(&text, '\0');
        size_t calls = hand->call_count;
        read_of(hand, &secrets, &arena, text.at);
        if (count <= SECRETS_MAX) {
            assert_int_equal(hand->call_count, calls + 1);
        } else {
            /* None of them goes out as nothing. */
            assert_int_equal(done_times, 1);
            assert_true(secrets.is_final);
            assert_fault(&secrets, "secret \"s0\" is one of too many");
        }
        secrets__forget(hand->runner, &secrets);
    }
    buf_deinit(&text);
    arena_deinit(&arena);
    hand_free(hand);
}

static void test_where_they_are_put(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *filled;
    } all[] = {
        {"\x01"
         "a\x02",
         "[A]"},
        {"x\x01"
         "a\x02y\x01"
         "b\x02z",
         "x[A]y[\x01"
         "a\x02]z"}, /* what a secret is isn't looked into */
        {"\x01"
         "a\x02\x01"
         "a\x02",
         "[A][A]"},
        {"no end \x01"
         "a",
         "no end \x01"
         "a"},
        {"\x02 alone", "\x02 alone"},
        {"", ""},
    };
    struct secrets secrets = {.count = 2};
    struct buf out = {0};
    secrets.all[0].name = SLICE("a");
    secrets.all[1].name = SLICE("b");
    buf_append_str(&secrets.all[0].text, "[A]");
    buf_append_str(&secrets.all[1].text, "[\x01"
                                         "a\x02]");
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        buf_reset(&out);
        secrets__put_in(&secrets, slice_str(all[i].text), &out);
        assert_true(slice_eq(buf_slice(&out), slice_str(all[i].filled)));
    }
    buf_deinit(&out);
    buf_deinit(&secrets.all[0].text);
    buf_deinit(&secrets.all[1].text);
}

/* ---- in the world ------------------------------------------------------- */

static char url_seen[256];
static bool note_url(struct world *world, const struct act *act,
                     struct act_answer *answer)
{
    (void)world;
    snprintf(url_seen, sizeof url_seen, "%.*s", (int)act->url.size,
             act->url.at);
    answer->status = 500;
    return true;
}

static void test_no_value_of_a_user_becomes_one(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 1);
    world.act = note_url;
    world_put(&world, "/_recipes/secret/token", "token:sesame");
    world_define(&world, "{name: post, start: beginning,"
                         " if: [{key: '/from/{id}'}], then:"
                         " [{http: {url: 'http://x/{{raw}}'},"
                         " retry: {max: 1, base: 1s, cap: 1s}}]}");
    world_start(&world, 0);
    world_run(&world, SECOND_NS);
    /* Who may write a key may not read secrets by it. */
    world_put(&world, "/from/a",
              "\x01"
              "token\x02");
    world_run(&world, 10 * SECOND_NS);
    assert_true(url_seen[0] != 0);
    assert_null(strstr(url_seen, "sesame"));
    world_deinit(&world);
}

static void test_a_new_secret_is_taken_at_the_next_try(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 2);
    world.act = note_url;
    world_put(&world, "/_recipes/secret/token", "token:old");
    world_define(&world, "{name: post, start: beginning,"
                         " if: [{key: '/from/{id}'}], then:"
                         " [{http: {url: \"http://x/{{secret('token')}}\"},"
                         " retry: {max: 30, base: 2s, cap: 2s}}]}");
    world_start(&world, 0);
    world_run(&world, SECOND_NS);
    world_put(&world, "/from/a", "x");
    world_run(&world, 300 * MILLI_NS);
    assert_string_equal(url_seen, "http://x/old");
    world_put(&world, "/_recipes/secret/token", "token:new");
    world_run(&world, 3 * SECOND_NS);
    assert_string_equal(url_seen, "http://x/new");
    /* One that can't be opened is no reason to give up: it may be put right. */
    world_put(&world, "/_recipes/secret/token", "other:x");
    url_seen[0] = 0;
    world_run(&world, 3 * SECOND_NS);
    assert_string_equal(url_seen, "");
    world_put(&world, "/_recipes/secret/token", "token:right");
    world_run(&world, 5 * SECOND_NS);
    assert_string_equal(url_seen, "http://x/right");
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_one_nothing_is_asked),
        cmocka_unit_test(test_each_is_read_once_however_deep),
        cmocka_unit_test(test_one_that_cannot_be_had),
        cmocka_unit_test(test_more_than_there_is_room_for),
        cmocka_unit_test(test_where_they_are_put),
        cmocka_unit_test(test_no_value_of_a_user_becomes_one),
        cmocka_unit_test(test_a_new_secret_is_taken_at_the_next_try),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
