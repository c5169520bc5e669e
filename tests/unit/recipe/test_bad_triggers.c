/* Wrong triggers, and what a user is told. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "recipe_bad.h"

static const struct bad triggers_bads[] = {
    {"name: r\n"
     "if: []\n"
     "then: [{log: hi}]\n",
     "line 2, column 5: if: an empty list: write at least one trigger"},
    {"name: r\n"
     "if: /a/b\n"
     "then: [{log: hi}]\n",
     "line 2, column 5: if[0]: a string is here: write a trigger, \"- key: "
     "/a/{name}\""},
    {TRIGGER("/a/b"), "line 3, column 5: if[0]: a string is here: write a "
                      "trigger, \"- key: /a/{name}\""},
    {TRIGGER("{}"),
     "line 3, column 5: if[0]: this isn't a trigger yet: write one of key, "
     "absent, every, cron, at, webhook, feed, poll, recipe, manual"},
    {TRIGGER("kye: /a"), "line 3, column 5: if[0].kye: unknown field \"kye\": "
                         "did you mean \"key\"?"},
    {TRIGGER("events: [put]"),
     "line 3, column 5: if[0]: this isn't a trigger yet: write one of key, "
     "absent, every, cron, at, webhook, feed, poll, recipe, manual"},
    {TRIGGER("key: /a\n    every: 5m"),
     "line 4, column 5: if[0].every: \"key\" and \"every\" are two: write each "
     "as an item of its own (a trigger is one of them)"},
    {TRIGGER("mqtt: {topic: a}"),
     "UNSUPPORTED: line 3, column 5: if[0].mqtt: mqtt triggers come later"},
    {TRIGGER("cluster: leader"), "UNSUPPORTED: line 3, column 5: "
                                 "if[0].cluster: cluster triggers come later"},
    {TRIGGER("key: ''"),
     "line 3, column 11: if[0].key: an empty pattern matches nothing: write "
     "\"/\" for all keys that begin so"},
    {TRIGGER("key: /a/{b"), "line 3, column 13: if[0].key: a capture stands "
                            "alone between slashes: write \"/a/{name}/b\""},
    {TRIGGER("key: /a/x{b}"), "line 3, column 13: if[0].key: a capture stands "
                              "alone between slashes: write \"/a/{name}/b\""},
    {TRIGGER("key: '/a/{{b}}/c'"),
     "line 3, column 14: if[0].key: a capture stands alone between slashes: "
     "write \"/a/{name}/b\", with one brace on each side"},
    {TRIGGER("key: '/a/{b...}/c'"),
     "line 3, column 14: if[0].key: {b...} takes all the rest: nothing can "
     "stand behind it; write {b} for one segment"},
    {TRIGGER("key: '/a/{b}/{b}'"),
     "line 3, column 19: if[0].key: the capture {b} is there twice: give the "
     "second another name"},
    {TRIGGER("key: '/a/{9}'"),
     "line 3, column 15: if[0].key: \"9\" can't be a capture's name: write "
     "letters, digits and '_', a letter first, at most 64, as {host}"},
    {TRIGGER("key: '/a/*/c'"),
     "line 3, column 14: if[0].key: \"*\" is no wildcard here: write {name} "
     "for one segment, {name...} for the rest"},
    {TRIGGER("key: '/a/{key}'"),
     "line 3, column 10: if[0].key: a capture can't be called \"key\": every "
     "recipe has an ingredient of that name; write another one"},
    {TRIGGER("key: '/a/{in}'"),
     "line 3, column 10: if[0].key: a capture can't be called \"in\": "
     "expressions have that word; write another one"},
    {TRIGGER("key: /_recipes/run/x/"),
     "line 3, column 10: if[0].key: what is below /_recipes/ is the service's "
     "own: write the trigger `recipe: <name>` for what another one did"},
    {TRIGGER("key: 5"), "line 3, column 10: if[0].key: an integer is here, and "
                        "text is wanted: write it in quotes, \"5\""},
    {TRIGGER("key: [/a, /b]"),
     "line 3, column 10: if[0].key: a list is here, and text is wanted"},
    {TRIGGER("key: /a\n    events: [putt]"),
     "line 4, column 14: if[0].events[0]: \"putt\" isn't known: did you mean "
     "put?"},
    {TRIGGER("key: /a\n    events: [change]"),
     "line 4, column 14: if[0].events[0]: \"change\" isn't known: write one of "
     "create, update, put, delete, expire"},
    {TRIGGER("key: /a\n    events: []"),
     "line 4, column 13: if[0].events: an empty list: write some of create, "
     "update, put, delete, expire"},
    {TRIGGER("every: 5m\n    events: [put]"),
     "line 4, column 5: if[0].events: \"events\" goes with key, not with "
     "every: leave it out"},
    {TRIGGER("key: /a\n    for: 5"),
     "line 4, column 10: if[0].for: write a duration with its unit: 30s, 5m, "
     "1h30m, 7d (a bare number has none)"},
    {TRIGGER("absent: /a"), "line 3, column 5: if[0]: \"for\" is missing: "
                            "write how long the key may stay away, for: 30s"},
    {TRIGGER("key: /a\n    tz: UTC"), "line 4, column 5: if[0].tz: \"tz\" goes "
                                      "with cron, not with key: leave it out"},
    {TRIGGER("every: 5m\n    for: 1m"),
     "line 4, column 5: if[0].for: \"for\" goes with key, absent, not with "
     "every: leave it out"},
    {TRIGGER("key: /a\n    crosses: {above: 3}"),
     "line 4, column 14: if[0].crosses: \"of\" is missing: write the number "
     "that is watched, of: value.used"},
    {TRIGGER("key: /a\n    crosses: {of: value.used}"),
     "line 4, column 14: if[0].crosses: write one of above and below"},
    {TRIGGER("key: /a\n    crosses: {of: value, above: 3, below: 2}"),
     "line 4, column 14: if[0].crosses: write one of above and below, not "
     "both: two triggers can do both"},
    {TRIGGER("key: /a\n    crosses: {of: value, above: 90, reset: 95}"),
     "line 4, column 44: if[0].crosses.reset: reset is where it is armed "
     "again: write a number that isn't greater than above"},
    {TRIGGER("key: /a\n    crosses: {of: value, below: 10, reset: 5}"),
     "line 4, column 44: if[0].crosses.reset: reset is where it is armed "
     "again: write a number that isn't less than below"},
    {TRIGGER("key: /a\n    crosses: {of: key, above: 3}"),
     "line 4, column 19: if[0].crosses.of: a number can cross a limit, and "
     "this is of kind string"},
    {TRIGGER("key: /a\n    crosses: {of: value, above: many}"),
     "line 4, column 33: if[0].crosses.above: write a number, without quotes"},
    {TRIGGER(
         "key: /a\n    events: [delete]\n    crosses: {of: value, above: 3}"),
     "line 4, column 13: if[0].events: crosses looks at a value, and with "
     "these events there is none: write events: [put]"},
    {TRIGGER("key: /a\n    changed: false"),
     "line 4, column 14: if[0].changed: write the expression that has to "
     "change, value.state, or true for all of the value"},
    {TRIGGER("key: /a\n    changed: valeu.state"),
     "line 4, column 14: if[0].changed: unknown name 'valeu': did you mean "
     "'value'?"},
    {TRIGGER("key: /a\n    changed: value +"),
     "line 4, column 21: if[0].changed: expected a value here, found the end"},
    {TRIGGER("every: 100ms"),
     "line 3, column 12: if[0].every: \"100ms\" is too short: 1s is the least"},
    {TRIGGER("every: 5"),
     "line 3, column 12: if[0].every: write a duration with its unit: 30s, 5m, "
     "1h30m, 7d (a bare number has none)"},
    {TRIGGER("cron: 0 9 * *"),
     "line 3, column 11: if[0].cron: cron has five fields, minute hour day "
     "month weekday (\"0 9 * * 1-5\"), and here are 4"},
    {TRIGGER("cron: '0 0 9 * * 1'"),
     "line 3, column 11: if[0].cron: cron has five fields, minute hour day "
     "month weekday (\"0 9 * * 1-5\"), and here are 6; there are no seconds"},
    {TRIGGER("cron: '61 * * * *'"),
     "line 3, column 11: if[0].cron: the minute \"61\": out of bounds; it goes "
     "from 0 to 59"},
    {TRIGGER("cron: '0 9 * * mo'"),
     "line 3, column 11: if[0].cron: the weekday \"mo\": not a number; it goes "
     "from 0 to 7 (0 and 7 are Sunday)"},
    {TRIGGER("cron: '0 9 * * 5-1'"),
     "line 3, column 11: if[0].cron: the weekday \"5-1\": it ends before it "
     "begins; write two parts with a comma; it goes from 0 to 7 (0 and 7 are "
     "Sunday)"},
    {TRIGGER("cron: '*/0 * * * *'"),
     "line 3, column 11: if[0].cron: the minute \"*/0\": what follows the '/' "
     "is a number above 0; it goes from 0 to 59"},
    {TRIGGER("cron: '0 0 31 2 *'"),
     "line 3, column 11: if[0].cron: this day never comes: no such month has "
     "it (February has 29 days at most; April, June, September and November "
     "30)"},
    {TRIGGER("cron: '@fortnightly'"),
     "line 3, column 11: if[0].cron: \"@fortnightly\" isn't known: write "
     "@hourly, @daily, @weekly, @monthly, @yearly or five fields"},
    {TRIGGER("cron: '@every 5m'"),
     "line 3, column 11: if[0].cron: \"@every 5m\" isn't cron here: write the "
     "trigger `every: 5m`"},
    {TRIGGER("cron: '0 9 * * *'\n    tz: Mars/Olympus"),
     "line 4, column 9: if[0].tz: no time zone \"Mars/Olympus\" is known: "
     "write a name of the tz database (Europe/Berlin), UTC or an offset "
     "(+08:00)"},
    {TRIGGER("cron: '0 9 * * *'\n    misfire: never"),
     "line 4, column 14: if[0].misfire: \"never\" isn't known: write one of "
     "last, skip, all"},
    {TRIGGER("at: tomorrow"),
     "line 3, column 9: if[0].at: write a moment with its zone: "
     "2026-12-24T18:00:00Z or 2026-12-24T18:00:00+01:00"},
    {TRIGGER("at: 2026-12-24 18:00"),
     "line 3, column 9: if[0].at: write a moment with its zone: "
     "2026-12-24T18:00:00Z or 2026-12-24T18:00:00+01:00"},
    {TRIGGER("webhook: /github"),
     "line 3, column 14: if[0].webhook: \"/github\" can't be a webhook's path: "
     "write letters, digits and -._~/ with no slash at either end, "
     "github/push"},
    {TRIGGER("webhook: 'a b'"),
     "line 3, column 14: if[0].webhook: \"a b\" can't be a webhook's path: "
     "write letters, digits and -._~/ with no slash at either end, "
     "github/push"},
    {TRIGGER("webhook: {secret: s}"),
     "line 3, column 14: if[0].webhook: \"path\" is missing: write the end of "
     "its address, /recipes/v1/hooks/<path>"},
    {TRIGGER("webhook: {path: a, header: x-sig}"),
     "line 3, column 32: if[0].webhook.header: this is the header with the "
     "signature: write secret: <name> too, or leave it out"},
    {TRIGGER("webhook: {path: a, secret: \"secret('s')\"}"),
     "line 3, column 32: if[0].webhook.secret: write the bare name of a "
     "secret, letters, digits, '.', '_' and '-': secret: github_hook"},
    {TRIGGER("webhook: {path: a, dedupe: key}"),
     "line 3, column 32: if[0].webhook.dedupe: `key` isn't known here, where "
     "it is decided what comes in"},
    {TRIGGER("webhook: {path: a, dedupe: \"get('/a')\"}"),
     "line 3, column 33: if[0].webhook.dedupe: get(), exists() and count() "
     "can't be had here: there is no event whose revision they could read"},
    {TRIGGER("feed: https://example.org/rss"),
     "line 3, column 11: if[0].feed: a string is here: write a map with url, "
     "every"},
    {TRIGGER("feed: {url: example.org/rss}"),
     "line 3, column 17: if[0].feed.url: an address begins with http:// or "
     "https://"},
    {TRIGGER("feed: {url: \"ftp://{{secret('x')}}\"}"),
     "line 3, column 17: if[0].feed.url: an address begins with http:// or "
     "https://"},
    {TRIGGER("poll: {url: \"x{{secret('x')}}\", id: item}"),
     "line 3, column 17: if[0].poll.url: an address begins with http:// or "
     "https://"},
    {TRIGGER("feed: {url: 'https://e.org/{{key}}'}"),
     "line 3, column 34: if[0].feed.url: `key` isn't known here: there is no "
     "event yet"},
    {TRIGGER("poll: {url: 'https://e.org'}"),
     "line 3, column 11: if[0].poll: \"id\" is missing: write what tells one "
     "item from another, id: item.id"},
    {TRIGGER("poll: {url: 'https://e.org', items: '7', id: item.id}"),
     "line 3, column 41: if[0].poll.items: items is a list of the answer, "
     "body.items, and this is of kind int"},
    {TRIGGER("poll: {url: 'https://e.org', id: body.id}"),
     "line 3, column 38: if[0].poll.id: `body` isn't known here, where it is "
     "decided what comes in"},
    {TRIGGER("feed: {url: 'https://e.org', item: x}"),
     "line 3, column 34: if[0].feed.item: unknown field \"item\": feed has "
     "url, every"},
    {TRIGGER("recipe: Other"),
     "line 3, column 13: if[0].recipe: \"Other\" can't be a recipe's name: "
     "write small letters, digits, '.', '_' and '-', a letter or digit first, "
     "at most 128"},
    {TRIGGER("recipe: {name: other, outcome: fail}"),
     "line 3, column 36: if[0].recipe.outcome: \"fail\" isn't known: did you "
     "mean failed?"},
    {TRIGGER("recipe: {outcome: ok}"),
     "line 3, column 13: if[0].recipe: \"name\" is missing: write the other "
     "recipe's name"},
    {TRIGGER("recipe: r"),
     "line 3, column 13: if[0].recipe: this recipe would start itself: write "
     "another one's name, or loop: {reentrant: true} if that is meant"},
    {TRIGGER("manual: false"),
     "line 3, column 13: if[0].manual: write manual: true, or leave it out"},
    {TRIGGER("manual: please"),
     "line 3, column 13: if[0].manual: a string is here: write true or false"},
};

static void a_trigger_is_of_one_kind_with_what_goes_with_it(void **state)
{
    (void)state;
    assert_int_equal(COUNT_WRONG(triggers_bads), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trigger_is_of_one_kind_with_what_goes_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
