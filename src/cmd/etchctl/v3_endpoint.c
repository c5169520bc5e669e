/* endpoint: health, status, hashkv: each endpoint is asked by itself. */
#include <pthread.h>
#include <stdio.h>

#include "base/check.h"
#include "base/time_text.h"
#include "cmd/etchctl/go_text.h"
#include "cmd/etchctl/v3_print.h"
#include "doc/json_write.h"
#include "host/clock_posix.h"

static const struct pflag_spec shared[] = {
    {"cluster", 0, PFLAG_BOOL, NULL,
     "ask all members, whose addresses --endpoints tell"},
    {0},
};

/* What one endpoint has said. */
struct report {
    const char *endpoint;
    const void *answer; /* NULL: it didn't */
    char *failure;      /* NULL: none */
    const char *took;
    bool is_healthy;
};

struct reports {
    struct v3 *v3;
    struct report *at;
    size_t count;
};

static const char *text_or(const char *text)
{
    return text ? text : "";
}

/* ---- printing ----------------------------------------------------------- */

/* What a kind of report looks like in each format. */
struct look {
    const char *const *heads;
    size_t columns;
    void (*cells)(struct arena *arena, const struct report *report,
                  const char **out);
    void (*fields)(const struct report *report, struct buf *out);
    void (*json)(const struct report *report, struct buf *out);
    void (*simple)(const struct report *report); /* NULL: the cells */
};

static struct v3_rows make_rows(const struct reports *reports,
                                const struct look *look, struct arena *arena)
{
    struct v3_rows rows = {.heads = look->heads, .columns = look->columns};

    rows.cells = arena_alloc(arena, (reports->count * look->columns + 1) *
                                        sizeof(*rows.cells));
    for (size_t i = 0; i < reports->count; i++)
        look->cells(arena, &reports->at[i],
                    &rows.cells[rows.count++ * look->columns]);
    return rows;
}

static void write_json(const struct reports *reports, const struct look *look,
                       struct buf *out)
{
    buf_append_char(out, '[');
    for (size_t i = 0; i < reports->count; i++) {
        if (i > 0)
            buf_append_char(out, ',');
        look->json(&reports->at[i], out);
    }
    buf_append_str(out, "]\n");
}

static int print(const struct reports *reports, const struct look *look)
{
    struct v3 *v3 = reports->v3;
    struct v3_rows rows = make_rows(reports, look, v3->arena);
    struct buf text = {0};

    switch (v3->format) {
    case V3_PROTOBUF:
        return v3_fail_format(v3);
    case V3_SIMPLE:
        for (size_t i = 0; look->simple && i < reports->count; i++)
            look->simple(&reports->at[i]);
        if (!look->simple)
            v3_rows_list(&rows, &text);
        break;
    case V3_TABLE:
        v3_rows_table(&rows, &text);
        break;
    case V3_JSON:
        write_json(reports, look, &text);
        break;
    case V3_FIELDS:
        for (size_t i = 0; i < reports->count; i++) {
            look->fields(&reports->at[i], &text);
            buf_append_char(&text, '\n');
        }
        break;
    }
    return v3_write(&text);
}

static void quoted_field(struct buf *out, const char *name, const char *text)
{
    buf_printf(out, "\"%s\" : ", name);
    go_quote(out, slice_str(text));
    buf_append_char(out, '\n');
}

/* ---- health ------------------------------------------------------------- */

static void health_cells(struct arena *arena, const struct report *report,
                         const char **out)
{
    (void)arena;
    out[0] = report->endpoint;
    out[1] = report->is_healthy ? "true" : "false";
    out[2] = text_or(report->took);
    out[3] = text_or(report->failure);
}

static void health_fields(const struct report *report, struct buf *out)
{
    quoted_field(out, "Endpoint", report->endpoint);
    v3_line(out, "\"Health\" : %s", report->is_healthy ? "true" : "false");
    v3_line(out, "\"Took\" : %s", text_or(report->took));
    v3_line(out, "\"Error\" : %s", text_or(report->failure));
}

