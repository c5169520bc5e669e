#include "auth_story.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

/* ---- the crypto door ----------------------------------------------------- */

static struct glass_crypto glass;

static const char glass_prefix[] = "hash of ";

static enum err glass_hash(struct crypto *crypto, struct slice password,
                           int cost, struct buf *out)
{
    CHECK(crypto == &glass.door && cost == 4);
    glass.hashed++;
    if (password.size > CRYPTO_PASSWORD_BYTES_MAX) {
        return err_set(ERR_INVALID, "too long");
    }
    buf_append_str(out, glass_prefix);
    buf_append_slice(out, password);
    return ERR_OK;
}

static bool glass_matches(struct crypto *crypto, struct slice hash,
                          struct slice password)
{
    size_t size = sizeof(glass_prefix) - 1;
    CHECK(crypto == &glass.door);
    glass.compared++;
    return hash.size == size + password.size &&
           memcmp(hash.at, glass_prefix, size) == 0 &&
           memcmp(hash.at + size, password.at, password.size) == 0;
}

static const struct crypto_ops glass_ops = {
    .password_hash = glass_hash,
    .password_matches = glass_matches,
};

struct glass_crypto *auth_crypto(void)
{
    return &glass;
}

/* ---- the audit log ------------------------------------------------------- */

static struct buf audit_lines;

static void append(struct slice text)
{
    buf_append_slice(&audit_lines, text);
    buf_append_char(&audit_lines, ' ');
}

static void on_audit(struct audit *audit, const struct audit_event *event)
{
    (void)audit;
    CHECK(slice_eq(event->from, SLICE("127.0.0.1:4711")));
    append(event->user.size > 0 ? event->user : SLICE("-"));
    if (event->how.size > 0) {
        append(event->how);
    }
    append(event->what);
    if (event->key.size > 0) {
        append(event->key);
    }
    CHECK(event->allowed == (event->why.size == 0));
    buf_append_slice(&audit_lines, event->allowed ? SLICE("ok") : event->why);
    buf_append_char(&audit_lines, '\n');
}

static struct audit audit = {on_audit};

const char *audit_text(void)
{
    static char text[4096];
    snprintf(text, sizeof(text), "%.*s", (int)audit_lines.size,
             audit_lines.at == NULL ? "" : audit_lines.at);
    buf_reset(&audit_lines);
    return text;
}

/* ---- the world ----------------------------------------------------------- */

int auth_begin(void **state)
{
    if (story_begin(state) != 0) {
        return -1;
    }
    struct world *world = *state;
    glass = (struct glass_crypto){.door = {.ops = &glass_ops}};
    world->shared.crypto = &glass.door;
    world->shared.bcrypt_cost = 4;
    world->shared.audit = &audit;
    return 0;
}

int auth_end(void **state)
{
    int failed = story_end(state);
    buf_deinit(&audit_lines);
    audit_lines = (struct buf){0};
    return failed;
}

void auth_keep_work(struct world *world)
{
    world->shared.submit_work = world_submit_work;
    world->shared.work_context = world;
}

/* ---- who asks ------------------------------------------------------------ */

static void append_base64(struct buf *out, const char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t size = strlen(text);
    for (size_t i = 0; i < size; i += 3) {
        uint32_t bits = (uint32_t)(unsigned char)text[i] << 16;
        bits |= i + 1 < size ? (uint32_t)(unsigned char)text[i + 1] << 8 : 0;
        bits |= i + 2 < size ? (uint32_t)(unsigned char)text[i + 2] : 0;
        for (size_t j = 0; j < 4; j++) {
            buf_append_char(
                out, i + j <= size ? digits[bits >> (18 - 6 * j) & 63] : '=');
        }
    }
}

const char *auth_headers(const char *who, const char *body)
{
    static char texts[4][512];
    static size_t turn;
    char *text = texts[turn++ % 4];
    struct buf out = {0};
    if (who != NULL) {
        buf_append_str(&out, "Authorization: Basic ");
        append_base64(&out, who);
        buf_append_str(&out, "\r\n");
    }
    if (body != NULL) {
        buf_append_str(&out, body[0] == '{'
                                 ? "Content-Type: application/json\r\n"
                                 : "Content-Type: "
                                   "application/x-www-form-urlencoded\r\n");
    }
    snprintf(text, sizeof(texts[0]), "%.*s", (int)out.size,
             out.at == NULL ? "" : out.at);
    buf_deinit(&out);
    return text;
}

