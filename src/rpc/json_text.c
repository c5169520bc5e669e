#include "rpc/json_text.h"

#include "base/check.h"

void json_text__init(struct json_text *text, struct slice bytes,
                     struct arena *arena)
{
    const char *at = bytes.size > 0 ? bytes.at : "";
    *text = (struct json_text){
        .at = at, .end = at + bytes.size, .start = at, .arena = arena};
}

enum err json_text__error(const struct json_text *text, const char *what)
{
    return err_set(ERR_INVALID, "byte %zu: %s",
                   (size_t)(text->at - text->start) + 1, what);
}

/* ---- marks and words ------------------------------------------------- */

char json_text__peek(struct json_text *text)
{
    while (text->at < text->end && (*text->at == ' ' || *text->at == '\n' ||
                                    *text->at == '\t' || *text->at == '\r')) {
        text->at++;
    }
    return text->at < text->end ? *text->at : '\0';
}

bool json_text__is_over(struct json_text *text)
{
    (void)json_text__peek(text);
    return text->at == text->end;
}

bool json_text__take(struct json_text *text, char c)
{
    CHECK_NE(c, '\0');
    if (json_text__peek(text) != c) {
        return false;
    }
    text->at++;
    return true;
}

bool json_text__take_word(struct json_text *text, const char *word)
{
    struct slice want = slice_str(word);
    (void)json_text__peek(text);
    struct slice rest = slice_of(text->at, (size_t)(text->end - text->at));
    if (!slice_has_prefix(rest, want)) {
        return false;
    }
    text->at += want.size;
    return true;
}

enum err json_text__more(struct json_text *text, char close, bool *first,
                         bool *more)
{
    if (json_text__take(text, close)) {
        *more = false;
        return ERR_OK;
    }
    if (!*first && !json_text__take(text, ',')) {
        return json_text__error(text, close == '}' ? "',' or '}' is missing"
                                                   : "',' or ']' is missing");
    }
    *first = false;
    *more = true;
    return ERR_OK;
}

/* ---- strings --------------------------------------------------------- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The four digits of a \u at `at`; -1: they aren't. */
static int32_t hex_unit(const struct json_text *text, const char *at)
{
    int32_t unit = 0;
    if (text->end - at < 4) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(at[i]);
        if (digit < 0) {
            return -1;
        }
        unit = unit << 4 | digit;
    }
    return unit;
}

static size_t put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 63));
        out[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 63));
    out[2] = (char)(0x80 | (c >> 6 & 63));
    out[3] = (char)(0x80 | (c & 63));
    return 4;
}

static bool is_high(int32_t unit)
{
    return unit >= 0xd800 && unit < 0xdc00;
}

static bool is_low(int32_t unit)
{
    return unit >= 0xdc00 && unit < 0xe000;
}

/* Behind "\u": one character, of one unit or two. */
static enum err take_unicode(struct json_text *text, char *out, size_t *size)
{
    int32_t unit = hex_unit(text, text->at);
    if (unit < 0) {
        return json_text__error(text, "\\u without four hexadecimal digits");
    }
    uint32_t c = (uint32_t)unit;
    text->at += 4;
    if (is_low(unit)) {
        return json_text__error(text, "half a surrogate pair");
    }
    if (is_high(unit)) {
        int32_t low = -1;
        if (text->end - text->at >= 2 && text->at[0] == '\\' &&
            text->at[1] == 'u') {
            low = hex_unit(text, text->at + 2);
        }
        if (!is_low(low)) {
            return json_text__error(text, "half a surrogate pair");
        }
        c = 0x10000 + ((c - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
        text->at += 6;
    }
    *size = put_utf8(out, c);
    return ERR_OK;
}

/* Behind a backslash. */
static enum err take_escape(struct json_text *text, char *out, size_t *size)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char means[] = "\"\\/\b\f\n\r\t";
    if (text->at == text->end) {
        return json_text__error(text, "a string without an end");
    }
    char letter = *text->at++;
    if (letter == 'u') {
        return take_unicode(text, out, size);
    }
    const char *found = letter != '\0' ? strchr(letters, letter) : NULL;
    if (found == NULL) {
        return json_text__error(text, "no such escape");
    }
    *out = means[found - letters];
    *size = 1;
    return ERR_OK;
}

/* The text stands behind the opening quote; `length` bytes are before the
 * closing one. What an escape means is never longer than the escape. */
static enum err unescape(struct json_text *text, size_t length,
                         struct slice *out)
{
    const char *close = text->at + length;
    char *to = arena_try_alloc(text->arena, length);
    if (to == NULL) {
        return err_set(ERR_NO_MEMORY, "no memory for a string");
    }
    out->at = to;
    while (text->at < close) {
        size_t size = 1;
        char c = *text->at++;
        if (c != '\\') {
            *to = c;
        } else {
            enum err err = take_escape(text, to, &size);
            if (err != ERR_OK) {
                return err;
            }
        }
        to += size;
    }
    out->size = (size_t)(to - out->at);
    CHECK(text->at == close && out->size <= length);
    return ERR_OK;
}

/* How long the string at hand is, to its closing quote. */
static enum err measure(struct json_text *text, size_t *length, bool *escaped)
{
    const char *at = text->at;
    *escaped = false;
    while (at < text->end && *at != '"') {
        if ((unsigned char)*at < ' ') {
            text->at = at;
            return json_text__error(text, "a control character in a string");
        }
        if (*at == '\\') {
            *escaped = true;
            at++;
        }
        at++;
    }
    if (at >= text->end) {
        text->at = text->end;
        return json_text__error(text, "a string without an end");
    }
    *length = (size_t)(at - text->at);
    return ERR_OK;
}

enum err json_text__string(struct json_text *text, struct slice *out)
{
    size_t length;
    bool escaped;
    if (!json_text__take(text, '"')) {
        return json_text__error(text, "a string is wanted here");
    }
    enum err err = measure(text, &length, &escaped);
    if (err != ERR_OK) {
        return err;
    }
    *out = slice_of(text->at, length);
    if (!slice_is_utf8(*out)) {
        return json_text__error(text, "a string that isn't UTF-8");
    }
    if (escaped) {
        err = unescape(text, length, out);
    } else {
        text->at += length;
    }
    if (err == ERR_OK) {
        CHECK_EQ(*text->at, '"');
        text->at++;
    }
    return err;
}

/* ---- numbers --------------------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t take_digits(struct json_text *text)
{
    const char *start = text->at;
    while (text->at < text->end && is_digit(*text->at)) {
        text->at++;
    }
    return (size_t)(text->at - start);
}

static bool take_at(struct json_text *text, const char *any)
{
    bool found = text->at < text->end && *text->at != '\0' &&
                 strchr(any, *text->at) != NULL;
    text->at += found;
    return found;
}

static bool take_number(struct json_text *text)
{
    (void)take_at(text, "-");
    const char *whole = text->at;
    size_t digits = take_digits(text);
    if (digits == 0 || (digits > 1 && *whole == '0')) {
        return false;
    }
    if (take_at(text, ".") && take_digits(text) == 0) {
        return false;
    }
    if (take_at(text, "eE")) {
        (void)take_at(text, "+-");
        return take_digits(text) > 0;
    }
    return true;
}

enum err json_text__number(struct json_text *text, struct slice *out)
{
    (void)json_text__peek(text);
    const char *start = text->at;
    if (!take_number(text)) {
        return json_text__error(text, "a value is wanted here");
    }
    *out = slice_of(start, (size_t)(text->at - start));
    return ERR_OK;
}

/* value = value * 10^power + digit, if it fits. */
static bool shift(uint64_t *value, size_t power, unsigned digit)
{
    for (; power > 0 && *value > 0; power--) {
        if (__builtin_mul_overflow(*value, 10, value)) {
            return false;
        }
    }
    return !__builtin_add_overflow(*value, digit, value);
}

/* What stands behind the 'e', cut where it makes no difference any more. */
static int64_t exponent_of(struct slice text)
{
    enum { FAR = 1000000000 };
    bool negative = text.size > 0 && text.at[0] == '-';
    int64_t exponent = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (is_digit(text.at[i]) && exponent < FAR) {
            exponent = exponent * 10 + (text.at[i] - '0');
        }
    }
    return negative ? -exponent : exponent;
}

