/* Calls that gRPC brought: a stream of HTTP/2 is a call.
 *
 *   on_head --> call__new --> method->begin(NULL)     the client streams
 *   on_data --> grpc_read --> call__unary, or call->on_message
 *   on_end  ----------------> call->on_half_close
 *
 *   send    --> head once, prefix, message            finish: trailers; where
 *   produce --> head, prefix, pieces                  nothing was sent: a head
 *                                                     that says all
 *
 * Flow control: a client's window is opened by what it has sent as soon as
 * that is of a message that isn't complete, or of a unary call; what was given
 * to on_message counts until call__consumed. Messages in part are bounded for
 * all streams of a thread together: above that only the oldest one's window is
 * opened.
 */
#include "base/check.h"
#include "rpc/count.h"
#include "rpc/rpc_int.h"

enum { HEADERS_MAX = 4, HTTP2_CANCEL = 8 };

static const struct http_header type_header = {{"content-type", 12},
                                               {"application/grpc", 16}};
static const struct http_header gzip_header = {{"grpc-encoding", 13},
                                               {"gzip", 4}};
static const struct http_header accept_header = {{"grpc-accept-encoding", 20},
                                                 {"gzip", 4}};
static const struct http_header ok_trailer = {{"grpc-status", 11}, {"0", 1}};

/* ---- what has come in part ------------------------------------------- */

/* `size` bytes of a client's have been taken: it may send as many again. With
 * too much gathered the streams stand in a row, and only the first goes on. */
static void open_window(struct call *call, size_t size)
{
    struct rpc *rpc = call->rpc;
    struct call_frames *frames = &call->frames;
    frames->unopened += size;
    if (rpc->gathered_bytes >= RPC_GATHERED_BYTES_MAX) {
        if (list_is_empty(&frames->withheld)) {
            list_push_back(&rpc->withheld, &frames->withheld);
        }
        if (rpc->withheld.next != &frames->withheld) {
            return;
        }
    }
    size = frames->unopened;
    frames->unopened = 0;
    http2_consume(call->exchange, size);
}

/* Some room has come up, or the first of the row has gone. */
static void open_withheld(struct rpc *rpc)
{
    LIST_EACH (node, &rpc->withheld) {
        struct call *call = CONTAINER_OF(node, struct call, frames.withheld);
        if (rpc->gathered_bytes < RPC_GATHERED_BYTES_MAX) {
            list_remove(node);
        } else if (rpc->withheld.next != node) {
            return;
        }
        open_window(call, 0);
    }
}

/* It holds so much of a message now. */
static void count_partial(struct call *call, size_t partial)
{
    struct rpc *rpc = call->rpc;
    struct call_frames *frames = &call->frames;
    CHECK_LE(frames->partial, rpc->gathered_bytes);
    rpc->gathered_bytes += partial - frames->partial;
    frames->partial = partial;
    if (partial == 0 && !list_is_empty(&rpc->withheld)) {
        list_remove(&frames->withheld);
        open_withheld(rpc);
    }
}

static void leave_frames(struct call *call)
{
    list_remove(&call->frames.withheld);
    count_partial(call, 0);
    grpc_reader_deinit(&call->frames.reader);
}

/* ---- answers --------------------------------------------------------- */

/* The commit that a good answer is of: its time, where that was asked for. */
static size_t put_time(const struct call *call, struct http_header *headers)
{
    if (call->time_ns == 0) {
        return 0;
    }
    const char *text =
        arena_printf(call->exchange->arena, "%lld", (long long)call->time_ns);
    *headers = (struct http_header){SLICE("etched-time"), slice_str(text)};
    return 1;
}

static size_t put_head(const struct call *call, struct http_header *headers)
{
    size_t count = 0;
    headers[count++] = type_header;
    if (call->frames.deflates) {
        headers[count++] = gzip_header;
        headers[count++] = accept_header;
    }
    return count;
}

