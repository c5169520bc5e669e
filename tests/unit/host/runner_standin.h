/* A runner for tests of the thread that drives it: in place of the real one,
 * it does what a request's path says, and answers with what came of it.
 *
 *   echo            its body
 *   later           after 50 ms
 *   call/<number>   the body goes to the store by that enum runner_method
 *   watch           the body goes out on the watch
 *   watched         all that the watch has told: "<message>;" or "end <code>;"
 *   http, exec      an action with the body as its URL, or its program
 *   seal, unseal    the body, under the name of the query
 *   hmac, feed      of the body
 *   stream          three parts
 *   sleep           keeps the runner busy for 200 ms
 *   store           "etched" or "etcd"
 */
#ifndef ETCHED_TESTS_RUNNER_STANDIN_H
#define ETCHED_TESTS_RUNNER_STANDIN_H

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "runner/runner.h"

enum { STANDIN_IDS_MAX = 256 };

static _Atomic int standin_runs; /* of runner_run */
static _Atomic int standin_gone; /* requests whose clients went */
static _Atomic int standin_stop_ms;

struct runner {
    struct runner_config config;
    uint64_t next;
    uint64_t requests[STANDIN_IDS_MAX]; /* by call or act */
    struct buf parts;                   /* of a history */
    struct buf watched;
    struct buf out;
    uint64_t late; /* answered at late_ns */
    int64_t late_ns;
    int64_t stopped_ns; /* 0: nobody has said so */
    bool is_stopping, is_stopped;
};

const char *runner_method_path(enum runner_method method)
{
    static const char *const paths[RUNNER_METHOD_COUNT] = {
        [RUNNER_RANGE] = "/s/Range",
        [RUNNER_TXN] = "/s/Code",
        [RUNNER_LEASE_GRANT] = "/s/None",
        [RUNNER_LEASE_KEEPALIVE] = "/s/Drop",
        [RUNNER_HISTORY] = "/s/Many",
        [RUNNER_REVISION_AT] = "/etched.v1.History/RevisionAt",
    };
    return paths[method];
}

static void standin_say(struct runner *runner, uint64_t id, struct slice body,
                        bool more)
{
    const struct rest_answer answer = {
        .status = 200,
        .content_type = "text/plain",
        .body = body,
        .more = more,
    };
    runner->config.doors.respond(runner->config.doors.context, id, &answer);
}

static uint64_t standin_next(struct runner *runner, uint64_t request)
{
    runner->requests[++runner->next % STANDIN_IDS_MAX] = request;
    return runner->next;
}

/* ---- what the host calls ------------------------------------------------- */

struct runner *runner_new(const struct runner_config *config)
{
    struct runner *runner = mem_alloc_zero(sizeof(*runner));
    runner->config = *config;
    return runner;
}

void runner_free(struct runner *runner)
{
    buf_deinit(&runner->parts);
    buf_deinit(&runner->watched);
    buf_deinit(&runner->out);
    mem_free(runner);
}

int64_t runner_run(struct runner *runner, struct runner_now now)
{
    const int64_t ms_ns = 1000 * 1000;
    atomic_fetch_add(&standin_runs, 1);
    if (runner->late != 0 && runner->late_ns == 0) {
        runner->late_ns = now.mono_ns + 50 * ms_ns;
    }
    if (runner->late != 0 && now.mono_ns >= runner->late_ns) {
        standin_say(runner, runner->late, SLICE("late"), false);
        runner->late = 0;
        runner->late_ns = 0;
    }
    if (runner->is_stopping && runner->stopped_ns == 0) {
        runner->stopped_ns = now.mono_ns + standin_stop_ms * ms_ns;
    }
    runner->is_stopped =
        runner->is_stopping && now.mono_ns >= runner->stopped_ns;
    return runner->late != 0     ? runner->late_ns
           : runner->is_stopping ? runner->stopped_ns
                                 : INT64_MAX;
}

void runner_stop(struct runner *runner)
{
    runner->is_stopping = true;
}

bool runner_is_stopped(const struct runner *runner)
{
    return runner->is_stopped;
}

void runner_answered(struct runner *runner, uint64_t id, int code,
                     struct slice text, struct slice message, bool more)
{
    if (more) {
        buf_append_slice(&runner->parts, message);
        buf_append_char(&runner->parts, ',');
        return;
    }
    buf_reset(&runner->out);
    buf_printf(&runner->out, "%d|%.*s|%.*s%.*s", code, (int)text.size,
               text.size > 0 ? text.at : "", (int)runner->parts.size,
               runner->parts.size > 0 ? runner->parts.at : "",
               (int)message.size, message.size > 0 ? message.at : "");
    buf_reset(&runner->parts);
    standin_say(runner, runner->requests[id % STANDIN_IDS_MAX],
                buf_slice(&runner->out), false);
}

void runner_watched(struct runner *runner, struct slice response)
{
    buf_append_slice(&runner->watched, response);
    buf_append_char(&runner->watched, ';');
}

