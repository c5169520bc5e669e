/* Feeds (RSS, Atom, JSON Feed) and polls (a JSON address).
 *
 *   due -> address -> secrets -> doors.act -> items -> ids -> transactions
 *
 * An item comes in once: in one transaction
 *
 *   compare  create_revision(owner/<name>) is my claim's
 *   then     for each item, if seen/<name>/<trigger>/<hash of id> isn't there:
 *              it, and in/<name>/<trigger>/<hash of id>
 *
 * Of a new recipe the first fetch notes what is there as seen, without an
 * event, unless it starts at the beginning. state/<name>/fetch/<trigger> has
 * what the server wants to hear again (ETag, Last-Modified); it is written
 * behind the items, so that what it stands for has come in. */
#include <stdio.h>

#include "base/sha1.h"
#include "doc/doc.h"
#include "proto/message.h"
#include "proto/rpc.pb-c.h"
#include "runner/runner_core.h"

enum {
    ITEMS_OF_TXN = 40,
    ITEMS_MAX = 1000,
    SEEN_KEPT = 10000,
    SEEN_SWEPT = 90,
    SWEEP_EACH = 200,
    ID_BYTES = 32
};

struct item {
    char id[ID_BYTES]; /* hex */
    struct slice json;
};

struct fetch {
    struct acting acting;
    struct work *work;
    size_t trigger;
    bool is_first;
    bool is_out; /* from due until its last transaction */
    bool is_failing;
    int64_t at_ns; /* of the last one; wall */
    struct buf etag;
    struct buf modified;
    struct buf new_etag;
    struct buf new_modified;
    struct timer timer;
    uint64_t call;
    struct secrets secrets;
    struct arena arena; /* of one fetch */
    struct value request;
    struct item *items; /* the oldest first, as far as one can know */
    size_t count;
    size_t done;
    size_t sending;
    size_t added; /* since seen/ was swept */
};
struct fetches {
    struct fetch *all[RECIPE_TRIGGERS_MAX + 1];
};

static bool is_fetch(const struct trigger *trigger)
{
    return trigger->kind == TRIGGER_FEED || trigger->kind == TRIGGER_POLL;
}

static const struct trigger *trigger_of(const struct fetch *fetch)
{
    return &fetch->work->def->recipe->triggers[fetch->trigger];
}

static struct fetch *find_or_make(struct work *work, size_t trigger)
{
    if (!work->fetches)
        work->fetches = mem_alloc_zero(sizeof *work->fetches);
    struct fetch **fetch = &work->fetches->all[trigger];
    if (!*fetch) {
        *fetch = mem_alloc_zero(sizeof **fetch);
        (*fetch)->work = work;
        (*fetch)->trigger = trigger;
        (*fetch)->is_first = true;
        arena_init(&(*fetch)->arena, 0);
    }
    return *fetch;
}

/* ---- the memo ------------------------------------------------------------ */

static void append_member(struct arena *arena, struct slice json,
                          const char *name, struct buf *out)
{
    struct doc_value *doc;
    if (doc_parse_json(arena, json, &doc_limits_default, &doc))
        return;
    const struct doc_value *member = doc_get(doc, name);
    buf_reset(out);
    if (member && member->kind == DOC_STRING)
        buf_append_slice(out, member->text);
}

void fetch__memo(struct work *work, struct slice rest, struct slice value)
{
    uint64_t trigger;
    if (!slice_to_u64(rest, &trigger) || trigger > RECIPE_TRIGGERS_MAX)
        return;
    struct fetch *fetch = find_or_make(work, trigger);
    fetch->is_first = false;
    append_member(&fetch->arena, value, "etag", &fetch->etag);
    append_member(&fetch->arena, value, "modified", &fetch->modified);
    arena_reset(&fetch->arena);
}

static void write_key(const struct fetch *fetch, enum recipe_key kind,
                      const char *before, struct slice id, struct buf *out)
{
    struct buf rest = {0};
    buf_append_str(&rest, before);
    buf_append_u64(&rest, fetch->trigger);
    if (id.size) {
        buf_append_char(&rest, '/');
        buf_append_slice(&rest, id);
    }
    struct slice rest_slice = buf_slice(&rest);
    buf_reset(out);
    recipe_key_write(out, kind, fetch->work->def->name, &rest_slice);
    buf_deinit(&rest);
}

