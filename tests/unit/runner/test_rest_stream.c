/* Server-sent events: what each has for an id, who is told of what, and what a
 * client hears that was away. (What runs and dead letters look like is in
 * test_rest_dead.c.) */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "rest_world.h"

#define SECOND INT64_C(1000000000)

#define OTHER                              \
    "name: other\nif: [{key: '/o/{x}'}]\n" \
    "then: [{put: {key: '/done/{{x}}', value: '1'}}]"

static int setup(void **state)
{
    *state = rest_scene_new(23);
    return 0;
}

static int teardown(void **state)
{
    rest_scene_free(*state);
    return 0;
}

#define ASKING (&((struct rest_scene *)*state)->asking)
#define WORLD (&((struct rest_scene *)*state)->world)

/* ---- reading a stream --------------------------------------------------- */

enum { TOLD_MAX = 64 };
struct told_event {
    int64_t id; /* -1: none */
    char name[16];
    char data[512];
};
struct told {
    struct told_event events[TOLD_MAX];
    size_t count;
};

static const char *after(const char *line, const char *head)
{
    size_t size = strlen(head);
    return strncmp(line, head, size) == 0 ? line + size : NULL;
}

static void read_line(struct told_event *event, const char *line)
{
    const char *rest;
    if ((rest = after(line, "id: ")) != NULL)
        event->id = strtoll(rest, NULL, 10);
    else if ((rest = after(line, "event: ")) != NULL)
        (void)snprintf(event->name, sizeof event->name, "%s", rest);
    else if ((rest = after(line, "data: ")) != NULL)
        (void)snprintf(event->data, sizeof event->data, "%s", rest);
    else
        assert_int_equal(line[0], ':'); /* a comment, and nothing else */
}

/* As a browser reads them: an empty line ends an event. */
static void read_stream(struct rest_asking *asking, uint64_t id,
                        struct told *told)
{
    struct buf all = {0};
    char line[1024];
    struct told_event event = {.id = -1};
    *told = (struct told){0};
    rest_read_all(asking, id, &all);
    for (size_t at = 0; at < all.size;) {
        ptrdiff_t end = slice_find(slice_of(all.at + at, all.size - at), '\n');
        assert_true(end >= 0); /* each part ends its lines */
        (void)snprintf(line, sizeof line, "%.*s", (int)end, all.at + at);
        at += (size_t)end + 1;
        if (line[0] != '\0') {
            read_line(&event, line);
            continue;
        }
        if (event.data[0] != '\0') {
            assert_true(told->count < TOLD_MAX);
            told->events[told->count++] = event;
        }
        event = (struct told_event){.id = -1};
    }
    buf_deinit(&all);
}

/* The n-th event of that name; NULL: there are fewer. */
static const struct told_event *nth(const struct told *told, const char *name,
                                    size_t n)
{
    for (size_t i = 0; i < told->count; i++)
        if (strcmp(told->events[i].name, name) == 0 && n-- == 0)
            return &told->events[i];
    return NULL;
}

static size_t count_of(const struct told *told, const char *name)
{
    size_t count = 0;
    while (nth(told, name, count))
        count++;
    return count;
}

static uint64_t listen_from(struct rest_asking *asking, const char *target,
                            const char *last)
{
    const struct rest_given given[] = {{"last-event-id", last}, {NULL, NULL}};
    uint64_t id =
        rest_send(asking, "GET", target, last ? given : NULL, SLICE(""));
    world_run(asking->world, SECOND);
    return id;
}

static uint64_t listen(struct rest_asking *asking, const char *target)
{
    return listen_from(asking, target, NULL);
}

/* ---- ids ---------------------------------------------------------------- */

static int64_t record_revision(struct world *world, const char *prefix)
{
    int64_t newest = 0;
    for (size_t i = 0; i < world->store.event_count; i++) {
        const struct store_event *event = &world->store.events[i];
        if (slice_has_prefix(event->key->key, slice_str(prefix)))
            newest = event->revision;
    }
    return newest;
}

static void test_an_event_has_its_revision_as_id(void **state)
{
    struct told told;
    rest_define(ASKING, "other", OTHER);
    uint64_t id = listen(ASKING, "stream");
    world_put(WORLD, "/o/1", "1");
    world_run(WORLD, SECOND);
    read_stream(ASKING, id, &told);
    assert_int_equal(told.count, 1);
    assert_string_equal(told.events[0].name, "run");
    assert_int_equal(told.events[0].id,
                     record_revision(WORLD, "/_recipes/run/other/"));
    world_put(WORLD, "/o/2", "1");
    world_run(WORLD, SECOND);
    read_stream(ASKING, id, &told);
    assert_int_equal(told.count, 2);
    assert_true(told.events[1].id > told.events[0].id);
}

