/* The help texts. Pure. */
#ifndef ETCHED_CMD_ETCHCTL_HELP_H
#define ETCHED_CMD_ETCHCTL_HELP_H

#include "base/bytes.h"
#include "cmd/etchctl/command.h"
#include "cmd/etchctl/help_row.h"

/* All commands and the global flags. */
void help_program(const char *program, struct buf *out);
/* One command; `group` is the one that it belongs to, or NULL. */
void help_command(const char *program, const struct command *group,
                  const struct command *command, struct buf *out);

#endif
