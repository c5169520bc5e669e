#include "auth/jwt.h"

#include "auth/auth_int.h"
#include "auth/tokens.h"
#include "base/check.h"
#include "doc/doc.h"
#include "doc/json_write.h"

enum {
    /* Ed25519's has 64 bytes, that of RSA with 16384 bits 2048. */
    SIGNATURE_BYTES_MAX = 2048,
    DEPTH_MAX = 8,
    VALUES_MAX = 64,
};

static const char *const algs[CRYPTO_SIGN_COUNT] = {
    [CRYPTO_RS256] = "RS256", [CRYPTO_RS384] = "RS384",
    [CRYPTO_RS512] = "RS512", [CRYPTO_PS256] = "PS256",
    [CRYPTO_PS384] = "PS384", [CRYPTO_PS512] = "PS512",
    [CRYPTO_ES256] = "ES256", [CRYPTO_ES384] = "ES384",
    [CRYPTO_ES512] = "ES512", [CRYPTO_EDDSA] = "EdDSA",
    [CRYPTO_HS256] = "HS256", [CRYPTO_HS384] = "HS384",
    [CRYPTO_HS512] = "HS512",
};

const char *jwt_alg(enum crypto_sign sign)
{
    CHECK(sign < CRYPTO_SIGN_COUNT);
    return algs[sign];
}

bool jwt_alg_of(struct slice name, enum crypto_sign *out)
{
    for (size_t i = 0; i < CRYPTO_SIGN_COUNT; i++) {
        if (slice_eq(name, slice_str(algs[i]))) {
            *out = (enum crypto_sign)i;
            return true;
        }
    }
    return false;
}

/* ---- base64url without padding (RFC 4648, section 5) --------------------- */

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                              "abcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode(struct slice bytes, struct buf *out)
{
    uint32_t bits = 0;
    unsigned count = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        bits = bits << 8 | (unsigned char)bytes.at[i];
        for (count += 8; count >= 6; count -= 6) {
            buf_append_char(out, letters[bits >> (count - 6) & 63]);
        }
    }
    if (count > 0) {
        buf_append_char(out, letters[bits << (6 - count) & 63]);
    }
}

static int digit_of(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '-'             ? 62
           : c == '_'             ? 63
                                  : -1;
}

/* Only the one way to write some bytes: what is left over of the last letter
 * is zero. `out` has room for 3 bytes of every 4. */
static bool decode(struct slice text, char *out, size_t *size)
{
    uint32_t bits = 0;
    unsigned count = 0;
    *size = 0;
    for (size_t i = 0; i < text.size; i++) {
        int digit = digit_of(text.at[i]);
        if (digit < 0) {
            return false;
        }
        bits = bits << 6 | (uint32_t)digit;
        count += 6;
        if (count >= 8) {
            count -= 8;
            out[(*size)++] = (char)(bits >> count);
        }
    }
    return count < 6 && (bits & ((1u << count) - 1)) == 0;
}

/* ---- making one ---------------------------------------------------------- */

enum err jwt_make(struct crypto *crypto, const struct crypto_key *key,
                  enum crypto_sign sign, const struct jwt_claims *claims,
                  struct buf *out)
{
    struct buf part = {0};
    struct buf signature = {0};
    size_t start = out->size;
    buf_printf(&part, "{\"alg\":\"%s\",\"typ\":\"JWT\"}", jwt_alg(sign));
    encode(buf_slice(&part), out);
    buf_append_char(out, '.');
    buf_reset(&part);
    buf_printf(&part, "{\"exp\":%lld,\"revision\":%llu,\"username\":",
               (long long)claims->exp_s, (unsigned long long)claims->revision);
    json_write_string(&part, claims->username);
    buf_append_char(&part, '}');
    encode(buf_slice(&part), out);
    enum err err = crypto->ops->sign(
        crypto, key, slice_of(out->at + start, out->size - start), &signature);
    if (err == ERR_OK) {
        buf_append_char(out, '.');
        encode(buf_slice(&signature), out);
    }
    buf_deinit(&signature);
    buf_deinit(&part);
    return err;
}

/* ---- reading one --------------------------------------------------------- */

struct parts {
    struct slice header, claims, signature;
    struct slice text; /* that is signed: the first two, with their dot */
};

