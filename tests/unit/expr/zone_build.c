#include "zone_build.h"

#include "base/check.h"

static void put_u32(struct buf *out, uint32_t number)
{
    put_be32(buf_extend(out, 4), number);
}

static void put_block(struct buf *out, const struct zone_parts *parts,
                      size_t time_size)
{
    static const char zeros[15];
    buf_append(out, "TZif", 4);
    buf_append_char(out, parts->version);
    buf_append(out, zeros, sizeof zeros);
    put_u32(out, 0);
    put_u32(out, 0);
    put_u32(out, 0);
    put_u32(out, (uint32_t)parts->change_count);
    put_u32(out, (uint32_t)parts->type_count);
    put_u32(out, 4);
    for (size_t i = 0; i < parts->change_count; i++) {
        if (time_size == 8)
            put_be64(buf_extend(out, 8), (uint64_t)parts->changes[i].at);
        else
            put_u32(out, (uint32_t)parts->changes[i].at);
    }
    for (size_t i = 0; i < parts->change_count; i++)
        buf_append_char(out, (char)parts->changes[i].type);
    for (size_t i = 0; i < parts->type_count; i++) {
        put_u32(out, (uint32_t)parts->types[i].offset);
        buf_append_char(out, (char)parts->types[i].is_summer);
        buf_append_char(out, (char)parts->types[i].name);
    }
    buf_append(out, "ABC", 4);
}

void zone_build(struct buf *out, const struct zone_parts *parts)
{
    static const struct zone_type nothing = {0};
    if (parts->version == 0) {
        put_block(out, parts, 4);
        return;
    }
    struct zone_parts first = {
        .version = parts->version, .types = &nothing, .type_count = 1};
    put_block(out, &first, 4);
    put_block(out, parts, 8);
    if (parts->footer != NULL)
        buf_printf(out, "\n%s\n", parts->footer);
}

/* ---- doors -------------------------------------------------------------- */

static const struct {
    const char *name;
    const char *rule;
} rules[] = {
    {"Australia/Sydney", "AEST-10AEDT,M10.1.0,M4.1.0/3"},
    {"Asia/Kathmandu", "<+0545>-5:45"},
    {"Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3"},
    {"US/Central", "CST6CDT,M3.2.0,M11.1.0"},
    {"America/St_Johns", "NST3:30NDT,M3.2.0,M11.1.0"},
};
enum { RULES = sizeof rules / sizeof rules[0] };

static enum err find_rule(const struct zones *zones, struct slice name,
                          struct slice *tzif)
{
    static char files[RULES][256];
    static const struct zone_type type = {0};
    (void)zones;
    for (size_t i = 0; i < RULES; i++) {
        if (!slice_eq(name, slice_str(rules[i].name)))
            continue;
        struct buf file = {0};
        struct zone_parts parts = {.version = '2',
                                   .types = &type,
                                   .type_count = 1,
                                   .footer = rules[i].rule};
        zone_build(&file, &parts);
        CHECK(file.size <= sizeof files[i]);
        memcpy(files[i], file.at, file.size);
        *tzif = slice_of(files[i], file.size);
        buf_deinit(&file);
        return ERR_OK;
    }
    return ERR_NOT_FOUND;
}
const struct zones zone_build_door = {.find = find_rule};

static enum err find_one(const struct zones *zones, struct slice name,
                         struct slice *tzif)
{
    const struct zone_one *one = (const struct zone_one *)(const void *)zones;
    (void)name;
    *tzif = one->file;
    return ERR_OK;
}

struct zone_one zone_build_one(struct slice file)
{
    return (struct zone_one){.door = {.find = find_one}, .file = file};
}
