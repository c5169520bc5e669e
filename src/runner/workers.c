/* Who works, and who has which recipe.
 *
 *   NONE -> GRANTING -> JOINING -> LIVES -> LEAVING -> REVOKING -> stopped
 *     ^                    |         |
 *     +--------------------+---------+   the lease is lost, or in doubt
 *
 * A worker is its lease: its id is the lease's. When the lease may have ended
 * (no keepalive was answered for as long as it lasts, counted from when it was
 * sent) all works are dropped at once, and it begins again as a new worker.
 *
 * The owner of a recipe should be the worker with the greatest weight for it:
 * FNV-1a over name, a zero byte and worker id, mixed by the finalizer of
 * MurmurHash3 (FNV's last bytes hardly reach its upper bits). All versions
 * have to reckon alike, so this must not change. */
#include "runner/runner_core.h"

static struct slice worker_key(const void *value)
{
    const struct worker *worker = value;
    return worker->id;
}

uint64_t workers__weight(struct slice name, struct slice worker)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    const uint64_t prime = UINT64_C(0x100000001b3);
    for (size_t i = 0; i < name.size; i++)
        hash = (hash ^ (unsigned char)name.at[i]) * prime;
    hash *= prime; /* the zero byte */
    for (size_t i = 0; i < worker.size; i++)
        hash = (hash ^ (unsigned char)worker.at[i]) * prime;
    hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
    hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ hash >> 33;
}

struct slice workers__me(const struct runner *runner)
{
    return slice_str(runner->workers.id);
}

static bool is_mine(const struct runner *runner, const struct def *def)
{
    return runner->workers.id[0] != 0 &&
           slice_eq(def->owner, workers__me(runner));
}

static bool should_be_mine(const struct runner *runner, const struct def *def)
{
    if (!def->is_defined || !def->recipe)
        return false;
    struct slice best = SLICE("");
    uint64_t weight = 0;
    size_t position = 0;
    const struct worker *worker;
    while ((worker = map_next(&runner->workers.by_id, &position))) {
        uint64_t its = workers__weight(def->name, worker->id);
        if (best.size == 0 || its > weight ||
            (its == weight && slice_cmp(worker->id, best) > 0)) {
            best = worker->id;
            weight = its;
        }
    }
    return best.size && slice_eq(best, workers__me(runner));
}

/* ---- claims -------------------------------------------------------------- */

static void owner_key(const struct def *def, struct buf *out)
{
    recipe_key_write(out, RECIPE_KEY_OWNER, def->name, NULL);
}

static void look_later(struct runner *runner)
{
    struct workers *workers = &runner->workers;
    if (workers->look_again.node.place == 0)
        timer__set(runner, &workers->look_again,
                   runner->now.mono_ns +
                       runner__backoff(runner, ++workers->failures));
}

static void look_again(struct runner *runner, struct timer *timer)
{
    (void)timer;
    runner->workers.is_dirty = true;
}

static void claimed(struct runner *runner, void *context,
                    const struct store_answer *answer)
{
    struct def *def = context;
    CHECK_LT(0, runner->workers.claiming);
    def->claiming = 0;
    runner->workers.claiming--;
    int64_t revision;
    if (answer->code != 0) {
        look_later(runner);
    } else if (store__succeeded(answer->message, &revision)) {
        runner->workers.failures = 0;
        def__set_owner(runner, def, workers__me(runner), revision, revision);
    }
    /* Else somebody has it, or the definition is gone: the watch tells; or it
     * has told already, and nothing was done while the call was out. */
    workers__consider(runner, def);
}

