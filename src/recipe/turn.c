/* What is to be committed as one transaction. etcd refuses one that touches a
 * key twice, so all keys of it are known here; the machine's own are written
 * again and again while the turn grows, and the last one counts. */
#include "base/check.h"
#include "recipe/machine_int.h"

struct touched {
    struct slice key;
    size_t at; /* its operation; SIZE_MAX: within a txn */
};

static struct slice touched_key(const void *value)
{
    const struct touched *touched = value;
    return touched->key;
}

void turn_init(struct turn *turn)
{
    *turn = (struct turn){0};
    arena_init(&turn->arena, 0);
    map_init(&turn->touched, touched_key, 0);
    list_init(&turn->ranges);
}

void turn_deinit(struct turn *turn)
{
    map_deinit(&turn->touched);
    buf_deinit(&turn->records);
    mem_free(turn->operations);
    mem_free(turn->guards);
    mem_free(turn->runs);
    mem_free(turn->logs);
    arena_deinit(&turn->arena);
}

bool turn_is_empty(const struct turn *turn)
{
    return turn->count == 0 && !turn->tripped;
}

/* ---- what it touches ---------------------------------------------------- */

/* Is `a` before the end of a range that begins at or before it? */
static bool is_before(struct slice a, struct slice end)
{
    bool has_no_end = end.size == 1 && end.at[0] == '\0';
    return has_no_end || slice_cmp(a, end) < 0;
}

bool turn__overlap(struct slice a, struct slice a_end, struct slice b,
                   struct slice b_end)
{
    if (a_end.size == 0 && b_end.size == 0)
        return slice_eq(a, b);
    if (slice_cmp(a, b) <= 0)
        return slice_eq(a, b) || (a_end.size && is_before(b, a_end));
    return b_end.size && is_before(a, b_end);
}

static bool touches_key(const struct turn *turn, struct slice key,
                        struct slice end)
{
    LIST_EACH (node, &turn->ranges) {
        struct unit_range *range = CONTAINER_OF(node, struct unit_range, node);
        if (turn__overlap(key, end, range->key, range->end))
            return true;
    }
    if (end.size == 0)
        return map_get(&turn->touched, key) != NULL;
    size_t position = 0;
    const struct touched *touched;
    while ((touched = map_next(&turn->touched, &position)) != NULL) {
        if (turn__overlap(key, end, touched->key, SLICE("")))
            return true;
    }
    return false;
}

bool turn__touches(const struct turn *turn,
                   const struct turn_operation *operation)
{
    if (operation->kind != TURN_TXN)
        return touches_key(turn, operation->key, operation->end);
    const struct turn_txn *txn = operation->txn;
    for (size_t i = 0; i < txn->then_count; i++) {
        if (turn__touches(turn, &txn->then[i]))
            return true;
    }
    for (size_t i = 0; i < txn->otherwise_count; i++) {
        if (turn__touches(turn, &txn->otherwise[i]))
            return true;
    }
    return false;
}

static void touch(struct turn *turn, const struct turn_operation *operation,
                  size_t at)
{
    if (operation->kind == TURN_TXN) {
        for (size_t i = 0; i < operation->txn->then_count; i++)
            touch(turn, &operation->txn->then[i], SIZE_MAX);
        for (size_t i = 0; i < operation->txn->otherwise_count; i++)
            touch(turn, &operation->txn->otherwise[i], SIZE_MAX);
    } else if (operation->end.size) {
        struct unit_range *range = arena_alloc(&turn->arena, sizeof *range);
        *range =
            (struct unit_range){.key = operation->key, .end = operation->end};
        list_push_back(&turn->ranges, &range->node);
    } else {
        struct touched *touched = arena_alloc(&turn->arena, sizeof *touched);
        *touched = (struct touched){operation->key, at};
        map_put(&turn->touched, touched);
    }
}

struct turn_operation *turn__find(const struct turn *turn, struct slice key)
{
    const struct touched *touched = map_get(&turn->touched, key);
    if (!touched || touched->at == SIZE_MAX)
        return NULL;
    CHECK_LT(touched->at, turn->count);
    return &turn->operations[touched->at];
}

