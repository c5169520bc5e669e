/* The commands of API version 3: what one is, one run of one, and what all of
 * them do with it. Their output and exit codes are etcdctl's (3.4).
 *
 * To add one: write v3_<family>.c with a `const struct v3_command
 * v3_command_<name>`, declare it below, and put it into the table of
 * v3_commands.c. Its flags and its help are read by that entry; run() does the
 * work.
 */
#ifndef ETCHED_CMD_ETCHCTL_V3_H
#define ETCHED_CMD_ETCHCTL_V3_H

#include "cmd/etchctl/pflags.h"
#include "host/rpc_client.h"
#include "proto/kv.pb-c.h"
#include "proto/message.h"
#include "proto/rpc.pb-c.h"

enum v3_exit {
    V3_DONE = 0,
    V3_ERROR = 1,
    V3_BAD_CONNECTION = 2,
    V3_INVALID_INPUT = 3, /* of txn and watch */
    V3_BAD_FEATURE = 4,   /* a flag's value that there isn't */
    V3_INTERRUPTED = 5,
    V3_BAD_ARGUMENTS = 128,
};

enum v3_format { V3_SIMPLE, V3_FIELDS, V3_JSON, V3_PROTOBUF, V3_TABLE };

struct v3;

struct v3_command {
    const char *name;
    const char *arguments; /* "[options] <key> [range_end]" */
    const char *summary;   /* one line */
    const char *about;     /* paragraphs, each line ended; NULL: none */
    const struct pflag_spec *flags;
    const struct pflag_spec *shared; /* of a group: for its subcommands too */
    const struct v3_command *const *subcommands; /* of a group, else NULL */
    int (*run)(struct v3 *v3);                   /* NULL: a group */
};

struct v3 {
    const char *program;
    struct arena *arena;
    const struct v3_command *group; /* NULL: none */
    const struct v3_command *command;
    struct pflags flags;
    struct words line;  /* what stood behind the program's name */
    struct words words; /* of it, what is neither flag nor command */
    enum v3_format format;
    bool is_hex;
    struct rpc_client *client; /* NULL until v3_connect */
    struct rpc_client *away;   /* of v3_connect_away */
    char *failure;             /* why the last call failed */
    char *user;                /* who it is; NULL: nobody, or not asked yet */
    char *password;
    bool is_logging_in;
    int stop_fd; /* -1: signals end the program by themselves */
};

/* Runs the command line. Returns the exit code. */
int v3_main(const char *program, struct arena *arena, struct words line);
/* Is it one of the commands here? */
bool v3_has_command(const char *name);

/* All commands, in the order of the help; ends with a NULL. */
extern const struct v3_command *const v3_commands[];
extern const struct pflag_spec v3_global_flags[];

/* ---- connecting --------------------------------------------------------- */

/* Settles the flags that the environment may give, and the output format.
 * Returns V3_DONE, or the exit code when it said why on stderr. */
int v3_settle(struct v3 *v3);
/* The same, and opens the client on --endpoints (or on one of them). */
int v3_connect(struct v3 *v3);
int v3_connect_to(struct v3 *v3, const char *endpoint, struct rpc_client **out);
/* To another cluster, by the flags that begin with --dest-: it isn't shown
 * --user and --password, which are this one's. */
int v3_connect_away(struct v3 *v3, const char *endpoint,
                    struct rpc_client **out);
void v3_close(struct v3 *v3);
/* --endpoints, or with --cluster those that the members have. The same
 * results as v3_connect. */
int v3_endpoints(struct v3 *v3, struct words *out);
/* When --command-timeout, beginning now, is over. */
int64_t v3_deadline(const struct v3 *v3);
/* From now on SIGINT and SIGTERM end what waits (RPC_STOPPED) instead of the
 * program. Needs: before v3_connect. */
void v3_catch_signals(struct v3 *v3);

/* ---- calls -------------------------------------------------------------- */

/* "KV/Range" stands for "/etcdserverpb.KV/Range". */
struct v3_call {
    const char *method;
    const ProtobufCMessage *request;
    const ProtobufCMessageDescriptor *answer;
    int64_t deadline_ms; /* 0: none */
    bool is_repeatable;  /* it changes nothing */
};
/* Calls. The answer lives in the arena; NULL: v3->failure says why not. */
void *v3_call(struct v3 *v3, const struct v3_call *call);
void *v3_call_on(struct v3 *v3, struct rpc_client *client,
                 const struct v3_call *call);
/* What a failed call looks like to etcdctl's users. */
char *v3_failure(struct arena *arena, int code, struct slice text);

/* ---- saying ------------------------------------------------------------- */

/* "Error: ..." on stderr; returns `code`. */
int v3_fail(const struct v3 *v3, enum v3_exit code, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* Writes to stdout at once; V3_ERROR when it can't (said). Empties `text`. */
int v3_write(struct buf *text);

/* ---- words -------------------------------------------------------------- */

/* The word at `at`, or NULL. */
const char *v3_word(const struct v3 *v3, size_t at);
/* All of stdin. Owns: the arena. */
struct slice v3_read_stdin(struct v3 *v3);

extern const struct v3_command v3_command_get;
extern const struct v3_command v3_command_put;
extern const struct v3_command v3_command_del;
extern const struct v3_command v3_command_txn;
extern const struct v3_command v3_command_watch;
extern const struct v3_command v3_command_compaction;
extern const struct v3_command v3_command_lease;
extern const struct v3_command v3_command_lock;
extern const struct v3_command v3_command_elect;
extern const struct v3_command v3_command_member;
extern const struct v3_command v3_command_endpoint;
extern const struct v3_command v3_command_alarm;
extern const struct v3_command v3_command_defrag;
extern const struct v3_command v3_command_move_leader;
extern const struct v3_command v3_command_snapshot;
extern const struct v3_command v3_command_make_mirror;
extern const struct v3_command v3_command_check;
extern const struct v3_command v3_command_version;
extern const struct v3_command v3_command_completion;
extern const struct v3_command v3_command_auth;
extern const struct v3_command v3_command_user;
extern const struct v3_command v3_command_role;
extern const struct v3_command v3_command_quota;

#endif
