/* Messages survive the way to another member; what is no message, or one that
 * the state machine could not rely on, is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/prng.h"
#include "proto/pb.h"
#include "raft/raft.h"

enum { ENTRIES_MAX = 8 };

static struct raft_entry room[ENTRIES_MAX];
static struct raft_message out;

static enum err decode(struct slice bytes)
{
    /* On the heap, to the byte: a read beyond the end is seen. */
    char *copy = mem_dup(bytes.at, bytes.size);
    enum err err = raft_message_decode(slice_of(copy, bytes.size), room,
                                       ENTRIES_MAX, &out);
    mem_free(copy);
    return err;
}

static void assert_same_entry(const struct raft_entry *a,
                              const struct raft_entry *b)
{
    assert_true(a->term == b->term && a->index == b->index);
    assert_true(a->time_ns == b->time_ns && a->type == b->type);
    assert_int_equal(a->data == NULL, b->data == NULL);
    if (a->data != NULL) {
        assert_int_equal(a->data->size, b->data->size);
        assert_memory_equal(a->data->bytes, b->data->bytes, a->data->size);
    }
}

static void assert_same(const struct raft_message *a,
                        const struct raft_message *b)
{
    assert_int_equal(a->type, b->type);
    assert_true(a->from == b->from && a->to == b->to && a->term == b->term);
    assert_true(a->index == b->index && a->log_term == b->log_term);
    assert_true(a->commit == b->commit && a->read == b->read);
    assert_true(a->hint_index == b->hint_index);
    assert_true(a->hint_term == b->hint_term);
    assert_int_equal(a->rejected, b->rejected);
    assert_int_equal(a->forced, b->forced);
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_same_entry(&a->entries[i], &b->entries[i]);
    }
}

static void assert_survives(const struct raft_message *message)
{
    struct buf bytes = {0};
    raft_message_encode(message, &bytes);
    assert_int_equal(decode(buf_slice(&bytes)), ERR_OK);
    assert_same(&out, message);
    raft_message_release(&out);
    assert_int_equal(out.count, 0);
    buf_deinit(&bytes);
}

static struct refbuf *data_of(const char *text)
{
    return refbuf_dup(text, strlen(text));
}

/* The data of an entry that makes members 1 to 3 the voters. */
static struct refbuf *change_data(void)
{
    struct raft_members members = {.voter_count = 3, .voters = {1, 2, 3}};
    struct buf bytes = {0};
    raft_members_encode(&members, &bytes);
    buf_append_str(&bytes, "and the caller's");
    struct refbuf *data = refbuf_dup(bytes.at, bytes.size);
    buf_deinit(&bytes);
    return data;
}

/* ---- there and back ------------------------------------------------------ */

static void every_type_survives_with_every_number(void **state)
{
    (void)state;
    for (int type = RAFT_MESSAGE_PRE_VOTE; type <= RAFT_MESSAGE_READ_ANSWER;
         type++) {
        struct raft_message message = {
            .type = (enum raft_message_type)type,
            .from = 1,
            .to = UINT64_MAX,
            .term = 900,
            .index = 4,
            .log_term = 5,
            .commit = UINT64_MAX - 1,
            .hint_index = 7,
            .hint_term = 8,
            .read = 9,
            .rejected = type % 2 == 0,
            .forced = type % 2 != 0,
        };
        if (type != RAFT_MESSAGE_SNAPSHOT) {
            assert_survives(&message);
        }
    }
}

static void zeros_survive(void **state)
{
    (void)state;
    struct raft_message message = {
        .type = RAFT_MESSAGE_HEARTBEAT, .from = 1, .to = 2};
    assert_survives(&message);
}

static void entries_survive_with_their_data(void **state)
{
    (void)state;
    struct raft_entry entries[] = {
        {.index = 8, .term = 3, .type = RAFT_ENTRY_EMPTY},
        {.index = 9, .term = 3, .time_ns = 1, .type = RAFT_ENTRY_COMMAND},
        {.index = 10, .term = 3, .time_ns = 1, .type = RAFT_ENTRY_COMMAND},
        {.index = 11, .term = 7, .time_ns = INT64_MAX, .type = 2},
    };
    entries[1].data = data_of("put");
    entries[2].data = data_of(""); /* not the same as none */
    entries[3].data = change_data();
    struct raft_message message = {.type = RAFT_MESSAGE_APPEND,
                                   .from = 2,
                                   .to = 3,
                                   .term = 7,
                                   .index = 7,
                                   .log_term = 2,
                                   .entries = entries,
                                   .count = 4};
    assert_survives(&message);
    for (size_t i = 0; i < 4; i++) {
        refbuf_unref(entries[i].data);
    }
}

