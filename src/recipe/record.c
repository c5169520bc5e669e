/* What a machine writes down, as JSON, and how it reads it again: records of
 * runs for people, runs under way and events for itself. */
#include <stdlib.h>

#include "base/check.h"
#include "base/time_text.h"
#include "recipe/machine_int.h"

enum {
    PACK_DEPTH_MAX = 200, /* of lists in lists; JSON's reader has its bound */
};

static const struct doc_limits limits = {
    .bytes_max = 8 << 20, .depth_max = 1000, .values_max = 1000000};

enum err record__parse(struct arena *arena, struct slice text,
                       struct doc_value **out)
{
    return doc_parse_json(arena, text, &limits, out);
}

/* ---- texts and numbers -------------------------------------------------- */

void record__string(struct buf *out, struct slice text)
{
    if (slice_is_utf8(text)) {
        struct value value = value_string(text);
        value_write_json(out, &value);
        return;
    }
    buf_append_str(out, "{\"hex\":\"");
    for (size_t i = 0; i < text.size; i++)
        buf_printf(out, "%02x", (unsigned char)text.at[i]);
    buf_append_str(out, "\"}");
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool record__text(struct arena *arena, const struct doc_value *doc,
                  struct slice *out)
{
    const struct doc_value *hex = doc ? doc_get(doc, "hex") : NULL;
    *out = SLICE("");
    if (doc && doc->kind == DOC_STRING) {
        *out = doc->text;
        return true;
    }
    if (!hex || hex->kind != DOC_STRING || hex->text.size % 2)
        return false;
    char *bytes = arena_alloc(arena, hex->text.size / 2 + 1);
    for (size_t i = 0; i < hex->text.size; i += 2) {
        int high = digit_of(hex->text.at[i]);
        int low = digit_of(hex->text.at[i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i / 2] = (char)(high << 4 | low);
    }
    *out = slice_of(bytes, hex->text.size / 2);
    return true;
}

bool record__number(const struct doc_value *map, const char *name, int64_t *out)
{
    const struct doc_value *number = doc_get(map, name);
    if (!number || number->kind != DOC_INT)
        return false;
    *out = number->integer;
    return true;
}

void record__time(struct buf *out, int64_t time_ns)
{
    char text[TIME_TEXT_BYTES_MAX];
    size_t size = time_to_rfc3339(time_ns, text);
    buf_append_char(out, '"');
    buf_append(out, text, size);
    buf_append_char(out, '"');
}

static void write_text(struct buf *out, const char *name, struct slice text)
{
    if (text.size == 0)
        return;
    buf_printf(out, ",\"%s\":", name);
    record__string(out, text);
}

static void write_number(struct buf *out, const char *name, int64_t number)
{
    buf_printf(out, ",\"%s\":%lld", name, (long long)number);
}

static void write_id(struct buf *out, const char *name, const struct run_id *id)
{
    char text[RUN_ID_BYTES_MAX];
    size_t size = run_id_to_text(id, text);
    buf_printf(out, "\"%s\":\"%.*s\"", name, (int)size, text);
}

/* A moment, a count: nothing of ours is less than 0, or so far away that a
 * duration can't be added to it. */
static bool read_natural(const struct doc_value *doc, const char *name,
                         int64_t *out)
{
    return record__number(doc, name, out) && *out >= 0 && *out < INT64_MAX / 2;
}

static bool read_id(const struct doc_value *doc, const char *name,
                    struct run_id *out)
{
    const struct doc_value *id = doc_get(doc, name);
    return id && id->kind == DOC_STRING && run_id_parse(id->text, out);
}

static struct slice read_text(struct arena *arena, const struct doc_value *doc,
                              const char *name)
{
    struct slice text;
    record__text(arena, doc_get(doc, name), &text);
    return text;
}

static int64_t read_number(const struct doc_value *doc, const char *name)
{
    int64_t number = 0;
    record__number(doc, name, &number);
    return number;
}

/* ---- values with their kinds -------------------------------------------- */

/* JSON has no such kind: {"$": kind, "v": ..}. */
static void pack_other(struct buf *out, const struct value *value)
{
    buf_printf(out, "{\"$\":\"%s\",\"v\":", value_kind_text(value->kind));
    switch (value->kind) {
    case VALUE_UINT:
        buf_printf(out, "\"%llu\"", (unsigned long long)value->natural);
        break;
    case VALUE_DOUBLE:
        buf_printf(out, "\"%.17g\"", value->number);
        break;
    case VALUE_TIMESTAMP:
    case VALUE_DURATION:
    case VALUE_TYPE:
        buf_append_i64(out, value->integer);
        break;
    case VALUE_BYTES:
    case VALUE_ERROR:
        record__string(out, value->text);
        break;
    default:
        buf_append_str(out, "null");
    }
    buf_append_char(out, '}');
}

static bool is_plain(const struct value_map *map)
{
    for (size_t i = 0; i < map->count; i++) {
        if (map->keys[i].kind != VALUE_STRING ||
            slice_eq(map->keys[i].text, SLICE("$")))
            return false;
    }
    return true;
}

static void pack(struct buf *out, const struct value *value, unsigned depth);

static void pack_map(struct buf *out, const struct value_map *map,
                     unsigned depth)
{
    bool plain = is_plain(map);
    buf_append_str(out, plain ? "{" : "{\"$\":\"map\",\"v\":[");
    for (size_t i = 0; i < map->count; i++) {
        if (i)
            buf_append_char(out, ',');
        pack(out, &map->keys[i], depth + 1);
        buf_append_char(out, plain ? ':' : ',');
        pack(out, &map->values[i], depth + 1);
    }
    buf_append_str(out, plain ? "}" : "]}");
}

static void pack_list(struct buf *out, const struct value_list *list,
                      unsigned depth)
{
    buf_append_char(out, '[');
    for (size_t i = 0; i < list->count; i++) {
        if (i)
            buf_append_char(out, ',');
        pack(out, &list->items[i], depth + 1);
    }
    buf_append_char(out, ']');
}

static void pack(struct buf *out, const struct value *value, unsigned depth)
{
    if (depth > PACK_DEPTH_MAX) {
        buf_append_str(out, "{\"$\":\"error\",\"v\":\"it is too deep\"}");
        return;
    }
    switch (value->kind) {
    case VALUE_NULL:
    case VALUE_BOOL:
    case VALUE_INT:
    case VALUE_STRING:
        value_write_json(out, value);
        return;
    case VALUE_LIST:
        pack_list(out, value->list, depth);
        return;
    case VALUE_MAP:
        pack_map(out, value->map, depth);
        return;
    default:
        pack_other(out, value);
    }
}

void record__pack(struct buf *out, const struct value *value)
{
    pack(out, value, 0);
}

static enum value_kind kind_of(struct slice text)
{
    for (unsigned i = 0; i < VALUE_ABSENT; i++) {
        enum value_kind kind = (enum value_kind)i;
        if (slice_eq(text, slice_str(value_kind_text(kind))))
            return kind;
    }
    return VALUE_ABSENT;
}

static struct value unpack_pairs(struct arena *arena,
                                 const struct doc_value *list)
{
    struct value_map *map = arena_alloc(arena, sizeof *map);
    map->count = list->kind == DOC_LIST ? list->count / 2 : 0;
    map->keys = arena_alloc(arena, (map->count + 1) * sizeof *map->keys);
    map->values = arena_alloc(arena, (map->count + 1) * sizeof *map->values);
    for (size_t i = 0; i < map->count; i++) {
        map->keys[i] = record__unpack(arena, list->items[2 * i]);
        map->values[i] = record__unpack(arena, list->items[2 * i + 1]);
    }
    return (struct value){.kind = VALUE_MAP, .map = map};
}

static struct value unpack_other(struct arena *arena, struct slice kind,
                                 const struct doc_value *worth)
{
    struct value value = {.kind = kind_of(kind)};
    char number[64] = "";
    switch (value.kind) {
    case VALUE_UINT:
        slice_to_u64(worth->text, &value.natural);
        return value;
    case VALUE_DOUBLE:
        if (worth->text.size < sizeof number)
            memcpy(number, worth->text.at, worth->text.size);
        value.number = strtod(number, NULL);
        return value;
    case VALUE_BYTES:
    case VALUE_ERROR:
        record__text(arena, worth, &value.text);
        return value;
    case VALUE_MAP:
        return unpack_pairs(arena, worth);
    default:
        value.integer = worth->integer;
        return value;
    }
}

static struct value unpack_map(struct arena *arena, const struct doc_value *doc)
{
    struct value_map *map = arena_alloc(arena, sizeof *map);
    map->count = doc->count;
    map->keys = arena_alloc(arena, (map->count + 1) * sizeof *map->keys);
    map->values = arena_alloc(arena, (map->count + 1) * sizeof *map->values);
    for (size_t i = 0; i < map->count; i++) {
        map->keys[i] = value_string(doc->members[i].name);
        map->values[i] = record__unpack(arena, doc->members[i].value);
    }
    return (struct value){.kind = VALUE_MAP, .map = map};
}

struct value record__unpack(struct arena *arena, const struct doc_value *doc)
{
    const struct doc_value *kind = doc_get(doc, "$");
    const struct doc_value *worth = doc_get(doc, "v");
    if (kind && worth && kind->kind == DOC_STRING)
        return unpack_other(arena, kind->text, worth);
    if (doc->kind == DOC_MAP)
        return unpack_map(arena, doc);
    if (doc->kind != DOC_LIST)
        return value_from_doc(arena, doc);
    struct value_list *list = arena_alloc(arena, sizeof *list);
    list->count = doc->count;
    list->items = arena_alloc(arena, (doc->count + 1) * sizeof *list->items);
    for (size_t i = 0; i < doc->count; i++)
        list->items[i] = record__unpack(arena, doc->items[i]);
    return (struct value){.kind = VALUE_LIST, .list = list};
}

/* ---- events ------------------------------------------------------------- */

void record__write_event(const struct machine *machine, struct buf *out,
                         const struct scene_event *event)
{
    const struct recipe_event *its = &event->event;
    bool is_put = its->type & EVENT_PUT;
    buf_append_str(out, "{");
    write_id(out, "id", &its->id);
    buf_append_str(out, ",\"key\":");
    record__string(out, its->key);
    buf_printf(out, ",\"type\":\"%s\"", event_type_text(its->type));
    write_number(out, "time", its->time_ns);
    write_number(out, "mod", its->mod_revision);
    write_number(out, "look", event->look);
    write_number(out, "put", event->put);
    if (its->depth)
        write_number(out, "depth", its->depth);
    write_text(out, "cause", its->cause);
    write_text(out, "parent", its->parent);
    if (event->has_raw && (machine->reads_value || !is_put)) {
        buf_append_str(out, ",\"raw\":");
        record__string(out, its->raw);
    }
    if (event->knows_prev && machine->reads_prev) {
        buf_append_str(out, ",\"prev\":");
        if (its->has_prev)
            record__string(out, its->prev);
        else
            buf_append_str(out, "null");
    }
    buf_append_char(out, '}');
}

static bool read_type(const struct doc_value *doc, enum event_type *out)
{
    static const enum event_type types[] = {EVENT_CREATE, EVENT_UPDATE,
                                            EVENT_DELETE, EVENT_EXPIRE};
    const struct doc_value *type = doc_get(doc, "type");
    for (size_t i = 0; type && i < sizeof types / sizeof types[0]; i++) {
        if (slice_eq(type->text, slice_str(event_type_text(types[i])))) {
            *out = types[i];
            return true;
        }
    }
    return false;
}

enum err record__read_event(struct arena *arena, const struct doc_value *doc,
                            struct scene_event *out)
{
    struct recipe_event *its = &out->event;
    *out = (struct scene_event){0};
    if (!doc || doc->kind != DOC_MAP || !read_id(doc, "id", &its->id) ||
        !record__text(arena, doc_get(doc, "key"), &its->key) ||
        !read_type(doc, &its->type) ||
        !read_natural(doc, "time", &its->time_ns))
        return err_set(ERR_CORRUPT, "an event can't be read");
    its->mod_revision = read_number(doc, "mod");
    out->look = read_number(doc, "look");
    out->put = read_number(doc, "put");
    its->depth = (unsigned)read_number(doc, "depth");
    its->cause = read_text(arena, doc, "cause");
    its->parent = read_text(arena, doc, "parent");
    out->has_raw = record__text(arena, doc_get(doc, "raw"), &its->raw);
    out->knows_prev = doc_get(doc, "prev") != NULL;
    its->has_prev = record__text(arena, doc_get(doc, "prev"), &its->prev);
    return ERR_OK;
}

/* ---- runs under way ----------------------------------------------------- */

static const char *const states[] = {
    [ACTIVE_QUEUED] = "queued",
    [ACTIVE_OUTSIDE] = "acting",
    [ACTIVE_WAITING] = "waiting",
};

static void write_outside(struct buf *out, const struct run *run)
{
    buf_printf(out, ",\"kind\":\"%s\"", action_kind_text(run->kind));
    write_number(out, "timeout", run->timeout_ns);
    write_number(out, "attempt", run->attempt);
    write_text(out, "request", run->request);
}

static void write_answers(struct buf *out, const struct run *run)
{
    buf_append_str(out, ",\"answers\":[");
    for (size_t i = 0; i < run->answer_count; i++) {
        buf_append_str(out, i ? ",{\"id\":" : "{\"id\":");
        record__string(out, run->answers[i].id);
        buf_append_str(out, ",\"value\":");
        record__pack(out, &run->answers[i].value);
        buf_append_char(out, '}');
    }
    buf_append_char(out, ']');
}

/* Those that were settled since they ask the store: what it was then may have
 * been compacted when they are wanted again. */
static void write_lets(const struct machine *machine, const struct run *run,
                       struct buf *out)
{
    bool is_first = true;
    for (size_t i = 0; i < machine->recipe->let_count; i++) {
        const struct let *let = &machine->recipe->lets[i];
        const struct value *value = &run->scene.slots[let->slot];
        if (value->kind == VALUE_LAZY ||
            !(template_uses(let->value) & EXPR_USES_STORE))
            continue;
        buf_append_str(out, is_first ? ",\"lets\":{" : ",");
        is_first = false;
        record__string(out, let->name);
        buf_append_char(out, ':');
        record__pack(out, value);
    }
    if (!is_first)
        buf_append_char(out, '}');
}

void record__write_active(const struct machine *machine, const struct run *run,
                          struct buf *out)
{
    buf_append_char(out, '{');
    write_id(out, "id", &run->id);
    buf_append_char(out, ',');
    write_id(out, "origin", &run->origin);
    if (run->trigger != SIZE_MAX)
        write_text(out, "trigger", machine->tags[run->trigger]);
    buf_printf(out, ",\"state\":\"%s\"", states[run->state]);
    write_number(out, "sequence", run->sequence);
    write_number(out, "started", run->started_ns);
    write_text(out, "scope", run->scope);
    if (run->in_failure)
        buf_append_str(out, ",\"failing\":true");
    write_text(out, "error", run->error);
    write_text(out, "step", run->step);
    if (run->state != ACTIVE_QUEUED)
        write_number(out, "not_before", run->not_before_ns);
    if (run->state == ACTIVE_OUTSIDE)
        write_outside(out, run);
    if (run->answer_count)
        write_answers(out, run);
    write_text(out, "notes", run->notes);
    write_lets(machine, run, out);
    buf_append_str(out, ",\"event\":");
    record__write_event(machine, out, &run->event);
    buf_append_char(out, '}');
}

static bool read_state(const struct doc_value *doc, enum active_state *out)
{
    const struct doc_value *state = doc_get(doc, "state");
    for (unsigned i = 0; state && i <= ACTIVE_WAITING; i++) {
        if (slice_eq(state->text, slice_str(states[i]))) {
            *out = (enum active_state)i;
            return true;
        }
    }
    return false;
}

static bool read_kind(const struct doc_value *doc, enum action_kind *out)
{
    const struct doc_value *kind = doc_get(doc, "kind");
    for (unsigned i = 0; kind && i <= ACTION_WAIT; i++) {
        if (slice_eq(kind->text,
                     slice_str(action_kind_text((enum action_kind)i)))) {
            *out = (enum action_kind)i;
            return true;
        }
    }
    return false;
}

static bool read_answers(struct arena *arena, const struct doc_value *doc,
                         struct run *run)
{
    const struct doc_value *list = doc_get(doc, "answers");
    if (!list)
        return true;
    if (list->kind != DOC_LIST || list->count >= RUN_ACTIONS_MAX)
        return false;
    for (size_t i = 0; i < list->count; i++) {
        struct scene_answer *answer = &run->answers[run->answer_count++];
        const struct doc_value *value = doc_get(list->items[i], "value");
        answer->id = read_text(arena, list->items[i], "id");
        if (!value)
            return false;
        answer->value = record__unpack(arena, value);
    }
    return true;
}

static size_t find_trigger(const struct machine *machine, struct slice tag)
{
    for (size_t i = 0; i < machine->recipe->trigger_count; i++) {
        if (slice_eq(machine->tags[i], tag))
            return i;
    }
    return SIZE_MAX;
}

/* Steps are known by their ids, which an edit may have moved. */
static size_t find_step(const struct recipe *recipe, const struct run *run)
{
    const struct action *list =
        run->in_failure ? recipe->on_failure : recipe->then;
    size_t count =
        run->in_failure ? recipe->on_failure_count : recipe->then_count;
    if (run->step.size == 0)
        return 0;
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(list[i].id, run->step))
            return i;
    }
    return SIZE_MAX;
}

