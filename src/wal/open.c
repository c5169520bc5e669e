/* Reading a log: every segment, every frame, every field against its bounds.
 * Nothing on disk is changed before all has been read and found good: a log
 * of another cluster or a damaged one stays as it is.
 *
 * Where the frames of a segment end:
 *
 *   a later segment  its header says which sequence it began with. If that is
 *                    the one expected, the segment is complete; else frames
 *                    that were durable are lost: ERR_CORRUPT.
 *   the newest one   if any whole header of a frame with a sequence that
 *                    comes after is found behind: ERR_CORRUPT. If not: zeros
 *                    are the clean end, anything else is a torn tail.
 *
 * Where the log begins: with the newest segment that starts anew, if there is
 * one. Older ones are what a crash kept wal_reset from removing.
 */
#include "wal/wal_int.h"

#include <stdio.h>

#include "base/check.h"
#include "base/log.h"

enum {
    WINDOW_BYTES = 256 * 1024,
    BLOCK_BYTES = 4096,
};

/* A part of one file in memory. */
struct window {
    struct disk *disk;
    struct disk_file *file;
    uint64_t file_size;
    char *bytes;
    size_t capacity;
    uint64_t offset; /* of what is in it */
    size_t size;
};

struct replay {
    struct wal *wal; /* grows with what is read */
    struct wal__listing *listing;
    raft_index skip_to;
    struct wal_reader *reader;
    struct wal_opened *opened;
    struct window window;
    size_t start;  /* the segment with which the log begins... */
    size_t at;     /* ...and the one that is read */
    bool reported; /* an entry */
};

/* ---- the window --------------------------------------------------------- */

static enum err window_grow(struct window *window, size_t size)
{
    size_t capacity = size > WINDOW_BYTES ? size : WINDOW_BYTES;
    if (capacity <= window->capacity)
        return ERR_OK;
    mem_free(window->bytes);
    window->size = 0;
    window->capacity = 0;
    window->bytes = mem_try_alloc(capacity);
    if (window->bytes == NULL)
        return err_set(ERR_NO_MEMORY, "%zu bytes to read a frame", capacity);
    window->capacity = capacity;
    return ERR_OK;
}

/* The `size` bytes at `offset`, all within the file; valid until the next
 * call. */
static enum err view(struct window *window, uint64_t offset, size_t size,
                     const char **out)
{
    CHECK(offset <= window->file_size && size <= window->file_size - offset);
    if (offset < window->offset ||
        offset + size > window->offset + window->size) {
        enum err err = window_grow(window, size);
        if (err)
            return err;
        uint64_t want = window->file_size - offset;
        if (want > window->capacity)
            want = window->capacity;
        window->offset = offset;
        window->size = 0;
        size_t got = 0;
        err = window->disk->ops->read(window->disk, window->file, offset,
                                      window->bytes, (size_t)want, &got);
        if (err)
            return err;
        if (got < size)
            return err_set(ERR_IO, "short read at offset %llu",
                           (unsigned long long)offset);
        window->size = got;
    }
    *out = window->bytes + (offset - window->offset);
    return ERR_OK;
}

static enum err window_open(struct window *window, const char *name, int flags)
{
    CHECK(window->file == NULL);
    window->offset = 0;
    window->size = 0;
    enum err err =
        window->disk->ops->open(window->disk, name, flags, &window->file);
    if (err) {
        window->file = NULL;
        return err;
    }
    return window->disk->ops->size(window->disk, window->file,
                                   &window->file_size);
}

static void window_close(struct window *window)
{
    if (window->file)
        window->disk->ops->close(window->disk, window->file);
    window->file = NULL;
}

/* ---- what is wrong, where, and what can be done ------------------------- */

#define WAY_OUT                                                             \
    "remove this member and add it anew, so that the others send it their " \
    "data, or restore a snapshot; "

static enum err corrupt(const struct replay *replay, size_t segment,
                        uint64_t offset, const char *what)
{
    struct wal__name name = wal__name_of(replay->listing->segments + segment);
    return err_set(ERR_CORRUPT,
                   "wal: %s: offset %llu: %s: " WAY_OUT
                   "or give up all from there on: cut the file at %llu bytes "
                   "and move later segments away",
                   name.text, (unsigned long long)offset, what,
                   (unsigned long long)offset);
}

