/* Small worlds for the tests: calm, and driven by hand as far as wanted. */
#ifndef ETCHED_TESTS_UNIT_SIM_SIM_WORLDS_H
#define ETCHED_TESTS_UNIT_SIM_SIM_WORLDS_H

#include "sim/sim_int.h"

/* A calm world of so many members, begun, at its first moment: nobody leads
 * yet, nobody asks anything. All its choices are plain ones. */
struct sim *world_new(int members);
/* The same, not begun. */
struct sim *world_unborn(int members);
/* As world_new; and a leader is there, and has committed something. */
struct sim *world_led(int members);
void world_free(struct sim *sim); /* which must not have failed */

/* Lets happen what happens within so many milliseconds. */
void world_wait(struct sim *sim, int64_t ms);
/* The same until a failure; its text has these words. */
void world_fails(struct sim *sim, int64_t ms, const char *words);
void world_has_failed(struct sim *sim, const char *words);

struct sim_member *world_leader(struct sim *sim);
/* Some member that doesn't lead. */
struct sim_member *world_follower(struct sim *sim);

/* What a client that belongs to nobody is told. */
struct world_answer {
    struct sim_client client;
    bool told;
    enum err err;
};
void world_ask(struct world_answer *answer, struct sim_member *member,
               enum sim_kind kind, int key);
/* Asks, waits, and it was done. */
void world_done(struct sim_member *member, enum sim_kind kind, int key);

/* How many events of this kind the story has. */
size_t world_count(const struct sim *sim, enum sim_trace_what what);

#endif
