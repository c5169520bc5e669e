/* What must come of recipes, told from commits that are made by hand: each kind
 * of effect that is missing, one too many, done twice, or wrong is seen. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "recipe/recipe.h"
#include "sim/firing.h"
#include "unit/sim/sim_stories.h"
#include "unit/sim/sim_worlds.h"

struct story {
    struct sim *sim;
    struct firings firings;
    int64_t now_ns;
};

static void begin(struct story *story)
{
    *story = (struct story){.sim = world_unborn(1), .now_ns = SIM_START_NS};
    story->firings.sim = story->sim;
}

static void end(struct story *story)
{
    world_free(story->sim);
}

/* A commit of so many keys with this value; NULL: they end. */
static revision commit(struct story *story, const char *const *keys,
                       uint32_t count, const char *value, enum mvcc_cause cause)
{
    struct ledger *ledger = &story->sim->ledger;
    revision at = ledger->revision + 1;
    struct record records[2];
    for (uint32_t i = 0; i < count; i++) {
        const struct record *before =
            ledger_get(ledger, MVCC_KEYS, slice_str(keys[i]), at - 1);
        records[i] = story_record(at, keys[i], value, before);
        if (cause)
            records[i].cause = cause;
    }
    struct mvcc_commit *made = story_commit(at, story->now_ns, records, count);
    assert_int_equal(ledger_change(ledger, made), ERR_OK);
    firings_note(&story->firings, made);
    mvcc_commit_unref(made);
    return at;
}

static revision put(struct story *story, const char *key, const char *value)
{
    return commit(story, &key, 1, value, 0);
}

static void effect_with(struct story *story, const char *what, revision at,
                        const char *key, const char *value)
{
    struct buf name = {0};
    buf_printf(&name, "fx/%s/%lld%s", what, (long long)at, key);
    buf_append_char(&name, 0);
    const char *its = name.at;
    commit(story, &its, 1, value, MVCC_RECIPE);
    buf_deinit(&name);
}

static void effect(struct story *story, const char *what, revision at,
                   const char *key)
{
    effect_with(story, what, at, key, "create");
}

static void is_missing(struct story *story, const char *words)
{
    struct buf why = {0};
    assert_false(firings_are_complete(&story->firings, NULL));
    assert_false(firings_are_complete(&story->firings, &why));
    buf_append_char(&why, 0);
    if (strstr(why.at, words) == NULL)
        fail_msg("it says \"%s\", without \"%s\"", why.at, words);
    buf_deinit(&why);
}

static void hold_is_missing(struct story *story, revision from)
{
    char words[64];
    (void)snprintf(words, sizeof words, "the hold of /k3 from revision %lld on",
                   (long long)from);
    is_missing(story, words);
}

static void is_complete(struct story *story)
{
    struct buf why = {0};
    bool complete = firings_are_complete(&story->firings, &why);
    buf_append_char(&why, 0);
    if (!complete)
        fail_msg("incomplete: %s", why.at);
    buf_deinit(&why);
}

/* ---- the documents ------------------------------------------------------- */

static void test_the_recipes_are_recipes(void **state)
{
    (void)state;
    int count = 0;
    for (; firing_recipe(count); count++) {
        struct buf text = {0};
        struct recipe *recipe = NULL;
        struct recipe_fault fault = {0};
        buf_printf(&text, "# YAML\n%s", firing_recipe(count));
        enum err err =
            recipe_parse(buf_slice(&text), sim__zones(), &recipe, &fault);
        if (err)
            fail_msg("recipe %d: %s", count, fault.text);
        recipe_free(recipe);
        buf_deinit(&text);
    }
    assert_in_range(count, 8, 20);
    assert_null(firing_recipe(count + 1));
}

/* ---- one to one ---------------------------------------------------------- */

static void test_each_event_has_its_effect(void **state)
{
    (void)state;
    struct story story;
    begin(&story);
    is_complete(&story);
    revision at = put(&story, "/k3", "v1.");
    is_missing(&story, "count: 1 events, 0 effects");
    effect(&story, "count", at, "/k3");
    is_missing(&story, "chain: 1 events, 0 effects");
    effect(&story, "chain", at, "/k3");
    is_complete(&story);
    at = put(&story, "/k3", NULL);
    effect_with(&story, "count", at, "/k3", "delete");
    effect_with(&story, "chain", at, "/k3", "delete");
    is_complete(&story);
    assert_int_equal(story.firings.events[SIM_EFFECT_COUNT], 2);
    assert_int_equal(story.sim->result.counts[SIM_COUNT_EFFECTS], 4);
    end(&story);
}

