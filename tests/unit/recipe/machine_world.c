#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "machine_world.h"
#include "recipe_support.h"

/* ---- the store ---------------------------------------------------------- */

static struct slice keep(struct world *world, struct slice text)
{
    if (text.size == 0)
        return SLICE("");
    return slice_of(arena_dup(&world->arena, text.at, text.size), text.size);
}

const struct world_record *world_find(const struct world *world,
                                      struct slice key, int64_t revision)
{
    for (size_t i = world->count; i > 0; i--) {
        const struct world_record *record = &world->records[i - 1];
        if (record->revision <= revision && slice_eq(record->key, key))
            return record->type & EVENT_PUT ? record : NULL;
    }
    return NULL;
}

static struct world_record *change(struct world *world, struct slice key,
                                   struct slice value, enum event_type type)
{
    const struct world_record *old = world_find(world, key, INT64_MAX);
    if (!(type & EVENT_PUT) && !old)
        return NULL;
    struct world_record new = {.revision = world->revision,
                               .time_ns = world->now_ns,
                               .type = type,
                               .key = keep(world, key),
                               .value = keep(world, value),
                               .has_prev = old != NULL,
                               .prev = old ? old->value : SLICE(""),
                               .parent = SLICE("")};
    if (type & EVENT_PUT)
        new.type = old ? EVENT_UPDATE : EVENT_CREATE;
    if (world->count == world->capacity) {
        world->capacity = world->capacity ? world->capacity * 2 : 64;
        world->records = mem_realloc(world->records,
                                     world->capacity * sizeof *world->records);
    }
    world->records[world->count] = new;
    return &world->records[world->count++];
}

void world_put_slice(struct world *world, const char *key, struct slice value)
{
    world->revision++;
    change(world, slice_str(key), value, EVENT_PUT);
}

void world_put(struct world *world, const char *key, const char *value)
{
    world_put_slice(world, key, slice_str(value));
}

void world_put_deep(struct world *world, const char *key, const char *value,
                    unsigned depth)
{
    world->revision++;
    struct world_record *record =
        change(world, slice_str(key), slice_str(value), EVENT_PUT);
    record->depth = depth;
    record->parent = SLICE("other/1");
}

void world_delete(struct world *world, const char *key)
{
    world->revision++;
    change(world, slice_str(key), SLICE(""), EVENT_DELETE);
}

void world_expire(struct world *world, const char *key)
{
    world->revision++;
    change(world, slice_str(key), SLICE(""), EVENT_EXPIRE);
}

void world_come_in(struct world *world, const char *trigger, const char *id,
                   const char *value)
{
    struct buf key = {0};
    struct buf rest = {0};
    buf_printf(&rest, "%s/%s", trigger, id);
    struct slice behind = buf_slice(&rest);
    recipe_key_write(&key, RECIPE_KEY_IN, world->recipe->name, &behind);
    world->revision++;
    change(world, buf_slice(&key), slice_str(value), EVENT_PUT);
    buf_deinit(&key);
    buf_deinit(&rest);
}

void world_other(struct world *world, const char *name, const char *id,
                 const char *list)
{
    struct buf key = {0};
    struct slice rest = slice_str(id);
    recipe_key_write(&key, RECIPE_KEY_RUN, slice_str(name), &rest);
    world->revision++;
    change(world, buf_slice(&key), slice_str(list), EVENT_PUT);
    buf_deinit(&key);
}

const char *world_get(const struct world *world, const char *key)
{
    static char text[4096];
    const struct world_record *record =
        world_find(world, slice_str(key), INT64_MAX);
    if (!record)
        return NULL;
    assert_true(record->value.size < sizeof text);
    if (record->value.size)
        memcpy(text, record->value.at, record->value.size);
    text[record->value.size] = '\0';
    return text;
}

static bool is_last(const struct world *world, size_t at)
{
    for (size_t i = at + 1; i < world->count; i++) {
        if (slice_eq(world->records[i].key, world->records[at].key))
            return false;
    }
    return world->records[at].type & EVENT_PUT;
}

struct slice world_key(const struct world *world, const char *prefix, size_t n)
{
    for (size_t i = 0; i < world->count; i++) {
        if (slice_has_prefix(world->records[i].key, slice_str(prefix)) &&
            is_last(world, i) && n-- == 0)
            return world->records[i].key;
    }
    return SLICE("");
}

size_t world_count(const struct world *world, const char *prefix)
{
    size_t count = 0;
    while (world_key(world, prefix, count).size)
        count++;
    return count;
}

