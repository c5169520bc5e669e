/* What the log asks of the disk, call by call and in which order: this is
 * what "durable" stands on. A segment is called by its number, the next one
 * "next". */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/mem.h"
#include "support/wal_world.h"
#include "wal/wal_int.h"

/* ---- a disk that tells what it is asked --------------------------------- */

enum { FILES_MAX = 8 };

struct telling {
    struct disk door;
    struct disk *disk;
    struct buf told;
    struct {
        struct disk_file *file;
        char name[DISK_NAME_BYTES_MAX];
    } files[FILES_MAX];
};

static struct telling *telling_of(struct disk *disk)
{
    return (struct telling *)disk;
}

static void tell_name(struct telling *telling, const char *name)
{
    struct wal__segment segment;
    if (wal__name_parse(name, &segment))
        buf_append_u64(&telling->told, segment.number);
    else
        buf_append_str(&telling->told,
                       strcmp(name, WAL__NEXT_NAME) == 0 ? "next" : name);
}

static const char *name_of(struct telling *telling, struct disk_file *file)
{
    for (int i = 0; i < FILES_MAX; i++)
        if (telling->files[i].file == file)
            return telling->files[i].name;
    return "?";
}

/* "write 1 512+192\n" */
static void tell(struct disk *disk, const char *what, struct disk_file *file)
{
    struct telling *telling = telling_of(disk);
    buf_append_str(&telling->told, what);
    buf_append_char(&telling->told, ' ');
    tell_name(telling, name_of(telling, file));
    buf_append_char(&telling->told, '\n');
}

static void tell_range(struct disk *disk, const char *what,
                       struct disk_file *file, uint64_t offset, uint64_t size)
{
    struct telling *telling = telling_of(disk);
    tell(disk, what, file);
    telling->told.size--;
    buf_printf(&telling->told, " %llu+%llu\n", (unsigned long long)offset,
               (unsigned long long)size);
}

static enum err telling_list(struct disk *disk,
                             void (*each)(void *context, const char *name),
                             void *context)
{
    buf_append_str(&telling_of(disk)->told, "list\n");
    struct disk *below = telling_of(disk)->disk;
    return below->ops->list(below, each, context);
}

static enum err telling_open(struct disk *disk, const char *name, int flags,
                             struct disk_file **out)
{
    struct telling *telling = telling_of(disk);
    struct disk *below = telling->disk;
    enum err err = below->ops->open(below, name, flags, out);
    for (int i = 0; err == ERR_OK && i < FILES_MAX; i++) {
        if (telling->files[i].file == NULL) {
            telling->files[i].file = *out;
            memcpy(telling->files[i].name, name, strlen(name) + 1);
            break;
        }
    }
    if (err == ERR_OK)
        tell(disk, flags & DISK_CREATE ? "create" : "open", *out);
    return err;
}

static void telling_close(struct disk *disk, struct disk_file *file)
{
    struct telling *telling = telling_of(disk);
    tell(disk, "close", file);
    for (int i = 0; i < FILES_MAX; i++)
        if (telling->files[i].file == file)
            telling->files[i].file = NULL;
    telling->disk->ops->close(telling->disk, file);
}

static enum err telling_size(struct disk *disk, struct disk_file *file,
                             uint64_t *out)
{
    struct disk *below = telling_of(disk)->disk;
    return below->ops->size(below, file, out);
}

static enum err telling_read(struct disk *disk, struct disk_file *file,
                             uint64_t offset, void *to, size_t size,
                             size_t *out_size)
{
    struct disk *below = telling_of(disk)->disk;
    tell_range(disk, "read", file, offset, size);
    return below->ops->read(below, file, offset, to, size, out_size);
}

static enum err telling_write(struct disk *disk, struct disk_file *file,
                              uint64_t offset, const void *from, size_t size)
{
    struct disk *below = telling_of(disk)->disk;
    tell_range(disk, wal__all_zero(from, size) ? "zero" : "write", file, offset,
               size);
    return below->ops->write(below, file, offset, from, size);
}

static enum err telling_allocate(struct disk *disk, struct disk_file *file,
                                 uint64_t size)
{
    struct disk *below = telling_of(disk)->disk;
    tell_range(disk, "allocate", file, 0, size);
    return below->ops->allocate(below, file, size);
}

static enum err telling_truncate(struct disk *disk, struct disk_file *file,
                                 uint64_t size)
{
    struct disk *below = telling_of(disk)->disk;
    tell_range(disk, "truncate", file, 0, size);
    return below->ops->truncate(below, file, size);
}

static enum err telling_sync(struct disk *disk, struct disk_file *file)
{
    struct disk *below = telling_of(disk)->disk;
    tell(disk, "sync", file);
    return below->ops->sync(below, file);
}

