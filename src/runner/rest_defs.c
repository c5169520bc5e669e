/* Definitions: list, read, write, delete; run, pause; the tests that
 * stand in documents. */
#include <stdio.h>

#include "base/check.h"
#include "recipe/test.h"
#include "runner/rest_int.h"

/* ---- reading ------------------------------------------------------------- */

static void write_status(struct request *request, struct def *def,
                         struct buf *out)
{
    struct runner *runner = request->runner;
    int64_t revisions = 0;
    double seconds = 0;
    rest__text(out, "state", slice_str(def_state_text(def->state)));
    if (def->why.size > 0) {
        rest__text(out, "why", def->why);
    }
    rest__text(out, "owner", def->owner);
    rest__integer(out, "version", def->version);
    rest__integer(out, "uid", def->uid);
    rest__integer(out, "revision", def->mod_revision);
    if (def->work != NULL) {
        work__lag(runner, def, &revisions, &seconds);
        rest__name(out, "lag");
        buf_printf(out, "{\"revisions\":%lld,\"seconds\":%.3f}",
                   (long long)revisions, seconds);
    }
}

static void write_def(struct request *request, struct def *def, struct buf *out)
{
    const struct recipe *recipe = def->recipe;
    buf_append_char(out, '{');
    rest__text(out, "name", def->name);
    write_status(request, def, out);
    if (recipe != NULL) {
        rest__boolean(out, "enabled", recipe->enabled);
        rest__boolean(out, "shadow", recipe->shadow);
        rest__text(out, "description", recipe->description);
        rest__name(out, "labels");
        if (recipe->labels.kind == VALUE_MAP) {
            value_write_json(out, &recipe->labels);
        } else {
            buf_append_str(out, "{}");
        }
    }
    buf_append_char(out, '}');
}

/* All, where no limit is given. */
void rest__list_defs(struct request *request)
{
    struct slice prefix = rest__parameter(request, "prefix");
    struct slice after = rest__parameter(request, "after");
    struct buf json = {0};
    struct def *def;
    int64_t limit = INT64_MAX;
    int64_t count = 0;
    if (!rest__number(request, "limit", 1, REST_PAGE_MAX, &limit)) {
        return;
    }
    if (!defs__are_known(request->runner)) {
        rest__not_ready(request);
        return;
    }
    buf_append_str(&json, "{\"recipes\":[");
    while ((def = def__next(request->runner, after)) != NULL) {
        if (def->uid == 0 || !slice_has_prefix(def->name, prefix) ||
            !rest__may_name(request, RUNNER_READ, def->name)) {
            after = def->name;
            continue;
        }
        if (count == limit) {
            break;
        }
        buf_append_str(&json, count++ > 0 ? "," : "");
        after = def->name;
        write_def(request, def, &json);
    }
    buf_append_char(&json, ']');
    if (def != NULL) {
        rest__text(&json, "next", after);
    }
    buf_append_char(&json, '}');
    rest__answer(request, 200, &json);
}

/* An older version: read back, one at a time, until it's found. */
struct older {
    int64_t version;
    struct slice name;
};

static void older_read(struct runner *runner, void *context,
                       const struct store_answer *answer)
{
    struct request *request = context;
    struct older *older = request->state;
    (void)runner;
    request->call = 0;
    if (answer->code != 0) {
        rest__store_error(request, answer);
        return;
    }
    const Etcdserverpb__RangeResponse *range = answer->range;
    if (range->n_kvs == 0 ||
        (older->version > 0 && range->kvs[0]->version < older->version)) {
        rest__error(request, 404, "not_found",
                    "there was no such version of \"%.*s\"",
                    (int)older->name.size, older->name.at);
        return;
    }
    const Mvccpb__KeyValue *kv = range->kvs[0];
    if (older->version > 0 && kv->version > older->version) {
        rest__range(request,
                    rest__key(request, RECIPE_KEY_DEF, older->name, NULL), NULL,
                    kv->mod_revision - 1, 0, older_read);
        return;
    }
    struct buf json = {0};
    buf_append_str(&json, "{\"recipe\":");
    rest__json(&json, message_bytes(kv->value));
    buf_append_str(&json, ",\"status\":{");
    rest__integer(&json, "version", kv->version);
    rest__integer(&json, "uid", kv->create_revision);
    rest__integer(&json, "revision", kv->mod_revision);
    buf_append_str(&json, "}}");
    rest__answer(request, 200, &json);
}

