#include "host/secret_box.h"

#include <assert.h>
#include <sys/random.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/sha1.h"
#include "host/late_crypto.h"
#include "host/secret_file.h"

enum {
    FORM = 1,
    HEAD_BYTES = 2,
    NONCE_BYTES = 12,
    TAG_BYTES = 16,
    TEXT_BYTES_MAX = 1 << 20, /* far more than a secret; fits an int */
};

static_assert(HEAD_BYTES + NONCE_BYTES + TAG_BYTES == SECRET_BOX_BYTES_MORE,
              "what sealing adds");

struct secret_key {
    unsigned char id;
    unsigned char bytes[SECRET_BOX_KEY_BYTES];
};

struct secret_box {
    struct secret_key keys[SECRET_BOX_KEYS_MAX];
    size_t count;
};

/* ---- keys --------------------------------------------------------------- */

static int digit_of(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool read_key(struct slice line, struct secret_key *key)
{
    unsigned char hash[SHA1_BYTES];
    if (line.size != 2 * SECRET_BOX_KEY_BYTES) {
        return false;
    }
    for (size_t i = 0; i < SECRET_BOX_KEY_BYTES; i++) {
        int high = digit_of(line.at[2 * i]);
        int low = digit_of(line.at[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        key->bytes[i] = (unsigned char)(high << 4 | low);
    }
    sha1(slice_of(key->bytes, sizeof(key->bytes)), hash);
    key->id = hash[0];
    return true;
}

static struct slice trim(struct slice text)
{
    while (text.size > 0 && memchr(" \t\r", text.at[0], 3) != NULL) {
        text = slice_of(text.at + 1, text.size - 1);
    }
    while (text.size > 0 &&
           memchr(" \t\r", text.at[text.size - 1], 3) != NULL) {
        text.size--;
    }
    return text;
}

static enum err add_line(struct secret_box *box, struct slice line, int number)
{
    line = trim(line);
    if (line.size == 0 || line.at[0] == '#') {
        return ERR_OK;
    }
    if (box->count == SECRET_BOX_KEYS_MAX) {
        return err_set(ERR_INVALID, "line %d: more than %d keys", number,
                       SECRET_BOX_KEYS_MAX);
    }
    if (!read_key(line, &box->keys[box->count])) {
        return err_set(ERR_INVALID,
                       "line %d: a key is %d hex digits, as `openssl rand -hex "
                       "%d` writes them",
                       number, 2 * SECRET_BOX_KEY_BYTES, SECRET_BOX_KEY_BYTES);
    }
    box->count++;
    return ERR_OK;
}

enum err secret_box_new(struct slice lines, struct secret_box **out)
{
    struct secret_box *box = mem_alloc_zero(sizeof(*box));
    enum err err = ERR_OK;
    *out = NULL;
    for (int number = 1; err == ERR_OK && lines.size > 0; number++) {
        ptrdiff_t end = slice_find(lines, '\n');
        size_t size = end < 0 ? lines.size : (size_t)end;
        err = add_line(box, slice_of(lines.at, size), number);
        size += end < 0 ? 0 : 1;
        lines = slice_of(lines.at + size, lines.size - size);
    }
    if (err == ERR_OK && box->count == 0) {
        err = err_set(ERR_INVALID, "there is no key in it");
    }
    if (err != ERR_OK) {
        secret_box_free(box);
        return err;
    }
    *out = box;
    return ERR_OK;
}

void secret_box_free(struct secret_box *box)
{
    if (box == NULL) {
        return;
    }
    explicit_bzero(box, sizeof(*box));
    mem_free(box);
}

enum err secret_box_open(const char *path, struct secret_box **out)
{
    struct buf lines = {0};
    *out = NULL;
    enum err err = secret_file_read(path, &lines);
    if (err == ERR_OK) {
        err = secret_box_new(buf_slice(&lines), out);
        err = err_wrap(err, "%s", path);
    }
    secret_wipe(&lines);
    return err;
}

/* ---- sealing ------------------------------------------------------------ */

static enum err check_box(const struct secret_box *box)
{
    if (box == NULL) {
        return err_set(ERR_UNSUPPORTED,
                       "secrets need a key: make one with `openssl rand -hex "
                       "32 > key`, and start every server with "
                       "--recipes-secret-key-file=key");
    }
    return late_load(LATE_CRYPTO);
}

/* A cipher with key, nonce, and what is bound to the text: bytes 0 and 1, and
 * the name. It fails only where the library can't. */
static EVP_CIPHER_CTX *begin(const struct secret_key *key, bool is_sealing,
                             const unsigned char *head,
                             const unsigned char *nonce, struct slice name)
{
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    int size = 0;
    CHECK(cipher != NULL);
    CHECK_LE(name.size, TEXT_BYTES_MAX);
    int (*init)(EVP_CIPHER_CTX *, const EVP_CIPHER *, ENGINE *,
                const unsigned char *, const unsigned char *) =
        is_sealing ? EVP_EncryptInit_ex : EVP_DecryptInit_ex;
    int (*update)(EVP_CIPHER_CTX *, unsigned char *, int *,
                  const unsigned char *, int) =
        is_sealing ? EVP_EncryptUpdate : EVP_DecryptUpdate;
    /* Of GCM the nonce has 12 bytes unless said otherwise. */
    CHECK_EQ(init(cipher, EVP_aes_256_gcm(), NULL, key->bytes, nonce), 1);
    CHECK_EQ(update(cipher, NULL, &size, head, HEAD_BYTES), 1);
    if (name.size > 0) {
        CHECK_EQ(update(cipher, NULL, &size, (const unsigned char *)name.at,
                        (int)name.size),
                 1);
    }
    return cipher;
}

static void make_nonce(unsigned char nonce[NONCE_BYTES])
{
    ssize_t got = getrandom(nonce, NONCE_BYTES, 0);
    CHECK_EQ(got, NONCE_BYTES); /* so few bytes come whole */
}

enum err secret_box_seal(const struct secret_box *box, struct slice name,
                         struct slice text, struct buf *out)
{
    int size = 0;
    enum err err = check_box(box);
    if (err != ERR_OK) {
        return err;
    }
    if (text.size > TEXT_BYTES_MAX || name.size > TEXT_BYTES_MAX) {
        return err_set(ERR_TOO_LARGE, "a secret has at most %d bytes",
                       TEXT_BYTES_MAX);
    }
    const struct secret_key *key = &box->keys[0];
    unsigned char *at =
        (unsigned char *)buf_extend(out, text.size + SECRET_BOX_BYTES_MORE);
    unsigned char *nonce = at + HEAD_BYTES;
    unsigned char *body = nonce + NONCE_BYTES;
    at[0] = FORM;
    at[1] = key->id;
    make_nonce(nonce);
    EVP_CIPHER_CTX *cipher = begin(key, true, at, nonce, name);
    if (text.size > 0) {
        CHECK_EQ(EVP_EncryptUpdate(cipher, body, &size,
                                   (const unsigned char *)text.at,
                                   (int)text.size),
                 1);
        CHECK_EQ((size_t)size, text.size);
    }
    CHECK_EQ(EVP_EncryptFinal_ex(cipher, body + text.size, &size), 1);
    CHECK_EQ(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, TAG_BYTES,
                                 body + text.size),
             1);
    EVP_CIPHER_CTX_free(cipher);
    return ERR_OK;
}

/* ---- opening ------------------------------------------------------------ */

/* Appends what was sealed, if it was with this key, for this name. */
static bool try_key(const struct secret_key *key, struct slice name,
                    struct slice sealed, struct buf *out)
{
    const unsigned char *at = (const unsigned char *)sealed.at;
    const unsigned char *nonce = at + HEAD_BYTES;
    const unsigned char *body = nonce + NONCE_BYTES;
    size_t body_size = sealed.size - SECRET_BOX_BYTES_MORE;
    unsigned char tag[TAG_BYTES];
    unsigned char rest[TAG_BYTES];
    size_t before = out->size;
    int size = 0;
    memcpy(tag, body + body_size, TAG_BYTES);
    EVP_CIPHER_CTX *cipher = begin(key, false, at, nonce, name);
    unsigned char *text = (unsigned char *)buf_extend(out, body_size);
    if (body_size > 0) {
        CHECK_EQ(EVP_DecryptUpdate(cipher, text, &size, body, (int)body_size),
                 1);
    }
    CHECK_EQ(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag),
             1);
    bool is_whole = EVP_DecryptFinal_ex(cipher, rest, &size) == 1;
    EVP_CIPHER_CTX_free(cipher);
    if (!is_whole) {
        explicit_bzero(text, body_size);
        out->size = before;
    }
    return is_whole;
}

enum err secret_box_unseal(const struct secret_box *box, struct slice name,
                           struct slice sealed, struct buf *out)
{
    bool has_key = false;
    enum err err = check_box(box);
    if (err != ERR_OK) {
        return err;
    }
    if (sealed.size < SECRET_BOX_BYTES_MORE || sealed.at[0] != FORM ||
        sealed.size > TEXT_BYTES_MAX + SECRET_BOX_BYTES_MORE) {
        return err_set(ERR_CORRUPT, "this is no sealed secret");
    }
    for (size_t i = 0; i < box->count; i++) {
        if (box->keys[i].id != (unsigned char)sealed.at[1]) {
            continue;
        }
        has_key = true;
        if (try_key(&box->keys[i], name, sealed, out)) {
            return ERR_OK;
        }
    }
    return has_key
               ? err_set(ERR_CORRUPT, "the secret was changed, or belongs "
                                      "to another name")
               : err_set(ERR_CORRUPT,
                         "the secret was sealed with a key that isn't among "
                         "those given here");
}
