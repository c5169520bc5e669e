/* Between an I/O thread and the recipes thread: what is handed over, what is
 * refused, and who hears of whose end. The service itself doesn't run: its
 * queue is looked into. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "host/recipes_int.h"
#include "told_exchange.h"

/* ---- the gate ------------------------------------------------------------ */

static struct config flags;
static struct recipes *recipes;
static struct recipes_gate *gate;
static struct api_shared shared;
static const char *const origins[] = {"http://page"};
static int wakes;
static struct queue_link *rest; /* asks that were taken, for next_ask */

static void on_posted(void *context)
{
    (void)context;
    wakes++;
}

static struct recipes_gate *new_gate(struct recipes *of)
{
    const struct recipes_gate_config config = {
        .recipes = of,
        .why_not = of == NULL ? "turned \"off\" here" : NULL,
        .shared = &shared,
        .on_posted = on_posted,
    };
    return recipes_gate_new(&config);
}

static int connect_nowhere(void *context)
{
    (void)context;
    return -1;
}

static int set_up(void **state)
{
    const struct recipes_config config = {
        .connect = connect_nowhere,
        .flags = &flags,
    };
    (void)state;
    flags = (struct config){.name = "n",
                            .recipes_secret_key_file = "",
                            .recipes_user = "",
                            .recipes_password_file = "",
                            .recipes_ca_file = "",
                            .recipes_cert_file = "",
                            .recipes_key_file = ""};
    shared.cors = origins;
    shared.cors_count = 1;
    wakes = 0;
    assert_int_equal(recipes_new(&config, &recipes), ERR_OK);
    gate = new_gate(recipes);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    recipes_gate_stop(gate);
    recipes_gate_free(gate);
    recipes_free(recipes);
    assert_null(rest);
    return 0;
}

/* The next thing that the service is asked; the caller's. */
static struct recipes_ask *next_ask(void)
{
    if (rest == NULL) {
        rest = queue_take_all(&recipes->asks);
    }
    if (rest == NULL) {
        return NULL;
    }
    struct queue_link *link = rest;
    rest = link->next;
    return CONTAINER_OF(link, struct recipes_ask, link);
}

static uint64_t take_ask(bool is_gone)
{
    struct recipes_ask *ask = next_ask();
    assert_non_null(ask);
    assert_int_equal(ask->is_gone, is_gone);
    uint64_t id = ask->id;
    recipes_ask__free(ask);
    return id;
}

static void answer(uint64_t id, int status, const char *body, bool more)
{
    struct runner_doors doors;
    const struct rest_answer part = {
        .status = status,
        .content_type = more ? "text/event-stream" : "application/json",
        .body = slice_str(body),
        .more = more,
        .retry_after = status == 503 ? "7" : NULL,
    };
    recipes__fill_doors(recipes, &doors);
    doors.respond(doors.context, id, &part);
}

static void deliver(void)
{
    recipes_gate__wake(gate);
    recipes_gate_take(gate);
}

/* ---- stories ------------------------------------------------------------- */

static void paths_of_the_service(void **state)
{
    (void)state;
    assert_true(recipes_gate_is_path(SLICE("/recipes/v1/defs")));
    assert_true(recipes_gate_is_path(SLICE("/recipes/v1/")));
    assert_true(recipes_gate_is_path(SLICE("/recipes/v1")));
    assert_false(recipes_gate_is_path(SLICE("/recipes/v10/defs")));
    assert_false(recipes_gate_is_path(SLICE("/recipes")));
    assert_false(recipes_gate_is_path(SLICE("/v2/keys/recipes/v1/")));
}

