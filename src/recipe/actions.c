/* `then` and `on_failure`: what is done, in order. */
#include "base/check.h"
#include "recipe/recipe_int.h"

bool action_is_outside(enum action_kind kind)
{
    return kind == ACTION_HTTP || kind == ACTION_EMAIL || kind == ACTION_EXEC;
}

const char *action_kind_text(enum action_kind kind)
{
    static const char *const texts[] = {
        [ACTION_PUT] = "put",     [ACTION_DELETE] = "delete",
        [ACTION_TXN] = "txn",     [ACTION_HTTP] = "http",
        [ACTION_EMAIL] = "email", [ACTION_EXEC] = "exec",
        [ACTION_LOG] = "log",     [ACTION_CALL] = "call",
        [ACTION_WAIT] = "wait",
    };
    CHECK_LE(kind, ACTION_WAIT);
    return texts[kind];
}

/* ---- put and delete ----------------------------------------------------- */

/* Every key of the service begins so, and those of nobody else. */
static bool is_in_service(struct slice key)
{
    return slice_has_prefix(key, SLICE(RECIPES_PREFIX)) ||
           slice_eq(key, SLICE("/_recipes"));
}

static struct template *read_key_template(struct reader *reader,
                                          const struct doc_value *value)
{
    struct template *key = names__template(reader, value, reader->scope);
    if (!key)
        return NULL;
    if (template_is_literal(key) && template_literal_prefix(key).size == 0)
        reader__fail(reader, value, "a key has at least one byte");
    else if (is_in_service(template_literal_prefix(key)))
        reader__fail(reader, value,
                     "what is below /_recipes/ is the service's own: write "
                     "another key");
    return key;
}

static void read_put_key(struct reader *reader, const struct doc_value *value,
                         void *into)
{
    struct action *action = into;
    action->key = read_key_template(reader, value);
}

static void read_put_value(struct reader *reader, const struct doc_value *value,
                           void *into)
{
    ((struct action *)into)->value = form__read(reader, value, reader->scope);
}

/* Leases count in seconds. */
static void read_ttl(struct reader *reader, const struct doc_value *value,
                     void *into)
{
    reader__duration(reader, value, second_ns,
                     &((struct action *)into)->ttl_ns);
}

static const struct field put_fields[] = {
    {.name = "key",
     .read = read_put_key,
     .needed = "the key that is put, key: /alerts/{{key}}"},
    {.name = "value",
     .read = read_put_value,
     .needed = "what is put there, value: \"{{value}}\""},
    {.name = "ttl", .read = read_ttl},
};
static const struct schema put_schema = {.what = "put",
                                         SCHEMA_FIELDS(put_fields)};

static void read_put(struct reader *reader, const struct doc_value *value,
                     void *into)
{
    struct action *action = into;
    reader__map(reader, value, &put_schema, 0, action);
    if (reader->err)
        return;
    size_t mark = reader__enter(reader, SLICE("key"));
    writes__read(reader, doc_get(value, "key"), action);
    reader__leave(reader, mark);
}

static void read_delete_prefix(struct reader *reader,
                               const struct doc_value *value, void *into)
{
    reader__bool(reader, value, &((struct action *)into)->prefix);
}

static const struct field delete_fields[] = {
    {.name = "key",
     .read = read_put_key,
     .needed = "the key that is deleted, key: /alerts/{{key}}"},
    {.name = "prefix", .read = read_delete_prefix, .standard = "false"},
};
static const struct schema delete_schema = {.what = "delete",
                                            SCHEMA_FIELDS(delete_fields)};

/* "/", "/_re": all below takes the service with it. */
static void check_delete_prefix(struct reader *reader,
                                const struct doc_value *key,
                                const struct action *action)
{
    struct slice known = template_literal_prefix(action->key);
    if (action->prefix && template_is_literal(action->key) &&
        slice_has_prefix(SLICE(RECIPES_PREFIX), known))
        reader__fail(reader, key,
                     "\"%.*s\" and all below has the service's own keys "
                     "(/_recipes/) in it: write a longer prefix",
                     SHOWN(known));
}

