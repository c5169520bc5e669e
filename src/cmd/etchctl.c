/* etchctl: the command line. (Its other name is etcdctl, whose commands it
 * has, of both versions of the API, with their output and exit codes.)
 *
 *   etchctl [global flags] <command> [<subcommand>] [flags] [words]
 *
 * This file finds which version's commands are meant, and of the v2 ones the
 * command and its flags; the commands are in etchctl/, one file each, listed in
 * etchctl/commands.c. Those of v3 are v3_*.c, from v3_main.c on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/version.h"
#include "cmd/etchctl/command.h"
#include "cmd/etchctl/help.h"
#include "cmd/etchctl/session.h"
#include "cmd/etchctl/snapshot.h"
#include "cmd/etchctl/v3.h"

/* What is read of the command line so far. */
struct invocation {
    const char *program;
    struct arena *arena;
    struct words in;
    size_t at;
    struct flags global;
    const struct command *group; /* NULL: none */
    const struct command *command;
    struct flags own;
    struct words words;
};

static const char *getenv_of(void *context, const char *name)
{
    (void)context;
    return getenv(name);
}

static int print_text(struct buf *text)
{
    int code = session_write(text);
    buf_deinit(text);
    return code;
}

static int print_help(const struct invocation *invocation)
{
    struct buf text = {0};

    if (invocation->command)
        help_command(invocation->program, invocation->group,
                     invocation->command, &text);
    else
        help_program(invocation->program, &text);
    return print_text(&text);
}

static int print_version(const struct invocation *invocation)
{
    struct buf text = {0};

    buf_printf(&text, "%s version: %s\nAPI version: 2\n", invocation->program,
               ETCHED_VERSION);
    return print_text(&text);
}

/* ---- what went wrong ---------------------------------------------------- */

/* The note of a flag that can't be, and what may have been meant. */
static int fail_usage(const struct invocation *invocation,
                      const struct flags_grammar *grammar)
{
    static const char unknown[] = "flag provided but not defined: -";
    char note[ERR_NOTE_BYTES_MAX];
    const char *nearest = NULL;

    snprintf(note, sizeof(note), "%s", err_note());
    fprintf(stderr, "%s\n", note);
    if (strncmp(note, unknown, strlen(unknown)) == 0)
        nearest = flags_nearest(grammar, note + strlen(unknown));
    if (nearest)
        fprintf(stderr, "Did you mean --%s?\n", nearest);
    fprintf(stderr, "Try '%s help%s%s%s%s'.\n", invocation->program,
            invocation->group ? " " : "",
            invocation->group ? invocation->group->name : "",
            invocation->command && !invocation->command->subcommands ? " " : "",
            invocation->command && !invocation->command->subcommands
                ? invocation->command->name
                : "");
    if (invocation->command && v3_has_command(invocation->command->name))
        fprintf(stderr,
                "(This is the command of the v2 API. With ETCDCTL_API=3 there "
                "is another.)\n");
    return EXIT_BAD_ARGUMENTS;
}

static int fail_unknown(const struct invocation *invocation,
                        const struct command *const *table, const char *name)
{
    const char *nearest = command_nearest(table, name);

    fprintf(stderr, "No help topic for '%s'\n", name);
    if (nearest)
        fprintf(stderr, "Did you mean '%s%s%s %s'?\n", invocation->program,
                invocation->group ? " " : "",
                invocation->group ? invocation->group->name : "", nearest);
    fprintf(stderr, "Try '%s help'.\n", invocation->program);
    return EXIT_UNKNOWN_COMMAND;
}

static int fail_later(const struct invocation *invocation)
{
    fprintf(stderr, "%s%s%s %s: this command comes with a later version\n",
            invocation->program, invocation->group ? " " : "",
            invocation->group ? invocation->group->name : "",
            invocation->command->name);
    return EXIT_BAD_ARGUMENTS;
}

/* Goes on with version 2 only: that of version 3 is known before. Returns -1,
 * or the exit code. */
