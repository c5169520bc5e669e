#include "wire/spare_int.h"

#include "base/check.h"
#include "base/mem.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEPS_NOTHING 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define KEEPS_NOTHING 1
#endif

#ifdef KEEPS_NOTHING
enum { KEEPS = 0 };
#else
enum { KEEPS = 1 };
#endif

static _Thread_local struct {
    int64_t joined;
    char *block;
    struct buf buf;
} spare;

void spare__join(void)
{
    spare.joined++;
}

void spare__leave(void)
{
    spare.joined--;
    if (spare.joined > 0)
        return;
    mem_free(spare.block);
    spare.block = NULL;
    buf_deinit(&spare.buf);
}

char *spare__take_block(void)
{
    char *block = spare.block;
    spare.block = NULL;
    return block ? block : mem_alloc(SPARE_BLOCK_BYTES);
}

void spare__give_block(char *block)
{
    CHECK(block != NULL);
    if (KEEPS && spare.block == NULL)
        spare.block = block;
    else
        mem_free(block);
}

struct buf spare__take_buf(void)
{
    struct buf buf = spare.buf;
    spare.buf = (struct buf){0};
    return buf;
}

void spare__give_buf(struct buf *buf)
{
    struct buf given = *buf;
    *buf = (struct buf){0};
    /* The larger is kept: a watch's few bytes must not take the place of what
     * whole answers are written to. */
    if (KEEPS && given.capacity <= SPARE_BUF_BYTES_MAX &&
        given.capacity > spare.buf.capacity) {
        struct buf smaller = spare.buf;
        spare.buf = given;
        spare.buf.size = 0;
        given = smaller;
    }
    if (given.at != NULL)
        buf_deinit(&given);
}