static void read_delete(struct reader *reader, const struct doc_value *value,
                        void *into)
{
    struct action *action = into;
    const struct doc_value *key = value;
    size_t mark = reader->path_size;
    CHECK_EQ(action->kind, ACTION_DELETE);
    if (value->kind == DOC_MAP) {
        reader__map(reader, value, &delete_schema, 0, action);
        key = doc_get(value, "key");
        reader__enter(reader, SLICE("key"));
    } else {
        read_put_key(reader, value, action);
    }
    if (!reader->err)
        check_delete_prefix(reader, key, action);
    if (!reader->err)
        writes__read(reader, key, action);
    reader__leave(reader, mark);
}

/* ---- txn ---------------------------------------------------------------- */

static void read_compare_key(struct reader *reader,
                             const struct doc_value *value, void *into)
{
    ((struct compare *)into)->key =
        names__template(reader, value, reader->scope);
}

static void read_compare_value(struct reader *reader,
                               const struct doc_value *value, void *into)
{
    ((struct compare *)into)->value = form__read(reader, value, reader->scope);
}

/* version, created, modified: a number, or a template that gives one. */
static void read_compare_number(struct reader *reader,
                                const struct doc_value *value, void *into)
{
    bool is_number = value->kind == DOC_INT && value->integer >= 0;
    if (!is_number && value->kind != DOC_STRING)
        reader__fail(reader, value,
                     "write a whole number from 0 on, or a template that "
                     "gives one, \"{{event.revision}}\"");
    else
        read_compare_value(reader, value, into);
}

static void read_compare_exists(struct reader *reader,
                                const struct doc_value *value, void *into)
{
    bool exists;
    if (reader__bool(reader, value, &exists))
        read_compare_value(reader, value, into);
}

static void read_compare_op(struct reader *reader,
                            const struct doc_value *value, void *into)
{
    static const char *const words[] = {"=", "!=", ">", "<"};
    struct compare *compare = into;
    size_t word;
    if (!reader__choice(reader, value, words, 4, &word))
        return;
    compare->operator=(unsigned) word;
    if (compare->target == COMPARE_EXISTS && word != COMPARE_EQUAL)
        reader__fail(reader, value, "exists is true or false: leave op out");
}

/* Behind the key five stand in the order of the targets. */
static const struct field compare_fields[] = {
    {.name = "key",
     .read = read_compare_key,
     .needed = "the key that is compared"},
    {.name = "value", .read = read_compare_value},
    {.name = "version", .read = read_compare_number},
    {.name = "created", .read = read_compare_number},
    {.name = "modified", .read = read_compare_number},
    {.name = "exists", .read = read_compare_exists},
    {.name = "op", .read = read_compare_op, .standard = "\"=\""},
};
static const struct schema compare_schema = {.what = "a comparison",
                                             SCHEMA_FIELDS(compare_fields),
                                             .kind_first = 1,
                                             .kind_count = COMPARE_EXISTS + 1,
                                             .later = NULL};

static void read_compares(struct reader *reader, const struct doc_value *value,
                          void *into)
{
    struct action *action = into;
    struct items items;
    reader__items(reader, value, RECIPE_ACTIONS_MAX, &items);
    action->compares = arena_alloc(reader->arena, (items.count + 1) *
                                                      sizeof *action->compares);
    for (size_t i = 0; i < items.count && !reader->err; i++) {
        struct compare *compare = &action->compares[action->compare_count++];
        size_t mark = reader__enter_item(reader, i);
        *compare = (struct compare){0};
        if (items.list[i]->kind != DOC_MAP)
            reader__fail(reader, items.list[i],
                         "%s is here: write a comparison, {key: /a, value: x}",
                         doc_kind_text(items.list[i]->kind));
        int target = reader->err
                         ? -1
                         : reader__kind(reader, items.list[i], &compare_schema);
        if (target >= 0) {
            compare->target = (unsigned)target;
            reader__map(reader, items.list[i], &compare_schema,
                        (unsigned)target, compare);
        }
        reader__leave(reader, mark);
    }
}

