/* Which name can be used where: all names in all places, and lets in their
 * order. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "recipe_support.h"

/* What is asked for, as an expression whose kind isn't known. */
static const char *const names[] = {
    "key",    "value", "raw",  "prev",      "event",        "recipe",
    "labels", "item",  "body", "headers",   "args",         "steps",
    "error",  "x",     "m",    "get('/g')", "exists('/g')", "secret('s')",
};
enum { NAMES = sizeof names / sizeof names[0], ANSWER_BYTES_MAX = NAMES + 4 };

struct place {
    const char *what;
    const char *before; /* of the document, up to the expression */
    const char *behind;
    /* A '+' for each name that can be had, in the order of `names`: with a key
     * trigger alone, and with all kinds of triggers. */
    const char *alone;
    const char *among;
};

#define NAME "name: r\n"
#define LET "let: {m: 'l'}\n"
#define ALONE "if: [{key: '/a/{x}'}]\n"
#define DO "then: [{log: hi}]\n"

static const struct place places[] = {
    {"where", LET DO "where: \"dyn(", ") == 1\"\n", "+++++++ --- +-- ++++-",
     "+++++++ +++ +-- ++++-"},
    {"let", DO "let: {m: 'l', n: \"{{dyn(", ")}}\"}\n", "+++++++ --- +-- +++++",
     "+++++++ +++ +-- +++++"},
    {"dedupe", LET DO "dedupe: {ttl: 5s, key: \"{{dyn(", ")}}\"}\n",
     "+++++++ --- +-- ++++-", "+++++++ +++ +-- ++++-"},
    {"then put key", LET "then: [{put: {value: 1, key: \"/p/{{dyn(",
     ")}}\"}}]\n", "+++++++ --- ++- ++++-", "+++++++ +++ ++- ++++-"},
    {"then put value", LET "then: [{put: {key: /p, value: [{a: \"{{dyn(",
     ")}}\"}]}}]\n", "+++++++ --- ++- ++++-", "+++++++ +++ ++- ++++-"},
    {"then txn compare",
     LET "then: [{txn: {then: [{delete: /d}], compare: [{key: /p, value: "
         "\"{{dyn(",
     ")}}\"}]}}]\n", "+++++++ --- ++- ++++-", "+++++++ +++ ++- ++++-"},
    {"then if", LET "then: [{log: hi, if: \"dyn(", ") == 1\"}]\n",
     "+++++++ --- ++- ++++-", "+++++++ +++ ++- ++++-"},
    {"then http url", LET "then: [{http: {url: \"http://{{dyn(", ")}}\"}}]\n",
     "+++++++ --- ++- +++++", "+++++++ +++ ++- +++++"},
    {"then http if", LET "then: [{http: {url: 'http://e.org'}, if: \"dyn(",
     ") == 1\"}]\n", "+++++++ --- ++- ++++-", "+++++++ +++ ++- ++++-"},
    {"then exec input", LET "then: [{exec: {args: [a], input: {b: \"{{dyn(",
     ")}}\"}}}]\n", "+++++++ --- ++- +++++", "+++++++ +++ ++- +++++"},
    {"then call args", LET "then: [{call: {recipe: o, args: {b: \"{{dyn(",
     ")}}\"}}}]\n", "+++++++ --- ++- ++++-", "+++++++ +++ ++- ++++-"},
    {"on_failure log", LET DO "on_failure: [{log: \"{{dyn(", ")}}\"}]\n",
     "+++++++ --- +++ ++++-", "+++++++ +++ +++ ++++-"},
    {"on_failure email",
     LET DO
     "on_failure: [{email: {server: 'smtp://m', from: a, to: b, subject: c, "
     "text: \"{{dyn(",
     ")}}\"}}]\n", "+++++++ --- +++ +++++", "+++++++ +++ +++ +++++"},
};

/* Those that stand in a trigger, which is the last one of its `if`. */
static const struct place trigger_places[] = {
    {"changed", "- {key: '/b/{x}', changed: \"dyn(", ")\"}\n",
     "+++++++ --- +-- +-++-", "+++++++ +++ +-- +-++-"},
    {"crosses", "- {key: '/b/{x}', crosses: {above: 1, of: \"dyn(", ")\"}}\n",
     "+++++++ --- +-- +-++-", "+++++++ +++ +-- +-++-"},
    {"dedupe of a webhook", "- {webhook: {path: p, dedupe: \"dyn(", ")\"}}\n",
     "-----++ -++ --- -----", "-----++ -++ --- -----"},
    {"feed url", "- {feed: {url: \"http://{{dyn(", ")}}\"}}\n",
     "-----++ --- --- ----+", "-----++ --- --- ----+"},
    {"poll url", "- {poll: {id: item, url: \"http://{{dyn(", ")}}\"}}\n",
     "-----++ --- --- ----+", "-----++ --- --- ----+"},
    {"poll items", "- {poll: {id: item, url: 'http://e', items: \"dyn(",
     ")\"}}\n", "-----++ -+- --- -----", "-----++ -+- --- -----"},
    {"poll id", "- {poll: {url: 'http://e', id: \"dyn(", ")\"}}\n",
     "-----++ +-- --- -----", "-----++ +-- --- -----"},
};

