/* Who made an event: the depth of its cause.
 *
 * An event that a recipe made has the depth of its maker's batch, and one
 * more. Nothing of this stands in the user's data: effects and the maker's
 * cursor are one transaction, so the recipe whose cursor was written at the
 * event's revision is the one that made it, and its cursor says how deep.
 *
 * Nothing is asked
 *   - where no recipe can have written the key: the plans say so;
 *   - where etched says that the cause was no recipe;
 *   - where this runner has committed that revision itself.
 * Else the cursors of those that can have written it are read at the event's
 * revision; once, whatever number of events it has. */
#include "doc/doc.h"
#include "proto/message.h"
#include "proto/rpc.pb-c.h"
#include "runner/runner_core.h"

enum { MAKERS_ASKED_MAX = 64 };

/* Of each trigger: whose actions may make its events. */
struct depth_makers {
    bool is_known;
    struct slice *names;
    size_t count;
};

/* ---- who may have made it ------------------------------------------------ */

static void forget_makers(struct work *work)
{
    for (size_t i = 0; i < work->makers_count; i++)
        mem_free(work->makers[i].names);
    mem_free(work->makers);
    work->makers = NULL;
    work->makers_count = 0;
}

/* The names are those of definitions, which live as long as the generation. */
static void find_makers(const struct defs *defs, const struct trigger *trigger,
                        struct depth_makers *makers)
{
    size_t capacity = 0;
    for (size_t i = 0; i < defs->count; i++) {
        const struct def *def = defs->sorted[i];
        if (!def->recipe || !recipe_feeds(def->recipe, trigger))
            continue;
        if (makers->count == capacity) {
            capacity = capacity ? capacity * 2 : 4;
            makers->names =
                mem_realloc(makers->names, capacity * sizeof *makers->names);
        }
        makers->names[makers->count++] = def->name;
    }
    makers->is_known = true;
}

static const struct depth_makers *makers_of(struct runner *runner,
                                            struct work *work, size_t trigger)
{
    if (work->makers_generation != runner->defs.generation)
        forget_makers(work);
    work->makers_generation = runner->defs.generation;
    if (!work->makers) {
        work->makers_count = work->trigger_count;
        work->makers =
            mem_alloc_zero(work->makers_count * sizeof *work->makers);
    }
    CHECK_LT(trigger, work->makers_count);
    struct depth_makers *makers = &work->makers[trigger];
    if (!makers->is_known)
        find_makers(&runner->defs, &work->def->recipe->triggers[trigger],
                    makers);
    return makers;
}

/* ---- what our own commits were ------------------------------------------- */

void depth__committed(struct runner *runner, struct work *work,
                      int64_t revision, const struct turn *turn)
{
    struct depth_commit *commit =
        &runner->commit_ring[runner->commit_at++ % DEPTH_COMMITS_MAX];
    if (commit->revision)
        map_u64_remove(&runner->commits, (uint64_t)commit->revision);
    commit->revision = revision;
    commit->depth = turn->depth;
    buf_reset(&commit->parent);
    buf_append_slice(&commit->parent, work->def->name);
    if (turn->run_count) {
        char text[RUN_ID_BYTES_MAX];
        buf_append_char(&commit->parent, '/');
        buf_append(&commit->parent, text,
                   run_id_to_text(&turn->runs[0].id, text));
    }
    map_u64_put(&runner->commits, (uint64_t)revision, commit);
}

void depth__forget(struct runner *runner)
{
    for (size_t i = 0; i < DEPTH_COMMITS_MAX; i++)
        buf_deinit(&runner->commit_ring[i].parent);
}

/* ---- asking -------------------------------------------------------------- */

static void know(struct work *work, unsigned depth, struct slice parent)
{
    work->depth = depth;
    buf_reset(&work->parent);
    buf_append_slice(&work->parent, parent);
    work->depth_is_known = true;
}

/* {"depth": n, "run": "...", ...} */
static void read_cursor(struct work *work, const Mvccpb__KeyValue *kv)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct doc_value *doc;
    int64_t depth = 0;
    struct buf parent = {0};
    enum recipe_key kind;
    struct slice name;
    struct slice rest;
    if (recipe_key_read(message_bytes(kv->key), &kind, &name, &rest))
        buf_append_slice(&parent, name);
    if (!doc_parse_json(&arena, message_bytes(kv->value), &doc_limits_default,
                        &doc)) {
        const struct doc_value *member = doc_get(doc, "depth");
        if (member && member->kind == DOC_INT && member->integer >= 0)
            depth = member->integer < 1000 ? member->integer : 1000;
        member = doc_get(doc, "run");
        if (member && member->kind == DOC_STRING) {
            buf_append_char(&parent, '/');
            buf_append_slice(&parent, member->text);
        }
    }
    know(work, (unsigned)depth + 1, buf_slice(&parent));
    buf_deinit(&parent);
    arena_deinit(&arena);
}

