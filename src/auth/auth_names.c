#include "auth/auth_int.h"

static struct slice name_of(const void *thing)
{
    return *(const struct slice *)thing;
}

void auth__names_init(struct auth__names *names)
{
    *names = (struct auth__names){.sorted = NULL};
    /* Where the system put this is what nobody who makes up names can know;
     * nothing that anybody sees depends on it. */
    map_init(&names->by_name, name_of,
             (uint64_t)(uintptr_t)names * UINT64_C(0x9E3779B97F4A7C15));
}

void auth__names_deinit(struct auth__names *names)
{
    map_deinit(&names->by_name);
    mem_free(names->sorted);
    names->sorted = NULL;
    names->count = names->capacity = 0;
}

/* The first that isn't less. */
static size_t place_of(const struct auth__names *names, struct slice name)
{
    size_t low = 0;
    size_t high = names->count;
    /* Who loads them does it in order. */
    if (high > 0 && slice_cmp(name_of(names->sorted[high - 1]), name) < 0)
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_cmp(name_of(names->sorted[middle]), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void insert(struct auth__names *names, size_t place, void *thing)
{
    if (names->count == names->capacity) {
        names->capacity = names->capacity ? names->capacity * 2 : 8;
        names->sorted =
            mem_realloc(names->sorted, names->capacity * sizeof *names->sorted);
    }
    memmove(names->sorted + place + 1, names->sorted + place,
            (names->count - place) * sizeof *names->sorted);
    names->sorted[place] = thing;
    names->count++;
}

static void take_out(struct auth__names *names, size_t place)
{
    names->count--;
    memmove(names->sorted + place, names->sorted + place + 1,
            (names->count - place) * sizeof *names->sorted);
}

void *auth__names_set(struct auth__names *names, struct slice name, void *thing)
{
    CHECK(thing == NULL || slice_eq(name_of(thing), name));
    size_t place = place_of(names, name);
    void *old = thing ? map_put(&names->by_name, thing)
                      : map_remove(&names->by_name, name);
    if (old != NULL) {
        CHECK(place < names->count && names->sorted[place] == old);
        if (thing != NULL)
            names->sorted[place] = thing;
        else
            take_out(names, place);
    } else if (thing != NULL) {
        insert(names, place, thing);
    }
    CHECK_EQ(names->count, names->by_name.count);
    return old;
}
