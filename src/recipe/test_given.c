#include "base/check.h"
#include "base/time_text.h"
#include "recipe/test_int.h"

enum {
    CLOCKS = 1u << TRIGGER_EVERY | 1u << TRIGGER_CRON | 1u << TRIGGER_AT,
    FETCHES = 1u << TRIGGER_FEED | 1u << TRIGGER_POLL,
};

/* ---- which trigger ------------------------------------------------------- */

static bool is_one_of(const struct test_world *world, size_t trigger,
                      unsigned kinds)
{
    return trigger < world->recipe.trigger_count &&
           (kinds & 1u << world->recipe.triggers[trigger].kind) != 0;
}

static bool find_trigger(struct test_world *world, unsigned kinds,
                         const char *what, size_t *out)
{
    for (*out = 0; *out < world->recipe.trigger_count; ++*out) {
        if (is_one_of(world, *out, kinds)) {
            return true;
        }
    }
    world->fault =
        arena_printf(&world->arena, "the recipe has no %s trigger", what);
    return false;
}

/* ---- what came in before ------------------------------------------------- */

/* Ids of deliveries and items come in once. Empty: it has none. */
static bool is_repeated(struct test_world *world, size_t trigger,
                        struct slice id, int64_t for_ns)
{
    struct test_seen *seen;
    if (id.size == 0) {
        return false;
    }
    for (seen = world->seen; seen != NULL; seen = seen->next) {
        if (seen->trigger == trigger && seen->until_ns > world->now_ns &&
            slice_eq(seen->id, id)) {
            return true;
        }
    }
    seen = arena_alloc(&world->arena, sizeof(*seen));
    *seen = (struct test_seen){
        .next = world->seen,
        .trigger = trigger,
        .id = id,
        .until_ns = for_ns < INT64_MAX - world->now_ns ? world->now_ns + for_ns
                                                       : INT64_MAX,
    };
    world->seen = seen;
    return false;
}

/* What the expression says of what came in; empty where that can't be said. */
static struct slice id_by(struct test_world *world, const struct expr *expr,
                          enum ingredient one, struct value first,
                          enum ingredient other, struct value second)
{
    size_t count = world->recipe.names.count;
    struct value *slots = arena_alloc(&world->arena, count * sizeof(*slots));
    const struct expr_world outside = {.zones = world->zones,
                                       .now_ns = world->now_ns};
    struct value id;
    for (size_t i = 0; i < count; i++) {
        slots[i] = (struct value){.kind = VALUE_ABSENT};
    }
    slots[INGREDIENT_RECIPE] = value_string(world->recipe.name);
    slots[INGREDIENT_LABELS] = world->recipe.labels;
    slots[one] = first;
    slots[other] = second;
    if (expr_eval(expr, slots, &outside, &expr_budget_default, &world->arena,
                  &id) != EXPR_DONE ||
        id.kind == VALUE_ERROR) {
        return SLICE("");
    }
    struct buf text = {0};
    value_write_text(&text, &id);
    struct slice kept = test_world__keep(world, buf_slice(&text));
    buf_deinit(&text);
    return kept;
}

/* ---- clocks, webhooks, items, runs --------------------------------------- */

/* A map with these members, as a key of the inbox has it. */
static void arrive(struct test_world *world, size_t trigger, const char *one,
                   const struct value *first, const char *other,
                   const struct value *second)
{
    struct buf json = {0};
    char *id = arena_printf(&world->arena, "%s%zu", one, world->store.count);
    buf_printf(&json, "{\"%s\":", one);
    value_write_json(&json, first);
    if (other != NULL) {
        buf_printf(&json, ",\"%s\":", other);
        value_write_json(&json, second);
    }
    buf_append_char(&json, '}');
    test_world__arrive(world, trigger, slice_str(id), buf_slice(&json));
    buf_deinit(&json);
}

static void give_tick(struct test_world *world, const struct doc_value *doc)
{
    size_t trigger;
    if (doc->kind == DOC_INT) {
        trigger = (size_t)doc->integer;
        if (!is_one_of(world, trigger, CLOCKS)) {
            world->fault = arena_printf(
                &world->arena, "if[%zu] is no every, cron or at", trigger);
            return;
        }
    } else if (!find_trigger(world, CLOCKS, "every, cron or at", &trigger)) {
        return;
    }
    test_world__tick(world, trigger, world->now_ns);
}

static bool find_webhook(struct test_world *world, const struct doc_value *path,
                         size_t *out)
{
    if (path == NULL) {
        return find_trigger(world, 1u << TRIGGER_WEBHOOK, "webhook", out);
    }
    for (*out = 0; *out < world->recipe.trigger_count; ++*out) {
        if (is_one_of(world, *out, 1u << TRIGGER_WEBHOOK) &&
            slice_eq(world->recipe.triggers[*out].hook.path, path->text)) {
            return true;
        }
    }
    world->fault =
        arena_printf(&world->arena, "the recipe has no webhook at %.*s",
                     (int)path->text.size, path->text.at);
    return false;
}

