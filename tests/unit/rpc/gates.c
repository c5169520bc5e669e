#include "gates.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"

enum { ANSWER_MS_MAX = 20000 };

static char last[64 * 1024];
static size_t last_size;

/* ---- what the host does ---------------------------------------------- */

static void push(struct queue_link ***end, struct queue_link *link)
{
    link->next = NULL;
    **end = link;
    *end = &link->next;
}

static struct queue_link *take_all(struct queue_link **first,
                                   struct queue_link ***end)
{
    struct queue_link *all = *first;
    *first = NULL;
    *end = first;
    return all;
}

static void on_answer(void *context, struct queue_link *answer)
{
    struct gate *gate = context;
    push(&gate->answers_end, answer);
}

static void on_watching(void *context, bool watching)
{
    struct gate *gate = context;
    CHECK(gate->watching != watching);
    gate->watching = watching;
}

static void on_worked(void *context, struct work *work)
{
    struct gate *gate = context;
    push(&gate->worked_end, &work->link);
}

static void submit_work(void *context, struct work *work)
{
    struct gate *gate = context;
    push(&gate->works_end, &work->link);
}

static void on_commits(void *context, struct mvcc_commit *const *commits,
                       size_t count)
{
    struct gate *gate = context;
    gate->inner.on_commits(gate->inner.context, commits, count);
    for (size_t i = 0; i < count && gate->watching; i++) {
        CHECK_LT(gate->commit_count, 64);
        gate->commits[gate->commit_count++] = mvcc_commit_ref(commits[i]);
    }
}

static void on_jump(void *context, revision newest)
{
    struct gate *gate = context;
    gate->inner.on_jump(gate->inner.context, newest);
    if (gate->rpc != NULL) {
        rpc_jump(gate->rpc, newest);
    }
}

static void on_event(void *context)
{
    struct gate *gate = context;
    gate->inner.on_answered(gate->inner.context);
}

static void kv_stat(void *context, struct kv_stat *out)
{
    (void)context;
    *out = (struct kv_stat){.file_bytes = 20480, .in_use_bytes = 16384};
}

/* ---- a file ---------------------------------------------------------- */

char gate_file_byte(uint64_t at)
{
    return (char)(at * 131 + at / 251);
}

static enum err snapshot(void *context, struct rpc_snapshot *out)
{
    struct gate *gate = context;
    if (gate->file.open_err != ERR_OK) {
        return gate->file.open_err;
    }
    gate->file.open_count++;
    gate->file.at = 0;
    *out = (struct rpc_snapshot){.fd = 77, .bytes = gate->file.bytes};
    return ERR_OK;
}

/* Never as much as is asked for. */
static enum err snapshot_read(void *context, struct rpc_snapshot *from,
                              char *out, size_t size, size_t *got)
{
    struct gate *gate = context;
    struct gate_file *file = &gate->file;
    CHECK_EQ(from->fd, 77);
    uint64_t left = file->bytes - file->short_by - file->at;
    *got = size > 1 ? size - size / 3 : size;
    *got = *got < left ? *got : (size_t)left;
    for (size_t i = 0; i < *got; i++) {
        out[i] = gate_file_byte(file->at++);
    }
    file->reads++;
    return ERR_OK;
}

static void snapshot_close(void *context, struct rpc_snapshot *from)
{
    struct gate *gate = context;
    CHECK_EQ(from->fd, 77);
    CHECK_LT(0, gate->file.open_count);
    gate->file.open_count--;
}

static void defragment(void *context)
{
    struct gate *gate = context;
    gate->defragmented++;
}

int64_t gate_now_ms(const struct gate *gate)
{
    return clock_monotonic_ns(gate->api.clock) / 1000000;
}

/* ---- a turn ---------------------------------------------------------- */

