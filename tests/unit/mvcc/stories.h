/* A small language for stories about the store. What it answers is text, so
 * that a test reads as question and answer:
 *
 *   put("/a", "1");
 *   put("/a", "2");
 *   IS(get("/a", 0), "2 @3.0 create 2 version 2 prev 2.0");
 */
#ifndef ETCHED_TESTS_UNIT_MVCC_STORIES_H
#define ETCHED_TESTS_UNIT_MVCC_STORIES_H

#include "mvcc/mvcc_int.h"
#include "memory/kv_memory.h"

/* The story's world. */
extern struct kv *kv;
extern struct mvcc *store;
extern struct mvcc_reader *reader;
extern int64_t clock_ns; /* of the next transaction; grows by 10 each */

#define IS(text, want) assert_string_equal(text, want)
#define STORY(name) \
    cmocka_unit_test_setup_teardown(name, story_begin, story_end)

int story_begin(void **state);
int story_end(void **state);

/* ---- writing ------------------------------------------------------------- */

void begin(void);
/* Returns the new revision; 0: none. */
revision commit(void);
/* In the open transaction. */
void add(enum mvcc_table table, const char *key, const char *value);
void add_anew(enum mvcc_table table, const char *key, const char *value);
enum err erase(enum mvcc_table table, const char *key);
/* A transaction each, of MVCC_KEYS; return the revision. */
revision put(const char *key, const char *value);
revision put_anew(const char *key, const char *value);
revision del(const char *key);
/* "prefix" and five digits, from `first` on. */
void put_many(const char *prefix, unsigned first, unsigned count,
              const char *value);
void meta_put(const char *name, const char *value); /* NULL removes */

/* ---- asking -------------------------------------------------------------- */

/* Each answer is valid until some twenty more were given. */

/* "value @main.sub create C version V prev P.S", or the error's name. */
const char *get(const char *key, revision at);
const char *get_in(enum mvcc_table table, const char *key, revision at);
const char *get_rev(revision main, uint32_t sub);
const char *find(const char *key, revision at);
/* "key@main.sub" each, with blanks between, in [from, end); NULL: no end. */
const char *walk(const char *from, const char *end, revision at);
const char *walk_in(enum mvcc_table table, const char *from, const char *end,
                    revision at);
const char *count(const char *from, const char *end, revision at);
/* "main.sub key=value" or "main.sub key!" each, "; " between, then the error
 * that it ended with. */
const char *history(revision main, uint32_t sub);
const char *key_history(const char *key, revision from);
const char *revision_at(int64_t time_ns);
/* "name=value" each. */
const char *meta_all(const char *prefix);
const char *meta(const char *name);
/* "current C compacted C[ compacting] keys K tail T applied I/T flushed I" */
const char *status(void);

/* ---- the file ------------------------------------------------------------ */

/* One flush; false: there was nothing to do. */
bool flush(size_t commits_max);
/* Until there is nothing to do; returns how many it took. */
unsigned flush_all(void);
enum err flush_err(size_t commits_max);
void compact(revision at);
/* All slices, of `keys_max`; returns how many. */
unsigned compact_all(size_t keys_max);
/* What was not flushed is lost. */
void restart(void);
/* The file is opened again; the store isn't there meanwhile. */
void stop(void);
void start(void);
enum err try_start(void);
/* How many pairs the file has in a table. */
uint64_t file_count(kv_table table);
/* "main.sub" each. */
const char *file_records(void);
/* Writes a pair past the store. */
void file_put(kv_table table, struct slice key, struct slice value);
void file_del(kv_table table, struct slice key);

#endif
