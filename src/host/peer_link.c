/* The connection that this member makes to another one.
 *
 *            hurry, or its time                 socket
 *   IDLE ----------------------> (resolving) ----------> CONNECTING
 *    ^  pause, with growing time                             | connected
 *    |                                                       v
 *    |                                            HANDSHAKE, where it is https
 *    |                                                       |
 *    '<--- every URL and address failed ------------<---- GREETING
 *    |                                                       | answered: ok
 *    '<--- its end: the node is told at once --------<---   UP
 *
 * The URLs are tried in turn, and of each all its addresses; only when all
 * have failed comes a pause. Everything here is on the peers thread; the
 * writer sees the member's `fd` and `tls` alone, under its mutex. Of a
 * connection that is up and has TLS this thread reads under the mutex too.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/version.h"
#include "host/peers_int.h"

enum {
    TALK_READ_BYTES = 4096,
    TLS_ALERT = 0x15, /* the first byte of a record (RFC 8446, section 5.1) */
};

enum phase { CONNECTING, HANDSHAKE, GREETING, UP };

struct peer_link {
    uv_poll_t poll;             /* first: libuv hands it back */
    struct peer_member *member; /* NULL: ended */
    enum phase phase;
    int fd;
    struct tls *tls; /* NULL: plain */
    int interest;
    int64_t deadline_ms; /* of the phase */
    struct peer_address address;
    struct peer_cutter cutter;
};

static uint64_t id_of(const struct peer_member *member)
{
    return atomic_load(&member->id);
}

static int64_t now_of(const struct peer_member *member)
{
    return peers__now_ms(member->peers);
}

/* ---- the end of one ------------------------------------------------------ */

static void on_closed(uv_handle_t *handle)
{
    struct peer_link *link = (struct peer_link *)(void *)handle;
    peer_socket__close(link->fd, link->tls);
    peer_cutter_deinit(&link->cutter);
    mem_free(link);
}

/* The socket is taken from the writer first. Returns how many messages were
 * lost with it. */
static size_t end_link(struct peer_member *member)
{
    struct peer_link *link = member->link;
    pthread_mutex_lock(&member->mutex);
    member->fd = -1;
    member->tls = NULL;
    member->waiting = false;
    member->broken = false;
    size_t lost = link != NULL && link->phase == UP
                      ? peer_queue__clear(&member->queue)
                      : 0;
    pthread_mutex_unlock(&member->mutex);
    atomic_store(&member->connected, false);
    if (link != NULL) {
        member->link = NULL;
        link->member = NULL;
        uv_close((uv_handle_t *)&link->poll, on_closed);
    }
    atomic_fetch_add(&member->messages_dropped, lost);
    return lost;
}

static void set_hopeful(struct peer_member *member, bool hopeful)
{
    size_t lost = 0;
    pthread_mutex_lock(&member->mutex);
    member->hopeful = hopeful;
    if (!hopeful) {
        lost = peer_queue__clear(&member->queue);
    }
    pthread_mutex_unlock(&member->mutex);
    atomic_fetch_add(&member->messages_dropped, lost);
}

void peer_link__end(struct peer_member *member)
{
    (void)end_link(member);
    peer_resolve__cancel(member->resolve);
    member->resolve = NULL;
    member->addresses.count = 0;
    member->address_next = 0;
    member->try_ms = INT64_MAX;
}

/* Half of it by chance, so that members don't come all at once. */
static void plan_try(struct peer_member *member)
{
    struct peers *peers = member->peers;
    int64_t half_ms = member->pause_ms / 2;
    member->try_ms = now_of(member) + half_ms +
                     prng_between(&peers->prng, 0, member->pause_ms - half_ms);
    member->pause_ms = member->pause_ms * 2 < PEERS_PAUSE_MAX_MS
                           ? member->pause_ms * 2
                           : PEERS_PAUSE_MAX_MS;
    member->url_next = 0;
    member->addresses.count = 0;
    member->address_next = 0;
    peers__look_at(peers, member->try_ms);
}

/* Once in a while: `told_ms` is when it was last. */
static void warn_again(struct peer_member *member, int64_t *told_ms,
                       const char *what, const char *why)
{
    int64_t now_ms = now_of(member);
    if (*told_ms >= 0 && now_ms < *told_ms + PEERS_WARN_AGAIN_MS) {
        return;
    }
    *told_ms = now_ms;
    log_warn("peers", what, LOG_HEX("member", id_of(member)),
             LOG_STR("why", why));
}

