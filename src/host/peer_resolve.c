/* A peer URL's addresses. Numbers are taken at once. A name is looked up by a
 * thread of its own, which nobody waits for: a name server that is down may
 * take half a minute to say nothing, and a member that stops can't wait for
 * that (libuv's pool is joined when the process ends, so it isn't used).
 *
 * A job has two owners, that thread and the peers thread; the last one frees
 * it.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/check.h"
#include "host/config_int.h"
#include "host/peers_int.h"

struct peer_resolve {
    pthread_mutex_t mutex;
    struct peers *peers; /* NULL: nobody waits any more */
    bool done;
    int owners;
    struct peer_addresses found;
    int port;
    char host[];
};

static void let_go(struct peer_resolve *job)
{
    CHECK(job->owners > 0);
    bool last = --job->owners == 0;
    pthread_mutex_unlock(&job->mutex);
    if (last) {
        pthread_mutex_destroy(&job->mutex);
        mem_free(job);
    }
}

static void look_up(const char *host, int port, int flags,
                    struct peer_addresses *out)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICSERV | flags};
    struct addrinfo *found = NULL;
    char port_text[16];
    out->count = 0;
    (void)snprintf(port_text, sizeof(port_text), "%d", port);
    if (getaddrinfo(host, port_text, &hints, &found) != 0) {
        return;
    }
    for (struct addrinfo *at = found;
         at != NULL && out->count < PEERS_ADDRESSES_MAX; at = at->ai_next) {
        struct peer_address *address = &out->at[out->count];
        if (at->ai_addrlen <= sizeof(address->at)) {
            memset(address, 0, sizeof(*address));
            memcpy(&address->at, at->ai_addr, at->ai_addrlen);
            address->size = at->ai_addrlen;
            out->count++;
        }
    }
    freeaddrinfo(found);
}

static void *run(void *context)
{
    struct peer_resolve *job = context;
    struct peer_addresses found;
    look_up(job->host, job->port, 0, &found);
    pthread_mutex_lock(&job->mutex);
    job->found = found;
    job->done = true;
    if (job->peers != NULL) {
        peers__wake(job->peers);
    }
    let_go(job);
    return NULL;
}

static struct peer_resolve *start(struct peers *peers, const char *host,
                                  int port)
{
    size_t size = strlen(host) + 1;
    struct peer_resolve *job = mem_alloc_zero(sizeof(*job) + size);
    pthread_t thread;
    pthread_attr_t attributes;
    memcpy(job->host, host, size);
    job->port = port;
    job->peers = peers;
    job->owners = 2;
    pthread_mutex_init(&job->mutex, NULL);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int failed = pthread_create(&thread, &attributes, run, job);
    pthread_attr_destroy(&attributes);
    if (failed != 0) {
        job->owners = 1; /* it has found nothing */
        job->done = true;
        peers__wake(peers);
    }
    return job;
}

bool peer_resolve__take(struct peer_resolve *job, struct peer_addresses *out)
{
    pthread_mutex_lock(&job->mutex);
    if (!job->done) {
        pthread_mutex_unlock(&job->mutex);
        return false;
    }
    memcpy(out->at, job->found.at, sizeof(out->at));
    out->count = job->found.count;
    job->peers = NULL;
    let_go(job);
    return true;
}

void peer_resolve__cancel(struct peer_resolve *job)
{
    if (job != NULL) {
        pthread_mutex_lock(&job->mutex);
        job->peers = NULL;
        let_go(job);
    }
}

/* ---- one URL ------------------------------------------------------------- */

static enum err take_unix(const struct config_url *url,
                          struct peer_addresses *out)
{
    struct sockaddr_un *at = (void *)&out->at[0].at;
    size_t size = strlen(url->host);
    if (size >= sizeof(at->sun_path)) {
        return err_set(ERR_INVALID, "%s: the socket's path is too long",
                       url->text);
    }
    memset(&out->at[0], 0, sizeof(out->at[0]));
    at->sun_family = AF_UNIX;
    memcpy(at->sun_path, url->host, size + 1);
    out->at[0].size = sizeof(*at);
    out->count = 1;
    return ERR_OK;
}

