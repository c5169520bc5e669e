/* The disk in memory: files and names as a disk has them, and what a crash, a
 * call that fails or a full disk make of them. What may happen is asked of many
 * seeds: each fate must come, and none that can't be. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "memory/disk_memory.h"

enum { SEEDS = 200 };

static struct disk_memory *memory;
static struct disk *disk;

static void begin_with(uint64_t seed)
{
    memory = disk_memory_new(seed);
    disk = disk_memory_door(memory);
}

static void end(void)
{
    disk_memory_free(memory);
    memory = NULL;
}

static int setup(void **state)
{
    (void)state;
    begin_with(1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    end();
    return 0;
}

/* ---- a little language --------------------------------------------------- */

static struct disk_file *open_as(const char *name, int flags)
{
    struct disk_file *file = NULL;
    assert_int_equal(disk->ops->open(disk, name, flags, &file), ERR_OK);
    assert_non_null(file);
    return file;
}

static struct disk_file *create(const char *name)
{
    return open_as(name, DISK_WRITE | DISK_CREATE);
}

static void close_file(struct disk_file *file)
{
    disk->ops->close(disk, file);
}

static void write_at(struct disk_file *file, uint64_t offset, const char *text)
{
    assert_int_equal(disk->ops->write(disk, file, offset, text, strlen(text)),
                     ERR_OK);
}

static void sync_it(struct disk_file *file)
{
    assert_int_equal(disk->ops->sync(disk, file), ERR_OK);
}

static void sync_names(void)
{
    assert_int_equal(disk->ops->sync_names(disk), ERR_OK);
}

/* A file of this text; durable with its name. */
static void make(const char *name, const char *text)
{
    struct disk_file *file = create(name);
    write_at(file, 0, text);
    sync_it(file);
    close_file(file);
    sync_names();
}

/* NULL: there is no such file. */
static void expect(const char *name, const char *text)
{
    struct slice bytes = disk_memory_bytes(memory, name);
    if (text == NULL) {
        assert_null(bytes.at);
        return;
    }
    assert_int_equal(bytes.size, strlen(text));
    if (bytes.size)
        assert_memory_equal(bytes.at, text, bytes.size);
}

static bool exists(const char *name)
{
    const char *other = "";
    for (size_t n = 0; other != NULL && strcmp(other, name) != 0; n++)
        other = disk_memory_name(memory, n);
    return other != NULL;
}

static bool is(const char *name, const char *text)
{
    return exists(name) &&
           slice_eq(disk_memory_bytes(memory, name), slice_str(text));
}

static void append_name(void *context, const char *name)
{
    buf_append_str(context, name);
    buf_append_char(context, ' ');
}

/* The names in order, each with a blank behind. */
static void expect_names(const char *text)
{
    struct buf seen = {0};
    const char *name;
    for (size_t n = 0; (name = disk_memory_name(memory, n)) != NULL; n++)
        append_name(&seen, name);
    buf_append_char(&seen, '\0');
    assert_string_equal(seen.at, text);
    buf_deinit(&seen);
}

/* ---- as a disk has them -------------------------------------------------- */

static void what_is_written_is_read(void **state)
{
    (void)state;
    char bytes[16];
    size_t size = 99;
    uint64_t whole = 99;
    struct disk_file *file = create("a");
    assert_int_equal(disk->ops->size(disk, file, &whole), ERR_OK);
    assert_int_equal(whole, 0);
    write_at(file, 0, "hello");
    write_at(file, 3, "p!");
    assert_int_equal(disk->ops->size(disk, file, &whole), ERR_OK);
    assert_int_equal(whole, 5);
    assert_int_equal(disk->ops->read(disk, file, 1, bytes, 3, &size), ERR_OK);
    assert_int_equal(size, 3);
    assert_memory_equal(bytes, "elp", 3);
    assert_int_equal(disk->ops->read(disk, file, 3, bytes, 16, &size), ERR_OK);
    assert_int_equal(size, 2);
    assert_int_equal(disk->ops->read(disk, file, 5, bytes, 16, &size), ERR_OK);
    assert_int_equal(size, 0);
    assert_int_equal(disk->ops->read(disk, file, 999, bytes, 1, &size), ERR_OK);
    assert_int_equal(size, 0);
    close_file(file);
    expect("a", "help!");
}