static bool read_state_fields(struct arena *arena, const struct doc_value *doc,
                              struct run *out)
{
    if (!read_state(doc, &out->state))
        return false;
    out->step = read_text(arena, doc, "step");
    out->not_before_ns = read_number(doc, "not_before");
    if (out->state == ACTIVE_QUEUED)
        return true;
    if (out->step.size == 0 || out->not_before_ns < 0)
        return false;
    if (out->state == ACTIVE_WAITING)
        return true;
    out->timeout_ns = read_number(doc, "timeout");
    out->attempt = (unsigned)read_number(doc, "attempt");
    out->request = read_text(arena, doc, "request");
    struct doc_value *request;
    return read_kind(doc, &out->kind) && action_is_outside(out->kind) &&
           record__parse(arena, out->request, &request) == ERR_OK;
}

enum err record__read_active(const struct machine *machine, struct arena *arena,
                             const struct doc_value *doc, struct run *out)
{
    const struct doc_value *failing = doc ? doc_get(doc, "failing") : NULL;
    const struct doc_value *lets = doc ? doc_get(doc, "lets") : NULL;
    *out = (struct run){.kind = ACTION_HTTP, .request = SLICE("")};
    if (!doc || !read_id(doc, "id", &out->id) ||
        !read_id(doc, "origin", &out->origin) ||
        !read_natural(doc, "sequence", &out->sequence) ||
        !read_natural(doc, "started", &out->started_ns) ||
        !read_state_fields(arena, doc, out) || !read_answers(arena, doc, out))
        return err_set(ERR_CORRUPT, "a run under way can't be read");
    out->trigger = find_trigger(machine, read_text(arena, doc, "trigger"));
    out->scope = read_text(arena, doc, "scope");
    out->in_failure = failing && failing->boolean;
    out->error = read_text(arena, doc, "error");
    out->notes = read_text(arena, doc, "notes");
    if (lets && lets->kind == DOC_MAP)
        out->lets = record__unpack(arena, lets);
    out->next = find_step(machine->recipe, out);
    return record__read_event(arena, doc_get(doc, "event"), &out->event);
}

