#include "wire/chunked_int.h"

#include "base/check.h"

/*   SIZE -> EXTENSION -> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE
 *                           |
 *                           v a size of 0
 *   END_LF <- LINE <-> TRAILER, TRAILER_LF */
enum {
    SIZE, /* where a chunk begins */
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    LINE, /* where a trailer or the last line begins */
    TRAILER,
    TRAILER_LF,
    END_LF,
};

enum { SIZE_DIGITS_MAX = 16 };

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static enum chunked_result read_size(struct chunked *chunked, char c)
{
    int digit = hex_value(c);
    if (digit >= 0) {
        if (chunked->digits == SIZE_DIGITS_MAX)
            return CHUNKED_BAD;
        chunked->digits++;
        chunked->left = chunked->left << 4 | (unsigned)digit;
        return CHUNKED_MORE;
    }
    if (chunked->digits == 0)
        return CHUNKED_BAD;
    if (c == '\r')
        chunked->state = SIZE_LF;
    else if (c == ';' || c == ' ' || c == '\t')
        chunked->state = EXTENSION;
    else
        return CHUNKED_BAD;
    return CHUNKED_MORE;
}

/* A byte of an extension or a trailer, whose line ends in `lf_state`. */
static enum chunked_result read_extra(struct chunked *chunked, char c,
                                      uint8_t lf_state, size_t extra_max)
{
    if (c == '\r') {
        chunked->state = lf_state;
        return CHUNKED_MORE;
    }
    if (((unsigned char)c < ' ' && c != '\t') || c == 0x7f)
        return CHUNKED_BAD;
    if (++chunked->extra_bytes > extra_max)
        return CHUNKED_BAD;
    return CHUNKED_MORE;
}

static enum chunked_result read_lf(struct chunked *chunked, char c)
{
    if (c != '\n')
        return CHUNKED_BAD;
    switch (chunked->state) {
    case SIZE_LF:
        chunked->state = chunked->left ? DATA : LINE;
        return CHUNKED_MORE;
    case DATA_LF:
        chunked->state = SIZE;
        chunked->digits = 0;
        return CHUNKED_MORE;
    case TRAILER_LF:
        chunked->state = LINE;
        return CHUNKED_MORE;
    default:
        CHECK_EQ(chunked->state, END_LF);
        return CHUNKED_DONE;
    }
}

static enum chunked_result read_byte(struct chunked *chunked, char c,
                                     size_t extra_max)
{
    switch (chunked->state) {
    case SIZE:
        return read_size(chunked, c);
    case EXTENSION:
        return read_extra(chunked, c, SIZE_LF, extra_max);
    case DATA_CR:
        chunked->state = DATA_LF;
        return c == '\r' ? CHUNKED_MORE : CHUNKED_BAD;
    case LINE:
        if (c == '\r') {
            chunked->state = END_LF;
            return CHUNKED_MORE;
        }
        chunked->state = TRAILER;
        return read_extra(chunked, c, TRAILER_LF, extra_max);
    case TRAILER:
        return read_extra(chunked, c, TRAILER_LF, extra_max);
    default:
        return read_lf(chunked, c);
    }
}

static void read_data(struct chunked *chunked, const char **at, const char *end,
                      struct buf *body)
{
    size_t size = (size_t)(end - *at);
    if (size > chunked->left)
        size = (size_t)chunked->left;
    buf_append(body, *at, size);
    *at += size;
    chunked->left -= size;
    if (chunked->left == 0)
        chunked->state = DATA_CR;
}

enum chunked_result chunked__read(struct chunked *chunked, const char **at,
                                  const char *end, size_t bytes_max,
                                  size_t extra_max, struct buf *body)
{
    enum chunked_result result = CHUNKED_MORE;
    while (*at < end && result == CHUNKED_MORE) {
        if (chunked->state == DATA) {
            read_data(chunked, at, end, body);
            continue;
        }
        result = read_byte(chunked, *(*at)++, extra_max);
        CHECK_LE(body->size, bytes_max);
        /* As early as the size says so: nothing of it need be read. */
        if (chunked->state == DATA && chunked->left > bytes_max - body->size)
            return CHUNKED_TOO_LARGE;
    }
    return result;
}
