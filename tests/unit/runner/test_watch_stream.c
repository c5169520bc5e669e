/* The one Watch stream, told by hand: what is asked, what is told of it and
 * how often, wherever it breaks. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/prng.h"
#include "runner_hand.h"

/* ---- a watch that writes down what it is told ---------------------------- */

struct diary {
    struct watch watch;
    struct buf text; /* "key@revision=value " each; "-key@revision " */
    unsigned seen;
    int64_t compacted;
    struct watch *ends; /* with the next event; NULL: none */
};

static void note_event(struct runner *runner, struct watch *watch,
                       const struct watch_event *event)
{
    struct diary *diary = CONTAINER_OF(watch, struct diary, watch);
    buf_printf(&diary->text, "%s%.*s@%lld", event->is_delete ? "-" : "",
               (int)event->key.size, event->key.at, (long long)event->revision);
    if (!event->is_delete)
        buf_printf(&diary->text, "=%.*s", (int)event->value.size,
                   event->value.at);
    buf_append_char(&diary->text, ' ');
    if (diary->ends)
        watch__end(runner, diary->ends);
    diary->ends = NULL;
}

static void note_seen(struct runner *runner, struct watch *watch)
{
    (void)runner;
    CONTAINER_OF(watch, struct diary, watch)->seen++;
}

static void note_compacted(struct runner *runner, struct watch *watch,
                           int64_t revision)
{
    (void)runner;
    CONTAINER_OF(watch, struct diary, watch)->compacted = revision;
}

static const struct watch_kind diary_kind = {
    .event = note_event, .seen = note_seen, .compacted = note_compacted};

static void open_diary(struct hand *hand, struct diary *diary, const char *key,
                       const char *end, int64_t next)
{
    *diary = (struct diary){.watch = {.kind = &diary_kind,
                                      .key = slice_str(key),
                                      .end = slice_str(end),
                                      .next = next,
                                      .wants_prev = true}};
    watch__begin(hand->runner, &diary->watch);
}

static void close_diary(struct hand *hand, struct diary *diary)
{
    watch__end(hand->runner, &diary->watch);
    buf_deinit(&diary->text);
}

static void assert_diary(struct diary *diary, const char *text)
{
    buf_append_char(&diary->text, '\0');
    assert_string_equal(diary->text.at, text);
    diary->text.size--;
}

static const struct hand_kv a5 = {"/a", "one", 5, 5, 1};
static const struct hand_kv b5 = {"/b", "two", 5, 5, 1};
static const struct hand_kv c5 = {"/c", "three", 5, 5, 1};
static const struct hand_kv a7 = {"/a", "four", 5, 7, 2};
static const struct hand_kv b7 = {"/b", NULL, 0, 7, 0};

/* ---- what is asked ------------------------------------------------------- */

static void test_what_a_watch_asks_for(void **state)
{
    (void)state;
    struct hand *hand = hand_new(true);
    struct diary diary;
    open_diary(hand, &diary, "/a", "/d", 5);
    const struct hand_ask *ask = hand_last_ask(hand);
    assert_int_equal(ask->kind, HAND_CREATE);
    assert_true(ask->id > 0);
    assert_string_equal(ask->key, "/a");
    assert_string_equal(ask->end, "/d");
    /* One earlier than it needs, so that a gap isn't silent. */
    assert_int_equal(ask->start, 4);
    assert_true(ask->wants_prev);
    assert_true(ask->wants_progress);
    assert_true(ask->may_fragment);
    int64_t id = ask->id;
    close_diary(hand, &diary);
    assert_int_equal(hand_last_ask(hand)->kind, HAND_CANCEL);
    assert_int_equal(hand_last_ask(hand)->id, id);
    /* Nothing is before the first revision; 0 would mean: from now on. */
    open_diary(hand, &diary, "/a", "", 1);
    assert_int_equal(hand_last_ask(hand)->start, 1);
    assert_string_equal(hand_last_ask(hand)->end, "");
    size_t asks = hand->ask_count;
    close_diary(hand, &diary);
    watch__end(hand->runner, &diary.watch);
    assert_int_equal(hand->ask_count, asks + 1);
    hand_free(hand);
}

