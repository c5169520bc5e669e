/* A make-believe etcd that follows a script, and one run of etchctl's v3
 * commands against it, in this process, with its output kept.
 *
 * The script: for each method, what is answered to the first request, to the
 * second, and so on. What comes is written down, a line each: "KV/Range {...}"
 * with the request as JSON. */
#ifndef ETCHED_TESTS_CMD_V3_SCRIPT_H
#define ETCHED_TESTS_CMD_V3_SCRIPT_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include "base/mem.h"
#include "cmd/etchctl/v3.h"
#include "tests/support/stub_rpc.h"

enum { SCRIPT_STEPS_MAX = 64 };

enum script_then {
    SCRIPT_END,  /* status 0, or that of the step */
    SCRIPT_KEEP, /* the stream stays open */
    SCRIPT_DROP, /* the connection is closed */
    SCRIPT_TERM, /* the stream stays, this process gets a SIGTERM */
};

struct script_step {
    const char *method;
    struct buf messages; /* with prefixes */
    const char *code;    /* NULL: "0" */
    const char *text;
    enum script_then then;
    bool done;
};

struct script {
    struct stub_rpc server;
    struct script_step steps[SCRIPT_STEPS_MAX];
    size_t count;
    pthread_mutex_t lock;
    struct buf seen;
    char token[64]; /* of the last call */
};

void script_start(struct script *script);
void script_stop(struct script *script);
/* Appends a step; `message` (NULL: none) is answered. */
struct script_step *script_answer(struct script *script, const char *method,
                                  const void *message, enum script_then then);
/* One more message of that step. */
void script_more(struct script_step *step, const void *message);
struct script_step *script_fail(struct script *script, const char *method,
                                const char *code, const char *text);
/* What was asked; and forgets it. */
void script_expect(struct script *script, const char *lines);

/* What the run has said. */
struct run {
    int code;
    struct buf out, err; /* each ends with a zero */
};

/* "{E}" in `line` stands for the script's endpoint; --endpoints is put in
 * front. `input` is its stdin. */
struct run run_line(struct script *script, const char *line, const char *input);
void run_expect(struct run *run, int code, const char *out, const char *err);
void run_deinit(struct run *run);

#endif
