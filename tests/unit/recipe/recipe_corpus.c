#include "recipe_corpus.h"

#include <dirent.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/mem.h"

static const char *const texts[] = {
    "name: all\n"
    "description: \"a \\\"b\\\" \\u00e9 \\U0001F600 \\t\"\n"
    "labels: {team: infra, '': empty, \"a b\": 'c: d'}\n"
    "enabled: false\n"
    "shadow: true\n"
    "owner: alice\n"
    "if:\n"
    "  - {key: '/a/{x}', events: [create, delete], for: 5m}\n"
    "  - key: /b/{x}/{y...}\n"
    "    crosses: {of: 'value.used', above: 90, reset: 85.5}\n"
    "    changed: value.state\n"
    "  - {absent: '/hosts/{z}', for: 30s}\n"
    "where:\n"
    "  - \"!exists('/muted/' + key)\"\n"
    "  - |\n"
    "    event.type == 'create' ||\n"
    "    value != prev\n"
    "let: {m: '{{key}} is {{value}}', n: '{{m}}!'}\n"
    "then:\n"
    "  - put: {key: '/out/{{key}}', value: {a: [1, -2.5, null, '{{n}}']}, ttl: "
    "90s}\n"
    "  - {delete: {key: /old/, prefix: true}, if: \"m != ''\"}\n"
    "  - {wait: 1500ms, id: pause}\n"
    "on_failure: [{log: {message: '{{error}}', level: error}}]\n"
    "order: strict\n"
    "mode: parallel\n"
    "max: 10\n"
    "dedupe: {key: '{{key}}', ttl: 10m}\n"
    "throttle: {count: 5, per: 1h}\n"
    "debounce: 250ms\n"
    "start: {revision: 42}\n"
    "on_gap: resync\n"
    "loop: {max_depth: 3, reentrant: false, breaker: {count: 7, per: 2m}}\n"
    "keep: {runs: 5, for: 1d12h}\n",

    "name: outside\n"
    "if:\n"
    "  - {webhook: {path: a/b, secret: s, header: X-Sig, dedupe: body.id, "
    "dedupe_ttl: 1h}}\n"
    "  - {feed: {url: 'https://e.org/rss', every: 10m}}\n"
    "  - {poll: {url: 'https://e.org', every: 30s, items: body.list, id: "
    "item.id}}\n"
    "  - {recipe: {name: other, outcome: failed}}\n"
    "  - {manual: true}\n"
    "then:\n"
    "  - id: one\n"
    "    http:\n"
    "      method: PUT\n"
    "      url: \"https://e.org/{{secret('path')}}\"\n"
    "      headers: {Accept: text/plain, X-Id: '{{item.id}}'}\n"
    "      body: 'a={{body.x}}'\n"
    "      redirects: true\n"
    "    timeout: 3s\n"
    "    retry: {max: 2, base: 500ms, cap: 1m}\n"
    "  - email: {server: 'smtps://m:465', from: a@b, to: [c@d, '{{args.to}}'], "
    "subject: s, text: '{{steps.one.status}}'}\n"
    "  - exec: {args: [/bin/page, '{{headers.host}}'], input: {a: 1}}\n"
    "  - call: {recipe: other, args: {n: 1, x: '{{item}}'}}\n"
    "start: beginning\n",

    "name: store\n"
    "if:\n"
    "  - {cron: '*/5 9-17 * * mon-fri', tz: Europe/Berlin, misfire: all}\n"
    "  - {every: 30s, misfire: skip}\n"
    "  - {at: 2030-01-01T00:00:00Z}\n"
    "then:\n"
    "  - txn:\n"
    "      compare:\n"
    "        - {key: /l, exists: false}\n"
    "        - {key: /m, version: 3, op: '>'}\n"
    "        - {key: /n, value: {a: [x]}, op: '!='}\n"
    "      then: [{put: {key: /l, value: '{{event.time}}', ttl: 5s}}]\n"
    "      else: [{delete: /l}, {delete: {key: /p/, prefix: true}}]\n"
    "  - log: said\n"
    "tests:\n"
    "  - name: first\n"
    "    given: [{tick: 0}, {put: {key: /l, value: 1, lease: true}}, {advance: "
    "5m}, {delete: /l}, {expire: /m}, {at: 2026-01-01T00:00:00Z}, {run: {a: "
    "1}}, {webhook: {path: a, body: [1.5], headers: {a: b}}}]\n"
    "    expect: [{put: /l, value: {b: null}, ttl: 5s}, {log: said}, {failed: "
    "why}]\n"
    "  - {given: [], expect: []}\n",

    "{\"name\":\"json\",\"if\":[{\"key\":\"/\\u00e9/{x}\"}],\"then\":[{\"put\":"
    "{\"key\":\"/b\\u002f{{x}}\",\"value\":{\"\":1e3,\"\\ud83d\\ude00\":"
    "-9223372036854775808,\"c\":0.1,\"d\":[[[]]],\"e\":{\"f\":{}}}}}]}",
};

enum { TEXTS = sizeof texts / sizeof texts[0], FILES_MAX = 64 };

/* The names of recipes/, in no order. */
static size_t list_files(char names[FILES_MAX][NAME_MAX + 1])
{
    size_t count = 0;
    struct dirent *entry;
    DIR *folder = opendir("recipes");
    if (!folder)
        fail_msg("no folder recipes/: run this in the top folder");
    while ((entry = readdir(folder)) && count < FILES_MAX) {
        if (strstr(entry->d_name, ".yaml"))
            snprintf(names[count++], sizeof names[0], "%s", entry->d_name);
    }
    closedir(folder);
    assert_in_range(count, 10, FILES_MAX - 1);
    return count;
}

static struct slice read_file(const char *name)
{
    static char text[64 << 10];
    char path[NAME_MAX + 16];
    snprintf(path, sizeof path, "recipes/%s", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t size = fread(text, 1, sizeof text, file);
    fclose(file);
    return slice_of(text, size);
}

bool corpus_text(size_t index, struct slice *out)
{
    static char names[FILES_MAX][NAME_MAX + 1];
    static size_t count;
    if (index < TEXTS) {
        *out = slice_str(texts[index]);
        return true;
    }
    if (count == 0)
        count = list_files(names);
    if (index - TEXTS >= count)
        return false;
    *out = read_file(names[index - TEXTS]);
    return true;
}
