/* The reader of bbolt's files, and what reads etcd's out of them. The first
 * byte says how:
 *
 *   0    the file as it is
 *   1    the file, with the checksums of both metas made right
 *   2    three parts, each behind its size (2 bytes): pairs of the buckets
 *        "key", "lease" and "meta", a byte of the key's size before each; the
 *        writer makes a file of them
 *
 * What comes out of a bucket rises and lies in the file; what is imported
 * opens as a store.
 */
#include "base/check.h"
#include "base/log.h"
#include "bolt/page.h"
#include "etcdb/etcdb.h"
#include "memory/kv_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* ---- reading ------------------------------------------------------------- */

struct seen {
    struct slice file;
    struct slice last;
    size_t pairs;
};

static bool lies_in(struct slice file, struct slice part)
{
    return part.size == 0 ||
           (part.at >= file.at && part.at + part.size <= file.at + file.size);
}

static enum err see_pair(void *context, struct slice key, struct slice value)
{
    struct seen *seen = context;
    CHECK(lies_in(seen->file, key) && lies_in(seen->file, value));
    CHECK(seen->pairs == 0 || slice_cmp(seen->last, key) < 0);
    seen->last = key;
    seen->pairs++;
    return ERR_OK;
}

static enum err see_bucket(void *context, struct slice name,
                           const struct bolt_bucket *bucket)
{
    struct bolt_bucket found;
    struct seen seen = {.file = *(const struct slice *)context};
    CHECK_EQ(bolt_find(bucket->bolt, name, &found), ERR_OK);
    enum err err = bolt_each(bucket, see_pair, &seen);
    CHECK(err == ERR_OK || err == ERR_CORRUPT);
    return err;
}

static void read_file(struct slice file)
{
    struct bolt bolt;
    struct etcdb_status status;
    if (bolt_open(file, &bolt) == ERR_OK) {
        CHECK(bolt_bytes(&bolt) <= file.size);
        enum err err = bolt_each_bucket(&bolt, see_bucket, &file);
        CHECK(err == ERR_OK || err == ERR_CORRUPT);
    }
    enum err err = etcdb_status(file, &status);
    CHECK(err == ERR_OK || err == ERR_CORRUPT);
}

/* ---- importing ----------------------------------------------------------- */

static void import_file(struct slice file)
{
    struct etcdb_imported imported;
    struct kv *kv = kv_memory_new();
    struct etcdb_import config = {.file = file,
                                  .kv = kv,
                                  .index = 1,
                                  .term = 1,
                                  .seed = 1,
                                  .missing_max = 1000};
    enum err err = etcdb_import(&config, &imported);
    CHECK(err == ERR_OK || err == ERR_CORRUPT || err == ERR_UNSUPPORTED ||
          err == ERR_TOO_LARGE);
    if (err == ERR_OK) {
        struct mvcc_config store = {.kv = kv, .seed = 1};
        struct mvcc_status status;
        struct mvcc *mvcc;
        CHECK_EQ(mvcc_open(&store, &mvcc), ERR_OK);
        mvcc_status(mvcc, &status);
        CHECK_EQ(status.current, imported.revision);
        while (mvcc_compact_slice(mvcc, 100)) {
        }
        mvcc_close(mvcc);
    }
    kv_memory_free(kv);
}

/* ---- a file with good metas ---------------------------------------------- */

static void repair_metas(char *file, size_t size)
{
    size_t second = BOLT_PAGE_BYTES_MIN;
    if (size >= PAGE_HEAD_BYTES + PAGE_META_BYTES) {
        char *meta = file + PAGE_HEAD_BYTES;
        put_le64(meta + PAGE_META_SUMMED, page__checksum(meta));
        second = get_le32(meta + 8);
    }
    if (second < size && size - second >= PAGE_HEAD_BYTES + PAGE_META_BYTES) {
        char *meta = file + second + PAGE_HEAD_BYTES;
        put_le64(meta + PAGE_META_SUMMED, page__checksum(meta));
    }
}

static enum err append_at(void *context, uint64_t offset, struct slice bytes)
{
    struct buf *file = context;
    size_t end = (size_t)offset + bytes.size;
    if (end > file->size)
        buf_extend(file, end - file->size);
    memcpy(file->at + offset, bytes.at, bytes.size);
    return ERR_OK;
}

struct input {
    const char *at, *end;
};

static struct slice take(struct input *input, size_t size)
{
    size_t left = (size_t)(input->end - input->at);
    struct slice taken = slice_of(input->at, size < left ? size : left);
    input->at += taken.size;
    return taken;
}

static size_t take_size(struct input *input, size_t bytes)
{
    struct slice taken = take(input, bytes);
    size_t size = 0;
    for (size_t i = 0; i < taken.size; i++)
        size |= (size_t)(uint8_t)taken.at[i] << 8 * i;
    return size;
}

/* Pairs whose keys don't rise are left out, as the writer needs it. */
static void write_pairs(struct bolt_writer *writer, struct slice part)
{
    struct input input = {part.at, part.at + part.size};
    struct slice last = {0};
    while (input.at < input.end) {
        struct slice key = take(&input, take_size(&input, 1));
        struct slice value = take(&input, take_size(&input, 1));
        if (key.size == 0 || slice_cmp(last, key) >= 0)
            continue;
        last = key;
        CHECK_EQ(bolt_writer_put(writer, key, value), ERR_OK);
    }
}

static void make_file(struct input *input, struct buf *file)
{
    static const char *const names[] = {"key", "lease", "meta"};
    struct bolt_sink sink = {append_at, file};
    struct bolt_writer *writer = bolt_writer_new(&sink, BOLT_PAGE_BYTES_MIN);
    uint64_t bytes;
    for (size_t i = 0; i < 3; i++) {
        CHECK_EQ(bolt_writer_bucket(writer, slice_str(names[i])), ERR_OK);
        write_pairs(writer, take(input, take_size(input, 2)));
    }
    CHECK_EQ(bolt_writer_finish(writer, 1, &bytes), ERR_OK);
    CHECK_EQ(bytes, file->size);
    bolt_writer_free(writer);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct buf file = {0};
    if (size == 0)
        return 0;
    log_set_level(LOG_FATAL);
    struct input input = {(const char *)bytes + 1, (const char *)bytes + size};
    if (bytes[0] % 3 == 2)
        make_file(&input, &file);
    else
        buf_append(&file, input.at, size - 1);
    if (bytes[0] % 3 == 1)
        repair_metas(file.at, file.size);
    read_file(buf_slice(&file));
    import_file(buf_slice(&file));
    buf_deinit(&file);
    return 0;
}
