#include "cmd/etchctl/later.h"

const struct command command_backup = LATER(
    "backup", "In a later version", "", "copy the data directory of a member");
const struct command command_import = LATER("import", "In a later version", "",
                                            "bring a snapshot into a cluster");
