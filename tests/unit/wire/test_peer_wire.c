/* What members say to each other: who is there, greetings, answers, and the
 * cutting of a stream into frames. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "wire/peer_wire.h"

static struct slice text(const char *chars)
{
    return slice_str(chars);
}

static void assert_text(struct slice is, const char *wanted)
{
    assert_int_equal(is.size, strlen(wanted));
    assert_memory_equal(is.at, wanted, is.size);
}

/* ---- who is there -------------------------------------------------------- */

static void test_a_member_is_told_from_http(void **state)
{
    (void)state;
    assert_int_equal(peer_first(text("ETCHED-PEER/1\r\nmore")),
                     PEER_FIRST_MEMBER);
    assert_int_equal(peer_first(text("ETCHED-PEER/1\r\n")), PEER_FIRST_MEMBER);
    static const char *const others[] = {
        "GET /members HTTP/1.1\r\n",
        "G",
        "EXPECT / HTTP/1.1\r\n",
        "ETCHED-PEER / HTTP/1.1",
        "etched-peer/1\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01",
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(peer_first(text(others[i])), PEER_FIRST_HTTP);
    }
}

static void test_every_beginning_of_the_preface_is_too_short(void **state)
{
    struct slice preface = SLICE(PEER_PREFACE);
    (void)state;
    for (size_t size = 0; size < preface.size; size++) {
        assert_int_equal(peer_first(slice_of(preface.at, size)),
                         PEER_FIRST_MORE);
    }
    assert_int_equal(peer_first(slice_of(NULL, 0)), PEER_FIRST_MORE);
}

static void test_another_version_is_not_http(void **state)
{
    (void)state;
    assert_int_equal(peer_first(text("ETCHED-PEER/2\r\n")), PEER_FIRST_VERSION);
    assert_int_equal(peer_first(text("ETCHED-PEER/10\r\n")),
                     PEER_FIRST_VERSION);
    assert_int_equal(peer_first(text("ETCHED-PEER/1\n\n")), PEER_FIRST_VERSION);
}

/* ---- greeting and answer ------------------------------------------------- */

static const struct peer_greeting greeting = {
    .kind = PEER_SNAPSHOT,
    .cluster_id = 0x1122334455667788,
    .from = 0xa1,
    .to = UINT64_MAX,
    .version = {"0.1.0", 5},
    .peer_urls = {"http://a:1,http://b:2", 21},
    .snapshot = {"\0\1\2", 3},
};

/* The frame's bytes, behind the preface and the head. */
static struct slice body_of(const struct buf *encoded, size_t before)
{
    size_t from = before + PEER_FRAME_HEAD_BYTES;
    assert_int_equal(get_le32(encoded->at + before), encoded->size - from);
    return slice_of(encoded->at + from, encoded->size - from);
}

static void test_a_greeting_comes_over(void **state)
{
    struct buf out = {0};
    struct peer_greeting got;
    (void)state;
    peer_greeting_encode(&greeting, &out);
    assert_memory_equal(out.at, PEER_PREFACE, PEER_PREFACE_BYTES);
    assert_int_equal(
        peer_greeting_decode(body_of(&out, PEER_PREFACE_BYTES), &got), ERR_OK);
    assert_int_equal(got.kind, PEER_SNAPSHOT);
    assert_true(got.cluster_id == greeting.cluster_id);
    assert_true(got.from == 0xa1 && got.to == UINT64_MAX);
    assert_text(got.version, "0.1.0");
    assert_text(got.peer_urls, "http://a:1,http://b:2");
    assert_true(slice_eq(got.snapshot, greeting.snapshot));
    buf_deinit(&out);
}

/* The format, byte by byte: it is spoken by other versions too. */
static void test_the_bytes_of_a_greeting_are_these(void **state)
{
    static const struct peer_greeting small = {.kind = PEER_MESSAGES,
                                               .cluster_id = 1,
                                               .from = 2,
                                               .to = 3,
                                               .version = {"v", 1}};
    static const char wanted[] = "ETCHED-PEER/1\r\n"
                                 "\x1d\0\0\0"
                                 "\1"
                                 "\1\0\0\0\0\0\0\0"
                                 "\2\0\0\0\0\0\0\0"
                                 "\3\0\0\0\0\0\0\0"
                                 "\1v"
                                 "\0"
                                 "\0";
    struct buf out = {0};
    (void)state;
    peer_greeting_encode(&small, &out);
    assert_int_equal(out.size, sizeof(wanted) - 1);
    assert_memory_equal(out.at, wanted, out.size);
    buf_deinit(&out);
}

