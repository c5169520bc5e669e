/* Webhooks: what comes in is a key first, and answered when that is
 * committed.
 *
 *   path -> triggers of definitions -> their secrets -> signature -> id
 *        -> a lease -> in/<name>/<trigger>/<id> of each, if absent -> 202
 *
 * Several recipes may have one path. Each that takes it gets it, whatever the
 * others say; it is refused where all refuse it. Where one can't say now (its
 * secret can't be opened, the store is away) the answer is 503 after the others
 * have it, so that it comes again: to them it is a duplicate then. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "runner/rest_int.h"

enum {
    TARGETS_MAX = 32,
    SHARED_LEASES = 8,
    LEASE_SHARED_PART = 20, /* one is given out for a 20th of its time */
    ID_BYTES_MAX = 40,
    COMMIT_BYTES_MAX = 512 << 10, /* of one transaction, or one target */
};

enum verdict {
    TARGET_TAKES,
    TARGET_REFUSES,   /* the signature */
    TARGET_HAS_NO_ID, /* its `dedupe` can't be evaluated */
    TARGET_CANT_SAY,
};

struct target {
    struct slice recipe;
    size_t trigger;
    struct slice secret; /* its name; empty: none */
    struct slice header;
    int64_t ttl_s;
    int64_t lease;
    enum verdict verdict;
    char id[ID_BYTES_MAX];
};
struct hook {
    struct target targets[TARGETS_MAX];
    size_t count;
    size_t at;          /* its secret, or lease, is being fetched */
    size_t committing;  /* those before have been, or are being, committed */
    size_t taken;       /* by so many recipes */
    bool is_new;        /* to one of them */
    bool has_retried;   /* with other leases */
    struct slice no_id; /* why one has none */
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

/* What lets its sender in isn't kept. */
static bool is_shown(struct slice name)
{
    return !slice_eq(name, SLICE("authorization")) &&
           !slice_eq(name, SLICE("proxy-authorization")) &&
           !slice_eq(name, SLICE("cookie"));
}

static struct value text_of(struct slice text)
{
    struct value value = value_string(text);
    if (!slice_is_utf8(text)) {
        value.kind = VALUE_BYTES;
    }
    return value;
}

/* One of a name; those that come several times are one, with commas (RFC 9110,
 * section 5.2). */
static struct value headers_of(const struct request *request,
                               struct arena *arena)
{
    size_t count = request->asked.header_count;
    struct value_map *map = arena_alloc(arena, sizeof(*map));
    map->count = 0;
    map->keys = arena_alloc(arena, (count + 1) * sizeof(*map->keys));
    map->values = arena_alloc(arena, (count + 1) * sizeof(*map->values));
    for (size_t i = 0; i < count; i++) {
        struct slice name = request->asked.headers[i].name;
        struct slice text = request->asked.headers[i].value;
        size_t at = 0;
        while (at < map->count && !slice_eq(map->keys[at].text, name)) {
            at++;
        }
        if (!is_shown(name) || !slice_is_utf8(name)) {
            continue;
        }
        if (at < map->count) {
            struct slice before = map->values[at].text;
            char *both = arena_alloc(arena, before.size + text.size + 2);
            memcpy(both, before.at, before.size);
            memcpy(both + before.size, ", ", 2);
            memcpy(both + before.size + 2, text.at, text.size);
            text = slice_of(both, before.size + text.size + 2);
        }
        map->keys[at] = value_string(name);
        map->values[at] = text_of(text);
        map->count += at == map->count;
    }
    return (struct value){.kind = VALUE_MAP, .map = map};
}

static enum expr_found ingredient(void *context, size_t slot,
                                  struct arena *arena, struct value *out)
{
    const struct request *request = context;
    *out = (struct value){.kind = VALUE_ABSENT};
    if (slot == INGREDIENT_BODY) {
        *out = value_from_text(arena, request->asked.body);
    } else if (slot == INGREDIENT_HEADERS) {
        *out = headers_of(request, arena);
    }
    return EXPR_FOUND;
}

static void id_by_expression(struct request *request,
                             const struct recipe *recipe,
                             const struct expr *expr, struct target *target)
{
    struct hook *hook = request->state;
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
        target->verdict = TARGET_HAS_NO_ID;
        hook->no_id = rest__keep(request, id.text);
        return;
    }
    value_write_text(&text, &id);
    hash_id(request, buf_slice(&text), target->id);
    buf_deinit(&text);
}

static void find_id(struct request *request, const struct recipe *recipe,
                    const struct trigger *trigger, struct target *target)
{
    static const char *const headers[] = {"x-github-delivery", "webhook-id",
                                          "x-delivery-id", "idempotency-key"};
    if (trigger->hook.dedupe != NULL) {
        id_by_expression(request, recipe, trigger->hook.dedupe, target);
        return;
    }
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        struct slice given = rest__header(request, slice_str(headers[i]));
        if (given.size > 0) {
            hash_id(request, given, target->id);
            return;
        }
    }
    hash_id(request, request->asked.body, target->id);
}

