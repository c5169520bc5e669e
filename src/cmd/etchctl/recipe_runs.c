/* recipe runs: what recipes did, and with --watch what they do. */
#include <stdio.h>
#include <string.h>

#include "cmd/etchctl/recipe.h"

static const struct flag_spec flags[] = {
    {.name = "status",
     .kind = FLAG_STRING,
     .value = "status",
     .about = "only these: ok, failed, skipped, cancelled or active"},
    {.name = "since",
     .kind = FLAG_STRING,
     .value = "time",
     .about = "from then on: 2026-12-24T18:00:00Z, or how long ago, 5m"},
    {.name = "until",
     .kind = FLAG_STRING,
     .value = "time",
     .about = "up to then"},
    {.name = "limit",
     .kind = FLAG_STRING,
     .value = "number",
     .about = "at most so many, the newest (default 100)"},
    {.name = "after",
     .kind = FLAG_STRING,
     .value = "run",
     .about = "those before this run: the next page"},
    {.name = "watch", .about = "wait for more, and print them as they come"},
    {0},
};

static const char *const heads[] = {"TIME",  "RECIPE", "RUN",   "STATUS",
                                    "EVENT", "KEY",    "ERROR", NULL};

/* ---- one run ------------------------------------------------------------- */

/* An active one says what it does: "waiting at page". */
static struct slice status_of(struct arena *arena, const struct doc_value *run)
{
    struct slice status = recipe_cell(arena, run, "status");
    struct slice state = recipe_cell(arena, run, "state");
    struct slice step = recipe_cell(arena, run, "step");

    if (state.size == 0)
        return status;
    if (step.size == 0)
        return state;
    return slice_str(arena_printf(arena, "%.*s at %.*s", (int)state.size,
                                  state.at, (int)step.size, step.at));
}

