/* `if`: the triggers. Twice over: first of what kind they are and what keys
 * they watch, which gives the captures; then, when all names are known, the
 * rest (trigger_fields.c has the fields). */
#include "base/check.h"
#include "recipe/machine.h"
#include "recipe/recipe_int.h"
#include "recipe/trigger_int.h"

const char *event_type_text(enum event_type type)
{
    switch (type) {
    case EVENT_CREATE:
        return "create";
    case EVENT_UPDATE:
        return "update";
    case EVENT_DELETE:
        return "delete";
    case EVENT_EXPIRE:
        return "expire";
    case EVENT_PUT:
        return "put";
    }
    UNREACHABLE();
}

/* ---- patterns ----------------------------------------------------------- */

static void read_pattern(struct reader *reader, const struct doc_value *value,
                         struct pattern *out)
{
    struct slice text;
    size_t at = 0;
    if (!reader__string(reader, value, &text))
        return;
    enum err err = pattern_parse(reader->arena, text, out, &at);
    if (err)
        reader__fail_inside(reader, value, at, "%s", err_note());
    else if (pattern__names_hidden(out))
        reader__fail(reader, value,
                     "what is below /_recipes/ is the service's own: write the "
                     "trigger `recipe: <name>` for what another one did");
}

/* A pattern of our own making. */
static void make_pattern(struct reader *reader, struct buf *text,
                         struct pattern *out)
{
    enum err err = pattern_parse(reader->arena, buf_slice(text), out, NULL);
    CHECK_EQ(err, ERR_OK);
    buf_deinit(text);
}

/* Where what comes in for this trigger is put: in/<name>/<trigger>/{id}. */
static void make_inbox(struct reader *reader, struct trigger *trigger)
{
    struct buf key = {0};
    struct slice rest = SLICE("call/{id}");
    char index[24];
    if (trigger->kind != TRIGGER_CALL) {
        size_t size = u64_to_text(trigger->index, index);
        memcpy(index + size, "/{id}", 5);
        rest = slice_of(index, size + 5);
    }
    CHECK_LT(trigger->index, 100000);
    recipe_key_write(&key, RECIPE_KEY_IN, reader->recipe->name, &rest);
    make_pattern(reader, &key, &trigger->pattern);
    trigger->events = EVENT_CREATE;
}

static void read_other(struct reader *reader, const struct doc_value *value,
                       struct trigger *trigger)
{
    struct buf key = {0};
    struct slice none = SLICE("");
    struct doc_value *name = doc_get(value, "name");
    size_t mark = reader->path_size;
    if (value->kind == DOC_MAP && !name)
        return; /* said when the fields are read */
    if (name)
        reader__enter(reader, SLICE("name"));
    if (reader__recipe_name(reader, name ? name : value,
                            &trigger->other.name)) {
        recipe_key_write(&key, RECIPE_KEY_RUN, trigger->other.name, &none);
        make_pattern(reader, &key, &trigger->pattern);
        trigger->events = EVENT_CREATE;
    }
    reader__leave(reader, mark);
}

static void read_kind(struct reader *reader, const struct doc_value *map,
                      struct trigger *trigger)
{
    if (map->kind != DOC_MAP) {
        reader__fail(reader, map,
                     "%s is here: write a trigger, \"- key: /a/{name}\"",
                     doc_kind_text(map->kind));
        return;
    }
    int kind = reader__kind(reader, map, &triggers__schema);
    if (kind < 0)
        return;
    const char *name = triggers__schema.fields[kind].name;
    struct doc_value *value = doc_get(map, name);
    size_t mark = reader__enter(reader, slice_str(name));
    trigger->kind = (enum trigger_kind)kind;
    reader->trigger_kinds |= 1u << kind;
    if (trigger->kind == TRIGGER_KEY || trigger->kind == TRIGGER_ABSENT)
        read_pattern(reader, value, &trigger->pattern);
    else if (trigger->kind == TRIGGER_RECIPE)
        read_other(reader, value, trigger);
    else
        make_inbox(reader, trigger);
    reader__leave(reader, mark);
}

/* Calls `read` for each item of `if`. */
static void each_trigger(struct reader *reader, const struct doc_value *value,
                         void (*read)(struct reader *reader,
                                      const struct doc_value *map,
                                      struct trigger *trigger))
{
    struct items items;
    size_t mark = reader__enter(reader, SLICE("if"));
    reader__items(reader, value, RECIPE_TRIGGERS_MAX, &items);
    for (size_t i = 0; i < items.count && !reader->err; i++) {
        size_t item_mark = reader__enter_item(reader, i);
        read(reader, items.list[i], &reader->recipe->triggers[i]);
        reader__leave(reader, item_mark);
    }
    reader__leave(reader, mark);
}

void triggers__read_patterns(struct reader *reader,
                             const struct doc_value *value)
{
    struct recipe *recipe = reader->recipe;
    struct items items;
    reader__items(reader, value, SIZE_MAX, &items);
    recipe->trigger_count = items.count + 1;
    recipe->triggers = arena_alloc(reader->arena, recipe->trigger_count *
                                                      sizeof *recipe->triggers);
    for (size_t i = 0; i < recipe->trigger_count; i++)
        recipe->triggers[i] = (struct trigger){.index = i};
    struct trigger *call = &recipe->triggers[items.count];
    call->kind = TRIGGER_CALL;
    make_inbox(reader, call);
    if (items.count == 0) {
        size_t mark = reader__enter(reader, SLICE("if"));
        reader__fail(reader, value,
                     "an empty list: write at least one trigger");
        reader__leave(reader, mark);
    }
    each_trigger(reader, value, read_kind);
}

/* ---- the rest ----------------------------------------------------------- */

static void check_events(struct reader *reader, const struct doc_value *map,
                         const struct trigger *trigger)
{
    bool needs_value = trigger->crosses.of || trigger->changed;
    size_t mark = reader__enter(reader, SLICE("events"));
    if (needs_value && !(trigger->events & EVENT_PUT))
        reader__fail(reader, doc_get(map, "events"),
                     "%s looks at a value, and with these events there is "
                     "none: write events: [put]",
                     trigger->crosses.of ? "crosses" : "changed");
    reader__leave(reader, mark);
}

static void read_rest(struct reader *reader, const struct doc_value *map,
                      struct trigger *trigger)
{
    CHECK(map->kind == DOC_MAP); /* read_kind has asked */
    struct trigger_source source = {.trigger = trigger, .map = map};
    if (trigger->kind == TRIGGER_KEY)
        trigger->events = EVENT_PUT;
    if (trigger->kind == TRIGGER_ABSENT)
        trigger->events = EVENT_PUT | EVENT_DELETE | EVENT_EXPIRE;
    reader__map(reader, map, &triggers__schema, trigger->kind, &source);
    if (!reader->err)
        check_events(reader, map, trigger);
    if (!reader->err && trigger->kind == TRIGGER_ABSENT && !trigger->for_ns)
        reader__fail(reader, map,
                     "\"for\" is missing: write how long the key may stay "
                     "away, for: 30s");
}

void triggers__read(struct reader *reader, const struct doc_value *value)
{
    each_trigger(reader, value, read_rest);
}
