/* Stories of watching. What a watcher was given is one line of text: for
 * each record "main.sub key=value", a tombstone without "=", then " live" or
 * nothing, and ";". */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/plant.h"
#include "memory/kv_memory.h"
#include "mvcc/watch.h"

/* ---- a little language --------------------------------------------------- */

static struct kv *kv;
static struct mvcc *store;
static struct mvcc_reader *reader;
static struct watch_hub *hub;
static int64_t clock_ns;

struct probe {
    struct watcher watcher;
    struct buf seen;
    unsigned events;
    unsigned remove_at; /* takes itself out at this event; 0: never */
    unsigned lag_at;
    revision compacted; /* as it was told; 0: it wasn't */
};

static int setup(void **state)
{
    (void)state;
    kv = kv_memory_new();
    struct mvcc_config config = {.kv = kv, .seed = 1};
    assert_int_equal(mvcc_open(&config, &store), ERR_OK);
    assert_int_equal(mvcc_reader_new(store, &reader), ERR_OK);
    hub = watch_hub_new(7);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    watch_hub_free(hub);
    mvcc_reader_free(reader);
    mvcc_close(store);
    kv_memory_free(kv);
    return 0;
}

static void on_event(struct watcher *watcher, const struct record *record,
                     struct mvcc_commit *commit)
{
    struct probe *probe = (struct probe *)(void *)watcher;
    buf_append_i64(&probe->seen, record->rev.main);
    buf_append_char(&probe->seen, '.');
    buf_append_u64(&probe->seen, record->rev.sub);
    buf_append_char(&probe->seen, ' ');
    buf_append_slice(&probe->seen, record->key);
    if ((record->flags & MVCC_TOMBSTONE) == 0) {
        buf_append_char(&probe->seen, '=');
        buf_append_slice(&probe->seen, record->value);
    }
    buf_append_str(&probe->seen, commit ? " live;" : ";");
    if (commit)
        assert_ptr_equal(record, &commit->records[record->rev.sub]);
    probe->events++;
    if (probe->events == probe->remove_at)
        watch_hub_remove(hub, watcher);
    else if (probe->events == probe->lag_at)
        watch_lag(hub, watcher);
}

static void on_compacted(struct watcher *watcher, revision compacted)
{
    struct probe *probe = (struct probe *)(void *)watcher;
    assert_true(compacted > 0);
    assert_int_equal(probe->compacted, 0);
    probe->compacted = compacted;
}

static revision now(void)
{
    struct mvcc_status status;
    mvcc_status(store, &status);
    return status.current;
}

/* A watcher of [key, end) ("" : no upper end; NULL: just the key). */
static void watch_on(struct probe *probe, uint32_t tables, const char *key,
                     const char *end, revision next)
{
    *probe = (struct probe){
        .watcher = {.key = slice_str(key),
                    .end = slice_str(end),
                    .next = next,
                    .tables = tables,
                    .on_event = on_event,
                    .on_compacted = on_compacted},
    };
    watch_hub_add(hub, &probe->watcher, now());
}

static void watch(struct probe *probe, const char *key, const char *end,
                  revision next)
{
    watch_on(probe, 1u << MVCC_KEYS, key, end, next);
}

static void unwatch(struct probe *probe)
{
    watch_hub_remove(hub, &probe->watcher);
    buf_deinit(&probe->seen);
}

/* Looks at what came since the last look. */
static void expect_seen(struct probe *probe, const char *text)
{
    buf_append_char(&probe->seen, 0);
    assert_string_equal(probe->seen.at, text);
    buf_reset(&probe->seen);
}

static void put_in(enum mvcc_table table, const char *key, const char *value)
{
    struct mvcc_put put = {.table = table,
                           .cause = MVCC_PUT,
                           .key = slice_str(key),
                           .value = slice_str(value)};
    mvcc_put(store, &put);
}

static void begin(void)
{
    mvcc_begin(store, ++clock_ns);
}

