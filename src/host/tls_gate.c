#include "host/tls_gate.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"

enum {
    EVENTS_MAX = 64,
    NEWCOMERS_MAX = 64, /* between two looks at the others */
    /* Failures are the world's, and come by the thousand. */
    TELL_EVERY_MS = 10 * 1000,
    /* A record: its head, and as much as it may hold (RFC 8446, 5.1 and 5.2);
     * the first byte of one with a handshake. */
    RECORD_HEAD_BYTES = 5,
    RECORD_BYTES_MAX = RECORD_HEAD_BYTES + 16384 + 256,
    RECORD_HANDSHAKE = 0x16,
};

struct guest {
    struct list age;   /* in `all`: the oldest first */
    struct list phase; /* in posted, silent or busy: the oldest first */
    struct tls_context *context;
    struct tls *tls; /* NULL: its first record isn't there yet */
    int fd;
    int tag;
    int64_t due_ms;
};

struct tls_gate {
    struct tls_gate_config config;
    pthread_t thread;
    int epoll;
    int wake; /* an eventfd, in epoll with no guest */
    pthread_mutex_t mutex;
    struct list posted; /* under it */
    size_t posted_count;
    atomic_bool stopping;

    /* The thread's. Most who hold a handshake up haven't begun it: until its
     * first record is there a guest costs no more than its socket. */
    struct list all;
    struct list silent;
    struct list busy;
    size_t silent_count;
    int64_t told_ms;
    char record[RECORD_BYTES_MAX];
    atomic_size_t open_count;
    _Atomic uint64_t done, failed, timed_out, displaced, resumed;
};

