/* What is written by hand is what protobuf-c writes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "proto/message.h"
#include "txn/txn_int.h"

static const int64_t numbers[] = {
    0,         1,       127,       128,       16383,
    16384,     2097151, 2097152,   268435455, INT64_C(1) << 35,
    INT64_MAX, -1,      INT64_MIN,
};
enum { NUMBERS = sizeof numbers / sizeof numbers[0] };

static const size_t sizes[] = {0, 1, 126, 127, 128, 200, 16370, 16384, 70000};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static char letters[70000];

static struct record record_of(size_t i)
{
    return (struct record){
        .key = slice_of(letters, sizes[i % 3 + 1]),
        .value = slice_of(letters, sizes[i % SIZES]),
        .create = numbers[i % NUMBERS],
        .rev = {numbers[(i / 2) % NUMBERS], 3},
        .version = numbers[(i / 3) % NUMBERS],
        .lease = numbers[(i / 5) % NUMBERS],
    };
}

static Mvccpb__KeyValue pair_of(const struct record *record)
{
    Mvccpb__KeyValue pair = MVCCPB__KEY_VALUE__INIT;
    pair.key = message_data(record->key);
    pair.value = message_data(record->value);
    pair.create_revision = record->create;
    pair.mod_revision = record->rev.main;
    pair.version = record->version;
    pair.lease = record->lease;
    return pair;
}

static void assert_bytes(struct buf *got, struct buf *want)
{
    assert_int_equal(got->size, want->size);
    assert_true(slice_eq(buf_slice(got), buf_slice(want)));
    buf_reset(got);
    buf_reset(want);
}

static void a_key_value(void **state)
{
    (void)state;
    struct buf got = {0}, want = {0};
    for (size_t i = 0; i < 3 * NUMBERS * SIZES; i++) {
        struct record record = record_of(i);
        Mvccpb__KeyValue pair = pair_of(&record);
        Mvccpb__KeyValue *list[] = {&pair};
        Etcdserverpb__RangeResponse range = ETCDSERVERPB__RANGE_RESPONSE__INIT;
        range.kvs = list;
        range.n_kvs = 1;
        txn_key_value(&got, &record);
        message_encode(&pair.base, &want);
        assert_int_equal(txn_key_value_bytes(&record), want.size);
        assert_bytes(&got, &want);
        txn_put_key_value(&got, 2, &record);
        assert_int_equal(txn__kv_field_bytes(&record, false), got.size);
        message_encode(&range.base, &want);
        assert_bytes(&got, &want);
        pair.value = (ProtobufCBinaryData){0};
        txn__put_kv(&got, 2, &record, true);
        assert_int_equal(txn__kv_field_bytes(&record, true), got.size);
        message_encode(&range.base, &want);
        assert_bytes(&got, &want);
    }
    buf_deinit(&got);
    buf_deinit(&want);
}

static void a_field_with_a_great_number(void **state)
{
    (void)state;
    struct buf got = {0}, want = {0}, inner = {0};
    struct record record = record_of(1);
    txn_put_key_value(&got, 1000, &record);
    txn_key_value(&inner, &record);
    pb_put_bytes(&want, 1000, buf_slice(&inner));
    assert_bytes(&got, &want);
    buf_deinit(&inner);
    buf_deinit(&got);
    buf_deinit(&want);
}

static void an_event(void **state)
{
    (void)state;
    struct buf got = {0}, want = {0};
    struct record record = record_of(4), prev = record_of(8);
    Mvccpb__KeyValue pair = pair_of(&record), before = pair_of(&prev);
    Mvccpb__Event event = MVCCPB__EVENT__INIT;
    event.kv = &pair;
    txn_event(&got, &record, NULL);
    message_encode(&event.base, &want);
    assert_bytes(&got, &want);
    event.prev_kv = &before;
    txn_event(&got, &record, &prev);
    message_encode(&event.base, &want);
    assert_bytes(&got, &want);
    buf_deinit(&got);
    buf_deinit(&want);
}

static void an_event_with_its_cause(void **state)
{
    (void)state;
    struct buf got = {0}, want = {0};
    struct record record = record_of(4);
    Mvccpb__KeyValue pair = pair_of(&record);
    Mvccpb__Event event = MVCCPB__EVENT__INIT;
    event.kv = &pair;
    event.cause = (char *)(uintptr_t) "compareAndSwap";
    event.time_unix_nanos = INT64_C(1767225600000000000);
    record.cause = MVCC_COMPARE_AND_SWAP;
    record.time_ns = event.time_unix_nanos;
    txn_event(&got, &record, NULL);
    txn_event_cause(&got, &record);
    message_encode(&event.base, &want);
    assert_bytes(&got, &want);
    buf_deinit(&got);
    buf_deinit(&want);
}

static void the_end_of_a_key(void **state)
{
    (void)state;
    struct buf got = {0}, want = {0};
    struct record prev = record_of(8);
    struct record record = {
        .flags = MVCC_TOMBSTONE, .key = SLICE("a"), .rev = {7, 1}};
    Mvccpb__KeyValue pair = pair_of(&record), before = pair_of(&prev);
    Mvccpb__Event event = MVCCPB__EVENT__INIT;
    event.type = MVCCPB__EVENT__EVENT_TYPE__DELETE;
    event.kv = &pair;
    event.prev_kv = &before;
    txn_event(&got, &record, &prev);
    message_encode(&event.base, &want);
    assert_bytes(&got, &want);
    /* etcd stores no revision with it. */
    pair.mod_revision = 0;
    txn__stored_kv(&got, &record);
    message_encode(&pair.base, &want);
    assert_bytes(&got, &want);
    buf_deinit(&got);
    buf_deinit(&want);
}