static void add_row(struct recipe_table *table, const struct doc_value *run)
{
    static const char *const names[] = {"time",  "recipe", "id",   NULL,
                                        "event", "key",    "error"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        recipe_table_add(table, names[i]
                                    ? recipe_cell(table->arena, run, names[i])
                                    : status_of(table->arena, run));
}

static int print_one(struct session *session,
                     const struct recipe_answer *answer)
{
    struct buf text = {0};

    if (recipe_wants_json(session))
        return recipe_print_json(answer->body);
    recipe_yaml(&text, answer->json);
    return recipe_print(&text);
}

static int run_one(struct session *session)
{
    struct recipe_request request = {.method = "GET"};
    struct recipe_answer answer;

    recipe_path_add(&request.path, SLICE("runs"));
    recipe_path_add(&request.path, slice_str(session_word(session, 0)));
    recipe_path_add(&request.path, slice_str(session_word(session, 1)));
    if (!recipe_ask(session, &request, &answer, NULL))
        return recipe_fail(session);
    return print_one(session, &answer);
}

/* ---- a list -------------------------------------------------------------- */

static int print_list(struct session *session,
                      const struct recipe_answer *answer)
{
    const struct doc_value *runs = recipe_list(answer->json, "runs");
    struct slice next = v2_text_of(answer->json, "next");
    struct recipe_table table;
    struct buf text = {0};

    if (recipe_wants_json(session))
        return recipe_print_json(answer->body);
    recipe_table_init(&table, session->arena, heads);
    for (size_t i = 0; i < runs->count; i++)
        add_row(&table, runs->items[i]);
    recipe_table_write(&table, &text);
    if (next.size > 0)
        buf_printf(&text, "(there may be more: --after %.*s)\n", (int)next.size,
                   next.at);
    return recipe_print(&text);
}

static int run_list(struct session *session)
{
    static const char *const names[] = {"status", "since", "until", "limit",
                                        "after"};
    struct recipe_request request = {.method = "GET"};
    struct recipe_answer answer;

    recipe_path_add(&request.path, SLICE("runs"));
    recipe_path_field(&request.path, "recipe", session_word(session, 0));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        recipe_path_field(&request.path, names[i],
                          flags_text(&session->flags, names[i]));
    if (!recipe_ask(session, &request, &answer, NULL))
        return recipe_fail(session);
    return print_list(session, &answer);
}

/* ---- watching ------------------------------------------------------------ */

struct listener {
    struct session *session;
    struct recipe_stream stream;
    struct http_client_response http;
    struct buf refusal; /* the body of an answer that is no stream */
    int code;
};

/* One line each; a terminal can't know how wide the next ones will be. */
static void write_line(struct arena *arena, const struct doc_value *run,
                       struct buf *out)
{
    struct slice status = status_of(arena, run);
    struct slice error = recipe_cell(arena, run, "error");
    static const char *const names[] = {"time", "recipe", "id"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        recipe_plain(out, recipe_cell(arena, run, names[i]));
        buf_append_str(out, "  ");
    }
    recipe_plain(out, status);
    buf_append_str(out, "  ");
    recipe_plain(out, recipe_cell(arena, run, "event"));
    buf_append_char(out, ' ');
    recipe_plain(out, recipe_cell(arena, run, "key"));
    buf_append_str(out, error.size > 0 ? ": " : "");
    recipe_plain(out, error);
    buf_append_char(out, '\n');
}

static bool is_wanted(const struct listener *listener, struct slice event,
                      const struct doc_value *run)
{
    struct slice status =
        slice_str(flags_text(&listener->session->flags, "status"));

    if (!slice_eq(event, SLICE("run")) && !slice_eq(event, SLICE("active")))
        return false;
    return status.size == 0 || slice_eq(status, v2_text_of(run, "status"));
}

/* Of all that the stream has, runs; and whether some are missing. */
static bool on_event(void *context, struct slice event, struct slice data)
{
    struct listener *listener = context;
    struct doc_value *run = NULL;
    struct buf text = {0};
    struct arena arena;

    if (slice_eq(event, SLICE("gap")))
        fputs("(some may be missing here)\n", stderr);
    arena_init(&arena, 0);
    if (doc_parse_json(&arena, data, &doc_limits_default, &run) == ERR_OK &&
        is_wanted(listener, event, run)) {
        if (recipe_wants_json(listener->session)) {
            buf_append_slice(&text, data);
            buf_append_char(&text, '\n');
        } else {
            write_line(&arena, run, &text);
        }
        listener->code = recipe_print(&text);
    }
    arena_deinit(&arena);
    return listener->code == EXIT_DONE;
}

static bool on_body(void *context, struct slice piece)
{
    struct listener *listener = context;

    if (listener->http.status == 200)
        return recipe_stream_take(&listener->stream, piece);
    buf_append_slice(&listener->refusal, piece);
    return listener->refusal.size < 64 * 1024;
}

static int say_refusal(struct listener *listener)
{
    struct session *session = listener->session;
    struct doc_value *json = NULL;
    struct recipe_place place;
    struct buf message = {0};

    failure_set(&session->failure, FAILURE_OTHER, "%s", "");
    if (doc_parse_json(session->arena, buf_slice(&listener->refusal),
                       &doc_limits_default, &json) == ERR_OK &&
        recipe_read_error(json, &message, &place))
        buf_append_slice(&session->failure.text, buf_slice(&message));
    else
        buf_printf(&session->failure.text, "unexpected status code %d",
                   listener->http.status);
    buf_deinit(&message);
    return recipe_fail(session);
}

/* Asks until the stream ends. False: it never began. */
static bool listen_once(struct listener *listener)
{
    struct session *session = listener->session;
    struct buf path = {0};
    struct cluster_request request = {.method = "GET",
                                      .is_wait = true,
                                      .on_body = on_body,
                                      .context = listener};

    buf_append_str(&path, "/recipes/v1/stream");
    recipe_path_field(&path, "recipe", session_word(session, 0));
    buf_append_char(&path, '\0');
    request.path = path.at;
    if (cluster_do(&session->cluster, &request, &listener->http,
                   &session->failure))
        failure_set(&session->failure, FAILURE_UNAVAILABLE,
                    "the server has ended the stream");
    buf_deinit(&path);
    return listener->http.status == 200;
}

static int run_watch(struct session *session)
{
    struct listener listener = {.session = session};
    bool began;

    listener.stream.on_event = on_event;
    listener.stream.context = &listener;
    began = listen_once(&listener);
    if (session->failure.kind == FAILURE_STOPPED || listener.code != EXIT_DONE)
        ;
    else if (!began && listener.refusal.size > 0)
        listener.code = say_refusal(&listener);
    else
        listener.code = recipe_fail(session);
    recipe_stream_deinit(&listener.stream);
    buf_deinit(&listener.refusal);
    http_client_response_deinit(&listener.http);
    return listener.code;
}

static int run(struct session *session)
{
    bool watches = flags_bool(&session->flags, "watch");
    int code;

    if (watches)
        session_catch_signals(session);
    code = recipe_begin(session, 0, watches ? 1 : 2);
    if (code != EXIT_DONE)
        return code;
    if (watches)
        return run_watch(session);
    return session->words.count == 2 ? run_one(session) : run_list(session);
}

const struct command recipe_command_runs = {
    .name = "runs",
    .arguments = "[<name> [<run>]]",
    .summary = "print what recipes did: all, one recipe's, or one run",
    .about = "The newest first. --watch prints those to come instead, until "
             "Ctrl-C.\n",
    .flags = flags,
    .run = run,
};
