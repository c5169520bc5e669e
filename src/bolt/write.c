/* Writing, in one pass: pages get their numbers in the order in which they
 * leave, leaves before the branches over them.
 *
 *   put -->  leaf, full  --> page n      +--> its first key, n
 *                                        v
 *            branch of level 0, full --> page m  --> level 1 --> ...
 *
 * A branch that is full leaves without its last child, which opens the next
 * one together with the child that comes: so none ends with a single child.
 * The bucket of all buckets is written by the same means when all is there.
 */
#include "base/check.h"
#include "base/mem.h"
#include "bolt/page.h"

enum { LEVELS_MAX = 32 };

struct leaf_element {
    uint32_t flags;
    uint32_t key_size;
    uint32_t value_size;
};

struct leaf {
    struct leaf_element *elements;
    size_t count, capacity;
    struct buf bytes; /* keys and values, as in the page */
};

struct child {
    uint64_t page;
    size_t key_size;
};

struct branch {
    struct child *children;
    size_t count, capacity;
    struct buf keys; /* one behind the other */
};

struct bolt_writer {
    struct bolt_sink sink;
    size_t page_bytes;
    uint64_t next; /* page */
    struct leaf leaf;
    struct branch levels[LEVELS_MAX];
    struct buf last; /* key, in this bucket */
    bool has_last;
    bool in_bucket;
    struct buf out;   /* a page that is made */
    struct buf names; /* of the buckets: le32 size, name, le64 root */
    struct buf last_name;
    bool failed;
};

struct bolt_writer *bolt_writer_new(const struct bolt_sink *sink,
                                    size_t page_bytes)
{
    struct bolt_writer *writer = mem_alloc_zero(sizeof *writer);
    CHECK(page_bytes >= BOLT_PAGE_BYTES_MIN);
    CHECK(page_bytes <= BOLT_PAGE_BYTES_MAX);
    CHECK((page_bytes & (page_bytes - 1)) == 0);
    writer->sink = *sink;
    writer->page_bytes = page_bytes;
    writer->next = PAGE_FIRST;
    return writer;
}

void bolt_writer_free(struct bolt_writer *writer)
{
    if (writer == NULL)
        return;
    for (size_t i = 0; i < LEVELS_MAX; i++) {
        mem_free(writer->levels[i].children);
        buf_deinit(&writer->levels[i].keys);
    }
    mem_free(writer->leaf.elements);
    buf_deinit(&writer->leaf.bytes);
    buf_deinit(&writer->last);
    buf_deinit(&writer->out);
    buf_deinit(&writer->names);
    buf_deinit(&writer->last_name);
    mem_free(writer);
}

/* ---- pages --------------------------------------------------------------- */

/* Begins the page that is next; its elements' places are zero. */
static void begin_page(struct bolt_writer *writer, unsigned flags, size_t count)
{
    CHECK(count <= PAGE_COUNT_MAX);
    buf_reset(&writer->out);
    char *head =
        buf_extend(&writer->out, PAGE_HEAD_BYTES + count * PAGE_ELEMENT_BYTES);
    memset(head, 0, writer->out.size);
    put_le64(head, writer->next);
    put_le16(head + 8, (uint16_t)flags);
    put_le16(head + 10, (uint16_t)count);
}

/* Sends it, with as many pages as it takes; *id: its number. */
static enum err end_page(struct bolt_writer *writer, uint64_t *id)
{
    size_t pages =
        (writer->out.size + writer->page_bytes - 1) / writer->page_bytes;
    size_t rest = pages * writer->page_bytes - writer->out.size;
    CHECK(pages >= 1 && pages <= UINT32_MAX);
    memset(buf_extend(&writer->out, rest), 0, rest);
    put_le32(writer->out.at + 12, (uint32_t)(pages - 1));
    *id = writer->next;
    writer->next += pages;
    return writer->sink.write(writer->sink.context, *id * writer->page_bytes,
                              buf_slice(&writer->out));
}

static enum err send_leaf(struct bolt_writer *writer, uint64_t *id)
{
    struct leaf *leaf = &writer->leaf;
    begin_page(writer, PAGE_LEAF, leaf->count);
    size_t data = writer->out.size;
    for (size_t i = 0; i < leaf->count; i++) {
        const struct leaf_element *element = &leaf->elements[i];
        size_t offset = PAGE_HEAD_BYTES + i * PAGE_ELEMENT_BYTES;
        char *at = writer->out.at + offset;
        put_le32(at, element->flags);
        put_le32(at + 4, (uint32_t)(data - offset));
        put_le32(at + 8, element->key_size);
        put_le32(at + 12, element->value_size);
        data += (size_t)element->key_size + element->value_size;
    }
    buf_append_slice(&writer->out, buf_slice(&leaf->bytes));
    CHECK_EQ(data, writer->out.size);
    leaf->count = 0;
    return end_page(writer, id);
}

/* Its first `count` children; *key_size: of the first one's key, which is in
 * front of the branch's keys. */
