#include "host/crypto_posix.h"

#include <assert.h>
#include <errno.h>
#include <sys/random.h>

#include "base/check.h"
#include "base/mem.h"
#include "host/crypto_int.h"
#include "host/sha256.h"

static_assert((int)SHA256_BYTES == (int)CRYPTO_SHA256_BYTES, "one digest");

bool crypto__equal(const void *a, const void *b, size_t size)
{
    const volatile unsigned char *x = a;
    const volatile unsigned char *y = b;
    unsigned differ = 0;
    for (size_t i = 0; i < size; i++) {
        differ |= (unsigned)(x[i] ^ y[i]);
    }
    return differ == 0;
}

/* It waits for the kernel's first entropy, after that it can't fail. */
static void random_bytes(struct crypto *crypto, void *out, size_t size)
{
    unsigned char *to = out;
    (void)crypto;
    while (size > 0) {
        ssize_t got = getrandom(to, size, 0);
        CHECK(got > 0 || (got < 0 && errno == EINTR));
        if (got > 0) {
            to += got;
            size -= (size_t)got;
        }
    }
}

static void digest(struct crypto *crypto, struct slice bytes,
                   unsigned char out[CRYPTO_SHA256_BYTES])
{
    (void)crypto;
    sha256(bytes, out);
}

static const struct crypto_ops ops = {
    .random = random_bytes,
    .sha256 = digest,
    .password_hash = crypto__password_hash,
    .password_matches = crypto__password_matches,
    .key_new = crypto__key_new,
    .key_free = crypto__key_free,
    .sign = crypto__sign,
    .verify = crypto__verify,
};

struct crypto *crypto_posix_new(size_t password_bytes_min)
{
    struct crypto *crypto = mem_alloc_zero(sizeof(*crypto));
    CHECK_LE(password_bytes_min, CRYPTO_PASSWORD_BYTES_MAX);
    crypto->ops = &ops;
    crypto->password_bytes_min = password_bytes_min;
    return crypto;
}

void crypto_posix_free(struct crypto *crypto)
{
    mem_free(crypto);
}
