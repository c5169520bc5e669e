/* Which recipe feeds which: each action against each trigger, beside a twin
 * that tries keys one by one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "recipe_support.h"

/* What may stand for {{x}}, and what anything else is put together of. */
static const char *const segments[] = {"a", "b", "out", "other"};
static const char *const tokens[] = {"/",   "a",  "b",  "end", "/end",
                                     "out", "/o", "ut", "ther"};
enum { SEGMENTS = 4, TOKENS = 9, TOKENS_MAX = 5 };

/* An action, and the keys that it may write: # stands for a segment, * for
 * anything. */
static const struct writer {
    const char *action, *keys;
    unsigned events;
} writers[] = {
    {"put: {key: /out/a, value: 1}", "/out/a", EVENT_PUT},
    {"put: {key: /out/a, value: 1, ttl: 5s}", "/out/a",
     EVENT_PUT | EVENT_EXPIRE},
    {"put: {key: '/out/{{x}}', value: 1}", "/out/#", EVENT_PUT},
    {"put: {key: '/out/{{rest}}', value: 1}", "/out/*", EVENT_PUT},
    {"put: {key: '{{rest}}', value: 1}", "*", EVENT_PUT},
    {"put: {key: '/{{x}}/{{x}}', value: 1, ttl: 1m}", "/#/#",
     EVENT_PUT | EVENT_EXPIRE},
    {"put: {key: '/out/{{x}}/end', value: 1}", "/out/#/end", EVENT_PUT},
    {"put: {key: '/o{{value}}', value: 1}", "/o*", EVENT_PUT},
    {"delete: /out/a", "/out/a", EVENT_DELETE},
    {"delete: '/out/{{x}}'", "/out/#", EVENT_DELETE},
    {"delete: {key: /out/, prefix: true}", "/out/*", EVENT_DELETE},
    {"delete: {key: /out, prefix: true}", "/out*", EVENT_DELETE},
    {"delete: {key: '/out/{{x}}/', prefix: true}", "/out/#/*", EVENT_DELETE},
    {"log: /out/a", NULL, 0},
    {"http: {url: 'http://e.org/out/a'}", NULL, 0},
    {"wait: 1s", NULL, 0},
    {"exec: [/out/a]", NULL, 0},
};
enum { WRITERS = sizeof writers / sizeof writers[0] };

static const char *const triggers[] = {
    "key: /out/a",
    "key: /out/b, events: create",
    "key: /out/",
    "key: '/out/{y}'",
    "key: '/out/{y}', events: delete",
    "key: '/out/{y}', events: expire",
    "key: '/out/{y}', events: [delete, expire]",
    "key: '/out/{y...}', events: update",
    "key: '/out/{y}/end'",
    "key: '/out/{y}/end', events: [delete]",
    "key: '/{y}/{z}'",
    "key: '/{y}/{z...}', events: [expire]",
    "key: '/{y}/a/'",
    "key: /",
    "key: '{all...}'",
    "key: /other/",
    "absent: /out/a, for: 5s",
    "absent: '/out/{y}/{z}', for: 5s",
    "absent: /other, for: 5s",
    "every: 5s",
    "cron: '@daily'",
    "webhook: a",
    "recipe: somebody",
    "manual: true",
};
enum { TRIGGERS = sizeof triggers / sizeof triggers[0] };

/* ---- the twin ----------------------------------------------------------- */

/* Whether some text that `keys` may become is matched; `left` is how many
 * tokens the '*' that `keys` begins with may still have. */
static bool any_matches(const struct pattern *pattern, const char *keys,
                        int left, char *key, size_t size)
{
    struct slice captures[PATTERN_CAPTURES_MAX];
    bool is_one = *keys == '#', is_any = *keys == '*';
    if (*keys == '\0')
        return pattern_matches(pattern, slice_of(key, size), captures);
    if (!is_one && !is_any)
        key[size] = *keys;
    if (!is_one && any_matches(pattern, keys + 1, TOKENS_MAX, key,
                               is_any ? size : size + 1))
        return true;
    size_t count = is_one ? SEGMENTS : is_any && left > 0 ? TOKENS : 0;
    for (size_t i = 0; i < count; i++) {
        struct slice part = slice_str(is_one ? segments[i] : tokens[i]);
        memcpy(key + size, part.at, part.size);
        if (any_matches(pattern, is_one ? keys + 1 : keys,
                        is_one ? TOKENS_MAX : left - 1, key, size + part.size))
            return true;
    }
    return false;
}

static bool feeds_by_trying(const struct writer *writer,
                            const struct trigger *trigger)
{
    char key[128];
    return writer->keys && (writer->events & trigger->events) &&
           any_matches(&trigger->pattern, writer->keys, TOKENS_MAX, key, 0);
}

/* ---- the matrix --------------------------------------------------------- */

