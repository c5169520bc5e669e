/* What metrics tell: a text that Prometheus can read, and counters that are
 * true. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "runner/runner_core.h"
#include "runner_world.h"

#define MILLI INT64_C(1000000)
#define SECOND INT64_C(1000000000)

static char *text_of(const struct runner *runner)
{
    struct buf text = {0};
    runner_metrics(runner, &text);
    buf_append_char(&text, '\0');
    return text.at;
}

/* The value of "etched_recipes_<name> "; -1: it isn't there. */
static double value_in(const char *text, const char *name)
{
    char start[160];
    snprintf(start, sizeof start, "\netched_recipes_%s ", name);
    const char *found = strstr(text, start);
    return found ? strtod(found + strlen(start), NULL) : -1;
}

static double metric(const struct world *world, const char *name)
{
    char *text = text_of(world->clients[0].runner);
    double value = value_in(text, name);
    mem_free(text);
    return value;
}

static void assert_metric(const struct world *world, const char *name,
                          double value)
{
    double is = metric(world, name);
    if (is < value || is > value)
        fprintf(stderr, "%s is %g, not %g\n", name, is, value);
    assert_true(is >= value && is <= value);
}

/* ---- the text ------------------------------------------------------------ */

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* name{label="value"} number */
static bool is_sample(const char *line, char name[96])
{
    size_t at = 0;
    while (is_name(line[at]) && at < 95) {
        name[at] = line[at];
        at++;
    }
    name[at] = 0;
    if (line[at] == '{') {
        do {
            at++;
            size_t begins = at;
            while (is_name(line[at]))
                at++;
            if (at == begins || line[at] != '=' || line[at + 1] != '"')
                return false;
            at += 2;
            while (line[at] && line[at] != '"' && line[at] != '\\')
                at++;
            if (line[at++] != '"')
                return false;
        } while (line[at] == ',');
        if (line[at++] != '}')
            return false;
    }
    if (line[at++] != ' ')
        return false;
    char *end;
    strtod(line + at, &end);
    return end != line + at && *end == 0;
}

struct family {
    char name[96];
    char type[16];
    bool has_help;
};

static bool belongs(const struct family *family, const char *sample)
{
    size_t size = strlen(family->name);
    if (strncmp(sample, family->name, size) != 0)
        return false;
    const char *rest = sample + size;
    if (strcmp(family->type, "histogram") != 0)
        return *rest == 0;
    return strcmp(rest, "_bucket") == 0 || strcmp(rest, "_sum") == 0 ||
           strcmp(rest, "_count") == 0;
}

static bool is_seen(struct slice *seen, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_eq(seen[i], slice_str(name)))
            return true;
    return false;
}

static void check_text(char *text)
{
    struct family family = {.name = ""};
    struct slice seen[64];
    size_t seen_count = 0;
    size_t samples = 0;
    assert_true(text[strlen(text) - 1] == '\n');
    for (char *line = text; *line;) {
        char *end = strchr(line, '\n');
        *end = 0;
        char name[96];
        if (strncmp(line, "# HELP ", 7) == 0) {
            size_t size = strcspn(line + 7, " ");
            assert_true(size < sizeof family.name);
            family = (struct family){.has_help = true};
            memcpy(family.name, line + 7, size);
            assert_true(strlen(line) > 7 + size + 5);
            /* A family comes once, and whole. */
            assert_false(is_seen(seen, seen_count, family.name));
            assert_true(seen_count < 64);
            seen[seen_count++] = slice_of(line + 7, size);
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            const char *rest = line + 7;
            size_t size = strcspn(rest, " ");
            assert_true(family.has_help);
            assert_int_equal(size, strlen(family.name));
            assert_memory_equal(rest, family.name, size);
            snprintf(family.type, sizeof family.type, "%s", rest + size + 1);
            assert_true(strcmp(family.type, "gauge") == 0 ||
                        strcmp(family.type, "counter") == 0 ||
                        strcmp(family.type, "histogram") == 0);
        } else {
            assert_true(is_sample(line, name));
            assert_true(belongs(&family, name));
            samples++;
        }
        line = end + 1;
    }
    assert_true(samples > 50);
}

