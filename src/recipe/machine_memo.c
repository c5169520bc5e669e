/* Memos: what a machine remembers, each by the store's key of it.
 *
 *   /_recipes/state/<name>/<kind>/<tag>/<id>   of a trigger, and mostly a key
 *   /_recipes/state/<name>/<kind>/<id>         of the recipe
 *   /_recipes/active/<name>/<run>              a run under way
 *
 * A tag stands for the trigger by what it watches, so that it means the same
 * after an edit that moved it. */
#include "base/check.h"
#include "recipe/machine_int.h"

static const char *const kinds[MEMO_KIND_COUNT] = {
    [MEMO_EDGE] = "edge",         [MEMO_HOLD] = "hold",
    [MEMO_ABSENT] = "absent",     [MEMO_DEDUPE] = "dedupe",
    [MEMO_THROTTLE] = "throttle", [MEMO_DEBOUNCE] = "debounce",
    [MEMO_BREAKER] = "breaker",   [MEMO_ACTIVE] = "active",
};

static bool is_of_trigger(enum memo_kind kind)
{
    return kind == MEMO_EDGE || kind == MEMO_HOLD || kind == MEMO_ABSENT ||
           kind == MEMO_DEBOUNCE;
}

bool memo__kind_from_text(struct slice text, enum memo_kind *out)
{
    for (unsigned i = 0; i < MEMO_ACTIVE; i++) {
        if (slice_eq(text, slice_str(kinds[i]))) {
            *out = (enum memo_kind)i;
            return true;
        }
    }
    return false;
}

/* ---- making them -------------------------------------------------------- */

static void write_key(const struct machine *machine, enum memo_kind kind,
                      size_t trigger, struct slice id, struct buf *out)
{
    struct slice none = SLICE("");
    if (kind == MEMO_ACTIVE) {
        recipe_key_write(out, RECIPE_KEY_ACTIVE, machine->recipe->name, &id);
        return;
    }
    recipe_key_write(out, RECIPE_KEY_STATE, machine->recipe->name, &none);
    buf_append_str(out, kinds[kind]);
    buf_append_char(out, '/');
    CHECK_EQ(is_of_trigger(kind), trigger != SIZE_MAX);
    if (trigger != SIZE_MAX) {
        CHECK_LT(trigger, machine->recipe->trigger_count);
        buf_append_slice(out, machine->tags[trigger]);
        buf_append_char(out, '/');
    }
    buf_append_slice(out, id);
}

static struct memo *make(enum memo_kind kind, size_t trigger, struct slice key,
                         size_t id_size, struct slice value)
{
    CHECK_LE(id_size, key.size);
    struct memo *memo = mem_alloc(sizeof *memo + key.size + value.size);
    *memo =
        (struct memo){.kind = kind, .trigger = trigger, .due_ns = INT64_MAX};
    memcpy(memo->bytes, key.at, key.size);
    if (value.size)
        memcpy(memo->bytes + key.size, value.at, value.size);
    memo->key = slice_of(memo->bytes, key.size);
    memo->id = slice_of(memo->bytes + key.size - id_size, id_size);
    memo->value = slice_of(memo->bytes + key.size, value.size);
    list_init(&memo->dirty);
    if (kind == MEMO_ACTIVE) {
        list_init(&memo->active.in_scope);
        list_init(&memo->active.by_age);
        memo->active.scope = SLICE("");
    }
    return memo;
}

struct memo *memo__new(const struct machine *machine, enum memo_kind kind,
                       size_t trigger, struct slice id, struct slice value)
{
    struct buf key = {0};
    write_key(machine, kind, trigger, id, &key);
    struct memo *memo = make(kind, trigger, buf_slice(&key), id.size, value);
    buf_deinit(&key);
    return memo;
}