static void the_first_entries_of_all_survive(void **state)
{
    (void)state;
    struct raft_entry entry = {.index = 1, .term = 1};
    struct raft_message message = {.type = RAFT_MESSAGE_APPEND,
                                   .from = 2,
                                   .to = 3,
                                   .term = 1,
                                   .entries = &entry,
                                   .count = 1};
    assert_survives(&message);
}

static void random_messages_survive(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 11);
    for (int i = 0; i < 2000; i++) {
        struct raft_entry entries[ENTRIES_MAX];
        struct raft_message message = {.type = RAFT_MESSAGE_APPEND,
                                       .from = 1 + prng_below(&prng, 9),
                                       .to = 10 + prng_below(&prng, 9),
                                       .index = 1 + prng_next(&prng) / 2,
                                       .log_term = 1 + prng_below(&prng, 300),
                                       .entries = entries};
        message.term = message.log_term + prng_below(&prng, 3);
        message.count = (size_t)prng_below(&prng, ENTRIES_MAX + 1);
        for (size_t e = 0; e < message.count; e++) {
            entries[e] = (struct raft_entry){
                .index = message.index + 1 + e,
                .term = message.term,
                .time_ns = (int64_t)(1000 * e),
                .type = (enum raft_entry_type)prng_below(&prng, 2),
                .data = refbuf_new((size_t)prng_below(&prng, 300)),
            };
            memset(entries[e].data->bytes, (int)e, entries[e].data->size);
        }
        assert_survives(&message);
        for (size_t e = 0; e < message.count; e++) {
            refbuf_unref(entries[e].data);
        }
    }
}

static void the_bytes_are_these(void **state)
{
    (void)state;
    static const char want[] = "\x08\x05\x10\x01\x18\x02\x20\x03\x28\x04\x30"
                               "\x02\x38\x04\x6a\x0d\x08\x03\x10\x05\x18\x07"
                               "\x20\x01\x2a\x03xyz";
    struct raft_entry entry = {.index = 5,
                               .term = 3,
                               .time_ns = 7,
                               .type = RAFT_ENTRY_COMMAND,
                               .data = data_of("xyz")};
    struct raft_message message = {.type = RAFT_MESSAGE_APPEND,
                                   .from = 1,
                                   .to = 2,
                                   .term = 3,
                                   .index = 4,
                                   .log_term = 2,
                                   .commit = 4,
                                   .entries = &entry,
                                   .count = 1};
    struct buf bytes = {0};
    raft_message_encode(&message, &bytes);
    assert_int_equal(bytes.size, sizeof(want) - 1);
    assert_memory_equal(bytes.at, want, bytes.size);
    buf_deinit(&bytes);
    refbuf_unref(entry.data);
}

/* ---- what is refused ----------------------------------------------------- */

/* A message of `type` with entries that nobody has looked at. */
static void put_message(struct buf *bytes, uint64_t type)
{
    pb_put_u64(bytes, 1, type);
    pb_put_u64(bytes, 2, 1);
    pb_put_u64(bytes, 3, 2);
    pb_put_u64(bytes, 4, 9);
    pb_put_u64(bytes, 5, 20);
    pb_put_u64(bytes, 6, 4);
}

struct loose_entry {
    uint64_t term;
    uint64_t index;
    int64_t time_ns;
    uint64_t type;
    const char *data;
};

static void put_entry(struct buf *bytes, const struct loose_entry *entry)
{
    struct buf body = {0};
    pb_put_u64(&body, 1, entry->term);
    pb_put_u64(&body, 2, entry->index);
    pb_put_i64(&body, 3, entry->time_ns);
    pb_put_u64(&body, 4, entry->type);
    if (entry->data != NULL) {
        pb_put_bytes_always(&body, 5, slice_str(entry->data));
    }
    pb_put_bytes_always(bytes, 13, buf_slice(&body));
    buf_deinit(&body);
}

static enum err decode_entries(uint64_t type, const struct loose_entry *entries,
                               size_t count)
{
    struct buf bytes = {0};
    put_message(&bytes, type);
    for (size_t i = 0; i < count; i++) {
        put_entry(&bytes, &entries[i]);
    }
    enum err err = decode(buf_slice(&bytes));
    if (err == ERR_OK) {
        assert_int_equal(out.count, count);
    }
    raft_message_release(&out);
    buf_deinit(&bytes);
    return err;
}

#define ENTRIES(...)                                                         \
    decode_entries(RAFT_MESSAGE_APPEND, (struct loose_entry[]){__VA_ARGS__}, \
                   sizeof((struct loose_entry[]){__VA_ARGS__}) /             \
                       sizeof(struct loose_entry))