static void a_hole_is_zero(void **state)
{
    (void)state;
    struct disk_file *file = create("a");
    write_at(file, 4, "x");
    close_file(file);
    assert_true(
        slice_eq(disk_memory_bytes(memory, "a"), slice_of("\0\0\0\0x", 5)));
}

static void sizes_grow_and_shrink(void **state)
{
    (void)state;
    struct disk_file *file = create("a");
    write_at(file, 0, "abcdef");
    assert_int_equal(disk->ops->allocate(disk, file, 3), ERR_OK);
    expect("a", "abcdef"); /* to allocate never shrinks */
    assert_int_equal(disk->ops->truncate(disk, file, 2), ERR_OK);
    expect("a", "ab");
    assert_int_equal(disk->ops->allocate(disk, file, 4), ERR_OK);
    assert_true(
        slice_eq(disk_memory_bytes(memory, "a"), slice_of("ab\0\0", 4)));
    assert_int_equal(disk->ops->truncate(disk, file, 0), ERR_OK);
    expect("a", "");
    close_file(file);
}

static void one_file_may_be_open_twice(void **state)
{
    (void)state;
    char bytes[4];
    size_t size;
    struct disk_file *one = create("a");
    struct disk_file *two = open_as("a", DISK_READ);
    write_at(one, 0, "now");
    assert_int_equal(disk->ops->read(disk, two, 0, bytes, 4, &size), ERR_OK);
    assert_int_equal(size, 3);
    assert_memory_equal(bytes, "now", 3);
    close_file(one);
    close_file(two);
}

static void names_are_listed_in_any_order_and_shown_in_theirs(void **state)
{
    (void)state;
    struct buf seen = {0};
    make("b", "2");
    make("c", "3");
    make("a", "1");
    expect_names("a b c ");
    assert_int_equal(disk->ops->list(disk, append_name, &seen), ERR_OK);
    assert_int_equal(seen.size, 6);
    buf_deinit(&seen);
    assert_null(disk_memory_name(memory, 3));
}

static void names_can_be_changed_and_removed(void **state)
{
    (void)state;
    make("a", "1");
    make("b", "2");
    assert_int_equal(disk->ops->rename(disk, "a", "c"), ERR_OK);
    expect_names("b c ");
    assert_int_equal(disk->ops->rename(disk, "c", "b"), ERR_OK); /* over it */
    expect_names("b ");
    expect("b", "1");
    assert_int_equal(disk->ops->remove(disk, "b"), ERR_OK);
    expect_names("");
    expect("b", NULL);
}

static void what_is_not_there_is_told(void **state)
{
    (void)state;
    struct disk_file *file;
    assert_int_equal(disk->ops->open(disk, "a", DISK_READ, &file),
                     ERR_NOT_FOUND);
    assert_null(file);
    assert_string_equal(err_note(), "a: there is none");
    assert_int_equal(disk->ops->rename(disk, "a", "b"), ERR_NOT_FOUND);
    assert_int_equal(disk->ops->remove(disk, "a"), ERR_NOT_FOUND);
    make("a", "1");
    assert_int_equal(
        disk->ops->open(disk, "a", DISK_WRITE | DISK_CREATE, &file),
        ERR_EXISTS);
    assert_null(file);
    expect("a", "1");
}

static void a_file_that_is_removed_can_still_be_used(void **state)
{
    (void)state;
    char bytes[4];
    size_t size;
    make("a", "1");
    struct disk_file *file = open_as("a", DISK_WRITE);
    assert_int_equal(disk->ops->remove(disk, "a"), ERR_OK);
    write_at(file, 1, "2");
    assert_int_equal(disk->ops->read(disk, file, 0, bytes, 4, &size), ERR_OK);
    assert_memory_equal(bytes, "12", 2);
    close_file(file);
    make("a", "new");
    expect("a", "new");
}