static bool split(struct slice token, struct parts *out)
{
    ptrdiff_t first = slice_find(token, '.');
    if (token.size > AUTH_JWT_BYTES_MAX || first < 0) {
        return false;
    }
    size_t at = (size_t)first + 1;
    struct slice rest = slice_of(token.at + at, token.size - at);
    ptrdiff_t second = slice_find(rest, '.');
    if (second < 0) {
        return false;
    }
    at = (size_t)second + 1;
    out->header = slice_of(token.at, (size_t)first);
    out->claims = slice_of(rest.at, (size_t)second);
    out->signature = slice_of(rest.at + at, rest.size - at);
    out->text = slice_of(token.at, out->header.size + 1 + out->claims.size);
    /* Another dot isn't one of the letters. */
    return out->header.size > 0 && out->claims.size > 0 &&
           out->signature.size > 0;
}

/* A part as a map; NULL: it isn't one. */
static struct doc_value *parse(struct slice part, struct arena *arena)
{
    static const struct doc_limits limits = {
        .bytes_max = AUTH_JWT_BYTES_MAX,
        .depth_max = DEPTH_MAX,
        .values_max = VALUES_MAX,
    };
    char *text = arena_alloc(arena, part.size);
    struct doc_value *map;
    size_t size;
    if (!decode(part, text, &size) ||
        doc_parse_json(arena, slice_of(text, size), &limits, &map) != ERR_OK ||
        map->kind != DOC_MAP) {
        return NULL;
    }
    return map;
}

static bool header_is_good(const struct doc_value *header,
                           enum crypto_sign sign)
{
    const struct doc_value *alg = doc_get(header, "alg");
    const struct doc_value *typ = doc_get(header, "typ");
    return alg != NULL && alg->kind == DOC_STRING &&
           slice_eq(alg->text, slice_str(jwt_alg(sign))) &&
           (typ == NULL || (typ->kind == DOC_STRING &&
                            slice_eq_nocase(typ->text, SLICE("JWT")))) &&
           doc_get(header, "crit") == NULL;
}

static bool is_signed(struct crypto *crypto, struct crypto_key *const *keys,
                      size_t key_count, const struct parts *parts,
                      struct arena *arena)
{
    char *signature = arena_alloc(arena, parts->signature.size);
    size_t size;
    if (!decode(parts->signature, signature, &size) ||
        size > SIGNATURE_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < key_count; i++) {
        if (crypto->ops->verify(crypto, keys[i], parts->text,
                                slice_of(signature, size))) {
            return true;
        }
    }
    return false;
}

/* Seconds since 1970, which may have a fraction (RFC 7519, section 2). */
static bool get_time(const struct doc_value *value, int64_t *out)
{
    const double max = 9007199254740992.0; /* 2^53 */
    if (value->kind == DOC_INT && value->integer >= 0 &&
        (double)value->integer < max) {
        *out = value->integer;
        return true;
    }
    if (value->kind == DOC_DOUBLE && value->number >= 0 &&
        value->number < max) {
        *out = (int64_t)value->number;
        return true;
    }
    return false;
}

static bool is_in_time(const struct doc_value *map, int64_t now_s,
                       struct jwt_claims *out)
{
    const struct doc_value *exp = doc_get(map, "exp");
    const struct doc_value *nbf = doc_get(map, "nbf");
    int64_t from_s = 0;
    if (exp == NULL || !get_time(exp, &out->exp_s) || out->exp_s <= now_s) {
        return false;
    }
    return nbf == NULL || (get_time(nbf, &from_s) && from_s <= now_s);
}

static bool read_claims(const struct doc_value *map, int64_t now_s,
                        struct jwt_claims *out)
{
    const struct doc_value *username = doc_get(map, "username");
    const struct doc_value *at_revision = doc_get(map, "revision");
    if (username == NULL || username->kind != DOC_STRING ||
        at_revision == NULL || at_revision->kind != DOC_INT ||
        at_revision->integer < 0 || doc_get(map, "aud") != NULL) {
        return false;
    }
    out->username = username->text;
    out->revision = (uint64_t)at_revision->integer;
    /* With a NUL it would be one of our own: AUTH_SERVER is nobody's name. */
    return auth__name_is_good(out->username) && is_in_time(map, now_s, out);
}

bool jwt_read(struct crypto *crypto, struct crypto_key *const *keys,
              size_t key_count, enum crypto_sign sign, struct slice token,
              int64_t now_s, struct arena *arena, struct jwt_claims *out)
{
    struct parts parts;
    *out = (struct jwt_claims){0};
    if (!split(token, &parts)) {
        return false;
    }
    const struct doc_value *header = parse(parts.header, arena);
    if (header == NULL || !header_is_good(header, sign) ||
        !is_signed(crypto, keys, key_count, &parts, arena)) {
        return false;
    }
    /* What the claims say is looked at when somebody has signed them. */
    const struct doc_value *claims = parse(parts.claims, arena);
    if (claims == NULL || !read_claims(claims, now_s, out)) {
        *out = (struct jwt_claims){0};
        return false;
    }
    return true;
}
