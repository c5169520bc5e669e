/* What the files that read a document share.
 *
 *   document.c   the whole: recipe_parse, and what isn't below
 *   triggers.c   `if`              trigger_fields.c  what each kind has
 *   actions.c    `then`, txn       outside.c  http, email, exec
 *   form.c       JSON with templates
 *   names.c      ingredients; compiling expressions and templates
 *   writes.c     what actions may write, and whom that feeds
 *   examples.c   `tests`, in form
 *   canonical.c  the document as it is stored
 *   reader.c     maps by their fields; where and why not; scalars.c  values
 *
 * The first fault counts: after it everything goes on without effect, so that
 * nobody has to ask after each step. What a handler reads may then be missing.
 */
#ifndef ETCHED_RECIPE_RECIPE_INT_H
#define ETCHED_RECIPE_RECIPE_INT_H

#include "recipe/pattern_int.h"
#include "recipe/recipe.h"

enum {
    RECIPE_LETS_MAX = 64,
    RECIPE_WHERE_MAX = 32,
    /* `then` and `on_failure`, and what stands in their txns. */
    RECIPE_IDS_MAX = 2 * RECIPE_ACTIONS_MAX,
};

/* What an expression may use at its place, beside `recipe` and `labels`. */
enum scope {
    SCOPE_EVENT = 1, /* key, value, .., captures, lets */
    SCOPE_STEPS = 2,
    SCOPE_ERROR = 4,
    SCOPE_STORE = 8, /* get(), exists(), count() */
    SCOPE_SECRET = 16,
    SCOPE_ITEM = 32, /* outside of an event: */
    SCOPE_BODY = 64,
    SCOPE_HEADERS = 128,
    SCOPE_NO_LETS = 256, /* a trigger: it decides whether there is an event */
};

struct reader {
    struct recipe *recipe;
    struct arena *arena; /* the recipe's */
    const struct zones *zones;
    struct slice text; /* of the document */
    const struct recipe_given *given;
    struct recipe_fault *fault;
    enum err err; /* of the first fault */
    char path[sizeof((struct recipe_fault *)0)->path];
    size_t path_size;
    const struct doc_value *document;
    unsigned trigger_kinds;           /* bits, 1 << enum trigger_kind */
    size_t lets_known;                /* so many may be used at this place */
    uint64_t secret_lets;             /* bits: those with a secret in them */
    unsigned scope;                   /* of the actions at hand */
    struct slice ids[RECIPE_IDS_MAX]; /* of the actions so far */
    size_t id_count;
    const char *id_prefix; /* of those without one: "", "f" */
};

/* ---- faults, and where they are ----------------------------------------- */

void reader__fail(struct reader *reader, const struct doc_value *at,
                  const char *format, ...) PRINTF_LIKE(3, 4);
void reader__fail_at(struct reader *reader, int line, int column,
                     const char *format, ...) PRINTF_LIKE(4, 5);
