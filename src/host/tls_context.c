/* What one side of TLS has: made of files, and anew when they change. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/tls_int.h"

/* Forward secret, and authenticated as a whole: nothing else is offered. */
#define SUITES_1_3                                   \
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:" \
    "TLS_CHACHA20_POLY1305_SHA256"
#define SUITES_1_2                                               \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

static const char *const file_names[TLS__FILES] = {
    "the certificate", "the private key", "the trusted CA's certificates",
    "the list of revoked certificates"};

/* ---- suites -------------------------------------------------------------- */

struct suite {
    const char *go;      /* as etcd's --cipher-suites has it */
    const char *openssl; /* NULL: the same (TLS 1.3) */
};

static const struct suite suites[] = {
    {"TLS_AES_128_GCM_SHA256", NULL},
    {"TLS_AES_256_GCM_SHA384", NULL},
    {"TLS_CHACHA20_POLY1305_SHA256", NULL},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
     "ECDHE-ECDSA-AES128-GCM-SHA256"},
    {"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
     "ECDHE-ECDSA-AES256-GCM-SHA384"},
    {"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384"},
    {"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
     "ECDHE-ECDSA-CHACHA20-POLY1305"},
    {"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
     "ECDHE-RSA-CHACHA20-POLY1305"},
    {"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", "ECDHE-ECDSA-CHACHA20-POLY1305"},
    {"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"},
};

static const struct suite *find_suite(const char *name)
{
    for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
        if (strcmp(suites[i].go, name) == 0 ||
            (suites[i].openssl != NULL &&
             strcmp(suites[i].openssl, name) == 0)) {
            return &suites[i];
        }
    }
    return NULL;
}

static void add_suite(struct buf *list, const char *name)
{
    if (list->size > 0) {
        buf_append_char(list, ':');
    }
    buf_append_str(list, name);
}

static char *text_of(struct buf *list)
{
    buf_append_char(list, '\0');
    return list->at;
}

static enum err read_suites(struct tls_context *context,
                            const struct tls_options *options)
{
    struct buf new = {0};
    struct buf old = {0};
    for (size_t i = 0; i < options->cipher_suite_count; i++) {
        const struct suite *suite = find_suite(options->cipher_suites[i]);
        if (suite == NULL) {
            buf_deinit(&new);
            buf_deinit(&old);
            return err_set(ERR_INVALID,
                           "\"%.100s\" is no cipher suite that is forward "
                           "secret and authenticated; one of them is %s",
                           options->cipher_suites[i], suites[4].go);
        }
        if (suite->openssl == NULL) {
            add_suite(&new, suite->go);
        } else {
            add_suite(&old, suite->openssl);
        }
    }
    /* As in Go, 1.3's own suites aren't chosen by who names 1.2's. */
    if (new.size == 0) {
        buf_append_str(&new, SUITES_1_3);
    }
    if (old.size == 0) {
        buf_append_str(&old, SUITES_1_2);
    }
    context->suites_1_3 = text_of(&new);
    context->suites_1_2 = text_of(&old);
    return ERR_OK;
}

static bool read_version(const char *text, int none, int *out)
{
    if (text == NULL || text[0] == '\0') {
        *out = none;
    } else if (strcmp(text, "TLS1.2") == 0) {
        *out = TLS1_2_VERSION;
    } else if (strcmp(text, "TLS1.3") == 0) {
        *out = TLS1_3_VERSION;
    } else {
        return false;
    }
    return true;
}

static enum err read_versions(struct tls_context *context,
                              const struct tls_options *options)
{
    if (!read_version(options->min_version, TLS1_2_VERSION,
                      &context->min_version)) {
        return err_set(ERR_INVALID,
                       "\"%.40s\": the least version is TLS1.2 or TLS1.3",
                       options->min_version);
    }
    if (!read_version(options->max_version, TLS1_3_VERSION,
                      &context->max_version)) {
        return err_set(ERR_INVALID,
                       "\"%.40s\": the highest version is TLS1.2 or TLS1.3",
                       options->max_version);
    }
    if (context->min_version > context->max_version) {
        return err_set(ERR_INVALID,
                       "the least version of TLS is above the highest");
    }
    return ERR_OK;
}

