#include "api_cluster.h"

#include <stdio.h>

#include "base/check.h"

enum { ANSWER_MS_MAX = 10000 };

static const char *const client_urls[CLUSTER_MAX] = {
    "http://m0:2379", "http://m1:2379", "http://m2:2379", "http://m3:2379",
    "http://m4:2379", "http://m5:2379", "http://m6:2379",
};

/* ---- what the host does -------------------------------------------------- */

static void on_answer(void *context, struct queue_link *answer)
{
    struct world *world = &((struct api_member *)context)->world;
    answer->next = NULL;
    if (world->answers == NULL) {
        world->answers = answer;
    } else {
        world->answers_end->next = answer;
    }
    world->answers_end = answer;
}

static void on_watching(void *context, bool watching)
{
    struct api_member *member = context;
    CHECK(member->world.watching != watching);
    member->world.watching = watching;
}

static void on_commits(void *context, struct mvcc_commit *const *commits,
                       size_t count)
{
    struct api_member *member = context;
    struct world *world = &member->world;
    member->inner.on_commits(member->inner.context, commits, count);
    world->config.on_commits(world->config.context, commits, count);
}

/* What was told before the jump is given to the api before it. */
static void on_jump(void *context, revision newest)
{
    struct api_member *member = context;
    member->inner.on_jump(member->inner.context, newest);
    CHECK(!member->jumped);
    CHECK_EQ(member->world.commit_count, 0);
    member->jumped = true;
    member->newest = newest;
}

static void on_event(void *context)
{
    struct api_member *member = context;
    member->inner.on_answered(member->inner.context);
}

/* ---- the network --------------------------------------------------------- */

/* A member that joined through the api has an id of its own making, and never
 * comes up: what is sent to it is lost. */
static bool is_known(uint64_t id)
{
    return id >= cluster_id(0) && id < cluster_id(CLUSTER_MAX);
}

static struct net_ops inner_ops;

static void net_send_known(struct net *net, uint64_t to, struct refbuf *bytes)
{
    if (is_known(to)) {
        inner_ops.send(net, to, bytes);
    } else {
        refbuf_unref(bytes);
    }
}

static void net_bring_known(struct net *net, uint64_t to)
{
    if (is_known(to)) {
        inner_ops.snapshot(net, to);
    }
}

static void wrap_net(struct net *net)
{
    static struct net_ops ops;
    inner_ops = *net->ops;
    ops = inner_ops;
    ops.send = net_send_known;
    ops.snapshot = net_bring_known;
    net->ops = &ops;
}

/* ---- life ---------------------------------------------------------------- */

static void init_member(struct api_cluster *cluster, size_t number)
{
    struct api_member *member = &cluster->members[number];
    struct node_config *config = &cluster->nodes.members[number].config;
    member->cluster = cluster;
    member->number = number;
    world_init(&member->world, number);
    /* The cluster runs the node, not the world. */
    member->world.idle_core = true;
    config->client_urls = client_urls[number];
    member->inner = *config;
    wrap_net(&cluster->nodes.members[number].net);
    config->on_commits = on_commits;
    config->on_jump = on_jump;
    config->on_answered = on_event;
    config->on_flush_due = on_event;
    config->on_submitted = on_event;
    config->context = member;
}

struct api_cluster *api_cluster_new_asleep(size_t count, size_t more)
{
    struct api_cluster *cluster = mem_alloc_zero(sizeof(*cluster));
    cluster_init(&cluster->nodes, count, more, 1);
    for (size_t i = 0; i < count + more; i++) {
        init_member(cluster, i);
    }
    return cluster;
}

void api_cluster_wake(struct api_cluster *cluster)
{
    for (size_t i = 0; i < cluster->nodes.count; i++) {
        if (cluster->nodes.members[i].config.member_count > 0) {
            api_cluster_open(cluster, i);
        }
    }
    (void)api_cluster_leader(cluster);
    api_cluster_settle(cluster);
}

struct api_cluster *api_cluster_new(size_t count, size_t more)
{
    struct api_cluster *cluster = api_cluster_new_asleep(count, more);
    api_cluster_wake(cluster);
    return cluster;
}

void api_cluster_free(struct api_cluster *cluster)
{
    for (size_t i = 0; i < cluster->nodes.count; i++) {
        api_cluster_close(cluster, i);
        world_deinit(&cluster->members[i].world);
    }
    cluster_deinit(&cluster->nodes);
    buf_deinit(&cluster->reply);
    mem_free(cluster);
}

void api_cluster_open(struct api_cluster *cluster, size_t number)
{
    struct api_member *member = &cluster->members[number];
    struct world *world = &member->world;
    CHECK(world->api == NULL);
    enum err err = cluster_open(&cluster->nodes, number);
    CHECK_EQ(err, ERR_OK);
    world->shared.clock = &cluster->nodes.members[number].clock;
    world->shared.node = cluster->nodes.members[number].node;
    world->shared.name = cluster->nodes.names[number];
    struct api_config config = {
        .shared = &world->shared,
        .seed = number,
        .on_answer = on_answer,
        .on_watching = on_watching,
        .context = member,
    };
    err = api_new(&config, &world->api);
    CHECK_EQ(err, ERR_OK);
}

void api_cluster_close(struct api_cluster *cluster, size_t number)
{
    struct world *world = &cluster->members[number].world;
    struct list *link;
    if (world->api == NULL) {
        return;
    }
    while ((link = list_first(&world->clients)) != NULL) {
        client_free(CONTAINER_OF(link, struct client, link));
    }
    api_stop(world->api);
    for (int64_t ms = 0; api_pending(world->api) > 0; ms++) {
        CHECK_LT(ms, ANSWER_MS_MAX);
        api_cluster_run(cluster, 1);
    }
    CHECK(!world->watching);
    api_free(world->api);
    world->api = NULL;
    mem_free(world->commits);
    world->commits = NULL;
    world->commit_capacity = 0;
    cluster_close(&cluster->nodes, number);
}

