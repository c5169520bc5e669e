/* Load over v3's gRPC API, as h2load can't make it: keys that differ, watches,
 * leases, one huge range.
 *
 *   grpc_load call PORT PATH HEX            one call: its status, its answer
 *   grpc_load load PORT CONNECTIONS STREAMS KEYS BYTES
 *   grpc_load mixed PORT CONNECTIONS STREAMS KEYS BYTES SECONDS PUT_PERCENT
 *   grpc_load watch PORT WATCHERS same|distinct SECONDS
 *   grpc_load leases PORT COUNT TTL SECONDS
 *   grpc_load expire PORT COUNT WAIT SECONDS
 *   grpc_load range PORT PATH
 *
 * Results are `name value` lines on standard output. `watch` and `leases` say
 * `ready` first, and go on when a line comes on standard input. A tool of the
 * bench only: any failure ends it.
 */
#include "grpc_client.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KV "/etcdserverpb.KV/"
#define RANGE KV "Range"
#define PUT KV "Put"
#define WATCH "/etcdserverpb.Watch/Watch"
#define GRANT "/etcdserverpb.Lease/LeaseGrant"
#define KEEP_ALIVE "/etcdserverpb.Lease/LeaseKeepAlive"

enum {
    CONNECTIONS = 8,     /* where the caller doesn't say */
    STREAMS = 64,        /* of each, to grant leases and to load */
    WATCHES_EACH = 1000, /* of one stream */
    PUTS_AHEAD = 64,     /* of the events that came of them */
    ALIVE_STREAMS = 16,
    VALUE_BYTES = 256,
    SAMPLES_MAX = 8000000,
    SECONDS_MAX = 600, /* of anything */
};

static int port;
static uint8_t value[1 << 16];
static float samples[SAMPLES_MAX];
static size_t samples_count;

static uint64_t random_below(uint64_t limit)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % limit;
}

static void sample(double seconds)
{
    if (samples_count < SAMPLES_MAX) {
        samples[samples_count++] = (float)(seconds * 1000);
    }
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a;
    float y = *(const float *)b;
    return (x > y) - (x < y);
}

static void print_latency(const char *of)
{
    qsort(samples, samples_count, sizeof(samples[0]), by_size);
    if (samples_count == 0) {
        die("nothing was answered");
    }
    printf("%s_p50_ms %.3f\n", of, (double)samples[samples_count / 2]);
    printf("%s_p99_ms %.3f\n", of,
           (double)samples[samples_count - 1 - samples_count / 100]);
    printf("%s_max_ms %.3f\n", of, (double)samples[samples_count - 1]);
}

static void wait_for_line(void)
{
    printf("ready\n");
    fflush(stdout);
    while (getchar() != '\n') {
        if (feof(stdin)) {
            die("nothing more to do");
        }
    }
}

static const char *key_of(uint64_t number)
{
    static char key[32];
    snprintf(key, sizeof(key), "key/%08lu", (unsigned long)number);
    return key;
}

static void make_put(struct bytes *out, const char *key, size_t bytes,
                     uint64_t lease)
{
    out->size = 0;
    bytes_add_field(out, 1, key, strlen(key));
    bytes_add_field(out, 2, value, bytes);
    if (lease > 0) {
        bytes_add_int(out, 3, lease);
    }
}

static void must_be_good(const struct call *call, const char *what)
{
    if (call->status != 0) {
        fprintf(stderr, "grpc_load: %s: grpc-status %d\n", what, call->status);
        exit(1);
    }
}

/* ---- many calls at once, each followed by another ----------------------- */

struct worker {
    struct call call;
    double begun;
    struct pool *pool;
};

/* Calls that go on until there is nothing more to ask. */
struct pool {
    struct worker *workers;
    size_t size;
    size_t busy;
    uint64_t next;  /* number of the next call */
    uint64_t limit; /* how many */
    double end;     /* and until when; 0: whenever */
    uint64_t done;
    uint64_t extra; /* the caller's */
    size_t bytes;
    /* Writes the message of a call; returns its path. */
    const char *(*make)(struct pool *pool, uint64_t number,
                        struct bytes *message);
    bool measured;
};

static void start_next(struct worker *worker)
{
    static struct bytes message;
    struct pool *pool = worker->pool;
    double time = now();
    if (pool->next == pool->limit || (pool->end > 0 && time >= pool->end)) {
        return;
    }
    message.size = 0;
    const char *path = pool->make(pool, pool->next++, &message);
    worker->begun = time;
    pool->busy++;
    call_start(&worker->call, worker->call.connection, path, &message, false);
}

static void worker_done(struct call *call)
{
    struct worker *worker = (struct worker *)call;
    must_be_good(call, "a call");
    worker->pool->busy--;
    worker->pool->done++;
    if (worker->pool->measured) {
        sample(now() - worker->begun);
    }
    start_next(worker);
}

