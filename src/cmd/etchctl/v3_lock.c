/* lock: holds a lock until a signal comes, or as long as a program runs. */
#include <stdio.h>

#include "cmd/etchctl/v3_hold.h"
#include "cmd/etchctl/v3_keys.h"
#include "cmd/etchctl/v3_print.h"
#include "cmd/etchctl/v3_program.h"

static const struct pflag_spec flags[] = {
    {"ttl", 0, PFLAG_INT, "10",
     "seconds after which the lock is free when its holder is gone"},
    {0},
};

static int fail_wait(struct v3 *v3, enum v3_wait wait)
{
    if (wait == V3_WAIT_STOPPED)
        return v3_fail(v3, V3_ERROR, "context canceled");
    if (wait == V3_WAIT_EXPIRED)
        return v3_fail(v3, V3_ERROR, "session expired");
    return v3_fail(v3, V3_ERROR, "%s", v3->failure);
}

/* The lock is kept while the program runs; what ends the program is its own
 * business. */
static int run_program(struct v3_hold *hold)
{
    struct v3 *v3 = hold->v3;
    const char *const more[] = {
        arena_printf(v3->arena, "ETCD_LOCK_KEY=%s", hold->key),
        arena_printf(v3->arena, "ETCD_LOCK_REV=%lld",
                     (long long)hold->header_revision),
    };
    struct words words = {&v3->words.at[1], v3->words.count - 1};
    struct v3_program program;
    char note[ERR_NOTE_BYTES_MAX];
    enum err err = v3_program_start(v3->arena, words, more, 2, &program);

    if (err == ERR_OK) {
        rpc_client_set_stop_fd(v3->client, -1);
        if (program.pid_fd >= 0)
            v3_hold_wait(hold, program.pid_fd);
        err = v3_program_finish(&program);
    }
    snprintf(note, sizeof(note), "%s", err_note());
    if (!v3_hold_leave(hold) && err == ERR_OK)
        return v3_fail(v3, V3_ERROR, "%s", v3->failure);
    return err == ERR_OK ? V3_DONE : v3_fail(v3, V3_ERROR, "%s", note);
}

static int show_and_wait(struct v3_hold *hold)
{
    struct v3 *v3 = hold->v3;
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    const Etcdserverpb__RangeResponse *answer;
    struct v3_result result = {0};
    enum v3_wait wait;
    int code;

    request.key = v3_text(hold->key);
    answer = v3_hold_range(hold, &request);
    if (!answer)
        return v3_fail(v3, V3_ERROR, "%s", v3->failure);
    if (answer->n_kvs == 0)
        return v3_fail(v3, V3_ERROR, "lock lost on init");
    result.message = answer;
    code = v3_print(v3, &result);
    if (code != V3_DONE)
        return code;
    wait = v3_hold_wait(hold, -1);
    if (wait != V3_WAIT_STOPPED)
        return fail_wait(v3, wait);
    return v3_hold_leave(hold) ? V3_DONE
                               : v3_fail(v3, V3_ERROR, "%s", v3->failure);
}

static int run(struct v3 *v3)
{
    int64_t ttl = pflags_number(&v3->flags, "ttl");
    struct v3_hold hold = {.v3 = v3};
    enum v3_wait wait;
    int code;

    if (v3->words.count == 0)
        return v3_fail(v3, V3_BAD_ARGUMENTS,
                       "lock takes a lock name argument and an optional "
                       "command to execute");
    code = v3_hold_open(&hold, v3, v3_word(v3, 0), ttl > 0 ? ttl : V3_HOLD_TTL);
    if (code != V3_DONE)
        return code;
    wait = v3_hold_enter(&hold, "") ? v3_hold_wait_turn(&hold) : V3_WAIT_FAILED;
    if (wait != V3_WAIT_DONE)
        code = fail_wait(v3, wait);
    else if (v3->words.count > 1)
        code = run_program(&hold);
    else
        code = show_and_wait(&hold);
    v3_hold_close(&hold);
    return code;
}

const struct v3_command v3_command_lock = {
    .name = "lock",
    .arguments = "[flags] <lockname> [program argument...]",
    .summary = "holds a lock, for a program or until a signal",
    .about = "The program finds ETCD_LOCK_KEY and ETCD_LOCK_REV in its\n"
             "environment. Flags of the program stand behind '--'.\n",
    .flags = flags,
    .run = run,
};