void memo__free(struct memo *memo)
{
    CHECK_EQ(memo->due.place, 0);
    list_remove(&memo->dirty);
    if (memo->kind == MEMO_ACTIVE) {
        CHECK(memo->active.scoped == NULL);
        outside__free(memo->active.outside);
        if (memo->active.scope.size)
            mem_free((void *)(uintptr_t)memo->active.scope.at);
    }
    mem_free(memo);
}

struct memo *memo__find(const struct machine *machine, enum memo_kind kind,
                        size_t trigger, struct slice id)
{
    struct buf key = {0};
    write_key(machine, kind, trigger, id, &key);
    struct memo *memo = map_get(&machine->memos, buf_slice(&key));
    buf_deinit(&key);
    return memo;
}

struct memo *memo__find_run(const struct machine *machine,
                            const struct run_id *id)
{
    char text[RUN_ID_BYTES_MAX];
    return memo__find(machine, MEMO_ACTIVE, SIZE_MAX,
                      slice_of(text, run_id_to_key(id, text)));
}

/* ---- scopes ------------------------------------------------------------- */

static struct scope *scope_of(struct machine *machine, struct slice name)
{
    struct scope *scope = map_get(&machine->scopes, name);
    if (scope)
        return scope;
    scope = mem_alloc(sizeof *scope + name.size);
    memcpy(scope->bytes, name.at, name.size);
    scope->name = slice_of(scope->bytes, name.size);
    list_init(&scope->runs);
    map_put(&machine->scopes, scope);
    return scope;
}

static struct heap *due_of(struct machine *machine, const struct memo *memo)
{
    size_t none = machine->recipe->trigger_count;
    return &machine->due[memo->trigger == SIZE_MAX ? none : memo->trigger];
}

/* A queued run whose turn has come is due at once. */
static void see_first(struct machine *machine, struct scope *scope)
{
    struct list *node = list_first(&scope->runs);
    struct memo *memo = CONTAINER_OF(node, struct memo, active.in_scope);
    if (memo->active.state == ACTIVE_QUEUED && memo->due_ns != 0) {
        memo->due_ns = 0;
        heap_set(due_of(machine, memo), &memo->due, 0);
    }
}

/* It isn't first any more: that happens when a run is put back before it. */
static void unsee(struct machine *machine, struct memo *memo)
{
    if (memo->active.state == ACTIVE_QUEUED && memo->due_ns == 0) {
        memo->due_ns = INT64_MAX;
        heap_remove(due_of(machine, memo), &memo->due);
    }
}

static void enter_scope(struct machine *machine, struct memo *memo)
{
    struct scope *scope = scope_of(machine, memo->active.scope);
    struct list *after = scope->runs.prev;
    while (after != &scope->runs &&
           CONTAINER_OF(after, struct memo, active.in_scope)->active.sequence >
               memo->active.sequence)
        after = after->prev;
    list_push_front(after, &memo->active.in_scope);
    memo->active.scoped = scope;
    struct list *next = memo->active.in_scope.next;
    if (next != &scope->runs)
        unsee(machine, CONTAINER_OF(next, struct memo, active.in_scope));
    see_first(machine, scope);
}

static void leave_scope(struct machine *machine, struct memo *memo)
{
    struct scope *scope = memo->active.scoped;
    memo->active.scoped = NULL;
    list_remove(&memo->active.in_scope);
    unsee(machine, memo);
    if (!list_is_empty(&scope->runs)) {
        see_first(machine, scope);
        return;
    }
    map_remove(&machine->scopes, scope->name);
    mem_free(scope);
}

struct memo *memo__first_in_scope(const struct machine *machine,
                                  struct slice name)
{
    struct scope *scope = map_get(&machine->scopes, name);
    if (!scope)
        return NULL;
    struct list *node = list_first(&scope->runs);
    return CONTAINER_OF(node, struct memo, active.in_scope);
}

/* ---- in and out --------------------------------------------------------- */