static void claim(struct runner *runner, struct def *def)
{
    struct buf key = {0};
    struct buf def_key = {0};
    struct store_txn txn;
    CHECK(def->claiming == 0 && def->work == NULL);
    CHECK(runner->workers.lease != 0);
    owner_key(def, &key);
    recipe_key_write(&def_key, RECIPE_KEY_DEF, def->name, NULL);
    store_txn__begin(&txn);
    store_txn__compare_number(&txn, buf_slice(&key), TURN_CREATE_REVISION, 0);
    store_txn__compare_number(&txn, buf_slice(&def_key), TURN_CREATE_REVISION,
                              def->uid);
    store_txn__put(&txn, buf_slice(&key), workers__me(runner),
                   runner->workers.lease);
    runner->workers.claiming++;
    def->claiming = store_txn__send_raw(runner, &txn, claimed, def);
    buf_deinit(&key);
    buf_deinit(&def_key);
}

static void released(struct runner *runner, void *context,
                     const struct store_answer *answer)
{
    struct def *def = context;
    def->claiming = 0;
    runner->workers.claiming--;
    int64_t revision;
    if (answer->code != 0)
        look_later(runner);
    else if (store__succeeded(answer->message, &revision))
        def__set_owner(runner, def, SLICE(""), 0, revision);
    workers__consider(runner, def);
}

static void release(struct runner *runner, struct def *def)
{
    CHECK(def->work == NULL);
    CHECK(def->claiming == 0);
    CHECK_LT(0, def->owner_claim);
    struct buf key = {0};
    struct store_txn txn;
    owner_key(def, &key);
    store_txn__begin(&txn);
    store_txn__compare_number(&txn, buf_slice(&key), TURN_CREATE_REVISION,
                              def->owner_claim);
    store_txn__delete(&txn, buf_slice(&key), SLICE(""));
    runner->workers.claiming++;
    def->claiming = store_txn__send_raw(runner, &txn, released, def);
    buf_deinit(&key);
}

static void consider_mine(struct runner *runner, struct def *def)
{
    if (should_be_mine(runner, def)) {
        if (!def->work)
            def->work = work__new(runner, def, def->owner_claim);
        else
            work__unpart(runner, def->work);
    } else if (def->work) {
        work__part(runner, def->work);
    } else if (!def->claiming) {
        release(runner, def);
    }
}

void workers__consider(struct runner *runner, struct def *def)
{
    struct workers *workers = &runner->workers;
    bool mine = is_mine(runner, def);
    if (def->work &&
        (!mine || def->owner_claim != def->work->claim || !def->is_defined))
        work__free(runner, def->work);
    if (workers->state != WORKER_LIVES || !runner->defs.are_known)
        return;
    /* It may have waited to be claimed when the watch said that it is ours. */
    list_remove(&def->claims);
    if (mine)
        consider_mine(runner, def);
    else if (def->owner.size == 0 && !def->claiming &&
             should_be_mine(runner, def))
        list_push_back(&workers->claims, &def->claims);
}

void workers__parted(struct runner *runner, struct work *work)
{
    struct def *def = work->def;
    CHECK(work->is_parting);
    CHECK_EQ(work->state, WORK_IDLE);
    work__free(runner, work);
    if (runner->workers.state == WORKER_LIVES && !def->claiming)
        release(runner, def);
}

static void consider_all(struct runner *runner)
{
    struct defs *defs = &runner->defs;
    runner->workers.is_dirty = false;
    /* Nothing of what is decided here takes a definition away. */
    size_t position = 0;
    struct def *def;
    while ((def = map_next(&defs->by_name, &position)))
        workers__consider(runner, def);
}

/* ---- who lives ----------------------------------------------------------- */

void workers__told(struct runner *runner, struct slice id, bool lives,
                   unsigned mark)
{
    struct workers *workers = &runner->workers;
    struct worker *worker = map_get(&workers->by_id, id);
    if (!lives) {
        mem_free(map_remove(&workers->by_id, id));
        workers->is_dirty = workers->is_dirty || worker;
        return;
    }
    if (!worker) {
        worker = mem_alloc(sizeof *worker + id.size);
        memcpy(worker->bytes, id.at, id.size);
        worker->id = slice_of(worker->bytes, id.size);
        map_put(&workers->by_id, worker);
        workers->is_dirty = true;
    }
    worker->mark = mark;
}