static void test_each_event_once_in_order(void **state)
{
    (void)state;
    struct hand *hand = hand_new(true);
    struct diary diary;
    open_diary(hand, &diary, "/", "0", 5);
    int64_t id = diary.watch.id;
    hand_tell_created(hand, id);
    assert_true(diary.watch.is_created);
    assert_int_equal(diary.watch.next, 5);
    hand_tell(hand, id, (const struct hand_kv[]){a5, b5}, 2, false);
    assert_int_equal(diary.watch.next, 6);
    assert_int_equal(diary.seen, 1);
    hand_tell(hand, id, (const struct hand_kv[]){a7, b7}, 2, false);
    assert_diary(&diary, "/a@5=one /b@5=two /a@7=four -/b@7 ");
    assert_int_equal(diary.watch.next, 8);
    assert_int_equal(diary.seen, 2);
    assert_int_equal(hand->runner->revision, 7);
    /* What was told is told again, by a server that begins too early. */
    hand_tell(hand, id, (const struct hand_kv[]){a5, b5}, 2, false);
    assert_diary(&diary, "/a@5=one /b@5=two /a@7=four -/b@7 ");
    assert_int_equal(diary.watch.next, 8);
    assert_int_equal(diary.seen, 2);
    close_diary(hand, &diary);
    hand_free(hand);
}

/* ---- fragments ----------------------------------------------------------- */

static void test_a_revision_in_pieces_is_whole_at_its_end(void **state)
{
    (void)state;
    struct hand *hand = hand_new(true);
    struct diary diary;
    open_diary(hand, &diary, "/", "0", 5);
    int64_t id = diary.watch.id;
    hand_tell_created(hand, id);
    hand_tell(hand, id, &a5, 1, true);
    assert_int_equal(diary.watch.next, 5);
    assert_true(diary.watch.in_fragment);
    assert_int_equal(diary.seen, 0);
    /* Progress in the midst of it says nothing about it, of whichever kind. */
    hand_tell_progress(hand, id, 9);
    hand_tell_progress(hand, -1, 9);
    assert_int_equal(diary.watch.next, 5);
    hand_tell(hand, id, &b5, 1, true);
    hand_tell(hand, id, &c5, 1, false);
    assert_int_equal(diary.watch.next, 6);
    assert_false(diary.watch.in_fragment);
    assert_int_equal(diary.seen, 1);
    assert_diary(&diary, "/a@5=one /b@5=two /c@5=three ");
    /* A fragment may end in the midst of a later one. */
    hand_tell(hand, id, &a7, 1, true);
    assert_int_equal(diary.watch.next, 7);
    hand_tell(hand, id, &b7, 1, false);
    assert_int_equal(diary.watch.next, 8);
    close_diary(hand, &diary);
    hand_free(hand);
}

static void test_broken_in_a_fragment_the_revision_comes_again(void **state)
{
    (void)state;
    struct hand *hand = hand_new(true);
    struct diary diary;
    open_diary(hand, &diary, "/", "0", 5);
    unsigned generation = diary.watch.generation;
    int64_t id = diary.watch.id;
    hand_tell_created(hand, id);
    hand_tell(hand, id, &a5, 1, true);
    runner_watch_ended(hand->runner, 14, SLICE("gone"));
    assert_int_equal(diary.watch.id, 0);
    hand_run(hand, 11 * SECOND_NS);
    /* The same revision from its first event on, with places counted anew. */
    assert_int_equal(hand_last_ask(hand)->start, 4);
    assert_int_equal(diary.watch.generation, generation + 1);
    assert_false(diary.watch.in_fragment);
    assert_true(diary.watch.id != id && diary.watch.id != 0);
    hand_tell(hand, diary.watch.id, (const struct hand_kv[]){a5, b5, c5}, 3,
              false);
    assert_int_equal(diary.watch.next, 6);
    assert_diary(&diary, "/a@5=one /a@5=one /b@5=two /c@5=three ");
    close_diary(hand, &diary);
    hand_free(hand);
}

/* ---- the end of the stream ----------------------------------------------- */

