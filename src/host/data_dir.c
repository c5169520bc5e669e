#include "host/data_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"

static enum err fail(const char *what, const char *path)
{
    int number = errno;
    return err_set(err_from_errno(number), "%s %s: %s", what, path,
                   strerror(number));
}

static char *join(const char *folder, const char *name)
{
    struct buf path = {0};
    buf_append_str(&path, folder);
    buf_append_char(&path, '/');
    buf_append_str(&path, name);
    buf_append_char(&path, '\0');
    return path.at;
}

/* Makes the folder and those above it, as mkdir -p. */
static enum err make_folders(const char *path)
{
    char *copy = mem_strdup(path);
    enum err err = ERR_OK;
    for (char *at = copy + 1; err == ERR_OK && *at != '\0'; at++) {
        if (*at == '/') {
            *at = '\0';
            if (mkdir(copy, 0700) != 0 && errno != EEXIST) {
                err = fail("make folder", copy);
            }
            *at = '/';
        }
    }
    if (err == ERR_OK && mkdir(path, 0700) != 0 && errno != EEXIST) {
        err = fail("make folder", path);
    }
    mem_free(copy);
    return err;
}

/* Others may have made it with wider rights (TOB-ETCD-003). */
static enum err force_mode(const char *path)
{
    struct stat stat;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return fail("open folder", path);
    }
    enum err err = ERR_OK;
    if (fstat(fd, &stat) != 0) {
        err = fail("look at folder", path);
    } else if ((stat.st_mode & 0777) != 0700) {
        log_warn("host", "narrowing a folder's rights to 0700",
                 LOG_STR("path", path), LOG_UINT("were", stat.st_mode & 0777));
        if (fchmod(fd, 0700) != 0) {
            err = fail("narrow the rights (to 0700) of folder", path);
        }
    }
    close(fd);
    return err;
}

static enum err take_lock(struct data_dir *dir)
{
    char *path = join(dir->path, "LOCK");
    enum err err = ERR_OK;
    dir->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (dir->lock_fd < 0) {
        err = fail("open lock file", path);
    } else if (flock(dir->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        err = errno != EWOULDBLOCK
                  ? fail("lock", path)
                  : err_set(ERR_BUSY,
                            "data directory %s is in use by another process; "
                            "stop it, or give this one another --data-dir",
                            dir->path);
    }
    mem_free(path);
    return err;
}

/* Whether the log has files of that name. */
static bool is_log_name(const char *name)
{
    size_t size = strlen(name);
    return strncmp(name, "identity", 8) == 0 ||
           (size > 4 && strcmp(name + size - 4, ".wal") == 0) ||
           (size > 8 && strcmp(name + size - 8, ".wal.tmp") == 0);
}

/* Removes the log's files and nothing else: --wal-dir may name a folder that
 * holds more. */
static enum err remove_log(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    enum err err = ERR_OK;
    if (folder == NULL) {
        return errno == ENOENT ? ERR_OK : fail("open folder", path);
    }
    while (err == ERR_OK && (entry = readdir(folder)) != NULL) {
        if (is_log_name(entry->d_name) &&
            unlinkat(dirfd(folder), entry->d_name, 0) != 0) {
            err = fail("remove", entry->d_name);
        }
    }
    closedir(folder);
    return err;
}

static enum err forget(const struct data_dir *dir)
{
    char *db_lock = join(dir->path, "db-lock");
    enum err err = remove_log(dir->wal_path);
    if (err == ERR_OK && unlink(dir->db_path) != 0 && errno != ENOENT) {
        err = fail("remove", dir->db_path);
    }
    if (err == ERR_OK && unlink(db_lock) != 0 && errno != ENOENT) {
        err = fail("remove", db_lock);
    }
    mem_free(db_lock);
    if (err == ERR_OK) {
        log_warn("host", "forgot what the data directory held (-force)",
                 LOG_STR("path", dir->path));
    }
    return err;
}

/* etcd keeps its data in <data-dir>/member. */
static enum err refuse_foreign(const struct data_dir *dir)
{
    char *member = join(dir->path, "member");
    bool found = access(member, F_OK) == 0;
    mem_free(member);
    if (!found) {
        return ERR_OK;
    }
    return err_set(ERR_UNSUPPORTED,
                   "data directory %s holds the data of an etcd server "
                   "(folder \"member\"); start with another --data-dir",
                   dir->path);
}

enum err data_dir_open(const char *path, const char *wal_path, bool force,
                       struct data_dir *out)
{
    size_t size = strlen(path);
    CHECK(size > 0);
    out->lock_fd = -1;
    while (size > 1 && path[size - 1] == '/') {
        size--;
    }
    out->path = mem_alloc_zero(size + 1);
    memcpy(out->path, path, size);
    out->wal_path =
        wal_path[0] != '\0' ? mem_strdup(wal_path) : join(out->path, "wal");
    out->db_path = join(out->path, "db");
    enum err err = make_folders(out->path);
    if (err == ERR_OK) {
        err = force_mode(out->path);
    }
    if (err == ERR_OK) {
        err = take_lock(out);
    }
    if (err == ERR_OK) {
        err = refuse_foreign(out);
    }
    if (err == ERR_OK) {
        err = make_folders(out->wal_path);
    }
    if (err == ERR_OK) {
        err = force_mode(out->wal_path);
    }
    if (err == ERR_OK && force) {
        err = forget(out);
    }
    if (err != ERR_OK) {
        data_dir_close(out);
    }
    return err;
}

void data_dir_close(struct data_dir *dir)
{
    if (dir->lock_fd >= 0) {
        close(dir->lock_fd);
        dir->lock_fd = -1;
    }
    mem_free(dir->path);
    mem_free(dir->wal_path);
    mem_free(dir->db_path);
    dir->path = dir->wal_path = dir->db_path = NULL;
}
