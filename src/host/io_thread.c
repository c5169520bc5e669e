#include "host/io_thread.h"

#include <errno.h>
#include <time.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "host/clock_posix.h"
#include "host/io_int.h"

/* What is posted to a thread's inbox beside answers. */
enum post_kind { POST_SOCKET, POST_COMMITS, POST_JUMP };

struct post {
    struct queue_link link;
    enum post_kind kind;
    struct socket_post socket; /* POST_SOCKET */
    revision newest;           /* POST_JUMP */
    size_t count;
    struct mvcc_commit *commits[];
};

/* The thread that runs, if it is an I/O thread. */
static _Thread_local struct io_thread *current;

/* ---- posting: any thread ------------------------------------------------ */

static void push(struct io_thread *io, struct queue *queue,
                 struct queue_link *link)
{
    bool was_empty;
    bool pushed = queue_push(queue, link, &was_empty);
    /* Bounded by what is bounded elsewhere: proposals, connections, and
     * commits by the proposals that make them. */
    CHECK(pushed);
    atomic_store_explicit(&io->posted, true, memory_order_release);
}

void io_thread_post_answer(struct io_thread *io, struct queue_link *answer)
{
    push(io, &io->answers, answer);
}

static struct post *new_post(enum post_kind kind, size_t count)
{
    struct post *post =
        mem_alloc(sizeof(*post) + count * sizeof(post->commits[0]));
    post->kind = kind;
    post->socket = (struct socket_post){.fd = -1};
    post->newest = 0;
    post->count = count;
    return post;
}

void io_thread_post_commits(struct io_thread *io,
                            struct mvcc_commit *const *commits, size_t count)
{
    if (!atomic_load(&io->watching)) {
        return;
    }
    struct post *post = new_post(POST_COMMITS, count);
    for (size_t i = 0; i < count; i++) {
        post->commits[i] = mvcc_commit_ref(commits[i]);
    }
    push(io, &io->posts, &post->link);
}

void io_thread_post_jump(struct io_thread *io, revision newest)
{
    struct post *post = new_post(POST_JUMP, 0);
    post->newest = newest;
    push(io, &io->posts, &post->link);
}

static void adopt(struct io_thread *io, struct socket_post socket)
{
    struct post *post = new_post(POST_SOCKET, 0);
    CHECK(socket.fd >= 0);
    post->socket = socket;
    push(io, &io->posts, &post->link);
    io_thread_wake(io);
}

void io_thread_adopt(struct io_thread *io, int fd, bool is_peer_port)
{
    adopt(io, (struct socket_post){.fd = fd, .is_peer_port = is_peer_port});
}

void io_thread_adopt_tls(struct io_thread *io, int fd, struct tls *tls,
                         bool is_peer_port)
{
    adopt(io, (struct socket_post){
                  .fd = fd, .tls = tls, .is_peer_port = is_peer_port});
}

void io_thread_adopt_metrics(struct io_thread *io, int fd, struct tls *tls)
{
    adopt(io,
          (struct socket_post){.fd = fd, .tls = tls, .is_metrics_port = true});
}

void io_thread_adopt_own(struct io_thread *io, int fd)
{
    adopt(io, (struct socket_post){.fd = fd, .is_own = true});
}

void io_thread_wake(struct io_thread *io)
{
    if (io == current) {
        return; /* at the end of its round: it looks for itself */
    }
    if (atomic_exchange(&io->posted, false)) {
        int failed = uv_async_send(&io->wake);
        CHECK_EQ(failed, 0);
    }
}

bool io_thread_defer_submitted(void)
{
    if (current == NULL || current->many > 0) {
        return false;
    }
    current->submitted = true;
    return true;
}

/* ---- the thread --------------------------------------------------------- */

static void take_answers(struct io_thread *io)
{
    struct queue_link *link = queue_take_all(&io->answers);
    while (link != NULL) {
        struct queue_link *next = link->next;
        api_answer(io->api, link);
        link = next;
    }
    link = queue_take_all(&io->rpc_answers);
    while (link != NULL) {
        struct queue_link *next = link->next;
        rpc_answer(io->rpc, link);
        link = next;
    }
    link = queue_take_all(&io->worked);
    while (link != NULL) {
        struct queue_link *next = link->next;
        rpc_worked(io->rpc, CONTAINER_OF(link, struct work, link));
        link = next;
    }
    link = queue_take_all(&io->api_worked);
    while (link != NULL) {
        struct queue_link *next = link->next;
        api_worked(io->api, CONTAINER_OF(link, struct work, link));
        link = next;
    }
    recipes_gate_take(io->gate);
}

