/* Names: variables of macros, ingredients, kinds ("int"), and what is called.
 */
#include <stdio.h>

#include "base/check.h"
#include "expr/code_int.h"

enum {
    NAME_BYTES_MAX = 64, /* of names that are compared for a suggestion */
    LIST_BYTES_MAX = 160,
};

/* ---- words that are no names -------------------------------------------- */

static const char *const reserved[] = {
    "as",        "break",  "const",  "continue", "else",  "for",
    "function",  "if",     "import", "let",      "loop",  "package",
    "namespace", "return", "var",    "void",     "while",
};

static bool is_reserved(struct slice name)
{
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
        if (slice_eq(name, slice_str(reserved[i])))
            return true;
    }
    return false;
}

/* ---- suggestions -------------------------------------------------------- */

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* How many letters differ (Levenshtein), one row of the table at a time. */
static size_t distance(struct slice a, struct slice b)
{
    size_t row[NAME_BYTES_MAX + 1];
    CHECK_LE(b.size, NAME_BYTES_MAX);
    for (size_t j = 0; j <= b.size; j++)
        row[j] = j;
    for (size_t i = 0; i < a.size; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b.size; j++) {
            size_t above = row[j + 1];
            size_t differs = a.at[i] != b.at[j];
            row[j + 1] = min3(above + 1, row[j] + 1, diagonal + differs);
            diagonal = above;
        }
    }
    return row[b.size];
}

static struct slice find_near(const struct expr_names *names,
                              struct slice wanted)
{
    struct slice found = {0};
    size_t least = wanted.size / 3 + 1;
    for (size_t i = 0; names != NULL && i < names->count; i++) {
        struct slice name = names->names[i].name;
        if (name.size > NAME_BYTES_MAX || wanted.size > NAME_BYTES_MAX)
            continue;
        size_t differ = distance(wanted, name);
        if (differ <= least && differ < wanted.size) {
            least = differ;
            found = name;
        }
    }
    return found;
}

/* "key, value, prev", as far as there is room. */
static void list_names(const struct expr_names *names, char out[LIST_BYTES_MAX])
{
    size_t size = 0;
    out[0] = '\0';
    for (size_t i = 0; names != NULL && i < names->count; i++) {
        struct slice name = names->names[i].name;
        if (size + name.size + 8 > LIST_BYTES_MAX) {
            snprintf(out + size, LIST_BYTES_MAX - size, ", ...");
            return;
        }
        size += (size_t)snprintf(out + size, LIST_BYTES_MAX - size, "%s%.*s",
                                 i ? ", " : "", (int)name.size, name.at);
    }
}

static void refuse_name(struct parser *parser, struct slice name, size_t at)
{
    const struct expr_names *names = parser->names;
    struct slice near = find_near(names, name);
    char list[LIST_BYTES_MAX];
    if (parser->err)
        return;
    if (near.size > 0) {
        parse__refuse(parser, at, "unknown name '%.*s': did you mean '%.*s'?",
                      (int)name.size, name.at, (int)near.size, near.at);
        return;
    }
    list_names(names, list);
    const char *hint =
        names != NULL && names->hint != NULL ? names->hint : list;
    if (hint[0] == '\0')
        parse__refuse(parser, at,
                      "unknown name '%.*s' (a text is written in quotes)",
                      (int)name.size, name.at);
    else
        parse__refuse(parser, at,
                      "unknown name '%.*s': expected one of %s (a text is "
                      "written in quotes)",
                      (int)name.size, name.at, hint);
}

/* ---- a name on its own -------------------------------------------------- */

/* type(x) == int */
static bool find_kind(struct slice name, enum value_kind *out)
{
    static const struct {
        const char *name;
        enum value_kind kind;
    } kinds[] = {
        {"null_type", VALUE_NULL},
        {"bool", VALUE_BOOL},
        {"int", VALUE_INT},
        {"uint", VALUE_UINT},
        {"double", VALUE_DOUBLE},
        {"string", VALUE_STRING},
        {"bytes", VALUE_BYTES},
        {"list", VALUE_LIST},
        {"map", VALUE_MAP},
        {"type", VALUE_TYPE},
        {"google.protobuf.Timestamp", VALUE_TIMESTAMP},
        {"google.protobuf.Duration", VALUE_DURATION},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (slice_eq(name, slice_str(kinds[i].name))) {
            *out = kinds[i].kind;
            return true;
        }
    }
    return false;
}

