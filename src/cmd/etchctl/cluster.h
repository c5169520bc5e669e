/* The members of a cluster as one thing to ask: a request goes to the first
 * endpoint that answers, in the order in which they were given, starting with
 * the one that answered last. Errors are kept in the words of etcd's client,
 * since scripts read them. */
#ifndef ETCHED_CMD_ETCHCTL_CLUSTER_H
#define ETCHED_CMD_ETCHCTL_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"
#include "host/http_client.h"

enum { CLUSTER_REDIRECTS_MAX = 10 };

struct cluster {
    struct http_client *http;
    struct arena *arena;    /* of the endpoints */
    const char **endpoints; /* "http://127.0.0.1:2379" */
    size_t count;
    size_t pinned;       /* the one to ask first */
    int64_t timeout_ms;  /* a request's; 0: none */
    int64_t deadline_ms; /* the command's, by http_client_now_ms; 0: none */
    FILE *debug;         /* NULL: off; gets a curl command for each request */
};

struct cluster_request {
    const char *method;
    const char *path; /* with its query */
    struct slice body;
    bool has_body;
    bool is_json;               /* the body; else a form */
    const char *const *headers; /* in place of the body's; NULL: none */
    size_t header_count;
    http_client_on_body on_body; /* NULL: gathered in the response */
    void *context;               /* of on_body */
    /* Not sent to a second endpoint: the first may have done it. */
    bool is_one_shot;
    bool is_wait; /* a watch: neither time-out applies */
};

/* Why there was no answer. */
enum failure_kind {
    FAILURE_NONE,
    FAILURE_UNAVAILABLE, /* every endpoint failed: `detail` lists them */
    FAILURE_DEADLINE,
    FAILURE_STOPPED,    /* by a signal */
    FAILURE_EMPTY_BODY, /* an answer, but nothing in it */
    FAILURE_OTHER,
};

struct failure {
    enum failure_kind kind;
    /* Nobody was there at all: etcdctl's exit code 2. */
    bool is_connection;
    struct buf text;   /* what goes after "Error:  " */
    struct buf detail; /* a line each endpoint; empty: none */
};

void failure_init(struct failure *failure);
void failure_deinit(struct failure *failure);
void failure_set(struct failure *failure, enum failure_kind kind,
                 const char *format, ...) PRINTF_LIKE(3, 4);

/* Sends the request to one endpoint after the other until one answers with
 * anything but 5xx. False: `failure` says why. */
bool cluster_do(struct cluster *cluster, const struct cluster_request *request,
                struct http_client_response *response,
                struct failure *failure) MUST_USE;

/* Takes over the client URLs that the members publish.
 * FAILURE_OTHER with a text for people when they publish none. */
bool cluster_sync(struct cluster *cluster, struct failure *failure) MUST_USE;

/* "http://a, http://b" */
void cluster_print_endpoints(const struct cluster *cluster,
                             const char *separator, FILE *out);

#endif
