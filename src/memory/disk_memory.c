#include "memory/disk_memory.h"

#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/prng.h"

enum { NAMES_MAX = 256, SECTOR_BYTES = 512, DURABLE_WRITES = 4 };

/* A change of a file that isn't durable yet. */
struct change {
    struct change *next;
    bool is_size; /* a new size; else a write */
    uint64_t offset;
    size_t size;
    char bytes[];
};

struct inode {
    struct inode *next; /* of all that there ever were */
    struct buf now;
    struct buf durable;
    struct change *changes; /* oldest first */
    struct change **last;
};

struct disk_file {
    struct inode *inode;
    uint64_t epoch;
    bool writable;
    char name[DISK_NAME_BYTES_MAX];
};

struct entry {
    char name[DISK_NAME_BYTES_MAX];
    struct inode *inode;
};

struct directory {
    struct entry entries[NAMES_MAX];
    size_t count;
};

enum name_change_type { NAME_CREATE, NAME_RENAME, NAME_REMOVE };

struct name_change {
    struct name_change *next;
    enum name_change_type type;
    char name[DISK_NAME_BYTES_MAX];
    char to[DISK_NAME_BYTES_MAX];
    struct inode *inode;
};

/* A write that became durable. */
struct durable_write {
    const struct inode *inode;
    uint64_t offset;
};

struct disk_memory {
    struct disk door;
    struct prng prng;
    struct inode *inodes;
    struct directory now;
    struct directory durable;
    struct name_change *name_changes; /* oldest first */
    struct name_change **last_name_change;
    uint64_t epoch; /* one a crash */
    uint64_t limit;
    uint64_t calls;
    uint64_t syncs;
    uint64_t fail_at;
    enum err fail_with;
    struct durable_write recent[DURABLE_WRITES]; /* a ring */
    size_t recent_count;
};

static struct disk_memory *memory_of(struct disk *disk)
{
    return (struct disk_memory *)disk;
}

static bool coin(struct disk_memory *memory)
{
    return prng_below(&memory->prng, 2) == 0;
}

/* ---- names -------------------------------------------------------------- */

static void copy_name(char *to, const char *name)
{
    CHECK_LT(strlen(name), DISK_NAME_BYTES_MAX);
    snprintf(to, DISK_NAME_BYTES_MAX, "%s", name);
}

static struct entry *find(struct directory *directory, const char *name)
{
    for (size_t i = 0; i < directory->count; i++)
        if (strcmp(directory->entries[i].name, name) == 0)
            return &directory->entries[i];
    return NULL;
}

static void unlink_name(struct directory *directory, const char *name)
{
    struct entry *entry = find(directory, name);
    if (entry)
        *entry = directory->entries[--directory->count];
}

static void link_name(struct directory *directory, const char *name,
                      struct inode *inode)
{
    unlink_name(directory, name);
    CHECK_LT(directory->count, NAMES_MAX);
    struct entry *entry = &directory->entries[directory->count++];
    copy_name(entry->name, name);
    entry->inode = inode;
}

/* Where its file isn't there (the change that made it was lost), a change of
 * a name comes to nothing. */
static void change_names(struct directory *directory,
                         const struct name_change *change)
{
    struct entry *entry = find(directory, change->name);
    if (change->type == NAME_CREATE) {
        link_name(directory, change->name, change->inode);
    } else if (entry && entry->inode == change->inode) {
        unlink_name(directory, change->name);
        if (change->type == NAME_RENAME)
            link_name(directory, change->to, change->inode);
    }
}

static void name_change(struct disk_memory *memory, enum name_change_type type,
                        const char *name, const char *to, struct inode *inode)
{
    struct name_change *change = mem_alloc_zero(sizeof *change);
    change->type = type;
    change->inode = inode;
    copy_name(change->name, name);
    copy_name(change->to, to);
    change_names(&memory->now, change);
    *memory->last_name_change = change;
    memory->last_name_change = &change->next;
}

static void drop_name_changes(struct disk_memory *memory)
{
    struct name_change *change = memory->name_changes;
    while (change) {
        struct name_change *next = change->next;
        mem_free(change);
        change = next;
    }
    memory->name_changes = NULL;
    memory->last_name_change = &memory->name_changes;
}

/* ---- files -------------------------------------------------------------- */

static struct inode *inode_new(struct disk_memory *memory)
{
    struct inode *inode = mem_alloc_zero(sizeof *inode);
    inode->last = &inode->changes;
    inode->next = memory->inodes;
    memory->inodes = inode;
    return inode;
}

static void set_size(struct buf *buf, uint64_t size)
{
    if (size > buf->size) {
        size_t more = (size_t)size - buf->size;
        memset(buf_extend(buf, more), 0, more);
    }
    buf->size = (size_t)size;
}

