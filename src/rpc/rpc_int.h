/* What the files of this folder share.
 *
 *   rpc.c          the life of a struct rpc; ticks
 *   call.c         the life of a call, whatever brought it
 *   grpc.c         calls that gRPC brought: frames, status, trailers
 *   gateway.c      calls that JSON over HTTP brought
 *   json.c json_read.c json_text.c
 *                  messages as JSON, by their descriptors (protobuf's mapping)
 *   errand.c       what a call has done on a worker's thread
 *   count.c        what /metrics says of all this
 *   method.c       the table of methods
 *   task.c         what is with the node, until its answer comes back
 *   who.c          who asks, and whether he may
 *   kv.c watch.c lease.c cluster.c maintenance.c auth.c lock.c election.c
 *   health.c reflection.c history.c
 *                  the services
 *
 * call__finish and call__fail may bring in the connection's next request
 * before they return, and the call is gone. So they come last.
 */
#ifndef ETCHED_RPC_RPC_INT_H
#define ETCHED_RPC_RPC_INT_H

#include "base/heap.h"
#include "base/limits.h"
#include "base/list.h"
#include "mvcc/watch.h"
#include "proto/message.h"
#include "proto/v3_error.h"
#include "rpc/rpc.h"
#include "wire/grpc.h"

struct call;
struct task;

/* Under AddressSanitizer calls and tasks are freed when they end, so that use
 * after that is found. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RPC_KEEPS 0
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define RPC_KEEPS 0
#endif
#ifndef RPC_KEEPS
#define RPC_KEEPS 1
#endif

enum {
    /* More than this of rpc->out is given back after its answer. */
    RPC_OUT_BYTES_KEPT = 1024 * 1024,
    RPC_SPARE_TASKS_MAX = RPC_KEEPS * 1024,
    RPC_SPARE_CALLS_MAX = RPC_KEEPS * 1024,
    /* A ResponseHeader as field 1, with four numbers. */
    RPC_HEADER_BYTES_MAX = 2 + 4 * 11,
    /* Messages that have come in part, of all streams of a thread: above it
     * only one stream at a time is read on. */
    RPC_GATHERED_BYTES_MAX = 16 * 1024 * 1024,
    /* As etcd has it, over --max-request-bytes: what gRPC takes. */
    RPC_REQUEST_OVERHEAD_BYTES = 512 * 1024,
    /* A reader of a large range is given it in pieces of about this. */
    RPC_PIECE_BYTES = LIMIT_HTTP_OUT_LOW_BYTES,
    /* How long a call with `hasleader` bears that there is none. */
    RPC_LEADERLESS_MS = 1500,
};

/* ---- one I/O thread ------------------------------------------------------ */

struct rpc {
    struct rpc_config config;
    struct rpc_shared *shared;
    struct node *node;
    struct http2_streaming streaming;
    struct mvcc_reader *reader;
    bool reading;
    bool stopping;
    bool watching; /* as config.on_watching was told */

    struct list calls; /* all that are open */
    struct buf out;    /* a message that is being made: rpc__body */
    size_t
        range_bytes; /* of the last long answer to a Range; 0: it was short */

    struct task *spare;
    size_t spare_count;
    size_t task_count; /* with the node or a worker */

    struct watch_hub *hub;
    struct watching *watches; /* watch.c's: its streams and more */

    uint64_t cluster_id;
    uint64_t member_id;
    int64_t now_ms; /* as of the last tick */

    struct heap deadlines; /* of calls */
    struct list health_watches;
    struct list steps;       /* kv.c's: long work, a slice at a time */
    struct list compactions; /* kv.c's: that are waited for */
    int64_t leader_ms;       /* when there was a leader, the last time */
    struct call *spare_calls;
    size_t spare_call_count;
    size_t gathered_bytes; /* of messages that aren't complete */
    struct list movers;    /* calls that wait for another leader */
    struct list withheld;  /* calls whose windows aren't opened */
    struct buf deflated;   /* grpc.c's */
    struct known *known;   /* who.c's */
    uint64_t known_seed;
    uint64_t watched_revision; /* of users, for which watches were looked at */
    char ids[RPC_HEADER_BYTES_MAX]; /* the header's first fields, encoded */
    size_t ids_size;
};

