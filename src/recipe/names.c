/* Ingredients by name, and the compiling of what uses them.
 *
 * All names are in one table, so that a slot means the same everywhere. What
 * can't be had at a place (`item` without a feed, a `let` that comes later)
 * is looked for afterwards: that message says more than "unknown name".
 */
#include <stdio.h>

#include "base/check.h"
#include "recipe/recipe_int.h"

/* ---- the table ---------------------------------------------------------- */

static const struct ingredient_row {
    const char *name;
    enum value_kind kind;
} ingredients[INGREDIENT_COUNT] = {
    [INGREDIENT_KEY] = {"key", VALUE_STRING},
    [INGREDIENT_VALUE] = {"value", VALUE_LAZY},
    [INGREDIENT_RAW] = {"raw", VALUE_LAZY},
    [INGREDIENT_PREV] = {"prev", VALUE_LAZY},
    [INGREDIENT_EVENT] = {"event", VALUE_MAP},
    [INGREDIENT_RECIPE] = {"recipe", VALUE_STRING},
    [INGREDIENT_LABELS] = {"labels", VALUE_MAP},
    [INGREDIENT_ITEM] = {"item", VALUE_LAZY},
    [INGREDIENT_BODY] = {"body", VALUE_LAZY},
    [INGREDIENT_HEADERS] = {"headers", VALUE_MAP},
    [INGREDIENT_ARGS] = {"args", VALUE_MAP},
    [INGREDIENT_STEPS] = {"steps", VALUE_MAP},
    [INGREDIENT_ERROR] = {"error", VALUE_STRING},
};

/* They would be read as something else, or not at all. */
static bool is_word(struct slice name)
{
    static const char *const words[] = {
        "true",   "false",    "null",  "in",      "as",        "break",
        "const",  "continue", "else",  "for",     "function",  "if",
        "import", "let",      "loop",  "package", "namespace", "return",
        "var",    "void",     "while", "time",
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (slice_eq(name, slice_str(words[i])))
            return true;
    }
    return false;
}

size_t names__find(const struct reader *reader, struct slice name)
{
    const struct expr_names *names = &reader->recipe->names;
    for (size_t i = 0; i < names->count; i++) {
        if (slice_eq(names->names[i].name, name))
            return i;
    }
    return SIZE_MAX;
}

/* Needs: room in the table. */
static size_t add_name(struct reader *reader, struct slice name,
                       enum value_kind kind)
{
    struct expr_names *names = &reader->recipe->names;
    CHECK_LE(name.size, 64);
    struct expr_name *list = (struct expr_name *)(uintptr_t)names->names;
    list[names->count] = (struct expr_name){.name = name, .kind = kind};
    return names->count++;
}

static bool check_name(struct reader *reader, int line, int column,
                       struct slice name, const char *what)
{
    size_t slot = names__find(reader, name);
    if (slot < INGREDIENT_COUNT)
        reader__fail_at(reader, line, column,
                        "%s can't be called \"%.*s\": every recipe has an "
                        "ingredient of that name; write another one",
                        what, SHOWN(name));
    else if (is_word(name))
        reader__fail_at(reader, line, column,
                        "%s can't be called \"%.*s\": expressions have that "
                        "word; write another one",
                        what, SHOWN(name));
    return !reader->err;
}

static void add_captures(struct reader *reader, struct trigger *trigger,
                         const struct doc_value *at)
{
    const struct pattern *pattern = &trigger->pattern;
    size_t captured = 0;
    for (size_t i = 0; i < pattern->count; i++) {
        struct slice name = pattern->segments[i].text;
        if (pattern->segments[i].kind == SEGMENT_LITERAL)
            continue;
        /* Those of the inbox are the service's: a slot without a name. */
        bool is_users =
            trigger->kind == TRIGGER_KEY || trigger->kind == TRIGGER_ABSENT;
        size_t slot = is_users ? names__find(reader, name) : SIZE_MAX;
        if (is_users &&
            !check_name(reader, at->line, at->column, name, "a capture"))
            return;
        if (slot == SIZE_MAX)
            slot = add_name(reader, is_users ? name : SLICE(""), VALUE_STRING);
        trigger->capture_slots[captured++] = slot;
    }
    CHECK_EQ(captured, pattern->captures);
}

static bool is_identifier(struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.at[i];
        bool is_digit = c >= '0' && c <= '9';
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
              (is_digit && i > 0)))
            return false;
    }
    return name.size > 0 && name.size <= 64;
}

