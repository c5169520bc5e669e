/* May they? Nothing here changes anything, so any number of threads may ask
 * under the shared lock. */
#include "auth/auth_int.h"
#include "base/plant.h"
#include "proto/message.h"

/* What is below it belongs to the recipes. */
#define OURS SLICE("/_recipes")
#define OURS_FROM SLICE("/_recipes/")
#define OURS_END SLICE("/_recipes0") /* '0' is what follows '/' */

/* Who asks, looked up once for all that a request has in it. */
struct who {
    enum v3_error error; /* not V3_OK: whatever it is, no */
    bool may_all;        /* off, root, or the server itself */
    bool is_recipe;
    bool is_path; /* v2: whose guest may see all but what is ours */
    const struct auth__grants *grants;
};

/* ---- who ----------------------------------------------------------------- */

static struct who denied(enum v3_error error)
{
    return (struct who){.error = error};
}

static struct who user_of(const struct auth *auth, struct slice name)
{
    const struct auth__user *user = auth__names_get(&auth->users, name);
    if (user == NULL)
        return denied(V3_PERMISSION_DENIED);
    CHECK(user->grants != NULL);
    return (struct who){
        .may_all = user->grants->is_root,
        .grants = user->grants,
    };
}

/* A recipe does what its owner may, but never all. */
static struct who recipe_of(const struct auth *auth, struct slice owner)
{
    struct who who = {.grants = auth->guest};
    if (owner.size == 0)
        return denied(V3_USER_EMPTY);
    if (!slice_eq(owner, AUTH_GUEST))
        who = user_of(auth, owner);
    who.may_all = false;
    who.is_recipe = true;
    return who;
}

static struct who special_of(const struct auth *auth, struct slice name)
{
    struct slice recipe = AUTH_RECIPE_OF;
    if (slice_eq(name, AUTH_SERVER))
        return (struct who){.may_all = true};
    if (slice_eq(name, AUTH_GUEST))
        return (struct who){.grants = auth->guest};
    if (slice_has_prefix(name, recipe))
        return recipe_of(
            auth, slice_of(name.at + recipe.size, name.size - recipe.size));
    return denied(V3_PERMISSION_DENIED);
}

static struct who who_is(const struct auth *auth, struct slice name)
{
    if (!auth_is_on(auth))
        return (struct who){.may_all = true};
    if (name.size == 0)
        return denied(V3_USER_EMPTY);
    if (name.at[0] == '\0')
        return special_of(auth, name);
    return user_of(auth, name);
}

/* ---- ranges -------------------------------------------------------------- */

static bool has(uint32_t access, enum auth_access wanted)
{
    return access == (uint32_t)wanted || access == AUTH_READWRITE;
}

static bool is_below_ours(struct slice key)
{
    return slice_has_prefix(key, OURS_FROM);
}

/* What is ours isn't written by others; who may read all, as for a backup,
 * reads it too. */
static bool is_shut(const struct who *who, enum auth_access access)
{
    return who->is_recipe || who->is_path || access != AUTH_READ;
}

static bool may_key(const struct who *who, enum auth_access access,
                    struct slice key)
{
    if (is_below_ours(key) && is_shut(who, access))
        return who->is_recipe;
    return auth__spans_have(&who->grants->may[access], key);
}

/* end.at == NULL: no end. */
static bool may_span(const struct who *who, enum auth_access access,
                     struct slice from, struct slice end)
{
    const struct auth__spans *spans = &who->grants->may[access];
    bool begins_before = slice_cmp(from, OURS_FROM) < 0;
    bool begins_behind = slice_cmp(from, OURS_END) >= 0;
    bool ends_before = end.at != NULL && slice_cmp(end, OURS_FROM) <= 0;
    bool ends_behind = end.at == NULL || slice_cmp(end, OURS_END) > 0;
    if (begins_behind || ends_before || !is_shut(who, access))
        return auth__spans_cover(spans, from, end);
    /* Some of it is ours: the rest is the owner's, on either side. */
    return who->is_recipe &&
           (!begins_before || auth__spans_cover(spans, from, OURS_FROM)) &&
           (!ends_behind || auth__spans_cover(spans, OURS_END, end));
}

static bool may_range(const struct who *who, enum auth_access access,
                      struct slice key, struct slice range_end)
{
    struct slice end = range_end;
    if (who->may_all)
        return true;
    if (range_end.size == 0)
        return may_key(who, access, key);
    bool is_open = range_end.size == 1 && range_end.at[0] == '\0';
    if (is_open && !PLANTED(AUTH_OPEN_END))
        end = slice_of(NULL, 0);
    if (key.size == 0) /* no key is empty */
        key = SLICE("\0");
    /* There is nothing in it; what it names must be theirs all the same. */
    if (end.at != NULL && slice_cmp(key, end) >= 0)
        return PLANTED(AUTH_OPEN_END) || may_key(who, access, key);
    return may_span(who, access, key, end);
}

