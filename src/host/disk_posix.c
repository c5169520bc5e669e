#include "host/disk_posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"

struct posix {
    struct disk disk;
    int directory;
    int open_files;
};

/* Appends go by the page cache (O_DIRECT), in whole blocks of the device: the
 * last block, which the next append begins in, is kept here. */
struct direct {
    int fd;       /* -1: not opened; -2: it can't be had */
    size_t block; /* 512, or DISK_BLOCK_BYTES where the device wants it */
    char *memory;
    char *bytes; /* in `memory`, aligned: from `at` on */
    uint64_t at;
    size_t size; /* 0: what the file has there isn't known */
};

struct disk_file {
    int fd;
    struct direct direct;
    char name[DISK_NAME_BYTES_MAX];
};

enum { ZEROS_BYTES = 64 * 1024, DIRECT_BYTES_MAX = 64 * 1024 };
enum { DIRECT_CLOSED = -1, DIRECT_UNSUPPORTED = -2 };
/* Never written to: as .bss it costs no memory. */
static char zeros[ZEROS_BYTES];

static struct posix *posix_of(struct disk *disk)
{
    return (struct posix *)disk;
}

/* Of errno. Only what the door's callers tell apart keeps its code. */
static enum err failed(const char *what, const char *name)
{
    int number = errno;
    enum err err = err_from_errno(number);
    char text[128];
    if (err != ERR_DISK_FULL && err != ERR_NOT_FOUND && err != ERR_EXISTS)
        err = ERR_IO;
    /* The GNU one: returns the text, which need not be in the buffer. */
    return err_set(err, "%s %s: %s", what, name,
                   strerror_r(number, text, sizeof text));
}

static void check_name(const char *name)
{
    CHECK(name[0] != '\0' && name[0] != '.');
    CHECK(strchr(name, '/') == NULL);
    CHECK_LT(strlen(name), DISK_NAME_BYTES_MAX);
}

/* ---- names -------------------------------------------------------------- */

static enum err posix_list(struct disk *disk,
                           void (*each)(void *context, const char *name),
                           void *context)
{
    /* A descriptor of its own: it has a place in the directory. */
    int fd = openat(posix_of(disk)->directory, ".",
                    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return failed("list", "the directory");
    DIR *directory = fdopendir(fd);
    if (directory == NULL) {
        enum err err = failed("list", "the directory");
        close(fd);
        return err;
    }
    enum err err = ERR_OK;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (entry == NULL)
            break;
        if (entry->d_name[0] != '.' &&
            strlen(entry->d_name) < DISK_NAME_BYTES_MAX)
            each(context, entry->d_name);
    }
    if (errno)
        err = failed("list", "the directory");
    closedir(directory);
    return err;
}

static enum err posix_rename(struct disk *disk, const char *from,
                             const char *to)
{
    int directory = posix_of(disk)->directory;
    check_name(from);
    check_name(to);
    if (renameat(directory, from, directory, to) != 0)
        return failed("rename", from);
    return ERR_OK;
}

static enum err posix_remove(struct disk *disk, const char *name)
{
    check_name(name);
    if (unlinkat(posix_of(disk)->directory, name, 0) != 0)
        return failed("remove", name);
    return ERR_OK;
}

static enum err posix_sync_names(struct disk *disk)
{
    if (fsync(posix_of(disk)->directory) != 0)
        return failed("sync", "the directory");
    return ERR_OK;
}

/* ---- files -------------------------------------------------------------- */

