/* TZif (RFC 9636), all versions, read where it lies.
 *
 *   header 44: "TZif" version 15 unused, then six counts of 4 bytes:
 *              isutcnt isstdcnt leapcnt timecnt typecnt charcnt
 *   data:      timecnt times (4 bytes in version 1, else 8), timecnt types,
 *              typecnt of {offset 4, is_dst 1, name 1}, charcnt of names,
 *              leapcnt of {time, 4}, isstdcnt, isutcnt
 *   version 2 and up: a second header and data with times of 8 bytes (those
 *              count), then "\n" rule "\n"
 *
 * The file comes from outside: each count is checked against what is there
 * before it is used. */
#include "expr/zone_int.h"

#include "base/check.h"

enum {
    HEADER_BYTES = 44,
    TYPE_BYTES = 6,
    /* The largest of tzdata have some 240; "fat" ones not ten times that. */
    TIMES_MAX = 10000,
    TYPES_MAX = 256,
    NAMES_BYTES_MAX = 10000,
};

struct header {
    int version; /* 1.. */
    size_t is_ut, is_std, leaps, times, types, names;
};

static enum err bad(const char *why)
{
    return err_set(ERR_INVALID, "not a good TZif file: %s", why);
}

static enum err take_header(struct slice *file, struct header *out)
{
    if (file->size < HEADER_BYTES || memcmp(file->at, "TZif", 4) != 0)
        return bad("no header");
    const char *at = file->at;
    out->version = at[4] == 0 ? 1 : at[4] - '0';
    if (out->version < 1)
        return bad("unknown version");
    size_t *counts[] = {&out->is_ut, &out->is_std, &out->leaps,
                        &out->times, &out->types,  &out->names};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        *counts[i] = get_be32(at + 20 + 4 * i);
    if (out->times > TIMES_MAX || out->types > TYPES_MAX ||
        out->names > NAMES_BYTES_MAX || out->leaps > TIMES_MAX)
        return bad("too large");
    if (out->types == 0 || out->names == 0)
        return bad("no types");
    if ((out->is_ut != 0 && out->is_ut != out->types) ||
        (out->is_std != 0 && out->is_std != out->types))
        return bad("counts that don't agree");
    *file = slice_of(at + HEADER_BYTES, file->size - HEADER_BYTES);
    return ERR_OK;
}

static size_t data_bytes(const struct header *header, size_t time_size)
{
    return header->times * (time_size + 1) + header->types * TYPE_BYTES +
           header->names + header->leaps * (time_size + 4) + header->is_std +
           header->is_ut;
}

/* Takes the data out of *file. */
static enum err take_data(struct slice *file, const struct header *header,
                          size_t time_size, struct zone_table *out)
{
    size_t size = data_bytes(header, time_size);
    if (file->size < size)
        return bad("cut short");
    const unsigned char *at = (const unsigned char *)file->at;
    out->time_size = time_size;
    out->count = header->times;
    out->times = at;
    out->type_of = at + header->times * time_size;
    out->types = out->type_of + header->times;
    *file = slice_of(file->at + size, file->size - size);
    return ERR_OK;
}

static int64_t time_at(const struct zone_table *table, size_t index)
{
    const unsigned char *at = table->times + index * table->time_size;
    return table->time_size == 4 ? (int64_t)(int32_t)get_be32(at)
                                 : (int64_t)get_be64(at);
}

static int32_t offset_of(const struct zone_table *table, size_t type)
{
    return (int32_t)get_be32(table->types + type * TYPE_BYTES);
}

static enum err check_data(const struct header *header,
                           const struct zone_table *table)
{
    for (size_t i = 0; i < header->types; i++) {
        int32_t offset = offset_of(table, i);
        const unsigned char *type = table->types + i * TYPE_BYTES;
        if (offset < OFFSET_MIN || offset > OFFSET_MAX)
            return bad("an offset of more than a day");
        if (type[4] > 1 || type[5] >= header->names)
            return bad("a type that isn't one");
    }
    for (size_t i = 0; i < table->count; i++) {
        if (table->type_of[i] >= header->types)
            return bad("a time of no type");
        if (i > 0 && time_at(table, i) <= time_at(table, i - 1))
            return bad("times out of order");
    }
    /* Zones below right/ count seconds that this program's times leave out. */
    if (header->leaps != 0)
        return bad("it counts leap seconds");
    return ERR_OK;
}

static enum err take_footer(struct slice file, struct zone_table *out)
{
    if (file.size < 2 || file.at[0] != '\n')
        return bad("no footer");
    file = slice_of(file.at + 1, file.size - 1);
    ptrdiff_t size = slice_find(file, '\n');
    if (size < 0)
        return bad("no end of the footer");
    out->has_rule = size > 0;
    if (size > 0 &&
        !zone_rule__parse(slice_of(file.at, (size_t)size), &out->rule))
        return bad("a rule that can't be read");
    return ERR_OK;
}

enum err zone_file__read(struct slice file, struct zone_table *out)
{
    struct header header;
    *out = (struct zone_table){0};
    enum err err = take_header(&file, &header);
    if (!err)
        err = take_data(&file, &header, 4, out);
    if (err)
        return err;
    if (header.version == 1)
        return check_data(&header, out);

    /* The first block was for old readers. */
    err = take_header(&file, &header);
    if (!err)
        err = take_data(&file, &header, 8, out);
    if (!err)
        err = check_data(&header, out);
    if (!err)
        err = take_footer(file, out);
    return err;
}

/* How many changes there were up to then. */
static size_t count_until(const struct zone_table *table, int64_t unix_seconds)
{
    size_t low = 0, high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (time_at(table, middle) <= unix_seconds)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void zone_table__span(const struct zone_table *table, int64_t unix_seconds,
                      struct zone_span *out)
{
    size_t done = count_until(table, unix_seconds);
    int64_t begin = done > 0 ? time_at(table, done - 1) : INT64_MIN;
    CHECK_LE(begin, unix_seconds);
    if (done == table->count && table->has_rule) {
        zone_rule__span(&table->rule, unix_seconds, out);
        if (out->begin < begin)
            out->begin = begin;
        return;
    }
    out->begin = begin;
    out->end = done < table->count ? time_at(table, done) : INT64_MAX;
    /* Before the first change the first type counts (RFC 9636, 3.2). */
    out->offset = offset_of(table, done > 0 ? table->type_of[done - 1] : 0);
}
