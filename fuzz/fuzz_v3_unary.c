/* Any bytes as the message of a unary call of v3, to a whole member in memory.
 *
 * The input: messages, each behind a byte for the method and two for the
 * length. To open a member costs more than most inputs do, so one serves a few
 * of them.
 */
#include "support/unary_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { INPUTS_PER_WORLD = 50 };

static unsigned inputs;

/* The history of a world that goes on grows, and is no leak; the unit tests
 * are where leaks are found. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    size_t count;
    const struct method *methods = method__table(&count);
    if (inputs++ % INPUTS_PER_WORLD == 0) {
        unary_world_close();
        unary_world_open(NULL);
    }
    while (size >= 3) {
        const struct method *method = &methods[bytes[0] % count];
        size_t length = bytes[1] | (size_t)bytes[2] << 8;
        bytes += 3;
        size -= 3;
        length = length < size ? length : size;
        if (!method->client_streams) {
            (void)unary_call(method, slice_of(NULL, 0), slice_of(bytes, length),
                             NULL);
        }
        bytes += length;
        size -= length;
    }
    unary_world_wait();
    return 0;
}
