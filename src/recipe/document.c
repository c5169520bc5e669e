/* The document as a whole: read, checked, compiled.
 *
 * JSON is read as JSON: numbers and escapes are exactly its own. Since that
 * reader doesn't tell where a value stands, the text is read a second time as
 * YAML, which JSON nearly is, for the places alone; where that fails, a fault
 * has its path and no line.
 */
#include <stdio.h>

#include "base/check.h"
#include "recipe/recipe_int.h"

static const struct doc_limits limits = {
    .bytes_max = RECIPE_BYTES_MAX,
    .depth_max = 32,
    .values_max = 10000,
};

/* ---- plain fields ------------------------------------------------------- */

static void read_name(struct reader *reader, const struct doc_value *value,
                      void *into)
{
    reader__recipe_name(reader, value, &((struct recipe *)into)->name);
}

static void read_description(struct reader *reader,
                             const struct doc_value *value, void *into)
{
    reader__string(reader, value, &((struct recipe *)into)->description);
}

static void read_labels(struct reader *reader, const struct doc_value *value,
                        void *into)
{
    struct slice text;
    if (value->kind != DOC_MAP) {
        reader__fail(reader, value,
                     "%s is here: write a map, labels: {team: "
                     "infra}",
                     doc_kind_text(value->kind));
        return;
    }
    for (size_t i = 0; i < value->count && !reader->err; i++) {
        const struct doc_member *member = &value->members[i];
        size_t mark = reader__enter(reader, member->name);
        if (slice_find(member->name, '\0') >= 0)
            reader__fail_at(reader, member->line, member->column,
                            "a name can't have a zero byte in it");
        reader__string(reader, member->value, &text);
        reader__leave(reader, mark);
    }
    ((struct recipe *)into)->labels = value_from_doc(reader->arena, value);
}

static void read_enabled(struct reader *reader, const struct doc_value *value,
                         void *into)
{
    reader__bool(reader, value, &((struct recipe *)into)->enabled);
}

static void read_shadow(struct reader *reader, const struct doc_value *value,
                        void *into)
{
    reader__bool(reader, value, &((struct recipe *)into)->shadow);
}

static void read_owner(struct reader *reader, const struct doc_value *value,
                       void *into)
{
    struct slice *owner = &((struct recipe *)into)->owner;
    if (!reader__string(reader, value, owner))
        return;
    if (slice_eq(*owner, SLICE("root")))
        reader__fail(reader, value,
                     "a recipe never has root's permissions: write a user who "
                     "may do no more than it needs");
    else if (owner->size == 0)
        reader__fail(reader, value, "write a user's name, or leave it out");
}

static void read_order(struct reader *reader, const struct doc_value *value,
                       void *into)
{
    static const char *const words[] = {"per-key", "strict", "none"};
    size_t word;
    if (reader__choice(reader, value, words, 3, &word))
        ((struct recipe *)into)->order = (enum recipe_order)word;
}

static void read_mode(struct reader *reader, const struct doc_value *value,
                      void *into)
{
    static const char *const words[] = {"queued", "single", "restart",
                                        "parallel"};
    size_t word;
    if (reader__choice(reader, value, words, 4, &word))
        ((struct recipe *)into)->mode = (enum recipe_mode)word;
}

static void read_max(struct reader *reader, const struct doc_value *value,
                     void *into)
{
    struct recipe *recipe = into;
    int64_t max;
    if (reader__count(reader, value, 1, RECIPE_ACTIVE_MAX, &max))
        recipe->max = (unsigned)max;
    if (recipe->mode == MODE_SINGLE || recipe->mode == MODE_RESTART)
        reader__fail(reader, value,
                     "max goes with mode queued or parallel: leave it out");
}

static void read_debounce(struct reader *reader, const struct doc_value *value,
                          void *into)
{
    reader__duration(reader, value, second_ns / 1000,
                     &((struct recipe *)into)->debounce_ns);
}

