#include "host/limits.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/check.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

enum { KEY_BYTES = 9, SECOND_NS = 1000 * 1000 * 1000 };

/* All but `held` is under the table's lock.
 * Invariant: it is in `idle` if, and only if, it has no connection. */
struct limits_client {
    struct list link; /* in idle */
    uint64_t connections;
    /* The bucket, as the moment when it is full again: each request puts it
     * off by what one costs. */
    int64_t full_ns;
    _Atomic int64_t held; /* bytes */
    char key[KEY_BYTES];
};

struct limits {
    struct limits_config config;
    pthread_mutex_t lock;
    struct map clients;
    struct list idle; /* the one that left last is the last */
    size_t idle_count;
    _Atomic uint64_t met[LIMITS_KIND_COUNT];
};

static struct slice key_of(const void *value)
{
    return slice_of(((const struct limits_client *)value)->key, KEY_BYTES);
}

struct limits *limits_new(const struct limits_config *config)
{
    if (config->connections_max == 0 && config->requests_per_second == 0 &&
        config->bytes_max == 0) {
        return NULL;
    }
    struct limits *limits = mem_alloc_zero(sizeof(*limits));
    limits->config = *config;
    pthread_mutex_init(&limits->lock, NULL);
    map_init(&limits->clients, key_of, config->seed);
    list_init(&limits->idle);
    return limits;
}

/* ---- the table ----------------------------------------------------------- */

static void forget(struct limits *limits, struct limits_client *client)
{
    CHECK_EQ(client->connections, 0);
    CHECK_EQ(atomic_load(&client->held), 0);
    void *removed = map_remove(&limits->clients, key_of(client));
    CHECK(removed == client);
    list_remove(&client->link);
    limits->idle_count--;
    mem_free(client);
}

/* Those whose buckets are full, and those that are too many. The first in the
 * row left first, so about all behind one that isn't full aren't either. */
static void forget_some(struct limits *limits, int64_t now_ns)
{
    struct list *node;
    while ((node = list_first(&limits->idle)) != NULL) {
        struct limits_client *client =
            CONTAINER_OF(node, struct limits_client, link);
        if (client->full_ns > now_ns &&
            limits->idle_count <= LIMITS_IDLE_CLIENTS_MAX) {
            return;
        }
        forget(limits, client);
    }
}

void limits_free(struct limits *limits)
{
    if (limits == NULL) {
        return;
    }
    forget_some(limits, INT64_MAX);
    CHECK_EQ(limits->clients.count, 0);
    map_deinit(&limits->clients);
    pthread_mutex_destroy(&limits->lock);
    mem_free(limits);
}

/* A new one is idle until it has a connection. */
static struct limits_client *find(struct limits *limits,
                                  const char key[KEY_BYTES])
{
    struct limits_client *client =
        map_get(&limits->clients, slice_of(key, KEY_BYTES));
    if (client == NULL) {
        client = mem_alloc_zero(sizeof(*client));
        memcpy(client->key, key, KEY_BYTES);
        list_push_back(&limits->idle, &client->link);
        limits->idle_count++;
        map_put(&limits->clients, client);
    }
    return client;
}

/* An IPv4 address that came by IPv6 is the same client. False: neither. */
static bool make_key(const struct sockaddr *address, char out[KEY_BYTES])
{
    memset(out, 0, KEY_BYTES);
    out[0] = 4;
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *ip4 = (const void *)address;
        memcpy(out + 1, &ip4->sin_addr, 4);
        return true;
    }
    if (address->sa_family != AF_INET6) {
        return false;
    }
    const struct sockaddr_in6 *ip6 = (const void *)address;
    if (IN6_IS_ADDR_V4MAPPED(&ip6->sin6_addr)) {
        memcpy(out + 1, &ip6->sin6_addr.s6_addr[12], 4);
        return true;
    }
    out[0] = 6;
    memcpy(out + 1, &ip6->sin6_addr, 8);
    return true;
}

/* "127.0.0.1:4711", "::1:4711" or "[::1]:4711". */
static bool read_key(struct slice peer, char out[KEY_BYTES])
{
    char text[INET6_ADDRSTRLEN];
    struct sockaddr_in ip4 = {.sin_family = AF_INET};
    struct sockaddr_in6 ip6 = {.sin6_family = AF_INET6};
    size_t size = peer.size;
    while (size > 0 && peer.at[size - 1] != ':') {
        size--;
    }
    size -= size > 0 ? 1 : 0;
    if (size > 2 && peer.at[0] == '[' && peer.at[size - 1] == ']') {
        peer.at++;
        size -= 2;
    }
    if (size == 0 || size >= sizeof(text)) {
        return false;
    }
    memcpy(text, peer.at, size);
    text[size] = '\0';
    if (inet_pton(AF_INET, text, &ip4.sin_addr) == 1) {
        return make_key((const struct sockaddr *)&ip4, out);
    }
    return inet_pton(AF_INET6, text, &ip6.sin6_addr) == 1 &&
           make_key((const struct sockaddr *)&ip6, out);
}

