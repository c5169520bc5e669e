/* gRPC's framing, timeouts, texts and compression. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/prng.h"
#include "wire/grpc.h"

static void append_message(struct buf *out, struct slice message,
                           bool compressed)
{
    char prefix[GRPC_PREFIX_BYTES];
    grpc_prefix(prefix, message.size, compressed);
    buf_append(out, prefix, sizeof(prefix));
    buf_append_slice(out, message);
}

static void expect_message(struct grpc_reader *reader, struct slice *piece,
                           struct slice expected)
{
    struct slice message;
    assert_int_equal(grpc_read(reader, piece, &message), ERR_OK);
    assert_true(slice_eq(message, expected));
}

/* ---- messages -------------------------------------------------------- */

static void a_prefix_is_a_flag_and_a_length(void **state)
{
    char prefix[GRPC_PREFIX_BYTES];
    (void)state;
    grpc_prefix(prefix, 0x01020304, true);
    assert_memory_equal(prefix, "\1\1\2\3\4", 5);
    grpc_prefix(prefix, 0, false);
    assert_memory_equal(prefix, "\0\0\0\0\0", 5);
}

static void messages_that_lie_whole_are_not_copied(void **state)
{
    struct grpc_reader reader = {.message_bytes_max = 100};
    struct buf body = {0};
    struct slice message;
    (void)state;
    append_message(&body, SLICE("one"), false);
    append_message(&body, SLICE(""), false);
    append_message(&body, SLICE("three"), false);
    struct slice piece = buf_slice(&body);
    assert_int_equal(grpc_read(&reader, &piece, &message), ERR_OK);
    assert_ptr_equal(message.at, body.at + GRPC_PREFIX_BYTES);
    expect_message(&reader, &piece, SLICE(""));
    expect_message(&reader, &piece, SLICE("three"));
    assert_int_equal(grpc_read(&reader, &piece, &message), ERR_END);
    assert_true(grpc_reader_is_idle(&reader));
    assert_int_equal(reader.partial.capacity, 0);
    grpc_reader_deinit(&reader);
    buf_deinit(&body);
}

/* The same messages whatever the pieces are. */
static void pieces_of_any_size_make_the_same_messages(void **state)
{
    enum { MESSAGES = 40 };
    struct prng prng;
    struct buf body = {0};
    size_t sizes[MESSAGES];
    char bytes[300];
    (void)state;
    prng_init(&prng, 5);
    memset(bytes, 'x', sizeof(bytes));
    for (int i = 0; i < MESSAGES; i++) {
        sizes[i] = (size_t)prng_below(&prng, sizeof(bytes));
        append_message(&body, slice_of(bytes, sizes[i]), false);
    }
    for (size_t most = 1; most < 700; most += 1 + most / 3) {
        struct grpc_reader reader = {.message_bytes_max = sizeof(bytes)};
        int count = 0;
        for (size_t at = 0; at < body.size;) {
            size_t size = 1 + (size_t)prng_below(&prng, most);
            size = size < body.size - at ? size : body.size - at;
            struct slice piece = slice_of(body.at + at, size);
            struct slice message;
            at += size;
            enum err err;
            while ((err = grpc_read(&reader, &piece, &message)) == ERR_OK) {
                assert_in_range(count, 0, MESSAGES - 1);
                assert_int_equal(message.size, sizes[count]);
                count++;
            }
            assert_int_equal(err, ERR_END);
            assert_int_equal(piece.size, 0);
        }
        assert_int_equal(count, MESSAGES);
        assert_true(grpc_reader_is_idle(&reader));
        grpc_reader_deinit(&reader);
    }
    buf_deinit(&body);
}

static void a_message_in_part_is_not_idle(void **state)
{
    struct grpc_reader reader = {.message_bytes_max = 100};
    struct slice piece = slice_of("\0\0\0\0\2a", 6);
    struct slice message;
    (void)state;
    assert_int_equal(grpc_read(&reader, &piece, &message), ERR_END);
    assert_int_equal(piece.size, 0);
    assert_false(grpc_reader_is_idle(&reader));
    piece = SLICE("bc");
    expect_message(&reader, &piece, SLICE("ab"));
    assert_int_equal(piece.size, 1);
    assert_true(grpc_reader_is_idle(&reader));
    grpc_reader_deinit(&reader);
}

