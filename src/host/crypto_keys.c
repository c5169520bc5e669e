/* Keys and signatures, as RFC 7518 (section 3) and RFC 8037 have them.
 *
 * A key is for ONE way to sign, and is looked at when it is read: RSA with
 * 2048 bits at least, the curve that the way asks for, a secret as long as its
 * hash. What OpenSSL notes down of a failure is cleared here: whoever uses it
 * next on this thread would take it for theirs.
 */
#include "base/check.h"
#include "base/mem.h"
#include "host/crypto_int.h"
#include "host/late_crypto.h"

enum {
    RSA_BITS_MIN = 2048,
    /* Verifying takes time by the square of it. */
    RSA_BITS_MAX = 16384,
    SECRET_BYTES_MAX = 64 * 1024,
    DIGEST_BYTES_MAX = 64,
    /* Two integers of P-521 with their tags and lengths are 139. */
    DER_BYTES_MAX = 160,
    COORDINATE_BYTES_MAX = 66,
};

enum family { FAMILY_RSA, FAMILY_PSS, FAMILY_EC, FAMILY_ED, FAMILY_SECRET };

struct way {
    enum family family;
    int hash_bits;
    const char *curve;
    size_t coordinate_bytes;
};

static const struct way ways[CRYPTO_SIGN_COUNT] = {
    [CRYPTO_RS256] = {FAMILY_RSA, 256, NULL, 0},
    [CRYPTO_RS384] = {FAMILY_RSA, 384, NULL, 0},
    [CRYPTO_RS512] = {FAMILY_RSA, 512, NULL, 0},
    [CRYPTO_PS256] = {FAMILY_PSS, 256, NULL, 0},
    [CRYPTO_PS384] = {FAMILY_PSS, 384, NULL, 0},
    [CRYPTO_PS512] = {FAMILY_PSS, 512, NULL, 0},
    [CRYPTO_ES256] = {FAMILY_EC, 256, "prime256v1", 32},
    [CRYPTO_ES384] = {FAMILY_EC, 384, "secp384r1", 48},
    [CRYPTO_ES512] = {FAMILY_EC, 512, "secp521r1", 66},
    [CRYPTO_EDDSA] = {FAMILY_ED, 0, NULL, 0},
    [CRYPTO_HS256] = {FAMILY_SECRET, 256, NULL, 0},
    [CRYPTO_HS384] = {FAMILY_SECRET, 384, NULL, 0},
    [CRYPTO_HS512] = {FAMILY_SECRET, 512, NULL, 0},
};

struct crypto_key {
    EVP_PKEY *pkey;
    const struct way *way;
    bool is_private;
};

/* ---- reading ------------------------------------------------------------- */

/* An encrypted key: nobody is asked for its password. */
static int no_password(char *out, int size, int is_writing, void *context)
{
    (void)out;
    (void)size;
    (void)is_writing;
    (void)context;
    return -1;
}

static bool has_text(struct slice pem, const char *text)
{
    return memmem(pem.at, pem.size, text, strlen(text)) != NULL;
}

static EVP_PKEY *read_certificate(BIO *bio)
{
    X509 *certificate = PEM_read_bio_X509(bio, NULL, no_password, NULL);
    EVP_PKEY *pkey = NULL;
    if (certificate != NULL) {
        pkey = X509_get_pubkey(certificate);
        X509_free(certificate);
    }
    return pkey;
}

static enum err read_pem(struct slice pem, bool is_private, EVP_PKEY **out)
{
    *out = NULL;
    if (pem.size == 0 || pem.size > SECRET_BYTES_MAX) {
        return err_set(ERR_INVALID, "a PEM file was expected");
    }
    BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.size);
    CHECK(bio != NULL);
    *out = is_private ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL)
           : has_text(pem, "-----BEGIN CERTIFICATE-----")
               ? read_certificate(bio)
               : PEM_read_bio_PUBKEY(bio, NULL, no_password, NULL);
    BIO_free(bio);
    if (*out != NULL) {
        return ERR_OK;
    }
    return err_set(
        ERR_INVALID, "no %s key in PEM form%s",
        is_private ? "private" : "public",
        has_text(pem, "ENCRYPTED") ? " (encrypted ones can't be used)" : "");
}

