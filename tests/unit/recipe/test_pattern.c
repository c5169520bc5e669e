/* Patterns of keys: what they match, what they take out of a key, and whether
 * a key that an action may write is one of theirs. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/prng.h"
#include "recipe/pattern.h"

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static struct pattern parse(const char *text)
{
    struct pattern pattern;
    size_t at;
    enum err err = pattern_parse(&arena, slice_str(text), &pattern, &at);
    if (err)
        fail_msg("%s: %s", text, err_note());
    return pattern;
}

/* "host=a rest=b/c", or "no". */
static const char *match(const char *text, const char *key)
{
    static char out[256];
    struct pattern pattern = parse(text);
    struct slice captures[PATTERN_CAPTURES_MAX];
    size_t size = 0, captured = 0;
    if (!pattern_matches(&pattern, slice_str(key), captures))
        return "no";
    out[0] = '\0';
    for (size_t i = 0; i < pattern.count; i++) {
        const struct segment *segment = &pattern.segments[i];
        if (segment->kind == SEGMENT_LITERAL)
            continue;
        struct slice found = captures[captured++];
        size += (size_t)snprintf(out + size, sizeof out - size, "%s%.*s=%.*s",
                                 size ? " " : "", (int)segment->text.size,
                                 segment->text.at, (int)found.size, found.at);
    }
    assert_int_equal(captured, pattern.captures);
    return out;
}

static void a_literal_matches_itself(void **state)
{
    (void)state;
    assert_string_equal(match("/a/b", "/a/b"), "");
    assert_string_equal(match("/a/b", "/a/b/"), "no");
    assert_string_equal(match("/a/b", "/a/bc"), "no");
    assert_string_equal(match("/a/b", "/a"), "no");
    assert_string_equal(match("a", "a"), "");
    assert_string_equal(match("a", "/a"), "no");
    assert_string_equal(match("/a//b", "/a//b"), "");
    assert_string_equal(match("/a//b", "/a/b"), "no");
}

static void a_capture_is_one_segment(void **state)
{
    (void)state;
    assert_string_equal(match("/m/{host}/disk", "/m/a/disk"), "host=a");
    assert_string_equal(match("/m/{host}/disk", "/m/a/b/disk"), "no");
    assert_string_equal(match("/m/{host}/disk", "/m//disk"), "no");
    assert_string_equal(match("/m/{host}/disk", "/m/a/disk/"), "no");
    assert_string_equal(match("/m/{host}", "/m/"), "no");
    assert_string_equal(match("/{a}/{b}", "/x/y"), "a=x b=y");
    assert_string_equal(match("{a}", "x"), "a=x");
    assert_string_equal(match("{a}", "x/y"), "no");
}

static void three_dots_take_the_rest(void **state)
{
    (void)state;
    assert_string_equal(match("/logs/{path...}", "/logs/a"), "path=a");
    assert_string_equal(match("/logs/{path...}", "/logs/a/b/"), "path=a/b/");
    assert_string_equal(match("/logs/{path...}", "/logs//"), "path=/");
    assert_string_equal(match("/logs/{path...}", "/logs/"), "no");
    assert_string_equal(match("/logs/{path...}", "/logs"), "no");
    assert_string_equal(match("{all...}", "a/b"), "all=a/b");
    assert_string_equal(match("{all...}", "/a"), "all=/a");
}

static void a_slash_at_the_end_is_a_prefix(void **state)
{
    (void)state;
    assert_string_equal(match("/config/", "/config/a/b"), "");
    assert_string_equal(match("/config/", "/config/"), "");
    assert_string_equal(match("/config/", "/config"), "no");
    assert_string_equal(match("/config/", "/configs/a"), "no");
    assert_string_equal(match("/{app}/config/", "/x/config/a"), "app=x");
    assert_string_equal(match("/", "/a"), "");
    assert_string_equal(match("/", "a"), "no");
}

