/* Random requests of v3 against a naive twin: lists of all that was written,
 * answers made with protobuf-c's own encoder, compared byte for byte.
 *
 * Put, DeleteRange, Range (in one piece and in many), txns in txns, leases,
 * compaction in slices, flushes, and etcd's hash. The seed is printed; SEED=n
 * plays it again.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/prng.h"
#include "memory/kv_memory.h"
#include "proto/message.h"
#include "txn/txn.h"
#include "model/txn_twin.h"

enum {
    OPERATIONS = 200000,
    SECONDS_MAX = 60, /* on a slow machine, with sanitizers */
    OPS_MAX = 24,
};

struct world {
    struct prng prng;
    struct kv *kv;
    struct mvcc *mvcc;
    struct mvcc_reader *reader;
    struct lease_table *leases;
    int64_t now_ns;
    uint64_t applied;
    uint64_t puts, deletes, ranges, scans, txns, hashes, errors;
};

static struct world world;

static uint64_t below(uint64_t bound)
{
    return prng_below(&world.prng, bound);
}
static bool one_in(uint64_t n)
{
    return below(n) == 0;
}

/* ---- random requests ----------------------------------------------------- */

static ProtobufCBinaryData random_key(void)
{
    return message_data(twin_key_of((int)below(TWIN_KEYS)));
}

static ProtobufCBinaryData random_end(void)
{
    switch (below(5)) {
    case 0:
        return message_data(slice_of("\0", 1));
    case 1:
        return message_data(slice_of("\xff\xff", 2));
    case 2:
        return random_key();
    default:
        return (ProtobufCBinaryData){0};
    }
}

static revision random_revision(void)
{
    return twin.current - 40 + (revision)below(45);
}

static revision random_at(void)
{
    return one_in(3) ? random_revision() : one_in(20) ? -(revision)below(4) : 0;
}

static revision random_bound(void)
{
    return one_in(8) ? random_revision() : 0;
}

static Etcdserverpb__RangeRequest *random_range(void)
{
    Etcdserverpb__RangeRequest *request = MAKE(range_request);
    request->key = random_key();
    request->range_end = random_end();
    request->limit = one_in(2) ? (int64_t)below(8) - 1 : 0;
    if (one_in(50))
        request->limit = INT64_MAX;
    request->revision = random_at();
    request->keys_only = one_in(5);
    request->count_only = one_in(8);
    if (one_in(2)) {
        request->sort_order = (Etcdserverpb__RangeRequest__SortOrder)below(3);
        request->sort_target = (Etcdserverpb__RangeRequest__SortTarget)below(5);
    }
    request->min_mod_revision = random_bound();
    request->max_mod_revision = random_bound();
    request->min_create_revision = random_bound();
    request->max_create_revision = random_bound();
    return request;
}

static Etcdserverpb__PutRequest *random_put(void)
{
    Etcdserverpb__PutRequest *request = MAKE(put_request);
    request->key = random_key();
    request->prev_kv = one_in(3);
    request->ignore_value = one_in(8);
    request->ignore_lease = one_in(8);
    if (!request->ignore_value)
        request->value = message_data(twin_value_of((int)below(TWIN_VALUES)));
    if (!request->ignore_lease && one_in(4))
        request->lease = 1 + (int64_t)below(TWIN_LEASES);
    return request;
}

static Etcdserverpb__DeleteRangeRequest *random_delete(void)
{
    Etcdserverpb__DeleteRangeRequest *request = MAKE(delete_range_request);
    request->key = random_key();
    if (one_in(3))
        request->range_end = random_end();
    request->prev_kv = one_in(2);
    return request;
}

static Etcdserverpb__Compare *random_compare(void)
{
    Etcdserverpb__Compare *compare = MAKE(compare);
    compare->key = random_key();
    if (one_in(3))
        compare->range_end = random_end();
    compare->target = (Etcdserverpb__Compare__CompareTarget)below(5);
    compare->result = (Etcdserverpb__Compare__CompareResult)below(4);
    compare->target_union_case =
        (Etcdserverpb__Compare__TargetUnionCase)(4 + (int)compare->target);
    if (compare->target == 3)
        compare->value = message_data(twin_value_of((int)below(TWIN_VALUES)));
    else if (one_in(2))
        compare->version = compare->target == 1 || compare->target == 2
                               ? random_revision()
                               : (int64_t)below(4);
    return compare;
}

