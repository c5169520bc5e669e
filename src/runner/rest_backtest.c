/* What a recipe would have done over a span of the past, beside what the one
 * of that name did. Nothing is written. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/time_text.h"
#include "proto/history.pb-c.h"
#include "runner/rest_past.h"

enum { LISTS_OF_PAGE = 500, NOT_FOUND = 5 /* gRPC's */ };

struct bounds {
    struct slice text; /* as it was given */
    int64_t revision;
    int64_t time_ns;
    bool has_revision;
    bool has_time;
};

struct replay {
    struct past past;
    struct backtest *backtest;
    bool is_named; /* by name: the running version, from its state */
    struct bounds from;
    struct bounds to;
    struct bounds *asking;
    struct run_id *done; /* runs that took place */
    size_t done_count;
    size_t done_capacity;
};

static void undo(struct request *request)
{
    struct replay *replay = request->state;
    backtest_free(replay->backtest); /* with its machine */
    past__deinit(&replay->past);
    mem_free(replay->done);
}

/* ---- what took place ----------------------------------------------------- */

static bool is_within(const struct replay *replay, const struct run_id *id)
{
    return id->revision >= replay->from.revision &&
           id->revision <= replay->to.revision;
}

static void note_done(struct replay *replay, const struct doc_value *record)
{
    const struct doc_value *text = doc_get(record, "id");
    struct run_id id;
    if (text == NULL || text->kind != DOC_STRING ||
        !run_id_parse(text->text, &id) || !is_within(replay, &id)) {
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

static void note_list(struct replay *replay, struct slice json)
{
    struct arena arena;
    struct doc_value *doc;
    const struct doc_limits limits = {
        .bytes_max = 16 << 20, .depth_max = 64, .values_max = 1000000};
    arena_init(&arena, 0);
    if (doc_parse_json(&arena, json, &limits, &doc) == ERR_OK) {
        if (doc->kind == DOC_MAP) {
            note_done(replay, doc);
        }
        for (size_t i = 0; doc->kind == DOC_LIST && i < doc->count; i++) {
            note_done(replay, doc->items[i]);
        }
    }
    arena_deinit(&arena);
}

/* ---- the answer ---------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
    return run_id_compare(a, b);
}

static void write_ids(struct buf *json, const char *name,
                      const struct run_id *ids, size_t count)
{
    rest__name(json, name);
    buf_append_char(json, '[');
    for (size_t i = 0; i < count; i++) {
        char text[RUN_ID_BYTES_MAX];
        buf_printf(json, "%s\"%.*s\"", i > 0 ? "," : "",
                   (int)run_id_to_text(&ids[i], text), text);
    }
    buf_append_char(json, ']');
}

/* Two sorted lists, without doubles, into what one has, and the other, and
 * both. */
static void write_difference(struct replay *replay, struct buf *json)
{
    const struct run_id *given;
    size_t count = backtest_runs(replay->backtest, &given);
    size_t size = (count + replay->done_count + 1) * sizeof(struct run_id);
    struct run_id *draft = mem_alloc(size);
    struct run_id *only_draft = mem_alloc(size);
    struct run_id *only_past = mem_alloc(size);
    struct run_id *both = mem_alloc(size);
    size_t drafts = 0;
    size_t a = 0;
    size_t b = 0;
    size_t counts[3] = {0};
    for (size_t i = 0; i < count; i++) {
        if (is_within(replay, &given[i])) {
            draft[drafts++] = given[i];
        }
    }
    qsort(draft, drafts, sizeof(*draft), by_id);
    if (replay->done_count > 0) {
        qsort(replay->done, replay->done_count, sizeof(*replay->done), by_id);
    }
    while (a < drafts || b < replay->done_count) {
        int order = a == drafts ? 1
                    : b == replay->done_count
                        ? -1
                        : by_id(&draft[a], &replay->done[b]);
        if (order < 0) {
            only_draft[counts[0]++] = draft[a++];
        } else if (order > 0) {
            only_past[counts[1]++] = replay->done[b++];
        } else {
            both[counts[2]++] = draft[a++];
            b++;
        }
    }
    rest__name(json, "difference");
    buf_append_char(json, '{');
    write_ids(json, "only_draft", only_draft, counts[0]);
    write_ids(json, "only_past", only_past, counts[1]);
    write_ids(json, "both", both, counts[2]);
    buf_append_char(json, '}');
    mem_free(draft);
    mem_free(only_draft);
    mem_free(only_past);
    mem_free(both);
}

static void answer(struct replay *replay)
{
    struct request *request = replay->past.request;
    struct buf json = {0};
    buf_append_char(&json, '{');
    rest__text(&json, "recipe", replay->past.recipe->name);
    rest__integer(&json, "from", replay->from.revision);
    rest__integer(&json, "to", replay->to.revision);
    rest__name(&json, "would");
    backtest_write(replay->backtest, &json);
    write_difference(replay, &json);
    buf_append_char(&json, '}');
    rest__answer(request, 200, &json);
}

static void read_done(struct replay *replay, struct slice from);

static void done_read(struct runner *runner, void *context,
                      const struct store_answer *answered)
{
    struct request *request = context;
    struct replay *replay = request->state;
    (void)runner;
    request->call = 0;
    if (answered->code != 0) {
        rest__store_error(request, answered);
        return;
    }
    const Etcdserverpb__RangeResponse *range = answered->range;
    for (size_t i = 0; i < range->n_kvs; i++) {
        note_list(replay, message_bytes(range->kvs[i]->value));
    }
    if (range->more && range->n_kvs > 0) {
        struct slice last = message_bytes(range->kvs[range->n_kvs - 1]->key);
        char *next = arena_alloc(&request->arena, last.size + 1);
        memcpy(next, last.at, last.size);
        next[last.size] = 0;
        read_done(replay, slice_of(next, last.size + 1));
        return;
    }
    answer(replay);
}

static void read_done(struct replay *replay, struct slice from)
{
    struct request *request = replay->past.request;
    struct slice key =
        rest__key(request, RECIPE_KEY_RUN, replay->past.recipe->name, "");
    struct slice end = rest__end(request, key);
    rest__range(request, from.size ? from : key, &end, 0, LISTS_OF_PAGE,
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
        read_done(replay, (struct slice){0});
    }
    return ended;
}

static void start(struct past *past)
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
    int64_t now_ns = runner__now(request->runner).wall_ns;
    const struct backtest_config config = {
        .machine = {.recipe = past->recipe,
                    .uid = past->uid,
                    .zones = runner__config(request->runner)->zones,
                    .seed = 1},
        .from_ns = replay->from.time_ns,
        .to_ns = replay->to.has_time ? replay->to.time_ns : now_ns,
        .own_ticks = !replay->is_named && has_clock(past->recipe)};
    if (replay->from.revision > replay->to.revision) {
        rest__error(
            request, 400, "invalid", "from (revision %lld) is behind to (%lld)",
            (long long)replay->from.revision, (long long)replay->to.revision);
        return;
    }
    replay->backtest = backtest_new(&config);
    past->machine = backtest_machine(replay->backtest);
    past->take = take;
    past->end = end;
    past->next = replay->from.revision;
    past->to = replay->to.revision;
    past->state_at = replay->from.revision;
    if (replay->is_named) {
        past__load(past, start);
        return;
    }
    enum err err =
        machine_load_cursor(past->machine, (struct slice){0}, past->next - 1);
    CHECK(err == ERR_OK);
    start(past);
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
    if (answered->code == NOT_FOUND && replay->asking == &replay->from) {
        replay->from.revision = 1; /* the store is younger than that */
        replay->from.has_revision = true;
        resolve(replay);
        return;
    }
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
    replay->asking->revision =
        ((Etched__V1__RevisionAtResponse *)message)->revision;
    replay->asking->has_revision = true;
    resolve(replay);
}

static void ask_revision(struct replay *replay, struct bounds *bounds)
{
    Etched__V1__RevisionAtRequest at = ETCHED__V1__REVISION_AT_REQUEST__INIT;
    struct buf message = {0};
    at.time_unix_nanos = bounds->time_ns;
    replay->asking = bounds;
    message_encode(&at.base, &message);
    rest__call(replay->past.request, RUNNER_REVISION_AT, buf_slice(&message),
               revision_found);
    buf_deinit(&message);
}

static void resolve(struct replay *replay)
{
    if (!replay->from.has_revision) {
        ask_revision(replay, &replay->from);
    } else if (!replay->to.has_revision) {
        ask_revision(replay, &replay->to);
    } else {
        begin(replay);
    }
}

static bool read_bounds(struct request *request, const struct doc_value *value,
                        const char *name, struct bounds *out)
{
    int64_t ago;
    int64_t now_ns = runner__now(request->runner).wall_ns;
    if (value->kind == DOC_INT && value->integer > 0) {
        out->revision = value->integer;
        out->has_revision = true;
        return true;
    }
    if (value->kind == DOC_STRING) {
        out->has_time = true;
        if (time_from_rfc3339(value->text, &out->time_ns)) {
            return true;
        }
        if (recipe_duration(value->text, &ago)) {
            out->time_ns = now_ns - ago;
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
        if (def == NULL) {
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

void rest__backtest(struct request *request)
{
    struct doc_value *body;
    struct slice json;
    int64_t uid = 0;
    struct replay *replay = arena_alloc(&request->arena, sizeof(*replay));
    memset(replay, 0, sizeof(*replay));
    if (!rest__body(request, &body) ||
        !find_document(request, doc_get(body, "recipe"), &replay->is_named,
                       &json, &uid)) {
        return;
    }
    if (!runner__config(request->runner)->is_etched) {
        rest__error(request, 501, "unsupported",
                    "this store keeps no history of causes and times: backtest "
                    "needs etched");
        return;
    }
    const struct doc_value *from = doc_get(body, "from");
    const struct doc_value *to = doc_get(body, "to");
    replay->from = (struct bounds){.revision = 1, .has_revision = true};
    replay->to = (struct bounds){.revision = runner__revision(request->runner),
                                 .has_revision = true};
    if (from != NULL) {
        replay->from = (struct bounds){0};
        if (!read_bounds(request, from, "from", &replay->from)) {
            return;
        }
    }
    if (to != NULL) {
        replay->to = (struct bounds){0};
        if (!read_bounds(request, to, "to", &replay->to)) {
            return;
        }
    }
    if (past__init(&replay->past, request, json, uid)) {
        request->undo = undo;
        resolve(replay);
    }
}
