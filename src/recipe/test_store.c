#include "base/check.h"
#include "recipe/test_int.h"

static const struct lookup *find(void *context, int kind, int64_t revision,
                                 struct slice key);

void test_store__init(struct test_store *store, struct arena *arena)
{
    *store = (struct test_store){.arena = arena, .revision = 1};
    store->lookups = (struct lookups){.context = store, .find = find};
}

static const struct test_record *last(const struct test_store *store,
                                      struct slice key, int64_t revision)
{
    for (size_t i = store->count; i-- > 0;) {
        const struct test_record *record = &store->records[i];
        if (record->revision <= revision && slice_eq(record->key, key)) {
            return record;
        }
    }
    return NULL;
}

const struct test_record *test_store__get(const struct test_store *store,
                                          struct slice key, int64_t revision)
{
    const struct test_record *record = last(store, key, revision);
    return record != NULL && record->version > 0 ? record : NULL;
}

/* Records move when there are more: what is given out is a copy. */
static const struct test_record *copy_of(struct test_store *store,
                                         const struct test_record *record)
{
    return record == NULL ? NULL
                          : arena_dup(store->arena, record, sizeof(*record));
}

static struct slice keep(struct test_store *store, struct slice text)
{
    return slice_of(arena_dup(store->arena, text.at, text.size), text.size);
}

static void add(struct test_store *store, const struct test_record *record)
{
    if (store->count == store->capacity) {
        size_t capacity = store->capacity ? 2 * store->capacity : 64;
        struct test_record *records =
            arena_alloc(store->arena, capacity * sizeof(*records));
        if (store->count > 0) {
            memcpy(records, store->records, store->count * sizeof(*records));
        }
        store->records = records;
        store->capacity = capacity;
    }
    store->records[store->count++] = *record;
}

const struct test_record *test_store__put(struct test_store *store,
                                          struct slice key, struct slice value,
                                          int64_t expires_ns)
{
    const struct test_record *before =
        copy_of(store, test_store__get(store, key, store->revision));
    struct test_record record = {
        .revision = store->revision,
        .created = before ? before->created : store->revision,
        .version = before ? before->version + 1 : 1,
        .expires_ns = expires_ns,
        .key = keep(store, key),
        .value = keep(store, value),
    };
    add(store, &record);
    return before;
}

const struct test_record *test_store__delete(struct test_store *store,
                                             struct slice key)
{
    const struct test_record *before =
        copy_of(store, test_store__get(store, key, store->revision));
    if (before != NULL) {
        struct test_record record = {.revision = store->revision,
                                     .expires_ns = INT64_MAX,
                                     .key = before->key};
        add(store, &record);
    }
    return before;
}

static bool is_past(struct slice key, struct slice end)
{
    bool has_end = end.size != 1 || end.at[0] != '\0';
    return has_end && slice_cmp(key, end) >= 0;
}

const struct test_record *test_store__next(const struct test_store *store,
                                           struct slice from, struct slice end)
{
    const struct test_record *best = NULL;
    for (size_t i = 0; i < store->count; i++) {
        const struct test_record *record = &store->records[i];
        if (slice_cmp(record->key, from) < 0 || is_past(record->key, end) ||
            (best != NULL && slice_cmp(record->key, best->key) >= 0)) {
            continue;
        }
        const struct test_record *now =
            test_store__get(store, record->key, store->revision);
        best = now != NULL ? now : best;
    }
    return best;
}

const struct test_record *
test_store__next_expiry(const struct test_store *store)
{
    const struct test_record *best = NULL;
    for (size_t i = 0; i < store->count; i++) {
        const struct test_record *record = &store->records[i];
        if (record->expires_ns < (best ? best->expires_ns : INT64_MAX) &&
            test_store__get(store, record->key, store->revision) == record) {
            best = record;
        }
    }
    return best;
}

/* ---- what expressions ask ------------------------------------------------ */

static int64_t count(const struct test_store *store, struct slice prefix,
                     int64_t revision)
{
    int64_t sum = 0;
    for (size_t i = 0; i < store->count; i++) {
        const struct test_record *record = &store->records[i];
        sum += slice_has_prefix(record->key, prefix) && record->version > 0 &&
               test_store__get(store, record->key, revision) == record;
    }
    return sum;
}

static const struct lookup *find(void *context, int kind, int64_t revision,
                                 struct slice key)
{
    struct test_store *store = context;
    store->found = (struct lookup){.kind = kind == LOOKUP_COUNT ? LOOKUP_COUNT
                                                                : LOOKUP_GET,
                                   .revision = revision,
                                   .key = key,
                                   .found = LOOKUP_FOUND};
    if (kind == LOOKUP_COUNT) {
        store->found.count = count(store, key, revision);
        return &store->found;
    }
    const struct test_record *record = test_store__get(store, key, revision);
    if (record == NULL) {
        store->found.found = LOOKUP_NONE;
    } else {
        store->found.value = record->value;
    }
    return &store->found;
}

/* ---- guards and compares ------------------------------------------------- */

static bool holds(int order, int operator)
{
    switch (operator) {
    case TURN_EQUAL:
        return order == 0;
    case TURN_UNEQUAL:
        return order != 0;
    case TURN_GREATER:
        return order > 0;
    case TURN_LESS:
        return order < 0;
    default:
        UNREACHABLE();
    }
}

bool test_store__compare(const struct test_store *store,
                         const struct turn_compare *compare)
{
    const struct test_record none = {0};
    const struct test_record *record =
        test_store__get(store, compare->key, store->revision);
    int operator=(int) compare->operator;
    if (compare->target == TURN_VALUE) {
        /* As in etcd: nothing is equal to the value of what isn't there. */
        return record != NULL &&
               holds(slice_cmp(record->value, compare->value), operator);
    }
    record = record != NULL ? record : &none;
    int64_t number = compare->target == TURN_VERSION ? record->version
                     : compare->target == TURN_CREATE_REVISION
                         ? record->created
                         : record->revision;
    return holds(
        (number > compare->number) - (number < compare->number), operator);
}
