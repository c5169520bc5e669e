#include "wire/form.h"

#include "base/check.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* ---- what is wrong, in Go's words -----------------------------------------
 */

/* The letter of Go's short escapes, or 0. */
static char short_escape(char c)
{
    switch (c) {
    case '\a':
        return 'a';
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    case '\v':
        return 'v';
    case '"':
    case '\\':
        return c;
    default:
        return 0;
    }
}

static size_t quote_byte(char *to, char c)
{
    unsigned char byte = (unsigned char)c;
    char letter = short_escape(c);
    if (letter) {
        to[0] = '\\';
        to[1] = letter;
        return 2;
    }
    if (byte >= ' ' && byte < 0x7f) {
        to[0] = c;
        return 1;
    }
    to[0] = '\\';
    to[1] = 'x';
    to[2] = "0123456789abcdef"[byte >> 4];
    to[3] = "0123456789abcdef"[byte & 15];
    return 4;
}

/* As strconv.Quote does for the at most three bytes of a bad escape. Only a
 * sequence of two bytes has room behind the '%'; of those, the C1 controls
 * and the soft hyphen don't print. */
static size_t quote(char *to, struct slice text)
{
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        struct slice pair = slice_of(text.at + i, 2);
        unsigned char first = (unsigned char)text.at[i];
        if (first < 0x80 || i + 2 > text.size || !slice_is_utf8(pair)) {
            size += quote_byte(to + size, text.at[i]);
            continue;
        }
        unsigned char second = (unsigned char)pair.at[1];
        unsigned rune = (first & 0x1fU) << 6 | (second & 0x3fU);
        if (rune < 0xa0 || rune == 0xad) {
            memcpy(to + size, "\\u00", 4);
            to[size + 4] = "0123456789abcdef"[rune >> 4];
            to[size + 5] = "0123456789abcdef"[rune & 15];
            size += 6;
        } else {
            memcpy(to + size, pair.at, 2);
            size += 2;
        }
        i++;
    }
    return size;
}

static enum err bad_escape(struct slice rest)
{
    char quoted[16];
    if (rest.size > 3)
        rest.size = 3;
    size_t size = quote(quoted, rest);
    CHECK_LE(size, sizeof quoted);
    return err_set(ERR_INVALID, "invalid URL escape \"%.*s\"", (int)size,
                   quoted);
}

/* ---- decoding -------------------------------------------------------------
 */

static bool needs_decoding(struct slice text, bool plus_is_space)
{
    return slice_find(text, '%') >= 0 ||
           (plus_is_space && slice_find(text, '+') >= 0);
}

static enum err decode(struct arena *arena, struct slice text,
                       bool plus_is_space, struct slice *out)
{
    *out = text;
    if (!needs_decoding(text, plus_is_space))
        return ERR_OK;
    char *decoded = arena_alloc(arena, text.size);
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.at[i];
        if (c == '%') {
            int high = i + 2 < text.size ? hex_value(text.at[i + 1]) : -1;
            int low = i + 2 < text.size ? hex_value(text.at[i + 2]) : -1;
            if (high < 0 || low < 0)
                return bad_escape(slice_of(text.at + i, text.size - i));
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        decoded[size++] = c;
    }
    *out = slice_of(decoded, size);
    return ERR_OK;
}

enum err path_decode(struct arena *arena, struct slice text, struct slice *out)
{
    return decode(arena, text, false, out);
}

/* ---- forms ----------------------------------------------------------------
 */

/* Cuts *rest at the first `c`: returns what is before it, *rest is then what
 * is behind it, or empty. */
static struct slice cut(struct slice *rest, char c)
{
    struct slice before = *rest;
    ptrdiff_t at = slice_find(*rest, c);
    if (at < 0) {
        *rest = slice_of(rest->at + rest->size, 0);
        return before;
    }
    size_t behind = (size_t)at + 1;
    *rest = slice_of(before.at + behind, before.size - behind);
    before.size = (size_t)at;
    return before;
}

static enum err parse_field(struct arena *arena, struct slice text,
                            struct form_field *field)
{
    struct slice name = cut(&text, '=');
    enum err err = decode(arena, name, true, &field->name);
    return err ? err : decode(arena, text, true, &field->value);
}

