#include "host/recipes_gate.h"

#include <ctype.h>

#include "base/check.h"
#include "base/map.h"
#include "base/mem.h"
#include "doc/json_write.h"
#include "host/recipes_int.h"

static const struct slice prefix = {"/recipes/v1/", 12};
static const char json_type[] = "application/json";

/* An exchange that waits for its answer, or for the next part of it. */
struct waiting {
    struct recipes_gate *gate;
    uint64_t id;
    struct http_exchange *exchange;
    bool is_begun; /* its head is out */
};

struct recipes_gate {
    struct recipes_gate_config config;
    uint64_t first_id; /* its ids begin behind that */
    uint64_t next;
    struct map_u64 waiting;
    bool is_stopped;
    struct queue parts;
    _Atomic bool is_posted; /* since the last wake */
};

/* ---- answers ------------------------------------------------------------ */

struct head {
    struct http_header headers[API_CORS_HEADERS_MAX + 5];
    size_t count;
};

static void add(struct head *head, struct slice name, struct slice value)
{
    CHECK_LT(head->count, sizeof(head->headers) / sizeof(head->headers[0]));
    head->headers[head->count++] = (struct http_header){name, value};
}

/* What isn't in every answer; "": none. They live as long as the head. */
struct extras {
    const char *type;
    const char *retry_after;
    const char *allow;
};

static const struct extras no_extras = {"", "", ""};

static void make_head(struct recipes_gate *gate, struct http_exchange *exchange,
                      const struct extras *extras, struct head *head)
{
    head->count = api_cors_headers(gate->config.shared, &exchange->request,
                                   head->headers);
    if (extras->type[0] != '\0') {
        add(head, SLICE("Content-Type"), slice_str(extras->type));
    }
    add(head, SLICE("Cache-Control"), SLICE("no-store"));
    add(head, SLICE("X-Content-Type-Options"), SLICE("nosniff"));
    if (extras->retry_after[0] != '\0') {
        add(head, SLICE("Retry-After"), slice_str(extras->retry_after));
    }
    if (extras->allow[0] != '\0') {
        add(head, SLICE("Allow"), slice_str(extras->allow));
    }
}

static void respond(struct recipes_gate *gate, struct http_exchange *exchange,
                    int status, const struct extras *extras, struct slice body)
{
    struct head head;
    make_head(gate, exchange, extras, &head);
    http_respond(exchange, status, head.headers, head.count, body);
}

/* {"error": {"code", "message"}} */
static void respond_error(struct recipes_gate *gate,
                          struct http_exchange *exchange, int status,
                          const char *code, const char *message)
{
    const struct extras extras = {.type = json_type,
                                  .retry_after = status == 503 ? "1" : "",
                                  .allow = ""};
    struct buf body = {0};
    buf_printf(&body, "{\"error\":{\"code\":\"%s\",\"message\":", code);
    json_write_string(&body, slice_str(message));
    buf_append_str(&body, "}}\n");
    respond(gate, exchange, status, &extras, buf_slice(&body));
    buf_deinit(&body);
}

/* ---- from the exchange to the service ----------------------------------- */

static void push_gone(struct recipes_gate *gate, uint64_t id)
{
    struct recipes_ask *ask = mem_alloc_zero(sizeof(*ask));
    arena_init(&ask->arena, 0);
    ask->id = id;
    ask->is_gone = true;
    bool pushed = recipes__push(gate->config.recipes, ask);
    CHECK(pushed);
}

static void forget(struct waiting *waiting)
{
    void *removed = map_u64_remove(&waiting->gate->waiting, waiting->id);
    CHECK(removed == waiting);
    mem_free(waiting);
}

static void on_gone(struct http_exchange *exchange)
{
    struct waiting *waiting = exchange->context;
    CHECK(waiting->exchange == exchange);
    push_gone(waiting->gate, waiting->id);
    forget(waiting);
}

static struct slice keep(struct arena *arena, struct slice text)
{
    return slice_of(arena_dup(arena, text.size > 0 ? text.at : "", text.size),
                    text.size);
}

