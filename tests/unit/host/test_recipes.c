/* The recipes thread, with a runner of the test's own (runner_standin.h) and a
 * store on another thread: what the runner asks for gets to where it is meant,
 * and what comes back gets to the runner. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/recipes_int.h"
#include "runner_standin.h"
#include "stub_http.h"
#include "tests/support/stub_rpc.h"
#include "told_exchange.h"

enum { WAIT_MS = 10 * 1000 };

static struct stub_rpc store;
static _Atomic int watches; /* calls of Watch that the store has seen */
static _Atomic bool is_etcd;
static struct config flags;
static struct recipes *recipes;
static struct recipes_gate *gate;
static struct api_shared shared;

/* ---- the store ----------------------------------------------------------- */

static bool is_path(const struct grpc_stub_call *call, const char *path)
{
    size_t size = strlen(path);
    return call->head.size > size && memcmp(call->head.at, path, size) == 0 &&
           call->head.at[size] == '\n';
}

static void answer_many(struct grpc_stub_call *call, struct slice message)
{
    grpc_stub_send(call, message);
    grpc_stub_send(call, SLICE("b"));
    grpc_stub_send(call, SLICE("c"));
    grpc_stub_end(call, slice_eq(message, SLICE("bad")) ? "11" : "0",
                  slice_eq(message, SLICE("bad")) ? "compacted" : NULL);
}

/* "end" ends the stream; all else comes back with the stream's head. */
static void answer_watch(struct grpc_stub_call *call, struct slice message)
{
    const char *told =
        memmem(call->head.at, call->head.size, "etched-told: cause", 18);
    if (slice_eq(message, SLICE("end"))) {
        grpc_stub_end(call, "14", "leaving");
        return;
    }
    watches += call->begun ? 0 : 1;
    grpc_stub_send(call, told != NULL ? message : SLICE("untold"));
}

static enum stub_rpc_then
answer_store(void *context, struct grpc_stub_call *call, struct slice message)
{
    (void)context;
    if (is_path(call, "/etcdserverpb.Watch/Watch")) {
        answer_watch(call, message);
    } else if (is_path(call, "/s/Many")) {
        answer_many(call, message);
    } else if (is_path(call, "/s/Drop")) {
        return STUB_RPC_DROP;
    } else if (is_path(call, "/s/Code")) {
        grpc_stub_end(call, "9", "not now");
    } else if (is_path(call, "/s/None")) {
        grpc_stub_end(call, "0", NULL);
    } else if (is_path(call, "/etched.v1.History/RevisionAt")) {
        grpc_stub_end(call, is_etcd ? "12" : "5", "whatever");
    } else {
        bool is_marked = memmem(call->head.at, call->head.size,
                                "etched-cause: recipe", 20) != NULL;
        grpc_stub_send(call, is_marked ? message : SLICE("unmarked"));
        grpc_stub_end(call, "0", NULL);
    }
    return STUB_RPC_GO_ON;
}

/* ---- the service --------------------------------------------------------- */

static _Atomic bool is_posted;

static void on_posted(void *context)
{
    (void)context;
    is_posted = true;
}

/* "127.0.0.1:port" */
static int connect_to(void *context)
{
    const char *endpoint = context;
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_port =
        htons((uint16_t)strtoul(strchr(endpoint, ':') + 1, NULL, 10));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const void *)&address, sizeof(address)), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static enum err new_recipes(const char *endpoint, bool is_own)
{
    struct recipes_config config = {.flags = &flags};
    if (is_own) {
        config.connect = connect_to;
        config.context = (void *)(uintptr_t)endpoint;
    } else {
        config.endpoints = &endpoint;
        config.endpoint_count = 1;
    }
    return recipes_new(&config, &recipes);
}

static void start_recipes(const char *endpoint, bool is_own)
{
    assert_int_equal(new_recipes(endpoint, is_own), ERR_OK);
    const struct recipes_gate_config config = {
        .recipes = recipes,
        .shared = &shared,
        .on_posted = on_posted,
    };
    gate = recipes_gate_new(&config);
    recipes_start(recipes);
}

static void stop_recipes(void)
{
    recipes_join(recipes);
    recipes_gate_stop(gate);
    recipes_gate_free(gate);
    recipes_free(recipes);
    recipes = NULL;
}

