#include "unit/mvcc/stories.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

struct kv *kv;
struct mvcc *store;
struct mvcc_reader *reader;
int64_t clock_ns;

enum { ANSWERS = 24 };
static struct buf answers[ANSWERS];
static unsigned next_answer;

static struct buf *new_answer(void)
{
    struct buf *answer = &answers[next_answer++ % ANSWERS];
    buf_reset(answer);
    return answer;
}

static const char *text_of(struct buf *answer)
{
    buf_append_char(answer, '\0');
    return answer->at;
}

static const char *answer_err(enum err err)
{
    struct buf *answer = new_answer();
    buf_append_str(answer, err_name(err));
    return text_of(answer);
}

int story_begin(void **state)
{
    (void)state;
    kv = kv_memory_new();
    clock_ns = 1000;
    start();
    return 0;
}

int story_end(void **state)
{
    (void)state;
    if (store)
        stop();
    kv_memory_free(kv);
    for (unsigned i = 0; i < ANSWERS; i++)
        buf_deinit(&answers[i]);
    return 0;
}

/* ---- writing ------------------------------------------------------------- */

void begin(void)
{
    mvcc_begin(store, clock_ns);
    clock_ns += 10;
}

revision commit(void)
{
    struct mvcc_commit *done = mvcc_commit(store);
    revision main = done ? done->main : 0;
    mvcc_commit_unref(done);
    return main;
}

static void add_with(enum mvcc_table table, const char *key, const char *value,
                     bool anew)
{
    struct mvcc_put what = {
        .table = table,
        .cause = MVCC_PUT,
        .key = slice_str(key),
        .value = slice_str(value),
        .anew = anew,
    };
    mvcc_put(store, &what);
}

void add(enum mvcc_table table, const char *key, const char *value)
{
    add_with(table, key, value, false);
}

void add_anew(enum mvcc_table table, const char *key, const char *value)
{
    add_with(table, key, value, true);
}

enum err erase(enum mvcc_table table, const char *key)
{
    return mvcc_delete(store, table, slice_str(key), MVCC_DELETE_RANGE, 0);
}

revision put(const char *key, const char *value)
{
    begin();
    add(MVCC_KEYS, key, value);
    return commit();
}

revision put_anew(const char *key, const char *value)
{
    begin();
    add_anew(MVCC_KEYS, key, value);
    return commit();
}

revision del(const char *key)
{
    begin();
    assert_int_equal(erase(MVCC_KEYS, key), ERR_OK);
    return commit();
}

void put_many(const char *prefix, unsigned first, unsigned number,
              const char *value)
{
    for (unsigned i = 0; i < number; i++) {
        char key[64];
        snprintf(key, sizeof key, "%s%05u", prefix, first + i);
        put(key, value);
    }
}

void meta_put(const char *name, const char *value)
{
    mvcc_meta_put(store, slice_str(name),
                  value ? slice_str(value) : slice_of(NULL, 0));
}

/* ---- asking -------------------------------------------------------------- */

static const char *show(enum err err, const struct record *record)
{
    if (err != ERR_OK)
        return answer_err(err);
    struct buf *answer = new_answer();
    bool lives = !(record->flags & MVCC_TOMBSTONE);
    buf_append_slice(answer, lives ? record->value : SLICE("(end)"));
    buf_printf(answer, " @%lld.%u", (long long)record->rev.main,
               record->rev.sub);
    if (lives)
        buf_printf(answer, " create %lld version %lld",
                   (long long)record->create, (long long)record->version);
    if (record->prev.main)
        buf_printf(answer, " prev %lld.%u", (long long)record->prev.main,
                   record->prev.sub);
    return text_of(answer);
}

const char *get_in(enum mvcc_table table, const char *key, revision at)
{
    struct record record;
    mvcc_read_begin(reader);
    enum err err = mvcc_get(reader, table, slice_str(key), at, &record);
    const char *answer = show(err, &record);
    mvcc_read_end(reader);
    return answer;
}

const char *get(const char *key, revision at)
{
    return get_in(MVCC_KEYS, key, at);
}

const char *get_rev(revision main, uint32_t sub)
{
    struct record record;
    mvcc_read_begin(reader);
    enum err err = mvcc_get_rev(reader, (struct rev){main, sub}, &record);
    const char *answer = show(err, &record);
    mvcc_read_end(reader);
    return answer;
}

