/* What comes in on the peer port.
 *
 *   accepted --> SNIFF -- a member's preface --> GREETING --> MESSAGES
 *                  |                                 |
 *                  | anything else                   | a snapshot
 *                  v                                 v
 *               on_http, nothing was read        a thread of its own
 *
 * Until it has said who it is, it is a stranger: few of them, and not for
 * long. A member has one connection; a new one takes the place of the old,
 * which may hang half open behind a broken network.
 *
 * One with TLS has done its handshake before it comes here (tls_gate.h), and
 * said by ALPN what it is; SNIFF is passed over.
 *
 * A socket leaves the loop before it is handed to somebody else, so that is
 * done when its handle has been closed.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "host/peers_int.h"

enum {
    TLS_HANDSHAKE = 0x16, /* the first byte of a record, then 3 (RFC 8446) */
    TLS_MAJOR = 3,
};

enum phase { SNIFF, GREETING, MESSAGES };

enum then { CLOSE, HAND_TO_HTTP, HAND_TO_SNAPSHOT };

struct peer_in {
    uv_poll_t poll; /* first: libuv hands it back */
    struct peers *peers;
    struct list link; /* of strangers */
    enum phase phase;
    enum then then;
    bool closing;
    bool has_more; /* a round ended before the bytes did */
    int fd;
    struct tls *tls; /* NULL: plain */
    int64_t deadline_ms;
    int64_t again_ms; /* a look at the first bytes; INT64_MAX: when polled */
    size_t preface_left;
    uint64_t from;
    struct peer_member *member; /* MESSAGES */
    struct refbuf *greeting;    /* HAND_TO_SNAPSHOT */
    struct slice snapshot;      /* in it */
    struct peer_cutter cutter;
};

/* ---- the end of one ------------------------------------------------------ */

