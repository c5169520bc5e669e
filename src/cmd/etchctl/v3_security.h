/* The flags of v3 commands that say how TLS is done. */
#ifndef ETCHED_CMD_ETCHCTL_V3_SECURITY_H
#define ETCHED_CMD_ETCHCTL_V3_SECURITY_H

#include "cmd/etchctl/v3.h"

/* An empty file name is a mistake. Returns V3_DONE, or the exit code when it
 * said why. */
int v3_check_security(const struct v3 *v3);
/* Of --cacert and its likes; `prefix` "dest-": of --dest-cacert. As with
 * etcdctl a file, or --insecure-transport=false, gives TLS to endpoints that
 * don't say. */
struct rpc_client_tls v3_security(const struct v3 *v3, const char *prefix);
/* That its files can be read, in etcdctl's words if not. The same results as
 * v3_check_security. */
int v3_check_files(const struct v3 *v3, const struct rpc_client_tls *tls);

#endif
