/* Each table is a treap: a binary search tree by key that is also a heap by
 * a hash of the key, so its shape is balanced whatever the order of the puts.
 * Nodes are counted and shared: a snapshot is a reference to the roots, and a
 * write copies the path to what it changes, as far as others see it.
 *
 *      committed:  root ---> m          a put of "f" in a transaction copies
 *                           / \         only the path to it:
 *                          d   t
 *                           \            root' ---> m' --> t (shared)
 *                            h                     /
 *                                                 d' --> h' --> f
 *
 * Invariant: a node that is reached by counts of one only is seen by nobody
 * else, and may be changed where it is.
 */
#include "memory/kv_memory.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"

struct item {
    atomic_uint refs;
    uint32_t key_size;
    size_t value_size;
    char bytes[]; /* key, value */
};

struct node {
    atomic_uint refs;
    uint64_t priority;
    struct item *item;
    struct node *left, *right;
};

struct roots {
    struct node *of[KV_TABLES_MAX];
    uint64_t bytes[KV_TABLES_MAX]; /* of keys and values */
};

struct kv_memory {
    struct kv kv;          /* first: a `struct kv *` points here */
    pthread_mutex_t mutex; /* over all below */
    pthread_cond_t idle;   /* there is no writer any more */
    struct roots committed;
    uint64_t bytes_max; /* that were ever committed: the file never shrinks */
    struct list txns;
    struct kv_txn *writer;
    pthread_t writer_thread; /* while there is a writer */
    uint64_t calls;
    uint64_t fail_at; /* in calls; 0: never */
    enum err fail_err;
    bool crashed; /* every call fails */
};

struct kv_txn {
    struct list link;
    struct list cursors;
    struct roots roots;
    bool writes;
    bool reset;
    enum err broken; /* the error that a write call gave */
};

struct kv_cursor {
    struct list link;
    struct kv_txn *txn;
    struct item *at; /* NULL: before the first */
    kv_table table;
    bool at_end;
};

static struct kv_memory *memory_of(struct kv *kv)
{
    return (struct kv_memory *)(void *)kv;
}

static const struct kv_memory *memory_of_const(const struct kv *kv)
{
    return (const struct kv_memory *)(const void *)kv;
}

/* ---- items and nodes ----------------------------------------------------- */

static struct item *item_new(struct slice key, struct slice value)
{
    struct item *item = mem_alloc(sizeof *item + key.size + value.size);
    atomic_init(&item->refs, 1);
    item->key_size = (uint32_t)key.size;
    item->value_size = value.size;
    memcpy(item->bytes, key.at, key.size);
    if (value.size)
        memcpy(item->bytes + key.size, value.at, value.size);
    return item;
}

static struct item *item_ref(struct item *item)
{
    atomic_fetch_add_explicit(&item->refs, 1, memory_order_relaxed);
    return item;
}

static void item_unref(struct item *item)
{
    if (item && atomic_fetch_sub(&item->refs, 1) == 1)
        mem_free(item);
}

static struct slice item_key(const struct item *item)
{
    return slice_of(item->bytes, item->key_size);
}

static struct slice item_value(const struct item *item)
{
    return slice_of(item->bytes + item->key_size, item->value_size);
}

static uint64_t item_bytes(const struct item *item)
{
    return item->key_size + item->value_size;
}

static struct node *node_ref(struct node *node)
{
    if (node)
        atomic_fetch_add_explicit(&node->refs, 1, memory_order_relaxed);
    return node;
}

static void node_unref(struct node *node)
{
    if (node == NULL || atomic_fetch_sub(&node->refs, 1) != 1)
        return;
    node_unref(node->left);
    node_unref(node->right);
    item_unref(node->item);
    mem_free(node);
}

static struct node *node_new(struct item *item, uint64_t priority,
                             struct node *left, struct node *right)
{
    struct node *node = mem_alloc(sizeof *node);
    atomic_init(&node->refs, 1);
    node->priority = priority;
    node->item = item;
    node->left = left;
    node->right = right;
    return node;
}