static void a_request_goes_over_whole_and_its_answer_comes_back(void **state)
{
    struct told told;
    (void)state;
    open_told(&told, HTTP_POST, "/recipes/v1/hooks/a%20b%2Fc", SLICE("body"));
    recipes_gate_request(gate, &told.exchange, SLICE(""));
    assert_int_equal(told.status, 0);
    struct recipes_ask *ask = next_ask();
    assert_non_null(ask);
    const struct rest_request *request = &ask->request;
    assert_true(slice_eq(request->method, SLICE("POST")));
    assert_true(slice_eq(request->path, SLICE("hooks/a%20b%2Fc")));
    assert_true(slice_eq(request->query, SLICE("a=%41")));
    assert_true(slice_eq(request->body, SLICE("body")));
    assert_true(slice_eq(request->peer, SLICE("10.0.0.1:5")));
    assert_int_equal(request->header_count, 2);
    assert_true(slice_eq(request->headers[0].name, SLICE("x-hub-signature")));
    assert_true(slice_eq(request->headers[0].value, SLICE("sha256=Ab")));
    uint64_t id = ask->id;
    recipes_ask__free(ask);
    answer(id, 503, "{}", false);
    assert_int_equal(wakes, 0); /* one wake for all that was posted */
    deliver();
    assert_int_equal(wakes, 1);
    assert_int_equal(told.status, 503);
    assert_true(told.is_ended);
    assert_string_equal(told.body.at, "{}");
    assert_non_null(strstr(told.head.at, "Content-Type: application/json\n"));
    assert_non_null(strstr(told.head.at, "Retry-After: 7\n"));
    assert_non_null(strstr(told.head.at, "Cache-Control: no-store\n"));
    assert_non_null(
        strstr(told.head.at, "Access-Control-Allow-Origin: http://page\n"));
    assert_null(told.exchange.on_gone);
    close_told(&told);
}

static void a_stream_comes_in_parts(void **state)
{
    struct told told;
    (void)state;
    open_told(&told, HTTP_GET, "/recipes/v1/stream", SLICE(""));
    recipes_gate_request(gate, &told.exchange, SLICE(""));
    uint64_t id = take_ask(false);
    answer(id, 200, "data: 1\n\n", true);
    deliver();
    assert_true(told.is_begun && !told.is_ended);
    answer(id, 200, "data: 2\n\n", true);
    answer(id, 200, "", false);
    answer(id, 200, "too late", true); /* it has ended */
    deliver();
    assert_true(told.is_ended && !told.is_failed);
    assert_int_equal(told.body.size, 18);
    assert_memory_equal(told.body.at, "data: 1\n\ndata: 2\n\n", 18);
    assert_null(next_ask());
    close_told(&told);
}

static void who_goes_is_told_of_and_hears_no_more(void **state)
{
    struct told told;
    (void)state;
    open_told(&told, HTTP_GET, "/recipes/v1/stream", SLICE(""));
    recipes_gate_request(gate, &told.exchange, SLICE(""));
    uint64_t id = take_ask(false);
    answer(id, 200, "x", true);
    told.exchange.on_gone(&told.exchange);
    assert_int_equal(take_ask(true), id);
    deliver();
    assert_int_equal(told.status, 0);
    close_told(&told);
}

static void who_reads_too_slowly_is_let_go(void **state)
{
    struct told told;
    (void)state;
    open_told(&told, HTTP_GET, "/recipes/v1/stream", SLICE(""));
    recipes_gate_request(gate, &told.exchange, SLICE(""));
    uint64_t id = take_ask(false);
    answer(id, 200, "x", true);
    deliver();
    told.unsent = RECIPES_UNSENT_BYTES_MAX + 1;
    answer(id, 200, "x", true);
    answer(id, 200, "x", true);
    deliver();
    assert_true(told.is_failed);
    assert_int_equal(told.body.size, 2);
    assert_int_equal(take_ask(true), id);
    assert_null(next_ask());
    close_told(&told);
}

static void check_refused(enum http_method method, const char *path,
                          struct slice body, int status, const char *words)
{
    struct told told;
    open_told(&told, method, path, body);
    recipes_gate_request(gate, &told.exchange, SLICE(""));
    assert_int_equal(told.status, status);
    assert_true(told.is_ended);
    assert_non_null(strstr(told.body.at, words));
    assert_null(told.exchange.on_gone);
    close_told(&told);
}

static void what_cant_be_handed_over_is_refused(void **state)
{
    (void)state;
    char *large = mem_alloc_zero(RECIPES_BODY_BYTES_MAX + 1);
    check_refused(HTTP_POST, "/recipes/v1/defs/x",
                  slice_of(large, RECIPES_BODY_BYTES_MAX + 1), 413,
                  "\"code\":\"too_large\"");
    check_refused(HTTP_OPTIONS, "/recipes/v1/defs", SLICE(""), 200, "");
    assert_null(next_ask());
    /* As much as there may be goes. */
    struct told told;
    open_told(&told, HTTP_POST, "/recipes/v1/x",
              slice_of(large, RECIPES_BODY_BYTES_MAX));
    recipes_gate_request(gate, &told.exchange, SLICE(""));
    assert_int_equal(told.status, 0);
    uint64_t id = take_ask(false);
    answer(id, 200, "{}", false);
    deliver();
    close_told(&told);
    mem_free(large);
}

