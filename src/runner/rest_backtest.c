/* What a recipe would have done over a span of the past, beside what the one
 * of that name did. Nothing is written.
 *
 *   from, to -> revisions and their times -> (by name: its state before)
 *   -> events -> what would have been -> records of what was */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/time_text.h"
#include "runner/rest_past.h"

enum {
    RECORDS_OF_PAGE = 500, /* of history */
    IDS_SHOWN = 10000,     /* of each kind in the difference */
};

/* An end of the span, as it was given and as it was found. */
struct bound {
    bool is_given;
    bool is_time;
    bool is_found;
    int64_t revision;
    int64_t time_ns;
};

struct replay {
    struct past past;
    struct backtest *backtest;
    bool is_named; /* by name: the running version, from its state */
    struct bound from;
    struct bound to;
    struct bound *asking;
    struct run_id *done; /* runs that took place */
    size_t done_count;
    size_t done_capacity;
    bool is_of_active; /* runs under way are being told, else records */
    int64_t told_from; /* revision */
    int64_t told_to;
    int64_t told;
    int64_t told_limit;
};

static void undo(struct request *request)
{
    struct replay *replay = request->state;
    backtest_free(replay->backtest); /* with its machine */
    past__deinit(&replay->past);
    mem_free(replay->done);
}

/* ---- what took place ----------------------------------------------------- */

/* Records go after a while, so history tells, from the span on: each list of
 * records when it was written, and each run under way whenever it went on. */

static bool is_within(const struct replay *replay, const struct run_id *id)
{
    return id->revision >= replay->from.revision &&
           id->revision <= replay->to.revision;
}

/* Of a record it is text, of a run under way a number. */
static int64_t started_of(const struct doc_value *run)
{
    const struct doc_value *started = doc_get(run, "started");
    int64_t time_ns = 0;
    if (started != NULL && started->kind == DOC_INT) {
        time_ns = started->integer;
    } else if (started != NULL && started->kind == DOC_STRING) {
        (void)time_from_rfc3339(started->text, &time_ns);
    }
    return time_ns;
}

/* One that began with the span and was due behind it isn't of it; nor is one
 * that a person wanted again. */
static bool is_in_time(const struct replay *replay, const struct run_id *id,
                       const struct doc_value *run)
{
    bool is_due = id->tag >= RUN_TAG_DUE && id->tag < RUN_TAG_TRIGGER;
    return id->tag < RUN_TAG_AGAIN &&
           (!is_due || started_of(run) <= replay->to.time_ns);
}

static void note_done(struct replay *replay, const struct doc_value *run)
{
    const struct doc_value *text =
        run->kind == DOC_MAP ? doc_get(run, "id") : NULL;
    struct run_id id;
    if (text == NULL || text->kind != DOC_STRING ||
        !run_id_parse(text->text, &id) || !is_within(replay, &id) ||
        !is_in_time(replay, &id, run)) {
        return;
    }
    if (replay->done_count == replay->done_capacity) {
        replay->done_capacity =
            replay->done_capacity ? 2 * replay->done_capacity : 64;
        replay->done = mem_realloc(replay->done, replay->done_capacity *
                                                     sizeof(*replay->done));
    }
    replay->done[replay->done_count++] = id;
}

/* A list of records, or one run under way. */
static void note_record(void *context, const Etched__V1__HistoryRecord *record)
{
    struct replay *replay = context;
    struct slice json = message_bytes(record->event->kv->value);
    struct arena arena;
    struct doc_value *doc;
    replay->told++;
    replay->told_to = record->event->kv->mod_revision;
    if (record->event->type != MVCCPB__EVENT__EVENT_TYPE__PUT) {
        return;
    }
    arena_init(&arena, 0);
    if (doc_parse_json(&arena, json, &rest__record_limits, &doc) == ERR_OK) {
        for (size_t i = 0; doc->kind == DOC_LIST && i < doc->count; i++) {
            note_done(replay, doc->items[i]);
        }
        note_done(replay, doc);
    }
    arena_deinit(&arena);
}

/* ---- the answer ---------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
    return run_id_compare(a, b);
}

/* A sorted list of ids without doubles. */
struct ids {
    struct run_id *list;
    size_t count;
};

