/* A set as a kv that can only be read: what a source sends, and what a sink
 * has received. A source's shows the one state of its transaction. */
#include "base/check.h"
#include "snap/snap_int.h"

static struct snap__view *view_of(struct kv *kv)
{
    return (struct snap__view *)(void *)kv;
}

static enum err begin_read(struct kv *kv, struct kv_txn **out)
{
    struct snap__view *view = view_of(kv);
    *out = view->txn;
    return view->txn != NULL ? ERR_OK
                             : view->file->ops->begin_read(view->file, out);
}

static void end_read(struct kv *kv, struct kv_txn *txn)
{
    struct snap__view *view = view_of(kv);
    if (view->txn == NULL)
        view->file->ops->end_read(view->file, txn);
    else
        CHECK(txn == view->txn);
}

static enum err get(struct kv *kv, struct kv_txn *txn, kv_table table,
                    struct slice key, struct slice *value)
{
    struct snap__view *view = view_of(kv);
    CHECK_LT(table, SNAP_SET_TABLES);
    return view->file->ops->get(view->file, txn, snap__table(view->set, table),
                                key, value);
}

static enum err cursor_open(struct kv *kv, struct kv_txn *txn, kv_table table,
                            struct kv_cursor **out)
{
    struct snap__view *view = view_of(kv);
    CHECK_LT(table, SNAP_SET_TABLES);
    return view->file->ops->cursor_open(view->file, txn,
                                        snap__table(view->set, table), out);
}

static void cursor_close(struct kv *kv, struct kv_cursor *cursor)
{
    struct kv *file = view_of(kv)->file;
    file->ops->cursor_close(file, cursor);
}

static enum err cursor_seek(struct kv *kv, struct kv_cursor *cursor,
                            struct slice from, struct slice *key,
                            struct slice *value)
{
    struct kv *file = view_of(kv)->file;
    return file->ops->cursor_seek(file, cursor, from, key, value);
}

static enum err cursor_next(struct kv *kv, struct kv_cursor *cursor,
                            struct slice *key, struct slice *value)
{
    struct kv *file = view_of(kv)->file;
    return file->ops->cursor_next(file, cursor, key, value);
}

static const struct kv_ops ops = {
    .begin_read = begin_read,
    .end_read = end_read,
    .get = get,
    .cursor_open = cursor_open,
    .cursor_close = cursor_close,
    .cursor_seek = cursor_seek,
    .cursor_next = cursor_next,
};

void snap__view_init(struct snap__view *view, struct kv *file, unsigned set,
                     struct kv_txn *txn)
{
    CHECK_LT(set, SNAP_SETS);
    *view = (struct snap__view){
        .kv.ops = &ops, .file = file, .set = set, .txn = txn};
}