static void attach_active(struct machine *machine, struct memo *memo)
{
    struct list *after = machine->actives.prev;
    while (after != &machine->actives &&
           CONTAINER_OF(after, struct memo, active.by_age)->active.sequence >
               memo->active.sequence)
        after = after->prev;
    list_push_front(after, &memo->active.by_age);
    machine->active_count++;
    if (memo->active.scope.size)
        enter_scope(machine, memo);
    if (memo->active.state == ACTIVE_OUTSIDE) {
        machine->outside_count++;
        if (!memo->active.is_out)
            heap_push(&machine->outs, &memo->active.ready,
                      memo->active.not_before_ns);
    }
    if (memo->active.sequence >= machine->next_sequence)
        machine->next_sequence = memo->active.sequence + 1;
}

static void detach_active(struct machine *machine, struct memo *memo)
{
    list_remove(&memo->active.by_age);
    machine->active_count--;
    if (memo->active.scoped)
        leave_scope(machine, memo);
    if (memo->active.state == ACTIVE_OUTSIDE)
        machine->outside_count--;
    heap_remove(&machine->outs, &memo->active.ready);
}

void memo__attach(struct machine *machine, struct memo *memo)
{
    CHECK(map_put(&machine->memos, memo) == NULL);
    if (memo->due_ns != INT64_MAX)
        heap_push(due_of(machine, memo), &memo->due, memo->due_ns);
    if (memo->is_dirty)
        list_push_back(&machine->dirty, &memo->dirty);
    if (memo->kind == MEMO_DEDUPE)
        heap_push(&machine->expiry, &memo->dedupe.node, memo->dedupe.until_ns);
    if (memo->kind == MEMO_ACTIVE)
        attach_active(machine, memo);
}

void memo__detach(struct machine *machine, struct memo *memo)
{
    CHECK(map_remove(&machine->memos, memo->key) == memo);
    list_remove(&memo->dirty);
    if (memo->kind == MEMO_DEDUPE)
        heap_remove(&machine->expiry, &memo->dedupe.node);
    if (memo->kind == MEMO_ACTIVE)
        detach_active(machine, memo);
    heap_remove(due_of(machine, memo), &memo->due);
}

/* ---- from the store ----------------------------------------------------- */

void memo__set_active(struct memo *memo, const struct run *run)
{
    memo->active.id = run->id;
    memo->active.sequence = run->sequence;
    memo->active.state = run->state;
    memo->active.not_before_ns = run->not_before_ns;
    memo->due_ns =
        run->state == ACTIVE_WAITING ? run->not_before_ns : INT64_MAX;
    if (run->scope.size)
        memo->active.scope =
            slice_of(mem_dup(run->scope.at, run->scope.size), run->scope.size);
}

void memo__write_absent(const struct memo *memo, struct buf *out)
{
    char seen[RUN_ID_BYTES_MAX];
    size_t size = run_id_to_text(&memo->absent.seen, seen);
    buf_printf(out, "{\"at\":%lld,\"seen\":\"%.*s\",\"put\":%lld",
               (long long)memo->absent.at_ns, (int)size, seen,
               (long long)memo->absent.put);
    if (memo->absent.is_gone)
        buf_append_str(out, ",\"gone\":true");
    if (memo->absent.has_fired)
        buf_append_str(out, ",\"fired\":true");
    buf_append_char(out, '}');
}

static bool has_flag(const struct doc_value *doc, const char *name)
{
    const struct doc_value *flag = doc_get(doc, name);
    return flag && flag->kind == DOC_BOOL && flag->boolean;
}

static bool read_absent(const struct machine *machine, struct memo *memo,
                        const struct doc_value *doc)
{
    const struct doc_value *seen = doc_get(doc, "seen");
    if (!seen || seen->kind != DOC_STRING ||
        !run_id_parse(seen->text, &memo->absent.seen) ||
        !record__number(doc, "at", &memo->absent.at_ns) ||
        !record__number(doc, "put", &memo->absent.put) ||
        memo->absent.at_ns < 0 || memo->absent.put < 0)
        return false;
    memo->absent.is_gone = has_flag(doc, "gone");
    memo->absent.has_fired = has_flag(doc, "fired");
    memo->due_ns = absent__due(machine, memo);
    return true;
}