static void test_the_stream_is_opened_again_after_a_pause(void **state)
{
    (void)state;
    struct hand *hand = hand_new(true);
    struct diary one;
    struct diary two;
    open_diary(hand, &one, "/one", "", 5);
    open_diary(hand, &two, "/two", "", 50);
    int64_t first_id = one.watch.id;
    size_t asks = hand->ask_count;
    int64_t last_ns = 0;
    /* Later and later, at most ten seconds. */
    for (int i = 0; i < 12; i++) {
        runner_watch_ended(hand->runner, 14, SLICE("gone"));
        runner_watch_ended(hand->runner, 14, SLICE("gone")); /* once only */
        assert_int_equal(hand->ask_count, asks);
        int64_t waits_ns =
            hand->runner->watching.retry_at_ns - hand->now.mono_ns;
        assert_true(waits_ns > 0 && waits_ns <= 10 * SECOND_NS);
        if (i == 11)
            assert_true(waits_ns >= 5 * SECOND_NS && last_ns >= 2 * SECOND_NS);
        last_ns = waits_ns;
        hand_run(hand, waits_ns - 1);
        assert_int_equal(hand->ask_count, asks);
        hand_run(hand, 1);
        assert_int_equal(hand->ask_count, asks + 2);
        asks += 2;
    }
    /* Ids are never used twice. */
    assert_true(one.watch.id > first_id && two.watch.id > first_id);
    assert_int_not_equal(one.watch.id, two.watch.id);
    /* What an earlier stream's watch is told is nobody's. */
    struct hand_kv kv = {"/one", "x", 5, 5, 1};
    hand_tell(hand, first_id, &kv, 1, false);
    assert_diary(&one, "");
    /* A word from the store, and the next pause is short again. */
    hand_tell_created(hand, one.watch.id);
    assert_int_equal(hand->runner->watching.failures, 0);
    runner_watch_ended(hand->runner, 14, SLICE("gone"));
    assert_true(hand->runner->watching.retry_at_ns - hand->now.mono_ns <
                SECOND_NS);
    close_diary(hand, &one);
    close_diary(hand, &two);
    hand_free(hand);
}

static void test_begun_and_ended_while_there_is_no_stream(void **state)
{
    (void)state;
    struct hand *hand = hand_new(true);
    struct diary one;
    struct diary two;
    struct diary three;
    open_diary(hand, &one, "/one", "", 5);
    runner_watch_ended(hand->runner, 14, SLICE("gone"));
    size_t asks = hand->ask_count;
    open_diary(hand, &two, "/two", "", 5);
    open_diary(hand, &three, "/three", "", 5);
    assert_int_equal(two.watch.id, 0);
    close_diary(hand, &three);
    close_diary(hand, &one);
    assert_int_equal(hand->ask_count, asks); /* there is nobody to be told */
    hand_run(hand, 11 * SECOND_NS);
    assert_int_equal(hand->ask_count, asks + 1);
    assert_string_equal(hand_last_ask(hand)->key, "/two");
    close_diary(hand, &two);
    hand_free(hand);
}

/* ---- progress ------------------------------------------------------------ */

static void test_progress_moves_those_that_are_created(void **state)
{
    (void)state;
    struct hand *hand = hand_new(true);
    struct diary old;
    struct diary young;
    open_diary(hand, &old, "/old", "", 5);
    open_diary(hand, &young, "/young", "", 5);
    hand_tell_created(hand, old.watch.id);
    hand_tell_progress(hand, -1, 20);
    assert_int_equal(old.watch.next, 21);
    assert_int_equal(old.seen, 1);
    /* It isn't known what the other one will be told. */
    assert_int_equal(young.watch.next, 5);
    /* It never runs back. */
    hand_tell_progress(hand, -1, 10);
    hand_tell_progress(hand, old.watch.id, 12);
    assert_int_equal(old.watch.next, 21);
    assert_int_equal(old.seen, 1);
    hand_tell_created(hand, young.watch.id);
    hand_tell_progress(hand, young.watch.id, 30);
    assert_int_equal(young.watch.next, 31);
    assert_int_equal(old.watch.next, 21);
    close_diary(hand, &old);
    close_diary(hand, &young);
    hand_free(hand);
}

static size_t count_progress(const struct hand *hand)
{
    size_t count = 0;
    for (size_t i = 0; i < hand->ask_count; i++)
        count += hand->asks[i].kind == HAND_PROGRESS;
    return count;
}

