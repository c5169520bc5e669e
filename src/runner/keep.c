/* What isn't kept for ever: records of runs, and distances between a cursor
 * and the present.
 *
 * Records (run/<name>/<run>, a list each, in the runs' order) beyond keep.runs
 * go by a range delete below the first that stays. How many there are since
 * the recipe was loaded is counted as they are committed; what was there
 * before is read once, from the newest on. Those older than keep.for go too:
 * on etched below the revision of that moment; on etcd, which has no times,
 * below the revision that this worker saw then.
 *
 * The cursor of a quiet recipe is written now and then when it is far behind,
 * or a compaction would make it a gap. */
#include "doc/doc.h"
#include "proto/message.h"
#include "proto/rpc.pb-c.h"
#include "runner/runner_core.h"

#define KEEP_EACH_NS (10 * SECOND_NS)
#define KEEP_AGE_EACH_NS (3600 * SECOND_NS)
#define KEEP_CURSOR_EACH_NS (600 * SECOND_NS)
enum { PAGE_KEYS = 20, CURSOR_BEHIND = 1000 };

struct kept {
    size_t count; /* records of the key */
    size_t size;
    char *key;
};

struct keep {
    struct work *work;
    struct timer timer;
    uint64_t call;
    struct kept *ring; /* of those committed since it was loaded */
    size_t at;
    size_t length;
    size_t capacity;
    size_t total;
    struct buf below; /* keys before this go; empty: none */
    bool has_moved;   /* `below`, since its delete was sent */
    bool is_read;     /* what was there before */
    size_t read;      /* records, from the newest on */
    struct buf read_to;
    int64_t aged_at_ns; /* mono */
    int64_t cursor_at_ns;
    bool wants_cursor;
};

/* ---- the ring ------------------------------------------------------------ */

static struct kept *front(struct keep *keep)
{
    return &keep->ring[keep->at];
}

static void pop(struct keep *keep)
{
    CHECK_LT(0, keep->length);
    CHECK_LE(front(keep)->count, keep->total);
    keep->total -= front(keep)->count;
    mem_free(front(keep)->key);
    keep->at = (keep->at + 1) % keep->capacity;
    keep->length--;
}

static void push(struct keep *keep, struct slice key, size_t count)
{
    if (keep->length == keep->capacity) {
        size_t capacity = keep->capacity ? keep->capacity * 2 : 16;
        struct kept *ring = mem_alloc(capacity * sizeof *ring);
        for (size_t i = 0; i < keep->length; i++)
            ring[i] = keep->ring[(keep->at + i) % keep->capacity];
        mem_free(keep->ring);
        keep->ring = ring;
        keep->at = 0;
        keep->capacity = capacity;
    }
    struct kept *kept =
        &keep->ring[(keep->at + keep->length++) % keep->capacity];
    *kept = (struct kept){
        .count = count, .size = key.size, .key = mem_dup(key.at, key.size)};
    keep->total += count;
}

static void prefix_of(const struct keep *keep, struct buf *out)
{
    struct slice none = SLICE("");
    buf_reset(out);
    recipe_key_write(out, RECIPE_KEY_RUN, keep->work->def->name, &none);
}

/* Where `key` is further than what is to go so far. */
static void go_below(struct keep *keep, struct slice key)
{
    if (slice_cmp(buf_slice(&keep->below), key) >= 0)
        return;
    buf_reset(&keep->below);
    buf_append_slice(&keep->below, key);
    keep->has_moved = true;
}

