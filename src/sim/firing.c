#include "sim/firing.h"

#include <stdio.h>

#include "base/check.h"
#include "sim/sim_int.h"

#define ALL "events: [create, update, delete, expire]"
#define EVEN "raw.matches('^v[0-9]*[02468][.]')"

static const char *const recipes[] = {
    "{name: count, start: beginning, if: [{key: '/{id}', " ALL "}],"
    " then: [{put: {key: 'fx/count/{{event.revision}}{{key}}',"
    " value: '{{event.type}}'}}]}",

    "{name: leased, start: beginning,"
    " if: [{key: '/t/{n}', " ALL "}, {key: '/l/{a}/{b}', " ALL "}],"
    " then: [{put: {key: 'fx/leased/{{event.revision}}{{key}}',"
    " value: '{{event.type}}', ttl: 3s}}]}",

    "{name: chain, start: beginning, if: [{key: 'fx/count/{at}/{id}'}],"
    " loop: {breaker: {count: 1000000, per: 1m}},"
    " then: [{put: {key: 'fx/chain/{{at}}/{{id}}', value: '{{raw}}'}}]}",

    "{name: where, start: beginning, if: [{key: '/{id}'}],"
    " where: [\"" EVEN "\", \"exists('/k1')\"],"
    " then: [{put: {key: 'fx/where/{{event.revision}}{{key}}',"
    " value: '{{event.type}}'}}]}",

    "{name: pair, start: beginning, order: strict,"
    " if: [{key: 'p0/{x}', " ALL "}],"
    " then: [{put: {key: 'fx/pair/{{event.revision}}/{{key}}',"
    " value: '{{event.type}}'}}]}",

    "{name: waits, start: beginning, order: none, if: [{key: '/{id}'}],"
    " where: [\"key == '/k0'\"],"
    " then: [{put: {key: 'fx/before/{{event.revision}}{{key}}',"
    " value: '{{event.type}}'}}, {wait: 300ms},"
    " {put: {key: 'fx/after/{{event.revision}}{{key}}',"
    " value: '{{event.type}}'}}]}",

    "{name: sends, start: beginning, order: none, if: [{key: '/{id}'}],"
    " where: [\"key == '/k2'\"],"
    " then: [{id: out, timeout: 2s, retry: {max: 3, base: 100ms, cap: 1s},"
    " http: {url: 'http://out.example/{{event.revision}}', method: POST,"
    " body: '{{raw}}'}},"
    " {put: {key: 'fx/sent/{{event.revision}}{{key}}',"
    " value: '{{event.type}}'}}],"
    " on_failure: [{put: {key: 'fx/dead/{{event.revision}}{{key}}',"
    " value: '{{event.type}}'}}]}",

    ("{name: holds, start: beginning, if: [{key: '/{id}', for: 2s}],"
     " where: [\"" EVEN "\"],"
     " then: [{put: {key: 'fx/hold/{{event.revision}}{{key}}',"
     " value: '{{event.type}}'}}]}"),

    "{name: ticks, if: [{every: 1s, misfire: all}],"
    " then: [{put: {key: 'fx/tick/0/{{value.time}}', value: tick}}]}",
};
enum { RECIPES = sizeof recipes / sizeof recipes[0] };

const char *firing_recipe(int number)
{
    return number < RECIPES ? recipes[number] : NULL;
}

/* ---- what must fire ------------------------------------------------------ */

static const char *type_of(const struct record *record)
{
    if (record->flags & MVCC_TOMBSTONE)
        return record->cause == MVCC_EXPIRE ? "expire" : "delete";
    return record->version == 1 ? "create" : "update";
}

static bool is_put(const struct record *record)
{
    return (record->flags & MVCC_TOMBSTONE) == 0;
}

/* "/<one segment>" */
static bool is_top(struct slice key)
{
    return key.size > 1 && key.at[0] == '/' &&
           slice_find(slice_of(key.at + 1, key.size - 1), '/') < 0;
}

