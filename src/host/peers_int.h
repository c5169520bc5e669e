/* What the peers*.c and peer_*.c files share.
 *
 *   peers.c          life, the table of members, the net's calls, the loop
 *   peer_socket.c    a socket's bytes, plain or with TLS
 *   peer_queue.c     the frames that wait for one member's socket
 *   peer_link.c      the connection that this member makes to another
 *   peer_resolve.c   a peer URL's addresses
 *   peer_in.c        what comes in on the peer port
 *   peer_snapshot.c  snapshots, with a thread each
 *
 * Who may touch what:
 *
 *   peers.table      ids, `listed`, the list of snapshots, posted sockets
 *   member.mutex     its queue, its `fd` and `tls`: the writer sends on them,
 *                    the peers thread opens and closes them, and takes the
 *                    mutex to read from a connection that is up and has TLS
 *   peers thread     everything else of a member
 *
 * `table` is taken before a member's mutex; no function of the node is called
 * with either of them held. A slot of the table is never freed before
 * peers_free, only used anew, so that the writer needs no lock to find one.
 */
#ifndef ETCHED_HOST_PEERS_INT_H
#define ETCHED_HOST_PEERS_INT_H

#include <pthread.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <uv.h>

#include "base/list.h"
#include "base/prng.h"
#include "host/peers.h"
#include "host/tls.h"
#include "wire/peer_wire.h"

enum {
    PEERS_MEMBERS_MAX = 256, /* and those that aren't members yet */
    PEERS_GUESTS_MAX = 32,   /* of the latter */
    PEERS_STRANGERS_MAX = 128,
    PEERS_SNAPSHOTS_MAX = 2, /* each way at once */
    PEERS_ADDRESSES_MAX = 8, /* of one URL */
    PEERS_HOST_BYTES_MAX = 256,
    PEERS_READ_BYTES = 256 * 1024,
    PEERS_READS_A_ROUND = 4,
    PEERS_TLS_READS_A_ROUND = 64, /* a record each, of 16 KiB at most */
    /* What is kept for a member that is being connected to. */
    PEERS_HOPE_BYTES_MAX = 1024 * 1024,

    PEERS_STRANGER_MS = 5000,  /* until it has said who it is */
    PEERS_SNIFF_AGAIN_MS = 20, /* the first bytes were too few */
    PEERS_CONNECT_MS = 1000,   /* when the first SYN would be sent again */
    PEERS_HANDSHAKE_MS = 5000,
    PEERS_ANSWER_MS = 5000, /* to a greeting */
    PEERS_PAUSE_MIN_MS = 10,
    PEERS_PAUSE_MAX_MS = 1000,
    PEERS_STALL_MIN_MS = 5000,
    PEERS_STALL_HEARTBEATS = 50,
    PEERS_WARN_AGAIN_MS = 60 * 1000,
};

/* ---- peer_socket.c ------------------------------------------------------- */

/* As recv, readv and sendmsg of a socket that doesn't block: -1 and errno.
 * `tls` NULL: plain. */
ssize_t peer_socket__recv(int fd, struct tls *tls, void *out, size_t size);
ssize_t peer_socket__send(int fd, struct tls *tls, const void *bytes,
                          size_t size);
ssize_t peer_socket__send_pieces(int fd, struct tls *tls,
                                 const struct iovec *pieces, size_t count);
/* False: it doesn't take all of it, and that now. */
bool peer_socket__send_whole(int fd, struct tls *tls, struct slice bytes);
/* What recv said: 0 is an end, else errno. */
const char *peer_socket__why(ssize_t got);
/* True for what comes again: EAGAIN, EINTR. */
bool peer_socket__is_passing(ssize_t got);
/* Says goodbye and closes. */
void peer_socket__close(int fd, struct tls *tls);

/* ---- peer_queue.c -------------------------------------------------------- */

struct peer_queue {
    struct refbuf **at; /* a ring */
    size_t first;
    size_t count;
    size_t capacity; /* 0 or a power of two */
    size_t bytes;    /* of all frames, without heads */
    size_t sent;     /* of the first frame, with its head */
};

