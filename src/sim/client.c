/* Clients: each asks one thing at a time, of a member that is up, and waits for
 * the answer, or gives up. What they were told must fit together.
 *
 *   /k0 ...       plain keys, whose histories are checked for linearizability
 *   /q            created in order     /t/0 ...  with a TTL, refreshed
 *   /d/0/1 ...    in directories that are removed, or have a TTL
 *
 * Plain keys are written and read by v2 and v3 alike; what v3 has beside them
 * stands in v3_ask.c.
 *
 * Each value that is written is written by one request only, so a commit tells
 * which request made it, and twice is seen.
 */
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "sim/sim_int.h"

static bool is_read(enum sim_kind kind)
{
    return kind == SIM_READ || kind == SIM_GET;
}

/* Does the command carry a value of its own? */
static bool has_value(enum sim_kind kind)
{
    switch (kind) {
    case SIM_READ:
    case SIM_DELETE:
    case SIM_REMOVE:
    case SIM_REFRESH:
    case SIM_DIR_TTL:
    case SIM_DIR_DELETE:
    case SIM_GET:
    case SIM_END:
    case SIM_END_IF:
    case SIM_GRANT:
    case SIM_KEEP:
    case SIM_REVOKE:
        return false;
    default:
        return true;
    }
}

/* ---- values -------------------------------------------------------------- */

void sim__put_value(struct buf *out, uint32_t value, size_t bytes)
{
    buf_append_char(out, 'v');
    buf_append_u64(out, value);
    buf_append_char(out, '.');
    if (out->size < bytes) {
        size_t more = bytes - out->size;
        memset(buf_extend(out, more), 'x', more);
    }
}

/* 0: not one of ours. */
uint32_t sim__value_of(struct slice text)
{
    uint64_t value = 0;
    ptrdiff_t end = slice_find(text, '.');
    if (text.size < 3 || text.at[0] != 'v' || end < 2 ||
        !slice_to_u64(slice_of(text.at + 1, (size_t)end - 1), &value) ||
        value >= SIM_VALUES_MAX)
        return 0;
    return (uint32_t)value;
}

void sim__note_commit(struct sim *sim, const struct mvcc_commit *commit)
{
    uint32_t same = 0;
    sim__v3_note_commit(sim, commit);
    sim__service_note(sim, commit);
    for (uint32_t i = 0; i < commit->count; i++) {
        const struct record *record = &commit->records[i];
        sim__count(sim, SIM_COUNT_EXPIRIES, record->cause == MVCC_EXPIRE);
        /* A refresh keeps the value. */
        if (record->flags & (MVCC_TOMBSTONE | MVCC_REFRESH))
            continue;
        uint32_t value = sim__value_of(record->value);
        if (value == 0 || value == same)
            continue;
        /* A txn's two keys have one value. */
        same = value;
        if (sim->values[value] & SIM_VALUE_DONE)
            sim__fail(sim, "value %u is written twice: at revision %lld", value,
                      (long long)commit->main);
        if (sim->values[value] & SIM_VALUE_REFUSED)
            sim__fail(sim, "value %u was refused, and is written at %lld",
                      value, (long long)commit->main);
        sim->values[value] |= SIM_VALUE_DONE;
    }
}

/* ---- histories ----------------------------------------------------------- */

/* As the checker of histories knows them. */
static enum linear_kind linear_kind(enum sim_kind kind)
{
    switch (kind) {
    case SIM_GET:
        return LINEAR_READ;
    case SIM_PUT:
        return LINEAR_SET;
    case SIM_PUT_NEW:
    case SIM_PUT_IF:
        return LINEAR_PUT_IF;
    case SIM_PUT_OLD:
        return LINEAR_UPDATE;
    case SIM_END:
        return LINEAR_DELETE;
    case SIM_END_IF:
        return LINEAR_END_IF;
    default:
        CHECK_LE(kind, SIM_REMOVE);
        return (enum linear_kind)kind;
    }
}

static size_t begin_history(struct sim_op *op)
{
    struct sim_history *history = &op->sim->histories[op->key];
    if (history->count == history->capacity) {
        history->capacity = history->capacity * 2 + 64;
        history->ops =
            mem_realloc(history->ops, history->capacity * sizeof *history->ops);
    }
    history->ops[history->count] = (struct linear_op){
        .call_ns = op->call_ns,
        .return_ns = LINEAR_NEVER,
        .kind = linear_kind(op->kind),
        .value = op->value,
        .expect = op->kind == SIM_PUT_NEW ? 0 : op->expect,
    };
    return history->count++;
}

