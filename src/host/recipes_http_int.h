/* What recipes_http.c (all of them, on libcurl's multi interface) and
 * recipes_transfer.c (one of them) share. */
#ifndef ETCHED_HOST_RECIPES_HTTP_INT_H
#define ETCHED_HOST_RECIPES_HTTP_INT_H

#include <netinet/in.h>

#include "base/list.h"
#include "host/late_curl.h"
#include "host/recipes_http.h"

struct recipes_http {
    struct recipes_http_config config;
    CURLM *multi;     /* NULL: libcurl isn't loaded yet */
    int64_t timer_ms; /* when libcurl wants to be called; INT64_MAX: not */
    struct list waiting;
    struct list under_way;
    size_t under_way_count;
    bool has_room; /* somebody has ended, or come: look who may begin */
};

struct transfer {
    struct list link; /* of waiting or under_way */
    struct recipes_http *http;
    uint64_t id;
    struct act act; /* in the arena */
    struct arena arena;
    int64_t until_ms; /* once it is under way */

    /* Of the hop that is under way. */
    CURL *easy;
    struct curl_slist *headers;
    struct curl_slist *recipients;
    const char *url;
    const char *method;
    const char *origin; /* "https://example.org:443" */
    uint64_t host_hash;
    int hops;
    bool is_secure;
    bool is_elsewhere; /* redirected to another origin */
    bool is_bodiless;
    bool has_user;
    size_t uploaded;

    /* Of its end. */
    bool is_tried; /* a connection was tried */
    bool is_hop_tried;
    bool is_refused;
    bool is_too_large;
    bool is_cut;
    char local_address[INET6_ADDRSTRLEN]; /* not connected to; "": none */
    char error[CURL_ERROR_SIZE];
    struct buf why;
    struct buf head;
    struct buf body;
    struct buf json;
};

/* These are false where a rule of ours forbids it: then is_refused is set. */
bool transfer__set_url(struct transfer *transfer, struct slice text);
/* Makes the easy handle. Needs: the URL is set. */
bool transfer__set_up(struct transfer *transfer, int64_t left_ms);
void transfer__tear_down(struct transfer *transfer);
/* True where it is to be set up again, for where it was redirected to. */
bool transfer__redirect(struct transfer *transfer, CURLcode result);
/* In the transfer's memory. */
void transfer__answer(struct transfer *transfer, CURLcode result,
                      struct act_answer *answer);

#endif