void runner_watch_ended(struct runner *runner, int code, struct slice text)
{
    (void)text;
    buf_printf(&runner->watched, "end %d;", code);
}

void runner_acted(struct runner *runner, uint64_t id,
                  const struct act_answer *answer)
{
    buf_reset(&runner->out);
    buf_printf(&runner->out, "%d|%d|%.*s", answer->is_refused, answer->status,
               (int)answer->body.size,
               answer->body.size > 0 ? answer->body.at : "");
    standin_say(runner, runner->requests[id % STANDIN_IDS_MAX],
                buf_slice(&runner->out), false);
}

static void standin_act(struct runner *runner, uint64_t id, enum act_kind kind,
                        struct slice text)
{
    const struct act act = {
        .kind = kind,
        .timeout_ns = 5LL * 1000 * 1000 * 1000,
        .method = SLICE("GET"),
        .url = text,
        .arguments = &text,
        .argument_count = 1,
        .input = SLICE("input"),
    };
    runner->config.doors.act(runner->config.doors.context,
                             standin_next(runner, id), &act);
}

/* Doors that answer at once. False: it is none of them. */
static bool standin_compute(struct runner *runner,
                            const struct rest_request *request)
{
    const struct runner_doors *doors = &runner->config.doors;
    struct buf *out = &runner->out;
    unsigned char mac[32];
    enum err err = ERR_OK;
    if (slice_eq(request->path, SLICE("seal"))) {
        err = doors->seal(doors->context, request->query, request->body, out);
    } else if (slice_eq(request->path, SLICE("unseal"))) {
        err = doors->unseal(doors->context, request->query, request->body, out);
    } else if (slice_eq(request->path, SLICE("hmac"))) {
        doors->hmac_sha256(doors->context, request->query, request->body, mac);
        buf_printf(out, "%02x%02x", mac[0], mac[1]);
    } else if (slice_eq(request->path, SLICE("feed"))) {
        struct arena arena;
        struct value items;
        arena_init(&arena, 0);
        err = doors->feed_items(doors->context, &arena, request->body, &items);
        buf_printf(out, "%zu", err == ERR_OK ? items.list->count : 0);
        arena_deinit(&arena);
    } else {
        return false;
    }
    if (err != ERR_OK) {
        buf_reset(out);
        buf_printf(out, "%s: %s", err_name(err), err_note());
    }
    return true;
}

/* What goes on after the request. False: it is nothing of that. */
static bool standin_begin(struct runner *runner, uint64_t id,
                          const struct rest_request *request)
{
    const struct runner_doors *doors = &runner->config.doors;
    if (slice_has_prefix(request->path, SLICE("call/"))) {
        doors->call(doors->context, standin_next(runner, id),
                    (enum runner_method)(request->path.at[5] - '0'),
                    request->body);
    } else if (slice_eq(request->path, SLICE("later"))) {
        runner->late = id;
    } else if (slice_eq(request->path, SLICE("http"))) {
        standin_act(runner, id, ACT_HTTP, request->body);
    } else if (slice_eq(request->path, SLICE("exec"))) {
        standin_act(runner, id, ACT_EXEC, request->body);
    } else if (slice_eq(request->path, SLICE("stream"))) {
        standin_say(runner, id, SLICE("1,"), true);
        standin_say(runner, id, SLICE("2,"), true);
        standin_say(runner, id, SLICE("3"), false);
    } else if (slice_eq(request->path, SLICE("open"))) {
        standin_say(runner, id, SLICE("open"), true);
    } else {
        return false;
    }
    return true;
}

void runner_request(struct runner *runner, uint64_t id,
                    const struct rest_request *request)
{
    const struct runner_doors *doors = &runner->config.doors;
    struct buf *out = &runner->out;
    buf_reset(out);
    if (standin_begin(runner, id, request)) {
        return;
    }
    if (slice_eq(request->path, SLICE("echo"))) {
        buf_append_slice(out, request->body);
    } else if (slice_eq(request->path, SLICE("watch"))) {
        doors->watch(doors->context, request->body);
    } else if (slice_eq(request->path, SLICE("watched"))) {
        buf_append_slice(out, buf_slice(&runner->watched));
    } else if (slice_eq(request->path, SLICE("sleep"))) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    } else if (slice_eq(request->path, SLICE("store"))) {
        buf_append_str(out, runner->config.is_etched ? "etched" : "etcd");
    } else if (!standin_compute(runner, request)) {
        buf_append_str(out, "?");
    }
    standin_say(runner, id, buf_slice(out), false);
}

void runner_request_gone(struct runner *runner, uint64_t id)
{
    (void)runner;
    (void)id;
    atomic_fetch_add(&standin_gone, 1);
}

void runner_metrics(const struct runner *runner, struct buf *out)
{
    (void)runner;
    buf_append_str(out, "etched_recipes_of_the_standin 1\n");
}

#endif
