/* The record decoder, on bytes as a damaged file would have them. A checksum
 * that is right is hard to guess: the same bytes are also tried with theirs
 * made right, as far as the decoder says where the key ends.
 *
 * What is decoded is encoded again and must come back the same. */
#include <stdint.h>

#include "base/check.h"
#include "base/crc.h"
#include "base/mem.h"
#include "mvcc/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static const struct rev revs[] = {{2, 0}, {1000000, 5}, {INT64_MAX, 1}};

static bool is_same(const struct record *a, const struct record *b)
{
    return a->table == b->table && a->cause == b->cause &&
           a->flags == b->flags && a->rev.main == b->rev.main &&
           a->rev.sub == b->rev.sub && a->create == b->create &&
           a->version == b->version && a->prev.main == b->prev.main &&
           a->prev.sub == b->prev.sub && a->lease == b->lease &&
           a->expire_ns == b->expire_ns && a->time_ns == b->time_ns &&
           slice_eq(a->key, b->key) && slice_eq(a->value, b->value);
}

static void back_and_forth(const struct record *record)
{
    struct buf buf = {0};
    struct record again;
    record__encode(&buf, record);
    enum err err =
        record__decode(buf_slice(&buf), record->rev, RECORD_CHECK_ALL, &again);
    CHECK(err == ERR_OK);
    CHECK(is_same(record, &again));
    buf_deinit(&buf);
}

static void play(struct slice bytes, struct rev rev)
{
    struct record record;
    enum err err = record__decode(bytes, rev, RECORD_CHECK_HEAD, &record);
    CHECK(err == ERR_OK || err == ERR_CORRUPT);
    if (err == ERR_OK)
        back_and_forth(&record);
    err = record__decode(bytes, rev, RECORD_CHECK_ALL, &record);
    CHECK(err == ERR_OK || err == ERR_CORRUPT);
}

/* The form is judged before the checksum, and leaves the key where it is. */
static void play_forged(char *bytes, size_t size, struct rev rev)
{
    struct record record;
    enum err err =
        record__decode(slice_of(bytes, size), rev, RECORD_CHECK_HEAD, &record);
    if (record.key.at != NULL) {
        const char *key_end = record.key.at + record.key.size;
        CHECK(key_end <= bytes + size);
        put_le32(bytes, crc32c(0, bytes + 8, (size_t)(key_end - bytes) - 8));
        put_le32(bytes + 4,
                 crc32c(0, key_end, (size_t)(bytes + size - key_end)));
    }
    CHECK(err == ERR_OK || err == ERR_CORRUPT);
    play(slice_of(bytes, size), rev);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct rev rev;
    enum err err = record__decode_key(slice_of(bytes, size), &rev);
    CHECK((err == ERR_OK) <= (size == RECORD_KEY_BYTES));
    for (size_t i = 0; i < sizeof revs / sizeof revs[0]; i++) {
        char *copy = mem_dup(bytes, size);
        play(slice_of(copy, size), revs[i]);
        play_forged(copy, size, revs[i]);
        mem_free(copy);
    }
    return 0;
}