static struct operand push_kind(struct parser *parser, enum value_kind kind,
                                size_t at)
{
    struct value value = {.kind = VALUE_TYPE, .integer = (int64_t)kind};
    return emit__value(parser, &value, at);
}

/* true, false, null. */
static bool find_word(struct slice name, struct value *out)
{
    bool is_true = slice_eq(name, SLICE("true"));
    *out = (struct value){.kind = VALUE_NULL};
    if (is_true || slice_eq(name, SLICE("false")))
        *out = value_bool(is_true);
    else if (!slice_eq(name, SLICE("null")))
        return false;
    return true;
}

static struct operand push_slot(struct parser *parser, size_t slot, size_t at)
{
    const struct expr_name *known = &parser->names->names[slot];
    struct slice *name = arena_alloc(parser->arena, sizeof *name);
    uint32_t begin = parser->count;
    *name = slice_of(arena_dup(parser->arena, known->name.at, known->name.size),
                     known->name.size);
    emit__op(
        parser,
        (struct op){.code = OP_SLOT, .index = (uint32_t)slot, .text = name}, 1);
    return emit__operand(parser, begin, at, known->kind);
}

static struct operand push_local(struct parser *parser, uint32_t local,
                                 size_t at)
{
    uint32_t begin = parser->count;
    emit__op(parser, (struct op){.code = OP_LOCAL, .index = local}, 1);
    return emit__operand(parser, begin, at, VALUE_LAZY);
}

/* The innermost variable first, then ingredients, then kinds. A name with a
 * dot before it is never a variable of a macro. */
static struct operand parse_variable(struct parser *parser, struct slice name,
                                     size_t at, bool is_global)
{
    struct value word;
    enum value_kind kind;
    const struct expr_names *names = parser->names;
    if (find_word(name, &word))
        return emit__value(parser, &word, at);
    for (uint32_t i = parser->local_count; i > 0 && !is_global; i--) {
        if (slice_eq(parser->locals[i - 1], name))
            return push_local(parser, i - 1, at);
    }
    for (size_t i = 0; names != NULL && i < names->count; i++) {
        if (slice_eq(names->names[i].name, name))
            return push_slot(parser, i, at);
    }
    if (find_kind(name, &kind))
        return push_kind(parser, kind, at);
    if (is_reserved(name) || slice_eq(name, SLICE("in")))
        parse__refuse(parser, at,
                      "'%.*s' is a reserved word and can't be a name",
                      (int)name.size, name.at);
    refuse_name(parser, name, at);
    return (struct operand){.at = at, .kind = VALUE_LAZY};
}

/* ---- calls -------------------------------------------------------------- */

/* The arguments up to ')'. Returns how many there are; those beyond the room
 * are read too, for the message's sake. */
static size_t parse_arguments(struct parser *parser, struct operand *arguments,
                              size_t count)
{
    while (!parser->err && parser->token.kind != TOKEN_PAREN_CLOSE) {
        struct operand argument = parse__nested(parser);
        if (count < FUNCTION_ARGUMENTS_MAX)
            arguments[count] = argument;
        count++;
        if (!parse__accept(parser, TOKEN_COMMA))
            break;
    }
    parse__expect(parser, TOKEN_PAREN_CLOSE);
    return count;
}

static void refuse_function(struct parser *parser, struct slice name,
                            bool is_method, size_t at)
{
    enum macro macro;
    int size = (int)name.size;
    if (!is_method && macro__find(name, &macro))
        parse__refuse(parser, at,
                      "%.*s() is asked of a list or a map: list.%.*s(x, ...)",
                      size, name.at, size, name.at);
    else if (!is_method && function__find(name, true) != NULL)
        parse__refuse(parser, at,
                      "%.*s() is written behind a dot: text.%.*s(...)", size,
                      name.at, size, name.at);
    else if (is_method && function__find(name, false) != NULL)
        parse__refuse(parser, at,
                      "%.*s() isn't written behind a dot: %.*s(...)", size,
                      name.at, size, name.at);
    else
        parse__refuse(parser, at, "there is no function %s%.*s()",
                      is_method ? "." : "", size, name.at);
}