static void test_a_greeting_cut_short_is_refused(void **state)
{
    struct buf out = {0};
    struct peer_greeting got;
    (void)state;
    peer_greeting_encode(&greeting, &out);
    struct slice body = body_of(&out, PEER_PREFACE_BYTES);
    for (size_t size = 0; size < body.size; size++) {
        /* A copy of its own, so that a read beyond it is seen. */
        char *copy = mem_dup(body.at, size);
        assert_int_equal(peer_greeting_decode(slice_of(copy, size), &got),
                         ERR_CORRUPT);
        mem_free(copy);
    }
    buf_deinit(&out);
}

static void test_fields_of_later_versions_are_passed_over(void **state)
{
    struct buf out = {0};
    struct peer_greeting got;
    (void)state;
    peer_greeting_encode(&greeting, &out);
    buf_append_str(&out, "something new");
    size_t from = PEER_PREFACE_BYTES + PEER_FRAME_HEAD_BYTES;
    assert_int_equal(
        peer_greeting_decode(slice_of(out.at + from, out.size - from), &got),
        ERR_OK);
    assert_text(got.version, "0.1.0");
    buf_deinit(&out);
}

static void test_an_unknown_kind_is_refused(void **state)
{
    struct buf out = {0};
    struct peer_greeting got;
    (void)state;
    peer_greeting_encode(&greeting, &out);
    struct slice body = body_of(&out, PEER_PREFACE_BYTES);
    static const char kinds[] = {0, 3, (char)0xff};
    for (size_t i = 0; i < sizeof(kinds); i++) {
        out.at[PEER_PREFACE_BYTES + PEER_FRAME_HEAD_BYTES] = kinds[i];
        assert_int_equal(peer_greeting_decode(body, &got), ERR_CORRUPT);
    }
    buf_deinit(&out);
}

static void test_an_answer_comes_over(void **state)
{
    (void)state;
    for (int verdict = PEER_OK; verdict <= PEER_FAILED; verdict++) {
        struct buf out = {0};
        struct peer_answer got;
        struct peer_answer said = {.verdict = (enum peer_verdict)verdict,
                                   .text = SLICE("why"),
                                   .place = SLICE("\0key")};
        peer_answer_encode(&said, &out);
        assert_int_equal(peer_answer_decode(body_of(&out, 0), &got), ERR_OK);
        assert_int_equal(got.verdict, verdict);
        assert_text(got.text, "why");
        assert_true(slice_eq(got.place, said.place));
        buf_deinit(&out);
    }
}

static void test_a_bad_answer_is_refused(void **state)
{
    struct peer_answer got;
    (void)state;
    assert_int_equal(peer_answer_decode(SLICE(""), &got), ERR_CORRUPT);
    assert_int_equal(peer_answer_decode(SLICE("\1"), &got), ERR_CORRUPT);
    assert_int_equal(peer_answer_decode(SLICE("\1\0"), &got), ERR_CORRUPT);
    assert_int_equal(peer_answer_decode(SLICE("\1\5abc\0"), &got), ERR_CORRUPT);
    assert_int_equal(peer_answer_decode(SLICE("\0\0\0"), &got), ERR_CORRUPT);
    assert_int_equal(peer_answer_decode(SLICE("\10\0\0"), &got), ERR_CORRUPT);
    assert_int_equal(peer_answer_decode(SLICE("\1\0\0"), &got), ERR_OK);
}

/* A size near 2^64 must not wrap round. */
static void test_a_text_of_a_monstrous_size_is_refused(void **state)
{
    struct peer_answer got;
    (void)state;
    assert_int_equal(
        peer_answer_decode(SLICE("\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\1abc"),
                           &got),
        ERR_CORRUPT);
}

/* ---- cutting ------------------------------------------------------------- */

static void append_frame(struct buf *out, const char *bytes)
{
    size_t size = strlen(bytes);
    peer_frame_head(buf_extend(out, PEER_FRAME_HEAD_BYTES), size);
    buf_append(out, bytes, size);
}

/* Gives the stream in pieces; what comes out is joined with '|'. */
static void cut_in_pieces(struct slice stream, size_t piece, struct buf *out)
{
    struct peer_cutter cutter = {.bytes_max = 64};
    for (size_t at = 0; at < stream.size; at += piece) {
        size_t left = stream.size - at;
        struct slice input =
            slice_of(stream.at + at, left < piece ? left : piece);
        struct refbuf *frame;
        do {
            assert_int_equal(peer_cutter_next(&cutter, &input, &frame), ERR_OK);
            if (frame != NULL) {
                buf_append(out, frame->bytes, frame->size);
                buf_append_char(out, '|');
                refbuf_unref(frame);
            }
        } while (frame != NULL);
        assert_int_equal(input.size, 0);
    }
    peer_cutter_deinit(&cutter);
}

static void test_frames_come_out_however_they_came_in(void **state)
{
    struct buf stream = {0};
    (void)state;
    append_frame(&stream, "one");
    append_frame(&stream, "t");
    append_frame(&stream, "a third one that is a little longer");
    append_frame(&stream, "last");
    for (size_t piece = 1; piece <= stream.size; piece++) {
        struct buf got = {0};
        cut_in_pieces(buf_slice(&stream), piece, &got);
        assert_text(buf_slice(&got),
                    "one|t|a third one that is a little longer|last|");
        buf_deinit(&got);
    }
    buf_deinit(&stream);
}