/* ---- it grows ----------------------------------------------------------- */

struct slice turn__copy(struct arena *arena, struct slice text)
{
    if (text.size == 0)
        return SLICE("");
    return slice_of(arena_dup(arena, text.at, text.size), text.size);
}

enum { OPERATION_BYTES = 16 }; /* of framing, about */

size_t turn__bytes(const struct turn_operation *operation)
{
    size_t bytes = operation->key.size + operation->end.size +
                   operation->value.size + OPERATION_BYTES;
    if (operation->kind != TURN_TXN)
        return bytes;
    const struct turn_txn *txn = operation->txn;
    for (size_t i = 0; i < txn->compare_count; i++)
        bytes += txn->compares[i].key.size + txn->compares[i].value.size +
                 OPERATION_BYTES;
    for (size_t i = 0; i < txn->then_count; i++)
        bytes += turn__bytes(&txn->then[i]);
    for (size_t i = 0; i < txn->otherwise_count; i++)
        bytes += turn__bytes(&txn->otherwise[i]);
    return bytes;
}

static struct turn_operation copy_operation(struct arena *arena,
                                            const struct turn_operation *from);

static struct turn_operation *copy_operations(struct arena *arena,
                                              const struct turn_operation *from,
                                              size_t count)
{
    struct turn_operation *list =
        arena_alloc(arena, (count + 1) * sizeof *list);
    for (size_t i = 0; i < count; i++)
        list[i] = copy_operation(arena, &from[i]);
    return list;
}

static struct turn_txn *copy_txn(struct arena *arena,
                                 const struct turn_txn *from)
{
    struct turn_txn *txn = arena_alloc(arena, sizeof *txn);
    *txn = *from;
    txn->compares =
        arena_alloc(arena, (from->compare_count + 1) * sizeof *txn->compares);
    for (size_t i = 0; i < from->compare_count; i++) {
        txn->compares[i] = from->compares[i];
        txn->compares[i].key = turn__copy(arena, from->compares[i].key);
        txn->compares[i].value = turn__copy(arena, from->compares[i].value);
    }
    txn->then = copy_operations(arena, from->then, from->then_count);
    txn->otherwise =
        copy_operations(arena, from->otherwise, from->otherwise_count);
    return txn;
}

static struct turn_operation copy_operation(struct arena *arena,
                                            const struct turn_operation *from)
{
    struct turn_operation to = *from;
    to.key = turn__copy(arena, from->key);
    to.end = turn__copy(arena, from->end);
    to.value = turn__copy(arena, from->value);
    if (from->kind == TURN_TXN)
        to.txn = copy_txn(arena, from->txn);
    return to;
}

static struct turn_operation *append(struct turn *turn)
{
    if (turn->count == turn->capacity) {
        turn->capacity = turn->capacity ? turn->capacity * 2 : 8;
        turn->operations = mem_realloc(
            turn->operations, turn->capacity * sizeof *turn->operations);
    }
    return &turn->operations[turn->count++];
}

void turn__add(struct turn *turn, const struct turn_operation *operation)
{
    struct turn_operation *old =
        operation->is_effect ? NULL : turn__find(turn, operation->key);
    turn->bytes += turn__bytes(operation);
    if (old) {
        /* The bytes of the one that is replaced stay counted: they are in the
         * arena still. */
        CHECK(!old->is_effect);
        struct slice key = old->key;
        *old = copy_operation(&turn->arena, operation);
        old->key = key;
        return;
    }
    CHECK(!turn__touches(turn, operation));
    struct turn_operation *new = append(turn);
    *new = copy_operation(&turn->arena, operation);
    touch(turn, new, turn->count - 1);
}

/* Room for one more, in a list that doubles. */
static void *grow(void *list, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return list;
    *capacity = *capacity ? *capacity * 2 : 8;
    return mem_realloc(list, *capacity * size);
}

/* The records of a turn are the value of one key, whose name is that of the
 * first. */
