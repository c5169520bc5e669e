/* Calls that JSON over HTTP brought, as etcd's gateway takes them.
 *
 *   POST /v3/kv/range  {"key":"Zm9v"}  -->  one message  -->  method->begin
 *   POST /v3/watch  {...} {...}        -->  on_message each, on_half_close
 *
 *   unary      one JSON object; or {"error":..., "code":...}, with the HTTP
 *              status that belongs to the code
 *   streams    a line each: {"result":{...}}, at last maybe {"error":{...}}
 *
 * The body of a request is whole when it comes here; a stream goes on after
 * it, if its method has it so (a watch).
 */
#include "base/check.h"
#include "doc/json_write.h"
#include "rpc/count.h"
#include "rpc/rpc_int.h"

enum {
    /* Of one body. A client of a stream over HTTP/1.1 says all at once, so
     * this is what it may have us do at once. */
    GATEWAY_MESSAGES_MAX = 4096,
    HEADERS_MAX = API_CORS_HEADERS_MAX + 3,
    METADATA_NAME_BYTES_MAX = 64,
    /* Of a body, beside what is in base64. */
    NAMES_BYTES_MAX = 64 * 1024,
};

/* In the exchange's arena: call->transport. */
struct gateway {
    struct call *call;
    bool begun;      /* of a stream: its head is out */
    bool untold;     /* unary: its answer can't be told in JSON */
    bool *ended;     /* set when the call ends; NULL: nobody asks */
    struct buf body; /* what is to be sent */
};

static struct gateway *gateway_of(const struct call *call)
{
    return call->transport;
}

static bool is_stream(const struct call *call)
{
    return call->method->server_streams;
}

/* ---- errors ---------------------------------------------------------- */

/* grpc-gateway's table. */
static int http_status(enum grpc_code code)
{
    switch (code) {
    case GRPC_OK:
        return 200;
    case GRPC_CANCELED:
        return 499;
    case GRPC_INVALID_ARGUMENT:
    case GRPC_FAILED_PRECONDITION:
    case GRPC_OUT_OF_RANGE:
        return 400;
    case GRPC_DEADLINE_EXCEEDED:
        return 504;
    case GRPC_NOT_FOUND:
        return 404;
    case GRPC_ALREADY_EXISTS:
    case GRPC_ABORTED:
        return 409;
    case GRPC_PERMISSION_DENIED:
        return 403;
    case GRPC_UNAUTHENTICATED:
        return 401;
    case GRPC_RESOURCE_EXHAUSTED:
        return 429;
    case GRPC_UNIMPLEMENTED:
        return 501;
    case GRPC_UNAVAILABLE:
        return 503;
    default:
        return 500;
    }
}

/* What both generations of etcd's gateway say: the older one has "error", the
 * newer one "details". */
static void write_error(struct buf *out, enum grpc_code code, struct slice text)
{
    buf_append_str(out, "{\"error\":");
    json_write_string(out, text);
    buf_append_str(out, ",\"message\":");
    json_write_string(out, text);
    buf_append_str(out, ",\"code\":");
    buf_append_u64(out, code);
    buf_append_str(out, ",\"details\":[]}");
}

/* The same of a stream, where the older one has other names. */
static void write_stream_error(struct buf *out, enum grpc_code code,
                               struct slice text)
{
    int status = http_status(code);
    buf_printf(out, "{\"error\":{\"grpc_code\":%d,\"http_code\":%d,", (int)code,
               status);
    buf_append_str(out, "\"message\":");
    json_write_string(out, text);
    buf_append_str(out, ",\"http_status\":");
    json_write_string(out, slice_str(http_status_text(status)));
    buf_printf(out, ",\"code\":%d,\"details\":[]}}\n", (int)code);
}

/* ---- heads ----------------------------------------------------------- */

static size_t put_headers(const struct rpc *rpc,
                          const struct http_exchange *exchange,
                          struct http_header out[HEADERS_MAX])
{
    size_t count = api_cors_headers(rpc->shared->api, &exchange->request, out);
    out[count++] =
        (struct http_header){SLICE("Content-Type"), SLICE("application/json")};
    out[count++] =
        (struct http_header){SLICE("X-Content-Type-Options"), SLICE("nosniff")};
    return count;
}

static void respond(const struct rpc *rpc, struct http_exchange *exchange,
                    int status, struct slice body)
{
    struct http_header headers[HEADERS_MAX];
    size_t count = put_headers(rpc, exchange, headers);
    if (status == 405) {
        headers[count++] = (struct http_header){SLICE("Allow"), SLICE("POST")};
    }
    CHECK_LE(count, HEADERS_MAX);
    http_respond(exchange, status, headers, count, body);
}

