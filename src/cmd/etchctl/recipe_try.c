/* recipe test: the tests that stand in documents, without a server. */
#include <stdio.h>

#include "cmd/etchctl/recipe.h"
#include "host/zones_posix.h"
#include "recipe/test.h"

static const struct flag_spec flags[] = {
    {.name = "file",
     .letter = 'f',
     .kind = FLAG_STRING,
     .value = "file",
     .about = "a file, a folder (its *.yaml, *.yml and *.json), or - for "
              "stdin"},
    {0},
};

/* What the tests of one file came to. */
struct tried {
    const struct recipe_file *file;
    struct slice name;
    struct recipe_test_result result;
    bool is_refused;
    struct recipe_place place;
    struct buf lines; /* why, each with its end; of a refused one: why */
};

static void try_file(struct session *session, const struct zones *zones,
                     struct tried *tried)
{
    struct recipe_fault fault = {0};
    struct recipe *recipe = NULL;

    if (recipe_parse(tried->file->text, zones, &recipe, &fault) != ERR_OK) {
        tried->is_refused = true;
        tried->result.failed = 1;
        tried->place = (struct recipe_place){
            .line = fault.line,
            .column = fault.column,
            .path = slice_str(arena_printf(session->arena, "%s", fault.path))};
        buf_append_str(&tried->lines, fault.text[0] ? fault.text : err_note());
        return;
    }
    tried->name =
        slice_of(arena_dup(session->arena, recipe->name.at, recipe->name.size),
                 recipe->name.size);
    tried->result = recipe_test(recipe, zones, &tried->lines);
    recipe_free(recipe);
}

/* ---- saying it ----------------------------------------------------------- */

/* The next line, without its end. */
static bool next_line(struct slice *rest, struct slice *line)
{
    ptrdiff_t end = slice_find(*rest, '\n');

    if (rest->size == 0)
        return false;
    line->at = rest->at;
    line->size = end < 0 ? rest->size : (size_t)end;
    rest->at += line->size + (end >= 0);
    rest->size -= line->size + (end >= 0);
    return true;
}

static void write_text(const struct tried *tried, struct buf *out)
{
    struct slice rest = buf_slice(&tried->lines);
    struct slice line;

    if (tried->is_refused) {
        recipe_file_place(tried->file->path, &tried->place, rest, out);
        buf_append_char(out, '\n');
        return;
    }
    while (next_line(&rest, &line)) {
        buf_printf(out, "%s: %.*s: ", tried->file->path, (int)tried->name.size,
                   tried->name.at);
        recipe_plain(out, line);
        buf_append_char(out, '\n');
    }
    if (tried->result.passed + tried->result.failed == 0)
        buf_printf(out, "%s: %.*s has no tests\n", tried->file->path,
                   (int)tried->name.size, tried->name.at);
}

static void write_json(const struct tried *tried, struct buf *out)
{
    struct slice rest = buf_slice(&tried->lines);
    struct slice line;
    struct buf place = {0};

    buf_append_char(out, '{');
    recipe_json_text(out, "file", slice_str(tried->file->path));
    recipe_json_text(out, "name", tried->name);
    buf_printf(out, ",\"passed\":%zu,\"failed\":%zu,\"failures\":[",
               tried->result.passed, tried->result.failed);
    if (tried->is_refused)
        recipe_file_place(tried->file->path, &tried->place, rest, &place);
    rest = tried->is_refused ? buf_slice(&place) : rest;
    while (next_line(&rest, &line)) {
        struct buf quoted = {0};
        recipe_json_text(&quoted, "", line);
        if (out->at[out->size - 1] != '[')
            buf_append_char(out, ',');
        buf_append(out, quoted.at + 3, quoted.size - 3);
        buf_deinit(&quoted);
    }
    buf_append_str(out, "]}");
    buf_deinit(&place);
}

static int print(struct session *session, const struct tried *all, size_t count)
{
    struct buf text = {0};
    struct recipe_test_result sum = {0};
    int code;

    if (recipe_wants_json(session))
        buf_append_str(&text, "{\"results\":[");
    for (size_t i = 0; i < count; i++) {
        sum.passed += all[i].result.passed;
        sum.failed += all[i].result.failed;
        if (!recipe_wants_json(session)) {
            write_text(&all[i], &text);
            continue;
        }
        buf_append_str(&text, i > 0 ? "," : "");
        write_json(&all[i], &text);
    }
    if (recipe_wants_json(session))
        buf_printf(&text, "],\"passed\":%zu,\"failed\":%zu}\n", sum.passed,
                   sum.failed);
    else
        buf_printf(&text, "%zu passed, %zu failed\n", sum.passed, sum.failed);
    code = recipe_print(&text);
    return sum.failed > 0 ? EXIT_BAD_ARGUMENTS : code;
}

static int run(struct session *session)
{
    struct recipe_files files;
    struct tried *all;
    struct zones *zones;
    int code = recipe_files_of(session, &files);

    if (code != EXIT_DONE)
        return code;
    zones = zones_posix_new(ZONES_FOLDER);
    all = arena_alloc(session->arena, (files.count + 1) * sizeof(*all));
    for (size_t i = 0; i < files.count; i++) {
        all[i] = (struct tried){.file = &files.at[i]};
        try_file(session, zones, &all[i]);
    }
    code = print(session, all, files.count);
    for (size_t i = 0; i < files.count; i++)
        buf_deinit(&all[i].lines);
    zones_posix_free(zones);
    return code;
}

const struct command recipe_command_test = {
    .name = "test",
    .arguments = "-f <file>|<folder>|-",
    .summary = "run the tests that stand in recipes, without a server",
    .about = "Ends in 'N passed, N failed', with exit code 1 where one failed "
             "or a recipe is\nwrong.\n",
    .flags = flags,
    .run = run,
};
