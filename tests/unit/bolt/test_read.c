/* The reader over files that are not what they should be. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/mem.h"
#include "bolt_file.h"

enum { PAGE = 1024 };

/* ---- a small good file, by hand ------------------------------------------- *
 *
 *   2  root: bucket "b" -> page 3
 *   3  branch: "a" -> 4, "m" -> 5
 *   4  leaf: a, b       5  leaf: m
 */
static void make_small(struct bolt_file *file)
{
    char bucket[PAGE_BUCKET_BYTES] = {0};
    bolt_file_init(file);
    bolt_file_make(file, PAGE, 6, 2);
    put_le64(bucket, 3);
    bolt_file_page(file, PAGE, 2, PAGE_LEAF, 1);
    bolt_file_leaf(bolt_file_at(file, PAGE, 2), 0, ELEMENT_BUCKET, 64,
                   SLICE("b"), slice_of(bucket, sizeof bucket));
    bolt_file_page(file, PAGE, 3, PAGE_BRANCH, 2);
    char *branch = bolt_file_at(file, PAGE, 3);
    size_t next = bolt_file_branch(branch, 0, 64, SLICE("a"), 4);
    bolt_file_branch(branch, 1, next, SLICE("m"), 5);
    bolt_file_page(file, PAGE, 4, PAGE_LEAF, 2);
    char *leaf = bolt_file_at(file, PAGE, 4);
    next = bolt_file_leaf(leaf, 0, 0, 64, SLICE("a"), SLICE("one"));
    bolt_file_leaf(leaf, 1, 0, next, SLICE("b"), SLICE(""));
    bolt_file_page(file, PAGE, 5, PAGE_LEAF, 1);
    bolt_file_leaf(bolt_file_at(file, PAGE, 5), 0, 0, 64, SLICE("m"),
                   SLICE("three"));
}

static enum err count(const struct bolt_file *file, struct bolt_count *out)
{
    *out = (struct bolt_count){0};
    return bolt_count_all(buf_slice(&file->bytes), out);
}

static void expect_good(const struct bolt_file *file, size_t pairs)
{
    struct bolt_count found;
    assert_int_equal(count(file, &found), ERR_OK);
    assert_int_equal(found.pairs, pairs);
}

static void expect_bad(const struct bolt_file *file, const char *why)
{
    struct bolt_count found;
    assert_int_equal(count(file, &found), ERR_CORRUPT);
    if (strstr(err_note(), why) == NULL)
        fail_msg("\"%s\" isn't in \"%s\"", why, err_note());
}

static void test_a_file_by_hand(void **state)
{
    (void)state;
    struct bolt_file file;
    struct bolt_count found;
    make_small(&file);
    assert_int_equal(count(&file, &found), ERR_OK);
    assert_int_equal(found.pairs, 3);
    assert_int_equal(found.bytes, 3 + 8);
    bolt_file_deinit(&file);
}

static void test_each_stops_where_it_is_told(void **state)
{
    (void)state;
    struct bolt_file file;
    struct bolt bolt;
    struct bolt_bucket bucket;
    struct bolt_count found = {.stop_at = 2};
    make_small(&file);
    assert_int_equal(bolt_open(buf_slice(&file.bytes), &bolt), ERR_OK);
    assert_int_equal(bolt_find(&bolt, SLICE("b"), &bucket), ERR_OK);
    assert_int_equal(bolt_each(&bucket, bolt_count_pair, &found), ERR_END);
    assert_int_equal(found.pairs, 2);
    bolt_file_deinit(&file);
}

/* ---- metas --------------------------------------------------------------- */

static void test_the_newest_good_meta_counts(void **state)
{
    (void)state;
    struct bolt_file file;
    struct bolt bolt;
    make_small(&file);
    struct slice bytes = buf_slice(&file.bytes);
    assert_int_equal(bolt_open(bytes, &bolt), ERR_OK);
    assert_int_equal(bolt.txid, 11);
    file.bytes.at[PAGE + PAGE_HEAD_BYTES + 60]++;
    assert_int_equal(bolt_open(bytes, &bolt), ERR_OK);
    assert_int_equal(bolt.txid, 10);
    file.bytes.at[PAGE + PAGE_HEAD_BYTES + 60]--;
    file.bytes.at[PAGE_HEAD_BYTES + 60]++;
    assert_int_equal(bolt_open(bytes, &bolt), ERR_OK);
    assert_int_equal(bolt.txid, 11);
    file.bytes.at[PAGE + PAGE_HEAD_BYTES + 60]++;
    assert_int_equal(bolt_open(bytes, &bolt), ERR_CORRUPT);
    assert_int_equal(bolt.file.size, 0);
    bolt_file_deinit(&file);
}

