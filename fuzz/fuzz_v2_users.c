/* Any bytes as HTTP to a member that has users: whoever doesn't know root's
 * password sees and changes nothing but what is alice's
 * (support/node_users.h), and what comes back is the end of no one else's
 * connection.
 */
#include "base/check.h"
#include "support/node_users.h"

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
        node_users_free();
    }
    world_init(&world, 1);
    node_users_prepare(&world);
    world_open(&world);
    node_users_enable(&world);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    renew_world();
    struct client *client = client_new(&world);
    client_send(client, slice_of(bytes, size));
    world_turn(&world);
    node_users_check_told(buf_slice(&client->got));
    world_wait(&world, INT64_C(60000000000));
    node_users_check_told(buf_slice(&client->got));
    client_free(client);
    world_turn(&world);
    CHECK_EQ(world.core_failed, ERR_OK);
    CHECK_EQ(api_pending(world.api), 0);
    node_users_check(&world);
    (void)world_request(&world, "DELETE", "/v2/keys/a?recursive=true",
                        node_users_root, NULL);
    return 0;
}