/* Of a call that isn't a stream. */
static void answer(const struct call *call, int status, struct slice body)
{
    struct http_header headers[HEADERS_MAX];
    size_t count = put_headers(call->rpc, call->exchange, headers);
    if (call->time_ns != 0 && status == 200) {
        const char *text = arena_printf(call->exchange->arena, "%lld",
                                        (long long)call->time_ns);
        headers[count++] =
            (struct http_header){SLICE("Etched-Time"), slice_str(text)};
    }
    CHECK_LE(count, HEADERS_MAX);
    http_respond(call->exchange, status, headers, count, body);
}

/* Where there is no call. */
static void refuse(const struct rpc *rpc, struct http_exchange *exchange,
                   int status, enum grpc_code code, const char *text)
{
    struct buf body = {0};
    write_error(&body, code, slice_str(text));
    respond(rpc, exchange, status, buf_slice(&body));
    buf_deinit(&body);
}

/* ---- answers --------------------------------------------------------- */

/* The answer's bytes, in one piece, as the message that they are. */
static enum err decode(struct call *call, struct slice head, struct slice body,
                       struct arena *arena, ProtobufCMessage **message)
{
    struct buf whole = {0};
    if (head.size > 0) {
        buf_append_slice(&whole, head);
        buf_append_slice(&whole, body);
        body = buf_slice(&whole);
    }
    enum err err = message_decode(call->method->response, body, arena, message);
    buf_deinit(&whole);
    return err;
}

static void begin_stream(struct call *call)
{
    struct http_header headers[HEADERS_MAX];
    if (!gateway_of(call)->begun) {
        gateway_of(call)->begun = true;
        size_t count = put_headers(call->rpc, call->exchange, headers);
        http_begin(call->exchange, 200, headers, count);
    }
}

/* The exchange may be gone when this returns. */
static void send_line(struct call *call)
{
    struct buf *body = &gateway_of(call)->body;
    begin_stream(call);
    http_send(call->exchange, buf_slice(body));
}

static void send(struct call *call, struct slice head, struct slice body,
                 struct refbuf *shared)
{
    struct buf *out = &gateway_of(call)->body;
    struct arena arena;
    ProtobufCMessage *message;
    if (shared != NULL) {
        body = slice_of(shared->bytes, shared->size);
    }
    count__sent(call->method, head.size + body.size);
    arena_init(&arena, 0);
    enum err err = decode(call, head, body, &arena, &message);
    buf_reset(out);
    if (err != ERR_OK) {
        /* A txn's answer may lie one deeper than what was asked, and a
         * member's name may be no UTF-8. */
        CHECK(!is_stream(call));
        gateway_of(call)->untold = true;
        arena_deinit(&arena);
        return;
    }
    if (is_stream(call)) {
        buf_append_str(out, "{\"result\":");
    }
    json__write(out, message);
    arena_deinit(&arena);
    if (is_stream(call)) {
        buf_append_str(out, "}\n");
        send_line(call);
    }
}

/* ---- ends ------------------------------------------------------------ */

/* From now on the exchange doesn't lead to the call; what is to be sent is
 * the caller's to free. */
static struct buf leave(struct gateway *gateway)
{
    struct http_exchange *exchange = gateway->call->exchange;
    exchange->context = NULL;
    exchange->on_gone = NULL;
    exchange->on_drained = NULL;
    if (gateway->ended != NULL) {
        *gateway->ended = true;
    }
    return gateway->body;
}

static void finish_stream(struct call *call, enum grpc_code code,
                          struct slice text)
{
    struct http_exchange *exchange = call->exchange;
    const struct rpc *rpc = call->rpc;
    bool begun = gateway_of(call)->begun;
    struct buf body = leave(gateway_of(call));
    buf_reset(&body);
    if (code != GRPC_OK) {
        write_stream_error(&body, code, text);
    }
    if (!begun) {
        respond(rpc, exchange, http_status(code), buf_slice(&body));
    } else {
        if (body.size > 0) {
            http_send(exchange, buf_slice(&body));
        }
        http_end(exchange);
    }
    buf_deinit(&body);
}

static void finish(struct call *call, enum grpc_code code, struct slice text)
{
    if (is_stream(call)) {
        finish_stream(call, code, text);
        return;
    }
    if (gateway_of(call)->untold) {
        code = GRPC_INTERNAL;
        text = SLICE("the answer can't be told in JSON");
    }
    struct buf body = leave(gateway_of(call));
    if (code != GRPC_OK) {
        buf_reset(&body);
        write_error(&body, code, text);
    }
    answer(call, http_status(code), buf_slice(&body));
    buf_deinit(&body);
}

