/* What the files of users, roles and permissions share. */
#ifndef ETCHED_AUTH_AUTH_INT_H
#define ETCHED_AUTH_AUTH_INT_H

#include <stdatomic.h>

#include "auth/auth.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/map.h"
#include "base/mem.h"

/* A role with all its permissions is one value of the meta, written anew with
 * every change of it. */
enum { AUTH_ROLE_BYTES_MAX = 4 * 1024 * 1024 };

/* ---- auth_names.c: who is called what ------------------------------------ */

/* Things that begin with their name (struct slice), found by it and kept in
 * its order. The table doesn't own them. */
struct auth__names {
    struct map by_name;
    void **sorted;
    size_t count, capacity;
};

void auth__names_init(struct auth__names *names);
void auth__names_deinit(struct auth__names *names);
static inline void *auth__names_get(const struct auth__names *names,
                                    struct slice name)
{
    return map_get(&names->by_name, name);
}
/* `thing` is what is called so from now on; NULL: nothing is. Returns what was,
 * or NULL. */
void *auth__names_set(struct auth__names *names, struct slice name,
                      void *thing);

/* ---- auth_grants.c: what roles together allow ---------------------------- */

/* Keys in [from, end); end.at == NULL: all from `from` on. */
struct auth__span {
    struct slice from;
    struct slice end;
};

/* In order, with room between one and the next: what is covered is covered by
 * ONE of them. */
struct auth__spans {
    struct auth__span *at;
    size_t count;
};

/* Users with the same roles share one of these. The keys in it are the roles'
 * own: it is made anew before a role that it was made of goes. */
struct auth__grants {
    struct slice name; /* the roles' names, each with a zero behind it */
    size_t refs;
    bool is_root;
    bool is_stale;             /* while a change is made */
    struct auth__spans may[2]; /* AUTH_READ, AUTH_WRITE; nothing of "root"'s */
    size_t role_count;
    struct slice roles[];
};

/* A reference to what these roles allow. */
struct auth__grants *auth__grants_ref(struct auth *auth,
                                      const struct slice *roles, size_t count);
void auth__grants_unref(struct auth *auth, struct auth__grants *grants);
/* This role has changed, or is gone. */
void auth__grants_spoil(struct auth *auth, struct slice role);
/* Those that are spoilt are made anew. */
void auth__grants_renew(struct auth *auth);
/* The whole of [from, end) in one of the spans? Needs: it isn't empty. */
bool auth__spans_cover(const struct auth__spans *spans, struct slice from,
                       struct slice end);
/* The one key? */
bool auth__spans_have(const struct auth__spans *spans, struct slice key);

/* ---- auth_entry.c: users and roles, and how they are written ------------- */

/* What both begin with. */
struct auth__thing {
    struct slice name;
    size_t step; /* while a command is applied: the step that made it; 0: none
                    of this command's */
};

/* Both are never changed: a change makes a new one. Each is one block. */
struct auth__user {
    struct auth__thing thing;
    struct auth_user view;
    struct auth__grants *grants; /* NULL while it isn't in force */
};

/* Behind each key there is a zero: with it, it is the end of the span of that
 * key alone. */
struct auth__role {
    struct auth__thing thing;
    struct auth_role view;
    size_t bytes; /* of its name and keys */
};

/* Copies of what they are made of; a role's permissions are put in order, and
 * those of one range become one. */
struct auth__user *auth__user_new(const struct auth_user *from);
struct auth__role *auth__role_new(const struct auth_role *from);
void auth__user_encode(const struct auth__user *user, struct buf *out);
void auth__role_encode(const struct auth__role *role, struct buf *out);
/* Errors: ERR_CORRUPT. */
enum err auth__user_decode(struct slice name, struct slice bytes,
                           struct auth__user **out) MUST_USE;
enum err auth__role_decode(struct slice name, struct slice bytes,
                           struct auth__role **out) MUST_USE;
bool auth__name_is_good(struct slice name);
/* The role's place in a list in order, or where it would be. */
bool auth__find_name(const struct slice *names, size_t count, struct slice name,
                     size_t *place);
bool auth__find_permission(const struct auth_role *role, struct slice key,
                           struct slice range_end, size_t *place);

/* ---- auth.c -------------------------------------------------------------- */

#define AUTH__META "auth"
#define AUTH__META_USER "auth/user/"
#define AUTH__META_ROLE "auth/role/"

struct auth {
    atomic_bool on;
    atomic_uint_least64_t revision;
    struct auth__names users;   /* struct auth__user */
    struct auth__names roles;   /* struct auth__role */
    struct auth__names grants;  /* struct auth__grants */
    struct auth__grants *guest; /* what the role "guest" allows */
};

/* On or off, and the revision. */
void auth__state_encode(const struct auth *auth, struct buf *out);
void auth__write_state(const struct auth *auth, struct mvcc *mvcc);

#endif