void workers__sweep(struct runner *runner, unsigned mark)
{
    struct workers *workers = &runner->workers;
    size_t count = 0;
    struct worker **gone =
        mem_alloc((workers->by_id.count + 1) * sizeof(struct worker *));
    size_t position = 0;
    struct worker *worker;
    while ((worker = map_next(&workers->by_id, &position)))
        if (worker->mark != mark && !slice_eq(worker->id, workers__me(runner)))
            gone[count++] = worker;
    for (size_t i = 0; i < count; i++)
        mem_free(map_remove(&workers->by_id, gone[i]->id));
    mem_free(gone);
    workers->is_dirty = true;
}

/* ---- our lease ----------------------------------------------------------- */

static void forget_beats(struct runner *runner)
{
    struct workers *workers = &runner->workers;
    for (size_t i = 0; i < BEATS_MAX; i++) {
        store__cancel(runner, workers->beats[i].call);
        workers->beats[i].call = 0;
    }
}

static void free_works(struct runner *runner)
{
    for (size_t i = 0; i < runner->defs.count; i++)
        if (runner->defs.sorted[i]->work)
            work__free(runner, runner->defs.sorted[i]->work);
}

/* Their answers would be taken for the next worker's. */
static void forget_claims(struct runner *runner)
{
    struct workers *workers = &runner->workers;
    size_t position = 0;
    struct def *def;
    while ((def = map_next(&runner->defs.by_name, &position))) {
        workers->claiming -= def->claiming != 0;
        store__cancel(runner, def->claiming);
        def->claiming = 0;
    }
    while (!list_is_empty(&workers->claims))
        list_remove(list_first(&workers->claims));
}

/* Whatever it had, it may not have any more. */
static void lose(struct runner *runner, const char *why)
{
    struct workers *workers = &runner->workers;
    if (workers->state == WORKER_LIVES)
        log_warn("recipes", "the worker's lease is lost; it begins anew",
                 LOG_STR("why", why), LOG_STR("worker", workers->id));
    free_works(runner);
    forget_beats(runner);
    store__cancel(runner, workers->call);
    workers->call = 0;
    workers__told(runner, workers__me(runner), false, 0);
    workers->id[0] = 0;
    workers->lease = 0;
    workers->state = WORKER_NONE;
    forget_claims(runner);
    timer__set(runner, &workers->timer,
               runner->now.mono_ns +
                   runner__backoff(runner, ++workers->failures));
}

static void take_beat(struct runner *runner, void *context,
                      const struct store_answer *answer)
{
    struct workers *workers = &runner->workers;
    struct beat *beat = context;
    beat->call = 0;
    if (answer->code != 0)
        return; /* the next one is sent in a while */
    int64_t ttl_s = 0;
    struct pb_reader reader;
    struct pb_field field;
    pb_reader_init(&reader, answer->message);
    while (pb_next(&reader, &field))
        if (field.number == 3 && field.type == PB_VARINT)
            ttl_s = (int64_t)field.value;
    if (ttl_s <= 0) {
        if (workers->state == WORKER_LIVES)
            lose(runner, "it has ended");
        return;
    }
    int64_t until_ns = beat->sent_ns + ttl_s * SECOND_NS;
    if (until_ns > workers->alive_until_ns)
        workers->alive_until_ns = until_ns;
}

static void send_beat(struct runner *runner)
{
    struct workers *workers = &runner->workers;
    struct beat *beat = &workers->beats[workers->next_beat++ % BEATS_MAX];
    store__cancel(runner, beat->call);
    struct buf request = {0};
    pb_put_i64(&request, 1, workers->lease);
    beat->sent_ns = runner->now.mono_ns;
    beat->call = store__call(runner, RUNNER_LEASE_KEEPALIVE,
                             buf_slice(&request), take_beat, beat);
    buf_deinit(&request);
}

