/* What the files of this folder share: paths, and looking things up. */
#ifndef ETCHED_TREE_TREE_INT_H
#define ETCHED_TREE_TREE_INT_H

#include "tree/tree.h"

/* ---- paths (path.c) ------------------------------------------------------ */

static inline bool tree__is_root(struct slice path)
{
    return path.size == 1;
}
/* False for a name that no clean path has: "", "." and "..". */
static inline bool tree__is_name(struct slice name)
{
    return !(name.size == 0 || (name.size == 1 && name.at[0] == '.') ||
             (name.size == 2 && name.at[0] == '.' && name.at[1] == '.'));
}
/* The first name of `path`, which does not begin with '/'. */
struct slice tree__first_name(struct slice path);
/* True for "/a" and "/a/b": a key that is in the tree. */
bool tree__is_clean(struct slice key);
/* Where the first name behind `from` ends that no clean path has, or 0.
 * Needs: key[from - 1] is '/'. */
size_t tree__unclean_end(struct slice key, size_t from);
/* The directory that holds `path`. Needs: it is not the root. */
struct slice tree__parent(struct slice path);
/* The first `size` bytes. */
static inline struct slice tree__head(struct slice path, size_t size)
{
    return slice_of(path.at, size);
}

/* ---- looking (find.c) ---------------------------------------------------- */

/* True when a key of the tree lies below `path`. */
enum err tree__has_below(struct mvcc_reader *reader, struct slice path,
                         revision at, bool *has) MUST_USE;
/* True when `table` has a record under exactly this path. */
enum err tree__has(struct mvcc_reader *reader, enum mvcc_table table,
                   struct slice path, revision at, bool *has) MUST_USE;
/* The node that a record, not a tombstone, makes. */
void tree__node_of(const struct record *record, struct tree_node *node);
/* The node of that record. */
enum err tree__read_node(struct mvcc_reader *reader, struct rev rev,
                         struct tree_node *node) MUST_USE;
/* A directory without a record. */
void tree__implied(struct slice path, struct tree_node *node);
/* By its own name, whatever is above it. */
enum err tree__look(struct mvcc_reader *reader, struct slice path, revision at,
                    struct tree_node *node, bool *found) MUST_USE;
/* What v2 says of a path that is not there. */
enum err tree__why_missing(struct mvcc_reader *reader, struct slice path,
                           revision at, enum tree_error *error,
                           struct slice *cause) MUST_USE;

/* ---- events (event.c) ---------------------------------------------------- */

/* The event of a commit's head, given the node before it, if any; *prev is
 * not kept. */
void tree__make_event(const struct record *head, const struct tree_node *prev,
                      struct tree_event *event);

/* ---- writing (write.c, remove.c) ----------------------------------------- */

/* Nothing happens to a key without a lease. */
void tree__detach(struct tree *tree, enum mvcc_table table, struct slice key);
/* Puts, and moves the lease. */
void tree__put(struct tree *tree, const struct mvcc_put *put);
/* Ends a record that lives, and its lease's hold on it. */
void tree__end(struct tree *tree, enum mvcc_table table, struct slice key,
               enum mvcc_cause cause, uint32_t flags);
/* Removes a node: head, then all below it. */
void tree__remove(struct tree *tree, const struct tree_node *node,
                  enum mvcc_cause cause);

#endif
