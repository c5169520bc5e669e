/* Commands out of a log whose checksums are right, but whose bytes may be any:
 * another version wrote them. What is read is in bounds, and the same when it
 * is written and read again. */
#include <stdint.h>

#include "base/bytes.h"
#include "base/check.h"
#include "proto/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_inside(struct slice part, struct slice whole)
{
    CHECK(part.size == 0 || (part.at >= whole.at &&
                             part.at + part.size <= whole.at + whole.size));
}

static bool same_tree(const struct tree_command *a,
                      const struct tree_command *b)
{
    return a->op == b->op && slice_eq(a->path, b->path) &&
           slice_eq(a->value, b->value) && a->dir == b->dir &&
           a->recursive == b->recursive && a->refresh == b->refresh &&
           a->has_ttl == b->has_ttl && a->ttl_s == b->ttl_s &&
           slice_eq(a->prev_value, b->prev_value) &&
           a->prev_index == b->prev_index;
}

/* Lease 0 is none: nobody writes it. */
static bool same_leases(const int64_t *a, size_t a_count, const int64_t *b,
                        size_t b_count)
{
    size_t at = 0;
    for (size_t i = 0; i < a_count; i++) {
        if (a[i] == 0)
            continue;
        if (at == b_count || a[i] != b[at])
            return false;
        at++;
    }
    return at == b_count;
}

static bool same_cluster(const struct cluster_command *a,
                         const struct cluster_command *b)
{
    return a->has_active_size == b->has_active_size &&
           a->has_remove_delay == b->has_remove_delay &&
           a->has_sync_interval == b->has_sync_interval &&
           a->active_size == b->active_size &&
           a->remove_delay_us == b->remove_delay_us &&
           a->sync_interval_us == b->sync_interval_us;
}

static bool same_member(const struct member_command *a,
                        const struct member_command *b)
{
    return a->op == b->op && a->member == b->member &&
           slice_eq(a->name, b->name) && slice_eq(a->peer_urls, b->peer_urls) &&
           slice_eq(a->client_urls, b->client_urls);
}

static bool same_change(const struct auth_change *a,
                        const struct auth_change *b)
{
    return a->op == b->op && slice_eq(a->user, b->user) &&
           slice_eq(a->role, b->role) && slice_eq(a->hash, b->hash) &&
           a->no_password == b->no_password && a->access == b->access &&
           slice_eq(a->key, b->key) && slice_eq(a->range_end, b->range_end);
}

static bool same_auth(const struct auth_command *a,
                      const struct auth_command *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!same_change(&a->changes[i], &b->changes[i]))
            return false;
    return true;
}

static bool same(const struct command *a, const struct command *b)
{
    if (a->type != b->type || !slice_eq(a->user, b->user) ||
        a->auth_revision != b->auth_revision)
        return false;
    switch (a->type) {
    case COMMAND_TREE:
        return same_tree(&a->tree, &b->tree);
    case COMMAND_EXPIRE:
        return same_leases(a->expire.leases, a->expire.count, b->expire.leases,
                           b->expire.count);
    case COMMAND_COMPACT:
        return a->compact == b->compact;
    case COMMAND_PUBLISH:
        return a->publish.member == b->publish.member &&
               slice_eq(a->publish.name, b->publish.name) &&
               slice_eq(a->publish.client_urls, b->publish.client_urls);
    case COMMAND_CLUSTER:
        return same_cluster(&a->cluster, &b->cluster);
    case COMMAND_MEMBER:
        return same_member(&a->member, &b->member);
    case COMMAND_TRANSFER:
        return a->transfer_to == b->transfer_to;
    case COMMAND_PUT:
    case COMMAND_DELETE_RANGE:
    case COMMAND_TXN:
    case COMMAND_LEASE_GRANT:
    case COMMAND_LEASE_REVOKE:
    case COMMAND_ALARM:
        return slice_eq(a->message, b->message);
    case COMMAND_LEASE_RENEW:
        return same_leases(a->renew.leases, a->renew.count, b->renew.leases,
                           b->renew.count);
    case COMMAND_AUTH:
        return same_auth(&a->auth, &b->auth);
    case COMMAND_QUOTA:
        return slice_eq(a->quota.prefix, b->quota.prefix) &&
               a->quota.keys_max == b->quota.keys_max &&
               a->quota.bytes_max == b->quota.bytes_max;
    }
    UNREACHABLE();
}

static void check_bounds(const struct command *command, struct slice input)
{
    check_inside(command->user, input);
    if (command->type == COMMAND_TREE) {
        CHECK(command->tree.path.size > 0 && command->tree.path.at[0] == '/');
        CHECK(command->tree.op >= TREE_SET &&
              command->tree.op <= TREE_CREATE_IN_ORDER);
        check_inside(command->tree.path, input);
        check_inside(command->tree.value, input);
        check_inside(command->tree.prev_value, input);
    } else if (command->type == COMMAND_EXPIRE) {
        CHECK_LE(command->expire.count, input.size);
    } else if (command->type == COMMAND_PUBLISH) {
        CHECK_NE(command->publish.member, 0);
        check_inside(command->publish.name, input);
        check_inside(command->publish.client_urls, input);
    } else if (command->type == COMMAND_LEASE_RENEW) {
        CHECK_LE(command->renew.count, input.size);
    } else if (command->type == COMMAND_AUTH) {
        CHECK_LE(command->auth.count, input.size);
        for (size_t i = 0; i < command->auth.count; i++) {
            check_inside(command->auth.changes[i].user, input);
            check_inside(command->auth.changes[i].key, input);
        }
    } else if (command->type == COMMAND_PUT || command->type == COMMAND_TXN) {
        check_inside(command->message, input);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct arena arena;
    struct command command;
    struct command again;
    struct slice input = slice_of(bytes, size);
    arena_init(&arena, 0);
    enum err err = command_decode(input, &arena, &command);
    CHECK(err == ERR_OK || err == ERR_CORRUPT || err == ERR_UNSUPPORTED);
    if (err == ERR_OK) {
        check_bounds(&command, input);
        struct refbuf *written = command_encode(&command);
        err = command_decode(slice_of(written->bytes, written->size), &arena,
                             &again);
        CHECK_EQ(err, ERR_OK);
        CHECK(same(&command, &again));
        refbuf_unref(written);
    }
    arena_deinit(&arena);
    return 0;
}