static void put_memo(const struct fetch *fetch, struct store_txn *txn)
{
    struct buf key = {0};
    struct buf json = {0};
    struct value etag = value_string(buf_slice(&fetch->new_etag));
    struct value modified = value_string(buf_slice(&fetch->new_modified));
    write_key(fetch, RECIPE_KEY_STATE, "fetch/", SLICE(""), &key);
    buf_append_str(&json, "{\"etag\":");
    value_write_json(&json, &etag);
    buf_append_str(&json, ",\"modified\":");
    value_write_json(&json, &modified);
    buf_append_char(&json, '}');
    store_txn__put(txn, buf_slice(&key), buf_slice(&json), 0);
    buf_deinit(&key);
    buf_deinit(&json);
}

/* ---- the end of one ----------------------------------------------------- */

static void wait_for_next(struct runner *runner, struct fetch *fetch)
{
    int64_t every_ns = trigger_of(fetch)->fetch.every_ns;
    fetch->is_out = false;
    arena_reset(&fetch->arena);
    fetch->items = NULL;
    fetch->count = 0;
    /* Not all of a cluster's feeds at one moment. */
    int64_t some_ns = prng_between(&runner->prng, 0, every_ns / 20);
    timer__set(runner, &fetch->timer, runner->now.mono_ns + every_ns + some_ns);
}

static void fail(struct runner *runner, struct fetch *fetch, struct slice why)
{
    if (!fetch->is_failing)
        log_warn("recipes", "a fetch failed; it is tried again",
                 LOG_SLICE("recipe", fetch->work->def->name),
                 LOG_UINT("if", fetch->trigger), LOG_SLICE("why", why));
    fetch->is_failing = true;
    wait_for_next(runner, fetch);
}

/* ---- what was seen long ago --------------------------------------------- */

static void swept(struct runner *runner, void *context,
                  const struct store_answer *answer)
{
    (void)answer;
    struct fetch *fetch = context;
    fetch->call = 0;
    wait_for_next(runner, fetch);
}

static void take_oldest(struct runner *runner, void *context,
                        const struct store_answer *answer)
{
    struct fetch *fetch = context;
    fetch->call = 0;
    if (answer->code != 0 || answer->range->n_kvs == 0 ||
        answer->range->count <= SEEN_KEPT + SEEN_SWEPT) {
        fetch->added = 0;
        wait_for_next(runner, fetch);
        return;
    }
    struct store_txn txn;
    store_txn__begin(&txn);
    for (size_t i = 0; i < answer->range->n_kvs; i++)
        store_txn__delete(&txn, message_bytes(answer->range->kvs[i]->key),
                          SLICE(""));
    fetch->call = store_txn__send_raw(runner, &txn, swept, fetch);
}

static void sweep_seen(struct runner *runner, struct fetch *fetch)
{
    struct buf key = {0};
    struct buf end = {0};
    struct buf request = {0};
    write_key(fetch, RECIPE_KEY_SEEN, "", SLICE(""), &key);
    buf_append_char(&key, '/');
    store__prefix_end(buf_slice(&key), &end);
    pb_put_bytes(&request, 1, buf_slice(&key));
    pb_put_bytes(&request, 2, buf_slice(&end));
    pb_put_i64(&request, 3, SEEN_SWEPT);
    pb_put_u64(&request, 5, 1); /* ascending */
    pb_put_u64(&request, 6, 3); /* by mod_revision: the oldest */
    pb_put_bool(&request, 8, true);
    fetch->call = store__call(runner, RUNNER_RANGE, buf_slice(&request),
                              take_oldest, fetch);
    buf_deinit(&key);
    buf_deinit(&end);
    buf_deinit(&request);
}

/* ---- items into the inbox ----------------------------------------------- */

static void send_items(struct runner *runner, struct fetch *fetch);

static void swap(struct buf *a, struct buf *b)
{
    struct buf was = *a;
    *a = *b;
    *b = was;
}

