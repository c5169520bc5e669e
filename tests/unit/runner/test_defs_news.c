/* Definitions, their states and owners, as the store tells them: in pages, in
 * any order, broken, replaced, and read again after a compaction. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "proto/message.h"
#include "runner_hand.h"

#define DEF "/_recipes/def/"
#define STATUS "/_recipes/status/"
#define OWNER "/_recipes/owner/"
#define WORKER "/_recipes/worker/"

static const char copy_json[] =
    "{\"name\":\"copy\",\"if\":[{\"key\":\"/from/{id}\"}],"
    "\"then\":[{\"put\":{\"key\":\"/to/{{id}}\",\"value\":\"x\"}}]}";
static const char off_json[] =
    "{\"name\":\"copy\",\"enabled\":false,\"if\":[{\"key\":\"/from/{id}\"}],"
    "\"then\":[{\"put\":{\"key\":\"/to/{{id}}\",\"value\":\"x\"}}]}";

static const struct hand_kv copy_def = {DEF "copy", copy_json, 5, 5, 1};
static const struct hand_kv copy_paused = {
    STATUS "copy", "{\"state\":\"paused\",\"why\":\"lunch\"}", 6, 6, 1};

static void tell(struct hand *hand, const char *prefix,
                 const struct hand_kv *kv)
{
    hand_tell(hand, hand_watch_of(hand, prefix), kv, 1, false);
}

static void tell_value(struct hand *hand, const char *prefix, const char *value,
                       int64_t create, int64_t mod)
{
    char key[64];
    snprintf(key, sizeof key, "%scopy", prefix);
    struct hand_kv kv = {key, value, create, mod, mod == create ? 1 : 2};
    tell(hand, prefix, &kv);
}

static struct def *copy_of(struct hand *hand)
{
    return def__find(hand->runner, SLICE("copy"));
}

static void assert_why(const struct def *def, const char *why)
{
    assert_int_equal(def->why.size, strlen(why));
    if (*why)
        assert_memory_equal(def->why.at, why, def->why.size);
}

static void answer_page(struct hand *hand, const char *prefix, int64_t revision,
                        const struct hand_kv *kvs, size_t count, bool more)
{
    struct buf page = {0};
    hand_header(&page, revision);
    for (size_t i = 0; i < count; i++)
        hand_kv(&page, 2, &kvs[i]);
    pb_put_bool(&page, 3, more);
    pb_put_i64(&page, 4, (int64_t)count);
    hand_answer(hand, hand_find(hand, RUNNER_RANGE, prefix), &page);
    buf_deinit(&page);
}

/* ---- reading ------------------------------------------------------------ */

static const Etcdserverpb__RangeRequest *read_range(struct arena *arena,
                                                    struct hand *hand)
{
    ProtobufCMessage *message;
    const struct hand_call *call = hand_find(hand, RUNNER_RANGE, "");
    assert_non_null(call);
    enum err err = message_decode(&etcdserverpb__range_request__descriptor,
                                  buf_slice(&call->request), arena, &message);
    assert_int_equal(err, ERR_OK);
    return (const Etcdserverpb__RangeRequest *)message;
}

static void assert_bytes(ProtobufCBinaryData bytes, struct slice text)
{
    assert_true(slice_eq(message_bytes(bytes), text));
}

