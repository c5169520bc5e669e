/* What to do when a page of a mapped file can't be had: the disk failed, or
 * the kv file is damaged and points beyond its own end. The system then sends
 * SIGBUS, which would end the process without a word. */
#ifndef ETCHED_HOST_MAPPED_FAULT_H
#define ETCHED_HOST_MAPPED_FAULT_H

/* From now on SIGBUS ends the process with exit status 1 and a sentence on
 * standard error that names the file. Nothing is written any more: what was
 * acknowledged is in the log. */
void mapped_fault_watch(const char *path);

#endif