static void warn(struct peer_member *member, const char *what, const char *why)
{
    warn_again(member, &member->warned_ms, what, why);
}

/* It isn't away, but something is wrong with it or with us. */
static void explain(struct peer_member *member, const char *what,
                    const char *why)
{
    warn_again(member, &member->explained_ms, what, why);
}

/* An established connection is gone: what the fail-over waits for. */
static void lose(struct peer_member *member, const char *why)
{
    struct peers *peers = member->peers;
    uint64_t id = id_of(member);
    size_t lost = end_link(member);
    log_warn("peers", "lost the connection to a member", LOG_HEX("member", id),
             LOG_STR("why", why), LOG_UINT("messages_lost", lost));
    atomic_fetch_add(&member->send_failures, 1);
    member->warned_ms = member->explained_ms = -1;
    member->pause_ms = PEERS_PAUSE_MIN_MS;
    plan_try(member);
    peers__unreachable(peers, id);
    peers__lost(peers, id);
}

/* ---- trying -------------------------------------------------------------- */

static void on_poll(uv_poll_t *poll, int status, int events);

static void set_interest(struct peer_link *link, int interest)
{
    if (interest != link->interest) {
        int failed = uv_poll_start(&link->poll, interest, on_poll);
        CHECK_EQ(failed, 0);
        link->interest = interest;
    }
}

/* False: this address can't be connected to. */
static bool connect_to(struct peer_member *member,
                       const struct peer_address *address)
{
    struct peers *peers = member->peers;
    CHECK(member->link == NULL);
    int fd = socket(address->at.ss_family,
                    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    peers__setup_socket(peers, fd);
    if (connect(fd, (const void *)&address->at, address->size) != 0 &&
        errno != EINPROGRESS) {
        close(fd);
        return false;
    }
    struct peer_link *link = mem_alloc_zero(sizeof(*link));
    link->member = member;
    link->fd = fd;
    link->address = *address;
    link->cutter.bytes_max = PEER_TALK_BYTES_MAX;
    link->deadline_ms = now_of(member) + PEERS_CONNECT_MS;
    if (member->addresses.tls) {
        link->tls = tls_new(peers->config.tls, fd, member->addresses.host);
        CHECK(link->tls != NULL);
    }
    if (uv_poll_init(&peers->loop, &link->poll, fd) != 0) {
        peer_socket__close(fd, link->tls);
        mem_free(link);
        return false;
    }
    member->link = link;
    set_interest(link, UV_WRITABLE);
    peers__look_at(peers, link->deadline_ms);
    return true;
}

/* The next URL of the list, as a copy in `out`; false: it was the last. */
static bool next_url(struct peer_member *member, struct buf *out)
{
    pthread_mutex_lock(&member->peers->table);
    const char *at = member->urls == NULL ? "" : member->urls;
    for (size_t i = 0; i < member->url_next && at != NULL; i++) {
        at = strchr(at, ',');
        at = at == NULL ? NULL : at + 1;
    }
    if (at != NULL) {
        buf_append(out, at, strcspn(at, ","));
    }
    pthread_mutex_unlock(&member->peers->table);
    member->url_next++;
    return at != NULL && out->size > 0;
}

/* A guest that says 0.0.0.0 means its own machine, not this one. */
static const struct peer_address *
instead_of_any(const struct peer_member *member)
{
    return member->listed || member->origin.size == 0 ? NULL : &member->origin;
}

/* False: there is no URL left. */
static bool take_next_url(struct peer_member *member)
{
    struct buf url = {0};
    bool found = next_url(member, &url);
    member->address_next = 0;
    member->addresses.count = 0;
    if (found) {
        pthread_mutex_lock(&member->peers->table);
        const struct peer_address *instead = instead_of_any(member);
        pthread_mutex_unlock(&member->peers->table);
        enum err err =
            peer_resolve__url(member->peers, buf_slice(&url), instead,
                              &member->addresses, &member->resolve);
        if (err != ERR_OK) {
            explain(member, "a member's peer URL is of no use", err_note());
        }
    }
    buf_deinit(&url);
    return found;
}

/* Until a connection or a look-up is under way, or nothing is left to try. */
static void try_next(struct peer_member *member)
{
    struct peer_addresses *addresses = &member->addresses;
    CHECK(member->link == NULL && member->resolve == NULL);
    member->try_ms = INT64_MAX;
    for (;;) {
        while (member->address_next < addresses->count) {
            if (connect_to(member, &addresses->at[member->address_next++])) {
                return;
            }
        }
        if (!take_next_url(member)) {
            break;
        }
        if (member->resolve != NULL) {
            return;
        }
    }
    set_hopeful(member, false);
    plan_try(member);
    warn(member, "can't connect to a member; trying again and again",
         "none of its peer URLs answers");
    peers__unreachable(member->peers, id_of(member));
}

/* It didn't come up. */
static void fail(struct peer_link *link, const char *why)
{
    struct peer_member *member = link->member;
    log_debug("peers", "can't connect to a member",
              LOG_HEX("member", id_of(member)), LOG_STR("why", why));
    (void)end_link(member);
    try_next(member);
}

static void end_with(struct peer_link *link, const char *why)
{
    if (link->phase == UP) {
        lose(link->member, why);
    } else {
        fail(link, why);
    }
}

void peer_link__hurry(struct peer_member *member)
{
    if (member->link != NULL || member->resolve != NULL) {
        return;
    }
    set_hopeful(member, true);
    member->pause_ms = PEERS_PAUSE_MIN_MS;
    member->try_ms = now_of(member);
    peers__look_at(member->peers, member->try_ms);
}

/* ---- greeting ------------------------------------------------------------ */

void peer_link__greeting(const struct peers *peers, uint64_t to,
                         enum peer_kind kind, struct slice snapshot,
                         struct buf *out)
{
    struct peer_greeting greeting = {
        .kind = kind,
        .cluster_id = peers->cluster_id,
        .from = peers->member_id,
        .to = to,
        .version = SLICE(ETCHED_VERSION),
        .peer_urls = slice_str(peers->peer_urls),
        .snapshot = snapshot,
    };
    peer_greeting_encode(&greeting, out);
}

/* What became of it, as an errno value; 0: nothing bad. */
static int socket_error(int fd)
{
    int number = 0;
    socklen_t size = sizeof(number);
    int failed = getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &size);
    return failed != 0 ? errno : number;
}

