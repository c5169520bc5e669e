/* What members say to each other on the wire: bytes in, messages out.
 *
 *   who connects                              who was connected to
 *     preface  "ETCHED-PEER/1\r\n"
 *     frame    greeting                ->
 *                                     <-        frame    answer
 *     frame, frame, frame ...          ->                (of kind messages:
 *                                                        nothing more)
 *                                     <-        frame    answer: it is
 *                                                        installed, or not
 *
 *   frame      u32 size (1 or more), then so many bytes
 *   greeting   u8 kind, u64 cluster, u64 from, u64 to,
 *              text version, text peer URLs, text snapshot header
 *   answer     u8 verdict, text why, text place
 *   text       varint size, then so many bytes
 *
 * Numbers have the little end first. What stands behind the last field that is
 * known here is passed over, so that fields can be added. A connection of kind
 * messages carries one encoded raft message a frame; one of kind snapshot a
 * chunk a frame.
 *
 * No request line of HTTP begins like the preface: a method has no '/' in it,
 * and is followed by a space. So one look at the first bytes tells a member
 * from an HTTP client, and nothing needs to be read for it.
 */
#ifndef ETCHED_WIRE_PEER_WIRE_H
#define ETCHED_WIRE_PEER_WIRE_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"

#define PEER_PREFACE "ETCHED-PEER/1\r\n"

enum {
    PEER_PREFACE_BYTES = sizeof(PEER_PREFACE) - 1,
    PEER_FRAME_HEAD_BYTES = 4,
    /* A greeting or an answer: URLs, a reason, a place (a key, at most). */
    PEER_TALK_BYTES_MAX = 256 * 1024,
};

/* ---- who is there -------------------------------------------------------- */

enum peer_first {
    PEER_FIRST_MEMBER,
    PEER_FIRST_HTTP,    /* or anything else that isn't a member */
    PEER_FIRST_VERSION, /* a member of a version that isn't spoken here */
    PEER_FIRST_MORE,    /* too short to tell */
};

/* What the first bytes of a connection say. */
enum peer_first peer_first(struct slice bytes);

/* ---- greeting and answer ------------------------------------------------- */

enum peer_kind { PEER_MESSAGES = 1, PEER_SNAPSHOT = 2 };

struct peer_greeting {
    enum peer_kind kind;
    uint64_t cluster_id;
    uint64_t from;
    uint64_t to;
    struct slice version;   /* of the software, for people */
    struct slice peer_urls; /* the sender's, joined with ',' */
    struct slice snapshot;  /* PEER_SNAPSHOT: its header, encoded */
};

/* Appends the preface and the greeting's frame. */
void peer_greeting_encode(const struct peer_greeting *greeting,
                          struct buf *out);
/* Of a frame's bytes, which the slices are of. Errors: ERR_CORRUPT. */
enum err peer_greeting_decode(struct slice frame,
                              struct peer_greeting *out) MUST_USE;

enum peer_verdict {
    PEER_OK = 1,
    PEER_WRONG_CLUSTER = 2,
    PEER_WRONG_MEMBER = 3, /* another one was meant */
    PEER_REMOVED = 4,      /* who greets was removed from the cluster */
    PEER_BUSY = 5,         /* try again later */
    PEER_HAVE_IT = 6,      /* the snapshot is of no use here any more */
    PEER_FAILED = 7,       /* what came was no good, or could not be used */
};

struct peer_answer {
    enum peer_verdict verdict;
    struct slice text;  /* why not */
    struct slice place; /* of a snapshot: where to go on; "": from the start */
};

/* Appends the answer's frame. */
void peer_answer_encode(const struct peer_answer *answer, struct buf *out);
enum err peer_answer_decode(struct slice frame,
                            struct peer_answer *out) MUST_USE;

/* The head of a frame of `size` bytes, into PEER_FRAME_HEAD_BYTES. */
static inline void peer_frame_head(void *to, size_t size)
{
    put_le32(to, (uint32_t)size);
}

/* ---- cutting what comes into frames -------------------------------------- */

/* {0} with bytes_max set begins. */
struct peer_cutter {
    size_t bytes_max; /* of a frame; may be changed between two frames */
    size_t head_size; /* of the head that is here */
    char head[PEER_FRAME_HEAD_BYTES];
    struct refbuf *frame; /* begun, of full size; NULL: none */
    size_t filled;        /* of it */
};

void peer_cutter_deinit(struct peer_cutter *cutter);
/* Takes bytes off the front of *input. *out is the next whole frame, a
 * reference for the caller, or NULL: all of the input was taken.
 * Errors: ERR_CORRUPT (an empty frame), ERR_TOO_LARGE; nothing that follows
 *         makes sense. */
enum err peer_cutter_next(struct peer_cutter *cutter, struct slice *input,
                          struct refbuf **out) MUST_USE;
/* Where the rest of a begun frame can be read to without a copy; size 0: no
 * frame is begun. After peer_cutter_filled, peer_cutter_next with whatever
 * else came hands the frame out when it is whole. */
char *peer_cutter_room(struct peer_cutter *cutter, size_t *size);
void peer_cutter_filled(struct peer_cutter *cutter, size_t size);

#endif