/* ---- crashes ------------------------------------------------------------- */

static void what_is_durable_outlives_a_crash(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        end();
        begin_with(seed);
        make("a", "durable");
        assert_int_equal(disk->ops->rename(disk, "a", "b"), ERR_OK);
        make("c", "too"); /* its sync of names is that of the rename */
        disk_memory_crash(memory);
        expect_names("b c ");
        expect("b", "durable");
        expect("c", "too");
    }
}

static void a_write_is_kept_lost_or_torn(void **state)
{
    (void)state;
    unsigned kept = 0, lost = 0, torn = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        end();
        begin_with(seed);
        make("a", "--------");
        struct disk_file *file = open_as("a", DISK_WRITE);
        write_at(file, 0, "xxxxxxxx");
        expect("a", "xxxxxxxx");
        disk_memory_crash(memory);
        struct slice found = disk_memory_bytes(memory, "a");
        assert_int_equal(found.size, 8);
        size_t new = 0;
        while (new < 8 && found.at[new] == 'x')
            new ++;
        for (size_t i = new; i < 8; i++)
            assert_int_equal(found.at[i], '-'); /* its first bytes only */
        kept += new == 8;
        lost += new == 0;
        torn += new > 0 && new < 8;
        close_file(file);
    }
    assert_true(kept > SEEDS / 6 && lost > SEEDS / 6 && torn > SEEDS / 20);
}

static void a_long_write_may_lose_sectors_in_the_middle(void **state)
{
    (void)state;
    enum { SECTORS = 8, BYTES = SECTORS * 512 };
    unsigned holes = 0;
    char new[BYTES];
    memset(new, 'x', sizeof new);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        end();
        begin_with(seed);
        struct disk_file *file = create("a");
        assert_int_equal(disk->ops->allocate(disk, file, BYTES), ERR_OK);
        sync_it(file);
        sync_names();
        assert_int_equal(disk->ops->write(disk, file, 0, new, BYTES), ERR_OK);
        disk_memory_crash(memory);
        struct slice found = disk_memory_bytes(memory, "a");
        assert_int_equal(found.size, BYTES);
        unsigned changes = 0; /* from one sector to the next */
        for (size_t i = 512; i < BYTES; i += 512)
            changes += found.at[i] != found.at[i - 512];
        holes += changes > 1;
        close_file(file);
    }
    assert_true(holes > SEEDS / 20);
}

static void writes_have_a_fate_each(void **state)
{
    (void)state;
    unsigned first_only = 0, second_only = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        end();
        begin_with(seed);
        make("a", "--");
        struct disk_file *file = open_as("a", DISK_WRITE);
        write_at(file, 0, "1");
        write_at(file, 1, "2");
        disk_memory_crash(memory);
        first_only += is("a", "1-");
        second_only += is("a", "-2");
        close_file(file);
    }
    assert_true(first_only > SEEDS / 20 && second_only > SEEDS / 20);
}

static void a_size_is_kept_or_lost(void **state)
{
    (void)state;
    unsigned kept = 0, lost = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        end();
        begin_with(seed);
        make("a", "abcd");
        struct disk_file *file = open_as("a", DISK_WRITE);
        assert_int_equal(disk->ops->truncate(disk, file, 1), ERR_OK);
        disk_memory_crash(memory);
        kept += is("a", "a");
        lost += is("a", "abcd");
        close_file(file);
    }
    assert_int_equal(kept + lost, SEEDS);
    assert_true(kept > SEEDS / 6 && lost > SEEDS / 6);
}

