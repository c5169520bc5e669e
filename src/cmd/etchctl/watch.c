/* watch: print what happens to a key. And the waiting of both watches. */
#include "cmd/etchctl/watch.h"

#include <stdio.h>

#include "base/check.h"
#include "cmd/etchctl/url.h"

void watch_init(struct watch *watch, struct session *session, const char *key)
{
    int64_t after = flags_number(&session->flags, "after-index");

    *watch = (struct watch){
        .session = session,
        .key = key,
        .is_recursive = flags_bool(&session->flags, "recursive"),
        .wait_index = after > 0 ? (uint64_t)after + 1 : 0,
    };
    arena_init(&watch->arena, 0);
}

void watch_deinit(struct watch *watch)
{
    arena_deinit(&watch->arena);
}

static void fill_query(const struct watch *watch, struct buf *query)
{
    buf_reset(query);
    url_append_bool(query, "recursive", watch->is_recursive);
    url_append_bool(query, "wait", true);
    url_append_number(query, "waitIndex", watch->wait_index);
}

/* Says once that the connection is gone, then waits a little longer each
 * time. False: a signal came. */
static bool wait_to_retry(const struct watch *watch, int64_t *delay_ms)
{
    const struct session *session = watch->session;

    if (*delay_ms == 0)
        fprintf(stderr, "%s: the connection is lost, trying again: %.*s\n",
                session->program,
                session->failure.detail.size > 1
                    ? (int)session->failure.detail.size - 1
                    : 0,
                session->failure.detail.at);
    *delay_ms = *delay_ms ? *delay_ms * 2 : WATCH_RETRY_MS_MIN;
    if (*delay_ms > WATCH_RETRY_MS_MAX)
        *delay_ms = WATCH_RETRY_MS_MAX;
    return http_client_wait(session->cluster.http, *delay_ms);
}

/* The server began to wait, and named its index: up to there nothing has
 * happened to the key that we would have to be told. */
static void note_index(struct watch *watch, uint64_t seen)
{
    if (seen == 0)
        return;
    watch->has_connected = true;
    if (seen >= watch->wait_index)
        watch->wait_index = seen + 1;
}

/* After a failure: true when the watch goes on, after a pause. */
static bool may_go_on(struct watch *watch, uint64_t seen, int64_t *delay_ms)
{
    struct session *session = watch->session;
    struct failure *failure = &session->failure;
    bool goes_on = true;

    note_index(watch, seen);
    if (failure->kind == FAILURE_EMPTY_BODY) {
        /* The server let go of us in good order. At once the first time. */
        goes_on = *delay_ms == 0 ||
                  http_client_wait(session->cluster.http, *delay_ms);
        *delay_ms = WATCH_RETRY_MS_MIN;
    } else if (failure->kind == FAILURE_UNAVAILABLE &&
               (seen || (watch->is_forever && watch->has_connected))) {
        goes_on = wait_to_retry(watch, delay_ms);
    } else {
        return false;
    }
    if (!goes_on)
        failure_set(failure, FAILURE_STOPPED, "stopped");
    return goes_on;
}

bool watch_next(struct watch *watch, struct v2_response *event)
{
    struct session *session = watch->session;
    struct keys_request request = {
        .method = "GET", .key = watch->key, .is_wait = true};
    int64_t delay_ms = 0;
    uint64_t seen = 0;
    bool got;

    do {
        arena_reset(&watch->arena);
        fill_query(watch, &request.query);
        got = session_keys(session, &request, &watch->arena, event, &seen);
    } while (!got && may_go_on(watch, seen, &delay_ms));
    if (got) {
        CHECK(event->node);
        watch->wait_index = event->node->modified_index + 1;
        watch->has_connected = true;
    }
    keys_request_deinit(&request);
    return got;
}

/* ---- the command -------------------------------------------------------- */

static const struct flag_spec flags[] = {
    {.name = "forever",
     .letter = 'f',
     .about = "go on after the first event, until Ctrl-C"},
    {.name = "after-index",
     .kind = FLAG_INT,
     .value = "index",
     .about = "begin after this index (0: now)"},
    {.name = "recursive",
     .letter = 'r',
     .about = "what happens below the key, too"},
    {0},
};

static int print_event(struct session *session, const struct watch *watch,
                       const struct v2_response *event)
{
    struct buf text = {0};
    int code;

    if (watch->is_recursive)
        buf_printf(&text, "[%.*s] %.*s\n", (int)event->action.size,
                   event->action.at, (int)event->node->key.size,
                   event->node->key.at);
    v2_response_print(event, session->settings.output, &text);
    code = session_write(&text);
    buf_deinit(&text);
    return code;
}

static int run(struct session *session)
{
    const char *key = session_word(session, 0);
    struct watch watch;
    struct v2_response event;
    int code;

    if (!key)
        return session_fail_text(session, EXIT_BAD_ARGUMENTS, "key required");
    session_catch_signals(session);
    code = session_connect(session, true);
    if (code != EXIT_DONE)
        return code;
    watch_init(&watch, session, key);
    watch.is_forever = flags_bool(&session->flags, "forever");
    for (bool first = true; first || watch.is_forever;) {
        if (!watch_next(&watch, &event)) {
            code = session_fail(session, EXIT_SERVER_ERROR);
            break;
        }
        if (event.node->is_dir)
            continue;
        first = false;
        code = print_event(session, &watch, &event);
        if (code != EXIT_DONE)
            break;
    }
    watch_deinit(&watch);
    return code;
}

const struct command command_watch = {
    .name = "watch",
    .family = "Watching",
    .arguments = "<key>",
    .summary = "wait for a change of a key, and print it",
    .about = "With --forever a lost connection is made anew, and the watch\n"
             "goes on after the last event that it has seen: none is lost.\n",
    .flags = flags,
    .run = run,
};
