/* A recipe is read from the store: its cursor, memos, active runs and the
 * dead letters that are wanted again, all at one revision.
 *
 *   1  Txn: if the claim is still mine, the cursor and a page of each
 *   2  more pages, at the revision of 1
 *   3  no cursor yet: it is created where `start` says
 *   4  the machine has it all; the triggers' watches begin
 */
#include "proto/message.h"
#include "proto/rpc.pb-c.h"
#include "runner/runner_core.h"

/* The ranges, in their order in the Txn. */
enum { RANGE_CURSOR, RANGE_STATE, RANGE_ACTIVE, RANGE_RETRY, RANGE_COUNT };
_Static_assert((int)RANGE_COUNT == (int)LOAD_RANGES,
               "each has its place in the work");

static void begin_load_count(struct runner *runner, struct work *work)
{
    if (!work->is_counted)
        runner->workers.claiming++;
    work->is_counted = true;
}

static void end_load_count(struct runner *runner, struct work *work)
{
    if (work->is_counted) {
        CHECK_LT(0, runner->workers.claiming);
        runner->workers.claiming--;
        runner__wake(runner);
    }
    work->is_counted = false;
}

void load__stop(struct runner *runner, struct work *work)
{
    store__cancel(runner, work->load_call);
    list_remove(&work->load_waits);
    work->load_call = 0;
    end_load_count(runner, work);
}

static void range_key(const struct work *work, int range, struct buf *out)
{
    static const enum recipe_key kinds[] = {
        [RANGE_CURSOR] = RECIPE_KEY_CURSOR,
        [RANGE_STATE] = RECIPE_KEY_STATE,
        [RANGE_ACTIVE] = RECIPE_KEY_ACTIVE,
        [RANGE_RETRY] = RECIPE_KEY_IN,
    };
    struct slice rest = range == RANGE_RETRY ? SLICE("retry/") : SLICE("");
    buf_reset(out);
    recipe_key_write(out, kinds[range], work->def->name,
                     range == RANGE_CURSOR ? NULL : &rest);
}

static void fail(struct runner *runner, struct work *work,
                 const struct store_answer *answer)
{
    work__failed(runner, work, "a recipe can't be read", answer);
}

/* What the store has can't be read: nothing is done over it. */
static void fail_corrupt(struct runner *runner, struct work *work,
                         struct slice key)
{
    log_error("recipes", "what the store has of a recipe can't be read",
              LOG_SLICE("recipe", work->def->name), LOG_SLICE("key", key),
              LOG_STR("why", err_note()));
    struct buf why = {0};
    buf_append_slice(&why, key);
    buf_append_str(&why, " can't be read: ");
    buf_append_str(&why, err_note());
    struct store_txn txn;
    store_txn__begin(&txn);
    struct buf owner = {0};
    recipe_key_write(&owner, RECIPE_KEY_OWNER, work->def->name, NULL);
    store_txn__compare_number(&txn, buf_slice(&owner), TURN_CREATE_REVISION,
                              work->claim);
    work__put_status(work, &txn, "tripped", buf_slice(&why));
    store_txn__send_raw(runner, &txn, store__forget, NULL);
    buf_deinit(&owner);
    buf_deinit(&why);
    work__drop(runner, work, 10 * SECOND_NS);
}

/* ---- what was read ------------------------------------------------------- */

/* The part of a key of ours behind "/_recipes/<kind>/<name>/". */
static struct slice rest_of(struct slice key)
{
    enum recipe_key kind;
    struct slice name;
    struct slice rest = SLICE("");
    return recipe_key_read(key, &kind, &name, &rest) ? rest : SLICE("");
}

static struct slice behind(struct slice rest, struct slice prefix)
{
    return slice_of(rest.at + prefix.size, rest.size - prefix.size);
}

/* False: it was dropped. */
static bool take_key(struct runner *runner, struct work *work, int range,
                     const Mvccpb__KeyValue *kv)
{
    struct slice key = message_bytes(kv->key);
    struct slice value = message_bytes(kv->value);
    struct slice rest = rest_of(key);
    if (range == RANGE_CURSOR) {
        buf_reset(&work->cursor_value);
        buf_append_slice(&work->cursor_value, value);
        work->cursor_revision = kv->mod_revision;
        work->has_cursor = true;
    } else if (range == RANGE_RETRY) {
        retries__add(runner, work, key);
    } else if (range == RANGE_STATE && slice_has_prefix(rest, SLICE("tick/"))) {
        clocks__memo(work, behind(rest, SLICE("tick/")), value,
                     kv->mod_revision);
    } else if (range == RANGE_STATE &&
               slice_has_prefix(rest, SLICE("fetch/"))) {
        fetch__memo(work, behind(rest, SLICE("fetch/")), value);
    } else if (machine_load(work->machine, key, value, kv->mod_revision)) {
        fail_corrupt(runner, work, key);
        return false;
    }
    return true;
}

