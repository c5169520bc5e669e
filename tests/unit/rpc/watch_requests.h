/* What the tests of Watch say to a stream. */
#ifndef ETCHED_TESTS_RPC_WATCH_REQUESTS_H
#define ETCHED_TESTS_RPC_WATCH_REQUESTS_H

#include "watch_world.h"

#define WATCH "/etcdserverpb.Watch/Watch"

typedef Etcdserverpb__WatchCreateRequest create_request;

create_request watch_of(const char *key, const char *end);
/* Each does what there is to do then. */
void watch_create(struct hearer *stream, create_request request);
void watch_key(struct hearer *stream, const char *key);
void watch_from(struct hearer *stream, const char *key, revision from);
void watch_cancel(struct hearer *stream, int64_t id);
void watch_ask_progress(struct hearer *stream);

#endif
