/* A machine: made, loaded from the store, asked where it is. */
#include "base/check.h"
#include "base/crc.h"
#include "base/prng.h"
#include "recipe/machine_int.h"

struct stale {
    struct list node;
    struct slice key;
};

static struct slice memo_key(const void *value)
{
    return ((const struct memo *)value)->key;
}

static struct slice scope_name(const void *value)
{
    return ((const struct scope *)value)->name;
}

/* ---- making it ---------------------------------------------------------- */

static uint32_t tag_number(const struct trigger *trigger)
{
    char kind = (char)trigger->kind;
    uint32_t crc = crc32c(0, &kind, 1);
    return crc32c(crc, trigger->pattern.text.at, trigger->pattern.text.size);
}

/* A trigger is known by its kind and by what it watches; where there are
 * several such by their order. */
static void make_tags(struct machine *machine)
{
    const struct recipe *recipe = machine->recipe;
    machine->tags = arena_alloc(&machine->arena,
                                recipe->trigger_count * sizeof(struct slice));
    for (size_t i = 0; i < recipe->trigger_count; i++) {
        uint32_t number = tag_number(&recipe->triggers[i]);
        unsigned same = 0;
        for (size_t j = 0; j < i; j++)
            same += tag_number(&recipe->triggers[j]) == number;
        const char *tag =
            same ? arena_printf(&machine->arena, "%08x-%u", number, same)
                 : arena_printf(&machine->arena, "%08x", number);
        machine->tags[i] = slice_str(tag);
    }
}

static void init_lists(struct machine *machine, uint64_t seed)
{
    size_t count = machine->recipe->trigger_count;
    map_init(&machine->memos, memo_key, seed);
    map_init(&machine->scopes, scope_name, seed);
    machine->due =
        arena_alloc(&machine->arena, (count + 1) * sizeof *machine->due);
    for (size_t i = 0; i <= count; i++)
        heap_init(&machine->due[i]);
    heap_init(&machine->expiry);
    heap_init(&machine->outs);
    list_init(&machine->dirty);
    list_init(&machine->actives);
    list_init(&machine->gone);
    list_init(&machine->stale);
}

struct machine *machine_new(const struct machine_config *config)
{
    const struct recipe *recipe = config->recipe;
    struct machine *machine = mem_alloc_zero(sizeof *machine);
    struct prng prng;
    machine->config = *config;
    machine->recipe = recipe;
    machine->next_sequence = 1;
    arena_init(&machine->arena, 0);
    arena_init(&machine->scratch, 0);
    prng_init(&prng, config->seed);
    init_lists(machine, prng_next(&prng));
    uint64_t nonce[2] = {prng_next(&prng), prng_next(&prng)};
    _Static_assert(sizeof nonce == sizeof machine->nonce, "all of it");
    memcpy(machine->nonce, nonce, sizeof nonce);
    for (size_t i = 0; i < sizeof machine->nonce; i++)
        machine->nonce[i] = (char)('a' + (machine->nonce[i] & 15));
    machine->positions = arena_alloc(
        &machine->arena, recipe->trigger_count * sizeof *machine->positions);
    memset(machine->positions, 0,
           recipe->trigger_count * sizeof *machine->positions);
    make_tags(machine);
    machine->reads_value = reads__slot(recipe, INGREDIENT_VALUE) ||
                           reads__slot(recipe, INGREDIENT_RAW) ||
                           reads__slot(recipe, INGREDIENT_ITEM) ||
                           reads__slot(recipe, INGREDIENT_BODY) ||
                           reads__slot(recipe, INGREDIENT_HEADERS) ||
                           reads__slot(recipe, INGREDIENT_ARGS);
    machine->reads_prev = reads__slot(recipe, INGREDIENT_PREV);
    machine->reads_steps = reads__slot(recipe, INGREDIENT_STEPS);
    return machine;
}

static void free_memos(struct machine *machine)
{
    struct memo **all = mem_alloc((machine->memos.count + 1) * sizeof *all);
    size_t position = 0;
    size_t count = 0;
    struct memo *memo;
    while ((memo = map_next(&machine->memos, &position)) != NULL)
        all[count++] = memo;
    for (size_t i = 0; i < count; i++) {
        memo__detach(machine, all[i]);
        memo__free(all[i]);
    }
    mem_free(all);
    LIST_EACH (node, &machine->gone) {
        memo__free(CONTAINER_OF(node, struct memo, dirty));
    }
}

