/* Names of segments, and the way from one segment to the next:
 *
 *   wal_reserve, wal_append
 *        |  half of the segment is used       (a failure is tried again later)
 *        v
 *   ahead: next.wal.tmp is created and allocated
 *        |  the frame doesn't fit any more
 *        v
 *   roll: sync the old segment, write and sync the header of next.wal.tmp,
 *         rename it, sync the names; only then frames go into it.
 *         One that holds no frame yet is made larger instead.
 *
 * So what bears a segment's name is whole, and all before it is durable. Until
 * the rename a full disk leaves the log as it was.
 */
#include "wal/wal_int.h"

#include <stdio.h>

#include "base/check.h"

/* Never written to: as .bss it costs no memory. */
static char zeros[WAL__ZEROS_BYTES];

/* ---- names -------------------------------------------------------------- */

struct wal__name wal__name_of(const struct wal__segment *segment)
{
    struct wal__name name;
    int length = snprintf(name.text, sizeof name.text, "%016llx-%016llx.wal",
                          (unsigned long long)segment->number,
                          (unsigned long long)segment->named_index);
    CHECK(length > 0 && (size_t)length < sizeof name.text);
    return name;
}

static bool parse_hex16(const char *at, uint64_t *out)
{
    uint64_t number = 0;
    for (int i = 0; i < 16; i++) {
        char c = at[i];
        if (c >= '0' && c <= '9')
            number = number << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            number = number << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *out = number;
    return true;
}

bool wal__name_parse(const char *name, struct wal__segment *out)
{
    struct wal__segment segment = {0};
    if (strlen(name) != 16 + 1 + 16 + 4 || name[16] != '-' ||
        memcmp(name + 33, ".wal", 4) != 0)
        return false;
    if (!parse_hex16(name, &segment.number) ||
        !parse_hex16(name + 17, &segment.named_index))
        return false;
    *out = segment;
    return true;
}

enum err wal__segments_reserve(struct wal__segment **segments, size_t count,
                               size_t *capacity)
{
    CHECK_LE(count, *capacity);
    if (count < *capacity)
        return ERR_OK;
    size_t more = *capacity ? *capacity * 2 : 16;
    struct wal__segment *moved =
        mem_try_realloc(*segments, more * sizeof **segments);
    if (moved == NULL)
        return err_set(ERR_NO_MEMORY, "wal: %zu segments", more);
    *segments = moved;
    *capacity = more;
    return ERR_OK;
}

/* Directories hold few names and mostly come in order: insertion will do. */
static void list_one(void *context, const char *name)
{
    struct wal__listing *listing = context;
    struct wal__segment segment;
    if (strcmp(name, WAL__NEXT_NAME) == 0)
        listing->next_found = true;
    if (listing->no_memory || !wal__name_parse(name, &segment))
        return;
    if (wal__segments_reserve(&listing->segments, listing->count,
                              &listing->capacity) != ERR_OK) {
        listing->no_memory = true;
        return;
    }
    size_t at = listing->count++;
    for (; at && listing->segments[at - 1].number > segment.number; at--)
        listing->segments[at] = listing->segments[at - 1];
    listing->segments[at] = segment;
}

enum err wal__list(struct disk *disk, struct wal__listing *out)
{
    *out = (struct wal__listing){0};
    enum err err = disk->ops->list(disk, list_one, out);
    if (err == ERR_OK && out->no_memory)
        err = err_set(ERR_NO_MEMORY, "list the segments");
    if (err == ERR_OK)
        return ERR_OK;
    mem_free(out->segments);
    *out = (struct wal__listing){0};
    return err_wrap(err, "wal");
}

/* ---- the next segment --------------------------------------------------- */

enum err wal__write_zeros(struct disk *disk, struct disk_file *file,
                          uint64_t from, uint64_t to)
{
    CHECK_LE(from, to);
    while (from < to) {
        uint64_t size = to - from;
        if (size > sizeof zeros)
            size = sizeof zeros;
        enum err err = disk->ops->write(disk, file, from, zeros, (size_t)size);
        if (err)
            return err;
        from += size;
    }
    return ERR_OK;
}

static void drop_next(struct wal *wal)
{
    CHECK(wal->next != NULL);
    wal->disk->ops->close(wal->disk, wal->next);
    wal->next = NULL;
    wal->next_room = 0;
    /* If it stays, make_next removes it. */
    enum err ignored = wal->disk->ops->remove(wal->disk, WAL__NEXT_NAME);
    (void)ignored;
}

static enum err create_next(struct wal *wal)
{
    const struct disk_ops *ops = wal->disk->ops;
    int flags = DISK_WRITE | DISK_CREATE;
    enum err err = ops->open(wal->disk, WAL__NEXT_NAME, flags, &wal->next);
    if (err == ERR_EXISTS) {
        err = ops->remove(wal->disk, WAL__NEXT_NAME);
        if (err == ERR_OK)
            err = ops->open(wal->disk, WAL__NEXT_NAME, flags, &wal->next);
    }
    if (err)
        wal->next = NULL;
    return err;
}

static enum err make_next(struct wal *wal, uint64_t size)
{
    CHECK(wal->next == NULL);
    CHECK(size >= WAL__HEADER_BYTES);
    CHECK_EQ(size % WAL__ALIGN_BYTES, 0);
    enum err err = create_next(wal);
    if (err)
        return err_wrap(err, "wal: make the next segment");
    err = wal->disk->ops->allocate(wal->disk, wal->next, size);
    if (err) {
        drop_next(wal);
        return err_wrap(err, "wal: allocate the next segment");
    }
    wal->next_room = size;
    return ERR_OK;
}

/* A frame that is larger than a segment gets one of its own size. */
static enum err grow_next(struct wal *wal, uint64_t size)
{
    CHECK(wal->next != NULL);
    CHECK_LT(wal->next_room, size);
    const struct disk_ops *ops = wal->disk->ops;
    enum err err = ops->allocate(wal->disk, wal->next, size);
    if (err == ERR_OK) {
        wal->next_room = size;
        return ERR_OK;
    }
    err_wrap(err, "wal: allocate the next segment");
    /* What was there before still serves smaller frames; but the note is of
     * the first failure. */
    char note[ERR_NOTE_BYTES_MAX];
    snprintf(note, sizeof note, "%s", err_note());
    if (ops->truncate(wal->disk, wal->next, wal->next_room) != ERR_OK)
        drop_next(wal);
    return err_set(err, "%s", note);
}

uint64_t wal__slack_bytes(const struct wal *wal)
{
    uint64_t bytes = wal__align(wal->config.segment_bytes / 8);
    return bytes < WAL__SLACK_BYTES_MAX ? bytes : WAL__SLACK_BYTES_MAX;
}

uint64_t wal__segment_bytes(const struct wal *wal)
{
    return wal__align(wal->config.segment_bytes) + wal__slack_bytes(wal);
}

static uint64_t segment_size(const struct wal *wal, uint64_t frame_bytes)
{
    uint64_t size = wal__align(WAL__HEADER_BYTES + frame_bytes);
    uint64_t usual = wal__segment_bytes(wal);
    size += wal__slack_bytes(wal);
    return size > usual ? size : usual;
}

/* Where the slack of the newest segment begins. One that was opened on a full
 * disk may have less than that. */
static uint64_t slack_begins(const struct wal *wal)
{
    uint64_t slack = wal__slack_bytes(wal);
    return wal->room > slack ? wal->room - slack : 0;
}

/* Off the path of a commit that would need it at once. */
static void make_next_ahead(struct wal *wal)
{
    if (wal->next != NULL || wal->end < slack_begins(wal) / 2 ||
        wal->end < wal->next_try_at)
        return;
    if (make_next(wal, segment_size(wal, 0)) != ERR_OK) {
        wal->next_try_at = wal->end + wal->room / 16;
        err_clear();
    }
}

/* A segment without a frame is not left behind for one that is too large for
 * it: many growing demands before the first write would leave as many files.
 * Its new size is durable with the frame. */
static enum err extend(struct wal *wal, uint64_t bytes)
{
    const struct disk_ops *ops = wal->disk->ops;
    uint64_t size = segment_size(wal, bytes);
    CHECK_EQ(wal->end, WAL__HEADER_BYTES);
    CHECK_EQ(wal->state, WAL__CLEAN);
    CHECK_LT(wal->room, size);
    enum err err = ops->allocate(wal->disk, wal->file, size);
    if (err == ERR_OK) {
        wal->room = size;
        return ERR_OK;
    }
    err_wrap(err, "wal: allocate more for a segment");
    char note[ERR_NOTE_BYTES_MAX];
    snprintf(note, sizeof note, "%s", err_note());
    /* If zeros stay behind its room, they do no harm. */
    enum err ignored = ops->truncate(wal->disk, wal->file, wal->room);
    (void)ignored;
    return err_set(err, "%s", note);
}

enum err wal__make_room(struct wal *wal, uint64_t bytes)
{
    CHECK(wal->file != NULL);
    CHECK_LE(wal->end, wal->room);
    if (bytes > LIMIT_WAL_FRAME_BYTES_MAX)
        return err_set(ERR_TOO_LARGE, "wal: a frame of %llu bytes",
                       (unsigned long long)bytes);
    if (wal->end + bytes > slack_begins(wal))
        return wal->end == WAL__HEADER_BYTES ? extend(wal, bytes)
                                             : wal__roll(wal, bytes);
    make_next_ahead(wal);
    return ERR_OK;
}

/* ---- from one to the next ----------------------------------------------- */

static enum err write_header(struct wal *wal, const char *bytes)
{
    enum err err = wal->disk->ops->write(wal->disk, wal->next, 0, bytes,
                                         WAL__HEADER_BYTES);
    if (err == ERR_DISK_FULL) { /* where files are copied on write */
        drop_next(wal);
        return err_wrap(err, "wal: write the next segment's header");
    }
    if (err)
        return wal__break(wal, "write the next segment's header");
    wal->bytes_written += WAL__HEADER_BYTES;
    if (!wal->config.unsafe_no_sync) {
        if (wal->disk->ops->sync(wal->disk, wal->next) != ERR_OK)
            return wal__break(wal, "sync the next segment's header");
        wal->syncs++;
    }
    return ERR_OK;
}

static enum err name_next(struct wal *wal, const struct wal__segment *segment)
{
    struct wal__name name = wal__name_of(segment);
    enum err err = wal->disk->ops->rename(wal->disk, WAL__NEXT_NAME, name.text);
    if (err == ERR_DISK_FULL) {
        drop_next(wal);
        return err_wrap(err, "wal: name the next segment");
    }
    if (err)
        return wal__break(wal, "name the next segment");
    if (!wal->config.unsafe_no_sync &&
        wal->disk->ops->sync_names(wal->disk) != ERR_OK)
        return wal__break(wal, "sync the names");
    return ERR_OK;
}

static void go_on_in_next(struct wal *wal, const struct wal__header *header,
                          uint32_t seed)
{
    CHECK(wal->next != NULL);
    CHECK_NE(wal->state, WAL__BROKEN);
    CHECK_LT(wal->segment_count, wal->segment_capacity);
    CHECK_EQ(wal->sequence, header->sequence);
    CHECK_LE(wal->hard_state.term, header->state.term);
    if (wal->file)
        wal->disk->ops->close(wal->disk, wal->file);
    wal->segments[wal->segment_count++] = (struct wal__segment){
        .number = header->number, .named_index = header->first_index};
    wal->hard_state = header->state;
    wal->file = wal->next;
    wal->room = wal->next_room;
    wal->seed = seed;
    wal->end = WAL__HEADER_BYTES;
    wal->zeroed = WAL__HEADER_BYTES;
    wal->reserved = 0;
    wal->next = NULL;
    wal->next_room = 0;
    wal->next_try_at = 0;
}

static enum err have_next(struct wal *wal, uint64_t size)
{
    enum err err = ERR_OK;
    if (wal->next == NULL)
        err = make_next(wal, size);
    else if (wal->next_room < size)
        err = grow_next(wal, size);
    if (err)
        return err;
    return wal__segments_reserve(&wal->segments, wal->segment_count,
                                 &wal->segment_capacity);
}

/* `header` has its first index, its state and whether it begins anew. */
static enum err roll(struct wal *wal, struct wal__header *header,
                     uint64_t bytes)
{
    CHECK_NE(wal->state, WAL__BROKEN);
    header->cluster_id = wal->config.cluster_id;
    header->member_id = wal->config.member_id;
    header->number = 1;
    header->sequence = wal->sequence;
    if (wal->segment_count)
        header->number = wal__newest(wal)->number + 1;
    if (header->number > WAL__NUMBER_MAX)
        return err_set(ERR_FULL, "wal: no more segment numbers");

    enum err err = have_next(wal, segment_size(wal, bytes));
    if (err == ERR_OK && wal->state == WAL__DIRTY)
        err = wal_sync(wal);
    if (err)
        return err;
    char text[WAL__HEADER_BYTES];
    struct wal__segment segment = {.number = header->number,
                                   .named_index = header->first_index};
    uint32_t seed = wal__header_encode(header, text);
    err = write_header(wal, text);
    if (err == ERR_OK)
        err = name_next(wal, &segment);
    if (err)
        return err;
    go_on_in_next(wal, header, seed);
    return ERR_OK;
}

enum err wal__roll(struct wal *wal, uint64_t bytes)
{
    struct wal__header header = {.first_index = wal->last_index + 1,
                                 .state = wal->hard_state};
    enum err err = roll(wal, &header, bytes);
    if (err == ERR_OK)
        wal__check_state(wal);
    return err;
}

enum err wal__roll_anew(struct wal *wal, raft_index index, raft_term term,
                        const struct raft_hard_state *state)
{
    CHECK(term != 0);
    struct wal__header header = {
        .first_index = index + 1, .state = *state, .anew_term = term};
    enum err err = roll(wal, &header, 0);
    if (err)
        return err;
    for (size_t i = 0; i < wal->segment_count; i++)
        wal->segments[i].first_index = wal->segments[i].last_index = 0;
    wal->last_index = index;
    wal->last_term = term;
    wal__check_state(wal);
    return ERR_OK;
}
