/* A random life of the store against a naive twin: arrays of all that was
 * ever written.
 *
 * Transactions, reads at any revision, meta, compaction in slices, flushes
 * that end in the middle of the tail, flushes that fail, and restarts that
 * lose what was not flushed. The seed is printed; SEED=n plays it again.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/prng.h"
#include "mvcc/mvcc_int.h"
#include "memory/kv_memory.h"

enum {
    OPERATIONS = 2000000,
    SECONDS_MAX = 60, /* on a slow machine, with sanitizers */
    KEYS = 700,
    KEY_BYTES_MAX = 40,
    METAS = 12,
    MARKS_MAX = 100000,
    WALK_MAX = 40,
};

/* ---- the twin ------------------------------------------------------------ */

struct twin_record {
    enum mvcc_table table;
    enum mvcc_cause cause;
    uint32_t flags;
    struct rev rev;
    revision create;
    int64_t version;
    struct rev prev;
    lease_id lease;
    int64_t expire_ns;
    int64_t time_ns;
    uint32_t key;
};

/* The records of one key, as places in `records`. */
struct twin_key {
    uint32_t *at;
    size_t count, capacity;
};

struct twin_mark {
    uint64_t index;
    uint64_t term;
    revision main;
    revision compacted;
    int64_t compacted_time_ns;
    uint64_t meta[METAS];
};

struct twin {
    struct twin_record *records;
    size_t count, capacity;
    struct twin_key keys[MVCC_TABLE_COUNT][KEYS];
    revision current;
    int64_t time_ns;
    revision compacted;
    int64_t compacted_time_ns;
    uint64_t meta[METAS]; /* 0: none */
    uint64_t index, term;
    struct twin_mark marks[MARKS_MAX];
    size_t mark_count;
    struct twin_mark durable;
};

struct world {
    struct prng prng;
    struct kv *kv;
    struct mvcc *mvcc;
    struct mvcc_reader *reader;
    struct mvcc_flush *flush; /* begun, and written if `written` */
    bool is_written;
    bool lags; /* flushes are small: the file is far behind */
    enum err written;
    char key_bytes[KEYS][KEY_BYTES_MAX];
    struct slice keys[KEYS]; /* in order */
    struct twin twin;
    uint64_t flushes, failures, restarts, compactions, reads;
};

static struct world world; /* large, and zero at first */

static uint64_t below(uint64_t bound)
{
    return prng_below(&world.prng, bound);
}

static bool one_in(uint64_t n)
{
    return below(n) == 0;
}

/* ---- keys and values ----------------------------------------------------- */

