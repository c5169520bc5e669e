/* Messages as JSON, in and out: what etcd's gateway takes is taken, what it
 * writes is written, and what it refuses is refused with the place. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/prng.h"
#include "proto/rpc.pb-c.h"
#include "rpc/json_text.h"
#include "rpc/rpc_int.h"

static struct arena arena;
static struct buf out;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 16 * 1024 * 1024);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&arena);
    buf_deinit(&out);
    out = (struct buf){0};
    return 0;
}

#define TYPE(name) (&etcdserverpb__##name##__descriptor)

static ProtobufCMessage *read_text(const ProtobufCMessageDescriptor *type,
                                   struct slice text)
{
    ProtobufCMessage *message;
    enum err err = json__read(text, type, &arena, &message);
    if (err != ERR_OK) {
        fail_msg("%.*s: %s", (int)text.size, text.at, err_note());
    }
    return message;
}

static void expect_out(const ProtobufCMessage *message, const char *want)
{
    buf_reset(&out);
    json__write(&out, message);
    buf_append_char(&out, '\0');
    assert_string_equal(out.at, want);
}

/* What is read is written so; and what was written is read the same. */
static void says(const ProtobufCMessageDescriptor *type, const char *in,
                 const char *want)
{
    expect_out(read_text(type, slice_str(in)), want);
    struct slice text =
        slice_of(arena_dup(&arena, out.at, out.size - 1), out.size - 1);
    expect_out(read_text(type, text), want);
}

static void refuses(const ProtobufCMessageDescriptor *type, const char *in,
                    const char *want)
{
    ProtobufCMessage *message;
    enum err err = json__read(slice_str(in), type, &arena, &message);
    if (err == ERR_OK) {
        fail_msg("%s was taken", in);
    }
    assert_int_equal(err, ERR_INVALID);
    assert_null(message);
    assert_string_equal(err_note(), want);
}

/* ---- numbers --------------------------------------------------------- */

static void sixty_four_bits_are_strings_and_exact(void **state)
{
    (void)state;
    says(TYPE(range_request), "{\"limit\":\"9007199254740993\"}",
         "{\"limit\":\"9007199254740993\"}");
    says(TYPE(range_request), "{\"limit\":9007199254740993}",
         "{\"limit\":\"9007199254740993\"}");
    says(TYPE(range_request), "{\"limit\":\"9223372036854775807\"}",
         "{\"limit\":\"9223372036854775807\"}");
    says(TYPE(range_request), "{\"limit\":-9223372036854775808}",
         "{\"limit\":\"-9223372036854775808\"}");
    says(TYPE(member_remove_request), "{\"ID\":18446744073709551615}",
         "{\"ID\":\"18446744073709551615\"}");
    says(TYPE(hash_response), "{\"hash\":4294967295}", "{\"hash\":4294967295}");
    says(TYPE(hash_response), "{\"hash\":\"7\"}", "{\"hash\":7}");
}

static void an_integer_may_be_written_with_a_point_or_an_exponent(void **state)
{
    (void)state;
    says(TYPE(range_request), "{\"limit\":15.0}", "{\"limit\":\"15\"}");
    says(TYPE(range_request), "{\"limit\":1.50e1}", "{\"limit\":\"15\"}");
    says(TYPE(range_request), "{\"limit\":1500E-2}", "{\"limit\":\"15\"}");
    says(TYPE(range_request), "{\"limit\":\"-2e+3\"}", "{\"limit\":\"-2000\"}");
    says(TYPE(range_request), "{\"limit\":0e99999999999}", "{}");
    says(TYPE(range_request), "{\"limit\":-0.000}", "{}");
}

static void what_is_no_integer_or_too_large_is_refused(void **state)
{
    static const char *const wrong[] = {
        "1.5",
        "1e-1",
        "9223372036854775808",
        "\"-9223372036854775809\"",
        "1e19",
        "1e99999999999",
        "\"\"",
        "\"a\"",
        "\" 1\"",
        "\"1 \"",
        "\"0x1\"",
        "\"+1\"",
        "\"01\"",
    };
    char text[80];
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        ProtobufCMessage *message;
        snprintf(text, sizeof(text), "{\"limit\":%s}", wrong[i]);
        if (json__read(slice_str(text), TYPE(range_request), &arena,
                       &message) != ERR_INVALID) {
            fail_msg("%s was taken", text);
        }
    }
    refuses(TYPE(member_remove_request), "{\"ID\":-1}",
            "ID: byte 9: not an integer that fits");
    refuses(TYPE(hash_response), "{\"hash\":4294967296}",
            "hash: byte 19: not an integer that fits");
    refuses(TYPE(range_request), "{\"limit\":01}",
            "limit: byte 12: a value is wanted here");
    refuses(TYPE(range_request), "{\"limit\":true}",
            "limit: byte 10: a value is wanted here");
}

