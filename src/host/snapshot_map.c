#include "host/snapshot_map.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err fail_as_go(const char *what, const char *path)
{
    int number = errno;
    const char *text = number == ENOENT   ? "no such file or directory"
                       : number == EACCES ? "permission denied"
                       : number == EISDIR ? "is a directory"
                                          : strerror(number);
    return err_set(err_from_errno(number), "%s %s: %s", what, path, text);
}

static enum err map_file(int fd, const char *path, struct snapshot_map *out)
{
    struct stat stat;
    if (fstat(fd, &stat) != 0)
        return fail_as_go("stat", path);
    if (!S_ISREG(stat.st_mode)) {
        errno = EISDIR;
        return fail_as_go("read", path);
    }
    if (stat.st_size == 0)
        return ERR_OK;
    void *at = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED)
        return fail_as_go("mmap", path);
    out->bytes = slice_of(at, (size_t)stat.st_size);
    return ERR_OK;
}

enum err snapshot_map_open(const char *path, struct snapshot_map *out)
{
    *out = (struct snapshot_map){.bytes = SLICE("")};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_as_go(errno == ENOENT ? "stat" : "open", path);
    enum err err = map_file(fd, path, out);
    close(fd);
    return err;
}

void snapshot_map_close(struct snapshot_map *map)
{
    if (map->bytes.size > 0)
        munmap((void *)map->bytes.at, map->bytes.size);
    *map = (struct snapshot_map){.bytes = SLICE("")};
}
