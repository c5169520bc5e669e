/* Changes of users and roles, with etcd's errors (server/auth/store.go).
 *
 * Users and roles are never changed in place: a change puts a new one where the
 * old one was, and both are written down in the draft. So a command that fails
 * half-way is undone from there, and one that doesn't is written to the meta
 * from there; only then goes what was replaced.
 *
 *    user "a", roles {x}       <- old, freed at the end
 *    user "a", roles {x, y}    <- new, in the table
 *
 * Invariant: outside of auth_apply each user holds the grants of its roles, and
 * these are made of the roles as they are.
 */
#include "auth/auth_int.h"
#include "base/limits.h"

struct step {
    bool of_role;
    struct auth__thing *old; /* NULL: there was none */
    struct auth__thing *new; /* NULL: there is none now */
};

struct draft {
    struct auth *auth;
    struct step *steps;
    size_t count, capacity;
    bool on;
    uint64_t revision;
};

/* ---- steps --------------------------------------------------------------- */

static struct auth__names *table_of(const struct draft *draft, bool of_role)
{
    return of_role ? &draft->auth->roles : &draft->auth->users;
}

/* Nothing came of it: what it made was removed again. */
static bool is_void(const struct step *step)
{
    return step->old == NULL && step->new == NULL;
}

static struct slice name_of(const struct step *step)
{
    return step->new ? step->new->name : step->old->name;
}

static struct step *add_step(struct draft *draft, bool of_role,
                             struct auth__thing *old)
{
    if (draft->count == draft->capacity) {
        draft->capacity = draft->capacity ? draft->capacity * 2 : 8;
        draft->steps =
            mem_realloc(draft->steps, draft->capacity * sizeof *draft->steps);
    }
    struct step *step = &draft->steps[draft->count++];
    *step = (struct step){.of_role = of_role, .old = old};
    return step;
}

/* What this command made itself isn't kept when it replaces it: thousands of
 * grants to one role would be as many copies of it. */
static void set(struct draft *draft, bool of_role, struct slice name,
                struct auth__thing *new)
{
    struct auth__thing *old =
        auth__names_set(table_of(draft, of_role), name, new);
    CHECK(old != NULL || new != NULL);
    bool is_own = old != NULL && old->step != 0;
    struct step *step =
        is_own ? &draft->steps[old->step - 1] : add_step(draft, of_role, old);
    CHECK(!is_own || step->new == old);
    step->new = new;
    if (new != NULL)
        new->step = (size_t)(step - draft->steps) + 1;
    if (is_own)
        mem_free(old);
}

static void set_user(struct draft *draft, const struct auth_user *user)
{
    struct auth__user *new = auth__user_new(user);
    set(draft, false, new->thing.name, &new->thing);
}

static void set_role(struct draft *draft, const struct auth_role *role)
{
    struct auth__role *new = auth__role_new(role);
    set(draft, true, new->thing.name, &new->thing);
}

static const struct auth__user *find_user(const struct draft *draft,
                                          struct slice name)
{
    return auth__names_get(&draft->auth->users, name);
}

static const struct auth__role *find_role(const struct draft *draft,
                                          struct slice name)
{
    return auth__names_get(&draft->auth->roles, name);
}

/* ---- the roles of a user ------------------------------------------------- */

static void set_user_with(struct draft *draft, const struct auth_user *user,
                          size_t place, struct slice role)
{
    struct auth_user new = *user;
    struct slice *roles = mem_alloc((user->role_count + 1) * sizeof *roles);
    CHECK_LE(place, user->role_count);
    if (user->role_count > 0)
        memcpy(roles, user->roles, user->role_count * sizeof *roles);
    memmove(roles + place + 1, roles + place,
            (user->role_count - place) * sizeof *roles);
    roles[place] = role;
    new.role_count++;
    new.roles = roles;
    set_user(draft, &new);
    mem_free(roles);
}

static void set_user_without(struct draft *draft, const struct auth_user *user,
                             size_t place)
{
    struct auth_user new = *user;
    struct slice *roles = mem_alloc(user->role_count * sizeof *roles);
    CHECK_LT(place, user->role_count);
    new.role_count = 0;
    for (size_t i = 0; i < user->role_count; i++)
        if (i != place)
            roles[new.role_count++] = user->roles[i];
    new.roles = roles;
    set_user(draft, &new);
    mem_free(roles);
}

