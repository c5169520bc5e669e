/* Templates and forms with a run's ingredients put in. */
#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "recipe/machine_int.h"

struct slice form__shorten(struct slice text, size_t max)
{
    if (text.size <= max)
        return text;
    size_t size = max;
    /* Not in the middle of a character. */
    while (size > 0 && ((unsigned char)text.at[size] & 0xc0) == 0x80)
        size--;
    return slice_of(text.at, size);
}

struct slice form__printf(struct arena *arena, const char *format, ...)
{
    struct buf text = {0};
    va_list args;
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    struct slice copy = turn__copy(arena, buf_slice(&text));
    buf_deinit(&text);
    return copy;
}

struct slice form__json(struct arena *arena, const struct value *value)
{
    struct buf text = {0};
    value_write_json(&text, value);
    struct slice copy = turn__copy(arena, buf_slice(&text));
    buf_deinit(&text);
    return copy;
}

static struct slice as_text(struct arena *arena, const struct value *value)
{
    if (value->kind == VALUE_STRING || value->kind == VALUE_BYTES)
        return value->text;
    struct buf text = {0};
    value_write_text(&text, value);
    struct slice copy = turn__copy(arena, buf_slice(&text));
    buf_deinit(&text);
    return copy;
}

/* An error, or nothing by that name. */
static bool is_wrong(const struct value *value, struct slice *why)
{
    if (value->kind == VALUE_ERROR)
        *why = form__shorten(value->text, ERROR_BYTES_MAX);
    else if (value->kind == VALUE_ABSENT)
        *why = SLICE("there is no such ingredient at this event");
    else
        return false;
    return true;
}

static bool eval_template(struct scene *scene, const struct template *template,
                          struct value *out, struct slice *why)
{
    *why = SLICE("");
    return scene__eval_template(scene, template, out) && !is_wrong(out, why);
}

bool form__text(struct scene *scene, const struct template *template,
                struct slice *out, struct slice *why)
{
    struct value value;
    if (!eval_template(scene, template, &value, why))
        return false;
    *out = as_text(scene->unit->arena, &value);
    return true;
}

static bool list_value(struct scene *scene, const struct form *form,
                       struct value *out, struct slice *why)
{
    struct arena *arena = scene->unit->arena;
    struct value_list *list = arena_alloc(arena, sizeof *list);
    list->count = form->count;
    list->items = arena_alloc(arena, (form->count + 1) * sizeof *list->items);
    for (size_t i = 0; i < form->count; i++) {
        if (!form__value(scene, &form->items[i], &list->items[i], why))
            return false;
    }
    *out = (struct value){.kind = VALUE_LIST, .list = list};
    return true;
}

static bool map_value(struct scene *scene, const struct form *form,
                      struct value *out, struct slice *why)
{
    struct arena *arena = scene->unit->arena;
    struct value_map *map = arena_alloc(arena, sizeof *map);
    map->count = form->count;
    map->keys = arena_alloc(arena, (form->count + 1) * sizeof *map->keys);
    map->values = arena_alloc(arena, (form->count + 1) * sizeof *map->values);
    for (size_t i = 0; i < form->count; i++) {
        map->keys[i] = value_string(form->names[i]);
        if (!form__value(scene, &form->items[i], &map->values[i], why))
            return false;
    }
    *out = (struct value){.kind = VALUE_MAP, .map = map};
    return true;
}

bool form__value(struct scene *scene, const struct form *form,
                 struct value *out, struct slice *why)
{
    *why = SLICE("");
    switch (form->kind) {
    case FORM_CONSTANT:
        *out = form->constant;
        return true;
    case FORM_TEMPLATE:
        return eval_template(scene, form->template, out, why);
    case FORM_LIST:
        return list_value(scene, form, out, why);
    case FORM_MAP:
        return map_value(scene, form, out, why);
    }
    UNREACHABLE();
}

bool form__put_text(struct scene *scene, const struct form *form,
                    struct slice *out, struct slice *why)
{
    struct value value;
    if (!form__value(scene, form, &value, why))
        return false;
    *out = value.kind == VALUE_LIST || value.kind == VALUE_MAP
               ? form__json(scene->unit->arena, &value)
               : as_text(scene->unit->arena, &value);
    return true;
}
