/* Small files in the log's folder, two lines each, written under another name
 * first.
 *
 *   identity     cluster 16 hex digits      written once, before the log itself
 *                member 16 hex digits
 *
 *   installed    index 16 hex digits        the snapshot that took the store's
 *                term 16 hex digits         place last, or was about to
 */
#include <stdio.h>

#include "base/check.h"
#include "node/node_int.h"

struct small_file {
    const char *name;
    const char *name_new;
    const char *words[2];
    const char *what; /* it holds */
};

static const struct small_file identity = {
    "identity",
    "identity.new",
    {"cluster", "member"},
    "the ids of the cluster and of this member",
};
static const struct small_file installed = {
    "installed",
    "installed.new",
    {"index", "term"},
    "what the last snapshot is of",
};

enum { NUMBER_DIGITS = 16, FILE_BYTES_MAX = 64 };

static bool hex_digit(char c, uint64_t *value)
{
    const char *digits = "0123456789abcdef";
    const char *at = c == '\0' ? NULL : strchr(digits, c);
    if (at == NULL) {
        return false;
    }
    *value = *value << 4 | (uint64_t)(at - digits);
    return true;
}

/* Moves *at behind the line. */
static bool parse_line(const char **at, const char *end, const char *word,
                       uint64_t *out)
{
    size_t size = strlen(word);
    uint64_t value = 0;
    if ((size_t)(end - *at) < size + NUMBER_DIGITS + 2 ||
        memcmp(*at, word, size) != 0 || (*at)[size] != ' ') {
        return false;
    }
    for (size_t i = 0; i < NUMBER_DIGITS; i++) {
        if (!hex_digit((*at)[size + 1 + i], &value)) {
            return false;
        }
    }
    *at += size + NUMBER_DIGITS + 2;
    *out = value;
    return (*at)[-1] == '\n' && value != 0;
}

static enum err read_file(struct disk *disk, const struct small_file *file,
                          uint64_t out[2])
{
    struct disk_file *opened;
    char text[FILE_BYTES_MAX];
    size_t size = 0;
    enum err err = disk->ops->open(disk, file->name, DISK_READ, &opened);
    if (err != ERR_OK) {
        return err;
    }
    err = disk->ops->read(disk, opened, 0, text, sizeof(text), &size);
    disk->ops->close(disk, opened);
    if (err != ERR_OK) {
        return err;
    }
    const char *at = text;
    const char *end = text + size;
    if (!parse_line(&at, end, file->words[0], &out[0]) ||
        !parse_line(&at, end, file->words[1], &out[1]) || at != end) {
        return err_set(ERR_CORRUPT, "file %s is damaged; it holds %s",
                       file->name, file->what);
    }
    return ERR_OK;
}

static enum err write_new(struct disk *disk, const char *name,
                          struct slice text)
{
    struct disk_file *file;
    enum err err = disk->ops->open(disk, name, DISK_WRITE | DISK_CREATE, &file);
    if (err != ERR_OK) {
        return err;
    }
    err = disk->ops->write(disk, file, 0, text.at, text.size);
    if (err == ERR_OK) {
        err = disk->ops->sync(disk, file);
    }
    disk->ops->close(disk, file);
    return err;
}

static enum err write_file(struct disk *disk, const struct small_file *file,
                           const uint64_t numbers[2])
{
    char text[FILE_BYTES_MAX];
    CHECK(numbers[0] != 0);
    CHECK(numbers[1] != 0);
    int size = snprintf(text, sizeof(text), "%s %016llx\n%s %016llx\n",
                        file->words[0], (unsigned long long)numbers[0],
                        file->words[1], (unsigned long long)numbers[1]);
    CHECK(size > 0 && size < FILE_BYTES_MAX);
    /* Left over from a start that didn't come to its end. */
    enum err err = disk->ops->remove(disk, file->name_new);
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return err;
    }
    err = write_new(disk, file->name_new, slice_of(text, (size_t)size));
    if (err == ERR_OK) {
        err = disk->ops->rename(disk, file->name_new, file->name);
    }
    if (err == ERR_OK) {
        err = disk->ops->sync_names(disk);
    }
    return err;
}

enum err node__identity_read(struct disk *disk, uint64_t *cluster,
                             member_id *member)
{
    uint64_t numbers[2];
    enum err err = read_file(disk, &identity, numbers);
    if (err == ERR_OK) {
        *cluster = numbers[0];
        *member = numbers[1];
    }
    return err;
}

enum err node__identity_write(struct disk *disk, uint64_t cluster,
                              member_id member)
{
    const uint64_t numbers[2] = {cluster, member};
    return write_file(disk, &identity, numbers);
}

enum err node__installed_read(struct disk *disk, raft_index *index,
                              raft_term *term)
{
    uint64_t numbers[2];
    enum err err = read_file(disk, &installed, numbers);
    *index = *term = 0;
    if (err == ERR_OK) {
        *index = numbers[0];
        *term = numbers[1];
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err node__installed_write(struct disk *disk, raft_index index,
                               raft_term term)
{
    const uint64_t numbers[2] = {index, term};
    return err_wrap(write_file(disk, &installed, numbers), "name the snapshot");
}