/* ---- on and off ---------------------------------------------------------- */

static bool is_root(struct slice name)
{
    return slice_eq(name, SLICE(AUTH_ROOT));
}

static enum v3_error enable(struct draft *draft)
{
    size_t place;
    if (draft->on)
        return V3_OK;
    const struct auth__user *root = find_user(draft, SLICE(AUTH_ROOT));
    if (root == NULL)
        return V3_ROOT_USER_NOT_EXIST;
    if (!auth__find_name(root->view.roles, root->view.role_count,
                         SLICE(AUTH_ROOT), &place))
        return V3_ROOT_ROLE_NOT_EXIST;
    /* As in etcd, this alone is no new revision. */
    draft->on = true;
    return V3_OK;
}

static enum v3_error disable(struct draft *draft)
{
    draft->revision += draft->on;
    draft->on = false;
    return V3_OK;
}

/* ---- users --------------------------------------------------------------- */

static enum v3_error add_user(struct draft *draft,
                              const struct auth_change *change)
{
    if (change->user.size == 0)
        return V3_USER_EMPTY;
    if (find_user(draft, change->user))
        return V3_USER_ALREADY_EXIST;
    if (!auth__name_is_good(change->user))
        return V3_INVALID_AUTH_MGMT;
    if (draft->auth->users.count >= AUTH_USERS_MAX)
        return V3_NO_SPACE;
    struct auth_user user = {
        .name = change->user,
        .hash = change->no_password ? slice_of(NULL, 0) : change->hash,
        .no_password = change->no_password,
    };
    set_user(draft, &user);
    draft->revision++;
    return V3_OK;
}

static enum v3_error delete_user(struct draft *draft,
                                 const struct auth_change *change)
{
    if (draft->on && is_root(change->user))
        return V3_INVALID_AUTH_MGMT;
    const struct auth__user *user = find_user(draft, change->user);
    if (user == NULL)
        return V3_USER_NOT_FOUND;
    set(draft, false, user->thing.name, NULL);
    draft->revision++;
    return V3_OK;
}

/* Who was made without a password never has one, as in etcd. */
static enum v3_error change_password(struct draft *draft,
                                     const struct auth_change *change)
{
    const struct auth__user *user = find_user(draft, change->user);
    if (user == NULL)
        return V3_USER_NOT_FOUND;
    struct auth_user new = user->view;
    new.no_password |= change->no_password;
    new.hash = new.no_password ? slice_of(NULL, 0) : change->hash;
    set_user(draft, &new);
    draft->revision++;
    return V3_OK;
}

static enum v3_error grant_role(struct draft *draft,
                                const struct auth_change *change)
{
    size_t place;
    const struct auth__user *user = find_user(draft, change->user);
    if (user == NULL)
        return V3_USER_NOT_FOUND;
    /* "root" need not be there. */
    if (!is_root(change->role) && find_role(draft, change->role) == NULL)
        return V3_ROLE_NOT_FOUND;
    if (auth__find_name(user->view.roles, user->view.role_count, change->role,
                        &place))
        return V3_OK;
    if (user->view.role_count >= AUTH_USER_ROLES_MAX)
        return V3_NO_SPACE;
    set_user_with(draft, &user->view, place, change->role);
    draft->revision++;
    return V3_OK;
}

static enum v3_error revoke_role(struct draft *draft,
                                 const struct auth_change *change)
{
    size_t place;
    if (draft->on && is_root(change->user) && is_root(change->role))
        return V3_INVALID_AUTH_MGMT;
    const struct auth__user *user = find_user(draft, change->user);
    if (user == NULL)
        return V3_USER_NOT_FOUND;
    if (!auth__find_name(user->view.roles, user->view.role_count, change->role,
                         &place))
        return V3_ROLE_NOT_GRANTED;
    set_user_without(draft, &user->view, place);
    draft->revision++;
    return V3_OK;
}

/* ---- roles --------------------------------------------------------------- */

static enum v3_error add_role(struct draft *draft,
                              const struct auth_change *change)
{
    if (change->role.size == 0)
        return V3_ROLE_EMPTY;
    if (find_role(draft, change->role))
        return V3_ROLE_ALREADY_EXIST;
    if (!auth__name_is_good(change->role))
        return V3_INVALID_AUTH_MGMT;
    if (draft->auth->roles.count >= AUTH_ROLES_MAX)
        return V3_NO_SPACE;
    struct auth_role role = {.name = change->role};
    set_role(draft, &role);
    draft->revision++;
    return V3_OK;
}