static const struct field txn_action_fields[] = {
    {.name = "put", .read = read_put, .inside = &put_schema},
    {.name = "delete", .read = read_delete, .inside = &delete_schema},
};
static const struct schema txn_action_schema = {
    .what = "an action of a txn",
    SCHEMA_FIELDS(txn_action_fields),
    .kind_first = 0,
    .kind_count = 2,
    .later = NULL};

static void read_txn_actions(struct reader *reader,
                             const struct doc_value *value, struct action **out,
                             size_t *count)
{
    struct items items;
    reader__items(reader, value, RECIPE_ACTIONS_MAX, &items);
    *out = arena_alloc(reader->arena, (items.count + 1) * sizeof **out);
    for (size_t i = 0; i < items.count && !reader->err; i++) {
        struct action *action = &(*out)[(*count)++];
        size_t mark = reader__enter_item(reader, i);
        *action = (struct action){.kind = ACTION_PUT};
        if (items.list[i]->kind == DOC_MAP && doc_get(items.list[i], "delete"))
            action->kind = ACTION_DELETE;
        reader__map(reader, items.list[i], &txn_action_schema, 0, action);
        if (!reader->err)
            reader__kind(reader, items.list[i], &txn_action_schema);
        reader__leave(reader, mark);
    }
}

static void read_txn_then(struct reader *reader, const struct doc_value *value,
                          void *into)
{
    struct action *action = into;
    read_txn_actions(reader, value, &action->then, &action->then_count);
}

static void read_txn_else(struct reader *reader, const struct doc_value *value,
                          void *into)
{
    struct action *action = into;
    read_txn_actions(reader, value, &action->otherwise,
                     &action->otherwise_count);
}

static const struct field txn_fields[] = {
    {.name = "compare",
     .read = read_compares,
     .inside = &compare_schema,
     .needed = "what must be so, compare: [{key: /a, exists: false}]",
     .is_list = true},
    {.name = "then",
     .read = read_txn_then,
     .inside = &txn_action_schema,
     .standard = "[]",
     .is_list = true},
    {.name = "else",
     .read = read_txn_else,
     .inside = &txn_action_schema,
     .standard = "[]",
     .is_list = true},
};
static const struct schema txn_schema = {.what = "txn",
                                         SCHEMA_FIELDS(txn_fields)};

static void read_txn(struct reader *reader, const struct doc_value *value,
                     void *into)
{
    struct action *action = into;
    reader__map(reader, value, &txn_schema, 0, action);
    if (!reader->err && action->then_count + action->otherwise_count == 0)
        reader__fail(reader, value,
                     "this does nothing: write then or else, with put and "
                     "delete in it");
}

/* ---- log, call, wait ---------------------------------------------------- */

static void read_message(struct reader *reader, const struct doc_value *value,
                         void *into)
{
    ((struct action *)into)->message =
        names__template(reader, value, reader->scope);
}

static void read_level(struct reader *reader, const struct doc_value *value,
                       void *into)
{
    static const char *const words[] = {"debug", "info", "warn", "error"};
    size_t word;
    if (reader__choice(reader, value, words, 4, &word))
        ((struct action *)into)->level = (unsigned)word;
}

static const struct field log_fields[] = {
    {.name = "message",
     .read = read_message,
     .needed = "what is logged, message: \"{{key}} changed\""},
    {.name = "level", .read = read_level, .standard = "\"info\""},
};
static const struct schema log_schema = {.what = "log",
                                         SCHEMA_FIELDS(log_fields)};

static void read_log(struct reader *reader, const struct doc_value *value,
                     void *into)
{
    struct action *action = into;
    action->level = LOG_AT_INFO;
    if (value->kind == DOC_MAP)
        reader__map(reader, value, &log_schema, 0, action);
    else
        read_message(reader, value, action);
}

