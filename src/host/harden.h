/* The process gives up what it doesn't need.
 *
 *   at the start      no new rights by any program (no-new-privs), no core
 *                     file, no debugger of the same user
 *   ports are open,   the user (--user), the system calls (--seccomp)
 *   the folder held
 *   it serves         and says aloud what of that, or of TLS and users, is
 *                     missing beyond this machine
 */
#ifndef ETCHED_HOST_HARDEN_H
#define ETCHED_HOST_HARDEN_H

#include "host/config.h"
#include "host/privileges.h"

/* Needs: before anything secret is read. What fails is logged: a kernel that
 * can't do it is no reason not to serve. */
void harden_begin(const struct config *config);

/* The user and the system calls, for good.
 * Errors: ERR_PERMISSION (the user); what the kernel's filter lacks is
 *         logged. */
enum err harden_confine(const struct config *config,
                        const struct privileges *who) MUST_USE;

/* A loud line for each way in from beyond this machine that isn't protected;
 * returns how many. `has_users`: users and roles are checked (auth is on). */
int harden_warn_open(const struct config *config, bool has_users);

#endif
