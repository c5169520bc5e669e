#include "recipe/test.h"

#include "recipe/test_int.h"

enum {
    /* Of one test: a recipe that feeds itself would go on for ever. */
    STEPS_MAX = 10000,
};

static bool run_test(const struct recipe *recipe, const struct zones *zones,
                     const struct doc_value *test, struct buf *why)
{
    struct test_world world;
    const struct doc_value *given = doc_get(test, "given");
    bool is_fine = false;
    size_t done = 0;
    test_world__open(&world, recipe, zones);
    world.steps_left = STEPS_MAX;
    while (done < given->count && !world.fault) {
        test_given__do(&world, given->items[done++]);
    }
    if (world.fault != NULL) {
        buf_printf(why, "given[%zu]: %s", done - 1, world.fault);
    } else if (world.steps_left <= 0) {
        buf_printf(why, "it didn't come to an end after %d steps", STEPS_MAX);
    } else {
        is_fine = test_expect__holds(&world, doc_get(test, "expect"), why);
    }
    test_world__close(&world);
    return is_fine;
}

struct recipe_test_result recipe_test(const struct recipe *recipe,
                                      const struct zones *zones,
                                      struct buf *out)
{
    struct recipe_test_result result = {0};
    size_t count = recipe->tests ? recipe->tests->count : 0;
    for (size_t i = 0; i < count; i++) {
        const struct doc_value *test = recipe->tests->items[i];
        const struct doc_value *name = doc_get(test, "name");
        struct buf why = {0};
        if (run_test(recipe, zones, test, &why)) {
            result.passed++;
        } else {
            result.failed++;
            buf_printf(out, "test %zu", i + 1);
            if (name != NULL) {
                buf_printf(out, " (%.*s)", (int)name->text.size, name->text.at);
            }
            buf_append_str(out, ": ");
            buf_append_slice(out, buf_slice(&why));
            buf_append_char(out, '\n');
        }
        buf_deinit(&why);
    }
    return result;
}