/* What was told of a plain key. */
static void end_history(struct sim_op *op, bool refused, uint32_t seen,
                        revision at)
{
    struct sim_history *history = &op->sim->histories[op->key];
    struct linear_op *linear = &history->ops[op->history];
    linear->return_ns = op->sim->now_ns;
    linear->refused = refused;
    linear->seen = seen;
    if (!refused && !is_read(op->kind)) {
        history->newest = op->value;
        history->newest_at = at;
    }
}

/* Nothing was done: it is as if it had been a read that never returned. */
static void forget_history(struct sim_op *op)
{
    struct linear_op *linear = &op->sim->histories[op->key].ops[op->history];
    linear->kind = LINEAR_READ;
    CHECK_EQ(linear->return_ns, LINEAR_NEVER);
}

void sim__check_histories(struct sim *sim)
{
    for (int i = 0; i < SIM_OBJECTS; i++) {
        const struct sim_history *history = &sim->histories[i];
        char name[SIM_PATH_BYTES_MAX];
        sim__part_name(i, 0, name);
        enum linear_verdict verdict =
            linear_check(history->ops, history->count, 0, SIM_LINEAR_STEPS_MAX);
        if (verdict == LINEAR_BAD)
            sim__fail(sim, "the history of %s is not linearizable", name);
        sim__count(sim, SIM_COUNT_UNSURE, verdict == LINEAR_UNSURE);
    }
}

/* ---- answers ------------------------------------------------------------- */

static void free_op(struct sim_op *op)
{
    CHECK(!op->waits);
    sim__cancel(op->sim, &op->answer);
    if (op->client)
        op->client->op = NULL;
    list_remove(&op->link);
    tree_result_deinit(&op->request.tree);
    txn_answer_deinit(&op->request.answer);
    refbuf_unref(op->command);
    mem_free(op);
}

/* The client is free again. */
static void finish(struct sim_op *op)
{
    struct sim_client *client = op->client;
    if (client && client->next.fire)
        sim__at(op->sim, &client->next,
                op->sim->now_ns +
                    (int64_t)prng_below(&op->sim->client_prng,
                                        (uint64_t)op->sim->think_ns * 2));
    free_op(op);
}

/* Where an error says that nothing was done, nothing may have been. */
static bool is_refusal(enum err err)
{
    return err == ERR_NO_LEADER || err == ERR_FULL || err == ERR_NO_SPACE ||
           err == ERR_DISK_FULL || err == ERR_TOO_LARGE || err == ERR_INVALID;
}

static void refuse_value(struct sim_op *op)
{
    struct sim *sim = op->sim;
    if (!has_value(op->kind))
        return;
    if (sim->values[op->value] & SIM_VALUE_DONE)
        sim__fail(sim, "value %u is written, and was refused: %s", op->value,
                  err_name(op->err));
    sim->values[op->value] |= SIM_VALUE_REFUSED;
}

static void take_refusal(struct sim_op *op)
{
    if (sim__is_plain(op->kind))
        forget_history(op);
    refuse_value(op);
}

/* What was acknowledged stands in the log, where it was said to. */
static enum err check_in_log(const struct sim_op *op)
{
    const struct ledger *ledger = &op->sim->ledger;
    raft_index index = op->request.index;
    if (index == 0 || index > ledger->commit)
        return err_set(ERR_CORRUPT, "index %llu is not committed",
                       (unsigned long long)index);
    const struct ledger_place *place = &ledger->places[index];
    if (place->term > op->request.term)
        return err_set(ERR_CORRUPT, "index %llu is of term %llu, not %llu",
                       (unsigned long long)index,
                       (unsigned long long)place->term,
                       (unsigned long long)op->request.term);
    if (place->data == NULL ||
        !slice_has_prefix(slice_of(place->data->bytes, place->data->size),
                          slice_of(op->command->bytes, op->command->size)))
        return err_set(ERR_CORRUPT, "index %llu is another entry",
                       (unsigned long long)index);
    if (index <= op->index_floor)
        return err_set(ERR_CORRUPT, "index %llu was done before it was asked",
                       (unsigned long long)index);
    return ERR_OK;
}