static enum v3_error delete_role(struct draft *draft,
                                 const struct auth_change *change)
{
    size_t place;
    if (draft->on && is_root(change->role))
        return V3_INVALID_AUTH_MGMT;
    const struct auth__role *role = find_role(draft, change->role);
    if (role == NULL)
        return V3_ROLE_NOT_FOUND;
    set(draft, true, role->thing.name, NULL);
    /* A user is replaced where it stands, so the walk goes on. */
    for (size_t i = 0; i < draft->auth->users.count; i++) {
        const struct auth__user *user = draft->auth->users.sorted[i];
        if (auth__find_name(user->view.roles, user->view.role_count,
                            change->role, &place))
            set_user_without(draft, &user->view, place);
    }
    draft->revision++;
    return V3_OK;
}

/* etcd 3.4 takes any; since 3.5 one that no key can be in is refused. */
static bool is_range(struct slice key, struct slice range_end)
{
    if (key.size > LIMIT_KEY_BYTES_MAX || range_end.size > LIMIT_KEY_BYTES_MAX)
        return false;
    if (range_end.size == 1 && range_end.at[0] == '\0')
        return true;
    return range_end.size == 0 ? key.size > 0 : slice_cmp(key, range_end) < 0;
}

static enum v3_error grant_permission(struct draft *draft,
                                      const struct auth_change *change)
{
    size_t place;
    if (change->access > AUTH_READWRITE ||
        !is_range(change->key, change->range_end))
        return V3_INVALID_AUTH_MGMT;
    const struct auth__role *role = find_role(draft, change->role);
    if (role == NULL)
        return V3_ROLE_NOT_FOUND;
    struct auth_role new = role->view;
    bool known = auth__find_permission(&role->view, change->key,
                                       change->range_end, &place);
    if (!known && (new.permission_count >= AUTH_ROLE_PERMISSIONS_MAX ||
                   role->bytes + change->key.size + change->range_end.size >
                       AUTH_ROLE_BYTES_MAX))
        return V3_NO_SPACE;
    struct auth_permission *permissions =
        mem_alloc((new.permission_count + 1) * sizeof *permissions);
    if (new.permission_count > 0)
        memcpy(permissions, new.permissions,
               new.permission_count * sizeof *permissions);
    if (!known) {
        memmove(permissions + place + 1, permissions + place,
                (new.permission_count - place) * sizeof *permissions);
        new.permission_count++;
    }
    permissions[place] = (struct auth_permission){
        .access = change->access,
        .key = change->key,
        .range_end = change->range_end,
    };
    new.permissions = permissions;
    set_role(draft, &new);
    mem_free(permissions);
    draft->revision++;
    return V3_OK;
}

static enum v3_error revoke_permission(struct draft *draft,
                                       const struct auth_change *change)
{
    size_t place;
    const struct auth__role *role = find_role(draft, change->role);
    if (role == NULL)
        return V3_ROLE_NOT_FOUND;
    if (!auth__find_permission(&role->view, change->key, change->range_end,
                               &place))
        return V3_PERMISSION_NOT_GRANTED;
    struct auth_role new = role->view;
    struct auth_permission *permissions =
        mem_alloc(new.permission_count * sizeof *permissions);
    new.permission_count = 0;
    for (size_t i = 0; i < role->view.permission_count; i++)
        if (i != place)
            permissions[new.permission_count++] = role->view.permissions[i];
    new.permissions = permissions;
    set_role(draft, &new);
    mem_free(permissions);
    draft->revision++;
    return V3_OK;
}

/* ---- a whole command ----------------------------------------------------- */

/* A token changes nothing here; whether it is anybody's is seen here. */
static enum v3_error look_at_token(const struct draft *draft,
                                   const struct auth_change *change)
{
    if (!draft->on)
        return V3_AUTH_NOT_ENABLED;
    return find_user(draft, change->user) ? V3_OK : V3_AUTH_FAILED;
}