/* Ends the transaction, and tells the hub unless it shall not know. */
static void commit(bool told)
{
    struct mvcc_commit *made = mvcc_commit(store);
    assert_non_null(made);
    if (told)
        watch_hub_commit(hub, made);
    mvcc_commit_unref(made);
}

static void put(const char *key, const char *value)
{
    begin();
    put_in(MVCC_KEYS, key, value);
    commit(true);
}

static void del(const char *key)
{
    begin();
    assert_int_equal(
        mvcc_delete(store, MVCC_KEYS, slice_str(key), MVCC_DELETE_RANGE, 0),
        ERR_OK);
    commit(true);
}

static bool catch_up(size_t records_max)
{
    mvcc_read_begin(reader);
    bool more = watch_catch_up(hub, reader, records_max);
    mvcc_read_end(reader);
    return more;
}

/* Moves all that is in memory to the kv file. */
static void flush(void)
{
    struct mvcc_flush *cut = mvcc_flush_begin(store, 1000000);
    assert_non_null(cut);
    enum err err = mvcc_flush_write(cut);
    mvcc_flush_done(store, cut, err);
    mvcc_flush_free(cut);
    assert_int_equal(err, ERR_OK);
}

static void compact(revision at)
{
    assert_int_equal(mvcc_compact(store, at), ERR_OK);
    while (mvcc_compact_slice(store, 100))
        ;
}

/* ---- the live path ------------------------------------------------------- */

static void a_watcher_hears_of_its_key_only(void **state)
{
    (void)state;
    struct probe a;
    watch(&a, "/a", NULL, 2);
    put("/a", "1");
    put("/b", "1");
    put("/aa", "1");
    put("/", "1");
    del("/a");
    expect_seen(&a, "2.0 /a=1 live;6.0 /a live;");
    assert_int_equal(a.watcher.next, 7);
    unwatch(&a);
    put("/a", "2"); /* nobody is called */
}

static void a_range_ends_before_its_end(void **state)
{
    (void)state;
    struct probe range, open, empty;
    watch(&range, "/b", "/d", 2);
    watch(&open, "/c", "", 2);
    watch(&empty, "/d", "/b", 2);
    put("/a", "");
    put("/b", "");
    put("/c", "");
    put("/c\xff", "");
    put("/d", "");
    expect_seen(&range, "3.0 /b= live;4.0 /c= live;5.0 /c\xff= live;");
    expect_seen(&open, "4.0 /c= live;5.0 /c\xff= live;6.0 /d= live;");
    expect_seen(&empty, "");
    unwatch(&range);
    unwatch(&open);
    unwatch(&empty);
}

static void tables_are_told_apart(void **state)
{
    (void)state;
    struct probe keys, dirs, both;
    watch_on(&keys, 1u << MVCC_KEYS, "/a", NULL, 2);
    watch_on(&dirs, 1u << MVCC_DIRS, "/", "0", 2);
    watch_on(&both, 1u << MVCC_KEYS | 1u << MVCC_DIRS, "/a", NULL, 1);
    put("/a", "1");
    begin();
    put_in(MVCC_DIRS, "/a", "");
    put_in(MVCC_KEYS, "/a", "2");
    commit(true);
    expect_seen(&keys, "2.0 /a=1 live;3.1 /a=2 live;");
    expect_seen(&dirs, "3.0 /a= live;");
    assert_false(catch_up(100));
    expect_seen(&both, "2.0 /a=1;3.0 /a=;3.1 /a=2;");
    unwatch(&keys);
    unwatch(&dirs);
    unwatch(&both);
}

static void one_who_waits_for_the_future_sleeps_till_then(void **state)
{
    (void)state;
    struct probe exact, range;
    watch(&exact, "/a", NULL, 4);
    watch(&range, "/", "0", 5);
    for (int i = 0; i < 4; i++)
        put("/a", "x");
    expect_seen(&exact, "4.0 /a=x live;5.0 /a=x live;");
    expect_seen(&range, "5.0 /a=x live;");
    unwatch(&exact);
    unwatch(&range);
}

