/* Who asks, and whether he may ask at all.
 *
 *   metadata `token` or `authorization` (with "Bearer " or without) --> user
 *   else the client certificate's common name, as TLS has verified it on this
 *        very connection
 *   else the connection is this process's own: the server itself, or a recipe
 *        with its owner's rights (`etched-owner`)
 *   else nobody
 *
 * As in etcd a token that isn't good is refused though there be a certificate.
 * Each method has its rule in the table (method.c); RULE_BY_REQUEST: the
 * handler looks at what is asked for, and the node once more at every write.
 *
 * WHAT A TOKEN STANDS FOR is kept for a moment, so that it isn't hashed and
 * looked up for each of a thousand puts. What is kept is of one revision of
 * users and roles, and found under the store's lock, so that it is dropped
 * with the token whenever a user loses his; and for no longer than KNOWN_MS,
 * so that it ends with it.
 */
#include "base/check.h"
#include "rpc/contest.h"

enum { KNOWN_TOKENS = 1024, KNOWN_MS = 100 };

struct known {
    uint64_t hash;
    uint64_t revision; /* 0: nothing is here */
    int64_t until_ms;
    struct buf token;
    size_t user_size;
    char user[AUTH_NAME_BYTES_MAX];
};

static const struct auth *auth_of(const struct call *call)
{
    return node_auth(call->rpc->node);
}

void who__free(struct rpc *rpc)
{
    for (size_t i = 0; rpc->known != NULL && i < KNOWN_TOKENS; i++) {
        struct buf *token = &rpc->known[i].token;
        if (token->size > 0) {
            memset(token->at, 0, token->size);
        }
        buf_deinit(token);
    }
    mem_free(rpc->known);
    rpc->known = NULL;
}

/* ---- by a token ---------------------------------------------------------- */

/* Nobody is called so who logs in; a name with a NUL is the server's. */
static bool is_name(struct slice name)
{
    return name.size > 0 && name.size <= AUTH_NAME_BYTES_MAX &&
           memchr(name.at, '\0', name.size) == NULL;
}

static enum v3_error find(struct call *call, struct slice token,
                          struct known *known)
{
    struct rpc *rpc = call->rpc;
    struct auth_tokens *tokens = rpc->shared->api->tokens;
    enum v3_error error = V3_INVALID_AUTH_TOKEN;
    known->revision = 0;
    if (tokens == NULL) {
        return error;
    }
    lock_read(node_lock(rpc->node));
    call->auth_revision = auth_revision(auth_of(call));
    error = auth_tokens_find(tokens, token, call->auth_revision, known->user,
                             &known->user_size);
    unlock_read(node_lock(rpc->node));
    if (error == V3_OK && !is_name(slice_of(known->user, known->user_size))) {
        error = V3_INVALID_AUTH_TOKEN;
    }
    return error;
}

static bool is_known(const struct call *call, const struct known *known,
                     uint64_t hash, struct slice token, int64_t now_ms)
{
    return known->revision == call->auth_revision && known->hash == hash &&
           now_ms < known->until_ms &&
           slice_eq(buf_slice(&known->token), token);
}

static enum v3_error by_token(struct call *call, struct slice token)
{
    struct rpc *rpc = call->rpc;
    int64_t now_ms = rpc__now_ms(rpc);
    uint64_t hash = slice_hash(token, rpc->known_seed);
    if (rpc->known == NULL) {
        rpc->known = mem_alloc_zero(KNOWN_TOKENS * sizeof(*rpc->known));
    }
    struct known *known = &rpc->known[hash % KNOWN_TOKENS];
    if (!is_known(call, known, hash, token, now_ms)) {
        enum v3_error error = find(call, token, known);
        if (error != V3_OK) {
            return error;
        }
        buf_reset(&known->token);
        buf_append_slice(&known->token, token);
        known->hash = hash;
        known->revision = call->auth_revision;
        known->until_ms = now_ms + KNOWN_MS;
    }
    call->user = slice_of(
        arena_dup(call->exchange->arena, known->user, known->user_size),
        known->user_size);
    call->how = "token";
    return V3_OK;
}

/* at == NULL: none. */
static struct slice token_of(const struct call *call)
{
    static const struct slice bearer = {"Bearer ", 7};
    struct slice token = call__metadata(call, "token");
    if (token.at == NULL) {
        token = call__metadata(call, "authorization");
    }
    if (token.at != NULL && token.size >= bearer.size &&
        slice_eq_nocase(slice_of(token.at, bearer.size), bearer)) {
        token = slice_of(token.at + bearer.size, token.size - bearer.size);
    }
    return token;
}

/* ---- else ---------------------------------------------------------------- */

static void by_own_word(struct call *call)
{
    struct slice owner = call__metadata(call, "etched-owner");
    const struct slice recipe = AUTH_RECIPE_OF;
    call->user = AUTH_SERVER;
    call->how = "own";
    if (owner.at != NULL) {
        char *user =
            arena_alloc(call->exchange->arena, recipe.size + owner.size);
        memcpy(user, recipe.at, recipe.size);
        memcpy(user + recipe.size, owner.at, owner.size);
        call->user = slice_of(user, recipe.size + owner.size);
        call->how = "recipe";
    }
}