static void on_gone(struct http_exchange *exchange)
{
    struct gateway *gateway = exchange->context;
    struct call *call = gateway->call;
    struct buf body = leave(gateway);
    buf_deinit(&body);
    call__gone(call);
}

static void on_drained(struct http_exchange *exchange)
{
    struct call *call = ((struct gateway *)exchange->context)->call;
    if (call->on_drained != NULL) {
        call->on_drained(call);
    }
}

/* ---- the rest of what a call asks for -------------------------------- */

/* Said without "Grpc-Metadata-" as well. */
static bool is_plain_name(const char *name)
{
    struct slice said = slice_str(name);
    return slice_eq(said, SLICE("authorization")) ||
           slice_has_prefix(said, SLICE("etched-")) ||
           slice_eq(said, SLICE("grpc-timeout"));
}

static struct slice metadata(const struct call *call, const char *name)
{
    static const struct slice prefix = {"Grpc-Metadata-", 14};
    const struct http_request *request = &call->exchange->request;
    char whole[METADATA_NAME_BYTES_MAX];
    size_t size = strlen(name);
    CHECK_LT(prefix.size + size, sizeof(whole));
    memcpy(whole, prefix.at, prefix.size);
    memcpy(whole + prefix.size, name, size + 1);
    struct slice value = http_header_get(request, whole);
    if (value.at == NULL && is_plain_name(name)) {
        value = http_header_get(request, name);
    }
    return value;
}

/* All of a body is here already: no window is to be opened. */
static void consumed(struct call *call, size_t size)
{
    (void)call;
    (void)size;
}

static size_t unsent(const struct call *call)
{
    return gateway_of(call)->begun ? http_unsent(call->exchange) : 0;
}

static const struct call_via gateway_via = {
    .send = send,
    .produce = NULL,
    .finish = finish,
    .metadata = metadata,
    .consumed = consumed,
    .unsent = unsent,
};

/* ---- requests -------------------------------------------------------- */

/* Where a message can't be read: what the note says. */
static void fail_read(struct call *call, enum err err)
{
    if (err == ERR_NO_MEMORY) {
        call__fail(call, V3_REQUEST_TOO_LARGE);
        return;
    }
    CHECK_EQ(err, ERR_INVALID);
    call__fail_code(call, GRPC_INVALID_ARGUMENT,
                    arena_printf(&call->arena, "%s", err_note()));
}

size_t rpc_body_bytes_max(size_t request_bytes_max)
{
    size_t message_max = request_bytes_max + RPC_REQUEST_OVERHEAD_BYTES;
    return message_max / 3 * 4 + NAMES_BYTES_MAX;
}

/* As gRPC would refuse it, behind etcd's gateway. False: it has failed. */
static bool check_size(struct call *call, const ProtobufCMessage *request)
{
    size_t max =
        call->rpc->shared->request_bytes_max + RPC_REQUEST_OVERHEAD_BYTES;
    if (call->exchange->request.body.size <= max) {
        return true; /* what it stands for is shorter */
    }
    struct buf *message = rpc__body(call->rpc);
    message_encode(request, message);
    if (message->size <= max) {
        return true;
    }
    call__fail_code(
        call, GRPC_RESOURCE_EXHAUSTED,
        arena_printf(&call->arena,
                     "grpc: received message larger than max (%zu vs. %zu)",
                     message->size, max));
    return false;
}

/* What follows the object is passed over; none, or null, is an empty one. */
static void begin_unary(struct call *call)
{
    const struct method *method = call->method;
    struct slice rest = call->exchange->request.body;
    struct slice value = SLICE("{}");
    ProtobufCMessage *request;
    enum err err = json__next(&rest, &value);
    if (err == ERR_OK && slice_eq(value, SLICE("null"))) {
        value = SLICE("{}");
    }
    if (err == ERR_OK || err == ERR_END) {
        err = json__read(value, method->request, &call->arena, &request);
    }
    if (err != ERR_OK) {
        fail_read(call, err);
        return;
    }
    count__received(method, value.size);
    if (check_size(call, request)) {
        method->begin(call, request);
    }
}

/* One JSON value, as the message that gRPC would have brought. */
static enum err take_message(struct call *call, struct slice value,
                             struct buf *message)
{
    struct arena arena;
    ProtobufCMessage *request;
    arena_init(&arena, call->arena.bytes_max);
    enum err err = json__read(value, call->method->request, &arena, &request);
    if (err == ERR_OK) {
        buf_reset(message);
        message_encode(request, message);
    }
    arena_deinit(&arena);
    return err;
}

