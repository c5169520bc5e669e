/* A naive twin of v2: all nodes in one sorted list, and every event that ever
 * was. It says what the real one must answer, to the letter, save for "ttl",
 * which hangs on the moment. */
#ifndef ETCHED_TESTS_API_TWIN_H
#define ETCHED_TESTS_API_TWIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum { TWIN_PATH_BYTES = 64, TWIN_NODES_MAX = 256 };

struct twin_node {
    char path[TWIN_PATH_BYTES];
    bool dir;
    char value[16];
    int64_t created;
    int64_t modified;
    int64_t expire_ns; /* 0: none */
};

struct twin_event {
    int64_t index;
    char key[TWIN_PATH_BYTES];
    struct buf line;    /* as it is told */
    struct buf removed; /* the paths that went, each with a '\n' behind it */
};

struct twin {
    struct twin_node nodes[TWIN_NODES_MAX]; /* by path */
    size_t count;
    int64_t index;
    struct twin_event *events;
    size_t event_count;
    size_t event_capacity;
    struct buf answer; /* the body of the last one */
    int status;
};

enum twin_op {
    TWIN_SET,
    TWIN_CREATE,
    TWIN_UPDATE,
    TWIN_CAS,
    TWIN_DELETE,
    TWIN_CAD,
    TWIN_POST,
};

struct twin_write {
    enum twin_op op;
    const char *path;
    const char *value; /* "" for none */
    bool dir;
    bool recursive;
    bool refresh;
    int64_t expire_ns; /* 0: none */
    const char *prev_value;
    int64_t prev_index;
};

void twin_init(struct twin *twin);
void twin_deinit(struct twin *twin);
void twin_do(struct twin *twin, const struct twin_write *write);
void twin_get(struct twin *twin, const char *path, bool recursive);
/* What is over at `now_ns` ends. */
void twin_expire(struct twin *twin, int64_t now_ns);
/* Whether who watches `path` is told of the event. */
bool twin_tells(const struct twin_event *event, const char *path,
                bool recursive);

#endif
