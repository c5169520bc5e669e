/* Forms and paths of any bytes. */
#include <stdint.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"
#include "wire/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_form(struct arena *arena, struct slice text)
{
    struct form form = {0};
    enum err err = form_parse(arena, text, &form);
    CHECK(err == ERR_OK || err == ERR_INVALID || err == ERR_TOO_LARGE);
    CHECK(form.count <= FORM_FIELDS_MAX);
    if (err != ERR_OK)
        return;
    /* Written anew and read again it is the same. */
    struct buf again = {0};
    for (size_t i = 0; i < form.count; i++) {
        percent_encode(&again, form.fields[i].name, i % 2 == 0);
        buf_append_char(&again, '=');
        percent_encode(&again, form.fields[i].value, i % 2 == 1);
        buf_append_char(&again, '&');
    }
    struct form twin = {0};
    CHECK(form_parse(arena, buf_slice(&again), &twin) == ERR_OK);
    CHECK_EQ(twin.count, form.count);
    for (size_t i = 0; i < form.count; i++) {
        CHECK(slice_eq(twin.fields[i].name, form.fields[i].name));
        CHECK(slice_eq(twin.fields[i].value, form.fields[i].value));
    }
    buf_deinit(&again);
}

/* Rooted, no empty name, no "." nor "..", no '/' at the end. */
static void check_clean(struct arena *arena, struct slice path)
{
    struct slice clean = path_clean(arena, path);
    CHECK(clean.size > 0 && clean.at[0] == '/');
    CHECK_LE(clean.size, path.size + 1);
    if (clean.size == 1)
        return;
    size_t from = 1;
    for (size_t i = 1; i <= clean.size; i++) {
        if (i < clean.size && clean.at[i] != '/')
            continue;
        struct slice name = slice_of(clean.at + from, i - from);
        CHECK(name.size > 0);
        CHECK(!slice_eq(name, SLICE(".")) && !slice_eq(name, SLICE("..")));
        from = i + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct arena arena;
    struct slice text = slice_of(bytes, size);
    struct slice path = SLICE("");
    arena_init(&arena, 0);
    check_form(&arena, text);
    check_clean(&arena, text);
    if (path_decode(&arena, text, &path) == ERR_OK)
        check_clean(&arena, path);
    arena_deinit(&arena);
    return 0;
}
