/* v2's tree of directories and files, over the store.
 *
 * The v2 path "/a/b" IS the key "/a/b" of MVCC_KEYS. A directory is a record
 * of MVCC_DIRS under its path; a path with keys below it is a directory too,
 * even where only v3 wrote them (an IMPLIED directory: it has no indexes and
 * no TTL, and is gone with its last key). Where v3 wrote both "/a" and "/a/b",
 * "/a" is a file and "/a/b" is found by its own name. Keys that don't begin
 * with '/' or whose path is not clean ("/a//b", "/a/") are not in the tree.
 *
 * A v2 write is one commit whose HEAD (the first record without MVCC_PART) is
 * the change that v2 speaks of; directories made on the way and what a
 * recursive delete takes along are parts of it. What v3 writes has no parts:
 * each record is a change of its own.
 *
 * Threads: tree_write and tree_expire: the writer, exclusive lock; all others
 *          any thread with its reader, shared lock. Whoever calls, of either
 *          kind, has called mvcc_read_begin on the reader.
 */
#ifndef ETCHED_TREE_TREE_H
#define ETCHED_TREE_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "lease/lease.h"
#include "mvcc/mvcc.h"
#include "proto/command.h"

/* v2's error codes and messages; the HTTP status is the api's. */
#define TREE_ERROR_TABLE(X)                                          \
    X(NONE, 0, "")                                                   \
    X(KEY_NOT_FOUND, 100, "Key not found")                           \
    X(COMPARE_FAILED, 101, "Compare failed")                         \
    X(NOT_FILE, 102, "Not a file")                                   \
    X(NOT_DIR, 104, "Not a directory")                               \
    X(NODE_EXIST, 105, "Key already exists")                         \
    X(ROOT_READ_ONLY, 107, "Root is read only")                      \
    X(DIR_NOT_EMPTY, 108, "Directory not empty")                     \
    X(UNAUTHORIZED, 110, "The request requires user authentication") \
    X(RAFT_INTERNAL, 300, "Raft Internal Error")                     \
    X(INDEX_CLEARED, 401,                                            \
      "The event in requested index is outdated and cleared")

enum tree_error {
#define X(name, code, text) TREE_##name = code,
    TREE_ERROR_TABLE(X)
#undef X
};
const char *tree_error_text(enum tree_error error);

struct tree_node {
    struct slice key; /* its path */
    bool dir;
    bool implied;
    struct slice value; /* of a file */
    revision created;   /* 0: none (root, implied) */
    revision modified;  /* of a directory: as `created`, whatever was done to
                           its TTL (v2 has it so); in an event: the event's */
    int64_t expire_ns;  /* 0: permanent */
};

struct tree_event {
    const char *action; /* "set", ... */
    bool refresh;       /* in answers to a write only; not on the wire */
    struct tree_node node;
    bool has_prev;
    struct tree_node prev;
};

/* What came of a write. Its slices live until tree_result_deinit. */
struct tree_result {
    enum tree_error error;
    revision index; /* X-Etcd-Index: the store's after a success, its current
                       one with an error */
    struct tree_event event;
    bool created;  /* answered with 201 */
    bool replaced; /* set over a node that was there */
    /* private: */
    struct mvcc_commit *commit;
    char *cause; /* of the error: see tree_result_cause */
    size_t cause_size;
    char *prev_bytes;
};
struct slice tree_result_cause(const struct tree_result *result);
void tree_result_deinit(struct tree_result *result);

struct tree {
    struct mvcc *mvcc;
    struct mvcc_reader *reader; /* the writer's */
    struct lease_table *leases;
};

/* Applies `command` at `time_ns`; fills in `result`, error or not. A reference
 * to the commit is given to `*commit` for the watchers (NULL: no change).
 * Errors: only of the store (ERR_IO, ERR_CORRUPT): the member must stop. */
enum err tree_write(struct tree *tree, const struct tree_command *command,
                    int64_t time_ns, struct tree_result *result,
                    struct mvcc_commit **commit) MUST_USE;

/* Ends a lease: its keys and directories go, each in a commit of its own with
 * the cause MVCC_EXPIRE (as v2 numbers expiries). A lease that is not there,
 * or that ends later than `time_ns`, is left alone. Each call of `on_commit`
 * gives a reference to the commit away. */
enum err tree_expire(struct tree *tree, lease_id lease, int64_t time_ns,
                     void (*on_commit)(void *context,
                                       struct mvcc_commit *commit),
                     void *context) MUST_USE;

/* The same by a client's word, whenever it would have ended: the cause is
 * MVCC_REVOKE, which v2 knows as "delete". */
enum err tree_revoke(struct tree *tree, lease_id lease, int64_t time_ns,
                     void (*on_commit)(void *context,
                                       struct mvcc_commit *commit),
                     void *context) MUST_USE;

/* Puts the leases back that the store's records name, after mvcc_open, or
 * after mvcc_reload and lease_table_clear: those of v2 whole, and the keys of
 * v3's leases that are in the table already. */
enum err tree_restore_leases(struct tree *tree) MUST_USE;

/* ---- reading ------------------------------------------------------------ */

/* The node at `path` as of `at` (0: now).
 * Answers TREE_NONE, TREE_KEY_NOT_FOUND or TREE_NOT_DIR with `cause` set to
 * the part of `path` that is missing or is no directory (a view of `path`).
 * ERR_*: of the store, ERR_COMPACTED. */
enum err tree_get(struct mvcc_reader *reader, struct slice path, revision at,
                  struct tree_node *node, enum tree_error *error,
                  struct slice *cause) MUST_USE;

/* The children of a directory, ordered by name, without the hidden ones
 * (first letter '_'). It keeps only its place (a name), so the lock may be
 * given up between calls; the revision keeps the answer whole. */
struct tree_list {
    struct slice dir; /* "/" or "/a"; outlives the list */
    revision at;      /* > 0 */
    struct buf last;  /* the last child's path */
    /* private: */
    struct buf seek; /* where to look next */
    struct buf end;  /* of the range below `dir` */
};
void tree_list_init(struct tree_list *list, struct slice dir, revision at);
void tree_list_deinit(struct tree_list *list);
/* ERR_END after the last. The node is valid until mvcc_read_end. */
enum err tree_list_next(struct tree_list *list, struct mvcc_reader *reader,
                        struct tree_node *node) MUST_USE;

/* ---- watching ----------------------------------------------------------- */

/* True if a change to `key` is hidden from a watcher of `path` above it. */
bool tree_is_hidden(struct slice path, struct slice key);

/* The v2 event that a watcher of `path` gets for `record` (which its watch on
 * `path`, or below it, matched); false if it gets none: a refresh, a part of
 * a write that made directories, a hidden key, a key that is not in the tree.
 * For a part of a delete it is the head's event; *event_rev names the record
 * it is made of, so that the caller can tell one event from another and say
 * each once. The previous node is read through `reader` (if it is compacted
 * away there is none). Slices are valid until mvcc_read_end, or as long as
 * `record`. */
enum err tree_event(struct mvcc_reader *reader, const struct record *record,
                    struct mvcc_commit *commit, struct slice path,
                    struct tree_event *event, struct rev *event_rev,
                    bool *told) MUST_USE;

/* The range of keys below directory `path`: [from, end). `from` and `end`
 * are built in the two buffers. */
void tree_range_below(struct slice path, struct buf *from, struct buf *end);

#endif
