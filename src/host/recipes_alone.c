#include "host/recipes_alone.h"

#include <signal.h>
#include <unistd.h>
#include <uv.h>

#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/version.h"
#include "doc/json_write.h"
#include "host/harden.h"
#include "host/io_thread.h"
#include "host/listener.h"
#include "host/machine.h"
#include "host/recipes.h"
#include "host/tls_config.h"
#include "host/tls_gate.h"

enum {
    PORTS_MAX = 16,
    ACCEPTS_AT_ONCE = 64,
    RETRY_MS = 100, /* when there is no file descriptor left */
    TLS_LOOK_MS = 400,
    STOP_MS = 1000, /* for what is on its way to clients */
    JOIN_MS = 1000,
};

struct alone;

struct port {
    uv_poll_t poll; /* first: libuv hands it back */
    struct alone *alone;
    int fd;
    bool is_tls;
};

struct alone {
    const struct config *config;
    struct recipes *recipes;
    struct harden_hosts *hosts;
    struct api_shared shared; /* CORS, and how many connections there are */
    struct io_thread *io;
    uv_loop_t loop;
    uv_signal_t signals[3];
    uv_timer_t accept_again;
    uv_timer_t tls_look;
    struct tls_context *tls; /* NULL: all ports are plain */
    struct tls_gate *gate;
    struct port ports[PORTS_MAX];
    size_t port_count;
};

/* ---- pages -------------------------------------------------------------- */

static void respond(struct http_exchange *exchange, int status,
                    struct slice type, struct slice body)
{
    const struct http_header headers[] = {
        {SLICE("Content-Type"), type},
        {SLICE("X-Content-Type-Options"), SLICE("nosniff")},
    };
    http_respond(exchange, status, headers, 2, body);
}

/* {"health":"true"}, as etcd has it. */
static void respond_health(struct alone *alone, struct http_exchange *exchange)
{
    struct buf why = {0};
    struct buf body = {0};
    bool is_ready = recipes_is_ready(alone->recipes, &why);
    buf_printf(&body,
               "{\"health\":\"%s\",\"reason\":", is_ready ? "true" : "false");
    json_write_string(&body, buf_slice(&why));
    buf_append_str(&body, "}");
    respond(exchange, is_ready ? 200 : 503, SLICE("application/json"),
            buf_slice(&body));
    buf_deinit(&why);
    buf_deinit(&body);
}

static void respond_metrics(struct alone *alone, struct http_exchange *exchange)
{
    struct buf body = {0};
    struct machine machine;
    machine_read(&machine);
    recipes_metrics(alone->recipes, &body);
    buf_printf(&body,
               "# HELP process_resident_memory_bytes Resident memory.\n"
               "# TYPE process_resident_memory_bytes gauge\n"
               "process_resident_memory_bytes %llu\n"
               "# HELP process_cpu_seconds_total User and system CPU time "
               "spent.\n"
               "# TYPE process_cpu_seconds_total counter\n"
               "process_cpu_seconds_total %.9g\n",
               (unsigned long long)machine.resident_bytes, machine.cpu_seconds);
    respond(exchange, 200, SLICE("text/plain; version=0.0.4; charset=utf-8"),
            buf_slice(&body));
    buf_deinit(&body);
}

static void on_request(void *context, struct http_exchange *exchange)
{
    struct alone *alone = context;
    const struct http_request *request = &exchange->request;
    bool is_read = request->method == HTTP_GET || request->method == HTTP_HEAD;
    if (slice_eq(request->path, SLICE("/health")) && is_read) {
        respond_health(alone, exchange);
    } else if (slice_eq(request->path, SLICE("/metrics")) && is_read) {
        respond_metrics(alone, exchange);
    } else if (slice_eq(request->path, SLICE("/version")) && is_read) {
        respond(exchange, 200, SLICE("application/json"),
                SLICE("{\"etched\":\"" ETCHED_VERSION "\"}"));
    } else {
        respond(exchange, 404, SLICE("application/json"),
                SLICE("{\"error\":{\"code\":\"not_found\",\"message\":\"only "
                      "/recipes/v1/, /health, /metrics and /version are "
                      "served here\"}}\n"));
    }
}