static bool is_even(const struct record *record)
{
    uint32_t value = is_put(record) ? sim__value_of(record->value) : 0;
    return value > 0 && value % 2 == 0;
}

static bool lives(const struct firings *firings, const char *key, revision at)
{
    return ledger_get(&firings->sim->ledger, MVCC_KEYS, slice_str(key), at) !=
           NULL;
}

static bool starts(struct slice key, const char *with)
{
    return slice_has_prefix(key, slice_str(with));
}

static bool fires(const struct firings *firings, enum sim_effect effect,
                  const struct record *record)
{
    struct slice key = record->key;
    switch (effect) {
    case SIM_EFFECT_COUNT:
    case SIM_EFFECT_CHAIN:
        return is_top(key);
    case SIM_EFFECT_LEASED:
        return starts(key, "/t/") || starts(key, "/l/");
    case SIM_EFFECT_WHERE:
        return is_top(key) && is_even(record) &&
               lives(firings, "/k1", record->rev.main);
    case SIM_EFFECT_PAIR:
        return starts(key, "p0/");
    case SIM_EFFECT_BEFORE:
    case SIM_EFFECT_AFTER:
        return slice_eq(key, SLICE("/k0")) && is_put(record);
    case SIM_EFFECT_SENT:
    case SIM_EFFECT_DEAD:
        return slice_eq(key, SLICE("/k2")) && is_put(record);
    case SIM_EFFECT_HOLD:
        return is_top(key) && is_even(record);
    case SIM_EFFECT_TICK:
    case SIM_EFFECT_KINDS:
        break;
    }
    return false;
}

static const char *const names[SIM_EFFECT_KINDS] = {
    [SIM_EFFECT_COUNT] = "count", [SIM_EFFECT_LEASED] = "leased",
    [SIM_EFFECT_CHAIN] = "chain", [SIM_EFFECT_WHERE] = "where",
    [SIM_EFFECT_PAIR] = "pair",   [SIM_EFFECT_BEFORE] = "before",
    [SIM_EFFECT_AFTER] = "after", [SIM_EFFECT_SENT] = "sent",
    [SIM_EFFECT_DEAD] = "dead",   [SIM_EFFECT_HOLD] = "hold",
    [SIM_EFFECT_TICK] = "tick",
};

/* ---- holds --------------------------------------------------------------- */

static const struct ledger_key *history_of(const struct firings *firings,
                                           struct slice key)
{
    return map_get(&firings->sim->ledger.keys[MVCC_KEYS], key);
}

/* An effect's key. */
static void write_key(struct buf *out, enum sim_effect effect, revision at,
                      struct slice key)
{
    buf_reset(out);
    buf_printf(out, "fx/%s/%lld%s%.*s", names[effect], (long long)at,
               key.at[0] == '/' ? "" : "/", (int)key.size, key.at);
}

/* The commit that has made it; NULL: it wasn't made. */
static const struct record *effect_of(const struct firings *firings,
                                      enum sim_effect effect,
                                      const struct record *record)
{
    struct buf name = {0};
    write_key(&name, effect, record->rev.main, record->key);
    const struct ledger_key *made = history_of(firings, buf_slice(&name));
    buf_deinit(&name);
    return made && made->count ? made->records[0] : NULL;
}

/* A hold: from the event at `first` to the one before `end`, which breaks it
 * (or isn't there yet). */
struct hold {
    const struct ledger_key *key;
    size_t first;
    size_t end;
};

static bool next_hold(const struct firings *firings,
                      const struct ledger_key *key, size_t from,
                      struct hold *out)
{
    const struct record *const *records = (const void *)key->records;
    while (from < key->count && !fires(firings, SIM_EFFECT_HOLD, records[from]))
        from++;
    *out = (struct hold){.key = key, .first = from, .end = from};
    while (out->end < key->count &&
           fires(firings, SIM_EFFECT_HOLD, records[out->end]))
        out->end++;
    return out->first < out->end;
}

