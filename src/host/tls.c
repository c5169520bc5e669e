/* One connection: OpenSSL over a socket of ours, by a BIO that never raises
 * SIGPIPE. */
#include "host/tls.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/mem.h"
#include "host/tls_int.h"

/* ---- the socket ---------------------------------------------------------- */

static pthread_once_t method_once = PTHREAD_ONCE_INIT;
static BIO_METHOD *method;

static int fd_of(BIO *bio)
{
    const struct tls *tls = BIO_get_data(bio);
    return tls->fd;
}

static int bio_write(BIO *bio, const char *bytes, int size)
{
    ssize_t sent;
    BIO_clear_retry_flags(bio);
    do {
        sent = send(fd_of(bio), bytes, (size_t)size, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno == EAGAIN) {
        BIO_set_retry_write(bio);
    }
    return (int)sent;
}

static int bio_read(BIO *bio, char *out, int size)
{
    ssize_t got;
    BIO_clear_retry_flags(bio);
    do {
        got = recv(fd_of(bio), out, (size_t)size, 0);
    } while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN) {
        BIO_set_retry_read(bio);
    }
    return (int)got;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static void make_method(void)
{
    method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_TYPE_DESCRIPTOR, "socket");
    CHECK(method != NULL);
    CHECK_EQ(BIO_meth_set_write(method, bio_write), 1);
    CHECK_EQ(BIO_meth_set_read(method, bio_read), 1);
    CHECK_EQ(BIO_meth_set_ctrl(method, bio_ctrl), 1);
}

/* ---- its life ------------------------------------------------------------ */

static SSL *new_ssl(struct tls_context *context)
{
    pthread_mutex_lock(&context->mutex);
    SSL *ssl = SSL_new(context->current);
    pthread_mutex_unlock(&context->mutex);
    CHECK(ssl != NULL);
    return ssl;
}

struct tls *tls_new(struct tls_context *context, int fd, const char *host)
{
    struct tls *tls = mem_alloc_zero(sizeof(*tls));
    pthread_once(&method_once, make_method);
    tls->context = tls_context_ref(context);
    tls->fd = fd;
    tls->wants = POLLIN;
    tls->ssl = new_ssl(context);
    BIO *bio = BIO_new(method);
    CHECK(bio != NULL);
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    CHECK_EQ(SSL_set_ex_data(tls->ssl, 0, tls), 1);
    if (context->side == TLS_SERVER) {
        SSL_set_accept_state(tls->ssl);
        return tls;
    }
    SSL_set_connect_state(tls->ssl);
    if (host != NULL && !tls__expect_host(tls->ssl, host)) {
        tls->failed = true;
        snprintf(tls->why, sizeof(tls->why), "\"%.100s\" is no host name",
                 host);
    }
    return tls;
}

void tls_free(struct tls *tls)
{
    if (tls == NULL) {
        return;
    }
    SSL_free(tls->ssl);
    ERR_clear_error();
    tls_context_unref(tls->context);
    mem_free(tls->record);
    mem_free(tls);
}

/* ---- errors -------------------------------------------------------------- */

const char *tls__library_error(void)
{
    unsigned long number = ERR_peek_error();
    const char *text = number != 0 ? ERR_reason_error_string(number) : NULL;
    return text != NULL ? text : "no reason given";
}

/* What the library wants to go on, or that it can't: false. */
static bool note_wants(struct tls *tls, int result)
{
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        tls->wants = POLLIN;
        return true;
    case SSL_ERROR_WANT_WRITE:
        tls->wants = POLLOUT;
        return true;
    default:
        tls->failed = true;
        return false;
    }
}

static enum err handshake_failed(struct tls *tls, int number)
{
    long verified = SSL_get_verify_result(tls->ssl);
    if (tls->why[0] != '\0') {
        return err_set(ERR_PERMISSION, "the certificate is refused: %s",
                       tls->why);
    }
    if (verified != X509_V_OK) {
        return err_set(ERR_PERMISSION, "the certificate is refused: %s",
                       X509_verify_cert_error_string(verified));
    }
    if (ERR_peek_error() != 0) {
        return err_set(ERR_IO, "TLS handshake: %s", tls__library_error());
    }
    return err_set(ERR_IO, "TLS handshake: %s",
                   number == 0 ? "the other side has closed the connection"
                               : strerror(number));
}

enum err tls_handshake(struct tls *tls)
{
    if (tls->failed) {
        return handshake_failed(tls, 0);
    }
    ERR_clear_error();
    errno = 0;
    int result = SSL_do_handshake(tls->ssl);
    int number = errno;
    if (result != 1) {
        if (note_wants(tls, result)) {
            return ERR_BUSY;
        }
        return handshake_failed(tls, number);
    }
    tls->is_up = true;
    tls->wants = POLLIN;
    X509 *certificate = SSL_get1_peer_certificate(tls->ssl);
    if (certificate != NULL) {
        if (SSL_get_verify_result(tls->ssl) == X509_V_OK &&
            !tls->context->skip_verify) {
            tls->name_size =
                tls__common_name(certificate, tls->name, sizeof(tls->name));
        }
        X509_free(certificate);
    }
    return ERR_OK;
}

