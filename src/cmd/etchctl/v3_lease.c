/* lease: grant, revoke, timetolive, list, keep-alive. */
#include "cmd/etchctl/go_text.h"
#include "cmd/etchctl/v3_keeper.h"
#include "cmd/etchctl/v3_print.h"

static int parse_lease(struct v3 *v3, int64_t *out)
{
    if (go_parse_int(v3_word(v3, 0), 16, out) == ERR_OK)
        return V3_DONE;
    return v3_fail(v3, V3_BAD_ARGUMENTS,
                   "bad lease ID arg (%s), expecting ID in Hex", err_note());
}

/* ---- grant -------------------------------------------------------------- */

static int run_grant(struct v3 *v3)
{
    Etcdserverpb__LeaseGrantRequest request =
        ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    struct v3_call call = {
        .method = "Lease/LeaseGrant",
        .request = &request.base,
        .answer = &etcdserverpb__lease_grant_response__descriptor,
        .deadline_ms = v3_deadline(v3),
    };
    struct v3_result result = {0};
    int code;

    if (v3->words.count != 1)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "lease grant command needs TTL argument");
    if (go_parse_int(v3_word(v3, 0), 10, &request.ttl) != ERR_OK)
        return v3_fail(v3, V3_BAD_ARGUMENTS, "bad TTL (%s)", err_note());
    code = v3_connect(v3);
    if (code != V3_DONE)
        return code;
    result.message = v3_call(v3, &call);
    if (!result.message)
        return v3_fail(v3, V3_ERROR, "failed to grant lease (%s)", v3->failure);
    return v3_print(v3, &result);
}

static const struct v3_command grant = {
    .name = "grant",
    .arguments = "<ttl>",
    .summary = "makes a lease of <ttl> seconds",
    .run = run_grant,
};

/* ---- revoke ------------------------------------------------------------- */

static int run_revoke(struct v3 *v3)
{
    Etcdserverpb__LeaseRevokeRequest request =
        ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    struct v3_call call = {
        .method = "Lease/LeaseRevoke",
        .request = &request.base,
        .answer = &etcdserverpb__lease_revoke_response__descriptor,
        .deadline_ms = v3_deadline(v3),
    };
    struct v3_result result = {0};
    int code;

    if (v3->words.count != 1)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "lease revoke command needs 1 argument");
    code = parse_lease(v3, &request.id);
    if (code == V3_DONE)
        code = v3_connect(v3);
    if (code != V3_DONE)
        return code;
    result.id = (uint64_t)request.id;
    result.message = v3_call(v3, &call);
    if (!result.message)
        return v3_fail(v3, V3_ERROR, "failed to revoke lease (%s)",
                       v3->failure);
    return v3_print(v3, &result);
}

static const struct v3_command revoke = {
    .name = "revoke",
    .arguments = "<leaseID>",
    .summary = "ends a lease, and with it its keys",
    .run = run_revoke,
};

/* ---- timetolive --------------------------------------------------------- */

static const struct pflag_spec ttl_flags[] = {
    {"keys", 0, PFLAG_BOOL, NULL, "show the keys that are with it"},
    {0},
};

static int run_ttl(struct v3 *v3)
{
    Etcdserverpb__LeaseTimeToLiveRequest request =
        ETCDSERVERPB__LEASE_TIME_TO_LIVE_REQUEST__INIT;
    struct v3_call call = {
        .method = "Lease/LeaseTimeToLive",
        .request = &request.base,
        .answer = &etcdserverpb__lease_time_to_live_response__descriptor,
        .deadline_ms = v3_deadline(v3),
        .is_repeatable = true,
    };
    struct v3_result result = {.has_keys = pflags_bool(&v3->flags, "keys")};
    int code;

    if (v3->words.count != 1)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "lease timetolive command needs lease ID as argument");
    code = v3_connect(v3);
    if (code == V3_DONE)
        code = parse_lease(v3, &request.id);
    if (code != V3_DONE)
        return code;
    request.keys = result.has_keys;
    result.message = v3_call(v3, &call);
    if (!result.message)
        return v3_fail(v3, V3_BAD_CONNECTION, "%s", v3->failure);
    return v3_print(v3, &result);
}

