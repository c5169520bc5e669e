#include "cmd/etchctl/v3_environment.h"

#include <stdio.h>
#include <string.h>

enum { NAME_BYTES_MAX = 64 };

static const char prefix[] = "ETCDCTL_";

/* "write-out" -> "ETCDCTL_WRITE_OUT" */
static void variable_of(const char *name, char out[NAME_BYTES_MAX])
{
    snprintf(out, NAME_BYTES_MAX, "%s%s", prefix, name);
    for (char *c = out + strlen(prefix); *c; c++)
        *c = (char)(*c == '-'                ? '_'
                    : *c >= 'a' && *c <= 'z' ? *c - 'a' + 'A'
                                             : *c);
}

static const struct pflag_spec *find(const struct pflag_spec *table,
                                     struct slice variable)
{
    char name[NAME_BYTES_MAX];

    for (; table && table->name; table++) {
        variable_of(table->name, name);
        if (slice_eq(variable, slice_str(name)))
            return table;
    }
    return NULL;
}

static bool is_known(const char *const *known, struct slice variable)
{
    for (; known && *known; known++)
        if (slice_eq(variable, slice_str(*known)))
            return true;
    return false;
}

static enum err check(const struct pflags *flags,
                      const struct pflag_spec *table, char *const *environment,
                      const char *const *known, struct buf *warnings)
{
    for (; *environment; environment++) {
        struct slice line = slice_str(*environment);
        ptrdiff_t equals = slice_find(line, '=');
        if (equals < 0 || !slice_has_prefix(line, slice_str(prefix)))
            continue;
        struct slice variable = slice_of(line.at, (size_t)equals);
        const struct pflag_spec *spec = find(table, variable);
        const char *value = line.at + equals + 1;
        if (spec && pflags_is_given(flags, spec->name))
            return err_set(ERR_INVALID,
                           "conflicting environment variable \"%.*s\" is "
                           "shadowed by corresponding command-line flag "
                           "(either unset environment variable or disable "
                           "flag)",
                           (int)variable.size, variable.at);
        if (!is_known(known, variable) && (!spec || !value[0]))
            buf_printf(warnings, "unrecognized environment variable %s\n",
                       *environment);
    }
    return ERR_OK;
}

enum err v3_environment_apply(struct pflags *flags,
                              const struct pflag_spec *table,
                              char *const *environment,
                              const char *const *known, struct buf *warnings)
{
    enum err err = check(flags, table, environment, known, warnings);

    if (err != ERR_OK)
        return err;
    for (; *environment; environment++) {
        struct slice line = slice_str(*environment);
        ptrdiff_t equals = slice_find(line, '=');
        const struct pflag_spec *spec =
            equals < 0 ? NULL : find(table, slice_of(line.at, (size_t)equals));
        const char *value = line.at + equals + 1;
        if (spec && value[0] && pflags_set(flags, spec->name, value) != ERR_OK)
            err_clear();
    }
    return ERR_OK;
}
