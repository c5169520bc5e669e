/* A request's way to a member, and its answer's way back.
 *
 *   on_request -> start -> (curl) on_header, on_body -> on_done
 *                   ^                                     |  next endpoint
 *                   +-------------------------------------+
 *
 * An answer of known, small size is gathered and given with its length; any
 * other passes in pieces. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "doc/json_write.h"
#include "host/proxy_int.h"

enum {
    GATHER_BYTES_MAX = 256 * 1024,
    HEADERS_MAX = 128,
    LOOP_STATUS = 508, /* RFC 5842, section 7.2 */
};

struct forward {
    struct transfer transfer;
    struct proxy *proxy;
    struct http_exchange *exchange;
    struct list link;
    struct curl_slist *headers;
    const char **endpoints; /* in the exchange's arena */
    size_t endpoint_count;
    size_t at;       /* which one */
    struct buf head; /* header lines of the answer, each with "\r\n" */
    struct buf body; /* gathered */
    int status;      /* 0: no answer yet */
    int64_t length;  /* of the answer's body; -1: not known */
    bool begun;      /* the client has its head */
    bool paused;
    size_t given;     /* bytes of the request's body, to curl */
    int64_t moved_ms; /* when a byte went either way */
    curl_off_t uploaded;
    char error[CURL_ERROR_SIZE];
};

static void start(struct forward *forward);

/* ---- answers of our own -------------------------------------------------- */

static void respond_json(struct http_exchange *exchange, int status,
                         struct slice body)
{
    const struct http_header headers[] = {
        {SLICE("Content-Type"), SLICE("application/json")},
        {SLICE("Allow"), SLICE("GET")}};
    http_respond(exchange, status, headers, status == 405 ? 2 : 1, body);
}

static void respond_message(struct http_exchange *exchange, int status,
                            const char *message)
{
    struct buf body = {0};
    buf_append_str(&body, "{\"message\":");
    json_write_string(&body, slice_str(message));
    buf_append_char(&body, '}');
    respond_json(exchange, status, buf_slice(&body));
    buf_deinit(&body);
}

static void show_endpoints(struct proxy *proxy, struct http_exchange *exchange)
{
    struct buf body = {0};
    const char **urls;
    if (exchange->request.method != HTTP_GET) {
        respond_message(exchange, 405, "Method Not Allowed");
        return;
    }
    size_t count = proxy__pick(proxy, exchange->arena, &urls);
    buf_append_str(&body, "{\"endpoints\":[");
    for (size_t i = 0; i < count; i++) {
        buf_append_str(&body, i ? "," : "");
        json_write_string(&body, slice_str(urls[i]));
    }
    buf_append_str(&body, "]}\n");
    respond_json(exchange, 200, buf_slice(&body));
    buf_deinit(&body);
}

/* ---- headers ------------------------------------------------------------- */

/* They belong to one connection (RFC 9110, 7.6.1), or are written anew. */
static bool is_ours(struct slice name)
{
    static const char *const names[] = {"Connection",
                                        "Keep-Alive",
                                        "Proxy-Authenticate",
                                        "Proxy-Connection",
                                        "TE",
                                        "Trailer",
                                        "Transfer-Encoding",
                                        "Upgrade",
                                        "Content-Length",
                                        "Expect",
                                        "Host",
                                        "X-Forwarded-For",
                                        PROXY_PASSED,
                                        "Proxy-Authorization"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (slice_eq_nocase(name, slice_str(names[i]))) {
            return true;
        }
    }
    return false;
}

/* This proxy has handed it on already: an endpoint leads back here. */
static bool is_loop(const struct proxy *proxy,
                    const struct http_request *request)
{
    struct slice passed = http_header_get(request, PROXY_PASSED);
    return passed.size > 0 &&
           memmem(passed.at, passed.size, proxy->id, strlen(proxy->id)) != NULL;
}

/* What it says of that names whom it means: others pass it on. */
static void refuse_loop(struct proxy *proxy, struct http_exchange *exchange)
{
    const struct http_header headers[] = {
        {SLICE("Content-Type"), SLICE("application/json")},
        {SLICE(PROXY_PASSED), slice_str(proxy->id)}};
    http_respond(exchange, LOOP_STATUS, headers, 2,
                 SLICE("{\"message\":\"proxy: this endpoint is the proxy "
                       "itself, or leads back to it\"}"));
}

static void add_header(struct forward *forward, const char *line)
{
    struct curl_slist *more = curl_slist_append(forward->headers, line);
    CHECK(more);
    forward->headers = more;
}

