#include "harness.h"

#include <stdio.h>
#include <stdlib.h>

static struct peer *peer_of(struct http_server *server)
{
    return (struct peer *)server;
}

/* ---- the api ------------------------------------------------------------ */

static void write_down(struct peer *peer, const struct http_request *request)
{
    struct buf *seen = &peer->seen;
    buf_append_slice(seen, request->method_text);
    buf_append_char(seen, ' ');
    buf_append_slice(seen, request->path);
    buf_append_str(seen, " ?");
    buf_append_slice(seen, request->query);
    for (size_t i = 0; i < request->header_count; i++) {
        buf_append_str(seen, " [");
        buf_append_slice(seen, request->headers[i].name);
        buf_append_char(seen, '=');
        buf_append_slice(seen, request->headers[i].value);
        buf_append_char(seen, ']');
    }
    buf_append_str(seen, " <");
    buf_append_slice(seen, request->body);
    buf_append_str(seen, ">\n");
}

static void on_gone(struct http_exchange *exchange)
{
    struct peer *peer = exchange->context;
    assert_ptr_equal(peer->held, exchange);
    peer->held = NULL;
    peer->gone++;
}

static void on_drained(struct http_exchange *exchange)
{
    struct peer *peer = exchange->context;
    peer->drained++;
}

static enum http_more produce(struct http_exchange *exchange, void *context,
                              struct buf *out)
{
    struct peer *peer = context;
    assert_ptr_equal(exchange->context, peer);
    peer->produced++;
    assert_true(peer->pieces_left > 0);
    peer->pieces_left--;
    if (peer->piece_bytes)
        memset(buf_extend(out, peer->piece_bytes),
               'a' + (int)(peer->pieces_left % 26), peer->piece_bytes);
    return peer->pieces_left ? HTTP_MORE : HTTP_LAST;
}

static void make(struct peer *peer, struct http_exchange *exchange)
{
    char path[64] = {0};
    struct slice text = exchange->request.path;
    assert_true(text.size < sizeof path);
    memcpy(path, text.at, text.size);
    char *end = NULL;
    peer->pieces_left = strtoul(path + strlen("/make/"), &end, 10);
    peer->piece_bytes = strtoul(end + 1, NULL, 10);
    http_begin(exchange, 200, NULL, 0);
    http_produce_body(exchange, produce, peer);
}

static bool path_is(const struct http_exchange *exchange, const char *prefix)
{
    return slice_has_prefix(exchange->request.path, slice_str(prefix));
}

static void on_request(struct http_server *server,
                       struct http_exchange *exchange)
{
    struct peer *peer = peer_of(server);
    size_t before = peer->seen.size;
    peer->requests++;
    write_down(peer, &exchange->request);
    exchange->context = peer;
    exchange->on_drained = on_drained;
    if (path_is(exchange, "/make/")) {
        make(peer, exchange);
    } else if (path_is(exchange, "/empty")) {
        http_respond(exchange, 204, NULL, 0, SLICE("never seen"));
    } else if (path_is(exchange, "/hold") || path_is(exchange, "/minded") ||
               path_is(exchange, "/watch")) {
        peer->held = exchange;
        if (!path_is(exchange, "/hold"))
            exchange->on_gone = on_gone;
        if (path_is(exchange, "/watch"))
            http_begin(exchange, 200, NULL, 0);
    } else {
        http_respond(
            exchange, 200, NULL, 0,
            slice_of(peer->seen.at + before, peer->seen.size - before));
    }
}

/* ---- the host ----------------------------------------------------------- */

static void on_output(void *context)
{
    struct peer *peer = context;
    peer->outputs++;
}

void peer_init(struct peer *peer)
{
    *peer = (struct peer){.server = {on_request}, .now_ms = 1000};
    peer->config = (struct http1_config){
        .head_bytes_max = 2048,
        .header_count_max = 20,
        .body_bytes_max = 100 * 1000,
        .idle_ms = 60 * 1000,
        .head_ms = 1000,
        .body_ms = 5000,
        .stall_ms = 3000,
        .on_output = on_output,
    };
    peer_connect(peer);
}

void peer_connect(struct peer *peer)
{
    http1_free(peer->http1);
    peer->held = NULL;
    peer->config.server = &peer->server;
    peer->config.date = &peer->date;
    peer->config.context = peer;
    peer->http1 =
        http1_new(&peer->config, SLICE("127.0.0.1:4711"), peer->now_ms);
}

void peer_deinit(struct peer *peer)
{
    http1_free(peer->http1);
    buf_deinit(&peer->sent);
    buf_deinit(&peer->seen);
}

/* From memory of its exact size that is gone afterwards, as a socket's is. */
void peer_input(struct peer *peer, struct slice bytes)
{
    char *copy = mem_dup(bytes.at, bytes.size);
    http1_input(peer->http1, slice_of(copy, bytes.size), peer->now_ms);
    if (bytes.size)
        memset(copy, '#', bytes.size);
    mem_free(copy);
}

void peer_says(struct peer *peer, const char *text)
{
    peer_input(peer, slice_str(text));
}

size_t peer_take(struct peer *peer, size_t max)
{
    size_t taken = 0;
    while (taken < max) {
        struct slice slices[3];
        size_t count = http1_output(peer->http1, slices, 3);
        size_t size = 0;
        for (size_t i = 0; i < count && taken + size < max; i++) {
            assert_true(slices[i].size > 0);
            if (slices[i].size > max - taken - size)
                slices[i].size = max - taken - size;
            buf_append_slice(&peer->sent, slices[i]);
            size += slices[i].size;
        }
        if (size == 0)
            break;
        http1_sent(peer->http1, size, peer->now_ms);
        taken += size;
    }
    return taken;
}

size_t peer_take_all(struct peer *peer)
{
    return peer_take(peer, SIZE_MAX / 2);
}

static void expect(struct buf *buf, const char *text)
{
    buf_append_char(buf, '\0');
    assert_string_equal(buf->at, text);
    buf_reset(buf);
}

void peer_expect(struct peer *peer, const char *text)
{
    peer_take_all(peer);
    expect(&peer->sent, text);
}

void peer_expect_seen(struct peer *peer, const char *text)
{
    expect(&peer->seen, text);
}

void peer_expect_status(struct peer *peer, int status)
{
    char line[32];
    snprintf(line, sizeof line, "HTTP/1.x %d ", status);
    peer_take_all(peer);
    buf_append_char(&peer->sent, '\0');
    if (peer->sent.size > strlen(line))
        line[7] = peer->sent.at[7];
    if (strncmp(peer->sent.at, line, strlen(line)) != 0)
        fail_msg("expected %s, got %s", line, peer->sent.at);
    buf_reset(&peer->sent);
}

bool peer_is_finished(const struct peer *peer)
{
    return http1_is_finished(peer->http1);
}