/* ---- bytes and texts ------------------------------------------------- */

static void bytes_are_base64_of_either_alphabet(void **state)
{
    (void)state;
    says(TYPE(put_request), "{\"key\":\"\"}", "{}");
    says(TYPE(put_request), "{\"key\":\"Zg==\"}", "{\"key\":\"Zg==\"}");
    says(TYPE(put_request), "{\"key\":\"Zm8\"}", "{\"key\":\"Zm8=\"}");
    says(TYPE(put_request), "{\"key\":\"Zm9v\"}", "{\"key\":\"Zm9v\"}");
    says(TYPE(put_request), "{\"key\":\"-_-_\"}", "{\"key\":\"+/+/\"}");
    says(TYPE(put_request), "{\"key\":\"AP8=\"}", "{\"key\":\"AP8=\"}");
    refuses(TYPE(put_request), "{\"key\":\"Zm9vZ\"}",
            "key: byte 15: not base64");
    refuses(TYPE(put_request), "{\"key\":\"Z!==\"}",
            "key: byte 14: not base64");
    refuses(TYPE(put_request), "{\"key\":\"Zg=\"}", "key: byte 13: not base64");
    refuses(TYPE(put_request), "{\"key\":\"=\"}", "key: byte 11: not base64");
    refuses(TYPE(put_request), "{\"key\":\"====\"}",
            "key: byte 14: not base64");
    refuses(TYPE(put_request), "{\"key\":5}",
            "key: byte 8: a string is wanted here");
}

static void every_length_of_bytes_comes_back(void **state)
{
    uint8_t bytes[70];
    struct prng prng;
    (void)state;
    prng_init(&prng, 17);
    for (size_t size = 1; size <= sizeof(bytes); size++) {
        Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
        for (size_t i = 0; i < size; i++) {
            bytes[i] = (uint8_t)prng_next(&prng);
        }
        put.key = (ProtobufCBinaryData){.len = size, .data = bytes};
        buf_reset(&out);
        json__write(&out, &put.base);
        Etcdserverpb__PutRequest *again =
            (void *)read_text(TYPE(put_request), buf_slice(&out));
        assert_int_equal(again->key.len, size);
        assert_memory_equal(again->key.data, bytes, size);
    }
}

static void texts_are_utf8_with_escapes(void **state)
{
    Etcdserverpb__AuthenticateRequest *request;
    (void)state;
    request = (void *)read_text(
        TYPE(authenticate_request),
        SLICE("{\"name\":\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20AC"
              "\\ud83d\\ude00z\"}"));
    assert_string_equal(request->name, "a\"\\/\b\f\n\r\t"
                                       "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z");
    says(TYPE(authenticate_request), "{\"name\":\"\xc3\xa9<\"}",
         "{\"name\":\"\xc3\xa9\\u003c\"}");
    refuses(TYPE(authenticate_request), "{\"name\":\"\xff\"}",
            "name: byte 10: a string that isn't UTF-8");
    refuses(TYPE(authenticate_request), "{\"name\":\"\\ud83d\"}",
            "name: byte 16: half a surrogate pair");
    refuses(TYPE(authenticate_request), "{\"name\":\"\\ude00\"}",
            "name: byte 16: half a surrogate pair");
    refuses(TYPE(authenticate_request), "{\"name\":\"\\ud83d\\u0041\"}",
            "name: byte 16: half a surrogate pair");
    refuses(TYPE(authenticate_request), "{\"name\":\"\\u12\"}",
            "name: byte 12: \\u without four hexadecimal digits");
    refuses(TYPE(authenticate_request), "{\"name\":\"\\q\"}",
            "name: byte 12: no such escape");
    refuses(TYPE(authenticate_request), "{\"name\":\"\\u0000\"}",
            "name: byte 17: a zero in a string");
    refuses(TYPE(authenticate_request), "{\"name\":\"a\nb\"}",
            "name: byte 11: a control character in a string");
    refuses(TYPE(authenticate_request), "{\"name\":\"a",
            "name: byte 11: a string without an end");
    refuses(TYPE(authenticate_request), "{\"name\":\"a\\",
            "name: byte 12: a string without an end");
}

/* ---- enums, bools, null ---------------------------------------------- */

