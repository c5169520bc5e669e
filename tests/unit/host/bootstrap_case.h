/* What the tests of bootstrap share: a configuration out of a command line, a
 * world without patience, and what came of it in words. */
#ifndef ETCHED_TESTS_BOOTSTRAP_CASE_H
#define ETCHED_TESTS_BOOTSTRAP_CASE_H

#include "host/bootstrap_int.h"

extern const struct bootstrap_world impatient;

enum { CASE_WORDS_MAX = 40, CASE_WORD_MAX = 256 };

struct bootstrap_case {
    struct config config;
    struct arena arena;
    struct bootstrap out;
    enum err err;
    char words[CASE_WORDS_MAX][CASE_WORD_MAX];
    char *argv[CASE_WORDS_MAX + 1];
    char result[1024];
};

/* Loads a configuration of these flags; the data directory is one that isn't
 * there, unless they say another. */
void case_load(struct bootstrap_case *one, const char *args, ...)
    PRINTF_LIKE(2, 3);
/* Bootstraps with it. The result: "INVALID: note", or the ids and members:
 * "cluster=1 member=2 [3:name:url,url] [...]", or "proxy of url". */
const char *case_run(struct bootstrap_case *one,
                     const struct bootstrap_world *world);
void case_free(struct bootstrap_case *one);

#endif
