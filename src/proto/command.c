#include "proto/command.h"

#include "base/check.h"
#include "proto/pb.h"

/* The tree's fields, by number:
 * 1 op  2 path  3 value  4 dir  5 recursive  6 refresh  7 has_ttl  8 ttl_s
 * 9 prev_value  10 prev_index */
static void encode_tree(struct buf *out, const struct tree_command *tree)
{
    CHECK(tree->path.size > 0 && tree->path.at[0] == '/');
    pb_put_u64(out, 1, tree->op);
    pb_put_bytes(out, 2, tree->path);
    pb_put_bytes(out, 3, tree->value);
    pb_put_bool(out, 4, tree->dir);
    pb_put_bool(out, 5, tree->recursive);
    pb_put_bool(out, 6, tree->refresh);
    pb_put_bool(out, 7, tree->has_ttl);
    pb_put_u64(out, 8, tree->ttl_s);
    pb_put_bytes(out, 9, tree->prev_value);
    pb_put_u64(out, 10, tree->prev_index);
}

static void decode_tree_field(const struct pb_field *field,
                              struct tree_command *tree)
{
    switch (field->number) {
    case 1:
        tree->op = (enum tree_op)field->value;
        break;
    case 2:
        tree->path = field->bytes;
        break;
    case 3:
        tree->value = field->bytes;
        break;
    case 4:
        tree->dir = field->value != 0;
        break;
    case 5:
        tree->recursive = field->value != 0;
        break;
    case 6:
        tree->refresh = field->value != 0;
        break;
    case 7:
        tree->has_ttl = field->value != 0;
        break;
    case 8:
        tree->ttl_s = field->value;
        break;
    case 9:
        tree->prev_value = field->bytes;
        break;
    case 10:
        tree->prev_index = field->value;
        break;
    default:
        break; /* a newer version's */
    }
}

static bool decode_tree(struct slice body, struct tree_command *tree)
{
    struct pb_reader reader;
    struct pb_field field;
    pb_reader_init(&reader, body);
    while (pb_next(&reader, &field)) {
        decode_tree_field(&field, tree);
    }
    return !reader.failed && tree->op >= TREE_SET &&
           tree->op <= TREE_CREATE_IN_ORDER && tree->path.size > 0 &&
           tree->path.at[0] == '/';
}

/* 1 lease, repeated: of those that end and of those that are kept alive. Lease
 * 0, which a client may name, is none and is left out. */
static void encode_leases(struct buf *out, const int64_t *leases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pb_put_i64(out, 1, leases[i]);
    }
}

static bool decode_leases(struct slice body, struct arena *arena,
                          const int64_t **out, size_t *count)
{
    struct pb_reader reader;
    struct pb_field field;
    /* A field takes at least two bytes. */
    int64_t *leases = arena_try_alloc(arena, (body.size / 2 + 1) * 8);
    if (leases == NULL) {
        return false;
    }
    *out = leases;
    *count = 0;
    pb_reader_init(&reader, body);
    while (pb_next(&reader, &field)) {
        if (field.number == 1 && field.type == PB_VARINT) {
            leases[(*count)++] = (int64_t)field.value;
        }
    }
    return !reader.failed;
}

/* 1 revision. */
static bool decode_compact(struct slice body, int64_t *revision)
{
    struct pb_reader reader;
    struct pb_field field;
    pb_reader_init(&reader, body);
    while (pb_next(&reader, &field)) {
        if (field.number == 1) {
            *revision = (int64_t)field.value;
        }
    }
    return !reader.failed;
}

/* 1 member  2 name  3 client_urls. */
static void encode_publish(struct buf *out,
                           const struct publish_command *publish)
{
    CHECK_NE(publish->member, 0);
    pb_put_u64(out, 1, publish->member);
    pb_put_bytes(out, 2, publish->name);
    pb_put_bytes(out, 3, publish->client_urls);
}

static bool decode_publish(struct slice body, struct publish_command *publish)
{
    struct pb_reader reader;
    struct pb_field field;
    pb_reader_init(&reader, body);
    while (pb_next(&reader, &field)) {
        if (field.number == 1) {
            publish->member = field.value;
        } else if (field.number == 2) {
            publish->name = field.bytes;
        } else if (field.number == 3) {
            publish->client_urls = field.bytes;
        }
    }
    return !reader.failed && publish->member != 0;
}