static void entries_must_follow_each_other(void **state)
{
    (void)state;
    assert_int_equal(ENTRIES({4, 21, 5, 1, "a"}, {9, 22, 5, 1, "b"}), ERR_OK);
    /* The index jumps, stands still, or doesn't follow what is before. */
    assert_int_equal(ENTRIES({4, 21, 5, 1, "a"}, {4, 23, 5, 1, "b"}),
                     ERR_CORRUPT);
    assert_int_equal(ENTRIES({4, 21, 5, 1, "a"}, {4, 21, 5, 1, "b"}),
                     ERR_CORRUPT);
    assert_int_equal(ENTRIES({4, 20, 5, 1, "a"}), ERR_CORRUPT);
    /* A term that falls, or is later than the leader's. */
    assert_int_equal(ENTRIES({3, 21, 5, 1, "a"}), ERR_CORRUPT);
    assert_int_equal(ENTRIES({5, 21, 5, 1, "a"}, {4, 22, 5, 1, "b"}),
                     ERR_CORRUPT);
    assert_int_equal(ENTRIES({10, 21, 5, 1, "a"}), ERR_CORRUPT);
    /* Time falls, or is none. */
    assert_int_equal(ENTRIES({4, 21, 5, 1, "a"}, {4, 22, 4, 1, "b"}),
                     ERR_CORRUPT);
    assert_int_equal(ENTRIES({4, 21, -1, 1, "a"}), ERR_CORRUPT);
    /* But for an empty entry, whose time says nothing. */
    assert_int_equal(ENTRIES({4, 21, 5, 1, "a"}, {4, 22, 0, 0, NULL}), ERR_OK);
    assert_int_equal(
        ENTRIES({4, 21, 5, 1, "a"}, {4, 22, 0, 0, NULL}, {4, 23, 4, 1, "b"}),
        ERR_CORRUPT);
    /* A type that there isn't. */
    assert_int_equal(ENTRIES({4, 21, 5, 3, "a"}), ERR_CORRUPT);
    assert_int_equal(ENTRIES({4, 21, 5, UINT64_C(1) << 32, "a"}), ERR_CORRUPT);
}

static void a_change_must_hold_a_membership(void **state)
{
    (void)state;
    assert_int_equal(ENTRIES({4, 21, 5, 2, "\x02\x08\x01the rest"}), ERR_OK);
    assert_int_equal(ENTRIES({4, 21, 5, 2, NULL}), ERR_CORRUPT);
    assert_int_equal(ENTRIES({4, 21, 5, 2, "\x04\x08\x02\x08\x01"}),
                     ERR_CORRUPT);
    /* Of nobody. */
    struct buf bytes = {0};
    struct buf body = {0};
    put_message(&bytes, RAFT_MESSAGE_APPEND);
    pb_put_u64(&body, 1, 4);
    pb_put_u64(&body, 2, 21);
    pb_put_u64(&body, 4, RAFT_ENTRY_CHANGE);
    pb_put_bytes_always(&body, 5, slice_of("\0", 1));
    pb_put_bytes_always(&bytes, 13, buf_slice(&body));
    assert_int_equal(decode(buf_slice(&bytes)), ERR_CORRUPT);
    buf_deinit(&bytes);
    buf_deinit(&body);
}

static void an_append_has_no_index_beyond_the_last(void **state)
{
    (void)state;
    struct buf bytes = {0};
    put_message(&bytes, RAFT_MESSAGE_APPEND);
    pb_put_u64(&bytes, 5, UINT64_MAX); /* the later field counts */
    assert_int_equal(decode(buf_slice(&bytes)), ERR_OK);
    put_entry(&bytes, &(struct loose_entry){4, 0, 0, 0, NULL});
    assert_int_equal(decode(buf_slice(&bytes)), ERR_CORRUPT);
    buf_deinit(&bytes);
}

static void only_an_append_has_entries(void **state)
{
    (void)state;
    struct loose_entry entry = {4, 21, 5, 1, "a"};
    for (uint64_t type = 1; type <= 12; type++) {
        assert_int_equal(decode_entries(type, &entry, 1),
                         type == RAFT_MESSAGE_APPEND ? ERR_OK : ERR_CORRUPT);
    }
}

static void more_entries_than_room_are_too_large(void **state)
{
    (void)state;
    struct loose_entry entries[ENTRIES_MAX + 1];
    for (uint64_t i = 0; i <= ENTRIES_MAX; i++) {
        entries[i] = (struct loose_entry){4, 21 + i, 5, 1, "a"};
    }
    assert_int_equal(decode_entries(RAFT_MESSAGE_APPEND, entries, ENTRIES_MAX),
                     ERR_OK);
    assert_int_equal(
        decode_entries(RAFT_MESSAGE_APPEND, entries, ENTRIES_MAX + 1),
        ERR_TOO_LARGE);
}