static const char *show_rev(enum err err, struct rev rev)
{
    if (err != ERR_OK)
        return answer_err(err);
    struct buf *answer = new_answer();
    buf_printf(answer, "%lld.%u", (long long)rev.main, rev.sub);
    return text_of(answer);
}

const char *find(const char *key, revision at)
{
    struct rev rev;
    mvcc_read_begin(reader);
    enum err err = mvcc_find(reader, MVCC_KEYS, slice_str(key), at, &rev);
    mvcc_read_end(reader);
    return show_rev(err, rev);
}

static void blank(struct buf *answer)
{
    if (answer->size)
        buf_append_char(answer, ' ');
}

const char *walk_in(enum mvcc_table table, const char *from, const char *end,
                    revision at)
{
    struct mvcc_walk walk;
    struct slice key;
    struct rev rev;
    mvcc_read_begin(reader);
    enum err err = mvcc_walk_init(&walk, reader, table, slice_str(from),
                                  slice_str(end), at);
    struct buf *answer = new_answer();
    while (err == ERR_OK) {
        err = mvcc_walk_next(&walk, &key, &rev);
        if (err != ERR_OK)
            break;
        blank(answer);
        buf_append_slice(answer, key);
        buf_printf(answer, "@%lld.%u", (long long)rev.main, rev.sub);
    }
    mvcc_read_end(reader);
    return err == ERR_END ? text_of(answer) : answer_err(err);
}

const char *walk(const char *from, const char *end, revision at)
{
    return walk_in(MVCC_KEYS, from, end, at);
}

const char *count(const char *from, const char *end, revision at)
{
    uint64_t number;
    mvcc_read_begin(reader);
    enum err err = mvcc_count(reader, MVCC_KEYS, slice_str(from),
                              slice_str(end), at, &number);
    mvcc_read_end(reader);
    if (err != ERR_OK)
        return answer_err(err);
    struct buf *answer = new_answer();
    buf_append_u64(answer, number);
    return text_of(answer);
}

const char *history(revision main, uint32_t sub)
{
    struct buf *answer = new_answer();
    struct rev from = {main, sub};
    struct record record;
    enum err err;
    mvcc_read_begin(reader);
    while ((err = mvcc_history(reader, from, &record)) == ERR_OK) {
        bool lives = !(record.flags & MVCC_TOMBSTONE);
        buf_printf(answer, "%lld.%u ", (long long)record.rev.main,
                   record.rev.sub);
        buf_append_slice(answer, record.key);
        buf_append_str(answer, lives ? "=" : "!");
        buf_append_slice(answer, record.value);
        buf_append_str(answer, "; ");
        from = (struct rev){record.rev.main, record.rev.sub + 1};
    }
    mvcc_read_end(reader);
    buf_append_str(answer, err_name(err));
    return text_of(answer);
}

const char *key_history(const char *key, revision from)
{
    struct buf *answer = new_answer();
    struct rev rev;
    enum err err;
    mvcc_read_begin(reader);
    while ((err = mvcc_key_history(reader, MVCC_KEYS, slice_str(key), from,
                                   &rev)) == ERR_OK) {
        buf_printf(answer, "%lld.%u ", (long long)rev.main, rev.sub);
        from = rev.main + 1;
    }
    mvcc_read_end(reader);
    buf_append_str(answer, err_name(err));
    return text_of(answer);
}

const char *revision_at(int64_t time_ns)
{
    revision main;
    mvcc_read_begin(reader);
    enum err err = mvcc_revision_at(reader, time_ns, &main);
    mvcc_read_end(reader);
    if (err != ERR_OK)
        return answer_err(err);
    struct buf *answer = new_answer();
    buf_append_i64(answer, main);
    return text_of(answer);
}

static void append_meta(void *context, struct slice name, struct slice value)
{
    struct buf *answer = context;
    blank(answer);
    buf_append_slice(answer, name);
    buf_append_char(answer, '=');
    buf_append_slice(answer, value);
}

const char *meta_all(const char *prefix)
{
    struct buf *answer = new_answer();
    mvcc_meta_each(store, slice_str(prefix), append_meta, answer);
    return text_of(answer);
}

const char *meta(const char *name)
{
    struct slice value;
    if (!mvcc_meta_get(store, slice_str(name), &value))
        return "(none)";
    struct buf *answer = new_answer();
    buf_append_slice(answer, value);
    return text_of(answer);
}

