/* Whole runs of recipe commands against a server that follows a script: what
 * they ask, what they say, how they end. */
#include "recipe_script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

static struct recipe_script *script;
static char folder[64];

static void write_file(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    fclose(file);
}

static const char *const names[] = {"a.yaml", "b.yml", "c.json", ".hidden.yaml",
                                    "notes.txt"};

static int set_up(void **state)
{
    (void)state;
    script = recipe_script_start();
    snprintf(folder, sizeof(folder), "/tmp/etched-recipes-XXXXXX");
    CHECK(mkdtemp(folder));
    return 0;
}

static int tear_down(void **state)
{
    char path[256];

    (void)state;
    recipe_script_stop(script);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
    return 0;
}

static void run(const char *line, int code, const char *out, const char *err)
{
    recipe_run(script, line, NULL, code, out, err);
}

static void refuse(int status, const char *message)
{
    char json[512];
    snprintf(json, sizeof(json),
             "{\"error\":{\"code\":\"x\",\"message\":\"%s\"}}", message);
    recipe_script_answer(script, status, json);
}

/* ---- list, get ----------------------------------------------------------- */

static const char list_json[] =
    "{\"recipes\":[{\"name\":\"a\",\"state\":\"running\",\"version\":3,"
    "\"owner\":\"w1\",\"lag\":{\"revisions\":2,\"seconds\":0.25},"
    "\"labels\":{\"team\":\"x\"},\"description\":\"does a\"},"
    "{\"name\":\"longer\",\"state\":\"tripped\",\"why\":\"too fast\","
    "\"version\":1,\"owner\":\"\",\"labels\":{},\"description\":\"\"}]}";

static void recipes_are_listed(void **state)
{
    (void)state;
    recipe_script_answer(script, 200, list_json);
    run("list", 0,
        "NAME    STATE              VERSION  LAG       WORKER  LABELS  "
        "DESCRIPTION\n"
        "a       running            3        2 (0.2s)  w1      team=x  does a\n"
        "longer  tripped: too fast  1        -\n",
        "");
    recipe_script_answer(script, 200, "{\"recipes\":[]}");
    run("list b", 0, "NAME  STATE  VERSION  LAG  WORKER  LABELS  DESCRIPTION\n",
        "");
    recipe_script_answer(script, 200,
                         "{\"recipes\":[{\"name\":\"b1\"}],\"next\":\"b1\"}");
    recipe_script_answer(script, 200, "{\"recipes\":[{\"name\":\"b2\"}]}");
    run("list b", 0,
        "NAME  STATE  VERSION  LAG  WORKER  LABELS  DESCRIPTION\n"
        "b1                    -\n"
        "b2                    -\n",
        "");
    recipe_script_expect(script, "GET /recipes/v1/defs\n"
                                 "GET /recipes/v1/defs?prefix=b\n"
                                 "GET /recipes/v1/defs?prefix=b\n"
                                 "GET /recipes/v1/defs?prefix=b&after=b1\n");
}

static void json_is_as_it_came(void **state)
{
    char line[sizeof(list_json) + 1];

    (void)state;
    snprintf(line, sizeof(line), "%s\n", list_json);
    recipe_script_answer(script, 200, list_json);
    run("list -o json", 0, line, "");
}

static void a_recipe_is_got_as_yaml(void **state)
{
    (void)state;
    recipe_script_answer(
        script, 200,
        "{\"recipe\":{\"name\":\"a\",\"if\":[{\"manual\":true}]},\"status\":"
        "{\"state\":\"paused\",\"why\":\"by\\nme\",\"version\":2,"
        "\"revision\":9}}");
    run("get a", 0,
        "# paused: by me, version 2, of revision 9\nname: a\nif:\n"
        "  - manual: true\n",
        "");
    recipe_script_answer(
        script, 200,
        "{\"recipe\":{\"name\":\"a\"},\"status\":{\"version\":1,"
        "\"revision\":4}}");
    run("get a --version 1", 0, "# version 1, of revision 4\nname: a\n", "");
    recipe_script_expect(script, "GET /recipes/v1/defs/a\n"
                                 "GET /recipes/v1/defs/a?version=1\n");
}

/* ---- what can go wrong --------------------------------------------------- */

