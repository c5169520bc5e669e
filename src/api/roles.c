/* /v2/auth/roles: what may be done with which keys. */
#include "api/users.h"
#include "base/check.h"
#include "doc/json_write.h"

#define GUEST "guest"

/* {"kv":{"read":[...],"write":[...]}} */
struct patterns {
    struct names read;
    struct names write;
};

struct role_request {
    struct slice role;
    struct patterns permissions;
    struct patterns grant;
    struct patterns revoke;
};

/* ---- what is there ------------------------------------------------------- */

/* All keys, as v2 has them: what root may do, and guests in the beginning. */
static struct patterns all_keys(struct arena *arena)
{
    const struct names none = {0};
    struct patterns all = {.read = names__copy(arena, &none, 1)};
    names__add(&all.read, SLICE("/*"));
    all.write = all.read;
    return all;
}

static const char *why_unsaid(const struct auth_permission *permission,
                              struct arena *arena)
{
    struct buf text = {0};
    buf_append_str(&text, "the range of keys from ");
    json_write_string(&text, permission->key);
    buf_append_str(&text, " to ");
    json_write_string(&text, permission->range_end);
    buf_append_str(&text, " is no pattern of v2's");
    const char *kept = arena_printf(arena, "%.*s", (int)text.size, text.at);
    buf_deinit(&text);
    return kept;
}

/* Sorted. Copied: the arena outlives the lock. */
static struct patterns patterns_of(const struct auth_role *role,
                                   struct arena *arena, const char **unsaid)
{
    const struct names none = {0};
    struct patterns patterns = {
        .read = names__copy(arena, &none, role->permission_count),
        .write = names__copy(arena, &none, role->permission_count),
    };
    *unsaid = NULL;
    if (slice_eq(role->name, SLICE(AUTH_ROOT))) {
        return all_keys(arena);
    }
    for (size_t i = 0; i < role->permission_count; i++) {
        const struct auth_permission *permission = &role->permissions[i];
        struct slice pattern;
        CHECK_LE(permission->access, AUTH_READWRITE);
        if (!auth_pattern_of(permission, arena, &pattern)) {
            *unsaid = why_unsaid(permission, arena);
            continue;
        }
        if (permission->access != AUTH_WRITE) {
            names__add(&patterns.read, pattern);
        }
        if (permission->access != AUTH_READ) {
            names__add(&patterns.write, pattern);
        }
    }
    names__sort(&patterns.read);
    names__sort(&patterns.write);
    /* As a role that was made without any. */
    patterns.read.is_there = patterns.write.is_there =
        patterns.read.count + patterns.write.count > 0;
    return patterns;
}

static void write_role(struct buf *out, struct slice name,
                       const struct patterns *patterns)
{
    buf_append_str(out, "{\"role\":");
    json_write_string(out, name);
    buf_append_str(out, ",\"permissions\":{\"kv\":{\"read\":");
    names__write(out, &patterns->read);
    buf_append_str(out, ",\"write\":");
    names__write(out, &patterns->write);
    buf_append_str(out, "}}}");
}

void roles__write(struct buf *out, const struct auth_role *role,
                  struct arena *arena, const char **unsaid)
{
    struct patterns patterns = patterns_of(role, arena, unsaid);
    write_role(out, role->name, &patterns);
}

/* The role "root" is there for v2, whether it was made or not. */
static bool find(const struct auth *auth, struct slice name,
                 struct auth_role *out)
{
    if (auth_role(auth, name, out)) {
        return true;
    }
    *out = (struct auth_role){.name = name};
    return slice_eq(name, SLICE(AUTH_ROOT));
}

void roles__write_listed(struct buf *out, const struct auth *auth,
                         struct slice name, struct arena *arena)
{
    struct auth_role role;
    const char *unsaid;
    if (!find(auth, name, &role)) {
        role = (struct auth_role){.name = name};
    }
    roles__write(out, &role, arena, &unsaid);
    if (unsaid != NULL) {
        /* It would be wrong to be silent; v2's clients pass over what they
         * don't know. */
        out->size--;
        buf_append_str(out, ",\"unsaid\":");
        json_write_string(out, slice_str(unsaid));
        buf_append_char(out, '}');
    }
}

