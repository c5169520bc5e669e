#include <assert.h>

#include "base/check.h"
#include "base/limits.h"
#include "wire/http1_int.h"
#include "wire/spare_int.h"

static_assert((int)HEAD_METHOD_GET == (int)HTTP_GET &&
                  (int)HEAD_METHOD_DELETE == (int)HTTP_DELETE &&
                  (int)HEAD_METHOD_OTHER == (int)HTTP_OTHER,
              "the methods are in the same order");

/* What a head says of the connection and the body. */
struct facts {
    struct slice host;
    struct slice expect;
    struct slice coding; /* Transfer-Encoding */
    int hosts, codings;
};

/* ---- begin and end --------------------------------------------------------
 */

/* The arena's first block is a spare one that is smaller than what the arena
 * would take by itself, and stays on this thread. */
static void start_arena(struct http1 *http1)
{
    http1->block = spare__take_block();
    arena_init(&http1->arena, 0);
    http1->arena.at = http1->block;
    http1->arena.end = http1->block + SPARE_BLOCK_BYTES;
}

void http1__begin_request(struct http1 *http1)
{
    CHECK_EQ(http1->phase, PHASE_IDLE);
    CHECK(http1->block == NULL);
    start_arena(http1);
    head_parse__start(&http1->parse, &http1->arena,
                      http1->config.header_count_max);
    http1->is_head = false;
    http1->is_1_0 = false;
    http1->is_chunked = false;
    http1->keep_alive = false;
    http1->begun = false;
    http1__enter(http1, PHASE_HEAD);
}

void http1__release_request(struct http1 *http1)
{
    if (http1->block == NULL)
        return;
    arena_deinit(&http1->arena);
    spare__give_block(http1->block);
    http1->block = NULL;
    if (http1->body.at != NULL)
        buf_deinit(&http1->body);
}

/* Plain text, in Go's words. */
static struct slice refusal_text(struct http1 *http1, int status,
                                 const char *detail)
{
    const char *text = http_status_text(status);
    return slice_str(
        detail ? arena_printf(&http1->arena, "%d %s: %s", status, text, detail)
               : arena_printf(&http1->arena, "%d %s", status, text));
}

void http1__refuse(struct http1 *http1, int status, const char *detail)
{
    CHECK(http1->phase == PHASE_HEAD || http1->phase == PHASE_BODY);
    const struct http_header type = {SLICE("Content-Type"),
                                     SLICE("text/plain; charset=utf-8")};
    struct slice text = refusal_text(http1, status, detail);
    http1->keep_alive = false;
    http1__write_head(http1, status, &type, 1, (int64_t)text.size);
    if (!http1->is_head)
        out__append(&http1->out, text.at, text.size);
    http1__release_request(http1);
    http1__close(http1);
    /* These come while the peer is still sending. */
    bool is_coming = status == 413 || status == 431 || status == 503;
    if (is_coming && !http1->input_ended)
        http1__enter(http1, PHASE_LINGER);
}

/* ---- the head -------------------------------------------------------------
 */

static struct slice span(const char *copy, uint32_t from, uint32_t at,
                         uint32_t size)
{
    return slice_of(copy + (at - from), size);
}

static void note_fact(struct facts *facts, const struct http_header *header)
{
    switch (header->name.size) {
    case 4:
        if (slice_eq_nocase(header->name, SLICE("Host"))) {
            facts->host = header->value;
            facts->hosts++;
        }
        break;
    case 6:
        if (slice_eq_nocase(header->name, SLICE("Expect")))
            facts->expect = header->value;
        break;
    case 17:
        if (slice_eq_nocase(header->name, SLICE("Transfer-Encoding"))) {
            facts->coding = header->value;
            facts->codings++;
        }
        break;
    default:
        break;
    }
}

/* Copies the head to the arena, from the target to the last value, and makes
 * the request's slices of the copy. */
static struct slice copy_head(struct http1 *http1, const char *base,
                              struct facts *facts)
{
    const struct head_parse *parse = &http1->parse;
    struct http_request *request = &http1->exchange.request;
    uint32_t from = parse->target_at;
    const char *copy =
        arena_dup(&http1->arena, base + from, parse->parsed - from);
    struct http_header *headers =
        arena_alloc(&http1->arena, parse->count * sizeof *headers);

    *facts = (struct facts){0};
    for (uint32_t i = 0; i < parse->count; i++) {
        const struct head_span *at = &parse->spans[i];
        headers[i].name = span(copy, from, at->name_at, at->name_size);
        headers[i].value = span(copy, from, at->value_at, at->value_size);
        note_fact(facts, &headers[i]);
    }
    request->headers = headers;
    request->header_count = parse->count;
    return slice_of(copy, parse->target_size);
}

