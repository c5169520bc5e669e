/* JSON as messages, by their descriptors: in. The text is read once; what it
 * says goes straight into the message, which lies in the arena.
 *
 * A field is known by the name that it has in the .proto file, or by that
 * name's lowerCamel form; one that isn't known is passed over. null is as if
 * the field weren't there. */
#include "base/check.h"
#include "rpc/json_text.h"
#include "rpc/rpc_int.h"

/* No message of ours has more fields: a bit each tells a name said twice. */
enum { FIELDS_MAX = 64 };

static enum err read_message(struct json_text *text,
                             const ProtobufCMessageDescriptor *type, int depth,
                             ProtobufCMessage **out);

static void *take_memory(struct json_text *text, size_t size)
{
    return arena_try_alloc(text->arena, size > 0 ? size : 1);
}

static enum err no_memory(void)
{
    return err_set(ERR_NO_MEMORY, "the message takes too much memory");
}

static enum err field_error(const struct json_text *text,
                            const ProtobufCFieldDescriptor *field,
                            const char *what)
{
    return err_wrap(json_text__error(text, what), "%s", field->name);
}

/* ---- numbers --------------------------------------------------------- */

static enum err read_digits(struct json_text *text, struct slice *digits)
{
    if (json_text__peek(text) == '"') {
        return json_text__string(text, digits);
    }
    return json_text__number(text, digits);
}

/* -2^(bits-1) .. 2^(bits-1)-1, or 0 .. 2^bits-1. */
static bool is_within(ProtobufCType type, bool negative, uint64_t magnitude)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
        return magnitude <= (uint64_t)INT64_MAX + negative;
    case PROTOBUF_C_TYPE_UINT64:
        return !negative || magnitude == 0;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_ENUM:
        return magnitude <= (uint64_t)INT32_MAX + negative;
    default:
        CHECK_EQ(type, PROTOBUF_C_TYPE_UINT32);
        return magnitude <= UINT32_MAX && (!negative || magnitude == 0);
    }
}

/* A number, or one in quotes. */
static enum err read_integer(struct json_text *text,
                             const ProtobufCFieldDescriptor *field, void *at)
{
    struct slice digits;
    bool negative;
    uint64_t magnitude;
    enum err err = read_digits(text, &digits);
    if (err != ERR_OK) {
        return err_wrap(err, "%s", field->name);
    }
    if (!json_text__integer(digits, &negative, &magnitude) ||
        !is_within(field->type, negative, magnitude)) {
        return field_error(text, field, "not an integer that fits");
    }
    uint64_t bits = negative ? 0 - magnitude : magnitude;
    memcpy(at, &bits, json__value_bytes(field)); /* the low end is in front */
    return ERR_OK;
}

static enum err read_enum(struct json_text *text,
                          const ProtobufCFieldDescriptor *field, void *at)
{
    struct slice name;
    if (json_text__peek(text) != '"') {
        return read_integer(text, field, at);
    }
    enum err err = json_text__string(text, &name);
    if (err != ERR_OK) {
        return err_wrap(err, "%s", field->name);
    }
    const ProtobufCEnumDescriptor *type = field->descriptor;
    for (unsigned i = 0; i < type->n_values; i++) {
        if (slice_eq(name, slice_str(type->values[i].name))) {
            int32_t value = type->values[i].value;
            memcpy(at, &value, sizeof(value));
            return ERR_OK;
        }
    }
    return field_error(text, field, "no such value of an enum");
}

static enum err read_bool(struct json_text *text,
                          const ProtobufCFieldDescriptor *field, void *at)
{
    bool yes = json_text__take_word(text, "true");
    if (!yes && !json_text__take_word(text, "false")) {
        return field_error(text, field, "true or false is wanted here");
    }
    *(protobuf_c_boolean *)at = yes;
    return ERR_OK;
}

/* ---- texts and bytes ------------------------------------------------- */