static enum err check_in_store(const struct sim_op *op)
{
    const struct tree_result *tree = &op->request.tree;
    const struct mvcc_commit *commit =
        ledger_commit_at(&op->sim->ledger, tree->index);
    if (tree->error != TREE_NONE || !has_value(op->kind))
        return ERR_OK;
    for (uint32_t i = 0; commit && i < commit->count; i++)
        if (sim__value_of(commit->records[i].value) == op->value)
            return ERR_OK;
    return err_set(ERR_CORRUPT, "it isn't at revision %lld",
                   (long long)tree->index);
}

static uint32_t prev_value(const struct tree_result *tree)
{
    return tree->event.has_prev ? sim__value_of(tree->event.prev.value) : 0;
}

static void note_revision(struct sim *sim, revision at)
{
    if (sim->acked_revision < at)
        sim->acked_revision = at;
}

static enum err take_v2(struct sim_op *op, struct sim_found *out)
{
    const struct tree_result *tree = &op->request.tree;
    *out = (struct sim_found){.refused = tree->error != TREE_NONE,
                              .value = prev_value(tree)};
    if (out->refused)
        out->value = tree->error == TREE_KEY_NOT_FOUND ? 0 : UINT32_MAX;
    return check_in_store(op);
}

/* The store's revision, as it was told. */
static revision told_revision(const struct sim_op *op)
{
    return sim__is_v3(op->kind) ? op->request.answer.revision
                                : op->request.tree.index;
}

static void take_write(struct sim_op *op)
{
    struct sim *sim = op->sim;
    struct sim_found found = {0};
    enum err err = check_in_log(op);
    if (err == ERR_OK)
        err = sim__is_v3(op->kind) ? sim__v3_take(op, &found)
                                   : take_v2(op, &found);
    if (err) {
        sim__fail_at(op->member, "an acknowledged write");
        return;
    }
    sim__count(sim, SIM_COUNT_WRITES, 1);
    if (op->request.index > sim->acked_index)
        sim->acked_index = op->request.index;
    sim__count(sim, SIM_COUNT_V3, sim__is_v3(op->kind));
    note_revision(sim, told_revision(op));
    if (found.refused)
        refuse_value(op);
    if (sim__is_plain(op->kind))
        end_history(op, found.refused, found.value, told_revision(op));
}

/* What this member has under `path` now, which must be what the twin has. */
static enum err get_v2(struct sim_member *member, const char *path,
                       uint32_t *value, revision *at)
{
    struct sim *sim = member->sim;
    struct tree_node node;
    struct slice cause;
    struct mvcc_status status;
    enum tree_error error = TREE_NONE;
    sim__read_begin(member);
    mvcc_status(node_mvcc(member->node), &status);
    enum err err =
        tree_get(member->reader, slice_str(path), 0, &node, &error, &cause);
    const struct record *twin =
        ledger_get(&sim->ledger, MVCC_KEYS, slice_str(path), status.current);
    *at = status.current;
    *value =
        err == ERR_OK && error == TREE_NONE ? sim__value_of(node.value) : 0;
    if (err == ERR_OK && (twin ? sim__value_of(twin->value) : 0) != *value)
        err = err_set(ERR_CORRUPT, "%s is v%u at revision %lld", path, *value,
                      (long long)*at);
    sim__read_end(member);
    return err;
}

/* An object, by either API; v3 sees it as it was at `at` too (0: now). */
static bool look_up(struct sim_member *member, int object, bool by_v3,
                    uint32_t *value, revision *at)
{
    char path[SIM_PATH_BYTES_MAX];
    sim__part_name(object, 0, path);
    enum err err = by_v3 ? sim__v3_range(member, object, at, value)
                         : get_v2(member, path, value, at);
    if (err == ERR_OK)
        return true;
    if (err == ERR_IO && member->armed)
        return false;
    sim__fail_at(member, "a read");
    return false;
}

static void take_read(struct sim_op *op)
{
    struct sim *sim = op->sim;
    uint32_t value;
    revision at = 0;
    if (!look_up(op->member, op->key, op->kind == SIM_GET, &value, &at))
        return;
    if (at < op->revision_floor) {
        sim__fail(sim,
                  "a stale read: %s was at revision %lld, and %lld had been "
                  "answered before it was asked",
                  op->member->name, (long long)at,
                  (long long)op->revision_floor);
        return;
    }
    sim__count(sim, SIM_COUNT_READS, 1);
    note_revision(sim, at);
    end_history(op, false, value, at);
}