static void a_commit_is_given_in_the_order_of_subs(void **state)
{
    (void)state;
    struct probe all, b;
    watch(&all, "/", "0", 2);
    watch(&b, "/b", NULL, 2);
    begin();
    put_in(MVCC_KEYS, "/c", "1");
    put_in(MVCC_KEYS, "/b", "2");
    put_in(MVCC_KEYS, "/a", "3");
    commit(true);
    expect_seen(&all, "2.0 /c=1 live;2.1 /b=2 live;2.2 /a=3 live;");
    expect_seen(&b, "2.1 /b=2 live;");
    unwatch(&all);
    unwatch(&b);
}

static void a_commit_that_was_seen_is_passed_over(void **state)
{
    (void)state;
    struct probe a;
    put("/a", "1");
    watch(&a, "/a", NULL, 3);
    begin();
    put_in(MVCC_KEYS, "/a", "2");
    struct mvcc_commit *made = mvcc_commit(store);
    watch_hub_commit(hub, made);
    watch_hub_commit(hub, made);
    mvcc_commit_unref(made);
    expect_seen(&a, "3.0 /a=2 live;");
    unwatch(&a);
}

/* v2's wait is for one event. Whoever is called may leave: the first, the
 * last, all. */
static void any_may_leave_when_it_is_called(void **state)
{
    (void)state;
    enum { MANY = 1000 };
    struct probe *probes = mem_alloc(MANY * sizeof *probes);
    for (int every = 1; every <= 3; every++) {
        for (int i = 0; i < MANY; i++) {
            watch(&probes[i], "/a", i < MANY / 2 ? NULL : "/b", now() + 1);
            probes[i].remove_at = i % every == 0;
        }
        assert_int_equal(watch_hub_count(hub), MANY);
        put("/a", "x");
        put("/a", "y");
        for (int i = 0; i < MANY; i++) {
            assert_int_equal(probes[i].events, i % every == 0 ? 1 : 2);
            if (i % every)
                unwatch(&probes[i]);
            else
                buf_deinit(&probes[i].seen);
        }
        assert_int_equal(watch_hub_count(hub), 0);
    }
    mem_free(probes);
}

/* ---- the past ------------------------------------------------------------ */

static void the_past_and_the_present_join_without_a_seam(void **state)
{
    (void)state;
    struct probe exact, range;
    put("/a", "1");
    put("/b", "2");
    put("/a", "3");
    watch(&exact, "/a", NULL, 1);
    watch(&range, "/", "0", 3);
    put("/a", "4"); /* not yet theirs */
    expect_seen(&exact, "");
    assert_false(catch_up(1000));
    expect_seen(&exact, "2.0 /a=1;4.0 /a=3;5.0 /a=4;");
    expect_seen(&range, "3.0 /b=2;4.0 /a=3;5.0 /a=4;");
    put("/a", "5");
    expect_seen(&exact, "6.0 /a=5 live;");
    expect_seen(&range, "6.0 /a=5 live;");
    unwatch(&exact);
    unwatch(&range);
}

static void what_the_store_has_but_the_hub_has_not_is_not_read(void **state)
{
    (void)state;
    struct probe range, exact;
    put("/a", "1");
    begin();
    put_in(MVCC_KEYS, "/a", "2");
    watch(&range, "/", "0", 1);
    watch(&exact, "/a", NULL, 1);
    struct mvcc_commit *late = mvcc_commit(store);
    assert_false(catch_up(1000));
    expect_seen(&range, "2.0 /a=1;");
    expect_seen(&exact, "2.0 /a=1;");
    watch_hub_commit(hub, late);
    expect_seen(&range, "3.0 /a=2 live;");
    expect_seen(&exact, "3.0 /a=2 live;");
    mvcc_commit_unref(late);
    unwatch(&range);
    unwatch(&exact);
}

static void history_is_read_in_pieces(void **state)
{
    (void)state;
    struct probe range;
    for (int i = 0; i < 100; i++)
        put("/a", "x");
    watch(&range, "/", "0", 1);
    unsigned calls = 1;
    while (catch_up(30)) {
        assert_int_equal(range.events, 30 * calls);
        calls++;
    }
    assert_int_equal(calls, 4);
    assert_int_equal(range.events, 100);
    unwatch(&range);
}

