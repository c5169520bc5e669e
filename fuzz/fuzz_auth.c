/* Users and roles: changes, questions and what the meta holds, all by what
 * comes. What is answered is the same after a load; a range that is allowed has
 * no key that isn't; a key is allowed where a permission holds it.
 *
 * Bytes are read as steps: one byte says which, the next ones are its words. A
 * word is a byte of its length and kind, and the bytes.
 */
#include "auth/auth.h"
#include "base/check.h"
#include "memory/kv_memory.h"
#include "proto/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { STEPS_MAX = 200, CHANGES_MAX = 4, WORD_BYTES_MAX = 15 };

struct fuzz {
    struct slice left;
    struct arena arena;
    struct kv *kv;
    struct mvcc *mvcc;
    struct lease_table *leases;
    struct auth *auth;
};

/* ---- words --------------------------------------------------------------- */

static uint8_t take_byte(struct fuzz *fuzz)
{
    if (fuzz->left.size == 0)
        return 0;
    uint8_t byte = (uint8_t)fuzz->left.at[0];
    fuzz->left.at++;
    fuzz->left.size--;
    return byte;
}

static struct slice take(struct fuzz *fuzz, size_t size)
{
    if (size > fuzz->left.size)
        size = fuzz->left.size;
    struct slice word = slice_of(fuzz->left.at, size);
    fuzz->left.at += size;
    fuzz->left.size -= size;
    return word;
}

static struct slice take_key(struct fuzz *fuzz)
{
    static const struct slice known[] = {
        {"/_recipes/", 10}, {"/_recipes0", 10}, {"/_recipes", 9}, {"/", 1},
        {"\0", 1},          {"a", 1},           {"b", 1},         {"a\0", 2},
    };
    uint8_t kind = take_byte(fuzz);
    if (kind < sizeof known / sizeof known[0])
        return known[kind];
    return take(fuzz, kind & WORD_BYTES_MAX);
}

static struct slice take_name(struct fuzz *fuzz)
{
    static const struct slice known[] = {
        {"root", 4}, {"guest", 5}, {"ann", 3}, {"bob", 3}, {"x", 1}, {"y", 1},
    };
    uint8_t kind = take_byte(fuzz);
    if (kind >= 0xf0)
        return take(fuzz, kind & WORD_BYTES_MAX);
    return known[kind % (sizeof known / sizeof known[0])];
}

static struct slice take_user(struct fuzz *fuzz)
{
    static const struct slice known[] = {
        {"\0guest", 6},       {"\0server", 7},       {"\0recipe:", 8},
        {"\0recipe:ann", 11}, {"\0recipe:root", 12}, {"", 0},
    };
    uint8_t kind = take_byte(fuzz);
    if (kind >= 0x40)
        return take_name(fuzz);
    return known[kind % (sizeof known / sizeof known[0])];
}

/* ---- the same after a load ----------------------------------------------- */

static bool put_user(void *context, const struct auth_user *user)
{
    struct buf *out = context;
    buf_append_slice(out, user->name);
    buf_append_slice(out, user->hash);
    buf_append_char(out, user->no_password ? 'n' : 'p');
    for (size_t i = 0; i < user->role_count; i++) {
        CHECK(i == 0 || slice_cmp(user->roles[i - 1], user->roles[i]) < 0);
        buf_append_slice(out, user->roles[i]);
    }
    return true;
}

static bool put_role(void *context, const struct auth_role *role)
{
    struct buf *out = context;
    buf_append_slice(out, role->name);
    for (size_t i = 0; i < role->permission_count; i++) {
        const struct auth_permission *one = &role->permissions[i];
        CHECK_LE(one->access, AUTH_READWRITE);
        buf_append_u64(out, one->access);
        buf_append_slice(out, one->key);
        buf_append_char(out, '-');
        buf_append_slice(out, one->range_end);
    }
    return true;
}

static void put_all(const struct auth *auth, struct buf *out)
{
    buf_append_u64(out, auth_revision(auth));
    buf_append_char(out, auth_is_on(auth) ? '1' : '0');
    auth_users(auth, put_user, out);
    auth_roles(auth, put_role, out);
}

