/* recipe: if this then that, on the store (docs/recipes.md). */
#include "cmd/etchctl/recipe.h"

static const struct command *const subcommands[] = {
    &recipe_command_apply,    &recipe_command_get,    &recipe_command_list,
    &recipe_command_delete,   &recipe_command_run,    &recipe_command_pause,
    &recipe_command_resume,   &recipe_command_runs,   &recipe_command_explain,
    &recipe_command_backtest, &recipe_command_test,   &recipe_command_dead,
    &recipe_command_retry,    &recipe_command_secret, NULL,
};

const struct command command_recipe = {
    .name = "recipe",
    .family = "Recipes",
    .arguments = "<command>",
    .summary = "if this then that: apply, watch and explain recipes",
    .about = "A recipe says what is to happen when keys change. The guide is\n"
             "docs/recipes.md. With either version of the API.\n",
    .subcommands = subcommands,
};
