/* Requests under way, and their routes, answers and errors. */
#include "base/check.h"
#include "base/time_text.h"
#include "doc/json_write.h"
#include "runner/rest_int.h"

/* ---- answers ------------------------------------------------------------- */

static void free_request(struct request *request)
{
    struct rest *rest = runner__rest(request->runner);
    struct arena arena;
    store__cancel(request->runner, request->call);
    if (request->undo != NULL) {
        request->undo(request);
    }
    rest__end_stream(request);
    list_remove(&request->link);
    rest->count--;
    rest->replay_count -= request->is_replay;
    rest->again_count -= request->again != NULL;
    arena = request->arena;
    arena_deinit(&arena); /* it is in there itself */
}

void rest__answer(struct request *request, int status, struct buf *json)
{
    const struct runner_doors *doors = &runner__config(request->runner)->doors;
    const struct rest_answer answer = {
        .status = status,
        .content_type = "application/json",
        .body = buf_slice(json),
        .retry_after = status == 429 || status == 503 ? "1" : NULL,
        .allow = request->allow,
    };
    doors->respond(doors->context, request->id, &answer);
    buf_deinit(json);
    free_request(request);
}

void rest__finish(struct request *request)
{
    const struct runner_doors *doors = &runner__config(request->runner)->doors;
    const struct rest_answer end = {
        .status = 200, .content_type = "text/event-stream", .body = SLICE("")};
    doors->respond(doors->context, request->id, &end);
    free_request(request);
}

static void begin_error(struct buf *out, const char *code, struct slice message)
{
    buf_append_str(out, "{\"error\":{");
    rest__text(out, "code", slice_str(code));
    rest__text(out, "message", message);
}

void rest__error(struct request *request, int status, const char *code,
                 const char *format, ...)
{
    struct buf text = {0};
    struct buf json = {0};
    va_list args;
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    begin_error(&json, code, buf_slice(&text));
    buf_append_str(&json, "}}");
    buf_deinit(&text);
    rest__answer(request, status, &json);
}

void rest__refuse(struct request *request, const struct recipe_fault *fault)
{
    struct buf json = {0};
    begin_error(&json, "invalid", slice_str(fault->text));
    rest__name(&json, "at");
    buf_append_char(&json, '{');
    if (fault->line > 0) {
        rest__integer(&json, "line", fault->line);
        rest__integer(&json, "column", fault->column);
    }
    rest__text(&json, "path", slice_str(fault->path));
    buf_append_str(&json, "}}}");
    rest__answer(request, 400, &json);
}

/* What the codes of gRPC are for a client of ours. */
static const struct {
    int code;
    int status;
    const char *name;
    const char *says;
} refusals[] = {
    {3, 400, "invalid", "the store refuses it"},
    {5, 503, "unavailable", "the store doesn't know something of it any more"},
    {7, 403, "forbidden", "the Recipes service may not do this"},
    {8, 507, "no_space", "the store takes no more"},
    {9, 503, "unavailable", "the store can't do it now"},
    {11, 410, "compacted", "the store no longer has that revision"},
    {12, 501, "unsupported", "the store has no such method"},
    {16, 403, "forbidden", "the Recipes service may not do this"},
};

static bool says(struct slice text, const char *words)
{
    return memmem(text.at, text.size, words, strlen(words)) != NULL;
}

void rest__store_error(struct request *request,
                       const struct store_answer *answer)
{
    struct slice text = answer->text;
    if (store__is_unsure(answer)) {
        rest__error(request, 503, "unsure",
                    "the store didn't answer; it may have been done: %.*s",
                    (int)text.size, text.at);
        return;
    }
    if (says(text, "future revision")) {
        rest__error(request, 400, "invalid", "there is no such revision yet");
        return;
    }
    if (says(text, "too large")) {
        rest__error(request, 413, "too_large", "it is too large for the store");
        return;
    }
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (refusals[i].code == answer->code) {
            rest__error(request, refusals[i].status, refusals[i].name,
                        "%s: %.*s", refusals[i].says, (int)text.size, text.at);
            return;
        }
    }
    UNREACHABLE(); /* all else is unsure */
}

/* ---- what routes use ----------------------------------------------------- */

void rest__range(struct request *request, struct slice key,
                 const struct slice *end, int64_t revision, int64_t limit,
                 store_done done)
{
    CHECK_EQ(request->call, 0);
    request->call =
        store__range(request->runner, key, end, revision, limit, done, request);
}

