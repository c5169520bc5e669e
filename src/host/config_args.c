/* The command line, as Go's flag package reads it: one dash or two,
 * -name=value or -name value; a bool stands alone or has =true, =false.
 * The first of --help and --version ends the reading. */
#include "host/config_int.h"

#include "base/check.h"

struct argument {
    const char *given; /* as it stands: "--name=x" */
    struct slice name; /* "name" */
    const char *value; /* after "="; NULL when there is none */
    const char *shown; /* "--name", for messages */
};

/* What etcd's program can do besides; none of it is here yet. */
static bool is_command(const char *word)
{
    return strcmp(word, "gateway") == 0 || strcmp(word, "grpc-proxy") == 0;
}

static bool is_bool_word(const char *word)
{
    int64_t number;
    return config__number(KIND_BOOL, word, &number);
}

/* A word without a dash in front, where a flag was to be. */
static enum err refuse_word(const char *word, const struct argument *before)
{
    if (is_command(word)) {
        return err_set(ERR_UNSUPPORTED,
                       "the command \"%s\" comes with a later version", word);
    }
    if (before->given && is_bool_word(word)) {
        return err_set(ERR_INVALID,
                       "unexpected argument \"%s\"; %s takes its value after "
                       "\"=\": %s=%s",
                       word, before->shown, before->shown, word);
    }
    return err_set(ERR_INVALID,
                   "unexpected argument \"%.60s\"; flags begin with a dash",
                   word);
}

static enum err refuse_unknown(const struct argument *argument)
{
    const char *nearest = config__nearest(argument->name, IN_ARGS);
    if (nearest) {
        return err_set(ERR_INVALID, "unknown flag %.70s; did you mean --%s?",
                       argument->shown, nearest);
    }
    return err_set(ERR_INVALID,
                   "unknown flag %.70s; --help lists those there are",
                   argument->shown);
}

/* "--name=value" taken apart; false when it is not a flag. */
static bool split(struct arena *arena, const char *given,
                  struct argument *argument)
{
    size_t dashes = given[0] != '-' ? 0 : given[1] != '-' ? 1 : 2;
    if (dashes == 0 || !given[dashes] || given[dashes] == '=') {
        return false;
    }
    struct slice rest = slice_str(given + dashes);
    ptrdiff_t equals = slice_find(rest, '=');
    size_t size = equals < 0 ? rest.size : (size_t)equals;
    *argument = (struct argument){
        .given = given,
        .name = slice_of(rest.at, size),
        .value = equals < 0 ? NULL : rest.at + equals + 1,
        .shown = arena_printf(arena, "%s%.*s", size == 1 ? "-" : "--",
                              (int)size, rest.at),
    };
    return true;
}

/* Takes one flag and, where it has one, the value behind it. */
static enum err take(struct config_loader *loader,
                     const struct argument *argument, int *at)
{
    const struct config_input *input = loader->input;
    const struct config_flag *flag = config__find(argument->name, IN_ARGS);
    if (!flag) {
        return refuse_unknown(argument);
    }
    const char *value = argument->value;
    if (!value && flag->kind == KIND_BOOL) {
        value = "true";
    }
    if (!value) {
        if (*at + 1 >= input->argc) {
            return err_set(ERR_INVALID, "%s: a value is missing: %s %s",
                           argument->shown, argument->shown, flag->argument);
        }
        value = input->argv[++*at];
    }
    const struct config_setting setting = {
        .rank = RANK_ARGS, .text = value, .name = argument->shown};
    config__put(loader, flag, &setting);
    bool is_true = config__is_true(loader, flag->name);
    if (is_true && strcmp(flag->name, "help") == 0) {
        loader->config->request = CONFIG_HELP;
    } else if (is_true && strcmp(flag->name, "version") == 0) {
        loader->config->request = CONFIG_VERSION;
    }
    return ERR_OK;
}

enum err config__read_args(struct config_loader *loader)
{
    const struct config_input *input = loader->input;
    struct argument before = {0};
    for (int at = 1; at < input->argc; at++) {
        const char *given = input->argv[at];
        CHECK(given);
        struct argument argument;
        if (!split(&loader->config->arena, given, &argument)) {
            if (strcmp(given, "--") == 0 && at + 1 == input->argc) {
                return ERR_OK;
            }
            return refuse_word(given, &before);
        }
        int flag_at = at;
        enum err err = take(loader, &argument, &at);
        if (err || loader->config->request != CONFIG_SERVE) {
            return err;
        }
        /* Only after a bool that stood alone can a word be its value. */
        bool stood_alone = at == flag_at && !argument.value;
        before = stood_alone ? argument : (struct argument){0};
    }
    return ERR_OK;
}
