/* What the recipes of a simulated world are, and what must come of them: told
 * from the commits alone, by rules of its own, so it is a second opinion on
 * runner/ and recipe/.
 *
 * Each effect is a key that names the event which it is for:
 *
 *   fx/<what>/<revision of the event>/<key of the event>
 *
 * so one that is missing, one too many and one that was done twice are seen.
 */
#ifndef ETCHED_SIM_FIRING_H
#define ETCHED_SIM_FIRING_H

#include "mvcc/mvcc.h"

struct sim;

enum sim_effect {
    SIM_EFFECT_COUNT,  /* of /k0 ..., all that happens */
    SIM_EFFECT_LEASED, /* /l/.., /t/..: keys with a lease or a TTL */
    SIM_EFFECT_CHAIN,  /* of the effects of the first */
    SIM_EFFECT_WHERE,  /* with a look at the store at that revision */
    SIM_EFFECT_PAIR,   /* two events in one revision */
    SIM_EFFECT_BEFORE, /* of one run, before it waits, */
    SIM_EFFECT_AFTER,  /* and after */
    SIM_EFFECT_SENT,   /* of one run, after an action outside, */
    SIM_EFFECT_DEAD,   /* or after that was given up */
    SIM_EFFECT_HOLD,   /* has held for SIM_HOLD_NS */
    SIM_EFFECT_TICK,
    SIM_EFFECT_KINDS,
};

#define SIM_HOLD_NS INT64_C(2000000000)

/* How many must come of the events so far, and have come. */
struct firings {
    uint64_t events[SIM_EFFECT_KINDS];
    uint64_t effects[SIM_EFFECT_KINDS];
    struct sim *sim;
};

/* The documents, one after the other; NULL: no more. */
const char *firing_recipe(int number);

/* Behind the ledger. Fails the run for an effect that must not be. */
void firings_note(struct firings *firings, const struct mvcc_commit *commit);
/* True: each event has had its effects. Else why not is in `why`, if it isn't
 * NULL. */
struct buf;
bool firings_are_complete(const struct firings *firings, struct buf *why);

#endif