void rest__call(struct request *request, enum runner_method method,
                struct slice message, store_done done)
{
    CHECK_EQ(request->call, 0);
    request->call =
        store__call(request->runner, method, message, done, request);
}

void rest__txn(struct request *request, struct store_txn *txn, store_done done)
{
    CHECK_EQ(request->call, 0);
    request->call = store_txn__send(request->runner, txn, done, request);
}

void rest__range_of(struct request *request,
                    const Etcdserverpb__RangeRequest *range, store_done done)
{
    struct buf message = {0};
    message_encode(&range->base, &message);
    rest__call(request, RUNNER_RANGE, buf_slice(&message), done);
    buf_deinit(&message);
}

struct slice rest__keep(struct request *request, struct slice text)
{
    return slice_of(arena_dup(&request->arena, text.at, text.size), text.size);
}

struct slice rest__key(struct request *request, enum recipe_key kind,
                       struct slice name, const char *rest)
{
    struct buf key = {0};
    struct slice tail = slice_str(rest);
    recipe_key_write(&key, kind, name, rest ? &tail : NULL);
    struct slice kept = rest__keep(request, buf_slice(&key));
    buf_deinit(&key);
    return kept;
}

struct slice rest__end(struct request *request, struct slice prefix)
{
    char *end = arena_dup(&request->arena, prefix.at, prefix.size);
    size_t size = prefix.size;
    while (size > 0 && (unsigned char)end[size - 1] == 0xff) {
        size--;
    }
    if (size == 0) {
        return slice_of("", 1); /* a 0: all there is */
    }
    end[size - 1]++;
    return slice_of(end, size);
}

struct slice rest__behind(struct request *request, struct slice key)
{
    char *next = arena_alloc(&request->arena, key.size + 1);
    memcpy(next, key.at, key.size);
    next[key.size] = 0;
    return slice_of(next, key.size + 1);
}

void rest__not_ready(struct request *request)
{
    rest__error(request, 503, "not_ready",
                "the definitions haven't been read yet");
}

void rest__again(struct request *request,
                 void (*again)(struct request *request))
{
    CHECK(request->again == NULL);
    CHECK_EQ(request->call, 0);
    request->again = again;
    runner__rest(request->runner)->again_count++;
}

bool rest__begin_replay(struct request *request)
{
    struct rest *rest = runner__rest(request->runner);
    if (!runner__config(request->runner)->is_etched) {
        rest__error(request, 501, "unsupported",
                    "this store keeps no history of causes and times: this "
                    "needs etched");
        return false;
    }
    if (rest->replay_count >= REST_REPLAYS_MAX) {
        rest__error(request, 429, "busy",
                    "%d of explain and backtest are under way",
                    REST_REPLAYS_MAX);
        return false;
    }
    rest->replay_count++;
    request->is_replay = true;
    return true;
}

struct def *rest__def(struct request *request, struct slice name)
{
    if (!defs__are_known(request->runner)) {
        rest__not_ready(request);
        return NULL;
    }
    struct def *def = def__find(request->runner, name);
    if (def == NULL || def->uid == 0) {
        rest__error(request, 404, "not_found", "there is no recipe \"%.*s\"",
                    (int)name.size, name.at);
        return NULL;
    }
    return def;
}

void rest__name(struct buf *out, const char *name)
{
    if (out->size > 0 && out->at[out->size - 1] != '{') {
        buf_append_char(out, ',');
    }
    buf_printf(out, "\"%s\":", name);
}

void rest__text(struct buf *out, const char *name, struct slice text)
{
    rest__name(out, name);
    json_write_string(out, text);
}

void rest__integer(struct buf *out, const char *name, int64_t number)
{
    rest__name(out, name);
    buf_append_i64(out, number);
}

void rest__boolean(struct buf *out, const char *name, bool is_so)
{
    rest__name(out, name);
    buf_append_str(out, is_so ? "true" : "false");
}

void rest__time_text(struct buf *out, const char *name, int64_t time_ns)
{
    char text[TIME_TEXT_BYTES_MAX];
    rest__text(out, name, slice_of(text, time_to_rfc3339(time_ns, text)));
}

const struct doc_limits rest__record_limits = {
    .bytes_max = 16 << 20, .depth_max = 64, .values_max = 1000000};

