/* Actions that leave the store: http, email, exec. */
#include "base/check.h"
#include "recipe/recipe_int.h"

static unsigned scope_of(const struct reader *reader)
{
    return reader->scope | SCOPE_SECRET;
}

static struct template *read_template(struct reader *reader,
                                      const struct doc_value *value)
{
    return names__template(reader, value, scope_of(reader));
}

bool outside__may_begin(const struct template *template,
                        const char *const *schemes)
{
    struct slice known = template_literal_prefix(template);
    CHECK(*schemes);
    for (; *schemes; schemes++) {
        struct slice scheme = slice_str(*schemes);
        if (slice_has_prefix(known, scheme))
            return true;
        if (!template_is_literal(template) && slice_has_prefix(scheme, known))
            return true;
    }
    return false;
}

/* ---- http --------------------------------------------------------------- */

static void read_method(struct reader *reader, const struct doc_value *value,
                        void *into)
{
    struct action *action = into;
    struct template *method = read_template(reader, value);
    action->method = method;
    if (!method || !template_is_literal(method))
        return;
    struct slice text = template_literal_prefix(method);
    bool is_plain = text.size > 0 && text.size <= 32;
    for (size_t i = 0; i < text.size; i++)
        is_plain = is_plain && text.at[i] >= 'A' && text.at[i] <= 'Z';
    if (!is_plain)
        reader__fail(reader, value,
                     "\"%.*s\" is no method: write it in capitals, GET, POST, "
                     "PUT, PATCH, DELETE",
                     SHOWN(text));
}

static void read_url(struct reader *reader, const struct doc_value *value,
                     void *into)
{
    static const char *const schemes[] = {"http://", "https://", NULL};
    struct action *action = into;
    action->url = read_template(reader, value);
    if (action->url && !outside__may_begin(action->url, schemes))
        reader__fail(reader, value,
                     "an address begins with http:// or https://");
}

static bool is_token(struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.at[i];
        if (c <= ' ' || c == 127 || strchr("\"(),/:;<=>?@[\\]{}", c))
            return false;
    }
    return name.size > 0;
}

static void read_headers(struct reader *reader, const struct doc_value *value,
                         void *into)
{
    struct slice text;
    if (value->kind != DOC_MAP) {
        reader__fail(reader, value,
                     "%s is here: write a map, headers: {accept: text/plain}",
                     doc_kind_text(value->kind));
        return;
    }
    for (size_t i = 0; i < value->count && !reader->err; i++) {
        const struct doc_member *member = &value->members[i];
        size_t mark = reader__enter(reader, member->name);
        if (!is_token(member->name))
            reader__fail_at(reader, member->line, member->column,
                            "\"%.*s\" can't be a header's name",
                            SHOWN(member->name));
        else
            reader__string(reader, member->value, &text);
        reader__leave(reader, mark);
    }
    if (!reader->err && value->count > 0)
        ((struct action *)into)->headers =
            form__read(reader, value, scope_of(reader));
}

static void read_json(struct reader *reader, const struct doc_value *value,
                      void *into)
{
    ((struct action *)into)->json = form__read(reader, value, scope_of(reader));
}

static void read_body(struct reader *reader, const struct doc_value *value,
                      void *into)
{
    struct action *action = into;
    if (value->kind == DOC_MAP || value->kind == DOC_LIST)
        reader__fail(reader, value, "%s is here: write it as json, or a text",
                     doc_kind_text(value->kind));
    action->body = read_template(reader, value);
    if (action->json)
        reader__fail(reader, value,
                     "json and body are both the body: leave one out");
}

static void read_redirects(struct reader *reader, const struct doc_value *value,
                           void *into)
{
    reader__bool(reader, value, &((struct action *)into)->redirects);
}

static const struct field http_fields[] = {
    {.name = "method", .read = read_method},
    {.name = "url",
     .read = read_url,
     .needed = "the address, url: https://example.org/hook"},
    {.name = "headers", .read = read_headers, .standard = "{}"},
    {.name = "json", .read = read_json},
    {.name = "body", .read = read_body},
    {.name = "redirects", .read = read_redirects, .standard = "false"},
};
const struct schema outside__http = {.what = "http",
                                     SCHEMA_FIELDS(http_fields)};

