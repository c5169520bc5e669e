/* Who comes first: what Lock and Election have in common.
 *
 * All who want to have `name` put a key of their own, `name/<lease in hex>`.
 * The key that was created first has it; the others wait until all keys that
 * were created before theirs are gone. A key goes with its lease, or with the
 * call that waits.
 *
 *   (a lease of one's own) --> a key --> look --> first: won
 *                                         ^ |
 *                                         | '--> watch the one before
 *                                         '------ it has gone
 *
 * What is looked at is this member's own state. It may be old, but it holds
 * the key that was just put, so it holds all that were before it; and keys
 * before it only go.
 */
#ifndef ETCHED_RPC_CONTEST_H
#define ETCHED_RPC_CONTEST_H

#include "rpc/watch_int.h"

struct contest {
    struct rpc *rpc;
    struct call *call; /* NULL: it is gone */
    struct buf prefix; /* the name and '/' */
    struct buf key;
    struct buf value;
    struct buf user; /* the call's, who outlives it */
    lease_id lease;
    revision create; /* of the key */
    revision header; /* of what was done last */
    bool is_new;     /* the key was put by this call */
    bool is_away;    /* a task is with the node */
    bool waited;
    struct buf before_key;
    struct inner_watch before;
    struct inner_watch own;
    /* What comes when the lease is known, and when the key is there. */
    void (*then)(struct contest *contest);
    /* All who were before it are gone, as of this revision. It ends the call
     * with contest__free before. */
    void (*won)(struct contest *contest, revision at);
    const char *lost; /* what is said when its key is taken from it */
};

/* A new one, for this call: key and prefix aren't set. */
struct contest *contest__new(struct call *call, struct slice value,
                             lease_id lease);
/* Needs: nothing of it is with the node, or watched. */
void contest__free(struct contest *contest);
/* Goes on with `then`, with a lease of its own where it has none. */
void contest__with_lease(struct contest *contest,
                         void (*then)(struct contest *contest));
/* Puts the key, and waits. */
void contest__enter(struct contest *contest, struct slice name,
                    void (*won)(struct contest *contest, revision at),
                    const char *lost);
/* Where the key was created at this revision, it gets the value (`deletes`: it
 * goes). Answers with a header; else, `refusal` (NULL: that is well, too). */
void contest__change(struct contest *contest, bool deletes,
                     const char *refusal);

/* The key that was created first (`last`: last) below a prefix, among those
 * created before `below` (0: all). */
struct contest_seek {
    struct slice prefix;
    revision below;
    bool last;
    bool wants_kv;
    /* What comes of it: */
    revision at; /* as of then */
    bool found;
    revision create;
    revision mod;
    struct buf key;
    struct buf kv; /* its KeyValue, encoded */
};
/* Errors: of the store. */
enum err contest__seek(struct rpc *rpc, struct contest_seek *seek) MUST_USE;
void contest__seek_deinit(struct contest_seek *seek);

/* Whether the call's user may read all that is below a prefix, by which it is
 * decided who comes first. */
enum v3_error contest__may_look(struct call *call, struct slice prefix);

/* As etcd answers, whose Lock and Election are clients of its own: the text of
 * the error, and no code. */
void contest__fail(struct call *call, enum err err, enum v3_error error);
void contest__fail_text(struct call *call, const char *text);

#endif