static void test_all_pages_are_of_one_revision(void **state)
{
    (void)state;
    struct hand *hand = hand_new(true);
    struct arena arena;
    arena_init(&arena, 0);
    const Etcdserverpb__RangeRequest *range = read_range(&arena, hand);
    assert_bytes(range->key, SLICE(DEF));
    assert_bytes(range->range_end, SLICE("/_recipes/def0"));
    assert_int_equal(range->revision, 0);
    assert_true(range->limit > 0);
    answer_page(hand, DEF, 40, &copy_def, 1, true);
    /* The second page begins behind the last key, at the first's revision. */
    range = read_range(&arena, hand);
    assert_bytes(range->key, slice_of(DEF "copy\0", sizeof DEF "copy"));
    assert_int_equal(range->revision, 40);
    answer_page(hand, DEF, 55, NULL, 0, false);
    range = read_range(&arena, hand);
    assert_bytes(range->key, SLICE(STATUS));
    assert_int_equal(range->revision, 40);
    answer_page(hand, STATUS, 56, NULL, 0, false);
    answer_page(hand, OWNER, 57, NULL, 0, false);
    assert_false(defs__are_known(hand->runner));
    assert_int_equal(hand->ask_count, 0);
    answer_page(hand, WORKER, 58, NULL, 0, false);
    assert_true(defs__are_known(hand->runner));
    /* And watched from there, all four. */
    assert_int_equal(hand->ask_count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(hand->asks[i].start, 40);
    arena_deinit(&arena);
    hand_free(hand);
}

static void test_a_page_that_fails_begins_it_all_again(void **state)
{
    (void)state;
    struct hand *hand = hand_new(true);
    struct arena arena;
    arena_init(&arena, 0);
    answer_page(hand, DEF, 40, &copy_def, 1, false);
    /* Compacted meanwhile. */
    hand_refuse(hand, hand_find(hand, RUNNER_RANGE, STATUS), 11);
    assert_null(hand_find(hand, RUNNER_RANGE, ""));
    hand_run(hand, 11 * SECOND_NS);
    const Etcdserverpb__RangeRequest *range = read_range(&arena, hand);
    assert_bytes(range->key, SLICE(DEF));
    assert_int_equal(range->revision, 0);
    /* It was deleted in between. */
    hand_answer_defs(hand, 60);
    assert_true(defs__are_known(hand->runner));
    assert_null(copy_of(hand));
    assert_int_equal(hand->runner->defs.by_name.count, 0);
    assert_int_equal(hand_last_ask(hand)->start, 60);
    arena_deinit(&arena);
    hand_free(hand);
}

static void test_keys_that_are_none_of_them(void **state)
{
    (void)state;
    struct hand *hand = hand_new(true);
    const struct hand_kv odd[] = {
        {DEF, "{}", 3, 3, 1},
        {DEF "a/b", "{}", 3, 3, 1},
        {DEF "copy", copy_json, 5, 5, 1},
    };
    answer_page(hand, DEF, 40, odd, 3, false);
    hand_answer_defs(hand, 40);
    struct def *def = def__next(hand->runner, SLICE(""));
    while (def && !slice_eq(def->name, SLICE("copy")))
        def = def__next(hand->runner, def->name);
    assert_non_null(def);
    assert_int_equal(def->state, DEF_RUNS);
    struct def *sub = def__find(hand->runner, SLICE("a/b"));
    assert_null(sub);
    hand_free(hand);
}

/* ---- states ------------------------------------------------------------- */

static struct hand *begin_with_copy(void)
{
    struct hand *hand = hand_new(true);
    answer_page(hand, DEF, 10, &copy_def, 1, false);
    hand_answer_defs(hand, 10);
    assert_int_equal(copy_of(hand)->state, DEF_RUNS);
    return hand;
}

static void test_each_state_has_its_word(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        enum def_state state;
        const char *text;
        const char *why;
    } all[] = {
        {"{\"state\":\"paused\",\"why\":\"lunch\"}", DEF_PAUSED, "paused",
         "lunch"},
        {"{\"state\":\"tripped\",\"why\":\"too fast\"}", DEF_TRIPPED, "tripped",
         "too fast"},
        {"{\"state\":\"gap\"}", DEF_GAP, "gap", ""},
        {"{\"state\":\"running\"}", DEF_RUNS, "running", ""},
        {"{\"state\":\"what later versions say\"}", DEF_RUNS, "running", ""},
        /* What can't be read stops it: that is the safe side. */
        {"{\"state\":", DEF_PAUSED, "paused", "its status can't be read"},
        {"{\"state\":7,\"why\":[]}", DEF_PAUSED, "paused", ""},
        {"", DEF_PAUSED, "paused", "its status can't be read"},
    };
    struct hand *hand = begin_with_copy();
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        int64_t revision = 11 + (int64_t)i;
        tell_value(hand, STATUS, all[i].json, 11, revision);
        assert_int_equal(copy_of(hand)->state, all[i].state);
        assert_string_equal(def_state_text(copy_of(hand)->state), all[i].text);
        assert_why(copy_of(hand), all[i].why);
    }
    tell_value(hand, STATUS, NULL, 0, 40);
    assert_int_equal(copy_of(hand)->state, DEF_RUNS);
    assert_why(copy_of(hand), "");
    assert_string_equal(def_state_text(DEF_BROKEN), "broken");
    assert_string_equal(def_state_text(DEF_DISABLED), "disabled");
    hand_free(hand);
}

