/* A mapped page that can't be had ends the process with a sentence. Each case
 * runs in a child process, since it ends. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/mapped_fault.h"

enum { FILE_BYTES = 64 * 1024, TEXT_BYTES = 4096 };

struct child {
    int status;
    char text[TEXT_BYTES]; /* of its standard error */
};

/* In the child: a file is mapped, cut short, and read. */
static void read_beyond_the_end(const char *path)
{
    char name[64];
    snprintf(name, sizeof(name), "%s/etched-map-XXXXXX", P_tmpdir);
    int fd = mkstemp(name);
    if (fd < 0 || ftruncate(fd, FILE_BYTES) != 0) {
        _exit(90);
    }
    unlink(name);
    volatile const char *map =
        mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    if ((void *)(uintptr_t)map == MAP_FAILED || map[FILE_BYTES - 1] != 0) {
        _exit(91);
    }
    mapped_fault_watch(path);
    if (map[FILE_BYTES - 1] != 0 || ftruncate(fd, 0) != 0) {
        _exit(92);
    }
    _exit(map[FILE_BYTES - 1] == 0 ? 93 : 94);
}

static void run(void (*body)(const char *path), const char *path,
                struct child *child)
{
    int ends[2];
    size_t size = 0;
    ssize_t got;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        body(path);
        _exit(95);
    }
    close(ends[1]);
    while (size < TEXT_BYTES - 1 && (got = read(ends[0], child->text + size,
                                                TEXT_BYTES - 1 - size)) > 0) {
        size += (size_t)got;
    }
    child->text[size] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(pid, &child->status, 0), pid);
}

static void the_file_is_named_and_the_status_is_1(void **state)
{
    struct child child;
    (void)state;
    run(read_beyond_the_end, "the/data/db", &child);
    assert_true(WIFEXITED(child.status));
    assert_int_equal(WEXITSTATUS(child.status), 1);
    assert_non_null(strstr(child.text, "the/data/db"));
    assert_non_null(strstr(child.text, "restore"));
    size_t size = strlen(child.text);
    assert_int_equal(child.text[size - 1], '\n');
    assert_ptr_equal(strchr(child.text, '\n'), child.text + size - 1);
}

static void a_long_path_is_cut(void **state)
{
    struct child child;
    char path[3000];
    (void)state;
    memset(path, 'p', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    run(read_beyond_the_end, path, &child);
    assert_true(WIFEXITED(child.status));
    assert_int_equal(WEXITSTATUS(child.status), 1);
    assert_true(strlen(child.text) > 900);
    assert_true(strlen(child.text) < 1024);
    assert_int_equal(child.text[strlen(child.text) - 1], '\n');
}

static void nothing_happens_without_a_fault(void **state)
{
    struct sigaction before;
    struct sigaction after;
    (void)state;
    assert_int_equal(sigaction(SIGBUS, NULL, &before), 0);
    mapped_fault_watch("db");
    assert_int_equal(sigaction(SIGBUS, &before, &after), 0);
    assert_true(after.sa_handler != SIG_DFL && after.sa_handler != SIG_IGN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_file_is_named_and_the_status_is_1),
        cmocka_unit_test(a_long_path_is_cut),
        cmocka_unit_test(nothing_happens_without_a_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
