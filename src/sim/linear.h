/* Linearizability of one key's history (Herlihy and Wing 1990), decided by the
 * search of Wing and Gong (1993) with Lowe's memory of what was seen (2017).
 *
 * An operation has a call and a return. The history is good when each
 * operation can be given one moment between the two, so that all of them in
 * the order of these moments make sense for a register that may be absent.
 * One that never returned may have happened at any moment after its call, or
 * not at all.
 *
 *     call A |------------x---| return
 *     call B      |---x-------------| return     order: B, A
 *
 * Threads: any; nothing is shared.
 */
#ifndef ETCHED_SIM_LINEAR_H
#define ETCHED_SIM_LINEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A value is a number; 0: the key isn't there. */
typedef uint32_t linear_value;

#define LINEAR_NEVER INT64_MAX

/* What an operation asks, and what it was told:
 *
 *            done             refused
 *   READ     saw `seen`       -
 *   SET      it was `seen`    -
 *   CREATE   it was absent    it was there
 *   UPDATE   it was `seen`    it was absent
 *   SWAP     it was `expect`  it was absent (seen 0) or another
 *   DELETE   it was `seen`    it was absent
 *   REMOVE   it was `expect`  as SWAP
 *   PUT_IF   it was `expect`  it was `seen`, another (both may be 0: absent)
 *   END_IF   it was `expect`  it was `seen`: another, or absent */
enum linear_kind {
    LINEAR_READ,
    LINEAR_SET,
    LINEAR_CREATE,
    LINEAR_UPDATE,
    LINEAR_SWAP,
    LINEAR_DELETE,
    LINEAR_REMOVE, /* a delete that compares */
    /* v3's txns, which tell what they have found instead: */
    LINEAR_PUT_IF,
    LINEAR_END_IF,
};

struct linear_op {
    int64_t call_ns;
    int64_t return_ns; /* LINEAR_NEVER: nobody knows; the rest is unset */
    enum linear_kind kind;
    linear_value value;  /* to be written; never 0 */
    linear_value expect; /* SWAP, REMOVE, PUT_IF, END_IF */
    bool refused;
    linear_value seen;
};

enum linear_verdict {
    LINEAR_GOOD,
    LINEAR_BAD,
    LINEAR_UNSURE, /* not decided within `steps_max` */
};

/* Needs: `ops` in the order of their calls; count at most LINEAR_OPS_MAX. */
enum { LINEAR_OPS_MAX = 1 << 20 };
enum linear_verdict linear_check(const struct linear_op *ops, size_t count,
                                 linear_value start, uint64_t steps_max);

/* What comes of `op` where the register holds `*value`; false: what it was
 * told can't be. */
bool linear_apply(const struct linear_op *op, linear_value *value);

#endif