static void read_callee(struct reader *reader, const struct doc_value *value,
                        void *into)
{
    struct action *action = into;
    if (!reader__recipe_name(reader, value, &action->callee))
        return;
    if (slice_eq(action->callee, reader->recipe->name) &&
        !reader->recipe->reentrant)
        reader__fail(reader, value,
                     "this recipe would call itself: write another one's "
                     "name, or loop: {reentrant: true} if that is meant");
}

static void read_args(struct reader *reader, const struct doc_value *value,
                      void *into)
{
    if (value->kind != DOC_MAP)
        reader__fail(reader, value, "%s is here: write a map, args: {x: 1}",
                     doc_kind_text(value->kind));
    else if (value->count > 0)
        ((struct action *)into)->args =
            form__read(reader, value, reader->scope);
}

static const struct field call_fields[] = {
    {.name = "recipe",
     .read = read_callee,
     .needed = "the name of the recipe that is called"},
    {.name = "args", .read = read_args, .standard = "{}"},
};
static const struct schema call_schema = {.what = "call",
                                          SCHEMA_FIELDS(call_fields)};

static void read_call(struct reader *reader, const struct doc_value *value,
                      void *into)
{
    if (value->kind == DOC_MAP)
        reader__map(reader, value, &call_schema, 0, into);
    else
        read_callee(reader, value, into);
}

static void read_wait(struct reader *reader, const struct doc_value *value,
                      void *into)
{
    reader__duration(reader, value, second_ns / 1000,
                     &((struct action *)into)->wait_ns);
}

/* ---- what all have ------------------------------------------------------ */

static bool is_id(struct slice id)
{
    for (size_t i = 0; i < id.size; i++) {
        char c = id.at[i];
        bool is_digit = c >= '0' && c <= '9';
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
              (is_digit && i > 0)))
            return false;
    }
    return id.size > 0 && id.size <= 64;
}

static void read_id(struct reader *reader, const struct doc_value *value,
                    void *into)
{
    struct slice id;
    if (!reader__string(reader, value, &id))
        return;
    if (!is_id(id))
        reader__fail(reader, value,
                     "\"%.*s\" can't be an id: write letters, digits and '_', "
                     "a letter first, at most 64, so that steps.<id> is its "
                     "answer",
                     SHOWN(id));
    for (size_t i = 0; i < reader->id_count; i++) {
        if (slice_eq(id, reader->ids[i]))
            reader__fail(reader, value,
                         "another action has the id \"%.*s\": write a new one",
                         SHOWN(id));
    }
    ((struct action *)into)->id = id;
}

static void read_when(struct reader *reader, const struct doc_value *value,
                      void *into)
{
    ((struct action *)into)->when =
        names__condition(reader, value, reader->scope);
}

static void read_timeout(struct reader *reader, const struct doc_value *value,
                         void *into)
{
    reader__duration(reader, value, second_ns / 1000,
                     &((struct action *)into)->timeout_ns);
}

static void read_retry_max(struct reader *reader, const struct doc_value *value,
                           void *into)
{
    int64_t max;
    if (reader__count(reader, value, 0, 1000, &max))
        ((struct action *)into)->retry.max = (unsigned)max;
}

static void read_retry_base(struct reader *reader,
                            const struct doc_value *value, void *into)
{
    reader__duration(reader, value, second_ns / 1000,
                     &((struct action *)into)->retry.base_ns);
}

static void read_retry_cap(struct reader *reader, const struct doc_value *value,
                           void *into)
{
    struct action *action = into;
    if (reader__duration(reader, value, second_ns / 1000,
                         &action->retry.cap_ns) &&
        action->retry.cap_ns < action->retry.base_ns)
        reader__fail(reader, value,
                     "cap is the longest pause: write one that isn't shorter "
                     "than base");
}

