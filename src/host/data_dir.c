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

/* The folder's name is durable when the one above it is synced. */
static enum err sync_above(const char *path)
{
    char *above = mem_strdup(path);
    char *last = strrchr(above, '/');
    if (last != NULL) {
        last[last == above ? 1 : 0] = '\0';
    }
    int fd =
        open(last != NULL ? above : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* One that may be passed through but not read can't be synced by us. */
    enum err err = ERR_OK;
    if (fd >= 0) {
        err = fsync(fd) == 0 ? ERR_OK : fail("sync folder", above);
        close(fd);
    }
    mem_free(above);
    return err;
}

static enum err make_folder(const char *path)
{
    if (mkdir(path, 0700) == 0) {
        return sync_above(path);
    }
    return errno == EEXIST ? ERR_OK : fail("make folder", path);
}

/* Makes the folder and those above it, as mkdir -p. */
static enum err make_folders(const char *path)
{
    char *copy = mem_strdup(path);
    enum err err = ERR_OK;
    for (char *at = copy + 1; err == ERR_OK && *at != '\0'; at++) {
        if (*at == '/') {
            *at = '\0';
            err = make_folder(copy);
            *at = '/';
        }
    }
    if (err == ERR_OK) {
        err = make_folder(path);
    }
    mem_free(copy);
    return err;
}

/* ---- whose it is, and who may -------------------------------------------- */

/* What root has made belongs to who the process is going to be. Another
 * owner could widen the rights again, and read the store. */
static enum err own(const struct privileges *owner, const struct stat *found,
                    int fd, const char *path)
{
    if (found->st_uid == owner->uid) {
        return ERR_OK;
    }
    if (owner->change && found->st_uid == geteuid()) {
        return fchown(fd, owner->uid, owner->gid) == 0
                   ? ERR_OK
                   : fail("give away", path);
    }
    return err_set(ERR_PERMISSION,
                   "%s belongs to user %u, and the server runs as user %u: "
                   "give it away (chown), or start the server as its owner "
                   "(--user)",
                   path, (unsigned)found->st_uid, (unsigned)owner->uid);
}

/* Others may have made it with wider rights (TOB-ETCD-003). */
static enum err narrow(const struct stat *found, int fd, mode_t mode,
                       const char *path)
{
    if ((found->st_mode & 07777) == mode) {
        return ERR_OK;
    }
    log_warn("host", "narrowing the rights of what others could reach",
             LOG_STR("path", path), LOG_UINT("were", found->st_mode & 07777),
             LOG_UINT("are", mode));
    return fchmod(fd, mode) == 0 ? ERR_OK : fail("narrow the rights of", path);
}

static enum err secure_file(const struct data_dir *dir, int folder,
                            const char *folder_path, const char *name)
{
    struct stat found;
    enum err err = ERR_OK;
    char *path = join(folder_path, name);
    /* A pipe of that name must not hold us up; nor may a terminal be ours. */
    int fd = openat(folder, name,
                    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == ELOOP) {
        err = err_set(ERR_PERMISSION,
                      "%s is a symbolic link, which the server doesn't follow "
                      "in its own folder; put the file itself there",
                      path);
    } else if (fd < 0) {
        err = errno == ENOENT ? ERR_OK : fail("open", path);
    } else if (fstat(fd, &found) != 0) {
        err = fail("look at", path);
    } else if (!S_ISREG(found.st_mode)) {
        err = err_set(ERR_PERMISSION, "%s is not a plain file", path);
    } else {
        err = own(&dir->owner, &found, fd, path);
        if (err == ERR_OK) {
            err = narrow(&found, fd, 0600, path);
        }
    }
    if (fd >= 0) {
        close(fd);
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

/* Others' files there are others' business. */
static bool is_own_name(const char *name)
{
    return strcmp(name, "LOCK") == 0 || strcmp(name, "db") == 0 ||
           strcmp(name, "db-lock") == 0 || is_log_name(name);
}

static enum err secure_files(const struct data_dir *dir, const char *path)
{
    enum err err = ERR_OK;
    DIR *folder = opendir(path);
    struct dirent *entry;
    if (folder == NULL) {
        return fail("open folder", path);
    }
    while (err == ERR_OK && (entry = readdir(folder)) != NULL) {
        if (is_own_name(entry->d_name)) {
            err = secure_file(dir, dirfd(folder), path, entry->d_name);
        }
    }
    closedir(folder);
    return err;
}

static enum err secure_folder(const struct data_dir *dir, const char *path,
                              int flags)
{
    struct stat found;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);
    if (fd < 0) {
        return fail("open folder", path);
    }
    enum err err = ERR_OK;
    if (fstat(fd, &found) != 0) {
        err = fail("look at folder", path);
    }
    if (err == ERR_OK) {
        err = own(&dir->owner, &found, fd, path);
    }
    if (err == ERR_OK) {
        err = narrow(&found, fd, 0700, path);
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
    } else if (dir->owner.change &&
               fchown(dir->lock_fd, dir->owner.uid, dir->owner.gid) != 0) {
        err = fail("give away", path);
    }
    mem_free(path);
    return err;
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

static void set_paths(struct data_dir *out, const char *path,
                      const char *wal_path)
{
    size_t size = strlen(path);
    CHECK(size > 0);
    while (size > 1 && path[size - 1] == '/') {
        size--;
    }
    out->path = mem_alloc_zero(size + 1);
    memcpy(out->path, path, size);
    out->wal_path =
        wal_path[0] != '\0' ? mem_strdup(wal_path) : join(out->path, "wal");
    out->db_path = join(out->path, "db");
}

/* Only --wal-dir, which somebody has chosen, may be a link to elsewhere. */
static enum err open_log_folder(const struct data_dir *dir, bool is_elsewhere)
{
    enum err err = make_folders(dir->wal_path);
    if (err == ERR_OK) {
        err = secure_folder(dir, dir->wal_path, is_elsewhere ? 0 : O_NOFOLLOW);
    }
    if (err == ERR_OK) {
        err = secure_files(dir, dir->wal_path);
    }
    return err;
}

enum err data_dir_open_as(const struct privileges *owner, const char *path,
                          const char *wal_path, bool force,
                          struct data_dir *out)
{
    *out = (struct data_dir){.lock_fd = -1, .owner = *owner};
    set_paths(out, path, wal_path);
    enum err err = make_folders(out->path);
    if (err == ERR_OK) {
        err = secure_folder(out, out->path, 0);
    }
    if (err == ERR_OK) {
        err = take_lock(out);
    }
    if (err == ERR_OK) {
        err = secure_files(out, out->path);
    }
    if (err == ERR_OK) {
        err = refuse_foreign(out);
    }
    if (err == ERR_OK) {
        err = open_log_folder(out, wal_path[0] != '\0');
    }
    if (err == ERR_OK && force) {
        err = forget(out);
    }
    if (err != ERR_OK) {
        data_dir_close(out);
    }
    return err;
}

enum err data_dir_open(const char *path, const char *wal_path, bool force,
                       struct data_dir *out)
{
    const struct privileges ourselves = {.uid = geteuid(), .gid = getegid()};
    return data_dir_open_as(&ourselves, path, wal_path, force, out);
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
