#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/prng.h"

static void assert_holds(const struct buf *buf, const char *expected)
{
    assert_int_equal(buf->size, strlen(expected));
    assert_memory_equal(buf->at, expected, buf->size);
}

static void an_empty_buffer_needs_no_memory(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_append(&buf, NULL, 0);
    buf_append_str(&buf, "");
    buf_append_slice(&buf, slice_of(NULL, 0));
    buf_consume(&buf, 0);
    buf_reset(&buf);
    buf_reserve(&buf, 0);
    assert_null(buf.at);
    assert_int_equal(buf_slice(&buf).size, 0);
    buf_deinit(&buf);
}

static void each_append_adds_its_text(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_append(&buf, "PUT ", 4);
    buf_append_slice(&buf, SLICE("/v2/keys"));
    buf_append_char(&buf, '/');
    buf_append_str(&buf, "a?ttl=");
    buf_append_u64(&buf, 60);
    buf_append_char(&buf, ' ');
    buf_append_i64(&buf, -5);
    buf_append_char(&buf, ' ');
    buf_append_hex(&buf, 0xCDF818194E3A8C32);
    buf_printf(&buf, " %s=%d", "n", 7);
    assert_holds(&buf, "PUT /v2/keys/a?ttl=60 -5 cdf818194e3a8c32 n=7");
    buf_deinit(&buf);
    assert_null(buf.at);
}

static void numbers_at_their_limits(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_append_u64(&buf, 0);
    buf_append_u64(&buf, UINT64_MAX);
    assert_holds(&buf, "018446744073709551615");
    buf_reset(&buf);
    buf_append_i64(&buf, INT64_MIN);
    buf_append_i64(&buf, INT64_MAX);
    buf_append_i64(&buf, 0);
    assert_holds(&buf, "-922337203685477580892233720368547758070");
    buf_reset(&buf);
    buf_append_hex(&buf, 0);
    buf_append_hex(&buf, 0x10);
    buf_append_hex(&buf, UINT64_MAX);
    assert_holds(&buf, "010ffffffffffffffff");
    buf_deinit(&buf);
}

/* The formatted text is tried in the room there is, and again where that was
 * too little, by a zero byte even. */
static void printf_fits_at_every_fill_level(void **state)
{
    (void)state;
    for (size_t before = 0; before < 140; before++) {
        for (int length = 0; length < 140; length += 3) {
            struct buf buf = {0};
            memset(buf_extend(&buf, before), 'b', before);
            buf_printf(&buf, "%*s", length, "");
            assert_int_equal(buf.size, before + (size_t)length);
            for (size_t i = 0; i < buf.size; i++)
                assert_int_equal(buf.at[i], i < before ? 'b' : ' ');
            buf_deinit(&buf);
        }
    }
}

static void consume_drops_from_the_front(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_append_str(&buf, "first second");
    buf_consume(&buf, 6);
    assert_holds(&buf, "second");
    buf_consume(&buf, 0);
    assert_holds(&buf, "second");
    buf_consume(&buf, 6);
    assert_int_equal(buf.size, 0);
    buf_append_str(&buf, "third");
    assert_holds(&buf, "third");
    buf_deinit(&buf);
}

static void reset_and_reserve_keep_the_memory(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_reserve(&buf, 1000);
    const char *place = buf.at;
    assert_int_equal(buf.size, 0);
    for (int i = 0; i < 1000; i++)
        buf_append_char(&buf, 'x');
    buf_reset(&buf);
    buf_append_str(&buf, "y");
    assert_ptr_equal(buf.at, place);
    buf_deinit(&buf);
}

static void extend_gives_room_to_write_in(void **state)
{
    (void)state;
    struct buf buf = {0};
    assert_non_null(buf_extend(&buf, 0));
    memcpy(buf_extend(&buf, 3), "abc", 3);
    memcpy(buf_extend(&buf, 3), "def", 3);
    assert_holds(&buf, "abcdef");
    buf_deinit(&buf);
}

/* Growth doubles: so many single appends move the bytes a few times only. */
static void growth_is_geometric(void **state)
{
    (void)state;
    struct buf buf = {0};
    int moves = 0;
    size_t capacity = 0;
    for (int i = 0; i < 1 << 20; i++) {
        buf_append_char(&buf, (char)i);
        moves += buf.capacity != capacity;
        capacity = buf.capacity;
    }
    assert_true(moves <= 20);
    for (int i = 0; i < 1 << 20; i++)
        assert_int_equal(buf.at[i], (char)i);
    buf_deinit(&buf);
}

enum { TWIN_BYTES_MAX = 1 << 16 };

struct twin {
    char at[TWIN_BYTES_MAX];
    size_t size;
};

static void random_step(struct prng *prng, struct buf *buf, struct twin *twin)
{
    char piece[200];
    size_t size = prng_below(prng, sizeof piece);
    memset(piece, (int)prng_below(prng, 256), size);
    switch (prng_below(prng, 4)) {
    case 0:
        buf_append(buf, piece, size);
        break;
    case 1:
        if (size)
            memcpy(buf_extend(buf, size), piece, size);
        break;
    case 2:
        for (size_t i = 0; i < size; i++)
            buf_append_char(buf, piece[i]);
        break;
    default:
        size = prng_below(prng, twin->size + 1);
        buf_consume(buf, size);
        memmove(twin->at, twin->at + size, twin->size - size);
        twin->size -= size;
        return;
    }
    memcpy(twin->at + twin->size, piece, size);
    twin->size += size;
}

static void random_operations_do_as_a_plain_array(void **state)
{
    (void)state;
    static struct twin twin;
    struct prng prng;
    prng_init(&prng, 2);
    struct buf buf = {0};
    for (int i = 0; i < 20000; i++) {
        if (twin.size + 200 > TWIN_BYTES_MAX) {
            buf_reset(&buf);
            twin.size = 0;
        }
        random_step(&prng, &buf, &twin);
        assert_int_equal(buf.size, twin.size);
        if (twin.size)
            assert_memory_equal(buf.at, twin.at, twin.size);
    }
    buf_deinit(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buffer_needs_no_memory),
        cmocka_unit_test(each_append_adds_its_text),
        cmocka_unit_test(numbers_at_their_limits),
        cmocka_unit_test(printf_fits_at_every_fill_level),
        cmocka_unit_test(consume_drops_from_the_front),
        cmocka_unit_test(reset_and_reserve_keep_the_memory),
        cmocka_unit_test(extend_gives_room_to_write_in),
        cmocka_unit_test(growth_is_geometric),
        cmocka_unit_test(random_operations_do_as_a_plain_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
