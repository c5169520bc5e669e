/* The log on disk.
 *
 * FILES. A segment is the file "%016x-%016x.wal": its number, counted from 1
 * without a gap, and the index of the first entry that could come into it.
 * "next.wal.tmp" is the next one, not in use yet. Numbers are little endian,
 * checksums are CRC-32C, all places are multiples of 8.
 *
 *   segment   0 +--------------------------------+
 *               | header, a sector of its own    |
 *           512 +--------------------------------+
 *               | frame | frame | frame ...      |  one a group commit
 *               +--------------------------------+  <- end
 *               | zeros to the allocated size    |
 *               +--------------------------------+
 *
 *   header    0   8  "etchedWL"
 *             8   4  checksum of [12, 512): the seed of the segment's frames
 *            12   4  format version: 1, or 2 where the log starts anew
 *            16   8  cluster id
 *            24   8  member id
 *            32   8  segment number          } as in the
 *            40   8  first index             } file's name
 *            48   8  sequence of the first frame that comes into it
 *            56  24  hard state when it was begun: term, vote, commit
 *            80   8  version 2: term of the entry before the first index
 *            88 424  zero
 *
 *   frame     0   4  "EWF1"
 *             4   4  checksum of [8, 64), begun with the segment's seed and
 *                    the frame's offset as 8 bytes
 *             8   4  checksum of [64, size)
 *            12   4  size of the frame, a multiple of 8
 *            16   8  sequence: the one of the frame before, plus 1
 *            24   8  index of the first entry; 0: none
 *            32  24  hard state as of this frame: term, vote, commit
 *            56   4  count of entries
 *            60   4  zero
 *            64      entries, then less than 8 zeros
 *
 *   entry     0   4  size of the data       (its index is its place's: first
 *             4   4  type                    index of the frame, and so on)
 *             8   8  term
 *            16   8  time, nanoseconds since 1970
 *            24      data
 *
 * Every header and every frame carries the hard state, so that old segments
 * may go.
 *
 * A segment of version 2 is what wal_reset makes: a snapshot has taken the
 * place of all that older segments hold. Where one is found, they count no
 * more, whatever is in them, and are removed; its name is the one thing that
 * turns the old log into the new one. A program that doesn't know of it refuses
 * the version, and doesn't take what it finds for damage.
 *
 * Seed and offset in the checksum bind a frame to its place: the copy of a
 * frame inside somebody's value is not a frame.
 *
 * STATES of struct wal; each is proved by wal__check_state.
 *
 *   wal_create, wal_open --> CLEAN --wal_append--> DIRTY
 *                            ^ | \                 |   |
 *                   wal_sync | |  roll             |   |
 *                            | +-------------------+   |
 *                            +-------------------------+
 *   CLEAN, DIRTY --wal_reset--> CLEAN, with no entry
 *   any --a write or a sync failed--> BROKEN: everything is refused
 *
 * DIRTY holds ONE frame that isn't durable: wal_append in DIRTY syncs first.
 * That is what the torn-tail rule stands on (wal.h).
 *
 * WHAT IS DURABLE WHEN. All of a segment before the name of the next; a
 * header before its segment's name; a frame before the next frame is written;
 * the zeros over a torn tail before any frame there; the name of a segment
 * that starts anew before an old one is removed; and what wal_open has found
 * before it says so (the process that wrote it may have died between write and
 * sync).
 */
#include "wal/wal_int.h"

#include <stdio.h>

#include "base/check.h"
#include "base/log.h"
#include "base/plant.h"

enum {
    BUFFER_BYTES_MIN = 64 * 1024,
    /* What was grown beyond this for one frame is given back after it. */
    BUFFER_BYTES_KEPT = LIMIT_BATCH_BYTES_MAX + 1024 * 1024,
};

struct wal *wal__new(const struct wal_config *config)
{
    CHECK(config->disk != NULL);
    CHECK(config->segment_bytes >= WAL__HEADER_BYTES);
    CHECK(config->segment_bytes <= WAL__NUMBER_MAX);
    struct wal *wal = mem_alloc_zero(sizeof *wal);
    wal->config = *config;
    wal->disk = config->disk;
    wal->state = WAL__CLEAN;
    wal->sequence = 1;
    return wal;
}

void wal__free(struct wal *wal)
{
    mem_free(wal->segments);
    mem_free(wal->buffer);
    mem_free(wal);
}

