/* The whole store out, and into an empty file. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/prng.h"
#include "mvcc/transfer.h"
#include "unit/mvcc/stories.h"

/* ---- out ----------------------------------------------------------------- */

static struct buf answer;

/* "main.sub key=value" or "main.sub key!" each, then what it ended with. */
static const char *kept(revision main, uint32_t sub)
{
    struct rev from = {main, sub};
    struct record record;
    enum err err;
    buf_reset(&answer);
    mvcc_read_begin(reader);
    while ((err = mvcc_kept(reader, from, &record)) == ERR_OK) {
        bool is_dead = record.flags & MVCC_TOMBSTONE;
        buf_printf(&answer, "%" PRId64 ".%" PRIu32 " %.*s%s%.*s; ",
                   record.rev.main, record.rev.sub, (int)record.key.size,
                   record.key.at, is_dead ? "!" : "=", (int)record.value.size,
                   record.value.at);
        from = (struct rev){record.rev.main, record.rev.sub + 1};
    }
    mvcc_read_end(reader);
    buf_printf(&answer, "%s", err_name(err));
    buf_append_char(&answer, '\0');
    return answer.at;
}

static void an_empty_store_has_nothing(void **state)
{
    (void)state;
    IS(kept(0, 0), "END");
    IS(kept(9, 9), "END");
}

static void without_a_compaction_all_is_kept(void **state)
{
    (void)state;
    put("/a", "1");
    begin();
    add(MVCC_KEYS, "/a", "2");
    add(MVCC_DIRS, "/d", "");
    add(MVCC_KEYS, "/b", "3");
    commit();
    del("/a");
    const char *all = "2.0 /a=1; 3.0 /a=2; 3.1 /d=; 3.2 /b=3; 4.0 /a!; END";
    IS(kept(0, 0), all);
    IS(kept(3, 1), "3.1 /d=; 3.2 /b=3; 4.0 /a!; END");
    IS(kept(3, 3), "4.0 /a!; END");
    IS(kept(4, 1), "END");
    /* Wherever they lie. */
    flush(1);
    IS(kept(0, 0), all);
    flush_all();
    IS(kept(0, 0), all);
    put("/c", "4");
    IS(kept(2, 1), "3.0 /a=2; 3.1 /d=; 3.2 /b=3; 4.0 /a!; 5.0 /c=4; END");
}

static void below_the_compaction_what_lived_is_kept(void **state)
{
    (void)state;
    const char *left = "4.0 /b=1; 5.0 /a=2; 7.0 /a=3; 8.0 /b!; END";
    put("/a", "1");
    put("/gone", "1");
    put("/b", "1");
    put("/a", "2");
    del("/gone");
    put("/a", "3");
    del("/b");
    compact(6);
    /* As soon as it is said, and in each state of the work. */
    IS(kept(0, 0), left);
    IS(kept(5, 0), "5.0 /a=2; 7.0 /a=3; 8.0 /b!; END");
    flush(2);
    IS(kept(0, 0), left);
    flush_all();
    IS(kept(0, 0), left);
    compact_all(1);
    IS(kept(0, 0), left);
    flush_all();
    IS(kept(0, 0), left);
    IS(file_records(), "4.0 5.0 7.0 8.0");
    restart();
    IS(kept(0, 0), left);
}

static void a_key_of_two_tables_is_two_keys(void **state)
{
    (void)state;
    begin();
    add(MVCC_KEYS, "/x", "file");
    add(MVCC_DIRS, "/x", "");
    commit();
    begin();
    assert_int_equal(erase(MVCC_DIRS, "/x"), ERR_OK);
    commit();
    compact(3);
    IS(kept(0, 0), "2.0 /x=file; END");
}

static void what_the_file_cannot_give_is_told(void **state)
{
    (void)state;
    struct record record;
    put("/a", "1");
    flush_all();
    for (uint64_t n = 1; n < 3; n++) {
        kv_memory_fail_after(kv, n, ERR_IO);
        mvcc_read_begin(reader);
        assert_int_equal(mvcc_kept(reader, (struct rev){0}, &record), ERR_IO);
        mvcc_read_end(reader);
    }
    kv_memory_fail_after(kv, 0, ERR_OK);
    IS(kept(0, 0), "2.0 /a=1; END");
}

