/* Wrong conditions, names and actions, and what a user is told. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "recipe_bad.h"

static const struct bad names_and_expressions_bads[] = {
    {WITH("where: [valeu > 3]"),
     "line 3, column 9: where[0]: unknown name 'valeu': did you mean 'value'?"},
    {WITH("where: ['value > ']"),
     "line 3, column 18: where[0]: expected a value here, found the end"},
    {WITH("where: [\"value.size() ==\"]"),
     "line 3, column 25: where[0]: expected a value here, found the end"},
    {WITH("where: ['size(key)']"),
     "line 3, column 9: where[0]: a condition is true or false, and this is of "
     "kind int: compare it with something"},
    {WITH("where: [\"'a\"]"),
     "line 3, column 10: where[0]: this string isn't closed (one of several "
     "lines is written between \"\"\" and \"\"\")"},
    {WITH("where: [7]"), "line 3, column 9: where[0]: an integer is here, and "
                         "text is wanted: write it in quotes, \"7\""},
    {WITH("where: ['key + 1 == 2']"),
     "line 3, column 16: where[0]: no such overload: string + int (convert "
     "with string(...))"},
    {WITH("where: ['item.id == 3']"), "line 3, column 10: where[0]: `item` is "
                                      "there with a feed or poll trigger only"},
    {WITH("where: [body.x]"),
     "line 3, column 9: where[0]: `body` is there with a webhook trigger only"},
    {WITH("where: [error == 'x']"),
     "line 3, column 9: where[0]: `error` is there in on_failure only"},
    {WITH("where: [steps.a.status == 200]"),
     "line 3, column 9: where[0]: `steps` is there in then and on_failure "
     "only"},
    {WITH("where: [\"secret('s') == 'x'\"]"),
     "line 3, column 10: where[0]: secret() can't be used here: a secret goes "
     "out with http, email or exec, never into the store or a log"},
    {WITH("where:\n  - |\n    value > 3 &&\n    valeu > 4"),
     "line 4, column 5: where[0]: line 2, column 1 of the text: unknown name "
     "'valeu': did you mean 'value'?"},
    {WITH("where: [\"value == \\\"a\\\" && valeu\"]"),
     "line 3, column 28: where[0]: unknown name 'valeu': did you mean "
     "'value'?"},
    {WITH("where: 'value == ''a'' && valeu'"),
     "line 3, column 27: where[0]: unknown name 'valeu': did you mean "
     "'value'?"},
    {WITH("let: {key: x}"),
     "line 3, column 7: let.key: a let can't be called \"key\": every recipe "
     "has an ingredient of that name; write another one"},
    {WITH("let: {x: y}"), "line 3, column 7: let.x: a capture is called \"x\" "
                          "too: write another name"},
    {WITH("let: {for: y}"),
     "line 3, column 7: let.for: a let can't be called \"for\": expressions "
     "have that word; write another one"},
    {WITH("let: {a-b: y}"),
     "line 3, column 7: let.a-b: \"a-b\" can't be a name: write letters, "
     "digits and '_', a letter first, at most 64"},
    {WITH("let: [a]"),
     "line 3, column 6: let: a list is here: write a map of names and what "
     "they stand for, msg: \"{{key}} changed\""},
    {WITH("let: {a: '{{b}}', b: x}"), "line 3, column 13: let.a: `b` comes "
                                      "later: a let can use those before it"},
    {WITH("let: {a: '{{a}}'}"), "line 3, column 13: let.a: `a` is this let "
                                "itself: it can use those before it"},
    {WITH("let: {a: '{{valeu}}'}"),
     "line 3, column 13: let.a: unknown name 'valeu': did you mean 'value'?"},
    {WITH("let: {a: 7}"), "line 3, column 10: let.a: an integer is here, and "
                          "text is wanted: write it in quotes, \"7\""},
    {TRIGGER("key: /a\n    changed: m\nlet: {m: '{{key}}'}"),
     "line 4, column 14: if[0].changed: `m` is a let: those are for where and "
     "then"},
};

static void expressions_use_what_is_there(void **state)
{
    (void)state;
    assert_int_equal(COUNT_WRONG(names_and_expressions_bads), 0);
}

static const struct bad actions_bads[] = {
    {"name: r\n"
     "if: [{key: '/a/{x}'}]\n"
     "then: []\n",
     "line 3, column 7: then: an empty list: write at least one action"},
    {"name: r\n"
     "if: [{key: '/a/{x}'}]\n"
     "then: hi\n",
     "line 3, column 7: then[0]: a string is here: write an action, \"- put: "
     "{key: /a, value: x}\""},
    {ACTION("hi"), "line 4, column 5: then[0]: a string is here: write an "
                   "action, \"- put: {key: /a, value: x}\""},
    {ACTION("{}"),
     "line 4, column 5: then[0]: this isn't an action yet: write one of put, "
     "delete, txn, http, email, exec, log, call, wait"},
    {ACTION("putt: {key: /b}"), "line 4, column 5: then[0].putt: unknown field "
                                "\"putt\": did you mean \"put\"?"},
    {ACTION("log: a\n    put: {key: /b, value: c}"),
     "line 5, column 5: then[0].put: \"log\" and \"put\" are two: write each "
     "as an item of its own (an action is one of them)"},
    {ACTION("mqtt: {topic: a}"),
     "UNSUPPORTED: line 4, column 5: then[0].mqtt: mqtt actions come later"},
    {ACTION("lua: return 1"),
     "UNSUPPORTED: line 4, column 5: then[0].lua: lua actions come later"},
    {ACTION("log: a\n    when: 'true'"),
     "line 5, column 5: then[0].when: unknown field \"when\": an action has "
     "id, put, delete, txn, http, email, exec, log, call, wait, if"},
    {ACTION("log: a\n    timeout: 5s"),
     "line 5, column 5: then[0].timeout: \"timeout\" goes with http, email, "
     "exec, not with log: leave it out"},
    {ACTION("put: {key: /b, value: c}\n    retry: {max: 3}"),
     "line 5, column 5: then[0].retry: \"retry\" goes with http, email, exec, "
     "not with put: leave it out"},
    {ACTION("log: a\n    id: 1a"),
     "line 5, column 9: then[0].id: \"1a\" can't be an id: write letters, "
     "digits and '_', a letter first, at most 64, so that steps.<id> is its "
     "answer"},
    {ACTION("log: a\n    id: q\n  - log: b\n    id: q"),
     "line 7, column 9: then[1].id: another action has the id \"q\": write a "
     "new one"},
    {ACTION("log: a\n    if: '7'"),
     "line 5, column 9: then[0].if: a condition is true or false, and this is "
     "of kind int: compare it with something"},
    {ACTION("log: a\n    if: item.x"),
     "line 5, column 9: then[0].if: `item` is there with a feed or poll "
     "trigger only"},
    {ACTION("put: {value: c}"),
     "line 4, column 10: then[0].put: \"key\" is missing: write the key that "
     "is put, key: /alerts/{{key}}"},
    {ACTION("put: {key: /b}"),
     "line 4, column 10: then[0].put: \"value\" is missing: write what is put "
     "there, value: \"{{value}}\""},
    {ACTION("put: {key: '', value: c}"),
     "line 4, column 16: then[0].put.key: a key has at least one byte"},
    {ACTION("put: {key: /_recipes/def/x, value: c}"),
     "line 4, column 16: then[0].put.key: what is below /_recipes/ is the "
     "service's own: write another key"},
    {ACTION("put: {key: '/_recipes/{{x}}', value: c}"),
     "line 4, column 16: then[0].put.key: what is below /_recipes/ is the "
     "service's own: write another key"},
    {ACTION("put: {key: '/b/{{hots}}', value: c}"),
     "line 4, column 22: then[0].put.key: unknown name 'hots': expected one of "
     "key, value, raw, prev, event, recipe, labels, args, steps, error, x (a "
     "text is written in quotes)"},
    {ACTION("put: {key: '/b/{{x', value: c}"),
     "line 4, column 20: then[0].put.key: this '{{' isn't closed: expected "
     "'}}'"},
    {ACTION("put: {key: '/b/{{}}', value: c}"),
     "line 4, column 22: then[0].put.key: expected an expression between '{{' "
     "and '}}'"},
    {ACTION("put: {key: /b, value: {a: ['{{valeu}}']}}"),
     "line 4, column 35: then[0].put.value.a[0]: unknown name 'valeu': did you "
     "mean 'value'?"},
    {ACTION("put: {key: /b, value: .nan}"),
     "line 4, column 27: then[0].put.value: JSON has no such number: write one "
     "that is finite"},
    {ACTION("put: {key: /b, value: {'{{x}}': 1}}"),
     "line 4, column 28: then[0].put.value.{{x}}: a name can't have {{ }} in "
     "it, a value can"},
    {ACTION("put: {key: /b, value: c, ttl: 500ms}"),
     "line 4, column 35: then[0].put.ttl: \"500ms\" is too short: 1s is the "
     "least"},
    {ACTION("put: {key: /b, value: \"{{secret('s')}}\"}"),
     "line 4, column 30: then[0].put.value: secret() can't be used here: a "
     "secret goes out with http, email or exec, never into the store or a log"},
    {ACTION("put: /b"), "line 4, column 10: then[0].put: a string is here: "
                        "write a map with key, value, ttl"},
    {ACTION("put: {key: /b, value: '{{error}}'}"),
     "line 4, column 30: then[0].put.value: `error` is there in on_failure "
     "only"},
    {ACTION("put: {key: '/a/{{x}}', value: c}"),
     "line 4, column 16: then[0].put.key: this feeds the recipe's own trigger "
     "if[0], \"/a/{x}\": write another key, or loop: {reentrant: true} if that "
     "is meant"},
    {ACTION("put: {key: '/a/{{key}}', value: c}"),
     "line 4, column 16: then[0].put.key: this feeds the recipe's own trigger "
     "if[0], \"/a/{x}\": write another key, or loop: {reentrant: true} if that "
     "is meant"},
    {ACTION("put: {key: '{{key}}', value: c}"),
     "line 4, column 16: then[0].put.key: this feeds the recipe's own trigger "
     "if[0], \"/a/{x}\": write another key, or loop: {reentrant: true} if that "
     "is meant"},
    {ACTION("put: {key: /a/b, value: c}"),
     "line 4, column 16: then[0].put.key: this feeds the recipe's own trigger "
     "if[0], \"/a/{x}\": write another key, or loop: {reentrant: true} if that "
     "is meant"},
    {"name: r\n"
     "if:\n"
     "  - key: /a/\n"
     "    events: delete\n"
     "then: [{delete: /a/b}]\n",
     "line 5, column 17: then[0].delete: this feeds the recipe's own trigger "
     "if[0], \"/a/\": write another key, or loop: {reentrant: true} if that is "
     "meant"},
    {"name: r\n"
     "if:\n"
     "  - key: /a/b\n"
     "    events: delete\n"
     "then: [{delete: {key: /a, prefix: true}}]\n",
     "line 5, column 23: then[0].delete.key: this feeds the recipe's own "
     "trigger if[0], \"/a/b\": write another key, or loop: {reentrant: true} "
     "if that is meant"},
    {"name: r\n"
     "if:\n"
     "  - key: /a/b\n"
     "    events: expire\n"
     "then: [{put: {key: /a/b, value: c, ttl: 5s}}]\n",
     "line 5, column 20: then[0].put.key: this feeds the recipe's own trigger "
     "if[0], \"/a/b\": write another key, or loop: {reentrant: true} if that "
     "is meant"},
    {ACTION("delete: {prefix: true}"),
     "line 4, column 13: then[0].delete: \"key\" is missing: write the key "
     "that is deleted, key: /alerts/{{key}}"},
    {ACTION("delete: {key: /, prefix: true}"),
     "line 4, column 19: then[0].delete.key: \"/\" and all below has the "
     "service's own keys (/_recipes/) in it: write a longer prefix"},
    {ACTION("delete: {key: /_rec, prefix: true}"),
     "line 4, column 19: then[0].delete.key: \"/_rec\" and all below has the "
     "service's own keys (/_recipes/) in it: write a longer prefix"},
    {ACTION("delete: [/a]"),
     "line 4, column 13: then[0].delete: a list is here, and text is wanted"},
    {ACTION("txn: {then: [{delete: /b}]}"),
     "line 4, column 10: then[0].txn: \"compare\" is missing: write what must "
     "be so, compare: [{key: /a, exists: false}]"},
    {ACTION("txn: {compare: [{key: /b, value: c}]}"),
     "line 4, column 10: then[0].txn: this does nothing: write then or else, "
     "with put and delete in it"},
    {ACTION("txn: {compare: [{key: /b}], then: [{delete: /b}]}"),
     "line 4, column 21: then[0].txn.compare[0]: this isn't a comparison yet: "
     "write one of value, version, created, modified, exists"},
    {ACTION("txn: {compare: [{value: c}], then: [{delete: /b}]}"),
     "line 4, column 21: then[0].txn.compare[0]: \"key\" is missing: write the "
     "key that is compared"},
    {ACTION("txn: {compare: [{key: /b, value: c, version: 3}], then: [{delete: "
            "/b}]}"),
     "line 4, column 41: then[0].txn.compare[0].version: \"value\" and "
     "\"version\" are two: write each as an item of its own (a comparison is "
     "one of them)"},
    {ACTION("txn: {compare: [{key: /b, value: c, op: '>='}], then: [{delete: "
            "/b}]}"),
     "line 4, column 45: then[0].txn.compare[0].op: \">=\" isn't known: did "
     "you mean !=?"},
    {ACTION("txn: {compare: [{key: /b, exists: true, op: '!='}], then: "
            "[{delete: /b}]}"),
     "line 4, column 49: then[0].txn.compare[0].op: exists is true or false: "
     "leave op out"},
    {ACTION("txn: {compare: [{key: /b, version: -1}], then: [{delete: /b}]}"),
     "line 4, column 40: then[0].txn.compare[0].version: write a whole number "
     "from 0 on, or a template that gives one, \"{{event.revision}}\""},
    {ACTION("txn: {compare: [{key: /b, exists: 1}], then: [{delete: /b}]}"),
     "line 4, column 39: then[0].txn.compare[0].exists: an integer is here: "
     "write true or false"},
    {ACTION("txn: {compare: [{key: /b, exists: true}], then: [{http: {url: "
            "'http://e.org'}}]}"),
     "line 4, column 55: then[0].txn.then[0].http: unknown field \"http\": an "
     "action of a txn has put, delete"},
    {ACTION("txn: {compare: [{key: /b, exists: true}], then: [{put: {key: "
            "'/a/{{x}}', value: c}}]}"),
     "line 4, column 66: then[0].txn.then[0].put.key: this feeds the recipe's "
     "own trigger if[0], \"/a/{x}\": write another key, or loop: {reentrant: "
     "true} if that is meant"},
    {ACTION("http: https://e.org"),
     "line 4, column 11: then[0].http: a string is here: write a map with "
     "method, url, headers, json, body, redirects"},
    {ACTION("http: {method: GET}"),
     "line 4, column 11: then[0].http: \"url\" is missing: write the address, "
     "url: https://example.org/hook"},
    {ACTION("http: {url: e.org}"), "line 4, column 17: then[0].http.url: an "
                                   "address begins with http:// or https://"},
    {ACTION("http: {url: 'ftp://{{x}}'}"),
     "line 4, column 17: then[0].http.url: an address begins with http:// or "
     "https://"},
    {ACTION("http: {url: 'https://e.org', method: get}"),
     "line 4, column 42: then[0].http.method: \"get\" is no method: write it "
     "in capitals, GET, POST, PUT, PATCH, DELETE"},
    {ACTION("http: {url: 'https://e.org', json: {a: 1}, body: x}"),
     "line 4, column 54: then[0].http.body: json and body are both the body: "
     "leave one out"},
    {ACTION("http: {url: 'https://e.org', body: {a: 1}}"),
     "line 4, column 40: then[0].http.body: a map is here: write it as json, "
     "or a text"},
    {ACTION("http: {url: 'https://e.org', headers: [a]}"),
     "line 4, column 43: then[0].http.headers: a list is here: write a map, "
     "headers: {accept: text/plain}"},
    {ACTION("http: {url: 'https://e.org', headers: {'a b': c}}"),
     "line 4, column 44: then[0].http.headers.a b: \"a b\" can't be a header's "
     "name"},
    {ACTION("http: {url: 'https://e.org', headers: {a: 1}}"),
     "line 4, column 47: then[0].http.headers.a: an integer is here, and text "
     "is wanted: write it in quotes, \"1\""},
    {ACTION("http: {url: 'https://e.org'}\n    retry: {base: 10m, cap: 1m}"),
     "line 5, column 29: then[0].retry.cap: cap is the longest pause: write "
     "one that isn't shorter than base"},
    {ACTION("http: {url: 'https://e.org'}\n    retry: {max: many}"),
     "line 5, column 18: then[0].retry.max: write a whole number from 0 to "
     "1000, without quotes"},
    {ACTION("http: {url: 'https://e.org'}\n    timeout: 0s"),
     "line 5, column 14: then[0].timeout: \"0s\" is too short: 1ms is the "
     "least"},
    {ACTION("http: {url: 'https://e.org/{{steps.frist.status}}'}"),
     "line 4, column 40: then[0].http.url: no action before this one has the "
     "id \"frist\": write id: frist there"},
    {ACTION("id: first\n    http: {url: 'https://e.org'}\n  - log: "
            "'{{steps.frist.status}}'"),
     "line 6, column 19: then[1].log: no action before this one has the id "
     "\"frist\": did you mean \"first\"?"},
    {ACTION("email: {from: a@b, to: c@d, subject: s, text: t}"),
     "line 4, column 12: then[0].email: \"server\" is missing: write the mail "
     "server, server: smtp://mail.example.org:25"},
    {ACTION("email: {server: mail, from: a@b, to: c@d, subject: s, text: t}"),
     "line 4, column 21: then[0].email.server: a mail server's address begins "
     "with smtp:// or smtps://"},
    {ACTION("email: {server: 'smtp://mail', from: a@b, to: [], subject: s, "
            "text: t}"),
     "line 4, column 51: then[0].email.to: an empty list: write at least one"},
    {ACTION("email: {server: 'smtp://mail', from: a@b, to: [1], subject: s, "
            "text: t}"),
     "line 4, column 52: then[0].email.to[0]: an integer is here, and text is "
     "wanted: write it in quotes, \"1\""},
    {ACTION("exec: rm -rf /"),
     "line 4, column 11: then[0].exec: a string is here: write a list, "
     "[/usr/bin/page, \"{{key}}\"]; there is no shell"},
    {ACTION("exec: []"),
     "line 4, column 11: then[0].exec: an empty list: write at least one"},
    {ACTION("exec: ['{{x}}']"),
     "line 4, column 12: then[0].exec[0]: the program stands for itself, "
     "without {{ }}: what may run is decided when the server is started"},
    {ACTION("exec: {input: x}"),
     "line 4, column 11: then[0].exec: \"args\" is missing: write the program "
     "and its arguments, args: [/usr/bin/page, x]"},
    {ACTION("log: {message: a, level: loud}"),
     "line 4, column 30: then[0].log.level: \"loud\" isn't known: write one of "
     "debug, info, warn, error"},
    {ACTION("log: {level: info}"),
     "line 4, column 10: then[0].log: \"message\" is missing: write what is "
     "logged, message: \"{{key}} changed\""},
    {ACTION("log: 7"), "line 4, column 10: then[0].log: an integer is here, "
                       "and text is wanted: write it in quotes, \"7\""},
    {ACTION("call: Other"),
     "line 4, column 11: then[0].call: \"Other\" can't be a recipe's name: "
     "write small letters, digits, '.', '_' and '-', a letter or digit first, "
     "at most 128"},
    {ACTION("call: r"),
     "line 4, column 11: then[0].call: this recipe would call itself: write "
     "another one's name, or loop: {reentrant: true} if that is meant"},
    {ACTION("call: {recipe: other, args: [1]}"),
     "line 4, column 33: then[0].call.args: a list is here: write a map, args: "
     "{x: 1}"},
    {ACTION("wait: 5"),
     "line 4, column 11: then[0].wait: write a duration with its unit: 30s, "
     "5m, 1h30m, 7d (a bare number has none)"},
    {ACTION("wait: 0s"),
     "line 4, column 11: then[0].wait: \"0s\" is too short: 1ms is the least"},
    {WITH("on_failure: [{log: '{{erorr}}'}]"),
     "line 3, column 23: on_failure[0].log: unknown name 'erorr': did you mean "
     "'error'?"},
    {WITH("on_failure: {wait: 1}"),
     "line 3, column 20: on_failure[0].wait: write a duration with its unit: "
     "30s, 5m, 1h30m, 7d (a bare number has none)"},
};

static void
actions_are_of_one_kind_and_feed_no_trigger_of_their_own(void **state)
{
    (void)state;
    assert_int_equal(COUNT_WRONG(actions_bads), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions_use_what_is_there),
        cmocka_unit_test(
            actions_are_of_one_kind_and_feed_no_trigger_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
