/* History, a part at a time, as events of a recipe's triggers.
 *
 *   read a part -> take its records -> read the next part -> ... -> the end
 *                   |        ^
 *                   | wants  | found
 *                   +--------+
 *
 * All keys' records are read, since the order of events is that of revisions;
 * only those that a trigger watches are kept, and cursors, which say who made
 * what. */
#include "runner/rest_past.h"

#include "base/check.h"

enum {
    RECORDS_OF_PART = 500,
    RECORDS_OF_PART_MAX = 1 << 20, /* of one revision */
    PART_BYTES_MAX = 8 << 20,
    STATE_KEYS = 1000, /* of a page */
    BUCKETS = 1024,
    OUT_OF_RANGE = 11, /* gRPC's: it was compacted */
};

struct past_record {
    int64_t revision;
    int64_t time_ns;
    struct slice cause;
    struct slice key;
    struct slice value;
    size_t before; /* the key's record before it, from 1; 0: not in the part */
    bool is_create;
    bool is_delete;
};

struct past_key {
    struct slice key;
    size_t newest; /* record, from 1 */
};

struct past_lookup {
    struct past_lookup *next; /* of its bucket */
    struct lookup lookup;
    bool is_known;
};

static const struct slice cursors = {RECIPES_PREFIX "cursor/",
                                     sizeof(RECIPES_PREFIX "cursor/") - 1};

/* ---- lookups ------------------------------------------------------------- */

static struct past_lookup **bucket_of(struct past *past, int kind,
                                      int64_t revision, struct slice key)
{
    uint64_t hash = slice_hash(key, (uint64_t)revision * 2 + (uint64_t)kind);
    return &past->buckets[hash % BUCKETS];
}

static struct past_lookup *find_known(struct past *past, int kind,
                                      int64_t revision, struct slice key)
{
    struct past_lookup *at = *bucket_of(past, kind, revision, key);
    while (at != NULL &&
           ((int)at->lookup.kind != kind || at->lookup.revision != revision ||
            !slice_eq(at->lookup.key, key))) {
        at = at->next;
    }
    return at;
}

static struct slice keep_found(struct past *past, struct slice text)
{
    return slice_of(arena_dup(&past->found, text.at, text.size), text.size);
}

static const struct lookup *find_lookup(void *context, int kind,
                                        int64_t revision, struct slice key)
{
    struct past *past = context;
    struct past_lookup *known = find_known(past, kind, revision, key);
    if (known != NULL && known->is_known) {
        return &known->lookup;
    }
    if (known == NULL) {
        struct past_lookup **bucket = bucket_of(past, kind, revision, key);
        known = arena_alloc(&past->found, sizeof(*known));
        *known = (struct past_lookup){.next = *bucket,
                                      .lookup = {.kind = (unsigned)kind,
                                                 .revision = revision,
                                                 .key = keep_found(past, key)}};
        *bucket = known;
    }
    past->wanted = known;
    return NULL;
}

static void forget_lookups(struct past *past)
{
    memset(past->buckets, 0, BUCKETS * sizeof(struct past_lookup *));
    arena_reset(&past->found);
    past->wanted = NULL;
}

static void go_on(struct past *past);

static void looked_up(struct runner *runner, void *context,
                      const struct store_answer *answer)
{
    struct request *request = context;
    struct past *past = request->state;
    struct lookup *lookup = &past->wanted->lookup;
    (void)runner;
    request->call = 0;
    if (answer->code != 0 && answer->code != OUT_OF_RANGE) {
        rest__store_error(request, answer);
        return;
    }
    past->wanted->is_known = true;
    past->wanted = NULL;
    lookup->found = LOOKUP_NONE;
    if (answer->code == OUT_OF_RANGE) {
        lookup->found = LOOKUP_COMPACTED;
    } else if (answer->range->count > 0 || answer->range->n_kvs > 0) {
        lookup->found = LOOKUP_FOUND;
        lookup->count = answer->range->count;
        if (answer->range->n_kvs > 0) {
            lookup->value =
                keep_found(past, message_bytes(answer->range->kvs[0]->value));
        }
    }
    go_on(past);
}

