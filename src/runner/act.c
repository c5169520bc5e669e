/* A request, as the machine wrote it, to what the door takes. */
#include "base/time_text.h"
#include "runner/runner_core.h"

static struct slice text_of(const struct act_maker *maker, const char *name)
{
    const struct value *member = value_member(maker->parts, slice_str(name));
    return member &&
                   (member->kind == VALUE_STRING || member->kind == VALUE_BYTES)
               ? member->text
               : SLICE("");
}

/* A member with its secrets in it; the maker's. */
static struct slice filled(struct act_maker *maker, struct slice text)
{
    CHECK_LT(maker->filled_count, ACT_TEXTS_MAX);
    struct buf *out = &maker->filled[maker->filled_count++];
    secrets__put_in(maker->secrets, text, out);
    return buf_slice(out);
}

/* What stands on a line of its own: a line's end in it would begin another
 * one, of somebody else's making. */
static void append_line(struct act_maker *maker, struct buf *out,
                        struct slice text)
{
    struct buf line = {0};
    secrets__put_in(maker->secrets, text, &line);
    for (size_t i = 0; i < line.size; i++)
        if (line.at[i] == '\r' || line.at[i] == '\n' || line.at[i] == 0)
            line.at[i] = ' ';
    buf_append_slice(out, buf_slice(&line));
    if (line.at)
        explicit_bzero(line.at, line.capacity);
    buf_deinit(&line);
}

static void append_header(struct act_maker *maker, struct buf *out,
                          struct slice name, struct slice text)
{
    append_line(maker, out, name);
    buf_append_str(out, ": ");
    append_line(maker, out, text);
    buf_append_str(out, "\r\n");
}

static struct buf *next_text(struct act_maker *maker)
{
    CHECK_LT(maker->filled_count, ACT_TEXTS_MAX);
    return &maker->filled[maker->filled_count++];
}

static struct value fill_value(struct act_maker *maker, struct value value);

static struct value fill_map(struct act_maker *maker,
                             const struct value_map *from)
{
    struct value_map *map = arena_alloc(&maker->arena, sizeof *map);
    map->count = from->count;
    map->keys = from->keys;
    map->values =
        arena_alloc(&maker->arena, (map->count + 1) * sizeof *map->values);
    for (size_t i = 0; i < map->count; i++)
        map->values[i] = fill_value(maker, from->values[i]);
    return (struct value){.kind = VALUE_MAP, .map = map};
}

static struct value fill_value(struct act_maker *maker, struct value value)
{
    struct buf text = {0};
    struct value_list *list;
    switch (value.kind) {
    case VALUE_STRING:
        secrets__put_in(maker->secrets, value.text, &text);
        value.text = slice_of(
            arena_dup(&maker->arena, text.size ? text.at : "", text.size),
            text.size);
        buf_deinit(&text);
        return value;
    case VALUE_LIST:
        list = arena_alloc(&maker->arena, sizeof *list);
        list->count = value.list->count;
        list->items =
            arena_alloc(&maker->arena, (list->count + 1) * sizeof *list->items);
        for (size_t i = 0; i < list->count; i++)
            list->items[i] = fill_value(maker, value.list->items[i]);
        value.list = list;
        return value;
    case VALUE_MAP:
        return fill_map(maker, value.map);
    default:
        return value;
    }
}

/* `json` with its secrets in it before it becomes text, lest one with a quote
 * in it end a string. */
static struct slice make_body(struct act_maker *maker, const char **type)
{
    const struct value *json = value_member(maker->parts, SLICE("json"));
    *type = NULL;
    if (!json) {
        struct slice body = filled(maker, text_of(maker, "body"));
        if (body.size)
            *type = "text/plain; charset=utf-8";
        return body;
    }
    struct buf *out = next_text(maker);
    struct value value = fill_value(maker, *json);
    value_write_json(out, &value);
    *type = "application/json";
    return buf_slice(out);
}

/* True where there is a header of that name. */
static bool append_headers(struct act_maker *maker, struct buf *out,
                           struct slice wanted)
{
    const struct value *map = value_member(maker->parts, SLICE("headers"));
    bool is_there = false;
    if (!map || map->kind != VALUE_MAP)
        return false;
    for (size_t i = 0; i < map->map->count; i++) {
        const struct value *name = &map->map->keys[i];
        if (name->kind != VALUE_STRING)
            continue;
        is_there = is_there || slice_eq_nocase(name->text, wanted);
        if (!out)
            continue;
        struct buf text = {0};
        value_write_text(&text, &map->map->values[i]);
        append_header(maker, out, name->text, buf_slice(&text));
        buf_deinit(&text);
    }
    return is_there;
}

static const char *make_http(struct act_maker *maker, struct act *out)
{
    struct slice method = text_of(maker, "method");
    const char *type;
    out->kind = ACT_HTTP;
    out->method = method.size ? filled(maker, method) : SLICE("GET");
    out->url = filled(maker, text_of(maker, "url"));
    out->body = make_body(maker, &type);
    const struct value *redirects =
        value_member(maker->parts, SLICE("redirects"));
    out->redirects =
        redirects && redirects->kind == VALUE_BOOL && redirects->boolean;
    struct buf *headers = next_text(maker);
    bool has_key = append_headers(maker, headers, SLICE("idempotency-key"));
    if (!has_key && maker->idempotency_key.size)
        append_header(maker, headers, SLICE("Idempotency-Key"),
                      maker->idempotency_key);
    if (type && !append_headers(maker, NULL, SLICE("content-type")))
        append_header(maker, headers, SLICE("Content-Type"), slice_str(type));
    out->headers = buf_slice(headers);
    return out->url.size ? NULL : "it has no address";
}

