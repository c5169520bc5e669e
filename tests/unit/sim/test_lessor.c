/* v3's leases, told from the log alone. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/command.h"
#include "proto/pb.h"
#include "sim/lessor.h"

#define S INT64_C(1000000000)

static int begin(void **state)
{
    static struct lessor lessor;
    lessor_init(&lessor);
    *state = &lessor;
    return 0;
}

static int end(void **state)
{
    lessor_deinit(*state);
    return 0;
}

static void take(struct lessor *lessor, raft_index index, int64_t time_ns,
                 const struct command *command)
{
    struct refbuf *encoded = command_encode(command);
    struct slice bytes = slice_of(encoded->bytes, encoded->size);
    assert_int_equal(lessor_take(lessor, index, time_ns, bytes), ERR_OK);
    refbuf_unref(encoded);
}

static void grant(struct lessor *lessor, raft_index index, int64_t time_ns,
                  lease_id id, int64_t ttl_s)
{
    struct buf body = {0};
    pb_put_i64(&body, 1, ttl_s);
    pb_put_i64(&body, 2, id);
    take(lessor, index, time_ns,
         &(struct command){.type = COMMAND_LEASE_GRANT,
                           .message = buf_slice(&body)});
    buf_deinit(&body);
}

static void revoke(struct lessor *lessor, raft_index index, lease_id id)
{
    struct buf body = {0};
    pb_put_i64(&body, 1, id);
    take(lessor, index, 0,
         &(struct command){.type = COMMAND_LEASE_REVOKE,
                           .message = buf_slice(&body)});
    buf_deinit(&body);
}

static void renew(struct lessor *lessor, raft_index index, int64_t time_ns,
                  lease_id id)
{
    take(lessor, index, time_ns,
         &(struct command){.type = COMMAND_LEASE_RENEW, .renew = {&id, 1}});
}

static void expire(struct lessor *lessor, raft_index index, int64_t time_ns,
                   lease_id id)
{
    take(lessor, index, time_ns,
         &(struct command){.type = COMMAND_EXPIRE, .expire = {&id, 1}});
}

static void ends_at(const struct lessor *lessor, lease_id id, raft_index index,
                    int64_t expire_ns)
{
    const struct lessor_change *lease = lessor_get(lessor, id, index);
    assert_non_null(lease);
    assert_int_equal(lease->expire_ns, expire_ns);
}

static void test_a_lease_lives_from_its_entry_on(void **state)
{
    struct lessor *lessor = *state;
    grant(lessor, 10, 100 * S, 7, 5);
    assert_null(lessor_get(lessor, 7, 9));
    ends_at(lessor, 7, 10, 105 * S);
    ends_at(lessor, 7, 1000, 105 * S);
    assert_null(lessor_get(lessor, 8, 1000));
    assert_null(lessor_newest(lessor, 8));
}

static void test_a_renewal_counts_from_its_own_time(void **state)
{
    struct lessor *lessor = *state;
    grant(lessor, 10, 100 * S, 7, 5);
    renew(lessor, 12, 103 * S, 7);
    ends_at(lessor, 7, 11, 105 * S);
    ends_at(lessor, 7, 12, 108 * S);
    /* Never back. */
    renew(lessor, 13, 102 * S, 7);
    ends_at(lessor, 7, 13, 108 * S);
    renew(lessor, 14, 102 * S, 99);
    assert_null(lessor_newest(lessor, 99));
}

static void test_an_expiry_before_the_time_is_none(void **state)
{
    struct lessor *lessor = *state;
    grant(lessor, 10, 100 * S, 7, 5);
    expire(lessor, 11, 105 * S - 1, 7);
    ends_at(lessor, 7, 11, 105 * S);
    expire(lessor, 12, 105 * S, 7);
    assert_null(lessor_get(lessor, 7, 12));
    ends_at(lessor, 7, 11, 105 * S);
    assert_int_equal(lessor_newest(lessor, 7)->granted_s, 0);
    /* What has ended isn't kept alive. */
    renew(lessor, 13, 106 * S, 7);
    assert_null(lessor_get(lessor, 7, 13));
}

static void test_who_revokes_ends_it(void **state)
{
    struct lessor *lessor = *state;
    grant(lessor, 10, 100 * S, 7, 5);
    grant(lessor, 11, 100 * S, 8, 5);
    revoke(lessor, 12, 7);
    assert_null(lessor_get(lessor, 7, 12));
    ends_at(lessor, 8, 12, 105 * S);
    revoke(lessor, 13, 7);
    assert_null(lessor_get(lessor, 7, 13));
}

static void test_a_grant_is_refused_or_raised(void **state)
{
    struct lessor *lessor = *state;
    grant(lessor, 10, 100 * S, 7, 1); /* etcd's least is 2 */
    ends_at(lessor, 7, 10, 102 * S);
    grant(lessor, 11, 101 * S, 7, 50); /* it is there */
    ends_at(lessor, 7, 11, 102 * S);
    grant(lessor, 12, 101 * S, 0, 50);
    assert_null(lessor_newest(lessor, 0));
    revoke(lessor, 13, 7);
    grant(lessor, 14, 101 * S, 7, 50);
    ends_at(lessor, 7, 14, 151 * S);
}

static void test_other_commands_are_not_read(void **state)
{
    struct lessor *lessor = *state;
    assert_int_equal(lessor_take(lessor, 1, 0, SLICE("")), ERR_OK);
    assert_int_equal(lessor_take(lessor, 1, 0, SLICE("\x08\x01\xff\xff")),
                     ERR_OK);
    assert_int_equal(lessor->count, 0);
    assert_int_equal(lessor_take(lessor, 1, 0, SLICE("\x08\x02\xff\xff")),
                     ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_lease_lives_from_its_entry_on,
                                        begin, end),
        cmocka_unit_test_setup_teardown(test_a_renewal_counts_from_its_own_time,
                                        begin, end),
        cmocka_unit_test_setup_teardown(test_an_expiry_before_the_time_is_none,
                                        begin, end),
        cmocka_unit_test_setup_teardown(test_who_revokes_ends_it, begin, end),
        cmocka_unit_test_setup_teardown(test_a_grant_is_refused_or_raised,
                                        begin, end),
        cmocka_unit_test_setup_teardown(test_other_commands_are_not_read, begin,
                                        end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