static void test_the_text_is_one_that_is_read(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 1);
    world_define(&world, "{name: copy.of-all_1, start: beginning,"
                         " if: [{key: '/from/{id}'}],"
                         " then: [{put: {key: '/to/{{id}}', value: x}}]}");
    world_put(&world, "/_recipes/def/odd", "{}");
    world_start(&world, 0);
    /* At any moment: before anything is known, too. */
    char *text = text_of(world.clients[0].runner);
    check_text(text);
    mem_free(text);
    world_put(&world, "/from/a", "x");
    world_run(&world, 2 * SECOND);
    text = text_of(world.clients[0].runner);
    assert_non_null(strstr(text, "{recipe=\"copy.of-all_1\"} "));
    assert_null(strstr(text, "{recipe=\"odd\"}"));
    check_text(text);
    mem_free(text);
    world_deinit(&world);
}

/* ---- histograms --------------------------------------------------------- */

static void test_buckets(void **state)
{
    (void)state;
    struct told_histogram histogram = {0};
    /* Exactly the limit is within it; a clock that ran back took no time. */
    told__histogram(&histogram, -5);
    told__histogram(&histogram, 0);
    told__histogram(&histogram, MILLI / 2);
    assert_int_equal(histogram.buckets[0], 3);
    told__histogram(&histogram, MILLI / 2 + 1);
    told__histogram(&histogram, MILLI);
    assert_int_equal(histogram.buckets[1], 2);
    told__histogram(&histogram, MILLI + 1);
    assert_int_equal(histogram.buckets[2], 1);
    /* The greatest has a limit of about 65 s; what is beyond is only counted
     * in +Inf. */
    int64_t most_ns = MILLI / 2 * (INT64_C(1) << (TOLD_BUCKETS - 1));
    told__histogram(&histogram, most_ns);
    assert_int_equal(histogram.buckets[TOLD_BUCKETS - 1], 1);
    assert_int_equal(histogram.count, 7);
    uint64_t sum = 0;
    for (int i = 0; i < TOLD_BUCKETS; i++)
        sum += histogram.buckets[i];
    assert_int_equal(sum, 7);
}

static void test_what_takes_longer_than_all_buckets(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 2);
    world_start(&world, 0);
    struct runner *runner = world.clients[0].runner;
    told__action(runner, MILLI);
    told__action(runner, 90 * SECOND);
    told__action(runner, INT64_C(1) << 60);
    assert_metric(&world, "action_seconds_bucket{le=\"0.0005\"}", 0);
    assert_metric(&world, "action_seconds_bucket{le=\"0.001\"}", 1);
    assert_metric(&world, "action_seconds_bucket{le=\"65.536\"}", 1);
    assert_metric(&world, "action_seconds_bucket{le=\"+Inf\"}", 3);
    assert_metric(&world, "action_seconds_count", 3);
    assert_true(metric(&world, "action_seconds_sum") > 90);
    world_deinit(&world);
}

/* ---- counters ----------------------------------------------------------- */