static void test_other_keys_are_nobodys(void **state)
{
    (void)state;
    struct story story;
    begin(&story);
    put(&story, "/q/1", "v1.");
    put(&story, "p1/a", "v2.");
    put(&story, "/_recipes/def/x", "{}");
    is_complete(&story);
    end(&story);
}

static void test_an_expiry_is_told_from_a_delete(void **state)
{
    (void)state;
    struct story story;
    const char *key = "/t/1";
    begin(&story);
    revision at = put(&story, key, "v1.");
    effect(&story, "leased", at, key);
    at = commit(&story, &key, 1, NULL, MVCC_DELETE);
    effect_with(&story, "leased", at, key, "expire");
    world_has_failed(story.sim, "is of another event");
}

static void test_a_lease_ends_an_effect(void **state)
{
    (void)state;
    struct story story;
    char name[64];
    const char *made = name;
    begin(&story);
    revision at = put(&story, "/t/1", "v1.");
    (void)snprintf(name, sizeof name, "fx/leased/%lld/t/1", (long long)at);
    effect(&story, "leased", at, "/t/1");
    commit(&story, &made, 1, NULL, MVCC_DELETE);
    is_complete(&story);
    /* A new life of the key is a second effect all the same. */
    effect(&story, "leased", at, "/t/1");
    world_has_failed(story.sim, "is done twice");
}

static void test_twice_is_seen(void **state)
{
    (void)state;
    struct story story;
    begin(&story);
    revision at = put(&story, "/k0", "v1.");
    effect(&story, "before", at, "/k0");
    effect(&story, "before", at, "/k0");
    world_has_failed(story.sim, "/k0 is done twice");
}

static void test_without_an_event_is_seen(void **state)
{
    (void)state;
    struct story story;
    begin(&story);
    revision at = put(&story, "/k3", "v1.");
    effect(&story, "count", at, "/k4");
    world_has_failed(story.sim, "has no event");
    begin(&story);
    effect(&story, "count", 1, "/k4");
    world_has_failed(story.sim, "has no event");
    begin(&story);
    at = put(&story, "/k3", "v1."); /* odd */
    effect(&story, "where", at, "/k3");
    world_has_failed(story.sim, "has no event");
}

static void test_nonsense_is_seen(void **state)
{
    (void)state;
    static const char *const keys[] = {"fx/none/1/k0", "fx/count", "fx/count/1",
                                       "fx/count/x/k0"};
    struct story story;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        begin(&story);
        commit(&story, &keys[i], 1, "create", MVCC_RECIPE);
        world_has_failed(story.sim, "isn't an effect of any recipe");
    }
    const char *key = "fx/count/1/k3";
    begin(&story);
    put(&story, "/k3", "v1.");
    commit(&story, &key, 1, "create", MVCC_PUT);
    world_has_failed(story.sim, "has another cause");
}

static void test_conditions_see_the_events_revision(void **state)
{
    (void)state;
    struct story story;
    begin(&story);
    revision before = put(&story, "/k4", "v2.");
    put(&story, "/k1", "v1.");
    revision after = put(&story, "/k4", "v4.");
    put(&story, "/k1", NULL);
    assert_int_equal(story.firings.events[SIM_EFFECT_WHERE], 1);
    effect(&story, "where", after, "/k4");
    assert_false(story.sim->result.failed);
    effect(&story, "where", before, "/k4");
    world_has_failed(story.sim, "has no event");
}

static void test_two_events_of_one_revision(void **state)
{
    (void)state;
    static const char *const pair[] = {"p0/a", "p0/b"};
    struct story story;
    begin(&story);
    revision at = commit(&story, pair, 2, "v1.", 0);
    effect(&story, "pair", at, "/p0/a");
    is_missing(&story, "pair: 2 events, 1 effects");
    effect(&story, "pair", at, "/p0/b");
    is_complete(&story);
    end(&story);
}

/* Drops what the others of this key would want. */
static void only(struct story *story, enum sim_effect which)
{
    for (int i = 0; i < SIM_EFFECT_KINDS; i++)
        if (i != (int)which)
            story->firings.events[i] = story->firings.effects[i] = 0;
}

