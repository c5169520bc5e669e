#include "grpc_world.h"

#include <stdlib.h>

#include "base/check.h"

enum { HEADERS_MAX = 24, STEP_MS = 10 };

/* ---- the host -------------------------------------------------------- */

static void on_answer(void *context, struct queue_link *answer)
{
    struct grpc_world *world = context;
    answer->next = NULL;
    *world->answers_end = answer;
    world->answers_end = &answer->next;
}

static void on_watching(void *context, bool watching)
{
    struct grpc_world *world = context;
    CHECK(world->watching != watching);
    world->watching = watching;
}

static void on_worked(void *context, struct work *work)
{
    struct grpc_world *world = context;
    rpc_worked(world->rpc, work);
}

static void submit_work(void *context, struct work *work)
{
    struct grpc_world *world = context;
    CHECK(world->works == NULL);
    world->works = work;
}

static void on_commits(void *context, struct mvcc_commit *const *commits,
                       size_t count)
{
    struct grpc_world *world = context;
    world->inner_commits(&world->world, commits, count);
    for (size_t i = 0; i < count && world->watching; i++) {
        CHECK_LT(world->commit_count, 256);
        world->commits[world->commit_count++] = mvcc_commit_ref(commits[i]);
    }
}

static void on_output(void *context)
{
    (void)context; /* every turn asks for it */
}

static bool give_answers(struct grpc_world *world)
{
    struct queue_link *link = world->answers;
    if (link == NULL || world->holds_answers) {
        return false;
    }
    world->answers = NULL;
    world->answers_end = &world->answers;
    while (link != NULL) {
        struct queue_link *next = link->next;
        rpc_answer(world->rpc, link);
        link = next;
    }
    return true;
}

static bool give_commits(struct grpc_world *world)
{
    size_t count = world->commit_count;
    world->commit_count = 0;
    if (count == 0) {
        return false;
    }
    struct mvcc_commit *commits[256];
    memcpy(commits, world->commits, count * sizeof(commits[0]));
    rpc_commits(world->rpc, commits, count);
    for (size_t i = 0; i < count; i++) {
        mvcc_commit_unref(commits[i]);
    }
    return true;
}

static bool do_work(struct grpc_world *world)
{
    struct work *work = world->works;
    world->works = NULL;
    if (work != NULL) {
        work->run(work);
    }
    return work != NULL;
}

/* ---- a connection ---------------------------------------------------- */

static int64_t now_ms(const struct grpc_world *world)
{
    return world->world.monotonic_ns / 1000000;
}

/* What the client has to say goes to the server. */
static bool carry_up(struct line *line)
{
    const uint8_t *bytes;
    ssize_t size = nghttp2_session_mem_send(line->client, &bytes);
    CHECK_LE(0, size);
    if (size > 0 && !line->is_over) {
        http2_input(line->http2, slice_of(bytes, (size_t)size),
                    now_ms(line->world));
    }
    return size > 0;
}

static size_t waiting(struct line *line, struct slice *slices, size_t max)
{
    size_t count = http2_output(line->http2, slices, max);
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += slices[i].size;
    }
    line->held_max = total > line->held_max ? total : line->held_max;
    return count;
}

static size_t carry_down(struct line *line, size_t max)
{
    struct slice slices[8];
    if (line->is_over || max == 0 || waiting(line, slices, 8) == 0) {
        return 0;
    }
    size_t size = slices[0].size < max ? slices[0].size : max;
    ssize_t used = nghttp2_session_mem_recv(
        line->client, (const uint8_t *)slices[0].at, size);
    CHECK_EQ(used, (ssize_t)size);
    http2_sent(line->http2, size, now_ms(line->world));
    return size;
}

void line_read(struct line *line, size_t max)
{
    size_t size;
    while ((size = carry_down(line, max)) > 0) {
        max -= size;
    }
}

static bool serve_line(struct line *line)
{
    bool any = carry_up(line);
    if (!line->is_slow && carry_down(line, SIZE_MAX) > 0) {
        any = true;
    }
    line->is_over = line->is_over || http2_is_finished(line->http2);
    return any;
}

static struct talk *find(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
                     const uint8_t *name, size_t name_size,
                     const uint8_t *value, size_t value_size, uint8_t flags,
                     void *context)
{
    struct talk *talk = find(session, frame->hd.stream_id);
    struct slice key = slice_of(name, name_size);
    (void)flags;
    (void)context;
    if (talk == NULL) {
        return 0;
    }
    buf_append_slice(&talk->head, key);
    buf_append_str(&talk->head, ": ");
    buf_append(&talk->head, value, value_size);
    buf_append_char(&talk->head, '\n');
    if (slice_eq(key, SLICE(":status"))) {
        talk->status = (int)strtol((const char *)value, NULL, 10);
    } else if (slice_eq(key, SLICE("grpc-status"))) {
        talk->code = (int)strtol((const char *)value, NULL, 10);
    } else if (slice_eq(key, SLICE("grpc-message"))) {
        buf_append(&talk->text, value, value_size);
    }
    return 0;
}

