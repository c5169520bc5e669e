/* Lists of members: grouping, checking, and the ids that come of them. */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/sha1.h"
#include "host/bootstrap_int.h"

/* ---- ids ----------------------------------------------------------------- */

static uint64_t first_8_of_sha1(const struct buf *input)
{
    unsigned char digest[SHA1_BYTES];
    sha1(buf_slice(input), digest);
    return get_be64(digest);
}

static int compare_urls(const void *a, const void *b)
{
    const struct config_url *x = a;
    const struct config_url *y = b;
    return strcmp(x->text, y->text);
}

struct config_urls bootstrap__sort_urls(struct arena *arena,
                                        const struct config_urls *urls)
{
    CHECK_LT(0, urls->count);
    struct config_urls sorted = {
        .at = arena_dup(arena, urls->at, urls->count * sizeof(*urls->at)),
        .count = urls->count};
    qsort(sorted.at, sorted.count, sizeof(*sorted.at), compare_urls);
    return sorted;
}

/* Needs: the URLs are sorted. */
uint64_t bootstrap__member_id(const struct config_urls *urls, const char *token)
{
    struct buf input = {0};
    for (size_t i = 0; i < urls->count; i++) {
        CHECK(i == 0 || strcmp(urls->at[i - 1].text, urls->at[i].text) <= 0);
        buf_append_str(&input, urls->at[i].text);
    }
    buf_append_str(&input, token);
    uint64_t id = first_8_of_sha1(&input);
    buf_deinit(&input);
    return id;
}

uint64_t bootstrap__cluster_id(const struct bootstrap_list *list)
{
    struct buf input = {0};
    for (size_t i = 0; i < list->count; i++) {
        CHECK(i == 0 || list->at[i - 1].id < list->at[i].id);
        put_be64(buf_extend(&input, 8), list->at[i].id);
    }
    uint64_t id = first_8_of_sha1(&input);
    buf_deinit(&input);
    return id;
}

static int compare_ids(const void *a, const void *b)
{
    const struct bootstrap_member *x = a;
    const struct bootstrap_member *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

enum err bootstrap__assign_ids(struct bootstrap_list *list, const char *token)
{
    CHECK_LT(0, list->count);
    for (size_t i = 0; i < list->count; i++) {
        list->at[i].id = bootstrap__member_id(&list->at[i].urls, token);
    }
    qsort(list->at, list->count, sizeof(*list->at), compare_ids);
    for (size_t i = 0; i < list->count; i++) {
        if (list->at[i].id == 0 ||
            (i > 0 && list->at[i - 1].id == list->at[i].id)) {
            return err_set(
                ERR_EXISTS, "member exists with identical ID %llx (%s)",
                (unsigned long long)list->at[i].id, list->at[i].name);
        }
    }
    return ERR_OK;
}

void bootstrap__fill(const struct bootstrap_list *list, struct arena *arena,
                     struct bootstrap *out)
{
    out->members = arena_alloc(arena, list->count * sizeof(*out->members));
    out->member_count = list->count;
    for (size_t i = 0; i < list->count; i++) {
        const struct bootstrap_member *member = &list->at[i];
        out->members[i] = (struct node_member){
            .id = member->id,
            .name = slice_str(member->name),
            .peer_urls = slice_str(bootstrap__join(arena, &member->urls)),
            .client_urls = SLICE(""),
        };
    }
}

/* ---- grouping ------------------------------------------------------------ */

const struct bootstrap_member *
bootstrap__named(const struct bootstrap_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->at[i].name, name) == 0) {
            return &list->at[i];
        }
    }
    return NULL;
}

struct bootstrap_list bootstrap__group(struct arena *arena,
                                       const struct config_cluster *cluster)
{
    struct bootstrap_list list = {
        .at = arena_alloc(arena, (cluster->count + 1) * sizeof(*list.at))};
    struct config_url *urls =
        arena_alloc(arena, (cluster->count + 1) * sizeof(*urls));
    for (size_t i = 0; i < cluster->count; i++) {
        const char *name = cluster->at[i].name;
        size_t count = 0;
        if (bootstrap__named(&list, name)) {
            continue;
        }
        for (size_t j = i; j < cluster->count; j++) {
            if (strcmp(cluster->at[j].name, name) == 0) {
                urls[count++] = cluster->at[j].url;
            }
        }
        struct config_urls all = {.at = urls, .count = count};
        list.at[list.count++] = (struct bootstrap_member){
            .name = name, .urls = bootstrap__sort_urls(arena, &all)};
    }
    return list;
}

char *bootstrap_join_urls(const struct config_urls *urls)
{
    struct buf out = {0};
    for (size_t i = 0; i < urls->count; i++) {
        if (i > 0) {
            buf_append_char(&out, ',');
        }
        buf_append_str(&out, urls->at[i].text);
    }
    buf_append_char(&out, '\0');
    return out.at;
}

