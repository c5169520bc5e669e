/* Whether a pattern and the shape of a key have a key in common: beside all
 * keys that there are, of few letters and no great length. And whether what an
 * action writes is in the shape that was made of it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/prng.h"
#include "recipe_support.h"

/* All texts of "ab/" up to this length: 1 + 3 + 9 + .. + 3^8. */
enum { LENGTH_MAX = 8, KEYS = 9841, WORDS = (KEYS + 63) / 64 };

static char key_texts[KEYS][LENGTH_MAX + 1];
static size_t key_sizes[KEYS];

struct set {
    uint64_t words[WORDS];
};

static int make_keys(void **state)
{
    size_t count = 1, from = 0;
    (void)state;
    while (count < KEYS) {
        size_t end = count;
        for (size_t i = from; i < end; i++) {
            for (int letter = 0; letter < 3; letter++, count++) {
                memcpy(key_texts[count], key_texts[i], key_sizes[i]);
                key_texts[count][key_sizes[i]] = "ab/"[letter];
                key_sizes[count] = key_sizes[i] + 1;
            }
        }
        from = end;
    }
    assert_int_equal(count, KEYS);
    return 0;
}

static struct slice key_at(size_t i)
{
    return slice_of(key_texts[i], key_sizes[i]);
}

static void add(struct set *set, size_t i)
{
    set->words[i / 64] |= (uint64_t)1 << i % 64;
}

static bool have_common(const struct set *a, const struct set *b)
{
    for (size_t i = 0; i < WORDS; i++) {
        if (a->words[i] & b->words[i])
            return true;
    }
    return false;
}

/* ---- shapes, one by one ------------------------------------------------- */

/* "{}" is a segment, "*" anything; by its definition. */
static bool becomes(const char *shape, struct slice key)
{
    if (*shape == '\0')
        return key.size == 0;
    bool is_segment = *shape == '{';
    if (!is_segment && *shape != '*')
        return key.size > 0 && key.at[0] == *shape &&
               becomes(shape + 1, slice_of(key.at + 1, key.size - 1));
    for (size_t taken = is_segment; taken <= key.size; taken++) {
        if (is_segment && key.at[taken - 1] == '/')
            return false;
        if (becomes(shape + (is_segment ? 2 : 1),
                    slice_of(key.at + taken, key.size - taken)))
            return true;
    }
    return false;
}

static size_t split_shape(const char *text, struct shape_piece *pieces)
{
    size_t count = 0;
    while (*text) {
        size_t size = strcspn(text, "{*");
        struct shape_piece *piece = &pieces[count++];
        *piece = (struct shape_piece){.kind = SHAPE_TEXT,
                                      .text = slice_of(text, size)};
        if (size == 0) {
            piece->kind = *text == '*' ? SHAPE_ANY : SHAPE_SEGMENT;
            piece->text.size = 0;
            size = *text == '*' ? 1 : 2;
        }
        text += size;
    }
    return count;
}

static const char *const pattern_texts[] = {
    "a",    "/",      "/a",        "/a/",        "/{x}",       "/{x...}",
    "{x}",  "{x...}", "{x}/",      "/a/{x}",     "/{x}/a",     "/{x}/{y}",
    "/a/b", "/ab/",   "/a/{x...}", "/{x}/b/",    "/{x}/b/{y}", "a/{x}/b",
    "//a",  "//",     "/{x}//",    "{x}/{y...}", "ab/{x}",     "/{x}/a/",
};
enum { PATTERNS = sizeof pattern_texts / sizeof pattern_texts[0] };

/* Up to four parts, each of these. */
static const char *const parts[] = {"/", "a", "b", "{}", "*"};
enum { PARTS = 5, SHAPES = PARTS * PARTS * PARTS * PARTS };

static void shape_text(size_t index, char out[16])
{
    size_t size = 0;
    for (int i = 0; i < 4; i++, index /= PARTS) {
        size_t more = strlen(parts[index % PARTS]);
        memcpy(out + size, parts[index % PARTS], more);
        size += more;
    }
    out[size] = '\0';
}

/* Where two of these meet at all, they meet in eight letters. */
static void they_meet_where_a_key_is_of_both(void **state)
{
    (void)state;
    static struct set of_pattern[PATTERNS];
    struct pattern patterns[PATTERNS];
    struct slice captures[PATTERN_CAPTURES_MAX];
    struct arena arena;
    int met = 0;
    arena_init(&arena, 0);
    for (size_t i = 0; i < PATTERNS; i++) {
        assert_int_equal(pattern_parse(&arena, slice_str(pattern_texts[i]),
                                       &patterns[i], NULL),
                         ERR_OK);
        for (size_t j = 0; j < KEYS; j++) {
            if (pattern_matches(&patterns[i], key_at(j), captures))
                add(&of_pattern[i], j);
        }
    }
    for (size_t i = 0; i < SHAPES; i++) {
        char text[16];
        struct set of_shape = {0};
        struct shape_piece pieces[8];
        shape_text(i, text);
        struct key_shape shape = {pieces, split_shape(text, pieces)};
        for (size_t j = 0; j < KEYS; j++) {
            if (becomes(text, key_at(j)))
                add(&of_shape, j);
        }
        for (size_t j = 0; j < PATTERNS; j++) {
            bool meets = pattern_meets_shape(&patterns[j], &shape);
            if (meets != have_common(&of_shape, &of_pattern[j]))
                fail_msg("%s and %s: %d", pattern_texts[j], text, meets);
            met += meets;
        }
    }
    assert_in_range(met, SHAPES * PATTERNS / 10, SHAPES * PATTERNS * 9 / 10);
    arena_deinit(&arena);
}