static void read_on_gap(struct reader *reader, const struct doc_value *value,
                        void *into)
{
    static const char *const words[] = {"pause", "skip", "resync"};
    size_t word;
    if (reader__choice(reader, value, words, 3, &word))
        ((struct recipe *)into)->on_gap = (enum recipe_gap)word;
}

/* ---- start -------------------------------------------------------------- */

static void read_revision(struct reader *reader, const struct doc_value *value,
                          void *into)
{
    struct recipe *recipe = into;
    recipe->start = START_REVISION;
    reader__count(reader, value, 1, INT64_MAX, &recipe->start_revision);
}

static const struct field start_fields[] = {
    {.name = "revision",
     .read = read_revision,
     .needed = "where to begin, revision: 1234"},
};
static const struct schema start_schema = {.what = "start",
                                           SCHEMA_FIELDS(start_fields)};

/* "revision: 1234" in quotes, as the specification has it. */
static bool read_revision_text(struct slice text, int64_t *out)
{
    struct slice prefix = SLICE("revision:");
    if (!slice_has_prefix(text, prefix))
        return false;
    size_t at = prefix.size;
    while (at < text.size && text.at[at] == ' ')
        at++;
    return slice_to_i64(slice_of(text.at + at, text.size - at), out) &&
           *out > 0;
}

static void read_start(struct reader *reader, const struct doc_value *value,
                       void *into)
{
    struct recipe *recipe = into;
    if (value->kind == DOC_MAP)
        reader__map(reader, value, &start_schema, 0, recipe);
    else if (value->kind == DOC_STRING && slice_eq(value->text, SLICE("now")))
        recipe->start = START_NOW;
    else if (value->kind == DOC_STRING &&
             slice_eq(value->text, SLICE("beginning")))
        recipe->start = START_BEGINNING;
    else if (value->kind == DOC_STRING &&
             read_revision_text(value->text, &recipe->start_revision))
        recipe->start = START_REVISION;
    else
        reader__fail(reader, value, "write now, beginning or {revision: 1234}");
}

/* ---- loop, keep, throttle, dedupe --------------------------------------- */

/* A count a duration: `throttle`, `loop.breaker`. */
struct rate {
    int64_t count;
    int64_t per_ns;
};

static void read_rate_count(struct reader *reader,
                            const struct doc_value *value, void *into)
{
    reader__count(reader, value, 1, 1000000, &((struct rate *)into)->count);
}

static void read_rate_per(struct reader *reader, const struct doc_value *value,
                          void *into)
{
    reader__duration(reader, value, second_ns, &((struct rate *)into)->per_ns);
}

static const struct field rate_fields[] = {
    {.name = "count",
     .read = read_rate_count,
     .needed = "how many runs, count: 5"},
    {.name = "per", .read = read_rate_per, .needed = "in which time, per: 1h"},
};
static const struct schema throttle_schema = {.what = "throttle",
                                              SCHEMA_FIELDS(rate_fields)};
static const struct schema breaker_schema = {.what = "breaker",
                                             SCHEMA_FIELDS(rate_fields)};

static void read_throttle(struct reader *reader, const struct doc_value *value,
                          void *into)
{
    struct recipe *recipe = into;
    struct rate rate = {0};
    reader__map(reader, value, &throttle_schema, 0, &rate);
    recipe->throttle.count = (unsigned)rate.count;
    recipe->throttle.per_ns = rate.per_ns;
}

static void read_max_depth(struct reader *reader, const struct doc_value *value,
                           void *into)
{
    int64_t depth;
    if (reader__count(reader, value, 1, 1000, &depth))
        ((struct recipe *)into)->max_depth = (unsigned)depth;
}

static void read_reentrant(struct reader *reader, const struct doc_value *value,
                           void *into)
{
    reader__bool(reader, value, &((struct recipe *)into)->reentrant);
}

