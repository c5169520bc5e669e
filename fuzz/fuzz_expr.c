/* Any text as an expression and as a template, over ingredients that hold
 * something of each kind. Whatever compiles has to end within the budget, in
 * memory too, and to give the same again; what is refused has to say where.
 */
#include "base/check.h"
#include "expr/expr.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { SLOT_VALUE, SLOT_TEXT, SLOT_LIST, SLOT_PREV, SLOT_LATER, SLOT_COUNT };

static const struct expr_name name_table[SLOT_COUNT] = {
    {{"value", 5}, VALUE_LAZY}, {{"text", 4}, VALUE_STRING},
    {{"list", 4}, VALUE_LIST},  {{"prev", 4}, VALUE_LAZY},
    {{"later", 5}, VALUE_LAZY},
};
static const struct expr_names names = {.names = name_table,
                                        .count = SLOT_COUNT};

static const char json[] =
    "{\"used\":95,\"big\":9223372036854775807,\"part\":-0.5,\"name\":\"web\","
    "\"tags\":[\"a\",null,[true]],\"deep\":{\"x\":{\"y\":{}}},\"\":0}";

static enum expr_found find_ingredient(void *context, size_t slot,
                                       struct arena *arena, struct value *out)
{
    (void)context;
    CHECK_EQ(slot, SLOT_LATER);
    *out = value_from_text(arena, SLICE("[1,2,3]"));
    return EXPR_FOUND;
}

static enum expr_found find_key(void *context, struct slice key,
                                struct arena *arena, struct value *out)
{
    (void)context;
    *out = value_from_text(arena, SLICE("{\"a\":1}"));
    return key.size % 3 == 2 ? EXPR_PENDING : EXPR_FOUND;
}

static enum expr_found count_keys(void *context, struct slice prefix,
                                  int64_t *out)
{
    (void)context;
    *out = (int64_t)prefix.size;
    return EXPR_FOUND;
}

static const struct expr_world world = {.ingredient = find_ingredient,
                                        .get = find_key,
                                        .secret = find_key,
                                        .count = count_keys,
                                        .now_ns = 1700000000000000000};

/* Small, so that the fuzzer finds the ends of it often and fast. */
static const struct expr_budget budget = {.steps_max = 3000,
                                          .bytes_max = 100000};

static void fill(struct arena *arena, struct value slots[SLOT_COUNT])
{
    slots[SLOT_VALUE] = value_from_text(arena, slice_str(json));
    char *text = arena_alloc(arena, 5000);
    memset(text, 'a', 5000);
    slots[SLOT_TEXT] = value_string(slice_of(text, 5000));
    slots[SLOT_LIST] =
        value_from_text(arena, SLICE("[0,1,2,3,\"x\",1.5,true,{},[]]"));
    slots[SLOT_PREV].kind = VALUE_ABSENT;
    slots[SLOT_LATER].kind = VALUE_LAZY;
}

/* The end and the value as text. */
static void eval(const struct expr *expr, const struct template *template,
                 struct buf *out)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct value slots[SLOT_COUNT], value;
    fill(&arena, slots);
    size_t before = arena.used_bytes;
    enum expr_end end =
        expr ? expr_eval(expr, slots, &world, &budget, &arena, &value)
             : template_eval(template, slots, &world, &budget, &arena, &value);
    buf_append_char(out, (char)('0' + end));
    /* The world's own answers, and what one function may make at once before
     * it is asked what it took, come on top. */
    CHECK_LE(arena.used_bytes - before, 10 * budget.bytes_max);
    if (end == EXPR_TOO_FAR)
        CHECK_EQ(value.kind, VALUE_ERROR);
    if (end == EXPR_DONE) {
        CHECK_LE(value.kind, VALUE_ERROR);
        if (value.kind != VALUE_ERROR)
            value_write_json(out, &value);
        else
            buf_append_slice(out, value.text);
    }
    arena_deinit(&arena);
}

static void try_text(struct slice text, bool is_template)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct expr *expr = NULL;
    struct template *template = NULL;
    struct expr_fault fault = {0};
    enum err err =
        is_template ? template_compile(&arena, text, &names, &template, &fault)
                    : expr_compile(&arena, text, &names, &expr, &fault);
    if (err) {
        CHECK(expr == NULL && template == NULL);
        CHECK(fault.line >= 1 && fault.column >= 1 && fault.text[0] != '\0');
        CHECK(slice_is_utf8(slice_str(fault.text)));
    } else {
        struct buf once = {0}, twice = {0};
        eval(expr, template, &once);
        eval(expr, template, &twice);
        CHECK(slice_eq(buf_slice(&once), buf_slice(&twice)));
        CHECK(slice_is_utf8(buf_slice(&once)));
        buf_deinit(&once);
        buf_deinit(&twice);
    }
    arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    try_text(slice_of(bytes, size), false);
    try_text(slice_of(bytes, size), true);
    return 0;
}
