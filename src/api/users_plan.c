/* From what a request of /v2/auth says to a command, and back. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/users.h"
#include "base/check.h"
#include "doc/json_write.h"

/* ---- answers ----------------------------------------------------------- */

static void respond(struct api *api, struct http_exchange *exchange, int status)
{
    struct answer answer;
    answer__init(&answer, api, exchange, api__type_json);
    answer__add_cluster(&answer, api);
    answer__send(&answer, api, exchange, status);
}

void users__respond_message(struct api *api, struct http_exchange *exchange,
                            int status, const char *message)
{
    struct buf *out = api__body(api);
    buf_append_str(out, "{\"message\":");
    json_write_string(out, slice_str(message));
    buf_append_char(out, '}');
    respond(api, exchange, status);
}

/* ---- what a request says ------------------------------------------------- */

struct doc_value *users__read_json(struct api *api,
                                   struct http_exchange *exchange)
{
    struct doc_value *doc;
    if (doc_parse_json(exchange->arena, exchange->request.body,
                       &doc_limits_default, &doc) == ERR_OK &&
        doc->kind == DOC_MAP) {
        return doc;
    }
    users__respond_message(api, exchange, 400, "Invalid JSON in request body.");
    return NULL;
}

static const struct doc_value *get(const struct doc_value *doc,
                                   const char *name)
{
    const struct doc_value *found = NULL;
    for (size_t i = 0; doc != NULL && i < doc->count; i++) {
        if (slice_eq_nocase(doc->members[i].name, slice_str(name)) &&
            doc->members[i].value->kind != DOC_NULL) {
            found = doc->members[i].value;
        }
    }
    return found;
}

bool users__get_text(const struct doc_value *doc, const char *name,
                     struct slice *out)
{
    const struct doc_value *value = get(doc, name);
    *out = SLICE("");
    if (value == NULL) {
        return true;
    }
    *out = value->text;
    return value->kind == DOC_STRING;
}

bool users__get_names(struct arena *arena, const struct doc_value *doc,
                      const char *name, struct names *out)
{
    const struct doc_value *list = get(doc, name);
    *out = (struct names){.is_there = list != NULL};
    if (list == NULL) {
        return true;
    }
    if (list->kind != DOC_LIST || list->count > NAMES_MAX) {
        return false;
    }
    out->items = arena_alloc(arena, (list->count + 1) * sizeof(*out->items));
    for (size_t i = 0; i < list->count; i++) {
        const struct doc_value *item = list->items[i];
        if (item->kind != DOC_STRING) {
            return false;
        }
        out->items[out->count++] = item->text;
    }
    return true;
}

bool users__get_map(const struct doc_value *doc, const char *name,
                    const struct doc_value **out)
{
    *out = get(doc, name);
    return *out == NULL || (*out)->kind == DOC_MAP;
}

bool users__read_name(struct api *api, struct http_exchange *exchange,
                      struct slice rest, struct slice *name)
{
    if (rest.size > 0 && rest.at[rest.size - 1] == '/') {
        rest.size--;
    }
    *name = rest;
    if (slice_find(rest, '/') >= 0) {
        api__respond_message(api, exchange, 400, "Invalid path");
        return false;
    }
    if (rest.size > AUTH_NAME_BYTES_MAX || slice_find(rest, '\0') >= 0 ||
        !slice_is_utf8(rest)) {
        users__respond_message(api, exchange, 400,
                               "auth: a name is UTF-8, of up to 256 bytes, "
                               "without a NUL");
        return false;
    }
    return true;
}

/* ---- names --------------------------------------------------------------- */

static size_t find(const struct names *names, struct slice name)
{
    size_t i = 0;
    while (i < names->count && !slice_eq(names->items[i], name)) {
        i++;
    }
    return i;
}

bool names__have(const struct names *names, struct slice name)
{
    return find(names, name) < names->count;
}