static enum err lost_frames(const struct replay *replay, size_t segment,
                            uint64_t offset, uint64_t found)
{
    char what[160];
    CHECK_LE(replay->wal->sequence, found);
    snprintf(what, sizeof what,
             "frame %llu is damaged, yet frame %llu was written after it: the "
             "disk has lost data",
             (unsigned long long)replay->wal->sequence,
             (unsigned long long)found);
    return corrupt(replay, segment, offset, what);
}

/* ---- one frame ---------------------------------------------------------- */

static enum err report_state(struct replay *replay,
                             const struct raft_hard_state *state)
{
    struct raft_hard_state *known = &replay->wal->hard_state;
    if (state->term == known->term && state->vote == known->vote &&
        state->commit == known->commit)
        return ERR_OK;
    *known = *state;
    return replay->reader->on_hard_state(replay->reader, state);
}

/* Once one has been reported, all are: it may be replaced by an entry that
 * alone would be skipped, and what is reported has no gaps. */
static enum err report_entry(struct replay *replay,
                             const struct wal__entry *entry)
{
    replay->opened->entry_count++;
    if (entry->index <= replay->skip_to && !replay->reported)
        return ERR_OK;
    replay->reported = true;
    struct raft_entry reported = {
        .term = entry->term,
        .index = entry->index,
        .time_ns = entry->time_ns,
        .type = entry->type,
    };
    if (entry->data.size)
        reported.data = refbuf_dup(entry->data.at, entry->data.size);
    return replay->reader->on_entry(replay->reader, &reported);
}

/* All of it is checked before any of it is reported. */
static const char *frame_fault(const struct wal *wal,
                               const struct wal__frame *frame,
                               const char *bytes)
{
    if (frame->state.term < wal->hard_state.term)
        return "the term of the hard state falls";
    if (frame->entry_count && wal->last_index &&
        frame->first_index > wal->last_index + 1)
        return "a gap before the first entry";
    raft_term term =
        frame->first_index == wal->last_index + 1 ? wal->last_term : 0;
    struct wal__entries entries;
    struct wal__entry entry;
    enum err err;
    wal__entries_init(&entries, frame, bytes);
    while ((err = wal__entries_next(&entries, &entry)) == ERR_OK) {
        if (entry.term < term)
            return "the term of an entry falls";
        term = entry.term;
    }
    return err == ERR_END ? NULL : "an entry is not made right";
}

static enum err report_frame(struct replay *replay,
                             const struct wal__frame *frame, const char *bytes)
{
    const char *fault = frame_fault(replay->wal, frame, bytes);
    if (fault)
        return corrupt(replay, replay->at, replay->wal->end, fault);
    enum err err = report_state(replay, &frame->state);
    if (err)
        return err;

    struct wal__entries entries;
    struct wal__entry entry;
    raft_term last_term = 0;
    wal__entries_init(&entries, frame, bytes);
    while ((err = wal__entries_next(&entries, &entry)) == ERR_OK) {
        last_term = entry.term;
        err = report_entry(replay, &entry);
        if (err)
            return err;
    }
    CHECK_EQ(err, ERR_END);
    if (frame->entry_count)
        wal__count_entries(replay->wal, wal__newest(replay->wal),
                           frame->first_index, frame->entry_count, last_term);
    replay->wal->end += frame->bytes;
    replay->wal->sequence = frame->sequence + 1;
    return ERR_OK;
}

/* Reports the frame at the end, if there is a good one. */
static enum err read_frame(struct replay *replay, bool *out_good)
{
    struct wal *wal = replay->wal;
    struct window *window = &replay->window;
    struct wal__frame frame;
    const char *bytes;
    *out_good = false;
    uint64_t rest = window->file_size - wal->end;
    if (rest < WAL__FRAME_BYTES_MIN)
        return ERR_OK;
    enum err err = view(window, wal->end, WAL__FRAME_BYTES_MIN, &bytes);
    if (err)
        return err;
    if (!wal__frame_decode(bytes, wal->seed, wal->end, &frame) ||
        frame.sequence != wal->sequence || frame.bytes > rest)
        return ERR_OK;
    err = view(window, wal->end, frame.bytes, &bytes);
    if (err)
        return err;
    if (!wal__frame_body_good(&frame, bytes))
        return ERR_OK;
    *out_good = true;
    return report_frame(replay, &frame, bytes);
}

/* ---- the tail of the newest segment ------------------------------------- */

