/* A look at what a file holds, without a store over it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/mvcc/stories.h"

static void expect_peek(const char *name, uint64_t index, uint64_t term,
                        const char *value)
{
    struct buf found = {0};
    uint64_t found_index = 99, found_term = 99;
    assert_int_equal(
        mvcc_peek(kv, slice_str(name), &found_index, &found_term, &found),
        ERR_OK);
    assert_int_equal(found_index, index);
    assert_int_equal(found_term, term);
    assert_true(slice_eq(buf_slice(&found), slice_str(value)));
    buf_deinit(&found);
}

static void an_empty_file_is_at_the_beginning(void **state)
{
    (void)state;
    expect_peek("members", 0, 0, "");
}

static void only_what_was_flushed_is_seen(void **state)
{
    (void)state;
    put("/a", "1");
    meta_put("members", "m");
    mvcc_set_applied(store, 7, 2);
    expect_peek("members", 0, 0, "");
    flush_all();
    expect_peek("members", 7, 2, "m");
    expect_peek("others", 7, 2, "");
    meta_put("members", NULL);
    mvcc_set_applied(store, 8, 3);
    expect_peek("members", 7, 2, "m");
    flush_all();
    expect_peek("members", 8, 3, "");
}

static void what_was_in_the_buffer_stays(void **state)
{
    (void)state;
    struct buf found = {0};
    uint64_t index, term;
    meta_put("name", "value");
    flush_all();
    buf_append_str(&found, "the ");
    assert_int_equal(mvcc_peek(kv, SLICE("name"), &index, &term, &found),
                     ERR_OK);
    assert_true(slice_eq(buf_slice(&found), SLICE("the value")));
    buf_deinit(&found);
}

static void damage_is_told(void **state)
{
    (void)state;
    struct buf found = {0};
    uint64_t index, term;
    meta_put("name", "value");
    flush_all();
    file_put(MVCC_KV_META, SLICE("name"), SLICE("no checksum"));
    assert_int_equal(mvcc_peek(kv, SLICE("name"), &index, &term, &found),
                     ERR_CORRUPT);
    assert_memory_equal(err_note(), "look at the store: ", 19);
    file_put(MVCC_KV_STATE, state__key, SLICE("nonsense"));
    assert_int_equal(mvcc_peek(kv, SLICE("other"), &index, &term, &found),
                     ERR_CORRUPT);
    assert_int_equal(found.size, 0);
    buf_deinit(&found);
}

static void a_file_that_cant_be_read_is_told(void **state)
{
    (void)state;
    struct buf found = {0};
    uint64_t index, term;
    for (uint64_t nth = 1; nth <= 3; nth++) { /* begin, state, meta */
        kv_memory_fail_after(kv, nth, ERR_IO);
        assert_int_equal(mvcc_peek(kv, SLICE("name"), &index, &term, &found),
                         ERR_IO);
    }
    kv_memory_fail_after(kv, 0, ERR_OK);
    buf_deinit(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(an_empty_file_is_at_the_beginning),
        STORY(only_what_was_flushed_is_seen),
        STORY(what_was_in_the_buffer_stays),
        STORY(damage_is_told),
        STORY(a_file_that_cant_be_read_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
