/* The disk door (port/disk.h) on a real directory. */
#ifndef ETCHED_HOST_DISK_POSIX_H
#define ETCHED_HOST_DISK_POSIX_H

#include "port/disk.h"

/* The directory is held open: all names are relative to it, wherever it is
 * moved. A symbolic link is followed neither to the directory nor to a file.
 * Errors: ERR_NOT_FOUND, ERR_INVALID (not a directory, a link),
 *         ERR_PERMISSION, ERR_IO.
 * Threads: one at a time. */
enum err disk_posix_open(const char *path, struct disk **out) MUST_USE;
/* Needs: all its files are closed. */
void disk_posix_close(struct disk *disk);

#endif
