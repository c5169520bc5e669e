/* A small language for stories about v3's keys. Requests are text, and so is
 * what they answer:
 *
 *   IS(ask("put a 1"), "@2");
 *   IS(ask("get a.. limit=1"), "a=1 [2,2,1]; count 1 @2");
 *   IS(ask("txn if mod a = 2 then put a 2 , get a else get b"), "...");
 *
 * A key stands alone, "a..b" is the range [a, b), "a.." all from a on. A
 * KeyValue reads "key=value [create,mod,version]" and " lease=N" if it has
 * one. An error reads as the API's text, without "etcdserver: ".
 */
#ifndef ETCHED_TESTS_UNIT_TXN_STORIES_H
#define ETCHED_TESTS_UNIT_TXN_STORIES_H

#include "memory/kv_memory.h"
#include "proto/message.h"
#include "txn/txn.h"

extern struct kv *kv;
extern struct mvcc *store;
extern struct mvcc_reader *reader;
extern struct lease_table *leases;
extern int64_t clock_ns; /* of the next write; grows by 10 each */
extern size_t ops_max;   /* 128, as long as the story says nothing else */
/* The last write's commit, as "key=value" and "key!" each with its cause;
 * "none". */
extern const char *const committed;

#define IS(text, want) assert_string_equal(text, want)
#define STORY(name) \
    cmocka_unit_test_setup_teardown(name, story_begin, story_end)

int story_begin(void **state);
int story_end(void **state);

/* put KEY VALUE [prev] [lease=N] [keep-value] [keep-lease]
 * get KEYS [limit=N] [rev=N] [keys] [count] [asc|desc|none] [by=key|version|
 *     create|mod|value] [minmod=N] [maxmod=N] [mincreate=N] [maxcreate=N]
 * del KEYS [prev]
 * txn [if COMPARE , COMPARE ...] [then OP , OP ...] [else OP , OP ...]
 *     where an OP is one of the above, a txn in "(" and ")", or "nothing",
 *     and COMPARE is: version|create|mod|value|lease KEYS =|!=|<|> WHAT
 * A "-" stands for an empty key or value. */
const char *ask(const char *request);
/* As an answer that nobody waits for. */
const char *tell(const char *request);
/* A get in pieces of `bytes` each, measured before if `measured`. */
const char *scan(const char *request, size_t bytes, bool measured);
/* The messages themselves, good until the story's end. */
Etcdserverpb__RangeRequest *range_of(const char *request);
Etcdserverpb__TxnRequest *txn_of(const char *request);
Etcdserverpb__PutRequest *put_of(const char *request);
Etcdserverpb__DeleteRangeRequest *delete_of(const char *request);

/* A RangeResponse as text. */
const char *show_range(struct slice body, revision at);

void grant(lease_id lease);
const char *revoke(lease_id lease); /* what was committed */
/* How many keys are with the lease; -1: there is no such lease. */
int keys_of(lease_id lease);
void compact(revision at); /* with all its work */
void flush(void);
uint32_t hash_at(revision at); /* CHECKs that there is one */

#endif
