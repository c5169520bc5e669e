/* version, completion; and what comes with users. */
#include <stdio.h>

#include "base/version.h"
#include "cmd/etchctl/v3_print.h"

static int run_version(struct v3 *v3)
{
    struct buf text = {0};

    v3_line(&text, "%s version: %s", v3->program, ETCHED_VERSION);
    v3_line(&text, "API version: %.3s", ETCHED_API_VERSION);
    return v3_write(&text);
}

const struct v3_command v3_command_version = {
    .name = "version",
    .arguments = "",
    .summary = "the version of this program and of the API",
    .run = run_version,
};

/* ---- completion --------------------------------------------------------- */

/* The names of a table's commands, with spaces between them. */
static void append_names(const struct v3_command *const *table, struct buf *out)
{
    for (size_t i = 0; table[i]; i++)
        buf_printf(out, "%s%s", i > 0 ? " " : "", table[i]->name);
}

static void append_flags(const struct pflag_spec *table, struct buf *out)
{
    for (; table && table->name; table++)
        buf_printf(out, " --%s", table->name);
}

/* One case a command: what may follow it. */
static void append_cases(struct buf *out, const char *format_open,
                         const char *format_close)
{
    for (size_t i = 0; v3_commands[i]; i++) {
        const struct v3_command *command = v3_commands[i];
        buf_append_str(out, "        ");
        buf_append_str(out, command->name);
        buf_append_str(out, format_open);
        if (command->subcommands)
            append_names(command->subcommands, out);
        append_flags(command->flags, out);
        append_flags(command->shared, out);
        for (size_t j = 0; command->subcommands && command->subcommands[j]; j++)
            append_flags(command->subcommands[j]->flags, out);
        buf_append_str(out, format_close);
    }
}

static int run_bash(struct v3 *v3)
{
    struct buf text = {0};

    buf_printf(&text,
               "# bash completion for %s: source <(%s completion bash)\n"
               "_%s() {\n"
               "    local word command=\"\" found\n"
               "    for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
               "        case $word in\n"
               "        -*) ;;\n"
               "        *) command=$word; break ;;\n"
               "        esac\n"
               "    done\n"
               "    case $command in\n",
               v3->program, v3->program, v3->program);
    append_cases(&text, ") found=\"", "\" ;;\n");
    buf_append_str(&text, "        *) found=\"");
    append_names(v3_commands, &text);
    append_flags(v3_global_flags, &text);
    buf_printf(&text,
               "\" ;;\n"
               "    esac\n"
               "    COMPREPLY=($(compgen -W \"$found\" -- "
               "\"${COMP_WORDS[COMP_CWORD]}\"))\n"
               "}\n"
               "complete -o default -F _%s %s\n",
               v3->program, v3->program);
    return v3_write(&text);
}

static int run_zsh(struct v3 *v3)
{
    struct buf text = {0};

    buf_printf(&text,
               "# zsh completion for %s: source <(%s completion zsh)\n"
               "autoload -U +X bashcompinit && bashcompinit\n",
               v3->program, v3->program);
    fwrite(text.at, 1, text.size, stdout);
    buf_deinit(&text);
    return run_bash(v3);
}

static int run_fish(struct v3 *v3)
{
    struct buf text = {0};

    buf_printf(&text, "# fish completion for %s: %s completion fish | source\n",
               v3->program, v3->program);
    for (size_t i = 0; v3_commands[i]; i++) {
        const struct v3_command *command = v3_commands[i];
        buf_printf(&text,
                   "complete -c %s -n __fish_use_subcommand -f -a %s "
                   "-d \"%s\"\n",
                   v3->program, command->name, command->summary);
        for (size_t j = 0; command->subcommands && command->subcommands[j]; j++)
            buf_printf(&text,
                       "complete -c %s -n "
                       "\"__fish_seen_subcommand_from %s\" -f -a %s\n",
                       v3->program, command->name,
                       command->subcommands[j]->name);
        for (const struct pflag_spec *flag = command->flags; flag && flag->name;
             flag++)
            buf_printf(&text,
                       "complete -c %s -n "
                       "\"__fish_seen_subcommand_from %s\" -l %s\n",
                       v3->program, command->name, flag->name);
    }
    return v3_write(&text);
}

static int run_powershell(struct v3 *v3)
{
    struct buf text = {0};

    buf_printf(&text,
               "# PowerShell completion for %s\n"
               "Register-ArgumentCompleter -Native -CommandName %s "
               "-ScriptBlock {\n"
               "    param($word)\n    \"",
               v3->program, v3->program);
    append_names(v3_commands, &text);
    buf_append_str(&text, "\".Split(' ') | Where-Object { $_ -like \"$word*\" "
                          "}\n}\n");
    return v3_write(&text);
}

static const struct v3_command bash = {
    .name = "bash",
    .arguments = "",
    .summary = "for bash",
    .run = run_bash,
};
static const struct v3_command zsh = {
    .name = "zsh",
    .arguments = "",
    .summary = "for zsh",
    .run = run_zsh,
};
static const struct v3_command fish = {
    .name = "fish",
    .arguments = "",
    .summary = "for fish",
    .run = run_fish,
};
static const struct v3_command powershell = {
    .name = "powershell",
    .arguments = "",
    .summary = "for PowerShell",
    .run = run_powershell,
};

static const struct v3_command *const shells[] = {&bash, &fish, &powershell,
                                                  &zsh, NULL};

const struct v3_command v3_command_completion = {
    .name = "completion",
    .arguments = "<shell>",
    .summary = "a script that completes command lines in a shell",
    .subcommands = shells,
};
