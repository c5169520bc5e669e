/* Secrets: written and forgotten. What they are leaves the store for nobody;
 * here they stand in memory no longer than it takes to seal them. */
#include <string.h>

#include "runner/rest_int.h"

enum { SECRET_BYTES_MAX = 64 << 10 };

static void done(struct runner *runner, void *context,
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
        rest__error(request, 404, "not_found", "there is no secret \"%.*s\"",
                    (int)request->segments[1].size, request->segments[1].at);
        return;
    }
    buf_append_char(&json, '{');
    rest__text(&json, "name", request->segments[1]);
    buf_append_char(&json, '}');
    rest__answer(request, 200, &json);
}

static bool name_is_fine(struct request *request)
{
    if (secret_name_is_valid(request->segments[1])) {
        return true;
    }
    rest__error(request, 400, "invalid",
                "a secret's name has letters, digits, '.', '_' and '-', a "
                "letter or digit first");
    return false;
}

void rest__put_secret(struct request *request)
{
    const struct runner_doors *doors = &runner__config(request->runner)->doors;
    struct slice text = request->asked.body;
    struct store_txn txn;
    struct buf sealed = {0};
    if (!name_is_fine(request)) {
        return;
    }
    if (text.size == 0 || text.size > SECRET_BYTES_MAX) {
        rest__error(request, 400, "invalid",
                    "the body is the secret: 1 to %d bytes", SECRET_BYTES_MAX);
        return;
    }
    enum err err =
        doors->seal(doors->context, request->segments[1], text, &sealed);
    explicit_bzero((char *)(uintptr_t)text.at, text.size);
    if (err != ERR_OK) {
        buf_deinit(&sealed);
        rest__error(request, err == ERR_UNSUPPORTED ? 501 : 500,
                    err == ERR_UNSUPPORTED ? "no_key" : "internal", "%s",
                    err_note());
        return;
    }
    store_txn__begin(&txn);
    store_txn__put(
        &txn, rest__key(request, RECIPE_KEY_SECRET, request->segments[1], NULL),
        buf_slice(&sealed), 0);
    buf_deinit(&sealed);
    rest__txn(request, &txn, done);
}

void rest__delete_secret(struct request *request)
{
    struct store_txn txn;
    if (!name_is_fine(request)) {
        return;
    }
    struct slice key =
        rest__key(request, RECIPE_KEY_SECRET, request->segments[1], NULL);
    const struct turn_compare compare = {.key = key,
                                         .target = TURN_VERSION,
                                         .operator= TURN_GREATER,
                                         .number = 0};
    store_txn__begin(&txn);
    store_txn__compare(&txn, &compare);
    store_txn__delete(&txn, key, (struct slice){0});
    rest__txn(request, &txn, done);
}

static void listed(struct runner *runner, void *context,
                   const struct store_answer *answer)
{
    struct request *request = context;
    struct buf json = {0};
    enum recipe_key kind;
    struct slice name = SLICE("");
    struct slice rest;
    (void)runner;
    request->call = 0;
    if (answer->code != 0) {
        rest__store_error(request, answer);
        return;
    }
    buf_append_str(&json, "{\"secrets\":[");
    for (size_t i = 0; i < answer->range->n_kvs; i++) {
        if (recipe_key_read(message_bytes(answer->range->kvs[i]->key), &kind,
                            &name, &rest)) {
            struct value text = value_string(name);
            buf_append_str(&json, json.at[json.size - 1] == '[' ? "" : ",");
            value_write_json(&json, &text);
        }
    }
    buf_append_char(&json, ']');
    if (answer->range->more && answer->range->n_kvs > 0) {
        rest__text(&json, "next", name);
    }
    buf_append_char(&json, '}');
    rest__answer(request, 200, &json);
}

void rest__list_secrets(struct request *request)
{
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    struct slice key = SLICE(RECIPES_PREFIX "secret/");
    struct slice end = rest__end(request, key);
    struct slice after = rest__parameter(request, "after");
    int64_t limit = REST_PAGE_MAX;
    if (!rest__number(request, "limit", 1, REST_PAGE_MAX, &limit)) {
        return;
    }
    if (after.size > 0 && !secret_name_is_valid(after)) {
        rest__error(request, 400, "invalid",
                    "after: write the \"next\" of the page before");
        return;
    }
    if (after.size > 0) {
        key = rest__behind(request,
                           rest__key(request, RECIPE_KEY_SECRET, after, NULL));
    }
    range.key = message_data(key);
    range.range_end = message_data(end);
    range.keys_only = true;
    range.limit = limit;
    rest__range_of(request, &range, listed);
}
