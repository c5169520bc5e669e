/* grpc.reflection: tools ask which services there are and what their messages
 * look like. The answers are pieces of the descriptors that the program was
 * built with, found each time anew: nobody asks often.
 *
 *   FileDescriptorSet { repeated FileDescriptorProto file = 1; }
 *   FileDescriptorProto { 1: name  2: package  3: dependency  4: message
 *                         5: enum  6: service }
 *   message, enum, service { 1: name ... }; a message's own messages: 3, its
 *   enums: 4, its fields: 2; a service's methods: 2; an enum's values: 2
 */
#include "base/check.h"
#include "proto/pb.h"
#include "proto/reflection.pb-c.h"
#include "rpc/rpc_int.h"

enum {
    FILE_NAME = 1,
    FILE_PACKAGE = 2,
    FILE_DEPENDENCY = 3,
    FILE_MESSAGE = 4,
    FILE_ENUM = 5,
    FILE_SERVICE = 6,
    MEMBER_NAME = 1,
    MEMBERS = 2, /* fields, values, methods */
    MESSAGE_MESSAGE = 3,
    MESSAGE_ENUM = 4,
    /* of ServerReflectionResponse */
    RESPONSE_HOST = 1,
    RESPONSE_REQUEST = 2,
    RESPONSE_FILES = 4,
    RESPONSE_EXTENSIONS = 5,
    RESPONSE_SERVICES = 6,
    RESPONSE_ERROR = 7,
    FILES_MAX = 64,
    DEPTH_MAX = 8,
};

/* ---- looking into descriptors ---------------------------------------- */

/* The first field of that number; at == NULL: none. */
static struct slice field_of(struct slice message, uint32_t number)
{
    struct pb_reader reader;
    struct pb_field field;
    pb_reader_init(&reader, message);
    while (pb_next(&reader, &field)) {
        if (field.number == number && field.type == PB_BYTES) {
            return field.bytes;
        }
    }
    return slice_of(NULL, 0);
}

/* Takes `first` and a '.' off the front of `name`, or, with an empty `first`,
 * nothing. */
static bool strip(struct slice *name, struct slice first)
{
    if (first.size == 0) {
        return true;
    }
    if (!slice_has_prefix(*name, first) ||
        (name->size > first.size && name->at[first.size] != '.')) {
        return false;
    }
    size_t taken = first.size + (name->size > first.size ? 1 : 0);
    *name = slice_of(name->at + taken, name->size - taken);
    return true;
}

/* `name` is this thing's, or of something in it. */
static bool holds(struct slice thing, struct slice name, bool is_message,
                  int depth)
{
    struct pb_reader reader;
    struct pb_field field;
    struct slice own = field_of(thing, MEMBER_NAME);
    if (own.size == 0 || depth == 0 || !strip(&name, own)) {
        return false;
    }
    if (name.size == 0) {
        return true;
    }
    pb_reader_init(&reader, thing);
    while (pb_next(&reader, &field)) {
        bool below = is_message && (field.number == MESSAGE_MESSAGE ||
                                    field.number == MESSAGE_ENUM);
        if (field.type != PB_BYTES || (field.number != MEMBERS && !below)) {
            continue;
        }
        if (holds(field.bytes, name, field.number == MESSAGE_MESSAGE,
                  depth - 1)) {
            return true;
        }
    }
    return false;
}

static bool file_holds(struct slice file, struct slice symbol)
{
    struct pb_reader reader;
    struct pb_field field;
    if (!strip(&symbol, field_of(file, FILE_PACKAGE)) || symbol.size == 0) {
        return false;
    }
    pb_reader_init(&reader, file);
    while (pb_next(&reader, &field)) {
        if (field.type == PB_BYTES && field.number >= FILE_MESSAGE &&
            field.number <= FILE_SERVICE &&
            holds(field.bytes, symbol, field.number == FILE_MESSAGE,
                  DEPTH_MAX)) {
            return true;
        }
    }
    return false;
}

static bool file_is_named(struct slice file, struct slice name)
{
    return slice_eq(field_of(file, FILE_NAME), name);
}

static struct slice find_file(bool (*matches)(struct slice file,
                                              struct slice what),
                              struct slice what)
{
    struct pb_reader reader;
    struct pb_field field;
    pb_reader_init(&reader, message_descriptors());
    while (pb_next(&reader, &field)) {
        if (field.number == 1 && matches(field.bytes, what)) {
            return field.bytes;
        }
    }
    return slice_of(NULL, 0);
}

/* ---- answers --------------------------------------------------------- */

static void put_error(struct buf *out, enum grpc_code code, struct slice about)
{
    struct buf error = {0};
    struct buf text = {0};
    buf_append_str(&text, "not found: ");
    buf_append_slice(&text, about);
    pb_put_u64(&error, 1, (uint64_t)code);
    pb_put_bytes(&error, 2, buf_slice(&text));
    pb_put_bytes_always(out, RESPONSE_ERROR, buf_slice(&error));
    buf_deinit(&text);
    buf_deinit(&error);
}

