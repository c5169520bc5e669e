/* Standard streams of this process, for a while in files of ours. */
#ifndef ETCHED_TESTS_CMD_REDIRECT_H
#define ETCHED_TESTS_CMD_REDIRECT_H

#include "base/bytes.h"

struct redirect {
    int number, saved, file;
};
/* `input`: what is read there; NULL: nothing, it is written to. */
struct redirect redirect_begin(int number, const char *input);
/* What was written, with a zero at its end; `out` may be NULL. */
void redirect_end(struct redirect *redirect, struct buf *out);

#endif