bool roles__grant(struct plan *plan, const struct auth *auth, struct slice user,
                  struct slice role)
{
    struct auth_role there;
    struct auth_change change = {
        .op = AUTH_USER_GRANT, .user = user, .role = role};
    if (!find(auth, role, &there)) {
        return plan__refuse(plan, 404, "Role %.*s does not exist.",
                            (int)role.size, role.at);
    }
    if (!auth_role(auth, role, &there)) {
        plan__add(plan,
                  &(struct auth_change){.op = AUTH_ROLE_ADD, .role = role});
    }
    plan__add(plan, &change);
    return true;
}

/* ---- looking ------------------------------------------------------------- */

struct listing {
    struct api *api;
    struct arena *arena;
    bool has_root;
    bool has_one;
};

static void list_one(struct listing *listing, struct slice name)
{
    struct buf *out = &listing->api->out;
    if (listing->has_one) {
        buf_append_char(out, ',');
    }
    listing->has_one = true;
    roles__write_listed(out, node_auth(listing->api->node), name,
                        listing->arena);
}

/* "root" stands in its place among the others. */
static bool list_role(void *context, const struct auth_role *role)
{
    struct listing *listing = context;
    int order = slice_cmp(role->name, SLICE(AUTH_ROOT));
    if (order > 0 && !listing->has_root) {
        list_one(listing, SLICE(AUTH_ROOT));
    }
    listing->has_root = listing->has_root || order >= 0;
    list_one(listing, role->name);
    return true;
}

static void list_roles(struct api *api, struct http_exchange *exchange)
{
    struct listing listing = {.api = api, .arena = exchange->arena};
    const struct plan none = {0};
    struct buf *out = api__body(api);
    buf_append_str(out, "{\"roles\":[");
    lock_read(node_lock(api->node));
    auth_roles(node_auth(api->node), list_role, &listing);
    if (!listing.has_root) {
        list_one(&listing, SLICE(AUTH_ROOT));
    }
    unlock_read(node_lock(api->node));
    buf_append_str(out, "]}\n");
    plan__respond(api, exchange, &none, 200);
}

static bool refuse_unsaid(struct plan *plan, struct slice name,
                          const char *unsaid)
{
    return plan__refuse(plan, 409, "Role %.*s can't be told by the v2 API: %s.",
                        (int)name.size, name.at, unsaid);
}

static void give_role(struct api *api, struct http_exchange *exchange,
                      struct slice name)
{
    struct plan plan = {.arena = exchange->arena};
    struct auth_role role;
    const char *unsaid = NULL;
    struct buf *out = api__body(api);
    lock_read(node_lock(api->node));
    bool found = find(node_auth(api->node), name, &role);
    if (found) {
        roles__write(out, &role, exchange->arena, &unsaid);
    }
    unlock_read(node_lock(api->node));
    buf_append_char(out, '\n');
    if (!found) {
        plan__refuse(&plan, 404, "Role %.*s does not exist.", (int)name.size,
                     name.at);
    } else if (unsaid != NULL) {
        refuse_unsaid(&plan, name, unsaid);
    }
    plan__respond(api, exchange, &plan, 200);
}

/* ---- what a request says ------------------------------------------------- */

static bool read_patterns(struct arena *arena, const struct doc_value *doc,
                          const char *name, struct patterns *out)
{
    const struct doc_value *permissions, *kv = NULL;
    *out = (struct patterns){.read = {0}};
    return users__get_map(doc, name, &permissions) &&
           users__get_map(permissions, "kv", &kv) &&
           users__get_names(arena, kv, "read", &out->read) &&
           users__get_names(arena, kv, "write", &out->write);
}

static bool read_request(struct arena *arena, const struct doc_value *doc,
                         struct role_request *out)
{
    return users__get_text(doc, "role", &out->role) &&
           read_patterns(arena, doc, "permissions", &out->permissions) &&
           read_patterns(arena, doc, "grant", &out->grant) &&
           read_patterns(arena, doc, "revoke", &out->revoke);
}

