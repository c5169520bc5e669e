/* watch: shows changes as they happen, or runs a program for each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/etchctl/go_text.h"
#include "cmd/etchctl/v3_keys.h"
#include "cmd/etchctl/v3_lines.h"
#include "cmd/etchctl/v3_print.h"
#include "cmd/etchctl/v3_program.h"
#include "cmd/etchctl/v3_watch_args.h"
#include "cmd/etchctl/v3_watcher.h"

static const struct pflag_spec flags[] = {
    {"interactive", 'i', PFLAG_BOOL, NULL,
     "read \"watch ...\" and \"progress\" from stdin, line by line"},
    {"prefix", 0, PFLAG_BOOL, NULL, "all keys that begin with <key>"},
    {"rev", 0, PFLAG_INT, NULL, "begin at this revision (0: now)"},
    {"prev-kv", 0, PFLAG_BOOL, NULL, "show the key as it was before, too"},
    {"progress-notify", 0, PFLAG_BOOL, NULL,
     "have the server say from time to time up to where there was nothing"},
    {0},
};

enum { WATCHES_MAX = 1024 };

/* One watch, with what is done for its events. */
struct watch {
    struct v3_watcher watcher;
    struct words program; /* count 0: none */
    int code;             /* to end with */
};

/* ---- a program for each event ------------------------------------------- */

static char *quoted(struct arena *arena, const char *name, struct slice text)
{
    struct buf out = {0};
    char *copy;

    buf_printf(&out, "%s=", name);
    go_quote(&out, text);
    buf_append_char(&out, '\0');
    copy = arena_dup(arena, out.at, out.size);
    buf_deinit(&out);
    return copy;
}

static int fail_program(const struct words *program)
{
    char note[ERR_NOTE_BYTES_MAX];
    struct buf text = {0};

    snprintf(note, sizeof(note), "%s", err_note());
    for (size_t i = 0; i < program->count; i++) {
        buf_append_char(&text, i == 0 ? '[' : ' ');
        go_quote(&text, slice_str(program->at[i]));
    }
    fprintf(stderr, "command %.*s] error (%s)\n", (int)text.size, text.at,
            note);
    buf_deinit(&text);
    return V3_ERROR;
}

static int run_program(const struct watch *watch, struct arena *arena,
                       int64_t revision, const Mvccpb__Event *event)
{
    bool is_put = event->type == MVCCPB__EVENT__EVENT_TYPE__PUT;
    const char *const more[] = {
        arena_printf(arena, "ETCD_WATCH_REVISION=%lld", (long long)revision),
        quoted(arena, "ETCD_WATCH_EVENT_TYPE",
               is_put ? SLICE("PUT") : SLICE("DELETE")),
        quoted(arena, "ETCD_WATCH_KEY", message_bytes(event->kv->key)),
        quoted(arena, "ETCD_WATCH_VALUE", message_bytes(event->kv->value)),
    };
    struct v3_program program;

    if (v3_program_start(arena, watch->program, more, 4, &program) != ERR_OK ||
        v3_program_finish(&program) != ERR_OK)
        return fail_program(&watch->program);
    return V3_DONE;
}

static int run_programs(const struct watch *watch,
                        const Etcdserverpb__WatchResponse *answer)
{
    struct arena arena;
    int code = V3_DONE;

    arena_init(&arena, 0);
    for (size_t i = 0; i < answer->n_events && code == V3_DONE; i++)
        if (answer->events[i]->kv)
            code = run_program(watch, &arena,
                               answer->header ? answer->header->revision : 0,
                               answer->events[i]);
    arena_deinit(&arena);
    return code;
}

/* ---- what comes --------------------------------------------------------- */