/* Between these the store can be read. */
static inline void rpc__read_begin(struct rpc *rpc)
{
    lock_read(node_lock(rpc->node));
    mvcc_read_begin(rpc->reader);
    rpc->reading = true;
}
static inline void rpc__read_end(struct rpc *rpc)
{
    rpc->reading = false;
    mvcc_read_end(rpc->reader);
    unlock_read(node_lock(rpc->node));
}
/* Needs: rpc__read_begin. */
static inline revision rpc__revision(struct rpc *rpc)
{
    return mvcc_next_revision(node_mvcc(rpc->node)) - 1;
}
/* Empties rpc->out and gives it. */
struct buf *rpc__body(struct rpc *rpc);
/* Appends the ResponseHeader (field 1 of every response) with this revision,
 * the member's ids and its term. */
void rpc__put_header(struct rpc *rpc, struct buf *out, revision at);
/* The same without a buffer: returns how long it is. */
size_t rpc__header(struct rpc *rpc, revision at,
                   char out[RPC_HEADER_BYTES_MAX]);
/* Monotonic, by the clock itself. */
int64_t rpc__now_ms(const struct rpc *rpc);

/* ---- method.c: the table --------------------------------------------- */

/* Who may call it, while auth is on. */
enum method_rule {
    RULE_UNSAID, /* no method has this */
    RULE_ANYONE,
    RULE_KNOWN, /* any user */
    RULE_ADMIN, /* root */
    /* By what is asked for: the handler looks at that. Of a stream of the
     * client's, at who asks as well, each time. */
    RULE_BY_REQUEST,
};

struct method {
    const char *path;    /* "/etcdserverpb.KV/Range" */
    const char *gateway; /* "/v3/kv/range"; NULL: none */
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *response;
    enum method_rule rule;
    bool client_streams;
    bool server_streams;
    /* Unary, or a stream from the server: called with the whole, decoded
     * request (in call->arena). Streams from the client: called when the
     * call begins, with NULL; it sets call->on_message, on_half_close. */
    void (*begin)(struct call *call, ProtobufCMessage *request);
    /* The same for the hottest ones, from the message's bytes: false (nothing
     * was done): it is left to be decoded and given to `begin`. May be NULL.
     */
    bool (*begin_bytes)(struct call *call, struct slice message);
};
const struct method *method__find(struct slice path);
/* "/v3/...", "/v3beta/..." or "/v3alpha/...". */
const struct method *method__find_gateway(struct slice path);
/* There is a service of that name: "etcdserverpb.KV". */
bool method__has_service(struct slice name);
/* All of them. */
const struct method *method__table(size_t *count);

/* ---- call.c ---------------------------------------------------------- */

/* What brought a call, and takes its answers: grpc.c, gateway.c. */
struct call_via {
    /* One message is head followed by body. The references and bytes are
     * copied or taken before it returns. `shared` may be NULL: then `body`. */
    void (*send)(struct call *call, struct slice head, struct slice body,
                 struct refbuf *shared);
    /* A message of this size whose bytes are pulled (txn_scan): as
     * http_produce. With HTTP_LAST the call ends, GRPC_OK, and on_gone isn't
     * called: the producer has let go of what it had. One that can't go on
     * calls http_fail and returns HTTP_LAST. For gRPC only; the gateway has
     * NULL here. */
    void (*produce)(struct call *call, uint64_t size, http_produce produce,
                    void *context);
    /* The end, with the status. The call is freed by call.c. */
    void (*finish)(struct call *call, enum grpc_code code, struct slice text);
    /* The value of a request header, at == NULL: none. */
    struct slice (*metadata)(const struct call *call, const char *name);
    /* `size` bytes of requests are done with (flow control). */
    void (*consumed)(struct call *call, size_t size);
    size_t (*unsent)(const struct call *call);
};

/* What grpc.c keeps of a call. */
struct call_frames {
    struct grpc_reader reader;
    struct list withheld; /* in rpc->withheld */
    size_t partial;       /* counted in rpc->gathered_bytes */
    size_t owed;          /* given to on_message, and not said consumed */
    size_t unopened;      /* taken, while in rpc->withheld */
    bool begun;
    bool deflates;
    bool has_message; /* the one of a unary call */
    bool *ended;      /* as call->ended, the transport's */
    http_produce produce;
    void *produce_context;
};

