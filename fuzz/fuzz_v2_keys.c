/* Any bytes as HTTP, to a whole member in memory: wire, api, node, log and
 * store. A watcher of everything looks on, so that what was written is told;
 * after the bytes a minute passes, so that what lives shortly ends; at last
 * the whole tree is listed, and all is emptied.
 *
 * The input: one byte for the size of the pieces in which the rest comes, and
 * whether it comes to the peer port; then the stream.
 *
 * To open a member costs more than most inputs do, so one serves a few of
 * them, emptied in between; what is left is its history.
 */
#include "base/check.h"
#include "support/node_world.h"
#include "wire/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { INPUTS_PER_WORLD = 50 };

static struct world world;
static unsigned inputs;

/* The history of a world that goes on grows, and is no leak; the unit tests
 * are where leaks are found. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

static void renew_world(void)
{
    if (inputs++ % INPUTS_PER_WORLD != 0) {
        return;
    }
    if (world.node != NULL) {
        world_deinit(&world);
    }
    world_init(&world, 1);
    world_open(&world);
}

/* The first byte's lowest bit is the port, the others say how many bytes come
 * at a time; 0: all. */
static void feed(struct client *client, struct slice input, size_t piece)
{
    while (input.size > 0 && !http1_is_finished(client->http1)) {
        size_t step = piece == 0 || piece > input.size ? input.size : piece;
        client_send(client, slice_of(input.at, step));
        world_turn(client->world);
        input = slice_of(input.at + step, input.size - step);
    }
}

/* All that was told is JSON, a line each. */
static void check_told(struct client *watcher)
{
    struct reply reply;
    CHECK(client_reply(watcher, false, &reply));
    CHECK_EQ(reply.status, 200);
    CHECK(!reply.is_whole);
    struct slice rest = reply.body;
    while (rest.size > 0) {
        ptrdiff_t end = slice_find(rest, '\n');
        CHECK(end > 1);
        CHECK(slice_has_prefix(rest, SLICE("{\"action\":\"")));
        CHECK(rest.at[end - 1] == '}');
        rest = slice_of(rest.at + end + 1, rest.size - (size_t)end - 1);
    }
}

/* What hides is not in the listing, but what it leaves is small. */
static void empty(void)
{
    for (;;) {
        struct reply reply =
            world_request(&world, "GET", "/v2/keys/", NULL, NULL);
        CHECK_EQ(reply.status, 200);
        const char *key = memmem(reply.body.at, reply.body.size,
                                 "\"nodes\":[{\"key\":\"", 17);
        if (key == NULL) {
            return;
        }
        /* A key of any bytes: the listing's escapes are not the path's. It
         * is taken from the store itself. */
        struct tree_list list;
        struct tree_node node;
        struct mvcc_reader *reader;
        struct buf target = {0};
        enum err err = mvcc_reader_new(node_mvcc(world.node), &reader);
        CHECK_EQ(err, ERR_OK);
        tree_list_init(&list, SLICE("/"), world_revision(&world));
        mvcc_read_begin(reader);
        err = tree_list_next(&list, reader, &node);
        CHECK_EQ(err, ERR_OK);
        buf_append_str(&target, "/v2/keys");
        percent_encode(&target, node.key, true);
        buf_append_str(&target, "?recursive=true");
        buf_append_char(&target, '\0');
        mvcc_read_end(reader);
        tree_list_deinit(&list);
        mvcc_reader_free(reader);
        reply = world_request(&world, "DELETE", target.at, NULL, NULL);
        CHECK_EQ(reply.status, 200);
        buf_deinit(&target);
    }
}

static void play(const uint8_t *bytes, size_t size)
{
    struct client *watcher = client_new(&world);
    client_ask(watcher, "GET", "/v2/keys/?wait=true&recursive=true&stream=true",
               NULL, NULL);
    struct client *client =
        (bytes[0] & 1) != 0 ? client_new_peer_port(&world) : client_new(&world);
    feed(client, slice_of(bytes + 1, size - 1), bytes[0] >> 1);
    world_wait(&world, INT64_C(60000000000));
    client_free(client);
    world_turn(&world);
    check_told(watcher);
    client_free(watcher);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size == 0) {
        return 0;
    }
    renew_world();
    play(bytes, size);
    CHECK_EQ(world.core_failed, ERR_OK);
    CHECK_EQ(api_pending(world.api), 0);
    struct reply reply =
        world_request(&world, "GET", "/v2/keys/?recursive=true", NULL, NULL);
    CHECK_EQ(reply.status, 200);
    empty();
    CHECK(!world.watching);
    return 0;
}