static void check_load(struct fuzz *fuzz)
{
    struct buf before = {0};
    struct buf after = {0};
    struct auth *other = auth_new();
    put_all(fuzz->auth, &before);
    CHECK_EQ(auth_load(other, fuzz->mvcc), ERR_OK);
    put_all(other, &after);
    CHECK(slice_eq(buf_slice(&before), buf_slice(&after)));
    auth_free(fuzz->auth);
    fuzz->auth = other;
    buf_deinit(&before);
    buf_deinit(&after);
}

/* ---- steps --------------------------------------------------------------- */

static void change(struct fuzz *fuzz)
{
    struct auth_change changes[CHANGES_MAX];
    size_t count = 1 + take_byte(fuzz) % CHANGES_MAX;
    for (size_t i = 0; i < count; i++) {
        changes[i].op = (enum auth_op)(take_byte(fuzz) % (AUTH_TOKEN + 2));
        changes[i].user = take_name(fuzz);
        changes[i].role = take_name(fuzz);
        changes[i].hash = changes[i].user;
        changes[i].access = take_byte(fuzz) & 3;
        changes[i].no_password = changes[i].access == AUTH_WRITE;
        changes[i].key = take_key(fuzz);
        changes[i].range_end = take_key(fuzz);
    }
    struct auth_command command = {changes, count};
    enum v3_error error;
    size_t refused;
    struct buf before = {0};
    struct buf after = {0};
    put_all(fuzz->auth, &before);
    auth_apply(fuzz->auth, fuzz->mvcc, &command, &error, &refused);
    CHECK_LT(refused, count);
    put_all(fuzz->auth, &after);
    CHECK(error == V3_OK || slice_eq(buf_slice(&before), buf_slice(&after)));
    buf_deinit(&before);
    buf_deinit(&after);
}

static bool is_open(struct slice end)
{
    return end.size == 1 && end.at[0] == '\0';
}

static bool is_in(struct slice key, struct slice from, struct slice end)
{
    if (end.size == 0)
        return slice_eq(key, from);
    return slice_cmp(key, from) >= 0 &&
           (is_open(end) || slice_cmp(key, end) < 0);
}

/* One role after the other, one permission after the other. */
static bool is_granted(const struct auth *auth, const struct auth_user *user,
                       enum auth_access access, struct slice key)
{
    struct auth_role role;
    for (size_t i = 0; i < user->role_count; i++) {
        if (slice_eq(user->roles[i], SLICE(AUTH_ROOT)))
            return true;
        if (!auth_role(auth, user->roles[i], &role))
            continue;
        for (size_t j = 0; j < role.permission_count; j++) {
            const struct auth_permission *one = &role.permissions[j];
            if ((one->access == access || one->access == AUTH_READWRITE) &&
                is_in(key, one->key, one->range_end))
                return true;
        }
    }
    return false;
}

static void ask(struct fuzz *fuzz)
{
    const struct auth *auth = fuzz->auth;
    struct slice name = take_user(fuzz);
    enum auth_access access = take_byte(fuzz) & 1 ? AUTH_WRITE : AUTH_READ;
    struct slice key = take_key(fuzz);
    struct slice end = take_key(fuzz);
    struct slice inside = take_key(fuzz);
    struct auth_user user;
    enum v3_error error = auth_may(auth, name, access, key, end);
    enum v3_error one = auth_may(auth, name, access, inside, SLICE(""));
    enum v3_error both = auth_may(auth, name, AUTH_READWRITE, key, end);
    CHECK(both != V3_OK || error == V3_OK);
    if (error == V3_OK && inside.size > 0 && is_in(inside, key, end))
        CHECK_EQ(one, V3_OK);
    if (auth_may_path(auth, name, access, inside, true) == V3_OK)
        CHECK_EQ(auth_may_path(auth, name, access, inside, false), V3_OK);
    bool is_ours = slice_has_prefix(inside, SLICE("/_recipes/"));
    if (auth_is_on(auth) && !is_ours && inside.size > 0 &&
        auth_user(auth, name, &user))
        CHECK_EQ(one == V3_OK, is_granted(auth, &user, access, inside));
    if (auth_may_admin(auth, name) == V3_OK)
        CHECK_EQ(both, V3_OK);
}

