#include "auth_world.h"

#include <stdio.h>

#include "auth/tokens.h"
#include "base/check.h"

const char user_empty[] = "etcdserver: user name is empty";
const char no_token[] = "etcdserver: invalid auth token";
const char denied[] = "etcdserver: permission denied";

#define AUTH(method) "/etcdserverpb.Auth/" method

/* ---- doors ----------------------------------------------------------- */

static struct auth_world *of(struct crypto *crypto)
{
    return CONTAINER_OF(crypto, struct auth_world, crypto);
}

static void chance(struct crypto *crypto, void *out, size_t size)
{
    unsigned char *bytes = out;
    for (size_t i = 0; i < size; i++) {
        of(crypto)->chance += UINT64_C(0x9e3779b97f4a7c15);
        bytes[i] = (unsigned char)(of(crypto)->chance >> 56);
    }
}

static void digest(struct crypto *crypto, struct slice bytes,
                   unsigned char out[CRYPTO_SHA256_BYTES])
{
    (void)crypto;
    for (uint64_t i = 0; i < CRYPTO_SHA256_BYTES / 8; i++) {
        put_le64(out + i * 8, slice_hash(bytes, i + 1));
    }
}

/* As long as bcrypt's, and shaped like them. */
static enum err password_hash(struct crypto *crypto, struct slice password,
                              int cost, struct buf *out)
{
    of(crypto)->hashed++;
    if (password.size > CRYPTO_PASSWORD_BYTES_MAX) {
        return err_set(ERR_INVALID, "too long");
    }
    buf_printf(out, "$2a$%02d$", cost);
    for (uint64_t i = 0; i < 53; i++) {
        buf_append_char(out, (char)('a' + slice_hash(password, i) % 26));
    }
    return ERR_OK;
}

static bool password_matches(struct crypto *crypto, struct slice hash,
                             struct slice password)
{
    struct buf made = {0};
    of(crypto)->compared++;
    assert_int_equal(hash.size, 60);
    enum err err = password_hash(crypto, password, AUTH_WORLD_COST, &made);
    bool matches = err == ERR_OK && slice_eq(buf_slice(&made), hash);
    buf_deinit(&made);
    of(crypto)->hashed--;
    return matches;
}

static const struct crypto_ops ops = {
    .random = chance,
    .sha256 = digest,
    .password_hash = password_hash,
    .password_matches = password_matches,
};

static void no_lock(struct lock *lock)
{
    (void)lock;
}

static void put_part(struct buf *out, struct slice part)
{
    for (size_t i = 0; i < part.size; i++) {
        buf_append_char(out, part.at[i] == '\0' ? '0' : part.at[i]);
    }
    buf_append_char(out, '|');
}

static void on_audit(struct audit *audit, const struct audit_event *event)
{
    struct auth_world *world = CONTAINER_OF(audit, struct auth_world, audit);
    put_part(&world->audited, event->user);
    put_part(&world->audited, event->how);
    put_part(&world->audited, event->what);
    put_part(&world->audited, event->key);
    put_part(&world->audited, event->range_end);
    put_part(&world->audited, event->from);
    assert_int_equal(event->allowed, event->why.size == 0);
    put_part(&world->audited, event->allowed ? SLICE("ok") : event->why);
    buf_append_char(&world->audited, '\n');
}

/* ---- workers ---------------------------------------------------------- */

static void submit(void *context, struct work *work)
{
    struct auth_world *world = context;
    CHECK_LT(world->work_count, 128);
    world->works[world->work_count++] = work;
}

static void do_works(struct auth_world *world)
{
    struct work *works[128];
    size_t count = world->work_count;
    memcpy(works, world->works, sizeof(works));
    world->work_count = 0;
    for (size_t i = 0; i < count; i++) {
        works[i]->run(works[i]);
    }
}

static enum err no_snapshot(void *context, struct rpc_snapshot *out)
{
    (void)context;
    *out = (struct rpc_snapshot){.fd = -1};
    return err_set(ERR_DISK_FULL, "no file here");
}

static void defragment(void *context)
{
    (void)context;
}

void auth_world_turn(struct auth_world *world)
{
    grpc_world_turn(world->grpc);
    while (world->work_count > 0 && !world->holds_work) {
        do_works(world);
        grpc_world_turn(world->grpc);
    }
}

