/* A request of /recipes/v1/, its answer and its error. */
#include <stdio.h>

#include "base/check.h"
#include "cmd/etchctl/recipe.h"
#include "cmd/etchctl/url.h"

/* ---- paths --------------------------------------------------------------- */

void recipe_path_add(struct buf *path, struct slice segment)
{
    struct buf field = {0};

    /* A query's escapes are a path's, but for the blank. */
    url_append_field(&field, "", segment);
    if (path->size > 0)
        buf_append_char(path, '/');
    for (size_t i = 1; i < field.size; i++)
        if (field.at[i] == '+')
            buf_append_str(path, "%20");
        else
            buf_append_char(path, field.at[i]);
    buf_deinit(&field);
}

void recipe_path_field(struct buf *path, const char *name, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return;
    if (slice_find(buf_slice(path), '?') < 0)
        buf_append_char(path, '?');
    url_append_field(path, name, slice_str(text));
}

/* ---- answers ------------------------------------------------------------- */

static const struct doc_value *parse(struct session *session, struct slice body)
{
    static const struct doc_value none = {.kind = DOC_NULL};
    struct doc_value *json = NULL;

    if (body.size == 0 || doc_parse_json(session->arena, body,
                                         &v2_response_limits, &json) != ERR_OK)
        return &none;
    return json;
}

bool recipe_read_error(const struct doc_value *json, struct buf *message,
                       struct recipe_place *place)
{
    const struct doc_value *error = doc_get(json, "error");
    const struct doc_value *at = error ? doc_get(error, "at") : NULL;

    *place = (struct recipe_place){0};
    if (!error || error->kind != DOC_MAP)
        return false;
    buf_append_slice(message, v2_text_of(error, "message"));
    if (at && at->kind == DOC_MAP) {
        place->line = recipe_number(at, "line");
        place->column = recipe_number(at, "column");
        place->path = v2_text_of(at, "path");
    }
    return true;
}

static void fail_answer(struct session *session,
                        const struct recipe_answer *answer,
                        struct recipe_place *place)
{
    struct buf message = {0};

    failure_set(&session->failure, FAILURE_OTHER, "%s", "");
    if (recipe_read_error(answer->json, &message, place))
        buf_append_slice(&session->failure.text, buf_slice(&message));
    else if (answer->status == 404)
        buf_append_str(&session->failure.text,
                       "there are no recipes here: the server was started with "
                       "--recipes=false, or is another program");
    else
        buf_printf(&session->failure.text, "unexpected status code %d",
                   answer->status);
    buf_deinit(&message);
}

/* ---- asking -------------------------------------------------------------- */

static size_t make_headers(struct arena *arena,
                           const struct recipe_request *request,
                           const char *out[2])
{
    size_t count = 0;

    if (request->has_body)
        out[count++] = arena_printf(
            arena, "Content-Type: %s",
            request->content_type ? request->content_type : "application/json");
    if (request->if_match)
        out[count++] = arena_printf(arena, "If-Match: %s", request->if_match);
    return count;
}

/* One that every endpoint refused with 5xx has an answer too: the last one. */
static bool has_answer(const struct http_client_response *http, bool good)
{
    return good || (http->failure == HTTP_CLIENT_NO_FAILURE &&
                    http->status / 100 == 5 && http->body.size > 0 &&
                    http->body.at[0] == '{');
}

bool recipe_ask(struct session *session, struct recipe_request *request,
                struct recipe_answer *out, struct recipe_place *place)
{
    struct http_client_response http = {0};
    struct recipe_place ignored;
    const char *headers[2];
    struct buf path = {0};
    struct cluster_request cluster_request = {
        .method = request->method,
        .body = request->body,
        .has_body = request->has_body,
        .headers = headers,
        .is_one_shot = request->is_one_shot,
        .is_wait = request->is_long,
    };
    bool good;

    place = place ? place : &ignored;
    *place = (struct recipe_place){0};
    buf_append_str(&path, "/recipes/v1/");
    buf_append_slice(&path, buf_slice(&request->path));
    buf_append_char(&path, '\0');
    cluster_request.path = path.at;
    cluster_request.header_count =
        make_headers(session->arena, request, headers);
    session_start_deadline(session);
    good = cluster_do(&session->cluster, &cluster_request, &http,
                      &session->failure);
    *out = (struct recipe_answer){.status = http.status};
    if (has_answer(&http, good)) {
        out->body =
            slice_of(arena_dup(session->arena, http.body.at ? http.body.at : "",
                               http.body.size),
                     http.body.size);
        out->json = parse(session, out->body);
        good = out->status / 100 == 2;
        if (!good)
            fail_answer(session, out, place);
    }
    buf_deinit(&path);
    buf_deinit(&request->path);
    http_client_response_deinit(&http);
    return good;
}

const char *recipe_next(struct session *session, const struct doc_value *json)
{
    struct slice next = v2_text_of(json, "next");

    if (next.size == 0)
        return NULL;
    return arena_printf(session->arena, "%.*s", (int)next.size, next.at);
}

bool recipe_is_refused(const struct session *session)
{
    return session->failure.kind == FAILURE_OTHER;
}

int recipe_fail(const struct session *session)
{
    return session_fail(session, session->failure.is_connection
                                     ? EXIT_BAD_CONNECTION
                                     : EXIT_SERVER_ERROR);
}

/* ---- beginning and ending ------------------------------------------------ */

int recipe_check_words(const struct session *session, size_t words_min,
                       size_t words_max)
{
    size_t count = session->words.count;

    if (count >= words_min && count <= words_max)
        return EXIT_DONE;
    fprintf(stderr, "Usage: %s recipe %s %s\n", session->program,
            session->command->name, session->command->arguments);
    return EXIT_BAD_ARGUMENTS;
}

int recipe_begin(struct session *session, size_t words_min, size_t words_max)
{
    int code = recipe_check_words(session, words_min, words_max);

    return code == EXIT_DONE ? session_connect(session, false) : code;
}

bool recipe_wants_json(const struct session *session)
{
    return session->settings.output == OUTPUT_JSON;
}

int recipe_print(struct buf *text)
{
    int code = session_write(text);

    buf_deinit(text);
    *text = (struct buf){0};
    return code;
}

int recipe_print_json(struct slice body)
{
    struct buf text = {0};

    buf_append_slice(&text, body);
    if (body.size == 0 || body.at[body.size - 1] != '\n')
        buf_append_char(&text, '\n');
    return recipe_print(&text);
}

struct slice recipe_read_stdin(struct session *session)
{
    struct slice out;

    return session_word_or_stdin(session, SIZE_MAX, &out) ? out : SLICE("");
}
