/* check: perf writes at a given rate and says how it went; datascale writes a
 * given number of keys and says what memory the server took for them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/prng.h"
#include "cmd/etchctl/v3_keys.h"
#include "cmd/etchctl/v3_print.h"
#include "cmd/etchctl/v3_security.h"
#include "host/clock_posix.h"
#include "host/http_client.h"

enum {
    PERF_SECONDS = 60,
    PERF_KEY_BYTES = 256,
    PERF_VALUE_BYTES = 1024,
    SCALE_KEY_BYTES = 512,
    SCALE_VALUE_BYTES = 512,
    CLEAN_MS = 30 * 1000,
    FAILURES_MAX = 8, /* kinds of them that are shown */
};

struct load {
    const char *name, *long_name;
    int64_t rate;       /* of perf, writes a second */
    int64_t keys;       /* of datascale */
    size_t outstanding; /* writes at once */
};

static const struct load loads[] = {
    {"s", "small", 150, 10000, 50},
    {"m", "medium", 1000, 100000, 200},
    {"l", "large", 8000, 1000000, 500},
    {"xl", "xLarge", 15000, 3000000, 1000},
};

static int find_load(struct v3 *v3, const struct load **out)
{
    const char *text = pflags_text(&v3->flags, "load");

    for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
        if (strcmp(text, loads[i].name) == 0 ||
            strcmp(text, loads[i].long_name) == 0) {
            *out = &loads[i];
            return V3_DONE;
        }
    }
    return v3_fail(v3, V3_BAD_FEATURE, "unknown load option %s", text);
}

/* ---- writes, many at once ----------------------------------------------- */

struct failure_count {
    char *text;
    uint64_t count;
};

struct run {
    struct v3 *v3;
    const struct load *load;
    const char *prefix;
    size_t key_bytes, value_bytes;
    struct prng prng;
    size_t outstanding;
    uint64_t begun, done, failed;
    double seconds_sum, squares_sum, slowest;
    struct failure_count failures[FAILURES_MAX];
    size_t failure_count;
};

struct one_write {
    struct run *run;
    int64_t start_ns;
};

static void count_failure(struct run *run, char *text)
{
    size_t i = 0;

    run->failed++;
    while (i < run->failure_count && strcmp(run->failures[i].text, text) != 0)
        i++;
    if (i == FAILURES_MAX)
        return;
    if (i == run->failure_count)
        run->failures[run->failure_count++] = (struct failure_count){text, 0};
    run->failures[i].count++;
}

static void on_end(void *context, int code, struct slice text)
{
    struct one_write *one = context;
    struct run *run = one->run;
    double seconds =
        (double)(clock_monotonic_ns(clock_posix()) - one->start_ns) / 1e9;

    run->outstanding--;
    mem_free(one);
    rpc_client_wake(run->v3->client);
    if (code != GRPC_OK) {
        count_failure(run, v3_failure(run->v3->arena, code, text));
        return;
    }
    run->done++;
    run->seconds_sum += seconds;
    run->squares_sum += seconds * seconds;
    if (seconds > run->slowest)
        run->slowest = seconds;
}

/* A key of its own: random, and zeros behind that. */
static void fill_key(struct run *run, struct buf *key)
{
    size_t size;

    buf_append_str(key, run->prefix);
    size = key->size;
    memset(buf_extend(key, run->key_bytes), 0, run->key_bytes);
    put_varint(key->at + size, prng_next(&run->prng));
}

static void write_one(struct run *run)
{
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct one_write *one = mem_alloc(sizeof(*one));
    struct rpc_stream_config config = {
        .path = SLICE("/etcdserverpb.KV/Put"),
        .on_end = on_end,
        .context = one,
    };
    char value[PERF_VALUE_BYTES] = {0};
    struct buf key = {0};
    struct buf body = {0};

    *one = (struct one_write){run, clock_monotonic_ns(clock_posix())};
    fill_key(run, &key);
    put.key = message_data(buf_slice(&key));
    put.value = message_data(slice_of(value, run->value_bytes));
    message_encode(&put.base, &body);
    rpc_stream_send(rpc_stream_open(run->v3->client, &config), buf_slice(&body),
                    true);
    buf_deinit(&key);
    buf_deinit(&body);
    run->outstanding++;
    run->begun++;
}