static void sort(struct ids *ids)
{
    size_t kept = 0;
    if (ids->count > 0) {
        qsort(ids->list, ids->count, sizeof(*ids->list), by_id);
    }
    for (size_t i = 0; i < ids->count; i++) {
        if (i == 0 || by_id(&ids->list[i], &ids->list[i - 1]) != 0) {
            ids->list[kept++] = ids->list[i];
        }
    }
    ids->count = kept;
}

static bool has(const struct ids *ids, const struct run_id *id)
{
    return ids->count > 0 && bsearch(id, ids->list, ids->count,
                                     sizeof(*ids->list), by_id) != NULL;
}

/* Those of `of` that `other` has, or hasn't. */
static void write_ids(struct buf *json, const char *name, const struct ids *of,
                      const struct ids *other, bool is_in_both)
{
    size_t count = 0;
    rest__name(json, name);
    buf_append_char(json, '[');
    for (size_t i = 0; i < of->count; i++) {
        char text[RUN_ID_BYTES_MAX];
        if (has(other, &of->list[i]) != is_in_both || count++ >= IDS_SHOWN) {
            continue;
        }
        buf_printf(json, "%s\"%.*s\"", count > 1 ? "," : "",
                   (int)run_id_to_text(&of->list[i], text), text);
    }
    buf_append_char(json, ']');
    char counted[32];
    snprintf(counted, sizeof(counted), "%s_count", name);
    rest__integer(json, counted, (int64_t)count);
}

static void write_difference(struct replay *replay, struct buf *json)
{
    const struct run_id *given;
    size_t count = backtest_runs(replay->backtest, &given);
    struct ids draft = {mem_alloc((count + 1) * sizeof(*given)), 0};
    struct ids past = {replay->done, replay->done_count};
    for (size_t i = 0; i < count; i++) {
        if (is_within(replay, &given[i])) {
            draft.list[draft.count++] = given[i];
        }
    }
    sort(&draft);
    sort(&past);
    rest__name(json, "difference");
    buf_append_char(json, '{');
    write_ids(json, "only_draft", &draft, &past, false);
    write_ids(json, "only_past", &past, &draft, false);
    write_ids(json, "both", &draft, &past, true);
    buf_append_char(json, '}');
    mem_free(draft.list);
}

static void answer(struct replay *replay)
{
    struct request *request = replay->past.request;
    struct buf json = {0};
    buf_append_char(&json, '{');
    rest__text(&json, "recipe", replay->past.recipe->name);
    rest__integer(&json, "from", replay->from.revision);
    rest__integer(&json, "to", replay->to.revision);
    rest__time_text(&json, "from_time", replay->from.time_ns);
    rest__time_text(&json, "to_time", replay->to.time_ns);
    rest__name(&json, "would");
    backtest_write(replay->backtest, &json);
    write_difference(replay, &json);
    buf_append_char(&json, '}');
    rest__answer(request, 200, &json);
}

static void read_done(struct replay *replay);

static void done_read(struct runner *runner, void *context,
                      const struct store_answer *answered)
{
    struct request *request = context;
    struct replay *replay = request->state;
    (void)runner;
    if (answered->code == 0 && answered->more) {
        past__records(answered, note_record, replay);
        return;
    }
    request->call = 0;
    if (answered->code != 0) {
        rest__store_error(request, answered);
        return;
    }
    if (replay->told >= replay->told_limit) {
        /* The last revision may have been cut in two: it is told again. */
        bool is_one = replay->told_to == replay->told_from;
        replay->told_limit = is_one ? 2 * replay->told_limit : RECORDS_OF_PAGE;
        replay->told_from = replay->told_to;
        read_done(replay);
    } else if (!replay->is_of_active) {
        replay->is_of_active = true;
        replay->told_from = replay->from.revision;
        replay->told_limit = RECORDS_OF_PAGE;
        read_done(replay);
    } else {
        answer(replay);
    }
}

static void read_done(struct replay *replay)
{
    struct request *request = replay->past.request;
    struct slice key = rest__key(
        request, replay->is_of_active ? RECIPE_KEY_ACTIVE : RECIPE_KEY_RUN,
        replay->past.recipe->name, "");
    replay->told = 0;
    past__ask_below(request, key, replay->told_from, replay->told_limit,
                    done_read);
}

/* ---- over the past ------------------------------------------------------- */

