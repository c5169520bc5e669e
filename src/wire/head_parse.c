#include "wire/head_parse_int.h"

#include <assert.h>
#include <http_parser.h>

#include "base/check.h"
#include "base/limits.h"

enum { SPANS_MIN = 8 }; /* more than curl, Go and wrk send */

static_assert(sizeof(http_parser) <= HEAD_PARSER_BYTES, "it fits");
static_assert(_Alignof(http_parser) <= 8, "it is aligned");

/* Its own bound is one for the whole program and checked where it likes; ours
 * (a connection's head_bytes_max) comes first. */
__attribute__((constructor)) static void raise_head_bound(void)
{
    http_parser_set_max_header_size(4 * LIMIT_HTTP_HEAD_BYTES_MAX);
}

static struct head_parse *parse_of(http_parser *parser)
{
    return parser->data;
}

static uint32_t offset_of(const struct head_parse *parse, const char *at)
{
    return (uint32_t)(at - parse->base);
}

static int on_url(http_parser *parser, const char *at, size_t size)
{
    struct head_parse *parse = parse_of(parser);
    if (parse->target_size == 0)
        parse->target_at = offset_of(parse, at);
    parse->target_size =
        offset_of(parse, at) + (uint32_t)size - parse->target_at;
    return 0;
}

/* Those above the bound are read over to the end, so that what is wrong with
 * a head doesn't depend on how it is split. */
static bool add_span(struct head_parse *parse)
{
    parse->too_many |= parse->count == parse->count_max;
    if (parse->too_many)
        return false;
    if (parse->count == parse->capacity) {
        uint32_t capacity = parse->capacity ? parse->capacity * 2 : SPANS_MIN;
        struct head_span *spans =
            arena_alloc(parse->arena, capacity * sizeof *spans);
        if (parse->count)
            memcpy(spans, parse->spans, parse->count * sizeof *spans);
        parse->spans = spans;
        parse->capacity = capacity;
    }
    parse->spans[parse->count++] = (struct head_span){0};
    return true;
}

static int on_field(http_parser *parser, const char *at, size_t size)
{
    struct head_parse *parse = parse_of(parser);
    uint32_t offset = offset_of(parse, at);
    if (parse->count == 0 || parse->in_value || parse->too_many) {
        if (!add_span(parse))
            return 0;
        parse->spans[parse->count - 1].name_at = offset;
        parse->in_value = false;
    }
    struct head_span *span = &parse->spans[parse->count - 1];
    span->name_size = offset + (uint32_t)size - span->name_at;
    /* A token has no space, but the lenient parser takes it in a name. */
    return memchr(at, ' ', size) != NULL;
}

static int on_value(http_parser *parser, const char *at, size_t size)
{
    struct head_parse *parse = parse_of(parser);
    if (parse->too_many)
        return 0;
    CHECK(parse->count > 0);
    struct head_span *span = &parse->spans[parse->count - 1];
    uint32_t offset = offset_of(parse, at);
    if (!parse->in_value) {
        parse->in_value = true;
        span->value_at = offset;
    }
    span->value_size = offset + (uint32_t)size - span->value_at;
    return 0;
}

/* 1: whatever the head says, no body is read by the parser. */
static int on_head(http_parser *parser)
{
    (void)parser;
    return 1;
}

static int on_end(http_parser *parser)
{
    http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings settings = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_head,
    .on_message_complete = on_end,
};

void head_parse__start(struct head_parse *parse, struct arena *arena,
                       size_t count_max)
{
    *parse =
        (struct head_parse){.arena = arena, .count_max = (uint32_t)count_max};
    http_parser *parser = (http_parser *)parse->parser;
    http_parser_init(parser, HTTP_REQUEST);
    parser->data = parse;
}

/* ---- what may be in a value -----------------------------------------------
 */

/* True for what may be in a header's value: no control but the tab. Eight
 * bytes at a time: a byte below ' ' borrows from its top bit when ' ' is
 * taken from it, as 0x7f does when added to 1. */
