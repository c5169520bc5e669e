/* A row of a help text. Pure. */
#ifndef ETCHED_CMD_ETCHCTL_HELP_ROW_H
#define ETCHED_CMD_ETCHCTL_HELP_ROW_H

#include "base/bytes.h"

enum { HELP_COLUMNS = 79 };

/* "  left    right", wrapped; the right one on its own line where the left is
 * longer than `width`. */
void help_row(struct buf *out, const char *left, const char *right,
              size_t width);

#endif
