#include "base/check.h"
#include "recipe/test_int.h"

#define SECOND INT64_C(1000000000)
/* 2026-01-01T00:00:00Z, where the test doesn't say. */
#define BEGINNING (INT64_C(1767225600) * SECOND)

void test_world__open(struct test_world *world, const struct recipe *recipe,
                      const struct zones *zones)
{
    *world = (struct test_world){.zones = zones, .now_ns = BEGINNING};
    world->recipe = *recipe;
    world->recipe.shadow = false; /* a test shows what it would do */
    world->last = &world->first;
    arena_init(&world->arena, 0);
    test_store__init(&world->store, &world->arena);
    const struct machine_config config = {
        .recipe = &world->recipe, .uid = 1, .zones = zones, .seed = 1};
    world->machine = machine_new(&config);
    enum err err = machine_load_cursor(world->machine, (struct slice){0}, 0);
    CHECK(err == ERR_OK);
    CHECK(recipe->trigger_count <= RECIPE_TRIGGERS_MAX + 1);
}

void test_world__close(struct test_world *world)
{
    machine_free(world->machine);
    arena_deinit(&world->arena);
}

struct slice test_world__keep(struct test_world *world, struct slice text)
{
    return slice_of(arena_dup(&world->arena, text.at, text.size), text.size);
}

struct slice test_world__text(struct test_world *world,
                              const struct doc_value *doc)
{
    if (doc == NULL) {
        return SLICE("");
    }
    struct value value = value_from_doc(&world->arena, doc);
    struct buf text = {0};
    value_write_text(&text, &value);
    struct slice kept = test_world__keep(world, buf_slice(&text));
    buf_deinit(&text);
    return kept;
}

/* ---- deeds --------------------------------------------------------------- */

static struct test_deed *note(struct test_world *world, const char *kind,
                              struct slice name)
{
    if (world->deed_count == world->deed_capacity) {
        size_t capacity = world->deed_capacity ? 2 * world->deed_capacity : 16;
        struct test_deed *deeds =
            arena_alloc(&world->arena, capacity * sizeof(*deeds));
        if (world->deed_count > 0) {
            memcpy(deeds, world->deeds, world->deed_count * sizeof(*deeds));
        }
        world->deeds = deeds;
        world->deed_capacity = capacity;
    }
    struct test_deed *deed = &world->deeds[world->deed_count++];
    *deed = (struct test_deed){.kind = kind,
                               .name = test_world__keep(world, name),
                               .value = {.kind = VALUE_NULL}};
    return deed;
}

static bool is_of_machine(struct slice key)
{
    return slice_has_prefix(key, SLICE(RECIPES_PREFIX));
}

/* The recipe whose inbox the key is in. */
static bool inbox_of(struct slice key, struct slice *name)
{
    enum recipe_key kind;
    struct slice rest;
    return recipe_key_read(key, &kind, name, &rest) && kind == RECIPE_KEY_IN;
}

static void note_put(struct test_world *world,
                     const struct turn_operation *operation)
{
    struct slice name;
    const char *kind = "put";
    if (is_of_machine(operation->key)) {
        if (!inbox_of(operation->key, &name)) {
            return;
        }
        kind = "call";
    } else {
        name = operation->key;
    }
    struct test_deed *deed = note(world, kind, name);
    deed->value = value_from_text(&world->arena,
                                  test_world__keep(world, operation->value));
    deed->ttl_ns = operation->ttl_ns;
}

static void note_runs(struct test_world *world, const struct turn *turn)
{
    for (size_t i = 0; i < turn->run_count; i++) {
        const struct turn_run *run = &turn->runs[i];
        if (run->status != RUN_FAILED) {
            continue;
        }
        struct value record = value_from_text(
            &world->arena, test_world__keep(world, run->record));
        const struct value *error = value_member(&record, SLICE("error"));
        (void)note(world, "failed",
                   error != NULL && error->kind == VALUE_STRING
                       ? error->text
                       : SLICE("failed"));
    }
}

/* "warn the message": the level isn't compared. */
static void note_logs(struct test_world *world, const struct turn *turn)
{
    for (size_t i = 0; i < turn->log_count; i++) {
        struct slice text = turn->logs[i];
        ptrdiff_t space = slice_find(text, ' ');
        if (space >= 0) {
            text.at += space + 1;
            text.size -= (size_t)space + 1;
        }
        (void)note(world, "log", text);
    }
}

