#include "sim/lessor.h"

#include "base/check.h"
#include "base/mem.h"
#include "lease/lease.h"
#include "proto/command.h"
#include "proto/pb.h"

/* etcd's least, in seconds. */
enum { TTL_S_MIN = 2 };
#define SECOND_NS INT64_C(1000000000)

void lessor_init(struct lessor *lessor)
{
    *lessor = (struct lessor){0};
}

void lessor_deinit(struct lessor *lessor)
{
    for (size_t i = 0; i < lessor->count; i++)
        mem_free(lessor->leases[i].changes);
    mem_free(lessor->leases);
}

/* There are few of them: those that came last are asked for most. */
static struct lessor_lease *find(const struct lessor *lessor, lease_id id)
{
    for (size_t i = lessor->count; i-- > 0;)
        if (lessor->leases[i].id == id)
            return &lessor->leases[i];
    return NULL;
}

static struct lessor_lease *find_or_add(struct lessor *lessor, lease_id id)
{
    struct lessor_lease *lease = find(lessor, id);
    if (lease)
        return lease;
    if (lessor->count == lessor->capacity) {
        lessor->capacity = lessor->capacity * 2 + 16;
        lessor->leases = mem_realloc(lessor->leases,
                                     lessor->capacity * sizeof *lessor->leases);
    }
    lease = &lessor->leases[lessor->count++];
    *lease = (struct lessor_lease){.id = id};
    return lease;
}

static void add_change(struct lessor_lease *lease, raft_index index,
                       int64_t granted_s, int64_t expire_ns)
{
    CHECK(lease->count == 0 || lease->changes[lease->count - 1].index <= index);
    if (lease->count == lease->capacity) {
        lease->capacity = lease->capacity * 2 + 8;
        lease->changes = mem_realloc(lease->changes,
                                     lease->capacity * sizeof *lease->changes);
    }
    lease->changes[lease->count++] =
        (struct lessor_change){index, granted_s, expire_ns};
}

const struct lessor_change *lessor_newest(const struct lessor *lessor,
                                          lease_id id)
{
    const struct lessor_lease *lease = find(lessor, id);
    return lease ? &lease->changes[lease->count - 1] : NULL;
}

const struct lessor_change *lessor_get(const struct lessor *lessor, lease_id id,
                                       raft_index index)
{
    const struct lessor_lease *lease = find(lessor, id);
    for (size_t i = lease ? lease->count : 0; i-- > 0;)
        if (lease->changes[i].index <= index)
            return lease->changes[i].granted_s ? &lease->changes[i] : NULL;
    return NULL;
}

/* ---- commands ------------------------------------------------------------ */

static void grant(struct lessor *lessor, raft_index index, int64_t time_ns,
                  struct slice message)
{
    enum { TTL = 1, ID = 2 };
    struct pb_reader reader;
    struct pb_field field;
    int64_t ttl_s = 0;
    lease_id id = 0;
    pb_reader_init(&reader, message);
    while (pb_next(&reader, &field)) {
        if (field.number == TTL)
            ttl_s = (int64_t)field.value;
        if (field.number == ID)
            id = (lease_id)field.value;
    }
    if (id == 0 || lessor_get(lessor, id, index))
        return; /* refused, the same everywhere */
    if (ttl_s < TTL_S_MIN)
        ttl_s = TTL_S_MIN;
    add_change(find_or_add(lessor, id), index, ttl_s,
               time_ns + ttl_s * SECOND_NS);
}

static void renew(struct lessor *lessor, raft_index index, int64_t time_ns,
                  lease_id id)
{
    const struct lessor_change *now = lessor_get(lessor, id, index);
    if (now && time_ns + now->granted_s * SECOND_NS > now->expire_ns)
        add_change(find(lessor, id), index, now->granted_s,
                   time_ns + now->granted_s * SECOND_NS);
}

static void end(struct lessor *lessor, raft_index index, lease_id id,
                int64_t at_ns)
{
    const struct lessor_change *now = lessor_get(lessor, id, index);
    if (now && now->expire_ns <= at_ns)
        add_change(find(lessor, id), index, 0, now->expire_ns);
}

static void revoke(struct lessor *lessor, raft_index index,
                   struct slice message)
{
    struct pb_reader reader;
    struct pb_field field;
    pb_reader_init(&reader, message);
    while (pb_next(&reader, &field))
        if (field.number == 1)
            end(lessor, index, (lease_id)field.value, INT64_MAX);
}

/* Most commands are none of ours: their type stands in front. */
static bool is_of_leases(struct slice command)
{
    if (command.size < 2)
        return false;
    switch (command.at[1]) {
    case COMMAND_EXPIRE:
    case COMMAND_LEASE_GRANT:
    case COMMAND_LEASE_REVOKE:
    case COMMAND_LEASE_RENEW:
        return true;
    default:
        return false;
    }
}

static void take(struct lessor *lessor, raft_index index, int64_t time_ns,
                 const struct command *command)
{
    switch (command->type) {
    case COMMAND_LEASE_GRANT:
        grant(lessor, index, time_ns, command->message);
        return;
    case COMMAND_LEASE_REVOKE:
        revoke(lessor, index, command->message);
        return;
    case COMMAND_LEASE_RENEW:
        for (size_t i = 0; i < command->renew.count; i++)
            renew(lessor, index, time_ns, command->renew.leases[i]);
        return;
    case COMMAND_EXPIRE:
        for (size_t i = 0; i < command->expire.count; i++)
            end(lessor, index, command->expire.leases[i], time_ns);
        return;
    default:
        UNREACHABLE();
    }
}

enum err lessor_take(struct lessor *lessor, raft_index index, int64_t time_ns,
                     struct slice bytes)
{
    struct command command;
    struct arena arena;
    if (!is_of_leases(bytes))
        return ERR_OK;
    arena_init(&arena, 0);
    enum err err = command_decode(bytes, &arena, &command);
    if (err == ERR_OK)
        take(lessor, index, time_ns, &command);
    arena_deinit(&arena);
    return err;
}
