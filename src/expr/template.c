/* Text with expressions in it. Parts are texts and expressions in their order;
 * an expression's end is found by the parser, so that "}}" in a string or
 * behind a map's '}' is no end:
 *
 *   a{{ {'x': {'y': '}}'}}.x }}b    is   "a", {'x': {'y': '}}'}}.x, "b"
 *
 * All expressions of one template share one budget, when they are compiled
 * and when they are evaluated.
 */
#include "base/check.h"
#include "expr/code_int.h"

struct part {
    struct slice text;       /* where it is one */
    const struct expr *expr; /* NULL: it is text */
};

struct template
{
    struct part *parts;
    size_t count;
};

enum { BYTES_A_STEP = 64 };

/* ---- compiling ---------------------------------------------------------- */

struct reader {
    struct parser parser;
    struct slice text;
    size_t at;
    char *literal; /* all texts, one behind the other */
    size_t literal_size;
    size_t literal_begin; /* of the text that isn't a part yet */
    struct part *parts;
    size_t count;
    size_t capacity;
};

static void add_part(struct reader *reader, struct part part)
{
    if (reader->count == reader->capacity) {
        size_t capacity = reader->capacity ? reader->capacity * 2 : 4;
        struct part *parts =
            arena_alloc(reader->parser.arena, capacity * sizeof *parts);
        if (reader->count)
            memcpy(parts, reader->parts, reader->count * sizeof *parts);
        reader->parts = parts;
        reader->capacity = capacity;
    }
    reader->parts[reader->count++] = part;
}

/* The texts are copied together, since '{{{{' is half as long in the end: what
 * stands between two expressions is one part. */
static void take_text(struct reader *reader, size_t size)
{
    memcpy(reader->literal + reader->literal_size, reader->text.at + reader->at,
           size);
    reader->literal_size += size;
    reader->at += size;
}

static void end_text(struct reader *reader)
{
    size_t size = reader->literal_size - reader->literal_begin;
    const char *begin = reader->literal + reader->literal_begin;
    if (size > 0)
        add_part(reader, (struct part){.text = slice_of(begin, size)});
    reader->literal_begin = reader->literal_size;
}

static bool begins_with(const struct reader *reader, size_t at,
                        struct slice mark)
{
    return slice_has_prefix(
        slice_of(reader->text.at + at, reader->text.size - at), mark);
}

/* Behind the expression: '}}', without a space between. */
static bool is_closed(const struct reader *reader)
{
    const struct parser *parser = &reader->parser;
    return parser->token.kind == TOKEN_BRACE_CLOSE &&
           begins_with(reader, parser->token.at, SLICE("}}"));
}

/* reader->at is behind the '{{' that stands at `open`. */
static void read_expression(struct reader *reader, size_t open)
{
    struct parser *parser = &reader->parser;
    parse__restart(parser, reader->at);
    if (memmem(reader->text.at + reader->at, reader->text.size - reader->at,
               "}}", 2) == NULL)
        parse__refuse(parser, open, "this '{{' isn't closed: expected '}}'");
    else if (begins_with(reader, reader->at, SLICE("}}")))
        parse__refuse(parser, reader->at,
                      "expected an expression between '{{' and '}}'");
    const struct expr *expr = parse__expression(parser);
    if (expr == NULL)
        return;
    if (!is_closed(reader)) {
        parse__expect_mark(parser, "'}}'");
    } else {
        reader->at = parser->token.at + 2;
        add_part(reader, (struct part){.expr = expr});
    }
}

static void read_parts(struct reader *reader)
{
    reader->literal = arena_alloc(reader->parser.arena, reader->text.size);
    while (reader->at < reader->text.size && !reader->parser.err) {
        if (begins_with(reader, reader->at, SLICE("{{{{"))) {
            take_text(reader, 2);
            reader->at += 2;
        } else if (begins_with(reader, reader->at, SLICE("{{"))) {
            end_text(reader);
            reader->at += 2;
            read_expression(reader, reader->at - 2);
        } else {
            take_text(reader, 1);
        }
    }
    end_text(reader);
}

