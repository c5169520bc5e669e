/* A turn becomes a transaction.
 *
 *   compare  create_revision(owner/<name>) is my claim's
 *            mod_revision(cursor/<name>)   is the one I read or wrote last
 *            the turn's own guards
 *   then     the turn's operations, status/ if it tripped, cursor/
 *
 * Before it, where they don't fit into it: memos that changed without a turn,
 * compared in the same way, and without the cursor, so that they may be ahead
 * of it but never behind. And leases for what has a ttl.
 *
 * Exactly once: the cursor is compared and written in the transaction of the
 * effects. A transaction whose fate isn't known, and that is done later than
 * the cursor was read again, finds the cursor as it was read, or finds it
 * changed; in the first case it is the next one's compare that fails. Of two
 * that were made from one cursor never more than one is done. */
#include "base/plant.h"
#include "runner/runner_core.h"

enum {
    CODE_INVALID = 3,
    CODE_NOT_FOUND = 5,
    CODE_DENIED = 7,
    REFUSED_MAX = 3,
    DENIALS_MAX = 20,
    NARROW_TURNS = 100,
};

void work__failed(struct runner *runner, struct work *work, const char *what,
                  const struct store_answer *answer)
{
    bool is_new = work->failures == 0;
    work->failures++;
    if (is_new && answer->code != 0 && !runner->store.is_away)
        log_warn("recipes", what, LOG_SLICE("recipe", work->def->name),
                 LOG_INT("code", answer->code), LOG_SLICE("why", answer->text));
    work__drop(runner, work, runner__backoff(runner, work->failures));
}

/* ---- leases of effects --------------------------------------------------- */

static int64_t seconds_of(int64_t ttl_ns)
{
    return (ttl_ns + SECOND_NS - 1) / SECOND_NS;
}

static int64_t lease_of(const void *context, int64_t ttl_ns)
{
    const struct work *work = context;
    LIST_EACH (node, &work->leases) {
        const struct work_lease *lease =
            CONTAINER_OF(node, struct work_lease, node);
        if (lease->ttl_s == seconds_of(ttl_ns))
            return lease->id;
    }
    UNREACHABLE();
}

void work__drop_leases(struct runner *runner, struct work *work)
{
    LIST_EACH (node, &work->leases) {
        struct work_lease *lease = CONTAINER_OF(node, struct work_lease, node);
        store__cancel(runner, lease->call);
        list_remove(node);
        mem_free(lease);
    }
}

/* One that was granted just now for the same ttl does for this turn too. */
static int64_t find_recent(struct runner *runner, struct slice owner,
                           int64_t ttl_s)
{
    int64_t age_max_ns = ttl_s * SECOND_NS / 20;
    if (age_max_ns > SECOND_NS)
        age_max_ns = SECOND_NS;
    int64_t found = 0;
    LIST_EACH (node, &runner->leases) {
        struct lease_kept *lease = CONTAINER_OF(node, struct lease_kept, node);
        int64_t age_ns = runner->now.mono_ns - lease->granted_ns;
        if (age_ns > SECOND_NS) {
            list_remove(node);
            mem_free(lease);
        } else if (lease->ttl_s == ttl_s && age_ns <= age_max_ns &&
                   slice_eq(slice_of(lease->owner, lease->owner_size), owner)) {
            found = lease->id;
        }
    }
    return found;
}

void leases__deinit(struct runner *runner)
{
    LIST_EACH (node, &runner->leases) {
        mem_free(CONTAINER_OF(node, struct lease_kept, node));
    }
    list_init(&runner->leases);
}

static void granted(struct runner *runner, void *context,
                    const struct store_answer *answer)
{
    struct work_lease *lease = context;
    struct work *work = lease->work;
    int64_t ttl_s;
    lease->call = 0;
    if (answer->code != 0 ||
        !store__read_grant(answer->message, &lease->id, &ttl_s)) {
        work__failed(runner, work, "a lease for effects wasn't granted",
                     answer);
        return;
    }
    struct slice owner = work__owner(work);
    struct lease_kept *kept = mem_alloc_zero(sizeof *kept + owner.size);
    *kept = (struct lease_kept){.ttl_s = lease->ttl_s,
                                .id = lease->id,
                                .granted_ns = lease->asked_ns,
                                .owner_size = owner.size};
    memcpy(kept->owner, owner.at, owner.size);
    list_push_back(&runner->leases, &kept->node);
    work__ready(runner, work);
}