void machine_free(struct machine *machine)
{
    if (!machine)
        return;
    free_memos(machine);
    LIST_EACH (node, &machine->stale) {
        mem_free(CONTAINER_OF(node, struct stale, node));
    }
    for (size_t i = 0; i <= machine->recipe->trigger_count; i++)
        heap_deinit(&machine->due[i]);
    heap_deinit(&machine->expiry);
    heap_deinit(&machine->outs);
    CHECK_EQ(machine->scopes.count, 0);
    map_deinit(&machine->scopes);
    map_deinit(&machine->memos);
    arena_deinit(&machine->arena);
    arena_deinit(&machine->scratch);
    mem_free(machine);
}

/* ---- loading it --------------------------------------------------------- */

static void add_stale(struct machine *machine, struct slice key)
{
    struct stale *stale = mem_alloc(sizeof *stale + key.size);
    memcpy(stale + 1, key.at, key.size);
    stale->key = slice_of(stale + 1, key.size);
    list_push_back(&machine->stale, &stale->node);
}

enum err machine_load(struct machine *machine, struct slice key,
                      struct slice value, int64_t mod_revision)
{
    enum recipe_key where;
    struct slice name;
    struct slice rest;
    struct memo *memo;
    enum memo_kind kind = MEMO_ACTIVE;
    (void)mod_revision;
    CHECK(!machine->is_loaded);
    if (!recipe_key_read(key, &where, &name, &rest) ||
        !slice_eq(name, machine->recipe->name))
        return err_set(ERR_CORRUPT, "a key of another recipe");
    if (where == RECIPE_KEY_STATE) {
        ptrdiff_t slash = slice_find(rest, '/');
        size_t size = slash < 0 ? rest.size : (size_t)slash;
        if (!memo__kind_from_text(slice_of(rest.at, size), &kind))
            return ERR_OK; /* the runner's */
        size += slash >= 0;
        rest = slice_of(rest.at + size, rest.size - size);
    } else if (where != RECIPE_KEY_ACTIVE) {
        return err_set(ERR_CORRUPT, "neither a memo nor a run under way");
    }
    if (map_get(&machine->memos, key))
        return err_set(ERR_CORRUPT, "a key is there twice");
    enum err err = memo__read(machine, key, rest, kind, value, &memo);
    if (err)
        return err_wrap(ERR_CORRUPT, "%.*s",
                        (int)(key.size < 200 ? key.size : 200), key.at);
    if (memo)
        memo__attach(machine, memo);
    else
        add_stale(machine, key);
    return ERR_OK;
}

/* Where the cursor says that a trigger is: the one of the same tag. */
static bool read_position(const struct doc_value *triggers, struct slice tag,
                          struct run_id *out)
{
    for (size_t i = 0; i < triggers->count; i++) {
        const struct doc_value *its = doc_get(triggers->items[i], "tag");
        const struct doc_value *at = doc_get(triggers->items[i], "at");
        if (its && at && its->kind == DOC_STRING && at->kind == DOC_STRING &&
            slice_eq(its->text, tag))
            return run_id_parse(at->text, out);
    }
    return false;
}

/* Of an inbox nothing is missed: what isn't worked yet is still in it. */
static bool needs_history(const struct doc_value *trigger)
{
    const struct doc_value *watches = doc_get(trigger, "watches");
    return watches && watches->kind == DOC_STRING &&
           !slice_has_prefix(watches->text, SLICE("/_recipes/in/"));
}

int64_t machine_cursor_oldest(struct slice value)
{
    struct arena arena;
    struct doc_value *doc;
    struct run_id id;
    int64_t oldest = INT64_MAX;
    arena_init(&arena, 0);
    const struct doc_value *triggers =
        record__parse(&arena, value, &doc) ? NULL : doc_get(doc, "triggers");
    size_t count = triggers && triggers->kind == DOC_LIST ? triggers->count : 0;
    for (size_t i = 0; i < count; i++) {
        const struct doc_value *at = doc_get(triggers->items[i], "at");
        if (needs_history(triggers->items[i]) && at && at->kind == DOC_STRING &&
            run_id_parse(at->text, &id) && id.revision < oldest)
            oldest = id.revision;
    }
    arena_deinit(&arena);
    return oldest;
}

