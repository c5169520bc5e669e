#include "cmd/etchctl/help.h"

#include <stdio.h>
#include <string.h>

enum { LEFT_COLUMNS_MAX = 34 };

static void pad(struct buf *out, size_t from, size_t to)
{
    for (; from < to; from++)
        buf_append_char(out, ' ');
}

/* `text` after column `indent`, wrapped between words. */
static void wrapped(struct buf *out, const char *text, size_t indent)
{
    size_t column = indent;

    while (*text) {
        size_t size = strcspn(text, " ");
        if (column > indent && column + 1 + size > HELP_COLUMNS) {
            buf_append_char(out, '\n');
            pad(out, 0, indent);
            column = indent;
        } else if (column > indent) {
            buf_append_char(out, ' ');
            column++;
        }
        buf_append(out, text, size);
        column += size;
        text += size;
        while (*text == ' ')
            text++;
    }
    buf_append_char(out, '\n');
}

/* "  left    right", the right one on its own line where the left is long. */
static void row(struct buf *out, const char *left, const char *right,
                size_t width)
{
    size_t size = strlen(left);

    buf_append_str(out, "  ");
    buf_append_str(out, left);
    if (size > width) {
        buf_append_char(out, '\n');
        pad(out, 0, width + 4);
    } else {
        pad(out, size, width + 2);
    }
    wrapped(out, right, width + 4);
}

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
        row(out, text, spec->about, width);
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
        row(out, table[i]->name, summary.at, width);
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
        program, program, program, program);
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
