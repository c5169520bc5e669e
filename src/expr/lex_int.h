/* Text to tokens, one at a time. */
#ifndef ETCHED_EXPR_LEX_INT_H
#define ETCHED_EXPR_LEX_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/mem.h"

/*      kind           as a person writes it */
#define TOKEN_TABLE(X)               \
    X(END, "an operator or the end") \
    X(BAD, "something else")         \
    X(NAME, "a name")                \
    X(INT, "a number")               \
    X(UINT, "a number")              \
    X(DOUBLE, "a number")            \
    X(STRING, "a string")            \
    X(BYTES, "bytes")                \
    X(OR, "'||'")                    \
    X(AND, "'&&'")                   \
    X(EQUAL, "'=='")                 \
    X(UNEQUAL, "'!='")               \
    X(LESS, "'<'")                   \
    X(LESS_EQUAL, "'<='")            \
    X(GREATER, "'>'")                \
    X(GREATER_EQUAL, "'>='")         \
    X(PLUS, "'+'")                   \
    X(MINUS, "'-'")                  \
    X(TIMES, "'*'")                  \
    X(SLASH, "'/'")                  \
    X(PERCENT, "'%'")                \
    X(NOT, "'!'")                    \
    X(QUESTION, "'?'")               \
    X(COLON, "':'")                  \
    X(COMMA, "','")                  \
    X(DOT, "'.'")                    \
    X(PAREN_OPEN, "'('")             \
    X(PAREN_CLOSE, "')'")            \
    X(BRACKET_OPEN, "'['")           \
    X(BRACKET_CLOSE, "']'")          \
    X(BRACE_OPEN, "'{'")             \
    X(BRACE_CLOSE, "'}'")

enum token_kind {
#define X(name, text) TOKEN_##name,
    TOKEN_TABLE(X)
#undef X
        TOKEN_COUNT
};

struct token {
    enum token_kind kind;
    size_t at; /* in the lexer's text */
    size_t size;
    /* TOKEN_INT, its sign not seen yet: up to 2^63; TOKEN_UINT */
    uint64_t natural;
    double number;     /* TOKEN_DOUBLE */
    struct slice body; /* TOKEN_STRING, TOKEN_BYTES: between the quotes */
    bool is_raw;       /* its backslashes are backslashes */
};

struct lexer {
    struct slice text;
    size_t at;
    /* After a TOKEN_BAD: what is wrong with it, and where that is. */
    const char *why;
    size_t why_at;
};

void lex__next(struct lexer *lexer, struct token *out);
const char *token__text(enum token_kind kind);
bool lex__is_name_char(char c); /* letters, digits, '_' */

/* The number that begins at lexer->at (a digit, or '.' and a digit). */
void lex__number(struct lexer *lexer, struct token *out);
/* Undo the escapes of a string's or of bytes' body. False where one is wrong:
 * *why and *why_at (in the body) say how. */
bool lex__unescape(struct arena *arena, const struct token *token,
                   struct slice *out, const char **why, size_t *why_at);

#endif