/* In the text of a scalar, at a byte of it. */
void reader__fail_inside(struct reader *reader, const struct doc_value *at,
                         size_t offset, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* The path grows; what is returned takes it back. */
size_t reader__enter(struct reader *reader, struct slice name);
size_t reader__enter_item(struct reader *reader, size_t index);
void reader__leave(struct reader *reader, size_t mark);
/* At most 48 bytes of it, for "%.*s" in messages. */
#define SHOWN(text) (int)((text).size < 48 ? (text).size : 48), (text).at

/* The one of `names` that was meant, or NULL. */
const char *suggest__near(struct slice wanted, const char *const *names,
                          size_t count);

/* ---- maps --------------------------------------------------------------- */

struct schema;
struct field {
    const char *name;
    /* NULL: nothing to do, others look at it. */
    void (*read)(struct reader *reader, const struct doc_value *value,
                 void *into);
    const char *needed;          /* it can't be left out: what to write */
    unsigned with;               /* bits of the kinds that have it; 0: all */
    const char *standard;        /* JSON: what it is where it's left out */
    const struct schema *inside; /* of its map, or of its list's maps */
    bool is_list;                /* one value stands for a list of it */
};
struct schema {
    const char *what; /* "a trigger" */
    const struct field *fields;
    size_t count;
    size_t kind_first; /* fields that say of what kind it is, in order */
    size_t kind_count;
    const char *const *later; /* kinds that are known and not there yet */
};
#define SCHEMA_FIELDS(list) \
    .fields = (list), .count = sizeof(list) / sizeof((list)[0])

/* Reads its fields in the schema's order. `kind` is what reader__kind said, or
 * 0. */
void reader__map(struct reader *reader, const struct doc_value *map,
                 const struct schema *schema, unsigned kind, void *into);
/* Which of the kinds it is; -1: failed. */
int reader__kind(struct reader *reader, const struct doc_value *map,
                 const struct schema *schema);
/* The items; one value that is no list is a list of itself. */
struct items {
    struct doc_value *const *list;
    size_t count;
    struct doc_value *one;
};
void reader__items(struct reader *reader, const struct doc_value *value,
                   size_t max, struct items *out);

/* ---- scalars; each false and a fault where it isn't one ----------------- */

bool reader__string(struct reader *reader, const struct doc_value *value,
                    struct slice *out);
bool reader__bool(struct reader *reader, const struct doc_value *value,
                  bool *out);
bool reader__count(struct reader *reader, const struct doc_value *value,
                   int64_t min, int64_t max, int64_t *out);
bool reader__number(struct reader *reader, const struct doc_value *value,
                    double *out);
/* At least `min_ns`. */
bool reader__duration(struct reader *reader, const struct doc_value *value,
                      int64_t min_ns, int64_t *out);
/* The place of the word among `words`. */
bool reader__choice(struct reader *reader, const struct doc_value *value,
                    const char *const *words, size_t count, size_t *out);
bool reader__recipe_name(struct reader *reader, const struct doc_value *value,
                         struct slice *out);
/* "a, b, c" in the arena. */
const char *reader__list(struct reader *reader, const char *const *words,
                         size_t count);

static const int64_t second_ns = 1000000000;
static const int64_t minute_ns = 60 * second_ns;
static const int64_t hour_ns = 60 * minute_ns;
static const int64_t day_ns = 24 * hour_ns;

/* ---- parts of the document ---------------------------------------------- */

extern const struct schema document__schema;
extern const struct schema triggers__schema;
extern const struct schema actions__schema;
extern const struct schema outside__http;
extern const struct schema outside__email;
extern const struct schema outside__exec;

/* Kinds and patterns, so that the captures are known; then all the rest. */
void triggers__read_patterns(struct reader *reader,
                             const struct doc_value *value);
void triggers__read(struct reader *reader, const struct doc_value *value);

/* The table of names: ingredients, captures, lets. */
void names__build(struct reader *reader, const struct doc_value *lets);
/* Notes whether the let that was just compiled has a secret in it, its own or
 * that of an earlier one. */
void names__note_secret(struct reader *reader, size_t let);
/* The slot of a name, or SIZE_MAX. */
size_t names__find(const struct reader *reader, struct slice name);
struct expr *names__expr(struct reader *reader, const struct doc_value *value,
                         unsigned scope);
/* One that gives true or false. */
struct expr *names__condition(struct reader *reader,
                              const struct doc_value *value, unsigned scope);
struct template *names__template(struct reader *reader,
                                 const struct doc_value *value, unsigned scope);
/* The text of expression or template; the document's, or in the arena. */
bool names__text(struct reader *reader, const struct doc_value *value,
                 struct slice *out);
/* The next {{ }} of a template's text at or after `from`, and what is behind
 * it; false: none. */
bool names__next_hole(struct slice text, size_t from, struct slice *hole,
                      size_t *end);

struct form *form__read(struct reader *reader, const struct doc_value *value,
                        unsigned scope);
/* A list of strings, or one. */
struct form *form__read_strings(struct reader *reader,
                                const struct doc_value *value, unsigned scope);

void actions__read(struct reader *reader, const struct doc_value *value,
                   struct action **out, size_t *count);
/* True where the template's text may still begin with one of `schemes` (the
 * last one is NULL). */
bool outside__may_begin(const struct template *template,
                        const char *const *schemes);
/* Gives a field of an action to its handler. */
void outside__read_http(struct reader *reader, const struct doc_value *value,
                        void *into);
void outside__read_email(struct reader *reader, const struct doc_value *value,
                         void *into);
void outside__read_exec(struct reader *reader, const struct doc_value *value,
                        void *into);

/* The shape of a key's template, to action->writes; refuses what feeds one of
 * the recipe's own triggers. `at` is the key in the document. */
void writes__read(struct reader *reader, const struct doc_value *at,
                  struct action *action);

void examples__check(struct reader *reader, const struct doc_value *value);

void canonical__write(struct buf *out, const struct doc_value *document);

#endif
