#include "watch_world.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

/* ---- clock and lock ------------------------------------------------------ */

static int64_t wall_ns(struct clock *clock)
{
    return CONTAINER_OF(clock, struct stage, clock)->wall_ns;
}

static int64_t monotonic_ns(struct clock *clock)
{
    return CONTAINER_OF(clock, struct stage, clock)->monotonic_ns;
}

/* With one thread nobody can wait: a lock that is taken is a bug. */
static void read_lock(struct lock *lock)
{
    struct stage *stage = CONTAINER_OF(lock, struct stage, lock);
    CHECK(!stage->writing && stage->readers == 0);
    stage->readers++;
}

static void read_unlock(struct lock *lock)
{
    struct stage *stage = CONTAINER_OF(lock, struct stage, lock);
    CHECK_EQ(stage->readers, 1);
    stage->readers--;
}

static void write_lock(struct lock *lock)
{
    struct stage *stage = CONTAINER_OF(lock, struct stage, lock);
    CHECK(!stage->writing && stage->readers == 0);
    stage->writing = true;
}

static void write_unlock(struct lock *lock)
{
    struct stage *stage = CONTAINER_OF(lock, struct stage, lock);
    CHECK(stage->writing);
    stage->writing = false;
}

/* ---- what the host does -------------------------------------------------- */

static void on_answer(void *context, struct queue_link *answer)
{
    struct stage *stage = context;
    answer->next = NULL;
    if (stage->answers == NULL) {
        stage->answers = answer;
    } else {
        stage->answers_end->next = answer;
    }
    stage->answers_end = answer;
}

static void on_watching(void *context, bool watching)
{
    struct stage *stage = context;
    CHECK(stage->watching != watching);
    stage->watching = watching;
}

static void on_commits(void *context, struct mvcc_commit *const *commits,
                       size_t count)
{
    struct stage *stage = context;
    for (size_t i = 0; i < count && stage->watching; i++) {
        if (stage->commit_count == stage->commit_capacity) {
            stage->commit_capacity = stage->commit_capacity * 2 + 16;
            stage->commits =
                mem_realloc(stage->commits, stage->commit_capacity *
                                                sizeof(struct mvcc_commit *));
        }
        stage->commits[stage->commit_count++] = mvcc_commit_ref(commits[i]);
    }
}

static void on_nothing(void *context)
{
    (void)context;
}

static void on_worked(void *context, struct work *work)
{
    (void)context;
    (void)work;
    fail_msg("nobody has given work");
}

static bool give_answers(struct stage *stage)
{
    struct queue_link *link = stage->answers;
    bool any = link != NULL;
    if (stage->hold_answers) {
        return false;
    }
    stage->answers = NULL;
    while (link != NULL) {
        struct queue_link *next = link->next;
        rpc_answer(stage->rpc, link);
        link = next;
    }
    return any;
}

void stage_turn_round_answers(struct stage *stage)
{
    struct queue_link *link = stage->answers;
    stage->answers = NULL;
    stage->answers_end = link;
    while (link != NULL) {
        struct queue_link *next = link->next;
        link->next = stage->answers;
        stage->answers = link;
        link = next;
    }
}

void stage_spoil_answers(struct stage *stage, enum err err)
{
    assert_non_null(stage->answers);
    for (struct queue_link *link = stage->answers; link != NULL;
         link = link->next) {
        struct task *task = CONTAINER_OF(link, struct task, link);
        txn_answer_deinit(&task->write.answer);
        task->write.err = err;
    }
    stage->hold_answers = false;
    stage_turn(stage);
}

static bool give_commits(struct stage *stage)
{
    size_t count = stage->commit_count;
    struct mvcc_commit **commits = stage->commits;
    if (count == 0 || stage->hold_commits) {
        return false;
    }
    stage->commits = NULL;
    stage->commit_count = stage->commit_capacity = 0;
    rpc_commits(stage->rpc, commits, count);
    for (size_t i = 0; i < count; i++) {
        mvcc_commit_unref(commits[i]);
    }
    mem_free(commits);
    return true;
}

static bool run_node(struct stage *stage)
{
    struct node_progress before;
    struct node_progress after;
    if (stage->idle_core) {
        return false;
    }
    node_progress(stage->node, &before);
    assert_int_equal(node_run(stage->node), ERR_OK);
    node_progress(stage->node, &after);
    return after.applied != before.applied;
}

void stage_turn(struct stage *stage)
{
    bool more = true;
    while (more) {
        more = run_node(stage);
        more = give_answers(stage) || more;
        more = give_commits(stage) || more;
        more = rpc_catch_up(stage->rpc) || more;
        CHECK(stage->readers == 0 && !stage->writing);
    }
}

