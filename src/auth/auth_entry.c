/* Users and roles as they stand in the meta: authpb.User and authpb.Role. What
 * is read may have been written by another: by etcd, in another order. */
#include <stdlib.h>

#include "auth/auth_int.h"
#include "proto/pb.h"

enum {
    FIELD_NAME = 1,
    FIELD_USER_PASSWORD = 2,
    FIELD_USER_ROLE = 3,
    FIELD_USER_OPTIONS = 4,
    FIELD_OPTIONS_NO_PASSWORD = 1,
    FIELD_ROLE_PERMISSION = 2,
    FIELD_PERMISSION_ACCESS = 1,
    FIELD_PERMISSION_KEY = 2,
    FIELD_PERMISSION_END = 3,
};

bool auth__name_is_good(struct slice name)
{
    return name.size > 0 && name.size <= AUTH_NAME_BYTES_MAX &&
           slice_find(name, '\0') < 0 && slice_is_utf8(name);
}

/* ---- a block with all that is in it -------------------------------------- */

/* Copies `bytes` to *at with a zero behind them. */
static struct slice place(char **at, struct slice bytes)
{
    struct slice copy = slice_of(*at, bytes.size);
    if (bytes.size > 0)
        memcpy(*at, bytes.at, bytes.size);
    (*at)[bytes.size] = '\0';
    *at += bytes.size + 1;
    return copy;
}

static int compare_names(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

struct auth__user *auth__user_new(const struct auth_user *from)
{
    size_t lists = from->role_count * sizeof(struct slice);
    size_t bytes = from->name.size + 1 + from->hash.size + 1;
    for (size_t i = 0; i < from->role_count; i++)
        bytes += from->roles[i].size + 1;
    struct auth__user *user = mem_alloc(sizeof *user + lists + bytes);
    struct slice *roles = (struct slice *)(void *)(user + 1);
    char *at = (char *)(user + 1) + lists;
    user->thing = (struct auth__thing){.name = place(&at, from->name)};
    user->grants = NULL;
    user->view = (struct auth_user){
        .name = user->thing.name,
        .hash = place(&at, from->hash),
        .roles = roles,
        .no_password = from->no_password,
    };
    for (size_t i = 0; i < from->role_count; i++)
        roles[i] = place(&at, from->roles[i]);
    CHECK(at == (char *)(user + 1) + lists + bytes);
    if (from->role_count > 1)
        qsort(roles, from->role_count, sizeof *roles, compare_names);
    for (size_t i = 0; i < from->role_count; i++) {
        size_t count = user->view.role_count;
        if (count == 0 || !slice_eq(roles[count - 1], roles[i]))
            roles[user->view.role_count++] = roles[i];
    }
    return user;
}

static int compare_ranges(const struct auth_permission *a, struct slice key,
                          struct slice range_end)
{
    int order = slice_cmp(a->key, key);
    return order ? order : slice_cmp(a->range_end, range_end);
}

static int compare_permissions(const void *a, const void *b)
{
    const struct auth_permission *other = b;
    return compare_ranges(a, other->key, other->range_end);
}

/* The union of two accesses. */
static uint32_t join_access(uint32_t a, uint32_t b)
{
    return a == b ? a : AUTH_READWRITE;
}

/* They are already, save where another wrote them. */
static bool are_in_order(const struct auth_permission *at, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (compare_permissions(&at[i - 1], &at[i]) >= 0)
            return false;
    return true;
}

/* In order, each range once. */
static size_t tidy_permissions(struct auth_permission *at, size_t count)
{
    size_t kept = 0;
    if (are_in_order(at, count))
        return count;
    qsort(at, count, sizeof *at, compare_permissions);
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && compare_permissions(&at[kept - 1], &at[i]) == 0)
            at[kept - 1].access =
                join_access(at[kept - 1].access, at[i].access);
        else
            at[kept++] = at[i];
    }
    return kept;
}

