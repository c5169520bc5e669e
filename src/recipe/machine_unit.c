/* A unit: one event, one thing that is due, one answer. It goes into the turn
 * as a whole, or leaves the machine as it was.
 *
 *   unit__do ---> body ---> fits ---------------------> into the turn
 *      ^                     |  wants, or the turn is full: all back
 *      +-- at the next level-+  it wouldn't fit any turn: all back
 */
#include "base/check.h"
#include "recipe/machine_int.h"

/* Another item in a list of the unit's, which doubles in its arena. */
static void *grow(struct arena *arena, void *list, size_t count,
                  size_t *capacity, size_t size)
{
    if (count < *capacity)
        return list;
    *capacity = *capacity ? *capacity * 2 : 8;
    void *new = arena_alloc(arena, *capacity * size);
    if (count)
        memcpy(new, list, count * size);
    return new;
}

/* ---- memos -------------------------------------------------------------- */

static void add_change(struct unit *unit, struct memo *old, struct memo *new,
                       bool is_lazy)
{
    unit->changes = grow(unit->arena, unit->changes, unit->change_count,
                         &unit->change_capacity, sizeof *unit->changes);
    unit->changes[unit->change_count++] =
        (struct unit_change){old, new, is_lazy};
}

static void set(struct unit *unit, struct memo *memo, bool is_lazy)
{
    struct machine *machine = unit->machine;
    struct memo *old = map_get(&machine->memos, memo->key);
    if (!old && machine->memos.count >= MACHINE_MEMOS_MAX &&
        unit->stop.size == 0)
        unit->stop = form__printf(
            unit->arena,
            "it would remember more than %d keys, runs or ids at once",
            MACHINE_MEMOS_MAX);
    memo->is_dirty = is_lazy;
    if (old)
        memo__detach(machine, old);
    memo__attach(machine, memo);
    add_change(unit, old, memo, is_lazy);
}

void unit__set(struct unit *unit, struct memo *memo)
{
    set(unit, memo, false);
}

/* Where the turn has the memo already it stays there: written apart it would
 * come before the turn, and a crash between the two would lose what the turn
 * did because of the memo that was before. */
void unit__set_lazily(struct unit *unit, struct memo *memo)
{
    const struct memo *old = map_get(&unit->machine->memos, memo->key);
    CHECK_EQ(memo->kind, MEMO_ABSENT);
    bool has_fired = old && old->absent.has_fired;
    set(unit, memo, !has_fired && !turn__find(unit->turn, memo->key));
}

void unit__drop(struct unit *unit, struct memo *memo)
{
    memo__detach(unit->machine, memo);
    add_change(unit, memo, NULL, false);
}

/* ---- operations --------------------------------------------------------- */

static void add_operation(struct unit *unit,
                          const struct turn_operation *operation)
{
    unit->operations = grow(unit->arena, unit->operations, unit->count,
                            &unit->capacity, sizeof *unit->operations);
    unit->operations[unit->count++] = *operation;
}

void unit__put_own(struct unit *unit, struct slice key, struct slice value)
{
    struct turn_operation put = {.kind = TURN_PUT, .key = key, .value = value};
    add_operation(unit, &put);
}

void unit__delete_own(struct unit *unit, struct slice key)
{
    struct turn_operation delete = {.kind = TURN_DELETE, .key = key};
    add_operation(unit, &delete);
}

struct slice unit__prefix_end(struct arena *arena, struct slice prefix)
{
    size_t size = prefix.size;
    while (size > 0 && (unsigned char)prefix.at[size - 1] == 0xff)
        size--;
    if (size == 0)
        return slice_of("", 1); /* a zero byte: to the end of all keys */
    char *end = arena_dup(arena, prefix.at, size);
    end[size - 1] = (char)(end[size - 1] + 1);
    return slice_of(end, size);
}

