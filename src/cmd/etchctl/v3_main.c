/* The command line of the v3 commands: which command, which flags. Found and
 * refused as etcdctl's does: unambiguous beginnings of names are enough. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "cmd/etchctl/flags.h"
#include "cmd/etchctl/v3.h"
#include "cmd/etchctl/v3_help.h"

static const struct v3_command *find(const struct v3_command *const *table,
                                     const char *name)
{
    const struct v3_command *found = NULL;
    size_t count = 0;

    for (size_t i = 0; table[i]; i++) {
        if (strcmp(table[i]->name, name) == 0)
            return table[i];
        if (strncmp(table[i]->name, name, strlen(name)) == 0) {
            found = table[i];
            count++;
        }
    }
    return count == 1 ? found : NULL;
}

static int print_help(struct v3 *v3)
{
    struct buf text = {0};

    if (v3->command)
        v3_help_command(v3, &text);
    else
        v3_help_program(v3, &text);
    return v3_write(&text);
}

/* ---- what went wrong ---------------------------------------------------- */

static int fail_unknown(const struct v3 *v3, const char *name)
{
    bool has_one = false;

    fprintf(stderr, "Error: unknown command \"%s\" for \"%s\"\n", name,
            v3->program);
    for (size_t i = 0; v3_commands[i]; i++) {
        const char *near = v3_commands[i]->name;
        if (strncmp(near, name, strlen(name)) != 0 &&
            !nearest_word(name, &near, 1))
            continue;
        fprintf(stderr, "%s\t%s\n", has_one ? "" : "\nDid you mean this?\n",
                near);
        has_one = true;
    }
    fprintf(stderr, "%sRun '%s --help' for usage.\n", has_one ? "\n" : "",
            v3->program);
    return V3_ERROR;
}

static int fail_flags(const struct v3 *v3)
{
    fprintf(stderr, "Error: %s\nRun '%s%s%s%s%s --help' for usage.\n",
            err_note(), v3->program, v3->group ? " " : "",
            v3->group ? v3->group->name : "", v3->command ? " " : "",
            v3->command ? v3->command->name : "");
    return V3_ERROR;
}

/* ---- reading the command line ------------------------------------------- */

static void remove_word(struct words *line, size_t at)
{
    memmove(&line->at[at], &line->at[at + 1],
            (line->count - at - 1) * sizeof(*line->at));
    line->count--;
}

static void enter(struct v3 *v3, const struct v3_command *command)
{
    v3->group = v3->command;
    v3->command = command;
    pflags_add(&v3->flags, command->shared);
    pflags_add(&v3->flags, command->flags);
}

/* Takes the names of commands out of `line`. Returns the first word that is
 * none where one had to be, or NULL. */
static const char *find_command(struct v3 *v3, struct words *line)
{
    const struct v3_command *const *table = v3_commands;

    while (table) {
        size_t at = pflags_first_word(&v3->flags, line);
        const struct v3_command *found =
            at < line->count ? find(table, line->at[at]) : NULL;
        if (!found)
            return at < line->count && !v3->command ? line->at[at] : NULL;
        remove_word(line, at);
        enter(v3, found);
        table = found->subcommands;
    }
    return NULL;
}

static int run(struct v3 *v3)
{
    struct words line = v3->line;
    const char *unknown;
    size_t at = pflags_first_word(&v3->flags, &line);

    line.at =
        arena_dup(v3->arena, line.at, (line.count + 1) * sizeof(*line.at));
    if (at < line.count && strcmp(line.at[at], "help") == 0) {
        remove_word(&line, at);
        find_command(v3, &line);
        return print_help(v3);
    }
    unknown = find_command(v3, &line);
    if (unknown)
        return fail_unknown(v3, unknown);
    if (pflags_parse(&v3->flags, &line, &v3->words) != ERR_OK)
        return fail_flags(v3);
    if (!v3->command || !v3->command->run || pflags_bool(&v3->flags, "help"))
        return print_help(v3);
    return v3->command->run(v3);
}

int v3_main(const char *program, struct arena *arena, struct words line)
{
    struct v3 v3 = {.program = program,
                    .arena = arena,
                    .line = line,
                    .failure = arena_printf(arena, "%s", ""),
                    .stop_fd = -1};
    int code;

    pflags_init(&v3.flags, arena);
    pflags_add(&v3.flags, v3_global_flags);
    v3.words.at = arena_alloc(arena, (line.count + 1) * sizeof(*v3.words.at));
    code = run(&v3);
    v3_close(&v3);
    return code;
}
