/* `etched recipes`: the Recipes service alone, on a store elsewhere, ours or
 * an etcd 3.4 or later. */
#ifndef ETCHED_HOST_RECIPES_ALONE_H
#define ETCHED_HOST_RECIPES_ALONE_H

#include "host/config.h"

/* Serves /recipes/v1/, /health and /metrics on --listen-client-urls until
 * SIGTERM or SIGINT, then hands over what it works on.
 * Errors: what kept it from starting; the note says why. */
enum err recipes_alone_run(const struct config *config) MUST_USE;

#endif