/* ---- connections -------------------------------------------------------- */

static void on_connection(uv_poll_t *poll, int status, int events);

static void on_accept_again(uv_timer_t *timer)
{
    struct alone *alone = CONTAINER_OF(timer, struct alone, accept_again);
    for (size_t i = 0; i < alone->port_count; i++) {
        uv_poll_start(&alone->ports[i].poll, UV_READABLE, on_connection);
    }
}

static void adopt(struct alone *alone, int fd, struct tls *tls)
{
    _Atomic uint64_t *open = &alone->shared.stats[API_CONNECTIONS];
    if (atomic_fetch_add(open, 1) >= (uint64_t)alone->config->max_connections) {
        atomic_fetch_sub(open, 1);
        tls_free(tls);
        close(fd);
        return;
    }
    io_thread_adopt_tls(alone->io, fd, tls, false);
}

/* On the gate's thread. */
static void on_handshake(void *context, int fd, struct tls *tls, int tag)
{
    (void)tag;
    adopt(context, fd, tls);
}

static void pause_port(struct port *port, uint64_t ms)
{
    uv_poll_stop(&port->poll);
    uv_timer_start(&port->alone->accept_again, on_accept_again, ms, 0);
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct port *port = (struct port *)(void *)poll;
    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        bool full = false;
        if (port->is_tls && !tls_gate_has_room(port->alone->gate)) {
            pause_port(port, TLS_GATE_PAUSE_MS);
            return;
        }
        int fd = listener_accept(port->fd, &full);
        if (full) {
            pause_port(port, RETRY_MS);
        }
        if (fd < 0) {
            return;
        }
        if (port->is_tls) {
            tls_gate_take(port->alone->gate, fd, port->alone->tls, 0);
        } else {
            adopt(port->alone, fd, NULL);
        }
    }
}

/* ---- start -------------------------------------------------------------- */

static enum err listen_on_all(struct alone *alone)
{
    const struct config_urls *urls = &alone->config->listen_client_urls;
    if (urls->count > PORTS_MAX) {
        return err_set(ERR_INVALID, "more than %d addresses to listen on",
                       PORTS_MAX);
    }
    for (size_t i = 0; i < urls->count; i++) {
        struct port *port = &alone->ports[i];
        enum err err = listener_open(&urls->at[i], false, &port->fd);
        if (err != ERR_OK) {
            return err;
        }
        port->alone = alone;
        port->is_tls = urls->at[i].tls;
        CHECK_EQ(uv_poll_init(&alone->loop, &port->poll, port->fd), 0);
        alone->port_count++;
    }
    return ERR_OK;
}

static void on_tls_look(uv_timer_t *timer)
{
    struct alone *alone = CONTAINER_OF(timer, struct alone, tls_look);
    (void)tls_context_reload(alone->tls);
}

static enum err open_tls(struct alone *alone)
{
    static const char *const alpn[] = {"h2", "http/1.1"};
    const struct config *config = alone->config;
    const struct tls_gate_config gate = {.on_ready = on_handshake,
                                         .context = alone};
    struct tls_options options =
        tls_config_listener(config, &config->client_tls);
    bool is_needed = false;
    for (size_t i = 0; i < alone->port_count; i++) {
        is_needed |= alone->ports[i].is_tls;
    }
    options.alpn = alpn;
    options.alpn_count = 2;
    if (!is_needed) {
        return ERR_OK;
    }
    if (config->client_tls.auto_tls && options.cert_file[0] == '\0') {
        return err_set(ERR_UNSUPPORTED,
                       "--auto-tls: there is no data directory for a "
                       "certificate here; give one with --cert-file");
    }
    enum err err = tls_context_new(&options, &alone->tls);
    if (err == ERR_OK) {
        err = tls_gate_start(&gate, &alone->gate);
    }
    if (err == ERR_OK) {
        uv_timer_start(&alone->tls_look, on_tls_look, TLS_LOOK_MS, TLS_LOOK_MS);
    }
    return err;
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct alone *alone = signal->data;
    if (number == SIGHUP) {
        return; /* which would end the process: it has nothing to read anew */
    }
    log_info("recipes", "stopping",
             LOG_STR("signal", number == SIGINT ? "SIGINT" : "SIGTERM"));
    uv_stop(&alone->loop);
}

