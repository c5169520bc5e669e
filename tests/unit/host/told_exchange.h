/* For tests of who answers an exchange: one without a wire, which keeps what it
 * is answered. */
#ifndef ETCHED_TESTS_TOLD_EXCHANGE_H
#define ETCHED_TESTS_TOLD_EXCHANGE_H

#include "wire/http.h"

struct told {
    struct http_exchange exchange;
    struct arena arena;
    int status;
    struct buf head;
    struct buf body;
    bool is_begun, is_ended, is_failed;
    size_t unsent;
};

static struct told *told_of(const struct http_exchange *exchange)
{
    return (struct told *)(uintptr_t)exchange;
}

static void put_head(struct told *told, int status,
                     const struct http_header *headers, size_t count)
{
    assert_int_equal(told->status, 0);
    told->status = status;
    for (size_t i = 0; i < count; i++) {
        buf_append_slice(&told->head, headers[i].name);
        buf_append_str(&told->head, ": ");
        buf_append_slice(&told->head, headers[i].value);
        buf_append_str(&told->head, "\n");
    }
    buf_append_char(&told->head, '\0');
}

static void on_respond(struct http_exchange *exchange, int status,
                       const struct http_header *headers, size_t count,
                       struct slice body)
{
    put_head(told_of(exchange), status, headers, count);
    buf_append_slice(&told_of(exchange)->body, body);
    buf_append_char(&told_of(exchange)->body, '\0');
    told_of(exchange)->is_ended = true;
}

static void on_begin(struct http_exchange *exchange, int status,
                     const struct http_header *headers, size_t count)
{
    put_head(told_of(exchange), status, headers, count);
    told_of(exchange)->is_begun = true;
}

static void on_send(struct http_exchange *exchange, struct slice piece)
{
    assert_true(told_of(exchange)->is_begun);
    assert_false(told_of(exchange)->is_ended);
    buf_append_slice(&told_of(exchange)->body, piece);
}

static void on_end(struct http_exchange *exchange)
{
    assert_true(told_of(exchange)->is_begun);
    assert_false(told_of(exchange)->is_ended);
    told_of(exchange)->is_ended = true;
}

static void on_fail(struct http_exchange *exchange)
{
    told_of(exchange)->is_failed = told_of(exchange)->is_ended = true;
}

static size_t on_unsent(const struct http_exchange *exchange)
{
    return told_of(exchange)->unsent;
}

static const struct http_exchange_ops ops = {
    .respond = on_respond,
    .begin = on_begin,
    .send = on_send,
    .end = on_end,
    .fail = on_fail,
    .unsent = on_unsent,
};

static struct http_header told_headers[] = {
    {{"X-Hub-Signature", 15}, {"sha256=Ab", 9}},
    {{"Origin", 6}, {"http://page", 11}},
};

static void open_told(struct told *told, enum http_method method,
                      const char *path, struct slice body)
{
    *told = (struct told){0};
    arena_init(&told->arena, 0);
    told->exchange.ops = &ops;
    told->exchange.arena = &told->arena;
    told->exchange.request = (struct http_request){
        .method = method,
        .method_text = method == HTTP_POST ? SLICE("POST") : SLICE("GET"),
        .path = slice_str(path),
        .query = SLICE("a=%41"),
        .headers = told_headers,
        .header_count = 2,
        .body = body,
        .peer = SLICE("10.0.0.1:5"),
    };
}

static void close_told(struct told *told)
{
    arena_deinit(&told->arena);
    buf_deinit(&told->head);
    buf_deinit(&told->body);
}

#endif
