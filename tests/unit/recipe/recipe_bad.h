/* THE TABLE of wrong documents: each with exactly what a user is told. An
 * error that isn't ERR_INVALID stands before it by its name. */
#ifndef ETCHED_TESTS_RECIPE_BAD_H
#define ETCHED_TESTS_RECIPE_BAD_H

#include <stdio.h>

#include "recipe/recipe.h"

/* A recipe that is right but for what is put in. */
#define HEAD "name: r\n"
#define WITH(text) HEAD "if: [{key: '/a/{x}'}]\n" text "\nthen: [{log: hi}]\n"
#define TRIGGER(text) HEAD "if:\n  - " text "\nthen: [{log: hi}]\n"
#define ACTION(text) HEAD "if: [{key: '/a/{x}'}]\nthen:\n  - " text "\n"

struct bad {
    const char *text;
    const char *told;
};

/* From a copy of its very size, so that a sanitizer sees a read beyond it. */
static inline void tell(const char *text, char *out, size_t room)
{
    struct recipe *recipe;
    struct recipe_fault fault;
    size_t size = strlen(text);
    char *copy = mem_dup(text, size);
    enum err err = recipe_parse(slice_of(copy, size), NULL, &recipe, &fault);
    snprintf(out, room, "%s%s%s",
             err == ERR_INVALID || err == ERR_OK ? "" : err_name(err),
             err == ERR_INVALID || err == ERR_OK ? "" : ": ",
             err ? err_note() : "(nothing)");
    recipe_free(recipe);
    mem_free(copy);
}

static inline int count_wrong(const struct bad *bads, size_t count)
{
    int wrong = 0;
    char told[ERR_NOTE_BYTES_MAX + 32];
    for (size_t i = 0; i < count; i++) {
        tell(bads[i].text, told, sizeof told);
        if (strcmp(told, bads[i].told) != 0) {
            fprintf(stderr, "of:   %s\ntold: %s\nwant: %s\n", bads[i].text,
                    told, bads[i].told);
            wrong++;
        }
    }
    return wrong;
}
#define COUNT_WRONG(bads) count_wrong(bads, sizeof(bads) / sizeof(bads)[0])

#endif