/* Returns how long it took. */
static double run_pool(struct pool *pool, size_t connections, size_t streams)
{
    pool->size = connections * streams;
    pool->workers = calloc(pool->size, sizeof(*pool->workers));
    if (pool->workers == NULL) {
        die("out of memory");
    }
    double begin = now();
    for (size_t c = 0; c < connections; c++) {
        struct connection *connection = connection_open(port);
        for (size_t s = 0; s < streams; s++) {
            struct worker *worker = &pool->workers[c * streams + s];
            worker->call.connection = connection;
            worker->call.on_end = worker_done;
            worker->pool = pool;
            start_next(worker);
        }
    }
    while (pool->busy > 0) {
        if (now() - begin > SECONDS_MAX) {
            die("it takes too long");
        }
        run_once(100);
    }
    return now() - begin;
}

static const char *make_load(struct pool *pool, uint64_t number,
                             struct bytes *message)
{
    make_put(message, key_of(number), pool->bytes, 0);
    return PUT;
}

static const char *make_mixed(struct pool *pool, uint64_t number,
                              struct bytes *message)
{
    (void)number;
    const char *key = key_of(random_below(pool->extra >> 8));
    if (random_below(100) < (pool->extra & 255)) {
        make_put(message, key, pool->bytes, 0);
        return PUT;
    }
    bytes_add_field(message, 1, key, strlen(key));
    return RANGE;
}

static void do_load(char **args)
{
    struct pool pool = {.make = make_load, .measured = true};
    pool.limit = strtoul(args[2], NULL, 10);
    pool.bytes = strtoul(args[3], NULL, 10);
    double took =
        run_pool(&pool, strtoul(args[0], NULL, 10), strtoul(args[1], NULL, 10));
    printf("rate %.1f\n", (double)pool.done / took);
    print_latency("put");
}

static void do_mixed(char **args)
{
    struct pool pool = {.make = make_mixed, .measured = true};
    pool.limit = UINT64_MAX;
    pool.bytes = strtoul(args[3], NULL, 10);
    pool.end = now() + strtod(args[4], NULL);
    pool.extra = strtoul(args[2], NULL, 10) << 8 | strtoul(args[5], NULL, 10);
    double took =
        run_pool(&pool, strtoul(args[0], NULL, 10), strtoul(args[1], NULL, 10));
    printf("rate %.1f\n", (double)pool.done / took);
    printf("count %lu\n", (unsigned long)pool.done);
    print_latency("call");
}

/* ---- one call ----------------------------------------------------------- */

static bool ended;

static void mark_ended(struct call *call)
{
    (void)call;
    ended = true;
}

static void print_hex(struct call *call, const uint8_t *data, size_t size)
{
    (void)call;
    printf("message ");
    for (size_t i = 0; i < size; i++) {
        printf("%02x", data[i]);
    }
    printf("\n");
}

static void run_to_end(void)
{
    double begin = now();
    while (!ended) {
        if (now() - begin > SECONDS_MAX) {
            die("it takes too long");
        }
        run_once(100);
    }
}

static void do_call(char **args)
{
    struct call call = {.on_message = print_hex, .on_end = mark_ended};
    struct bytes message = {0};
    for (const char *at = args[1]; at[0] != '\0' && at[1] != '\0'; at += 2) {
        char two[3] = {at[0], at[1], '\0'};
        uint8_t byte = (uint8_t)strtoul(two, NULL, 16);
        bytes_add(&message, &byte, 1);
    }
    call_start(&call, connection_open(port), args[0], &message, false);
    run_to_end();
    printf("status %d\n", call.status);
}

/* All keys of `load`, counted as they come and kept nowhere. */
static void do_range(char **args)
{
    struct call call = {.on_end = mark_ended};
    struct bytes message = {0};
    bytes_add_field(&message, 1, "key/", 4);
    bytes_add_field(&message, 2, "key0", 4);
    double begin = now();
    call_start(&call, connection_open(port), args[0], &message, false);
    run_to_end();
    must_be_good(&call, "the range");
    printf("bytes %lu\nseconds %.3f\n", (unsigned long)call.got, now() - begin);
}

/* ---- watches ------------------------------------------------------------ */

static uint64_t watches_made;
static uint64_t events;

static void count_events(struct call *call, const uint8_t *data, size_t size)
{
    (void)call;
    const uint8_t *at = data;
    struct field field;
    while (next_field(&at, data + size, &field)) {
        if (field.number == 11) {
            events++;
        } else if (field.number == 3) {
            watches_made += field.value;
        } else if (field.number == 4 && field.value) {
            die("a watch was cancelled");
        }
    }
}

static void watch_ended(struct call *call)
{
    must_be_good(call, "a watch");
    die("a watch ended");
}

