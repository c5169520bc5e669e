/* A change as the watchers are told it. Nothing of it depends on who watches,
 * save whether it is hidden from them, so it is rendered once and shared by
 * all that wait for it. */
#include "api/api_int.h"
#include "base/check.h"

void told__clear(struct told *told)
{
    refbuf_unref(told->json);
    told->json = NULL;
    told->record = (struct rev){0};
    told->told = false;
    told->err = ERR_OK;
}

/* Needs: the store can be read, since the node before the change may have to
 * be. */
static void render(struct api *api, const struct record *record,
                   struct mvcc_commit *commit)
{
    struct told *told = &api->told;
    struct tree_event event;
    /* From nobody is its own change hidden. */
    told->err = tree_event(api->reader, record, commit, record->key, &event,
                           &told->event, &told->told);
    if (told->err != ERR_OK || !told->told) {
        return;
    }
    CHECK_EQ(told->event.main, record->rev.main);
    struct buf *out = api__body(api);
    json__event(out, &event, api->shared->clock);
    told->json = refbuf_dup(out->at, out->size);
    buf_reset(&told->key);
    buf_append_slice(&told->key, event.node.key);
}

const struct told *api__told(struct api *api, const struct record *record,
                             struct mvcc_commit *commit)
{
    struct told *told = &api->told;
    CHECK_NE(record->rev.main, 0);
    if (told->record.main == record->rev.main &&
        told->record.sub == record->rev.sub) {
        return told;
    }
    bool reads = api->reading;
    told__clear(told);
    told->record = record->rev;
    if (!reads) {
        api__read_begin(api);
    }
    render(api, record, commit);
    if (!reads) {
        api__read_end(api);
    }
    return told;
}