bool json_text__integer(struct slice number, bool *negative,
                        uint64_t *magnitude)
{
    struct json_text text;
    bool in_fraction = false;
    int64_t scale = 0; /* the number is `value` and so many zeros */
    size_t zeros = 0;  /* that may turn out to be the last digits */
    uint64_t value = 0;
    json_text__init(&text, number, NULL);
    if (!take_number(&text) || text.at != text.end) {
        return false;
    }
    *negative = number.at[0] == '-';
    for (size_t i = *negative; i < number.size; i++) {
        char c = number.at[i];
        if (c == '.') {
            in_fraction = true;
            continue;
        }
        if (!is_digit(c)) {
            scale +=
                exponent_of(slice_of(number.at + i + 1, number.size - i - 1));
            break;
        }
        scale -= in_fraction;
        zeros++;
        if (c != '0') {
            if (!shift(&value, zeros, (unsigned)(c - '0'))) {
                return false;
            }
            zeros = 0;
        }
    }
    scale += (int64_t)zeros;
    *magnitude = value;
    return value == 0 || (scale >= 0 && shift(magnitude, (size_t)scale, 0));
}

/* ---- any value ------------------------------------------------------- */

static enum err skip_string(struct json_text *text)
{
    size_t length;
    bool escaped;
    text->at++;
    enum err err = measure(text, &length, &escaped);
    if (err == ERR_OK) {
        text->at += length + 1;
    }
    return err;
}

static enum err skip_scalar(struct json_text *text)
{
    struct slice number;
    if (json_text__peek(text) == '"') {
        return skip_string(text);
    }
    if (json_text__take_word(text, "true") ||
        json_text__take_word(text, "false") ||
        json_text__take_word(text, "null")) {
        return ERR_OK;
    }
    return json_text__number(text, &number);
}

static enum err skip_name(struct json_text *text)
{
    if (json_text__peek(text) != '"') {
        return json_text__error(text, "a name is wanted here");
    }
    enum err err = skip_string(text);
    if (err == ERR_OK && !json_text__take(text, ':')) {
        return json_text__error(text, "':' is missing");
    }
    return err;
}

/* Lists and objects are kept in mind by their closing brackets. */
enum err json_text__skip(struct json_text *text)
{
    char closes[JSON_SKIPPED_DEPTH_MAX];
    size_t depth = 0;
    bool first = true;
    do {
        bool more = true;
        enum err err = ERR_OK;
        if (depth > 0) {
            err = json_text__more(text, closes[depth - 1], &first, &more);
            if (err == ERR_OK && more && closes[depth - 1] == '}') {
                err = skip_name(text);
            }
        }
        if (err != ERR_OK) {
            return err;
        }
        if (!more) {
            depth--;
            first = false;
            continue;
        }
        char next = json_text__peek(text);
        if (next == '{' || next == '[') {
            if (depth == JSON_SKIPPED_DEPTH_MAX) {
                return json_text__error(text, "nested too deep");
            }
            closes[depth++] = next == '{' ? '}' : ']';
            text->at++;
            first = true;
        } else {
            err = skip_scalar(text);
            if (err != ERR_OK) {
                return err;
            }
        }
    } while (depth > 0);
    return ERR_OK;
}
