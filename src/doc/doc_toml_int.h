/* The TOML parser's two files: doc_toml.c (lines, tables, values) and
 * doc_toml_scalar.c (keys, strings, numbers). */
#ifndef ETCHED_DOC_DOC_TOML_INT_H
#define ETCHED_DOC_DOC_TOML_INT_H

#include "doc/doc_int.h"

/* Where the parser is. `at` never passes `end`; a column counts characters,
 * so the tail bytes of UTF-8 sequences in this line are counted apart. */
struct toml {
    struct doc_builder builder;
    const char *at;
    const char *end;
    const char *line_start;
    int line;
    int tail_bytes;
};

static inline bool toml__is_at_end(const struct toml *toml)
{
    return toml->at == toml->end;
}
/* The byte at hand, or `ahead` bytes on; '\0' at the end (which no TOML text
 * may contain otherwise: toml__error is where it leads). */
static inline char toml__peek(const struct toml *toml, size_t ahead)
{
    return (size_t)(toml->end - toml->at) > ahead ? toml->at[ahead] : '\0';
}
static inline int toml__column(const struct toml *toml)
{
    return (int)(toml->at - toml->line_start) - toml->tail_bytes + 1;
}

/* Moves on by one byte, keeping line and column. */
void toml__advance(struct toml *toml);
/* True, and moved over it, when `c` is at hand. */
bool toml__take(struct toml *toml, char c);
/* Over spaces and tabs. */
void toml__skip_blanks(struct toml *toml);
/* ERR_INVALID at this very place. */
enum err toml__error(const struct toml *toml, const char *text) MUST_USE;

/* One part of a key, bare or quoted. */
enum err toml__parse_name(struct toml *toml, struct slice *out) MUST_USE;
/* A string of any of the four forms; its quote is at hand. */
enum err toml__parse_string(struct toml *toml, bool may_be_multiline,
                            struct slice *out) MUST_USE;
/* true, false, an integer or a float. */
enum err toml__parse_word(struct toml *toml, struct doc_value **out) MUST_USE;

#endif
