#include "recipe/test.h"

#include "base/check.h"
#include "base/time_text.h"
#include "recipe/test_int.h"

enum {
    /* Of one test: a recipe that feeds itself would go on for ever. */
    STEPS_MAX = 10000,
};
#define SECOND INT64_C(1000000000)
/* 2026-01-01T00:00:00Z, where the test doesn't say. */
#define BEGINNING (INT64_C(1767225600) * SECOND)

/* Something that the recipe did. */
struct deed {
    const char *kind;   /* as in `expect` */
    struct slice name;  /* the key, the step, the text */
    struct value value; /* of a put: as an ingredient; else the request */
};

struct world {
    const struct recipe *recipe;
    const struct zones *zones;
    struct arena arena;
    struct test_store store;
    struct machine *machine;
    int64_t now_ns;
    const struct doc_value *answers; /* by step */
    struct deed *deeds;
    size_t deed_count;
    size_t deed_capacity;
    int steps_left;
    unsigned depth; /* of the events that are made now */
};

static void note(struct world *world, const char *kind, struct slice name,
                 struct value value)
{
    if (world->deed_count == world->deed_capacity) {
        size_t capacity = world->deed_capacity ? 2 * world->deed_capacity : 16;
        struct deed *deeds =
            arena_alloc(&world->arena, capacity * sizeof(*deeds));
        if (world->deed_count > 0) {
            memcpy(deeds, world->deeds, world->deed_count * sizeof(*deeds));
        }
        world->deeds = deeds;
        world->deed_capacity = capacity;
    }
    struct slice kept =
        slice_of(arena_dup(&world->arena, name.at, name.size), name.size);
    world->deeds[world->deed_count++] =
        (struct deed){.kind = kind, .name = kept, .value = value};
}

static struct slice keep(struct world *world, struct slice text)
{
    return slice_of(arena_dup(&world->arena, text.at, text.size), text.size);
}

/* ---- events ------------------------------------------------------------- */

static void commit(struct world *world, struct turn *turn);

/* Gives the event to each trigger whose pattern has the key. */
static void tell(struct world *world, const struct recipe_event *event)
{
    const struct recipe *recipe = world->recipe;
    struct slice captures[PATTERN_CAPTURES_MAX];
    for (size_t i = 0; i < recipe->trigger_count; i++) {
        const struct trigger *trigger = &recipe->triggers[i];
        if (!pattern_matches(&trigger->pattern, event->key, captures)) {
            continue;
        }
        enum turn_end end = TURN_FULL;
        while (end != TURN_TAKEN && world->steps_left-- > 0) {
            struct turn turn;
            turn_init(&turn);
            end = machine_event(world->machine, i, event, &world->store.lookups,
                                &turn, NULL);
            CHECK(end != TURN_WANTS); /* this store knows everything */
            commit(world, &turn);
            turn_deinit(&turn);
        }
    }
}

static void put(struct world *world, struct slice key, struct slice value)
{
    const struct test_record *before =
        test_store__put(&world->store, key, value);
    const struct recipe_event event = {
        .id = {.revision = world->store.revision},
        .time_ns = world->now_ns,
        .type = before ? EVENT_UPDATE : EVENT_CREATE,
        .cause = SLICE("put"),
        .key = keep(world, key),
        .raw = keep(world, value),
        .has_prev = before != NULL,
        .prev = before ? before->value : (struct slice){0},
        .mod_revision = world->store.revision,
        .depth = world->depth,
    };
    tell(world, &event);
}

static void delete (struct world *world, struct slice key, bool by_lease)
{
    const struct test_record *before = test_store__delete(&world->store, key);
    if (before == NULL) {
        return;
    }
    const struct recipe_event event = {
        .id = {.revision = world->store.revision},
        .time_ns = world->now_ns,
        .type = by_lease ? EVENT_EXPIRE : EVENT_DELETE,
        .cause = by_lease ? SLICE("expire") : SLICE("deleteRange"),
        .key = keep(world, key),
        .has_prev = true,
        .prev = before->value,
        .depth = world->depth,
    };
    tell(world, &event);
}

/* ---- what a turn did ---------------------------------------------------- */

static bool is_of_machine(struct slice key)
{
    return slice_has_prefix(key, SLICE(RECIPES_PREFIX));
}

