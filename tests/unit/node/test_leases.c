/* v3's leases on a member alone: granted, kept alive, ended, and what is left
 * of them after whatever befalls it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <time.h>

#include "base/check.h"
#include "base/prng.h"
#include "support/node_requests.h"
#include "support/node_harness.h"

#define SECOND HARNESS_SECOND_NS

static struct node_harness world;

static int begin(void **state)
{
    (void)state;
    node_harness_init(&world, 1);
    return node_harness_open(&world) == ERR_OK ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    node_harness_deinit(&world);
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define RUN() assert_int_equal(node_harness_run(&world), ERR_OK)
#define SLEEP(ns) node_harness_sleep(&world, ns)
#define RECORD(key, text) \
    assert_string_equal(record_text(world.node, key), text)
#define LEASE(id, text) assert_string_equal(lease_text(world.node, id), text)
#define EVENT(at, text) assert_string_equal(event_text(world.node, at), text)

static const struct txn_answer *good(struct command command)
{
    enum err err;
    struct harness_write *write = node_harness_send(&world, &command, &err);
    assert_non_null(write);
    RUN();
    assert_true(write->done);
    assert_int_equal(write->request.err, ERR_OK);
    assert_int_equal(write->request.answer.error, V3_OK);
    return &write->request.answer;
}

static void bad(struct command command, enum v3_error error)
{
    enum err err;
    struct harness_write *write = node_harness_send(&world, &command, &err);
    assert_non_null(write);
    RUN();
    assert_int_equal(write->request.err, ERR_OK);
    assert_int_equal(write->request.answer.error, error);
    assert_int_equal(write->request.answer.body.size, 0);
}

static struct lease_info info_of(lease_id id)
{
    struct lease_info info = {0};
    assert_true(lease_info(node_leases(world.node), id, &info));
    return info;
}

static int64_t left_ns(lease_id id)
{
    return info_of(id).expire_ns - world.wall_ns;
}

static size_t lease_metas(void);

static struct node_counters counters(void)
{
    struct node_counters counters;
    node_counters(world.node, &counters);
    return counters;
}

/* ---- granted ------------------------------------------------------------- */

static void a_lease_is_granted(void **state)
{
    (void)state;
    const struct txn_answer *answer = good(ask_grant(77, 60));
    assert_int_equal(answer_number(answer, 2), 77);
    assert_int_equal(answer_number(answer, 3), 60);
    assert_int_equal(answer->revision, 1); /* it is no change of the keys */
    assert_int_equal(info_of(77).granted_s, 60);
    assert_int_equal(left_ns(77), 60 * SECOND);
    assert_int_equal(counters().leases_granted, 1);
    assert_int_equal(world.commit_count, 0);
}

static void an_id_is_given_once(void **state)
{
    (void)state;
    good(ask_grant(77, 60));
    bad(ask_grant(77, 5), V3_LEASE_EXIST);
    assert_int_equal(info_of(77).granted_s, 60);
    good(ask_grant(-77, 60));
    good(ask_grant(INT64_MIN, 60));
    good(ask_grant(INT64_MAX, 60));
    bad(ask_grant(0, 60), V3_LEASE_NOT_FOUND);
    good(ask_revoke(77));
    good(ask_grant(77, 5));
    assert_int_equal(counters().leases_granted, 5);
}

static void the_ids_of_v2_are_not_to_be_had(void **state)
{
    (void)state;
    lease_id last = LEASE_V2 | ((INT64_C(1) << LEASE_V2_REVISION_BITS) - 1);
    bad(ask_grant(LEASE_V2, 60), V3_LEASE_EXIST);
    bad(ask_grant(LEASE_V2 | 5, 60), V3_LEASE_EXIST);
    bad(ask_grant(last, 60), V3_LEASE_EXIST);
    good(ask_grant(LEASE_V2 - 1, 60));
    good(ask_grant(last + 1, 60));
    node_harness_recover(&world);
    assert_int_equal(lease_count(node_leases(world.node)), 2);
}