static void a_key_that_changed_long_ago_is_found_by_the_index(void **state)
{
    (void)state;
    struct probe exact;
    put("/seldom", "1");
    for (int i = 0; i < 2000; i++)
        put("/often", "x");
    begin();
    put_in(MVCC_KEYS, "/often", "y");
    put_in(MVCC_KEYS, "/seldom", "2");
    commit(true);
    for (int i = 0; i < 2000; i++)
        put("/often", "x");
    watch(&exact, "/seldom", NULL, 1);
    /* Each of the two, the one after it, and that there is no more. */
    assert_false(catch_up(8));
    expect_seen(&exact, "2.0 /seldom=1;2003.1 /seldom=2;");
    put("/seldom", "3");
    expect_seen(&exact, "4004.0 /seldom=3 live;");
    unwatch(&exact);
}

static void a_key_that_changed_often_is_read_in_turns(void **state)
{
    (void)state;
    struct probe hot, other;
    put("/other", "1");
    for (int i = 0; i < 3000; i++)
        put("/hot", "x");
    watch(&hot, "/hot", NULL, 1);
    watch(&other, "/other", NULL, 1);
    assert_true(catch_up(1500)); /* one turn is 1,000 */
    expect_seen(&other, "2.0 /other=1;");
    assert_true(hot.events >= 900 && hot.events < 1500);
    while (catch_up(1500))
        ;
    assert_int_equal(hot.events, 3000);
    unwatch(&hot);
    unwatch(&other);
}

/* The index finds the first of them; the others must not be lost. */
static void a_key_may_change_twice_in_one_revision(void **state)
{
    (void)state;
    struct probe exact;
    put("/a", "1");
    begin();
    put_in(MVCC_KEYS, "/a", "2");
    put_in(MVCC_KEYS, "/b", "2");
    put_in(MVCC_KEYS, "/a", "3");
    commit(true);
    for (int i = 0; i < 100; i++)
        put("/b", "x");
    watch(&exact, "/a", NULL, 1);
    for (int i = 0; i < 10; i++)
        catch_up(1);
    assert_false(catch_up(1));
    expect_seen(&exact, "2.0 /a=1;3.0 /a=2;3.2 /a=3;");
    unwatch(&exact);
}

static void whoever_is_behind_may_leave_when_it_is_called(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        put("/a", "x");
    for (int ranges = 0; ranges < 2; ranges++) {
        struct probe *leaving[3];
        for (int i = 0; i < 3; i++) {
            leaving[i] = mem_alloc(sizeof **leaving);
            watch(leaving[i], "/a", ranges ? "/b" : NULL, 1 + 40 * i);
            leaving[i]->remove_at = 1;
        }
        while (catch_up(10))
            ;
        assert_int_equal(watch_hub_count(hub), 0);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(leaving[i]->events, 1);
            buf_deinit(&leaving[i]->seen);
            mem_free(leaving[i]);
        }
    }
}

/* ---- lagging ------------------------------------------------------------- */

static void one_who_lags_is_left_alone_until_it_is_resumed(void **state)
{
    (void)state;
    struct probe exact, range;
    watch(&exact, "/a", NULL, 2);
    watch(&range, "/", "0", 2);
    put("/a", "1");
    watch_lag(hub, &exact.watcher);
    watch_lag(hub, &range.watcher);
    watch_lag(hub, &range.watcher); /* as good as once */
    put("/a", "2");
    assert_false(catch_up(1000));
    expect_seen(&exact, "2.0 /a=1 live;");
    expect_seen(&range, "2.0 /a=1 live;");
    watch_resume(hub, &exact.watcher);
    watch_resume(hub, &range.watcher);
    assert_false(catch_up(1000));
    expect_seen(&exact, "3.0 /a=2;");
    expect_seen(&range, "3.0 /a=2;");
    put("/a", "3");
    watch_resume(hub, &exact.watcher); /* it is LIVE: nothing happens */
    expect_seen(&exact, "4.0 /a=3 live;");
    expect_seen(&range, "4.0 /a=3 live;");
    unwatch(&exact);
    unwatch(&range);
}

