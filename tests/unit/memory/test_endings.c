/* How the doors' tenants end: a kv file that was lost to its owner, and what of
 * a disk is old enough to be damaged. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "memory/disk_memory.h"
#include "memory/kv_memory.h"

/* ---- a kv file ----------------------------------------------------------- */

static void put(struct kv *kv, const char *key, const char *value)
{
    struct kv_txn *txn;
    assert_int_equal(kv->ops->begin_write(kv, &txn), ERR_OK);
    assert_int_equal(kv->ops->put(kv, txn, 1, slice_str(key), slice_str(value)),
                     ERR_OK);
    assert_int_equal(kv->ops->commit(kv, txn), ERR_OK);
}

static enum err get(struct kv *kv, const char *key)
{
    struct kv_txn *txn;
    struct slice value;
    enum err err = kv->ops->begin_read(kv, &txn);
    if (err)
        return err;
    err = kv->ops->get(kv, txn, 1, slice_str(key), &value);
    kv->ops->end_read(kv, txn);
    return err;
}

static void test_after_a_crash_every_call_fails(void **state)
{
    (void)state;
    struct kv *kv = kv_memory_new();
    struct kv_txn *txn;
    put(kv, "a", "1");
    assert_int_equal(get(kv, "a"), ERR_OK);
    kv_memory_crash(kv);
    assert_int_equal(get(kv, "a"), ERR_IO);
    assert_int_equal(kv->ops->begin_write(kv, &txn), ERR_IO);
    kv = kv_memory_reopen(kv);
    assert_int_equal(get(kv, "a"), ERR_OK);
    kv_memory_free(kv);
}

static void test_what_was_under_way_comes_to_nothing(void **state)
{
    (void)state;
    struct kv *kv = kv_memory_new();
    struct kv_txn *txn;
    put(kv, "a", "1");
    assert_int_equal(kv->ops->begin_write(kv, &txn), ERR_OK);
    assert_int_equal(kv->ops->put(kv, txn, 1, SLICE("b"), SLICE("2")), ERR_OK);
    kv_memory_crash(kv);
    assert_int_equal(kv->ops->commit(kv, txn), ERR_IO);
    kv = kv_memory_reopen(kv);
    assert_int_equal(get(kv, "a"), ERR_OK);
    assert_int_equal(get(kv, "b"), ERR_NOT_FOUND);
    kv_memory_free(kv);
}

static void test_its_owner_can_let_go(void **state)
{
    (void)state;
    struct kv *kv = kv_memory_new();
    struct kv_txn *reader;
    struct kv_txn *writer;
    struct kv_cursor *cursor;
    put(kv, "a", "1");
    assert_int_equal(kv->ops->begin_read(kv, &reader), ERR_OK);
    assert_int_equal(kv->ops->cursor_open(kv, reader, 1, &cursor), ERR_OK);
    assert_int_equal(kv->ops->begin_write(kv, &writer), ERR_OK);
    kv_memory_crash(kv);
    kv->ops->cursor_close(kv, cursor);
    kv->ops->end_read(kv, reader);
    kv->ops->abort(kv, writer);
    kv_memory_free(kv_memory_reopen(kv));
}

/* ---- a disk -------------------------------------------------------------- */

struct stage {
    struct disk_memory *memory;
    struct disk *disk;
    struct disk_file *file;
};

static struct stage stage_new(void)
{
    struct stage stage = {.memory = disk_memory_new(1)};
    stage.disk = disk_memory_door(stage.memory);
    assert_int_equal(stage.disk->ops->open(stage.disk, "log",
                                           DISK_CREATE | DISK_WRITE,
                                           &stage.file),
                     ERR_OK);
    return stage;
}

static void stage_free(struct stage *stage)
{
    stage->disk->ops->close(stage->disk, stage->file);
    disk_memory_free(stage->memory);
}

static void append(struct stage *stage, uint64_t offset, bool sync)
{
    char bytes[100] = {0};
    struct disk *disk = stage->disk;
    assert_int_equal(disk->ops->write(disk, stage->file, offset, bytes, 100),
                     ERR_OK);
    if (sync)
        assert_int_equal(disk->ops->sync(disk, stage->file), ERR_OK);
}

static void test_what_is_old_lies_before_the_last_writes(void **state)
{
    (void)state;
    struct stage stage = stage_new();
    for (uint64_t n = 0; n < 3; n++)
        append(&stage, n * 100, true);
    /* Too few to tell. */
    assert_int_equal(disk_memory_old_bytes(stage.memory, "log"), 0);
    for (uint64_t n = 3; n < 10; n++)
        append(&stage, n * 100, true);
    assert_int_equal(disk_memory_old_bytes(stage.memory, "log"), 600);
    /* What isn't durable doesn't count. */
    append(&stage, 1000, false);
    assert_int_equal(disk_memory_old_bytes(stage.memory, "log"), 600);
    assert_int_equal(disk_memory_old_bytes(stage.memory, "other"), 0);
    stage_free(&stage);
}

static void test_a_write_further_back_is_new(void **state)
{
    (void)state;
    struct stage stage = stage_new();
    for (uint64_t n = 0; n < 10; n++)
        append(&stage, n * 100, true);
    append(&stage, 200, true);
    assert_int_equal(disk_memory_old_bytes(stage.memory, "log"), 200);
    stage_free(&stage);
}

static void test_another_file_is_old_as_a_whole(void **state)
{
    (void)state;
    struct stage stage = stage_new();
    disk_memory_put(stage.memory, "old", SLICE("0123456789"));
    for (uint64_t n = 0; n < 10; n++)
        append(&stage, n * 100, true);
    assert_int_equal(disk_memory_old_bytes(stage.memory, "old"), 10);
    stage_free(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_after_a_crash_every_call_fails),
        cmocka_unit_test(test_what_was_under_way_comes_to_nothing),
        cmocka_unit_test(test_its_owner_can_let_go),
        cmocka_unit_test(test_what_is_old_lies_before_the_last_writes),
        cmocka_unit_test(test_a_write_further_back_is_new),
        cmocka_unit_test(test_another_file_is_old_as_a_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