static void errors_are_said(void **state)
{
    (void)state;
    refuse(404, "there is no recipe \\\"a\\\"");
    run("get a", 4, "", "Error:  there is no recipe \"a\"\n");
    /* What every endpoint refuses with 5xx has its reason, too. */
    refuse(503, "not ready");
    run("get a", 4, "", "Error:  not ready\n");
    recipe_script_answer(script, 404, "nothing here");
    run("get a", 4, "",
        "Error:  there are no recipes here: the server was started with "
        "--recipes=false, or is another program\n");
    recipe_script_answer(script, 418, "tea");
    run("get a", 4, "", "Error:  unexpected status code 418\n");
}

static void words_are_counted(void **state)
{
    (void)state;
    run("get", 1, "", "Usage: etchctl recipe get <name>\n");
    run("get a b", 1, "", "Usage: etchctl recipe get <name>\n");
    run("explain a", 1, "",
        "Usage: etchctl recipe explain <name> <revision>\n");
    run("pause", 1, "", "Usage: etchctl recipe pause <name> ...\n");
    run("retry a", 1, "",
        "Usage: etchctl recipe retry <name> <id> | [<name>] --all\n");
    run("secret frob x", 1, "",
        "Usage: etchctl recipe secret put <name> [<text>|-] | list | delete "
        "<name>\n");
    recipe_script_expect(script, "");
}

static void a_call_that_was_cut_off_is_not_made_again(void **state)
{
    (void)state;
    recipe_script_answer(script, 0, "");
    run("run a", 4, "", "Error:  EOF\n");
    recipe_script_expect(script,
                         "POST /recipes/v1/defs/a/run (application/json)\n"
                         "{\"args\":{}}\n");
}

/* ---- apply --------------------------------------------------------------- */

static void a_folder_is_applied_in_order(void **state)
{
    char line[128];
    char out[1024];

    (void)state;
    write_file("b.yml", "name: b\n");
    write_file("c.json", "{\"name\": \"c\"}");
    write_file("a.yaml", "name: a\n");
    write_file(".hidden.yaml", "name: h\n");
    write_file("notes.txt", "name: n\n");
    recipe_script_answer(
        script, 201,
        "{\"name\":\"a\",\"version\":1,\"created\":true,\"changed\":true}");
    recipe_script_answer(
        script, 400,
        "{\"error\":{\"message\":\"why\",\"at\":{\"line\":3,\"column\":7,"
        "\"path\":\"if[0]\"}}}");
    recipe_script_answer(
        script, 200,
        "{\"name\":\"c\",\"version\":4,\"created\":false,\"changed\":true}");
    snprintf(line, sizeof(line), "apply -f %s", folder);
    snprintf(out, sizeof(out),
             "RESULT   RECIPE  VERSION  FILE\n"
             "created  a       1        %s/a.yaml\n"
             "refused  b                %s/b.yml:3:7: if[0]: why\n"
             "updated  c       4        %s/c.json\n",
             folder, folder, folder);
    run(line, 4, out, "");
    recipe_script_expect(script, "PUT /recipes/v1/defs/a (application/yaml)\n"
                                 "name: a\n\n"
                                 "PUT /recipes/v1/defs/b (application/yaml)\n"
                                 "name: b\n\n"
                                 "PUT /recipes/v1/defs/c (application/yaml)\n"
                                 "{\"name\": \"c\"}\n");
}

static void stdin_is_applied(void **state)
{
    (void)state;
    recipe_script_answer(
        script, 200,
        "{\"name\":\"a\",\"version\":7,\"created\":false,\"changed\":false}");
    recipe_run(script, "apply -f - --dry-run --if-version 7", "name: a\n", 0,
               "RESULT     RECIPE  VERSION  FILE\n"
               "unchanged  a       7        -\n",
               "");
    recipe_script_expect(
        script, "PUT /recipes/v1/defs/a?dry_run=true (application/yaml) (if 7)"
                "\nname: a\n\n");
}

static void a_dry_run_says_what_would_be(void **state)
{
    (void)state;
    recipe_script_answer(
        script, 200,
        "{\"name\":\"a\",\"version\":0,\"created\":false,\"changed\":true}");
    recipe_run(script, "apply -f - --dry-run", "name: a\n", 0,
               "RESULT            RECIPE  VERSION  FILE\n"
               "would be created  a                -\n",
               "");
}