void outside__read_http(struct reader *reader, const struct doc_value *value,
                        void *into)
{
    struct action *action = into;
    struct expr_fault fault;
    reader__map(reader, value, &outside__http, 0, action);
    if (reader->err || action->method)
        return;
    struct slice method =
        action->json || action->body ? SLICE("POST") : SLICE("GET");
    enum err err = template_compile(
        reader->arena, method, &reader->recipe->names, &action->method, &fault);
    CHECK_EQ(err, ERR_OK);
}

/* ---- email -------------------------------------------------------------- */

static void read_server(struct reader *reader, const struct doc_value *value,
                        void *into)
{
    static const char *const schemes[] = {"smtp://", "smtps://", NULL};
    struct action *action = into;
    action->server = read_template(reader, value);
    if (action->server && !outside__may_begin(action->server, schemes))
        reader__fail(reader, value,
                     "a mail server's address begins with smtp:// or smtps://");
}

static void read_from(struct reader *reader, const struct doc_value *value,
                      void *into)
{
    ((struct action *)into)->from = read_template(reader, value);
}

static void read_to(struct reader *reader, const struct doc_value *value,
                    void *into)
{
    ((struct action *)into)->to =
        form__read_strings(reader, value, scope_of(reader));
}

static void read_subject(struct reader *reader, const struct doc_value *value,
                         void *into)
{
    ((struct action *)into)->subject = read_template(reader, value);
}

static void read_text(struct reader *reader, const struct doc_value *value,
                      void *into)
{
    ((struct action *)into)->text = read_template(reader, value);
}

static const struct field email_fields[] = {
    {.name = "server",
     .read = read_server,
     .needed = "the mail server, server: smtp://mail.example.org:25"},
    {.name = "from",
     .read = read_from,
     .needed = "who sends it, from: etched@example.org"},
    {.name = "to",
     .read = read_to,
     .needed = "who gets it, to: [ops@example.org]",
     .is_list = true},
    {.name = "subject", .read = read_subject, .needed = "a subject"},
    {.name = "text", .read = read_text, .needed = "a text"},
};
const struct schema outside__email = {.what = "email",
                                      SCHEMA_FIELDS(email_fields)};

void outside__read_email(struct reader *reader, const struct doc_value *value,
                         void *into)
{
    reader__map(reader, value, &outside__email, 0, into);
}

/* ---- exec --------------------------------------------------------------- */

static void read_arguments(struct reader *reader, const struct doc_value *value,
                           void *into)
{
    struct action *action = into;
    if (value->kind != DOC_LIST) {
        reader__fail(reader, value,
                     "%s is here: write a list, [/usr/bin/page, \"{{key}}\"]; "
                     "there is no shell",
                     doc_kind_text(value->kind));
        return;
    }
    action->arguments = form__read_strings(reader, value, scope_of(reader));
    if (reader->err)
        return;
    CHECK_LT(0, action->arguments->count);
    const struct form *program = &action->arguments->items[0];
    if (program->kind != FORM_CONSTANT || program->constant.text.size == 0) {
        size_t mark = reader__enter_item(reader, 0);
        reader__fail(reader, value->items[0],
                     "the program stands for itself, without {{ }}: what may "
                     "run is decided when the server is started");
        reader__leave(reader, mark);
    }
}

static void read_input(struct reader *reader, const struct doc_value *value,
                       void *into)
{
    ((struct action *)into)->input =
        form__read(reader, value, scope_of(reader));
}

static const struct field exec_fields[] = {
    {.name = "args",
     .read = read_arguments,
     .needed = "the program and its arguments, args: [/usr/bin/page, x]"},
    {.name = "input", .read = read_input},
};
const struct schema outside__exec = {.what = "exec",
                                     SCHEMA_FIELDS(exec_fields)};

void outside__read_exec(struct reader *reader, const struct doc_value *value,
                        void *into)
{
    if (value->kind == DOC_MAP)
        reader__map(reader, value, &outside__exec, 0, into);
    else
        read_arguments(reader, value, into);
}
