/* The disk door on a real directory, and a log on it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "host/disk_posix.h"
#include "support/wal_world.h"

struct place {
    char path[64];
    struct disk *disk;
};

static void place_begin(struct place *place)
{
    snprintf(place->path, sizeof place->path, "%s/etched-disk-XXXXXX",
             P_tmpdir);
    assert_non_null(mkdtemp(place->path));
    assert_int_equal(disk_posix_open(place->path, &place->disk), ERR_OK);
}

static void remove_one(void *context, const char *name)
{
    struct place *place = context;
    assert_int_equal(place->disk->ops->remove(place->disk, name), ERR_OK);
}

static void place_end(struct place *place)
{
    const struct disk_ops *ops = place->disk->ops;
    assert_int_equal(ops->list(place->disk, remove_one, place), ERR_OK);
    disk_posix_close(place->disk);
    assert_int_equal(rmdir(place->path), 0);
}

static void path_in(const struct place *place, const char *name, char *out,
                    size_t size)
{
    snprintf(out, size, "%s/%s", place->path, name);
}

static struct disk_file *open_file(struct place *place, const char *name,
                                   int flags)
{
    struct disk_file *file = NULL;
    assert_int_equal(place->disk->ops->open(place->disk, name, flags, &file),
                     ERR_OK);
    assert_non_null(file);
    return file;
}

static void assert_note_has(const char *text)
{
    if (strstr(err_note(), text) == NULL)
        fail_msg("\"%s\" is not in the note \"%s\"", text, err_note());
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct place place;
    place_begin(&place);
    struct disk *disk = place.disk;
    const struct disk_ops *ops = disk->ops;
    struct disk_file *file = open_file(&place, "a", DISK_WRITE | DISK_CREATE);
    uint64_t size = 99;
    char bytes[16] = {0};
    size_t got = 99;
    assert_int_equal(ops->size(disk, file, &size), ERR_OK);
    assert_int_equal(size, 0);
    assert_int_equal(ops->read(disk, file, 0, bytes, 4, &got), ERR_OK);
    assert_int_equal(got, 0);
    assert_int_equal(ops->write(disk, file, 3, "hello", 5), ERR_OK);
    assert_int_equal(ops->size(disk, file, &size), ERR_OK);
    assert_int_equal(size, 8);
    assert_int_equal(ops->sync(disk, file), ERR_OK);
    ops->close(disk, file);

    file = open_file(&place, "a", DISK_READ);
    assert_int_equal(ops->read(disk, file, 0, bytes, sizeof bytes, &got),
                     ERR_OK);
    assert_int_equal(got, 8);
    assert_memory_equal(bytes, "\0\0\0hello", 8);
    assert_int_equal(ops->read(disk, file, 5, bytes, 2, &got), ERR_OK);
    assert_int_equal(got, 2);
    assert_memory_equal(bytes, "ll", 2);
    assert_int_equal(ops->read(disk, file, 100, bytes, 2, &got), ERR_OK);
    assert_int_equal(got, 0);
    assert_int_equal(ops->write(disk, file, 0, "x", 1), ERR_IO);
    assert_note_has("write a:");
    ops->close(disk, file);
    place_end(&place);
}

static void a_file_is_ours_alone(void **state)
{
    (void)state;
    struct place place;
    char path[128];
    struct stat status;
    place_begin(&place);
    struct disk_file *file = open_file(&place, "a", DISK_WRITE | DISK_CREATE);
    path_in(&place, "a", path, sizeof path);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    place.disk->ops->close(place.disk, file);
    place_end(&place);
}

static void creating_and_opening_tell_what_is_there(void **state)
{
    (void)state;
    struct place place;
    struct disk_file *file = NULL;
    place_begin(&place);
    struct disk *disk = place.disk;
    assert_int_equal(disk->ops->open(disk, "a", DISK_WRITE, &file),
                     ERR_NOT_FOUND);
    assert_note_has("open a:");
    assert_null(file);
    disk->ops->close(disk, open_file(&place, "a", DISK_WRITE | DISK_CREATE));
    assert_int_equal(
        disk->ops->open(disk, "a", DISK_WRITE | DISK_CREATE, &file),
        ERR_EXISTS);
    assert_note_has("open a:");
    disk->ops->close(disk, open_file(&place, "a", DISK_WRITE));
    place_end(&place);
}

static void links_and_what_is_no_file_are_refused(void **state)
{
    (void)state;
    struct place place;
    char path[128];
    struct disk_file *file = NULL;
    place_begin(&place);
    struct disk *disk = place.disk;
    disk->ops->close(disk, open_file(&place, "real", DISK_WRITE | DISK_CREATE));
    path_in(&place, "link", path, sizeof path);
    assert_int_equal(symlink("real", path), 0);
    assert_int_equal(disk->ops->open(disk, "link", DISK_READ, &file), ERR_IO);
    assert_int_equal(disk->ops->open(disk, "link", DISK_WRITE, &file), ERR_IO);
    assert_int_equal(
        disk->ops->open(disk, "link", DISK_WRITE | DISK_CREATE, &file),
        ERR_EXISTS);
    path_in(&place, "pipe", path, sizeof path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(disk->ops->open(disk, "pipe", DISK_READ, &file), ERR_IO);
    assert_note_has("pipe: not a plain file");

    /* Nor is the directory itself reached through a link. */
    struct disk *other = NULL;
    path_in(&place, "directory", path, sizeof path);
    assert_int_equal(symlink(place.path, path), 0);
    assert_int_equal(disk_posix_open(path, &other), ERR_INVALID);
    assert_note_has(path);
    assert_null(other);
    path_in(&place, "real", path, sizeof path);
    assert_int_equal(disk_posix_open(path, &other), ERR_INVALID);
    path_in(&place, "none", path, sizeof path);
    assert_int_equal(disk_posix_open(path, &other), ERR_NOT_FOUND);
    place_end(&place);
}