/* Who asks sees no more than he may read. */
static bool may_look(struct past *past)
{
    const struct lookup *lookup = &past->wanted->lookup;
    struct request *request = past->request;
    bool is_range = lookup->kind == LOOKUP_COUNT;
    struct slice key =
        is_range && lookup->key.size == 0 ? slice_of("", 1) : lookup->key;
    if (rest__may(request, RUNNER_READ, key,
                  is_range ? rest__end(request, lookup->key) : SLICE(""))) {
        return true;
    }
    rest__error(request, 403, "forbidden",
                "%.*s may not read what it looks up, %.*s",
                (int)request->asked.user.size, request->asked.user.at,
                (int)lookup->key.size, lookup->key.at);
    return false;
}

static void fetch(struct past *past)
{
    const struct lookup *lookup = &past->wanted->lookup;
    if (!may_look(past)) {
        return;
    }
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    range.key = message_data(lookup->key);
    range.revision = lookup->revision;
    if (lookup->kind == LOOKUP_COUNT) {
        range.count_only = true;
        if (lookup->key.size == 0) {
            range.key = message_data(slice_of("", 1)); /* all keys */
        }
        range.range_end = message_data(rest__end(past->request, lookup->key));
    }
    rest__range_of(past->request, &range, looked_up);
}

/* ---- who made it --------------------------------------------------------- */

static void read_maker(struct past *past, const struct past_record *cursor,
                       unsigned *depth, struct slice *parent)
{
    struct doc_value *doc;
    struct slice name = slice_of(cursor->key.at + cursors.size,
                                 cursor->key.size - cursors.size);
    *parent = name;
    if (doc_parse_json(&past->part, cursor->value, &doc_limits_default, &doc) !=
        ERR_OK) {
        return;
    }
    const struct doc_value *number = doc_get(doc, "depth");
    const struct doc_value *run = doc_get(doc, "run");
    if (number != NULL && number->kind == DOC_INT && number->integer >= 0) {
        *depth =
            (unsigned)(number->integer < 1000 ? number->integer : 1000) + 1;
    }
    if (run != NULL && run->kind == DOC_STRING) {
        *parent =
            slice_str(arena_printf(&past->part, "%.*s/%.*s", (int)name.size,
                                   name.at, (int)run->text.size, run->text.at));
    }
}

static bool is_cursor(const struct past_record *record)
{
    return !record->is_delete && slice_has_prefix(record->key, cursors);
}

/* Effects and their maker's cursor are one write: it is among the records of
 * the same revision. As depth.c finds it. */
static void find_maker(struct past *past, const struct past_record *record,
                       unsigned *depth, struct slice *parent)
{
    enum trigger_kind kind = past->recipe->triggers[past->trigger].kind;
    bool may_be_made =
        kind == TRIGGER_KEY || kind == TRIGGER_ABSENT || kind == TRIGGER_RECIPE;
    *depth = 0;
    *parent = SLICE("");
    if (!may_be_made || !slice_eq(record->cause, SLICE("recipe"))) {
        return;
    }
    *depth = 1;
    size_t at = past->at;
    while (at > 0 && past->records[at - 1].revision == record->revision) {
        at--;
    }
    for (; at < past->count && past->records[at].revision == record->revision;
         at++) {
        if (is_cursor(&past->records[at])) {
            read_maker(past, &past->records[at], depth, parent);
            return;
        }
    }
}

/* ---- events -------------------------------------------------------------- */