static void add_let(struct reader *reader, const struct doc_member *member)
{
    struct recipe *recipe = reader->recipe;
    struct slice name = member->name;
    size_t mark = reader__enter(reader, name);
    if (!is_identifier(name))
        reader__fail_at(reader, member->line, member->column,
                        "\"%.*s\" can't be a name: write letters, digits and "
                        "'_', a letter first, at most 64",
                        SHOWN(name));
    else if (check_name(reader, member->line, member->column, name, "a let") &&
             names__find(reader, name) != SIZE_MAX)
        reader__fail_at(reader, member->line, member->column,
                        "a capture is called \"%.*s\" too: write another name",
                        SHOWN(name));
    if (!reader->err) {
        struct let *let = &recipe->lets[recipe->let_count++];
        *let = (struct let){.name = name,
                            .slot = add_name(reader, name, VALUE_LAZY)};
    }
    reader__leave(reader, mark);
}

static void add_lets(struct reader *reader, const struct doc_value *lets)
{
    size_t mark = reader__enter(reader, SLICE("let"));
    if (lets->kind != DOC_MAP)
        reader__fail(reader, lets,
                     "%s is here: write a map of names and what they stand "
                     "for, msg: \"{{key}} changed\"",
                     doc_kind_text(lets->kind));
    else if (lets->count > RECIPE_LETS_MAX)
        reader__fail(reader, lets, "%zu of them, and %d is the most",
                     lets->count, RECIPE_LETS_MAX);
    if (!reader->err)
        reader->recipe->lets = arena_alloc(
            reader->arena, (lets->count + 1) * sizeof *reader->recipe->lets);
    for (size_t i = 0; i < lets->count && !reader->err; i++)
        add_let(reader, &lets->members[i]);
    reader__leave(reader, mark);
}

/* ---- places in a text --------------------------------------------------- */

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (c >= '0' && c <= '9');
}

/* r'..', br'..': a backslash is one. */
static bool is_raw_quote(struct slice text, size_t at)
{
    if (at == 0 || (text.at[at - 1] | 0x20) != 'r')
        return false;
    at--;
    if (at > 0 && (text.at[at - 1] | 0x20) == 'b')
        at--;
    return at == 0 || !is_name_byte(text.at[at - 1]);
}

/* Behind the quoted string that begins here: of one quote or of three. */
static size_t skip_quoted(struct slice text, size_t at)
{
    char quote[3] = {text.at[at], text.at[at], text.at[at]};
    bool is_raw = is_raw_quote(text, at);
    struct slice rest = slice_of(text.at + at, text.size - at);
    size_t width = slice_has_prefix(rest, slice_of(quote, 3)) ? 3 : 1;
    for (at += width; at + width <= text.size; at++) {
        if (memcmp(text.at + at, quote, width) == 0)
            return at + width;
        at += !is_raw && text.at[at] == '\\';
    }
    return text.size;
}

static size_t locate_in(struct slice text, size_t at, struct slice name)
{
    while (at < text.size) {
        size_t begin = at;
        if (text.at[at] == '\'' || text.at[at] == '"') {
            at = skip_quoted(text, at);
        } else if (is_name_byte(text.at[at])) {
            while (at < text.size && is_name_byte(text.at[at]))
                at++;
            if (slice_eq(slice_of(text.at + begin, at - begin), name) &&
                (begin == 0 || text.at[begin - 1] != '.'))
                return begin;
        } else {
            at++;
        }
    }
    return SIZE_MAX;
}

/* The '}}' that ends the expression that begins at `at`. */
static size_t find_close(struct slice text, size_t at)
{
    size_t depth = 0;
    while (at < text.size) {
        char c = text.at[at];
        if (c == '\'' || c == '"') {
            at = skip_quoted(text, at);
            continue;
        }
        if (c == '}' && depth == 0 && at + 1 < text.size &&
            text.at[at + 1] == '}')
            return at;
        depth += c == '{';
        depth -= c == '}' && depth > 0;
        at++;
    }
    return text.size;
}

bool names__next_hole(struct slice text, size_t from, struct slice *hole,
                      size_t *end)
{
    while (from + 1 < text.size) {
        struct slice rest = slice_of(text.at + from, text.size - from);
        if (slice_has_prefix(rest, SLICE("{{{{"))) {
            from += 4;
        } else if (slice_has_prefix(rest, SLICE("{{"))) {
            size_t close = find_close(text, from + 2);
            *hole = slice_of(text.at + from + 2, close - from - 2);
            *end = close + 2 < text.size ? close + 2 : text.size;
            return true;
        } else {
            from++;
        }
    }
    return false;
}

