/* Definitions, their states and owners, and who works: what the keys below
 * def/, status/, owner/ and worker/ say.
 *
 *   defs__begin -> each of the four is read, page by page, at one revision
 *               -> then watched from there
 *               -> read again when its history was compacted away
 *
 * What one watch tells may come before what another one tells of an earlier
 * revision: a status may be known before its definition is. */
#include "doc/doc.h"
#include "proto/message.h"
#include "proto/rpc.pb-c.h"
#include "runner/runner_core.h"

enum { PAGE_KEYS = 500 };
enum { PART_DEF, PART_STATUS, PART_OWNER };

static const enum recipe_key control_keys[CONTROL_COUNT] = {
    [CONTROL_DEF] = RECIPE_KEY_DEF,
    [CONTROL_STATUS] = RECIPE_KEY_STATUS,
    [CONTROL_OWNER] = RECIPE_KEY_OWNER,
    [CONTROL_WORKER] = RECIPE_KEY_WORKER,
};

const char *def_state_text(enum def_state state)
{
    static const char *const texts[] = {
        [DEF_RUNS] = "running",  [DEF_DISABLED] = "disabled",
        [DEF_PAUSED] = "paused", [DEF_TRIPPED] = "tripped",
        [DEF_GAP] = "gap",       [DEF_BROKEN] = "broken",
    };
    CHECK_LE(state, DEF_BROKEN);
    return texts[state];
}

/* ---- slices that are a definition's own ---------------------------------- */

static void set_slice(struct slice *to, struct slice from)
{
    char *copy = mem_dup(from.size ? from.at : "", from.size ? from.size : 1);
    mem_free((char *)(uintptr_t)to->at);
    *to = slice_of(copy, from.size);
}

static void free_slice(struct slice *slice)
{
    mem_free((char *)(uintptr_t)slice->at);
    *slice = (struct slice){0};
}

/* ---- one ---------------------------------------------------------------- */

static struct slice def_key(const void *value)
{
    const struct def *def = value;
    return def->name;
}

struct def *def__find(struct runner *runner, struct slice name)
{
    struct def *def = map_get(&runner->defs.by_name, name);
    return def && def->is_defined ? def : NULL;
}