/* False: its value before is being fetched. */
static bool find_before(struct past *past, const struct past_record *record,
                        struct recipe_event *event)
{
    if (record->is_create) {
        return true;
    }
    if (record->before != 0) {
        const struct past_record *before = &past->records[record->before - 1];
        event->has_prev = !before->is_delete;
        event->prev = before->value;
        return true;
    }
    const struct lookup *before =
        find_lookup(past, LOOKUP_GET, record->revision - 1, record->key);
    if (before == NULL) {
        return false;
    }
    event->has_prev = before->found == LOOKUP_FOUND;
    event->prev = event->has_prev ? before->value : SLICE("");
    return true;
}

static enum event_type type_of(const struct past_record *record)
{
    if (record->is_delete) {
        return slice_eq(record->cause, SLICE("expire")) ? EVENT_EXPIRE
                                                        : EVENT_DELETE;
    }
    return record->is_create ? EVENT_CREATE : EVENT_UPDATE;
}

/* What comes in isn't told when it goes: that is only tidying. */
static bool is_told(const struct trigger *trigger,
                    const struct past_record *record)
{
    bool is_users =
        trigger->kind == TRIGGER_KEY || trigger->kind == TRIGGER_ABSENT;
    return is_users || !record->is_delete;
}

static enum turn_end take_one(struct past *past,
                              const struct past_record *record)
{
    struct slice captures[PATTERN_CAPTURES_MAX];
    const struct trigger *trigger = &past->recipe->triggers[past->trigger];
    if (!is_told(trigger, record) ||
        !pattern_matches(&trigger->pattern, record->key, captures)) {
        return TURN_TAKEN;
    }
    struct recipe_event event = {.id = {.revision = record->revision,
                                        .place = past->places[past->trigger]},
                                 .time_ns = record->time_ns,
                                 .type = type_of(record),
                                 .cause = record->cause,
                                 .key = record->key,
                                 .raw = record->value,
                                 .prev = SLICE(""),
                                 .mod_revision =
                                     record->is_delete ? 0 : record->revision};
    if (!find_before(past, record, &event)) {
        return TURN_WANTS;
    }
    find_maker(past, record, &event.depth, &event.parent);
    enum turn_end end = past->take(past, past->trigger, &event);
    past->places[past->trigger] += end == TURN_TAKEN;
    return end;
}

/* ---- going on ------------------------------------------------------------ */

static void read_part(struct past *past);

static void go_on_again(struct request *request)
{
    go_on(request->state);
}

/* True where it was TURN_TAKEN; else it goes on some other time. */
static bool goes_on(struct past *past, enum turn_end end)
{
    if (end == TURN_WANTS) {
        CHECK(past->wanted != NULL);
        fetch(past);
    } else if (end == TURN_FULL) {
        rest__again(past->request, go_on_again);
    }
    return end == TURN_TAKEN;
}

static void go_on(struct past *past)
{
    while (past->at < past->count) {
        const struct past_record *record = &past->records[past->at];
        bool is_first = past->at == 0 || past->records[past->at - 1].revision !=
                                             record->revision;
        if (is_first && past->trigger == 0) {
            memset(past->places, 0, sizeof(past->places));
        }
        while (past->trigger < past->recipe->trigger_count) {
            if (!goes_on(past, take_one(past, record))) {
                return;
            }
            past->trigger++;
        }
        past->trigger = 0;
        past->at++;
    }
    if (!past->is_known_end) {
        read_part(past);
    } else {
        /* Where it ends the request is gone, and `past` with it. */
        enum turn_end end = past->end(past);
        if (end != TURN_TAKEN) {
            (void)goes_on(past, end);
        }
    }
}

/* ---- parts --------------------------------------------------------------- */

static struct slice key_of(const void *value)
{
    return ((const struct past_key *)value)->key;
}

static bool is_wanted(const struct past *past, struct slice key)
{
    struct slice captures[PATTERN_CAPTURES_MAX];
    if (slice_has_prefix(key, cursors)) {
        return true;
    }
    for (size_t i = 0; i < past->recipe->trigger_count; i++) {
        if (pattern_matches(&past->recipe->triggers[i].pattern, key,
                            captures)) {
            return true;
        }
    }
    return false;
}

