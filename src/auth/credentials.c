/* Entries in the order in which they were added, which is that in which they
 * end: each lives as long as the others. */
#include "auth/credentials.h"

#include "base/check.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

enum {
    MS_NS = 1000 * 1000,
    SECRET_BYTES = 32,
    /* The secret, three lengths, and three texts. */
    TEXT_BYTES_MAX = SECRET_BYTES + 3 * 8 + AUTH_NAME_BYTES_MAX +
                     CRYPTO_PASSWORD_BYTES_MAX + CRYPTO_PASSWORD_HASH_BYTES_MAX,
};

struct known {
    struct list link;
    int64_t ends_ns; /* monotonic */
    unsigned char digest[CRYPTO_SHA256_BYTES];
};

struct auth_credentials {
    struct crypto *crypto;
    struct clock *clock;
    struct lock *lock;
    unsigned char secret[SECRET_BYTES];
    /* Under the lock: */
    struct map by_digest;
    struct list oldest_first;
};

static struct slice digest_of_known(const void *value)
{
    const struct known *known = value;
    return slice_of(known->digest, sizeof(known->digest));
}

struct auth_credentials *auth_credentials_new(struct crypto *crypto,
                                              struct clock *clock,
                                              struct lock *lock)
{
    struct auth_credentials *credentials = mem_alloc_zero(sizeof(*credentials));
    uint64_t seed;
    CHECK(crypto != NULL && clock != NULL && lock != NULL);
    credentials->crypto = crypto;
    credentials->clock = clock;
    credentials->lock = lock;
    crypto->ops->random(crypto, credentials->secret, SECRET_BYTES);
    crypto->ops->random(crypto, &seed, sizeof(seed));
    map_init(&credentials->by_digest, digest_of_known, seed);
    list_init(&credentials->oldest_first);
    return credentials;
}

static void forget(struct auth_credentials *credentials, struct known *known)
{
    void *removed = map_remove(&credentials->by_digest, digest_of_known(known));
    CHECK(removed == known);
    list_remove(&known->link);
    mem_free(known);
}

void auth_credentials_free(struct auth_credentials *credentials)
{
    if (credentials == NULL) {
        return;
    }
    LIST_EACH (node, &credentials->oldest_first) {
        forget(credentials, CONTAINER_OF(node, struct known, link));
    }
    map_deinit(&credentials->by_digest);
    explicit_bzero(credentials->secret, SECRET_BYTES);
    mem_free(credentials);
}

/* ---- the digest ---------------------------------------------------------- */

static char *append(char *at, struct slice part)
{
    put_le64(at, part.size);
    if (part.size > 0) {
        memcpy(at + 8, part.at, part.size);
    }
    return at + 8 + part.size;
}

/* False: nobody's, it is too long. */
static bool digest_of(const struct auth_credentials *credentials,
                      struct slice user, struct slice password,
                      struct slice hash, unsigned char out[CRYPTO_SHA256_BYTES])
{
    struct crypto *crypto = credentials->crypto;
    char text[TEXT_BYTES_MAX];
    if (user.size > AUTH_NAME_BYTES_MAX ||
        password.size > CRYPTO_PASSWORD_BYTES_MAX || hash.size == 0 ||
        hash.size > CRYPTO_PASSWORD_HASH_BYTES_MAX) {
        return false;
    }
    memcpy(text, credentials->secret, SECRET_BYTES);
    char *end = append(text + SECRET_BYTES, user);
    end = append(end, password);
    end = append(end, hash);
    CHECK_LE(end - text, TEXT_BYTES_MAX);
    crypto->ops->sha256(crypto, slice_of(text, (size_t)(end - text)), out);
    explicit_bzero(text, sizeof(text));
    return true;
}

/* ---- what is known ------------------------------------------------------- */

bool auth_credentials_know(struct auth_credentials *credentials,
                           struct slice user, struct slice password,
                           struct slice hash)
{
    unsigned char digest[CRYPTO_SHA256_BYTES];
    if (!digest_of(credentials, user, password, hash, digest)) {
        return false;
    }
    int64_t now_ns = clock_monotonic_ns(credentials->clock);
    lock_read(credentials->lock);
    const struct known *known =
        map_get(&credentials->by_digest, slice_of(digest, sizeof(digest)));
    bool found = known != NULL && known->ends_ns > now_ns;
    unlock_read(credentials->lock);
    return found;
}

/* Needs: the write lock. */
static void make_room(struct auth_credentials *credentials, int64_t now_ns)
{
    struct list *oldest;
    while ((oldest = list_first(&credentials->oldest_first)) != NULL) {
        struct known *known = CONTAINER_OF(oldest, struct known, link);
        if (known->ends_ns > now_ns &&
            credentials->by_digest.count < AUTH_CREDENTIALS_MAX) {
            return;
        }
        forget(credentials, known);
    }
}

void auth_credentials_add(struct auth_credentials *credentials,
                          struct slice user, struct slice password,
                          struct slice hash)
{
    unsigned char digest[CRYPTO_SHA256_BYTES];
    if (!digest_of(credentials, user, password, hash, digest)) {
        return;
    }
    lock_write(credentials->lock);
    /* Its place is with the others of now: behind them. */
    int64_t now_ns = clock_monotonic_ns(credentials->clock);
    struct known *known =
        map_get(&credentials->by_digest, slice_of(digest, sizeof(digest)));
    if (known != NULL) {
        forget(credentials, known);
    }
    make_room(credentials, now_ns);
    known = mem_alloc(sizeof(*known));
    known->ends_ns = now_ns + (int64_t)AUTH_CREDENTIALS_MS * MS_NS;
    memcpy(known->digest, digest, sizeof(digest));
    list_push_back(&credentials->oldest_first, &known->link);
    (void)map_put(&credentials->by_digest, known);
    unlock_write(credentials->lock);
}