static void put_bytes(struct buf *buf, uint64_t offset, const char *bytes,
                      size_t size)
{
    if (size == 0)
        return;
    if (buf->size < offset + size)
        set_size(buf, offset + size);
    memcpy(buf->at + offset, bytes, size);
}

static void change_file(struct buf *buf, const struct change *change)
{
    if (change->is_size)
        set_size(buf, change->offset);
    else
        put_bytes(buf, change->offset, change->bytes, change->size);
}

static void add_change(struct inode *inode, bool is_size, uint64_t offset,
                       const void *bytes, size_t size)
{
    struct change *change = mem_alloc_zero(sizeof *change + size);
    change->is_size = is_size;
    change->offset = offset;
    change->size = size;
    if (size)
        memcpy(change->bytes, bytes, size);
    change_file(&inode->now, change);
    *inode->last = change;
    inode->last = &change->next;
}

static void drop_changes(struct inode *inode)
{
    while (inode->changes) {
        struct change *next = inode->changes->next;
        mem_free(inode->changes);
        inode->changes = next;
    }
    inode->last = &inode->changes;
}

static void sync_file(struct disk_memory *memory, struct inode *inode)
{
    struct change *change = inode->changes;
    for (; change; change = change->next) {
        change_file(&inode->durable, change);
        if (!change->is_size)
            memory->recent[memory->recent_count++ % DURABLE_WRITES] =
                (struct durable_write){inode, change->offset};
    }
    drop_changes(inode);
}

/* ---- a crash ------------------------------------------------------------ */

/* The write reaches the disk in part. */
static void tear(struct disk_memory *memory, struct buf *durable,
                 const struct change *change)
{
    size_t size = change->size;
    if (coin(memory)) {
        size_t kept = (size_t)prng_below(&memory->prng, size + 1);
        put_bytes(durable, change->offset, change->bytes, kept);
        return;
    }
    for (size_t at = 0; at < size;) {
        size_t part = SECTOR_BYTES - (change->offset + at) % SECTOR_BYTES;
        if (part > size - at)
            part = size - at;
        if (coin(memory))
            put_bytes(durable, change->offset + at, change->bytes + at, part);
        at += part;
    }
}

static void crash_file(struct disk_memory *memory, struct inode *inode)
{
    struct change *change = inode->changes;
    for (; change; change = change->next) {
        uint64_t fate = prng_below(&memory->prng, 3);
        if (fate == 0)
            change_file(&inode->durable, change);
        else if (fate == 1 && !change->is_size && change->size)
            tear(memory, &inode->durable, change);
    }
    drop_changes(inode);
    buf_reset(&inode->now);
    buf_append_slice(&inode->now, buf_slice(&inode->durable));
}

void disk_memory_crash(struct disk_memory *memory)
{
    struct name_change *change = memory->name_changes;
    for (; change; change = change->next)
        if (coin(memory))
            change_names(&memory->durable, change);
    drop_name_changes(memory);
    memory->now = memory->durable;
    for (struct inode *inode = memory->inodes; inode; inode = inode->next)
        crash_file(memory, inode);
    memory->epoch++;
}

/* ---- the door ----------------------------------------------------------- */

/* Counts a call. When it is the one to fail, *out_half says how much of it is
 * done all the same: 0 nothing, 1 half, 2 all. */
static enum err begin_call(struct disk_memory *memory, const char *what,
                           const char *name, int *out_done)
{
    *out_done = 2;
    if (++memory->calls != memory->fail_at)
        return ERR_OK;
    *out_done = memory->fail_with == ERR_DISK_FULL
                    ? 0
                    : (int)prng_below(&memory->prng, 3);
    return err_set(memory->fail_with, "%s %s: made to fail", what, name);
}

static enum err check_file(struct disk_memory *memory, struct disk_file *file)
{
    if (file->epoch != memory->epoch)
        return err_set(ERR_IO, "%s: opened before the crash", file->name);
    return ERR_OK;
}

static enum err check_room(struct disk_memory *memory, struct disk_file *file,
                           uint64_t size)
{
    uint64_t have = file->inode->now.size;
    CHECK(file->writable);
    if (memory->limit == 0 || size <= have ||
        disk_memory_used(memory) + (size - have) <= memory->limit)
        return ERR_OK;
    return err_set(ERR_DISK_FULL, "%s: no space left on the device",
                   file->name);
}

static enum err memory_list(struct disk *disk,
                            void (*each)(void *context, const char *name),
                            void *context)
{
    struct disk_memory *memory = memory_of(disk);
    int done;
    enum err err = begin_call(memory, "list", "the directory", &done);
    for (size_t i = 0; err == ERR_OK && i < memory->now.count; i++)
        each(context, memory->now.entries[i].name);
    return err;
}