static void joined(struct runner *runner, void *context,
                   const struct store_answer *answer)
{
    (void)context;
    struct workers *workers = &runner->workers;
    workers->call = 0;
    if (answer->code != 0) {
        lose(runner, "its key can't be put");
        return;
    }
    workers->state = WORKER_LIVES;
    workers->failures = 0;
    workers__told(runner, workers__me(runner), true, runner->defs.mark);
    workers->is_dirty = true;
    log_info("recipes", "a worker lives", LOG_STR("worker", workers->id));
}

static void join(struct runner *runner)
{
    struct workers *workers = &runner->workers;
    struct buf key = {0};
    struct buf value = {0};
    struct value name = value_string(slice_str(runner->config.name));
    recipe_key_write(&key, RECIPE_KEY_WORKER, workers__me(runner), NULL);
    buf_append_str(&value, "{\"name\":");
    value_write_json(&value, &name);
    buf_append_char(&value, '}');
    struct store_txn txn;
    CHECK_EQ(workers->state, WORKER_GRANTING);
    store_txn__begin(&txn);
    store_txn__put(&txn, buf_slice(&key), buf_slice(&value), workers->lease);
    workers->state = WORKER_JOINING;
    workers->call = store_txn__send_raw(runner, &txn, joined, NULL);
    buf_deinit(&key);
    buf_deinit(&value);
}

bool store__read_grant(struct slice message, int64_t *lease, int64_t *ttl_s)
{
    struct pb_reader reader;
    struct pb_field field;
    *lease = 0;
    *ttl_s = 0;
    pb_reader_init(&reader, message);
    while (pb_next(&reader, &field)) {
        if (field.number == 2 && field.type == PB_VARINT)
            *lease = (int64_t)field.value;
        if (field.number == 3 && field.type == PB_VARINT)
            *ttl_s = (int64_t)field.value;
    }
    return !reader.failed && *lease != 0 && *ttl_s > 0;
}

static void granted(struct runner *runner, void *context,
                    const struct store_answer *answer)
{
    (void)context;
    struct workers *workers = &runner->workers;
    workers->call = 0;
    int64_t ttl_s;
    if (answer->code != 0 ||
        !store__read_grant(answer->message, &workers->lease, &ttl_s)) {
        lose(runner, "it wasn't granted");
        return;
    }
    struct buf id = {0};
    buf_append_hex(&id, (uint64_t)workers->lease);
    CHECK_LT(id.size, sizeof workers->id);
    memcpy(workers->id, id.at, id.size);
    workers->id[id.size] = 0;
    buf_deinit(&id);
    workers->ttl_ns = ttl_s * SECOND_NS;
    workers->alive_until_ns = workers->granted_ns + workers->ttl_ns;
    timer__set(runner, &workers->timer,
               workers->granted_ns + workers->ttl_ns / 3);
    join(runner);
}

void workers__begin(struct runner *runner)
{
    struct workers *workers = &runner->workers;
    struct buf request = {0};
    pb_put_i64(&request, 1,
               (runner->config.lease_ns + SECOND_NS - 1) / SECOND_NS);
    workers->state = WORKER_GRANTING;
    workers->granted_ns = runner->now.mono_ns;
    workers->call = store__call(runner, RUNNER_LEASE_GRANT, buf_slice(&request),
                                granted, NULL);
    buf_deinit(&request);
}

static void look_at_lease(struct runner *runner, struct timer *timer)
{
    struct workers *workers = &runner->workers;
    int64_t now_ns = runner->now.mono_ns;
    switch (workers->state) {
    case WORKER_NONE:
        workers__begin(runner);
        break;
    case WORKER_GRANTING:
    case WORKER_REVOKING:
        break;
    case WORKER_JOINING:
    case WORKER_LIVES:
    case WORKER_LEAVING:
        if (now_ns >= workers->alive_until_ns) {
            bool leaves = workers->state == WORKER_LEAVING;
            lose(runner, "no keepalive was answered");
            if (leaves)
                runner->state = RUNNER_STOPPED;
            break;
        }
        send_beat(runner);
        int64_t next_ns = now_ns + workers->ttl_ns / 3;
        if (next_ns > workers->alive_until_ns)
            next_ns = workers->alive_until_ns;
        timer__set(runner, timer, next_ns);
        break;
    }
}