static void one_may_lag_in_the_middle_of_a_commit(void **state)
{
    (void)state;
    struct probe range;
    watch(&range, "/", "0", 2);
    range.lag_at = 2;
    begin();
    put_in(MVCC_KEYS, "/a", "1");
    put_in(MVCC_KEYS, "/b", "2");
    put_in(MVCC_KEYS, "/c", "3");
    commit(true);
    expect_seen(&range, "2.0 /a=1 live;2.1 /b=2 live;");
    range.lag_at = 4;
    put("/d", "4");
    put("/e", "5");
    watch_resume(hub, &range.watcher);
    assert_false(catch_up(1000)); /* it lags again, on the way */
    expect_seen(&range, "2.2 /c=3;3.0 /d=4;");
    watch_resume(hub, &range.watcher);
    assert_false(catch_up(1000));
    expect_seen(&range, "4.0 /e=5;");
    unwatch(&range);
}

static void one_who_jumps_may_lag_too(void **state)
{
    (void)state;
    struct probe exact;
    for (int i = 0; i < 50; i++)
        put(i % 10 ? "/b" : "/a", "x");
    watch(&exact, "/a", NULL, 1);
    exact.lag_at = 2;
    assert_false(catch_up(1000));
    assert_int_equal(exact.events, 2);
    watch_resume(hub, &exact.watcher);
    assert_false(catch_up(1000));
    expect_seen(&exact, "2.0 /a=x;12.0 /a=x;22.0 /a=x;32.0 /a=x;42.0 /a=x;");
    unwatch(&exact);
}

/* It heard all there was, so a compaction takes nothing from it. */
static void a_quiet_one_that_lags_has_missed_nothing(void **state)
{
    (void)state;
    struct probe quiet, served;
    watch(&quiet, "/quiet", NULL, 2);
    watch(&served, "/a", NULL, 2);
    put("/a", "1");
    put("/a", "2");
    watch_lag(hub, &quiet.watcher);
    watch_lag(hub, &served.watcher);
    compact(3);
    watch_resume(hub, &quiet.watcher);
    watch_resume(hub, &served.watcher);
    assert_false(catch_up(1000));
    assert_int_equal(quiet.compacted, 0);
    assert_int_equal(served.compacted, 0);
    put("/quiet", "3");
    expect_seen(&quiet, "4.0 /quiet=3 live;");
    unwatch(&quiet);
    unwatch(&served);
}

/* ---- what is gone -------------------------------------------------------- */

static void one_whose_past_is_compacted_is_told_and_is_out(void **state)
{
    (void)state;
    struct probe exact, range, later;
    for (int i = 0; i < 100; i++)
        put("/a", "x");
    compact(60);
    watch(&exact, "/a", NULL, 1);
    watch(&range, "/", "0", 60);
    watch(&later, "/", "0", 61);
    assert_false(catch_up(1000));
    assert_int_equal(exact.compacted, 60);
    assert_int_equal(range.compacted, 60);
    assert_int_equal(later.compacted, 0);
    assert_int_equal(exact.events + range.events, 0);
    assert_int_equal(later.events, 41);
    assert_int_equal(watch_hub_count(hub), 1);
    unwatch(&later);
}

static void a_missing_commit_is_read_from_history(void **state)
{
    (void)state;
    struct probe exact, range, future;
    watch(&exact, "/a", NULL, 2);
    watch(&range, "/", "0", 2);
    watch(&future, "/a", NULL, 6);
    put("/a", "1");
    begin();
    put_in(MVCC_KEYS, "/a", "2");
    commit(false);
    put("/a", "3");
    put("/a", "4");
    expect_seen(&exact, "2.0 /a=1 live;");
    while (catch_up(2))
        ;
    put("/a", "5");
    expect_seen(&exact, "3.0 /a=2;4.0 /a=3;5.0 /a=4;6.0 /a=5 live;");
    expect_seen(&range, "2.0 /a=1 live;3.0 /a=2;4.0 /a=3;5.0 /a=4;"
                        "6.0 /a=5 live;");
    expect_seen(&future, "6.0 /a=5 live;");
    unwatch(&exact);
    unwatch(&range);
    unwatch(&future);
}

