/* Secrets are put into what goes out, at the last moment: until then they
 * stand there as "\x01name\x02". They are read and unsealed anew each time, so
 * that nothing keeps them; and no log line or record is made of what they were
 * put into. */
#include "proto/message.h"
#include "proto/rpc.pb-c.h"
#include "runner/runner_core.h"

enum { MARK_BEGIN = 1, MARK_END = 2 };

/* Appends the names in `text` that aren't in the list yet. */
static void find_names(struct secrets *secrets, struct slice text)
{
    for (size_t at = 0; at < text.size; at++) {
        if (text.at[at] != MARK_BEGIN)
            continue;
        struct slice rest = slice_of(text.at + at + 1, text.size - at - 1);
        ptrdiff_t end = slice_find(rest, MARK_END);
        if (end < 0)
            return;
        struct slice name = slice_of(rest.at, (size_t)end);
        bool is_known = false;
        for (size_t i = 0; i < secrets->count; i++)
            is_known = is_known || slice_eq(secrets->all[i].name, name);
        if (!is_known && secrets->count < SECRETS_MAX)
            secrets->all[secrets->count++].name = name;
        else if (!is_known)
            secrets->has_more = true;
        at += (size_t)end + 1;
    }
}

static void find_in(struct secrets *secrets, const struct value *value)
{
    if (value->kind == VALUE_STRING || value->kind == VALUE_BYTES)
        find_names(secrets, value->text);
    if (value->kind == VALUE_LIST)
        for (size_t i = 0; i < value->list->count; i++)
            find_in(secrets, &value->list->items[i]);
    if (value->kind == VALUE_MAP)
        for (size_t i = 0; i < value->map->count; i++)
            find_in(secrets, &value->map->values[i]);
}

void secrets__put_in(const struct secrets *secrets, struct slice text,
                     struct buf *out)
{
    for (size_t at = 0; at < text.size; at++) {
        struct slice rest = slice_of(text.at + at + 1, text.size - at - 1);
        ptrdiff_t end =
            text.at[at] == MARK_BEGIN ? slice_find(rest, MARK_END) : -1;
        if (end < 0) {
            buf_append_char(out, text.at[at]);
            continue;
        }
        struct slice name = slice_of(rest.at, (size_t)end);
        for (size_t i = 0; i < secrets->count; i++)
            if (slice_eq(secrets->all[i].name, name))
                buf_append_slice(out, buf_slice(&secrets->all[i].text));
        at += (size_t)end + 1;
    }
}

static void fault(struct secrets *secrets, bool is_final, struct slice name,
                  const char *what)
{
    if (secrets->fault.size)
        return;
    buf_append_str(&secrets->fault, "secret \"");
    buf_append_slice(&secrets->fault, name);
    buf_append_str(&secrets->fault, "\" ");
    buf_append_str(&secrets->fault, what);
    secrets->is_final = is_final;
}

static void unseal(struct runner *runner, struct secrets *secrets,
                   struct secret *secret, const Mvccpb__KeyValue *kv)
{
    const struct runner_doors *doors = &runner->config.doors;
    if (!kv) {
        fault(secrets, true, secret->name, "isn't there");
        return;
    }
    enum err err = doors->unseal
                       ? doors->unseal(doors->context, secret->name,
                                       message_bytes(kv->value), &secret->text)
                       : err_set(ERR_UNSUPPORTED, "no key was given");
    /* Another worker may have the key. */
    if (err)
        fault(secrets, false, secret->name, err_note());
}

static void told(struct runner *runner, void *context,
                 const struct store_answer *answer)
{
    struct secrets *secrets = context;
    CHECK_LT(0, secrets->count);
    secrets->call = 0;
    if (answer->code != 0 || answer->txn->n_responses != secrets->count) {
        fault(secrets, false, secrets->all[0].name, "can't be read now");
        secrets->done(runner, secrets->context);
        return;
    }
    for (size_t i = 0; i < secrets->count; i++) {
        const Etcdserverpb__ResponseOp *op = answer->txn->responses[i];
        bool is_there =
            op->response_case ==
                ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE &&
            op->response_range->n_kvs;
        unseal(runner, secrets, &secrets->all[i],
               is_there ? op->response_range->kvs[0] : NULL);
    }
    secrets->done(runner, secrets->context);
}

/* One that the user may not have isn't read either. */
static bool may_all(struct runner *runner, struct secrets *secrets,
                    struct slice user)
{
    struct buf key = {0};
    bool may = true;
    for (size_t i = 0; may && i < secrets->count; i++) {
        buf_reset(&key);
        recipe_key_write(&key, RECIPE_KEY_SECRET, secrets->all[i].name, NULL);
        may =
            runner__may(runner, user, RUNNER_READ, buf_slice(&key), SLICE(""));
        if (!may)
            fault(secrets, true, secrets->all[i].name,
                  "isn't one that the recipe's owner may use");
    }
    buf_deinit(&key);
    return may;
}

void secrets__read(struct runner *runner, struct secrets *secrets,
                   struct slice user, const struct value *value,
                   void (*done)(struct runner *runner, void *context),
                   void *context)
{
    *secrets = (struct secrets){.done = done, .context = context};
    find_in(secrets, value);
    /* One that was left out would go out as nothing. */
    if (secrets->has_more)
        fault(secrets, true, secrets->all[0].name, "is one of too many");
    if (secrets->count == 0 || secrets->has_more ||
        !may_all(runner, secrets, user)) {
        done(runner, context);
        return;
    }
    struct store_txn txn;
    struct buf key = {0};
    store_txn__begin(&txn);
    for (size_t i = 0; i < secrets->count; i++) {
        buf_reset(&key);
        recipe_key_write(&key, RECIPE_KEY_SECRET, secrets->all[i].name, NULL);
        store_txn__range(&txn, buf_slice(&key), SLICE(""), 0, 0);
    }
    secrets->call = store_txn__send(runner, &txn, told, secrets);
    buf_deinit(&key);
}

void secrets__forget(struct runner *runner, struct secrets *secrets)
{
    store__cancel(runner, secrets->call);
    for (size_t i = 0; i < secrets->count; i++) {
        struct buf *text = &secrets->all[i].text;
        if (text->at)
            explicit_bzero(text->at, text->capacity);
        buf_deinit(text);
    }
    buf_deinit(&secrets->fault);
    *secrets = (struct secrets){0};
}