struct auth__role *auth__role_new(const struct auth_role *from)
{
    size_t lists = from->permission_count * sizeof *from->permissions;
    size_t bytes = from->name.size + 1;
    for (size_t i = 0; i < from->permission_count; i++)
        bytes += from->permissions[i].key.size + 1 +
                 from->permissions[i].range_end.size + 1;
    struct auth__role *role = mem_alloc(sizeof *role + lists + bytes);
    struct auth_permission *permissions = (void *)(role + 1);
    char *at = (char *)(role + 1) + lists;
    role->thing = (struct auth__thing){.name = place(&at, from->name)};
    role->bytes = bytes;
    for (size_t i = 0; i < from->permission_count; i++)
        permissions[i] = (struct auth_permission){
            .access = from->permissions[i].access,
            .key = place(&at, from->permissions[i].key),
            .range_end = place(&at, from->permissions[i].range_end),
        };
    CHECK(at == (char *)(role + 1) + lists + bytes);
    role->view = (struct auth_role){
        .name = role->thing.name,
        .permissions = permissions,
        .permission_count =
            tidy_permissions(permissions, from->permission_count),
    };
    return role;
}

/* ---- search -------------------------------------------------------------- */

bool auth__find_name(const struct slice *names, size_t count, struct slice name,
                     size_t *place)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_cmp(names[middle], name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *place = low;
    return low < count && slice_eq(names[low], name);
}

bool auth__find_permission(const struct auth_role *role, struct slice key,
                           struct slice range_end, size_t *place)
{
    size_t low = 0;
    size_t high = role->permission_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_ranges(&role->permissions[middle], key, range_end) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *place = low;
    return low < role->permission_count &&
           compare_ranges(&role->permissions[low], key, range_end) == 0;
}

/* ---- written ------------------------------------------------------------- */

void auth__user_encode(const struct auth__user *user, struct buf *out)
{
    pb_put_bytes(out, FIELD_NAME, user->thing.name);
    pb_put_bytes(out, FIELD_USER_PASSWORD, user->view.hash);
    for (size_t i = 0; i < user->view.role_count; i++)
        pb_put_bytes_always(out, FIELD_USER_ROLE, user->view.roles[i]);
    if (user->view.no_password) {
        struct buf options = {0};
        pb_put_bool(&options, FIELD_OPTIONS_NO_PASSWORD, true);
        pb_put_bytes_always(out, FIELD_USER_OPTIONS, buf_slice(&options));
        buf_deinit(&options);
    }
}

void auth__role_encode(const struct auth__role *role, struct buf *out)
{
    struct buf one = {0};
    pb_put_bytes(out, FIELD_NAME, role->thing.name);
    for (size_t i = 0; i < role->view.permission_count; i++) {
        const struct auth_permission *permission = &role->view.permissions[i];
        buf_reset(&one);
        pb_put_u64(&one, FIELD_PERMISSION_ACCESS, permission->access);
        pb_put_bytes(&one, FIELD_PERMISSION_KEY, permission->key);
        pb_put_bytes(&one, FIELD_PERMISSION_END, permission->range_end);
        pb_put_bytes_always(out, FIELD_ROLE_PERMISSION, buf_slice(&one));
    }
    buf_deinit(&one);
}

/* ---- read ---------------------------------------------------------------- */

static bool is_bytes(const struct pb_field *field, uint32_t number)
{
    return field->number == number && field->type == PB_BYTES;
}

static bool read_options(struct slice bytes, bool *no_password)
{
    struct pb_reader reader;
    struct pb_field field;
    pb_reader_init(&reader, bytes);
    while (pb_next(&reader, &field))
        if (field.number == FIELD_OPTIONS_NO_PASSWORD &&
            field.type == PB_VARINT)
            *no_password = field.value != 0;
    return !reader.failed;
}