static int compare_slices(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

/* Short ones, long common beginnings, zero bytes, one the other's prefix. */
static size_t random_key(char *to)
{
    static const char *const roots[] = {"", "/", "/registry/pods/default/",
                                        "/registry/", "\xff\xff"};
    const char *root = roots[below(5)];
    size_t size = strlen(root);
    memcpy(to, root, size);
    size_t more = below(10);
    for (size_t i = 0; i < more; i++)
        to[size++] = one_in(4) ? '\0' : (char)('a' + (int)below(4));
    return size;
}

static void make_keys(void)
{
    for (size_t i = 0; i < KEYS;) {
        size_t size = random_key(world.key_bytes[i]);
        world.keys[i] = slice_of(world.key_bytes[i], size);
        size_t same = 0;
        while (same < i && !slice_eq(world.keys[same], world.keys[i]))
            same++;
        i += same == i && size > 0;
    }
    qsort(world.keys, KEYS, sizeof world.keys[0], compare_slices);
}

/* A value follows from its revision and key: the twin needs to keep none. */
static struct slice value_of(struct rev rev, uint32_t key)
{
    static char bytes[4096];
    uint64_t mix = ((uint64_t)rev.main * 31 + rev.sub) * 701 + key;
    size_t size = mix % 97 == 0 ? 3000 : mix % 50;
    memset(bytes, (int)('A' + mix % 26), size);
    if (size >= 8)
        put_le64(bytes, mix);
    return slice_of(bytes, size);
}

/* ---- what the twin answers ----------------------------------------------- */

static struct twin_record *twin_at(enum mvcc_table table, uint32_t key,
                                   revision at)
{
    const struct twin_key *revs = &world.twin.keys[table][key];
    for (size_t i = revs->count; i-- > 0;) {
        struct twin_record *record = &world.twin.records[revs->at[i]];
        if (record->rev.main <= at)
            return record;
    }
    return NULL;
}

static struct twin_record *twin_live(enum mvcc_table table, uint32_t key,
                                     revision at)
{
    struct twin_record *record = twin_at(table, key, at);
    return record && !(record->flags & MVCC_TOMBSTONE) ? record : NULL;
}

static struct twin_record *twin_add(enum mvcc_table table, uint32_t key)
{
    struct twin *twin = &world.twin;
    struct twin_key *revs = &twin->keys[table][key];
    if (twin->count == twin->capacity) {
        twin->capacity = twin->capacity * 2 + 1024;
        twin->records =
            mem_realloc(twin->records, twin->capacity * sizeof *twin->records);
    }
    if (revs->count == revs->capacity) {
        revs->capacity = revs->capacity * 2 + 8;
        revs->at = mem_realloc(revs->at, revs->capacity * sizeof *revs->at);
    }
    revs->at[revs->count++] = (uint32_t)twin->count;
    struct twin_record *record = &twin->records[twin->count++];
    *record = (struct twin_record){.table = table, .key = key};
    return record;
}

/* The first record at or after `from`. */
static size_t twin_find(struct rev from)
{
    const struct twin *twin = &world.twin;
    size_t low = 0, high = twin->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        struct rev rev = twin->records[middle].rev;
        if (rev.main < from.main ||
            (rev.main == from.main && rev.sub < from.sub))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void twin_mark(void)
{
    struct twin *twin = &world.twin;
    assert_true(twin->mark_count < MARKS_MAX);
    struct twin_mark *mark = &twin->marks[twin->mark_count++];
    *mark = (struct twin_mark){
        .index = twin->index,
        .term = twin->term,
        .main = twin->current,
        .compacted = twin->compacted,
        .compacted_time_ns = twin->compacted_time_ns,
    };
    memcpy(mark->meta, twin->meta, sizeof mark->meta);
}

/* The store says how far it flushed; that must be one of the marks. */
static void twin_flushed(uint64_t index)
{
    struct twin *twin = &world.twin;
    if (index == twin->durable.index)
        return;
    size_t at = 0;
    while (at < twin->mark_count && twin->marks[at].index != index)
        at++;
    assert_true(at < twin->mark_count);
    twin->durable = twin->marks[at];
    twin->mark_count -= at + 1;
    memmove(twin->marks, twin->marks + at + 1,
            twin->mark_count * sizeof twin->marks[0]);
}

static void twin_restart(void)
{
    struct twin *twin = &world.twin;
    const struct twin_mark *mark = &twin->durable;
    while (twin->count > 0) {
        const struct twin_record *last = &twin->records[twin->count - 1];
        if (last->rev.main <= mark->main)
            break;
        twin->keys[last->table][last->key].count--;
        twin->count--;
    }
    twin->current = mark->main;
    twin->time_ns = twin->count ? twin->records[twin->count - 1].time_ns : 0;
    twin->compacted = mark->compacted;
    twin->compacted_time_ns = mark->compacted_time_ns;
    memcpy(twin->meta, mark->meta, sizeof twin->meta);
    twin->index = mark->index;
    twin->term = mark->term;
    twin->mark_count = 0;
}

/* ---- comparing ----------------------------------------------------------- */

static void assert_rev(struct rev got, struct rev want)
{
    assert_int_equal(got.main, want.main);
    assert_int_equal(got.sub, want.sub);
}

static void assert_same(const struct record *got,
                        const struct twin_record *want)
{
    struct slice value = value_of(want->rev, want->key);
    if (want->flags & MVCC_TOMBSTONE)
        value.size = 0;
    assert_rev(got->rev, want->rev);
    assert_int_equal(got->table, want->table);
    assert_int_equal(got->cause, want->cause);
    assert_int_equal(got->flags, want->flags);
    assert_int_equal(got->create, want->create);
    assert_int_equal(got->version, want->version);
    assert_rev(got->prev, want->prev);
    assert_int_equal(got->lease, want->lease);
    assert_int_equal(got->expire_ns, want->expire_ns);
    assert_int_equal(got->time_ns, want->time_ns);
    assert_true(slice_eq(got->key, world.keys[want->key]));
    assert_true(slice_eq(got->value, value));
}

/* What a read at `at` is refused with; ERR_OK: it isn't. */
static enum err refusal(revision at, revision now)
{
    if (at > now)
        return ERR_FUTURE_REVISION;
    if (at != 0 && at < world.twin.compacted)
        return ERR_COMPACTED;
    return ERR_OK;
}

static revision random_at(revision now)
{
    switch (below(8)) {
    case 0:
        return now + 1 + (revision)below(3);
    case 1:
        return world.twin.compacted;
    case 2:
        return 1 + (revision)below((uint64_t)now);
    case 3:
    case 4: {
        revision near = now - (revision)below(200);
        return near > 0 ? near : 1;
    }
    default:
        return 0;
    }
}

/* ---- reading ------------------------------------------------------------- */

static void read_key(revision now)
{
    enum mvcc_table table = (enum mvcc_table)below(MVCC_TABLE_COUNT);
    uint32_t key = (uint32_t)below(KEYS);
    revision at = random_at(now);
    struct record record;
    struct rev rev;
    enum err want = refusal(at, now);
    struct twin_record *twin = twin_live(table, key, at ? at : now);
    if (want == ERR_OK && twin == NULL)
        want = ERR_NOT_FOUND;
    enum err err = mvcc_find(world.reader, table, world.keys[key], at, &rev);
    assert_int_equal(err, want);
    err = mvcc_get(world.reader, table, world.keys[key], at, &record);
    assert_int_equal(err, want);
    if (err == ERR_OK) {
        assert_rev(rev, twin->rev);
        assert_same(&record, twin);
    }
}

static void read_walk(revision now)
{
    enum mvcc_table table = (enum mvcc_table)below(MVCC_TABLE_COUNT);
    uint32_t from = (uint32_t)below(KEYS);
    uint32_t end = one_in(3) ? KEYS : (uint32_t)below(KEYS);
    struct slice end_key = end == KEYS ? slice_of(NULL, 0) : world.keys[end];
    revision at = random_at(now);
    struct mvcc_walk walk;
    enum err want = refusal(at, now);
    enum err err = mvcc_walk_init(&walk, world.reader, table, world.keys[from],
                                  end_key, at);
    assert_int_equal(err, want);
    if (err != ERR_OK)
        return;
    struct slice key;
    struct rev rev;
    uint32_t next = from;
    for (int steps = 0; steps < WALK_MAX; steps++) {
        struct twin_record *twin = NULL;
        while (next < end && twin == NULL)
            twin = twin_live(table, next++, at ? at : now);
        err = mvcc_walk_next(&walk, &key, &rev);
        if (twin == NULL) {
            assert_int_equal(err, ERR_END);
            return;
        }
        assert_int_equal(err, ERR_OK);
        assert_true(slice_eq(key, world.keys[twin->key]));
        assert_rev(rev, twin->rev);
        if (one_in(20)) {
            next = from + (uint32_t)below(KEYS - from);
            mvcc_walk_seek(&walk, world.keys[next]);
        }
    }
}

static void read_count(revision now)
{
    enum mvcc_table table = (enum mvcc_table)below(MVCC_TABLE_COUNT);
    uint32_t from = (uint32_t)below(KEYS);
    uint32_t end = one_in(3) ? KEYS : (uint32_t)below(KEYS);
    revision at = one_in(3) ? random_at(now) : 0;
    uint64_t count, want = 0;
    enum err err = mvcc_count(world.reader, table, world.keys[from],
                              end == KEYS ? slice_of(NULL, 0) : world.keys[end],
                              at, &count);
    assert_int_equal(err, refusal(at, now));
    if (err != ERR_OK)
        return;
    for (uint32_t key = from; key < end; key++)
        want += twin_live(table, key, at ? at : now) != NULL;
    assert_int_equal(count, want);
}

static void read_history(revision now)
{
    const struct twin *twin = &world.twin;
    struct rev from = {(revision)below((uint64_t)now + 2), 0};
    if (one_in(2))
        from.main = now - (revision)below(100);
    from.sub = (uint32_t)below(4);
    size_t at = twin_find(from);
    for (int i = 0; i < 8; i++) {
        struct record record;
        enum err err = mvcc_history(world.reader, from, &record);
        if (twin->compacted > 0 && from.main <= twin->compacted) {
            assert_int_equal(err, ERR_COMPACTED);
            return;
        }
        if (at == twin->count) {
            assert_int_equal(err, ERR_END);
            return;
        }
        assert_int_equal(err, ERR_OK);
        assert_same(&record, &twin->records[at++]);
        from = record.rev;
        from.sub++;
        if (one_in(4)) {
            from = (struct rev){record.rev.main + 1, 0};
            at = twin_find(from);
        }
    }
}

static void read_key_history(revision now)
{
    const struct twin *twin = &world.twin;
    enum mvcc_table table = (enum mvcc_table)below(MVCC_TABLE_COUNT);
    uint32_t key = (uint32_t)below(KEYS);
    revision from = now - (revision)below((uint64_t)now + 1);
    const struct twin_key *revs = &twin->keys[table][key];
    const struct twin_record *want = NULL;
    for (size_t i = revs->count; i-- > 0;) {
        if (twin->records[revs->at[i]].rev.main < from)
            break;
        want = &twin->records[revs->at[i]];
    }
    struct rev rev;
    enum err err =
        mvcc_key_history(world.reader, table, world.keys[key], from, &rev);
    if (twin->compacted > 0 && from <= twin->compacted) {
        assert_int_equal(err, ERR_COMPACTED);
        return;
    }
    assert_int_equal(err, want ? ERR_OK : ERR_END);
    if (want)
        assert_rev(rev, want->rev);
}

/* A record that reads at the compaction still see is there; others of before
 * may be. */
static void read_rev(revision now)
{
    const struct twin *twin = &world.twin;
    if (twin->count == 0)
        return;
    const struct twin_record *want = &twin->records[below(twin->count)];
    struct record record;
    enum err err = mvcc_get_rev(world.reader, want->rev, &record);
    bool kept = want->rev.main > twin->compacted ||
                twin_live(want->table, want->key, twin->compacted) == want;
    if (kept)
        assert_int_equal(err, ERR_OK);
    if (err == ERR_OK)
        assert_same(&record, want);
    else
        assert_int_equal(err, ERR_COMPACTED);
    struct rev none = {now, 1000};
    assert_true(mvcc_get_rev(world.reader, none, &record) != ERR_OK);
    none = (struct rev){now + 1, 0};
    assert_int_equal(mvcc_get_rev(world.reader, none, &record),
                     ERR_FUTURE_REVISION);
}

static void read_clock(void)
{
    const struct twin *twin = &world.twin;
    int64_t time_ns = twin->time_ns - (int64_t)below(5000);
    revision first = twin->compacted > 1 ? twin->compacted + 1 : 2;
    size_t low = twin_find((struct rev){first, 0});
    size_t high = twin_find((struct rev){twin->current + 1, 0});
    size_t at = low;
    for (size_t size = high - low; size > 0;) {
        size_t half = size / 2;
        if (twin->records[at + half].time_ns <= time_ns) {
            at += half + 1;
            size -= half + 1;
        } else {
            size = half;
        }
    }
    enum err want = ERR_OK;
    revision main = at > low ? twin->records[at - 1].rev.main : 0;
    if (at == low) {
        main = twin->compacted;
        if (twin->compacted <= 1)
            want = ERR_NOT_FOUND;
        else if (time_ns < twin->compacted_time_ns)
            want = ERR_COMPACTED;
    }
    revision got;
    assert_int_equal(mvcc_revision_at(world.reader, time_ns, &got), want);
    if (want == ERR_OK)
        assert_int_equal(got, main);
}

static void read_something(revision now)
{
    world.reads++;
    switch (below(12)) {
    case 0:
        read_walk(now);
        break;
    case 1:
        read_count(now);
        break;
    case 2:
        read_history(now);
        break;
    case 3:
        read_key_history(now);
        break;
    case 4:
        read_rev(now);
        break;
    case 5:
        if (now == world.twin.current)
            read_clock();
        break;
    default:
        read_key(now);
        break;
    }
}

static void do_reads(void)
{
    mvcc_read_begin(world.reader);
    for (uint64_t n = 1 + below(4); n > 0; n--)
        read_something(world.twin.current);
    mvcc_read_end(world.reader);
}

/* ---- writing ------------------------------------------------------------- */

static void write_put(revision main, uint32_t sub, int64_t time_ns)
{
    uint32_t key = (uint32_t)below(KEYS);
    struct mvcc_put put = {
        .table = one_in(5) ? MVCC_DIRS : MVCC_KEYS,
        .cause = (enum mvcc_cause)(1 + below(11)),
        .flags = one_in(6) ? MVCC_PART : 0,
        .key = world.keys[key],
        .value = value_of((struct rev){main, sub}, key),
        .lease = one_in(4) ? (lease_id)prng_next(&world.prng) : 0,
        .expire_ns = one_in(5) ? (int64_t)prng_next(&world.prng) : 0,
        .anew = one_in(5),
    };
    const struct twin_record *old =
        twin_live(put.table, key, world.twin.current + 1);
    struct rev prev = {0};
    revision create = main;
    int64_t version = 1;
    if (old != NULL) {
        prev = old->rev;
        create = put.anew ? main : old->create;
        version = put.anew ? 1 : old->version + 1;
    }
    mvcc_put(world.mvcc, &put);
    struct twin_record *record = twin_add(put.table, key);
    record->cause = put.cause;
    record->flags = put.flags;
    record->rev = (struct rev){main, sub};
    record->create = create;
    record->version = version;
    record->prev = prev;
    record->lease = put.lease;
    record->expire_ns = put.expire_ns;
    record->time_ns = time_ns;
}

static bool write_delete(revision main, uint32_t sub, int64_t time_ns)
{
    uint32_t key = (uint32_t)below(KEYS);
    enum mvcc_table table = one_in(5) ? MVCC_DIRS : MVCC_KEYS;
    const struct twin_record *old = twin_live(table, key, main);
    enum err err =
        mvcc_delete(world.mvcc, table, world.keys[key], MVCC_EXPIRE, 0);
    assert_int_equal(err, old ? ERR_OK : ERR_NOT_FOUND);
    if (old == NULL)
        return false;
    struct rev prev = old->rev;
    struct twin_record *record = twin_add(table, key);
    record->cause = MVCC_EXPIRE;
    record->flags = MVCC_TOMBSTONE;
    record->rev = (struct rev){main, sub};
    record->prev = prev;
    record->time_ns = time_ns;
    return true;
}

static void check_commit(struct mvcc_commit *commit, uint32_t count)
{
    const struct twin *twin = &world.twin;
    assert_int_equal(commit->count, count);
    assert_int_equal(commit->main, twin->current);
    for (uint32_t i = 0; i < count; i++)
        assert_same(&commit->records[i],
                    &twin->records[twin->count - count + i]);
    mvcc_commit_unref(commit);
}

static void do_transaction(void)
{
    struct twin *twin = &world.twin;
    int64_t time_ns = twin->time_ns + (int64_t)below(20) - 3;
    mvcc_begin(world.mvcc, time_ns);
    revision main = mvcc_next_revision(world.mvcc);
    assert_int_equal(main, twin->current + 1);
    time_ns = time_ns < twin->time_ns ? twin->time_ns : time_ns;
    assert_int_equal(mvcc_begin_time_ns(world.mvcc), time_ns);
    uint32_t count = 0;
    for (uint64_t n = below(4); n > 0; n--) {
        if (one_in(3))
            count += write_delete(main, count, time_ns);
        else
            write_put(main, count++, time_ns);
        if (one_in(4) && count > 0) {
            mvcc_read_begin(world.reader);
            read_something(main);
            mvcc_read_end(world.reader);
        }
    }
    struct mvcc_commit *commit = mvcc_commit(world.mvcc);
    if (count == 0) {
        assert_null(commit);
        return;
    }
    twin->current = main;
    twin->time_ns = time_ns;
    check_commit(commit, count);
}

static struct slice meta_name(size_t i, char *to)
{
    return slice_of(
        to, (size_t)snprintf(to, 32, "%s/%zu", i % 2 ? "lease" : "member", i));
}

static void do_meta(void)
{
    struct twin *twin = &world.twin;
    size_t i = below(METAS);
    char name[32];
    struct slice value;
    bool there = mvcc_meta_get(world.mvcc, meta_name(i, name), &value);
    assert_int_equal(there, twin->meta[i] != 0);
    if (there)
        assert_int_equal(get_le64(value.at), twin->meta[i]);
    uint64_t number = one_in(3) ? 0 : prng_next(&world.prng) | 1;
    value = number ? slice_of(&number, 8) : slice_of(NULL, 0);
    mvcc_meta_put(world.mvcc, meta_name(i, name), value);
    twin->meta[i] = number;
}

static void do_applied(void)
{
    struct twin *twin = &world.twin;
    twin->index++;
    twin->term += one_in(50);
    mvcc_set_applied(world.mvcc, twin->index, twin->term);
    twin_mark();
}

/* ---- compaction, flush, restart ------------------------------------------ */

static void do_compact(void)
{
    struct twin *twin = &world.twin;
    revision at = twin->current - (revision)below(300);
    enum err err = mvcc_compact(world.mvcc, at);
    if (at <= twin->compacted) {
        assert_int_equal(err, ERR_COMPACTED);
        return;
    }
    assert_int_equal(err, ERR_OK);
    twin->compacted = at;
    twin->compacted_time_ns = 0;
    size_t next = twin_find((struct rev){at + 1, 0});
    if (next > 0)
        twin->compacted_time_ns = twin->records[next - 1].time_ns;
    world.compactions++;
    assert_int_equal(mvcc_compact(world.mvcc, twin->current + 1),
                     ERR_FUTURE_REVISION);
}

static void do_flush(void)
{
    if (world.flush == NULL) {
        uint64_t most = world.lags ? 5 : 400;
        world.flush = mvcc_flush_begin(world.mvcc, 1 + below(most));
        world.is_written = false;
    } else if (!world.is_written) {
        if (one_in(6))
            kv_memory_fail_after(world.kv, 1 + below(40), ERR_DISK_FULL);
        world.written = mvcc_flush_write(world.flush);
        world.is_written = true;
        kv_memory_fail_after(world.kv, 0, ERR_OK);
        world.failures += world.written != ERR_OK;
    } else {
        mvcc_flush_done(world.mvcc, world.flush, world.written);
        mvcc_flush_free(world.flush);
        world.flush = NULL;
        world.flushes++;
        struct mvcc_status status;
        mvcc_status(world.mvcc, &status);
        twin_flushed(status.flushed_index);
    }
}

static void check_status(void)
{
    const struct twin *twin = &world.twin;
    struct mvcc_status status;
    mvcc_status(world.mvcc, &status);
    uint64_t live[MVCC_TABLE_COUNT] = {0};
    for (unsigned table = 0; table < MVCC_TABLE_COUNT; table++)
        for (uint32_t key = 0; key < KEYS; key++)
            live[table] +=
                twin_live((enum mvcc_table)table, key, twin->current) != NULL;
    assert_int_equal(status.keys, live[MVCC_KEYS]);
    assert_int_equal(status.dirs, live[MVCC_DIRS]);
    assert_int_equal(status.current, twin->current);
    assert_int_equal(status.compacted, twin->compacted);
    assert_int_equal(status.applied_index, twin->index);
    assert_int_equal(status.applied_term, twin->term);
    assert_int_equal(status.flushed_index, twin->durable.index);
    assert_int_equal(status.time_ns, twin->time_ns);
    for (unsigned table = 0; table < MVCC_TABLE_COUNT; table++)
        index__verify(&world.mvcc->tables[table]);
    index__verify(&world.mvcc->meta.index);
}

static void open_store(void)
{
    struct mvcc_config config = {.kv = world.kv, .seed = 7};
    assert_int_equal(mvcc_open(&config, &world.mvcc), ERR_OK);
    assert_int_equal(mvcc_reader_new(world.mvcc, &world.reader), ERR_OK);
}

/* An entry stays in the index while a read at or after the compaction could
 * ask for it. */
static void check_entries(enum mvcc_table table)
{
    const struct twin *twin = &world.twin;
    uint64_t entries = 0;
    for (uint32_t key = 0; key < KEYS; key++) {
        const struct twin_record *newest = twin_at(table, key, twin->current);
        entries += newest && (newest->rev.main > twin->compacted ||
                              !(newest->flags & MVCC_TOMBSTONE));
    }
    assert_int_equal(world.mvcc->tables[table].count, entries);
}

/* Where every key is, at a revision. */
static void check_all(revision at)
{
    const struct twin *twin = &world.twin;
    if (at < twin->compacted || at < 1)
        return;
    mvcc_read_begin(world.reader);
    for (unsigned table = 0; table < MVCC_TABLE_COUNT; table++)
        for (uint32_t key = 0; key < KEYS; key++) {
            const struct twin_record *want =
                twin_live((enum mvcc_table)table, key, at);
            struct record record;
            enum err err = mvcc_get(world.reader, (enum mvcc_table)table,
                                    world.keys[key], at, &record);
            assert_int_equal(err, want ? ERR_OK : ERR_NOT_FOUND);
            if (want)
                assert_same(&record, want);
        }
    mvcc_read_end(world.reader);
}

static uint64_t count_file(void)
{
    struct kv_txn *txn;
    struct kv_cursor *cursor;
    struct slice key, value;
    uint64_t count = 0;
    const struct kv_ops *ops = world.kv->ops;
    assert_int_equal(ops->begin_read(world.kv, &txn), ERR_OK);
    assert_int_equal(ops->cursor_open(world.kv, txn, MVCC_KV_RECORDS, &cursor),
                     ERR_OK);
    enum err err =
        ops->cursor_seek(world.kv, cursor, SLICE("\0"), &key, &value);
    for (; err == ERR_OK; count++)
        err = ops->cursor_next(world.kv, cursor, &key, &value);
    assert_int_equal(err, ERR_END);
    ops->cursor_close(world.kv, cursor);
    ops->end_read(world.kv, txn);
    return count;
}

static uint64_t count_index(void)
{
    uint64_t count = 0;
    for (unsigned table = 0; table < MVCC_TABLE_COUNT; table++) {
        const struct leaf *leaf;
        size_t slot;
        index__seek(&world.mvcc->tables[table], SLICE(""), &leaf, &slot);
        for (; leaf; leaf = leaf->next)
            for (uint32_t i = 0; i < leaf->count; i++)
                count += revs__count(leaf->entry[i]);
    }
    return count;
}

/* All of it: then the file has what the index has, and no more. */
static void do_flush_all(void)
{
    while (mvcc_compact_slice(world.mvcc, 50)) {
    }
    while (world.flush)
        do_flush();
    while ((world.flush = mvcc_flush_begin(world.mvcc, 200))) {
        world.written = mvcc_flush_write(world.flush);
        assert_int_equal(world.written, ERR_OK);
        world.is_written = true;
        do_flush();
    }
    struct mvcc_status status;
    mvcc_status(world.mvcc, &status);
    assert_int_equal(status.flushed_index, world.twin.durable.index);
    if (status.tail_commits == 0) {
        assert_int_equal(count_file(), count_index());
        check_entries(MVCC_KEYS);
        check_entries(MVCC_DIRS);
    }
}

/* What is being written when the process dies is in the file or isn't; here
 * it is not. */
static void do_restart(void)
{
    if (world.flush != NULL) {
        while (world.flush != NULL)
            do_flush();
    }
    mvcc_reader_free(world.reader);
    mvcc_close(world.mvcc);
    world.kv = kv_memory_reopen(world.kv);
    twin_restart();
    open_store();
    world.restarts++;
    check_status();
    check_all(world.twin.current);
    check_all(world.twin.compacted);
    check_all(world.twin.current - (revision)below(100));
}

/* ---- the life ------------------------------------------------------------ */

static void step(void)
{
    uint64_t dice = below(1000);
    if (dice < 300)
        do_transaction();
    else if (dice < 600)
        do_applied();
    else if (dice < 640)
        do_meta();
    else if (dice < 690)
        do_flush();
    else if (dice < 740)
        mvcc_compact_slice(world.mvcc, 1 + below(100));
    else if (dice < 742)
        do_compact();
    else
        do_reads();
    if (one_in(2000))
        do_restart();
    if (one_in(1500))
        world.lags = !world.lags;
    if (one_in(4000)) {
        do_applied();
        do_flush_all();
        assert_int_equal(world.twin.durable.index, world.twin.index);
    }
    if (one_in(2000))
        check_status();
}

static void close_world(void)
{
    if (world.flush != NULL) {
        mvcc_flush_done(world.mvcc, world.flush, ERR_IO);
        mvcc_flush_free(world.flush);
    }
    mvcc_reader_free(world.reader);
    mvcc_close(world.mvcc);
    kv_memory_free(world.kv);
    mem_free(world.twin.records);
    for (unsigned table = 0; table < MVCC_TABLE_COUNT; table++)
        for (uint32_t key = 0; key < KEYS; key++)
            mem_free(world.twin.keys[table][key].at);
}

static void test_a_random_life(void **state)
{
    (void)state;
    const char *given = getenv("SEED");
    time_t begin = time(NULL);
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)begin;
    print_message("SEED=%llu\n", (unsigned long long)seed);
    prng_init(&world.prng, seed);
    make_keys();
    world.kv = kv_memory_new();
    world.twin.current = MVCC_FIRST_REVISION;
    world.twin.durable.main = MVCC_FIRST_REVISION;
    open_store();
    do_applied(); /* from now on a log drives it */
    size_t done = 0;
    for (; done < OPERATIONS; done++) {
        step();
        if (done % 1000 == 0 && time(NULL) - begin > SECONDS_MAX)
            break;
    }
    do_restart();
    print_message("%zu operations, %llu revisions, %llu reads, %llu flushes "
                  "(%llu failed), %llu compactions, %llu restarts\n",
                  done, (unsigned long long)world.twin.current,
                  (unsigned long long)world.reads,
                  (unsigned long long)world.flushes,
                  (unsigned long long)world.failures,
                  (unsigned long long)world.compactions,
                  (unsigned long long)world.restarts);
    close_world();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_random_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