static void begin_answer(struct call *call)
{
    struct http_header headers[HEADERS_MAX];
    if (!call->frames.begun) {
        call->frames.begun = true;
        http_begin(call->exchange, 200, headers, put_head(call, headers));
    }
}

static void send_deflated(struct call *call, struct slice head,
                          struct slice body)
{
    struct rpc *rpc = call->rpc;
    char prefix[GRPC_PREFIX_BYTES];
    struct buf whole = {0};
    buf_append_slice(&whole, head);
    buf_append_slice(&whole, body);
    buf_reset(&rpc->deflated);
    grpc_deflate(&rpc->deflated, buf_slice(&whole));
    buf_deinit(&whole);
    grpc_prefix(prefix, rpc->deflated.size, true);
    http_send(call->exchange, slice_of(prefix, sizeof(prefix)));
    http_send(call->exchange, buf_slice(&rpc->deflated));
    if (rpc->deflated.capacity > RPC_OUT_BYTES_KEPT) {
        buf_deinit(&rpc->deflated);
    }
}

/* The prefix and a short head in one piece. */
static void send_plain(struct call *call, struct slice head, size_t more)
{
    char begin[GRPC_PREFIX_BYTES + 128];
    size_t size = GRPC_PREFIX_BYTES;
    grpc_prefix(begin, head.size + more, false);
    if (head.size > 0 && head.size <= sizeof(begin) - size) {
        memcpy(begin + size, head.at, head.size);
        size += head.size;
        head.size = 0;
    }
    http_send(call->exchange, slice_of(begin, size));
    if (head.size > 0) {
        http_send(call->exchange, head);
    }
}

static void send(struct call *call, struct slice head, struct slice body,
                 struct refbuf *shared)
{
    begin_answer(call);
    if (shared != NULL) {
        body = slice_of(shared->bytes, shared->size);
    }
    count__sent(call->method, head.size + body.size);
    if (call->frames.deflates) {
        send_deflated(call, head, body);
        return;
    }
    send_plain(call, head, body.size);
    if (shared != NULL) {
        http_send_shared(call->exchange, shared);
    } else if (body.size > 0) {
        http_send(call->exchange, body);
    }
}

/* From now on the exchange doesn't lead to the call. */
static void leave_exchange(struct call *call)
{
    call->exchange->context = NULL;
    call->exchange->on_gone = NULL;
    call->exchange->on_drained = NULL;
    leave_frames(call);
}

/* The call is gone when this returns HTTP_LAST. */
static enum http_more on_produce(struct http_exchange *exchange, void *context,
                                 struct buf *out)
{
    struct call *call = context;
    enum http_more more =
        call->frames.produce(exchange, call->frames.produce_context, out);
    if (more == HTTP_LAST) {
        leave_exchange(call);
        call__made(call);
    }
    return more;
}

static void produce(struct call *call, uint64_t size, http_produce next,
                    void *context)
{
    struct http_header trailers[2] = {ok_trailer};
    size_t count = 1 + put_time(call, trailers + 1);
    CHECK(!call->frames.begun);
    begin_answer(call);
    send_plain(call, SLICE(""), size);
    call->frames.produce = next;
    call->frames.produce_context = context;
    count__sent(call->method, size);
    http2_trailers(call->exchange, trailers, count);
    http_produce_body(call->exchange, on_produce, call);
}

/* ---- ends ------------------------------------------------------------ */

/* The status and, where there is one, its text. */
static size_t put_status(struct http_exchange *exchange, enum grpc_code code,
                         struct slice text, struct http_header *headers)
{
    struct buf encoded = {0};
    size_t count = 0;
    headers[count] = ok_trailer;
    if (code != GRPC_OK) {
        char *digits = arena_printf(exchange->arena, "%d", (int)code);
        headers[count].value = slice_str(digits);
    }
    count++;
    if (text.size > 0) {
        grpc_text_encode(&encoded, text);
        headers[count++] = (struct http_header){
            SLICE("grpc-message"),
            slice_of(arena_dup(exchange->arena, encoded.at, encoded.size),
                     encoded.size)};
        buf_deinit(&encoded);
    }
    return count;
}