struct tail {
    uint64_t used_to; /* behind the last byte that isn't zero */
    uint64_t later;   /* sequence of a frame behind; 0: none */
};

static enum err look_for_frame(struct replay *replay, uint64_t offset,
                               struct tail *tail)
{
    const struct wal *wal = replay->wal;
    struct wal__frame frame;
    const char *bytes;
    if (replay->window.file_size - offset < WAL__FRAME_BYTES_MIN)
        return ERR_OK;
    enum err err = view(&replay->window, offset, WAL__FRAME_BYTES_MIN, &bytes);
    if (err)
        return err;
    /* A whole header is proof enough: no torn write left it there, since
     * the frame before it was made durable first. */
    if (wal__frame_decode(bytes, wal->seed, offset, &frame) &&
        frame.sequence >= wal->sequence + (offset == wal->end))
        tail->later = frame.sequence;
    return ERR_OK;
}

static enum err scan_block(struct replay *replay, uint64_t from, size_t size,
                           struct tail *tail)
{
    const char *bytes;
    enum err err = view(&replay->window, from, size, &bytes);
    if (err || wal__all_zero(bytes, size))
        return err;
    size_t used = size;
    while (bytes[used - 1] == 0)
        used--;
    tail->used_to = from + used;
    for (size_t i = 0; i < used && !tail->later; i += WAL__ALIGN_BYTES) {
        err = look_for_frame(replay, from + i, tail);
        if (err)
            return err;
    }
    return ERR_OK;
}

/* From the end of the last good frame to the end of the file. */
static enum err scan_tail(struct replay *replay, struct tail *out)
{
    uint64_t offset = replay->wal->end;
    uint64_t file_size = replay->window.file_size;
    *out = (struct tail){.used_to = offset};
    CHECK_EQ(offset % WAL__ALIGN_BYTES, 0);
    while (offset < file_size && !out->later) {
        uint64_t size = file_size - offset;
        if (size > BLOCK_BYTES)
            size = BLOCK_BYTES;
        enum err err = scan_block(replay, offset, (size_t)size, out);
        if (err)
            return err;
        offset += size;
    }
    return ERR_OK;
}

/* What is torn is zeroed; all that was found is made durable, since the
 * process that wrote it may not have come to that; and the room is there
 * again where wal_close gave it back. */
static enum err settle_tail(struct replay *replay, const struct tail *tail)
{
    struct wal *wal = replay->wal;
    struct window *window = &replay->window;
    const struct disk_ops *ops = wal->disk->ops;
    CHECK_EQ(tail->later, 0);
    CHECK_LE(wal->end, tail->used_to);
    CHECK_LE(tail->used_to, window->file_size);
    enum err err =
        wal__write_zeros(wal->disk, window->file, wal->end, tail->used_to);
    if (err)
        return err;
    uint64_t usual = wal__segment_bytes(wal);
    if (window->file_size < usual &&
        ops->allocate(wal->disk, window->file, usual) == ERR_OK)
        window->file_size = usual;
    else
        err_clear(); /* the next segment then gets the room */
    if (!wal->config.unsafe_no_sync) {
        err = ops->sync(wal->disk, window->file);
        if (err)
            return err;
        err = ops->sync_names(wal->disk);
        if (err)
            return err;
    }
    wal->room = window->file_size & ~(uint64_t)(WAL__ALIGN_BYTES - 1);
    wal->zeroed = wal->end;
    wal->file = window->file;
    window->file = NULL;
    return ERR_OK;
}

static void note_torn(struct replay *replay, const struct tail *tail)
{
    struct wal *wal = replay->wal;
    struct wal_opened *opened = replay->opened;
    if (tail->used_to == wal->end)
        return;
    struct wal__name name = wal__name_of(wal__newest(wal));
    opened->torn = true;
    memcpy(opened->torn_file, name.text, sizeof opened->torn_file);
    opened->torn_offset = wal->end;
    opened->torn_bytes = tail->used_to - wal->end;
    log_warn("wal",
             "cut a torn tail: it was not finished, and not acknowledged",
             LOG_STR("file", name.text), LOG_UINT("offset", wal->end),
             LOG_UINT("bytes", opened->torn_bytes));
}

static enum err finish_newest(struct replay *replay)
{
    struct wal *wal = replay->wal;
    struct tail tail;
    enum err err = scan_tail(replay, &tail);
    if (err)
        return err;
    if (tail.later)
        return lost_frames(replay, replay->at, wal->end, tail.later);
    err = settle_tail(replay, &tail);
    if (err)
        return err;
    note_torn(replay, &tail);
    return ERR_OK;
}

