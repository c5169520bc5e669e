#include "cmd/etchctl/help.h"

#include <stdio.h>
#include <string.h>

enum { LEFT_COLUMNS_MAX = 34 };

/* ---- flags -------------------------------------------------------------- */

static void flag_text(const struct flag_spec *spec, char *out, size_t size)
{
    const char *dashes = strlen(spec->name) == 1 ? "-" : "--";
    char letter[8] = "";

    if (spec->letter)
        snprintf(letter, sizeof(letter), "-%c, ", spec->letter);
    snprintf(out, size, "%s%s%s%s%s", letter, dashes, spec->name,
             spec->value ? " " : "", spec->value ? spec->value : "");
}

static void flag_rows(struct buf *out, const char *heading,
                      const struct flag_spec *specs)
{
    char text[64];
    size_t width = 0;

    if (!specs || !specs[0].name)
        return;
    for (const struct flag_spec *spec = specs; spec->name; spec++) {
        flag_text(spec, text, sizeof(text));
        if (!spec->is_hidden && strlen(text) > width &&
            strlen(text) < LEFT_COLUMNS_MAX)
            width = strlen(text);
    }
    buf_printf(out, "\n%s\n", heading);
    for (const struct flag_spec *spec = specs; spec->name; spec++) {
        if (spec->is_hidden)
            continue;
        flag_text(spec, text, sizeof(text));
        help_row(out, text, spec->about, width);
    }
}

/* ---- commands ----------------------------------------------------------- */

static void command_rows(struct buf *out, const struct command *const *table)
{
    const char *family = "";
    size_t width = 0;

    for (size_t i = 0; table[i]; i++)
        if (strlen(table[i]->name) > width)
            width = strlen(table[i]->name);
    for (size_t i = 0; table[i]; i++) {
        struct buf summary = {0};
        const char *mine = table[i]->family ? table[i]->family : "Commands";
        if (strcmp(mine, family) != 0)
            buf_printf(out, "\n%s\n", mine);
        family = mine;
        buf_append_str(&summary, table[i]->summary);
        if (table[i]->is_later && !table[i]->family)
            buf_append_str(&summary, " (in a later version)");
        buf_append_char(&summary, '\0');
        help_row(out, table[i]->name, summary.at, width);
        buf_deinit(&summary);
    }
}

void help_program(const char *program, struct buf *out)
{
    buf_printf(out,
               "%s: reads, writes and watches the keys of an etched cluster, "
               "or of etcd\nby its v2 API.\n\n"
               "Usage: %s [global flags] <command> [flags] [arguments]\n",
               program, program);
    command_rows(out, commands);
    flag_rows(out, "Global flags (before the command, or after it)",
              global_flags);
    buf_printf(
        out,
        "\nThe environment\n"
        "  ETCDCTL_API: 3 for the commands of the v3 API (see\n"
        "  'ETCDCTL_API=3 %s help'). Those that only v3 has (put, del,\n"
        "  txn, lease, lock, endpoint, ...) need no choice.\n"
        "  ETCDCTL_ENDPOINTS (or _ENDPOINT, _PEERS), ETCDCTL_USERNAME,\n"
        "  ETCDCTL_CA_FILE, ETCDCTL_CERT_FILE, ETCDCTL_KEY_FILE: what the "
        "flags\n  of these names say, where they aren't given.\n"
        "\nExit codes\n"
        "  0 done, 1 bad arguments, 2 no connection, 3 unknown command, 4 the\n"
        "  server says no, 5 the cluster isn't healthy\n"
        "\nExamples\n"
        "  %s set /message 'Hello world'\n"
        "  %s get /message\n"
        "  %s watch --forever --recursive /config\n"
        "\n'%s help <command>' says more of one.\n",
        program, program, program, program, program);
}

void help_command(const char *program, const struct command *group,
                  const struct command *command, struct buf *out)
{
    buf_printf(out, "%s%s%s %s: %s\n\nUsage: %s%s%s %s", program,
               group ? " " : "", group ? group->name : "", command->name,
               command->summary, program, group ? " " : "",
               group ? group->name : "", command->name);
    if (command->flags)
        buf_append_str(out, " [flags]");
    if (command->arguments[0])
        buf_printf(out, " %s", command->arguments);
    buf_append_char(out, '\n');
    if (command->is_later)
        buf_append_str(out, "\nThis comes with a later version.\n");
    if (command->about)
        buf_printf(out, "\n%s", command->about);
    if (command->subcommands)
        command_rows(out, command->subcommands);
    flag_rows(out, "Flags", command->flags);
    buf_printf(out, "\n'%s help' lists the flags that every command has.\n",
               program);
}
