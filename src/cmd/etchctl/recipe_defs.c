/* recipe list, get, delete, run, pause, resume. */
#include <stdio.h>
#include <string.h>

#include "cmd/etchctl/recipe.h"
#include "doc/json_write.h"

static void path_of(struct recipe_request *request, const char *name,
                    const char *verb)
{
    recipe_path_add(&request->path, SLICE("defs"));
    if (name)
        recipe_path_add(&request->path, slice_str(name));
    if (verb)
        recipe_path_add(&request->path, slice_str(verb));
}

/* ---- list ---------------------------------------------------------------- */

static struct slice lag_of(struct arena *arena, const struct doc_value *recipe)
{
    const struct doc_value *lag = doc_get(recipe, "lag");
    const struct doc_value *seconds = lag ? doc_get(lag, "seconds") : NULL;

    if (!seconds)
        return SLICE("-");
    return slice_str(arena_printf(arena, "%lld (%.1fs)",
                                  (long long)recipe_number(lag, "revisions"),
                                  seconds->number));
}

/* "tripped: more than 1000 runs in 1m". */
static struct slice state_of(struct arena *arena,
                             const struct doc_value *recipe)
{
    struct slice state = recipe_cell(arena, recipe, "state");
    struct slice why = recipe_cell(arena, recipe, "why");

    if (why.size == 0)
        return state;
    return slice_str(arena_printf(arena, "%.*s: %.*s", (int)state.size,
                                  state.at, (int)why.size, why.at));
}

static void add_rows(struct recipe_table *table, const struct doc_value *json)
{
    const struct doc_value *recipes = recipe_list(json, "recipes");
    struct arena *arena = table->arena;

    for (size_t i = 0; i < recipes->count; i++) {
        const struct doc_value *recipe = recipes->items[i];
        recipe_table_add(table, recipe_cell(arena, recipe, "name"));
        recipe_table_add(table, state_of(arena, recipe));
        recipe_table_add(table, recipe_cell(arena, recipe, "version"));
        recipe_table_add(table, lag_of(arena, recipe));
        recipe_table_add(table, recipe_cell(arena, recipe, "owner"));
        recipe_table_add(table, recipe_cell(arena, recipe, "labels"));
        recipe_table_add(table, recipe_cell(arena, recipe, "description"));
    }
}

/* All pages: as JSON each on a line of its own. */
static int run_list(struct session *session)
{
    static const char *const heads[] = {"NAME",        "STATE",  "VERSION",
                                        "LAG",         "WORKER", "LABELS",
                                        "DESCRIPTION", NULL};
    struct recipe_answer answer;
    struct recipe_table table;
    struct buf text = {0};
    const char *after = "";
    int code = recipe_begin(session, 0, 1);

    recipe_table_init(&table, session->arena, heads);
    while (code == EXIT_DONE && after != NULL) {
        struct recipe_request request = {.method = "GET"};
        path_of(&request, NULL, NULL);
        recipe_path_field(&request.path, "prefix", session_word(session, 0));
        recipe_path_field(&request.path, "after", after);
        if (!recipe_ask(session, &request, &answer, NULL))
            return recipe_fail(session);
        if (recipe_wants_json(session))
            code = recipe_print_json(answer.body);
        add_rows(&table, answer.json);
        after = recipe_next(session, answer.json);
    }
    if (code != EXIT_DONE || recipe_wants_json(session))
        return code;
    recipe_table_write(&table, &text);
    return recipe_print(&text);
}

const struct command recipe_command_list = {
    .name = "list",
    .arguments = "[prefix]",
    .summary = "list the recipes, and how each is",
    .about = "LAG: how many revisions behind the store it is, and for how "
             "long; '-' where the\nworker that is asked isn't the one that has "
             "it.\n",
    .run = run_list,
};

/* ---- get ----------------------------------------------------------------- */

static const struct flag_spec get_flags[] = {
    {.name = "version",
     .kind = FLAG_STRING,
     .value = "number",
     .about = "as it was then"},
    {0},
};

/* The document, fit for apply; how it is stands above it, as a comment. */
static int print_document(const struct session *session,
                          const struct doc_value *json)
{
    const struct doc_value *recipe = doc_get(json, "recipe");
    const struct doc_value *status = doc_get(json, "status");
    struct slice state = state_of(session->arena, status);
    struct buf text = {0};

    buf_append_str(&text, "# ");
    if (state.size > 0) {
        recipe_plain(&text, state);
        buf_append_str(&text, ", ");
    }
    buf_printf(&text, "version %lld, of revision %lld\n",
               (long long)recipe_number(status, "version"),
               (long long)recipe_number(status, "revision"));
    if (recipe)
        recipe_yaml(&text, recipe);
    return recipe_print(&text);
}

static int run_get(struct session *session)
{
    struct recipe_request request = {.method = "GET"};
    struct recipe_answer answer;
    int code = recipe_begin(session, 1, 1);

    if (code != EXIT_DONE)
        return code;
    path_of(&request, session_word(session, 0), NULL);
    recipe_path_field(&request.path, "version",
                      flags_text(&session->flags, "version"));
    if (!recipe_ask(session, &request, &answer, NULL))
        return recipe_fail(session);
    return recipe_wants_json(session) ? recipe_print_json(answer.body)
                                      : print_document(session, answer.json);
}

const struct command recipe_command_get = {
    .name = "get",
    .arguments = "<name>",
    .summary = "print a recipe as YAML, and how it is",
    .about = "What it prints can be changed and applied again.\n",
    .flags = get_flags,
    .run = run_get,
};

/* ---- those that take names ----------------------------------------------- */

struct verb {
    const char *method;
    const char *path; /* behind the name; NULL: none */
    const char *done; /* "paused" */
    bool is_purge;
};

