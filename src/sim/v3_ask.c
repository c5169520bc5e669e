/* What clients ask of v3: the request messages, as rpc/ would hand them on.
 *
 *   /k0 ...          the plain keys, which v2 writes too
 *   p0/a p0/b        a pair, out of v2's sight;  /p1/a /p1/b  in its sight
 *   /l/0/1 ...       keys of leases;             /t/0 ...     with v2's TTLs
 *
 * A pair is one object: both keys have one value, or neither is there. */
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "proto/message.h"
#include "sim/sim_int.h"

int sim__part_count(int object)
{
    return object < SIM_KEYS ? 1 : 2;
}

void sim__part_name(int object, int part, char out[SIM_PATH_BYTES_MAX])
{
    CHECK(object >= 0 && object < SIM_OBJECTS);
    int pair = object - SIM_KEYS;
    if (pair < 0)
        snprintf(out, SIM_PATH_BYTES_MAX, "/k%d", object);
    else
        snprintf(out, SIM_PATH_BYTES_MAX, "%sp%d/%c", pair % 2 ? "/" : "", pair,
                 'a' + part);
}

bool sim__is_v3(enum sim_kind kind)
{
    return kind >= SIM_GET;
}

bool sim__is_plain(enum sim_kind kind)
{
    return kind <= SIM_REMOVE || (kind >= SIM_GET && kind <= SIM_END_IF);
}

/* ---- txns ---------------------------------------------------------------- */

/* A txn on an object, with all that may lie in it. */
struct asked {
    struct sim_op *op;
    struct buf value;
    struct buf expect;
    char names[2][SIM_PATH_BYTES_MAX];
    char behind[SIM_PATH_BYTES_MAX]; /* both */
    int parts;
    Etcdserverpb__Compare compares[2];
    Etcdserverpb__Compare *compare_list[2];
    Etcdserverpb__PutRequest puts[2];
    Etcdserverpb__DeleteRangeRequest end;
    Etcdserverpb__RangeRequest range;
    Etcdserverpb__RequestOp ops[4];
    Etcdserverpb__RequestOp *success[2];
    Etcdserverpb__RequestOp *failure[1];
    Etcdserverpb__RequestOp *inner[1];
    Etcdserverpb__TxnRequest nested;
    Etcdserverpb__TxnRequest txn;
};

static ProtobufCBinaryData name_of(const struct asked *asked, int part)
{
    return message_data(slice_str(asked->names[part]));
}

/* From the first key to behind the second one, where there is one. */
static void make_ranges(struct asked *asked)
{
    etcdserverpb__delete_range_request__init(&asked->end);
    etcdserverpb__range_request__init(&asked->range);
    asked->end.key = asked->range.key = name_of(asked, 0);
    asked->end.prev_kv = true;
    if (asked->parts == 2)
        asked->end.range_end = asked->range.range_end =
            message_data(slice_str(asked->behind));
}

static void make_puts(struct asked *asked)
{
    for (int i = 0; i < asked->parts; i++) {
        etcdserverpb__put_request__init(&asked->puts[i]);
        asked->puts[i].key = name_of(asked, i);
        asked->puts[i].value = message_data(buf_slice(&asked->value));
        asked->puts[i].prev_kv = true;
    }
}

static void compare_number(Etcdserverpb__Compare *compare, bool by_version,
                           bool greater, int64_t number)
{
    compare->result = greater ? ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER
                              : ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL;
    if (by_version) {
        compare->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION;
        compare->target_union_case =
            ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION;
        compare->version = number;
    } else {
        compare->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD;
        compare->target_union_case =
            ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION;
        compare->mod_revision = number;
    }
}

/* By value and by the revision where it was written come to the same, for each
 * value is written once. What isn't there has the revision 0 and no value. */
static void make_compare(struct asked *asked, Etcdserverpb__Compare *compare)
{
    const struct sim_op *op = asked->op;
    bool odd = op->value % 2 == 1;
    if (op->kind == SIM_PUT_NEW || op->kind == SIM_PUT_OLD) {
        compare_number(compare, odd, op->kind == SIM_PUT_OLD, 0);
    } else if (op->kind == SIM_END_IF ? op->expect == 0 || odd
                                      : op->expect != 0 && odd) {
        compare->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE;
        compare->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE;
        compare->value = message_data(buf_slice(&asked->expect));
    } else {
        compare_number(compare, false, false, op->expect_at);
    }
}

static void make_compares(struct asked *asked)
{
    if (asked->op->kind == SIM_PUT)
        return;
    for (int i = 0; i < asked->parts; i++) {
        etcdserverpb__compare__init(&asked->compares[i]);
        asked->compares[i].key = name_of(asked, i);
        make_compare(asked, &asked->compares[i]);
        asked->compare_list[i] = &asked->compares[i];
    }
    asked->txn.n_compare = (size_t)asked->parts;
    asked->txn.compare = asked->compare_list;
}

static void put_op(Etcdserverpb__RequestOp *op,
                   Etcdserverpb__PutRequest *request)
{
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op->request_put = request;
}

