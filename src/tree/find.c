/* Looking a path up: a file, a directory with a record, a directory that is
 * implied by what lies below it; and why there is nothing. */
#include "base/check.h"
#include "tree/tree_int.h"

/* Goes on to the next key that is in the tree, from one that is not. All that
 * lies below an unclean name is passed over at once. */
static void skip_unclean(struct mvcc_walk *walk, struct slice key, size_t end,
                         struct buf *seek)
{
    if (end == key.size)
        return; /* below "/a/" lies "/a/b": only this key is unclean */
    CHECK(key.at[end] == '/');
    buf_reset(seek);
    buf_append(seek, key.at, end);
    buf_append_char(seek, '/' + 1);
    mvcc_walk_seek(walk, buf_slice(seek));
}

enum err tree__has_below(struct mvcc_reader *reader, struct slice path,
                         revision at, bool *has)
{
    struct buf from = {0}, end = {0};
    struct mvcc_walk walk;
    struct slice key;
    struct rev rev;
    *has = false;
    tree_range_below(path, &from, &end);
    size_t below = from.size;
    enum err err = mvcc_walk_init(&walk, reader, MVCC_KEYS, buf_slice(&from),
                                  buf_slice(&end), at);
    while (err == ERR_OK) {
        err = mvcc_walk_next(&walk, &key, &rev);
        if (err != ERR_OK)
            break;
        size_t unclean = tree__unclean_end(key, below);
        if (unclean == 0) {
            *has = true;
            break;
        }
        skip_unclean(&walk, key, unclean, &from);
    }
    buf_deinit(&from);
    buf_deinit(&end);
    return err == ERR_END ? ERR_OK : err;
}

enum err tree__has(struct mvcc_reader *reader, enum mvcc_table table,
                   struct slice path, revision at, bool *has)
{
    struct rev rev;
    enum err err = mvcc_find(reader, table, path, at, &rev);
    *has = err == ERR_OK;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

void tree__node_of(const struct record *record, struct tree_node *node)
{
    bool dir = record->table == MVCC_DIRS;
    CHECK((record->flags & MVCC_TOMBSTONE) == 0);
    *node = (struct tree_node){
        .key = record->key,
        .dir = dir,
        .value = record->value,
        .created = record->create,
        .modified = dir ? record->create : record->rev.main,
        .expire_ns = record->expire_ns,
    };
}

enum err tree__read_node(struct mvcc_reader *reader, struct rev rev,
                         struct tree_node *node)
{
    struct record record;
    enum err err = mvcc_get_rev(reader, rev, &record);
    if (err == ERR_OK)
        tree__node_of(&record, node);
    return err;
}

void tree__implied(struct slice path, struct tree_node *node)
{
    *node = (struct tree_node){.key = path, .dir = true, .implied = true};
}

enum err tree__look(struct mvcc_reader *reader, struct slice path, revision at,
                    struct tree_node *node, bool *found)
{
    struct record record;
    CHECK(path.size > 0 && path.at[0] == '/');
    if (tree__is_root(path)) {
        struct rev rev; /* only to learn whether `at` can be read */
        enum err err = mvcc_find(reader, MVCC_DIRS, path, at, &rev);
        *node = (struct tree_node){.key = path, .dir = true};
        *found = true;
        return err == ERR_NOT_FOUND ? ERR_OK : err;
    }
    enum err err = mvcc_get(reader, MVCC_KEYS, path, at, &record);
    if (err == ERR_NOT_FOUND)
        err = mvcc_get(reader, MVCC_DIRS, path, at, &record);
    *found = err == ERR_OK;
    if (err == ERR_OK)
        tree__node_of(&record, node);
    if (err != ERR_NOT_FOUND)
        return err;
    err = tree__has_below(reader, path, at, found);
    if (*found)
        tree__implied(path, node);
    return err;
}

/* The nearest thing above the path that is there decides: where it is a file
 * it is no directory, else what is missing is the name below it. */
enum err tree__why_missing(struct mvcc_reader *reader, struct slice path,
                           revision at, enum tree_error *error,
                           struct slice *cause)
{
    enum err err = ERR_OK;
    bool there = false;
    *error = TREE_KEY_NOT_FOUND;
    *cause = path;
    for (struct slice above = tree__parent(path);
         err == ERR_OK && !tree__is_root(above); above = tree__parent(above)) {
        err = tree__has(reader, MVCC_KEYS, above, at, &there);
        if (there) {
            *error = TREE_NOT_DIR;
            *cause = above;
            break;
        }
        if (err == ERR_OK)
            err = tree__has(reader, MVCC_DIRS, above, at, &there);
        if (err == ERR_OK && !there)
            err = tree__has_below(reader, above, at, &there);
        if (there)
            break;
        *cause = above;
    }
    return err;
}

enum err tree_get(struct mvcc_reader *reader, struct slice path, revision at,
                  struct tree_node *node, enum tree_error *error,
                  struct slice *cause)
{
    bool found = false;
    enum err err = tree__look(reader, path, at, node, &found);
    *error = TREE_NONE;
    *cause = slice_of(NULL, 0);
    if (err != ERR_OK || found)
        return err;
    return tree__why_missing(reader, path, at, error, cause);
}
