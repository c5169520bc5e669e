#include "host/mapped_fault.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

/* Made beforehand: a signal handler may not format. */
static char sentence[1024];
static size_t sentence_bytes;

static void on_bus_error(int number)
{
    (void)number;
    ssize_t written = write(STDERR_FILENO, sentence, sentence_bytes);
    (void)written;
    _exit(1);
}

void mapped_fault_watch(const char *path)
{
    struct sigaction action;
    int size = snprintf(
        sentence, sizeof(sentence),
        "etched: can't go on: a page of %s can't be read: the file is damaged "
        "or cut short, or the disk failed; restore the data directory from a "
        "backup, or start with an empty one\n",
        path);
    CHECK(size > 0);
    sentence_bytes = strlen(sentence);
    sentence[sentence_bytes - 1] = '\n'; /* also where it was cut */
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_bus_error;
    int failed = sigaction(SIGBUS, &action, NULL);
    CHECK_EQ(failed, 0);
}