static Etcdserverpb__TxnRequest *random_txn(unsigned depth);

static Etcdserverpb__RequestOp **random_ops(unsigned depth, size_t *count)
{
    *count = below(one_in(20) ? OPS_MAX - 2 : 4);
    Etcdserverpb__RequestOp **ops = twin_list(*count);
    for (size_t i = 0; i < *count; i++) {
        unsigned kind = (unsigned)below(depth > 2 ? 9 : 11);
        ops[i] = MAKE(request_op);
        ops[i]->request_case =
            (Etcdserverpb__RequestOp__RequestCase)(kind < 4   ? 2
                                                   : kind < 5 ? 3
                                                   : kind < 9 ? 1
                                                              : 4);
        if (kind < 4)
            ops[i]->request_put = random_put();
        else if (kind < 5)
            ops[i]->request_delete_range = random_delete();
        else if (kind < 9)
            ops[i]->request_range = random_range();
        else
            ops[i]->request_txn = random_txn(depth + 1);
    }
    return ops;
}

static Etcdserverpb__TxnRequest *random_txn(unsigned depth)
{
    Etcdserverpb__TxnRequest *request = MAKE(txn_request);
    request->n_compare = below(3);
    request->compare = twin_list(request->n_compare);
    for (size_t i = 0; i < request->n_compare; i++)
        request->compare[i] = random_compare();
    request->success = random_ops(depth, &request->n_success);
    request->failure = random_ops(depth, &request->n_failure);
    return request;
}

/* ---- both, side by side -------------------------------------------------- */

static void assert_same(const struct txn_answer *answer, const void *expected)
{
    struct buf want = {0};
    message_encode(expected, &want);
    assert_int_equal(answer->error, V3_OK);
    assert_true(answer->revision == twin_main_now());
    assert_int_equal(answer->body.size, want.size);
    assert_true(slice_eq(buf_slice(&answer->body), buf_slice(&want)));
    buf_deinit(&want);
}

static struct txn begin_txn(void)
{
    mvcc_read_begin(world.reader);
    world.now_ns += 1000;
    return (struct txn){
        .mvcc = world.mvcc, .reader = world.reader, .leases = world.leases};
}

static void end_txn(struct txn_answer *answer)
{
    world.errors += answer->error != V3_OK;
    txn_answer_deinit(answer);
    mvcc_read_end(world.reader);
    mvcc_set_applied(world.mvcc, ++world.applied, 1);
}

static void do_put(void)
{
    Etcdserverpb__PutRequest *request = random_put();
    struct txn_answer answer = {0};
    struct mvcc_commit *commit;
    struct txn txn = begin_txn();
    bool wanted = !one_in(4);
    enum v3_error error = twin_check_put(request);
    assert_int_equal(txn_check_put(request), V3_OK);
    assert_int_equal(
        txn_put(&txn, request, world.now_ns, wanted, &answer, &commit), ERR_OK);
    assert_int_equal(answer.error, error);
    twin_begin();
    if (error == V3_OK) {
        Etcdserverpb__PutResponse *expected = twin_put(request);
        if (wanted)
            assert_same(&answer, expected);
        else
            assert_int_equal(answer.body.size, 0);
    }
    twin_end(commit);
    end_txn(&answer);
    world.puts++;
}

static void do_delete(void)
{
    Etcdserverpb__DeleteRangeRequest *request = random_delete();
    struct txn_answer answer = {0};
    struct mvcc_commit *commit;
    struct txn txn = begin_txn();
    bool wanted = !one_in(4);
    assert_int_equal(
        txn_delete_range(&txn, request, world.now_ns, wanted, &answer, &commit),
        ERR_OK);
    twin_begin();
    Etcdserverpb__DeleteRangeResponse *expected = twin_delete_range(request);
    if (wanted)
        assert_same(&answer, expected);
    twin_end(commit);
    end_txn(&answer);
    world.deletes++;
}