void rest__json(struct buf *out, struct slice stored)
{
    struct arena arena;
    struct doc_value *doc;
    arena_init(&arena, 0);
    if (doc_parse_json(&arena, stored, &rest__record_limits, &doc) == ERR_OK) {
        struct value value = value_from_doc(&arena, doc);
        value_write_json(out, &value);
    } else {
        json_write_string(out, stored);
    }
    arena_deinit(&arena);
}

/* ---- routes -------------------------------------------------------------- */

struct route {
    const char *method;
    const char *path; /* '*': one segment; '**': the rest */
    void (*serve)(struct request *request);
    const char *parameters;
    enum rest_rule rule;
};
static const struct route routes[] = {
    {"GET", "defs", rest__list_defs, "prefix limit after", REST_EACH},
    {"GET", "defs/*", rest__get_def, "version revision", REST_READ_NAMED},
    {"PUT", "defs/*", rest__put_def, "dry_run", REST_WRITE_NAMED},
    {"DELETE", "defs/*", rest__delete_def, "purge", REST_WRITE_NAMED},
    {"POST", "defs/*/run", rest__run_def, "", REST_WRITE_NAMED},
    {"POST", "defs/*/pause", rest__pause_def, "", REST_WRITE_NAMED},
    {"POST", "defs/*/resume", rest__resume_def, "", REST_WRITE_NAMED},
    {"GET", "runs", rest__list_runs, "recipe status since until limit after",
     REST_READ_WANTED},
    {"GET", "runs/*", rest__find_run, "", REST_READ_ALL},
    {"GET", "runs/*/*", rest__get_run, "", REST_READ_NAMED},
    {"GET", "stream", rest__stream_all, "recipe", REST_READ_WANTED},
    {"GET", "explain", rest__explain, "recipe revision", REST_READ_WANTED},
    {"POST", "explain", rest__explain, "recipe revision", REST_READ_WANTED},
    {"POST", "backtest", rest__backtest, "", REST_KNOWN},
    {"POST", "test", rest__test, "", REST_KNOWN},
    {"GET", "dead", rest__list_dead, "recipe limit after", REST_READ_WANTED},
    {"POST", "dead/retry", rest__retry_all, "recipe", REST_WRITE_WANTED},
    {"POST", "dead/*/*/retry", rest__retry_dead, "", REST_WRITE_NAMED},
    {"DELETE", "dead/*/*", rest__delete_dead, "", REST_WRITE_NAMED},
    {"POST", "hooks/**", rest__hook, NULL, REST_FREE},
    {"GET", "secrets", rest__list_secrets, "limit after", REST_READ_SECRETS},
    {"PUT", "secrets/*", rest__put_secret, "", REST_WRITE_SECRET},
    {"DELETE", "secrets/*", rest__delete_secret, "", REST_WRITE_SECRET},
};
enum { ROUTES = sizeof(routes) / sizeof(routes[0]) };

static bool fits(const struct route *route, const struct request *request)
{
    const char *at = route->path;
    for (size_t i = 0; i < request->segment_count; i++) {
        size_t size = strcspn(at, "/");
        struct slice want = slice_of(at, size);
        if (slice_eq(want, SLICE("**"))) {
            return true;
        }
        if (size == 0 || (!slice_eq(want, SLICE("*")) &&
                          !slice_eq(want, request->segments[i]))) {
            return false;
        }
        at += size + (at[size] == '/');
    }
    return *at == 0;
}

/* The methods that this path has. */
static bool allowed(const struct request *request, struct buf *out)
{
    for (size_t i = 0; i < ROUTES; i++) {
        if (fits(&routes[i], request)) {
            buf_printf(out, "%s%s", out->size ? ", " : "", routes[i].method);
        }
    }
    return out->size > 0;
}

static void serve_none(struct request *request)
{
    struct buf methods = {0};
    if (allowed(request, &methods)) {
        buf_append_char(&methods, '\0');
        methods.size--;
        request->allow = methods.at;
        rest__error(request, 405, "method_not_allowed",
                    "%.*s isn't for this: it has %.*s",
                    (int)request->asked.method.size, request->asked.method.at,
                    (int)methods.size, methods.at);
    } else {
        rest__error(request, 404, "not_found",
                    "there is nothing at /recipes/v1/%.*s: it has defs, runs, "
                    "stream, explain, backtest, test, dead, hooks, secrets",
                    (int)request->asked.path.size, request->asked.path.at);
    }
    buf_deinit(&methods);
}