const char *status(void)
{
    struct mvcc_status now;
    struct buf *answer = new_answer();
    mvcc_status(store, &now);
    buf_printf(answer,
               "current %lld compacted %lld%s keys %llu tail %llu "
               "applied %llu/%llu flushed %llu",
               (long long)now.current, (long long)now.compacted,
               now.compacting ? " compacting" : "",
               (unsigned long long)now.keys,
               (unsigned long long)now.tail_commits,
               (unsigned long long)now.applied_index,
               (unsigned long long)now.applied_term,
               (unsigned long long)now.flushed_index);
    return text_of(answer);
}

/* ---- the file ------------------------------------------------------------ */

static enum err flush_one(size_t commits_max, bool *any)
{
    struct mvcc_flush *flush = mvcc_flush_begin(store, commits_max);
    *any = flush != NULL;
    if (flush == NULL)
        return ERR_OK;
    enum err err = mvcc_flush_write(flush);
    mvcc_flush_done(store, flush, err);
    mvcc_flush_free(flush);
    return err;
}

bool flush(size_t commits_max)
{
    bool any;
    assert_int_equal(flush_one(commits_max, &any), ERR_OK);
    return any;
}

enum err flush_err(size_t commits_max)
{
    bool any;
    enum err err = flush_one(commits_max, &any);
    assert_true(any);
    return err;
}

unsigned flush_all(void)
{
    unsigned times = 0;
    while (flush(1000))
        times++;
    return times;
}

void compact(revision at)
{
    assert_int_equal(mvcc_compact(store, at), ERR_OK);
}

unsigned compact_all(size_t keys_max)
{
    unsigned slices = 1;
    while (mvcc_compact_slice(store, keys_max))
        slices++;
    return slices;
}

enum err try_start(void)
{
    struct mvcc_config config = {.kv = kv, .seed = 99};
    enum err err = mvcc_open(&config, &store);
    if (err == ERR_OK)
        assert_int_equal(mvcc_reader_new(store, &reader), ERR_OK);
    return err;
}

void start(void)
{
    assert_int_equal(try_start(), ERR_OK);
}

void stop(void)
{
    mvcc_reader_free(reader);
    mvcc_close(store);
    reader = NULL;
    store = NULL;
    kv = kv_memory_reopen(kv);
}

void restart(void)
{
    stop();
    start();
}

static void each_in_file(kv_table table,
                         void (*each)(void *context, struct slice key),
                         void *context)
{
    struct kv_txn *txn;
    struct kv_cursor *cursor;
    struct slice key, value;
    assert_int_equal(kv->ops->begin_read(kv, &txn), ERR_OK);
    assert_int_equal(kv->ops->cursor_open(kv, txn, table, &cursor), ERR_OK);
    enum err err =
        kv->ops->cursor_seek(kv, cursor, slice_of("\0", 1), &key, &value);
    while (err == ERR_OK) {
        each(context, key);
        err = kv->ops->cursor_next(kv, cursor, &key, &value);
    }
    assert_int_equal(err, ERR_END);
    kv->ops->cursor_close(kv, cursor);
    kv->ops->end_read(kv, txn);
}

static void add_one(void *context, struct slice key)
{
    uint64_t *number = context;
    (void)key;
    ++*number;
}

uint64_t file_count(kv_table table)
{
    uint64_t number = 0;
    each_in_file(table, add_one, &number);
    return number;
}

static void append_record(void *context, struct slice key)
{
    struct buf *answer = context;
    struct rev rev;
    assert_int_equal(record__decode_key(key, &rev), ERR_OK);
    blank(answer);
    buf_printf(answer, "%lld.%u", (long long)rev.main, rev.sub);
}

const char *file_records(void)
{
    struct buf *answer = new_answer();
    each_in_file(MVCC_KV_RECORDS, append_record, answer);
    return text_of(answer);
}

void file_put(kv_table table, struct slice key, struct slice value)
{
    struct kv_txn *txn;
    assert_int_equal(kv->ops->begin_write(kv, &txn), ERR_OK);
    assert_int_equal(kv->ops->put(kv, txn, table, key, value), ERR_OK);
    assert_int_equal(kv->ops->commit(kv, txn), ERR_OK);
}

void file_del(kv_table table, struct slice key)
{
    struct kv_txn *txn;
    assert_int_equal(kv->ops->begin_write(kv, &txn), ERR_OK);
    assert_int_equal(kv->ops->del(kv, txn, table, key), ERR_OK);
    assert_int_equal(kv->ops->commit(kv, txn), ERR_OK);
}