void stage_wait(struct stage *stage, int64_t ns)
{
    stage->wall_ns += ns;
    stage->monotonic_ns += ns;
    rpc_tick(stage->rpc, stage->monotonic_ns / 1000000);
    stage_turn(stage);
}

static void on_compact_done(struct node_request *request)
{
    assert_int_equal(request->err, ERR_OK);
    txn_answer_deinit(&request->answer);
}

void stage_compact(struct stage *stage, revision at)
{
    struct command command = {.type = COMMAND_COMPACT, .compact = at};
    struct node_request request = {
        .command = command_encode(&command),
        .on_done = on_compact_done,
    };
    struct mvcc_status status;
    assert_int_equal(node_submit(stage->node, &request), ERR_OK);
    do {
        (void)run_node(stage);
        mvcc_status(node_mvcc(stage->node), &status);
    } while (status.compacting);
    assert_int_equal(status.compacted, at);
}

void stage_flush(struct stage *stage)
{
    for (bool more = true; more;) {
        assert_int_equal(node_flush(stage->node, &more), ERR_OK);
    }
}

revision stage_revision(struct stage *stage)
{
    struct node_progress progress;
    node_progress(stage->node, &progress);
    return progress.revision;
}

/* ---- opening and closing ------------------------------------------------- */

void stage_init(struct stage *stage)
{
    *stage = (struct stage){
        .clock = {wall_ns, monotonic_ns},
        .wall_ns = STAGE_START_NS,
        .lock = {read_lock, read_unlock, write_lock, write_unlock},
        .member = {.id = 2, .name = SLICE("one")},
        .shared = {.name = "one", .watchers_max = 1000000},
        .rpc_shared = {.request_bytes_max = LIMIT_REQUEST_BYTES_DEFAULT,
                       .txn_ops_max = 100000,
                       .watch_progress_ms = 1000},
    };
    stage->disk = disk_memory_new(1);
    stage->kv = kv_memory_new();
    stage->member.peer_urls = SLICE("http://127.0.0.1:2380");
    stage->config = (struct node_config){
        .cluster_id = 1,
        .member_id = 2,
        .name = "one",
        .client_urls = "http://127.0.0.1:2379",
        .members = &stage->member,
        .member_count = 1,
        .seed = 1,
        .heartbeat_ms = 100,
        .election_ms = 1000,
        .wal_segment_bytes = 64 * 1024 * 1024,
        .flush_revisions = LIMIT_FLUSH_REVISIONS,
        .on_commits = on_commits,
        .on_answered = on_nothing,
        .on_flush_due = on_nothing,
        .on_submitted = on_nothing,
        .context = stage,
    };
    list_init(&stage->clients);
}

void stage_open(struct stage *stage)
{
    stage->config.ports = (struct node_ports){
        .clock = &stage->clock,
        .disk = disk_memory_door(stage->disk),
        .kv = stage->kv,
        .lock = &stage->lock,
    };
    assert_int_equal(node_open(&stage->config, &stage->node), ERR_OK);
    stage->shared.node = stage->node;
    stage->shared.clock = &stage->clock;
    stage->rpc_shared.api = &stage->shared;
    struct rpc_config config = {
        .shared = &stage->rpc_shared,
        .seed = 7,
        .on_answer = on_answer,
        .on_watching = on_watching,
        .on_worked = on_worked,
        .context = stage,
    };
    assert_int_equal(rpc_new(&config, &stage->rpc), ERR_OK);
}

void stage_close(struct stage *stage)
{
    stage->idle_core = stage->hold_commits = stage->hold_answers = false;
    rpc_stop(stage->rpc);
    stage_turn(stage);
    LIST_EACH (link, &stage->clients) {
        struct hearer *hearer = CONTAINER_OF(link, struct hearer, link);
        assert_true(hearer->is_over);
        stage_hang_up(hearer);
    }
    assert_int_equal(rpc_pending(stage->rpc), 0);
    assert_false(stage->watching);
    assert_int_equal(atomic_load(&stage->shared.stats[API_V3_WATCHERS]), 0);
    rpc_free(stage->rpc);
    node_close(stage->node);
    stage->node = NULL;
}

void stage_deinit(struct stage *stage)
{
    mem_free(stage->commits);
    disk_memory_free(stage->disk);
    kv_memory_free(stage->kv);
}

int stage_begin(void **state)
{
    struct stage *stage = mem_alloc_zero(sizeof(*stage));
    stage_init(stage);
    stage_open(stage);
    *state = stage;
    return 0;
}

