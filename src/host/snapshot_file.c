/* The file of a snapshot: without a name, so that nothing is left of it where
 * the process ends. */
#include "host/snapshot_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "host/sha256.h"

enum { CHUNK_BYTES = 1024 * 1024 };

static_assert((int)SNAPSHOT_HASH_BYTES == (int)SHA256_BYTES, "SHA-256");

static enum err fail(const char *what, const char *path)
{
    int number = errno;
    return err_set(err_from_errno(number), "%s %s: %s", what, path,
                   strerror(number));
}

/* Where the file system has no files without a name, one is made and its name
 * taken away. */
static int open_nameless(const char *folder)
{
    struct buf path = {0};
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
        return fd;
    buf_printf(&path, "%s/snapshot-XXXXXX", folder);
    buf_append_char(&path, '\0');
    fd = mkostemp(path.at, O_CLOEXEC);
    if (fd >= 0)
        unlink(path.at);
    buf_deinit(&path);
    return fd;
}

enum err snapshot_file_open(const char *folder, int *fd)
{
    *fd = open_nameless(folder);
    return *fd < 0 ? fail("make a file in", folder) : ERR_OK;
}

/* ---- writing ------------------------------------------------------------- */

static enum err write_at(int fd, const char *at, size_t size, uint64_t offset)
{
    while (size > 0) {
        ssize_t done = pwrite(fd, at, size, (off_t)offset);
        if (done < 0 && errno != EINTR)
            return fail("write", "the snapshot's file");
        if (done > 0) {
            at += done;
            offset += (uint64_t)done;
            size -= (size_t)done;
        }
    }
    return ERR_OK;
}

static enum err check_stop(const struct snapshot_sink *sink)
{
    return sink->stopping != NULL && atomic_load(sink->stopping)
               ? err_set(ERR_STOPPED, "the server stops")
               : ERR_OK;
}

static enum err take_bytes(void *context, uint64_t offset, struct slice bytes)
{
    const struct snapshot_sink *sink = context;
    enum err err = check_stop(sink);
    return err != ERR_OK ? err
                         : write_at(sink->fd, bytes.at, bytes.size, offset);
}

void snapshot_sink_init(struct snapshot_sink *sink, int fd,
                        const atomic_bool *stopping)
{
    *sink = (struct snapshot_sink){
        .sink = {.write = take_bytes, .context = sink},
        .fd = fd,
        .stopping = stopping,
    };
}

/* ---- the hash ------------------------------------------------------------ */

static enum err hash_file(const struct snapshot_sink *sink, uint64_t bytes,
                          unsigned char out[SHA256_BYTES])
{
    struct sha256 *hash = sha256_new();
    char *chunk = mem_alloc(CHUNK_BYTES);
    uint64_t at = 0;
    enum err err = ERR_OK;
    while (err == ERR_OK && at < bytes) {
        uint64_t left = bytes - at;
        ssize_t size =
            pread(sink->fd, chunk,
                  left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES, (off_t)at);
        if (size > 0) {
            sha256_add(hash, slice_of(chunk, (size_t)size));
            at += (uint64_t)size;
            err = check_stop(sink);
        } else if (size == 0) {
            err = err_set(ERR_IO, "the snapshot's file became shorter");
        } else if (errno != EINTR) {
            err = fail("read", "the snapshot's file");
        }
    }
    mem_free(chunk);
    if (err == ERR_OK)
        sha256_end(hash, out);
    else
        sha256_free(hash);
    return err;
}

enum err snapshot_file_seal(const struct snapshot_sink *sink, uint64_t bytes)
{
    unsigned char hash[SHA256_BYTES];
    int fd = sink->fd;
    enum err err = hash_file(sink, bytes, hash);
    if (err == ERR_OK)
        err = write_at(fd, (const char *)hash, sizeof hash, bytes);
    if (err == ERR_OK && ftruncate(fd, (off_t)(bytes + sizeof hash)) != 0)
        err = fail("end", "the snapshot's file");
    if (err == ERR_OK && lseek(fd, 0, SEEK_SET) != 0)
        err = fail("go back in", "the snapshot's file");
    return err;
}

enum err snapshot_file_read(int fd, char *out, size_t size, size_t *got)
{
    ssize_t done;
    do {
        done = read(fd, out, size);
    } while (done < 0 && errno == EINTR);
    *got = done > 0 ? (size_t)done : 0;
    return done < 0 ? fail("read", "the snapshot's file") : ERR_OK;
}