void keep__committed(struct work *work, const struct turn *turn)
{
    struct keep *keep = work->keep;
    size_t records = 0;
    if (!keep)
        return;
    for (size_t i = 0; i < turn->run_count; i++)
        records += turn->runs[i].status != RUN_ACTIVE;
    if (records == 0)
        return;
    struct buf prefix = {0};
    prefix_of(keep, &prefix);
    for (size_t i = 0; i < turn->count; i++) {
        const struct turn_operation *operation = &turn->operations[i];
        if (operation->kind == TURN_PUT && !operation->is_effect &&
            slice_has_prefix(operation->key, buf_slice(&prefix))) {
            push(keep, operation->key, records);
            break;
        }
    }
    buf_deinit(&prefix);
    size_t most = work->def->recipe->keep_runs;
    while (keep->length > 1 && keep->total - front(keep)->count >= most) {
        pop(keep);
        go_below(keep, slice_of(front(keep)->key, front(keep)->size));
        keep->is_read = true; /* all that was before goes */
    }
}

/* ---- deleting ------------------------------------------------------------ */

static void wait(struct runner *runner, struct keep *keep)
{
    timer__set(runner, &keep->timer,
               runner->now.mono_ns + KEEP_EACH_NS +
                   prng_between(&runner->prng, 0, SECOND_NS));
}

static void deleted(struct runner *runner, void *context,
                    const struct store_answer *answer)
{
    struct keep *keep = context;
    keep->call = 0;
    if (answer->code == 0 && !keep->has_moved)
        buf_reset(&keep->below);
    wait(runner, keep);
}

static void delete_below(struct runner *runner, struct keep *keep)
{
    struct buf key = {0};
    struct store_txn txn;
    CHECK(keep->call == 0);
    CHECK_LT(0, keep->below.size);
    store_txn__begin(&txn);
    recipe_key_write(&key, RECIPE_KEY_OWNER, keep->work->def->name, NULL);
    store_txn__compare_number(&txn, buf_slice(&key), TURN_CREATE_REVISION,
                              keep->work->claim);
    prefix_of(keep, &key);
    store_txn__delete(&txn, buf_slice(&key), buf_slice(&keep->below));
    keep->has_moved = false;
    keep->call = store_txn__send_raw(runner, &txn, deleted, keep);
    buf_deinit(&key);
}

/* ---- what was there before ---------------------------------------------- */

static size_t count_records(struct slice json)
{
    struct arena arena;
    struct doc_value *doc;
    size_t count = 1;
    arena_init(&arena, 0);
    if (!doc_parse_json(&arena, json, &doc_limits_default, &doc) &&
        doc->kind == DOC_LIST)
        count = doc->count;
    arena_deinit(&arena);
    return count;
}

static void take_page(struct runner *runner, void *context,
                      const struct store_answer *answer)
{
    struct keep *keep = context;
    keep->call = 0;
    wait(runner, keep);
    if (answer->code != 0)
        return;
    const Etcdserverpb__RangeResponse *page = answer->range;
    for (size_t i = 0; i < page->n_kvs; i++) {
        struct slice key = message_bytes(page->kvs[i]->key);
        if (keep->read >= keep->work->def->recipe->keep_runs) {
            go_below(keep, buf_slice(&keep->read_to));
            keep->is_read = true;
            return;
        }
        keep->read += count_records(message_bytes(page->kvs[i]->value));
        buf_reset(&keep->read_to);
        buf_append_slice(&keep->read_to, key);
    }
    keep->is_read = keep->is_read || !page->more;
    if (!keep->is_read)
        timer__set(runner, &keep->timer, runner->now.mono_ns + 100 * MILLI_NS);
}

static void read_page(struct runner *runner, struct keep *keep)
{
    struct buf key = {0};
    struct buf end = {0};
    struct buf request = {0};
    prefix_of(keep, &key);
    store__prefix_end(buf_slice(&key), &end);
    pb_put_bytes(&request, 1, buf_slice(&key));
    pb_put_bytes(&request, 2,
                 buf_slice(keep->read_to.size ? &keep->read_to : &end));
    pb_put_i64(&request, 3, PAGE_KEYS);
    pb_put_u64(&request, 5, 2); /* descending */
    keep->call =
        store__call(runner, RUNNER_RANGE, buf_slice(&request), take_page, keep);
    buf_deinit(&key);
    buf_deinit(&end);
    buf_deinit(&request);
}