static void health_json(const struct report *report, struct buf *out)
{
    buf_append_str(out, "{\"endpoint\":");
    json_write_string(out, slice_str(report->endpoint));
    buf_printf(
        out, ",\"health\":%s,\"took\":", report->is_healthy ? "true" : "false");
    json_write_string(out, slice_str(text_or(report->took)));
    if (report->failure) {
        buf_append_str(out, ",\"error\":");
        json_write_string(out, slice_str(report->failure));
    }
    buf_append_char(out, '}');
}

static void health_simple(const struct report *report)
{
    if (report->failure)
        fprintf(stderr, "%s is unhealthy: failed to commit proposal: %s\n",
                report->endpoint, report->failure);
    else
        fprintf(stderr,
                "%s is healthy: successfully committed proposal: took = %s\n",
                report->endpoint, report->took);
}

static const char *const health_heads[] = {"endpoint", "health", "took",
                                           "error"};
static const struct look health_look = {
    health_heads, 4, health_cells, health_fields, health_json, health_simple};

/* One endpoint's, on a thread of its own: each has as much time as all. */
struct health_check {
    struct v3 v3;
    struct arena arena;
    struct report *report;
    pthread_t thread;
};

/* Any key will do: to read it, the endpoint needs a majority. That it mayn't
 * be read is as good. */
static void *check_health(void *context)
{
    struct health_check *check = context;
    struct v3 *v3 = &check->v3;
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    struct v3_call call = {
        .method = "KV/Range",
        .request = &request.base,
        .answer = &etcdserverpb__range_response__descriptor,
        .deadline_ms = v3_deadline(v3),
        .is_repeatable = true,
    };
    int64_t start_ns = clock_monotonic_ns(clock_posix());
    char took[TIME_TEXT_BYTES_MAX];
    size_t size;

    request.key = message_data(SLICE("health"));
    v3->failure = NULL;
    check->report->is_healthy =
        v3_call(v3, &call) ||
        strcmp(v3->failure, v3_error_text(V3_PERMISSION_DENIED)) == 0;
    size = duration_to_text(clock_monotonic_ns(clock_posix()) - start_ns, took);
    check->report->took = arena_printf(&check->arena, "%.*s", (int)size, took);
    if (!check->report->is_healthy)
        check->report->failure = v3->failure;
    return NULL;
}

static int start_check(struct health_check *check, const struct v3 *v3,
                       struct report *report)
{
    int code;

    arena_init(&check->arena, 0);
    check->v3 = *v3;
    check->v3.arena = &check->arena;
    check->v3.client = NULL;
    check->report = report;
    code = v3_connect_to(&check->v3, report->endpoint, &check->v3.client);
    if (code != V3_DONE)
        return code;
    CHECK(pthread_create(&check->thread, NULL, check_health, check) == 0);
    return V3_DONE;
}

static int finish_health(const struct reports *reports)
{
    int code = print(reports, &health_look);

    for (size_t i = 0; i < reports->count && code == V3_DONE; i++)
        if (reports->at[i].failure)
            code = v3_fail(reports->v3, V3_ERROR, "unhealthy cluster");
    return code;
}

static int check_all(struct reports *reports)
{
    struct health_check *checks =
        arena_alloc(reports->v3->arena, (reports->count + 1) * sizeof(*checks));
    size_t started = 0;
    int code = V3_DONE;

    while (started < reports->count && code == V3_DONE) {
        code =
            start_check(&checks[started], reports->v3, &reports->at[started]);
        if (code == V3_DONE)
            started++;
        else
            arena_deinit(&checks[started].arena);
    }
    for (size_t i = 0; i < started; i++)
        pthread_join(checks[i].thread, NULL);
    if (code == V3_DONE)
        code = finish_health(reports);
    for (size_t i = 0; i < started; i++) {
        rpc_client_close(checks[i].v3.client);
        arena_deinit(&checks[i].arena);
    }
    return code;
}

/* ---- whom to ask -------------------------------------------------------- */

