/* What comes in, and time. */
#include "base/time_text.h"
#include "recipe/test_int.h"

void test_world__arrive(struct test_world *world, size_t trigger,
                        struct slice id, struct slice json)
{
    struct buf rest = {0};
    struct buf key = {0};
    if (world->recipe.triggers[trigger].kind == TRIGGER_CALL) {
        buf_append_str(&rest, "call");
    } else {
        buf_append_u64(&rest, trigger);
    }
    buf_append_char(&rest, '/');
    buf_append_slice(&rest, id);
    struct slice text = buf_slice(&rest);
    recipe_key_write(&key, RECIPE_KEY_IN, world->recipe.name, &text);
    test_world__put(world, buf_slice(&key), json);
    buf_deinit(&rest);
    buf_deinit(&key);
}

void test_world__tick(struct test_world *world, size_t trigger,
                      int64_t scheduled_ns)
{
    char text[TIME_TEXT_BYTES_MAX];
    int size = (int)time_to_rfc3339(scheduled_ns, text);
    char *json = arena_printf(&world->arena,
                              "{\"time\":\"%.*s\",\"scheduled\":\"%.*s\"}",
                              size, text, size, text);
    test_world__arrive(world, trigger, slice_of(text, (size_t)size),
                       slice_str(json));
}

bool test_world__is_clock(const struct trigger *trigger)
{
    return trigger->kind == TRIGGER_EVERY || trigger->kind == TRIGGER_CRON ||
           trigger->kind == TRIGGER_AT;
}

static int64_t next_tick_of(const struct test_world *world, size_t trigger)
{
    const struct trigger *at = &world->recipe.triggers[trigger];
    return test_world__is_clock(at)
               ? schedule_next(&at->schedule, world->now_ns)
               : INT64_MAX;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The next moment at which a clock of a trigger strikes. */
static int64_t next_tick(const struct test_world *world)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < world->recipe.trigger_count; i++) {
        next = least(next, next_tick_of(world, i));
    }
    return next;
}

static void expire(struct test_world *world)
{
    const struct test_record *record;
    while ((record = test_store__next_expiry(&world->store)) != NULL &&
           record->expires_ns <= world->now_ns) {
        test_world__delete(world, record->key, true);
    }
}

/* One moment, at which something is due. */
static void be_at(struct test_world *world, int64_t at_ns)
{
    bool strikes[RECIPE_TRIGGERS_MAX + 1] = {false};
    for (size_t i = 0; i < world->recipe.trigger_count; i++) {
        strikes[i] = next_tick_of(world, i) == at_ns;
    }
    if (at_ns > world->now_ns) {
        world->now_ns = at_ns;
    }
    /* What is due by the moment of an event comes before it. */
    test_world__settle(world);
    expire(world);
    test_world__settle(world);
    for (size_t i = 0; i < world->recipe.trigger_count; i++) {
        if (strikes[i]) {
            test_world__tick(world, i, at_ns);
        }
    }
    test_world__settle(world);
}

void test_world__advance(struct test_world *world, int64_t until_ns)
{
    while (world->steps_left-- > 0) {
        const struct test_record *record =
            test_store__next_expiry(&world->store);
        int64_t next = least(machine_next_due(world->machine),
                             machine_next_outside_at(world->machine));
        next = least(next, next_tick(world));
        next = least(next, record ? record->expires_ns : INT64_MAX);
        if (next > until_ns) {
            break;
        }
        be_at(world, next);
    }
    world->now_ns = until_ns;
}
