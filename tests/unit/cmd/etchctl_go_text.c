/* As etchctl_flags.c: linked by its source. */
#include "cmd/etchctl/go_text.c"