static enum err read_string(struct json_text *text,
                            const ProtobufCFieldDescriptor *field, void *at)
{
    struct slice said;
    enum err err = json_text__string(text, &said);
    if (err != ERR_OK) {
        return err_wrap(err, "%s", field->name);
    }
    /* Its end is a zero, so none may be in it. */
    if (slice_find(said, '\0') >= 0) {
        return field_error(text, field, "a zero in a string");
    }
    char *copy = take_memory(text, said.size + 1);
    if (copy == NULL) {
        return no_memory();
    }
    memcpy(copy, said.at, said.size);
    copy[said.size] = '\0';
    *(char **)at = copy;
    return ERR_OK;
}

/* The six bits of a letter of base64, of either alphabet; -1: none. */
static int sextet(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+' || c == '-' ? 62
           : c == '/' || c == '_' ? 63
                                  : -1;
}

/* Base64 (RFC 4648), with or without its padding. Returns how many bytes; -1:
 * it is malformed. Needs: room for 3/4 of `from`. */
ptrdiff_t json__decode_base64(struct slice from, uint8_t *to)
{
    size_t size = from.size;
    uint32_t bits = 0;
    unsigned bit_count = 0;
    uint8_t *start = to;
    for (int i = 0;
         i < 2 && from.size % 4 == 0 && size > 0 && from.at[size - 1] == '=';
         i++) {
        size--;
    }
    for (size_t i = 0; i < size; i++) {
        int six = sextet(from.at[i]);
        if (six < 0) {
            return -1;
        }
        bits = bits << 6 | (uint32_t)six;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            *to++ = (uint8_t)(bits >> bit_count);
        }
    }
    return size % 4 == 1 ? -1 : to - start;
}

static enum err read_bytes(struct json_text *text,
                           const ProtobufCFieldDescriptor *field, void *at)
{
    struct slice letters;
    ProtobufCBinaryData *bytes = at;
    enum err err = json_text__string(text, &letters);
    if (err != ERR_OK) {
        return err_wrap(err, "%s", field->name);
    }
    uint8_t *to = take_memory(text, letters.size / 4 * 3 + 3);
    if (to == NULL) {
        return no_memory();
    }
    ptrdiff_t size = json__decode_base64(letters, to);
    if (size < 0) {
        return field_error(text, field, "not base64");
    }
    bytes->data = to;
    bytes->len = (size_t)size;
    return ERR_OK;
}

/* ---- fields ---------------------------------------------------------- */

static enum err read_value(struct json_text *text,
                           const ProtobufCFieldDescriptor *field, void *at,
                           int depth)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        return read_bool(text, field, at);
    case PROTOBUF_C_TYPE_ENUM:
        return read_enum(text, field, at);
    case PROTOBUF_C_TYPE_STRING:
        return read_string(text, field, at);
    case PROTOBUF_C_TYPE_BYTES:
        return read_bytes(text, field, at);
    case PROTOBUF_C_TYPE_MESSAGE:
        return read_message(text, field->descriptor, depth + 1, at);
    default:
        return read_integer(text, field, at);
    }
}

struct items {
    char *at;
    size_t count;
    size_t room;
};

static bool make_room(struct json_text *text, struct items *items, size_t step)
{
    if (items->count < items->room) {
        return true;
    }
    size_t room = items->room > 0 ? 2 * items->room : 4;
    char *at = take_memory(text, room * step);
    if (at == NULL) {
        return false;
    }
    if (items->count > 0) {
        memcpy(at, items->at, items->count * step);
    }
    items->at = at;
    items->room = room;
    return true;
}

static enum err read_items(struct json_text *text,
                           const ProtobufCFieldDescriptor *field,
                           struct items *items, int depth)
{
    size_t step = json__value_bytes(field);
    bool first = true;
    bool more;
    if (!json_text__take(text, '[')) {
        return field_error(text, field, "a list is wanted here");
    }
    for (;;) {
        enum err err = json_text__more(text, ']', &first, &more);
        if (err != ERR_OK || !more) {
            return err;
        }
        if (!make_room(text, items, step)) {
            return no_memory();
        }
        err = read_value(text, field, items->at + items->count * step, depth);
        if (err != ERR_OK) {
            return err;
        }
        items->count++;
    }
}

