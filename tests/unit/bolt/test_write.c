/* What the writer makes is a whole file, and the reader gives back what was put
 * in. (That bbolt itself takes it, tests/compat/snapshot.py shows.) */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/mem.h"
#include "base/prng.h"
#include "bolt_file.h"

/* ---- a file made of numbers ---------------------------------------------- */

/* Bucket b has counts[b] pairs; pair i's value is sizes(i) bytes. */
struct plan {
    size_t page_bytes;
    const size_t *counts;
    size_t buckets;
    size_t key_bytes; /* at least */
    size_t (*value_bytes)(size_t i);
};

static struct slice name_of(size_t bucket, char out[16])
{
    return slice_of(out, (size_t)snprintf(out, 16, "bucket%02zu", bucket));
}

static void make_key(struct buf *out, const struct plan *plan, size_t i)
{
    buf_reset(out);
    buf_printf(out, "%08zu", i);
    while (out->size < plan->key_bytes)
        buf_append_char(out, 'k');
}

static void make_value(struct buf *out, const struct plan *plan, size_t i)
{
    size_t size = plan->value_bytes(i);
    buf_reset(out);
    if (size > 0)
        memset(buf_extend(out, size), (int)('a' + i % 26), size);
}

static enum err write_plan(struct bolt_writer *writer, const struct plan *plan,
                           uint64_t *bytes)
{
    struct buf key = {0}, value = {0};
    char name[16];
    enum err err = ERR_OK;
    for (size_t b = 0; b < plan->buckets && err == ERR_OK; b++) {
        err = bolt_writer_bucket(writer, name_of(b, name));
        for (size_t i = 0; i < plan->counts[b] && err == ERR_OK; i++) {
            make_key(&key, plan, i);
            make_value(&value, plan, i);
            err = bolt_writer_put(writer, buf_slice(&key), buf_slice(&value));
        }
    }
    if (err == ERR_OK)
        err = bolt_writer_finish(writer, 7, bytes);
    buf_deinit(&key);
    buf_deinit(&value);
    return err;
}

static void make_file(struct bolt_file *file, const struct plan *plan)
{
    struct bolt_writer *writer = bolt_writer_new(&file->sink, plan->page_bytes);
    uint64_t bytes;
    assert_int_equal(write_plan(writer, plan, &bytes), ERR_OK);
    bolt_writer_free(writer);
    assert_int_equal(bytes, file->bytes.size);
    assert_int_equal(bytes % plan->page_bytes, 0);
}

struct expect {
    const struct plan *plan;
    size_t i;
    struct buf key, value;
};

static enum err is_expected(void *context, struct slice key, struct slice value)
{
    struct expect *expect = context;
    make_key(&expect->key, expect->plan, expect->i);
    make_value(&expect->value, expect->plan, expect->i);
    assert_true(slice_eq(key, buf_slice(&expect->key)));
    assert_true(slice_eq(value, buf_slice(&expect->value)));
    expect->i++;
    return ERR_OK;
}

static void read_back(const struct bolt_file *file, const struct plan *plan)
{
    struct expect expect = {.plan = plan};
    struct bolt bolt;
    struct bolt_bucket bucket;
    char name[16];
    assert_int_equal(bolt_open(buf_slice(&file->bytes), &bolt), ERR_OK);
    assert_int_equal(bolt.txid, 7);
    for (size_t b = 0; b < plan->buckets; b++) {
        expect.i = 0;
        assert_int_equal(bolt_find(&bolt, name_of(b, name), &bucket), ERR_OK);
        assert_int_equal(bolt_each(&bucket, is_expected, &expect), ERR_OK);
        assert_int_equal(expect.i, plan->counts[b]);
    }
    assert_int_equal(bolt_find(&bolt, SLICE("none"), &bucket), ERR_NOT_FOUND);
    buf_deinit(&expect.key);
    buf_deinit(&expect.value);
}

/* Returns how deep the deepest bucket is. */
static size_t round_trip(const struct plan *plan)
{
    struct bolt_file file;
    bolt_file_init(&file);
    make_file(&file, plan);
    read_back(&file, plan);
    size_t depth = bolt_file_verify(buf_slice(&file.bytes));
    bolt_file_deinit(&file);
    return depth;
}

/* ---- stories ------------------------------------------------------------- */

static size_t small_value(size_t i)
{
    return i % 50;
}

static size_t no_value(size_t i)
{
    (void)i;
    return 0;
}

static size_t value_of_any_size(size_t i)
{
    return i % 7 == 0 ? i * 37 % 9000 : i % 11 == 0 ? 0 : 100;
}

static void test_a_file_without_buckets(void **state)
{
    (void)state;
    const struct plan plan = {4096, NULL, 0, 0, no_value};
    struct bolt_count count = {0};
    struct bolt_file file;
    bolt_file_init(&file);
    make_file(&file, &plan);
    /* Two metas, the root, the freelist. */
    assert_int_equal(file.bytes.size, 4 * 4096);
    assert_int_equal(bolt_count_all(buf_slice(&file.bytes), &count), ERR_OK);
    assert_int_equal(count.pairs, 0);
    bolt_file_deinit(&file);
}

