/* The pure parts of a program are no library: the tests beside this file link
 * this one by its source. */
#include "cmd/etchctl/flags.c"
