/* Whatever has a password in it: logging in, and giving one to a user.
 *
 *   I/O thread                  worker                  I/O thread
 *   the user's hash ----------> bcrypt, the token ----> AUTH_TOKEN in the log,
 *     ^  (as of a revision)                             its index is the
 *     '------- users or roles have changed meanwhile ---' token's end
 *
 * bcrypt takes 50 ms and more of a processor, so it is a worker's, and so many
 * at once: who comes then is told that there are too many. A name that nobody
 * has costs as much as one that somebody has. What was a password is wiped
 * when it was used; only its hash is in the log, and nothing of it in any. */
#include <stdio.h>

#include "auth/login.h"
#include "base/check.h"
#include "base/log.h"
#include "proto/pb.h"
#include "rpc/auth_int.h"
#include "rpc/errand.h"

enum {
    ANEW_MAX = 8, /* logins that changes of users have overtaken */
    AUTHENTICATE_TOKEN = 2,
    HASH_BYTES = 60, /* bcrypt's */
};

struct login {
    struct errand errand; /* first */
    struct crypto *crypto;
    struct auth_tokens *tokens;
    int cost;
    bool is_known; /* the user has a hash */
    bool is_with_node;
    uint64_t revision;
    int tries;
    struct buf user;
    struct buf password;
    struct buf hash; /* the user's; or the new one */
    /* What came of it: */
    bool matches;
    enum err err;
    struct buf token;
    unsigned char digest[CRYPTO_SHA256_BYTES];
    /* A new password's: */
    enum auth_op op;
};

/* ---- secrets ------------------------------------------------------------- */

/* Out of the request, too. */
static void take_secret(struct buf *to, char *from)
{
    size_t size = strlen(from);
    buf_append(to, from, size);
    auth_wipe(from, size);
}

static void free_login(struct login *login)
{
    auth_login_leave();
    buf_deinit(&login->user);
    auth_wipe_buf(&login->password);
    auth_wipe_buf(&login->hash);
    auth_wipe_buf(&login->token);
    mem_free(login);
}

static void on_gone(struct call *call)
{
    struct login *login = call->context;
    errand__give_up(&login->errand);
    if (!login->errand.away && !login->is_with_node) {
        free_login(login);
    }
}

/* Its call can be ended. */
static struct call *let_go(struct login *login)
{
    struct call *call = login->errand.call;
    call->on_gone = NULL;
    free_login(login);
    return call;
}

/* NULL: the call has failed. */
static struct login *new_login(struct call *call, const char *user,
                               char *password)
{
    const struct api_shared *api = call->rpc->shared->api;
    if (api->crypto == NULL) {
        call__fail_code(call, GRPC_UNIMPLEMENTED,
                        "etched: passwords can't be used here");
        return NULL;
    }
    if (!auth_login_enter()) {
        call__fail(call, V3_REQUEST_TOO_MANY_REQUESTS);
        return NULL;
    }
    struct login *login = mem_alloc_zero(sizeof(*login));
    errand__init(&login->errand, call);
    login->crypto = api->crypto;
    login->tokens = api->tokens;
    login->cost = api->bcrypt_cost;
    buf_append_str(&login->user, user);
    take_secret(&login->password, password);
    call->context = login;
    call->on_gone = on_gone;
    return login;
}

/* ---- logging in: on a worker --------------------------------------------- */

static void check_password(struct errand *errand)
{
    struct login *login = CONTAINER_OF(errand, struct login, errand);
    const struct crypto_ops *ops = login->crypto->ops;
    login->matches =
        ops->password_matches(login->crypto, buf_slice(&login->hash),
                              buf_slice(&login->password)) &&
        login->is_known;
    login->err = ERR_OK;
    if (login->matches) {
        buf_reset(&login->token);
        login->err =
            auth_tokens_make(login->tokens, buf_slice(&login->user),
                             login->revision, &login->token, login->digest);
    }
}

/* ---- logging in: on the I/O thread --------------------------------------- */

static void fail_login(struct login *login, enum v3_error error)
{
    log_warn("auth", "a login failed",
             LOG_SLICE("user", buf_slice(&login->user)),
             LOG_SLICE("from", login->errand.call->exchange->request.peer),
             LOG_STR("why", v3_error_text(error)));
    call__fail(let_go(login), error);
}

static void fail_login_err(struct login *login, enum err err)
{
    if (err == ERR_UNSUPPORTED) {
        call__fail_code(let_go(login), GRPC_UNKNOWN,
                        "auth: token signing attempted with verify-only key");
    } else {
        call__fail_err(let_go(login), err);
    }
}

