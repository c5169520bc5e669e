#include "runner_history.h"

#include "base/check.h"
#include "proto/history.pb-c.h"
#include "proto/pb.h"

enum { CODE_OUT_OF_RANGE = 11 };

static void put_kv(struct buf *out, const struct store_event *event)
{
    struct buf kv = {0};
    pb_put_bytes(&kv, 1, event->key->key);
    pb_put_i64(&kv, 2, event->kv.create_revision);
    pb_put_i64(&kv, 3, event->revision);
    pb_put_i64(&kv, 4, event->kv.version);
    pb_put_bytes(&kv, 5, event->kv.value);
    pb_put_bytes_always(out, 2, buf_slice(&kv));
    buf_deinit(&kv);
}

static void put_record(struct buf *out, const struct store_event *event)
{
    struct buf its = {0};
    struct buf record = {0};
    pb_put_u64(&its, 1, event->kv.version == 0);
    put_kv(&its, event);
    pb_put_bytes_always(&record, 1, buf_slice(&its));
    pb_put_bytes(&record, 2, slice_str(event->cause));
    pb_put_i64(&record, 3, event->time_ns);
    pb_put_bytes_always(out, 2, buf_slice(&record));
    buf_deinit(&its);
    buf_deinit(&record);
}

void memory_store_history(struct memory_store *store, struct slice request,
                          struct store_reply *reply)
{
    struct arena arena;
    ProtobufCMessage *message;
    int64_t count = 0;
    arena_init(&arena, 0);
    enum err err = message_decode(&etched__v1__history_request__descriptor,
                                  request, &arena, &message);
    CHECK_EQ(err, ERR_OK);
    const Etched__V1__HistoryRequest *asked =
        (const Etched__V1__HistoryRequest *)message;
    int64_t start = asked->start_revision;
    if (start == 0)
        start = store->compacted + 1; /* the oldest there is */
    *reply = (struct store_reply){.text = ""};
    if (start < store->compacted) {
        reply->code = CODE_OUT_OF_RANGE;
        reply->text = "required revision has been compacted";
        arena_deinit(&arena);
        return;
    }
    for (size_t i = memory_store_event_at(store, start); i < store->event_count;
         i++) {
        const struct store_event *event = &store->events[i];
        if ((asked->end_revision > 0 &&
             event->revision > asked->end_revision) ||
            (asked->limit > 0 && count == asked->limit))
            break;
        if (!memory_store_in_range(event->key->key, message_bytes(asked->key),
                                   message_bytes(asked->range_end)))
            continue;
        put_record(&reply->message, event);
        count++;
    }
    arena_deinit(&arena);
}
