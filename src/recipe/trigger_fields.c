/* What each kind of trigger has: the fields of an item of `if`. */
#include "base/check.h"
#include "base/time_text.h"
#include "recipe/machine.h"
#include "recipe/trigger_int.h"

#define TRIGGER_SCOPE (SCOPE_EVENT | SCOPE_STORE | SCOPE_NO_LETS)

static struct trigger *trigger_of(void *into)
{
    return ((struct trigger_source *)into)->trigger;
}

/* ---- key ---------------------------------------------------------------- */

static void read_events(struct reader *reader, const struct doc_value *value,
                        void *into)
{
    static const char *const words[] = {"create", "update", "put", "delete",
                                        "expire"};
    static const unsigned bits[] = {EVENT_CREATE, EVENT_UPDATE, EVENT_PUT,
                                    EVENT_DELETE, EVENT_EXPIRE};
    struct trigger *trigger = trigger_of(into);
    struct items items;
    size_t word;
    reader__items(reader, value, 16, &items);
    if (!reader->err && items.count == 0)
        reader__fail(reader, value, "an empty list: write some of %s",
                     reader__list(reader, words, 5));
    trigger->events = 0;
    for (size_t i = 0; i < items.count && !reader->err; i++) {
        size_t mark = reader->path_size;
        if (value->kind == DOC_LIST)
            reader__enter_item(reader, i);
        if (reader__choice(reader, items.list[i], words, 5, &word))
            trigger->events |= bits[word];
        reader__leave(reader, mark);
    }
}

static void read_of(struct reader *reader, const struct doc_value *value,
                    void *into)
{
    struct trigger *trigger = trigger_of(into);
    struct expr *of = names__expr(reader, value, TRIGGER_SCOPE);
    enum value_kind kind = of ? expr_gives(of) : VALUE_LAZY;
    if (kind != VALUE_LAZY && kind != VALUE_INT && kind != VALUE_UINT &&
        kind != VALUE_DOUBLE)
        reader__fail(reader, value,
                     "a number can cross a limit, and this is of kind %s",
                     value_kind_text(kind));
    trigger->crosses.of = of;
}

static void read_above(struct reader *reader, const struct doc_value *value,
                       void *into)
{
    reader__number(reader, value, &trigger_of(into)->crosses.limit);
}

static void read_below(struct reader *reader, const struct doc_value *value,
                       void *into)
{
    reader__number(reader, value, &trigger_of(into)->crosses.limit);
    trigger_of(into)->crosses.below = true;
}

static void read_reset(struct reader *reader, const struct doc_value *value,
                       void *into)
{
    reader__number(reader, value, &trigger_of(into)->crosses.reset);
}

static const struct field crosses_fields[] = {
    {.name = "of",
     .read = read_of,
     .needed = "the number that is watched, of: value.used"},
    {.name = "above", .read = read_above},
    {.name = "below", .read = read_below},
    {.name = "reset", .read = read_reset},
};
static const struct schema crosses_schema = {.what = "crosses",
                                             SCHEMA_FIELDS(crosses_fields)};

static void read_crosses(struct reader *reader, const struct doc_value *value,
                         void *into)
{
    struct trigger *trigger = trigger_of(into);
    bool has_above = doc_get(value, "above");
    bool has_below = doc_get(value, "below");
    struct doc_value *reset = doc_get(value, "reset");
    reader__map(reader, value, &crosses_schema, 0, into);
    if (reader->err)
        return;
    if (has_above == has_below)
        reader__fail(reader, value, "write one of above and below%s",
                     has_above ? ", not both: two triggers can do both" : "");
    size_t mark = reader__enter(reader, SLICE("reset"));
    if (!reset)
        trigger->crosses.reset = trigger->crosses.limit;
    else if (has_above && trigger->crosses.reset > trigger->crosses.limit)
        reader__fail(reader, reset,
                     "reset is where it is armed again: write a number that "
                     "isn't greater than above");
    else if (has_below && trigger->crosses.reset < trigger->crosses.limit)
        reader__fail(reader, reset,
                     "reset is where it is armed again: write a number that "
                     "isn't less than below");
    reader__leave(reader, mark);
}

