/* Handshakes, off the threads that serve: a thread of its own takes accepted
 * sockets of listeners with TLS, does the handshake, and hands on what came of
 * it. A handshake has TLS_GATE_MS; there are at most TLS_GATE_MAX at once, and
 * where one more comes the oldest goes, so that thousands who never finish
 * don't keep out one who does (CVE-2026-73500). A quarter of the room is for
 * those whose first record is there; until then one costs no more than its
 * socket, and the others can't displace who has begun.
 *
 * Threads: start, stop: the main one. Looking for room, and taking: any.
 */
#ifndef ETCHED_HOST_TLS_GATE_H
#define ETCHED_HOST_TLS_GATE_H

#include "host/tls.h"

enum {
    TLS_GATE_MS = 5000,
    TLS_GATE_MAX = 4096,
};

/* So many more may have been taken and not be looked at yet. */
#define TLS_GATE_WAITING(handshakes_max) ((handshakes_max) / 4 + 1)
/* Whoever finds no room looks again after so long. */
enum { TLS_GATE_PAUSE_MS = 2 };

struct tls_gate;

struct tls_gate_config {
    /* On the gate's thread: socket and tls pass. `tag` as it was given. */
    void (*on_ready)(void *context, int fd, struct tls *tls, int tag);
    void *context;
    size_t handshakes_max; /* 0: TLS_GATE_MAX */
    int64_t handshake_ms;  /* 0: TLS_GATE_MS */
};

struct tls_gate_stat {
    uint64_t done;
    uint64_t failed;
    uint64_t timed_out;
    uint64_t displaced; /* gave way to newer ones */
    uint64_t resumed;
    size_t open;
};

enum err tls_gate_start(const struct tls_gate_config *config,
                        struct tls_gate **out) MUST_USE;
/* False: they come faster than the gate lets them in. Whoever is to be
 * accepted waits better in the kernel's queue, where none is turned away. */
bool tls_gate_has_room(struct tls_gate *gate);
/* The socket passes; a reference to the context is taken. */
void tls_gate_take(struct tls_gate *gate, int fd, struct tls_context *context,
                   int tag);
void tls_gate_stat(const struct tls_gate *gate, struct tls_gate_stat *out);
/* Those under way are closed. NULL is fine. */
void tls_gate_stop(struct tls_gate *gate);

#endif