/* Sets a number of both metas. */
static void set_meta(struct bolt_file *file, size_t at, uint64_t number,
                     bool is_short)
{
    for (uint64_t id = 0; id < 2; id++) {
        char *page = bolt_file_at(file, PAGE, id);
        if (is_short)
            put_le32(page + PAGE_HEAD_BYTES + at, (uint32_t)number);
        else
            put_le64(page + PAGE_HEAD_BYTES + at, number);
        bolt_file_seal(page);
    }
}

static void test_metas_with_wrong_numbers(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint64_t number;
        bool is_short;
    } cases[] = {{0, 0xED0CDAEE, true},  {4, 3, true},
                 {8, 1000, true},        {8, 512, true},
                 {8, 131072, true},      {8, 0, true},
                 {40, 7, false},         {40, 0, false},
                 {40, 1, false},         {16, 6, false},
                 {16, 0, false},         {16, 1, false},
                 {40, 5, false},         {40, UINT64_MAX, false},
                 {16, UINT64_MAX, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bolt_file file;
        make_small(&file);
        set_meta(&file, cases[i].at, cases[i].number, cases[i].is_short);
        expect_bad(&file, "");
        bolt_file_deinit(&file);
    }
}

/* What follows the last page (etcd's hash, or room that was never used) is no
 * part of it. */
static void test_bytes_behind_the_last_page(void **state)
{
    (void)state;
    struct bolt_file file;
    struct bolt bolt;
    make_small(&file);
    buf_append(&file.bytes, "0123456789abcdef0123456789abcdef", 32);
    assert_int_equal(bolt_open(buf_slice(&file.bytes), &bolt), ERR_OK);
    assert_int_equal(bolt_bytes(&bolt), 6 * PAGE);
    expect_good(&file, 3);
    bolt_file_deinit(&file);
}

/* ---- pages --------------------------------------------------------------- */

static void test_a_page_that_says_it_is_another(void **state)
{
    (void)state;
    struct bolt_file file;
    make_small(&file);
    put_le64(bolt_file_at(&file, PAGE, 4), 5);
    expect_bad(&file, "page 4: it says that it is another one");
    bolt_file_deinit(&file);
}

static void test_a_page_of_no_kind(void **state)
{
    (void)state;
    struct bolt_file file;
    make_small(&file);
    put_le16(bolt_file_at(&file, PAGE, 5) + 8, PAGE_FREELIST);
    expect_bad(&file, "page 5: neither branch nor leaf");
    bolt_file_deinit(&file);
}

static void test_a_page_that_goes_on_behind_the_end(void **state)
{
    (void)state;
    struct bolt_file file;
    make_small(&file);
    put_le32(bolt_file_at(&file, PAGE, 5) + 12, 1);
    expect_bad(&file, "page 5: it goes on behind the end");
    put_le32(bolt_file_at(&file, PAGE, 5) + 12, UINT32_MAX);
    expect_bad(&file, "page 5: it goes on behind the end");
    bolt_file_deinit(&file);
}

static void test_more_elements_than_there_is_room_for(void **state)
{
    (void)state;
    struct bolt_file file;
    make_small(&file);
    put_le16(bolt_file_at(&file, PAGE, 4) + 10, 64);
    expect_bad(&file, "page 4: more elements");
    bolt_file_deinit(&file);
}

static void test_elements_that_reach_beyond_their_page(void **state)
{
    (void)state;
    static const size_t places[] = {4, 8, 12}; /* pos, key size, value size */
    for (size_t i = 0; i < 3; i++) {
        struct bolt_file file;
        make_small(&file);
        char *element = bolt_file_at(&file, PAGE, 5) + PAGE_HEAD_BYTES;
        put_le32(element + places[i], PAGE);
        expect_bad(&file, "page 5: an element reaches beyond it");
        put_le32(element + places[i], UINT32_MAX);
        expect_bad(&file, "page 5: an element reaches beyond it");
        bolt_file_deinit(&file);
    }
}

static void test_a_branch_to_nowhere(void **state)
{
    (void)state;
    static const uint64_t children[] = {0, 1, 6, UINT64_MAX};
    for (size_t i = 0; i < 4; i++) {
        struct bolt_file file;
        make_small(&file);
        put_le64(bolt_file_at(&file, PAGE, 3) + PAGE_HEAD_BYTES + 8,
                 children[i]);
        expect_bad(&file, "not in the file");
        bolt_file_deinit(&file);
    }
}

