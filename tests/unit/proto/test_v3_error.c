/* v3's errors: what clients match on, to the letter. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "proto/v3_error.h"

static void expect(enum v3_error error, enum grpc_code code, const char *text)
{
    assert_int_equal(v3_error_code(error), code);
    assert_string_equal(v3_error_text(error), text);
}

static void codes_and_texts_are_etcds(void **state)
{
    (void)state;
    expect(V3_OK, GRPC_OK, "");
    expect(V3_EMPTY_KEY, GRPC_INVALID_ARGUMENT,
           "etcdserver: key is not provided");
    expect(V3_COMPACTED, GRPC_OUT_OF_RANGE,
           "etcdserver: mvcc: required revision has been compacted");
    expect(V3_NO_SPACE, GRPC_RESOURCE_EXHAUSTED,
           "etcdserver: mvcc: database space exceeded");
    expect(V3_LEASE_NOT_FOUND, GRPC_NOT_FOUND,
           "etcdserver: requested lease not found");
    expect(V3_LEASE_EXIST, GRPC_FAILED_PRECONDITION,
           "etcdserver: lease already exists");
    expect(V3_PERMISSION_DENIED, GRPC_PERMISSION_DENIED,
           "etcdserver: permission denied");
    expect(V3_INVALID_AUTH_TOKEN, GRPC_UNAUTHENTICATED,
           "etcdserver: invalid auth token");
    expect(V3_NO_LEADER, GRPC_UNAVAILABLE, "etcdserver: no leader");
    expect(V3_CORRUPT, GRPC_DATA_LOSS, "etcdserver: corrupt cluster");
    expect(V3_CANCELED, GRPC_CANCELED, "etcdserver: request canceled");
    expect(V3_DEADLINE_EXCEEDED, GRPC_DEADLINE_EXCEEDED,
           "etcdserver: context deadline exceeded");
}

/* Clients find an error by its text alone. */
static void every_text_is_another_one(void **state)
{
    (void)state;
    for (unsigned a = 1; a < V3_ERROR_COUNT; a++) {
        const char *text = v3_error_text((enum v3_error)a);
        /* Ours, or etcd's where it is no error of its own. */
        assert_true(strncmp(text, "etcdserver: ", 12) == 0 ||
                    strncmp(text, "etched: ", 8) == 0 ||
                    a == V3_NO_PASSWORD_USER);
        assert_in_range(v3_error_code((enum v3_error)a), GRPC_CANCELED,
                        GRPC_UNAUTHENTICATED);
        for (unsigned b = 0; b < a; b++) {
            assert_string_not_equal(text, v3_error_text((enum v3_error)b));
        }
    }
}

static void the_nodes_errors_have_v3s_words(void **state)
{
    static const struct {
        enum err err;
        enum v3_error error;
    } pairs[] = {
        {ERR_COMPACTED, V3_COMPACTED},
        {ERR_FUTURE_REVISION, V3_FUTURE_REV},
        {ERR_NO_SPACE, V3_NO_SPACE},
        {ERR_DISK_FULL, V3_NO_SPACE},
        {ERR_FULL, V3_REQUEST_TOO_MANY_REQUESTS},
        {ERR_TOO_LARGE, V3_REQUEST_TOO_LARGE},
        {ERR_TIMEOUT, V3_TIMEOUT},
        {ERR_NO_LEADER, V3_NO_LEADER},
        {ERR_NOT_LEADER, V3_NOT_LEADER},
        {ERR_STOPPED, V3_STOPPED},
        {ERR_UNHEALTHY, V3_UNHEALTHY},
        {ERR_CORRUPT, V3_CORRUPT},
        {ERR_PERMISSION, V3_PERMISSION_DENIED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        assert_int_equal(v3_error_of(pairs[i].err), pairs[i].error);
    }
}

/* For those the table of base/err.h does, whose codes are gRPC's too. */
static void others_keep_their_own(void **state)
{
    (void)state;
    assert_int_equal(v3_error_of(ERR_IO), V3_OK);
    assert_int_equal(v3_error_of(ERR_NOT_FOUND), V3_OK);
    assert_int_equal(err_grpc_code(ERR_IO), GRPC_DATA_LOSS);
    assert_int_equal(err_grpc_code(ERR_UNSUPPORTED), GRPC_UNIMPLEMENTED);
    for (unsigned err = ERR_OK + 1; err < ERR_COUNT; err++) {
        enum v3_error error = v3_error_of((enum err)err);
        int code = error != V3_OK ? (int)v3_error_code(error)
                                  : err_grpc_code((enum err)err);
        assert_in_range(code, GRPC_CANCELED, GRPC_UNAUTHENTICATED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_and_texts_are_etcds),
        cmocka_unit_test(every_text_is_another_one),
        cmocka_unit_test(the_nodes_errors_have_v3s_words),
        cmocka_unit_test(others_keep_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
