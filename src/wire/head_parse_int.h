/* The head of an HTTP/1 request, by http-parser: the only file that includes
 * it, since its names and ours (enum http_method, HTTP_GET) are the same.
 *
 * http-parser reads the head and nothing else: it is stopped behind the empty
 * line, and bodies are read by http1_request.c and chunked.c. Each byte is
 * given to it once, however the head is split. Debian builds it in its
 * lenient form, which lets pass spaces in names, control characters, folded
 * lines, "HTTQ/1.1" and a carriage return before anything; so a head that it
 * found whole is checked here again, byte by byte.
 */
#ifndef ETCHED_WIRE_HEAD_PARSE_INT_H
#define ETCHED_WIRE_HEAD_PARSE_INT_H

#include <stdalign.h>

#include "base/bytes.h"
#include "base/mem.h"

/* In the order of enum http_method. */
enum head_method {
    HEAD_METHOD_GET,
    HEAD_METHOD_HEAD,
    HEAD_METHOD_PUT,
    HEAD_METHOD_POST,
    HEAD_METHOD_DELETE,
    HEAD_METHOD_OPTIONS,
    HEAD_METHOD_PATCH,
    HEAD_METHOD_OTHER,
    HEAD_METHOD_CONNECT,
};

enum head_result {
    HEAD_MORE, /* no error so far, the end isn't here yet */
    HEAD_DONE,
    HEAD_BAD,
    HEAD_BAD_METHOD, /* a token, but no method that we know */
    HEAD_TOO_MANY,   /* headers */
};

/* A name and its value as offsets from the first byte of the message, as that
 * may be moved while the head isn't complete. */
struct head_span {
    uint32_t name_at, name_size;
    uint32_t value_at, value_size;
};

enum { HEAD_PARSER_BYTES = 32 };

struct head_parse {
    alignas(8) unsigned char parser[HEAD_PARSER_BYTES];
    const char *base; /* the message's first byte, during head_parse__read */
    struct arena *arena;
    struct head_span *spans;
    uint32_t count, capacity, count_max;
    uint32_t target_at, target_size;
    uint32_t parsed; /* bytes of the message that the parser has seen */
    bool in_value;   /* the last span's value has begun */
    bool too_many;
};

/* What there is to know of a head that is done, beside target and spans. */
struct head_info {
    enum head_method method;
    struct slice method_text; /* static */
    int major, minor;
    bool keep_alive;
    bool has_length;
    uint64_t length;
};

void head_parse__start(struct head_parse *parse, struct arena *arena,
                       size_t count_max);
/* `message` is the message from its first byte on, with what was given
 * before. When done, parse->parsed is the size of the head. */
enum head_result head_parse__read(struct head_parse *parse,
                                  struct slice message);
struct head_info head_parse__info(const struct head_parse *parse);

#endif