static bool is_empty(const struct patterns *patterns)
{
    return patterns->read.count == 0 && patterns->write.count == 0;
}

/* ---- from old patterns to new ones --------------------------------------- */

/* All four are sorted. */
struct change_of_role {
    struct slice role;
    struct patterns old;
    struct patterns new;
};

static struct patterns sorted(struct arena *arena,
                              const struct patterns *patterns)
{
    struct patterns copy = {
        .read = names__copy(arena, &patterns->read, 0),
        .write = names__copy(arena, &patterns->write, 0),
    };
    names__sort(&copy.read);
    names__sort(&copy.write);
    return copy;
}

static bool access_of(const struct patterns *patterns, struct slice pattern,
                      uint32_t *access)
{
    bool reads = names__have_sorted(&patterns->read, pattern);
    bool writes = names__have_sorted(&patterns->write, pattern);
    *access = !writes ? AUTH_READ : reads ? AUTH_READWRITE : AUTH_WRITE;
    return reads || writes;
}

static bool change_pattern(struct plan *plan,
                           const struct change_of_role *change,
                           struct slice pattern)
{
    uint32_t before, after;
    bool was = access_of(&change->old, pattern, &before);
    bool is = access_of(&change->new, pattern, &after);
    struct auth_change one = {
        .op = is ? AUTH_ROLE_GRANT : AUTH_ROLE_REVOKE,
        .role = change->role,
        .access = after,
    };
    if (pattern.size == 0) {
        return plan__refuse(plan, 400, "a permission needs a pattern");
    }
    auth_range_of(pattern, plan->arena, &one.key, &one.range_end);
    if (is != was || (is && before != after)) {
        plan__add(plan, &one);
    }
    return true;
}

static bool change_role(struct plan *plan, struct slice role,
                        const struct patterns *old, const struct patterns *new)
{
    struct change_of_role change = {
        .role = role,
        .old = sorted(plan->arena, old),
        .new = sorted(plan->arena, new),
    };
    const struct names *lists[] = {&old->read, &old->write, &new->read,
                                   &new->write};
    struct names all = {0};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        all = names__copy(plan->arena, &all, lists[i]->count);
        for (size_t j = 0; j < lists[i]->count; j++) {
            names__add(&all, lists[i]->items[j]);
        }
    }
    names__sort(&all);
    for (size_t i = 0; i < all.count; i++) {
        bool is_first = i == 0 || !slice_eq(all.items[i], all.items[i - 1]);
        if (is_first && !change_pattern(plan, &change, all.items[i])) {
            return false;
        }
    }
    return true;
}

/* ---- creating, changing, deleting ---------------------------------------- */

static bool refuse_root(struct plan *plan, struct slice name)
{
    if (!slice_eq(name, SLICE(AUTH_ROOT))) {
        return false;
    }
    plan__refuse(plan, 403, "Cannot modify role %.*s: is root role.",
                 (int)name.size, name.at);
    return true;
}

static bool plan_creation(struct plan *plan, const struct auth *auth,
                          struct slice name, const struct patterns *patterns)
{
    const struct patterns none = {.read = {0}};
    struct auth_role role;
    if (refuse_root(plan, name)) {
        return false;
    }
    if (auth_role(auth, name, &role)) {
        return plan__refuse(plan, 409, "Role %.*s already exists.",
                            (int)name.size, name.at);
    }
    plan__add(plan, &(struct auth_change){.op = AUTH_ROLE_ADD, .role = name});
    return change_role(plan, name, &none, patterns);
}

bool roles__make_guest(struct plan *plan, const struct auth *auth)
{
    struct patterns all = all_keys(plan->arena);
    struct auth_role role;
    return auth_role(auth, SLICE(GUEST), &role) ||
           plan_creation(plan, auth, SLICE(GUEST), &all);
}

/* `out` is a copy of `old` with what is granted. */
static bool grant_names(struct plan *plan, const struct names *old,
                        const struct names *grant, const char *what,
                        struct names *out)
{
    *out = names__copy(plan->arena, old, grant->count);
    for (size_t i = 0; i < grant->count; i++) {
        struct slice name = grant->items[i];
        if (names__have(out, name)) {
            return plan__refuse(plan, 409,
                                "Granting duplicate %s permission %.*s", what,
                                (int)name.size, name.at);
        }
        names__add(out, name);
    }
    return true;
}

