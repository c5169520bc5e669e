/* What get(), exists() and count() find at a revision: asked for when an
 * event wants it, and kept until that event was taken. */
#include "proto/message.h"
#include "proto/rpc.pb-c.h"
#include "runner/runner_core.h"

enum { CODE_OUT_OF_RANGE = 11 };

struct lookup_entry {
    struct lookup lookup;
    struct work *work;
    uint64_t call;
    bool is_known;
    struct slice id; /* kind, revision, key */
    char *value;
    char bytes[];
};

static struct slice entry_id(const void *value)
{
    const struct lookup_entry *entry = value;
    return entry->id;
}

enum { ID_HEAD = 9 };

static void write_id(struct buf *out, int kind, int64_t revision,
                     struct slice key)
{
    char head[ID_HEAD];
    head[0] = (char)kind;
    put_be64(head + 1, (uint64_t)revision);
    buf_append(out, head, sizeof head);
    buf_append_slice(out, key);
}

static struct lookup_entry *add(struct work *work, struct slice id, int kind,
                                int64_t revision)
{
    struct lookup_entry *entry = mem_alloc(sizeof *entry + id.size);
    *entry = (struct lookup_entry){.work = work};
    memcpy(entry->bytes, id.at, id.size);
    entry->id = slice_of(entry->bytes, id.size);
    entry->lookup = (struct lookup){
        .kind = kind == LOOKUP_COUNT ? LOOKUP_COUNT : LOOKUP_GET,
        .revision = revision,
        .key = slice_of(entry->bytes + ID_HEAD, id.size - ID_HEAD),
        .value = SLICE(""),
    };
    map_put(&work->lookups, entry);
    return entry;
}

static const struct lookup *find(void *context, int kind, int64_t revision,
                                 struct slice key)
{
    struct work *work = context;
    struct buf id = {0};
    write_id(&id, kind, revision, key);
    struct lookup_entry *entry = map_get(&work->lookups, buf_slice(&id));
    if (!entry)
        entry = add(work, buf_slice(&id), kind, revision);
    buf_deinit(&id);
    return entry->is_known ? &entry->lookup : NULL;
}

struct lookups lookup__of(struct work *work)
{
    return (struct lookups){.context = work, .find = find};
}

static void found(struct runner *runner, void *context,
                  const struct store_answer *answer)
{
    struct lookup_entry *entry = context;
    struct work *work = entry->work;
    struct lookup *lookup = &entry->lookup;
    entry->call = 0;
    CHECK_LT(0, work->lookups_out);
    work->lookups_out--;
    if (answer->code != 0 && answer->code != CODE_OUT_OF_RANGE) {
        work__failed(runner, work, "what a condition asks can't be read",
                     answer);
        return;
    }
    entry->is_known = true;
    lookup->found = LOOKUP_NONE;
    if (answer->code != 0) {
        lookup->found = LOOKUP_COMPACTED;
    } else {
        lookup->count = answer->range->count;
        if (answer->range->n_kvs) {
            ProtobufCBinaryData value = answer->range->kvs[0]->value;
            entry->value = mem_dup(value.len ? value.data : (uint8_t *)"",
                                   value.len ? value.len : 1);
            lookup->value = slice_of(entry->value, value.len);
            lookup->found = LOOKUP_FOUND;
        } else if (lookup->count) {
            lookup->found = LOOKUP_FOUND;
        }
    }
    if (work->lookups_out == 0)
        work__ready(runner, work);
}

/* What its owner mustn't read isn't read for it. */
static bool is_refused(struct runner *runner, struct lookup_entry *entry,
                       struct slice end)
{
    if (runner__may(runner, work__owner(entry->work), RUNNER_READ,
                    entry->lookup.key, end))
        return false;
    entry->is_known = true;
    entry->lookup.found = LOOKUP_REFUSED;
    work__ready(runner, entry->work);
    return true;
}

static void send(struct runner *runner, struct lookup_entry *entry)
{
    const struct lookup *lookup = &entry->lookup;
    struct buf request = {0};
    struct buf end = {0};
    if (lookup->kind == LOOKUP_COUNT)
        store__prefix_end(lookup->key, &end);
    bool refused = is_refused(runner, entry, buf_slice(&end));
    pb_put_bytes(&request, 1, lookup->key);
    if (lookup->kind == LOOKUP_COUNT)
        pb_put_bytes(&request, 2, buf_slice(&end));
    buf_deinit(&end);
    if (refused) {
        buf_deinit(&request);
        return;
    }
    pb_put_i64(&request, 4, lookup->revision);
    pb_put_bool(&request, 9, lookup->kind == LOOKUP_COUNT);
    entry->work->lookups_out++;
    entry->call =
        store__call(runner, RUNNER_RANGE, buf_slice(&request), found, entry);
    buf_deinit(&request);
}

void lookup__fetch(struct runner *runner, struct work *work)
{
    size_t position = 0;
    struct lookup_entry *entry;
    while ((entry = map_next(&work->lookups, &position)))
        if (!entry->is_known && !entry->call)
            send(runner, entry);
    /* Else what it wants can't ever come. */
    CHECK(work->lookups_out || work->depth_call ||
          !list_is_empty(&work->ready));
}

void lookup__init(struct work *work, uint64_t seed)
{
    map_init(&work->lookups, entry_id, seed);
}

void lookup__clear(struct runner *runner, struct work *work)
{
    if (work->lookups.count == 0)
        return;
    size_t position = 0;
    struct lookup_entry *entry;
    while ((entry = map_next(&work->lookups, &position))) {
        store__cancel(runner, entry->call);
        mem_free(entry->value);
        mem_free(entry);
    }
    uint64_t seed = work->lookups.seed;
    map_deinit(&work->lookups);
    map_init(&work->lookups, entry_id, seed);
    work->lookups_out = 0;
}

void lookup__deinit(struct work *work)
{
    CHECK_EQ(work->lookups.count, 0);
    map_deinit(&work->lookups);
}
