/* A naive twin of the store as v3 sees it: lists of all that was written, and
 * what they say a request's answer has to be. */
#ifndef ETCHED_TESTS_MODEL_TXN_TWIN_H
#define ETCHED_TESTS_MODEL_TXN_TWIN_H

#include "base/mem.h"
#include "txn/txn.h"

enum {
    TWIN_KEYS = 20,
    TWIN_VALUES = 12,
    TWIN_LEASES = 4,       /* with the ids 1, 2, ... */
    TWIN_NOTES_MAX = 4096, /* puts or deletes in one request */
};

/* One key, once. */
struct fact {
    revision main;
    uint32_t sub;
    revision create;
    int64_t version; /* 0: the key ends here */
    int value;
    lease_id lease;
};

struct twin_key {
    struct fact *facts;
    size_t count, capacity;
};

struct twin {
    struct arena arena; /* of one request and what is expected of it */
    struct twin_key keys[TWIN_KEYS];
    bool granted[TWIN_LEASES];
    revision current;
    revision compacted; /* 0: never was */
    bool open;          /* a write is on its way */
    uint32_t sub;
};

extern struct twin twin;

struct slice twin_key_of(int key);
struct slice twin_value_of(int value);
/* The key as it is at a revision; NULL: it isn't. */
const struct fact *twin_fact_at(int key, revision at);
/* Of the write that is on its way. */
void twin_add(int key, struct fact fact);
revision twin_main_now(void);
void twin_begin(void);
/* What was written is one commit, with a record for each. */
void twin_end(struct mvcc_commit *commit);
/* What no read can see any more after a compaction. */
void twin_forget(void);

/* A message, or a list of pointers, in the arena. */
void *twin_make(const ProtobufCMessageDescriptor *type);
void *twin_list(size_t count);
#define MAKE(name) twin_make(&etcdserverpb__##name##__descriptor)

/* What is refused. */
enum v3_error twin_check_put(const Etcdserverpb__PutRequest *request);
enum v3_error twin_check_range(const Etcdserverpb__RangeRequest *request);
enum v3_error twin_check_txn(const Etcdserverpb__TxnRequest *request);
enum v3_error twin_check_overlap(const Etcdserverpb__TxnRequest *request);

/* What is answered to what isn't; writes are done by it. */
Etcdserverpb__RangeResponse *
twin_range(const Etcdserverpb__RangeRequest *request);
Etcdserverpb__PutResponse *twin_put(const Etcdserverpb__PutRequest *request);
Etcdserverpb__DeleteRangeResponse *
twin_delete_range(const Etcdserverpb__DeleteRangeRequest *request);
Etcdserverpb__TxnResponse *twin_txn(const Etcdserverpb__TxnRequest *request);
uint32_t twin_hash(revision at);

#endif
