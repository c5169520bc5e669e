/* Functions between strings and lists of strings. */
#include "expr/function_int.h"

#include "base/check.h"

/* The bytes of the character that begins here. What isn't UTF-8 goes byte by
 * byte. */
static size_t character_size(struct slice text)
{
    unsigned char first = (unsigned char)text.at[0];
    size_t size = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    return size < text.size ? size : text.size;
}

static struct slice after(struct slice text, size_t size)
{
    CHECK_LE(size, text.size);
    return slice_of(text.at + size, text.size - size);
}

/* Where `part` stands in `text`; text.size: nowhere. An empty part stands
 * behind each character. */
static size_t find(struct slice text, struct slice part)
{
    if (part.size == 0)
        return text.size > 0 ? character_size(text) : 0;
    if (part.size > text.size)
        return text.size;
    const char *at = memmem(text.at, text.size, part.at, part.size);
    return at == NULL ? text.size : (size_t)(at - text.at);
}

static bool is_at(struct slice text, size_t at, struct slice part)
{
    return part.size == 0 ? at < text.size : at + part.size <= text.size;
}

/* The count that an optional last argument gives; -1: no limit. */
static bool take_limit(struct run *run, const char *name,
                       const struct value *arguments, size_t count, size_t at,
                       int64_t *limit, struct value *out)
{
    *limit = -1;
    if (count <= at)
        return true;
    if (arguments[at].kind != VALUE_INT) {
        function__no_overload(run, name, arguments, count, out);
        return false;
    }
    *limit = arguments[at].integer < 0 ? -1 : arguments[at].integer;
    return true;
}

/* ---- replace ------------------------------------------------------------ */

/* An empty `old` stands before the first character, too. */
static void replace(struct maker *maker, struct slice text, struct slice old,
                    struct slice with, int64_t limit)
{
    if (old.size == 0 && limit != 0) {
        if (!maker__append(maker, with.at, with.size))
            return;
        limit -= limit > 0;
        if (text.size == 0)
            return;
    }
    while (limit != 0) {
        size_t at = find(text, old);
        /* The last character has an empty part behind it, too. */
        bool is_there = old.size == 0 ? text.size > 0 : is_at(text, at, old);
        if (!is_there)
            break;
        if (!run__steps(maker->run, 1 + at / FUNCTION_BYTES_A_STEP) ||
            !maker__append(maker, text.at, at) ||
            !maker__append(maker, with.at, with.size))
            return;
        text = after(text, at + old.size);
        limit -= limit > 0;
    }
    (void)maker__append(maker, text.at, text.size);
}

void function__replace(struct run *run, const struct value *arguments,
                       size_t count, struct value *out)
{
    int64_t limit;
    if (!function__are_strings(run, "replace", arguments, 3, out) ||
        !take_limit(run, "replace", arguments, count, 3, &limit, out))
        return;
    struct maker maker = {.run = run};
    replace(&maker, arguments[0].text, arguments[1].text, arguments[2].text,
            limit);
    maker__give(&maker, out);
}

/* ---- split -------------------------------------------------------------- */

/* The next piece, and whether there is one behind it. */
static bool take_piece(struct slice *text, struct slice separator,
                       struct slice *piece)
{
    size_t at = find(*text, separator);
    bool is_more = is_at(*text, at, separator);
    *piece = slice_of(text->at, is_more ? at : text->size);
    if (is_more)
        *text = after(*text, at + separator.size);
    return is_more;
}

/* Stops where there are more than steps are left for. */
static size_t count_pieces(const struct run *run, struct slice text,
                           struct slice separator, int64_t limit)
{
    struct slice piece;
    size_t count = 1;
    while ((limit < 0 || count < (uint64_t)limit) && count <= run->steps_left &&
           take_piece(&text, separator, &piece))
        count++;
    return count;
}

static void split(struct run *run, struct slice text, struct slice separator,
                  size_t count, struct value *out)
{
    struct value_list *list = NULL;
    if (run__steps(run, count))
        list = run__alloc(run, sizeof *list + count * sizeof *list->items);
    if (list == NULL)
        return;
    list->count = count;
    list->items = (struct value *)(list + 1);
    for (size_t i = 0; i < count; i++) {
        struct slice piece = text;
        if (i + 1 < count)
            CHECK(take_piece(&text, separator, &piece));
        list->items[i] = value_string(piece);
    }
    *out = (struct value){.kind = VALUE_LIST, .list = list};
}

void function__split(struct run *run, const struct value *arguments,
                     size_t count, struct value *out)
{
    static const struct value_list empty = {0};
    int64_t limit;
    if (!function__are_strings(run, "split", arguments, 2, out) ||
        !take_limit(run, "split", arguments, count, 2, &limit, out))
        return;
    struct slice text = arguments[0].text, separator = arguments[1].text;
    if (limit == 0 || (text.size == 0 && separator.size == 0)) {
        *out = (struct value){.kind = VALUE_LIST, .list = &empty};
        return;
    }
    if (run__steps(run, text.size / FUNCTION_BYTES_A_STEP * 2))
        split(run, text, separator, count_pieces(run, text, separator, limit),
              out);
}

/* ---- join --------------------------------------------------------------- */

void function__join(struct run *run, const struct value *arguments,
                    size_t count, struct value *out)
{
    if (arguments[0].kind != VALUE_LIST ||
        (count > 1 && arguments[1].kind != VALUE_STRING)) {
        function__no_overload(run, "join", arguments, count, out);
        return;
    }
    const struct value_list *list = arguments[0].list;
    struct slice separator = count > 1 ? arguments[1].text : SLICE("");
    struct maker maker = {.run = run};
    for (size_t i = 0; i < list->count; i++) {
        const struct value *item = &list->items[i];
        if (item->kind != VALUE_STRING) {
            *out = run__error(run, "join: item %zu is %s, not string", i,
                              value_kind_text(item->kind));
            return;
        }
        if (!run__steps(run, 1) ||
            (i > 0 && !maker__append(&maker, separator.at, separator.size)) ||
            !maker__append(&maker, item->text.at, item->text.size))
            return;
    }
    maker__give(&maker, out);
}