/* What must differ; `true` stands for all of the value. */
static void read_changed(struct reader *reader, const struct doc_value *value,
                         void *into)
{
    static const struct doc_value whole = {.kind = DOC_STRING,
                                           .text = {"value", 5}};
    if (value->kind == DOC_BOOL && !value->boolean)
        reader__fail(reader, value,
                     "write the expression that has to change, value.state, "
                     "or true for all of the value");
    trigger_of(into)->changed = names__expr(
        reader, value->kind == DOC_BOOL ? &whole : value, TRIGGER_SCOPE);
}

static void read_for(struct reader *reader, const struct doc_value *value,
                     void *into)
{
    reader__duration(reader, value, second_ns / 1000,
                     &trigger_of(into)->for_ns);
}

/* ---- clocks ------------------------------------------------------------- */

static void read_every(struct reader *reader, const struct doc_value *value,
                       void *into)
{
    struct schedule *schedule = &trigger_of(into)->schedule;
    schedule->kind = SCHEDULE_EVERY;
    reader__duration(reader, value, second_ns, &schedule->every_ns);
}

static void read_cron(struct reader *reader, const struct doc_value *value,
                      void *into)
{
    struct slice text;
    const struct zone *utc;
    if (!reader__string(reader, value, &text))
        return;
    enum err err = zone_open(reader->arena, reader->zones, SLICE("UTC"), &utc);
    CHECK_EQ(err, ERR_OK);
    if (schedule_parse_cron(text, utc, &trigger_of(into)->schedule))
        reader__fail(reader, value, "%s", err_note());
}

/* Behind cron in the table: there is a schedule. */
static void read_tz(struct reader *reader, const struct doc_value *value,
                    void *into)
{
    struct slice name;
    const struct zone **zone = &trigger_of(into)->schedule.zone;
    if (reader__string(reader, value, &name) &&
        zone_open(reader->arena, reader->zones, name, zone))
        reader__fail(reader, value,
                     "no time zone \"%.*s\" is known: write a name of the tz "
                     "database (Europe/Berlin), UTC or an offset (+08:00)",
                     SHOWN(name));
}

static void read_at(struct reader *reader, const struct doc_value *value,
                    void *into)
{
    struct schedule *schedule = &trigger_of(into)->schedule;
    schedule->kind = SCHEDULE_AT;
    if (value->kind != DOC_STRING ||
        !time_from_rfc3339(value->text, &schedule->at_ns))
        reader__fail(reader, value,
                     "write a moment with its zone: 2026-12-24T18:00:00Z or "
                     "2026-12-24T18:00:00+01:00");
}

static void read_misfire(struct reader *reader, const struct doc_value *value,
                         void *into)
{
    static const char *const words[] = {"last", "skip", "all"};
    size_t word;
    if (reader__choice(reader, value, words, 3, &word))
        trigger_of(into)->misfire = (enum misfire)word;
}

/* ---- webhook ------------------------------------------------------------ */

