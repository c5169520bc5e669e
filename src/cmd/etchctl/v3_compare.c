#include "cmd/etchctl/v3_compare.h"

#include <string.h>

#include "cmd/etchctl/go_text.h"

/* target("key") op "value" */
struct parts {
    struct slice target;
    struct buf key;
    struct slice op;
    struct buf value;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void skip(struct slice *text, size_t size)
{
    *text = slice_of(text->at + size, text->size - size);
}

static void skip_spaces(struct slice *text)
{
    while (text->size > 0 && is_space(text->at[0]))
        skip(text, 1);
}

/* At the end there is always a space. */
static bool take_spaces(struct slice *text)
{
    bool has_one = text->size == 0 || is_space(text->at[0]);

    skip_spaces(text);
    return has_one;
}

static bool take_quoted(struct slice *text, struct buf *out)
{
    size_t used;

    skip_spaces(text);
    if (!go_unquote(*text, &used, out)) {
        buf_reset(out);
        return false;
    }
    skip(text, used);
    return true;
}

/* As fmt.Sscanf reads "%q) %s %q". */
static bool take_apart(struct slice text, struct parts *parts)
{
    size_t size = 0;

    if (!take_quoted(&text, &parts->key))
        return false;
    if (text.size == 0 || text.at[0] != ')')
        return false;
    skip(&text, 1);
    if (!take_spaces(&text) || text.size == 0)
        return false;
    while (size < text.size && !is_space(text.at[size]))
        size++;
    parts->op = slice_of(text.at, size);
    skip(&text, size);
    return take_spaces(&text) && take_quoted(&text, &parts->value);
}

static enum err fail_parts(const char *line, const struct parts *parts)
{
    struct buf key = {0};
    struct buf value = {0};

    go_quote(&key, buf_slice(&parts->key));
    go_quote(&value, buf_slice(&parts->value));
    err_set(ERR_INVALID, "malformed comparison: %s; got %.*s(%.*s) %.*s %.*s",
            line, (int)parts->target.size, parts->target.at, (int)key.size,
            key.at, (int)parts->op.size, parts->op.at ? parts->op.at : "",
            (int)value.size, value.at);
    buf_deinit(&key);
    buf_deinit(&value);
    return ERR_INVALID;
}

static enum err set_result(const char *line, struct slice op,
                           Etcdserverpb__Compare *out)
{
    static const char *const names[] = {"=", ">", "<", "!="};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (slice_eq(op, slice_str(names[i]))) {
            out->result = (Etcdserverpb__Compare__CompareResult)i;
            return ERR_OK;
        }
    }
    return err_set(ERR_INVALID,
                   "malformed comparison: %s (unknown operator %.*s)", line,
                   (int)op.size, op.at);
}

struct target {
    const char *name;
    Etcdserverpb__Compare__CompareTarget target;
    Etcdserverpb__Compare__TargetUnionCase union_case;
    int base; /* of its number; 0: it has none */
};

static const struct target targets[] = {
    {"ver", ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION,
     ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION, 10},
    {"version", ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION,
     ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION, 10},
    {"c", ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE,
     ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION, 10},
    {"create", ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE,
     ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION, 10},
    {"m", ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD,
     ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION, 10},
    {"mod", ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD,
     ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION, 10},
    {"val", ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE,
     ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE, 0},
    {"value", ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE,
     ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE, 0},
    /* As leases are shown and named everywhere else. */
    {"lease", ETCDSERVERPB__COMPARE__COMPARE_TARGET__LEASE,
     ETCDSERVERPB__COMPARE__TARGET_UNION_LEASE, 16},
};

static enum err set_target(struct arena *arena, const char *line,
                           const struct target *target, struct buf *value,
                           Etcdserverpb__Compare *out)
{
    int64_t number = 0;

    out->target = target->target;
    out->target_union_case = target->union_case;
    if (target->base == 0) {
        out->value = message_data(
            slice_of(arena_dup(arena, value->at ? value->at : "", value->size),
                     value->size));
        return ERR_OK;
    }
    buf_append_char(value, '\0');
    if (go_parse_int(value->at, target->base, &number) != ERR_OK)
        return err_set(ERR_INVALID, "invalid txn compare request: %s", line);
    /* The numbers of the union lie in the same place. */
    out->version = number;
    return ERR_OK;
}

static enum err set_all(struct arena *arena, const char *line,
                        struct parts *parts, Etcdserverpb__Compare *out)
{
    enum err err;

    out->key = message_data(slice_of(
        arena_dup(arena, parts->key.at ? parts->key.at : "", parts->key.size),
        parts->key.size));
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        if (!slice_eq(parts->target, slice_str(targets[i].name)))
            continue;
        err = set_target(arena, line, &targets[i], &parts->value, out);
        return err == ERR_OK ? set_result(line, parts->op, out) : err;
    }
    return err_set(ERR_INVALID,
                   "malformed comparison: %s (unknown target %.*s)", line,
                   (int)parts->target.size, parts->target.at);
}

enum err v3_compare_parse(struct arena *arena, const char *line,
                          Etcdserverpb__Compare *out)
{
    const char *parenthesis = strchr(line, '(');
    struct parts parts = {0};
    enum err err;

    etcdserverpb__compare__init(out);
    if (!parenthesis)
        return err_set(ERR_INVALID, "malformed comparison: %s", line);
    parts.target = slice_of(line, (size_t)(parenthesis - line));
    if (take_apart(slice_str(parenthesis + 1), &parts))
        err = set_all(arena, line, &parts, out);
    else
        err = fail_parts(line, &parts);
    buf_deinit(&parts.key);
    buf_deinit(&parts.value);
    return err;
}