enum err template_compile(struct arena *arena, struct slice text,
                          const struct expr_names *names, struct template **out,
                          struct expr_fault *fault)
{
    struct reader reader = {.at = 0};
    *out = NULL;
    parse__init(&reader.parser, arena, text, names);
    reader.text = reader.parser.lexer.text;
    if (!reader.parser.err)
        read_parts(&reader);
    if (reader.parser.err)
        return parse__report(&reader.parser, fault);
    struct template *template = arena_alloc(arena, sizeof *template);
    *template = (struct template){.parts = reader.parts, .count = reader.count};
    *out = template;
    return ERR_OK;
}

/* ---- what is known of it ------------------------------------------------ */

struct slice template_literal_prefix(const struct template *template)
{
    bool is_text = template->count > 0 && template->parts[0].expr == NULL;
    return is_text ? template->parts[0].text : SLICE("");
}

bool template_is_literal(const struct template *template)
{
    return template->count == 0 ||
           (template->count == 1 && template->parts[0].expr == NULL);
}

unsigned template_uses(const struct template *template)
{
    unsigned uses = 0;
    for (size_t i = 0; i < template->count; i++) {
        if (template->parts[i].expr != NULL)
            uses |= expr_uses(template->parts[i].expr);
    }
    return uses;
}

bool template_reads(const struct template *template, size_t slot)
{
    for (size_t i = 0; i < template->count; i++) {
        if (template->parts[i].expr != NULL &&
            expr_reads(template->parts[i].expr, slot))
            return true;
    }
    return false;
}

/* ---- evaluating --------------------------------------------------------- */

/* A value as text, in the arena. */
static bool write_part(struct run *run, const struct value *value,
                       struct slice *out)
{
    struct buf text = {0};
    *out = value->text;
    if (value->kind == VALUE_STRING)
        return run__steps(run, out->size / BYTES_A_STEP);
    if (!run__weigh(run, value))
        return false;
    value_write_text(&text, value);
    char *copy = run__alloc(run, text.size);
    if (copy != NULL && text.size)
        memcpy(copy, text.at, text.size);
    *out = slice_of(copy, text.size);
    buf_deinit(&text);
    return copy != NULL && run__steps(run, out->size / BYTES_A_STEP);
}

/* Each part's text. False: *out is an error, or the run has ended. */
static bool eval_parts(struct run *run, const struct template *template,
                       struct slice *texts, struct value *out)
{
    for (size_t i = 0; i < template->count; i++) {
        const struct part *part = &template->parts[i];
        texts[i] = part->text;
        if (part->expr == NULL)
            continue;
        eval__run(run, part->expr, out);
        if (run->end != EXPR_DONE || out->kind == VALUE_ERROR ||
            !write_part(run, out, &texts[i]))
            return false;
    }
    return true;
}

static void join(struct run *run, const struct slice *texts, size_t count,
                 struct value *out)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += texts[i].size;
    char *all = run__alloc(run, size);
    if (all == NULL)
        return;
    *out = value_string(slice_of(all, size));
    for (size_t i = 0; i < count; i++) {
        if (texts[i].size)
            memcpy(all, texts[i].at, texts[i].size);
        all += texts[i].size;
    }
}

static void eval_template(struct run *run, const struct template *template,
                          struct value *out)
{
    const struct part *first = template->parts;
    if (template->count == 0) {
        *out = value_string(SLICE(""));
    } else if (template->count == 1 && first->expr == NULL) {
        *out = value_string(first->text);
    } else if (template->count == 1) {
        eval__run(run, first->expr, out);
    } else {
        struct slice *texts = run__alloc(run, template->count * sizeof *texts);
        if (texts != NULL && eval_parts(run, template, texts, out))
            join(run, texts, template->count, out);
    }
}

enum expr_end template_eval(const struct template *template,
                            struct value *slots, const struct expr_world *world,
                            const struct expr_budget *budget,
                            struct arena *arena, struct value *out)
{
    struct run run;
    run__init(&run, world, budget, arena, slots);
    *out = (struct value){.kind = VALUE_NULL};
    eval_template(&run, template, out);
    return eval__end(&run, out);
}