/* The service doesn't come after: bytes that wait are bounded. */
static void what_waits_is_bounded(void **state)
{
    enum { SIZE = RECIPES_BODY_BYTES_MAX, MANY = 80 };
    static struct told tolds[MANY];
    char *large = mem_alloc_zero(SIZE);
    int refused = 0;
    (void)state;
    for (int i = 0; i < MANY; i++) {
        open_told(&tolds[i], HTTP_POST, "/recipes/v1/x", slice_of(large, SIZE));
        recipes_gate_request(gate, &tolds[i].exchange, SLICE(""));
        refused += tolds[i].status == 503 ? 1 : 0;
    }
    assert_int_equal(refused, MANY - RECIPES_ASK_BYTES_MAX / SIZE + 1);
    assert_non_null(strstr(tolds[MANY - 1].body.at, "too many requests"));
    assert_non_null(strstr(tolds[MANY - 1].head.at, "Retry-After: 1\n"));
    recipes_gate_stop(gate);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(tolds[i].status, 503);
        close_told(&tolds[i]);
    }
    mem_free(large);
}

static void a_stop_ends_all(void **state)
{
    struct told streaming;
    struct told waiting;
    (void)state;
    open_told(&streaming, HTTP_GET, "/recipes/v1/stream", SLICE(""));
    recipes_gate_request(gate, &streaming.exchange, SLICE(""));
    answer(take_ask(false), 200, "x", true);
    deliver();
    open_told(&waiting, HTTP_GET, "/recipes/v1/defs", SLICE(""));
    recipes_gate_request(gate, &waiting.exchange, SLICE(""));
    recipes_gate_stop(gate);
    assert_true(streaming.is_ended && !streaming.is_failed);
    assert_int_equal(waiting.status, 503);
    check_refused(HTTP_GET, "/recipes/v1/defs", SLICE(""), 503, "stopping");
    close_told(&streaming);
    close_told(&waiting);
    (void)take_ask(false);
    (void)take_ask(true);
    (void)take_ask(true);
}

static void without_a_service_it_says_why(void **state)
{
    (void)state;
    struct recipes_gate *kept = gate;
    gate = new_gate(NULL);
    check_refused(HTTP_GET, "/recipes/v1/defs", SLICE(""), 404,
                  "\"message\":\"turned \\\"off\\\" here\"");
    recipes_gate_stop(gate);
    recipes_gate_free(gate);
    gate = kept;
}

/* Answers find the gate that asked. */
static void several_gates(void **state)
{
    struct told one;
    struct told two;
    (void)state;
    struct recipes_gate *second = new_gate(recipes);
    open_told(&one, HTTP_GET, "/recipes/v1/a", SLICE(""));
    open_told(&two, HTTP_GET, "/recipes/v1/b", SLICE(""));
    recipes_gate_request(gate, &one.exchange, SLICE(""));
    recipes_gate_request(second, &two.exchange, SLICE(""));
    uint64_t first_id = take_ask(false);
    uint64_t second_id = take_ask(false);
    assert_int_not_equal(first_id, second_id);
    answer(second_id, 200, "b", false);
    answer(first_id, 200, "a", false);
    recipes_gate_take(gate);
    recipes_gate_take(second);
    assert_string_equal(one.body.at, "a");
    assert_string_equal(two.body.at, "b");
    recipes_gate_stop(second);
    recipes_gate_free(second);
    close_told(&one);
    close_told(&two);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        STORY(paths_of_the_service),
        STORY(a_request_goes_over_whole_and_its_answer_comes_back),
        STORY(a_stream_comes_in_parts),
        STORY(who_goes_is_told_of_and_hears_no_more),
        STORY(who_reads_too_slowly_is_let_go),
        STORY(what_cant_be_handed_over_is_refused),
        STORY(what_waits_is_bounded),
        STORY(a_stop_ends_all),
        STORY(without_a_service_it_says_why),
        STORY(several_gates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