int stage_end(void **state)
{
    struct stage *stage = *state;
    stage_close(stage);
    stage_deinit(stage);
    mem_free(stage);
    return 0;
}

/* ---- messages as text ---------------------------------------------------- */

static void print_bytes(struct buf *out, ProtobufCBinaryData bytes)
{
    if (bytes.len > 40) {
        buf_printf(out, "<%zu>", bytes.len);
    } else {
        buf_append(out, bytes.data, bytes.len);
    }
}

static void print_kv(struct buf *out, const Mvccpb__KeyValue *kv)
{
    print_bytes(out, kv->key);
    buf_append_char(out, '=');
    print_bytes(out, kv->value);
    buf_printf(out, " %lld/%lld/%lld", (long long)kv->create_revision,
               (long long)kv->mod_revision, (long long)kv->version);
    if (kv->lease != 0) {
        buf_printf(out, " lease %lld", (long long)kv->lease);
    }
}

/* PUT key=value create/mod/version */
static void print_event(struct buf *out, const Mvccpb__Event *event)
{
    if (event->type == MVCCPB__EVENT__EVENT_TYPE__DELETE) {
        buf_append_str(out, " DELETE ");
        print_bytes(out, event->kv->key);
        buf_printf(out, " %lld", (long long)event->kv->mod_revision);
    } else {
        buf_append_str(out, " PUT ");
        print_kv(out, event->kv);
    }
    if (event->prev_kv != NULL) {
        buf_append_str(out, " (");
        print_kv(out, event->prev_kv);
        buf_append_char(out, ')');
    }
}

static void show_message(struct buf *out, const ProtobufCMessage *message);

static void print_value(struct buf *out, const ProtobufCFieldDescriptor *field,
                        const void *value)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        break;
    case PROTOBUF_C_TYPE_BYTES:
        buf_append_char(out, '=');
        print_bytes(out, *(const ProtobufCBinaryData *)value);
        break;
    case PROTOBUF_C_TYPE_STRING:
        buf_printf(out, "='%s'", *(char *const *)value);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        buf_printf(out, "=%lld", (long long)*(const int64_t *)value);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        buf_append_char(out, '{');
        show_message(out, *(ProtobufCMessage *const *)value);
        buf_append_char(out, '}');
        break;
    default:
        buf_printf(out, "=%d", *(const int *)value);
    }
}

static bool is_default(const ProtobufCFieldDescriptor *field, const void *value)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_ENUM:
        return *(const int *)value == 0;
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)value)->len == 0;
    case PROTOBUF_C_TYPE_STRING:
        return **(char *const *)value == '\0';
    case PROTOBUF_C_TYPE_MESSAGE:
        return *(ProtobufCMessage *const *)value == NULL;
    default:
        return *(const int64_t *)value == 0;
    }
}

static void print_field(struct buf *out, const ProtobufCFieldDescriptor *field,
                        const void *value)
{
    const ProtobufCMessageDescriptor *type = field->descriptor;
    if (type == &etcdserverpb__response_header__descriptor) {
        const Etcdserverpb__ResponseHeader *header =
            *(Etcdserverpb__ResponseHeader *const *)value;
        buf_printf(out, "@%lld", (long long)header->revision);
    } else if (type == &mvccpb__event__descriptor) {
        print_event(out, *(Mvccpb__Event *const *)value);
    } else if (type == &mvccpb__key_value__descriptor) {
        buf_append_char(out, ' ');
        print_kv(out, *(Mvccpb__KeyValue *const *)value);
    } else {
        buf_printf(out, " %s", field->name);
        print_value(out, field, value);
    }
}

static size_t size_of(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(int);
    default:
        return sizeof(int64_t);
    }
}

static void show_message(struct buf *out, const ProtobufCMessage *message)
{
    const char *base = (const char *)message;
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        const void *value = base + field->offset;
        if (field->label != PROTOBUF_C_LABEL_REPEATED) {
            if (!is_default(field, value)) {
                print_field(out, field, value);
            }
            continue;
        }
        size_t count;
        const char *at;
        memcpy(&count, base + field->quantifier_offset, sizeof(count));
        memcpy(&at, value, sizeof(at));
        for (size_t k = 0; k < count; k++) {
            print_field(out, field, at + k * size_of(field));
        }
    }
}

/* ---- the fake wire ------------------------------------------------------- */

/* Every answer says who gives it. */
static void check_header(const ProtobufCMessage *message)
{
    const Etcdserverpb__ResponseHeader *header;
    const ProtobufCFieldDescriptor *first = &message->descriptor->fields[0];
    assert_ptr_equal(first->descriptor,
                     &etcdserverpb__response_header__descriptor);
    memcpy(&header, (const char *)message + first->offset, sizeof(header));
    assert_int_equal(header->cluster_id, 1);
    assert_int_equal(header->member_id, 2);
    assert_int_not_equal(header->raft_term, 0);
}

