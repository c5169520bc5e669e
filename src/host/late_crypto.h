/* libcrypto, loaded late (host/late.h). */
#ifndef ETCHED_HOST_LATE_CRYPTO_H
#define ETCHED_HOST_LATE_CRYPTO_H

#include <openssl/evp.h>

#include "host/late.h"

#define LATE_CRYPTO_TABLE(X) \
    X(EVP_MD_CTX_new)        \
    X(EVP_MD_CTX_free)       \
    X(EVP_sha256)            \
    X(EVP_DigestInit_ex)     \
    X(EVP_DigestUpdate)      \
    X(EVP_DigestFinal_ex)    \
    X(EVP_aes_256_gcm)       \
    X(EVP_CIPHER_CTX_new)    \
    X(EVP_CIPHER_CTX_free)   \
    X(EVP_CIPHER_CTX_ctrl)   \
    X(EVP_EncryptInit_ex)    \
    X(EVP_EncryptUpdate)     \
    X(EVP_EncryptFinal_ex)   \
    X(EVP_DecryptInit_ex)    \
    X(EVP_DecryptUpdate)     \
    X(EVP_DecryptFinal_ex)

struct late_crypto {
#define X(name) __typeof__(&name) name;
    LATE_CRYPTO_TABLE(X)
#undef X
};
extern struct late_crypto late_crypto;

#ifndef LATE_OWN
#define EVP_MD_CTX_new late_crypto.EVP_MD_CTX_new
#define EVP_MD_CTX_free late_crypto.EVP_MD_CTX_free
#define EVP_sha256 late_crypto.EVP_sha256
#define EVP_DigestInit_ex late_crypto.EVP_DigestInit_ex
#define EVP_DigestUpdate late_crypto.EVP_DigestUpdate
#define EVP_DigestFinal_ex late_crypto.EVP_DigestFinal_ex
#define EVP_aes_256_gcm late_crypto.EVP_aes_256_gcm
#define EVP_CIPHER_CTX_new late_crypto.EVP_CIPHER_CTX_new
#define EVP_CIPHER_CTX_free late_crypto.EVP_CIPHER_CTX_free
#define EVP_CIPHER_CTX_ctrl late_crypto.EVP_CIPHER_CTX_ctrl
#define EVP_EncryptInit_ex late_crypto.EVP_EncryptInit_ex
#define EVP_EncryptUpdate late_crypto.EVP_EncryptUpdate
#define EVP_EncryptFinal_ex late_crypto.EVP_EncryptFinal_ex
#define EVP_DecryptInit_ex late_crypto.EVP_DecryptInit_ex
#define EVP_DecryptUpdate late_crypto.EVP_DecryptUpdate
#define EVP_DecryptFinal_ex late_crypto.EVP_DecryptFinal_ex
#endif

#endif