/* Names of headers come in lower case. */
static struct value headers_of(struct test_world *world,
                               const struct doc_value *doc)
{
    size_t count = doc != NULL ? doc->count : 0;
    struct value_map *map = arena_alloc(&world->arena, sizeof(*map));
    *map = (struct value_map){
        .count = count,
        .keys = arena_alloc(&world->arena, (count + 1) * sizeof(struct value)),
        .values =
            arena_alloc(&world->arena, (count + 1) * sizeof(struct value)),
    };
    for (size_t i = 0; i < count; i++) {
        struct slice name = doc->members[i].name;
        char *lower = arena_dup(&world->arena, name.at, name.size);
        for (size_t j = 0; j < name.size; j++) {
            bool is_upper = lower[j] >= 'A' && lower[j] <= 'Z';
            lower[j] = (char)(is_upper ? lower[j] | 0x20 : lower[j]);
        }
        map->keys[i] = value_string(slice_of(lower, name.size));
        map->values[i] =
            value_string(test_world__text(world, doc->members[i].value));
    }
    return (struct value){.kind = VALUE_MAP, .map = map};
}

/* Where the recipe doesn't say: what senders number their deliveries by, else
 * all of the body. */
static struct slice delivery_of(const struct value *headers, struct slice body)
{
    static const char *const names[] = {"x-github-delivery", "webhook-id",
                                        "x-delivery-id", "idempotency-key"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct value *id = value_member(headers, slice_str(names[i]));
        if (id != NULL && id->text.size > 0) {
            return id->text;
        }
    }
    return body;
}

static void give_webhook(struct test_world *world, const struct doc_value *doc)
{
    size_t trigger;
    if (!find_webhook(world, doc_get(doc, "path"), &trigger)) {
        return;
    }
    const struct trigger *at = &world->recipe.triggers[trigger];
    const struct doc_value *given = doc_get(doc, "body");
    struct value headers = headers_of(world, doc_get(doc, "headers"));
    struct value body =
        given ? value_from_doc(&world->arena, given) : value_string(SLICE(""));
    struct slice id =
        at->hook.dedupe
            ? id_by(world, at->hook.dedupe, INGREDIENT_BODY, body,
                    INGREDIENT_HEADERS, headers)
            : delivery_of(&headers,
                          given ? test_world__text(world, given) : SLICE(""));
    if (!is_repeated(world, trigger, id, at->hook.dedupe_ns)) {
        arrive(world, trigger, "body", &body, "headers", &headers);
    }
}

static void give_item(struct test_world *world, const struct doc_value *doc)
{
    size_t trigger;
    if (!find_trigger(world, FETCHES, "feed or poll", &trigger)) {
        return;
    }
    const struct trigger *at = &world->recipe.triggers[trigger];
    struct value item = value_from_doc(&world->arena, doc);
    struct slice id = SLICE("");
    const struct value *own = value_member(&item, SLICE("id"));
    if (at->fetch.id != NULL) {
        id = id_by(world, at->fetch.id, INGREDIENT_ITEM, item, INGREDIENT_ITEM,
                   item);
    } else if (own != NULL && own->kind == VALUE_STRING) {
        id = own->text;
    }
    if (!is_repeated(world, trigger, id, INT64_MAX)) {
        arrive(world, trigger, "item", &item, NULL, NULL);
    }
}

static void give_run(struct test_world *world, const struct doc_value *doc)
{
    const struct doc_value *inner = doc_get(doc, "args");
    struct value args = value_from_doc(&world->arena, inner ? inner : doc);
    arrive(world, world->recipe.trigger_count - 1, "args", &args, NULL, NULL);
}

/* ---- keys and time ------------------------------------------------------- */

static void give_put(struct test_world *world, const struct doc_value *doc)
{
    test_world__put(world, doc_get(doc, "key")->text,
                    test_world__text(world, doc_get(doc, "value")));
}

static void give_delete(struct test_world *world, const struct doc_value *doc)
{
    test_world__delete(world, doc->text, false);
}

static void give_expire(struct test_world *world, const struct doc_value *doc)
{
    test_world__delete(world, doc->text, true);
}

static void give_advance(struct test_world *world, const struct doc_value *doc)
{
    int64_t span = 0;
    int64_t until = 0;
    CHECK(recipe_duration(doc->text, &span)); /* recipe_parse has read it */
    if (__builtin_add_overflow(world->now_ns, span, &until)) {
        world->fault = "that is beyond the end of time";
        return;
    }
    test_world__advance(world, until);
}

/* The test's beginning; later on, time passes until then. */
static void give_at(struct test_world *world, const struct doc_value *doc)
{
    int64_t at = 0;
    CHECK(time_from_rfc3339(doc->text, &at));
    if (world->store.count == 0 && world->deed_count == 0) {
        world->now_ns = at;
    } else if (at < world->now_ns) {
        world->fault = "time doesn't run back";
    } else {
        test_world__advance(world, at);
    }
}

static void give_answer(struct test_world *world, const struct doc_value *doc)
{
    world->answers = doc;
}

static const struct {
    const char *name;
    void (*give)(struct test_world *world, const struct doc_value *doc);
} kinds[] = {
    {"put", give_put},         {"delete", give_delete}, {"expire", give_expire},
    {"advance", give_advance}, {"at", give_at},         {"tick", give_tick},
    {"webhook", give_webhook}, {"item", give_item},     {"run", give_run},
    {"answer", give_answer},
};

void test_given__do(struct test_world *world, const struct doc_value *row)
{
    const struct doc_member *member = &row->members[0];
    size_t i = 0;
    while (i < sizeof kinds / sizeof kinds[0] &&
           !slice_eq(slice_str(kinds[i].name), member->name)) {
        i++;
    }
    CHECK(i < sizeof kinds / sizeof kinds[0]); /* recipe_parse has read it */
    kinds[i].give(world, member->value);
    test_world__settle(world);
}
