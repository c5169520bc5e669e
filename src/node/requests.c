/* Requests of v3: what each entry of theirs does, and what may pass while
 * there is no room. A request was checked before it was proposed; what it
 * comes to is computed here, by every member, and kept by the one that is
 * asked. */
#include "base/check.h"
#include "base/log.h"
#include "node/node_int.h"
#include "proto/message.h"
#include "proto/pb.h"

/* One entry on its way. */
struct job {
    struct node *node;
    const struct command *command;
    int64_t time_ns;
    bool wanted;               /* somebody waits for the answer here */
    enum err err;              /* of the store, while it was looked at */
    struct txn_answer *answer; /* zero at first */
};

/* ---- messages ------------------------------------------------------------ */

static const ProtobufCMessageDescriptor *message_type(enum command_type type)
{
    switch (type) {
    case COMMAND_PUT:
        return &etcdserverpb__put_request__descriptor;
    case COMMAND_DELETE_RANGE:
        return &etcdserverpb__delete_range_request__descriptor;
    case COMMAND_TXN:
        return &etcdserverpb__txn_request__descriptor;
    case COMMAND_LEASE_GRANT:
        return &etcdserverpb__lease_grant_request__descriptor;
    case COMMAND_LEASE_REVOKE:
        return &etcdserverpb__lease_revoke_request__descriptor;
    case COMMAND_ALARM:
        return &etcdserverpb__alarm_request__descriptor;
    default:
        return NULL;
    }
}

static enum err decode(struct node *node, const struct command *command,
                       ProtobufCMessage **out)
{
    const ProtobufCMessageDescriptor *type = message_type(command->type);
    CHECK(type != NULL);
    enum err err = message_decode(type, command->message, &node->arena, out);
    return err == ERR_OK
               ? ERR_OK
               : err_set(ERR_CORRUPT, "a command of type %d holds no %s",
                         (int)command->type, type->short_name);
}

static void take_put_field(const struct pb_field *field,
                           Etcdserverpb__PutRequest *out)
{
    switch (field->number) {
    case 1:
        out->key = message_data(field->bytes);
        break;
    case 2:
        out->value = message_data(field->bytes);
        break;
    case 3:
        out->lease = (int64_t)field->value;
        break;
    case 4:
        out->prev_kv = field->value != 0;
        break;
    case 5:
        out->ignore_value = field->value != 0;
        break;
    case 6:
        out->ignore_lease = field->value != 0;
        break;
    default:
        break; /* a newer version's */
    }
}

/* A put is most of what is written: it is read where it is, without a copy. */
static bool decode_put(struct slice body, Etcdserverpb__PutRequest *out)
{
    struct pb_reader reader;
    struct pb_field field;
    etcdserverpb__put_request__init(out);
    pb_reader_init(&reader, body);
    while (pb_next(&reader, &field)) {
        enum pb_type type = field.number <= 2 ? PB_BYTES : PB_VARINT;
        if (field.number <= 6 && field.type != type) {
            return false;
        }
        take_put_field(&field, out);
    }
    return !reader.failed;
}

bool node__is_well_formed(struct node *node, const struct command *command)
{
    Etcdserverpb__PutRequest put;
    ProtobufCMessage *message;
    if (command->type == COMMAND_PUT) {
        return decode_put(command->message, &put);
    }
    return message_type(command->type) == NULL ||
           decode(node, command, &message) == ERR_OK;
}

/* ---- room ---------------------------------------------------------------- */

static bool takes_room(struct node *node, const struct command *command)
{
    ProtobufCMessage *message;
    switch (command->type) {
    case COMMAND_TREE:
        return command->tree.op != TREE_DELETE &&
               command->tree.op != TREE_COMPARE_AND_DELETE;
    case COMMAND_PUT:
    case COMMAND_LEASE_GRANT:
        return true;
    case COMMAND_TXN:
        return decode(node, command, &message) != ERR_OK ||
               txn_has_put((const Etcdserverpb__TxnRequest *)message);
    default:
        return false;
    }
}

bool node__is_refused(struct node *node, const struct refbuf *encoded)
{
    struct command command;
    if (!node__is_full(node) &&
        !atomic_load_explicit(&node->alarm_raised, memory_order_relaxed)) {
        return false;
    }
    arena_reset(&node->arena);
    return command_decode(slice_of(encoded->bytes, encoded->size), &node->arena,
                          &command) != ERR_OK ||
           takes_room(node, &command);
}

