/* Quotas: how many keys, and how many bytes of keys and values, may live below
 * a prefix. They are kept in the store's meta, so that all members know the
 * same:
 *
 *   quota/<prefix>     le64 keys, le64 bytes at most; 0: any number
 *
 * What lives below each is counted once, when the quota is set or the store is
 * opened, and from then on kept by what is committed. Every member counts the
 * same, so what would be too much is refused when it is APPLIED, by all of
 * them: whoever was let through by a member that was behind is caught here.
 *
 * The table is ordered by prefix, and each quota knows the next longer-lived
 * one around it: the longest other prefix that its own begins with. So those
 * that a key is below are found by one look and a few steps, and a store
 * without quotas pays nothing. */
#include "base/check.h"
#include "base/log.h"
#include "node/node_int.h"

static const struct slice meta_prefix = {"quota/", 6};

enum { VALUE_BYTES = 16 };

/* ---- the table ----------------------------------------------------------- */

/* How many prefixes are less than or the same as `key`. */
static size_t count_to(const struct node *node, struct slice key)
{
    size_t low = 0;
    size_t high = node->quota_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (slice_cmp(node->quotas[middle].seen.prefix, key) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The longest prefix among the first `before` that `key` begins with. Whatever
 * stands between it and the key begins with it too: it is the last of them, or
 * around that one. */
static int longest(const struct node *node, size_t before, struct slice key)
{
    int at = (int)before - 1;
    CHECK_LE(before, node->quota_count);
    while (at >= 0 && !slice_has_prefix(key, node->quotas[at].seen.prefix)) {
        CHECK_LT(node->quotas[at].around, at);
        at = node->quotas[at].around;
    }
    return at;
}

/* The innermost quota that the key is below; its `around` leads to the others.
 */
int node__quota_of(const struct node *node, struct slice key)
{
    return longest(node, count_to(node, key), key);
}

static bool find(const struct node *node, struct slice prefix, size_t *at)
{
    size_t count = count_to(node, prefix);
    *at = count - 1;
    return count > 0 && slice_eq(node->quotas[count - 1].seen.prefix, prefix);
}

static void link_all(struct node *node)
{
    for (size_t i = 0; i < node->quota_count; i++) {
        struct slice prefix = node->quotas[i].seen.prefix;
        CHECK(i == 0 || slice_cmp(node->quotas[i - 1].seen.prefix, prefix) < 0);
        node->quotas[i].around = longest(node, i, prefix);
    }
}

static struct quota *insert(struct node *node, struct slice prefix)
{
    size_t at = count_to(node, prefix);
    CHECK_LT(node->quota_count, NODE_QUOTAS_MAX);
    node->quotas = mem_realloc(node->quotas, (node->quota_count + 1) *
                                                 sizeof(node->quotas[0]));
    memmove(node->quotas + at + 1, node->quotas + at,
            (node->quota_count - at) * sizeof(node->quotas[0]));
    node->quotas[at] = (struct quota){
        .bytes = prefix.size > 0 ? mem_dup(prefix.at, prefix.size) : NULL};
    node->quotas[at].seen.prefix =
        slice_of(prefix.size > 0 ? node->quotas[at].bytes : "", prefix.size);
    node->quota_count++;
    return &node->quotas[at];
}

static void erase(struct node *node, size_t at)
{
    CHECK_LT(at, node->quota_count);
    mem_free(node->quotas[at].bytes);
    node->quota_count--;
    memmove(node->quotas + at, node->quotas + at + 1,
            (node->quota_count - at) * sizeof(node->quotas[0]));
}

void node__drop_quotas(struct node *node)
{
    while (node->quota_count > 0) {
        erase(node, node->quota_count - 1);
    }
    mem_free(node->quotas);
    node->quotas = NULL;
}

size_t node_quotas(struct node *node, struct arena *arena,
                   struct node_quota **out)
{
    size_t count = node->quota_count;
    CHECK_LE(count, NODE_QUOTAS_MAX);
    *out = arena_alloc(arena, (count + 1) * sizeof(**out));
    for (size_t i = 0; i < count; i++) {
        struct slice prefix = node->quotas[i].seen.prefix;
        (*out)[i] = node->quotas[i].seen;
        (*out)[i].prefix =
            slice_of(arena_dup(arena, prefix.at, prefix.size), prefix.size);
    }
    return count;
}

/* ---- counting ------------------------------------------------------------ */

static uint64_t size_of(const struct record *record)
{
    return record->key.size + record->value.size;
}

/* All that lives below it, now. Needs: mvcc_read_begin. */
static enum err count_anew(struct node *node, struct quota *quota)
{
    struct slice prefix = quota->seen.prefix;
    struct mvcc_walk walk;
    struct record record;
    struct slice key;
    struct rev rev;
    enum err err = mvcc_walk_init(&walk, node->reader, MVCC_KEYS, prefix,
                                  slice_of(NULL, 0), 0);
    quota->seen.keys = 0;
    quota->seen.bytes = 0;
    while (err == ERR_OK) {
        err = mvcc_walk_next(&walk, &key, &rev);
        if (err == ERR_OK && !slice_has_prefix(key, prefix)) {
            err = ERR_END;
        }
        if (err == ERR_OK) {
            err = mvcc_get_rev(node->reader, rev, &record);
        }
        if (err == ERR_OK) {
            CHECK_EQ(record.flags & MVCC_TOMBSTONE, 0);
            quota->seen.keys++;
            quota->seen.bytes += size_of(&record);
        }
    }
    return err == ERR_END ? ERR_OK : err_wrap(err, "count below a quota");
}

static void count_change(struct node *node, int at, int keys, uint64_t less,
                         uint64_t more)
{
    for (; at != NODE_NO_QUOTA; at = node->quotas[at].around) {
        struct node_quota *quota = &node->quotas[at].seen;
        CHECK(keys >= 0 || quota->keys > 0);
        CHECK_LE(less, quota->bytes + more);
        quota->keys += (uint64_t)(int64_t)keys;
        quota->bytes += more - less;
    }
}

/* What a record replaced or ended. */
static enum err size_before(struct node *node, const struct record *record,
                            bool *lived, uint64_t *bytes)
{
    struct record before;
    *lived = false;
    *bytes = 0;
    if (record->prev.main == 0) {
        return ERR_OK;
    }
    enum err err = mvcc_get_rev(node->reader, record->prev, &before);
    if (err != ERR_OK) {
        return err_wrap(err, "count below a quota");
    }
    CHECK(slice_eq(before.key, record->key));
    *lived = (before.flags & MVCC_TOMBSTONE) == 0;
    *bytes = *lived ? size_of(&before) : 0;
    return ERR_OK;
}

static enum err count_record(struct node *node, const struct record *record)
{
    bool lives = (record->flags & MVCC_TOMBSTONE) == 0;
    bool lived;
    uint64_t before;
    int at = node__quota_of(node, record->key);
    if (at == NODE_NO_QUOTA) {
        return ERR_OK;
    }
    enum err err = size_before(node, record, &lived, &before);
    if (err == ERR_OK) {
        CHECK(lives || lived);
        count_change(node, at, (int)lives - (int)lived, before,
                     lives ? size_of(record) : 0);
    }
    return err;
}

enum err node__count_quotas(struct node *node, size_t from)
{
    enum err err = ERR_OK;
    CHECK_LE(from, node->commit_count);
    if (node->quota_count == 0) {
        return ERR_OK;
    }
    for (size_t i = from; i < node->commit_count && err == ERR_OK; i++) {
        const struct mvcc_commit *commit = node->commits[i];
        CHECK(commit->count > 0);
        for (size_t j = 0; j < commit->count && err == ERR_OK; j++) {
            if (commit->records[j].table == MVCC_KEYS) {
                err = count_record(node, &commit->records[j]);
            }
        }
    }
    return err;
}

/* ---- in the store -------------------------------------------------------- */

static void put_meta(struct node *node, const struct quota_command *set)
{
    char value[VALUE_BYTES];
    bool is_set = set->keys_max > 0 || set->bytes_max > 0;
    struct buf name = {0};
    buf_append_slice(&name, meta_prefix);
    buf_append_slice(&name, set->prefix);
    CHECK_LE(name.size, KV_KEY_BYTES_MAX);
    put_le64(value, set->keys_max);
    put_le64(value + 8, set->bytes_max);
    mvcc_meta_put(node->mvcc, buf_slice(&name),
                  is_set ? slice_of(value, VALUE_BYTES) : slice_of(NULL, 0));
    buf_deinit(&name);
}

static void load_one(void *context, struct slice name, struct slice value)
{
    struct node *node = context;
    CHECK(slice_has_prefix(name, meta_prefix));
    CHECK_EQ(value.size, VALUE_BYTES);
    struct quota *quota = insert(node, slice_of(name.at + meta_prefix.size,
                                                name.size - meta_prefix.size));
    quota->seen.keys_max = get_le64(value.at);
    quota->seen.bytes_max = get_le64(value.at + 8);
    CHECK(quota->seen.keys_max > 0 || quota->seen.bytes_max > 0);
}

enum err node__load_quotas(struct node *node)
{
    enum err err = ERR_OK;
    node__drop_quotas(node);
    mvcc_meta_each(node->mvcc, meta_prefix, load_one, node);
    link_all(node);
    if (node->quota_count == 0) {
        return ERR_OK;
    }
    mvcc_read_begin(node->reader);
    for (size_t i = 0; i < node->quota_count && err == ERR_OK; i++) {
        err = count_anew(node, &node->quotas[i]);
    }
    mvcc_read_end(node->reader);
    return err;
}

/* ---- setting ------------------------------------------------------------- */

static enum v3_error may_set(const struct node *node,
                             const struct quota_command *set, bool is_there)
{
    if (set->prefix.size > NODE_QUOTA_PREFIX_MAX) {
        return V3_QUOTA_PREFIX;
    }
    if (set->keys_max == 0 && set->bytes_max == 0) {
        return is_there ? V3_OK : V3_QUOTA_NOT_FOUND;
    }
    return is_there || node->quota_count < NODE_QUOTAS_MAX ? V3_OK
                                                           : V3_QUOTA_TOO_MANY;
}

static enum err set_bounds(struct node *node, const struct quota_command *set,
                           struct quota *quota, bool is_new)
{
    quota->seen.keys_max = set->keys_max;
    quota->seen.bytes_max = set->bytes_max;
    enum err err = is_new ? count_anew(node, quota) : ERR_OK;
    log_info("node", "a quota was set", LOG_SLICE("prefix", set->prefix),
             LOG_UINT("keys_max", set->keys_max),
             LOG_UINT("bytes_max", set->bytes_max));
    return err;
}

enum err node__apply_quota(struct node *node, const struct quota_command *set,
                           struct txn_answer *answer)
{
    enum err err = ERR_OK;
    size_t at;
    bool is_there = find(node, set->prefix, &at);
    CHECK_EQ(answer->error, V3_OK);
    answer->error = may_set(node, set, is_there);
    if (answer->error != V3_OK) {
        return ERR_OK;
    }
    put_meta(node, set);
    if (set->keys_max == 0 && set->bytes_max == 0) {
        erase(node, at);
        log_info("node", "a quota was removed",
                 LOG_SLICE("prefix", set->prefix));
    } else {
        struct quota *quota =
            is_there ? &node->quotas[at] : insert(node, set->prefix);
        err = set_bounds(node, set, quota, !is_there);
    }
    link_all(node);
    return err;
}
