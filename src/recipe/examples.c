/* `tests`: what is given and what is expected, checked in form, so that a
 * test with a slip in it isn't one that passes. */
#include <math.h>

#include "base/check.h"
#include "base/time_text.h"
#include "recipe/recipe_int.h"

static void check_duration(struct reader *reader, const struct doc_value *value,
                           void *into)
{
    int64_t ns;
    (void)into;
    reader__duration(reader, value, 0, &ns);
}

static void check_moment(struct reader *reader, const struct doc_value *value,
                         void *into)
{
    int64_t ns;
    (void)into;
    if (value->kind != DOC_STRING || !time_from_rfc3339(value->text, &ns))
        reader__fail(reader, value, "write a moment: 2026-12-24T18:00:00Z");
}

static void check_text(struct reader *reader, const struct doc_value *value,
                       void *into)
{
    struct slice text;
    (void)into;
    reader__string(reader, value, &text);
}

static void check_bool(struct reader *reader, const struct doc_value *value,
                       void *into)
{
    bool ignored;
    (void)into;
    reader__bool(reader, value, &ignored);
}

static void check_map(struct reader *reader, const struct doc_value *value,
                      void *into)
{
    (void)into;
    if (value->kind != DOC_MAP)
        reader__fail(reader, value, "%s is here: write a map",
                     doc_kind_text(value->kind));
}

/* Nothing, or which of the clock triggers. */
static void check_tick(struct reader *reader, const struct doc_value *value,
                       void *into)
{
    int64_t index;
    (void)into;
    if (value->kind != DOC_NULL && value->kind != DOC_MAP)
        reader__count(reader, value, 0, RECIPE_TRIGGERS_MAX - 1, &index);
}

/* The id of an action, of a kind that has answers. */
static void check_step(struct reader *reader, const struct doc_value *value,
                       void *into)
{
    struct slice id;
    const char *ids[RECIPE_IDS_MAX];
    (void)into;
    if (!reader__string(reader, value, &id))
        return;
    for (size_t i = 0; i < reader->id_count; i++) {
        if (slice_eq(id, reader->ids[i]))
            return;
        ids[i] = arena_printf(reader->arena, "%.*s", SHOWN(reader->ids[i]));
    }
    reader__fail(reader, value,
                 "no action has the id \"%.*s\": write one of %s", SHOWN(id),
                 reader__list(reader, ids, reader->id_count));
}

/* ---- given -------------------------------------------------------------- */

static const struct field put_fields[] = {
    {.name = "key", .read = check_text, .needed = "the key"},
    {.name = "value", .needed = "its value"},
    {.name = "lease", .read = check_bool},
};
static const struct schema put_schema = {.what = "put",
                                         SCHEMA_FIELDS(put_fields)};

static void check_given_put(struct reader *reader,
                            const struct doc_value *value, void *into)
{
    reader__map(reader, value, &put_schema, 0, into);
}

static const struct field webhook_fields[] = {
    {.name = "path", .read = check_text},
    {.name = "body"},
    {.name = "headers", .read = check_map},
};
static const struct schema webhook_schema = {.what = "webhook",
                                             SCHEMA_FIELDS(webhook_fields)};

static void check_webhook(struct reader *reader, const struct doc_value *value,
                          void *into)
{
    reader__map(reader, value, &webhook_schema, 0, into);
}

static void check_answers(struct reader *reader, const struct doc_value *value,
                          void *into)
{
    check_map(reader, value, into);
    for (size_t i = 0; i < value->count && !reader->err; i++) {
        const struct doc_member *member = &value->members[i];
        struct doc_value id = {.kind = DOC_STRING,
                               .line = member->line,
                               .column = member->column,
                               .text = member->name};
        size_t mark = reader__enter(reader, member->name);
        check_step(reader, &id, NULL);
        if (!reader->err)
            check_map(reader, member->value, NULL);
        reader__leave(reader, mark);
    }
}

static const struct field given_fields[] = {
    {.name = "put", .read = check_given_put},
    {.name = "delete", .read = check_text},
    {.name = "expire", .read = check_text},
    {.name = "advance", .read = check_duration},
    {.name = "at", .read = check_moment},
    {.name = "tick", .read = check_tick},
    {.name = "webhook", .read = check_webhook},
    {.name = "item"},
    {.name = "run", .read = check_map},
    {.name = "answer", .read = check_answers},
};
static const struct schema given_schema = {.what = "a given",
                                           SCHEMA_FIELDS(given_fields),
                                           .kind_first = 0,
                                           .kind_count = sizeof given_fields /
                                                         sizeof given_fields[0],
                                           .later = NULL};