static bool do_works(struct gate *gate)
{
    if (gate->holds_works) {
        return false;
    }
    struct queue_link *link = take_all(&gate->works, &gate->works_end);
    bool any = link != NULL;
    while (link != NULL) {
        struct queue_link *next = link->next;
        struct work *work = CONTAINER_OF(link, struct work, link);
        work->run(work);
        link = next;
    }
    link = take_all(&gate->worked, &gate->worked_end);
    while (link != NULL) {
        struct queue_link *next = link->next;
        rpc_worked(gate->rpc, CONTAINER_OF(link, struct work, link));
        link = next;
    }
    return any;
}

static bool give_answers(struct gate *gate)
{
    struct queue_link *link = take_all(&gate->answers, &gate->answers_end);
    bool any = link != NULL;
    while (link != NULL) {
        struct queue_link *next = link->next;
        rpc_answer(gate->rpc, link);
        link = next;
    }
    return any;
}

static bool give_commits(struct gate *gate)
{
    size_t count = gate->commit_count;
    gate->commit_count = 0;
    if (count > 0) {
        rpc_commits(gate->rpc, gate->commits, count);
    }
    for (size_t i = 0; i < count; i++) {
        mvcc_commit_unref(gate->commits[i]);
    }
    return count > 0;
}

static void turn(struct gate *gate)
{
    bool more = true;
    while (more) {
        more = give_answers(gate);
        more = give_commits(gate) || more;
        more = do_works(gate) || more;
        more = rpc_catch_up(gate->rpc) || more;
    }
    rpc_tick(gate->rpc, gate_now_ms(gate));
}

void gates_run(struct gates *gates, int64_t ms)
{
    for (; ms > 0; ms--) {
        cluster_run(&gates->nodes, 1);
        for (size_t i = 0; i < CLUSTER_MAX; i++) {
            if (gates->gates[i].rpc != NULL) {
                turn(&gates->gates[i]);
            }
        }
    }
}

/* ---- the network ----------------------------------------------------- */

/* A member that was added by a request has an id of its own making, and never
 * comes up: what is sent to it is lost. */
static bool is_known(uint64_t id)
{
    return id >= cluster_id(0) && id < cluster_id(CLUSTER_MAX);
}

static struct net_ops inner_ops;

static void net_send_known(struct net *net, uint64_t to, struct refbuf *bytes)
{
    if (is_known(to)) {
        inner_ops.send(net, to, bytes);
    } else {
        refbuf_unref(bytes);
    }
}

static void net_bring_known(struct net *net, uint64_t to)
{
    if (is_known(to)) {
        inner_ops.snapshot(net, to);
    }
}

static void wrap_net(struct net *net)
{
    static struct net_ops outer_ops;
    inner_ops = *net->ops;
    outer_ops = inner_ops;
    outer_ops.send = net_send_known;
    outer_ops.snapshot = net_bring_known;
    net->ops = &outer_ops;
}

/* ---- life ------------------------------------------------------------ */

static void set_shared(struct gate *gate)
{
    struct cluster_member *member = &gate->gates->nodes.members[gate->number];
    gate->api = (struct api_shared){
        .node = member->node,
        .clock = &member->clock,
        .name = "gate",
        .quota_bytes = 1 << 30,
        .strict_reconfig = true,
        .key_bytes_max = LIMIT_KEY_BYTES_MAX,
        .watchers_max = 10000,
        .kv_stat = kv_stat,
    };
    gate->shared = (struct rpc_shared){
        .api = &gate->api,
        .request_bytes_max = 1572864,
        .txn_ops_max = 128,
        .watch_progress_ms = 600000,
        .submit_work = submit_work,
        .snapshot = snapshot,
        .snapshot_read = snapshot_read,
        .snapshot_close = snapshot_close,
        .defragment = defragment,
        .context = gate,
    };
}

