/* The file that a snapshot is taken away in. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "host/snapshot_file.h"

static char folder[] = "/tmp/etched-snapshot-XXXXXX";
static _Atomic bool stop;

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder); /* fails where a file was left */
}

static size_t files_in_folder(void)
{
    size_t count = 0;
    const struct dirent *entry;
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    while ((entry = readdir(directory)) != NULL) {
        count += entry->d_name[0] != '.' ? 1 : 0;
    }
    closedir(directory);
    return count;
}

static void the_file_has_no_name(void **state)
{
    int fd;
    (void)state;
    assert_int_equal(snapshot_file_open(folder, &fd), ERR_OK);
    assert_int_equal(files_in_folder(), 0);
    close(fd);
    assert_int_equal(snapshot_file_open("/tmp/there/is/none", &fd),
                     ERR_NOT_FOUND);
}

/* The hash is that of "abc", which everybody knows (FIPS 180-2). */
static void the_hash_stands_behind_the_bytes(void **state)
{
    static const unsigned char hash[SNAPSHOT_HASH_BYTES] = {
        0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
        0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
        0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    struct snapshot_sink sink;
    char bytes[64];
    size_t got;
    int fd;
    (void)state;
    assert_int_equal(snapshot_file_open(folder, &fd), ERR_OK);
    snapshot_sink_init(&sink, fd, &stop);
    struct bolt_sink *out = &sink.sink;
    /* Not in order: the meta pages come last. */
    assert_int_equal(out->write(out->context, 1, SLICE("bc")), ERR_OK);
    assert_int_equal(out->write(out->context, 0, SLICE("a")), ERR_OK);
    /* What another attempt has left behind is cut off. */
    assert_int_equal(out->write(out->context, 3, SLICE("rest")), ERR_OK);
    assert_int_equal(snapshot_file_seal(&sink, 3), ERR_OK);
    assert_int_equal(snapshot_file_read(fd, bytes, sizeof(bytes), &got),
                     ERR_OK);
    assert_int_equal(got, 3 + sizeof(hash));
    assert_memory_equal(bytes, "abc", 3);
    assert_memory_equal(bytes + 3, hash, sizeof(hash));
    assert_int_equal(snapshot_file_read(fd, bytes, sizeof(bytes), &got),
                     ERR_OK);
    assert_int_equal(got, 0);
    close(fd);
}

static void a_server_that_stops_writes_no_more(void **state)
{
    struct snapshot_sink sink;
    int fd;
    (void)state;
    assert_int_equal(snapshot_file_open(folder, &fd), ERR_OK);
    snapshot_sink_init(&sink, fd, &stop);
    stop = true;
    assert_int_equal(sink.sink.write(sink.sink.context, 0, SLICE("a")),
                     ERR_STOPPED);
    stop = false;
    assert_int_equal(sink.sink.write(sink.sink.context, 0, SLICE("a")), ERR_OK);
    stop = true;
    assert_int_equal(snapshot_file_seal(&sink, 1), ERR_STOPPED);
    stop = false;
    close(fd);
}

static void a_file_that_is_shorter_than_it_was_is_noticed(void **state)
{
    struct snapshot_sink sink;
    int fd;
    (void)state;
    assert_int_equal(snapshot_file_open(folder, &fd), ERR_OK);
    snapshot_sink_init(&sink, fd, &stop);
    assert_int_equal(snapshot_file_seal(&sink, 10), ERR_IO);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_file_has_no_name),
        cmocka_unit_test(the_hash_stands_behind_the_bytes),
        cmocka_unit_test(a_server_that_stops_writes_no_more),
        cmocka_unit_test(a_file_that_is_shorter_than_it_was_is_noticed),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