static int check_api(const struct invocation *invocation)
{
    int version;

    if (settings_api(&invocation->global, getenv_of, NULL, &version) !=
        ERR_OK) {
        fprintf(stderr, "%s\n", err_note());
        return EXIT_BAD_ARGUMENTS;
    }
    if (version == 2 || !flags_is_given(&invocation->global, "api"))
        return -1;
    fprintf(stderr, "%s: --api=%d stands before the command\n",
            invocation->program, version);
    return EXIT_BAD_ARGUMENTS;
}

/* ---- which version of the API ------------------------------------------- */

/* Is it a flag that takes no value, in either version? */
static bool is_alone(const char *word)
{
    const char *name = word + strspn(word, "-");

    if (strchr(word, '=') != NULL)
        return true;
    for (size_t i = 0; global_flags[i].name; i++)
        if (strcmp(global_flags[i].name, name) == 0)
            return global_flags[i].kind == FLAG_BOOL;
    for (size_t i = 0; v3_global_flags[i].name; i++)
        if (strcmp(v3_global_flags[i].name, name) == 0)
            return v3_global_flags[i].kind == PFLAG_BOOL;
    return false;
}

/* Where --api stands before the command, takes it out of the words. Returns
 * its value, or NULL; *at is where the command is. */
static const char *take_api(struct words *in, size_t *at)
{
    const char *api = NULL;
    size_t i = 0;

    while (i < in->count && in->at[i][0] == '-' && in->at[i][1] != '\0') {
        const char *name = in->at[i] + strspn(in->at[i], "-");
        bool is_pair = strcmp(name, "api") == 0 && i + 1 < in->count;
        size_t size = is_alone(in->at[i]) ? 1 : 2;
        if (!is_pair && strncmp(name, "api=", 4) != 0) {
            i += size;
            continue;
        }
        api = is_pair ? in->at[i + 1] : name + 4;
        size = is_pair ? 2 : 1;
        memmove(&in->at[i], &in->at[i + size],
                (in->count - i - size) * sizeof(*in->at));
        in->count -= size;
    }
    *at = i;
    return api;
}

/* Version 3 by --api or ETCDCTL_API; without these, for a command that only
 * version 3 has. `recipe` needs none: it is the same with both, and has its
 * place among those of version 2. */
static bool is_v3(struct invocation *invocation, struct words *line)
{
    const char *environment = getenv("ETCDCTL_API");
    const char *api;
    const char *name;
    size_t at;

    line->at = arena_dup(invocation->arena, line->at,
                         (line->count + 1) * sizeof(*line->at));
    api = take_api(line, &at);
    if (at + 1 < line->count && strcmp(line->at[at], "help") == 0)
        at++;
    name = at < line->count ? line->at[at] : "";
    if (strcmp(name, command_recipe.name) == 0) {
        invocation->in = *line;
        return false;
    }
    if (!api && environment && environment[0])
        api = environment;
    if (api)
        return strcmp(api, "3") == 0;
    return v3_has_command(name) && !command_find(commands, name);
}

/* ---- reading the command line ------------------------------------------- */

static bool is_help_word(const char *word)
{
    return strcmp(word, "help") == 0 || strcmp(word, "h") == 0;
}

/* Takes the next word for the name of a command of `table`. */
static int take_command(struct invocation *invocation,
                        const struct command *const *table)
{
    const char *name = invocation->in.at[invocation->at];
    const struct command *found = command_find(table, name);

    if (!found)
        return fail_unknown(invocation, table, name);
    invocation->group = invocation->command;
    invocation->command = found;
    invocation->at++;
    return EXIT_DONE;
}

/* "help", "help get", "help member list". */
static int run_help(struct invocation *invocation)
{
    const struct command *const *table =
        invocation->command ? invocation->command->subcommands : commands;

    invocation->at++;
    while (invocation->at < invocation->in.count && table) {
        int code = take_command(invocation, table);
        if (code != EXIT_DONE)
            return code;
        table = invocation->command->subcommands;
    }
    return print_help(invocation);
}

/* Flags and names, down to the command that is to be run. Returns -1 when
 * there is one, else the exit code of what was done instead. */