/* Whatever was done, what is kept is what the file has when all is done. */
static void what_is_kept_is_what_is_left(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 5);
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < 40; i++) {
            char key[16];
            snprintf(key, sizeof key, "/%d", (int)prng_below(&prng, 12));
            begin();
            if (prng_below(&prng, 4) == 0)
                (void)!erase(MVCC_KEYS, key);
            else
                add(MVCC_KEYS, key, "v");
            commit();
        }
        struct mvcc_status now;
        mvcc_status(store, &now);
        compact(now.current - (revision)prng_below(&prng, 20));
        char *early = mem_strdup(kept(0, 0));
        if (prng_below(&prng, 2))
            flush((size_t)prng_below(&prng, 30) + 1);
        assert_string_equal(kept(0, 0), early);
        compact_all(3);
        flush_all();
        assert_string_equal(kept(0, 0), early);
        size_t records = 0;
        for (const char *at = early; (at = strchr(at, ';')) != NULL; at++)
            records++;
        assert_int_equal(file_count(MVCC_KV_RECORDS), records);
        mem_free(early);
    }
}

/* ---- in ------------------------------------------------------------------ */

static struct record record_of(revision main, uint32_t sub, const char *key,
                               const char *value)
{
    return (struct record){
        .table = MVCC_KEYS,
        .cause = MVCC_PUT,
        .rev = {main, sub},
        .create = main,
        .version = 1,
        .time_ns = 1000,
        .key = slice_str(key),
        .value = slice_str(value),
    };
}

static struct mvcc_import_state state_at(revision current)
{
    return (struct mvcc_import_state){
        .current = current,
        .time_ns = 1000,
        .finished = true,
        .applied_index = 5,
        .applied_term = 3,
    };
}

/* The story's store makes room for an import into its file. */
static struct mvcc_import *begin_import(void)
{
    struct mvcc_import *import;
    stop();
    assert_int_equal(mvcc_import_begin(kv, &import), ERR_OK);
    return import;
}

static void give(struct mvcc_import *import, const struct record *record)
{
    assert_int_equal(mvcc_import_record(import, record), ERR_OK);
}

static void nothing_makes_an_empty_store(void **state)
{
    (void)state;
    struct mvcc_import *import = begin_import();
    struct mvcc_import_state end = state_at(1);
    assert_int_equal(mvcc_import_end(import, &end), ERR_OK);
    start();
    IS(status(), "current 1 compacted 0 keys 0 tail 0 applied 5/3 flushed 5");
    assert_int_equal(put("/a", "1"), 2);
}

static void records_make_a_store(void **state)
{
    (void)state;
    struct mvcc_import *import = begin_import();
    struct record record = record_of(2, 0, "/a", "1");
    give(import, &record);
    record = record_of(2, 1, "/b", "1");
    give(import, &record);
    record = record_of(3, 0, "/a", "2");
    record.create = 2;
    record.version = 2;
    record.prev = (struct rev){2, 0};
    give(import, &record);
    record = (struct record){.table = MVCC_KEYS,
                             .cause = MVCC_DELETE_RANGE,
                             .flags = MVCC_TOMBSTONE,
                             .rev = {4, 0},
                             .prev = {2, 1},
                             .time_ns = 1000,
                             .key = SLICE("/b")};
    give(import, &record);
    record = record_of(5, 0, "/b", "3");
    give(import, &record);
    assert_int_equal(mvcc_import_meta(import, SLICE("name"), SLICE("value")),
                     ERR_OK);
    assert_int_equal(mvcc_import_meta(import, SLICE("empty"), SLICE("")),
                     ERR_OK);
    struct mvcc_import_state end = state_at(5);
    assert_int_equal(mvcc_import_end(import, &end), ERR_OK);
    start();
    IS(status(), "current 5 compacted 0 keys 2 tail 0 applied 5/3 flushed 5");
    IS(get("/a", 0), "2 @3.0 create 2 version 2 prev 2.0");
    IS(get("/a", 2), "1 @2.0 create 2 version 1");
    IS(get("/b", 0), "3 @5.0 create 5 version 1");
    IS(get("/b", 4), "NOT_FOUND");
    IS(history(2, 0), "2.0 /a=1; 2.1 /b=1; 3.0 /a=2; 4.0 /b!; 5.0 /b=3; END");
    IS(meta("name"), "value");
    IS(meta("empty"), "");
    /* It goes on. */
    assert_int_equal(put("/a", "4"), 6);
    IS(get("/a", 0), "4 @6.0 create 2 version 3 prev 3.0");
    restart();
    IS(get("/a", 0), "2 @3.0 create 2 version 2 prev 2.0");
}