static void read_breaker(struct reader *reader, const struct doc_value *value,
                         void *into)
{
    struct recipe *recipe = into;
    struct rate rate = {0};
    reader__map(reader, value, &breaker_schema, 0, &rate);
    recipe->breaker.count = (unsigned)rate.count;
    recipe->breaker.per_ns = rate.per_ns;
}

static const struct field loop_fields[] = {
    {.name = "max_depth", .read = read_max_depth, .standard = "8"},
    {.name = "reentrant", .read = read_reentrant, .standard = "false"},
    {.name = "breaker",
     .read = read_breaker,
     .inside = &breaker_schema,
     .standard = "{\"count\":1000,\"per\":\"1m\"}"},
};
static const struct schema loop_schema = {.what = "loop",
                                          SCHEMA_FIELDS(loop_fields)};

static void read_loop(struct reader *reader, const struct doc_value *value,
                      void *into)
{
    reader__map(reader, value, &loop_schema, 0, into);
}

static void read_keep_runs(struct reader *reader, const struct doc_value *value,
                           void *into)
{
    int64_t runs;
    if (reader__count(reader, value, 1, 1000000, &runs))
        ((struct recipe *)into)->keep_runs = (unsigned)runs;
}

static void read_keep_for(struct reader *reader, const struct doc_value *value,
                          void *into)
{
    reader__duration(reader, value, second_ns,
                     &((struct recipe *)into)->keep_ns);
}

static const struct field keep_fields[] = {
    {.name = "runs", .read = read_keep_runs, .standard = "1000"},
    {.name = "for", .read = read_keep_for, .standard = "\"7d\""},
};
static const struct schema keep_schema = {.what = "keep",
                                          SCHEMA_FIELDS(keep_fields)};

static void read_keep(struct reader *reader, const struct doc_value *value,
                      void *into)
{
    reader__map(reader, value, &keep_schema, 0, into);
}

static void read_dedupe_key(struct reader *reader,
                            const struct doc_value *value, void *into)
{
    ((struct recipe *)into)->dedupe.key =
        names__template(reader, value, SCOPE_EVENT | SCOPE_STORE);
}

static void read_dedupe_ttl(struct reader *reader,
                            const struct doc_value *value, void *into)
{
    reader__duration(reader, value, second_ns,
                     &((struct recipe *)into)->dedupe.ttl_ns);
}

static const struct field dedupe_fields[] = {
    {.name = "key",
     .read = read_dedupe_key,
     .needed = "what makes two events the same, key: \"{{key}}\""},
    {.name = "ttl",
     .read = read_dedupe_ttl,
     .needed = "how long that is remembered, ttl: 10m"},
};
static const struct schema dedupe_schema = {.what = "dedupe",
                                            SCHEMA_FIELDS(dedupe_fields)};

/* ---- the table ---------------------------------------------------------- */

/* What has no handler here needs the names: read_compiled does these. */
static const struct field fields[] = {
    {.name = "name", .read = read_name, .needed = "the recipe's name"},
    {.name = "description", .read = read_description, .standard = "\"\""},
    {.name = "labels", .read = read_labels, .standard = "{}"},
    {.name = "enabled", .read = read_enabled, .standard = "true"},
    {.name = "shadow", .read = read_shadow, .standard = "false"},
    {.name = "owner", .read = read_owner},
    {.name = "if",
     .inside = &triggers__schema,
     .needed = "what it is about, a list of triggers: - key: /a/{name}",
     .is_list = true},
    {.name = "where", .standard = "[]", .is_list = true},
    {.name = "let", .standard = "{}"},
    {.name = "then",
     .inside = &actions__schema,
     .needed = "what is to be done, a list of actions: - put: {key: /b, "
               "value: x}",
     .is_list = true},
    {.name = "on_failure",
     .inside = &actions__schema,
     .standard = "[]",
     .is_list = true},
    {.name = "order", .read = read_order, .standard = "\"per-key\""},
    {.name = "mode", .read = read_mode, .standard = "\"queued\""},
    {.name = "max", .read = read_max, .standard = "1000"},
    {.name = "dedupe", .inside = &dedupe_schema},
    {.name = "throttle", .read = read_throttle, .inside = &throttle_schema},
    {.name = "debounce", .read = read_debounce},
    {.name = "start", .read = read_start, .standard = "\"now\""},
    {.name = "on_gap", .read = read_on_gap, .standard = "\"pause\""},
    {.name = "loop", .read = read_loop, .inside = &loop_schema},
    {.name = "keep", .read = read_keep, .inside = &keep_schema},
    {.name = "tests", .standard = "[]"},
};
const struct schema document__schema = {.what = "a recipe",
                                        SCHEMA_FIELDS(fields)};