void rest__get_def(struct request *request)
{
    struct slice name = request->segments[1];
    struct older *older = arena_alloc(&request->arena, sizeof(*older));
    int64_t revision = 0;
    *older = (struct older){.name = name};
    if (!rest__number(request, "version", 1, INT64_MAX, &older->version) ||
        !rest__number(request, "revision", 1, INT64_MAX, &revision)) {
        return;
    }
    if ((older->version > 0 || revision > 0) && recipe_name_is_valid(name)) {
        request->state = older;
        rest__range(request, rest__key(request, RECIPE_KEY_DEF, name, NULL),
                    NULL, revision, 0, older_read);
        return;
    }
    struct def *def = rest__def(request, name);
    if (def == NULL) {
        return;
    }
    struct buf json = {0};
    buf_append_str(&json, "{\"recipe\":");
    rest__json(&json, def->json);
    buf_append_str(&json, ",\"status\":{");
    write_status(request, def, &json);
    buf_append_str(&json, "}}");
    rest__answer(request, 200, &json);
}

/* ---- writing ------------------------------------------------------------- */

enum { PUT_TRIES = 5 };

struct put {
    struct slice json;  /* canonical */
    int64_t if_version; /* of If-Match; 0: whatever it is */
    int64_t known;      /* mod revision that it replaces; 0: none */
    int64_t version;
    bool is_same; /* it has this text already: nothing is put */
    int tries;
};

static void answer_put(struct request *request, int64_t version,
                       int64_t revision, bool is_created, bool is_changed)
{
    struct buf json = {0};
    buf_append_char(&json, '{');
    rest__text(&json, "name", request->segments[1]);
    rest__integer(&json, "version", version);
    if (revision > 0) {
        rest__integer(&json, "revision", revision);
    }
    rest__name(&json, "created");
    buf_append_str(&json, is_created ? "true" : "false");
    rest__name(&json, "changed");
    buf_append_str(&json, is_changed ? "true" : "false");
    buf_append_char(&json, '}');
    rest__answer(request, is_created ? 201 : 200, &json);
}

static void send_put(struct request *request);

/* Somebody else was there first: `kv` is what there is now. */
static void put_again(struct request *request, const Mvccpb__KeyValue *kv)
{
    struct put *put = request->state;
    int64_t version = kv ? kv->version : 0;
    if (put->if_version > 0 && version != put->if_version) {
        rest__error(request, 412, "version",
                    "If-Match: %lld, but its version is %lld",
                    (long long)put->if_version, (long long)version);
        return;
    }
    if (kv != NULL && slice_eq(message_bytes(kv->value), put->json)) {
        answer_put(request, version, kv->mod_revision, false, false);
        return;
    }
    if (++put->tries > PUT_TRIES) {
        rest__error(request, 409, "conflict",
                    "it is being written by others; try again");
        return;
    }
    put->known = kv ? kv->mod_revision : 0;
    put->version = version;
    put->is_same = false;
    send_put(request);
}

static void put_done(struct runner *runner, void *context,
                     const struct store_answer *answer)
{
    struct request *request = context;
    struct put *put = request->state;
    (void)runner;
    request->call = 0;
    if (answer->code != 0) {
        rest__store_error(request, answer);
        return;
    }
    const Etcdserverpb__TxnResponse *txn = answer->txn;
    if (txn->succeeded && put->is_same) {
        answer_put(request, put->version, put->known, false, false);
        return;
    }
    if (txn->succeeded) {
        answer_put(request, put->version + 1,
                   txn->header ? txn->header->revision : 0, put->known == 0,
                   true);
        return;
    }
    const Etcdserverpb__RangeResponse *range =
        txn->n_responses ? txn->responses[0]->response_range : NULL;
    put_again(request, range && range->n_kvs ? range->kvs[0] : NULL);
}