static void answer_login(struct login *login, revision at)
{
    struct buf body = {0};
    pb_put_bytes(&body, AUTHENTICATE_TOKEN, buf_slice(&login->token));
    call__answer(let_go(login), at, buf_slice(&body));
    auth_wipe_buf(&body);
}

static void look_up(struct login *login);

/* Its task doesn't know the call, which may end before it is back. */
static void finish_token(struct rpc *rpc, struct task *done)
{
    struct login *login = done->context;
    struct node_request *write = &done->write;
    enum v3_error error = write->answer.error;
    revision at = write->answer.revision;
    (void)rpc;
    login->is_with_node = false;
    if (write->err == ERR_OK) {
        txn_answer_deinit(&write->answer);
    }
    if (login->errand.call == NULL) {
        free_login(login);
    } else if (write->err != ERR_OK) {
        fail_login_err(login, write->err);
    } else if (error == V3_AUTH_OLD_REVISION && login->tries < ANEW_MAX) {
        look_up(login);
    } else if (error != V3_OK) {
        fail_login(login, error);
    } else {
        buf_append_char(&login->token, '.');
        buf_append_u64(&login->token, write->index);
        answer_login(login, at);
    }
}

/* All members get to know it, and this one not before them. */
static void propose_token(struct login *login)
{
    const struct auth_change change = {
        .op = AUTH_TOKEN,
        .user = buf_slice(&login->user),
        .hash = slice_of(login->digest, sizeof(login->digest)),
    };
    const struct command command = {
        .type = COMMAND_AUTH,
        .user = AUTH_SERVER,
        .auth_revision = login->revision,
        .auth = {.changes = &change, .count = 1},
    };
    struct task *task = task__new(login->errand.rpc, NULL, finish_token);
    task->context = login;
    login->is_with_node = true;
    task__write(task, command_encode(&command));
}

static revision revision_now(struct rpc *rpc)
{
    rpc__read_begin(rpc);
    revision at = rpc__revision(rpc);
    rpc__read_end(rpc);
    return at;
}

/* A signed token has dots, and nobody needs to be told of it. */
static bool is_signed(const struct login *login)
{
    return slice_find(buf_slice(&login->token), '.') >= 0;
}

static void on_checked(struct errand *errand)
{
    struct login *login = CONTAINER_OF(errand, struct login, errand);
    if (errand->call == NULL) {
        free_login(login);
    } else if (login->err != ERR_OK) {
        fail_login_err(login, login->err);
    } else if (!login->matches) {
        fail_login(login, V3_AUTH_FAILED);
    } else if (is_signed(login)) {
        answer_login(login, revision_now(errand->rpc));
    } else {
        propose_token(login);
    }
}

/* What is kept of the user. Needs: the shared lock. */
static enum v3_error find_user(struct login *login, const struct auth *auth)
{
    struct auth_user user;
    if (!auth_is_on(auth)) {
        return V3_AUTH_NOT_ENABLED;
    }
    login->revision = auth_revision(auth);
    login->is_known = auth_user(auth, buf_slice(&login->user), &user);
    if (login->is_known && user.no_password) {
        return V3_NO_PASSWORD_USER;
    }
    login->is_known = login->is_known && user.hash.size > 0;
    if (login->is_known) {
        buf_reset(&login->hash);
        buf_append_slice(&login->hash, user.hash);
    } else {
        buf_reset(&login->hash);
        auth_login_nobody(login->cost, &login->hash);
    }
    return V3_OK;
}

static void look_up(struct login *login)
{
    struct node *node = login->errand.rpc->node;
    login->tries++;
    lock_read(node_auth_lock(node));
    enum v3_error error = find_user(login, node_auth(node));
    unlock_read(node_auth_lock(node));
    if (error == V3_AUTH_NOT_ENABLED) {
        call__fail(let_go(login), error);
    } else if (error != V3_OK) {
        fail_login(login, error);
    } else {
        errand__submit(&login->errand, check_password, on_checked);
    }
}

static void begin_login(struct call *call, void *context)
{
    const Etcdserverpb__AuthenticateRequest *request = context;
    struct login *login = new_login(call, request->name, request->password);
    if (login != NULL) {
        look_up(login);
    }
}

/* Who it claims to be is who the audit speaks of. */
static void claim(struct call *call, const char *name)
{
    size_t size = strlen(name);
    call->user = slice_of(arena_dup(call->exchange->arena, name, size), size);
    call->how = "password";
}