/* The second put lies in a txn of its own now and then. */
static void make_success(struct asked *asked)
{
    Etcdserverpb__RequestOp *ops = asked->ops;
    asked->txn.success = asked->success;
    asked->txn.n_success = 1;
    asked->success[0] = &ops[0];
    asked->success[1] = &ops[1];
    if (asked->op->kind == SIM_END_IF) {
        ops[0].request_case =
            ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
        ops[0].request_delete_range = &asked->end;
        return;
    }
    put_op(&ops[0], &asked->puts[0]);
    if (asked->parts == 1)
        return;
    asked->txn.n_success = 2;
    put_op(&ops[1], &asked->puts[1]);
    if (asked->op->value % 4 == 0) {
        put_op(&ops[2], &asked->puts[1]);
        asked->inner[0] = &ops[2];
        asked->nested.n_success = 1;
        asked->nested.success = asked->inner;
        ops[1].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN;
        ops[1].request_txn = &asked->nested;
    }
}

static void make_failure(struct asked *asked)
{
    Etcdserverpb__RequestOp *op = &asked->ops[3];
    op->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    op->request_range = &asked->range;
    asked->failure[0] = op;
    asked->txn.n_failure = 1;
    asked->txn.failure = asked->failure;
}

static enum command_type encode_object(struct asked *asked, struct buf *out)
{
    enum sim_kind kind = asked->op->kind;
    if (kind == SIM_END) {
        make_ranges(asked);
        CHECK_EQ(txn_check_delete_range(&asked->end), V3_OK);
        message_encode(&asked->end.base, out);
        return COMMAND_DELETE_RANGE;
    }
    if (kind == SIM_PUT && asked->parts == 1) {
        make_puts(asked);
        CHECK_EQ(txn_check_put(&asked->puts[0]), V3_OK);
        message_encode(&asked->puts[0].base, out);
        return COMMAND_PUT;
    }
    etcdserverpb__txn_request__init(&asked->txn);
    etcdserverpb__txn_request__init(&asked->nested);
    for (size_t i = 0; i < sizeof asked->ops / sizeof asked->ops[0]; i++)
        etcdserverpb__request_op__init(&asked->ops[i]);
    make_ranges(asked);
    make_puts(asked);
    make_compares(asked);
    make_success(asked);
    make_failure(asked);
    CHECK_EQ(txn_check(&asked->txn, 128), V3_OK);
    message_encode(&asked->txn.base, out);
    return COMMAND_TXN;
}

static enum command_type ask_object(struct sim_op *op, struct buf *out)
{
    struct asked asked = {.op = op, .parts = sim__part_count(op->key)};
    for (int i = 0; i < asked.parts; i++)
        sim__part_name(op->key, i, asked.names[i]);
    sim__part_name(op->key, 2, asked.behind);
    sim__put_value(&asked.value, op->value, op->sim->value_bytes);
    sim__put_value(&asked.expect, op->expect, op->sim->value_bytes);
    enum command_type type = encode_object(&asked, out);
    buf_deinit(&asked.value);
    buf_deinit(&asked.expect);
    return type;
}

/* ---- leases -------------------------------------------------------------- */

static enum command_type ask_grant(struct sim_op *op, struct buf *out)
{
    Etcdserverpb__LeaseGrantRequest request;
    etcdserverpb__lease_grant_request__init(&request);
    request.id = op->lease = op->value;
    request.ttl = prng_between(&op->sim->client_prng, 1, 8);
    message_encode(&request.base, out);
    return COMMAND_LEASE_GRANT;
}

static enum command_type ask_revoke(struct sim_op *op, struct buf *out)
{
    Etcdserverpb__LeaseRevokeRequest request;
    etcdserverpb__lease_revoke_request__init(&request);
    request.id = op->lease;
    message_encode(&request.base, out);
    return COMMAND_LEASE_REVOKE;
}

/* With a lease, or (of a key that may have a TTL) without one or with what it
 * has. */
static enum command_type ask_put(struct sim_op *op, struct buf *out)
{
    struct buf value = {0};
    Etcdserverpb__PutRequest request;
    etcdserverpb__put_request__init(&request);
    sim__put_value(&value, op->value, op->sim->value_bytes);
    request.key = message_data(slice_str(op->path));
    request.value = message_data(buf_slice(&value));
    request.lease = op->kind == SIM_ATTACH ? op->lease : 0;
    request.ignore_lease = op->kind == SIM_TAKE_OVER && op->value % 2;
    message_encode(&request.base, out);
    buf_deinit(&value);
    return COMMAND_PUT;
}

struct refbuf *sim__v3_command(struct sim_op *op)
{
    struct buf body = {0};
    struct command command = {0};
    CHECK(sim__is_v3(op->kind) && op->kind != SIM_GET);
    if (op->kind == SIM_GRANT)
        command.type = ask_grant(op, &body);
    else if (op->kind == SIM_REVOKE)
        command.type = ask_revoke(op, &body);
    else if (op->kind == SIM_KEEP)
        command = (struct command){.type = COMMAND_LEASE_RENEW,
                                   .renew = {&op->lease, 1}};
    else if (op->kind == SIM_ATTACH || op->kind == SIM_TAKE_OVER)
        command.type = ask_put(op, &body);
    else
        command.type = ask_object(op, &body);
    if (op->kind != SIM_KEEP)
        command.message = buf_slice(&body);
    struct refbuf *encoded = command_encode(&command);
    buf_deinit(&body);
    return encoded;
}