/* "Sun, 22 Nov 2026 22:53:09 +0000" (RFC 5322, 3.3). */
static void append_date(struct buf *out, int64_t wall_ns)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    static const char days[] = "ThuFriSatSunMonTueWed"; /* 1970-01-01: Thu */
    char text[TIME_TEXT_BYTES_MAX];
    int64_t seconds = wall_ns / SECOND_NS;
    time_to_rfc3339(seconds * SECOND_NS, text); /* 2026-11-22T22:53:09Z */
    int month = (text[5] - '0') * 10 + text[6] - '0';
    int day = (int)(seconds / 86400 % 7);
    buf_printf(out, "%.3s, %.2s %.3s %.4s %.8s +0000",
               days + (ptrdiff_t)day * 3, text + 8,
               names + (ptrdiff_t)(month - 1) * 3, text, text + 11);
}

static void append_body(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.at[i] == '\r')
            continue;
        if (text.at[i] == '\n')
            buf_append_char(out, '\r');
        buf_append_char(out, text.at[i]);
    }
    buf_append_str(out, "\r\n");
}

static bool is_ascii(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.at[i] >= 128)
            return false;
    return true;
}

static void append_base64(struct buf *out, struct slice bytes)
{
    struct value value = {.kind = VALUE_BYTES, .text = bytes};
    value_write_text(out, &value);
}

static void append_subject(struct act_maker *maker, struct buf *out)
{
    struct slice subject = text_of(maker, "subject");
    if (is_ascii(subject)) {
        append_header(maker, out, SLICE("Subject"), subject);
        return;
    }
    /* RFC 2047: pieces of at most 42 bytes, cut between characters. */
    buf_append_str(out, "Subject:");
    for (size_t at = 0; at < subject.size;) {
        size_t size = subject.size - at < 42 ? subject.size - at : 42;
        while (size > 1 && at + size < subject.size &&
               ((unsigned char)subject.at[at + size] & 0xc0) == 0x80)
            size--;
        buf_append_str(out, at ? "\r\n =?utf-8?B?" : " =?utf-8?B?");
        append_base64(out, slice_of(subject.at + at, size));
        buf_append_str(out, "?=");
        at += size;
    }
    buf_append_str(out, "\r\n");
}

static void append_message(struct act_maker *maker, const struct act *act,
                           struct buf *out)
{
    append_header(maker, out, SLICE("From"), text_of(maker, "from"));
    buf_append_str(out, "To: ");
    for (size_t i = 0; i < act->to_count; i++) {
        if (i)
            buf_append_str(out, ",\r\n ");
        append_line(maker, out, act->to[i]);
    }
    buf_append_str(out, "\r\n");
    append_subject(maker, out);
    buf_append_str(out, "Date: ");
    append_date(out, maker->wall_ns);
    buf_append_str(out, "\r\nMessage-ID: <");
    for (size_t i = 0; i < maker->idempotency_key.size; i++) {
        char c = maker->idempotency_key.at[i];
        bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                        (c >= 'A' && c <= 'Z') || c == '-';
        buf_append_char(out, is_plain ? c : '.');
    }
    buf_append_str(out, "@etched>\r\nMIME-Version: 1.0\r\n"
                        "Content-Type: text/plain; charset=utf-8\r\n"
                        "Content-Transfer-Encoding: 8bit\r\n\r\n");
    append_body(out, filled(maker, text_of(maker, "text")));
}

/* A list of texts, with their secrets. */
static const struct slice *make_list(struct act_maker *maker, const char *name,
                                     size_t *count)
{
    const struct value *list = value_member(maker->parts, slice_str(name));
    *count = 0;
    if (!list || list->kind != VALUE_LIST)
        return NULL;
    for (size_t i = 0; i < list->list->count && i < ACT_LIST_MAX; i++) {
        struct buf text = {0};
        value_write_text(&text, &list->list->items[i]);
        maker->list[(*count)++] = filled(maker, buf_slice(&text));
        buf_deinit(&text);
    }
    return maker->list;
}

static const char *make_email(struct act_maker *maker, struct act *out)
{
    out->kind = ACT_EMAIL;
    out->server = filled(maker, text_of(maker, "server"));
    out->from = filled(maker, text_of(maker, "from"));
    out->to = make_list(maker, "to", &out->to_count);
    struct buf *message = next_text(maker);
    append_message(maker, out, message);
    out->message = buf_slice(message);
    if (!out->server.size)
        return "it has no server";
    return out->to_count ? NULL : "it has nobody to go to";
}

static const char *make_exec(struct act_maker *maker, struct act *out)
{
    out->kind = ACT_EXEC;
    out->arguments = make_list(maker, "arguments", &out->argument_count);
    out->input = filled(maker, text_of(maker, "input"));
    return out->argument_count ? NULL : "it has no program";
}

const char *act__make(struct act_maker *maker, struct act *out)
{
    *out = (struct act){.timeout_ns = maker->timeout_ns};
    arena_init(&maker->arena, 0);
    switch (maker->kind) {
    case ACTION_HTTP:
        return make_http(maker, out);
    case ACTION_EMAIL:
        return make_email(maker, out);
    case ACTION_EXEC:
        return make_exec(maker, out);
    default:
        UNREACHABLE();
    }
}

void act__unmake(struct act_maker *maker)
{
    for (size_t i = 0; i < maker->filled_count; i++) {
        struct buf *text = &maker->filled[i];
        if (text->at)
            explicit_bzero(text->at, text->capacity);
        buf_deinit(text);
    }
    maker->filled_count = 0;
    arena_deinit(&maker->arena);
}
