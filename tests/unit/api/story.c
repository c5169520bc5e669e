#include "story.h"

#include <stdio.h>

int story_begin(void **state)
{
    struct world *world = mem_alloc_zero(sizeof(*world));
    world_init(world, 1);
    world_open(world);
    *state = world;
    return 0;
}

int story_end(void **state)
{
    struct world *world = *state;
    world_deinit(world);
    mem_free(world);
    return 0;
}

bool text_matches(struct slice text, const char *pattern)
{
    while (*pattern != '\0') {
        if (*pattern == '*') {
            do {
                if (text_matches(text, pattern + 1)) {
                    return true;
                }
                text = slice_of(text.at + 1, text.size - 1);
            } while (text.size != SIZE_MAX);
            return false;
        }
        if (text.size == 0 || text.at[0] != *pattern) {
            return false;
        }
        text = slice_of(text.at + 1, text.size - 1);
        pattern++;
    }
    return text.size == 0;
}

void expect_text(struct slice text, const char *pattern)
{
    if (!text_matches(text, pattern)) {
        print_error("got      %.*s\nexpected %s\n", (int)text.size, text.at,
                    pattern);
        fail();
    }
}

static struct reply ask(struct world *world, const char *request,
                        const char *headers, const char *form)
{
    char method[16];
    size_t size = strcspn(request, " ");
    assert_true(size < sizeof(method));
    memcpy(method, request, size);
    method[size] = '\0';
    return world_request(world, method, request + size + 1, headers, form);
}

void story(struct world *world, const char *request, const char *form,
           int status, const char *body)
{
    struct reply reply = ask(world, request, NULL, form);
    if (reply.status != status) {
        print_error("%s: status %d\n", request, reply.status);
    }
    expect_text(reply.body, body);
    assert_int_equal(reply.status, status);
}

void story_status(struct world *world, const char *request, const char *form,
                  int status)
{
    struct reply reply = ask(world, request, NULL, form);
    if (reply.status != status) {
        print_error("%s: %d, not %d: %.*s\n", request, reply.status, status,
                    (int)reply.body.size, reply.body.at);
        fail();
    }
}

void story_header(struct world *world, const char *request, const char *headers,
                  const char *name, const char *value)
{
    struct reply reply = ask(world, request, headers, NULL);
    struct slice found = reply_header(&reply, name);
    expect_text(found.at == NULL ? SLICE("-") : found, value);
}

void story_stream(struct client *client, const char *body)
{
    struct reply reply;
    assert_true(client_reply(client, false, &reply));
    expect_text(reply.body, body);
}