static void a_name_is_kept_or_lost(void **state)
{
    (void)state;
    unsigned made = 0, renamed = 0, removed = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        end();
        begin_with(seed);
        make("old", "1");
        make("gone", "2");
        struct disk_file *file = create("new");
        sync_it(file); /* which is of its bytes, and not of its name */
        close_file(file);
        assert_int_equal(disk->ops->rename(disk, "old", "other"), ERR_OK);
        assert_int_equal(disk->ops->remove(disk, "gone"), ERR_OK);
        disk_memory_crash(memory);
        made += is("new", "");
        renamed += is("other", "1");
        assert_true(is("other", "1") != is("old", "1")); /* one of the two */
        removed += !is("gone", "2");
    }
    assert_true(renamed > SEEDS / 4 && renamed < SEEDS * 3 / 4);
    assert_true(removed > SEEDS / 4 && removed < SEEDS * 3 / 4);
    assert_true(made > SEEDS / 4 && made < SEEDS * 3 / 4);
}

static void a_rename_of_what_was_never_made_is_nothing(void **state)
{
    (void)state;
    unsigned nothing = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        end();
        begin_with(seed);
        close_file(create("a"));
        assert_int_equal(disk->ops->rename(disk, "a", "b"), ERR_OK);
        disk_memory_crash(memory);
        const char *name = disk_memory_name(memory, 0);
        nothing += name == NULL;
        assert_null(disk_memory_name(memory, 1));
    }
    assert_true(nothing > SEEDS / 4 && nothing < SEEDS * 3 / 4);
}

static void what_was_open_is_lost_to_its_owner(void **state)
{
    (void)state;
    char bytes[4];
    size_t size;
    uint64_t whole;
    make("a", "1");
    struct disk_file *file = open_as("a", DISK_WRITE);
    disk_memory_crash(memory);
    assert_int_equal(disk->ops->read(disk, file, 0, bytes, 4, &size), ERR_IO);
    assert_string_equal(err_note(), "a: opened before the crash");
    assert_int_equal(disk->ops->write(disk, file, 0, "2", 1), ERR_IO);
    assert_int_equal(disk->ops->size(disk, file, &whole), ERR_IO);
    assert_int_equal(disk->ops->sync(disk, file), ERR_IO);
    assert_int_equal(disk->ops->truncate(disk, file, 0), ERR_IO);
    assert_int_equal(disk->ops->allocate(disk, file, 9), ERR_IO);
    close_file(file);
    expect("a", "1");
    close_file(open_as("a", DISK_READ));
}

static void one_seed_has_one_fate(void **state)
{
    (void)state;
    char first[300];
    size_t size = 0;
    for (int round = 0; round < 2; round++) {
        end();
        begin_with(77);
        struct disk_file *file = create("a");
        for (unsigned i = 0; i < 20; i++)
            write_at(file, i * 10, "0123456789abc");
        sync_names();
        disk_memory_crash(memory);
        close_file(file);
        struct slice found = disk_memory_bytes(memory, "a");
        assert_true(found.size <= sizeof first);
        if (round == 0) {
            size = found.size;
            memcpy(first, found.at, size);
        }
        assert_true(slice_eq(found, slice_of(first, size)));
    }
}

/* ---- calls that fail ----------------------------------------------------- */

static void the_nth_call_fails_once(void **state)
{
    (void)state;
    struct disk_file *file = create("a");
    disk_memory_fail_call(memory, 2, ERR_IO);
    write_at(file, 0, "1");
    assert_int_equal(disk->ops->write(disk, file, 1, "2", 1), ERR_IO);
    assert_string_equal(err_note(), "write a: made to fail");
    write_at(file, 2, "3");
    assert_int_equal(disk_memory_calls(memory), 3);
    disk_memory_fail_call(memory, 0, ERR_OK);
    assert_int_equal(disk_memory_calls(memory), 0);
    close_file(file); /* closing is no call */
    assert_int_equal(disk_memory_calls(memory), 0);
}

