/* A blocking HTTP/1.1 client, over libcurl: what a command line needs, one
 * request at a time over connections that are kept.
 *
 * A proxy is taken from the environment (http_proxy, HTTPS_PROXY, NO_PROXY,
 * ...) but never for loopback addresses, so that a proxy for the world
 * doesn't stand between a person and a server on the same machine.
 * Redirects are the caller's: it knows where credentials may go.
 *
 * Threads: one at a time, the one that opened it.
 */
#ifndef ETCHED_HOST_HTTP_CLIENT_H
#define ETCHED_HOST_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum {
    /* A listing of a whole store is as large as the store's live values. */
    HTTP_CLIENT_BODY_BYTES_MAX = 1024 * 1024 * 1024,
    /* Status lines and headers of one response. */
    HTTP_CLIENT_HEAD_BYTES_MAX = 1024 * 1024,
};

struct http_client;

struct http_client_options {
    const char *ca_file;   /* NULL: the system's */
    const char *cert_file; /* NULL: none; else key_file too */
    const char *key_file;
    const char *crl_file; /* NULL: none */
    /* Servers are taken unseen: whoever sets it says so aloud. */
    bool skip_verify;
    const char *username; /* NULL: none; sent as basic authentication */
    const char *password;
    const char *user_agent;
    const char *proxy; /* NULL: as the environment says */
    /* When this descriptor becomes readable, whatever is under way ends with
     * HTTP_CLIENT_STOPPED (the end of a self-pipe that a signal handler
     * writes to). -1: none. */
    int stop_fd;
};

/* What went wrong, as far as a caller decides by it. */
enum http_client_failure {
    HTTP_CLIENT_NO_FAILURE,
    HTTP_CLIENT_DIAL,           /* no connection: refused, no route, no name */
    HTTP_CLIENT_READ,           /* the connection broke: reset */
    HTTP_CLIENT_EOF,            /* it was closed before an answer came */
    HTTP_CLIENT_HEADER_TIMEOUT, /* no headers within header_timeout_ms */
    HTTP_CLIENT_DEADLINE,       /* deadline_ms has passed */
    HTTP_CLIENT_STOPPED,        /* stop_fd, or on_body said so */
    HTTP_CLIENT_OTHER,          /* TLS, a bad URL, a body that is too large */
};

/* A piece of a body as it comes; false ends the request with
 * HTTP_CLIENT_STOPPED. */
typedef bool (*http_client_on_body)(void *context, struct slice piece);

struct http_client_request {
    const char *method;
    const char *url;
    const char *unix_path; /* NULL: none; a socket in place of the URL's host */
    const char *const *headers; /* "Name: value" each */
    size_t header_count;
    struct slice body;
    bool has_body;               /* an empty body is one too */
    int64_t header_timeout_ms;   /* from now to the headers; 0: none */
    int64_t deadline_ms;         /* by http_client_now_ms; 0: none */
    http_client_on_body on_body; /* NULL: gathered in the response */
    void *context;               /* of on_body */
};

/* Owns: its buffers; {0} to begin, reused from one request to the next. */
struct http_client_response {
    int status;      /* 0: no answer came */
    struct buf head; /* header lines of the last answer, each with "\r\n" */
    struct buf body;
    enum http_client_failure failure;
};

void http_client_response_deinit(struct http_client_response *response);
/* The value of a header (case ignored), or a slice with at == NULL. It is
 * there even where the request failed after the headers came. */
struct slice http_client_header(const struct http_client_response *response,
                                const char *name);

/* Errors: ERR_INVALID with a note in Go's words ("open x: no such file or
 *         directory") when a file of `options` can't be read. */
enum err http_client_open(const struct http_client_options *options,
                          struct http_client **out) MUST_USE;
void http_client_close(struct http_client *client); /* NULL is fine */

/* Sends one request and waits for the whole answer, whatever its status.
 *
 * Errors: `failure` says which kind, the note says it in Go's words ("dial
 *         tcp 127.0.0.1:1: connect: connection refused").
 */
enum err http_client_do(struct http_client *client,
                        const struct http_client_request *request,
                        struct http_client_response *response) MUST_USE;

/* Milliseconds since some moment; never runs backwards. */
int64_t http_client_now_ms(void);
/* Waits; false when stop_fd ended it. NULL: nothing can. */
bool http_client_wait(struct http_client *client, int64_t duration_ms);

/* True for "localhost", 127.0.0.0/8 and ::1 (in brackets or not). */
bool http_client_is_loopback(struct slice host);

#endif
