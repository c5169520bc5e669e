/* Messages as protobuf-c has them, in an arena: what comes in whole, what is
 * refused, and that every type's bytes come back. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/prng.h"
#include "proto/message.h"
#include "proto/pb.h"
#include "proto/rpc.pb-c.h"

static struct arena arena;
static struct buf bytes;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 1024 * 1024);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&arena);
    buf_deinit(&bytes);
    return 0;
}

#define TYPE(name) (&etcdserverpb__##name##__descriptor)

static void *decode(const ProtobufCMessageDescriptor *type, struct slice from)
{
    ProtobufCMessage *message;
    enum err err = message_decode(type, from, &arena, &message);
    if (err != ERR_OK) {
        fail_msg("%s", err_note());
    }
    assert_ptr_equal(message->descriptor, type);
    return message;
}

static void refuses(const ProtobufCMessageDescriptor *type, struct slice from)
{
    ProtobufCMessage *message;
    assert_int_equal(message_decode(type, from, &arena, &message), ERR_INVALID);
    assert_null(message);
    assert_non_null(strstr(err_note(), type->short_name));
}

static void a_message_comes_back(void **state)
{
    (void)state;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    put.key = message_data(SLICE("k\0ey"));
    put.value = message_data(SLICE("value"));
    put.lease = -1;
    put.prev_kv = true;
    message_encode(&put.base, &bytes);
    const Etcdserverpb__PutRequest *again =
        decode(TYPE(put_request), buf_slice(&bytes));
    assert_true(slice_eq(message_bytes(again->key), SLICE("k\0ey")));
    assert_true(slice_eq(message_bytes(again->value), SLICE("value")));
    assert_int_equal(again->lease, -1);
    assert_true(again->prev_kv && !again->ignore_lease);
}

static void encoding_appends(void **state)
{
    (void)state;
    Etcdserverpb__LeaseRevokeRequest revoke =
        ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    revoke.id = 5;
    buf_append_str(&bytes, "front");
    message_encode(&revoke.base, &bytes);
    assert_int_equal(bytes.size, 7);
    assert_memory_equal(bytes.at, "front\x08\x05", 7);
}

static void nothing_is_a_message_of_defaults(void **state)
{
    (void)state;
    const Etcdserverpb__RangeRequest *range =
        decode(TYPE(range_request), slice_of(NULL, 0));
    assert_int_equal(range->key.len, 0);
    assert_int_equal(range->limit, 0);
    const Etcdserverpb__AuthenticateRequest *login =
        decode(TYPE(authenticate_request), SLICE(""));
    assert_string_equal(login->name, "");
}

static void the_decoded_lives_without_its_bytes(void **state)
{
    (void)state;
    pb_put_bytes(&bytes, 1, SLICE("name"));
    const Etcdserverpb__AuthenticateRequest *login =
        decode(TYPE(authenticate_request), buf_slice(&bytes));
    memset(bytes.at, 'x', bytes.size);
    assert_string_equal(login->name, "name");
}

static void fields_nobody_knows_are_passed_over(void **state)
{
    (void)state;
    pb_put_bytes(&bytes, 1, SLICE("a"));
    pb_put_bytes(&bytes, 1000, SLICE("of a newer client"));
    pb_put_u64(&bytes, 1001, 7);
    pb_put_i64(&bytes, 3, 9);
    const Etcdserverpb__RangeRequest *range =
        decode(TYPE(range_request), buf_slice(&bytes));
    assert_true(slice_eq(message_bytes(range->key), SLICE("a")));
    assert_int_equal(range->limit, 9);
}

static void what_is_cut_or_torn_is_refused(void **state)
{
    (void)state;
    pb_put_bytes(&bytes, 1, SLICE("a key"));
    pb_put_i64(&bytes, 3, 1234567);
    for (size_t size = 1; size < bytes.size; size++) {
        if (size != 7) { /* the first field is whole */
            refuses(TYPE(range_request), slice_of(bytes.at, size));
        }
    }
    refuses(TYPE(range_request), SLICE("\xff\xff\xff"));
    refuses(TYPE(range_request), SLICE("\x08\x01")); /* a key is no number */
    refuses(TYPE(txn_request), SLICE("\x0a\x05\x0a"));
    /* A field of number 0, in two bytes. */
    refuses(TYPE(range_request), SLICE("\x80\x00\x05"));
    refuses(TYPE(status_request), SLICE("\x80\x00\x05"));
}

static void a_string_is_utf8_without_zeros(void **state)
{
    (void)state;
    pb_put_bytes(&bytes, 1, SLICE("ro\xc3\xb6t"));
    (void)decode(TYPE(authenticate_request), buf_slice(&bytes));
    buf_reset(&bytes);
    pb_put_bytes(&bytes, 1, SLICE("root\0x"));
    refuses(TYPE(authenticate_request), buf_slice(&bytes));
    buf_reset(&bytes);
    pb_put_bytes(&bytes, 1, SLICE("ro\xc3"));
    refuses(TYPE(authenticate_request), buf_slice(&bytes));
    /* Further down as well: a user's options have none, a member has. */
    struct buf member = {0};
    buf_reset(&bytes);
    pb_put_bytes(&member, 2, SLICE("\xff"));
    pb_put_bytes(&bytes, 2, buf_slice(&member));
    refuses(TYPE(member_list_response), buf_slice(&bytes));
    buf_deinit(&member);
}

