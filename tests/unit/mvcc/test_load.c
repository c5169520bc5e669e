/* Stories of opening: the index is built from the file, or the file is
 * refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/crc.h"
#include "base/prng.h"
#include "unit/mvcc/stories.h"

static void refused(const char *why)
{
    assert_int_equal(try_start(), ERR_CORRUPT);
    assert_null(store);
    assert_true(
        slice_has_prefix(slice_str(err_note()), SLICE("open the store: ")));
    assert_non_null(strstr(err_note(), why));
}

static struct slice file_key(revision main, uint32_t sub)
{
    static char key[RECORD_KEY_BYTES];
    record__encode_key((struct rev){main, sub}, key);
    return slice_of(key, sizeof key);
}

/* A record past the store, as a file that is wrong would have it. */
static void file_record(revision main, uint32_t sub, const char *key,
                        revision create, struct rev prev)
{
    struct buf bytes = {0};
    struct record record = {
        .cause = MVCC_PUT,
        .rev = {main, sub},
        .create = create,
        .version = create == main ? 1 : 2,
        .prev = prev,
        .key = slice_str(key),
    };
    record__encode(&bytes, &record);
    file_put(MVCC_KV_RECORDS, file_key(main, sub), buf_slice(&bytes));
    buf_deinit(&bytes);
}

static void file_state(const struct state *what)
{
    char bytes[STATE_BYTES];
    state__encode(what, bytes);
    file_put(MVCC_KV_STATE, state__key, slice_of(bytes, sizeof bytes));
}

/* ---- what a life leaves -------------------------------------------------- */

static void test_keys_written_once(void **state)
{
    (void)state;
    put_many("/b/", 0, 300, "x");
    put_many("/a/", 0, 300, "y");
    flush_all();
    restart();
    index__verify(&store->tables[MVCC_KEYS]);
    IS(count("", NULL, 0), "600");
    IS(count("/a/", "/a0", 0), "300");
    IS(get("/a/00123", 0), "y @425.0 create 425 version 1");
    IS(get("/b/00123", 0), "x @125.0 create 125 version 1");
    IS(get("/b/00300", 0), "NOT_FOUND");
}

static void test_keys_written_over_and_over(void **state)
{
    (void)state;
    put_many("/", 0, 50, "0"); /* no record has replaced one yet */
    for (unsigned round = 1; round < 5; round++)
        put_many("/", round * 7, 30, "x");
    flush_all();
    restart();
    index__verify(&store->tables[MVCC_KEYS]);
    IS(count("", NULL, 0), "58");
    IS(key_history("/00008", 1), "10.0 53.0 END");
    IS(key_history("/00029", 1), "31.0 74.0 97.0 120.0 143.0 END");
    IS(get("/00029", 0), "x @143.0 create 31 version 5 prev 120.0");
    IS(get("/00057", 0), "x @171.0 create 171 version 1");
}

/* A key that comes back has no predecessor to tell that it was there. */
static void test_keys_that_came_back(void **state)
{
    (void)state;
    put("/a", "1");
    put("/b", "1");
    del("/a");
    put("/c", "1");
    put("/a", "2");
    del("/c");
    del("/b");
    put("/b", "2");
    put("/b", "3");
    flush_all();
    restart();
    index__verify(&store->tables[MVCC_KEYS]);
    IS(walk("", NULL, 0), "/a@6.0 /b@10.0");
    IS(walk("", NULL, 4), "/b@3.0");
    IS(walk("", NULL, 6), "/a@6.0 /b@3.0 /c@5.0");
    IS(key_history("/a", 1), "2.0 4.0 6.0 END");
    IS(key_history("/b", 1), "3.0 8.0 9.0 10.0 END");
    IS(get("/b", 0), "3 @10.0 create 9 version 2 prev 9.0");
    assert_int_equal(store->tables[MVCC_KEYS].count, 3);
}

/* Below a finished compaction a key has one record; above it, any. */
static void test_keys_after_a_compaction(void **state)
{
    (void)state;
    put_many("/", 0, 100, "1");
    put_many("/", 0, 100, "2");
    del("/00005");
    compact(202);
    compact_all(1000);
    flush_all();
    put_many("/", 50, 20, "3");
    put("/00005", "3");
    del("/00006");
    flush_all();
    restart();
    index__verify(&store->tables[MVCC_KEYS]);
    IS(count("", NULL, 202), "99");
    IS(count("", NULL, 0), "99");
    IS(get("/00050", 202), "2 @152.0 create 52 version 2 prev 52.0");
    IS(get("/00050", 0), "3 @203.0 create 52 version 3 prev 152.0");
    IS(get("/00005", 0), "3 @223.0 create 223 version 1");
    IS(get("/00006", 0), "NOT_FOUND");
    IS(get("/00006", 223), "2 @108.0 create 8 version 2 prev 8.0");
}