/* Have the two a key in common that both may write? */
static bool meet(const struct turn_operation *a, const struct turn_operation *b)
{
    if (a->kind != TURN_TXN && b->kind != TURN_TXN)
        return turn__overlap(a->key, a->end, b->key, b->end);
    if (a->kind != TURN_TXN)
        return meet(b, a);
    for (size_t i = 0; i < a->txn->then_count; i++) {
        if (meet(&a->txn->then[i], b))
            return true;
    }
    for (size_t i = 0; i < a->txn->otherwise_count; i++) {
        if (meet(&a->txn->otherwise[i], b))
            return true;
    }
    return false;
}

static bool contains(const struct turn_operation *range,
                     const struct turn_operation *part)
{
    if (range->end.size == 0)
        return part->end.size == 0 && slice_eq(range->key, part->key);
    if (slice_cmp(range->key, part->key) > 0)
        return false;
    bool has_no_end = range->end.size == 1 && range->end.at[0] == '\0';
    if (has_no_end || part->end.size == 0)
        return true; /* they meet */
    return part->end.at[0] != '\0' && slice_cmp(part->end, range->end) <= 0;
}

static void remove_operation(struct unit *unit, size_t at)
{
    unit->count--;
    memmove(&unit->operations[at], &unit->operations[at + 1],
            (unit->count - at) * sizeof *unit->operations);
}

/* A range is deleted and a key of it is put: the range but that key. */
static void split(struct unit *unit, size_t at, struct slice key)
{
    struct turn_operation range = unit->operations[at];
    char *next = arena_alloc(unit->arena, key.size + 1);
    memcpy(next, key.at, key.size);
    next[key.size] = '\0';
    struct turn_operation before = range;
    struct turn_operation after = range;
    before.end = key;
    after.key = slice_of(next, key.size + 1);
    remove_operation(unit, at);
    if (!slice_eq(before.key, before.end))
        add_operation(unit, &before);
    if (!slice_eq(after.key, after.end))
        add_operation(unit, &after);
}

/* Two ranges of deletions that meet become one: nothing between them is
 * touched by another operation. */
static void merge(struct turn_operation *into, const struct turn_operation *old)
{
    bool has_no_end = old->end.at[0] == '\0';
    if (slice_cmp(old->key, into->key) < 0)
        into->key = old->key;
    if (into->end.at[0] != '\0' &&
        (has_no_end || slice_cmp(old->end, into->end) > 0))
        into->end = old->end;
}

static bool meets_txn(const struct unit *unit,
                      const struct turn_operation *operation)
{
    for (size_t i = 0; i < unit->count; i++) {
        const struct turn_operation *old = &unit->operations[i];
        bool is_txn = old->kind == TURN_TXN || operation->kind == TURN_TXN;
        if (old->is_effect && is_txn && meet(old, operation))
            return true;
    }
    return false;
}

/* What is done to the same key by one run at one moment ends as if it had been
 * done one after the other: etcd wouldn't take it as it stands. No two of the
 * unit's effects ever meet. */
bool unit__add_effect(struct unit *unit, const struct turn_operation *operation,
                      const char **why)
{
    struct turn_operation new = *operation;
    CHECK(new.is_effect);
    if (meets_txn(unit, &new)) {
        *why = "a key of a txn is written by another action too, at the same "
               "moment: put both in the txn";
        return false;
    }
    for (size_t i = unit->count; i > 0; i--) {
        const struct turn_operation *old = &unit->operations[i - 1];
        if (!old->is_effect || !meet(old, &new))
            continue;
        if (contains(&new, old)) {
            remove_operation(unit, i - 1);
        } else if (new.kind == TURN_PUT) {
            split(unit, i - 1, new.key);
            break; /* no other has it */
        } else if (contains(old, &new)) {
            return true; /* deleted already */
        } else {
            merge(&new, old);
            remove_operation(unit, i - 1);
        }
    }
    add_operation(unit, &new);
    return true;
}

void unit__add_run(struct unit *unit, const struct run_id *id,
                   enum run_status status, struct slice record)
{
    size_t capacity = unit->run_count;
    unit->runs = grow(unit->arena, unit->runs, unit->run_count, &capacity,
                      sizeof *unit->runs);
    unit->runs[unit->run_count++] = (struct turn_run){*id, status, record};
}

