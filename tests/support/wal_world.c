#include "wal_world.h"

#include "base/check.h"
#include "base/mem.h"

/* ---- a copy ------------------------------------------------------------- */

void wal_copy_deinit(struct wal_copy *copy)
{
    for (size_t i = 0; i < copy->count; i++)
        refbuf_unref(copy->entries[i].data);
    mem_free(copy->entries);
    *copy = (struct wal_copy){0};
}

raft_index wal_copy_last(const struct wal_copy *copy)
{
    return copy->count ? copy->entries[copy->count - 1].index : 0;
}

void wal_copy_put(struct wal_copy *copy, const struct raft_entry *entry)
{
    while (copy->count && wal_copy_last(copy) >= entry->index)
        refbuf_unref(copy->entries[--copy->count].data);
    CHECK(copy->count == 0 || wal_copy_last(copy) + 1 == entry->index);
    if (copy->count == copy->capacity) {
        copy->capacity = copy->capacity ? copy->capacity * 2 : 64;
        copy->entries =
            mem_realloc(copy->entries, copy->capacity * sizeof *copy->entries);
    }
    copy->entries[copy->count++] = *entry;
}

const struct raft_entry *wal_copy_at(const struct wal_copy *copy,
                                     raft_index index)
{
    if (copy->count == 0 || index < copy->entries[0].index ||
        index > wal_copy_last(copy))
        return NULL;
    return &copy->entries[index - copy->entries[0].index];
}

/* ---- the reader --------------------------------------------------------- */

static struct wal_world *world_of(struct wal_reader *reader)
{
    return (struct wal_world *)((char *)reader -
                                offsetof(struct wal_world, reader));
}

static enum err on_hard_state(struct wal_reader *reader,
                              const struct raft_hard_state *state)
{
    world_of(reader)->found.state = *state;
    world_of(reader)->found_states++;
    return ERR_OK;
}

static enum err on_entry(struct wal_reader *reader,
                         const struct raft_entry *entry)
{
    struct wal_world *world = world_of(reader);
    if (world->fail_at == entry->index) {
        refbuf_unref(entry->data);
        return err_set(ERR_FULL, "the reader has had enough");
    }
    wal_copy_put(&world->found, entry);
    world->found_entries++;
    return ERR_OK;
}

/* ---- a world ------------------------------------------------------------ */

void wal_world_init(struct wal_world *world, uint64_t seed,
                    uint64_t segment_bytes)
{
    *world = (struct wal_world){0};
    world->memory = disk_memory_new(seed);
    world->config = (struct wal_config){
        .disk = disk_memory_door(world->memory),
        .cluster_id = 0xc1,
        .member_id = 0x3e3,
        .segment_bytes = segment_bytes,
    };
    world->reader = (struct wal_reader){on_hard_state, on_entry};
}

void wal_world_deinit(struct wal_world *world)
{
    wal_close(world->wal);
    wal_copy_deinit(&world->found);
    disk_memory_free(world->memory);
}

enum err wal_world_create(struct wal_world *world)
{
    CHECK(world->wal == NULL);
    return wal_create(&world->config, &world->wal);
}

enum err wal_world_open(struct wal_world *world)
{
    CHECK(world->wal == NULL);
    wal_copy_deinit(&world->found);
    world->found_states = 0;
    world->found_entries = 0;
    enum err err = wal_open(&world->config, world->skip_to, &world->reader,
                            &world->opened, &world->wal);
    CHECK_EQ(err == ERR_OK, world->wal != NULL);
    return err;
}

void wal_world_close(struct wal_world *world)
{
    wal_close(world->wal);
    world->wal = NULL;
}

void wal_world_crash(struct wal_world *world)
{
    disk_memory_crash(world->memory);
    wal_world_close(world);
}

void wal_world_kill(struct wal_world *world)
{
    /* Closing changes files: they are put back as they were before. */
    struct disk_memory *memory = world->memory;
    struct slice kept[256];
    char names[256][DISK_NAME_BYTES_MAX];
    size_t count = 0;
    for (const char *name; (name = disk_memory_name(memory, count)); count++) {
        CHECK_LT(count, 256);
        memcpy(names[count], name, strlen(name) + 1);
        struct slice bytes = disk_memory_bytes(memory, name);
        kept[count] = slice_of(mem_dup(bytes.at, bytes.size), bytes.size);
    }
    wal_world_close(world);
    for (size_t i = 0; i < count; i++) {
        disk_memory_put(memory, names[i], kept[i]);
        mem_free((void *)(uintptr_t)kept[i].at);
    }
}

void wal_world_reopen(struct wal_world *world)
{
    if (world->wal)
        wal_world_close(world);
    enum err err = wal_world_open(world);
    CHECK_EQ(err, ERR_OK);
}

/* ---- entries ------------------------------------------------------------ */

static char pattern(raft_index index, raft_term term, size_t at)
{
    return (char)(index * 131 + term * 17 + at * 7 + 1);
}

struct raft_entry wal_world_entry(raft_index index, raft_term term, size_t size)
{
    struct raft_entry entry = {
        .index = index,
        .term = term,
        .time_ns = (int64_t)(index * 1000),
        .type = size ? RAFT_ENTRY_COMMAND : RAFT_ENTRY_EMPTY,
        .data = size ? refbuf_new(size) : NULL,
    };
    for (size_t i = 0; i < size; i++)
        entry.data->bytes[i] = pattern(index, term, i);
    return entry;
}

bool wal_world_entry_good(const struct raft_entry *entry)
{
    size_t size = entry->data ? entry->data->size : 0;
    for (size_t i = 0; i < size; i++)
        if (entry->data->bytes[i] != pattern(entry->index, entry->term, i))
            return false;
    return entry->time_ns == (int64_t)(entry->index * 1000) &&
           entry->type == (size ? RAFT_ENTRY_COMMAND : RAFT_ENTRY_EMPTY);
}

enum err wal_world_append(struct wal_world *world, raft_index first,
                          size_t count, raft_term term, size_t size)
{
    enum { COUNT_MAX = 64 };
    CHECK(count >= 1 && count <= COUNT_MAX);
    struct raft_entry entries[COUNT_MAX];
    const struct raft_entry *pointers[COUNT_MAX] = {0};
    for (size_t i = 0; i < count; i++) {
        entries[i] = wal_world_entry(first + i, term, size);
        pointers[i] = &entries[i];
    }
    enum err err = wal_append(world->wal, NULL, pointers, count);
    for (size_t i = 0; i < count; i++)
        refbuf_unref(entries[i].data);
    return err;
}

void wal_world_fill(struct wal_world *world, raft_index first, raft_index last,
                    raft_term term, size_t size)
{
    for (raft_index index = first; index <= last; index++) {
        enum err err = wal_world_append(world, index, 1, term, size);
        CHECK_EQ(err, ERR_OK);
        err = wal_sync(world->wal);
        CHECK_EQ(err, ERR_OK);
    }
}
