/* The life of struct watching: what comes to it from the host, and time.
 *
 *   commits  --> hub --> flush           live
 *   catch_up --> hub --> flush           history, in slices
 *   tick     --> notifications           of those who asked, and were idle
 *
 * A slice of history is so many records as have encoded about
 * WATCH_SLICE_BYTES the last time, so that large values don't pile up.
 */
#include "base/check.h"
#include "rpc/watch_int.h"

/* Of what a watch asks of the host. */
static void set_watching(struct rpc *rpc, bool watching)
{
    if (rpc->watching != watching) {
        rpc->watching = watching;
        rpc->config.on_watching(rpc->config.context, watching);
    }
}

/* ---- life ---------------------------------------------------------------- */

enum err watching__new(struct rpc *rpc)
{
    struct watching *watches = mem_alloc_zero(sizeof(*watches));
    list_init(&watches->dirty);
    list_init(&watches->asking);
    list_init(&watches->fired);
    heap_init(&watches->due);
    prng_init(&watches->prng, rpc->config.seed);
    watches->history_slice = LIMIT_HISTORY_SLICE;
    watches->header_at = -1;
    rpc->watches = watches;
    rpc->hub = watch_hub_new(prng_next(&watches->prng));
    return ERR_OK;
}

void watching__free(struct rpc *rpc)
{
    struct watching *watches = rpc->watches;
    CHECK(list_is_empty(&watches->dirty) && list_is_empty(&watches->asking));
    CHECK(list_is_empty(&watches->fired));
    for (size_t i = 0; i < TOLD_KINDS; i++) {
        CHECK(watches->first[i] == NULL);
    }
    told__forget(watches);
    heap_deinit(&watches->due);
    buf_deinit(&watches->scratch);
    watch_hub_free(rpc->hub);
    mem_free(watches);
    rpc->hub = NULL;
    rpc->watches = NULL;
}

void watching__prepare(struct rpc *rpc, revision *current, revision *compacted)
{
    struct watching *watches = rpc->watches;
    set_watching(rpc, true);
    rpc__read_begin(rpc);
    mvcc_reader_revisions(rpc->reader, current, compacted);
    rpc__read_end(rpc);
    if (watch_hub_count(rpc->hub) == 0 && *current > watches->newest) {
        watches->newest = *current;
    }
}

void watching__settle(struct rpc *rpc)
{
    if (watch_hub_count(rpc->hub) == 0) {
        set_watching(rpc, false);
    }
}

void watching__put_header(struct rpc *rpc, struct buf *out, revision at)
{
    struct watching *watches = rpc->watches;
    CHECK_LT(0, at);
    if (watches->header_at != at) {
        watches->header_size = rpc__header(rpc, at, watches->header);
        watches->header_at = at;
    }
    buf_append(out, watches->header, watches->header_size);
}

/* ---- events -------------------------------------------------------------- */

static void raise_newest(struct watching *watches, revision newest)
{
    if (newest > watches->newest) {
        watches->newest = newest;
    }
}

void watching__commits(struct rpc *rpc, struct mvcc_commit *const *commits,
                       size_t count)
{
    struct watching *watches = rpc->watches;
    CHECK(!rpc->reading);
    watching__look_again(rpc);
    for (size_t i = 0; i < count && watch_hub_count(rpc->hub) > 0; i++) {
        watch_hub_commit(rpc->hub, commits[i]);
        raise_newest(watches, commits[i]->main);
        if (watches->full) {
            watching__flush(rpc);
        }
    }
    watching__flush(rpc);
}

void watching__jump(struct rpc *rpc, revision newest)
{
    if (watch_hub_count(rpc->hub) > 0) {
        watch_hub_jump(rpc->hub, newest);
        raise_newest(rpc->watches, newest);
    }
}

static size_t clamp(size_t value, size_t least, size_t most)
{
    return value < least ? least : value > most ? most : value;
}

static void set_slice(struct watching *watches)
{
    size_t slice = watches->history_slice;
    slice = watches->gathered > WATCH_SLICE_BYTES ? slice / 2 : slice * 2;
    watches->history_slice =
        clamp(slice, WATCH_SLICE_RECORDS_MIN, LIMIT_HISTORY_SLICE);
}

bool watching__catch_up(struct rpc *rpc)
{
    struct watching *watches = rpc->watches;
    if (watch_hub_count(rpc->hub) == 0 && list_is_empty(&watches->dirty)) {
        return false;
    }
    watching__look_again(rpc);
    watches->resumed = false;
    rpc__read_begin(rpc);
    bool more = watch_catch_up(rpc->hub, rpc->reader, watches->history_slice);
    rpc__read_end(rpc);
    set_slice(watches);
    watches->of_history = true;
    watching__flush(rpc);
    watches->of_history = false;
    return more || watches->resumed;
}

/* ---- time ---------------------------------------------------------------- */

/* As etcd does: up to a tenth more, so that streams that began together don't
 * stay together. 0: never. */
int64_t watching__interval_ms(struct rpc *rpc)
{
    int64_t interval_ms = rpc->shared->watch_progress_ms;
    if (interval_ms <= 0) {
        return 0;
    }
    return interval_ms + (int64_t)prng_below(&rpc->watches->prng,
                                             (uint64_t)interval_ms / 10 + 1);
}

void watching__tick(struct rpc *rpc, int64_t now_ms)
{
    struct heap *due = &rpc->watches->due;
    struct heap_node *node;
    watching__look_again(rpc);
    while ((node = heap_top(due)) != NULL && node->key <= now_ms) {
        watch__notify(CONTAINER_OF(node, struct watch_stream, due), now_ms);
        CHECK(heap_top(due) != node || node->key > now_ms);
    }
}

int64_t watching__deadline_ms(const struct rpc *rpc)
{
    const struct heap_node *first = heap_top(&rpc->watches->due);
    return first != NULL ? first->key : INT64_MAX;
}