static struct recipe *make(const char *name, const char *trigger,
                           const char *actions)
{
    char text[512];
    snprintf(text, sizeof text,
             "name: %s\nif: [{%s}, {key: '/in/{x}/{rest...}'}]\n"
             "loop: {reentrant: true}\n%s\n",
             name, trigger, actions);
    return parse_recipe(text);
}

/* As it stands, within a txn's two branches, and in on_failure. */
static struct recipe *make_writer(const struct writer *writer, int form)
{
    char text[384];
    static const char *const forms[] = {
        "then: [{%s}]",
        "then: [{txn: {compare: [], then: [{delete: /none}, {%s}]}}]",
        "then: [{txn: {compare: [], then: [{delete: /none}], else: [{%s}]}}]",
        "then: [{wait: 1s}]\non_failure: [{log: hi}, {%s}]",
    };
    const char *hole = strstr(forms[form], "%s");
    snprintf(text, sizeof text, "%.*s%s%s", (int)(hole - forms[form]),
             forms[form], writer->action, hole + 2);
    return make("w", "every: 1m", text);
}

static void each_action_feeds_who_watches(void **state)
{
    (void)state;
    struct recipe *readers[TRIGGERS];
    bool wanted[TRIGGERS];
    int fed = 0;
    for (size_t i = 0; i < TRIGGERS; i++)
        readers[i] = make("r", triggers[i], "then: [{log: hi}]");
    for (size_t i = 0; i < WRITERS; i++) {
        for (int form = 0; form < 4; form++) {
            /* A txn has puts and deletes alone. */
            if (!writers[i].keys && (form == 1 || form == 2))
                continue;
            struct recipe *writer = make_writer(&writers[i], form);
            for (size_t j = 0; j < TRIGGERS; j++) {
                const struct trigger *trigger = &readers[j]->triggers[0];
                bool feeds = recipe_feeds(writer, trigger);
                if (form == 0)
                    wanted[j] = feeds_by_trying(&writers[i], trigger);
                if (feeds != wanted[j])
                    fail_msg("%s to %s: %d", writers[i].action, triggers[j],
                             feeds);
                fed += feeds;
                /* Nobody feeds what comes from outside. */
                assert_false(recipe_feeds(writer, &readers[j]->triggers[2]));
            }
            recipe_free(writer);
        }
    }
    assert_in_range(fed, 100, WRITERS * TRIGGERS * 4 / 2);
    for (size_t i = 0; i < TRIGGERS; i++)
        recipe_free(readers[i]);
}

/* What one would feed in another, it is refused in the one. */
static void nobody_feeds_himself(void **state)
{
    (void)state;
    int refused = 0;
    for (size_t i = 0; i < WRITERS; i++) {
        for (size_t j = 0; j < TRIGGERS; j++) {
            char text[512];
            struct recipe *recipe, *both;
            struct recipe_fault fault;
            snprintf(text, sizeof text,
                     "name: r\nif: [{%s}, {key: '/in/{x}/{rest...}', events: "
                     "expire}]\nthen: [{%s}]\n",
                     triggers[j], writers[i].action);
            enum err err = recipe_parse(slice_str(text), NULL, &recipe, &fault);
            both = make("r", triggers[j], "then: [{log: hi}]");
            bool feeds = feeds_by_trying(&writers[i], &both->triggers[0]);
            /* The second trigger is in the way of what may go anywhere. */
            bool second = err && strstr(fault.text, "trigger if[1]") != NULL;
            if ((err != ERR_OK) != (feeds || second))
                fail_msg("%s: %s", text, err ? fault.text : "taken");
            if (err)
                assert_non_null(strstr(fault.text, "feeds the recipe's own"));
            refused += err != ERR_OK;
            recipe_free(recipe);
            recipe_free(both);
        }
    }
    assert_in_range(refused, 50, WRITERS * TRIGGERS / 2);
}

/* A call feeds the last trigger of whom it calls; a run whom it is told to. */
static void calls_and_runs_feed(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "ab", "a.b"};
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < 4; j++) {
            char actions[64], trigger[64];
            snprintf(actions, sizeof actions, "then: [{call: %s}]", names[i]);
            snprintf(trigger, sizeof trigger, "recipe: %s", names[i]);
            struct recipe *caller = make("w", "every: 1m", actions);
            struct recipe *callee =
                make(names[j], "every: 1m", "then: [{log: hi}]");
            struct recipe *after = make("w", trigger, "then: [{log: hi}]");
            assert_int_equal(recipe_feeds(caller, &callee->triggers[2]),
                             i == j);
            assert_false(recipe_feeds(caller, &callee->triggers[0]));
            assert_int_equal(recipe_feeds(callee, &after->triggers[0]), i == j);
            assert_false(recipe_feeds(callee, &after->triggers[1]));
            recipe_free(caller);
            recipe_free(callee);
            recipe_free(after);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_action_feeds_who_watches),
        cmocka_unit_test(nobody_feeds_himself),
        cmocka_unit_test(calls_and_runs_feed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