static void stored(struct runner *runner, void *context,
                   const struct store_answer *answer)
{
    struct fetch *fetch = context;
    int64_t revision;
    fetch->call = 0;
    if (answer->code != 0) {
        fail(runner, fetch, answer->text);
        return;
    }
    if (!store__succeeded(answer->message, &revision)) {
        runner->told.conflicts++;
        work__drop(runner, fetch->work, 50 * MILLI_NS);
        return;
    }
    fetch->done += fetch->sending;
    fetch->added += fetch->sending;
    if (fetch->done < fetch->count) {
        send_items(runner, fetch);
        return;
    }
    fetch->is_first = false;
    fetch->is_failing = false;
    swap(&fetch->etag, &fetch->new_etag);
    swap(&fetch->modified, &fetch->new_modified);
    if (fetch->added >= SWEEP_EACH)
        sweep_seen(runner, fetch);
    else
        wait_for_next(runner, fetch);
}

static void put_item(const struct fetch *fetch, struct store_txn *txn,
                     const struct item *item, bool is_quiet)
{
    struct buf seen = {0};
    struct buf inbox = {0};
    struct slice id = slice_of(item->id, sizeof item->id);
    write_key(fetch, RECIPE_KEY_SEEN, "", id, &seen);
    write_key(fetch, RECIPE_KEY_IN, "", id, &inbox);
    struct turn_operation puts[2] = {
        {.kind = TURN_PUT, .key = buf_slice(&seen), .value = SLICE("")},
        {.kind = TURN_PUT, .key = buf_slice(&inbox), .value = item->json},
    };
    struct turn_compare is_new = {.key = buf_slice(&seen),
                                  .target = TURN_CREATE_REVISION,
                                  .operator= TURN_EQUAL };
    struct turn_txn inner = {.compares = &is_new,
                             .compare_count = 1,
                             .then = puts,
                             .then_count = is_quiet ? 1 : 2};
    struct turn_operation operation = {.kind = TURN_TXN, .txn = &inner};
    store_txn__operation(txn, &operation, NULL, NULL);
    buf_deinit(&seen);
    buf_deinit(&inbox);
}

static void send_items(struct runner *runner, struct fetch *fetch)
{
    struct work *work = fetch->work;
    bool is_quiet =
        fetch->is_first && work->def->recipe->start != START_BEGINNING;
    CHECK(fetch->call == 0 && fetch->is_out);
    CHECK_LE(fetch->done, fetch->count);
    size_t left = fetch->count - fetch->done;
    struct buf key = {0};
    struct store_txn txn;
    store_txn__begin(&txn);
    recipe_key_write(&key, RECIPE_KEY_OWNER, work->def->name, NULL);
    store_txn__compare_number(&txn, buf_slice(&key), TURN_CREATE_REVISION,
                              work->claim);
    fetch->sending = left < ITEMS_OF_TXN ? left : ITEMS_OF_TXN;
    for (size_t i = 0; i < fetch->sending; i++)
        put_item(fetch, &txn, &fetch->items[fetch->done + i], is_quiet);
    if (fetch->sending == left)
        put_memo(fetch, &txn);
    fetch->call = store_txn__send_raw(runner, &txn, stored, fetch);
    buf_deinit(&key);
}

/* ---- the answer into items ---------------------------------------------- */

static struct value *make_slots(struct fetch *fetch)
{
    const struct recipe *recipe = fetch->work->def->recipe;
    struct value *slots =
        arena_alloc(&fetch->arena, recipe->names.count * sizeof *slots);
    for (size_t i = 0; i < recipe->names.count; i++)
        slots[i] = (struct value){.kind = VALUE_ABSENT};
    slots[INGREDIENT_RECIPE] = value_string(recipe->name);
    slots[INGREDIENT_LABELS] = recipe->labels;
    return slots;
}

static enum expr_found mark_secret(void *context, struct slice name,
                                   struct arena *arena, struct value *out)
{
    (void)context;
    *out = value_string(slice_str(
        arena_printf(arena, "\x01%.*s\x02", (int)name.size, name.at)));
    return EXPR_FOUND;
}

static struct expr_world world_of(const struct runner *runner)
{
    return (struct expr_world){.secret = mark_secret,
                               .zones = runner->config.zones,
                               .now_ns = runner->now.wall_ns};
}

/* What an item is known by: of a feed its id, of a poll what `id` says. */
static bool find_id(struct runner *runner, struct fetch *fetch,
                    struct value *slots, const struct value *item,
                    struct buf *out)
{
    const struct trigger *trigger = trigger_of(fetch);
    const struct value *id = value_member(item, SLICE("id"));
    struct value made;
    if (trigger->fetch.id) {
        struct expr_world world = world_of(runner);
        slots[INGREDIENT_ITEM] = *item;
        if (expr_eval(trigger->fetch.id, slots, &world, &expr_budget_default,
                      &fetch->arena, &made) != EXPR_DONE)
            return false;
        id = &made;
    }
    if (!id || id->kind == VALUE_ERROR || id->kind == VALUE_NULL)
        return false;
    value_write_text(out, id);
    return out->size > 0;
}

