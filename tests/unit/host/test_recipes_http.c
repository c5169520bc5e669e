/* What recipes send by HTTP: as it was meant, bounded, never to this machine
 * unless that is allowed, and never more than a rule lets through. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/recipes_http.h"
#include "recipes_case.h"
#include "stub_http.h"

#define SECOND (1000 * 1000 * 1000LL)

static struct recipes_case world;
static struct recipes_http *http_all;
static struct stub_http stub;  /* the server that is meant */
static struct stub_http other; /* another one */

/* What the servers saw last, and how often they were asked. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct stub_request seen;
static _Atomic int asked;
static _Atomic int asked_other;
static _Atomic int at_once;
static _Atomic int at_once_most;
static _Atomic bool is_held; /* /hang waits for it to become false */

/* ---- the servers --------------------------------------------------------- */

static void write_large(struct buf *out, size_t size)
{
    memset(buf_extend(out, size), 'x', size);
}

static void hang(void)
{
    int now = atomic_fetch_add(&at_once, 1) + 1;
    int most = atomic_load(&at_once_most);
    while (now > most &&
           !atomic_compare_exchange_weak(&at_once_most, &most, now)) {
    }
    while (atomic_load(&is_held)) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    atomic_fetch_sub(&at_once, 1);
}

static bool redirects(const struct stub_request *request,
                      struct stub_reply *reply)
{
    int status = 0;
    char to[1024] = "";
    const char *at = strstr(request->target, "/redirect/");
    if (at == NULL) {
        return false;
    }
    status = (int)strtol(at + 10, NULL, 10);
    const char *place = strchr(at + 10, '/');
    assert_non_null(place);
    if (strcmp(place, "/loop") == 0) {
        (void)snprintf(to, sizeof(to), "%s", request->target);
    } else if (strcmp(place, "/other") == 0) {
        (void)snprintf(to, sizeof(to), "%s/other", other.url);
    } else if (strcmp(place, "/file") == 0) {
        (void)snprintf(to, sizeof(to), "file:///etc/passwd");
    } else {
        (void)snprintf(to, sizeof(to), "%s", place);
    }
    reply->status = status;
    (void)snprintf(reply->head, sizeof(reply->head), "Location: %s\r\n", to);
    return true;
}

/* gzip of "<zipped/>" */
static const unsigned char zipped[] = {
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03,
    0xb3, 0xa9, 0xca, 0x2c, 0x28, 0x48, 0x4d, 0xd1, 0xb7, 0x03,
    0x00, 0x03, 0x0f, 0x19, 0x6f, 0x09, 0x00, 0x00, 0x00};

static void answer_stub(void *context, const struct stub_request *request,
                        struct stub_reply *reply)
{
    const char *target = request->target;
    atomic_fetch_add(context == &other ? &asked_other : &asked, 1);
    pthread_mutex_lock(&lock);
    seen = *request;
    pthread_mutex_unlock(&lock);
    if (redirects(request, reply)) {
        return;
    }
    buf_append_str(&reply->body, "fine");
    if (strcmp(target, "/busy") == 0) {
        reply->status = 429;
        (void)snprintf(reply->head, sizeof(reply->head),
                       "Retry-After: 17\r\nX-A: 1\r\nx-a: 2\r\n"
                       "X-Quote: \"q\"\r\n");
    } else if (strcmp(target, "/hang") == 0) {
        hang();
    } else if (strcmp(target, "/close") == 0) {
        reply->status = 0;
    } else if (strcmp(target, "/large") == 0) {
        write_large(&reply->body, RECIPES_HTTP_BODY_BYTES_MAX);
    } else if (strcmp(target, "/huge") == 0) {
        write_large(&reply->body, RECIPES_HTTP_FETCH_BYTES_MAX);
    } else if (strcmp(target, "/zipped") == 0) {
        (void)snprintf(reply->head, sizeof(reply->head),
                       "Content-Encoding: gzip\r\n");
        buf_reset(&reply->body);
        buf_append(&reply->body, zipped, sizeof(zipped));
    }
}

/* ---- the client ---------------------------------------------------------- */

static int64_t run(void *outside, int64_t now_ms)
{
    return recipes_http_run(outside, now_ms);
}

static void open_client(bool allow_local)
{
    world = (struct recipes_case){.run = run};
    poller_init(&world.poller);
    const struct recipes_http_config config = {
        .poller = &world.poller,
        .allow_local = allow_local,
        .on_acted = case_on_acted,
        .context = &world,
    };
    http_all = recipes_http_new(&config);
    world.outside = http_all;
}

static void close_client(void)
{
    recipes_http_free(http_all);
    case_deinit(&world);
}

