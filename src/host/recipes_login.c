#include "host/recipes_login.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/secret_file.h"
#include "proto/pb.h"

enum {
    NAME_FIELD = 1,
    PASSWORD_FIELD = 2,
    TOKEN_FIELD = 2,
    CANCELED_FIELD = 4, /* of a WatchResponse */
    REASON_FIELD = 6,
    /* A password's hash takes a while, and a store that begins has others to
     * let in too. */
    LOGIN_MS = 10 * 1000,
    AGAIN_MS = 2 * 1000,
    SAY_AGAIN_MS = 60 * 1000,
};

void recipes_login_init(struct recipes_login *login, struct rpc_client *client,
                        const char *user, struct slice password)
{
    *login = (struct recipes_login){.client = client, .user = user};
    pb_put_bytes(&login->request, NAME_FIELD, slice_str(user));
    pb_put_bytes(&login->request, PASSWORD_FIELD, password);
}

void recipes_login_deinit(struct recipes_login *login)
{
    secret_wipe(&login->request);
    secret_wipe(&login->token);
    *login = RECIPES_LOGIN_NONE;
}

/* ---- what came of it ----------------------------------------------------- */

static void on_message(void *context, struct slice message)
{
    struct recipes_login *login = context;
    struct pb_reader reader;
    struct pb_field field;
    pb_reader_init(&reader, message);
    while (pb_next(&reader, &field)) {
        if (field.number == TOKEN_FIELD && field.type == PB_BYTES) {
            buf_reset(&login->token);
            buf_append_slice(&login->token, field.bytes);
        }
    }
}

/* What is opened from now on has it. */
static void show(struct recipes_login *login, struct slice token)
{
    const struct grpc_header header = {SLICE("token"), token};
    rpc_client_set_metadata(login->client, &header, token.size > 0);
}

static void let_in(struct recipes_login *login)
{
    show(login, buf_slice(&login->token));
    login->is_in = true;
    login->number++;
    login->due_ms = INT64_MAX;
    login->said_ms = 0;
}

static void try_again(struct recipes_login *login, int code, struct slice why)
{
    int64_t now_ms = rpc_client_now_ms();
    const char *failure = rpc_client_failure(login->client);
    bool is_away = code == GRPC_UNAVAILABLE || code == GRPC_DEADLINE_EXCEEDED;
    login->due_ms = now_ms + AGAIN_MS;
    if (login->said_ms != 0 && now_ms < login->said_ms + SAY_AGAIN_MS) {
        return;
    }
    login->said_ms = now_ms;
    log_warn("recipes", "can't log in at the store; trying on",
             LOG_STR("endpoint", rpc_client_endpoint(login->client)),
             LOG_STR("user", login->user),
             LOG_SLICE("why", is_away && failure[0] != '\0' ? slice_str(failure)
                                                            : why));
}

static void on_end(void *context, int code, struct slice text)
{
    struct recipes_login *login = context;
    login->open = NULL;
    rpc_client_wake(login->client);
    bool has_no_users =
        slice_eq(text, SLICE("etcdserver: authentication is not enabled"));
    if (has_no_users) {
        buf_reset(&login->token);
    }
    if (code == GRPC_OK || has_no_users) {
        let_in(login);
    } else {
        try_again(login, code, text);
    }
}

/* ---- from outside -------------------------------------------------------- */

int64_t recipes_login_run(struct recipes_login *login, int64_t now_ms)
{
    if (login->user == NULL || login->open != NULL) {
        return INT64_MAX;
    }
    if (now_ms < login->due_ms) {
        return login->due_ms;
    }
    const struct rpc_stream_config config = {
        .path = SLICE("/etcdserverpb.Auth/Authenticate"),
        .deadline_ms = now_ms + LOGIN_MS,
        .on_message = on_message,
        .on_end = on_end,
        .context = login,
    };
    /* etcd 3.4 refuses a login with a token that it doesn't know. */
    show(login, SLICE(""));
    login->open = rpc_stream_open(login->client, &config);
    show(login, buf_slice(&login->token));
    rpc_stream_send(login->open, buf_slice(&login->request), true);
    return INT64_MAX;
}

static bool ends_with(struct slice text, struct slice end)
{
    return text.size >= end.size &&
           slice_eq(slice_of(text.at + text.size - end.size, end.size), end);
}

/* As etcd words them; what it says of a watch has more before it. */
static bool is_want_of_login(int code, struct slice text)
{
    static const char *const words[] = {
        "etcdserver: invalid auth token",
        "etcdserver: revision of auth store is old",
        "etcdserver: user name is empty",
    };
    bool is_it = code == GRPC_UNAUTHENTICATED;
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        is_it |= ends_with(text, slice_str(words[i]));
    }
    return is_it;
}

bool recipes_login_refused(struct recipes_login *login, uint64_t number,
                           int code, struct slice text)
{
    if (login->user == NULL || code == GRPC_OK ||
        !is_want_of_login(code, text)) {
        return false;
    }
    CHECK_LE(number, login->number);
    if (number == login->number && login->due_ms == INT64_MAX &&
        login->open == NULL) {
        login->due_ms = 0;
    }
    return true;
}

void recipes_login_watched(struct recipes_login *login, uint64_t number,
                           struct slice response)
{
    struct pb_reader reader;
    struct pb_field field;
    bool is_canceled = false;
    struct slice reason = SLICE("");
    if (login->user == NULL) {
        return;
    }
    pb_reader_init(&reader, response);
    while (pb_next(&reader, &field)) {
        if (field.number == CANCELED_FIELD && field.type == PB_VARINT) {
            is_canceled = field.value != 0;
        } else if (field.number == REASON_FIELD && field.type == PB_BYTES) {
            reason = field.bytes;
        }
    }
    if (is_canceled) {
        (void)recipes_login_refused(login, number, GRPC_UNKNOWN, reason);
    }
}
