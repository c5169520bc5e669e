/* Wrong documents, and what a user is told: the document as a whole, its tests,
 * and names. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "recipe_bad.h"

static const struct bad the_document_bads[] = {
    {"",
     "line 1, column 1: nothing is here: write a map with name, description, "
     "labels, enabled, shadow, owner, if, where, let, then, on_failure, order, "
     "mode, max, dedupe, throttle, debounce, start, on_gap, loop, keep, tests"},
    {"just a text",
     "line 1, column 1: a string is here: write a map with name, description, "
     "labels, enabled, shadow, owner, if, where, let, then, on_failure, order, "
     "mode, max, dedupe, throttle, debounce, start, on_gap, loop, keep, tests"},
    {"- a\n"
     "- b\n",
     "line 1, column 1: a list is here: write a map with name, description, "
     "labels, enabled, shadow, owner, if, where, let, then, on_failure, order, "
     "mode, max, dedupe, throttle, debounce, start, on_gap, loop, keep, tests"},
    {"name: r\n"
     "name: r\n",
     "line 2, column 1: the key \"name\" is there twice"},
    {"name: [r\n", "line 2, column 1: did not find expected ',' or ']'"},
    {"{\"name\": \"r\",}",
     "line 1, column 14: string or '}' expected near '}'"},
    {"a: &x 1\n", "line 1, column 4: anchors are not supported"},
    {"name: r\n", "line 1, column 1: \"if\" is missing: write what it is "
                  "about, a list of triggers: - key: /a/{name}"},
    {"name: r\n"
     "if: [{key: '/a/{x}'}]\n",
     "line 1, column 1: \"then\" is missing: write what is to be done, a list "
     "of actions: - put: {key: /b, value: x}"},
    {"name: r\n"
     "then: [{log: hi}]\n",
     "line 1, column 1: \"if\" is missing: write what it is about, a list of "
     "triggers: - key: /a/{name}"},
    {"name: Disk-Full\n"
     "if: [{key: '/a/{x}'}]\n"
     "then: [{log: hi}]\n",
     "line 1, column 7: name: \"Disk-Full\" can't be a recipe's name: write "
     "small letters, digits, '.', '_' and '-', a letter or digit first, at "
     "most 128"},
    {"name: 7\n"
     "if: [{key: '/a/{x}'}]\n"
     "then: [{log: hi}]\n",
     "line 1, column 7: name: an integer is here, and text is wanted: write it "
     "in quotes, \"7\""},
    {"name: ''\n"
     "if: [{key: '/a/{x}'}]\n"
     "then: [{log: hi}]\n",
     "line 1, column 7: name: \"\" can't be a recipe's name: write small "
     "letters, digits, '.', '_' and '-', a letter or digit first, at most 128"},
    {WITH("wehn: x"),
     "line 3, column 1: wehn: unknown field \"wehn\": did you mean \"then\"?"},
    {WITH("colour: red"),
     "line 3, column 1: colour: unknown field \"colour\": a recipe has name, "
     "description, labels, enabled, shadow, owner, if, where, let, then, "
     "on_failure, order, mode, max, dedupe, throttle, debounce, start, on_gap, "
     "loop, keep, tests"},
    {WITH("enabled: yes"),
     "line 3, column 10: enabled: a string is here: write true or false"},
    {WITH("enabled: 1"),
     "line 3, column 10: enabled: an integer is here: write true or false"},
    {WITH("labels: [a]"), "line 3, column 9: labels: a list is here: write a "
                          "map, labels: {team: infra}"},
    {WITH("labels: {team: 7}"),
     "line 3, column 16: labels.team: an integer is here, and text is wanted: "
     "write it in quotes, \"7\""},
    {WITH("owner: root"),
     "line 3, column 8: owner: a recipe never has root's permissions: write a "
     "user who may do no more than it needs"},
    {WITH("description: {a: b}"),
     "line 3, column 14: description: a map is here, and text is wanted"},
    {WITH("order: perkey"),
     "line 3, column 8: order: \"perkey\" isn't known: did you mean per-key?"},
    {WITH("order: sometimes"), "line 3, column 8: order: \"sometimes\" isn't "
                               "known: write one of per-key, strict, none"},
    {WITH("mode: 3"), "line 3, column 7: mode: an integer is here: write one "
                      "of queued, single, restart, parallel"},
    {WITH("mode: paralel"),
     "line 3, column 7: mode: \"paralel\" isn't known: did you mean parallel?"},
    {WITH("mode: single\nmax: 3"), "line 4, column 6: max: max goes with mode "
                                   "queued or parallel: leave it out"},
    {WITH("max: 0"), "line 3, column 6: max: write a whole number from 1 to "
                     "1000, without quotes"},
    {WITH("max: 5000"), "line 3, column 6: max: write a whole number from 1 to "
                        "1000, without quotes"},
    {WITH("max: ten"), "line 3, column 6: max: write a whole number from 1 to "
                       "1000, without quotes"},
    {WITH("dedupe: {key: '{{x}}'}"),
     "line 3, column 9: dedupe: \"ttl\" is missing: write how long that is "
     "remembered, ttl: 10m"},
    {WITH("dedupe: 10m"),
     "line 3, column 9: dedupe: a string is here: write a map with key, ttl"},
    {WITH("dedupe: {key: '{{x}}', ttl: 0s}"),
     "line 3, column 29: dedupe.ttl: \"0s\" is too short: 1s is the least"},
    {WITH("throttle: {count: 5}"), "line 3, column 11: throttle: \"per\" is "
                                   "missing: write in which time, per: 1h"},
    {WITH("throttle: {count: 0, per: 1h}"),
     "line 3, column 19: throttle.count: write a whole number from 1 to "
     "1000000, without quotes"},
    {WITH("debounce: 30"),
     "line 3, column 11: debounce: write a duration with its unit: 30s, 5m, "
     "1h30m, 7d (a bare number has none)"},
    {WITH("debounce: soon"), "line 3, column 11: debounce: write a duration "
                             "with its unit: 30s, 5m, 1h30m, 7d"},
    {WITH("start: yesterday"),
     "line 3, column 8: start: write now, beginning or {revision: 1234}"},
    {WITH("start: {revision: 0}"),
     "line 3, column 19: start.revision: write a whole number from 1 to "
     "9223372036854775807, without quotes"},
    {WITH("start: {revison: 7}"),
     "line 3, column 9: start.revison: unknown field \"revison\": did you mean "
     "\"revision\"?"},
    {WITH("on_gap: ignore"), "line 3, column 9: on_gap: \"ignore\" isn't "
                             "known: write one of pause, skip, resync"},
    {WITH("loop: {max_deph: 3}"),
     "line 3, column 8: loop.max_deph: unknown field \"max_deph\": did you "
     "mean \"max_depth\"?"},
    {WITH("loop: {breaker: {count: 5}}"),
     "line 3, column 17: loop.breaker: \"per\" is missing: write in which "
     "time, per: 1h"},
    {WITH("keep: {runs: -1}"), "line 3, column 14: keep.runs: write a whole "
                               "number from 1 to 1000000, without quotes"},
    {WITH("keep: {for: 1w}"), "line 3, column 13: keep.for: write a duration "
                              "with its unit: 30s, 5m, 1h30m, 7d"},
};

static void a_document_says_what_it_must_and_no_more(void **state)
{
    (void)state;
    assert_int_equal(COUNT_WRONG(the_document_bads), 0);
}

static const struct bad tests_in_documents_bads[] = {
    {WITH("tests: x"),
     "line 3, column 8: tests: a string is here: write a list of tests"},
    {WITH("tests: [{given: []}]"),
     "line 3, column 9: tests[0]: \"expect\" is missing: write what that leads "
     "to, expect: [{put: /b}], or [] for nothing"},
    {WITH("tests: [{given: [{putt: /a}], expect: []}]"),
     "line 3, column 19: tests[0].given[0].putt: unknown field \"putt\": did "
     "you mean \"put\"?"},
    {WITH("tests: [{given: [{put: {key: /a}}], expect: []}]"),
     "line 3, column 24: tests[0].given[0].put: \"value\" is missing: write "
     "its value"},
    {WITH("tests: [{given: [{advance: 5}], expect: []}]"),
     "line 3, column 28: tests[0].given[0].advance: write a duration with its "
     "unit: 30s, 5m, 1h30m, 7d (a bare number has none)"},
    {WITH("tests: [{given: [{at: noon}], expect: []}]"),
     "line 3, column 23: tests[0].given[0].at: write a moment: "
     "2026-12-24T18:00:00Z"},
    {WITH("tests: [{given: [], expect: [{http: page}]}]"),
     "line 3, column 37: tests[0].expect[0].http: no action has the id "
     "\"page\": write one of 0"},
    {WITH("tests: [{given: [{answer: {page: {status: 1}}}], expect: []}]"),
     "line 3, column 28: tests[0].given[0].answer.page: no action has the id "
     "\"page\": write one of 0"},
    {WITH("tests: [{given: [], expect: [{put: /b, url: x}]}]"),
     "line 3, column 40: tests[0].expect[0].url: \"url\" goes with http, not "
     "with put: leave it out"},
    {WITH("tests: [{given: [], expect: [{log: 7}]}]"),
     "line 3, column 36: tests[0].expect[0].log: an integer is here, and text "
     "is wanted: write it in quotes, \"7\""},
    {WITH("tests: [{given: [{tick: first}], expect: []}]"),
     "line 3, column 25: tests[0].given[0].tick: write a whole number from 0 "
     "to 15, without quotes"},
};

static void tests_are_checked_in_form(void **state)
{
    (void)state;
    assert_int_equal(COUNT_WRONG(tests_in_documents_bads), 0);
}

static const struct bad json_bads[] = {
    {"{\"name\": \"r\",\n"
     " \"if\": [{\"key\": \"/a/{x}\", \"evnts\": [\"put\"]}],\n"
     " \"then\": [{\"log\": \"hi\"}]}",
     "line 2, column 27: if[0].evnts: unknown field \"evnts\": did you mean "
     "\"events\"?"},
    {"{\"name\": \"r\",\n"
     " \"if\": [{\"key\": \"/a/{x}\"}],\n"
     " \"then\": [{\"log\": \"a \\u00e9 {{valeu}}\"}]}",
     "line 3, column 19: then[0].log: column 7 of the text: unknown name "
     "'valeu': did you mean 'value'?"},
    {"{\"name\": \"r\",\n"
     " \"if\": [{\"key\": \"/a/{x}\"}],\n"
     " \"then\": [{\"log\": \"{{valeu}}\"}]}",
     "line 3, column 22: then[0].log: unknown name 'valeu': did you mean "
     "'value'?"},
    {"{\"name\": \"r\", \"if\": [{\"key\": \"/a/{x}\"}], \"then\": [{\"log\": "
     "\"\\ud83d\\ude00 {{valeu}}\"}]}",
     "then[0].log: column 5 of the text: unknown name 'valeu': did you mean "
     "'value'?"},
    {"{\"name\": \"r\", \"max\": 99999999999999999999}",
     "line 1, column 41: the number is beyond 64 bits (integers go from "
     "-9223372036854775808 to 9223372036854775807)"},
};

static void json_has_places_too(void **state)
{
    (void)state;
    assert_int_equal(COUNT_WRONG(json_bads), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_says_what_it_must_and_no_more),
        cmocka_unit_test(tests_are_checked_in_form),
        cmocka_unit_test(json_has_places_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