static enum v3_error change_one(struct draft *draft,
                                const struct auth_change *change)
{
    switch (change->op) {
    case AUTH_ENABLE:
        return enable(draft);
    case AUTH_DISABLE:
        return disable(draft);
    case AUTH_USER_ADD:
        return add_user(draft, change);
    case AUTH_USER_DELETE:
        return delete_user(draft, change);
    case AUTH_USER_PASSWORD:
        return change_password(draft, change);
    case AUTH_USER_GRANT:
        return grant_role(draft, change);
    case AUTH_USER_REVOKE:
        return revoke_role(draft, change);
    case AUTH_ROLE_ADD:
        return add_role(draft, change);
    case AUTH_ROLE_DELETE:
        return delete_role(draft, change);
    case AUTH_ROLE_GRANT:
        return grant_permission(draft, change);
    case AUTH_ROLE_REVOKE:
        return revoke_permission(draft, change);
    case AUTH_TOKEN:
        return look_at_token(draft, change);
    }
    return V3_INVALID_AUTH_MGMT;
}

static void undo(struct draft *draft)
{
    for (size_t i = draft->count; i > 0; i--) {
        struct step *step = &draft->steps[i - 1];
        if (is_void(step))
            continue;
        void *new = auth__names_set(table_of(draft, step->of_role),
                                    name_of(step), step->old);
        CHECK(new == step->new);
        mem_free(new);
    }
}

/* Of several steps with one name the last counts: one that removed it, and one
 * that made it anew. */
static bool is_last(const struct draft *draft, const struct step *step)
{
    return !is_void(step) && auth__names_get(table_of(draft, step->of_role),
                                             name_of(step)) == step->new;
}

static void write_step(struct mvcc *mvcc, const struct step *step)
{
    struct buf name = {0};
    struct buf value = {0};
    buf_append_str(&name, step->of_role ? AUTH__META_ROLE : AUTH__META_USER);
    buf_append_slice(&name, name_of(step));
    if (step->new != NULL && step->of_role)
        auth__role_encode((const struct auth__role *)step->new, &value);
    else if (step->new != NULL)
        auth__user_encode((const struct auth__user *)step->new, &value);
    CHECK((step->new == NULL) == (value.at == NULL)); /* NULL: removed */
    mvcc_meta_put(mvcc, buf_slice(&name), buf_slice(&value));
    buf_deinit(&name);
    buf_deinit(&value);
}

static void put_in_force(struct auth *auth, const struct step *step)
{
    if (step->of_role) {
        auth__grants_spoil(auth, name_of(step));
    } else if (step->new != NULL) {
        struct auth__user *user = (struct auth__user *)step->new;
        user->grants =
            auth__grants_ref(auth, user->view.roles, user->view.role_count);
    }
    if (step->new != NULL)
        step->new->step = 0;
}

static void free_old(struct auth *auth, const struct step *step)
{
    if (step->old != NULL && !step->of_role)
        auth__grants_unref(auth, ((struct auth__user *)step->old)->grants);
    mem_free(step->old);
}

/* The order matters: grants are made of the roles' own bytes, so those of
 * changed roles are made anew before the old roles go. */
static void settle(struct draft *draft, struct mvcc *mvcc)
{
    for (size_t i = 0; i < draft->count; i++) {
        if (is_last(draft, &draft->steps[i])) {
            write_step(mvcc, &draft->steps[i]);
            put_in_force(draft->auth, &draft->steps[i]);
        }
    }
    auth__grants_renew(draft->auth);
    for (size_t i = 0; i < draft->count; i++)
        free_old(draft->auth, &draft->steps[i]);
}

void auth_apply(struct auth *auth, struct mvcc *mvcc,
                const struct auth_command *command, enum v3_error *error,
                size_t *refused)
{
    struct draft draft = {
        .auth = auth,
        .on = auth_is_on(auth),
        .revision = auth_revision(auth),
    };
    *error = V3_OK;
    *refused = 0;
    for (size_t i = 0; i < command->count && *error == V3_OK; i++) {
        *error = change_one(&draft, &command->changes[i]);
        *refused = i;
    }
    if (*error != V3_OK) {
        undo(&draft);
    } else {
        bool moved = draft.on != auth_is_on(auth) ||
                     draft.revision != auth_revision(auth);
        CHECK(moved || draft.count == 0);
        settle(&draft, mvcc);
        atomic_store(&auth->revision, draft.revision);
        atomic_store(&auth->on, draft.on);
        if (moved)
            auth__write_state(auth, mvcc);
    }
    mem_free(draft.steps);
}
