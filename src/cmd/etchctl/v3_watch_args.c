#include "cmd/etchctl/v3_watch_args.h"

#include <string.h>

static enum err fail(const char *why)
{
    return err_set(ERR_INVALID, "bad number of arguments%s", why);
}

enum err v3_watch_args_find(struct words line, struct words words,
                            const char *env_key, const char *env_end,
                            struct v3_watch_args *out)
{
    size_t separator = 0;
    size_t own;

    *out = (struct v3_watch_args){0};
    while (separator < line.count && strcmp(line.at[separator], "--") != 0)
        separator++;
    if (separator + 1 == line.count)
        return fail(" (found separator --, but no commands)");
    if (separator < line.count)
        out->program =
            (struct words){&line.at[separator + 1], line.count - separator - 1};
    own = words.count - out->program.count;
    if (own > 0 && env_key[0])
        return fail(" (found conflicting environment key)");
    if (own == 0 && !env_key[0])
        return fail("");
    out->key = own > 0 ? words.at[0] : env_key;
    if (own == 0 && env_end[0])
        out->range_end = env_end;
    else if (own == 2)
        out->range_end = words.at[1];
    return ERR_OK;
}