void unit__add_log(struct unit *unit, struct slice line)
{
    unit->logs = grow(unit->arena, unit->logs, unit->log_count,
                      &unit->log_capacity, sizeof *unit->logs);
    unit->logs[unit->log_count++] = line;
}

/* ---- does it fit? ------------------------------------------------------- */

/* The operation that a change comes to. The last change of a key says what. */
static bool find_operation(const struct unit *unit, size_t at,
                           struct turn_operation *out)
{
    const struct unit_change *change = &unit->changes[at];
    const struct memo *memo = change->new ? change->new : change->old;
    if (change->is_lazy)
        return false;
    for (size_t i = at + 1; i < unit->change_count; i++) {
        const struct unit_change *later = &unit->changes[i];
        const struct memo *other = later->new ? later->new : later->old;
        if (slice_eq(other->key, memo->key))
            return false;
    }
    *out = (struct turn_operation){.kind = TURN_DELETE, .key = memo->key};
    if (!change->new)
        return true;
    out->kind = TURN_PUT;
    out->value = memo->value;
    if (memo->kind == MEMO_ABSENT) {
        struct buf value = {0};
        memo__write_absent(memo, &value);
        out->value = turn__copy(unit->arena, buf_slice(&value));
        buf_deinit(&value);
    }
    return true;
}

enum fit { FITS, FITS_LATER, FITS_NEVER };

struct measure {
    size_t operations;
    size_t bytes;
    bool has_effects;
    bool touches; /* what the turn has touched */
};

static void measure_operation(const struct unit *unit,
                              const struct turn_operation *operation,
                              struct measure *measure)
{
    const struct turn *turn = unit->turn;
    measure->bytes += turn__bytes(operation);
    if (operation->is_effect) {
        measure->has_effects = true;
        measure->touches = measure->touches || turn__touches(turn, operation);
        measure->operations++;
    } else if (!turn__find(turn, operation->key)) {
        measure->operations++;
    }
}

static struct measure measure(const struct unit *unit)
{
    struct measure measure = {0};
    struct turn_operation operation;
    bool has_records = unit->turn->records_at != 0;
    for (size_t i = 0; i < unit->count; i++)
        measure_operation(unit, &unit->operations[i], &measure);
    for (size_t i = 0; i < unit->change_count; i++) {
        if (find_operation(unit, i, &operation))
            measure_operation(unit, &operation, &measure);
    }
    for (size_t i = 0; i < unit->run_count; i++) {
        measure.bytes += unit->runs[i].record.size;
        if (unit->runs[i].status != RUN_ACTIVE && !has_records) {
            measure.operations++;
            has_records = true;
        }
    }
    return measure;
}

static bool is_denied(const struct unit *unit)
{
    const struct machine *machine = unit->machine;
    uint64_t effects = machine->denied_count
                           ? turn__effects(unit->operations, unit->count)
                           : 0;
    for (size_t i = 0; effects && i < machine->denied_count && i < DENIED_MAX;
         i++) {
        if (machine->denied[i] == effects)
            return true;
    }
    return false;
}

static enum fit find_fit(const struct unit *unit, const char **refusal)
{
    const struct turn *turn = unit->turn;
    struct measure unit_is = measure(unit);
    bool is_alone = turn_is_empty(turn);
    if (unit->machine->is_narrow && !is_alone)
        return FITS_LATER;
    if (unit_is.has_effects && is_denied(unit)) {
        *refusal = unit->machine->denied_why;
        return FITS_NEVER;
    }
    if (unit_is.touches)
        return FITS_LATER;
    if (unit_is.has_effects && turn->has_depth && turn->depth != unit->depth)
        return FITS_LATER;
    if (unit->has_guard && turn->guard_count >= TURN_GUARDS_MAX)
        return FITS_LATER;
    if (turn->count + unit_is.operations > TURN_OPERATIONS_MAX) {
        *refusal = "it has more operations than one transaction can have";
        return is_alone ? FITS_NEVER : FITS_LATER;
    }
    if (turn->bytes + unit_is.bytes <= TURN_BYTES_MAX)
        return FITS;
    *refusal = "it is larger than one transaction can be";
    if (!is_alone)
        return FITS_LATER;
    return unit_is.bytes <= TURN_BYTES_ALONE_MAX ? FITS : FITS_NEVER;
}