static void greet(struct peer_link *link)
{
    struct peer_member *member = link->member;
    struct buf greeting = {0};
    peer_link__greeting(member->peers, id_of(member), PEER_MESSAGES,
                        slice_of(NULL, 0), &greeting);
    /* A new connection's buffer takes it. */
    bool whole =
        peer_socket__send_whole(link->fd, link->tls, buf_slice(&greeting));
    buf_deinit(&greeting);
    if (!whole) {
        fail(link, "the greeting can't be sent");
        return;
    }
    link->phase = GREETING;
    link->deadline_ms = now_of(member) + PEERS_ANSWER_MS;
    set_interest(link, UV_READABLE);
    peers__look_at(member->peers, link->deadline_ms);
}

/* An operator must see the reason: it doesn't pass by itself. */
static void fail_handshake(struct peer_link *link, const char *why)
{
    struct buf text = {0};
    char address[128];
    peer_resolve__text(&link->address, address, sizeof(address));
    buf_printf(&text, "TLS with %s: %s", address, why);
    buf_append_char(&text, '\0');
    explain(link->member, "no TLS with a member; trying again and again",
            text.at);
    link->member->pause_ms = PEERS_PAUSE_MAX_MS;
    fail(link, text.at);
    buf_deinit(&text);
}

/* A step of it: the rest when the socket can be read or written. */
static void shake_hands(struct peer_link *link)
{
    enum err err = tls_handshake(link->tls);
    if (err == ERR_BUSY) {
        set_interest(link, (tls_wants(link->tls) & POLLOUT) != 0 ? UV_WRITABLE
                                                                 : UV_READABLE);
    } else if (err != ERR_OK) {
        fail_handshake(link, err_note());
    } else if (!slice_eq(tls_alpn(link->tls), SLICE(PEERS_ALPN))) {
        fail_handshake(link, "it isn't the peer port of a member");
    } else {
        greet(link);
    }
}

static void begin(struct peer_link *link)
{
    int number = socket_error(link->fd);
    if (number != 0) {
        fail(link, strerror(number));
    } else if (link->tls == NULL) {
        greet(link);
    } else {
        link->phase = HANDSHAKE;
        link->deadline_ms = now_of(link->member) + PEERS_HANDSHAKE_MS;
        peers__look_at(link->member->peers, link->deadline_ms);
        shake_hands(link);
    }
}

