/* A listening socket (TCP or Unix) for one URL. */
#ifndef ETCHED_HOST_LISTENER_H
#define ETCHED_HOST_LISTENER_H

#include "base/err.h"
#include "host/config.h"

/* Errors: ERR_BUSY (another process listens there), ERR_PERMISSION, ERR_IO;
 *         the note names the URL and what can be done. */
enum err listener_open(const struct config_url *url, bool reuse_port,
                       int *fd) MUST_USE;
/* The next connection, non-blocking; -1 when none waits. *full is set when
 * the process has no file descriptor left for it. */
int listener_accept(int fd, bool *full);

#endif
