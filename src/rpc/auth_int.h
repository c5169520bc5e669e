/* What auth.c and auth_login.c share. */
#ifndef ETCHED_RPC_AUTH_INT_H
#define ETCHED_RPC_AUTH_INT_H

#include "rpc/rpc_int.h"

/* Proposes it, in the caller's name; its answer is a header alone. */
void auth__change(struct call *call, const struct auth_change *change);

#endif
