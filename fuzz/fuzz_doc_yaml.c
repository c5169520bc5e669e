/* YAML in: whatever comes, a tree within the limits or an error. */
#include "base/check.h"
#include "doc/doc.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static const struct doc_limits limits = {
    .bytes_max = 64 * 1024,
    .depth_max = 16,
    .values_max = 1000,
};

/* Every value can be reached, and their number and depth are bounded. */
static size_t count_values(const struct doc_value *value, int depth)
{
    CHECK(value);
    CHECK_LE(depth, limits.depth_max);
    size_t count = 1;
    for (size_t i = 0; i < value->count; i++) {
        if (value->kind == DOC_LIST) {
            count += count_values(value->items[i], depth + 1);
        } else {
            CHECK_EQ(value->kind, DOC_MAP);
            CHECK_LE(1, value->members[i].line);
            CHECK_LE(1, value->members[i].column);
            count += count_values(value->members[i].value, depth + 1);
        }
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct doc_value *value;
    enum err err =
        doc_parse_yaml(&arena, slice_of(bytes, size), &limits, &value);
    CHECK_EQ(err == ERR_OK, value != NULL);
    if (!err) {
        CHECK_LE(count_values(value, 1), limits.values_max);
    } else {
        CHECK(err == ERR_INVALID || err == ERR_TOO_LARGE);
        CHECK(*err_note());
    }
    arena_deinit(&arena);
    return 0;
}