static void a_ttl_has_its_bounds(void **state)
{
    (void)state;
    bad(ask_grant(1, LEASE_TTL_S_MAX + 1), V3_LEASE_TTL_TOO_LARGE);
    bad(ask_grant(1, INT64_MAX), V3_LEASE_TTL_TOO_LARGE);
    const struct txn_answer *answer = good(ask_grant(1, LEASE_TTL_S_MAX));
    assert_int_equal(answer_number(answer, 3), LEASE_TTL_S_MAX);
    assert_true(info_of(1).expire_ns == INT64_MAX); /* the end of time */
    assert_int_equal(answer_number(good(ask_renew(1)), 3), LEASE_TTL_S_MAX);
    /* Shorter than an election is too short to be kept alive. */
    assert_int_equal(answer_number(good(ask_grant(2, 1)), 3), 2);
    assert_int_equal(answer_number(good(ask_grant(3, 0)), 3), 2);
    assert_int_equal(answer_number(good(ask_grant(4, INT64_MIN)), 3), 2);
    assert_int_equal(left_ns(4), 2 * SECOND);
}

/* ---- kept alive ---------------------------------------------------------- */

static void kept_alive_it_lives_its_ttl_from_then_on(void **state)
{
    (void)state;
    good(ask_grant(77, 10));
    good(ask_put("a", "1", 77));
    for (int i = 0; i < 5; i++) {
        SLEEP(9 * SECOND);
        const struct txn_answer *answer = good(ask_renew(77));
        assert_int_equal(answer_number(answer, 2), 77);
        assert_int_equal(answer_number(answer, 3), 10);
        assert_int_equal(left_ns(77), 10 * SECOND);
    }
    assert_int_equal(counters().leases_renewed, 5);
    SLEEP(10 * SECOND - 1);
    RUN();
    RECORD("a", "1 [2,2] v1 put lease=77");
    SLEEP(1);
    RUN();
    RECORD("a", "none");
    LEASE(77, "none");
}

static void what_is_not_there_has_no_time(void **state)
{
    (void)state;
    const struct txn_answer *answer = good(ask_renew(77));
    assert_int_equal(answer_number(answer, 2), 77);
    assert_int_equal(answer_number(answer, 3), 0);
    /* Nor what no lease can be named. */
    assert_int_equal(good(ask_renew(0))->body.size, 0);
    assert_int_equal(counters().leases_renewed, 0);
}

static void many_are_kept_alive_by_one_entry(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    static lease_id ids[COUNT];
    for (lease_id id = 1; id < COUNT; id++) {
        ids[id] = id;
        good(ask_grant(id, 100));
    }
    ids[0] = 4711; /* isn't there */
    node_harness_forget(&world);
    SLEEP(50 * SECOND);
    struct node_progress before, after;
    node_progress(world.node, &before);
    struct command renew = {.type = COMMAND_LEASE_RENEW,
                            .renew = {.leases = ids, .count = COUNT}};
    assert_int_equal(good(renew)->body.size, 0);
    for (lease_id id = 1; id < COUNT; id++)
        assert_int_equal(left_ns(id), 100 * SECOND);
    assert_int_equal(counters().leases_renewed, COUNT - 1);
    node_progress(world.node, &after);
    assert_int_equal(after.applied, before.applied + 1);
}

/* It was the first in the log, so it is the one that counts. */
static void a_keepalive_ahead_of_the_end_saves_it(void **state)
{
    (void)state;
    lease_id id = 77;
    enum err err;
    good(ask_grant(77, 10));
    good(ask_put("a", "1", 77));
    SLEEP(9 * SECOND);
    good(ask_renew(77));
    SLEEP(1 * SECOND);
    struct command expire = {.type = COMMAND_EXPIRE,
                             .expire = {.leases = &id, .count = 1}};
    assert_non_null(node_harness_send(&world, &expire, &err));
    RUN();
    RECORD("a", "1 [2,2] v1 put lease=77");
    assert_int_equal(counters().leases_expired, 0);
}