static void enums_go_by_name_or_by_number(void **state)
{
    (void)state;
    says(TYPE(range_request), "{\"sort_order\":\"DESCEND\"}",
         "{\"sort_order\":\"DESCEND\"}");
    says(TYPE(range_request), "{\"sort_order\":2,\"sort_target\":\"KEY\"}",
         "{\"sort_order\":\"DESCEND\"}");
    says(TYPE(alarm_request), "{\"alarm\":77}", "{\"alarm\":77}");
    says(TYPE(watch_create_request), "{\"filters\":[\"NODELETE\",0]}",
         "{\"filters\":[\"NODELETE\",\"NOPUT\"]}");
    refuses(TYPE(range_request), "{\"sort_order\":\"descend\"}",
            "sort_order: byte 24: no such value of an enum");
    refuses(TYPE(range_request), "{\"sort_order\":\"2\"}",
            "sort_order: byte 18: no such value of an enum");
    refuses(TYPE(range_request), "{\"sort_order\":4294967296}",
            "sort_order: byte 25: not an integer that fits");
}

static void bools_are_words(void **state)
{
    (void)state;
    says(TYPE(range_request), "{\"serializable\":true,\"keys_only\":false}",
         "{\"serializable\":true}");
    refuses(TYPE(range_request), "{\"serializable\":1}",
            "serializable: byte 17: true or false is wanted here");
    refuses(TYPE(range_request), "{\"serializable\":\"true\"}",
            "serializable: byte 17: true or false is wanted here");
}

static void null_is_as_if_nothing_was_said(void **state)
{
    (void)state;
    says(TYPE(txn_request), "{\"compare\":null,\"success\":null}", "{}");
    says(TYPE(put_request), "{\"key\":null,\"lease\":null}", "{}");
    refuses(TYPE(member_add_request), "{\"peerURLs\":[null]}",
            "peerURLs: byte 14: a string is wanted here");
}

/* ---- names ----------------------------------------------------------- */

static void names_are_those_of_the_proto_or_in_lower_camel(void **state)
{
    (void)state;
    says(TYPE(range_request), "{\"rangeEnd\":\"AA==\",\"keysOnly\":true}",
         "{\"range_end\":\"AA==\",\"keys_only\":true}");
    says(TYPE(range_request), "{\"minModRevision\":1}",
         "{\"min_mod_revision\":\"1\"}");
    says(TYPE(lease_checkpoint), "{\"remainingTTL\":\"3\"}",
         "{\"remaining_TTL\":\"3\"}");
    says(TYPE(lease_grant_request), "{\"TTL\":1,\"ID\":2}",
         "{\"TTL\":\"1\",\"ID\":\"2\"}");
    /* Others are passed over, whatever they hold. */
    says(TYPE(range_request),
         " { \"KEY\" : \"AA==\" , \"x\" : [ { \"y\" : [ ] , \"z\" : {} } ,"
         " \"\\u0041]\" , 1.5e3 , null , true ] , \"limit\" : 1 , \"end\" :"
         " false } ",
         "{\"limit\":\"1\"}");
    refuses(TYPE(range_request), "{\"limit\":1,\"limit\":2}",
            "limit: byte 20: said twice");
    refuses(TYPE(range_request), "{\"range_end\":\"\",\"rangeEnd\":\"\"}",
            "range_end: byte 28: said twice");
    refuses(TYPE(range_request), "{\"x\":[1}", "byte 8: ',' or ']' is missing");
    refuses(TYPE(range_request), "{\"x\":{\"y\" 1}}",
            "byte 11: ':' is missing");
    refuses(TYPE(range_request), "{\"x\":{1:1}}",
            "byte 7: a name is wanted here");
    refuses(TYPE(range_request), "{\"x\":nul}",
            "byte 6: a value is wanted here");
}

/* ---- messages in messages -------------------------------------------- */

static void a_txn_keeps_all_that_lies_in_it(void **state)
{
    (void)state;
    const char *text =
        "{\"compare\":[{\"result\":\"GREATER\",\"target\":\"CREATE\","
        "\"key\":\"Zm9v\",\"create_revision\":\"0\"},"
        "{\"target\":\"VALUE\",\"key\":\"YQ==\",\"value\":\"\","
        "\"range_end\":\"Yg==\"}],"
        "\"success\":[{\"request_put\":{\"key\":\"Zm9v\",\"value\":\"YmFy\"}},"
        "{\"request_txn\":{\"success\":[{\"request_range\":{}}]}}],"
        "\"failure\":[{\"request_delete_range\":{\"key\":\"Zm9v\","
        "\"prev_kv\":true}},{}]}";
    says(TYPE(txn_request), text, text);
    refuses(TYPE(request_op), "{\"request_put\":{},\"request_range\":{}}",
            "request_range: byte 35: another of its kind is there");
    refuses(TYPE(compare), "{\"version\":1,\"lease\":0}",
            "lease: byte 22: another of its kind is there");
}