static struct hearer *hearer_of(const struct call *call)
{
    return call->transport;
}

static void on_send(struct call *call, struct slice head, struct slice body,
                    struct refbuf *shared)
{
    struct hearer *hearer = hearer_of(call);
    ProtobufCMessage *message;
    struct buf whole = {0};
    struct arena arena;
    assert_int_equal(hearer->stage->readers, 0);
    buf_append_slice(&whole, head);
    buf_append_slice(&whole, body);
    if (shared != NULL) {
        assert_int_equal(body.size, 0);
        buf_append(&whole, shared->bytes, shared->size);
    }
    arena_init(&arena, 0);
    assert_int_equal(message_decode(call->method->response, buf_slice(&whole),
                                    &arena, &message),
                     ERR_OK);
    check_header(message);
    show_message(&hearer->text, message);
    buf_append_char(&hearer->text, '\n');
    arena_deinit(&arena);
    hearer->messages++;
    hearer->bytes += whole.size;
    hearer->bytes_last = whole.size;
    if (hearer->is_slow) {
        hearer->unsent += whole.size;
        hearer->was_high |= hearer->unsent > LIMIT_HTTP_OUT_HIGH_BYTES;
    }
    buf_deinit(&whole);
}

static void on_finish(struct call *call, enum grpc_code code, struct slice text)
{
    struct hearer *hearer = hearer_of(call);
    assert_false(hearer->is_over);
    hearer->call = NULL;
    hearer->is_over = true;
    hearer->code = code;
    snprintf(hearer->reason, sizeof(hearer->reason), "%.*s", (int)text.size,
             text.at);
}

static struct slice on_metadata(const struct call *call, const char *name)
{
    (void)call;
    (void)name;
    return slice_of(NULL, 0);
}

static void on_consumed(struct call *call, size_t size)
{
    struct hearer *hearer = hearer_of(call);
    hearer->consumed += size;
    assert_true(hearer->consumed <= hearer->said);
}

static size_t on_unsent(const struct call *call)
{
    return hearer_of(call)->unsent;
}

static const struct call_via fake_via = {
    .send = on_send,
    .finish = on_finish,
    .metadata = on_metadata,
    .consumed = on_consumed,
    .unsent = on_unsent,
};

struct hearer *stage_call(struct stage *stage, const char *path,
                          const void *request)
{
    struct hearer *hearer = mem_alloc_zero(sizeof(*hearer));
    struct buf bytes = {0};
    hearer->stage = stage;
    hearer->method = method__find(slice_str(path));
    assert_non_null(hearer->method);
    list_push_back(&stage->clients, &hearer->link);
    struct call *call = call__new(stage->rpc, hearer->method, &fake_via, NULL);
    hearer->call = call;
    call->transport = hearer;
    if (hearer->method->client_streams) {
        assert_null(request);
        hearer->method->begin(call, NULL);
        return hearer;
    }
    message_encode(request, &bytes);
    call->half_closed = true;
    call__unary(call, buf_slice(&bytes));
    buf_deinit(&bytes);
    return hearer;
}

void stage_say_bytes(struct hearer *hearer, struct slice message)
{
    assert_non_null(hearer->call);
    hearer->said += message.size;
    hearer->call->on_message(hearer->call, message);
}

void stage_say(struct hearer *hearer, const void *message)
{
    struct buf bytes = {0};
    message_encode(message, &bytes);
    stage_say_bytes(hearer, buf_slice(&bytes));
    buf_deinit(&bytes);
}

void stage_half_close(struct hearer *hearer)
{
    hearer->call->half_closed = true;
    hearer->call->on_half_close(hearer->call);
}

void stage_hang_up(struct hearer *hearer)
{
    if (hearer->call != NULL) {
        call__gone(hearer->call);
    }
    list_remove(&hearer->link);
    buf_deinit(&hearer->text);
    mem_free(hearer);
}

void stage_take(struct hearer *hearer)
{
    bool drained = hearer->was_high;
    hearer->unsent = 0;
    hearer->was_high = false;
    if (drained && hearer->call != NULL && hearer->call->on_drained != NULL) {
        hearer->call->on_drained(hearer->call);
    }
}

/* ---- what is expected ---------------------------------------------------- */