/* The definitions may have changed while secrets were read. */
static void find_ids(struct request *request)
{
    struct hook *hook = request->state;
    for (size_t i = 0; i < hook->count; i++) {
        struct target *target = &hook->targets[i];
        if (target->verdict != TARGET_TAKES) {
            continue;
        }
        const struct def *def = def__find(request->runner, target->recipe);
        if (def == NULL || def->recipe == NULL ||
            target->trigger >= def->recipe->trigger_count ||
            def->recipe->triggers[target->trigger].kind != TRIGGER_WEBHOOK) {
            target->verdict = TARGET_CANT_SAY;
            continue;
        }
        find_id(request, def->recipe, &def->recipe->triggers[target->trigger],
                target);
    }
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
        rest__error(request, 500, "too_many",
                    "more than %d triggers have this path", TARGETS_MAX);
        return false;
    }
    hook->targets[hook->count++] =
        (struct target){.recipe = rest__keep(request, def->name),
                        .trigger = trigger->index,
                        .secret = rest__keep(request, trigger->hook.secret),
                        .header = rest__keep(request, trigger->hook.header),
                        .ttl_s = trigger->hook.dedupe_ns / REST_SECOND + 1};
    return true;
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
    if (hook->count > 0) {
        return true;
    }
    rest__error(request, 404, "not_found",
                "no recipe has a webhook with the path \"%.*s\"",
                (int)path.size, path.at);
    return false;
}

static struct slice make_value(struct request *request)
{
    struct buf json = {0};
    struct value value = value_from_text(&request->arena, request->asked.body);
    buf_append_str(&json, "{\"body\":");
    value_write_json(&json, &value);
    value = headers_of(request, &request->arena);
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
    char wanted[65];
    unsigned char hash[32];
    struct slice given = rest__header(request, target->header);
    if (slice_has_prefix(given, SLICE("sha256="))) {
        given.at += 7;
        given.size -= 7;
    }
    doors->hmac_sha256(doors->context, key, request->asked.body, hash);
    hex(hash, sizeof(hash), wanted);
    if (!is_same(given, slice_of(wanted, 64)) || key.size == 0) {
        target->verdict = TARGET_REFUSES;
    }
}

static void get_leases(struct request *request);
static void check_next(struct request *request);

/* Without its secret nothing is right; it takes as long to say so. */
static void secret_read(struct runner *runner, void *context,
                        const struct store_answer *answer)
{
    struct request *request = context;
    struct hook *hook = request->state;
    struct target *target = &hook->targets[hook->at];
    const struct runner_doors *doors = &runner__config(runner)->doors;
    struct buf secret = {0};
    enum err err = ERR_OK;
    request->call = 0;
    if (answer->code != 0) {
        rest__store_error(request, answer);
        return;
    }
    if (answer->range->n_kvs > 0) {
        err =
            doors->unseal(doors->context, target->secret,
                          message_bytes(answer->range->kvs[0]->value), &secret);
    }
    check_signature(request, target, buf_slice(&secret));
    if (err != ERR_OK) {
        target->verdict = TARGET_CANT_SAY;
    }
    if (secret.size > 0) {
        explicit_bzero(secret.at, secret.size);
    }
    buf_deinit(&secret);
    hook->at++;
    check_next(request);
}

static size_t count_of(const struct hook *hook, enum verdict verdict)
{
    size_t count = 0;
    for (size_t i = 0; i < hook->count; i++) {
        count += hook->targets[i].verdict == verdict;
    }
    return count;
}

static void answer_hook(struct request *request)
{
    const struct hook *hook = request->state;
    struct buf json = {0};
    const char *id = NULL;
    if (count_of(hook, TARGET_CANT_SAY) > 0) {
        rest__error(request, 503, "unavailable",
                    "one of the recipes with this path can't check the "
                    "signature now: its secret can't be opened");
        return;
    }
    if (hook->taken == 0 && count_of(hook, TARGET_HAS_NO_ID) > 0) {
        rest__error(request, 400, "no_id", "the recipe's dedupe: %.*s",
                    (int)hook->no_id.size, hook->no_id.at);
        return;
    }
    if (hook->taken == 0) {
        rest__error(request, 401, "bad_signature",
                    "the signature is missing or wrong");
        return;
    }
    for (size_t i = 0; i < hook->count && id == NULL; i++) {
        if (hook->targets[i].verdict == TARGET_TAKES) {
            id = hook->targets[i].id;
        }
    }
    buf_append_char(&json, '{');
    rest__text(&json, "id", slice_str(id));
    rest__name(&json, "duplicate");
    buf_append_str(&json, hook->is_new ? "false" : "true");
    rest__integer(&json, "taken", (int64_t)hook->taken);
    buf_append_char(&json, '}');
    rest__answer(request, 202, &json);
}

static void check_next(struct request *request)
{
    struct hook *hook = request->state;
    while (hook->at < hook->count && hook->targets[hook->at].secret.size == 0) {
        hook->at++;
    }
    if (hook->at < hook->count) {
        struct slice name = hook->targets[hook->at].secret;
        rest__range(request, rest__key(request, RECIPE_KEY_SECRET, name, NULL),
                    NULL, 0, 0, secret_read);
        return;
    }
    find_ids(request);
    hook->at = 0;
    get_leases(request);
}