/* ---- records ------------------------------------------------------------ */

/* "https://user:password@host:1/path" -> "host:1"; empty where a secret may be
 * in it. */
static struct slice host_of(struct slice url)
{
    const char *colon = memmem(url.at, url.size, "://", 3);
    if (!colon)
        return SLICE("");
    const char *begin = colon + 3;
    const char *end = begin;
    while (end < url.at + url.size && *end != '/' && *end != '?' && *end != '#')
        end++;
    const char *sign = memrchr(begin, '@', (size_t)(end - begin));
    if (sign)
        begin = sign + 1;
    struct slice host = slice_of(begin, (size_t)(end - begin));
    return slice_find(host, '\x01') < 0 ? form__shorten(host, 256) : SLICE("");
}

struct slice record__of_request(struct arena *arena, enum action_kind kind,
                                struct slice request)
{
    struct buf out = {0};
    struct doc_value *doc;
    enum err err = record__parse(arena, request, &doc);
    CHECK_EQ(err, ERR_OK); /* who made the request has read it */
    struct slice url = read_text(arena, doc, "url");
    struct slice server = read_text(arena, doc, "server");
    if (kind == ACTION_HTTP)
        write_text(&out, "host", host_of(url));
    if (kind == ACTION_EMAIL)
        write_text(&out, "host", host_of(server));
    const struct doc_value *arguments = doc_get(doc, "arguments");
    if (kind == ACTION_EXEC && arguments && arguments->count &&
        arguments->items[0]->kind == DOC_STRING)
        write_text(&out, "program",
                   form__shorten(arguments->items[0]->text, 256));
    struct slice copy = turn__copy(arena, buf_slice(&out));
    buf_deinit(&out);
    return copy;
}

