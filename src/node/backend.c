/* The backend thread's part: moving the tail into the kv file. */
#include "base/check.h"
#include "base/log.h"
#include "node/node_int.h"

void node__set_alarm(_Atomic bool *alarm, bool on, const char *what)
{
    if (atomic_exchange(alarm, on) == on) {
        return;
    }
    if (on) {
        log_error("node", "writes are refused until there is room again",
                  LOG_STR("why", what));
    } else {
        log_info("node", "there is room again: writes resume",
                 LOG_STR("why", what));
    }
}

void node__look_at_quota(struct node *node)
{
    struct kv *kv = node->config.ports.kv;
    struct kv_stat stat;
    uint64_t quota = node->config.quota_bytes;
    if (quota == 0) {
        return;
    }
    kv->ops->stat(kv, &stat);
    /* Off again only well below, so that it doesn't flutter. */
    if (stat.in_use_bytes > quota) {
        node__set_alarm(&node->over_quota, true, "the quota is used up");
    } else if (stat.in_use_bytes < quota - quota / 20) {
        node__set_alarm(&node->over_quota, false, "the quota is used up");
    }
}

static void look_at_space(struct node *node, enum err err)
{
    if (err == ERR_DISK_FULL || err == ERR_NO_SPACE) {
        node__set_alarm(&node->kv_full, true, "no room for the store");
    } else if (err == ERR_OK) {
        node__set_alarm(&node->kv_full, false, "no room for the store");
    }
    node__look_at_quota(node);
}

static enum err write_cut(struct node *node, struct mvcc_flush *flush)
{
    struct clock *clock = node->config.ports.clock;
    int64_t start_ns = clock_monotonic_ns(clock);
    enum err err = mvcc_flush_write(flush);
    int64_t took_ns = clock_monotonic_ns(clock) - start_ns;
    node__count(node, NODE_COUNTER(flushes), 1);
    node__count(node, NODE_COUNTER(flush_ns), (uint64_t)took_ns);
    return err;
}

/* What a compaction dropped leaves the file a part each flush. Where writes
 * come, the flushes that they cause take it along. */
static bool is_more(struct node *node, const struct mvcc_status *before,
                    const struct mvcc_status *after, bool garbage)
{
    if (garbage) {
        atomic_store(&node->garbage, true);
    }
    return after->flushed_index < before->applied_index ||
           (garbage && after->tail_commits == 0);
}

static struct mvcc_flush *cut(struct node *node, struct mvcc_status *before)
{
    struct lock *lock = node->config.ports.lock;
    lock_read(lock);
    mvcc_status(node->mvcc, before);
    struct mvcc_flush *flush =
        mvcc_flush_begin(node->mvcc, node->config.flush_revisions);
    unlock_read(lock);
    return flush;
}

static void let_go(struct node *node, struct mvcc_flush *flush,
                   enum err written, struct mvcc_status *after)
{
    struct lock *lock = node->config.ports.lock;
    lock_write(lock);
    mvcc_flush_done(node->mvcc, flush, written);
    mvcc_status(node->mvcc, after);
    CHECK_LE(atomic_load(&node->flushed), after->flushed_index);
    CHECK_LE(after->flushed_index, after->applied_index);
    atomic_store(&node->flushed, after->flushed_index);
    atomic_store(&node->tail_bytes, after->tail_bytes);
    unlock_write(lock);
    mvcc_flush_free(flush);
}

static enum err flush(struct node *node, bool *more)
{
    struct mvcc_status before;
    struct mvcc_status after;
    *more = false;
    atomic_store(&node->flush_wanted, false);
    bool garbage = atomic_exchange(&node->garbage, false);
    struct mvcc_flush *flush = cut(node, &before);
    if (flush == NULL) {
        CHECK_EQ(before.flushed_index, before.applied_index);
        return ERR_OK;
    }
    enum err err = write_cut(node, flush);
    let_go(node, flush, err, &after);
    look_at_space(node, err);
    bool left = is_more(node, &before, &after, garbage);
    *more = err == ERR_OK && left;
    return err_wrap(err, "flush the store");
}

enum err node__flush_now(struct node *node)
{
    bool more = true;
    enum err err = ERR_OK;
    while (more && err == ERR_OK) {
        err = flush(node, &more);
    }
    return err;
}

/* While a snapshot takes the store's place there is nothing to flush; the
 * writer says when it is done. */
enum err node_flush(struct node *node, bool *more)
{
    int owner = NODE_FLUSH_FREE;
    *more = false;
    if (atomic_load(&node->unusable)) {
        return err_set(ERR_STOPPED, "the store can't be used");
    }
    if (!atomic_compare_exchange_strong(&node->flush_owner, &owner,
                                        NODE_FLUSH_BACKEND)) {
        CHECK_EQ(owner, NODE_FLUSH_WRITER);
        return ERR_OK;
    }
    enum err err = flush(node, more);
    owner = atomic_exchange(&node->flush_owner, NODE_FLUSH_FREE);
    CHECK_EQ(owner, NODE_FLUSH_BACKEND);
    if (err == ERR_OK && !*more) {
        *more = node__clean_other_set(node);
    }
    return err;
}
