/* `etchctl snapshot status` and `etchctl snapshot restore`: what etcdctl's (API
 * version 3) and etcdutl's are, with their flags and their output. Neither
 * asks a server; `snapshot save`, which does, is elsewhere.
 */
#ifndef ETCHED_CMD_ETCHCTL_SNAPSHOT_H
#define ETCHED_CMD_ETCHCTL_SNAPSHOT_H

#include "cmd/etchctl/flags.h"

/* Does the whole command line ask for one of the two? Flags may stand before
 * the words. */
bool ctl_snapshot_is_asked(struct arena *arena, const struct words *in);
/* Runs it; returns the exit code. Needs: it is asked for. */
int ctl_snapshot(const char *program, struct arena *arena,
                 const struct words *in);

#endif
