/* Random watchers, commits, delays, lags, compactions and losses, against a
 * naive twin that keeps every record and looks at all of them.
 *
 * The commits reach the hub late, through a queue, as they do on a thread
 * that has an inbox; some are lost on the way. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/prng.h"
#include "mvcc/watch.h"
#include "memory/kv_memory.h"

enum {
    SEEDS = 100,
    STEPS = 4000,
    PROBES = 60,
    KEYS = 12,
    QUEUE_MAX = 64,
    RECORDS_MAX = STEPS * 4,
};

/* ---- the twin ------------------------------------------------------------ */

struct twin_record {
    struct rev rev;
    enum mvcc_table table;
    uint32_t flags;
    unsigned key;
    uint64_t value;
};

static struct twin_record records[RECORDS_MAX];
static size_t record_count;

static struct slice key_of(unsigned i)
{
    static const char *const keys[KEYS] = {"/a",  "/a/b", "/a/b/c", "/a/c",
                                           "/ab", "/b",   "/b/",    "/b/b",
                                           "0",   "\xff", "z",      "/"};
    return slice_str(keys[i]);
}

struct probe {
    struct watcher watcher;
    size_t next;     /* in records: those before it were seen or not wanted */
    uint64_t leaves; /* after so many events; 0: never */
    uint64_t lags;
    bool in;
};

static bool wants(const struct probe *probe, const struct twin_record *record)
{
    const struct watcher *watcher = &probe->watcher;
    struct slice key = key_of(record->key);
    if ((watcher->tables >> record->table & 1) == 0)
        return false;
    if (watcher->end.at == NULL)
        return slice_eq(watcher->key, key);
    return slice_cmp(watcher->key, key) <= 0 &&
           (watcher->end.size == 0 || slice_cmp(key, watcher->end) < 0);
}

/* ---- the world ----------------------------------------------------------- */

static struct prng prng;
static struct kv *kv;
static struct mvcc *store;
static struct mvcc_reader *reader;
static struct watch_hub *hub;
static struct mvcc_commit *queue[QUEUE_MAX];
static size_t queue_count;
static revision newest; /* as the hub's thread has seen it */
static struct probe probes[PROBES];
static uint64_t events, expiries;

static revision current(void)
{
    struct mvcc_status status;
    mvcc_status(store, &status);
    return status.current;
}

static revision compacted(void)
{
    struct mvcc_status status;
    mvcc_status(store, &status);
    return status.compacted;
}

static void on_event(struct watcher *watcher, const struct record *record,
                     struct mvcc_commit *commit)
{
    struct probe *probe = (struct probe *)(void *)watcher;
    (void)commit;
    assert_true(probe->in);
    while (probe->next < record_count && !wants(probe, &records[probe->next]))
        probe->next++;
    assert_true(probe->next < record_count);
    const struct twin_record *expected = &records[probe->next++];
    assert_int_equal(record->rev.main, expected->rev.main);
    assert_int_equal(record->rev.sub, expected->rev.sub);
    assert_int_equal(record->table, expected->table);
    assert_int_equal(record->flags, expected->flags);
    assert_true(slice_eq(record->key, key_of(expected->key)));
    if ((record->flags & MVCC_TOMBSTONE) == 0)
        assert_int_equal(get_le64(record->value.at), expected->value);
    events++;
    if (probe->leaves && --probe->leaves == 0) {
        watch_hub_remove(hub, watcher);
        probe->in = false;
        memset(probe, 0x5a, sizeof *probe); /* as if it were freed */
        probe->in = false;
    } else if (probe->lags && --probe->lags == 0) {
        watch_lag(hub, watcher);
    }
}

static void on_compacted(struct watcher *watcher, revision at)
{
    struct probe *probe = (struct probe *)(void *)watcher;
    assert_true(probe->in);
    assert_int_equal(at, compacted());
    assert_true(watcher->next <= at);
    assert_true(watcher->next <= newest); /* else it is LIVE's */
    /* It had waited for something at or before it. */
    assert_true(probe->next == record_count ||
                records[probe->next].rev.main >= watcher->next ||
                !wants(probe, &records[probe->next]));
    memset(probe, 0x5a, sizeof *probe);
    probe->in = false;
    expiries++;
}