static void note_put(struct world *world,
                     const struct turn_operation *operation)
{
    enum recipe_key kind;
    struct slice name;
    struct slice rest;
    struct value value =
        value_from_text(&world->arena, keep(world, operation->value));
    if (!is_of_machine(operation->key)) {
        note(world, "put", operation->key, value);
    } else if (recipe_key_read(operation->key, &kind, &name, &rest) &&
               kind == RECIPE_KEY_IN && !slice_eq(name, world->recipe->name)) {
        note(world, "call", name, value);
    }
}

static void do_operation(struct world *world,
                         const struct turn_operation *operation);

static void do_txn(struct world *world, const struct turn_txn *txn)
{
    bool holds = true;
    for (size_t i = 0; i < txn->compare_count; i++) {
        holds = holds && test_store__compare(&world->store, &txn->compares[i]);
    }
    const struct turn_operation *operations =
        holds ? txn->then : txn->otherwise;
    size_t count = holds ? txn->then_count : txn->otherwise_count;
    for (size_t i = 0; i < count; i++) {
        do_operation(world, &operations[i]);
    }
}

static void delete_range(struct world *world,
                         const struct turn_operation *operation)
{
    const struct test_record *record;
    struct slice at = operation->key;
    bool is_users = !is_of_machine(at);
    if (is_users) {
        note(world, "delete", at, (struct value){.kind = VALUE_NULL});
    }
    if (operation->end.size == 0) {
        if (is_users) {
            delete (world, at, false);
        } else {
            (void)test_store__delete(&world->store, at);
        }
        return;
    }
    while ((record = test_store__next(&world->store, at, operation->end)) !=
           NULL) {
        at = record->key;
        delete (world, at, false);
    }
}

static void do_operation(struct world *world,
                         const struct turn_operation *operation)
{
    switch (operation->kind) {
    case TURN_PUT:
        note_put(world, operation);
        if (is_of_machine(operation->key)) {
            (void)test_store__put(&world->store, operation->key,
                                  operation->value);
        } else {
            put(world, operation->key, operation->value);
        }
        break;
    case TURN_DELETE:
        delete_range(world, operation);
        break;
    case TURN_TXN:
        do_txn(world, operation->txn);
        break;
    }
}

static void note_runs(struct world *world, const struct turn *turn)
{
    for (size_t i = 0; i < turn->run_count; i++) {
        const struct turn_run *run = &turn->runs[i];
        if (run->status != RUN_FAILED) {
            continue;
        }
        struct value record =
            value_from_text(&world->arena, keep(world, run->record));
        const struct value *error = value_member(&record, SLICE("error"));
        note(world, "failed",
             error != NULL && error->kind == VALUE_STRING ? error->text
                                                          : SLICE("failed"),
             (struct value){.kind = VALUE_NULL});
    }
}

/* "warn the message": the level isn't compared. */
static void note_logs(struct world *world, const struct turn *turn)
{
    for (size_t i = 0; i < turn->log_count; i++) {
        struct slice text = turn->logs[i];
        ptrdiff_t space = slice_find(text, ' ');
        if (space >= 0) {
            text.at += space + 1;
            text.size -= (size_t)space + 1;
        }
        note(world, "log", text, (struct value){.kind = VALUE_NULL});
    }
}

/* Effects of one turn are one revision; what they set off is seen after. */
static void commit(struct world *world, struct turn *turn)
{
    unsigned depth = world->depth;
    if (turn_is_empty(turn)) {
        return;
    }
    for (size_t i = 0; i < turn->guard_count; i++) {
        CHECK(test_store__compare(&world->store, &turn->guards[i]));
    }
    world->store.revision++;
    world->depth = (turn->has_depth ? turn->depth : 0) + 1;
    note_runs(world, turn);
    note_logs(world, turn);
    for (size_t i = 0; i < turn->count; i++) {
        do_operation(world, &turn->operations[i]);
    }
    if (turn->tripped) {
        note(world, "failed", turn->stop, (struct value){.kind = VALUE_NULL});
    }
    world->depth = depth;
}

/* ---- actions outside, and time ------------------------------------------ */

