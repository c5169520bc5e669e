#include "expr/lex_int.h"

#include "base/check.h"

static const char *const texts[TOKEN_COUNT] = {
#define X(name, text) text,
    TOKEN_TABLE(X)
#undef X
};

const char *token__text(enum token_kind kind)
{
    CHECK((unsigned)kind < TOKEN_COUNT);
    return texts[kind];
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool lex__is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           is_digit(c);
}

/* '\0' beyond the end: no token holds one. */
static char peek(const struct lexer *lexer, size_t ahead)
{
    size_t at = lexer->at + ahead;
    return at < lexer->text.size ? lexer->text.at[at] : '\0';
}

static void skip_space(struct lexer *lexer)
{
    for (;;) {
        char c = peek(lexer, 0);
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f') {
            lexer->at++;
        } else if (c == '/' && peek(lexer, 1) == '/') {
            while (lexer->at < lexer->text.size && peek(lexer, 0) != '\n')
                lexer->at++;
        } else {
            return;
        }
    }
}

static void refuse(struct lexer *lexer, struct token *token, size_t at,
                   const char *why)
{
    token->kind = TOKEN_BAD;
    lexer->why = why;
    lexer->why_at = at;
}

/* ---- strings ------------------------------------------------------------ */

/* Where the quotes close that were `width` wide; SIZE_MAX: nowhere. */
static size_t find_close(const struct lexer *lexer, char quote, size_t width,
                         bool is_raw)
{
    const struct slice text = lexer->text;
    for (size_t at = lexer->at; at + width <= text.size; at++) {
        if (text.at[at] == '\\' && !is_raw) {
            at++;
        } else if (text.at[at] == quote &&
                   (width == 1 ||
                    (text.at[at + 1] == quote && text.at[at + 2] == quote))) {
            return at;
        } else if (width == 1 && (text.at[at] == '\n' || text.at[at] == '\r')) {
            return SIZE_MAX;
        }
    }
    return SIZE_MAX;
}

/* The opening quote is next; the prefix (r, b, br) has been passed. */
static void read_string(struct lexer *lexer, struct token *token)
{
    char quote = peek(lexer, 0);
    bool is_long = peek(lexer, 1) == quote && peek(lexer, 2) == quote;
    size_t width = is_long ? 3 : 1;
    lexer->at += width;
    size_t close = find_close(lexer, quote, width, token->is_raw);
    if (close == SIZE_MAX) {
        refuse(lexer, token, token->at,
               is_long ? "this string isn't closed"
                       : "this string isn't closed (one of several lines is "
                         "written between \"\"\" and \"\"\")");
        return;
    }
    token->body = slice_of(lexer->text.at + lexer->at, close - lexer->at);
    lexer->at = close + width;
}

static bool is_quote(char c)
{
    return c == '"' || c == '\'';
}

/* r, b, br (in either case) and a quote; false: it is a name. */
static bool try_prefixed_string(struct lexer *lexer, struct token *token)
{
    size_t at = 0;
    token->kind = TOKEN_STRING;
    if ((peek(lexer, at) | 0x20) == 'b') {
        token->kind = TOKEN_BYTES;
        at++;
    }
    token->is_raw = (peek(lexer, at) | 0x20) == 'r';
    at += token->is_raw;
    if (!is_quote(peek(lexer, at)))
        return false;
    lexer->at += at;
    read_string(lexer, token);
    return true;
}

static void read_name(struct lexer *lexer, struct token *token)
{
    token->kind = TOKEN_NAME;
    while (lex__is_name_char(peek(lexer, 0)))
        lexer->at++;
}

/* ---- the rest ----------------------------------------------------------- */

/* One character, or two where the second one is `second`. */
static enum token_kind either(struct lexer *lexer, char second,
                              enum token_kind one, enum token_kind two)
{
    bool is_two = peek(lexer, 1) == second;
    lexer->at += is_two ? 2 : 1;
    return is_two ? two : one;
}

static enum token_kind read_single(char c)
{
    static const char marks[] = "+-*/%?:,.()[]{}";
    static const enum token_kind kinds[] = {
        TOKEN_PLUS,          TOKEN_MINUS,       TOKEN_TIMES,
        TOKEN_SLASH,         TOKEN_PERCENT,     TOKEN_QUESTION,
        TOKEN_COLON,         TOKEN_COMMA,       TOKEN_DOT,
        TOKEN_PAREN_OPEN,    TOKEN_PAREN_CLOSE, TOKEN_BRACKET_OPEN,
        TOKEN_BRACKET_CLOSE, TOKEN_BRACE_OPEN,  TOKEN_BRACE_CLOSE,
    };
    const char *found = c ? strchr(marks, c) : NULL;
    return found ? kinds[found - marks] : TOKEN_BAD;
}

static const char *why_not(char c)
{
    switch (c) {
    case '=':
        return "'=' alone is not an operator: write '=='";
    case '&':
        return "'&' alone is not an operator: write '&&'";
    case '|':
        return "'|' alone is not an operator: write '||'";
    case '`':
        return "names in backticks are not part of this language: write "
               "map['name']";
    case '$':
        return "'$' is not part of this language: names are written bare, as "
               "in value.used";
    case ';':
        return "an expression is one expression: ';' is not part of it";
    default:
        return "this character is not part of the language";
    }
}

static void read_mark(struct lexer *lexer, struct token *token)
{
    char c = peek(lexer, 0);
    switch (c) {
    case '|':
        token->kind = either(lexer, '|', TOKEN_BAD, TOKEN_OR);
        break;
    case '&':
        token->kind = either(lexer, '&', TOKEN_BAD, TOKEN_AND);
        break;
    case '=':
        token->kind = either(lexer, '=', TOKEN_BAD, TOKEN_EQUAL);
        break;
    case '!':
        token->kind = either(lexer, '=', TOKEN_NOT, TOKEN_UNEQUAL);
        break;
    case '<':
        token->kind = either(lexer, '=', TOKEN_LESS, TOKEN_LESS_EQUAL);
        break;
    case '>':
        token->kind = either(lexer, '=', TOKEN_GREATER, TOKEN_GREATER_EQUAL);
        break;
    default:
        token->kind = read_single(c);
        lexer->at++;
    }
    if (token->kind == TOKEN_BAD)
        refuse(lexer, token, token->at, why_not(c));
}

void lex__next(struct lexer *lexer, struct token *out)
{
    skip_space(lexer);
    *out = (struct token){.at = lexer->at};
    char c = peek(lexer, 0);
    if (lexer->at == lexer->text.size) {
        out->kind = TOKEN_END;
    } else if (is_quote(c)) {
        out->kind = TOKEN_STRING;
        read_string(lexer, out);
    } else if (is_digit(c) || (c == '.' && is_digit(peek(lexer, 1)))) {
        lex__number(lexer, out);
    } else if (lex__is_name_char(c)) {
        if (!try_prefixed_string(lexer, out))
            read_name(lexer, out);
    } else {
        read_mark(lexer, out);
    }
    out->size = lexer->at - out->at;
}