struct call {
    struct rpc *rpc;
    struct list link; /* in rpc->calls */
    const struct method *method;
    const struct call_via *via;
    struct http_exchange *exchange;
    struct arena arena;  /* of the request; bounded */
    int64_t deadline_ms; /* INT64_MAX: none */
    bool half_closed;    /* the client has said all */
    /* The client said `hasleader: true`: where there is no leader for a while
     * call.c ends it, V3_NO_LEADER. */
    bool needs_leader;
    /* Of what it said in `etched-cause` and `etched-told`. */
    bool by_recipe;
    bool tells_cause;
    bool tells_time;
    int64_t time_ns; /* that its answer tells; 0: none */
    /* Who asks (who.c). In the exchange's memory. */
    struct slice user;      /* as auth/auth.h has it; "": nobody */
    const char *how;        /* what says so */
    uint64_t auth_revision; /* under which he was let in; 0: auth was off */
    struct slice key;       /* what it is about, for the audit */
    struct slice range_end;
    struct heap_node deadline; /* in rpc->deadlines */
    struct list tasks; /* its own, with the node: when the call ends, whoever
                          ends it, their `call` becomes NULL */
    /* The handler's, for a loop in which the call may end: set to true when it
     * does. NULL: nobody asks. */
    bool *ended;
    struct call_frames frames;
    /* Frames of gRPC: grpc.c's. The gateway's: gateway.c's. */
    void *transport;

    /* The handler's: */
    void *context;
    /* The next message of a client's stream: decoded by the handler, which
     * says call__consumed when it is done with it. */
    void (*on_message)(struct call *call, struct slice message);
    void (*on_half_close)(struct call *call);
    /* Cancelled, its deadline has come, its connection is gone, the server
     * stops: the handler lets go of it; the call ends by itself. Not called
     * after call__finish or call__fail. NULL: nobody minds. */
    void (*on_gone)(struct call *call);
    /* The peer reads again (after call__unsent was above
     * LIMIT_HTTP_OUT_HIGH_BYTES). */
    void (*on_drained)(struct call *call);
};

/* A new call; `via` and its transport begin it: a stream of the client's with
 * method->begin(call, NULL), any other with call__unary. */
struct call *call__new(struct rpc *rpc, const struct method *method,
                       const struct call_via *via,
                       struct http_exchange *exchange);
/* The whole request of a method whose client doesn't stream: decodes it and
 * calls the handler; or fails. */
void call__unary(struct call *call, struct slice message);
/* By the transport: the client is gone. on_gone, then freed. */
void call__gone(struct call *call);
/* By the transport: the last piece that via->produce asked for was made. */
void call__made(struct call *call);
/* Its deadline has come: on_gone, then DEADLINE_EXCEEDED. */
void call__expire(struct call *call);
/* On the monotonic clock; INT64_MAX: none. */
void call__set_deadline(struct call *call, int64_t deadline_ms);
/* As if the handler had failed, from outside: on_gone, then this. */
void call__end(struct call *call, enum v3_error error);
void call__end_code(struct call *call, enum grpc_code code, const char *text);
/* What a call says of itself in metadata of our own, at == NULL where it does
 * not; looked at by call__may_begin. */
struct call_words {
    struct slice cause; /* etched-cause */
    struct slice told;  /* etched-told */
};
/* By the transport, before a call begins: false where it was failed, as this
 * member is a learner, the call wants a leader and there is none, or its
 * words can't be understood. */
bool call__may_begin(struct call *call, const struct call_words *words);
/* The time of the commit that the answer is of, where that is asked for. */
static inline void call__tell_time(struct call *call, int64_t time_ns)
{
    call->time_ns = call->tells_time ? time_ns : 0;
}
void call__free_spare(struct rpc *rpc);
/* A message could not be decoded (the note says why): gRPC's words. For a
 * message of a stream, too. */
void call__fail_malformed(struct call *call);

/* grpc.c: rpc->streaming. */
void grpc__init(struct rpc *rpc);

/* One message of the answer. */
void call__send(struct call *call, struct slice message);
void call__send_parts(struct call *call, struct slice head, struct slice body);
void call__send_shared(struct call *call, struct slice head,
                       struct refbuf *body);