/* An answer that is a head alone. */
static void refuse(struct http_exchange *exchange, int status,
                   enum grpc_code code, struct slice text)
{
    struct http_header headers[HEADERS_MAX];
    size_t count = 0;
    headers[count++] = type_header;
    count += put_status(exchange, code, text, headers + count);
    if (code == GRPC_UNIMPLEMENTED) {
        headers[count++] = accept_header;
    }
    http2_respond_head(exchange, status, headers, count);
}

static void finish(struct call *call, enum grpc_code code, struct slice text)
{
    struct http_exchange *exchange = call->exchange;
    struct http_header headers[HEADERS_MAX];
    leave_exchange(call);
    if (call->frames.produce != NULL) {
        http2_reset(exchange, HTTP2_CANCEL); /* in the midst of a message */
        return;
    }
    if (!call->frames.begun) {
        refuse(exchange, 200, code, text);
        return;
    }
    size_t count = put_status(exchange, code, text, headers);
    count += code == GRPC_OK ? put_time(call, headers + count) : 0;
    http2_trailers(exchange, headers, count);
    http_end(exchange);
}

static void on_gone(struct http_exchange *exchange)
{
    struct call *call = exchange->context;
    if (call->rpc->stopping && call->frames.produce == NULL) {
        call__end(call, V3_STOPPED);
        return;
    }
    leave_exchange(call);
    call__gone(call);
}

static void on_drained(struct http_exchange *exchange)
{
    struct call *call = exchange->context;
    if (call->on_drained != NULL) {
        call->on_drained(call);
    }
}

/* ---- the rest of what a call asks for -------------------------------- */

static struct slice metadata(const struct call *call, const char *name)
{
    return http_header_get(&call->exchange->request, name);
}

static void consumed(struct call *call, size_t size)
{
    struct call_frames *frames = &call->frames;
    size = size < frames->owed ? size : frames->owed;
    frames->owed -= size;
    if (size > 0) {
        http2_consume(call->exchange, size);
    }
}

static size_t unsent(const struct call *call)
{
    return http_unsent(call->exchange);
}

static const struct call_via grpc_via = {
    .send = send,
    .produce = produce,
    .finish = finish,
    .metadata = metadata,
    .consumed = consumed,
    .unsent = unsent,
};

/* ---- requests: the head ---------------------------------------------- */

/* What of a head is looked at; at == NULL: it isn't there. */
struct head {
    struct slice type;
    struct slice timeout;
    struct slice encoding;
    struct slice has_leader;
    struct call_words words;
};

/* The names of HTTP/2 are in small letters. */
static void look(const struct http_request *request, struct head *head)
{
    *head = (struct head){0};
    for (size_t i = 0; i < request->header_count; i++) {
        const struct http_header *header = &request->headers[i];
        switch (header->name.size) {
        case sizeof("hasleader") - 1:
            if (slice_eq(header->name, SLICE("hasleader"))) {
                head->has_leader = header->value;
            }
            break;
        case sizeof("content-type") - 1:
            if (slice_eq(header->name, SLICE("content-type"))) {
                head->type = header->value;
            } else if (slice_eq(header->name, SLICE("grpc-timeout"))) {
                head->timeout = header->value;
            } else if (slice_eq(header->name, SLICE("etched-cause"))) {
                head->words.cause = header->value;
            }
            break;
        case sizeof("etched-told") - 1:
            if (slice_eq(header->name, SLICE("etched-told"))) {
                head->words.told = header->value;
            }
            break;
        case sizeof("grpc-encoding") - 1:
            if (slice_eq(header->name, SLICE("grpc-encoding"))) {
                head->encoding = header->value;
            }
            break;
        default:
            break;
        }
    }
}

static_assert(sizeof("content-type") == sizeof("grpc-timeout") &&
                  sizeof("content-type") == sizeof("etched-cause"),
              "they are looked for in one place");