/* ---- each of them -------------------------------------------------------- */

static void keep_commit(struct job *job, struct mvcc_commit *commit)
{
    if (commit != NULL) {
        CHECK(commit->count > 0);
        node__add_commit(job->node, commit);
    }
}

/* Its user may not, or a quota is used up: nothing is done, and the answer
 * says why. True as well where the store fails (job->err). */
static bool is_refused(struct job *job, const ProtobufCMessage *message)
{
    CHECK_EQ(job->answer->error, V3_OK);
    job->answer->error = node__may(job->node, job->command, message);
    if (job->answer->error == V3_OK) {
        job->err = node__check_quotas(job->node, job->command, message,
                                      &job->answer->error);
    }
    return job->err != ERR_OK || job->answer->error != V3_OK;
}

static enum err put(struct job *job)
{
    struct mvcc_commit *commit = NULL;
    Etcdserverpb__PutRequest request;
    if (!decode_put(job->command->message, &request)) {
        return err_set(ERR_CORRUPT, "a put is malformed");
    }
    if (is_refused(job, &request.base)) {
        return job->err;
    }
    enum err err = txn_put(&job->node->txn, &request, job->time_ns, job->wanted,
                           job->answer, &commit);
    CHECK(err == ERR_OK || commit == NULL);
    keep_commit(job, commit);
    return err;
}

static enum err delete_range(struct job *job, const ProtobufCMessage *message)
{
    struct mvcc_commit *commit = NULL;
    enum err err = txn_delete_range(
        &job->node->txn, (const Etcdserverpb__DeleteRangeRequest *)message,
        job->time_ns, job->wanted, job->answer, &commit);
    CHECK(err == ERR_OK || commit == NULL);
    keep_commit(job, commit);
    return err;
}

static enum err run_txn(struct job *job, const ProtobufCMessage *message)
{
    struct mvcc_commit *commit = NULL;
    enum err err =
        txn_run(&job->node->txn, (const Etcdserverpb__TxnRequest *)message,
                job->time_ns, job->wanted, job->answer, &commit);
    CHECK(err == ERR_OK || commit == NULL);
    keep_commit(job, commit);
    return err;
}

/* LeaseGrantResponse and LeaseKeepAliveResponse are made alike. */
static void tell_lease(struct job *job, lease_id id, int64_t ttl_s)
{
    if (job->wanted && job->answer->error == V3_OK) {
        pb_put_i64(&job->answer->body, 2, id);
        pb_put_i64(&job->answer->body, 3, ttl_s);
    }
}

static void grant(struct job *job, const ProtobufCMessage *message)
{
    const Etcdserverpb__LeaseGrantRequest *request =
        (const Etcdserverpb__LeaseGrantRequest *)message;
    int64_t granted_s;
    job->answer->error = node__grant(job->node, request->id, request->ttl,
                                     job->time_ns, &granted_s);
    tell_lease(job, request->id, granted_s);
}

static enum err revoke(struct job *job, const ProtobufCMessage *message)
{
    const Etcdserverpb__LeaseRevokeRequest *request =
        (const Etcdserverpb__LeaseRevokeRequest *)message;
    return node__revoke(job->node, request->id, job->time_ns,
                        &job->answer->error);
}

static void renew(struct job *job)
{
    const struct renew_command *renewed = &job->command->renew;
    int64_t ttl_s = 0;
    for (size_t i = 0; i < renewed->count; i++) {
        ttl_s = node__renew(job->node, renewed->leases[i], job->time_ns);
    }
    if (renewed->count == 1) {
        tell_lease(job, renewed->leases[0], ttl_s);
    }
}

/* As in etcd, 0 may be compacted too: once, and before all others. It changes
 * nothing, but that it isn't done again. */
static enum err compact_none(struct node *node)
{
    const struct slice name = SLICE("compacted-none");
    struct mvcc_status status;
    struct slice found;
    mvcc_status(node->mvcc, &status);
    if (status.compacted > 0 || mvcc_meta_get(node->mvcc, name, &found)) {
        return ERR_COMPACTED;
    }
    mvcc_meta_put(node->mvcc, name, SLICE("1"));
    return ERR_OK;
}

