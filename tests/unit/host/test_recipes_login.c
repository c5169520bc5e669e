/* A service logs in at a store that has users, and anew when it must. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "host/recipes_login.h"
#include "proto/pb.h"
#include "tests/support/stub_rpc.h"

enum { WAIT_MS = 10 * 1000 };

/* ---- the store ----------------------------------------------------------- */

/* What it answers to a login: a code, and a text or the token. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *login_code;
static const char *login_text;
static int logins;
static char seen_login[64];
static char seen_head[512];

static void copy(char *out, size_t size, struct slice text)
{
    assert_true(text.size < size);
    memcpy(out, text.at, text.size);
    out[text.size] = '\0';
}

static void answer_login(struct grpc_stub_call *call, struct slice message)
{
    char answer[64] = {0x12};
    logins++;
    copy(seen_login, sizeof(seen_login), message);
    if (login_code[0] == '0') {
        size_t size = strlen(login_text);
        answer[1] = (char)size;
        memcpy(answer + 2, login_text, size);
        grpc_stub_send(call, slice_of(answer, 2 + size));
        grpc_stub_end(call, "0", NULL);
    } else {
        grpc_stub_end(call, login_code, login_text);
    }
}

static enum stub_rpc_then answer(void *context, struct grpc_stub_call *call,
                                 struct slice message)
{
    static const char path[] = "/etcdserverpb.Auth/Authenticate\n";
    (void)context;
    pthread_mutex_lock(&lock);
    if (call->head.size >= strlen(path) &&
        memcmp(call->head.at, path, strlen(path)) == 0) {
        copy(seen_head, sizeof(seen_head), buf_slice(&call->head));
        assert_null(strstr(seen_head, "\ntoken:")); /* refused by etcd 3.4 */
        answer_login(call, message);
    } else {
        copy(seen_head, sizeof(seen_head), buf_slice(&call->head));
        grpc_stub_send(call, message);
        grpc_stub_end(call, "0", NULL);
    }
    pthread_mutex_unlock(&lock);
    return STUB_RPC_GO_ON;
}

static void store_says(const char *code, const char *text)
{
    pthread_mutex_lock(&lock);
    login_code = code;
    login_text = text;
    pthread_mutex_unlock(&lock);
}

static int logins_seen(void)
{
    pthread_mutex_lock(&lock);
    int count = logins;
    pthread_mutex_unlock(&lock);
    return count;
}

/* ---- the service --------------------------------------------------------- */

static struct stub_rpc store;
static struct rpc_client *client;
static struct recipes_login login;

static int set_up(void **state)
{
    const char *endpoint = store.endpoint;
    const struct rpc_client_options options = {
        .endpoints = &endpoint, .endpoint_count = 1, .stop_fd = -1};
    (void)state;
    logins = 0;
    stub_rpc_start_with(&store, answer, NULL);
    assert_int_equal(rpc_client_open(&options, &client), ERR_OK);
    recipes_login_init(&login, client, "worker", SLICE("secret"));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rpc_client_close(client);
    recipes_login_deinit(&login);
    stub_rpc_stop(&store);
    return 0;
}

/* Runs until `count` logins were answered. */
static void run_until_told(int count)
{
    int64_t end_ms = rpc_client_now_ms() + WAIT_MS;
    while (logins_seen() < count || login.open != NULL) {
        assert_true(rpc_client_now_ms() < end_ms);
        (void)recipes_login_run(&login, rpc_client_now_ms());
        (void)rpc_client_run(client, rpc_client_now_ms() + 5, -1);
    }
}

/* The head of a call that is made now. */
static const char *head_of_call(void)
{
    struct rpc_answer got = {0};
    const struct rpc_request request = {
        .path = SLICE("/some/Call"),
        .message = SLICE("x"),
        .deadline_ms = rpc_client_now_ms() + WAIT_MS,
    };
    assert_int_equal(rpc_client_call(client, &request, &got), ERR_OK);
    rpc_answer_deinit(&got);
    return seen_head;
}

/* ---- stories ------------------------------------------------------------- */

static void calls_have_the_token(void **state)
{
    (void)state;
    store_says("0", "abc.1");
    assert_false(login.is_in);
    run_until_told(1);
    assert_true(login.is_in);
    assert_string_equal(seen_login, "\n\6worker\22\6secret");
    assert_non_null(strstr(head_of_call(), "\ntoken: abc.1\n"));
    assert_int_equal(recipes_login_run(&login, rpc_client_now_ms()), INT64_MAX);
    assert_int_equal(logins_seen(), 1);
}