static void add_record(struct turn *turn, struct slice recipe,
                       const struct turn_run *run)
{
    char id[RUN_ID_BYTES_MAX];
    if (turn->records_at == 0) {
        struct buf key = {0};
        struct slice rest = slice_of(id, run_id_to_key(&run->id, id));
        recipe_key_write(&key, RECIPE_KEY_RUN, recipe, &rest);
        struct turn_operation put = {.kind = TURN_PUT, .key = buf_slice(&key)};
        turn__add(turn, &put);
        turn->records_at = turn->count;
        buf_append_char(&turn->records, '[');
        buf_deinit(&key);
    } else {
        turn->records.at[turn->records.size - 1] = ',';
    }
    buf_append_slice(&turn->records, run->record);
    buf_append_char(&turn->records, ']');
    turn->bytes += run->record.size + 1;
    turn->operations[turn->records_at - 1].value = buf_slice(&turn->records);
}

void turn__add_run(struct turn *turn, struct slice recipe,
                   const struct turn_run *run)
{
    turn->runs = grow(turn->runs, turn->run_count, &turn->run_capacity,
                      sizeof *turn->runs);
    struct turn_run *new = &turn->runs[turn->run_count++];
    *new = *run;
    new->record = turn__copy(&turn->arena, run->record);
    if (run->status != RUN_ACTIVE)
        add_record(turn, recipe, run);
}

void turn__add_guard(struct turn *turn, const struct turn_compare *guard)
{
    turn->guards = grow(turn->guards, turn->guard_count, &turn->guard_capacity,
                        sizeof *turn->guards);
    struct turn_compare *new = &turn->guards[turn->guard_count++];
    *new = *guard;
    new->key = turn__copy(&turn->arena, guard->key);
    new->value = turn__copy(&turn->arena, guard->value);
    turn->bytes += guard->key.size + OPERATION_BYTES;
}

void turn__add_log(struct turn *turn, struct slice line)
{
    turn->logs = grow(turn->logs, turn->log_count, &turn->log_capacity,
                      sizeof *turn->logs);
    turn->logs[turn->log_count++] = turn__copy(&turn->arena, line);
}

const char *run_status_text(enum run_status status)
{
    static const char *const texts[] = {
        [RUN_OK] = "ok",           [RUN_FAILED] = "failed",
        [RUN_SKIPPED] = "skipped", [RUN_CANCELLED] = "cancelled",
        [RUN_ACTIVE] = "active",
    };
    CHECK_LE(status, RUN_ACTIVE);
    return texts[status];
}

/* ---- what it is to ------------------------------------------------------- */

static uint64_t mix(uint64_t hash, uint64_t more)
{
    return (hash ^ more) * UINT64_C(0x9e3779b97f4a7c15) + (hash >> 29);
}

static uint64_t mix_all(uint64_t hash, const struct turn_operation *operations,
                        size_t count);

static uint64_t mix_one(uint64_t hash, const struct turn_operation *operation)
{
    hash = mix(hash, (uint64_t)operation->kind + 1);
    if (operation->kind == TURN_TXN) {
        const struct turn_txn *txn = operation->txn;
        for (size_t i = 0; i < txn->compare_count; i++)
            hash = mix(hash, slice_hash(txn->compares[i].key, 1));
        hash = mix_all(hash, txn->then, txn->then_count);
        return mix_all(hash, txn->otherwise, txn->otherwise_count);
    }
    return mix(mix(hash, slice_hash(operation->key, 2)),
               slice_hash(operation->end, 3));
}

static uint64_t mix_all(uint64_t hash, const struct turn_operation *operations,
                        size_t count)
{
    for (size_t i = 0; i < count; i++)
        hash = mix_one(hash, &operations[i]);
    return mix(hash, count);
}

uint64_t turn__effects(const struct turn_operation *operations, size_t count)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < count; i++) {
        if (operations[i].is_effect)
            hash = mix_one(hash, &operations[i]) | 1;
    }
    return hash;
}

uint64_t turn_effects(const struct turn *turn)
{
    return turn__effects(turn->operations, turn->count);
}