/* When it breaks; where it doesn't: now. */
static int64_t end_of(const struct firings *firings, const struct hold *hold)
{
    if (hold->end < hold->key->count)
        return hold->key->records[hold->end]->time_ns;
    return firings->sim->ledger.time_ns;
}

static void fail_hold(const struct hold *hold, struct sim *sim,
                      const char *what)
{
    const struct record *first = hold->key->records[hold->first];
    sim__fail(sim, "the hold of %.*s from revision %lld on %s",
              (int)first->key.size, first->key.at, (long long)first->rev.main,
              what);
}

/* By the events it has held long enough, or it wasn't broken yet when it
 * fired. */
static void check_hold(const struct firings *firings, const struct hold *hold,
                       const struct record *effect)
{
    const struct record *first = hold->key->records[hold->first];
    size_t count = 0;
    for (size_t i = hold->first; i < hold->end; i++)
        count +=
            effect_of(firings, SIM_EFFECT_HOLD, hold->key->records[i]) != NULL;
    if (count > 1)
        fail_hold(hold, firings->sim, "fires twice");
    if (hold->end < hold->key->count &&
        hold->key->records[hold->end]->rev.main < effect->rev.main &&
        end_of(firings, hold) - first->time_ns < SIM_HOLD_NS)
        fail_hold(hold, firings->sim, "fires though it was broken");
}

static void note_hold(const struct firings *firings, const struct record *event,
                      const struct record *effect)
{
    const struct ledger_key *key = history_of(firings, event->key);
    struct hold hold;
    for (size_t at = 0; next_hold(firings, key, at, &hold); at = hold.end)
        if (key->records[hold.end - 1]->rev.main >= event->rev.main) {
            check_hold(firings, &hold, effect);
            return;
        }
}

static bool has_fired(const struct firings *firings, const struct hold *hold)
{
    for (size_t i = hold->first; i < hold->end; i++)
        if (effect_of(firings, SIM_EFFECT_HOLD, hold->key->records[i]))
            return true;
    return false;
}

static bool holds_are_complete(const struct firings *firings, struct buf *why)
{
    const struct ledger_key *key;
    const struct map *keys = &firings->sim->ledger.keys[MVCC_KEYS];
    size_t position = 0;
    while ((key = map_next(keys, &position))) {
        struct hold hold;
        if (!is_top(key->key))
            continue;
        for (size_t at = 0; next_hold(firings, key, at, &hold); at = hold.end) {
            const struct record *first = key->records[hold.first];
            /* One that nothing breaks any more fires by the clock. */
            bool must = hold.end == key->count ||
                        end_of(firings, &hold) - first->time_ns >= SIM_HOLD_NS;
            if (!must || has_fired(firings, &hold))
                continue;
            if (why)
                buf_printf(why, "the hold of %.*s from revision %lld on",
                           (int)key->key.size, key->key.at,
                           (long long)first->rev.main);
            return false;
        }
    }
    return true;
}

/* ---- effects ------------------------------------------------------------- */

struct effect_key {
    enum sim_effect effect;
    revision at;
    struct slice rest; /* with the '/' before it */
};

static bool read_key(struct slice key, struct effect_key *out)
{
    struct slice rest = slice_of(key.at + 3, key.size - 3);
    ptrdiff_t slash = slice_find(rest, '/');
    uint64_t at = 0;
    if (slash < 0)
        return false;
    struct slice name = slice_of(rest.at, (size_t)slash);
    for (out->effect = 0; out->effect < SIM_EFFECT_KINDS; out->effect++)
        if (slice_eq(name, slice_str(names[out->effect])))
            break;
    rest = slice_of(rest.at + slash + 1, rest.size - (size_t)slash - 1);
    slash = slice_find(rest, '/');
    if (slash < 0 || out->effect == SIM_EFFECT_KINDS ||
        !slice_to_u64(slice_of(rest.at, (size_t)slash), &at))
        return false;
    out->at = (revision)at;
    out->rest = slice_of(rest.at + slash, rest.size - (size_t)slash);
    return true;
}