/* The client's address without its port, behind those that it came by. */
static void add_forwarded_for(struct forward *forward)
{
    const struct http_request *request = &forward->exchange->request;
    struct slice before = http_header_get(request, "X-Forwarded-For");
    size_t size = request->peer.size;
    while (size > 0 && request->peer.at[size - 1] != ':') {
        size--;
    }
    if (size > 1) {
        add_header(forward,
                   arena_printf(forward->exchange->arena,
                                "X-Forwarded-For: %.*s%s%.*s", (int)before.size,
                                before.at ? before.at : "",
                                before.size ? ", " : "", (int)size - 1,
                                request->peer.at));
    }
}

static void add_passed(struct forward *forward)
{
    const struct http_request *request = &forward->exchange->request;
    struct slice before = http_header_get(request, PROXY_PASSED);
    add_header(forward,
               arena_printf(forward->exchange->arena, PROXY_PASSED ": %.*s%s%s",
                            (int)before.size, before.at ? before.at : "",
                            before.size ? ", " : "", forward->proxy->id));
}

static void set_headers(struct forward *forward)
{
    const struct http_request *request = &forward->exchange->request;
    struct arena *arena = forward->exchange->arena;
    for (size_t i = 0; i < request->header_count; i++) {
        const struct http_header *header = &request->headers[i];
        if (!is_ours(header->name)) {
            /* An empty one is written with ';', else curl takes it for the
             * wish to leave it out. */
            add_header(forward,
                       arena_printf(arena, "%.*s%s%.*s", (int)header->name.size,
                                    header->name.at,
                                    header->value.size ? ": " : ";",
                                    (int)header->value.size, header->value.at));
        }
    }
    add_forwarded_for(forward);
    add_passed(forward);
    /* What curl would add by itself. */
    add_header(forward, "Expect:");
    if (!http_header_get(request, "Accept").at) {
        add_header(forward, "Accept:");
    }
    if (!http_header_get(request, "Content-Type").at) {
        add_header(forward, "Content-Type:");
    }
    curl_easy_setopt(forward->transfer.easy, CURLOPT_HTTPHEADER,
                     forward->headers);
}

/* The answer's, for the client; slices of `head`. */
static size_t read_headers(const struct forward *forward,
                           struct http_header *out)
{
    struct slice rest = buf_slice(&forward->head);
    size_t count = 0;
    while (rest.size > 0 && count < HEADERS_MAX) {
        ptrdiff_t end = slice_find(rest, '\n');
        size_t size = end < 0 ? rest.size : (size_t)end + 1;
        struct slice line = slice_of(rest.at, size);
        rest = slice_of(rest.at + size, rest.size - size);
        while (line.size && strchr(" \t\r\n", line.at[line.size - 1])) {
            line.size--;
        }
        ptrdiff_t colon = slice_find(line, ':');
        struct slice name = slice_of(line.at, colon <= 0 ? 0 : (size_t)colon);
        /* Another proxy's word that it has met its own request is for it. */
        if (colon <= 0 ||
            (is_ours(name) && !slice_eq_nocase(name, SLICE(PROXY_PASSED)))) {
            continue;
        }
        size_t value = (size_t)colon + 1;
        while (value < line.size && strchr(" \t", line.at[value])) {
            value++;
        }
        out[count++] =
            (struct http_header){slice_of(line.at, (size_t)colon),
                                 slice_of(line.at + value, line.size - value)};
    }
    return count;
}

/* ---- the answer ---------------------------------------------------------- */

static void begin_answer(struct forward *forward)
{
    struct http_header headers[HEADERS_MAX];
    size_t count = read_headers(forward, headers);
    CHECK(!forward->begun);
    forward->begun = true;
    http_begin(forward->exchange, forward->status, headers, count);
}

static bool is_gathered(const struct forward *forward)
{
    return forward->length >= 0 && forward->length <= GATHER_BYTES_MAX &&
           forward->exchange->request.method != HTTP_HEAD;
}

static void end_of_head(struct forward *forward)
{
    long status = 0;
    curl_off_t length = -1;
    CURL *easy = forward->transfer.easy;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200) {
        return; /* an interim one */
    }
    curl_easy_getinfo(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    forward->status = (int)status;
    forward->length = length;
    if (!is_gathered(forward)) {
        begin_answer(forward);
    }
}

static size_t on_header(char *at, size_t size, size_t count, void *context)
{
    struct forward *forward = context;
    struct slice line = slice_of(at, size * count);
    forward->moved_ms = proxy__now_ms(forward->proxy);
    if (slice_has_prefix(line, SLICE("HTTP/"))) {
        buf_reset(&forward->head);
        return line.size;
    }
    if (forward->head.size + line.size > LIMIT_HTTP_HEAD_BYTES_MAX) {
        return 0;
    }
    if (line.size <= 2) {
        end_of_head(forward);
    } else if (forward->status == 0) { /* else a trailer */
        buf_append_slice(&forward->head, line);
    }
    return line.size;
}