/* ---- leaving ------------------------------------------------------------- */

static void revoked(struct runner *runner, void *context,
                    const struct store_answer *answer)
{
    (void)context;
    (void)answer;
    runner->workers.call = 0;
    runner->state = RUNNER_STOPPED;
}

static void revoke(struct runner *runner)
{
    struct workers *workers = &runner->workers;
    struct buf request = {0};
    CHECK(workers->lease != 0 && workers->call == 0);
    pb_put_i64(&request, 1, workers->lease);
    workers->state = WORKER_REVOKING;
    /* All that we own goes with it, in one revision. */
    workers->call = store__call(runner, RUNNER_LEASE_REVOKE,
                                buf_slice(&request), revoked, NULL);
    buf_deinit(&request);
}

void workers__leave(struct runner *runner)
{
    struct workers *workers = &runner->workers;
    if (!workers->lease) {
        store__cancel(runner, workers->call);
        workers->call = 0;
        timer__stop(runner, &workers->timer);
        runner->state = RUNNER_STOPPED;
        return;
    }
    /* It may still be joining: its key goes with the lease. */
    store__cancel(runner, workers->call);
    workers->call = 0;
    workers->state = WORKER_LEAVING;
    for (size_t i = 0; i < runner->defs.count; i++)
        if (runner->defs.sorted[i]->work)
            work__part(runner, runner->defs.sorted[i]->work);
    runner__wake(runner);
}

static bool has_works(const struct runner *runner)
{
    for (size_t i = 0; i < runner->defs.count; i++)
        if (runner->defs.sorted[i]->work)
            return true;
    return false;
}

/* ---- life ---------------------------------------------------------------- */

void workers__run(struct runner *runner)
{
    struct workers *workers = &runner->workers;
    if (!workers->has_begun && runner->state == RUNNER_RUNS &&
        runner->defs.are_known && runner->defs.count > 0) {
        workers->has_begun = true;
        workers__begin(runner);
    }
    if (workers->state == WORKER_LEAVING && !has_works(runner))
        revoke(runner);
    if (workers->state != WORKER_LIVES || !runner->defs.are_known)
        return;
    if (workers->is_dirty)
        consider_all(runner);
    size_t free = workers->claiming < CALLS_IN_FLIGHT_MAX
                      ? CALLS_IN_FLIGHT_MAX - workers->claiming
                      : 0;
    for (; free > 0 && !list_is_empty(&workers->loads); free--) {
        struct list *first = list_first(&workers->loads);
        list_remove(first);
        work__ready(runner, CONTAINER_OF(first, struct work, load_waits));
    }
    while (workers->claiming < CALLS_IN_FLIGHT_MAX &&
           !list_is_empty(&workers->claims)) {
        struct def *def =
            CONTAINER_OF(list_first(&workers->claims), struct def, claims);
        list_remove(&def->claims);
        claim(runner, def);
    }
}

void workers__init(struct runner *runner)
{
    struct workers *workers = &runner->workers;
    map_init(&workers->by_id, worker_key, runner->hash_seed);
    list_init(&workers->claims);
    list_init(&workers->loads);
    workers->timer.due = look_at_lease;
    workers->look_again.due = look_again;
}

void workers__deinit(struct runner *runner)
{
    struct workers *workers = &runner->workers;
    store__cancel(runner, workers->call);
    forget_beats(runner);
    timer__stop(runner, &workers->timer);
    timer__stop(runner, &workers->look_again);
    size_t position = 0;
    struct worker *worker;
    while ((worker = map_next(&workers->by_id, &position)))
        mem_free(worker);
    map_deinit(&workers->by_id);
}
