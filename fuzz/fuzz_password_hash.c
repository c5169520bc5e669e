/* Hashes of passwords, as a snapshot or a client that brings its own may have
 * them. What comes is a hash, a zero, and a password: matched, or made into a
 * hash that it then matches. Costs above the least are only looked at where
 * the hash isn't one for another reason: they would take all of a fuzzer's
 * time.
 */
#include "base/check.h"
#include "base/mem.h"
#include "host/crypto_posix.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { COST = 4, HASH_BYTES = 60 };

/* "$2a$31$...": two hours. */
static void make_cheap(char *hash, size_t size)
{
    if (size == HASH_BYTES && hash[0] == '$' && hash[1] == '2' &&
        hash[4] >= '0' && hash[4] <= '3' && hash[5] >= '0' && hash[5] <= '9') {
        hash[4] = '0';
        hash[5] = '0' + COST;
    }
}

static void check_own(struct crypto *crypto, struct slice password)
{
    struct buf hash = {0};
    enum err err = crypto->ops->password_hash(crypto, password, COST, &hash);
    bool is_one = password.size > 0 &&
                  password.size <= CRYPTO_PASSWORD_BYTES_MAX &&
                  slice_find(password, '\0') < 0;
    CHECK_EQ(err == ERR_OK, is_one);
    CHECK_EQ(hash.size, is_one ? HASH_BYTES : 0);
    if (is_one) {
        CHECK(
            crypto->ops->password_matches(crypto, buf_slice(&hash), password));
    }
    buf_deinit(&hash);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size > 256)
        return 0;
    struct crypto *crypto = crypto_posix_new(1);
    struct slice all = slice_of(bytes, size);
    ptrdiff_t zero = slice_find(all, '\0');
    size_t head = zero < 0 ? size : (size_t)zero;
    size_t skip = zero < 0 ? size : head + 1;
    struct slice password = slice_of(all.at + skip, size - skip);
    char *hash = mem_alloc(head + 1);
    if (head > 0)
        memcpy(hash, bytes, head);
    make_cheap(hash, head);
    bool matches =
        crypto->ops->password_matches(crypto, slice_of(hash, head), password);
    CHECK(!matches || head == HASH_BYTES);
    check_own(crypto, password);
    mem_free(hash);
    crypto_posix_free(crypto);
    return 0;
}