/* ---- what can't be had here --------------------------------------------- */

/* One compiled thing: an expression or a template. */
struct compiled {
    const struct doc_value *at;
    struct slice text;
    const struct expr *expr;
    const struct template *template;
    unsigned scope;
};

static bool reads(const struct compiled *compiled, size_t slot)
{
    CHECK(!compiled->expr != !compiled->template);
    return compiled->expr ? expr_reads(compiled->expr, slot)
                          : template_reads(compiled->template, slot);
}

static bool has_trigger(const struct reader *reader, unsigned kinds)
{
    return (reader->trigger_kinds & kinds) != 0;
}

/* NULL: it can be had. */
static const char *why_not(const struct reader *reader, unsigned scope,
                           size_t slot)
{
    bool has_event = scope & SCOPE_EVENT;
    if (slot == INGREDIENT_RECIPE || slot == INGREDIENT_LABELS)
        return NULL;
    if (slot == INGREDIENT_STEPS)
        return scope & SCOPE_STEPS ? NULL
                                   : "is there in then and on_failure only";
    if (slot == INGREDIENT_ERROR)
        return scope & SCOPE_ERROR ? NULL : "is there in on_failure only";
    if ((slot == INGREDIENT_ITEM && (scope & SCOPE_ITEM)) ||
        (slot == INGREDIENT_BODY && (scope & SCOPE_BODY)) ||
        (slot == INGREDIENT_HEADERS && (scope & SCOPE_HEADERS)))
        return NULL;
    if (!has_event)
        return scope & (SCOPE_ITEM | SCOPE_BODY)
                   ? "isn't known here, where it is decided what comes in"
                   : "isn't known here: there is no event yet";
    if (slot == INGREDIENT_ITEM &&
        !has_trigger(reader, 1u << TRIGGER_FEED | 1u << TRIGGER_POLL))
        return "is there with a feed or poll trigger only";
    if ((slot == INGREDIENT_BODY || slot == INGREDIENT_HEADERS) &&
        !has_trigger(reader, 1u << TRIGGER_WEBHOOK))
        return "is there with a webhook trigger only";
    return NULL;
}

/* The next place of a name in it; SIZE_MAX: none. */
static size_t locate_next(const struct compiled *compiled, struct slice name,
                          size_t from)
{
    struct slice text = compiled->text, hole;
    size_t at = SIZE_MAX, end = 0;
    if (compiled->expr)
        return locate_in(text, from, name);
    while (at == SIZE_MAX && names__next_hole(text, end, &hole, &end)) {
        size_t begin = (size_t)(hole.at - text.at);
        at = locate_in(slice_of(text.at, begin + hole.size),
                       begin > from ? begin : from, name);
    }
    return at;
}

/* The first place of a name in it; 0 where that isn't found. */
static size_t locate(const struct compiled *compiled, struct slice name)
{
    size_t at = locate_next(compiled, name, 0);
    return at == SIZE_MAX ? 0 : at;
}

static void refuse_slot(struct reader *reader, const struct compiled *compiled,
                        struct slice name, const char *why)
{
    reader__fail_inside(reader, compiled->at, locate(compiled, name),
                        "`%.*s` %s", SHOWN(name), why);
}

void names__note_secret(struct reader *reader, size_t let)
{
    const struct recipe *recipe = reader->recipe;
    const struct template *value = recipe->lets[let].value;
    CHECK_LT(let, RECIPE_LETS_MAX);
    if (!value)
        return;
    bool has = template_uses(value) & EXPR_USES_SECRET;
    for (size_t i = 0; i < let && !has; i++)
        has = (reader->secret_lets >> i & 1) &&
              template_reads(value, recipe->lets[i].slot);
    reader->secret_lets |= (uint64_t)has << let;
}

/* NULL: the let can be had. */
static const char *why_not_let(const struct reader *reader, unsigned scope,
                               size_t let)
{
    if (scope & SCOPE_NO_LETS)
        return "is a let: those are for where and then";
    if (let > reader->lets_known)
        return "comes later: a let can use those before it";
    if (let == reader->lets_known)
        return "is this let itself: it can use those before it";
    if (!(scope & SCOPE_SECRET) && (reader->secret_lets >> let & 1))
        return "has a secret in it: it can go out with http, email or exec, "
               "never into the store or a log";
    return NULL;
}