static void send_put(struct request *request)
{
    struct put *put = request->state;
    struct store_txn txn;
    struct slice key =
        rest__key(request, RECIPE_KEY_DEF, request->segments[1], NULL);
    const struct turn_compare compare = {.key = key,
                                         .target = TURN_MOD_REVISION,
                                         .operator= TURN_EQUAL,
                                         .number = put->known};
    store_txn__begin(&txn);
    store_txn__compare(&txn, &compare);
    if (!put->is_same) {
        store_txn__put(&txn, key, put->json, 0);
    }
    store_txn__else_get(&txn, key);
    rest__txn(request, &txn, put_done);
}

static bool read_if_match(struct request *request, int64_t *out)
{
    struct slice text = rest__header(request, SLICE("if-match"));
    if (text.size >= 2 && text.at[0] == '"' && text.at[text.size - 1] == '"') {
        text = slice_of(text.at + 1, text.size - 2);
    }
    if (text.size > 0 && (!slice_to_i64(text, out) || *out < 1)) {
        rest__error(request, 400, "invalid",
                    "If-Match: write the version that it replaces, a number");
        return false;
    }
    return true;
}

/* etcd doesn't say what made a change: a trigger on expiries alone would never
 * fire there. */
static bool can_be_had(struct request *request, const struct recipe *recipe)
{
    if (runner__config(request->runner)->is_etched) {
        return true;
    }
    for (size_t i = 0; i < recipe->trigger_count; i++) {
        const struct trigger *trigger = &recipe->triggers[i];
        if (trigger->kind == TRIGGER_KEY && (trigger->events & EVENT_EXPIRE) &&
            !(trigger->events & EVENT_DELETE)) {
            struct recipe_fault fault = {0};
            snprintf(fault.path, sizeof(fault.path), "if[%zu].events", i);
            snprintf(fault.text, sizeof(fault.text),
                     "this store is etcd, which doesn't tell expire from "
                     "delete: write delete, or run it on etched");
            rest__refuse(request, &fault);
            return false;
        }
    }
    return true;
}

/* NULL: answered. */
static struct recipe *parse(struct request *request,
                            const struct recipe_given *given)
{
    struct recipe *recipe = NULL;
    struct recipe_fault fault = {0};
    enum err err = recipe_parse_given(request->asked.body, given,
                                      runner__config(request->runner)->zones,
                                      &recipe, &fault);
    if (err != ERR_OK) {
        if (fault.text[0] == 0) {
            snprintf(fault.text, sizeof(fault.text), "%s", err_note());
        }
        if (err == ERR_TOO_LARGE) {
            rest__error(request, 413, "too_large", "%s", fault.text);
        } else {
            rest__refuse(request, &fault);
        }
        return NULL;
    }
    if (!can_be_had(request, recipe)) {
        recipe_free(recipe);
        return NULL;
    }
    return recipe;
}

void rest__put_def(struct request *request)
{
    struct slice name = request->segments[1];
    struct put *put = arena_alloc(&request->arena, sizeof(*put));
    *put = (struct put){0};
    request->state = put;
    bool is_dry;
    if (!read_if_match(request, &put->if_version) ||
        !rest__flag(request, "dry_run", &is_dry)) {
        return;
    }
    if (!defs__are_known(request->runner)) {
        rest__not_ready(request);
        return;
    }
    struct def *def = def__find(request->runner, name);
    const struct recipe_given given = {.name = name,
                                       .owner = rest__owner_of(request, def)};
    struct recipe *recipe = parse(request, &given);
    if (recipe == NULL) {
        return;
    }
    if (!slice_eq(recipe->name, name)) {
        struct recipe_fault fault = {.path = "name"};
        snprintf(fault.text, sizeof(fault.text),
                 "the document's name is \"%.*s\", the address's \"%.*s\": "
                 "write the same",
                 (int)recipe->name.size, recipe->name.at, (int)name.size,
                 name.at);
        recipe_free(recipe);
        rest__refuse(request, &fault);
        return;
    }
    if (!rest__check_owner(request, recipe)) {
        recipe_free(recipe);
        return;
    }
    put->json = rest__keep(request, recipe->json);
    recipe_free(recipe);
    bool is_there = def != NULL && def->uid != 0;
    put->is_same = is_there && slice_eq(def->json, put->json);
    put->known = is_there ? def->mod_revision : 0;
    put->version = is_there ? def->version : 0;
    if (is_dry) {
        answer_put(request, put->version, put->known, false, !put->is_same);
        return;
    }
    if (put->if_version > 0 && put->if_version != put->version) {
        /* What we know may be old: the store has the last word. */
        put->known = INT64_MAX;
    }
    send_put(request);
}