/* A client that says it will send much has not made anyone set room aside. */
static void a_large_message_costs_what_has_come_of_it(void **state)
{
    struct grpc_reader reader = {.message_bytes_max = 1 << 30};
    char prefix[GRPC_PREFIX_BYTES];
    struct slice message;
    (void)state;
    grpc_prefix(prefix, 1 << 29, false);
    struct slice piece = slice_of(prefix, sizeof(prefix));
    assert_int_equal(grpc_read(&reader, &piece, &message), ERR_END);
    assert_in_range(reader.partial.capacity, 1, 4096);
    grpc_reader_deinit(&reader);
}

static void a_reader_gives_back_what_one_large_message_took(void **state)
{
    enum { LARGE = 1 << 20 };
    struct grpc_reader reader = {.message_bytes_max = LARGE};
    struct buf large = {0};
    struct slice message;
    (void)state;
    memset(buf_extend(&large, LARGE), 'x', LARGE);
    struct buf body = {0};
    append_message(&body, buf_slice(&large), false);
    struct slice first = slice_of(body.at, 7);
    struct slice rest = slice_of(body.at + 7, body.size - 7);
    assert_int_equal(grpc_read(&reader, &first, &message), ERR_END);
    expect_message(&reader, &rest, buf_slice(&large));
    struct slice small = slice_of("\0\0\0\0\1a", 6);
    expect_message(&reader, &small, SLICE("a"));
    assert_in_range(reader.partial.capacity, 0, 64 * 1024);
    buf_deinit(&large);
    buf_deinit(&body);
    grpc_reader_deinit(&reader);
}

static void what_is_too_large_is_known_by_its_prefix(void **state)
{
    struct grpc_reader reader = {.message_bytes_max = 4};
    struct slice piece = slice_of("\0\0\0\0\5", 5);
    struct slice message;
    (void)state;
    assert_int_equal(grpc_read(&reader, &piece, &message), ERR_TOO_LARGE);
    assert_string_equal(err_note(), "5 vs. 4");
    piece = slice_of("\0\0", 2);
    assert_int_equal(grpc_read(&reader, &piece, &message), ERR_END);
    piece = slice_of("\0\0\5", 3);
    assert_int_equal(grpc_read(&reader, &piece, &message), ERR_TOO_LARGE);
    grpc_reader_deinit(&reader);
}

static void a_flag_is_nought_or_one(void **state)
{
    struct grpc_reader reader = {.message_bytes_max = 4};
    struct slice piece = slice_of("\2\0\0\0\0", 5);
    struct slice message;
    (void)state;
    assert_int_equal(grpc_read(&reader, &piece, &message), ERR_CORRUPT);
    piece = slice_of("\1\0\0\0\0", 5);
    assert_int_equal(grpc_read(&reader, &piece, &message), ERR_UNSUPPORTED);
    grpc_reader_deinit(&reader);
}

/* ---- compression ----------------------------------------------------- */

static void what_is_deflated_is_inflated(void **state)
{
    struct prng prng;
    (void)state;
    prng_init(&prng, 9);
    for (size_t size = 0; size < 100000; size = size * 3 + 1) {
        struct buf plain = {0};
        struct buf small = {0};
        struct buf again = {0};
        for (size_t i = 0; i < size; i++) {
            buf_append_char(&plain, (char)prng_below(&prng, 5));
        }
        buf_append_str(&again, "front");
        grpc_deflate(&small, buf_slice(&plain));
        assert_int_equal(grpc_inflate(&again, buf_slice(&small), size), ERR_OK);
        assert_int_equal(again.size, size + 5);
        assert_true(slice_eq(slice_of(again.at + 5, size), buf_slice(&plain)));
        buf_deinit(&plain);
        buf_deinit(&small);
        buf_deinit(&again);
    }
}

static void a_bomb_stops_at_its_bound(void **state)
{
    enum { BYTES = 4 << 20 };
    struct buf plain = {0};
    struct buf small = {0};
    struct buf again = {0};
    (void)state;
    memset(buf_extend(&plain, BYTES), 0, BYTES);
    grpc_deflate(&small, buf_slice(&plain));
    assert_in_range(small.size, 1, 10000);
    assert_int_equal(grpc_inflate(&again, buf_slice(&small), 100000),
                     ERR_TOO_LARGE);
    assert_in_range(again.capacity, 0, 512 * 1024);
    buf_deinit(&plain);
    buf_deinit(&small);
    buf_deinit(&again);
}

static void what_is_no_gzip_is_corrupt(void **state)
{
    struct buf small = {0};
    struct buf again = {0};
    (void)state;
    grpc_deflate(&small, SLICE("what is said thrice is true"));
    for (size_t cut = 0; cut < small.size; cut++) {
        assert_int_equal(grpc_inflate(&again, slice_of(small.at, cut), 1000),
                         ERR_CORRUPT);
    }
    buf_append_str(&small, "more");
    assert_int_equal(grpc_inflate(&again, buf_slice(&small), 1000),
                     ERR_CORRUPT);
    assert_int_equal(grpc_inflate(&again, SLICE("plain text"), 1000),
                     ERR_CORRUPT);
    buf_deinit(&small);
    buf_deinit(&again);
}