static void test_disabled_it_is_whatever_its_status_says(void **state)
{
    (void)state;
    struct hand *hand = begin_with_copy();
    tell_value(hand, DEF, off_json, 5, 11);
    assert_int_equal(copy_of(hand)->state, DEF_DISABLED);
    tell_value(hand, STATUS, copy_paused.value, 12, 12);
    assert_int_equal(copy_of(hand)->state, DEF_DISABLED);
    tell_value(hand, DEF, copy_json, 5, 13);
    assert_int_equal(copy_of(hand)->state, DEF_PAUSED);
    assert_why(copy_of(hand), "lunch");
    assert_int_equal(copy_of(hand)->version, 2);
    assert_int_equal(copy_of(hand)->uid, 5);
    hand_free(hand);
}

/* ---- broken ------------------------------------------------------------- */

static void test_a_broken_one_that_is_mended(void **state)
{
    (void)state;
    struct hand *hand = begin_with_copy();
    hand_grant(hand, 77, 600, 10);
    hand_answer_txn(hand, hand_find(hand, RUNNER_TXN, OWNER), true, 11);
    assert_non_null(copy_of(hand)->work);
    unsigned generation = hand->runner->defs.generation;
    tell_value(hand, DEF, "{\"name\":\"copy\",", 5, 12);
    assert_int_equal(copy_of(hand)->state, DEF_BROKEN);
    assert_null(copy_of(hand)->recipe);
    assert_true(copy_of(hand)->why.size > 0);
    /* Who can't read it doesn't keep it: another version may know it. */
    assert_null(copy_of(hand)->work);
    assert_true(hand->runner->defs.generation > generation);
    tell_value(hand, DEF, copy_json, 5, 13);
    assert_int_equal(copy_of(hand)->state, DEF_RUNS);
    /* Nothing is wrong with it any more. */
    assert_why(copy_of(hand), "");
    hand_free(hand);
}

static void test_broken_is_said_before_paused(void **state)
{
    (void)state;
    struct hand *hand = begin_with_copy();
    tell_value(hand, STATUS, copy_paused.value, 11, 11);
    tell_value(hand, DEF, "{\"name\":\"other\"}", 5, 12);
    struct def *def = copy_of(hand);
    assert_int_equal(def->state, DEF_BROKEN);
    assert_true(def->why.size > 0);
    assert_false(slice_eq(def->why, SLICE("lunch")));
    tell_value(hand, STATUS, "{\"state\":\"paused\",\"why\":\"supper\"}", 11,
               13);
    assert_false(slice_eq(def->why, SLICE("supper")));
    /* Mended, it is still paused, by who paused it last. */
    tell_value(hand, DEF, copy_json, 5, 14);
    assert_int_equal(def->state, DEF_PAUSED);
    assert_why(def, "supper");
    tell_value(hand, STATUS, NULL, 0, 15);
    assert_why(def, "");
    hand_free(hand);
}

static void test_its_name_is_its_keys(void **state)
{
    (void)state;
    struct hand *hand = begin_with_copy();
    struct hand_kv kv = {DEF "other", copy_json, 11, 11, 1};
    tell(hand, DEF, &kv);
    const struct def *def = def__find(hand->runner, SLICE("other"));
    assert_int_equal(def->state, DEF_BROKEN);
    assert_why(def, "its name isn't its key's");
    assert_int_equal(copy_of(hand)->state, DEF_RUNS);
    hand_free(hand);
}

/* ---- the order of arrival ----------------------------------------------- */

