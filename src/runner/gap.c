/* A trigger whose history was compacted away below what it has to read next.
 *
 *   pause    the recipe stops; status/ says from where to where, and when it is
 *            resumed it goes on behind that
 *   skip     it goes on behind that; status/ says so
 *   resync   each key that was written there and is still as it was then is
 *            told as an event of its mod_revision; then it goes on behind that
 *
 * What was queued before is taken first. An inbox is always resynced: what is
 * worked leaves it, so what is in it is what was missed. With `start:
 * beginning` what is gone before the first event is no gap. */
#include <stdlib.h>

#include "proto/message.h"
#include "proto/rpc.pb-c.h"
#include "runner/runner_core.h"

enum { RESYNC_KEYS = 2000 };

struct gap {
    struct sub *sub;
    int64_t from;      /* first revision that may have been missed */
    int64_t compacted; /* last one */
    int64_t next;      /* resync: keys of revisions below have been told */
    int64_t limit;
    bool is_read; /* all pages */
    uint64_t call;
};

void gap__stop(struct runner *runner, struct work *work)
{
    if (!work->gap)
        return;
    store__cancel(runner, work->gap->call);
    mem_free(work->gap);
    work->gap = NULL;
}

static bool is_inbox(const struct trigger *trigger)
{
    return slice_has_prefix(trigger->pattern.text, SLICE(RECIPES_PREFIX "in/"));
}

/* It goes on behind what is gone. */
static void go_on(struct runner *runner, struct work *work)
{
    struct sub *sub = work->gap->sub;
    CHECK_EQ(sub->state, SUB_OFF);
    CHECK_EQ(sub->queued, 0);
    machine_skip(work->machine, sub->trigger, work->gap->from,
                 work->gap->compacted, runner->now.wall_ns);
    sub->next = work->gap->compacted + 1;
    sub->compacted = 0;
    gap__stop(runner, work);
    if (!work->is_held)
        sub__start(runner, sub);
    work__ready(runner, work);
}

/* ---- resync -------------------------------------------------------------- */

static void tell_key(struct runner *runner, struct work *work,
                     const Mvccpb__KeyValue *kv, uint32_t place)
{
    struct watch_event told = {
        .revision = kv->mod_revision,
        .is_create = kv->version == 1,
        .key = message_bytes(kv->key),
        .value = message_bytes(kv->value),
        .create_revision = kv->create_revision,
        .version = kv->version,
        .cause = SLICE(""),
        .prev = SLICE(""),
        .time_ns = runner->now.wall_ns,
    };
    work__queue(runner, work->gap->sub, event__new(&told), place);
}

static int by_place(const void *a, const void *b)
{
    const Mvccpb__KeyValue *left = *(Mvccpb__KeyValue *const *)a;
    const Mvccpb__KeyValue *right = *(Mvccpb__KeyValue *const *)b;
    if (left->mod_revision != right->mod_revision)
        return left->mod_revision < right->mod_revision ? -1 : 1;
    return slice_cmp(message_bytes(left->key), message_bytes(right->key));
}

/* The keys of whole revisions: of the page's last one there may be more. */
static void tell_page(struct runner *runner, struct work *work,
                      const Etcdserverpb__RangeResponse *page)
{
    struct gap *gap = work->gap;
    struct slice captures[PATTERN_CAPTURES_MAX];
    int64_t last = page->kvs[page->n_kvs - 1]->mod_revision;
    int64_t revision = 0;
    uint32_t place = 0;
    qsort(page->kvs, page->n_kvs, sizeof *page->kvs, by_place);
    if (page->more && page->kvs[0]->mod_revision == last) {
        gap->limit *= 2; /* one large revision */
        return;
    }
    for (size_t i = 0; i < page->n_kvs; i++) {
        const Mvccpb__KeyValue *kv = page->kvs[i];
        if (page->more && kv->mod_revision == last)
            break;
        if (!pattern_matches(gap->sub->pattern, message_bytes(kv->key),
                             captures))
            continue;
        place = kv->mod_revision == revision ? place + 1 : 0;
        revision = kv->mod_revision;
        tell_key(runner, work, kv, place);
    }
    gap->next = page->more ? last : gap->compacted + 1;
}

