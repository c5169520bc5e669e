/* recipe ...: what its commands share.
 *
 *   recipe.c           the group
 *   recipe_ask.c       a request of /recipes/v1/, its answer and its error
 *   recipe_text.c      tables, and documents as YAML, for people
 *   recipe_files.c     files and folders of recipes
 *   recipe_defs.c      list, get, delete, run, pause, resume
 *   recipe_apply.c     apply
 *   recipe_try.c       test
 *   recipe_runs.c      runs
 *   recipe_stream.c    server-sent events, taken apart
 *   recipe_why.c       explain, backtest
 *   recipe_dead.c      dead, retry
 *   recipe_secret.c    secret
 *
 * They stand among the commands of the v2 API, whose HTTP client and flags they
 * use, but need no version to be chosen.
 */
#ifndef ETCHED_CMD_ETCHCTL_RECIPE_H
#define ETCHED_CMD_ETCHCTL_RECIPE_H

#include "cmd/etchctl/session.h"
#include "doc/doc.h"

/* ---- asking -------------------------------------------------------------- */

struct recipe_request {
    const char *method;
    struct buf path; /* after "/recipes/v1/", by recipe_path_*; freed */
    struct slice body;
    bool has_body;
    const char *content_type; /* NULL: application/json */
    const char *if_match;     /* NULL: none */
    bool is_one_shot;
    bool is_long; /* may take its time: neither time-out holds */
};
struct recipe_answer {
    int status;
    struct slice body;            /* the arena's */
    const struct doc_value *json; /* never NULL */
};

/* "/segment", escaped; then "?name=value", "&name=value" (nothing where the
 * text is empty). */
void recipe_path_add(struct buf *path, struct slice segment);
void recipe_path_field(struct buf *path, const char *name, const char *text);

/* Where in a document: " (line 3, column 7, if[0].key)"; of an error's "at". */
struct recipe_place {
    int64_t line; /* 0: not known */
    int64_t column;
    struct slice path; /* empty: not known */
};
/* Sends it. False: session->failure says why, and *place (may be NULL) where,
 * if it was the document's fault; recipe_is_refused then. */
bool recipe_ask(struct session *session, struct recipe_request *request,
                struct recipe_answer *out, struct recipe_place *place) MUST_USE;
/* Where the next page of a list begins, NULL: that was the last one. */
const char *recipe_next(struct session *session, const struct doc_value *json);
/* The last failure was the server's answer, and not a failure to ask. */
bool recipe_is_refused(const struct session *session);
/* Says the failure, and returns the exit code for it. */
int recipe_fail(const struct session *session);

/* What stands in an answer's "error": false where it isn't one. */
bool recipe_read_error(const struct doc_value *json, struct buf *message,
                       struct recipe_place *place);

/* ---- beginning and ending ------------------------------------------------ */

/* Checks the count of words and connects. Returns EXIT_DONE, or the exit code
 * where it said why not. */
int recipe_begin(struct session *session, size_t words_min, size_t words_max);
int recipe_check_words(const struct session *session, size_t words_min,
                       size_t words_max);
bool recipe_wants_json(const struct session *session);
/* The answer as it came, with a line's end. */
int recipe_print_json(struct slice body);
/* Writes to stdout at once, and empties it. */
int recipe_print(struct buf *text);
/* All of stdin. Owns: the arena. */
struct slice recipe_read_stdin(struct session *session);

/* ---- for people (pure) --------------------------------------------------- */

enum { RECIPE_COLUMNS_MAX = 8 };

/* Left-aligned columns, the last one open. Owns: cells live in the arena. */
struct recipe_table {
    struct arena *arena;
    const char *const *heads; /* ends with a NULL */
    size_t columns;
    struct slice *cells;
    size_t count;
    size_t capacity;
};
void recipe_table_init(struct recipe_table *table, struct arena *arena,
                       const char *const *heads);
/* The next cell; what a terminal would obey is taken out. */
void recipe_table_add(struct recipe_table *table, struct slice text);
void recipe_table_write(const struct recipe_table *table, struct buf *out);
/* A member as the text of a cell: "" where there is none, maps "a=b,c=d". */
struct slice recipe_cell(struct arena *arena, const struct doc_value *map,
                         const char *name);
/* Text for a terminal, on one line. */
void recipe_plain(struct buf *out, struct slice text);
/* As a YAML document that reads back to the same value; and on one line,
 * without its end. */
void recipe_yaml(struct buf *out, const struct doc_value *value);
void recipe_flow(struct buf *out, const struct doc_value *value);
/* The list of that name, or an empty one. */
const struct doc_value *recipe_list(const struct doc_value *map,
                                    const char *name);
int64_t recipe_number(const struct doc_value *map, const char *name);
/* {"a": "b"} into `out`, which ends in '{' or a member. */
void recipe_json_text(struct buf *out, const char *name, struct slice text);

/* ---- files --------------------------------------------------------------- */

struct recipe_file {
    const char *path; /* "-" for stdin */
    struct slice text;
};
struct recipe_files {
    struct recipe_file *at;
    size_t count;
    size_t capacity;
};
/* Appends a file, the *.yaml, *.yml and *.json of a folder in the order of
 * their names, or "-" for stdin. False: it said why on stderr. */
bool recipe_files_add(struct session *session, const char *path,
                      struct recipe_files *out) MUST_USE;
/* Those of --file and of the words. Returns EXIT_DONE or the exit code. */
int recipe_files_of(struct session *session, struct recipe_files *out);
/* The document's name. False: it has none that can be read; `message` and
 * `place` say why. */
bool recipe_file_name(struct arena *arena, const struct recipe_file *file,
                      struct slice *name, struct buf *message,
                      struct recipe_place *place) MUST_USE;
/* "recipes/a.yaml:3:7: if[0].key: ..." */
void recipe_file_place(const char *path, const struct recipe_place *place,
                       struct slice message, struct buf *out);

/* ---- server-sent events (pure) ------------------------------------------- */

struct recipe_stream {
    struct buf line;
    struct buf event;
    struct buf data;
    /* False ends it. */
    bool (*on_event)(void *context, struct slice event, struct slice data);
    void *context;
};
void recipe_stream_deinit(struct recipe_stream *stream);
/* The next bytes. False: on_event said so, or a line is too long. */
bool recipe_stream_take(struct recipe_stream *stream, struct slice piece);

/* ---- the commands -------------------------------------------------------- */

extern const struct command recipe_command_apply;
extern const struct command recipe_command_get;
extern const struct command recipe_command_list;
extern const struct command recipe_command_delete;
extern const struct command recipe_command_run;
extern const struct command recipe_command_pause;
extern const struct command recipe_command_resume;
extern const struct command recipe_command_runs;
extern const struct command recipe_command_explain;
extern const struct command recipe_command_backtest;
extern const struct command recipe_command_test;
extern const struct command recipe_command_dead;
extern const struct command recipe_command_retry;
extern const struct command recipe_command_secret;

#endif
