/* What cron.c, which reads the five fields, shares with schedule.c. */
#ifndef ETCHED_RECIPE_CRON_INT_H
#define ETCHED_RECIPE_CRON_INT_H

#include "recipe/schedule.h"

void cron__begin_next_month(struct wall_time *wall);
/* The first minute at or after *wall that the fields allow; false: none. */
bool cron__find_wall(const struct schedule *schedule, struct wall_time *wall);

#endif