static void drain(struct peer_link *link);

static void come_up(struct peer_link *link)
{
    struct peer_member *member = link->member;
    char address[128];
    peer_resolve__text(&link->address, address, sizeof(address));
    log_info("peers", "connected to a member", LOG_HEX("member", id_of(member)),
             LOG_STR("address", address),
             LOG_STR("tls", link->tls == NULL ? "no" : tls_version(link->tls)));
    link->phase = UP;
    link->deadline_ms = INT64_MAX;
    member->pause_ms = PEERS_PAUSE_MIN_MS;
    member->stall_ms = now_of(member) + member->peers->stall_ms;
    atomic_store(&member->connected, true);
    pthread_mutex_lock(&member->mutex);
    member->fd = link->fd;
    member->tls = link->tls;
    member->address = link->address;
    memcpy(member->host, member->addresses.host, sizeof(member->host));
    member->hopeful = true;
    member->told_ms = 0;
    member->waiting = member->queue.count > 0;
    pthread_mutex_unlock(&member->mutex);
    drain(link);
}

static void be_refused(struct peer_link *link, const struct peer_answer *answer)
{
    struct peer_member *member = link->member;
    const struct peers_config *config = &member->peers->config;
    char text[256];
    size_t size = answer->text.size < sizeof(text) - 1 ? answer->text.size
                                                       : sizeof(text) - 1;
    if (size > 0) {
        memcpy(text, answer->text.at, size);
    }
    text[size] = '\0';
    explain(member, "a member refuses the connection", text);
    if (answer->verdict == PEER_REMOVED) {
        config->on_refused(config->context, ERR_GONE, text);
    } else if (answer->verdict == PEER_WRONG_CLUSTER) {
        config->on_refused(config->context, ERR_WRONG_CLUSTER, text);
    }
    member->pause_ms = PEERS_PAUSE_MAX_MS;
    fail(link, text);
}

static void take_answer(struct peer_link *link, struct refbuf *frame, bool more)
{
    struct peer_answer answer;
    enum err err =
        peer_answer_decode(slice_of(frame->bytes, frame->size), &answer);
    if (err != ERR_OK || more) {
        fail(link, err != ERR_OK ? err_note() : "more came than an answer");
    } else if (answer.verdict == PEER_OK) {
        come_up(link);
    } else {
        be_refused(link, &answer);
    }
    refbuf_unref(frame);
}

/* ---- the socket ---------------------------------------------------------- */

/* The writer may be sending. */
static ssize_t read_bytes(struct peer_link *link, char *out, size_t size)
{
    if (link->tls == NULL || link->phase != UP) {
        return peer_socket__recv(link->fd, link->tls, out, size);
    }
    pthread_mutex_lock(&link->member->mutex);
    ssize_t got = peer_socket__recv(link->fd, link->tls, out, size);
    int number = errno;
    pthread_mutex_unlock(&link->member->mutex);
    errno = number;
    return got;
}

/* What an operator can do of a greeting that isn't answered; NULL: it is. With
 * TLS 1.3 the other side looks at our certificate when for us the handshake is
 * done, and a peer port with TLS has no word for who comes without. */
static const char *why_no_answer(const struct peer_link *link,
                                 const char *bytes, ssize_t size)
{
    if (link->phase != GREETING || (size > 0 && link->tls != NULL)) {
        return NULL;
    }
    if (link->tls != NULL) {
        return "it ends the connection after the handshake; does it take this "
               "member's certificate (see its log)?";
    }
    return size <= 0 || bytes[0] == TLS_ALERT
               ? "it ends the connection without an answer; if its peer port "
                 "has TLS, its peer URL has to begin with https"
               : NULL;
}

/* True: that is what happened, and the link is gone. */
static bool fail_unanswered(struct peer_link *link, const char *bytes,
                            ssize_t size)
{
    const char *why = why_no_answer(link, bytes, size);
    if (why != NULL) {
        explain(link->member, "no connection to a member", why);
        fail(link, why);
    }
    return why != NULL;
}

static void take_input(struct peer_link *link, struct slice input)
{
    struct refbuf *frame = NULL;
    enum err err = peer_cutter_next(&link->cutter, &input, &frame);
    if (err != ERR_OK) {
        fail(link, err_note());
    } else if (frame != NULL) {
        take_answer(link, frame, input.size > 0);
    }
}

