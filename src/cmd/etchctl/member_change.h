/* The subcommands of member that change something. */
#ifndef ETCHED_CMD_ETCHCTL_MEMBER_CHANGE_H
#define ETCHED_CMD_ETCHCTL_MEMBER_CHANGE_H

#include "cmd/etchctl/command.h"

extern const struct command command_member_add;
extern const struct command command_member_remove;
extern const struct command command_member_update;

#endif