/* 200 and nothing, or what the test has it answer. */
static struct outside_answer answer_of(struct world *world, struct slice step)
{
    struct outside_answer answer = {.is_final = true,
                                    .is_ok = true,
                                    .status = 200,
                                    .time_ns = world->now_ns};
    char *name = arena_printf(&world->arena, "%.*s", (int)step.size, step.at);
    const struct doc_value *given =
        world->answers ? doc_get(world->answers, name) : NULL;
    if (given == NULL) {
        return answer;
    }
    const struct doc_value *status = doc_get(given, "status");
    const struct doc_value *body = doc_get(given, "body");
    if (status != NULL && status->kind == DOC_INT) {
        answer.status = (int)status->integer;
        answer.is_ok = answer.status >= 200 && answer.status < 300;
        answer.is_final =
            answer.is_ok || (answer.status < 500 && answer.status != 408 &&
                             answer.status != 425 && answer.status != 429);
    }
    if (body != NULL) {
        struct buf text = {0};
        struct value value = value_from_doc(&world->arena, body);
        value_write_text(&text, &value);
        answer.body = keep(world, buf_slice(&text));
        buf_deinit(&text);
    }
    return answer;
}

static const char *outside_kind(enum action_kind kind)
{
    CHECK(action_is_outside(kind) && kind != ACTION_WAIT);
    return kind == ACTION_HTTP    ? "http"
           : kind == ACTION_EMAIL ? "email"
                                  : "exec";
}

/* All that may go out now. */
static void act(struct world *world)
{
    const struct outside *outside;
    while (world->steps_left-- > 0 &&
           machine_next_outside(world->machine, world->now_ns, &outside)) {
        struct run_id run = outside->run;
        struct slice step = keep(world, outside->step);
        if (outside->attempt == 0) {
            note(world, outside_kind(outside->kind), step,
                 value_from_text(&world->arena, keep(world, outside->request)));
        }
        const struct outside_answer answer = answer_of(world, step);
        enum turn_end end = TURN_FULL;
        while (end != TURN_TAKEN && world->steps_left-- > 0) {
            struct turn turn;
            turn_init(&turn);
            end = machine_answer(world->machine, &run, step, &answer,
                                 &world->store.lookups, &turn);
            commit(world, &turn);
            turn_deinit(&turn);
        }
    }
}

static void do_due(struct world *world)
{
    enum turn_end end = TURN_FULL;
    while (world->steps_left-- > 0 &&
           (end != TURN_TAKEN ||
            machine_next_due(world->machine) <= world->now_ns)) {
        struct turn turn;
        turn_init(&turn);
        end = machine_due(world->machine, world->now_ns, &world->store.lookups,
                          &turn);
        commit(world, &turn);
        turn_deinit(&turn);
    }
}

/* An entry of the inbox, as the runner would make it. */
static void arrive(struct world *world, size_t trigger, struct slice id,
                   const char *json)
{
    const struct trigger *at = &world->recipe->triggers[trigger];
    struct buf rest = {0};
    struct buf key = {0};
    if (at->kind == TRIGGER_CALL) {
        buf_append_str(&rest, "call");
    } else {
        buf_append_u64(&rest, trigger);
    }
    buf_append_char(&rest, '/');
    buf_append_slice(&rest, id);
    struct slice text = buf_slice(&rest);
    recipe_key_write(&key, RECIPE_KEY_IN, world->recipe->name, &text);
    world->store.revision++;
    put(world, buf_slice(&key), slice_str(json));
    buf_deinit(&rest);
    buf_deinit(&key);
}

static void tick(struct world *world, size_t trigger, int64_t scheduled_ns)
{
    char text[TIME_TEXT_BYTES_MAX];
    size_t size = time_to_rfc3339(scheduled_ns, text);
    char *json = arena_printf(&world->arena,
                              "{\"time\":\"%.*s\",\"scheduled\":\"%.*s\"}",
                              (int)size, text, (int)size, text);
    arrive(world, trigger, slice_of(text, size), json);
}

static bool is_clock(const struct trigger *trigger)
{
    return trigger->kind == TRIGGER_EVERY || trigger->kind == TRIGGER_CRON ||
           trigger->kind == TRIGGER_AT;
}

