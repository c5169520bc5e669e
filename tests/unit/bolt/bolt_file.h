/* A bbolt file in memory: what a writer's sink took, and what a test puts
 * together by hand. */
#ifndef ETCHED_TESTS_BOLT_FILE_H
#define ETCHED_TESTS_BOLT_FILE_H

#include "bolt/page.h"

struct bolt_file {
    struct buf bytes;
    struct bolt_sink sink;
    size_t writes;
    size_t fail_at; /* this write fails; 0: none */
};

void bolt_file_init(struct bolt_file *file);
void bolt_file_deinit(struct bolt_file *file);

/* By hand: `pages` empty ones, the two metas good, with this root. */
void bolt_file_make(struct bolt_file *file, size_t page_bytes, uint64_t pages,
                    uint64_t root);
/* A page's head; its elements follow by the two below. */
void bolt_file_page(struct bolt_file *file, size_t page_bytes, uint64_t id,
                    unsigned flags, unsigned count);
char *bolt_file_at(struct bolt_file *file, size_t page_bytes, uint64_t id);
/* Element `i` of the page at `page`, its key and value put at `data` (from the
 * page's begin); returns where the next may be put. */
size_t bolt_file_leaf(char *page, size_t i, unsigned flags, size_t data,
                      struct slice key, struct slice value);
size_t bolt_file_branch(char *page, size_t i, size_t data, struct slice key,
                        uint64_t child);
/* After a change of a meta page. */
void bolt_file_seal(char *meta_page);

/* Counts what bolt_each gives. */
struct bolt_count {
    size_t pairs;
    size_t bytes;
    size_t stop_at; /* 0: never; else ERR_END there */
};
enum err bolt_count_pair(void *context, struct slice key, struct slice value);
/* All pairs of all buckets. */
enum err bolt_count_all(struct slice file, struct bolt_count *out);

/* CHECKs that every page is in one place: a meta, the freelist, or once in a
 * tree; that no branch has one child; that branches have their children's
 * first keys. Returns how deep the deepest bucket is. */
size_t bolt_file_verify(struct slice file);

#endif
