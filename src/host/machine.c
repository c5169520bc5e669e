#include "host/machine.h"

#include <dirent.h>
#include <stdbool.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "host/clock_posix.h"

static int64_t start_ns;

void machine_init(void)
{
    start_ns = clock_wall_ns(clock_posix());
}

/* /proc/self/statm: total, resident, ... in pages. */
static void read_memory(struct machine *out)
{
    char text[128];
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    ssize_t size = read(fd, text, sizeof(text));
    close(fd);
    struct slice rest = slice_of(text, size > 0 ? (size_t)size : 0);
    uint64_t *fields[2] = {&out->virtual_bytes, &out->resident_bytes};
    for (int i = 0; i < 2; i++) {
        ptrdiff_t space = slice_find(rest, ' ');
        if (space < 0 ||
            !slice_to_u64(slice_of(rest.at, (size_t)space), fields[i])) {
            return;
        }
        *fields[i] *= page;
        rest = slice_of(rest.at + space + 1, rest.size - (size_t)space - 1);
    }
}

static uint64_t count_fds(void)
{
    uint64_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL) {
        return 0;
    }
    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count > 3 ? count - 3 : 0; /* ".", ".." and the folder itself */
}

void machine_read(struct machine *out)
{
    struct rusage usage;
    struct rlimit limit;
    CHECK(start_ns != 0);
    memset(out, 0, sizeof(*out));
    read_memory(out);
    out->fd_used = count_fds();
    out->start_ns = start_ns;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        out->cpu_seconds =
            (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
            (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        out->fd_limit = limit.rlim_cur;
    }
}

int machine_processors(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (int)count : 1;
}

uint64_t machine_raise_fd_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 0;
    }
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}