static void do_txn(void)
{
    Etcdserverpb__TxnRequest *request = random_txn(0);
    struct txn_answer answer = {0};
    struct mvcc_commit *commit = NULL;
    bool wanted = !one_in(4);
    enum v3_error error = twin_check_overlap(request);
    enum v3_error checked = txn_check(request, OPS_MAX);
    if (checked == V3_TOO_MANY_OPS)
        return;
    assert_int_equal(checked, error);
    if (error != V3_OK)
        return;
    error = twin_check_txn(request);
    struct txn txn = begin_txn();
    if (txn_is_read_only(request) && wanted)
        assert_int_equal(txn_read(world.reader, request, &answer), ERR_OK);
    else
        assert_int_equal(
            txn_run(&txn, request, world.now_ns, wanted, &answer, &commit),
            ERR_OK);
    assert_int_equal(answer.error, error);
    twin_begin();
    if (error == V3_OK) {
        Etcdserverpb__TxnResponse *expected = twin_txn(request);
        if (wanted)
            assert_same(&answer, expected);
    }
    twin_end(commit);
    end_txn(&answer);
    world.txns++;
}

/* ---- reads --------------------------------------------------------------- */

static void do_range(void)
{
    Etcdserverpb__RangeRequest *request = random_range();
    struct txn_answer answer = {0};
    enum v3_error error = twin_check_range(request);
    mvcc_read_begin(world.reader);
    assert_int_equal(
        txn_range(world.reader, request, twin.current, 1 << 20, &answer),
        ERR_OK);
    assert_int_equal(answer.error, error);
    if (error == V3_OK) {
        assert_same(&answer, twin_range(request));
        size_t size = answer.body.size;
        txn_answer_deinit(&answer);
        if (size > 20 && txn_range(world.reader, request, twin.current,
                                   size / 4, &answer) == ERR_TOO_LARGE)
            assert_int_equal(answer.body.size, 0);
    }
    txn_answer_deinit(&answer);
    mvcc_read_end(world.reader);
    world.ranges++;
}

static void put_something(void)
{
    if (one_in(3)) {
        mvcc_read_end(world.reader);
        do_put();
        mvcc_read_begin(world.reader);
    }
}

/* In pieces, with writes between them that it must not see. */
static void do_scan(void)
{
    Etcdserverpb__RangeRequest *request = random_range();
    struct txn_answer answer = {0};
    struct txn_scan *scan;
    enum v3_error error = twin_check_range(request);
    bool done = false, measured = one_in(2);
    uint64_t bytes = 0;
    mvcc_read_begin(world.reader);
    assert_int_equal(
        txn_scan_new(world.reader, request, twin.current, &answer, &scan),
        ERR_OK);
    assert_int_equal(answer.error, error);
    if (error == V3_OK) {
        Etcdserverpb__RangeResponse *expected = twin_range(request);
        struct buf want = {0};
        message_encode(&expected->base, &want);
        for (bool ready = !measured; !ready; put_something())
            assert_int_equal(txn_scan_measure(scan, world.reader, 1 + below(4),
                                              &ready, &bytes),
                             ERR_OK);
        for (; !done; put_something())
            assert_int_equal(txn_scan_next(scan, world.reader, 1 + below(60),
                                           &answer.body, &done),
                             ERR_OK);
        assert_int_equal(answer.body.size, want.size);
        assert_true(slice_eq(buf_slice(&answer.body), buf_slice(&want)));
        assert_true(!measured || bytes == want.size);
        buf_deinit(&want);
    }
    txn_scan_free(scan);
    txn_answer_deinit(&answer);
    mvcc_read_end(world.reader);
    world.scans++;
}

/* ---- the hash ------------------------------------------------------------ */

static void do_hash(void)
{
    struct txn_hash hash;
    enum v3_error error;
    revision at = one_in(2) ? 0 : random_revision();
    if (at < 0)
        return;
    mvcc_read_begin(world.reader);
    assert_int_equal(
        txn_hash_begin(world.reader, at, twin.current, &hash, &error), ERR_OK);
    if (at > twin.current)
        assert_int_equal(error, V3_FUTURE_REV);
    else if (at > 0 && at <= twin.compacted)
        assert_int_equal(error, V3_COMPACTED);
    else
        assert_int_equal(error, V3_OK);
    while (error == V3_OK && !hash.done)
        assert_int_equal(txn_hash_slice(&hash, world.reader, 1 + below(9)),
                         ERR_OK);
    if (error == V3_OK) {
        assert_int_equal(hash.crc, twin_hash(at ? at : twin.current));
        assert_true(hash.compacted == (twin.compacted ? twin.compacted : -1));
    }
    mvcc_read_end(world.reader);
    world.hashes++;
}