static void what_has_no_name_is_not_sent(void **state)
{
    (void)state;
    recipe_run(script, "apply -o json -f -", "if: []\n", 4,
               "{\"results\":[{\"file\":\"-\",\"name\":\"\",\"result\":"
               "\"refused\",\"message\":\"name: write one of small letters, "
               "digits, '.', '_' and '-', name: disk-full\",\"at\":{\"line\":1,"
               "\"column\":1}}]}\n",
               "");
    recipe_script_expect(script, "");
}

static void files_that_are_not_there_are_named(void **state)
{
    char line[128];
    char err[256];

    (void)state;
    run("apply", 1, "",
        "Error:  which file? -f file, -f folder or -f - for stdin\n");
    snprintf(line, sizeof(line), "apply -f %s/none.yaml", folder);
    snprintf(err, sizeof(err),
             "Error:  %s/none.yaml: No such file or directory\n", folder);
    run(line, 1, "", err);
    snprintf(line, sizeof(line), "test -f %s", folder);
    snprintf(err, sizeof(err), "Error:  %s: no *.yaml, *.yml or *.json in it\n",
             folder);
    run(line, 1, "", err);
}

/* After a failure to ask the others aren't tried; what was done is said. */
static void apply_stops_when_nobody_answers(void **state)
{
    char line[256];
    char out[512];

    (void)state;
    write_file("a.yaml", "name: a\n");
    write_file("b.yml", "name: b\n");
    write_file("c.json", "{\"name\": \"c\"}");
    recipe_script_answer(
        script, 201,
        "{\"name\":\"a\",\"version\":1,\"created\":true,\"changed\":true}");
    recipe_script_answer(script, 0, "");
    recipe_script_answer(script, 0, "");
    snprintf(line, sizeof(line), "apply %s/a.yaml %s/b.yml %s/c.json", folder,
             folder, folder);
    snprintf(out, sizeof(out),
             "RESULT   RECIPE  VERSION  FILE\n"
             "created  a       1        %s/a.yaml\n",
             folder);
    run(line, 4, out,
        "Error:  client: etcd cluster is unavailable or misconfigured; error "
        "#0: EOF\n\n"
        "error #0: EOF\n\n");
}

/* ---- those that take names ----------------------------------------------- */

static void each_name_is_done_and_failures_are_said(void **state)
{
    (void)state;
    recipe_script_answer(script, 200, "{\"name\":\"a\"}");
    refuse(404, "no b");
    recipe_script_answer(script, 200, "{\"name\":\"c\"}");
    run("pause a b c", 4, "a paused\nc paused\n", "Error:  no b\n");
    recipe_script_answer(script, 200, "{\"name\":\"a\"}");
    run("resume a", 0, "a resumed\n", "");
    recipe_script_answer(script, 200, "{\"name\":\"a\"}");
    run("delete a --purge", 0, "a deleted\n", "");
    recipe_script_answer(script, 200, "{\"name\":\"a\"}");
    run("delete a -o json", 0, "{\"name\":\"a\"}\n", "");
    recipe_script_expect(script, "POST /recipes/v1/defs/a/pause\n"
                                 "POST /recipes/v1/defs/b/pause\n"
                                 "POST /recipes/v1/defs/c/pause\n"
                                 "POST /recipes/v1/defs/a/resume\n"
                                 "DELETE /recipes/v1/defs/a?purge=true\n"
                                 "DELETE /recipes/v1/defs/a\n");
}

static void arguments_are_json_or_text(void **state)
{
    (void)state;
    recipe_script_answer(script, 202, "{\"name\":\"a\",\"id\":\"77\"}");
    run("run a n=1 t=two q=\"3\" l=[1,2] e= s=a,b", 0, "a is called: 77\n", "");
    recipe_script_answer(script, 202, "{\"name\":\"a\",\"id\":\"78\"}");
    run("run a --args {\"n\":1} -o json", 0, "{\"name\":\"a\",\"id\":\"78\"}\n",
        "");
    run("run a word", 1, "", "Error:  arguments are name=value words\n");
    recipe_script_expect(
        script, "POST /recipes/v1/defs/a/run (application/json)\n"
                "{\"args\":{\"n\":1,\"t\":\"two\",\"q\":\"3\",\"l\":[1,2],"
                "\"e\":\"\",\"s\":\"a,b\"}}\n"
                "POST /recipes/v1/defs/a/run (application/json)\n"
                "{\"args\":{\"n\":1}}\n");
}

/* ---- runs ---------------------------------------------------------------- */