static void make_watches(uint64_t watchers, bool same)
{
    struct connection *connections[CONNECTIONS];
    struct bytes key = {0};
    struct bytes message = {0};
    struct call *call = NULL;
    for (size_t i = 0; i < CONNECTIONS; i++) {
        connections[i] = connection_open(port);
    }
    double begin = now();
    for (uint64_t i = 0; i < watchers; i++) {
        const char *name = key_of(same ? 0 : i);
        key.size = message.size = 0;
        bytes_add_field(&key, 1, name, strlen(name));
        bytes_add_field(&message, 1, key.data, key.size);
        if (i % WATCHES_EACH == 0) {
            call = calloc(1, sizeof(*call));
            if (call == NULL) {
                die("out of memory");
            }
            call->on_message = count_events;
            call->on_end = watch_ended;
            call_start(call, connections[i / WATCHES_EACH % CONNECTIONS], WATCH,
                       &message, true);
        } else {
            call_send(call, &message);
        }
        while (i + 1 - watches_made > 256) {
            if (now() - begin > SECONDS_MAX) {
                die("the watches are not made");
            }
            run_once(100);
        }
    }
    while (watches_made < watchers) {
        if (now() - begin > SECONDS_MAX) {
            die("the watches are not made");
        }
        run_once(100);
    }
    printf("made %.1f\n", (double)watchers / (now() - begin));
}

struct writer {
    struct call call;
    bool busy;
};

static uint64_t puts_done;

static void put_ended(struct call *call)
{
    must_be_good(call, "a put");
    ((struct writer *)call)->busy = false;
    puts_done++;
}

/* Puts in a window: at most so many whose events have not all come. */
static void put_and_count(uint64_t watchers, bool same, double seconds)
{
    static struct writer writers[PUTS_AHEAD];
    struct bytes message = {0};
    struct connection *connection = connection_open(port);
    uint64_t fan = same ? watchers : 1;
    uint64_t puts = 0;
    double begin = now();
    events = 0;
    while (now() - begin < seconds) {
        for (size_t i = 0; i < PUTS_AHEAD; i++) {
            if (writers[i].busy || puts - events / fan >= PUTS_AHEAD) {
                continue;
            }
            writers[i].busy = true;
            writers[i].call.on_end = put_ended;
            make_put(&message, key_of(same ? 0 : random_below(watchers)),
                     VALUE_BYTES, 0);
            call_start(&writers[i].call, connection, PUT, &message, false);
            puts++;
        }
        run_once(10);
    }
    printf("events %.1f\nputs %.1f\n", (double)events / (now() - begin),
           (double)puts_done / (now() - begin));
}

static void do_watch(char **args)
{
    uint64_t watchers = strtoul(args[0], NULL, 10);
    bool same = strcmp(args[1], "same") == 0;
    make_watches(watchers, same);
    wait_for_line();
    put_and_count(watchers, same, strtod(args[2], NULL));
}

/* ---- leases ------------------------------------------------------------- */

static double all_end; /* when all leases are to end; 0: each has `lease_ttl` */
static uint64_t lease_ttl;

static const char *make_grant(struct pool *pool, uint64_t number,
                              struct bytes *message)
{
    (void)pool;
    uint64_t ttl = lease_ttl;
    if (all_end > 0) {
        ttl = (uint64_t)ceil(all_end - now());
    }
    bytes_add_int(message, 1, ttl);
    bytes_add_int(message, 2, number + 1);
    return GRANT;
}

static const char *make_leased_put(struct pool *pool, uint64_t number,
                                   struct bytes *message)
{
    (void)pool;
    make_put(message, key_of(number), 16, number + 1);
    return PUT;
}

static void grant(uint64_t leases)
{
    struct pool pool = {.make = make_grant, .limit = leases};
    printf("granted %.1f\n",
           (double)leases / run_pool(&pool, CONNECTIONS, STREAMS));
}

/* Puts at a steady pace, each measured from when it was due. */
struct pace {
    struct connection *connection;
    double gap;
    double next;
    size_t under_way;
};

struct paced {
    struct call call;
    double due;
    struct pace *pace;
};

static void paced_ended(struct call *call)
{
    struct paced *paced = (struct paced *)call;
    must_be_good(call, "a put");
    sample(now() - paced->due);
    paced->pace->under_way--;
    free(call->out.data);
    free(call->in.data);
    free(paced);
}

static void put_at_pace(struct pace *pace)
{
    static struct bytes message;
    while (pace->next <= now()) {
        struct paced *paced = calloc(1, sizeof(*paced));
        if (paced == NULL) {
            die("out of memory");
        }
        paced->pace = pace;
        paced->due = pace->next;
        paced->call.on_end = paced_ended;
        make_put(&message, "paced", VALUE_BYTES, 0);
        call_start(&paced->call, pace->connection, PUT, &message, false);
        pace->under_way++;
        pace->next += pace->gap;
    }
}