static void the_shape_must_be_the_messages(void **state)
{
    (void)state;
    refuses(TYPE(txn_request), "", "byte 1: an object is wanted here");
    refuses(TYPE(txn_request), "[]", "byte 1: an object is wanted here");
    refuses(TYPE(txn_request), "{\"compare\":{}}",
            "compare: byte 12: a list is wanted here");
    refuses(TYPE(txn_request), "{\"compare\":[[]]}",
            "byte 13: an object is wanted here");
    refuses(TYPE(txn_request), "{\"compare\":[{} {}]}",
            "byte 16: ',' or ']' is missing");
    refuses(TYPE(txn_request), "{\"compare\":[{},]}",
            "byte 16: an object is wanted here");
    refuses(TYPE(txn_request), "{\"compare\" []}", "byte 12: ':' is missing");
    refuses(TYPE(txn_request), "{,}", "byte 2: a string is wanted here");
    refuses(TYPE(txn_request), "{} {}",
            "byte 4: something stands behind the object");
    refuses(TYPE(txn_request), "{\"compare\":[]",
            "byte 14: ',' or '}' is missing");
    ProtobufCMessage *message;
    assert_int_equal(
        json__read(SLICE("{}\0"), TYPE(txn_request), &arena, &message),
        ERR_INVALID);
}

/* A txn in a txn, as deep as that. */
static struct slice nested(struct buf *text, int depth)
{
    buf_reset(text);
    for (int i = 0; i < depth; i++) {
        buf_append_str(text, "{\"success\":[{\"request_txn\":");
    }
    buf_append_str(text, "{}");
    for (int i = 0; i < depth; i++) {
        buf_append_str(text, "}]}");
    }
    return buf_slice(text);
}

static void messages_lie_in_each_other_only_so_deep(void **state)
{
    struct buf text = {0};
    ProtobufCMessage *message;
    (void)state;
    (void)read_text(TYPE(txn_request), nested(&text, MESSAGE_DEPTH_MAX / 2));
    assert_int_equal(json__read(nested(&text, MESSAGE_DEPTH_MAX / 2 + 1),
                                TYPE(txn_request), &arena, &message),
                     ERR_INVALID);
    assert_non_null(strstr(err_note(), "nested too deep"));
    buf_reset(&text);
    buf_append_str(&text, "{\"x\":");
    for (int i = 0; i < 100000; i++) {
        buf_append_char(&text, '[');
    }
    assert_int_equal(
        json__read(buf_slice(&text), TYPE(txn_request), &arena, &message),
        ERR_INVALID);
    assert_non_null(strstr(err_note(), "nested too deep"));
    buf_deinit(&text);
}

static void a_message_is_bounded_by_its_arena(void **state)
{
    struct arena small;
    struct buf text = {0};
    ProtobufCMessage *message;
    (void)state;
    buf_append_str(&text, "{\"success\":[{}");
    for (int i = 0; i < 10000; i++) {
        buf_append_str(&text, ",{}");
    }
    buf_append_str(&text, "]}");
    arena_init(&small, 64 * 1024);
    assert_int_equal(
        json__read(buf_slice(&text), TYPE(txn_request), &small, &message),
        ERR_NO_MEMORY);
    assert_null(message);
    arena_deinit(&small);
    const Etcdserverpb__TxnRequest *whole =
        (void *)read_text(TYPE(txn_request), buf_slice(&text));
    assert_int_equal(whole->n_success, 10001);
    buf_deinit(&text);
}

/* Wherever memory ends, the error comes out and nothing else happens. */
static void every_allocation_may_fail(void **state)
{
    struct slice text =
        SLICE("{\"compare\":[{\"key\":\"Zm9v\"},{},{},{},{}],\"success\":"
              "[{\"request_put\":{\"key\":\"Z\\u006d9v\"}}]}");
    ProtobufCMessage *message;
    (void)state;
    for (uint64_t n = 1;; n++) {
        mem_fail_after(n);
        enum err err = json__read(text, TYPE(txn_request), &arena, &message);
        uint64_t seen = mem_fail_after(0);
        if (err == ERR_OK) {
            assert_true(seen < n && n > 8);
            return;
        }
        assert_int_equal(err, ERR_NO_MEMORY);
    }
}

/* ---- a run of values ------------------------------------------------- */

