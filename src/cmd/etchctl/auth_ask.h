/* What auth, user and role have in common: /v2/auth. */
#ifndef ETCHED_CMD_ETCHCTL_AUTH_ASK_H
#define ETCHED_CMD_ETCHCTL_AUTH_ASK_H

#include "cmd/etchctl/session.h"
#include "doc/doc.h"

/* A request about one of them: "/v2/auth/users", name NULL: all. The answer's
 * document, if any, is in *doc (NULL: none), in the arena; `doc` NULL: it isn't
 * of interest. False: it was said on stderr what went wrong. */
bool auth_ask(struct session *session, const char *method, const char *path,
              const char *name, struct slice json, struct doc_value **doc);

/* Is there one of that name? Nothing is said. */
bool auth_is_there(struct session *session, const char *path, const char *name);

/* Connects, and from now on --total-timeout runs. The exit code. */
int auth_connect(struct session *session);
int auth_fail(const char *text);
/* Prints a line. */
int auth_say(const char *format, ...) PRINTF_LIKE(1, 2);

/* The strings of a list, "" where it is none. */
struct slice auth_text(const struct doc_value *doc, const char *name);
/* {"user":...} of a list's items, or the strings themselves, each on a line. */
int auth_print_names(const struct doc_value *list, const char *field);

#endif
