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

/* 1 lease, repeated. */
static void encode_expire(struct buf *out, const struct expire_command *expire)
{
    for (size_t i = 0; i < expire->count; i++) {
        CHECK_NE(expire->leases[i], 0);
        pb_put_i64(out, 1, expire->leases[i]);
    }
}

static bool decode_expire(struct slice body, struct arena *arena,
                          struct expire_command *expire)
{
    struct pb_reader reader;
    struct pb_field field;
    /* A field takes at least two bytes. */
    int64_t *leases = arena_try_alloc(arena, (body.size / 2 + 1) * 8);
    if (leases == NULL) {
        return false;
    }
    expire->leases = leases;
    expire->count = 0;
    pb_reader_init(&reader, body);
    while (pb_next(&reader, &field)) {
        if (field.number == 1 && field.type == PB_VARINT) {
            leases[expire->count++] = (int64_t)field.value;
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

static void encode_body(struct buf *out, const struct command *command)
{
    switch (command->type) {
    case COMMAND_TREE:
        encode_tree(out, &command->tree);
        return;
    case COMMAND_EXPIRE:
        encode_expire(out, &command->expire);
        return;
    case COMMAND_COMPACT:
        pb_put_i64(out, 1, command->compact);
        return;
    case COMMAND_PUBLISH:
        encode_publish(out, &command->publish);
        return;
    }
    UNREACHABLE();
}

/* The body's length stands before the body, so it is encoded behind a gap
 * that the head then fills from its right end. */
struct refbuf *command_encode(const struct command *command)
{
    struct buf body = {0};
    struct buf head = {0};
    buf_reserve(&body, 512);
    buf_reserve(&head, 32);
    encode_body(&body, command);
    pb_put_u64(&head, 1, command->type);
    pb_put_bytes_always(&head, 2, slice_of(NULL, 0));
    head.size--; /* the empty length */
    char size[VARINT_BYTES_MAX];
    buf_append(&head, size, put_varint(size, body.size));
    struct refbuf *out = refbuf_new(head.size + body.size);
    memcpy(out->bytes, head.at, head.size);
    memcpy(out->bytes + head.size, body.at, body.size);
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
        return decode_expire(body, arena, &out->expire);
    case COMMAND_COMPACT:
        return decode_compact(body, &out->compact);
    case COMMAND_PUBLISH:
        return decode_publish(body, &out->publish);
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
        }
    }
    if (reader.failed) {
        return err_set(ERR_CORRUPT, "a command is malformed");
    }
    if (type < COMMAND_TREE || type > COMMAND_PUBLISH) {
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
