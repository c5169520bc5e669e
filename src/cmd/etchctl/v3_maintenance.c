/* compaction, defrag, alarm, move-leader: the upkeep of a cluster. */
#include <stdio.h>

#include "cmd/etchctl/go_text.h"
#include "cmd/etchctl/v3_print.h"

/* ---- compaction --------------------------------------------------------- */

static const struct pflag_spec compaction_flags[] = {
    {"physical", 0, PFLAG_BOOL, NULL,
     "wait until the old revisions are gone from the store"},
    {0},
};

static int run_compaction(struct v3 *v3)
{
    Etcdserverpb__CompactionRequest request =
        ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    struct v3_call call = {
        .method = "KV/Compact",
        .request = &request.base,
        .answer = &etcdserverpb__compaction_response__descriptor,
    };
    struct buf text = {0};
    int code;

    if (v3->words.count != 1)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "compaction command needs 1 argument");
    if (go_parse_int(v3_word(v3, 0), 10, &request.revision) != ERR_OK)
        return v3_fail(v3, V3_ERROR, "%s", err_note());
    request.physical = pflags_bool(&v3->flags, "physical");
    code = v3_connect(v3);
    if (code != V3_DONE)
        return code;
    call.deadline_ms = v3_deadline(v3);
    if (!v3_call(v3, &call))
        return v3_fail(v3, V3_ERROR, "%s", v3->failure);
    v3_line(&text, "compacted revision %lld", (long long)request.revision);
    return v3_write(&text);
}

const struct v3_command v3_command_compaction = {
    .name = "compaction",
    .arguments = "[flags] <revision>",
    .summary = "forgets what was before a revision",
    .flags = compaction_flags,
    .run = run_compaction,
};

/* ---- defrag ------------------------------------------------------------- */

static const struct pflag_spec defrag_flags[] = {
    {"cluster", 0, PFLAG_BOOL, NULL,
     "all members, whose addresses --endpoints tell"},
    {0},
};

static int defragment(struct v3 *v3, const char *endpoint)
{
    Etcdserverpb__DefragmentRequest request =
        ETCDSERVERPB__DEFRAGMENT_REQUEST__INIT;
    struct v3_call call = {
        .method = "Maintenance/Defragment",
        .request = &request.base,
        .answer = &etcdserverpb__defragment_response__descriptor,
        .deadline_ms = v3_deadline(v3),
    };
    struct rpc_client *client = NULL;
    struct buf text = {0};
    bool is_done;
    int code = v3_connect_to(v3, endpoint, &client);

    if (code != V3_DONE)
        return code;
    is_done = v3_call_on(v3, client, &call) != NULL;
    rpc_client_close(client);
    if (!is_done) {
        fprintf(stderr, "Failed to defragment etcd member[%s] (%s)\n", endpoint,
                v3->failure);
        return V3_ERROR;
    }
    v3_line(&text, "Finished defragmenting etcd member[%s]", endpoint);
    return v3_write(&text);
}

static int run_defrag(struct v3 *v3)
{
    struct words endpoints;
    int result = V3_DONE;
    int code = v3_connect(v3);

    if (code == V3_DONE)
        code = v3_endpoints(v3, &endpoints);
    if (code != V3_DONE)
        return code;
    for (size_t i = 0; i < endpoints.count; i++) {
        code = defragment(v3, endpoints.at[i]);
        result = code == V3_DONE ? result : code;
    }
    return result;
}

const struct v3_command v3_command_defrag = {
    .name = "defrag",
    .arguments = "[flags]",
    .summary = "gives free space of the endpoints' stores back",
    .flags = defrag_flags,
    .run = run_defrag,
};

/* ---- alarm -------------------------------------------------------------- */

static const Etcdserverpb__AlarmResponse *
call_alarm(struct v3 *v3, const Etcdserverpb__AlarmRequest *request,
           int64_t deadline_ms)
{
    struct v3_call call = {
        .method = "Maintenance/Alarm",
        .request = &request->base,
        .answer = &etcdserverpb__alarm_response__descriptor,
        .deadline_ms = deadline_ms,
        .is_repeatable = true,
    };

    return v3_call(v3, &call);
}

static int run_list(struct v3 *v3)
{
    Etcdserverpb__AlarmRequest request = ETCDSERVERPB__ALARM_REQUEST__INIT;
    struct v3_result result = {0};
    int code;

    if (v3->words.count > 0)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "alarm list command accepts no arguments");
    code = v3_connect(v3);
    if (code != V3_DONE)
        return code;
    result.message = call_alarm(v3, &request, v3_deadline(v3));
    if (!result.message)
        return v3_fail(v3, V3_ERROR, "%s", v3->failure);
    return v3_print(v3, &result);
}

/* Disarms each of the alarms there are. */
static bool disarm_all(struct v3 *v3, const Etcdserverpb__AlarmResponse *all,
                       Etcdserverpb__AlarmResponse *disarmed,
                       int64_t deadline_ms)
{
    disarmed->alarms =
        arena_alloc(v3->arena, (all->n_alarms + 1) * sizeof(*all->alarms));
    for (size_t i = 0; i < all->n_alarms; i++) {
        Etcdserverpb__AlarmRequest request = ETCDSERVERPB__ALARM_REQUEST__INIT;
        const Etcdserverpb__AlarmResponse *answer;
        request.action = ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__DEACTIVATE;
        request.memberid = all->alarms[i]->memberid;
        request.alarm = all->alarms[i]->alarm;
        answer = call_alarm(v3, &request, deadline_ms);
        if (!answer)
            return false;
        /* As it was; one that had ended meanwhile isn't there. */
        if (answer->n_alarms > 0)
            disarmed->alarms[disarmed->n_alarms++] = answer->alarms[0];
    }
    return true;
}

