#include "bolt_file.h"

#include "base/check.h"
#include "base/mem.h"

static enum err take(void *context, uint64_t offset, struct slice bytes)
{
    struct bolt_file *file = context;
    size_t end = (size_t)offset + bytes.size;
    if (++file->writes == file->fail_at)
        return err_set(ERR_DISK_FULL, "the sink is full");
    if (end > file->bytes.size) {
        size_t more = end - file->bytes.size;
        memset(buf_extend(&file->bytes, more), 0xee, more);
    }
    memcpy(file->bytes.at + offset, bytes.at, bytes.size);
    return ERR_OK;
}

void bolt_file_init(struct bolt_file *file)
{
    *file = (struct bolt_file){0};
    file->sink = (struct bolt_sink){.write = take, .context = file};
}

void bolt_file_deinit(struct bolt_file *file)
{
    buf_deinit(&file->bytes);
}

/* ---- by hand ------------------------------------------------------------- */

char *bolt_file_at(struct bolt_file *file, size_t page_bytes, uint64_t id)
{
    CHECK((id + 1) * page_bytes <= file->bytes.size);
    return file->bytes.at + id * page_bytes;
}

void bolt_file_page(struct bolt_file *file, size_t page_bytes, uint64_t id,
                    unsigned flags, unsigned count)
{
    char *page = bolt_file_at(file, page_bytes, id);
    memset(page, 0, page_bytes);
    put_le64(page, id);
    put_le16(page + 8, (uint16_t)flags);
    put_le16(page + 10, (uint16_t)count);
}

void bolt_file_seal(char *meta_page)
{
    char *meta = meta_page + PAGE_HEAD_BYTES;
    put_le64(meta + PAGE_META_SUMMED, page__checksum(meta));
}

void bolt_file_make(struct bolt_file *file, size_t page_bytes, uint64_t pages,
                    uint64_t root)
{
    buf_reset(&file->bytes);
    memset(buf_extend(&file->bytes, page_bytes * pages), 0, page_bytes * pages);
    for (uint64_t id = 0; id < PAGE_FIRST; id++) {
        bolt_file_page(file, page_bytes, id, PAGE_META, 0);
        char *page = bolt_file_at(file, page_bytes, id);
        char *meta = page + PAGE_HEAD_BYTES;
        put_le32(meta, META_MAGIC);
        put_le32(meta + 4, META_VERSION);
        put_le32(meta + 8, (uint32_t)page_bytes);
        put_le64(meta + 16, root);
        put_le64(meta + 32, UINT64_MAX);
        put_le64(meta + 40, pages);
        put_le64(meta + 48, 10 + id);
        bolt_file_seal(page);
    }
}

size_t bolt_file_leaf(char *page, size_t i, unsigned flags, size_t data,
                      struct slice key, struct slice value)
{
    size_t offset = PAGE_HEAD_BYTES + i * PAGE_ELEMENT_BYTES;
    put_le32(page + offset, flags);
    put_le32(page + offset + 4, (uint32_t)(data - offset));
    put_le32(page + offset + 8, (uint32_t)key.size);
    put_le32(page + offset + 12, (uint32_t)value.size);
    memcpy(page + data, key.at, key.size);
    memcpy(page + data + key.size, value.at, value.size);
    return data + key.size + value.size;
}

size_t bolt_file_branch(char *page, size_t i, size_t data, struct slice key,
                        uint64_t child)
{
    size_t offset = PAGE_HEAD_BYTES + i * PAGE_ELEMENT_BYTES;
    put_le32(page + offset, (uint32_t)(data - offset));
    put_le32(page + offset + 4, (uint32_t)key.size);
    put_le64(page + offset + 8, child);
    memcpy(page + data, key.at, key.size);
    return data + key.size;
}

/* ---- counting ------------------------------------------------------------ */

enum err bolt_count_pair(void *context, struct slice key, struct slice value)
{
    struct bolt_count *count = context;
    volatile char sum = 0; /* each byte is read, for the sanitizer */
    count->pairs++;
    count->bytes += key.size + value.size;
    for (size_t i = 0; i < key.size; i++)
        sum = (char)(sum + key.at[i]);
    for (size_t i = 0; i < value.size; i++)
        sum = (char)(sum + value.at[i]);
    return count->pairs == count->stop_at ? ERR_END : ERR_OK;
}