static void test_a_begun_frame_is_read_to_its_place(void **state)
{
    struct peer_cutter cutter = {.bytes_max = 100};
    struct refbuf *frame = NULL;
    size_t room = 77;
    (void)state;
    assert_null(peer_cutter_room(&cutter, &room));
    assert_int_equal(room, 0);
    struct slice input = SLICE("\12\0\0\0abc");
    assert_int_equal(peer_cutter_next(&cutter, &input, &frame), ERR_OK);
    assert_null(frame);

    char *to = peer_cutter_room(&cutter, &room);
    assert_int_equal(room, 7);
    memcpy(to, "def", 3);
    peer_cutter_filled(&cutter, 3);
    input = SLICE("");
    assert_int_equal(peer_cutter_next(&cutter, &input, &frame), ERR_OK);
    assert_null(frame);

    to = peer_cutter_room(&cutter, &room);
    assert_int_equal(room, 4);
    memcpy(to, "ghij", 4);
    peer_cutter_filled(&cutter, 4);
    input = SLICE("\1\0\0\0x");
    assert_int_equal(peer_cutter_next(&cutter, &input, &frame), ERR_OK);
    assert_text(slice_of(frame->bytes, frame->size), "abcdefghij");
    refbuf_unref(frame);
    assert_int_equal(peer_cutter_next(&cutter, &input, &frame), ERR_OK);
    assert_text(slice_of(frame->bytes, frame->size), "x");
    refbuf_unref(frame);
    assert_int_equal(input.size, 0);
    peer_cutter_deinit(&cutter);
}

static void test_a_frame_too_large_is_refused_at_its_head(void **state)
{
    struct peer_cutter cutter = {.bytes_max = 3};
    struct refbuf *frame = NULL;
    struct slice input = SLICE("\3\0\0\0abc\4\0\0\0");
    (void)state;
    assert_int_equal(peer_cutter_next(&cutter, &input, &frame), ERR_OK);
    assert_non_null(frame);
    refbuf_unref(frame);
    assert_int_equal(peer_cutter_next(&cutter, &input, &frame), ERR_TOO_LARGE);
    assert_null(frame);
    peer_cutter_deinit(&cutter);
}

static void test_an_empty_frame_is_refused(void **state)
{
    struct peer_cutter cutter = {.bytes_max = 3};
    struct refbuf *frame = NULL;
    struct slice input = SLICE("\0\0\0\0");
    (void)state;
    assert_int_equal(peer_cutter_next(&cutter, &input, &frame), ERR_CORRUPT);
    assert_null(frame);
    peer_cutter_deinit(&cutter);
}

/* A connection that ends in the middle of a frame leaves nothing behind: the
 * address sanitizer would tell. */
static void test_a_half_frame_is_let_go(void **state)
{
    struct peer_cutter cutter = {.bytes_max = 1000};
    struct refbuf *frame = NULL;
    struct slice input = SLICE("\144\0\0\0half");
    (void)state;
    assert_int_equal(peer_cutter_next(&cutter, &input, &frame), ERR_OK);
    assert_null(frame);
    peer_cutter_deinit(&cutter);
    /* And the next connection's can begin. */
    input = SLICE("\1\0\0\0y");
    assert_int_equal(peer_cutter_next(&cutter, &input, &frame), ERR_OK);
    assert_text(slice_of(frame->bytes, frame->size), "y");
    refbuf_unref(frame);
    peer_cutter_deinit(&cutter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_member_is_told_from_http),
        cmocka_unit_test(test_every_beginning_of_the_preface_is_too_short),
        cmocka_unit_test(test_another_version_is_not_http),
        cmocka_unit_test(test_a_greeting_comes_over),
        cmocka_unit_test(test_the_bytes_of_a_greeting_are_these),
        cmocka_unit_test(test_a_greeting_cut_short_is_refused),
        cmocka_unit_test(test_fields_of_later_versions_are_passed_over),
        cmocka_unit_test(test_an_unknown_kind_is_refused),
        cmocka_unit_test(test_an_answer_comes_over),
        cmocka_unit_test(test_a_bad_answer_is_refused),
        cmocka_unit_test(test_a_text_of_a_monstrous_size_is_refused),
        cmocka_unit_test(test_frames_come_out_however_they_came_in),
        cmocka_unit_test(test_a_begun_frame_is_read_to_its_place),
        cmocka_unit_test(test_a_frame_too_large_is_refused_at_its_head),
        cmocka_unit_test(test_an_empty_frame_is_refused),
        cmocka_unit_test(test_a_half_frame_is_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
