/* The environment: ETCHED_X and ETCD_X, where X is a flag's name in capitals
 * with _ for -. And the same as lines of a file, which is what init scripts
 * read and what some distributions put at /etc/etcd/etcd.conf. */
#include "host/config_int.h"

#include "base/check.h"

/* The prefix of `name`, and whether it is our own; 0 when it has neither. */
static size_t prefix_size(struct slice name, bool *is_own)
{
    *is_own = slice_has_prefix(name, SLICE("ETCHED_"));
    if (*is_own) {
        return 7;
    }
    return slice_has_prefix(name, SLICE("ETCD_")) ? 5 : 0;
}

static void warn_unknown(struct config_loader *loader, const char *name,
                         struct slice rest, size_t prefix)
{
    const char *nearest = config__nearest(rest, IN_ENV);
    if (!nearest) {
        config__warn(loader, "unrecognized environment variable %.80s", name);
        return;
    }
    char spelled[80];
    size_t size = strlen(nearest);
    CHECK_LT(size, sizeof spelled);
    for (size_t i = 0; i <= size; i++) {
        char c = nearest[i] == '-' ? '_' : nearest[i];
        spelled[i] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
    }
    config__warn(loader,
                 "unrecognized environment variable %.80s; did you mean "
                 "%.*s%s?",
                 name, (int)prefix, name, spelled);
}

/* Takes one variable; those that aren't ours, or empty, are passed over. Its
 * rank is as in the environment, or that of the file with a line. */
static void take(struct config_loader *loader, struct slice name,
                 struct slice value, int line)
{
    bool is_own;
    size_t prefix = prefix_size(name, &is_own);
    if (prefix == 0 || value.size == 0) {
        return;
    }
    struct arena *arena = &loader->config->arena;
    struct slice rest = slice_of(name.at + prefix, name.size - prefix);
    const char *shown = arena_printf(arena, "%.*s", (int)name.size, name.at);
    const struct config_flag *flag = config__find(rest, IN_ENV);
    if (!flag) {
        warn_unknown(loader, shown, rest, prefix);
        return;
    }
    bool is_alias = rest.size != strlen(flag->name);
    enum config_rank rank = line ? RANK_FILE_ALIAS : RANK_ENV_ALIAS;
    if (is_own && !line) {
        rank = RANK_ENV_OWN_ALIAS;
    }
    const struct config_setting setting = {
        .rank = is_alias ? rank : rank + 1,
        .text = arena_printf(arena, "%.*s", (int)value.size, value.at),
        .name = shown,
        .line = line,
        .column = line ? 1 : 0,
    };
    config__put(loader, flag, &setting);
}

void config__read_env(struct config_loader *loader)
{
    char *const *env = loader->input->env;
    for (; env && *env; env++) {
        struct slice entry = slice_str(*env);
        ptrdiff_t equals = slice_find(entry, '=');
        if (equals > 0) {
            size_t size = (size_t)equals;
            take(loader, slice_of(entry.at, size),
                 slice_of(entry.at + size + 1, entry.size - size - 1), 0);
        }
    }
}

/* ---- as a file --------------------------------------------------------- */

static struct slice trim(struct slice text)
{
    while (text.size && strchr(" \t\r", text.at[text.size - 1])) {
        text.size--;
    }
    while (text.size && strchr(" \t", text.at[0])) {
        text.at++;
        text.size--;
    }
    return text;
}

/* Takes the quotes off; false when the last is missing. */
static bool unquote(struct slice *value)
{
    if (value->size == 0 || (value->at[0] != '"' && value->at[0] != '\'')) {
        return true;
    }
    if (value->size < 2 || value->at[value->size - 1] != value->at[0]) {
        return false;
    }
    *value = slice_of(value->at + 1, value->size - 2);
    return true;
}

static enum err take_line(struct config_loader *loader, struct slice text,
                          int line)
{
    text = trim(text);
    if (text.size == 0 || text.at[0] == '#') {
        return ERR_OK;
    }
    if (slice_has_prefix(text, SLICE("export "))) {
        text = trim(slice_of(text.at + 7, text.size - 7));
    }
    ptrdiff_t equals = slice_find(text, '=');
    if (equals <= 0) {
        return err_set(ERR_INVALID, "line %d, column 1: NAME=value is wanted",
                       line);
    }
    size_t size = (size_t)equals;
    struct slice value =
        trim(slice_of(text.at + size + 1, text.size - size - 1));
    if (!unquote(&value)) {
        return err_set(ERR_INVALID, "line %d, column %zu: the quote is open",
                       line, size + 2);
    }
    take(loader, slice_of(text.at, size), value, line);
    return ERR_OK;
}

enum err config__read_env_lines(struct config_loader *loader, struct slice text)
{
    int line = 1;
    if (memchr(text.at, '\0', text.size)) {
        return err_set(ERR_INVALID, "a zero byte in the file");
    }
    for (size_t at = 0; at < text.size; line++) {
        struct slice rest = slice_of(text.at + at, text.size - at);
        ptrdiff_t newline = slice_find(rest, '\n');
        size_t size = newline < 0 ? rest.size : (size_t)newline;
        enum err err = take_line(loader, slice_of(rest.at, size), line);
        if (err) {
            return err;
        }
        at += size + 1;
    }
    return ERR_OK;
}