/* The event that an effect is for; NULL: there was none such. */
static const struct record *event_of(const struct firings *firings,
                                     const struct effect_key *key)
{
    const struct mvcc_commit *commit =
        ledger_commit_at(&firings->sim->ledger, key->at);
    for (uint32_t i = 0; commit && i < commit->count; i++) {
        const struct record *record = &commit->records[i];
        struct slice rest = slice_of(key->rest.at + 1, key->rest.size - 1);
        if (record->table == MVCC_KEYS &&
            (slice_eq(record->key, key->rest) || slice_eq(record->key, rest)))
            return record;
    }
    return NULL;
}

static bool was_put_before(const struct firings *firings, struct slice key)
{
    const struct ledger_key *history = history_of(firings, key);
    size_t puts = 0;
    for (size_t i = 0; history && i < history->count; i++)
        puts += is_put(history->records[i]);
    return puts > 1;
}

static void fail_effect(const struct firings *firings,
                        const struct record *effect, const char *what)
{
    sim__fail(firings->sim, "recipes: %.*s %s, at revision %lld",
              (int)effect->key.size, effect->key.at, what,
              (long long)effect->rev.main);
}

/* Where an action outside was given up on_failure is done, and nothing else. */
static bool is_both(const struct firings *firings, enum sim_effect effect,
                    const struct record *event)
{
    if (effect != SIM_EFFECT_SENT && effect != SIM_EFFECT_DEAD)
        return false;
    return effect_of(firings,
                     effect == SIM_EFFECT_SENT ? SIM_EFFECT_DEAD
                                               : SIM_EFFECT_SENT,
                     event) != NULL;
}

static void note_effect(struct firings *firings, const struct record *effect)
{
    struct effect_key key;
    struct sim *sim = firings->sim;
    if (!is_put(effect))
        return; /* its lease has ended */
    sim__count(sim, SIM_COUNT_EFFECTS, 1);
    if (!read_key(effect->key, &key)) {
        fail_effect(firings, effect, "isn't an effect of any recipe");
        return;
    }
    firings->effects[key.effect]++;
    if (was_put_before(firings, effect->key))
        fail_effect(firings, effect, "is done twice");
    if (effect->cause != MVCC_RECIPE)
        fail_effect(firings, effect, "has another cause");
    if (key.effect == SIM_EFFECT_TICK)
        return;
    const struct record *event = event_of(firings, &key);
    if (event == NULL || !fires(firings, key.effect, event))
        fail_effect(firings, effect, "has no event");
    else if (!slice_eq(effect->value, slice_str(type_of(event))))
        fail_effect(firings, effect, "is of another event");
    else if (is_both(firings, key.effect, event))
        fail_effect(firings, effect, "is done, and so is its opposite");
    else if (key.effect == SIM_EFFECT_HOLD)
        note_hold(firings, event, effect);
}

void firings_note(struct firings *firings, const struct mvcc_commit *commit)
{
    for (uint32_t i = 0; i < commit->count; i++) {
        const struct record *record = &commit->records[i];
        if (record->table != MVCC_KEYS)
            continue;
        if (starts(record->key, "fx/")) {
            note_effect(firings, record);
            continue;
        }
        for (enum sim_effect effect = 0; effect < SIM_EFFECT_HOLD; effect++)
            firings->events[effect] += fires(firings, effect, record);
    }
}

bool firings_are_complete(const struct firings *firings, struct buf *why)
{
    for (enum sim_effect effect = 0; effect < SIM_EFFECT_HOLD; effect++) {
        uint64_t effects = firings->effects[effect];
        if (effect == SIM_EFFECT_DEAD)
            continue; /* counted with the next one before it */
        if (effect == SIM_EFFECT_SENT)
            effects += firings->effects[SIM_EFFECT_DEAD];
        if (effects == firings->events[effect])
            continue;
        if (why)
            buf_printf(why, "%s: %llu events, %llu effects", names[effect],
                       (unsigned long long)firings->events[effect],
                       (unsigned long long)effects);
        return false;
    }
    return holds_are_complete(firings, why);
}
