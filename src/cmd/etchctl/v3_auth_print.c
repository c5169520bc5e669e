/* Users and roles, as text. */
#include <string.h>

#include "cmd/etchctl/go_text.h"
#include "cmd/etchctl/v3_print.h"

/* ---- simple ------------------------------------------------------------- */

/* Is the end that of all keys that begin with `key`? It is the key without
 * its last bytes 0xff, the one before them one higher. */
static bool is_prefix(struct slice key, struct slice end)
{
    size_t size = key.size;

    while (size > 0 && (unsigned char)key.at[size - 1] == 0xff)
        size--;
    if (size == 0)
        return slice_eq(end, SLICE("\0"));
    return end.size == size && memcmp(end.at, key.at, size - 1) == 0 &&
           (unsigned char)end.at[size - 1] ==
               (unsigned char)key.at[size - 1] + 1;
}

/* "[/a, /b) (prefix /a)" */
static void print_range(const Authpb__Permission *permission, struct buf *out)
{
    struct slice key = message_bytes(permission->key);
    struct slice end = message_bytes(permission->range_end);

    buf_append_str(out, "\t[");
    buf_append_slice(out, key);
    buf_append_str(out, ", ");
    if (slice_eq(end, SLICE("\0"))) {
        buf_append_str(out, "<open ended>");
    } else {
        buf_append_slice(out, end);
        buf_append_char(out, ')');
    }
    if (is_prefix(key, end)) {
        buf_append_str(out, " (prefix ");
        buf_append_slice(out, key);
        buf_append_char(out, ')');
    }
    buf_append_char(out, '\n');
}

static void print_permissions(const Etcdserverpb__AuthRoleGetResponse *answer,
                              Authpb__Permission__Type type, struct buf *out)
{
    for (size_t i = 0; i < answer->n_perm; i++) {
        const Authpb__Permission *permission = answer->perm[i];
        if (permission->permtype != type &&
            permission->permtype != AUTHPB__PERMISSION__TYPE__READWRITE)
            continue;
        if (permission->range_end.len > 0) {
            print_range(permission, out);
        } else {
            buf_append_char(out, '\t');
            buf_append_slice(out, message_bytes(permission->key));
            buf_append_char(out, '\n');
        }
    }
}

void v3_simple_role(const struct v3_result *result, struct buf *out)
{
    v3_line(out, "Role %s", result->name);
    v3_line(out, "KV Read:");
    print_permissions(result->message, AUTHPB__PERMISSION__TYPE__READ, out);
    v3_line(out, "KV Write:");
    print_permissions(result->message, AUTHPB__PERMISSION__TYPE__WRITE, out);
}

void v3_simple_roles(const struct v3_result *result, struct buf *out)
{
    const Etcdserverpb__AuthRoleListResponse *answer = result->message;

    for (size_t i = 0; i < answer->n_roles; i++)
        v3_line(out, "%s", answer->roles[i]);
}

void v3_simple_user(const struct v3_result *result, struct buf *out)
{
    const Etcdserverpb__AuthUserGetResponse *answer = result->message;

    v3_line(out, "User: %s", result->name);
    buf_append_str(out, "Roles:");
    for (size_t i = 0; i < answer->n_roles; i++)
        buf_printf(out, " %s", answer->roles[i]);
    buf_append_char(out, '\n');
}

void v3_simple_users(const struct v3_result *result, struct buf *out)
{
    const Etcdserverpb__AuthUserListResponse *answer = result->message;

    for (size_t i = 0; i < answer->n_users; i++)
        v3_line(out, "%s", answer->users[i]);
}

void v3_simple_auth_status(const struct v3_result *result, struct buf *out)
{
    const Etcdserverpb__AuthStatusResponse *answer = result->message;

    v3_line(out, "Authentication Status: %s",
            answer->enabled ? "true" : "false");
    v3_line(out, "AuthRevision: %llu",
            (unsigned long long)answer->authrevision);
}

/* ---- fields ------------------------------------------------------------- */

static void quoted_line(struct buf *out, const char *name,
                        ProtobufCBinaryData bytes)
{
    buf_printf(out, "\"%s\" : ", name);
    go_quote(out, message_bytes(bytes));
    buf_append_char(out, '\n');
}

static void fields_role(const void *message, struct buf *out)
{
    static const char *const types[] = {"READ", "WRITE", "READWRITE"};
    const Etcdserverpb__AuthRoleGetResponse *answer = message;

    for (size_t i = 0; i < answer->n_perm; i++) {
        const Authpb__Permission *permission = answer->perm[i];
        size_t type = (size_t)permission->permtype;
        /* Two spaces: it is Go's Println. */
        if (type < sizeof(types) / sizeof(types[0]))
            v3_line(out, "\"PermType\" :  %s", types[type]);
        else
            v3_line(out, "\"PermType\" :  %zu", type);
        quoted_line(out, "Key", permission->key);
        quoted_line(out, "RangeEnd", permission->range_end);
    }
}

static void fields_roles(const void *message, struct buf *out)
{
    const Etcdserverpb__AuthRoleListResponse *answer = message;

    buf_append_str(out, "\"Roles\" :");
    for (size_t i = 0; i < answer->n_roles; i++) {
        buf_append_char(out, ' ');
        go_quote(out, slice_str(answer->roles[i]));
    }
    buf_append_char(out, '\n');
}

static void fields_status(const void *message, struct buf *out)
{
    const Etcdserverpb__AuthStatusResponse *answer = message;

    v3_line(out, "\"Enabled\" : %s", answer->enabled ? "true" : "false");
    v3_line(out, "\"AuthRevision\" : %llu",
            (unsigned long long)answer->authrevision);
}

static void fields_nothing(const void *message, struct buf *out)
{
    (void)message;
    (void)out;
}

/* etcdctl has no words for a user, and for a list of them. */
static const struct {
    const ProtobufCMessageDescriptor *type;
    void (*print)(const void *message, struct buf *out);
} printers[] = {
    {&etcdserverpb__auth_status_response__descriptor, fields_status},
    {&etcdserverpb__auth_role_get_response__descriptor, fields_role},
    {&etcdserverpb__auth_role_list_response__descriptor, fields_roles},
    {&etcdserverpb__auth_user_add_response__descriptor, fields_nothing},
    {&etcdserverpb__auth_user_delete_response__descriptor, fields_nothing},
    {&etcdserverpb__auth_user_change_password_response__descriptor,
     fields_nothing},
    {&etcdserverpb__auth_user_grant_role_response__descriptor, fields_nothing},
    {&etcdserverpb__auth_user_revoke_role_response__descriptor, fields_nothing},
    {&etcdserverpb__auth_role_add_response__descriptor, fields_nothing},
    {&etcdserverpb__auth_role_delete_response__descriptor, fields_nothing},
    {&etcdserverpb__auth_role_grant_permission_response__descriptor,
     fields_nothing},
    {&etcdserverpb__auth_role_revoke_permission_response__descriptor,
     fields_nothing},
};

bool v3_fields_auth(const void *message, struct buf *out)
{
    const ProtobufCMessage *base = message;

    for (size_t i = 0; i < sizeof(printers) / sizeof(printers[0]); i++) {
        if (printers[i].type != base->descriptor)
            continue;
        /* The header is the first field of each of them. */
        const char *header =
            (const char *)message + base->descriptor->fields[0].offset;
        v3_fields_header(
            *(Etcdserverpb__ResponseHeader *const *)(const void *)header, out);
        printers[i].print(message, out);
        return true;
    }
    return false;
}