/* ---- the rest of life ---------------------------------------------------- */

static void do_lease(void)
{
    size_t lease = below(TWIN_LEASES);
    if (!twin.granted[lease]) {
        lease_grant(world.leases, (lease_id)lease + 1, 100, INT64_MAX / 2);
        twin.granted[lease] = true;
        return;
    }
    if (!one_in(4))
        return;
    struct txn txn = begin_txn();
    struct txn_answer none = {0};
    struct mvcc_commit *commit;
    assert_int_equal(txn_lease_end(&txn, (lease_id)lease + 1, MVCC_REVOKE,
                                   world.now_ns, &commit),
                     ERR_OK);
    twin_begin();
    for (int key = 0; key < TWIN_KEYS; key++) {
        const struct fact *fact = twin_fact_at(key, INT64_MAX);
        if (fact != NULL && fact->lease == (lease_id)lease + 1)
            twin_add(key, (struct fact){0});
    }
    twin_end(commit);
    twin.granted[lease] = false;
    end_txn(&none);
}

static void do_compact(void)
{
    revision at = random_revision();
    if (at <= twin.compacted || at > twin.current || at < 1)
        return;
    assert_int_equal(mvcc_compact(world.mvcc, at), ERR_OK);
    mvcc_set_applied(world.mvcc, ++world.applied, 1);
    twin.compacted = at;
    twin_forget();
}

static void do_upkeep(void)
{
    if (one_in(2)) {
        (void)mvcc_compact_slice(world.mvcc, 1 + below(10));
        return;
    }
    struct mvcc_flush *flush = mvcc_flush_begin(world.mvcc, 1 + below(50));
    if (flush == NULL)
        return;
    mvcc_flush_done(world.mvcc, flush, mvcc_flush_write(flush));
    mvcc_flush_free(flush);
}

static void do_something(void)
{
    uint64_t dice = below(100);
    arena_reset(&twin.arena);
    if (dice < 22)
        do_put();
    else if (dice < 28)
        do_delete();
    else if (dice < 50)
        do_range();
    else if (dice < 60)
        do_scan();
    else if (dice < 85)
        do_txn();
    else if (dice < 87)
        do_hash();
    else if (dice < 91)
        do_lease();
    else if (dice < 92)
        do_compact();
    else
        do_upkeep();
}

static void open_world(uint64_t seed)
{
    world = (struct world){.kv = kv_memory_new()};
    twin = (struct twin){.current = 1};
    prng_init(&world.prng, seed);
    arena_init(&twin.arena, 0);
    world.leases = lease_table_new();
    struct mvcc_config config = {.kv = world.kv, .seed = seed};
    assert_int_equal(mvcc_open(&config, &world.mvcc), ERR_OK);
    assert_int_equal(mvcc_reader_new(world.mvcc, &world.reader), ERR_OK);
}

static void close_world(void)
{
    mvcc_reader_free(world.reader);
    mvcc_close(world.mvcc);
    kv_memory_free(world.kv);
    lease_table_free(world.leases);
    for (int key = 0; key < TWIN_KEYS; key++)
        mem_free(twin.keys[key].facts);
    arena_deinit(&twin.arena);
}

static void a_random_life(void **state)
{
    const char *given = getenv("SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    time_t start = time(NULL);
    uint64_t done = 0;
    (void)state;
    print_message("SEED=%llu\n", (unsigned long long)seed);
    open_world(seed);
    for (; done < OPERATIONS && time(NULL) - start < SECONDS_MAX; done++)
        do_something();
    print_message(
        "%llu done: %llu puts, %llu deletes, %llu ranges, %llu "
        "scans, %llu txns, %llu hashes, %llu errors, revision %lld\n",
        (unsigned long long)done, (unsigned long long)world.puts,
        (unsigned long long)world.deletes, (unsigned long long)world.ranges,
        (unsigned long long)world.scans, (unsigned long long)world.txns,
        (unsigned long long)world.hashes, (unsigned long long)world.errors,
        (long long)twin.current);
    assert_true(world.txns > 0 && world.hashes > 0 && world.errors > 0);
    close_world();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_random_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