/* How many fields of that number there are: an upper bound of a list. */
static size_t count_fields(struct slice bytes, uint32_t number)
{
    struct pb_reader reader;
    struct pb_field field;
    size_t count = 0;
    pb_reader_init(&reader, bytes);
    while (pb_next(&reader, &field))
        count += is_bytes(&field, number);
    return count;
}

static bool read_user(struct slice bytes, struct auth_user *user,
                      struct slice *roles)
{
    struct pb_reader reader;
    struct pb_field field;
    bool good = true;
    pb_reader_init(&reader, bytes);
    while (good && pb_next(&reader, &field)) {
        if (is_bytes(&field, FIELD_NAME)) {
            user->name = field.bytes;
        } else if (is_bytes(&field, FIELD_USER_PASSWORD)) {
            user->hash = field.bytes;
        } else if (is_bytes(&field, FIELD_USER_ROLE)) {
            good = auth__name_is_good(field.bytes);
            roles[user->role_count++] = field.bytes;
        } else if (is_bytes(&field, FIELD_USER_OPTIONS)) {
            good = read_options(field.bytes, &user->no_password);
        }
    }
    return good && !reader.failed;
}

enum err auth__user_decode(struct slice name, struct slice bytes,
                           struct auth__user **out)
{
    size_t most = count_fields(bytes, FIELD_USER_ROLE);
    struct slice *roles = mem_alloc((most + 1) * sizeof *roles);
    struct auth_user user = {.roles = roles};
    bool good = read_user(bytes, &user, roles) && slice_eq(user.name, name) &&
                auth__name_is_good(name) &&
                user.role_count <= AUTH_USER_ROLES_MAX;
    CHECK_LE(user.role_count, most);
    *out = good ? auth__user_new(&user) : NULL;
    mem_free(roles);
    return good ? ERR_OK
                : err_set(ERR_CORRUPT, "auth: user %.*s is malformed",
                          (int)name.size, name.at);
}

static bool read_permission(struct slice bytes, struct auth_permission *out)
{
    struct pb_reader reader;
    struct pb_field field;
    *out = (struct auth_permission){.access = AUTH_READ};
    pb_reader_init(&reader, bytes);
    while (pb_next(&reader, &field)) {
        if (field.number == FIELD_PERMISSION_ACCESS &&
            field.type == PB_VARINT) {
            if (field.value > AUTH_READWRITE)
                return false;
            out->access = (uint32_t)field.value;
        } else if (is_bytes(&field, FIELD_PERMISSION_KEY)) {
            out->key = field.bytes;
        } else if (is_bytes(&field, FIELD_PERMISSION_END)) {
            out->range_end = field.bytes;
        }
    }
    return !reader.failed;
}

static bool read_role(struct slice bytes, struct auth_role *role,
                      struct auth_permission *permissions)
{
    struct pb_reader reader;
    struct pb_field field;
    bool good = true;
    pb_reader_init(&reader, bytes);
    while (good && pb_next(&reader, &field)) {
        if (is_bytes(&field, FIELD_NAME))
            role->name = field.bytes;
        else if (is_bytes(&field, FIELD_ROLE_PERMISSION))
            good = read_permission(field.bytes,
                                   &permissions[role->permission_count++]);
    }
    return good && !reader.failed;
}

enum err auth__role_decode(struct slice name, struct slice bytes,
                           struct auth__role **out)
{
    size_t most = count_fields(bytes, FIELD_ROLE_PERMISSION);
    struct auth_permission *permissions =
        mem_alloc((most + 1) * sizeof *permissions);
    struct auth_role role = {.permissions = permissions};
    bool good = read_role(bytes, &role, permissions) &&
                slice_eq(role.name, name) && auth__name_is_good(name) &&
                role.permission_count <= AUTH_ROLE_PERMISSIONS_MAX;
    CHECK_LE(role.permission_count, most);
    *out = good ? auth__role_new(&role) : NULL;
    mem_free(permissions);
    return good ? ERR_OK
                : err_set(ERR_CORRUPT, "auth: role %.*s is malformed",
                          (int)name.size, name.at);
}