static void test_progress_is_asked_for_while_it_is_wanted(void **state)
{
    (void)state;
    for (int is_etched = 0; is_etched < 2; is_etched++) {
        struct hand *hand = hand_new(is_etched);
        struct diary diary;
        open_diary(hand, &diary, "/a", "", 5);
        hand_tell_created(hand, diary.watch.id);
        hand_run(hand, SECOND_NS);
        assert_int_equal(count_progress(hand), 0);
        watch__want_progress(hand->runner, &diary.watch, true);
        watch__want_progress(hand->runner, &diary.watch, true);
        for (int i = 0; i < 10; i++)
            hand_run(hand, 100 * MILLI_NS);
        /* One at a time; and never of etcd, which may answer too early. */
        assert_int_equal(count_progress(hand), is_etched);
        hand_tell_progress(hand, -1, 9);
        for (int i = 0; i < 10; i++)
            hand_run(hand, 100 * MILLI_NS);
        assert_int_equal(count_progress(hand), 2 * is_etched);
        /* One that was asked on a stream that is gone isn't waited for. */
        runner_watch_ended(hand->runner, 14, SLICE(""));
        for (int i = 0; i < 30; i++)
            hand_run(hand, 100 * MILLI_NS);
        assert_int_equal(count_progress(hand), 3 * is_etched);
        watch__want_progress(hand->runner, &diary.watch, false);
        hand_tell_progress(hand, -1, 9);
        for (int i = 0; i < 10; i++)
            hand_run(hand, 100 * MILLI_NS);
        assert_int_equal(count_progress(hand), 3 * is_etched);
        close_diary(hand, &diary);
        hand_free(hand);
    }
}

/* ---- canceled ------------------------------------------------------------ */

static void test_what_was_compacted_is_told_once(void **state)
{
    (void)state;
    struct hand *hand = hand_new(true);
    struct diary diary;
    open_diary(hand, &diary, "/a", "", 5);
    int64_t id = diary.watch.id;
    size_t asks = hand->ask_count;
    hand_tell_canceled(hand, id, 77);
    assert_int_equal(diary.compacted, 77);
    assert_int_equal(diary.watch.id, 0);
    diary.compacted = 0;
    hand_tell_canceled(hand, id, 78);
    assert_int_equal(diary.compacted, 0);
    hand_run(hand, 15 * SECOND_NS);
    assert_int_equal(hand->ask_count, asks);
    close_diary(hand, &diary);
    hand_free(hand);
}

static void test_refused_it_begins_again_from_where_it_was(void **state)
{
    (void)state;
    struct hand *hand = hand_new(true);
    struct diary diary;
    struct diary other;
    open_diary(hand, &diary, "/a", "", 5);
    open_diary(hand, &other, "/b", "", 5);
    int64_t id = diary.watch.id;
    int64_t other_id = other.watch.id;
    hand_tell_created(hand, id);
    hand_tell(hand, id, &a5, 1, false);
    hand_tell_canceled(hand, id, 0);
    assert_int_equal(diary.compacted, 0);
    hand_run(hand, 500 * MILLI_NS);
    assert_int_equal(diary.watch.id, 0);
    hand_run(hand, 600 * MILLI_NS);
    assert_true(diary.watch.id > id);
    assert_int_equal(hand_last_ask(hand)->start, 5); /* 6, and one earlier */
    assert_int_equal(other.watch.id, other_id);
    hand_tell(hand, diary.watch.id, &a7, 1, false);
    assert_diary(&diary, "/a@5=one /a@7=four ");
    close_diary(hand, &diary);
    close_diary(hand, &other);
    hand_free(hand);
}

/* Beside an etcd with users, with a token that is of no use any more. */
static void test_a_refusal_that_names_none_is_of_who_waits(void **state)
{
    (void)state;
    struct hand *hand = hand_new(true);
    struct diary diary;
    struct diary other;
    open_diary(hand, &diary, "/a", "", 5);
    hand_tell_created(hand, diary.watch.id);
    open_diary(hand, &other, "/b", "", 5);
    int64_t id = diary.watch.id;
    int64_t other_id = other.watch.id;
    hand_tell_canceled(hand, -1, 0);
    assert_int_equal(diary.watch.id, id);
    assert_int_equal(other.watch.id, 0);
    hand_run(hand, 1100 * MILLI_NS);
    assert_true(other.watch.id > other_id);
    assert_int_equal(diary.watch.id, id);
    hand_tell(hand, id, &a5, 1, false);
    assert_diary(&diary, "/a@5=one ");
    close_diary(hand, &diary);
    close_diary(hand, &other);
    hand_free(hand);
}