static int on_chunk(nghttp2_session *session, uint8_t flags, int32_t id,
                    const uint8_t *bytes, size_t size, void *context)
{
    struct talk *talk = find(session, id);
    (void)flags;
    (void)context;
    if (talk != NULL) {
        buf_append(&talk->got, bytes, size);
    }
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code,
                    void *context)
{
    struct talk *talk = find(session, id);
    (void)context;
    if (talk != NULL) {
        talk->ended = true;
        talk->reset = code;
    }
    return 0;
}

static nghttp2_session *new_client(struct line *line)
{
    nghttp2_session *client;
    nghttp2_session_callbacks *callbacks;
    nghttp2_settings_entry windows = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
                                      1 << 20};
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks,
                                                              on_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_client_new(&client, callbacks, line);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(client, NGHTTP2_FLAG_NONE, &windows, 1);
    nghttp2_session_set_local_window_size(client, NGHTTP2_FLAG_NONE, 0,
                                          1 << 30);
    return client;
}

static void on_request(struct http_server *server,
                       struct http_exchange *exchange)
{
    (void)server;
    http_respond(exchange, 404, NULL, 0, SLICE("not a call"));
}

struct line *line_open(struct grpc_world *world)
{
    return line_open_as(world, SLICE(""), false);
}

struct line *line_open_as(struct grpc_world *world, struct slice certificate,
                          bool is_own)
{
    static struct http_server server = {on_request};
    struct line *line = mem_alloc_zero(sizeof(*line));
    struct http2_config config = {
        .server = &server,
        .streaming = rpc_streaming(world->rpc),
        .streams_max = 1000,
        .head_bytes_max = 64 * 1024,
        .header_count_max = 100,
        .body_bytes_max = 1 << 20,
        .certificate = certificate,
        .is_own = is_own,
        .date = &world->world.date,
        .is_lazy = true,
        .on_output = on_output,
        .context = line,
    };
    line->world = world;
    list_init(&line->talks);
    line->http2 = http2_new(&config, SLICE("1.2.3.4:5"), now_ms(world));
    line->client = new_client(line);
    list_push_back(&world->lines, &line->link);
    grpc_world_turn(world);
    return line;
}

void line_close(struct line *line)
{
    while (!list_is_empty(&line->talks)) {
        talk_free(CONTAINER_OF(line->talks.next, struct talk, link));
    }
    list_remove(&line->link);
    http2_free(line->http2);
    nghttp2_session_del(line->client);
    mem_free(line);
}

/* ---- the world ------------------------------------------------------- */

struct grpc_world *grpc_world_new(uint64_t seed)
{
    return grpc_world_new_with(seed, NULL, NULL);
}

struct grpc_world *grpc_world_new_with(uint64_t seed,
                                       void (*prepare)(void *context,
                                                       struct world *world),
                                       void *context)
{
    struct grpc_world *world = mem_alloc_zero(sizeof(*world));
    world_init(&world->world, seed);
    list_init(&world->lines);
    world->answers_end = &world->answers;
    world->inner_commits = world->world.config.on_commits;
    world->world.config.on_commits = on_commits;
    if (prepare != NULL) {
        prepare(context, &world->world);
    }
    world_open(&world->world);
    world->shared = (struct rpc_shared){
        .api = &world->world.shared,
        .request_bytes_max = 1536 * 1024,
        .txn_ops_max = 128,
        .watch_progress_ms = 600000,
        .submit_work = submit_work,
        .context = world,
    };
    struct rpc_config config = {
        .shared = &world->shared,
        .seed = seed,
        .on_answer = on_answer,
        .on_watching = on_watching,
        .on_worked = on_worked,
        .context = world,
    };
    enum err err = rpc_new(&config, &world->rpc);
    CHECK_EQ(err, ERR_OK);
    grpc_world_turn(world);
    return world;
}

void grpc_world_free(struct grpc_world *world)
{
    world->holds_answers = false;
    while (!list_is_empty(&world->lines)) {
        line_close(CONTAINER_OF(world->lines.next, struct line, link));
    }
    rpc_stop(world->rpc);
    grpc_world_turn(world);
    CHECK_EQ(rpc_pending(world->rpc), 0);
    rpc_free(world->rpc);
    world_deinit(&world->world);
    mem_free(world);
}