/* An open file goes by its new name from now on. */
static enum err telling_rename(struct disk *disk, const char *from,
                               const char *to)
{
    struct telling *telling = telling_of(disk);
    buf_append_str(&telling->told, "rename ");
    tell_name(telling, from);
    buf_append_char(&telling->told, ' ');
    tell_name(telling, to);
    buf_append_char(&telling->told, '\n');
    for (int i = 0; i < FILES_MAX; i++)
        if (strcmp(telling->files[i].name, from) == 0)
            memcpy(telling->files[i].name, to, strlen(to) + 1);
    return telling->disk->ops->rename(telling->disk, from, to);
}

static enum err telling_remove(struct disk *disk, const char *name)
{
    struct telling *telling = telling_of(disk);
    buf_append_str(&telling->told, "remove ");
    tell_name(telling, name);
    buf_append_char(&telling->told, '\n');
    return telling->disk->ops->remove(telling->disk, name);
}

static enum err telling_sync_names(struct disk *disk)
{
    struct telling *telling = telling_of(disk);
    buf_append_str(&telling->told, "sync names\n");
    return telling->disk->ops->sync_names(telling->disk);
}

static const struct disk_ops telling_ops = {
    .list = telling_list,
    .open = telling_open,
    .close = telling_close,
    .size = telling_size,
    .read = telling_read,
    .write = telling_write,
    .allocate = telling_allocate,
    .truncate = telling_truncate,
    .sync = telling_sync,
    .rename = telling_rename,
    .remove = telling_remove,
    .sync_names = telling_sync_names,
};

/* ---- stories ------------------------------------------------------------ */

struct story {
    struct wal_world world;
    struct telling telling;
};

static void story_begin(struct story *story)
{
    wal_world_init(&story->world, 1, 4096);
    story->telling = (struct telling){
        .door = {&telling_ops},
        .disk = story->world.config.disk,
    };
    story->world.config.disk = &story->telling.door;
    assert_int_equal(wal_world_create(&story->world), ERR_OK);
}

static void story_end(struct story *story)
{
    wal_world_deinit(&story->world);
    for (int i = 0; i < FILES_MAX; i++)
        assert_null(story->telling.files[i].file); /* all were closed */
    buf_deinit(&story->telling.told);
}

/* What was told since the last time. */
static void assert_told(struct story *story, const char *expected)
{
    buf_append_char(&story->telling.told, '\0');
    assert_string_equal(story->telling.told.at, expected);
    buf_reset(&story->telling.told);
}

static void a_new_log(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story);
    assert_told(&story, "list\n"
                        "create next\n"
                        "allocate next 0+4608\n"
                        "write next 0+512\n"
                        "sync next\n"
                        "rename next 1\n"
                        "sync names\n");
    story_end(&story);
}

static void a_commit(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story);
    buf_reset(&story.telling.told);
    wal_world_fill(&story.world, 1, 1, 1, 100);
    assert_told(&story, "zero 1 704+3904\n" /* ahead, once */
                        "write 1 512+192\n"
                        "sync 1\n");
    wal_world_fill(&story.world, 2, 3, 1, 100);
    assert_told(&story, "write 1 704+192\n"
                        "sync 1\n"
                        "write 1 896+192\n"
                        "sync 1\n");
    story_end(&story);
}

/* All of the old segment is durable before the new one has its name, and the
 * new one's header too. */
static void from_one_segment_to_the_next(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story);
    wal_world_fill(&story.world, 1, 7, 1, 100);
    buf_reset(&story.telling.told);
    wal_world_fill(&story.world, 8, 9, 1, 100);
    assert_told(&story, "write 1 1856+192\n"
                        "sync 1\n"
                        "create next\n" /* half is used */
                        "allocate next 0+4608\n"
                        "write 1 2048+192\n"
                        "sync 1\n");
    wal_world_fill(&story.world, 10, 17, 1, 100);
    assert_int_equal(wal_world_append(&story.world, 18, 1, 1, 100), ERR_OK);
    buf_reset(&story.telling.told);
    assert_int_equal(wal_reserve(story.world.wal, 192), ERR_OK);
    assert_told(&story, "sync 1\n"
                        "write next 0+512\n"
                        "sync next\n"
                        "rename next 2\n"
                        "sync names\n"
                        "close 1\n");
    wal_world_fill(&story.world, 19, 19, 1, 100);
    assert_told(&story, "zero 2 704+3904\n"
                        "write 2 512+192\n"
                        "sync 2\n");
    story_end(&story);
}

/* One without a frame takes what doesn't fit it: no other file is made. The
 * new size is durable with the frame. */
static void a_frame_larger_than_an_empty_segment(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story);
    buf_reset(&story.telling.told);
    assert_int_equal(wal_reserve(story.world.wal, 5000), ERR_OK);
    assert_int_equal(wal_reserve(story.world.wal, 70000), ERR_OK);
    assert_told(&story, "allocate 1 0+6024\n"
                        "allocate 1 0+71024\n");
    wal_world_fill(&story.world, 1, 1, 1, 69904);
    assert_told(&story, "write 1 512+69992\n"
                        "sync 1\n");
    story_end(&story);
}

