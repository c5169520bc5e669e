/* Patterns of keys: read, matched one by one (trie.c matches many). */
#include "recipe/pattern.h"

#include "base/check.h"
#include "recipe/pattern_int.h"

static const struct slice hidden_root = {"_recipes", 8};

/* ---- reading ------------------------------------------------------------ */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_name(struct slice name)
{
    if (name.size == 0 || name.size > 64 || !is_letter(name.at[0]))
        return false;
    for (size_t i = 1; i < name.size; i++) {
        if (!is_letter(name.at[i]) && !(name.at[i] >= '0' && name.at[i] <= '9'))
            return false;
    }
    return true;
}

struct pattern_reader {
    struct pattern *pattern;
    size_t *at; /* where the fault is, for the caller */
};

/* `part` is where in the pattern's text it is wrong. */
#define REFUSE(reader, part, ...)                                   \
    (*(reader)->at = (size_t)((part) - (reader)->pattern->text.at), \
     err_set(ERR_INVALID, __VA_ARGS__))

static enum err read_name(struct pattern_reader *reader,
                          struct segment *segment)
{
    struct slice name = segment->text;
    struct pattern *pattern = reader->pattern;
    if (!is_name(name))
        return REFUSE(reader, name.at,
                      "\"%.*s\" can't be a capture's name: write letters, "
                      "digits and '_', a letter first, at most 64, as {host}",
                      (int)(name.size < 64 ? name.size : 64), name.at);
    for (size_t i = 0; i < pattern->count; i++) {
        if (pattern->segments[i].kind != SEGMENT_LITERAL &&
            slice_eq(pattern->segments[i].text, name))
            return REFUSE(reader, name.at,
                          "the capture {%.*s} is there twice: give the second "
                          "another name",
                          (int)name.size, name.at);
    }
    CHECK_LE(pattern->captures, PATTERN_CAPTURES_MAX);
    if (pattern->captures == PATTERN_CAPTURES_MAX)
        return REFUSE(reader, name.at, "more than %d captures",
                      PATTERN_CAPTURES_MAX);
    pattern->captures++;
    return ERR_OK;
}

static enum err read_segment(struct pattern_reader *reader, struct slice text,
                             bool is_last, struct segment *out)
{
    *out = (struct segment){.kind = SEGMENT_LITERAL, .text = text};
    if (slice_eq(text, SLICE("*")) || slice_eq(text, SLICE("**")))
        return REFUSE(reader, text.at,
                      "\"%.*s\" is no wildcard here: write {name} for one "
                      "segment, {name...} for the rest",
                      (int)text.size, text.at);
    if (slice_find(text, '{') < 0 && slice_find(text, '}') < 0)
        return ERR_OK;
    bool is_whole = text.size >= 2 && text.at[0] == '{' &&
                    slice_find(text, '}') == (ptrdiff_t)text.size - 1 &&
                    slice_find(slice_of(text.at + 1, text.size - 1), '{') < 0;
    if (!is_whole)
        return REFUSE(reader, text.at,
                      "a capture stands alone between slashes: write "
                      "\"/a/{name}/b\"%s",
                      slice_has_prefix(text, SLICE("{{"))
                          ? ", with one brace on each side"
                          : "");
    out->kind = SEGMENT_ONE;
    out->text = slice_of(text.at + 1, text.size - 2);
    if (out->text.size >= 3 &&
        memcmp(out->text.at + out->text.size - 3, "...", 3) == 0) {
        out->kind = SEGMENT_REST;
        out->text.size -= 3;
        if (!is_last)
            return REFUSE(reader, text.at,
                          "{%.*s...} takes all the rest: nothing can stand "
                          "behind it; write {%.*s} for one segment",
                          (int)out->text.size, out->text.at,
                          (int)out->text.size, out->text.at);
    }
    return read_name(reader, out);
}

static size_t count_segments(struct slice text)
{
    size_t count = 1;
    for (size_t i = 0; i < text.size; i++)
        count += text.at[i] == '/';
    return count;
}

static enum err read_segments(struct pattern_reader *reader, size_t count)
{
    struct pattern *pattern = reader->pattern;
    struct segments segments = segments_of(pattern->text);
    for (size_t i = 0; i < count; i++) {
        struct slice text = segments_take(&segments);
        bool is_last = i + 1 == count;
        if (is_last && text.size == 0) {
            pattern->is_prefix = true;
            break;
        }
        enum err err =
            read_segment(reader, text, is_last, &pattern->segments[i]);
        if (err)
            return err;
        pattern->count++;
    }
    return ERR_OK;
}

enum err pattern_parse(struct arena *arena, struct slice text,
                       struct pattern *out, size_t *at)
{
    size_t ignored;
    struct pattern_reader reader = {out, at ? at : &ignored};
    size_t count = count_segments(text);
    *out = (struct pattern){.text = text};
    *reader.at = 0;
    if (text.size == 0)
        return err_set(ERR_INVALID, "an empty pattern matches nothing: write "
                                    "\"/\" for all keys that begin so");
    if (text.size > PATTERN_BYTES_MAX || count > PATTERN_SEGMENTS_MAX)
        return err_set(ERR_INVALID,
                       "a pattern has at most %d bytes and %d segments; end it "
                       "earlier with {rest...}",
                       PATTERN_BYTES_MAX, PATTERN_SEGMENTS_MAX);
    out->text = slice_of(arena_dup(arena, text.at, text.size), text.size);
    out->segments = arena_alloc(arena, count * sizeof *out->segments);
    return read_segments(&reader, count);
}

/* ---- matching ----------------------------------------------------------- */

bool pattern__is_hidden(struct slice key)
{
    struct segments segments = segments_of(key);
    return segments_take(&segments).size == 0 && !segments.is_over &&
           slice_eq(segments_take(&segments), hidden_root);
}

bool pattern__names_hidden(const struct pattern *pattern)
{
    const struct segment *segments = pattern->segments;
    return pattern->count >= 2 && segments[0].kind == SEGMENT_LITERAL &&
           segments[0].text.size == 0 && segments[1].kind == SEGMENT_LITERAL &&
           slice_eq(segments[1].text, hidden_root);
}

bool pattern_matches(const struct pattern *pattern, struct slice key,
                     struct slice *captures)
{
    struct segments left = segments_of(key);
    size_t captured = 0;
    if (pattern__is_hidden(key) && !pattern__names_hidden(pattern))
        return false;
    for (size_t i = 0; i < pattern->count; i++) {
        const struct segment *segment = &pattern->segments[i];
        if (left.is_over)
            return false;
        if (segment->kind == SEGMENT_REST) {
            captures[captured] = left.rest;
            return left.rest.size > 0;
        }
        struct slice text = segments_take(&left);
        if (segment->kind == SEGMENT_LITERAL) {
            if (!slice_eq(text, segment->text))
                return false;
        } else if (text.size == 0) {
            return false;
        } else {
            captures[captured++] = text;
        }
    }
    CHECK_EQ(captured, pattern->captures);
    return left.is_over != pattern->is_prefix;
}

struct slice pattern_literal(const struct pattern *pattern, bool *exact)
{
    size_t size = 0;
    *exact = false;
    for (size_t i = 0; i < pattern->count; i++) {
        if (pattern->segments[i].kind != SEGMENT_LITERAL)
            return slice_of(pattern->text.at, size);
        size += pattern->segments[i].text.size + 1;
    }
    CHECK_EQ(size, pattern->text.size + !pattern->is_prefix);
    *exact = !pattern->is_prefix;
    return pattern->text;
}