/* A trigger of one key that is to come: has it been there, or has its time
 * begun? */
static void find_begun(struct machine *machine)
{
    const struct recipe *recipe = machine->recipe;
    machine->absent_begun = arena_alloc(&machine->arena, recipe->trigger_count);
    for (size_t i = 0; i < recipe->trigger_count; i++)
        machine->absent_begun[i] = !absent__is_to_begin(machine, i);
}

enum err machine_load_cursor(struct machine *machine, struct slice value,
                             int64_t revision)
{
    const struct recipe *recipe = machine->recipe;
    struct doc_value *doc = NULL;
    const struct doc_value *triggers = NULL;
    CHECK(!machine->is_loaded);
    CHECK_LE(0, revision);
    arena_reset(&machine->scratch);
    if (value.size) {
        enum err err = record__parse(&machine->scratch, value, &doc);
        if (err)
            return err_wrap(ERR_CORRUPT, "the cursor");
        triggers = doc_get(doc, "triggers");
        if (!triggers || triggers->kind != DOC_LIST)
            return err_set(ERR_CORRUPT, "the cursor has no triggers");
    }
    for (size_t i = 0; i < recipe->trigger_count; i++) {
        if (!triggers ||
            !read_position(triggers, machine->tags[i], &machine->positions[i]))
            machine->positions[i] =
                (struct run_id){.revision = revision, .place = UINT32_MAX};
    }
    find_begun(machine);
    machine->is_loaded = true;
    return ERR_OK;
}

/* ---- what the store refuses ---------------------------------------------- */

void machine_set_narrow(struct machine *machine, bool is_narrow)
{
    machine->is_narrow = is_narrow;
}

void machine_deny(struct machine *machine, uint64_t effects, const char *why)
{
    if (!why) {
        machine->denied_count = 0;
        return;
    }
    machine->denied_why = arena_printf(&machine->arena, "%s", why);
    machine->denied[machine->denied_count++ % DENIED_MAX] = effects;
}

/* ---- where it is -------------------------------------------------------- */

void machine_write_cursor(const struct machine *machine,
                          const struct turn *turn, struct buf *out)
{
    char text[RUN_ID_BYTES_MAX];
    buf_printf(out, "{\"depth\":%u", turn->has_depth ? turn->depth : 0);
    if (turn->run_count) {
        size_t size = run_id_to_text(&turn->runs[0].id, text);
        buf_printf(out, ",\"run\":\"%.*s\"", (int)size, text);
    }
    buf_append_str(out, ",\"triggers\":[");
    for (size_t i = 0; i < machine->recipe->trigger_count; i++) {
        struct slice watches = machine->recipe->triggers[i].pattern.text;
        struct slice tag = machine->tags[i];
        size_t size = run_id_to_text(&machine->positions[i], text);
        buf_append_str(out, i ? ",{\"watches\":" : "{\"watches\":");
        record__string(out, watches);
        buf_printf(out, ",\"tag\":\"%.*s\",\"at\":\"%.*s\"}", (int)tag.size,
                   tag.at, (int)size, text);
    }
    buf_append_str(out, "]}");
}

struct run_id machine_position(const struct machine *machine, size_t trigger)
{
    CHECK(machine->is_loaded);
    CHECK_LT(trigger, machine->recipe->trigger_count);
    return machine->positions[trigger];
}

void machine_advance(struct machine *machine, size_t trigger, int64_t revision)
{
    struct run_id end = {.revision = revision, .place = UINT32_MAX};
    CHECK(machine->is_loaded);
    CHECK_LT(trigger, machine->recipe->trigger_count);
    if (!machine->has_stopped &&
        run_id_compare(&machine->positions[trigger], &end) < 0)
        machine->positions[trigger] = end;
}

/* ---- what is lost ------------------------------------------------------- */

static bool began_before(struct machine *machine, const struct memo *memo,
                         int64_t revision)
{
    struct doc_value *doc;
    struct scene_event event;
    arena_reset(&machine->scratch);
    if (memo->hold.has_fired)
        return false; /* nothing is due */
    return record__parse(&machine->scratch, memo->value, &doc) ||
           record__read_event(&machine->scratch, doc_get(doc, "event"),
                              &event) ||
           event.event.id.revision < revision;
}