/* ---- leases, and the keys ------------------------------------------------ */

static void commit(struct request *request);

/* A lease that was taken back is in the way of all that share it. */
static void forget_leases(struct request *request)
{
    struct rest *rest = runner__rest(request->runner);
    struct hook *hook = request->state;
    memset(rest->leases, 0, sizeof(rest->leases));
    for (size_t i = 0; i < hook->count; i++) {
        hook->targets[i].lease = 0;
    }
    hook->has_retried = true;
    hook->committing = 0;
    hook->at = 0;
    hook->taken = 0;
}

static void committed(struct runner *runner, void *context,
                      const struct store_answer *answer)
{
    enum { NOT_FOUND = 5 };
    struct request *request = context;
    struct hook *hook = request->state;
    (void)runner;
    request->call = 0;
    if (answer->code == NOT_FOUND && !hook->has_retried) {
        forget_leases(request);
        get_leases(request);
        return;
    }
    if (answer->code != 0) {
        rest__store_error(request, answer);
        return;
    }
    /* Each target is a transaction of its own: absent, or a re-delivery. */
    for (size_t i = 0; i < answer->txn->n_responses; i++) {
        const Etcdserverpb__TxnResponse *inner =
            answer->txn->responses[i]->response_txn;
        hook->is_new = hook->is_new || (inner != NULL && inner->succeeded);
    }
    commit(request);
}

static int64_t lease_of(const void *context, int64_t ttl_ns)
{
    (void)ttl_ns;
    return ((const struct target *)context)->lease;
}

static void add_key(struct request *request, struct store_txn *txn,
                    const struct target *target)
{
    const struct hook *hook = request->state;
    struct slice key = rest__key(
        request, RECIPE_KEY_IN, target->recipe,
        arena_printf(&request->arena, "%zu/%s", target->trigger, target->id));
    struct turn_operation put = {.kind = TURN_PUT,
                                 .key = key,
                                 .value = hook->value,
                                 .ttl_ns = target->ttl_s * REST_SECOND};
    struct turn_compare absent = {
        .key = key, .target = TURN_VERSION, .operator= TURN_EQUAL };
    const struct turn_txn inner = {
        .compares = &absent, .compare_count = 1, .then = &put, .then_count = 1};
    const struct turn_operation operation = {.kind = TURN_TXN, .txn = &inner};
    store_txn__operation(txn, &operation, lease_of, target);
}

/* As many at once as a transaction carries. */
static void commit(struct request *request)
{
    struct hook *hook = request->state;
    struct store_txn txn;
    size_t bytes = 0;
    store_txn__begin(&txn);
    while (hook->committing < hook->count &&
           (bytes == 0 || bytes + hook->value.size <= COMMIT_BYTES_MAX)) {
        struct target *target = &hook->targets[hook->committing++];
        if (target->verdict == TARGET_TAKES) {
            add_key(request, &txn, target);
            bytes += hook->value.size;
            hook->taken++;
        }
    }
    if (bytes > 0) {
        rest__txn(request, &txn, committed);
    } else {
        buf_deinit(&txn.body);
        answer_hook(request);
    }
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
    struct target *target = &hook->targets[hook->at];
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
    target->lease =
        err == ERR_OK ? ((Etcdserverpb__LeaseGrantResponse *)message)->id : 0;
    if (target->lease == 0) {
        rest__error(request, 503, "unavailable", "the store gave no lease");
        return;
    }
    keep_lease(request, target->ttl_s, target->lease);
    get_leases(request);
}

static void ask_lease(struct request *request, int64_t ttl_s)
{
    Etcdserverpb__LeaseGrantRequest grant =
        ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    struct buf message = {0};
    grant.ttl = ttl_s + ttl_s / LEASE_SHARED_PART + 1;
    message_encode(&grant.base, &message);
    rest__call(request, RUNNER_LEASE_GRANT, buf_slice(&message), granted);
    buf_deinit(&message);
}

/* A shared one has a 20th more than is asked for: an id is remembered for its
 * time at least. */
static void get_leases(struct request *request)
{
    struct hook *hook = request->state;
    for (; hook->at < hook->count; hook->at++) {
        struct target *target = &hook->targets[hook->at];
        if (target->verdict != TARGET_TAKES || target->lease != 0) {
            continue;
        }
        const struct shared_lease *lease = find_lease(request, target->ttl_s);
        if (lease == NULL) {
            ask_lease(request, target->ttl_s);
            return;
        }
        target->lease = lease->lease;
    }
    commit(request);
}

void rest__hook(struct request *request)
{
    struct hook *hook = arena_alloc(&request->arena, sizeof(*hook));
    memset(hook, 0, sizeof(*hook));
    request->state = hook;
    if (!defs__are_known(request->runner)) {
        rest__not_ready(request);
    } else if (find_targets(request, hook)) {
        hook->value = make_value(request);
        check_next(request);
    }
}