void auth_world_wait(struct auth_world *world, int64_t ms)
{
    grpc_world_wait(world->grpc, ms);
    auth_world_turn(world);
}

/* ---- life ------------------------------------------------------------- */

static void prepare(void *context, struct world *inner)
{
    struct auth_world *world = context;
    struct auth_tokens_config config = {
        .crypto = &world->crypto,
        .clock = &inner->clock,
        .lock = &world->lock,
        .ttl_ns = INT64_C(1000000) * AUTH_WORLD_TTL_MS,
    };
    world->tokens = auth_tokens_new(&config);
    inner->config.tokens = world->tokens;
    inner->shared.crypto = &world->crypto;
    inner->shared.tokens = world->tokens;
    inner->shared.bcrypt_cost = AUTH_WORLD_COST;
    inner->shared.audit = &world->audit;
}

static void add_user(struct auth_world *world, const char *name,
                     const char *role)
{
    do_as(world, NULL, AUTH("UserAdd"), user_request(name, name));
    if (role != NULL) {
        do_as(world, NULL, AUTH("UserGrantRole"),
              grant_role_request(name, role));
    }
}

static void populate(struct auth_world *world)
{
    do_as(world, NULL, AUTH("RoleAdd"),
          name_request(&etcdserverpb__auth_role_add_request__descriptor,
                       "keeper"));
    do_as(world, NULL, AUTH("RoleGrantPermission"),
          permission_request("keeper", AUTH_READWRITE, "k/", "k0"));
    do_as(world, NULL, AUTH("RoleGrantPermission"),
          permission_request("keeper", AUTH_READ, "r/", "r0"));
    add_user(world, "root", "root");
    add_user(world, "boss", "root");
    add_user(world, "with", "keeper");
    add_user(world, "bare", NULL);
}

void auth_world_init(struct auth_world *world, uint64_t seed)
{
    *world = (struct auth_world){
        .crypto = {.ops = &ops},
        .chance = seed,
        .lock = {no_lock, no_lock, no_lock, no_lock},
        .audit = {.write = on_audit},
    };
    world->grpc = grpc_world_new_with(seed, prepare, world);
    world->grpc->shared.submit_work = submit;
    world->grpc->shared.snapshot = no_snapshot;
    world->grpc->shared.defragment = defragment;
    world->grpc->shared.context = world;
    world->line = line_open(world->grpc);
    populate(world);
    buf_reset(&world->audited);
}

void auth_world_deinit(struct auth_world *world)
{
    world->holds_work = false;
    auth_world_turn(world);
    grpc_world_free(world->grpc);
    auth_tokens_free(world->tokens);
    buf_deinit(&world->audited);
}

void auth_world_enable(struct auth_world *world)
{
    Etcdserverpb__AuthEnableRequest request =
        ETCDSERVERPB__AUTH_ENABLE_REQUEST__INIT;
    do_as(world, NULL, AUTH("AuthEnable"), request_of(&request.base));
}

/* ---- calls ------------------------------------------------------------ */

struct talk *open_as(struct auth_world *world, const char *token,
                     const char *path)
{
    char header[128];
    if (token == NULL) {
        return talk_open(world->line, path, NULL);
    }
    int size = snprintf(header, sizeof(header), "token: %s\n", token);
    CHECK(size > 0 && (size_t)size < sizeof(header));
    return talk_open(world->line, path, header);
}

struct talk *ask_as(struct auth_world *world, const char *token,
                    const char *path, struct slice message)
{
    struct talk *talk = open_as(world, token, path);
    talk_send(talk, message, true);
    auth_world_turn(world);
    return talk;
}

void expect_as(struct auth_world *world, const char *token, const char *path,
               struct slice message, int code, const char *text)
{
    struct talk *talk = ask_as(world, token, path, message);
    expect_end(talk, code, text);
    talk_free(talk);
}

void do_as(struct auth_world *world, const char *token, const char *path,
           struct slice message)
{
    expect_as(world, token, path, message, GRPC_OK, "");
}

