/* recipe apply: files and folders of recipes, saved. */
#include <stdio.h>
#include <string.h>

#include "cmd/etchctl/recipe.h"
#include "recipe/recipe.h"

static const struct flag_spec flags[] = {
    {.name = "file",
     .letter = 'f',
     .kind = FLAG_STRING,
     .value = "file",
     .about = "a file, a folder (its *.yaml, *.yml and *.json), or - for "
              "stdin"},
    {.name = "dry-run", .about = "say what would be done, and do nothing"},
    {.name = "if-version",
     .kind = FLAG_STRING,
     .value = "number",
     .about = "only where the recipe has this version"},
    {0},
};

enum result { CREATED, UPDATED, UNCHANGED, REFUSED };
static const char *const result_texts[] = {"created", "updated", "unchanged",
                                           "refused"};

/* What became of one file. */
struct applied {
    const struct recipe_file *file;
    struct slice name; /* empty: not known */
    enum result result;
    int64_t version;
    struct buf message;
    struct recipe_place place;
};

static bool is_true(const struct doc_value *map, const char *name)
{
    const struct doc_value *value = doc_get(map, name);

    return value && value->kind == DOC_BOOL && value->boolean;
}

static void take_answer(struct applied *applied, bool is_dry,
                        const struct doc_value *json)
{
    applied->version = recipe_number(json, "version");
    if (is_true(json, "created") || (is_dry && applied->version == 0))
        applied->result = CREATED;
    else
        applied->result = is_true(json, "changed") ? UPDATED : UNCHANGED;
}

/* False where it couldn't be asked: the others can't be, either. */
static bool apply(struct session *session, struct applied *applied)
{
    bool is_dry = flags_bool(&session->flags, "dry-run");
    const char *version = flags_text(&session->flags, "if-version");
    struct recipe_request request = {
        .method = "PUT",
        .body = applied->file->text,
        .has_body = true,
        .content_type = "application/yaml",
        .if_match = version[0] ? version : NULL,
    };
    struct recipe_answer answer;

    applied->result = REFUSED;
    if (!recipe_file_name(session->arena, applied->file, &applied->name,
                          &applied->message, &applied->place))
        return true;
    recipe_path_add(&request.path, SLICE("defs"));
    recipe_path_add(&request.path, applied->name);
    if (is_dry)
        recipe_path_field(&request.path, "dry_run", "true");
    if (recipe_ask(session, &request, &answer, &applied->place)) {
        take_answer(applied, is_dry, answer.json);
        return true;
    }
    buf_append_slice(&applied->message, buf_slice(&session->failure.text));
    return recipe_is_refused(session);
}

/* ---- saying it ----------------------------------------------------------- */

static void write_json(const struct applied *all, size_t count, struct buf *out)
{
    buf_append_str(out, "{\"results\":[");
    for (size_t i = 0; i < count; i++) {
        const struct applied *one = &all[i];
        buf_append_str(out, i > 0 ? ",{" : "{");
        recipe_json_text(out, "file", slice_str(one->file->path));
        recipe_json_text(out, "name", one->name);
        recipe_json_text(out, "result", slice_str(result_texts[one->result]));
        if (one->result != REFUSED)
            buf_printf(out, ",\"version\":%lld", (long long)one->version);
        else
            recipe_json_text(out, "message", buf_slice(&one->message));
        if (one->place.line > 0)
            buf_printf(out, ",\"at\":{\"line\":%lld,\"column\":%lld}",
                       (long long)one->place.line,
                       (long long)one->place.column);
        buf_append_char(out, '}');
    }
    buf_append_str(out, "]}\n");
}

static void write_table(struct arena *arena, const struct applied *all,
                        size_t count, bool is_dry, struct buf *out)
{
    static const char *const heads[] = {"RESULT", "RECIPE", "VERSION", "FILE",
                                        NULL};
    struct recipe_table table;

    recipe_table_init(&table, arena, heads);
    for (size_t i = 0; i < count; i++) {
        const struct applied *one = &all[i];
        struct buf file = {0};
        const char *result = result_texts[one->result];
        if (is_dry && (one->result == CREATED || one->result == UPDATED))
            result = arena_printf(arena, "would be %s", result);
        recipe_table_add(&table, slice_str(result));
        recipe_table_add(&table, one->name);
        recipe_table_add(&table,
                         one->version > 0
                             ? slice_str(arena_printf(arena, "%lld",
                                                      (long long)one->version))
                             : SLICE(""));
        if (one->result == REFUSED)
            recipe_file_place(one->file->path, &one->place,
                              buf_slice(&one->message), &file);
        else
            buf_append_str(&file, one->file->path);
        recipe_table_add(&table, buf_slice(&file));
        buf_deinit(&file);
    }
    recipe_table_write(&table, out);
}

static int finish(struct session *session, struct applied *all, size_t count,
                  int code)
{
    struct buf text = {0};
    int printed;

    if (recipe_wants_json(session))
        write_json(all, count, &text);
    else if (count > 0)
        write_table(session->arena, all, count,
                    flags_bool(&session->flags, "dry-run"), &text);
    printed = recipe_print(&text);
    for (size_t i = 0; i < count; i++)
        if (code == EXIT_DONE && all[i].result == REFUSED)
            code = EXIT_SERVER_ERROR;
    return code == EXIT_DONE ? printed : code;
}

static int run(struct session *session)
{
    struct recipe_files files;
    struct applied *all;
    size_t count = 0;
    int code = recipe_files_of(session, &files);

    if (code == EXIT_DONE)
        code = session_connect(session, false);
    if (code != EXIT_DONE)
        return code;
    all = arena_alloc(session->arena, (files.count + 1) * sizeof(*all));
    for (size_t i = 0; i < files.count && code == EXIT_DONE; i++) {
        all[count] = (struct applied){.file = &files.at[i]};
        if (apply(session, &all[count++]))
            continue;
        code = recipe_fail(session);
        buf_deinit(&all[--count].message);
    }
    code = finish(session, all, count, code);
    for (size_t i = 0; i < count; i++)
        buf_deinit(&all[i].message);
    return code;
}

const struct command recipe_command_apply = {
    .name = "apply",
    .arguments = "-f <file>|<folder>|-",
    .summary = "save recipes: make those that are new, change the others",
    .about = "Says for each file what became of it, and for one that is "
             "refused where and why.\nThe others are saved all the same; the "
             "exit code is 4 then.\n",
    .flags = flags,
    .run = run,
};
