/* Files and folders of recipes. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "cmd/etchctl/recipe.h"
#include "recipe/recipe.h"

enum { FILES_MAX = 10000 };

/* ---- reading ------------------------------------------------------------- */

static bool fail_path(const char *path, int number)
{
    fprintf(stderr, "Error:  %s: %s\n", path, strerror(number));
    return false;
}

static void add(struct session *session, const char *path, struct slice text,
                struct recipe_files *out)
{
    if (out->count == out->capacity) {
        size_t capacity = out->capacity ? 2 * out->capacity : 16;
        struct recipe_file *files =
            arena_alloc(session->arena, capacity * sizeof(*files));
        if (out->count > 0)
            memcpy(files, out->at, out->count * sizeof(*files));
        out->at = files;
        out->capacity = capacity;
    }
    out->at[out->count++] = (struct recipe_file){.path = path, .text = text};
}

static bool add_file(struct session *session, const char *path,
                     struct recipe_files *out)
{
    /* One byte more than may be: whoever reads it says that it is too large. */
    enum { BYTES_MAX = RECIPE_BYTES_MAX + 1 };
    FILE *file = fopen(path, "rbe");
    char *text;
    size_t size;
    bool failed;

    if (!file)
        return fail_path(path, errno);
    text = arena_alloc(session->arena, BYTES_MAX);
    size = fread(text, 1, BYTES_MAX, file);
    failed = ferror(file);
    fclose(file);
    if (failed)
        return fail_path(path, EIO);
    add(session, path, slice_of(text, size), out);
    return true;
}

/* ---- folders ------------------------------------------------------------- */

static bool is_recipe(const char *name)
{
    static const char *const ends[] = {".yaml", ".yml", ".json"};
    size_t size = strlen(name);

    if (name[0] == '.')
        return false;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        size_t end = strlen(ends[i]);
        if (size > end && strcmp(name + size - end, ends[i]) == 0)
            return true;
    }
    return false;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names of recipes in a folder, in order; -1: errno says why not. */
static int list_folder(struct session *session, const char *path,
                       const char **names)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    int count = 0;

    if (!folder)
        return -1;
    while (count < FILES_MAX && (entry = readdir(folder)) != NULL)
        if (is_recipe(entry->d_name))
            names[count++] = arena_printf(session->arena, "%s", entry->d_name);
    closedir(folder);
    qsort(names, (size_t)count, sizeof(*names), by_bytes);
    return count;
}

static bool add_folder(struct session *session, const char *path,
                       struct recipe_files *out)
{
    const char **names =
        arena_alloc(session->arena, FILES_MAX * sizeof(*names));
    int count = list_folder(session, path, names);
    size_t size = strlen(path);
    const char *between = path[size - 1] == '/' ? "" : "/";
    bool good = count >= 0 || fail_path(path, errno);

    if (count == 0 || count == FILES_MAX) {
        fprintf(stderr, "Error:  %s: %s\n", path,
                count == 0 ? "no *.yaml, *.yml or *.json in it"
                           : "more than 10,000 recipes");
        good = false;
    }
    for (int i = 0; good && i < count; i++)
        good = add_file(
            session,
            arena_printf(session->arena, "%s%s%s", path, between, names[i]),
            out);
    return good;
}

bool recipe_files_add(struct session *session, const char *path,
                      struct recipe_files *out)
{
    struct stat about;

    if (strcmp(path, "-") == 0) {
        add(session, path, recipe_read_stdin(session), out);
        return true;
    }
    if (stat(path, &about) != 0)
        return fail_path(path, errno);
    return S_ISDIR(about.st_mode) ? add_folder(session, path, out)
                                  : add_file(session, path, out);
}

int recipe_files_of(struct session *session, struct recipe_files *out)
{
    const char *path = flags_text(&session->flags, "file");
    bool good = true;

    *out = (struct recipe_files){0};
    if (path[0] == '\0' && session->words.count == 0)
        return session_fail_text(session, EXIT_BAD_ARGUMENTS,
                                 "which file? -f file, -f folder or -f - for "
                                 "stdin");
    if (path[0] != '\0')
        good = recipe_files_add(session, path, out);
    /* What the shell makes of -f recipes/a*.yaml. */
    for (size_t i = 0; good && i < session->words.count; i++)
        good = recipe_files_add(session, session->words.at[i], out);
    return good ? EXIT_DONE : EXIT_BAD_ARGUMENTS;
}

/* ---- their names --------------------------------------------------------- */

static bool begins_as_json(struct slice text)
{
    size_t i = 0;

    while (i < text.size && strchr(" \t\r\n", text.at[i]) && text.at[i])
        i++;
    return i < text.size && text.at[i] == '{';
}

/* "line 3, column 7: ..." of a note, which is told once. */
static void read_note(struct slice note, struct buf *message,
                      struct recipe_place *place)
{
    char text[ERR_NOTE_BYTES_MAX];
    char *at = text;

    snprintf(text, sizeof(text), "%.*s", (int)note.size, note.at);
    if (strncmp(at, "line ", 5) == 0) {
        place->line = strtol(at + 5, &at, 10);
        if (strncmp(at, ", column ", 9) == 0)
            place->column = strtol(at + 9, &at, 10);
        if (strncmp(at, ": ", 2) == 0)
            at += 2;
    }
    buf_append_str(message, at);
}

bool recipe_file_name(struct arena *arena, const struct recipe_file *file,
                      struct slice *name, struct buf *message,
                      struct recipe_place *place)
{
    struct doc_value *doc = NULL;
    enum err err =
        begins_as_json(file->text)
            ? doc_parse_json(arena, file->text, &doc_limits_default, &doc)
            : doc_parse_yaml(arena, file->text, &doc_limits_default, &doc);
    const struct doc_value *value;

    *place = (struct recipe_place){0};
    if (err != ERR_OK) {
        read_note(slice_str(err_note()), message, place);
        return false;
    }
    value = doc_get(doc, "name");
    if (value && value->kind == DOC_STRING &&
        recipe_name_is_valid(value->text)) {
        *name = value->text;
        return true;
    }
    value = value ? value : doc;
    place->line = value->line;
    place->column = value->column;
    buf_append_str(message, "name: write one of small letters, digits, '.', "
                            "'_' and '-', name: disk-full");
    return false;
}

void recipe_file_place(const char *path, const struct recipe_place *place,
                       struct slice message, struct buf *out)
{
    buf_append_str(out, strcmp(path, "-") == 0 ? "stdin" : path);
    if (place->line > 0)
        buf_printf(out, ":%lld:%lld", (long long)place->line,
                   (long long)place->column);
    buf_append_str(out, ": ");
    if (place->path.size > 0) {
        buf_append_slice(out, place->path);
        buf_append_str(out, ": ");
    }
    buf_append_slice(out, message);
}
