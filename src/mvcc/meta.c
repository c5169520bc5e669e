/* Meta: small facts that belong to the store. All are in memory; the changes
 * that are not flushed wait in a queue, so that a flush that ends at an older
 * mark writes the values of then.
 *
 * In the file, in MVCC_KV_META: name -> le32 CRC-32C of name and value, value.
 */
#include "base/check.h"
#include "base/crc.h"
#include "mvcc/mvcc_int.h"

enum { CRC_BYTES = 4 };

static struct meta_value *value_new(struct slice name, struct slice value,
                                    bool removed)
{
    struct meta_value *new = mem_alloc(sizeof *new + name.size + value.size);
    atomic_init(&new->refs, 1);
    new->removed = removed;
    new->name_size = (uint32_t)name.size;
    new->value_size = value.size;
    memcpy(new->bytes, name.at, name.size);
    if (value.size)
        memcpy(new->bytes + name.size, value.at, value.size);
    return new;
}

void meta__value_unref(struct meta_value *value)
{
    if (value == NULL)
        return;
    unsigned refs = atomic_fetch_sub(&value->refs, 1);
    CHECK(refs > 0);
    if (refs == 1)
        mem_free(value);
}

struct slice meta__name(const struct meta_value *value)
{
    return slice_of(value->bytes, value->name_size);
}

struct slice meta__value(const struct meta_value *value)
{
    return slice_of(value->bytes + value->name_size, value->value_size);
}

static uint32_t checksum(struct slice name, struct slice value)
{
    return crc32c(crc32c(0, name.at, name.size), value.at, value.size);
}

void meta__encode_pair(struct buf *out, struct slice name, struct slice value)
{
    char crc[CRC_BYTES];
    put_le32(crc, checksum(name, value));
    buf_append(out, crc, sizeof crc);
    buf_append_slice(out, value);
}

void meta__encode(struct buf *out, const struct meta_value *value)
{
    CHECK(!value->removed);
    meta__encode_pair(out, meta__name(value), meta__value(value));
}

enum err meta__decode(struct slice name, struct slice bytes,
                      struct slice *value)
{
    if (bytes.size < CRC_BYTES)
        return err_set(ERR_CORRUPT, "meta: a value is cut short");
    *value = slice_of(bytes.at + CRC_BYTES, bytes.size - CRC_BYTES);
    if (get_le32(bytes.at) != checksum(name, *value))
        return err_set(ERR_CORRUPT, "meta: a value has a wrong checksum");
    return ERR_OK;
}

void meta__init(struct meta *meta, struct slab *slab)
{
    *meta = (struct meta){0};
    index__init(&meta->index, slab);
}

static const struct leaf *first_leaf(const struct meta *meta, size_t *slot,
                                     struct slice from)
{
    const struct leaf *leaf;
    index__seek(&meta->index, from, &leaf, slot);
    return leaf;
}

void meta__deinit(struct meta *meta)
{
    size_t slot;
    const struct leaf *leaf = first_leaf(meta, &slot, slice_of("", 0));
    for (; leaf != NULL; leaf = leaf->next)
        for (slot = 0; slot < leaf->count; slot++)
            meta__value_unref(leaf->entry[slot]->more);
    for (size_t i = 0; i < meta->count; i++)
        meta__value_unref(meta->changes[meta->head + i]);
    mem_free(meta->changes);
    index__deinit(&meta->index);
}

/* Takes the reference; NULL removes. */
static void set(struct meta *meta, struct slice name, struct meta_value *value)
{
    struct place place;
    bool found = index__locate(&meta->index, name, &place);
    if (!found && value == NULL)
        return;
    if (!found) {
        struct entry *entry = index__add(&meta->index, &place, name);
        index__mark(&meta->index, &place, true);
        entry->more = value;
        return;
    }
    struct entry *entry = place.leaf->entry[place.slot];
    CHECK(entry->more != NULL && entry->more != value);
    meta__value_unref(entry->more);
    entry->more = value;
    if (value == NULL)
        index__drop(&meta->index, &place);
}

void meta__load(struct meta *meta, struct slice name, struct slice value)
{
    CHECK_EQ(meta->count, 0);
    set(meta, name, value_new(name, value, false));
}

/* The queue moves to the front of its memory when that makes enough room. */
static void push_change(struct meta *meta, struct meta_value *value)
{
    if (meta->head + meta->count == meta->capacity) {
        if (meta->head <= meta->capacity / 2) {
            meta->capacity = meta->capacity ? meta->capacity * 2 : 16;
            meta->changes = mem_realloc(
                meta->changes, meta->capacity * sizeof(*meta->changes));
        }
        memmove(meta->changes, meta->changes + meta->head,
                meta->count * sizeof(*meta->changes));
        meta->head = 0;
    }
    CHECK_LT(meta->head + meta->count, meta->capacity);
    meta->changes[meta->head + meta->count++] = value;
}

void mvcc_meta_put(struct mvcc *mvcc, struct slice name, struct slice value)
{
    CHECK(name.size >= 1 && name.size <= KV_KEY_BYTES_MAX);
    CHECK(value.at != NULL || value.size == 0);
    struct meta *meta = &mvcc->meta;
    bool removed = value.at == NULL;
    struct meta_value *new = value_new(name, value, removed);
    push_change(meta, new);
    if (!removed)
        atomic_fetch_add(&new->refs, 1); /* the index's */
    set(meta, meta__name(new), removed ? NULL : new);
    if (!mvcc->draft.open)
        mvcc__mark_unlogged(mvcc);
}

bool mvcc_meta_get(const struct mvcc *mvcc, struct slice name,
                   struct slice *out)
{
    const struct entry *entry = index__get(&mvcc->meta.index, name);
    if (entry == NULL)
        return false;
    CHECK(entry->more != NULL);
    *out = meta__value(entry->more);
    return true;
}

void mvcc_meta_each(const struct mvcc *mvcc, struct slice prefix,
                    void (*each)(void *context, struct slice name,
                                 struct slice value),
                    void *context)
{
    const struct meta *meta = &mvcc->meta;
    uint64_t shape = meta->index.shape;
    size_t slot;
    const struct leaf *leaf = first_leaf(meta, &slot, prefix);
    for (; leaf != NULL; leaf = leaf->next, slot = 0)
        for (; slot < leaf->count; slot++) {
            const struct entry *entry = leaf->entry[slot];
            if (!slice_has_prefix(entry_key(entry), prefix))
                return;
            each(context, entry_key(entry), meta__value(entry->more));
            CHECK(meta->index.shape == shape); /* no puts while walking */
        }
}