static void write_cause(struct buf *out, const struct recipe_event *event)
{
    buf_append_str(out, ",\"key\":");
    record__string(out, event->key);
    buf_printf(out, ",\"event\":\"%s\"", event_type_text(event->type));
    write_text(out, "cause", event->cause);
    buf_append_str(out, ",\"time\":");
    record__time(out, event->time_ns);
    write_number(out, "revision", event->id.revision);
    write_number(out, "depth", event->depth);
    write_text(out, "parent", event->parent);
}

/* Of one under way: where it is. */
static void write_progress(struct buf *out, const struct run *run)
{
    buf_printf(out, ",\"state\":\"%s\"", states[run->state]);
    if (run->state == ACTIVE_QUEUED)
        return;
    write_text(out, "step", run->step);
    if (run->state == ACTIVE_OUTSIDE)
        write_number(out, "attempt", run->attempt);
    buf_append_str(out, ",\"not_before\":");
    record__time(out, run->not_before_ns);
}

void record__write_run(const struct machine *machine, const struct run *run,
                       enum run_status status, int64_t ended_ns,
                       struct buf *out)
{
    buf_append_char(out, '{');
    write_id(out, "id", &run->id);
    write_number(out, "uid", machine->config.uid);
    write_text(out, "recipe", machine->recipe->name);
    if (run->trigger != SIZE_MAX)
        write_number(out, "trigger", (int64_t)run->trigger);
    write_cause(out, &run->event.event);
    buf_printf(out, ",\"status\":\"%s\"", run_status_text(status));
    if (status == RUN_ACTIVE)
        write_progress(out, run);
    write_text(out, "error", run->error);
    if (machine->recipe->shadow)
        buf_append_str(out, ",\"shadow\":true");
    buf_append_str(out, ",\"steps\":[");
    buf_append_slice(out, run->notes);
    buf_append_str(out, "],\"started\":");
    record__time(out, run->started_ns);
    if (status != RUN_ACTIVE) {
        buf_append_str(out, ",\"ended\":");
        record__time(out, ended_ns);
    }
    buf_append_char(out, '}');
}

struct slice record__of_run(const struct unit *unit, const struct run *run,
                            enum run_status status)
{
    struct buf text = {0};
    record__write_run(unit->machine, run, status, unit->now_ns, &text);
    struct slice copy = turn__copy(unit->arena, buf_slice(&text));
    buf_deinit(&text);
    return copy;
}

/* For people what has become of it; for the machine the run as it was. */
void record__write_dead(const struct unit *unit, const struct run *run,
                        struct slice why, struct buf *out)
{
    buf_append_char(out, '{');
    write_id(out, "id", &run->origin);
    write_number(out, "uid", unit->machine->config.uid);
    write_text(out, "recipe", unit->machine->recipe->name);
    write_text(out, "step", run->step);
    buf_printf(out, ",\"kind\":\"%s\"", action_kind_text(run->kind));
    write_text(out, "key", run->event.event.key);
    buf_append_slice(out,
                     record__of_request(unit->arena, run->kind, run->request));
    write_number(out, "attempts", (int64_t)run->attempt + 1);
    write_text(out, "error", why);
    buf_append_str(out, ",\"time\":");
    record__time(out, unit->now_ns);
    buf_append_str(out, ",\"run\":");
    record__write_active(unit->machine, run, out);
    buf_append_char(out, '}');
}