static int find_command(struct invocation *invocation)
{
    struct flags none;
    struct flags_grammar grammar = {.own = &none,
                                    .global = &invocation->global};
    const struct command *const *table = commands;

    flags_init(&none, invocation->arena, NULL);
    while (table) {
        int code;
        if (flags_parse(&grammar, &invocation->in, &invocation->at,
                        &invocation->words) != ERR_OK)
            return fail_usage(invocation, &grammar);
        if (flags_bool(&invocation->global, "version"))
            return print_version(invocation);
        if (invocation->at == invocation->in.count ||
            flags_bool(&invocation->global, "help"))
            return print_help(invocation);
        if (is_help_word(invocation->in.at[invocation->at]))
            return run_help(invocation);
        code = check_api(invocation);
        if (code >= 0)
            return code;
        code = take_command(invocation, table);
        if (code != EXIT_DONE)
            return code;
        table = invocation->command->subcommands;
    }
    return -1;
}

static int read_own_flags(struct invocation *invocation)
{
    const struct command *command = invocation->command;
    struct flags_grammar grammar = {
        .own = &invocation->own,
        .global = &invocation->global,
        .words_max = command->words_max ? command->words_max : FLAGS_WORDS_ANY,
        .is_dash_word = command->is_dash_word,
    };

    flags_init(&invocation->own, invocation->arena, command->flags);
    if (flags_parse(&grammar, &invocation->in, &invocation->at,
                    &invocation->words) != ERR_OK)
        return fail_usage(invocation, &grammar);
    if (flags_bool(&invocation->global, "help"))
        return print_help(invocation);
    if (flags_bool(&invocation->global, "version"))
        return print_version(invocation);
    return -1;
}

/* ---- running it --------------------------------------------------------- */

static int run_command(struct invocation *invocation)
{
    struct session session = {
        .program = invocation->program,
        .command = invocation->command,
        .flags = invocation->own,
        .words = invocation->words,
        .arena = invocation->arena,
        .stop_fd = -1,
    };
    int code;

    if (settings_load(&session.settings, invocation->arena, &invocation->global,
                      getenv_of, NULL) != ERR_OK) {
        fprintf(stderr, "%s\n", err_note());
        return EXIT_BAD_ARGUMENTS;
    }
    CHECK(invocation->command->run);
    code = invocation->command->run(&session);
    session_close(&session);
    return code;
}

static int run(struct invocation *invocation)
{
    struct words line = invocation->in;
    int code;

    /* Of version 3, but no version is needed to look at a file. */
    if (ctl_snapshot_is_asked(invocation->arena, &invocation->in))
        return ctl_snapshot(invocation->program, invocation->arena,
                            &invocation->in);
    if (is_v3(invocation, &line))
        return v3_main(invocation->program, invocation->arena, line);
    flags_init(&invocation->global, invocation->arena, global_flags);
    invocation->words.at =
        arena_alloc(invocation->arena,
                    (invocation->in.count + 1) * sizeof(*invocation->words.at));
    code = find_command(invocation);
    if (code >= 0)
        return code;
    /* Whatever its flags are: they are not known yet. */
    if (invocation->command->is_later)
        return flags_bool(&invocation->global, "help") ? print_help(invocation)
                                                       : fail_later(invocation);
    code = read_own_flags(invocation);
    if (code < 0)
        code = check_api(invocation);
    return code >= 0 ? code : run_command(invocation);
}

int main(int argc, char **argv)
{
    struct arena arena;
    struct invocation invocation = {.program = "etchctl", .arena = &arena};
    const char *slash;
    int code;

    if (argc > 0) {
        slash = strrchr(argv[0], '/');
        invocation.program = slash ? slash + 1 : argv[0];
        invocation.in.count = (size_t)argc - 1;
    }
    arena_init(&arena, 0);
    invocation.in.at =
        arena_alloc(&arena, (size_t)(argc + 1) * sizeof(*invocation.in.at));
    for (int i = 1; i < argc; i++)
        invocation.in.at[i - 1] = argv[i];
    code = run(&invocation);
    arena_deinit(&arena);
    return code;
}
