/* A recipe from its text, where nothing is wrong with it. */
#ifndef ETCHED_TESTS_RECIPE_SUPPORT_H
#define ETCHED_TESTS_RECIPE_SUPPORT_H

#include "recipe/recipe.h"
#include "recipe_zones.h"

static inline struct recipe *parse_recipe(const char *text)
{
    struct recipe *recipe;
    struct recipe_fault fault;
    if (recipe_parse(slice_str(text), &recipe_zones, &recipe, &fault))
        fail_msg("%s\nin %s", err_note(), text);
    return recipe;
}

#define ASSERT_TEXT(slice, text) assert_true(slice_eq((slice), slice_str(text)))

#endif