static void test_status_and_owner_before_the_definition(void **state)
{
    (void)state;
    struct hand *hand = hand_new(true);
    hand_answer_defs(hand, 4);
    tell(hand, STATUS, &copy_paused);
    tell_value(hand, OWNER, "abc", 7, 7);
    assert_null(copy_of(hand));
    assert_null(def__next(hand->runner, SLICE("")));
    assert_int_equal(hand->runner->defs.by_name.count, 1);
    tell(hand, DEF, &copy_def);
    const struct def *def = copy_of(hand);
    assert_int_equal(def->state, DEF_PAUSED);
    assert_why(def, "lunch");
    assert_true(slice_eq(def->owner, SLICE("abc")));
    assert_int_equal(def->owner_claim, 7);
    /* And gone in that order too: known as long as anything of it is. */
    tell_value(hand, DEF, NULL, 0, 8);
    assert_null(copy_of(hand));
    assert_int_equal(hand->runner->defs.by_name.count, 1);
    tell_value(hand, STATUS, NULL, 0, 9);
    assert_int_equal(hand->runner->defs.by_name.count, 1);
    tell_value(hand, OWNER, NULL, 0, 10);
    assert_int_equal(hand->runner->defs.by_name.count, 0);
    /* What was never known may be deleted. */
    tell_value(hand, STATUS, NULL, 0, 11);
    tell_value(hand, DEF, NULL, 0, 12);
    tell_value(hand, OWNER, NULL, 0, 13);
    assert_int_equal(hand->runner->defs.by_name.count, 0);
    hand_free(hand);
}

