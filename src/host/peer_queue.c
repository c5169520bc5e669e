/* Frames that wait for a socket: a ring of references, sent with one vectored
 * call for many. */
#include <errno.h>

#include "base/check.h"
#include "host/peers_int.h"

enum {
    CAPACITY_FIRST = 16,
    FRAMES_AT_ONCE = 64,
    BYTES_AT_ONCE = 1024 * 1024,
};

static void grow(struct peer_queue *queue)
{
    size_t capacity =
        queue->capacity == 0 ? CAPACITY_FIRST : queue->capacity * 2;
    struct refbuf **at = mem_alloc(capacity * sizeof(struct refbuf *));
    for (size_t i = 0; i < queue->count; i++) {
        at[i] = queue->at[(queue->first + i) & (queue->capacity - 1)];
    }
    mem_free(queue->at);
    queue->at = at;
    queue->first = 0;
    queue->capacity = capacity;
}

void peer_queue__push(struct peer_queue *queue, struct refbuf *frame)
{
    CHECK(frame->size > 0 && frame->size <= PEERS_MESSAGE_BYTES_MAX);
    if (queue->count == queue->capacity) {
        grow(queue);
    }
    queue->at[(queue->first + queue->count) & (queue->capacity - 1)] = frame;
    queue->count++;
    queue->bytes += frame->size;
}

static void drop_first(struct peer_queue *queue)
{
    struct refbuf *frame = queue->at[queue->first];
    CHECK(queue->count > 0);
    CHECK_LE(frame->size, queue->bytes);
    queue->bytes -= frame->size;
    queue->first = (queue->first + 1) & (queue->capacity - 1);
    queue->count--;
    queue->sent = 0;
    refbuf_unref(frame);
}

size_t peer_queue__clear(struct peer_queue *queue)
{
    size_t count = queue->count;
    while (queue->count > 0) {
        drop_first(queue);
    }
    CHECK_EQ(queue->bytes, 0);
    return count;
}

void peer_queue__deinit(struct peer_queue *queue)
{
    (void)peer_queue__clear(queue);
    mem_free(queue->at);
    *queue = (struct peer_queue){0};
}

struct gathered {
    struct iovec vectors[2 * FRAMES_AT_ONCE];
    char heads[FRAMES_AT_ONCE][PEER_FRAME_HEAD_BYTES];
    size_t count;
    size_t bytes;
};

static void add(struct gathered *gathered, char *at, size_t size)
{
    if (size > 0) {
        gathered->vectors[gathered->count++] =
            (struct iovec){.iov_base = at, .iov_len = size};
        gathered->bytes += size;
    }
}

static void gather(const struct peer_queue *queue, struct gathered *out)
{
    size_t skip = queue->sent;
    out->count = 0;
    out->bytes = 0;
    for (size_t i = 0;
         i < queue->count && i < FRAMES_AT_ONCE && out->bytes < BYTES_AT_ONCE;
         i++) {
        struct refbuf *frame =
            queue->at[(queue->first + i) & (queue->capacity - 1)];
        size_t head =
            skip < PEER_FRAME_HEAD_BYTES ? skip : PEER_FRAME_HEAD_BYTES;
        peer_frame_head(out->heads[i], frame->size);
        add(out, out->heads[i] + head, PEER_FRAME_HEAD_BYTES - head);
        add(out, frame->bytes + (skip - head), frame->size - (skip - head));
        skip = 0;
    }
}

static void consume(struct peer_queue *queue, size_t bytes)
{
    while (bytes > 0) {
        CHECK(queue->count > 0);
        size_t left =
            queue->at[queue->first]->size + PEER_FRAME_HEAD_BYTES - queue->sent;
        if (bytes < left) {
            queue->sent += bytes;
            return;
        }
        bytes -= left;
        drop_first(queue);
    }
}

enum peer_sent peer_queue__send(struct peer_queue *queue, int fd,
                                struct tls *tls, uint64_t *bytes,
                                uint64_t *writes)
{
    struct gathered gathered;
    while (queue->count > 0) {
        gather(queue, &gathered);
        ssize_t sent =
            peer_socket__send_pieces(fd, tls, gathered.vectors, gathered.count);
        ++*writes;
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0) {
            return errno == EAGAIN ? PEER_SENT_PART : PEER_SENT_BROKEN;
        }
        *bytes += (size_t)sent;
        consume(queue, (size_t)sent);
        /* A socket that took a part is full; TLS takes a record at a time. */
        if ((size_t)sent < gathered.bytes && tls == NULL) {
            return PEER_SENT_PART;
        }
    }
    return PEER_SENT_ALL;
}