static void finish_pace(struct pace *pace)
{
    double begin = now();
    while (pace->under_way > 0 && now() - begin < 60) {
        run_once(10);
    }
    print_latency("put");
}

static struct pace start_pace(double rate)
{
    return (struct pace){
        .connection = connection_open(port), .gap = 1 / rate, .next = now()};
}

static uint64_t kept_alive;

static void count_alive(struct call *call, const uint8_t *data, size_t size)
{
    (void)call;
    const uint8_t *at = data;
    struct field field;
    uint64_t ttl = 0;
    while (next_field(&at, data + size, &field)) {
        ttl = field.number == 3 ? field.value : ttl;
    }
    if (ttl == 0) {
        die("a lease has ended");
    }
    kept_alive++;
}

/* Each lease three times within its time, evenly. */
static void do_leases(char **args)
{
    static struct call alive[ALIVE_STREAMS];
    struct bytes message = {0};
    uint64_t leases = strtoul(args[0], NULL, 10);
    lease_ttl = strtoul(args[1], NULL, 10);
    double seconds = strtod(args[2], NULL);
    grant(leases);
    wait_for_line();
    double rate = (double)leases * 3 / (double)lease_ttl;
    uint64_t asked = 0;
    struct pace pace = start_pace(200);
    double begin = now();
    while (now() - begin < seconds) {
        while ((double)asked < (now() - begin) * rate) {
            struct call *call = &alive[asked % ALIVE_STREAMS];
            message.size = 0;
            bytes_add_int(&message, 1, asked++ % leases + 1);
            if (call->connection == NULL) {
                call->on_message = count_alive;
                call->on_end = watch_ended;
                call_start(call, connection_open(port), KEEP_ALIVE, &message,
                           true);
            } else {
                call_send(call, &message);
            }
        }
        put_at_pace(&pace);
        run_once(1);
    }
    printf("kept_alive %.1f\nasked %.1f\n",
           (double)kept_alive / (now() - begin),
           (double)asked / (now() - begin));
    finish_pace(&pace);
}

static uint64_t keys_left;

static void read_count(struct call *call, const uint8_t *data, size_t size)
{
    (void)call;
    const uint8_t *at = data;
    struct field field;
    keys_left = 0;
    while (next_field(&at, data + size, &field)) {
        keys_left = field.number == 4 ? field.value : keys_left;
    }
}

/* Asks how many keys are left, when it is not asking already. */
static void ask_count(struct connection *connection)
{
    static struct call call = {.on_message = read_count, .on_end = mark_ended};
    struct bytes message = {0};
    bytes_add_field(&message, 1, "key/", 4);
    bytes_add_field(&message, 2, "key0", 4);
    bytes_add_int(&message, 9, 1);
    ended = false;
    call_start(&call, connection, RANGE, &message, false);
    free(message.data);
}

/* Leases with a key each, all of which end within a second, WAIT seconds from
 * now; SECONDS more are watched. */
static void do_expire(char **args)
{
    uint64_t leases = strtoul(args[0], NULL, 10);
    double seconds = strtod(args[2], NULL);
    all_end = now() + strtod(args[1], NULL);
    grant(leases);
    struct pool pool = {.make = make_leased_put, .limit = leases};
    run_pool(&pool, CONNECTIONS, STREAMS);
    if (now() > all_end - 2) {
        die("the leases were not there in time: a longer WAIT is needed");
    }
    while (now() < all_end - 1) {
        run_once(10);
    }
    struct pace pace = start_pace(200);
    struct connection *connection = connection_open(port);
    double gone = -1;
    double asked = 0;
    keys_left = leases;
    ended = true;
    while (now() < all_end + seconds) {
        if (keys_left == 0 && gone < 0) {
            gone = now() - all_end;
        }
        if (ended && gone < 0 && now() - asked > 0.1) {
            asked = now();
            ask_count(connection);
        }
        put_at_pace(&pace);
        run_once(1);
    }
    printf("gone_after_s %.2f\nleft %lu\n", gone, (unsigned long)keys_left);
    finish_pace(&pace);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int args;
        void (*run)(char **args);
    } modes[] = {{"call", 2, do_call},     {"load", 4, do_load},
                 {"mixed", 6, do_mixed},   {"watch", 3, do_watch},
                 {"leases", 3, do_leases}, {"expire", 3, do_expire},
                 {"range", 1, do_range}};
    memset(value, 'x', sizeof(value));
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (argc == modes[i].args + 3 && strcmp(argv[1], modes[i].name) == 0) {
            port = (int)strtol(argv[2], NULL, 10);
            modes[i].run(argv + 3);
            return 0;
        }
    }
    fprintf(stderr, "grpc_load: see its first lines\n");
    return 2;
}