static enum err posix_open(struct disk *disk, const char *name, int flags,
                           struct disk_file **out)
{
    *out = NULL;
    check_name(name);
    /* What isn't a plain file must not hold us up (O_NONBLOCK is for a pipe
     * of that name) before it is refused. */
    int how = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    how |= flags & (DISK_WRITE | DISK_CREATE) ? O_RDWR : O_RDONLY;
    if (flags & DISK_CREATE)
        how |= O_CREAT | O_EXCL;
    int fd;
    do {
        fd = openat(posix_of(disk)->directory, name, how, 0600);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return failed("open", name);
    struct stat status;
    if (fstat(fd, &status) != 0) {
        enum err err = failed("open", name);
        close(fd);
        return err;
    }
    if (!S_ISREG(status.st_mode)) {
        close(fd);
        return err_set(ERR_IO, "open %s: not a plain file", name);
    }
    struct disk_file *file = mem_alloc(sizeof *file);
    *file = (struct disk_file){.fd = fd, .direct.fd = DIRECT_CLOSED};
    snprintf(file->name, sizeof file->name, "%s", name);
    posix_of(disk)->open_files++;
    *out = file;
    return ERR_OK;
}

static void posix_close(struct disk *disk, struct disk_file *file)
{
    CHECK(posix_of(disk)->open_files > 0);
    posix_of(disk)->open_files--;
    close(file->fd); /* what mattered has been synced: its errors came there */
    if (file->direct.fd >= 0)
        close(file->direct.fd);
    mem_free(file->direct.memory);
    mem_free(file);
}

static enum err posix_size(struct disk *disk, struct disk_file *file,
                           uint64_t *out)
{
    (void)disk;
    struct stat status;
    if (fstat(file->fd, &status) != 0)
        return failed("size of", file->name);
    *out = (uint64_t)status.st_size;
    return ERR_OK;
}

static enum err posix_read(struct disk *disk, struct disk_file *file,
                           uint64_t offset, void *to, size_t size,
                           size_t *out_size)
{
    (void)disk;
    CHECK(offset <= INT64_MAX && size <= INT64_MAX - offset);
    size_t done = 0;
    while (done < size) {
        ssize_t got = pread(file->fd, (char *)to + done, size - done,
                            (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failed("read", file->name);
        if (got == 0)
            break;
        done += (size_t)got;
    }
    *out_size = done;
    return ERR_OK;
}

static enum err posix_write(struct disk *disk, struct disk_file *file,
                            uint64_t offset, const void *from, size_t size)
{
    (void)disk;
    CHECK(offset <= INT64_MAX && size <= INT64_MAX - offset);
    size_t done = 0;
    while (done < size) {
        ssize_t put = pwrite(file->fd, (const char *)from + done, size - done,
                             (off_t)(offset + done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return failed("write", file->name);
        if (put == 0)
            return err_set(ERR_IO, "write %s: nothing was written", file->name);
        done += (size_t)put;
    }
    return ERR_OK;
}

/* ---- by the page cache --------------------------------------------------- */

/* The name may be another one by now, so the file is found by its descriptor.
 */
static void direct_open(struct disk_file *file)
{
    struct direct *direct = &file->direct;
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file->fd);
    int fd = open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
    if (fd < 0) {
        direct->fd = DIRECT_UNSUPPORTED;
        return;
    }
    direct->fd = fd;
    direct->block = 512;
    direct->memory = mem_alloc(DIRECT_BYTES_MAX + 2 * DISK_BLOCK_BYTES);
    uintptr_t address = (uintptr_t)direct->memory;
    direct->bytes = direct->memory +
                    (DISK_BLOCK_BYTES - 1 - (address - 1) % DISK_BLOCK_BYTES);
}

static void direct_give_up(struct direct *direct)
{
    close(direct->fd);
    mem_free(direct->memory);
    *direct = (struct direct){.fd = DIRECT_UNSUPPORTED};
}

/* What the file has in the block where `offset` is, up to there. */
static enum err direct_begin(struct disk *disk, struct disk_file *file,
                             uint64_t offset)
{
    struct direct *direct = &file->direct;
    size_t before = (size_t)(offset % direct->block);
    size_t got;
    enum err err =
        posix_read(disk, file, offset - before, direct->bytes, before, &got);
    if (err)
        return err;
    if (got < before)
        memset(direct->bytes + got, 0, before - got);
    direct->at = offset - before;
    direct->size = before;
    return ERR_OK;
}

/* Writes the blocks from direct->at on, `size` bytes and zeros behind them.
 * ERR_UNSUPPORTED: the device wants other blocks, or none of this. */
static enum err direct_write(struct disk_file *file, size_t size)
{
    struct direct *direct = &file->direct;
    size_t whole = size + (direct->block - 1);
    size_t done = 0;
    whole -= whole % direct->block;
    memset(direct->bytes + size, 0, whole - size);
    while (done < whole) {
        ssize_t put = pwrite(direct->fd, direct->bytes + done, whole - done,
                             (off_t)(direct->at + done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0 && errno == EINVAL)
            return ERR_UNSUPPORTED;
        if (put < 0)
            return failed("write", file->name);
        if (put == 0 || (size_t)put % direct->block != 0)
            return err_set(ERR_IO, "write %s: a part of it", file->name);
        done += (size_t)put;
    }
    return ERR_OK;
}

/* The last block, which isn't full, is where the next append begins. */
static void direct_keep_tail(struct direct *direct, size_t size)
{
    size_t tail = size % direct->block;
    memmove(direct->bytes, direct->bytes + (size - tail), tail);
    direct->at += size - tail;
    direct->size = tail;
}

static enum err direct_append(struct disk *disk, struct disk_file *file,
                              uint64_t offset, const void *from, size_t size)
{
    struct direct *direct = &file->direct;
    if (offset != direct->at + direct->size) {
        enum err err = direct_begin(disk, file, offset);
        if (err)
            return err;
    }
    memcpy(direct->bytes + direct->size, from, size);
    size_t all = direct->size + size;
    enum err err = direct_write(file, all);
    if (err == ERR_OK)
        direct_keep_tail(direct, all);
    else
        direct->at = UINT64_MAX - DIRECT_BYTES_MAX; /* nothing is there */
    return err;
}

static enum err posix_append(struct disk *disk, struct disk_file *file,
                             uint64_t offset, const void *from, size_t size)
{
    struct direct *direct = &file->direct;
    CHECK(offset <= INT64_MAX && size <= INT64_MAX - offset);
    if (direct->fd == DIRECT_CLOSED)
        direct_open(file);
    while (direct->fd >= 0 && size <= DIRECT_BYTES_MAX) {
        enum err err = direct_append(disk, file, offset, from, size);
        if (err != ERR_UNSUPPORTED)
            return err;
        if (direct->block == DISK_BLOCK_BYTES)
            direct_give_up(direct);
        else
            direct->block = DISK_BLOCK_BYTES;
    }
    return posix_write(disk, file, offset, from, size);
}

/* Where the file system can't allocate. Only what isn't there is written. */
static enum err fill_with_zeros(struct disk *disk, struct disk_file *file,
                                uint64_t size)
{
    uint64_t at;
    enum err err = posix_size(disk, file, &at);
    while (err == ERR_OK && at < size) {
        uint64_t part = size - at < ZEROS_BYTES ? size - at : ZEROS_BYTES;
        err = posix_write(disk, file, at, zeros, (size_t)part);
        at += part;
    }
    return err;
}

static enum err posix_allocate(struct disk *disk, struct disk_file *file,
                               uint64_t size)
{
    CHECK(size > 0 && size <= INT64_MAX);
    int result;
    do {
        result = fallocate(file->fd, 0, 0, (off_t)size);
    } while (result != 0 && errno == EINTR);
    if (result == 0)
        return ERR_OK;
    if (errno == EOPNOTSUPP || errno == ENOSYS)
        return fill_with_zeros(disk, file, size);
    return failed("allocate", file->name);
}

static enum err posix_truncate(struct disk *disk, struct disk_file *file,
                               uint64_t size)
{
    (void)disk;
    CHECK(size <= INT64_MAX);
    int result;
    do {
        result = ftruncate(file->fd, (off_t)size);
    } while (result != 0 && errno == EINTR);
    return result == 0 ? ERR_OK : failed("truncate", file->name);
}

/* Not tried again, whatever the error: the kernel may have dropped what it
 * couldn't write. */
static enum err posix_sync(struct disk *disk, struct disk_file *file)
{
    (void)disk;
    if (fdatasync(file->fd) != 0)
        return failed("sync", file->name);
    return ERR_OK;
}

static const struct disk_ops posix_ops = {
    .list = posix_list,
    .open = posix_open,
    .close = posix_close,
    .size = posix_size,
    .read = posix_read,
    .write = posix_write,
    .append = posix_append,
    .allocate = posix_allocate,
    .truncate = posix_truncate,
    .sync = posix_sync,
    .rename = posix_rename,
    .remove = posix_remove,
    .sync_names = posix_sync_names,
};

enum err disk_posix_open(const char *path, struct disk **out)
{
    *out = NULL;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        int number = errno;
        char text[128];
        enum err err = err_from_errno(number);
        return err_set(number == ELOOP ? ERR_INVALID : err,
                       "open directory %s: %s", path,
                       strerror_r(number, text, sizeof text));
    }
    struct posix *posix = mem_alloc_zero(sizeof *posix);
    posix->disk.ops = &posix_ops;
    posix->directory = fd;
    *out = &posix->disk;
    return ERR_OK;
}

void disk_posix_close(struct disk *disk)
{
    if (disk == NULL)
        return;
    struct posix *posix = posix_of(disk);
    CHECK_EQ(posix->open_files, 0);
    close(posix->directory);
    mem_free(posix);
}