static struct operand finish_call(struct parser *parser, struct slice name,
                                  bool is_method, size_t at,
                                  struct operand *arguments, size_t count)
{
    uint32_t begin = count > 0 ? arguments[0].begin : parser->count;
    const struct function *function = function__find(name, is_method);
    if (function == NULL && !parser->err)
        refuse_function(parser, name, is_method, at);
    count = parse_arguments(parser, arguments, count);
    if (function == NULL ||
        !check__call(parser, function, arguments, count, at))
        return (struct operand){.at = at, .kind = VALUE_LAZY};
    return emit__call(parser, function, begin, count, at);
}

struct operand name__parse_method(struct parser *parser, struct operand target,
                                  struct slice name, size_t at)
{
    enum macro macro;
    struct operand arguments[FUNCTION_ARGUMENTS_MAX] = {target};
    if (macro__find(name, &macro))
        return macro__parse(parser, target, macro);
    struct operand result = finish_call(parser, name, true, at, arguments, 1);
    result.at = target.at;
    return result;
}

/* ---- names with dots ---------------------------------------------------- */

/* "time.hour" where the text goes on so, without spaces. */
static struct slice dotted_name(const struct parser *parser)
{
    struct slice text = parser->lexer.text;
    size_t end = parser->token.at;
    while (end < text.size &&
           (lex__is_name_char(text.at[end]) || text.at[end] == '.'))
        end++;
    return slice_of(text.at + parser->token.at, end - parser->token.at);
}

/* Go on behind a name of which the token is the beginning. */
static void skip_name(struct parser *parser, struct slice name)
{
    parser->lexer.at = parser->token.at + name.size;
    parse__next(parser);
}

/* A function or a kind whose name has dots in it. */
static bool try_dotted(struct parser *parser, struct operand *out)
{
    struct operand arguments[FUNCTION_ARGUMENTS_MAX];
    struct slice name = dotted_name(parser);
    size_t at = parser->token.at;
    enum value_kind kind;
    if (name.size == parser->token.size)
        return false;
    if (find_kind(name, &kind)) {
        skip_name(parser, name);
        *out = push_kind(parser, kind, at);
        return true;
    }
    if (function__find(name, false) == NULL)
        return false;
    skip_name(parser, name);
    if (parse__expect(parser, TOKEN_PAREN_OPEN))
        *out = finish_call(parser, name, false, at, arguments, 0);
    return true;
}

/* "Message{" and "a.b.Message{". */
static void refuse_message(struct parser *parser, size_t at)
{
    parse__refuse(parser, at,
                  "message construction is not part of this language: there "
                  "are no protobuf types (a map is written {'name': value})");
}

struct operand name__parse(struct parser *parser)
{
    struct operand arguments[FUNCTION_ARGUMENTS_MAX];
    struct operand operand = {.at = parser->token.at, .kind = VALUE_LAZY};
    bool is_global = parse__accept(parser, TOKEN_DOT);
    struct slice name = parse__token_text(parser);
    size_t at = parser->token.at;
    struct slice dotted = dotted_name(parser);
    size_t behind = at + dotted.size;
    if (parser->token.kind == TOKEN_NAME && try_dotted(parser, &operand))
        return operand;
    if (!parse__expect(parser, TOKEN_NAME))
        return operand;
    if (behind < parser->lexer.text.size &&
        parser->lexer.text.at[behind] == '{' && dotted.size > name.size)
        refuse_message(parser, at);
    if (parser->token.kind == TOKEN_BRACE_OPEN)
        refuse_message(parser, at);
    if (!parse__accept(parser, TOKEN_PAREN_OPEN))
        return parse_variable(parser, name, at, is_global);
    if (slice_eq(name, SLICE("has")))
        return macro__parse_has(parser, at);
    return finish_call(parser, name, false, at, arguments, 0);
}
