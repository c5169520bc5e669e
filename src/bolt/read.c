/* Reading: every number in the file is looked at before it is used.
 *
 * A walk visits no more pages than the file has and no deeper than a tree of
 * that many can be, so loops end; what comes out of a bucket must rise.
 */
#include <inttypes.h>

#include "base/check.h"
#include "bolt/page.h"

enum { DEPTH_MAX = 48 };

/* ---- metas --------------------------------------------------------------- */

/* False: no meta page of a file with pages of this size. */
static bool read_meta(struct slice file, size_t at, struct bolt *out)
{
    if (at > file.size || file.size - at < PAGE_HEAD_BYTES + PAGE_META_BYTES)
        return false;
    const char *meta = file.at + at + PAGE_HEAD_BYTES;
    uint32_t page_bytes = get_le32(meta + 8);
    if (get_le32(meta) != META_MAGIC || get_le32(meta + 4) != META_VERSION ||
        get_le64(meta + PAGE_META_SUMMED) != page__checksum(meta))
        return false;
    if (page_bytes < BOLT_PAGE_BYTES_MIN || page_bytes > BOLT_PAGE_BYTES_MAX ||
        (page_bytes & (page_bytes - 1)) != 0 || (at != 0 && at != page_bytes))
        return false;
    *out = (struct bolt){
        .file = file,
        .page_bytes = page_bytes,
        .root = get_le64(meta + 16),
        .pages = get_le64(meta + 40),
        .txid = get_le64(meta + 48),
    };
    return true;
}

/* The first may be damaged; where the second lies, its size of page says. */
static bool find_second(struct slice file, struct bolt *out)
{
    for (size_t at = BOLT_PAGE_BYTES_MIN; at <= BOLT_PAGE_BYTES_MAX; at *= 2)
        if (read_meta(file, at, out))
            return true;
    return false;
}

enum err bolt_open(struct slice file, struct bolt *out)
{
    struct bolt first, second;
    bool has_first = read_meta(file, 0, &first);
    bool has_second = has_first ? read_meta(file, first.page_bytes, &second)
                                : find_second(file, &second);
    *out = (struct bolt){0};
    if (!has_first && !has_second)
        return err_set(ERR_CORRUPT, "not a bbolt file: no good meta page");
    const struct bolt *newest = has_first ? &first : &second;
    if (has_first && has_second && second.txid > first.txid)
        newest = &second;
    if (newest->pages < PAGE_FIRST ||
        newest->pages > file.size / newest->page_bytes)
        return err_set(ERR_CORRUPT,
                       "the file is cut short: it has %zu bytes, and %" PRIu64
                       " pages of %zu",
                       file.size, newest->pages, newest->page_bytes);
    *out = *newest;
    return ERR_OK;
}

uint64_t bolt_bytes(const struct bolt *bolt)
{
    return bolt->pages * bolt->page_bytes;
}

/* ---- pages --------------------------------------------------------------- */

struct page {
    uint64_t id; /* 0: inline */
    unsigned flags;
    size_t count;
    struct slice bytes;
};

static enum err bad_page(const struct page *page, const char *why)
{
    return err_set(ERR_CORRUPT, "page %" PRIu64 ": %s", page->id, why);
}

static enum err look_at_page(struct page *page)
{
    if (page->bytes.size < PAGE_HEAD_BYTES)
        return bad_page(page, "cut short");
    page->flags = get_le16(page->bytes.at + 8);
    page->count = get_le16(page->bytes.at + 10);
    if (page->flags != PAGE_BRANCH && page->flags != PAGE_LEAF)
        return bad_page(page, "neither branch nor leaf");
    if (page->count * PAGE_ELEMENT_BYTES > page->bytes.size - PAGE_HEAD_BYTES)
        return bad_page(page, "more elements than there is room for");
    return ERR_OK;
}

static enum err read_page(const struct bolt *bolt, uint64_t id,
                          struct page *out)
{
    *out = (struct page){.id = id};
    if (id < PAGE_FIRST || id >= bolt->pages)
        return bad_page(out, "not in the file");
    const char *at = bolt->file.at + id * bolt->page_bytes;
    uint64_t overflow = get_le32(at + 12);
    if (get_le64(at) != id)
        return bad_page(out, "it says that it is another one");
    if (overflow >= bolt->pages - id)
        return bad_page(out, "it goes on behind the end");
    out->bytes = slice_of(at, (size_t)(overflow + 1) * bolt->page_bytes);
    return look_at_page(out);
}

struct element {
    bool is_bucket;
    uint64_t page; /* of a branch */
    struct slice key;
    struct slice value; /* of a leaf */
};

static bool read_element(const struct page *page, size_t i, struct element *out)
{
    size_t offset = PAGE_HEAD_BYTES + i * PAGE_ELEMENT_BYTES;
    const char *at = page->bytes.at + offset;
    bool is_leaf = page->flags == PAGE_LEAF;
    uint64_t pos = get_le32(at + (is_leaf ? 4 : 0));
    uint64_t key_size = get_le32(at + (is_leaf ? 8 : 4));
    uint64_t value_size = is_leaf ? get_le32(at + 12) : 0;
    /* Three numbers of 32 bits: their sum is no more than 34 bits. */
    if (pos + key_size + value_size > page->bytes.size - offset)
        return false;
    *out = (struct element){
        .is_bucket = is_leaf && (get_le32(at) & ELEMENT_BUCKET),
        .page = is_leaf ? 0 : get_le64(at + 8),
        .key = slice_of(at + pos, (size_t)key_size),
        .value = slice_of(at + pos + key_size, (size_t)value_size),
    };
    return true;
}