#define RUN_JSON                                                              \
    "{\"id\":\"7\",\"recipe\":\"a\",\"key\":\"/k\",\"event\":\"create\","     \
    "\"time\":\"2026-01-02T03:04:05Z\",\"status\":\"failed\",\"error\":\"why" \
    "\"}"
#define ACTIVE_JSON                                                       \
    "{\"id\":\"9\",\"recipe\":\"a\",\"key\":\"/l\",\"event\":\"update\"," \
    "\"time\":\"2026-01-02T03:04:06Z\",\"status\":\"active\",\"state\":"  \
    "\"waiting\",\"step\":\"1\"}"

static void runs_are_listed(void **state)
{
    (void)state;
    recipe_script_answer(script, 200,
                         "{\"runs\":[" ACTIVE_JSON "," RUN_JSON
                         "],\"next\":\"7\"}");
    run("runs a --status failed --since 1h --until 2026-01-03T00:00:00Z "
        "--limit 2 --after 10",
        0,
        "TIME                  RECIPE  RUN  STATUS        EVENT   KEY  ERROR\n"
        "2026-01-02T03:04:06Z  a       9    waiting at 1  update  /l\n"
        "2026-01-02T03:04:05Z  a       7    failed        create  /k   why\n"
        "(there may be more: --after 7)\n",
        "");
    recipe_script_answer(script, 200, RUN_JSON);
    run("runs a 7", 0,
        "id: \"7\"\nrecipe: a\nkey: /k\nevent: create\n"
        "time: \"2026-01-02T03:04:05Z\"\nstatus: failed\nerror: why\n",
        "");
    recipe_script_expect(
        script, "GET /recipes/v1/runs?recipe=a&status=failed&since=1h&until="
                "2026-01-03T00%3A00%3A00Z&limit=2&after=10\n"
                "GET /recipes/v1/runs/a/7\n");
}

static void runs_are_watched(void **state)
{
    (void)state;
    recipe_script_answer(script, 200,
                         ": hello\n\nevent: active\ndata: " ACTIVE_JSON
                         "\n\n: \n\nevent: dead\ndata: " RUN_JSON
                         "\n\nevent: recipe\ndata: {}\n\nevent: gap\n"
                         "data: {}\n\nevent: run\ndata: " RUN_JSON "\n\n");
    run("runs a --watch", 4,
        "2026-01-02T03:04:06Z  a  9  waiting at 1  update /l\n"
        "2026-01-02T03:04:05Z  a  7  failed  create /k: why\n",
        "(some may be missing here)\nError:  the server has ended the "
        "stream\n");
    recipe_script_answer(script, 200,
                         "event: active\ndata: " ACTIVE_JSON
                         "\n\nevent: run\ndata: " RUN_JSON "\n\n");
    run("runs --watch --status failed -o json", 4, RUN_JSON "\n",
        "Error:  the server has ended the stream\n");
    refuse(429, "100 clients listen already");
    run("runs --watch", 4, "", "Error:  100 clients listen already\n");
    recipe_script_expect(script, "GET /recipes/v1/stream?recipe=a\n"
                                 "GET /recipes/v1/stream\n"
                                 "GET /recipes/v1/stream\n");
}

/* ---- why ----------------------------------------------------------------- */

static void accounts_are_shown(void **state)
{
    (void)state;
    recipe_script_answer(
        script, 200,
        "{\"taken\":true,\"accounts\":[{\"trigger\":1,\"key\":\"/k\",\"event\":"
        "{\"type\":\"update\"},\"checks\":[{\"check\":\"crosses\",\"saw\":"
        "{\"of\":95.5},\"result\":true,\"why\":\"it crossed\"},{\"check\":"
        "\"where\",\"text\":\"a && b\",\"saw\":{\"a\":true,\"b\":{\"x\":[1]}},"
        "\"result\":false}],\"outcome\":\"condition 1 is false\"}]}");
    run("explain a 7", 0,
        "if[1]: update of /k: condition 1 is false\n"
        "CHECK    RESULT  WHAT    SAW                     WHY\n"
        "crosses  true            of = 95.5               it crossed\n"
        "where    false   a && b  a = true, b = {x: [1]}\n",
        "");
    recipe_script_answer(script, 200,
                         "{\"taken\":false,\"accounts\":[],\"outcome\":\"no "
                         "trigger\"}");
    run("explain a 8", 0, "no trigger\n", "");
    recipe_script_expect(script,
                         "GET /recipes/v1/explain?recipe=a&revision=7\n"
                         "GET /recipes/v1/explain?recipe=a&revision=8\n");
}