static void take_post(struct io_thread *io, struct post *post)
{
    switch (post->kind) {
    case POST_SOCKET:
        connection__open(io, &post->socket);
        break;
    case POST_COMMITS:
        api_commits(io->api, post->commits, post->count);
        rpc_commits(io->rpc, post->commits, post->count);
        for (size_t i = 0; i < post->count; i++) {
            mvcc_commit_unref(post->commits[i]);
        }
        break;
    case POST_JUMP:
        api_jump(io->api, post->newest);
        rpc_jump(io->rpc, post->newest);
        break;
    }
    mem_free(post);
}

static void take_posts(struct io_thread *io)
{
    struct queue_link *link = queue_take_all(&io->posts);
    while (link != NULL) {
        struct queue_link *next = link->next;
        take_post(io, CONTAINER_OF(link, struct post, link));
        link = next;
    }
}

static void on_sweep(uv_timer_t *timer);

/* From now on all wait for the last connection to have lingered. */
static void begin_stop(struct io_thread *io)
{
    if (io->stopping || !atomic_load(&io->stop_asked)) {
        return;
    }
    io->stopping = true;
    io->stop_deadline_ms = (int64_t)uv_now(&io->loop) + io->config.stop_ms;
    if (io->api != NULL) {
        api_stop(io->api);
        rpc_stop(io->rpc);
    }
    recipes_gate_stop(io->gate);
    connection__stop_all(io);
    uv_timer_start(&io->sweep, on_sweep, IO_STOP_SWEEP_MS, IO_STOP_SWEEP_MS);
}

/* All connections are done, or their time is up. A write that was handed over
 * must come back in any case: its memory is the writer's until then. The
 * handles stay open, since other threads may still want to wake this one. */
static void end_stop(struct io_thread *io)
{
    bool late = (int64_t)uv_now(&io->loop) >= io->stop_deadline_ms;
    bool is_pending =
        io->api != NULL && api_pending(io->api) + rpc_pending(io->rpc) > 0;
    if (!io->stopping || is_pending ||
        (!list_is_empty(&io->connections) && !late)) {
        return;
    }
    connection__close_all(io);
    uv_stop(&io->loop);
}

/* With one write in a round its turn may run here, and its answer is there
 * when it returns; with several the core thread does them together. */
static void run_submitted(struct io_thread *io)
{
    io->many -= io->many > 0 ? 1 : 0;
    if (!io->submitted) {
        return;
    }
    io->submitted = false;
    if (io->config.on_submitted(io->config.context) > 1) {
        io->many = IO_MANY_ROUNDS;
    }
    if (atomic_exchange(&io->posted, false)) {
        take_answers(io);
        take_posts(io);
    }
}

/* Where many write, it is the core thread that needs the processor; in a
 * cluster the other members may be on this machine too; and where others want
 * the processors, who stays awake is made to wait when it matters. */
static bool lingers(struct io_thread *io)
{
    uint64_t now_ns = uv_hrtime();
    if (io->active) {
        io->active = false;
        io->awake_until_ns = now_ns + (uint64_t)io->config.linger_ns;
    }
    return io->api != NULL && io->many == 0 && now_ns < io->awake_until_ns &&
           node_reads_are_current(io->config.shared->node) &&
           !crowd_is_here(&io->crowd, now_ns);
}

static void on_wake(uv_async_t *wake)
{
    struct io_thread *io = CONTAINER_OF(wake, struct io_thread, wake);
    io->active = true;
    take_answers(io);
    take_posts(io);
    begin_stop(io);
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* while it is active the loop does not sleep */
}

static bool catch_up(struct io_thread *io)
{
    if (io->api == NULL) {
        return false;
    }
    bool more = api_catch_up(io->api);
    return rpc_catch_up(io->rpc) || more;
}

static void tick(struct io_thread *io)
{
    io->tick_last_ms = (int64_t)uv_now(&io->loop);
    rpc_tick(io->rpc, io->tick_last_ms);
}