/* A secret in which a public key was meant would be known to all. */
static enum err read_secret(const struct way *way, struct slice bytes,
                            EVP_PKEY **out)
{
    *out = NULL;
    if (has_text(bytes, "-----BEGIN ")) {
        return err_set(ERR_INVALID, "a PEM file is no shared secret");
    }
    if (bytes.size < (size_t)way->hash_bits / 8 ||
        bytes.size > SECRET_BYTES_MAX) {
        return err_set(ERR_INVALID, "a shared secret has %d bytes at least",
                       way->hash_bits / 8);
    }
    *out = EVP_PKEY_new_raw_private_key(
        EVP_PKEY_HMAC, NULL, (const unsigned char *)bytes.at, bytes.size);
    CHECK(*out != NULL);
    return ERR_OK;
}

static enum err check_rsa(EVP_PKEY *pkey)
{
    int bits = EVP_PKEY_get_bits(pkey);
    if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_RSA) {
        return err_set(ERR_INVALID, "not an RSA key");
    }
    if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX) {
        return err_set(ERR_INVALID, "an RSA key has %d to %d bits, not %d",
                       RSA_BITS_MIN, RSA_BITS_MAX, bits);
    }
    return ERR_OK;
}

static enum err check_curve(EVP_PKEY *pkey, const char *curve)
{
    char name[64] = "";
    size_t size = 0;
    if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_EC ||
        EVP_PKEY_get_group_name(pkey, name, sizeof(name), &size) != 1 ||
        strcmp(name, curve) != 0) {
        return err_set(ERR_INVALID, "not a key of the curve %s", curve);
    }
    return ERR_OK;
}

static enum err check_key(const struct way *way, EVP_PKEY *pkey)
{
    switch (way->family) {
    case FAMILY_RSA:
    case FAMILY_PSS:
        return check_rsa(pkey);
    case FAMILY_EC:
        return check_curve(pkey, way->curve);
    case FAMILY_ED:
        return EVP_PKEY_get_base_id(pkey) == EVP_PKEY_ED25519
                   ? ERR_OK
                   : err_set(ERR_INVALID, "not an Ed25519 key");
    case FAMILY_SECRET:
        return ERR_OK;
    }
    UNREACHABLE();
}

enum err crypto__key_new(struct crypto *crypto, enum crypto_sign sign,
                         struct slice pem, bool is_private,
                         struct crypto_key **out)
{
    const struct way *way = &ways[sign];
    EVP_PKEY *pkey = NULL;
    (void)crypto;
    CHECK(sign < CRYPTO_SIGN_COUNT);
    *out = NULL;
    enum err err = late_load(LATE_CRYPTO);
    if (err != ERR_OK) {
        return err;
    }
    err = way->family == FAMILY_SECRET ? read_secret(way, pem, &pkey)
                                       : read_pem(pem, is_private, &pkey);
    if (err == ERR_OK) {
        err = check_key(way, pkey);
    }
    ERR_clear_error();
    if (err != ERR_OK) {
        EVP_PKEY_free(pkey);
        return err;
    }
    struct crypto_key *key = mem_alloc(sizeof(*key));
    *key = (struct crypto_key){
        .pkey = pkey,
        .way = way,
        .is_private = is_private || way->family == FAMILY_SECRET,
    };
    *out = key;
    return ERR_OK;
}

void crypto__key_free(struct crypto *crypto, struct crypto_key *key)
{
    (void)crypto;
    if (key != NULL) {
        EVP_PKEY_free(key->pkey);
        mem_free(key);
    }
}

/* ---- two integers, as they are and in DER -------------------------------- */

static bool append_plain(const struct way *way, const unsigned char *der,
                         size_t size, struct buf *out)
{
    size_t bytes = way->coordinate_bytes;
    unsigned char plain[2 * COORDINATE_BYTES_MAX];
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)size);
    if (pair == NULL) {
        return false;
    }
    bool good =
        BN_bn2binpad(ECDSA_SIG_get0_r(pair), plain, (int)bytes) >= 0 &&
        BN_bn2binpad(ECDSA_SIG_get0_s(pair), plain + bytes, (int)bytes) >= 0;
    ECDSA_SIG_free(pair);
    if (good) {
        buf_append(out, plain, 2 * bytes);
    }
    return good;
}