static bool take_range(struct runner *runner, struct work *work, int range,
                       const Etcdserverpb__RangeResponse *page)
{
    for (size_t i = 0; i < page->n_kvs; i++)
        if (!take_key(runner, work, range, page->kvs[i]))
            return false;
    work->has_more[range] = page->more && page->n_kvs;
    if (work->has_more[range]) {
        struct slice last = message_bytes(page->kvs[page->n_kvs - 1]->key);
        buf_reset(&work->load_from[range]);
        buf_append_slice(&work->load_from[range], last);
        buf_append_char(&work->load_from[range], '\0');
    }
    return true;
}

/* ---- 4: it runs ---------------------------------------------------------- */

static void make_subs(struct work *work)
{
    const struct recipe *recipe = work->def->recipe;
    work->trigger_count = recipe->trigger_count;
    work->sub_count = recipe->trigger_count + 1;
    work->subs = mem_alloc_zero(work->sub_count * sizeof *work->subs);
    for (size_t i = 0; i < work->trigger_count; i++) {
        struct sub *sub = &work->subs[i];
        const struct pattern *pattern = &recipe->triggers[i].pattern;
        sub__init(sub, work, i, pattern->count ? pattern : NULL);
        struct run_id position = machine_position(work->machine, i);
        enum trigger_kind kind = recipe->triggers[i].kind;
        sub->only_puts = kind != TRIGGER_KEY && kind != TRIGGER_ABSENT;
        sub->next = position.revision + (position.place == UINT32_MAX);
        if (sub->next < 1)
            sub->next = 1;
    }
    struct sub *retries = &work->subs[work->trigger_count];
    sub__init(retries, work, work->trigger_count, &work->def->retries);
    retries->next = work->load_revision + 1;
}

static void end_load(struct runner *runner, struct work *work)
{
    CHECK_LT(0, work->cursor_revision);
    CHECK_EQ(work->queue_count, 0);
    make_subs(work);
    work->state = WORK_RUNS;
    work->passed = 0;
    work->lazy_at_ns = INT64_MAX;
    work__start_subs(runner, work);
    clocks__start(runner, work);
    fetch__start(runner, work);
    keep__start(runner, work);
    end_load_count(runner, work);
    work__ready(runner, work);
}

/* ---- 3: the cursor ------------------------------------------------------- */

static void cursor_made(struct runner *runner, void *context,
                        const struct store_answer *answer)
{
    struct work *work = context;
    work->load_call = 0;
    int64_t revision;
    if (answer->code != 0) {
        fail(runner, work, answer);
    } else if (!store__succeeded(answer->message, &revision)) {
        work__drop(runner, work, 50 * MILLI_NS);
    } else {
        work->cursor_revision = revision;
        end_load(runner, work);
    }
}

static int64_t revision_before_start(const struct def *def)
{
    switch (def->recipe->start) {
    case START_NOW:
        break;
    case START_BEGINNING:
        return 0;
    case START_REVISION:
        return def->recipe->start_revision > 0 ? def->recipe->start_revision - 1
                                               : 0;
    }
    return def->uid;
}

static void make_cursor(struct runner *runner, struct work *work)
{
    struct def *def = work->def;
    CHECK_EQ(work->cursor_revision, 0);
    if (machine_load_cursor(work->machine, SLICE(""),
                            revision_before_start(def))) {
        fail_corrupt(runner, work, SLICE("its start"));
        return;
    }
    struct buf cursor = {0};
    struct buf key = {0};
    struct buf value = {0};
    struct turn turn;
    turn_init(&turn);
    machine_write_cursor(work->machine, &turn, &value);
    turn_deinit(&turn);
    struct store_txn txn;
    store_txn__begin(&txn);
    recipe_key_write(&key, RECIPE_KEY_OWNER, def->name, NULL);
    store_txn__compare_number(&txn, buf_slice(&key), TURN_CREATE_REVISION,
                              work->claim);
    buf_reset(&key);
    recipe_key_write(&key, RECIPE_KEY_DEF, def->name, NULL);
    store_txn__compare_number(&txn, buf_slice(&key), TURN_CREATE_REVISION,
                              def->uid);
    recipe_key_write(&cursor, RECIPE_KEY_CURSOR, def->name, NULL);
    store_txn__compare_number(&txn, buf_slice(&cursor), TURN_CREATE_REVISION,
                              0);
    store_txn__put(&txn, buf_slice(&cursor), buf_slice(&value), 0);
    work->load_call = store_txn__send_raw(runner, &txn, cursor_made, work);
    buf_deinit(&cursor);
    buf_deinit(&key);
    buf_deinit(&value);
}

static void end_reading(struct runner *runner, struct work *work)
{
    if (!work->has_cursor) {
        make_cursor(runner, work);
        return;
    }
    if (machine_load_cursor(work->machine, buf_slice(&work->cursor_value),
                            work->def->mod_revision))
        fail_corrupt(runner, work, SLICE("its cursor"));
    else
        end_load(runner, work);
}

/* ---- 2: more pages ------------------------------------------------------- */

static void read_more(struct runner *runner, struct work *work);

