/* A look at a state that no store is open over. */
#include "base/check.h"
#include "mvcc/mvcc_int.h"

static enum err peek_state(struct kv *kv, struct kv_txn *txn,
                           struct state *state)
{
    struct slice bytes;
    *state = (struct state){0};
    enum err err = kv->ops->get(kv, txn, MVCC_KV_STATE, state__key, &bytes);
    if (err == ERR_NOT_FOUND)
        return ERR_OK; /* nothing was ever flushed */
    return err == ERR_OK ? state__decode(bytes, state) : err;
}

static enum err peek_meta(struct kv *kv, struct kv_txn *txn, struct slice name,
                          struct buf *out)
{
    struct slice bytes;
    struct slice value;
    enum err err = kv->ops->get(kv, txn, MVCC_KV_META, name, &bytes);
    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    if (err == ERR_OK)
        err = meta__decode(name, bytes, &value);
    if (err == ERR_OK)
        buf_append_slice(out, value);
    return err;
}

enum err mvcc_peek(struct kv *kv, struct slice name, uint64_t *applied_index,
                   uint64_t *applied_term, struct buf *value)
{
    struct kv_txn *txn;
    struct state state;
    CHECK(name.size >= 1 && name.size <= KV_KEY_BYTES_MAX);
    enum err err = kv->ops->begin_read(kv, &txn);
    if (err != ERR_OK)
        return err_wrap(err, "look at the store");
    err = peek_state(kv, txn, &state);
    if (err == ERR_OK)
        err = peek_meta(kv, txn, name, value);
    kv->ops->end_read(kv, txn);
    *applied_index = state.mark.applied_index;
    *applied_term = state.mark.applied_term;
    return err_wrap(err, "look at the store");
}