static void every_kind_of_call_can_fail(void **state)
{
    (void)state;
    char bytes[4];
    size_t size;
    uint64_t whole;
    struct buf seen = {0};
    struct disk_file *none, *file = create("a");
#define FAILS(call)                            \
    disk_memory_fail_call(memory, 1, ERR_IO);  \
    assert_int_equal(disk->ops->call, ERR_IO); \
    assert_int_equal(disk_memory_calls(memory), 1)
    FAILS(list(disk, append_name, &seen));
    assert_int_equal(seen.size, 0);
    FAILS(open(disk, "a", DISK_READ, &none));
    assert_null(none);
    FAILS(open(disk, "b", DISK_WRITE | DISK_CREATE, &none));
    assert_null(none);
    FAILS(size(disk, file, &whole));
    FAILS(read(disk, file, 0, bytes, 4, &size));
    FAILS(write(disk, file, 0, "1", 1));
    FAILS(allocate(disk, file, 9));
    FAILS(truncate(disk, file, 0));
    FAILS(sync(disk, file));
    FAILS(sync_names(disk));
    FAILS(rename(disk, "a", "c"));
    FAILS(remove(disk, exists("a") ? "a" : "c"));
#undef FAILS
    close_file(file);
    buf_deinit(&seen);
}

static void a_write_that_fails_is_done_half_done_or_not(void **state)
{
    (void)state;
    unsigned none = 0, half = 0, all = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        end();
        begin_with(seed);
        struct disk_file *file = create("a");
        disk_memory_fail_call(memory, 1, ERR_IO);
        assert_int_equal(disk->ops->write(disk, file, 0, "12345678", 8),
                         ERR_IO);
        size_t size = disk_memory_bytes(memory, "a").size;
        none += size == 0;
        half += size > 0 && size < 8;
        all += size == 8;
        close_file(file);
    }
    assert_int_equal(none + half + all, SEEDS);
    assert_true(none > SEEDS / 6 && half > SEEDS / 6 && all > SEEDS / 6);
}

static void a_sync_that_fails_may_have_been_done(void **state)
{
    (void)state;
    unsigned durable = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        end();
        begin_with(seed);
        make("a", "");
        struct disk_file *file = open_as("a", DISK_WRITE);
        write_at(file, 0, "1");
        disk_memory_fail_call(memory, 1, ERR_IO);
        assert_int_equal(disk->ops->sync(disk, file), ERR_IO);
        assert_int_equal(disk_memory_syncs(memory), 1);
        disk_memory_crash(memory);
        durable += is("a", "1");
        close_file(file);
    }
    /* A third by the sync, and of the others what a crash leaves. */
    assert_true(durable > SEEDS / 2 && durable < SEEDS);
}

static void syncs_are_counted(void **state)
{
    (void)state;
    struct disk_file *file = create("a");
    disk_memory_fail_call(memory, 0, ERR_OK);
    write_at(file, 0, "1");
    assert_int_equal(disk_memory_syncs(memory), 0);
    sync_it(file);
    sync_names();
    assert_int_equal(disk_memory_syncs(memory), 2);
    assert_int_equal(disk_memory_calls(memory), 3);
    close_file(file);
}

/* ---- a full disk --------------------------------------------------------- */

static void a_full_disk_takes_no_more(void **state)
{
    (void)state;
    make("a", "12345");
    struct disk_file *file = create("b");
    disk_memory_limit(memory, 8);
    assert_int_equal(disk_memory_used(memory), 5);
    write_at(file, 0, "123");
    assert_int_equal(disk_memory_used(memory), 8);
    assert_int_equal(disk->ops->write(disk, file, 3, "4", 1), ERR_DISK_FULL);
    assert_string_equal(err_note(), "b: no space left on the device");
    assert_int_equal(disk->ops->allocate(disk, file, 4), ERR_DISK_FULL);
    expect("b", "123");
    write_at(file, 0, "321"); /* in place */
    assert_int_equal(disk->ops->truncate(disk, file, 1), ERR_OK);
    write_at(file, 1, "22");
    assert_int_equal(disk->ops->remove(disk, "a"), ERR_OK);
    write_at(file, 3, "45678");
    disk_memory_limit(memory, 0);
    write_at(file, 8, "and more");
    expect("b", "32245678and more");
    close_file(file);
}