static size_t on_body(char *at, size_t size, size_t count, void *context)
{
    struct forward *forward = context;
    struct slice piece = slice_of(at, size * count);
    forward->moved_ms = proxy__now_ms(forward->proxy);
    if (!forward->begun) {
        buf_append_slice(&forward->body, piece);
        return piece.size;
    }
    if (http_unsent(forward->exchange) > LIMIT_HTTP_OUT_HIGH_BYTES) {
        forward->paused = true;
        return CURL_WRITEFUNC_PAUSE; /* given again later */
    }
    http_send(forward->exchange, piece);
    return piece.size;
}

static void on_drained(struct http_exchange *exchange)
{
    struct forward *forward = exchange->context;
    if (forward->paused) {
        forward->paused = false;
        proxy__resume_transfer(forward->proxy, &forward->transfer);
    }
}

/* ---- the end ------------------------------------------------------------- */

static void free_forward(struct forward *forward)
{
    list_remove(&forward->link);
    curl_easy_cleanup(forward->transfer.easy);
    curl_slist_free_all(forward->headers);
    buf_deinit(&forward->head);
    buf_deinit(&forward->body);
    mem_free(forward);
}

/* The client went away. */
static void on_gone(struct http_exchange *exchange)
{
    struct forward *forward = exchange->context;
    proxy__end_transfer(forward->proxy, &forward->transfer);
    free_forward(forward);
}

/* The exchange ends with what `forward` has; it is free for the next one. */
static void answer_gathered(struct forward *forward)
{
    struct http_header headers[HEADERS_MAX];
    size_t count = read_headers(forward, headers);
    http_respond(forward->exchange, forward->status, headers, count,
                 buf_slice(&forward->body));
}

/* Nothing can have been done, or doing it twice is no harm. */
static bool may_try_again(const struct forward *forward)
{
    enum http_method method = forward->exchange->request.method;
    bool is_read = method == HTTP_GET || method == HTTP_HEAD;
    long sent_bytes = 0;
    curl_easy_getinfo(forward->transfer.easy, CURLINFO_REQUEST_SIZE,
                      &sent_bytes);
    return !forward->begun && (is_read || sent_bytes == 0);
}

/* Needs: the transfer has ended. */
static void fail_forward(struct forward *forward)
{
    struct http_exchange *exchange = forward->exchange;
    char message[96];
    if (forward->begun) {
        http_fail(exchange);
        return;
    }
    (void)snprintf(message, sizeof(message),
                   "proxy: unable to get response from %zu endpoint(s)",
                   forward->endpoint_count);
    respond_message(exchange, 502, message);
}

static void finish_failed(struct forward *forward, const char *why)
{
    bool again = may_try_again(forward);
    proxy__put_aside(forward->proxy, forward->endpoints[forward->at], why);
    forward->at++;
    if (again && forward->at < forward->endpoint_count) {
        start(forward);
        return;
    }
    fail_forward(forward);
    free_forward(forward);
}

/* Its own refusal: nothing was done with the request. */
static bool came_back(const struct forward *forward)
{
    struct slice head = buf_slice(&forward->head);
    return forward->status == LOOP_STATUS && !forward->begun && head.size > 0 &&
           memmem(head.at, head.size, forward->proxy->id,
                  strlen(forward->proxy->id)) != NULL;
}

/* An endpoint that is this proxy, or leads back to it, would have each request
 * go round until there is nothing left to open a connection with. */
static void take_out(struct forward *forward)
{
    log_error("proxy",
              "an endpoint is this proxy itself, or leads back to it; it is "
              "left out: what do the members tell clients "
              "(--advertise-client-urls)?",
              LOG_STR("endpoint", forward->endpoints[forward->at]));
    proxy__put_aside(forward->proxy, forward->endpoints[forward->at],
                     "it leads back here");
    forward->at++;
    if (forward->at < forward->endpoint_count) {
        start(forward);
        return;
    }
    fail_forward(forward);
    free_forward(forward);
}

static void on_done(struct transfer *transfer, CURLcode code)
{
    struct forward *forward = CONTAINER_OF(transfer, struct forward, transfer);
    proxy__end_transfer(forward->proxy, transfer);
    if (code != CURLE_OK) {
        finish_failed(forward, forward->error[0] ? forward->error
                                                 : curl_easy_strerror(code));
        return;
    }
    struct http_exchange *exchange = forward->exchange;
    if (came_back(forward)) {
        take_out(forward);
        return;
    }
    if (forward->begun) {
        http_end(exchange);
    } else {
        answer_gathered(forward);
    }
    free_forward(forward);
}

/* ---- the request --------------------------------------------------------- */

static size_t on_read(char *to, size_t size, size_t count, void *context)
{
    struct forward *forward = context;
    struct slice body = forward->exchange->request.body;
    size_t left = body.size - forward->given;
    size_t step = left < size * count ? left : size * count;
    memcpy(to, body.at + forward->given, step);
    forward->given += step;
    return step;
}