/* A txn in a txn, so often. */
static void nest(int depth)
{
    struct buf op = {0};
    buf_reset(&bytes);
    for (int i = 0; i < depth; i++) {
        buf_reset(&op);
        pb_put_bytes_always(&op, 4, buf_slice(&bytes));
        buf_reset(&bytes);
        pb_put_bytes_always(&bytes, 2, buf_slice(&op));
    }
    buf_deinit(&op);
}

static void messages_lie_in_each_other_only_so_deep(void **state)
{
    (void)state;
    nest(MESSAGE_DEPTH_MAX / 2);
    const Etcdserverpb__TxnRequest *txn =
        decode(TYPE(txn_request), buf_slice(&bytes));
    int depth = 0;
    while (txn->n_success > 0) {
        txn = txn->success[0]->request_txn;
        depth++;
    }
    assert_int_equal(depth, MESSAGE_DEPTH_MAX / 2);
    nest(MESSAGE_DEPTH_MAX / 2 + 1);
    refuses(TYPE(txn_request), buf_slice(&bytes));
    nest(20000);
    refuses(TYPE(txn_request), buf_slice(&bytes));
}

static void the_arena_bounds_what_few_bytes_can_cost(void **state)
{
    struct arena small;
    ProtobufCMessage *message;
    (void)state;
    for (int i = 0; i < 100000; i++) {
        pb_put_bytes_always(&bytes, 2, SLICE("")); /* an empty operation */
    }
    arena_init(&small, 1024 * 1024);
    assert_int_equal(
        message_decode(TYPE(txn_request), buf_slice(&bytes), &small, &message),
        ERR_NO_MEMORY);
    assert_null(message);
    arena_deinit(&small);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    nest(3);
    for (uint64_t n = 1;; n++) {
        ProtobufCMessage *message;
        mem_fail_after(n);
        enum err err = message_decode(TYPE(txn_request), buf_slice(&bytes),
                                      &arena, &message);
        mem_fail_after(0);
        if (err == ERR_OK) {
            assert_true(n > 3);
            return;
        }
        assert_int_equal(err, ERR_NO_MEMORY);
    }
}

static void random_bytes_never_hurt(void **state)
{
    static const ProtobufCMessageDescriptor *const types[] = {
        TYPE(txn_request), TYPE(watch_request), TYPE(auth_user_add_request),
        TYPE(member_add_request)};
    struct prng prng;
    char text[40];
    unsigned taken = 0;
    (void)state;
    prng_init(&prng, 99);
    for (int i = 0; i < 20000; i++) {
        ProtobufCMessage *message;
        size_t size = (size_t)prng_below(&prng, sizeof(text));
        for (size_t at = 0; at < size; at++) {
            text[at] = (char)prng_below(&prng, 30);
        }
        arena_reset(&arena);
        enum err err = message_decode(types[i % 4], slice_of(text, size),
                                      &arena, &message);
        if (err == ERR_OK) {
            taken++;
            buf_reset(&bytes);
            message_encode(message, &bytes);
            (void)decode(types[i % 4], buf_slice(&bytes));
        }
    }
    assert_true(taken > 100);
}

static void the_descriptors_of_all_files_are_there(void **state)
{
    static const char *const names[] = {
        "proto/rpc.proto",  "proto/kv.proto",       "proto/auth.proto",
        "proto/lock.proto", "proto/election.proto", "proto/history.proto",
        "proto/quota.proto"};
    struct pb_reader files;
    struct pb_field file;
    unsigned found = 0;
    (void)state;
    pb_reader_init(&files, message_descriptors());
    while (pb_next(&files, &file)) {
        struct pb_reader fields;
        struct pb_field field;
        pb_reader_init(&fields, file.bytes);
        while (pb_next(&fields, &field) && field.number != 1) {
        }
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            found += slice_eq(field.bytes, slice_str(names[i]));
        }
    }
    assert_false(files.failed);
    assert_int_equal(found, sizeof(names) / sizeof(names[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        STORY(a_message_comes_back),
        STORY(encoding_appends),
        STORY(nothing_is_a_message_of_defaults),
        STORY(the_decoded_lives_without_its_bytes),
        STORY(fields_nobody_knows_are_passed_over),
        STORY(what_is_cut_or_torn_is_refused),
        STORY(a_string_is_utf8_without_zeros),
        STORY(messages_lie_in_each_other_only_so_deep),
        STORY(the_arena_bounds_what_few_bytes_can_cost),
        STORY(every_allocation_may_fail),
        STORY(random_bytes_never_hurt),
        STORY(the_descriptors_of_all_files_are_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
