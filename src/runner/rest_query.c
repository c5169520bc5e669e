/* What stands in a request: its path, its query, its headers, its body. */
#include "base/check.h"
#include "base/time_text.h"
#include "runner/rest_int.h"

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* %20 and, in a query, '+'. False: a '%' without two digits. */
static bool decode(struct request *request, struct slice text, bool is_query,
                   struct slice *out)
{
    char *to = arena_alloc(&request->arena, text.size + 1);
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.at[i];
        if (c == '%') {
            bool is_whole = i + 2 < text.size;
            int high = is_whole ? hex_digit(text.at[i + 1]) : -1;
            int low = is_whole ? hex_digit(text.at[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && is_query) {
            c = ' ';
        }
        to[size++] = c;
    }
    *out = slice_of(to, size);
    return true;
}

/* The piece before the next `by`; `rest` goes on after it. */
static struct slice cut(struct slice *rest, char by)
{
    ptrdiff_t at = slice_find(*rest, by);
    struct slice piece = *rest;
    if (at < 0) {
        *rest = (struct slice){0};
        return piece;
    }
    piece.size = (size_t)at;
    rest->at += at + 1;
    rest->size -= (size_t)at + 1;
    return piece;
}

bool rest__read_path(struct request *request)
{
    struct slice rest = request->asked.path;
    if (rest.size > 0 && rest.at[rest.size - 1] == '/') {
        rest.size--;
    }
    while (rest.size > 0) {
        struct slice piece = cut(&rest, '/');
        if (request->segment_count == REST_SEGMENTS_MAX || piece.size == 0 ||
            !decode(request, piece, false,
                    &request->segments[request->segment_count])) {
            return false;
        }
        request->segment_count++;
    }
    return true;
}

static bool is_allowed(struct slice name, const char *allowed)
{
    struct slice rest = slice_str(allowed);
    while (rest.size > 0) {
        if (slice_eq(cut(&rest, ' '), name)) {
            return true;
        }
    }
    return false;
}

static bool read_parameter(struct request *request, struct slice piece,
                           const char *allowed)
{
    struct parameter *parameter =
        &request->parameters[request->parameter_count];
    struct slice value = piece;
    struct slice name = cut(&value, '=');
    if (request->parameter_count == REST_PARAMETERS_MAX ||
        !decode(request, name, true, &parameter->name) ||
        !decode(request, value, true, &parameter->value)) {
        rest__error(request, 400, "invalid", "the query can't be read");
        return false;
    }
    if (!is_allowed(parameter->name, allowed)) {
        rest__error(request, 400, "invalid",
                    "no parameter \"%.*s\" is known here%s%s",
                    (int)parameter->name.size, parameter->name.at,
                    *allowed ? ": write " : "", allowed);
        return false;
    }
    request->parameter_count++;
    return true;
}

bool rest__read_query(struct request *request, const char *allowed)
{
    struct slice rest = request->asked.query;
    while (rest.size > 0) {
        struct slice piece = cut(&rest, '&');
        if (piece.size > 0 && !read_parameter(request, piece, allowed)) {
            return false;
        }
    }
    return true;
}

struct slice rest__parameter(const struct request *request, const char *name)
{
    for (size_t i = 0; i < request->parameter_count; i++) {
        if (slice_eq(request->parameters[i].name, slice_str(name))) {
            return request->parameters[i].value;
        }
    }
    return (struct slice){0};
}

struct slice rest__header(const struct request *request, struct slice name)
{
    for (size_t i = 0; i < request->asked.header_count; i++) {
        if (slice_eq(request->asked.headers[i].name, name)) {
            return request->asked.headers[i].value;
        }
    }
    return (struct slice){0};
}

bool rest__time(struct request *request, const char *name, int64_t *out)
{
    struct slice text = rest__parameter(request, name);
    int64_t ago;
    if (text.size == 0 || time_from_rfc3339(text, out)) {
        return true;
    }
    if (recipe_duration(text, &ago)) {
        *out = runner__now(request->runner).wall_ns - ago;
        return true;
    }
    rest__error(request, 400, "invalid",
                "%s: write a moment, 2026-12-24T18:00:00Z, or how long ago, 5m",
                name);
    return false;
}

bool rest__flag(struct request *request, const char *name, bool *out)
{
    struct slice text = rest__parameter(request, name);
    *out = slice_eq(text, SLICE("true"));
    if (*out || text.size == 0 || slice_eq(text, SLICE("false"))) {
        return true;
    }
    rest__error(request, 400, "invalid", "%s: write true or false", name);
    return false;
}

bool rest__number(struct request *request, const char *name, int64_t least,
                  int64_t most, int64_t *out)
{
    struct slice text = rest__parameter(request, name);
    int64_t number;
    if (text.size == 0) {
        return true;
    }
    if (!slice_to_i64(text, &number) || number < least || number > most) {
        rest__error(request, 400, "invalid",
                    "%s: write a number from %lld to %lld", name,
                    (long long)least, (long long)most);
        return false;
    }
    *out = number;
    return true;
}

bool rest__body(struct request *request, struct doc_value **out)
{
    struct slice body = request->asked.body;
    enum err err;
    while (body.size > 0 && (*body.at == ' ' || *body.at == '\n' ||
                             *body.at == '\r' || *body.at == '\t')) {
        body.at++;
        body.size--;
    }
    body = body.size ? body : SLICE("{}");
    err = *body.at == '{'
              ? doc_parse_json(&request->arena, body, &doc_limits_default, out)
              : doc_parse_yaml(&request->arena, body, &doc_limits_default, out);
    if (err == ERR_OK && (*out)->kind != DOC_MAP) {
        err = err_set(ERR_INVALID, "%s is here: write a map",
                      doc_kind_text((*out)->kind));
    }
    if (err != ERR_OK) {
        rest__error(request, 400, "invalid", "the body: %s", err_note());
        return false;
    }
    return true;
}

bool rest__members(struct request *request, const struct doc_value *map,
                   const char *allowed)
{
    for (size_t i = 0; i < map->count; i++) {
        struct slice name = map->members[i].name;
        if (!is_allowed(name, allowed)) {
            rest__error(request, 400, "invalid",
                        "the body: \"%.*s\" is unknown: write %s",
                        (int)name.size, name.at, allowed);
            return false;
        }
    }
    return true;
}