/* Gives all messages of the body; until the call ends. */
static void give_messages(struct call *call, const bool *ended,
                          struct buf *message)
{
    struct slice rest = call->exchange->request.body;
    struct slice value;
    for (size_t i = 0; !*ended; i++) {
        enum err err = json__next(&rest, &value);
        if (err == ERR_END) {
            return;
        }
        if (err == ERR_OK) {
            err = take_message(call, value, message);
        }
        if (err == ERR_OK && i < GATEWAY_MESSAGES_MAX) {
            count__received(call->method, message->size);
            call->on_message(call, buf_slice(message));
            continue;
        }
        if (call->on_gone != NULL) {
            call->on_gone(call);
            call->on_gone = NULL;
        }
        if (err == ERR_OK) {
            call__fail_code(call, GRPC_RESOURCE_EXHAUSTED,
                            "too many messages in one body");
        } else {
            fail_read(call, err);
        }
        return;
    }
}

static void begin_stream_of_client(struct call *call)
{
    bool ended = false;
    struct gateway *gateway = gateway_of(call);
    struct buf message = {0};
    gateway->ended = &ended;
    call->method->begin(call, NULL);
    if (!ended) {
        CHECK(call->on_message != NULL);
        give_messages(call, &ended, &message);
    }
    if (!ended) {
        call->half_closed = true;
        if (call->on_half_close != NULL) {
            call->on_half_close(call);
        }
    }
    if (!ended) {
        gateway->ended = NULL;
    }
    buf_deinit(&message);
}

/* False: it has failed. */
static bool read_metadata(struct call *call)
{
    int64_t timeout_ms;
    struct slice timeout = call__metadata(call, "grpc-timeout");
    if (timeout.at != NULL) {
        if (!grpc_timeout_parse(timeout, &timeout_ms)) {
            call__fail_code(call, GRPC_INVALID_ARGUMENT,
                            arena_printf(&call->arena,
                                         "invalid grpc-timeout: %.*s",
                                         (int)timeout.size, timeout.at));
            return false;
        }
        call__set_deadline(call, rpc__now_ms(call->rpc) + timeout_ms);
    }
    call->needs_leader =
        slice_eq(call__metadata(call, "hasleader"), SLICE("true"));
    struct call_words words = {
        .cause = call__metadata(call, "etched-cause"),
        .told = call__metadata(call, "etched-told"),
    };
    return call__may_begin(call, &words);
}

static void begin_call(struct rpc *rpc, const struct method *method,
                       struct http_exchange *exchange)
{
    struct call *call = call__new(rpc, method, &gateway_via, exchange);
    struct gateway *gateway = arena_alloc(exchange->arena, sizeof(*gateway));
    *gateway = (struct gateway){.call = call};
    call->transport = gateway;
    exchange->context = gateway;
    exchange->on_gone = on_gone;
    exchange->on_drained = on_drained;
    if (!read_metadata(call)) {
        return;
    }
    if (method->client_streams) {
        begin_stream_of_client(call);
    } else {
        begin_unary(call);
    }
}

/* Leases have had two places each. */
static const struct method *find(struct http_exchange *exchange)
{
    struct slice path = exchange->request.path;
    const struct method *method = method__find_gateway(path);
    const struct slice lease = SLICE("/lease/");
    ptrdiff_t slash =
        path.size > 0 ? slice_find(slice_of(path.at + 1, path.size - 1), '/')
                      : -1;
    if (method != NULL || slash < 0) {
        return method;
    }
    struct slice rest =
        slice_of(path.at + slash + 1, path.size - (size_t)slash - 1);
    if (!slice_has_prefix(rest, lease)) {
        return NULL;
    }
    const char *other =
        arena_printf(exchange->arena, "/v3/kv%.*s", (int)rest.size, rest.at);
    return method__find_gateway(slice_str(other));
}

void rpc_gateway(struct rpc *rpc, struct http_exchange *exchange)
{
    CHECK(!rpc->reading && exchange->on_gone == NULL);
    if (exchange->request.method == HTTP_OPTIONS) {
        respond(rpc, exchange, 200, SLICE(""));
        return;
    }
    const struct method *method = find(exchange);
    if (method == NULL) {
        refuse(rpc, exchange, 404, GRPC_NOT_FOUND, "Not Found");
    } else if (exchange->request.method != HTTP_POST) {
        refuse(rpc, exchange, 405, GRPC_UNIMPLEMENTED, "Method Not Allowed");
    } else if (rpc->stopping) {
        refuse(rpc, exchange, 503, v3_error_code(V3_STOPPED),
               v3_error_text(V3_STOPPED));
    } else {
        begin_call(rpc, method, exchange);
    }
}
