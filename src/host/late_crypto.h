/* libcrypto, loaded late (host/late.h). */
#ifndef ETCHED_HOST_LATE_CRYPTO_H
#define ETCHED_HOST_LATE_CRYPTO_H

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "host/late.h"

#define LATE_CRYPTO_TABLE(X)            \
    X(EVP_MD_CTX_new)                   \
    X(EVP_MD_CTX_free)                  \
    X(EVP_sha256)                       \
    X(EVP_DigestInit_ex)                \
    X(EVP_DigestUpdate)                 \
    X(EVP_DigestFinal_ex)               \
    X(EVP_aes_256_gcm)                  \
    X(EVP_CIPHER_CTX_new)               \
    X(EVP_CIPHER_CTX_free)              \
    X(EVP_CIPHER_CTX_ctrl)              \
    X(EVP_EncryptInit_ex)               \
    X(EVP_EncryptUpdate)                \
    X(EVP_EncryptFinal_ex)              \
    X(EVP_DecryptInit_ex)               \
    X(EVP_DecryptUpdate)                \
    X(EVP_DecryptFinal_ex)              \
    X(EVP_MD_fetch)                     \
    X(EVP_sha384)                       \
    X(EVP_sha512)                       \
    X(EVP_DigestSignInit)               \
    X(EVP_DigestSign)                   \
    X(EVP_DigestVerifyInit)             \
    X(EVP_DigestVerify)                 \
    X(EVP_PKEY_new_raw_private_key)     \
    X(EVP_PKEY_free)                    \
    X(EVP_PKEY_get_bits)                \
    X(EVP_PKEY_get_base_id)             \
    X(EVP_PKEY_get_group_name)          \
    X(EVP_PKEY_CTX_set_rsa_padding)     \
    X(EVP_PKEY_CTX_set_rsa_pss_saltlen) \
    X(BIO_new_mem_buf)                  \
    X(BIO_free)                         \
    X(PEM_read_bio_PrivateKey)          \
    X(PEM_read_bio_PUBKEY)              \
    X(PEM_read_bio_X509)                \
    X(X509_get_pubkey)                  \
    X(X509_free)                        \
    X(ECDSA_SIG_new)                    \
    X(ECDSA_SIG_free)                   \
    X(ECDSA_SIG_set0)                   \
    X(ECDSA_SIG_get0_r)                 \
    X(ECDSA_SIG_get0_s)                 \
    X(d2i_ECDSA_SIG)                    \
    X(i2d_ECDSA_SIG)                    \
    X(BN_bin2bn)                        \
    X(BN_bn2binpad)                     \
    X(ERR_clear_error)

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
#define EVP_MD_fetch late_crypto.EVP_MD_fetch
#define EVP_sha384 late_crypto.EVP_sha384
#define EVP_sha512 late_crypto.EVP_sha512
#define EVP_DigestSignInit late_crypto.EVP_DigestSignInit
#define EVP_DigestSign late_crypto.EVP_DigestSign
#define EVP_DigestVerifyInit late_crypto.EVP_DigestVerifyInit
#define EVP_DigestVerify late_crypto.EVP_DigestVerify
#define EVP_PKEY_new_raw_private_key late_crypto.EVP_PKEY_new_raw_private_key
#define EVP_PKEY_free late_crypto.EVP_PKEY_free
#define EVP_PKEY_get_bits late_crypto.EVP_PKEY_get_bits
#define EVP_PKEY_get_base_id late_crypto.EVP_PKEY_get_base_id
#define EVP_PKEY_get_group_name late_crypto.EVP_PKEY_get_group_name
#define EVP_PKEY_CTX_set_rsa_padding late_crypto.EVP_PKEY_CTX_set_rsa_padding
#define EVP_PKEY_CTX_set_rsa_pss_saltlen \
    late_crypto.EVP_PKEY_CTX_set_rsa_pss_saltlen
#define BIO_new_mem_buf late_crypto.BIO_new_mem_buf
#define BIO_free late_crypto.BIO_free
#define PEM_read_bio_PrivateKey late_crypto.PEM_read_bio_PrivateKey
#define PEM_read_bio_PUBKEY late_crypto.PEM_read_bio_PUBKEY
#define PEM_read_bio_X509 late_crypto.PEM_read_bio_X509
#define X509_get_pubkey late_crypto.X509_get_pubkey
#define X509_free late_crypto.X509_free
#define ECDSA_SIG_new late_crypto.ECDSA_SIG_new
#define ECDSA_SIG_free late_crypto.ECDSA_SIG_free
#define ECDSA_SIG_set0 late_crypto.ECDSA_SIG_set0
#define ECDSA_SIG_get0_r late_crypto.ECDSA_SIG_get0_r
#define ECDSA_SIG_get0_s late_crypto.ECDSA_SIG_get0_s
#define d2i_ECDSA_SIG late_crypto.d2i_ECDSA_SIG
#define i2d_ECDSA_SIG late_crypto.i2d_ECDSA_SIG
#define BN_bin2bn late_crypto.BN_bin2bn
#define BN_bn2binpad late_crypto.BN_bn2binpad
#define ERR_clear_error late_crypto.ERR_clear_error
#endif

#endif
