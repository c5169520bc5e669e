/* The table of commands, and the flags that all of them have. */
#include "cmd/etchctl/command.h"

#include <string.h>

const struct command *const commands[] = {
    &command_get,    &command_set,    &command_mk,
    &command_update, &command_rm,     &command_ls,
    &command_mkdir,  &command_setdir, &command_updatedir,
    &command_rmdir,  &command_watch,  &command_exec_watch,
    &command_recipe, &command_member, &command_cluster_health,
    &command_auth,   &command_user,   &command_role,
    &command_backup, &command_import, NULL,
};

const struct flag_spec global_flags[] = {
    {.name = "endpoints",
     .kind = FLAG_STRING,
     .value = "urls",
     .about = "members to ask, separated by commas; the next one where one "
              "doesn't answer (default http://127.0.0.1:2379,"
              "http://127.0.0.1:4001)"},
    {.name = "endpoint",
     .kind = FLAG_STRING,
     .value = "urls",
     .is_hidden = true},
    {.name = "peers",
     .letter = 'C',
     .kind = FLAG_STRING,
     .value = "urls",
     .about = "the same, by its older name (--endpoint is another)"},
    {.name = "output",
     .letter = 'o',
     .kind = FLAG_STRING,
     .value = "format",
     .initial = "simple",
     .about = "simple, extended or json (default simple)"},
    {.name = "no-sync",
     .about = "keep to these endpoints: don't ask which members there are"},
    {.name = "username",
     .letter = 'u',
     .kind = FLAG_STRING,
     .value = "name[:password]",
     .about = "who to be; the password is asked for when it isn't given"},
    {.name = "timeout",
     .kind = FLAG_DURATION,
     .value = "duration",
     .initial = "2s",
     .about = "for one request to answer (default 2s)"},
    {.name = "total-timeout",
     .kind = FLAG_DURATION,
     .value = "duration",
     .initial = "5s",
     .about = "for a whole command, watches excepted (default 5s)"},
    {.name = "ca-file",
     .kind = FLAG_STRING,
     .value = "file",
     .about = "trust servers whose certificates these authorities signed"},
    {.name = "cert-file",
     .kind = FLAG_STRING,
     .value = "file",
     .about = "the certificate to show to the server"},
    {.name = "key-file",
     .kind = FLAG_STRING,
     .value = "file",
     .about = "its key"},
    {.name = "debug",
     .about = "show every request as a curl command, on stderr"},
    {.name = "discovery-srv",
     .letter = 'D',
     .kind = FLAG_STRING,
     .is_hidden = true},
    {.name = "insecure-discovery", .is_hidden = true},
    {.name = "api",
     .kind = FLAG_STRING,
     .value = "version",
     .about = "2, or 3 for the commands of the v3 API"},
    {.name = "help", .letter = 'h', .about = "show help"},
    {.name = "version", .letter = 'v', .about = "show the version"},
    {0},
};

const struct command *command_find(const struct command *const *table,
                                   const char *name)
{
    for (; *table; table++)
        if (strcmp((*table)->name, name) == 0)
            return *table;
    return NULL;
}

const char *command_nearest(const struct command *const *table,
                            const char *name)
{
    const char *names[64];
    size_t count = 0;

    for (; *table && count < 64; table++)
        names[count++] = (*table)->name;
    return nearest_word(name, names, count);
}