static void on_answer(void *context, const Etcdserverpb__WatchResponse *answer)
{
    struct watch *watch = context;
    struct v3 *v3 = watch->watcher.v3;
    struct v3_result result = {.message = answer};

    if (answer->canceled)
        fprintf(stderr, "watch was canceled (%s)\n",
                v3_watcher_reason(v3->arena, answer));
    else if (answer->n_events == 0)
        printf("progress notify: %lld\n",
               answer->header ? (long long)answer->header->revision : 0LL);
    watch->code = v3_print(v3, &result);
    if (watch->code == V3_DONE && watch->program.count > 0)
        watch->code = run_programs(watch, answer);
    if (watch->code != V3_DONE)
        rpc_client_wake(v3->client);
}

static int start(struct v3 *v3, const struct pflags *given,
                 const struct v3_watch_args *args, struct watch **out)
{
    struct watch *watch = arena_alloc(v3->arena, sizeof(*watch));
    Etcdserverpb__WatchCreateRequest *request = &watch->watcher.request;
    struct v3_range range = {v3_text(args->key),
                             v3_text(args->range_end ? args->range_end : "")};

    *watch = (struct watch){.program = args->program};
    if (pflags_bool(given, "prefix") && args->range_end) {
        err_set(ERR_INVALID,
                "`range_end` and `--prefix` are mutually exclusive");
        return V3_BAD_ARGUMENTS;
    }
    if (pflags_bool(given, "prefix"))
        range = v3_prefix_range(v3->arena, args->key);
    etcdserverpb__watch_create_request__init(request);
    request->key = range.key;
    request->range_end = range.end;
    request->start_revision = pflags_number(given, "rev");
    request->prev_kv = pflags_bool(given, "prev-kv");
    request->progress_notify = pflags_bool(given, "progress-notify");
    watch->watcher.needs_leader = true;
    watch->watcher.on_answer = on_answer;
    watch->watcher.context = watch;
    v3_watcher_start(&watch->watcher, v3, v3->client);
    *out = watch;
    return V3_DONE;
}

static const char *environment(const char *name)
{
    const char *text = getenv(name);
    return text ? text : "";
}

/* ---- one watch ---------------------------------------------------------- */

static int run_one(struct v3 *v3)
{
    struct v3_watch_args args;
    struct watch *watch;
    int code;

    if (v3_watch_args_find(
            v3->line, v3->words, environment("ETCDCTL_WATCH_KEY"),
            environment("ETCDCTL_WATCH_RANGE_END"), &args) != ERR_OK)
        return v3_fail(v3, V3_BAD_ARGUMENTS, "%s", err_note());
    code = v3_connect(v3);
    if (code != V3_DONE)
        return code;
    code = start(v3, &v3->flags, &args, &watch);
    if (code != V3_DONE)
        return v3_fail(v3, (enum v3_exit)code, "%s", err_note());
    while (!watch->watcher.is_over && watch->code == V3_DONE)
        rpc_client_run(v3->client, v3_watcher_work(&watch->watcher), -1);
    v3_watcher_stop(&watch->watcher);
    if (watch->code != V3_DONE)
        return watch->code;
    if (watch->watcher.failure)
        fprintf(stderr, "watch was canceled (%s)\n", watch->watcher.failure);
    return v3_fail(v3, V3_INTERRUPTED, "watch is canceled by the server");
}

/* ---- many, by lines of stdin -------------------------------------------- */

struct interactive {
    struct v3 *v3;
    struct watch *watches[WATCHES_MAX];
    size_t count;
};

static void complain(const char *line, const char *why)
{
    fprintf(stderr, "Invalid command %s (%s)\n", line, why);
}

/* Reads the words of "watch ...", and begins it. */
static int begin(struct interactive *all, const char *line, struct words in)
{
    struct v3 *v3 = all->v3;
    struct words words = {
        .at = arena_alloc(v3->arena, (in.count + 1) * sizeof(*words.at))};
    struct v3_watch_args args;
    struct pflags given;

    pflags_init(&given, v3->arena);
    pflags_add(&given, flags);
    if (pflags_parse(&given, &in, &words) != ERR_OK ||
        v3_watch_args_find(in, words, environment("ETCDCTL_WATCH_KEY"),
                           environment("ETCDCTL_WATCH_RANGE_END"),
                           &args) != ERR_OK)
        return v3_fail(v3, V3_BAD_ARGUMENTS, "%s", err_note());
    if (all->count == WATCHES_MAX)
        complain(line, "too many watches");
    else if (start(v3, &given, &args, &all->watches[all->count]) != V3_DONE)
        complain(line, err_note());
    else
        all->count++;
    return V3_DONE;
}

