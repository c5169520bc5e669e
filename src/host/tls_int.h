/* What tls.c, tls_context.c and tls_verify.c share. */
#ifndef ETCHED_HOST_TLS_INT_H
#define ETCHED_HOST_TLS_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "host/late_ssl.h"
#include "host/tls.h"

enum {
    TLS__FILES = 4, /* certificate, key, CA, CRL */
    TLS__NAME_BYTES_MAX = 256,
    TLS__ALPN_BYTES_MAX = 64,
    TLS__RECORD_BYTES = 16 * 1024, /* of plain text, at most (RFC 8446, 5.1) */
};

/* A file as it was when it was read. */
struct tls_stamp {
    bool is_there;
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
};

struct tls_context {
    atomic_uint refs;
    enum tls_side side;
    char *files[TLS__FILES]; /* NULL: none */
    bool cert_auth;
    bool skip_verify;
    char **allowed_cn; /* each list ends with NULL */
    char **allowed_hostname;
    char *suites_1_3; /* OpenSSL's lists */
    char *suites_1_2;
    int min_version;
    int max_version;
    char alpn[TLS__ALPN_BYTES_MAX]; /* as ALPN sends it */
    size_t alpn_size;

    pthread_mutex_t mutex;
    SSL_CTX *current;                    /* under it */
    struct tls_stamp stamps[TLS__FILES]; /* the reloading thread's */
    bool was_bad;                        /* and it was told */
};

enum { TLS__CERT, TLS__KEY, TLS__CA, TLS__CRL };

struct tls {
    SSL *ssl;
    int fd;
    short wants;
    bool is_up;
    bool failed; /* nothing may be sent, not even a goodbye */
    struct tls_context *context;
    int refused; /* the verifier's own X509_V_ERR_..., said in `why` */
    char why[TLS__NAME_BYTES_MAX];
    char name[TLS__NAME_BYTES_MAX]; /* of the verified other side */
    size_t name_size;
    /* Pieces that are gathered to one record; made when it is first needed. */
    char *record;
};

/* tls_verify.c: the names that the other side's certificate has to have; sets
 * up `ctx` to ask for a certificate and look at it. */
void tls__set_verify(const struct tls_context *context, SSL_CTX *ctx);
/* Who a client means to talk to. */
bool tls__expect_host(SSL *ssl, const char *host);
/* The common name, if the certificate has one without a NUL. */
size_t tls__common_name(X509 *certificate, char *out, size_t size);

/* The library's last error, in its words. */
const char *tls__library_error(void);

#endif
