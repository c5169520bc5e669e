/* /v2/stats: what this member did, as JSON. */
#include "api/api_int.h"
#include "base/time_text.h"
#include "doc/json_write.h"

const char *api__role_text(enum raft_role role)
{
    return raft_role_text(role);
}

void api__machine(struct api *api, struct api_machine *out)
{
    *out = (struct api_machine){0};
    if (api->shared->machine != NULL) {
        api->shared->machine(out);
    }
}

static void write_time(struct buf *out, int64_t time_ns)
{
    char text[TIME_TEXT_BYTES_MAX];
    buf_append_char(out, '"');
    buf_append(out, text, time_to_rfc3339(time_ns, text));
    buf_append_char(out, '"');
}

void api__stats_self(struct api *api, struct http_exchange *exchange,
                     struct slice rest)
{
    char text[TIME_TEXT_BYTES_MAX];
    struct node_progress progress;
    struct node_counters counters;
    struct api_machine machine;
    struct buf *out = api__body(api);
    (void)rest;
    node_progress(api->node, &progress);
    api__machine(api, &machine);
    int64_t uptime_ns =
        clock_wall_ns(api->shared->clock) - progress.leader_since_ns;
    buf_append_str(out, "{\"name\":");
    json_write_string(out, slice_str(api->shared->name));
    buf_append_str(out, ",\"id\":");
    json_write_string(out, api->member_id);
    buf_append_str(out, ",\"state\":");
    json_write_string(out, slice_str(api__role_text(progress.role)));
    buf_append_str(out, ",\"startTime\":");
    write_time(out, machine.start_ns);
    buf_append_str(out, ",\"leaderInfo\":{\"leader\":\"");
    buf_append_hex(out, progress.leader);
    buf_append_str(out, "\",\"uptime\":\"");
    buf_append(out, text, duration_to_text(uptime_ns, text));
    buf_append_str(out, "\",\"startTime\":");
    write_time(out, progress.leader_since_ns);
    node_counters(api->node, &counters);
    buf_printf(out,
               "},\"recvAppendRequestCnt\":%llu,"
               "\"sendAppendRequestCnt\":%llu}",
               (unsigned long long)counters.append_received,
               (unsigned long long)counters.append_sent);
    api__respond(api, exchange, 200, api__type_json);
}

/* ---- the leader's ---------------------------------------------------------*/

/* Newton's way from above: it falls until it is there. */
static double square_root(double of)
{
    double root = of > 1 ? of : 1;
    for (double next = (root + of / root) / 2; next < root;
         next = (root + of / root) / 2) {
        root = next;
    }
    return root;
}

static void write_follower(struct buf *out, const struct node_peer *peer)
{
    double count = peer->answered > 0 ? (double)peer->answered : 1;
    double average = peer->latency_sum_ms / count;
    double variance = peer->latency_squares_ms / count - average * average;
    buf_append_char(out, '"');
    buf_append_hex(out, peer->id);
    buf_printf(out,
               "\":{\"latency\":{\"current\":%.6f,\"average\":%.6f,"
               "\"standardDeviation\":%.6f,\"minimum\":%.6f,"
               "\"maximum\":%.6f},\"counts\":{\"fail\":%llu,"
               "\"success\":%llu}}",
               peer->latency_now_ms, average,
               variance > 0 ? square_root(variance) : 0.0, peer->latency_min_ms,
               peer->latency_max_ms, (unsigned long long)peer->failed,
               (unsigned long long)peer->answered);
}

void api__stats_leader(struct api *api, struct http_exchange *exchange,
                       struct slice rest)
{
    struct node_progress progress;
    struct node_peer peers[RAFT_MEMBERS_MAX];
    (void)rest;
    node_progress(api->node, &progress);
    if (progress.role != RAFT_LEADER) {
        api__respond_message(api, exchange, 403, "not current leader");
        return;
    }
    struct buf *out = api__body(api);
    buf_append_str(out, "{\"leader\":");
    json_write_string(out, api->member_id);
    buf_append_str(out, ",\"followers\":{");
    size_t count = node_peers(api->node, peers, RAFT_MEMBERS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            buf_append_char(out, ',');
        }
        write_follower(out, &peers[i]);
    }
    buf_append_str(out, "}}");
    api__respond(api, exchange, 200, api__type_json);
}

void api__stats_store(struct api *api, struct http_exchange *exchange,
                      struct slice rest)
{
    static const struct {
        const char *name;
        enum api_stat stat;
    } stats[] = {
        {"{\"getsSuccess\":", API_GETS_SUCCESS},
        {",\"getsFail\":", API_GETS_FAIL},
        {",\"setsSuccess\":", API_SETS_SUCCESS},
        {",\"setsFail\":", API_SETS_FAIL},
        {",\"deleteSuccess\":", API_DELETE_SUCCESS},
        {",\"deleteFail\":", API_DELETE_FAIL},
        {",\"updateSuccess\":", API_UPDATE_SUCCESS},
        {",\"updateFail\":", API_UPDATE_FAIL},
        {",\"createSuccess\":", API_CREATE_SUCCESS},
        {",\"createFail\":", API_CREATE_FAIL},
        {",\"compareAndSwapSuccess\":", API_COMPARE_AND_SWAP_SUCCESS},
        {",\"compareAndSwapFail\":", API_COMPARE_AND_SWAP_FAIL},
        {",\"compareAndDeleteSuccess\":", API_COMPARE_AND_DELETE_SUCCESS},
        {",\"compareAndDeleteFail\":", API_COMPARE_AND_DELETE_FAIL},
    };
    struct node_counters counters;
    struct buf *out = api__body(api);
    (void)rest;
    node_counters(api->node, &counters);
    for (size_t i = 0; i < sizeof(stats) / sizeof(stats[0]); i++) {
        buf_append_str(out, stats[i].name);
        buf_append_u64(out, api__stat(api, stats[i].stat));
    }
    buf_append_str(out, ",\"expireCount\":");
    buf_append_u64(out, counters.leases_expired);
    buf_append_str(out, ",\"watchers\":");
    buf_append_u64(out, api__stat(api, API_WATCHERS));
    buf_append_char(out, '}');
    api__respond(api, exchange, 200, api__type_json);
}