static int open_reports(struct v3 *v3, struct reports *out)
{
    struct words endpoints;
    int code = v3_connect(v3);

    *out = (struct reports){.v3 = v3};
    if (code == V3_DONE)
        code = v3_endpoints(v3, &endpoints);
    if (code != V3_DONE)
        return code;
    out->at = arena_alloc(v3->arena, (endpoints.count + 1) * sizeof(*out->at));
    out->count = endpoints.count;
    for (size_t i = 0; i < endpoints.count; i++)
        out->at[i] = (struct report){.endpoint = endpoints.at[i]};
    return V3_DONE;
}

static int run_health(struct v3 *v3)
{
    struct reports reports;
    int code = open_reports(v3, &reports);

    return code == V3_DONE ? check_all(&reports) : code;
}

/* Asks them one after the other; those that fail are said, and left out.
 * Returns V3_ERROR where one did. */
static int ask_all(struct reports *reports, struct v3_call *call,
                   const char *what)
{
    struct v3 *v3 = reports->v3;
    size_t good = 0;
    int result = V3_DONE;

    for (size_t i = 0; i < reports->count; i++) {
        struct rpc_client *client = NULL;
        const char *endpoint = reports->at[i].endpoint;
        int code = v3_connect_to(v3, endpoint, &client);
        if (code != V3_DONE)
            return code;
        call->deadline_ms = v3_deadline(v3);
        reports->at[good] = (struct report){
            .endpoint = endpoint, .answer = v3_call_on(v3, client, call)};
        rpc_client_close(client);
        if (reports->at[good].answer) {
            good++;
            continue;
        }
        result = V3_ERROR;
        fprintf(stderr, "Failed to get the %s of endpoint %s (%s)\n", what,
                endpoint, v3->failure);
    }
    reports->count = good;
    return result;
}

/* ---- status ------------------------------------------------------------- */

static void status_cells(struct arena *arena, const struct report *report,
                         const char **out)
{
    const Etcdserverpb__StatusResponse *answer = report->answer;
    uint64_t id = answer->header ? answer->header->member_id : 0;
    struct buf size = {0};

    go_size(&size, (uint64_t)answer->dbsize);
    out[0] = report->endpoint;
    out[1] = arena_printf(arena, "%llx", (unsigned long long)id);
    out[2] = answer->version;
    out[3] = arena_printf(arena, "%.*s", (int)size.size, size.at);
    out[4] = answer->leader == id ? "true" : "false";
    out[5] = answer->islearner ? "true" : "false";
    out[6] = arena_printf(arena, "%llu", (unsigned long long)answer->raftterm);
    out[7] = arena_printf(arena, "%llu", (unsigned long long)answer->raftindex);
    out[8] = arena_printf(arena, "%llu",
                          (unsigned long long)answer->raftappliedindex);
    out[9] = v3_join(arena, answer->errors, answer->n_errors, ", ");
    buf_deinit(&size);
}

static void status_fields(const struct report *report, struct buf *out)
{
    const Etcdserverpb__StatusResponse *answer = report->answer;

    v3_fields_header(answer->header, out);
    quoted_field(out, "Version", answer->version);
    v3_line(out, "\"DBSize\" : %lld", (long long)answer->dbsize);
    v3_line(out, "\"Leader\" : %llu", (unsigned long long)answer->leader);
    v3_line(out, "\"IsLearner\" : %s", answer->islearner ? "true" : "false");
    v3_line(out, "\"RaftIndex\" : %llu", (unsigned long long)answer->raftindex);
    v3_line(out, "\"RaftTerm\" : %llu", (unsigned long long)answer->raftterm);
    v3_line(out, "\"RaftAppliedIndex\" : %llu",
            (unsigned long long)answer->raftappliedindex);
    buf_append_str(out, "\"Errors\" : [");
    for (size_t i = 0; i < answer->n_errors; i++)
        buf_printf(out, "%s%s", i > 0 ? " " : "", answer->errors[i]);
    buf_append_str(out, "]\n");
    quoted_field(out, "Endpoint", report->endpoint);
}

static void answer_json(const struct report *report, const char *name,
                        struct buf *out)
{
    buf_append_str(out, "{\"Endpoint\":");
    json_write_string(out, slice_str(report->endpoint));
    buf_printf(out, ",\"%s\":", name);
    v3_json_message(report->answer, out);
    buf_append_char(out, '}');
}

