/* As etchctl_flags.c: linked by its source. */
#include "cmd/etchctl/recipe_try.c"
