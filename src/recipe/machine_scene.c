/* The ingredients of a run: each is made when an expression first reads it.
 *
 * What stands for a secret is "\x01<nonce>:<name>\x02". Nobody can guess the
 * nonce, so nothing that came from outside can be taken for one; when a
 * request is complete (machine_outside.c) the nonce goes and every other \x01
 * too. */
#include "base/check.h"
#include "recipe/machine_int.h"

static struct value text_value(struct slice text)
{
    struct value value = value_string(text);
    if (!slice_is_utf8(text))
        value.kind = VALUE_BYTES;
    return value;
}

static struct value null_value(void)
{
    return (struct value){.kind = VALUE_NULL};
}

static struct value absent_value(void)
{
    return (struct value){.kind = VALUE_ABSENT};
}

static struct value map_value(struct arena *arena, size_t count)
{
    struct value_map *map = arena_alloc(arena, sizeof *map);
    map->count = count;
    map->keys = arena_alloc(arena, (count + 1) * sizeof *map->keys);
    map->values = arena_alloc(arena, (count + 1) * sizeof *map->values);
    return (struct value){.kind = VALUE_MAP, .map = map};
}

static void set_member(struct value *map, size_t at, const char *name,
                       struct value value)
{
    CHECK_LT(at, map->map->count);
    map->map->keys[at] = value_string(slice_str(name));
    map->map->values[at] = value;
}

/* ---- the store at a revision -------------------------------------------- */

static enum expr_found look_up(struct scene *scene, int64_t revision,
                               struct slice key, struct arena *arena,
                               struct value *out)
{
    const struct lookups *lookups = scene->unit->lookups;
    const struct lookup *found =
        lookups->find(lookups->context, LOOKUP_GET, revision, key);
    if (!found) {
        scene->unit->wants = true;
        return EXPR_PENDING;
    }
    if (found->found == LOOKUP_COMPACTED)
        *out = value_error(arena,
                           "what \"%.*s\" was at revision %lld has been "
                           "compacted",
                           (int)(key.size < 100 ? key.size : 100), key.at,
                           (long long)revision);
    else if (found->found == LOOKUP_REFUSED)
        *out = value_error(arena, "its owner may not read \"%.*s\"",
                           (int)(key.size < 100 ? key.size : 100), key.at);
    else if (found->found == LOOKUP_NONE)
        *out = absent_value();
    else
        *out = value_from_text(arena, turn__copy(arena, found->value));
    return EXPR_FOUND;
}

static enum expr_found world_get(void *context, struct slice key,
                                 struct arena *arena, struct value *out)
{
    struct scene *scene = context;
    return look_up(scene, scene->event.look, key, arena, out);
}

static enum expr_found world_count(void *context, struct slice prefix,
                                   int64_t *out)
{
    struct scene *scene = context;
    const struct lookups *lookups = scene->unit->lookups;
    const struct lookup *found = lookups->find(lookups->context, LOOKUP_COUNT,
                                               scene->event.look, prefix);
    if (!found) {
        scene->unit->wants = true;
        return EXPR_PENDING;
    }
    *out = found->found == LOOKUP_FOUND ? found->count : 0;
    return EXPR_FOUND;
}

static enum expr_found world_secret(void *context, struct slice name,
                                    struct arena *arena, struct value *out)
{
    const struct machine *machine = ((struct scene *)context)->unit->machine;
    size_t nonce = sizeof machine->nonce;
    char *text = arena_alloc(arena, name.size + nonce + 3);
    text[0] = '\x01';
    memcpy(text + 1, machine->nonce, nonce);
    text[1 + nonce] = ':';
    if (name.size)
        memcpy(text + 2 + nonce, name.at, name.size);
    text[2 + nonce + name.size] = '\x02';
    *out = value_string(slice_of(text, name.size + nonce + 3));
    return EXPR_FOUND;
}

/* ---- ingredients -------------------------------------------------------- */

