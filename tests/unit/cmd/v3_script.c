#include "v3_script.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "cmd/etchctl/v3_print.h"
#include "proto/message.h"
#include "redirect.h"

/* ---- what comes --------------------------------------------------------- */

static const struct {
    const char *method;
    const ProtobufCMessageDescriptor *type;
} requests[] = {
    {"KV/Range", &etcdserverpb__range_request__descriptor},
    {"KV/Put", &etcdserverpb__put_request__descriptor},
    {"KV/DeleteRange", &etcdserverpb__delete_range_request__descriptor},
    {"KV/Txn", &etcdserverpb__txn_request__descriptor},
    {"KV/Compact", &etcdserverpb__compaction_request__descriptor},
    {"Watch/Watch", &etcdserverpb__watch_request__descriptor},
    {"Lease/LeaseGrant", &etcdserverpb__lease_grant_request__descriptor},
    {"Lease/LeaseRevoke", &etcdserverpb__lease_revoke_request__descriptor},
    {"Lease/LeaseKeepAlive",
     &etcdserverpb__lease_keep_alive_request__descriptor},
    {"Cluster/MemberList", &etcdserverpb__member_list_request__descriptor},
    {"Maintenance/Status", &etcdserverpb__status_request__descriptor},
    {"Maintenance/Alarm", &etcdserverpb__alarm_request__descriptor},
    {"Maintenance/MoveLeader", &etcdserverpb__move_leader_request__descriptor},
    {"Maintenance/Snapshot", &etcdserverpb__snapshot_request__descriptor},
    {"Auth/Authenticate", &etcdserverpb__authenticate_request__descriptor},
};

static void write_down(struct script *script, const char *method,
                       struct slice message)
{
    ProtobufCMessage *request = NULL;
    struct arena arena;

    arena_init(&arena, 0);
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
        if (strcmp(requests[i].method, method) == 0)
            CHECK(message_decode(requests[i].type, message, &arena, &request) ==
                  ERR_OK);
    buf_printf(&script->seen, "%s ", method);
    CHECK(request != NULL);
    v3_json_message(request, &script->seen);
    buf_append_char(&script->seen, '\n');
    arena_deinit(&arena);
}

/* "KV/Range" of a call's path. */
static void method_of(const struct grpc_stub_call *call, char out[64])
{
    static const char prefix[] = "/etcdserverpb.";
    struct slice head = buf_slice(&call->head);
    size_t size = (size_t)slice_find(head, '\n');

    CHECK(slice_has_prefix(head, slice_str(prefix)));
    snprintf(out, 64, "%.*s", (int)(size - strlen(prefix)),
             head.at + strlen(prefix));
}

static void note_token(struct script *script, const struct grpc_stub_call *call)
{
    const char *found = memmem(call->head.at, call->head.size, "token: ", 7);

    script->token[0] = '\0';
    if (found)
        snprintf(script->token, sizeof(script->token), "%.*s",
                 (int)strcspn(found + 7, "\n"), found + 7);
}

static enum stub_rpc_then play(struct script_step *step,
                               struct grpc_stub_call *call)
{
    step->done = true;
    if (step->messages.size > 0)
        grpc_stub_send_raw(call, buf_slice(&step->messages));
    if (step->then == SCRIPT_END)
        grpc_stub_end(call, step->code ? step->code : "0", step->text);
    if (step->then == SCRIPT_TERM)
        kill(getpid(), SIGTERM);
    return step->then == SCRIPT_DROP ? STUB_RPC_DROP : STUB_RPC_GO_ON;
}

static enum stub_rpc_then answer(void *context, struct grpc_stub_call *call,
                                 struct slice message)
{
    struct script *script = context;
    enum stub_rpc_then then = STUB_RPC_GO_ON;
    char method[64];
    size_t i = 0;