static enum turn_end take(struct past *past, size_t trigger,
                          const struct recipe_event *event)
{
    return backtest_event(((struct replay *)past)->backtest, trigger, event,
                          &past->lookups);
}

static enum turn_end end(struct past *past)
{
    struct replay *replay = (struct replay *)past;
    enum turn_end ended = backtest_end(replay->backtest, &past->lookups);
    if (ended == TURN_TAKEN) {
        replay->told_from = replay->from.revision;
        replay->told_limit = RECORDS_OF_PAGE;
        read_done(replay);
    }
    return ended;
}

static void loaded(struct past *past)
{
    past__read(past);
}

static bool has_clock(const struct recipe *recipe)
{
    for (size_t i = 0; i < recipe->trigger_count; i++) {
        enum trigger_kind kind = recipe->triggers[i].kind;
        if (kind == TRIGGER_EVERY || kind == TRIGGER_CRON ||
            kind == TRIGGER_AT) {
            return true;
        }
    }
    return false;
}

static void begin(struct replay *replay)
{
    struct past *past = &replay->past;
    struct request *request = past->request;
    if (replay->from.revision > replay->to.revision + 1 ||
        replay->from.time_ns > replay->to.time_ns) {
        rest__error(request, 400, "invalid",
                    "from (revision %lld) is behind to (revision %lld)",
                    (long long)replay->from.revision,
                    (long long)replay->to.revision);
        return;
    }
    bool goes_on = replay->is_named && replay->from.revision > 1;
    const struct backtest_config config = {
        .goes_on = goes_on,
        .machine = {.recipe = past->recipe,
                    .uid = past->uid,
                    .zones = runner__config(request->runner)->zones,
                    .seed = 1},
        .from_ns = replay->from.time_ns,
        .to_ns = replay->to.time_ns,
        .own_ticks = !replay->is_named && has_clock(past->recipe)};
    replay->backtest = backtest_new(&config);
    past->machine = backtest_machine(replay->backtest);
    past->take = take;
    past->end = end;
    past->to = replay->to.revision;
    if (goes_on) {
        past->state_at = replay->from.revision - 1;
        past->defined_at = past->state_at;
        past__load(past, loaded);
        return;
    }
    /* Its ticks before the first event see the store as it was just before the
     * span; so its triggers begin one revision earlier, which isn't given. */
    past->next = replay->from.revision;
    int64_t before = past->next > 2 ? past->next - 2 : 0;
    enum err err =
        machine_load_cursor(past->machine, (struct slice){0}, before);
    CHECK_EQ(err, ERR_OK);
    loaded(past);
}

/* ---- from and to --------------------------------------------------------- */

static void resolve(struct replay *replay);

static void revision_found(struct runner *runner, void *context,
                           const struct store_answer *answered)
{
    struct request *request = context;
    struct replay *replay = request->state;
    ProtobufCMessage *message;
    (void)runner;
    request->call = 0;
    if (answered->code != 0) {
        rest__store_error(request, answered);
        return;
    }
    if (message_decode(&etched__v1__revision_at_response__descriptor,
                       answered->message, &request->arena,
                       &message) != ERR_OK) {
        rest__error(request, 500, "internal", "%s", err_note());
        return;
    }
    /* The newest that is so old: the span begins behind it, or ends there. */
    replay->asking->revision =
        ((Etched__V1__RevisionAtResponse *)message)->revision +
        (replay->asking == &replay->from);
    replay->asking->is_found = true;
    resolve(replay);
}

static void take_first(void *context, const Etched__V1__HistoryRecord *record)
{
    struct bound *bound = ((struct replay *)context)->asking;
    if (bound->revision == 0) {
        bound->revision = record->event->kv->mod_revision;
    }
    bound->time_ns = record->time_unix_nanos;
    bound->is_found = true;
}

static void time_found(struct runner *runner, void *context,
                       const struct store_answer *answered)
{
    struct request *request = context;
    struct replay *replay = request->state;
    if (answered->more) {
        past__records(answered, take_first, replay);
        return;
    }
    request->call = 0;
    if (answered->code != 0) {
        rest__store_error(request, answered);
        return;
    }
    if (!replay->asking->is_found) { /* there is nothing so new */
        replay->asking->time_ns = runner__now(runner).wall_ns;
        replay->asking->is_found = true;
        if (replay->asking->revision == 0) {
            replay->asking->revision = runner__revision(runner) + 1;
        }
    }
    resolve(replay);
}