void as(struct world *world, const char *who, const char *request,
        const char *body, int status, const char *expected)
{
    char method[16];
    size_t size = strcspn(request, " ");
    assert_true(size < sizeof(method));
    snprintf(method, sizeof(method), "%.*s", (int)size, request);
    struct reply reply = world_request(world, method, request + size + 1,
                                       auth_headers(who, body), body);
    if (reply.status != status) {
        print_error("%s: status %d\n", request, reply.status);
    }
    expect_text(reply.body, expected);
    assert_int_equal(reply.status, status);
}

/* ---- users and roles ----------------------------------------------------- */

struct change_done {
    struct node_request request;
    bool done;
};

static void on_done(struct node_request *request)
{
    CONTAINER_OF(request, struct change_done, request)->done = true;
}

static void run(struct world *world, const struct auth_change *changes,
                size_t count)
{
    struct command command = {
        .type = COMMAND_AUTH,
        .user = AUTH_SERVER,
        .auth = {.changes = changes, .count = count},
    };
    struct change_done change = {
        .request = {.command = command_encode(&command), .on_done = on_done}};
    bool idle = world->idle_core;
    assert_int_equal(node_submit(world->node, &change.request), ERR_OK);
    world->idle_core = false;
    while (!change.done) {
        assert_int_equal(node_run(world->node), ERR_OK);
    }
    world->idle_core = idle;
    assert_int_equal(change.request.err, ERR_OK);
    assert_int_equal(change.request.answer.error, V3_OK);
    txn_answer_deinit(&change.request.answer);
}

/* "role r +rw /a*", "role r -/a*", "role r + from to" */
static struct auth_change change_of_role(struct arena *arena,
                                         struct slice *words, size_t count)
{
    struct auth_change change = {.role = words[1]};
    char sign = words[2].at[0];
    struct slice rest = slice_of(words[2].at + 1, words[2].size - 1);
    change.op = sign == '+' ? AUTH_ROLE_GRANT : AUTH_ROLE_REVOKE;
    change.access = slice_eq(rest, SLICE("rw"))  ? AUTH_READWRITE
                    : slice_eq(rest, SLICE("w")) ? AUTH_WRITE
                                                 : AUTH_READ;
    if (count == 5) {
        change.key = words[3];
        change.range_end = words[4];
    } else {
        auth_range_of(sign == '+' ? words[3] : rest, arena, &change.key,
                      &change.range_end);
    }
    return change;
}

static struct auth_change change_of_user(struct slice *words)
{
    return (struct auth_change){
        .op = words[2].at[0] == '+' ? AUTH_USER_GRANT : AUTH_USER_REVOKE,
        .user = words[1],
        .role = slice_of(words[2].at + 1, words[2].size - 1),
    };
}

static struct auth_change change_of(struct arena *arena, struct slice *words,
                                    size_t count)
{
    struct slice what = words[0];
    if (slice_eq(what, SLICE("on")) || slice_eq(what, SLICE("off"))) {
        return (struct auth_change){.op = what.size == 2 ? AUTH_ENABLE
                                                         : AUTH_DISABLE};
    }
    if (slice_eq(what, SLICE("+user"))) {
        const char *hash = arena_printf(arena, "%s%.*s", glass_prefix,
                                        (int)words[2].size, words[2].at);
        return (struct auth_change){
            .op = AUTH_USER_ADD, .user = words[1], .hash = slice_str(hash)};
    }
    if (slice_eq(what, SLICE("-user"))) {
        return (struct auth_change){.op = AUTH_USER_DELETE, .user = words[1]};
    }
    if (slice_eq(what, SLICE("+role")) || slice_eq(what, SLICE("-role"))) {
        return (struct auth_change){.op = what.at[0] == '+' ? AUTH_ROLE_ADD
                                                            : AUTH_ROLE_DELETE,
                                    .role = words[1]};
    }
    return slice_eq(what, SLICE("user")) ? change_of_user(words)
                                         : change_of_role(arena, words, count);
}

void users(struct world *world, const char *text)
{
    struct slice words[8];
    struct arena arena;
    size_t count = 0;
    arena_init(&arena, 0);
    while (*text != '\0') {
        size_t size = strcspn(text, " ");
        words[count++] = slice_of(text, size);
        text += size + (text[size] == ' ');
    }
    struct auth_change change = change_of(&arena, words, count);
    run(world, &change, 1);
    arena_deinit(&arena);
}

void users_begin(struct world *world)
{
    static const char *const changes[] = {
        "+role root",
        "+role guest",
        "+role alices",
        "+user root pw",
        "user root +root",
        "+user alice secret",
        "user alice +alices",
        "role alices +r /a*",
        "role alices +rw /a/w*",
        "on",
    };
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        users(world, changes[i]);
    }
}
