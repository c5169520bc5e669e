/* recipe dead, retry: actions outside that were given up. */
#include <stdio.h>
#include <string.h>

#include "cmd/etchctl/recipe.h"

/* ---- dead ---------------------------------------------------------------- */

static const struct flag_spec dead_flags[] = {
    {.name = "limit",
     .kind = FLAG_STRING,
     .value = "number",
     .about = "at most so many (default 100)"},
    {.name = "after",
     .kind = FLAG_STRING,
     .value = "place",
     .about = "those behind this one: the next page"},
    {.name = "drop", .about = "forget the one that is named"},
    {0},
};

static void path_of(struct recipe_request *request, const char *name,
                    const char *id)
{
    recipe_path_add(&request->path, SLICE("dead"));
    if (name)
        recipe_path_add(&request->path, slice_str(name));
    if (id)
        recipe_path_add(&request->path, slice_str(id));
}

static int print_dead(struct session *session,
                      const struct recipe_answer *answer)
{
    static const char *const heads[] = {"TIME",  "RECIPE", "ID", "KIND",
                                        "TRIES", "ERROR",  NULL};
    static const char *const names[] = {"time", "recipe",   "id",
                                        "kind", "attempts", "error"};
    const struct doc_value *dead = recipe_list(answer->json, "dead");
    struct slice next = v2_text_of(answer->json, "next");
    struct recipe_table table;
    struct buf text = {0};

    if (recipe_wants_json(session))
        return recipe_print_json(answer->body);
    recipe_table_init(&table, session->arena, heads);
    for (size_t i = 0; i < dead->count; i++)
        for (size_t j = 0; j < sizeof(names) / sizeof(names[0]); j++)
            recipe_table_add(
                &table, recipe_cell(session->arena, dead->items[i], names[j]));
    recipe_table_write(&table, &text);
    if (next.size > 0)
        buf_printf(&text, "(there are more: --after %.*s)\n", (int)next.size,
                   next.at);
    return recipe_print(&text);
}

/* What a request about one of them came to, in a line. */
static int finish_one(struct session *session, struct recipe_request *request,
                      const char *done)
{
    struct recipe_answer answer;
    struct buf text = {0};

    if (!recipe_ask(session, request, &answer, NULL))
        return recipe_fail(session);
    if (recipe_wants_json(session))
        return recipe_print_json(answer.body);
    buf_printf(&text, "%s %s %s\n", session_word(session, 0),
               session_word(session, 1), done);
    return recipe_print(&text);
}

static int run_dead(struct session *session)
{
    bool drops = flags_bool(&session->flags, "drop");
    struct recipe_request request = {.method = drops ? "DELETE" : "GET"};
    struct recipe_answer answer;
    int code = recipe_begin(session, drops ? 2 : 0, drops ? 2 : 1);

    if (code != EXIT_DONE)
        return code;
    if (drops) {
        path_of(&request, session_word(session, 0), session_word(session, 1));
        return finish_one(session, &request, "dropped");
    }
    path_of(&request, NULL, NULL);
    recipe_path_field(&request.path, "recipe", session_word(session, 0));
    recipe_path_field(&request.path, "limit",
                      flags_text(&session->flags, "limit"));
    recipe_path_field(&request.path, "after",
                      flags_text(&session->flags, "after"));
    if (!recipe_ask(session, &request, &answer, NULL))
        return recipe_fail(session);
    return print_dead(session, &answer);
}

const struct command recipe_command_dead = {
    .name = "dead",
    .arguments = "[<name> [<id> --drop]]",
    .summary = "list actions outside that were given up: dead letters",
    .about = "'retry' tries them again.\n",
    .flags = dead_flags,
    .run = run_dead,
};

/* ---- retry --------------------------------------------------------------- */

static const struct flag_spec retry_flags[] = {
    {.name = "all",
     .about = "all of the recipe; without a name, all there are"},
    {0},
};

static int retry_all(struct session *session)
{
    struct recipe_request request = {.method = "POST", .has_body = true};
    struct recipe_answer answer;
    struct buf text = {0};

    path_of(&request, "retry", NULL);
    recipe_path_field(&request.path, "recipe", session_word(session, 0));
    if (!recipe_ask(session, &request, &answer, NULL))
        return recipe_fail(session);
    if (recipe_wants_json(session))
        return recipe_print_json(answer.body);
    buf_printf(&text, "%lld are tried again\n",
               (long long)recipe_number(answer.json, "retried"));
    return recipe_print(&text);
}

static int run_retry(struct session *session)
{
    bool all = flags_bool(&session->flags, "all");
    struct recipe_request request = {.method = "POST", .has_body = true};
    int code = recipe_begin(session, all ? 0 : 2, all ? 1 : 2);

    if (code != EXIT_DONE)
        return code;
    if (all)
        return retry_all(session);
    path_of(&request, session_word(session, 0), session_word(session, 1));
    recipe_path_add(&request.path, SLICE("retry"));
    return finish_one(session, &request, "is tried again");
}

const struct command recipe_command_retry = {
    .name = "retry",
    .arguments = "<name> <id> | [<name>] --all",
    .summary = "try dead letters again",
    .about = "The id is the one that 'dead' shows.\n",
    .flags = retry_flags,
    .run = run_retry,
};