void grpc_world_turn(struct grpc_world *world)
{
    struct node_progress before;
    struct node_progress after;
    for (bool more = true; more;) {
        node_progress(world->world.node, &before);
        world_turn(&world->world);
        node_progress(world->world.node, &after);
        more = after.applied != before.applied;
        more = give_answers(world) || more;
        more = give_commits(world) || more;
        more = do_work(world) || more;
        more = rpc_catch_up(world->rpc) || more;
        LIST_EACH (node, &world->lines) {
            more = serve_line(CONTAINER_OF(node, struct line, link)) || more;
        }
    }
}

void grpc_world_wait(struct grpc_world *world, int64_t ms)
{
    int64_t ticked_ms = now_ms(world);
    for (; ms > 0; ms -= STEP_MS) {
        world_wait(&world->world, INT64_C(1000000) * STEP_MS);
        if (rpc_deadline_ms(world->rpc) <= now_ms(world) ||
            now_ms(world) >= ticked_ms + 500) {
            ticked_ms = now_ms(world);
            rpc_tick(world->rpc, ticked_ms);
        }
        grpc_world_turn(world);
    }
}

/* ---- calls ----------------------------------------------------------- */

struct fields {
    nghttp2_nv at[HEADERS_MAX];
    size_t count;
};

static void set_field(struct fields *fields, struct slice name,
                      struct slice value)
{
    size_t i = 0;
    while (
        i < fields->count &&
        !slice_eq(name, slice_of(fields->at[i].name, fields->at[i].namelen))) {
        i++;
    }
    CHECK_LT(i, HEADERS_MAX);
    fields->at[i] = (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name.at,
        .value = (uint8_t *)(uintptr_t)value.at,
        .namelen = name.size,
        .valuelen = value.size,
    };
    fields->count += i == fields->count ? 1 : 0;
}

static void set_fields(struct fields *fields, const char *lines)
{
    while (lines != NULL && *lines != '\0') {
        const char *colon = strchr(lines + 1, ':');
        CHECK(colon != NULL && colon[1] == ' ');
        const char *end = strchr(colon, '\n');
        CHECK(end != NULL);
        set_field(fields, slice_of(lines, (size_t)(colon - lines)),
                  slice_of(colon + 2, (size_t)(end - colon - 2)));
        lines = end + 1;
    }
}

static ssize_t read_upload(nghttp2_session *session, int32_t id, uint8_t *room,
                           size_t size, uint32_t *flags,
                           nghttp2_data_source *source, void *context)
{
    struct talk *talk = source->ptr;
    size_t left = talk->upload.size - talk->upload_at;
    (void)session;
    (void)id;
    (void)context;
    size = size < left ? size : left;
    memcpy(room, talk->upload.at + talk->upload_at, size);
    talk->upload_at += size;
    if (size == left && talk->upload_ends) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    } else if (size == 0) {
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)size;
}

struct talk *talk_open(struct line *line, const char *path, const char *headers)
{
    struct fields fields = {.count = 0};
    struct talk *talk = mem_alloc_zero(sizeof(*talk));
    nghttp2_data_provider upload = {{.ptr = talk}, read_upload};
    talk->line = line;
    talk->code = -1;
    buf_reserve(&talk->upload, 1);
    set_field(&fields, SLICE(":method"), SLICE("POST"));
    set_field(&fields, SLICE(":scheme"), SLICE("http"));
    set_field(&fields, SLICE(":authority"), SLICE("test"));
    set_field(&fields, SLICE(":path"), slice_str(path));
    set_field(&fields, SLICE("content-type"), SLICE("application/grpc"));
    set_fields(&fields, headers);
    talk->id = nghttp2_submit_request(line->client, NULL, fields.at,
                                      fields.count, &upload, talk);
    CHECK_LT(0, talk->id);
    list_push_back(&line->talks, &talk->link);
    grpc_world_turn(line->world);
    return talk;
}

void talk_bytes(struct talk *talk, struct slice bytes, bool last)
{
    buf_append_slice(&talk->upload, bytes);
    talk->upload_ends = last;
    (void)nghttp2_session_resume_data(talk->line->client, talk->id);
    grpc_world_turn(talk->line->world);
}

void talk_send(struct talk *talk, struct slice message, bool last)
{
    char prefix[GRPC_PREFIX_BYTES];
    grpc_prefix(prefix, message.size, false);
    buf_append(&talk->upload, prefix, sizeof(prefix));
    talk_bytes(talk, message, last);
}