static enum v3_error check(const struct who *who, uint32_t access,
                           struct slice key, struct slice range_end)
{
    if (who->error != V3_OK)
        return who->error;
    bool good = (!has(access, AUTH_READ) ||
                 may_range(who, AUTH_READ, key, range_end)) &&
                (!has(access, AUTH_WRITE) ||
                 may_range(who, AUTH_WRITE, key, range_end));
    return good ? V3_OK : V3_PERMISSION_DENIED;
}

enum v3_error auth_may(const struct auth *auth, struct slice user,
                       enum auth_access access, struct slice key,
                       struct slice range_end)
{
    struct who who = who_is(auth, user);
    return check(&who, access, key, range_end);
}

enum v3_error auth_may_recipe(const struct auth *auth, struct slice user,
                              enum auth_access access, struct slice key,
                              struct slice range_end)
{
    struct who who = who_is(auth, user);
    if (who.error != V3_OK || who.may_all)
        return who.error;
    CHECK(access == AUTH_READ || access == AUTH_WRITE);
    const struct auth__spans *spans = &who.grants->may[access];
    bool good = range_end.size == 0 ? auth__spans_have(spans, key)
                                    : auth__spans_cover(spans, key, range_end);
    return good ? V3_OK : V3_PERMISSION_DENIED;
}

enum v3_error auth_may_admin(const struct auth *auth, struct slice user)
{
    struct who who = who_is(auth, user);
    if (who.error != V3_OK)
        return who.error;
    return who.may_all ? V3_OK : V3_PERMISSION_DENIED;
}

enum v3_error auth_may_ask(const struct auth *auth, struct slice user)
{
    return who_is(auth, user).error;
}

/* ---- paths of v2 --------------------------------------------------------- */

/* The names at the root that begin with '_' are seen by nobody who looks at
 * the root, and the root itself is never removed: so what is ours doesn't
 * stand in the way there. */
static bool may_root(const struct who *who, enum auth_access access)
{
    const struct auth__spans *spans = &who->grants->may[access];
    return auth__spans_cover(spans, SLICE("/"), OURS_FROM) &&
           auth__spans_cover(spans, OURS_END, SLICE("0"));
}

static bool may_below(const struct who *who, enum auth_access access,
                      struct slice path)
{
    char few[256];
    size_t size = path.size + 1;
    char *bytes = size * 2 <= sizeof few ? few : mem_alloc(size * 2);
    struct slice from = slice_of(bytes, size);
    struct slice end = slice_of(bytes + size, size);
    memcpy(bytes, path.at, path.size);
    bytes[path.size] = '/';
    memcpy(bytes + size, bytes, size);
    bytes[size + path.size] = '/' + 1;
    bool good = may_span(who, access, from, end);
    if (bytes != few)
        mem_free(bytes);
    return good;
}

static bool may_path(const struct who *who, enum auth_access access,
                     struct slice path, bool recursive)
{
    if (who->may_all)
        return true;
    if (slice_eq(path, OURS)) /* which shows what is in it */
        return who->is_recipe;
    if (recursive && slice_eq(path, SLICE("/")))
        return may_root(who, access);
    return may_key(who, access, path) &&
           (!recursive || may_below(who, access, path));
}

static enum v3_error check_path(const struct who *who, uint32_t access,
                                struct slice path, bool recursive)
{
    if (who->error != V3_OK)
        return who->error;
    bool good = (!has(access, AUTH_READ) ||
                 may_path(who, AUTH_READ, path, recursive)) &&
                (!has(access, AUTH_WRITE) ||
                 may_path(who, AUTH_WRITE, path, recursive));
    return good ? V3_OK : V3_PERMISSION_DENIED;
}

enum v3_error auth_may_path(const struct auth *auth, struct slice user,
                            enum auth_access access, struct slice path,
                            bool recursive)
{
    struct who who = who_is(auth, user);
    who.is_path = true;
    return check_path(&who, access, path, recursive);
}

/* ---- leases -------------------------------------------------------------- */

struct lease_check {
    const struct who *who;
    uint32_t access;
    bool good;
};

static void check_leased(void *context, enum mvcc_table table, struct slice key)
{
    struct lease_check *lease = context;
    if (!lease->good)
        return;
    /* A directory ends with all that is below it. */
    enum v3_error error =
        table == MVCC_DIRS
            ? check_path(lease->who, lease->access, key, true)
            : check(lease->who, lease->access, key, slice_of(NULL, 0));
    lease->good = error == V3_OK;
}