/* ---- ended by what it tells ---------------------------------------------- */

static void test_one_that_ends_itself_is_told_no_more(void **state)
{
    (void)state;
    struct hand *hand = hand_new(true);
    struct diary diary;
    struct diary other;
    open_diary(hand, &diary, "/", "0", 5);
    open_diary(hand, &other, "/", "0", 5);
    hand_tell_created(hand, diary.watch.id);
    diary.ends = &diary.watch;
    hand_tell(hand, diary.watch.id, (const struct hand_kv[]){a5, b5, c5}, 3,
              false);
    assert_diary(&diary, "/a@5=one ");
    assert_int_equal(diary.seen, 0);
    assert_int_equal(hand_last_ask(hand)->kind, HAND_CANCEL);
    /* Another one's end is no matter to it. */
    diary.watch.next = 5;
    watch__begin(hand->runner, &diary.watch);
    diary.ends = &other.watch;
    hand_tell(hand, diary.watch.id, (const struct hand_kv[]){a5, b5, c5}, 3,
              false);
    assert_diary(&diary, "/a@5=one /a@5=one /b@5=two /c@5=three ");
    assert_int_equal(diary.seen, 1);
    assert_int_equal(other.watch.id, 0);
    close_diary(hand, &diary);
    close_diary(hand, &other);
    hand_free(hand);
}

/* ---- events as the store writes them ------------------------------------- */

static struct watch_event last_event;
static char last_prev[32];
static void keep_event(struct runner *runner, struct watch *watch,
                       const struct watch_event *event)
{
    (void)runner;
    (void)watch;
    last_event = *event;
    snprintf(last_prev, sizeof last_prev, "%.*s|%.*s", (int)event->prev.size,
             event->prev.at, (int)event->cause.size, event->cause.at);
}

static void tell_full_event(struct hand *hand, int64_t id, int64_t version,
                            bool has_prev)
{
    struct buf response = {0};
    struct hand_kv kv = {"/a", "new", 3, 8, version};
    struct hand_kv prev = {"/a", "", 3, 4, 1};
    hand_header(&response, 8);
    pb_put_i64(&response, 2, id);
    size_t mark = store__nest(&response, 11);
    hand_kv(&response, 2, &kv);
    if (has_prev)
        hand_kv(&response, 3, &prev);
    pb_put_bytes(&response, 100, SLICE("recipe"));
    pb_put_i64(&response, 101, 123456789);
    pb_put_bytes(&response, 555, SLICE("from the future"));
    store__unnest(&response, mark);
    runner_watched(hand->runner, buf_slice(&response));
    buf_deinit(&response);
}

static void test_all_that_an_event_says(void **state)
{
    (void)state;
    struct hand *hand = hand_new(true);
    static const struct watch_kind kind = {.event = keep_event};
    struct watch watch = {
        .kind = &kind, .key = SLICE("/a"), .end = SLICE(""), .next = 8};
    watch__begin(hand->runner, &watch);
    tell_full_event(hand, watch.id, 2, true);
    assert_false(last_event.is_create);
    assert_true(last_event.has_prev); /* of no bytes, but it was there */
    assert_string_equal(last_prev, "|recipe");
    assert_int_equal(last_event.create_revision, 3);
    assert_int_equal(last_event.version, 2);
    assert_int_equal(last_event.time_ns, 123456789);
    watch.next = 8;
    tell_full_event(hand, watch.id, 1, false);
    assert_true(last_event.is_create);
    assert_false(last_event.has_prev);
    /* A store that doesn't say when: now, as far as we know. */
    watch.next = 5;
    hand_tell(hand, watch.id, &a5, 1, false);
    assert_int_equal(last_event.time_ns, hand->now.wall_ns);
    assert_string_equal(last_prev, "|");
    watch__end(hand->runner, &watch);
    hand_free(hand);
}