static void test_sent_or_dead(void **state)
{
    (void)state;
    struct story story;
    begin(&story);
    revision first = put(&story, "/k2", "v1.");
    revision second = put(&story, "/k2", "v3.");
    only(&story, SIM_EFFECT_SENT);
    effect(&story, "sent", first, "/k2");
    is_missing(&story, "sent: 2 events, 1 effects");
    effect(&story, "dead", second, "/k2");
    is_complete(&story);
    effect(&story, "dead", first, "/k2");
    world_has_failed(story.sim, "and so is its opposite");
}

static void test_ticks_are_only_once(void **state)
{
    (void)state;
    struct story story;
    begin(&story);
    effect_with(&story, "tick", 0, "/2026-01-01T00:00:01Z", "tick");
    effect_with(&story, "tick", 0, "/2026-01-01T00:00:02Z", "tick");
    is_complete(&story);
    effect_with(&story, "tick", 0, "/2026-01-01T00:00:01Z", "tick");
    world_has_failed(story.sim, "is done twice");
}

/* ---- holds --------------------------------------------------------------- */

/* A hold of /k3 that has begun. */
static revision begin_hold(struct story *story)
{
    begin(story);
    revision at = put(story, "/k3", "v2.");
    only(story, SIM_EFFECT_HOLD);
    return at;
}

static revision after(struct story *story, int64_t ms, const char *value)
{
    story->now_ns += ms * SIM_MS;
    revision at = put(story, "/k3", value);
    only(story, SIM_EFFECT_HOLD);
    return at;
}

static void test_what_has_held_must_fire(void **state)
{
    (void)state;
    struct story story;
    revision first = begin_hold(&story);
    hold_is_missing(&story, first);
    revision second = after(&story, 1000, "v4."); /* it still holds */
    after(&story, 1000, "v5.");                   /* and is over, in time */
    assert_int_equal(first + 1, second);
    hold_is_missing(&story, first);
    effect(&story, "hold", second, "/k3");
    is_complete(&story);
    end(&story);
}

static void test_what_was_broken_need_not(void **state)
{
    (void)state;
    struct story story;
    revision first = begin_hold(&story);
    after(&story, 1999, NULL);
    is_complete(&story);
    /* And must not, now. */
    effect(&story, "hold", first, "/k3");
    world_has_failed(story.sim, "fires though it was broken");
}

static void test_a_clock_ahead_may_fire_before_it_breaks(void **state)
{
    (void)state;
    struct story story;
    revision first = begin_hold(&story);
    story.now_ns += 1900 * SIM_MS;
    effect(&story, "hold", first, "/k3");
    after(&story, 50, NULL);
    is_complete(&story);
    end(&story);
}

static void test_one_hold_fires_once(void **state)
{
    (void)state;
    struct story story;
    revision first = begin_hold(&story);
    revision second = after(&story, 1000, "v4.");
    story.now_ns += 2000 * SIM_MS;
    effect(&story, "hold", first, "/k3");
    effect(&story, "hold", second, "/k3");
    world_has_failed(story.sim, "fires twice");
}

static void test_holds_follow_each_other(void **state)
{
    (void)state;
    struct story story;
    revision first = begin_hold(&story);
    after(&story, 3000, "v5.");
    revision second = after(&story, 10, "v6.");
    effect(&story, "hold", first, "/k3");
    hold_is_missing(&story, second);
    story.now_ns += 2000 * SIM_MS;
    effect(&story, "hold", second, "/k3");
    is_complete(&story);
    end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_recipes_are_recipes),
        cmocka_unit_test(test_each_event_has_its_effect),
        cmocka_unit_test(test_other_keys_are_nobodys),
        cmocka_unit_test(test_an_expiry_is_told_from_a_delete),
        cmocka_unit_test(test_a_lease_ends_an_effect),
        cmocka_unit_test(test_twice_is_seen),
        cmocka_unit_test(test_without_an_event_is_seen),
        cmocka_unit_test(test_nonsense_is_seen),
        cmocka_unit_test(test_conditions_see_the_events_revision),
        cmocka_unit_test(test_two_events_of_one_revision),
        cmocka_unit_test(test_sent_or_dead),
        cmocka_unit_test(test_ticks_are_only_once),
        cmocka_unit_test(test_what_has_held_must_fire),
        cmocka_unit_test(test_what_was_broken_need_not),
        cmocka_unit_test(test_a_clock_ahead_may_fire_before_it_breaks),
        cmocka_unit_test(test_one_hold_fires_once),
        cmocka_unit_test(test_holds_follow_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