static void test_several_records_of_a_turn_have_one_id(void **state)
{
    struct told told;
    rest_define(ASKING, "other", OTHER);
    uint64_t id = listen(ASKING, "stream");
    assert_int_equal(rest_ask(ASKING, "POST", "defs/other/pause", NULL), 200);
    world_run(WORLD, SECOND);
    for (int i = 0; i < 5; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "/o/%d", i);
        world_put(WORLD, key, "1");
    }
    assert_int_equal(rest_ask(ASKING, "POST", "defs/other/resume", NULL), 200);
    world_run(WORLD, 2 * SECOND);
    read_stream(ASKING, id, &told);
    assert_int_equal(count_of(&told, "run"), 5);
    for (size_t i = 1; i < 5; i++)
        assert_true(nth(&told, "run", i)->id >= nth(&told, "run", i - 1)->id);
    assert_int_equal(nth(&told, "run", 4)->id, nth(&told, "run", 3)->id);
}

/* ---- definitions and states --------------------------------------------- */

static void test_a_definition_is_told_from_its_birth_to_its_end(void **state)
{
    struct told told;
    char words[64];
    uint64_t id = listen(ASKING, "stream");
    rest_define(ASKING, "other", OTHER);
    int64_t born = record_revision(WORLD, "/_recipes/def/other");
    rest_define(ASKING, "other", OTHER "\ndescription: changed");
    assert_int_equal(rest_ask(ASKING, "DELETE", "defs/other", NULL), 200);
    world_run(WORLD, SECOND);
    read_stream(ASKING, id, &told);
    assert_int_equal(count_of(&told, "recipe"), 3);
    (void)snprintf(words, sizeof words, "\"version\":1,\"uid\":%lld",
                   (long long)born);
    assert_non_null(strstr(nth(&told, "recipe", 0)->data, words));
    assert_int_equal(nth(&told, "recipe", 0)->id, born);
    (void)snprintf(words, sizeof words, "\"version\":2,\"uid\":%lld",
                   (long long)born);
    assert_non_null(strstr(nth(&told, "recipe", 1)->data, words));
    assert_non_null(strstr(nth(&told, "recipe", 2)->data, "\"deleted\":true"));
    assert_null(strstr(nth(&told, "recipe", 2)->data, "uid"));
}

static void test_a_state_is_told_with_its_reason(void **state)
{
    struct told told;
    rest_define(ASKING, "other", OTHER);
    uint64_t id = listen(ASKING, "stream");
    assert_int_equal(rest_ask(ASKING, "POST", "defs/other/pause", NULL), 200);
    world_run(WORLD, SECOND);
    assert_int_equal(rest_ask(ASKING, "POST", "defs/other/resume", NULL), 200);
    world_run(WORLD, SECOND);
    read_stream(ASKING, id, &told);
    assert_int_equal(count_of(&told, "recipe"), 2);
    assert_non_null(strstr(nth(&told, "recipe", 0)->data,
                           "\"state\":\"paused\",\"why\":\"by request\""));
    assert_non_null(
        strstr(nth(&told, "recipe", 1)->data, "\"state\":\"running\""));
    assert_null(strstr(nth(&told, "recipe", 1)->data, "why"));
}

static void test_a_state_that_cant_be_read_has_none(void **state)
{
    struct told told;
    uint64_t id = listen(ASKING, "stream");
    world_put(WORLD, "/_recipes/status/odd", "no JSON");
    world_put(WORLD, "/_recipes/status/odd", "{\"state\":5,\"why\":[]}");
    world_run(WORLD, SECOND);
    read_stream(ASKING, id, &told);
    assert_int_equal(count_of(&told, "recipe"), 2);
    for (size_t i = 0; i < 2; i++) {
        assert_non_null(strstr(nth(&told, "recipe", i)->data, "\"odd\""));
        assert_null(strstr(nth(&told, "recipe", i)->data, "state"));
    }
}

