/* What the actions of a recipe may write, as far as that is known before it
 * runs, and which triggers see it. */
#include "base/check.h"
#include "recipe/recipe_int.h"

/* ---- the shape of a key ------------------------------------------------- */

enum { PIECES_MAX = 64, HOLES_MAX = 256 };

struct shaper {
    struct reader *reader;
    struct key_shape *shape;
    size_t holes; /* looked into: lets of lets can double at each step */
};

static void add_piece(struct shaper *shaper, unsigned kind, struct slice text)
{
    struct key_shape *shape = shaper->shape;
    CHECK_LE(shape->count, PIECES_MAX);
    if (shape->count == PIECES_MAX)
        return;
    if (shape->count == PIECES_MAX - 1)
        kind = SHAPE_ANY; /* whatever follows */
    if (kind == SHAPE_TEXT && text.size == 0)
        return;
    shape->pieces[shape->count++] =
        (struct shape_piece){.kind = kind, .text = text};
}

/* `{{{{` stands for `{{`. */
static void add_text(struct shaper *shaper, struct slice text)
{
    size_t begin = 0;
    for (size_t at = 0; at + 4 <= text.size; at++) {
        if (memcmp(text.at + at, "{{{{", 4) == 0) {
            add_piece(shaper, SHAPE_TEXT,
                      slice_of(text.at + begin, at + 2 - begin));
            begin = at + 4;
            at += 3;
        }
    }
    add_piece(shaper, SHAPE_TEXT, slice_of(text.at + begin, text.size - begin));
}

static struct slice trim(struct slice text)
{
    while (text.size > 0 && strchr(" \t\r\n", text.at[0]) && text.at[0])
        text = slice_of(text.at + 1, text.size - 1);
    while (text.size > 0 && strchr(" \t\r\n", text.at[text.size - 1]) &&
           text.at[text.size - 1])
        text.size--;
    return text;
}

/* One segment in each trigger that has it. */
static bool is_segment(const struct recipe *recipe, size_t slot)
{
    bool is_known = false;
    for (size_t i = 0; i < recipe->trigger_count; i++) {
        const struct trigger *trigger = &recipe->triggers[i];
        size_t captured = 0;
        for (size_t j = 0; j < trigger->pattern.count; j++) {
            enum segment_kind kind = trigger->pattern.segments[j].kind;
            if (kind == SEGMENT_LITERAL ||
                trigger->capture_slots[captured++] != slot)
                continue;
            if (kind != SEGMENT_ONE)
                return false;
            is_known = true;
        }
    }
    return is_known;
}

static void add_template(struct shaper *shaper, struct slice text);

/* A let is what its text is; it uses none but earlier ones, so this ends. */
static bool add_let(struct shaper *shaper, struct slice name)
{
    const struct doc_value *lets = doc_get(shaper->reader->document, "let");
    for (size_t i = 0; lets && i < lets->count; i++) {
        const struct doc_member *member = &lets->members[i];
        if (slice_eq(member->name, name) && member->value->kind == DOC_STRING) {
            add_template(shaper, member->value->text);
            return true;
        }
    }
    return false;
}

static void add_hole(struct shaper *shaper, struct slice hole)
{
    struct recipe *recipe = shaper->reader->recipe;
    struct slice name = trim(hole);
    size_t slot = name.size ? names__find(shaper->reader, name) : SIZE_MAX;
    if (slot == INGREDIENT_RECIPE)
        add_piece(shaper, SHAPE_TEXT, recipe->name);
    else if (slot != SIZE_MAX && is_segment(recipe, slot))
        add_piece(shaper, SHAPE_SEGMENT, SLICE(""));
    else if (slot == SIZE_MAX || ++shaper->holes > HOLES_MAX ||
             !add_let(shaper, name))
        add_piece(shaper, SHAPE_ANY, SLICE(""));
}

static void add_template(struct shaper *shaper, struct slice text)
{
    struct slice hole;
    size_t begin = 0, end;
    while (shaper->shape->count < PIECES_MAX &&
           names__next_hole(text, begin, &hole, &end)) {
        size_t open = (size_t)(hole.at - text.at) - 2;
        add_text(shaper, slice_of(text.at + begin, open - begin));
        add_hole(shaper, hole);
        begin = end;
    }
    add_text(shaper, slice_of(text.at + begin, text.size - begin));
}

/* ---- whom it feeds ------------------------------------------------------ */

