/* One document in several spellings: JSON, YAML in blocks, YAML on one line.
 * Right ones give one plan and one stored form; wrong ones are wrong in the
 * same place. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/prng.h"
#include "doc/json_write.h"
#include "recipe_corpus.h"
#include "recipe_plan.h"
#include "recipe_support.h"

enum spelling { AS_JSON, AS_FLOW, AS_BLOCK, SPELLINGS };

/* ---- writing ------------------------------------------------------------ */

static void write_number(struct buf *out, double number)
{
    char text[40];
    snprintf(text, sizeof text, "%.17g", number);
    buf_append_str(out, text);
    if (!strpbrk(text, ".en"))
        buf_append_str(out, ".0");
}

static bool is_plain(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        if ((unsigned char)text.at[i] < ' ' || text.at[i] == 127)
            return false;
    }
    return slice_is_utf8(text);
}

/* JSON's quotes are YAML's too; YAML has single ones beside. */
static void write_string(struct buf *out, struct slice text, bool is_yaml)
{
    if (!is_yaml || !is_plain(text) || text.size % 2) {
        json_write_string(out, text);
        return;
    }
    buf_append_char(out, '\'');
    for (size_t i = 0; i < text.size; i++) {
        if (text.at[i] == '\'')
            buf_append_char(out, '\'');
        buf_append_char(out, text.at[i]);
    }
    buf_append_char(out, '\'');
}

static void write_scalar(struct buf *out, const struct doc_value *value,
                         bool is_yaml)
{
    switch (value->kind) {
    case DOC_NULL:
        buf_append_str(out, is_yaml ? "~" : "null");
        break;
    case DOC_BOOL:
        buf_append_str(out, value->boolean ? "true" : "false");
        break;
    case DOC_INT:
        buf_append_i64(out, value->integer);
        break;
    case DOC_DOUBLE:
        write_number(out, value->number);
        break;
    default:
        write_string(out, value->text, is_yaml);
    }
}

static void write_flow(struct buf *out, const struct doc_value *value,
                       bool is_yaml)
{
    bool is_map = value->kind == DOC_MAP;
    if (!is_map && value->kind != DOC_LIST) {
        write_scalar(out, value, is_yaml);
        return;
    }
    buf_append_char(out, is_map ? '{' : '[');
    for (size_t i = 0; i < value->count; i++) {
        buf_append_str(out, i ? ", " : "");
        if (is_map) {
            write_string(out, value->members[i].name, is_yaml);
            buf_append_str(out, ": ");
        }
        write_flow(out, is_map ? value->members[i].value : value->items[i],
                   is_yaml);
    }
    buf_append_char(out, is_map ? '}' : ']');
}

static void write_block(struct buf *out, const struct doc_value *value,
                        int indent)
{
    bool is_map = value->kind == DOC_MAP;
    if ((!is_map && value->kind != DOC_LIST) || value->count == 0) {
        buf_append_char(out, ' ');
        write_flow(out, value, true);
        return;
    }
    for (size_t i = 0; i < value->count; i++) {
        buf_printf(out, "\n%*s", indent, "");
        if (is_map) {
            write_string(out, value->members[i].name, true);
            buf_append_char(out, ':');
        } else {
            buf_append_char(out, '-');
        }
        write_block(out, is_map ? value->members[i].value : value->items[i],
                    indent + 2);
    }
}

static void spell(struct buf *out, const struct doc_value *value,
                  enum spelling spelling)
{
    buf_reset(out);
    if (spelling == AS_BLOCK) {
        write_block(out, value, 0);
        return;
    }
    /* What begins with a brace is JSON. */
    if (spelling == AS_FLOW)
        buf_append_str(out, "--- ");
    write_flow(out, value, spelling == AS_FLOW);
}

static struct doc_value *read_tree(struct arena *arena, struct slice text)
{
    struct doc_value *tree;
    bool is_json = text.at[0] == '{';
    enum err err =
        is_json ? doc_parse_json(arena, text, &doc_limits_default, &tree)
                : doc_parse_yaml(arena, text, &doc_limits_default, &tree);
    if (err)
        fail_msg("%s", err_note());
    return tree;
}

