#include "host/auth_flags.h"

#include "auth/jwt.h"
#include "host/config_int.h"

static const int64_t second_ns = 1000 * 1000 * 1000;
enum {
    JWT_TTL_S = 5 * 60,
    /* Ten years: who wants no end says that. */
    TTL_S_MAX = 10 * 366 * 24 * 3600,
};

static bool has_value(struct slice part, const char *name, struct slice *value)
{
    struct slice prefix = slice_str(name);
    if (!slice_has_prefix(part, prefix) || part.size <= prefix.size ||
        part.at[prefix.size] != '=') {
        return false;
    }
    *value = slice_of(part.at + prefix.size + 1, part.size - prefix.size - 1);
    return true;
}

static enum err set_method(struct slice value, struct auth_flags *flags)
{
    if (jwt_alg_of(value, &flags->sign)) {
        return ERR_OK;
    }
    return err_set(ERR_INVALID,
                   "sign-method \"%.*s\" is none of RS256, PS256, ES256, HS256 "
                   "(or with 384, 512) and EdDSA",
                   (int)(value.size < 40 ? value.size : 40), value.at);
}

static enum err set_ttl(struct arena *arena, struct slice value,
                        struct auth_flags *flags)
{
    const char *text = arena_printf(arena, "%.*s", (int)value.size, value.at);
    if (config__number(KIND_DURATION, text, &flags->ttl_ns) &&
        flags->ttl_ns >= second_ns && flags->ttl_ns <= TTL_S_MAX * second_ns) {
        return ERR_OK;
    }
    return err_set(ERR_INVALID,
                   "ttl \"%.40s\" is no time from 1s to ten years, such as 5m",
                   text);
}

static enum err add_public(const char *path, struct auth_flags *flags)
{
    if (flags->public_count == AUTH_JWT_KEYS_MAX) {
        return err_set(ERR_INVALID, "more than %d pub-keys", AUTH_JWT_KEYS_MAX);
    }
    flags->public_keys[flags->public_count++] = path;
    return ERR_OK;
}

static enum err set_path(struct arena *arena, struct slice value,
                         bool is_private, struct auth_flags *flags)
{
    const char *path = arena_printf(arena, "%.*s", (int)value.size, value.at);
    if (value.size == 0) {
        return err_set(ERR_INVALID, "%s names no file",
                       is_private ? "priv-key" : "pub-key");
    }
    if (!is_private) {
        return add_public(path, flags);
    }
    if (flags->private_key != NULL) {
        return err_set(ERR_INVALID, "there is one priv-key, not two");
    }
    flags->private_key = path;
    return ERR_OK;
}

static enum err set_option(struct arena *arena, struct slice part,
                           struct auth_flags *flags, bool *has_method)
{
    struct slice value;
    if (has_value(part, "sign-method", &value)) {
        *has_method = true;
        return set_method(value, flags);
    }
    if (has_value(part, "ttl", &value)) {
        return set_ttl(arena, value, flags);
    }
    if (has_value(part, "pub-key", &value)) {
        return set_path(arena, value, false, flags);
    }
    if (has_value(part, "priv-key", &value)) {
        return set_path(arena, value, true, flags);
    }
    return err_set(ERR_INVALID,
                   "\"%.*s\" is none of sign-method=, pub-key=, priv-key= and "
                   "ttl=",
                   (int)(part.size < 40 ? part.size : 40), part.at);
}

static enum err check_jwt(const struct auth_flags *flags, bool has_method)
{
    bool is_secret = flags->sign >= CRYPTO_HS256;
    if (!has_method) {
        return err_set(ERR_INVALID, "jwt needs a sign-method, such as ES256");
    }
    if (is_secret && flags->public_count > 0) {
        return err_set(ERR_INVALID,
                       "%s has a shared secret (priv-key), and no pub-key",
                       jwt_alg(flags->sign));
    }
    if (is_secret && flags->private_key == NULL) {
        return err_set(ERR_INVALID, "%s needs a priv-key, its shared secret",
                       jwt_alg(flags->sign));
    }
    if (flags->private_key == NULL && flags->public_count == 0) {
        return err_set(ERR_INVALID, "jwt needs a priv-key to make tokens with, "
                                    "or a pub-key to verify them by");
    }
    return ERR_OK;
}

static enum err parse_jwt(struct arena *arena, struct slice rest,
                          struct auth_flags *out)
{
    struct slice part;
    bool has_method = false;
    enum err err = ERR_OK;
    out->is_jwt = true;
    out->ttl_ns = JWT_TTL_S * second_ns;
    while (err == ERR_OK && config__next_part(&rest, &part)) {
        err = set_option(arena, part, out, &has_method);
    }
    return err == ERR_OK ? check_jwt(out, has_method) : err;
}

enum err auth_flags_parse(struct arena *arena, const char *text,
                          int64_t simple_ttl_s, struct auth_flags *out)
{
    struct slice rest = slice_str(text);
    struct slice kind;
    int64_t ttl_s = simple_ttl_s > 0 ? simple_ttl_s : AUTH_TOKEN_TTL_S;
    *out = (struct auth_flags){
        .ttl_ns = (ttl_s < TTL_S_MAX ? ttl_s : TTL_S_MAX) * second_ns};
    if (config__next_part(&rest, &kind)) {
        if (slice_eq(kind, SLICE("jwt"))) {
            return parse_jwt(arena, rest, out);
        }
        if (slice_eq(kind, SLICE("simple")) && rest.at == NULL) {
            return ERR_OK;
        }
    }
    return err_set(ERR_INVALID,
                   "\"%.60s\" is neither simple nor jwt,sign-method=...", text);
}