static void answer(struct sim *sim, struct sim_event *event)
{
    struct sim_op *op = CONTAINER_OF(event, struct sim_op, answer);
    struct sim_member *member = op->member;
    bool lost = member->node == NULL ||
                member->incarnation != op->incarnation || op->client == NULL;
    if (lost) {
        sim__count(sim, SIM_COUNT_UNKNOWN, op->client != NULL);
        finish(op);
        return;
    }
    if (member->state == SIM_PAUSED) {
        sim__at(sim, event, member->rise.node.key + SIM_US);
        return;
    }
    sim__trace(sim, member->place, SIM_TRACE_ANSWER,
               (uint64_t)op->client->number, op->err,
               (uint64_t)told_revision(op));
    if (op->client->on_answer)
        op->client->on_answer(op->client, op->err);
    if (op->err == ERR_OK && is_read(op->kind))
        take_read(op);
    else if (op->err == ERR_OK)
        take_write(op);
    else if (is_refusal(op->err) || is_read(op->kind))
        take_refusal(op);
    else
        sim__count(sim, SIM_COUNT_UNKNOWN, 1);
    finish(op);
}

/* The node has decided; the client hears of it when the step is over. */
static void told(struct sim_op *op, enum err err)
{
    op->waits = false;
    op->err = err;
    if (op->member->dying)
        op->incarnation = 0;
    sim__at(op->sim, &op->answer, sim__done_ns(op->member) + SIM_US);
}

static void on_write(struct node_request *request)
{
    told(CONTAINER_OF(request, struct sim_op, request), request->err);
}

static void on_read(struct node_read *read)
{
    told(CONTAINER_OF(read, struct sim_op, read), read->err);
}

/* ---- questions ----------------------------------------------------------- */

static void make_path(struct sim_op *op)
{
    struct buf path = {0};
    if (sim__is_plain(op->kind)) {
        sim__part_name(op->key, 0, op->path);
        return;
    }
    if (op->kind == SIM_ATTACH || op->kind == SIM_LOOSEN)
        buf_printf(&path, "/l/%d/%u", op->key % SIM_LEASES, op->value % 4);
    else if (op->kind == SIM_IN_ORDER)
        buf_append_str(&path, "/q");
    else if (op->kind == SIM_TTL || op->kind == SIM_REFRESH ||
             op->kind == SIM_TAKE_OVER)
        buf_printf(&path, "/t/%d", op->key);
    else if (op->kind == SIM_NESTED)
        buf_printf(&path, "/d/%d/%u", op->key % 2, op->value % 3);
    else
        buf_printf(&path, "/d/%d", op->key % 2);
    CHECK_LT(path.size, SIM_PATH_BYTES_MAX);
    memcpy(op->path, path.at, path.size);
    buf_deinit(&path);
}

static void make_command(struct sim_op *op, struct buf *value,
                         struct buf *expect, struct tree_command *tree)
{
    static const enum tree_op ops[] = {
        [SIM_SET] = TREE_SET,
        [SIM_CREATE] = TREE_CREATE,
        [SIM_UPDATE] = TREE_UPDATE,
        [SIM_SWAP] = TREE_COMPARE_AND_SWAP,
        [SIM_DELETE] = TREE_DELETE,
        [SIM_REMOVE] = TREE_COMPARE_AND_DELETE,
        [SIM_IN_ORDER] = TREE_CREATE_IN_ORDER,
        [SIM_TTL] = TREE_SET,
        [SIM_REFRESH] = TREE_UPDATE,
        [SIM_NESTED] = TREE_SET,
        [SIM_DIR_TTL] = TREE_UPDATE,
        [SIM_DIR_DELETE] = TREE_DELETE,
        [SIM_LOOSEN] = TREE_SET,
    };
    size_t bytes = op->sim->value_bytes;
    bool has_ttl = op->kind == SIM_TTL || op->kind == SIM_REFRESH ||
                   op->kind == SIM_DIR_TTL ||
                   (op->kind == SIM_LOOSEN && op->value % 2);
    if (has_value(op->kind))
        sim__put_value(value, op->value, bytes);
    if (op->kind == SIM_SWAP || op->kind == SIM_REMOVE)
        sim__put_value(expect, op->expect, bytes);
    *tree = (struct tree_command){
        .op = ops[op->kind],
        .path = slice_str(op->path),
        .value = buf_slice(value),
        .dir = op->kind == SIM_DIR_TTL || op->kind == SIM_DIR_DELETE,
        .recursive = op->kind == SIM_DIR_DELETE,
        .refresh = op->kind == SIM_REFRESH,
        .has_ttl = has_ttl,
        .ttl_s = has_ttl ? 1 + prng_below(&op->sim->client_prng, 6) : 0,
        .prev_value = buf_slice(expect),
    };
}

