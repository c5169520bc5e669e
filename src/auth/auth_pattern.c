/* v2's patterns: "/a" is a key, "/a*" is what begins with "/a". A range of v3
 * that is neither can't be said in v2. */
#include "auth/auth_int.h"

/* The first key behind all that begin with `prefix`: its last byte that can
 * grow, grown. "\0" (open): there is none. */
static struct slice prefix_end(struct slice prefix, struct arena *arena)
{
    char *end = arena_dup(arena, prefix.at, prefix.size);
    for (size_t i = prefix.size; i > 0; i--) {
        if ((unsigned char)end[i - 1] < 0xff) {
            end[i - 1]++;
            return slice_of(end, i);
        }
    }
    return SLICE("\0");
}

static bool is_everything(const struct auth_permission *permission)
{
    return slice_eq(permission->range_end, SLICE("\0")) &&
           (permission->key.size == 0 ||
            slice_eq(permission->key, SLICE("\0")));
}

bool auth_pattern_of(const struct auth_permission *permission,
                     struct arena *arena, struct slice *pattern)
{
    struct slice key = permission->key;
    bool is_key = permission->range_end.size == 0;
    if (is_everything(permission))
        key = SLICE("");
    else if (key.size == 0 || !slice_is_utf8(key))
        return false;
    else if (is_key && key.at[key.size - 1] == '*')
        return false; /* it would be read as a prefix */
    else if (!is_key &&
             !slice_eq(prefix_end(key, arena), permission->range_end))
        return false;
    size_t size = key.size + !is_key;
    char *bytes = arena_alloc(arena, size);
    if (key.size > 0)
        memcpy(bytes, key.at, key.size);
    if (!is_key)
        bytes[key.size] = '*';
    *pattern = slice_of(bytes, size);
    return true;
}

void auth_range_of(struct slice pattern, struct arena *arena, struct slice *key,
                   struct slice *range_end)
{
    bool is_prefix = pattern.size > 0 && pattern.at[pattern.size - 1] == '*';
    size_t size = pattern.size - is_prefix;
    *key = slice_of(arena_dup(arena, pattern.at, size), size);
    *range_end = slice_of(arena_dup(arena, "", 0), 0);
    if (!is_prefix)
        return;
    *range_end = size > 0 ? prefix_end(*key, arena) : SLICE("\0");
    if (size == 0) /* as etcdctl's --prefix "" has it */
        *key = SLICE("\0");
}