enum peer_sent {
    PEER_SENT_ALL,
    PEER_SENT_PART, /* the socket takes no more now */
    PEER_SENT_BROKEN,
};

/* The reference passes. */
void peer_queue__push(struct peer_queue *queue, struct refbuf *frame);
/* Returns how many there were. */
size_t peer_queue__clear(struct peer_queue *queue);
void peer_queue__deinit(struct peer_queue *queue);
/* Sends what the socket takes. *bytes and *writes grow. */
enum peer_sent peer_queue__send(struct peer_queue *queue, int fd,
                                struct tls *tls, uint64_t *bytes,
                                uint64_t *writes);

/* ---- peer_resolve.c ------------------------------------------------------ */

struct peer_address {
    struct sockaddr_storage at;
    socklen_t size;
};

struct peer_addresses {
    struct peer_address at[PEERS_ADDRESSES_MAX];
    size_t count;
    bool tls;
    char host[PEERS_HOST_BYTES_MAX]; /* whom the certificate has to be for */
};

/* A name that is looked up by a thread of its own. */
struct peer_resolve;

/* The URL's addresses, at once, or *job where a name has to be looked up.
 * `instead` takes the place of 0.0.0.0 and :: (NULL: this machine).
 * Errors: ERR_INVALID, ERR_UNSUPPORTED (https, and no context for it). */
enum err peer_resolve__url(struct peers *peers, struct slice url,
                           const struct peer_address *instead,
                           struct peer_addresses *out,
                           struct peer_resolve **job) MUST_USE;
/* True: done, the job is gone, and the addresses are put in; a name that isn't
 * known has none. */
bool peer_resolve__take(struct peer_resolve *job, struct peer_addresses *out);
void peer_resolve__cancel(struct peer_resolve *job); /* NULL is fine */
/* "127.0.0.1:2380", for the log. */
void peer_resolve__text(const struct peer_address *address, char *out,
                        size_t size);

/* ---- members ------------------------------------------------------------- */

struct peer_link;
struct peer_in;

struct peer_member {
    struct peers *peers;
    _Atomic uint64_t id; /* 0: the slot is free */

    /* Under peers.table. */
    bool listed;       /* by net_set_members; else a guest */
    bool urls_changed; /* since the peers thread looked */
    char *urls;

    pthread_mutex_t mutex;
    /* Under it. */
    struct peer_queue queue;
    int fd;          /* greeted, to be sent on; -1: none */
    struct tls *tls; /* of it; NULL: plain */
    bool waiting;    /* the socket was full: the peers thread sends */
    bool broken;     /* the writer found it so */
    bool hopeful;    /* not up, but being connected to: messages wait */
    bool dropped;    /* since the last flush */
    int64_t told_ms;

    /* The writer's. */
    bool touched;

    /* The peers thread's. */
    struct peer_link *link;
    struct peer_in *in;
    struct peer_resolve *resolve;
    struct peer_addresses addresses; /* of one URL */
    size_t address_next;
    size_t url_next;
    struct peer_address origin; /* where its connection came from; size 0 */
    int64_t try_ms;             /* INT64_MAX: not planned */
    int64_t pause_ms;
    int64_t stall_ms; /* when what waits is given up */
    /* -1: not since it was up */
    int64_t warned_ms;    /* that it can't be connected to */
    int64_t explained_ms; /* and for what reason, which an operator can end */

    _Atomic uint64_t sent_bytes;
    _Atomic uint64_t received_bytes;
    _Atomic uint64_t send_failures;
    _Atomic uint64_t messages_dropped;
    _Atomic uint64_t writes;
    _Atomic bool connected;
    /* Where the link is connected to, for snapshots; under mutex. */
    struct peer_address address;
    char host[PEERS_HOST_BYTES_MAX];
};

/* ---- peers.c ------------------------------------------------------------- */

struct peers {
    struct net net; /* first: what the node has */
    struct peers_config config;
    char *peer_urls;
    uint64_t cluster_id;
    uint64_t member_id;
    _Atomic(struct node *) node;
    int64_t stall_ms;

