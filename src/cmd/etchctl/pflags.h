/* Flags of a command line as GNU's and spf13/pflag's are, which the v3
 * commands of etcdctl have:
 *
 *   --limit 5, --limit=5, -w json, -wjson, -w=json; a boolean takes a value
 *   only after '='; letters of booleans may stand together; "--" ends the
 *   flags; "-" alone is a word; flags stand before, between, behind words.
 *
 * Pure. The errors' words are pflag's.
 */
#ifndef ETCHED_CMD_ETCHCTL_PFLAGS_H
#define ETCHED_CMD_ETCHCTL_PFLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "cmd/etchctl/flags.h"

enum pflag_kind {
    PFLAG_BOOL,
    PFLAG_STRING,
    PFLAG_INT,      /* Go's ParseInt with base 0 */
    PFLAG_DURATION, /* Go's ParseDuration; the number is in milliseconds */
    PFLAG_LIST,     /* separated by commas; given again, it grows */
};

/* A table of these ends with a name of NULL. */
struct pflag_spec {
    const char *name;
    char letter; /* 0: none */
    enum pflag_kind kind;
    const char *initial; /* NULL: false, "", 0 */
    const char *about;
};

struct pflag {
    const struct pflag_spec *spec;
    bool is_given;
    bool boolean;
    int64_t number;
    const char *text; /* never NULL */
};

enum { PFLAGS_MAX = 48 };

/* The flags that hold for one command, of several tables. */
struct pflags {
    struct arena *arena;
    struct pflag at[PFLAGS_MAX];
    size_t count;
};

void pflags_init(struct pflags *flags, struct arena *arena);
/* Needs: no flag of that name in there; NULL is an empty table. */
void pflags_add(struct pflags *flags, const struct pflag_spec *table);
/* Reads all of `in`; the words go to `out`, which has room for all of it.
 * Errors: ERR_INVALID. */
enum err pflags_parse(struct pflags *flags, const struct words *in,
                      struct words *out) MUST_USE;
/* The index of the first word that isn't a flag or the value of one, or
 * in->count. What isn't known counts as a flag with a value. */
size_t pflags_first_word(const struct pflags *flags, const struct words *in);
/* Errors: ERR_INVALID, the note without the flag's name. */
enum err pflags_set(struct pflags *flags, const char *name,
                    const char *text) MUST_USE;

/* NULL: none of that name. */
const struct pflag *pflags_find(const struct pflags *flags, const char *name);
/* Needs: a flag of that name. */
bool pflags_bool(const struct pflags *flags, const char *name);
int64_t pflags_number(const struct pflags *flags, const char *name);
const char *pflags_text(const struct pflags *flags, const char *name);
bool pflags_is_given(const struct pflags *flags, const char *name);

#endif
