/* TOML into the tree: TOML 1.0 without dates and without arrays of tables,
 * which is more than etcd 0.4's configuration used.
 *
 * document  = line*
 * line      = blank | "#" comment | "[" key "]" | key "=" value
 * key       = name ( "." name )*
 * value     = string | word | "[" values "]" | "{" key = value, ... "}"
 *
 * A table may be written once only, and what an inline table or a dotted key
 * made can't be reopened from elsewhere: each table remembers its origin. */
#include "doc/doc.h"

#include "base/check.h"
#include "doc/doc_toml_int.h"

/* How a table came to be. */
enum table_origin {
    TABLE_IMPLIED, /* on the way to [a.b.c]; [a.b] may still come */
    TABLE_HEADER,  /* by its own [header], or the root */
    TABLE_DOTTED,  /* on the way of a dotted key */
    TABLE_INLINE,  /* { ... }: closed */
};

struct table {
    struct doc_value value; /* a map; first, so that one is the other */
    enum table_origin origin;
};

static struct table *table_of(struct doc_value *value)
{
    CHECK_EQ(value->kind, DOC_MAP);
    return (struct table *)(void *)value;
}

static enum err new_table(struct toml *toml, enum table_origin origin, int line,
                          int column, struct doc_value **out)
{
    enum err err = doc__new_sized(&toml->builder, DOC_MAP, line, column,
                                  sizeof(struct table), out);
    if (!err) {
        table_of(*out)->origin = origin;
    }
    return err;
}

static enum err parse_value(struct toml *toml, int depth,
                            struct doc_value **out);

/* ---- blanks ------------------------------------------------------------ */

static enum err skip_comment(struct toml *toml)
{
    if (!toml__take(toml, '#')) {
        return ERR_OK;
    }
    while (!toml__is_at_end(toml) && *toml->at != '\n') {
        unsigned char c = (unsigned char)*toml->at;
        bool is_return = c == '\r' && toml__peek(toml, 1) == '\n';
        if ((c < 0x20 && c != '\t' && !is_return) || c == 0x7f) {
            return toml__error(toml, "a control character in a comment");
        }
        toml__advance(toml);
    }
    return ERR_OK;
}

static bool take_newline(struct toml *toml)
{
    if (toml__peek(toml, 0) == '\r' && toml__peek(toml, 1) == '\n') {
        toml__advance(toml);
    }
    return toml__take(toml, '\n');
}

/* Over blanks, comments and line ends, as between an array's values. */
static enum err skip_lines(struct toml *toml)
{
    do {
        toml__skip_blanks(toml);
        enum err err = skip_comment(toml);
        if (err) {
            return err;
        }
    } while (take_newline(toml));
    return ERR_OK;
}

/* ---- keys -------------------------------------------------------------- */

/* Goes down to the table `name` of `table`, making it if need be: on the way
 * of a dotted key or of a [header]. A dotted key enters only what dotted keys
 * made, and those of the same section: another can't get there, since no
 * section is written twice. */
static enum err enter_table(struct toml *toml, bool is_dotted,
                            const struct doc_member *name,
                            struct doc_value **table)
{
    struct doc_value *found = doc__find(&toml->builder, *table, name->name);
    if (!found) {
        struct doc_member member = *name;
        enum err err = new_table(toml, is_dotted ? TABLE_DOTTED : TABLE_IMPLIED,
                                 name->line, name->column, &member.value);
        if (!err) {
            err = doc__add_member(&toml->builder, *table, &member);
        }
        if (!err) {
            *table = member.value;
        }
        return err;
    }
    int shown = name->name.size < 64 ? (int)name->name.size : 64;
    if (found->kind != DOC_MAP) {
        return doc__error(name->line, name->column,
                          "\"%.*s\" is %s already, so it can't be a table",
                          shown, name->name.at, doc_kind_text(found->kind));
    }
    const struct table *origin = table_of(found);
    if (origin->origin == TABLE_INLINE ||
        (is_dotted && origin->origin != TABLE_DOTTED)) {
        return doc__error(name->line, name->column,
                          "the table \"%.*s\" can't be added to from here",
                          shown, name->name.at);
    }
    *table = found;
    return ERR_OK;
}

/* Parses a key and enters the tables on its way; *last is its last name,
 * still without a value. */
static enum err parse_key(struct toml *toml, bool is_dotted, int depth,
                          struct doc_value **table, struct doc_member *last)
{
    for (;; depth++) {
        *last = (struct doc_member){.line = toml->line,
                                    .column = toml__column(toml)};
        enum err err = doc__check_depth(toml->builder.limits, depth, last->line,
                                        last->column);
        if (!err) {
            err = toml__parse_name(toml, &last->name);
        }
        if (err) {
            return err;
        }
        toml__skip_blanks(toml);
        if (!toml__take(toml, '.')) {
            return ERR_OK;
        }
        toml__skip_blanks(toml);
        err = enter_table(toml, is_dotted, last, table);
        if (err) {
            return err;
        }
    }
}

/* key = value, into `table`. */
static enum err parse_pair(struct toml *toml, int depth,
                           struct doc_value *table)
{
    struct doc_member member;
    enum err err = parse_key(toml, true, depth, &table, &member);
    if (err) {
        return err;
    }
    if (!toml__take(toml, '=')) {
        return toml__error(toml, "\"=\" is wanted here");
    }
    toml__skip_blanks(toml);
    err = parse_value(toml, depth + 1, &member.value);
    if (!err) {
        err = doc__add_member(&toml->builder, table, &member);
    }
    return err;
}