    method_of(call, method);
    pthread_mutex_lock(&script->lock);
    note_token(script, call);
    write_down(script, method, message);
    while (i < script->count && (script->steps[i].done ||
                                 strcmp(script->steps[i].method, method) != 0))
        i++;
    if (i < script->count)
        then = play(&script->steps[i], call);
    else
        grpc_stub_end(call, "12", "not in the script");
    pthread_mutex_unlock(&script->lock);
    return then;
}

/* ---- the script --------------------------------------------------------- */

void script_start(struct script *script)
{
    memset(script, 0, sizeof(*script));
    pthread_mutex_init(&script->lock, NULL);
    stub_rpc_start_with(&script->server, answer, script);
}

void script_stop(struct script *script)
{
    stub_rpc_stop(&script->server);
    for (size_t i = 0; i < script->count; i++)
        buf_deinit(&script->steps[i].messages);
    buf_deinit(&script->seen);
    pthread_mutex_destroy(&script->lock);
}

void script_more(struct script_step *step, const void *message)
{
    struct buf body = {0};

    message_encode(message, &body);
    grpc_stub_frame(&step->messages, buf_slice(&body));
    buf_deinit(&body);
}

struct script_step *script_answer(struct script *script, const char *method,
                                  const void *message, enum script_then then)
{
    struct script_step *step = &script->steps[script->count++];

    CHECK_LE(script->count, SCRIPT_STEPS_MAX);
    *step = (struct script_step){.method = method, .then = then};
    if (message)
        script_more(step, message);
    return step;
}

struct script_step *script_fail(struct script *script, const char *method,
                                const char *code, const char *text)
{
    struct script_step *step = script_answer(script, method, NULL, SCRIPT_END);

    step->code = code;
    step->text = text;
    return step;
}

void script_expect(struct script *script, const char *lines)
{
    pthread_mutex_lock(&script->lock);
    buf_append_char(&script->seen, '\0');
    assert_string_equal(script->seen.at, lines);
    buf_reset(&script->seen);
    pthread_mutex_unlock(&script->lock);
}

/* ---- a run -------------------------------------------------------------- */

/* The words of a line, by spaces. */
static struct words split(struct arena *arena, const struct script *script,
                          const char *line)
{
    struct words out = {.at = arena_alloc(arena, 64 * sizeof(*out.at))};

    if (!strstr(line, "--endpoints"))
        out.at[out.count++] =
            arena_printf(arena, "--endpoints=%s", script->server.endpoint);
    while (*line) {
        size_t size = strcspn(line, " ");
        const char *mark = memmem(line, size, "{E}", 3);
        size_t front = mark ? (size_t)(mark - line) : size;
        out.at[out.count++] = arena_printf(
            arena, "%.*s%s%.*s", (int)front, line,
            mark ? script->server.endpoint : "",
            mark ? (int)(size - front - 3) : 0, mark ? mark + 3 : "");
        line += size;
        line += strspn(line, " ");
    }
    return out;
}

struct run run_line(struct script *script, const char *line, const char *input)
{
    struct run run = {0};
    struct arena arena;
    struct words words;
    struct redirect in = redirect_begin(STDIN_FILENO, input ? input : "");
    struct redirect out = redirect_begin(STDOUT_FILENO, NULL);
    struct redirect err = redirect_begin(STDERR_FILENO, NULL);

    arena_init(&arena, 0);
    words = split(&arena, script, line);
    run.code = v3_main("etchctl", &arena, words);
    arena_deinit(&arena);
    redirect_end(&err, &run.err);
    redirect_end(&out, &run.out);
    redirect_end(&in, NULL);
    clearerr(stdin);
    return run;
}

void run_deinit(struct run *run)
{
    buf_deinit(&run->out);
    buf_deinit(&run->err);
}

void run_expect(struct run *run, int code, const char *out, const char *err)
{
    assert_string_equal(run->err.at, err);
    assert_string_equal(run->out.at, out);
    assert_int_equal(run->code, code);
    run_deinit(run);
}