/* Takes the reference `node`; returns a node that may be changed. */
static struct node *own(struct node *node)
{
    if (atomic_load(&node->refs) == 1)
        return node;
    struct node *copy = node_new(item_ref(node->item), node->priority,
                                 node_ref(node->left), node_ref(node->right));
    node_unref(node);
    return copy;
}

/* ---- the treap ----------------------------------------------------------- */

static struct node *rotate_right(struct node *node)
{
    struct node *left = node->left;
    node->left = left->right;
    left->right = node;
    return left;
}

static struct node *rotate_left(struct node *node)
{
    struct node *right = node->right;
    node->right = right->left;
    right->left = node;
    return right;
}

/* Takes the references `node` and `item`; returns the new root. */
static struct node *insert(struct node *node, struct item *item)
{
    struct slice key = item_key(item);
    if (node == NULL)
        return node_new(item, slice_hash(key, 0), NULL, NULL);
    node = own(node);
    int order = slice_cmp(key, item_key(node->item));
    if (order == 0) {
        item_unref(node->item);
        node->item = item;
    } else if (order < 0) {
        node->left = insert(node->left, item);
        if (node->left->priority > node->priority)
            return rotate_right(node);
    } else {
        node->right = insert(node->right, item);
        if (node->right->priority > node->priority)
            return rotate_left(node);
    }
    return node;
}

/* Takes two references; every key of `a` is less than every one of `b`. */
static struct node *merge(struct node *a, struct node *b)
{
    if (a == NULL || b == NULL)
        return a ? a : b;
    if (a->priority > b->priority) {
        a = own(a);
        a->right = merge(a->right, b);
        return a;
    }
    b = own(b);
    b->left = merge(a, b->left);
    return b;
}

/* Takes the reference `node`. Needs: the key is there. */
static struct node *erase(struct node *node, struct slice key)
{
    CHECK(node != NULL);
    node = own(node);
    int order = slice_cmp(key, item_key(node->item));
    if (order < 0) {
        node->left = erase(node->left, key);
        return node;
    }
    if (order > 0) {
        node->right = erase(node->right, key);
        return node;
    }
    struct node *rest = merge(node->left, node->right);
    node->left = node->right = NULL;
    node_unref(node);
    return rest;
}

static struct item *find(const struct node *node, struct slice key)
{
    while (node) {
        int order = slice_cmp(key, item_key(node->item));
        if (order == 0)
            return node->item;
        node = order < 0 ? node->left : node->right;
    }
    return NULL;
}

/* The first with a key >= `key`, or > with `after`. */
static struct item *find_from(const struct node *node, struct slice key,
                              bool after)
{
    struct item *best = NULL;
    while (node) {
        int order = slice_cmp(item_key(node->item), key);
        if (order > 0 || (order == 0 && !after)) {
            best = node->item;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    return best;
}

static const struct item *find_last(const struct node *node)
{
    while (node && node->right)
        node = node->right;
    return node ? node->item : NULL;
}

static void roots_ref(struct roots *to, const struct roots *from)
{
    for (unsigned i = 0; i < KV_TABLES_MAX; i++)
        to->of[i] = node_ref(from->of[i]);
    memcpy(to->bytes, from->bytes, sizeof to->bytes);
}

static void roots_unref(struct roots *roots)
{
    for (unsigned i = 0; i < KV_TABLES_MAX; i++)
        node_unref(roots->of[i]);
    *roots = (struct roots){0};
}

static uint64_t roots_bytes(const struct roots *roots)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < KV_TABLES_MAX; i++)
        bytes += roots->bytes[i];
    return bytes;
}

/* ---- transactions -------------------------------------------------------- */

/* Counts a call that may fail, and is the error that a test asked for. */
static enum err fault(struct kv_memory *memory, const char *what)
{
    pthread_mutex_lock(&memory->mutex);
    bool fails = ++memory->calls == memory->fail_at || memory->crashed;
    enum err err = memory->crashed ? ERR_IO : memory->fail_err;
    pthread_mutex_unlock(&memory->mutex);
    return fails ? err_set(err, "%s: as the test asked for", what) : ERR_OK;
}

