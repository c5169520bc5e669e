#include "node_world.h"

#include <stdio.h>

#include "base/check.h"
#include "base/limits.h"

/* ---- clock and lock ------------------------------------------------------ */

static int64_t wall_ns(struct clock *clock)
{
    return CONTAINER_OF(clock, struct world, clock)->wall_ns;
}

static int64_t monotonic_ns(struct clock *clock)
{
    return CONTAINER_OF(clock, struct world, clock)->monotonic_ns;
}

/* With one thread nobody can wait: a lock that is taken is a bug. */
static void read_lock(struct lock *lock)
{
    struct world *world = CONTAINER_OF(lock, struct world, lock);
    CHECK(!world->writing && world->readers == 0);
    world->readers++;
}

static void read_unlock(struct lock *lock)
{
    struct world *world = CONTAINER_OF(lock, struct world, lock);
    CHECK_EQ(world->readers, 1);
    world->readers--;
}

static void write_lock(struct lock *lock)
{
    struct world *world = CONTAINER_OF(lock, struct world, lock);
    CHECK(!world->writing && world->readers == 0);
    world->writing = true;
}

static void write_unlock(struct lock *lock)
{
    struct world *world = CONTAINER_OF(lock, struct world, lock);
    CHECK(world->writing);
    world->writing = false;
}

/* ---- what the host does -------------------------------------------------- */

static void on_answer(void *context, struct queue_link *answer)
{
    struct world *world = context;
    answer->next = NULL;
    if (world->answers == NULL) {
        world->answers = answer;
    } else {
        world->answers_end->next = answer;
    }
    world->answers_end = answer;
}

static void on_watching(void *context, bool watching)
{
    struct world *world = context;
    CHECK(world->watching != watching);
    world->watching = watching;
}

static void on_commits(void *context, struct mvcc_commit *const *commits,
                       size_t count)
{
    struct world *world = context;
    CHECK_EQ(world->readers, 0);
    for (size_t i = 0; i < count && world->watching; i++) {
        if (world->commit_count == world->commit_capacity) {
            world->commit_capacity = world->commit_capacity * 2 + 16;
            world->commits =
                mem_realloc(world->commits, world->commit_capacity *
                                                sizeof(struct mvcc_commit *));
        }
        world->commits[world->commit_count++] = mvcc_commit_ref(commits[i]);
    }
}

static void on_answered(void *context)
{
    (void)context;
}

static void on_flush_due(void *context)
{
    struct world *world = context;
    world->flushes_due++;
}

static void on_submitted(void *context)
{
    (void)context;
}

static void on_client_request(struct http_server *server,
                              struct http_exchange *exchange)
{
    api_request(CONTAINER_OF(server, struct world, client_port)->api, exchange);
}

static void on_peer_request(struct http_server *server,
                            struct http_exchange *exchange)
{
    api_peer_request(CONTAINER_OF(server, struct world, peer_port)->api,
                     exchange);
}

static void on_output(void *context)
{
    (void)context; /* every turn asks for it */
}

static void machine(struct api_machine *out)
{
    *out = (struct api_machine){
        .resident_bytes = 5000000,
        .virtual_bytes = 80000000,
        .cpu_seconds = 1.5,
        .fd_used = 11,
        .fd_limit = 1024,
        .start_ns = WORLD_START_NS,
    };
}

static void kv_stat(void *context, struct kv_stat *out)
{
    struct world *world = context;
    world->kv->ops->stat(world->kv, out);
}

/* The worker has it no more: what waits now are the answers. */
static void on_worked(void *context, struct work *work)
{
    (void)context;
    work->link.next = NULL;
}

void world_submit_work(void *context, struct work *work)
{
    struct world *world = context;
    struct queue_link **end = &world->work;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    work->link.next = NULL;
    *end = &work->link;
}

size_t world_do_work(struct world *world)
{
    struct queue_link *next = world->work;
    size_t count = 0;
    world->work = NULL;
    while (next != NULL) {
        struct work *work = CONTAINER_OF(next, struct work, link);
        next = work->link.next;
        work->run(work);
        api_worked(world->api, work);
        count++;
    }
    return count;
}

/* ---- a turn -------------------------------------------------------------- */

static bool give_answers(struct world *world)
{
    struct queue_link *link = world->answers;
    bool any = link != NULL;
    world->answers = NULL;
    while (link != NULL) {
        struct queue_link *next = link->next;
        api_answer(world->api, link);
        link = next;
    }
    return any;
}