static void begin_anew(struct machine *machine, struct memo *old,
                       const struct run_id *seen, int64_t now_ns)
{
    struct memo *memo =
        memo__new(machine, MEMO_ABSENT, old->trigger, old->id, SLICE(""));
    memo->absent.at_ns = now_ns;
    memo->absent.seen = *seen;
    memo->due_ns = absent__due(machine, memo);
    memo->is_dirty = true;
    memo__detach(machine, old);
    memo__attach(machine, memo);
    memo__free(old);
}

static void forget(struct machine *machine, struct memo *memo)
{
    add_stale(machine, memo->key);
    memo__detach(machine, memo);
    memo__free(memo);
}

void machine_skip(struct machine *machine, size_t trigger, int64_t from,
                  int64_t revision, int64_t now_ns)
{
    struct run_id end = {.revision = revision, .place = UINT32_MAX};
    struct memo **all = mem_alloc((machine->memos.count + 1) * sizeof *all);
    size_t position = 0;
    size_t count = 0;
    struct memo *memo;
    machine_advance(machine, trigger, revision);
    while ((memo = map_next(&machine->memos, &position)) != NULL) {
        if (memo->trigger == trigger)
            all[count++] = memo;
    }
    for (size_t i = 0; i < count; i++) {
        memo = all[i];
        if (memo->kind == MEMO_HOLD && began_before(machine, memo, from))
            forget(machine, memo);
        else if (memo->kind == MEMO_ABSENT && !memo->absent.has_fired &&
                 memo->absent.seen.revision < from)
            begin_anew(machine, memo, &end, now_ns);
    }
    mem_free(all);
}

bool machine_is_busy(const struct machine *machine)
{
    return machine->active_count >= machine->recipe->max;
}

size_t machine_outside_count(const struct machine *machine)
{
    return machine->outside_count;
}

/* ---- what needn't hurry ------------------------------------------------- */

static void write_dirty(struct machine *machine, struct turn *turn)
{
    struct buf value = {0};
    LIST_EACH (node, &machine->dirty) {
        struct memo *memo = CONTAINER_OF(node, struct memo, dirty);
        if (turn->count >= TURN_OPERATIONS_MAX || turn->bytes > TURN_BYTES_MAX)
            break;
        buf_reset(&value);
        memo__write_absent(memo, &value);
        struct turn_operation put = {
            .kind = TURN_PUT, .key = memo->key, .value = buf_slice(&value)};
        turn__add(turn, &put);
        memo->is_dirty = false;
        list_remove(&memo->dirty);
    }
    buf_deinit(&value);
}

static void drop_stale(struct machine *machine, struct turn *turn)
{
    LIST_EACH (node, &machine->stale) {
        struct stale *stale = CONTAINER_OF(node, struct stale, node);
        if (turn->count >= TURN_OPERATIONS_MAX || turn->bytes > TURN_BYTES_MAX)
            return;
        struct turn_operation delete = {.kind = TURN_DELETE, .key = stale->key};
        turn__add(turn, &delete);
        list_remove(&stale->node);
        mem_free(stale);
    }
}

bool machine_write_lazy(struct machine *machine, struct turn *turn)
{
    size_t before = turn->count;
    write_dirty(machine, turn);
    limit__expire(machine, turn);
    drop_stale(machine, turn);
    return turn->count > before;
}

void machine_list_active(const struct machine *machine, struct buf *out)
{
    struct arena arena;
    bool is_first = true;
    arena_init(&arena, 0);
    buf_append_char(out, '[');
    LIST_EACH (node, &machine->actives) {
        const struct memo *memo =
            CONTAINER_OF(node, struct memo, active.by_age);
        struct doc_value *doc;
        arena_reset(&arena);
        struct run *run = arena_alloc(&arena, sizeof *run);
        enum err err = record__parse(&arena, memo->value, &doc);
        if (!err)
            err = record__read_active(machine, &arena, doc, run);
        CHECK_EQ(err, ERR_OK);
        if (!is_first)
            buf_append_char(out, ',');
        is_first = false;
        record__write_run(machine, run, RUN_ACTIVE, 0, out);
    }
    buf_append_char(out, ']');
    arena_deinit(&arena);
}