void wal__check_state(const struct wal *wal)
{
    CHECK(wal->file != NULL);
    CHECK(wal->segment_count >= 1);
    CHECK_LE(wal->segment_count, wal->segment_capacity);
    CHECK(wal->sequence >= 1);
    CHECK(wal->end >= WAL__HEADER_BYTES);
    CHECK_EQ(wal->end % WAL__ALIGN_BYTES, 0);
    CHECK_EQ(wal->room % WAL__ALIGN_BYTES, 0);
    CHECK_LE(wal->end, wal->room);
    CHECK_LE(wal->zeroed, wal->room);
    CHECK_EQ(wal->next == NULL, wal->next_room == 0);
    CHECK_EQ(wal->broken_note[0] != 0, wal->state == WAL__BROKEN);
    const struct wal__segment *newest = wal->segments + wal->segment_count - 1;
    CHECK_EQ(newest->first_index == 0, newest->last_index == 0);
    CHECK(newest->first_index || newest->named_index == wal->last_index + 1);
}

struct wal__segment *wal__newest(struct wal *wal)
{
    CHECK(wal->segment_count > 0);
    return wal->segments + wal->segment_count - 1;
}

enum err wal__break(struct wal *wal, const char *what)
{
    CHECK_NE(wal->state, WAL__BROKEN);
    err_wrap(ERR_IO, "wal: %s", what);
    wal->state = WAL__BROKEN;
    snprintf(wal->broken_note, sizeof wal->broken_note, "%s", err_note());
    log_error("wal", "the log takes nothing more",
              LOG_STR("error", err_note()));
    return ERR_IO;
}

enum err wal__refuse(const struct wal *wal)
{
    if (wal->state != WAL__BROKEN)
        return ERR_OK;
    CHECK(wal->broken_note[0] != 0);
    return err_set(ERR_IO,
                   "the log takes nothing more since a write failed: %s; "
                   "see to the disk and restart",
                   wal->broken_note);
}

void wal__count_entries(struct wal *wal, struct wal__segment *segment,
                        raft_index first, uint32_t count, raft_term last_term)
{
    CHECK(first >= 1 && count >= 1);
    CHECK(wal->last_index == 0 || first <= wal->last_index + 1);
    wal->last_index = first + count - 1;
    wal->last_term = last_term;
    if (segment->first_index == 0 || first < segment->first_index)
        segment->first_index = first;
    if (wal->last_index > segment->last_index)
        segment->last_index = wal->last_index;
}

/* ---- making one --------------------------------------------------------- */

enum err wal_exists(struct disk *disk, bool *out)
{
    struct wal__listing listing;
    enum err err = wal__list(disk, &listing);
    *out = err == ERR_OK && listing.count > 0;
    mem_free(listing.segments);
    return err;
}

enum err wal_create(const struct wal_config *config, struct wal **out)
{
    *out = NULL;
    bool exists;
    enum err err = wal_exists(config->disk, &exists);
    if (err)
        return err;
    if (exists)
        return err_set(ERR_EXISTS, "wal: there is a log already");
    struct wal *wal = wal__new(config);
    err = wal__roll(wal, 0);
    if (err) {
        wal_close(wal);
        return err_wrap(err, "create");
    }
    CHECK_EQ(wal->state, WAL__CLEAN);
    *out = wal;
    return ERR_OK;
}

/* ---- writing ------------------------------------------------------------ */

static uint64_t frame_bytes(uint64_t body_bytes)
{
    return wal__align(WAL__FRAME_BYTES_MIN + body_bytes);
}

static uint64_t entry_bytes(const struct raft_entry *entry)
{
    return WAL__ENTRY_BYTES_MIN + (entry->data ? entry->data->size : 0);
}

uint64_t wal_frame_bytes(const struct raft_entry *entries, size_t count)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += entry_bytes(&entries[i]);
    return frame_bytes(bytes);
}

enum err wal_reserve(struct wal *wal, uint64_t bytes)
{
    enum err err = wal__refuse(wal);
    if (err)
        return err;
    wal__check_state(wal);
    err = wal__make_room(wal, bytes);
    CHECK(err || wal->room - wal->end >= bytes);
    if (err == ERR_OK)
        wal->reserved = bytes;
    return err;
}

/* The entries are one after the other and join what is there. Returns the
 * bytes of their frame. */
static uint64_t check_entries(const struct wal *wal,
                              const struct raft_entry *const *entries,
                              size_t count)
{
    uint64_t bytes = 0;
    raft_index first = count ? entries[0]->index : 0;
    raft_term term = 0;
    if (count) {
        CHECK(first >= 1);
        CHECK(first <= WAL__NUMBER_MAX - count);
        CHECK(wal->last_index == 0 || first <= wal->last_index + 1);
        if (first == wal->last_index + 1)
            term = wal->last_term;
    }
    for (size_t i = 0; i < count; i++) {
        CHECK_EQ(entries[i]->index, first + i);
        CHECK_LE(term, entries[i]->term);
        term = entries[i]->term;
        bytes += entry_bytes(entries[i]);
    }
    return frame_bytes(bytes);
}

