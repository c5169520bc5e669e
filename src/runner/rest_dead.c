/* Dead letters: actions outside that were given up. Each is one key. To retry
 * one is to put a wish in the inbox; the owner of the recipe does it. */
#include "base/check.h"
#include "runner/rest_int.h"

enum { RETRIED_AT_ONCE = 100 };

static void write_letter(struct request *request, struct buf *json,
                         const Mvccpb__KeyValue *kv)
{
    enum recipe_key kind;
    struct slice name;
    struct slice rest;
    struct doc_value *doc;
    if (!recipe_key_read(message_bytes(kv->key), &kind, &name, &rest)) {
        return;
    }
    buf_append_str(json, json->at[json->size - 1] == '[' ? "{" : ",{");
    rest__text(json, "recipe", name);
    rest__text(json, "id", rest);
    rest__integer(json, "revision", kv->mod_revision);
    /* What goes on with it is in there too, and nobody's business. */
    if (doc_parse_json(&request->arena, message_bytes(kv->value),
                       &doc_limits_default, &doc) == ERR_OK) {
        static const char *const shown[] = {"error",    "step",    "attempt",
                                            "attempts", "request", "time",
                                            "kind",     "record"};
        for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
            const struct doc_value *member = doc_get(doc, shown[i]);
            if (member != NULL) {
                struct value value = value_from_doc(&request->arena, member);
                rest__name(json, shown[i]);
                value_write_json(json, &value);
            }
        }
    }
    buf_append_char(json, '}');
}

static void listed(struct runner *runner, void *context,
                   const struct store_answer *answer)
{
    struct request *request = context;
    struct buf json = {0};
    (void)runner;
    request->call = 0;
    if (answer->code != 0) {
        rest__store_error(request, answer);
        return;
    }
    const Etcdserverpb__RangeResponse *range = answer->range;
    buf_append_str(&json, "{\"dead\":[");
    for (size_t i = 0; i < range->n_kvs; i++) {
        write_letter(request, &json, range->kvs[i]);
    }
    buf_append_char(&json, ']');
    if (range->more && range->n_kvs > 0) {
        struct slice key = message_bytes(range->kvs[range->n_kvs - 1]->key);
        size_t prefix = sizeof(RECIPES_PREFIX "dead/") - 1;
        rest__text(&json, "next", slice_of(key.at + prefix, key.size - prefix));
    }
    buf_append_char(&json, '}');
    rest__answer(request, 200, &json);
}

/* [from, end) of the list; false: answered. */
static bool find_range(struct request *request, struct slice *from,
                       struct slice *end)
{
    struct slice recipe = rest__parameter(request, "recipe");
    struct slice after = rest__parameter(request, "after");
    if (recipe.size > 0 && !recipe_name_is_valid(recipe)) {
        rest__error(request, 400, "invalid", "that is no recipe's name");
        return false;
    }
    *from = recipe.size > 0
                ? rest__key(request, RECIPE_KEY_DEAD, recipe, "")
                : rest__keep(request, SLICE(RECIPES_PREFIX "dead/"));
    *end = rest__end(request, *from);
    if (after.size > 0) {
        char *key = arena_printf(&request->arena, RECIPES_PREFIX "dead/%.*s",
                                 (int)after.size, after.at);
        *from = slice_of(key, strlen(key) + 1); /* with a 0: right behind it */
    }
    return true;
}

void rest__list_dead(struct request *request)
{
    struct slice from;
    struct slice end;
    int64_t limit = REST_PAGE;
    if (rest__number(request, "limit", 1, REST_PAGE_MAX, &limit) &&
        find_range(request, &from, &end)) {
        rest__range(request, from, &end, 0, limit, listed);
    }
}

/* ---- one ----------------------------------------------------------------- */

static struct slice dead_key(struct request *request)
{
    return rest__key(request, RECIPE_KEY_DEAD, request->segments[1],
                     arena_printf(&request->arena, "%.*s",
                                  (int)request->segments[2].size,
                                  request->segments[2].at));
}