static int set_up(void **state)
{
    static struct config_url url = {.text = "http://127.0.0.1:2389"};
    static const char *programs[] = {"/bin/cat"};
    (void)state;
    flags = (struct config){
        .name = "n",
        .recipes_secret_key_file = "",
        .recipes_user = "",
        .recipes_password_file = "",
        .recipes_ca_file = "",
        .recipes_cert_file = "",
        .recipes_key_file = "",
        .recipes_allow_local = true,
        .recipes_exec_allow = {.at = programs, .count = 1},
        .listen_client_urls = {.at = &url, .count = 1},
    };
    standin_runs = standin_gone = standin_stop_ms = 0;
    watches = 0;
    is_etcd = false;
    (void)signal(SIGPIPE, SIG_IGN); /* as the program has it */
    stub_rpc_start_with(&store, answer_store, NULL);
    start_recipes(store.endpoint, true);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (recipes != NULL) {
        stop_recipes();
    }
    stub_rpc_stop(&store);
    return 0;
}

/* ---- a client of its REST ------------------------------------------------ */

static int64_t now_ms(void)
{
    return rpc_client_now_ms();
}

static void sleep_ms(int ms)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

static struct told told;

static void begin_ask(const char *path, const char *body)
{
    static char whole[128];
    (void)snprintf(whole, sizeof(whole), "/recipes/v1/%s", path);
    open_told(&told, HTTP_POST, whole, slice_str(body));
    recipes_gate_request(gate, &told.exchange, SLICE(""));
}

static void wait_told(void)
{
    int64_t end_ms = now_ms() + WAIT_MS;
    while (!told.is_ended) {
        assert_true(now_ms() < end_ms);
        if (atomic_exchange(&is_posted, false)) {
            recipes_gate_take(gate);
        } else {
            sleep_ms(1);
        }
    }
}

/* The body of the answer, good until the next ask. */
static const char *ask(const char *path, const char *body)
{
    static char text[8192];
    begin_ask(path, body);
    wait_told();
    assert_true(told.body.size < sizeof(text));
    memcpy(text, told.body.at, told.body.size);
    text[told.body.size] = '\0';
    close_told(&told);
    return text;
}

static void wait_for(const char *path, const char *wanted)
{
    int64_t end_ms = now_ms() + WAIT_MS;
    while (strcmp(ask(path, ""), wanted) != 0) {
        assert_true(now_ms() < end_ms);
        sleep_ms(2);
    }
}

static const char *call(enum runner_method method, const char *message)
{
    char path[16];
    (void)snprintf(path, sizeof(path), "call/%d", method);
    return ask(path, message);
}

/* ---- stories: the store -------------------------------------------------- */

static void a_call_and_its_answer(void **state)
{
    (void)state;
    assert_string_equal(call(RUNNER_RANGE, "keys"), "0||keys");
    assert_string_equal(call(RUNNER_TXN, "x"), "9|not now|");
    /* A server that says OK and nothing else has not answered. */
    assert_non_null(strstr(call(RUNNER_LEASE_GRANT, "x"), "13|"));
    /* Nobody knows what became of it. */
    assert_non_null(strstr(call(RUNNER_LEASE_KEEPALIVE, "x"), "14|"));
    assert_string_equal(call(RUNNER_RANGE, "again"), "0||again");
}

static void a_history_comes_in_parts(void **state)
{
    (void)state;
    assert_string_equal(call(RUNNER_HISTORY, "a"), "0||a,b,c,");
    assert_string_equal(call(RUNNER_HISTORY, "bad"), "11|compacted|bad,b,c,");
}

static void one_watch_carries_all_messages(void **state)
{
    (void)state;
    (void)ask("watch", "one");
    (void)ask("watch", "two");
    wait_for("watched", "one;two;");
    assert_int_equal(watches, 1);
    /* It ends; the next message opens another. */
    (void)ask("watch", "end");
    wait_for("watched", "one;two;end 14;");
    (void)ask("watch", "three");
    wait_for("watched", "one;two;end 14;three;");
    assert_int_equal(watches, 2);
}

static void a_store_of_ours_is_told_from_etcd(void **state)
{
    (void)state;
    assert_string_equal(ask("store", ""), "etched"); /* its own: not asked */
    for (int i = 0; i < 2; i++) {
        stop_recipes();
        is_etcd = i == 1;
        start_recipes(store.endpoint, false);
        wait_for("store", i == 1 ? "etcd" : "etched");
    }
}

