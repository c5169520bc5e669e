/* Webhooks: what comes in is a key first, and answered when that is
 * committed.
 *
 *   path -> triggers of definitions -> their secrets -> signature
 *        -> a lease -> in/<name>/<trigger>/<id> of each, if absent -> 202 */
#include <stdio.h>

#include "base/check.h"
#include "runner/rest_int.h"

enum {
    TARGETS_MAX = 32,
    SHARED_LEASES = 8,
    LEASE_SHARED_PART = 20, /* one is given out for a 20th of its time */
    ID_BYTES_MAX = 128,
};

struct target {
    struct slice recipe;
    size_t trigger;
    struct slice secret; /* its name; empty: none */
    struct slice header;
    int64_t ttl_s;
    char id[ID_BYTES_MAX];
    bool is_refused;
};
struct hook {
    struct target targets[TARGETS_MAX];
    size_t count;
    size_t at; /* its secret, or lease, is being fetched */
    int64_t leases[TARGETS_MAX];
    struct slice value; /* JSON, of each inbox key */
};

/* ---- ids ----------------------------------------------------------------- */

static void hex(const unsigned char *bytes, size_t size, char *out)
{
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    out[2 * size] = 0;
}

/* An id of any bytes, as a part of a key. */
static void hash_id(struct request *request, struct slice text, char *out)
{
    const struct runner_doors *doors = &runner__config(request->runner)->doors;
    unsigned char hash[32];
    doors->hmac_sha256(doors->context, SLICE("id"), text, hash);
    hex(hash, 16, out);
}

static enum expr_found ingredient(void *context, size_t slot,
                                  struct arena *arena, struct value *out)
{
    struct request *request = context;
    *out = (struct value){.kind = VALUE_ABSENT};
    if (slot == INGREDIENT_BODY) {
        *out = value_from_text(arena, request->asked.body);
    } else if (slot == INGREDIENT_HEADERS) {
        size_t count = request->asked.header_count;
        struct value_map *map = arena_alloc(arena, sizeof(*map));
        map->count = count;
        map->keys = arena_alloc(arena, (count + 1) * sizeof(*map->keys));
        map->values = arena_alloc(arena, (count + 1) * sizeof(*map->values));
        for (size_t i = 0; i < count; i++) {
            map->keys[i] = value_string(request->asked.headers[i].name);
            map->values[i] = value_string(request->asked.headers[i].value);
        }
        *out = (struct value){.kind = VALUE_MAP, .map = map};
    }
    return EXPR_FOUND;
}

/* False: the expression can't be evaluated; answered. */
static bool id_by_expression(struct request *request,
                             const struct recipe *recipe,
                             const struct expr *expr, struct target *target)
{
    const struct expr_world world = {
        .context = request,
        .ingredient = ingredient,
        .zones = runner__config(request->runner)->zones,
        .now_ns = runner__now(request->runner).wall_ns};
    size_t count = recipe->names.count;
    struct value *slots =
        arena_alloc(&request->arena, (count + 1) * sizeof(*slots));
    struct value id;
    struct buf text = {0};
    for (size_t i = 0; i < count; i++) {
        slots[i] = (struct value){.kind = VALUE_LAZY};
    }
    (void)expr_eval(expr, slots, &world, &expr_budget_default, &request->arena,
                    &id);
    if (id.kind == VALUE_ERROR) {
        rest__error(request, 400, "no_id", "the recipe's dedupe: %.*s",
                    (int)id.text.size, id.text.at);
        return false;
    }
    value_write_text(&text, &id);
    hash_id(request, buf_slice(&text), target->id);
    buf_deinit(&text);
    return true;
}

