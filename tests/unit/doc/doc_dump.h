/* A document as one line of text, for tests to compare:
 *   {name:"x",list:[1,2.5,true,null]}
 * An integer has no point; a float always has one, an exponent or a word. */
#ifndef ETCHED_TESTS_DOC_DUMP_H
#define ETCHED_TESTS_DOC_DUMP_H

#include <stdio.h>

#include "doc/doc.h"

static void dump_double(struct buf *out, double number)
{
    char text[64];
    int size = snprintf(text, sizeof text, "%.15g", number);
    buf_append(out, text, (size_t)size);
    if (!strpbrk(text, ".einf")) {
        buf_append_str(out, ".0");
    }
}

static void dump_value(struct buf *out, const struct doc_value *value)
{
    switch (value->kind) {
    case DOC_NULL:
        buf_append_str(out, "null");
        break;
    case DOC_BOOL:
        buf_append_str(out, value->boolean ? "true" : "false");
        break;
    case DOC_INT:
        buf_append_i64(out, value->integer);
        break;
    case DOC_DOUBLE:
        dump_double(out, value->number);
        break;
    case DOC_STRING:
        buf_append_char(out, '"');
        buf_append_slice(out, value->text);
        buf_append_char(out, '"');
        break;
    case DOC_LIST:
        buf_append_char(out, '[');
        for (size_t i = 0; i < value->count; i++) {
            buf_append_str(out, i ? "," : "");
            dump_value(out, value->items[i]);
        }
        buf_append_char(out, ']');
        break;
    case DOC_MAP:
        buf_append_char(out, '{');
        for (size_t i = 0; i < value->count; i++) {
            buf_append_str(out, i ? "," : "");
            buf_append_slice(out, value->members[i].name);
            buf_append_char(out, ':');
            dump_value(out, value->members[i].value);
        }
        buf_append_char(out, '}');
        break;
    }
}

typedef enum err (*doc_parser)(struct arena *arena, struct slice text,
                               const struct doc_limits *limits,
                               struct doc_value **out);

/* Parses and dumps; after an error the dump is "<ERROR NAME>: <note>". The
 * text is parsed from a copy of its very size, so that a sanitizer sees a
 * read beyond it. */
static inline void dump_parsed(doc_parser parse, struct slice text,
                               const struct doc_limits *limits, struct buf *out)
{
    struct arena arena;
    arena_init(&arena, 0);
    char *copy = mem_dup(text.at, text.size);
    struct doc_value *value;
    err_clear();
    enum err err = parse(&arena, slice_of(copy, text.size), limits, &value);
    mem_free(copy); /* the tree may not point into it */
    buf_reset(out);
    if (err) {
        buf_printf(out, "%s: %s", err_name(err), err_note());
    } else {
        dump_value(out, value);
    }
    buf_append_char(out, '\0');
    arena_deinit(&arena);
}

struct doc_case {
    const char *text;
    const char *dump;
};

/* Runs a table and says which row failed. */
static inline int count_failures(doc_parser parse, const struct doc_case *cases,
                                 size_t count)
{
    struct buf out = {0};
    int failures = 0;
    for (size_t i = 0; i < count; i++) {
        dump_parsed(parse, slice_str(cases[i].text), &doc_limits_default, &out);
        if (strcmp(out.at, cases[i].dump) != 0) {
            fprintf(stderr, "of:   %s\ngot:  %s\nwant: %s\n", cases[i].text,
                    out.at, cases[i].dump);
            failures++;
        }
    }
    buf_deinit(&out);
    return failures;
}

#define COUNT_FAILURES(parse, cases) \
    count_failures(parse, cases, sizeof(cases) / sizeof(cases)[0])

#endif