static void compressed_messages_are_read_in_pieces_too(void **state)
{
    struct grpc_reader reader = {
        .message_bytes_max = 100,
        .may_inflate = true,
    };
    struct buf small = {0};
    struct buf body = {0};
    struct slice message;
    (void)state;
    grpc_deflate(&small, SLICE("squeezed"));
    append_message(&body, buf_slice(&small), true);
    append_message(&body, buf_slice(&small), true);
    append_message(&body, SLICE("plain"), false);
    struct slice first = slice_of(body.at, 9);
    struct slice rest = slice_of(body.at + 9, body.size - 9);
    assert_int_equal(grpc_read(&reader, &first, &message), ERR_END);
    expect_message(&reader, &rest, SLICE("squeezed"));
    expect_message(&reader, &rest, SLICE("squeezed"));
    expect_message(&reader, &rest, SLICE("plain"));
    grpc_reader_deinit(&reader);
    buf_deinit(&small);
    buf_deinit(&body);
}

/* ---- timeouts, texts ------------------------------------------------- */

static void timeouts_are_rounded_up_to_milliseconds(void **state)
{
    static const struct {
        const char *text;
        int64_t ms; /* -1: none */
    } cases[] = {
        {"1H", 3600000}, {"2M", 120000},
        {"3S", 3000},    {"4m", 4},
        {"5u", 1},       {"6n", 1},
        {"1000u", 1},    {"1001u", 2},
        {"0S", 0},       {"99999999H", INT64_C(359999996400000)},
        {"", -1},        {"S", -1},
        {"5", -1},       {"5x", -1},
        {"-5S", -1},     {"123456789S", -1},
        {"1 S", -1},     {"5s", -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t ms = -1;
        bool good = grpc_timeout_parse(slice_str(cases[i].text), &ms);
        assert_int_equal(good, cases[i].ms >= 0);
        assert_int_equal(ms, cases[i].ms);
    }
}

static void texts_survive_their_way(void **state)
{
    static const struct {
        const char *plain;
        const char *encoded;
    } cases[] = {
        {"etcdserver: key is not provided", "etcdserver: key is not provided"},
        {"100%", "100%25"},
        {"a\nb", "a%0Ab"},
        {"\xc3\xa9~\x7f", "%C3%A9~%7F"},
        {"", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf encoded = {0};
        struct buf decoded = {0};
        grpc_text_encode(&encoded, slice_str(cases[i].plain));
        assert_true(slice_eq(buf_slice(&encoded), slice_str(cases[i].encoded)));
        grpc_text_decode(&decoded, buf_slice(&encoded));
        assert_true(slice_eq(buf_slice(&decoded), slice_str(cases[i].plain)));
        buf_deinit(&encoded);
        buf_deinit(&decoded);
    }
}

static void what_is_badly_encoded_stays_as_it_is(void **state)
{
    struct buf decoded = {0};
    (void)state;
    grpc_text_decode(&decoded, SLICE("100% of %4 %zz %41 %c3%a9 %"));
    assert_true(
        slice_eq(buf_slice(&decoded), SLICE("100% of %4 %zz A \xc3\xa9 %")));
    buf_deinit(&decoded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prefix_is_a_flag_and_a_length),
        cmocka_unit_test(messages_that_lie_whole_are_not_copied),
        cmocka_unit_test(pieces_of_any_size_make_the_same_messages),
        cmocka_unit_test(a_message_in_part_is_not_idle),
        cmocka_unit_test(a_large_message_costs_what_has_come_of_it),
        cmocka_unit_test(a_reader_gives_back_what_one_large_message_took),
        cmocka_unit_test(what_is_too_large_is_known_by_its_prefix),
        cmocka_unit_test(a_flag_is_nought_or_one),
        cmocka_unit_test(what_is_deflated_is_inflated),
        cmocka_unit_test(a_bomb_stops_at_its_bound),
        cmocka_unit_test(what_is_no_gzip_is_corrupt),
        cmocka_unit_test(compressed_messages_are_read_in_pieces_too),
        cmocka_unit_test(timeouts_are_rounded_up_to_milliseconds),
        cmocka_unit_test(texts_survive_their_way),
        cmocka_unit_test(what_is_badly_encoded_stays_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