static void a_compaction_that_is_not_finished_goes_on(void **state)
{
    (void)state;
    struct mvcc_import *import = begin_import();
    struct record record = record_of(2, 0, "/a", "1");
    give(import, &record);
    record = record_of(3, 0, "/a", "2");
    record.create = 2;
    record.version = 2;
    record.prev = (struct rev){2, 0};
    give(import, &record);
    struct mvcc_import_state end = state_at(9);
    end.compacted = 9;
    end.compacted_time_ns = 1000;
    end.finished = false;
    assert_int_equal(mvcc_import_end(import, &end), ERR_OK);
    start();
    IS(status(), "current 9 compacted 9 compacting keys 1 tail 0 applied 5/3 "
                 "flushed 5");
    IS(get("/a", 8), "COMPACTED");
    compact_all(10);
    flush_all();
    IS(file_records(), "3.0");
    IS(get("/a", 0), "2 @3.0 create 2 version 2 prev 2.0");
    assert_int_equal(put("/b", "1"), 10);
}

static void leases_are_found(void **state)
{
    (void)state;
    struct mvcc_import *import = begin_import();
    struct record record = record_of(2, 0, "/a", "1");
    record.lease = 77;
    give(import, &record);
    struct mvcc_import_state end = state_at(2);
    assert_int_equal(mvcc_import_end(import, &end), ERR_OK);
    start();
    assert_int_equal(store->leased.count, 1);
}

static void a_file_with_a_store_is_not_touched(void **state)
{
    (void)state;
    struct mvcc_import *import;
    put("/a", "1");
    flush_all();
    stop();
    assert_int_equal(mvcc_import_begin(kv, &import), ERR_EXISTS);
    assert_null(import);
    start();
    IS(get("/a", 0), "1 @2.0 create 2 version 1");
}

static void what_did_not_end_is_no_store(void **state)
{
    (void)state;
    struct mvcc_import *import = begin_import();
    static char large[1024 * 1024];
    for (revision main = 2; main < 20; main++) {
        struct record record = record_of(main, 0, "/a", "");
        record.key = slice_of(&main, sizeof main);
        record.value = slice_of(large, sizeof large);
        give(import, &record);
    }
    mvcc_import_abort(import);
    mvcc_import_abort(NULL);
    /* Some of it was durable: more than one transaction's worth. */
    assert_int_equal(try_start(), ERR_CORRUPT);
    for (revision main = 2; main < 20; main++) {
        char key[RECORD_KEY_BYTES];
        record__encode_key((struct rev){main, 0}, key);
        struct kv_txn *txn;
        assert_int_equal(kv->ops->begin_write(kv, &txn), ERR_OK);
        enum err err =
            kv->ops->del(kv, txn, MVCC_KV_RECORDS, slice_of(key, sizeof key));
        assert_true(err == ERR_OK || err == ERR_NOT_FOUND);
        assert_int_equal(kv->ops->commit(kv, txn), ERR_OK);
    }
    start();
}

/* One record of each transaction's worth, meta, the end: with the nth call
 * failing. True: it came to its end. */
static bool import_failing_at(uint64_t nth)
{
    struct mvcc_import *import = NULL;
    static char large[9 * 1024 * 1024];
    struct mvcc_import_state end = state_at(3);
    struct record first = record_of(2, 0, "/a", "");
    struct record second = record_of(3, 0, "/b", "2");
    first.value = slice_of(large, sizeof large);
    kv_memory_fail_after(kv, nth, ERR_IO);
    enum err err = mvcc_import_begin(kv, &import);
    if (err == ERR_OK)
        err = mvcc_import_record(import, &first);
    if (err == ERR_OK)
        err = mvcc_import_record(import, &second);
    if (err == ERR_OK)
        err = mvcc_import_meta(import, SLICE("n"), SLICE("v"));
    if (err == ERR_OK) {
        err = mvcc_import_end(import, &end);
        import = NULL;
    }
    kv_memory_fail_after(kv, 0, ERR_OK);
    mvcc_import_abort(import);
    assert_true(err == ERR_OK || err == ERR_IO);
    return err == ERR_OK;
}

