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
    /* Among one member nothing is sent. */
    buf_append_str(out, "},\"recvAppendRequestCnt\":0,"
                        "\"sendAppendRequestCnt\":0}");
    api__respond(api, exchange, 200, api__type_json);
}

void api__stats_leader(struct api *api, struct http_exchange *exchange,
                       struct slice rest)
{
    struct node_progress progress;
    (void)rest;
    node_progress(api->node, &progress);
    if (progress.role != RAFT_LEADER) {
        api__respond_message(api, exchange, 403, "not current leader");
        return;
    }
    struct buf *out = api__body(api);
    buf_append_str(out, "{\"leader\":");
    json_write_string(out, api->member_id);
    buf_append_str(out, ",\"followers\":{}}");
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