static size_t fields_at_most(struct slice text)
{
    size_t count = 0;
    while (text.size && count < FORM_FIELDS_MAX) {
        cut(&text, '&');
        count++;
    }
    return count;
}

/* Room for what `text` may add. */
static void make_room(struct arena *arena, struct slice text, struct form *form)
{
    CHECK_LE(form->count, FORM_FIELDS_MAX);
    size_t count = form->count + fields_at_most(text);
    if (count > FORM_FIELDS_MAX)
        count = FORM_FIELDS_MAX;
    struct form_field *fields = arena_alloc(arena, count * sizeof *fields);
    if (form->count)
        memcpy(fields, form->fields, form->count * sizeof *fields);
    form->fields = fields;
}

/* As Go's parseQuery: a bad field is skipped, the ones behind it are read; of
 * several errors the first is told, save that a semicolon's always wins. */
enum err form_parse(struct arena *arena, struct slice text, struct form *form)
{
    enum err result = ERR_OK;
    if (text.size == 0)
        return ERR_OK;
    make_room(arena, text, form);
    struct slice bad = {0};
    bool has_semicolon = false;
    while (text.size) {
        struct slice part = cut(&text, '&');
        if (slice_find(part, ';') >= 0) {
            has_semicolon = true;
            continue;
        }
        if (part.size == 0)
            continue;
        if (form->count == FORM_FIELDS_MAX)
            return err_set(ERR_TOO_LARGE, "more than %d form fields",
                           FORM_FIELDS_MAX);
        struct form_field field;
        enum err err = parse_field(arena, part, &field);
        if (err == ERR_OK) {
            form->fields[form->count++] = field;
        } else if (result == ERR_OK) {
            result = err;
            bad = part;
        }
    }
    if (has_semicolon)
        return err_set(ERR_INVALID, "invalid semicolon separator in query");
    /* Once more, for its note: a later one has taken its place. */
    return result ? parse_field(arena, bad, &(struct form_field){0}) : ERR_OK;
}

const struct form_field *form_get(const struct form *form, const char *name)
{
    struct slice wanted = slice_str(name);
    for (size_t i = 0; i < form->count; i++) {
        if (slice_eq(form->fields[i].name, wanted))
            return &form->fields[i];
    }
    return NULL;
}

/* ---- paths ----------------------------------------------------------------
 */

/* True for "/a/b": nothing to clean, which is nearly always so. */
static bool is_clean(struct slice path)
{
    if (path.size == 0 || path.at[0] != '/')
        return false;
    if (path.size == 1)
        return true;
    if (path.at[path.size - 1] == '/')
        return false;
    for (size_t i = 0; i + 1 < path.size; i++) {
        if (path.at[i] == '/' &&
            (path.at[i + 1] == '/' || path.at[i + 1] == '.'))
            return false;
    }
    return true;
}

static size_t without_last(const char *clean, size_t size)
{
    while (size > 0 && clean[size - 1] != '/')
        size--;
    return size > 0 ? size - 1 : 0;
}

/* `clean` is "" or "/a/b" all the way; one that isn't rooted becomes so. */
struct slice path_clean(struct arena *arena, struct slice path)
{
    if (is_clean(path))
        return path;
    char *clean = arena_alloc(arena, path.size + 1);
    size_t size = 0;
    struct slice rest = path;
    while (rest.size) {
        struct slice name = cut(&rest, '/');
        if (name.size == 0 || slice_eq(name, SLICE(".")))
            continue;
        if (slice_eq(name, SLICE(".."))) {
            size = without_last(clean, size);
            continue;
        }
        clean[size++] = '/';
        memcpy(clean + size, name.at, name.size);
        size += name.size;
    }
    return size ? slice_of(clean, size) : SLICE("/");
}

static bool is_unreserved(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

void percent_encode(struct buf *out, struct slice text, bool keep_slash)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.at[i];
        if (is_unreserved(c) || (c == '/' && keep_slash)) {
            buf_append_char(out, c);
            continue;
        }
        char *to = buf_extend(out, 3);
        to[0] = '%';
        to[1] = "0123456789ABCDEF"[(unsigned char)c >> 4];
        to[2] = "0123456789ABCDEF"[(unsigned char)c & 15];
    }
}