static bool give_commits(struct world *world)
{
    size_t count = world->commit_count;
    if (count == 0) {
        return false;
    }
    struct mvcc_commit **commits = world->commits;
    world->commits = NULL;
    world->commit_count = world->commit_capacity = 0;
    api_commits(world->api, commits, count);
    for (size_t i = 0; i < count; i++) {
        mvcc_commit_unref(commits[i]);
    }
    mem_free(commits);
    return true;
}

static bool run_node(struct world *world)
{
    struct node_progress before;
    struct node_progress after;
    if (world->idle_core || world->core_failed != ERR_OK) {
        return false;
    }
    node_progress(world->node, &before);
    world->core_failed = node_run(world->node);
    node_progress(world->node, &after);
    return after.applied != before.applied;
}

static bool serve_clients(struct world *world)
{
    bool any = false;
    LIST_EACH (link, &world->clients) {
        struct client *client = CONTAINER_OF(link, struct client, link);
        if (!client->is_slow) {
            any = client_take(client, SIZE_MAX) > 0 || any;
        }
    }
    return any;
}

void world_turn(struct world *world)
{
    bool more = true;
    while (more) {
        more = run_node(world);
        more = give_answers(world) || more;
        more = give_commits(world) || more;
        more = api_catch_up(world->api) || more;
        more = serve_clients(world) || more;
        CHECK_EQ(world->readers, 0);
        CHECK(!world->writing);
    }
}

void world_wait(struct world *world, int64_t ns)
{
    world->wall_ns += ns;
    world->monotonic_ns += ns;
    world_turn(world);
}

enum err world_flush(struct world *world)
{
    enum err err = ERR_OK;
    for (bool more = true; more && err == ERR_OK;) {
        err = node_flush(world->node, &more);
    }
    world->flushes_due = 0;
    return err;
}

static void on_compact_done(struct node_request *request)
{
    CHECK_EQ(request->err, ERR_OK);
}

void world_compact(struct world *world, revision at)
{
    struct command command = {.type = COMMAND_COMPACT, .compact = at};
    struct node_request request = {
        .command = command_encode(&command),
        .on_done = on_compact_done,
    };
    struct mvcc_status status;
    enum err err = node_submit(world->node, &request);
    CHECK_EQ(err, ERR_OK);
    do {
        (void)run_node(world);
        mvcc_status(node_mvcc(world->node), &status);
    } while (status.compacting);
    CHECK_EQ(status.compacted, at);
}

revision world_revision(struct world *world)
{
    struct node_progress progress;
    node_progress(world->node, &progress);
    return progress.revision;
}

/* ---- opening and closing ------------------------------------------------- */

static void set_shared(struct world *world)
{
    static char program[] = "etched";
    static char flag[] = "--name=Test01";
    static char *const argv[] = {program, flag};
    world->shared = (struct api_shared){
        .clock = &world->clock,
        .name = "Test01",
        .key_bytes_max = LIMIT_KEY_BYTES_MAX,
        .watchers_max = 1000,
        .quota_bytes = 1 << 30,
        .argc = 2,
        .argv = argv,
        .machine = machine,
        .kv_stat = kv_stat,
        .kv_context = world,
    };
}

void world_init(struct world *world, uint64_t seed)
{
    *world = (struct world){
        .clock = {wall_ns, monotonic_ns},
        .wall_ns = WORLD_START_NS,
        .lock = {read_lock, read_unlock, write_lock, write_unlock},
        .client_port = {on_client_request},
        .peer_port = {on_peer_request},
        .date = SLICE("Thu, 01 Jan 2026 00:00:00 GMT"),
    };
    world->disk = disk_memory_new(seed);
    world->kv = kv_memory_new();
    world->member = (struct node_member){
        .id = 0x3e3,
        .name = SLICE("Test01"),
        .peer_urls = SLICE("http://127.0.0.1:2380"),
        .client_urls = SLICE(""),
    };
    world->config = (struct node_config){
        .cluster_id = 0xc1,
        .member_id = 0x3e3,
        .name = "Test01",
        .client_urls = "http://127.0.0.1:2379,http://127.0.0.1:4001",
        .members = &world->member,
        .member_count = 1,
        .seed = seed,
        .heartbeat_ms = 100,
        .election_ms = 1000,
        .wal_segment_bytes = 4 * 1024 * 1024,
        .flush_revisions = LIMIT_FLUSH_REVISIONS,
        .on_commits = on_commits,
        .on_answered = on_answered,
        .on_flush_due = on_flush_due,
        .on_submitted = on_submitted,
        .context = world,
    };
    list_init(&world->clients);
    set_shared(world);
}

