/* What auth, user and role have in common. */
#ifndef ETCHED_CMD_ETCHCTL_V3_AUTH_H
#define ETCHED_CMD_ETCHCTL_V3_AUTH_H

#include "cmd/etchctl/v3_print.h"

/* Connects (where that isn't done), calls and prints; returns an exit code. */
int v3_auth_finish(struct v3 *v3, struct v3_call *call,
                   struct v3_result *result);

#endif
