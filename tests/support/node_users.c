#include "node_users.h"

#include "auth/auth.h"
#include "auth/tokens.h"
#include "base/check.h"
#include "tree/tree.h"

#define SECRET "what-nobody-but-root-may-see"
/* "root:fnord-fnord-fnord-fnord-fnord" */
const char node_users_root[] = "Authorization: Basic "
                               "cm9vdDpmbm9yZC1mbm9yZC1mbm9yZC1mbm9yZC1mbm9yZA"
                               "==\r\n";

static struct crypto crypto;
static struct lock lock;
static uint64_t chance;
static struct auth_tokens *tokens;
static uint64_t auth_revision_then;

/* ---- doors --------------------------------------------------------------- */

static void by_chance(struct crypto *self, void *out, size_t size)
{
    unsigned char *bytes = out;
    (void)self;
    for (size_t i = 0; i < size; i++) {
        chance = chance * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (unsigned char)(chance >> 56);
    }
}

static void digest(struct crypto *self, struct slice bytes,
                   unsigned char out[CRYPTO_SHA256_BYTES])
{
    (void)self;
    for (uint64_t i = 0; i < CRYPTO_SHA256_BYTES / 8; i++) {
        put_le64(out + i * 8, slice_hash(bytes, i + 1));
    }
}

static enum err password_hash(struct crypto *self, struct slice password,
                              int cost, struct buf *out)
{
    (void)self;
    (void)cost;
    buf_append_str(out, "hash of ");
    buf_append_slice(out, password);
    return ERR_OK;
}

static bool password_matches(struct crypto *self, struct slice hash,
                             struct slice password)
{
    struct buf made = {0};
    enum err err = password_hash(self, password, 4, &made);
    bool matches = err == ERR_OK && slice_eq(buf_slice(&made), hash);
    buf_deinit(&made);
    return matches;
}

static const struct crypto_ops ops = {
    .random = by_chance,
    .sha256 = digest,
    .password_hash = password_hash,
    .password_matches = password_matches,
};

static void no_lock(struct lock *self)
{
    (void)self;
}

void node_users_prepare(struct world *world)
{
    crypto.ops = &ops;
    chance = 1;
    lock = (struct lock){no_lock, no_lock, no_lock, no_lock};
    const struct auth_tokens_config config = {
        .crypto = &crypto,
        .clock = &world->clock,
        .lock = &lock,
        .ttl_ns = INT64_C(300000000000),
    };
    CHECK(tokens == NULL);
    tokens = auth_tokens_new(&config);
    world->config.tokens = tokens;
    world->shared.crypto = &crypto;
    world->shared.tokens = tokens;
    world->shared.bcrypt_cost = 4;
}

void node_users_free(void)
{
    auth_tokens_free(tokens);
    tokens = NULL;
}

/* ---- who there is -------------------------------------------------------- */

struct change_done {
    struct node_request request;
    bool done;
};

static void on_done(struct node_request *request)
{
    CONTAINER_OF(request, struct change_done, request)->done = true;
}

static void change(struct world *world, const struct auth_change *changes,
                   size_t count)
{
    struct command command = {
        .type = COMMAND_AUTH,
        .user = AUTH_SERVER,
        .auth = {.changes = changes, .count = count},
    };
    struct change_done change = {
        .request = {.command = command_encode(&command), .on_done = on_done}};
    enum err err = node_submit(world->node, &change.request);
    CHECK_EQ(err, ERR_OK);
    while (!change.done) {
        world_turn(world);
    }
    CHECK_EQ(change.request.err, ERR_OK);
    CHECK_EQ(change.request.answer.error, V3_OK);
    txn_answer_deinit(&change.request.answer);
}

void node_users_enable(struct world *world)
{
    static const struct auth_change changes[] = {
        {.op = AUTH_USER_ADD,
         .user = {"root", 4},
         .hash = {"hash of fnord-fnord-fnord-fnord-fnord", 37}},
        {.op = AUTH_USER_GRANT, .user = {"root", 4}, .role = {"root", 4}},
        {.op = AUTH_ROLE_ADD, .role = {"a", 1}},
        {.op = AUTH_ROLE_GRANT,
         .role = {"a", 1},
         .key = {"/a/", 3},
         .range_end = {"/a0", 3},
         .access = AUTH_READWRITE},
        {.op = AUTH_USER_ADD,
         .user = {"alice", 5},
         .hash = {"hash of alice", 13}},
        {.op = AUTH_USER_GRANT, .user = {"alice", 5}, .role = {"a", 1}},
        {.op = AUTH_ENABLE},
    };
    struct reply reply =
        world_request(world, "PUT", "/v2/keys/z", NULL, "value=" SECRET);
    CHECK_EQ(reply.status, 201);
    change(world, changes, sizeof(changes) / sizeof(changes[0]));
    auth_revision_then = auth_revision(node_auth(world->node));
}

/* ---- what may not be ----------------------------------------------------- */

/* By hand: a fuzzer learns from what memmem looks for. */
static bool has_secret(struct slice bytes)
{
    static const char secret[] = SECRET;
    const size_t size = sizeof(secret) - 1;
    for (size_t i = 0; i + size <= bytes.size; i++) {
        size_t same = 0;
        while (same < size && bytes.at[i + same] == secret[same]) {
            same++;
        }
        if (same == size) {
            return true;
        }
    }
    return false;
}

void node_users_check_told(struct slice bytes)
{
    CHECK(!has_secret(bytes));
}

void node_users_check(struct world *world)
{
    struct reply reply =
        world_request(world, "GET", "/v2/keys/z", node_users_root, NULL);
    CHECK_EQ(reply.status, 200);
    CHECK(has_secret(reply.body));
    CHECK(slice_find(reply.body, ',') > 0);
    CHECK(auth_is_on(node_auth(world->node)));
    CHECK_EQ(auth_revision(node_auth(world->node)), auth_revision_then);
}
