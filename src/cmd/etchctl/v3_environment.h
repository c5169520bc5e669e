/* Flags that the environment gives: ETCDCTL_<NAME> for --<name>. Pure: the
 * environment is handed in. */
#ifndef ETCHED_CMD_ETCHCTL_V3_ENVIRONMENT_H
#define ETCHED_CMD_ETCHCTL_V3_ENVIRONMENT_H

#include "base/bytes.h"
#include "cmd/etchctl/pflags.h"

/* Sets the flags of `table` that weren't given; a value that can't be is left
 * alone. `warnings`: a line for each variable that says nothing to us; `known`
 * (ends with a NULL) say something to others.
 * Errors: ERR_INVALID where both the flag and its variable are given. */
enum err v3_environment_apply(struct pflags *flags,
                              const struct pflag_spec *table,
                              char *const *environment,
                              const char *const *known,
                              struct buf *warnings) MUST_USE;

#endif