/* 1 active_size  2 remove_delay_us  3 sync_interval_us; one that isn't set is
 * not there, so they are written as one more than they are. */
static void encode_cluster(struct buf *out,
                           const struct cluster_command *cluster)
{
    CHECK(cluster->active_size < UINT64_MAX);
    CHECK(cluster->remove_delay_us < UINT64_MAX);
    CHECK(cluster->sync_interval_us < UINT64_MAX);
    if (cluster->has_active_size) {
        pb_put_u64(out, 1, cluster->active_size + 1);
    }
    if (cluster->has_remove_delay) {
        pb_put_u64(out, 2, cluster->remove_delay_us + 1);
    }
    if (cluster->has_sync_interval) {
        pb_put_u64(out, 3, cluster->sync_interval_us + 1);
    }
}

static bool decode_cluster(struct slice body, struct cluster_command *cluster)
{
    struct pb_reader reader;
    struct pb_field field;
    pb_reader_init(&reader, body);
    while (pb_next(&reader, &field)) {
        if (field.type != PB_VARINT || field.value == 0) {
            continue; /* a newer version's */
        }
        if (field.number == 1) {
            cluster->has_active_size = true;
            cluster->active_size = field.value - 1;
        } else if (field.number == 2) {
            cluster->has_remove_delay = true;
            cluster->remove_delay_us = field.value - 1;
        } else if (field.number == 3) {
            cluster->has_sync_interval = true;
            cluster->sync_interval_us = field.value - 1;
        }
    }
    return !reader.failed;
}

/* 1 op  2 member  3 name  4 peer_urls  5 client_urls. */
static void encode_member(struct buf *out, const struct member_command *member)
{
    pb_put_u64(out, 1, member->op);
    pb_put_u64(out, 2, member->member);
    pb_put_bytes(out, 3, member->name);
    pb_put_bytes(out, 4, member->peer_urls);
    pb_put_bytes(out, 5, member->client_urls);
}

static bool decode_member(struct slice body, struct member_command *member)
{
    struct pb_reader reader;
    struct pb_field field;
    pb_reader_init(&reader, body);
    while (pb_next(&reader, &field)) {
        if (field.number == 1 && field.value <= UINT32_MAX) {
            member->op = (uint32_t)field.value;
        } else if (field.number == 2) {
            member->member = field.value;
        } else if (field.number == 3) {
            member->name = field.bytes;
        } else if (field.number == 4) {
            member->peer_urls = field.bytes;
        } else if (field.number == 5) {
            member->client_urls = field.bytes;
        }
    }
    return !reader.failed;
}

/* 1 member; 0, whoever is fittest, is left out. */
static bool decode_transfer(struct slice body, uint64_t *to)
{
    struct pb_reader reader;
    struct pb_field field;
    pb_reader_init(&reader, body);
    while (pb_next(&reader, &field)) {
        if (field.number == 1) {
            *to = field.value;
        }
    }
    return !reader.failed;
}

/* Of each change:
 * 1 op  2 user  3 role  4 hash  5 no_password  6 access  7 key  8 range_end */
static void encode_auth(struct buf *out, const struct auth_command *auth)
{
    struct buf one = {0};
    for (size_t i = 0; i < auth->count; i++) {
        const struct auth_change *change = &auth->changes[i];
        one.size = 0;
        pb_put_u64(&one, 1, change->op);
        pb_put_bytes(&one, 2, change->user);
        pb_put_bytes(&one, 3, change->role);
        pb_put_bytes(&one, 4, change->hash);
        pb_put_bool(&one, 5, change->no_password);
        pb_put_u64(&one, 6, change->access);
        pb_put_bytes(&one, 7, change->key);
        pb_put_bytes(&one, 8, change->range_end);
        pb_put_bytes_always(out, 1, buf_slice(&one));
    }
    buf_deinit(&one);
}

static void decode_change_field(const struct pb_field *field,
                                struct auth_change *change)
{
    switch (field->number) {
    case 1:
        change->op = (enum auth_op)field->value;
        break;
    case 2:
        change->user = field->bytes;
        break;
    case 3:
        change->role = field->bytes;
        break;
    case 4:
        change->hash = field->bytes;
        break;
    case 5:
        change->no_password = field->value != 0;
        break;
    case 6:
        change->access = (uint32_t)field->value;
        break;
    case 7:
        change->key = field->bytes;
        break;
    case 8:
        change->range_end = field->bytes;
        break;
    default:
        break; /* a newer version's */
    }
}

