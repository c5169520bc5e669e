/* Runs. Those under way are keys of their own (active/); records of finished
 * ones are in lists (run/), each named by the first run in it.
 *
 * A list is written once and never changes. So a record's place (its list, its
 * recipe, its index there) is for ever, and a page goes on exactly behind the
 * place where the one before it ended, whatever was recorded meanwhile: none is
 * left out and none is there twice, with several recipes too, of which one
 * event may have begun runs of the same id. Runs under way come first.
 *
 * Lists are read from the newest on, recipe by recipe, each no further than the
 * worst place that is still wanted: the `cut`. */
#include <stdlib.h>

#include "base/check.h"
#include "base/time_text.h"
#include "runner/rest_int.h"

enum {
    LISTS_OF_PAGE = 20,    /* read from the store at a time */
    LISTS_OF_RECIPE = 500, /* looked at for one answer */
    LISTS_OF_RUN = 2000,   /* before and behind one that is looked for */
    ANSWER_BYTES_MAX = 4 << 20,
    ACTIVES_READ = 1000,
};

/* In the order in which they are shown. */
struct place {
    bool is_active;
    struct run_id list; /* under way: the run itself */
    struct slice recipe;
    int64_t index; /* in the list; the last one is the newest */
};

struct found {
    struct place place;
    struct run_id id;
    char *json;
    size_t size;
};

struct wanted {
    struct slice recipe; /* empty: all, one after the other */
    struct slice status;
    int64_t since_ns;
    int64_t until_ns;
    size_t limit;
    bool has_after;
    struct place after; /* only what is behind it */
    bool has_cut;
    struct place cut;    /* nothing behind it is shown */
    bool more;           /* there is something */
    struct slice cursor; /* the recipe that is being read */
    struct slice end;    /* of the range that is left */
    int looked_at;       /* lists of it */
    struct arena scratch;
    struct found *found;
    size_t count;
    size_t bytes;
    /* One run: */
    struct run_id id;
    bool is_forward; /* all lists before it have been looked at */
};

static void undo(struct request *request)
{
    struct wanted *wanted = request->state;
    for (size_t i = 0; i < wanted->count; i++) {
        mem_free(wanted->found[i].json);
    }
    mem_free(wanted->found);
    arena_deinit(&wanted->scratch);
}

static struct wanted *begin(struct request *request, size_t limit)
{
    struct wanted *wanted = arena_alloc(&request->arena, sizeof(*wanted));
    *wanted = (struct wanted){.until_ns = INT64_MAX, .limit = limit};
    arena_init(&wanted->scratch, 0);
    request->state = wanted;
    request->undo = undo;
    return wanted;
}

/* ---- places -------------------------------------------------------------- */

static int place_compare(const struct place *a, const struct place *b)
{
    int order = (int)b->is_active - (int)a->is_active;
    if (order == 0) {
        order = run_id_compare(&b->list, &a->list);
    }
    if (order == 0) {
        order = slice_cmp(a->recipe, b->recipe);
    }
    return order ? order : (b->index > a->index) - (b->index < a->index);
}

/* "1234.2/0/name", or with "active/" before it. */
static void write_place(struct buf *json, const struct place *place)
{
    char id[RUN_ID_BYTES_MAX];
    struct buf text = {0};
    size_t size = run_id_to_text(&place->list, id);
    buf_printf(&text, "%s%.*s/%lld/", place->is_active ? "active/" : "",
               (int)size, id, (long long)place->index);
    buf_append_slice(&text, place->recipe);
    rest__text(json, "next", buf_slice(&text));
    buf_deinit(&text);
}

static struct slice cut_piece(struct slice *text)
{
    ptrdiff_t at = slice_find(*text, '/');
    size_t size = at < 0 ? text->size : (size_t)at;
    struct slice piece = slice_of(text->at, size);
    size += at >= 0;
    *text = slice_of(text->at + size, text->size - size);
    return piece;
}

static bool read_place(struct slice text, struct place *out)
{
    *out = (struct place){0};
    if (slice_has_prefix(text, SLICE("active/"))) {
        out->is_active = true;
        (void)cut_piece(&text);
    }
    if (!run_id_parse(cut_piece(&text), &out->list) ||
        !slice_to_i64(cut_piece(&text), &out->index)) {
        return false;
    }
    out->recipe = text;
    return recipe_name_is_valid(text);
}

/* ---- what is found ------------------------------------------------------- */