static enum err send_branch(struct bolt_writer *writer, struct branch *branch,
                            size_t count, uint64_t *id)
{
    CHECK(count >= 1 && count <= branch->count);
    begin_page(writer, PAGE_BRANCH, count);
    size_t data = writer->out.size;
    size_t begin = data;
    for (size_t i = 0; i < count; i++) {
        const struct child *child = &branch->children[i];
        size_t offset = PAGE_HEAD_BYTES + i * PAGE_ELEMENT_BYTES;
        char *at = writer->out.at + offset;
        put_le32(at, (uint32_t)(data - offset));
        put_le32(at + 4, (uint32_t)child->key_size);
        put_le64(at + 8, child->page);
        data += child->key_size;
    }
    buf_append(&writer->out, branch->keys.at, data - begin);
    return end_page(writer, id);
}

/* ---- the tree ------------------------------------------------------------ */

static enum err add_child(struct bolt_writer *writer, size_t level,
                          struct slice key, uint64_t page);

/* Sends the first `count` children of a level as one page. */
static enum err close_branch(struct bolt_writer *writer, size_t level,
                             size_t count)
{
    struct branch *branch = &writer->levels[level];
    size_t keys = 0;
    uint64_t page;
    enum err err = send_branch(writer, branch, count, &page);
    if (err == ERR_OK)
        err = add_child(writer, level + 1,
                        slice_of(branch->keys.at, branch->children[0].key_size),
                        page);
    for (size_t i = 0; i < count; i++)
        keys += branch->children[i].key_size;
    buf_consume(&branch->keys, keys);
    branch->count -= count;
    memmove(branch->children, branch->children + count,
            branch->count * sizeof *branch->children);
    return err;
}

static bool branch_is_full(const struct bolt_writer *writer,
                           const struct branch *branch, struct slice key)
{
    size_t bytes = PAGE_HEAD_BYTES + (branch->count + 1) * PAGE_ELEMENT_BYTES +
                   branch->keys.size + key.size;
    return branch->count >= 3 && bytes > writer->page_bytes;
}

static enum err add_child(struct bolt_writer *writer, size_t level,
                          struct slice key, uint64_t page)
{
    enum err err = ERR_OK;
    CHECK_LT(level, LEVELS_MAX);
    struct branch *branch = &writer->levels[level];
    if (branch_is_full(writer, branch, key))
        err = close_branch(writer, level, branch->count - 1);
    if (branch->count == branch->capacity) {
        branch->capacity = branch->capacity ? branch->capacity * 2 : 16;
        branch->children = mem_realloc(
            branch->children, branch->capacity * sizeof *branch->children);
    }
    branch->children[branch->count++] = (struct child){page, key.size};
    buf_append_slice(&branch->keys, key);
    return err;
}

static enum err close_leaf(struct bolt_writer *writer)
{
    struct leaf *leaf = &writer->leaf;
    uint64_t page;
    size_t key_size = leaf->elements[0].key_size;
    CHECK(leaf->count > 0);
    enum err err = send_leaf(writer, &page);
    if (err == ERR_OK)
        err = add_child(writer, 0, slice_of(leaf->bytes.at, key_size), page);
    buf_reset(&leaf->bytes);
    return err;
}

static enum err add_pair(struct bolt_writer *writer, uint32_t flags,
                         struct slice key, struct slice value)
{
    struct leaf *leaf = &writer->leaf;
    enum err err = ERR_OK;
    size_t bytes = PAGE_HEAD_BYTES + (leaf->count + 1) * PAGE_ELEMENT_BYTES +
                   leaf->bytes.size + key.size + value.size;
    if (leaf->count > 0 && bytes > writer->page_bytes)
        err = close_leaf(writer);
    if (leaf->count == leaf->capacity) {
        leaf->capacity = leaf->capacity ? leaf->capacity * 2 : 16;
        leaf->elements = mem_realloc(leaf->elements,
                                     leaf->capacity * sizeof *leaf->elements);
    }
    leaf->elements[leaf->count++] =
        (struct leaf_element){flags, (uint32_t)key.size, (uint32_t)value.size};
    buf_append_slice(&leaf->bytes, key);
    buf_append_slice(&leaf->bytes, value);
    return err;
}

/* What stands alone on its level, with nothing above it, is the root. */
static bool is_root(const struct bolt_writer *writer, size_t level)
{
    return writer->levels[level].count == 1 &&
           (level + 1 == LEVELS_MAX || writer->levels[level + 1].count == 0);
}

/* Sends all that is left of a tree, and is ready for another one. */
static enum err close_tree(struct bolt_writer *writer, uint64_t *root)
{
    bool is_empty = writer->leaf.count == 0 && writer->levels[0].count == 0;
    if (is_empty)
        return send_leaf(writer, root);
    enum err err = writer->leaf.count > 0 ? close_leaf(writer) : ERR_OK;
    size_t level = 0;
    while (err == ERR_OK && !is_root(writer, level)) {
        CHECK(writer->levels[level].count >= 2);
        err = close_branch(writer, level, writer->levels[level].count);
        level++;
    }
    if (err != ERR_OK)
        return err;
    *root = writer->levels[level].children[0].page;
    writer->levels[level].count = 0;
    buf_reset(&writer->levels[level].keys);
    return ERR_OK;
}