static const char among[] =
    "if:\n- {key: '/a/{x}'}\n- {webhook: w}\n- {feed: {url: 'http://e'}}\n"
    "- {poll: {url: 'http://e', id: item}}\n- {every: 1m}\n- {recipe: o}\n"
    "- {manual: true}\n- {absent: '/c/{x}', for: 5s}\n";

/* "+" for each name that is taken there, "-" for each that isn't; and then the
 * fault is at the name. */
static void ask(const char *before, const struct place *place,
                char out[ANSWER_BYTES_MAX])
{
    size_t at = 0;
    for (size_t i = 0; i < NAMES; i++) {
        char text[1024];
        struct recipe *recipe;
        struct recipe_fault fault;
        int begin = snprintf(text, sizeof text, "%s%s", before, place->before);
        int size = begin + snprintf(text + begin, sizeof text - (size_t)begin,
                                    "%s%s", names[i], place->behind);
        assert_in_range(size, 1, sizeof text - 1);
        enum err err = recipe_parse(slice_str(text), NULL, &recipe, &fault);
        if (i == 7 || i == 10 || i == 13)
            out[at++] = ' ';
        out[at++] = err ? '-' : '+';
        if (err) {
            /* Functions of the store have no place of their own. */
            const char *line = text + begin;
            while (line > text && line[-1] != '\n')
                line--;
            int column = (int)(text + begin - line) + 1;
            bool is_call = strstr(fault.text, "get(), exists() and count()");
            if (!is_call && fault.column != column)
                fail_msg("%s: column %d, not %d: %s", text, fault.column,
                         column, fault.text);
            assert_true(strstr(fault.text, "is there") ||
                        strstr(fault.text, "isn't known here") ||
                        strstr(fault.text, "is a let") || is_call ||
                        strstr(fault.text, "secret() can't be used here"));
        }
        recipe_free(recipe);
    }
    out[at] = '\0';
}

static int differs(const struct place *place, const char *said,
                   const char *wanted)
{
    if (strcmp(said, wanted) == 0)
        return 0;
    fprintf(stderr, "%s:\nis  %s\nnot %s\n", place->what, said, wanted);
    return 1;
}

static void each_name_has_its_places(void **state)
{
    (void)state;
    int wrong = 0;
    char said[ANSWER_BYTES_MAX], before[512];
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        ask(NAME ALONE, &places[i], said);
        wrong += differs(&places[i], said, places[i].alone);
        snprintf(before, sizeof before, NAME "%s", among);
        ask(before, &places[i], said);
        wrong += differs(&places[i], said, places[i].among);
    }
    assert_int_equal(wrong, 0);
}

static void triggers_know_less(void **state)
{
    (void)state;
    int wrong = 0;
    char said[ANSWER_BYTES_MAX], before[512];
    for (size_t i = 0; i < sizeof trigger_places / sizeof places[0]; i++) {
        const struct place *place = &trigger_places[i];
        bool brings = strncmp(place->before, "- {key", 6) != 0;
        ask(NAME LET DO "if:\n- {key: '/a/{x}'}\n", place, said);
        wrong += differs(place, said, place->alone);
        snprintf(before, sizeof before, NAME LET DO "%s", among);
        ask(before, place, said);
        wrong += differs(place, said, brings ? place->alone : place->among);
    }
    assert_int_equal(wrong, 0);
}

/* ---- lets --------------------------------------------------------------- */

static const char *told_of(const char *text)
{
    static char told[1024];
    struct recipe *recipe;
    struct recipe_fault fault;
    enum err err = recipe_parse(slice_str(text), NULL, &recipe, &fault);
    snprintf(told, sizeof told, "%s: %s", fault.path, fault.text);
    recipe_free(recipe);
    return err ? told : "taken";
}

#define LETS(lets, then) NAME ALONE "let: {" lets "}\nthen: [" then "]\n"

static void a_let_uses_those_before_it(void **state)
{
    (void)state;
    assert_string_equal(told_of(LETS("a: '{{x}}', b: '{{a}}', c: '{{a}}{{b}}'",
                                     "log: '{{c}}'")),
                        "taken");
    assert_string_equal(told_of(LETS("b: '{{a}}', a: '{{x}}'", "log: a")),
                        "let.b: `a` comes later: a let can use those before "
                        "it");
    assert_string_equal(told_of(LETS("a: '{{x}}', b: '{{b}}'", "log: a")),
                        "let.b: `b` is this let itself: it can use those "
                        "before it");
    /* One of a map inside an expression is a name as well as any. */
    assert_string_equal(
        told_of(LETS("a: \"{{[1].map(i, b)}}\", b: '1'", "log: a")),
        "let.a: `b` comes later: a let can use those before it");
    /* What only looks like it. */
    assert_string_equal(
        told_of(LETS("a: \"{{'b'}} b {{value.b}}\", b: '1'", "log: a")),
        "taken");
}

