/* /v2/auth/users: who there is, and which roles they have. */
#include "api/users.h"

#include "base/check.h"
#include "doc/json_write.h"

enum { BCRYPT_COST = 10 }; /* where the configuration says none; as etcd's */

struct user_request {
    struct slice user;
    struct slice password;
    struct names roles;
    struct names grant;
    struct names revoke;
};

/* ---- looking ------------------------------------------------------------- */

/* Shared lock. */
static void write_user(struct buf *out, const struct auth *auth,
                       const struct auth_user *user, struct arena *arena)
{
    buf_append_str(out, "{\"user\":");
    json_write_string(out, user->name);
    for (size_t i = 0; i < user->role_count; i++) {
        buf_append_str(out, i == 0 ? ",\"roles\":[" : ",");
        roles__write_listed(out, auth, user->roles[i], arena);
    }
    buf_append_str(out, user->role_count > 0 ? "]}" : "}");
}

struct listing {
    struct api *api;
    struct arena *arena;
    bool has_one;
};

static bool list_user(void *context, const struct auth_user *user)
{
    struct listing *listing = context;
    struct buf *out = &listing->api->out;
    if (listing->has_one) {
        buf_append_char(out, ',');
    }
    listing->has_one = true;
    write_user(out, node_auth(listing->api->node), user, listing->arena);
    return true;
}

static void list_users(struct api *api, struct http_exchange *exchange)
{
    struct listing listing = {.api = api, .arena = exchange->arena};
    const struct plan none = {0};
    struct buf *out = api__body(api);
    buf_append_str(out, "{\"users\":");
    size_t start = out->size;
    buf_append_char(out, '[');
    lock_read(node_lock(api->node));
    auth_users(node_auth(api->node), list_user, &listing);
    unlock_read(node_lock(api->node));
    if (listing.has_one) {
        buf_append_str(out, "]}\n");
    } else {
        out->size = start;
        buf_append_str(out, "null}\n");
    }
    plan__respond(api, exchange, &none, 200);
}

static void give_user(struct api *api, struct http_exchange *exchange,
                      struct slice name)
{
    struct plan plan = {.arena = exchange->arena};
    struct auth_user user;
    struct buf *out = api__body(api);
    lock_read(node_lock(api->node));
    bool found = auth_user(node_auth(api->node), name, &user);
    if (found) {
        write_user(out, node_auth(api->node), &user, exchange->arena);
    }
    unlock_read(node_lock(api->node));
    buf_append_char(out, '\n');
    if (!found) {
        plan__refuse(&plan, 404, "User %.*s does not exist.", (int)name.size,
                     name.at);
    }
    plan__respond(api, exchange, &plan, 200);
}

/* ---- what comes of a request --------------------------------------------- */

static bool plan_creation(struct plan *plan, const struct auth *auth,
                          const struct user_request *request, struct slice hash,
                          struct names *roles)
{
    struct slice name = request->user;
    struct auth_user user;
    struct auth_change change = {
        .op = AUTH_USER_ADD, .user = name, .hash = hash};
    if (request->password.size == 0) {
        return plan__refuse(plan, 400,
                            "Cannot create user %.*s with an empty password",
                            (int)name.size, name.at);
    }
    if (auth_user(auth, name, &user)) {
        return plan__refuse(plan, 409, "User %.*s already exists.",
                            (int)name.size, name.at);
    }
    *roles = request->roles;
    if (slice_eq(name, SLICE(AUTH_ROOT)) &&
        !names__have(roles, SLICE(AUTH_ROOT))) {
        *roles = names__copy(plan->arena, roles, 1);
        names__add(roles, SLICE(AUTH_ROOT));
    }
    plan__add(plan, &change);
    for (size_t i = 0; i < roles->count; i++) {
        struct names before = {.items = roles->items, .count = i};
        if (!names__have(&before, roles->items[i]) &&
            !roles__grant(plan, auth, name, roles->items[i])) {
            return false;
        }
    }
    return true;
}

