/* Lists, maps and their fields. */
#include "base/check.h"
#include "expr/code_int.h"

enum { KEYS_A_STEP = 8 };

static bool find_error(const struct value *values, size_t count,
                       struct value *out)
{
    for (size_t i = 0; i < count; i++) {
        if (values[i].kind == VALUE_ERROR) {
            *out = values[i];
            return true;
        }
    }
    return false;
}

void collect__list(struct run *run, const struct value *values, size_t count,
                   struct value *out)
{
    out->kind = VALUE_NULL;
    if (find_error(values, count, out))
        return;
    struct value_list *list = run__alloc(run, sizeof *list);
    struct value *items = run__alloc(run, count * sizeof *items);
    if (list == NULL || items == NULL)
        return;
    if (count)
        memcpy(items, values, count * sizeof *items);
    *list = (struct value_list){.count = count, .items = items};
    *out = (struct value){.kind = VALUE_LIST, .list = list};
}

static bool is_key(const struct value *value)
{
    return value->kind == VALUE_BOOL || value->kind == VALUE_INT ||
           value->kind == VALUE_UINT || value->kind == VALUE_STRING;
}

/* False: the key is no key, or has been there. */
static bool take_key(struct run *run, const struct value_map *map,
                     const struct value *key, struct value *out)
{
    if (!is_key(key)) {
        *out = run__error(run,
                          "no such overload: a map's key is a bool, an int, a "
                          "uint or a string, and this is of kind %s",
                          value_kind_text(key->kind));
        return false;
    }
    if (!run__steps(run, map->count / KEYS_A_STEP))
        return false;
    for (size_t i = 0; i < map->count; i++) {
        if (value_equals(&map->keys[i], key)) {
            *out = run__error(run, "a map has the same key twice");
            return false;
        }
    }
    return true;
}

void collect__map(struct run *run, const struct value *pairs, size_t count,
                  struct value *out)
{
    out->kind = VALUE_NULL;
    if (find_error(pairs, count * 2, out))
        return;
    struct value_map *map = run__alloc(run, sizeof *map);
    struct value *all = run__alloc(run, count * 2 * sizeof *all);
    if (map == NULL || all == NULL)
        return;
    *map = (struct value_map){.keys = all, .values = all + count};
    for (size_t i = 0; i < count; i++) {
        if (!take_key(run, map, &pairs[i * 2], out))
            return;
        map->keys[map->count] = pairs[i * 2];
        map->values[map->count++] = pairs[i * 2 + 1];
    }
    *out = (struct value){.kind = VALUE_MAP, .map = map};
}

/* ---- fields ------------------------------------------------------------- */

/* NULL: there is none, or the budget is used up. */
static const struct value *
find_member(struct run *run, const struct value_map *map, struct slice name)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct value *key = &map->keys[i];
        if (i % KEYS_A_STEP == KEYS_A_STEP - 1 && !run__steps(run, 1))
            return NULL;
        if (key->kind == VALUE_STRING && key->text.size == name.size &&
            memcmp(key->text.at, name.at, name.size) == 0)
            return &map->values[i];
    }
    return NULL;
}

void collect__field(struct run *run, const struct value *target,
                    struct slice name, struct value *out)
{
    if (target->kind == VALUE_MAP) {
        const struct value *member = find_member(run, target->map, name);
        *out = member ? *member
                      : run__error(run, "no such key: %.*s", (int)name.size,
                                   name.at);
    } else if (target->kind == VALUE_ERROR) {
        *out = *target;
    } else {
        *out =
            run__error(run,
                       "no such overload: the field '%.*s' of a value of "
                       "kind %s, which is no map",
                       (int)name.size, name.at, value_kind_text(target->kind));
    }
}

void collect__has_field(struct run *run, const struct value *target,
                        struct slice name, struct value *out)
{
    if (target->kind == VALUE_MAP)
        *out = value_bool(find_member(run, target->map, name) != NULL);
    else if (target->kind == VALUE_ABSENT || target->kind == VALUE_NULL)
        *out = value_bool(false); /* `prev` is null where there was none */
    else if (target->kind == VALUE_ERROR)
        *out = *target;
    else
        *out = run__error(run,
                          "no such overload: has() of a value of kind %s, "
                          "which is no map",
                          value_kind_text(target->kind));
}