static void test_few_pairs_and_an_empty_bucket(void **state)
{
    (void)state;
    const size_t counts[] = {3, 0, 1};
    const struct plan plan = {4096, counts, 3, 0, small_value};
    assert_int_equal(round_trip(&plan), 1);
}

static void test_a_tree_of_several_levels(void **state)
{
    (void)state;
    const size_t counts[] = {1, 40000, 0, 500};
    struct plan plan = {1024, counts, 4, 0, small_value};
    assert_int_equal(round_trip(&plan), 4);
    plan.page_bytes = 4096;
    assert_int_equal(round_trip(&plan), 3);
    plan.page_bytes = 65536;
    assert_int_equal(round_trip(&plan), 2);
}

/* Where a level is full to the last place, the one child that is left over must
 * not stand alone. */
static void test_every_count_up_to_a_third_level(void **state)
{
    (void)state;
    size_t deepest = 0;
    for (size_t n = 0; n < 1300; n += n < 200 ? 1 : 7) {
        const size_t counts[] = {n};
        const struct plan plan = {1024, counts, 1, 40, small_value};
        size_t depth = round_trip(&plan);
        deepest = depth > deepest ? depth : deepest;
    }
    assert_int_equal(deepest, 3);
}

static void test_values_larger_than_a_page(void **state)
{
    (void)state;
    const size_t counts[] = {2000};
    struct plan plan = {1024, counts, 1, 0, value_of_any_size};
    round_trip(&plan);
    plan.page_bytes = 4096;
    round_trip(&plan);
}

static size_t one_huge(size_t i)
{
    return i == 1 ? 5 * 1000 * 1000 : 10;
}

static void test_one_huge_value(void **state)
{
    (void)state;
    const size_t counts[] = {3};
    const struct plan plan = {4096, counts, 1, 0, one_huge};
    assert_int_equal(round_trip(&plan), 2);
}

/* Branches of keys that fill a page each still have two children. */
static void test_keys_larger_than_a_page(void **state)
{
    (void)state;
    const size_t counts[] = {60};
    const struct plan plan = {1024, counts, 1, 3000, small_value};
    round_trip(&plan);
}

static void test_what_bbolt_cannot_hold_is_refused(void **state)
{
    (void)state;
    struct bolt_file file;
    uint64_t bytes;
    bolt_file_init(&file);
    struct bolt_writer *writer = bolt_writer_new(&file.sink, 4096);
    char *key = mem_alloc_zero(BOLT_KEY_BYTES_MAX + 1);
    assert_int_equal(bolt_writer_bucket(writer, SLICE("b")), ERR_OK);
    assert_int_equal(bolt_writer_put(writer, SLICE(""), SLICE("x")),
                     ERR_INVALID);
    assert_int_equal(bolt_writer_put(writer,
                                     slice_of(key, BOLT_KEY_BYTES_MAX + 1),
                                     SLICE("x")),
                     ERR_TOO_LARGE);
    assert_int_equal(
        bolt_writer_put(writer, SLICE("a"), slice_of(key, (size_t)INT32_MAX)),
        ERR_TOO_LARGE);
    /* The writer goes on. */
    assert_int_equal(
        bolt_writer_put(writer, slice_of(key, BOLT_KEY_BYTES_MAX), SLICE("x")),
        ERR_OK);
    assert_int_equal(bolt_writer_finish(writer, 1, &bytes), ERR_OK);
    bolt_file_verify(buf_slice(&file.bytes));
    mem_free(key);
    bolt_writer_free(writer);
    bolt_file_deinit(&file);
}

/* The newest meta is where bbolt's next transaction doesn't write. */
static void test_the_metas_of_any_transaction(void **state)
{
    (void)state;
    for (uint64_t txid = 1; txid < 6; txid++) {
        struct bolt_file file;
        struct bolt bolt;
        uint64_t bytes;
        bolt_file_init(&file);
        struct bolt_writer *writer = bolt_writer_new(&file.sink, 4096);
        assert_int_equal(bolt_writer_finish(writer, txid, &bytes), ERR_OK);
        bolt_writer_free(writer);
        const char *meta =
            file.bytes.at + (txid % 2) * 4096 + PAGE_HEAD_BYTES + 48;
        const char *other =
            file.bytes.at + (1 - txid % 2) * 4096 + PAGE_HEAD_BYTES + 48;
        assert_int_equal(get_le64(meta), txid);
        assert_int_equal(get_le64(other), txid - 1);
        assert_int_equal(bolt_open(buf_slice(&file.bytes), &bolt), ERR_OK);
        assert_int_equal(bolt.txid, txid);
        bolt_file_deinit(&file);
    }
}

