#include "base/check.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/log.h"

static atomic_flag failing = ATOMIC_FLAG_INIT;
static _Thread_local bool failing_here;

/* The first thread to fail tells its story. Another one that fails meanwhile
 * waits for the abort; a failure inside the story ends it at once. */
static void claim_the_end(void)
{
    if (failing_here)
        abort();
    failing_here = true;
    while (atomic_flag_test_and_set(&failing)) {
    }
}

static void print_line(void *context, struct slice line)
{
    (void)context;
    fprintf(stderr, "  %.*s\n", (int)line.size, line.at);
}

static _Noreturn void print_recent_and_abort(void)
{
    fprintf(stderr, "last lines of the log:\n");
    log_recent(print_line, NULL);
    fflush(stderr);
    abort();
}

_Noreturn void check_failed(const char *file, int line, const char *expression)
{
    claim_the_end();
    fprintf(stderr, "%s:%d: check failed: %s\n", file, line, expression);
    print_recent_and_abort();
}

_Noreturn void check_failed_values(const char *file, int line,
                                   const char *expression, int64_t a, int64_t b)
{
    claim_the_end();
    fprintf(stderr, "%s:%d: check failed: %s (%" PRId64 ", %" PRId64 ")\n",
            file, line, expression, a, b);
    print_recent_and_abort();
}