static void a_frame_larger_than_a_segment(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story);
    wal_world_fill(&story.world, 1, 12, 1, 100);
    buf_reset(&story.telling.told);
    assert_int_equal(wal_reserve(story.world.wal, 70000), ERR_OK);
    assert_told(&story, "allocate next 0+71024\n"
                        "write next 0+512\n"
                        "sync next\n"
                        "rename next 2\n"
                        "sync names\n"
                        "close 1\n");
    /* Zeros ahead of large frames would cost more than they save. */
    wal_world_fill(&story.world, 13, 13, 1, 69904);
    assert_told(&story, "write 2 512+69992\n"
                        "sync 2\n");
    story_end(&story);
}

/* Oldest first, and one by one: a crash leaves no gap. */
static void trimming(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story);
    wal_world_fill(&story.world, 1, 50, 1, 100);
    buf_reset(&story.telling.told);
    assert_int_equal(wal_trim(story.world.wal, 36), ERR_OK);
    assert_told(&story, "remove 1\n"
                        "sync names\n"
                        "remove 2\n"
                        "sync names\n");
    assert_int_equal(wal_trim(story.world.wal, 50), ERR_OK);
    assert_told(&story, "");
    story_end(&story);
}

static void closing_and_opening(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story);
    wal_world_fill(&story.world, 1, 20, 1, 100);
    buf_reset(&story.telling.told);
    wal_world_close(&story.world);
    assert_told(&story, "truncate 2 0+1408\n"
                        "close 2\n");
    wal_world_reopen(&story.world);
    assert_told(&story, "list\n"
                        "open 2\n" /* doesn't the log start anew there? */
                        "read 2 0+512\n"
                        "close 2\n"
                        "open 1\n"
                        "read 1 0+4608\n"
                        "close 1\n"
                        "open 2\n"
                        "read 2 0+1408\n"
                        "allocate 2 0+4608\n"
                        "sync 2\n"
                        "sync names\n");
    story_end(&story);
}

/* The zeros over a torn tail are durable before anything else is written.
 * The frame's last four bytes are padding, zero already. */
/* The new segment is there for good before anything of the old log goes, and
 * it goes oldest first. */
static void beginning_anew(void **state)
{
    (void)state;
    static const struct raft_hard_state hard = {3, 1, 50};
    struct story story;
    story_begin(&story);
    wal_world_fill(&story.world, 1, 20, 1, 100);
    assert_int_equal(wal_world_append(&story.world, 21, 1, 1, 100), ERR_OK);
    buf_reset(&story.telling.told);
    assert_int_equal(wal_reset(story.world.wal, 50, 2, &hard), ERR_OK);
    assert_told(&story, "create next\n"
                        "allocate next 0+4608\n"
                        "sync 2\n"
                        "write next 0+512\n"
                        "sync next\n"
                        "rename next 3\n"
                        "sync names\n"
                        "close 2\n"
                        "remove 1\n"
                        "sync names\n"
                        "remove 2\n"
                        "sync names\n");
    story_end(&story);
}

static void cutting_a_torn_tail(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story);
    wal_world_fill(&story.world, 1, 3, 1, 100);
    wal_world_kill(&story.world);
    disk_memory_flip(story.world.memory,
                     "0000000000000001-0000000000000001.wal", 1000, 1);
    disk_memory_put(story.world.memory, WAL__NEXT_NAME, SLICE("half"));
    buf_reset(&story.telling.told);
    wal_world_reopen(&story.world);
    assert_int_equal(wal_copy_last(&story.world.found), 2);
    assert_told(&story, "list\n"
                        "open 1\n"
                        "read 1 0+4608\n"
                        "zero 1 896+188\n"
                        "sync 1\n"
                        "sync names\n"
                        "remove next\n");
    story_end(&story);
}

static void without_syncs(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story);
    wal_world_close(&story.world);
    story.world.config.unsafe_no_sync = true;
    wal_world_reopen(&story.world);
    wal_world_fill(&story.world, 1, 50, 1, 100);
    assert_int_equal(wal_trim(story.world.wal, 20), ERR_OK);
    buf_append_char(&story.telling.told, '\0');
    const char *reopened = strstr(story.telling.told.at, "close 1\n");
    assert_non_null(reopened);
    assert_null(strstr(reopened, "sync"));
    assert_non_null(strstr(reopened, "write 3"));
    story_end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_log),
        cmocka_unit_test(a_commit),
        cmocka_unit_test(from_one_segment_to_the_next),
        cmocka_unit_test(a_frame_larger_than_an_empty_segment),
        cmocka_unit_test(a_frame_larger_than_a_segment),
        cmocka_unit_test(trimming),
        cmocka_unit_test(closing_and_opening),
        cmocka_unit_test(beginning_anew),
        cmocka_unit_test(cutting_a_torn_tail),
        cmocka_unit_test(without_syncs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
