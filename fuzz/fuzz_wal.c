/* wal_open on any bytes. The first byte says what the others are:
 *
 *   0    a segment file, as it is
 *   1    changes to a log of two segments: file, offset (2 bytes), mask
 *   2    the same, and then all checksums are made right again, so that the
 *        fields behind them are reached
 *   3    a segment file whose checksums are made right
 *
 * What opens must go on: it takes another frame, and opens again with all
 * that was found and that frame.
 */
#include "base/check.h"
#include "base/crc.h"
#include "base/log.h"
#include "base/mem.h"
#include "memory/disk_memory.h"
#include "wal/wal_int.h"

#define FIRST "0000000000000001-0000000000000001.wal"
#define SECOND "0000000000000002-0000000000000004.wal"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct count {
    struct wal_reader reader;
    uint64_t entries;
    raft_index last;
    raft_term last_term;
    struct raft_hard_state state;
};

static enum err on_hard_state(struct wal_reader *reader,
                              const struct raft_hard_state *state)
{
    ((struct count *)reader)->state = *state;
    return ERR_OK;
}

static enum err on_entry(struct wal_reader *reader,
                         const struct raft_entry *entry)
{
    struct count *count = (struct count *)reader;
    CHECK(count->entries == 0 || entry->index <= count->last + 1);
    CHECK(entry->data == NULL || entry->data->size > 0);
    count->entries++;
    count->last = entry->index;
    count->last_term = entry->term;
    refbuf_unref(entry->data);
    return ERR_OK;
}

static struct wal_config config_of(struct disk_memory *memory)
{
    return (struct wal_config){.disk = disk_memory_door(memory),
                               .cluster_id = 0xc1,
                               .member_id = 0x3e3,
                               .segment_bytes = 1024};
}

static enum err append(struct wal *wal, raft_index index, raft_term term,
                       size_t size)
{
    struct refbuf *data = size ? refbuf_new(size) : NULL;
    if (data)
        memset(data->bytes, 'x', size);
    struct raft_entry entry = {.index = index, .term = term, .data = data};
    const struct raft_entry *entries[] = {&entry};
    enum err err = wal_append(wal, NULL, entries, 1);
    refbuf_unref(data);
    return err ? err : wal_sync(wal);
}

static void make_log(struct disk_memory *memory)
{
    struct wal_config config = config_of(memory);
    struct raft_hard_state state = {.term = 1, .vote = 0x3e3};
    struct wal *wal;
    CHECK_EQ(wal_create(&config, &wal), ERR_OK);
    CHECK_EQ(wal_append(wal, &state, NULL, 0), ERR_OK);
    for (raft_index index = 1; index <= 6; index++)
        CHECK_EQ(append(wal, index, 1, 20 * index), ERR_OK);
    wal_close(wal);
}

static void seal_frames(char *bytes, size_t size, uint32_t seed)
{
    size_t at = WAL__HEADER_BYTES;
    while (size - at >= WAL__FRAME_BYTES_MIN) {
        char *frame = bytes + at;
        char place[8];
        size_t frame_bytes = get_le32(frame + 12);
        if (frame_bytes < WAL__FRAME_BYTES_MIN || frame_bytes > size - at)
            return;
        put_le32(frame + 8, crc32c(0, frame + WAL__FRAME_BYTES_MIN,
                                   frame_bytes - WAL__FRAME_BYTES_MIN));
        put_le64(place, at);
        put_le32(frame + 4, crc32c(crc32c(seed, place, sizeof place), frame + 8,
                                   WAL__FRAME_BYTES_MIN - 8));
        at += frame_bytes;
        if (at % WAL__ALIGN_BYTES)
            return;
    }
}

static void seal(struct disk_memory *memory, const char *name)
{
    struct buf file = {0};
    buf_append_slice(&file, disk_memory_bytes(memory, name));
    if (file.size >= WAL__HEADER_BYTES) {
        uint32_t seed = crc32c(0, file.at + 12, WAL__HEADER_BYTES - 12);
        put_le32(file.at + 8, seed);
        seal_frames(file.at, file.size, seed);
        disk_memory_put(memory, name, buf_slice(&file));
    }
    buf_deinit(&file);
}

static void change(struct disk_memory *memory, const uint8_t *bytes,
                   size_t size)
{
    for (; size >= 4; bytes += 4, size -= 4) {
        const char *name = bytes[0] & 1 ? SECOND : FIRST;
        size_t file_size = disk_memory_bytes(memory, name).size;
        size_t offset = (size_t)(bytes[1] << 8 | bytes[2]);
        if (offset < file_size)
            disk_memory_flip(memory, name, offset, bytes[3]);
    }
}

/* What it is that opened can be written, and read again. */
static void go_on(const struct wal_config *config, struct wal *wal,
                  const struct count *found)
{
    struct count again = {.reader = {on_hard_state, on_entry}};
    struct wal_opened opened;
    if (append(wal, wal->last_index + 1, UINT64_MAX, 10) != ERR_OK) {
        CHECK(wal->state != WAL__BROKEN); /* numbers have run out */
        wal_close(wal);
        return;
    }
    raft_index last = wal->last_index;
    wal_close(wal);
    CHECK_EQ(wal_open(config, 0, &again.reader, &opened, &wal), ERR_OK);
    CHECK(!opened.torn);
    CHECK_EQ(again.entries, found->entries + 1);
    CHECK_EQ(again.last, last);
    CHECK_EQ(again.last_term, UINT64_MAX);
    CHECK_EQ(again.state.term, found->state.term);
    CHECK_EQ(again.state.vote, found->state.vote);
    wal_close(wal);
}

static void open_it(struct disk_memory *memory)
{
    struct wal_config config = config_of(memory);
    struct count found = {.reader = {on_hard_state, on_entry}};
    struct wal_opened opened;
    struct wal *wal;
    err_clear();
    enum err err = wal_open(&config, 0, &found.reader, &opened, &wal);
    if (err) {
        CHECK(wal == NULL);
        CHECK(err == ERR_CORRUPT || err == ERR_WRONG_CLUSTER ||
              err == ERR_UNSUPPORTED);
        CHECK(strstr(err_note(), "wal: 000000000000000") != NULL);
        return;
    }
    CHECK_EQ(opened.entry_count, found.entries);
    if (wal->last_index < WAL__NUMBER_MAX - 2)
        go_on(&config, wal, &found);
    else
        wal_close(wal);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size == 0)
        return 0;
    log_set_level(LOG_FATAL);
    struct disk_memory *memory = disk_memory_new(1);
    int mode = bytes[0] % 4;
    if (mode == 0 || mode == 3) {
        disk_memory_put(memory, FIRST, slice_of(bytes + 1, size - 1));
        if (mode == 3)
            seal(memory, FIRST);
    } else {
        make_log(memory);
        CHECK(disk_memory_bytes(memory, SECOND).at != NULL);
        change(memory, bytes + 1, size - 1);
        if (mode == 2) {
            seal(memory, FIRST);
            seal(memory, SECOND);
        }
    }
    open_it(memory);
    disk_memory_free(memory);
    return 0;
}
