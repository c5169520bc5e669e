/* A run by its id alone: it is looked for in all recipes, and told where no
 * other one has the same.
 *
 * A list is named by the first run in it, and a run that waited long is in the
 * list of those that it ended with; so of each recipe the lists before its
 * place are looked at, the nearest first, and then those behind it. */
#include "runner/rest_int.h"

#include "base/check.h"

enum { LISTS_OF_PAGE = 50 };

struct search {
    struct run_id id;
    char text[RUN_ID_BYTES_MAX + 1]; /* as in keys */
    struct slice name;               /* the recipe that is searched */
    bool is_behind;                  /* its lists behind the place */
    struct slice at;                 /* where the next page begins, or ends */
    struct buf found;
    struct slice found_in;
};

static void undo(struct request *request)
{
    buf_deinit(&((struct search *)request->state)->found);
}

static void search_name(struct request *request);

static void answer_found(struct request *request)
{
    struct search *search = request->state;
    struct buf json = search->found;
    struct slice id = request->segments[1];
    if (search->found_in.size == 0) {
        rest__error(request, 404, "not_found", "no recipe has a run %.*s",
                    (int)id.size, id.at);
        return;
    }
    search->found = (struct buf){0};
    rest__answer(request, 200, &json);
}

/* This recipe is done. */
static void end_name(struct request *request)
{
    struct search *search = request->state;
    const struct def *def = def__next(request->runner, search->name);
    if (def == NULL) {
        answer_found(request);
        return;
    }
    search->name = rest__keep(request, def->name);
    search_name(request);
}

static void is_found(struct request *request)
{
    struct search *search = request->state;
    if (search->found_in.size > 0) {
        rest__error(request, 409, "ambiguous",
                    "\"%.*s\" and \"%.*s\" both have it: write "
                    "runs/<recipe>/<run>",
                    (int)search->found_in.size, search->found_in.at,
                    (int)search->name.size, search->name.at);
        return;
    }
    search->found_in = search->name;
    end_name(request);
}

/* ---- lists --------------------------------------------------------------- */

static bool is_it(const struct search *search, const struct doc_value *record)
{
    const struct doc_value *text = doc_get(record, "id");
    struct run_id id;
    return text != NULL && text->kind == DOC_STRING &&
           run_id_parse(text->text, &id) &&
           run_id_compare(&id, &search->id) == 0;
}

static bool find_in(struct search *search, struct slice list)
{
    struct arena arena;
    struct doc_value *doc;
    bool found = false;
    arena_init(&arena, 0);
    if (doc_parse_json(&arena, list, &rest__record_limits, &doc) == ERR_OK &&
        doc->kind == DOC_LIST) {
        for (size_t i = 0; i < doc->count && !found; i++) {
            found = is_it(search, doc->items[i]);
            if (found) {
                struct value value = value_from_doc(&arena, doc->items[i]);
                buf_reset(&search->found);
                value_write_json(&search->found, &value);
            }
        }
    }
    arena_deinit(&arena);
    return found;
}

static void read_lists(struct request *request);

static void lists_read(struct runner *runner, void *context,
                       const struct store_answer *answer)
{
    struct request *request = context;
    struct search *search = request->state;
    (void)runner;
    request->call = 0;
    if (answer->code != 0) {
        rest__store_error(request, answer);
        return;
    }
    const Etcdserverpb__RangeResponse *range = answer->range;
    for (size_t i = 0; i < range->n_kvs; i++) {
        if (find_in(search, message_bytes(range->kvs[i]->value))) {
            is_found(request);
            return;
        }
    }
    if (range->more && range->n_kvs > 0) {
        struct slice last = message_bytes(range->kvs[range->n_kvs - 1]->key);
        search->at = search->is_behind ? rest__behind(request, last)
                                       : rest__keep(request, last);
        read_lists(request);
    } else if (!search->is_behind) {
        search->is_behind = true;
        search->at = (struct slice){0};
        read_lists(request);
    } else {
        end_name(request);
    }
}

static void read_lists(struct request *request)
{
    struct search *search = request->state;
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    struct slice all = rest__key(request, RECIPE_KEY_RUN, search->name, "");
    struct slice at = search->at;
    if (at.size == 0) {
        /* The first key behind the one that it would name itself. */
        at = rest__behind(request, rest__key(request, RECIPE_KEY_RUN,
                                             search->name, search->text));
    }
    range.key = message_data(search->is_behind ? at : all);
    range.range_end =
        message_data(search->is_behind ? rest__end(request, all) : at);
    range.limit = LISTS_OF_PAGE;
    if (!search->is_behind) {
        range.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
        range.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY;
    }
    rest__range_of(request, &range, lists_read);
}

/* ---- a recipe ------------------------------------------------------------ */

static void active_read(struct runner *runner, void *context,
                        const struct store_answer *answer)
{
    struct request *request = context;
    struct search *search = request->state;
    request->call = 0;
    if (answer->code != 0) {
        rest__store_error(request, answer);
        return;
    }
    if (answer->range->n_kvs > 0) {
        const Mvccpb__KeyValue *kv = answer->range->kvs[0];
        buf_reset(&search->found);
        rest__write_active(runner, &search->found, message_bytes(kv->key),
                           message_bytes(kv->value));
        is_found(request);
        return;
    }
    search->is_behind = false;
    search->at = (struct slice){0};
    read_lists(request);
}

static void search_name(struct request *request)
{
    struct search *search = request->state;
    rest__range(
        request,
        rest__key(request, RECIPE_KEY_ACTIVE, search->name, search->text), NULL,
        0, 0, active_read);
}

void rest__find_run(struct request *request)
{
    struct search *search = arena_alloc(&request->arena, sizeof(*search));
    *search = (struct search){0};
    request->state = search;
    if (!run_id_parse(request->segments[1], &search->id)) {
        rest__error(request, 400, "invalid",
                    "a run's id is as in the list: 1234, 1234.1, 1234.0.1");
        return;
    }
    if (!defs__are_known(request->runner)) {
        rest__not_ready(request);
        return;
    }
    search->text[run_id_to_key(&search->id, search->text)] = 0;
    request->undo = undo;
    end_name(request); /* goes to the first one */
}

/* ---- those under way, for the stream ------------------------------------- */

static void write_bare(struct buf *out, struct slice name, struct slice run)
{
    struct run_id id;
    char text[RUN_ID_BYTES_MAX];
    size_t size = run_id_parse(run, &id) ? run_id_to_text(&id, text) : 0;
    buf_append_char(out, '{');
    rest__text(out, "id", slice_of(text, size));
    rest__text(out, "recipe", name);
    rest__text(out, "status", SLICE("active"));
    buf_append_char(out, '}');
}

/* As a machine shows it, whoever has the recipe. */
void rest__write_active(struct runner *runner, struct buf *out,
                        struct slice key, struct slice value)
{
    enum recipe_key kind;
    struct slice name;
    struct slice rest;
    struct buf list = {0};
    if (!recipe_key_read(key, &kind, &name, &rest)) {
        return;
    }
    const struct def *def = def__find(runner, name);
    if (def != NULL && def->recipe != NULL) {
        const struct machine_config config = {
            .recipe = def->recipe,
            .uid = def->uid,
            .zones = runner__config(runner)->zones};
        struct machine *machine = machine_new(&config);
        if (machine_load(machine, key, value, 0) == ERR_OK) {
            machine_list_active(machine, &list);
        }
        machine_free(machine);
    }
    if (list.size > 2) {
        buf_append(out, list.at + 1, list.size - 2); /* without its [ ] */
    } else {
        write_bare(out, name, rest);
    }
    buf_deinit(&list);
}