static void test_an_event_of_no_revision_is_no_event(void **state)
{
    (void)state;
    struct hand *hand = hand_new(true);
    struct diary diary;
    open_diary(hand, &diary, "/", "0", 5);
    int64_t id = diary.watch.id;
    struct hand_kv odd = {"/a", "x", 5, 0, 1};
    hand_tell(hand, id, &odd, 1, false);
    assert_diary(&diary, "");
    assert_int_equal(diary.watch.id, 0);
    hand_run(hand, 1100 * MILLI_NS);
    assert_true(diary.watch.id > id);
    /* Back in time within a response: what came first is kept. */
    id = diary.watch.id;
    hand_tell(hand, id, (const struct hand_kv[]){a7, a5}, 2, false);
    assert_diary(&diary, "/a@7=four ");
    hand_run(hand, 1100 * MILLI_NS);
    assert_true(diary.watch.id > id);
    assert_int_equal(diary.watch.next, 7);
    close_diary(hand, &diary);
    hand_free(hand);
}

/* ---- broken anywhere ---------------------------------------------------- */

enum { STORY_EVENTS = 60 };
struct story {
    struct hand_kv kvs[STORY_EVENTS];
    char keys[STORY_EVENTS][16];
};

static void write_story(struct story *story, struct prng *prng)
{
    int64_t revision = 2;
    for (int i = 0; i < STORY_EVENTS; i++) {
        revision += prng_below(prng, 3) == 0;
        snprintf(story->keys[i], sizeof story->keys[i], "/%d", i);
        story->kvs[i] =
            (struct hand_kv){story->keys[i], "v", revision, revision, 1};
    }
}

/* Tells some of it from where the watch is; the place of the first event that
 * wasn't told. */
static size_t tell_some(struct hand *hand, struct diary *diary,
                        const struct story *story, size_t at, struct prng *prng)
{
    size_t count = 1 + (size_t)prng_below(prng, 8);
    if (count > STORY_EVENTS - at)
        count = STORY_EVENTS - at;
    bool cuts = at + count < STORY_EVENTS &&
                story->kvs[at + count].mod == story->kvs[at + count - 1].mod;
    hand_tell(hand, diary->watch.id, &story->kvs[at], count, cuts);
    return at + count;
}

static void test_broken_anywhere_none_is_left_out(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct hand *hand = hand_new(true);
        struct prng prng;
        struct story story;
        struct diary diary;
        prng_init(&prng, seed);
        write_story(&story, &prng);
        open_diary(hand, &diary, "/", "0", 2);
        size_t at = 0;
        while (at < STORY_EVENTS) {
            if (!diary.watch.is_created) {
                hand_run(hand, 11 * SECOND_NS);
                hand_tell_created(hand, diary.watch.id);
                int64_t start = hand_last_ask(hand)->start;
                at = 0;
                while (at < STORY_EVENTS && story.kvs[at].mod < start)
                    at++;
            }
            if (at < STORY_EVENTS)
                at = tell_some(hand, &diary, &story, at, &prng);
            if (at < STORY_EVENTS && prng_below(&prng, 5) == 0)
                runner_watch_ended(hand->runner, 14, SLICE("gone"));
        }
        assert_int_equal(diary.watch.next, story.kvs[STORY_EVENTS - 1].mod + 1);
        buf_append_char(&diary.text, '\0');
        for (int i = 0; i < STORY_EVENTS; i++) {
            char its[40];
            snprintf(its, sizeof its, "/%d@%lld=v ", i,
                     (long long)story.kvs[i].mod);
            assert_non_null(strstr(diary.text.at, its));
        }
        close_diary(hand, &diary);
        hand_free(hand);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_watch_asks_for),
        cmocka_unit_test(test_each_event_once_in_order),
        cmocka_unit_test(test_a_revision_in_pieces_is_whole_at_its_end),
        cmocka_unit_test(test_broken_in_a_fragment_the_revision_comes_again),
        cmocka_unit_test(test_the_stream_is_opened_again_after_a_pause),
        cmocka_unit_test(test_begun_and_ended_while_there_is_no_stream),
        cmocka_unit_test(test_progress_moves_those_that_are_created),
        cmocka_unit_test(test_progress_is_asked_for_while_it_is_wanted),
        cmocka_unit_test(test_what_was_compacted_is_told_once),
        cmocka_unit_test(test_refused_it_begins_again_from_where_it_was),
        cmocka_unit_test(test_a_refusal_that_names_none_is_of_who_waits),
        cmocka_unit_test(test_one_that_ends_itself_is_told_no_more),
        cmocka_unit_test(test_all_that_an_event_says),
        cmocka_unit_test(test_an_event_of_no_revision_is_no_event),
        cmocka_unit_test(test_broken_anywhere_none_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