static void status_json(const struct report *report, struct buf *out)
{
    answer_json(report, "Status", out);
}

static const char *const status_heads[] = {
    "endpoint",           "ID",         "version",   "db size",
    "is leader",          "is learner", "raft term", "raft index",
    "raft applied index", "errors"};
static const struct look status_look = {
    status_heads, 10, status_cells, status_fields, status_json, NULL};

static int run_status(struct v3 *v3)
{
    Etcdserverpb__StatusRequest request = ETCDSERVERPB__STATUS_REQUEST__INIT;
    struct v3_call call = {
        .method = "Maintenance/Status",
        .request = &request.base,
        .answer = &etcdserverpb__status_response__descriptor,
        .is_repeatable = true,
    };
    struct reports reports;
    int asked;
    int code = open_reports(v3, &reports);

    if (code != V3_DONE)
        return code;
    asked = ask_all(&reports, &call, "status");
    if (asked > V3_ERROR)
        return asked;
    code = print(&reports, &status_look);
    return code == V3_DONE ? asked : code;
}

/* ---- hashkv ------------------------------------------------------------- */

static const struct pflag_spec hash_flags[] = {
    {"rev", 0, PFLAG_INT, NULL, "up to this revision (0: all)"},
    {0},
};

static void hash_cells(struct arena *arena, const struct report *report,
                       const char **out)
{
    const Etcdserverpb__HashKVResponse *answer = report->answer;

    out[0] = report->endpoint;
    out[1] = arena_printf(arena, "%u", answer->hash);
}

static void hash_fields(const struct report *report, struct buf *out)
{
    const Etcdserverpb__HashKVResponse *answer = report->answer;

    v3_fields_header(answer->header, out);
    quoted_field(out, "Endpoint", report->endpoint);
    v3_line(out, "\"Hash\" : %u", answer->hash);
}

static void hash_json(const struct report *report, struct buf *out)
{
    answer_json(report, "HashKV", out);
}

static const char *const hash_heads[] = {"endpoint", "hash"};
static const struct look hash_look = {hash_heads,  2,         hash_cells,
                                      hash_fields, hash_json, NULL};

static int run_hash(struct v3 *v3)
{
    Etcdserverpb__HashKVRequest request = ETCDSERVERPB__HASH_KVREQUEST__INIT;
    struct v3_call call = {
        .method = "Maintenance/HashKV",
        .request = &request.base,
        .answer = &etcdserverpb__hash_kvresponse__descriptor,
        .is_repeatable = true,
    };
    struct reports reports;
    int asked;
    int code = open_reports(v3, &reports);

    if (code != V3_DONE)
        return code;
    request.revision = pflags_number(&v3->flags, "rev");
    asked = ask_all(&reports, &call, "hash");
    if (asked > V3_ERROR)
        return asked;
    code = print(&reports, &hash_look);
    if (code == V3_DONE && asked != V3_DONE)
        return v3_fail(v3, V3_ERROR, "%s", v3->failure);
    return code;
}

/* ---- the commands ------------------------------------------------------- */

static const struct v3_command health = {
    .name = "health",
    .arguments = "[flags]",
    .summary = "can each endpoint read with a majority?",
    .run = run_health,
};

static const struct v3_command status = {
    .name = "status",
    .arguments = "[flags]",
    .summary = "where each endpoint stands",
    .about = "In the format simple: endpoint, ID, version, size, whether it\n"
             "leads, whether it is a learner, Raft's term, index and applied\n"
             "index, errors.\n",
    .run = run_status,
};

static const struct v3_command hashkv = {
    .name = "hashkv",
    .arguments = "[flags]",
    .summary = "a hash of each endpoint's keys and their history",
    .flags = hash_flags,
    .run = run_hash,
};

static const struct v3_command *const subcommands[] = {
    &hashkv,
    &health,
    &status,
    NULL,
};

const struct v3_command v3_command_endpoint = {
    .name = "endpoint",
    .arguments = "<command>",
    .summary = "the endpoints, each by itself",
    .shared = shared,
    .subcommands = subcommands,
};
