/* The comparisons of a txn as etcdctl's users write them:
 *
 *   mod("key1") > "0"      version("k") = "2"      value("k") = "text"
 *
 * Pure. */
#ifndef ETCHED_CMD_ETCHCTL_V3_COMPARE_H
#define ETCHED_CMD_ETCHCTL_V3_COMPARE_H

#include "base/bytes.h"
#include "base/err.h"
#include "proto/message.h"
#include "proto/rpc.pb-c.h"

/* Errors: ERR_INVALID with etcdctl's words. Owns: the arena. */
enum err v3_compare_parse(struct arena *arena, const char *line,
                          Etcdserverpb__Compare *out) MUST_USE;

#endif