/* False: it hasn't their length. */
static bool to_der(const struct way *way, struct slice plain,
                   unsigned char der[DER_BYTES_MAX], size_t *size)
{
    int bytes = (int)way->coordinate_bytes;
    const unsigned char *at = (const unsigned char *)plain.at;
    if (plain.size != 2 * way->coordinate_bytes) {
        return false;
    }
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(at, bytes, NULL);
    BIGNUM *s = BN_bin2bn(at + bytes, bytes, NULL);
    CHECK(pair != NULL && r != NULL && s != NULL);
    CHECK_EQ(ECDSA_SIG_set0(pair, r, s), 1); /* which owns them now */
    int needed = i2d_ECDSA_SIG(pair, NULL);
    CHECK(needed > 0 && needed <= DER_BYTES_MAX);
    *size = (size_t)i2d_ECDSA_SIG(pair, &der);
    ECDSA_SIG_free(pair);
    return true;
}

/* ---- signatures ---------------------------------------------------------- */

static const EVP_MD *hash_of(const struct way *way)
{
    return way->hash_bits == 256   ? EVP_sha256()
           : way->hash_bits == 384 ? EVP_sha384()
           : way->hash_bits == 512 ? EVP_sha512()
                                   : NULL; /* Ed25519 has its own */
}

/* The salt is as long as the hash; old tokens of etcd's have the longest that
 * there is room for, and so that is taken, too. */
static bool set_padding(const struct way *way, EVP_PKEY_CTX *context,
                        bool is_signing)
{
    if (way->family != FAMILY_PSS) {
        return true;
    }
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(
               context,
               is_signing ? RSA_PSS_SALTLEN_DIGEST : RSA_PSS_SALTLEN_AUTO) == 1;
}

static bool begin(EVP_MD_CTX *context, const struct crypto_key *key,
                  bool is_signing)
{
    EVP_PKEY_CTX *more = NULL; /* the other's */
    int good = is_signing
                   ? EVP_DigestSignInit(context, &more, hash_of(key->way), NULL,
                                        key->pkey)
                   : EVP_DigestVerifyInit(context, &more, hash_of(key->way),
                                          NULL, key->pkey);
    return good == 1 && set_padding(key->way, more, is_signing);
}

static bool sign_into(const struct crypto_key *key, struct slice text,
                      struct buf *out)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const unsigned char *at = (const unsigned char *)text.at;
    size_t size = 0;
    CHECK(context != NULL);
    bool good = begin(context, key, true) &&
                EVP_DigestSign(context, NULL, &size, at, text.size) == 1;
    if (good) {
        buf_reserve(out, size);
        good = EVP_DigestSign(context, (unsigned char *)out->at + out->size,
                              &size, at, text.size) == 1;
    }
    if (good) {
        out->size += size;
    }
    EVP_MD_CTX_free(context);
    return good;
}

enum err crypto__sign(struct crypto *crypto, const struct crypto_key *key,
                      struct slice text, struct buf *out)
{
    struct buf der = {0};
    bool is_ec = key->way->family == FAMILY_EC;
    (void)crypto;
    CHECK(key->is_private);
    bool good = sign_into(key, text, is_ec ? &der : out);
    if (good && is_ec) {
        good = append_plain(key->way, (const unsigned char *)der.at, der.size,
                            out);
    }
    buf_deinit(&der);
    ERR_clear_error();
    return good ? ERR_OK : err_set(ERR_IO, "the crypto library can't sign");
}

static bool verify_secret(struct crypto *crypto, const struct crypto_key *key,
                          struct slice text, struct slice signature)
{
    struct buf own = {0};
    bool good = crypto__sign(crypto, key, text, &own) == ERR_OK &&
                own.size == signature.size &&
                crypto__equal(own.at, signature.at, own.size);
    buf_deinit(&own);
    return good;
}

bool crypto__verify(struct crypto *crypto, const struct crypto_key *key,
                    struct slice text, struct slice signature)
{
    unsigned char der[DER_BYTES_MAX];
    const unsigned char *at = (const unsigned char *)signature.at;
    size_t size = signature.size;
    if (key->way->family == FAMILY_SECRET) {
        return verify_secret(crypto, key, text, signature);
    }
    if (key->way->family == FAMILY_EC) {
        if (!to_der(key->way, signature, der, &size)) {
            return false;
        }
        at = der;
    }
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    CHECK(context != NULL);
    bool good =
        begin(context, key, false) &&
        EVP_DigestVerify(context, at, size, (const unsigned char *)text.at,
                         text.size) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return good;
}
