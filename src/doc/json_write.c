/* JSON strings as Go's encoding/json writes them (see json_write.h). */
#include "doc/json_write.h"

#include "base/check.h"

/* What a byte does to a run of plain ones. */
enum byte_class {
    PLAIN,  /* stays as it is */
    SHORT,  /* a backslash and the letter in `letter_of` */
    HEX,    /* \u00XX */
    BEYOND, /* of a UTF-8 sequence, or of none */
};

/* clang-format off */
static const uint8_t class_of[256] = {
    HEX, HEX, HEX, HEX, HEX, HEX, HEX, HEX,
    HEX, SHORT, SHORT, HEX, HEX, SHORT, HEX, HEX,
    HEX, HEX, HEX, HEX, HEX, HEX, HEX, HEX,
    HEX, HEX, HEX, HEX, HEX, HEX, HEX, HEX,
    ['"'] = SHORT, ['\\'] = SHORT,
    ['<'] = HEX, ['>'] = HEX, ['&'] = HEX,
#define B8(n) [n] = BEYOND, [(n) + 1] = BEYOND, [(n) + 2] = BEYOND, \
              [(n) + 3] = BEYOND, [(n) + 4] = BEYOND, [(n) + 5] = BEYOND, \
              [(n) + 6] = BEYOND, [(n) + 7] = BEYOND
    B8(0x80), B8(0x88), B8(0x90), B8(0x98), B8(0xa0), B8(0xa8), B8(0xb0),
    B8(0xb8), B8(0xc0), B8(0xc8), B8(0xd0), B8(0xd8), B8(0xe0), B8(0xe8),
    B8(0xf0), B8(0xf8),
#undef B8
};
/* clang-format on */

static char letter_of(unsigned char c)
{
    switch (c) {
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        CHECK(c == '"' || c == '\\');
        return (char)c;
    }
}

static bool is_tail(const unsigned char *at, unsigned char low,
                    unsigned char high)
{
    return *at >= low && *at <= high;
}

/* The size of the UTF-8 sequence at `at` (RFC 3629, table 3-7 of Unicode: the
 * second byte's range rules out overlongs and surrogates); 0 if it is none. */
static size_t sequence_size(const unsigned char *at, size_t left)
{
    unsigned char first = at[0];
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    if (first < 0xc2 || first > 0xf4 || left < 2) {
        return 0;
    }
    if (first == 0xe0) {
        low = 0xa0;
    } else if (first == 0xed) {
        high = 0x9f;
    } else if (first == 0xf0) {
        low = 0x90;
    } else if (first == 0xf4) {
        high = 0x8f;
    }
    if (!is_tail(at + 1, low, high)) {
        return 0;
    }
    size_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    for (size_t i = 2; i < size; i++) {
        if (i >= left || !is_tail(at + i, 0x80, 0xbf)) {
            return 0;
        }
    }
    return size;
}

/* U+2028 and U+2029 end a line in JavaScript: e2 80 a8, e2 80 a9. */
static bool is_line_separator(const unsigned char *at, size_t size)
{
    return size == 3 && at[0] == 0xe2 && at[1] == 0x80 &&
           (at[2] == 0xa8 || at[2] == 0xa9);
}

static void append_hex(struct buf *out, unsigned char c)
{
    static const char digits[] = "0123456789abcdef";
    char text[6] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
    buf_append(out, text, sizeof text);
}

static size_t append_beyond(struct buf *out, const unsigned char *at,
                            size_t size)
{
    if (size == 0) {
        buf_append(out, "\\ufffd", 6);
        return 1;
    }
    CHECK(is_line_separator(at, size));
    buf_append(out, at[2] == 0xa8 ? "\\u2028" : "\\u2029", 6);
    return size;
}

/* Appends the escape of what is at `at`; returns how many bytes it took. */
static size_t append_escape(struct buf *out, const unsigned char *at,
                            size_t sequence)
{
    switch (class_of[*at]) {
    case SHORT: {
        char text[2] = {'\\', letter_of(*at)};
        buf_append(out, text, sizeof text);
        return 1;
    }
    case HEX:
        append_hex(out, *at);
        return 1;
    default:
        CHECK_EQ(class_of[*at], BEYOND);
        return append_beyond(out, at, sequence);
    }
}

void json_write_string(struct buf *out, struct slice text)
{
    const unsigned char *at = (const unsigned char *)(text.size ? text.at : "");
    const unsigned char *end = at + text.size;
    const unsigned char *run = at;
    buf_reserve(out, text.size + 2);
    buf_append_char(out, '"');
    while (at < end) {
        if (class_of[*at] == PLAIN) {
            at++;
            continue;
        }
        size_t sequence = 0;
        if (class_of[*at] == BEYOND) {
            sequence = sequence_size(at, (size_t)(end - at));
            if (sequence && !is_line_separator(at, sequence)) {
                at += sequence;
                continue;
            }
        }
        buf_append(out, run, (size_t)(at - run));
        at += append_escape(out, at, sequence);
        run = at;
    }
    buf_append(out, run, (size_t)(at - run));
    buf_append_char(out, '"');
}

void json_write_base64(struct buf *out, struct slice bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *from = (const unsigned char *)bytes.at;
    char *to = buf_extend(out, (bytes.size + 2) / 3 * 4 + 2);
    *to++ = '"';
    for (size_t left = bytes.size; left > 0;) {
        size_t taken = left < 3 ? left : 3;
        uint32_t bits = (uint32_t)from[0] << 16;
        bits |= taken > 1 ? (uint32_t)from[1] << 8 : 0;
        bits |= taken > 2 ? (uint32_t)from[2] : 0;
        to[0] = digits[bits >> 18];
        to[1] = digits[bits >> 12 & 63];
        to[2] = digits[bits >> 6 & 63];
        to[3] = digits[bits & 63];
        /* '=' stands for what was not there. */
        for (size_t i = taken + 1; i < 4; i++) {
            to[i] = '=';
        }
        to += 4;
        from += taken;
        left -= taken;
    }
    *to++ = '"';
    CHECK(to == out->at + out->size);
}