static bool is_value(const char *at, size_t size)
{
    const uint64_t ones = 0x0101010101010101U;
    const uint64_t tops = 0x8080808080808080U;
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t word = get_le64(at + i);
        uint64_t plain = ~word & tops;
        uint64_t low = (word - ones * ' ') & plain;
        uint64_t del = ((word & ~tops) + ones) & plain;
        if (low | del)
            break;
    }
    for (; i < size; i++) {
        unsigned char c = (unsigned char)at[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* ---- once more, strictly --------------------------------------------------
 *
 * Read by what the parser found, each byte of the head must be what it has to
 * be: so nothing that it read over can be read otherwise by somebody else.
 */

struct scan {
    const char *base;
    uint32_t at, end;
    bool is_bad;
};

static void expect(struct scan *scan, bool is_so)
{
    scan->is_bad |= !is_so;
}

static char peek(const struct scan *scan)
{
    return scan->at < scan->end ? scan->base[scan->at] : '\0';
}

static void skip_line_end(struct scan *scan)
{
    scan->at += peek(scan) == '\r';
    expect(scan, peek(scan) == '\n');
    scan->at++;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* "GET /path HTTP/1.1", one space at each side of the target. A request that
 * has no version ends behind the target. */
static void scan_request_line(struct scan *scan, const struct head_parse *parse)
{
    const char *before = scan->base + parse->target_at;
    expect(scan,
           parse->target_at > 2 && before[-1] == ' ' && before[-2] != ' ');
    scan->at = parse->target_at + parse->target_size;
    if (peek(scan) == ' ') {
        const char *version = scan->base + scan->at;
        expect(scan, scan->end - scan->at > 9 &&
                         memcmp(version, " HTTP/", 6) == 0 &&
                         version[7] == '.');
        scan->at += 9;
    }
    skip_line_end(scan);
}

/* For a value that is empty or blank, the parser gives the next line. */
static void scan_header(struct scan *scan, const struct head_span *span)
{
    expect(scan, scan->at == span->name_at);
    scan->at += span->name_size;
    expect(scan, peek(scan) == ':');
    scan->at++;
    while (is_blank(peek(scan)))
        scan->at++;
    if (span->value_size) {
        expect(scan, scan->at == span->value_at);
        expect(scan, is_value(scan->base + span->value_at, span->value_size));
        scan->at = span->value_at + span->value_size;
    }
    skip_line_end(scan);
}

static void trim(const char *base, struct head_span *span)
{
    const char *value = base + span->value_at;
    while (span->value_size && is_blank(value[span->value_size - 1]))
        span->value_size--;
}

static enum head_result finish(struct head_parse *parse)
{
    struct scan scan = {.base = parse->base, .end = parse->parsed};
    scan_request_line(&scan, parse);
    for (uint32_t i = 0; i < parse->count && !scan.is_bad; i++) {
        scan_header(&scan, &parse->spans[i]);
        trim(parse->base, &parse->spans[i]);
    }
    skip_line_end(&scan);
    expect(&scan, scan.at == scan.end);
    return scan.is_bad ? HEAD_BAD : HEAD_DONE;
}

static bool is_token(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* The bytes up to the one that no known method has there. */
static enum head_result bad_method(struct slice message, size_t parsed)
{
    size_t i = 0;
    while (i < message.size && (message.at[i] == '\r' || message.at[i] == '\n'))
        i++;
    for (; i < message.size && i <= parsed; i++) {
        if (!is_token(message.at[i]))
            return HEAD_BAD;
    }
    return HEAD_BAD_METHOD;
}

enum head_result head_parse__read(struct head_parse *parse,
                                  struct slice message)
{
    http_parser *parser = (http_parser *)parse->parser;
    CHECK_LE(parse->parsed, message.size);
    parse->base = message.at;
    parse->parsed += (uint32_t)http_parser_execute(
        parser, &settings, message.at + parse->parsed,
        message.size - parse->parsed);
    switch (HTTP_PARSER_ERRNO(parser)) {
    case HPE_OK:
        CHECK_EQ(parse->parsed, message.size);
        return HEAD_MORE;
    case HPE_PAUSED:
        return parse->too_many ? HEAD_TOO_MANY : finish(parse);
    case HPE_INVALID_METHOD:
        return bad_method(message, parse->parsed);
    default:
        return HEAD_BAD;
    }
}

static enum head_method method_of(unsigned method)
{
    switch (method) {
    case HTTP_GET:
        return HEAD_METHOD_GET;
    case HTTP_HEAD:
        return HEAD_METHOD_HEAD;
    case HTTP_PUT:
        return HEAD_METHOD_PUT;
    case HTTP_POST:
        return HEAD_METHOD_POST;
    case HTTP_DELETE:
        return HEAD_METHOD_DELETE;
    case HTTP_OPTIONS:
        return HEAD_METHOD_OPTIONS;
    case HTTP_PATCH:
        return HEAD_METHOD_PATCH;
    case HTTP_CONNECT:
        return HEAD_METHOD_CONNECT;
    default:
        return HEAD_METHOD_OTHER;
    }
}

struct head_info head_parse__info(const struct head_parse *parse)
{
    const http_parser *parser = (const http_parser *)parse->parser;
    return (struct head_info){
        .method = method_of(parser->method),
        .method_text =
            slice_str(http_method_str((enum http_method)parser->method)),
        .major = parser->http_major,
        .minor = parser->http_minor,
        .keep_alive = http_should_keep_alive(parser) != 0,
        .has_length = (parser->flags & F_CONTENTLENGTH) != 0,
        .length = parser->content_length,
    };
}