/* A table that would be too large is taken for a meeting; in time. */
static void large_ones_may_meet(void **state)
{
    (void)state;
    enum { SIZE = 1000 };
    struct arena arena;
    struct pattern pattern;
    char text[SIZE + 8], long_text[8 * SIZE];
    struct shape_piece pieces[4];
    arena_init(&arena, 0);
    memset(text, 'a', SIZE);
    text[0] = '/';
    memcpy(text + SIZE - 5, "/{x}", 5);
    assert_int_equal(pattern_parse(&arena, slice_str(text), &pattern, NULL),
                     ERR_OK);
    memset(long_text, 'b', sizeof long_text);
    pieces[0] = (struct shape_piece){SHAPE_ANY, SLICE("")};
    pieces[1] = (struct shape_piece){SHAPE_TEXT, slice_of(long_text, SIZE)};
    struct key_shape shape = {pieces, 2};
    assert_true(pattern_meets_shape(&pattern, &shape)); /* x is b.. */
    pieces[2] = (struct shape_piece){SHAPE_TEXT, SLICE("/b")};
    shape.count = 3;
    assert_false(pattern_meets_shape(&pattern, &shape));
    pieces[1].text = slice_of(long_text, sizeof long_text);
    assert_true(pattern_meets_shape(&pattern, &shape)); /* it may be */
    arena_deinit(&arena);
}

/* ---- what is made of a template ----------------------------------------- */

/* Evaluates the key of the one action with some captures, and asks whether
 * that is in its shape: `becomes` of the shape as text. */
static void try_template(const char *key, const char *lets, const char *wanted)
{
    char text[512], shape[256];
    size_t size = 0;
    snprintf(text, sizeof text,
             "name: r\nif: [{key: '/in/{x}/{rest...}'}]\nlet: {%s}\n"
             "loop: {reentrant: true}\n"
             "then: [{put: {key: \"%s\", value: 1}}]\n",
             lets, key);
    struct recipe *recipe = parse_recipe(text);
    const struct key_shape *writes = &recipe->then[0].writes;
    for (size_t i = 0; i < writes->count; i++) {
        const struct shape_piece *piece = &writes->pieces[i];
        size += (size_t)snprintf(shape + size, sizeof shape - size, "%.*s%s",
                                 (int)piece->text.size, piece->text.at,
                                 piece->kind == SHAPE_TEXT      ? ""
                                 : piece->kind == SHAPE_SEGMENT ? "{}"
                                                                : "*");
    }
    struct value slots[INGREDIENT_COUNT + 16] = {{0}};
    struct arena arena;
    arena_init(&arena, 0);
    slots[INGREDIENT_COUNT] = value_string(SLICE("seg"));
    slots[INGREDIENT_COUNT + 1] = value_string(SLICE("r/e/st"));
    slots[INGREDIENT_RECIPE] = value_string(SLICE("r"));
    struct expr_world world = {0};
    struct value made;
    for (size_t i = 0; i < recipe->let_count; i++)
        assert_int_equal(template_eval(recipe->lets[i].value, slots, &world,
                                       &expr_budget_default, &arena,
                                       &slots[recipe->lets[i].slot]),
                         EXPR_DONE);
    assert_int_equal(template_eval(recipe->then[0].key, slots, &world,
                                   &expr_budget_default, &arena, &made),
                     EXPR_DONE);
    assert_int_equal(made.kind, VALUE_STRING);
    if (!slice_eq(made.text, slice_str(wanted)) || !becomes(shape, made.text))
        fail_msg("%s: %.*s, and its shape is %s", key, (int)made.text.size,
                 made.text.at, shape);
    arena_deinit(&arena);
    recipe_free(recipe);
}

/* Quotes of every kind may have braces in them that end nothing. */
static void what_is_written_is_in_its_shape(void **state)
{
    (void)state;
    try_template("/o/{{x}}", "", "/o/seg");
    try_template("/o/{{rest}}/{{x}}", "", "/o/r/e/st/seg");
    try_template("/o/{{x + '/y'}}/z", "", "/o/seg/y/z");
    try_template("/o/{{'}}'}}/{{x}}", "", "/o/}}/seg");
    try_template("/o/{{ '\\\\'}}' }}/{{x}}", "", "/o/'}}/seg");
    try_template("/o/{{r'\\\\'}}/a/{{'}}'}}c", "", "/o/\\/a/}}c");
    try_template("/o/{{R'\\\\' + x}}/{{r'}}'}}", "", "/o/\\seg/}}");
    try_template("/o/{{'''a'}}'b'''}}/c", "", "/o/a'}}'b/c");
    try_template("/o/{{''}}/{{x}}", "", "/o//seg");
    try_template("/o/{{''''''}}/{{x}}", "", "/o//seg");
    try_template("/o/{{string(br'\\\\' == b'}}')}}/a", "", "/o/false/a");
    try_template("/o/{{ {'a': {'b': x}}.a.b }}/c", "", "/o/seg/c");
    try_template("/o/{{{{x}}/c", "", "/o/{{x}}/c");
    try_template("/o/{{m}}/{{n}}", "m: 'p-{{x}}', n: '{{m}}{{rest}}'",
                 "/o/p-seg/p-segr/e/st");
    try_template("/o/{{recipe}}-{{ x }}", "", "/o/r-seg");
    try_template("{{m}}", "m: '{{{{'", "{{");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_meet_where_a_key_is_of_both),
        cmocka_unit_test(large_ones_may_meet),
        cmocka_unit_test(what_is_written_is_in_its_shape),
    };
    return cmocka_run_group_tests(tests, make_keys, NULL);
}
