#include "api/member_form.h"

#include <stdlib.h>

#include "base/sha1.h"

const char *member_url_fault(struct slice url)
{
    struct slice rest = url;
    if (slice_has_prefix(rest, SLICE("http://"))) {
        rest = slice_of(rest.at + 7, rest.size - 7);
    } else if (slice_has_prefix(rest, SLICE("https://"))) {
        rest = slice_of(rest.at + 8, rest.size - 8);
    } else {
        return "URL scheme must be http or https";
    }
    if (slice_find(rest, '/') >= 0) {
        return "URL must not contain a path";
    }
    ptrdiff_t colon = -1;
    for (size_t i = 0; i < rest.size; i++) {
        if (rest.at[i] == ':') {
            colon = (ptrdiff_t)i;
        } else if (rest.at[i] == ',' || (unsigned char)rest.at[i] <= ' ') {
            return "URL holds a character that can't be in one";
        }
    }
    uint64_t port;
    if (colon <= 0 ||
        !slice_to_u64(
            slice_of(rest.at + colon + 1, rest.size - (size_t)colon - 1),
            &port) ||
        port == 0 || port > 65535) {
        return "URL address does not have the form \"host:port\"";
    }
    return NULL;
}

static int compare_urls(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

struct slice member_join_urls(struct arena *arena, struct slice *urls,
                              size_t count)
{
    struct buf joined = {0};
    qsort(urls, count, sizeof(*urls), compare_urls);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            buf_append_char(&joined, ',');
        }
        buf_append_slice(&joined, urls[i]);
    }
    struct slice out =
        slice_of(arena_dup(arena, joined.at, joined.size), joined.size);
    buf_deinit(&joined);
    return out;
}

struct slice member_next_url(struct slice *urls)
{
    ptrdiff_t comma = slice_find(*urls, ',');
    size_t size = comma < 0 ? urls->size : (size_t)comma;
    size_t step = comma < 0 ? size : size + 1;
    struct slice first = slice_of(urls->at, size);
    *urls = slice_of(urls->at + step, urls->size - step);
    return first;
}

member_id member_new_id(struct clock *clock, struct slice peer_urls)
{
    unsigned char digest[SHA1_BYTES];
    struct buf input = {0};
    while (peer_urls.size > 0) {
        buf_append_slice(&input, member_next_url(&peer_urls));
    }
    buf_append_i64(&input, clock_wall_ns(clock) / 1000000000);
    sha1(buf_slice(&input), digest);
    buf_deinit(&input);
    return get_be64(digest);
}

bool members_are_most_started(const struct node_member *members, size_t count,
                              enum node_change_op op, member_id id)
{
    size_t voters = op == NODE_ADD_VOTER;
    size_t started = 0;
    for (size_t i = 0; i < count; i++) {
        bool goes = op == NODE_REMOVE && members[i].id == id;
        if (goes && members[i].is_learner) {
            return true; /* nobody misses it */
        }
        if (goes || member_is_to_learn(&members[i])) {
            continue;
        }
        voters++;
        started += members[i].name.size > 0;
    }
    if (op == NODE_ADD_VOTER && voters == 2 && started == 1) {
        return true;
    }
    return started >= voters / 2 + 1;
}