/* What isn't there needn't be taken away. */
static void revoke_names(struct names *names, const struct names *revoke)
{
    for (size_t i = 0; i < revoke->count; i++) {
        if (names__have(names, revoke->items[i])) {
            names__remove(names, revoke->items[i]);
        }
    }
    names__sort(names);
}

static bool plan_update(struct plan *plan, const struct auth *auth,
                        const struct role_request *request,
                        struct patterns *after)
{
    struct slice name = request->role;
    struct auth_role role;
    const char *unsaid;
    if (refuse_root(plan, name)) {
        return false;
    }
    if (!auth_role(auth, name, &role)) {
        return plan__refuse(plan, 404, "Role %.*s does not exist.",
                            (int)name.size, name.at);
    }
    struct patterns old = patterns_of(&role, plan->arena, &unsaid);
    if (unsaid != NULL) {
        return refuse_unsaid(plan, name, unsaid);
    }
    if (!grant_names(plan, &old.read, &request->grant.read, "read",
                     &after->read) ||
        !grant_names(plan, &old.write, &request->grant.write, "write",
                     &after->write)) {
        return false;
    }
    revoke_names(&after->read, &request->revoke.read);
    revoke_names(&after->write, &request->revoke.write);
    if (!change_role(plan, name, &old, after)) {
        return false;
    }
    return plan->count > 0 ||
           plan__refuse(plan, 400,
                        "Role not updated. Use grant/revoke to update the "
                        "role.");
}

static void put_role(struct api *api, struct http_exchange *exchange,
                     struct slice name)
{
    struct plan plan = {.arena = exchange->arena};
    struct role_request request;
    struct patterns after;
    const struct doc_value *doc = users__read_json(api, exchange);
    if (doc == NULL) {
        return;
    }
    if (!read_request(exchange->arena, doc, &request)) {
        users__respond_message(api, exchange, 400,
                               "Invalid JSON in request body.");
        return;
    }
    bool creates = is_empty(&request.grant) && is_empty(&request.revoke);
    if (!slice_eq(request.role, name)) {
        users__respond_message(api, exchange, 400,
                               "Role JSON name does not match the name in the "
                               "URL");
        return;
    }
    if (!creates && !is_empty(&request.permissions)) {
        users__respond_message(api, exchange, 400,
                               "Role JSON contains both permissions and "
                               "grant/revoke");
        return;
    }
    lock_read(node_lock(api->node));
    const struct auth *auth = node_auth(api->node);
    bool good = creates ? plan_creation(&plan, auth, name, &request.permissions)
                        : plan_update(&plan, auth, &request, &after);
    unlock_read(node_lock(api->node));
    CHECK_EQ(good, plan.status == 0);
    struct buf *out = api__body(api);
    if (good) {
        write_role(out, name, creates ? &request.permissions : &after);
        buf_append_char(out, '\n');
    }
    plan__run(api, exchange, &plan, creates ? 201 : 200);
}

static void delete_role(struct api *api, struct http_exchange *exchange,
                        struct slice name)
{
    struct plan plan = {.arena = exchange->arena};
    struct auth_role role;
    api__body(api);
    if (!refuse_root(&plan, name)) {
        lock_read(node_lock(api->node));
        bool found = auth_role(node_auth(api->node), name, &role);
        unlock_read(node_lock(api->node));
        if (!found) {
            plan__refuse(&plan, 404, "Role %.*s doesn't exist.", (int)name.size,
                         name.at);
        }
    }
    plan__add(&plan,
              &(struct auth_change){.op = AUTH_ROLE_DELETE, .role = name});
    plan__run(api, exchange, &plan, 200);
}

void api__auth_roles(struct api *api, struct http_exchange *exchange,
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
        list_roles(api, exchange);
    } else if (method == HTTP_GET) {
        give_role(api, exchange, name);
    } else if (method == HTTP_PUT) {
        put_role(api, exchange, name);
    } else {
        delete_role(api, exchange, name);
    }
}