static bool is_path(struct slice path)
{
    for (size_t i = 0; i < path.size; i++) {
        char c = path.at[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || (c && strchr("-._~/", c));
        if (!is_plain)
            return false;
    }
    return path.size > 0 && path.size <= 256 && path.at[0] != '/' &&
           path.at[path.size - 1] != '/';
}

static void read_path(struct reader *reader, const struct doc_value *value,
                      void *into)
{
    struct slice path;
    if (!reader__string(reader, value, &path))
        return;
    if (!is_path(path))
        reader__fail(reader, value,
                     "\"%.*s\" can't be a webhook's path: write letters, "
                     "digits and -._~/ with no slash at either end, "
                     "github/push",
                     SHOWN(path));
    trigger_of(into)->hook.path = path;
}

static void read_secret(struct reader *reader, const struct doc_value *value,
                        void *into)
{
    struct slice name;
    if (!reader__string(reader, value, &name))
        return;
    if (memmem(name.at, name.size, "secret(", 7) || !secret_name_is_valid(name))
        reader__fail(reader, value,
                     "write the bare name of a secret, letters, digits, '.', "
                     "'_' and '-': secret: github_hook");
    trigger_of(into)->hook.secret = name;
}

static void read_header(struct reader *reader, const struct doc_value *value,
                        void *into)
{
    struct slice name;
    struct trigger_source *source = into;
    if (!reader__string(reader, value, &name))
        return;
    if (!doc_get(doc_get(source->map, "webhook"), "secret"))
        reader__fail(reader, value,
                     "this is the header with the signature: write secret: "
                     "<name> too, or leave it out");
    if (!is_path(name) || slice_find(name, '/') >= 0)
        reader__fail(reader, value, "\"%.*s\" can't be a header's name",
                     SHOWN(name));
    char *lower = arena_dup(reader->arena, name.at, name.size);
    for (size_t i = 0; i < name.size; i++)
        lower[i] = (char)(lower[i] | (lower[i] >= 'A' && lower[i] <= 'Z') << 5);
    source->trigger->hook.header = slice_of(lower, name.size);
}

static void read_dedupe(struct reader *reader, const struct doc_value *value,
                        void *into)
{
    trigger_of(into)->hook.dedupe =
        names__expr(reader, value, SCOPE_BODY | SCOPE_HEADERS);
}

static void read_dedupe_ttl(struct reader *reader,
                            const struct doc_value *value, void *into)
{
    reader__duration(reader, value, second_ns,
                     &trigger_of(into)->hook.dedupe_ns);
}

static const struct field webhook_fields[] = {
    {.name = "path",
     .read = read_path,
     .needed = "the end of its address, /recipes/v1/hooks/<path>"},
    {.name = "secret", .read = read_secret},
    {.name = "header",
     .read = read_header,
     .standard = "\"x-hub-signature-256\""},
    {.name = "dedupe", .read = read_dedupe},
    {.name = "dedupe_ttl", .read = read_dedupe_ttl, .standard = "\"24h\""},
};
static const struct schema webhook_schema = {.what = "webhook",
                                             SCHEMA_FIELDS(webhook_fields)};

static void read_webhook(struct reader *reader, const struct doc_value *value,
                         void *into)
{
    struct trigger *trigger = trigger_of(into);
    trigger->hook.header = SLICE("x-hub-signature-256");
    trigger->hook.dedupe_ns = day_ns;
    if (value->kind == DOC_STRING)
        read_path(reader, value, into);
    else
        reader__map(reader, value, &webhook_schema, 0, into);
}

/* ---- feed and poll ------------------------------------------------------ */

static void read_url(struct reader *reader, const struct doc_value *value,
                     void *into)
{
    static const char *const schemes[] = {"http://", "https://", NULL};
    struct template *url = names__template(reader, value, SCOPE_SECRET);
    trigger_of(into)->fetch.url = url;
    if (url && !outside__may_begin(url, schemes))
        reader__fail(reader, value,
                     "an address begins with http:// or https://");
}

static void read_fetch_every(struct reader *reader,
                             const struct doc_value *value, void *into)
{
    reader__duration(reader, value, second_ns,
                     &trigger_of(into)->fetch.every_ns);
}

static void read_fetch_items(struct reader *reader,
                             const struct doc_value *value, void *into)
{
    struct expr *list = names__expr(reader, value, SCOPE_BODY);
    enum value_kind kind = list ? expr_gives(list) : VALUE_LAZY;
    if (kind != VALUE_LAZY && kind != VALUE_LIST)
        reader__fail(reader, value,
                     "items is a list of the answer, body.items, and this is "
                     "of kind %s",
                     value_kind_text(kind));
    trigger_of(into)->fetch.items = list;
}

static void read_fetch_id(struct reader *reader, const struct doc_value *value,
                          void *into)
{
    trigger_of(into)->fetch.id = names__expr(reader, value, SCOPE_ITEM);
}

#define FETCH_NEEDS_URL "the address, url: https://example.org/feed"
static const struct field feed_fields[] = {
    {.name = "url", .read = read_url, .needed = FETCH_NEEDS_URL},
    {.name = "every", .read = read_fetch_every, .standard = "\"5m\""},
};
static const struct schema feed_schema = {.what = "feed",
                                          SCHEMA_FIELDS(feed_fields)};

static const struct field poll_fields[] = {
    {.name = "url", .read = read_url, .needed = FETCH_NEEDS_URL},
    {.name = "every", .read = read_fetch_every, .standard = "\"5m\""},
    {.name = "items", .read = read_fetch_items, .standard = "\"body\""},
    {.name = "id",
     .read = read_fetch_id,
     .needed = "what tells one item from another, id: item.id"},
};
static const struct schema poll_schema = {.what = "poll",
                                          SCHEMA_FIELDS(poll_fields)};

static void read_feed(struct reader *reader, const struct doc_value *value,
                      void *into)
{
    trigger_of(into)->fetch.every_ns = 5 * minute_ns;
    reader__map(reader, value, &feed_schema, 0, into);
}

static void read_poll(struct reader *reader, const struct doc_value *value,
                      void *into)
{
    static const struct doc_value body = {.kind = DOC_STRING,
                                          .text = {"body", 4}};
    trigger_of(into)->fetch.every_ns = 5 * minute_ns;
    reader__map(reader, value, &poll_schema, 0, into);
    if (!trigger_of(into)->fetch.items)
        read_fetch_items(reader, &body, into);
}

/* ---- recipe and manual -------------------------------------------------- */

static void read_outcome(struct reader *reader, const struct doc_value *value,
                         void *into)
{
    static const char *const words[] = {"ok", "failed", "any"};
    static const unsigned outcomes[] = {
        1u << RUN_OK,
        1u << RUN_FAILED,
        1u << RUN_OK | 1u << RUN_FAILED | 1u << RUN_CANCELLED,
    };
    size_t word;
    if (reader__choice(reader, value, words, 3, &word))
        trigger_of(into)->other.outcomes = outcomes[word];
}

static const struct field other_fields[] = {
    {.name = "name", .needed = "the other recipe's name"},
    {.name = "outcome", .read = read_outcome, .standard = "\"ok\""},
};
static const struct schema other_schema = {.what = "recipe",
                                           SCHEMA_FIELDS(other_fields)};

static void read_recipe(struct reader *reader, const struct doc_value *value,
                        void *into)
{
    struct trigger *trigger = trigger_of(into);
    trigger->other.outcomes = 1u << RUN_OK;
    if (value->kind != DOC_STRING)
        reader__map(reader, value, &other_schema, 0, into);
    if (!reader->err && !reader->recipe->reentrant &&
        slice_eq(trigger->other.name, reader->recipe->name))
        reader__fail(reader, value,
                     "this recipe would start itself: write another one's "
                     "name, or loop: {reentrant: true} if that is meant");
}

static void read_manual(struct reader *reader, const struct doc_value *value,
                        void *into)
{
    bool is_true = false;
    (void)into;
    if (reader__bool(reader, value, &is_true) && !is_true)
        reader__fail(reader, value, "write manual: true, or leave it out");
}

/* ---- the table ---------------------------------------------------------- */

#define WITH(kind) (1u << TRIGGER_##kind)
/* The first ten stand in the order of enum trigger_kind. */
static const struct field fields[] = {
    {.name = "key"},
    {.name = "absent"},
    {.name = "every", .read = read_every},
    {.name = "cron", .read = read_cron},
    {.name = "at", .read = read_at},
    {.name = "webhook", .read = read_webhook, .inside = &webhook_schema},
    {.name = "feed", .read = read_feed, .inside = &feed_schema},
    {.name = "poll", .read = read_poll, .inside = &poll_schema},
    {.name = "recipe", .read = read_recipe, .inside = &other_schema},
    {.name = "manual", .read = read_manual},
    {.name = "events",
     .read = read_events,
     .with = WITH(KEY),
     .standard = "[\"put\"]",
     .is_list = true},
    {.name = "crosses",
     .read = read_crosses,
     .with = WITH(KEY),
     .inside = &crosses_schema},
    {.name = "changed", .read = read_changed, .with = WITH(KEY)},
    {.name = "for", .read = read_for, .with = WITH(KEY) | WITH(ABSENT)},
    {.name = "tz", .read = read_tz, .with = WITH(CRON), .standard = "\"UTC\""},
    {.name = "misfire",
     .read = read_misfire,
     .with = WITH(EVERY) | WITH(CRON) | WITH(AT),
     .standard = "\"last\""},
};
static const char *const later[] = {"mqtt", "cluster", NULL};
const struct schema triggers__schema = {.what = "a trigger",
                                        SCHEMA_FIELDS(fields),
                                        .kind_first = 0,
                                        .kind_count = TRIGGER_MANUAL + 1,
                                        .later = later};
