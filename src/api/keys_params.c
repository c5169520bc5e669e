/* What a request about keys asks for: the fields of its form and its query,
 * read as etcd reads them, in its order, with its words for what is wrong. */
#include "api/api_int.h"
#include "base/check.h"

/* ---- the body's type ---------------------------------------------------- */

static bool is_token_char(char c)
{
    return c > ' ' && c < 0x7f && strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

/* Cuts the leading token off *rest. */
static struct slice take_token(struct slice *rest)
{
    size_t size = 0;
    while (size < rest->size && is_token_char(rest->at[size])) {
        size++;
    }
    struct slice token = slice_of(rest->at, size);
    *rest = slice_of(rest->at + size, rest->size - size);
    return token;
}

static struct slice skip_space(struct slice text)
{
    while (text.size > 0 && (text.at[0] == ' ' || text.at[0] == '\t')) {
        text = slice_of(text.at + 1, text.size - 1);
    }
    return text;
}

static bool take_char(struct slice *rest, char c)
{
    if (rest->size == 0 || rest->at[0] != c) {
        return false;
    }
    *rest = slice_of(rest->at + 1, rest->size - 1);
    return true;
}

/* The string behind its opening quote; false when it isn't closed. */
static bool take_quoted(struct slice *rest)
{
    while (rest->size > 0) {
        char c = rest->at[0];
        size_t step = c == '\\' && rest->size > 1 ? 2 : 1;
        *rest = slice_of(rest->at + step, rest->size - step);
        if (c == '"') {
            return true;
        }
    }
    return false;
}

/* One ";name=value"; false when it is none. */
static bool take_parameter(struct slice *rest)
{
    if (!take_char(rest, ';')) {
        return false;
    }
    *rest = skip_space(*rest);
    if (take_token(rest).size == 0) {
        return false;
    }
    *rest = skip_space(*rest);
    if (!take_char(rest, '=')) {
        return false;
    }
    *rest = skip_space(*rest);
    if (take_char(rest, '"')) {
        return take_quoted(rest);
    }
    return take_token(rest).size > 0;
}

/* type "/" subtype, as RFC 2045 has it. */
static const char *check_type(struct slice type)
{
    if (take_token(&type).size == 0) {
        return "mime: no media type";
    }
    if (type.size == 0) {
        return NULL;
    }
    if (!take_char(&type, '/')) {
        return "mime: expected slash after first token";
    }
    if (take_token(&type).size == 0) {
        return "mime: expected token after slash";
    }
    return type.size == 0 ? NULL
                          : "mime: unexpected content after media subtype";
}

const char *media_type_parse(struct slice value, bool *is_form)
{
    const struct slice form = SLICE("application/x-www-form-urlencoded");
    *is_form = slice_eq(value, form);
    if (*is_form || value.size == 0) {
        return NULL;
    }
    ptrdiff_t end = slice_find(value, ';');
    size_t size = end < 0 ? value.size : (size_t)end;
    struct slice rest = slice_of(value.at + size, value.size - size);
    struct slice type = skip_space(slice_of(value.at, size));
    while (type.size > 0 &&
           (type.at[type.size - 1] == ' ' || type.at[type.size - 1] == '\t')) {
        type.size--;
    }
    *is_form = slice_eq_nocase(type, form);
    const char *error = check_type(type);
    while (error == NULL && (rest = skip_space(rest)).size > 0) {
        if (rest.size == 1 && rest.at[0] == ';') {
            break; /* one too many, which does no harm */
        }
        if (!take_parameter(&rest)) {
            error = "mime: invalid media parameter";
        }
    }
    return error;
}

/* ---- the form ----------------------------------------------------------- */

static bool bad_form(struct http_exchange *exchange, const char *why,
                     struct v2_error *error)
{
    *error = (struct v2_error){
        .code = V2_INVALID_FORM,
        .cause = slice_str(arena_printf(exchange->arena, "%s", why)),
    };
    return false;
}

bool keys__form(struct http_exchange *exchange, struct form *form,
                struct v2_error *error)
{
    const struct http_request *request = &exchange->request;
    *form = (struct form){0};
    if (request->method == HTTP_PUT || request->method == HTTP_POST) {
        bool is_form = false;
        const char *why = media_type_parse(
            http_header_get(request, "Content-Type"), &is_form);
        if (why != NULL) {
            return bad_form(exchange, why, error);
        }
        if (is_form &&
            form_parse(exchange->arena, request->body, form) != ERR_OK) {
            return bad_form(exchange, err_note(), error);
        }
    }
    if (request->query.size > 0 &&
        form_parse(exchange->arena, request->query, form) != ERR_OK) {
        return bad_form(exchange, err_note(), error);
    }
    return true;
}

/* ---- its fields --------------------------------------------------------- */

static bool refuse(struct v2_error *error, int code, struct slice cause)
{
    *error = (struct v2_error){.code = code, .cause = cause};
    return false;
}

/* Go's ParseBool. */
static bool to_bool(struct slice text, bool *out)
{
    static const char *const words[] = {"1",    "t",     "T",     "TRUE",
                                        "true", "True",  "0",     "f",
                                        "F",    "FALSE", "false", "False"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (slice_eq(text, slice_str(words[i]))) {
            *out = i < 6;
            return true;
        }
    }
    return false;
}

static bool get_bool(const struct form *form, const char *name, bool *out)
{
    const struct form_field *field = form_get(form, name);
    return field == NULL || to_bool(field->value, out);
}

static bool get_u64(const struct form *form, const char *name, uint64_t *out)
{
    const struct form_field *field = form_get(form, name);
    return field == NULL || slice_to_u64(field->value, out);
}

static struct slice get_text(const struct form *form, const char *name)
{
    const struct form_field *field = form_get(form, name);
    return field == NULL ? SLICE("") : field->value;
}

static bool read_indexes(const struct form *form, struct keys_params *params,
                         struct v2_error *error)
{
    if (!get_u64(form, "prevIndex", &params->prev_index)) {
        return refuse(error, V2_INDEX_NAN,
                      SLICE("invalid value for \"prevIndex\""));
    }
    if (!get_u64(form, "waitIndex", &params->wait_index)) {
        return refuse(error, V2_INDEX_NAN,
                      SLICE("invalid value for \"waitIndex\""));
    }
    return true;
}

static bool read_flags(const struct form *form, struct keys_params *params,
                       struct v2_error *error)
{
    /* What is listed is sorted in any case. */
    bool unused;
    struct {
        const char *name;
        bool *to;
        struct slice cause;
    } flags[] = {
        {"recursive", &params->recursive,
         SLICE("invalid value for \"recursive\"")},
        {"sorted", &unused, SLICE("invalid value for \"sorted\"")},
        {"wait", &params->wait, SLICE("invalid value for \"wait\"")},
        {"dir", &params->dir, SLICE("invalid value for \"dir\"")},
        {"quorum", &params->quorum, SLICE("invalid value for \"quorum\"")},
        {"stream", &params->stream, SLICE("invalid value for \"stream\"")},
    };
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (!get_bool(form, flags[i].name, flags[i].to)) {
            return refuse(error, V2_INVALID_FIELD, flags[i].cause);
        }
    }
    return true;
}