static void check_slots(struct reader *reader, const struct compiled *compiled)
{
    const struct recipe *recipe = reader->recipe;
    const struct expr_names *names = &recipe->names;
    size_t first_let = names->count - recipe->let_count;
    CHECK_LE(INGREDIENT_COUNT, first_let);
    CHECK_LE(reader->lets_known, recipe->let_count);
    for (size_t i = 0; i < names->count && !reader->err; i++) {
        const char *why = why_not(reader, compiled->scope, i);
        if (!why && i >= first_let)
            why = why_not_let(reader, compiled->scope, i - first_let);
        if (why && names->names[i].name.size > 0 && reads(compiled, i))
            refuse_slot(reader, compiled, names->names[i].name, why);
    }
}

static void check_uses(struct reader *reader, const struct compiled *compiled)
{
    unsigned uses = compiled->expr ? expr_uses(compiled->expr)
                                   : template_uses(compiled->template);
    if ((uses & EXPR_USES_SECRET) && !(compiled->scope & SCOPE_SECRET)) {
        reader__fail_inside(reader, compiled->at,
                            locate(compiled, SLICE("secret")),
                            "secret() can't be used here: a secret goes out "
                            "with http, email or exec, never into the store or "
                            "a log");
    } else if ((uses & EXPR_USES_STORE) && !(compiled->scope & SCOPE_STORE)) {
        reader__fail_inside(reader, compiled->at, 0,
                            "get(), exists() and count() can't be had here: "
                            "there is no event whose revision they could read");
    }
}

/* `steps.page` at a place: is there such a step before this one? */
static void check_step(struct reader *reader, const struct compiled *compiled,
                       size_t at)
{
    const char *ids[RECIPE_IDS_MAX];
    struct slice text = compiled->text;
    if (!slice_has_prefix(slice_of(text.at + at, text.size - at),
                          SLICE("steps.")))
        return;
    size_t begin = at + 6, end = begin;
    while (end < text.size && is_name_byte(text.at[end]))
        end++;
    struct slice id = slice_of(text.at + begin, end - begin);
    for (size_t i = 0; i < reader->id_count; i++) {
        if (slice_eq(id, reader->ids[i]))
            return;
        ids[i] = arena_printf(reader->arena, "%.*s", SHOWN(reader->ids[i]));
    }
    const char *near = suggest__near(id, ids, reader->id_count);
    if (near)
        reader__fail_inside(reader, compiled->at, begin,
                            "no action before this one has the id \"%.*s\": "
                            "did you mean \"%s\"?",
                            SHOWN(id), near);
    else
        reader__fail_inside(reader, compiled->at, begin,
                            "no action before this one has the id \"%.*s\": "
                            "write id: %.*s there",
                            SHOWN(id), SHOWN(id));
}

static void check_steps(struct reader *reader, const struct compiled *compiled)
{
    struct slice name = SLICE("steps");
    size_t at = 0;
    if (reader->err || !reads(compiled, INGREDIENT_STEPS))
        return;
    while ((at = locate_next(compiled, name, at)) != SIZE_MAX) {
        check_step(reader, compiled, at);
        at += name.size;
    }
}

static void check_compiled(struct reader *reader,
                           const struct compiled *compiled)
{
    check_slots(reader, compiled);
    check_uses(reader, compiled);
    check_steps(reader, compiled);
}

/* ---- the whole table ----------------------------------------------------- */

/* What a message offers where nothing is near. */
static void write_hint(struct reader *reader)
{
    struct expr_names *names = &reader->recipe->names;
    struct buf hint = {0};
    for (size_t i = 0; i < names->count; i++) {
        struct slice name = names->names[i].name;
        unsigned most = SCOPE_EVENT | SCOPE_STEPS | SCOPE_ERROR;
        if (name.size == 0 || hint.size > 160 || why_not(reader, most, i))
            continue;
        buf_append_str(&hint, hint.size ? ", " : "");
        buf_append_slice(&hint, name);
    }
    buf_append_char(&hint, '\0');
    CHECK_LT(0, hint.size);
    names->hint = arena_dup(reader->arena, hint.at, hint.size);
    buf_deinit(&hint);
}

