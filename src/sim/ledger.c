#include "sim/ledger.h"

#include "base/check.h"
#include "base/mem.h"
#include "lease/lease.h"

static uint64_t mix(uint64_t digest, uint64_t number)
{
    digest = (digest ^ number) * UINT64_C(0xff51afd7ed558ccd);
    return digest ^ (digest >> 29);
}

/* Makes room for element `at`; what is new is zero. */
static void *grow(void *array, size_t *capacity, size_t at, size_t size)
{
    if (at < *capacity)
        return array;
    size_t old = *capacity;
    *capacity = old ? old * 2 : 64;
    while (*capacity <= at)
        *capacity *= 2;
    char *bytes = mem_realloc(array, *capacity * size);
    memset(bytes + old * size, 0, (*capacity - old) * size);
    return bytes;
}

static struct slice key_of(const void *value)
{
    return ((const struct ledger_key *)value)->key;
}

void ledger_init(struct ledger *ledger, const struct raft_members *members)
{
    *ledger = (struct ledger){.revision = 1, .members = *members};
    for (int i = 0; i < MVCC_TABLE_COUNT; i++)
        map_init(&ledger->keys[i], key_of, 1);
    lessor_init(&ledger->lessor);
    arena_init(&ledger->arena, 0);
}

void ledger_deinit(struct ledger *ledger)
{
    for (int i = 0; i < MVCC_TABLE_COUNT; i++) {
        size_t at = 0;
        struct ledger_key *key;
        while ((key = map_next(&ledger->keys[i], &at)) != NULL)
            mem_free(key->records);
        map_deinit(&ledger->keys[i]);
    }
    for (revision at = 2; at <= ledger->revision; at++)
        mvcc_commit_unref(ledger->commits[at]);
    for (size_t i = 0; i < ledger->place_capacity; i++)
        refbuf_unref(ledger->places[i].data);
    mem_free(ledger->commits);
    mem_free(ledger->places);
    mem_free(ledger->leaders);
    lessor_deinit(&ledger->lessor);
    arena_deinit(&ledger->arena);
}

/* ---- the log ------------------------------------------------------------- */

static uint64_t hash_entry(const struct raft_entry *entry, uint64_t before)
{
    uint64_t hash = mix(before, entry->term);
    hash = mix(hash, (uint64_t)entry->time_ns);
    hash = mix(hash, (uint64_t)entry->type);
    if (entry->data) {
        struct slice bytes = slice_of(entry->data->bytes, entry->data->size);
        hash = mix(hash, slice_hash(bytes, 1));
    }
    return hash ? hash : 1;
}

static struct ledger_place *place_at(struct ledger *ledger, raft_index index)
{
    ledger->places = grow(ledger->places, &ledger->place_capacity,
                          (size_t)index, sizeof *ledger->places);
    return &ledger->places[index];
}

enum err ledger_see(struct ledger *ledger, const struct raft_entry *entry,
                    uint64_t before, uint64_t *chain)
{
    CHECK(entry->index > 0);
    struct ledger_place *place = place_at(ledger, entry->index);
    struct ledger_seen *seen = place->seen;
    *chain = hash_entry(entry, before);
    while (seen && seen->term != entry->term)
        seen = seen->next;
    if (seen && seen->chain != *chain)
        return err_set(
            ERR_CORRUPT, "logs differ at or before index %llu, term %llu",
            (unsigned long long)entry->index, (unsigned long long)entry->term);
    if (seen == NULL) {
        seen = arena_alloc(&ledger->arena, sizeof *seen);
        *seen = (struct ledger_seen){entry->term, *chain, place->seen};
        place->seen = seen;
    }
    return ERR_OK;
}

/* A change of membership counts for the operator when it is committed. */
static enum err note_members(struct ledger *ledger,
                             const struct raft_entry *entry)
{
    struct slice rest;
    if (entry->type != RAFT_ENTRY_CHANGE)
        return ERR_OK;
    if (entry->data == NULL)
        return err_set(ERR_CORRUPT, "a change without a membership");
    struct slice bytes = slice_of(entry->data->bytes, entry->data->size);
    ledger->members_index = entry->index;
    return raft_members_decode(bytes, &ledger->members, &rest);
}