static int run_disarm(struct v3 *v3)
{
    Etcdserverpb__AlarmRequest request = ETCDSERVERPB__ALARM_REQUEST__INIT;
    Etcdserverpb__AlarmResponse disarmed = ETCDSERVERPB__ALARM_RESPONSE__INIT;
    const Etcdserverpb__AlarmResponse *all;
    struct v3_result result = {.message = &disarmed};
    int64_t deadline_ms = v3_deadline(v3);
    int code;

    if (v3->words.count > 0)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "alarm disarm command accepts no arguments");
    code = v3_connect(v3);
    if (code != V3_DONE)
        return code;
    all = call_alarm(v3, &request, deadline_ms);
    if (!all || !disarm_all(v3, all, &disarmed, deadline_ms))
        return v3_fail(v3, V3_ERROR, "%s", v3->failure);
    return v3_print(v3, &result);
}

static const struct v3_command alarm_disarm = {
    .name = "disarm",
    .arguments = "",
    .summary = "ends all alarms",
    .run = run_disarm,
};

static const struct v3_command alarm_list = {
    .name = "list",
    .arguments = "",
    .summary = "all alarms",
    .run = run_list,
};

static const struct v3_command *const alarm_commands[] = {&alarm_disarm,
                                                          &alarm_list, NULL};

const struct v3_command v3_command_alarm = {
    .name = "alarm",
    .arguments = "<command>",
    .summary = "alarms: why the cluster takes no more writes",
    .subcommands = alarm_commands,
};

/* ---- move-leader -------------------------------------------------------- */

/* The leader, among the endpoints; *client talks to it, and is NULL where it
 * is none of them. */
static int find_leader(struct v3 *v3, struct words endpoints,
                       int64_t deadline_ms, struct rpc_client **client,
                       uint64_t *leader)
{
    Etcdserverpb__StatusRequest request = ETCDSERVERPB__STATUS_REQUEST__INIT;
    struct v3_call call = {
        .method = "Maintenance/Status",
        .request = &request.base,
        .answer = &etcdserverpb__status_response__descriptor,
        .deadline_ms = deadline_ms,
        .is_repeatable = true,
    };

    for (size_t i = 0; i < endpoints.count; i++) {
        const Etcdserverpb__StatusResponse *answer;
        int code = v3_connect_to(v3, endpoints.at[i], client);
        if (code != V3_DONE)
            return code;
        answer = v3_call_on(v3, *client, &call);
        if (answer && answer->header &&
            answer->header->member_id == answer->leader) {
            *leader = answer->leader;
            return V3_DONE;
        }
        rpc_client_close(*client);
        *client = NULL;
        if (!answer)
            return v3_fail(v3, V3_ERROR, "%s", v3->failure);
    }
    return V3_DONE;
}

static int fail_leader(struct v3 *v3, struct words endpoints)
{
    struct buf text = {0};
    int code;

    for (size_t i = 0; i < endpoints.count; i++)
        buf_printf(&text, "%s%s", i > 0 ? " " : "", endpoints.at[i]);
    code = v3_fail(v3, V3_BAD_ARGUMENTS, "no leader endpoint given at [%.*s]",
                   (int)text.size, text.at);
    buf_deinit(&text);
    return code;
}

static int move_leader(struct v3 *v3, struct words endpoints, uint64_t target)
{
    Etcdserverpb__MoveLeaderRequest request =
        ETCDSERVERPB__MOVE_LEADER_REQUEST__INIT;
    struct v3_call call = {
        .method = "Maintenance/MoveLeader",
        .request = &request.base,
        .answer = &etcdserverpb__move_leader_response__descriptor,
        .deadline_ms = v3_deadline(v3),
    };
    struct v3_result result = {.target = target};
    struct rpc_client *client = NULL;
    int code =
        find_leader(v3, endpoints, call.deadline_ms, &client, &result.id);

    if (code != V3_DONE)
        return code;
    if (!client)
        return fail_leader(v3, endpoints);
    request.targetid = target;
    result.message = v3_call_on(v3, client, &call);
    rpc_client_close(client);
    if (!result.message)
        return v3_fail(v3, V3_ERROR, "%s", v3->failure);
    return v3_print(v3, &result);
}

static int run_move_leader(struct v3 *v3)
{
    struct words endpoints;
    uint64_t target;
    int code;

    if (v3->words.count != 1)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "move-leader command needs 1 argument");
    if (go_parse_uint(v3_word(v3, 0), 16, &target) != ERR_OK)
        return v3_fail(v3, V3_BAD_ARGUMENTS, "%s", err_note());
    code = v3_connect(v3);
    if (code != V3_DONE)
        return code;
    code = v3_endpoints(v3, &endpoints);
    return code == V3_DONE ? move_leader(v3, endpoints, target) : code;
}

const struct v3_command v3_command_move_leader = {
    .name = "move-leader",
    .arguments = "<transferee-member-id>",
    .summary = "makes another member the leader",
    .run = run_move_leader,
};