static void add(struct probe *probe)
{
    static const uint32_t tables[] = {1u << MVCC_KEYS, 1u << MVCC_KEYS,
                                      1u << MVCC_DIRS,
                                      1u << MVCC_KEYS | 1u << MVCC_DIRS};
    revision next = newest + 1; /* most start now */
    if (prng_below(&prng, 2))
        next = newest + 3 - (revision)prng_below(&prng, 60);
    *probe = (struct probe){
        .watcher = {.key = key_of((unsigned)prng_below(&prng, KEYS)),
                    .next = next,
                    .tables = tables[prng_below(&prng, 4)],
                    .on_event = on_event,
                    .on_compacted = on_compacted},
        .leaves = prng_below(&prng, 3) ? 0 : prng_below(&prng, 8),
        .lags = prng_below(&prng, 3) ? 0 : prng_below(&prng, 8),
        .in = true,
    };
    if (prng_below(&prng, 2))
        probe->watcher.end = prng_below(&prng, 4) == 0
                                 ? SLICE("")
                                 : key_of((unsigned)prng_below(&prng, KEYS));
    while (probe->next < record_count && records[probe->next].rev.main < next)
        probe->next++;
    watch_hub_add(hub, &probe->watcher, newest);
}

/* A `next` in the future: what comes before it isn't wanted. */
static void skip_the_unwanted_past(struct probe *probe, revision main)
{
    if (probe->in && probe->watcher.next > main)
        while (probe->next < record_count &&
               records[probe->next].rev.main < probe->watcher.next)
            probe->next++;
}

static void twin_add(enum mvcc_table table, uint32_t flags, unsigned key,
                     uint64_t value, uint32_t sub)
{
    records[record_count++] = (struct twin_record){
        .rev = {mvcc_next_revision(store), sub},
        .table = table,
        .flags = flags,
        .key = key,
        .value = value,
    };
}

static void write_record(uint32_t *sub)
{
    enum mvcc_table table = prng_below(&prng, 5) ? MVCC_KEYS : MVCC_DIRS;
    unsigned key = (unsigned)prng_below(&prng, KEYS);
    char value[8];
    if (prng_below(&prng, 4) == 0) {
        if (mvcc_delete(store, table, key_of(key), MVCC_DELETE, 0) == ERR_OK)
            twin_add(table, MVCC_TOMBSTONE, key, 0, (*sub)++);
        return;
    }
    uint64_t number = prng_next(&prng);
    put_le64(value, number);
    struct mvcc_put put = {.table = table,
                           .cause = MVCC_SET,
                           .key = key_of(key),
                           .value = slice_of(value, 8)};
    mvcc_put(store, &put);
    twin_add(table, 0, key, number, (*sub)++);
}

static void deliver_one(void)
{
    if (queue_count == 0)
        return;
    struct mvcc_commit *commit = queue[0];
    memmove(queue, queue + 1, --queue_count * sizeof *queue);
    newest = commit->main;
    watch_hub_commit(hub, commit);
    mvcc_commit_unref(commit);
}

static void write_commit(void)
{
    static int64_t time_ns;
    if (record_count + 4 > RECORDS_MAX)
        return;
    mvcc_begin(store, ++time_ns);
    uint32_t sub = 0;
    for (uint64_t n = prng_below(&prng, 3) ? 1 : prng_below(&prng, 5); n; n--)
        write_record(&sub);
    struct mvcc_commit *commit = mvcc_commit(store);
    assert_int_equal(commit != NULL, sub != 0);
    if (commit == NULL)
        return;
    for (size_t i = 0; i < PROBES; i++)
        skip_the_unwanted_past(&probes[i], commit->main);
    if (prng_below(&prng, 100) == 0) {
        mvcc_commit_unref(commit); /* lost on the way */
        return;
    }
    if (queue_count == QUEUE_MAX)
        deliver_one();
    queue[queue_count++] = commit;
}