enum err ledger_commit(struct ledger *ledger, raft_index index, raft_term term,
                       uint64_t chain, const struct raft_entry *entry)
{
    if (index <= ledger->commit) {
        if (ledger->places[index].chain == chain)
            return ERR_OK;
        return err_set(ERR_CORRUPT, "index %llu is committed as two entries",
                       (unsigned long long)index);
    }
    CHECK_EQ(index, ledger->commit + 1);
    if (entry == NULL)
        return err_set(ERR_CORRUPT,
                       "index %llu is known to be committed by a member that "
                       "doesn't have it, and by no other",
                       (unsigned long long)index);
    struct ledger_place *place = place_at(ledger, index);
    place->chain = chain;
    place->term = entry->term;
    place->commit_term = term;
    place->type = entry->type;
    place->time_max_ns = ledger->places[index - 1].time_max_ns;
    if (place->time_max_ns < entry->time_ns)
        place->time_max_ns = entry->time_ns;
    place->data = entry->data ? refbuf_ref(entry->data) : NULL;
    ledger->commit = index;
    if (entry->type == RAFT_ENTRY_COMMAND && entry->data)
        return lessor_take(&ledger->lessor, index, entry->time_ns,
                           slice_of(entry->data->bytes, entry->data->size));
    return note_members(ledger, entry);
}

uint64_t ledger_chain(const struct ledger *ledger, raft_index index)
{
    CHECK_LE(index, ledger->commit);
    return index ? ledger->places[index].chain : 0;
}

enum err ledger_lead(struct ledger *ledger, raft_term term, member_id id,
                     bool *is_new)
{
    ledger->leaders = grow(ledger->leaders, &ledger->leader_capacity,
                           (size_t)term, sizeof *ledger->leaders);
    member_id *leader = &ledger->leaders[term];
    *is_new = *leader == 0;
    if (*leader && *leader != id)
        return err_set(ERR_CORRUPT, "two leaders in term %llu",
                       (unsigned long long)term);
    *leader = id;
    ledger->leader_count += *is_new;
    return ERR_OK;
}

raft_index ledger_commit_before(const struct ledger *ledger, raft_term term)
{
    raft_index index = ledger->commit;
    while (index > 0 && ledger->places[index].commit_term >= term)
        index--;
    return index;
}

/* ---- what came of it ----------------------------------------------------- */

enum err ledger_applied(struct ledger *ledger, raft_index index, revision at,
                        int64_t time_ns)
{
    if (index == 0 || index > ledger->commit)
        return err_set(ERR_CORRUPT, "index %llu is applied, not committed",
                       (unsigned long long)index);
    struct ledger_place *place = &ledger->places[index];
    if (place->revision == 0)
        place->revision = at;
    if (place->revision != at)
        return err_set(ERR_CORRUPT,
                       "index %llu: revision %lld, on another member %lld",
                       (unsigned long long)index, (long long)at,
                       (long long)place->revision);
    if (time_ns > place->time_max_ns)
        return err_set(ERR_CORRUPT,
                       "index %llu: a commit of a time that no entry is of",
                       (unsigned long long)index);
    return ERR_OK;
}

enum err ledger_hashed(struct ledger *ledger, raft_index index, uint32_t hash)
{
    CHECK(index > 0 && index <= ledger->commit);
    struct ledger_place *place = &ledger->places[index];
    if (place->is_hashed && place->hash != hash)
        return err_set(ERR_CORRUPT, "index %llu: hash %u, on another member %u",
                       (unsigned long long)index, hash, place->hash);
    place->is_hashed = true;
    place->hash = hash;
    return ERR_OK;
}