static void test_both_tables(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        char key[32];
        snprintf(key, sizeof key, "/%u", i * 7919 % 200);
        begin();
        add(i % 3 ? MVCC_KEYS : MVCC_DIRS, key, "x");
        add(i % 2 ? MVCC_KEYS : MVCC_DIRS, "/same", key);
        commit();
    }
    flush_all();
    restart();
    index__verify(&store->tables[MVCC_KEYS]);
    index__verify(&store->tables[MVCC_DIRS]);
    assert_int_equal(store->tables[MVCC_KEYS].count, 134);
    assert_int_equal(store->tables[MVCC_DIRS].count, 68);
}

/* Keys that only differ late, and keys that are each other's beginning: the
 * sort's hard cases. */
static void test_keys_that_are_hard_to_sort(void **state)
{
    (void)state;
    struct prng prng;
    char key[200];
    prng_init(&prng, 5);
    for (unsigned i = 0; i < 3000; i++) {
        size_t size = 1 + prng_below(&prng, sizeof key - 2);
        memset(key, 'x', size);
        key[size - 1] = (char)('a' + (int)prng_below(&prng, 26));
        key[size] = '\0';
        put(key, "x");
    }
    struct mvcc_status before, after;
    mvcc_status(store, &before);
    flush_all();
    restart();
    mvcc_status(store, &after);
    assert_int_equal(before.keys, after.keys);
    index__verify(&store->tables[MVCC_KEYS]);
}

static unsigned forgotten;

static void count_forget(struct kv *of)
{
    (void)of;
    forgotten++;
}

/* What was read to build the index need not stay in memory. */
static void test_the_file_is_not_kept_in_memory(void **state)
{
    (void)state;
    enum { VALUE_BYTES = 1024 * 1024, VALUES = 100 };
    char *value = mem_alloc_zero(VALUE_BYTES + 1);
    memset(value, 'v', VALUE_BYTES);
    for (unsigned i = 0; i < VALUES; i++) {
        put("/a", value);
        flush_all();
    }
    mem_free(value);
    stop();
    struct kv_ops ops = *kv->ops;
    ops.forget = count_forget;
    kv->ops = &ops;
    start();
    assert_in_range(forgotten, 2, 4);
    mvcc_reader_free(reader);
    mvcc_close(store);
    store = NULL;
}

/* ---- what is refused ----------------------------------------------------- */

static void test_a_state_that_is_damaged(void **state)
{
    (void)state;
    put("/a", "1");
    flush_all();
    stop();
    file_put(MVCC_KV_STATE, state__key, SLICE("short"));
    refused("the state has a wrong checksum");
    struct state good = {.main = 2, .finished = true};
    char bytes[STATE_BYTES];
    state__encode(&good, bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] ^= 4;
        file_put(MVCC_KV_STATE, state__key, slice_of(bytes, sizeof bytes));
        refused("the state has a wrong checksum");
        bytes[i] ^= 4;
    }
    bytes[4] = 2;
    put_le32(bytes, crc32c(0, bytes + 4, sizeof bytes - 4));
    file_put(MVCC_KV_STATE, state__key, slice_of(bytes, sizeof bytes));
    refused("unknown format 2");
    file_state(&good);
    start();
    IS(get("/a", 0), "1 @2.0 create 2 version 1");
}

static void test_a_state_that_cannot_be(void **state)
{
    (void)state;
    char bytes[STATE_BYTES];
    struct state odd = {.main = 7, .mark.compacted = 5};
    stop();
    state__encode(&odd, bytes);
    put_le64(bytes + 5, 4); /* before its compaction */
    put_le32(bytes, crc32c(0, bytes + 4, sizeof bytes - 4));
    file_put(MVCC_KV_STATE, state__key, slice_of(bytes, sizeof bytes));
    refused("the state is at revision 4, compacted at 5");
    put_le64(bytes + 5, 0);
    put_le32(bytes, crc32c(0, bytes + 4, sizeof bytes - 4));
    file_put(MVCC_KV_STATE, state__key, slice_of(bytes, sizeof bytes));
    refused("the state is at revision 0");
    file_del(MVCC_KV_STATE, state__key);
    start();
}

