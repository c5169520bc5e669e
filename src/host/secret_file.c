#include "host/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

static enum err fail(const char *path)
{
    int number = errno;
    return err_set(err_from_errno(number), "%s: %s", path, strerror(number));
}

static enum err read_all(int fd, const char *path, struct buf *out)
{
    struct stat stat;
    /* At once: where it grew, what it was copied from would not be wiped. */
    buf_reserve(out, SECRET_FILE_BYTES_MAX + 1);
    size_t end = out->size + SECRET_FILE_BYTES_MAX;
    while (out->size <= end) {
        ssize_t got = read(fd, out->at + out->size, end + 1 - out->size);
        if (got < 0) {
            return fail(path);
        }
        out->size += (size_t)got;
        if (got == 0) {
            break;
        }
    }
    if (out->size > end) {
        return err_set(ERR_INVALID, "%s: larger than %d bytes", path,
                       SECRET_FILE_BYTES_MAX);
    }
    if (fstat(fd, &stat) == 0 && (stat.st_mode & S_IROTH) != 0) {
        log_warn("host", "everybody on this machine can read a secret",
                 LOG_STR("file", path), LOG_STR("better", "chmod 600"));
    }
    return ERR_OK;
}

enum err secret_file_read(const char *path, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return fail(path);
    }
    enum err err = read_all(fd, path, out);
    close(fd);
    return err;
}

void secret_wipe(struct buf *secret)
{
    if (secret->at != NULL) {
        explicit_bzero(secret->at, secret->capacity);
    }
    buf_deinit(secret);
}
