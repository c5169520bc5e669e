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

static void look_at_space(struct node *node, enum err err)
{
    struct kv *kv = node->config.ports.kv;
    struct kv_stat stat;
    uint64_t quota = node->config.quota_bytes;
    kv->ops->stat(kv, &stat);
    atomic_store(&node->in_use_bytes, stat.in_use_bytes);
    if (err == ERR_DISK_FULL || err == ERR_NO_SPACE) {
        node__set_alarm(&node->kv_full, true, "the disk is full");
    } else if (err == ERR_OK) {
        node__set_alarm(&node->kv_full, false, "the disk is full");
    }
    /* Off again only well below, so that it doesn't flutter. */
    if (quota > 0 && stat.in_use_bytes > quota) {
        node__set_alarm(&node->over_quota, true, "the quota is used up");
    } else if (stat.in_use_bytes < quota - quota / 20) {
        node__set_alarm(&node->over_quota, false, "the quota is used up");
    }
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

enum err node_flush(struct node *node, bool *more)
{
    struct lock *lock = node->config.ports.lock;
    struct mvcc_status status;
    *more = false;
    atomic_store(&node->flush_wanted, false);
    lock_read(lock);
    struct mvcc_flush *flush =
        mvcc_flush_begin(node->mvcc, node->config.flush_revisions);
    unlock_read(lock);
    if (flush == NULL) {
        return ERR_OK;
    }
    enum err err = write_cut(node, flush);
    lock_write(lock);
    mvcc_flush_done(node->mvcc, flush, err);
    mvcc_status(node->mvcc, &status);
    unlock_write(lock);
    mvcc_flush_free(flush);
    CHECK_LE(status.flushed_index, status.applied_index);
    atomic_store(&node->flushed, status.flushed_index);
    look_at_space(node, err);
    *more = err == ERR_OK && status.flushed_index < status.applied_index;
    return err_wrap(err, "flush the store");
}
