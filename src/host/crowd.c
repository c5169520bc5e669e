#include "host/crowd.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/bytes.h"

enum { SHARE = 50, TEXT_BYTES_MAX = 128, MS_NS = 1000 * 1000 };

bool crowd_parse(const char *text, uint64_t *waited_ns)
{
    struct slice rest = slice_str(text);
    ptrdiff_t first = slice_find(rest, ' ');
    if (first < 0) {
        return false;
    }
    rest = slice_of(rest.at + first + 1, rest.size - (size_t)first - 1);
    ptrdiff_t second = slice_find(rest, ' ');
    return second > 0 &&
           slice_to_u64(slice_of(rest.at, (size_t)second), waited_ns);
}

static bool read_waited(const struct crowd *crowd, uint64_t *waited_ns)
{
    char text[TEXT_BYTES_MAX];
    ssize_t size = pread(crowd->fd, text, sizeof(text) - 1, 0);
    if (size <= 0) {
        return false;
    }
    text[size] = '\0';
    return crowd_parse(text, waited_ns);
}

void crowd_init(struct crowd *crowd)
{
    *crowd = (struct crowd){0};
    crowd->fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    if (crowd->fd >= 0 && !read_waited(crowd, &crowd->waited_ns)) {
        crowd_deinit(crowd);
    }
}

void crowd_deinit(struct crowd *crowd)
{
    if (crowd->fd >= 0) {
        close(crowd->fd);
    }
    crowd->fd = -1;
}

/* Soon after the last one: within three looks of its end, or within as long as
 * it was believed to stay. */
static bool is_the_same_crowd(const struct crowd *crowd, uint64_t now_ns)
{
    uint64_t soon_ns = (uint64_t)3 * CROWD_LOOK_MS * MS_NS;
    if (soon_ns < crowd->stays_ns) {
        soon_ns = crowd->stays_ns;
    }
    return crowd->stays_ns > 0 && now_ns < crowd->until_ns + soon_ns;
}

void crowd_looked(struct crowd *crowd, uint64_t now_ns, uint64_t waited_ns)
{
    const uint64_t longest_ns = (uint64_t)CROWD_STAYS_MAX_MS * MS_NS;
    /* The first look, and one after a long sleep, tell of long ago: a bound
     * keeps what is old from hiding what is new. */
    if (waited_ns - crowd->waited_ns >
        (uint64_t)CROWD_LOOK_MS * MS_NS / SHARE) {
        crowd->stays_ns = is_the_same_crowd(crowd, now_ns)
                              ? 2 * crowd->stays_ns
                              : (uint64_t)CROWD_STAYS_MIN_MS * MS_NS;
        if (crowd->stays_ns > longest_ns) {
            crowd->stays_ns = longest_ns;
        }
        crowd->until_ns = now_ns + crowd->stays_ns;
    }
    crowd->looked_ns = now_ns;
    crowd->waited_ns = waited_ns;
}

bool crowd_is_here(struct crowd *crowd, uint64_t now_ns)
{
    uint64_t waited_ns;
    uint64_t since_ns = now_ns - crowd->looked_ns;
    if (crowd->fd < 0 || since_ns < (uint64_t)CROWD_LOOK_MS * MS_NS) {
        return now_ns < crowd->until_ns;
    }
    if (!read_waited(crowd, &waited_ns)) {
        crowd_deinit(crowd);
        return false;
    }
    crowd_looked(crowd, now_ns, waited_ns);
    return now_ns < crowd->until_ns;
}
