#include "host/recipes.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/version.h"
#include "host/clock_posix.h"
#include "host/recipes_int.h"
#include "host/secret_file.h"
#include "host/zones_posix.h"

enum {
    KEEPALIVE_MS = RPC_CLIENT_KEEPALIVE_MS_MIN,
    KEEPALIVE_TIMEOUT_MS = 3000,
    DIAL_MS = 2000,
    LAZY_S = 60,
    MS_NS = 1000 * 1000,
    /* Rounds of "it was told something, so it may want something". */
    ROUNDS_MAX = 100,
    LOCK_TRIES = 10,
    LOCK_PAUSE_NS = 500 * 1000,
};

/* ---- asks: any thread --------------------------------------------------- */

static void wake(struct recipes *recipes)
{
    const uint64_t one = 1;
    ssize_t written;
    do {
        written = write(recipes->wake_fd, &one, sizeof(one));
    } while (written < 0 && errno == EINTR);
    CHECK_EQ(written, sizeof(one));
}

bool recipes__push(struct recipes *recipes, struct recipes_ask *ask)
{
    bool was_empty;
    size_t bytes = ask->arena.used_bytes;
    size_t before = atomic_fetch_add_explicit(&recipes->ask_bytes, bytes,
                                              memory_order_relaxed);
    if (!ask->is_gone && (queue_count(&recipes->asks) >= RECIPES_ASKS_MAX ||
                          before + bytes > RECIPES_ASK_BYTES_MAX)) {
        atomic_fetch_sub_explicit(&recipes->ask_bytes, bytes,
                                  memory_order_relaxed);
        return false;
    }
    bool pushed = queue_push(&recipes->asks, &ask->link, &was_empty);
    CHECK(pushed); /* what is gone is bounded by what came */
    if (was_empty) {
        wake(recipes);
    }
    return true;
}

/* ---- the thread: what comes in ------------------------------------------ */

static void on_wake(struct poller_entry *entry, uint32_t events)
{
    uint64_t count;
    ssize_t got = read(entry->fd, &count, sizeof(count));
    (void)events;
    CHECK(got == sizeof(count) || errno == EAGAIN || errno == EINTR);
}

static void refuse_ask(struct recipes *recipes, const struct recipes_ask *ask)
{
    struct runner_doors doors;
    static const char text[] =
        "{\"error\":{\"code\":\"unavailable\",\"message\":\"the store that "
        "recipes are kept in hasn't answered yet\"}}\n";
    const struct rest_answer answer = {
        .status = 503,
        .content_type = "application/json",
        .body = SLICE(text),
        .retry_after = "1",
    };
    recipes__fill_doors(recipes, &doors);
    doors.respond(recipes, ask->id, &answer);
}

static void take_ask(struct recipes *recipes, struct recipes_ask *ask)
{
    if (recipes->runner == NULL) {
        if (!ask->is_gone) {
            refuse_ask(recipes, ask);
        }
        return;
    }
    recipes->is_touched = true;
    pthread_mutex_lock(&recipes->mutex);
    if (ask->is_gone) {
        runner_request_gone(recipes->runner, ask->id);
    } else {
        runner_request(recipes->runner, ask->id, &ask->request);
    }
    pthread_mutex_unlock(&recipes->mutex);
}

static void take_asks(struct recipes *recipes)
{
    struct queue_link *link = queue_take_all(&recipes->asks);
    while (link != NULL) {
        struct queue_link *next = link->next;
        struct recipes_ask *ask = CONTAINER_OF(link, struct recipes_ask, link);
        take_ask(recipes, ask);
        atomic_fetch_sub_explicit(&recipes->ask_bytes, ask->arena.used_bytes,
                                  memory_order_relaxed);
        recipes_ask__free(ask);
        link = next;
    }
}

/* ---- the thread: its turn ----------------------------------------------- */

static struct runner_now now_of_clocks(void)
{
    return (struct runner_now){
        .mono_ns = clock_monotonic_ns(clock_posix()),
        .wall_ns = clock_wall_ns(clock_posix()),
    };
}

static void make_runner(struct recipes *recipes)
{
    const struct config *flags = recipes->flags;
    struct runner_config config = {
        .zones = recipes->zones,
        .name = flags->name,
        .exec_allowed = flags->recipes_exec_allow.count > 0,
        .is_etched = recipes->is_etched,
        .lease_ns = flags->recipes_lease_ttl_ns,
        .lazy_ns = (int64_t)LAZY_S * 1000 * MS_NS,
    };
    ssize_t got = getrandom(&config.seed, sizeof(config.seed), 0);
    CHECK_EQ(got, sizeof(config.seed));
    recipes__fill_doors(recipes, &config.doors);
    pthread_mutex_lock(&recipes->mutex);
    recipes->runner = runner_new(&config);
    pthread_mutex_unlock(&recipes->mutex);
    if (!recipes->is_own) {
        log_info("recipes", "ready to run recipes",
                 LOG_STR("store", rpc_client_endpoint(recipes->client)),
                 LOG_STR("of", recipes->is_etched ? "etched" : "etcd"),
                 LOG_STR("url", flags->listen_client_urls.at[0].text),
                 LOG_STR("name", flags->name));
    }
}

