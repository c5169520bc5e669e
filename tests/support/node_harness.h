/* A node over doors in memory, driven by hand: the test moves the clocks, runs
 * the writer and the backend, fills and breaks the disk, and crashes all.
 *
 * The lock waits for nobody (there is one thread): it aborts where it would
 * have to, or where a callback is called under it.
 */
#ifndef ETCHED_TESTS_SUPPORT_NODE_HARNESS_H
#define ETCHED_TESTS_SUPPORT_NODE_HARNESS_H

#include "node/node.h"
#include "memory/disk_memory.h"
#include "memory/kv_memory.h"

#define HARNESS_START_NS INT64_C(1700000000000000000)
#define HARNESS_SECOND_NS INT64_C(1000000000)

/* One write; the harness's, until node_harness_forget. */
struct harness_write {
    struct node_request request;
    struct harness_write *next;
    struct node_harness *harness;
    bool done;
    size_t order; /* among all answers, from 1 */
};

struct node_harness {
    struct clock clock;
    int64_t wall_ns;
    int64_t monotonic_ns;
    struct lock lock;
    int readers;
    bool writing;
    struct lock auth_lock; /* of users; taken to write only below `lock` */
    bool changing;         /* it is */
    size_t changes;        /* how often it was, ever */
    struct disk_memory *disk;
    struct kv *kv;
    struct node_config config; /* to be changed before an opening */
    struct node *node;         /* NULL: closed */

    struct harness_write *writes; /* newest first */
    size_t answers;
    /* Since the last opening began: */
    size_t commit_count; /* that the watchers were told of */
    revision commit_first;
    revision commit_last;
    size_t answered_calls;
    size_t flush_due_calls;
    size_t submitted_calls;
    struct buf text; /* what node_harness_get gave */
};

void node_harness_init(struct node_harness *harness, uint64_t seed);
void node_harness_deinit(struct node_harness *harness);

enum err node_harness_open(struct node_harness *harness) MUST_USE;
/* The end of an orderly process: all is flushed. */
void node_harness_close(struct node_harness *harness);
/* The end of the machine: what wasn't synced is kept, lost or torn. */
void node_harness_crash(struct node_harness *harness);
/* Both are followed by an opening that must come well. */
void node_harness_restart(struct node_harness *harness);
void node_harness_recover(struct node_harness *harness);

/* ---- writes -------------------------------------------------------------- */

/* The slices of `command` are copied. NULL: refused, see `err`. */
struct harness_write *node_harness_submit(struct node_harness *harness,
                                          const struct tree_command *command,
                                          enum err *err);
/* A command of any type. */
struct harness_write *node_harness_send(struct node_harness *harness,
                                        const struct command *command,
                                        enum err *err);
/* Submits and runs the writer; what came of it: the request's error, or what
 * stopped the writer. */
struct harness_write *node_harness_write(struct node_harness *harness,
                                         const struct tree_command *command,
                                         enum err *err);
void node_harness_forget(struct node_harness *harness);

struct tree_command harness_set(const char *key, const char *value);
struct tree_command harness_set_ttl(const char *key, const char *value,
                                    uint64_t ttl_s);
struct tree_command harness_delete(const char *key);

/* The usual cases in one word each: the error, ERR_OK also where v2 has an
 * error of its own (the last write's request tells). */
enum err node_harness_set(struct node_harness *harness, const char *key,
                          const char *value) MUST_USE;
enum err node_harness_set_ttl(struct node_harness *harness, const char *key,
                              const char *value, uint64_t ttl_s) MUST_USE;
enum err node_harness_delete(struct node_harness *harness,
                             const char *key) MUST_USE;

/* ---- looking ------------------------------------------------------------- */

/* The value; NULL: there is no such file. Valid until the next call. */
const char *node_harness_get(struct node_harness *harness, const char *key);
/* The same at a revision; NULL too where history doesn't tell. */
const char *node_harness_get_at(struct node_harness *harness, const char *key,
                                revision at);
revision node_harness_revision(struct node_harness *harness);
raft_index node_harness_flushed(struct node_harness *harness);
/* How many files of the log there are. */
size_t node_harness_segments(const struct node_harness *harness);

/* ---- time ---------------------------------------------------------------- */

/* Both clocks go on. */
void node_harness_sleep(struct node_harness *harness, int64_t ns);
/* Only the one on the wall is set anew. */
void node_harness_jump(struct node_harness *harness, int64_t ns);
/* Sleeps until the node wants to run, and runs it; false: it doesn't, before
 * `ns` have passed (which they then have). */
bool node_harness_next(struct node_harness *harness, int64_t ns);
/* Runs until it has nothing more to do at once. */
enum err node_harness_run(struct node_harness *harness) MUST_USE;
/* Flushes all that there is. */
enum err node_harness_flush(struct node_harness *harness) MUST_USE;

#endif
