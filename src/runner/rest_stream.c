/* Server-sent events (HTML, section 9.2): what happens, as it happens, whoever
 * has the recipe: as long as somebody listens, keys of the service are watched.
 *
 *   run      a record, when the run has ended        from run/
 *   active   a run that is under way, and where      from active/
 *   dead     an action outside was given up          from dead/
 *   recipe   a definition or its state has changed   from def/, status/
 *   gap      some of these may be missing
 *
 * Each has the store's revision as its id. A client that comes again says the
 * last one that it has seen (Last-Event-ID); where the store has gone on since,
 * it is told of a gap first. A client that reads too slowly is cut off by
 * whoever carries the bytes (runner_request_gone); it asks /runs for what it
 * missed. */
#include "runner/rest_int.h"

#include "base/check.h"
#include "runner/runner_core.h"

#define BEAT (15 * REST_SECOND)

static const enum recipe_key kinds[] = {RECIPE_KEY_RUN, RECIPE_KEY_ACTIVE,
                                        RECIPE_KEY_DEAD, RECIPE_KEY_DEF,
                                        RECIPE_KEY_STATUS};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

struct listening {
    struct listened {
        struct watch watch;
        struct buf key;
        struct buf end;
    } all[KINDS];
};

/* ---- to those that listen ------------------------------------------------ */

static void send(struct request *request, struct slice text)
{
    const struct runner_doors *doors = &runner__config(request->runner)->doors;
    const struct rest_answer answer = {.status = 200,
                                       .content_type = "text/event-stream",
                                       .body = text,
                                       .more = true};
    doors->respond(doors->context, request->id, &answer);
    request->beat_ns = runner__now(request->runner).mono_ns + BEAT;
}

static void write_event(struct buf *out, const char *event, int64_t revision,
                        struct slice json)
{
    buf_printf(out, "id: %lld\nevent: %s\ndata: ", (long long)revision, event);
    buf_append_slice(out, json); /* JSON: one line */
    buf_append_str(out, "\n\n");
}

/* `recipe` empty: it is everybody's business. */
static void tell(struct runner *runner, struct slice recipe, const char *event,
                 int64_t revision, struct slice json)
{
    struct rest *rest = runner__rest(runner);
    struct buf text = {0};
    write_event(&text, event, revision, json);
    LIST_EACH (node, &rest->streams) {
        struct request *request = CONTAINER_OF(node, struct request, streams);
        if (request->only.size == 0 || recipe.size == 0 ||
            slice_eq(request->only, recipe)) {
            send(request, buf_slice(&text));
        }
    }
    buf_deinit(&text);
}

/* ---- what is watched ----------------------------------------------------- */

static void tell_runs(struct runner *runner, struct slice name,
                      const struct watch_event *event)
{
    struct arena arena;
    struct doc_value *doc;
    struct buf json = {0};
    arena_init(&arena, 0);
    if (doc_parse_json(&arena, event->value, &rest__record_limits, &doc) ==
            ERR_OK &&
        doc->kind == DOC_LIST) {
        for (size_t i = 0; i < doc->count; i++) {
            struct value record = value_from_doc(&arena, doc->items[i]);
            buf_reset(&json);
            value_write_json(&json, &record);
            tell(runner, name, "run", event->revision, buf_slice(&json));
        }
    }
    buf_deinit(&json);
    arena_deinit(&arena);
}

static void tell_def(struct runner *runner, struct slice name,
                     const struct watch_event *event)
{
    struct buf json = {0};
    buf_append_char(&json, '{');
    rest__text(&json, "name", name);
    rest__integer(&json, "revision", event->revision);
    if (event->is_delete) {
        rest__boolean(&json, "deleted", true);
    } else {
        rest__integer(&json, "version", event->version);
        rest__integer(&json, "uid", event->create_revision);
    }
    buf_append_char(&json, '}');
    tell(runner, name, "recipe", event->revision, buf_slice(&json));
    buf_deinit(&json);
}

/* No status: it runs. */
static void tell_status(struct runner *runner, struct slice name,
                        const struct watch_event *event)
{
    struct arena arena;
    struct doc_value *doc = NULL;
    struct buf json = {0};
    arena_init(&arena, 0);
    buf_append_char(&json, '{');
    rest__text(&json, "name", name);
    rest__integer(&json, "revision", event->revision);
    if (event->is_delete) {
        rest__text(&json, "state", SLICE("running"));
    } else if (doc_parse_json(&arena, event->value, &doc_limits_default,
                              &doc) == ERR_OK) {
        const struct doc_value *state = doc_get(doc, "state");
        const struct doc_value *why = doc_get(doc, "why");
        if (state != NULL && state->kind == DOC_STRING) {
            rest__text(&json, "state", state->text);
        }
        if (why != NULL && why->kind == DOC_STRING) {
            rest__text(&json, "why", why->text);
        }
    }
    buf_append_char(&json, '}');
    tell(runner, name, "recipe", event->revision, buf_slice(&json));
    buf_deinit(&json);
    arena_deinit(&arena);
}

/* Runs, those under way and the dead go without a word: a record has told it,
 * or it is only tidying. */
static void on_event(struct runner *runner, struct watch *watch,
                     const struct watch_event *event)
{
    enum recipe_key kind;
    struct slice name;
    struct slice rest;
    struct buf json = {0};
    (void)watch;
    if (!recipe_key_read(event->key, &kind, &name, &rest)) {
        return;
    }
    if (kind == RECIPE_KEY_DEF) {
        tell_def(runner, name, event);
    } else if (kind == RECIPE_KEY_STATUS) {
        tell_status(runner, name, event);
    } else if (event->is_delete) {
        return;
    } else if (kind == RECIPE_KEY_RUN) {
        tell_runs(runner, name, event);
    } else if (kind == RECIPE_KEY_ACTIVE) {
        rest__write_active(runner, &json, event->key, event->value);
        tell(runner, name, "active", event->revision, buf_slice(&json));
    } else if (rest__write_letter(&json, event->key, event->value,
                                  event->revision)) {
        tell(runner, name, "dead", event->revision, buf_slice(&json));
    }
    buf_deinit(&json);
}