const char *bootstrap__join(struct arena *arena, const struct config_urls *urls)
{
    char *joined = bootstrap_join_urls(urls);
    const char *copy = arena_dup(arena, joined, strlen(joined) + 1);
    mem_free(joined);
    return copy;
}

/* ---- the same places ----------------------------------------------------- */

static struct addrinfo *look_up(const struct config_url *url)
{
    struct addrinfo *found = NULL;
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM};
    return getaddrinfo(url->host, NULL, &hints, &found) == 0 ? found : NULL;
}

static bool same_address(const struct sockaddr *a, const struct sockaddr *b)
{
    if (a->sa_family != b->sa_family) {
        return false;
    }
    if (a->sa_family == AF_INET) {
        const struct sockaddr_in *x = (const void *)a;
        const struct sockaddr_in *y = (const void *)b;
        return x->sin_addr.s_addr == y->sin_addr.s_addr;
    }
    const struct sockaddr_in6 *x = (const void *)a;
    const struct sockaddr_in6 *y = (const void *)b;
    return a->sa_family == AF_INET6 &&
           memcmp(&x->sin6_addr, &y->sin6_addr, sizeof(x->sin6_addr)) == 0;
}

static bool same_host(const struct config_url *a, const struct config_url *b)
{
    bool same = false;
    struct addrinfo *ours = look_up(a);
    struct addrinfo *theirs = ours ? look_up(b) : NULL;
    for (struct addrinfo *x = ours; x && !same; x = x->ai_next) {
        for (struct addrinfo *y = theirs; y && !same; y = y->ai_next) {
            same = same_address(x->ai_addr, y->ai_addr);
        }
    }
    if (ours) {
        freeaddrinfo(ours);
    }
    if (theirs) {
        freeaddrinfo(theirs);
    }
    return same;
}

static bool same_url(const struct config_url *a, const struct config_url *b)
{
    if (strcmp(a->text, b->text) == 0) {
        return true;
    }
    return a->tls == b->tls && !a->is_unix && !b->is_unix &&
           a->port == b->port && same_host(a, b);
}

static bool has_url(const struct config_urls *urls,
                    const struct config_url *url)
{
    for (size_t i = 0; i < urls->count; i++) {
        if (same_url(&urls->at[i], url)) {
            return true;
        }
    }
    return false;
}

bool bootstrap__same_urls(const struct config_urls *a,
                          const struct config_urls *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (!has_url(b, &a->at[i]) || !has_url(a, &b->at[i])) {
            return false;
        }
    }
    return true;
}

/* ---- checking ------------------------------------------------------------ */

static enum err refuse_same_urls(const struct bootstrap_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct bootstrap_member *one = &list->at[i];
        for (size_t j = 0; j <= i; j++) {
            const struct bootstrap_member *other = &list->at[j];
            for (size_t n = 0; n < one->urls.count * other->urls.count; n++) {
                size_t x = n / other->urls.count;
                size_t y = n % other->urls.count;
                bool is_itself = i == j && x == y;
                const char *text = one->urls.at[x].text;
                if (!is_itself && strcmp(text, other->urls.at[y].text) == 0) {
                    return err_set(ERR_EXISTS,
                                   "initial cluster has duplicate url %s (of "
                                   "%s and %s); each member has its own",
                                   text, other->name, one->name);
                }
            }
        }
    }
    return ERR_OK;
}

/* The first of `a` that isn't among `b`. */
static const struct config_url *missing(const struct config_urls *a,
                                        const struct config_urls *b)
{
    for (size_t i = 0; i < a->count; i++) {
        if (!has_url(b, &a->at[i])) {
            return &a->at[i];
        }
    }
    return NULL;
}

static enum err check_advertised(const struct config *config,
                                 const struct config_urls *listed)
{
    const struct config_urls *told = &config->initial_advertise_peer_urls;
    const struct config_url *url = missing(listed, told);
    enum err err = ERR_OK;
    char *joined = NULL;
    if (url) {
        joined = bootstrap_join_urls(told);
        err = err_set(ERR_INVALID,
                      "--initial-cluster has %s=%s but missing from "
                      "--initial-advertise-peer-urls=%s",
                      config->name, url->text, joined);
    } else if ((url = missing(told, listed)) != NULL) {
        joined = bootstrap_join_urls(listed);
        err = err_set(ERR_INVALID,
                      "--initial-advertise-peer-urls has %s but missing from "
                      "--initial-cluster=%s=%s",
                      url->text, config->name, joined);
    }
    mem_free(joined);
    return err;
}

enum err bootstrap__check_list(const struct config *config,
                               const struct bootstrap_list *list)
{
    const struct bootstrap_member *own = bootstrap__named(list, config->name);
    if (!own) {
        return err_set(ERR_INVALID,
                       "couldn't find local name \"%.60s\" in the initial "
                       "cluster configuration; --name has to be one of the "
                       "names in --initial-cluster",
                       config->name);
    }
    enum err err = refuse_same_urls(list);
    return err ? err : check_advertised(config, &own->urls);
}
