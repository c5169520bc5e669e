/* Dead letters: actions outside that were given up. Each is one key. To retry
 * one is to put a wish in the inbox; the owner of the recipe does it.
 *
 * A letter has the whole run in it, that it can go on; people are shown what
 * became of the action, and of its address the host alone: the rest of it, and
 * what was sent, may hold what is nobody's business. */
#include "base/check.h"
#include "runner/rest_int.h"

enum {
    RETRIED_AT_ONCE = 100,
    LETTERS_OF_PAGE = 20, /* read from the store at a time */
    LISTED_BYTES_MAX = 4 << 20,
};

bool rest__write_letter(struct buf *out, struct slice key, struct slice value,
                        int64_t revision)
{
    /* What goes on with it is in there too, and nobody's business. */
    static const char *const shown[] = {"step", "kind",     "key",
                                        "host", "program",  "error",
                                        "time", "attempts", "uid"};
    enum recipe_key kind;
    struct slice name;
    struct slice rest;
    struct arena arena;
    struct doc_value *doc;
    if (!recipe_key_read(key, &kind, &name, &rest) || kind != RECIPE_KEY_DEAD ||
        rest.size == 0) {
        return false;
    }
    arena_init(&arena, 0);
    buf_append_char(out, '{');
    rest__text(out, "recipe", name);
    rest__text(out, "id", rest);
    rest__integer(out, "revision", revision);
    if (doc_parse_json(&arena, value, &rest__record_limits, &doc) == ERR_OK) {
        const struct doc_value *run = doc_get(doc, "id");
        if (run != NULL && run->kind == DOC_STRING) {
            rest__text(out, "run", run->text);
        }
        for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
            const struct doc_value *member = doc_get(doc, shown[i]);
            if (member != NULL) {
                struct value its = value_from_doc(&arena, member);
                rest__name(out, shown[i]);
                value_write_json(out, &its);
            }
        }
    }
    buf_append_char(out, '}');
    arena_deinit(&arena);
    return true;
}

/* ---- the list ------------------------------------------------------------ */

struct letters {
    struct slice from;
    struct slice end;
    int64_t left; /* of the limit */
    struct buf json;
};

static void undo_letters(struct request *request)
{
    struct letters *letters = request->state;
    buf_deinit(&letters->json);
}

static void read_letters(struct request *request);

static void answer_letters(struct request *request, bool more)
{
    struct letters *letters = request->state;
    struct buf json = letters->json;
    letters->json = (struct buf){0};
    buf_append_char(&json, ']');
    if (more) {
        /* `from` is right behind the last one: with a 0. */
        size_t prefix = sizeof(RECIPES_PREFIX "dead/") - 1;
        rest__text(&json, "next",
                   slice_of(letters->from.at + prefix,
                            letters->from.size - prefix - 1));
    }
    buf_append_char(&json, '}');
    rest__answer(request, 200, &json);
}

static void add_letter(struct letters *letters, const Mvccpb__KeyValue *kv)
{
    struct buf letter = {0};
    size_t size = letters->json.size;
    if (rest__write_letter(&letter, message_bytes(kv->key),
                           message_bytes(kv->value), kv->mod_revision)) {
        bool is_first = letters->json.at[size - 1] == '[';
        buf_append_str(&letters->json, is_first ? "" : ",");
        buf_append_slice(&letters->json, buf_slice(&letter));
    }
    buf_deinit(&letter);
}

static void listed(struct runner *runner, void *context,
                   const struct store_answer *answer)
{
    struct request *request = context;
    struct letters *letters = request->state;
    (void)runner;
    request->call = 0;
    if (answer->code != 0) {
        rest__store_error(request, answer);
        return;
    }
    const Etcdserverpb__RangeResponse *range = answer->range;
    for (size_t i = 0; i < range->n_kvs; i++) {
        add_letter(letters, range->kvs[i]);
        letters->from =
            rest__behind(request, message_bytes(range->kvs[i]->key));
        letters->left--;
    }
    bool more = range->more && range->n_kvs > 0;
    if (more && letters->left > 0 && letters->json.size < LISTED_BYTES_MAX) {
        read_letters(request);
    } else {
        answer_letters(request, more);
    }
}

