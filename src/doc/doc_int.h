/* What the three parsers share: making values within the limits, and telling
 * where something is wrong. For this folder only. */
#ifndef ETCHED_DOC_DOC_INT_H
#define ETCHED_DOC_DOC_INT_H

#include "base/map.h"
#include "doc/doc.h"

/* `names` finds a member by the map that it is in and its name, so that
 * neither a lookup nor a duplicate costs a walk over the members.
 *
 * Invariant: every member that doc__add_member put is in `names`. */
struct doc_builder {
    struct arena *arena;
    const struct doc_limits *limits;
    size_t values; /* made so far, at most limits->values_max */
    struct map names;
    struct buf key; /* of the lookup at hand */
};

void doc__builder_init(struct doc_builder *builder, struct arena *arena,
                       const struct doc_limits *limits);
void doc__builder_deinit(struct doc_builder *builder);

/* A new value of `kind`, all else zero.
 * Errors: ERR_TOO_LARGE beyond values_max, ERR_NO_MEMORY. */
enum err doc__new_value(struct doc_builder *builder, enum doc_kind kind,
                        int line, int column, struct doc_value **out) MUST_USE;
/* The same, in the front of `size` bytes, for who keeps more beside it. */
enum err doc__new_sized(struct doc_builder *builder, enum doc_kind kind,
                        int line, int column, size_t size,
                        struct doc_value **out) MUST_USE;

enum err doc__add_item(struct doc_builder *builder, struct doc_value *list,
                       struct doc_value *item) MUST_USE;

/* Errors: ERR_INVALID when the map has that name already. */
enum err doc__add_member(struct doc_builder *builder, struct doc_value *map,
                         const struct doc_member *member) MUST_USE;
/* The value of that name in `map`, or NULL. */
struct doc_value *doc__find(struct doc_builder *builder,
                            const struct doc_value *map, struct slice name);

/* The bytes copied into the arena, with a zero after them for strtod. */
enum err doc__copy(struct doc_builder *builder, struct slice text,
                   struct slice *out) MUST_USE;

/* Errors: ERR_TOO_LARGE when the text is longer than bytes_max. */
enum err doc__check_size(const struct doc_limits *limits,
                         struct slice text) MUST_USE;
/* Errors: ERR_TOO_LARGE when `depth` (1: the outermost) is too deep. */
enum err doc__check_depth(const struct doc_limits *limits, int depth, int line,
                          int column) MUST_USE;

/* ERR_INVALID with the note "line 3, column 7: ...". */
enum err doc__error(int line, int column, const char *format, ...)
    PRINTF_LIKE(3, 4) MUST_USE;

/* An integer without its sign, in base 2, 8, 10 or 16, digits only.
 * False when it isn't one; *fits is false when it is beyond 64 bits. */
bool doc__integer(struct slice digits, int base, bool negative, int64_t *out,
                  bool *fits);

#endif
