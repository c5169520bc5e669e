#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "unit/sim/sim_stories.h"

struct raft_entry story_entry(raft_index index, raft_term term,
                              const char *text)
{
    struct raft_entry entry = {
        .index = index,
        .term = term,
        .time_ns = (int64_t)index * 1000,
        .type = text ? RAFT_ENTRY_COMMAND : RAFT_ENTRY_EMPTY,
        .data = text ? refbuf_dup(text, strlen(text)) : NULL,
    };
    return entry;
}

void story_forget(struct raft_entry *entry)
{
    refbuf_unref(entry->data);
    entry->data = NULL;
}

struct record story_record(revision main, const char *key, const char *value,
                           const struct record *before)
{
    struct record record = {
        .table = MVCC_KEYS,
        .cause = value ? MVCC_SET : MVCC_DELETE,
        .flags = value ? 0 : MVCC_TOMBSTONE,
        .rev = {main, 0},
        .create = value ? main : 0,
        .version = value ? 1 : 0,
        .key = slice_str(key),
        .value = slice_str(value),
    };
    if (before)
        record.prev = before->rev;
    return record;
}

struct mvcc_commit *story_commit(revision main, int64_t time_ns,
                                 const struct record *records, uint32_t count)
{
    size_t bytes = sizeof(struct mvcc_commit) + count * sizeof *records;
    size_t text = 0;
    for (uint32_t i = 0; i < count; i++)
        text += records[i].key.size + records[i].value.size;
    struct mvcc_commit *commit = mem_alloc_zero(bytes + text);
    char *at = (char *)commit + bytes;
    atomic_init(&commit->refs, 1);
    commit->count = count;
    commit->main = main;
    commit->time_ns = time_ns;
    commit->bytes = bytes + text;
    for (uint32_t i = 0; i < count; i++) {
        struct record *record = &commit->records[i];
        *record = records[i];
        record->rev = (struct rev){main, i};
        record->time_ns = time_ns;
        memcpy(at, records[i].key.at, records[i].key.size);
        record->key.at = at;
        at += record->key.size;
        if (record->value.size)
            memcpy(at, records[i].value.at, records[i].value.size);
        record->value.at = at;
        at += record->value.size;
    }
    return commit;
}

enum err story_change(struct ledger *ledger, const struct record *record,
                      int64_t time_ns)
{
    struct mvcc_commit *commit =
        story_commit(record->rev.main, time_ns, record, 1);
    enum err err = ledger_change(ledger, commit);
    mvcc_commit_unref(commit);
    return err;
}

void story_note_has(const char *words)
{
    if (strstr(err_note(), words) == NULL)
        fail_msg("the note is \"%s\", without \"%s\"", err_note(), words);
}