static void add_item(struct runner *runner, struct fetch *fetch,
                     struct value *slots, const struct value *value)
{
    static const char digits[] = "0123456789abcdef";
    struct buf id = {0};
    if (!find_id(runner, fetch, slots, value, &id)) {
        buf_deinit(&id);
        return;
    }
    unsigned char hash[SHA1_BYTES];
    struct item *item = &fetch->items[fetch->count];
    sha1(buf_slice(&id), hash);
    for (size_t i = 0; i < ID_BYTES / 2; i++) {
        item->id[2 * i] = digits[hash[i] >> 4];
        item->id[2 * i + 1] = digits[hash[i] & 15];
    }
    buf_deinit(&id);
    /* An id that stands there twice: a Txn may not touch a key twice. */
    for (size_t i = 0; i < fetch->count; i++)
        if (memcmp(fetch->items[i].id, item->id, ID_BYTES) == 0)
            return;
    struct buf json = {0};
    buf_append_str(&json, "{\"item\":");
    value_write_json(&json, value);
    buf_append_char(&json, '}');
    item->json =
        slice_of(arena_dup(&fetch->arena, json.at, json.size), json.size);
    buf_deinit(&json);
    fetch->count++;
}

static const char *find_items(struct runner *runner, struct fetch *fetch,
                              struct slice body, struct value *slots,
                              struct value *out)
{
    const struct trigger *trigger = trigger_of(fetch);
    const struct runner_doors *doors = &runner->config.doors;
    if (trigger->kind == TRIGGER_FEED) {
        enum err err =
            doors->feed_items
                ? doors->feed_items(doors->context, &fetch->arena, body, out)
                : err_set(ERR_UNSUPPORTED, "no feeds here");
        return err ? err_note() : NULL;
    }
    struct expr_world world = world_of(runner);
    slots[INGREDIENT_BODY] = value_from_text(&fetch->arena, body);
    *out = slots[INGREDIENT_BODY];
    if (!trigger->fetch.items)
        return NULL;
    enum expr_end end = expr_eval(trigger->fetch.items, slots, &world,
                                  &expr_budget_default, &fetch->arena, out);
    if (end != EXPR_DONE || out->kind == VALUE_ERROR)
        return "`items` can't be evaluated";
    return NULL;
}

static void take_body(struct runner *runner, struct fetch *fetch,
                      struct slice body)
{
    struct value *slots = make_slots(fetch);
    struct value list = {.kind = VALUE_NULL};
    const char *why = find_items(runner, fetch, body, slots, &list);
    if (!why && list.kind != VALUE_LIST)
        why = "its items are no list";
    if (why) {
        fail(runner, fetch, slice_str(why));
        return;
    }
    size_t count = list.list->count < ITEMS_MAX ? list.list->count : ITEMS_MAX;
    fetch->items =
        arena_alloc(&fetch->arena, (count + 1) * sizeof *fetch->items);
    fetch->count = 0;
    fetch->done = 0;
    for (size_t i = count; i-- > 0;)
        add_item(runner, fetch, slots, &list.list->items[i]);
    send_items(runner, fetch);
}

static void acted(struct runner *runner, struct acting *acting,
                  const struct act_answer *answer)
{
    struct fetch *fetch = CONTAINER_OF(acting, struct fetch, acting);
    if (answer->error.size || answer->is_refused || !answer->was_sent) {
        fail(runner, fetch, answer->error);
    } else if (answer->status == 304) {
        fetch->is_failing = false;
        wait_for_next(runner, fetch);
    } else if (answer->status != 200) {
        char text[40];
        snprintf(text, sizeof text, "HTTP status %d", answer->status);
        fail(runner, fetch, slice_str(text));
    } else {
        buf_reset(&fetch->new_etag);
        buf_reset(&fetch->new_modified);
        append_member(&fetch->arena, answer->headers, "etag", &fetch->new_etag);
        append_member(&fetch->arena, answer->headers, "last-modified",
                      &fetch->new_modified);
        take_body(runner, fetch, answer->body);
    }
}