static const struct v3_command timetolive = {
    .name = "timetolive",
    .arguments = "[flags] <leaseID>",
    .summary = "how long a lease lasts",
    .flags = ttl_flags,
    .run = run_ttl,
};

/* ---- list --------------------------------------------------------------- */

static int run_list(struct v3 *v3)
{
    Etcdserverpb__LeaseLeasesRequest request =
        ETCDSERVERPB__LEASE_LEASES_REQUEST__INIT;
    struct v3_call call = {
        .method = "Lease/LeaseLeases",
        .request = &request.base,
        .answer = &etcdserverpb__lease_leases_response__descriptor,
        .deadline_ms = v3_deadline(v3),
        .is_repeatable = true,
    };
    struct v3_result result = {0};
    int code = v3_connect(v3);

    if (code != V3_DONE)
        return code;
    result.message = v3_call(v3, &call);
    if (!result.message)
        return v3_fail(v3, V3_BAD_CONNECTION, "%s", v3->failure);
    return v3_print(v3, &result);
}

static const struct v3_command list = {
    .name = "list",
    .arguments = "",
    .summary = "all leases",
    .run = run_list,
};

/* ---- keep-alive --------------------------------------------------------- */

static const struct pflag_spec keep_flags[] = {
    {"once", 0, PFLAG_BOOL, NULL, "renew it once, and be done"},
    {0},
};

struct keeping {
    struct v3 *v3;
    struct v3_keeper keeper;
    bool is_once;
    bool is_done;
    int code;
};

static void on_answer(void *context,
                      const Etcdserverpb__LeaseKeepAliveResponse *answer)
{
    struct keeping *keeping = context;
    struct v3_result result = {.message = answer};

    keeping->code = v3_print(keeping->v3, &result);
    keeping->is_done = keeping->is_once || keeping->code != V3_DONE;
    if (keeping->is_done)
        rpc_client_wake(keeping->v3->client);
}

static int finish_once(struct keeping *keeping)
{
    if (keeping->keeper.failure)
        return v3_fail(keeping->v3, V3_BAD_CONNECTION, "%s",
                       keeping->keeper.failure);
    return v3_fail(keeping->v3, V3_BAD_CONNECTION, "%s",
                   v3_error_text(V3_LEASE_NOT_FOUND));
}

static int keep(struct keeping *keeping, int64_t id)
{
    struct v3 *v3 = keeping->v3;
    struct v3_keeper *keeper = &keeping->keeper;

    v3_keeper_start(keeper, v3, id, on_answer, keeping);
    while (!keeping->is_done && !keeper->is_over)
        rpc_client_run(v3->client, v3_keeper_work(keeper), -1);
    v3_keeper_stop(keeper);
    if (keeping->code != V3_DONE || !keeper->is_over)
        return keeping->code;
    if (keeping->is_once)
        return finish_once(keeping);
    if (v3->format == V3_SIMPLE) {
        struct buf text = {0};
        v3_line(&text, "lease %016llx expired or revoked.",
                (unsigned long long)id);
        return v3_write(&text);
    }
    return V3_DONE;
}

static int run_keep(struct v3 *v3)
{
    struct keeping keeping = {
        .v3 = v3,
        .is_once = pflags_bool(&v3->flags, "once"),
    };
    int64_t id;
    int code;

    if (v3->words.count != 1)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "lease keep-alive command needs lease ID as argument");
    code = parse_lease(v3, &id);
    if (code == V3_DONE)
        code = v3_connect(v3);
    return code == V3_DONE ? keep(&keeping, id) : code;
}

static const struct v3_command keep_alive = {
    .name = "keep-alive",
    .arguments = "[flags] <leaseID>",
    .summary = "renews a lease, again and again",
    .flags = keep_flags,
    .run = run_keep,
};

static const struct v3_command *const subcommands[] = {
    &grant, &keep_alive, &list, &revoke, &timetolive, NULL,
};

const struct v3_command v3_command_lease = {
    .name = "lease",
    .arguments = "<command>",
    .summary = "leases: keys that go when nobody renews them",
    .subcommands = subcommands,
};
