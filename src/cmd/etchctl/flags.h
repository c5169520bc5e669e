/* Flags of a command line, as Go's `flag` package and urfave/cli read them,
 * since that is what etcdctl's users have in their fingers:
 *
 *   one dash or two; "--ttl 5" and "--ttl=5"; a boolean takes a value only
 *   after '='; "--" ends the flags; "-" alone is a word.
 *
 * Flags may stand before, between and after the words. Pure: the environment
 * is handed in.
 */
#ifndef ETCHED_CMD_ETCHCTL_FLAGS_H
#define ETCHED_CMD_ETCHCTL_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

enum flag_kind {
    FLAG_BOOL,
    FLAG_STRING,
    FLAG_INT,      /* Go's ParseInt with base 0: 10, 0x10, 0o7, 0b1, -1 */
    FLAG_DURATION, /* Go's ParseDuration; the number is in milliseconds */
};

/* A table of these ends with a name of NULL. */
struct flag_spec {
    const char *name; /* "recursive" */
    char letter;      /* 'r' for -r; 0: none */
    enum flag_kind kind;
    const char *value;   /* what the help calls its value: "seconds" */
    const char *initial; /* NULL: false, "", 0 */
    const char *about;
    bool is_hidden; /* from the help */
};

struct flag_value {
    bool is_given;
    bool boolean;
    int64_t number;
    const char *text; /* as given, or the initial one; never NULL */
};

/* The flags of one table with their values. */
struct flags {
    const struct flag_spec *specs;
    struct flag_value *values;
    size_t count;
};

struct words {
    const char **at;
    size_t count;
};

/* Every flag has its initial value then.
 * Owns: the values live in the arena. */
void flags_init(struct flags *flags, struct arena *arena,
                const struct flag_spec *specs);

enum {
    FLAGS_WORDS_ANY = 1 << 30, /* flags may follow any word */
};

/* How to read one stretch of the command line. */
struct flags_grammar {
    struct flags *own;
    struct flags *global; /* NULL: none here */
    /* After so many words nothing is a flag any more (0: the first word ends
     * them, and stays unread). */
    size_t words_max;
    /* Words may begin with a dash ("set /temperature -5"): after the first
     * word only flags of `own` are flags, and all else is a word. */
    bool is_dash_word;
};

/* Reads `in` from *at on. With words_max 0 it stops at the first word and
 * leaves *at there; otherwise it reads all and appends the words to `out`
 * (whose array has room for all of `in`).
 * Errors: ERR_INVALID with the note that Go gives. */
enum err flags_parse(const struct flags_grammar *grammar,
                     const struct words *in, size_t *at,
                     struct words *out) MUST_USE;

/* Sets a flag from text, as "--name=text" does.
 * Errors: ERR_INVALID. */
enum err flags_set(struct flags *flags, const char *name,
                   const char *text) MUST_USE;

/* Needs: a flag of that name in the table. */
bool flags_bool(const struct flags *flags, const char *name);
int64_t flags_number(const struct flags *flags, const char *name);
const char *flags_text(const struct flags *flags, const char *name);
bool flags_is_given(const struct flags *flags, const char *name);

/* The word nearest to `word` by edits (a letter put in, left out, changed, or
 * two swapped); NULL when none is near enough to be meant. */
const char *nearest_word(const char *word, const char *const *words,
                         size_t count);
/* The flag (of either table) nearest to `name`, or NULL. */
const char *flags_nearest(const struct flags_grammar *grammar,
                          const char *name);

#endif
