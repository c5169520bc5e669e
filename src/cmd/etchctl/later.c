#include "cmd/etchctl/later.h"

const struct command command_auth =
    LATER("auth", "In a later version", "enable|disable",
          "turn authentication on or off");
const struct command command_user =
    LATER("user", "In a later version",
          "add|get|list|remove|grant|revoke|passwd", "users and their roles");
const struct command command_role =
    LATER("role", "In a later version", "add|get|list|remove|grant|revoke",
          "roles and what they may do");
const struct command command_backup = LATER(
    "backup", "In a later version", "", "copy the data directory of a member");
const struct command command_import = LATER("import", "In a later version", "",
                                            "bring a snapshot into a cluster");
