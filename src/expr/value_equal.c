/* Equality and order of values.
 *
 * Values of different kinds are unequal, but for numbers: those compare by
 * what they mean, exactly (an int beyond 2^53 isn't rounded to a double
 * first). NaN equals nothing, not itself either. Lists and maps compare by
 * what they hold, maps without regard to order.
 *
 * A walk counts what it looks at: a few operations can make a list whose
 * items are shared, small in memory and endless to walk. */
#include "expr/value_int.h"

#include <math.h>

#include "base/check.h"

enum {
    ITEMS_A_STEP = 8, /* of a walk, for the price of one step */
    DEPTH_MAX = 128,  /* deeper than documents (64) and literals (64) are */
    BYTES_AN_ITEM = 64,
};

/* ---- numbers ------------------------------------------------------------ */

static int sign(bool above, bool below)
{
    return (int)above - (int)below;
}

/* 2^63 and 2^64 are doubles; the largest integers below them aren't. */
static int compare_int_double(int64_t integer, double number)
{
    if (isnan(number))
        return 2;
    if (number >= 0x1p63)
        return -1;
    if (number < -0x1p63)
        return 1;
    int64_t whole = (int64_t)number;
    if (integer != whole)
        return sign(integer > whole, integer < whole);
    double rest = number - (double)whole;
    return sign(rest<0, rest> 0);
}

static int compare_uint_double(uint64_t natural, double number)
{
    if (isnan(number))
        return 2;
    if (number >= 0x1p64)
        return -1;
    if (number < 0)
        return 1;
    uint64_t whole = (uint64_t)number;
    if (natural != whole)
        return sign(natural > whole, natural < whole);
    return number > (double)whole ? -1 : 0;
}

static int compare_int_uint(int64_t integer, uint64_t natural)
{
    if (integer < 0)
        return -1;
    return sign((uint64_t)integer > natural, (uint64_t)integer < natural);
}

static int compare_doubles(double a, double b)
{
    return isnan(a) || isnan(b) ? 2 : sign(a > b, a < b);
}

static int turned(int order)
{
    return order == 2 ? 2 : -order;
}

static int compare_int(int64_t integer, const struct value *b)
{
    switch (b->kind) {
    case VALUE_INT:
        return sign(integer > b->integer, integer < b->integer);
    case VALUE_UINT:
        return compare_int_uint(integer, b->natural);
    default:
        CHECK_EQ(b->kind, VALUE_DOUBLE);
        return compare_int_double(integer, b->number);
    }
}

static int compare_uint(uint64_t natural, const struct value *b)
{
    switch (b->kind) {
    case VALUE_INT:
        return turned(compare_int_uint(b->integer, natural));
    case VALUE_UINT:
        return sign(natural > b->natural, natural < b->natural);
    default:
        CHECK_EQ(b->kind, VALUE_DOUBLE);
        return compare_uint_double(natural, b->number);
    }
}

int value__compare_numbers(const struct value *a, const struct value *b)
{
    switch (a->kind) {
    case VALUE_INT:
        return compare_int(a->integer, b);
    case VALUE_UINT:
        return compare_uint(a->natural, b);
    default:
        CHECK_EQ(a->kind, VALUE_DOUBLE);
    }
    switch (b->kind) {
    case VALUE_INT:
        return turned(compare_int_double(b->integer, a->number));
    case VALUE_UINT:
        return turned(compare_uint_double(b->natural, a->number));
    default:
        CHECK_EQ(b->kind, VALUE_DOUBLE);
        return compare_doubles(a->number, b->number);
    }
}

/* ---- equality ----------------------------------------------------------- */

struct walk {
    struct run *run; /* NULL: it costs nothing */
    uint64_t items;
    bool is_over; /* the budget has ended: all is false now */
};

static bool walk_on(struct walk *walk, uint64_t items)
{
    walk->items += items;
    if (walk->run != NULL && walk->items >= ITEMS_A_STEP) {
        if (!run__steps(walk->run, walk->items / ITEMS_A_STEP))
            walk->is_over = true;
        walk->items %= ITEMS_A_STEP;
    }
    return !walk->is_over;
}