/* ---- the options --------------------------------------------------------- */

static char *copy_text(const char *text)
{
    if (text == NULL || text[0] == '\0') {
        return NULL;
    }
    size_t size = strlen(text) + 1;
    char *copy = mem_alloc(size);
    memcpy(copy, text, size);
    return copy;
}

static char **copy_list(const char *const *at, size_t count)
{
    if (count == 0) {
        return NULL;
    }
    char **copy = mem_alloc_zero((count + 1) * sizeof(*copy));
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        char *text = copy_text(at[i]);
        if (text != NULL) {
            copy[kept++] = text;
        }
    }
    if (kept == 0) {
        mem_free(copy);
        return NULL;
    }
    return copy;
}

static void free_list(char **list)
{
    for (char **at = list; at != NULL && *at != NULL; at++) {
        mem_free(*at);
    }
    mem_free(list);
}

static void copy_alpn(struct tls_context *context,
                      const struct tls_options *options)
{
    for (size_t i = 0; i < options->alpn_count; i++) {
        size_t size = strlen(options->alpn[i]);
        CHECK(context->alpn_size + 1 + size <= sizeof(context->alpn));
        context->alpn[context->alpn_size++] = (char)size;
        memcpy(context->alpn + context->alpn_size, options->alpn[i], size);
        context->alpn_size += size;
    }
}

static void copy_options(struct tls_context *context,
                         const struct tls_options *options)
{
    context->side = options->side;
    context->files[TLS__CERT] = copy_text(options->cert_file);
    context->files[TLS__KEY] = copy_text(options->key_file);
    context->files[TLS__CA] = copy_text(options->ca_file);
    context->files[TLS__CRL] = copy_text(options->crl_file);
    context->cert_auth = options->cert_auth;
    context->skip_verify = options->skip_verify;
    context->allowed_cn =
        copy_list(options->allowed_cn, options->allowed_cn_count);
    context->allowed_hostname =
        copy_list(options->allowed_hostname, options->allowed_hostname_count);
    copy_alpn(context, options);
}

/* ---- OpenSSL's context --------------------------------------------------- */

static enum err bad_file(const struct tls_context *context, int file)
{
    enum err err =
        err_set(ERR_INVALID, "%s %s can't be used: %s", file_names[file],
                context->files[file], tls__library_error());
    ERR_clear_error();
    return err;
}

static enum err use_certificate(const struct tls_context *context, SSL_CTX *ctx)
{
    const char *cert = context->files[TLS__CERT];
    const char *key = context->files[TLS__KEY];
    if (cert == NULL) {
        return ERR_OK;
    }
    if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1) {
        return bad_file(context, TLS__CERT);
    }
    /* Not another certificate's either. */
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) {
        return bad_file(context, TLS__KEY);
    }
    return ERR_OK;
}

static enum err use_ca(const struct tls_context *context, SSL_CTX *ctx)
{
    const char *ca = context->files[TLS__CA];
    if (ca == NULL) {
        if (context->side == TLS_CLIENT) {
            (void)SSL_CTX_set_default_verify_paths(ctx);
        }
        return ERR_OK;
    }
    if (SSL_CTX_load_verify_file(ctx, ca) != 1) {
        return bad_file(context, TLS__CA);
    }
    if (context->side == TLS_SERVER && context->cert_auth) {
        STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(ca);
        if (names == NULL) {
            return bad_file(context, TLS__CA);
        }
        SSL_CTX_set_client_CA_list(ctx, names);
    }
    return ERR_OK;
}

static enum err use_crl(const struct tls_context *context, SSL_CTX *ctx)
{
    const char *crl = context->files[TLS__CRL];
    if (crl == NULL) {
        return ERR_OK;
    }
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
    if (lookup == NULL ||
        (X509_load_crl_file(lookup, crl, X509_FILETYPE_PEM) <= 0 &&
         X509_load_crl_file(lookup, crl, X509_FILETYPE_ASN1) <= 0)) {
        return bad_file(context, TLS__CRL);
    }
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
    return ERR_OK;
}