static bool grant_roles(struct plan *plan, const struct auth *auth,
                        const struct user_request *request, struct names *roles)
{
    for (size_t i = 0; i < request->grant.count; i++) {
        struct slice role = request->grant.items[i];
        if (names__have(roles, role)) {
            return plan__refuse(plan, 409,
                                "Granting duplicate role %.*s for user %.*s",
                                (int)role.size, role.at,
                                (int)request->user.size, request->user.at);
        }
        if (!roles__grant(plan, auth, request->user, role)) {
            return false;
        }
        names__add(roles, role);
    }
    return true;
}

static bool revoke_roles(struct plan *plan, const struct user_request *request,
                         struct names *roles)
{
    for (size_t i = 0; i < request->revoke.count; i++) {
        struct slice role = request->revoke.items[i];
        struct auth_change change = {
            .op = AUTH_USER_REVOKE, .user = request->user, .role = role};
        if (!names__have(roles, role)) {
            return plan__refuse(plan, 409,
                                "Revoking ungranted role %.*s for user %.*s",
                                (int)role.size, role.at,
                                (int)request->user.size, request->user.at);
        }
        plan__add(plan, &change);
        names__remove(roles, role);
    }
    return true;
}

static bool plan_update(struct plan *plan, const struct auth *auth,
                        const struct user_request *request, struct slice hash,
                        struct names *roles)
{
    struct slice name = request->user;
    struct auth_user user;
    struct auth_change change = {
        .op = AUTH_USER_PASSWORD, .user = name, .hash = hash};
    const struct names none = {0};
    if (!auth_user(auth, name, &user)) {
        return plan__refuse(plan, 404, "User %.*s does not exist.",
                            (int)name.size, name.at);
    }
    *roles =
        names__copy(plan->arena, &none, user.role_count + request->grant.count);
    for (size_t i = 0; i < user.role_count; i++) {
        struct slice role = user.roles[i];
        names__add(roles, slice_of(arena_dup(plan->arena, role.at, role.size),
                                   role.size));
    }
    if (request->password.size > 0) {
        plan__add(plan, &change);
    }
    if (!grant_roles(plan, auth, request, roles) ||
        !revoke_roles(plan, request, roles)) {
        return false;
    }
    names__sort(roles);
    return plan->count > 0 ||
           plan__refuse(plan, 400,
                        "User not updated. Use grant/revoke/password to "
                        "update the user.");
}

/* ---- PUT ----------------------------------------------------------------- */

/* `hash` is the password's; where there is none yet the plan is made for what
 * may be wrong with it. */
static bool make_plan(struct api *api, const struct user_request *request,
                      struct slice hash, struct plan *plan, int *status)
{
    const struct auth *auth = node_auth(api->node);
    struct names roles = {0};
    struct auth_user user;
    bool grants = request->grant.count + request->revoke.count > 0;
    lock_read(node_lock(api->node));
    /* With roles it can only be meant to be new; and, as in etcd, is answered
     * with 200 all the same. */
    bool creates = !grants && (request->roles.count > 0 ||
                               !auth_user(auth, request->user, &user));
    bool good = creates ? plan_creation(plan, auth, request, hash, &roles)
                        : plan_update(plan, auth, request, hash, &roles);
    unlock_read(node_lock(api->node));
    CHECK_EQ(good, plan->status == 0);
    *status = creates && request->roles.count == 0 ? 201 : 200;
    struct buf *out = api__body(api);
    if (good) {
        buf_append_str(out, "{\"user\":");
        json_write_string(out, request->user);
        buf_append_str(out, ",\"roles\":");
        names__write(out, &roles);
        buf_append_str(out, "}\n");
    }
    return good;
}

static void hash_password(struct chore *chore, struct crypto *crypto)
{
    int cost = chore->api->shared->bcrypt_cost;
    chore->err =
        crypto->ops->password_hash(crypto, buf_slice(&chore->password),
                                   cost > 0 ? cost : BCRYPT_COST, &chore->hash);
}