static enum err count_bucket(void *context, struct slice name,
                             const struct bolt_bucket *bucket)
{
    struct bolt_bucket found;
    (void)name;
    CHECK_EQ(bolt_find(bucket->bolt, name, &found), ERR_OK);
    CHECK_EQ(found.root, bucket->root);
    return bolt_each(bucket, bolt_count_pair, context);
}

enum err bolt_count_all(struct slice file, struct bolt_count *out)
{
    struct bolt bolt;
    enum err err = bolt_open(file, &bolt);
    return err == ERR_OK ? bolt_each_bucket(&bolt, count_bucket, out) : err;
}

/* ---- every page has its place -------------------------------------------- */

struct verify {
    struct bolt bolt;
    unsigned char *seen;
    size_t deepest;
};

static const char *see(struct verify *verify, uint64_t id)
{
    CHECK(id >= PAGE_FIRST && id < verify->bolt.pages);
    const char *page = verify->bolt.file.at + id * verify->bolt.page_bytes;
    CHECK_EQ(get_le64(page), id);
    for (uint64_t i = 0; i <= get_le32(page + 12); i++) {
        CHECK(id + i < verify->bolt.pages);
        CHECK_EQ(verify->seen[id + i], 0);
        verify->seen[id + i] = 1;
    }
    return page;
}

static struct slice first_key(const char *page)
{
    const char *element = page + PAGE_HEAD_BYTES;
    bool is_leaf = get_le16(page + 8) == PAGE_LEAF;
    return slice_of(element + get_le32(element + (is_leaf ? 4 : 0)),
                    get_le32(element + (is_leaf ? 8 : 4)));
}

static void see_tree(struct verify *verify, uint64_t id, size_t depth)
{
    const char *page = see(verify, id);
    unsigned count = get_le16(page + 10);
    if (depth > verify->deepest)
        verify->deepest = depth;
    CHECK(count > 0 || depth == 1);
    if (get_le16(page + 8) == PAGE_LEAF)
        return;
    CHECK_EQ(get_le16(page + 8), PAGE_BRANCH);
    CHECK(count >= 2);
    for (unsigned i = 0; i < count; i++) {
        const char *element = page + PAGE_HEAD_BYTES + i * PAGE_ELEMENT_BYTES;
        uint64_t child = get_le64(element + 8);
        struct slice key =
            slice_of(element + get_le32(element), get_le32(element + 4));
        see_tree(verify, child, depth + 1);
        CHECK(slice_eq(key, first_key(verify->bolt.file.at +
                                      child * verify->bolt.page_bytes)));
    }
}

static enum err see_bucket(void *context, struct slice name,
                           const struct bolt_bucket *bucket)
{
    (void)name;
    see_tree(context, bucket->root, 1);
    return ERR_OK;
}

size_t bolt_file_verify(struct slice file)
{
    struct verify verify = {0};
    CHECK_EQ(bolt_open(file, &verify.bolt), ERR_OK);
    CHECK_EQ(bolt_bytes(&verify.bolt), file.size);
    verify.seen = mem_alloc_zero(verify.bolt.pages);
    CHECK_EQ(bolt_each_bucket(&verify.bolt, see_bucket, &verify), ERR_OK);
    size_t deepest = verify.deepest;
    see_tree(&verify, verify.bolt.root, 1);
    const char *meta = file.at +
                       (verify.bolt.txid % 2) * verify.bolt.page_bytes +
                       PAGE_HEAD_BYTES;
    CHECK_EQ(get_le64(meta + 48), verify.bolt.txid);
    const char *freelist = see(&verify, get_le64(meta + 32));
    CHECK_EQ(get_le16(freelist + 8), PAGE_FREELIST);
    CHECK_EQ(get_le16(freelist + 10), 0);
    for (uint64_t i = PAGE_FIRST; i < verify.bolt.pages; i++)
        CHECK_EQ(verify.seen[i], 1);
    mem_free(verify.seen);
    return deepest;
}
