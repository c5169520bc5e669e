/* What is due: holds, absent keys, debounces, waits, and queued runs whose
 * turn has come; in the order of their times, and of their keys where those
 * are the same.
 *
 * Before an event all of its trigger that is due by the event's time fires:
 * every earlier event of the trigger has been seen, so nothing can come
 * between any more. Where no event comes the clock says so; whoever commits
 * that compares that the key is as it was seen last. */
#include "base/check.h"
#include "recipe/machine_int.h"

static void see_ties(const struct heap *heap, size_t at, int64_t due_ns,
                     struct memo **best)
{
    if (at >= heap->count || heap->nodes[at]->key != due_ns)
        return;
    struct memo *memo = CONTAINER_OF(heap->nodes[at], struct memo, due);
    if (!*best || slice_cmp(memo->key, (*best)->key) < 0)
        *best = memo;
    see_ties(heap, 2 * at + 1, due_ns, best);
    see_ties(heap, 2 * at + 2, due_ns, best);
}

static int64_t top_of(const struct heap *heap)
{
    const struct heap_node *node = heap_top(heap);
    return node ? node->key : INT64_MAX;
}

static bool is_asked(const struct machine *machine, size_t at, size_t trigger)
{
    return trigger == SIZE_MAX || at == trigger ||
           at == machine->recipe->trigger_count;
}

static struct memo *find_first(const struct machine *machine, size_t trigger,
                               int64_t now_ns)
{
    struct memo *best = NULL;
    int64_t due_ns = INT64_MAX;
    size_t count = machine->recipe->trigger_count;
    for (size_t i = 0; i <= count; i++) {
        if (is_asked(machine, i, trigger) && top_of(&machine->due[i]) < due_ns)
            due_ns = top_of(&machine->due[i]);
    }
    if (due_ns > now_ns || due_ns == INT64_MAX)
        return NULL;
    for (size_t i = 0; i <= count; i++) {
        if (is_asked(machine, i, trigger))
            see_ties(&machine->due[i], 0, due_ns, &best);
    }
    return best;
}

/* ---- one of them -------------------------------------------------------- */

static void go_on(struct unit *unit, struct memo *memo)
{
    enum active_state state = memo->active.state;
    struct run *run = run__resume(unit, memo);
    if (!run)
        return;
    if (state == ACTIVE_QUEUED)
        run->started_ns = unit->now_ns;
    if (unit->level != UNIT_NORMAL) {
        run__fail(unit, run, slice_str(unit->refusal));
        return;
    }
    if (state == ACTIVE_WAITING) {
        run__note(unit, run, run__action(unit, run), "ok", SLICE(""));
        run->next++;
    }
    run__go_on(unit, run);
}

static void fire(struct unit *unit, void *context)
{
    struct memo *memo = context;
    switch (memo->kind) {
    case MEMO_HOLD:
        key__fire_hold(unit, memo);
        return;
    case MEMO_ABSENT:
        absent__fire(unit, memo);
        return;
    case MEMO_DEBOUNCE:
        debounce__fire(unit, memo);
        return;
    case MEMO_ACTIVE:
        go_on(unit, memo);
        return;
    case MEMO_EDGE:
    case MEMO_DEDUPE:
    case MEMO_THROTTLE:
    case MEMO_BREAKER:
    case MEMO_KIND_COUNT:
        break;
    }
    UNREACHABLE();
}

enum turn_end due__fire(const struct unit_config *config, size_t trigger)
{
    struct unit_config its = *config;
    struct memo *memo;
    its.is_by_clock = trigger == SIZE_MAX;
    its.account = NULL;
    while ((memo = find_first(config->machine, trigger, config->now_ns)) !=
           NULL) {
        its.now_ns = memo->due_ns ? memo->due_ns : config->now_ns;
        enum turn_end end = unit__do(&its, fire, memo);
        if (end != TURN_TAKEN)
            return end;
    }
    return TURN_TAKEN;
}

/* ---- by the clock ------------------------------------------------------- */

static void begin_absent(struct unit *unit, void *context)
{
    absent__begin(unit, *(const size_t *)context);
}

static enum turn_end begin_all_absent(const struct unit_config *config)
{
    struct machine *machine = config->machine;
    for (size_t i = 0; i < machine->recipe->trigger_count; i++) {
        if (machine->absent_begun[i])
            continue;
        if (absent__is_to_begin(machine, i)) {
            enum turn_end end = unit__do(config, begin_absent, &i);
            if (end != TURN_TAKEN)
                return end;
        }
        machine->absent_begun[i] = true;
    }
    return TURN_TAKEN;
}

enum turn_end machine_due(struct machine *machine, int64_t now_ns,
                          const struct lookups *lookups, struct turn *turn)
{
    struct unit_config config = {
        .machine = machine, .turn = turn, .lookups = lookups, .now_ns = now_ns};
    CHECK(machine->is_loaded);
    if (machine->has_stopped)
        return turn_is_empty(turn) ? TURN_TAKEN : TURN_FULL;
    enum turn_end end = begin_all_absent(&config);
    if (end == TURN_TAKEN)
        end = due__fire(&config, SIZE_MAX);
    if (end == TURN_TAKEN && now_ns > machine->clock_ns)
        machine->clock_ns = now_ns;
    return end;
}

int64_t machine_next_due(const struct machine *machine)
{
    int64_t due_ns = INT64_MAX;
    size_t count = machine->recipe->trigger_count;
    if (machine->has_stopped)
        return INT64_MAX;
    for (size_t i = 0; i <= count; i++) {
        if (top_of(&machine->due[i]) < due_ns)
            due_ns = top_of(&machine->due[i]);
        if (i < count && !machine->absent_begun[i])
            return 0;
    }
    return due_ns;
}