static void one_done(struct runner *runner, void *context,
                     const struct store_answer *answer)
{
    struct request *request = context;
    struct buf json = {0};
    (void)runner;
    request->call = 0;
    if (answer->code != 0) {
        rest__store_error(request, answer);
        return;
    }
    if (!answer->txn->succeeded) {
        rest__error(request, 404, "not_found",
                    "there is no dead letter %.*s of \"%.*s\"",
                    (int)request->segments[2].size, request->segments[2].at,
                    (int)request->segments[1].size, request->segments[1].at);
        return;
    }
    buf_append_char(&json, '{');
    rest__text(&json, "recipe", request->segments[1]);
    rest__text(&json, "id", request->segments[2]);
    buf_append_char(&json, '}');
    rest__answer(request, request->state ? 202 : 200, &json);
}

static void begin_if_there(struct request *request, struct store_txn *txn)
{
    const struct turn_compare compare = {.key = dead_key(request),
                                         .target = TURN_VERSION,
                                         .operator= TURN_GREATER,
                                         .number = 0};
    store_txn__begin(txn);
    store_txn__compare(txn, &compare);
}

void rest__delete_dead(struct request *request)
{
    struct store_txn txn;
    begin_if_there(request, &txn);
    store_txn__delete(&txn, dead_key(request), (struct slice){0});
    rest__txn(request, &txn, one_done);
}

static struct slice wish_key(struct request *request, struct slice name,
                             struct slice id)
{
    return rest__key(
        request, RECIPE_KEY_IN, name,
        arena_printf(&request->arena, "retry/%.*s", (int)id.size, id.at));
}

void rest__retry_dead(struct request *request)
{
    struct store_txn txn;
    request->state = request; /* 202: it is done by its owner */
    begin_if_there(request, &txn);
    store_txn__put(
        &txn, wish_key(request, request->segments[1], request->segments[2]),
        SLICE("{}"), 0);
    rest__txn(request, &txn, one_done);
}

/* ---- all ----------------------------------------------------------------- */

struct retry_all {
    struct slice end;
    struct slice next; /* empty: that's all */
    int64_t count;
};

static void all_read(struct runner *runner, void *context,
                     const struct store_answer *answer);

static void answer_all(struct request *request)
{
    struct retry_all *all = request->state;
    struct buf json = {0};
    buf_append_char(&json, '{');
    rest__integer(&json, "retried", all->count);
    buf_append_char(&json, '}');
    rest__answer(request, 202, &json);
}

static void some_done(struct runner *runner, void *context,
                      const struct store_answer *answer)
{
    struct request *request = context;
    struct retry_all *all = request->state;
    (void)runner;
    request->call = 0;
    if (answer->code != 0) {
        rest__store_error(request, answer);
    } else if (all->next.size == 0) {
        answer_all(request);
    } else {
        rest__range(request, all->next, &all->end, 0, RETRIED_AT_ONCE,
                    all_read);
    }
}

static void all_read(struct runner *runner, void *context,
                     const struct store_answer *answer)
{
    struct request *request = context;
    struct retry_all *all = request->state;
    struct store_txn txn;
    enum recipe_key kind;
    struct slice name;
    struct slice rest;
    (void)runner;
    request->call = 0;
    if (answer->code != 0) {
        rest__store_error(request, answer);
        return;
    }
    const Etcdserverpb__RangeResponse *range = answer->range;
    if (range->n_kvs == 0) {
        answer_all(request);
        return;
    }
    store_txn__begin(&txn);
    for (size_t i = 0; i < range->n_kvs; i++) {
        struct slice key = message_bytes(range->kvs[i]->key);
        if (recipe_key_read(key, &kind, &name, &rest)) {
            store_txn__put(&txn, wish_key(request, name, rest), SLICE("{}"), 0);
            all->count++;
        }
        /* Right behind it. */
        char *next = arena_alloc(&request->arena, key.size + 1);
        memcpy(next, key.at, key.size);
        next[key.size] = 0;
        all->next = slice_of(next, range->more ? key.size + 1 : 0);
    }
    rest__txn(request, &txn, some_done);
}

void rest__retry_all(struct request *request)
{
    struct retry_all *all = arena_alloc(&request->arena, sizeof(*all));
    struct slice from;
    *all = (struct retry_all){0};
    request->state = all;
    if (find_range(request, &from, &all->end)) {
        rest__range(request, from, &all->end, 0, RETRIED_AT_ONCE, all_read);
    }
}