static enum err compact(struct job *job)
{
    struct node *node = job->node;
    revision at = job->command->compact;
    enum err err = at == 0 ? compact_none(node) : mvcc_compact(node->mvcc, at);
    if (err == ERR_COMPACTED || err == ERR_FUTURE_REVISION) {
        job->answer->error =
            err == ERR_COMPACTED ? V3_COMPACTED : V3_FUTURE_REV;
        return ERR_OK; /* no change, the same on every member */
    }
    if (err == ERR_OK && at > 0) {
        node->compacting = true;
        node__count(node, NODE_COUNTER(compactions), 1);
        log_info("mvcc", "compacted history", LOG_INT("revision", at));
    }
    return err;
}

/* `message` is what was decoded: of those that have one, but a put. */
static enum err run_decoded(struct job *job, const ProtobufCMessage *message)
{
    switch (job->command->type) {
    case COMMAND_DELETE_RANGE:
        return delete_range(job, message);
    case COMMAND_TXN:
        return run_txn(job, message);
    case COMMAND_LEASE_GRANT:
        grant(job, message);
        return ERR_OK;
    case COMMAND_LEASE_REVOKE:
        return revoke(job, message);
    case COMMAND_LEASE_RENEW:
        renew(job);
        return ERR_OK;
    case COMMAND_ALARM:
        node__apply_alarm(job->node,
                          (const Etcdserverpb__AlarmRequest *)message,
                          job->answer);
        return ERR_OK;
    case COMMAND_COMPACT:
        return compact(job);
    case COMMAND_QUOTA:
        return node__apply_quota(job->node, &job->command->quota, job->answer);
    case COMMAND_CLUSTER:
        node__apply_cluster(job->node, &job->command->cluster);
        return ERR_OK;
    default:
        UNREACHABLE();
    }
}

static enum err run(struct job *job)
{
    const struct command *command = job->command;
    ProtobufCMessage *message = NULL;
    enum err err = ERR_OK;
    job->node->txn.by_recipe = command->by_recipe;
    if (command->type == COMMAND_PUT) {
        return put(job);
    }
    if (command->type == COMMAND_AUTH) {
        job->answer->error = node__apply_auth(job->node, command, job->time_ns);
        return ERR_OK;
    }
    if (message_type(command->type) != NULL) {
        err = decode(job->node, command, &message);
    }
    if (err != ERR_OK) {
        return err;
    }
    if (is_refused(job, message)) {
        return job->err;
    }
    return run_decoded(job, message);
}

/* With the alarm CORRUPT nothing is written any more, as in etcd; but the
 * alarm itself can be ended. */
static bool is_barred(const struct job *job)
{
    return job->command->type != COMMAND_ALARM &&
           job->command->type != COMMAND_LEASE_RENEW &&
           job->command->type != COMMAND_AUTH &&
           job->command->type != COMMAND_CLUSTER &&
           node__has_alarm(job->node, ETCDSERVERPB__ALARM_TYPE__CORRUPT);
}

void node__count_operations(struct node *node, const struct txn_count *done)
{
    node__count(node, NODE_COUNTER(ranges), done->ranges);
    node__count(node, NODE_COUNTER(puts), done->puts);
    node__count(node, NODE_COUNTER(deletes), done->deletes);
    if (done->ranges + done->puts + done->deletes > 1) {
        node__count(node, NODE_COUNTER(txns), 1);
    }
}

enum err node__apply_request(struct node *node, const struct command *command,
                             int64_t time_ns, struct node_request *request)
{
    struct txn_answer own = {0};
    struct job job = {
        .node = node,
        .command = command,
        .time_ns = time_ns,
        .wanted = request != NULL,
        .answer = request != NULL ? &request->answer : &own,
    };
    CHECK(job.answer->error == V3_OK && job.answer->body.at == NULL);
    enum err err = ERR_OK;
    if (is_barred(&job)) {
        job.answer->error = V3_CORRUPT;
    } else {
        err = run(&job);
    }
    if (job.answer->revision == 0) {
        job.answer->revision = mvcc_next_revision(node->mvcc) - 1;
    }
    node__count_operations(node, &job.answer->count);
    job.answer->time_ns = mvcc_newest_time_ns(node->mvcc);
    txn_answer_deinit(&own);
    return err;
}