static int compare(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

bool names__have_sorted(const struct names *names, struct slice name)
{
    return names->count > 0 && bsearch(&name, names->items, names->count,
                                       sizeof(*names->items), compare) != NULL;
}

void names__add(struct names *names, struct slice name)
{
    names->is_there = true;
    names->items[names->count++] = name;
}

void names__remove(struct names *names, struct slice name)
{
    size_t at = find(names, name);
    CHECK_LT(at, names->count);
    names->items[at] = names->items[--names->count];
}

struct names names__copy(struct arena *arena, const struct names *names,
                         size_t more)
{
    struct names copy = {
        .items =
            arena_alloc(arena, (names->count + more + 1) * sizeof(*copy.items)),
        .count = names->count,
        .is_there = true,
    };
    if (names->count > 0) {
        memcpy(copy.items, names->items, names->count * sizeof(*copy.items));
    }
    return copy;
}

void names__sort(struct names *names)
{
    if (names->count > 1) {
        qsort(names->items, names->count, sizeof(*names->items), compare);
    }
}

void names__write(struct buf *out, const struct names *names)
{
    if (!names->is_there) {
        buf_append_str(out, "null");
        return;
    }
    buf_append_char(out, '[');
    for (size_t i = 0; i < names->count; i++) {
        if (i > 0) {
            buf_append_char(out, ',');
        }
        json_write_string(out, names->items[i]);
    }
    buf_append_char(out, ']');
}

/* ---- plans --------------------------------------------------------------- */

void plan__add(struct plan *plan, const struct auth_change *change)
{
    if (plan->count == plan->capacity) {
        size_t capacity = plan->capacity * 2 + 8;
        struct auth_change *changes =
            arena_alloc(plan->arena, capacity * sizeof(*changes));
        if (plan->count > 0) {
            memcpy(changes, plan->changes, plan->count * sizeof(*changes));
        }
        plan->changes = changes;
        plan->capacity = capacity;
    }
    CHECK_LT(plan->count, plan->capacity);
    plan->changes[plan->count++] = *change;
}

bool plan__refuse(struct plan *plan, int status, const char *format, ...)
{
    struct buf text = {0};
    va_list args;
    CHECK(status >= 400 && plan->status == 0);
    buf_append_str(&text, "auth: ");
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    plan->status = status;
    plan->message = arena_printf(plan->arena, "%.*s", (int)text.size, text.at);
    buf_deinit(&text);
    return false;
}

void plan__respond(struct api *api, struct http_exchange *exchange,
                   const struct plan *plan, int status)
{
    if (plan->status != 0) {
        users__respond_message(api, exchange, plan->status, plan->message);
    } else {
        respond(api, exchange, status);
    }
}

/* What the store found wrong, since this member was behind or another client
 * was faster: its words, as v2 would have them. */
static void respond_refused(struct api *api, const struct job *done,
                            enum v3_error error)
{
    struct http_exchange *exchange = done->exchange;
    const struct slice prefix = SLICE("etcdserver: ");
    struct slice text = slice_str(v3_error_text(error));
    if (access__again(api, exchange, &done->caller)) {
        return;
    }
    if (error == V3_PERMISSION_DENIED || error == V3_USER_EMPTY ||
        error == V3_AUTH_OLD_REVISION) {
        access__refuse(api, exchange, &done->caller);
        return;
    }
    if (slice_has_prefix(text, prefix)) {
        text = slice_of(text.at + prefix.size, text.size - prefix.size);
    }
    users__respond_message(
        api, exchange, 409,
        arena_printf(exchange->arena, "auth: %.*s", (int)text.size, text.at));
}

static void finish(struct api *api, struct job *done)
{
    enum err err = done->write.err;
    enum v3_error error = V3_OK;
    if (err == ERR_OK) {
        error = done->write.answer.error;
        txn_answer_deinit(&done->write.answer);
    }
    if (done->exchange == NULL) {
        return;
    }
    if (err != ERR_OK) {
        users__respond_message(api, done->exchange, err_http_status(err),
                               err_text(err));
    } else if (error != V3_OK) {
        respond_refused(api, done, error);
    } else {
        buf_append_slice(api__body(api), done->body);
        respond(api, done->exchange, done->status);
    }
}

void plan__run(struct api *api, struct http_exchange *exchange,
               const struct plan *plan, int status)
{
    struct command command = {
        .type = COMMAND_AUTH,
        .user = api->caller.user,
        .auth_revision = api->caller.auth_revision,
        .auth = {.changes = plan->changes, .count = plan->count},
    };
    if (plan->status != 0) {
        users__respond_message(api, exchange, plan->status, plan->message);
        return;
    }
    CHECK_LT(0, plan->count);
    struct job *job = job__new(api, exchange, finish);
    job->status = status;
    job->body = slice_of(arena_dup(exchange->arena, api->out.at, api->out.size),
                         api->out.size);
    job__write(job, command_encode(&command));
}