static int select_alpn(SSL *ssl, const unsigned char **out,
                       unsigned char *out_size, const unsigned char *offered,
                       unsigned size, void *argument)
{
    const struct tls_context *context = argument;
    unsigned char *chosen;
    (void)ssl;
    if (SSL_select_next_proto(&chosen, out_size,
                              (const unsigned char *)context->alpn,
                              (unsigned)context->alpn_size, offered,
                              size) != OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301, section 3.2 */
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static void use_alpn(struct tls_context *context, SSL_CTX *ctx)
{
    if (context->alpn_size == 0) {
        return;
    }
    if (context->side == TLS_SERVER) {
        SSL_CTX_set_alpn_select_cb(ctx, select_alpn, context);
    } else {
        CHECK_EQ(SSL_CTX_set_alpn_protos(ctx,
                                         (const unsigned char *)context->alpn,
                                         (unsigned)context->alpn_size),
                 0);
    }
}

static enum err set_up(struct tls_context *context, SSL_CTX *ctx)
{
    static const unsigned char session_context[] = "etched";
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_default_read_buffer_len(ctx, 2 * TLS__RECORD_BYTES);
    CHECK_EQ(SSL_CTX_set_session_id_context(ctx, session_context,
                                            sizeof(session_context)),
             1);
    if (SSL_CTX_set_min_proto_version(ctx, context->min_version) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, context->max_version) != 1 ||
        SSL_CTX_set_ciphersuites(ctx, context->suites_1_3) != 1 ||
        SSL_CTX_set_cipher_list(ctx, context->suites_1_2) != 1) {
        return err_set(ERR_UNSUPPORTED, "TLS: %s", tls__library_error());
    }
    use_alpn(context, ctx);
    tls__set_verify(context, ctx);
    enum err err = use_certificate(context, ctx);
    if (err == ERR_OK) {
        err = use_ca(context, ctx);
    }
    return err == ERR_OK ? use_crl(context, ctx) : err;
}

static enum err make(struct tls_context *context, SSL_CTX **out)
{
    ERR_clear_error();
    SSL_CTX *ctx =
        SSL_CTX_new(context->side == TLS_SERVER ? TLS_server_method()
                                                : TLS_client_method());
    CHECK(ctx != NULL);
    enum err err = set_up(context, ctx);
    ERR_clear_error();
    if (err != ERR_OK) {
        SSL_CTX_free(ctx);
        return err;
    }
    *out = ctx;
    return ERR_OK;
}

/* ---- the files ----------------------------------------------------------- */

static struct tls_stamp stamp_of(const char *path)
{
    struct stat status;
    if (path == NULL || stat(path, &status) != 0) {
        return (struct tls_stamp){0};
    }
    return (struct tls_stamp){.is_there = true,
                              .device = status.st_dev,
                              .inode = status.st_ino,
                              .size = status.st_size,
                              .changed = status.st_mtim};
}

static bool same_stamp(const struct tls_stamp *a, const struct tls_stamp *b)
{
    return a->is_there == b->is_there && a->device == b->device &&
           a->inode == b->inode && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec &&
           a->changed.tv_nsec == b->changed.tv_nsec;
}

static void take_stamps(const struct tls_context *context,
                        struct tls_stamp out[TLS__FILES])
{
    for (int i = 0; i < TLS__FILES; i++) {
        out[i] = stamp_of(context->files[i]);
    }
}

static enum err check_options(const struct tls_context *context)
{
    if ((context->files[TLS__CERT] == NULL) !=
        (context->files[TLS__KEY] == NULL)) {
        return err_set(ERR_INVALID, "a certificate needs its private key, and "
                                    "a key its certificate: only one is given");
    }
    if (context->side == TLS_SERVER && context->files[TLS__CERT] == NULL) {
        return err_set(ERR_INVALID, "https needs a certificate and its key");
    }
    if (context->side == TLS_SERVER && context->cert_auth &&
        context->files[TLS__CA] == NULL) {
        return err_set(ERR_INVALID, "to ask for certificates, a trusted CA is "
                                    "needed");
    }
    if (context->side == TLS_SERVER && !context->cert_auth &&
        (context->allowed_cn != NULL || context->allowed_hostname != NULL ||
         context->files[TLS__CRL] != NULL)) {
        return err_set(ERR_INVALID,
                       "allowed names and a list of revoked certificates "
                       "mean nothing where no certificate is asked for; a "
                       "trusted CA is needed");
    }
    for (int i = 0; i < TLS__FILES; i++) {
        struct stat status;
        if (context->files[i] != NULL &&
            stat(context->files[i], &status) != 0) {
            return err_set(ERR_NOT_FOUND, "%s %s can't be read", file_names[i],
                           context->files[i]);
        }
    }
    return ERR_OK;
}

static bool are_same(const struct tls_stamp *a, const struct tls_stamp *b)
{
    for (int i = 0; i < TLS__FILES; i++) {
        if (!same_stamp(&a[i], &b[i])) {
            return false;
        }
    }
    return true;
}

/* Files are often replaced one after the other: a key that isn't yet the new
 * certificate's is looked at again at the next change. */
bool tls_context_reload(struct tls_context *context)
{
    struct tls_stamp now[TLS__FILES];
    SSL_CTX *new;
    take_stamps(context, now);
    if (are_same(now, context->stamps)) {
        return false;
    }
    memcpy(context->stamps, now, sizeof(now));
    if (make(context, &new) != ERR_OK) {
        log_warn("tls", "changed files can't be used, the old ones are",
                 LOG_STR("why", err_note()));
        context->was_bad = true;
        return false;
    }
    pthread_mutex_lock(&context->mutex);
    SSL_CTX *old = context->current;
    context->current = new;
    pthread_mutex_unlock(&context->mutex);
    SSL_CTX_free(old);
    log_info("tls", "new connections have the changed files",
             LOG_STR("certificate", context->files[TLS__CERT] != NULL
                                        ? context->files[TLS__CERT]
                                        : ""));
    context->was_bad = false;
    return true;
}

/* ---- its life ------------------------------------------------------------ */

static void free_context(struct tls_context *context)
{
    if (context->current != NULL) {
        SSL_CTX_free(context->current);
    }
    for (int i = 0; i < TLS__FILES; i++) {
        mem_free(context->files[i]);
    }
    free_list(context->allowed_cn);
    free_list(context->allowed_hostname);
    mem_free(context->suites_1_3);
    mem_free(context->suites_1_2);
    pthread_mutex_destroy(&context->mutex);
    mem_free(context);
}

enum err tls_context_new(const struct tls_options *options,
                         struct tls_context **out)
{
    *out = NULL;
    enum err err = late_load(LATE_SSL);
    if (err == ERR_OK) {
        err = late_load(LATE_X509);
    }
    if (err != ERR_OK) {
        return err_wrap(err, "TLS");
    }
    struct tls_context *context = mem_alloc_zero(sizeof(*context));
    atomic_init(&context->refs, 1);
    CHECK_EQ(pthread_mutex_init(&context->mutex, NULL), 0);
    copy_options(context, options);
    err = check_options(context);
    if (err == ERR_OK) {
        err = read_suites(context, options);
    }
    if (err == ERR_OK) {
        err = read_versions(context, options);
    }
    if (err == ERR_OK) {
        take_stamps(context, context->stamps);
        err = make(context, &context->current);
    }
    if (err != ERR_OK) {
        free_context(context);
        return err;
    }
    *out = context;
    return ERR_OK;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    atomic_fetch_add_explicit(&context->refs, 1, memory_order_relaxed);
    return context;
}

void tls_context_unref(struct tls_context *context)
{
    if (context == NULL) {
        return;
    }
    unsigned before =
        atomic_fetch_sub_explicit(&context->refs, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before == 1) {
        free_context(context);
    }
}