static void ask_txn(struct fuzz *fuzz)
{
    struct slice user = take_user(fuzz);
    struct slice bytes = take(fuzz, take_byte(fuzz));
    ProtobufCMessage *message;
    if (message_decode(&etcdserverpb__txn_request__descriptor, bytes,
                       &fuzz->arena, &message) != ERR_OK)
        return;
    enum v3_error error =
        auth_may_txn(fuzz->auth, user, (const void *)message, fuzz->leases);
    enum v3_error nobody = auth_may_txn(fuzz->auth, SLICE(""),
                                        (const void *)message, fuzz->leases);
    CHECK(nobody == (auth_is_on(fuzz->auth) ? V3_USER_EMPTY : V3_OK));
    CHECK(error == V3_OK || auth_is_on(fuzz->auth));
}

/* What the meta may hold, if another wrote it. */
static void write_meta(struct fuzz *fuzz)
{
    static const struct slice names[] = {
        {"auth", 4},
        {"auth/user/ann", 13},
        {"auth/role/x", 11},
        {"auth/user/bob", 13},
    };
    struct slice name = names[take_byte(fuzz) % 4];
    struct slice value = take(fuzz, take_byte(fuzz));
    struct slice old;
    struct buf kept = {0};
    bool had = mvcc_meta_get(fuzz->mvcc, name, &old);
    if (had)
        buf_append_slice(&kept, old);
    mvcc_meta_put(fuzz->mvcc, name, value.at ? value : SLICE(""));
    enum err err = auth_load(fuzz->auth, fuzz->mvcc);
    CHECK(err == ERR_OK || err == ERR_CORRUPT);
    if (err != ERR_OK) {
        CHECK(auth_is_on(fuzz->auth));
        mvcc_meta_put(fuzz->mvcc, name,
                      had ? buf_slice(&kept) : slice_of(NULL, 0));
        CHECK_EQ(auth_load(fuzz->auth, fuzz->mvcc), ERR_OK);
    }
    buf_deinit(&kept);
}

static void say(struct fuzz *fuzz)
{
    struct auth_permission permission = {.access = AUTH_READ};
    struct slice pattern, key, end;
    permission.key = take_key(fuzz);
    permission.range_end = take_key(fuzz);
    if (!auth_pattern_of(&permission, &fuzz->arena, &pattern))
        return;
    auth_range_of(pattern, &fuzz->arena, &key, &end);
    CHECK(slice_eq(end, permission.range_end));
    CHECK(slice_eq(key, permission.key) ||
          (permission.key.size == 0 && slice_eq(key, SLICE("\0"))));
}

static void step(struct fuzz *fuzz)
{
    switch (take_byte(fuzz) % 8) {
    case 0:
    case 1:
    case 2:
        change(fuzz);
        break;
    case 3:
    case 4:
        ask(fuzz);
        break;
    case 5:
        ask_txn(fuzz);
        break;
    case 6:
        write_meta(fuzz);
        break;
    default:
        say(fuzz);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz fuzz = {.left = slice_of(bytes, size)};
    arena_init(&fuzz.arena, 0);
    fuzz.kv = kv_memory_new();
    struct mvcc_config config = {.kv = fuzz.kv, .seed = 1};
    CHECK_EQ(mvcc_open(&config, &fuzz.mvcc), ERR_OK);
    fuzz.leases = lease_table_new();
    lease_grant(fuzz.leases, 1, 60, 60);
    lease_attach(fuzz.leases, 1, MVCC_KEYS, SLICE("a"));
    lease_attach(fuzz.leases, 1, MVCC_DIRS, SLICE("/d"));
    fuzz.auth = auth_new();
    for (int i = 0; i < STEPS_MAX && fuzz.left.size > 0; i++)
        step(&fuzz);
    check_load(&fuzz);
    auth_free(fuzz.auth);
    lease_table_free(fuzz.leases);
    mvcc_close(fuzz.mvcc);
    kv_memory_free(fuzz.kv);
    arena_deinit(&fuzz.arena);
    return 0;
}