void call__finish(struct call *call);
void call__fail(struct call *call, enum v3_error error);
void call__fail_code(struct call *call, enum grpc_code code, const char *text);
/* Of the node or the store: v3_error_of, or its own words. */
void call__fail_err(struct call *call, enum err err);
/* A unary answer: a header of this revision, then `body`; and the end. */
void call__answer(struct call *call, revision at, struct slice body);
/* The same, where the body isn't to be copied. */
void call__answer_shared(struct call *call, revision at, struct refbuf *body);
static inline struct slice call__metadata(const struct call *call,
                                          const char *name)
{
    return call->via->metadata(call, name);
}
static inline void call__consumed(struct call *call, size_t size)
{
    call->via->consumed(call, size);
}
static inline size_t call__unsent(const struct call *call)
{
    return call->via->unsent(call);
}

/* ---- who.c: who asks --------------------------------------------------- */

/* Sets user, how and auth_revision anew. Errors: V3_INVALID_AUTH_TOKEN,
 * V3_AUTH_OLD_REVISION. Where auth is off, nobody asks. */
enum v3_error who__look(struct call *call);
/* The same, by the method's rule: false: it has failed. */
bool who__let_in(struct call *call);
/* Users or roles have changed since. */
bool who__has_changed(const struct call *call);
/* Whether the same user may go on, by the method's rule. */
enum v3_error who__again(struct call *call);
/* As auth_may, with the lock. Needs: not rpc__read_begin. */
enum v3_error who__may(const struct call *call, enum auth_access access,
                       struct slice key, struct slice range_end);
/* The command is his. */
struct command;
void who__sign(const struct call *call, struct command *command);
/* What the call is about, for the audit; the first word counts. */
void who__about(struct call *call, struct slice key, struct slice range_end);
/* Into the audit: that the call has ended so, or that it asked for a range
 * (`why` NULL: it was allowed). */
void who__note(const struct call *call, enum grpc_code code, struct slice text);
void who__note_range(const struct call *call, struct slice key,
                     struct slice range_end, const char *why);
void who__free(struct rpc *rpc);

/* ---- task.c ---------------------------------------------------------- */

/* Something that the node was asked for. It is decided whether its call is
 * still there or not; until then this memory is the node's. */
struct task {
    union {
        struct queue_link link; /* the first of each of them */
        struct node_request write;
        struct node_read read;
        struct node_change change;
    };
    struct rpc *rpc;
    struct call *call;   /* NULL: it is gone */
    struct list of_call; /* in call->tasks */
    struct task *next;
    /* Answers, on the I/O thread; with call == NULL too. `done` is a copy,
     * whose write.answer this gives back. */
    void (*finish)(struct rpc *rpc, struct task *done);
    void *context; /* the handler's */
    int64_t number;
    /* task__when_current's. */
    void (*then)(struct call *call, void *context);
};

/* A new one for this call (NULL: for none: a lock's own steps). When the call
 * ends, by whomever, it is let go of (task->call is NULL); no on_gone is
 * needed for that. A call may have several. A server that stops waits for the
 * answers of unary calls that have one, and ends all other calls at once. */
struct task *task__new(struct rpc *rpc, struct call *call,
                       void (*finish)(struct rpc *rpc, struct task *done));
/* Hands it to the node. Where that refuses, the call has failed and the task
 * is gone; without a call `finish` is called with write.err (read.err, ...).
 */
void task__write(struct task *task, struct refbuf *command);
/* The same: the call asks for it, `message` as command_type says. */
void task__write_message(struct task *task, enum command_type type,
                         struct slice message);
void task__read(struct task *task);
void task__change(struct task *task);
void task__free_spare(struct rpc *rpc);

/* Calls `then` with the call when a linearizable read may be made: at once if
 * it may already, or the request doesn't ask for it. */
void task__when_current(struct call *call, bool serializable, void *context,
                        void (*then)(struct call *call, void *context));

/* ---- json.c ---------------------------------------------------------- */

/* protobuf's JSON mapping as etcd's gateway has it: bytes in base64, 64-bit
 * integers as strings, enums by name (a number is accepted), snake_case names
 * as the .proto files have them, what is default is left out, unknown input
 * fields are passed over. */
void json__write(struct buf *out, const ProtobufCMessage *message);
/* Errors: ERR_INVALID; the note says where. */
enum err json__read(struct slice text, const ProtobufCMessageDescriptor *type,
                    struct arena *arena, ProtobufCMessage **out) MUST_USE;
/* Cuts the first value off a run of them. ERR_END: there is none any more;
 * ERR_INVALID: malformed. */
enum err json__next(struct slice *rest, struct slice *value) MUST_USE;
/* How much memory a value of this field takes in its message. */
size_t json__value_bytes(const ProtobufCFieldDescriptor *field);