static bool decode_change(struct slice body, struct auth_change *change)
{
    struct pb_reader reader;
    struct pb_field field;
    *change = (struct auth_change){0};
    pb_reader_init(&reader, body);
    while (pb_next(&reader, &field)) {
        decode_change_field(&field, change);
    }
    return !reader.failed && change->op >= AUTH_ENABLE &&
           change->op <= AUTH_TOKEN;
}

static size_t count_changes(struct slice body)
{
    struct pb_reader reader;
    struct pb_field field;
    size_t count = 0;
    pb_reader_init(&reader, body);
    while (pb_next(&reader, &field)) {
        count += field.number == 1 && field.type == PB_BYTES;
    }
    return count;
}

static bool decode_auth(struct slice body, struct arena *arena,
                        struct auth_command *auth)
{
    struct pb_reader reader;
    struct pb_field field;
    size_t most = count_changes(body);
    struct auth_change *changes =
        arena_try_alloc(arena, (most + 1) * sizeof(*changes));
    if (changes == NULL) {
        return false;
    }
    auth->changes = changes;
    pb_reader_init(&reader, body);
    while (pb_next(&reader, &field)) {
        if (field.number != 1 || field.type != PB_BYTES) {
            continue;
        }
        CHECK_LT(auth->count, most);
        if (!decode_change(field.bytes, &changes[auth->count])) {
            return false;
        }
        auth->count++;
    }
    return !reader.failed;
}

/* 1 prefix  2 keys_max  3 bytes_max. */
static bool decode_quota(struct slice body, struct quota_command *quota)
{
    struct pb_reader reader;
    struct pb_field field;
    pb_reader_init(&reader, body);
    while (pb_next(&reader, &field)) {
        if (field.number == 1) {
            quota->prefix = field.bytes;
        } else if (field.number == 2) {
            quota->keys_max = field.value;
        } else if (field.number == 3) {
            quota->bytes_max = field.value;
        }
    }
    return !reader.failed;
}

static void encode_body(struct buf *out, const struct command *command)
{
    switch (command->type) {
    case COMMAND_TREE:
        encode_tree(out, &command->tree);
        return;
    case COMMAND_EXPIRE:
        encode_leases(out, command->expire.leases, command->expire.count);
        return;
    case COMMAND_COMPACT:
        pb_put_i64(out, 1, command->compact);
        return;
    case COMMAND_PUBLISH:
        encode_publish(out, &command->publish);
        return;
    case COMMAND_CLUSTER:
        encode_cluster(out, &command->cluster);
        return;
    case COMMAND_MEMBER:
        encode_member(out, &command->member);
        return;
    case COMMAND_TRANSFER:
        pb_put_u64(out, 1, command->transfer_to);
        return;
    case COMMAND_PUT:
    case COMMAND_DELETE_RANGE:
    case COMMAND_TXN:
    case COMMAND_LEASE_GRANT:
    case COMMAND_LEASE_REVOKE:
    case COMMAND_ALARM:
        buf_append_slice(out, command->message);
        return;
    case COMMAND_LEASE_RENEW:
        encode_leases(out, command->renew.leases, command->renew.count);
        return;
    case COMMAND_AUTH:
        encode_auth(out, &command->auth);
        return;
    case COMMAND_QUOTA:
        pb_put_bytes(out, 1, command->quota.prefix);
        pb_put_u64(out, 2, command->quota.keys_max);
        pb_put_u64(out, 3, command->quota.bytes_max);
        return;
    }
    UNREACHABLE();
}

size_t command_origin_encode(uint64_t from, uint64_t number,
                             char out[COMMAND_ORIGIN_BYTES_MAX])
{
    CHECK(from != 0 && number != 0);
    out[0] = 3 << 3 | PB_FIXED64;
    put_le64(out + 1, from);
    out[9] = 4 << 3 | PB_VARINT;
    return 10 + put_varint(out + 10, number);
}

/* The body's length stands before the body, so it is encoded behind a gap
 * that the head then fills from its right end. */