static void take_kvs(struct work *work, Mvccpb__KeyValue *const *kvs,
                     size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (kvs[i]->mod_revision == work->depth_revision)
            read_cursor(work, kvs[i]);
}

static void told(struct runner *runner, void *context,
                 const struct store_answer *answer)
{
    struct work *work = context;
    CHECK(!work->depth_is_known);
    work->depth_call = 0;
    if (answer->code != 0 && answer->code != 11) {
        work__failed(runner, work, "an event's maker can't be read", answer);
        return;
    }
    know(work, work->depth_at_least, SLICE(""));
    if (answer->code == 0 && answer->range)
        take_kvs(work, answer->range->kvs, answer->range->n_kvs);
    if (answer->code == 0 && answer->txn)
        for (size_t i = 0; i < answer->txn->n_responses; i++) {
            const Etcdserverpb__ResponseOp *op = answer->txn->responses[i];
            if (op->response_case ==
                ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE)
                take_kvs(work, op->response_range->kvs,
                         op->response_range->n_kvs);
        }
    work__ready(runner, work);
}

static void ask_some(struct runner *runner, struct work *work,
                     const struct depth_makers *makers)
{
    struct store_txn txn;
    struct buf key = {0};
    store_txn__begin(&txn);
    for (size_t i = 0; i < makers->count; i++) {
        buf_reset(&key);
        recipe_key_write(&key, RECIPE_KEY_CURSOR, makers->names[i], NULL);
        store_txn__range(&txn, buf_slice(&key), SLICE(""), work->depth_revision,
                         0);
    }
    work->depth_call = store_txn__send(runner, &txn, told, work);
    buf_deinit(&key);
}

static void ask_all(struct runner *runner, struct work *work)
{
    struct buf request = {0};
    pb_put_bytes(&request, 1, SLICE(RECIPES_PREFIX "cursor/"));
    pb_put_bytes(&request, 2, SLICE(RECIPES_PREFIX "cursor0"));
    pb_put_i64(&request, 4, work->depth_revision);
    pb_put_i64(&request, 10, work->depth_revision); /* min_mod_revision */
    pb_put_i64(&request, 11, work->depth_revision); /* max_mod_revision */
    work->depth_call =
        store__call(runner, RUNNER_RANGE, buf_slice(&request), told, work);
    buf_deinit(&request);
}

static bool may_be_made(const struct runner *runner, const struct work *work,
                        size_t trigger, const struct event *event)
{
    switch (work->def->recipe->triggers[trigger].kind) {
    case TRIGGER_KEY:
    case TRIGGER_ABSENT:
    case TRIGGER_RECIPE:
        break;
    default:
        return false; /* REST and clocks put these; a call says it itself */
    }
    return !runner->config.is_etched || slice_eq(event->cause, SLICE("recipe"));
}

bool depth__of(struct runner *runner, struct work *work, size_t trigger,
               const struct event *event, unsigned *depth, struct slice *parent)
{
    *depth = 0;
    *parent = SLICE("");
    if (!may_be_made(runner, work, trigger, event))
        return true;
    const struct depth_commit *commit =
        map_u64_get(&runner->commits, (uint64_t)event->revision);
    if (commit) {
        *depth = commit->depth + 1;
        *parent = buf_slice(&commit->parent);
        return true;
    }
    if (work->depth_is_known && work->depth_revision == event->revision) {
        *depth = work->depth;
        *parent = buf_slice(&work->parent);
        return true;
    }
    /* etched has said that it was a recipe: one that is gone, or history that
     * is gone, makes it one deep at least. */
    unsigned at_least = runner->config.is_etched ? 1 : 0;
    const struct depth_makers *makers = makers_of(runner, work, trigger);
    if (makers->count == 0) {
        *depth = at_least;
        return true;
    }
    CHECK(work->depth_call == 0);
    work->depth_at_least = at_least;
    work->depth_is_known = false;
    work->depth_revision = event->revision;
    if (makers->count <= MAKERS_ASKED_MAX)
        ask_some(runner, work, makers);
    else
        ask_all(runner, work);
    return false;
}

void depth__clear(struct runner *runner, struct work *work)
{
    store__cancel(runner, work->depth_call);
    work->depth_call = 0;
    work->depth_is_known = false;
    forget_makers(work);
}

void depth__deinit(struct work *work)
{
    buf_deinit(&work->parent);
    forget_makers(work);
}