/* ---- buckets ------------------------------------------------------------- */

static enum err note(struct bolt_writer *writer, enum err err)
{
    writer->failed |= err != ERR_OK;
    return err;
}

static enum err close_bucket(struct bolt_writer *writer)
{
    uint64_t root = 0;
    char bytes[8];
    if (!writer->in_bucket)
        return ERR_OK;
    enum err err = close_tree(writer, &root);
    writer->in_bucket = false;
    put_le64(bytes, root);
    buf_append(&writer->names, bytes, sizeof bytes);
    return err;
}

enum err bolt_writer_bucket(struct bolt_writer *writer, struct slice name)
{
    char size[4];
    CHECK(!writer->failed && name.size > 0);
    CHECK(name.size <= BOLT_KEY_BYTES_MAX);
    CHECK(slice_cmp(buf_slice(&writer->last_name), name) < 0);
    enum err err = close_bucket(writer);
    buf_reset(&writer->last_name);
    buf_append_slice(&writer->last_name, name);
    put_le32(size, (uint32_t)name.size);
    buf_append(&writer->names, size, sizeof size);
    buf_append_slice(&writer->names, name);
    writer->in_bucket = true;
    writer->has_last = false;
    return note(writer, err);
}

enum err bolt_writer_put(struct bolt_writer *writer, struct slice key,
                         struct slice value)
{
    CHECK(writer->in_bucket && !writer->failed);
    if (key.size == 0)
        return err_set(ERR_INVALID, "a pair without a key");
    if (key.size > BOLT_KEY_BYTES_MAX || value.size > BOLT_VALUE_BYTES_MAX)
        return err_set(ERR_TOO_LARGE, "a pair of %zu and %zu bytes", key.size,
                       value.size);
    CHECK(!writer->has_last || slice_cmp(buf_slice(&writer->last), key) < 0);
    buf_reset(&writer->last);
    buf_append_slice(&writer->last, key);
    writer->has_last = true;
    return note(writer, add_pair(writer, 0, key, value));
}

/* ---- the end ------------------------------------------------------------- */

static enum err send_top(struct bolt_writer *writer, uint64_t *root)
{
    const char *at = writer->names.at;
    const char *end = at + writer->names.size;
    enum err err = ERR_OK;
    while (err == ERR_OK && at < end) {
        char bucket[PAGE_BUCKET_BYTES] = {0};
        struct slice name = slice_of(at + 4, get_le32(at));
        memcpy(bucket, name.at + name.size, 8);
        err = add_pair(writer, ELEMENT_BUCKET, name,
                       slice_of(bucket, sizeof bucket));
        at = name.at + name.size + 8;
    }
    return err == ERR_OK ? close_tree(writer, root) : err;
}

static enum err send_meta(struct bolt_writer *writer, uint64_t page,
                          uint64_t txid, uint64_t root, uint64_t freelist)
{
    buf_reset(&writer->out);
    char *head = buf_extend(&writer->out, writer->page_bytes);
    char *meta = head + PAGE_HEAD_BYTES;
    memset(head, 0, writer->page_bytes);
    put_le64(head, page);
    put_le16(head + 8, PAGE_META);
    put_le32(meta, META_MAGIC);
    put_le32(meta + 4, META_VERSION);
    put_le32(meta + 8, (uint32_t)writer->page_bytes);
    put_le64(meta + 16, root);
    put_le64(meta + 32, freelist);
    put_le64(meta + 40, writer->next);
    put_le64(meta + 48, txid);
    put_le64(meta + PAGE_META_SUMMED, page__checksum(meta));
    return writer->sink.write(writer->sink.context, page * writer->page_bytes,
                              buf_slice(&writer->out));
}

/* Both metas are of the same state: the other one as of a transaction before,
 * so that the next one takes its place. */
enum err bolt_writer_finish(struct bolt_writer *writer, uint64_t txid,
                            uint64_t *bytes)
{
    uint64_t root = 0, freelist = 0;
    CHECK(!writer->failed && txid > 0);
    enum err err = close_bucket(writer);
    if (err == ERR_OK)
        err = send_top(writer, &root);
    if (err == ERR_OK) {
        begin_page(writer, PAGE_FREELIST, 0);
        err = end_page(writer, &freelist);
    }
    for (uint64_t page = 0; page < PAGE_FIRST && err == ERR_OK; page++)
        err = send_meta(writer, page, txid % 2 == page ? txid : txid - 1, root,
                        freelist);
    *bytes = writer->next * writer->page_bytes;
    return note(writer, err);
}
