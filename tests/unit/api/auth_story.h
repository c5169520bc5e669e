/* What the tests of users say to a world: a crypto door of glass, users and
 * roles in a line, who asks, and what the audit log was told. */
#ifndef ETCHED_TESTS_API_AUTH_STORY_H
#define ETCHED_TESTS_API_AUTH_STORY_H

#include "story.h"

/* A password's hash is "hash of " and the password: whoever has a test open can
 * read it. Counts what it is asked for. */
struct glass_crypto {
    struct crypto door;
    size_t hashed;
    size_t compared;
};

/* As story_begin and story_end, with that door; work is done at once. */
int auth_begin(void **state);
int auth_end(void **state);
struct glass_crypto *auth_crypto(void);
/* Work waits for world_do_work from now on. */
void auth_keep_work(struct world *world);

/* Asks as `who` ("alice:secret"; NULL: nobody) with a form, or JSON where the
 * body begins with '{'; expects status and body as story does. */
void as(struct world *world, const char *who, const char *request,
        const char *body, int status, const char *expected);
/* The headers for it; good until the next call but three. */
const char *auth_headers(const char *who, const char *body);
/* Changes without the api: the server's own. "+user alice secret",
 * "+role r", "user alice +r", "user alice -r", "role r +rw /a*" (r, w, rw;
 * a pattern), "role r -/a*", "role r + from to" (reads a range), "-role r",
 * "-user alice", "on", "off". */
void users(struct world *world, const char *change);
/* Users alice (reads /a*, writes /a/w*) and root:pw; a guest who may do
 * nothing; and on. */
void users_begin(struct world *world);

/* Every event since, a line each: "alice password PUT /v2/keys/a /a ok";
 * emptied by it. */
const char *audit_text(void);

#endif
