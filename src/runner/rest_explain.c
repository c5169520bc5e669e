/* Why a recipe did or didn't fire at a revision: the state that it had when it
 * came there, and the events from there on, once more, those of that revision
 * with an account.
 *
 *   the definition at that revision -> its plan
 *   -> the changes of that revision -> triggers that they concern
 *   -> history of the cursor from there on -> the turn that passed it
 *   -> state as it was with the cursor before that turn
 *   -> events from there up to the revision
 *
 * Where it hasn't come so far yet, the state is that of now. */
#include "base/check.h"
#include "runner/rest_past.h"

enum {
    CURSORS_OF_PAGE = 1000,
    CHANGED_SHOWN = 100, /* keys of the revision */
};

struct explain {
    struct past past;
    int64_t revision;
    bool is_of[RECIPE_TRIGGERS_MAX + 1]; /* triggers that it concerns */
    bool is_concerned;
    int64_t passed_at; /* the turn's revision; 0: it hasn't come there */
    int64_t cursors_next;
    int64_t cursors_count; /* of the page */
    struct buf accounts;
    struct buf changed; /* keys of that revision, as a JSON list */
    size_t changed_count;
};

static void undo(struct request *request)
{
    struct explain *explain = request->state;
    machine_free(explain->past.machine);
    past__deinit(&explain->past);
    buf_deinit(&explain->accounts);
    buf_deinit(&explain->changed);
}

/* ---- the answer ---------------------------------------------------------- */

static void answer(struct explain *explain, const char *outcome)
{
    struct request *request = explain->past.request;
    struct def *def = def__find(request->runner, explain->past.recipe->name);
    struct buf json = {0};
    buf_append_char(&json, '{');
    rest__text(&json, "recipe", explain->past.recipe->name);
    rest__integer(&json, "revision", explain->revision);
    if (explain->is_concerned) {
        rest__boolean(&json, "taken", explain->passed_at != 0);
    }
    if (explain->passed_at != 0) {
        rest__integer(&json, "taken_at", explain->passed_at);
    }
    if (def != NULL) {
        rest__text(&json, "state", slice_str(def_state_text(def->state)));
    }
    rest__name(&json, "changed");
    buf_append_char(&json, '[');
    buf_append_slice(&json, buf_slice(&explain->changed));
    buf_append_char(&json, ']');
    rest__integer(&json, "changed_count", (int64_t)explain->changed_count);
    rest__name(&json, "accounts");
    buf_append_char(&json, '[');
    buf_append_slice(&json, buf_slice(&explain->accounts));
    buf_append_char(&json, ']');
    if (outcome != NULL) {
        rest__text(&json, "outcome", slice_str(outcome));
    }
    buf_append_char(&json, '}');
    rest__answer(request, 200, &json);
}

/* ---- once more ----------------------------------------------------------- */

static enum turn_end take(struct past *past, size_t trigger,
                          const struct recipe_event *event)
{
    struct explain *explain = (struct explain *)past;
    bool is_it = event->id.revision == explain->revision;
    struct account account;
    enum turn_end end = TURN_FULL;
    account_init(&account);
    while (end == TURN_FULL) {
        struct turn turn;
        turn_init(&turn);
        end = machine_event(past->machine, trigger, event, &past->lookups,
                            &turn, is_it ? &account : NULL);
        turn_deinit(&turn);
    }
    if (end == TURN_TAKEN && is_it && account.json.size > 0) {
        buf_append_str(&explain->accounts, explain->accounts.size ? "," : "");
        buf_append_slice(&explain->accounts, buf_slice(&account.json));
    }
    account_deinit(&account);
    return end;
}

static enum turn_end end(struct past *past)
{
    struct explain *explain = (struct explain *)past;
    const char *outcome = NULL;
    if (explain->accounts.size == 0) {
        outcome = "its trigger was told, and nothing came of it: it had begun "
                  "later, or wants other outcomes";
    }
    answer(explain, outcome);
    return TURN_TAKEN;
}

static void loaded(struct past *past)
{
    struct explain *explain = (struct explain *)past;
    if (past->next > explain->revision) {
        answer(explain, "the recipe begins behind this revision: `start` or an "
                        "edit says so");
        return;
    }
    past->to = explain->revision;
    past__read(past);
}

static void replay(struct explain *explain)
{
    struct past *past = &explain->past;
    const struct machine_config config = {
        .recipe = past->recipe,
        .uid = past->uid,
        .zones = runner__config(past->request->runner)->zones,
        .seed = 1};
    past->machine = machine_new(&config);
    past->take = take;
    past->end = end;
    past->state_at = explain->passed_at ? explain->passed_at - 1 : 0;
    past__load(past, loaded);
}

/* ---- the turn that took it ----------------------------------------------- */

/* Is one of the triggers in question at or behind the revision? */
static bool passes(struct explain *explain, struct slice cursor)
{
    struct past *past = &explain->past;
    const struct machine_config config = {
        .recipe = past->recipe,
        .uid = past->uid,
        .zones = runner__config(past->request->runner)->zones};
    struct machine *machine = machine_new(&config);
    bool is_behind = false;
    if (machine_load_cursor(machine, cursor, 0) == ERR_OK) {
        for (size_t i = 0; i < past->recipe->trigger_count; i++) {
            is_behind = is_behind || (explain->is_of[i] &&
                                      machine_position(machine, i).revision >=
                                          explain->revision);
        }
    }
    machine_free(machine);
    return is_behind;
}