static void hand_on(struct peer_in *in)
{
    struct peers *peers = in->peers;
    if (in->then == CLOSE || atomic_load(&peers->stopping)) {
        peer_socket__close(in->fd, in->tls);
    } else if (in->then == HAND_TO_HTTP) {
        peers->config.on_http(peers->config.context, in->fd, in->tls);
    } else {
        peer_snapshot__receive(peers, in->fd, in->tls, in->from, in->snapshot);
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct peer_in *in = (struct peer_in *)(void *)handle;
    hand_on(in);
    refbuf_unref(in->greeting);
    peer_cutter_deinit(&in->cutter);
    mem_free(in);
}

static void end(struct peer_in *in, enum then then)
{
    if (in->closing) {
        return;
    }
    if (in->phase != MESSAGES) {
        CHECK(in->peers->stranger_count > 0);
        list_remove(&in->link);
        in->peers->stranger_count--;
    }
    if (in->member != NULL) {
        CHECK(in->member->in == in);
        in->member->in = NULL;
        in->member = NULL;
    }
    in->closing = true;
    in->then = then;
    uv_close((uv_handle_t *)&in->poll, on_closed);
}

void peer_in__end(struct peer_member *member)
{
    if (member->in != NULL) {
        end(member->in, CLOSE);
    }
}

void peer_in__end_strangers(struct peers *peers)
{
    struct list *at;
    while ((at = list_first(&peers->strangers)) != NULL) {
        end(CONTAINER_OF(at, struct peer_in, link), CLOSE);
    }
    CHECK_EQ(peers->stranger_count, 0);
}

/* The one who spoke on it is gone, as far as can be told from here. */
static void lose(struct peer_in *in, const char *why)
{
    struct peer_member *member = in->member;
    struct peers *peers = in->peers;
    uint64_t from = in->from;
    bool was_member = in->phase == MESSAGES;
    if (was_member) {
        log_warn("peers", "a member's connection to this one ended",
                 LOG_HEX("member", from), LOG_STR("why", why));
    } else {
        log_debug("peers", "a connection to the peer port ended",
                  LOG_STR("why", why));
    }
    end(in, CLOSE);
    if (was_member) {
        peers__lost(peers, from);
        peers__settle(member);
    }
}

/* ---- messages ------------------------------------------------------------ */

/* False: the connection is no good any more. */
static bool take_frames(struct peer_in *in, struct slice input)
{
    struct peers *peers = in->peers;
    struct node *node = atomic_load(&peers->node);
    struct refbuf *frame = NULL;
    do {
        if (peer_cutter_next(&in->cutter, &input, &frame) != ERR_OK) {
            lose(in, err_note());
            return false;
        }
        if (frame != NULL) {
            peers->handed = true;
            node_receive(node, in->from, frame);
        }
    } while (frame != NULL);
    CHECK_EQ(input.size, 0);
    return true;
}

/* Into `room` bytes first, if any, then into the common buffer. With TLS it is
 * a record, and into one of them. */
static ssize_t read_pieces(const struct peer_in *in, char *first, size_t room)
{
    char *buffer = in->peers->buffer;
    struct iovec vectors[2] = {
        {.iov_base = first, .iov_len = room},
        {.iov_base = buffer, .iov_len = PEERS_READ_BYTES}};
    if (in->tls != NULL) {
        return tls_recv(in->tls, room > 0 ? first : buffer,
                        room > 0 ? room : PEERS_READ_BYTES);
    }
    return room > 0 ? readv(in->fd, vectors, 2)
                    : recv(in->fd, buffer, PEERS_READ_BYTES, 0);
}

/* The rest of a large frame goes straight to its place; what comes behind it
 * is cut out of the common buffer. True: there may be more. */
static bool read_messages(struct peer_in *in)
{
    struct peers *peers = in->peers;
    size_t room;
    CHECK(in->member->in == in);
    char *first = peer_cutter_room(&in->cutter, &room);
    ssize_t got = read_pieces(in, first, room);
    if (peer_socket__is_passing(got)) {
        return false;
    }
    if (got <= 0) {
        lose(in, peer_socket__why(got));
        return false;
    }
    size_t size = (size_t)got;
    size_t direct = size < room ? size : room;
    atomic_fetch_add_explicit(&in->member->received_bytes, size,
                              memory_order_relaxed);
    if (direct > 0) {
        peer_cutter_filled(&in->cutter, direct);
    }
    return take_frames(in, slice_of(peers->buffer, size - direct)) &&
           (in->tls != NULL ? tls_has_more(in->tls)
                            : size == room + PEERS_READ_BYTES);
}

/* A member that sends without end leaves the others their turn. What TLS holds
 * decrypted isn't polled for, so there a round that ends early goes on. */
static void read_round(struct peer_in *in)
{
    int most = in->tls != NULL ? PEERS_TLS_READS_A_ROUND : PEERS_READS_A_ROUND;
    int round = 0;
    bool more = true;
    while (more && round < most) {
        more = read_messages(in);
        round++;
    }
    if (more && in->tls != NULL) {
        in->has_more = true;
        peers__look_at(in->peers, peers__now_ms(in->peers));
    }
}

void peer_in__go_on(struct peer_member *member)
{
    struct peer_in *in = member->in;
    if (in != NULL && in->has_more) {
        in->has_more = false;
        read_round(in);
    }
}

/* ---- greeting ------------------------------------------------------------ */

static bool was_removed(struct peers *peers, uint64_t member)
{
    struct node *node = atomic_load(&peers->node);
    lock_read(node_lock(node));
    bool removed = node_member_removed(node, member);
    unlock_read(node_lock(node));
    return removed;
}

/* Appends the reason to `why` where it isn't PEER_OK. */
static enum peer_verdict judge(struct peers *peers,
                               const struct peer_greeting *greeting,
                               struct buf *why)
{
    if (greeting->cluster_id != peers->cluster_id) {
        buf_printf(why, "member %llx belongs to cluster %llx, this one is %llx",
                   (unsigned long long)greeting->from,
                   (unsigned long long)greeting->cluster_id,
                   (unsigned long long)peers->cluster_id);
        return PEER_WRONG_CLUSTER;
    }
    if (greeting->to != peers->member_id || greeting->from == 0 ||
        greeting->from == peers->member_id) {
        buf_printf(why, "member %llx is here, %llx was meant",
                   (unsigned long long)peers->member_id,
                   (unsigned long long)greeting->to);
        return PEER_WRONG_MEMBER;
    }
    if (was_removed(peers, greeting->from)) {
        buf_printf(why, "member %llx was removed from the cluster",
                   (unsigned long long)greeting->from);
        return PEER_REMOVED;
    }
    return PEER_OK;
}

/* False: it can't be told even that, or was refused. */
static bool answer(struct peer_in *in, enum peer_verdict verdict,
                   struct slice why)
{
    struct peer_answer to_say = {.verdict = verdict, .text = why};
    struct buf out = {0};
    peer_answer_encode(&to_say, &out);
    bool whole = peer_socket__send_whole(in->fd, in->tls, buf_slice(&out));
    buf_deinit(&out);
    return whole && verdict == PEER_OK;
}

static void remember_origin(struct peer_in *in, struct peer_member *member)
{
    socklen_t size = sizeof(member->origin.at);
    member->origin.size = 0;
    if (getpeername(in->fd, (void *)&member->origin.at, &size) == 0 &&
        (member->origin.at.ss_family == AF_INET ||
         member->origin.at.ss_family == AF_INET6)) {
        member->origin.size = size;
    }
}

/* From now on it is this member's one connection; and who can connect to here
 * can perhaps be connected to. */
static void become_member(struct peer_in *in, struct peer_member *member)
{
    CHECK(in->phase == GREETING && in->from != 0);
    peer_in__end(member);
    list_remove(&in->link);
    in->peers->stranger_count--;
    in->phase = MESSAGES;
    in->member = member;
    in->deadline_ms = INT64_MAX;
    in->cutter.bytes_max = PEERS_MESSAGE_BYTES_MAX;
    member->in = in;
    remember_origin(in, member);
    peer_link__hurry(member);
    peers__look_at(in->peers, peers__now_ms(in->peers));
    log_info("peers", "a member has connected", LOG_HEX("member", in->from));
}

static void welcome(struct peer_in *in, const struct peer_greeting *greeting)
{
    struct peers *peers = in->peers;
    in->from = greeting->from;
    if (greeting->kind == PEER_SNAPSHOT) {
        in->snapshot = greeting->snapshot;
        end(in, HAND_TO_SNAPSHOT); /* which answers */
        return;
    }
    struct peer_member *member =
        peers__greeted(peers, greeting->from, greeting->peer_urls);
    if (member == NULL) {
        (void)answer(in, PEER_BUSY, SLICE("too many members"));
        end(in, CLOSE);
    } else if (answer(in, PEER_OK, slice_of(NULL, 0))) {
        become_member(in, member);
    } else {
        end(in, CLOSE);
        peers__settle(member);
    }
}

/* A stranger has said who it is; the frame is kept for its slices. */
static void be_greeted(struct peer_in *in, struct refbuf *frame)
{
    struct peers *peers = in->peers;
    struct peer_greeting greeting;
    struct buf why = {0};
    in->greeting = frame;
    if (peer_greeting_decode(slice_of(frame->bytes, frame->size), &greeting) !=
        ERR_OK) {
        lose(in, err_note());
        return;
    }
    enum peer_verdict verdict = judge(peers, &greeting, &why);
    if (verdict == PEER_OK) {
        welcome(in, &greeting);
    } else {
        log_warn("peers", "refused a member's connection",
                 LOG_HEX("member", greeting.from),
                 LOG_SLICE("why", buf_slice(&why)));
        (void)answer(in, verdict, buf_slice(&why));
        end(in, CLOSE);
    }
    buf_deinit(&why);
}

/* Who greets waits for the answer: nothing may follow. True: there may be
 * more of it. */
static bool read_greeting(struct peer_in *in)
{
    char bytes[4096];
    ssize_t size = peer_socket__recv(in->fd, in->tls, bytes, sizeof(bytes));
    if (peer_socket__is_passing(size)) {
        return false;
    }
    if (size <= 0) {
        lose(in, size == 0 ? "it ended" : strerror(errno));
        return false;
    }
    size_t skip =
        (size_t)size < in->preface_left ? (size_t)size : in->preface_left;
    size_t at = PEER_PREFACE_BYTES - in->preface_left;
    if (memcmp(bytes, &PEER_PREFACE[at], skip) != 0) {
        lose(in, "it doesn't begin as a member");
        return false;
    }
    struct slice input = slice_of(bytes + skip, (size_t)size - skip);
    struct refbuf *frame = NULL;
    in->preface_left -= skip;
    if (peer_cutter_next(&in->cutter, &input, &frame) != ERR_OK) {
        lose(in, err_note());
    } else if (frame != NULL && input.size > 0) {
        refbuf_unref(frame);
        lose(in, "more came than a greeting");
    } else if (frame != NULL) {
        be_greeted(in, frame);
    }
    return !in->closing && in->phase == GREETING;
}

/* Until there is nothing: what TLS holds already isn't polled for. */
static void read_whole_greeting(struct peer_in *in)
{
    bool more;
    do {
        more = read_greeting(in);
    } while (more);
}

/* ---- who is there -------------------------------------------------------- */

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct peer_in *in, bool on)
{
    int failed = on ? uv_poll_start(&in->poll, UV_READABLE, on_poll)
                    : uv_poll_stop(&in->poll);
    CHECK_EQ(failed, 0);
}