/* ---- age ---------------------------------------------------------------- */

static void go_below_revision(struct keep *keep, int64_t revision)
{
    char text[RUN_ID_BYTES_MAX];
    struct run_id id = {.revision = revision};
    struct buf key = {0};
    if (revision <= 0)
        return;
    prefix_of(keep, &key);
    buf_append(&key, text, run_id_to_key(&id, text));
    go_below(keep, buf_slice(&key));
    buf_deinit(&key);
}

static void take_age(struct runner *runner, void *context,
                     const struct store_answer *answer)
{
    struct keep *keep = context;
    keep->call = 0;
    go_below_revision(keep, age__answer(answer));
    wait(runner, keep);
}

static void ask_age(struct runner *runner, struct keep *keep)
{
    int64_t keep_ns = keep->work->def->recipe->keep_ns;
    keep->aged_at_ns = runner->now.mono_ns;
    if (runner->config.is_etched)
        keep->call = age__ask(runner, keep_ns, take_age, keep);
    else
        go_below_revision(keep, age__seen(runner, keep_ns));
}

/* ---- cursors ------------------------------------------------------------ */

static void look_at_cursor(struct runner *runner, struct keep *keep)
{
    struct work *work = keep->work;
    int64_t behind_max = 4 * (int64_t)runner->defs.count;
    if (behind_max < CURSOR_BEHIND)
        behind_max = CURSOR_BEHIND;
    keep->cursor_at_ns = runner->now.mono_ns + KEEP_CURSOR_EACH_NS;
    for (size_t i = 0; i < work->trigger_count; i++) {
        const struct sub *sub = &work->subs[i];
        if (!sub->pattern || sub->queued)
            continue;
        int64_t behind =
            sub__next(sub) - 1 - machine_position(work->machine, i).revision;
        keep->wants_cursor = keep->wants_cursor || behind > behind_max;
    }
    if (keep->wants_cursor)
        work__ready(runner, work);
}

bool keep__wants_cursor(const struct work *work)
{
    return work->keep && work->keep->wants_cursor;
}

void keep__cursor_written(struct work *work)
{
    if (work->keep)
        work->keep->wants_cursor = false;
}

/* ---- life --------------------------------------------------------------- */

static void look(struct runner *runner, struct timer *timer)
{
    struct keep *keep = CONTAINER_OF(timer, struct keep, timer);
    CHECK(keep->call == 0);
    if (runner->now.mono_ns >= keep->cursor_at_ns)
        look_at_cursor(runner, keep);
    if (keep->below.size)
        delete_below(runner, keep);
    else if (!keep->is_read)
        read_page(runner, keep);
    else if (keep->aged_at_ns == 0 ||
             runner->now.mono_ns - keep->aged_at_ns >= KEEP_AGE_EACH_NS)
        ask_age(runner, keep);
    if (keep->call == 0)
        wait(runner, keep);
}

void keep__start(struct runner *runner, struct work *work)
{
    CHECK(work->keep == NULL);
    struct keep *keep = mem_alloc_zero(sizeof *keep);
    keep->work = work;
    keep->timer.due = look;
    work->keep = keep;
    /* Not all recipes of a worker at once. */
    keep->cursor_at_ns = runner->now.mono_ns +
                         prng_between(&runner->prng, KEEP_CURSOR_EACH_NS / 2,
                                      KEEP_CURSOR_EACH_NS);
    timer__set(runner, &keep->timer,
               runner->now.mono_ns +
                   prng_between(&runner->prng, KEEP_EACH_NS, 60 * SECOND_NS));
}

void keep__stop(struct runner *runner, struct work *work)
{
    struct keep *keep = work->keep;
    if (!keep)
        return;
    store__cancel(runner, keep->call);
    timer__stop(runner, &keep->timer);
    while (keep->length)
        pop(keep);
    mem_free(keep->ring);
    buf_deinit(&keep->below);
    buf_deinit(&keep->read_to);
    mem_free(keep);
    work->keep = NULL;
}