static void a_field_whose_length_comes_last(void **state)
{
    (void)state;
    struct buf got = {0}, want = {0}, inner = {0};
    for (size_t i = 0; i < SIZES; i++) {
        buf_append_str(&got, "before");
        size_t outer_at = txn__field_begin(&got, 3);
        size_t inner_at = txn__field_begin(&got, 2);
        buf_append(&got, letters, sizes[i]);
        txn__field_end(&got, inner_at);
        txn__field_end(&got, outer_at);
        buf_reset(&inner);
        pb_put_bytes_always(&inner, 2, slice_of(letters, sizes[i]));
        buf_append_str(&want, "before");
        pb_put_bytes_always(&want, 3, buf_slice(&inner));
        assert_bytes(&got, &want);
    }
    buf_deinit(&inner);
    buf_deinit(&got);
    buf_deinit(&want);
}

static void a_header(void **state)
{
    (void)state;
    struct buf got = {0}, want = {0};
    for (size_t i = 0; i < NUMBERS; i++) {
        Etcdserverpb__ResponseHeader header =
            ETCDSERVERPB__RESPONSE_HEADER__INIT;
        Etcdserverpb__PutResponse put = ETCDSERVERPB__PUT_RESPONSE__INIT;
        header.revision = numbers[i];
        put.header = &header;
        txn__put_header(&got, numbers[i]);
        message_encode(&put.base, &want);
        assert_bytes(&got, &want);
    }
    buf_deinit(&got);
    buf_deinit(&want);
}

static void what_a_range_is_of(void **state)
{
    (void)state;
    struct slice from, end;
    bool single;
    txn_bounds(SLICE("a"), slice_of(NULL, 0), &from, &end, &single);
    assert_true(single && slice_eq(from, SLICE("a")));
    txn_bounds(SLICE("a"), SLICE("c"), &from, &end, &single);
    assert_true(!single && slice_eq(end, SLICE("c")));
    txn_bounds(SLICE("a"), slice_of("\0", 1), &from, &end, &single);
    assert_true(!single && end.at == NULL);
    txn_bounds(SLICE("a"), slice_of("\0\0", 2), &from, &end, &single);
    assert_true(!single && end.size == 2);
}

int main(void)
{
    memset(letters, 'x', sizeof letters);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_value),
        cmocka_unit_test(a_field_with_a_great_number),
        cmocka_unit_test(an_event),
        cmocka_unit_test(an_event_with_its_cause),
        cmocka_unit_test(the_end_of_a_key),
        cmocka_unit_test(a_field_whose_length_comes_last),
        cmocka_unit_test(a_header),
        cmocka_unit_test(what_a_range_is_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