/* What an earlier one looked up is at the key's event, or just before it. */
static enum expr_found find_before(struct scene *scene, int64_t revision,
                                   struct arena *arena, struct value *out)
{
    if (revision <= 0 || !scene->unit->lookups) {
        *out = null_value();
        return EXPR_FOUND;
    }
    enum expr_found found =
        look_up(scene, revision, scene->event.event.key, arena, out);
    if (found == EXPR_FOUND && out->kind == VALUE_ABSENT)
        *out = null_value();
    return found;
}

static enum expr_found find_value(struct scene *scene, bool as_text,
                                  struct arena *arena, struct value *out)
{
    const struct scene_event *event = &scene->event;
    if (event->has_raw && !(event->event.type & EVENT_PUT)) {
        *out = null_value();
    } else if (!event->has_raw) {
        enum expr_found found = find_before(scene, event->put, arena, out);
        /* What was looked up has been read as a value; a string is its text. */
        if (found == EXPR_FOUND && as_text && out->kind != VALUE_STRING &&
            out->kind != VALUE_BYTES && out->kind != VALUE_NULL &&
            out->kind != VALUE_ERROR)
            *out = value_string(form__json(arena, out));
        return found;
    } else {
        *out = as_text ? text_value(event->event.raw)
                       : value_from_text(arena, event->event.raw);
    }
    return EXPR_FOUND;
}

static enum expr_found find_prev(struct scene *scene, struct arena *arena,
                                 struct value *out)
{
    const struct scene_event *event = &scene->event;
    if (!event->knows_prev)
        return find_before(scene, event->event.id.revision - 1, arena, out);
    *out = event->event.has_prev ? value_from_text(arena, event->event.prev)
                                 : null_value();
    return EXPR_FOUND;
}

/* A member of the value, where the trigger's kind has it. */
static enum expr_found find_member(struct scene *scene, unsigned kinds,
                                   const char *name, struct arena *arena,
                                   struct value *out)
{
    struct value all;
    const struct recipe *recipe = scene->unit->machine->recipe;
    *out = absent_value();
    if (scene->trigger == SIZE_MAX ||
        !(kinds & 1u << recipe->triggers[scene->trigger].kind))
        return EXPR_FOUND;
    if (find_value(scene, false, arena, &all) == EXPR_PENDING)
        return EXPR_PENDING;
    const struct value *member = value_member(&all, slice_str(name));
    if (member)
        *out = *member;
    return EXPR_FOUND;
}

static struct value event_value(const struct scene *scene, struct arena *arena)
{
    const struct recipe_event *event = &scene->event.event;
    struct value map = map_value(arena, 5);
    struct value time = {.kind = VALUE_TIMESTAMP, .integer = event->time_ns};
    set_member(&map, 0, "type",
               value_string(slice_str(event_type_text(event->type))));
    set_member(&map, 1, "cause", text_value(event->cause));
    set_member(&map, 2, "revision", value_int(event->id.revision));
    set_member(&map, 3, "time", time);
    set_member(&map, 4, "depth", value_int(event->depth));
    return map;
}

static struct value answer_value(struct arena *arena,
                                 const struct scene_answer *answer)
{
    const struct value *body = value_member(&answer->value, SLICE("body"));
    const struct value *headers =
        value_member(&answer->value, SLICE("headers"));
    const struct value *status = value_member(&answer->value, SLICE("status"));
    struct value map = map_value(arena, 4);
    set_member(&map, 0, "ok", value_bool(true));
    set_member(&map, 1, "status", status ? *status : null_value());
    set_member(&map, 2, "headers", headers ? *headers : null_value());
    set_member(&map, 3, "body",
               body && body->kind == VALUE_STRING
                   ? value_from_text(arena, body->text)
                   : null_value());
    return map;
}

static struct value steps_value(const struct scene *scene, struct arena *arena)
{
    struct value map = map_value(arena, scene->answer_count);
    for (size_t i = 0; i < scene->answer_count; i++) {
        map.map->keys[i] = value_string(scene->answers[i].id);
        map.map->values[i] = answer_value(arena, &scene->answers[i]);
    }
    return map;
}

