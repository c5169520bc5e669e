/* Commands of etcdctl that are known, and come with a later version: they
 * stand in the help with what they will do, and say so when they are run. */
#ifndef ETCHED_CMD_ETCHCTL_LATER_H
#define ETCHED_CMD_ETCHCTL_LATER_H

#include "cmd/etchctl/command.h"

#define LATER(its_name, its_family, its_arguments, its_summary)             \
    {                                                                       \
        .name = its_name, .family = its_family, .arguments = its_arguments, \
        .summary = its_summary, .is_later = true                            \
    }

#endif
