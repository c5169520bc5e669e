/* Why, and why not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "machine_world.h"
#include "recipe/explain.h"

/* Feeds the last record to trigger 0, with an account. */
static void tell(struct world *world, struct account *account)
{
    const struct world_record *record = &world->records[world->count - 1];
    struct turn turn;
    struct recipe_event event = {.id = {.revision = record->revision},
                                 .time_ns = record->time_ns,
                                 .type = record->type,
                                 .cause = SLICE("put"),
                                 .key = record->key,
                                 .raw = record->value,
                                 .has_prev = record->has_prev,
                                 .prev = record->prev,
                                 .mod_revision = record->revision,
                                 .parent = SLICE("")};
    turn_init(&turn);
    assert_int_equal(machine_event(world->machine, 0, &event, &world->lookups,
                                   &turn, account),
                     TURN_TAKEN);
    turn_deinit(&turn);
}

static bool says(struct account *account, const char *part)
{
    struct arena arena;
    struct doc_value *doc;
    arena_init(&arena, 0);
    assert_int_equal(doc_parse_json(&arena, buf_slice(&account->json),
                                    &doc_limits_default, &doc),
                     ERR_OK);
    arena_deinit(&arena);
    return world_has(&account->json, part);
}

static void an_edge(void **state)
{
    struct world world;
    struct account account;
    (void)state;
    world_open(&world, "name: a\nif: [{key: '/m/{h}', crosses: {of: "
                       "value.used, above: 90, reset: 85}}]\n"
                       "where: [\"h != 'b'\"]\n"
                       "then: [{log: x}]");
    account_init(&account);
    world_put(&world, "/m/a", "{\"used\":95}");
    tell(&world, &account);
    assert_true(account.fired);
    assert_true(says(&account, "{\"trigger\":0,\"run\":\"1\",\"key\":\"/m/a\","
                               "\"event\":{\"type\":\"create\""));
    assert_true(says(&account, "{\"check\":\"crosses\",\"text\":\"above 90, "
                               "reset 85\",\"saw\":{\"of\":95},\"result\":true,"
                               "\"why\":\"it crossed, and was armed\"}"));
    assert_true(says(&account, "{\"check\":\"where\",\"text\":\"h != 'b'\","
                               "\"saw\":{\"h\":\"a\"},\"result\":true}"));
    assert_true(says(&account, "],\"outcome\":\"fired\"}"));
    world_put(&world, "/m/a", "{\"used\":96}");
    tell(&world, &account);
    assert_false(account.fired);
    assert_true(says(&account, "\"result\":false,\"why\":\"it has crossed "
                               "before, and isn't back at reset\""));
    assert_true(says(&account, "\"not fired: the trigger is false\""));
    world_put(&world, "/m/b", "{\"used\":96}");
    tell(&world, &account);
    assert_true(says(&account, "\"outcome\":\"condition 1 is false\""));
    world_put(&world, "/m/c", "x");
    tell(&world, &account);
    assert_true(says(&account, "\"outcome\":\"failed: crosses: "));
    account_deinit(&account);
    world_close(&world);
}

static void a_hold(void **state)
{
    struct world world;
    struct account account;
    (void)state;
    world_open(&world, "name: a\nif: [{key: '/m/{h}', for: 1m}]\n"
                       "where: [\"value == 'on'\"]\n"
                       "then: [{log: x}]");
    account_init(&account);
    world_put(&world, "/m/a", "on");
    tell(&world, &account);
    assert_true(
        says(&account, "\"outcome\":\"held until 1970-01-01T00:17:40Z\""));
    world_put(&world, "/m/a", "off");
    tell(&world, &account);
    assert_true(says(&account, "\"outcome\":\"condition 1 is false\""));
    account_deinit(&account);
    world_close(&world);
}

static void a_change(void **state)
{
    struct world world;
    struct account account;
    (void)state;
    world_open(&world, "name: a\nif: [{key: '/m/{h}', changed: value.s, "
                       "events: [put, delete]}]\n"
                       "throttle: {count: 1, per: 1h}\n"
                       "then: [{log: x}]");
    account_init(&account);
    world_put(&world, "/m/a", "{\"s\":1}");
    tell(&world, &account);
    assert_true(says(&account, "there was nothing before"));
    world_put(&world, "/m/a", "{\"s\":1,\"t\":1}");
    tell(&world, &account);
    assert_true(says(&account, "\"saw\":{\"now\":1,\"before\":1},\"result\":"
                               "false}"));
    world_put(&world, "/m/a", "{\"s\":2}");
    tell(&world, &account);
    assert_true(says(&account, "\"outcome\":\"too many (throttle)\""));
    world_delete(&world, "/m/a");
    tell(&world, &account);
    assert_true(says(&account, "there is nothing any more"));
    account_deinit(&account);
    world_close(&world);
}

static void what_is_long_is_cut(void **state)
{
    struct world world;
    struct account account;
    char text[2000];
    (void)state;
    world_open(&world, "name: a\nif: [{key: '/m/{h}'}]\n"
                       "where: [\"size(value) > 0 && value.x == 1\"]\n"
                       "dedupe: {key: '{{h}}', ttl: 1m}\n"
                       "then: [{log: x}]");
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    account_init(&account);
    world_put(&world, "/m/a", text);
    tell(&world, &account);
    assert_true(account.json.size < 1000);
    assert_true(says(&account, "\"outcome\":\"failed: where[0]: "));
    world_put(&world, "/m/b", "{\"x\":1}");
    tell(&world, &account);
    assert_true(account.fired);
    world_put(&world, "/m/b", "{\"x\":1}");
    tell(&world, &account);
    assert_true(says(&account, "\"outcome\":\"seen before (dedupe)\""));
    account_deinit(&account);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_edge),
        cmocka_unit_test(a_hold),
        cmocka_unit_test(a_change),
        cmocka_unit_test(what_is_long_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
