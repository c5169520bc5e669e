/* Looking through the keys of a contest. There may be many, if the name is
 * that of something else: the lock is given up on the way. */
#include "base/check.h"
#include "rpc/contest.h"

enum { KEYS_AT_ONCE = 1000, TRIES_MAX = 3 };

void contest__seek_deinit(struct contest_seek *seek)
{
    buf_deinit(&seek->key);
    buf_deinit(&seek->kv);
}

/* The end of what begins with the prefix, whose last letter is '/'. */
static struct slice end_of(struct slice prefix, struct buf *end)
{
    CHECK(prefix.size > 0 && prefix.at[prefix.size - 1] == '/');
    buf_append_slice(end, prefix);
    end->at[end->size - 1]++;
    return buf_slice(end);
}

enum v3_error contest__may_look(struct call *call, struct slice prefix)
{
    struct buf end = {0};
    struct slice range_end = end_of(prefix, &end);
    who__about(call, prefix, range_end);
    enum v3_error error = who__may(call, AUTH_READ, prefix, range_end);
    buf_deinit(&end);
    return error;
}

static void note(struct contest_seek *seek, const struct record *record)
{
    if ((seek->below != 0 && record->create >= seek->below) ||
        (seek->found && (seek->last ? record->create <= seek->create
                                    : record->create >= seek->create))) {
        return;
    }
    seek->found = true;
    seek->create = record->create;
    seek->mod = record->rev.main;
    buf_reset(&seek->key);
    buf_append_slice(&seek->key, record->key);
    if (seek->wants_kv) {
        buf_reset(&seek->kv);
        txn_key_value(&seek->kv, record);
    }
}

/* Some of the keys from *from on, which goes behind the last that was seen.
 * ERR_END: there are no more. Needs: the store can be read. */
static enum err seek_some(struct rpc *rpc, struct contest_seek *seek,
                          struct slice end, struct buf *from)
{
    struct mvcc_walk walk;
    struct slice key = {0};
    struct rev rev;
    enum err err = mvcc_walk_init(&walk, rpc->reader, MVCC_KEYS,
                                  buf_slice(from), end, seek->at);
    for (size_t i = 0; err == ERR_OK && i < KEYS_AT_ONCE; i++) {
        struct record record;
        err = mvcc_walk_next(&walk, &key, &rev);
        if (err == ERR_OK) {
            err = mvcc_get_rev(rpc->reader, rev, &record);
        }
        if (err == ERR_OK) {
            note(seek, &record);
        }
    }
    if (err == ERR_OK) {
        buf_reset(from);
        buf_append_slice(from, key);
        buf_append_char(from, '\0');
    }
    return err;
}

static enum err seek_all(struct rpc *rpc, struct contest_seek *seek)
{
    struct buf end = {0};
    struct buf from = {0};
    enum err err = ERR_OK;
    struct slice stop = end_of(seek->prefix, &end);
    buf_append_slice(&from, seek->prefix);
    seek->found = false;
    seek->at = 0;
    while (err == ERR_OK) {
        rpc__read_begin(rpc);
        if (seek->at == 0) {
            seek->at = rpc__revision(rpc);
        }
        err = seek_some(rpc, seek, stop, &from);
        rpc__read_end(rpc);
    }
    buf_deinit(&end);
    buf_deinit(&from);
    return err == ERR_END ? ERR_OK : err;
}

enum err contest__seek(struct rpc *rpc, struct contest_seek *seek)
{
    enum err err = ERR_COMPACTED;
    for (int i = 0; err == ERR_COMPACTED && i < TRIES_MAX; i++) {
        err = seek_all(rpc, seek);
    }
    return err;
}