/* ---- lookups ------------------------------------------------------------ */

/* Asked for a second time it is known. */
static bool was_asked(struct world *world, int kind, int64_t revision,
                      struct slice key)
{
    struct buf line = {0};
    buf_printf(&line, "%d %lld %.*s\n", kind, (long long)revision,
               (int)key.size, key.at);
    buf_append_char(&line, '\0');
    bool was = world_has(&world->asked, line.at);
    line.size--;
    if (!was)
        buf_append_slice(&world->asked, buf_slice(&line));
    buf_deinit(&line);
    return was;
}

static const struct lookup *look(void *context, int kind, int64_t revision,
                                 struct slice key)
{
    struct world *world = context;
    if (world->is_shy && !was_asked(world, kind, revision, key))
        return NULL;
    world->lookups_made++;
    world->found = (struct lookup){.revision = revision, .key = key};
    if (kind == LOOKUP_COUNT) {
        world->found.kind = LOOKUP_COUNT;
        for (size_t i = 0; i < world->count; i++) {
            const struct world_record *record = &world->records[i];
            world->found.count +=
                slice_has_prefix(record->key, key) &&
                world_find(world, record->key, revision) == record;
        }
        return &world->found;
    }
    const struct world_record *record = world_find(world, key, revision);
    world->found.found = revision < world->compacted ? LOOKUP_COMPACTED
                         : record                    ? LOOKUP_FOUND
                                                     : LOOKUP_NONE;
    if (record)
        world->found.value = record->value;
    return &world->found;
}

/* ---- commits ------------------------------------------------------------ */

static bool compare(const struct world *world,
                    const struct turn_compare *compare)
{
    const struct world_record *record =
        world_find(world, compare->key, INT64_MAX);
    int64_t number = record ? record->revision : 0;
    int order;
    if (compare->target == TURN_VALUE) {
        if (!record)
            return false;
        order = slice_cmp(record->value, compare->value);
    } else {
        /* Created and version are told from "there" and "not there" alone. */
        order = (number > compare->number) - (number < compare->number);
    }
    switch (compare->operator) {
    case TURN_EQUAL:
        return order == 0;
    case TURN_UNEQUAL:
        return order != 0;
    case TURN_GREATER:
        return order > 0;
    case TURN_LESS:
        return order < 0;
    }
    return false;
}

static void note(struct world *world, const struct turn_operation *operation)
{
    if (!operation->is_effect)
        return;
    buf_append_str(&world->log,
                   operation->kind == TURN_PUT ? "put " : "delete ");
    buf_append_slice(&world->log, operation->key);
    if (operation->end.size)
        buf_append_str(&world->log, " ..");
    if (operation->kind == TURN_PUT) {
        buf_append_char(&world->log, ' ');
        buf_append_slice(&world->log, operation->value);
    }
    if (operation->ttl_ns)
        buf_printf(&world->log, " ttl %lld",
                   (long long)(operation->ttl_ns / WORLD_SECOND));
    buf_append_char(&world->log, '\n');
}

static void apply(struct world *world, const struct turn_operation *operation,
                  unsigned depth);

static void delete_range(struct world *world,
                         const struct turn_operation *operation)
{
    size_t count = world->count;
    for (size_t i = 0; i < count; i++) {
        struct slice key = world->records[i].key;
        if (is_last(world, i) && slice_cmp(key, operation->key) >= 0 &&
            slice_cmp(key, operation->end) < 0)
            change(world, key, SLICE(""), EVENT_DELETE);
    }
}

static void apply_txn(struct world *world, const struct turn_txn *txn,
                      unsigned depth)
{
    bool is_true = true;
    for (size_t i = 0; i < txn->compare_count; i++)
        is_true = is_true && compare(world, &txn->compares[i]);
    size_t count = is_true ? txn->then_count : txn->otherwise_count;
    for (size_t i = 0; i < count; i++)
        apply(world, is_true ? &txn->then[i] : &txn->otherwise[i], depth);
}

static void apply(struct world *world, const struct turn_operation *operation,
                  unsigned depth)
{
    struct world_record *record = NULL;
    if (operation->kind == TURN_TXN) {
        apply_txn(world, operation->txn, depth);
        return;
    }
    note(world, operation);
    if (operation->kind == TURN_PUT)
        record = change(world, operation->key, operation->value, EVENT_PUT);
    else if (operation->end.size)
        delete_range(world, operation);
    else
        record = change(world, operation->key, SLICE(""), EVENT_DELETE);
    if (record && operation->is_effect)
        record->depth = depth + 1;
}