static enum err buffer_reserve(struct wal *wal, size_t bytes)
{
    if (bytes <= wal->buffer_size)
        return ERR_OK;
    size_t size = wal->buffer_size ? wal->buffer_size : BUFFER_BYTES_MIN;
    while (size < bytes)
        size *= 2;
    mem_free(wal->buffer); /* nothing in it to keep */
    wal->buffer_size = 0;
    wal->buffer = mem_try_alloc(size);
    if (wal->buffer == NULL)
        return err_set(ERR_NO_MEMORY, "wal: a frame of %zu bytes", bytes);
    wal->buffer_size = size;
    return ERR_OK;
}

static void buffer_shrink(struct wal *wal)
{
    if (wal->buffer_size <= BUFFER_BYTES_KEPT)
        return;
    mem_free(wal->buffer);
    wal->buffer = NULL;
    wal->buffer_size = 0;
}

/* Behind a frame that isn't large are zeros, to the end of the segment. */
static enum err put_frame(struct wal *wal, uint32_t bytes)
{
    const struct disk_ops *ops = wal->disk->ops;
    uint64_t end = wal->end + bytes;
    uint64_t block_end = end + (DISK_BLOCK_BYTES - 1);
    block_end -= block_end % DISK_BLOCK_BYTES;
    if (ops->append == NULL || wal->config.unsafe_no_sync ||
        end > wal->zeroed || block_end > wal->room) {
        return ops->write(wal->disk, wal->file, wal->end, wal->buffer, bytes);
    }
    return ops->append(wal->disk, wal->file, wal->end, wal->buffer, bytes);
}

/* The frame in the buffer goes to the end of the segment. */
static enum err write_frame(struct wal *wal, uint32_t bytes)
{
    CHECK_EQ(wal->state, WAL__CLEAN);
    CHECK_LE(bytes, wal->room - wal->end);
    CHECK_LE(bytes, wal->buffer_size);
    uint64_t end = wal->end + bytes;
    /* For a large frame it is cheaper to change the metadata. */
    if (end > wal->zeroed && bytes <= WAL__AHEAD_BYTES / 4) {
        uint64_t to = end + WAL__AHEAD_BYTES;
        if (to > wal->room)
            to = wal->room;
        if (wal__write_zeros(wal->disk, wal->file, end, to) != ERR_OK)
            return wal__break(wal, "write zeros ahead");
        wal->zeroed = to;
    }
    enum err err = put_frame(wal, bytes);
    if (err)
        return wal__break(wal, "write a frame");
    wal->end = end;
    if (bytes > WAL__SMALL_BYTES) /* those don't use up what is promised */
        wal->reserved -= bytes < wal->reserved ? bytes : wal->reserved;
    wal->state = WAL__DIRTY;
    wal->frames++;
    wal->bytes_written += bytes;
    return ERR_OK;
}

/* The slack is for a small frame that nobody has asked room for. Where one was
 * written into the room of another, or with it, it is for what that lacks. */
static bool may_use_slack(const struct wal *wal, uint64_t bytes)
{
    CHECK_LE(wal->end, wal->room);
    return bytes <= wal->reserved + WAL__SMALL_BYTES &&
           bytes <= wal->room - wal->end;
}

static enum err prepare_append(struct wal *wal, uint64_t bytes)
{
    enum err err = wal__refuse(wal);
    if (err)
        return err;
    wal__check_state(wal);
    if (wal->sequence >= WAL__NUMBER_MAX)
        return err_set(ERR_FULL, "wal: no more sequence numbers");
    if (bytes > LIMIT_WAL_FRAME_BYTES_MAX)
        return err_set(ERR_TOO_LARGE, "wal: a frame of %llu bytes",
                       (unsigned long long)bytes);
    if (wal->state == WAL__DIRTY && (err = wal_sync(wal)) != ERR_OK)
        return err;
    err = wal__make_room(wal, bytes);
    if (err == ERR_DISK_FULL && may_use_slack(wal, bytes)) {
        err_clear();
        err = ERR_OK;
    }
    if (err)
        return err;
    return buffer_reserve(wal, (size_t)bytes);
}