/* Through however many lets a secret comes, it doesn't come into the store. */
static void a_secret_stays_one_by_any_name(void **state)
{
    (void)state;
#define SECRETS "a: \"{{secret('s')}}\", b: 'x{{a}}', c: '{{b}}', d: '{{x}}'"
#define TOLD(path)                                                       \
    path " has a secret in it: it can go out with http, email or exec, " \
         "never into the store or a log"
    assert_string_equal(told_of(LETS(SECRETS, "{log: '{{c}}'}")),
                        TOLD("then[0].log: `c`"));
    assert_string_equal(told_of(LETS(SECRETS, "{log: '{{d}}'}")), "taken");
    assert_string_equal(
        told_of(LETS(SECRETS, "{put: {key: /b, value: {n: ['{{a}}']}}}")),
        TOLD("then[0].put.value.n[0]: `a`"));
    assert_string_equal(
        told_of(LETS(SECRETS, "{put: {key: '/b/{{b}}', value: 1}}")),
        TOLD("then[0].put.key: `b`"));
    assert_string_equal(told_of(LETS(SECRETS, "{log: hi, if: \"c == 'x'\"}")),
                        TOLD("then[0].if: `c`"));
    assert_string_equal(
        told_of(LETS(SECRETS, "{call: {recipe: o, args: {a: '{{a}}'}}}")),
        TOLD("then[0].call.args.a: `a`"));
    assert_string_equal(
        told_of(LETS(SECRETS,
                     "{http: {url: 'http://e.org', headers: {k: '{{c}}'}}}")),
        "taken");
    assert_string_equal(told_of(LETS(SECRETS, "{exec: [a, '{{b}}{{d}}']}")),
                        "taken");
    assert_string_equal(
        told_of(NAME ALONE DO "let: {" SECRETS "}\nwhere: \"b == 'x'\"\n"),
        TOLD("where[0]: `b`"));
    assert_string_equal(told_of(NAME ALONE DO
                                "let: {" SECRETS
                                "}\ndedupe: {key: '{{c}}', ttl: 5s}\n"),
                        TOLD("dedupe.key: `c`"));
}

/* As many as there may be, each of all that come before it. */
static void many_lets_take_no_time(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_append_str(&text, NAME ALONE "let:\n  l0: \"{{secret('s')}}\"\n");
    for (int i = 1; i < 64; i++) {
        buf_printf(&text, "  l%d: '", i);
        for (int j = 0; j < i; j++)
            buf_printf(&text, "{{l%d}}", j);
        buf_append_str(&text, "'\n");
    }
    buf_append_str(&text, "then: [{log: '{{l63}}'}]\n");
    buf_append_char(&text, '\0');
    assert_string_equal(told_of(text.at), TOLD("then[0].log: `l63`"));
    buf_deinit(&text);
}

/* ---- steps -------------------------------------------------------------- */

#define STEPS(text)                                                 \
    NAME ALONE "then:\n- {http: {url: 'http://e.org'}, id: page}\n" \
               "- {log: \"" text "\"}\n"

static void every_step_that_is_named_was_before(void **state)
{
    (void)state;
    assert_string_equal(told_of(STEPS("{{steps.page.status}}")), "taken");
    assert_string_equal(told_of(STEPS("{{steps.pgae.status}}")),
                        "then[1].log: no action before this one has the id "
                        "\"pgae\": did you mean \"page\"?");
    /* The second one of a text, and of an expression, too. */
    assert_string_equal(
        told_of(STEPS("{{steps.page.status}} {{steps.nobody.x}}")),
        "then[1].log: no action before this one has the id \"nobody\": write "
        "id: nobody there");
    assert_string_equal(
        told_of(STEPS("{{steps.page.status == 200 && steps.mail.x == 1}}")),
        "then[1].log: no action before this one has the id \"mail\": write "
        "id: mail there");
    assert_string_equal(told_of(STEPS("{{steps.page}} steps.mail.x")), "taken");
    assert_string_equal(told_of(STEPS("{{'steps.mail.x'}}{{steps.page}}")),
                        "taken");
    assert_string_equal(told_of(STEPS("{{value.steps.mail}}{{steps.page}}")),
                        "taken");
    assert_string_equal(told_of(STEPS("{{size(steps)}}")), "taken");
    /* Not yet: itself. */
    assert_string_equal(
        told_of(NAME ALONE "then: [{log: '{{steps.me}}', id: me}]\n"),
        "then[0].log: no action before this one has the id \"me\": write id: "
        "me there");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_name_has_its_places),
        cmocka_unit_test(triggers_know_less),
        cmocka_unit_test(a_let_uses_those_before_it),
        cmocka_unit_test(a_secret_stays_one_by_any_name),
        cmocka_unit_test(many_lets_take_no_time),
        cmocka_unit_test(every_step_that_is_named_was_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