/* ---- ended --------------------------------------------------------------- */

static void a_revoked_lease_takes_its_keys_along_at_once(void **state)
{
    (void)state;
    good(ask_grant(77, 60));
    good(ask_put("/b", "1", 77));
    good(ask_put("a", "1", 77));
    good(ask_put("c", "1", 0));
    assert_int_equal(lease_metas(), 1);
    assert_int_equal(good(ask_revoke(77))->revision, 5);
    EVENT(5, "delete /b=");
    RECORD("a", "none");
    RECORD("/b", "none");
    RECORD("c", "1 [4,4] v1 put");
    assert_int_equal(node_harness_revision(&world), 5); /* one commit */
    assert_int_equal(lease_metas(), 0);
    bad(ask_revoke(77), V3_LEASE_NOT_FOUND);
    assert_int_equal(counters().leases_revoked, 1);
    assert_int_equal(counters().deletes, 2);
    assert_int_equal(counters().txns, 1);
}

static void a_lease_without_keys_changes_nothing(void **state)
{
    (void)state;
    good(ask_grant(77, 5));
    good(ask_grant(78, 5));
    assert_int_equal(good(ask_revoke(77))->revision, 1);
    SLEEP(5 * SECOND);
    RUN();
    assert_int_equal(lease_count(node_leases(world.node)), 0);
    assert_int_equal(node_harness_revision(&world), 1);
    assert_int_equal(counters().leases_expired, 1);
}

static void an_end_is_one_commit_a_lease(void **state)
{
    (void)state;
    for (lease_id id = 1; id <= 3; id++) {
        char key[48];
        good(ask_grant(id, 5));
        for (int i = 0; i < 4; i++) {
            snprintf(key, sizeof key, "/%lld/%d", (long long)id, i);
            good(ask_put(key, "1", id));
        }
    }
    assert_int_equal(node_harness_revision(&world), 13);
    SLEEP(5 * SECOND);
    RUN();
    assert_int_equal(node_harness_revision(&world), 16);
    EVENT(14, "expire /1/0= expire /1/1= expire /1/2= expire /1/3=");
    assert_int_equal(counters().leases_expired, 3);
    assert_int_equal(lease_metas(), 0);
}

static void the_deadline_is_the_end_of_the_first(void **state)
{
    (void)state;
    good(ask_grant(1, 50));
    good(ask_grant(2, 5));
    int64_t at_ms = node_deadline_ms(world.node);
    assert_true(at_ms > world.monotonic_ns / 1000000 + 4990);
    assert_true(at_ms <= world.monotonic_ns / 1000000 + 5001);
    good(ask_revoke(2));
    assert_true(node_deadline_ms(world.node) > at_ms + 40000);
    good(ask_revoke(1));
    assert_int_equal(node_deadline_ms(world.node), INT64_MAX);
}

static void without_room_leases_end_all_the_same(void **state)
{
    (void)state;
    good(ask_grant(77, 5));
    good(ask_put("a", "1", 77));
    good(ask_raise(1, ETCDSERVERPB__ALARM_TYPE__NOSPACE));
    SLEEP(5 * SECOND);
    RUN();
    RECORD("a", "none");
}

/* ---- after a restart ----------------------------------------------------- */

static void count_meta(void *context, struct slice name, struct slice value)
{
    assert_int_equal(name.size, 6 + 8);
    assert_int_equal(value.size, 16);
    *(size_t *)context += 1;
}

static size_t lease_metas(void)
{
    size_t count = 0;
    mvcc_meta_each(node_mvcc(world.node), SLICE("lease/"), count_meta, &count);
    return count;
}