/* ---- asking ------------------------------------------------------------- */

static void append_line(struct buf *out, const char *name,
                        const struct buf *text)
{
    if (text->size == 0 || slice_find(buf_slice(text), '\n') >= 0)
        return;
    buf_append_str(out, name);
    buf_append_slice(out, buf_slice(text));
    buf_append_str(out, "\r\n");
}

static void secrets_read(struct runner *runner, void *context)
{
    struct fetch *fetch = context;
    if (fetch->secrets.fault.size) {
        fail(runner, fetch, buf_slice(&fetch->secrets.fault));
        secrets__forget(runner, &fetch->secrets);
        return;
    }
    struct buf url = {0};
    struct buf headers = {0};
    secrets__put_in(&fetch->secrets, fetch->request.text, &url);
    if (trigger_of(fetch)->kind == TRIGGER_FEED)
        buf_append_str(&headers,
                       "Accept: application/atom+xml, application/rss+xml, "
                       "application/feed+json, */*;q=0.5\r\n");
    else
        buf_append_str(&headers, "Accept: application/json\r\n");
    append_line(&headers, "If-None-Match: ", &fetch->etag);
    append_line(&headers, "If-Modified-Since: ", &fetch->modified);
    struct act act = {.kind = ACT_HTTP,
                      .timeout_ns = 30 * SECOND_NS,
                      .method = SLICE("GET"),
                      .url = buf_slice(&url),
                      .headers = buf_slice(&headers),
                      .body = SLICE(""),
                      .redirects = true,
                      .is_fetch = true};
    fetch->acting.done = acted;
    acting__send(runner, &fetch->acting, &act);
    if (url.at)
        explicit_bzero(url.at, url.capacity);
    buf_deinit(&url);
    buf_deinit(&headers);
    secrets__forget(runner, &fetch->secrets);
}

static void begin(struct runner *runner, struct timer *timer)
{
    struct fetch *fetch = CONTAINER_OF(timer, struct fetch, timer);
    struct expr_world world = world_of(runner);
    CHECK(!fetch->is_out);
    fetch->is_out = true;
    enum expr_end end =
        template_eval(trigger_of(fetch)->fetch.url, make_slots(fetch), &world,
                      &expr_budget_default, &fetch->arena, &fetch->request);
    if (end != EXPR_DONE || fetch->request.kind != VALUE_STRING) {
        fail(runner, fetch, SLICE("its url can't be evaluated"));
        return;
    }
    secrets__read(runner, &fetch->secrets, work__owner(fetch->work),
                  &fetch->request, secrets_read, fetch);
}

/* ---- life --------------------------------------------------------------- */

void fetch__start(struct runner *runner, struct work *work)
{
    const struct recipe *recipe = work->def->recipe;
    for (size_t i = 0; i < recipe->trigger_count; i++) {
        if (!is_fetch(&recipe->triggers[i]))
            continue;
        struct fetch *fetch = find_or_make(work, i);
        fetch->timer.due = begin;
        /* A new one at once; else not all at the moment of a restart. */
        int64_t most_ns = fetch->is_first ? 0 : 5 * SECOND_NS;
        if (most_ns > recipe->triggers[i].fetch.every_ns)
            most_ns = recipe->triggers[i].fetch.every_ns;
        timer__set(runner, &fetch->timer,
                   runner->now.mono_ns +
                       prng_between(&runner->prng, 0, most_ns));
    }
}

static void free_fetch(struct runner *runner, struct fetch *fetch)
{
    acting__forget(runner, &fetch->acting);
    secrets__forget(runner, &fetch->secrets);
    store__cancel(runner, fetch->call);
    timer__stop(runner, &fetch->timer);
    buf_deinit(&fetch->etag);
    buf_deinit(&fetch->modified);
    buf_deinit(&fetch->new_etag);
    buf_deinit(&fetch->new_modified);
    arena_deinit(&fetch->arena);
    mem_free(fetch);
}

void fetch__stop(struct runner *runner, struct work *work)
{
    if (!work->fetches)
        return;
    for (size_t i = 0; i <= RECIPE_TRIGGERS_MAX; i++)
        if (work->fetches->all[i])
            free_fetch(runner, work->fetches->all[i]);
    mem_free(work->fetches);
    work->fetches = NULL;
}