/* ---- the store is replaced ----------------------------------------------- */

/* What a snapshot brings, as the hub's thread sees it: the store has more, and
 * no commit of it was told. */
static void bring(const char *key, const char *value)
{
    begin();
    put_in(MVCC_KEYS, key, value);
    commit(false);
}

static void a_jump_is_read_from_history_though_no_commit_comes(void **state)
{
    (void)state;
    struct probe exact, range, future, behind, lagging;
    put("/a", "1");
    watch(&exact, "/a", NULL, 3);
    watch(&range, "/", "0", 3);
    watch(&future, "/a", NULL, 5);
    watch(&behind, "/a", NULL, 2);
    watch(&lagging, "/a", NULL, 3);
    watch_lag(hub, &lagging.watcher);
    bring("/a", "2");
    bring("/b", "3");
    bring("/a", "4");
    watch_hub_jump(hub, now());
    expect_seen(&exact, "");
    while (catch_up(2))
        ;
    expect_seen(&exact, "3.0 /a=2;5.0 /a=4;");
    expect_seen(&range, "3.0 /a=2;4.0 /b=3;5.0 /a=4;");
    expect_seen(&future, "5.0 /a=4;");
    expect_seen(&behind, "2.0 /a=1;3.0 /a=2;5.0 /a=4;");
    expect_seen(&lagging, "");
    put("/a", "5"); /* all are LIVE again */
    expect_seen(&exact, "6.0 /a=5 live;");
    expect_seen(&range, "6.0 /a=5 live;");
    expect_seen(&future, "6.0 /a=5 live;");
    expect_seen(&behind, "6.0 /a=5 live;");
    watch_resume(hub, &lagging.watcher);
    while (catch_up(2))
        ;
    expect_seen(&lagging, "3.0 /a=2;5.0 /a=4;6.0 /a=5;");
    unwatch(&exact);
    unwatch(&range);
    unwatch(&future);
    unwatch(&behind);
    unwatch(&lagging);
}

static void a_jump_to_where_the_hub_is_is_none(void **state)
{
    (void)state;
    struct probe probe;
    watch(&probe, "/a", NULL, 2);
    put("/a", "1");
    watch_hub_jump(hub, now());
    watch_hub_jump(hub, 1);
    assert_false(catch_up(10));
    put("/a", "2");
    expect_seen(&probe, "2.0 /a=1 live;3.0 /a=2 live;");
    unwatch(&probe);
}

/* The commits before the store was replaced may come late. */
static void commits_of_before_a_jump_are_passed_over(void **state)
{
    (void)state;
    struct probe probe;
    watch(&probe, "/a", NULL, 2);
    begin();
    put_in(MVCC_KEYS, "/a", "1");
    struct mvcc_commit *late = mvcc_commit(store);
    bring("/a", "2");
    watch_hub_jump(hub, now());
    watch_hub_commit(hub, late);
    mvcc_commit_unref(late);
    expect_seen(&probe, "");
    while (catch_up(10))
        ;
    expect_seen(&probe, "2.0 /a=1;3.0 /a=2;");
    unwatch(&probe);
}

static void a_jump_over_what_is_compacted_is_told(void **state)
{
    (void)state;
    struct probe lost, kept;
    watch(&lost, "/a", NULL, 2);
    watch(&kept, "/a", NULL, 4);
    bring("/a", "1");
    bring("/a", "2");
    bring("/a", "3");
    compact(3);
    watch_hub_jump(hub, now());
    while (catch_up(10))
        ;
    assert_int_equal(lost.compacted, 3);
    expect_seen(&lost, "");
    expect_seen(&kept, "4.0 /a=3;");
    buf_deinit(&lost.seen);
    unwatch(&kept);
}

