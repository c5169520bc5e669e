#include "wire/peer_wire.h"

#include "base/check.h"

enum {
    /* "ETCHED-PEER/": the version follows. */
    NAME_BYTES = PEER_PREFACE_BYTES - 3,
};

enum peer_first peer_first(struct slice bytes)
{
    struct slice preface = SLICE(PEER_PREFACE);
    size_t name = bytes.size < NAME_BYTES ? bytes.size : NAME_BYTES;
    if (name > 0 && memcmp(bytes.at, preface.at, name) != 0) {
        return PEER_FIRST_HTTP;
    }
    if (bytes.size < preface.size) {
        return PEER_FIRST_MORE;
    }
    return slice_has_prefix(bytes, preface) ? PEER_FIRST_MEMBER
                                            : PEER_FIRST_VERSION;
}

/* ---- greeting and answer ------------------------------------------------- */

static void append_u64(struct buf *out, uint64_t number)
{
    put_le64(buf_extend(out, 8), number);
}

static void append_text(struct buf *out, struct slice text)
{
    char size[VARINT_BYTES_MAX];
    buf_append(out, size, put_varint(size, text.size));
    buf_append_slice(out, text);
}

/* Makes room for a frame's head; end_frame fills it in. */
static size_t begin_frame(struct buf *out)
{
    (void)buf_extend(out, PEER_FRAME_HEAD_BYTES);
    return out->size;
}

static void end_frame(struct buf *out, size_t from)
{
    CHECK_LE(out->size - from, PEER_TALK_BYTES_MAX);
    peer_frame_head(out->at + from - PEER_FRAME_HEAD_BYTES, out->size - from);
}

void peer_greeting_encode(const struct peer_greeting *greeting, struct buf *out)
{
    buf_append_slice(out, SLICE(PEER_PREFACE));
    size_t from = begin_frame(out);
    buf_append_char(out, (char)greeting->kind);
    append_u64(out, greeting->cluster_id);
    append_u64(out, greeting->from);
    append_u64(out, greeting->to);
    append_text(out, greeting->version);
    append_text(out, greeting->peer_urls);
    append_text(out, greeting->snapshot);
    end_frame(out, from);
}

void peer_answer_encode(const struct peer_answer *answer, struct buf *out)
{
    size_t from = begin_frame(out);
    CHECK(answer->verdict >= PEER_OK && answer->verdict <= PEER_FAILED);
    buf_append_char(out, (char)answer->verdict);
    append_text(out, answer->text);
    append_text(out, answer->place);
    end_frame(out, from);
}

struct reader {
    const char *at;
    const char *end;
    bool bad;
};

static unsigned take_u8(struct reader *reader)
{
    if (reader->at == reader->end) {
        reader->bad = true;
        return 0;
    }
    return (unsigned char)*reader->at++;
}

static uint64_t take_u64(struct reader *reader)
{
    if (reader->end - reader->at < 8) {
        reader->bad = true;
        reader->at = reader->end;
        return 0;
    }
    reader->at += 8;
    return get_le64(reader->at - 8);
}

static struct slice take_text(struct reader *reader)
{
    uint64_t size;
    if (!get_varint(&reader->at, reader->end, &size) ||
        size > (size_t)(reader->end - reader->at)) {
        reader->bad = true;
        reader->at = reader->end;
        return slice_of(NULL, 0);
    }
    reader->at += size;
    return slice_of(reader->at - size, (size_t)size);
}

enum err peer_greeting_decode(struct slice frame, struct peer_greeting *out)
{
    struct reader reader = {.at = frame.at, .end = frame.at + frame.size};
    unsigned kind = take_u8(&reader);
    out->kind = (enum peer_kind)kind;
    out->cluster_id = take_u64(&reader);
    out->from = take_u64(&reader);
    out->to = take_u64(&reader);
    out->version = take_text(&reader);
    out->peer_urls = take_text(&reader);
    out->snapshot = take_text(&reader);
    if (reader.bad) {
        return err_set(ERR_CORRUPT, "a member's greeting is cut short");
    }
    if (kind != PEER_MESSAGES && kind != PEER_SNAPSHOT) {
        return err_set(ERR_CORRUPT, "a member's greeting is of kind %u", kind);
    }
    return ERR_OK;
}

enum err peer_answer_decode(struct slice frame, struct peer_answer *out)
{
    struct reader reader = {.at = frame.at, .end = frame.at + frame.size};
    unsigned verdict = take_u8(&reader);
    out->verdict = (enum peer_verdict)verdict;
    out->text = take_text(&reader);
    out->place = take_text(&reader);
    if (reader.bad) {
        return err_set(ERR_CORRUPT, "a member's answer is cut short");
    }
    if (verdict < PEER_OK || verdict > PEER_FAILED) {
        return err_set(ERR_CORRUPT, "a member's answer is %u", verdict);
    }
    return ERR_OK;
}

/* ---- cutting ------------------------------------------------------------- */

void peer_cutter_deinit(struct peer_cutter *cutter)
{
    refbuf_unref(cutter->frame);
    cutter->frame = NULL;
    cutter->head_size = 0;
    cutter->filled = 0;
}

/* Copies up to `want` bytes and returns how many. */
static size_t take(struct slice *input, char *to, size_t want)
{
    size_t size = input->size < want ? input->size : want;
    if (size > 0) {
        memcpy(to, input->at, size);
        input->at += size;
        input->size -= size;
    }
    return size;
}

/* The head is whole: the frame can be made. */
static enum err begin(struct peer_cutter *cutter)
{
    size_t size = get_le32(cutter->head);
    if (size == 0) {
        return err_set(ERR_CORRUPT, "a member sent an empty frame");
    }
    if (size > cutter->bytes_max) {
        return err_set(ERR_TOO_LARGE,
                       "a member sent a frame of %zu bytes, %zu are allowed",
                       size, cutter->bytes_max);
    }
    cutter->frame = refbuf_new(size);
    cutter->filled = 0;
    return ERR_OK;
}

enum err peer_cutter_next(struct peer_cutter *cutter, struct slice *input,
                          struct refbuf **out)
{
    *out = NULL;
    if (cutter->frame == NULL) {
        cutter->head_size += take(input, cutter->head + cutter->head_size,
                                  sizeof(cutter->head) - cutter->head_size);
        if (cutter->head_size < sizeof(cutter->head)) {
            return ERR_OK;
        }
        enum err err = begin(cutter);
        if (err != ERR_OK) {
            return err;
        }
    }
    struct refbuf *frame = cutter->frame;
    cutter->filled += take(input, frame->bytes + cutter->filled,
                           frame->size - cutter->filled);
    if (cutter->filled == frame->size) {
        *out = frame;
        cutter->frame = NULL;
        cutter->head_size = 0;
        cutter->filled = 0;
    }
    return ERR_OK;
}

char *peer_cutter_room(struct peer_cutter *cutter, size_t *size)
{
    if (cutter->frame == NULL) {
        *size = 0;
        return NULL;
    }
    *size = cutter->frame->size - cutter->filled;
    return cutter->frame->bytes + cutter->filled;
}

void peer_cutter_filled(struct peer_cutter *cutter, size_t size)
{
    CHECK(cutter->frame != NULL);
    CHECK_LE(size, cutter->frame->size - cutter->filled);
    cutter->filled += size;
}