/* ---- what needs the names ----------------------------------------------- */

static void read_lets(struct reader *reader, const struct doc_value *value)
{
    struct recipe *recipe = reader->recipe;
    CHECK_EQ(recipe->let_count, value->count);
    for (size_t i = 0; i < recipe->let_count && !reader->err; i++) {
        size_t mark = reader__enter(reader, recipe->lets[i].name);
        reader->lets_known = i;
        recipe->lets[i].value =
            names__template(reader, value->members[i].value,
                            SCOPE_EVENT | SCOPE_STORE | SCOPE_SECRET);
        names__note_secret(reader, i);
        reader__leave(reader, mark);
    }
    reader->lets_known = recipe->let_count;
}

static void read_where(struct reader *reader, const struct doc_value *value)
{
    struct recipe *recipe = reader->recipe;
    struct items items;
    reader__items(reader, value, RECIPE_WHERE_MAX, &items);
    recipe->where =
        arena_alloc(reader->arena, (items.count + 1) * sizeof *recipe->where);
    for (size_t i = 0; i < items.count && !reader->err; i++) {
        struct condition *condition = &recipe->where[recipe->where_count++];
        size_t mark = reader__enter_item(reader, i);
        *condition = (struct condition){0};
        if (names__text(reader, items.list[i], &condition->text))
            condition->expr = names__condition(reader, items.list[i],
                                               SCOPE_EVENT | SCOPE_STORE);
        reader__leave(reader, mark);
    }
}

static void read_then(struct reader *reader, const struct doc_value *value)
{
    struct recipe *recipe = reader->recipe;
    reader->scope = SCOPE_EVENT | SCOPE_STORE | SCOPE_STEPS;
    reader->id_prefix = "";
    actions__read(reader, value, &recipe->then, &recipe->then_count);
    if (!reader->err && recipe->then_count == 0)
        reader__fail(reader, value, "an empty list: write at least one action");
}

static void read_on_failure(struct reader *reader,
                            const struct doc_value *value)
{
    struct recipe *recipe = reader->recipe;
    reader->scope = SCOPE_EVENT | SCOPE_STORE | SCOPE_STEPS | SCOPE_ERROR;
    reader->id_prefix = "f";
    actions__read(reader, value, &recipe->on_failure,
                  &recipe->on_failure_count);
}

static void read_dedupe(struct reader *reader, const struct doc_value *value)
{
    reader__map(reader, value, &dedupe_schema, 0, reader->recipe);
}

static void read_tests(struct reader *reader, const struct doc_value *value)
{
    reader->recipe->tests = (struct doc_value *)(uintptr_t)value;
    examples__check(reader, value);
}

static void read_part(struct reader *reader, const char *name,
                      void (*read)(struct reader *reader,
                                   const struct doc_value *value))
{
    const struct doc_value *value = doc_get(reader->document, name);
    if (!value || reader->err)
        return;
    size_t mark = reader__enter(reader, slice_str(name));
    read(reader, value);
    reader__leave(reader, mark);
}

