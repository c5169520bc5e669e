/* Any bytes as the messages of unary calls of v3 by alice, who may little, and
 * by nobody, to a member that has users: whatever they ask for, they see and
 * change nothing but what is alice's (support/node_users.h).
 *
 * The input: messages, each behind a byte for the method and two for the
 * length, whose highest bit says who asks.
 */
#include "base/check.h"
#include "proto/pb.h"
#include "support/node_users.h"
#include "support/unary_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { INPUTS_PER_WORLD = 50, BY_NOBODY = 0x8000 };

static unsigned inputs;
static struct buf token;

/* The history of a world that goes on grows, and is no leak; the unit tests
 * are where leaks are found. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

/* Anew for each input: whoever changes users, or waits, ends it. */
static void log_in(void)
{
    size_t count;
    struct buf told = {0};
    struct pb_reader reader;
    struct pb_field field;
    const struct method *methods = method__table(&count);
    const struct method *method = NULL;
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(slice_str(methods[i].path),
                     SLICE("/etcdserverpb.Auth/Authenticate"))) {
            method = &methods[i];
        }
    }
    CHECK(method != NULL);
    bool is_in = unary_call(method, slice_of(NULL, 0),
                            SLICE("\n\5alice\22\5alice"), &told);
    CHECK(is_in);
    buf_reset(&token);
    pb_reader_init(&reader, buf_slice(&told));
    while (pb_next(&reader, &field)) {
        if (field.number == 2) {
            buf_append_slice(&token, field.bytes);
        }
    }
    CHECK(token.size > 0);
    buf_deinit(&told);
}

static void renew_world(void)
{
    if (inputs++ % INPUTS_PER_WORLD != 0) {
        return;
    }
    unary_world_close();
    node_users_free();
    unary_world_open(node_users_prepare);
    node_users_enable(&unary_world);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    size_t count;
    struct buf told = {0};
    const struct method *methods = method__table(&count);
    renew_world();
    log_in();
    while (size >= 3) {
        const struct method *method = &methods[bytes[0] % count];
        size_t length = bytes[1] | (size_t)bytes[2] << 8;
        bool by_nobody = (length & BY_NOBODY) != 0;
        length &= ~(size_t)BY_NOBODY;
        bytes += 3;
        size -= 3;
        length = length < size ? length : size;
        if (!method->client_streams) {
            (void)unary_call(method,
                             by_nobody ? slice_of(NULL, 0) : buf_slice(&token),
                             slice_of(bytes, length), &told);
        }
        bytes += length;
        size -= length;
    }
    node_users_check_told(buf_slice(&told));
    buf_deinit(&told);
    unary_world_wait();
    node_users_check(&unary_world);
    return 0;
}