static void leases_come_back_with_their_keys(void **state)
{
    (void)state;
    good(ask_grant(77, 60));
    good(ask_grant(78, 90));
    good(ask_grant(79, 90));
    good(ask_put("/b", "1", 78));
    good(ask_put("a", "1", 77));
    good(ask_put("/b", "2", 77)); /* it has moved */
    SLEEP(5 * SECOND);
    good(ask_renew(78));
    good(ask_revoke(79));
    good(ask_put("c", "1", 78));
    good(ask_put("c", "1", 0)); /* it has left */
    assert_int_equal(info_of(77).keys, 2);
    for (int i = 0; i < 3; i++) {
        if (i == 0)
            node_harness_recover(&world); /* by the log */
        else
            node_harness_restart(&world); /* by the store */
        assert_int_equal(left_ns(78), 90 * SECOND);
        SLEEP(5 * SECOND);
        good(ask_renew(77));
        LEASE(77, "a /b ");
        LEASE(78, "");
        LEASE(79, "none");
        assert_int_equal(info_of(77).granted_s, 60);
        assert_int_equal(info_of(78).granted_s, 90);
        good(ask_renew(78));
    }
    SLEEP(60 * SECOND);
    RUN();
    RECORD("a", "none");
    RECORD("/b", "none");
    RECORD("c", "1 [5,6] v2 put");
}

static void what_ended_while_it_was_down_ends_at_once(void **state)
{
    (void)state;
    good(ask_grant(77, 5));
    good(ask_put("/a", "1", 77));
    node_harness_close(&world);
    SLEEP(60 * SECOND);
    assert_int_equal(node_harness_open(&world), ERR_OK);
    RUN();
    RECORD("/a", "none");
    EVENT(3, "expire /a=");
    LEASE(77, "none");
}

/* Any number of times, at any moment: what is there is what was answered. */
static void crashes_change_no_end(void **state)
{
    (void)state;
    enum { LEASES = 12, STEPS = 600 };
    int64_t ends_ns[LEASES + 1] = {0};
    struct prng prng;
    prng_init(&prng, 5);
    for (int step = 0; step < STEPS; step++) {
        lease_id id = prng_between(&prng, 1, LEASES);
        int64_t ttl_s = 10 + id;
        switch (prng_below(&prng, 5)) {
        case 0:
            if (ends_ns[id] == 0) {
                good(ask_grant(id, ttl_s));
                ends_ns[id] = world.wall_ns + ttl_s * SECOND;
            }
            break;
        case 1:
            good(ask_renew(id));
            if (ends_ns[id] != 0)
                ends_ns[id] = world.wall_ns + ttl_s * SECOND;
            break;
        case 2:
            SLEEP(prng_between(&prng, 1, 5) * SECOND);
            RUN();
            for (id = 1; id <= LEASES; id++)
                ends_ns[id] = ends_ns[id] > world.wall_ns ? ends_ns[id] : 0;
            break;
        case 3:
            if (prng_below(&prng, 4) == 0)
                assert_int_equal(node_harness_flush(&world), ERR_OK);
            break;
        default:
            if (prng_below(&prng, 8) == 0)
                node_harness_recover(&world);
        }
        for (id = 1; id <= LEASES; id++) {
            int64_t expire_ns = 0;
            lease_get(node_leases(world.node), id, &expire_ns);
            assert_int_equal(expire_ns, ends_ns[id]);
        }
        node_harness_forget(&world);
    }
}

/* ---- many ---------------------------------------------------------------- */

static double cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void send(struct command command)
{
    enum err err;
    assert_non_null(node_harness_send(&world, &command, &err));
}

static void grant_many(lease_id count)
{
    char key[32];
    for (lease_id id = 1; id <= count; id++) {
        send(ask_grant(id, 60));
        snprintf(key, sizeof key, "/lease/%lld", (long long)id);
        send(ask_put(key, "v", id));
        if (id % 1000 == 0) {
            RUN();
            node_harness_forget(&world);
        }
    }
}

/* All that end in one second end in batches, and a put has to wait for one of
 * them only. */