static void test_the_state_says_all_it_was_told(void **state)
{
    (void)state;
    struct state told = {
        .main = 123456789012,
        .time_ns = -5,
        .mark =
            {
                .applied_index = UINT64_MAX,
                .applied_term = 77,
                .compacted = 123456789011,
                .compacted_time_ns = -6,
                .meta_end = 99, /* not stored: it counts anew */
            },
        .finished = true,
    };
    struct state got;
    char bytes[STATE_BYTES];
    state__encode(&told, bytes);
    assert_int_equal(state__decode(slice_of(bytes, sizeof bytes), &got),
                     ERR_OK);
    assert_int_equal(got.main, told.main);
    assert_int_equal(got.time_ns, told.time_ns);
    assert_true(got.mark.applied_index == UINT64_MAX);
    assert_int_equal(got.mark.applied_term, 77);
    assert_int_equal(got.mark.compacted, 123456789011);
    assert_int_equal(got.mark.compacted_time_ns, -6);
    assert_int_equal(got.mark.meta_end, 0);
    assert_true(got.finished);
}

static void test_records_without_a_state(void **state)
{
    (void)state;
    put("/a", "1");
    flush_all();
    stop();
    file_del(MVCC_KV_STATE, state__key);
    refused("record 2 is newer than the state at 1");
    file_del(MVCC_KV_RECORDS, file_key(2, 0));
    start();
    IS(status(), "current 1 compacted 0 keys 0 tail 0 applied 0/0 flushed 0");
}

static void test_a_record_beyond_the_state(void **state)
{
    (void)state;
    put("/a", "1");
    flush_all();
    stop();
    file_record(3, 0, "/b", 3, (struct rev){0});
    refused("record 3 is newer than the state at 2");
}

static void test_a_record_that_is_damaged(void **state)
{
    (void)state;
    put("/a", "value");
    put("/b", "value");
    flush_all();
    stop();
    file_put(MVCC_KV_RECORDS, file_key(2, 0), SLICE("damaged"));
    refused("records: record 2/0: malformed");
    file_record(2, 0, "/a", 2, (struct rev){0});
    start();
}

static void test_a_record_with_a_key_that_is_none(void **state)
{
    (void)state;
    put("/a", "value");
    flush_all();
    stop();
    file_put(MVCC_KV_RECORDS, SLICE("\0\0"), SLICE("x"));
    refused("a record's key of 2 bytes");
    file_del(MVCC_KV_RECORDS, SLICE("\0\0"));
    file_put(MVCC_KV_RECORDS, SLICE("\0\0\0\0\0\0\0\0\0\0\0\1"), SLICE("x"));
    refused("a record of revision 0");
    file_del(MVCC_KV_RECORDS, SLICE("\0\0\0\0\0\0\0\0\0\0\0\1"));
    file_put(MVCC_KV_RECORDS, SLICE("\xff\0\0\0\0\0\0\0\0\0\0\1"), SLICE("x"));
    refused("a record of revision 18374686479671623680");
    file_del(MVCC_KV_RECORDS, SLICE("\xff\0\0\0\0\0\0\0\0\0\0\1"));
    start();
}

/* Two records that both claim to be their key's first: one of them was lost
 * or is not the key's. */
static void test_a_key_that_is_new_twice(void **state)
{
    (void)state;
    put("/a", "1");
    put("/b", "1");
    flush_all();
    stop();
    file_record(3, 0, "/a", 3, (struct rev){0});
    refused("a key came twice as a new one");
}

static void test_a_value_is_looked_at_when_it_is_read(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct record record = {
        .cause = MVCC_PUT,
        .rev = {2, 0},
        .create = 2,
        .version = 1,
        .key = slice_str("/a"),
        .value = slice_str("value"),
    };
    put("/a", "value");
    flush_all();
    stop();
    record__encode(&bytes, &record);
    bytes.at[bytes.size - 1] ^= 1;
    file_put(MVCC_KV_RECORDS, file_key(2, 0), buf_slice(&bytes));
    buf_deinit(&bytes);
    start(); /* a start doesn't read all values */
    IS(count("", NULL, 0), "1");
    IS(get("/a", 0), "CORRUPT");
    assert_non_null(strstr(err_note(), "wrong checksum of the value"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_keys_written_once),
        STORY(test_keys_written_over_and_over),
        STORY(test_keys_that_came_back),
        STORY(test_keys_after_a_compaction),
        STORY(test_both_tables),
        STORY(test_keys_that_are_hard_to_sort),
        STORY(test_the_file_is_not_kept_in_memory),
        STORY(test_a_state_that_is_damaged),
        STORY(test_a_state_that_cannot_be),
        STORY(test_the_state_says_all_it_was_told),
        STORY(test_records_without_a_state),
        STORY(test_a_record_beyond_the_state),
        STORY(test_a_record_that_is_damaged),
        STORY(test_a_record_with_a_key_that_is_none),
        STORY(test_a_key_that_is_new_twice),
        STORY(test_a_value_is_looked_at_when_it_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