static void on_tick(uv_timer_t *timer)
{
    struct io_thread *io = CONTAINER_OF(timer, struct io_thread, tick);
    io->tick_due_ms = INT64_MAX;
    tick(io);
}

/* Sees to it that the rpc hears of its time when that has come. */
static void look_at_time(struct io_thread *io)
{
    if (io->rpc == NULL) {
        return;
    }
    int64_t now_ms = (int64_t)uv_now(&io->loop);
    int64_t due_ms = rpc_deadline_ms(io->rpc);
    if (due_ms > io->tick_last_ms + IO_TICK_MS) {
        due_ms = io->tick_last_ms + IO_TICK_MS;
    }
    if (due_ms == io->tick_due_ms) {
        return;
    }
    io->tick_due_ms = due_ms;
    uv_timer_start(&io->tick, on_tick,
                   due_ms > now_ms ? (uint64_t)(due_ms - now_ms) : 0, 0);
}

/* Before the loop sleeps: history for those behind, and what is to be sent. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct io_thread *io = CONTAINER_OF(prepare, struct io_thread, prepare);
    run_submitted(io);
    bool more = catch_up(io);
    connection__flush_dirty(io);
    if (!more && atomic_load(&io->watching)) {
        /* Those who waited for room in their sockets may go on. */
        more = catch_up(io) || !list_is_empty(&io->dirty);
    }
    look_at_time(io);
    if (lingers(io) || more) {
        uv_idle_start(&io->idle, on_idle);
    } else {
        uv_idle_stop(&io->idle);
    }
    end_stop(io);
}

static void set_date(struct io_thread *io)
{
    time_t now = (time_t)(clock_wall_ns(clock_posix()) / 1000000000);
    struct tm parts;
    gmtime_r(&now, &parts);
    size_t size = strftime(io->date_text, sizeof(io->date_text),
                           "%a, %d %b %Y %H:%M:%S GMT", &parts);
    io->date = slice_of(io->date_text, size);
}

static void on_sweep(uv_timer_t *timer)
{
    struct io_thread *io = CONTAINER_OF(timer, struct io_thread, sweep);
    set_date(io);
    connection__sweep(io, (int64_t)uv_now(&io->loop));
}

static void *run(void *context)
{
    struct io_thread *io = context;
    current = io;
    crowd_init(&io->crowd);
    uv_run(&io->loop, UV_RUN_DEFAULT);
    crowd_deinit(&io->crowd);
    return NULL;
}

/* ---- starting and stopping: the main thread ------------------------------ */

/* By a name that isn't this server's, or more than a client may ask for. */
static bool is_refused(struct io_thread *io, struct http_exchange *exchange)
{
    return harden_hosts_refuse(io->config.hosts, exchange) ||
           (io->config.limits != NULL &&
            limits_refuse_request(io->config.limits, exchange,
                                  (int64_t)uv_hrtime()));
}

static void on_recipes(void *context, struct http_exchange *exchange,
                       struct slice user)
{
    struct io_thread *io = context;
    recipes_gate_request(io->gate, exchange, user);
}

static void on_client_request(struct http_server *server,
                              struct http_exchange *exchange)
{
    struct io_thread *io = CONTAINER_OF(server, struct io_thread, client_port);
    if (is_refused(io, exchange)) {
        return;
    }
    bool is_recipes = recipes_gate_is_path(exchange->request.path);
    if (is_recipes && io->api != NULL) {
        api_recipes(io->api, exchange); /* which finds out who asks */
    } else if (is_recipes) {
        recipes_gate_request(io->gate, exchange, SLICE(""));
    } else if (io->api == NULL) {
        io->config.on_request(io->config.context, exchange);
    } else if (io->config.has_gateway &&
               rpc_is_gateway(exchange->request.path)) {
        rpc_gateway(io->rpc, exchange);
    } else {
        api_request(io->api, exchange);
    }
}

static void on_peer_request(struct http_server *server,
                            struct http_exchange *exchange)
{
    struct io_thread *io = CONTAINER_OF(server, struct io_thread, peer_port);
    if (!harden_hosts_refuse(io->config.hosts, exchange)) {
        api_peer_request(io->api, exchange);
    }
}