static bool read_previous(const struct form *form, struct keys_params *params,
                          struct v2_error *error)
{
    const struct form_field *field = form_get(form, "prevValue");
    params->prev_value = get_text(form, "prevValue");
    if (field != NULL && field->value.size == 0) {
        return refuse(error, V2_PREV_VALUE_REQUIRED,
                      SLICE("\"prevValue\" cannot be empty"));
    }
    if (!get_bool(form, "noValueOnSuccess", &params->no_value_on_success)) {
        return refuse(error, V2_INVALID_FIELD,
                      SLICE("invalid value for \"noValueOnSuccess\""));
    }
    return true;
}

/* An empty ttl is none: that is how it is taken away. */
static bool read_ttl(const struct form *form, struct keys_params *params,
                     struct v2_error *error)
{
    params->has_ttl = get_text(form, "ttl").size > 0;
    if (params->has_ttl && !get_u64(form, "ttl", &params->ttl_s)) {
        return refuse(error, V2_TTL_NAN, SLICE("invalid value for \"ttl\""));
    }
    params->has_prev_exist = form_get(form, "prevExist") != NULL;
    if (!get_bool(form, "prevExist", &params->prev_exist)) {
        return refuse(error, V2_INVALID_FIELD,
                      SLICE("invalid value for prevExist"));
    }
    return true;
}

static bool read_refresh(const struct form *form, struct keys_params *params,
                         struct v2_error *error)
{
    params->value = get_text(form, "value");
    if (!get_bool(form, "refresh", &params->refresh)) {
        return refuse(error, V2_INVALID_FIELD,
                      SLICE("invalid value for refresh"));
    }
    if (params->refresh && params->value.size > 0) {
        return refuse(error, V2_REFRESH_VALUE,
                      SLICE("A value was provided on a refresh"));
    }
    if (params->refresh && !params->has_ttl) {
        return refuse(error, V2_REFRESH_TTL_REQUIRED,
                      SLICE("No TTL value set"));
    }
    return true;
}

bool keys__params(const struct form *form, bool is_get,
                  struct keys_params *params, struct v2_error *error)
{
    *params = (struct keys_params){.value = SLICE(""), .prev_value = SLICE("")};
    if (form->count == 0) {
        return true;
    }
    if (!read_indexes(form, params, error) ||
        !read_flags(form, params, error)) {
        return false;
    }
    if (params->wait && !is_get) {
        return refuse(error, V2_INVALID_FIELD,
                      SLICE("\"wait\" can only be used with GET requests"));
    }
    return read_previous(form, params, error) &&
           read_ttl(form, params, error) && read_refresh(form, params, error);
}