static enum v3_error check_lease(const struct who *who, uint32_t access,
                                 const struct lease_table *leases, lease_id id)
{
    struct lease_check lease = {who, access, true};
    if (who->error != V3_OK || who->may_all || id == 0)
        return who->error;
    if (PLANTED(AUTH_LEASE_KEYS) && access == AUTH_READ)
        return V3_OK;
    lease_each_key(leases, id, check_leased, &lease);
    return lease.good ? V3_OK : V3_PERMISSION_DENIED;
}

enum v3_error auth_may_lease(const struct auth *auth, struct slice user,
                             enum auth_access access,
                             const struct lease_table *leases, lease_id lease)
{
    struct who who = who_is(auth, user);
    return check_lease(&who, access, leases, lease);
}

/* ---- requests ------------------------------------------------------------ */

static enum v3_error check_range(const struct who *who,
                                 const Etcdserverpb__RangeRequest *request)
{
    return check(who, AUTH_READ, message_bytes(request->key),
                 message_bytes(request->range_end));
}

/* With ignore_value or ignore_lease the old ones stay as they are, and nobody
 * is shown them. */
static enum v3_error check_put(const struct who *who,
                               const Etcdserverpb__PutRequest *request,
                               const struct lease_table *leases)
{
    uint32_t access = request->prev_kv ? AUTH_READWRITE : AUTH_WRITE;
    enum v3_error error =
        check(who, access, message_bytes(request->key), slice_of(NULL, 0));
    if (error == V3_OK)
        error = check_lease(who, AUTH_WRITE, leases, request->lease);
    return error;
}

static enum v3_error
check_delete(const struct who *who,
             const Etcdserverpb__DeleteRangeRequest *request)
{
    uint32_t access = request->prev_kv ? AUTH_READWRITE : AUTH_WRITE;
    return check(who, access, message_bytes(request->key),
                 message_bytes(request->range_end));
}

static enum v3_error check_txn(const struct who *who,
                               const Etcdserverpb__TxnRequest *request,
                               const struct lease_table *leases);

static enum v3_error check_txn_put(const struct who *who,
                                   const Etcdserverpb__PutRequest *request,
                                   const struct lease_table *leases)
{
    if (PLANTED(AUTH_TXN_PUT))
        return check(who, AUTH_WRITE, message_bytes(request->key),
                     slice_of(NULL, 0));
    return check_put(who, request, leases);
}

static enum v3_error check_op(const struct who *who,
                              const Etcdserverpb__RequestOp *op,
                              const struct lease_table *leases)
{
    switch (op->request_case) {
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE:
        return check_range(who, op->request_range);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT:
        return check_txn_put(who, op->request_put, leases);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE:
        return check_delete(who, op->request_delete_range);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN:
        if (PLANTED(AUTH_TXN_NESTED))
            return who->error;
        return check_txn(who, op->request_txn, leases);
    default:
        return who->error; /* there is nothing in it to do */
    }
}

static enum v3_error check_ops(const struct who *who,
                               Etcdserverpb__RequestOp *const *ops,
                               size_t count, const struct lease_table *leases)
{
    enum v3_error error = who->error;
    for (size_t i = 0; i < count && error == V3_OK; i++)
        error = check_op(who, ops[i], leases);
    return error;
}

/* Both branches: which of them is taken says something of the keys that are
 * compared, and is known only when it's done. How deep txns lie in each other
 * is bounded where messages are decoded. */
static enum v3_error check_txn(const struct who *who,
                               const Etcdserverpb__TxnRequest *request,
                               const struct lease_table *leases)
{
    enum v3_error error = who->error;
    for (size_t i = 0; i < request->n_compare && error == V3_OK; i++)
        error = check(who, AUTH_READ, message_bytes(request->compare[i]->key),
                      message_bytes(request->compare[i]->range_end));
    if (error == V3_OK)
        error = check_ops(who, request->success, request->n_success, leases);
    if (error == V3_OK)
        error = check_ops(who, request->failure, request->n_failure, leases);
    return error;
}

enum v3_error auth_may_range(const struct auth *auth, struct slice user,
                             const Etcdserverpb__RangeRequest *request)
{
    struct who who = who_is(auth, user);
    return check_range(&who, request);
}

enum v3_error auth_may_put(const struct auth *auth, struct slice user,
                           const Etcdserverpb__PutRequest *request,
                           const struct lease_table *leases)
{
    struct who who = who_is(auth, user);
    return check_put(&who, request, leases);
}

enum v3_error
auth_may_delete_range(const struct auth *auth, struct slice user,
                      const Etcdserverpb__DeleteRangeRequest *request)
{
    struct who who = who_is(auth, user);
    return check_delete(&who, request);
}

enum v3_error auth_may_txn(const struct auth *auth, struct slice user,
                           const Etcdserverpb__TxnRequest *request,
                           const struct lease_table *leases)
{
    struct who who = who_is(auth, user);
    return who.may_all ? V3_OK : check_txn(&who, request, leases);
}