static int set_up(void **state)
{
    (void)state;
    asked = asked_other = at_once = at_once_most = 0;
    is_held = false;
    stub_http_start(&stub, answer_stub, &stub);
    stub_http_start(&other, answer_stub, &other);
    open_client(true);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    is_held = false;
    close_client();
    stub_http_stop(&stub);
    stub_http_stop(&other);
    return 0;
}

static struct act act_to(const char *path)
{
    static char url[1024];
    (void)snprintf(url, sizeof(url), "%s%s", path[0] == '/' ? stub.url : "",
                   path);
    return (struct act){
        .kind = ACT_HTTP,
        .timeout_ns = 10 * SECOND,
        .method = SLICE("GET"),
        .url = slice_str(url),
    };
}

static struct told_answer *send_act(const struct act *act)
{
    static uint64_t id;
    recipes_http_start(http_all, ++id, act);
    case_run_until(&world, world.count + 1);
    assert_int_equal(case_last(&world)->id, id);
    return case_last(&world);
}

static struct told_answer *get(const char *path)
{
    struct act act = act_to(path);
    return send_act(&act);
}

/* ---- stories ------------------------------------------------------------- */

static void it_arrives_as_it_was_meant(void **state)
{
    (void)state;
    struct act act = act_to("/hook?a=1");
    act.method = SLICE("POST");
    act.headers = SLICE("Idempotency-Key: 7/12.0/1\r\nX-Empty:\r\n"
                        "Content-Type: application/json\r\n");
    act.body = SLICE("{\"text\":\"disk\"}");
    struct told_answer *answer = send_act(&act);
    assert_true(answer->was_sent);
    assert_false(answer->is_refused);
    assert_int_equal(answer->status, 200);
    assert_string_equal(answer->error, "");
    assert_string_equal(answer->headers, "{\"content-length\":\"4\"}");
    assert_string_equal(answer->body.at, "fine");
    assert_string_equal(seen.method, "POST");
    assert_string_equal(seen.target, "/hook?a=1");
    assert_string_equal(seen.body, "{\"text\":\"disk\"}");
    assert_non_null(strstr(seen.head, "\r\nIdempotency-Key: 7/12.0/1"));
    assert_non_null(strstr(seen.head, "\r\nX-Empty:"));
    assert_non_null(strstr(seen.head, "\r\nContent-Type: application/json"));
    assert_non_null(strstr(seen.head, "\r\nUser-Agent: etched/"));
    assert_null(strstr(seen.head, "urlencoded"));
    assert_null(strstr(seen.head, "Expect"));
}

static void every_method_goes(void **state)
{
    (void)state;
    static const char *const methods[] = {"GET",    "HEAD",  "PUT",  "POST",
                                          "DELETE", "PATCH", "PURGE"};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        struct act act = act_to("/m");
        act.method = slice_str(methods[i]);
        act.headers = SLICE("User-Agent: mine\r\n");
        struct told_answer *answer = send_act(&act);
        assert_int_equal(answer->status, 200);
        assert_string_equal(seen.method, methods[i]);
        assert_non_null(strstr(seen.head, "\r\nUser-Agent: mine"));
    }
}

/* A status is an answer, whatever it says: the runner judges it. */
static void a_busy_server_says_when(void **state)
{
    (void)state;
    struct told_answer *answer = get("/busy");
    assert_int_equal(answer->status, 429);
    assert_string_equal(answer->error, "");
    assert_true(answer->retry_after_ns == 17 * SECOND);
    assert_string_equal(answer->headers,
                        "{\"content-length\":\"4\",\"retry-after\":\"17\","
                        "\"x-a\":\"1, 2\",\"x-quote\":\"\\\"q\\\"\"}");
}

static void this_machine_is_refused(void **state)
{
    (void)state;
    static const char *const hosts[] = {
        "127.0.0.1", "localhost", "127.1",    "2130706433",
        "0x7f.0.1",  "0.0.0.0",   "[::1]",    "[::ffff:127.0.0.1]",
        "0",         "[::]",      "127.0.0.2"};
    close_client();
    open_client(false);
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        char url[128];
        (void)snprintf(url, sizeof(url), "http://%s:%d/", hosts[i], stub.port);
        struct told_answer *answer = get(url);
        assert_true(answer->is_refused);
        assert_false(answer->was_sent);
        assert_int_equal(answer->status, 0);
        assert_non_null(strstr(answer->error, "--recipes-allow-local"));
    }
    assert_int_equal(asked, 0);
}

static void a_proxy_of_the_environment_is_passed_over(void **state)
{
    static const char *const names[] = {"http_proxy", "HTTP_PROXY", "all_proxy",
                                        "ALL_PROXY"};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(setenv(names[i], "http://127.0.0.1:1", 1), 0);
    }
    struct told_answer *answer = get("/direct");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(unsetenv(names[i]), 0);
    }
    assert_int_equal(answer->status, 200);
    assert_string_equal(seen.target, "/direct");
}