static void take_more(struct runner *runner, void *context,
                      const struct store_answer *answer)
{
    struct work *work = context;
    work->load_call = 0;
    if (answer->code != 0)
        fail(runner, work, answer); /* compacted meanwhile, too */
    else if (take_range(runner, work, work->loading, answer->range))
        read_more(runner, work);
}

static void read_more(struct runner *runner, struct work *work)
{
    for (int range = 0; range < RANGE_COUNT; range++) {
        if (!work->has_more[range])
            continue;
        struct buf key = {0};
        struct buf end = {0};
        range_key(work, range, &key);
        store__prefix_end(buf_slice(&key), &end);
        struct slice end_key = buf_slice(&end);
        work->loading = range;
        work->load_call =
            store__range(runner, buf_slice(&work->load_from[range]), &end_key,
                         work->load_revision, LOAD_PAGE_KEYS, take_more, work);
        buf_deinit(&key);
        buf_deinit(&end);
        return;
    }
    end_reading(runner, work);
}

/* ---- 1: the Txn ---------------------------------------------------------- */

/* It isn't ours any more: the Txn has told whose it is. This mostly frees the
 * work. Where the watch has told something newer, that counts. */
static void lose_claim(struct runner *runner, struct work *work,
                       const Etcdserverpb__TxnResponse *txn, int64_t revision)
{
    struct def *def = work->def;
    const Etcdserverpb__ResponseOp *op = txn->responses[0];
    bool is_range =
        op->response_case == ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE;
    if (is_range && op->response_range->n_kvs) {
        const Mvccpb__KeyValue *kv = op->response_range->kvs[0];
        def__set_owner(runner, def, message_bytes(kv->value),
                       kv->create_revision, revision);
    } else if (is_range) {
        def__set_owner(runner, def, SLICE(""), 0, revision);
    }
    if (def->work == work)
        work__drop(runner, work, 100 * MILLI_NS);
}

static void take_first(struct runner *runner, void *context,
                       const struct store_answer *answer)
{
    struct work *work = context;
    CHECK_EQ(work->state, WORK_LOADING);
    work->load_call = 0;
    if (answer->code != 0) {
        fail(runner, work, answer);
        return;
    }
    const Etcdserverpb__TxnResponse *txn = answer->txn;
    int64_t revision = store__header_revision(answer->message);
    if (txn->n_responses != (txn->succeeded ? (size_t)RANGE_COUNT : 1)) {
        fail(runner, work, answer);
        return;
    }
    if (!txn->succeeded) {
        lose_claim(runner, work, txn, revision);
        return;
    }
    work->load_revision = revision;
    for (int range = 0; range < RANGE_COUNT; range++) {
        const Etcdserverpb__ResponseOp *op = txn->responses[range];
        if (op->response_case !=
            ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE) {
            fail(runner, work, answer);
            return;
        }
        if (!take_range(runner, work, range, op->response_range))
            return;
    }
    read_more(runner, work);
}

static void make_machine(struct runner *runner, struct work *work)
{
    struct machine_config config = {
        .recipe = work->def->recipe,
        .uid = work->def->uid,
        .zones = runner->config.zones,
        .seed = prng_next(&runner->prng),
    };
    CHECK(work->machine == NULL && work->subs == NULL);
    work->machine = machine_new(&config);
    machine_set_narrow(work->machine, work->is_narrow);
    for (unsigned i = 0; i < work->denials && i < 4; i++)
        machine_deny(work->machine, work->denied[i], work->denial.at);
    work->has_cursor = false;
    work->cursor_revision = 0;
}

void work__load(struct runner *runner, struct work *work)
{
    CHECK_EQ(work->state, WORK_IDLE);
    CHECK(work->load_call == 0);
    if (runner->workers.claiming >= CALLS_IN_FLIGHT_MAX && !work->is_counted) {
        if (list_is_empty(&work->load_waits))
            list_push_back(&runner->workers.loads, &work->load_waits);
        return;
    }
    begin_load_count(runner, work);
    make_machine(runner, work);
    struct store_txn txn;
    struct buf key = {0};
    struct buf end = {0};
    store_txn__begin(&txn);
    recipe_key_write(&key, RECIPE_KEY_OWNER, work->def->name, NULL);
    store_txn__compare_number(&txn, buf_slice(&key), TURN_CREATE_REVISION,
                              work->claim);
    store_txn__else_get(&txn, buf_slice(&key));
    for (int range = 0; range < RANGE_COUNT; range++) {
        range_key(work, range, &key);
        buf_reset(&end);
        if (range != RANGE_CURSOR)
            store__prefix_end(buf_slice(&key), &end);
        store_txn__range(&txn, buf_slice(&key), buf_slice(&end), 0,
                         range == RANGE_CURSOR ? 0 : LOAD_PAGE_KEYS);
    }
    work->state = WORK_LOADING;
    work->load_call = store_txn__send(runner, &txn, take_first, work);
    buf_deinit(&key);
    buf_deinit(&end);
}