static void set_port(struct peer_address *address, int port)
{
    if (address->at.ss_family == AF_INET) {
        struct sockaddr_in *ip4 = (void *)&address->at;
        ip4->sin_port = htons((uint16_t)port);
    } else if (address->at.ss_family == AF_INET6) {
        struct sockaddr_in6 *ip6 = (void *)&address->at;
        ip6->sin6_port = htons((uint16_t)port);
    }
}

/* Whom the certificate has to be for. A path is no name: with a Unix socket it
 * is this machine. */
static enum err set_host(const struct config_url *url,
                         const struct peer_address *instead,
                         struct peer_addresses *out)
{
    const char *host = url->is_unix ? "localhost" : url->host;
    char text[INET6_ADDRSTRLEN] = "";
    if (!url->is_unix && config__is_any_ip(url->host) && instead != NULL) {
        (void)getnameinfo((const void *)&instead->at, instead->size, text,
                          sizeof(text), NULL, 0, NI_NUMERICHOST);
        host = text;
    }
    int size = snprintf(out->host, sizeof(out->host), "%s", host);
    out->tls = url->tls;
    return size >= 0 && (size_t)size < sizeof(out->host)
               ? ERR_OK
               : err_set(ERR_INVALID, "%.64s...: the host's name is too long",
                         url->text);
}

static enum err take_url(struct peers *peers, const struct config_url *url,
                         const struct peer_address *instead,
                         struct peer_addresses *out, struct peer_resolve **job)
{
    if (url->tls && peers->config.tls == NULL) {
        return err_set(ERR_UNSUPPORTED,
                       "%s: this member has no certificate for TLS to others; "
                       "see --peer-cert-file, --peer-trusted-ca-file",
                       url->text);
    }
    enum err err = set_host(url, instead, out);
    if (err != ERR_OK) {
        return err;
    }
    if (url->is_unix) {
        return take_unix(url, out);
    }
    if (config__is_any_ip(url->host) && instead != NULL) {
        out->at[0] = *instead;
        out->count = 1;
        set_port(&out->at[0], url->port);
    } else if (config__is_ip(url->host)) {
        look_up(url->host, url->port, AI_NUMERICHOST, out);
    } else {
        *job = start(peers, url->host, url->port);
    }
    return ERR_OK;
}

enum err peer_resolve__url(struct peers *peers, struct slice text,
                           const struct peer_address *instead,
                           struct peer_addresses *out,
                           struct peer_resolve **job)
{
    struct arena arena;
    struct config_url url;
    *job = NULL;
    out->count = 0;
    arena_init(&arena, 0);
    enum err err = config__parse_url(&arena, text, &url);
    if (err == ERR_OK) {
        err = take_url(peers, &url, instead, out, job);
    }
    arena_deinit(&arena);
    return err;
}

void peer_resolve__text(const struct peer_address *address, char *out,
                        size_t size)
{
    char host[INET6_ADDRSTRLEN] = "";
    if (address->at.ss_family == AF_INET) {
        const struct sockaddr_in *ip4 = (const void *)&address->at;
        uv_ip4_name(ip4, host, sizeof(host));
        (void)snprintf(out, size, "%s:%d", host, ntohs(ip4->sin_port));
    } else if (address->at.ss_family == AF_INET6) {
        const struct sockaddr_in6 *ip6 = (const void *)&address->at;
        uv_ip6_name(ip6, host, sizeof(host));
        (void)snprintf(out, size, "[%s]:%d", host, ntohs(ip6->sin6_port));
    } else if (address->at.ss_family == AF_UNIX) {
        const struct sockaddr_un *local = (const void *)&address->at;
        (void)snprintf(out, size, "%s", local->sun_path);
    } else {
        (void)snprintf(out, size, "?");
    }
}