static void test_a_branch_that_leads_back(void **state)
{
    (void)state;
    struct bolt_file file;
    make_small(&file);
    put_le64(bolt_file_at(&file, PAGE, 3) + PAGE_HEAD_BYTES + 8, 3);
    expect_bad(&file, "page 3: ");
    bolt_file_deinit(&file);
}

/* A branch over a branch, each with many children, all the same: as a tree it
 * would have 60 to the power of 40 leaves. */
static void test_branches_that_share_all_children(void **state)
{
    (void)state;
    struct bolt_file file;
    char bucket[PAGE_BUCKET_BYTES] = {0};
    bolt_file_init(&file);
    bolt_file_make(&file, PAGE, 44, 2);
    put_le64(bucket, 3);
    bolt_file_page(&file, PAGE, 2, PAGE_LEAF, 1);
    bolt_file_leaf(bolt_file_at(&file, PAGE, 2), 0, ELEMENT_BUCKET, 64,
                   SLICE("b"), slice_of(bucket, sizeof bucket));
    for (uint64_t id = 3; id < 43; id++) {
        bolt_file_page(&file, PAGE, id, PAGE_BRANCH, 60);
        for (size_t i = 0; i < 60; i++)
            bolt_file_branch(bolt_file_at(&file, PAGE, id), i, 1000, SLICE("k"),
                             id + 1);
    }
    bolt_file_page(&file, PAGE, 43, PAGE_LEAF, 0);
    expect_bad(&file, "more than once");
    bolt_file_deinit(&file);
}

static void test_a_tree_that_is_too_deep(void **state)
{
    (void)state;
    struct bolt_file file;
    char bucket[PAGE_BUCKET_BYTES] = {0};
    bolt_file_init(&file);
    bolt_file_make(&file, PAGE, 100, 2);
    put_le64(bucket, 3);
    bolt_file_page(&file, PAGE, 2, PAGE_LEAF, 1);
    bolt_file_leaf(bolt_file_at(&file, PAGE, 2), 0, ELEMENT_BUCKET, 64,
                   SLICE("b"), slice_of(bucket, sizeof bucket));
    for (uint64_t id = 3; id < 99; id++) {
        bolt_file_page(&file, PAGE, id, PAGE_BRANCH, 1);
        bolt_file_branch(bolt_file_at(&file, PAGE, id), 0, 64, SLICE("k"),
                         id + 1);
    }
    bolt_file_page(&file, PAGE, 99, PAGE_LEAF, 0);
    expect_bad(&file, "too deep");
    bolt_file_deinit(&file);
}

/* ---- keys ---------------------------------------------------------------- */

static void test_keys_that_do_not_rise(void **state)
{
    (void)state;
    struct bolt_file file;
    make_small(&file);
    /* Within a leaf: "a" twice. */
    char *leaf = bolt_file_at(&file, PAGE, 4);
    bolt_file_leaf(leaf, 1, 0, 200, SLICE("a"), SLICE(""));
    expect_bad(&file, "page 4: its keys are not in order");
    bolt_file_deinit(&file);
    /* From one leaf to the next: "b", then "b". */
    make_small(&file);
    bolt_file_leaf(bolt_file_at(&file, PAGE, 5), 0, 0, 64, SLICE("b"),
                   SLICE("x"));
    expect_bad(&file, "page 5: its keys are not in order");
    bolt_file_deinit(&file);
}

/* ---- buckets ------------------------------------------------------------- */

static void test_a_bucket_that_is_cut_short(void **state)
{
    (void)state;
    struct bolt_file file;
    make_small(&file);
    put_le32(bolt_file_at(&file, PAGE, 2) + PAGE_HEAD_BYTES + 12, 15);
    expect_bad(&file, "a bucket is cut short");
    bolt_file_deinit(&file);
}

/* As bbolt keeps small ones. */
static size_t make_inline(char *out, unsigned flags)
{
    memset(out, 0, 200);
    char *page = out + PAGE_BUCKET_BYTES;
    put_le16(page + 8, (uint16_t)flags);
    put_le16(page + 10, 2);
    size_t next = bolt_file_leaf(page, 0, 0, 48, SLICE("x"), SLICE("1"));
    next = bolt_file_leaf(page, 1, 0, next, SLICE("y"), SLICE("22"));
    return PAGE_BUCKET_BYTES + next;
}