static void set_cut(struct wanted *wanted, const struct place *place)
{
    if (!wanted->has_cut || place_compare(place, &wanted->cut) < 0) {
        wanted->cut = *place;
        wanted->has_cut = true;
    }
    while (wanted->count > 0 &&
           place_compare(&wanted->found[wanted->count - 1].place,
                         &wanted->cut) > 0) {
        struct found *last = &wanted->found[--wanted->count];
        wanted->bytes -= last->size;
        mem_free(last->json);
        wanted->more = true;
    }
}

static bool is_behind_cut(struct wanted *wanted, const struct place *place)
{
    if (!wanted->has_cut || place_compare(place, &wanted->cut) <= 0) {
        return false;
    }
    wanted->more = true;
    return true;
}

static void insert(struct wanted *wanted, const struct found *found)
{
    size_t at = wanted->count;
    if (wanted->found == NULL) {
        wanted->found = mem_alloc((wanted->limit + 1) * sizeof(*found));
    }
    while (at > 0 &&
           place_compare(&wanted->found[at - 1].place, &found->place) > 0) {
        at--;
    }
    memmove(&wanted->found[at + 1], &wanted->found[at],
            (wanted->count - at) * sizeof(*found));
    wanted->found[at] = *found;
    wanted->count++;
    wanted->bytes += found->size;
    while (wanted->count > wanted->limit ||
           (wanted->bytes > ANSWER_BYTES_MAX && wanted->count > 1)) {
        struct place place = wanted->found[wanted->count - 2].place;
        set_cut(wanted, &place);
    }
    if (wanted->count == wanted->limit) {
        struct place place = wanted->found[wanted->count - 1].place;
        set_cut(wanted, &place);
    }
}

static bool text_is(const struct doc_value *record, const char *name,
                    struct slice wanted)
{
    const struct doc_value *value = doc_get(record, name);
    return wanted.size == 0 || (value != NULL && value->kind == DOC_STRING &&
                                slice_eq(value->text, wanted));
}

static bool read_id(const struct doc_value *record, struct run_id *out)
{
    const struct doc_value *id =
        record->kind == DOC_MAP ? doc_get(record, "id") : NULL;
    return id != NULL && id->kind == DOC_STRING && run_id_parse(id->text, out);
}

static void consider(struct request *request, const struct doc_value *record,
                     const struct place *place)
{
    struct wanted *wanted = request->state;
    struct found found = {.place = *place};
    const struct doc_value *time;
    struct buf json = {0};
    int64_t time_ns = 0;
    if ((wanted->has_after && place_compare(place, &wanted->after) <= 0) ||
        !read_id(record, &found.id) ||
        !text_is(record, "status", wanted->status) ||
        is_behind_cut(wanted, place)) {
        return;
    }
    time = doc_get(record, "time");
    if (time != NULL && time->kind == DOC_STRING) {
        (void)time_from_rfc3339(time->text, &time_ns);
    }
    if (time_ns < wanted->since_ns || time_ns > wanted->until_ns) {
        return;
    }
    struct value value = value_from_doc(&wanted->scratch, record);
    value_write_json(&json, &value);
    found.json = mem_dup(json.at, json.size);
    found.size = json.size;
    buf_deinit(&json);
    insert(wanted, &found);
}

/* In the scratch arena, gone with the next one; NULL: it isn't ours. */
static const struct doc_value *parse(struct request *request, struct slice json)
{
    struct wanted *wanted = request->state;
    struct doc_value *doc;
    const struct doc_limits limits = {
        .bytes_max = 16 << 20, .depth_max = 64, .values_max = 1000000};
    arena_reset(&wanted->scratch);
    return doc_parse_json(&wanted->scratch, json, &limits, &doc) == ERR_OK &&
                   doc->kind == DOC_LIST
               ? doc
               : NULL;
}

static void consider_actives(struct request *request, struct machine *machine)
{
    struct wanted *wanted = request->state;
    struct buf json = {0};
    machine_list_active(machine, &json);
    const struct doc_value *doc = parse(request, buf_slice(&json));
    for (size_t i = 0; doc != NULL && i < doc->count; i++) {
        struct place place = {.is_active = true, .recipe = wanted->cursor};
        if (read_id(doc->items[i], &place.list)) {
            consider(request, doc->items[i], &place);
        }
    }
    buf_deinit(&json);
}

/* ---- those under way, elsewhere ------------------------------------------ */

/* A recipe that isn't this worker's: what the store has of it, as a machine
 * that does nothing. NULL: it can't be read. */