static void a_call_made_to_find_it_full_does_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        end();
        begin_with(seed);
        struct disk_file *none, *file = create("a");
        write_at(file, 0, "1");
        disk_memory_fail_call(memory, 1, ERR_DISK_FULL);
        assert_int_equal(disk->ops->write(disk, file, 0, "2", 1),
                         ERR_DISK_FULL);
        disk_memory_fail_call(memory, 1, ERR_DISK_FULL);
        assert_int_equal(
            disk->ops->open(disk, "b", DISK_WRITE | DISK_CREATE, &none),
            ERR_DISK_FULL);
        expect_names("a ");
        expect("a", "1");
        close_file(file);
    }
}

/* ---- what a test does with it -------------------------------------------- */

static void a_file_can_be_put_there(void **state)
{
    (void)state;
    make("a", "1");
    disk_memory_put(memory, "a", SLICE("put"));
    disk_memory_put(memory, "b", SLICE(""));
    disk_memory_crash(memory);
    expect_names("a b ");
    expect("a", "put");
    expect("b", "");
    /* By a name, and bytes, of the disk's own. */
    disk_memory_put(memory, disk_memory_name(memory, 0),
                    disk_memory_bytes(memory, "b"));
    expect("a", "");
}

static void a_byte_can_be_damaged(void **state)
{
    (void)state;
    make("a", "abc");
    disk_memory_flip(memory, "a", 1, 'b' ^ 'x');
    expect("a", "axc");
    disk_memory_crash(memory);
    expect("a", "axc");
}

static void the_old_part_is_before_the_last_four_writes(void **state)
{
    (void)state;
    struct disk_file *file = create("a");
    assert_int_equal(disk_memory_old_bytes(memory, "a"), 0);
    for (unsigned i = 0; i < 6; i++) {
        write_at(file, i * 10, "0123456789");
        sync_it(file);
        /* Of less than four, none is old. */
        assert_int_equal(disk_memory_old_bytes(memory, "a"),
                         i < 3 ? 0 : (i - 3) * 10);
    }
    write_at(file, 60, "not durable");
    assert_int_equal(disk_memory_old_bytes(memory, "a"), 20);
    make("b", "1");
    assert_int_equal(disk_memory_old_bytes(memory, "a"), 30);
    assert_int_equal(disk_memory_old_bytes(memory, "b"), 0);
    assert_int_equal(disk_memory_old_bytes(memory, "none"), 0);
    assert_int_equal(disk->ops->truncate(disk, file, 5), ERR_OK);
    assert_int_equal(disk_memory_old_bytes(memory, "a"), 5);
    close_file(file);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY(what_is_written_is_read),
        STORY(a_hole_is_zero),
        STORY(sizes_grow_and_shrink),
        STORY(one_file_may_be_open_twice),
        STORY(names_are_listed_in_any_order_and_shown_in_theirs),
        STORY(names_can_be_changed_and_removed),
        STORY(what_is_not_there_is_told),
        STORY(a_file_that_is_removed_can_still_be_used),
        STORY(what_is_durable_outlives_a_crash),
        STORY(a_write_is_kept_lost_or_torn),
        STORY(a_long_write_may_lose_sectors_in_the_middle),
        STORY(writes_have_a_fate_each),
        STORY(a_size_is_kept_or_lost),
        STORY(a_name_is_kept_or_lost),
        STORY(a_rename_of_what_was_never_made_is_nothing),
        STORY(what_was_open_is_lost_to_its_owner),
        STORY(one_seed_has_one_fate),
        STORY(the_nth_call_fails_once),
        STORY(every_kind_of_call_can_fail),
        STORY(a_write_that_fails_is_done_half_done_or_not),
        STORY(a_sync_that_fails_may_have_been_done),
        STORY(syncs_are_counted),
        STORY(a_full_disk_takes_no_more),
        STORY(a_call_made_to_find_it_full_does_nothing),
        STORY(a_file_can_be_put_there),
        STORY(a_byte_can_be_damaged),
        STORY(the_old_part_is_before_the_last_four_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