static void password_hashed(struct api *api, struct chore *chore)
{
    struct http_exchange *exchange = chore->exchange;
    struct plan plan = {.arena = exchange->arena};
    int status = 0;
    CHECK(chore->context != NULL && exchange != NULL);
    api->caller = chore->caller;
    if (chore->err != ERR_OK) {
        plan__refuse(&plan, 500, "the password can't be hashed");
    } else {
        (void)make_plan(api, chore->context, buf_slice(&chore->hash), &plan,
                        &status);
    }
    plan__run(api, exchange, &plan, status);
}

static bool read_request(struct arena *arena, const struct doc_value *doc,
                         struct user_request *out)
{
    return users__get_text(doc, "user", &out->user) &&
           users__get_text(doc, "password", &out->password) &&
           users__get_names(arena, doc, "roles", &out->roles) &&
           users__get_names(arena, doc, "grant", &out->grant) &&
           users__get_names(arena, doc, "revoke", &out->revoke);
}

/* NULL: it was answered. */
static struct user_request *
take_request(struct api *api, struct http_exchange *exchange, struct slice name)
{
    struct user_request *request =
        arena_alloc(exchange->arena, sizeof(*request));
    const char *message = NULL;
    const struct doc_value *doc = users__read_json(api, exchange);
    if (doc == NULL) {
        return NULL;
    }
    if (!read_request(exchange->arena, doc, request)) {
        message = "Invalid JSON in request body.";
    } else if (!slice_eq(request->user, name)) {
        message = "User JSON name does not match the name in the URL";
    } else if (request->grant.count + request->revoke.count > 0 &&
               request->roles.count > 0) {
        message = "User JSON contains both roles and grant/revoke";
    }
    if (message != NULL) {
        users__respond_message(api, exchange, 400, message);
        return NULL;
    }
    return request;
}

static void put_user(struct api *api, struct http_exchange *exchange,
                     struct slice name)
{
    struct plan plan = {.arena = exchange->arena};
    struct user_request *request = take_request(api, exchange, name);
    int status;
    if (request == NULL) {
        return;
    }
    bool good = make_plan(api, request, SLICE(""), &plan, &status);
    if (good && request->password.size > 0 && api->shared->crypto != NULL &&
        crypto_check_password(api->shared->crypto, request->password) !=
            ERR_OK) {
        good = plan__refuse(&plan, 400, "%s", err_note());
    }
    if (!good || request->password.size == 0) {
        plan__run(api, exchange, &plan, status);
        return;
    }
    struct chore *chore = chore__new(api, exchange);
    if (chore != NULL) {
        chore->run = hash_password;
        chore->done = password_hashed;
        chore->context = request;
        buf_append_slice(&chore->password, request->password);
        chore__submit(chore);
    }
}

/* ---- DELETE -------------------------------------------------------------- */

static void delete_user(struct api *api, struct http_exchange *exchange,
                        struct slice name)
{
    struct plan plan = {.arena = exchange->arena};
    const struct auth *auth = node_auth(api->node);
    struct auth_user user;
    api__body(api);
    lock_read(node_lock(api->node));
    bool found = auth_user(auth, name, &user);
    unlock_read(node_lock(api->node));
    if (auth_is_on(auth) && slice_eq(name, SLICE(AUTH_ROOT))) {
        plan__refuse(&plan, 403,
                     "Cannot delete root user while auth is enabled.");
    } else if (!found) {
        plan__refuse(&plan, 404, "User %.*s does not exist", (int)name.size,
                     name.at);
    }
    plan__add(&plan,
              &(struct auth_change){.op = AUTH_USER_DELETE, .user = name});
    plan__run(api, exchange, &plan, 200);
}

void api__auth_users(struct api *api, struct http_exchange *exchange,
                     struct slice rest)
{
    struct slice name;
    enum http_method method = exchange->request.method;
    if (!users__read_name(api, exchange, rest, &name)) {
        return;
    }
    if (name.size == 0 && method != HTTP_GET) {
        api__respond_not_allowed(api, exchange, "GET");
    } else if (name.size == 0) {
        list_users(api, exchange);
    } else if (method == HTTP_GET) {
        give_user(api, exchange, name);
    } else if (method == HTTP_PUT) {
        put_user(api, exchange, name);
    } else {
        delete_user(api, exchange, name);
    }
}