static bool equals(struct walk *walk, const struct value *a,
                   const struct value *b, int depth);

/* The place of a key; begins at `hint`, where it stands in a map that was made
 * the same way. The count of the map: none. */
static size_t find_key(struct walk *walk, const struct value_map *map,
                       const struct value *key, size_t hint)
{
    for (size_t i = 0; i < map->count; i++) {
        size_t at = hint + i < map->count ? hint + i : hint + i - map->count;
        if (!walk_on(walk, 1))
            return map->count;
        if (equals(walk, &map->keys[at], key, DEPTH_MAX - 1))
            return at;
    }
    return map->count;
}

static bool equals_lists(struct walk *walk, const struct value_list *a,
                         const struct value_list *b, int depth)
{
    if (a == b && a->count == 0)
        return true;
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (!equals(walk, &a->items[i], &b->items[i], depth + 1))
            return false;
    }
    return true;
}

static bool equals_maps(struct walk *walk, const struct value_map *a,
                        const struct value_map *b, int depth)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        size_t at = find_key(walk, b, &a->keys[i], i);
        if (at == b->count ||
            !equals(walk, &a->values[i], &b->values[at], depth + 1))
            return false;
    }
    return true;
}

static bool equals_texts(struct walk *walk, struct slice a, struct slice b)
{
    return a.size == b.size && walk_on(walk, a.size / BYTES_AN_ITEM) &&
           slice_eq(a, b);
}

static bool equals(struct walk *walk, const struct value *a,
                   const struct value *b, int depth)
{
    if (!walk_on(walk, 1))
        return false;
    if (a->kind != b->kind)
        return value__is_number(a) && value__is_number(b) &&
               value__compare_numbers(a, b) == 0;
    if (depth >= DEPTH_MAX) {
        /* Not a step is left for what is nested that deep. */
        if (walk->run != NULL)
            (void)run__steps(walk->run, UINT64_MAX);
        walk->is_over = true;
        return false;
    }
    switch (a->kind) {
    case VALUE_NULL:
    case VALUE_ABSENT:
        return true;
    case VALUE_BOOL:
        return a->boolean == b->boolean;
    case VALUE_INT:
    case VALUE_TIMESTAMP:
    case VALUE_DURATION:
    case VALUE_TYPE:
        return a->integer == b->integer;
    case VALUE_UINT:
        return a->natural == b->natural;
    case VALUE_DOUBLE:
        return value__compare_numbers(a, b) == 0;
    case VALUE_STRING:
    case VALUE_BYTES:
        return equals_texts(walk, a->text, b->text);
    case VALUE_LIST:
        return equals_lists(walk, a->list, b->list, depth);
    case VALUE_MAP:
        return equals_maps(walk, a->map, b->map, depth);
    case VALUE_ERROR:
    case VALUE_LAZY:
        return false;
    }
    UNREACHABLE();
}

bool value__equals(struct run *run, const struct value *a,
                   const struct value *b)
{
    struct walk walk = {.run = run};
    bool is_equal = equals(&walk, a, b, 0);
    return is_equal && !walk.is_over;
}

bool value_equals(const struct value *a, const struct value *b)
{
    return value__equals(NULL, a, b);
}

const struct value *value__at_key(struct run *run, const struct value_map *map,
                                  const struct value *key)
{
    struct walk walk = {.run = run};
    size_t at = find_key(&walk, map, key, 0);
    return at < map->count && !walk.is_over ? &map->values[at] : NULL;
}

/* ---- order -------------------------------------------------------------- */

bool value__compare(const struct value *a, const struct value *b, int *order)
{
    if (value__is_number(a) && value__is_number(b)) {
        *order = value__compare_numbers(a, b);
        return *order != 2;
    }
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case VALUE_BOOL:
        *order = (int)a->boolean - (int)b->boolean;
        return true;
    case VALUE_TIMESTAMP:
    case VALUE_DURATION:
        *order = sign(a->integer > b->integer, a->integer < b->integer);
        return true;
    case VALUE_STRING:
    case VALUE_BYTES: {
        int difference = slice_cmp(a->text, b->text);
        *order = sign(difference > 0, difference < 0);
        return true;
    }
    default:
        return false;
    }
}