static struct slice keep_lower(struct arena *arena, struct slice text)
{
    char *copy = arena_alloc(arena, text.size + 1);
    for (size_t i = 0; i < text.size; i++) {
        copy[i] = (char)tolower((unsigned char)text.at[i]);
    }
    return slice_of(copy, text.size);
}

/* The request, in the ask's own memory. */
static void copy_request(struct recipes_ask *ask,
                         const struct http_request *request)
{
    size_t skip =
        request->path.size < prefix.size ? request->path.size : prefix.size;
    struct slice path =
        slice_of(request->path.at + skip, request->path.size - skip);
    struct arena *arena = &ask->arena;
    struct rest_header *headers =
        arena_alloc(arena, (request->header_count + 1) * sizeof(*headers));
    for (size_t i = 0; i < request->header_count; i++) {
        headers[i].name = keep_lower(arena, request->headers[i].name);
        headers[i].value = keep(arena, request->headers[i].value);
    }
    ask->request = (struct rest_request){
        .method = keep(arena, request->method_text),
        .path = keep(arena, path),
        .query = keep(arena, request->query),
        .headers = headers,
        .header_count = request->header_count,
        .body = keep(arena, request->body),
        .peer = keep(arena, request->peer),
    };
}

void recipes_ask__free(struct recipes_ask *ask)
{
    arena_deinit(&ask->arena);
    mem_free(ask);
}

static void hand_over(struct recipes_gate *gate, struct http_exchange *exchange,
                      struct slice user)
{
    struct recipes_ask *ask = mem_alloc_zero(sizeof(*ask));
    struct waiting *waiting;
    arena_init(&ask->arena, 0);
    ask->id = gate->first_id | ++gate->next;
    copy_request(ask, &exchange->request);
    ask->request.user = keep(&ask->arena, user);
    /* Known before it is handed over: its answer may come at once. */
    waiting = mem_alloc(sizeof(*waiting));
    *waiting =
        (struct waiting){.gate = gate, .id = ask->id, .exchange = exchange};
    (void)map_u64_put(&gate->waiting, waiting->id, waiting);
    if (!recipes__push(gate->config.recipes, ask)) {
        recipes_ask__free(ask);
        forget(waiting);
        respond_error(gate, exchange, 503, "unavailable",
                      "too many requests wait for the Recipes service");
        return;
    }
    exchange->context = waiting;
    exchange->on_gone = on_gone;
}

bool recipes_gate_is_path(struct slice path)
{
    return slice_has_prefix(path, prefix) ||
           slice_eq(path, slice_of(prefix.at, prefix.size - 1));
}

void recipes_gate_request(struct recipes_gate *gate,
                          struct http_exchange *exchange, struct slice user)
{
    const struct http_request *request = &exchange->request;
    CHECK(recipes_gate_is_path(request->path));
    if (request->method == HTTP_OPTIONS) {
        respond(gate, exchange, 200, &no_extras, slice_of("", 0));
    } else if (gate->config.recipes == NULL) {
        respond_error(gate, exchange, 404, "not_found", gate->config.why_not);
    } else if (gate->is_stopped) {
        respond_error(gate, exchange, 503, "unavailable",
                      "the server is stopping");
    } else if (request->body.size > RECIPES_BODY_BYTES_MAX) {
        respond_error(gate, exchange, 413, "too_large",
                      "a request to the Recipes service has at most 1 MiB");
    } else if (gate->waiting.count >= RECIPES_GATE_REQUESTS_MAX) {
        respond_error(gate, exchange, 503, "unavailable",
                      "too many requests to the Recipes service are under way");
    } else {
        hand_over(gate, exchange, user);
    }
}

/* ---- from the service to the exchange ----------------------------------- */

void recipes_gate__post(struct recipes_gate *gate, struct recipes_part *part)
{
    bool was_empty;
    bool pushed = queue_push(&gate->parts, &part->link, &was_empty);
    CHECK(pushed);
    atomic_store_explicit(&gate->is_posted, true, memory_order_release);
}

void recipes_gate__wake(struct recipes_gate *gate)
{
    if (atomic_exchange(&gate->is_posted, false)) {
        gate->config.on_posted(gate->config.context);
    }
}