static bool find_id(struct request *request, const struct recipe *recipe,
                    const struct trigger *trigger, struct target *target)
{
    static const char *const headers[] = {"x-github-delivery", "webhook-id",
                                          "x-delivery-id", "idempotency-key"};
    if (trigger->hook.dedupe != NULL) {
        return id_by_expression(request, recipe, trigger->hook.dedupe, target);
    }
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        struct slice given = rest__header(request, headers[i]);
        if (given.size > 0) {
            hash_id(request, given, target->id);
            return true;
        }
    }
    hash_id(request, request->asked.body, target->id);
    return true;
}

/* ---- who is meant -------------------------------------------------------- */

static struct slice hook_path(const struct request *request)
{
    struct slice path = request->asked.path;
    size_t prefix = sizeof("hooks/") - 1;
    path = slice_of(path.at + prefix, path.size - prefix);
    while (path.size > 0 && path.at[path.size - 1] == '/') {
        path.size--;
    }
    return path;
}

static bool add_target(struct request *request, struct hook *hook,
                       const struct def *def, const struct trigger *trigger)
{
    if (hook->count == TARGETS_MAX) {
        rest__error(request, 500, "internal",
                    "more than %d recipes have this path", TARGETS_MAX);
        return false;
    }
    struct target *target = &hook->targets[hook->count++];
    *target =
        (struct target){.recipe = rest__keep(request, def->name),
                        .trigger = trigger->index,
                        .secret = rest__keep(request, trigger->hook.secret),
                        .header = rest__keep(request, trigger->hook.header),
                        .ttl_s = trigger->hook.dedupe_ns / REST_SECOND + 1};
    return find_id(request, def->recipe, trigger, target);
}

/* False: answered. Those that are paused take what comes, and work it later;
 * those that are disabled don't. */
static bool find_targets(struct request *request, struct hook *hook)
{
    struct slice path = hook_path(request);
    struct def *def = NULL;
    struct slice after = {0};
    while ((def = def__next(request->runner, after)) != NULL) {
        after = def->name;
        const struct recipe *recipe = def->recipe;
        if (def->uid == 0 || recipe == NULL || !recipe->enabled) {
            continue;
        }
        for (size_t i = 0; i < recipe->trigger_count; i++) {
            const struct trigger *trigger = &recipe->triggers[i];
            if (trigger->kind == TRIGGER_WEBHOOK &&
                slice_eq(trigger->hook.path, path) &&
                !add_target(request, hook, def, trigger)) {
                return false;
            }
        }
    }
    if (hook->count == 0) {
        rest__error(request, 404, "not_found",
                    "no recipe has a webhook with the path \"%.*s\"",
                    (int)path.size, path.at);
    }
    return hook->count > 0;
}

static struct slice make_value(struct request *request)
{
    struct buf json = {0};
    struct value value;
    buf_append_str(&json, "{\"body\":");
    value = value_from_text(&request->arena, request->asked.body);
    value_write_json(&json, &value);
    (void)ingredient(request, INGREDIENT_HEADERS, &request->arena, &value);
    buf_append_str(&json, ",\"headers\":");
    value_write_json(&json, &value);
    buf_append_char(&json, '}');
    struct slice kept = rest__keep(request, buf_slice(&json));
    buf_deinit(&json);
    return kept;
}

/* ---- signatures ---------------------------------------------------------- */

/* In a time that says nothing of where they differ. */
static bool is_same(struct slice a, struct slice b)
{
    unsigned char differs = 0;
    for (size_t i = 0; i < b.size; i++) {
        differs |= (unsigned char)((i < a.size ? a.at[i] : 0) ^ b.at[i]);
    }
    return differs == 0 && a.size == b.size;
}

static void check_signature(struct request *request, struct target *target,
                            struct slice key)
{
    const struct runner_doors *doors = &runner__config(request->runner)->doors;
    char name[130];
    char wanted[65];
    unsigned char hash[32];
    snprintf(name, sizeof(name), "%.*s", (int)target->header.size,
             target->header.at);
    struct slice given = rest__header(request, name);
    if (slice_has_prefix(given, SLICE("sha256="))) {
        given.at += 7;
        given.size -= 7;
    }
    doors->hmac_sha256(doors->context, key, request->asked.body, hash);
    hex(hash, sizeof(hash), wanted);
    if (!is_same(given, slice_of(wanted, 64))) {
        target->is_refused = true;
    }
}