static struct refbuf *v2_command(struct sim_op *op)
{
    struct buf value = {0};
    struct buf expect = {0};
    struct command command = {.type = COMMAND_TREE};
    make_command(op, &value, &expect, &command.tree);
    struct refbuf *encoded = command_encode(&command);
    buf_deinit(&value);
    buf_deinit(&expect);
    return encoded;
}

static enum err submit(struct sim_op *op)
{
    op->command = sim__is_v3(op->kind) ? sim__v3_command(op) : v2_command(op);
    op->request.command = refbuf_ref(op->command);
    op->request.on_done = on_write;
    op->waits = true;
    enum err err = node_submit(op->member->node, &op->request);
    if (err) {
        refbuf_unref(op->request.command);
        op->waits = false;
    }
    return err;
}

static enum err ask_read(struct sim_op *op)
{
    op->read.on_done = on_read;
    if (node_reads_are_current(op->member->node)) {
        told(op, ERR_OK);
        return ERR_OK;
    }
    op->waits = true;
    enum err err = node_read(op->member->node, &op->read);
    if (err)
        op->waits = false;
    return err;
}

struct sim_op *sim__ask(struct sim_member *member, struct sim_client *client,
                        enum sim_kind kind, int key)
{
    struct sim *sim = member->sim;
    struct sim_op *op = mem_alloc_zero(sizeof *op);
    CHECK(client->op == NULL);
    CHECK(key >= 0 && (key < SIM_KEYS || sim__is_v3(kind)));
    CHECK_LT(sim->value_count + 1, SIM_VALUES_MAX);
    *op = (struct sim_op){
        .sim = sim,
        .client = client,
        .answer = {.fire = answer},
        .kind = kind,
        .key = key,
        .value = ++sim->value_count,
        .expect = sim->histories[key].newest,
        .expect_at = sim->histories[key].newest_at,
        .lease = sim->leases[key % SIM_LEASES].id,
        .member = member,
        .incarnation = member->incarnation,
        .call_ns = sim->now_ns,
        .index_floor = sim->acked_index,
        .revision_floor = sim->acked_revision,
    };
    list_push_back(&sim->ops, &op->link);
    client->op = op;
    make_path(op);
    if (sim__is_plain(kind))
        op->history = begin_history(op);
    sim__trace(sim, member->place, SIM_TRACE_CALL, (uint64_t)client->number,
               kind, op->value);
    op->err = is_read(kind) ? ask_read(op) : submit(op);
    if (op->err == ERR_OK)
        return op;
    take_refusal(op);
    free_op(op);
    return NULL;
}

/* ---- clients ------------------------------------------------------------- */

static void give_up(struct sim_op *op)
{
    sim__trace(op->sim, op->member->place, SIM_TRACE_GIVE_UP,
               (uint64_t)op->client->number, op->kind, op->value);
    sim__count(op->sim, SIM_COUNT_UNKNOWN, 1);
    op->client->op = NULL;
    op->client = NULL;
    if (!op->waits)
        free_op(op);
}

/* A read of what is here, whatever others know: right for its revision. v3
 * may want an old one. */
static void look(struct sim_client *client)
{
    uint32_t value;
    struct prng *prng = &client->sim->client_prng;
    int object = (int)prng_below(prng, SIM_OBJECTS);
    bool by_v3 = object >= SIM_KEYS || prng_below(prng, 2) == 0;
    revision newest = client->sim->ledger.revision;
    revision at = prng_below(prng, 2) ? prng_between(prng, 1, newest) : 0;
    look_up(client->member, object, by_v3, &value, &at);
    sim__count(client->sim, SIM_COUNT_LOOKS, 1);
}