void auth__authenticate(struct call *call, ProtobufCMessage *message)
{
    const Etcdserverpb__AuthenticateRequest *request = (const void *)message;
    if (!auth_is_on(node_auth(call->rpc->node))) {
        call__fail(call, V3_AUTH_NOT_ENABLED);
        return;
    }
    claim(call, request->name);
    if (call->rpc->shared->api->tokens == NULL) {
        call__fail(call, V3_AUTH_FAILED);
        return;
    }
    task__when_current(call, false, message, begin_login);
}

/* ---- a new password ------------------------------------------------------ */

static void hash_password(struct errand *errand)
{
    struct login *login = CONTAINER_OF(errand, struct login, errand);
    login->err = login->crypto->ops->password_hash(
        login->crypto, buf_slice(&login->password), login->cost, &login->hash);
    auth_wipe_buf(&login->password);
}

static void on_hashed(struct errand *errand)
{
    struct login *login = CONTAINER_OF(errand, struct login, errand);
    struct call *call = errand->call;
    if (call == NULL) {
        free_login(login);
        return;
    }
    if (login->err != ERR_OK) {
        enum err err = login->err;
        let_go(login);
        call__fail_err(call, err);
        return;
    }
    char *user = arena_dup(&call->arena, login->user.at, login->user.size);
    char *hash = arena_dup(&call->arena, login->hash.at, login->hash.size);
    const struct auth_change change = {
        .op = login->op,
        .user = slice_of(user, login->user.size),
        .hash = slice_of(hash, login->hash.size),
    };
    let_go(login);
    auth__change(call, &change);
}

/* "$2a$10$" and 53 letters more: another kind would let nobody in. */
static bool is_bcrypt(struct slice hash)
{
    return hash.size == HASH_BYTES && slice_has_prefix(hash, SLICE("$2")) &&
           hash.at[3] == '$' && hash.at[6] == '$';
}

/* One that the client has made. False: it isn't one, and the call has failed.
 */
static bool read_hash(struct call *call, const char *base64, struct slice *hash)
{
    struct slice letters = slice_str(base64);
    uint8_t *bytes = arena_alloc(&call->arena, letters.size + 1);
    ptrdiff_t size = json__decode_base64(letters, bytes);
    *hash = slice_of(bytes, size > 0 ? (size_t)size : 0);
    if (!is_bcrypt(*hash)) {
        call__fail_code(call, GRPC_INVALID_ARGUMENT,
                        "etched: hashedPassword is no hash of bcrypt's");
        return false;
    }
    return true;
}

static void set_good_password(struct call *call, enum auth_op op,
                              const char *user, char *password)
{
    const struct crypto *crypto = call->rpc->shared->api->crypto;
    if (crypto != NULL &&
        crypto_check_password(crypto, slice_str(password)) != ERR_OK) {
        char text[ERR_NOTE_BYTES_MAX + 16];
        snprintf(text, sizeof(text), "etched: %s", err_note());
        call__fail_code(call, GRPC_INVALID_ARGUMENT, text);
        return;
    }
    struct login *login = new_login(call, user, password);
    if (login != NULL) {
        login->op = op;
        errand__submit(&login->errand, hash_password, on_hashed);
    }
}

/* By the password; else by the hash (base64). An empty password is none: there
 * are users without one for that (CVE-2020-15115). */
static void set_password(struct call *call, enum auth_op op, const char *user,
                         char *password, const char *base64)
{
    struct auth_change change = {.op = op, .user = slice_str(user)};
    if (change.user.size == 0) {
        call__fail(call,
                   op == AUTH_USER_ADD ? V3_USER_EMPTY : V3_USER_NOT_FOUND);
    } else if (password[0] != '\0') {
        set_good_password(call, op, user, password);
    } else if (base64[0] == '\0') {
        call__fail_code(call, GRPC_INVALID_ARGUMENT,
                        "etched: the password is empty");
    } else if (read_hash(call, base64, &change.hash)) {
        auth__change(call, &change);
    }
}

void auth__user_add(struct call *call, ProtobufCMessage *message)
{
    const Etcdserverpb__AuthUserAddRequest *request = (const void *)message;
    if (request->options == NULL || !request->options->no_password) {
        set_password(call, AUTH_USER_ADD, request->name, request->password,
                     request->hashedpassword);
        return;
    }
    auth_wipe(request->password, strlen(request->password));
    const struct auth_change change = {
        .op = AUTH_USER_ADD,
        .user = slice_str(request->name),
        .no_password = true,
    };
    auth__change(call, &change);
}

void auth__user_change_password(struct call *call, ProtobufCMessage *message)
{
    const Etcdserverpb__AuthUserChangePasswordRequest *request =
        (const void *)message;
    set_password(call, AUTH_USER_PASSWORD, request->name, request->password,
                 request->hashedpassword);
}
