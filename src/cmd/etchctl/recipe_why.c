/* recipe explain, backtest: why, why not, and what would have been. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd/etchctl/recipe.h"

/* ---- explain ------------------------------------------------------------- */

/* {"value.used": 95} as "value.used = 95". */
static void write_saw(struct buf *out, const struct doc_value *saw)
{
    for (size_t i = 0; saw && saw->kind == DOC_MAP && i < saw->count; i++) {
        buf_append_str(out, i > 0 ? ", " : "");
        buf_append_slice(out, saw->members[i].name);
        buf_append_str(out, " = ");
        recipe_flow(out, saw->members[i].value);
    }
}

static void add_check(struct recipe_table *table, const struct doc_value *check)
{
    struct buf saw = {0};

    write_saw(&saw, doc_get(check, "saw"));
    recipe_table_add(table, recipe_cell(table->arena, check, "check"));
    recipe_table_add(table, recipe_cell(table->arena, check, "result"));
    recipe_table_add(table, recipe_cell(table->arena, check, "text"));
    recipe_table_add(table, buf_slice(&saw));
    recipe_table_add(table, recipe_cell(table->arena, check, "why"));
    buf_deinit(&saw);
}

static void write_account(struct arena *arena, const struct doc_value *account,
                          struct buf *out)
{
    static const char *const heads[] = {"CHECK", "RESULT", "WHAT",
                                        "SAW",   "WHY",    NULL};
    const struct doc_value *checks = recipe_list(account, "checks");
    const struct doc_value *event = doc_get(account, "event");
    struct recipe_table table;

    buf_printf(out, "if[%lld]: ", (long long)recipe_number(account, "trigger"));
    if (event) {
        recipe_plain(out, recipe_cell(arena, event, "type"));
        buf_append_str(out, " of ");
    }
    recipe_plain(out, recipe_cell(arena, account, "key"));
    buf_append_str(out, ": ");
    recipe_plain(out, recipe_cell(arena, account, "outcome"));
    buf_append_char(out, '\n');
    if (checks->count == 0)
        return;
    recipe_table_init(&table, arena, heads);
    for (size_t i = 0; i < checks->count; i++)
        add_check(&table, checks->items[i]);
    recipe_table_write(&table, out);
}

static int print_accounts(struct session *session, const struct doc_value *json)
{
    const struct doc_value *accounts = recipe_list(json, "accounts");
    const struct doc_value *taken = doc_get(json, "taken");
    struct buf text = {0};

    for (size_t i = 0; i < accounts->count; i++) {
        buf_append_str(&text, i > 0 ? "\n" : "");
        write_account(session->arena, accounts->items[i], &text);
    }
    if (accounts->count == 0) {
        recipe_plain(&text, recipe_cell(session->arena, json, "outcome"));
        buf_append_char(&text, '\n');
    }
    if (accounts->count > 0 && taken && !taken->boolean)
        buf_append_str(&text, "(It hasn't come to that revision yet.)\n");
    return recipe_print(&text);
}

static int run_explain(struct session *session)
{
    struct recipe_request request = {.method = "GET", .is_long = true};
    struct recipe_answer answer;
    int code = recipe_begin(session, 2, 2);

    if (code != EXIT_DONE)
        return code;
    recipe_path_add(&request.path, SLICE("explain"));
    recipe_path_field(&request.path, "recipe", session_word(session, 0));
    recipe_path_field(&request.path, "revision", session_word(session, 1));
    if (!recipe_ask(session, &request, &answer, NULL))
        return recipe_fail(session);
    return recipe_wants_json(session) ? recipe_print_json(answer.body)
                                      : print_accounts(session, answer.json);
}

const struct command recipe_command_explain = {
    .name = "explain",
    .arguments = "<name> <revision>",
    .summary = "say why a recipe fired at a revision, or why not",
    .about = "Each trigger that has the key, and each condition with the "
             "values that it saw.\n",
    .run = run_explain,
};

/* ---- backtest ------------------------------------------------------------ */

static const struct flag_spec backtest_flags[] = {
    {.name = "from",
     .kind = FLAG_STRING,
     .value = "when",
     .about = "a revision, a time (2026-12-24T18:00:00Z), or how long ago "
              "(24h); default: the beginning"},
    {.name = "to",
     .kind = FLAG_STRING,
     .value = "when",
     .about = "the same; default: now"},
    {0},
};

/* A revision is a number, all else text. */
static void add_bound(struct session *session, const char *name,
                      struct buf *body)
{
    struct slice text = slice_str(flags_text(&session->flags, name));
    int64_t revision;

    if (text.size == 0)
        return;
    if (slice_to_i64(text, &revision))
        buf_printf(body, ",\"%s\":%lld", name, (long long)revision);
    else
        recipe_json_text(body, name, text);
}

/* A file where there is one of that name, else the name of a recipe. */
static bool make_body(struct session *session, struct buf *body)
{
    const char *word = session_word(session, 0);
    struct recipe_files files = {0};
    struct stat about;

    buf_append_char(body, '{');
    if (strcmp(word, "-") != 0 && stat(word, &about) != 0) {
        recipe_json_text(body, "recipe", slice_str(word));
    } else if (!recipe_files_add(session, word, &files)) {
        return false;
    } else if (files.count != 1) {
        fprintf(stderr, "Error:  %s: one recipe at a time\n", word);
        return false;
    } else {
        recipe_json_text(body, "recipe", files.at[0].text);
    }
    add_bound(session, "from", body);
    add_bound(session, "to", body);
    buf_append_char(body, '}');
    return true;
}