/* ---- its end ------------------------------------------------------------ */

static void roll_back(struct unit *unit)
{
    for (size_t i = unit->change_count; i > 0; i--) {
        struct unit_change *change = &unit->changes[i - 1];
        if (change->new) {
            memo__detach(unit->machine, change->new);
            memo__free(change->new);
        }
        if (change->old)
            memo__attach(unit->machine, change->old);
    }
}

/* What an action outside is known by stays until it is answered. */
static void let_go(struct machine *machine, struct memo *memo)
{
    if (memo->kind == MEMO_ACTIVE && memo->active.is_out)
        list_push_back(&machine->gone, &memo->dirty);
    else
        memo__free(memo);
}

static void apply(struct unit *unit)
{
    struct turn *turn = unit->turn;
    struct turn_operation operation;
    for (size_t i = 0; i < unit->count; i++) {
        if (unit->operations[i].is_effect) {
            turn->has_depth = true;
            turn->depth = unit->depth;
        }
        turn__add(turn, &unit->operations[i]);
    }
    for (size_t i = 0; i < unit->change_count; i++) {
        if (find_operation(unit, i, &operation))
            turn__add(turn, &operation);
    }
    for (size_t i = 0; i < unit->run_count; i++)
        turn__add_run(turn, unit->machine->recipe->name, &unit->runs[i]);
    for (size_t i = 0; i < unit->log_count; i++)
        turn__add_log(turn, unit->logs[i]);
    if (unit->has_guard)
        turn__add_guard(turn, &unit->guard);
    /* Last: the above may speak of what is in them. */
    for (size_t i = 0; i < unit->change_count; i++) {
        if (unit->changes[i].old)
            let_go(unit->machine, unit->changes[i].old);
    }
    turn->fired += unit->fired;
    turn->skipped += unit->skipped;
    turn->failed += unit->failed;
    if (unit->trigger != SIZE_MAX)
        unit->machine->positions[unit->trigger] = unit->position;
}

/* The recipe stops before what the unit would have done. Its breaker counts
 * anew when it goes on. */
static void stop(struct unit *unit)
{
    struct machine *machine = unit->machine;
    struct turn *turn = unit->turn;
    roll_back(unit);
    machine->has_stopped = true;
    turn->tripped = true;
    turn->stop = turn__copy(&turn->arena, unit->stop);
    struct memo *breaker =
        memo__find(machine, MEMO_BREAKER, SIZE_MAX, SLICE("all"));
    if (breaker) {
        struct turn_operation delete = {.kind = TURN_DELETE,
                                        .key = breaker->key};
        turn__add(turn, &delete);
        memo__detach(machine, breaker);
        memo__free(breaker);
    }
}

enum turn_end unit__do(const struct unit_config *config, unit_body body,
                       void *context)
{
    const char *refusal = "";
    for (unsigned level = UNIT_NORMAL; level < UNIT_LEVELS; level++) {
        struct unit unit = {.machine = config->machine,
                            .turn = config->turn,
                            .lookups = config->lookups,
                            .account = config->account,
                            .now_ns = config->now_ns,
                            .is_by_clock = config->is_by_clock,
                            .arena = &config->machine->scratch,
                            .level = (enum unit_level)level,
                            .refusal = refusal,
                            .trigger = SIZE_MAX};
        arena_reset(unit.arena);
        body(&unit, context);
        if (!unit.wants && unit.stop.size) {
            stop(&unit);
            return TURN_FULL;
        }
        enum fit fit = unit.wants ? FITS_LATER : find_fit(&unit, &refusal);
        if (fit == FITS) {
            apply(&unit);
            return TURN_TAKEN;
        }
        roll_back(&unit);
        if (fit == FITS_LATER)
            return unit.wants ? TURN_WANTS : TURN_FULL;
    }
    UNREACHABLE();
}
