/* Bytes from values and back; the tables stand at the top of wal.c. Nothing
 * here trusts a byte before its checksum and its bounds are right. */
#include "wal/wal_int.h"

#include "base/check.h"
#include "base/crc.h"

static const char header_magic[8] = {'e', 't', 'c', 'h', 'e', 'd', 'W', 'L'};
#define FRAME_MAGIC UINT32_C(0x31465745) /* "EWF1" */

uint64_t wal__align(uint64_t bytes)
{
    return (bytes + WAL__ALIGN_BYTES - 1) & ~(uint64_t)(WAL__ALIGN_BYTES - 1);
}

bool wal__all_zero(const char *bytes, size_t size)
{
    return size == 0 ||
           (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

static void put_state(char *to, const struct raft_hard_state *state)
{
    put_le64(to, state->term);
    put_le64(to + 8, state->vote);
    put_le64(to + 16, state->commit);
}

static struct raft_hard_state get_state(const char *from)
{
    return (struct raft_hard_state){.term = get_le64(from),
                                    .vote = get_le64(from + 8),
                                    .commit = get_le64(from + 16)};
}

/* ---- the segment's header ----------------------------------------------- */

uint32_t wal__header_encode(const struct wal__header *header, char *bytes)
{
    CHECK(header->number >= 1 && header->number <= WAL__NUMBER_MAX);
    CHECK(header->sequence >= 1 && header->sequence <= WAL__NUMBER_MAX);
    CHECK(header->first_index >= 1 && header->first_index <= WAL__NUMBER_MAX);

    memset(bytes, 0, WAL__HEADER_BYTES);
    memcpy(bytes, header_magic, sizeof header_magic);
    put_le32(bytes + 12, header->anew_term ? WAL__VERSION_ANEW : WAL__VERSION);
    put_le64(bytes + 16, header->cluster_id);
    put_le64(bytes + 24, header->member_id);
    put_le64(bytes + 32, header->number);
    put_le64(bytes + 40, header->first_index);
    put_le64(bytes + 48, header->sequence);
    put_state(bytes + 56, &header->state);
    put_le64(bytes + 80, header->anew_term);
    uint32_t crc = crc32c(0, bytes + 12, WAL__HEADER_BYTES - 12);
    put_le32(bytes + 8, crc);
    return crc;
}

enum wal__header_result wal__header_decode(const char *bytes,
                                           struct wal__header *out,
                                           uint32_t *out_seed)
{
    uint32_t crc = get_le32(bytes + 8);
    if (memcmp(bytes, header_magic, sizeof header_magic) != 0 ||
        crc != crc32c(0, bytes + 12, WAL__HEADER_BYTES - 12))
        return WAL__HEADER_BAD;
    uint32_t version = get_le32(bytes + 12);
    if (version != WAL__VERSION && version != WAL__VERSION_ANEW)
        return WAL__HEADER_NEWER;
    *out = (struct wal__header){
        .cluster_id = get_le64(bytes + 16),
        .member_id = get_le64(bytes + 24),
        .number = get_le64(bytes + 32),
        .first_index = get_le64(bytes + 40),
        .sequence = get_le64(bytes + 48),
        .state = get_state(bytes + 56),
        .anew_term = get_le64(bytes + 80),
    };
    *out_seed = crc;
    bool sane = out->number >= 1 && out->number <= WAL__NUMBER_MAX &&
                out->first_index >= 1 && out->first_index <= WAL__NUMBER_MAX &&
                out->sequence >= 1 && out->sequence <= WAL__NUMBER_MAX &&
                (out->anew_term != 0) == (version == WAL__VERSION_ANEW) &&
                wal__all_zero(bytes + 88, WAL__HEADER_BYTES - 88);
    return sane ? WAL__HEADER_GOOD : WAL__HEADER_BAD;
}

/* ---- a frame ------------------------------------------------------------ */

static uint32_t frame_crc(const char *bytes, uint32_t seed, uint64_t offset)
{
    char place[8];
    put_le64(place, offset);
    uint32_t crc = crc32c(seed, place, sizeof place);
    return crc32c(crc, bytes + 8, WAL__FRAME_BYTES_MIN - 8);
}

static char *put_entry(char *to, const struct raft_entry *entry)
{
    size_t size = entry->data ? entry->data->size : 0;
    CHECK_LE(size, LIMIT_WAL_FRAME_BYTES_MAX);
    CHECK((unsigned)entry->type <= RAFT_ENTRY_CHANGE);
    put_le32(to, (uint32_t)size);
    put_le32(to + 4, (uint32_t)entry->type);
    put_le64(to + 8, entry->term);
    put_le64(to + 16, (uint64_t)entry->time_ns);
    if (size)
        memcpy(to + WAL__ENTRY_BYTES_MIN, entry->data->bytes, size);
    return to + WAL__ENTRY_BYTES_MIN + size;
}

void wal__frame_encode(struct wal__frame *frame, uint32_t seed, uint64_t offset,
                       const struct raft_entry *const *entries, char *bytes)
{
    CHECK_EQ(offset % WAL__ALIGN_BYTES, 0);
    CHECK_EQ(frame->bytes % WAL__ALIGN_BYTES, 0);
    CHECK_LE(frame->bytes, LIMIT_WAL_FRAME_BYTES_MAX);

    char *to = bytes + WAL__FRAME_BYTES_MIN;
    char *end = bytes + frame->bytes;
    for (uint32_t i = 0; i < frame->entry_count; i++)
        to = put_entry(to, entries[i]);
    CHECK(to <= end && end - to < WAL__ALIGN_BYTES);
    memset(to, 0, (size_t)(end - to));
    frame->body_crc = crc32c(0, bytes + WAL__FRAME_BYTES_MIN,
                             frame->bytes - WAL__FRAME_BYTES_MIN);

    put_le32(bytes, FRAME_MAGIC);
    put_le32(bytes + 8, frame->body_crc);
    put_le32(bytes + 12, frame->bytes);
    put_le64(bytes + 16, frame->sequence);
    put_le64(bytes + 24, frame->first_index);
    put_state(bytes + 32, &frame->state);
    put_le32(bytes + 56, frame->entry_count);
    put_le32(bytes + 60, 0);
    put_le32(bytes + 4, frame_crc(bytes, seed, offset));
}

static bool frame_is_sane(const struct wal__frame *frame)
{
    if (frame->bytes < WAL__FRAME_BYTES_MIN ||
        frame->bytes > LIMIT_WAL_FRAME_BYTES_MAX ||
        frame->bytes % WAL__ALIGN_BYTES != 0)
        return false;
    if (frame->entry_count >
        (frame->bytes - WAL__FRAME_BYTES_MIN) / WAL__ENTRY_BYTES_MIN)
        return false;
    if ((frame->entry_count == 0) != (frame->first_index == 0))
        return false;
    return frame->first_index <= WAL__NUMBER_MAX - frame->entry_count &&
           frame->sequence >= 1 && frame->sequence < WAL__NUMBER_MAX;
}

bool wal__frame_decode(const char *bytes, uint32_t seed, uint64_t offset,
                       struct wal__frame *out)
{
    CHECK_EQ(offset % WAL__ALIGN_BYTES, 0);
    if (get_le32(bytes) != FRAME_MAGIC ||
        get_le32(bytes + 4) != frame_crc(bytes, seed, offset) ||
        get_le32(bytes + 60) != 0)
        return false;
    *out = (struct wal__frame){
        .body_crc = get_le32(bytes + 8),
        .bytes = get_le32(bytes + 12),
        .sequence = get_le64(bytes + 16),
        .first_index = get_le64(bytes + 24),
        .state = get_state(bytes + 32),
        .entry_count = get_le32(bytes + 56),
    };
    return frame_is_sane(out);
}

bool wal__frame_body_good(const struct wal__frame *frame, const char *bytes)
{
    CHECK(frame->bytes >= WAL__FRAME_BYTES_MIN);
    return frame->body_crc == crc32c(0, bytes + WAL__FRAME_BYTES_MIN,
                                     frame->bytes - WAL__FRAME_BYTES_MIN);
}

/* ---- its entries -------------------------------------------------------- */

void wal__entries_init(struct wal__entries *entries,
                       const struct wal__frame *frame, const char *bytes)
{
    CHECK(frame->bytes >= WAL__FRAME_BYTES_MIN);
    *entries = (struct wal__entries){
        .at = bytes + WAL__FRAME_BYTES_MIN,
        .end = bytes + frame->bytes,
        .next_index = frame->first_index,
        .left = frame->entry_count,
    };
}

enum err wal__entries_next(struct wal__entries *entries, struct wal__entry *out)
{
    CHECK(entries->at <= entries->end);
    size_t rest = (size_t)(entries->end - entries->at);
    if (entries->left == 0) {
        if (rest >= WAL__ALIGN_BYTES || !wal__all_zero(entries->at, rest))
            return err_set(ERR_CORRUPT, "bytes after the last entry");
        return ERR_END;
    }
    if (rest < WAL__ENTRY_BYTES_MIN)
        return err_set(ERR_CORRUPT, "an entry goes beyond its frame");
    size_t size = get_le32(entries->at);
    uint32_t type = get_le32(entries->at + 4);
    if (size > rest - WAL__ENTRY_BYTES_MIN)
        return err_set(ERR_CORRUPT, "an entry's data goes beyond its frame");
    if (type > RAFT_ENTRY_CHANGE)
        return err_set(ERR_CORRUPT, "an entry of unknown type %u", type);
    *out = (struct wal__entry){
        .term = get_le64(entries->at + 8),
        .index = entries->next_index,
        .time_ns = (int64_t)get_le64(entries->at + 16),
        .type = (enum raft_entry_type)type,
        .data = slice_of(entries->at + WAL__ENTRY_BYTES_MIN, size),
    };
    entries->at += WAL__ENTRY_BYTES_MIN + size;
    entries->next_index++;
    entries->left--;
    return ERR_OK;
}