/* ---- right ones --------------------------------------------------------- */

static void shuffle(struct prng *prng, struct doc_value *map)
{
    for (size_t i = map->count; i > 1; i--) {
        size_t j = prng_below(prng, i);
        struct doc_member swap = map->members[i - 1];
        map->members[i - 1] = map->members[j];
        map->members[j] = swap;
    }
}

/* However it is spelled, in whatever order its fields stand. */
static void spellings_give_one_plan(void **state)
{
    (void)state;
    struct slice text;
    struct prng prng;
    prng_init(&prng, 1);
    for (size_t i = 0; corpus_text(i, &text); i++) {
        struct arena arena;
        struct buf spelled = {0};
        arena_init(&arena, 0);
        struct recipe *first;
        struct recipe_fault fault;
        if (recipe_parse(text, &recipe_zones, &first, &fault))
            fail_msg("%s\nin %.*s", err_note(), (int)text.size, text.at);
        struct doc_value *tree = read_tree(&arena, text);
        for (int j = 0; j < 3 * SPELLINGS; j++) {
            struct recipe *other;
            spell(&spelled, tree, (enum spelling)(j % SPELLINGS));
            if (recipe_parse(buf_slice(&spelled), &recipe_zones, &other,
                             &fault))
                fail_msg("%s\nin %.*s", err_note(), (int)spelled.size,
                         spelled.at);
            plan_expect_same(first, other);
            recipe_free(other);
            shuffle(&prng, tree);
        }
        plan_expect_fixed_point(first);
        recipe_free(first);
        buf_deinit(&spelled);
        arena_deinit(&arena);
    }
}

/* ---- wrong ones --------------------------------------------------------- */

enum { NODES_MAX = 2000 };
struct nodes {
    struct doc_value *list[NODES_MAX];
    size_t count;
};

static void collect(struct nodes *nodes, struct doc_value *value)
{
    if (nodes->count < NODES_MAX)
        nodes->list[nodes->count++] = value;
    for (size_t i = 0; i < value->count; i++)
        collect(nodes, value->kind == DOC_MAP ? value->members[i].value
                                              : value->items[i]);
}

static struct doc_value any_value(struct prng *prng)
{
    static const char *const texts[] = {
        "",        "{{",        "{{oops}}", "{{key}}",         "10m",
        "/a/{x}",  "value >",   "true",     "{{secret('s')}}", "delete",
        "oops(1)", "{{error}}", "-1s",      "https://e.org",   "get('/a')",
    };
    struct doc_value value = {.kind = (enum doc_kind)prng_below(prng, 7)};
    value.integer = prng_between(prng, -2, 2000);
    value.number = value.kind == DOC_INT ? (double)value.integer
                                         : (double)value.integer + 0.5;
    value.boolean = prng_below(prng, 2);
    if (value.kind == DOC_STRING)
        value.text =
            slice_str(texts[prng_below(prng, sizeof texts / sizeof texts[0])]);
    return value;
}

/* One thing about the tree becomes another. */
static void spoil(struct prng *prng, struct arena *arena,
                  struct doc_value *tree)
{
    struct nodes nodes = {0};
    collect(&nodes, tree);
    struct doc_value *node = nodes.list[prng_below(prng, nodes.count)];
    size_t at = node->count ? prng_below(prng, node->count) : 0;
    bool is_map = node->kind == DOC_MAP;
    if (node->count == 0 || prng_below(prng, 3) == 0) {
        *node = any_value(prng);
    } else if (prng_below(prng, 2)) { /* without its last one */
        if (is_map)
            node->members[at] = node->members[node->count - 1];
        else
            node->items[at] = node->items[node->count - 1];
        node->count--;
    } else if (is_map) { /* a letter more in its name */
        struct doc_member *member = &node->members[at];
        const char *name = arena_printf(arena, "%.*sx", (int)member->name.size,
                                        member->name.at);
        member->name = slice_str(name);
    } else { /* a list within the list */
        struct doc_value *list = arena_alloc(arena, sizeof *list);
        *list = *node;
        node->items[at] = list->count > 1 ? list : node->items[at];
        if (list->count > 1) {
            list->items = arena_dup(arena, node->items,
                                    list->count * sizeof *list->items);
            list->items[at] = node->items[(at + 1) % node->count];
        }
    }
}

