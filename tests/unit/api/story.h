/* What the api's tests say to a world, and what they expect back. */
#ifndef ETCHED_TESTS_API_STORY_H
#define ETCHED_TESTS_API_STORY_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "support/node_world.h"

#define SECOND_NS INT64_C(1000000000)

/* cmocka set-up and tear-down: *state is an open world. */
int story_begin(void **state);
int story_end(void **state);

/* Asks, and expects this status and this body. In what is expected, '*'
 * stands for any run of characters. The method may be followed by a target:
 * "PUT /v2/keys/a". */
void story(struct world *world, const char *request, const char *form,
           int status, const char *body);
/* The same, whatever the body. */
void story_status(struct world *world, const char *request, const char *form,
                  int status);
/* The last reply's header; "-" for none. */
void story_header(struct world *world, const char *request, const char *headers,
                  const char *name, const char *value);
/* What a client has got so far, without the head, is this. */
void story_stream(struct client *client, const char *body);
bool text_matches(struct slice text, const char *pattern);
/* Fails the test with both texts if they don't match. */
void expect_text(struct slice text, const char *pattern);

#endif
