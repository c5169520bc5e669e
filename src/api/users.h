/* What the pages of /v2/auth have in common. Users and roles are those of v3;
 * v2 says them in its own way:
 *
 *   v3  permission   key "/a" range_end "/b"  READWRITE
 *   v2  patterns     {"kv":{"read":["/a*"],"write":["/a*"]}}
 *
 * One request of v2 is one COMMAND_AUTH: all that it asks for, or nothing. It
 * is worked out from the users and roles that are there (under the shared
 * lock), so that what is wrong with it is told in v2's words; should they have
 * changed before it is applied, it is worked out again.
 */
#ifndef ETCHED_API_USERS_H
#define ETCHED_API_USERS_H

#include "api/api_int.h"
#include "doc/doc.h"

/* A list of names, in an arena. */
enum { NAMES_MAX = 1000 }; /* in a list of one request */
struct names {
    struct slice *items;
    size_t count;
    bool is_there; /* false: null, or not mentioned */
};

/* {"message":...} */
void users__respond_message(struct api *api, struct http_exchange *exchange,
                            int status, const char *message);

/* ---- what a request says ------------------------------------------------- */

/* The document; NULL: it is none, which was answered. */
struct doc_value *users__read_json(struct api *api,
                                   struct http_exchange *exchange);
/* A field as Go finds it: the case of letters aside, the last one counts.
 * False: it is there and isn't a string, a list of strings, a map. */
bool users__get_text(const struct doc_value *doc, const char *name,
                     struct slice *out);
bool users__get_names(struct arena *arena, const struct doc_value *doc,
                      const char *name, struct names *out);
bool users__get_map(const struct doc_value *doc, const char *name,
                    const struct doc_value **out);
/* What follows "/v2/auth/users/": one name. False: it was answered. */
bool users__read_name(struct api *api, struct http_exchange *exchange,
                      struct slice rest, struct slice *name);

bool names__have(const struct names *names, struct slice name);
bool names__have_sorted(const struct names *names, struct slice name);
/* Needs: room for one more. */
void names__add(struct names *names, struct slice name);
void names__remove(struct names *names, struct slice name);
/* A copy that can be added to, `more` times. */
struct names names__copy(struct arena *arena, const struct names *names,
                         size_t more);
void names__sort(struct names *names);
/* As Go writes it: null where it isn't there. */
void names__write(struct buf *out, const struct names *names);

/* ---- what it comes to ---------------------------------------------------- */

/* What is to be done; in the exchange's arena. */
struct plan {
    struct arena *arena;
    struct auth_change *changes;
    size_t count;
    size_t capacity;
    /* What is wrong with it: 0: nothing. */
    int status;
    const char *message;
};
void plan__add(struct plan *plan, const struct auth_change *change);
/* False, for the caller to return; "auth: " is put before it. */
bool plan__refuse(struct plan *plan, int status, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* Submits it, or says what is wrong with it. `status` and what is in api->out
 * are the answer where it is done. */
void plan__run(struct api *api, struct http_exchange *exchange,
               const struct plan *plan, int status);
/* Answers with api->out, or with what is wrong. */
void plan__respond(struct api *api, struct http_exchange *exchange,
                   const struct plan *plan, int status);

/* ---- roles --------------------------------------------------------------- */

/* {"role":...,"permissions":...} of a role that is there; what v2 can't say is
 * in *unsaid, in words; NULL: there is none. Shared lock. */
void roles__write(struct buf *out, const struct auth_role *role,
                  struct arena *arena, const char **unsaid);
/* The same in a list, where it stands beside. */
void roles__write_listed(struct buf *out, const struct auth *auth,
                         struct slice name, struct arena *arena);
/* To be granted to a user: false: there is none such. The role "root" is made
 * where it is missing. Shared lock. */
bool roles__grant(struct plan *plan, const struct auth *auth, struct slice user,
                  struct slice role);
/* The role of those without a user, where there is none: it may do with keys
 * what all may while auth is off. Shared lock. */
bool roles__make_guest(struct plan *plan, const struct auth *auth);

#endif