static void only_http_is_spoken(void **state)
{
    (void)state;
    static const char *const urls[] = {"ftp://127.0.0.1/",
                                       "file:///etc/passwd",
                                       "gopher://127.0.0.1/",
                                       "smtp://127.0.0.1/",
                                       "dict://127.0.0.1/",
                                       "telnet://127.0.0.1/",
                                       "http://",
                                       "",
                                       "http://a b/",
                                       "http://127.0.0.1/\r\nX: 1",

                                       "http://[::1",
                                       "://x"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct act act = act_to("/");
        act.url = slice_str(urls[i]);
        struct told_answer *answer = send_act(&act);
        assert_true(answer->is_refused);
        assert_false(answer->was_sent);
        assert_true(answer->error[0] != '\0');
    }
    struct act act = act_to("/");
    act.url = SLICE("http://127.0.0.1\0.example/");
    assert_true(send_act(&act)->is_refused);
    assert_int_equal(asked, 0);
}

static void headers_that_would_break_the_framing_are_refused(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "Content-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "connection: close\r\n",
        "Upgrade: h2c\r\n",
        "Proxy-Authorization: x\r\n",
        "No colon\r\n",
        "Bad name: x\r\n",
        ": x\r\n",
        "X: a\nY: b\r\n",
        "X: a\rY: b\r\n",
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        struct act act = act_to("/");
        act.headers = slice_str(headers[i]);
        assert_true(send_act(&act)->is_refused);
    }
    struct act act = act_to("/");
    act.method = SLICE("GET / HTTP/1.1\r\nX:");
    assert_true(send_act(&act)->is_refused);
    assert_int_equal(asked, 0);
}

/* ---- redirects ----------------------------------------------------------- */

static void a_redirect_is_an_answer_unless_asked_for(void **state)
{
    (void)state;
    struct told_answer *answer = get("/redirect/302/there");
    assert_int_equal(answer->status, 302);
    assert_non_null(strstr(answer->headers, "\"location\":\"/there\""));
    assert_int_equal(asked, 1);
}

static struct told_answer *follow(const char *path, const char *method)
{
    struct act act = act_to(path);
    act.redirects = true;
    act.method = slice_str(method);
    act.body = strcmp(method, "POST") == 0 ? SLICE("body") : slice_of("", 0);
    act.headers = SLICE("X-Token: s3cr3t\r\nAuthorization: Bearer t\r\n"
                        "Accept: text/x\r\n");
    return send_act(&act);
}

static void redirects_keep_or_change_the_method(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *method;
        const char *then;
        const char *body;
    } cases[] = {
        {"/redirect/302/there", "GET", "GET", ""},
        {"/redirect/301/there", "POST", "GET", ""},
        {"/redirect/303/there", "POST", "GET", ""},
        {"/redirect/307/there", "POST", "POST", "body"},
        {"/redirect/308/there", "POST", "POST", "body"},
        {"/redirect/303/there", "HEAD", "HEAD", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct told_answer *answer = follow(cases[i].path, cases[i].method);
        assert_int_equal(answer->status, 200);
        assert_string_equal(seen.target, "/there");
        assert_string_equal(seen.method, cases[i].then);
        assert_string_equal(seen.body, cases[i].body);
        assert_non_null(strstr(seen.head, "\r\nX-Token: s3cr3t"));
    }
}

static void what_is_for_one_server_isnt_for_another(void **state)
{
    (void)state;
    struct told_answer *answer = follow("/redirect/307/other", "POST");
    assert_int_equal(answer->status, 200);
    assert_int_equal(asked_other, 1);
    assert_string_equal(seen.target, "/other");
    assert_non_null(strstr(seen.head, "\r\nAccept: text/x"));
    assert_null(strstr(seen.head, "s3cr3t"));
    assert_null(strstr(seen.head, "Bearer"));
}

static void redirects_end(void **state)
{
    (void)state;
    struct told_answer *answer = follow("/redirect/302/loop", "GET");
    assert_true(answer->is_refused);
    assert_true(answer->was_sent);
    assert_int_equal(answer->status, 0);
    assert_int_equal(asked, 1 + RECIPES_HTTP_REDIRECTS_MAX);
    assert_non_null(strstr(answer->error, "more than 5 times"));
    answer = follow("/redirect/302/file", "GET");
    assert_true(answer->is_refused);
    assert_non_null(strstr(answer->error, "only http://"));
}

/* ---- bounds -------------------------------------------------------------- */

