#include "tests/support/grpc_stub.h"

#include "base/check.h"
#include "base/limits.h"
#include "wire/grpc.h"

static struct grpc_stub *stub_of(struct http2_streaming *streaming)
{
    return (struct grpc_stub *)(void *)((char *)streaming -
                                        offsetof(struct grpc_stub, streaming));
}

/* ---- what comes --------------------------------------------------------- */

static void on_gone(struct http_exchange *exchange)
{
    struct grpc_stub_call *call = exchange->context;
    call->exchange = NULL;
    call->gone = true;
}

static bool on_head(struct http2_streaming *streaming,
                    struct http_exchange *exchange)
{
    struct grpc_stub *stub = stub_of(streaming);
    CHECK_LT(stub->count, GRPC_STUB_CALLS_MAX);
    struct grpc_stub_call *call = &stub->calls[stub->count++];
    call->stub = stub;
    call->exchange = exchange;
    exchange->context = call;
    exchange->on_gone = on_gone;
    buf_append_slice(&call->head, exchange->request.path);
    buf_append_char(&call->head, '\n');
    for (size_t i = 0; i < exchange->request.header_count; i++) {
        buf_append_slice(&call->head, exchange->request.headers[i].name);
        buf_append_str(&call->head, ": ");
        buf_append_slice(&call->head, exchange->request.headers[i].value);
        buf_append_char(&call->head, '\n');
    }
    return true;
}

static void tell(struct grpc_stub_call *call)
{
    if (call->stub->on_data != NULL)
        call->stub->on_data(call);
}

static void on_data(struct http2_streaming *streaming,
                    struct http_exchange *exchange, struct slice piece)
{
    struct grpc_stub_call *call = exchange->context;
    (void)streaming;
    buf_append_slice(&call->body, piece);
    call->unconsumed += piece.size;
    if (!call->stub->holds)
        grpc_stub_consume(call);
    tell(call);
}

static void on_end(struct http2_streaming *streaming,
                   struct http_exchange *exchange)
{
    struct grpc_stub_call *call = exchange->context;
    (void)streaming;
    call->ended = true;
    tell(call);
}

static void on_request(struct http_server *server,
                       struct http_exchange *exchange)
{
    (void)server;
    (void)exchange;
    UNREACHABLE(); /* every stream is taken */
}

/* ---- a connection ------------------------------------------------------- */

void grpc_stub_init(struct grpc_stub *stub)
{
    *stub = (struct grpc_stub){
        .server.on_request = on_request,
        .streaming = {.on_head = on_head, .on_data = on_data, .on_end = on_end},
    };
    stub->config = (struct http2_config){
        .server = &stub->server,
        .streaming = &stub->streaming,
        .streams_max = 100,
        .head_bytes_max = 16 * 1024,
        .header_count_max = 50,
        .body_bytes_max = 64 * 1024 * 1024,
        .date = &stub->date,
    };
}

void grpc_stub_open(struct grpc_stub *stub)
{
    stub->http2 = http2_new(&stub->config, SLICE("client"), 1);
}

void grpc_stub_deinit(struct grpc_stub *stub)
{
    if (stub->http2 != NULL)
        http2_free(stub->http2);
    for (size_t i = 0; i < stub->count; i++) {
        buf_deinit(&stub->calls[i].head);
        buf_deinit(&stub->calls[i].body);
    }
    stub->http2 = NULL;
    stub->count = 0;
}

void grpc_stub_consume(struct grpc_stub_call *call)
{
    size_t size = call->unconsumed;
    call->unconsumed = 0;
    if (call->exchange != NULL && size > 0)
        http2_consume(call->exchange, size);
}

bool grpc_stub_next(struct grpc_stub_call *call, struct slice *message)
{
    size_t here = call->body.size - call->taken;
    if (here < GRPC_PREFIX_BYTES)
        return false;
    const char *at = call->body.at + call->taken;
    size_t size = get_be32(at + 1);
    if (here - GRPC_PREFIX_BYTES < size)
        return false;
    *message = slice_of(at + GRPC_PREFIX_BYTES, size);
    call->taken += GRPC_PREFIX_BYTES + size;
    return true;
}

/* ---- what goes ---------------------------------------------------------- */

void grpc_stub_frame(struct buf *out, struct slice message)
{
    char prefix[GRPC_PREFIX_BYTES];
    grpc_prefix(prefix, message.size, false);
    buf_append(out, prefix, sizeof prefix);
    buf_append_slice(out, message);
}

void grpc_stub_begin(struct grpc_stub_call *call, const char *encoding)
{
    struct http_header headers[] = {
        {SLICE("content-type"), SLICE("application/grpc")},
        {SLICE("grpc-encoding"), slice_str(encoding)},
    };
    call->begun = true;
    http_begin(call->exchange, 200, headers, encoding != NULL ? 2 : 1);
}

void grpc_stub_send_raw(struct grpc_stub_call *call, struct slice bytes)
{
    if (!call->begun)
        grpc_stub_begin(call, NULL);
    http_send(call->exchange, bytes);
}

void grpc_stub_send(struct grpc_stub_call *call, struct slice message)
{
    struct buf frame = {0};
    grpc_stub_frame(&frame, message);
    grpc_stub_send_raw(call, buf_slice(&frame));
    buf_deinit(&frame);
}

/* Without messages it is a head alone. */
void grpc_stub_end(struct grpc_stub_call *call, const char *code,
                   const char *text)
{
    struct http_header trailers[] = {
        {SLICE("content-type"), SLICE("application/grpc")},
        {SLICE("grpc-status"), slice_str(code)},
        {SLICE("grpc-message"), slice_str(text)},
    };
    size_t count = text != NULL ? 3 : 2;
    struct http_exchange *exchange = call->exchange;
    call->exchange = NULL;
    if (!call->begun) {
        http2_respond_head(exchange, 200, trailers, count);
        return;
    }
    http2_trailers(exchange, trailers + 1, count - 1);
    http_end(exchange);
}

void grpc_stub_refuse(struct grpc_stub_call *call, int status, const char *type)
{
    struct http_header headers[] = {{SLICE("content-type"), slice_str(type)}};
    struct http_exchange *exchange = call->exchange;
    call->exchange = NULL;
    http_respond(exchange, status, headers, 1, SLICE("words"));
}

void grpc_stub_reset(struct grpc_stub_call *call, uint32_t code)
{
    struct http_exchange *exchange = call->exchange;
    call->exchange = NULL;
    http2_reset(exchange, code);
}