static struct machine *make_machine(struct request *request,
                                    const struct def *def,
                                    const Etcdserverpb__RangeResponse *range)
{
    const struct machine_config config = {
        .recipe = def->recipe,
        .uid = def->uid,
        .zones = runner__config(request->runner)->zones};
    struct machine *machine = machine_new(&config);
    enum err err = ERR_OK;
    for (size_t i = 0; i < range->n_kvs && err == ERR_OK; i++) {
        const Mvccpb__KeyValue *kv = range->kvs[i];
        err = machine_load(machine, message_bytes(kv->key),
                           message_bytes(kv->value), kv->mod_revision);
    }
    if (err == ERR_OK) {
        err = machine_load_cursor(machine, SLICE(""), 0);
    }
    if (err != ERR_OK) {
        machine_free(machine);
        return NULL;
    }
    return machine;
}

/* True: they are being read, and `done` comes. */
static bool read_actives(struct request *request, store_done done)
{
    struct wanted *wanted = request->state;
    struct def *def = def__find(request->runner, wanted->cursor);
    if (def == NULL || def->recipe == NULL) {
        return false;
    }
    if (work__machine(def) != NULL) {
        consider_actives(request, work__machine(def));
        return false;
    }
    struct slice key =
        rest__key(request, RECIPE_KEY_ACTIVE, wanted->cursor, "");
    struct slice end = rest__end(request, key);
    rest__range(request, key, &end, 0, ACTIVES_READ, done);
    return true;
}

/* False: answered. */
static bool take_actives(struct request *request,
                         const struct store_answer *answer)
{
    struct wanted *wanted = request->state;
    request->call = 0;
    if (answer->code != 0) {
        rest__store_error(request, answer);
        return false;
    }
    struct def *def = def__find(request->runner, wanted->cursor);
    if (def != NULL && def->recipe != NULL) {
        struct machine *machine = make_machine(request, def, answer->range);
        if (machine != NULL) {
            consider_actives(request, machine);
            machine_free(machine);
        }
    }
    return true;
}

/* ---- answering ----------------------------------------------------------- */

static int newest_first(const void *a, const void *b)
{
    const struct found *x = a;
    const struct found *y = b;
    int order = (int)y->place.is_active - (int)x->place.is_active;
    order = order ? order : run_id_compare(&y->id, &x->id);
    return order ? order : place_compare(&x->place, &y->place);
}

/* It ended while the lists were being read. */
static bool has_ended(const struct wanted *wanted, const struct found *found)
{
    for (size_t i = 0; found->place.is_active && i < wanted->count; i++) {
        const struct found *other = &wanted->found[i];
        if (!other->place.is_active &&
            run_id_compare(&other->id, &found->id) == 0 &&
            slice_eq(other->place.recipe, found->place.recipe)) {
            return true;
        }
    }
    return false;
}

static void answer_list(struct request *request)
{
    struct wanted *wanted = request->state;
    struct buf json = {0};
    if (wanted->count > 0) {
        qsort(wanted->found, wanted->count, sizeof(*wanted->found),
              newest_first);
    }
    buf_append_str(&json, "{\"runs\":[");
    for (size_t i = 0; i < wanted->count; i++) {
        const struct found *found = &wanted->found[i];
        if (!has_ended(wanted, found)) {
            buf_append_str(&json, json.at[json.size - 1] == '[' ? "" : ",");
            buf_append(&json, found->json, found->size);
        }
    }
    buf_append_char(&json, ']');
    if (wanted->more) {
        CHECK(wanted->has_cut);
        write_place(&json, &wanted->cut);
    }
    buf_append_char(&json, '}');
    rest__answer(request, 200, &json);
}

/* ---- lists --------------------------------------------------------------- */

static void go_on(struct request *request);

/* False: no more lists of this recipe are wanted. */
static bool take_list(struct request *request, const Mvccpb__KeyValue *kv)
{
    struct wanted *wanted = request->state;
    enum recipe_key kind;
    struct slice name;
    struct slice rest;
    struct place place = {.recipe = wanted->cursor, .index = INT64_MAX};
    if (!recipe_key_read(message_bytes(kv->key), &kind, &name, &rest) ||
        !run_id_parse(rest, &place.list)) {
        return true; /* not ours: it is shown by nobody */
    }
    if (is_behind_cut(wanted, &place)) {
        return false;
    }
    const struct doc_value *doc = parse(request, message_bytes(kv->value));
    for (size_t i = doc ? doc->count : 0; i-- > 0;) {
        place.index = (int64_t)i;
        consider(request, doc->items[i], &place);
    }
    if (++wanted->looked_at >= LISTS_OF_RECIPE) {
        place.index = 0;
        set_cut(wanted, &place);
    }
    return true;
}

static void read_lists(struct request *request);