/* A recipe that sees everything would see what the service notes of it. */
static void the_services_own_keys_are_seen_by_name_alone(void **state)
{
    (void)state;
    static const char *const wide[] = {
        "/", "/{x}/{y}/{z}", "/{x...}", "{x...}", "/{x}/", "/{x}/run/{y...}"};
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        assert_string_equal(match(wide[i], "/_recipes/run/a"), "no");
    assert_string_equal(match("/{x}", "/_recipes"), "no");
    assert_string_equal(match("/_recipes/run/{x}", "/_recipes/run/a"), "x=a");
    assert_string_equal(match("/_recipes/", "/_recipes/run/a"), "");
    assert_string_equal(match("/{x}", "/_recipes2"), "x=_recipes2");
    assert_string_equal(match("/a/{x}", "/a/_recipes"), "x=_recipes");
}

static void its_literal_is_what_a_watch_begins_with(void **state)
{
    (void)state;
    static const struct {
        const char *text, *literal;
        bool exact;
    } rows[] = {
        {"/a/b", "/a/b", true},          {"/a/b/", "/a/b/", false},
        {"/a/{x}/b", "/a/", false},      {"/{x}", "/", false},
        {"{x...}", "", false},           {"a", "a", true},
        {"/a/b/{x...}", "/a/b/", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pattern pattern = parse(rows[i].text);
        bool exact;
        struct slice literal = pattern_literal(&pattern, &exact);
        assert_true(slice_eq(literal, slice_str(rows[i].literal)));
        assert_int_equal(exact, rows[i].exact);
    }
}

static void what_is_wrong_is_found_at_its_byte(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t at;
    } rows[] = {
        {"", 0},          {"/a/{", 3},     {"/a/}", 3},     {"/a/x{b}", 3},
        {"/a/{}", 4},     {"/a/{b}c", 3},  {"/a/{b-c}", 4}, {"/{a}/{a}", 6},
        {"/{a...}/b", 1}, {"/{a...}/", 1}, {"/a/*", 3},     {"/**/b", 1},
        {"/{..}", 2},     {"/{...}", 2},   {"/{a}{b}", 1},  {"/{{a}}", 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pattern pattern;
        size_t at = 99;
        enum err err =
            pattern_parse(&arena, slice_str(rows[i].text), &pattern, &at);
        assert_int_equal(err, ERR_INVALID);
        assert_int_equal(at, rows[i].at);
    }
}

static void sizes_are_bounded(void **state)
{
    (void)state;
    char text[1100];
    struct pattern pattern;
    memset(text, 'a', sizeof text);
    assert_int_equal(
        pattern_parse(&arena, slice_of(text, 1025), &pattern, NULL),
        ERR_INVALID);
    assert_int_equal(
        pattern_parse(&arena, slice_of(text, 1024), &pattern, NULL), ERR_OK);
    memset(text, '/', sizeof text);
    assert_int_equal(pattern_parse(&arena, slice_of(text, 64), &pattern, NULL),
                     ERR_INVALID);
    assert_int_equal(pattern_parse(&arena, slice_of(text, 63), &pattern, NULL),
                     ERR_OK);
}

/* ---- shapes ------------------------------------------------------------- */

/* A shape as text: "{}" is a segment, "*" anything. */
static struct key_shape shape_of(const char *text)
{
    struct key_shape shape = {
        .pieces = arena_alloc(&arena, 32 * sizeof *shape.pieces)};
    while (*text) {
        struct shape_piece *piece = &shape.pieces[shape.count++];
        size_t size = strcspn(text, "{*");
        *piece = (struct shape_piece){.kind = SHAPE_TEXT,
                                      .text = slice_of(text, size)};
        if (size == 0) {
            piece->kind = *text == '*' ? SHAPE_ANY : SHAPE_SEGMENT;
            size = *text == '*' ? 1 : 2;
        }
        text += size;
    }
    return shape;
}

static bool meets(const char *text, const char *shape_text)
{
    struct pattern pattern = parse(text);
    struct key_shape shape = shape_of(shape_text);
    return pattern_meets_shape(&pattern, &shape);
}

static void a_shape_meets_where_a_key_could_be_both(void **state)
{
    (void)state;
    assert_true(meets("/a/{x}", "/a/{}"));
    assert_true(meets("/a/{x}", "/a/b"));
    assert_true(meets("/a/{x}", "/{}/b"));
    assert_true(meets("/a/{x}", "*"));
    assert_true(meets("/a/{x}", "/a/b-{}"));
    assert_true(meets("/a/{x}", "/a/*"));
    assert_true(meets("/a/{x...}", "/a/{}/c"));
    assert_true(meets("/a/", "/a/{}/c"));
    assert_true(meets("/a/", "/a*"));
    assert_true(meets("/a/b", "/a*b"));
    assert_true(meets("/a/{x}/c", "/{}/{}/{}"));
}

static void a_shape_misses_where_none_could(void **state)
{
    (void)state;
    assert_false(meets("/a/{x}", "/b/{}"));
    assert_false(meets("/a/{x}", "/a/{}/c"));
    assert_false(meets("/a/{x}", "/a"));
    assert_false(meets("/a/{x}", "/a/b/*"));
    assert_false(meets("/a/{x}/disk", "/a/{}/load"));
    assert_false(meets("/a/b", "/{}/c"));
    assert_false(meets("/a/b", "{}"));
    assert_false(meets("/a/b/", "/a/{}"));
    assert_false(meets("/a/bc", "/a/{}bc"));
    assert_false(meets("/{x...}", "/_recipes/run/*"));
    assert_true(meets("/_recipes/run/{x}", "/_recipes/run/*"));
}

static void append_any(struct prng *prng, const char *const *parts,
                       size_t count, char *out)
{
    for (uint64_t i = prng_below(prng, 4); i-- > 0;) {
        const char *part = parts[prng_below(prng, count)];
        memcpy(out + strlen(out), part, strlen(part) + 1);
    }
}

/* One key that the shape may become. */
static void fill(struct prng *prng, const char *shape, char *out)
{
    static const char *const anything[] = {"a", "b", "/", "/a", "b/a"};
    static const char *const segments[] = {"a", "b", "ab", "ba"};
    for (; *shape; shape++) {
        size_t size = strlen(out);
        if (*shape == '*') {
            append_any(prng, anything, 5, out);
        } else if (*shape == '{') {
            const char *part = segments[prng_below(prng, 4)];
            memcpy(out + size, part, strlen(part) + 1);
            shape++;
        } else {
            out[size] = *shape;
            out[size + 1] = '\0';
        }
    }
}

/* Whatever a shape became and a pattern matched, the two met. */
static void no_meeting_is_missed(void **state)
{
    (void)state;
    static const char *const shape_parts[] = {"a", "/", "b", "{}", "*", "/a"};
    static const char *const pattern_parts[] = {"/a", "/b", "/{%c}", "/ab"};
    struct slice captures[PATTERN_CAPTURES_MAX];
    struct prng prng;
    int matched = 0;
    prng_init(&prng, 11);
    for (int i = 0; i < 20000; i++) {
        char shape[64] = "/", text[64] = "", key[128] = "";
        append_any(&prng, shape_parts, 6, shape);
        append_any(&prng, shape_parts, 6, shape);
        uint64_t segments = 1 + prng_below(&prng, 3);
        for (uint64_t j = 0; j < segments; j++) {
            size_t size = strlen(text);
            const char *part = pattern_parts[prng_below(&prng, 4)];
            if (strchr(part, '%'))
                snprintf(text + size, sizeof text - size, "/{%c}",
                         (char)('a' + j));
            else
                snprintf(text + size, sizeof text - size, "%s", part);
        }
        if (prng_below(&prng, 3) == 0)
            memcpy(text + strlen(text), "/", 2);
        fill(&prng, shape, key);
        struct pattern pattern = parse(text);
        if (pattern_matches(&pattern, slice_str(key), captures)) {
            assert_true(meets(text, shape));
            matched++;
        }
        arena_reset(&arena);
    }
    assert_true(matched > 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_literal_matches_itself),
        cmocka_unit_test(a_capture_is_one_segment),
        cmocka_unit_test(three_dots_take_the_rest),
        cmocka_unit_test(a_slash_at_the_end_is_a_prefix),
        cmocka_unit_test(the_services_own_keys_are_seen_by_name_alone),
        cmocka_unit_test(its_literal_is_what_a_watch_begins_with),
        cmocka_unit_test(what_is_wrong_is_found_at_its_byte),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(a_shape_meets_where_a_key_could_be_both),
        cmocka_unit_test(a_shape_misses_where_none_could),
        cmocka_unit_test(no_meeting_is_missed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