static void take_cursor(void *context, const Etched__V1__HistoryRecord *record)
{
    struct explain *explain = context;
    const Mvccpb__KeyValue *kv = record->event->kv;
    explain->cursors_count++;
    explain->cursors_next = kv->mod_revision + 1;
    if (explain->passed_at == 0 &&
        record->event->type == MVCCPB__EVENT__EVENT_TYPE__PUT &&
        passes(explain, message_bytes(kv->value))) {
        explain->passed_at = kv->mod_revision;
    }
}

static void read_cursors(struct explain *explain);

static void cursors_read(struct runner *runner, void *context,
                         const struct store_answer *answered)
{
    struct request *request = context;
    struct explain *explain = request->state;
    (void)runner;
    if (answered->more) {
        past__records(answered, take_cursor, explain);
        return;
    }
    request->call = 0;
    if (answered->code != 0) {
        rest__store_error(request, answered);
    } else if (explain->passed_at == 0 &&
               explain->cursors_count >= CURSORS_OF_PAGE) {
        read_cursors(explain);
    } else {
        replay(explain);
    }
}

static void read_cursors(struct explain *explain)
{
    struct request *request = explain->past.request;
    explain->cursors_count = 0;
    past__ask(
        request,
        rest__key(request, RECIPE_KEY_CURSOR, explain->past.recipe->name, NULL),
        explain->cursors_next, 0, CURSORS_OF_PAGE, cursors_read);
}

/* ---- what it was --------------------------------------------------------- */

static void take_change(void *context, const Etched__V1__HistoryRecord *record)
{
    struct explain *explain = context;
    const struct recipe *recipe = explain->past.recipe;
    struct slice captures[PATTERN_CAPTURES_MAX];
    struct slice key = message_bytes(record->event->kv->key);
    bool is_put = record->event->type == MVCCPB__EVENT__EVENT_TYPE__PUT;
    for (size_t i = 0; i < recipe->trigger_count; i++) {
        if (pattern_matches(&recipe->triggers[i].pattern, key, captures)) {
            explain->is_of[i] = true;
            explain->is_concerned = true;
        }
    }
    if (explain->changed_count++ >= CHANGED_SHOWN) {
        return;
    }
    struct value text = value_string(key);
    text.kind = slice_is_utf8(key) ? VALUE_STRING : VALUE_BYTES;
    buf_append_str(&explain->changed,
                   explain->changed.size ? ",{\"key\":" : "{\"key\":");
    value_write_json(&explain->changed, &text);
    rest__text(&explain->changed, "type",
               is_put ? SLICE("put") : SLICE("delete"));
    rest__text(&explain->changed, "cause", slice_str(record->cause));
    buf_append_char(&explain->changed, '}');
}

static void changes_read(struct runner *runner, void *context,
                         const struct store_answer *answered)
{
    struct request *request = context;
    struct explain *explain = request->state;
    (void)runner;
    if (answered->more) {
        past__records(answered, take_change, explain);
        return;
    }
    request->call = 0;
    if (answered->code != 0) {
        rest__store_error(request, answered);
    } else if (explain->changed_count == 0) {
        rest__error(request, 404, "not_found",
                    "there is no revision %lld: nothing was changed by it",
                    (long long)explain->revision);
    } else if (!explain->is_concerned) {
        answer(explain, "no trigger's pattern matches what was changed at this "
                        "revision");
    } else {
        explain->cursors_next = explain->revision + 1;
        read_cursors(explain);
    }
}

static void begin(struct request *request, struct slice json, int64_t uid,
                  int64_t defined_at)
{
    struct explain *explain = request->state;
    if (past__init(&explain->past, request, json, uid)) {
        explain->past.defined_at = defined_at;
        request->undo = undo;
        past__ask(request, (struct slice){0}, explain->revision,
                  explain->revision, 0, changes_read);
    }
}

/* As it was then; else, since it may begin with what was before it, as it is
 * now. */
static void def_read(struct runner *runner, void *context,
                     const struct store_answer *answered)
{
    struct request *request = context;
    struct explain *explain = request->state;
    request->call = 0;
    if (answered->code != 0) {
        rest__store_error(request, answered);
        return;
    }
    if (answered->range->n_kvs > 0) {
        const Mvccpb__KeyValue *kv = answered->range->kvs[0];
        begin(request, rest__keep(request, message_bytes(kv->value)),
              kv->create_revision, kv->mod_revision);
        return;
    }
    struct def *def = def__find(runner, rest__parameter(request, "recipe"));
    if (def == NULL || def->uid == 0) {
        rest__error(request, 404, "not_found",
                    "the recipe was deleted, and wasn't there at revision %lld",
                    (long long)explain->revision);
    } else {
        begin(request, rest__keep(request, def->json), def->uid,
              def->mod_revision);
    }
}

void rest__explain(struct request *request)
{
    struct slice name = rest__parameter(request, "recipe");
    struct explain *explain = arena_alloc(&request->arena, sizeof(*explain));
    memset(explain, 0, sizeof(*explain));
    if (!rest__number(request, "revision", 1, INT64_MAX - 1,
                      &explain->revision)) {
        return;
    }
    if (name.size == 0 || explain->revision == 0) {
        rest__error(request, 400, "invalid",
                    "write ?recipe=<name>&revision=<number>");
        return;
    }
    if (rest__def(request, name) == NULL || !rest__begin_replay(request)) {
        return;
    }
    request->state = explain;
    rest__range(request, rest__key(request, RECIPE_KEY_DEF, name, NULL), NULL,
                explain->revision, 0, def_read);
}
