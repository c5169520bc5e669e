#include "wire/spare_int.h"

#include <string.h>

#include "base/check.h"
#include "base/list.h"
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

enum {
    CLASS_BYTES = 64,
    CLASSES = 8,           /* up to 512 bytes */
    CLASS_COUNT_MAX = 512, /* kept of each */
};

/* In front of each piece: of which class it is; CLASSES: of none. */
struct piece {
    union {
        size_t class;
        struct piece *next; /* while it is spare */
    };
    alignas(16) char bytes[];
};

static _Thread_local struct {
    int64_t joined;
    char *block;
    struct buf buf;
    struct piece *pieces[CLASSES];
    uint32_t counts[CLASSES];
} spare;

void spare__join(void)
{
    spare.joined++;
}

static void free_pieces(void)
{
    for (size_t i = 0; i < CLASSES; i++) {
        while (spare.pieces[i] != NULL) {
            struct piece *piece = spare.pieces[i];
            spare.pieces[i] = piece->next;
            mem_free(piece);
        }
        spare.counts[i] = 0;
    }
}

void spare__leave(void)
{
    spare.joined--;
    if (spare.joined > 0)
        return;
    free_pieces();
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

/* ---- pieces ---------------------------------------------------------------
 */

static struct piece *piece_of(void *bytes)
{
    return CONTAINER_OF(bytes, struct piece, bytes);
}

void *spare__alloc(size_t size)
{
    size_t class = size == 0 ? 0 : (size - 1) / CLASS_BYTES;
    if (!KEEPS || class >= CLASSES) {
        struct piece *large = mem_alloc(sizeof(struct piece) + size);
        large->class = CLASSES;
        return large->bytes;
    }
    struct piece *piece = spare.pieces[class];
    if (piece == NULL) {
        piece = mem_alloc(sizeof *piece + (class + 1) * CLASS_BYTES);
    } else {
        spare.pieces[class] = piece->next;
        spare.counts[class]--;
    }
    piece->class = class;
    return piece->bytes;
}

void spare__free(void *bytes)
{
    if (bytes == NULL)
        return;
    struct piece *piece = piece_of(bytes);
    size_t class = piece->class;
    CHECK_LE(class, CLASSES);
    if (class == CLASSES || spare.joined <= 0 ||
        spare.counts[class] == CLASS_COUNT_MAX) {
        mem_free(piece);
        return;
    }
    piece->next = spare.pieces[class];
    spare.pieces[class] = piece;
    spare.counts[class]++;
}

void *spare__realloc(void *old, size_t size)
{
    if (old == NULL)
        return spare__alloc(size);
    struct piece *piece = piece_of(old);
    if (piece->class == CLASSES) {
        piece = mem_realloc(piece, sizeof *piece + size);
        return piece->bytes;
    }
    size_t room = (piece->class + 1) * CLASS_BYTES;
    if (size <= room)
        return old;
    void *more = spare__alloc(size);
    memcpy(more, old, room);
    spare__free(old);
    return more;
}