static void want_lease(struct runner *runner, struct work *work, int64_t ttl_s)
{
    LIST_EACH (node, &work->leases) {
        if (CONTAINER_OF(node, struct work_lease, node)->ttl_s == ttl_s)
            return;
    }
    struct work_lease *lease = mem_alloc(sizeof *lease);
    *lease =
        (struct work_lease){.work = work,
                            .ttl_s = ttl_s,
                            .id = find_recent(runner, work__owner(work), ttl_s),
                            .asked_ns = runner->now.mono_ns};
    list_push_back(&work->leases, &lease->node);
    if (lease->id)
        return;
    struct buf request = {0};
    pb_put_i64(&request, 1, ttl_s);
    lease->call = store__call(runner, RUNNER_LEASE_GRANT, buf_slice(&request),
                              granted, lease);
    buf_deinit(&request);
}

static void want_leases(struct runner *runner, struct work *work,
                        const struct turn_operation *operations, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct turn_operation *operation = &operations[i];
        if (operation->kind == TURN_PUT && operation->ttl_ns)
            want_lease(runner, work, seconds_of(operation->ttl_ns));
        if (operation->kind != TURN_TXN)
            continue;
        want_leases(runner, work, operation->txn->then,
                    operation->txn->then_count);
        want_leases(runner, work, operation->txn->otherwise,
                    operation->txn->otherwise_count);
    }
}

static bool has_leases(const struct work *work)
{
    LIST_EACH (node, &work->leases) {
        if (CONTAINER_OF(node, struct work_lease, node)->id == 0)
            return false;
    }
    return true;
}

/* ---- the transaction ----------------------------------------------------- */

static void write_key(const struct work *work, enum recipe_key kind,
                      struct buf *out)
{
    buf_reset(out);
    recipe_key_write(out, kind, work->def->name, NULL);
}

void work__fence(struct work *work, struct store_txn *txn)
{
    struct buf key = {0};
    write_key(work, RECIPE_KEY_OWNER, &key);
    store_txn__compare_number(txn, buf_slice(&key), TURN_CREATE_REVISION,
                              work->claim);
    if (!PLANTED(RECIPE_CURSOR_UNSEEN)) {
        write_key(work, RECIPE_KEY_CURSOR, &key);
        store_txn__compare_number(txn, buf_slice(&key), TURN_MOD_REVISION,
                                  work->cursor_revision);
    }
    buf_deinit(&key);
}

static void put_cursor(const struct work *work, struct store_txn *txn)
{
    struct buf key = {0};
    struct buf value = {0};
    write_key(work, RECIPE_KEY_CURSOR, &key);
    machine_write_cursor(work->machine, &work->turn, &value);
    store_txn__put(txn, buf_slice(&key), buf_slice(&value), 0);
    buf_deinit(&key);
    buf_deinit(&value);
}

void work__put_status(const struct work *work, struct store_txn *txn,
                      const char *state, struct slice why)
{
    struct buf key = {0};
    struct buf value = {0};
    struct value text = value_string(why);
    write_key(work, RECIPE_KEY_STATUS, &key);
    buf_printf(&value, "{\"state\":\"%s\",\"why\":", state);
    value_write_json(&value, &text);
    buf_append_char(&value, '}');
    store_txn__put(txn, buf_slice(&key), buf_slice(&value), 0);
    buf_deinit(&key);
    buf_deinit(&value);
}

static void committed(struct runner *runner, void *context,
                      const struct store_answer *answer);

static void write_turn(struct work *work, struct store_txn *txn)
{
    const struct turn *turn = &work->turn;
    store_txn__begin(txn);
    /* The service's own bookkeeping needs nobody's permission: it goes on
     * though the owner be gone. */
    if (turn_effects(turn))
        txn->user = work__owner(work);
    work__fence(work, txn);
    if (!PLANTED(RECIPE_HOLD_UNSEEN))
        for (size_t i = 0; i < turn->guard_count; i++)
            store_txn__compare(txn, &turn->guards[i]);
    for (size_t i = 0; i < turn->count; i++)
        store_txn__operation(txn, &turn->operations[i], lease_of, work);
    retries__write(work, txn);
    if (turn->tripped)
        work__put_status(work, txn, "tripped", turn->stop);
    else if (work->status)
        work__put_status(work, txn, work->status, work->status_why);
}

static void send_turn(struct runner *runner, struct work *work)
{
    struct store_txn txn;
    CHECK_LT(0, work->claim);
    CHECK_LT(0, work->cursor_revision);
    write_turn(work, &txn);
    if (!PLANTED(RECIPE_CURSOR_APART))
        put_cursor(work, &txn);
    work->state = WORK_COMMITTING;
    work->committed_at_ns = runner->now.mono_ns;
    work->call = store_txn__send_raw(runner, &txn, committed, work);
}

/* ---- memos that go before ------------------------------------------------ */

