/* Users' passwords and tokens: what they are checked with, by --auth-token,
 * --bcrypt-cost and --password-min-length. */
#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "host/auth_flags.h"
#include "host/clock_posix.h"
#include "host/crypto_posix.h"
#include "host/lock_posix.h"
#include "host/server_int.h"

enum { LOOK_MS = 1000 };

struct server_auth {
    struct arena arena;
    struct auth_flags flags;
    struct crypto *crypto;
    struct lock *tokens_lock;
    struct lock *credentials_lock;
    struct auth_tokens *tokens;
    struct auth_credentials *credentials;
    uint64_t stamp; /* of the key files, as they were read */
};

static enum err open_tokens(struct server_auth *auth)
{
    const struct auth_flags *flags = &auth->flags;
    struct auth_flags_keys keys = {0};
    enum err err = ERR_OK;
    if (flags->is_jwt) {
        auth->stamp = auth_flags_stamp(flags);
        err = auth_flags_read_keys(flags, auth->crypto, &keys);
    }
    if (err != ERR_OK) {
        return err_wrap(err, "--auth-token");
    }
    const struct auth_tokens_config config = {
        .crypto = auth->crypto,
        .clock = clock_posix(),
        .lock = auth->tokens_lock,
        .ttl_ns = flags->ttl_ns,
        .is_jwt = flags->is_jwt,
        .sign = flags->sign,
        .sign_key = keys.sign,
        .verify_keys = keys.verify,
        .verify_count = keys.verify_count,
    };
    auth->tokens = auth_tokens_new(&config);
    return ERR_OK;
}

enum err server__open_auth(struct server *server)
{
    const struct config *config = server->config;
    struct server_auth *auth = mem_alloc_zero(sizeof(*auth));
    server->auth = auth;
    arena_init(&auth->arena, 0);
    auth->crypto = crypto_posix_new((size_t)config->password_bytes_min);
    auth->tokens_lock = lock_posix_new();
    auth->credentials_lock = lock_posix_new();
    enum err err = auth_flags_parse(&auth->arena, config->auth_token,
                                    config->auth_token_ttl_s, &auth->flags);
    if (err == ERR_OK) {
        err = open_tokens(auth);
    }
    if (err == ERR_OK) {
        auth->credentials = auth_credentials_new(auth->crypto, clock_posix(),
                                                 auth->credentials_lock);
    }
    return err;
}

struct auth_tokens *server__tokens(const struct server *server)
{
    return server->auth->tokens;
}

void server__fill_auth(struct server *server)
{
    struct api_shared *shared = &server->shared;
    shared->crypto = server->auth->crypto;
    shared->tokens = server->auth->tokens;
    shared->credentials = server->auth->credentials;
    shared->bcrypt_cost = (int)server->config->bcrypt_cost;
}

/* ---- key files that change ----------------------------------------------- */

/* Where they can't be used the old keys stay in use: one file is written after
 * the other. */
static void on_look(uv_timer_t *timer)
{
    struct server *server = CONTAINER_OF(timer, struct server, auth_look);
    struct server_auth *auth = server->auth;
    struct auth_flags_keys keys;
    uint64_t stamp = auth_flags_stamp(&auth->flags);
    if (stamp == auth->stamp) {
        return;
    }
    auth->stamp = stamp;
    if (auth_flags_read_keys(&auth->flags, auth->crypto, &keys) != ERR_OK) {
        log_error("auth",
                  "the new key files for tokens can't be used; those that were "
                  "read before still are",
                  LOG_STR("why", err_note()));
        return;
    }
    auth_tokens_set_keys(auth->tokens, keys.sign, keys.verify,
                         keys.verify_count);
    log_info("auth", "tokens are signed and verified by new keys");
}

void server__start_auth(struct server *server)
{
    if (server->auth->flags.is_jwt) {
        uv_timer_start(&server->auth_look, on_look, LOOK_MS, LOOK_MS);
    }
}

void server__close_auth(struct server *server)
{
    struct server_auth *auth = server->auth;
    if (auth == NULL) {
        return;
    }
    auth_credentials_free(auth->credentials);
    auth_tokens_free(auth->tokens);
    lock_posix_free(auth->credentials_lock);
    lock_posix_free(auth->tokens_lock);
    crypto_posix_free(auth->crypto);
    arena_deinit(&auth->arena);
    mem_free(auth);
    server->auth = NULL;
}
