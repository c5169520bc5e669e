/* The table of the v3 commands, and the flags that all of them have. */
#include <string.h>

#include "cmd/etchctl/v3.h"

const struct v3_command *const v3_commands[] = {
    &v3_command_alarm,       &v3_command_auth,       &v3_command_check,
    &v3_command_compaction,  &v3_command_completion, &v3_command_defrag,
    &v3_command_del,         &v3_command_elect,      &v3_command_endpoint,
    &v3_command_get,         &v3_command_lease,      &v3_command_lock,
    &v3_command_make_mirror, &v3_command_member,     &v3_command_move_leader,
    &v3_command_put,         &v3_command_quota,      &v3_command_role,
    &v3_command_snapshot,    &v3_command_txn,        &v3_command_user,
    &v3_command_version,     &v3_command_watch,      NULL,
};

const struct pflag_spec v3_global_flags[] = {
    {"endpoints", 0, PFLAG_LIST, "127.0.0.1:2379",
     "members to ask, separated by commas; the next one where one doesn't "
     "answer"},
    {"write-out", 'w', PFLAG_STRING, "simple",
     "the output format: simple, fields, json, table or protobuf"},
    {"hex", 0, PFLAG_BOOL, NULL, "print keys and values as hex bytes"},
    {"dial-timeout", 0, PFLAG_DURATION, "2s", "for one connection to be made"},
    {"command-timeout", 0, PFLAG_DURATION, "5s",
     "for a command, where it doesn't wait for events"},
    {"keepalive-time", 0, PFLAG_DURATION, "2s",
     "silence on a connection before it is tried (never less than 10s)"},
    {"keepalive-timeout", 0, PFLAG_DURATION, "6s",
     "and for the answer, before it is given up"},
    {"user", 0, PFLAG_STRING, NULL,
     "name[:password] to be; the password is asked for when it isn't given"},
    {"password", 0, PFLAG_STRING, NULL, "the password of --user"},
    {"auth-jwt-token", 0, PFLAG_STRING, NULL,
     "the token to show, in place of a name and a password"},
    {"insecure-transport", 0, PFLAG_BOOL, "true", "without TLS"},
    {"cacert", 0, PFLAG_STRING, NULL,
     "trust servers whose certificates these authorities signed"},
    {"cert", 0, PFLAG_STRING, NULL, "the certificate to show to the server"},
    {"key", 0, PFLAG_STRING, NULL, "its key"},
    {"insecure-skip-tls-verify", 0, PFLAG_BOOL, NULL,
     "take any certificate (for tests)"},
    {"discovery-srv", 'd', PFLAG_STRING, NULL,
     "the domain whose SRV records name the members"},
    {"discovery-srv-name", 0, PFLAG_STRING, NULL,
     "the service to ask for in them"},
    {"insecure-discovery", 0, PFLAG_BOOL, "true",
     "take SRV records of members without TLS"},
    {"debug", 0, PFLAG_BOOL, NULL, "show the settings, on stderr"},
    {"help", 'h', PFLAG_BOOL, NULL, "show the help of a command"},
    {0},
};

bool v3_has_command(const char *name)
{
    for (size_t i = 0; v3_commands[i]; i++)
        if (strcmp(v3_commands[i]->name, name) == 0)
            return true;
    return false;
}
