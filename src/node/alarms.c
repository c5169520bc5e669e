/* Alarms: what somebody has raised for a member, kept in the store by one name
 * of its meta, so that all members know the same:
 *
 *   alarms     le64 member, le32 type; by member and type; as often as there
 *              are alarms
 *
 * A member that has no room itself needs none of them to refuse writes. */
#include "base/check.h"
#include "base/log.h"
#include "node/node_int.h"
#include "proto/pb.h"

enum {
    ALARM_BYTES = 12,
    NOSPACE = ETCDSERVERPB__ALARM_TYPE__NOSPACE,
    NONE = ETCDSERVERPB__ALARM_TYPE__NONE,
};

/* ---- looking ------------------------------------------------------------- */

bool node__is_full(const struct node *node)
{
    return atomic_load_explicit(&node->log_full, memory_order_relaxed) ||
           atomic_load_explicit(&node->kv_full, memory_order_relaxed) ||
           atomic_load_explicit(&node->over_quota, memory_order_relaxed);
}

bool node__has_alarm(const struct node *node, uint32_t type)
{
    for (size_t i = 0; i < node->alarm_count; i++) {
        if (node->alarms[i].type == type) {
            return true;
        }
    }
    return false;
}

static int compare(const struct node_alarm *a, member_id member, uint32_t type)
{
    if (a->member != member) {
        return a->member < member ? -1 : 1;
    }
    return a->type < type ? -1 : a->type > type;
}

/* Where it is, or where it would be. */
static bool find(const struct node_alarm *alarms, size_t count,
                 member_id member, uint32_t type, size_t *at)
{
    size_t i = 0;
    while (i < count && compare(&alarms[i], member, type) < 0) {
        i++;
    }
    *at = i;
    return i < count && compare(&alarms[i], member, type) == 0;
}

static void insert(struct node_alarm *alarms, size_t *count, size_t at,
                   member_id member, uint32_t type)
{
    CHECK_LE(at, *count);
    memmove(alarms + at + 1, alarms + at, (*count - at) * sizeof(*alarms));
    alarms[at] = (struct node_alarm){.member = member, .type = type};
    (*count)++;
}

size_t node_alarms(struct node *node, struct node_alarm *out, size_t max)
{
    struct node_alarm all[NODE_ALARMS_MAX + 1];
    size_t count = node->alarm_count;
    size_t at;
    CHECK_LE(count, NODE_ALARMS_MAX);
    memcpy(all, node->alarms, count * sizeof(*all));
    if (node__is_full(node) &&
        !find(all, count, node->member_id, NOSPACE, &at)) {
        insert(all, &count, at, node->member_id, NOSPACE);
    }
    count = count < max ? count : max;
    memcpy(out, all, count * sizeof(*all));
    return count;
}

/* ---- in the store -------------------------------------------------------- */

static void publish(struct node *node)
{
    atomic_store_explicit(&node->alarm_raised, node__has_alarm(node, NOSPACE),
                          memory_order_relaxed);
}

static void put_alarms(struct node *node)
{
    char bytes[NODE_ALARMS_MAX * ALARM_BYTES];
    size_t count = node->alarm_count;
    for (size_t i = 0; i < count; i++) {
        put_le64(bytes + i * ALARM_BYTES, node->alarms[i].member);
        put_le32(bytes + i * ALARM_BYTES + 8, node->alarms[i].type);
    }
    mvcc_meta_put(node->mvcc, SLICE("alarms"),
                  count > 0 ? slice_of(bytes, count * ALARM_BYTES)
                            : slice_of(NULL, 0));
    publish(node);
}

void node__load_alarms(struct node *node)
{
    struct slice value;
    node->alarm_count = 0;
    if (mvcc_meta_get(node->mvcc, SLICE("alarms"), &value)) {
        size_t count = value.size / ALARM_BYTES;
        CHECK_LE(count, NODE_ALARMS_MAX);
        for (size_t i = 0; i < count; i++) {
            node->alarms[i] = (struct node_alarm){
                .member = get_le64(value.at + i * ALARM_BYTES),
                .type = get_le32(value.at + i * ALARM_BYTES + 8)};
        }
        node->alarm_count = count;
    }
    publish(node);
}

/* ---- raised and ended ---------------------------------------------------- */

/* An AlarmResponse's list. */
static void tell(struct txn_answer *answer, member_id member, uint32_t type)
{
    struct buf alarm = {0};
    pb_put_u64(&alarm, 1, member);
    pb_put_u64(&alarm, 2, type);
    pb_put_bytes_always(&answer->body, 2, buf_slice(&alarm));
    buf_deinit(&alarm);
}

static void raise_alarm(struct node *node, member_id member, uint32_t type,
                        struct txn_answer *answer)
{
    size_t at;
    if (!find(node->alarms, node->alarm_count, member, type, &at)) {
        if (node->alarm_count == NODE_ALARMS_MAX) {
            answer->error = V3_REQUEST_TOO_MANY_REQUESTS;
            return;
        }
        insert(node->alarms, &node->alarm_count, at, member, type);
        put_alarms(node);
        log_warn("node", "an alarm was raised", LOG_UINT("member", member),
                 LOG_UINT("type", type));
    }
    tell(answer, member, type);
}

static void end_alarm(struct node *node, member_id member, uint32_t type,
                      struct txn_answer *answer)
{
    size_t at;
    if (!find(node->alarms, node->alarm_count, member, type, &at)) {
        return;
    }
    node->alarm_count--;
    memmove(node->alarms + at, node->alarms + at + 1,
            (node->alarm_count - at) * sizeof(node->alarms[0]));
    put_alarms(node);
    log_info("node", "an alarm was ended", LOG_UINT("member", member),
             LOG_UINT("type", type));
    tell(answer, member, type);
}

void node__apply_alarm(struct node *node,
                       const Etcdserverpb__AlarmRequest *request,
                       struct txn_answer *answer)
{
    uint32_t type = (uint32_t)request->alarm;
    if (type == NONE) {
        return;
    }
    switch (request->action) {
    case ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__ACTIVATE:
        raise_alarm(node, request->memberid, type, answer);
        return;
    case ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__DEACTIVATE:
        end_alarm(node, request->memberid, type, answer);
        return;
    default:
        return; /* asking needs no entry */
    }
}