/* application/grpc, application/grpc+proto, application/grpc;... */
static bool is_grpc(struct slice type)
{
    const struct slice base = SLICE("application/grpc");
    if (type.size < base.size ||
        !slice_eq_nocase(slice_of(type.at, base.size), base)) {
        return false;
    }
    return type.size == base.size || type.at[base.size] == '+' ||
           type.at[base.size] == ';';
}

static void refuse_text(struct http_exchange *exchange, int status,
                        enum grpc_code code, const char *text)
{
    refuse(exchange, status, code, slice_str(text));
}

/* Nobody has this method: says which part of it is unknown. */
static void refuse_unknown(struct http_exchange *exchange, struct slice path)
{
    struct arena *arena = exchange->arena;
    size_t at = path.size;
    while (at > 0 && path.at[at - 1] != '/') {
        at--;
    }
    if (path.size == 0 || path.at[0] != '/' || at < 2) {
        refuse_text(exchange, 200, GRPC_UNIMPLEMENTED,
                    arena_printf(arena, "malformed method name: \"%.*s\"",
                                 (int)path.size, path.at));
        return;
    }
    struct slice service = slice_of(path.at + 1, at - 2);
    struct slice name = slice_of(path.at + at, path.size - at);
    const char *text =
        method__has_service(service)
            ? arena_printf(arena, "unknown method %.*s for service %.*s",
                           (int)name.size, name.at, (int)service.size,
                           service.at)
            : arena_printf(arena, "unknown service %.*s", (int)service.size,
                           service.at);
    refuse_text(exchange, 200, GRPC_UNIMPLEMENTED, text);
}

/* False: it was refused. */
static bool check_head(struct rpc *rpc, struct http_exchange *exchange,
                       const struct head *head, int64_t *timeout_ms, bool *gzip)
{
    struct arena *arena = exchange->arena;
    *timeout_ms = INT64_MAX;
    *gzip = false;
    if (exchange->request.method != HTTP_POST) {
        refuse_text(exchange, 405, GRPC_INTERNAL,
                    "the method of a call is POST");
        return false;
    }
    if (rpc->stopping) {
        refuse_text(exchange, 200, v3_error_code(V3_STOPPED),
                    v3_error_text(V3_STOPPED));
        return false;
    }
    if (head->timeout.at != NULL &&
        !grpc_timeout_parse(head->timeout, timeout_ms)) {
        refuse_text(exchange, 400, GRPC_INTERNAL,
                    arena_printf(arena, "malformed grpc-timeout: \"%.*s\"",
                                 (int)head->timeout.size, head->timeout.at));
        return false;
    }
    if (head->encoding.size > 0 &&
        !slice_eq(head->encoding, SLICE("identity"))) {
        *gzip = slice_eq(head->encoding, SLICE("gzip"));
        if (!*gzip) {
            refuse_text(exchange, 200, GRPC_UNIMPLEMENTED,
                        arena_printf(arena,
                                     "grpc: Decompressor is not installed for "
                                     "grpc-encoding \"%.*s\"",
                                     (int)head->encoding.size,
                                     head->encoding.at));
            return false;
        }
    }
    return true;
}

static void begin_call(struct call *call, const struct head *head,
                       int64_t timeout_ms, bool gzip)
{
    struct rpc *rpc = call->rpc;
    call->frames.reader.message_bytes_max =
        rpc->shared->request_bytes_max + RPC_REQUEST_OVERHEAD_BYTES;
    call->frames.reader.may_inflate = gzip;
    call->frames.deflates = gzip;
    call->needs_leader = head->has_leader.at != NULL &&
                         slice_eq(head->has_leader, SLICE("true"));
    if (timeout_ms != INT64_MAX) {
        call__set_deadline(call, rpc__now_ms(rpc) + timeout_ms);
    }
    if (call__may_begin(call, &head->words) && call->method->client_streams) {
        call->method->begin(call, NULL);
    }
}

