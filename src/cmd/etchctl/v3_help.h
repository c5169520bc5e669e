/* The help texts of the v3 commands. Pure. */
#ifndef ETCHED_CMD_ETCHCTL_V3_HELP_H
#define ETCHED_CMD_ETCHCTL_V3_HELP_H

#include "base/bytes.h"
#include "cmd/etchctl/v3.h"

/* All commands and the global flags. */
void v3_help_program(const struct v3 *v3, struct buf *out);
/* The command (of the group) of this run. */
void v3_help_command(const struct v3 *v3, struct buf *out);

#endif