/* The next that a clock trigger fires after `after_ns`. */
static int64_t next_tick(const struct world *world, int64_t after_ns,
                         size_t *trigger)
{
    int64_t best = INT64_MAX;
    for (size_t i = 0; i < world->recipe->trigger_count; i++) {
        const struct trigger *at = &world->recipe->triggers[i];
        int64_t next =
            is_clock(at) ? schedule_next(&at->schedule, after_ns) : INT64_MAX;
        if (next < best) {
            best = next;
            *trigger = i;
        }
    }
    return best;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Time goes from one thing that is due to the next. */
static void advance(struct world *world, int64_t until_ns)
{
    while (world->steps_left-- > 0) {
        size_t trigger = 0;
        int64_t clock = next_tick(world, world->now_ns, &trigger);
        int64_t due = least(machine_next_due(world->machine),
                            machine_next_outside_at(world->machine));
        int64_t next = least(clock, due);
        if (next > until_ns) {
            break;
        }
        world->now_ns = next > world->now_ns ? next : world->now_ns;
        do_due(world);
        if (clock == next) {
            tick(world, trigger, clock);
        }
        act(world);
    }
    world->now_ns = until_ns;
}

/* ---- given -------------------------------------------------------------- */

static struct slice text_of(struct world *world, const struct doc_value *doc)
{
    if (doc == NULL) {
        return (struct slice){0};
    }
    struct value value = value_from_doc(&world->arena, doc);
    struct buf text = {0};
    value_write_text(&text, &value);
    struct slice kept = keep(world, buf_slice(&text));
    buf_deinit(&text);
    return kept;
}

static size_t find_trigger(const struct world *world, unsigned kinds)
{
    for (size_t i = 0; i < world->recipe->trigger_count; i++) {
        if (kinds & 1u << world->recipe->triggers[i].kind) {
            return i;
        }
    }
    return world->recipe->trigger_count - 1;
}

static void give_tick(struct world *world, const struct doc_value *doc)
{
    size_t trigger = find_trigger(
        world, 1u << TRIGGER_EVERY | 1u << TRIGGER_CRON | 1u << TRIGGER_AT);
    if (doc->kind == DOC_INT && doc->integer >= 0 &&
        (size_t)doc->integer < world->recipe->trigger_count) {
        trigger = (size_t)doc->integer;
    }
    tick(world, trigger, world->now_ns);
}

static void give_webhook(struct world *world, const struct doc_value *doc)
{
    const struct doc_value *path = doc_get(doc, "path");
    size_t trigger = find_trigger(world, 1u << TRIGGER_WEBHOOK);
    for (size_t i = 0; path && i < world->recipe->trigger_count; i++) {
        const struct trigger *at = &world->recipe->triggers[i];
        if (at->kind == TRIGGER_WEBHOOK && slice_eq(at->hook.path, path->text))
            trigger = i;
    }
    struct buf json = {0};
    const struct doc_value *body = doc_get(doc, "body");
    const struct doc_value *headers = doc_get(doc, "headers");
    struct value value;
    buf_append_str(&json, "{\"body\":");
    value = body ? value_from_doc(&world->arena, body)
                 : (struct value){.kind = VALUE_NULL};
    value_write_json(&json, &value);
    buf_append_str(&json, ",\"headers\":");
    if (headers != NULL) {
        value = value_from_doc(&world->arena, headers);
        value_write_json(&json, &value);
    } else {
        buf_append_str(&json, "{}");
    }
    buf_append_str(&json, "}");
    buf_append_char(&json, 0);
    arrive(
        world, trigger,
        slice_str(arena_printf(&world->arena, "hook%zu", world->store.count)),
        json.at);
    buf_deinit(&json);
}

/* One thing under a name: {"item": ...}, {"args": ...}. */
static void give_under(struct world *world, size_t trigger, const char *name,
                       const struct doc_value *doc)
{
    struct buf json = {0};
    struct value value = value_from_doc(&world->arena, doc);
    buf_printf(&json, "{\"%s\":", name);
    value_write_json(&json, &value);
    buf_append_str(&json, "}");
    buf_append_char(&json, 0);
    arrive(world, trigger,
           slice_str(
               arena_printf(&world->arena, "%s%zu", name, world->store.count)),
           json.at);
    buf_deinit(&json);
}

static void give_put(struct world *world, const struct doc_value *doc)
{
    world->store.revision++;
    put(world, doc_get(doc, "key")->text,
        text_of(world, doc_get(doc, "value")));
}

static void give_advance(struct world *world, const struct doc_value *doc)
{
    int64_t span = 0;
    CHECK(recipe_duration(doc->text, &span)); /* recipe_parse has read it */
    advance(world, world->now_ns + span);
}

/* The test's beginning; later on, time passes until then. */
static void give_at(struct world *world, const struct doc_value *doc)
{
    int64_t at = 0;
    CHECK(time_from_rfc3339(doc->text, &at));
    if (world->store.count == 0) {
        world->now_ns = at;
    } else if (at > world->now_ns) {
        advance(world, at);
    }
}

static void give(struct world *world, const struct doc_value *row)
{
    struct slice name = row->members[0].name;
    const struct doc_value *doc = row->members[0].value;
    if (slice_eq(name, SLICE("put"))) {
        give_put(world, doc);
    } else if (slice_eq(name, SLICE("delete")) ||
               slice_eq(name, SLICE("expire"))) {
        world->store.revision++;
        delete (world, doc->text, name.at[0] == 'e');
    } else if (slice_eq(name, SLICE("advance"))) {
        give_advance(world, doc);
    } else if (slice_eq(name, SLICE("at"))) {
        give_at(world, doc);
    } else if (slice_eq(name, SLICE("tick"))) {
        give_tick(world, doc);
    } else if (slice_eq(name, SLICE("webhook"))) {
        give_webhook(world, doc);
    } else if (slice_eq(name, SLICE("item"))) {
        give_under(world,
                   find_trigger(world, 1u << TRIGGER_FEED | 1u << TRIGGER_POLL),
                   "item", doc);
    } else if (slice_eq(name, SLICE("run"))) {
        give_under(world, world->recipe->trigger_count - 1, "args",
                   doc_get(doc, "args") ? doc_get(doc, "args") : doc);
    } else {
        world->answers = doc;
    }
    act(world);
    do_due(world);
    act(world);
}

/* ---- expect ------------------------------------------------------------- */

/* What is expected of a value is in it: maps may have more members. */
static bool has_at_least(const struct value *seen, const struct value *wanted)
{
    if (wanted->kind != VALUE_MAP || seen->kind != VALUE_MAP) {
        return value_equals(seen, wanted);
    }
    for (size_t i = 0; i < wanted->map->count; i++) {
        const struct value *member =
            value_member(seen, wanted->map->keys[i].text);
        if (member == NULL || !has_at_least(member, &wanted->map->values[i])) {
            return false;
        }
    }
    return true;
}

/* A put's value: as it would be read, so '{"a": 1}' and {a: 1} are the same,
 * and "1" the number that its bytes are. */
static struct value as_stored(struct world *world, const struct doc_value *doc)
{
    return value_from_text(&world->arena, text_of(world, doc));
}

static bool is_seen(struct world *world, const struct deed *deed,
                    const struct doc_value *row)
{
    if (!slice_eq(row->members[0].name, slice_str(deed->kind)) ||
        !slice_eq(row->members[0].value->text, deed->name)) {
        return false;
    }
    for (size_t i = 1; i < row->count; i++) {
        const struct doc_member *member = &row->members[i];
        const struct value *seen = &deed->value;
        struct value wanted;
        if (slice_eq(member->name, SLICE("value"))) {
            wanted = as_stored(world, member->value);
        } else if (slice_eq(member->name, SLICE("ttl"))) {
            continue; /* this store's keys have none */
        } else {
            seen = value_member(&deed->value, member->name);
            wanted = value_from_doc(&world->arena, member->value);
        }
        if (seen == NULL || !has_at_least(seen, &wanted)) {
            return false;
        }
    }
    return true;
}

static void write_deed(struct buf *out, const struct deed *deed)
{
    buf_printf(out, "%s %.*s", deed->kind, (int)deed->name.size, deed->name.at);
    if (deed->value.kind != VALUE_NULL) {
        buf_append_char(out, ' ');
        value_write_json(out, &deed->value);
    }
}

static void write_expected(struct world *world, struct buf *out,
                           const struct doc_value *row)
{
    struct value value;
    const struct doc_member *first = &row->members[0];
    buf_printf(out, "%.*s %.*s", (int)first->name.size, first->name.at,
               (int)first->value->text.size, first->value->text.at);
    for (size_t i = 1; i < row->count; i++) {
        buf_printf(out, "%s%.*s ", i > 1 ? ", " : " with ",
                   (int)row->members[i].name.size, row->members[i].name.at);
        value = value_from_doc(&world->arena, row->members[i].value);
        value_write_json(out, &value);
    }
}

/* Logs are written beside the store: they have an order of their own. A
 * failure that is dealt with need not be expected. */
enum lane { LANE_DEEDS, LANE_LOGS, LANE_FAILURES, LANE_COUNT };
static enum lane lane_of(struct slice kind)
{
    return slice_eq(kind, SLICE("log"))      ? LANE_LOGS
           : slice_eq(kind, SLICE("failed")) ? LANE_FAILURES
                                             : LANE_DEEDS;
}

static const struct deed *next_deed(const struct world *world, enum lane lane,
                                    size_t *at)
{
    while (*at < world->deed_count) {
        const struct deed *deed = &world->deeds[(*at)++];
        if (lane_of(slice_str(deed->kind)) == lane) {
            return deed;
        }
    }
    return NULL;
}

static const struct doc_value *next_row(const struct doc_value *rows,
                                        enum lane lane, size_t *at)
{
    while (*at < rows->count) {
        const struct doc_value *row = rows->items[(*at)++];
        if (lane_of(row->members[0].name) == lane) {
            return row;
        }
    }
    return NULL;
}

static bool lane_is_as_expected(struct world *world,
                                const struct doc_value *rows, enum lane lane,
                                struct buf *why)
{
    size_t deed_at = 0;
    size_t row_at = 0;
    for (;;) {
        const struct doc_value *row = next_row(rows, lane, &row_at);
        const struct deed *deed = next_deed(world, lane, &deed_at);
        bool may_fail = lane == LANE_FAILURES &&
                        world->recipe->on_failure_count > 0 && row == NULL;
        if ((row == NULL && deed == NULL) || may_fail) {
            return true;
        }
        if (row != NULL && deed != NULL && is_seen(world, deed, row)) {
            continue;
        }
        buf_append_str(why, "expected ");
        if (row != NULL) {
            write_expected(world, why, row);
        } else {
            buf_append_str(why, "nothing more");
        }
        buf_append_str(why, ", saw ");
        if (deed != NULL) {
            write_deed(why, deed);
        } else {
            buf_append_str(why, "nothing");
        }
        return false;
    }
}

/* ---- the whole ---------------------------------------------------------- */

static void open_world(struct world *world, const struct recipe *recipe,
                       const struct zones *zones)
{
    const struct machine_config config = {
        .recipe = recipe, .uid = 1, .zones = zones, .seed = 1};
    *world = (struct world){.recipe = recipe,
                            .zones = zones,
                            .now_ns = BEGINNING,
                            .steps_left = STEPS_MAX};
    arena_init(&world->arena, 0);
    test_store__init(&world->store, &world->arena);
    world->machine = machine_new(&config);
    enum err err = machine_load_cursor(world->machine, (struct slice){0}, 0);
    CHECK(err == ERR_OK);
}

static void close_world(struct world *world)
{
    machine_free(world->machine);
    arena_deinit(&world->arena);
}

static bool run_test(const struct recipe *recipe, const struct zones *zones,
                     const struct doc_value *test, struct buf *why)
{
    struct world world;
    const struct doc_value *given = doc_get(test, "given");
    const struct doc_value *expect = doc_get(test, "expect");
    bool is_fine = true;
    open_world(&world, recipe, zones);
    for (size_t i = 0; i < given->count; i++) {
        give(&world, given->items[i]);
    }
    if (world.steps_left <= 0) {
        buf_printf(why, "it didn't come to an end after %d steps", STEPS_MAX);
        is_fine = false;
    }
    for (int lane = 0; lane < LANE_COUNT && is_fine; lane++) {
        is_fine = lane_is_as_expected(&world, expect, (enum lane)lane, why);
    }
    close_world(&world);
    return is_fine;
}

struct recipe_test_result recipe_test(const struct recipe *recipe,
                                      const struct zones *zones,
                                      struct buf *out)
{
    struct recipe_test_result result = {0};
    size_t count = recipe->tests ? recipe->tests->count : 0;
    for (size_t i = 0; i < count; i++) {
        const struct doc_value *test = recipe->tests->items[i];
        const struct doc_value *name = doc_get(test, "name");
        struct buf why = {0};
        if (run_test(recipe, zones, test, &why)) {
            result.passed++;
        } else {
            result.failed++;
            buf_printf(out, "test %zu", i + 1);
            if (name != NULL) {
                buf_printf(out, " (%.*s)", (int)name->text.size, name->text.at);
            }
            buf_printf(out, ": %.*s\n", (int)why.size, why.at);
        }
        buf_deinit(&why);
    }
    return result;
}