/* One field after the other replaced: number, wire type, what comes of it. */
static enum err decode_with(uint32_t number, uint64_t value)
{
    struct buf bytes = {0};
    put_message(&bytes, RAFT_MESSAGE_APPEND);
    if (value == 0) {
        char zero[2] = {(char)(number << 3), 0};
        buf_append(&bytes, zero, 2);
    } else {
        pb_put_u64(&bytes, number, value);
    }
    enum err err = decode(buf_slice(&bytes));
    raft_message_release(&out);
    buf_deinit(&bytes);
    return err;
}

static void heads_must_make_sense(void **state)
{
    (void)state;
    assert_int_equal(decode_with(10, 77), ERR_OK);
    assert_int_equal(decode_with(1, 0), ERR_CORRUPT);  /* no type */
    assert_int_equal(decode_with(1, 9), ERR_CORRUPT);  /* SNAPSHOT */
    assert_int_equal(decode_with(1, 13), ERR_CORRUPT); /* none of ours */
    assert_int_equal(decode_with(1, (UINT64_C(1) << 32) + 5), ERR_CORRUPT);
    assert_int_equal(decode_with(2, 0), ERR_CORRUPT);  /* from nobody */
    assert_int_equal(decode_with(3, 0), ERR_CORRUPT);  /* to nobody */
    assert_int_equal(decode_with(3, 1), ERR_CORRUPT);  /* to oneself */
    assert_int_equal(decode_with(5, 0), ERR_CORRUPT);  /* index 0 of term 4 */
    assert_int_equal(decode_with(6, 0), ERR_CORRUPT);  /* index 20, no term */
    assert_int_equal(decode_with(6, 10), ERR_CORRUPT); /* a later term */
}

static void a_field_of_another_kind_is_refused(void **state)
{
    (void)state;
    for (uint32_t number = 1; number <= 13; number++) {
        struct buf bytes = {0};
        put_message(&bytes, RAFT_MESSAGE_APPEND);
        if (number == 13) {
            pb_put_u64(&bytes, number, 1);
        } else {
            pb_put_bytes_always(&bytes, number, SLICE("x"));
        }
        assert_int_equal(decode(buf_slice(&bytes)), ERR_CORRUPT);
        buf_deinit(&bytes);
    }
}

static void a_newer_versions_fields_are_skipped(void **state)
{
    (void)state;
    struct buf bytes = {0};
    put_message(&bytes, RAFT_MESSAGE_VOTE);
    pb_put_bytes_always(&bytes, 200, SLICE("new"));
    pb_put_u64(&bytes, 14, 1);
    assert_int_equal(decode(buf_slice(&bytes)), ERR_OK);
    assert_int_equal(out.type, RAFT_MESSAGE_VOTE);
    assert_int_equal(out.index, 20);
    buf_deinit(&bytes);
}

static void what_is_cut_short_is_refused_or_shorter(void **state)
{
    (void)state;
    struct buf bytes = {0};
    put_message(&bytes, RAFT_MESSAGE_APPEND);
    put_entry(&bytes, &(struct loose_entry){4, 21, 5, 1, "abc"});
    put_entry(&bytes, &(struct loose_entry){4, 22, 5, 1, "def"});
    for (size_t size = 0; size < bytes.size; size++) {
        enum err err = decode(slice_of(bytes.at, size));
        assert_true(err == ERR_CORRUPT || out.count < 2);
        assert_true(err == ERR_CORRUPT || err == ERR_OK);
        raft_message_release(&out);
    }
    buf_deinit(&bytes);
}

static void each_type_has_its_own_text(void **state)
{
    (void)state;
    for (int a = RAFT_MESSAGE_PRE_VOTE; a <= RAFT_MESSAGE_READ_ANSWER; a++) {
        for (int b = RAFT_MESSAGE_PRE_VOTE; b < a; b++) {
            assert_string_not_equal(
                raft_message_text((enum raft_message_type)a),
                raft_message_text((enum raft_message_type)b));
        }
    }
    assert_string_equal(raft_message_text(RAFT_MESSAGE_TIMEOUT_NOW),
                        "timeout now");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_survives_with_every_number),
        cmocka_unit_test(zeros_survive),
        cmocka_unit_test(entries_survive_with_their_data),
        cmocka_unit_test(the_first_entries_of_all_survive),
        cmocka_unit_test(random_messages_survive),
        cmocka_unit_test(the_bytes_are_these),
        cmocka_unit_test(entries_must_follow_each_other),
        cmocka_unit_test(a_change_must_hold_a_membership),
        cmocka_unit_test(an_append_has_no_index_beyond_the_last),
        cmocka_unit_test(only_an_append_has_entries),
        cmocka_unit_test(more_entries_than_room_are_too_large),
        cmocka_unit_test(heads_must_make_sense),
        cmocka_unit_test(a_field_of_another_kind_is_refused),
        cmocka_unit_test(a_newer_versions_fields_are_skipped),
        cmocka_unit_test(what_is_cut_short_is_refused_or_shorter),
        cmocka_unit_test(each_type_has_its_own_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
