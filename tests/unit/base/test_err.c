#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

static void an_error_has_a_name_a_text_and_two_codes(void **state)
{
    (void)state;
    assert_string_equal(err_name(ERR_OK), "OK");
    assert_string_equal(err_name(ERR_NO_SPACE), "NO_SPACE");
    assert_string_equal(err_text(ERR_NO_SPACE), "database space exceeded");
    assert_int_equal(err_grpc_code(ERR_NO_SPACE), 8);
    assert_int_equal(err_http_status(ERR_NO_SPACE), 507);
    assert_string_equal(err_name(ERR_END), "END");
    assert_int_equal(err_grpc_code(ERR_OK), 0);
    assert_int_equal(err_http_status(ERR_OK), 200);
}

static void the_whole_table_makes_sense(void **state)
{
    (void)state;
    for (enum err err = ERR_INVALID; err < ERR_COUNT; err++) {
        assert_true(strlen(err_name(err)) > 0);
        assert_true(strlen(err_text(err)) > 0);
        assert_in_range(err_grpc_code(err), 1, 16);
        assert_in_range(err_http_status(err), 400, 599);
        for (enum err other = ERR_OK; other < err; other++)
            assert_string_not_equal(err_name(err), err_name(other));
    }
}

static enum err read_segment(void)
{
    return err_set(ERR_IO, "segment %d: short read", 3);
}

static enum err open_wal(void)
{
    return err_wrap(read_segment(), "open %s", "wal");
}

static void each_layer_puts_its_words_in_front(void **state)
{
    (void)state;
    assert_int_equal(open_wal(), ERR_IO);
    assert_string_equal(err_note(), "open wal: segment 3: short read");
    assert_int_equal(err_wrap(ERR_CORRUPT, "start"), ERR_CORRUPT);
    assert_string_equal(err_note(), "start: open wal: segment 3: short read");
    assert_int_equal(err_set(ERR_INVALID, "anew"), ERR_INVALID);
    assert_string_equal(err_note(), "anew");
    err_clear();
    assert_string_equal(err_note(), "");
}

static void wrapping_success_does_nothing(void **state)
{
    (void)state;
    err_set(ERR_IO, "as it was");
    assert_int_equal(err_wrap(ERR_OK, "not this"), ERR_OK);
    assert_string_equal(err_note(), "as it was");
    err_clear();
}

static void wrapping_without_a_note_makes_one(void **state)
{
    (void)state;
    err_clear();
    err_wrap(ERR_IO, "open wal");
    assert_string_equal(err_note(), "open wal");
    err_wrap(ERR_IO, "start");
    assert_string_equal(err_note(), "start: open wal");
    err_clear();
}

static void the_note_itself_may_be_an_argument(void **state)
{
    (void)state;
    err_set(ERR_IO, "inner");
    err_set(ERR_IO, "<%s|%s>", err_note(), err_note());
    assert_string_equal(err_note(), "<inner|inner>");
    err_wrap(ERR_IO, "also %s", err_note());
    assert_string_equal(err_note(), "also <inner|inner>: <inner|inner>");
    err_clear();
}

/* A note of `size` letters, in front of which two more are put: at every size
 * about the limit what is too much is cut, and no byte beyond is written. */
static void a_long_note_is_cut(void **state)
{
    (void)state;
    for (int size = 0; size < ERR_NOTE_BYTES_MAX + 20; size++) {
        size_t kept =
            size < ERR_NOTE_BYTES_MAX ? (size_t)size : ERR_NOTE_BYTES_MAX - 1;
        err_set(ERR_IO, "%*s", size, "");
        assert_int_equal(strlen(err_note()), kept);
        err_wrap(ERR_IO, "ab");
        size_t wrapped = kept ? kept + 4 : 2;
        if (wrapped > ERR_NOTE_BYTES_MAX - 1)
            wrapped = ERR_NOTE_BYTES_MAX - 1;
        assert_int_equal(strlen(err_note()), wrapped);
        assert_memory_equal(err_note(), kept ? "ab: " : "ab", kept ? 4 : 2);
    }
    err_set(ERR_IO, "lost");
    err_wrap(ERR_IO, "%600s", "x");
    assert_int_equal(strlen(err_note()), ERR_NOTE_BYTES_MAX - 1);
    err_clear();
}

static void *note_of_another_thread(void *context)
{
    int id = *(int *)context;
    char expected[32];
    if (err_note()[0] != '\0')
        return "a new thread has a note";
    for (int i = 0; i < 1000; i++) {
        err_set(ERR_IO, "thread %d", id);
        err_wrap(ERR_IO, "%d", i);
        snprintf(expected, sizeof expected, "%d: thread %d", i, id);
        if (strcmp(err_note(), expected) != 0)
            return "a note of another thread";
    }
    return NULL;
}

static void each_thread_has_its_own_note(void **state)
{
    (void)state;
    pthread_t threads[4];
    int ids[4] = {0, 1, 2, 3};
    err_set(ERR_IO, "of the main thread");
    for (int i = 0; i < 4; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, note_of_another_thread, &ids[i]),
            0);
    for (int i = 0; i < 4; i++) {
        void *complaint;
        pthread_join(threads[i], &complaint);
        assert_null(complaint);
    }
    assert_string_equal(err_note(), "of the main thread");
    err_clear();
}

static void errno_values_become_errors(void **state)
{
    (void)state;
    static const struct {
        int number;
        enum err err;
    } pairs[] = {
        {0, ERR_OK},
        {ENOSPC, ERR_DISK_FULL},
        {EDQUOT, ERR_DISK_FULL},
        {ENOENT, ERR_NOT_FOUND},
        {EEXIST, ERR_EXISTS},
        {EACCES, ERR_PERMISSION},
        {EROFS, ERR_PERMISSION},
        {ENOMEM, ERR_NO_MEMORY},
        {EINVAL, ERR_INVALID},
        {EMFILE, ERR_FULL},
        {EAGAIN, ERR_BUSY},
        {EADDRINUSE, ERR_BUSY},
        {ETIMEDOUT, ERR_TIMEOUT},
        {EPIPE, ERR_CLOSED},
        {ECONNRESET, ERR_CLOSED},
        {ENOSYS, ERR_UNSUPPORTED},
        {EFBIG, ERR_TOO_LARGE},
        {EIO, ERR_IO},
        {98765, ERR_IO}, /* what nobody knows is an I/O error */
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        assert_int_equal(err_from_errno(pairs[i].number), pairs[i].err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_has_a_name_a_text_and_two_codes),
        cmocka_unit_test(the_whole_table_makes_sense),
        cmocka_unit_test(each_layer_puts_its_words_in_front),
        cmocka_unit_test(wrapping_success_does_nothing),
        cmocka_unit_test(wrapping_without_a_note_makes_one),
        cmocka_unit_test(the_note_itself_may_be_an_argument),
        cmocka_unit_test(a_long_note_is_cut),
        cmocka_unit_test(each_thread_has_its_own_note),
        cmocka_unit_test(errno_values_become_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
