/* A command of a known type whose body is missing was read through a null
 * pointer (plus zero): undefined, though harmless with today's compilers.
 * Found by fuzz/fuzz_command.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/command.h"
#include "proto/pb.h"

static void a_reader_of_nothing_is_at_its_end(void **state)
{
    struct pb_reader reader;
    struct pb_field field;
    (void)state;
    pb_reader_init(&reader, slice_of(NULL, 0));
    assert_non_null(reader.at);
    assert_ptr_equal(reader.at, reader.end);
    assert_false(pb_next(&reader, &field));
    assert_false(reader.failed);
}

static void commands_without_a_body_are_told_apart(void **state)
{
    struct arena arena;
    struct command out;
    (void)state;
    arena_init(&arena, 0);
    for (uint64_t type = COMMAND_TREE; type <= COMMAND_PUBLISH; type++) {
        struct buf whole = {0};
        pb_put_u64(&whole, 1, type);
        enum err err = command_decode(buf_slice(&whole), &arena, &out);
        /* Expiring nothing and compacting at 0 mean something; the others
         * need what is missing. */
        bool fine = type == COMMAND_EXPIRE || type == COMMAND_COMPACT;
        assert_int_equal(err, fine ? ERR_OK : ERR_CORRUPT);
        buf_deinit(&whole);
    }
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_of_nothing_is_at_its_end),
        cmocka_unit_test(commands_without_a_body_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
