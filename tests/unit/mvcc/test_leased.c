/* After a start the store tells which living records have a lease, so that
 * whoever keeps leases can build them again. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/mvcc/stories.h"

static struct buf told;

static void tell(void *context, const struct record *record)
{
    assert_null(context);
    buf_printf(&told, "%.*s=%d in %s until %d; ", (int)record->key.size,
               record->key.at, (int)record->lease,
               record->table == MVCC_KEYS ? "keys" : "dirs",
               (int)record->expire_ns);
}

static const char *leased(void)
{
    buf_reset(&told);
    mvcc_read_begin(reader);
    assert_int_equal(mvcc_each_leased(reader, tell, NULL), ERR_OK);
    mvcc_read_end(reader);
    buf_append_char(&told, '\0');
    return told.at;
}

static int forget(void **state)
{
    buf_deinit(&told);
    told = (struct buf){0};
    return story_end(state);
}

static void put_leased(enum mvcc_table table, const char *key, lease_id lease,
                       int64_t expire_ns)
{
    begin();
    mvcc_put(store, &(struct mvcc_put){.table = table,
                                       .cause = MVCC_SET,
                                       .key = slice_str(key),
                                       .lease = lease,
                                       .expire_ns = expire_ns});
    assert_true(commit() > 0);
}

static void a_store_without_leases_tells_of_none(void **state)
{
    (void)state;
    IS(leased(), "");
    put("/a", "1");
    flush_all();
    restart();
    IS(leased(), "");
}

static void living_records_are_told_in_the_order_of_revisions(void **state)
{
    (void)state;
    put_leased(MVCC_KEYS, "/z", 7, 100);
    put("/none", "1");
    put_leased(MVCC_DIRS, "/a", 8, 0);
    put_leased(MVCC_KEYS, "/b", 7, 100);
    flush_all();
    restart();
    IS(leased(), "/z=7 in keys until 100; /a=8 in dirs until 0; "
                 "/b=7 in keys until 100; ");
}

static void what_was_replaced_or_removed_is_not(void **state)
{
    (void)state;
    put_leased(MVCC_KEYS, "/replaced", 7, 0);
    put_leased(MVCC_KEYS, "/moved", 7, 0);
    put_leased(MVCC_KEYS, "/removed", 7, 0);
    put("/replaced", "2");
    put_leased(MVCC_KEYS, "/moved", 8, 0);
    del("/removed");
    flush_all();
    restart();
    IS(leased(), "/moved=8 in keys until 0; ");
}

static void what_is_compacted_away_is_passed_over(void **state)
{
    (void)state;
    put_leased(MVCC_KEYS, "/kept", 7, 0);
    put_leased(MVCC_KEYS, "/gone", 8, 0);
    revision at = del("/gone");
    assert_int_equal(mvcc_compact(store, at), ERR_OK);
    while (mvcc_compact_slice(store, 10)) {
    }
    flush_all();
    flush_all();
    restart();
    IS(leased(), "/kept=7 in keys until 0; ");
}

static void it_is_told_once(void **state)
{
    (void)state;
    put_leased(MVCC_KEYS, "/a", 7, 0);
    flush_all();
    restart();
    IS(leased(), "/a=7 in keys until 0; ");
    IS(leased(), "");
    restart();
    IS(leased(), "/a=7 in keys until 0; ");
}

static void it_need_not_be_asked(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        put_leased(MVCC_KEYS, "/a", i + 1, 0);
    }
    flush_all();
    restart(); /* closing it lets go of what was never asked for */
    restart();
    IS(leased(), "/a=200 in keys until 0; ");
}

#define LEASED(name) cmocka_unit_test_setup_teardown(name, story_begin, forget)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEASED(a_store_without_leases_tells_of_none),
        LEASED(living_records_are_told_in_the_order_of_revisions),
        LEASED(what_was_replaced_or_removed_is_not),
        LEASED(what_is_compacted_away_is_passed_over),
        LEASED(it_is_told_once),
        LEASED(it_need_not_be_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