/* Of either alphabet, with padding or without; no longer than `from`. -1: it
 * isn't that. */
ptrdiff_t json__decode_base64(struct slice from, uint8_t *to);

/* ---- watch.c --------------------------------------------------------- */

enum err watching__new(struct rpc *rpc) MUST_USE; /* rpc->hub, rpc->watches */
void watching__free(struct rpc *rpc);
void watching__commits(struct rpc *rpc, struct mvcc_commit *const *commits,
                       size_t count);
void watching__jump(struct rpc *rpc, revision newest);
bool watching__catch_up(struct rpc *rpc);
void watching__tick(struct rpc *rpc, int64_t now_ms);
int64_t watching__deadline_ms(const struct rpc *rpc);

/* ---- move_leader.c --------------------------------------------------- */

void move_leader__tick(struct rpc *rpc, int64_t now_ms);
int64_t move_leader__deadline_ms(const struct rpc *rpc);

/* ---- the services: handlers, as the table names them ----------------- */

#define RPC_HANDLER(name) \
    void name(struct call *call, ProtobufCMessage *request)
bool kv__range_bytes(struct call *call, struct slice message);
bool kv__put_bytes(struct call *call, struct slice message);
bool kv__txn_bytes(struct call *call, struct slice message);
bool kv__delete_range_bytes(struct call *call, struct slice message);
/* A slice of what takes long. True: call again soon. */
bool kv__step(struct rpc *rpc);
/* Looks whether compactions that clients wait for are done; and when to look
 * again, INT64_MAX: no need. */
void kv__tick(struct rpc *rpc);
int64_t kv__deadline_ms(const struct rpc *rpc);
RPC_HANDLER(kv__range);
RPC_HANDLER(kv__range_stream);
RPC_HANDLER(kv__put);
RPC_HANDLER(kv__delete_range);
RPC_HANDLER(kv__txn);
RPC_HANDLER(kv__compact);
RPC_HANDLER(watch__watch);
RPC_HANDLER(lease__grant);
RPC_HANDLER(lease__revoke);
RPC_HANDLER(lease__keep_alive);
RPC_HANDLER(lease__time_to_live);
RPC_HANDLER(lease__leases);
RPC_HANDLER(cluster__member_add);
RPC_HANDLER(cluster__member_remove);
RPC_HANDLER(cluster__member_update);
RPC_HANDLER(cluster__member_list);
RPC_HANDLER(cluster__member_promote);
RPC_HANDLER(maintenance__alarm);
RPC_HANDLER(maintenance__status);
RPC_HANDLER(maintenance__defragment);
RPC_HANDLER(maintenance__hash);
RPC_HANDLER(maintenance__hash_kv);
RPC_HANDLER(maintenance__snapshot);
RPC_HANDLER(maintenance__move_leader);
RPC_HANDLER(maintenance__downgrade);
RPC_HANDLER(auth__enable);
RPC_HANDLER(auth__disable);
RPC_HANDLER(auth__status);
RPC_HANDLER(auth__authenticate);
RPC_HANDLER(auth__user_add);
RPC_HANDLER(auth__user_get);
RPC_HANDLER(auth__user_list);
RPC_HANDLER(auth__user_delete);
RPC_HANDLER(auth__user_change_password);
RPC_HANDLER(auth__user_grant_role);
RPC_HANDLER(auth__user_revoke_role);
RPC_HANDLER(auth__role_add);
RPC_HANDLER(auth__role_get);
RPC_HANDLER(auth__role_list);
RPC_HANDLER(auth__role_delete);
RPC_HANDLER(auth__role_grant_permission);
RPC_HANDLER(auth__role_revoke_permission);
RPC_HANDLER(lock__lock);
RPC_HANDLER(lock__unlock);
RPC_HANDLER(election__campaign);
RPC_HANDLER(election__proclaim);
RPC_HANDLER(election__leader);
RPC_HANDLER(election__observe);
RPC_HANDLER(election__resign);
/* Tells those who watch of what has changed. */
void health__tick(struct rpc *rpc);
RPC_HANDLER(health__check);
RPC_HANDLER(health__watch);
RPC_HANDLER(reflection__info);
RPC_HANDLER(history__records);
RPC_HANDLER(history__revision_at);
RPC_HANDLER(quota__list);
RPC_HANDLER(quota__set);

#endif