/* As etcd does: a key may be put once, and not where it is deleted. */
static void check_once(const struct turn *turn)
{
    for (size_t i = 0; i < turn->count; i++) {
        const struct turn_operation *a = &turn->operations[i];
        for (size_t j = 0; j < i; j++) {
            const struct turn_operation *b = &turn->operations[j];
            if (a->kind == TURN_TXN || b->kind == TURN_TXN)
                continue;
            bool in_a = a->end.size && slice_cmp(b->key, a->key) >= 0 &&
                        slice_cmp(b->key, a->end) < 0;
            bool in_b = b->end.size && slice_cmp(a->key, b->key) >= 0 &&
                        slice_cmp(a->key, b->end) < 0;
            assert_false(slice_eq(a->key, b->key) && !a->end.size &&
                         !b->end.size);
            assert_false(in_a && b->kind == TURN_PUT);
            assert_false(in_b && a->kind == TURN_PUT);
        }
    }
}

static void note_runs(struct world *world, const struct turn *turn)
{
    for (size_t i = 0; i < turn->run_count; i++) {
        const struct turn_run *run = &turn->runs[i];
        struct doc_value *doc;
        struct arena arena;
        arena_init(&arena, 0);
        assert_int_equal(
            doc_parse_json(&arena, run->record, &doc_limits_default, &doc),
            ERR_OK);
        if (run->status != RUN_ACTIVE) {
            struct slice key = doc_get(doc, "key")->text;
            /* A call's key has its caller's revision in it. */
            if (slice_has_prefix(key, SLICE("/_recipes/in/")))
                key = SLICE("in");
            buf_printf(&world->runs, "%s %.*s\n", run_status_text(run->status),
                       (int)key.size, key.at);
        }
        buf_reset(&world->last);
        buf_append_slice(&world->last, run->record);
        arena_deinit(&arena);
    }
    for (size_t i = 0; i < turn->log_count; i++) {
        buf_append_slice(&world->said, turn->logs[i]);
        buf_append_char(&world->said, '\n');
    }
}

static void put_cursor(struct world *world, const struct turn *turn)
{
    struct buf key = {0};
    struct buf value = {0};
    recipe_key_write(&key, RECIPE_KEY_CURSOR, world->recipe->name, NULL);
    machine_write_cursor(world->machine, turn, &value);
    change(world, buf_slice(&key), buf_slice(&value), EVENT_PUT);
    buf_deinit(&key);
    buf_deinit(&value);
}

static bool happens(struct world *world)
{
    return world->prng && world->crashes < WORLD_CRASHES_MAX &&
           prng_below(world->prng, 100) < world->crash_percent;
}

static void end_turn(struct world *world)
{
    if (world->has_turn)
        turn_deinit(&world->turn);
    world->has_turn = false;
}

static struct turn *turn_of(struct world *world)
{
    if (!world->has_turn)
        turn_init(&world->turn);
    world->has_turn = true;
    return &world->turn;
}

/* False: there was a crash. */
static bool write_lazies(struct world *world)
{
    for (;;) {
        struct turn lazy;
        turn_init(&lazy);
        bool has_some = machine_write_lazy(world->machine, &lazy);
        check_once(&lazy);
        bool is_lost = has_some && happens(world);
        if (has_some && !is_lost) {
            world->revision++;
            for (size_t i = 0; i < lazy.count; i++)
                apply(world, &lazy.operations[i], 0);
        }
        turn_deinit(&lazy);
        if (is_lost || (has_some && happens(world))) {
            world_crash(world);
            return false;
        }
        if (!has_some)
            return true;
    }
}

static void do_commit(struct world *world)
{
    struct turn *turn = &world->turn;
    world->revision++;
    world->turns++;
    assert_true(turn->count <= TURN_OPERATIONS_MAX + 1);
    check_once(turn);
    for (size_t i = 0; i < turn->count; i++)
        apply(world, &turn->operations[i], turn->depth);
    note_runs(world, turn);
    put_cursor(world, turn);
    world->fired += turn->fired;
    world->failed += turn->failed;
    if (turn->tripped) {
        world->has_stopped = true;
        buf_reset(&world->stop);
        buf_append_slice(&world->stop, turn->stop);
    }
}