static bool read_active(const struct machine *machine, struct memo *memo,
                        const struct doc_value *doc)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct run *run = arena_alloc(&arena, sizeof *run);
    bool is_ok = record__read_active(machine, &arena, doc, run) == ERR_OK;
    if (is_ok)
        memo__set_active(memo, run);
    arena_deinit(&arena);
    return is_ok;
}

static bool read_due(struct memo *memo, const struct doc_value *doc)
{
    return record__number(doc, "due", &memo->due_ns) && memo->due_ns >= 0;
}

static bool read_fields(const struct machine *machine, struct memo *memo,
                        const struct doc_value *doc)
{
    int64_t count = 0;
    switch (memo->kind) {
    case MEMO_EDGE:
    case MEMO_THROTTLE:
        return true;
    case MEMO_HOLD:
        memo->hold.has_fired = has_flag(doc, "fired");
        return memo->hold.has_fired || read_due(memo, doc);
    case MEMO_ABSENT:
        return read_absent(machine, memo, doc);
    case MEMO_DEDUPE:
        return record__number(doc, "until", &memo->dedupe.until_ns);
    case MEMO_DEBOUNCE:
        return read_due(memo, doc);
    case MEMO_BREAKER:
        if (!record__number(doc, "count", &count) ||
            !record__number(doc, "start", &memo->breaker.start_ns))
            return false;
        memo->breaker.count = (uint64_t)count;
        return true;
    case MEMO_ACTIVE:
        return read_active(machine, memo, doc);
    case MEMO_KIND_COUNT:
        break;
    }
    UNREACHABLE();
}

/* The trigger whose tag `rest` begins with; *id is what is behind it. */
static size_t find_trigger(const struct machine *machine, struct slice rest,
                           struct slice *id)
{
    ptrdiff_t slash = slice_find(rest, '/');
    if (slash < 0)
        return SIZE_MAX;
    struct slice tag = slice_of(rest.at, (size_t)slash);
    *id = slice_of(rest.at + slash + 1, rest.size - (size_t)slash - 1);
    for (size_t i = 0; i < machine->recipe->trigger_count; i++) {
        if (slice_eq(machine->tags[i], tag))
            return i;
    }
    return SIZE_MAX;
}

/* Does the trigger, as it is now, have such memos? */
static bool is_wanted(const struct trigger *trigger, enum memo_kind kind)
{
    switch (kind) {
    case MEMO_EDGE:
        return trigger->crosses.of != NULL;
    case MEMO_HOLD:
        return trigger->kind == TRIGGER_KEY && trigger->for_ns > 0;
    case MEMO_ABSENT:
        return trigger->kind == TRIGGER_ABSENT;
    default:
        return true;
    }
}

enum err memo__read(struct machine *machine, struct slice key,
                    struct slice rest, enum memo_kind kind, struct slice value,
                    struct memo **out)
{
    size_t trigger = SIZE_MAX;
    struct slice id = rest;
    struct doc_value *doc;
    *out = NULL;
    if (is_of_trigger(kind)) {
        trigger = find_trigger(machine, rest, &id);
        if (trigger == SIZE_MAX ||
            !is_wanted(&machine->recipe->triggers[trigger], kind))
            return ERR_OK;
    }
    arena_reset(&machine->scratch);
    enum err err = record__parse(&machine->scratch, value, &doc);
    if (err)
        return err;
    if (kind == MEMO_ABSENT)
        value = SLICE("");
    struct memo *memo = make(kind, trigger, key, id.size, value);
    if (!read_fields(machine, memo, doc)) {
        memo__free(memo);
        return err_set(ERR_CORRUPT, "a memo of kind %s can't be read",
                       kinds[kind]);
    }
    *out = memo;
    return ERR_OK;
}