static int64_t now_ms(void)
{
    struct timespec now;
    CHECK_EQ(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- guests -------------------------------------------------------------- */

static void free_guest(struct guest *guest)
{
    list_remove(&guest->age);
    list_remove(&guest->phase);
    tls_free(guest->tls);
    tls_context_unref(guest->context);
    if (guest->fd >= 0) {
        close(guest->fd);
    }
    mem_free(guest);
}

static void leave(struct tls_gate *gate, struct guest *guest)
{
    if (guest->tls == NULL) {
        CHECK(gate->silent_count > 0);
        gate->silent_count--;
    }
    atomic_fetch_sub_explicit(&gate->open_count, 1, memory_order_relaxed);
    free_guest(guest);
}

static void tell_failure(struct tls_gate *gate, const char *why)
{
    int64_t now = now_ms();
    count(&gate->failed);
    if (gate->told_ms != 0 && now < gate->told_ms + TELL_EVERY_MS) {
        return;
    }
    gate->told_ms = now;
    log_info("tls", "a handshake failed", LOG_STR("why", why),
             LOG_UINT("failed", atomic_load(&gate->failed)));
}

static void watch(const struct tls_gate *gate, struct guest *guest, int how)
{
    struct epoll_event event = {.data.ptr = guest};
    event.events = (tls_wants(guest->tls) & POLLOUT) != 0 ? EPOLLOUT : EPOLLIN;
    CHECK_EQ(epoll_ctl(gate->epoll, how, guest->fd, &event), 0);
}

/* It is through: whoever serves has it from now on. */
static void pass(struct tls_gate *gate, struct guest *guest)
{
    int fd = guest->fd;
    struct tls *tls = guest->tls;
    int tag = guest->tag;
    CHECK_EQ(epoll_ctl(gate->epoll, EPOLL_CTL_DEL, fd, NULL), 0);
    count(&gate->done);
    if (tls_is_resumed(tls)) {
        count(&gate->resumed);
    }
    atomic_fetch_sub_explicit(&gate->open_count, 1, memory_order_relaxed);
    guest->fd = -1;
    guest->tls = NULL;
    free_guest(guest);
    gate->config.on_ready(gate->config.context, fd, tls, tag);
}

static void shake_hands(struct tls_gate *gate, struct guest *guest, int how)
{
    short wanted = tls_wants(guest->tls);
    enum err err = tls_handshake(guest->tls);
    if (err == ERR_OK) {
        pass(gate, guest);
    } else if (err != ERR_BUSY) {
        tell_failure(gate, err_note());
        leave(gate, guest);
    } else if (how != 0 || tls_wants(guest->tls) != wanted) {
        watch(gate, guest, EPOLL_CTL_MOD);
    }
}

/* Whether the first record is there as a whole, or is none. */
static bool has_begun(struct tls_gate *gate, const struct guest *guest)
{
    const unsigned char *head = (const unsigned char *)gate->record;
    ssize_t got = recv(guest->fd, gate->record, sizeof(gate->record),
                       MSG_PEEK | MSG_DONTWAIT);
    if (got <= 0) {
        return got == 0 || (errno != EAGAIN && errno != EINTR);
    }
    if (head[0] != RECORD_HANDSHAKE) {
        return true; /* the library knows what to say of it */
    }
    size_t size = RECORD_HEAD_BYTES;
    if (got >= RECORD_HEAD_BYTES) {
        size += (size_t)head[3] << 8 | head[4];
    }
    return (size_t)got >= size || size > sizeof(gate->record);
}

static void begin(struct tls_gate *gate, struct guest *guest)
{
    guest->tls = tls_new(guest->context, guest->fd, NULL);
    gate->silent_count--;
    list_remove(&guest->phase);
    list_push_back(&gate->busy, &guest->phase);
    shake_hands(gate, guest, EPOLL_CTL_MOD);
}

static void go_on(struct tls_gate *gate, struct guest *guest, uint32_t events)
{
    if (guest->tls != NULL) {
        shake_hands(gate, guest, 0);
    } else if (has_begun(gate, guest)) {
        begin(gate, guest);
    } else if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        tell_failure(gate, "the other side has closed the connection");
        leave(gate, guest);
    }
}

/* A quarter of the room is for those who shake hands already, so that whoever
 * has begun stays, however many say nothing; the rest for those who haven't
 * yet, so that there is time to. */
static void displace_oldest(struct tls_gate *gate)
{
    size_t busy_count = atomic_load(&gate->open_count) - gate->silent_count;
    bool is_silent =
        gate->silent_count > 0 && busy_count <= gate->config.handshakes_max / 4;
    struct list *oldest = list_first(is_silent ? &gate->silent : &gate->busy);
    CHECK(oldest != NULL);
    count(&gate->displaced);
    leave(gate, CONTAINER_OF(oldest, struct guest, phase));
}

static void let_in(struct tls_gate *gate, struct guest *guest)
{
    /* By its edges: what came in part stays unread. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET,
                                .data.ptr = guest};
    if (atomic_load_explicit(&gate->open_count, memory_order_relaxed) >=
        gate->config.handshakes_max) {
        displace_oldest(gate);
    }
    guest->due_ms = now_ms() + gate->config.handshake_ms;
    list_push_back(&gate->all, &guest->age);
    list_push_back(&gate->silent, &guest->phase);
    gate->silent_count++;
    atomic_fetch_add_explicit(&gate->open_count, 1, memory_order_relaxed);
    CHECK_EQ(epoll_ctl(gate->epoll, EPOLL_CTL_ADD, guest->fd, &event), 0);
}

/* ---- the thread ---------------------------------------------------------- */

static void wake(struct tls_gate *gate)
{
    uint64_t one = 1;
    ssize_t put = write(gate->wake, &one, sizeof(one));
    CHECK(put == sizeof(one) || errno == EAGAIN);
}

static struct guest *take_posted(struct tls_gate *gate)
{
    struct guest *guest = NULL;
    pthread_mutex_lock(&gate->mutex);
    struct list *first = list_first(&gate->posted);
    if (first != NULL) {
        guest = CONTAINER_OF(first, struct guest, phase);
        list_remove(first);
        gate->posted_count--;
    }
    pthread_mutex_unlock(&gate->mutex);
    return guest;
}

/* Some of them: those who are here already go on in between. */
static void take_in(struct tls_gate *gate)
{
    for (int i = 0; i < NEWCOMERS_MAX; i++) {
        struct guest *guest = take_posted(gate);
        if (guest == NULL) {
            uint64_t number;
            ssize_t got = read(gate->wake, &number, sizeof(number));
            CHECK(got == sizeof(number) || errno == EAGAIN);
            /* One who came before that was read. */
            guest = take_posted(gate);
            if (guest == NULL) {
                return;
            }
        }
        let_in(gate, guest);
    }
    wake(gate); /* there may be more */
}

/* All have the same time, so the first are the first to be late. */
static int end_late(struct tls_gate *gate)
{
    struct list *first;
    while ((first = list_first(&gate->all)) != NULL) {
        struct guest *guest = CONTAINER_OF(first, struct guest, age);
        int64_t left = guest->due_ms - now_ms();
        if (left > 0) {
            return (int)left;
        }
        count(&gate->timed_out);
        leave(gate, guest);
    }
    return -1;
}

/* Newcomers come last: they may displace one whose event is among these. */
static void handle(struct tls_gate *gate, const struct epoll_event *events,
                   int events_count)
{
    bool woken = false;
    for (int i = 0; i < events_count; i++) {
        if (events[i].data.ptr == NULL) {
            woken = true;
        } else {
            go_on(gate, events[i].data.ptr, events[i].events);
        }
    }
    if (woken) {
        take_in(gate);
    }
}

static void *run(void *context)
{
    struct tls_gate *gate = context;
    struct epoll_event events[EVENTS_MAX];
    while (!atomic_load(&gate->stopping)) {
        int wait_ms = end_late(gate);
        int got = epoll_wait(gate->epoll, events, EVENTS_MAX, wait_ms);
        CHECK(got >= 0 || errno == EINTR);
        handle(gate, events, got);
    }
    return NULL;
}

/* ---- from outside -------------------------------------------------------- */

bool tls_gate_has_room(struct tls_gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    bool has_room =
        gate->posted_count < TLS_GATE_WAITING(gate->config.handshakes_max);
    pthread_mutex_unlock(&gate->mutex);
    return has_room;
}

void tls_gate_take(struct tls_gate *gate, int fd, struct tls_context *context,
                   int tag)
{
    struct guest *guest = mem_alloc_zero(sizeof(*guest));
    guest->fd = fd;
    guest->tag = tag;
    guest->context = tls_context_ref(context);
    list_init(&guest->age);
    list_init(&guest->phase);
    pthread_mutex_lock(&gate->mutex);
    list_push_back(&gate->posted, &guest->phase);
    gate->posted_count++;
    bool is_first = gate->posted_count == 1;
    pthread_mutex_unlock(&gate->mutex);
    if (is_first) {
        wake(gate);
    }
}

void tls_gate_stat(const struct tls_gate *gate, struct tls_gate_stat *out)
{
    *out = (struct tls_gate_stat){
        .done = atomic_load(&gate->done),
        .failed = atomic_load(&gate->failed),
        .timed_out = atomic_load(&gate->timed_out),
        .displaced = atomic_load(&gate->displaced),
        .resumed = atomic_load(&gate->resumed),
        .open = atomic_load(&gate->open_count),
    };
}

static enum err open_descriptors(struct tls_gate *gate)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    gate->epoll = epoll_create1(EPOLL_CLOEXEC);
    gate->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (gate->epoll < 0 || gate->wake < 0 ||
        epoll_ctl(gate->epoll, EPOLL_CTL_ADD, gate->wake, &event) != 0) {
        return err_set(ERR_IO, "TLS: %s", strerror(errno));
    }
    return ERR_OK;
}

static void free_gate(struct tls_gate *gate)
{
    struct list *first;
    while ((first = list_first(&gate->all)) != NULL) {
        free_guest(CONTAINER_OF(first, struct guest, age));
    }
    while ((first = list_first(&gate->posted)) != NULL) {
        free_guest(CONTAINER_OF(first, struct guest, phase));
    }
    if (gate->epoll >= 0) {
        close(gate->epoll);
    }
    if (gate->wake >= 0) {
        close(gate->wake);
    }
    pthread_mutex_destroy(&gate->mutex);
    mem_free(gate);
}

enum err tls_gate_start(const struct tls_gate_config *config,
                        struct tls_gate **out)
{
    struct tls_gate *gate = mem_alloc_zero(sizeof(*gate));
    *out = NULL;
    gate->config = *config;
    if (config->handshakes_max == 0) {
        gate->config.handshakes_max = TLS_GATE_MAX;
    }
    if (config->handshake_ms == 0) {
        gate->config.handshake_ms = TLS_GATE_MS;
    }
    list_init(&gate->all);
    list_init(&gate->silent);
    list_init(&gate->busy);
    list_init(&gate->posted);
    CHECK_EQ(pthread_mutex_init(&gate->mutex, NULL), 0);
    enum err err = open_descriptors(gate);
    if (err == ERR_OK && pthread_create(&gate->thread, NULL, run, gate) != 0) {
        err = err_set(ERR_IO, "TLS: no thread for handshakes");
    }
    if (err != ERR_OK) {
        free_gate(gate);
        return err;
    }
    *out = gate;
    return ERR_OK;
}

void tls_gate_stop(struct tls_gate *gate)
{
    if (gate == NULL) {
        return;
    }
    atomic_store(&gate->stopping, true);
    wake(gate);
    pthread_join(gate->thread, NULL);
    free_gate(gate);
}