static void a_store_that_comes_late_is_waited_for(void **state)
{
    (void)state;
    struct buf why = {0};
    stop_recipes();
    stub_rpc_stop(&store);
    start_recipes(store.endpoint, false);
    assert_non_null(strstr(ask("echo", "x"), "hasn't answered yet"));
    assert_false(recipes_is_ready(recipes, &why));
    assert_true(why.size > 0);
    int port = store.port;
    stub_rpc_start(&store, port);
    store.answer = answer_store;
    wait_for("store", "etched");
    assert_true(recipes_is_ready(recipes, &why));
    buf_deinit(&why);
}

/* ---- stories: the outside ------------------------------------------------ */

static void answer_stub(void *context, const struct stub_request *request,
                        struct stub_reply *reply)
{
    (void)context;
    (void)request;
    buf_append_str(&reply->body, "pong");
}

static void actions_go_out_and_come_back(void **state)
{
    (void)state;
    struct stub_http http;
    stub_http_start(&http, answer_stub, NULL);
    assert_string_equal(ask("http", http.url), "0|200|pong");
    stub_http_stop(&http);
    assert_string_equal(ask("http", "ftp://x/"), "1|0|");
    assert_string_equal(ask("exec", "/bin/cat"), "0|0|input");
    assert_string_equal(ask("exec", "/bin/ls"), "1|0|");
}

static void what_is_computed_here(void **state)
{
    (void)state;
    /* HMAC-SHA-256 of "", with the key "a=%41". */
    assert_int_equal(strlen(ask("hmac", "")), 4);
    assert_string_equal(
        ask("feed", "<rss><channel><item><guid>1</guid></item></channel>"
                    "</rss>"),
        "1");
    assert_non_null(strstr(ask("feed", "<html/>"), "INVALID: feed"));
}

static void secrets_need_a_key(void **state)
{
    (void)state;
    char sealed[256];
    assert_non_null(strstr(ask("seal", "s3cr3t"), "openssl rand -hex 32"));
    stop_recipes();
    assert_int_equal(setenv("ETCHED_RECIPES_SECRET_KEY",
                            "000102030405060708090a0b0c0d0e0f"
                            "101112131415161718191a1b1c1d1e1f",
                            1),
                     0);
    start_recipes(store.endpoint, true);
    assert_int_equal(unsetenv("ETCHED_RECIPES_SECRET_KEY"), 0);
    begin_ask("seal", "s3cr3t");
    wait_told();
    assert_int_equal(told.body.size - 1, 6 + SECRET_BOX_BYTES_MORE);
    struct slice kept = slice_of(told.body.at, told.body.size - 1);
    memcpy(sealed, kept.at, kept.size);
    close_told(&told);
    open_told(&told, HTTP_POST, "/recipes/v1/unseal",
              slice_of(sealed, kept.size));
    recipes_gate_request(gate, &told.exchange, SLICE(""));
    wait_told();
    assert_string_equal(told.body.at, "s3cr3t");
    close_told(&told);
}

static void a_key_that_cant_be_read_is_an_error_at_once(void **state)
{
    (void)state;
    stop_recipes();
    flags.recipes_secret_key_file = "/no/such/key";
    assert_int_equal(new_recipes(store.endpoint, true), ERR_NOT_FOUND);
    assert_non_null(strstr(err_note(), "--recipes-secret-key-file"));
    flags.recipes_secret_key_file = "";
    assert_int_equal(new_recipes("nowhere", false), ERR_INVALID);
    assert_null(recipes);
}

/* ---- stories: the thread ------------------------------------------------- */

static void the_runner_is_called_when_its_time_has_come(void **state)
{
    (void)state;
    int64_t from_ms = now_ms();
    assert_string_equal(ask("later", ""), "late");
    assert_true(now_ms() - from_ms >= 49);
}

static void a_stream_and_who_leaves_it(void **state)
{
    (void)state;
    begin_ask("stream", "");
    wait_told();
    assert_int_equal(told.body.size, 5);
    assert_memory_equal(told.body.at, "1,2,3", 5);
    close_told(&told);
    begin_ask("open", "");
    while (!told.is_begun) {
        recipes_gate_take(gate);
        sleep_ms(1);
    }
    told.exchange.on_gone(&told.exchange);
    close_told(&told);
    (void)ask("echo", "x");
    assert_int_equal(standin_gone, 1);
}

