/* A tree over a store in memory, for tests that read as stories: a write is a
 * line of text, and so is what came of it.
 *
 *   do      "set /a =1 ttl=5"  "create /d dir"  "post /q =x"
 *           "update /a =2"  "cas /a =2 prevValue=1 prevIndex=7"
 *           "delete /d recursive"  "cad /a prevValue=1"
 *   answer  "201 set /a=1 [2,2] ttl=5"           created: [created,modified]
 *           "200 set /a=2 [3,3] was /a=1 [2,2]"  with the previous node
 *           "102 /d @7"                          error, cause, index
 *   node    "/a=1 [2,2]"  "/d/ [2,2]"  "/i/ implied"
 *   events  as an answer without its number, one after the other, by "; "
 *
 * What comes out is text of the world's, valid until its next call.
 */
#ifndef ETCHED_TESTS_SUPPORT_TREE_WORLD_H
#define ETCHED_TESTS_SUPPORT_TREE_WORLD_H

#include "tree/tree.h"

#define TREE_WORLD_START_NS INT64_C(1700000000000000000)
#define TREE_WORLD_SECOND_NS INT64_C(1000000000)

struct tree_world {
    struct kv *kv;
    struct mvcc *mvcc;
    struct mvcc_reader *reader;
    struct lease_table *leases;
    struct tree tree;
    int64_t now_ns;            /* the test moves it */
    struct tree_result result; /* of the last write */
    struct mvcc_commit *commit;
    size_t expired; /* commits of the last tree_world_expire */
    struct buf text;
};

void tree_world_open(struct tree_world *world);
void tree_world_close(struct tree_world *world);
/* All is flushed, the store closed and opened, the leases restored. */
void tree_world_reopen(struct tree_world *world);
/* Moves all to the file, so that reads come from there. */
void tree_world_flush(struct tree_world *world);
revision tree_world_revision(const struct tree_world *world);

/* v2 */
const char *tree_world_do(struct tree_world *world, const char *line);
const char *tree_world_answer(struct tree_world *world,
                              const struct tree_command *command);
const char *tree_world_get(struct tree_world *world, const char *path);
const char *tree_world_get_at(struct tree_world *world, const char *path,
                              revision at);
/* Names, directories with a '/' behind, implied ones with "//". */
const char *tree_world_list(struct tree_world *world, const char *path);
const char *tree_world_list_at(struct tree_world *world, const char *path,
                               revision at);
/* What a watcher of `path`, and if recursive of all below, is told of the
 * revisions from `from` on, out of history. */
const char *tree_world_watch(struct tree_world *world, const char *path,
                             bool recursive, revision from);
/* The same of the last write, out of its commit. */
const char *tree_world_watch_live(struct tree_world *world, const char *path,
                                  bool recursive);
/* Ends what is over by now; returns how many leases. */
size_t tree_world_expire(struct tree_world *world);

/* v3: one key, a commit of its own. */
void tree_world_put(struct tree_world *world, const char *key,
                    const char *value);
bool tree_world_remove(struct tree_world *world, const char *key);

#endif