/* curl sends a request once more when a connection that it kept breaks. A
 * write must not be done twice: its body can't be read again (there is no
 * CURLOPT_SEEKFUNCTION), and one without a body gets a connection that is new.
 */
static void set_method(struct forward *forward)
{
    const struct http_request *request = &forward->exchange->request;
    CURL *easy = forward->transfer.easy;
    if (request->method == HTTP_HEAD) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (request->body.size > 0 || request->method == HTTP_PUT ||
        request->method == HTTP_POST || request->method == HTTP_PATCH) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)request->body.size);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(easy, CURLOPT_READDATA, forward);
    }
    if (request->body.size == 0 && request->method != HTTP_GET) {
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST,
                     arena_printf(forward->exchange->arena, "%.*s",
                                  (int)request->method_text.size,
                                  request->method_text.at));
}

static void start(struct forward *forward)
{
    const struct http_request *request = &forward->exchange->request;
    struct arena *arena = forward->exchange->arena;
    const char *url =
        arena_printf(arena, "%s%.*s%s%.*s", forward->endpoints[forward->at],
                     (int)request->path.size, request->path.at,
                     request->query.size ? "?" : "", (int)request->query.size,
                     request->query.size ? request->query.at : "");
    buf_reset(&forward->head);
    buf_reset(&forward->body);
    forward->status = 0;
    forward->given = 0;
    forward->uploaded = 0;
    forward->error[0] = '\0';
    forward->moved_ms = proxy__now_ms(forward->proxy);
    proxy__start_transfer(forward->proxy, &forward->transfer, url);
}

static struct forward *new_forward(struct proxy *proxy,
                                   struct http_exchange *exchange)
{
    struct forward *forward = mem_alloc_zero(sizeof(*forward));
    CURL *easy = curl_easy_init();
    CHECK(easy);
    forward->transfer = (struct transfer){.easy = easy, .on_done = on_done};
    forward->proxy = proxy;
    forward->exchange = exchange;
    exchange->context = forward;
    exchange->on_gone = on_gone;
    exchange->on_drained = on_drained;
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, forward);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, forward);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, forward->error);
    list_push_back(&proxy->forwards, &forward->link);
    set_method(forward);
    set_headers(forward);
    return forward;
}

void proxy__on_request(struct http_server *server,
                       struct http_exchange *exchange)
{
    struct proxy *proxy = CONTAINER_OF(server, struct proxy, server);
    enum http_method method = exchange->request.method;
    const char **endpoints;
    if (slice_eq(exchange->request.path, SLICE("/v2/config/local/proxy"))) {
        show_endpoints(proxy, exchange);
        return;
    }
    if (is_loop(proxy, &exchange->request)) {
        refuse_loop(proxy, exchange);
        return;
    }
    if (proxy->config->proxy == CONFIG_PROXY_READONLY && method != HTTP_GET &&
        method != HTTP_HEAD) {
        respond_message(exchange, 501, "proxy: this one is for reading only");
        return;
    }
    size_t count = proxy__pick(proxy, exchange->arena, &endpoints);
    if (count == 0) {
        respond_message(exchange, 503,
                        "proxy: zero endpoints currently available");
        return;
    }
    struct forward *forward = new_forward(proxy, exchange);
    forward->endpoints = endpoints;
    forward->endpoint_count = count;
    start(forward);
}

/* ---- time ---------------------------------------------------------------- */

/* NULL: there is time yet. */
static const char *overdue(struct forward *forward)
{
    const struct config *config = forward->proxy->config;
    struct slice body = forward->exchange->request.body;
    int64_t now_ms = proxy__now_ms(forward->proxy);
    curl_off_t uploaded = 0;
    curl_easy_getinfo(forward->transfer.easy, CURLINFO_SIZE_UPLOAD_T,
                      &uploaded);
    if (uploaded != forward->uploaded || forward->paused) {
        forward->uploaded = uploaded;
        forward->moved_ms = now_ms;
    }
    bool is_sent = (size_t)uploaded >= body.size;
    int64_t limit_ms = is_sent ? config->proxy_read_timeout_ms
                               : config->proxy_write_timeout_ms;
    if (limit_ms == 0 || now_ms - forward->moved_ms < limit_ms) {
        return NULL;
    }
    return is_sent ? "no byte of an answer within --proxy-read-timeout"
                   : "no byte taken within --proxy-write-timeout";
}

void proxy__sweep_forwards(struct proxy *proxy)
{
    LIST_EACH (node, &proxy->forwards) {
        struct forward *forward = CONTAINER_OF(node, struct forward, link);
        const char *why = overdue(forward);
        if (why) {
            proxy__end_transfer(proxy, &forward->transfer);
            finish_failed(forward, why);
        }
    }
}