/* ---- before and after --------------------------------------------------- */

static int check_empty(struct run *run)
{
    struct v3 *v3 = run->v3;
    struct v3_range range = v3_prefix_range(v3->arena, run->prefix);
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    const Etcdserverpb__RangeResponse *answer;
    struct v3_call call = {
        .method = "KV/Range",
        .request = &request.base,
        .answer = &etcdserverpb__range_response__descriptor,
        .deadline_ms = rpc_client_now_ms() + PERF_SECONDS * 1000,
        .is_repeatable = true,
    };

    request.key = range.key;
    request.range_end = range.end;
    request.limit = 1;
    answer = v3_call(v3, &call);
    if (!answer)
        return v3_fail(v3, V3_ERROR, "%s", v3->failure);
    if (answer->n_kvs > 0)
        return v3_fail(v3, V3_INVALID_INPUT,
                       "prefix \"%s\" has keys. Delete with etcdctl del "
                       "--prefix %s first",
                       run->prefix, run->prefix);
    return V3_DONE;
}

static int compact(struct v3 *v3, int64_t revision)
{
    Etcdserverpb__CompactionRequest request =
        ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    struct v3_call call = {
        .method = "KV/Compact",
        .request = &request.base,
        .answer = &etcdserverpb__compaction_response__descriptor,
        .deadline_ms = rpc_client_now_ms() + CLEAN_MS,
    };

    request.revision = revision;
    request.physical = true;
    printf("Compacting with revision %lld\n", (long long)revision);
    if (!v3_call(v3, &call))
        return v3_fail(v3, V3_ERROR, "%s", v3->failure);
    printf("Compacted with revision %lld\n", (long long)revision);
    return V3_DONE;
}

static int defragment(struct v3 *v3)
{
    Etcdserverpb__DefragmentRequest request =
        ETCDSERVERPB__DEFRAGMENT_REQUEST__INIT;
    struct v3_call call = {
        .method = "Maintenance/Defragment",
        .request = &request.base,
        .answer = &etcdserverpb__defragment_response__descriptor,
    };
    struct words endpoints;
    int code = v3_endpoints(v3, &endpoints);

    for (size_t i = 0; i < endpoints.count && code == V3_DONE; i++) {
        struct rpc_client *client = NULL;
        printf("Defragmenting \"%s\"\n", endpoints.at[i]);
        code = v3_connect_to(v3, endpoints.at[i], &client);
        call.deadline_ms = rpc_client_now_ms() + CLEAN_MS;
        if (code == V3_DONE && !v3_call_on(v3, client, &call))
            code = v3_fail(v3, V3_ERROR, "%s", v3->failure);
        rpc_client_close(client);
        if (code == V3_DONE)
            printf("Defragmented \"%s\"\n", endpoints.at[i]);
    }
    return code;
}

static int clean_up(struct run *run)
{
    struct v3 *v3 = run->v3;
    struct v3_range range = v3_prefix_range(v3->arena, run->prefix);
    Etcdserverpb__DeleteRangeRequest request =
        ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    const Etcdserverpb__DeleteRangeResponse *answer;
    struct v3_call call = {
        .method = "KV/DeleteRange",
        .request = &request.base,
        .answer = &etcdserverpb__delete_range_response__descriptor,
        .deadline_ms = rpc_client_now_ms() + CLEAN_MS,
    };
    int code = V3_DONE;

    request.key = range.key;
    request.range_end = range.end;
    answer = v3_call(v3, &call);
    if (!answer)
        return v3_fail(v3, V3_ERROR, "%s", v3->failure);
    if (pflags_bool(&v3->flags, "auto-compact"))
        code = compact(v3, answer->header ? answer->header->revision : 0);
    if (code == V3_DONE && pflags_bool(&v3->flags, "auto-defrag"))
        code = defragment(v3);
    return code;
}

static int open_run(struct run *run)
{
    struct v3 *v3 = run->v3;
    int code = find_load(v3, &run->load);

    if (code == V3_DONE)
        code = v3_connect(v3);
    if (code != V3_DONE)
        return code;
    run->prefix = pflags_text(&v3->flags, "prefix");
    prng_init(&run->prng, (uint64_t)clock_wall_ns(clock_posix()));
    return check_empty(run);
}