static void ask(struct replay *replay, struct bound *bound)
{
    struct request *request = replay->past.request;
    struct buf message = {0};
    replay->asking = bound;
    if (!bound->is_time) {
        past__ask(request, (struct slice){0}, bound->revision, 0, 1,
                  time_found);
        return;
    }
    Etched__V1__RevisionAtRequest at = ETCHED__V1__REVISION_AT_REQUEST__INIT;
    at.time_unix_nanos = bound->is_given ? bound->time_ns : INT64_MAX;
    message_encode(&at.base, &message);
    rest__call(request, RUNNER_REVISION_AT, buf_slice(&message),
               revision_found);
    buf_deinit(&message);
}

static void resolve(struct replay *replay)
{
    if (!replay->from.is_found) {
        ask(replay, &replay->from);
    } else if (!replay->to.is_found) {
        ask(replay, &replay->to);
    } else {
        begin(replay);
    }
}

/* A revision, a moment, or how long ago; false: answered. */
static bool read_bound(struct request *request, const struct doc_value *body,
                       const char *name, struct bound *out)
{
    const struct doc_value *value = doc_get(body, name);
    int64_t ago;
    if (value == NULL) {
        return true;
    }
    out->is_given = true;
    if (value->kind == DOC_INT && value->integer > 0) {
        out->revision = value->integer;
        return true;
    }
    if (value->kind == DOC_STRING) {
        out->is_time = true;
        if (time_from_rfc3339(value->text, &out->time_ns)) {
            return true;
        }
        if (recipe_duration(value->text, &ago)) {
            out->time_ns = runner__now(request->runner).wall_ns - ago;
            return true;
        }
    }
    rest__error(request, 400, "invalid",
                "%s: write a revision, 1234, a moment, \"2026-12-24T18:00:00Z\""
                ", or how long ago, \"24h\"",
                name);
    return false;
}

/* The document: by its name, or as it stands in the body. False: answered. */
static bool find_document(struct request *request,
                          const struct doc_value *value, bool *is_named,
                          struct slice *json, int64_t *uid)
{
    struct buf text = {0};
    if (value != NULL && value->kind == DOC_STRING &&
        recipe_name_is_valid(value->text)) {
        struct def *def = rest__def(request, value->text);
        if (def == NULL ||
            !rest__check_name(request, RUNNER_READ, value->text)) {
            return false;
        }
        *json = rest__keep(request, def->json);
        *uid = def->uid;
        *is_named = true;
        return true;
    }
    if (value != NULL && value->kind == DOC_STRING) {
        *json = value->text; /* YAML */
        return true;
    }
    if (value == NULL || value->kind != DOC_MAP) {
        rest__error(request, 400, "invalid",
                    "write {\"recipe\": a name or a document, \"from\": .., "
                    "\"to\": ..}");
        return false;
    }
    struct value given = value_from_doc(&request->arena, value);
    value_write_json(&text, &given);
    *json = rest__keep(request, buf_slice(&text));
    buf_deinit(&text);
    return true;
}

/* Without `to`, up to now; without `from`, from the oldest there is. */
static bool read_span(struct request *request, const struct doc_value *body,
                      struct replay *replay)
{
    if (!read_bound(request, body, "from", &replay->from) ||
        !read_bound(request, body, "to", &replay->to)) {
        return false;
    }
    if (!replay->to.is_given) {
        replay->to.is_time = true;
        replay->to.time_ns = runner__now(request->runner).wall_ns;
    }
    return true;
}

void rest__backtest(struct request *request)
{
    struct doc_value *body;
    struct slice json;
    int64_t uid = 0;
    struct replay *replay = arena_alloc(&request->arena, sizeof(*replay));
    memset(replay, 0, sizeof(*replay));
    if (!rest__body(request, &body) ||
        !rest__members(request, body, "recipe from to") ||
        !find_document(request, doc_get(body, "recipe"), &replay->is_named,
                       &json, &uid) ||
        !read_span(request, body, replay) || !rest__begin_replay(request)) {
        return;
    }
    if (past__init(&replay->past, request, json, uid)) {
        request->undo = undo;
        resolve(replay);
    }
}