void world_commit(struct world *world)
{
    struct turn *turn = turn_of(world);
    bool is_lost = happens(world);
    world->skipped += turn->skipped;
    turn->skipped = 0;
    if (!write_lazies(world))
        return;
    bool holds = true;
    for (size_t i = 0; i < turn->guard_count; i++)
        holds = holds && compare(world, &turn->guards[i]);
    world->guards_failed += !holds;
    if (holds && !is_lost)
        do_commit(world);
    end_turn(world);
    if (!holds || is_lost || happens(world))
        world_crash(world);
}

/* ---- the machine -------------------------------------------------------- */

static void load(struct world *world)
{
    struct machine_config config = {.recipe = world->recipe,
                                    .uid = 7,
                                    .zones = &recipe_zones,
                                    .seed = (uint64_t)world->revision};
    struct slice cursor = SLICE("");
    world->machine = machine_new(&config);
    for (size_t i = 0; i < world->count; i++) {
        const struct world_record *record = &world->records[i];
        enum recipe_key kind;
        struct slice name;
        struct slice rest;
        if (!is_last(world, i) ||
            !recipe_key_read(record->key, &kind, &name, &rest) ||
            !slice_eq(name, world->recipe->name))
            continue;
        if (kind == RECIPE_KEY_CURSOR)
            cursor = record->value;
        if (kind == RECIPE_KEY_STATE || kind == RECIPE_KEY_ACTIVE)
            assert_int_equal(machine_load(world->machine, record->key,
                                          record->value, record->revision),
                             ERR_OK);
    }
    assert_int_equal(machine_load_cursor(world->machine, cursor, 0), ERR_OK);
    for (size_t i = 0; i < world->recipe->trigger_count; i++) {
        int64_t from = machine_position(world->machine, i).revision;
        size_t *next = &world->next[i];
        *next = 0;
        while (*next < world->count && world->records[*next].revision < from)
            ++*next;
    }
    world->out_count = 0;
}

void world_crash(struct world *world)
{
    machine_free(world->machine);
    end_turn(world);
    world->crashes++;
    load(world);
}

void world_open(struct world *world, const char *text)
{
    *world = (struct world){.now_ns = 1000 * WORLD_SECOND};
    arena_init(&world->arena, 0);
    world->recipe = parse_recipe(text);
    assert_true(world->recipe->trigger_count <= WORLD_TRIGGERS_MAX);
    world->lookups = (struct lookups){world, look};
    load(world);
}

void world_close(struct world *world)
{
    end_turn(world);
    machine_free(world->machine);
    recipe_free(world->recipe);
    mem_free(world->records);
    buf_deinit(&world->asked);
    buf_deinit(&world->log);
    buf_deinit(&world->runs);
    buf_deinit(&world->last);
    buf_deinit(&world->said);
    buf_deinit(&world->stop);
    arena_deinit(&world->arena);
}

/* ---- feeding ------------------------------------------------------------ */

/* The place of a record among those of its revision that the trigger has. */
static uint32_t place_of(const struct world *world, size_t trigger, size_t at)
{
    struct slice captures[PATTERN_CAPTURES_MAX];
    uint32_t place = 0;
    for (size_t i = 0; i < at; i++) {
        const struct world_record *record = &world->records[i];
        place += record->revision == world->records[at].revision &&
                 pattern_matches(&world->recipe->triggers[trigger].pattern,
                                 record->key, captures);
    }
    return place;
}

/* The trigger whose next event is the oldest; its record is at next[]. */
static bool find_event(struct world *world, size_t *trigger)
{
    struct slice captures[PATTERN_CAPTURES_MAX];
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < world->recipe->trigger_count; i++) {
        const struct pattern *pattern = &world->recipe->triggers[i].pattern;
        while (world->next[i] < world->count &&
               !pattern_matches(pattern, world->records[world->next[i]].key,
                                captures))
            world->next[i]++;
        if (world->next[i] < world->count && world->next[i] < best) {
            best = world->next[i];
            *trigger = i;
        }
    }
    return best != SIZE_MAX;
}

static enum turn_end feed_one(struct world *world, size_t trigger)
{
    size_t at = world->next[trigger];
    const struct world_record *record = &world->records[at];
    struct recipe_event event = {
        .id = {record->revision, place_of(world, trigger, at), 0},
        .time_ns = record->time_ns,
        .type = record->type,
        .cause = SLICE("put"),
        .key = record->key,
        .raw = record->value,
        .has_prev = record->has_prev,
        .prev = record->prev,
        .mod_revision = record->type & EVENT_PUT ? record->revision : 0,
        .depth = record->depth,
        .parent = record->parent};
    enum turn_end end = machine_event(world->machine, trigger, &event,
                                      &world->lookups, turn_of(world), NULL);
    if (end == TURN_TAKEN)
        world->next[trigger]++;
    return end;
}