static const char backtest_json[] =
    "{\"recipe\":\"a\",\"from\":5,\"to\":90,\"would\":{\"runs\":[{\"id\":"
    "\"7\",\"time\":\"2026-01-02T03:04:05Z\",\"status\":\"ok\",\"key\":\"/k\","
    "\"steps\":[{\"id\":\"0\",\"kind\":\"put\",\"key\":\"/p\"},{\"id\":"
    "\"page\",\"kind\":\"http\"}]}],\"effects\":[{\"put\":\"/p\"}],\"fired\":1,"
    "\"skipped\":2,\"failed\":0,\"loops\":0,\"tripped\":\"too fast\"},"
    "\"difference\":{\"only_draft\":[\"7\"],\"only_past\":[],\"both\":[\"8\","
    "\"9\"]}}";

static void a_backtest_is_a_draft_or_a_name(void **state)
{
    static const char out[] =
        "TIME                  RUN  STATUS  KEY  DOES               ERROR\n"
        "2026-01-02T03:04:05Z  7    ok      /k   put /p, http page\n"
        "\n"
        "revisions 5 to 90: fired 1, skipped by a condition 2, failed 0, loops "
        "0\n"
        "it would have tripped: too fast\n"
        "as it was: 2 (8, 9)\nnew: 1 (7)\nno more: 0\n";
    char line[128];

    (void)state;
    recipe_script_answer(script, 200, backtest_json);
    run("backtest a --from 5 --to 1h", 0, out, "");
    write_file("a.yaml", "name: a\n# \"x\"\n");
    snprintf(line, sizeof(line), "backtest %s/a.yaml", folder);
    recipe_script_answer(script, 200, backtest_json);
    run(line, 0, out, "");
    recipe_script_expect(script,
                         "POST /recipes/v1/backtest (application/json)\n"
                         "{\"recipe\":\"a\",\"from\":5,\"to\":\"1h\"}\n"
                         "POST /recipes/v1/backtest (application/json)\n"
                         "{\"recipe\":\"name: a\\n# \\\"x\\\"\\n\"}\n");
}

static void a_draft_that_is_wrong_says_where(void **state)
{
    (void)state;
    recipe_script_answer(
        script, 400,
        "{\"error\":{\"message\":\"why\",\"at\":{\"line\":3,\"column\":7,"
        "\"path\":\"if[0]\"}}}");
    recipe_run(script, "backtest -", "name: a\n", 4, "",
               "Error:  stdin:3:7: if[0]: why\n");
}

/* ---- dead letters and secrets -------------------------------------------- */

static void dead_letters_are_listed_and_tried_again(void **state)
{
    (void)state;
    recipe_script_answer(
        script, 200,
        "{\"dead\":[{\"recipe\":\"a\",\"id\":\"7.page\",\"kind\":\"http\","
        "\"attempts\":9,\"error\":\"503\",\"time\":\"2026-01-02T03:04:05Z\"}],"
        "\"next\":\"a/7.page\"}");
    run("dead a --limit 1", 0,
        "TIME                  RECIPE  ID      KIND  TRIES  ERROR\n"
        "2026-01-02T03:04:05Z  a       7.page  http  9      503\n"
        "(there are more: --after a/7.page)\n",
        "");
    recipe_script_answer(script, 202, "{\"recipe\":\"a\",\"id\":\"7.page\"}");
    run("retry a 7.page", 0, "a 7.page is tried again\n", "");
    recipe_script_answer(script, 202, "{\"retried\":12}");
    run("retry --all", 0, "12 are tried again\n", "");
    recipe_script_answer(script, 202, "{\"retried\":2}");
    run("retry a --all", 0, "2 are tried again\n", "");
    recipe_script_answer(script, 200, "{\"recipe\":\"a\",\"id\":\"7.page\"}");
    run("dead a 7.page --drop", 0, "a 7.page dropped\n", "");
    recipe_script_expect(script,
                         "GET /recipes/v1/dead?recipe=a&limit=1\n"
                         "POST /recipes/v1/dead/a/7.page/retry "
                         "(application/json)\n"
                         "POST /recipes/v1/dead/retry (application/json)\n"
                         "POST /recipes/v1/dead/retry?recipe=a "
                         "(application/json)\n"
                         "DELETE /recipes/v1/dead/a/7.page\n");
}