static struct slice keep_part(struct past *past, struct slice text)
{
    past->bytes += text.size;
    return slice_of(arena_dup(&past->part, text.at, text.size), text.size);
}

/* Links it to the record of its key before it. */
static void note_key(struct past *past, struct past_record *record)
{
    struct past_key *key = map_get(&past->keys, record->key);
    if (key == NULL) {
        key = arena_alloc(&past->part, sizeof(*key));
        *key = (struct past_key){.key = record->key};
        (void)map_put(&past->keys, key);
    }
    record->before = key->newest;
    key->newest = past->count;
}

static void keep_record(struct past *past,
                        const Etched__V1__HistoryRecord *from)
{
    const Mvccpb__KeyValue *kv = from->event->kv;
    bool is_delete = from->event->type == MVCCPB__EVENT__EVENT_TYPE__DELETE;
    if (past->count == past->capacity) {
        past->capacity = past->capacity ? past->capacity * 2 : 256;
        past->records =
            mem_realloc(past->records, past->capacity * sizeof(*past->records));
    }
    struct past_record *record = &past->records[past->count++];
    *record = (struct past_record){
        .revision = kv->mod_revision,
        .time_ns = from->time_unix_nanos,
        .cause = keep_part(past, slice_str(from->cause)),
        .key = keep_part(past, message_bytes(kv->key)),
        .value = keep_part(past, message_bytes(kv->value)),
        .is_create = !is_delete && kv->create_revision == kv->mod_revision,
        .is_delete = is_delete};
    past->bytes += sizeof(*record);
    note_key(past, record);
}

static void take_record(void *context, const Etched__V1__HistoryRecord *from)
{
    struct past *past = context;
    int64_t revision = from->event->kv->mod_revision;
    if (past->cut != 0) {
        return; /* it is full: this is read again */
    }
    if (past->told == 0) {
        past->first = revision;
    }
    if (past->bytes > PART_BYTES_MAX && revision != past->first) {
        past->cut = revision;
        return;
    }
    past->told++;
    past->last = revision;
    if (is_wanted(past, message_bytes(from->event->kv->key))) {
        keep_record(past, from);
    }
}

/* The last revision may have been cut in two: it is read again, as the first
 * of the next part. */
static void end_part(struct past *past)
{
    if (past->cut == 0 && past->told >= past->limit) {
        past->cut = past->last;
    }
    if (past->cut == 0) {
        past->is_known_end = true;
    } else if (past->cut == past->first) {
        if (past->limit >= RECORDS_OF_PART_MAX) {
            rest__error(past->request, 400, "too_large",
                        "revision %lld has more than %d records",
                        (long long)past->first, RECORDS_OF_PART_MAX);
            return;
        }
        past->limit *= 2;
        past->count = 0;
    } else {
        past->limit = RECORDS_OF_PART;
        past->next = past->cut;
        while (past->count > 0 &&
               past->records[past->count - 1].revision >= past->cut) {
            past->count--;
        }
    }
    go_on(past);
}

void past__records(const struct store_answer *answer,
                   void (*told)(void *context,
                                const Etched__V1__HistoryRecord *record),
                   void *context)
{
    struct arena arena;
    ProtobufCMessage *message;
    arena_init(&arena, 0);
    if (message_decode(&etched__v1__history_response__descriptor,
                       answer->message, &arena, &message) == ERR_OK) {
        const Etched__V1__HistoryResponse *response =
            (const Etched__V1__HistoryResponse *)message;
        for (size_t i = 0; i < response->n_records; i++) {
            const Mvccpb__Event *event = response->records[i]->event;
            if (event != NULL && event->kv != NULL) {
                told(context, response->records[i]);
            }
        }
    }
    arena_deinit(&arena);
}

