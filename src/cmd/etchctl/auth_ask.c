#include "cmd/etchctl/auth_ask.h"

#include <stdarg.h>
#include <stdio.h>

#include "wire/form.h"

int auth_fail(const char *text)
{
    fprintf(stderr, "%s\n", text);
    return EXIT_BAD_ARGUMENTS;
}

int auth_say(const char *format, ...)
{
    struct buf text = {0};
    va_list args;
    int code;

    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    buf_append_char(&text, '\n');
    code = session_write(&text);
    buf_deinit(&text);
    return code;
}

int auth_connect(struct session *session)
{
    int code = session_connect(session, true);

    if (code == EXIT_DONE)
        session_start_deadline(session);
    return code;
}

static char *path_of(struct session *session, const char *path,
                     const char *name)
{
    struct buf text = {0};
    char *kept;

    buf_append_str(&text, path);
    if (name) {
        buf_append_char(&text, '/');
        percent_encode(&text, slice_str(name), false);
    }
    kept = arena_printf(session->arena, "%.*s", (int)text.size, text.at);
    buf_deinit(&text);
    return kept;
}

static void say_why(struct slice body, const struct doc_value *doc)
{
    struct slice message = auth_text(doc, "message");

    if (message.size == 0)
        message = body;
    fprintf(stderr, "%.*s\n", (int)message.size, message.at);
}

bool auth_ask(struct session *session, const char *method, const char *path,
              const char *name, struct slice json, struct doc_value **out)
{
    const char *target = path_of(session, path, name);
    struct doc_value *doc = NULL;
    struct slice body;
    int status;

    if (!session_send_json(session, method, target, json, &status, &body)) {
        fprintf(stderr, "%.*s\n", (int)session->failure.text.size,
                session->failure.text.at);
        return false;
    }
    if (doc_parse_json(session->arena, body, &doc_limits_default, &doc) !=
        ERR_OK)
        doc = NULL;
    if (out)
        *out = doc;
    if (status == 200 || status == 201)
        return true;
    say_why(body, doc);
    return false;
}

bool auth_is_there(struct session *session, const char *path, const char *name)
{
    struct slice body;
    int status;

    return session_send_json(session, "GET", path_of(session, path, name),
                             SLICE(""), &status, &body) &&
           status == 200;
}

struct slice auth_text(const struct doc_value *doc, const char *name)
{
    const struct doc_value *value = doc ? doc_get(doc, name) : NULL;

    return value && value->kind == DOC_STRING ? value->text : SLICE("");
}

int auth_print_names(const struct doc_value *list, const char *field)
{
    struct buf text = {0};
    int code;

    for (size_t i = 0; list && i < list->count; i++) {
        const struct doc_value *item = list->items[i];
        struct slice name =
            item->kind == DOC_STRING ? item->text : auth_text(item, field);
        buf_append_slice(&text, name);
        buf_append_char(&text, '\n');
    }
    code = session_write(&text);
    buf_deinit(&text);
    return code;
}
