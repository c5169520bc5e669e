/* The file "identity" in the log's folder: two lines,
 *
 *   cluster 16 hex digits
 *   member 16 hex digits
 *
 * written once, under another name first, before the log itself. */
#include <stdio.h>

#include "base/check.h"
#include "node/node_int.h"

enum { LINE_CLUSTER = 8 + 16 + 1, LINE_MEMBER = 7 + 16 + 1 };
enum { FILE_BYTES = LINE_CLUSTER + LINE_MEMBER };

static const char name[] = "identity";
static const char name_new[] = "identity.new";

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

static bool parse_line(const char *line, const char *word, uint64_t *out)
{
    size_t size = strlen(word);
    uint64_t value = 0;
    if (memcmp(line, word, size) != 0 || line[size] != ' ') {
        return false;
    }
    for (size_t i = 0; i < 16; i++) {
        if (!hex_digit(line[size + 1 + i], &value)) {
            return false;
        }
    }
    *out = value;
    return line[size + 17] == '\n' && value != 0;
}

enum err node__identity_read(struct disk *disk, uint64_t *cluster,
                             member_id *member)
{
    struct disk_file *file;
    char text[FILE_BYTES];
    size_t size = 0;
    enum err err = disk->ops->open(disk, name, DISK_READ, &file);
    if (err != ERR_OK) {
        return err;
    }
    err = disk->ops->read(disk, file, 0, text, sizeof(text), &size);
    disk->ops->close(disk, file);
    if (err != ERR_OK) {
        return err;
    }
    if (size != FILE_BYTES || !parse_line(text, "cluster", cluster) ||
        !parse_line(text + LINE_CLUSTER, "member", member)) {
        return err_set(ERR_CORRUPT,
                       "file %s is damaged; it holds the ids of the cluster "
                       "and of this member",
                       name);
    }
    return ERR_OK;
}

static enum err write_file(struct disk *disk, struct slice text)
{
    struct disk_file *file;
    enum err err =
        disk->ops->open(disk, name_new, DISK_WRITE | DISK_CREATE, &file);
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

enum err node__identity_write(struct disk *disk, uint64_t cluster,
                              member_id member)
{
    char text[FILE_BYTES + 1];
    CHECK(cluster != 0);
    CHECK(member != 0);
    int size =
        snprintf(text, sizeof(text), "cluster %016llx\nmember %016llx\n",
                 (unsigned long long)cluster, (unsigned long long)member);
    CHECK_EQ(size, FILE_BYTES);
    /* Left over from a start that didn't come to its end. */
    enum err err = disk->ops->remove(disk, name_new);
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return err;
    }
    err = write_file(disk, slice_of(text, FILE_BYTES));
    if (err == ERR_OK) {
        err = disk->ops->rename(disk, name_new, name);
    }
    if (err == ERR_OK) {
        err = disk->ops->sync_names(disk);
    }
    return err;
}