/* "http://host/path" -> "/path"; what a proxy would get (RFC 9112, 3.2.2). */
static bool strip_authority(struct slice *target)
{
    static const struct slice schemes[] = {
        {"http://", 7},
        {"https://", 8},
    };
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        struct slice scheme = schemes[i];
        if (target->size <= scheme.size ||
            !slice_eq_nocase(slice_of(target->at, scheme.size), scheme))
            continue;
        size_t at = scheme.size;
        while (at < target->size && target->at[at] != '/' &&
               target->at[at] != '?')
            at++;
        *target = slice_of(target->at + at, target->size - at);
        return at > scheme.size;
    }
    return false;
}

/* No control, no space, no fragment. */
static bool is_target(struct slice target)
{
    for (size_t i = 0; i < target.size; i++) {
        unsigned char c = (unsigned char)target.at[i];
        if (c <= ' ' || c == 0x7f || c == '#')
            return false;
    }
    return target.size > 0;
}

static bool split_target(struct http_request *request, struct slice target)
{
    if (!is_target(target))
        return false;
    request->query = SLICE("");
    request->path = target;
    if (target.at[0] != '/') {
        if (slice_eq(target, SLICE("*")))
            return request->method == HTTP_OPTIONS;
        if (!strip_authority(&target))
            return false;
    }
    request->path = target;
    ptrdiff_t mark = slice_find(target, '?');
    if (mark >= 0) {
        size_t behind = (size_t)mark + 1;
        request->path = slice_of(target.at, (size_t)mark);
        request->query = slice_of(target.at + behind, target.size - behind);
    }
    if (request->path.size == 0)
        request->path = SLICE("/");
    return true;
}