static void test_who_asks_for_one_hears_of_it_alone(void **state)
{
    struct told told;
    rest_define(ASKING, "other", OTHER);
    uint64_t id = listen(ASKING, "stream?recipe=other");
    uint64_t nobody = listen(ASKING, "stream?recipe=not-yet");
    rest_define(ASKING, "third",
                "name: third\nif: [{key: '/o/{x}'}]\n"
                "then: [{put: {key: '/third/{{x}}', value: '1'}}]");
    world_put(WORLD, "/o/1", "1");
    world_run(WORLD, SECOND);
    read_stream(ASKING, id, &told);
    assert_int_equal(told.count, 1);
    assert_non_null(strstr(told.events[0].data, "\"recipe\":\"other\""));
    read_stream(ASKING, nobody, &told);
    assert_int_equal(told.count, 0);
    /* It need not be there yet. */
    rest_define(ASKING, "not-yet",
                "name: not-yet\nif: [{manual: true}]\nthen: [{log: hi}]");
    read_stream(ASKING, nobody, &told);
    assert_int_equal(told.count, 1);
}

static void test_what_isnt_a_name_is_refused(void **state)
{
    assert_int_equal(rest_ask(ASKING, "GET", "stream?recipe=A", NULL), 400);
    assert_int_equal(rest_ask(ASKING, "GET", "stream?recipe=a%2Fb", NULL), 400);
    assert_int_equal(rest_ask(ASKING, "GET", "stream?since=5", NULL), 400);
    assert_string_equal(rest_code(ASKING), "invalid");
}

/* ---- who was away ------------------------------------------------------- */

static void test_one_that_comes_again_is_told_of_a_gap(void **state)
{
    struct told told;
    char last[32];
    char words[64];
    rest_define(ASKING, "other", OTHER);
    uint64_t id = listen(ASKING, "stream");
    world_put(WORLD, "/o/1", "1");
    world_run(WORLD, SECOND);
    read_stream(ASKING, id, &told);
    int64_t seen = told.events[0].id;
    rest_leave(ASKING, id);
    world_put(WORLD, "/o/2", "1");
    world_run(WORLD, SECOND);
    (void)snprintf(last, sizeof last, "%lld", (long long)seen);
    int64_t now = WORLD->store.revision;
    id = listen_from(ASKING, "stream", last);
    read_stream(ASKING, id, &told);
    assert_int_equal(told.count, 1);
    assert_string_equal(told.events[0].name, "gap");
    (void)snprintf(words, sizeof words, "{\"from\":%lld,\"to\":%lld}",
                   (long long)seen + 1, (long long)now);
    assert_string_equal(told.events[0].data, words);
    assert_int_equal(told.events[0].id, now); /* where it goes on from */
    world_put(WORLD, "/o/3", "1");
    world_run(WORLD, SECOND);
    read_stream(ASKING, id, &told);
    assert_int_equal(count_of(&told, "run"), 1);
}

static void test_one_that_missed_nothing_isnt(void **state)
{
    struct told told;
    char last[32];
    (void)snprintf(last, sizeof last, "%lld", (long long)WORLD->store.revision);
    read_stream(ASKING, listen_from(ASKING, "stream", last), &told);
    assert_int_equal(told.count, 0);
    /* Nor one with an id that no stream of ours can have had. */
    static const char *const odd[] = {
        "", "x", "-3", "99999999999", "1 2", "99999999999999999999999999"};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        read_stream(ASKING, listen_from(ASKING, "stream", odd[i]), &told);
        assert_int_equal(told.count, 0);
    }
}

static void test_what_was_compacted_is_a_gap_to_all(void **state)
{
    struct told told;
    rest_define(ASKING, "other", OTHER "\non_gap: skip");
    uint64_t all = listen(ASKING, "stream");
    uint64_t one = listen(ASKING, "stream?recipe=other");
    WORLD->faults.is_away = true;
    world_put(WORLD, "/_recipes/status/odd", "{}"); /* breaks the stream */
    world_run(WORLD, SECOND);
    for (int i = 0; i < 10; i++)
        world_put(WORLD, "/nobody/reads/it", "1");
    memory_store_compact(&WORLD->store, WORLD->store.revision);
    WORLD->faults.is_away = false;
    world_run(WORLD, 60 * SECOND);
    read_stream(ASKING, all, &told);
    assert_true(count_of(&told, "gap") >= 1);
    read_stream(ASKING, one, &told);
    assert_true(count_of(&told, "gap") >= 1);
    /* And it goes on behind it. */
    world_put(WORLD, "/o/1", "1");
    world_run(WORLD, 20 * SECOND);
    read_stream(ASKING, one, &told);
    assert_int_equal(count_of(&told, "run"), 1);
}