static bool on_head(struct http2_streaming *streaming,
                    struct http_exchange *exchange)
{
    struct rpc *rpc = CONTAINER_OF(streaming, struct rpc, streaming);
    struct http_request *request = &exchange->request;
    struct head head;
    int64_t timeout_ms;
    bool gzip;
    look(request, &head);
    if (!is_grpc(head.type)) {
        return false;
    }
    if (!check_head(rpc, exchange, &head, &timeout_ms, &gzip)) {
        return true;
    }
    const struct method *method = method__find(request->path);
    if (method == NULL) {
        refuse_unknown(exchange, request->path);
        return true;
    }
    struct call *call = call__new(rpc, method, &grpc_via, exchange);
    exchange->context = call;
    exchange->on_gone = on_gone;
    exchange->on_drained = on_drained;
    begin_call(call, &head, timeout_ms, gzip);
    return true;
}

/* ---- requests: messages ---------------------------------------------- */

/* In the words of grpc-go, which etcd's clients know. */
static void fail_frame(struct call *call, enum err err)
{
    struct arena *arena = &call->arena;
    switch (err) {
    case ERR_TOO_LARGE:
        call__end_code(
            call, GRPC_RESOURCE_EXHAUSTED,
            arena_printf(arena, "grpc: received message larger than max (%s)",
                         err_note()));
        break;
    case ERR_UNSUPPORTED:
        call__end_code(call, GRPC_INTERNAL,
                       "grpc: compressed flag set with identity or empty "
                       "encoding");
        break;
    default:
        call__end_code(call, GRPC_INTERNAL,
                       arena_printf(arena,
                                    "grpc: failed to read the message: %s",
                                    err_note()));
    }
}

/* `here` of it came in this piece. Returns how much of that the client may
 * send again only when the handler says so. */
static size_t take_message(struct call *call, struct slice message, size_t here)
{
    size_t owed = message.size < here ? message.size : here;
    count__received(call->method, message.size);
    if (call->method->client_streams) {
        CHECK(call->on_message != NULL);
        call->frames.owed += owed;
        call->on_message(call, message);
        return owed;
    }
    if (!call->frames.has_message) {
        call->frames.has_message = true;
        call__unary(call, message);
    }
    return 0;
}

/* False: the call has ended. */
static bool read_messages(struct call *call, struct slice piece, size_t *owed)
{
    bool ended = false;
    call->frames.ended = &ended;
    while (piece.size > 0 && !ended) {
        struct slice message;
        size_t before = piece.size;
        enum err err = grpc_read(&call->frames.reader, &piece, &message);
        if (err == ERR_END) {
            break;
        }
        if (err != ERR_OK) {
            fail_frame(call, err);
            return false;
        }
        *owed += take_message(call, message, before - piece.size);
    }
    if (!ended) {
        call->frames.ended = NULL;
    }
    return !ended;
}

static void on_data(struct http2_streaming *streaming,
                    struct http_exchange *exchange, struct slice piece)
{
    struct call *call = exchange->context;
    size_t owed = 0;
    (void)streaming;
    /* What follows a unary call's message is nobody's. */
    if (call->frames.has_message || !read_messages(call, piece, &owed)) {
        return;
    }
    count_partial(call, call->frames.reader.partial.size);
    if (!call->frames.has_message && piece.size > owed) {
        open_window(call, piece.size - owed);
    }
}

static void on_end(struct http2_streaming *streaming,
                   struct http_exchange *exchange)
{
    struct call *call = exchange->context;
    (void)streaming;
    call->half_closed = true;
    if (!grpc_reader_is_idle(&call->frames.reader)) {
        call__end_code(call, GRPC_INTERNAL, "unexpected EOF");
    } else if (call->method->client_streams) {
        if (call->on_half_close != NULL) {
            call->on_half_close(call);
        }
    } else if (!call->frames.has_message) {
        call__fail_code(call, GRPC_INTERNAL,
                        "grpc: the call has no request message");
    }
}

void grpc__init(struct rpc *rpc)
{
    rpc->streaming = (struct http2_streaming){
        .on_head = on_head,
        .on_data = on_data,
        .on_end = on_end,
    };
}
