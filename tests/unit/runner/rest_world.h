/* Questions to the REST interface of the runners in a world, and what their
 * answers say. */
#ifndef RUNNER_REST_WORLD_H
#define RUNNER_REST_WORLD_H

#include "doc/doc.h"
#include "runner_world.h"

struct rest_given { /* a header */
    const char *name;
    const char *value;
};
enum { REST_GIVEN_MAX = 16 };

struct rest_asking {
    struct world *world;
    int client;       /* 0 unless told */
    const char *user; /* who asks; NULL: nobody */
    uint64_t next_id;
    int status; /* of the last answer */
    char allow[32];
    struct buf body;
    struct arena arena;
    const struct doc_value *json;
    char text[4096]; /* what rest_at found */
};
void rest_asking_init(struct rest_asking *asking, struct world *world);
void rest_asking_deinit(struct rest_asking *asking);

/* Asks, lets the world go on until there is an answer, and returns its status.
 * `target` is "defs/x?version=3"; `body` NULL: none. */
int rest_ask(struct rest_asking *asking, const char *method, const char *target,
             const char *body);
/* With headers, ended by one without a name. */
int rest_ask_with(struct rest_asking *asking, const char *method,
                  const char *target, const struct rest_given *headers,
                  struct slice body);
/* Doesn't wait; returns its id. */
uint64_t rest_send(struct rest_asking *asking, const char *method,
                   const char *target, const struct rest_given *headers,
                   struct slice body);
/* How many parts of an answer have come; the last one is read. */
size_t rest_read(struct rest_asking *asking, uint64_t id);
/* All parts of it, one after the other. */
void rest_read_all(const struct rest_asking *asking, uint64_t id,
                   struct buf *out);
void rest_leave(struct rest_asking *asking, uint64_t id);

/* What the answer has at "runs.0.id": as text; a list or a map as its count.
 * "": nothing is there. Valid until the next of these. */
const char *rest_at(struct rest_asking *asking, const char *path);
int64_t rest_number(struct rest_asking *asking, const char *path);
/* "not_found" of an error. */
const char *rest_code(struct rest_asking *asking);
/* The answer as text. */
const char *rest_text(struct rest_asking *asking);
/* PUT defs/<its name>; fails the test where it is refused. */
void rest_define(struct rest_asking *asking, const char *name,
                 const char *yaml);

/* A world with one runner that has read its definitions. */
struct rest_scene {
    struct world world;
    struct rest_asking asking;
};
struct rest_scene *rest_scene_new(uint64_t seed);
void rest_scene_free(struct rest_scene *scene);

#endif