static void puts_pass_between_the_ends_of_many(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    double longest_ms = 0;
    size_t turns = 0;
    grant_many(COUNT);
    SLEEP(60 * SECOND);
    while (lease_count(node_leases(world.node)) > 0) {
        struct command put = ask_put("p", "v", 0);
        enum err err;
        struct harness_write *write = node_harness_send(&world, &put, &err);
        double start_ms = cpu_ms();
        assert_int_equal(node_run(world.node), ERR_OK);
        double took_ms = cpu_ms() - start_ms;
        assert_true(write->done);
        longest_ms = took_ms > longest_ms ? took_ms : longest_ms;
        turns++;
        node_harness_forget(&world);
    }
    assert_int_equal(turns, COUNT / NODE_EXPIRE_MAX);
    assert_int_equal(counters().leases_expired, COUNT);
    assert_int_equal(lease_metas(), 0);
    print_message("%zu batches of %d, %.1f ms at most\n", turns,
                  NODE_EXPIRE_MAX, longest_ms);
}

/* Where an entry takes long to come back, more go into one. */
static void a_slow_log_ends_more_at_once(void **state)
{
    (void)state;
    enum { MAX = NODE_EXPIRE_MAX, COUNT = 12 * MAX };
    const struct {
        int64_t took_ns;
        size_t ended;
    } rounds[] = {
        {0, MAX},           {3999999, MAX},    {4000000, 2 * MAX},
        {7000000, 3 * MAX}, {SECOND, 4 * MAX}, {0, MAX},
    };
    size_t left = COUNT;
    grant_many(COUNT);
    SLEEP(60 * SECOND);
    for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++) {
        world.node->expiry_took_ns = rounds[i].took_ns;
        assert_int_equal(node_run(world.node), ERR_OK);
        left -= rounds[i].ended;
        assert_int_equal(lease_count(node_leases(world.node)), left);
        assert_int_equal(world.node->expiry_took_ns, 0);
    }
    assert_int_equal(left, 0);
}

/* A lease is ended whole; beyond it, keys count as leases do. */
static void those_with_many_keys_end_few_at_a_time(void **state)
{
    (void)state;
    enum { LEASES = 10, KEYS = NODE_EXPIRE_KEYS_MAX / 2 };
    char key[48];
    for (lease_id id = 1; id <= LEASES; id++) {
        send(ask_grant(id, 60));
        for (int i = 0; i < (id == 1 ? 2 * KEYS + 100 : KEYS); i++) {
            snprintf(key, sizeof key, "%lld/%d", (long long)id, i);
            send(ask_put(key, "v", id));
        }
        RUN();
        node_harness_forget(&world);
    }
    SLEEP(60 * SECOND);
    size_t left[] = {9, 7, 5, 3, 1, 0};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        assert_int_equal(node_run(world.node), ERR_OK);
        assert_int_equal(lease_count(node_leases(world.node)), left[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_lease_is_granted),
        STORY(an_id_is_given_once),
        STORY(the_ids_of_v2_are_not_to_be_had),
        STORY(a_ttl_has_its_bounds),
        STORY(kept_alive_it_lives_its_ttl_from_then_on),
        STORY(what_is_not_there_has_no_time),
        STORY(many_are_kept_alive_by_one_entry),
        STORY(a_keepalive_ahead_of_the_end_saves_it),
        STORY(a_revoked_lease_takes_its_keys_along_at_once),
        STORY(a_lease_without_keys_changes_nothing),
        STORY(an_end_is_one_commit_a_lease),
        STORY(the_deadline_is_the_end_of_the_first),
        STORY(without_room_leases_end_all_the_same),
        STORY(leases_come_back_with_their_keys),
        STORY(what_ended_while_it_was_down_ends_at_once),
        STORY(crashes_change_no_end),
        STORY(puts_pass_between_the_ends_of_many),
        STORY(a_slow_log_ends_more_at_once),
        STORY(those_with_many_keys_end_few_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
