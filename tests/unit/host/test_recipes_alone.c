/* `etched recipes` in this process: its pages, its service, its end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/http_client.h"
#include "host/recipes_alone.h"
#include "runner_standin.h"
#include "stub_http.h"
#include "tests/support/stub_rpc.h"

enum { WAIT_MS = 10 * 1000 };

static struct stub_rpc store;
static struct config config;
static char url[64];
static pthread_t thread;
static enum err ended_with;
static struct http_client *client;
static struct http_client_response response;

static enum stub_rpc_then
answer_store(void *context, struct grpc_stub_call *call, struct slice message)
{
    (void)context;
    (void)message;
    grpc_stub_end(call, "12", "unknown service"); /* as etcd says */
    return STUB_RPC_GO_ON;
}

static void *serve(void *context)
{
    (void)context;
    ended_with = recipes_alone_run(&config);
    return NULL;
}

static void load(const char *endpoints)
{
    char endpoint_flag[96];
    char url_flag[96];
    char *argv[] = {"etched", endpoint_flag, url_flag, NULL};
    const struct config_input input = {
        .argc = 3, .argv = argv, .is_worker = true};
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d", stub_free_port());
    (void)snprintf(endpoint_flag, sizeof(endpoint_flag), "--endpoints=%s",
                   endpoints);
    (void)snprintf(url_flag, sizeof(url_flag), "--listen-client-urls=%s", url);
    assert_int_equal(config_load(&config, &input), ERR_OK);
    config.has_seccomp = false; /* the process is the test's */
}

static int get(const char *path, const char *body)
{
    char whole[128];
    (void)snprintf(whole, sizeof(whole), "%s%s", url, path);
    const struct http_client_request request = {
        .method = body != NULL ? "POST" : "GET",
        .url = whole,
        .body = slice_str(body),
        .has_body = body != NULL,
        .deadline_ms = http_client_now_ms() + WAIT_MS,
    };
    enum err err = http_client_do(client, &request, &response);
    buf_append_char(&response.body, '\0');
    return err == ERR_OK ? response.status : 0;
}

static int dial(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)config.listen_client_urls.at[0].port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (void *)&address, sizeof(address)), 0);
    return fd;
}

static void wait_for(const char *path, int status)
{
    int64_t end_ms = http_client_now_ms() + WAIT_MS;
    while (get(path, NULL) != status) {
        assert_true(http_client_now_ms() < end_ms);
        (void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
}

static int set_up(void **state)
{
    const struct http_client_options options = {.stop_fd = -1};
    (void)state;
    standin_stop_ms = 0;
    stub_rpc_start_with(&store, answer_store, NULL);
    load(store.endpoint);
    assert_int_equal(http_client_open(&options, &client), ERR_OK);
    assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
    wait_for("/version", 200);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(raise(SIGTERM), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(ended_with, ERR_OK);
    http_client_close(client);
    http_client_response_deinit(&response);
    response = (struct http_client_response){0};
    config_deinit(&config);
    stub_rpc_stop(&store);
    return 0;
}

/* ---- stories ------------------------------------------------------------- */

static void the_service_is_served(void **state)
{
    (void)state;
    wait_for("/health", 200);
    assert_string_equal(response.body.at,
                        "{\"health\":\"true\",\"reason\":\"\"}");
    assert_int_equal(get("/recipes/v1/echo", "hello"), 200);
    assert_string_equal(response.body.at, "hello");
    assert_int_equal(get("/recipes/v1/store", NULL), 200);
    assert_string_equal(response.body.at, "etcd");
    assert_int_equal(get("/recipes/v1/stream", NULL), 200);
    assert_string_equal(response.body.at, "1,2,3");
}

static void its_pages(void **state)
{
    (void)state;
    wait_for("/health", 200);
    assert_int_equal(get("/metrics", NULL), 200);
    assert_non_null(
        strstr(response.body.at, "etched_recipes_of_the_standin 1\n"));
    assert_non_null(
        strstr(response.body.at, "\nprocess_resident_memory_bytes "));
    assert_int_equal(get("/version", NULL), 200);
    assert_int_equal(get("/v2/keys/", NULL), 404);
    assert_non_null(strstr(response.body.at, "/recipes/v1/"));
    assert_int_equal(get("/metrics", "a body"), 404);
}

static void it_hands_over_and_ends(void **state)
{
    (void)state;
    wait_for("/health", 200);
    standin_stop_ms = 150;
    int64_t from_ms = http_client_now_ms();
    assert_int_equal(tear_down(NULL), 0);
    int64_t took_ms = http_client_now_ms() - from_ms;
    assert_true(took_ms >= 149 && took_ms < 3000);
    assert_int_equal(set_up(NULL), 0);
}

/* A stream that is open doesn't keep it. */
static void who_listens_is_let_go_at_its_end(void **state)
{
    (void)state;
    char request[] = "GET /recipes/v1/open HTTP/1.1\r\nHost: localhost\r\n\r\n";
    char answer[1024] = "";
    size_t size = 0;
    wait_for("/health", 200);
    int fd = dial();
    assert_int_equal(write(fd, request, sizeof(request) - 1),
                     sizeof(request) - 1);
    while (strstr(answer, "open\r\n") == NULL) {
        ssize_t got = read(fd, answer + size, sizeof(answer) - 1 - size);
        assert_true(got > 0);
        size += (size_t)got;
        answer[size] = '\0';
    }
    int64_t from_ms = http_client_now_ms();
    assert_int_equal(tear_down(NULL), 0);
    assert_true(http_client_now_ms() - from_ms < 2000);
    /* Its body has come to its proper end. */
    while (size < sizeof(answer) - 1) {
        ssize_t got = read(fd, answer + size, sizeof(answer) - 1 - size);
        assert_true(got >= 0);
        if (got == 0) {
            break;
        }
        size += (size_t)got;
        answer[size] = '\0';
    }
    assert_non_null(strstr(answer, "open\r\n0\r\n\r\n"));
    close(fd);
    assert_int_equal(set_up(NULL), 0);
}

static void what_keeps_it_from_starting(void **state)
{
    (void)state;
    struct config other;
    char *argv[] = {"etched", "--listen-client-urls=http://127.0.0.1:0", NULL};
    struct config_input input = {.argc = 2, .argv = argv, .is_worker = true};
    assert_int_equal(config_load(&other, &input), ERR_OK);
    assert_int_equal(recipes_alone_run(&other), ERR_INVALID);
    assert_non_null(strstr(err_note(), "--endpoints"));
    config_deinit(&other);
    /* Somebody listens there: this test's own. */
    argv[1] = "--endpoints=127.0.0.1:1";
    char taken[96];
    (void)snprintf(taken, sizeof(taken), "--listen-client-urls=%s", url);
    char *more[] = {"etched", argv[1], taken, NULL};
    input.argc = 3;
    input.argv = more;
    assert_int_equal(config_load(&other, &input), ERR_OK);
    assert_int_equal(recipes_alone_run(&other), ERR_BUSY);
    config_deinit(&other);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        STORY(the_service_is_served),
        STORY(its_pages),
        STORY(it_hands_over_and_ends),
        STORY(who_listens_is_let_go_at_its_end),
        STORY(what_keeps_it_from_starting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