static void test_pages_leave_in_order(void **state)
{
    (void)state;
    const size_t counts[] = {5000, 10};
    const struct plan plan = {1024, counts, 2, 0, value_of_any_size};
    struct bolt_file file;
    bolt_file_init(&file);
    make_file(&file, &plan);
    size_t pages = file.bytes.size / 1024;
    /* Each once: none was written twice, and none lies fallow. */
    assert_true(file.writes <= pages);
    for (size_t i = 0; i < pages; i++)
        assert_int_not_equal((unsigned char)file.bytes.at[i * 1024 + 15], 0xee);
    bolt_file_deinit(&file);
}

static void test_a_sink_that_fails_at_any_write(void **state)
{
    (void)state;
    const size_t counts[] = {0, 300, 2};
    const struct plan plan = {1024, counts, 3, 0, small_value};
    struct bolt_file file;
    bolt_file_init(&file);
    make_file(&file, &plan);
    size_t writes = file.writes;
    bolt_file_deinit(&file);
    assert_true(writes > 10);
    for (size_t n = 1; n <= writes; n++) {
        uint64_t bytes;
        bolt_file_init(&file);
        file.fail_at = n;
        struct bolt_writer *writer =
            bolt_writer_new(&file.sink, plan.page_bytes);
        assert_int_equal(write_plan(writer, &plan, &bytes), ERR_DISK_FULL);
        bolt_writer_free(writer);
        bolt_file_deinit(&file);
    }
}

/* ---- a naive twin -------------------------------------------------------- */

static void write_random(struct bolt_writer *writer, struct prng *prng,
                         struct buf *twin)
{
    struct buf key = {0}, value = {0};
    size_t count = prng_below(prng, 400);
    for (size_t i = 0; i < count; i++) {
        buf_reset(&key);
        buf_reset(&value);
        buf_printf(&key, "%06zu", i);
        for (size_t n = prng_below(prng, 60); n > 0; n--)
            buf_append_char(&key, (char)prng_below(prng, 256));
        for (size_t n = prng_below(prng, prng_below(prng, 20) ? 80 : 5000);
             n > 0; n--)
            buf_append_char(&value, (char)prng_below(prng, 256));
        assert_int_equal(
            bolt_writer_put(writer, buf_slice(&key), buf_slice(&value)),
            ERR_OK);
        buf_append_slice(twin, buf_slice(&key));
        buf_append_slice(twin, buf_slice(&value));
    }
    buf_deinit(&key);
    buf_deinit(&value);
}

static enum err append_pair(void *context, struct slice key, struct slice value)
{
    buf_append_slice(context, key);
    buf_append_slice(context, value);
    return ERR_OK;
}

static enum err append_bucket(void *context, struct slice name,
                              const struct bolt_bucket *bucket)
{
    (void)name;
    return bolt_each(bucket, append_pair, context);
}

static void test_random_files(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 11);
    for (int round = 0; round < 60; round++) {
        struct bolt_file file;
        struct bolt bolt;
        struct buf twin = {0}, found = {0};
        uint64_t bytes;
        char name[16];
        bolt_file_init(&file);
        struct bolt_writer *writer =
            bolt_writer_new(&file.sink, (size_t)1024 << prng_below(&prng, 3));
        size_t buckets = prng_below(&prng, 40);
        for (size_t b = 0; b < buckets; b++) {
            assert_int_equal(bolt_writer_bucket(writer, name_of(b, name)),
                             ERR_OK);
            write_random(writer, &prng, &twin);
        }
        assert_int_equal(bolt_writer_finish(writer, 3, &bytes), ERR_OK);
        bolt_writer_free(writer);
        bolt_file_verify(buf_slice(&file.bytes));
        assert_int_equal(bolt_open(buf_slice(&file.bytes), &bolt), ERR_OK);
        assert_int_equal(bolt_each_bucket(&bolt, append_bucket, &found),
                         ERR_OK);
        assert_true(slice_eq(buf_slice(&twin), buf_slice(&found)));
        buf_deinit(&twin);
        buf_deinit(&found);
        bolt_file_deinit(&file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_without_buckets),
        cmocka_unit_test(test_few_pairs_and_an_empty_bucket),
        cmocka_unit_test(test_a_tree_of_several_levels),
        cmocka_unit_test(test_every_count_up_to_a_third_level),
        cmocka_unit_test(test_values_larger_than_a_page),
        cmocka_unit_test(test_one_huge_value),
        cmocka_unit_test(test_keys_larger_than_a_page),
        cmocka_unit_test(test_what_bbolt_cannot_hold_is_refused),
        cmocka_unit_test(test_the_metas_of_any_transaction),
        cmocka_unit_test(test_pages_leave_in_order),
        cmocka_unit_test(test_a_sink_that_fails_at_any_write),
        cmocka_unit_test(test_random_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
