#include "rest_world.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"

#define MILLI INT64_C(1000000)

void rest_asking_init(struct rest_asking *asking, struct world *world)
{
    *asking = (struct rest_asking){.world = world, .next_id = 1};
    arena_init(&asking->arena, 0);
}

void rest_asking_deinit(struct rest_asking *asking)
{
    buf_deinit(&asking->body);
    arena_deinit(&asking->arena);
}

static void run_client(const struct rest_asking *asking)
{
    struct runner *runner = asking->world->clients[asking->client].runner;
    const struct runner_now now = {.mono_ns = asking->world->mono_ns,
                                   .wall_ns = world_wall(asking->world)};
    if (runner)
        (void)runner_run(runner, now);
}

uint64_t rest_send(struct rest_asking *asking, const char *method,
                   const char *target, const struct rest_given *headers,
                   struct slice body)
{
    struct rest_header given[REST_GIVEN_MAX];
    size_t count = 0;
    struct slice path = slice_str(target);
    struct slice query = SLICE("");
    ptrdiff_t mark = slice_find(path, '?');
    if (mark >= 0) {
        query = slice_of(path.at + mark + 1, path.size - (size_t)mark - 1);
        path.size = (size_t)mark;
    }
    for (; headers && headers[count].name; count++) {
        CHECK_LT(count, REST_GIVEN_MAX);
        given[count] = (struct rest_header){slice_str(headers[count].name),
                                            slice_str(headers[count].value)};
    }
    const struct rest_request request = {
        .method = slice_str(method),
        .path = path,
        .query = query,
        .headers = given,
        .header_count = count,
        .body = body,
        .peer = SLICE("127.0.0.1:5"),
        .user = slice_str(asking->user ? asking->user : "")};
    uint64_t id = asking->next_id++;
    runner_request(asking->world->clients[asking->client].runner, id, &request);
    run_client(asking);
    return id;
}

size_t rest_read(struct rest_asking *asking, uint64_t id)
{
    const struct world_rest *last = NULL;
    struct doc_value *doc = NULL;
    size_t count = 0;
    const struct doc_limits limits = {
        .bytes_max = 64 << 20, .depth_max = 200, .values_max = 5000000};
    for (size_t i = 0; i < asking->world->rest_count; i++) {
        if (asking->world->rests[i].id == id) {
            last = &asking->world->rests[i];
            count++;
        }
    }
    if (last) {
        asking->status = last->status;
        memcpy(asking->allow, last->allow, sizeof asking->allow);
        buf_reset(&asking->body);
        buf_append_slice(&asking->body, buf_slice(&last->body));
        arena_reset(&asking->arena);
        asking->json = NULL;
        if (doc_parse_json(&asking->arena, buf_slice(&asking->body), &limits,
                           &doc) == ERR_OK)
            asking->json = doc;
    }
    return count;
}

void rest_read_all(const struct rest_asking *asking, uint64_t id,
                   struct buf *out)
{
    for (size_t i = 0; i < asking->world->rest_count; i++)
        if (asking->world->rests[i].id == id)
            buf_append_slice(out, buf_slice(&asking->world->rests[i].body));
}

void rest_leave(struct rest_asking *asking, uint64_t id)
{
    runner_request_gone(asking->world->clients[asking->client].runner, id);
    run_client(asking);
}

int rest_ask_with(struct rest_asking *asking, const char *method,
                  const char *target, const struct rest_given *headers,
                  struct slice body)
{
    uint64_t id = rest_send(asking, method, target, headers, body);
    for (int i = 0; rest_read(asking, id) == 0; i++) {
        assert_true(i < 200000); /* it must be answered */
        run_client(asking);
        world_run(asking->world, MILLI / 2);
    }
    assert_int_equal(rest_read(asking, id), 1); /* and once */
    /* All that is no stream is JSON. */
    assert_non_null(asking->json);
    return asking->status;
}

int rest_ask(struct rest_asking *asking, const char *method, const char *target,
             const char *body)
{
    return rest_ask_with(asking, method, target, NULL,
                         slice_str(body ? body : ""));
}

/* ---- what it says ------------------------------------------------------- */

static const struct doc_value *find(const struct doc_value *at,
                                    const char *path)
{
    char name[128];
    while (at && *path) {
        size_t size = strcspn(path, ".");
        CHECK_LT(size, sizeof name);
        memcpy(name, path, size);
        name[size] = '\0';
        path += size + (path[size] == '.');
        uint64_t index;
        if (at->kind == DOC_LIST) {
            if (!slice_to_u64(slice_str(name), &index) || index >= at->count)
                return NULL;
            at = at->items[index];
        } else {
            at = at->kind == DOC_MAP ? doc_get(at, name) : NULL;
        }
    }
    return at;
}

const char *rest_at(struct rest_asking *asking, const char *path)
{
    const struct doc_value *at = find(asking->json, path);
    char *out = asking->text;
    size_t size = sizeof asking->text;
    out[0] = '\0';
    if (!at)
        return out;
    switch (at->kind) {
    case DOC_STRING:
        (void)snprintf(out, size, "%.*s", (int)at->text.size, at->text.at);
        break;
    case DOC_INT:
        (void)snprintf(out, size, "%lld", (long long)at->integer);
        break;
    case DOC_BOOL:
        (void)snprintf(out, size, "%s", at->boolean ? "true" : "false");
        break;
    case DOC_LIST:
    case DOC_MAP:
        (void)snprintf(out, size, "%zu", at->count);
        break;
    default:
        (void)snprintf(out, size, "?");
        break;
    }
    return out;
}

int64_t rest_number(struct rest_asking *asking, const char *path)
{
    const struct doc_value *at = find(asking->json, path);
    if (!at)
        return -1;
    if (at->kind == DOC_LIST || at->kind == DOC_MAP)
        return (int64_t)at->count;
    return at->kind == DOC_INT ? at->integer : -1;
}

const char *rest_code(struct rest_asking *asking)
{
    return rest_at(asking, "error.code");
}

const char *rest_text(struct rest_asking *asking)
{
    buf_append_char(&asking->body, '\0');
    asking->body.size--;
    return asking->body.at;
}

void rest_define(struct rest_asking *asking, const char *name, const char *yaml)
{
    char target[160];
    (void)snprintf(target, sizeof target, "defs/%s", name);
    int status = rest_ask(asking, "PUT", target, yaml);
    if (status != 200 && status != 201)
        fail_msg("%s: %s", name, rest_text(asking));
    world_run(asking->world, 300 * MILLI);
}

/* ---- scenes ------------------------------------------------------------- */

struct rest_scene *rest_scene_new(uint64_t seed)
{
    struct rest_scene *scene = mem_alloc_zero(sizeof *scene);
    world_init(&scene->world, seed);
    rest_asking_init(&scene->asking, &scene->world);
    world_start(&scene->world, 0);
    world_run(&scene->world, 2000 * MILLI);
    return scene;
}

void rest_scene_free(struct rest_scene *scene)
{
    rest_asking_deinit(&scene->asking);
    world_deinit(&scene->world);
    mem_free(scene);
}