static void get_lease(struct request *request);
static void check_next(struct request *request);

static void secret_read(struct runner *runner, void *context,
                        const struct store_answer *answer)
{
    struct request *request = context;
    struct hook *hook = request->state;
    struct target *target = &hook->targets[hook->at];
    const struct runner_doors *doors = &runner__config(runner)->doors;
    struct buf secret = {0};
    request->call = 0;
    if (answer->code != 0) {
        rest__store_error(request, answer);
        return;
    }
    enum err err = ERR_NOT_FOUND;
    if (answer->range->n_kvs > 0) {
        err =
            doors->unseal(doors->context, target->secret,
                          message_bytes(answer->range->kvs[0]->value), &secret);
    }
    /* Without its secret nothing is right; it takes as long to say so. */
    check_signature(request, target, buf_slice(&secret));
    target->is_refused = target->is_refused || err != ERR_OK;
    if (secret.size > 0) {
        explicit_bzero(secret.at, secret.size);
    }
    buf_deinit(&secret);
    hook->at++;
    check_next(request);
}

static void check_next(struct request *request)
{
    struct hook *hook = request->state;
    size_t refused = 0;
    while (hook->at < hook->count && hook->targets[hook->at].secret.size == 0) {
        hook->at++;
    }
    if (hook->at < hook->count) {
        struct slice name = hook->targets[hook->at].secret;
        rest__range(request, rest__key(request, RECIPE_KEY_SECRET, name, NULL),
                    NULL, 0, 0, secret_read);
        return;
    }
    for (size_t i = 0; i < hook->count; i++) {
        refused += hook->targets[i].is_refused;
    }
    if (refused == hook->count) {
        rest__error(request, 401, "bad_signature",
                    "the signature is missing or wrong");
        return;
    }
    hook->at = 0;
    get_lease(request);
}

/* ---- leases, and the keys ------------------------------------------------ */

static void committed(struct runner *runner, void *context,
                      const struct store_answer *answer)
{
    struct request *request = context;
    struct hook *hook = request->state;
    struct buf json = {0};
    (void)runner;
    request->call = 0;
    if (answer->code != 0) {
        rest__store_error(request, answer);
        return;
    }
    /* Each target is a nested transaction: absent, or a re-delivery. */
    bool is_new = false;
    for (size_t i = 0; i < answer->txn->n_responses; i++) {
        const Etcdserverpb__TxnResponse *inner =
            answer->txn->responses[i]->response_txn;
        is_new = is_new || (inner != NULL && inner->succeeded);
    }
    buf_append_char(&json, '{');
    rest__text(&json, "id", slice_str(hook->targets[0].id));
    rest__name(&json, "duplicate");
    buf_append_str(&json, is_new ? "false" : "true");
    buf_append_char(&json, '}');
    rest__answer(request, 202, &json);
}

static int64_t lease_of(const void *context, int64_t ttl_ns)
{
    const struct hook *hook = context;
    for (size_t i = 0; i < hook->count; i++) {
        if (hook->targets[i].ttl_s * REST_SECOND == ttl_ns) {
            return hook->leases[i];
        }
    }
    return 0;
}