static void who_has_nothing_to_do_sleeps(void **state)
{
    (void)state;
    (void)ask("watch", "x");
    wait_for("watched", "x;");
    sleep_ms(50);
    int before = standin_runs;
    sleep_ms(500);
    assert_true(standin_runs - before <= 1);
}

static void metrics_dont_wait_for_a_busy_runner(void **state)
{
    (void)state;
    struct buf text = {0};
    (void)ask("echo", ""); /* it is there */
    recipes_metrics(recipes, &text);
    buf_append_char(&text, '\0');
    assert_string_equal(text.at, "etched_recipes_of_the_standin 1\n");
    /* Busy: what it had to say a little while ago, which is nothing; then
     * something. */
    for (int i = 0; i < 2; i++) {
        begin_ask("sleep", "");
        sleep_ms(50);
        int64_t from_ms = now_ms();
        buf_reset(&text);
        recipes_metrics(recipes, &text);
        assert_true(now_ms() - from_ms < 100);
        assert_int_equal(text.size, i == 0 ? 0 : 32);
        wait_told();
        close_told(&told);
    }
    buf_deinit(&text);
}

static void a_stop_waits_for_the_hand_over_but_not_for_long(void **state)
{
    (void)state;
    (void)ask("echo", "");
    standin_stop_ms = 100;
    int64_t from_ms = now_ms();
    stop_recipes();
    int64_t took_ms = now_ms() - from_ms;
    assert_true(took_ms >= 99 && took_ms < 900);
    start_recipes(store.endpoint, true);
    (void)ask("echo", "");
    standin_stop_ms = 60 * 1000;
    from_ms = now_ms();
    stop_recipes();
    took_ms = now_ms() - from_ms;
    assert_true(took_ms >= 900 && took_ms < RECIPES_STOP_MS + 2000);
}

/* Before it knows the store, with calls under way, or not started at all. */
static void it_stops_at_any_time(void **state)
{
    (void)state;
    begin_ask("later", "");
    stop_recipes();
    assert_int_equal(told.status, 503);
    close_told(&told);
    start_recipes("127.0.0.1:1", false);
    stop_recipes();
    assert_int_equal(new_recipes(store.endpoint, true), ERR_OK);
    recipes_join(recipes);
    recipes_free(recipes);
    recipes = NULL;
}

static void many_ask_at_once(void **state)
{
    enum { MANY = 200 };
    static struct told tolds[MANY];
    (void)state;
    for (int i = 0; i < MANY; i++) {
        open_told(&tolds[i], HTTP_POST,
                  i % 2 == 0 ? "/recipes/v1/call/0" : "/recipes/v1/echo",
                  SLICE("x"));
        recipes_gate_request(gate, &tolds[i].exchange, SLICE(""));
    }
    int64_t end_ms = now_ms() + WAIT_MS;
    for (int i = 0; i < MANY; i++) {
        while (!tolds[i].is_ended) {
            assert_true(now_ms() < end_ms);
            recipes_gate_take(gate);
            sleep_ms(1);
        }
        assert_string_equal(tolds[i].body.at, i % 2 == 0 ? "0||x" : "x");
        close_told(&tolds[i]);
    }
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        STORY(a_call_and_its_answer),
        STORY(a_history_comes_in_parts),
        STORY(one_watch_carries_all_messages),
        STORY(a_store_of_ours_is_told_from_etcd),
        STORY(a_store_that_comes_late_is_waited_for),
        STORY(actions_go_out_and_come_back),
        STORY(what_is_computed_here),
        STORY(secrets_need_a_key),
        STORY(a_key_that_cant_be_read_is_an_error_at_once),
        STORY(the_runner_is_called_when_its_time_has_come),
        STORY(a_stream_and_who_leaves_it),
        STORY(who_has_nothing_to_do_sleeps),
        STORY(metrics_dont_wait_for_a_busy_runner),
        STORY(a_stop_waits_for_the_hand_over_but_not_for_long),
        STORY(it_stops_at_any_time),
        STORY(many_ask_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