static enum expr_found find_body(struct scene *scene, struct arena *arena,
                                 struct value *out)
{
    enum expr_found found =
        find_member(scene, 1u << TRIGGER_WEBHOOK, "body", arena, out);
    if (found == EXPR_FOUND && out->kind == VALUE_STRING)
        *out = value_from_text(arena, out->text);
    return found;
}

static enum expr_found find_args(struct scene *scene, struct arena *arena,
                                 struct value *out)
{
    unsigned kinds = 1u << TRIGGER_CALL | 1u << TRIGGER_MANUAL;
    enum expr_found found = find_member(scene, kinds, "args", arena, out);
    if (found == EXPR_FOUND && out->kind != VALUE_MAP)
        *out = map_value(arena, 0);
    return found;
}

static enum expr_found find_let(struct scene *scene, size_t slot,
                                struct arena *arena, struct value *out)
{
    const struct recipe *recipe = scene->unit->machine->recipe;
    for (size_t i = 0; i < recipe->let_count; i++) {
        if (recipe->lets[i].slot != slot)
            continue;
        enum expr_end end =
            template_eval(recipe->lets[i].value, scene->slots, &scene->world,
                          &expr_budget_default, arena, out);
        return end == EXPR_WAITS ? EXPR_PENDING : EXPR_FOUND;
    }
    *out = absent_value(); /* a capture of another trigger */
    return EXPR_FOUND;
}

static enum expr_found ingredient(void *context, size_t slot,
                                  struct arena *arena, struct value *out)
{
    struct scene *scene = context;
    const struct recipe *recipe = scene->unit->machine->recipe;
    switch (slot) {
    case INGREDIENT_KEY:
        *out = text_value(scene->event.event.key);
        return EXPR_FOUND;
    case INGREDIENT_VALUE:
        return find_value(scene, false, arena, out);
    case INGREDIENT_RAW:
        return find_value(scene, true, arena, out);
    case INGREDIENT_PREV:
        return find_prev(scene, arena, out);
    case INGREDIENT_EVENT:
        *out = event_value(scene, arena);
        return EXPR_FOUND;
    case INGREDIENT_RECIPE:
        *out = value_string(recipe->name);
        return EXPR_FOUND;
    case INGREDIENT_LABELS:
        *out = recipe->labels.kind == VALUE_MAP ? recipe->labels
                                                : map_value(arena, 0);
        return EXPR_FOUND;
    case INGREDIENT_ITEM:
        return find_member(scene, 1u << TRIGGER_FEED | 1u << TRIGGER_POLL,
                           "item", arena, out);
    case INGREDIENT_BODY:
        return find_body(scene, arena, out);
    case INGREDIENT_HEADERS:
        return find_member(scene, 1u << TRIGGER_WEBHOOK, "headers", arena, out);
    case INGREDIENT_ARGS:
        return find_args(scene, arena, out);
    case INGREDIENT_STEPS:
        *out = steps_value(scene, arena);
        return EXPR_FOUND;
    case INGREDIENT_ERROR:
        *out = scene->error.size ? value_string(scene->error) : absent_value();
        return EXPR_FOUND;
    default:
        return find_let(scene, slot, arena, out);
    }
}

/* ---- scenes ------------------------------------------------------------- */

void scene__from_event(struct scene_event *out,
                       const struct recipe_event *event)
{
    *out = (struct scene_event){.event = *event,
                                .has_raw = true,
                                .knows_prev = true,
                                .look = event->id.revision,
                                .put = event->id.revision};
}

