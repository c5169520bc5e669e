#include "redirect.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"

struct redirect redirect_begin(int number, const char *input)
{
    struct redirect out = {.number = number};
    char path[] = "/tmp/etched-script-XXXXXX";

    fflush(NULL);
    out.saved = fcntl(number, F_DUPFD_CLOEXEC, 10);
    out.file = mkstemp(path);
    CHECK(out.saved >= 0 && out.file >= 0);
    unlink(path);
    if (input) {
        CHECK(write(out.file, input, strlen(input)) == (ssize_t)strlen(input));
        CHECK(lseek(out.file, 0, SEEK_SET) == 0);
    }
    CHECK(dup2(out.file, number) == number);
    return out;
}

void redirect_end(struct redirect *redirect, struct buf *out)
{
    off_t size;

    fflush(NULL);
    size = lseek(redirect->file, 0, SEEK_END);
    if (out) {
        char *at = buf_extend(out, (size_t)size);
        CHECK(pread(redirect->file, at, (size_t)size, 0) == size);
        buf_append_char(out, '\0');
    }
    CHECK(dup2(redirect->saved, redirect->number) == redirect->number);
    close(redirect->saved);
    close(redirect->file);
}
