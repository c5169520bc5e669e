/* What the tools say of a file. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/crc.h"
#include "etcdb_world.h"

static struct hand hand;

static int begin(void **state)
{
    (void)state;
    hand_begin(&hand);
    return 0;
}

static int end(void **state)
{
    (void)state;
    hand_free(&hand);
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)

static struct etcdb_status status_of(void)
{
    struct etcdb_status status;
    assert_int_equal(etcdb_status(buf_slice(&hand.file), &status), ERR_OK);
    return status;
}

static void nothing_is_counted_too(void **state)
{
    (void)state;
    hand_end(&hand);
    struct etcdb_status status = status_of();
    assert_int_equal(status.hash, 0);
    assert_int_equal(status.keys, 0);
    assert_int_equal(status.revision, 0);
    assert_int_equal(status.bytes, hand.file.size);
    assert_int_equal(status.version.size, 0);
}

static void pairs_of_all_buckets_are_counted(void **state)
{
    (void)state;
    hand_bucket(&hand, "auth");
    hand_bucket(&hand, "key");
    hand_record(&hand, 2, 0, "a", "1", 2, 1);
    hand_tombstone(&hand, 9, 3, "a");
    hand_bucket(&hand, "lease");
    hand_lease(&hand, 7, 100, 0);
    hand_bucket(&hand, "meta");
    hand_pair(&hand, SLICE("storageVersion"), SLICE("3.6.0"));
    hand_end(&hand);
    struct etcdb_status status = status_of();
    assert_int_equal(status.keys, 4);
    assert_int_equal(status.revision, 9);
    assert_true(slice_eq(status.version, SLICE("3.6.0")));
}

/* Names, keys and values one after the other. */
static void the_hash_is_of_all_bytes(void **state)
{
    (void)state;
    hand_bucket(&hand, "one");
    hand_pair(&hand, SLICE("a"), SLICE("1"));
    hand_pair(&hand, SLICE("b"), SLICE(""));
    hand_bucket(&hand, "two");
    hand_end(&hand);
    assert_int_equal(status_of().hash, crc32c(0, "onea1btwo", 9));
}

static void what_is_damaged_is_refused(void **state)
{
    (void)state;
    struct etcdb_status status;
    hand_bucket(&hand, "key");
    hand_pair(&hand, SLICE("short"), SLICE(""));
    hand_end(&hand);
    assert_int_equal(etcdb_status(buf_slice(&hand.file), &status), ERR_CORRUPT);
    assert_non_null(strstr(err_note(), "bucket \"key\""));
    assert_int_equal(etcdb_status(SLICE("x"), &status), ERR_CORRUPT);
}

/* ---- the checksum -------------------------------------------------------- */

/* Stands for SHA-256: it depends on all bytes. */
static void toy_hash(struct slice bytes, unsigned char out[ETCDB_HASH_BYTES])
{
    for (uint32_t i = 0; i < ETCDB_HASH_BYTES / 4; i++)
        put_le32(out + 4 * i, crc32c(i, bytes.at, bytes.size));
}

static void seal(void)
{
    unsigned char hash[ETCDB_HASH_BYTES];
    toy_hash(buf_slice(&hand.file), hash);
    buf_append(&hand.file, hash, sizeof hash);
}

static enum err check(void)
{
    return etcdb_check_hash(buf_slice(&hand.file), toy_hash);
}

static void a_hash_that_is_right(void **state)
{
    (void)state;
    hand_end(&hand);
    assert_false(etcdb_has_hash(buf_slice(&hand.file)));
    assert_int_equal(check(), ERR_NOT_FOUND);
    seal();
    assert_true(etcdb_has_hash(buf_slice(&hand.file)));
    assert_int_equal(check(), ERR_OK);
    /* It is no part of the database. */
    assert_int_equal(status_of().bytes, hand.file.size - ETCDB_HASH_BYTES);
}

static void a_hash_that_is_wrong(void **state)
{
    (void)state;
    hand_end(&hand);
    seal();
    for (size_t at = 0; at < hand.file.size; at += 997) {
        hand.file.at[at]++;
        assert_int_equal(check(), ERR_CORRUPT);
        hand.file.at[at]--;
    }
    hand.file.at[hand.file.size - 1]++;
    assert_int_equal(check(), ERR_CORRUPT);
    assert_non_null(strstr(err_note(), "expected sha256 "));
    assert_non_null(strstr(err_note(), ", got "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(nothing_is_counted_too),
        STORY(pairs_of_all_buckets_are_counted),
        STORY(the_hash_is_of_all_bytes),
        STORY(what_is_damaged_is_refused),
        STORY(a_hash_that_is_right),
        STORY(a_hash_that_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