static void count_met(struct limits *limits, enum limits_kind kind)
{
    atomic_fetch_add_explicit(&limits->met[kind], 1, memory_order_relaxed);
}

/* ---- connections --------------------------------------------------------- */

bool limits_enter(struct limits *limits, const struct sockaddr *address,
                  int64_t now_ns, struct limits_client **out)
{
    char key[KEY_BYTES];
    *out = NULL;
    if (limits == NULL || !make_key(address, key)) {
        return true;
    }
    uint64_t max = limits->config.connections_max;
    pthread_mutex_lock(&limits->lock);
    struct limits_client *client = find(limits, key);
    bool ok = max == 0 || client->connections < max;
    if (ok) {
        if (client->connections++ == 0) {
            list_remove(&client->link);
            limits->idle_count--;
        }
        *out = client;
    }
    forget_some(limits, now_ns);
    pthread_mutex_unlock(&limits->lock);
    if (!ok) {
        count_met(limits, LIMITS_CONNECTIONS);
    }
    return ok;
}

void limits_leave(struct limits *limits, struct limits_client *client,
                  int64_t now_ns)
{
    if (client == NULL) {
        return;
    }
    pthread_mutex_lock(&limits->lock);
    CHECK_LT(0, client->connections);
    if (--client->connections == 0) {
        list_push_back(&limits->idle, &client->link);
        limits->idle_count++;
    }
    forget_some(limits, now_ns);
    pthread_mutex_unlock(&limits->lock);
}

void limits_hold(struct limits_client *client, int64_t more)
{
    if (client != NULL && more != 0) {
        int64_t before = atomic_fetch_add_explicit(&client->held, more,
                                                   memory_order_relaxed);
        CHECK_LE(0, before + more);
    }
}

/* ---- requests ------------------------------------------------------------ */

/* The bucket holds a second's worth: so far may `full_ns` be off, one more
 * request included. Needs: the lock. */
static bool take_one(const struct limits *limits, struct limits_client *client,
                     int64_t now_ns, uint64_t *retry_s)
{
    int64_t cost_ns = SECOND_NS / (int64_t)limits->config.requests_per_second;
    int64_t from_ns = client->full_ns > now_ns ? client->full_ns : now_ns;
    if (from_ns + cost_ns > now_ns + SECOND_NS) {
        *retry_s = 1;
        return false;
    }
    client->full_ns = from_ns + cost_ns;
    return true;
}

bool limits_request(struct limits *limits, struct slice peer, size_t bytes,
                    int64_t now_ns, enum limits_kind *why, uint64_t *retry_s)
{
    char key[KEY_BYTES];
    uint64_t bytes_max = limits->config.bytes_max;
    *retry_s = 1;
    if (!read_key(peer, key)) {
        return true;
    }
    pthread_mutex_lock(&limits->lock);
    struct limits_client *client = find(limits, key);
    bool ok = true;
    *why = LIMITS_BYTES;
    if (bytes_max != 0) {
        uint64_t held = (uint64_t)atomic_load(&client->held);
        /* What is held may be this one's own body, so that a single request
         * gets in whatever its size is. */
        ok = held <= bytes_max || held <= bytes;
    }
    if (ok && limits->config.requests_per_second != 0) {
        *why = LIMITS_REQUESTS;
        ok = take_one(limits, client, now_ns, retry_s);
    }
    pthread_mutex_unlock(&limits->lock);
    if (!ok) {
        count_met(limits, *why);
    }
    return ok;
}

/* ---- what is told -------------------------------------------------------- */

uint64_t limits_met(const struct limits *limits, enum limits_kind kind)
{
    return limits == NULL
               ? 0
               : atomic_load_explicit(&limits->met[kind], memory_order_relaxed);
}

size_t limits_clients(struct limits *limits)
{
    pthread_mutex_lock(&limits->lock);
    size_t count = limits->clients.count;
    pthread_mutex_unlock(&limits->lock);
    return count;
}

void limits_metrics(struct limits *limits, uint64_t watchers_met,
                    struct buf *out)
{
    static const char *const names[LIMITS_KIND_COUNT] = {
        [LIMITS_CONNECTIONS] = "connections",
        [LIMITS_REQUESTS] = "requests_per_second",
        [LIMITS_BYTES] = "bytes_in_flight",
        [LIMITS_WATCHERS] = "watchers",
    };
    buf_append_str(out,
                   "# HELP etched_client_limit_total What was refused since a "
                   "client had as much as it may have.\n"
                   "# TYPE etched_client_limit_total counter\n");
    for (int i = 0; i < LIMITS_KIND_COUNT; i++) {
        uint64_t met = i == LIMITS_WATCHERS
                           ? watchers_met
                           : limits_met(limits, (enum limits_kind)i);
        buf_printf(out, "etched_client_limit_total{limit=\"%s\"} %llu\n",
                   names[i], (unsigned long long)met);
    }
    buf_printf(out,
               "# HELP etched_clients The addresses that limits are counted "
               "for.\n# TYPE etched_clients gauge\netched_clients %zu\n",
               limits == NULL ? 0 : limits_clients(limits));
}