/* Bytes that are looked at stay: polling for more would not wait. */
static void look_again_soon(struct peer_in *in)
{
    in->again_ms = peers__now_ms(in->peers) + PEERS_SNIFF_AGAIN_MS;
    watch(in, false);
    peers__look_at(in->peers, in->again_ms);
}

/* Once a minute is enough to be seen. */
static void warn_of_tls(struct peers *peers)
{
    int64_t now_ms = peers__now_ms(peers);
    if (peers->tls_told_ms != 0 &&
        now_ms < peers->tls_told_ms + PEERS_WARN_AGAIN_MS) {
        return;
    }
    peers->tls_told_ms = now_ms;
    log_warn("peers", "somebody speaks TLS to the peer port, which is plain: "
                      "--listen-peer-urls has http");
}

static bool is_tls(const char *bytes, ssize_t size)
{
    return size >= 2 && bytes[0] == TLS_HANDSHAKE && bytes[1] == TLS_MAJOR;
}

static void sniff(struct peer_in *in)
{
    char bytes[PEER_PREFACE_BYTES];
    ssize_t size = recv(in->fd, bytes, sizeof(bytes), MSG_PEEK);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (size <= 0) {
        lose(in, size == 0 ? "it ended" : strerror(errno));
        return;
    }
    if (is_tls(bytes, size)) {
        warn_of_tls(in->peers);
        end(in, CLOSE);
        return;
    }
    switch (peer_first(slice_of(bytes, (size_t)size))) {
    case PEER_FIRST_MEMBER:
        peers__setup_socket(in->peers, in->fd);
        in->phase = GREETING;
        in->preface_left = PEER_PREFACE_BYTES;
        read_whole_greeting(in);
        break;
    case PEER_FIRST_HTTP:
        end(in, HAND_TO_HTTP);
        break;
    case PEER_FIRST_VERSION:
        log_warn("peers",
                 "a member speaks a version of the protocol that is not "
                 "known here");
        end(in, CLOSE);
        break;
    case PEER_FIRST_MORE:
        look_again_soon(in);
        break;
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct peer_in *in = (struct peer_in *)(void *)poll;
    (void)events;
    if (in->closing) {
        return;
    }
    if (status < 0) {
        lose(in, "it broke");
    } else if (in->phase == SNIFF) {
        sniff(in);
    } else if (in->phase == GREETING) {
        read_whole_greeting(in);
    } else {
        read_round(in);
    }
}

/* True: it has TLS and isn't a member's, so it is gone from here. */
static bool was_handed_on(struct peers *peers, int fd, struct tls *tls)
{
    if (tls == NULL || slice_eq(tls_alpn(tls), SLICE(PEERS_ALPN))) {
        return false;
    }
    if (atomic_load(&peers->stopping)) {
        peer_socket__close(fd, tls);
    } else {
        peers->config.on_http(peers->config.context, fd, tls);
    }
    return true;
}

void peer_in__open(struct peers *peers, int fd, struct tls *tls)
{
    if (was_handed_on(peers, fd, tls)) {
        return;
    }
    struct peer_in *in = mem_alloc_zero(sizeof(*in));
    in->peers = peers;
    in->fd = fd;
    in->tls = tls;
    if (tls != NULL) {
        tls_read_ahead(tls);
        peers__setup_socket(peers, fd);
        in->phase = GREETING;
        in->preface_left = PEER_PREFACE_BYTES;
    }
    in->cutter.bytes_max = PEER_TALK_BYTES_MAX;
    in->deadline_ms = peers__now_ms(peers) + PEERS_STRANGER_MS;
    in->again_ms = INT64_MAX;
    if (uv_poll_init(&peers->loop, &in->poll, fd) != 0) {
        peer_socket__close(fd, tls); /* the system can watch no more */
        mem_free(in);
        return;
    }
    if (peers->stranger_count >= peers->strangers_max) {
        /* The oldest goes: a member must always get in. */
        end(CONTAINER_OF(list_first(&peers->strangers), struct peer_in, link),
            CLOSE);
    }
    list_push_back(&peers->strangers, &in->link);
    peers->stranger_count++;
    CHECK_LE(peers->stranger_count, peers->strangers_max);
    watch(in, true);
    peers__look_at(peers, in->deadline_ms);
    if (tls != NULL) {
        read_whole_greeting(in); /* it may have come with the handshake */
    }
}

int64_t peer_in__look_at_strangers(struct peers *peers, int64_t now_ms)
{
    int64_t next_ms = INT64_MAX;
    LIST_EACH (at, &peers->strangers) {
        struct peer_in *in = CONTAINER_OF(at, struct peer_in, link);
        if (now_ms >= in->deadline_ms) {
            lose(in, "it didn't say who it is");
            continue;
        }
        if (now_ms >= in->again_ms) {
            in->again_ms = INT64_MAX;
            watch(in, true);
        }
        int64_t at_ms =
            in->again_ms < in->deadline_ms ? in->again_ms : in->deadline_ms;
        next_ms = at_ms < next_ms ? at_ms : next_ms;
    }
    return next_ms;
}
