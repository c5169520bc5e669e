/* Server-sent events (HTML, section 9.2): what happens, as it happens. A
 * client that reads too slowly is cut off by whoever carries the bytes
 * (runner_request_gone); it asks /runs for what it missed. */
#include "runner/rest_int.h"

#include "base/check.h"

#define BEAT (15 * REST_SECOND)

static void send(struct request *request, struct slice text)
{
    const struct runner_doors *doors = &runner__config(request->runner)->doors;
    const struct rest_answer answer = {.status = 200,
                                       .content_type = "text/event-stream",
                                       .body = text,
                                       .more = true};
    doors->respond(doors->context, request->id, &answer);
    request->beat_ns = runner__now(request->runner).mono_ns + BEAT;
}

void rest__stream_all(struct request *request)
{
    struct rest *rest = runner__rest(request->runner);
    if (rest->stream_count >= REST_STREAMS_MAX) {
        rest__error(request, 429, "busy", "%d clients listen already",
                    REST_STREAMS_MAX);
        return;
    }
    request->only = rest__parameter(request, "recipe");
    list_push_back(&rest->streams, &request->streams);
    rest->stream_count++;
    send(request, SLICE(": hello\n\n"));
    runner__wake(request->runner);
}

void rest__end_stream(struct request *request)
{
    if (list_is_empty(&request->streams)) {
        return;
    }
    list_remove(&request->streams);
    runner__rest(request->runner)->stream_count--;
}

void rest__stream(struct runner *runner, struct slice recipe,
                  struct slice event, struct slice json)
{
    struct rest *rest = runner__rest(runner);
    struct buf text = {0};
    if (rest == NULL || rest->stream_count == 0) {
        return;
    }
    buf_printf(&text, "event: %.*s\ndata: ", (int)event.size, event.at);
    buf_append_slice(&text, json); /* JSON: one line */
    buf_append_str(&text, "\n\n");
    LIST_EACH (node, &rest->streams) {
        struct request *request = CONTAINER_OF(node, struct request, streams);
        if (request->only.size == 0 || slice_eq(request->only, recipe)) {
            send(request, buf_slice(&text));
        }
    }
    buf_deinit(&text);
}

int64_t rest__run_streams(struct runner *runner)
{
    struct rest *rest = runner__rest(runner);
    int64_t now_ns = runner__now(runner).mono_ns;
    int64_t next_ns = INT64_MAX;
    LIST_EACH (node, &rest->streams) {
        struct request *request = CONTAINER_OF(node, struct request, streams);
        if (request->beat_ns <= now_ns) {
            send(request, SLICE(": \n\n"));
        }
        next_ns = request->beat_ns < next_ns ? request->beat_ns : next_ns;
    }
    return next_ns;
}