static void part_read(struct runner *runner, void *context,
                      const struct store_answer *answer)
{
    struct request *request = context;
    struct past *past = request->state;
    (void)runner;
    if (answer->more) {
        past__records(answer, take_record, past);
        return;
    }
    request->call = 0;
    if (answer->code != 0) {
        rest__store_error(request, answer);
    } else {
        end_part(past);
    }
}

static void ask(struct request *request, Etched__V1__HistoryRequest *history,
                store_done done)
{
    struct buf message = {0};
    message_encode(&history->base, &message);
    rest__call(request, RUNNER_HISTORY, buf_slice(&message), done);
    buf_deinit(&message);
}

void past__ask(struct request *request, struct slice key, int64_t from,
               int64_t to, int64_t limit, store_done done)
{
    Etched__V1__HistoryRequest history = ETCHED__V1__HISTORY_REQUEST__INIT;
    history.key = message_data(key);
    if (key.size == 0) {
        history.key = message_data(slice_of("", 1)); /* from the first on */
        history.range_end = message_data(slice_of("", 1));
    }
    history.start_revision = from;
    history.end_revision = to;
    history.limit = limit;
    ask(request, &history, done);
}

void past__ask_below(struct request *request, struct slice prefix, int64_t from,
                     int64_t limit, store_done done)
{
    Etched__V1__HistoryRequest history = ETCHED__V1__HISTORY_REQUEST__INIT;
    history.key = message_data(prefix);
    history.range_end = message_data(rest__end(request, prefix));
    history.start_revision = from;
    history.limit = limit;
    ask(request, &history, done);
}

static void read_part(struct past *past)
{
    past->count = 0;
    past->at = 0;
    past->bytes = 0;
    past->told = 0;
    past->cut = 0;
    uint64_t seed = past->keys.seed;
    map_deinit(&past->keys);
    map_init(&past->keys, key_of, seed);
    arena_reset(&past->part);
    forget_lookups(past);
    if (past->next > past->to) {
        past->is_known_end = true;
        go_on(past);
        return;
    }
    past__ask(past->request, (struct slice){0}, past->next, past->to,
              (int64_t)past->limit, part_read);
}

void past__read(struct past *past)
{
    past->limit = RECORDS_OF_PART;
    past->is_known_end = false;
    past->trigger = 0;
    read_part(past);
}

/* ---- its state ----------------------------------------------------------- */

static const enum recipe_key state_kinds[] = {RECIPE_KEY_STATE,
                                              RECIPE_KEY_ACTIVE};
enum { STATE_PARTS = sizeof(state_kinds) / sizeof(state_kinds[0]) };

static int64_t revision_before_start(const struct past *past)
{
    switch (past->recipe->start) {
    case START_BEGINNING:
        return 0;
    case START_REVISION:
        return past->recipe->start_revision > 0
                   ? past->recipe->start_revision - 1
                   : 0;
    case START_NOW:
        break;
    }
    return past->uid;
}

static void fail_corrupt(struct past *past)
{
    rest__error(past->request, 500, "corrupt", "its state at revision %lld: %s",
                (long long)past->state_of, err_note());
}

static void all_loaded(struct past *past)
{
    struct machine *machine = past->machine;
    int64_t least = INT64_MAX;
    if (machine_load_cursor(machine, past->cursor,
                            past->has_cursor
                                ? past->defined_at
                                : revision_before_start(past)) != ERR_OK) {
        fail_corrupt(past);
        return;
    }
    for (size_t i = 0; i < past->recipe->trigger_count; i++) {
        struct run_id id = machine_position(machine, i);
        int64_t next = id.revision + (id.place == UINT32_MAX);
        least = next < least ? next : least;
    }
    past->next = least < 1 ? 1 : least;
    past->loaded(past);
}

static void read_state(struct past *past, struct slice from);