struct files {
    struct slice at[FILES_MAX];
    size_t count;
};

static void add_file(struct files *files, struct slice file)
{
    for (size_t i = 0; i < files->count; i++) {
        if (files->at[i].at == file.at) {
            return;
        }
    }
    CHECK_LT(files->count, FILES_MAX);
    files->at[files->count++] = file;
}

/* The file and all that it needs, so that a tool need not ask again. */
static void put_files(struct buf *out, struct slice file, struct slice about)
{
    struct files files = {0};
    struct buf answer = {0};
    if (file.at == NULL) {
        put_error(out, GRPC_NOT_FOUND, about);
        return;
    }
    add_file(&files, file);
    for (size_t i = 0; i < files.count; i++) {
        struct pb_reader reader;
        struct pb_field field;
        pb_put_bytes_always(&answer, 1, files.at[i]);
        pb_reader_init(&reader, files.at[i]);
        while (pb_next(&reader, &field)) {
            if (field.number == FILE_DEPENDENCY) {
                struct slice needed = find_file(file_is_named, field.bytes);
                CHECK(needed.at != NULL);
                add_file(&files, needed);
            }
        }
    }
    pb_put_bytes_always(out, RESPONSE_FILES, buf_slice(&answer));
    buf_deinit(&answer);
}

/* "/etcdserverpb.KV/Range": "etcdserverpb.KV" */
static struct slice service_of(const struct method *method)
{
    struct slice path = slice_str(method->path + 1);
    ptrdiff_t end = slice_find(path, '/');
    CHECK(end > 0);
    return slice_of(path.at, (size_t)end);
}

static void put_services(struct buf *out)
{
    struct buf answer = {0};
    struct buf service = {0};
    struct slice last = {0};
    size_t count;
    const struct method *methods = method__table(&count);
    for (size_t i = 0; i < count; i++) {
        struct slice name = service_of(&methods[i]);
        if (slice_eq(name, last)) {
            continue; /* they stand in order */
        }
        last = name;
        buf_reset(&service);
        pb_put_bytes(&service, 1, name);
        pb_put_bytes_always(&answer, 1, buf_slice(&service));
    }
    pb_put_bytes_always(out, RESPONSE_SERVICES, buf_slice(&answer));
    buf_deinit(&service);
    buf_deinit(&answer);
}

/* proto3 has no extensions. */
static void put_extensions(struct buf *out, struct slice type)
{
    struct buf answer = {0};
    if (find_file(file_holds, type).at == NULL) {
        put_error(out, GRPC_NOT_FOUND, type);
        return;
    }
    pb_put_bytes(&answer, 1, type);
    pb_put_bytes_always(out, RESPONSE_EXTENSIONS, buf_slice(&answer));
    buf_deinit(&answer);
}

#define CASE(name) \
    GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name

static void put_answer(struct buf *out,
                       const Grpc__Reflection__V1__ServerReflectionRequest *ask)
{
    struct slice what;
    switch (ask->message_request_case) {
    case CASE(FILE_BY_FILENAME):
        what = slice_str(ask->file_by_filename);
        put_files(out, find_file(file_is_named, what), what);
        return;
    case CASE(FILE_CONTAINING_SYMBOL):
        what = slice_str(ask->file_containing_symbol);
        put_files(out, find_file(file_holds, what), what);
        return;
    case CASE(FILE_CONTAINING_EXTENSION):
        put_error(out, GRPC_NOT_FOUND,
                  slice_str(ask->file_containing_extension->containing_type));
        return;
    case CASE(ALL_EXTENSION_NUMBERS_OF_TYPE):
        put_extensions(out, slice_str(ask->all_extension_numbers_of_type));
        return;
    case CASE(LIST_SERVICES):
        put_services(out);
        return;
    default:
        put_error(out, GRPC_INVALID_ARGUMENT, SLICE("such a request"));
    }
}

/* ---- the stream ------------------------------------------------------ */

/* The messages of v1alpha are the same, byte for byte. */
static void on_message(struct call *call, struct slice message)
{
    ProtobufCMessage *decoded;
    const ProtobufCMessageDescriptor *type =
        &grpc__reflection__v1__server_reflection_request__descriptor;
    arena_reset(&call->arena);
    if (message_decode(type, message, &call->arena, &decoded) != ERR_OK) {
        call__fail_malformed(call);
        return;
    }
    const Grpc__Reflection__V1__ServerReflectionRequest *request =
        (void *)decoded;
    struct buf *out = rpc__body(call->rpc);
    pb_put_bytes(out, RESPONSE_HOST, slice_str(request->host));
    pb_put_bytes_always(out, RESPONSE_REQUEST, message);
    put_answer(out, request);
    call__send(call, buf_slice(out));
    call__consumed(call, message.size);
}

void reflection__info(struct call *call, ProtobufCMessage *request)
{
    CHECK(request == NULL);
    call->on_message = on_message;
    call->on_half_close = call__finish;
}
