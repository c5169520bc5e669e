/* The proxy, inside.
 *
 *   proxy.c            starting, connections of clients, stopping
 *   proxy_forward.c    a request's way to a member, and its answer's way back
 *   proxy_endpoints.c  where the members are
 *   proxy_transfer.c   libcurl in libuv's loop, and what members must show
 *   proxy_tls.c        TLS with clients
 */
#ifndef ETCHED_HOST_PROXY_INT_H
#define ETCHED_HOST_PROXY_INT_H

#include <uv.h>

#include "base/list.h"
#include "host/late_curl.h"
#include "host/peers_tls.h"
#include "host/harden_hosts.h"
#include "host/proxy.h"
#include "host/tls_gate.h"
#include "wire/http1.h"

enum {
    PROXY_LISTENERS_MAX = 16,
    PROXY_ENDPOINTS_MAX = 64,
    PROXY_READ_BYTES = 64 * 1024,
    PROXY_SIGNALS = 3,
    PROXY_ID_BYTES = 33, /* 32 hex digits */
};

/* Who has handed a request on: each proxy adds its own id, and takes none that
 * has it already. Members see by it that the certificate isn't the client's. */
#define PROXY_PASSED HTTP_PASSED

struct proxy;

/* Something that libcurl does for us. Its owner embeds it. */
struct transfer {
    CURL *easy;
    /* It has ended, well or not; called outside of libcurl's callbacks. */
    void (*on_done)(struct transfer *transfer, CURLcode code);
};

struct proxy_endpoint {
    char *url; /* "http://10.0.0.1:2379" */
    int64_t aside_until_ms;
};

struct proxy_listener {
    uv_poll_t poll;
    struct proxy *proxy;
    int fd;
    int port; /* where it listens; 0: a Unix socket */
    bool is_tls;
};

struct proxy {
    const struct config *config;
    char id[PROXY_ID_BYTES];
    uv_loop_t loop;
    uv_timer_t sweep;
    uv_timer_t accept_again;
    uv_prepare_t prepare;
    uv_async_t stop;
    uv_signal_t signals[PROXY_SIGNALS];
    bool has_signals;
    struct proxy_listener listeners[PROXY_LISTENERS_MAX];
    size_t listener_count;
    struct http_server server;
    struct harden_hosts *hosts;
    struct list connections;
    struct list dirty; /* connections with something to send */
    struct list forwards;
    int64_t connection_count;
    struct slice no_date;
    char read_buffer[PROXY_READ_BYTES];

    /* proxy_tls.c */
    struct tls_context *tls; /* NULL: plain */
    struct tls_gate *gate;
    uv_async_t arrival;
    pthread_mutex_t arrived_mutex;
    struct list arrived; /* under it */
    int64_t tls_look_ms;

    /* proxy_transfer.c */
    struct peers_tls_files files;
    CURLM *multi;
    uv_timer_t multi_timer;

    /* proxy_endpoints.c */
    char **peers; /* peer URLs */
    size_t peer_count;
    struct proxy_endpoint endpoints[PROXY_ENDPOINTS_MAX];
    size_t endpoint_count;
    size_t next_endpoint;
    struct refresh *refresh; /* under way */
    int64_t refresh_at_ms;
};

/* ---- proxy.c ---- */

enum err proxy__open(const struct config *config, const char *peer_urls,
                     struct proxy **out) MUST_USE;
/* Serves until proxy__stop. */
void proxy__serve(struct proxy *proxy);
/* Threads: any. */
void proxy__stop(struct proxy *proxy);
void proxy__close(struct proxy *proxy);
int64_t proxy__now_ms(const struct proxy *proxy);

/* A client's connection, which passes. */
void proxy__admit(struct proxy *proxy, int fd, struct tls *tls);

/* ---- proxy_tls.c ---- */

void proxy__init_tls(struct proxy *proxy);
/* Errors: those of tls_context_new. */
enum err proxy__open_tls(struct proxy *proxy) MUST_USE;
/* Certificates may have changed. */
void proxy__look_at_tls(struct proxy *proxy);
void proxy__stop_tls(struct proxy *proxy);

/* ---- proxy_forward.c ---- */

void proxy__on_request(struct http_server *server,
                       struct http_exchange *exchange);
/* Ends what has waited for too long. */
void proxy__sweep_forwards(struct proxy *proxy);

/* ---- proxy_endpoints.c ---- */

void proxy__set_peers(struct proxy *proxy, struct slice urls);
/* Copies of the URLs of those that aren't put aside, the next in turn first;
 * in the arena. */
size_t proxy__pick(struct proxy *proxy, struct arena *arena,
                   const char ***urls);
/* It has failed. */
void proxy__put_aside(struct proxy *proxy, const char *url, const char *why);
void proxy__refresh_if_due(struct proxy *proxy);
void proxy__free_endpoints(struct proxy *proxy);

/* ---- proxy_transfer.c ---- */

void proxy__open_transfers(struct proxy *proxy);
/* Needs: none is under way. */
void proxy__close_transfers(struct proxy *proxy);
/* `easy` is set up, save what is the same for all. */
void proxy__start_transfer(struct proxy *proxy, struct transfer *transfer,
                           const char *url);
/* It has ended, or ends here. */
void proxy__end_transfer(struct proxy *proxy, struct transfer *transfer);
/* Goes on after a write function has said CURL_WRITEFUNC_PAUSE. */
void proxy__resume_transfer(struct proxy *proxy, struct transfer *transfer);

#endif
