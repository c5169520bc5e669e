/* The Recipes service within a whole server, which is its store: reached by
 * the client port, counted in /metrics, gone in time. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/http_client.h"
#include "host/server.h"
#include "runner_standin.h"
#include "stub_http.h"

enum { WAIT_MS = 20 * 1000, FLAGS_MAX = 16 };

static char folder[64];
static char url[64];
static struct config config;
static pthread_t thread;
static enum err ended_with;
static struct http_client *client;
static struct http_client_response response;

static void *serve(void *context)
{
    struct server_args args = {0};
    bool has_ended = false;
    (void)context;
    ended_with = server_run(&config, &args, &has_ended);
    assert_true(has_ended);
    return NULL;
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

static void wait_for(const char *path, int status)
{
    int64_t end_ms = http_client_now_ms() + WAIT_MS;
    while (get(path, NULL) != status) {
        assert_true(http_client_now_ms() < end_ms);
        (void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
}

static void start(const char *flag, const char *listen)
{
    char flags[FLAGS_MAX][128];
    char *argv[FLAGS_MAX + 1] = {"etched"};
    int argc = 1;
    int port = stub_free_port();
    (void)snprintf(folder, sizeof(folder), "/tmp/etched-recipes-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d", port);
    (void)snprintf(flags[1], 128, "--data-dir=%s", folder);
    (void)snprintf(flags[2], 128, "--listen-client-urls=%s:%d", listen, port);
    (void)snprintf(flags[3], 128, "--listen-peer-urls=http://127.0.0.1:%d",
                   stub_free_port());
    (void)snprintf(flags[4], 128, "--io-threads=2");
    (void)snprintf(flags[5], 128, "%s", flag);
    for (; argc < 6; argc++) {
        argv[argc] = flags[argc];
    }
    const struct config_input input = {.argc = argc, .argv = argv};
    assert_int_equal(config_load(&config, &input), ERR_OK);
    config.has_seccomp = false; /* the process is the test's */
    assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
    wait_for("/health", 200);
}

static void stop(void)
{
    char command[128];
    assert_int_equal(raise(SIGTERM), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(ended_with, ERR_OK);
    config_deinit(&config);
    (void)snprintf(command, sizeof(command), "rm -r '%s'", folder);
    assert_int_equal(system(command), 0);
}

static int open_client(void **state)
{
    const struct http_client_options options = {.stop_fd = -1};
    (void)state;
    standin_stop_ms = 0;
    standin_gone = 0;
    return http_client_open(&options, &client) == ERR_OK ? 0 : -1;
}

static int close_client(void **state)
{
    (void)state;
    http_client_close(client);
    http_client_response_deinit(&response);
    response = (struct http_client_response){0};
    return 0;
}

/* ---- stories ------------------------------------------------------------- */

static void the_service_answers_on_the_client_port(void **state)
{
    (void)state;
    start("--recipes=true", "http://127.0.0.1");
    assert_int_equal(get("/recipes/v1/echo", "hello"), 200);
    assert_string_equal(response.body.at, "hello");
    assert_int_equal(get("/recipes/v1/stream", NULL), 200);
    assert_string_equal(response.body.at, "1,2,3");
    assert_int_equal(get("/metrics", NULL), 200);
    assert_non_null(
        strstr(response.body.at, "etched_recipes_of_the_standin 1\n"));
    assert_non_null(strstr(response.body.at, "\nprocess_open_fds "));
    /* It has this very server for its store: which has no such method. */
    assert_int_equal(get("/recipes/v1/call/0", "x"), 200);
    assert_true(strncmp(response.body.at, "12|", 3) == 0);
    /* What isn't its own goes on as ever. */
    assert_int_equal(get("/version", NULL), 200);
    stop();
}

static void a_large_body_is_refused_with_words(void **state)
{
    (void)state;
    size_t size = 1024 * 1024 + 1;
    char *body = mem_alloc(size + 1);
    assert_non_null(body);
    memset(body, 'x', size);
    body[size] = '\0';
    start("--recipes=true", "http://127.0.0.1");
    assert_int_equal(get("/recipes/v1/echo", body), 413);
    assert_non_null(strstr(response.body.at, "\"code\":\"too_large\""));
    body[size - 1] = '\0';
    assert_int_equal(get("/recipes/v1/echo", body), 200);
    assert_int_equal(response.body.size, size);
    mem_free(body);
    stop();
}

static void it_can_be_turned_off(void **state)
{
    (void)state;
    start("--recipes=false", "http://127.0.0.1");
    assert_int_equal(get("/recipes/v1/defs", NULL), 404);
    assert_non_null(strstr(response.body.at, "--recipes=false"));
    assert_int_equal(get("/metrics", NULL), 200);
    assert_null(strstr(response.body.at, "etched_recipes_of_the_standin"));
    stop();
}

/* Whichever way it listens: it needs no port to find itself. */
static void it_finds_itself(void **state)
{
    static const char *const ways[] = {"http://0.0.0.0", "http://localhost"};
    (void)state;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        start("--recipes=true", ways[i]);
        assert_int_equal(get("/recipes/v1/call/0", "x"), 200);
        assert_true(strncmp(response.body.at, "12|", 3) == 0);
        stop();
    }
}

/* The runner wants a minute; a server that stops has a second. */
static void a_stop_is_not_held_up(void **state)
{
    (void)state;
    start("--recipes=true", "http://127.0.0.1");
    assert_int_equal(get("/recipes/v1/echo", "x"), 200);
    standin_stop_ms = 60 * 1000;
    int64_t from_ms = http_client_now_ms();
    stop();
    assert_true(http_client_now_ms() - from_ms < 4000);
    standin_stop_ms = 0;
    start("--recipes=true", "http://127.0.0.1");
    assert_int_equal(get("/recipes/v1/echo", "x"), 200);
    from_ms = http_client_now_ms();
    stop();
    assert_true(http_client_now_ms() - from_ms < 1000);
}

int main(void)
{
#define STORY(name) \
    cmocka_unit_test_setup_teardown(name, open_client, close_client)
    const struct CMUnitTest tests[] = {
        STORY(the_service_answers_on_the_client_port),
        STORY(a_large_body_is_refused_with_words),
        STORY(it_can_be_turned_off),
        STORY(it_finds_itself),
        STORY(a_stop_is_not_held_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
