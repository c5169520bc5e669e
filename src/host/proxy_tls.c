/* TLS of the proxy's own ports: handshakes are done by a gate (tls_gate.h), on
 * a thread of its own, which puts those that are done into an inbox. */
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "host/proxy_int.h"
#include "host/tls_config.h"

enum { LOOK_MS = 500 };

struct arrived {
    struct list link;
    int fd;
    struct tls *tls;
};

/* On the gate's thread. */
static void on_ready(void *context, int fd, struct tls *tls, int tag)
{
    struct proxy *proxy = context;
    struct arrived *arrived = mem_alloc_zero(sizeof(*arrived));
    (void)tag;
    arrived->fd = fd;
    arrived->tls = tls;
    pthread_mutex_lock(&proxy->arrived_mutex);
    list_push_back(&proxy->arrived, &arrived->link);
    pthread_mutex_unlock(&proxy->arrived_mutex);
    uv_async_send(&proxy->arrival);
}

static struct arrived *next(struct proxy *proxy)
{
    pthread_mutex_lock(&proxy->arrived_mutex);
    struct list *first = list_first(&proxy->arrived);
    if (first != NULL) {
        list_remove(first);
    }
    pthread_mutex_unlock(&proxy->arrived_mutex);
    return first == NULL ? NULL : CONTAINER_OF(first, struct arrived, link);
}

static void on_arrival(uv_async_t *async)
{
    struct proxy *proxy = CONTAINER_OF(async, struct proxy, arrival);
    struct arrived *arrived;
    while ((arrived = next(proxy)) != NULL) {
        proxy__admit(proxy, arrived->fd, arrived->tls);
        mem_free(arrived);
    }
}

enum err proxy__open_tls(struct proxy *proxy)
{
    static const char *const alpn[] = {"http/1.1"};
    const struct config *config = proxy->config;
    const struct config_urls *urls = &config->listen_client_urls;
    const struct tls_gate_config gate = {.on_ready = on_ready,
                                         .context = proxy};
    struct tls_options options =
        tls_config_listener(config, &config->client_tls);
    bool is_needed = false;
    for (size_t i = 0; i < urls->count; i++) {
        is_needed |= urls->at[i].tls;
    }
    options.alpn = alpn;
    options.alpn_count = 1;
    if (!is_needed) {
        return ERR_OK;
    }
    if (config->client_tls.auto_tls && options.cert_file[0] == '\0') {
        return err_set(ERR_UNSUPPORTED,
                       "--auto-tls: a proxy has no data directory for a "
                       "certificate; give it one with --cert-file");
    }
    enum err err = tls_context_new(&options, &proxy->tls);
    return err ? err : tls_gate_start(&gate, &proxy->gate);
}

void proxy__init_tls(struct proxy *proxy)
{
    list_init(&proxy->arrived);
    CHECK_EQ(pthread_mutex_init(&proxy->arrived_mutex, NULL), 0);
    CHECK_EQ(uv_async_init(&proxy->loop, &proxy->arrival, on_arrival), 0);
}

void proxy__look_at_tls(struct proxy *proxy)
{
    int64_t now_ms = proxy__now_ms(proxy);
    if (proxy->tls != NULL && now_ms >= proxy->tls_look_ms) {
        proxy->tls_look_ms = now_ms + LOOK_MS;
        (void)tls_context_reload(proxy->tls);
    }
}

void proxy__stop_tls(struct proxy *proxy)
{
    struct arrived *arrived;
    tls_gate_stop(proxy->gate);
    proxy->gate = NULL;
    while ((arrived = next(proxy)) != NULL) {
        tls_free(arrived->tls);
        close(arrived->fd);
        mem_free(arrived);
    }
    uv_close((uv_handle_t *)&proxy->arrival, NULL);
    tls_context_unref(proxy->tls);
    proxy->tls = NULL;
    pthread_mutex_destroy(&proxy->arrived_mutex);
}