/* ---- time ---------------------------------------------------------------- */

static void turn_member(struct api_member *member)
{
    if (member->world.api == NULL) {
        return;
    }
    member->world.monotonic_ns = member->cluster->nodes.now_ns;
    if (member->jumped) {
        member->jumped = false;
        api_jump(member->world.api, member->newest);
    }
    world_turn(&member->world);
}

static uint64_t progress_of(struct api_cluster *cluster)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < cluster->nodes.count; i++) {
        if (cluster->nodes.members[i].node != NULL) {
            sum += cluster_progress(&cluster->nodes, i).applied;
        }
    }
    return sum;
}

/* An answer may let the connection's next request in, which is then to be
 * done too: until a round changes nothing. */
void api_cluster_turn(struct api_cluster *cluster)
{
    uint64_t before;
    do {
        before = progress_of(cluster);
        for (size_t i = 0; i < cluster->nodes.count; i++) {
            turn_member(&cluster->members[i]);
        }
        cluster_run(&cluster->nodes, 0);
        for (size_t i = 0; i < cluster->nodes.count; i++) {
            turn_member(&cluster->members[i]);
        }
    } while (progress_of(cluster) != before);
}

void api_cluster_run(struct api_cluster *cluster, int64_t ms)
{
    api_cluster_turn(cluster);
    for (; ms > 0; ms--) {
        cluster_run(&cluster->nodes, 1);
        api_cluster_turn(cluster);
    }
}

void api_cluster_settle(struct api_cluster *cluster)
{
    api_cluster_turn(cluster);
    cluster_settle(&cluster->nodes);
    api_cluster_turn(cluster);
}

size_t api_cluster_leader(struct api_cluster *cluster)
{
    size_t leader = cluster_leader(&cluster->nodes);
    api_cluster_turn(cluster);
    return leader;
}

size_t api_cluster_follower(struct api_cluster *cluster)
{
    size_t leader = api_cluster_leader(cluster);
    for (size_t i = 0; i < cluster->nodes.count; i++) {
        if (i != leader && cluster->members[i].world.api != NULL) {
            return i;
        }
    }
    UNREACHABLE();
}

void api_cluster_isolate(struct api_cluster *cluster, size_t number)
{
    cluster_isolate(&cluster->nodes, number, true);
    for (int64_t ms = 0; cluster_progress(&cluster->nodes, number).leader != 0;
         ms++) {
        CHECK_LT(ms, 20 * CLUSTER_ELECTION_MS);
        api_cluster_run(cluster, 1);
    }
}

/* ---- asking -------------------------------------------------------------- */

struct client *api_cluster_client(struct api_cluster *cluster, size_t number)
{
    return client_new(&cluster->members[number].world);
}

static void send(struct client *client, const char *request,
                 const char *headers, const char *body)
{
    char method[16];
    struct buf text = {0};
    size_t size = strcspn(request, " ");
    CHECK_LT(size, sizeof(method));
    memcpy(method, request, size);
    method[size] = '\0';
    if (body != NULL) {
        buf_append_str(&text, body[0] == '{' ? TYPE_JSON : TYPE_FORM);
    }
    buf_append_str(&text, headers != NULL ? headers : "");
    buf_append(&text, "", 1);
    client_ask(client, method, request + size + 1, text.at, body);
    buf_deinit(&text);
}

void api_cluster_send(struct client *client, const char *request,
                      const char *body)
{
    send(client, request, NULL, body);
}

int api_cluster_status(struct client *client)
{
    struct reply reply;
    return client_reply(client, false, &reply) ? reply.status : 0;
}

static bool is_answered(struct client *client, bool head_only,
                        struct reply *reply)
{
    return client_reply(client, head_only, reply) && reply->is_whole;
}

struct reply api_cluster_ask(struct api_cluster *cluster, size_t number,
                             const char *request, const char *headers,
                             const char *body)
{
    struct buf *kept = &cluster->reply;
    struct world *world = &cluster->members[number].world;
    struct reply reply;
    bool is_peer = strncmp(request, "peer ", 5) == 0;
    request += is_peer ? 5 : 0;
    bool head_only = strncmp(request, "HEAD ", 5) == 0;
    struct client *client =
        is_peer ? client_new_peer_port(world) : client_new(world);
    send(client, request, headers, body);
    api_cluster_turn(cluster);
    for (int64_t ms = 0; !is_answered(client, head_only, &reply); ms++) {
        CHECK_LT(ms, ANSWER_MS_MAX);
        api_cluster_run(cluster, 1);
    }
    /* The client's memory goes with it. */
    buf_reset(kept);
    buf_append_slice(kept, reply.head);
    buf_append_slice(kept, reply.body);
    reply.head = slice_of(kept->at, reply.head.size);
    reply.body = slice_of(kept->at + reply.head.size, reply.body.size);
    client_free(client);
    return reply;
}

void api_cluster_story(struct api_cluster *cluster, size_t number,
                       const char *request, const char *body, int status,
                       const char *expected)
{
    struct reply reply = api_cluster_ask(cluster, number, request, NULL, body);
    if (reply.status != status) {
        print_error("%s: status %d\n", request, reply.status);
    }
    expect_text(reply.body, expected);
    assert_int_equal(reply.status, status);
}