static void open_gate(struct gate *gate)
{
    struct cluster_member *member = &gate->gates->nodes.members[gate->number];
    struct node_config *config = &member->config;
    struct rpc_config rpc = {
        .shared = &gate->shared,
        .seed = gate->number + 1,
        .on_answer = on_answer,
        .on_watching = on_watching,
        .on_worked = on_worked,
        .context = gate,
    };
    gate->inner = *config;
    wrap_net(&member->net);
    config->on_commits = on_commits;
    config->on_jump = on_jump;
    config->on_answered = config->on_flush_due = config->on_submitted =
        on_event;
    config->context = gate;
    enum err err = cluster_open(&gate->gates->nodes, gate->number);
    CHECK_EQ(err, ERR_OK);
    set_shared(gate);
    err = rpc_new(&rpc, &gate->rpc);
    CHECK_EQ(err, ERR_OK);
}

struct gates *gates_new(size_t count, size_t more)
{
    struct gates *gates = mem_alloc_zero(sizeof(*gates));
    cluster_init(&gates->nodes, count, more, 4711);
    for (size_t i = 0; i < CLUSTER_MAX; i++) {
        struct gate *gate = &gates->gates[i];
        gate->gates = gates;
        gate->number = i;
        gate->answers_end = &gate->answers;
        gate->works_end = &gate->works;
        gate->worked_end = &gate->worked;
        if (i < count) {
            open_gate(gate);
        }
    }
    (void)gates_leader(gates);
    gates_run(gates, 300);
    return gates;
}

void gates_open(struct gates *gates, size_t number)
{
    CHECK(gates->gates[number].rpc == NULL);
    open_gate(&gates->gates[number]);
}

void gates_free(struct gates *gates)
{
    for (size_t i = 0; i < CLUSTER_MAX; i++) {
        struct gate *gate = &gates->gates[i];
        if (gate->rpc == NULL) {
            continue;
        }
        gate->holds_works = false;
        rpc_stop(gate->rpc);
        for (int ms = 0; rpc_pending(gate->rpc) > 0; ms++) {
            CHECK_LT(ms, ANSWER_MS_MAX);
            gates_run(gates, 1);
        }
        CHECK_EQ(gate->file.open_count, 0);
        rpc_free(gate->rpc);
        gate->rpc = NULL;
        give_commits(gate);
        CHECK(!gate->watching);
    }
    cluster_deinit(&gates->nodes);
    mem_free(gates);
}

size_t gates_leader(struct gates *gates)
{
    return cluster_leader(&gates->nodes);
}

size_t gates_follower(struct gates *gates)
{
    return cluster_follower(&gates->nodes);
}

/* ---- an exchange ----------------------------------------------------- */

static struct ask *ask_of(const struct http_exchange *exchange)
{
    return (struct ask *)(uintptr_t)exchange;
}

static void put_head(struct ask *ask, int status,
                     const struct http_header *headers, size_t count)
{
    CHECK(ask->status == 0 && !ask->ended);
    ask->status = status;
    for (size_t i = 0; i < count; i++) {
        buf_append_slice(&ask->answer_headers, headers[i].name);
        buf_append_str(&ask->answer_headers, ": ");
        buf_append_slice(&ask->answer_headers, headers[i].value);
        buf_append_char(&ask->answer_headers, '\n');
    }
}

static void respond(struct http_exchange *exchange, int status,
                    const struct http_header *headers, size_t count,
                    struct slice body)
{
    struct ask *ask = ask_of(exchange);
    put_head(ask, status, headers, count);
    buf_append_slice(&ask->body, body);
    ask->ended = true;
}

static void begin(struct http_exchange *exchange, int status,
                  const struct http_header *headers, size_t count)
{
    put_head(ask_of(exchange), status, headers, count);
    ask_of(exchange)->begun = true;
}

static void send(struct http_exchange *exchange, struct slice piece)
{
    struct ask *ask = ask_of(exchange);
    CHECK(ask->begun && !ask->ended);
    buf_append_slice(&ask->body, piece);
}

static void end(struct http_exchange *exchange)
{
    struct ask *ask = ask_of(exchange);
    CHECK(ask->begun && !ask->ended);
    ask->ended = true;
}

static size_t unsent(const struct http_exchange *exchange)
{
    CHECK(ask_of(exchange)->begun);
    return ask_of(exchange)->unsent;
}

