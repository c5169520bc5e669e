/* Finding a flag by its name, and the one that was probably meant. */
#include "base/check.h"
#include "host/config_int.h"

/* ---- finding ----------------------------------------------------------- */

/* Names compare without case in the environment only, but - and _ are the
 * same letter everywhere. */
static bool same_name(struct slice a, struct slice b, bool ignore_case)
{
    if (a.size != b.size) {
        return false;
    }
    for (size_t i = 0; i < a.size; i++) {
        char x = a.at[i] == '_' ? '-' : a.at[i];
        char y = b.at[i] == '_' ? '-' : b.at[i];
        if (ignore_case) {
            x = x >= 'A' && x <= 'Z' ? (char)(x + 32) : x;
            y = y >= 'A' && y <= 'Z' ? (char)(y + 32) : y;
        }
        if (x != y) {
            return false;
        }
    }
    return true;
}

bool config__next_name(const char **list, struct slice *name)
{
    if (!*list || !**list) {
        return false;
    }
    struct slice rest = slice_str(*list);
    ptrdiff_t blank = slice_find(rest, ' ');
    *name = slice_of(rest.at, blank < 0 ? rest.size : (size_t)blank);
    *list += blank < 0 ? rest.size : (size_t)blank + 1;
    return true;
}

static const char *extra_names(const struct config_flag *flag,
                               enum config_where where)
{
    switch (where) {
    case IN_ARGS:
        return flag->cli_names;
    case IN_FILE:
        return flag->file_names;
    case IN_ENV:
        return NULL;
    }
    UNREACHABLE();
}

static bool has_name(const struct config_flag *flag, struct slice name,
                     enum config_where where)
{
    if (flag->not_in & (int)where) {
        return false;
    }
    bool ignore_case = where == IN_ENV;
    if (same_name(slice_str(flag->name), name, ignore_case)) {
        return true;
    }
    const char *lists[2] = {flag->aliases, extra_names(flag, where)};
    for (int i = 0; i < 2; i++) {
        struct slice alias;
        while (config__next_name(&lists[i], &alias)) {
            if (same_name(alias, name, ignore_case)) {
                return true;
            }
        }
    }
    return false;
}

const struct config_flag *config__find(struct slice name,
                                       enum config_where where)
{
    for (size_t i = 0; i < config__flag_count; i++) {
        if (has_name(&config__flags[i], name, where)) {
            return &config__flags[i];
        }
    }
    return NULL;
}

const struct config_flag *config__flag(const char *name)
{
    for (size_t i = 0; i < config__flag_count; i++) {
        if (strcmp(config__flags[i].name, name) == 0) {
            return &config__flags[i];
        }
    }
    UNREACHABLE();
}

/* ---- the nearest name -------------------------------------------------- */

enum { NAME_BYTES_MAX = 64 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Insertions, removals, replacements and swaps of neighbours that make one
 * of the other (Damerau 1964, the restricted form). */
static size_t edit_distance(struct slice a, struct slice b)
{
    size_t rows[3][NAME_BYTES_MAX + 1];
    CHECK_LE(b.size, NAME_BYTES_MAX);
    for (size_t j = 0; j <= b.size; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a.size; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        const size_t *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            size_t replace = above[j - 1] + (a.at[i - 1] != b.at[j - 1]);
            row[j] = least(replace, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a.at[i - 1] == b.at[j - 2] &&
                a.at[i - 2] == b.at[j - 1]) {
                row[j] = least(row[j], two_above[j - 2] + 1);
            }
        }
    }
    return rows[a.size % 3][b.size];
}

/* `name` in the table's spelling: small letters, - for _ . */
static struct slice normalize(struct slice name, char *out)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.at[i] == '_' ? '-' : name.at[i];
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    return slice_of(out, name.size);
}

const char *config__nearest(struct slice name, enum config_where where)
{
    char spelled[NAME_BYTES_MAX];
    if (name.size < 2 || name.size > NAME_BYTES_MAX) {
        return NULL;
    }
    name = normalize(name, spelled);
    /* A third of the letters wrong is still a typing mistake. */
    size_t best_distance = name.size / 3 + 1;
    const char *best = NULL;
    for (size_t i = 0; i < config__flag_count; i++) {
        struct slice other = slice_str(config__flags[i].name);
        if ((config__flags[i].not_in & (int)where) || other.size < 3) {
            continue;
        }
        size_t distance = edit_distance(name, other);
        if (distance < best_distance) {
            best_distance = distance;
            best = config__flags[i].name;
        }
    }
    return best;
}