/* What tells how the server is, and nothing of what it holds. */
static bool is_of_metrics(struct slice path)
{
    return slice_eq(path, SLICE("/metrics")) ||
           slice_eq(path, SLICE("/health")) ||
           slice_eq(path, SLICE("/version")) ||
           slice_has_prefix(path, SLICE("/livez")) ||
           slice_has_prefix(path, SLICE("/readyz"));
}

static void on_metrics_request(struct http_server *server,
                               struct http_exchange *exchange)
{
    struct io_thread *io = CONTAINER_OF(server, struct io_thread, metrics_port);
    if (is_of_metrics(exchange->request.path)) {
        on_client_request(&io->client_port, exchange);
    } else {
        const struct http_header type = {SLICE("Content-Type"),
                                         SLICE("application/json")};
        http_respond(exchange, 404, &type, 1,
                     SLICE("{\"message\":\"this port is for /metrics, "
                           "/health, /livez, /readyz and /version\"}\n"));
    }
}

/* Streams that gRPC begins, with limits: the rest is the rpc's. */
static bool on_limited_head(struct http2_streaming *streaming,
                            struct http_exchange *exchange)
{
    struct io_thread *io = CONTAINER_OF(streaming, struct io_thread, limited);
    struct http2_streaming *rpc = rpc_streaming(io->rpc);
    return limits_refuse_call(io->config.limits, exchange,
                              (int64_t)uv_hrtime()) ||
           rpc->on_head(rpc, exchange);
}

static void on_limited_data(struct http2_streaming *streaming,
                            struct http_exchange *exchange, struct slice piece)
{
    struct io_thread *io = CONTAINER_OF(streaming, struct io_thread, limited);
    struct http2_streaming *rpc = rpc_streaming(io->rpc);
    rpc->on_data(rpc, exchange, piece);
}

static void on_limited_end(struct http2_streaming *streaming,
                           struct http_exchange *exchange)
{
    struct io_thread *io = CONTAINER_OF(streaming, struct io_thread, limited);
    struct http2_streaming *rpc = rpc_streaming(io->rpc);
    rpc->on_end(rpc, exchange);
}

struct http2_streaming *io_thread__streaming(struct io_thread *io)
{
    if (io->rpc == NULL) {
        return NULL;
    }
    return io->config.limits != NULL ? &io->limited : rpc_streaming(io->rpc);
}

static void on_answer(void *context, struct queue_link *answer)
{
    io_thread_post_answer(context, answer);
}

static void on_rpc_answer(void *context, struct queue_link *answer)
{
    struct io_thread *io = context;
    push(io, &io->rpc_answers, answer);
}

/* On a worker's thread, which nobody else wakes this one for. */
static void on_worked(void *context, struct work *work)
{
    struct io_thread *io = context;
    push(io, &io->worked, &work->link);
    io_thread_wake(io);
}

static void on_api_worked(void *context, struct work *work)
{
    struct io_thread *io = context;
    push(io, &io->api_worked, &work->link);
    io_thread_wake(io);
}

static void on_watching(void *context, bool watching)
{
    struct io_thread *io = context;
    io->api_watching = watching;
    atomic_store(&io->watching, io->api_watching || io->rpc_watching);
}

static void on_rpc_watching(void *context, bool watching)
{
    struct io_thread *io = context;
    io->rpc_watching = watching;
    atomic_store(&io->watching, io->api_watching || io->rpc_watching);
}

/* On the recipes thread. */
static void on_recipes_posted(void *context)
{
    struct io_thread *io = context;
    atomic_store_explicit(&io->posted, true, memory_order_release);
    io_thread_wake(io);
}

static enum err start_loop(struct io_thread *io)
{
    int failed = uv_loop_init(&io->loop);
    if (failed == 0) {
        failed = uv_async_init(&io->loop, &io->wake, on_wake);
        if (failed != 0) {
            (void)uv_loop_close(&io->loop);
        }
    }
    if (failed != 0) {
        return err_set(err_from_errno(-failed), "make an event loop: %s",
                       uv_strerror(failed));
    }
    uv_prepare_init(&io->loop, &io->prepare);
    uv_prepare_start(&io->prepare, on_prepare);
    uv_idle_init(&io->loop, &io->idle);
    uv_timer_init(&io->loop, &io->sweep);
    uv_timer_start(&io->sweep, on_sweep, IO_SWEEP_MS, IO_SWEEP_MS);
    uv_timer_init(&io->loop, &io->tick);
    io->tick_due_ms = INT64_MAX;
    io->tick_last_ms = (int64_t)uv_now(&io->loop);
    return ERR_OK;
}

