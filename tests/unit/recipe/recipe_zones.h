/* A door with three zones, made by rule alone (RFC 9636's footer). */
#ifndef ETCHED_TESTS_RECIPE_ZONES_H
#define ETCHED_TESTS_RECIPE_ZONES_H

#include "port/zones.h"

enum { RECIPE_ZONES = 3, RECIPE_ZONE_BYTES_MAX = 256 };

static const char *const recipe_zone_rules[RECIPE_ZONES][2] = {
    {"Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3"},
    {"America/New_York", "EST5EDT,M3.2.0,M11.1.0"},
    {"Australia/Lord_Howe", "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"},
};

/* A header, and one type of local time: no offset, called "UTC". */
static inline size_t write_tzif_part(char *out)
{
    memset(out, 0, 54);
    memcpy(out, "TZif2", 5);
    put_be32(out + 36, 1); /* types */
    put_be32(out + 40, 4); /* bytes of names */
    memcpy(out + 50, "UTC", 4);
    return 54;
}

static inline enum err find_recipe_zone(const struct zones *zones,
                                        struct slice name, struct slice *tzif)
{
    static char files[RECIPE_ZONES][RECIPE_ZONE_BYTES_MAX];
    (void)zones;
    for (size_t i = 0; i < RECIPE_ZONES; i++) {
        struct slice rule = slice_str(recipe_zone_rules[i][1]);
        if (!slice_eq(name, slice_str(recipe_zone_rules[i][0])))
            continue;
        size_t size = write_tzif_part(files[i]);
        size += write_tzif_part(files[i] + size);
        files[i][size++] = '\n';
        memcpy(files[i] + size, rule.at, rule.size);
        size += rule.size;
        files[i][size++] = '\n';
        *tzif = slice_of(files[i], size);
        return ERR_OK;
    }
    return err_set(ERR_NOT_FOUND, "no such zone");
}

static const struct zones recipe_zones = {.find = find_recipe_zone};

#endif