static void write_ids(struct buf *out, const char *what,
                      const struct doc_value *ids)
{
    enum { SHOWN = 10 };

    buf_printf(out, "%s: %zu", what, ids->count);
    for (size_t i = 0; i < ids->count && i < SHOWN; i++) {
        buf_append_str(out, i > 0 ? ", " : " (");
        recipe_plain(out, ids->items[i]->text);
    }
    if (ids->count > SHOWN)
        buf_append_str(out, ", ...");
    buf_append_str(out, ids->count > 0 ? ")\n" : "\n");
}

/* "put /alerts/a, http page": what its steps did, or would have. */
static void write_steps(struct arena *arena, const struct doc_value *run,
                        struct buf *out)
{
    const struct doc_value *steps = recipe_list(run, "steps");

    for (size_t i = 0; i < steps->count; i++) {
        const struct doc_value *step = steps->items[i];
        struct slice what = recipe_cell(arena, step, "key");
        if (what.size == 0)
            what = recipe_cell(arena, step, "id");
        buf_append_str(out, i > 0 ? ", " : "");
        buf_append_slice(out, recipe_cell(arena, step, "kind"));
        buf_append_char(out, ' ');
        buf_append_slice(out, what);
    }
}

static void write_runs(struct arena *arena, const struct doc_value *runs,
                       struct buf *out)
{
    enum { SHOWN = 50 };
    static const char *const heads[] = {"TIME", "RUN",   "STATUS", "KEY",
                                        "DOES", "ERROR", NULL};
    static const char *const names[] = {"time", "id", "status",
                                        "key",  NULL, "error"};
    struct recipe_table table;

    if (runs->count == 0)
        return;
    recipe_table_init(&table, arena, heads);
    for (size_t i = 0; i < runs->count && i < SHOWN; i++) {
        struct buf steps = {0};
        write_steps(arena, runs->items[i], &steps);
        for (size_t j = 0; j < sizeof(names) / sizeof(names[0]); j++)
            recipe_table_add(
                &table, names[j] ? recipe_cell(arena, runs->items[i], names[j])
                                 : buf_slice(&steps));
        buf_deinit(&steps);
    }
    recipe_table_write(&table, out);
    if (runs->count > SHOWN)
        buf_printf(out, "(and %zu more: -o json has them)\n",
                   runs->count - SHOWN);
    buf_append_char(out, '\n');
}

static int print_backtest(struct session *session, const struct doc_value *json)
{
    const struct doc_value *would = doc_get(json, "would");
    const struct doc_value *difference = doc_get(json, "difference");
    struct slice tripped;
    struct buf text = {0};

    if (!would || !difference)
        return session_fail_text(session, EXIT_SERVER_ERROR,
                                 "the answer is no backtest");
    write_runs(session->arena, recipe_list(would, "runs"), &text);
    buf_printf(&text,
               "revisions %lld to %lld: fired %lld, skipped by a condition "
               "%lld, failed %lld, loops %lld\n",
               (long long)recipe_number(json, "from"),
               (long long)recipe_number(json, "to"),
               (long long)recipe_number(would, "fired"),
               (long long)recipe_number(would, "skipped"),
               (long long)recipe_number(would, "failed"),
               (long long)recipe_number(would, "loops"));
    tripped = recipe_cell(session->arena, would, "tripped");
    if (tripped.size > 0) {
        buf_append_str(&text, "it would have tripped: ");
        recipe_plain(&text, tripped);
        buf_append_char(&text, '\n');
    }
    write_ids(&text, "as it was", recipe_list(difference, "both"));
    write_ids(&text, "new", recipe_list(difference, "only_draft"));
    write_ids(&text, "no more", recipe_list(difference, "only_past"));
    return recipe_print(&text);
}

static int run_backtest(struct session *session)
{
    struct recipe_request request = {
        .method = "POST", .has_body = true, .is_long = true};
    struct recipe_answer answer;
    struct recipe_place place;
    struct buf body = {0};
    int code = recipe_begin(session, 1, 1);

    if (code == EXIT_DONE && !make_body(session, &body))
        code = EXIT_BAD_ARGUMENTS;
    if (code == EXIT_DONE) {
        recipe_path_add(&request.path, SLICE("backtest"));
        request.body = buf_slice(&body);
        if (recipe_ask(session, &request, &answer, &place)) {
            code = recipe_wants_json(session)
                       ? recipe_print_json(answer.body)
                       : print_backtest(session, answer.json);
        } else if (place.line > 0) {
            struct buf text = {0};
            recipe_file_place(session_word(session, 0), &place,
                              buf_slice(&session->failure.text), &text);
            buf_append_char(&text, '\0');
            code = session_fail_text(session, EXIT_SERVER_ERROR, text.at);
            buf_deinit(&text);
        } else {
            code = recipe_fail(session);
        }
    }
    buf_deinit(&body);
    return code;
}

const struct command recipe_command_backtest = {
    .name = "backtest",
    .arguments = "<file>|<name>",
    .summary = "say what a recipe would have done over the past",
    .about = "A file is a draft; a name the recipe as it is now. Nothing is "
             "written. Then what\nis the same, new, or no more, beside the "
             "runs that took place.\n",
    .flags = backtest_flags,
    .run = run_backtest,
};
