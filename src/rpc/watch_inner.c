/* Watches of this folder's own: who waits for a key to go, or to come. They
 * are told once, when the hub is at rest, and look for themselves. */
#include "base/check.h"
#include "rpc/watch_int.h"

static struct inner_watch *inner_of(struct watcher *watcher)
{
    return CONTAINER_OF(watcher, struct inner_watch, watcher);
}

static void fire(struct inner_watch *watch)
{
    CHECK(!watch->fired);
    watch->fired = true;
    list_push_back(&watch->rpc->watches->fired, &watch->link);
}

static void on_event(struct watcher *watcher, const struct record *record,
                     struct mvcc_commit *commit)
{
    struct inner_watch *watch = inner_of(watcher);
    bool is_delete = (record->flags & MVCC_TOMBSTONE) != 0;
    (void)commit;
    if ((watch->kinds & (is_delete ? INNER_DELETE : INNER_PUT)) != 0) {
        watch_hub_remove(watch->rpc->hub, watcher);
        fire(watch);
    }
}

static void on_compacted(struct watcher *watcher, revision compacted)
{
    CHECK_LT(0, compacted);
    fire(inner_of(watcher));
}

void inner_watch__begin(struct inner_watch *watch, struct rpc *rpc,
                        struct slice key, struct slice end, revision from,
                        unsigned kinds, void (*told)(struct inner_watch *watch))
{
    revision current;
    revision compacted;
    CHECK(watch->rpc == NULL && kinds != 0 && from > 0);
    *watch = (struct inner_watch){
        .watcher = {.key = key,
                    .end = end,
                    .next = from,
                    .on_event = on_event,
                    .on_compacted = on_compacted,
                    .tables = 1U << MVCC_KEYS},
        .rpc = rpc,
        .on_event = told,
        .kinds = kinds,
    };
    list_init(&watch->link);
    watching__prepare(rpc, &current, &compacted);
    watch_hub_add(rpc->hub, &watch->watcher, current);
}

void inner_watch__end(struct inner_watch *watch)
{
    struct rpc *rpc = watch->rpc;
    if (rpc == NULL) {
        return;
    }
    watch->rpc = NULL;
    if (watch->fired) {
        list_remove(&watch->link);
        return;
    }
    watch_hub_remove(rpc->hub, &watch->watcher);
    watching__settle(rpc);
}

void inner_watch__tell(struct rpc *rpc)
{
    struct list *link;
    while ((link = list_first(&rpc->watches->fired)) != NULL) {
        struct inner_watch *watch =
            CONTAINER_OF(link, struct inner_watch, link);
        CHECK(watch->fired && watch->rpc == rpc);
        list_remove(link);
        watch->rpc = NULL;
        watch->on_event(watch);
    }
}
