#include "cmd/etchctl/go_text.h"

#include <string.h>

/* ---- %q ----------------------------------------------------------------- */

/* One character of UTF-8; 0 bytes: it isn't one. */
static size_t decode(struct slice text, uint32_t *out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = (uint8_t)text.at[0];
    size_t size = first < 0x80   ? 1
                  : first < 0xc0 ? 0
                  : first < 0xe0 ? 2
                  : first < 0xf0 ? 3
                  : first < 0xf8 ? 4
                                 : 0;
    uint32_t rune = size < 2 ? first : first & (0xffU >> (size + 1));

    if (size == 0 || size > text.size)
        return 0;
    for (size_t i = 1; i < size; i++) {
        uint8_t more = (uint8_t)text.at[i];
        if ((more & 0xc0) != 0x80)
            return 0;
        rune = rune << 6 | (more & 0x3f);
    }
    if (rune < least[size] || rune > 0x10ffff ||
        (rune >= 0xd800 && rune < 0xe000))
        return 0;
    *out = rune;
    return size;
}

/* Of what is no letter, mark, number, punctuation or symbol, what there is in
 * texts: controls, spaces other than ' ', formats, private use. */
static bool is_print(uint32_t rune)
{
    static const struct {
        uint32_t first, last;
    } not [] = {
        {0x00, 0x1f},       {0x7f, 0xa0},        {0xad, 0xad},
        {0x0600, 0x0605},   {0x061c, 0x061c},    {0x06dd, 0x06dd},
        {0x070f, 0x070f},   {0x08e2, 0x08e2},    {0x1680, 0x1680},
        {0x180e, 0x180e},   {0x2000, 0x200f},    {0x2028, 0x202f},
        {0x205f, 0x206f},   {0x3000, 0x3000},    {0xd800, 0xf8ff},
        {0xfeff, 0xfeff},   {0xfff0, 0xfffb},    {0xfffe, 0xffff},
        {0x110bd, 0x110bd}, {0x1bca0, 0x1bca3},  {0x1d173, 0x1d17a},
        {0xe0000, 0xe00ff}, {0xe01f0, 0x10ffff},
    };

    for (size_t i = 0; i < sizeof(not ) / sizeof(not [0]); i++)
        if (rune >= not [i].first && rune <= not [i].last)
            return false;
    return true;
}

static const char plain[] = "abfnrtv\\\"";
static const char meant[] = "\a\b\f\n\r\t\v\\\"";

static void quote_rune(struct buf *out, struct slice bytes, uint32_t rune)
{
    const char *named =
        rune < 0x80 && rune > 0 ? strchr(meant, (int)rune) : NULL;

    if (named) {
        buf_append_char(out, '\\');
        buf_append_char(out, plain[named - meant]);
    } else if (is_print(rune)) {
        buf_append_slice(out, bytes);
    } else if (rune < 0x80) {
        buf_printf(out, "\\x%02x", rune);
    } else if (rune < 0x10000) {
        buf_printf(out, "\\u%04x", rune);
    } else {
        buf_printf(out, "\\U%08x", rune);
    }
}

void go_quote(struct buf *out, struct slice text)
{
    buf_append_char(out, '"');
    while (text.size > 0) {
        uint32_t rune = 0;
        size_t size = decode(text, &rune);
        if (size == 0)
            buf_printf(out, "\\x%02x", (uint8_t)text.at[0]);
        else
            quote_rune(out, slice_of(text.at, size), rune);
        size = size ? size : 1;
        text = slice_of(text.at + size, text.size - size);
    }
    buf_append_char(out, '"');
}

static void encode(struct buf *out, uint32_t rune)
{
    if (rune < 0x80) {
        buf_append_char(out, (char)rune);
    } else if (rune < 0x800) {
        buf_append_char(out, (char)(0xc0 | rune >> 6));
        buf_append_char(out, (char)(0x80 | (rune & 0x3f)));
    } else if (rune < 0x10000) {
        buf_append_char(out, (char)(0xe0 | rune >> 12));
        buf_append_char(out, (char)(0x80 | (rune >> 6 & 0x3f)));
        buf_append_char(out, (char)(0x80 | (rune & 0x3f)));
    } else {
        buf_append_char(out, (char)(0xf0 | rune >> 18));
        buf_append_char(out, (char)(0x80 | (rune >> 12 & 0x3f)));
        buf_append_char(out, (char)(0x80 | (rune >> 6 & 0x3f)));
        buf_append_char(out, (char)(0x80 | (rune & 0x3f)));
    }
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'Z')
        return c - 'A' + 10;
    return 99;
}

/* Digits of a fixed number; moves *at behind them. */
static bool take_digits(struct slice text, size_t *at, size_t count, int base,
                        uint32_t *out)
{
    *out = 0;
    for (; count > 0; count--, ++*at) {
        int digit = *at < text.size ? digit_of(text.at[*at]) : 99;
        if (digit >= base)
            return false;
        *out = *out * (uint32_t)base + (uint32_t)digit;
    }
    return true;
}

/* What stands behind a backslash, from *at on. */
static bool unescape(struct slice text, size_t *at, struct buf *out)
{
    char c = *at < text.size ? text.at[*at] : '\0';
    const char *named = c ? strchr(plain, c) : NULL;
    uint32_t number;

    if (named) {
        buf_append_char(out, meant[named - plain]);
        ++*at;
        return true;
    }
    if (c >= '0' && c <= '7') {
        if (!take_digits(text, at, 3, 8, &number) || number > 255)
            return false;
        buf_append_char(out, (char)number);
        return true;
    }
    ++*at;
    if (c == 'x') {
        if (!take_digits(text, at, 2, 16, &number))
            return false;
        buf_append_char(out, (char)number);
        return true;
    }
    if (c != 'u' && c != 'U')
        return false;
    if (!take_digits(text, at, c == 'u' ? 4 : 8, 16, &number) ||
        number > 0x10ffff || (number >= 0xd800 && number < 0xe000))
        return false;
    encode(out, number);
    return true;
}

