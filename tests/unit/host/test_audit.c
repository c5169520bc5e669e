#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "host/audit.h"

struct place {
    char folder[64];
    char path[96];
    char other[96];
};

static void begin(struct place *place)
{
    snprintf(place->folder, sizeof(place->folder), "/tmp/etched-audit-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->path, sizeof(place->path), "%s/audit", place->folder);
    snprintf(place->other, sizeof(place->other), "%s/other", place->folder);
}

static void end(struct place *place)
{
    unlink(place->path);
    unlink(place->other);
    assert_int_equal(rmdir(place->folder), 0);
}

static struct buf content(const char *path)
{
    struct buf out = {0};
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t size;
    do {
        buf_reserve(&out, 65536);
        size = read(fd, out.at + out.size, 65536);
        assert_true(size >= 0);
        out.size += (size_t)size;
    } while (size > 0);
    close(fd);
    buf_append_char(&out, '\0');
    return out;
}

static const struct audit_event put = {
    .user = {"anna", 4},
    .how = {"token", 5},
    .what = {"/etcdserverpb.KV/Put", 20},
    .key = {"a\"b", 3},
    .from = {"127.0.0.1:4711", 14},
    .allowed = true,
};

static void a_line_says_who_and_what(void **state)
{
    struct place place;
    struct audit_log *log;
    (void)state;
    begin(&place);
    assert_int_equal(audit_log_open(place.path, &log), ERR_OK);
    audit_write(audit_log_door(log), &put);
    struct audit_event refused = put;
    refused.allowed = false;
    refused.why = SLICE("etcdserver: permission denied");
    refused.key = slice_of("\xff\x00z", 3);
    refused.range_end = SLICE("c");
    audit_write(audit_log_door(log), &refused);
    audit_log_close(log);
    struct buf text = content(place.path);
    char *second = strchr(text.at, '\n');
    assert_non_null(second);
    *second++ = '\0';
    assert_non_null(strstr(text.at, "{\"time\":\"20"));
    assert_non_null(
        strstr(text.at, "\",\"user\":\"anna\",\"how\":\"token\","
                        "\"what\":\"/etcdserverpb.KV/Put\",\"key\":\"a\\\"b\","
                        "\"range_end\":\"\",\"from\":\"127.0.0.1:4711\","
                        "\"allowed\":true,\"why\":\"\"}"));
    assert_non_null(strstr(second, "\"key_base64\":\"/wB6\","
                                   "\"range_end\":\"c\""));
    assert_non_null(strstr(second,
                           "\"allowed\":false,"
                           "\"why\":\"etcdserver: permission denied\"}\n"));
    buf_deinit(&text);
    end(&place);
}

static void a_long_key_is_cut(void **state)
{
    static char key[AUDIT_VALUE_BYTES_MAX * 2];
    struct place place;
    struct audit_log *log;
    struct audit_event event = put;
    (void)state;
    begin(&place);
    memset(key, 'k', sizeof(key));
    event.key = slice_of(key, sizeof(key));
    assert_int_equal(audit_log_open(place.path, &log), ERR_OK);
    audit_write(audit_log_door(log), &event);
    audit_log_close(log);
    struct buf text = content(place.path);
    assert_true(text.size < AUDIT_VALUE_BYTES_MAX + 300);
    assert_non_null(strstr(text.at, ",\"cut\":true}\n"));
    buf_deinit(&text);
    end(&place);
}

static void the_file_is_ours_alone(void **state)
{
    struct place place;
    struct audit_log *log;
    struct stat found;
    (void)state;
    begin(&place);
    int fd = open(place.path, O_CREAT | O_WRONLY, 0644);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, 0644), 0);
    assert_int_equal(write(fd, "old\n", 4), 4);
    close(fd);
    assert_int_equal(audit_log_open(place.path, &log), ERR_OK);
    audit_write(audit_log_door(log), &put);
    audit_log_close(log);
    assert_int_equal(stat(place.path, &found), 0);
    assert_int_equal(found.st_mode & 07777, 0600);
    struct buf text = content(place.path);
    assert_memory_equal(text.at, "old\n{", 5);
    buf_deinit(&text);
    end(&place);
}

static void links_and_pipes_are_refused(void **state)
{
    struct place place;
    struct audit_log *log;
    (void)state;
    begin(&place);
    assert_int_equal(symlink(place.other, place.path), 0);
    assert_int_not_equal(audit_log_open(place.path, &log), ERR_OK);
    assert_non_null(strstr(err_note(), "symbolic link"));
    assert_null(log);
    assert_int_not_equal(access(place.other, F_OK), 0);
    assert_int_equal(unlink(place.path), 0);
    assert_int_equal(mkfifo(place.path, 0600), 0);
    int reader = open(place.path, O_RDONLY | O_NONBLOCK);
    assert_int_equal(audit_log_open(place.path, &log), ERR_INVALID);
    close(reader);
    end(&place);
}