    pthread_mutex_t table;
    _Atomic(struct peer_member *) members[PEERS_MEMBERS_MAX];
    atomic_size_t member_count; /* slots that are there */
    struct list posts;          /* accepted sockets; under table */
    size_t post_count;          /* under table */
    size_t strangers_max;       /* and of posts; fixed once it is started */
    struct list snapshots;      /* under table */

    /* The writer's. */
    struct peer_member *touched[PEERS_MEMBERS_MAX];
    size_t touched_count;

    pthread_t thread;
    bool started;
    _Atomic bool stopping;
    _Atomic uint64_t wakeups;

    /* The peers thread's. */
    uv_loop_t loop;
    uv_async_t wake;
    uv_prepare_t prepare;
    uv_idle_t idle;
    uv_timer_t timer;
    int64_t timer_ms; /* when it fires */
    struct prng prng;
    int64_t tls_told_ms;   /* of those who try TLS on a plain port; 0: none */
    struct list strangers; /* oldest first */
    size_t stranger_count;
    bool handed; /* the node has something new */
    bool ended;
    char buffer[PEERS_READ_BYTES];
};

int64_t peers__now_ms(const struct peers *peers); /* the peers thread's */
/* The peers thread should look at everything. Any thread. */
void peers__wake(struct peers *peers);
/* The timer fires by then. */
void peers__look_at(struct peers *peers, int64_t at_ms);
/* Both may be called where no node is there yet. Then nothing happens. */
void peers__lost(struct peers *peers, uint64_t member);
void peers__unreachable(struct peers *peers, uint64_t member);
/* The slot of that id, or NULL. */
struct peer_member *peers__find(struct peers *peers, uint64_t id);
/* The same; makes a guest's where there is none. NULL: too many. */
struct peer_member *peers__greeted(struct peers *peers, uint64_t id,
                                   struct slice urls);
/* Frees the slot of one that is neither listed nor connected. */
void peers__settle(struct peer_member *member);
/* Nodelay, keepalive, and an end for what is never acknowledged. */
void peers__setup_socket(const struct peers *peers, int fd);

#define PEERS_EACH(peers, member)                                        \
    for (size_t member##_at = 0; member##_at < (peers)->member_count;    \
         member##_at++)                                                  \
        for (struct peer_member *member = (peers)->members[member##_at]; \
             member != NULL; member = NULL)

/* ---- peer_link.c --------------------------------------------------------- */

/* Plans the next try: now, if nothing is under way. */
void peer_link__hurry(struct peer_member *member);
/* Does what is due; returns when to look again. */
int64_t peer_link__look(struct peer_member *member, int64_t now_ms);
/* Ends what there is, without a word to the node. */
void peer_link__end(struct peer_member *member);
void peer_link__greeting(const struct peers *peers, uint64_t to,
                         enum peer_kind kind, struct slice snapshot,
                         struct buf *out);

/* ---- peer_in.c ----------------------------------------------------------- */

void peer_in__open(struct peers *peers, int fd, struct tls *tls);
/* Reads on, where a round ended before the bytes did. */
void peer_in__go_on(struct peer_member *member);
int64_t peer_in__look_at_strangers(struct peers *peers, int64_t now_ms);
/* Closes a member's connection, without a word to the node. */
void peer_in__end(struct peer_member *member);
void peer_in__end_strangers(struct peers *peers);

/* ---- peer_snapshot.c ----------------------------------------------------- */

/* The writer's thread: plans one. */
void peer_snapshot__send(struct peers *peers, uint64_t to);
/* A greeted socket; the decoded greeting's slices are copied. */
void peer_snapshot__receive(struct peers *peers, int fd, struct tls *tls,
                            uint64_t from, struct slice header);
/* Starts what may start, joins what has ended. */
void peer_snapshot__look(struct peers *peers);
/* Ends all: the main thread, when the peers thread has ended. */
void peer_snapshot__stop_all(struct peers *peers);

#endif