static void say_failures(const struct run *run)
{
    for (size_t i = 0; i < run->failure_count; i++)
        printf("FAIL: ERROR(%s) -> %llu\n", run->failures[i].text,
               (unsigned long long)run->failures[i].count);
}

/* ---- perf --------------------------------------------------------------- */

/* At an even rate, as far as not too many are under way. */
static double write_at_rate(struct run *run)
{
    int64_t start_ns = clock_monotonic_ns(clock_posix());
    int64_t end_ms = rpc_client_now_ms() + PERF_SECONDS * 1000;
    int64_t start_ms = rpc_client_now_ms();

    while (rpc_client_now_ms() < end_ms || run->outstanding > 0) {
        int64_t now_ms = rpc_client_now_ms();
        int64_t due = (now_ms - start_ms) * run->load->rate / 1000;
        while (now_ms < end_ms && (int64_t)run->begun < due &&
               run->outstanding < run->load->outstanding)
            write_one(run);
        rpc_client_run(run->v3->client, now_ms + 1, -1);
    }
    return (double)(clock_monotonic_ns(clock_posix()) - start_ns) / 1e9;
}

/* By Newton; as exact as what is printed. */
static double square_root(double number)
{
    double root = number > 1 ? number : 1;

    for (int i = 0; i < 64; i++)
        root = (root + number / root) / 2;
    return root;
}

static int say_perf(const struct run *run, double seconds)
{
    double count = run->done > 0 ? (double)run->done : 1;
    double rate = (double)run->done / seconds;
    double mean = run->seconds_sum / count;
    double variance = run->squares_sum / count - mean * mean;
    double spread = variance > 0 ? square_root(variance) : 0;
    bool good = run->failed == 0;

    if (!good)
        puts("FAIL: too many errors");
    say_failures(run);
    if (rate / (double)run->load->rate <= 0.9) {
        printf("FAIL: Throughput too low: %d writes/s\n", (int)rate + 1);
        good = false;
    } else {
        printf("PASS: Throughput is %d writes/s\n", (int)rate + 1);
    }
    printf(run->slowest > 0.5 ? "Slowest request took too long: %fs\n"
                              : "PASS: Slowest request took %fs\n",
           run->slowest);
    printf(spread > 0.1 ? "Stddev too high: %fs\n" : "PASS: Stddev is %fs\n",
           spread);
    good = good && run->slowest <= 0.5 && spread <= 0.1;
    puts(good ? "PASS" : "FAIL");
    return good ? V3_DONE : V3_ERROR;
}

static int run_perf(struct v3 *v3)
{
    struct run run = {
        .v3 = v3,
        .key_bytes = PERF_KEY_BYTES,
        .value_bytes = PERF_VALUE_BYTES,
    };
    double seconds;
    int code = open_run(&run);

    if (code != V3_DONE)
        return code;
    seconds = write_at_rate(&run);
    code = clean_up(&run);
    return code == V3_DONE ? say_perf(&run, seconds) : code;
}

/* ---- datascale ---------------------------------------------------------- */

/* What the server says of its memory; 0: it doesn't (said why). */
static double read_memory(struct v3 *v3, const char *endpoint)
{
    static const char name[] = "\nprocess_resident_memory_bytes ";
    struct rpc_client_tls tls = v3_security(v3, "");
    struct http_client_options options = {
        .ca_file = tls.ca_file,
        .cert_file = tls.cert_file,
        .key_file = tls.key_file,
        .skip_verify = tls.skip_verify,
        .stop_fd = -1,
    };
    struct http_client_response response = {0};
    struct http_client *client = NULL;
    double bytes = 0;
    char *url = arena_printf(v3->arena, "%s%s/metrics",
                             strstr(endpoint, "://") ? ""
                             : tls.is_default        ? "https://"
                                                     : "http://",
                             endpoint);
    struct http_client_request request = {.method = "GET", .url = url};

    if (http_client_open(&options, &client) != ERR_OK ||
        http_client_do(client, &request, &response) != ERR_OK) {
        printf("fetch error: %s\n", err_note());
    } else {
        const char *at;
        buf_append_char(&response.body, '\0');
        at = strstr(response.body.at, name);
        if (at)
            bytes = strtod(at + sizeof(name) - 1, NULL);
        else
            puts("could not find: process_resident_memory_bytes");
    }
    http_client_response_deinit(&response);
    http_client_close(client);
    return bytes;
}

