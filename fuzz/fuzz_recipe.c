/* Documents of recipes in: whatever comes, a plan or a fault that says where.
 * What is stored of a plan reads as itself. */
#include "base/check.h"
#include "recipe/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_fault(enum err err, const struct recipe_fault *fault)
{
    CHECK(err == ERR_INVALID || err == ERR_TOO_LARGE || err == ERR_UNSUPPORTED);
    CHECK_LT(strnlen(fault->path, sizeof fault->path), sizeof fault->path);
    CHECK_LT(strnlen(fault->text, sizeof fault->text), sizeof fault->text);
    CHECK_LT(0, strlen(fault->text));
    CHECK_LE(0, fault->line);
}

static void check_plan(const struct recipe *recipe)
{
    struct arena arena;
    struct key_shape *shapes;
    struct slice captures[PATTERN_CAPTURES_MAX];
    CHECK(recipe_name_is_valid(recipe->name));
    CHECK_LE(2, recipe->trigger_count);
    arena_init(&arena, 0);
    size_t count = recipe_writes(recipe, &arena, &shapes);
    for (size_t i = 0; i < recipe->trigger_count; i++) {
        const struct trigger *trigger = &recipe->triggers[i];
        pattern_matches(&trigger->pattern, recipe->json, captures);
        for (size_t j = 0; j < trigger->pattern.captures; j++)
            CHECK_LT(trigger->capture_slots[j], recipe->names.count);
        for (size_t j = 0; j < count; j++)
            pattern_meets_shape(&trigger->pattern, &shapes[j]);
        bool feeds = recipe_feeds(recipe, trigger);
        CHECK(recipe->reentrant || !feeds);
    }
    arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct recipe *recipe, *again;
    struct recipe_fault fault;
    enum err err = recipe_parse(slice_of(bytes, size), NULL, &recipe, &fault);
    if (err) {
        CHECK(recipe == NULL);
        check_fault(err, &fault);
        return 0;
    }
    check_plan(recipe);
    err = recipe_parse(recipe->json, NULL, &again, &fault);
    /* It may be longer than what it was written from. */
    if (err != ERR_TOO_LARGE) {
        CHECK_EQ(err, ERR_OK);
        CHECK(slice_eq(again->json, recipe->json));
        recipe_free(again);
    }
    recipe_free(recipe);
    return 0;
}
