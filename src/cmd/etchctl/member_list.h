/* The members, from the JSON of /v2/members. Pure. */
#ifndef ETCHED_CMD_ETCHCTL_MEMBER_LIST_H
#define ETCHED_CMD_ETCHCTL_MEMBER_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/mem.h"

struct url_list {
    struct slice *at;
    size_t count;
};

struct member {
    struct slice id;
    struct slice name; /* empty: it hasn't started yet */
    struct url_list peer_urls;
    struct url_list client_urls;
};

struct member_list {
    struct member *at;
    size_t count;
};

/* False when it is no such document.
 * Owns: everything lives in the arena. */
bool member_list_parse(struct arena *arena, struct slice json,
                       struct member_list *out);
/* One member, as /v2/members/leader gives it. */
bool member_parse(struct arena *arena, struct slice json, struct member *out);

/* "<id>: name=... peerURLs=... clientURLs=... isLeader=..." */
void member_print(const struct member *member, struct slice leader_id,
                  struct buf *out);
/* "http://a,http://b" */
void url_list_print(const struct url_list *urls, const char *separator,
                    struct buf *out);

/* What a /health answer says: 1 healthy, 0 not, -1 when it isn't one. */
int health_parse(struct arena *arena, struct slice json);

#endif
