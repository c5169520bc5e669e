/* A feed in, items out: whatever comes, each item has its six texts, all of
 * them well-formed and within bounds. */
#include "base/check.h"
#include "host/recipes_feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_item(const struct value *item)
{
    CHECK_EQ(item->kind, VALUE_MAP);
    CHECK_EQ(item->map->count, 6);
    for (size_t i = 0; i < item->map->count; i++) {
        const struct value *field = &item->map->values[i];
        CHECK_EQ(field->kind, VALUE_STRING);
        CHECK(slice_is_utf8(field->text));
        CHECK_LE(field->text.size, RECIPES_FEED_TEXT_BYTES_MAX);
    }
    CHECK_LT(0, item->map->values[0].text.size); /* its id */
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct arena arena;
    struct value items;
    arena_init(&arena, 0);
    if (recipes_feed_items(&arena, slice_of(bytes, size), &items) == ERR_OK) {
        CHECK_EQ(items.kind, VALUE_LIST);
        CHECK_LE(items.list->count, RECIPES_FEED_ITEMS_MAX);
        for (size_t i = 0; i < items.list->count; i++) {
            check_item(&items.list->items[i]);
        }
    }
    arena_deinit(&arena);
    return 0;
}
