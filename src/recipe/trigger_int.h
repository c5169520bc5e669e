/* What triggers.c hands to the handlers of trigger_fields.c. */
#ifndef ETCHED_RECIPE_TRIGGER_INT_H
#define ETCHED_RECIPE_TRIGGER_INT_H

#include "recipe/recipe_int.h"

struct trigger_source {
    struct trigger *trigger;
    const struct doc_value *map; /* all of it, where fields need each other */
};

#endif