struct names {
    int a, b, others;
};

static void count_name(void *context, const char *name)
{
    struct names *names = context;
    if (strcmp(name, "a") == 0)
        names->a++;
    else if (strcmp(name, "b") == 0)
        names->b++;
    else
        names->others++;
}

static void names_come_and_go(void **state)
{
    (void)state;
    struct place place;
    place_begin(&place);
    struct disk *disk = place.disk;
    const struct disk_ops *ops = disk->ops;
    struct names names = {0};
    ops->close(disk, open_file(&place, "a", DISK_WRITE | DISK_CREATE));
    ops->close(disk, open_file(&place, "b", DISK_WRITE | DISK_CREATE));
    for (int i = 1; i <= 2; i++) { /* each listing is a whole one */
        assert_int_equal(ops->list(disk, count_name, &names), ERR_OK);
        assert_int_equal(names.a, i);
        assert_int_equal(names.b, i);
        assert_int_equal(names.others, 0);
    }
    assert_int_equal(ops->rename(disk, "a", "b"), ERR_OK); /* replaces */
    assert_int_equal(ops->sync_names(disk), ERR_OK);
    names = (struct names){0};
    assert_int_equal(ops->list(disk, count_name, &names), ERR_OK);
    assert_int_equal(names.a, 0);
    assert_int_equal(names.b, 1);
    assert_int_equal(ops->rename(disk, "a", "c"), ERR_NOT_FOUND);
    assert_note_has("rename a:");
    assert_int_equal(ops->remove(disk, "b"), ERR_OK);
    assert_int_equal(ops->remove(disk, "b"), ERR_NOT_FOUND);
    assert_note_has("remove b:");
    place_end(&place);
}

/* The directory is held, not its name. */
static void the_directory_may_be_moved(void **state)
{
    (void)state;
    struct place place;
    char moved[128];
    place_begin(&place);
    snprintf(moved, sizeof moved, "%s-moved", place.path);
    assert_int_equal(rename(place.path, moved), 0);
    struct disk *disk = place.disk;
    disk->ops->close(disk, open_file(&place, "a", DISK_WRITE | DISK_CREATE));
    assert_int_equal(disk->ops->sync_names(disk), ERR_OK);
    assert_int_equal(rename(moved, place.path), 0);
    disk->ops->close(disk, open_file(&place, "a", DISK_READ));
    place_end(&place);
}

static void allocated_bytes_are_zero_and_nothing_is_lost(void **state)
{
    (void)state;
    struct place place;
    char bytes[200];
    uint64_t size = 0;
    size_t got = 0;
    place_begin(&place);
    struct disk *disk = place.disk;
    const struct disk_ops *ops = disk->ops;
    struct disk_file *file = open_file(&place, "a", DISK_WRITE | DISK_CREATE);
    assert_int_equal(ops->write(disk, file, 0, "hello", 5), ERR_OK);
    assert_int_equal(ops->allocate(disk, file, 200000), ERR_OK);
    assert_int_equal(ops->size(disk, file, &size), ERR_OK);
    assert_int_equal(size, 200000);
    assert_int_equal(ops->read(disk, file, 0, bytes, sizeof bytes, &got),
                     ERR_OK);
    assert_memory_equal(bytes, "hello", 5);
    for (size_t i = 5; i < sizeof bytes; i++)
        assert_int_equal(bytes[i], 0);
    assert_int_equal(ops->allocate(disk, file, 100), ERR_OK); /* not less */
    assert_int_equal(ops->size(disk, file, &size), ERR_OK);
    assert_int_equal(size, 200000);
    assert_int_equal(ops->truncate(disk, file, 3), ERR_OK);
    assert_int_equal(ops->allocate(disk, file, 100), ERR_OK);
    assert_int_equal(ops->read(disk, file, 0, bytes, sizeof bytes, &got),
                     ERR_OK);
    assert_int_equal(got, 100);
    assert_memory_equal(bytes, "hel\0\0", 5);
    ops->close(disk, file);
    place_end(&place);
}