static void commit(struct request *request)
{
    struct hook *hook = request->state;
    struct store_txn txn;
    store_txn__begin(&txn);
    for (size_t i = 0; i < hook->count; i++) {
        const struct target *target = &hook->targets[i];
        if (target->is_refused) {
            continue;
        }
        struct slice key = rest__key(request, RECIPE_KEY_IN, target->recipe,
                                     arena_printf(&request->arena, "%zu/%s",
                                                  target->trigger, target->id));
        const struct turn_operation put = {.kind = TURN_PUT,
                                           .key = key,
                                           .value = hook->value,
                                           .ttl_ns =
                                               target->ttl_s * REST_SECOND};
        const struct turn_compare absent = {
            .key = key, .target = TURN_VERSION, .operator= TURN_EQUAL };
        const struct turn_txn inner = {.compares = (void *)&absent,
                                       .compare_count = 1,
                                       .then = (void *)&put,
                                       .then_count = 1};
        const struct turn_operation operation = {.kind = TURN_TXN,
                                                 .txn = &inner};
        store_txn__operation(&txn, &operation, lease_of, hook);
    }
    rest__txn(request, &txn, committed);
}

static struct shared_lease *find_lease(struct request *request, int64_t ttl_s)
{
    struct rest *rest = runner__rest(request->runner);
    int64_t now_ns = runner__now(request->runner).mono_ns;
    for (int i = 0; i < SHARED_LEASES; i++) {
        struct shared_lease *lease = &rest->leases[i];
        if (lease->ttl_s == ttl_s && lease->until_ns > now_ns) {
            return lease;
        }
    }
    return NULL;
}

static void keep_lease(struct request *request, int64_t ttl_s, int64_t id)
{
    struct rest *rest = runner__rest(request->runner);
    struct shared_lease *oldest = &rest->leases[0];
    for (int i = 1; i < SHARED_LEASES; i++) {
        if (rest->leases[i].until_ns < oldest->until_ns) {
            oldest = &rest->leases[i];
        }
    }
    *oldest = (struct shared_lease){
        .ttl_s = ttl_s,
        .lease = id,
        .until_ns = runner__now(request->runner).mono_ns +
                    ttl_s * REST_SECOND / LEASE_SHARED_PART};
}

static void granted(struct runner *runner, void *context,
                    const struct store_answer *answer)
{
    struct request *request = context;
    struct hook *hook = request->state;
    (void)runner;
    request->call = 0;
    if (answer->code != 0) {
        rest__store_error(request, answer);
        return;
    }
    ProtobufCMessage *message = NULL;
    enum err err =
        message_decode(&etcdserverpb__lease_grant_response__descriptor,
                       answer->message, &request->arena, &message);
    int64_t id =
        err == ERR_OK ? ((Etcdserverpb__LeaseGrantResponse *)message)->id : 0;
    if (id == 0) {
        rest__error(request, 503, "unavailable", "the store gave no lease");
        return;
    }
    keep_lease(request, hook->targets[hook->at].ttl_s, id);
    get_lease(request);
}

/* It may end a 20th early: an id is remembered for its ttl at least. */
static void get_lease(struct request *request)
{
    struct hook *hook = request->state;
    while (hook->at < hook->count) {
        int64_t ttl_s = hook->targets[hook->at].ttl_s;
        const struct shared_lease *lease = find_lease(request, ttl_s);
        if (lease == NULL) {
            Etcdserverpb__LeaseGrantRequest grant =
                ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
            struct buf message = {0};
            grant.ttl = ttl_s + ttl_s / LEASE_SHARED_PART + 1;
            message_encode(&grant.base, &message);
            rest__call(request, RUNNER_LEASE_GRANT, buf_slice(&message),
                       granted);
            buf_deinit(&message);
            return;
        }
        hook->leases[hook->at++] = lease->lease;
    }
    commit(request);
}

void rest__hook(struct request *request)
{
    struct hook *hook = arena_alloc(&request->arena, sizeof(*hook));
    memset(hook, 0, sizeof(*hook));
    request->state = hook;
    if (!defs__are_known(request->runner)) {
        rest__error(request, 503, "not_ready",
                    "the definitions haven't been read yet");
        return;
    }
    if (find_targets(request, hook)) {
        hook->value = make_value(request);
        check_next(request);
    }
}