static const struct http_exchange_ops ops = {
    .respond = respond,
    .begin = begin,
    .send = send,
    .end = end,
    .unsent = unsent,
};

static void read_headers(struct ask *ask, const char *headers)
{
    struct http_request *request = &ask->exchange.request;
    snprintf(ask->text, sizeof(ask->text), "%s", headers);
    struct slice rest = slice_str(ask->text);
    ptrdiff_t end;
    while ((end = slice_find(rest, '\n')) >= 0) {
        struct slice line = slice_of(rest.at, (size_t)end);
        size_t colon = (size_t)slice_find(line, ':');
        CHECK(colon < line.size && request->header_count < 8);
        ask->headers[request->header_count++] = (struct http_header){
            slice_of(line.at, colon),
            slice_of(line.at + colon + 2, line.size - colon - 2)};
        rest = slice_of(rest.at + end + 1, rest.size - (size_t)end - 1);
    }
    request->headers = ask->headers;
}

struct ask *gate_ask(struct gates *gates, size_t number,
                     enum http_method method, const char *path,
                     const char *headers, const char *body)
{
    struct ask *ask = mem_alloc_zero(sizeof(*ask));
    arena_init(&ask->arena, 0);
    ask->exchange.arena = &ask->arena;
    ask->exchange.ops = &ops;
    ask->exchange.request = (struct http_request){
        .method = method,
        .path = slice_str(path),
        .body = slice_str(body),
        .peer = SLICE("127.0.0.1:1"),
    };
    if (headers != NULL) {
        read_headers(ask, headers);
    }
    rpc_gateway(gates->gates[number].rpc, &ask->exchange);
    return ask;
}

struct ask *gate_post(struct gates *gates, size_t number, const char *path,
                      const char *body)
{
    return gate_ask(gates, number, HTTP_POST, path, NULL, body);
}

void ask_free(struct ask *ask)
{
    if (!ask->ended && ask->exchange.on_gone != NULL) {
        ask->exchange.on_gone(&ask->exchange);
    }
    arena_deinit(&ask->arena);
    buf_deinit(&ask->body);
    buf_deinit(&ask->answer_headers);
    mem_free(ask);
}

/* ---- expectations ---------------------------------------------------- */

/* '*' in the pattern: any run. */
static bool matches(const char *text, const char *end, const char *pattern)
{
    const char *star = NULL;
    const char *resume = text;
    while (text < end) {
        if (*pattern == '*') {
            star = pattern++;
            resume = text;
        } else if (*pattern == *text) {
            pattern++;
            text++;
        } else if (star != NULL) {
            pattern = star + 1;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}

void ask_expect(struct ask *ask, int status, const char *expected)
{
    struct slice body = ask->body.size > 0 ? buf_slice(&ask->body) : SLICE("");
    last_size = body.size < sizeof(last) - 1 ? body.size : sizeof(last) - 1;
    memcpy(last, body.at, last_size);
    last[last_size] = '\0';
    if (ask->status != status ||
        !matches(body.at, body.at + body.size, expected)) {
        fail_msg("got %d %.1000s\nwant %d %s", ask->status, last, status,
                 expected);
    }
}

void gate_story(struct gates *gates, size_t number, const char *path,
                const char *body, int status, const char *expected)
{
    struct ask *ask = gate_post(gates, number, path, body);
    for (int ms = 0; !ask->ended; ms++) {
        CHECK_LT(ms, ANSWER_MS_MAX);
        gates_run(gates, 1);
    }
    ask_expect(ask, status, expected);
    ask_free(ask);
}

uint64_t gate_number(const char *name)
{
    char want[64];
    snprintf(want, sizeof(want), "\"%s\":\"", name);
    const char *at = strstr(last, want);
    if (at == NULL) {
        fail_msg("no %s in %s", name, last);
    }
    return strtoull(at + strlen(want), NULL, 10);
}

struct slice gate_last(void)
{
    return slice_of(last, last_size);
}