/* Who asked for them while the runner was busy has a newer text next time. */
static void refresh_metrics(struct recipes *recipes)
{
    if (atomic_exchange(&recipes->metrics_wanted, false)) {
        pthread_mutex_lock(&recipes->metrics_mutex);
        buf_reset(&recipes->metrics);
        runner_metrics(recipes->runner, &recipes->metrics);
        pthread_mutex_unlock(&recipes->metrics_mutex);
    }
}

static int64_t run_runner(struct recipes *recipes)
{
    recipes->is_touched = false;
    pthread_mutex_lock(&recipes->mutex);
    int64_t next_ns = runner_run(recipes->runner, now_of_clocks());
    refresh_metrics(recipes);
    pthread_mutex_unlock(&recipes->mutex);
    return next_ns > INT64_MAX - MS_NS ? INT64_MAX
                                       : (next_ns + MS_NS - 1) / MS_NS;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Runs the runner, and the outside for what it wants of it, until nobody has
 * told it anything new. Returns when the next of them is due. */
static int64_t work(struct recipes *recipes)
{
    int64_t next_ms = 0;
    for (int i = 0; i < ROUNDS_MAX; i++) {
        next_ms = run_runner(recipes);
        int64_t now_ms = rpc_client_now_ms();
        next_ms = least(next_ms, recipes_http_run(recipes->http, now_ms));
        next_ms = least(next_ms, recipes_exec_run(recipes->exec, now_ms));
        if (!recipes->is_touched) {
            return next_ms;
        }
    }
    return 0;
}

/* True: it has handed over, or has no more time to. */
static bool is_stopped(struct recipes *recipes, int64_t now_ms)
{
    if (!atomic_load(&recipes->stop_asked)) {
        return false;
    }
    if (recipes->runner == NULL) {
        return true;
    }
    if (recipes->stop_until_ms == 0) {
        recipes->stop_until_ms = now_ms + RECIPES_STOP_MS;
        recipes->is_touched = true;
        pthread_mutex_lock(&recipes->mutex);
        runner_stop(recipes->runner);
        pthread_mutex_unlock(&recipes->mutex);
    }
    return now_ms >= recipes->stop_until_ms ||
           runner_is_stopped(recipes->runner);
}

static int64_t look_for_store(struct recipes *recipes, int64_t now_ms)
{
    if (now_ms < recipes->ask_store_ms) {
        return recipes->ask_store_ms;
    }
    recipes__ask_store(recipes, now_ms);
    return INT64_MAX;
}

/* What is to be done by now; returns when it is next. */
static int64_t turn(struct recipes *recipes, int64_t now_ms)
{
    int64_t next_ms = recipes_login_run(&recipes->login, now_ms);
    if (recipes->runner == NULL && recipes->is_known) {
        make_runner(recipes);
    }
    take_asks(recipes);
    recipes__renew_watch(recipes);
    if (recipes->runner != NULL) {
        next_ms = least(next_ms, work(recipes));
    } else if (recipes->login.is_in && !recipes->is_asking) {
        next_ms = least(next_ms, look_for_store(recipes, now_ms));
    }
    for (size_t i = 0; i < recipes->gate_count; i++) {
        recipes_gate__wake(recipes->gates[i]);
    }
    atomic_store(&recipes->is_ready,
                 recipes->runner != NULL &&
                     rpc_client_is_connected(recipes->client));
    return recipes->stop_until_ms != 0 ? least(next_ms, recipes->stop_until_ms)
                                       : next_ms;
}

/* What it works with: programs end, and the store's connection, so that a
 * server that stops needn't wait for it. */
static void close_all(struct recipes *recipes)
{
    pthread_mutex_lock(&recipes->mutex);
    struct runner *runner = recipes->runner;
    recipes->runner = NULL;
    pthread_mutex_unlock(&recipes->mutex);
    if (runner != NULL) {
        runner_free(runner);
    }
    recipes_exec_free(recipes->exec);
    recipes_http_free(recipes->http);
    rpc_client_close(recipes->client);
    recipes__drop_calls(recipes);
    recipes_login_deinit(&recipes->login);
    recipes->exec = NULL;
    recipes->http = NULL;
    recipes->client = NULL;
}

static void *run(void *context)
{
    struct recipes *recipes = context;
    while (!is_stopped(recipes, rpc_client_now_ms())) {
        int64_t next_ms = turn(recipes, rpc_client_now_ms());
        if (!is_stopped(recipes, rpc_client_now_ms())) {
            (void)rpc_client_run(recipes->client, next_ms, recipes->poller.fd);
            poller_run(&recipes->poller);
        }
    }
    atomic_store(&recipes->is_ready, false);
    close_all(recipes);
    return NULL;
}

/* ---- from outside ------------------------------------------------------- */

static enum err read_keys(struct recipes *recipes)
{
    const struct config *flags = recipes->flags;
    enum err err = ERR_OK;
    if (flags->recipes_secret_key_file[0] != '\0') {
        err =
            secret_box_open(flags->recipes_secret_key_file, &recipes->secrets);
        return err_wrap(err, "--recipes-secret-key-file");
    }
    /* Not a flag: those of a process are seen by everybody. */
    const char *key = secure_getenv("ETCHED_RECIPES_SECRET_KEY");
    if (key != NULL && key[0] != '\0') {
        err = secret_box_new(slice_str(key), &recipes->secrets);
        return err_wrap(err, "ETCHED_RECIPES_SECRET_KEY");
    }
    return err;
}

static enum err open_client(struct recipes *recipes,
                            const struct recipes_config *config)
{
    static const char *const own[] = {"localhost:2379"}; /* but a name */
    const struct config *flags = recipes->flags;
    bool is_own = config->connect != NULL;
    const struct rpc_client_options options = {
        .connect = config->connect,
        .connect_context = config->context,
        .endpoints = is_own ? own : config->endpoints,
        .endpoint_count = is_own ? 1 : config->endpoint_count,
        .tls = {.ca_file = flags->recipes_ca_file,
                .cert_file = flags->recipes_cert_file,
                .key_file = flags->recipes_key_file,
                .skip_verify = flags->recipes_skip_verify,
                .is_default = !is_own && (flags->recipes_ca_file[0] != '\0' ||
                                          flags->recipes_cert_file[0] != '\0')},
        .dial_ms = DIAL_MS,
        .keepalive_ms = KEEPALIVE_MS,
        .keepalive_timeout_ms = KEEPALIVE_TIMEOUT_MS,
        .message_bytes_max = LIMIT_REQUEST_BYTES_MAX,
        .user_agent = "etched-recipes/" ETCHED_VERSION,
        .stop_fd = -1,
    };
    enum err err = rpc_client_open(&options, &recipes->client);
    return err_wrap(err, "--recipes-endpoints");
}

/* The first line of the file; or from the environment, as a process's flags
 * are seen by everybody. */
static enum err read_password(const struct config *flags, struct buf *out)
{
    const char *password = secure_getenv("ETCHED_RECIPES_PASSWORD");
    if (flags->recipes_password_file[0] == '\0') {
        if (password == NULL || password[0] == '\0') {
            return err_set(ERR_INVALID,
                           "%s has no password: give it by "
                           "--recipes-password-file, or by "
                           "ETCHED_RECIPES_PASSWORD in the environment",
                           flags->recipes_user);
        }
        buf_append_str(out, password);
        return ERR_OK;
    }
    enum err err = secret_file_read(flags->recipes_password_file, out);
    ptrdiff_t end = slice_find(buf_slice(out), '\n');
    if (err == ERR_OK && end >= 0) {
        out->size = (size_t)end;
    }
    while (out->size > 0 && out->at[out->size - 1] == '\r') {
        out->size--;
    }
    if (err == ERR_OK && out->size == 0) {
        err = err_set(ERR_INVALID, "%s: no password in the first line",
                      flags->recipes_password_file);
    }
    return err;
}

static enum err prepare_login(struct recipes *recipes)
{
    struct buf password = {0};
    const struct config *flags = recipes->flags;
    recipes->login = RECIPES_LOGIN_NONE;
    recipes->login.client = recipes->client;
    if (recipes->is_own || flags->recipes_user[0] == '\0') {
        return ERR_OK;
    }
    enum err err = read_password(flags, &password);
    if (err == ERR_OK) {
        recipes_login_init(&recipes->login, recipes->client,
                           flags->recipes_user, buf_slice(&password));
    }
    secret_wipe(&password);
    return err_wrap(err, "--recipes-user");
}

static void open_outside(struct recipes *recipes)
{
    const struct config *flags = recipes->flags;
    const struct recipes_http_config http = {
        .poller = &recipes->poller,
        .allow_local = flags->recipes_allow_local,
        .on_acted = recipes__on_acted,
        .context = recipes,
    };
    const struct recipes_exec_config exec = {
        .poller = &recipes->poller,
        .allowed = flags->recipes_exec_allow.at,
        .allowed_count = flags->recipes_exec_allow.count,
        .on_acted = recipes__on_acted,
        .context = recipes,
    };
    recipes->http = recipes_http_new(&http);
    recipes->exec = recipes_exec_new(&exec);
    recipes->zones = zones_posix_new(ZONES_FOLDER);
}

enum err recipes_new(const struct recipes_config *config, struct recipes **out)
{
    struct recipes *recipes = mem_alloc_zero(sizeof(*recipes));
    *out = NULL;
    recipes->flags = config->flags;
    recipes->is_own = config->connect != NULL;
    recipes->may = config->may;
    recipes->may_context = config->context;
    recipes->is_known = recipes->is_etched = recipes->is_own;
    list_init(&recipes->calls);
    queue_init(&recipes->asks, SIZE_MAX);
    pthread_mutex_init(&recipes->mutex, NULL);
    pthread_mutex_init(&recipes->metrics_mutex, NULL);
    poller_init(&recipes->poller);
    recipes->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK(recipes->wake_fd >= 0);
    recipes->wake.fd = recipes->wake_fd;
    recipes->wake.on_ready = on_wake;
    poller_set(&recipes->poller, &recipes->wake, EPOLLIN);
    open_outside(recipes);
    enum err err = read_keys(recipes);
    if (err == ERR_OK) {
        err = open_client(recipes, config);
    }
    if (err == ERR_OK) {
        err = prepare_login(recipes);
    }
    if (err != ERR_OK) {
        recipes_free(recipes);
        return err;
    }
    *out = recipes;
    return ERR_OK;
}

void recipes_start(struct recipes *recipes)
{
    CHECK(!recipes->is_started);
    recipes->is_started = true;
    int failed = pthread_create(&recipes->thread, NULL, run, recipes);
    CHECK_EQ(failed, 0);
    (void)pthread_setname_np(recipes->thread, "recipes");
}

void recipes_begin_stop(struct recipes *recipes)
{
    if (recipes != NULL && !atomic_exchange(&recipes->stop_asked, true)) {
        wake(recipes);
    }
}

void recipes_join(struct recipes *recipes)
{
    if (recipes == NULL || !recipes->is_started) {
        return;
    }
    recipes_begin_stop(recipes);
    int failed = pthread_join(recipes->thread, NULL);
    CHECK_EQ(failed, 0);
    recipes->is_started = false;
}

void recipes_free(struct recipes *recipes)
{
    if (recipes == NULL) {
        return;
    }
    CHECK(!recipes->is_started);
    struct queue_link *link = queue_take_all(&recipes->asks);
    while (link != NULL) {
        struct queue_link *next = link->next;
        recipes_ask__free(CONTAINER_OF(link, struct recipes_ask, link));
        link = next;
    }
    close_all(recipes);
    zones_posix_free(recipes->zones);
    secret_box_free(recipes->secrets);
    poller_set(&recipes->poller, &recipes->wake, 0);
    close(recipes->wake_fd);
    poller_deinit(&recipes->poller);
    pthread_mutex_destroy(&recipes->metrics_mutex);
    pthread_mutex_destroy(&recipes->mutex);
    buf_deinit(&recipes->metrics);
    mem_free(recipes);
}

bool recipes_is_ready(struct recipes *recipes, struct buf *why)
{
    bool is_ready = atomic_load(&recipes->is_ready);
    if (!is_ready) {
        buf_append_str(why, "the store that recipes are kept in can't be "
                            "reached");
    }
    return is_ready;
}

/* False: the runner is busy for longer than an I/O thread can wait. */
static bool lock_runner(struct recipes *recipes)
{
    const struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (pthread_mutex_trylock(&recipes->mutex) == 0) {
            return true;
        }
        (void)nanosleep(&pause, NULL);
    }
    return false;
}

void recipes_metrics(void *context, struct buf *out)
{
    struct recipes *recipes = context;
    if (lock_runner(recipes)) {
        if (recipes->runner != NULL) {
            runner_metrics(recipes->runner, out);
        }
        pthread_mutex_unlock(&recipes->mutex);
        return;
    }
    /* As they were a little while ago. */
    atomic_store(&recipes->metrics_wanted, true);
    pthread_mutex_lock(&recipes->metrics_mutex);
    buf_append_slice(out, buf_slice(&recipes->metrics));
    pthread_mutex_unlock(&recipes->metrics_mutex);
}
