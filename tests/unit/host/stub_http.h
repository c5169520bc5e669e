/* A small HTTP server for tests: each connection has a thread, each request
 * is given to the test's function, and is answered with what that says. */
#ifndef ETCHED_TESTS_STUB_HTTP_H
#define ETCHED_TESTS_STUB_HTTP_H

#include <pthread.h>
#include <stdbool.h>

#include "base/bytes.h"
#include "host/tls.h"

struct stub_request {
    char method[16];
    char target[1024]; /* path and query */
    char head[2048];   /* header lines */
    char body[4096];   /* its first part */
};

struct stub_reply {
    int status;      /* 200 to begin; 0: the connection is closed instead */
    char head[2048]; /* header lines, each with \r\n */
    struct buf body;
    /* In place of all that: writes what it likes, then the connection ends. */
    void (*stream)(void *context, int fd);
};

typedef void (*stub_answer)(void *context, const struct stub_request *request,
                            struct stub_reply *reply);

enum { STUB_CONNECTIONS_MAX = 256 };

struct stub_http {
    int listener;
    int port;
    char url[64];            /* "http://127.0.0.1:<port>", or https */
    struct tls_context *tls; /* NULL: plain */
    _Atomic int handshakes;  /* that came to their end */
    stub_answer answer;
    void *context;
    pthread_t acceptor;
    pthread_t threads[STUB_CONNECTIONS_MAX];
    int fds[STUB_CONNECTIONS_MAX];
    int count;
    pthread_mutex_t lock;
    bool stopping;
};

/* Takes a free port. The function is called on threads of the server. */
void stub_http_start(struct stub_http *stub, stub_answer answer, void *context);
/* With TLS, where nothing may be streamed. A reference is kept. */
void stub_http_start_tls(struct stub_http *stub, stub_answer answer,
                         void *context, struct tls_context *tls);
/* From the next connection on it shows this. */
void stub_http_change_tls(struct stub_http *stub, struct tls_context *tls);
/* Waits for its threads; a request that is being answered comes to its end. */
void stub_http_stop(struct stub_http *stub);
/* A port where nobody listens (for now). */
int stub_free_port(void);

#endif
