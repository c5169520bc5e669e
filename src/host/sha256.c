#include "host/sha256.h"

#include <pthread.h>

#include "base/check.h"
#include "base/mem.h"
#include "host/late_crypto.h"

struct sha256 {
    EVP_MD_CTX *context;
};

/* The library only fails here where it isn't installed (it always is: packages
 * depend on it), has no memory, or was built without this hash. */
struct sha256 *sha256_new(void)
{
    struct sha256 *hash = mem_alloc(sizeof *hash);
    enum err err = late_load(LATE_CRYPTO);
    CHECK(err == ERR_OK);
    hash->context = EVP_MD_CTX_new();
    CHECK(hash->context != NULL);
    CHECK_EQ(EVP_DigestInit_ex(hash->context, EVP_sha256(), NULL), 1);
    return hash;
}

void sha256_add(struct sha256 *hash, struct slice bytes)
{
    if (bytes.size > 0)
        CHECK_EQ(EVP_DigestUpdate(hash->context, bytes.at, bytes.size), 1);
}

void sha256_end(struct sha256 *hash, unsigned char out[SHA256_BYTES])
{
    unsigned size = 0;
    CHECK_EQ(EVP_DigestFinal_ex(hash->context, out, &size), 1);
    CHECK_EQ(size, SHA256_BYTES);
    sha256_free(hash);
}

void sha256_free(struct sha256 *hash)
{
    if (hash == NULL)
        return;
    EVP_MD_CTX_free(hash->context);
    mem_free(hash);
}

/* ---- in one piece -------------------------------------------------------- */

/* Tokens are looked up by it with every request: a context that is ready for
 * the next, one a thread, takes a fifth of the time of a new one. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static EVP_MD *fetched;

static void free_context(void *context)
{
    EVP_MD_CTX_free(context);
}

static void prepare(void)
{
    enum err err = late_load(LATE_CRYPTO);
    CHECK(err == ERR_OK);
    fetched = EVP_MD_fetch(NULL, "SHA256", NULL);
    CHECK(fetched != NULL);
    CHECK_EQ(pthread_key_create(&key, free_context), 0);
}

static EVP_MD_CTX *own_context(void)
{
    CHECK_EQ(pthread_once(&once, prepare), 0);
    EVP_MD_CTX *context = pthread_getspecific(key);
    if (context == NULL) {
        context = EVP_MD_CTX_new();
        CHECK(context != NULL);
        CHECK_EQ(pthread_setspecific(key, context), 0);
    }
    return context;
}

void sha256(struct slice bytes, unsigned char out[SHA256_BYTES])
{
    EVP_MD_CTX *context = own_context();
    unsigned size = 0;
    CHECK_EQ(EVP_DigestInit_ex(context, fetched, NULL), 1);
    if (bytes.size > 0) {
        CHECK_EQ(EVP_DigestUpdate(context, bytes.at, bytes.size), 1);
    }
    CHECK_EQ(EVP_DigestFinal_ex(context, out, &size), 1);
    CHECK_EQ(size, SHA256_BYTES);
}
