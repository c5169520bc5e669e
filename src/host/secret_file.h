/* Small files with secrets: keys, passwords.
 *
 * Threads: any.
 */
#ifndef ETCHED_HOST_SECRET_FILE_H
#define ETCHED_HOST_SECRET_FILE_H

#include "base/bytes.h"
#include "base/err.h"

enum { SECRET_FILE_BYTES_MAX = 16 * 1024 };

/* Appends all of it to `out`, whose owner wipes it. A file that everybody may
 * read is warned of.
 * Errors: ERR_INVALID (too large), those of reading; the note has the path. */
enum err secret_file_read(const char *path, struct buf *out) MUST_USE;
/* Wipes and frees. */
void secret_wipe(struct buf *secret);

#endif