/* ---- changes of the store ------------------------------------------------ */

/* Told later: all of a revision is in the store before any of it is seen. */
static void queue(struct test_world *world, const struct recipe_event *event)
{
    struct test_event *later = arena_alloc(&world->arena, sizeof(*later));
    *later = (struct test_event){.event = *event};
    *world->last = later;
    world->last = &later->next;
}

static void put(struct test_world *world, struct slice key, struct slice value,
                int64_t ttl_ns)
{
    const struct test_record *before =
        test_store__put(&world->store, key, value,
                        ttl_ns > 0 && ttl_ns < INT64_MAX - world->now_ns
                            ? world->now_ns + ttl_ns
                            : INT64_MAX);
    const struct recipe_event event = {
        .id = {.revision = world->store.revision},
        .time_ns = world->now_ns,
        .type = before ? EVENT_UPDATE : EVENT_CREATE,
        .cause = SLICE("put"),
        .key = test_world__keep(world, key),
        .raw = test_world__keep(world, value),
        .has_prev = before != NULL,
        .prev = before ? before->value : (struct slice){0},
        .mod_revision = world->store.revision,
        .depth = world->depth,
    };
    queue(world, &event);
}

static void take_away(struct test_world *world, struct slice key, bool by_lease)
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
        .key = before->key,
        .raw = SLICE(""),
        .has_prev = true,
        .prev = before->value,
        .depth = world->depth,
    };
    queue(world, &event);
}

void test_world__put(struct test_world *world, struct slice key,
                     struct slice value)
{
    world->store.revision++;
    put(world, key, value, 0);
}

void test_world__delete(struct test_world *world, struct slice key,
                        bool by_lease)
{
    if (test_store__get(&world->store, key, world->store.revision) != NULL) {
        world->store.revision++;
        take_away(world, key, by_lease);
    }
}

/* ---- what a turn did ----------------------------------------------------- */

static void do_operation(struct test_world *world,
                         const struct turn_operation *operation);

static void do_txn(struct test_world *world, const struct turn_txn *txn)
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

static void delete_range(struct test_world *world,
                         const struct turn_operation *operation)
{
    if (!is_of_machine(operation->key)) {
        (void)note(world, "delete", operation->key);
    }
    if (operation->end.size == 0) {
        take_away(world, operation->key, false);
        return;
    }
    const struct test_record *record;
    while ((record = test_store__next(&world->store, operation->key,
                                      operation->end)) != NULL) {
        take_away(world, record->key, false);
    }
}

static void do_operation(struct test_world *world,
                         const struct turn_operation *operation)
{
    switch (operation->kind) {
    case TURN_PUT:
        note_put(world, operation);
        put(world, operation->key, operation->value, operation->ttl_ns);
        break;
    case TURN_DELETE:
        delete_range(world, operation);
        break;
    case TURN_TXN:
        do_txn(world, operation->txn);
        break;
    }
}

/* Effects of one turn are one revision. */
static void commit(struct test_world *world, const struct turn *turn)
{
    for (size_t i = 0; i < turn->guard_count; i++) {
        CHECK(test_store__compare(&world->store, &turn->guards[i]));
    }
    if (turn->count > 0) {
        world->store.revision++;
    }
    world->depth = (turn->has_depth ? turn->depth : 0) + 1;
    note_runs(world, turn);
    note_logs(world, turn);
    for (size_t i = 0; i < turn->count; i++) {
        do_operation(world, &turn->operations[i]);
    }
    if (turn->tripped) {
        (void)note(world, "failed", turn->stop);
    }
    world->depth = 0;
}

/* ---- the machine is told ------------------------------------------------- */

static void tell_trigger(struct test_world *world, size_t trigger,
                         struct recipe_event *event)
{
    if (world->revisions[trigger] != event->id.revision) {
        world->revisions[trigger] = event->id.revision;
        world->places[trigger] = 0;
    }
    event->id.place = world->places[trigger]++;
    enum turn_end end = TURN_FULL;
    while (end != TURN_TAKEN && world->steps_left-- > 0) {
        struct turn turn;
        turn_init(&turn);
        end = machine_event(world->machine, trigger, event,
                            &world->store.lookups, &turn, NULL);
        CHECK(end != TURN_WANTS); /* this store knows everything */
        commit(world, &turn);
        turn_deinit(&turn);
    }
}

