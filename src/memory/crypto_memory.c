#include "memory/crypto_memory.h"

#include <stdatomic.h>

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"

enum {
    SALT_LETTERS = 22,
    HASH_LETTERS = 31,
    COST_MIN = 4,
    COST_MAX = 31,
    HEAD_BYTES = 7, /* "$2a$10$" */
    PASSWORD_HASH_BYTES = HEAD_BYTES + SALT_LETTERS + HASH_LETTERS,
};

struct crypto_memory {
    struct crypto crypto;
    uint64_t seed;
    atomic_uint_least64_t counter;
    atomic_uint_least64_t passwords;
};

struct crypto_key {
    bool is_private;
    enum crypto_sign sign;
    size_t size;
    char bytes[];
};

static struct crypto_memory *memory_of(struct crypto *crypto)
{
    return CONTAINER_OF(crypto, struct crypto_memory, crypto);
}

static void random_bytes(struct crypto *crypto, void *out, size_t size)
{
    struct crypto_memory *memory = memory_of(crypto);
    unsigned char *to = out;
    while (size > 0) {
        uint64_t turn = atomic_fetch_add(&memory->counter, 1);
        uint64_t bits = slice_hash(slice_of(&turn, 8), memory->seed);
        size_t part = size < sizeof(bits) ? size : sizeof(bits);
        memcpy(to, &bits, part);
        to += part;
        size -= part;
    }
}

static void digest(struct crypto *crypto, struct slice bytes,
                   unsigned char out[CRYPTO_SHA256_BYTES])
{
    (void)crypto;
    for (size_t i = 0; i < CRYPTO_SHA256_BYTES / 8; i++) {
        put_le64(out + 8 * i, slice_hash(bytes, i + 1));
    }
}

/* ---- passwords ----------------------------------------------------------- */

static void append_letters(const unsigned char *bytes, size_t count,
                           struct buf *out)
{
    static const char letters[] = "./ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz0123456789";
    for (size_t i = 0; i < count; i++) {
        buf_append_char(out, letters[bytes[i] & 63]);
    }
}

/* The head with cost and salt is in `out`. */
static void append_hash(struct crypto *crypto, struct slice password,
                        struct buf *out)
{
    unsigned char bytes[CRYPTO_SHA256_BYTES];
    struct buf text = {0};
    buf_append_slice(&text, buf_slice(out));
    buf_append_slice(&text, password);
    digest(crypto, buf_slice(&text), bytes);
    buf_deinit(&text);
    append_letters(bytes, HASH_LETTERS, out);
}

static enum err password_hash(struct crypto *crypto, struct slice password,
                              int cost, struct buf *out)
{
    unsigned char salt[SALT_LETTERS];
    struct buf hash = {0};
    CHECK(cost >= COST_MIN && cost <= COST_MAX);
    enum err err = crypto_check_password(crypto, password);
    if (err != ERR_OK) {
        return err;
    }
    atomic_fetch_add(&memory_of(crypto)->passwords, 1);
    random_bytes(crypto, salt, sizeof(salt));
    buf_printf(&hash, "$2a$%02d$", cost);
    append_letters(salt, SALT_LETTERS, &hash);
    append_hash(crypto, password, &hash);
    CHECK_EQ(hash.size, PASSWORD_HASH_BYTES);
    buf_append_slice(out, buf_slice(&hash));
    buf_deinit(&hash);
    return ERR_OK;
}

static bool password_matches(struct crypto *crypto, struct slice hash,
                             struct slice password)
{
    struct buf own = {0};
    atomic_fetch_add(&memory_of(crypto)->passwords, 1);
    if (hash.size != PASSWORD_HASH_BYTES ||
        password.size > CRYPTO_PASSWORD_BYTES_MAX) {
        return false;
    }
    buf_append(&own, hash.at, HEAD_BYTES + SALT_LETTERS);
    append_hash(crypto, password, &own);
    bool matches = slice_eq(buf_slice(&own), hash);
    buf_deinit(&own);
    return matches;
}

/* ---- signatures ---------------------------------------------------------- */

static enum err key_new(struct crypto *crypto, enum crypto_sign sign,
                        struct slice pem, bool is_private,
                        struct crypto_key **out)
{
    (void)crypto;
    *out = NULL;
    if (pem.size == 0) {
        return err_set(ERR_INVALID, "an empty key");
    }
    struct crypto_key *key = mem_alloc(sizeof(*key) + pem.size);
    *key = (struct crypto_key){
        .is_private = is_private, .sign = sign, .size = pem.size};
    memcpy(key->bytes, pem.at, pem.size);
    *out = key;
    return ERR_OK;
}

static void key_free(struct crypto *crypto, struct crypto_key *key)
{
    (void)crypto;
    mem_free(key);
}

static void sign_with(struct crypto *crypto, const struct crypto_key *key,
                      struct slice text, unsigned char out[CRYPTO_SHA256_BYTES])
{
    struct buf whole = {0};
    buf_append_char(&whole, (char)key->sign);
    buf_append(&whole, key->bytes, key->size);
    buf_append_slice(&whole, text);
    digest(crypto, buf_slice(&whole), out);
    buf_deinit(&whole);
}

static enum err sign_text(struct crypto *crypto, const struct crypto_key *key,
                          struct slice text, struct buf *out)
{
    unsigned char signature[CRYPTO_SHA256_BYTES];
    CHECK(key->is_private);
    sign_with(crypto, key, text, signature);
    buf_append(out, signature, sizeof(signature));
    return ERR_OK;
}

static bool verify(struct crypto *crypto, const struct crypto_key *key,
                   struct slice text, struct slice signature)
{
    unsigned char own[CRYPTO_SHA256_BYTES];
    sign_with(crypto, key, text, own);
    return slice_eq(slice_of(own, sizeof(own)), signature);
}

static const struct crypto_ops ops = {
    .random = random_bytes,
    .sha256 = digest,
    .password_hash = password_hash,
    .password_matches = password_matches,
    .key_new = key_new,
    .key_free = key_free,
    .sign = sign_text,
    .verify = verify,
};

struct crypto *crypto_memory_new(uint64_t seed)
{
    struct crypto_memory *memory = mem_alloc_zero(sizeof(*memory));
    memory->crypto.ops = &ops;
    memory->seed = seed;
    return &memory->crypto;
}

void crypto_memory_free(struct crypto *crypto)
{
    if (crypto != NULL) {
        mem_free(memory_of(crypto));
    }
}

uint64_t crypto_memory_passwords(struct crypto *crypto)
{
    return atomic_load(&memory_of(crypto)->passwords);
}
