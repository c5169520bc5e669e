/* A connection between members, of any bytes: the first look, the greeting,
 * the answer, and frames. The stream is cut whole, in pieces whose size the
 * input chooses, and with direct reads: all three must agree. */
#include <stdint.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"
#include "wire/peer_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { FRAME_BYTES_MAX = 4096 };

static void check_greeting(struct slice frame)
{
    struct peer_greeting greeting;
    struct peer_greeting twin;
    struct buf again = {0};
    if (peer_greeting_decode(frame, &greeting) != ERR_OK)
        return;
    peer_greeting_encode(&greeting, &again);
    size_t from = PEER_PREFACE_BYTES + PEER_FRAME_HEAD_BYTES;
    enum err err = peer_greeting_decode(
        slice_of(again.at + from, again.size - from), &twin);
    CHECK_EQ(err, ERR_OK);
    CHECK(twin.kind == greeting.kind && twin.cluster_id == greeting.cluster_id);
    CHECK(twin.from == greeting.from && twin.to == greeting.to);
    CHECK(slice_eq(twin.version, greeting.version));
    CHECK(slice_eq(twin.peer_urls, greeting.peer_urls));
    CHECK(slice_eq(twin.snapshot, greeting.snapshot));
    buf_deinit(&again);
}

static void check_answer(struct slice frame)
{
    struct peer_answer answer;
    struct peer_answer twin;
    struct buf again = {0};
    if (peer_answer_decode(frame, &answer) != ERR_OK)
        return;
    peer_answer_encode(&answer, &again);
    enum err err =
        peer_answer_decode(slice_of(again.at + PEER_FRAME_HEAD_BYTES,
                                    again.size - PEER_FRAME_HEAD_BYTES),
                           &twin);
    CHECK_EQ(err, ERR_OK);
    CHECK_EQ(twin.verdict, answer.verdict);
    CHECK(slice_eq(twin.text, answer.text));
    CHECK(slice_eq(twin.place, answer.place));
    buf_deinit(&again);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Part of a begun frame is read straight to its place. */
static void read_direct(struct peer_cutter *cutter, struct slice *input)
{
    size_t room;
    char *to = peer_cutter_room(cutter, &room);
    size_t direct = least(room, input->size);
    if (direct > 0) {
        memcpy(to, input->at, direct);
        peer_cutter_filled(cutter, direct);
        input->at += direct;
        input->size -= direct;
    }
}

/* What comes out, and how it ended. */
static enum err cut(struct slice stream, size_t piece, bool direct,
                    struct buf *out)
{
    struct peer_cutter cutter = {.bytes_max = FRAME_BYTES_MAX};
    enum err err = ERR_OK;
    while (err == ERR_OK && stream.size > 0) {
        struct slice input = slice_of(stream.at, least(piece, stream.size));
        struct refbuf *frame;
        stream.at += input.size;
        stream.size -= input.size;
        if (direct)
            read_direct(&cutter, &input);
        do {
            err = peer_cutter_next(&cutter, &input, &frame);
            if (frame != NULL) {
                CHECK(err == ERR_OK && frame->size <= FRAME_BYTES_MAX);
                buf_append_u64(out, frame->size);
                buf_append_char(out, ':');
                buf_append(out, frame->bytes, frame->size);
                refbuf_unref(frame);
            }
        } while (frame != NULL);
        CHECK(err != ERR_OK || input.size == 0);
    }
    peer_cutter_deinit(&cutter);
    return err;
}

static void check_cutting(struct slice stream, size_t piece)
{
    struct buf whole = {0};
    enum err err = cut(stream, SIZE_MAX, false, &whole);
    CHECK(err == ERR_OK || err == ERR_CORRUPT || err == ERR_TOO_LARGE);
    for (int direct = 0; direct < 2; direct++) {
        struct buf pieces = {0};
        enum err same = cut(stream, piece, direct == 1, &pieces);
        CHECK_EQ(same, err);
        CHECK(slice_eq(buf_slice(&pieces), buf_slice(&whole)));
        buf_deinit(&pieces);
    }
    buf_deinit(&whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct slice input = slice_of(bytes, size);
    enum peer_first first = peer_first(input);
    CHECK(first != PEER_FIRST_MORE || size < PEER_PREFACE_BYTES);
    check_greeting(input);
    check_answer(input);
    if (first == PEER_FIRST_MEMBER) {
        input.at += PEER_PREFACE_BYTES;
        input.size -= PEER_PREFACE_BYTES;
        if (input.size > PEER_FRAME_HEAD_BYTES)
            check_greeting(slice_of(input.at + PEER_FRAME_HEAD_BYTES,
                                    input.size - PEER_FRAME_HEAD_BYTES));
    }
    if (input.size > 0)
        check_cutting(input, (size_t)(unsigned char)input.at[0] % 31 + 1);
    return 0;
}