static void test_a_broken_connection_loses_none(void **state)
{
    struct told told;
    rest_define(ASKING, "other", OTHER);
    uint64_t id = listen(ASKING, "stream?recipe=other");
    WORLD->faults.broken = 200;
    WORLD->faults.delay_ns = SECOND / 50;
    for (int i = 0; i < 20; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "/o/%d", i);
        world_put(WORLD, key, "1");
        world_run(WORLD, SECOND / 3);
    }
    WORLD->faults = (struct world_faults){0};
    world_run(WORLD, 30 * SECOND);
    read_stream(ASKING, id, &told);
    assert_int_equal(count_of(&told, "run"), 20);
    assert_int_equal(count_of(&told, "gap"), 0);
}

/* ---- who listens -------------------------------------------------------- */

static size_t watches(struct world *world)
{
    return world->clients[0].watch_count;
}

static void test_as_long_as_nobody_listens_nothing_is_watched(void **state)
{
    world_run(WORLD, SECOND);
    size_t before = watches(WORLD);
    uint64_t one = listen(ASKING, "stream");
    size_t with = watches(WORLD);
    assert_true(with > before);
    uint64_t two = listen(ASKING, "stream?recipe=x");
    assert_int_equal(watches(WORLD), with); /* they share them */
    rest_leave(ASKING, one);
    world_run(WORLD, SECOND);
    assert_int_equal(watches(WORLD), with);
    rest_leave(ASKING, two);
    world_run(WORLD, SECOND);
    assert_int_equal(watches(WORLD), before);
    (void)listen(ASKING, "stream");
    assert_int_equal(watches(WORLD), with);
}

static void test_one_that_goes_before_it_begins(void **state)
{
    WORLD->faults.delay_ns = SECOND / 10;
    for (int i = 0; i < 200; i++) { /* none of them keeps its place */
        uint64_t id = rest_send(ASKING, "GET", "stream", NULL, SLICE(""));
        rest_leave(ASKING, id);
        assert_int_equal(rest_read(ASKING, id), 0);
    }
    WORLD->faults.delay_ns = 0;
    world_run(WORLD, SECOND);
    uint64_t id = listen(ASKING, "stream");
    assert_int_equal(rest_read(ASKING, id), 1);
    assert_int_equal(ASKING->status, 200);
}

static void test_a_store_that_is_away_at_the_beginning(void **state)
{
    WORLD->faults.is_away = true;
    assert_int_equal(rest_ask(ASKING, "GET", "stream", NULL), 503);
    WORLD->faults.is_away = false;
    world_run(WORLD, 20 * SECOND);
    uint64_t id = listen(ASKING, "stream");
    assert_int_equal(rest_read(ASKING, id), 1);
    assert_int_equal(ASKING->status, 200);
}

/* Their beats are their own: one that comes later isn't told earlier. */
static void test_beats_are_of_each_stream(void **state)
{
    struct buf text = {0};
    uint64_t early = listen(ASKING, "stream");
    world_run(WORLD, 10 * SECOND);
    uint64_t late = listen(ASKING, "stream");
    world_run(WORLD, 6 * SECOND);
    assert_int_equal(rest_read(ASKING, early), 2);
    assert_int_equal(rest_read(ASKING, late), 1);
    /* Whoever was told something has no need of a beat. */
    rest_define(ASKING, "other", OTHER);
    size_t parts = rest_read(ASKING, early);
    world_run(WORLD, 14 * SECOND);
    assert_int_equal(rest_read(ASKING, early), parts);
    world_run(WORLD, 2 * SECOND);
    assert_int_equal(rest_read(ASKING, early), parts + 1);
    rest_read_all(ASKING, late, &text);
    assert_true(text.size > 0);
    buf_deinit(&text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_event_has_its_revision_as_id),
        TEST(test_several_records_of_a_turn_have_one_id),
        TEST(test_a_definition_is_told_from_its_birth_to_its_end),
        TEST(test_a_state_is_told_with_its_reason),
        TEST(test_a_state_that_cant_be_read_has_none),
        TEST(test_who_asks_for_one_hears_of_it_alone),
        TEST(test_what_isnt_a_name_is_refused),
        TEST(test_one_that_comes_again_is_told_of_a_gap),
        TEST(test_one_that_missed_nothing_isnt),
        TEST(test_what_was_compacted_is_a_gap_to_all),
        TEST(test_a_broken_connection_loses_none),
        TEST(test_as_long_as_nobody_listens_nothing_is_watched),
        TEST(test_one_that_goes_before_it_begins),
        TEST(test_a_store_that_is_away_at_the_beginning),
        TEST(test_beats_are_of_each_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
