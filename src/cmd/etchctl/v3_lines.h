/* Lines of a descriptor, as they come: for who waits for other things too. */
#ifndef ETCHED_CMD_ETCHCTL_V3_LINES_H
#define ETCHED_CMD_ETCHCTL_V3_LINES_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/mem.h"

/* {.fd = 0} is a new one. */
struct v3_lines {
    int fd;
    bool ended; /* nothing more will come */
    struct buf text;
};

void v3_lines_deinit(struct v3_lines *lines);
/* The next line that is here as a whole, without its end; NULL: none yet. What
 * stands behind the last line's end is no line. Owns: the arena. */
char *v3_lines_take(struct v3_lines *lines, struct arena *arena);
/* Waits for some more. */
void v3_lines_read(struct v3_lines *lines);

/* Without the spaces around it. */
char *v3_trim(char *line);

#endif