static void state_read(struct runner *runner, void *context,
                       const struct store_answer *answer)
{
    struct request *request = context;
    struct past *past = request->state;
    (void)runner;
    request->call = 0;
    if (answer->code == OUT_OF_RANGE && past->state_part == 0 &&
        past->state_of != past->state_at) {
        /* A memo may be ahead of the cursor then, which is the next best. */
        past->state_of = past->state_at;
        read_state(past, (struct slice){0});
        return;
    }
    if (answer->code != 0) {
        rest__store_error(request, answer);
        return;
    }
    const Etcdserverpb__RangeResponse *range = answer->range;
    for (size_t i = 0; i < range->n_kvs; i++) {
        const Mvccpb__KeyValue *kv = range->kvs[i];
        if (machine_load(past->machine, message_bytes(kv->key),
                         message_bytes(kv->value),
                         kv->mod_revision) != ERR_OK) {
            fail_corrupt(past);
            return;
        }
    }
    if (range->more && range->n_kvs > 0) {
        read_state(past, rest__behind(
                             request,
                             message_bytes(range->kvs[range->n_kvs - 1]->key)));
    } else if (++past->state_part < STATE_PARTS) {
        read_state(past, (struct slice){0});
    } else {
        all_loaded(past);
    }
}

static void read_state(struct past *past, struct slice from)
{
    struct slice key = rest__key(past->request, state_kinds[past->state_part],
                                 past->recipe->name, "");
    struct slice end = rest__end(past->request, key);
    rest__range(past->request, from.size ? from : key, &end, past->state_of,
                STATE_KEYS, state_read);
}

static void cursor_read(struct runner *runner, void *context,
                        const struct store_answer *answer)
{
    struct request *request = context;
    struct past *past = request->state;
    (void)runner;
    request->call = 0;
    if (answer->code != 0) {
        rest__store_error(request, answer);
        return;
    }
    const Etcdserverpb__RangeResponse *range = answer->range;
    if (past->state_at == 0) {
        past->state_at =
            range->header ? range->header->revision : runner__revision(runner);
    }
    if (range->n_kvs == 0) {
        all_loaded(past);
        return;
    }
    /* What the memos were with it: they may be ahead of it later. */
    past->has_cursor = true;
    past->cursor = rest__keep(request, message_bytes(range->kvs[0]->value));
    past->state_of = range->kvs[0]->mod_revision;
    read_state(past, (struct slice){0});
}

void past__load(struct past *past, void (*loaded)(struct past *past))
{
    past->loaded = loaded;
    past->state_part = 0;
    past->has_cursor = false;
    past->cursor = (struct slice){0};
    rest__range(
        past->request,
        rest__key(past->request, RECIPE_KEY_CURSOR, past->recipe->name, NULL),
        NULL, past->state_at, 0, cursor_read);
}

/* ---- the whole ----------------------------------------------------------- */

bool past__init(struct past *past, struct request *request, struct slice json,
                int64_t uid)
{
    struct recipe_fault fault = {0};
    *past = (struct past){.request = request, .uid = uid};
    if (recipe_parse(json, runner__config(request->runner)->zones,
                     &past->recipe, &fault) != ERR_OK) {
        rest__refuse(request, &fault);
        return false;
    }
    struct recipe *recipe = past->recipe;
    if (!rest__may_see(request, recipe)) {
        recipe_free(recipe); /* `past` went with the request */
        return false;
    }
    arena_init(&past->part, 0);
    arena_init(&past->found, 0);
    map_init(&past->keys, key_of, runner__random(request->runner));
    past->buckets =
        arena_alloc(&request->arena, BUCKETS * sizeof(struct past_lookup *));
    past->lookups = (struct lookups){.context = past, .find = find_lookup};
    request->state = past;
    forget_lookups(past);
    return true;
}

void past__deinit(struct past *past)
{
    if (past->recipe == NULL) {
        return; /* it was never begun */
    }
    arena_deinit(&past->part);
    arena_deinit(&past->found);
    map_deinit(&past->keys);
    mem_free(past->records);
    recipe_free(past->recipe);
    past->recipe = NULL;
}