/* What is from one revision to another may be missing. */
static void write_gap(struct buf *out, int64_t from, int64_t to)
{
    buf_append_char(out, '{');
    rest__integer(out, "from", from);
    rest__integer(out, "to", to);
    buf_append_char(out, '}');
}

static void on_compacted(struct runner *runner, struct watch *watch,
                         int64_t revision)
{
    struct buf json = {0};
    write_gap(&json, watch->next, revision);
    tell(runner, SLICE(""), "gap", revision, buf_slice(&json));
    buf_deinit(&json);
    watch__end(runner, watch);
    watch->next = revision + 2; /* it begins one before it */
    watch__begin(runner, watch);
}

static const struct watch_kind watch_kind = {.event = on_event,
                                             .compacted = on_compacted};

static void start(struct runner *runner, int64_t revision)
{
    struct listening *listening = mem_alloc_zero(sizeof(*listening));
    for (int i = 0; i < KINDS; i++) {
        struct listened *listened = &listening->all[i];
        recipe_key_write(&listened->key, kinds[i], SLICE(""), NULL);
        store__prefix_end(buf_slice(&listened->key), &listened->end);
        listened->watch.kind = &watch_kind;
        listened->watch.key = buf_slice(&listened->key);
        listened->watch.end = buf_slice(&listened->end);
        listened->watch.next = revision + 1;
        watch__begin(runner, &listened->watch);
    }
    runner__rest(runner)->listening = listening;
}

static void stop(struct runner *runner)
{
    struct rest *rest = runner__rest(runner);
    for (int i = 0; i < KINDS; i++) {
        watch__end(runner, &rest->listening->all[i].watch);
        buf_deinit(&rest->listening->all[i].key);
        buf_deinit(&rest->listening->all[i].end);
    }
    mem_free(rest->listening);
    rest->listening = NULL;
}

/* ---- those that listen --------------------------------------------------- */

/* To one that was here before: since then nobody has listened for it. */
static void say_gap(struct request *request, int64_t now)
{
    struct slice seen = rest__header(request, SLICE("last-event-id"));
    int64_t last = 0;
    struct buf json = {0};
    struct buf text = {0};
    if (slice_to_i64(seen, &last) && last >= 0 && last < now) {
        write_gap(&json, last + 1, now);
        write_event(&text, "gap", now, buf_slice(&json));
        send(request, buf_slice(&text));
    }
    buf_deinit(&json);
    buf_deinit(&text);
}

/* The store is asked how far it is: it begins behind that. */
static void begin(struct runner *runner, void *context,
                  const struct store_answer *answer)
{
    struct request *request = context;
    struct rest *rest = runner__rest(runner);
    request->call = 0;
    if (answer->code != 0) {
        rest__store_error(request, answer);
        return;
    }
    int64_t now = store__header_revision(answer->message);
    list_push_back(&rest->streams, &request->streams);
    if (rest->listening == NULL) {
        start(runner, now);
    }
    send(request, SLICE(": hello\n\n"));
    say_gap(request, now);
    runner__wake(runner); /* its heartbeat has to be waited for */
}

void rest__stream_all(struct request *request)
{
    struct rest *rest = runner__rest(request->runner);
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    request->only = rest__parameter(request, "recipe");
    if (request->only.size > 0 && !recipe_name_is_valid(request->only)) {
        rest__error(request, 400, "invalid",
                    "recipe: that is no recipe's name");
        return;
    }
    if (rest->stream_count >= REST_STREAMS_MAX) {
        rest__error(request, 429, "busy", "%d clients listen already",
                    REST_STREAMS_MAX);
        return;
    }
    request->is_stream = true;
    rest->stream_count++;
    range.key = message_data(SLICE(RECIPES_PREFIX));
    range.count_only = true;
    rest__range_of(request, &range, begin);
}

void rest__end_stream(struct request *request)
{
    struct rest *rest = runner__rest(request->runner);
    list_remove(&request->streams);
    if (!request->is_stream) {
        return;
    }
    CHECK_LT(0, rest->stream_count);
    rest->stream_count--;
    if (list_is_empty(&rest->streams) && rest->listening != NULL) {
        stop(request->runner);
    }
}

/* Permissions end while one listens. */
static bool still_may(struct request *request)
{
    struct slice all = SLICE(RECIPES_PREFIX "def/");
    return request->only.size > 0
               ? rest__may_name(request, RUNNER_READ, request->only)
               : rest__may(request, RUNNER_READ, all, rest__end(request, all));
}

int64_t rest__run_streams(struct runner *runner)
{
    struct rest *rest = runner__rest(runner);
    int64_t now_ns = runner__now(runner).mono_ns;
    int64_t next_ns = INT64_MAX;
    LIST_EACH (node, &rest->streams) {
        struct request *request = CONTAINER_OF(node, struct request, streams);
        if (request->beat_ns <= now_ns && !still_may(request)) {
            rest__finish(request);
            continue;
        }
        if (request->beat_ns <= now_ns) {
            send(request, SLICE(": \n\n"));
        }
        next_ns = request->beat_ns < next_ns ? request->beat_ns : next_ns;
    }
    return next_ns;
}