static void write_all(struct run *run)
{
    while ((int64_t)run->begun < run->load->keys || run->outstanding > 0) {
        while ((int64_t)run->begun < run->load->keys &&
               run->outstanding < run->load->outstanding)
            write_one(run);
        rpc_client_run(run->v3->client, INT64_MAX, -1);
    }
}

static int fail_memory(const char *when)
{
    printf("FAIL: Could not read process_resident_memory_bytes %s the put "
           "operations.\n",
           when);
    return V3_ERROR;
}

static int scale(struct run *run, const char *endpoint)
{
    struct v3 *v3 = run->v3;
    double before = read_memory(v3, endpoint);
    double after;
    int code;

    if (before <= 0)
        return fail_memory("before");
    printf("Start data scale check for work load [%lld key-value pairs, %d "
           "bytes per key-value, %zu concurrent clients].\n",
           (long long)run->load->keys, SCALE_KEY_BYTES + SCALE_VALUE_BYTES,
           run->load->outstanding);
    fflush(stdout);
    write_all(run);
    after = read_memory(v3, endpoint);
    if (after <= 0)
        return fail_memory("after");
    code = clean_up(run);
    if (code != V3_DONE)
        return code;
    if (run->failed > 0) {
        puts("FAIL: too many errors");
        say_failures(run);
        return V3_ERROR;
    }
    printf("PASS: Approximate system memory used : %.2f MB.\n",
           (after - before) / (1024 * 1024));
    return V3_DONE;
}

static int run_scale(struct v3 *v3)
{
    struct run run = {
        .v3 = v3,
        .key_bytes = SCALE_KEY_BYTES,
        .value_bytes = SCALE_VALUE_BYTES,
    };
    struct words endpoints;
    int code = open_run(&run);

    if (code == V3_DONE)
        code = v3_endpoints(v3, &endpoints);
    return code == V3_DONE ? scale(&run, endpoints.at[0]) : code;
}

/* ---- the commands ------------------------------------------------------- */

static const struct pflag_spec perf_flags[] = {
    {"load", 0, PFLAG_STRING, "s",
     "s, m, l or xl: 150, 1000, 8000 or 15000 writes a second"},
    {"prefix", 0, PFLAG_STRING, "/etcdctl-check-perf/",
     "of the keys that are written, and removed afterwards"},
    {"auto-compact", 0, PFLAG_BOOL, NULL, "compact afterwards"},
    {"auto-defrag", 0, PFLAG_BOOL, NULL, "defragment afterwards"},
    {0},
};

static const struct pflag_spec scale_flags[] = {
    {"load", 0, PFLAG_STRING, "s",
     "s, m, l or xl: 10,000, 100,000, 1,000,000 or 3,000,000 keys"},
    {"prefix", 0, PFLAG_STRING, "/etcdctl-check-datascale/",
     "of the keys that are written, and removed afterwards"},
    {"auto-compact", 0, PFLAG_BOOL, NULL, "compact afterwards"},
    {"auto-defrag", 0, PFLAG_BOOL, NULL, "defragment afterwards"},
    {0},
};

static const struct v3_command perf = {
    .name = "perf",
    .arguments = "[flags]",
    .summary = "can the cluster take a given load? (takes a minute)",
    .flags = perf_flags,
    .run = run_perf,
};

static const struct v3_command datascale = {
    .name = "datascale",
    .arguments = "[flags]",
    .summary = "what memory do a given number of keys take?",
    .flags = scale_flags,
    .run = run_scale,
};

static const struct v3_command *const subcommands[] = {&datascale, &perf, NULL};

const struct v3_command v3_command_check = {
    .name = "check",
    .arguments = "<command>",
    .summary = "what the cluster can do",
    .subcommands = subcommands,
};