#ifdef ETCHED_PLANTED
static void the_planted_bug_leaves_a_gap(void **state)
{
    (void)state;
    struct probe probe;
    watch(&probe, "/a", NULL, 2);
    bring("/a", "1");
    plant_active = PLANT_WATCH_GAP;
    watch_hub_jump(hub, now());
    plant_active = PLANT_NONE;
    assert_false(catch_up(10));
    put("/a", "2");
    expect_seen(&probe, "3.0 /a=2 live;");
    unwatch(&probe);
}
#endif

static void history_that_cant_be_read_now_is_read_later(void **state)
{
    (void)state;
    struct probe exact, range;
    for (int i = 0; i < 100; i++)
        put("/a", "x");
    flush();
    watch(&exact, "/a", NULL, 1);
    watch(&range, "/", "0", 1);
    for (uint64_t nth = 1; nth <= 40; nth++) {
        kv_memory_fail_after(kv, nth, ERR_IO);
        catch_up(10);
    }
    kv_memory_fail_after(kv, 1, ERR_IO);
    assert_false(catch_up(1000)); /* behind, but can't go on */
    kv_memory_fail_after(kv, 0, ERR_OK);
    while (catch_up(1000))
        ;
    assert_int_equal(exact.events, 100);
    assert_int_equal(range.events, 100);
    put("/a", "y");
    assert_int_equal(exact.events, 101);
    assert_int_equal(range.events, 101);
    unwatch(&exact);
    unwatch(&range);
}

static void one_may_be_taken_out_of_any_state(void **state)
{
    (void)state;
    struct probe probes[8];
    for (int i = 0; i < 100; i++)
        put("/a", "x");
    for (int i = 0; i < 8; i++) {
        const char *end = i % 2 ? "/b" : NULL;
        watch(&probes[i], "/a", end, i < 4 ? 1 : now() + 1);
        if (i / 2 % 2)
            watch_lag(hub, &probes[i].watcher);
    }
    assert_int_equal(watch_hub_count(hub), 8);
    for (int i = 0; i < 8; i++)
        unwatch(&probes[i]);
    assert_int_equal(watch_hub_count(hub), 0);
    assert_false(catch_up(10));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_watcher_hears_of_its_key_only),
        CASE(a_range_ends_before_its_end),
        CASE(tables_are_told_apart),
        CASE(one_who_waits_for_the_future_sleeps_till_then),
        CASE(a_commit_is_given_in_the_order_of_subs),
        CASE(a_commit_that_was_seen_is_passed_over),
        CASE(any_may_leave_when_it_is_called),
        CASE(the_past_and_the_present_join_without_a_seam),
        CASE(what_the_store_has_but_the_hub_has_not_is_not_read),
        CASE(history_is_read_in_pieces),
        CASE(a_key_that_changed_long_ago_is_found_by_the_index),
        CASE(a_key_that_changed_often_is_read_in_turns),
        CASE(a_key_may_change_twice_in_one_revision),
        CASE(whoever_is_behind_may_leave_when_it_is_called),
        CASE(one_who_lags_is_left_alone_until_it_is_resumed),
        CASE(one_may_lag_in_the_middle_of_a_commit),
        CASE(one_who_jumps_may_lag_too),
        CASE(a_quiet_one_that_lags_has_missed_nothing),
        CASE(one_whose_past_is_compacted_is_told_and_is_out),
        CASE(a_missing_commit_is_read_from_history),
        CASE(a_jump_is_read_from_history_though_no_commit_comes),
        CASE(a_jump_to_where_the_hub_is_is_none),
        CASE(commits_of_before_a_jump_are_passed_over),
        CASE(a_jump_over_what_is_compacted_is_told),
#ifdef ETCHED_PLANTED
        CASE(the_planted_bug_leaves_a_gap),
#endif
        CASE(history_that_cant_be_read_now_is_read_later),
        CASE(one_may_be_taken_out_of_any_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