static void secrets_come_from_stdin_and_are_never_shown(void **state)
{
    (void)state;
    recipe_script_answer(script, 200, "{\"name\":\"s\"}");
    recipe_run(script, "secret put s", "hush\n", 0, "secret s is kept\n", "");
    recipe_script_answer(script, 200, "{\"name\":\"s\"}");
    recipe_run(script, "secret put s -", "two\nlines", 0, "secret s is kept\n",
               "");
    recipe_script_answer(script, 200, "{\"name\":\"s\"}");
    run("secret put s text", 0, "secret s is kept\n", "");
    recipe_run(script, "secret put s", "\n", 1, "",
               "Error:  an empty secret is none\n");
    recipe_script_answer(script, 200, "{\"secrets\":[\"s\",\"t\"]}");
    run("secret list", 0, "s\nt\n", "");
    recipe_script_answer(script, 200, "{\"name\":\"s\"}");
    run("secret delete s", 0, "secret s is deleted\n", "");
    recipe_script_expect(
        script, "PUT /recipes/v1/secrets/s (application/octet-stream)\nhush\n"
                "PUT /recipes/v1/secrets/s (application/octet-stream)\n"
                "two\nlines\n"
                "PUT /recipes/v1/secrets/s (application/octet-stream)\ntext\n"
                "GET /recipes/v1/secrets\n"
                "DELETE /recipes/v1/secrets/s\n");
}

/* ---- test ---------------------------------------------------------------- */

static void documents_are_tested_without_a_server(void **state)
{
    static const char good[] =
        "name: a\nif: [{key: /in}]\nthen: [{put: {key: /out, value: x}}]\n"
        "tests:\n  - {given: [{put: {key: /in, value: 1}}], expect: [{put: "
        "/out}]}\n";
    static const char bad[] =
        "name: a\nif: [{key: /in}]\nthen: [{put: {key: /out, value: x}}]\n"
        "tests:\n  - {given: [{put: {key: /in, value: 1}}], expect: [{put: "
        "/out}]}\n  - {name: n, given: [], expect: [{put: /out}]}\n";

    (void)state;
    recipe_run(script, "test -f -", good, 0, "1 passed, 0 failed\n", "");
    recipe_run(script, "test -f -", bad, 1,
               "-: a: test 2 (n): expected put /out, saw nothing\n"
               "1 passed, 1 failed\n",
               "");
    recipe_run(script, "test -o json -f -", bad, 1,
               "{\"results\":[{\"file\":\"-\",\"name\":\"a\",\"passed\":1,"
               "\"failed\":1,\"failures\":[\"test 2 (n): expected put /out, "
               "saw nothing\"]}],\"passed\":1,\"failed\":1}\n",
               "");
    recipe_run(
        script, "test -f -", "name: a\nif: [{manual: true}]\n", 1,
        "stdin:1:1: \"then\" is missing: write what is to be done, a list "
        "of actions: - put: {key: /b, value: x}\n0 passed, 1 failed\n",
        "");
    recipe_run(script, "test -f -",
               "name: a\nif: [{manual: true}]\nthen: [{log: x}]\n", 0,
               "-: a has no tests\n0 passed, 0 failed\n", "");
    recipe_script_expect(script, "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(recipes_are_listed),
        TEST(json_is_as_it_came),
        TEST(a_recipe_is_got_as_yaml),
        TEST(errors_are_said),
        TEST(words_are_counted),
        TEST(a_call_that_was_cut_off_is_not_made_again),
        TEST(a_folder_is_applied_in_order),
        TEST(stdin_is_applied),
        TEST(a_dry_run_says_what_would_be),
        TEST(what_has_no_name_is_not_sent),
        TEST(files_that_are_not_there_are_named),
        TEST(apply_stops_when_nobody_answers),
        TEST(each_name_is_done_and_failures_are_said),
        TEST(arguments_are_json_or_text),
        TEST(runs_are_listed),
        TEST(runs_are_watched),
        TEST(accounts_are_shown),
        TEST(a_backtest_is_a_draft_or_a_name),
        TEST(a_draft_that_is_wrong_says_where),
        TEST(dead_letters_are_listed_and_tried_again),
        TEST(secrets_come_from_stdin_and_are_never_shown),
        TEST(documents_are_tested_without_a_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
