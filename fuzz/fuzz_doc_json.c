/* JSON in, and out again: what was read is written by json_write_string and
 * read once more, and has to be the same. */
#include <stdio.h>

#include "base/check.h"
#include "doc/doc.h"
#include "doc/json_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void write_value(struct buf *out, const struct doc_value *value)
{
    char text[64];
    switch (value->kind) {
    case DOC_NULL:
        buf_append_str(out, "null");
        break;
    case DOC_BOOL:
        buf_append_str(out, value->boolean ? "true" : "false");
        break;
    case DOC_INT:
        buf_append_i64(out, value->integer);
        break;
    case DOC_DOUBLE:
        snprintf(text, sizeof text, "%.17e", value->number);
        buf_append_str(out, text);
        break;
    case DOC_STRING:
        json_write_string(out, value->text);
        break;
    case DOC_LIST:
        buf_append_char(out, '[');
        for (size_t i = 0; i < value->count; i++) {
            buf_append_str(out, i ? "," : "");
            write_value(out, value->items[i]);
        }
        buf_append_char(out, ']');
        break;
    case DOC_MAP:
        buf_append_char(out, '{');
        for (size_t i = 0; i < value->count; i++) {
            buf_append_str(out, i ? "," : "");
            json_write_string(out, value->members[i].name);
            buf_append_char(out, ':');
            write_value(out, value->members[i].value);
        }
        buf_append_char(out, '}');
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct doc_value *value;
    enum err err = doc_parse_json(&arena, slice_of(bytes, size),
                                  &doc_limits_default, &value);
    CHECK_EQ(err == ERR_OK, value != NULL);
    if (!err) {
        struct buf once = {0};
        struct buf twice = {0};
        /* Escapes make it longer; the depth and the count stay. */
        const struct doc_limits limits = {
            .bytes_max = SIZE_MAX, .depth_max = 64, .values_max = 100000};
        write_value(&once, value);
        CHECK_EQ(doc_parse_json(&arena, buf_slice(&once), &limits, &value),
                 ERR_OK);
        write_value(&twice, value);
        CHECK(slice_eq(buf_slice(&once), buf_slice(&twice)));
        buf_deinit(&once);
        buf_deinit(&twice);
    }
    arena_deinit(&arena);
    return 0;
}