static bool is_host(struct slice host)
{
    for (size_t i = 0; i < host.size; i++) {
        char c = host.at[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                     (c >= 'A' && c <= 'Z') || c == '.' || c == ':' || c == '-';
        if (!plain && (c == '\0' || strchr("!$%&'()*+,;=[]_~", c) == NULL))
            return false;
    }
    return true;
}

/* ---- is it a request? -----------------------------------------------------
 */

struct refusal {
    int status; /* 0: none */
    const char *detail;
};

static struct refusal check_version(const struct head_info *info)
{
    if (info->major == 0)
        return (struct refusal){400, NULL}; /* no version: HTTP/0.9 */
    if (info->major != 1)
        return (struct refusal){505, NULL};
    if (info->method == HEAD_METHOD_CONNECT)
        return (struct refusal){501, NULL};
    return (struct refusal){0};
}

static struct refusal check_host(const struct http1 *http1,
                                 const struct facts *facts)
{
    if (facts->hosts == 0 && !http1->is_1_0)
        return (struct refusal){400, "missing required Host header"};
    if (facts->hosts > 1)
        return (struct refusal){400, "too many Host headers"};
    if (!is_host(facts->host))
        return (struct refusal){400, "malformed Host header"};
    return (struct refusal){0};
}

/* Where a body ends must be said once and so that all understand it. */
static struct refusal check_framing(const struct http1 *http1,
                                    const struct head_info *info,
                                    const struct facts *facts)
{
    if (facts->codings) {
        if (info->has_length || facts->codings > 1 || http1->is_1_0)
            return (struct refusal){400, NULL};
        if (!slice_eq_nocase(facts->coding, SLICE("chunked")))
            return (struct refusal){501, "unsupported transfer encoding"};
    }
    if (facts->expect.size &&
        !slice_eq_nocase(facts->expect, SLICE("100-continue")))
        return (struct refusal){417, NULL};
    if (info->has_length && info->length > http1->config.body_bytes_max)
        return (struct refusal){413, NULL};
    return (struct refusal){0};
}

/* ---- the body -------------------------------------------------------------
 */

static void hand_over(struct http1 *http1, struct slice body)
{
    struct http_exchange *exchange = &http1->exchange;
    exchange->request.body = body;
    exchange->context = NULL;
    exchange->on_gone = NULL;
    exchange->on_drained = NULL;
    http1->begun = false;
    http1->out_no_body = http1->is_head;
    http1->is_gone = false;
    http1__enter(http1, PHASE_OPEN);
    http1->config.server->on_request(http1->config.server, exchange);
}

/* Takes memory as bytes come and not as the peer says they would. It may be
 * a lot, so there may be none. */
static bool try_reserve(struct http1 *http1, size_t more)
{
    struct buf *body = &http1->body;
    if (body->capacity - body->size >= more)
        return true;
    size_t capacity = body->size + more;
    if (capacity < body->capacity * 2)
        capacity = body->capacity * 2;
    char *bytes = mem_try_realloc(body->at, capacity);
    if (bytes == NULL) {
        http1__refuse(http1, 503, NULL);
        return false;
    }
    body->at = bytes;
    body->capacity = capacity;
    return true;
}

/* All of a body that stands behind the head. */
static void take_body(struct http1 *http1, const char **at, size_t size)
{
    if (size == 0) {
        hand_over(http1, SLICE(""));
        return;
    }
    char *body = arena_try_alloc(&http1->arena, size);
    if (body == NULL) {
        http1__refuse(http1, 503, NULL);
        return;
    }
    memcpy(body, *at, size);
    *at += size;
    hand_over(http1, slice_of(body, size));
}

static void start_body(struct http1 *http1, const char **at, const char *end,
                       bool is_expected)
{
    size_t here = (size_t)(end - *at);
    if (!http1->is_chunked && http1->body_bytes <= here) {
        take_body(http1, at, (size_t)http1->body_bytes);
        return;
    }
    if (is_expected && here == 0 && !http1->is_1_0) {
        struct slice go_on = SLICE("HTTP/1.1 100 Continue\r\n\r\n");
        out__append(&http1->out, go_on.at, go_on.size);
    }
    http1->chunked = (struct chunked){0};
    http1__enter(http1, PHASE_BODY);
}

static enum chunked_result read_plain(struct http1 *http1, const char **at,
                                      size_t here)
{
    struct buf *body = &http1->body;
    buf_append(body, *at, here);
    *at += here;
    return body->size == http1->body_bytes ? CHUNKED_DONE : CHUNKED_MORE;
}

/* How much of what is here may be the body's, at the most; where all of it
 * isn't much, room for all of it. */
static size_t room_for(const struct http1 *http1, size_t *here)
{
    if (http1->is_chunked)
        return *here;
    size_t left = (size_t)http1->body_bytes - http1->body.size;
    if (*here > left)
        *here = left;
    return left <= HTTP1_AHEAD_BYTES_MAX ? left : *here;
}

bool http1__read_body(struct http1 *http1, const char **at, const char *end)
{
    size_t here = (size_t)(end - *at);
    if (here == 0)
        return false;
    if (!try_reserve(http1, room_for(http1, &here)))
        return true;
    enum chunked_result result =
        http1->is_chunked
            ? chunked__read(&http1->chunked, at, end,
                            http1->config.body_bytes_max,
                            http1->config.head_bytes_max, &http1->body)
            : read_plain(http1, at, here);
    switch (result) {
    case CHUNKED_MORE:
        CHECK(*at == end);
        return false;
    case CHUNKED_DONE:
        hand_over(http1,
                  http1->body.size ? buf_slice(&http1->body) : SLICE(""));
        break;
    case CHUNKED_BAD:
        http1__refuse(http1, 400, NULL);
        break;
    case CHUNKED_TOO_LARGE:
        http1__refuse(http1, 413, NULL);
        break;
    }
    return true;
}

/* ---- from head to body ----------------------------------------------------
 */

/* The head is complete: makes the request of it, or says what is wrong. */
static struct refusal read_request(struct http1 *http1, const char *base,
                                   bool *is_expected)
{
    struct http_request *request = &http1->exchange.request;
    struct head_info info = head_parse__info(&http1->parse);
    struct refusal refusal = check_version(&info);
    if (refusal.status)
        return refusal;
    struct facts facts;
    struct slice target = copy_head(http1, base, &facts);
    request->method = (enum http_method)info.method;
    request->method_text = info.method_text;
    request->peer = slice_of(http1->peer, http1->peer_size);
    request->certificate = http_certificate(request, http1->config.certificate);
    request->is_own = http1->config.is_own;
    request->is_tls = http1->config.is_tls;
    http1->is_head = info.method == HEAD_METHOD_HEAD;
    http1->is_1_0 = info.minor == 0;
    http1->keep_alive = info.keep_alive;
    http1->is_chunked = facts.codings > 0;
    http1->body_bytes = info.has_length ? info.length : 0;
    *is_expected = facts.expect.size > 0;

    if (!split_target(request, target))
        return (struct refusal){400, NULL};
    refusal = check_host(http1, &facts);
    return refusal.status ? refusal : check_framing(http1, &info, &facts);
}

static void accept_head(struct http1 *http1, const char **at, const char *end)
{
    const char *base = *at;
    bool is_expected = false;
    *at += http1->parse.parsed;
    struct refusal refusal = read_request(http1, base, &is_expected);
    if (refusal.status)
        http1__refuse(http1, refusal.status, refusal.detail);
    else
        start_body(http1, at, end, is_expected);
}

/* No more than the bound is given to the parser, so that a head that is too
 * large is found at the same byte however it comes. */
bool http1__read_head(struct http1 *http1, const char **at, const char *end)
{
    size_t size = (size_t)(end - *at);
    bool is_full = size >= http1->config.head_bytes_max;
    if (is_full)
        size = http1->config.head_bytes_max;
    switch (head_parse__read(&http1->parse, slice_of(*at, size))) {
    case HEAD_MORE:
        if (!is_full)
            return false;
        http1__refuse(http1, 431, NULL);
        break;
    case HEAD_DONE:
        accept_head(http1, at, end);
        break;
    case HEAD_BAD:
        http1__refuse(http1, 400, NULL);
        break;
    case HEAD_BAD_METHOD:
        http1__refuse(http1, 501, NULL);
        break;
    case HEAD_TOO_MANY:
        http1__refuse(http1, 431, NULL);
        break;
    }
    return true;
}