static struct extras extras_of(const struct recipes_part *part)
{
    return (struct extras){.type = part->content_type,
                           .retry_after = part->retry_after,
                           .allow = part->allow};
}

/* A part after which others come, or the last one of several. */
static void stream(struct waiting *waiting, const struct recipes_part *part)
{
    struct recipes_gate *gate = waiting->gate;
    struct http_exchange *exchange = waiting->exchange;
    struct extras extras = extras_of(part);
    struct head head;
    if (!waiting->is_begun) {
        make_head(gate, exchange, &extras, &head);
        http_begin(exchange, part->status, head.headers, head.count);
        waiting->is_begun = true;
    }
    if (part->size > 0) {
        http_send(exchange, slice_of(part->body, part->size));
    }
    if (!part->more) {
        exchange->on_gone = NULL;
        forget(waiting);
        http_end(exchange);
    } else if (http_unsent(exchange) > RECIPES_UNSENT_BYTES_MAX) {
        exchange->on_gone = NULL;
        push_gone(gate, waiting->id);
        forget(waiting);
        http_fail(exchange);
    }
}

static void take_part(struct recipes_gate *gate,
                      const struct recipes_part *part)
{
    struct waiting *waiting = map_u64_get(&gate->waiting, part->id);
    if (waiting == NULL) {
        return; /* its client went away */
    }
    if (waiting->is_begun || part->more) {
        stream(waiting, part);
        return;
    }
    struct http_exchange *exchange = waiting->exchange;
    struct extras extras = extras_of(part);
    exchange->on_gone = NULL;
    forget(waiting);
    respond(gate, exchange, part->status, &extras,
            slice_of(part->body, part->size));
}

void recipes_gate_take(struct recipes_gate *gate)
{
    struct queue_link *link = queue_take_all(&gate->parts);
    while (link != NULL) {
        struct queue_link *next = link->next;
        struct recipes_part *part =
            CONTAINER_OF(link, struct recipes_part, link);
        take_part(gate, part);
        mem_free(part);
        link = next;
    }
}

/* ---- new, stop, free ---------------------------------------------------- */

struct recipes_gate *recipes_gate_new(const struct recipes_gate_config *config)
{
    struct recipes_gate *gate = mem_alloc_zero(sizeof(*gate));
    struct recipes *recipes = config->recipes;
    CHECK(config->shared != NULL);
    CHECK(recipes != NULL || config->why_not != NULL);
    gate->config = *config;
    map_u64_init(&gate->waiting);
    queue_init(&gate->parts, SIZE_MAX);
    if (recipes != NULL) {
        CHECK(!recipes->is_started);
        CHECK_LT(recipes->gate_count, RECIPES_GATES_MAX);
        recipes->gates[recipes->gate_count++] = gate;
        gate->first_id = (uint64_t)recipes->gate_count << RECIPES_GATE_SHIFT;
    }
    return gate;
}

void recipes_gate_stop(struct recipes_gate *gate)
{
    struct waiting *waiting;
    size_t position = 0;
    uint64_t id;
    gate->is_stopped = true;
    while ((waiting = map_u64_next(&gate->waiting, &position, &id)) != NULL) {
        struct http_exchange *exchange = waiting->exchange;
        bool is_begun = waiting->is_begun;
        exchange->on_gone = NULL;
        push_gone(gate, waiting->id);
        forget(waiting);
        position = 0; /* the map has changed */
        if (is_begun) {
            http_end(exchange);
        } else {
            respond_error(gate, exchange, 503, "unavailable",
                          "the server is stopping");
        }
    }
}

void recipes_gate_free(struct recipes_gate *gate)
{
    if (gate == NULL) {
        return;
    }
    struct queue_link *link = queue_take_all(&gate->parts);
    while (link != NULL) {
        struct queue_link *next = link->next;
        mem_free(CONTAINER_OF(link, struct recipes_part, link));
        link = next;
    }
    CHECK_EQ(gate->waiting.count, 0);
    map_u64_deinit(&gate->waiting);
    mem_free(gate);
}
