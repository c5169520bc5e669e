/* What a key was before, where history is cut off or a step is long. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "watch_requests.h"

static struct hearer *watch_with_prev(struct stage *stage, revision from)
{
    struct hearer *stream = stage_call(stage, WATCH, NULL);
    create_request request = watch_of("a", "");
    request.prev_kv = true;
    request.start_revision = from;
    watch_create(stream, request);
    return stream;
}

/* At or below a compaction nothing was before, cleaned away yet or not. */
static void what_is_compacted_has_no_before(void **state)
{
    struct stage *stage = *state;
    put(stage, "a", "1");
    put(stage, "a", "2");
    put(stage, "a", "3");
    stage_compact(stage, 3);
    struct hearer *stream = watch_with_prev(stage, 3);
    hear(stream, "*\n@4 PUT a=2 2/3/2 PUT a=3 2/4/3 (a=2 2/3/2)\n");
    put(stage, "a", "4");
    hear(stream, "@5 PUT a=4 2/5/4 (a=3 2/4/3)\n");
    stage_hang_up(stream);
}

/* Above a compaction, what it has kept still tells what was before. */
static void what_a_compaction_keeps_is_told(void **state)
{
    struct stage *stage = *state;
    put(stage, "a", "1");
    put(stage, "a", "2");
    del(stage, "a");
    stage_compact(stage, 3);
    struct hearer *stream = watch_with_prev(stage, 4);
    hear(stream, "*\n@4 DELETE a 4 (a=2 2/3/2)\n");
    put(stage, "a", "3");
    hear(stream, "@5 PUT a=3 5/5/1\n");
    stage_hang_up(stream);
}

/* What was deleted in the compacted revision itself is not told when that is
 * cleaned away, as in etcd; what was put in it is, as long as it lives. */
static void an_end_in_the_compacted_revision_is_gone(void **state)
{
    struct stage *stage = *state;
    put(stage, "a", "1");
    del(stage, "a");
    put(stage, "a", "2");
    stage_compact(stage, 3);
    stage_flush(stage);
    struct hearer *stream = watch_with_prev(stage, 3);
    hear(stream, "*\n@4 PUT a=2 4/4/1\n");
    stage_hang_up(stream);
    del(stage, "a");
    stage_compact(stage, 5);
    stage_flush(stage);
    stream = watch_with_prev(stage, 5);
    hear(stream, "*\n");
    put(stage, "a", "3");
    hear(stream, "@6 PUT a=3 6/6/1\n");
    stage_hang_up(stream);
    put(stage, "a", "4");
    stage_compact(stage, 7);
    stage_flush(stage);
    stream = watch_with_prev(stage, 7);
    hear(stream, "*\n@7 PUT a=4 6/7/2\n");
    stage_hang_up(stream);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_begin, stage_end)
    const struct CMUnitTest tests[] = {
        TEST(what_is_compacted_has_no_before),
        TEST(what_a_compaction_keeps_is_told),
        TEST(an_end_in_the_compacted_revision_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