/* Where a trigger's pattern stands; TRIGGER_CALL has no place. */
static const struct doc_value *place_of(const struct reader *reader,
                                        size_t index)
{
    const struct doc_value *list = doc_get(reader->document, "if");
    if (list && list->kind == DOC_LIST && index < list->count)
        list = list->items[index];
    const struct doc_value *key = doc_get(list, "key");
    const struct doc_value *absent = doc_get(list, "absent");
    return key ? key : absent ? absent : reader->document;
}

void names__build(struct reader *reader, const struct doc_value *lets)
{
    struct recipe *recipe = reader->recipe;
    size_t room = INGREDIENT_COUNT + RECIPE_LETS_MAX;
    for (size_t i = 0; i < recipe->trigger_count; i++)
        room += recipe->triggers[i].pattern.captures;
    recipe->names.names =
        arena_alloc(reader->arena, room * sizeof *recipe->names.names);
    for (size_t i = 0; i < INGREDIENT_COUNT; i++)
        add_name(reader, slice_str(ingredients[i].name), ingredients[i].kind);
    for (size_t i = 0; i < recipe->trigger_count && !reader->err; i++) {
        struct trigger *trigger = &recipe->triggers[i];
        size_t mark = reader__enter(reader, SLICE("if"));
        reader__enter_item(reader, i);
        reader__enter(reader, trigger->kind == TRIGGER_ABSENT ? SLICE("absent")
                                                              : SLICE("key"));
        add_captures(reader, trigger, place_of(reader, i));
        reader__leave(reader, mark);
    }
    if (lets && !reader->err)
        add_lets(reader, lets);
    write_hint(reader);
}

/* ---- compiling ---------------------------------------------------------- */

/* A fault's line and column, in characters, to a byte of the text. */
static size_t offset_of(struct slice text, const struct expr_fault *fault)
{
    size_t at = 0;
    for (int line = fault->line; line > 1 && at < text.size; at++)
        line -= text.at[at] == '\n';
    for (int column = fault->column; column > 1 && at < text.size; column--) {
        do {
            at++;
        } while (at < text.size && (text.at[at] & 0xc0) == 0x80);
    }
    return at;
}

static void refuse_text(struct reader *reader, const struct doc_value *at,
                        struct slice text, enum err err,
                        const struct expr_fault *fault)
{
    bool was_ok = !reader->err;
    size_t offset = fault->line ? offset_of(text, fault) : 0;
    reader__fail_inside(reader, at, offset, "%s",
                        fault->line ? fault->text : err_note());
    if (was_ok)
        reader->err = err;
}

bool names__text(struct reader *reader, const struct doc_value *value,
                 struct slice *out)
{
    /* `if: true` is a bool of YAML. */
    if (value->kind != DOC_BOOL)
        return reader__string(reader, value, out);
    *out = value->boolean ? SLICE("true") : SLICE("false");
    return true;
}

struct expr *names__expr(struct reader *reader, const struct doc_value *value,
                         unsigned scope)
{
    struct expr *expr = NULL;
    struct expr_fault fault = {0};
    struct compiled compiled = {.at = value, .scope = scope};
    if (reader->err || !names__text(reader, value, &compiled.text))
        return NULL;
    enum err err = expr_compile(reader->arena, compiled.text,
                                &reader->recipe->names, &expr, &fault);
    if (err) {
        refuse_text(reader, value, compiled.text, err, &fault);
        return NULL;
    }
    compiled.expr = expr;
    check_compiled(reader, &compiled);
    return expr;
}

struct expr *names__condition(struct reader *reader,
                              const struct doc_value *value, unsigned scope)
{
    struct expr *expr = names__expr(reader, value, scope);
    enum value_kind kind = expr ? expr_gives(expr) : VALUE_LAZY;
    if (kind != VALUE_LAZY && kind != VALUE_BOOL)
        reader__fail(reader, value,
                     "a condition is true or false, and this is of kind %s: "
                     "compare it with something",
                     value_kind_text(kind));
    return expr;
}

struct template *names__template(struct reader *reader,
                                 const struct doc_value *value, unsigned scope)
{
    struct template *template = NULL;
    struct expr_fault fault = {0};
    struct compiled compiled = {.at = value, .scope = scope};
    if (reader->err || !reader__string(reader, value, &compiled.text))
        return NULL;
    enum err err = template_compile(reader->arena, compiled.text,
                                    &reader->recipe->names, &template, &fault);
    if (err) {
        refuse_text(reader, value, compiled.text, err, &fault);
        return NULL;
    }
    compiled.template = template;
    check_compiled(reader, &compiled);
    return template;
}