static enum sim_kind choose_v2(struct prng *prng)
{
    static const unsigned char kinds[] = {
        SIM_READ,   SIM_READ,    SIM_READ,   SIM_READ,     SIM_READ,
        SIM_READ,   SIM_SET,     SIM_SET,    SIM_SET,      SIM_SET,
        SIM_CREATE, SIM_UPDATE,  SIM_SWAP,   SIM_SWAP,     SIM_SWAP,
        SIM_DELETE, SIM_REMOVE,  SIM_TTL,    SIM_IN_ORDER, SIM_TTL,
        SIM_NESTED, SIM_REFRESH, SIM_NESTED, SIM_DIR_TTL,  SIM_DIR_DELETE,
        SIM_LOOSEN,
    };
    return kinds[prng_below(prng, sizeof kinds)];
}

static enum sim_kind choose_v3(struct prng *prng)
{
    static const unsigned char kinds[] = {
        SIM_GET,     SIM_GET,       SIM_GET,    SIM_GET,    SIM_GET,
        SIM_PUT,     SIM_PUT,       SIM_PUT,    SIM_PUT,    SIM_PUT_NEW,
        SIM_PUT_OLD, SIM_PUT_IF,    SIM_PUT_IF, SIM_PUT_IF, SIM_END,
        SIM_END_IF,  SIM_GRANT,     SIM_KEEP,   SIM_KEEP,   SIM_KEEP,
        SIM_REVOKE,  SIM_TAKE_OVER, SIM_ATTACH, SIM_ATTACH, SIM_ATTACH,
        SIM_ATTACH,
    };
    return kinds[prng_below(prng, sizeof kinds)];
}

/* Every third only reads: one that writes waits where there is no quorum, and
 * asks nothing more of a leader that has lost its place. Of the writers some
 * speak v2, some v3, and some both. */
static enum sim_kind choose_kind(const struct sim_client *client, int *object)
{
    struct sim *sim = client->sim;
    struct prng *prng = &sim->client_prng;
    bool by_v3 = client->number % 3 == 1 ? prng_below(prng, 4) > 0
                                         : prng_below(prng, 4) == 0;
    *object = (int)prng_below(prng, SIM_OBJECTS);
    if (*object >= SIM_KEYS)
        by_v3 = true;
    enum sim_kind kind = by_v3 ? choose_v3(prng) : choose_v2(prng);
    if (client->number % 3 == 2)
        return by_v3 ? SIM_GET : SIM_READ;
    if (sim->leases[*object % SIM_LEASES].id == 0 &&
        (kind == SIM_KEEP || kind == SIM_REVOKE || kind == SIM_ATTACH))
        return SIM_GRANT;
    return kind;
}

static void next(struct sim *sim, struct sim_event *event)
{
    struct sim_client *client = CONTAINER_OF(event, struct sim_client, next);
    struct prng *prng = &sim->client_prng;
    if (client->op)
        give_up(client->op);
    if (client->member == NULL || client->member->state != SIM_UP ||
        prng_below(prng, 8) == 0)
        client->member = sim__any_up(sim, prng);
    int64_t wait_ns = 100 * SIM_MS;
    if (client->member) {
        if (prng_below(prng, 4) == 0)
            look(client);
        int object;
        enum sim_kind kind = choose_kind(client, &object);
        struct sim_op *op = sim__ask(client->member, client, kind, object);
        /* Patience for an election or two; some have little. */
        if (op)
            wait_ns = prng_between(prng, 1, 30) * sim->election_ms * SIM_MS / 5;
    }
    sim__at_latest(sim, event, sim->now_ns + wait_ns);
}

void sim__clients_start(struct sim *sim)
{
    for (int i = 0; i < sim->client_count; i++) {
        struct sim_client *client = &sim->clients[i];
        *client = (struct sim_client){
            .sim = sim, .number = i + 1, .next = {.fire = next}};
        sim__at(sim, &client->next,
                (int64_t)prng_below(&sim->client_prng, 1000) * SIM_MS);
    }
}

void sim__clients_stop(struct sim *sim)
{
    for (int i = 0; i < sim->client_count; i++) {
        struct sim_client *client = &sim->clients[i];
        if (client->op)
            give_up(client->op);
        sim__cancel(sim, &client->next);
    }
}

void sim__clients_free(struct sim *sim)
{
    LIST_EACH (link, &sim->ops) {
        struct sim_op *op = CONTAINER_OF(link, struct sim_op, link);
        op->waits = false;
        free_op(op);
    }
    for (int i = 0; i < SIM_OBJECTS; i++)
        mem_free(sim->histories[i].ops);
}
