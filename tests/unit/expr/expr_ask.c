#include "expr_ask.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

static const struct expr_name name_table[ASK_SLOTS] = {
    {{"value", 5}, VALUE_LAZY}, {{"host", 4}, VALUE_STRING},
    {{"count", 5}, VALUE_INT},  {{"ready", 5}, VALUE_BOOL},
    {{"prev", 4}, VALUE_LAZY},  {{"later", 5}, VALUE_LAZY},
    {{"never", 5}, VALUE_LAZY},
};
const struct expr_names ask_names = {.names = name_table, .count = ASK_SLOTS};

static enum expr_found find_ingredient(void *context, size_t slot,
                                       struct arena *arena, struct value *out)
{
    (void)context;
    (void)arena;
    *out = value_int(42);
    return slot == ASK_NEVER ? EXPR_PENDING : EXPR_FOUND;
}
const struct expr_world ask_world = {.ingredient = find_ingredient};

static const char json[] =
    "{\"used\":95,\"name\":\"web\",\"tags\":[\"a\",\"b\",\"c\"],"
    "\"deep\":{\"x\":{\"y\":1}},\"none\":null,\"big\":9007199254740993,"
    "\"part\":0.5}";

void ask_fill(struct arena *arena, struct value slots[ASK_SLOTS])
{
    slots[ASK_VALUE] = value_from_text(arena, slice_str(json));
    slots[ASK_HOST] = value_string(SLICE("web-17"));
    slots[ASK_COUNT] = value_int(7);
    slots[ASK_READY] = value_bool(true);
    slots[ASK_PREV].kind = VALUE_ABSENT;
    slots[ASK_LATER].kind = VALUE_LAZY;
    slots[ASK_NEVER].kind = VALUE_LAZY;
}

static char answer[4096];

static const char *write_answer(enum err err, enum expr_end end,
                                const struct value *value)
{
    struct buf text = {0};
    if (err)
        buf_printf(&text, "refused: %s", err_note());
    else if (end == EXPR_WAITS)
        buf_append_str(&text, "waits");
    else if (end == EXPR_TOO_FAR)
        buf_append_str(&text, "too far");
    else if (value->kind == VALUE_ERROR)
        buf_printf(&text, "error: %.*s", (int)value->text.size, value->text.at);
    else
        value_write_json(&text, value);
    size_t size = text.size < sizeof answer - 1 ? text.size : sizeof answer - 1;
    memcpy(answer, text.at, size);
    answer[size] = '\0';
    buf_deinit(&text);
    return answer;
}

static const char *ask_budget(struct slice text,
                              const struct expr_budget *budget)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct value slots[ASK_SLOTS], out = {.kind = VALUE_NULL};
    ask_fill(&arena, slots);
    struct expr *expr;
    struct expr_fault fault;
    enum expr_end end = EXPR_DONE;
    enum err err = expr_compile(&arena, text, &ask_names, &expr, &fault);
    assert_int_equal(err != ERR_OK, expr == NULL);
    if (!err)
        end = expr_eval(expr, slots, &ask_world, budget, &arena, &out);
    write_answer(err, end, &out);
    arena_deinit(&arena);
    return answer;
}

const char *ask_size(const char *text, size_t size)
{
    return ask_budget(slice_of(text, size), NULL);
}

const char *ask(const char *text)
{
    return ask_size(text, strlen(text));
}

const char *ask_within(const char *text, uint64_t steps, size_t bytes)
{
    const struct expr_budget budget = {.steps_max = steps, .bytes_max = bytes};
    return ask_budget(slice_str(text), &budget);
}

const char *ask_template(const char *text)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct value slots[ASK_SLOTS], out = {.kind = VALUE_NULL};
    ask_fill(&arena, slots);
    struct template *template;
    enum expr_end end = EXPR_DONE;
    enum err err =
        template_compile(&arena, slice_str(text), &ask_names, &template, NULL);
    if (!err)
        end = template_eval(template, slots, &ask_world, NULL, &arena, &out);
    write_answer(err, end, &out);
    arena_deinit(&arena);
    return answer;
}

static void ask_each(const struct question *questions, size_t count,
                     const char *(*how)(const char *text))
{
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        const char *got = how(questions[i].text);
        if (strcmp(got, questions[i].answer) == 0)
            continue;
        print_error("%s\n    gave   %s\n    wanted %s\n", questions[i].text,
                    got, questions[i].answer);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

void ask_all(const struct question *questions, size_t count)
{
    ask_each(questions, count, ask);
}

void ask_all_templates(const struct question *questions, size_t count)
{
    ask_each(questions, count, ask_template);
}

struct slice ask_repeat(struct arena *arena, const char *before,
                        const char *piece, size_t count, const char *after)
{
    struct slice parts[] = {slice_str(before), slice_str(piece),
                            slice_str(after)};
    size_t size = parts[0].size + parts[1].size * count + parts[2].size;
    char *text = arena_alloc(arena, size);
    char *at = text;
    memcpy(at, parts[0].at, parts[0].size);
    at += parts[0].size;
    for (size_t i = 0; i < count; i++, at += parts[1].size)
        memcpy(at, parts[1].at, parts[1].size);
    memcpy(at, parts[2].at, parts[2].size);
    return slice_of(text, size);
}
