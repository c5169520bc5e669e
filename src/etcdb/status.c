/* A file as etcd's tools see it: its hash, its numbers, its checksum. */
#include "base/check.h"
#include "base/crc.h"
#include "etcdb/etcdb_int.h"

enum { SECTOR_BYTES = 512 };

static enum err add_pair(void *context, struct slice key, struct slice value)
{
    struct etcdb_status *status = context;
    status->hash = crc32c(status->hash, key.at, key.size);
    status->hash = crc32c(status->hash, value.at, value.size);
    status->keys++;
    return ERR_OK;
}

static enum err add_record(void *context, struct slice key, struct slice value)
{
    struct etcdb_status *status = context;
    if (key.size < ETCDB_REV_BYTES)
        return err_set(ERR_CORRUPT, "a revision is malformed");
    status->revision = (revision)get_be64(key.at);
    return add_pair(context, key, value);
}

static enum err find_version(void *context, struct slice key,
                             struct slice value)
{
    struct etcdb_status *status = context;
    if (slice_eq(key, ETCDB_VERSION))
        status->version = value;
    return add_pair(context, key, value);
}

static enum err add_bucket(void *context, struct slice name,
                           const struct bolt_bucket *bucket)
{
    struct etcdb_status *status = context;
    status->hash = crc32c(status->hash, name.at, name.size);
    enum err err = bolt_each(bucket,
                             slice_eq(name, ETCDB_KEY)    ? add_record
                             : slice_eq(name, ETCDB_META) ? find_version
                                                          : add_pair,
                             status);
    return err_wrap(err, "bucket \"%.*s\"",
                    (int)(name.size < 64 ? name.size : 64), name.at);
}

enum err etcdb_status(struct slice file, struct etcdb_status *out)
{
    struct bolt bolt;
    *out = (struct etcdb_status){.version = SLICE("")};
    enum err err = bolt_open(file, &bolt);
    if (err != ERR_OK)
        return err;
    out->bytes = bolt_bytes(&bolt);
    CHECK(out->bytes <= file.size);
    return bolt_each_bucket(&bolt, add_bucket, out);
}

/* ---- the checksum -------------------------------------------------------- */

bool etcdb_has_hash(struct slice file)
{
    return file.size % SECTOR_BYTES == ETCDB_HASH_BYTES;
}

static void append_bytes(struct buf *out, const unsigned char *bytes)
{
    for (size_t i = 0; i < ETCDB_HASH_BYTES; i++)
        buf_printf(out, "%02x", bytes[i]);
}

enum err etcdb_check_hash(struct slice file, etcdb_sha256 sha256)
{
    unsigned char hash[ETCDB_HASH_BYTES];
    struct buf texts[2] = {{0}, {0}};
    if (!etcdb_has_hash(file))
        return err_set(ERR_NOT_FOUND, "there is no SHA-256 behind it");
    CHECK(file.size >= ETCDB_HASH_BYTES);
    size_t size = file.size - ETCDB_HASH_BYTES;
    sha256(slice_of(file.at, size), hash);
    if (memcmp(hash, file.at + size, sizeof hash) == 0)
        return ERR_OK;
    append_bytes(&texts[0], (const unsigned char *)file.at + size);
    append_bytes(&texts[1], hash);
    enum err err = err_set(ERR_CORRUPT, "expected sha256 %.*s, got %.*s",
                           (int)texts[0].size, texts[0].at, (int)texts[1].size,
                           texts[1].at);
    buf_deinit(&texts[0]);
    buf_deinit(&texts[1]);
    return err;
}