static void flush(void)
{
    struct mvcc_flush *cut =
        mvcc_flush_begin(store, (size_t)prng_below(&prng, 100) + 1);
    if (cut == NULL)
        return;
    enum err err = mvcc_flush_write(cut);
    assert_int_equal(err, ERR_OK);
    mvcc_flush_done(store, cut, err);
    mvcc_flush_free(cut);
}

static bool catch_up(size_t records_max)
{
    mvcc_read_begin(reader);
    bool more = watch_catch_up(hub, reader, records_max);
    mvcc_read_end(reader);
    return more;
}

static void change_a_probe(void)
{
    struct probe *probe = &probes[prng_below(&prng, PROBES)];
    uint64_t what = prng_below(&prng, 10);
    if (!probe->in) {
        add(probe);
    } else if (what < 1) {
        watch_hub_remove(hub, &probe->watcher);
        probe->in = false;
    } else if (what < 4) {
        watch_lag(hub, &probe->watcher);
    } else {
        watch_resume(hub, &probe->watcher);
    }
}

/* Most of the time to what the hub has not all seen. */
static void compact(void)
{
    revision at = current() - (revision)prng_below(&prng, 100);
    if (at > compacted())
        assert_int_equal(mvcc_compact(store, at), ERR_OK);
}

static void step(void)
{
    uint64_t what = prng_below(&prng, 1000);
    if (what < 350)
        write_commit();
    else if (what < 600)
        deliver_one();
    else if (what < 800)
        change_a_probe();
    else if (what < 980)
        catch_up((size_t)prng_below(&prng, 50));
    else if (what < 995)
        flush();
    else if (what < 998)
        compact();
    else
        mvcc_compact_slice(store, (size_t)prng_below(&prng, 20) + 1);
}

/* All is delivered, nobody lags: then nobody may have anything left. */
static void settle(void)
{
    while (queue_count)
        deliver_one();
    for (size_t i = 0; i < PROBES; i++) {
        probes[i].lags = 0;
        if (probes[i].in)
            watch_resume(hub, &probes[i].watcher);
    }
    while (catch_up(100))
        ;
    for (size_t i = 0; i < PROBES; i++) {
        struct probe *probe = &probes[i];
        if (!probe->in)
            continue;
        for (; probe->next < record_count; probe->next++)
            if (records[probe->next].rev.main <= newest)
                assert_false(wants(probe, &records[probe->next]));
    }
}

static void live_a_life(uint64_t seed)
{
    prng_init(&prng, seed);
    record_count = 0;
    newest = 1;
    memset(probes, 0, sizeof probes);
    kv = kv_memory_new();
    struct mvcc_config config = {.kv = kv, .seed = seed};
    assert_int_equal(mvcc_open(&config, &store), ERR_OK);
    assert_int_equal(mvcc_reader_new(store, &reader), ERR_OK);
    hub = watch_hub_new(seed);
    for (unsigned i = 0; i < STEPS; i++)
        step();
    settle();
    size_t count = 0;
    for (size_t i = 0; i < PROBES; i++)
        count += probes[i].in;
    assert_int_equal(watch_hub_count(hub), count);
    for (size_t i = 0; i < PROBES; i++)
        if (probes[i].in)
            watch_hub_remove(hub, &probes[i].watcher);
    watch_hub_free(hub);
    mvcc_reader_free(reader);
    mvcc_close(store);
    kv_memory_free(kv);
}

static uint64_t life; /* 0: all are over */

static int say_which_life(void **state)
{
    (void)state;
    if (life)
        print_error("it was the life of seed %u\n", (unsigned)life);
    return 0;
}

static void nothing_is_lost_and_nothing_comes_twice(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        life = seed;
        live_a_life(seed);
    }
    life = 0;
    /* The lives were full ones. */
    assert_true(events > 10000);
    assert_true(expiries > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(nothing_is_lost_and_nothing_comes_twice,
                                  say_which_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