/* The place of the first one whose name isn't less. */
static size_t place_of(const struct defs *defs, struct slice name)
{
    size_t low = 0;
    size_t high = defs->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_cmp(defs->sorted[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct def *def__next(struct runner *runner, struct slice after)
{
    const struct defs *defs = &runner->defs;
    size_t place = place_of(defs, after);
    if (place < defs->count && slice_eq(defs->sorted[place]->name, after))
        place++;
    return place < defs->count ? defs->sorted[place] : NULL;
}

bool defs__are_known(const struct runner *runner)
{
    return runner->defs.are_known;
}

static struct def *find_or_make(struct runner *runner, struct slice name)
{
    struct def *def = map_get(&runner->defs.by_name, name);
    if (def)
        return def;
    def = mem_alloc_zero(sizeof *def);
    set_slice(&def->name, name);
    list_init(&def->claims);
    map_put(&runner->defs.by_name, def);
    return def;
}

static void free_def(struct runner *runner, struct def *def)
{
    CHECK(def->work == NULL);
    list_remove(&def->claims);
    if (def->claiming) {
        store__cancel(runner, def->claiming);
        runner->workers.claiming--;
    }
    recipe_free(def->recipe);
    free_slice(&def->name);
    free_slice(&def->json);
    free_slice(&def->why);
    free_slice(&def->owner);
    free_slice(&def->status);
    free_slice(&def->status_why);
    mem_free(def);
}

/* Nothing is known of it any more. */
static void free_if_gone(struct runner *runner, struct def *def)
{
    if (def->is_defined || def->status_revision || def->owner.size)
        return;
    map_remove(&runner->defs.by_name, def->name);
    free_def(runner, def);
}

static enum def_state state_of(const struct def *def)
{
    if (!def->recipe)
        return DEF_BROKEN;
    if (!def->recipe->enabled)
        return DEF_DISABLED;
    if (slice_eq(def->status, SLICE("paused")))
        return DEF_PAUSED;
    if (slice_eq(def->status, SLICE("tripped")))
        return DEF_TRIPPED;
    if (slice_eq(def->status, SLICE("gap")))
        return DEF_GAP;
    return DEF_RUNS;
}

static void settle(struct runner *runner, struct def *def)
{
    def->state = state_of(def);
    /* A broken one says why it can't be read, whatever its status says. */
    if (def->state != DEF_BROKEN)
        set_slice(&def->why, def->status_why);
    if (def->work)
        work__changed(runner, def->work);
    workers__consider(runner, def);
}

/* ---- def/ ---------------------------------------------------------------- */

static void insert(struct defs *defs, struct def *def)
{
    if (defs->count == defs->capacity) {
        defs->capacity = defs->capacity ? defs->capacity * 2 : 16;
        defs->sorted =
            mem_realloc(defs->sorted, defs->capacity * sizeof(struct def *));
    }
    size_t place = place_of(defs, def->name);
    memmove(defs->sorted + place + 1, defs->sorted + place,
            (defs->count - place) * sizeof(struct def *));
    defs->sorted[place] = def;
    defs->count++;
}

static void take_out(struct defs *defs, const struct def *def)
{
    size_t place = place_of(defs, def->name);
    CHECK_LT(place, defs->count);
    CHECK(defs->sorted[place] == def);
    defs->count--;
    memmove(defs->sorted + place, defs->sorted + place + 1,
            (defs->count - place) * sizeof(struct def *));
}

static void forget_plan(struct runner *runner, struct def *def)
{
    /* Machine and subscriptions point into the plan. */
    if (def->work)
        work__drop(runner, def->work, 0);
    recipe_free(def->recipe);
    def->recipe = NULL;
    runner->defs.generation++;
}

/* Where its dead letters are wanted again; part of the plan's arena, which has
 * room, where another one would cost each recipe a page. */
static void make_retries(struct def *def)
{
    struct arena *arena = &def->recipe->arena;
    struct buf key = {0};
    struct slice rest = SLICE("retry/");
    recipe_key_write(&key, RECIPE_KEY_IN, def->name, &rest);
    struct slice text = slice_of(arena_dup(arena, key.at, key.size), key.size);
    enum err err = pattern_parse(arena, text, &def->retries, NULL);
    CHECK_EQ(err, ERR_OK);
    buf_deinit(&key);
}

static void compile(struct runner *runner, struct def *def)
{
    struct recipe_fault fault = {0};
    enum err err =
        recipe_parse(def->json, runner->config.zones, &def->recipe, &fault);
    if (!err && !slice_eq(def->recipe->name, def->name)) {
        recipe_free(def->recipe);
        def->recipe = NULL;
        err = err_set(ERR_INVALID, "its name isn't its key's");
    }
    if (!err) {
        make_retries(def);
        return;
    }
    def->recipe = NULL;
    set_slice(&def->why, slice_str(err_note()));
    log_error("recipes", "a definition can't be read",
              LOG_SLICE("recipe", def->name), LOG_STR("why", err_note()));
}

struct found_key {
    struct slice value;
    int64_t create_revision;
    int64_t mod_revision;
    int64_t version;
};

static void define(struct runner *runner, struct slice name,
                   const struct found_key *found, unsigned mark)
{
    struct def *def = find_or_make(runner, name);
    def->marks[PART_DEF] = mark;
    if (def->is_defined && found->mod_revision <= def->mod_revision)
        return;
    if (def->is_defined)
        forget_plan(runner, def);
    else
        insert(&runner->defs, def);
    def->is_defined = true;
    def->uid = found->create_revision;
    def->mod_revision = found->mod_revision;
    def->version = found->version;
    set_slice(&def->json, found->value);
    compile(runner, def);
    runner->defs.generation++;
    settle(runner, def);
}

static void undefine(struct runner *runner, struct def *def)
{
    if (!def->is_defined)
        return;
    forget_plan(runner, def);
    take_out(&runner->defs, def);
    def->is_defined = false;
    def->mod_revision = 0;
    def->uid = 0;
    workers__consider(runner, def);
    free_if_gone(runner, def);
}

/* ---- status/ ------------------------------------------------------------- */

static void read_status(struct def *def, struct slice json)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct doc_value *doc;
    struct slice state = SLICE("paused"); /* what can't be read stops it */
    struct slice why = SLICE("its status can't be read");
    if (!doc_parse_json(&arena, json, &doc_limits_default, &doc)) {
        const struct doc_value *member = doc_get(doc, "state");
        if (member && member->kind == DOC_STRING)
            state = member->text;
        member = doc_get(doc, "why");
        why = member && member->kind == DOC_STRING ? member->text : SLICE("");
    }
    set_slice(&def->status, state);
    set_slice(&def->status_why, why);
    arena_deinit(&arena);
}

static void set_status(struct runner *runner, struct slice name,
                       const struct found_key *found, unsigned mark)
{
    struct def *def = find_or_make(runner, name);
    def->marks[PART_STATUS] = mark;
    if (found->mod_revision <= def->status_revision)
        return;
    def->status_revision = found->mod_revision;
    read_status(def, found->value);
    if (def->is_defined)
        settle(runner, def);
}

static void forget_status(struct def *def)
{
    def->status_revision = 0;
    free_slice(&def->status);
    free_slice(&def->status_why);
}

static void drop_status(struct runner *runner, struct def *def)
{
    if (!def->status_revision)
        return;
    forget_status(def);
    if (def->is_defined)
        settle(runner, def);
    else
        free_if_gone(runner, def);
}

/* ---- owner/ -------------------------------------------------------------- */

void def__set_owner(struct runner *runner, struct def *def, struct slice worker,
                    int64_t claim, int64_t revision)
{
    if (revision <= def->owner_revision)
        return;
    def->owner_revision = revision;
    set_slice(&def->owner, worker);
    def->owner_claim = claim;
    workers__consider(runner, def);
}

/* ---- what is read and told ----------------------------------------------- */

static void take_put(struct runner *runner, int control, struct slice name,
                     const struct found_key *found, unsigned mark)
{
    struct def *def;
    switch (control) {
    case CONTROL_DEF:
        define(runner, name, found, mark);
        break;
    case CONTROL_STATUS:
        set_status(runner, name, found, mark);
        break;
    case CONTROL_OWNER:
        def = find_or_make(runner, name);
        def->marks[PART_OWNER] = mark;
        def__set_owner(runner, def, found->value, found->create_revision,
                       found->mod_revision);
        break;
    default:
        workers__told(runner, name, true, mark);
        break;
    }
}

static void take_delete(struct runner *runner, int control, struct slice name,
                        int64_t revision)
{
    if (control == CONTROL_WORKER) {
        workers__told(runner, name, false, 0);
        return;
    }
    struct def *def = map_get(&runner->defs.by_name, name);
    if (!def)
        return;
    if (control == CONTROL_DEF) {
        undefine(runner, def);
    } else if (control == CONTROL_STATUS) {
        drop_status(runner, def);
    } else {
        def__set_owner(runner, def, SLICE(""), 0, revision);
        free_if_gone(runner, def);
    }
}

static void control_event(struct runner *runner, struct watch *watch,
                          const struct watch_event *event)
{
    const struct control *control = CONTAINER_OF(watch, struct control, watch);
    int index = (int)(control - runner->defs.controls);
    enum recipe_key kind;
    struct slice name;
    struct slice rest;
    if (!recipe_key_read(event->key, &kind, &name, &rest) ||
        kind != control_keys[index] || rest.size)
        return;
    if (event->is_delete) {
        take_delete(runner, index, name, event->revision);
        return;
    }
    struct found_key found = {
        .value = event->value,
        .create_revision = event->create_revision,
        .mod_revision = event->revision,
        .version = event->version,
    };
    take_put(runner, index, name, &found, runner->defs.mark);
}

static void control_compacted(struct runner *runner, struct watch *watch,
                              int64_t revision)
{
    (void)watch;
    log_info("recipes", "definitions are read again: history was compacted",
             LOG_INT("revision", revision));
    for (int i = 0; i < CONTROL_COUNT; i++)
        watch__end(runner, &runner->defs.controls[i].watch);
    defs__begin(runner);
}

static const struct watch_kind control_kind = {
    .event = control_event,
    .compacted = control_compacted,
};

/* ---- reading ------------------------------------------------------------- */

static void read_page(struct runner *runner);

static void sweep(struct runner *runner)
{
    struct defs *defs = &runner->defs;
    int64_t revision = defs->read_revision;
    size_t count = 0;
    struct def **all =
        mem_alloc((defs->by_name.count + 1) * sizeof(struct def *));
    size_t position = 0;
    struct def *def;
    while ((def = map_next(&defs->by_name, &position)))
        all[count++] = def;
    for (size_t i = 0; i < count; i++) {
        bool has_owner = all[i]->owner.size > 0;
        if (has_owner && all[i]->marks[PART_OWNER] != defs->mark)
            def__set_owner(runner, all[i], SLICE(""), 0, revision);
        if (all[i]->status_revision &&
            all[i]->marks[PART_STATUS] != defs->mark) {
            forget_status(all[i]);
            if (all[i]->is_defined)
                settle(runner, all[i]);
        }
        /* The last of it: it may be gone then. */
        if (all[i]->is_defined && all[i]->marks[PART_DEF] != defs->mark)
            undefine(runner, all[i]);
        else
            free_if_gone(runner, all[i]);
    }
    mem_free(all);
    workers__sweep(runner, defs->mark);
}

static void end_reading(struct runner *runner)
{
    struct defs *defs = &runner->defs;
    defs->reading = -1;
    sweep(runner);
    for (int i = 0; i < CONTROL_COUNT; i++) {
        defs->controls[i].watch.next = defs->read_revision + 1;
        watch__begin(runner, &defs->controls[i].watch);
    }
    if (!defs->are_known)
        log_info("recipes", "definitions are read",
                 LOG_UINT("count", defs->count),
                 LOG_INT("revision", defs->read_revision));
    defs->are_known = true;
    runner->workers.is_dirty = true;
}

static void begin_control(struct defs *defs, int control)
{
    defs->reading = control;
    buf_reset(&defs->read_from);
    buf_append_str(&defs->read_from, defs->controls[control].key);
}

static void take_page(struct runner *runner, void *context,
                      const struct store_answer *answer)
{
    (void)context;
    struct defs *defs = &runner->defs;
    defs->call = 0;
    if (answer->code != 0) {
        /* Compacted meanwhile, too: from the beginning. */
        timer__set(runner, &defs->retry,
                   runner->now.mono_ns +
                       runner__backoff(runner, ++defs->failures));
        return;
    }
    defs->failures = 0;
    const Etcdserverpb__RangeResponse *page = answer->range;
    if (!defs->read_revision)
        defs->read_revision = store__header_revision(answer->message);
    for (size_t i = 0; i < page->n_kvs; i++) {
        const Mvccpb__KeyValue *kv = page->kvs[i];
        enum recipe_key kind;
        struct slice name;
        struct slice rest;
        struct found_key found = {message_bytes(kv->value), kv->create_revision,
                                  kv->mod_revision, kv->version};
        if (recipe_key_read(message_bytes(kv->key), &kind, &name, &rest) &&
            kind == control_keys[defs->reading] && !rest.size)
            take_put(runner, defs->reading, name, &found, defs->mark);
    }
    if (page->more && page->n_kvs) {
        struct slice last = message_bytes(page->kvs[page->n_kvs - 1]->key);
        buf_reset(&defs->read_from);
        buf_append_slice(&defs->read_from, last);
        buf_append_char(&defs->read_from, '\0');
    } else if (defs->reading + 1 < CONTROL_COUNT) {
        begin_control(defs, defs->reading + 1);
    } else {
        end_reading(runner);
        return;
    }
    read_page(runner);
}

static void read_page(struct runner *runner)
{
    struct defs *defs = &runner->defs;
    CHECK(defs->reading >= 0 && defs->call == 0);
    struct slice end = slice_str(defs->controls[defs->reading].end);
    defs->call = store__range(runner, buf_slice(&defs->read_from), &end,
                              defs->read_revision, PAGE_KEYS, take_page, NULL);
}

static void read_again(struct runner *runner, struct timer *timer)
{
    (void)timer;
    defs__begin(runner);
}

void defs__begin(struct runner *runner)
{
    struct defs *defs = &runner->defs;
    if (defs->call)
        return;
    defs->mark++;
    defs->read_revision = 0;
    begin_control(defs, 0);
    read_page(runner);
}

/* ---- life ---------------------------------------------------------------- */

void defs__init(struct runner *runner)
{
    struct defs *defs = &runner->defs;
    map_init(&defs->by_name, def_key, runner->hash_seed);
    defs->reading = -1;
    defs->retry.due = read_again;
    for (int i = 0; i < CONTROL_COUNT; i++) {
        struct control *control = &defs->controls[i];
        struct buf key = {0};
        recipe_key_write(&key, control_keys[i], SLICE(""), NULL);
        CHECK_LT(key.size, sizeof control->key);
        memcpy(control->key, key.at, key.size);
        memcpy(control->end, key.at, key.size);
        control->end[key.size - 1]++;
        control->watch.kind = &control_kind;
        control->watch.key = slice_of(control->key, key.size);
        control->watch.end = slice_of(control->end, key.size);
        buf_deinit(&key);
    }
}

void defs__deinit(struct runner *runner)
{
    struct defs *defs = &runner->defs;
    store__cancel(runner, defs->call);
    timer__stop(runner, &defs->retry);
    for (int i = 0; i < CONTROL_COUNT; i++)
        watch__end(runner, &defs->controls[i].watch);
    size_t position = 0;
    struct def *def;
    while ((def = map_next(&defs->by_name, &position)))
        free_def(runner, def);
    map_deinit(&defs->by_name);
    mem_free(defs->sorted);
    buf_deinit(&defs->read_from);
}