enum err ledger_same_record(const struct record *a, const struct record *b)
{
    const char *what = NULL;
    if (a->table != b->table || !slice_eq(a->key, b->key))
        what = "the key";
    else if (a->rev.main != b->rev.main || a->rev.sub != b->rev.sub)
        what = "the revision";
    else if (a->cause != b->cause || a->flags != b->flags)
        what = "the cause";
    else if (a->create != b->create || a->version != b->version)
        what = "the version";
    else if (a->prev.main != b->prev.main || a->prev.sub != b->prev.sub)
        what = "the record before";
    else if (a->lease != b->lease || a->expire_ns != b->expire_ns)
        what = "the lease";
    else if (a->time_ns != b->time_ns)
        what = "the time";
    else if (!slice_eq(a->value, b->value))
        what = "the value";
    if (what == NULL)
        return ERR_OK;
    return err_set(ERR_CORRUPT, "revision %lld, %.*s: members differ in %s",
                   (long long)a->rev.main, (int)a->key.size, a->key.at, what);
}

static enum err same_commit(const struct mvcc_commit *a,
                            const struct mvcc_commit *b)
{
    enum err err = ERR_OK;
    if (a->count != b->count || a->time_ns != b->time_ns)
        return err_set(ERR_CORRUPT,
                       "revision %lld: %u records at %lld, "
                       "on another member %u at %lld",
                       (long long)a->main, a->count, (long long)a->time_ns,
                       b->count, (long long)b->time_ns);
    for (uint32_t i = 0; err == ERR_OK && i < a->count; i++)
        err = ledger_same_record(&a->records[i], &b->records[i]);
    return err;
}

static struct ledger_key *find_key(struct ledger *ledger,
                                   const struct record *record)
{
    struct map *map = &ledger->keys[record->table];
    struct ledger_key *key = map_get(map, record->key);
    if (key == NULL) {
        key = arena_alloc(&ledger->arena, sizeof *key);
        *key = (struct ledger_key){.key = record->key};
        map_put(map, key);
    }
    return key;
}

static enum err wrong(const struct record *record, const char *what)
{
    return err_set(ERR_CORRUPT, "revision %lld.%u, %.*s: %s",
                   (long long)record->rev.main, record->rev.sub,
                   (int)record->key.size, record->key.at, what);
}

/* Does the record follow from the one before it (NULL: none, or its key was
 * gone)? */
static enum err follows(const struct record *record,
                        const struct record *before)
{
    bool tombstone = (record->flags & MVCC_TOMBSTONE) != 0;
    struct rev prev = before ? before->rev : (struct rev){0, 0};
    if (record->prev.main != prev.main || record->prev.sub != prev.sub)
        return wrong(record, "it doesn't name the record before it");
    if (tombstone && before == NULL)
        return wrong(record, "what ends here didn't live");
    if (tombstone)
        return ERR_OK;
    if (record->version == 1)
        return record->create == record->rev.main
                   ? ERR_OK
                   : wrong(record, "a new life that began elsewhere");
    if (before == NULL || record->version != before->version + 1 ||
        record->create != before->create)
        return wrong(record, "its version doesn't follow");
    return ERR_OK;
}

/* What the log says of a lease may be known later than what came of it; its
 * end only moves away. */
static enum err lease_in_time(const struct ledger *ledger,
                              const struct record *record, lease_id lease)
{
    const struct lessor_change *known = lessor_newest(&ledger->lessor, lease);
    if (known && record->time_ns < known->expire_ns)
        return wrong(record, "its lease ended before its time");
    return ERR_OK;
}

/* The head of an expiry is a node whose own time is over. */
static enum err in_time(const struct ledger *ledger,
                        const struct record *record,
                        const struct record *before)
{
    if (record->cause != MVCC_EXPIRE || (record->flags & MVCC_PART))
        return ERR_OK;
    if (before && before->lease && !lease_is_v2(before->lease))
        return lease_in_time(ledger, record, before->lease);
    if (before == NULL || before->expire_ns == 0)
        return wrong(record, "expired without a lease");
    if (record->time_ns < before->expire_ns)
        return wrong(record, "expired before its time");
    return ERR_OK;
}