static void answers_are_cut_and_fetches_are_whole(void **state)
{
    (void)state;
    struct told_answer *answer = get("/large");
    assert_int_equal(answer->status, 200); /* it was done */
    assert_string_equal(answer->error, "");
    assert_int_equal(answer->body.size, RECIPES_HTTP_BODY_BYTES_MAX + 1);
    struct act act = act_to("/large");
    act.is_fetch = true;
    answer = send_act(&act);
    assert_int_equal(answer->body.size, RECIPES_HTTP_BODY_BYTES_MAX + 4 + 1);
    act = act_to("/huge");
    act.is_fetch = true;
    answer = send_act(&act);
    assert_int_equal(answer->status, 0);
    assert_non_null(strstr(answer->error, "larger than 4194304 bytes"));
    assert_int_equal(answer->body.size, 1);
}

static void a_fetch_may_come_compressed(void **state)
{
    (void)state;
    struct act act = act_to("/zipped");
    act.is_fetch = true;
    struct told_answer *answer = send_act(&act);
    assert_int_equal(answer->status, 200);
    assert_string_equal(answer->body.at, "<zipped/>");
    assert_non_null(strstr(seen.head, "Accept-Encoding: gzip"));
}

static void nobody_is_waited_for_longer_than_said(void **state)
{
    (void)state;
    is_held = true;
    struct act act = act_to("/hang");
    act.timeout_ns = SECOND / 5;
    int64_t from_ms = case_now_ms();
    struct told_answer *answer = send_act(&act);
    int64_t took_ms = case_now_ms() - from_ms;
    assert_true(took_ms >= 190 && took_ms < 5000);
    assert_true(answer->was_sent);
    assert_false(answer->is_refused);
    assert_int_equal(answer->status, 0);
    assert_non_null(strstr(answer->error, "timed out"));
}

static void who_isnt_there_or_hangs_up_can_be_tried_again(void **state)
{
    (void)state;
    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/", stub_free_port());
    struct told_answer *answer = get(url);
    assert_int_equal(answer->status, 0);
    assert_false(answer->is_refused);
    assert_true(answer->error[0] != '\0');
    answer = get("/close");
    assert_true(answer->was_sent);
    assert_false(answer->is_refused);
    assert_int_equal(answer->status, 0);
    assert_true(answer->error[0] != '\0');
    answer = get("http://does-not-exist.invalid/");
    assert_false(answer->is_refused);
    assert_non_null(strstr(answer->error, "does-not-exist.invalid"));
}

/* A server that hangs has its share of places, and another is served. */
static void one_host_doesnt_take_all_places(void **state)
{
    enum { MANY = RECIPES_HTTP_HOST_AT_ONCE_MAX + 8 };
    char url[128];
    struct act act = act_to("/hang");
    (void)state;
    is_held = true;
    for (uint64_t i = 0; i < MANY; i++) {
        recipes_http_start(http_all, 1000 + i, &act);
    }
    (void)snprintf(url, sizeof(url), "%s/quick", other.url);
    struct act quick = act_to(url);
    recipes_http_start(http_all, 5000, &quick);
    case_run_until(&world, 1);
    assert_int_equal(case_last(&world)->id, 5000);
    while (at_once < RECIPES_HTTP_HOST_AT_ONCE_MAX) {
        (void)recipes_http_run(http_all, case_now_ms());
        poller_run(&world.poller);
    }
    is_held = false;
    case_run_until(&world, MANY + 1);
    for (size_t i = 0; i < world.count; i++) {
        assert_int_equal(world.answers[i].status, 200);
    }
    assert_int_equal(at_once_most, RECIPES_HTTP_HOST_AT_ONCE_MAX);
}

static void the_end_of_all_ends_them(void **state)
{
    struct act act = act_to("/hang");
    (void)state;
    is_held = true;
    for (uint64_t i = 0; i < RECIPES_HTTP_HOST_AT_ONCE_MAX + 3; i++) {
        recipes_http_start(http_all, i + 1, &act);
    }
    (void)recipes_http_run(http_all, case_now_ms());
    poller_run(&world.poller);
    close_client();
    open_client(true);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        STORY(it_arrives_as_it_was_meant),
        STORY(every_method_goes),
        STORY(a_busy_server_says_when),
        STORY(this_machine_is_refused),
        STORY(a_proxy_of_the_environment_is_passed_over),
        STORY(only_http_is_spoken),
        STORY(headers_that_would_break_the_framing_are_refused),
        STORY(a_redirect_is_an_answer_unless_asked_for),
        STORY(redirects_keep_or_change_the_method),
        STORY(what_is_for_one_server_isnt_for_another),
        STORY(redirects_end),
        STORY(answers_are_cut_and_fetches_are_whole),
        STORY(a_fetch_may_come_compressed),
        STORY(nobody_is_waited_for_longer_than_said),
        STORY(who_isnt_there_or_hangs_up_can_be_tried_again),
        STORY(one_host_doesnt_take_all_places),
        STORY(the_end_of_all_ends_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
