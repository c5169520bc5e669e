#include "host/zones_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

struct zone {
    char name[ZONES_NAME_BYTES_MAX + 1];
    struct buf bytes;
};

/* Behind the door, which is const for those that ask. */
struct zones_posix {
    struct zones door;
    struct zones_cache *cache;
};

struct zones_cache {
    char *folder;
    pthread_mutex_t mutex;
    struct map zones; /* by name; under the mutex */
};

static struct slice key_of(const void *value)
{
    const struct zone *zone = value;
    return slice_str(zone->name);
}

/* ---- names -------------------------------------------------------------- */

static bool is_name_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '+';
}

/* Parts of letters, digits, _ - +, with a / in between: no path that leads
 * out of the folder, or to a hidden file, is a name. */
static bool is_name(struct slice name)
{
    bool is_begun = false;
    if (name.size == 0 || name.size > ZONES_NAME_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < name.size; i++) {
        if (name.at[i] == '/' && is_begun) {
            is_begun = false;
        } else if (is_name_char(name.at[i])) {
            is_begun = true;
        } else {
            return false;
        }
    }
    /* "right/": clocks that count leap seconds, which no time here does. */
    return is_begun && !slice_has_prefix(name, SLICE("right/"));
}

/* ---- files -------------------------------------------------------------- */

static bool read_file(int fd, struct buf *out)
{
    struct stat stat;
    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode)) {
        return false;
    }
    buf_reserve(out, ZONES_FILE_BYTES_MAX);
    ssize_t got = 1;
    while (got > 0 && out->size < ZONES_FILE_BYTES_MAX) {
        got = read(fd, out->at + out->size, ZONES_FILE_BYTES_MAX - out->size);
        out->size += got > 0 ? (size_t)got : 0;
    }
    return got == 0 && slice_has_prefix(buf_slice(out), SLICE("TZif"));
}

static enum err read_zone(const struct zones_cache *cache, struct slice name,
                          struct buf *out)
{
    struct buf path = {0};
    struct buf file = {0};
    buf_printf(&path, "%s/%.*s", cache->folder, (int)name.size, name.at);
    buf_append_char(&path, '\0');
    int fd = open(path.at, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool is_zone = fd >= 0 && read_file(fd, &file);
    if (fd >= 0) {
        close(fd);
    }
    if (is_zone) {
        buf_append_slice(out, buf_slice(&file)); /* of its own size */
    }
    buf_deinit(&file);
    buf_deinit(&path);
    if (is_zone) {
        return ERR_OK;
    }
    return access(cache->folder, X_OK) == 0
               ? err_set(ERR_NOT_FOUND, "there is no time zone \"%.*s\"",
                         (int)name.size, name.at)
               : err_set(ERR_NOT_FOUND,
                         "there are no time zones in %s: install tzdata",
                         cache->folder);
}

static enum err find_or_read(struct zones_cache *cache, struct slice name,
                             struct slice *tzif)
{
    struct zone *zone = map_get(&cache->zones, name);
    if (zone != NULL) {
        *tzif = buf_slice(&zone->bytes);
        return ERR_OK;
    }
    if (cache->zones.count == ZONES_KEPT_MAX) {
        return err_set(ERR_NOT_FOUND, "more than %d time zones",
                       ZONES_KEPT_MAX);
    }
    struct buf bytes = {0};
    enum err err = read_zone(cache, name, &bytes);
    if (err != ERR_OK) {
        return err;
    }
    zone = mem_alloc_zero(sizeof(*zone));
    memcpy(zone->name, name.at, name.size);
    zone->bytes = bytes;
    (void)map_put(&cache->zones, zone);
    *tzif = buf_slice(&zone->bytes);
    return ERR_OK;
}

static enum err find(const struct zones *zones, struct slice name,
                     struct slice *tzif)
{
    const struct zones_posix *own = (const struct zones_posix *)zones;
    struct zones_cache *cache = own->cache;
    *tzif = slice_of(NULL, 0);
    if (!is_name(name)) {
        return err_set(ERR_NOT_FOUND, "\"%.*s\" is no name of a time zone",
                       (int)(name.size < 80 ? name.size : 80),
                       name.size > 0 ? name.at : "");
    }
    pthread_mutex_lock(&cache->mutex);
    enum err err = find_or_read(cache, name, tzif);
    pthread_mutex_unlock(&cache->mutex);
    return err;
}

/* ---- new and free ------------------------------------------------------- */

struct zones *zones_posix_new(const char *folder)
{
    struct zones_posix *own = mem_alloc_zero(sizeof(*own));
    own->door.find = find;
    own->cache = mem_alloc_zero(sizeof(*own->cache));
    own->cache->folder = mem_strdup(folder);
    pthread_mutex_init(&own->cache->mutex, NULL);
    map_init(&own->cache->zones, key_of, 0); /* the names are few, and real */
    return &own->door;
}

void zones_posix_free(struct zones *zones)
{
    struct zone *zone;
    size_t position = 0;
    if (zones == NULL) {
        return;
    }
    struct zones_posix *own = CONTAINER_OF(zones, struct zones_posix, door);
    while ((zone = map_next(&own->cache->zones, &position)) != NULL) {
        buf_deinit(&zone->bytes);
        mem_free(zone);
    }
    map_deinit(&own->cache->zones);
    pthread_mutex_destroy(&own->cache->mutex);
    mem_free(own->cache->folder);
    mem_free(own->cache);
    mem_free(own);
}