static void lists_read(struct runner *runner, void *context,
                       const struct store_answer *answer)
{
    struct request *request = context;
    struct wanted *wanted = request->state;
    bool goes_on = true;
    (void)runner;
    request->call = 0;
    if (answer->code != 0) {
        rest__store_error(request, answer);
        return;
    }
    const Etcdserverpb__RangeResponse *range = answer->range;
    for (size_t i = 0; i < range->n_kvs && goes_on; i++) {
        goes_on = take_list(request, range->kvs[i]);
    }
    if (!goes_on || !range->more || range->n_kvs == 0) {
        go_on(request);
        return;
    }
    wanted->end =
        rest__keep(request, message_bytes(range->kvs[range->n_kvs - 1]->key));
    read_lists(request);
}

static void range_of(struct request *request, struct slice from,
                     struct slice end, bool descends, store_done done)
{
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    range.key = message_data(from);
    range.range_end = message_data(end);
    range.limit = LISTS_OF_PAGE;
    range.sort_order = descends
                           ? ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND
                           : ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND;
    range.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY;
    rest__range_of(request, &range, done);
}

static void read_lists(struct request *request)
{
    struct wanted *wanted = request->state;
    range_of(request, rest__key(request, RECIPE_KEY_RUN, wanted->cursor, ""),
             wanted->end, true, lists_read);
}

/* Right behind the list of this name. */
static struct slice behind_list(struct request *request,
                                const struct run_id *id)
{
    struct wanted *wanted = request->state;
    char text[RUN_ID_BYTES_MAX];
    size_t size = run_id_to_key(id, text);
    struct slice key =
        rest__key(request, RECIPE_KEY_RUN, wanted->cursor,
                  arena_printf(&request->arena, "%.*s", (int)size, text));
    return rest__behind(request, key);
}

/* True: it is being read. */
static bool begin_lists(struct request *request)
{
    struct wanted *wanted = request->state;
    if (slice_eq(wanted->status, SLICE("active"))) {
        return false;
    }
    if (wanted->has_cut && wanted->cut.is_active) {
        wanted->more = true;
        return false;
    }
    wanted->looked_at = 0;
    wanted->end = rest__end(
        request, rest__key(request, RECIPE_KEY_RUN, wanted->cursor, ""));
    if (wanted->has_after && !wanted->after.is_active) {
        wanted->end = behind_list(request, &wanted->after.list);
    }
    read_lists(request);
    return true;
}

static void actives_read(struct runner *runner, void *context,
                         const struct store_answer *answer)
{
    struct request *request = context;
    (void)runner;
    if (take_actives(request, answer) && !begin_lists(request)) {
        go_on(request);
    }
}

/* ---- recipes ------------------------------------------------------------- */

/* False: that was the last one. */
static bool next_recipe(struct request *request)
{
    struct wanted *wanted = request->state;
    if (wanted->recipe.size > 0) {
        /* A recipe that was deleted may have left its records. */
        bool is_first = wanted->cursor.size == 0;
        wanted->cursor = wanted->recipe;
        return is_first;
    }
    const struct def *def = def__next(request->runner, wanted->cursor);
    if (def == NULL) {
        return false;
    }
    wanted->cursor = rest__keep(request, def->name);
    return true;
}

static void go_on(struct request *request)
{
    struct wanted *wanted = request->state;
    bool wants_actives =
        (!wanted->has_after || wanted->after.is_active) &&
        (wanted->status.size == 0 || slice_eq(wanted->status, SLICE("active")));
    while (next_recipe(request)) {
        if ((wants_actives && read_actives(request, actives_read)) ||
            begin_lists(request)) {
            return;
        }
    }
    answer_list(request);
}

static bool is_status(struct slice text)
{
    for (int i = 0; i <= RUN_ACTIVE; i++) {
        if (slice_eq(text, slice_str(run_status_text((enum run_status)i)))) {
            return true;
        }
    }
    return text.size == 0;
}

void rest__list_runs(struct request *request)
{
    int64_t limit = REST_PAGE;
    struct slice after = rest__parameter(request, "after");
    if (!rest__number(request, "limit", 1, REST_PAGE_MAX, &limit)) {
        return;
    }
    struct wanted *wanted = begin(request, (size_t)limit);
    wanted->recipe = rest__parameter(request, "recipe");
    wanted->status = rest__parameter(request, "status");
    if (!rest__time(request, "since", &wanted->since_ns) ||
        !rest__time(request, "until", &wanted->until_ns)) {
        return;
    }
    if (!defs__are_known(request->runner)) {
        rest__not_ready(request);
    } else if (wanted->recipe.size > 0 &&
               !recipe_name_is_valid(wanted->recipe)) {
        rest__error(request, 400, "invalid", "that is no recipe's name");
    } else if (!is_status(wanted->status)) {
        rest__error(request, 400, "invalid",
                    "status: write ok, failed, skipped, cancelled or active");
    } else if (after.size > 0 && !read_place(after, &wanted->after)) {
        rest__error(request, 400, "invalid",
                    "after: write the \"next\" of the page before");
    } else {
        wanted->has_after = after.size > 0;
        go_on(request);
    }
}