/* Nothing comes on one that is up but its end. True: there may be more. */
static bool read_some(struct peer_link *link)
{
    char bytes[TALK_READ_BYTES];
    ssize_t size = read_bytes(link, bytes, sizeof(bytes));
    if (peer_socket__is_passing(size)) {
        return false;
    }
    if (fail_unanswered(link, bytes, size)) {
        return false;
    }
    if (size <= 0) {
        end_with(link, peer_socket__why(size));
    } else if (link->phase == UP) {
        end_with(link, "it speaks where it should listen");
    } else {
        take_input(link, slice_of(bytes, (size_t)size));
    }
    return link->member != NULL && link->phase == GREETING;
}

/* What the writer could not send; it is the writer's again when all is gone. */
static void drain(struct peer_link *link)
{
    struct peer_member *member = link->member;
    uint64_t bytes = 0;
    uint64_t writes = 0;
    enum peer_sent sent = PEER_SENT_ALL;
    pthread_mutex_lock(&member->mutex);
    if (member->waiting && !member->broken) {
        sent = peer_queue__send(&member->queue, link->fd, link->tls, &bytes,
                                &writes);
        member->waiting = sent == PEER_SENT_PART;
    }
    bool broken = member->broken || sent == PEER_SENT_BROKEN;
    pthread_mutex_unlock(&member->mutex);
    atomic_fetch_add(&member->sent_bytes, bytes);
    atomic_fetch_add(&member->writes, writes);
    if (broken) {
        lose(member, "it can't be sent to");
        return;
    }
    if (bytes > 0 || sent == PEER_SENT_ALL) {
        member->stall_ms = now_of(member) + member->peers->stall_ms;
    }
    set_interest(link,
                 UV_READABLE | (sent == PEER_SENT_PART ? UV_WRITABLE : 0));
}

/* Until there is nothing: what TLS holds already isn't polled for. */
static void read_all(struct peer_link *link)
{
    bool more;
    do {
        more = read_some(link);
    } while (more);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct peer_link *link = (struct peer_link *)(void *)poll;
    if (link->member == NULL) {
        return;
    }
    if (status < 0) {
        int number = socket_error(link->fd);
        if (!fail_unanswered(link, NULL, 0)) {
            end_with(link,
                     number != 0 ? strerror(number) : uv_strerror(status));
        }
        return;
    }
    if (link->phase == CONNECTING) {
        begin(link);
        return;
    }
    if (link->phase == HANDSHAKE) {
        shake_hands(link);
        return;
    }
    if ((events & UV_READABLE) != 0) {
        read_all(link);
    }
    if (link->member != NULL && link->phase == UP &&
        (events & UV_WRITABLE) != 0) {
        drain(link);
    }
}

/* ---- what is due --------------------------------------------------------- */

static void fail_in_time(struct peer_link *link)
{
    if (link->phase == HANDSHAKE) {
        fail_handshake(link, "no answer in time; does it speak TLS there?");
    } else {
        fail(link, "no answer in time");
    }
}

static void look_at_link(struct peer_member *member, int64_t now_ms)
{
    struct peer_link *link = member->link;
    if (link->phase != UP) {
        if (now_ms >= link->deadline_ms) {
            fail_in_time(link);
        }
        return;
    }
    pthread_mutex_lock(&member->mutex);
    bool wanted = member->waiting || member->broken;
    pthread_mutex_unlock(&member->mutex);
    bool was_wanted = (link->interest & UV_WRITABLE) != 0;
    if (wanted && !was_wanted) {
        member->stall_ms = now_ms + member->peers->stall_ms;
        drain(link);
    } else if (wanted && now_ms >= member->stall_ms) {
        lose(member, "it takes nothing any more");
    }
}

int64_t peer_link__look(struct peer_member *member, int64_t now_ms)
{
    if (member->resolve != NULL &&
        peer_resolve__take(member->resolve, &member->addresses)) {
        member->resolve = NULL;
        member->address_next = 0;
        try_next(member);
    } else if (member->link != NULL) {
        look_at_link(member, now_ms);
    } else if (now_ms >= member->try_ms) {
        try_next(member);
    }
    if (member->link != NULL && member->link->phase != UP) {
        return member->link->deadline_ms;
    }
    return member->try_ms;
}
