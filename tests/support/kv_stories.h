/* What every tenant of port/kv.h must do, told once and run on each. */
#ifndef ETCHED_TESTS_SUPPORT_KV_STORIES_H
#define ETCHED_TESTS_SUPPORT_KV_STORIES_H

#include "port/kv.h"

/* One story gets a fresh, empty kv. */
struct kv_tenant {
    const char *name;
    struct kv *(*open)(void);
    /* Close and open again, as the next start of the program does. */
    struct kv *(*reopen)(struct kv *kv);
    void (*close)(struct kv *kv);
};

/* Runs all stories as a cmocka group; returns how many failed. */
int kv_stories_run(const struct kv_tenant *tenant);

#endif