static enum err read_field(struct json_text *text, ProtobufCMessage *message,
                           const ProtobufCFieldDescriptor *field, int depth)
{
    char *base = (char *)message;
    void *at = base + field->offset;
    void *quantifier = base + field->quantifier_offset;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        struct items items = {0};
        enum err err = read_items(text, field, &items, depth);
        *(char **)at = items.at;
        *(size_t *)quantifier = items.count;
        return err;
    }
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        uint32_t *which = quantifier;
        if (*which != 0) {
            return field_error(text, field, "another of its kind is there");
        }
        *which = field->id;
    }
    return read_value(text, field, at, depth);
}

/* "range_end" as "rangeEnd". */
static bool is_camel_of(struct slice said, const char *name)
{
    size_t i = 0;
    bool upper = false;
    for (; *name != '\0'; name++) {
        if (*name == '_') {
            upper = true;
            continue;
        }
        char c = upper && *name >= 'a' && *name <= 'z'
                     ? (char)(*name - 'a' + 'A')
                     : *name;
        upper = false;
        if (i == said.size || said.at[i++] != c) {
            return false;
        }
    }
    return i == said.size;
}

static const ProtobufCFieldDescriptor *
find_field(const ProtobufCMessageDescriptor *type, struct slice name)
{
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        if (slice_eq(name, slice_str(field->name)) ||
            is_camel_of(name, field->name)) {
            return field;
        }
    }
    return NULL;
}

/* "name": value */
static enum err read_member(struct json_text *text, ProtobufCMessage *message,
                            uint64_t *seen, int depth)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    struct slice name;
    enum err err = json_text__string(text, &name);
    if (err != ERR_OK) {
        return err;
    }
    if (!json_text__take(text, ':')) {
        return json_text__error(text, "':' is missing");
    }
    const ProtobufCFieldDescriptor *field = find_field(type, name);
    if (field == NULL) {
        return json_text__skip(text);
    }
    uint64_t bit = UINT64_C(1) << (field - type->fields);
    if ((*seen & bit) != 0) {
        return field_error(text, field, "said twice");
    }
    *seen |= bit;
    if (json_text__take_word(text, "null")) {
        return ERR_OK;
    }
    return read_field(text, message, field, depth);
}

static enum err read_message(struct json_text *text,
                             const ProtobufCMessageDescriptor *type, int depth,
                             ProtobufCMessage **out)
{
    uint64_t seen = 0;
    bool first = true;
    bool more;
    CHECK_LE(type->n_fields, FIELDS_MAX);
    if (depth > MESSAGE_DEPTH_MAX) {
        return json_text__error(text, "nested too deep");
    }
    if (!json_text__take(text, '{')) {
        return json_text__error(text, "an object is wanted here");
    }
    ProtobufCMessage *message = take_memory(text, type->sizeof_message);
    if (message == NULL) {
        return no_memory();
    }
    protobuf_c_message_init(type, message);
    *out = message;
    for (;;) {
        enum err err = json_text__more(text, '}', &first, &more);
        if (err == ERR_OK && more) {
            err = read_member(text, message, &seen, depth);
        }
        if (err != ERR_OK || !more) {
            return err;
        }
    }
}

enum err json__read(struct slice bytes, const ProtobufCMessageDescriptor *type,
                    struct arena *arena, ProtobufCMessage **out)
{
    struct json_text text;
    *out = NULL;
    json_text__init(&text, bytes, arena);
    enum err err = read_message(&text, type, 0, out);
    if (err == ERR_OK && !json_text__is_over(&text)) {
        err = json_text__error(&text, "something stands behind the object");
    }
    if (err != ERR_OK) {
        *out = NULL;
    }
    return err;
}

enum err json__next(struct slice *rest, struct slice *value)
{
    struct json_text text;
    json_text__init(&text, *rest, NULL);
    if (json_text__is_over(&text)) {
        return ERR_END;
    }
    const char *start = text.at;
    enum err err = json_text__skip(&text);
    if (err == ERR_OK) {
        *value = slice_of(start, (size_t)(text.at - start));
        *rest = slice_of(text.at, (size_t)(text.end - text.at));
    }
    return err;
}