static void set_captures(struct scene *scene)
{
    struct slice captures[PATTERN_CAPTURES_MAX];
    const struct recipe *recipe = scene->unit->machine->recipe;
    if (scene->trigger == SIZE_MAX)
        return;
    const struct trigger *trigger = &recipe->triggers[scene->trigger];
    if (!pattern_matches(&trigger->pattern, scene->event.event.key, captures))
        return;
    for (size_t i = 0; i < trigger->pattern.captures; i++)
        scene->slots[trigger->capture_slots[i]] = text_value(captures[i]);
}

void scene__init(struct scene *scene, struct unit *unit, size_t trigger,
                 const struct scene_event *event)
{
    const struct machine *machine = unit->machine;
    size_t count = machine->recipe->names.count;
    *scene = (struct scene){
        .unit = unit, .trigger = trigger, .event = *event, .error = SLICE("")};
    scene->slots = arena_alloc(unit->arena, (count + 1) * sizeof *scene->slots);
    for (size_t i = 0; i < count; i++)
        scene->slots[i] = (struct value){.kind = VALUE_LAZY};
    set_captures(scene);
    scene->world = (struct expr_world){.context = scene,
                                       .ingredient = ingredient,
                                       .zones = machine->config.zones,
                                       .now_ns = event->event.time_ns};
    if (unit->lookups) {
        scene->world.get = world_get;
        scene->world.count = world_count;
    }
}

void scene__init_outside(struct scene *scene, const struct scene *of)
{
    size_t count = of->unit->machine->recipe->names.count;
    *scene = *of;
    scene->shows_secrets = true;
    scene->slots =
        arena_alloc(of->unit->arena, (count + 1) * sizeof *scene->slots);
    for (size_t i = 0; i < count; i++) {
        /* A let that was an error may have asked for a secret. */
        scene->slots[i] = of->slots[i];
        if (scene->slots[i].kind == VALUE_ERROR)
            scene->slots[i].kind = VALUE_LAZY;
    }
    scene->world.context = scene;
    scene->world.secret = world_secret;
}

void scene__forget_steps(struct scene *scene)
{
    scene->slots[INGREDIENT_STEPS].kind = VALUE_LAZY;
    scene->slots[INGREDIENT_ERROR].kind = VALUE_LAZY;
}

bool scene__eval(struct scene *scene, const struct expr *expr,
                 struct value *out)
{
    enum expr_end end =
        expr_eval(expr, scene->slots, &scene->world, &expr_budget_default,
                  scene->unit->arena, out);
    CHECK(end != EXPR_WAITS || scene->unit->wants);
    return end != EXPR_WAITS;
}

bool scene__eval_template(struct scene *scene, const struct template *template,
                          struct value *out)
{
    enum expr_end end =
        template_eval(template, scene->slots, &scene->world,
                      &expr_budget_default, scene->unit->arena, out);
    CHECK(end != EXPR_WAITS || scene->unit->wants);
    return end != EXPR_WAITS;
}

bool scene__eval_with(struct scene *scene, const struct expr *expr,
                      struct value value, struct value *out)
{
    struct value was = scene->slots[INGREDIENT_VALUE];
    scene->slots[INGREDIENT_VALUE] = value;
    bool is_done = scene__eval(scene, expr, out);
    scene->slots[INGREDIENT_VALUE] = was;
    return is_done;
}

struct value scene__prev(struct scene *scene)
{
    struct value *slot = &scene->slots[INGREDIENT_PREV];
    if (slot->kind == VALUE_LAZY &&
        find_prev(scene, scene->unit->arena, slot) == EXPR_PENDING)
        slot->kind = VALUE_LAZY;
    return *slot;
}

void scene__settle_lets(struct scene *scene)
{
    const struct recipe *recipe = scene->unit->machine->recipe;
    for (size_t i = 0; i < recipe->let_count; i++) {
        const struct let *let = &recipe->lets[i];
        struct value *slot = &scene->slots[let->slot];
        if (slot->kind != VALUE_LAZY ||
            !(template_uses(let->value) & EXPR_USES_STORE))
            continue;
        if (find_let(scene, let->slot, scene->unit->arena, slot) ==
            EXPR_PENDING)
            return;
    }
}
