/* What the files of the recipes thread share.
 *
 *   recipes.c        the thread: its loop, start and stop
 *   recipes_doors.c  what the runner asks for, and how answers come to it
 *   recipes_gate.c   the I/O threads' side
 *   recipes_http.c recipes_transfer.c recipes_exec.c recipes_feed*.c
 *                    the outside
 */
#ifndef ETCHED_HOST_RECIPES_INT_H
#define ETCHED_HOST_RECIPES_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/queue.h"
#include "host/poller.h"
#include "host/recipes.h"
#include "host/recipes_exec.h"
#include "host/recipes_gate.h"
#include "host/recipes_http.h"
#include "host/recipes_login.h"
#include "host/rpc_client.h"
#include "host/secret_box.h"
#include "runner/runner.h"

enum { RECIPES_GATES_MAX = 64, RECIPES_GATE_SHIFT = 48 };

/* What a gate hands over. */
struct recipes_ask {
    struct queue_link link;
    uint64_t id;  /* (the gate's place + 1) << RECIPES_GATE_SHIFT | a number */
    bool is_gone; /* the client is: no more answers */
    struct arena arena; /* of the request */
    struct rest_request request;
};

/* A part of an answer, for a gate. */
struct recipes_part {
    struct queue_link link;
    uint64_t id;
    int status;
    char content_type[64];
    char retry_after[32]; /* "": none */
    char allow[32];       /* "": none */
    bool more;
    size_t size;
    char body[];
};

struct recipes {
    /* ---- set before the thread starts ---- */
    const struct config *flags;
    bool is_own;
    bool (*may)(void *context, struct slice user, enum runner_right right,
                struct slice key, struct slice end);
    void *may_context;
    struct recipes_gate *gates[RECIPES_GATES_MAX];
    size_t gate_count;
    struct secret_box *secrets; /* NULL: no key */
    struct zones *zones;
    struct rpc_client *client;
    bool is_started;
    pthread_t thread;

    /* ---- from any thread ---- */
    struct queue asks;
    _Atomic size_t ask_bytes;
    int wake_fd; /* eventfd */
    _Atomic bool stop_asked;
    _Atomic bool is_ready;

    /* ---- the thread's own ---- */
    struct poller poller;
    struct poller_entry wake;
    struct recipes_http *http;
    struct recipes_exec *exec;
    struct list calls;
    struct rpc_stream *watch; /* NULL: none is open */
    struct recipes_login login;
    uint64_t watch_login; /* with which one that was opened */
    bool is_touched;      /* the runner was told something */
    bool is_etched;
    bool is_known;        /* what the store is */
    int64_t ask_store_ms; /* when to ask (again) what it is */
    bool is_asking;
    int64_t said_ms;       /* when it was last logged that it isn't there */
    int64_t stop_until_ms; /* 0: it isn't stopping */

    /* Held by whoever uses the runner: the thread, for each call of it, and
     * I/O threads for its metrics. */
    pthread_mutex_t mutex;
    struct runner *runner; /* NULL until the store is known */
    /* As they were last, for who can't wait; under a mutex of their own. */
    pthread_mutex_t metrics_mutex;
    struct buf metrics;
    _Atomic bool metrics_wanted;
};

/* ---- recipes_doors.c ----------------------------------------------------- */

void recipes__fill_doors(struct recipes *recipes, struct runner_doors *doors);
/* Asks the store what it is: sets is_known and is_etched some time. */
void recipes__ask_store(struct recipes *recipes, int64_t now_ms);
/* What recipes_http and recipes_exec call. */
void recipes__on_acted(void *context, uint64_t id,
                       const struct act_answer *answer);
/* A watch of an old login ends; the runner opens another. */
void recipes__renew_watch(struct recipes *recipes);
/* Forgets calls under way and the watch, untold. */
void recipes__drop_calls(struct recipes *recipes);

/* ---- recipes_gate.c ------------------------------------------------------ */

/* From the recipes thread. */
void recipes_gate__post(struct recipes_gate *gate, struct recipes_part *part);
void recipes_gate__wake(struct recipes_gate *gate);
void recipes_ask__free(struct recipes_ask *ask);

/* ---- recipes.c ----------------------------------------------------------- */

/* Threads: any. False: too much waits already, and the ask isn't taken. */
bool recipes__push(struct recipes *recipes, struct recipes_ask *ask);

#endif