static enum err add_record(struct ledger *ledger, const struct record *record)
{
    struct ledger_key *key = find_key(ledger, record);
    const struct record *before =
        key->count ? key->records[key->count - 1] : NULL;
    if (before && (before->flags & MVCC_TOMBSTONE))
        before = NULL;
    enum err err = follows(record, before);
    if (err == ERR_OK)
        err = in_time(ledger, record, before);
    key->records =
        grow(key->records, &key->capacity, key->count, sizeof *key->records);
    key->records[key->count++] = record;
    return err;
}

/* Where a lease of v3 ends, all its keys do, with it. */
static enum err ends_whole(const struct ledger *ledger,
                           const struct mvcc_commit *commit)
{
    const struct record *record = &commit->records[0];
    if (record->table != MVCC_KEYS || !(record->flags & MVCC_TOMBSTONE) ||
        (record->cause != MVCC_EXPIRE && record->cause != MVCC_REVOKE))
        return ERR_OK;
    const struct record *before =
        ledger_get(ledger, MVCC_KEYS, record->key, commit->main - 1);
    if (before == NULL || before->lease == 0 || lease_is_v2(before->lease))
        return ERR_OK;
    if (ledger_lease_keys(ledger, before->lease, commit->main) > 0)
        return wrong(record, "its lease ends, and has keys");
    return ERR_OK;
}

enum err ledger_change(struct ledger *ledger, struct mvcc_commit *commit)
{
    enum err err = ERR_OK;
    if (commit->main <= ledger->revision) {
        if (commit->main < 2)
            return err_set(ERR_CORRUPT, "a commit of revision %lld",
                           (long long)commit->main);
        return same_commit(commit, ledger->commits[commit->main]);
    }
    if (commit->main != ledger->revision + 1 || commit->count == 0)
        return err_set(ERR_CORRUPT, "revision %lld follows %lld",
                       (long long)commit->main, (long long)ledger->revision);
    if (commit->time_ns < ledger->time_ns)
        return err_set(ERR_CORRUPT, "revision %lld: its time runs backwards",
                       (long long)commit->main);
    ledger->commits = grow(ledger->commits, &ledger->commit_capacity,
                           (size_t)commit->main, sizeof *ledger->commits);
    ledger->commits[commit->main] = mvcc_commit_ref(commit);
    ledger->revision = commit->main;
    ledger->time_ns = commit->time_ns;
    for (uint32_t i = 0; err == ERR_OK && i < commit->count; i++)
        err = add_record(ledger, &commit->records[i]);
    return err == ERR_OK ? ends_whole(ledger, commit) : err;
}

const struct mvcc_commit *ledger_commit_at(const struct ledger *ledger,
                                           revision at)
{
    return at < 2 || at > ledger->revision ? NULL : ledger->commits[at];
}

static const struct record *living(const struct ledger_key *key, revision at)
{
    size_t low = 0;
    size_t high = key->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (key->records[middle]->rev.main <= at)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || (key->records[low - 1]->flags & MVCC_TOMBSTONE))
        return NULL;
    return key->records[low - 1];
}

const struct record *ledger_get(const struct ledger *ledger,
                                enum mvcc_table table, struct slice key,
                                revision at)
{
    const struct ledger_key *found = map_get(&ledger->keys[table], key);
    return found ? living(found, at) : NULL;
}

void ledger_count(const struct ledger *ledger, enum mvcc_table table,
                  revision at, struct ledger_sum *sum)
{
    size_t place = 0;
    const struct ledger_key *key;
    *sum = (struct ledger_sum){0};
    while ((key = map_next(&ledger->keys[table], &place)) != NULL) {
        const struct record *record = living(key, at);
        sum->keys += record != NULL;
        if (record && record->lease)
            *(lease_is_v2(record->lease) ? &sum->with_ttl : &sum->with_lease) +=
                1;
    }
}

size_t ledger_lease_keys(const struct ledger *ledger, lease_id lease,
                         revision at)
{
    size_t place = 0;
    size_t count = 0;
    const struct ledger_key *key;
    while ((key = map_next(&ledger->keys[MVCC_KEYS], &place)) != NULL) {
        const struct record *record = living(key, at);
        count += record != NULL && record->lease == lease;
    }
    return count;
}