static void read_compiled(struct reader *reader)
{
    const struct doc_value *document = reader->document;
    const struct doc_value *triggers = doc_get(document, "if");
    CHECK(triggers);
    triggers__read_patterns(reader, triggers);
    if (reader->err)
        return;
    names__build(reader, doc_get(document, "let"));
    read_part(reader, "let", read_lets);
    if (!reader->err)
        triggers__read(reader, triggers);
    read_part(reader, "where", read_where);
    read_part(reader, "dedupe", read_dedupe);
    read_part(reader, "then", read_then);
    read_part(reader, "on_failure", read_on_failure);
    read_part(reader, "tests", read_tests);
}

/* ---- the text ----------------------------------------------------------- */

/* Lines and columns from a tree of the same text, as far as both agree. */
static void borrow_places(struct doc_value *to, const struct doc_value *from)
{
    to->line = from->line;
    to->column = from->column;
    if (to->kind != from->kind || to->count != from->count)
        return;
    for (size_t i = 0; i < to->count && to->kind == DOC_LIST; i++)
        borrow_places(to->items[i], from->items[i]);
    for (size_t i = 0; i < to->count && to->kind == DOC_MAP; i++) {
        if (!slice_eq(to->members[i].name, from->members[i].name))
            return;
        to->members[i].line = from->members[i].line;
        to->members[i].column = from->members[i].column;
        borrow_places(to->members[i].value, from->members[i].value);
    }
}

static enum err parse_json(struct reader *reader, struct doc_value **out)
{
    struct arena scratch;
    struct doc_value *places;
    enum err err = doc_parse_json(reader->arena, reader->text, &limits, out);
    if (err)
        return err;
    arena_init(&scratch, 0);
    if (doc_parse_yaml(&scratch, reader->text, &limits, &places) == ERR_OK)
        borrow_places(*out, places);
    arena_deinit(&scratch);
    return ERR_OK;
}

/* Digits at *text; they are taken off. */
static int take_number(const char **text)
{
    int number = 0;
    for (; **text >= '0' && **text <= '9' && number < 100000000; ++*text)
        number = number * 10 + (**text - '0');
    return number;
}

/* "line 3, column 7: ..." of a note of doc/ into its parts. */
static void take_note(struct recipe_fault *fault)
{
    const char *text = err_note();
    const char *at = text;
    int line = 0, column = 0;
    if (strncmp(at, "line ", 5) == 0) {
        at += 5;
        line = take_number(&at);
    }
    if (line && strncmp(at, ", column ", 9) == 0) {
        at += 9;
        column = take_number(&at);
    }
    if (column && strncmp(at, ": ", 2) == 0) {
        fault->line = line;
        fault->column = column;
        text = at + 2;
    }
    snprintf(fault->text, sizeof fault->text, "%s", text);
}

static enum err parse_text(struct reader *reader, struct doc_value **out)
{
    size_t at = 0;
    while (at < reader->text.size && strchr(" \t\r\n", reader->text.at[at]) &&
           reader->text.at[at])
        at++;
    bool is_json = at < reader->text.size && reader->text.at[at] == '{';
    enum err err =
        is_json ? parse_json(reader, out)
                : doc_parse_yaml(reader->arena, reader->text, &limits, out);
    if (err)
        take_note(reader->fault);
    return err;
}

/* ---- the whole ---------------------------------------------------------- */

static struct recipe *new_recipe(void)
{
    struct recipe *recipe = mem_alloc_zero(sizeof *recipe);
    static const struct value_map no_labels;
    arena_init(&recipe->arena, 0);
    recipe->labels = (struct value){.kind = VALUE_MAP, .map = &no_labels};
    recipe->enabled = true;
    recipe->max = RECIPE_ACTIVE_MAX;
    recipe->max_depth = RECIPE_DEPTH_DEFAULT;
    recipe->breaker.count = 1000;
    recipe->breaker.per_ns = minute_ns;
    recipe->keep_runs = 1000;
    recipe->keep_ns = 7 * day_ns;
    return recipe;
}

