/* /debug/vars, and the level of the log. */
#include "api/api_int.h"
#include "base/version.h"
#include "doc/doc.h"
#include "doc/json_write.h"

/* Command lines hold no secrets: passwords come from files or from the
 * environment. */
static void write_command_line(struct api *api, struct buf *out)
{
    buf_append_str(out, "\"cmdline\": [");
    for (int i = 0; i < api->shared->argc; i++) {
        if (i > 0) {
            buf_append_char(out, ',');
        }
        json_write_string(out, slice_str(api->shared->argv[i]));
    }
    buf_append_str(out, "],\n");
}

static void write_raft_status(struct api *api, struct buf *out)
{
    struct node_progress progress;
    node_progress(api->node, &progress);
    buf_append_str(out, "\"raft.status\": {\"id\":");
    json_write_string(out, api->member_id);
    buf_printf(out, ",\"term\":%llu,\"commit\":%llu,\"lead\":\"",
               (unsigned long long)progress.term,
               (unsigned long long)progress.committed);
    buf_append_hex(out, progress.leader);
    buf_append_str(out, "\",\"raftState\":");
    json_write_string(out, slice_str(api__role_text(progress.role)));
    buf_printf(out, ",\"applied\":%llu}\n",
               (unsigned long long)progress.applied);
}

void api__debug_vars(struct api *api, struct http_exchange *exchange,
                     struct slice rest)
{
    struct api_machine machine;
    struct buf *out = api__body(api);
    (void)rest;
    api__machine(api, &machine);
    buf_append_str(out, "{\n");
    write_command_line(api, out);
    buf_printf(out, "\"etched\": {\"version\":\"%s\",\"cpu_seconds\":%.9g},\n",
               ETCHED_VERSION, machine.cpu_seconds);
    buf_printf(out, "\"file_descriptor_limit\": %llu,\n",
               (unsigned long long)machine.fd_limit);
    /* Sys, as Go's expvar calls what was got from the system. */
    buf_printf(out, "\"memstats\": {\"Sys\":%llu,\"Resident\":%llu},\n",
               (unsigned long long)machine.virtual_bytes,
               (unsigned long long)machine.resident_bytes);
    write_raft_status(api, out);
    buf_append_str(out, "}\n");
    api__respond(api, exchange, 200, SLICE("application/json; charset=utf-8"));
}

/* ---- /config/local/log -------------------------------------------------- */

static bool to_level(struct slice text, enum log_level *out)
{
    /* etcd 2's names that we don't have ourselves. */
    static const struct {
        const char *name;
        enum log_level level;
    } others[] = {
        {"critical", LOG_ERROR},
        {"warning", LOG_WARN},
        {"notice", LOG_INFO},
        {"trace", LOG_DEBUG},
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (slice_eq_nocase(text, slice_str(others[i].name))) {
            *out = others[i].level;
            return true;
        }
    }
    return log_level_from_text(text, out);
}

/* The member "Level", as Go finds it: the case of its letters aside. */
static bool find_level(const struct doc_value *body, struct slice *out)
{
    *out = SLICE("");
    if (body->kind != DOC_MAP) {
        return false;
    }
    for (size_t i = 0; i < body->count; i++) {
        const struct doc_member *member = &body->members[i];
        if (slice_eq_nocase(member->name, SLICE("level"))) {
            if (member->value->kind != DOC_STRING) {
                return false;
            }
            *out = member->value->text;
        }
    }
    return true;
}

void api__log_level(struct api *api, struct http_exchange *exchange,
                    struct slice rest)
{
    struct arena *arena = exchange->arena;
    struct doc_value *body;
    struct slice text;
    enum log_level level;
    (void)rest;
    if (doc_parse_json(arena, exchange->request.body, &doc_limits_default,
                       &body) != ERR_OK ||
        !find_level(body, &text)) {
        api__respond_message(api, exchange, 400, "Invalid json body");
        return;
    }
    if (!to_level(text, &level)) {
        api__respond_message(api, exchange, 400,
                             arena_printf(arena, "Invalid log level %.*s",
                                          (int)text.size, text.at));
        return;
    }
    log_set_level(level);
    log_info("api", "the log's level was set by a client",
             LOG_STR("level", log_level_name(level)),
             LOG_SLICE("peer", exchange->request.peer));
    api__body(api);
    api__respond(api, exchange, 204, slice_of(NULL, 0));
}