static void take_snapshot(struct kv_memory *memory, struct kv_txn *txn)
{
    pthread_mutex_lock(&memory->mutex);
    roots_ref(&txn->roots, &memory->committed);
    pthread_mutex_unlock(&memory->mutex);
}

/* Another thread's writer is waited for; this one's would never end. */
static void become_writer(struct kv_memory *memory, struct kv_txn *txn)
{
    while (memory->writer != NULL) {
        CHECK(!pthread_equal(memory->writer_thread, pthread_self()));
        pthread_cond_wait(&memory->idle, &memory->mutex);
    }
    memory->writer = txn;
    memory->writer_thread = pthread_self();
}

static struct kv_txn *txn_new(struct kv_memory *memory, bool writes)
{
    struct kv_txn *txn = mem_alloc_zero(sizeof *txn);
    txn->writes = writes;
    list_init(&txn->cursors);
    pthread_mutex_lock(&memory->mutex);
    if (writes)
        become_writer(memory, txn);
    roots_ref(&txn->roots, &memory->committed);
    list_push_back(&memory->txns, &txn->link);
    pthread_mutex_unlock(&memory->mutex);
    return txn;
}

static void txn_free(struct kv_memory *memory, struct kv_txn *txn)
{
    CHECK(list_is_empty(&txn->cursors));
    pthread_mutex_lock(&memory->mutex);
    list_remove(&txn->link);
    if (memory->writer == txn) {
        memory->writer = NULL;
        pthread_cond_signal(&memory->idle);
    }
    pthread_mutex_unlock(&memory->mutex);
    roots_unref(&txn->roots);
    mem_free(txn);
}

static enum err begin_read(struct kv *kv, struct kv_txn **out)
{
    *out = NULL;
    enum err err = fault(memory_of(kv), "begin a read");
    if (err == ERR_OK)
        *out = txn_new(memory_of(kv), false);
    return err;
}

static void reset(struct kv *kv, struct kv_txn *txn)
{
    (void)kv;
    CHECK(!txn->writes && !txn->reset);
    CHECK(list_is_empty(&txn->cursors));
    roots_unref(&txn->roots);
    txn->reset = true;
}

static enum err renew(struct kv *kv, struct kv_txn *txn)
{
    CHECK(!txn->writes && txn->reset);
    enum err err = fault(memory_of(kv), "renew a read");
    if (err)
        return err;
    take_snapshot(memory_of(kv), txn);
    txn->reset = false;
    return ERR_OK;
}

static void end_read(struct kv *kv, struct kv_txn *txn)
{
    CHECK(!txn->writes);
    txn_free(memory_of(kv), txn);
}

static enum err begin_write(struct kv *kv, struct kv_txn **out)
{
    *out = NULL;
    enum err err = fault(memory_of(kv), "begin a write");
    if (err == ERR_OK)
        *out = txn_new(memory_of(kv), true);
    return err;
}

static void abort_write(struct kv *kv, struct kv_txn *txn)
{
    CHECK(txn->writes);
    txn_free(memory_of(kv), txn);
}

static enum err commit(struct kv *kv, struct kv_txn *txn)
{
    CHECK(txn->writes);
    struct kv_memory *memory = memory_of(kv);
    enum err err = fault(memory, "commit");
    if (err == ERR_OK && txn->broken)
        err = err_set(txn->broken, "commit: a write had failed");
    if (err == ERR_OK) {
        pthread_mutex_lock(&memory->mutex);
        struct roots old = memory->committed;
        memory->committed = txn->roots;
        txn->roots = old;
        uint64_t bytes = roots_bytes(&memory->committed);
        if (memory->bytes_max < bytes)
            memory->bytes_max = bytes;
        pthread_mutex_unlock(&memory->mutex);
    }
    txn_free(memory, txn);
    return err;
}

/* ---- pairs --------------------------------------------------------------- */