/* ---- the walk ------------------------------------------------------------ */

struct walk {
    const struct bolt *bolt;
    uint64_t visits; /* that are left */
    struct slice last;
    bool has_last;
    enum err (*each)(struct walk *walk, const struct page *page,
                     const struct element *element);
    void *context;
};

static enum err walk_leaf(struct walk *walk, const struct page *page)
{
    struct element element;
    enum err err = ERR_OK;
    for (size_t i = 0; i < page->count && err == ERR_OK; i++) {
        if (!read_element(page, i, &element))
            return bad_page(page, "an element reaches beyond it");
        if (walk->has_last && slice_cmp(walk->last, element.key) >= 0)
            return bad_page(page, "its keys are not in order");
        walk->last = element.key;
        walk->has_last = true;
        err = walk->each(walk, page, &element);
    }
    return err;
}

static enum err walk_page(struct walk *walk, const struct page *page,
                          unsigned depth)
{
    struct element element;
    struct page below;
    if (page->flags == PAGE_LEAF)
        return walk_leaf(walk, page);
    if (depth == DEPTH_MAX)
        return bad_page(page, "the tree is too deep");
    for (size_t i = 0; i < page->count; i++) {
        if (!read_element(page, i, &element))
            return bad_page(page, "an element reaches beyond it");
        if (walk->visits-- == 0) {
            walk->visits = 0;
            return bad_page(page, "pages are in the tree more than once");
        }
        enum err err = read_page(walk->bolt, element.page, &below);
        if (err == ERR_OK)
            err = walk_page(walk, &below, depth + 1);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

static enum err walk_bucket(struct walk *walk, const struct bolt_bucket *bucket)
{
    struct page page = {.bytes = bucket->in_line};
    enum err err = bucket->root == 0
                       ? look_at_page(&page)
                       : read_page(bucket->bolt, bucket->root, &page);
    if (err == ERR_OK && bucket->root == 0 && page.flags != PAGE_LEAF)
        err = bad_page(&page, "an inline bucket is no leaf");
    walk->bolt = bucket->bolt;
    walk->visits = bucket->bolt->pages;
    return err == ERR_OK ? walk_page(walk, &page, 0) : err;
}

/* ---- buckets ------------------------------------------------------------- */

struct tell_bucket {
    enum err (*each)(void *context, struct slice name,
                     const struct bolt_bucket *bucket);
    void *context;
};

static enum err tell_bucket(struct walk *walk, const struct page *page,
                            const struct element *element)
{
    const struct tell_bucket *tell = walk->context;
    if (!element->is_bucket)
        return ERR_OK;
    if (element->value.size < PAGE_BUCKET_BYTES)
        return bad_page(page, "a bucket is cut short");
    struct bolt_bucket bucket = {
        .bolt = walk->bolt,
        .root = get_le64(element->value.at),
        .in_line = slice_of(element->value.at + PAGE_BUCKET_BYTES,
                            element->value.size - PAGE_BUCKET_BYTES),
    };
    return tell->each(tell->context, element->key, &bucket);
}

enum err bolt_each_bucket(const struct bolt *bolt,
                          enum err (*each)(void *context, struct slice name,
                                           const struct bolt_bucket *bucket),
                          void *context)
{
    struct tell_bucket tell = {each, context};
    struct walk walk = {.each = tell_bucket, .context = &tell};
    struct bolt_bucket top = {.bolt = bolt, .root = bolt->root};
    if (top.root == 0)
        return err_set(ERR_CORRUPT, "the file has no root page");
    return err_wrap(walk_bucket(&walk, &top), "the list of buckets");
}

struct find {
    struct slice name;
    struct bolt_bucket *out;
};

static enum err is_it(void *context, struct slice name,
                      const struct bolt_bucket *bucket)
{
    struct find *find = context;
    if (!slice_eq(name, find->name))
        return ERR_OK;
    *find->out = *bucket;
    return ERR_END;
}

enum err bolt_find(const struct bolt *bolt, struct slice name,
                   struct bolt_bucket *out)
{
    struct find find = {name, out};
    *out = (struct bolt_bucket){0};
    enum err err = bolt_each_bucket(bolt, is_it, &find);
    if (err == ERR_OK)
        return err_set(ERR_NOT_FOUND, "no bucket \"%.*s\"",
                       (int)(name.size < 64 ? name.size : 64), name.at);
    return err == ERR_END ? ERR_OK : err;
}

/* ---- pairs --------------------------------------------------------------- */

struct tell_pair {
    enum err (*each)(void *context, struct slice key, struct slice value);
    void *context;
};

static enum err tell_pair(struct walk *walk, const struct page *page,
                          const struct element *element)
{
    const struct tell_pair *tell = walk->context;
    (void)page;
    return element->is_bucket
               ? ERR_OK
               : tell->each(tell->context, element->key, element->value);
}

enum err bolt_each(const struct bolt_bucket *bucket,
                   enum err (*each)(void *context, struct slice key,
                                    struct slice value),
                   void *context)
{
    struct tell_pair tell = {each, context};
    struct walk walk = {.each = tell_pair, .context = &tell};
    CHECK(bucket->bolt != NULL);
    return walk_bucket(&walk, bucket);
}