struct refbuf *command_encode(const struct command *command)
{
    struct buf body = {0};
    struct buf head = {0};
    char origin[COMMAND_ORIGIN_BYTES_MAX];
    size_t origin_size = 0;
    if (command->from != 0) {
        origin_size =
            command_origin_encode(command->from, command->number, origin);
    }
    buf_reserve(&body, 512);
    buf_reserve(&head, 32);
    encode_body(&body, command);
    size_t body_size = body.size;
    pb_put_bool(&body, 5, command->by_recipe);
    pb_put_bytes(&body, 6, command->user);
    pb_put_u64(&body, 7, command->auth_revision);
    pb_put_u64(&head, 1, command->type);
    pb_put_bytes_always(&head, 2, slice_of(NULL, 0));
    head.size--; /* the empty length */
    char size[VARINT_BYTES_MAX];
    buf_append(&head, size, put_varint(size, body_size));
    struct refbuf *out = refbuf_new(head.size + body.size + origin_size);
    memcpy(out->bytes, head.at, head.size);
    memcpy(out->bytes + head.size, body.at, body.size);
    memcpy(out->bytes + head.size + body.size, origin, origin_size);
    buf_deinit(&head);
    buf_deinit(&body);
    return out;
}

static bool decode_body(struct slice body, struct arena *arena,
                        struct command *out)
{
    switch (out->type) {
    case COMMAND_TREE:
        return decode_tree(body, &out->tree);
    case COMMAND_EXPIRE:
        return decode_leases(body, arena, &out->expire.leases,
                             &out->expire.count);
    case COMMAND_COMPACT:
        return decode_compact(body, &out->compact);
    case COMMAND_PUBLISH:
        return decode_publish(body, &out->publish);
    case COMMAND_CLUSTER:
        return decode_cluster(body, &out->cluster);
    case COMMAND_MEMBER:
        return decode_member(body, &out->member);
    case COMMAND_TRANSFER:
        return decode_transfer(body, &out->transfer_to);
    case COMMAND_PUT:
    case COMMAND_DELETE_RANGE:
    case COMMAND_TXN:
    case COMMAND_LEASE_GRANT:
    case COMMAND_LEASE_REVOKE:
    case COMMAND_ALARM:
        /* Who applies it takes it apart: the message is proto/'s other half,
         * and most readers of a command don't look into it. */
        out->message = body;
        return true;
    case COMMAND_LEASE_RENEW:
        return decode_leases(body, arena, &out->renew.leases,
                             &out->renew.count);
    case COMMAND_AUTH:
        return decode_auth(body, arena, &out->auth);
    case COMMAND_QUOTA:
        return decode_quota(body, &out->quota);
    }
    return false;
}

enum err command_decode(struct slice input, struct arena *arena,
                        struct command *out)
{
    struct pb_reader reader;
    struct pb_field field;
    struct slice body = {0};
    uint64_t type = 0;
    memset(out, 0, sizeof(*out));
    pb_reader_init(&reader, input);
    while (pb_next(&reader, &field)) {
        if (field.number == 1 && field.type == PB_VARINT) {
            type = field.value;
        } else if (field.number == 2 && field.type == PB_BYTES) {
            body = field.bytes;
        } else if (field.number == 3 && field.type == PB_FIXED64) {
            out->from = field.value;
        } else if (field.number == 4 && field.type == PB_VARINT) {
            out->number = field.value;
        } else if (field.number == 5 && field.type == PB_VARINT) {
            out->by_recipe = field.value != 0;
        } else if (field.number == 6 && field.type == PB_BYTES) {
            out->user = field.bytes;
        } else if (field.number == 7 && field.type == PB_VARINT) {
            out->auth_revision = field.value;
        }
    }
    if (reader.failed || (out->from == 0) != (out->number == 0)) {
        return err_set(ERR_CORRUPT, "a command is malformed");
    }
    if (type < COMMAND_TREE || type > COMMAND_QUOTA) {
        return err_set(ERR_UNSUPPORTED, "a command of type %llu",
                       (unsigned long long)type);
    }
    out->type = (enum command_type)type;
    if (!decode_body(body, arena, out)) {
        return err_set(ERR_CORRUPT, "a command of type %llu is malformed",
                       (unsigned long long)type);
    }
    return ERR_OK;
}
