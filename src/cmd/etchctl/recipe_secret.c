/* recipe secret: put, list, delete. What one is, nobody is told. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/etchctl/password.h"
#include "cmd/etchctl/recipe.h"

static void path_of(struct recipe_request *request, const char *name)
{
    recipe_path_add(&request->path, SLICE("secrets"));
    if (name)
        recipe_path_add(&request->path, slice_str(name));
}

static int finish(struct session *session, struct recipe_request *request,
                  const char *name, const char *done)
{
    struct recipe_answer answer;
    struct buf text = {0};

    if (!recipe_ask(session, request, &answer, NULL))
        return recipe_fail(session);
    if (recipe_wants_json(session))
        return recipe_print_json(answer.body);
    buf_printf(&text, "secret %s %s\n", name, done);
    return recipe_print(&text);
}

/* ---- put ----------------------------------------------------------------- */

/* From the command line, from the terminal without showing it, or all of
 * stdin but a last line's end, which `echo` puts there. */
static struct slice read_text(struct session *session, const char *word)
{
    struct slice text;
    char *asked;

    if (word && strcmp(word, "-") != 0)
        return slice_str(word);
    if (!word && isatty(STDIN_FILENO)) {
        asked = password_ask("Secret: ");
        text = slice_str(arena_printf(session->arena, "%s", asked));
        password_free(asked);
        return text;
    }
    text = recipe_read_stdin(session);
    if (text.size > 0 && text.at[text.size - 1] == '\n')
        text.size--;
    return text;
}

static int run_put(struct session *session)
{
    struct recipe_request request = {.method = "PUT",
                                     .has_body = true,
                                     .content_type =
                                         "application/octet-stream"};
    const char *name = session_word(session, 1);

    if (session->words.count < 2 || session->words.count > 3)
        return session_fail_text(session, EXIT_BAD_ARGUMENTS,
                                 "secret put <name> [<text>|-]");
    request.body = read_text(session, session_word(session, 2));
    if (request.body.size == 0)
        return session_fail_text(session, EXIT_BAD_ARGUMENTS,
                                 "an empty secret is none");
    path_of(&request, name);
    return finish(session, &request, name, "is kept");
}

/* ---- list, delete -------------------------------------------------------- */

/* All pages: as JSON each on a line of its own. */
static int run_list(struct session *session)
{
    struct recipe_answer answer;
    struct buf text = {0};
    const char *after = "";
    int code = EXIT_DONE;

    while (code == EXIT_DONE && after != NULL) {
        struct recipe_request request = {.method = "GET"};
        const struct doc_value *names;
        path_of(&request, NULL);
        recipe_path_field(&request.path, "after", after);
        if (!recipe_ask(session, &request, &answer, NULL))
            return recipe_fail(session);
        names = recipe_list(answer.json, "secrets");
        for (size_t i = 0; i < names->count; i++) {
            recipe_plain(&text, names->items[i]->text);
            buf_append_char(&text, '\n');
        }
        if (recipe_wants_json(session)) {
            buf_reset(&text);
            buf_append_slice(&text, answer.body);
            buf_append_char(&text, '\n');
        }
        code = recipe_print(&text);
        after = recipe_next(session, answer.json);
    }
    return code;
}

static int run_delete(struct session *session)
{
    struct recipe_request request = {.method = "DELETE"};
    const char *name = session_word(session, 1);

    if (session->words.count != 2)
        return session_fail_text(session, EXIT_BAD_ARGUMENTS,
                                 "secret delete <name>");
    path_of(&request, name);
    return finish(session, &request, name, "is deleted");
}

static const struct {
    const char *name;
    int (*run)(struct session *session);
} verbs[] = {
    {"put", run_put},
    {"list", run_list},
    {"delete", run_delete},
};

static int run(struct session *session)
{
    int code = recipe_check_words(session, 1, 3);

    for (size_t i = 0; code == EXIT_DONE && i < sizeof(verbs) / sizeof(*verbs);
         i++) {
        if (strcmp(session_word(session, 0), verbs[i].name) != 0)
            continue;
        code = session_connect(session, false);
        return code == EXIT_DONE ? verbs[i].run(session) : code;
    }
    /* Says how. */
    return code == EXIT_DONE ? recipe_check_words(session, SIZE_MAX, 0) : code;
}

const struct command recipe_command_secret = {
    .name = "secret",
    .arguments = "put <name> [<text>|-] | list | delete <name>",
    .summary = "keep a secret for secret('name'), list their names, delete one",
    .about = "Without the text, put reads it from stdin, or asks for it at a "
             "terminal: on the\ncommand line others may see it. A last line's "
             "end is no part of it.\n",
    .run = run,
};