static void a_run_of_values_is_cut(void **state)
{
    struct slice rest = SLICE(" {\"a\":\"}\\\"\"}{} [1,{}]\n\"x\" 5 null  ");
    static const char *const want[] = {
        "{\"a\":\"}\\\"\"}", "{}", "[1,{}]", "\"x\"", "5", "null"};
    struct slice value;
    (void)state;
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        assert_int_equal(json__next(&rest, &value), ERR_OK);
        assert_true(slice_eq(value, slice_str(want[i])));
    }
    assert_int_equal(json__next(&rest, &value), ERR_END);
    rest = SLICE("{} {\"a\"");
    assert_int_equal(json__next(&rest, &value), ERR_OK);
    assert_int_equal(json__next(&rest, &value), ERR_INVALID);
    rest = SLICE("");
    assert_int_equal(json__next(&rest, &value), ERR_END);
    rest = slice_of("\0", 1);
    assert_int_equal(json__next(&rest, &value), ERR_INVALID);
}

/* ---- out ------------------------------------------------------------- */

static void a_response_is_as_etcd_writes_it(void **state)
{
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Mvccpb__KeyValue kv = MVCCPB__KEY_VALUE__INIT;
    Mvccpb__KeyValue *kvs[] = {&kv};
    Etcdserverpb__RangeResponse response = ETCDSERVERPB__RANGE_RESPONSE__INIT;
    (void)state;
    header.cluster_id = UINT64_C(15118495548433857066);
    header.revision = 2;
    kv.key = message_data(SLICE("a"));
    kv.value = message_data(SLICE("a"));
    kv.create_revision = kv.mod_revision = 2;
    kv.version = 1;
    response.header = &header;
    response.kvs = kvs;
    response.n_kvs = 1;
    response.count = 1;
    expect_out(&response.base,
               "{\"header\":{\"cluster_id\":\"15118495548433857066\","
               "\"revision\":\"2\"},\"kvs\":[{\"key\":\"YQ==\","
               "\"create_revision\":\"2\",\"mod_revision\":\"2\","
               "\"version\":\"1\",\"value\":\"YQ==\"}],\"count\":\"1\"}");
}

/* Random bytes in the place of any one of a good text: it is read or refused,
 * and what was read is written and read again to the same bytes. */
static void random_changes_never_hurt(void **state)
{
    static const char good[] =
        "{\"compare\":[{\"result\":\"GREATER\",\"key\":\"Zm9v\","
        "\"createRevision\":\"12\"}],\"success\":[{\"request_range\":{"
        "\"limit\":"
        "1.5e1,\"key\":\"\\u0041A==\",\"sort_order\":2}}],\"x\":[{},\"\\n\"]}";
    static const char letters[] = "\"{}[],:\\0x9e-.tn \xff";
    char text[sizeof(good)];
    struct prng prng;
    struct buf again = {0};
    (void)state;
    prng_init(&prng, 4711);
    for (int i = 0; i < 20000; i++) {
        ProtobufCMessage *message;
        memcpy(text, good, sizeof(good));
        for (uint64_t n = 1 + prng_next(&prng) % 3; n > 0; n--) {
            text[prng_next(&prng) % (sizeof(good) - 1)] =
                letters[prng_next(&prng) % (sizeof(letters) - 1)];
        }
        arena_reset(&arena);
        struct slice whole = slice_of(text, sizeof(good) - 1);
        if (json__read(whole, TYPE(txn_request), &arena, &message) != ERR_OK) {
            continue;
        }
        buf_reset(&out);
        json__write(&out, message);
        message = read_text(TYPE(txn_request), buf_slice(&out));
        buf_reset(&again);
        json__write(&again, message);
        assert_true(slice_eq(buf_slice(&out), buf_slice(&again)));
    }
    buf_deinit(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        STORY(sixty_four_bits_are_strings_and_exact),
        STORY(an_integer_may_be_written_with_a_point_or_an_exponent),
        STORY(what_is_no_integer_or_too_large_is_refused),
        STORY(bytes_are_base64_of_either_alphabet),
        STORY(every_length_of_bytes_comes_back),
        STORY(texts_are_utf8_with_escapes),
        STORY(enums_go_by_name_or_by_number),
        STORY(bools_are_words),
        STORY(null_is_as_if_nothing_was_said),
        STORY(names_are_those_of_the_proto_or_in_lower_camel),
        STORY(a_txn_keeps_all_that_lies_in_it),
        STORY(the_shape_must_be_the_messages),
        STORY(messages_lie_in_each_other_only_so_deep),
        STORY(a_message_is_bounded_by_its_arena),
        STORY(every_allocation_may_fail),
        STORY(a_run_of_values_is_cut),
        STORY(a_response_is_as_etcd_writes_it),
        STORY(random_changes_never_hurt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