short tls_wants(const struct tls *tls)
{
    return tls->wants;
}

/* ---- bytes --------------------------------------------------------------- */

static ssize_t would_block(void)
{
    errno = EAGAIN;
    return -1;
}

static ssize_t broken(int number)
{
    ERR_clear_error();
    errno = number != 0 && number != EAGAIN ? number : ECONNRESET;
    return -1;
}

ssize_t tls_recv(struct tls *tls, void *out, size_t size)
{
    CHECK(tls->is_up && size > 0);
    if (tls->failed) {
        return broken(ECONNRESET);
    }
    ERR_clear_error();
    errno = 0;
    int most = size < INT32_MAX ? (int)size : INT32_MAX;
    int got = SSL_read(tls->ssl, out, most);
    int number = errno;
    if (got > 0) {
        return got;
    }
    if (SSL_get_error(tls->ssl, got) == SSL_ERROR_ZERO_RETURN) {
        return 0;
    }
    return note_wants(tls, got) ? would_block() : broken(number);
}

/* Small pieces go together: each record costs its head, its tag and a call.
 * What was begun and couldn't be sent is begun with the same bytes again: the
 * caller still has them in front. */
static ssize_t send_some(struct tls *tls, const char *bytes, size_t size)
{
    ERR_clear_error();
    errno = 0;
    int sent = SSL_write(tls->ssl, bytes, (int)size);
    int number = errno;
    if (sent > 0) {
        return sent;
    }
    return note_wants(tls, sent) ? would_block() : broken(number);
}

static size_t gather(struct tls *tls, const struct iovec *pieces, size_t count,
                     size_t skip)
{
    size_t size = 0;
    if (tls->record == NULL) {
        tls->record = mem_alloc(TLS__RECORD_BYTES);
    }
    for (size_t i = 0; i < count && size < TLS__RECORD_BYTES; i++) {
        size_t part = pieces[i].iov_len - skip;
        size_t room = TLS__RECORD_BYTES - size;
        part = part < room ? part : room;
        memcpy(tls->record + size, (const char *)pieces[i].iov_base + skip,
               part);
        size += part;
        skip = 0;
    }
    return size;
}

static ssize_t send_next(struct tls *tls, const struct iovec *pieces,
                         size_t count, size_t skip)
{
    size_t first = pieces->iov_len - skip;
    const char *bytes = (const char *)pieces->iov_base + skip;
    if (first >= TLS__RECORD_BYTES) {
        return send_some(tls, bytes, TLS__RECORD_BYTES);
    }
    if (count == 1) {
        return send_some(tls, bytes, first);
    }
    size_t size = gather(tls, pieces, count, skip);
    return send_some(tls, tls->record, size);
}

ssize_t tls_send(struct tls *tls, const struct iovec *pieces, size_t count)
{
    size_t total = 0;
    size_t skip = 0;
    CHECK(tls->is_up);
    if (tls->failed) {
        return broken(ECONNRESET);
    }
    while (count > 0) {
        if (skip == pieces->iov_len) {
            pieces++;
            count--;
            skip = 0;
            continue;
        }
        ssize_t sent = send_next(tls, pieces, count, skip);
        if (sent < 0) {
            return total > 0 ? (ssize_t)total : -1;
        }
        total += (size_t)sent;
        for (size_t left = (size_t)sent; left > 0;) {
            size_t part = pieces->iov_len - skip;
            part = part < left ? part : left;
            left -= part;
            skip += part;
            if (skip == pieces->iov_len && left > 0) {
                pieces++;
                count--;
                skip = 0;
            }
        }
    }
    return (ssize_t)total;
}

void tls_read_ahead(struct tls *tls)
{
    SSL_set_read_ahead(tls->ssl, 1);
}

bool tls_has_more(const struct tls *tls)
{
    return !tls->failed && SSL_has_pending(tls->ssl) == 1;
}

void tls_goodbye(struct tls *tls)
{
    if (tls->is_up && !tls->failed) {
        ERR_clear_error();
        (void)SSL_shutdown(tls->ssl);
    }
}

/* ---- what came of the handshake ------------------------------------------ */

struct slice tls_alpn(const struct tls *tls)
{
    const unsigned char *name = NULL;
    unsigned size = 0;
    SSL_get0_alpn_selected(tls->ssl, &name, &size);
    return slice_of((const char *)name, size);
}

struct slice tls_peer_name(const struct tls *tls)
{
    return slice_of(tls->name, tls->name_size);
}

bool tls_is_resumed(const struct tls *tls)
{
    return SSL_session_reused(tls->ssl) == 1;
}

const char *tls_version(const struct tls *tls)
{
    return SSL_get_version(tls->ssl);
}

const char *tls_cipher(const struct tls *tls)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(tls->ssl);
    return cipher != NULL ? SSL_CIPHER_get_name(cipher) : "";
}
