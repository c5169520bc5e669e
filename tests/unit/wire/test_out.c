/* What waits to be sent, against a twin that simply keeps all bytes. */
#include "harness.h"

#include "base/prng.h"
#include "wire/out_int.h"
#include "wire/spare_int.h"

static struct slice twin_rest(const struct buf *twin, size_t sent)
{
    return twin->at ? slice_of(twin->at + sent, twin->size - sent) : SLICE("");
}

static void compare(const struct out *out, struct slice rest)
{
    static struct slice slices[4096];
    assert_int_equal(out__size(out), rest.size);
    size_t count = out__slices(out, slices, 4096);
    assert_true(count < 4096);
    for (size_t i = 0; i < count; i++) {
        assert_true(slices[i].size > 0 && slices[i].size <= rest.size);
        assert_memory_equal(slices[i].at, rest.at, slices[i].size);
        rest.at += slices[i].size;
        rest.size -= slices[i].size;
    }
    assert_int_equal(rest.size, 0);
}

static void append_some(struct out *out, struct buf *twin, struct prng *prng)
{
    size_t size = (size_t)prng_below(prng, 200);
    struct refbuf *piece = refbuf_new(size);
    for (size_t i = 0; i < size; i++)
        piece->bytes[i] = (char)prng_below(prng, 256);
    switch (prng_below(prng, 5)) {
    case 0:
        out__append_shared(out, piece);
        break;
    case 4: { /* the same in two parts, with nothing between them */
        size_t half = (size_t)prng_below(prng, size + 1);
        out__append_part(out, piece, 0, half);
        out__append_part(out, piece, half, half);
        out__append_part(out, piece, half, size);
        break;
    }
    case 1: {
        struct buf buf = {0};
        buf_append_str(&buf, "skipped");
        buf_append(&buf, piece->bytes, size);
        out__append_buf(out, &buf, 7);
        assert_null(buf.at);
        break;
    }
    case 2: {
        char *to = out__reserve(out, size + 10);
        memcpy(to, piece->bytes, size);
        out__wrote(out, to + size);
        break;
    }
    default:
        out__append(out, piece->bytes, size);
    }
    buf_append(twin, piece->bytes, size);
    refbuf_unref(piece);
}

static void random_appends_and_sends_match_a_twin(void **state)
{
    (void)state;
    spare__join();
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct prng prng;
        struct out out = {0};
        struct buf twin = {0};
        size_t sent = 0;
        prng_init(&prng, seed);
        for (int i = 0; i < 400; i++) {
            if (prng_below(&prng, 2 + seed % 2))
                append_some(&out, &twin, &prng);
            size_t waits = out__size(&out);
            size_t size = (size_t)prng_below(&prng, waits + 1);
            if (prng_below(&prng, 8) == 0)
                size = waits;
            out__sent(&out, size);
            sent += size;
            if (i % 8 == 0)
                compare(&out, twin_rest(&twin, sent));
        }
        out__clear(&out);
        assert_int_equal(out__size(&out), 0);
        buf_deinit(&twin);
    }
    spare__leave();
}

static void an_empty_one_holds_nothing(void **state)
{
    (void)state;
    struct out out = {0};
    struct refbuf *piece = refbuf_dup("shared", 6);
    spare__join();
    out__append(&out, "own", 3);
    for (int i = 0; i < 20; i++)
        out__append_shared(&out, piece);
    assert_int_equal(atomic_load(&piece->refs), 21);
    out__sent(&out, 3 + 19 * 6 + 5);
    assert_int_equal(out__size(&out), 1);
    assert_int_equal(atomic_load(&piece->refs), 2);
    out__sent(&out, 1);
    assert_null(out.text.at);
    assert_null(out.pieces);
    assert_int_equal(atomic_load(&piece->refs), 1);
    refbuf_unref(piece);
    spare__leave();
}

/* A reader that is always a little behind must not make the text grow. */
static void what_is_sent_gives_its_room_back(void **state)
{
    (void)state;
    struct out out = {0};
    spare__join();
    for (int i = 0; i < 10000; i++) {
        out__append(&out, "0123456789", 10);
        out__sent(&out, i ? 10 : 5);
    }
    assert_int_equal(out__size(&out), 5);
    assert_true(out.text.capacity <= 128);
    out__clear(&out);
    spare__leave();
}

static void the_larger_buffer_is_the_spare_one(void **state)
{
    (void)state;
    spare__join();
    struct buf small = {0}, large = {0}, huge = {0};
    buf_reserve(&small, 100);
    buf_reserve(&large, 5000);
    buf_reserve(&huge, SPARE_BUF_BYTES_MAX + 1);
    spare__give_buf(&small);
    spare__give_buf(&large);
    spare__give_buf(&huge);
    assert_null(large.at);
    struct buf got = spare__take_buf();
    assert_int_equal(got.size, 0);
    /* With AddressSanitizer nothing is kept. */
    assert_true(got.at == NULL || got.capacity >= 5000);
    assert_true(got.capacity <= SPARE_BUF_BYTES_MAX);
    assert_null(spare__take_buf().at);
    buf_deinit(&got);
    spare__leave();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_appends_and_sends_match_a_twin),
        cmocka_unit_test(an_empty_one_holds_nothing),
        cmocka_unit_test(what_is_sent_gives_its_room_back),
        cmocka_unit_test(the_larger_buffer_is_the_spare_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