void recipe_free(struct recipe *recipe)
{
    if (!recipe)
        return;
    arena_deinit(&recipe->arena);
    mem_free(recipe);
}

static void write_canonical(struct reader *reader)
{
    struct buf json = {0};
    CHECK_EQ(reader->err, ERR_OK);
    CHECK_EQ(reader->path_size, 0);
    canonical__write(&json, reader->document);
    reader->recipe->json =
        slice_of(arena_dup(reader->arena, json.at, json.size), json.size);
    buf_deinit(&json);
}

/* A document that just fits may not, as it is stored: escapes and lists of one
 * make it larger. Nobody could read it again. */
static void check_stored(struct reader *reader)
{
    struct arena scratch;
    struct doc_value *ignored;
    arena_init(&scratch, 0);
    enum err err =
        doc_parse_json(&scratch, reader->recipe->json, &limits, &ignored);
    if (err) {
        reader__fail_at(reader, 0, 0, "it is stored as JSON, which has %s",
                        err_note());
        reader->err = err;
    }
    arena_deinit(&scratch);
}

/* As if it had been written first. */
static void add_member(struct reader *reader, struct doc_value *document,
                       const char *name, struct slice text)
{
    struct arena *arena = reader->arena;
    if (text.size == 0 || document->kind != DOC_MAP || doc_get(document, name))
        return;
    struct doc_value *value = arena_alloc(arena, sizeof *value);
    struct doc_member *members =
        arena_alloc(arena, (document->count + 1) * sizeof *members);
    *value = (struct doc_value){
        .kind = DOC_STRING,
        .text = slice_of(arena_dup(arena, text.at, text.size), text.size)};
    members[0] = (struct doc_member){.name = slice_str(name), .value = value};
    for (size_t i = 0; i < document->count; i++)
        members[i + 1] = document->members[i];
    document->members = members;
    document->count++;
}

static enum err read_document(struct reader *reader)
{
    struct doc_value *document;
    enum err err = parse_text(reader, &document);
    if (err)
        return err;
    add_member(reader, document, "owner", reader->given->owner);
    add_member(reader, document, "name", reader->given->name);
    reader->document = document;
    reader__map(reader, document, &document__schema, 0, reader->recipe);
    if (!reader->err)
        read_compiled(reader);
    if (!reader->err)
        write_canonical(reader);
    if (!reader->err)
        check_stored(reader);
    return reader->err;
}

/* "line 3, column 7: if[0].key: ..." */
static enum err report(enum err err, const struct recipe_fault *fault)
{
    CHECK(fault->text[0]);
    err_set(err, "%s", fault->text);
    if (fault->path[0])
        err_wrap(err, "%s", fault->path);
    if (fault->line)
        err_wrap(err, "line %d, column %d", fault->line, fault->column);
    return err;
}

enum err recipe_parse(struct slice text, const struct zones *zones,
                      struct recipe **out, struct recipe_fault *fault)
{
    const struct recipe_given nothing = {{0}, {0}};
    return recipe_parse_given(text, &nothing, zones, out, fault);
}

enum err recipe_parse_given(struct slice text, const struct recipe_given *given,
                            const struct zones *zones, struct recipe **out,
                            struct recipe_fault *fault)
{
    struct recipe_fault own;
    struct reader reader = {.zones = zones,
                            .text = text,
                            .given = given,
                            .fault = fault ? fault : &own};
    *out = NULL;
    *reader.fault = (struct recipe_fault){0};
    reader.recipe = new_recipe();
    reader.arena = &reader.recipe->arena;
    enum err err = read_document(&reader);
    if (err) {
        recipe_free(reader.recipe);
        return report(err, reader.fault);
    }
    *out = reader.recipe;
    return ERR_OK;
}
