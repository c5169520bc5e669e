/* Whether a pattern and the shape of a key have a key in common.
 *
 * Both are rows of atoms: a byte, one that is no '/', or any; once, or any
 * number of times. A walk through both at once stands at a pair of places
 * (i, j); it can only go on to later ones, so that one pass over the table of
 * pairs, row by row, finds all that can be reached.
 */
#include "recipe/pattern.h"

#include "base/check.h"
#include "recipe/pattern_int.h"

/* A table beyond this is taken for "may be": nobody writes such keys. */
enum { PAIRS_MAX = 4 << 20 };

struct atom {
    enum { ATOM_BYTE, ATOM_NO_SLASH, ATOM_ANY } kind;
    char byte;
    bool repeats; /* none, or any number */
};
struct atoms {
    struct atom *list;
    size_t count;
};

static void add_atom(struct atoms *atoms, unsigned kind, char byte,
                     bool repeats)
{
    atoms->list[atoms->count++] =
        (struct atom){.kind = kind, .byte = byte, .repeats = repeats};
}

static void add_text(struct atoms *atoms, struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        add_atom(atoms, ATOM_BYTE, text.at[i], false);
}

/* At least one. */
static void add_several(struct atoms *atoms, unsigned kind)
{
    add_atom(atoms, kind, 0, false);
    add_atom(atoms, kind, 0, true);
}

static struct atoms atoms_of_pattern(const struct pattern *pattern)
{
    /* A capture is two atoms, and longer than that as text. */
    struct atoms atoms = {
        .list = mem_alloc((pattern->text.size + 2) * sizeof *atoms.list)};
    for (size_t i = 0; i < pattern->count; i++) {
        const struct segment *segment = &pattern->segments[i];
        if (i > 0)
            add_atom(&atoms, ATOM_BYTE, '/', false);
        if (segment->kind == SEGMENT_LITERAL)
            add_text(&atoms, segment->text);
        else
            add_several(&atoms, segment->kind == SEGMENT_ONE ? ATOM_NO_SLASH
                                                             : ATOM_ANY);
    }
    if (pattern->is_prefix) {
        add_atom(&atoms, ATOM_BYTE, '/', false);
        add_atom(&atoms, ATOM_ANY, 0, true);
    }
    CHECK_LE(atoms.count, pattern->text.size + 2);
    return atoms;
}

static struct atoms atoms_of_shape(const struct key_shape *shape)
{
    size_t size = 0;
    for (size_t i = 0; i < shape->count; i++)
        size += shape->pieces[i].text.size + 2;
    struct atoms atoms = {.list = mem_alloc((size + 1) * sizeof *atoms.list)};
    for (size_t i = 0; i < shape->count; i++) {
        const struct shape_piece *piece = &shape->pieces[i];
        if (piece->kind == SHAPE_TEXT)
            add_text(&atoms, piece->text);
        else if (piece->kind == SHAPE_SEGMENT)
            add_several(&atoms, ATOM_NO_SLASH);
        else
            add_atom(&atoms, ATOM_ANY, 0, true);
    }
    CHECK_LE(atoms.count, size);
    return atoms;
}

static bool agree(const struct atom *a, const struct atom *b)
{
    if (a->kind == ATOM_ANY || b->kind == ATOM_ANY)
        return true;
    if (a->kind == ATOM_NO_SLASH && b->kind == ATOM_NO_SLASH)
        return true;
    if (a->kind == ATOM_NO_SLASH)
        return b->byte != '/';
    if (b->kind == ATOM_NO_SLASH)
        return a->byte != '/';
    return a->byte == b->byte;
}

/* One pair that was reached: on to the next ones, of this row and the next. */
static void step(const struct atom *a, const struct atom *b, size_t j,
                 bool *row, bool *next)
{
    bool stays = a && a->repeats;
    bool waits = b && b->repeats;
    if (stays)
        next[j] = true;
    if (waits)
        row[j + 1] = true;
    if (a && b && agree(a, b) && !(stays && waits)) {
        bool *to = stays ? row : next;
        to[waits ? j : j + 1] = true;
    }
}

static bool have_common(const struct atoms *a, const struct atoms *b)
{
    if (a->count * b->count > PAIRS_MAX)
        return true;
    size_t width = b->count + 1;
    CHECK_LT(0, a->count);
    bool *row = mem_alloc_zero(2 * width);
    bool *next = row + width;
    bool *rows = row;
    row[0] = true;
    for (size_t i = 0; i <= a->count; i++) {
        bool is_last = i == a->count;
        for (size_t j = 0; j < width; j++) {
            if (row[j])
                step(is_last ? NULL : &a->list[i],
                     j < b->count ? &b->list[j] : NULL, j, row, next);
        }
        if (is_last)
            break;
        bool *swap = row;
        row = next;
        next = swap;
        memset(next, 0, width);
    }
    bool met = row[b->count];
    mem_free(rows);
    return met;
}

/* The bytes that every key of the shape begins with. */
static struct slice literal_of(const struct key_shape *shape)
{
    bool has = shape->count > 0 && shape->pieces[0].kind == SHAPE_TEXT;
    return has ? shape->pieces[0].text : SLICE("");
}

bool pattern_meets_shape(const struct pattern *pattern,
                         const struct key_shape *shape)
{
    bool exact;
    struct slice ours = pattern_literal(pattern, &exact);
    struct slice theirs = literal_of(shape);
    size_t size = ours.size < theirs.size ? ours.size : theirs.size;
    /* Nearly all end here. */
    if (size && memcmp(ours.at, theirs.at, size) != 0)
        return false;
    if (slice_has_prefix(theirs, SLICE("/_recipes/")) &&
        !pattern__names_hidden(pattern))
        return false;
    struct atoms a = atoms_of_pattern(pattern);
    struct atoms b = atoms_of_shape(shape);
    bool met = have_common(&a, &b);
    mem_free(a.list);
    mem_free(b.list);
    return met;
}