/* ---- segments ----------------------------------------------------------- */

static enum err check_header(const struct replay *replay,
                             const struct wal__header *header)
{
    const struct wal *wal = replay->wal;
    const struct wal__segment *segment = &replay->listing->segments[replay->at];
    struct wal__name name = wal__name_of(segment);
    if (header->cluster_id != wal->config.cluster_id)
        return err_set(ERR_WRONG_CLUSTER,
                       "wal: %s is of cluster %llx, we are of %llx: check the "
                       "data directory",
                       name.text, (unsigned long long)header->cluster_id,
                       (unsigned long long)wal->config.cluster_id);
    if (header->member_id != wal->config.member_id)
        return err_set(ERR_WRONG_CLUSTER,
                       "wal: %s is of member %llx, we are %llx: check the "
                       "data directory",
                       name.text, (unsigned long long)header->member_id,
                       (unsigned long long)wal->config.member_id);
    if (header->number != segment->number ||
        header->first_index != segment->named_index)
        return corrupt(replay, replay->at, 0,
                       "the header is of another segment");
    return ERR_OK;
}

/* The header joins what came before it. */
static enum err check_joined(const struct replay *replay,
                             const struct wal__header *header)
{
    const struct wal *wal = replay->wal;
    if (replay->at == replay->start)
        return ERR_OK;
    if (header->sequence > wal->sequence)
        return lost_frames(replay, replay->at - 1, wal->end, header->sequence);
    if (header->sequence < wal->sequence ||
        header->first_index != wal->last_index + 1 ||
        header->state.term < wal->hard_state.term)
        return corrupt(replay, replay->at, 0,
                       "the header doesn't follow from the segment before");
    return ERR_OK;
}

static enum err read_header(struct replay *replay, struct wal__header *out)
{
    struct wal *wal = replay->wal;
    const char *bytes = NULL;
    if (replay->window.file_size < WAL__HEADER_BYTES)
        return corrupt(replay, replay->at, 0, "the header is cut off");
    enum err err = view(&replay->window, 0, WAL__HEADER_BYTES, &bytes);
    if (err)
        return err;
    switch (wal__header_decode(bytes, out, &wal->seed)) {
    case WAL__HEADER_GOOD:
        return check_header(replay, out);
    case WAL__HEADER_NEWER:
        return err_set(
            ERR_UNSUPPORTED,
            "wal: %s: written by a newer version of this program",
            wal__name_of(&replay->listing->segments[replay->at]).text);
    case WAL__HEADER_BAD:
        break;
    }
    return corrupt(replay, replay->at, 0, "the header is damaged");
}

static void begin_segment(struct replay *replay,
                          const struct wal__header *header)
{
    struct wal *wal = replay->wal;
    CHECK_LT(wal->segment_count, wal->segment_capacity);
    CHECK_EQ(wal->segment_count, replay->at);
    wal->segments[wal->segment_count++] = replay->listing->segments[replay->at];
    wal->end = WAL__HEADER_BYTES;
    wal->sequence = header->sequence;
    wal->last_index = header->first_index - 1;
    if (header->anew_term)
        wal->last_term = header->anew_term;
}

static enum err read_segment(struct replay *replay)
{
    struct wal__listing *listing = replay->listing;
    CHECK_LT(replay->at, listing->count);
    bool newest = replay->at + 1 == listing->count;
    struct wal__name name = wal__name_of(&listing->segments[replay->at]);
    struct wal__header header;
    enum err err = window_open(&replay->window, name.text,
                               newest ? DISK_WRITE : DISK_READ);
    if (err == ERR_OK)
        err = read_header(replay, &header);
    if (err == ERR_OK)
        err = check_joined(replay, &header);
    if (err)
        return err;
    begin_segment(replay, &header);
    err = report_state(replay, &header.state);
    bool good = true;
    while (err == ERR_OK && good)
        err = read_frame(replay, &good);
    if (err == ERR_OK && newest)
        err = finish_newest(replay);
    window_close(&replay->window);
    return err;
}