enum err world_try_open(struct world *world)
{
    CHECK(world->node == NULL);
    world->config.ports = (struct node_ports){
        .clock = &world->clock,
        .disk = disk_memory_door(world->disk),
        .kv = world->kv,
        .lock = &world->lock,
    };
    enum err err = node_open(&world->config, &world->node);
    CHECK_EQ(err == ERR_OK, world->node != NULL);
    if (err != ERR_OK) {
        return err;
    }
    struct api_config api = {
        .shared = &world->shared,
        .seed = world->config.seed,
        .on_answer = on_answer,
        .on_watching = on_watching,
        .on_worked = on_worked,
        .context = world,
    };
    world->shared.node = world->node;
    world->core_failed = ERR_OK;
    err = api_new(&api, &world->api);
    CHECK_EQ(err, ERR_OK);
    return ERR_OK;
}

void world_open(struct world *world)
{
    enum err err = world_try_open(world);
    CHECK_EQ(err, ERR_OK);
}

/* The clients go; what they asked for is decided nevertheless. */
static void drain(struct world *world)
{
    struct list *link;
    while ((link = list_first(&world->clients)) != NULL) {
        client_free(CONTAINER_OF(link, struct client, link));
    }
    world->idle_core = false;
    while (world_do_work(world) > 0) {
    }
    (void)run_node(world);
    (void)give_answers(world);
    (void)give_commits(world);
    CHECK_EQ(api_pending(world->api), 0);
    CHECK(!world->watching);
}

void world_close(struct world *world)
{
    if (world->node == NULL) {
        return;
    }
    drain(world);
    api_stop(world->api);
    api_free(world->api);
    node_close(world->node);
    mem_free(world->commits);
    world->commits = NULL;
    world->commit_capacity = 0;
    world->api = NULL;
    world->node = NULL;
}

/* The disk forgets first, and the store takes nothing more: closing is then
 * only the giving back of memory. */
void world_crash(struct world *world)
{
    disk_memory_crash(world->disk);
    world->core_failed = ERR_IO;
    kv_memory_fail_after(world->kv, 1, ERR_IO);
    world_close(world);
    kv_memory_fail_after(world->kv, 0, ERR_OK);
    world->kv = kv_memory_reopen(world->kv);
}

void world_deinit(struct world *world)
{
    world_close(world);
    kv_memory_free(world->kv);
    disk_memory_free(world->disk);
    buf_deinit(&world->reply);
    *world = (struct world){0};
}

/* ---- clients ------------------------------------------------------------- */

static struct client *connect_to(struct world *world,
                                 struct http_server *server)
{
    struct client *client = mem_alloc_zero(sizeof(*client));
    struct http1_config config = {
        .server = server,
        .head_bytes_max = LIMIT_HTTP_HEAD_BYTES_MAX,
        .header_count_max = LIMIT_HTTP_HEADER_COUNT_MAX,
        .body_bytes_max = WORLD_BODY_BYTES_MAX,
        .idle_ms = LIMIT_HTTP_IDLE_MS,
        .head_ms = LIMIT_HTTP_HEAD_MS,
        .body_ms = LIMIT_HTTP_BODY_MS,
        .stall_ms = LIMIT_HTTP_WRITE_STALL_MS,
        .date = &world->date,
        .certificate = world->certificate,
        .is_own = world->is_own,
        .on_output = on_output,
        .context = client,
    };
    client->world = world;
    client->http1 = http1_new(&config, SLICE("127.0.0.1:4711"),
                              world->monotonic_ns / 1000000);
    list_push_back(&world->clients, &client->link);
    return client;
}

struct client *client_new(struct world *world)
{
    return connect_to(world, &world->client_port);
}

struct client *client_new_peer_port(struct world *world)
{
    return connect_to(world, &world->peer_port);
}

void client_free(struct client *client)
{
    list_remove(&client->link);
    http1_free(client->http1);
    buf_deinit(&client->got);
    buf_deinit(&client->body);
    mem_free(client);
}

void client_send(struct client *client, struct slice bytes)
{
    http1_input(client->http1, bytes, client->world->monotonic_ns / 1000000);
}

void client_say(struct client *client, const char *text)
{
    client_send(client, slice_str(text));
}

void client_ask(struct client *client, const char *method, const char *target,
                const char *headers, const char *form)
{
    struct buf text = {0};
    buf_printf(&text, "%s %s HTTP/1.1\r\nHost: h\r\n", method, target);
    if (headers != NULL) {
        buf_append_str(&text, headers);
    }
    if (form != NULL) {
        if (headers == NULL) {
            buf_append_str(&text, "Content-Type: "
                                  "application/x-www-form-urlencoded\r\n");
        }
        buf_printf(&text, "Content-Length: %zu\r\n", strlen(form));
    }
    buf_append_str(&text, "\r\n");
    buf_append_str(&text, form != NULL ? form : "");
    client_send(client, buf_slice(&text));
    buf_deinit(&text);
}

