/* The tests of holes again, over checks that have the holes: each is planted
 * (base/plant.h) and asleep, and where it is woken its test must see it. The
 * checks are compiled here anew, so this needs no build of its own. */
#ifndef ETCHED_PLANTED
#define ETCHED_PLANTED
#endif

#include "auth/auth_may.c"

enum plant plant_active = PLANT_NONE;

#include "tests/unit/auth/test_holes.c"