/* A limit of the process stands in for a disk that takes no more: the call
 * that goes beyond is cut short first, and then fails. */
static void a_write_that_is_cut_short_goes_on_and_fails(void **state)
{
    (void)state;
    struct place place;
    struct rlimit before;
    uint64_t size = 0;
    char *bytes = mem_alloc_zero(40000);
    place_begin(&place);
    struct disk *disk = place.disk;
    const struct disk_ops *ops = disk->ops;
    struct disk_file *file = open_file(&place, "a", DISK_WRITE | DISK_CREATE);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit small = {.rlim_cur = 30000, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum err wrote = ops->write(disk, file, 0, bytes, 40000);
    enum err allocated = ops->allocate(disk, file, 50000);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(wrote, ERR_IO);
    assert_int_equal(allocated, ERR_IO);
    assert_note_has("allocate a:");
    assert_int_equal(ops->size(disk, file, &size), ERR_OK);
    assert_int_equal(size, 30000);
    ops->close(disk, file);
    mem_free(bytes);
    place_end(&place);
}

static void no_descriptor_is_left_to_a_child(void **state)
{
    (void)state;
    struct place place;
    place_begin(&place);
    int probe = dup(0); /* the lowest that is free, and so the file's next */
    close(probe);
    struct disk_file *file = open_file(&place, "a", DISK_WRITE | DISK_CREATE);
    assert_true(fcntl(probe, F_GETFD) & FD_CLOEXEC);
    place.disk->ops->close(place.disk, file);
    assert_int_equal(fcntl(probe, F_GETFD), -1);
    place_end(&place);
}

/* All of it together: a log of several segments, torn, reopened, trimmed. */
/* Behind the last byte that isn't zero. */
static off_t written_end(const char *path)
{
    FILE *file = fopen(path, "rb");
    off_t end = 0;
    off_t at = 0;
    assert_non_null(file);
    for (int c = fgetc(file); c != EOF; c = fgetc(file)) {
        at++;
        end = c != 0 ? at : end;
    }
    assert_int_equal(fclose(file), 0);
    return end;
}

static void a_log_lives_on_it(void **state)
{
    (void)state;
    struct place place;
    struct wal_world world;
    struct wal_stats stats;
    place_begin(&place);
    wal_world_init(&world, 1, 16 * 1024);
    world.config.disk = place.disk;
    assert_int_equal(wal_world_create(&world), ERR_OK);
    wal_world_fill(&world, 1, 60, 1, 1000);
    wal_world_reopen(&world);
    assert_int_equal(wal_copy_last(&world.found), 60);
    assert_true(world.opened.segment_count >= 4);
    wal_world_fill(&world, 61, 61, 1, 1000);
    wal_stats(world.wal, &stats);
    wal_world_close(&world);

    /* The last frame is cut in half. */
    char path[192] = "";
    char name[64];
    for (int number = 1; number < 9; number++) {
        for (int first = 1; first < 62; first++) {
            snprintf(name, sizeof name, "%016x-%016x.wal", number, first);
            char candidate[192];
            path_in(&place, name, candidate, sizeof candidate);
            if (access(candidate, F_OK) == 0)
                memcpy(path, candidate, sizeof path);
        }
    }
    assert_int_equal(truncate(path, written_end(path) - 500), 0);
    wal_world_reopen(&world);
    assert_true(world.opened.torn);
    assert_int_equal(wal_copy_last(&world.found), 60);
    for (raft_index i = 1; i <= 60; i++)
        assert_true(wal_world_entry_good(wal_copy_at(&world.found, i)));

    wal_world_fill(&world, 61, 70, 1, 1000);
    assert_int_equal(wal_trim(world.wal, 70), ERR_OK);
    wal_world_reopen(&world);
    assert_int_equal(world.opened.segment_count, 1);
    assert_int_equal(wal_copy_last(&world.found), 70);
    wal_world_deinit(&world);
    place_end(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(a_file_is_ours_alone),
        cmocka_unit_test(creating_and_opening_tell_what_is_there),
        cmocka_unit_test(links_and_what_is_no_file_are_refused),
        cmocka_unit_test(names_come_and_go),
        cmocka_unit_test(the_directory_may_be_moved),
        cmocka_unit_test(allocated_bytes_are_zero_and_nothing_is_lost),
        cmocka_unit_test(a_write_that_is_cut_short_goes_on_and_fails),
        cmocka_unit_test(no_descriptor_is_left_to_a_child),
        cmocka_unit_test(a_log_lives_on_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