static bool matches(const char *text, const char *pattern)
{
    while (*pattern != '\0') {
        if (*pattern == '*') {
            do {
                if (matches(text, pattern + 1)) {
                    return true;
                }
            } while (*text != '\0' && *text++ != '\n');
            return false;
        }
        if (*text++ != *pattern++) {
            return false;
        }
    }
    return *text == '\0';
}

void hear(struct hearer *hearer, const char *lines)
{
    buf_append_char(&hearer->text, '\0');
    if (!matches(hearer->text.at, lines)) {
        print_error("heard\n%sexpected\n%s", hearer->text.at, lines);
        fail();
    }
    buf_reset(&hearer->text);
}

void hear_end(struct hearer *hearer, enum grpc_code code, const char *reason)
{
    assert_true(hearer->is_over);
    assert_string_equal(hearer->reason, reason);
    assert_int_equal(hearer->code, code);
}

void ask_alone(struct stage *stage, const char *path, const void *request,
               const char *lines)
{
    struct hearer *hearer = stage_call(stage, path, request);
    stage_turn(stage);
    hear_end(hearer, GRPC_OK, "");
    hear(hearer, lines);
    stage_hang_up(hearer);
}

void ask_fails(struct stage *stage, const char *path, const void *request,
               enum grpc_code code, const char *reason)
{
    struct hearer *hearer = stage_call(stage, path, request);
    stage_turn(stage);
    hear_end(hearer, code, reason);
    hear(hearer, "");
    stage_hang_up(hearer);
}

/* ---- keys ---------------------------------------------------------------- */

ProtobufCBinaryData encoded_bytes_of(const char *text)
{
    return message_data(slice_str(text));
}

static void put_bytes(struct stage *stage, const char *key, struct slice value,
                      lease_id lease)
{
    Etcdserverpb__PutRequest request = ETCDSERVERPB__PUT_REQUEST__INIT;
    request.key = encoded_bytes_of(key);
    request.value = message_data(value);
    request.lease = lease;
    ask_alone(stage, "/etcdserverpb.KV/Put", &request, "@*\n");
}

void put(struct stage *stage, const char *key, const char *value)
{
    put_bytes(stage, key, slice_str(value), 0);
}

void put_leased(struct stage *stage, const char *key, lease_id lease)
{
    put_bytes(stage, key, SLICE(""), lease);
}

void put_large(struct stage *stage, const char *key, size_t bytes)
{
    char *value = mem_alloc(bytes);
    memset(value, 'x', bytes);
    put_bytes(stage, key, slice_of(value, bytes), 0);
    mem_free(value);
}

static void del_range(struct stage *stage, const char *key, const char *end)
{
    Etcdserverpb__DeleteRangeRequest request =
        ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    request.key = encoded_bytes_of(key);
    request.range_end = encoded_bytes_of(end);
    ask_alone(stage, "/etcdserverpb.KV/DeleteRange", &request, "@*\n");
}

void del(struct stage *stage, const char *key)
{
    del_range(stage, key, "");
}

void del_prefix(struct stage *stage, const char *prefix)
{
    char end[64];
    size_t size = strlen(prefix);
    assert_true(size > 0 && size < sizeof(end));
    memcpy(end, prefix, size + 1);
    end[size - 1]++;
    del_range(stage, prefix, end);
}

void put_many(struct stage *stage, const char *prefix, int count,
              size_t value_bytes)
{
    Etcdserverpb__TxnRequest request = ETCDSERVERPB__TXN_REQUEST__INIT;
    struct arena arena;
    arena_init(&arena, 0);
    char *value = arena_alloc(&arena, value_bytes + 1);
    memset(value, 'x', value_bytes);
    request.n_success = (size_t)count;
    request.success =
        arena_alloc(&arena, (size_t)count * sizeof(*request.success));
    for (int i = 0; i < count; i++) {
        Etcdserverpb__PutRequest *one = arena_alloc(&arena, sizeof(*one));
        Etcdserverpb__RequestOp *op = arena_alloc(&arena, sizeof(*op));
        etcdserverpb__put_request__init(one);
        etcdserverpb__request_op__init(op);
        one->key = encoded_bytes_of(arena_printf(&arena, "%s%d", prefix, i));
        one->value = message_data(slice_of(value, value_bytes));
        op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        op->request_put = one;
        request.success[i] = op;
    }
    ask_alone(stage, "/etcdserverpb.KV/Txn", &request, "@*\n");
    arena_deinit(&arena);
}

void grant(struct stage *stage, lease_id lease, int64_t ttl_s)
{
    Etcdserverpb__LeaseGrantRequest request =
        ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    request.id = lease;
    request.ttl = ttl_s;
    ask_alone(stage, "/etcdserverpb.Lease/LeaseGrant", &request, "@*\n");
}