static void check_key(kv_table table, struct slice key)
{
    CHECK_LT(table, KV_TABLES_MAX);
    CHECK_LE(1, key.size);
    CHECK_LE(key.size, KV_KEY_BYTES_MAX);
}

static enum err get(struct kv *kv, struct kv_txn *txn, kv_table table,
                    struct slice key, struct slice *value)
{
    check_key(table, key);
    CHECK(!txn->reset);
    enum err err = fault(memory_of(kv), "get");
    if (err)
        return err;
    const struct item *item = find(txn->roots.of[table], key);
    if (item == NULL)
        return ERR_NOT_FOUND;
    *value = item_value(item);
    return ERR_OK;
}

static enum err put(struct kv *kv, struct kv_txn *txn, kv_table table,
                    struct slice key, struct slice value)
{
    check_key(table, key);
    CHECK(txn->writes && txn->broken == ERR_OK);
    txn->broken = fault(memory_of(kv), "put");
    if (txn->broken)
        return txn->broken;
    struct node **root = &txn->roots.of[table];
    const struct item *old = find(*root, key);
    if (old)
        txn->roots.bytes[table] -= item_bytes(old);
    struct item *item = item_new(key, value);
    txn->roots.bytes[table] += item_bytes(item);
    *root = insert(*root, item);
    return ERR_OK;
}

static enum err append(struct kv *kv, struct kv_txn *txn, kv_table table,
                       struct slice key, struct slice value)
{
    check_key(table, key);
    const struct item *last = find_last(txn->roots.of[table]);
    CHECK(last == NULL || slice_cmp(item_key(last), key) < 0);
    return put(kv, txn, table, key, value);
}

static enum err del(struct kv *kv, struct kv_txn *txn, kv_table table,
                    struct slice key)
{
    check_key(table, key);
    CHECK(txn->writes && txn->broken == ERR_OK);
    txn->broken = fault(memory_of(kv), "del");
    if (txn->broken)
        return txn->broken;
    struct node **root = &txn->roots.of[table];
    const struct item *old = find(*root, key);
    if (old == NULL)
        return ERR_NOT_FOUND;
    txn->roots.bytes[table] -= item_bytes(old);
    *root = erase(*root, key);
    return ERR_OK;
}

static enum err clear(struct kv *kv, struct kv_txn *txn, kv_table table)
{
    CHECK_LT(table, KV_TABLES_MAX);
    CHECK(txn->writes && txn->broken == ERR_OK);
    LIST_EACH (link, &txn->cursors) {
        CHECK(CONTAINER_OF(link, struct kv_cursor, link)->table != table);
    }
    txn->broken = fault(memory_of(kv), "clear");
    if (txn->broken)
        return txn->broken;
    node_unref(txn->roots.of[table]);
    txn->roots.of[table] = NULL;
    txn->roots.bytes[table] = 0;
    return ERR_OK;
}

/* ---- cursors ------------------------------------------------------------- */

static enum err cursor_open(struct kv *kv, struct kv_txn *txn, kv_table table,
                            struct kv_cursor **out)
{
    CHECK_LT(table, KV_TABLES_MAX);
    CHECK(!txn->reset);
    *out = NULL;
    enum err err = fault(memory_of(kv), "open a cursor");
    if (err)
        return err;
    struct kv_cursor *cursor = mem_alloc_zero(sizeof *cursor);
    cursor->txn = txn;
    cursor->table = table;
    list_push_back(&txn->cursors, &cursor->link);
    *out = cursor;
    return ERR_OK;
}

static void cursor_close(struct kv *kv, struct kv_cursor *cursor)
{
    (void)kv;
    list_remove(&cursor->link);
    item_unref(cursor->at);
    mem_free(cursor);
}

/* The cursor keeps the item that it is at, so that its place has a key even
 * when the pair is deleted meanwhile. */
static enum err cursor_move(struct kv_cursor *cursor, struct slice from,
                            bool after, struct slice *key, struct slice *value)
{
    struct item *item =
        find_from(cursor->txn->roots.of[cursor->table], from, after);
    cursor->at_end = item == NULL;
    if (item == NULL)
        return ERR_END;
    item_ref(item);
    item_unref(cursor->at);
    cursor->at = item;
    *key = item_key(item);
    *value = item_value(item);
    return ERR_OK;
}

