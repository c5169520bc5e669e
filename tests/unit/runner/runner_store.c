#include "runner_store.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "proto/history.pb-c.h"
#include "proto/pb.h"

enum { CODE_INVALID = 3, CODE_NOT_FOUND = 5, CODE_OUT_OF_RANGE = 11 };
enum { TXN_OPERATIONS_MAX = 128 };

void memory_store_init(struct memory_store *store)
{
    *store = (struct memory_store){.revision = 1, .next_lease = 1000};
    arena_init(&store->arena, 0);
}

void memory_store_deinit(struct memory_store *store)
{
    for (size_t i = 0; i < store->key_count; i++) {
        mem_free(store->keys[i]->versions);
        mem_free(store->keys[i]);
    }
    mem_free(store->keys);
    mem_free(store->events);
    mem_free(store->leases);
    arena_deinit(&store->arena);
}

/* ---- keys ---------------------------------------------------------------- */

static size_t place_of(const struct memory_store *store, struct slice key)
{
    size_t low = 0;
    size_t high = store->key_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_cmp(store->keys[middle]->key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct store_key *find(const struct memory_store *store,
                              struct slice key)
{
    size_t place = place_of(store, key);
    bool is_it =
        place < store->key_count && slice_eq(store->keys[place]->key, key);
    return is_it ? store->keys[place] : NULL;
}

static struct slice keep(struct memory_store *store, struct slice bytes)
{
    if (bytes.size == 0)
        return SLICE("");
    return slice_of(arena_dup(&store->arena, bytes.at, bytes.size), bytes.size);
}

static struct store_key *find_or_make(struct memory_store *store,
                                      struct slice name)
{
    struct store_key *key = find(store, name);
    if (key)
        return key;
    size_t place = place_of(store, name);
    key = mem_alloc_zero(sizeof *key);
    key->key = keep(store, name);
    store->keys =
        mem_realloc(store->keys, (store->key_count + 1) * sizeof *store->keys);
    memmove(store->keys + place + 1, store->keys + place,
            (store->key_count - place) * sizeof *store->keys);
    store->keys[place] = key;
    store->key_count++;
    return key;
}

static const struct store_version *version_at(const struct store_key *key,
                                              int64_t revision)
{
    for (size_t i = key->count; i-- > 0;)
        if (revision == 0 || key->versions[i].mod_revision <= revision)
            return key->versions[i].version ? &key->versions[i] : NULL;
    return NULL;
}

const struct store_version *memory_store_get(const struct memory_store *store,
                                             struct slice key, int64_t revision)
{
    const struct store_key *found = find(store, key);
    return found ? version_at(found, revision) : NULL;
}

bool memory_store_in_range(struct slice key, struct slice from,
                           struct slice end)
{
    if (end.size == 0)
        return slice_eq(key, from);
    bool is_open = end.size == 1 && end.at[0] == 0;
    return slice_cmp(key, from) >= 0 && (is_open || slice_cmp(key, end) < 0);
}

/* ---- changes ------------------------------------------------------------- */

static void change(struct memory_store *store, struct store_key *key,
                   const struct store_version *to, const char *cause)
{
    const struct store_version *was = version_at(key, 0);
    struct store_event event = {
        .revision = to->mod_revision,
        .key = key,
        .kv = *to,
        .prev = was ? *was : (struct store_version){0},
        .cause = cause,
        .time_ns = store->now_ns,
    };
    if ((key->count & (key->count - 1)) == 0)
        key->versions = mem_realloc(
            key->versions, (key->count ? key->count * 2 : 1) * sizeof *to);
    key->versions[key->count++] = *to;
    if ((store->event_count & (store->event_count - 1)) == 0)
        store->events = mem_realloc(
            store->events,
            (store->event_count ? store->event_count * 2 : 1) * sizeof event);
    store->events[store->event_count++] = event;
}

static void put(struct memory_store *store, int64_t revision, struct slice name,
                struct slice value, int64_t lease, const char *cause)
{
    struct store_key *key = find_or_make(store, name);
    const struct store_version *was = version_at(key, 0);
    struct store_version to = {
        .mod_revision = revision,
        .create_revision = was ? was->create_revision : revision,
        .version = was ? was->version + 1 : 1,
        .lease = lease,
        .value = keep(store, value),
    };
    change(store, key, &to, cause);
}

static size_t delete_range(struct memory_store *store, int64_t revision,
                           struct slice from, struct slice end,
                           const char *cause)
{
    size_t count = 0;
    for (size_t i = place_of(store, from); i < store->key_count; i++) {
        struct store_key *key = store->keys[i];
        if (!memory_store_in_range(key->key, from, end))
            break;
        if (!version_at(key, 0))
            continue;
        struct store_version to = {.mod_revision = revision,
                                   .value = SLICE("")};
        change(store, key, &to, cause);
        count++;
    }
    return count;
}

int64_t memory_store_put(struct memory_store *store, struct slice key,
                         struct slice value, int64_t lease)
{
    put(store, ++store->revision, key, value, lease, "put");
    return store->revision;
}

int64_t memory_store_delete(struct memory_store *store, struct slice key)
{
    if (delete_range(store, store->revision + 1, key, SLICE(""), "delete"))
        store->revision++;
    return store->revision;
}

void memory_store_compact(struct memory_store *store, int64_t revision)
{
    CHECK_LE(revision, store->revision);
    if (revision > store->compacted)
        store->compacted = revision;
}

size_t memory_store_event_at(const struct memory_store *store, int64_t revision)
{
    size_t low = 0;
    size_t high = store->event_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (store->events[middle].revision < revision)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- leases -------------------------------------------------------------- */

static struct store_lease *find_lease(struct memory_store *store, int64_t id)
{
    for (size_t i = 0; i < store->lease_count; i++)
        if (store->leases[i].id == id)
            return &store->leases[i];
    return NULL;
}

static void end_lease(struct memory_store *store, struct store_lease *lease,
                      const char *cause)
{
    int64_t id = lease->id;
    int64_t revision = store->revision + 1;
    size_t count = 0;
    *lease = store->leases[--store->lease_count];
    for (size_t i = 0; i < store->key_count; i++) {
        const struct store_version *now = version_at(store->keys[i], 0);
        if (now && now->lease == id)
            count += delete_range(store, revision, store->keys[i]->key,
                                  SLICE(""), cause);
    }
    if (count)
        store->revision = revision;
}

void memory_store_tick(struct memory_store *store, int64_t now_ns)
{
    store->now_ns = now_ns;
    for (size_t i = 0; i < store->lease_count;)
        if (store->leases[i].ends_ns <= now_ns)
            end_lease(store, &store->leases[i], "expire");
        else
            i++;
}

/* ---- replies ------------------------------------------------------------- */

static void refuse(struct store_reply *reply, int code, const char *text)
{
    *reply = (struct store_reply){.code = code, .text = text};
}

static void put_header(const struct memory_store *store, struct buf *out)
{
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    struct buf bytes = {0};
    header.revision = store->revision;
    message_encode(&header.base, &bytes);
    pb_put_bytes_always(out, 1, buf_slice(&bytes));
    buf_deinit(&bytes);
}

static void *decode(const ProtobufCMessageDescriptor *type,
                    struct slice request, struct arena *arena)
{
    ProtobufCMessage *message;
    enum err err = message_decode(type, request, arena, &message);
    CHECK_EQ(err, ERR_OK); /* the runner's requests can be read */
    return message;
}

/* ---- Range --------------------------------------------------------------- */

struct found {
    const struct store_key *key;
    const struct store_version *version;
};

static int by_mod(const void *a, const void *b)
{
    const struct found *left = a;
    const struct found *right = b;
    if (left->version->mod_revision != right->version->mod_revision)
        return left->version->mod_revision < right->version->mod_revision ? -1
                                                                          : 1;
    return slice_cmp(left->key->key, right->key->key);
}

static void put_kv(struct buf *out, uint32_t number, struct slice key,
                   const struct store_version *version, bool keys_only)
{
    Mvccpb__KeyValue kv = MVCCPB__KEY_VALUE__INIT;
    struct buf bytes = {0};
    kv.key = message_data(key);
    kv.create_revision = version->create_revision;
    kv.mod_revision = version->mod_revision;
    kv.version = version->version;
    kv.lease = version->lease;
    if (!keys_only)
        kv.value = message_data(version->value);
    message_encode(&kv.base, &bytes);
    pb_put_bytes_always(out, number, buf_slice(&bytes));
    buf_deinit(&bytes);
}

static bool passes(const Etcdserverpb__RangeRequest *request,
                   const struct store_version *version)
{
    return (!request->min_mod_revision ||
            version->mod_revision >= request->min_mod_revision) &&
           (!request->max_mod_revision ||
            version->mod_revision <= request->max_mod_revision);
}

static int range(const struct memory_store *store,
                 const Etcdserverpb__RangeRequest *request, struct buf *out,
                 const char **text)
{
    struct slice from = message_bytes(request->key);
    struct slice end = message_bytes(request->range_end);
    *text = "mvcc: required revision has been compacted";
    if (request->revision && request->revision < store->compacted)
        return CODE_OUT_OF_RANGE;
    *text = "mvcc: required revision is a future revision";
    if (request->revision > store->revision)
        return CODE_OUT_OF_RANGE;
    struct found *all = mem_alloc((store->key_count + 1) * sizeof *all);
    size_t count = 0;
    int64_t total = 0;
    for (size_t i = place_of(store, from); i < store->key_count; i++) {
        const struct store_key *key = store->keys[i];
        if (!memory_store_in_range(key->key, from, end))
            break;
        const struct store_version *version =
            version_at(key, request->revision);
        total += version != NULL;
        if (version && passes(request, version))
            all[count++] = (struct found){key, version};
    }
    if (request->sort_target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__MOD)
        qsort(all, count, sizeof *all, by_mod);
    bool turns =
        request->sort_order == ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    size_t limit = request->limit ? (size_t)request->limit : count;
    put_header(store, out);
    for (size_t i = 0; i < count && i < limit && !request->count_only; i++) {
        const struct found *found = &all[turns ? count - 1 - i : i];
        put_kv(out, 2, found->key->key, found->version, request->keys_only);
    }
    pb_put_bool(out, 3, count > limit);
    pb_put_i64(out, 4, total);
    mem_free(all);
    return 0;
}

void memory_store_range(struct memory_store *store, struct slice request,
                        struct store_reply *reply)
{
    struct arena arena;
    arena_init(&arena, 0);
    *reply = (struct store_reply){.text = ""};
    reply->code =
        range(store,
              decode(&etcdserverpb__range_request__descriptor, request, &arena),
              &reply->message, &reply->text);
    arena_deinit(&arena);
}

/* ---- Txn ----------------------------------------------------------------- */

struct touched {
    struct slice *puts;
    size_t put_count;
    struct slice (*deletes)[2];
    size_t delete_count;
};

static bool add_put(struct touched *touched, struct slice key)
{
    for (size_t i = 0; i < touched->put_count; i++)
        if (slice_eq(touched->puts[i], key))
            return false;
    for (size_t i = 0; i < touched->delete_count; i++)
        if (memory_store_in_range(key, touched->deletes[i][0],
                                  touched->deletes[i][1]))
            return false;
    touched->puts = mem_realloc(touched->puts, (touched->put_count + 1) *
                                                   sizeof *touched->puts);
    touched->puts[touched->put_count++] = key;
    return true;
}

static bool add_delete(struct touched *touched, struct slice key,
                       struct slice end)
{
    for (size_t i = 0; i < touched->put_count; i++)
        if (memory_store_in_range(touched->puts[i], key, end))
            return false;
    touched->deletes =
        mem_realloc(touched->deletes,
                    (touched->delete_count + 1) * sizeof *touched->deletes);
    touched->deletes[touched->delete_count][0] = key;
    touched->deletes[touched->delete_count++][1] = end;
    return true;
}

/* True where no key is touched twice. (Stricter than etcd between the two
 * branches of an inner txn.) */
static bool may_touch(struct touched *touched, Etcdserverpb__RequestOp **ops,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const Etcdserverpb__RequestOp *op = ops[i];
        const Etcdserverpb__TxnRequest *txn;
        switch (op->request_case) {
        case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT:
            if (!add_put(touched, message_bytes(op->request_put->key)))
                return false;
            break;
        case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE:
            if (!add_delete(touched,
                            message_bytes(op->request_delete_range->key),
                            message_bytes(op->request_delete_range->range_end)))
                return false;
            break;
        case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN:
            txn = op->request_txn;
            if (!may_touch(touched, txn->success, txn->n_success) ||
                !may_touch(touched, txn->failure, txn->n_failure))
                return false;
            break;
        default:
            break;
        }
    }
    return true;
}

static bool has_leases(struct memory_store *store,
                       Etcdserverpb__RequestOp **ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const Etcdserverpb__RequestOp *op = ops[i];
        if (op->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT &&
            op->request_put->lease &&
            !find_lease(store, op->request_put->lease))
            return false;
    }
    return true;
}

static int compare_numbers(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static bool holds(const struct memory_store *store,
                  const Etcdserverpb__Compare *compare)
{
    static const struct store_version none = {.value = {"", 0}};
    const struct store_version *version =
        memory_store_get(store, message_bytes(compare->key), 0);
    if (!version) {
        if (compare->target == ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE)
            return false;
        version = &none;
    }
    int order = 0;
    switch (compare->target) {
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION:
        order = compare_numbers(version->version, compare->version);
        break;
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE:
        order =
            compare_numbers(version->create_revision, compare->create_revision);
        break;
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD:
        order = compare_numbers(version->mod_revision, compare->mod_revision);
        break;
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE:
        order = slice_cmp(version->value, message_bytes(compare->value));
        break;
    default:
        UNREACHABLE();
    }
    switch (compare->result) {
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL:
        return order == 0;
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER:
        return order > 0;
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS:
        return order < 0;
    default:
        return order != 0;
    }
}

static void run_txn(struct memory_store *store,
                    const Etcdserverpb__TxnRequest *txn, int64_t revision,
                    const char *cause, size_t *changes, struct buf *out);

static void run_op(struct memory_store *store,
                   const Etcdserverpb__RequestOp *op, int64_t revision,
                   const char *cause, size_t *changes, struct buf *out)
{
    struct buf body = {0};
    const char *text;
    size_t deleted;
    int number = 0;
    switch (op->request_case) {
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE:
        number = 1;
        range(store, op->request_range, &body, &text);
        break;
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT:
        number = 2;
        put(store, revision, message_bytes(op->request_put->key),
            message_bytes(op->request_put->value), op->request_put->lease,
            cause);
        *changes += 1;
        put_header(store, &body);
        break;
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE:
        number = 3;
        deleted = delete_range(
            store, revision, message_bytes(op->request_delete_range->key),
            message_bytes(op->request_delete_range->range_end), cause);
        *changes += deleted;
        put_header(store, &body);
        pb_put_u64(&body, 2, deleted);
        break;
    default:
        number = 4;
        run_txn(store, op->request_txn, revision, cause, changes, &body);
        break;
    }
    struct buf response = {0};
    pb_put_bytes_always(&response, (uint32_t)number, buf_slice(&body));
    pb_put_bytes_always(out, 3, buf_slice(&response));
    buf_deinit(&response);
    buf_deinit(&body);
}

static void run_txn(struct memory_store *store,
                    const Etcdserverpb__TxnRequest *txn, int64_t revision,
                    const char *cause, size_t *changes, struct buf *out)
{
    bool succeeds = true;
    for (size_t i = 0; i < txn->n_compare; i++)
        succeeds = succeeds && holds(store, txn->compare[i]);
    pb_put_bool(out, 2, succeeds);
    size_t count = succeeds ? txn->n_success : txn->n_failure;
    for (size_t i = 0; i < count; i++)
        run_op(store, succeeds ? txn->success[i] : txn->failure[i], revision,
               cause, changes, out);
}

/* A range in it that can't be read makes the whole one fail. */
static const char *find_fault(const struct memory_store *store,
                              const Etcdserverpb__TxnRequest *txn)
{
    for (size_t i = 0; i < txn->n_success; i++) {
        const Etcdserverpb__RequestOp *op = txn->success[i];
        if (op->request_case != ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE)
            continue;
        if (op->request_range->revision &&
            op->request_range->revision < store->compacted)
            return "mvcc: required revision has been compacted";
    }
    return NULL;
}

static const char *find_misuse(struct memory_store *store,
                               const Etcdserverpb__TxnRequest *txn)
{
    if (txn->n_success > TXN_OPERATIONS_MAX ||
        txn->n_failure > TXN_OPERATIONS_MAX ||
        txn->n_compare > TXN_OPERATIONS_MAX)
        return "too many operations in txn request";
    struct touched touched = {0};
    bool may = may_touch(&touched, txn->success, txn->n_success);
    mem_free(touched.puts);
    mem_free(touched.deletes);
    if (!may)
        return "duplicate key given in txn request";
    if (txn->n_success > store->txn_operations_seen)
        store->txn_operations_seen = txn->n_success;
    return NULL;
}

void memory_store_txn(struct memory_store *store, struct slice request,
                      const char *cause, struct store_reply *reply)
{
    struct arena arena;
    arena_init(&arena, 0);
    *reply = (struct store_reply){.text = ""};
    const Etcdserverpb__TxnRequest *txn =
        decode(&etcdserverpb__txn_request__descriptor, request, &arena);
    const char *misuse = find_misuse(store, txn);
    const char *fault = find_fault(store, txn);
    if (misuse) {
        refuse(reply, CODE_INVALID, misuse);
    } else if (fault) {
        refuse(reply, CODE_OUT_OF_RANGE, fault);
    } else if (!has_leases(store, txn->success, txn->n_success)) {
        refuse(reply, CODE_NOT_FOUND, "requested lease not found");
    } else {
        struct buf body = {0};
        size_t changes = 0;
        run_txn(store, txn, store->revision + 1, cause, &changes, &body);
        store->revision += changes > 0;
        put_header(store, &reply->message);
        buf_append_slice(&reply->message, buf_slice(&body));
        buf_deinit(&body);
    }
    arena_deinit(&arena);
}

/* ---- Lease --------------------------------------------------------------- */

void memory_store_grant(struct memory_store *store, struct slice request,
                        struct store_reply *reply)
{
    struct arena arena;
    arena_init(&arena, 0);
    const Etcdserverpb__LeaseGrantRequest *grant =
        decode(&etcdserverpb__lease_grant_request__descriptor, request, &arena);
    struct store_lease lease = {
        .id = store->next_lease++,
        .ttl_s = grant->ttl,
        .ends_ns = store->now_ns + grant->ttl * INT64_C(1000000000),
    };
    store->leases = mem_realloc(store->leases, (store->lease_count + 1) *
                                                   sizeof *store->leases);
    store->leases[store->lease_count++] = lease;
    *reply = (struct store_reply){.text = ""};
    put_header(store, &reply->message);
    pb_put_i64(&reply->message, 2, lease.id);
    pb_put_i64(&reply->message, 3, lease.ttl_s);
    arena_deinit(&arena);
}

void memory_store_revoke(struct memory_store *store, struct slice request,
                         struct store_reply *reply)
{
    struct arena arena;
    arena_init(&arena, 0);
    const Etcdserverpb__LeaseRevokeRequest *revoke = decode(
        &etcdserverpb__lease_revoke_request__descriptor, request, &arena);
    struct store_lease *lease = find_lease(store, revoke->id);
    *reply = (struct store_reply){.text = ""};
    if (lease)
        end_lease(store, lease, "revoke");
    else
        refuse(reply, CODE_NOT_FOUND, "requested lease not found");
    if (lease)
        put_header(store, &reply->message);
    arena_deinit(&arena);
}

void memory_store_keepalive(struct memory_store *store, struct slice request,
                            struct store_reply *reply)
{
    struct arena arena;
    arena_init(&arena, 0);
    const Etcdserverpb__LeaseKeepAliveRequest *keepalive = decode(
        &etcdserverpb__lease_keep_alive_request__descriptor, request, &arena);
    struct store_lease *lease = find_lease(store, keepalive->id);
    *reply = (struct store_reply){.text = ""};
    put_header(store, &reply->message);
    pb_put_i64(&reply->message, 2, keepalive->id);
    if (lease) {
        lease->ends_ns = store->now_ns + lease->ttl_s * INT64_C(1000000000);
        pb_put_i64(&reply->message, 3, lease->ttl_s);
    }
    arena_deinit(&arena);
}

/* ---- History ------------------------------------------------------------- */

void memory_store_revision_at(struct memory_store *store, struct slice request,
                              struct store_reply *reply)
{
    struct arena arena;
    arena_init(&arena, 0);
    const Etched__V1__RevisionAtRequest *at =
        decode(&etched__v1__revision_at_request__descriptor, request, &arena);
    int64_t revision = 0;
    for (size_t i = 0; i < store->event_count; i++)
        if (store->events[i].time_ns <= at->time_unix_nanos)
            revision = store->events[i].revision;
    *reply = (struct store_reply){.text = ""};
    put_header(store, &reply->message);
    pb_put_i64(&reply->message, 2, revision);
    arena_deinit(&arena);
}