/* ---- expect ------------------------------------------------------------- */

/* What goes with which kind: bits of places in the table. */
enum { E_PUT, E_DELETE, E_HTTP, E_EMAIL, E_EXEC, E_LOG, E_CALL, E_FAILED };
static const struct field expect_fields[] = {
    {.name = "put", .read = check_text},
    {.name = "delete", .read = check_text},
    {.name = "http", .read = check_step},
    {.name = "email", .read = check_step},
    {.name = "exec", .read = check_step},
    {.name = "log", .read = check_text},
    {.name = "call", .read = check_text},
    {.name = "failed", .read = check_text},
    {.name = "value", .with = 1u << E_PUT},
    {.name = "ttl", .read = check_duration, .with = 1u << E_PUT},
    {.name = "url", .read = check_text, .with = 1u << E_HTTP},
    {.name = "method", .read = check_text, .with = 1u << E_HTTP},
    {.name = "json", .with = 1u << E_HTTP},
    {.name = "body", .with = 1u << E_HTTP},
    {.name = "headers", .read = check_map, .with = 1u << E_HTTP},
    {.name = "args", .with = 1u << E_CALL | 1u << E_EXEC},
    {.name = "subject", .read = check_text, .with = 1u << E_EMAIL},
    {.name = "text", .read = check_text, .with = 1u << E_EMAIL},
};
static const struct schema expect_schema = {.what = "an expectation",
                                            SCHEMA_FIELDS(expect_fields),
                                            .kind_first = 0,
                                            .kind_count = E_FAILED + 1,
                                            .later = NULL};

/* ---- the whole ---------------------------------------------------------- */

static void check_rows(struct reader *reader, const struct doc_value *value,
                       const struct schema *schema)
{
    if (value->kind != DOC_LIST) {
        reader__fail(reader, value, "%s is here: write a list",
                     doc_kind_text(value->kind));
        return;
    }
    for (size_t i = 0; i < value->count && !reader->err; i++) {
        const struct doc_value *row = value->items[i];
        size_t mark = reader__enter_item(reader, i);
        if (row->kind != DOC_MAP)
            reader__map(reader, row, schema, 0, NULL);
        CHECK_EQ(schema->kind_first, 0);
        int kind = reader->err ? -1 : reader__kind(reader, row, schema);
        if (kind >= 0)
            reader__map(reader, row, schema, (unsigned)kind, NULL);
        reader__leave(reader, mark);
    }
}

static void check_given(struct reader *reader, const struct doc_value *value,
                        void *into)
{
    (void)into;
    check_rows(reader, value, &given_schema);
}

static void check_expect(struct reader *reader, const struct doc_value *value,
                         void *into)
{
    (void)into;
    check_rows(reader, value, &expect_schema);
}

static const struct field test_fields[] = {
    {.name = "name", .read = check_text},
    {.name = "given",
     .read = check_given,
     .needed = "what happens, given: [{put: {key: /a, value: x}}]"},
    {.name = "expect",
     .read = check_expect,
     .needed = "what that leads to, expect: [{put: /b}], or [] for nothing"},
};
static const struct schema test_schema = {.what = "a test",
                                          SCHEMA_FIELDS(test_fields)};

/* What JSON can't have: the document is stored as that. */
static void check_plain(struct reader *reader, const struct doc_value *value)
{
    if (value->kind == DOC_DOUBLE && !isfinite(value->number))
        reader__fail(reader, value,
                     "JSON has no such number: write one that is finite");
    for (size_t i = 0; i < value->count && !reader->err; i++) {
        bool is_map = value->kind == DOC_MAP;
        size_t mark = is_map ? reader__enter(reader, value->members[i].name)
                             : reader__enter_item(reader, i);
        if (is_map && slice_find(value->members[i].name, '\0') >= 0)
            reader__fail_at(reader, value->members[i].line,
                            value->members[i].column,
                            "a name can't have a zero byte in it");
        check_plain(reader, is_map ? value->members[i].value : value->items[i]);
        reader__leave(reader, mark);
    }
}

void examples__check(struct reader *reader, const struct doc_value *value)
{
    check_plain(reader, value);
    if (value->kind != DOC_LIST) {
        reader__fail(reader, value, "%s is here: write a list of tests",
                     doc_kind_text(value->kind));
        return;
    }
    for (size_t i = 0; i < value->count && !reader->err; i++) {
        size_t mark = reader__enter_item(reader, i);
        reader__map(reader, value->items[i], &test_schema, 0, NULL);
        reader__leave(reader, mark);
    }
}