size_t client_take(struct client *client, size_t max)
{
    struct slice slices[16];
    size_t taken = 0;
    size_t count;
    while (taken < max &&
           (count = http1_output(client->http1, slices, 16)) > 0) {
        size_t sent = 0;
        for (size_t i = 0; i < count && taken < max; i++) {
            size_t size = slices[i].size;
            size = size < max - taken ? size : max - taken;
            buf_append(&client->got, slices[i].at, size);
            taken += size;
            sent += size;
        }
        http1_sent(client->http1, sent, client->world->monotonic_ns / 1000000);
    }
    return taken;
}

/* ---- replies ------------------------------------------------------------- */

static size_t find(struct slice text, const char *what)
{
    const char *at =
        text.size == 0 ? NULL : memmem(text.at, text.size, what, strlen(what));
    return at == NULL ? SIZE_MAX : (size_t)(at - text.at);
}

struct slice reply_header(const struct reply *reply, const char *name)
{
    struct slice rest = reply->head;
    size_t end;
    while ((end = find(rest, "\r\n")) != SIZE_MAX) {
        struct slice line = slice_of(rest.at, end);
        ptrdiff_t colon = slice_find(line, ':');
        rest = slice_of(rest.at + end + 2, rest.size - end - 2);
        if (colon > 0 &&
            slice_eq(slice_of(line.at, (size_t)colon), slice_str(name))) {
            size_t skip = (size_t)colon + 2;
            return slice_of(line.at + skip, line.size - skip);
        }
    }
    return slice_of(NULL, 0);
}

static uint64_t hex_number(struct slice text)
{
    uint64_t number = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.at[i];
        CHECK((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
        number = number << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return number;
}

/* Joins the chunks that are there. */
static void read_chunks(struct client *client, struct reply *reply)
{
    buf_reset(&client->body);
    while (!reply->is_whole) {
        struct slice rest = slice_of(client->got.at + reply->bytes,
                                     client->got.size - reply->bytes);
        size_t end = find(rest, "\r\n");
        if (end == SIZE_MAX) {
            break;
        }
        uint64_t size = hex_number(slice_of(rest.at, end));
        if (end + 2 + size + 2 > rest.size) {
            break;
        }
        CHECK(memcmp(rest.at + end + 2 + size, "\r\n", 2) == 0);
        buf_append(&client->body, rest.at + end + 2, size);
        reply->bytes += end + 2 + size + 2;
        reply->is_whole = size == 0;
    }
    reply->body = buf_slice(&client->body);
}

bool client_reply(struct client *client, bool head_only, struct reply *reply)
{
    struct slice got = buf_slice(&client->got);
    size_t end = find(got, "\r\n\r\n");
    uint64_t length;
    uint64_t status;
    *reply = (struct reply){0};
    if (end == SIZE_MAX) {
        return false;
    }
    CHECK(slice_has_prefix(got, SLICE("HTTP/1.1 ")));
    CHECK(slice_to_u64(slice_of(got.at + 9, 3), &status));
    reply->status = (int)status;
    reply->head = slice_of(got.at, end + 2);
    reply->bytes = end + 4;
    if (head_only || status == 204) {
        reply->is_whole = true;
    } else if (reply_header(reply, "Transfer-Encoding").at != NULL) {
        read_chunks(client, reply);
    } else {
        CHECK(slice_to_u64(reply_header(reply, "Content-Length"), &length));
        reply->is_whole = got.size - reply->bytes >= length;
        if (reply->is_whole) {
            reply->body = slice_of(got.at + reply->bytes, length);
            reply->bytes += length;
        }
    }
    return true;
}

void client_next(struct client *client, const struct reply *reply)
{
    buf_consume(&client->got, reply->bytes);
}

struct reply world_request(struct world *world, const char *method,
                           const char *target, const char *headers,
                           const char *form)
{
    struct buf *kept = &world->reply;
    struct reply reply;
    struct client *client = client_new(world);
    client_ask(client, method, target, headers, form);
    world_turn(world);
    bool answered = client_reply(client, strcmp(method, "HEAD") == 0, &reply);
    CHECK(answered && reply.is_whole);
    /* The client's memory goes with it. */
    buf_reset(kept);
    buf_append_slice(kept, reply.head);
    buf_append_slice(kept, reply.body);
    reply.head = slice_of(kept->at, reply.head.size);
    reply.body = slice_of(kept->at + reply.head.size, reply.body.size);
    client_free(client);
    return reply;
}
