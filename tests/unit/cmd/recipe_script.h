/* A make-believe server of /recipes/v1/ that follows a script, and one run of a
 * recipe command against it, in this process, with its output kept.
 *
 * The script: what is answered to the first request, to the second, and so on.
 * What comes is written down: "PUT /recipes/v1/defs/a (application/yaml)" and,
 * on a line of its own, the body. */
#ifndef ETCHED_TESTS_CMD_RECIPE_SCRIPT_H
#define ETCHED_TESTS_CMD_RECIPE_SCRIPT_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/bytes.h"

struct recipe_script;
struct recipe_script *recipe_script_start(void);
void recipe_script_stop(struct recipe_script *script);
/* Answers the next request that has no answer yet. A status of 0: the
 * connection is closed without one. */
void recipe_script_answer(struct recipe_script *script, int status,
                          const char *body);
/* What was asked; and forgets it. */
void recipe_script_expect(struct recipe_script *script, const char *lines);

/* "list -o json": the words after `recipe`. Checks the exit code and both
 * outputs; "{P}" in `err` is the port. */
void recipe_run(struct recipe_script *script, const char *line,
                const char *input, int code, const char *out, const char *err);

#endif