static int take_line(struct interactive *all, const char *line)
{
    struct words words;

    if (go_split(all->v3->arena, slice_str(line), &words) != ERR_OK)
        return v3_fail(all->v3, V3_INVALID_INPUT, "%s", err_note());
    if (words.count == 0) {
        fprintf(stderr, "Invalid command: %s (watch and progress supported)\n",
                line);
        return V3_DONE;
    }
    if (strcmp(words.at[0], "progress") == 0) {
        for (size_t i = 0; i < all->count; i++)
            v3_watcher_ask_progress(&all->watches[i]->watcher);
        return V3_DONE;
    }
    if (strcmp(words.at[0], "watch") != 0) {
        complain(line, "only support watch");
        return V3_DONE;
    }
    if (words.count < 2 && !environment("ETCDCTL_WATCH_KEY")[0]) {
        complain(line, "command type or key is not provided");
        return V3_DONE;
    }
    return begin(all, line, (struct words){&words.at[1], words.count - 1});
}

static int work(struct interactive *all, int64_t *next_ms)
{
    *next_ms = INT64_MAX;
    for (size_t i = 0; i < all->count; i++) {
        int64_t at_ms = v3_watcher_work(&all->watches[i]->watcher);
        if (all->watches[i]->code != V3_DONE)
            return all->watches[i]->code;
        if (at_ms < *next_ms)
            *next_ms = at_ms;
    }
    return V3_DONE;
}

static int run_interactive(struct v3 *v3)
{
    struct interactive *all = arena_alloc(v3->arena, sizeof(*all));
    struct v3_lines lines = {.fd = STDIN_FILENO};
    int code = v3_connect(v3);

    all->v3 = v3;
    all->count = 0;
    while (code == V3_DONE) {
        int64_t next_ms;
        char *line = v3_lines_take(&lines, v3->arena);
        if (line) {
            code = take_line(all, line);
            continue;
        }
        if (lines.ended) {
            code = v3_fail(v3, V3_INVALID_INPUT,
                           "Error reading watch request line: EOF");
            break;
        }
        code = work(all, &next_ms);
        if (code == V3_DONE &&
            rpc_client_run(v3->client, next_ms, lines.fd) == RPC_READABLE)
            v3_lines_read(&lines);
    }
    v3_lines_deinit(&lines);
    return code;
}

static int run(struct v3 *v3)
{
    const char *key = environment("ETCDCTL_WATCH_KEY");
    const char *end = environment("ETCDCTL_WATCH_RANGE_END");

    if (!key[0] && end[0]) {
        struct buf text = {0};
        int code;
        go_quote(&text, slice_str(end));
        code = v3_fail(v3, V3_BAD_ARGUMENTS,
                       "ETCDCTL_WATCH_KEY is empty but got "
                       "ETCDCTL_WATCH_RANGE_END=%.*s",
                       (int)text.size, text.at);
        buf_deinit(&text);
        return code;
    }
    return pflags_bool(&v3->flags, "interactive") ? run_interactive(v3)
                                                  : run_one(v3);
}

const struct v3_command v3_command_watch = {
    .name = "watch",
    .arguments = "[flags] [key] [range_end] [--] [program argument...]",
    .summary = "shows the changes of keys as they happen",
    .about =
        "A program is run for each event, one after the other. It finds the\n"
        "event in ETCD_WATCH_REVISION, ETCD_WATCH_EVENT_TYPE, ETCD_WATCH_KEY\n"
        "and ETCD_WATCH_VALUE; the last three are in quotes.\n"
        "ETCDCTL_WATCH_KEY and ETCDCTL_WATCH_RANGE_END stand for [key] and\n"
        "[range_end] where these aren't given.\n",
    .flags = flags,
    .run = run,
};