/* ---- one run ------------------------------------------------------------- */

static void find_forward(struct request *request);

static void answer_none(struct request *request)
{
    rest__error(request, 404, "not_found", "there is no run %.*s of \"%.*s\"",
                (int)request->segments[2].size, request->segments[2].at,
                (int)request->segments[1].size, request->segments[1].at);
}

/* True: it was there, and is answered. */
static bool find_in(struct request *request, const struct doc_value *doc)
{
    struct wanted *wanted = request->state;
    struct run_id id;
    for (size_t i = 0; doc != NULL && i < doc->count; i++) {
        if (read_id(doc->items[i], &id) &&
            run_id_compare(&id, &wanted->id) == 0) {
            struct buf json = {0};
            struct value value =
                value_from_doc(&wanted->scratch, doc->items[i]);
            value_write_json(&json, &value);
            rest__answer(request, 200, &json);
            return true;
        }
    }
    return false;
}

static void one_read(struct runner *runner, void *context,
                     const struct store_answer *answer)
{
    struct request *request = context;
    struct wanted *wanted = request->state;
    (void)runner;
    request->call = 0;
    if (answer->code != 0) {
        rest__store_error(request, answer);
        return;
    }
    const Etcdserverpb__RangeResponse *range = answer->range;
    for (size_t i = 0; i < range->n_kvs; i++) {
        const Mvccpb__KeyValue *kv = range->kvs[i];
        /* A record is written behind the event that it is of. */
        if (kv->mod_revision > wanted->id.revision &&
            find_in(request, parse(request, message_bytes(kv->value)))) {
            return;
        }
    }
    wanted->looked_at += (int)range->n_kvs;
    if (range->more && range->n_kvs > 0 && wanted->looked_at < LISTS_OF_RUN) {
        struct slice last = message_bytes(range->kvs[range->n_kvs - 1]->key);
        struct slice prefix =
            rest__key(request, RECIPE_KEY_RUN, wanted->cursor, "");
        range_of(request,
                 wanted->is_forward ? rest__behind(request, last) : prefix,
                 wanted->is_forward ? rest__end(request, prefix)
                                    : rest__keep(request, last),
                 !wanted->is_forward, one_read);
    } else if (!wanted->is_forward) {
        find_forward(request);
    } else {
        answer_none(request);
    }
}

/* It may have ended in one turn with a run that began later, and be in that
 * one's list. */
static void find_forward(struct request *request)
{
    struct wanted *wanted = request->state;
    wanted->is_forward = true;
    wanted->looked_at = 0;
    range_of(request, behind_list(request, &wanted->id),
             rest__end(request,
                       rest__key(request, RECIPE_KEY_RUN, wanted->cursor, "")),
             false, one_read);
}

static void find_backward(struct request *request)
{
    struct wanted *wanted = request->state;
    for (size_t i = 0; i < wanted->count; i++) {
        if (run_id_compare(&wanted->found[i].id, &wanted->id) == 0) {
            struct buf json = {0};
            buf_append(&json, wanted->found[i].json, wanted->found[i].size);
            rest__answer(request, 200, &json);
            return;
        }
    }
    range_of(request, rest__key(request, RECIPE_KEY_RUN, wanted->cursor, ""),
             behind_list(request, &wanted->id), true, one_read);
}

static void its_actives_read(struct runner *runner, void *context,
                             const struct store_answer *answer)
{
    struct request *request = context;
    (void)runner;
    if (take_actives(request, answer)) {
        find_backward(request);
    }
}

void rest__get_run(struct request *request)
{
    struct wanted *wanted = begin(request, RECIPE_ACTIVE_MAX);
    wanted->cursor = request->segments[1];
    if (!recipe_name_is_valid(wanted->cursor)) {
        rest__error(request, 404, "not_found", "that is no recipe's name");
    } else if (!run_id_parse(request->segments[2], &wanted->id)) {
        rest__error(request, 400, "invalid",
                    "a run's id is as in the list: 1234, 1234.1, 1234.0.1");
    } else if (!read_actives(request, its_actives_read)) {
        find_backward(request);
    }
}