static void add_delete(struct request *request, struct store_txn *txn,
                       enum recipe_key kind, bool is_below)
{
    struct slice key =
        rest__key(request, kind, request->segments[1], is_below ? "" : NULL);
    store_txn__delete(txn, key,
                      is_below ? rest__end(request, key) : (struct slice){0});
}

/* Records and dead letters outlive their recipe: where it is long gone, a purge
 * still finds them. */
static bool has_deleted(const Etcdserverpb__TxnResponse *txn)
{
    int64_t count = 0;
    for (size_t i = 0; i < txn->n_responses; i++) {
        const Etcdserverpb__DeleteRangeResponse *response =
            txn->responses[i]->response_delete_range;
        count += response != NULL ? response->deleted : 0;
    }
    return txn->succeeded && count > 0;
}

static void deleted(struct runner *runner, void *context,
                    const struct store_answer *answer)
{
    struct request *request = context;
    (void)runner;
    request->call = 0;
    if (answer->code != 0) {
        rest__store_error(request, answer);
        return;
    }
    if (!has_deleted(answer->txn)) {
        rest__error(request, 404, "not_found", "there is no recipe \"%.*s\"",
                    (int)request->segments[1].size, request->segments[1].at);
        return;
    }
    struct buf json = {0};
    buf_append_char(&json, '{');
    rest__text(&json, "name", request->segments[1]);
    buf_append_char(&json, '}');
    rest__answer(request, 200, &json);
}

static void begin_if_defined(struct request *request, struct store_txn *txn)
{
    const struct turn_compare compare = {
        .key = rest__key(request, RECIPE_KEY_DEF, request->segments[1], NULL),
        .target = TURN_VERSION,
        .operator= TURN_GREATER,
        .number = 0};
    store_txn__begin(txn);
    store_txn__compare(txn, &compare);
}

/* With the owner's key goes its fence: a turn that is under way fails. */
void rest__delete_def(struct request *request)
{
    static const enum recipe_key singles[] = {
        RECIPE_KEY_DEF, RECIPE_KEY_STATUS, RECIPE_KEY_CURSOR, RECIPE_KEY_OWNER};
    static const enum recipe_key trees[] = {RECIPE_KEY_STATE, RECIPE_KEY_ACTIVE,
                                            RECIPE_KEY_IN, RECIPE_KEY_SEEN};
    struct store_txn txn;
    bool is_purge;
    if (!rest__flag(request, "purge", &is_purge)) {
        return;
    }
    if (!recipe_name_is_valid(request->segments[1])) {
        rest__error(request, 404, "not_found", "that is no recipe's name");
        return;
    }
    if (is_purge) {
        store_txn__begin(&txn);
    } else {
        begin_if_defined(request, &txn);
    }
    for (size_t i = 0; i < sizeof(singles) / sizeof(singles[0]); i++) {
        add_delete(request, &txn, singles[i], false);
    }
    for (size_t i = 0; i < sizeof(trees) / sizeof(trees[0]); i++) {
        add_delete(request, &txn, trees[i], true);
    }
    if (is_purge) {
        add_delete(request, &txn, RECIPE_KEY_RUN, true);
        add_delete(request, &txn, RECIPE_KEY_DEAD, true);
    }
    rest__txn(request, &txn, deleted);
}

/* ---- run, pause -------------------------------------------------- */