static void read_letters(struct request *request)
{
    struct letters *letters = request->state;
    int64_t limit = letters->left;
    if (limit > LETTERS_OF_PAGE) {
        limit = LETTERS_OF_PAGE;
    }
    rest__range(request, letters->from, &letters->end, 0, limit, listed);
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
        struct buf key = {0};
        buf_append_str(&key, RECIPES_PREFIX "dead/");
        buf_append_slice(&key, after);
        bool is_within = slice_has_prefix(buf_slice(&key), *from);
        *from = rest__behind(request, buf_slice(&key));
        buf_deinit(&key);
        if (!is_within) {
            rest__error(request, 400, "invalid",
                        "after: that is no dead letter of this recipe");
            return false;
        }
    }
    return true;
}

void rest__list_dead(struct request *request)
{
    struct letters *letters = arena_alloc(&request->arena, sizeof(*letters));
    *letters = (struct letters){.left = REST_PAGE};
    if (rest__number(request, "limit", 1, REST_PAGE_MAX, &letters->left) &&
        find_range(request, &letters->from, &letters->end)) {
        request->state = letters;
        request->undo = undo_letters;
        buf_append_str(&letters->json, "{\"dead\":[");
        read_letters(request);
    }
}

/* ---- one ----------------------------------------------------------------- */

static bool names_one(struct request *request)
{
    if (recipe_name_is_valid(request->segments[1])) {
        return true;
    }
    rest__error(request, 404, "not_found", "that is no recipe's name");
    return false;
}

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
    if (!names_one(request)) {
        return;
    }
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
    /* Nobody would do it for a recipe that is gone. */
    if (!names_one(request) ||
        rest__def(request, request->segments[1]) == NULL) {
        return;
    }
    request->state = request; /* 202: it is done by its owner */
    begin_if_there(request, &txn);
    store_txn__put(
        &txn, wish_key(request, request->segments[1], request->segments[2]),
        SLICE("{}"), 0);
    rest__txn(request, &txn, one_done);
}

/* ---- all ----------------------------------------------------------------- */

struct retry_all {
    struct slice from;
    struct slice end;
    bool more;
    int64_t count;
    int64_t orphans; /* their recipes are gone */
};

static void read_all(struct request *request);

static void go_on(struct request *request)
{
    struct retry_all *all = request->state;
    struct buf json = {0};
    if (all->more) {
        read_all(request);
        return;
    }
    buf_append_char(&json, '{');
    rest__integer(&json, "retried", all->count);
    rest__integer(&json, "orphans", all->orphans);
    buf_append_char(&json, '}');
    rest__answer(request, 202, &json);
}

static void some_done(struct runner *runner, void *context,
                      const struct store_answer *answer)
{
    struct request *request = context;
    (void)runner;
    request->call = 0;
    if (answer->code != 0) {
        rest__store_error(request, answer);
    } else {
        go_on(request);
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
    int64_t before = all->count;
    request->call = 0;
    if (answer->code != 0) {
        rest__store_error(request, answer);
        return;
    }
    const Etcdserverpb__RangeResponse *range = answer->range;
    store_txn__begin(&txn);
    for (size_t i = 0; i < range->n_kvs; i++) {
        struct slice key = message_bytes(range->kvs[i]->key);
        if (!recipe_key_read(key, &kind, &name, &rest) ||
            def__find(runner, name) == NULL) {
            all->orphans++;
            continue;
        }
        store_txn__put(&txn, wish_key(request, name, rest), SLICE("{}"), 0);
        all->count++;
    }
    all->more = range->more && range->n_kvs > 0;
    if (all->more) {
        struct slice last = message_bytes(range->kvs[range->n_kvs - 1]->key);
        all->from = rest__behind(request, last);
    }
    if (all->count > before) {
        rest__txn(request, &txn, some_done);
    } else {
        buf_deinit(&txn.body);
        go_on(request);
    }
}

static void read_all(struct request *request)
{
    const struct retry_all *all = request->state;
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    range.key = message_data(all->from);
    range.range_end = message_data(all->end);
    range.limit = RETRIED_AT_ONCE;
    range.keys_only = true;
    rest__range_of(request, &range, all_read);
}

void rest__retry_all(struct request *request)
{
    struct retry_all *all = arena_alloc(&request->arena, sizeof(*all));
    *all = (struct retry_all){0};
    request->state = all;
    if (!defs__are_known(request->runner)) {
        rest__not_ready(request);
    } else if (find_range(request, &all->from, &all->end)) {
        read_all(request);
    }
}