const char *login(struct auth_world *world, const char *name,
                  const char *password)
{
    char *made = world->made[world->made_count++ % AUTH_WORLD_TOKENS];
    struct talk *talk = ask_as(world, NULL, AUTH("Authenticate"),
                               login_request(name, password));
    expect_end(talk, GRPC_OK, "");
    struct slice token = bytes_of(expect_message(talk), 2);
    assert_in_range(token.size, AUTH_SIMPLE_LETTERS + 2, 40);
    assert_int_equal(token.at[AUTH_SIMPLE_LETTERS], '.');
    memcpy(made, token.at, token.size);
    made[token.size] = '\0';
    talk_free(talk);
    return made;
}

void expect_no_login(struct auth_world *world, const char *name,
                     const char *password, int code, const char *text)
{
    expect_as(world, NULL, AUTH("Authenticate"), login_request(name, password),
              code, text);
}

/* ---- requests --------------------------------------------------------- */

/* Messages have no const strings. */
static char *text(const char *from)
{
    return (char *)(uintptr_t)from;
}

struct slice login_request(const char *name, const char *password)
{
    Etcdserverpb__AuthenticateRequest request =
        ETCDSERVERPB__AUTHENTICATE_REQUEST__INIT;
    request.name = text(name);
    request.password = text(password);
    return request_of(&request.base);
}

struct slice user_request(const char *name, const char *password)
{
    Etcdserverpb__AuthUserAddRequest request =
        ETCDSERVERPB__AUTH_USER_ADD_REQUEST__INIT;
    request.name = text(name);
    request.password = text(password);
    return request_of(&request.base);
}

struct slice password_request(const char *name, const char *password)
{
    Etcdserverpb__AuthUserChangePasswordRequest request =
        ETCDSERVERPB__AUTH_USER_CHANGE_PASSWORD_REQUEST__INIT;
    request.name = text(name);
    request.password = text(password);
    return request_of(&request.base);
}

/* All of them have it as their first field. */
struct slice name_request(const ProtobufCMessageDescriptor *type,
                          const char *name)
{
    static char bytes[64];
    size_t size = strlen(name);
    assert_string_equal(protobuf_c_message_descriptor_get_field(type, 1)->name,
                        type->fields[0].name);
    assert_int_equal(type->fields[0].type, PROTOBUF_C_TYPE_STRING);
    assert_in_range(size, 0, sizeof(bytes) - 2);
    bytes[0] = 1 << 3 | PB_BYTES;
    bytes[1] = (char)size;
    memcpy(bytes + 2, name, size);
    return slice_of(bytes, size + 2);
}

struct slice grant_role_request(const char *user, const char *role)
{
    Etcdserverpb__AuthUserGrantRoleRequest request =
        ETCDSERVERPB__AUTH_USER_GRANT_ROLE_REQUEST__INIT;
    request.user = text(user);
    request.role = text(role);
    return request_of(&request.base);
}

struct slice revoke_role_request(const char *user, const char *role)
{
    Etcdserverpb__AuthUserRevokeRoleRequest request =
        ETCDSERVERPB__AUTH_USER_REVOKE_ROLE_REQUEST__INIT;
    request.name = text(user);
    request.role = text(role);
    return request_of(&request.base);
}

struct slice permission_request(const char *role, uint32_t access,
                                const char *key, const char *end)
{
    Authpb__Permission permission = AUTHPB__PERMISSION__INIT;
    Etcdserverpb__AuthRoleGrantPermissionRequest request =
        ETCDSERVERPB__AUTH_ROLE_GRANT_PERMISSION_REQUEST__INIT;
    permission.permtype = (Authpb__Permission__Type)access;
    permission.key = message_data(slice_str(key));
    permission.range_end = message_data(slice_str(end));
    request.name = text(role);
    request.perm = &permission;
    return request_of(&request.base);
}

struct slice lease_request(lease_id id)
{
    Etcdserverpb__LeaseGrantRequest request =
        ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    request.id = id;
    request.ttl = 600;
    return request_of(&request.base);
}

struct slice leased_put_request(const char *key, lease_id lease)
{
    Etcdserverpb__PutRequest request = ETCDSERVERPB__PUT_REQUEST__INIT;
    request.key = message_data(slice_str(key));
    request.lease = lease;
    return request_of(&request.base);
}

struct slice watch_request(int64_t id, struct slice key, struct slice end)
{
    Etcdserverpb__WatchCreateRequest create =
        ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    create.watch_id = id;
    create.key = message_data(key);
    create.range_end = message_data(end);
    request.request_union_case =
        ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    request.create_request = &create;
    return request_of(&request.base);
}