static void a_store_without_users_lets_it_in(void **state)
{
    (void)state;
    store_says("9", "etcdserver: authentication is not enabled");
    run_until_told(1);
    assert_true(login.is_in);
    assert_null(strstr(head_of_call(), "\ntoken:"));
}

static void a_wrong_password_is_tried_again_but_not_at_once(void **state)
{
    (void)state;
    store_says("3", "etcdserver: authentication failed, invalid user ID or "
                    "password");
    run_until_told(1);
    assert_false(login.is_in);
    int64_t now_ms = rpc_client_now_ms();
    int64_t due_ms = recipes_login_run(&login, now_ms);
    assert_true(due_ms > now_ms + 500 && due_ms < now_ms + WAIT_MS);
    assert_null(login.open);
    /* Whoever sets it right needn't start the service anew. */
    store_says("0", "abc.2");
    (void)recipes_login_run(&login, due_ms);
    assert_non_null(login.open);
    run_until_told(2);
    assert_true(login.is_in);
}

static void it_logs_in_anew(void **state)
{
    static const struct {
        int code;
        const char *text;
    } wants[] = {
        {GRPC_UNAUTHENTICATED, "etcdserver: invalid auth token"},
        {GRPC_INVALID_ARGUMENT, "etcdserver: revision of auth store is old"},
        {GRPC_INVALID_ARGUMENT, "etcdserver: user name is empty"},
    };
    (void)state;
    store_says("0", "abc.1");
    run_until_told(1);
    for (int i = 0; i < 3; i++) {
        store_says("0", i == 0 ? "new.0" : i == 1 ? "new.1" : "new.2");
        uint64_t number = login.number;
        assert_true(recipes_login_refused(&login, number, wants[i].code,
                                          slice_str(wants[i].text)));
        run_until_told(i + 2);
        assert_true(login.number > number);
        assert_non_null(strstr(head_of_call(), "\ntoken: new."));
        /* What an older login began, and ends only now, asks for none. */
        assert_true(recipes_login_refused(&login, number, wants[i].code,
                                          slice_str(wants[i].text)));
        assert_int_equal(recipes_login_run(&login, rpc_client_now_ms()),
                         INT64_MAX);
    }
    assert_int_equal(logins_seen(), 4);
}

static void other_ends_are_none_of_its_business(void **state)
{
    (void)state;
    store_says("0", "abc.1");
    run_until_told(1);
    assert_false(
        recipes_login_refused(&login, login.number, GRPC_OK, SLICE("")));
    assert_false(recipes_login_refused(&login, login.number,
                                       GRPC_PERMISSION_DENIED,
                                       SLICE("etcdserver: permission denied")));
    assert_int_equal(recipes_login_run(&login, rpc_client_now_ms()), INT64_MAX);
}

static void a_watch_that_is_refused_asks_for_one(void **state)
{
    static const char word[] = "Grpc error: code = Unauthenticated desc = "
                               "etcdserver: invalid auth token";
    struct buf response = {0};
    (void)state;
    store_says("0", "abc.1");
    run_until_told(1);
    pb_put_bytes(&response, 6, SLICE(word));
    recipes_login_watched(&login, login.number, buf_slice(&response));
    assert_int_equal(recipes_login_run(&login, rpc_client_now_ms()), INT64_MAX);
    pb_put_bool(&response, 4, true);
    recipes_login_watched(&login, login.number, buf_slice(&response));
    run_until_told(2);
    buf_deinit(&response);
}

static void nobody_has_no_login(void **state)
{
    struct recipes_login none = RECIPES_LOGIN_NONE;
    (void)state;
    assert_true(none.is_in);
    assert_int_equal(recipes_login_run(&none, 1), INT64_MAX);
    assert_false(
        recipes_login_refused(&none, 0, GRPC_UNAUTHENTICATED,
                              SLICE("etcdserver: invalid auth token")));
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        STORY(calls_have_the_token),
        STORY(a_store_without_users_lets_it_in),
        STORY(a_wrong_password_is_tried_again_but_not_at_once),
        STORY(it_logs_in_anew),
        STORY(other_ends_are_none_of_its_business),
        STORY(a_watch_that_is_refused_asks_for_one),
        STORY(nobody_has_no_login),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
