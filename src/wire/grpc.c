#include "wire/grpc.h"

#include "base/check.h"

enum { KEPT_BYTES_MAX = 16 * 1024 };

/* ---- the prefix: compressed or not, the length (big end first) ------- */

void grpc_prefix(char out[GRPC_PREFIX_BYTES], size_t size, bool compressed)
{
    CHECK_LE(size, UINT32_MAX);
    out[0] = compressed ? 1 : 0;
    put_be32(out + 1, (uint32_t)size);
}

void grpc_reader_deinit(struct grpc_reader *reader)
{
    buf_deinit(&reader->partial);
    buf_deinit(&reader->inflated);
}

bool grpc_reader_is_idle(const struct grpc_reader *reader)
{
    return reader->partial.size == 0;
}

static enum err check_prefix(const struct grpc_reader *reader,
                             const char *prefix, size_t *size)
{
    *size = get_be32(prefix + 1);
    if ((unsigned char)prefix[0] > 1) {
        return err_set(ERR_CORRUPT, "a message's first byte is %u",
                       (unsigned char)prefix[0]);
    }
    if (prefix[0] == 1 && !reader->may_inflate) {
        return err_set(ERR_UNSUPPORTED, "compressed by what was not said");
    }
    if (*size > reader->message_bytes_max) {
        return err_set(ERR_TOO_LARGE, "%zu vs. %zu", *size,
                       reader->message_bytes_max);
    }
    return ERR_OK;
}

/* Moves up to `size` bytes of the piece to the message that is gathered. */
static void gather(struct grpc_reader *reader, struct slice *piece, size_t size)
{
    size_t take = size < piece->size ? size : piece->size;
    buf_append(&reader->partial, piece->at, take);
    piece->at += take;
    piece->size -= take;
}

static enum err inflate_message(struct grpc_reader *reader,
                                struct slice *message)
{
    buf_reset(&reader->inflated);
    enum err err =
        grpc_inflate(&reader->inflated, *message, reader->message_bytes_max);
    *message = buf_slice(&reader->inflated);
    return err;
}

/* A message that lies whole in the piece. */
static enum err read_whole(struct grpc_reader *reader, struct slice *piece,
                           size_t size, struct slice *message)
{
    const char *prefix = piece->at;
    *message = slice_of(prefix + GRPC_PREFIX_BYTES, size);
    piece->at += GRPC_PREFIX_BYTES + size;
    piece->size -= GRPC_PREFIX_BYTES + size;
    return prefix[0] == 1 ? inflate_message(reader, message) : ERR_OK;
}

static enum err read_gathered(struct grpc_reader *reader, struct slice *message)
{
    bool compressed = reader->partial.at[0] == 1;
    *message = slice_of(reader->partial.at + GRPC_PREFIX_BYTES,
                        reader->partial.size - GRPC_PREFIX_BYTES);
    reader->partial.size = 0; /* the bytes stay until the next call */
    return compressed ? inflate_message(reader, message) : ERR_OK;
}

/* Between two messages a stream that lives long holds little. */
static void let_go(struct buf *buf)
{
    if (buf->capacity > KEPT_BYTES_MAX) {
        buf_deinit(buf);
    }
}

enum err grpc_read(struct grpc_reader *reader, struct slice *piece,
                   struct slice *message)
{
    size_t size;
    enum err err;
    if (reader->partial.size == 0) {
        let_go(&reader->partial);
        let_go(&reader->inflated);
    }
    if (reader->partial.size == 0 && piece->size >= GRPC_PREFIX_BYTES) {
        err = check_prefix(reader, piece->at, &size);
        if (err != ERR_OK) {
            return err;
        }
        if (piece->size - GRPC_PREFIX_BYTES >= size) {
            return read_whole(reader, piece, size, message);
        }
    }
    if (reader->partial.size < GRPC_PREFIX_BYTES) {
        gather(reader, piece, GRPC_PREFIX_BYTES - reader->partial.size);
        if (reader->partial.size < GRPC_PREFIX_BYTES) {
            return ERR_END;
        }
    }
    err = check_prefix(reader, reader->partial.at, &size);
    if (err != ERR_OK) {
        return err;
    }
    gather(reader, piece, GRPC_PREFIX_BYTES + size - reader->partial.size);
    return reader->partial.size == GRPC_PREFIX_BYTES + size
               ? read_gathered(reader, message)
               : ERR_END;
}

/* ---- timeouts -------------------------------------------------------- */

/* How many nanoseconds a unit is; 0: there is no such unit. */
static int64_t unit_ns(char unit)
{
    switch (unit) {
    case 'H':
        return INT64_C(3600000000000);
    case 'M':
        return INT64_C(60000000000);
    case 'S':
        return 1000000000;
    case 'm':
        return 1000000;
    case 'u':
        return 1000;
    case 'n':
        return 1;
    default:
        return 0;
    }
}

bool grpc_timeout_parse(struct slice text, int64_t *timeout_ms)
{
    enum { DIGITS_MAX = 8 };
    const int64_t ms_ns = 1000000;
    uint64_t count;
    if (text.size < 2 || text.size > DIGITS_MAX + 1 ||
        !slice_to_u64(slice_of(text.at, text.size - 1), &count)) {
        return false;
    }
    int64_t unit = unit_ns(text.at[text.size - 1]);
    if (unit == 0) {
        return false;
    }
    if (unit >= ms_ns) {
        *timeout_ms = (int64_t)count * (unit / ms_ns);
    } else {
        *timeout_ms = ((int64_t)count * unit + ms_ns - 1) / ms_ns;
    }
    return true;
}

/* ---- grpc-message ---------------------------------------------------- */

static bool is_plain(unsigned char c)
{
    return c >= ' ' && c <= '~' && c != '%';
}

void grpc_text_encode(struct buf *out, struct slice text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (is_plain(c)) {
            buf_append_char(out, (char)c);
        } else {
            buf_append_char(out, '%');
            buf_append_char(out, digits[c >> 4]);
            buf_append_char(out, digits[c & 15]);
        }
    }
}

/* -1: no hexadecimal digit. */
static int digit_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* What isn't well encoded stays as it is: it is for people to read. */
void grpc_text_decode(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        int high = -1;
        int low = -1;
        if (text.at[i] == '%' && text.size - i > 2) {
            high = digit_of(text.at[i + 1]);
            low = digit_of(text.at[i + 2]);
        }
        if (high >= 0 && low >= 0) {
            buf_append_char(out, (char)(high << 4 | low));
            i += 2;
        } else {
            buf_append_char(out, text.at[i]);
        }
    }
}