/* The events that an action may make of a key. A key with a ttl expires. */
static unsigned events_of(const struct action *action)
{
    if (action->kind == ACTION_DELETE)
        return EVENT_DELETE;
    return action->ttl_ns ? EVENT_PUT | EVENT_EXPIRE : EVENT_PUT;
}

static bool write_feeds(const struct action *action,
                        const struct trigger *trigger)
{
    /* The others watch keys of the service, which no action may write. */
    if (trigger->kind != TRIGGER_KEY && trigger->kind != TRIGGER_ABSENT)
        return false;
    return (events_of(action) & trigger->events) &&
           pattern_meets_shape(&trigger->pattern, &action->writes);
}

void writes__read(struct reader *reader, const struct doc_value *at,
                  struct action *action)
{
    struct recipe *recipe = reader->recipe;
    struct shaper shaper = {reader, &action->writes, 0};
    action->writes.pieces =
        arena_alloc(reader->arena, PIECES_MAX * sizeof *action->writes.pieces);
    CHECK_EQ(at->kind, DOC_STRING);
    add_template(&shaper, at->text);
    if (action->prefix)
        add_piece(&shaper, SHAPE_ANY, SLICE(""));
    for (size_t i = 0; i < recipe->trigger_count && !recipe->reentrant; i++) {
        const struct trigger *trigger = &recipe->triggers[i];
        if (write_feeds(action, trigger))
            reader__fail(reader, at,
                         "this feeds the recipe's own trigger if[%zu], "
                         "\"%.*s\": write another key, or loop: {reentrant: "
                         "true} if that is meant",
                         i, SHOWN(trigger->pattern.text));
    }
}

/* ---- of a whole recipe -------------------------------------------------- */

/* Calls `each` for every action, in txns too, until it says true. */
static bool any_action(const struct action *actions, size_t count,
                       bool (*each)(void *context, const struct action *action),
                       void *context)
{
    for (size_t i = 0; i < count; i++) {
        const struct action *action = &actions[i];
        if (each(context, action) ||
            any_action(action->then, action->then_count, each, context) ||
            any_action(action->otherwise, action->otherwise_count, each,
                       context))
            return true;
    }
    return false;
}

static bool any_of_recipe(const struct recipe *recipe,
                          bool (*each)(void *context,
                                       const struct action *action),
                          void *context)
{
    return any_action(recipe->then, recipe->then_count, each, context) ||
           any_action(recipe->on_failure, recipe->on_failure_count, each,
                      context);
}

struct collection {
    struct key_shape *shapes; /* NULL: only count */
    size_t count;
};

static bool collect(void *context, const struct action *action)
{
    struct collection *collection = context;
    if (action->kind != ACTION_PUT && action->kind != ACTION_DELETE)
        return false;
    CHECK(action->writes.pieces);
    if (collection->shapes)
        collection->shapes[collection->count] = action->writes;
    collection->count++;
    return false;
}

size_t recipe_writes(const struct recipe *recipe, struct arena *arena,
                     struct key_shape **out)
{
    struct collection collection = {0};
    any_of_recipe(recipe, collect, &collection);
    collection.shapes =
        arena_alloc(arena, (collection.count + 1) * sizeof **out);
    collection.count = 0;
    any_of_recipe(recipe, collect, &collection);
    *out = collection.shapes;
    CHECK_LE(collection.count, 6 * RECIPE_ACTIONS_MAX * RECIPE_ACTIONS_MAX);
    return collection.count;
}

static bool action_feeds(void *context, const struct action *action)
{
    const struct trigger *trigger = context;
    enum recipe_key kind;
    struct slice name, rest;
    if (action->kind == ACTION_PUT || action->kind == ACTION_DELETE)
        return write_feeds(action, trigger);
    /* in/<callee>/call/{id} */
    return action->kind == ACTION_CALL && trigger->kind == TRIGGER_CALL &&
           recipe_key_read(trigger->pattern.text, &kind, &name, &rest) &&
           slice_eq(name, action->callee);
}

bool recipe_feeds(const struct recipe *writer, const struct trigger *trigger)
{
    /* The record of its run is an event of that trigger. */
    if (trigger->kind == TRIGGER_RECIPE &&
        slice_eq(trigger->other.name, writer->name))
        return true;
    return any_of_recipe(writer, action_feeds,
                         (struct trigger *)(uintptr_t)trigger);
}
