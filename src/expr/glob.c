/* Wildcards, by walking all places of the pattern at once that the text so
 * far can have led to (Thompson's construction, with the pattern itself as
 * the automaton: a state is an index in it). So the time is at most pattern
 * times text, whatever the two are, where going back and trying again would
 * take exponential time for `**a**a**a**`.
 *
 * `?` and [classes] don't match '/', as `*` doesn't: a name never runs over
 * into the next one. A '[' that nothing closes stands for itself. */
#include "expr/glob_int.h"

#include "base/check.h"
#include "expr/expr.h"

/* A set of places: a list, and for each place the turn in which it came to it
 * last. */
struct places {
    uint16_t items[GLOB_PATTERN_BYTES_MAX + 1];
    size_t count;
};
struct glob {
    struct slice pattern;
    struct places places[2]; /* now, and after the next byte */
    size_t turn_of[GLOB_PATTERN_BYTES_MAX + 1];
};

static bool is_star(const struct glob *glob, size_t at)
{
    return at < glob->pattern.size && glob->pattern.at[at] == '*';
}

/* The end of a run of stars. */
static size_t after_stars(const struct glob *glob, size_t at)
{
    while (is_star(glob, at))
        at++;
    return at;
}

/* A star may stand for nothing: the place behind it is reached as well. */
static void add(struct glob *glob, struct places *places, size_t at,
                size_t turn)
{
    for (;;) {
        if (glob->turn_of[at] == turn)
            return;
        glob->turn_of[at] = turn;
        CHECK_LE(places->count, GLOB_PATTERN_BYTES_MAX);
        places->items[places->count++] = (uint16_t)at;
        if (!is_star(glob, at))
            return;
        at = after_stars(glob, at);
    }
}

/* The index of the ']' that closes the class at `at`, or 0. A ']' that comes
 * first is one of the class. */
static size_t class_end(struct slice pattern, size_t at)
{
    size_t end = at + 1;
    if (end < pattern.size &&
        (pattern.at[end] == '!' || pattern.at[end] == '^'))
        end++;
    for (end++; end < pattern.size; end++) {
        if (pattern.at[end] == ']')
            return end;
    }
    return 0;
}

static bool is_in_class(struct slice pattern, size_t at, size_t end, char c)
{
    const unsigned char *bytes = (const unsigned char *)pattern.at;
    unsigned char wanted = (unsigned char)c;
    bool is_not = pattern.at[at + 1] == '!' || pattern.at[at + 1] == '^';
    bool is_in = false;
    for (size_t i = at + 1 + is_not; i < end; i++) {
        unsigned char low = bytes[i], high = low;
        if (i + 2 < end && bytes[i + 1] == '-') {
            high = bytes[i + 2];
            i += 2;
        }
        is_in = is_in || (wanted >= low && wanted <= high);
    }
    return is_in != is_not;
}

/* Where a byte leads from a place that isn't a star; 0: nowhere. */
static size_t step(struct slice pattern, size_t at, char c)
{
    size_t end;
    switch (pattern.at[at]) {
    case '?':
        return c != '/' ? at + 1 : 0;
    case '[':
        end = class_end(pattern, at);
        if (end != 0)
            return c != '/' && is_in_class(pattern, at, end, c) ? end + 1 : 0;
        break;
    default:
        break;
    }
    return pattern.at[at] == c ? at + 1 : 0;
}

static void take(struct glob *glob, const struct places *now,
                 struct places *next, char c, size_t turn)
{
    next->count = 0;
    for (size_t i = 0; i < now->count; i++) {
        size_t at = now->items[i];
        if (at == glob->pattern.size)
            continue;
        if (!is_star(glob, at)) {
            size_t to = step(glob->pattern, at, c);
            if (to != 0)
                add(glob, next, to, turn);
        } else if (c != '/' || after_stars(glob, at) > at + 1) {
            add(glob, next, at, turn);
        }
    }
}

static bool matches(struct glob *glob, struct slice text)
{
    struct places *now = &glob->places[0], *next = &glob->places[1];
    size_t turn = 1;
    memset(glob->turn_of, 0,
           (glob->pattern.size + 1) * sizeof glob->turn_of[0]);
    now->count = 0;
    add(glob, now, 0, turn);
    for (size_t i = 0; i < text.size && now->count > 0; i++) {
        take(glob, now, next, text.at[i], ++turn);
        struct places *swap = now;
        now = next;
        next = swap;
    }
    return glob->turn_of[glob->pattern.size] == turn && now->count > 0;
}

bool glob_matches(struct slice pattern, struct slice text)
{
    if (pattern.size > GLOB_PATTERN_BYTES_MAX)
        return false;
    /* What comes before the first wildcard decides most of the time. */
    size_t plain = 0;
    while (plain < pattern.size && strchr("*?[", pattern.at[plain]) == NULL)
        plain++;
    if (!slice_has_prefix(text, slice_of(pattern.at, plain)))
        return false;
    if (plain == pattern.size)
        return text.size == plain;
    struct glob glob;
    glob.pattern = slice_of(pattern.at + plain, pattern.size - plain);
    return matches(&glob, slice_of(text.at + plain, text.size - plain));
}