static void wait_for_written(struct audit_log *log, uint64_t count)
{
    const struct timespec pause = {0, 1000 * 1000};
    struct audit_log_stat stat;
    for (int i = 0; i < 5000; i++) {
        audit_log_stat(log, &stat);
        if (stat.written >= count) {
            return;
        }
        nanosleep(&pause, NULL);
    }
    fail_msg("the line was not written");
}

static void a_renamed_file_is_left(void **state)
{
    struct place place;
    struct audit_log *log;
    const struct timespec pause = {0, 1000 * 1000};
    (void)state;
    begin(&place);
    assert_int_equal(audit_log_open(place.path, &log), ERR_OK);
    audit_write(audit_log_door(log), &put);
    wait_for_written(log, 1);
    assert_int_equal(rename(place.path, place.other), 0);
    audit_log_reopen(log);
    for (int i = 0; i < 5000 && access(place.path, F_OK) != 0; i++) {
        nanosleep(&pause, NULL);
    }
    struct audit_event later = put;
    later.user = SLICE("berta");
    audit_write(audit_log_door(log), &later);
    audit_log_close(log);
    struct buf before = content(place.other);
    struct buf after = content(place.path);
    assert_non_null(strstr(before.at, "anna"));
    assert_null(strstr(before.at, "berta"));
    assert_non_null(strstr(after.at, "berta"));
    assert_null(strstr(after.at, "anna"));
    buf_deinit(&before);
    buf_deinit(&after);
    end(&place);
}

/* A full device takes nothing. Nobody waits for it; what is lost is told. */
static void what_does_not_fit_is_counted(void **state)
{
    struct place place;
    struct audit_log *log;
    struct audit_log_stat stat;
    struct buf out = {0};
    (void)state;
    begin(&place);
    /* A pipe as standard error that nobody reads holds the writer up. */
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    int kept = dup(STDERR_FILENO);
    assert_true(dup2(pipes[1], STDERR_FILENO) >= 0);
    assert_int_equal(audit_log_open("stderr", &log), ERR_OK);
    size_t count = 4 * AUDIT_QUEUE_BYTES_MAX / 100;
    for (size_t i = 0; i < count; i++) {
        audit_write(audit_log_door(log), &put);
    }
    audit_log_stat(log, &stat);
    assert_true(stat.lost > 0);
    audit_log_metrics(log, &out);
    buf_append_char(&out, '\0');
    assert_null(strstr(out.at, "etched_audit_lost_total 0\n"));
    buf_deinit(&out);
    /* Now somebody reads: all that was kept comes, then how many weren't. */
    struct buf text = {0};
    fcntl(pipes[0], F_SETFL, O_NONBLOCK);
    const struct timespec pause = {0, 1000 * 1000};
    bool told = false;
    for (int i = 0; i < 10000 && !told; i++) {
        buf_reserve(&text, 65536);
        ssize_t size = read(pipes[0], text.at + text.size, 65536);
        if (size > 0) {
            text.size += (size_t)size;
        } else {
            nanosleep(&pause, NULL);
        }
        buf_append_char(&text, '\0');
        text.size--;
        told = strstr(text.at + (text.size > 200 ? text.size - 200 : 0),
                      ",\"lost\":") != NULL;
    }
    assert_true(told);
    audit_log_close(log);
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
    close(pipes[0]);
    close(pipes[1]);
    buf_deinit(&text);
    end(&place);
}

/* ---- by many threads ----------------------------------------------------- */

enum { WRITERS = 4, LINES = 500 };

static void *write_lines(void *context)
{
    for (int i = 0; i < LINES; i++) {
        audit_write(context, &put);
    }
    return NULL;
}

static void lines_of_threads_stay_whole(void **state)
{
    struct place place;
    struct audit_log *log;
    pthread_t threads[WRITERS];
    (void)state;
    begin(&place);
    assert_int_equal(audit_log_open(place.path, &log), ERR_OK);
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(
            pthread_create(&threads[i], NULL, write_lines, audit_log_door(log)),
            0);
    }
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    audit_log_close(log);
    struct buf text = content(place.path);
    size_t lines = 0;
    for (char *at = text.at; *at != '\0'; lines++) {
        char *last = strchr(at, '\n');
        assert_non_null(last);
        assert_memory_equal(at, "{\"time\":\"", 9);
        assert_int_equal(last[-1], '}');
        at = last + 1;
    }
    assert_int_equal(lines, WRITERS * LINES);
    buf_deinit(&text);
    end(&place);
}

static void nobody_wants_to_know(void **state)
{
    (void)state;
    assert_null(audit_log_door(NULL));
    audit_write(NULL, &put);
    audit_log_reopen(NULL);
    audit_log_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_says_who_and_what),
        cmocka_unit_test(a_long_key_is_cut),
        cmocka_unit_test(the_file_is_ours_alone),
        cmocka_unit_test(links_and_pipes_are_refused),
        cmocka_unit_test(a_renamed_file_is_left),
        cmocka_unit_test(what_does_not_fit_is_counted),
        cmocka_unit_test(lines_of_threads_stay_whole),
        cmocka_unit_test(nobody_wants_to_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