static bool do_one(struct session *session, const struct verb *verb,
                   const char *name, struct recipe_answer *answer)
{
    struct recipe_request request = {.method = verb->method};

    path_of(&request, name, verb->path);
    if (verb->is_purge)
        recipe_path_field(&request.path, "purge", "true");
    return recipe_ask(session, &request, answer, NULL);
}

/* Each of the names; what was refused is said, and the next one is done. */
static int do_verb(struct session *session, const struct verb *verb)
{
    int code = recipe_begin(session, 1, FLAGS_WORDS_ANY);

    for (size_t i = 0; i < session->words.count; i++) {
        struct recipe_answer answer;
        struct buf text = {0};
        if (code == EXIT_BAD_CONNECTION || code == EXIT_BAD_ARGUMENTS)
            break;
        if (!do_one(session, verb, session->words.at[i], &answer)) {
            code = recipe_fail(session);
            continue;
        }
        if (recipe_wants_json(session)) {
            recipe_print_json(answer.body);
            continue;
        }
        buf_printf(&text, "%s %s\n", session->words.at[i], verb->done);
        recipe_print(&text);
    }
    return code;
}

static const struct flag_spec delete_flags[] = {
    {.name = "purge",
     .about = "the records of its runs and its dead letters too"},
    {0},
};

static int run_delete(struct session *session)
{
    const struct verb verb = {.method = "DELETE",
                              .done = "deleted",
                              .is_purge = flags_bool(&session->flags, "purge")};

    return do_verb(session, &verb);
}

static int run_pause(struct session *session)
{
    static const struct verb verb = {
        .method = "POST", .path = "pause", .done = "paused"};

    return do_verb(session, &verb);
}

static int run_resume(struct session *session)
{
    static const struct verb verb = {
        .method = "POST", .path = "resume", .done = "resumed"};

    return do_verb(session, &verb);
}

const struct command recipe_command_delete = {
    .name = "delete",
    .arguments = "<name> ...",
    .summary = "delete recipes, and all that they remember",
    .about = "The records of finished runs stay, without --purge.\n",
    .flags = delete_flags,
    .run = run_delete,
};
const struct command recipe_command_pause = {
    .name = "pause",
    .arguments = "<name> ...",
    .summary = "stop recipes where they are",
    .about = "Nothing is lost: after 'resume' they take what came meanwhile.\n",
    .run = run_pause,
};
const struct command recipe_command_resume = {
    .name = "resume",
    .arguments = "<name> ...",
    .summary = "go on after a pause, a gap, or when one has tripped",
    .run = run_resume,
};

/* ---- run ----------------------------------------------------------------- */

static const struct flag_spec run_flags[] = {
    {.name = "args",
     .kind = FLAG_STRING,
     .value = "json",
     .about = "the arguments as a map, in place of name=value words"},
    {0},
};

/* A value that is JSON is that; else it is text. */
static void add_argument(struct session *session, const char *word,
                         struct buf *out)
{
    const char *equals = strchr(word, '=');
    struct slice text = slice_str(equals + 1);
    struct doc_value *parsed = NULL;
    char *wrapped = arena_printf(session->arena, "[%s]", equals + 1);

    if (out->at[out->size - 1] != '{')
        buf_append_char(out, ',');
    json_write_string(out, slice_of(word, (size_t)(equals - word)));
    buf_append_char(out, ':');
    if (doc_parse_json(session->arena, slice_str(wrapped), &doc_limits_default,
                       &parsed) == ERR_OK &&
        parsed->count == 1)
        buf_append_slice(out, text);
    else
        json_write_string(out, text);
}

static int make_arguments(struct session *session, struct buf *out)
{
    const char *args = flags_text(&session->flags, "args");

    buf_append_str(out, "{\"args\":");
    if (args[0] != '\0') {
        buf_append_str(out, args);
    } else {
        buf_append_char(out, '{');
        for (size_t i = 1; i < session->words.count; i++) {
            const char *word = session->words.at[i];
            if (!strchr(word, '=') || word[0] == '=')
                return session_fail_text(session, EXIT_BAD_ARGUMENTS,
                                         "arguments are name=value words");
            add_argument(session, word, out);
        }
        buf_append_char(out, '}');
    }
    buf_append_char(out, '}');
    return EXIT_DONE;
}

static int print_started(struct session *session,
                         const struct recipe_answer *answer)
{
    struct slice id = v2_text_of(answer->json, "id");
    struct buf text = {0};

    if (recipe_wants_json(session))
        return recipe_print_json(answer->body);
    buf_printf(&text, "%s is called: %.*s\n", session_word(session, 0),
               (int)id.size, id.at);
    return recipe_print(&text);
}

static int run_run(struct session *session)
{
    struct recipe_request request = {
        .method = "POST", .has_body = true, .is_one_shot = true};
    struct recipe_answer answer;
    struct buf body = {0};
    int code = recipe_begin(session, 1, FLAGS_WORDS_ANY);

    if (code == EXIT_DONE)
        code = make_arguments(session, &body);
    if (code == EXIT_DONE) {
        path_of(&request, session_word(session, 0), "run");
        request.body = buf_slice(&body);
        code = recipe_ask(session, &request, &answer, NULL)
                   ? print_started(session, &answer)
                   : recipe_fail(session);
    }
    buf_deinit(&body);
    return code;
}

const struct command recipe_command_run = {
    .name = "run",
    .arguments = "<name> [<argument>=<value> ...]",
    .summary = "call a recipe, with arguments",
    .about = "Any recipe can be called, whatever its triggers are. The "
             "arguments are its\n`args`; values that are JSON are taken as "
             "that. What comes of it, 'runs' says.\n",
    .flags = run_flags,
    .run = run_run,
};