enum v3_error who__look(struct call *call)
{
    call->user = SLICE("");
    call->how = "";
    call->auth_revision = 0;
    if (!auth_is_on(auth_of(call))) {
        return V3_OK;
    }
    call->auth_revision = auth_revision(auth_of(call));
    struct slice token = token_of(call);
    if (token.at != NULL) {
        return by_token(call, token);
    }
    const struct http_request *request = &call->exchange->request;
    if (is_name(request->certificate)) {
        call->user = request->certificate;
        call->how = "certificate";
    } else if (request->is_own) {
        by_own_word(call);
    }
    return V3_OK;
}

/* ---- may he? ------------------------------------------------------------- */

static enum v3_error check_rule(const struct call *call)
{
    struct lock *lock = node_auth_lock(call->rpc->node);
    enum v3_error error = V3_OK;
    enum method_rule rule = call->method->rule;
    if (call->user.size == 0) {
        return V3_USER_EMPTY;
    }
    if (rule == RULE_BY_REQUEST || slice_eq(call->user, AUTH_SERVER)) {
        return V3_OK;
    }
    lock_read(lock);
    if (rule == RULE_KNOWN) {
        error = auth_may_ask(auth_of(call), call->user);
    } else {
        CHECK_EQ(rule, RULE_ADMIN);
        error = auth_may_admin(auth_of(call), call->user);
    }
    unlock_read(lock);
    return error;
}

static bool asks_by_and_by(const struct call *call)
{
    return call->method->rule == RULE_BY_REQUEST &&
           call->method->client_streams;
}

/* As etcd answers, whose Lock and Election are clients of its own. */
static void refuse(struct call *call, enum v3_error error)
{
    struct slice path = slice_str(call->method->path);
    if (slice_has_prefix(path, SLICE("/v3lockpb.")) ||
        slice_has_prefix(path, SLICE("/v3electionpb."))) {
        contest__fail(call, ERR_OK, error);
    } else {
        call__fail(call, error);
    }
}

bool who__let_in(struct call *call)
{
    CHECK(call->method->rule != RULE_UNSAID);
    if (call->method->rule == RULE_ANYONE || asks_by_and_by(call)) {
        return true;
    }
    enum v3_error error = who__look(call);
    if (error == V3_OK && call->auth_revision != 0) {
        error = check_rule(call);
    }
    if (error != V3_OK) {
        refuse(call, error);
    }
    return error == V3_OK;
}

bool who__has_changed(const struct call *call)
{
    const struct auth *auth = auth_of(call);
    return auth_is_on(auth) ? auth_revision(auth) != call->auth_revision
                            : call->auth_revision != 0;
}

enum v3_error who__again(struct call *call)
{
    const struct auth *auth = auth_of(call);
    if (!auth_is_on(auth)) {
        call->auth_revision = 0;
        return V3_OK;
    }
    call->auth_revision = auth_revision(auth);
    return check_rule(call);
}

enum v3_error who__may(const struct call *call, enum auth_access access,
                       struct slice key, struct slice range_end)
{
    struct lock *lock = node_auth_lock(call->rpc->node);
    CHECK(!call->rpc->reading);
    lock_read(lock);
    enum v3_error error =
        auth_may(auth_of(call), call->user, access, key, range_end);
    unlock_read(lock);
    return error;
}

void who__sign(const struct call *call, struct command *command)
{
    command->user = call->user;
    command->auth_revision = call->auth_revision;
}

/* ---- what is written down ------------------------------------------------ */

void who__about(struct call *call, struct slice key, struct slice range_end)
{
    if (call->rpc->shared->api->audit == NULL || call->key.at != NULL) {
        return;
    }
    struct arena *arena = call->exchange->arena;
    call->key = slice_of(arena_dup(arena, key.at, key.size), key.size);
    call->range_end = slice_of(arena_dup(arena, range_end.at, range_end.size),
                               range_end.size);
}

static bool is_refusal(enum grpc_code code, struct slice text)
{
    static const enum v3_error refusals[] = {
        V3_PERMISSION_DENIED, V3_INVALID_AUTH_TOKEN, V3_USER_EMPTY,
        V3_AUTH_FAILED,       V3_AUTH_OLD_REVISION,  V3_NO_PASSWORD_USER,
    };
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (code != GRPC_OK &&
            slice_eq(text, slice_str(v3_error_text(refusals[i])))) {
            return true;
        }
    }
    return false;
}

/* Who a recipe acts for is what counts. */
static struct slice name_of(const struct call *call)
{
    const struct slice recipe = AUTH_RECIPE_OF;
    struct slice user = call->user;
    return slice_has_prefix(user, recipe)
               ? slice_of(user.at + recipe.size, user.size - recipe.size)
               : user;
}

void who__note_range(const struct call *call, struct slice key,
                     struct slice range_end, const char *why)
{
    struct audit *audit = call->rpc->shared->api->audit;
    if (audit == NULL || slice_eq(call->user, AUTH_SERVER)) {
        return; /* the server itself needs no leave */
    }
    const struct audit_event event = {
        .user = name_of(call),
        .how = slice_str(call->how != NULL ? call->how : ""),
        .what = slice_str(call->method->path),
        .key = key,
        .range_end = range_end,
        .from = call->exchange->request.peer,
        .allowed = why == NULL,
        .why = slice_str(why != NULL ? why : ""),
    };
    audit_write(audit, &event);
}

void who__note(const struct call *call, enum grpc_code code, struct slice text)
{
    if (call->rpc->shared->api->audit == NULL) {
        return;
    }
    const char *why = is_refusal(code, text)
                          ? arena_printf(call->exchange->arena, "%.*s",
                                         (int)text.size, text.at)
                          : NULL;
    who__note_range(call, call->key, call->range_end, why);
}
