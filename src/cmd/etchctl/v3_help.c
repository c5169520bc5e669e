#include "cmd/etchctl/v3_help.h"

#include <stdio.h>
#include <string.h>

#include "cmd/etchctl/help_row.h"

enum { LEFT_COLUMNS_MAX = 34 };

static void flag_text(const struct pflag_spec *spec, char *out, size_t size)
{
    static const char *const values[] = {
        [PFLAG_BOOL] = "",       [PFLAG_STRING] = " text",
        [PFLAG_INT] = " number", [PFLAG_DURATION] = " duration",
        [PFLAG_LIST] = " list",
    };
    char letter[8] = "    ";

    if (spec->letter)
        snprintf(letter, sizeof(letter), "-%c, ", spec->letter);
    snprintf(out, size, "%s--%s%s", letter, spec->name, values[spec->kind]);
}

static void flag_rows(struct buf *out, const char *heading,
                      const struct pflag_spec *table)
{
    char left[64];
    size_t width = 0;

    if (!table || !table->name)
        return;
    for (const struct pflag_spec *spec = table; spec->name; spec++) {
        flag_text(spec, left, sizeof(left));
        if (strlen(left) > width && strlen(left) < LEFT_COLUMNS_MAX)
            width = strlen(left);
    }
    buf_printf(out, "\n%s\n", heading);
    for (const struct pflag_spec *spec = table; spec->name; spec++) {
        struct buf about = {0};
        flag_text(spec, left, sizeof(left));
        buf_append_str(&about, spec->about);
        if (spec->initial)
            buf_printf(&about, " (default %s)", spec->initial);
        buf_append_char(&about, '\0');
        help_row(out, left, about.at, width);
        buf_deinit(&about);
    }
}

static void full_name(char *out, size_t size, const struct v3_command *group,
                      const struct v3_command *command)
{
    snprintf(out, size, "%s%s%s", group ? group->name : "", group ? " " : "",
             command->name);
}

static void rows_of(struct buf *out, const struct v3_command *group,
                    const struct v3_command *const *table, size_t width)
{
    char name[64];

    for (size_t i = 0; table[i]; i++) {
        if (table[i]->subcommands && !group) {
            rows_of(out, table[i], table[i]->subcommands, width);
            continue;
        }
        full_name(name, sizeof(name), group, table[i]);
        help_row(out, name, table[i]->summary, width);
    }
}

void v3_help_program(const struct v3 *v3, struct buf *out)
{
    buf_printf(out,
               "%s: reads, writes and watches the keys of an etched cluster, "
               "or of etcd\nby its v3 API.\n\n"
               "Usage: %s [global flags] <command> [flags] [arguments]\n\n"
               "Commands\n",
               v3->program, v3->program);
    rows_of(out, NULL, v3_commands, 18);
    flag_rows(out, "Global flags (before the command, or after it)",
              v3_global_flags);
    buf_printf(
        out,
        "\nThe environment\n"
        "  ETCDCTL_API: 3 for the commands above, 2 for those of the v2 API.\n"
        "  ETCDCTL_ENDPOINTS, ETCDCTL_WRITE_OUT, ...: what the global flags of "
        "these\n  names say, where they aren't given.\n"
        "\nRecipes\n"
        "  'recipe apply', 'recipe list', ...: the same with both versions; "
        "see\n"
        "  '%s recipe help'.\n"
        "\nExit codes\n"
        "  0 done, 1 the server says no, 2 no connection, 3 bad input,\n"
        "  4 no such format or option, 5 interrupted, 128 bad arguments\n"
        "\nExamples\n"
        "  %s put greeting 'Hello world'\n"
        "  %s get greeting\n"
        "  %s watch --prefix /config\n"
        "\n'%s help <command>' says more of one.\n",
        v3->program, v3->program, v3->program, v3->program, v3->program);
}

void v3_help_command(const struct v3 *v3, struct buf *out)
{
    const struct v3_command *command = v3->command;
    char name[64];

    full_name(name, sizeof(name), v3->group, command);
    buf_printf(out, "%s %s: %s\n\nUsage: %s %s", v3->program, name,
               command->summary, v3->program, name);
    if (command->arguments[0])
        buf_printf(out, " %s", command->arguments);
    buf_append_char(out, '\n');
    if (command->about)
        buf_printf(out, "\n%s", command->about);
    if (command->subcommands) {
        buf_append_str(out, "\nCommands\n");
        rows_of(out, command, command->subcommands, 14);
    }
    flag_rows(out, "Flags", command->flags);
    flag_rows(out, "Flags of all of them",
              v3->group ? v3->group->shared : command->shared);
    buf_printf(out, "\n'%s help' lists the flags that every command has.\n",
               v3->program);
}
