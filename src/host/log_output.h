/* Where log lines go: standard error, standard output, files. */
#ifndef ETCHED_HOST_LOG_OUTPUT_H
#define ETCHED_HOST_LOG_OUTPUT_H

#include "base/err.h"
#include "host/config.h"

/* Sets base/log up as the configuration says. One write a line.
 * Errors: ERR_PERMISSION, ERR_IO, with the path. */
enum err log_output_open(const struct config *config) MUST_USE;
void log_output_close(void);

#endif
