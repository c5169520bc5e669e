/* What kv.c and kv_scan.c share. */
#ifndef ETCHED_RPC_KV_INT_H
#define ETCHED_RPC_KV_INT_H

#include "rpc/rpc_int.h"

/* A range whose answer is long, as one message: first it is measured, a slice
 * at a time, then made as the client reads. `request` and what it points to
 * are the call's (its arena); `now`: the store's revision. Needs: not
 * rpc__read_begin. */
void kv__scan(struct call *call, const Etcdserverpb__RangeRequest *request,
              revision now);
/* The same as many messages. */
void kv__scan_stream(struct call *call,
                     const Etcdserverpb__RangeRequest *request);
/* A copy in the call's arena. */
Etcdserverpb__RangeRequest *kv__keep(struct call *call,
                                     const Etcdserverpb__RangeRequest *request);
/* False: its user may not read that, and the call has failed. Needs:
 * rpc__read_begin, which is ended where it fails. */
bool kv__may_range(struct call *call,
                   const Etcdserverpb__RangeRequest *request);
/* Sets the revision that a time names, where the call has one. False: the call
 * has failed. Needs: rpc__read_begin, which is ended where it fails. */
bool kv__as_of(struct call *call, Etcdserverpb__RangeRequest *request);
/* The answer is of what is newest now. Needs: rpc__read_begin. */
void kv__tell_newest_time(struct call *call);
/* Fails the call with what the store or the API say. */
void kv__fail(struct call *call, enum err err, enum v3_error error);

#endif