enum turn_end world_feed(struct world *world)
{
    size_t trigger;
    while (find_event(world, &trigger)) {
        enum turn_end end = feed_one(world, trigger);
        if (end == TURN_WANTS)
            continue;
        if (end != TURN_TAKEN)
            return end;
    }
    return TURN_TAKEN;
}

/* One thing: an event, what is due, or a commit; false: nothing is left. */
static bool do_something(struct world *world)
{
    size_t trigger;
    enum turn_end end = TURN_TAKEN;
    bool did = false;
    if (find_event(world, &trigger)) {
        end = feed_one(world, trigger);
        did = true;
    } else if (machine_next_due(world->machine) <= world->now_ns) {
        end = machine_due(world->machine, world->now_ns, &world->lookups,
                          turn_of(world));
        did = true;
    }
    if (end == TURN_FULL) {
        assert_false(turn_is_empty(&world->turn));
        world_commit(world);
        return true;
    }
    bool commits = !world->prng || prng_below(world->prng, 3) == 0;
    if (!did && world->has_turn && !turn_is_empty(&world->turn)) {
        world_commit(world);
        return true;
    }
    /* Now and then a turn that has nothing in it: for its cursor. */
    bool is_cursor = world->prng && prng_below(world->prng, 8) == 0;
    if (did && end == TURN_TAKEN && world->prng && commits &&
        (is_cursor || !turn_is_empty(&world->turn)))
        world_commit(world);
    else if (did && happens(world))
        world_crash(world);
    return did;
}

void world_run(struct world *world)
{
    for (int i = 0; do_something(world); i++) {
        assert_true(i < 100000);
        if (world->has_stopped)
            break;
    }
    if (world->has_turn) {
        world->skipped += world->turn.skipped;
        end_turn(world);
    }
}

void world_advance(struct world *world, int64_t by_ns)
{
    world_run(world);
    world->now_ns += by_ns;
    world_run(world);
}

/* ---- outside ------------------------------------------------------------ */

bool world_send(struct world *world)
{
    const struct outside *outside;
    while (machine_next_outside(world->machine, world->now_ns, &outside)) {
        assert_true(world->out_count < WORLD_OUT_MAX);
        struct world_out *out = &world->outs[world->out_count++];
        *out = (struct world_out){.run = outside->run,
                                  .attempt = outside->attempt};
        memcpy(out->step, outside->step.at, outside->step.size);
        memcpy(out->key, outside->idempotency_key.at,
               outside->idempotency_key.size);
        assert_true(outside->request.size < sizeof out->request);
        memcpy(out->request, outside->request.at, outside->request.size);
        assert_int_equal(outside->parts->kind, VALUE_MAP);
        world->sent++;
    }
    return world->out_count > 0;
}

void world_answer(struct world *world, int status, const char *body)
{
    assert_true(world->out_count > 0);
    struct world_out out = world->outs[0];
    struct outside_answer answer = {.is_ok = status >= 200 && status < 300,
                                    .status = status,
                                    .error = SLICE(""),
                                    .headers = SLICE("{\"x-a\":\"b\"}"),
                                    .body = slice_str(body),
                                    .time_ns = world->now_ns};
    world->out_count--;
    memmove(world->outs, world->outs + 1,
            world->out_count * sizeof *world->outs);
    enum turn_end end;
    do {
        end = machine_answer(world->machine, &out.run, slice_str(out.step),
                             &answer, &world->lookups, turn_of(world));
        if (end == TURN_FULL)
            world_commit(world);
    } while (end != TURN_TAKEN);
    world_run(world);
}

/* ---- what is expected --------------------------------------------------- */

static void expect(struct buf *text, const char *expected)
{
    buf_append_char(text, '\0');
    assert_string_equal(text->at, expected);
    buf_reset(text);
}

void world_expect(struct world *world, const char *log)
{
    expect(&world->log, log);
}

void world_expect_runs(struct world *world, const char *runs)
{
    expect(&world->runs, runs);
}

bool world_has(const struct buf *text, const char *part)
{
    return text->size && memmem(text->at, text->size, part, strlen(part));
}

bool world_value_has(const struct world *world, struct slice key,
                     const char *part)
{
    const struct world_record *record = world_find(world, key, INT64_MAX);
    return record && record->value.size &&
           memmem(record->value.at, record->value.size, part, strlen(part));
}
