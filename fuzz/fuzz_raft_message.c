/* Messages as another member sends them, which may be of another version, or
 * be broken: what is taken has entries that follow each other, and is the same
 * when it is written and read again. The same bytes are tried as a
 * membership. */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "raft/raft.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { ENTRIES_MAX = 16 };

static bool is_same_entry(const struct raft_entry *a,
                          const struct raft_entry *b)
{
    if (a->term != b->term || a->index != b->index ||
        a->time_ns != b->time_ns || a->type != b->type ||
        (a->data == NULL) != (b->data == NULL))
        return false;
    return a->data == NULL || slice_eq(slice_of(a->data->bytes, a->data->size),
                                       slice_of(b->data->bytes, b->data->size));
}

static bool is_same(const struct raft_message *a, const struct raft_message *b)
{
    bool same = a->type == b->type && a->from == b->from && a->to == b->to &&
                a->term == b->term && a->index == b->index &&
                a->log_term == b->log_term && a->commit == b->commit &&
                a->hint_index == b->hint_index &&
                a->hint_term == b->hint_term && a->read == b->read &&
                a->rejected == b->rejected && a->forced == b->forced &&
                a->count == b->count;
    for (size_t i = 0; i < a->count && same; i++)
        same = is_same_entry(&a->entries[i], &b->entries[i]);
    return same;
}

static void check_entries(const struct raft_message *message, size_t size)
{
    raft_term term = message->log_term;
    int64_t time_ns = 0;
    CHECK(message->count == 0 || message->type == RAFT_MESSAGE_APPEND);
    for (size_t i = 0; i < message->count; i++) {
        const struct raft_entry *entry = &message->entries[i];
        CHECK(entry->index == message->index + 1 + i && entry->index > i);
        CHECK(entry->term >= term && entry->term <= message->term);
        CHECK(entry->time_ns >= time_ns || entry->type == RAFT_ENTRY_EMPTY);
        CHECK(entry->data == NULL || entry->data->size < size);
        CHECK(entry->type != RAFT_ENTRY_CHANGE || entry->data != NULL);
        term = entry->term;
        if (entry->type != RAFT_ENTRY_EMPTY)
            time_ns = entry->time_ns;
    }
}

static void play_message(struct slice input)
{
    struct raft_entry entries[ENTRIES_MAX];
    struct raft_entry entries_again[ENTRIES_MAX];
    struct raft_message message;
    struct raft_message again;
    enum err err = raft_message_decode(input, entries, ENTRIES_MAX, &message);
    CHECK(err == ERR_OK || err == ERR_CORRUPT || err == ERR_TOO_LARGE);
    CHECK(err == ERR_OK || message.count == 0);
    if (err != ERR_OK)
        return;
    struct buf written = {0};
    CHECK(raft_message_text(message.type) != NULL);
    check_entries(&message, input.size);
    raft_message_encode(&message, &written);
    err = raft_message_decode(buf_slice(&written), entries_again, ENTRIES_MAX,
                              &again);
    CHECK_EQ(err, ERR_OK);
    CHECK(is_same(&message, &again));
    raft_message_release(&message);
    raft_message_release(&again);
    buf_deinit(&written);
}

static void play_members(struct slice input)
{
    struct raft_members members;
    struct raft_members again;
    struct slice rest;
    enum err err = raft_members_decode(input, &members, &rest);
    CHECK(err == ERR_OK || err == ERR_CORRUPT);
    if (err != ERR_OK)
        return;
    struct buf written = {0};
    CHECK(rest.at >= input.at && rest.at + rest.size == input.at + input.size);
    raft_members_encode(&members, &written);
    CHECK_EQ(raft_members_decode(buf_slice(&written), &again, &rest), ERR_OK);
    CHECK(memcmp(&members, &again, sizeof(members)) == 0);
    CHECK_EQ(rest.size, 0);
    if (members.outgoing_count > 0)
        raft_members_leave_joint(&members, &again);
    CHECK_EQ(again.outgoing_count, 0);
    buf_deinit(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct slice input = slice_of(bytes, size);
    play_message(input);
    play_members(input);
    return 0;
}