static void test_a_bucket_within_its_element(void **state)
{
    (void)state;
    struct bolt_file file;
    char bucket[200];
    make_small(&file);
    size_t size = make_inline(bucket, PAGE_LEAF);
    char *root = bolt_file_at(&file, PAGE, 2);
    bolt_file_leaf(root, 0, ELEMENT_BUCKET, 64, SLICE("b"),
                   slice_of(bucket, size));
    expect_good(&file, 2);
    /* Its page ends where the value does. */
    for (size_t less = 1; less < size - PAGE_BUCKET_BYTES; less++) {
        bolt_file_leaf(root, 0, ELEMENT_BUCKET, 64, SLICE("b"),
                       slice_of(bucket, size - less));
        expect_bad(&file, "page 0: ");
    }
    size = make_inline(bucket, PAGE_BRANCH);
    bolt_file_leaf(root, 0, ELEMENT_BUCKET, 64, SLICE("b"),
                   slice_of(bucket, size));
    expect_bad(&file, "an inline bucket is no leaf");
    bolt_file_deinit(&file);
}

static void test_buckets_in_buckets_are_passed_over(void **state)
{
    (void)state;
    struct bolt_file file;
    char bucket[200];
    make_small(&file);
    size_t size = make_inline(bucket, PAGE_LEAF);
    bolt_file_leaf(bolt_file_at(&file, PAGE, 5), 0, ELEMENT_BUCKET, 64,
                   SLICE("m"), slice_of(bucket, size));
    expect_good(&file, 2);
    /* And so is what is no bucket where buckets are. */
    put_le32(bolt_file_at(&file, PAGE, 2) + PAGE_HEAD_BYTES, 0);
    expect_good(&file, 0);
    bolt_file_deinit(&file);
}

/* ---- any damage ---------------------------------------------------------- */

/* A copy of exactly its size, so that a sanitizer sees a step beyond. */
static void read_copy(struct slice bytes)
{
    struct bolt_count found = {0};
    char *copy = mem_dup(bytes.at, bytes.size);
    enum err err = bolt_count_all(slice_of(copy, bytes.size), &found);
    assert_true(err == ERR_OK || err == ERR_CORRUPT);
    mem_free(copy);
}

static void test_a_file_that_ends_anywhere(void **state)
{
    (void)state;
    struct bolt_file file;
    make_small(&file);
    for (size_t size = 0; size < file.bytes.size; size++) {
        struct bolt_count found = {0};
        char *copy = mem_dup(file.bytes.at, size + 1);
        assert_int_equal(bolt_count_all(slice_of(copy, size), &found),
                         ERR_CORRUPT);
        mem_free(copy);
    }
    bolt_file_deinit(&file);
}

static void test_any_byte_is_another(void **state)
{
    (void)state;
    struct bolt_file file;
    make_small(&file);
    for (size_t at = 2 * PAGE; at < file.bytes.size; at++) {
        /* Most of a page is empty. */
        if (at % PAGE >= 128)
            continue;
        for (int bit = 0; bit < 8; bit++) {
            file.bytes.at[at] = (char)(file.bytes.at[at] ^ (1 << bit));
            read_copy(buf_slice(&file.bytes));
            file.bytes.at[at] = (char)(file.bytes.at[at] ^ (1 << bit));
        }
    }
    expect_good(&file, 3);
    bolt_file_deinit(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_by_hand),
        cmocka_unit_test(test_each_stops_where_it_is_told),
        cmocka_unit_test(test_the_newest_good_meta_counts),
        cmocka_unit_test(test_metas_with_wrong_numbers),
        cmocka_unit_test(test_bytes_behind_the_last_page),
        cmocka_unit_test(test_a_page_that_says_it_is_another),
        cmocka_unit_test(test_a_page_of_no_kind),
        cmocka_unit_test(test_a_page_that_goes_on_behind_the_end),
        cmocka_unit_test(test_more_elements_than_there_is_room_for),
        cmocka_unit_test(test_elements_that_reach_beyond_their_page),
        cmocka_unit_test(test_a_branch_to_nowhere),
        cmocka_unit_test(test_a_branch_that_leads_back),
        cmocka_unit_test(test_branches_that_share_all_children),
        cmocka_unit_test(test_a_tree_that_is_too_deep),
        cmocka_unit_test(test_keys_that_do_not_rise),
        cmocka_unit_test(test_a_bucket_that_is_cut_short),
        cmocka_unit_test(test_a_bucket_within_its_element),
        cmocka_unit_test(test_buckets_in_buckets_are_passed_over),
        cmocka_unit_test(test_a_file_that_ends_anywhere),
        cmocka_unit_test(test_any_byte_is_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