static void any_call_may_fail(void **state)
{
    (void)state;
    uint64_t nth = 1;
    stop();
    while (!import_failing_at(nth)) {
        kv_memory_free(kv);
        kv = kv_memory_new();
        nth++;
        assert_true(nth < 50);
    }
    assert_true(nth > 6);
    start();
    IS(find("/b", 0), "3.0");
    IS(meta("n"), "v");
}

/* ---- out and in ---------------------------------------------------------- */

/* The store of the story, copied record by record into another file. */
static struct kv *copy_store(void)
{
    struct kv *copy = kv_memory_new();
    struct mvcc_import *import;
    struct mvcc_status now;
    struct record record;
    struct rev from = {0};
    assert_int_equal(mvcc_import_begin(copy, &import), ERR_OK);
    mvcc_status(store, &now);
    mvcc_read_begin(reader);
    while (mvcc_kept(reader, from, &record) == ERR_OK) {
        give(import, &record);
        from = (struct rev){record.rev.main, record.rev.sub + 1};
    }
    mvcc_read_end(reader);
    struct mvcc_import_state end = {
        .current = now.current,
        .time_ns = now.time_ns,
        .compacted = now.compacted,
        .compacted_time_ns = store->now.compacted_time_ns,
        .finished = true,
        .applied_index = now.applied_index,
        .applied_term = now.applied_term,
    };
    assert_int_equal(mvcc_import_end(import, &end), ERR_OK);
    return copy;
}

static void a_copy_is_the_same(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 8);
    for (int i = 0; i < 400; i++) {
        begin();
        for (uint64_t n = prng_below(&prng, 4); n > 0; n--) {
            char key[16];
            snprintf(key, sizeof key, "/%d", (int)prng_below(&prng, 30));
            if (prng_below(&prng, 3) == 0)
                (void)!erase(MVCC_KEYS, key);
            else
                add((enum mvcc_table)prng_below(&prng, 2), key, "value");
        }
        commit();
        if (i == 200)
            compact(store->current - 20);
        if (i % 50 == 0)
            flush(30);
    }
    struct mvcc_status now;
    mvcc_status(store, &now);
    struct kv *copy = copy_store();
    char *walked = mem_strdup(walk("", NULL, 0));
    char *past = mem_strdup(walk("", NULL, now.compacted));
    char *dirs = mem_strdup(walk_in(MVCC_DIRS, "", NULL, 0));
    char *events = mem_strdup(kept(0, 0));
    stop();
    kv_memory_free(kv);
    kv = copy;
    start();
    IS(walk("", NULL, 0), walked);
    IS(walk("", NULL, now.compacted), past);
    IS(walk_in(MVCC_DIRS, "", NULL, 0), dirs);
    IS(kept(0, 0), events);
    assert_int_equal(store->current, now.current);
    assert_string_equal(revision_at(now.time_ns), revision_at(INT64_MAX));
    mem_free(walked);
    mem_free(past);
    mem_free(dirs);
    mem_free(events);
}

static int end_all(void **state)
{
    (void)state;
    buf_deinit(&answer);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(an_empty_store_has_nothing),
        STORY(without_a_compaction_all_is_kept),
        STORY(below_the_compaction_what_lived_is_kept),
        STORY(a_key_of_two_tables_is_two_keys),
        STORY(what_the_file_cannot_give_is_told),
        STORY(what_is_kept_is_what_is_left),
        STORY(nothing_makes_an_empty_store),
        STORY(records_make_a_store),
        STORY(a_compaction_that_is_not_finished_goes_on),
        STORY(leases_are_found),
        STORY(a_file_with_a_store_is_not_touched),
        STORY(what_did_not_end_is_no_store),
        STORY(any_call_may_fail),
        STORY(a_copy_is_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, end_all);
}
