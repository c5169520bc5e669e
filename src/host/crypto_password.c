/* bcrypt (Provos and Mazieres, 1999), by libxcrypt.
 *
 *   byte 0..3    "$2a$", as Go's and so etcd's; "$2b$" and "$2y$" of others
 *                are the same hash
 *   byte 4..6    "10$", two digits: 2^10 rounds
 *   byte 7..28   the salt, 16 bytes as 22 letters
 *   byte 29..59  the hash, 23 bytes as 31 letters
 *
 * libxcrypt makes of "$2a$" another hash where an old and broken program would
 * have had collisions; Go knows no such thing. So it is always asked for
 * "$2b$".
 */
#include <crypt.h>

#include "base/check.h"
#include "base/mem.h"
#include "host/crypto_int.h"

enum {
    COST_MIN = 4,
    COST_MAX = 31,
    SALT_BYTES = 16,
    SETTING_BYTES = 29, /* the head and the salt */
    HASH_BYTES = 60,
};

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : 100;
}

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c >= '0' && c <= '9') || c == '.' || c == '/';
}

static bool is_hash(struct slice hash)
{
    if (hash.size != HASH_BYTES || memcmp(hash.at, "$2", 2) != 0 ||
        memchr("aby", hash.at[2], 3) == NULL || hash.at[3] != '$' ||
        hash.at[6] != '$') {
        return false;
    }
    int cost = digit_of(hash.at[4]) * 10 + digit_of(hash.at[5]);
    if (cost < COST_MIN || cost > COST_MAX) {
        return false;
    }
    for (size_t i = 7; i < HASH_BYTES; i++) {
        if (!is_letter(hash.at[i])) {
            return false;
        }
    }
    return true;
}

/* False: libxcrypt won't. Needs: the password is short enough. */
static bool hash_with(const char *setting, struct slice password,
                      char out[HASH_BYTES])
{
    struct crypt_data *data = mem_alloc_zero(sizeof(*data));
    char phrase[CRYPTO_PASSWORD_BYTES_MAX + 1];
    CHECK(password.size < sizeof(phrase));
    if (password.size > 0) {
        memcpy(phrase, password.at, password.size);
    }
    phrase[password.size] = '\0';
    const char *hash = crypt_rn(phrase, setting, data, (int)sizeof(*data));
    bool good = hash != NULL && strlen(hash) == HASH_BYTES;
    if (good) {
        memcpy(out, hash, HASH_BYTES);
    }
    explicit_bzero(phrase, sizeof(phrase));
    explicit_bzero(data, sizeof(*data));
    mem_free(data);
    return good;
}

enum err crypto__password_hash(struct crypto *crypto, struct slice password,
                               int cost, struct buf *out)
{
    char salt[SALT_BYTES];
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    char hash[HASH_BYTES];
    CHECK(cost >= COST_MIN && cost <= COST_MAX);
    enum err err = crypto_check_password(crypto, password);
    if (err != ERR_OK) {
        return err;
    }
    crypto->ops->random(crypto, salt, sizeof(salt));
    const char *made =
        crypt_gensalt_rn("$2b$", (unsigned long)cost, salt, sizeof(salt),
                         setting, (int)sizeof(setting));
    if (made == NULL || !hash_with(setting, password, hash)) {
        return err_set(ERR_UNSUPPORTED,
                       "this machine's libcrypt has no bcrypt");
    }
    hash[2] = 'a';
    CHECK(is_hash(slice_of(hash, sizeof(hash))));
    buf_append(out, hash, sizeof(hash));
    return ERR_OK;
}

bool crypto__password_matches(struct crypto *crypto, struct slice hash,
                              struct slice password)
{
    char setting[SETTING_BYTES + 1];
    char own[HASH_BYTES];
    (void)crypto;
    /* As many as bcrypt looks at, without a NUL: it would look at no more. */
    if (!is_hash(hash) || password.size > CRYPTO_PASSWORD_BYTES_MAX ||
        slice_find(password, '\0') >= 0) {
        return false;
    }
    memcpy(setting, hash.at, SETTING_BYTES);
    setting[2] = 'b';
    setting[SETTING_BYTES] = '\0';
    if (!hash_with(setting, password, own)) {
        return false;
    }
    bool matches = crypto__equal(own + SETTING_BYTES, hash.at + SETTING_BYTES,
                                 HASH_BYTES - SETTING_BYTES);
    explicit_bzero(own, sizeof(own));
    return matches;
}