static enum err cursor_seek(struct kv *kv, struct kv_cursor *cursor,
                            struct slice from, struct slice *key,
                            struct slice *value)
{
    enum err err = fault(memory_of(kv), "seek");
    return err ? err : cursor_move(cursor, from, false, key, value);
}

static enum err cursor_next(struct kv *kv, struct kv_cursor *cursor,
                            struct slice *key, struct slice *value)
{
    enum err err = fault(memory_of(kv), "next");
    if (err)
        return err;
    if (cursor->at_end)
        return ERR_END;
    if (cursor->at == NULL)
        return cursor_move(cursor, SLICE(""), false, key, value);
    return cursor_move(cursor, item_key(cursor->at), true, key, value);
}

/* ---- the whole ----------------------------------------------------------- */

static void stat(struct kv *kv, struct kv_stat *out)
{
    struct kv_memory *memory = memory_of(kv);
    pthread_mutex_lock(&memory->mutex);
    out->file_bytes = memory->bytes_max;
    out->in_use_bytes = roots_bytes(&memory->committed);
    pthread_mutex_unlock(&memory->mutex);
}

static void forget(struct kv *kv)
{
    (void)kv;
}

static const struct kv_ops ops = {
    .begin_read = begin_read,
    .reset = reset,
    .renew = renew,
    .end_read = end_read,
    .begin_write = begin_write,
    .commit = commit,
    .abort = abort_write,
    .get = get,
    .put = put,
    .append = append,
    .del = del,
    .clear = clear,
    .cursor_open = cursor_open,
    .cursor_close = cursor_close,
    .cursor_seek = cursor_seek,
    .cursor_next = cursor_next,
    .stat = stat,
    .forget = forget,
};

struct kv *kv_memory_new(void)
{
    struct kv_memory *memory = mem_alloc_zero(sizeof *memory);
    memory->kv.ops = &ops;
    list_init(&memory->txns);
    CHECK_EQ(pthread_mutex_init(&memory->mutex, NULL), 0);
    CHECK_EQ(pthread_cond_init(&memory->idle, NULL), 0);
    return &memory->kv;
}

void kv_memory_free(struct kv *kv)
{
    struct kv_memory *memory = memory_of(kv);
    CHECK(list_is_empty(&memory->txns));
    roots_unref(&memory->committed);
    pthread_cond_destroy(&memory->idle);
    pthread_mutex_destroy(&memory->mutex);
    mem_free(memory);
}

void kv_memory_fail_after(struct kv *kv, uint64_t nth, enum err err)
{
    struct kv_memory *memory = memory_of(kv);
    pthread_mutex_lock(&memory->mutex);
    memory->fail_at = nth ? memory->calls + nth : 0;
    memory->fail_err = err;
    pthread_mutex_unlock(&memory->mutex);
}

void kv_memory_crash(struct kv *kv)
{
    struct kv_memory *memory = memory_of(kv);
    pthread_mutex_lock(&memory->mutex);
    memory->crashed = true;
    pthread_mutex_unlock(&memory->mutex);
}

uint64_t kv_memory_calls(const struct kv *kv)
{
    return memory_of_const(kv)->calls;
}

struct kv *kv_memory_reopen(struct kv *kv)
{
    struct kv_memory *memory = memory_of(kv);
    LIST_EACH (txn_link, &memory->txns) {
        struct kv_txn *txn = CONTAINER_OF(txn_link, struct kv_txn, link);
        LIST_EACH (link, &txn->cursors) {
            cursor_close(kv, CONTAINER_OF(link, struct kv_cursor, link));
        }
        txn_free(memory, txn);
    }
    struct kv *fresh = kv_memory_new();
    struct kv_memory *to = memory_of(fresh);
    to->committed = memory->committed;
    to->bytes_max = memory->bytes_max;
    memory->committed = (struct roots){0};
    kv_memory_free(kv);
    return fresh;
}