/* All that is queued, to each trigger whose pattern has the key. False: there
 * was nothing. */
static bool tell(struct test_world *world)
{
    bool has_told = false;
    while (world->first != NULL) {
        struct test_event *queued = world->first;
        world->first = queued->next;
        if (world->first == NULL) {
            world->last = &world->first;
        }
        has_told = true;
        for (size_t i = 0; i < world->recipe.trigger_count; i++) {
            struct slice captures[PATTERN_CAPTURES_MAX];
            if (pattern_matches(&world->recipe.triggers[i].pattern,
                                queued->event.key, captures)) {
                tell_trigger(world, i, &queued->event);
            }
        }
    }
    return has_told;
}

/* 200 and nothing, or what the test has it answer. */
static struct outside_answer answer_of(struct test_world *world,
                                       struct slice step)
{
    struct outside_answer answer = {.is_final = true,
                                    .is_ok = true,
                                    .status = 200,
                                    .error = SLICE(""),
                                    .headers = SLICE("{}"),
                                    .body = SLICE(""),
                                    .time_ns = world->now_ns};
    char *name = arena_printf(&world->arena, "%.*s", (int)step.size, step.at);
    const struct doc_value *given =
        world->answers ? doc_get(world->answers, name) : NULL;
    if (given == NULL) {
        return answer;
    }
    const struct doc_value *status = doc_get(given, "status");
    if (status != NULL && status->kind == DOC_INT) {
        answer.status = (int)status->integer;
        answer.is_ok = answer.status >= 200 && answer.status < 300;
        answer.is_final =
            answer.is_ok || (answer.status < 500 && answer.status != 408 &&
                             answer.status != 425 && answer.status != 429);
    }
    answer.body = test_world__text(world, doc_get(given, "body"));
    return answer;
}

static const char *outside_kind(enum action_kind kind)
{
    CHECK(action_is_outside(kind) && kind != ACTION_WAIT);
    return kind == ACTION_HTTP    ? "http"
           : kind == ACTION_EMAIL ? "email"
                                  : "exec";
}

static void answer(struct test_world *world, const struct outside *outside)
{
    struct run_id run = outside->run;
    struct slice step = test_world__keep(world, outside->step);
    if (outside->attempt == 0) {
        struct test_deed *deed = note(world, outside_kind(outside->kind), step);
        deed->value = value_from_text(
            &world->arena, test_world__keep(world, outside->request));
    }
    const struct outside_answer given = answer_of(world, step);
    enum turn_end end = TURN_FULL;
    while (end != TURN_TAKEN && world->steps_left-- > 0) {
        struct turn turn;
        turn_init(&turn);
        end = machine_answer(world->machine, &run, step, &given,
                             &world->store.lookups, &turn);
        CHECK(end != TURN_WANTS);
        commit(world, &turn);
        turn_deinit(&turn);
    }
}

/* All that may go out now. False: nothing may. */
static bool act(struct test_world *world)
{
    bool has_acted = false;
    const struct outside *outside;
    while (world->steps_left-- > 0 &&
           machine_next_outside(world->machine, world->now_ns, &outside)) {
        answer(world, outside);
        has_acted = true;
    }
    return has_acted;
}

static bool do_due(struct test_world *world)
{
    bool has_done = false;
    enum turn_end end = TURN_FULL;
    while (world->steps_left-- > 0 &&
           machine_next_due(world->machine) <= world->now_ns) {
        struct turn turn;
        turn_init(&turn);
        end = machine_due(world->machine, world->now_ns, &world->store.lookups,
                          &turn);
        CHECK(end != TURN_WANTS);
        commit(world, &turn);
        turn_deinit(&turn);
        has_done = true;
    }
    return has_done;
}

void test_world__settle(struct test_world *world)
{
    bool goes_on = true;
    while (goes_on && world->steps_left > 0) {
        goes_on = tell(world);
        goes_on = act(world) || goes_on;
        /* What is due is decided once all that came before has been seen. */
        goes_on = goes_on || do_due(world);
    }
}
