/* Is it a request? What RFC 9113, sections 8.1 to 8.3, asks of a head, of its
 * trailers and of the length that it says. nghttp2 could see to that, but has
 * no mercy with an :authority that is a whole URL, as clients of etcd send it
 * ("http://127.0.0.1:2379"). */
#include "base/check.h"
#include "wire/http2_int.h"

enum {
    SEEN_METHOD = 1,
    SEEN_SCHEME = 2,
    SEEN_PATH = 4,
    SEEN_AUTHORITY = 8,
    SEEN_HOST = 16,
    SEEN_LENGTH = 32,
    SEEN_REGULAR = 64, /* pseudo headers come before all others */
};

/* A token in small letters (RFC 9110, section 5.6.2). */
static bool is_name(struct slice name)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < name.size; i++) {
        char c = name.at[i];
        bool plain =
            (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
        if (!plain && (c == '\0' || strchr(marks, c) == NULL))
            return false;
    }
    return name.size > 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_value(struct slice value)
{
    for (size_t i = 0; i < value.size; i++) {
        unsigned char c = (unsigned char)value.at[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return value.size == 0 ||
           (!is_space(value.at[0]) && !is_space(value.at[value.size - 1]));
}

/* Without a space: of :authority, host, :path. */
static bool is_word(struct slice value)
{
    for (size_t i = 0; i < value.size; i++) {
        unsigned char c = (unsigned char)value.at[i];
        if (c <= ' ' || c == 0x7f)
            return false;
    }
    return true;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_scheme(struct slice value)
{
    for (size_t i = 0; i < value.size; i++) {
        char c = value.at[i];
        bool more = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
        if (!is_letter(c) && (i == 0 || !more))
            return false;
    }
    return value.size > 0;
}

/* The first of its kind. */
static bool see(struct stream *stream, unsigned what)
{
    bool first = (stream->seen & what) == 0;
    stream->seen |= (uint8_t)what;
    return first;
}

static bool is_method(struct slice value)
{
    for (size_t i = 0; i < value.size; i++) {
        char c = value.at[i];
        if (!is_letter(c) && !is_name(slice_of(&c, 1)))
            return false;
    }
    return value.size > 0;
}

static bool check_pseudo(struct stream *stream, struct slice name,
                         struct slice value)
{
    if ((stream->seen & SEEN_REGULAR) != 0)
        return false;
    if (slice_eq(name, SLICE(":method")))
        return see(stream, SEEN_METHOD) && is_method(value);
    if (slice_eq(name, SLICE(":scheme")))
        return see(stream, SEEN_SCHEME) && is_scheme(value);
    if (slice_eq(name, SLICE(":path")))
        return see(stream, SEEN_PATH) && value.size > 0 && is_word(value);
    return slice_eq(name, SLICE(":authority")) && see(stream, SEEN_AUTHORITY) &&
           is_word(value);
}

/* What is of a connection of HTTP/1.1 has no place here (section 8.2.2). */
static bool check_known(struct stream *stream, struct slice name,
                        struct slice value)
{
    switch (name.size) {
    case sizeof("te") - 1:
        return !slice_eq(name, SLICE("te")) ||
               slice_eq_nocase(value, SLICE("trailers"));
    case sizeof("host") - 1:
        return !slice_eq(name, SLICE("host")) ||
               (see(stream, SEEN_HOST) && is_word(value));
    case sizeof("upgrade") - 1:
        return !slice_eq(name, SLICE("upgrade"));
    case sizeof("connection") - 1: /* and keep-alive */
        return !slice_eq(name, SLICE("connection")) &&
               !slice_eq(name, SLICE("keep-alive"));
    case sizeof("content-length") - 1:
        return !slice_eq(name, SLICE("content-length")) ||
               see(stream, SEEN_LENGTH);
    case sizeof("proxy-connection") - 1:
        return !slice_eq(name, SLICE("proxy-connection"));
    case sizeof("transfer-encoding") - 1:
        return !slice_eq(name, SLICE("transfer-encoding"));
    default:
        return true;
    }
}

bool head__check(struct stream *stream, struct slice name, struct slice value)
{
    if (name.size > 0 && name.at[0] == ':')
        return check_pseudo(stream, name, value);
    stream->seen |= SEEN_REGULAR;
    return is_name(name) && is_value(value) && check_known(stream, name, value);
}

bool head__check_trailer(struct slice name, struct slice value)
{
    return is_name(name) && is_value(value);
}

/* A path, or the "*" of OPTIONS. */
static bool is_target(struct slice target, struct slice method)
{
    return target.at[0] == '/' ||
           (slice_eq(target, SLICE("*")) && slice_eq(method, SLICE("OPTIONS")));
}

bool head__is_request(const struct stream *stream)
{
    const unsigned all = SEEN_METHOD | SEEN_SCHEME | SEEN_PATH;
    struct slice method = stream->exchange.request.method_text;
    if (slice_eq(method, SLICE("CONNECT")))
        return (stream->seen & (all | SEEN_AUTHORITY)) ==
               (SEEN_METHOD | SEEN_AUTHORITY);
    return (stream->seen & all) == all &&
           (stream->seen & (SEEN_AUTHORITY | SEEN_HOST)) != 0 &&
           is_target(stream->target, method);
}

bool head__count_body(struct stream *stream, size_t size)
{
    stream->body_bytes += size;
    return stream->length == UINT64_MAX || stream->body_bytes <= stream->length;
}

bool head__is_whole(const struct stream *stream)
{
    return stream->length == UINT64_MAX || stream->body_bytes == stream->length;
}