static void serve_route(struct request *request, const struct route *route)
{
    if ((route->parameters == NULL ||
         rest__read_query(request, route->parameters)) &&
        rest__let_in(request, route->rule)) {
        route->serve(request);
    }
}

static void serve(struct request *request)
{
    if (!rest__read_path(request)) {
        rest__error(request, 400, "invalid", "the path can't be read");
        return;
    }
    for (size_t i = 0; i < ROUTES; i++) {
        if (fits(&routes[i], request) &&
            slice_eq(request->asked.method, slice_str(routes[i].method))) {
            serve_route(request, &routes[i]);
            return;
        }
    }
    serve_none(request);
}

/* ---- requests ------------------------------------------------------------ */

static struct slice keep_lower(struct request *request, struct slice text)
{
    char *copy = arena_dup(&request->arena, text.at, text.size);
    for (size_t i = 0; i < text.size; i++) {
        copy[i] = (char)(copy[i] | (copy[i] >= 'A' && copy[i] <= 'Z') << 5);
    }
    return slice_of(copy, text.size);
}

static void copy_headers(struct request *request,
                         const struct rest_request *from)
{
    struct rest_header *headers = arena_alloc(
        &request->arena, (from->header_count + 1) * sizeof(*headers));
    for (size_t i = 0; i < from->header_count; i++) {
        headers[i].name = keep_lower(request, from->headers[i].name);
        headers[i].value = rest__keep(request, from->headers[i].value);
    }
    request->asked.headers = headers;
}

void runner_request(struct runner *runner, uint64_t id,
                    const struct rest_request *asked)
{
    struct rest *rest = runner__rest(runner);
    struct arena arena;
    arena_init(&arena, 0);
    struct request *request = arena_alloc(&arena, sizeof(*request));
    *request = (struct request){
        .runner = runner, .id = id, .arena = arena, .asked = *asked};
    request->asked.method = rest__keep(request, asked->method);
    request->asked.path = rest__keep(request, asked->path);
    request->asked.query = rest__keep(request, asked->query);
    request->asked.peer = rest__keep(request, asked->peer);
    request->asked.user = rest__keep(request, asked->user);
    list_init(&request->link);
    list_init(&request->streams);
    list_push_back(&rest->requests, &request->link);
    rest->count++;
    if (rest->count > REST_REQUESTS_MAX) {
        rest__error(request, 503, "busy", "more than %d requests are under way",
                    REST_REQUESTS_MAX);
        return;
    }
    if (asked->body.size > REST_BODY_BYTES_MAX) {
        rest__error(request, 413, "too_large",
                    "the body has more than %d bytes", REST_BODY_BYTES_MAX);
        return;
    }
    request->asked.body = rest__keep(request, asked->body);
    copy_headers(request, asked);
    /* What it asks the store counts from then on; the clock that is known here
     * may be an hour old. */
    rest__again(request, serve);
}

void runner_request_gone(struct runner *runner, uint64_t id)
{
    LIST_EACH (node, &runner__rest(runner)->requests) {
        struct request *request = CONTAINER_OF(node, struct request, link);
        if (request->id == id) {
            free_request(request);
            return;
        }
    }
}

void rest__init(struct runner *runner)
{
    struct rest *rest = mem_alloc_zero(sizeof(*rest));
    list_init(&rest->requests);
    list_init(&rest->streams);
    runner__set_rest(runner, rest);
}

void rest__deinit(struct runner *runner)
{
    struct rest *rest = runner__rest(runner);
    struct list *node;
    while ((node = list_first(&rest->requests)) != NULL) {
        free_request(CONTAINER_OF(node, struct request, link));
    }
    CHECK_EQ(rest->count, 0);
    mem_free(rest);
    runner__set_rest(runner, NULL);
}

/* One step of each: what they do in it is bounded. */
static void run_again(struct runner *runner)
{
    struct rest *rest = runner__rest(runner);
    LIST_EACH (node, &rest->requests) {
        struct request *request = CONTAINER_OF(node, struct request, link);
        void (*again)(struct request *) = request->again;
        if (again != NULL) {
            request->again = NULL;
            rest->again_count--;
            again(request);
        }
    }
}

int64_t rest__run(struct runner *runner)
{
    struct rest *rest = runner__rest(runner);
    if (rest->again_count > 0) {
        run_again(runner);
    }
    int64_t next_ns = rest__run_streams(runner);
    return rest->again_count > 0 ? runner__now(runner).mono_ns : next_ns;
}