static enum err memory_open(struct disk *disk, const char *name, int flags,
                            struct disk_file **out)
{
    struct disk_memory *memory = memory_of(disk);
    struct entry *entry = find(&memory->now, name);
    int done;
    *out = NULL;
    enum err err = begin_call(memory, "open", name, &done);
    if (flags & DISK_CREATE) {
        if (entry)
            return err_set(ERR_EXISTS, "%s: there is one", name);
        if (err == ERR_OK || done == 2)
            name_change(memory, NAME_CREATE, name, name, inode_new(memory));
        entry = find(&memory->now, name);
    }
    if (err)
        return err;
    if (entry == NULL)
        return err_set(ERR_NOT_FOUND, "%s: there is none", name);
    struct disk_file *file = mem_alloc_zero(sizeof *file);
    file->inode = entry->inode;
    file->epoch = memory->epoch;
    file->writable = flags != DISK_READ;
    copy_name(file->name, name);
    *out = file;
    return ERR_OK;
}

static void memory_close(struct disk *disk, struct disk_file *file)
{
    (void)disk;
    mem_free(file);
}

static enum err memory_size(struct disk *disk, struct disk_file *file,
                            uint64_t *out)
{
    int done;
    enum err err = begin_call(memory_of(disk), "size of", file->name, &done);
    if (err == ERR_OK)
        err = check_file(memory_of(disk), file);
    if (err == ERR_OK)
        *out = file->inode->now.size;
    return err;
}

static enum err memory_read(struct disk *disk, struct disk_file *file,
                            uint64_t offset, void *to, size_t size,
                            size_t *out_size)
{
    int done;
    enum err err = begin_call(memory_of(disk), "read", file->name, &done);
    if (err == ERR_OK)
        err = check_file(memory_of(disk), file);
    if (err)
        return err;
    const struct buf *now = &file->inode->now;
    size_t rest = offset < now->size ? now->size - (size_t)offset : 0;
    *out_size = size < rest ? size : rest;
    if (*out_size)
        memcpy(to, now->at + offset, *out_size);
    return ERR_OK;
}

static enum err memory_write(struct disk *disk, struct disk_file *file,
                             uint64_t offset, const void *from, size_t size)
{
    struct disk_memory *memory = memory_of(disk);
    int done;
    enum err err = begin_call(memory, "write", file->name, &done);
    enum err bad = check_file(memory, file);
    if (bad == ERR_OK)
        bad = check_room(memory, file, offset + size);
    if (bad)
        return bad;
    if (done == 1)
        size = (size_t)prng_below(&memory->prng, size + 1);
    if (done && size)
        add_change(file->inode, false, offset, from, size);
    return err;
}

static enum err resize(struct disk *disk, struct disk_file *file,
                       const char *what, uint64_t size, bool grow_only)
{
    struct disk_memory *memory = memory_of(disk);
    int done;
    enum err err = begin_call(memory, what, file->name, &done);
    enum err bad = check_file(memory, file);
    if (bad == ERR_OK)
        bad = check_room(memory, file, size);
    if (bad)
        return bad;
    if (done == 2 && !(grow_only && size <= file->inode->now.size))
        add_change(file->inode, true, size, NULL, 0);
    return err;
}

static enum err memory_allocate(struct disk *disk, struct disk_file *file,
                                uint64_t size)
{
    return resize(disk, file, "allocate", size, true);
}

static enum err memory_truncate(struct disk *disk, struct disk_file *file,
                                uint64_t size)
{
    return resize(disk, file, "truncate", size, false);
}

static enum err memory_sync(struct disk *disk, struct disk_file *file)
{
    int done;
    enum err err = begin_call(memory_of(disk), "sync", file->name, &done);
    enum err bad = check_file(memory_of(disk), file);
    if (bad)
        return bad;
    memory_of(disk)->syncs++;
    if (done == 2)
        sync_file(memory_of(disk), file->inode);
    return err;
}

static enum err memory_rename(struct disk *disk, const char *from,
                              const char *to)
{
    struct disk_memory *memory = memory_of(disk);
    struct entry *entry = find(&memory->now, from);
    int done;
    enum err err = begin_call(memory, "rename", from, &done);
    if (entry == NULL)
        return err_set(ERR_NOT_FOUND, "rename %s: there is none", from);
    if (done == 2)
        name_change(memory, NAME_RENAME, from, to, entry->inode);
    return err;
}

static enum err memory_remove(struct disk *disk, const char *name)
{
    struct disk_memory *memory = memory_of(disk);
    struct entry *entry = find(&memory->now, name);
    int done;
    enum err err = begin_call(memory, "remove", name, &done);
    if (entry == NULL)
        return err_set(ERR_NOT_FOUND, "remove %s: there is none", name);
    if (done == 2)
        name_change(memory, NAME_REMOVE, name, name, entry->inode);
    return err;
}