static void close_loop(struct io_thread *io)
{
    uv_handle_t *handles[] = {
        (uv_handle_t *)&io->wake, (uv_handle_t *)&io->prepare,
        (uv_handle_t *)&io->idle, (uv_handle_t *)&io->sweep,
        (uv_handle_t *)&io->tick};
    for (size_t i = 0; i < sizeof(handles) / sizeof(handles[0]); i++) {
        uv_close(handles[i], NULL);
    }
    uv_run(&io->loop, UV_RUN_DEFAULT);
    int failed = uv_loop_close(&io->loop);
    CHECK_EQ(failed, 0);
}

static enum err start_services(struct io_thread *io)
{
    struct api_config api = {
        .shared = io->config.shared,
        .seed = io->config.seed,
        .on_answer = on_answer,
        .on_watching = on_watching,
        .on_recipes = on_recipes,
        .on_worked = on_api_worked,
        .context = io,
    };
    struct rpc_config rpc = {
        .shared = io->config.rpc_shared,
        .seed = io->config.seed,
        .on_answer = on_rpc_answer,
        .on_watching = on_rpc_watching,
        .on_worked = on_worked,
        .context = io,
    };
    enum err err = api_new(&api, &io->api);
    if (err == ERR_OK) {
        err = rpc_new(&rpc, &io->rpc);
    }
    if (err != ERR_OK) {
        api_free(io->api);
    }
    return err;
}

static void open_gate(struct io_thread *io)
{
    const struct recipes_gate_config config = {
        .recipes = io->config.recipes,
        .why_not = io->config.recipes_why_not,
        .shared = io->config.shared,
        .on_posted = on_recipes_posted,
        .context = io,
    };
    io->gate = recipes_gate_new(&config);
}

enum err io_thread_start(const struct io_config *config, struct io_thread **out)
{
    struct io_thread *io = mem_alloc_zero(sizeof(*io));
    io->config = *config;
    enum err err = start_loop(io);
    if (err != ERR_OK) {
        goto err_after_io;
    }
    if (io->config.rpc_shared != NULL) {
        err = start_services(io);
    }
    if (err != ERR_OK) {
        goto err_after_loop;
    }
    open_gate(io);
    io->limited = (struct http2_streaming){
        .on_head = on_limited_head,
        .on_data = on_limited_data,
        .on_end = on_limited_end,
    };
    io->client_port.on_request = on_client_request;
    io->peer_port.on_request = on_peer_request;
    io->metrics_port.on_request = on_metrics_request;
    list_init(&io->connections);
    list_init(&io->dirty);
    queue_init(&io->answers, SIZE_MAX);
    queue_init(&io->rpc_answers, SIZE_MAX);
    queue_init(&io->worked, SIZE_MAX);
    queue_init(&io->api_worked, SIZE_MAX);
    queue_init(&io->posts, SIZE_MAX);
    set_date(io);
    int failed = pthread_create(&io->thread, NULL, run, io);
    CHECK_EQ(failed, 0);
    *out = io;
    return ERR_OK;

err_after_loop:
    close_loop(io);
err_after_io:
    mem_free(io);
    *out = NULL;
    return err_wrap(err, "start an I/O thread");
}

void io_thread_stop(struct io_thread *io)
{
    atomic_store(&io->stop_asked, true);
    atomic_store(&io->posted, true);
    io_thread_wake(io);
}

bool io_thread_join(struct io_thread *io, int64_t wait_ms)
{
    struct timespec until;
    int64_t until_ns = clock_wall_ns(clock_posix()) + wait_ms * 1000000;
    CHECK_LE(0, wait_ms);
    until.tv_sec = (time_t)(until_ns / 1000000000);
    until.tv_nsec = (long)(until_ns % 1000000000);
    int failed = pthread_timedjoin_np(io->thread, NULL, &until);
    CHECK(failed == 0 || failed == ETIMEDOUT);
    return failed == 0;
}

void io_thread_free(struct io_thread *io)
{
    take_posts(io); /* a socket or commits that came too late */
    connection__close_all(io);
    close_loop(io);
    rpc_free(io->rpc);
    api_free(io->api);
    recipes_gate_free(io->gate);
    mem_free(io);
}
