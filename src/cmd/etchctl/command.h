/* What a command of etchctl is: one entry of a table, whose code is one file.
 *
 * To add one: write <name>.c with a `const struct command command_<name>`,
 * declare it below, and put it into the table of commands.c. Its flags, its
 * help and its words are read by that entry; run() only does the work.
 */
#ifndef ETCHED_CMD_ETCHCTL_COMMAND_H
#define ETCHED_CMD_ETCHCTL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"
#include "cmd/etchctl/flags.h"

struct session;

/* As etcdctl's. */
enum exit_code {
    EXIT_DONE = 0,
    EXIT_BAD_ARGUMENTS = 1,
    EXIT_BAD_CONNECTION = 2,
    EXIT_UNKNOWN_COMMAND = 3, /* etcdctl's bad authentication too */
    EXIT_SERVER_ERROR = 4,
    EXIT_NOT_HEALTHY = 5,
};

struct command {
    const char *name;
    const char *family;            /* the heading it stands under in the help */
    const char *arguments;         /* "<key> <value>"; "" when there are none */
    const char *summary;           /* one line, no full stop */
    const char *about;             /* paragraphs, each line ended; NULL: none */
    const struct flag_spec *flags; /* NULL: none */
    /* A group: run is NULL then. Ends with a NULL. */
    const struct command *const *subcommands;
    size_t words_max;                    /* see struct flags_grammar; 0: any */
    bool is_dash_word;                   /* see there */
    bool is_later;                       /* known, but not in this version */
    int (*run)(struct session *session); /* returns an exit code */
};

/* All commands, in the order of the help; ends with a NULL. */
extern const struct command *const commands[];
/* The flags that every command has. */
extern const struct flag_spec global_flags[];

/* The command of that name in a table, or NULL. */
const struct command *command_find(const struct command *const *table,
                                   const char *name);
/* The name of a command nearest to `name`, or NULL. */
const char *command_nearest(const struct command *const *table,
                            const char *name);

extern const struct command command_get;
extern const struct command command_ls;
extern const struct command command_set;
extern const struct command command_mk;
extern const struct command command_update;
extern const struct command command_rm;
extern const struct command command_mkdir;
extern const struct command command_setdir;
extern const struct command command_updatedir;
extern const struct command command_rmdir;
extern const struct command command_watch;
extern const struct command command_exec_watch;
extern const struct command command_cluster_health;
extern const struct command command_member;
extern const struct command command_auth;
extern const struct command command_user;
extern const struct command command_role;
extern const struct command command_backup;
extern const struct command command_import;
extern const struct command command_recipe;

#endif