void talk_reset(struct talk *talk)
{
    nghttp2_submit_rst_stream(talk->line->client, NGHTTP2_FLAG_NONE, talk->id,
                              NGHTTP2_CANCEL);
    grpc_world_turn(talk->line->world);
}

void talk_free(struct talk *talk)
{
    (void)nghttp2_session_set_stream_user_data(talk->line->client, talk->id,
                                               NULL);
    list_remove(&talk->link);
    buf_deinit(&talk->upload);
    buf_deinit(&talk->text);
    buf_deinit(&talk->head);
    buf_deinit(&talk->got);
    mem_free(talk);
}

bool talk_message(struct talk *talk, bool *compressed, struct slice *message)
{
    if (talk->got.size < GRPC_PREFIX_BYTES) {
        return false;
    }
    size_t size = get_be32(talk->got.at + 1);
    *compressed = talk->got.at[0] == 1;
    *message = slice_of(talk->got.at + GRPC_PREFIX_BYTES, size);
    return talk->got.size - GRPC_PREFIX_BYTES >= size;
}

void talk_next(struct talk *talk)
{
    bool compressed;
    struct slice message;
    CHECK(talk_message(talk, &compressed, &message));
    buf_consume(&talk->got, GRPC_PREFIX_BYTES + message.size);
}

struct slice talk_header(struct talk *talk, const char *name)
{
    struct slice rest = buf_slice(&talk->head);
    size_t size = strlen(name);
    while (rest.size > 0) {
        ptrdiff_t end = slice_find(rest, '\n');
        CHECK(end > 0);
        if ((size_t)end > size + 2 && memcmp(rest.at, name, size) == 0 &&
            rest.at[size] == ':') {
            return slice_of(rest.at + size + 2, (size_t)end - size - 2);
        }
        rest = slice_of(rest.at + end + 1, rest.size - (size_t)end - 1);
    }
    return SLICE("-");
}

struct talk *ask(struct line *line, const char *path, const char *headers,
                 struct slice message)
{
    struct talk *talk = talk_open(line, path, headers);
    talk_send(talk, message, true);
    return talk;
}

/* ---- expectations ---------------------------------------------------- */

void expect_end(struct talk *talk, int code, const char *text)
{
    assert_true(talk->ended);
    assert_int_equal(talk->code, code);
    buf_append_char(&talk->text, '\0');
    assert_string_equal(talk->text.at, text);
    talk->text.size--;
}

struct slice expect_message(struct talk *talk)
{
    bool compressed;
    struct slice message;
    assert_true(talk_message(talk, &compressed, &message));
    assert_int_equal(talk->got.size, GRPC_PREFIX_BYTES + message.size);
    return message;
}

static bool find_field(struct slice message, uint32_t number,
                       struct pb_field *field, size_t *count)
{
    struct pb_reader reader;
    struct pb_field next;
    *count = 0;
    pb_reader_init(&reader, message);
    while (pb_next(&reader, &next)) {
        if (next.number == number && (*count)++ == 0) {
            *field = next;
        }
    }
    assert_false(reader.failed);
    return *count > 0;
}

uint64_t number_of(struct slice message, uint32_t field)
{
    struct pb_field found;
    size_t count;
    return find_field(message, field, &found, &count) ? found.value : 0;
}

struct slice bytes_of(struct slice message, uint32_t field)
{
    struct pb_field found = {0};
    size_t count;
    (void)find_field(message, field, &found, &count);
    return found.bytes;
}

size_t count_of(struct slice message, uint32_t field)
{
    struct pb_field found;
    size_t count;
    (void)find_field(message, field, &found, &count);
    return count;
}

/* ---- requests -------------------------------------------------------- */

static struct buf made; /* by the last of these; freed at the end */

static void free_made(void)
{
    buf_deinit(&made);
}

struct slice request_of(const ProtobufCMessage *message)
{
    if (made.at == NULL) {
        int failed = atexit(free_made);
        CHECK_EQ(failed, 0);
    }
    buf_reset(&made);
    buf_reserve(&made, 1);
    message_encode(message, &made);
    return buf_slice(&made);
}

struct slice put_request(const char *key, const char *value)
{
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    put.key = message_data(slice_str(key));
    put.value = message_data(slice_str(value));
    return request_of(&put.base);
}

struct slice range_request(const char *key, const char *end)
{
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    range.key = message_data(slice_str(key));
    range.range_end = message_data(slice_str(end));
    return request_of(&range.base);
}

void put_key(struct line *line, const char *key, const char *value)
{
    struct talk *talk =
        ask(line, "/etcdserverpb.KV/Put", NULL, put_request(key, value));
    expect_end(talk, GRPC_OK, "");
    talk_free(talk);
}