static const struct field retry_fields[] = {
    {.name = "max", .read = read_retry_max, .standard = "8"},
    {.name = "base", .read = read_retry_base, .standard = "\"1s\""},
    {.name = "cap", .read = read_retry_cap, .standard = "\"5m\""},
};
static const struct schema retry_schema = {.what = "retry",
                                           SCHEMA_FIELDS(retry_fields)};

static void read_retry(struct reader *reader, const struct doc_value *value,
                       void *into)
{
    struct action *action = into;
    reader__map(reader, value, &retry_schema, 0, action);
    /* A base that is longer than the cap of those who don't write one. */
    if (action->retry.cap_ns < action->retry.base_ns)
        action->retry.cap_ns = action->retry.base_ns;
}

#define OUTSIDE (1u << ACTION_HTTP | 1u << ACTION_EMAIL | 1u << ACTION_EXEC)
/* The kinds stand in the order of enum action_kind. */
static const struct field fields[] = {
    {.name = "id", .read = read_id},
    {.name = "put", .read = read_put, .inside = &put_schema},
    {.name = "delete", .read = read_delete, .inside = &delete_schema},
    {.name = "txn", .read = read_txn, .inside = &txn_schema},
    {.name = "http", .read = outside__read_http, .inside = &outside__http},
    {.name = "email", .read = outside__read_email, .inside = &outside__email},
    {.name = "exec", .read = outside__read_exec, .inside = &outside__exec},
    {.name = "log", .read = read_log, .inside = &log_schema},
    {.name = "call", .read = read_call, .inside = &call_schema},
    {.name = "wait", .read = read_wait},
    {.name = "if", .read = read_when},
    {.name = "timeout",
     .read = read_timeout,
     .with = OUTSIDE,
     .standard = "\"10s\""},
    {.name = "retry",
     .read = read_retry,
     .with = OUTSIDE,
     .inside = &retry_schema},
};
static const char *const later[] = {"mqtt", "lua", NULL};
const struct schema actions__schema = {.what = "an action",
                                       SCHEMA_FIELDS(fields),
                                       .kind_first = 1,
                                       .kind_count = ACTION_WAIT + 1,
                                       .later = later};

/* Known from here on: `steps.<id>` in those that follow. */
static void add_id(struct reader *reader, struct action *action, size_t index)
{
    if (action->id.size == 0) {
        const char *id =
            arena_printf(reader->arena, "%s%zu", reader->id_prefix, index);
        action->id = slice_str(id);
    }
    CHECK_LT(reader->id_count, RECIPE_IDS_MAX);
    reader->ids[reader->id_count++] = action->id;
}

static void read_action(struct reader *reader, const struct doc_value *map,
                        size_t index, struct action *action)
{
    if (map->kind != DOC_MAP) {
        reader__fail(reader, map,
                     "%s is here: write an action, \"- put: {key: /a, value: "
                     "x}\"",
                     doc_kind_text(map->kind));
        return;
    }
    int kind = reader__kind(reader, map, &actions__schema);
    if (kind < 0)
        return;
    CHECK_LE(kind, ACTION_WAIT);
    *action = (struct action){.kind = (enum action_kind)kind,
                              .timeout_ns = 10 * second_ns};
    action->retry.max = 8;
    action->retry.base_ns = second_ns;
    action->retry.cap_ns = 5 * minute_ns;
    reader__map(reader, map, &actions__schema, (unsigned)kind, action);
    if (!reader->err)
        add_id(reader, action, index);
}

void actions__read(struct reader *reader, const struct doc_value *value,
                   struct action **out, size_t *count)
{
    struct items items;
    reader__items(reader, value, RECIPE_ACTIONS_MAX, &items);
    *out = arena_alloc(reader->arena, (items.count + 1) * sizeof **out);
    for (size_t i = 0; i < items.count && !reader->err; i++) {
        size_t mark = reader__enter_item(reader, i);
        read_action(reader, items.list[i], i, &(*out)[i]);
        reader__leave(reader, mark);
    }
    *count = items.count;
}