static void take_page(struct runner *runner, void *context,
                      const struct store_answer *answer)
{
    struct work *work = context;
    struct gap *gap = work->gap;
    gap->call = 0;
    if (answer->code != 0) {
        /* Compacted further, too: then it is told so, and begins again. */
        work__failed(runner, work, "a recipe can't be resynced", answer);
        return;
    }
    if (answer->range->n_kvs)
        tell_page(runner, work, answer->range);
    gap->is_read = !answer->range->more;
    work__ready(runner, work);
}

static void read_page(struct runner *runner, struct work *work)
{
    struct gap *gap = work->gap;
    CHECK(gap->call == 0);
    CHECK_LE(gap->next, gap->compacted);
    struct buf request = {0};
    pb_put_bytes(&request, 1, buf_slice(&gap->sub->key));
    pb_put_bytes(&request, 2, buf_slice(&gap->sub->end));
    pb_put_i64(&request, 3, gap->limit);
    pb_put_i64(&request, 4, gap->compacted);
    pb_put_u64(&request, 5, 1); /* ascending */
    pb_put_u64(&request, 6, 3); /* by mod_revision */
    pb_put_i64(&request, 10, gap->next);
    pb_put_i64(&request, 11, gap->compacted);
    gap->call =
        store__call(runner, RUNNER_RANGE, buf_slice(&request), take_page, work);
    buf_deinit(&request);
}

/* ---- which, and how ------------------------------------------------------ */

static void say(struct runner *runner, struct work *work, const char *state)
{
    const struct gap *gap = work->gap;
    struct buf why = {0};
    buf_printf(&why,
               "if[%zu]: history was compacted up to revision %lld, and from "
               "%lld on it had not been read yet",
               gap->sub->trigger, (long long)gap->compacted,
               (long long)gap->from);
    log_warn("recipes", "a recipe has a gap",
             LOG_SLICE("recipe", work->def->name), LOG_INT("from", gap->from),
             LOG_INT("to", gap->compacted), LOG_STR("then", state));
    runner->told.gaps++;
    work->status = state;
    work->status_why =
        slice_of(arena_dup(&work->arena, why.at, why.size), why.size);
    buf_deinit(&why);
}

static void begin(struct runner *runner, struct work *work, struct sub *sub)
{
    const struct recipe *recipe = work->def->recipe;
    struct run_id position = machine_position(work->machine, sub->trigger);
    CHECK(work->gap == NULL);
    struct gap *gap = mem_alloc_zero(sizeof *gap);
    *gap = (struct gap){.sub = sub,
                        .from = sub->next,
                        .next = sub->next,
                        .compacted = sub->compacted,
                        .limit = RESYNC_KEYS};
    work->gap = gap;
    if (is_inbox(&recipe->triggers[sub->trigger])) {
        read_page(runner, work);
        return;
    }
    if (position.revision == 0) {
        go_on(runner, work);
        return;
    }
    switch (recipe->on_gap) {
    case GAP_PAUSE:
        say(runner, work, "gap");
        go_on(runner, work);
        break;
    case GAP_SKIP:
        say(runner, work, "running");
        go_on(runner, work);
        break;
    case GAP_RESYNC:
        say(runner, work, "running");
        read_page(runner, work);
        break;
    }
}

bool gap__take(struct runner *runner, struct work *work)
{
    struct gap *gap = work->gap;
    if (gap) {
        if (gap->call == 0 && gap->sub->queued == 0) {
            if (gap->is_read)
                go_on(runner, work);
            else
                read_page(runner, work);
        }
        return false;
    }
    for (size_t i = 0; i < work->sub_count; i++) {
        struct sub *sub = &work->subs[i];
        if (!sub->compacted || sub->queued)
            continue;
        if (i == work->trigger_count) {
            work__drop(runner, work, 0); /* reads what is there */
            return true;
        }
        begin(runner, work, sub);
        return false;
    }
    return false;
}
