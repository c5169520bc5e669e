/* A store from elsewhere: what its meta must hold of users and roles. */
#include "auth/auth_int.h"

static enum err put(const struct auth_founding *founding, const char *prefix,
                    struct slice name, const struct buf *value)
{
    struct buf key = {0};
    buf_append_str(&key, prefix);
    buf_append_slice(&key, name);
    enum err err =
        founding->put(founding->context, buf_slice(&key), buf_slice(value));
    buf_deinit(&key);
    return err;
}

enum err auth_found_user(const struct auth_founding *founding,
                         struct slice name, struct slice bytes)
{
    struct auth__user *user;
    struct buf value = {0};
    enum err err = auth__user_decode(name, bytes, &user);
    if (err != ERR_OK)
        return err;
    CHECK(slice_eq(user->view.name, name));
    auth__user_encode(user, &value);
    err = put(founding, AUTH__META_USER, name, &value);
    buf_deinit(&value);
    mem_free(user);
    return err;
}

enum err auth_found_role(const struct auth_founding *founding,
                         struct slice name, struct slice bytes)
{
    struct auth__role *role;
    struct buf value = {0};
    enum err err = auth__role_decode(name, bytes, &role);
    if (err != ERR_OK)
        return err;
    CHECK(slice_eq(role->view.name, name));
    auth__role_encode(role, &value);
    err = put(founding, AUTH__META_ROLE, name, &value);
    buf_deinit(&value);
    mem_free(role);
    return err;
}

enum err auth_found_state(const struct auth_founding *founding, bool on,
                          uint64_t revision_of_auth)
{
    struct auth state;
    struct buf value = {0};
    CHECK_LT(0, revision_of_auth);
    atomic_init(&state.on, on);
    atomic_init(&state.revision, revision_of_auth);
    auth__state_encode(&state, &value);
    enum err err = put(founding, AUTH__META, SLICE(""), &value);
    buf_deinit(&value);
    return err;
}

/* ---- and for another store ----------------------------------------------- */

void auth_user_encode(const struct auth_user *user, struct buf *out)
{
    struct auth__user *copy = auth__user_new(user);
    auth__user_encode(copy, out);
    mem_free(copy);
}

void auth_role_encode(const struct auth_role *role, struct buf *out)
{
    struct auth__role *copy = auth__role_new(role);
    auth__role_encode(copy, out);
    mem_free(copy);
}