static enum err memory_sync_names(struct disk *disk)
{
    struct disk_memory *memory = memory_of(disk);
    int done;
    enum err err = begin_call(memory, "sync", "the names", &done);
    memory->syncs++;
    if (done == 2) {
        memory->durable = memory->now;
        drop_name_changes(memory);
    }
    return err;
}

static const struct disk_ops memory_ops = {
    .list = memory_list,
    .open = memory_open,
    .close = memory_close,
    .size = memory_size,
    .read = memory_read,
    .write = memory_write,
    .allocate = memory_allocate,
    .truncate = memory_truncate,
    .sync = memory_sync,
    .rename = memory_rename,
    .remove = memory_remove,
    .sync_names = memory_sync_names,
};

/* ---- what a test does with it ------------------------------------------- */

struct disk_memory *disk_memory_new(uint64_t seed)
{
    struct disk_memory *memory = mem_alloc_zero(sizeof *memory);
    memory->door.ops = &memory_ops;
    memory->last_name_change = &memory->name_changes;
    prng_init(&memory->prng, seed);
    return memory;
}

void disk_memory_free(struct disk_memory *memory)
{
    if (memory == NULL)
        return;
    drop_name_changes(memory);
    while (memory->inodes) {
        struct inode *next = memory->inodes->next;
        drop_changes(memory->inodes);
        buf_deinit(&memory->inodes->now);
        buf_deinit(&memory->inodes->durable);
        mem_free(memory->inodes);
        memory->inodes = next;
    }
    mem_free(memory);
}

struct disk *disk_memory_door(struct disk_memory *memory)
{
    return &memory->door;
}

void disk_memory_fail_call(struct disk_memory *memory, uint64_t n, enum err err)
{
    CHECK(n == 0 || err != ERR_OK);
    memory->calls = 0;
    memory->syncs = 0;
    memory->fail_at = n;
    memory->fail_with = err;
}

uint64_t disk_memory_calls(const struct disk_memory *memory)
{
    return memory->calls;
}

uint64_t disk_memory_syncs(const struct disk_memory *memory)
{
    return memory->syncs;
}

void disk_memory_limit(struct disk_memory *memory, uint64_t bytes)
{
    memory->limit = bytes;
}

uint64_t disk_memory_used(const struct disk_memory *memory)
{
    uint64_t used = 0;
    for (size_t i = 0; i < memory->now.count; i++)
        used += memory->now.entries[i].inode->now.size;
    return used;
}

const char *disk_memory_name(const struct disk_memory *memory, size_t n)
{
    for (size_t i = 0; i < memory->now.count; i++) {
        const char *name = memory->now.entries[i].name;
        size_t before = 0;
        for (size_t j = 0; j < memory->now.count; j++)
            before += strcmp(memory->now.entries[j].name, name) < 0;
        if (before == n)
            return name;
    }
    return NULL;
}

static struct inode *inode_of(const struct disk_memory *memory,
                              const char *name)
{
    for (size_t i = 0; i < memory->now.count; i++)
        if (strcmp(memory->now.entries[i].name, name) == 0)
            return memory->now.entries[i].inode;
    return NULL;
}

struct slice disk_memory_bytes(const struct disk_memory *memory,
                               const char *name)
{
    const struct inode *inode = inode_of(memory, name);
    return inode ? buf_slice(&inode->now) : slice_of(NULL, 0);
}

void disk_memory_put(struct disk_memory *memory, const char *name,
                     struct slice bytes)
{
    struct inode *inode = inode_new(memory);
    char copy[DISK_NAME_BYTES_MAX]; /* it may be one of ours, and move */
    copy_name(copy, name);
    buf_append_slice(&inode->now, bytes);
    buf_append_slice(&inode->durable, bytes);
    link_name(&memory->now, copy, inode);
    link_name(&memory->durable, copy, inode);
}

void disk_memory_flip(struct disk_memory *memory, const char *name,
                      uint64_t offset, unsigned char mask)
{
    struct inode *inode = inode_of(memory, name);
    CHECK(inode != NULL);
    CHECK_LT(offset, inode->now.size);
    CHECK_LT(offset, inode->durable.size);
    inode->now.at[offset] = (char)(inode->now.at[offset] ^ mask);
    inode->durable.at[offset] = (char)(inode->durable.at[offset] ^ mask);
}

uint64_t disk_memory_old_bytes(const struct disk_memory *memory,
                               const char *name)
{
    const struct inode *inode = inode_of(memory, name);
    if (inode == NULL || memory->recent_count < DURABLE_WRITES)
        return 0;
    uint64_t bytes = inode->durable.size;
    if (bytes > inode->now.size)
        bytes = inode->now.size;
    for (size_t i = 0; i < DURABLE_WRITES; i++)
        if (memory->recent[i].inode == inode &&
            bytes > memory->recent[i].offset)
            bytes = memory->recent[i].offset;
    return bytes;
}