static void lazies_committed(struct runner *runner, void *context,
                             const struct store_answer *answer)
{
    struct work *work = context;
    int64_t revision;
    CHECK(work->has_lazy);
    work->call = 0;
    turn_deinit(&work->lazy);
    work->has_lazy = false;
    if (answer->code != 0) {
        work__failed(runner, work, "memos weren't written", answer);
    } else if (!store__succeeded(answer->message, &revision)) {
        runner->told.conflicts++;
        work__drop(runner, work, 0);
    } else {
        work->state = WORK_GRANTING; /* goes on with the turn */
        work__ready(runner, work);
    }
}

/* True where a turn full of them is on its way. */
static bool send_lazies(struct runner *runner, struct work *work)
{
    CHECK(!work->has_lazy);
    turn_init(&work->lazy);
    while (machine_write_lazy(work->machine, &work->lazy) &&
           work->lazy.count < TURN_OPERATIONS_MAX)
        ;
    if (work->lazy.count == 0) {
        turn_deinit(&work->lazy);
        return false;
    }
    work->has_lazy = true;
    struct store_txn txn;
    store_txn__begin(&txn);
    work__fence(work, &txn);
    for (size_t i = 0; i < work->lazy.count; i++)
        store_txn__operation(&txn, &work->lazy.operations[i], lease_of, work);
    work->state = WORK_COMMITTING;
    work->call = store_txn__send_raw(runner, &txn, lazies_committed, work);
    return true;
}

void work__commit(struct runner *runner, struct work *work)
{
    CHECK(work->call == 0);
    CHECK(work->machine != NULL);
    CHECK(work->state == WORK_RUNS || work->state == WORK_GRANTING);
    /* What fits goes with the turn, the rest before it. */
    machine_write_lazy(work->machine, work__turn(work));
    if (work->turn.count >= TURN_OPERATIONS_MAX && send_lazies(runner, work))
        return;
    want_leases(runner, work, work->turn.operations, work->turn.count);
    work->state = WORK_GRANTING;
    if (has_leases(work))
        send_turn(runner, work);
}

void commit__stop(struct runner *runner, struct work *work)
{
    store__cancel(runner, work->call);
    work->call = 0;
    work__drop_leases(runner, work);
    if (work->has_lazy)
        turn_deinit(&work->lazy);
    work->has_lazy = false;
}

/* ---- what came of it ----------------------------------------------------- */

static void tell_logs(const struct work *work)
{
    for (size_t i = 0; i < work->turn.log_count; i++) {
        /* "level message" */
        struct slice line = work->turn.logs[i];
        ptrdiff_t space = slice_find(line, ' ');
        struct slice text = line;
        enum log_level level = LOG_INFO;
        if (space > 0 &&
            log_level_from_text(slice_of(line.at, (size_t)space), &level))
            text = slice_of(line.at + space + 1, line.size - (size_t)space - 1);
        log_write(level, "recipes", "a recipe says",
                  LOG_SLICE("recipe", work->def->name), LOG_SLICE("text", text),
                  LOG_END);
    }
}

static void succeed(struct runner *runner, struct work *work, int64_t revision)
{
    struct turn *turn = &work->turn;
    int64_t took_ns = runner->now.mono_ns - work->committed_at_ns;
    CHECK_EQ(work->state, WORK_COMMITTING);
    CHECK_LT(work->cursor_revision, revision);
    work->cursor_revision = revision;
    work->failures = 0;
    work->refused = 0;
    work->narrow_turns -= work->narrow_turns > 0;
    work->is_narrow = work->narrow_turns > 0;
    work->denials = 0;
    machine_set_narrow(work->machine, work->is_narrow);
    machine_deny(work->machine, 0, NULL);
    work->misses = 0;
    work->passed = 0;
    work->lazy_at_ns = INT64_MAX;
    told__histogram(&runner->told.commits, took_ns);
    told__committed(runner, work, turn);
    depth__committed(runner, work, revision, turn);
    keep__committed(work, turn);
    keep__cursor_written(work);
    outside__committed(runner, work);
    retries__committed(runner, work);
    tell_logs(work);
    bool tripped = turn->tripped;
    bool has_gap = work->status && strcmp(work->status, "gap") == 0;
    work->status = NULL;
    if (tripped)
        log_warn("recipes", "a recipe has tripped and stops",
                 LOG_SLICE("recipe", work->def->name),
                 LOG_SLICE("why", turn->stop));
    work__end_turn(work);
    work__drop_leases(runner, work);
    if (tripped || has_gap) {
        /* As the watch will say too. */
        work->def->state = tripped ? DEF_TRIPPED : DEF_GAP;
        work__drop(runner, work, 0);
        return;
    }
    work->state = WORK_RUNS;
    work__ready(runner, work);
}