static void accepted(struct runner *runner, void *context,
                     const struct store_answer *answer)
{
    struct request *request = context;
    (void)runner;
    request->call = 0;
    if (answer->code != 0) {
        rest__store_error(request, answer);
        return;
    }
    if (!answer->txn->succeeded) {
        rest__error(request, 404, "not_found", "there is no recipe \"%.*s\"",
                    (int)request->segments[1].size, request->segments[1].at);
        return;
    }
    struct buf json = {0};
    buf_append_char(&json, '{');
    rest__text(&json, "name", request->segments[1]);
    if (request->state != NULL) {
        rest__text(&json, "id", slice_str(request->state));
    }
    buf_append_char(&json, '}');
    rest__answer(request, request->state ? 202 : 200, &json);
}

/* {"args": {...}} or nothing; false: answered. */
static bool write_args(struct request *request, struct buf *out)
{
    struct doc_value *body;
    if (!rest__body(request, &body)) {
        return false;
    }
    const struct doc_value *args = doc_get(body, "args");
    for (size_t i = 0; i < body->count; i++) {
        if (!slice_eq(body->members[i].name, SLICE("args"))) {
            rest__error(request, 400, "invalid", "write {\"args\": {...}}");
            return false;
        }
    }
    if (args != NULL && args->kind != DOC_MAP) {
        rest__error(request, 400, "invalid", "args: write a map");
        return false;
    }
    buf_append_str(out, "{\"args\":");
    if (args != NULL) {
        struct value given = value_from_doc(&request->arena, args);
        value_write_json(out, &given);
    } else {
        buf_append_str(out, "{}");
    }
    buf_append_str(out, ",\"depth\":0}");
    return true;
}

/* A paused one takes it, and does it later; a disabled one may never. */
void rest__run_def(struct request *request)
{
    struct store_txn txn;
    struct buf value = {0};
    const struct def *def = rest__def(request, request->segments[1]);
    if (def == NULL) {
        return;
    }
    if (def->state == DEF_DISABLED || def->state == DEF_BROKEN) {
        rest__error(request, 409, def_state_text(def->state),
                    "the recipe is %s: nothing would come of it",
                    def_state_text(def->state));
        return;
    }
    if (!write_args(request, &value)) {
        return;
    }
    char *id =
        arena_printf(&request->arena, "%016llx",
                     (unsigned long long)runner__random(request->runner));
    request->state = id;
    begin_if_defined(request, &txn);
    store_txn__put(&txn,
                   rest__key(request, RECIPE_KEY_IN, request->segments[1],
                             arena_printf(&request->arena, "call/%s", id)),
                   buf_slice(&value), 0);
    buf_deinit(&value);
    rest__txn(request, &txn, accepted);
}

void rest__pause_def(struct request *request)
{
    struct store_txn txn;
    if (rest__def(request, request->segments[1]) == NULL) {
        return;
    }
    begin_if_defined(request, &txn);
    store_txn__put(
        &txn, rest__key(request, RECIPE_KEY_STATUS, request->segments[1], NULL),
        SLICE("{\"state\":\"paused\",\"why\":\"by request\"}"), 0);
    rest__txn(request, &txn, accepted);
}

/* ---- tests in documents -------------------------------------------------- */

void rest__test(struct request *request)
{
    const struct recipe_given nothing = {{0}, {0}};
    struct recipe *recipe = parse(request, &nothing);
    struct buf lines = {0};
    struct buf json = {0};
    if (recipe == NULL) {
        return;
    }
    struct recipe_test_result result =
        recipe_test(recipe, runner__config(request->runner)->zones, &lines);
    buf_append_char(&json, '{');
    rest__text(&json, "name", recipe->name);
    rest__integer(&json, "passed", (int64_t)result.passed);
    rest__integer(&json, "failed", (int64_t)result.failed);
    rest__name(&json, "failures");
    buf_append_char(&json, '[');
    struct slice rest = buf_slice(&lines);
    while (rest.size > 0) {
        ptrdiff_t end = slice_find(rest, '\n');
        size_t size = end < 0 ? rest.size : (size_t)end;
        struct value line = value_string(slice_of(rest.at, size));
        if (json.at[json.size - 1] != '[') {
            buf_append_char(&json, ',');
        }
        value_write_json(&json, &line);
        size += size < rest.size;
        rest = slice_of(rest.at + size, rest.size - size);
    }
    buf_append_str(&json, "]}");
    buf_deinit(&lines);
    recipe_free(recipe);
    rest__answer(request, 200, &json);
}