static void watch_signals(struct alone *alone)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        CHECK_EQ(uv_signal_init(&alone->loop, &alone->signals[i]), 0);
        alone->signals[i].data = alone;
        CHECK_EQ(uv_signal_start(&alone->signals[i], on_signal, numbers[i]), 0);
    }
}

static enum err open_recipes(struct alone *alone)
{
    const struct config *config = alone->config;
    const struct recipes_config recipes = {
        .endpoints = config->recipes_endpoints.at,
        .endpoint_count = config->recipes_endpoints.count,
        .flags = config,
    };
    if (config->recipes_endpoints.count == 0) {
        return err_set(ERR_INVALID,
                       "where is the store? etched recipes --endpoints="
                       "<host:port,...>");
    }
    return recipes_new(&recipes, &alone->recipes);
}

static enum err start_io(struct alone *alone)
{
    const struct config *config = alone->config;
    const int64_t ms_ns = 1000 * 1000;
    const struct io_config io = {
        .shared = &alone->shared,
        .on_request = on_request,
        .recipes = alone->recipes,
        .hosts = alone->hosts,
        .streams_max = 1000,
        .ping_min_ms = config->grpc_keepalive_min_time_ns / ms_ns,
        .keepalive_ms = config->grpc_keepalive_interval_ns / ms_ns,
        .keepalive_timeout_ms = config->grpc_keepalive_timeout_ns / ms_ns,
        .body_bytes_max = (size_t)config->max_request_bytes,
        .stop_ms = STOP_MS,
        .context = alone,
    };
    return io_thread_start(&io, &alone->io);
}

static enum err start(struct alone *alone)
{
    struct privileges who;
    alone->hosts = harden_hosts_new(alone->config);
    enum err err = privileges_find(alone->config->user, &who);
    if (err == ERR_OK) {
        err = listen_on_all(alone);
    }
    if (err == ERR_OK) {
        err = harden_confine(alone->config, &who);
    }
    if (err == ERR_OK) {
        err = open_recipes(alone);
    }
    if (err == ERR_OK) {
        err = start_io(alone);
    }
    if (err == ERR_OK) {
        err = open_tls(alone);
    }
    if (err == ERR_OK) {
        watch_signals(alone);
        recipes_start(alone->recipes);
        on_accept_again(&alone->accept_again);
    }
    return err;
}

/* ---- stop --------------------------------------------------------------- */

static void close_handle(uv_handle_t *handle, void *context)
{
    (void)context;
    uv_close(handle, NULL);
}

static void stop(struct alone *alone)
{
    recipes_join(alone->recipes);
    uv_walk(&alone->loop, close_handle, NULL);
    uv_run(&alone->loop, UV_RUN_DEFAULT);
    CHECK_EQ(uv_loop_close(&alone->loop), 0);
    for (size_t i = 0; i < alone->port_count; i++) {
        close(alone->ports[i].fd);
    }
    tls_gate_stop(alone->gate);
    if (alone->io != NULL) {
        io_thread_stop(alone->io);
        bool has_ended = io_thread_join(alone->io, STOP_MS + JOIN_MS);
        CHECK(has_ended); /* nothing holds it up but its connections */
        io_thread_free(alone->io);
    }
    tls_context_unref(alone->tls);
    recipes_free(alone->recipes);
    harden_hosts_free(alone->hosts);
}

enum err recipes_alone_run(const struct config *config)
{
    struct alone *alone = mem_alloc_zero(sizeof(*alone));
    alone->config = config;
    alone->shared.cors = config->cors.at;
    alone->shared.cors_count = config->cors.count;
    machine_init();
    (void)machine_raise_fd_limit();
    CHECK_EQ(uv_loop_init(&alone->loop), 0);
    CHECK_EQ(uv_timer_init(&alone->loop, &alone->accept_again), 0);
    CHECK_EQ(uv_timer_init(&alone->loop, &alone->tls_look), 0);
    enum err err = start(alone);
    if (err == ERR_OK) {
        uv_run(&alone->loop, UV_RUN_DEFAULT);
    }
    stop(alone);
    mem_free(alone);
    return err;
}