void work__trip(struct runner *runner, struct work *work, struct slice why)
{
    struct store_txn txn;
    store_txn__begin(&txn);
    work__fence(work, &txn);
    work__put_status(work, &txn, "tripped", why);
    store_txn__send_raw(runner, &txn, store__forget, NULL);
    runner->told.trips++;
    work->refused = 0;
    work__drop(runner, work, SECOND_NS);
}

/* The store won't take this turn, now or later: first one event at a time; if
 * that is refused too the recipe stops, and says why. */
static void refuse(struct runner *runner, struct work *work,
                   const struct store_answer *answer)
{
    work->refused++;
    log_error("recipes", "the store refuses a recipe's transaction",
              LOG_SLICE("recipe", work->def->name),
              LOG_INT("code", answer->code), LOG_SLICE("why", answer->text));
    if (work->refused < REFUSED_MAX) {
        work->is_narrow = true;
        work__drop(runner, work, runner__backoff(runner, work->refused));
        return;
    }
    struct buf why = {0};
    buf_append_str(&why, "the store refuses its transaction: ");
    buf_append_slice(&why, answer->text);
    work__trip(runner, work, buf_slice(&why));
    buf_deinit(&why);
}

/* The owner may not do something of it. Alone it is done again as a run that
 * fails, and tells why; where its on_failure is refused too, without that. */
static void deny(struct runner *runner, struct work *work,
                 const struct store_answer *answer)
{
    struct slice owner = work__owner(work);
    if (work->is_narrow && work->denials >= DENIALS_MAX) {
        refuse(runner, work, answer);
        return;
    }
    if (work->is_narrow)
        work->denied[work->denials++ % 4] = turn_effects(&work->turn);
    work->is_narrow = true;
    work->narrow_turns = NARROW_TURNS;
    buf_reset(&work->denial);
    if (owner.size == 0)
        buf_append_str(&work->denial, "it has no owner, whose permissions it "
                                      "would need: save it again");
    else
        buf_printf(&work->denial, "its owner, %.*s, may not do this: %.*s",
                   (int)owner.size, owner.at, (int)answer->text.size,
                   answer->text.at);
    buf_append_char(&work->denial, '\0');
    work__drop(runner, work, 0);
}

/* etcd has no better codes for these. */
static bool is_text(const struct store_answer *answer, const char *text)
{
    return answer->code == CODE_INVALID &&
           memmem(answer->text.at, answer->text.size, text, strlen(text));
}

static bool is_denied(const struct store_answer *answer)
{
    return answer->code == CODE_DENIED || is_text(answer, "user name is empty");
}

static void conflict(struct runner *runner, struct work *work)
{
    runner->told.conflicts++;
    work->conflicts++;
    if (work->is_clocked) {
        /* The key has changed: that event is on its way, and comes first. */
        work->misses++;
        work->due_after_ns =
            runner->now.mono_ns + runner__backoff(runner, work->misses);
        work__drop(runner, work, 0);
        return;
    }
    work->failures++;
    work__drop(runner, work,
               work->failures == 1 ? 0
                                   : runner__backoff(runner, work->failures));
}

static void cursor_committed(struct runner *runner, void *context,
                             const struct store_answer *answer)
{
    struct work *work = context;
    int64_t revision;
    work->call = 0;
    if (answer->code != 0)
        work__failed(runner, work, "a turn wasn't committed", answer);
    else if (!store__succeeded(answer->message, &revision))
        conflict(runner, work);
    else
        succeed(runner, work, revision);
}

static void committed(struct runner *runner, void *context,
                      const struct store_answer *answer)
{
    struct work *work = context;
    int64_t revision;
    work->call = 0;
    if (is_denied(answer) && turn_effects(&work->turn)) {
        deny(runner, work, answer);
    } else if (answer->code == CODE_INVALID &&
               !is_text(answer, "revision of auth store")) {
        refuse(runner, work, answer);
    } else if (answer->code != 0) {
        if (answer->code == CODE_NOT_FOUND)
            leases__deinit(runner); /* one has ended */
        work__failed(runner, work, "a turn wasn't committed", answer);
    } else if (!store__succeeded(answer->message, &revision)) {
        conflict(runner, work);
    } else if (PLANTED(RECIPE_CURSOR_APART)) {
        struct store_txn txn;
        store_txn__begin(&txn);
        work__fence(work, &txn);
        put_cursor(work, &txn);
        work->call = store_txn__send_raw(runner, &txn, cursor_committed, work);
    } else {
        succeed(runner, work, revision);
    }
}