bool go_unquote(struct slice text, size_t *used, struct buf *out)
{
    size_t at = 1;
    char quote = text.size > 0 ? text.at[0] : '\0';

    if (quote != '"' && quote != '`')
        return false;
    while (at < text.size && text.at[at] != quote) {
        if (quote == '"' && text.at[at] == '\n')
            return false;
        if (quote == '"' && text.at[at] == '\\') {
            at++;
            if (!unescape(text, &at, out))
                return false;
            continue;
        }
        buf_append_char(out, text.at[at++]);
    }
    *used = at + 1;
    return at < text.size;
}

/* ---- numbers ------------------------------------------------------------ */

static const char *skip_base(const char *text, int *base)
{
    if (*base != 0)
        return text;
    *base = 10;
    if (text[0] != '0' || text[1] == '\0')
        return text;
    switch (text[1] | 0x20) {
    case 'x':
        *base = 16;
        return text + 2;
    case 'o':
        *base = 8;
        return text + 2;
    case 'b':
        *base = 2;
        return text + 2;
    default:
        *base = 8;
        return text + 1;
    }
}

static enum err fail_number(enum err err, const char *function,
                            const char *text)
{
    struct buf quoted = {0};

    go_quote(&quoted, slice_str(text));
    err_set(err, "strconv.%s: parsing %.*s: %s", function, (int)quoted.size,
            quoted.at,
            err == ERR_TOO_LARGE ? "value out of range" : "invalid syntax");
    buf_deinit(&quoted);
    return err;
}

/* Digits up to the end. */
static enum err parse_digits(const char *text, int base, uint64_t *out)
{
    enum err err = ERR_OK;

    *out = 0;
    text = skip_base(text, &base);
    if (*text == '\0')
        return ERR_INVALID;
    for (; *text; text++) {
        int digit = digit_of(*text);
        if (digit >= base)
            return ERR_INVALID;
        if (__builtin_mul_overflow(*out, (uint64_t)base, out) ||
            __builtin_add_overflow(*out, (uint64_t)digit, out))
            err = ERR_TOO_LARGE;
    }
    return err;
}

enum err go_parse_uint(const char *text, int base, uint64_t *out)
{
    enum err err = parse_digits(text, base, out);

    return err == ERR_OK ? err : fail_number(err, "ParseUint", text);
}

enum err go_parse_int(const char *text, int base, int64_t *out)
{
    bool negative = text[0] == '-';
    uint64_t most = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    uint64_t number;
    enum err err = parse_digits(
        text[0] == '-' || text[0] == '+' ? text + 1 : text, base, &number);

    if (err == ERR_OK && number > most)
        err = ERR_TOO_LARGE;
    if (err != ERR_OK)
        return fail_number(err, "ParseInt", text);
    *out = negative ? (int64_t)(0 - number) : (int64_t)number;
    return ERR_OK;
}

const char *go_error(struct arena *arena, int number)
{
    char *text = arena_printf(arena, "%s", strerror(number));

    if (text[0] >= 'A' && text[0] <= 'Z')
        text[0] = (char)(text[0] - 'A' + 'a');
    return text;
}

/* ---- lines -------------------------------------------------------------- */

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* How much a word that begins here takes; 0: none does. */
static size_t word_size(struct slice text)
{
    size_t size = 1;
    char first = text.at[0];

    if (is_space(first))
        return 0;
    if (first != '"' && first != '\'') {
        while (size < text.size && !is_space(text.at[size]))
            size++;
        return size;
    }
    while (size < text.size && text.at[size] != first)
        size += first == '"' && text.at[size] == '\\' ? 2 : 1;
    return size < text.size ? size + 1 : 0;
}

static enum err resolve(struct arena *arena, struct slice word,
                        const char **out)
{
    struct buf text = {0};
    size_t used;
    enum err err = ERR_OK;

    if (word.at[0] == '\'')
        buf_append(&text, word.at + 1, word.size - 2);
    else if (word.at[0] != '"')
        buf_append_slice(&text, word);
    else if (!go_unquote(word, &used, &text))
        err = err_set(ERR_INVALID, "invalid syntax");
    buf_append_char(&text, '\0');
    *out = arena_dup(arena, text.at, text.size);
    buf_deinit(&text);
    return err;
}

enum err go_split(struct arena *arena, struct slice line, struct words *out)
{
    out->at = arena_alloc(arena, (line.size + 1) * sizeof(*out->at));
    out->count = 0;
    while (line.size > 0) {
        size_t size = word_size(line);
        if (size > 0) {
            enum err err =
                resolve(arena, slice_of(line.at, size), &out->at[out->count++]);
            if (err != ERR_OK)
                return err;
        }
        size = size ? size : 1;
        line = slice_of(line.at + size, line.size - size);
    }
    return ERR_OK;
}

/* ---- sizes -------------------------------------------------------------- */

void go_size(struct buf *out, uint64_t bytes)
{
    static const char *const units[] = {"B",  "kB", "MB", "GB",
                                        "TB", "PB", "EB"};
    double value = (double)bytes;
    size_t unit = 0;

    if (bytes < 10) {
        buf_printf(out, "%d B", (int)bytes);
        return;
    }
    while (value >= 1000) {
        value /= 1000;
        unit++;
    }
    value = (double)(uint64_t)(value * 10 + 0.5) / 10;
    buf_printf(out, value < 10 ? "%.1f %s" : "%.0f %s", value, units[unit]);
}
