/* As etchctl_flags.c: linked by its source. */
#include "cmd/etchctl/v3_user.c"