struct told {
    enum err err;
    struct recipe_fault fault;
    struct buf json;
};

/* JSON's numbers have no text that could be offered in quotes, and a place
 * within a text may be of another spelling of it. */
static void trim_text(char *text)
{
    char *quotes = strstr(text, ": write it in quotes");
    char *of_text = strstr(text, " of the text: ");
    if (quotes)
        *quotes = '\0';
    if (of_text)
        memmove(text, of_text + 14, strlen(of_text + 14) + 1);
}

static void hear(struct slice text, struct told *out)
{
    struct recipe *recipe;
    *out = (struct told){0};
    out->err = recipe_parse(text, &recipe_zones, &recipe, &out->fault);
    if (!out->err) {
        plan_expect_fixed_point(recipe);
        buf_append_slice(&out->json, recipe->json);
    }
    trim_text(out->fault.text);
    recipe_free(recipe);
}

/* A place is in the text: the line is there and has that column. */
static void check_place(struct slice text, const struct recipe_fault *fault)
{
    if (fault->line == 0)
        return;
    size_t begin = 0;
    for (int line = 1; line < fault->line; line++) {
        ptrdiff_t end =
            slice_find(slice_of(text.at + begin, text.size - begin), '\n');
        assert_true(end >= 0);
        begin += (size_t)end + 1;
    }
    ptrdiff_t end =
        slice_find(slice_of(text.at + begin, text.size - begin), '\n');
    size_t size = end < 0 ? text.size - begin : (size_t)end;
    assert_in_range(fault->column, 1, size + 1);
}

static void expect_same_told(const struct told *a, const struct told *b,
                             struct slice text)
{
    bool same = a->err == b->err && strcmp(a->fault.path, b->fault.path) == 0 &&
                strcmp(a->fault.text, b->fault.text) == 0 &&
                slice_eq(buf_slice(&a->json), buf_slice(&b->json));
    if (!same)
        fail_msg("%s: %s: %s\n%s: %s: %s\nof %.*s", err_name(a->err),
                 a->fault.path, a->fault.text, err_name(b->err), b->fault.path,
                 b->fault.text, (int)text.size, text.at);
}

static void try_spoiled(const struct doc_value *tree, int *wrong)
{
    struct told told[SPELLINGS];
    struct buf spelled = {0};
    for (int i = 0; i < SPELLINGS; i++) {
        spell(&spelled, tree, (enum spelling)i);
        hear(buf_slice(&spelled), &told[i]);
        check_place(buf_slice(&spelled), &told[i].fault);
        if (told[i].err && !told[i].fault.line)
            fail_msg("no place: %.*s", (int)spelled.size, spelled.at);
        if (i > 0)
            expect_same_told(&told[0], &told[i], buf_slice(&spelled));
    }
    *wrong += told[0].err != ERR_OK;
    for (int i = 0; i < SPELLINGS; i++)
        buf_deinit(&told[i].json);
    buf_deinit(&spelled);
}

static void spellings_are_wrong_in_the_same_place(void **state)
{
    (void)state;
    struct slice text;
    struct prng prng;
    int wrong = 0, tried = 0;
    prng_init(&prng, 2);
    for (size_t i = 0; corpus_text(i, &text); i++) {
        for (int j = 0; j < 60; j++) {
            struct arena arena;
            arena_init(&arena, 0);
            struct doc_value *tree = read_tree(&arena, text);
            spoil(&prng, &arena, tree);
            if (prng_below(&prng, 4) == 0)
                spoil(&prng, &arena, tree);
            try_spoiled(tree, &wrong);
            arena_deinit(&arena);
            tried++;
        }
    }
    /* Some of either. */
    assert_in_range(wrong, tried / 2, tried - tried / 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spellings_give_one_plan),
        cmocka_unit_test(spellings_are_wrong_in_the_same_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
