/* Keys of the service, and the names of runs (see keys.h).
 *
 * A run in a key is "<revision>.<place>.<tag>" of 19, 5 and 4 digits. A place
 * or tag that has more is written as ':' and 10 digits: ':' follows '9', so
 * the keys stay in the runs' order.
 */
#include "recipe/keys.h"

#include "base/check.h"

enum {
    REVISION_DIGITS = 19,
    PLACE_DIGITS = 5,
    TAG_DIGITS = 4,
    MORE_DIGITS = 10
};

static const char *const kinds[RECIPE_KEY_COUNT] = {
    [RECIPE_KEY_DEF] = "def",       [RECIPE_KEY_STATUS] = "status",
    [RECIPE_KEY_WORKER] = "worker", [RECIPE_KEY_OWNER] = "owner",
    [RECIPE_KEY_CURSOR] = "cursor", [RECIPE_KEY_STATE] = "state",
    [RECIPE_KEY_ACTIVE] = "active", [RECIPE_KEY_RUN] = "run",
    [RECIPE_KEY_DEAD] = "dead",     [RECIPE_KEY_IN] = "in",
    [RECIPE_KEY_SEEN] = "seen",     [RECIPE_KEY_SECRET] = "secret",
};

/* ---- keys --------------------------------------------------------------- */

void recipe_key_write(struct buf *out, enum recipe_key kind, struct slice name,
                      const struct slice *rest)
{
    CHECK(kind < RECIPE_KEY_COUNT);
    buf_append_str(out, RECIPES_PREFIX);
    buf_append_str(out, kinds[kind]);
    buf_append_char(out, '/');
    buf_append_slice(out, name);
    if (rest) {
        buf_append_char(out, '/');
        buf_append_slice(out, *rest);
    }
}

/* The part of *text before the first '/'; *text becomes what is behind it. */
static struct slice take_segment(struct slice *text)
{
    ptrdiff_t slash = slice_find(*text, '/');
    size_t size = slash < 0 ? text->size : (size_t)slash;
    size_t taken = slash < 0 ? size : size + 1;
    struct slice segment = slice_of(text->at, size);
    *text = slice_of(text->at + taken, text->size - taken);
    return segment;
}

bool recipe_key_read(struct slice key, enum recipe_key *kind,
                     struct slice *name, struct slice *rest)
{
    if (!slice_has_prefix(key, SLICE(RECIPES_PREFIX)))
        return false;
    size_t skip = sizeof RECIPES_PREFIX - 1;
    struct slice left = slice_of(key.at + skip, key.size - skip);
    struct slice word = take_segment(&left);
    for (unsigned i = 0; i < RECIPE_KEY_COUNT; i++) {
        if (!slice_eq(word, slice_str(kinds[i])))
            continue;
        *kind = (enum recipe_key)i;
        *name = take_segment(&left);
        *rest = left;
        return name->size > 0;
    }
    return false;
}

static bool is_name_char(char c, bool has_capitals)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           (has_capitals && c >= 'A' && c <= 'Z');
}

static bool is_name(struct slice name, bool has_capitals)
{
    if (name.size == 0 || name.size > RECIPE_NAME_BYTES_MAX ||
        !is_name_char(name.at[0], has_capitals))
        return false;
    for (size_t i = 1; i < name.size; i++) {
        char c = name.at[i];
        if (!is_name_char(c, has_capitals) && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}

bool recipe_name_is_valid(struct slice name)
{
    return is_name(name, false);
}

bool secret_name_is_valid(struct slice name)
{
    return is_name(name, true);
}

/* ---- runs --------------------------------------------------------------- */

static size_t put_digits(char *out, uint64_t number, size_t digits)
{
    for (size_t i = digits; i > 0; i--, number /= 10)
        out[i - 1] = (char)('0' + number % 10);
    CHECK_EQ(number, 0);
    return digits;
}

static size_t put_part(char *out, uint32_t number, size_t digits, uint32_t end)
{
    if (number < end)
        return put_digits(out, number, digits);
    *out = ':';
    return 1 + put_digits(out + 1, number, MORE_DIGITS);
}

size_t run_id_to_key(const struct run_id *id, char out[RUN_ID_BYTES_MAX])
{
    CHECK_LE(0, id->revision);
    size_t size = put_digits(out, (uint64_t)id->revision, REVISION_DIGITS);
    out[size++] = '.';
    size += put_part(out + size, id->place, PLACE_DIGITS, 100000);
    out[size++] = '.';
    size += put_part(out + size, id->tag, TAG_DIGITS, 10000);
    CHECK_LE(size, RUN_ID_BYTES_MAX);
    return size;
}

size_t run_id_to_text(const struct run_id *id, char out[RUN_ID_BYTES_MAX])
{
    CHECK_LE(0, id->revision);
    size_t size = u64_to_text((uint64_t)id->revision, out);
    if (id->place || id->tag) {
        out[size++] = '.';
        size += u64_to_text(id->place, out + size);
    }
    if (id->tag) {
        out[size++] = '.';
        size += u64_to_text(id->tag, out + size);
    }
    return size;
}

/* Digits up to a '.' or the end, at least one; *text is what is behind. */
static bool take_number(struct slice *text, uint64_t max, uint64_t *out)
{
    ptrdiff_t dot = slice_find(*text, '.');
    size_t size = dot < 0 ? text->size : (size_t)dot;
    size_t taken = dot < 0 ? size : size + 1;
    bool ends_in_dot = dot >= 0 && taken == text->size;
    if (!slice_to_u64(slice_of(text->at, size), out) || *out > max ||
        ends_in_dot)
        return false;
    *text = slice_of(text->at + taken, text->size - taken);
    return true;
}

static bool take_part(struct slice *text, uint32_t *out)
{
    uint64_t number = 0;
    if (text->size > 0 && text->at[0] == ':')
        *text = slice_of(text->at + 1, text->size - 1);
    else if (text->size == 0)
        return true; /* left out: 0 */
    if (!take_number(text, UINT32_MAX, &number))
        return false;
    *out = (uint32_t)number;
    return true;
}

bool run_id_parse(struct slice text, struct run_id *out)
{
    uint64_t revision;
    struct run_id id = {0};
    if (!take_number(&text, INT64_MAX, &revision) ||
        !take_part(&text, &id.place) || !take_part(&text, &id.tag) ||
        text.size > 0)
        return false;
    id.revision = (int64_t)revision;
    *out = id;
    return true;
}

int run_id_compare(const struct run_id *a, const struct run_id *b)
{
    if (a->revision != b->revision)
        return a->revision < b->revision ? -1 : 1;
    if (a->place != b->place)
        return a->place < b->place ? -1 : 1;
    return (a->tag > b->tag) - (a->tag < b->tag);
}