enum err wal_append(struct wal *wal, const struct raft_hard_state *state,
                    const struct raft_entry *const *entries, size_t count)
{
    uint64_t bytes = check_entries(wal, entries, count);
    CHECK(state == NULL || state->term >= wal->hard_state.term);
    if (state == NULL && count == 0)
        return wal__refuse(wal);
    enum err err = prepare_append(wal, bytes);
    if (err)
        return err;

    struct wal__frame frame = {
        .sequence = wal->sequence,
        .state = state ? *state : wal->hard_state,
        .first_index = count ? entries[0]->index : 0,
        .entry_count = (uint32_t)count,
        .bytes = (uint32_t)bytes,
    };
    wal__frame_encode(&frame, wal->seed, wal->end, entries, wal->buffer);
    err = write_frame(wal, frame.bytes);
    if (err)
        return err;
    wal->sequence++;
    wal->hard_state = frame.state;
    if (count)
        wal__count_entries(wal, wal__newest(wal), frame.first_index,
                           frame.entry_count, entries[count - 1]->term);
    buffer_shrink(wal);
    wal__check_state(wal);
    return ERR_OK;
}

enum err wal_sync(struct wal *wal)
{
    enum err err = wal__refuse(wal);
    if (err || wal->state == WAL__CLEAN)
        return err;
    if (!wal->config.unsafe_no_sync && !PLANTED(NO_SYNC)) {
        if (wal->disk->ops->sync(wal->disk, wal->file) != ERR_OK)
            return wal__break(wal, "sync a frame");
        wal->syncs++;
    }
    wal->state = WAL__CLEAN;
    return ERR_OK;
}

/* ---- letting go --------------------------------------------------------- */

/* A file that is gone already was removed by a try that then failed. Each
 * removal is durable before the next: a crash can't leave a gap. */
static enum err remove_oldest(struct wal *wal)
{
    CHECK(wal->segment_count > 1);
    struct wal__name name = wal__name_of(wal->segments);
    enum err err = wal->disk->ops->remove(wal->disk, name.text);
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return err_wrap(err, "wal: trim");
    if (!wal->config.unsafe_no_sync &&
        wal->disk->ops->sync_names(wal->disk) != ERR_OK)
        return wal__break(wal, "sync the names");
    wal->segment_count--;
    memmove(wal->segments, wal->segments + 1,
            wal->segment_count * sizeof *wal->segments);
    return ERR_OK;
}

enum err wal_trim(struct wal *wal, raft_index index)
{
    enum err err = wal__refuse(wal);
    if (err)
        return err;
    wal__check_state(wal);
    while (wal->segment_count > 1 && wal->segments[0].last_index <= index) {
        err = remove_oldest(wal);
        if (err)
            return err;
    }
    wal__check_state(wal);
    return ERR_OK;
}

enum err wal__remove_left(struct wal *wal)
{
    enum err err = wal_trim(wal, 0);
    if (err == ERR_OK || wal->state == WAL__BROKEN)
        return err;
    err_clear();
    return ERR_OK;
}

enum err wal_reset(struct wal *wal, raft_index index, raft_term term,
                   const struct raft_hard_state *state)
{
    CHECK(index >= 1 && index < WAL__NUMBER_MAX);
    CHECK(term >= 1 && term <= state->term);
    CHECK_LE(wal->hard_state.term, state->term);
    enum err err = wal__refuse(wal);
    if (err)
        return err;
    wal__check_state(wal);
    err = wal__roll_anew(wal, index, term, state);
    if (err)
        return err_wrap(err, "begin the log anew");
    CHECK_EQ(wal->last_index, index);
    return wal__remove_left(wal);
}

/* The zeros behind the last frame are cut, so that the next wal_open needn't
 * look through them; only the slack stays, since the disk may be full then.
 * That is a courtesy: it isn't synced and may fail. */
void wal_close(struct wal *wal)
{
    if (wal == NULL)
        return;
    const struct disk_ops *ops = wal->disk->ops;
    uint64_t kept = wal->end + wal__slack_bytes(wal);
    if (wal->file && wal->state == WAL__CLEAN && kept < wal->room) {
        enum err ignored = ops->truncate(wal->disk, wal->file, kept);
        (void)ignored;
    }
    if (wal->file)
        ops->close(wal->disk, wal->file);
    if (wal->next) {
        ops->close(wal->disk, wal->next);
        enum err ignored = ops->remove(wal->disk, WAL__NEXT_NAME);
        (void)ignored;
    }
    wal__free(wal);
}

void wal_stats(const struct wal *wal, struct wal_stats *out)
{
    *out = (struct wal_stats){
        .frames = wal->frames,
        .bytes_written = wal->bytes_written,
        .syncs = wal->syncs,
        .segments = (int)wal->segment_count,
    };
    for (size_t i = 0; i < wal->segment_count && !out->first_index; i++)
        out->first_index = wal->segments[i].first_index;
}
