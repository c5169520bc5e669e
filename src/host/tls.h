/* TLS by OpenSSL, which is loaded when the first context is made (late.h).
 *
 *   tls_context   what one side has: certificate, key, whom it trusts. Its
 *                 files are looked at again when they change, so new
 *                 connections have the new ones within a second; one that
 *                 can't be read leaves the old ones in place, with a warning.
 *   tls           one connection over a socket of the caller's.
 *
 * TLS 1.2 and 1.3 only; forward-secret AEAD suites only (ECDHE with AES-GCM or
 * ChaCha20-Poly1305); no compression, no renegotiation. Sessions are resumed
 * by tickets whose keys are the process's own. EVERY listener has the same
 * checks (trusted CA, CRL, allowed names), since they live in the context.
 *
 * tls_recv and tls_send are to be used like recv and sendmsg on a non-blocking
 * socket: -1 with errno EAGAIN, what the socket is waited for is then
 * tls_wants. SIGPIPE is never raised.
 *
 * Threads: a context: any. A tls: one at a time.
 */
#ifndef ETCHED_HOST_TLS_H
#define ETCHED_HOST_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/bytes.h"
#include "base/err.h"
#include "host/config.h"

enum tls_side {
    TLS_SERVER,
    TLS_CLIENT,
};

/* Files, "" or NULL: none. All is copied. */
struct tls_options {
    enum tls_side side;
    const char *cert_file; /* with its chain */
    const char *key_file;
    /* Server: whose certificates clients must have, if cert_auth. Client: whose
     * servers are trusted; none: the system's. */
    const char *ca_file;
    const char *crl_file;
    bool cert_auth;
    /* Server: names of which the client's certificate needs one. */
    const char *const *allowed_cn;
    size_t allowed_cn_count;
    const char *const *allowed_hostname;
    size_t allowed_hostname_count;
    /* Client: who isn't verified at all (etchctl's --insecure-skip-tls-verify,
     * said aloud by whoever sets it). */
    bool skip_verify;
    /* OpenSSL's names or Go's ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"); none:
     * all that are good. */
    const char *const *cipher_suites;
    size_t cipher_suite_count;
    const char *min_version; /* "TLS1.2", "TLS1.3"; "": 1.2 */
    const char *max_version; /* "": 1.3 */
    /* In wire order of preference: "h2", "http/1.1"; none: no ALPN. */
    const char *const *alpn;
    size_t alpn_count;
};

struct tls_context;
struct tls;

/* Errors: ERR_INVALID, ERR_NOT_FOUND, ERR_PERMISSION, ERR_UNSUPPORTED (no
 *         library): the note names the file or the value, and what to do. */
enum err tls_context_new(const struct tls_options *options,
                         struct tls_context **out) MUST_USE;
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context); /* NULL is fine */
/* Looks whether its files have changed: to be called about every half second,
 * by one thread. True: new ones are in use. */
bool tls_context_reload(struct tls_context *context);

/* A self-signed certificate (P-256) and its key as files in `dir`, for
 * --auto-tls: made unless they are there and good for a day yet.
 * Errors: ERR_IO, ERR_UNSUPPORTED. */
enum err tls_self_signed(const char *dir, const char *const *hosts,
                         size_t host_count, int validity_years,
                         struct buf *cert, struct buf *key) MUST_USE;

/* `host` (of a client): the name or address that the certificate must be for,
 * and SNI; NULL: that isn't looked at (of peers with
 * --peer-skip-client-san-verification). The descriptor stays the caller's. */
struct tls *tls_new(struct tls_context *context, int fd, const char *host);
void tls_free(struct tls *tls); /* NULL is fine; sends nothing */

/* The handshake. ERR_BUSY: wait (tls_wants) and call again. Others: it failed,
 * the note says why, in words for the other side's operator. */
enum err tls_handshake(struct tls *tls) MUST_USE;
/* What the socket must be for the last call to go on: POLLIN, POLLOUT. */
short tls_wants(const struct tls *tls);
/* 0: the other side has said goodbye. */
ssize_t tls_recv(struct tls *tls, void *out, size_t size);
ssize_t tls_send(struct tls *tls, const struct iovec *pieces, size_t count);
/* From now on the socket is read in large pieces, several records at once: as
 * nothing of the socket then tells of what is left, the caller reads as long
 * as tls_has_more, or until EAGAIN. Without it, whoever reads into 16 KiB or
 * more leaves nothing behind. */
void tls_read_ahead(struct tls *tls);
bool tls_has_more(const struct tls *tls);
/* Says goodbye, as far as the socket takes it. */
void tls_goodbye(struct tls *tls);

/* After the handshake. */
struct slice tls_alpn(const struct tls *tls); /* "": none */
/* The common name of the other side's verified certificate; "": none. */
struct slice tls_peer_name(const struct tls *tls);
bool tls_is_resumed(const struct tls *tls);
/* "TLSv1.3", "TLS_AES_128_GCM_SHA256". */
const char *tls_version(const struct tls *tls);
const char *tls_cipher(const struct tls *tls);

#endif
