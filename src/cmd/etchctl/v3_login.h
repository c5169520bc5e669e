/* Who a v3 command is to its servers: a name and a password become a token,
 * which goes along with every call; where a server doesn't take it any more
 * (it has ended, or the server has begun again) the command logs in again. */
#ifndef ETCHED_CMD_ETCHCTL_V3_LOGIN_H
#define ETCHED_CMD_ETCHCTL_V3_LOGIN_H

#include "cmd/etchctl/v3.h"

/* Does as --user, --password and --auth-jwt-token say. A cluster that has
 * authentication turned off takes everybody.
 * Returns V3_DONE, or the exit code when it said why on stderr. */
int v3_login(struct v3 *v3, struct rpc_client *client);
/* Something was refused with `text`: was it for its token? Then, once that was
 * replaced, it is worth another try. */
bool v3_login_is_over(const struct v3 *v3, struct slice text);
/* Blocks, so not for callbacks. False: v3->failure says why not. */
bool v3_login_again(struct v3 *v3, struct rpc_client *client);
/* Was that for the password, so that it isn't worth another try? */
bool v3_login_is_refused(const struct v3 *v3);

#endif
