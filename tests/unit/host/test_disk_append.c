/* Appends to a file of the real disk: whatever their sizes, and however they
 * are mixed with reads, writes and reopening, the file is what was written,
 * and zeros behind it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/prng.h"
#include "host/disk_posix.h"

enum { FILE_BYTES = 2 * 1024 * 1024, ROUNDS = 4000 };

struct stage {
    char path[64];
    struct disk *disk;
    struct disk_file *file;
    struct prng prng;
    char *model; /* FILE_BYTES of what the file should be */
    char *found;
    uint64_t end; /* what is behind it is zero */
};

static void stage_open(struct stage *stage, int flags)
{
    assert_int_equal(
        stage->disk->ops->open(stage->disk, "log", flags, &stage->file),
        ERR_OK);
}

static void stage_close(struct stage *stage)
{
    stage->disk->ops->close(stage->disk, stage->file);
    stage->file = NULL;
}

static void stage_begin(struct stage *stage, const char *parent)
{
    snprintf(stage->path, sizeof stage->path, "%s/etched-append-XXXXXX",
             parent);
    assert_non_null(mkdtemp(stage->path));
    assert_int_equal(disk_posix_open(stage->path, &stage->disk), ERR_OK);
    prng_init(&stage->prng, 7);
    stage->model = mem_alloc_zero(FILE_BYTES);
    stage->found = mem_alloc_zero(FILE_BYTES);
    stage->end = 0;
    stage_open(stage, DISK_WRITE | DISK_CREATE);
    assert_int_equal(
        stage->disk->ops->allocate(stage->disk, stage->file, FILE_BYTES),
        ERR_OK);
}

static void stage_end(struct stage *stage)
{
    stage_close(stage);
    assert_int_equal(stage->disk->ops->remove(stage->disk, "log"), ERR_OK);
    disk_posix_close(stage->disk);
    assert_int_equal(rmdir(stage->path), 0);
    mem_free(stage->model);
    mem_free(stage->found);
}

static void check_all(struct stage *stage)
{
    size_t size = 0;
    uint64_t whole = 0;
    assert_int_equal(stage->disk->ops->size(stage->disk, stage->file, &whole),
                     ERR_OK);
    assert_int_equal(whole, FILE_BYTES);
    assert_int_equal(stage->disk->ops->read(stage->disk, stage->file, 0,
                                            stage->found, FILE_BYTES, &size),
                     ERR_OK);
    assert_int_equal(size, FILE_BYTES);
    assert_memory_equal(stage->found, stage->model, FILE_BYTES);
}

static void append(struct stage *stage, size_t size)
{
    char *to = stage->model + stage->end;
    for (size_t i = 0; i < size; i++) {
        to[i] = (char)(1 + prng_below(&stage->prng, 255));
    }
    assert_int_equal(stage->disk->ops->append(stage->disk, stage->file,
                                              stage->end, to, size),
                     ERR_OK);
    stage->end += size;
}

/* As a log does that begins anew behind a torn tail: the bytes from some place
 * on become zeros by a plain write, and appends go on from there. */
static void cut(struct stage *stage)
{
    uint64_t by = prng_below(&stage->prng, 3000);
    by = by < stage->end ? by : stage->end;
    stage->end -= by;
    memset(stage->model + stage->end, 0, by);
    assert_int_equal(stage->disk->ops->write(stage->disk, stage->file,
                                             stage->end,
                                             stage->model + stage->end, by),
                     ERR_OK);
}

static void reopen(struct stage *stage)
{
    assert_int_equal(stage->disk->ops->sync(stage->disk, stage->file), ERR_OK);
    stage_close(stage);
    stage_open(stage, DISK_WRITE);
}

static void go_on(struct stage *stage)
{
    switch (prng_below(&stage->prng, 40)) {
    case 0:
        cut(stage);
        break;
    case 1:
        reopen(stage);
        break;
    case 2: /* more than goes by the page cache at once */
        append(stage, 60 * 1024 + prng_below(&stage->prng, 20 * 1024));
        break;
    case 3: /* to the edge of a block, and from there */
        append(stage, DISK_BLOCK_BYTES - stage->end % DISK_BLOCK_BYTES);
        break;
    default:
        append(stage, 8 + prng_below(&stage->prng, 900));
    }
}

static void story(const char *parent)
{
    struct stage stage;
    stage_begin(&stage, parent);
    for (int i = 0; i < ROUNDS; i++) {
        if (stage.end > FILE_BYTES - 128 * 1024) {
            break;
        }
        go_on(&stage);
        if (i % 100 == 0) {
            check_all(&stage);
        }
    }
    assert_true(stage.end > FILE_BYTES / 4);
    check_all(&stage);
    stage_end(&stage);
}

static void what_is_appended_is_in_the_file(void **state)
{
    (void)state;
    story(P_tmpdir);
}

/* Another file system, which may or may not let the page cache be gone by. */
static void and_so_in_memory(void **state)
{
    (void)state;
    if (access("/dev/shm", W_OK) != 0) {
        skip();
    }
    story("/dev/shm");
}

/* The last block of the file holds others' bytes: they stay as they are. */
static void an_append_leaves_what_is_before_it(void **state)
{
    (void)state;
    struct stage stage;
    stage_begin(&stage, P_tmpdir);
    memcpy(stage.model, "who was here before", 19);
    assert_int_equal(
        stage.disk->ops->write(stage.disk, stage.file, 0, stage.model, 19),
        ERR_OK);
    stage.end = 19;
    append(&stage, 5);
    check_all(&stage);
    stage_end(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_appended_is_in_the_file),
        cmocka_unit_test(and_so_in_memory),
        cmocka_unit_test(an_append_leaves_what_is_before_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
