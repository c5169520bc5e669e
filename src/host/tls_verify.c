/* Whose certificate is good: the chain is the library's work, the names are
 * looked at here, while the handshake can still be refused. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "host/tls_int.h"

size_t tls__common_name(X509 *certificate, char *out, size_t size)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0) {
        return 0;
    }
    unsigned char *text = NULL;
    ASN1_STRING *data =
        X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    int length = ASN1_STRING_to_UTF8(&text, data);
    size_t got = 0;
    /* A NUL in it is a trick: "root\0.example.com". */
    if (length > 0 && (size_t)length < size &&
        memchr(text, '\0', (size_t)length) == NULL) {
        got = (size_t)length;
        memcpy(out, text, got);
        out[got] = '\0';
    }
    if (text != NULL) {
        OPENSSL_free(text);
    }
    return got;
}

static bool has_common_name(const struct tls_context *context,
                            X509 *certificate)
{
    char name[TLS__NAME_BYTES_MAX];
    if (tls__common_name(certificate, name, sizeof(name)) == 0) {
        return false;
    }
    for (char **allowed = context->allowed_cn; *allowed != NULL; allowed++) {
        if (strcmp(*allowed, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_address(const char *host)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 ||
           inet_pton(AF_INET6, host, bytes) == 1;
}

static bool has_hostname(const struct tls_context *context, X509 *certificate)
{
    for (char **allowed = context->allowed_hostname; *allowed != NULL;
         allowed++) {
        bool is_it =
            is_address(*allowed)
                ? X509_check_ip_asc(certificate, *allowed, 0) == 1
                : X509_check_host(certificate, *allowed, 0, 0, NULL) == 1;
        if (is_it) {
            return true;
        }
    }
    return false;
}

/* Of the certificate itself, when its chain was found good. */
static const char *missing_name(const struct tls_context *context,
                                X509 *certificate)
{
    if (context->allowed_cn != NULL && !has_common_name(context, certificate)) {
        return "its common name isn't one that is allowed";
    }
    if (context->allowed_hostname != NULL &&
        !has_hostname(context, certificate)) {
        return "it is for no host name that is allowed";
    }
    return NULL;
}

static int verify(int is_good, X509_STORE_CTX *store)
{
    SSL *ssl =
        X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls *tls = SSL_get_ex_data(ssl, 0);
    CHECK(tls != NULL);
    if (!is_good || X509_STORE_CTX_get_error_depth(store) != 0) {
        return is_good;
    }
    const char *why =
        missing_name(tls->context, X509_STORE_CTX_get_current_cert(store));
    if (why == NULL) {
        return 1;
    }
    snprintf(tls->why, sizeof(tls->why), "%s", why);
    tls->refused = X509_V_ERR_APPLICATION_VERIFICATION;
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

void tls__set_verify(const struct tls_context *context, SSL_CTX *ctx)
{
    bool asks = context->side == TLS_SERVER ? context->cert_auth
                                            : !context->skip_verify;
    int mode = SSL_VERIFY_NONE;
    if (asks) {
        mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    }
    SSL_CTX_set_verify(ctx, mode, asks ? verify : NULL);
}

bool tls__expect_host(SSL *ssl, const char *host)
{
    if (is_address(host)) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    }
    return SSL_set1_host(ssl, host) == 1 &&
           SSL_set_tlsext_host_name(ssl, (char *)(uintptr_t)host) == 1;
}
