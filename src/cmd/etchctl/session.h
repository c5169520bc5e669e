/* One run of one command: its words and flags, the settings, and the cluster
 * once it is connected; and what all commands do with them. */
#ifndef ETCHED_CMD_ETCHCTL_SESSION_H
#define ETCHED_CMD_ETCHCTL_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "cmd/etchctl/cluster.h"
#include "cmd/etchctl/command.h"
#include "cmd/etchctl/settings.h"
#include "cmd/etchctl/v2_response.h"

struct session {
    const char *program; /* "etchctl", or the name that it was called by */
    const struct command *command;
    struct settings settings;
    struct flags flags; /* the command's own */
    struct words words;
    struct arena *arena;
    struct cluster cluster;
    struct failure failure; /* the last one */
    int stop_fd;            /* -1: signals end the program by themselves */
};

/* Opens the client, and takes over the members' own addresses unless
 * --no-sync says not to (or `sync` is false).
 * Returns EXIT_DONE, or the exit code when it said why on stderr. */
int session_connect(struct session *session, bool sync);
/* Takes the first word for the key (an error when there is none), then
 * connects. The same results. */
int session_connect_for_key(struct session *session, const char **key);
/* Frees what session_connect made. */
void session_close(struct session *session);

/* A request of /v2/keys. */
struct keys_request {
    const char *method;
    const char *key;
    struct buf query; /* "a=b&c=d", by url_append_field */
    struct buf form;  /* the body, where the method has one */
    bool has_form;
    bool is_one_shot;
    bool is_wait;
};

void keys_request_deinit(struct keys_request *request);
/* Adds "ttl=<seconds>" to the form; nothing where there is none (0 or less,
 * as in etcdctl). */
void keys_request_ttl(struct keys_request *request, int64_t ttl);

/* Sends it; the answer lives in `arena`, and is untouched on failure. The
 * request is no longer needed then: it is freed, but for watches.
 * *index_seen (may be NULL): X-Etcd-Index, even of a watch that broke off. */
bool session_keys(struct session *session, struct keys_request *request,
                  struct arena *arena, struct v2_response *out,
                  uint64_t *index_seen) MUST_USE;

/* From now on --total-timeout runs (for /v2/keys it does so anyway). */
void session_start_deadline(struct session *session);

/* A request of another path with a JSON body (size 0: none), once, whatever
 * it is answered; the answer's body lives in the arena. */
bool session_send_json(struct session *session, const char *method,
                       const char *path, struct slice json, int *status,
                       struct slice *body) MUST_USE;
/* A GET of another path; the answer's body lives in the arena.
 * Errors: false for anything but 200, with the failure set. */
bool session_get(struct session *session, const char *path,
                 struct slice *body) MUST_USE;

/* Says "Error:  <text>" on stderr and returns `code`. */
int session_fail_text(const struct session *session, enum exit_code code,
                      const char *text);
/* The same for session->failure, with its detail. Stopped by a signal is no
 * failure: EXIT_DONE. */
int session_fail(const struct session *session, enum exit_code code);

/* Prints an answer in the output format that was chosen. */
int session_print(const struct session *session,
                  const struct v2_response *response);
/* Writes to stdout at once; EXIT_BAD_ARGUMENTS when it can't (said). */
int session_write(const struct buf *text);

/* The word at `at`, or NULL. */
const char *session_word(const struct session *session, size_t at);
/* The word at `at`, or all of stdin where there is none; false when that is
 * empty too.
 * Owns: the arena. */
bool session_word_or_stdin(const struct session *session, size_t at,
                           struct slice *out);

/* From now on SIGINT and SIGTERM end what waits (FAILURE_STOPPED) instead of
 * the program. Needs: before session_connect. */
void session_catch_signals(struct session *session);

#endif