static void test_all_orders_come_to_the_same(void **state)
{
    (void)state;
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                     {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (int i = 0; i < 6; i++) {
        struct hand *hand = hand_new(true);
        hand_answer_defs(hand, 4);
        for (int j = 0; j < 3; j++) {
            if (orders[i][j] == 0)
                tell(hand, DEF, &copy_def);
            else if (orders[i][j] == 1)
                tell(hand, STATUS, &copy_paused);
            else
                tell_value(hand, OWNER, "abc", 7, 7);
        }
        const struct def *def = copy_of(hand);
        assert_int_equal(def->state, DEF_PAUSED);
        assert_int_equal(def->uid, 5);
        assert_int_equal(def->version, 1);
        assert_true(slice_eq(def->owner, SLICE("abc")));
        assert_why(def, "lunch");
        for (int j = 0; j < 3; j++) {
            static const char *const prefixes[] = {DEF, STATUS, OWNER};
            tell_value(hand, prefixes[orders[i][j]], NULL, 0, 20 + j);
        }
        assert_int_equal(hand->runner->defs.by_name.count, 0);
        hand_free(hand);
    }
}

static void test_one_that_comes_back_has_another_uid(void **state)
{
    (void)state;
    struct hand *hand = begin_with_copy();
    tell_value(hand, DEF, NULL, 0, 11);
    assert_null(copy_of(hand));
    assert_int_equal(hand->runner->defs.count, 0);
    tell_value(hand, DEF, copy_json, 12, 12);
    assert_int_equal(copy_of(hand)->uid, 12);
    assert_int_equal(copy_of(hand)->version, 1);
    assert_int_equal(hand->runner->defs.count, 1);
    hand_free(hand);
}

static void test_they_are_in_the_order_of_their_names(void **state)
{
    (void)state;
    struct hand *hand = hand_new(true);
    hand_answer_defs(hand, 4);
    /* Every one of 0 to 99, in an order of its own. */
    for (int i = 0; i < 100; i++) {
        char key[64];
        snprintf(key, sizeof key, DEF "r%02d", i * 37 % 100);
        struct hand_kv kv = {key, "{}", 5 + i, 5 + i, 1};
        tell(hand, DEF, &kv);
    }
    for (int i = 0; i < 100; i += 2) {
        char key[64];
        snprintf(key, sizeof key, DEF "r%02d", i);
        struct hand_kv kv = {key, NULL, 0, 200 + i, 0};
        tell(hand, DEF, &kv);
    }
    assert_int_equal(hand->runner->defs.count, 50);
    struct def *def = def__next(hand->runner, SLICE(""));
    for (int i = 1; i < 100; i += 2) {
        char name[16];
        snprintf(name, sizeof name, "r%02d", i);
        assert_true(slice_eq(def->name, slice_str(name)));
        /* From the place of one that is gone, too. */
        snprintf(name, sizeof name, "r%02d", i - 1);
        assert_true(def__next(hand->runner, slice_str(name)) == def);
        def = def__next(hand->runner, def->name);
    }
    assert_null(def);
    hand_free(hand);
}

/* ---- compacted ---------------------------------------------------------- */

static void test_compacted_all_are_read_again(void **state)
{
    (void)state;
    struct hand *hand = begin_with_copy();
    tell_value(hand, STATUS, copy_paused.value, 11, 11);
    struct hand_kv other = {DEF "other", "{}", 12, 12, 1};
    tell(hand, DEF, &other);
    size_t asks = hand->ask_count;
    hand_tell_canceled(hand, hand_watch_of(hand, OWNER), 90);
    /* The three others are ended, and nothing is watched meanwhile. */
    size_t ended = 0;
    for (size_t i = asks; i < hand->ask_count; i++)
        ended += hand->asks[i].kind == HAND_CANCEL;
    assert_int_equal(ended, 3);
    assert_int_equal(hand->ask_count, asks + 3);
    assert_int_equal(copy_of(hand)->state, DEF_PAUSED);
    /* Meanwhile: resumed, the other one deleted, a third one made. */
    const struct hand_kv now[] = {
        {DEF "copy", copy_json, 5, 5, 1},
        {DEF "third", "{}", 80, 80, 1},
    };
    const struct def *was = copy_of(hand);
    const struct recipe *plan = was->recipe;
    answer_page(hand, DEF, 95, now, 2, false);
    hand_answer_defs(hand, 95);
    assert_true(copy_of(hand) == was);
    assert_true(was->recipe == plan); /* the same version isn't read twice */
    assert_int_equal(was->state, DEF_RUNS);
    assert_null(def__find(hand->runner, SLICE("other")));
    assert_non_null(def__find(hand->runner, SLICE("third")));
    assert_int_equal(hand->ask_count, asks + 7);
    for (size_t i = asks + 3; i < hand->ask_count; i++)
        assert_int_equal(hand->asks[i].start, 95);
    hand_free(hand);
}

static void test_a_worker_and_an_owner_that_went_unseen(void **state)
{
    (void)state;
    struct hand *hand = begin_with_copy();
    struct hand_kv worker = {WORKER "abc", "{}", 11, 11, 1};
    tell(hand, WORKER, &worker);
    tell_value(hand, OWNER, "abc", 12, 12);
    assert_int_equal(hand->runner->workers.by_id.count, 1);
    hand_tell_canceled(hand, hand_watch_of(hand, WORKER), 90);
    answer_page(hand, DEF, 95, &copy_def, 1, false);
    hand_answer_defs(hand, 95);
    assert_int_equal(hand->runner->workers.by_id.count, 0);
    assert_int_equal(copy_of(hand)->owner.size, 0);
    /* What the watch tells of before that is older news. */
    def__set_owner(hand->runner, copy_of(hand), SLICE("abc"), 12, 94);
    assert_int_equal(copy_of(hand)->owner.size, 0);
    hand_free(hand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_pages_are_of_one_revision),
        cmocka_unit_test(test_a_page_that_fails_begins_it_all_again),
        cmocka_unit_test(test_keys_that_are_none_of_them),
        cmocka_unit_test(test_each_state_has_its_word),
        cmocka_unit_test(test_disabled_it_is_whatever_its_status_says),
        cmocka_unit_test(test_a_broken_one_that_is_mended),
        cmocka_unit_test(test_broken_is_said_before_paused),
        cmocka_unit_test(test_its_name_is_its_keys),
        cmocka_unit_test(test_status_and_owner_before_the_definition),
        cmocka_unit_test(test_all_orders_come_to_the_same),
        cmocka_unit_test(test_one_that_comes_back_has_another_uid),
        cmocka_unit_test(test_they_are_in_the_order_of_their_names),
        cmocka_unit_test(test_compacted_all_are_read_again),
        cmocka_unit_test(test_a_worker_and_an_owner_that_went_unseen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