/* [a.b]: the bracket is at hand. *section becomes that table. */
static enum err parse_header(struct toml *toml, struct doc_value *root,
                             struct doc_value **section)
{
    CHECK(toml__take(toml, '['));
    if (toml__peek(toml, 0) == '[') {
        return toml__error(toml, "arrays of tables are not supported");
    }
    toml__skip_blanks(toml);
    struct doc_value *table = root;
    struct doc_member member;
    enum err err = parse_key(toml, false, 1, &table, &member);
    if (!err && !toml__take(toml, ']')) {
        err = toml__error(toml, "\"]\" is wanted here");
    }
    if (!err) {
        err = enter_table(toml, false, &member, &table);
    }
    if (err) {
        return err;
    }
    if (table_of(table)->origin != TABLE_IMPLIED) {
        int shown = member.name.size < 64 ? (int)member.name.size : 64;
        return doc__error(member.line, member.column,
                          "the table \"%.*s\" is there twice", shown,
                          member.name.at);
    }
    table_of(table)->origin = TABLE_HEADER;
    *section = table;
    return ERR_OK;
}

/* ---- values ------------------------------------------------------------ */

static enum err parse_list(struct toml *toml, int depth, struct doc_value **out)
{
    enum err err = doc__new_value(&toml->builder, DOC_LIST, toml->line,
                                  toml__column(toml), out);
    if (err) {
        return err;
    }
    CHECK(toml__take(toml, '['));
    for (;;) {
        err = skip_lines(toml);
        if (err || toml__take(toml, ']')) {
            return err;
        }
        struct doc_value *item;
        err = parse_value(toml, depth + 1, &item);
        if (!err) {
            err = doc__add_item(&toml->builder, *out, item);
        }
        if (!err) {
            err = skip_lines(toml);
        }
        if (err) {
            return err;
        }
        if (!toml__take(toml, ',') && toml__peek(toml, 0) != ']') {
            return toml__error(toml, "\",\" or \"]\" is wanted here");
        }
    }
}

static enum err parse_inline_table(struct toml *toml, int depth,
                                   struct doc_value **out)
{
    enum err err =
        new_table(toml, TABLE_INLINE, toml->line, toml__column(toml), out);
    if (err) {
        return err;
    }
    CHECK(toml__take(toml, '{'));
    toml__skip_blanks(toml);
    if (toml__take(toml, '}')) {
        return ERR_OK;
    }
    for (;;) {
        err = parse_pair(toml, depth + 1, *out);
        if (err) {
            return err;
        }
        toml__skip_blanks(toml);
        if (toml__take(toml, '}')) {
            return ERR_OK;
        }
        if (!toml__take(toml, ',')) {
            return toml__error(toml, "\",\" or \"}\" is wanted here");
        }
        toml__skip_blanks(toml);
    }
}

static enum err parse_value(struct toml *toml, int depth,
                            struct doc_value **out)
{
    int line = toml->line;
    int column = toml__column(toml);
    enum err err = doc__check_depth(toml->builder.limits, depth, line, column);
    if (err) {
        return err;
    }
    switch (toml__peek(toml, 0)) {
    case '[':
        return parse_list(toml, depth, out);
    case '{':
        return parse_inline_table(toml, depth, out);
    case '"':
    case '\'':
        err = doc__new_value(&toml->builder, DOC_STRING, line, column, out);
        return err ? err : toml__parse_string(toml, true, &(*out)->text);
    default:
        return toml__parse_word(toml, out);
    }
}

/* ---- the document ------------------------------------------------------ */

static enum err parse_document(struct toml *toml, struct doc_value **out)
{
    enum err err = new_table(toml, TABLE_HEADER, 1, 1, out);
    if (err) {
        return err;
    }
    struct doc_value *section = *out;
    for (;;) {
        err = skip_lines(toml);
        if (err || toml__is_at_end(toml)) {
            return err;
        }
        if (toml__peek(toml, 0) == '[') {
            err = parse_header(toml, *out, &section);
        } else {
            err = parse_pair(toml, 2, section);
        }
        if (err) {
            return err;
        }
        toml__skip_blanks(toml);
        err = skip_comment(toml);
        if (err) {
            return err;
        }
        if (!take_newline(toml) && !toml__is_at_end(toml)) {
            return toml__error(toml, "the line should end here");
        }
    }
}

/* Tells the first line that isn't well-formed UTF-8. */
static enum err check_utf8(struct slice text)
{
    if (slice_is_utf8(text)) {
        return ERR_OK;
    }
    int line = 1;
    for (size_t at = 0; at < text.size; line++) {
        struct slice rest = slice_of(text.at + at, text.size - at);
        ptrdiff_t newline = slice_find(rest, '\n');
        size_t size = newline < 0 ? rest.size : (size_t)newline;
        if (!slice_is_utf8(slice_of(rest.at, size))) {
            return doc__error(line, 1, "this line is not UTF-8");
        }
        at += size + 1;
    }
    UNREACHABLE();
}

enum err doc_parse_toml(struct arena *arena, struct slice text,
                        const struct doc_limits *limits, struct doc_value **out)
{
    *out = NULL;
    enum err err = doc__check_size(limits, text);
    if (!err) {
        err = check_utf8(text);
    }
    if (err) {
        return err;
    }
    const char *at = text.size ? text.at : "";
    struct toml toml = {.at = at, .end = at + text.size, .line = 1};
    if (slice_has_prefix(text, SLICE("\xef\xbb\xbf"))) {
        toml.at += 3; /* a byte order mark */
    }
    toml.line_start = toml.at;
    doc__builder_init(&toml.builder, arena, limits);
    struct doc_value *value = NULL;
    err = parse_document(&toml, &value);
    doc__builder_deinit(&toml.builder);
    if (!err) {
        CHECK(value);
        *out = value;
    }
    return err;
}
