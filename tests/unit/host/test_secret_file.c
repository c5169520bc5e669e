/* Small files with secrets: read whole or not at all. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/secret_file.h"

static void write_file(char *path, const char *text, size_t size)
{
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, size), size);
    close(fd);
}

static void what_is_in_it_is_appended(void **state)
{
    char path[] = "/tmp/etched-secret-XXXXXX";
    struct buf out = {0};
    (void)state;
    write_file(path, "secret\n", 7);
    buf_append_str(&out, "the ");
    assert_int_equal(secret_file_read(path, &out), ERR_OK);
    assert_true(slice_eq(buf_slice(&out), SLICE("the secret\n")));
    secret_wipe(&out);
    assert_null(out.at);
    secret_wipe(&out);
    assert_int_equal(unlink(path), 0);
}

static void the_largest_is_read_and_no_larger_one(void **state)
{
    static char text[SECRET_FILE_BYTES_MAX + 1];
    char path[] = "/tmp/etched-secret-XXXXXX";
    char larger[] = "/tmp/etched-secret-XXXXXX";
    struct buf out = {0};
    (void)state;
    memset(text, 'x', sizeof(text));
    write_file(path, text, SECRET_FILE_BYTES_MAX);
    write_file(larger, text, SECRET_FILE_BYTES_MAX + 1);
    assert_int_equal(secret_file_read(path, &out), ERR_OK);
    assert_int_equal(out.size, SECRET_FILE_BYTES_MAX);
    secret_wipe(&out);
    assert_int_equal(secret_file_read(larger, &out), ERR_INVALID);
    assert_non_null(strstr(err_note(), larger));
    assert_non_null(strstr(err_note(), "larger than 16384 bytes"));
    secret_wipe(&out);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(larger), 0);
}

static void what_cant_be_read_is_named(void **state)
{
    struct buf out = {0};
    (void)state;
    assert_int_equal(secret_file_read("/no/such/file", &out), ERR_NOT_FOUND);
    assert_non_null(strstr(err_note(), "/no/such/file"));
    assert_int_not_equal(secret_file_read("/tmp", &out), ERR_OK);
    assert_non_null(strstr(err_note(), "/tmp"));
    secret_wipe(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_in_it_is_appended),
        cmocka_unit_test(the_largest_is_read_and_no_larger_one),
        cmocka_unit_test(what_cant_be_read_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