static void test_events_turns_and_runs(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 3);
    world_define(&world, "{name: even, start: beginning,"
                         " if: [{key: '/from/{id}'}],"
                         " where: ['value % 2 == 0'],"
                         " then: [{put: {key: '/to/{{id}}', value: x}}]}");
    world_start(&world, 0);
    world_run(&world, SECOND);
    assert_metric(&world, "owned", 1);
    assert_metric(&world, "workers", 1);
    assert_metric(&world, "defs{state=\"running\"}", 1);
    assert_metric(&world, "events_total", 0);
    double turns = metric(&world, "turns_total");
    for (int i = 0; i < 20; i++) {
        char key[32];
        char value[32];
        snprintf(key, sizeof key, "/from/%d", i);
        snprintf(value, sizeof value, "%d", i);
        world_put(&world, key, value);
        world_run(&world, 20 * MILLI);
    }
    world_run(&world, SECOND);
    assert_metric(&world, "events_total", 20);
    assert_metric(&world, "fired_total", 10);
    assert_metric(&world, "skipped_total", 10);
    assert_metric(&world, "failed_total", 0);
    assert_metric(&world, "turns_total", turns + 10);
    assert_metric(&world, "recipe_fired_total{recipe=\"even\"}", 10);
    assert_metric(&world, "recipe_skipped_total{recipe=\"even\"}", 10);
    assert_metric(&world, "commit_seconds_count", turns + 10);
    assert_metric(&world, "lag_revisions{recipe=\"even\"}", 0);
    world_put(&world, "/_recipes/status/even", "{\"state\":\"paused\"}");
    world_run(&world, SECOND);
    assert_metric(&world, "defs{state=\"running\"}", 0);
    assert_metric(&world, "defs{state=\"paused\"}", 1);
    world_deinit(&world);
}

static bool fail_all(struct world *world, const struct act *act,
                     struct act_answer *answer)
{
    (void)world;
    (void)act;
    answer->status = 503;
    return true;
}

static void test_what_goes_out_and_is_given_up(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 4);
    world.act = fail_all;
    world.act_ns = 3 * MILLI;
    world_define(&world, "{name: post, start: beginning,"
                         " if: [{key: '/from/{id}'}],"
                         " then: [{http: {url: 'http://x/'},"
                         " retry: {max: 3, base: 1s, cap: 1s}}]}");
    world_start(&world, 0);
    world_run(&world, SECOND);
    world_put(&world, "/from/a", "x");
    world_run(&world, 200 * MILLI);
    assert_metric(&world, "outbox", 1);
    assert_metric(&world, "recipe_outbox{recipe=\"post\"}", 1);
    assert_metric(&world, "outside", 0); /* it waits for its next try */
    world_run(&world, 20 * SECOND);
    assert_metric(&world, "outbox", 0);
    assert_metric(&world, "action_seconds_count", 4);
    assert_metric(&world, "retried_total", 3);
    assert_metric(&world, "recipe_retried_total{recipe=\"post\"}", 3);
    assert_metric(&world, "dead_total", 1);
    assert_metric(&world, "recipe_dead_total{recipe=\"post\"}", 1);
    assert_metric(&world, "failed_total", 1);
    world_deinit(&world);
}

static void test_names_are_labels_of_a_thousand_at_most(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 5);
    for (int i = 0; i < 1010; i++) {
        char text[200];
        snprintf(text, sizeof text,
                 "{name: r%04d, if: [{key: '/%d'}],"
                 " then: [{put: {key: '/to', value: x}}]}",
                 i, i);
        world_define(&world, text);
    }
    world_start(&world, 0);
    world_run(&world, 5 * SECOND);
    assert_metric(&world, "owned", 1010);
    assert_metric(&world, "defs{state=\"running\"}", 1010);
    char *text = text_of(world.clients[0].runner);
    size_t count = 0;
    for (const char *at = text;
         (at = strstr(at, "\netched_recipes_lag_seconds{")); at++)
        count++;
    assert_int_equal(count, 1000);
    assert_non_null(strstr(text, "{recipe=\"r0999\"}"));
    assert_null(strstr(text, "{recipe=\"r1000\"}"));
    check_text(text);
    mem_free(text);
    world_deinit(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_text_is_one_that_is_read),
        cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_what_takes_longer_than_all_buckets),
        cmocka_unit_test(test_events_turns_and_runs),
        cmocka_unit_test(test_what_goes_out_and_is_given_up),
        cmocka_unit_test(test_names_are_labels_of_a_thousand_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