static enum err check_numbers(const struct wal__listing *listing)
{
    for (size_t i = 0; i < listing->count; i++) {
        const struct wal__segment *segment = &listing->segments[i];
        struct wal__name name = wal__name_of(segment);
        if (segment->number == 0 || segment->number > WAL__NUMBER_MAX ||
            segment->named_index == 0 || segment->named_index > WAL__NUMBER_MAX)
            return err_set(ERR_CORRUPT,
                           "wal: %s: no segment of ours has that name: move "
                           "it away",
                           name.text);
        if (i && segment->number != segment[-1].number + 1)
            return err_set(ERR_CORRUPT,
                           "wal: %s: %s: " WAY_OUT
                           "or give up what is in it and move it away",
                           name.text,
                           segment->number == segment[-1].number
                               ? "there are two of this number"
                               : "the segment before it is missing");
    }
    return ERR_OK;
}

/* Is it one with which the log starts anew? What is wrong with it is said when
 * it is read. */
static enum err begins_anew(struct replay *replay, size_t at, bool *out)
{
    struct disk *disk = replay->wal->disk;
    struct wal__name name = wal__name_of(&replay->listing->segments[at]);
    struct disk_file *file;
    char bytes[WAL__HEADER_BYTES];
    size_t size;
    struct wal__header header;
    uint32_t seed;
    enum err err = disk->ops->open(disk, name.text, DISK_READ, &file);
    if (err)
        return err;
    err = disk->ops->read(disk, file, 0, bytes, sizeof bytes, &size);
    disk->ops->close(disk, file);
    *out = err == ERR_OK && size == sizeof bytes &&
           wal__header_decode(bytes, &header, &seed) == WAL__HEADER_GOOD &&
           header.anew_term != 0;
    return err;
}

/* The newest that starts anew; what is older counts no more. */
static enum err find_start(struct replay *replay)
{
    for (size_t at = replay->listing->count; at-- > 1;) {
        bool anew = false;
        enum err err = begins_anew(replay, at, &anew);
        if (err)
            return err;
        if (anew) {
            replay->start = at;
            break;
        }
    }
    CHECK_LT(replay->start, replay->listing->count);
    return ERR_OK;
}

static enum err read_segments(struct replay *replay)
{
    struct wal *wal = replay->wal;
    wal->segments =
        mem_try_alloc(replay->listing->count * sizeof *wal->segments);
    if (wal->segments == NULL)
        return err_set(ERR_NO_MEMORY, "%zu segments", replay->listing->count);
    wal->segment_capacity = replay->listing->count;
    enum err err = find_start(replay);
    for (; err == ERR_OK && replay->at < replay->start; replay->at++)
        wal->segments[wal->segment_count++] =
            replay->listing->segments[replay->at];
    for (; err == ERR_OK && replay->at < replay->listing->count; replay->at++)
        err = read_segment(replay);
    if (err)
        return err;
    if (replay->listing->next_found) /* only a try: it does no harm */
        return wal->disk->ops->remove(wal->disk, WAL__NEXT_NAME);
    return ERR_OK;
}

static void give_up(struct wal *wal)
{
    if (wal->file)
        wal->disk->ops->close(wal->disk, wal->file);
    wal__free(wal);
}

enum err wal_open(const struct wal_config *config, raft_index skip_to,
                  struct wal_reader *reader, struct wal_opened *opened,
                  struct wal **out)
{
    *out = NULL;
    *opened = (struct wal_opened){0};
    struct wal__listing listing;
    enum err err = wal__list(config->disk, &listing);
    if (err)
        return err;
    if (listing.count == 0) {
        mem_free(listing.segments);
        return err_set(ERR_NOT_FOUND, "wal: there is no log");
    }
    struct replay replay = {
        .wal = wal__new(config),
        .listing = &listing,
        .skip_to = skip_to,
        .reader = reader,
        .opened = opened,
        .window = {.disk = config->disk},
    };
    err = check_numbers(&listing);
    if (err == ERR_OK)
        err = read_segments(&replay);
    if (err == ERR_OK && replay.start > 0)
        err = wal__remove_left(replay.wal);
    opened->first_index = listing.segments[replay.start].named_index;
    window_close(&replay.window);
    mem_free(replay.window.bytes);
    mem_free(listing.segments);
    if (err) {
        give_up(replay.wal);
        return err_wrap(err, "open");
    }
    wal__check_state(replay.wal);
    opened->last_index = replay.wal->last_index;
    opened->last_term = replay.wal->last_term;
    opened->segment_count = (int)replay.wal->segment_count;
    *out = replay.wal;
    return ERR_OK;
}
