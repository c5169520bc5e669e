#include "auth/auth_int.h"

#include "proto/pb.h"

/* What stands in the meta under "auth". */
enum { FIELD_ON = 1, FIELD_REVISION = 2 };

/* ---- life ---------------------------------------------------------------- */

static void hold_guest(struct auth *auth)
{
    struct slice role = SLICE("guest");
    auth->guest = auth__grants_ref(auth, &role, 1);
}

struct auth *auth_new(void)
{
    struct auth *auth = mem_alloc_zero(sizeof *auth);
    atomic_init(&auth->on, false);
    atomic_init(&auth->revision, 1);
    auth__names_init(&auth->users);
    auth__names_init(&auth->roles);
    auth__names_init(&auth->grants);
    hold_guest(auth);
    return auth;
}

static void drop_all(struct auth *auth)
{
    for (size_t i = 0; i < auth->users.count; i++) {
        struct auth__user *user = auth->users.sorted[i];
        auth__grants_unref(auth, user->grants);
        mem_free(user);
    }
    for (size_t i = 0; i < auth->roles.count; i++)
        mem_free(auth->roles.sorted[i]);
    auth__grants_unref(auth, auth->guest);
    CHECK_EQ(auth->grants.count, 0);
    auth__names_deinit(&auth->users);
    auth__names_deinit(&auth->roles);
    auth__names_deinit(&auth->grants);
}

void auth_free(struct auth *auth)
{
    if (auth == NULL)
        return;
    drop_all(auth);
    mem_free(auth);
}

/* ---- from the meta ------------------------------------------------------- */

struct loading {
    struct auth *auth;
    enum err err;
};

static void load_role(void *context, struct slice name, struct slice value)
{
    struct loading *loading = context;
    struct slice prefix = SLICE(AUTH__META_ROLE);
    struct slice own = slice_of(name.at + prefix.size, name.size - prefix.size);
    struct auth__role *role;
    if (loading->err != ERR_OK)
        return;
    loading->err = auth__role_decode(own, value, &role);
    if (loading->err == ERR_OK)
        CHECK(!auth__names_set(&loading->auth->roles, role->thing.name, role));
}

static void load_user(void *context, struct slice name, struct slice value)
{
    struct loading *loading = context;
    struct slice prefix = SLICE(AUTH__META_USER);
    struct slice own = slice_of(name.at + prefix.size, name.size - prefix.size);
    struct auth__user *user;
    if (loading->err != ERR_OK)
        return;
    loading->err = auth__user_decode(own, value, &user);
    if (loading->err != ERR_OK)
        return;
    user->grants = auth__grants_ref(loading->auth, user->view.roles,
                                    user->view.role_count);
    CHECK(!auth__names_set(&loading->auth->users, user->thing.name, user));
}

static enum err load_state(struct auth *auth, const struct mvcc *mvcc)
{
    struct pb_reader reader;
    struct pb_field field;
    struct slice value;
    bool on = false;
    uint64_t number = 1;
    if (mvcc_meta_get(mvcc, SLICE(AUTH__META), &value)) {
        pb_reader_init(&reader, value);
        number = 0;
        while (pb_next(&reader, &field)) {
            if (field.type == PB_VARINT && field.number == FIELD_ON)
                on = field.value != 0;
            else if (field.type == PB_VARINT && field.number == FIELD_REVISION)
                number = field.value;
        }
        if (reader.failed || number == 0)
            return err_set(ERR_CORRUPT, "auth: its state is malformed");
    }
    atomic_store(&auth->on, on);
    atomic_store(&auth->revision, number);
    return ERR_OK;
}

enum err auth_load(struct auth *auth, const struct mvcc *mvcc)
{
    struct loading loading = {.auth = auth, .err = ERR_OK};
    drop_all(auth);
    /* Roles first: what a user may do is made of them. */
    mvcc_meta_each(mvcc, SLICE(AUTH__META_ROLE), load_role, &loading);
    hold_guest(auth);
    if (loading.err == ERR_OK)
        mvcc_meta_each(mvcc, SLICE(AUTH__META_USER), load_user, &loading);
    if (loading.err == ERR_OK)
        loading.err = load_state(auth, mvcc);
    /* Half of it is worse than nothing: nobody gets in. */
    if (loading.err != ERR_OK)
        atomic_store(&auth->on, true);
    return loading.err;
}

void auth__state_encode(const struct auth *auth, struct buf *out)
{
    pb_put_bool(out, FIELD_ON, auth_is_on(auth));
    pb_put_u64(out, FIELD_REVISION, auth_revision(auth));
}

void auth__write_state(const struct auth *auth, struct mvcc *mvcc)
{
    struct buf value = {0};
    auth__state_encode(auth, &value);
    mvcc_meta_put(mvcc, SLICE(AUTH__META), buf_slice(&value));
    buf_deinit(&value);
}

/* ---- what is there ------------------------------------------------------- */

bool auth_is_on(const struct auth *auth)
{
    return atomic_load_explicit(&auth->on, memory_order_acquire);
}

uint64_t auth_revision(const struct auth *auth)
{
    return atomic_load_explicit(&auth->revision, memory_order_acquire);
}

bool auth_user(const struct auth *auth, struct slice name,
               struct auth_user *out)
{
    const struct auth__user *user = auth__names_get(&auth->users, name);
    if (user != NULL)
        *out = user->view;
    return user != NULL;
}

bool auth_role(const struct auth *auth, struct slice name,
               struct auth_role *out)
{
    const struct auth__role *role = auth__names_get(&auth->roles, name);
    if (role != NULL)
        *out = role->view;
    return role != NULL;
}

void auth_users(const struct auth *auth,
                bool (*each)(void *context, const struct auth_user *user),
                void *context)
{
    for (size_t i = 0; i < auth->users.count; i++) {
        const struct auth__user *user = auth->users.sorted[i];
        if (!each(context, &user->view))
            return;
    }
}

void auth_roles(const struct auth *auth,
                bool (*each)(void *context, const struct auth_role *role),
                void *context)
{
    for (size_t i = 0; i < auth->roles.count; i++) {
        const struct auth__role *role = auth->roles.sorted[i];
        if (!each(context, &role->view))
            return;
    }
}
