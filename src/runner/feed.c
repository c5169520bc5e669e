/* Feeds: which trigger an event is for.
 *
 *            sub__start: what it wants is past
 *     SUB_OFF ----------------------------------> SUB_BEHIND
 *      ^  |   what it wants is still to come         |  has seen as much
 *      |  +-------------------> SUB_LIVE <-----------+  as the feed
 *      |                           |
 *      +------- sub__stop ---------+
 *
 * A feed waits a moment before it begins, so that recipes that are loaded
 * together share its watch from the oldest of their places on, and don't each
 * have one of their own. An event is copied once, for all that want it.
 *
 * An event's place is its number among those of its revision that the pattern
 * of the trigger matches, from the revision's first on. After a watch began
 * again in the midst of a revision it is counted anew, and what was queued
 * is left out. */
#include "runner/runner_core.h"

#define GATHER_NS (20 * MILLI_NS)
enum { GATHERED_MAX = 25 };

/* ---- events ------------------------------------------------------------- */

static struct slice copy(char **to, struct slice bytes)
{
    char *at = *to;
    if (bytes.size)
        memcpy(at, bytes.at, bytes.size);
    *to += bytes.size;
    return slice_of(at, bytes.size);
}

static enum event_type type_of(const struct watch_event *event)
{
    if (!event->is_delete)
        return event->is_create ? EVENT_CREATE : EVENT_UPDATE;
    return slice_eq(event->cause, SLICE("expire")) ? EVENT_EXPIRE
                                                   : EVENT_DELETE;
}

struct event *event__new(const struct watch_event *from)
{
    size_t size =
        from->key.size + from->value.size + from->prev.size + from->cause.size;
    struct event *event = mem_alloc(sizeof *event + size);
    char *to = event->bytes;
    *event = (struct event){
        .refs = 1,
        .size = (unsigned)(sizeof *event + size),
        .revision = from->revision,
        .time_ns = from->time_ns,
        .type = type_of(from),
        .has_prev = from->has_prev,
        .mod_revision = from->is_delete ? 0 : from->revision,
        .key = copy(&to, from->key),
        .value = copy(&to, from->value),
        .prev = copy(&to, from->prev),
        .cause = copy(&to, from->cause),
    };
    return event;
}

void event__unref(struct event *event)
{
    CHECK_LT(0, event->refs);
    if (--event->refs == 0)
        mem_free(event);
}

/* ---- telling ------------------------------------------------------------ */

static void give(struct runner *runner, struct sub *sub)
{
    struct feeds *feeds = &runner->feeds;
    const struct watch_event *event = feeds->telling;
    if (event->revision < sub->next)
        return;
    if (sub->placed_revision != event->revision ||
        sub->placed_generation != feeds->from->generation) {
        sub->placed_revision = event->revision;
        sub->placed_generation = feeds->from->generation;
        sub->place = 0;
    }
    uint32_t place = sub->place++;
    if (sub->queued_revision == event->revision && place <= sub->queued_place)
        return;
    if (event->is_delete && sub->only_puts)
        return;
    if (!feeds->made)
        feeds->made = event__new(event);
    sub->queued_revision = event->revision;
    sub->queued_place = place;
    feeds->made->refs++;
    work__queue(runner, sub, feeds->made, place);
}

static void begin_telling(struct runner *runner, const struct watch *watch,
                          const struct watch_event *event)
{
    runner->feeds.telling = event;
    runner->feeds.from = watch;
    runner->feeds.made = NULL;
}

static void end_telling(struct runner *runner)
{
    if (runner->feeds.made)
        event__unref(runner->feeds.made);
    runner->feeds.made = NULL;
    runner->feeds.telling = NULL;
}

static void found(void *context, void *value)
{
    give(context, value);
}

static void feed_event(struct runner *runner, struct watch *watch,
                       const struct watch_event *event)
{
    const struct feed *feed = CONTAINER_OF(watch, struct feed, watch);
    begin_telling(runner, watch, event);
    pattern_trie_match(feed->trie, event->key, found, runner);
    end_telling(runner);
}

static void own_event(struct runner *runner, struct watch *watch,
                      const struct watch_event *event)
{
    struct sub *sub = CONTAINER_OF(watch, struct sub, own);
    struct slice captures[PATTERN_CAPTURES_MAX];
    if (!pattern_matches(sub->pattern, event->key, captures))
        return;
    begin_telling(runner, watch, event);
    give(runner, sub);
    end_telling(runner);
}

/* ---- feeds -------------------------------------------------------------- */

static struct slice feed_key(const void *value)
{
    const struct feed *feed = value;
    return buf_slice(&feed->range);
}

static void write_range(const struct sub *sub, struct buf *out)
{
    struct slice key = buf_slice(&sub->key);
    struct slice end = buf_slice(&sub->end);
    bool is_inbox = slice_has_prefix(key, SLICE(RECIPES_PREFIX "in/"));
    /* One feed for the inboxes of all recipes, not one for each trigger. */
    if (is_inbox) {
        key = SLICE(RECIPES_PREFIX "in/");
        end = SLICE(RECIPES_PREFIX "in0");
    }
    char length[4];
    put_be32(length, (uint32_t)key.size);
    buf_append(out, length, sizeof length);
    buf_append_slice(out, key);
    buf_append_slice(out, end);
}

static void take_compacted(struct runner *runner, struct sub *sub,
                           int64_t revision)
{
    if (sub->next > revision)
        sub__start(runner, sub);
    else
        work__gap(runner, sub, revision);
}

/* The last one of a feed takes it along. */
static void leave_feed(struct runner *runner, struct sub *sub)
{
    struct feed *feed = sub->feed;
    CHECK_EQ(sub->state, SUB_LIVE);
    pattern_trie_remove(feed->trie, sub->pattern, sub);
    list_remove(&sub->node);
    sub->state = SUB_OFF;
    if (feed->is_begun && sub->next < feed->watch.next)
        sub->next = feed->watch.next;
    sub->feed = NULL;
    if (!list_is_empty(&feed->subs))
        return;
    timer__stop(runner, &feed->gather);
    if (feed->is_begun)
        watch__end(runner, &feed->watch);
    map_remove(&runner->feeds.by_range, buf_slice(&feed->range));
    pattern_trie_free(feed->trie);
    buf_deinit(&feed->range);
    mem_free(feed);
}

static void feed_compacted(struct runner *runner, struct watch *watch,
                           int64_t revision)
{
    struct feed *feed = CONTAINER_OF(watch, struct feed, watch);
    /* They leave it, and those that aren't too old come back to a new one. */
    struct list subs;
    list_init(&subs);
    while (!list_is_empty(&feed->subs)) {
        struct sub *sub =
            CONTAINER_OF(list_first(&feed->subs), struct sub, node);
        bool is_last = feed->subs.next == feed->subs.prev;
        leave_feed(runner, sub);
        list_push_back(&subs, &sub->node);
        if (is_last)
            break;
    }
    while (!list_is_empty(&subs)) {
        struct sub *sub = CONTAINER_OF(list_first(&subs), struct sub, node);
        list_remove(&sub->node);
        take_compacted(runner, sub, revision);
    }
}

static const struct watch_kind feed_kind = {
    .event = feed_event,
    .compacted = feed_compacted,
};

static void begin_feed(struct runner *runner, struct timer *timer)
{
    struct feed *feed = CONTAINER_OF(timer, struct feed, gather);
    if (runner->workers.claiming && feed->gathered++ < GATHERED_MAX) {
        timer__set(runner, timer, runner->now.mono_ns + GATHER_NS);
        return;
    }
    feed->is_begun = true;
    watch__begin(runner, &feed->watch);
}

static struct feed *open_feed(struct runner *runner, const struct sub *sub)
{
    struct buf range = {0};
    write_range(sub, &range);
    struct feed *feed = map_get(&runner->feeds.by_range, buf_slice(&range));
    if (feed) {
        buf_deinit(&range);
        return feed;
    }
    feed = mem_alloc_zero(sizeof *feed);
    feed->range = range;
    size_t key_size = get_be32(range.at);
    feed->watch.kind = &feed_kind;
    feed->watch.key = slice_of(range.at + 4, key_size);
    feed->watch.end =
        slice_of(range.at + 4 + key_size, range.size - 4 - key_size);
    feed->watch.next = sub->next;
    feed->watch.wants_prev = true;
    feed->trie = pattern_trie_new();
    feed->gather.due = begin_feed;
    list_init(&feed->subs);
    map_put(&runner->feeds.by_range, feed);
    timer__set(runner, &feed->gather, runner->now.mono_ns + GATHER_NS);
    return feed;
}

/* ---- subscriptions ------------------------------------------------------ */

static void join_feed(struct feed *feed, struct sub *sub)
{
    CHECK_EQ(sub->state, SUB_OFF);
    sub->feed = feed;
    sub->state = SUB_LIVE;
    sub->placed_revision = 0;
    list_push_back(&feed->subs, &sub->node);
    pattern_trie_add(feed->trie, sub->pattern, sub);
    if (!feed->is_begun && sub->next < feed->watch.next)
        feed->watch.next = sub->next;
}

static bool is_in_time(const struct feed *feed, const struct sub *sub)
{
    int64_t next = feed->watch.next;
    return !feed->is_begun || sub->next > next ||
           (sub->next == next && !feed->watch.in_fragment);
}

static void own_seen(struct runner *runner, struct watch *watch)
{
    struct sub *sub = CONTAINER_OF(watch, struct sub, own);
    CHECK_EQ(sub->state, SUB_BEHIND);
    CHECK_LE(sub->next, watch->next);
    sub->next = watch->next;
    struct feed *feed = open_feed(runner, sub);
    if (!is_in_time(feed, sub))
        return;
    watch__end(runner, watch);
    sub->state = SUB_OFF;
    join_feed(feed, sub);
    work__ready(runner, sub->work);
}

static void own_compacted(struct runner *runner, struct watch *watch,
                          int64_t revision)
{
    struct sub *sub = CONTAINER_OF(watch, struct sub, own);
    sub->state = SUB_OFF;
    sub->next = watch->next;
    take_compacted(runner, sub, revision);
}

static const struct watch_kind own_kind = {
    .event = own_event,
    .seen = own_seen,
    .compacted = own_compacted,
};

void sub__init(struct sub *sub, struct work *work, size_t trigger,
               const struct pattern *pattern)
{
    *sub = (struct sub){.work = work, .trigger = trigger, .pattern = pattern};
    list_init(&sub->node);
    if (!pattern)
        return;
    bool is_exact;
    struct slice literal = pattern_literal(pattern, &is_exact);
    if (literal.size == 0) {
        buf_append_char(&sub->key, '\0'); /* etcd's word for: the first key */
        buf_append_char(&sub->end, '\0');
        return;
    }
    buf_append_slice(&sub->key, literal);
    if (!is_exact)
        store__prefix_end(literal, &sub->end);
}

void sub__deinit(struct runner *runner, struct sub *sub)
{
    sub__stop(runner, sub);
    buf_deinit(&sub->key);
    buf_deinit(&sub->end);
}

void sub__start(struct runner *runner, struct sub *sub)
{
    CHECK_EQ(sub->state, SUB_OFF);
    CHECK_LT(0, sub->next);
    struct feed *feed = open_feed(runner, sub);
    if (is_in_time(feed, sub)) {
        join_feed(feed, sub);
        return;
    }
    sub->state = SUB_BEHIND;
    sub->placed_revision = 0;
    struct watch *own = &sub->own;
    own->kind = &own_kind;
    own->key = buf_slice(&sub->key);
    own->end = buf_slice(&sub->end);
    own->next = sub->next;
    own->wants_prev = true;
    watch__begin(runner, own);
    watch__want_progress(runner, own, true);
}

void sub__stop(struct runner *runner, struct sub *sub)
{
    if (sub->state == SUB_LIVE) {
        leave_feed(runner, sub);
    } else if (sub->state == SUB_BEHIND) {
        sub->next = sub->own.next;
        watch__end(runner, &sub->own);
        sub->state = SUB_OFF;
    }
}

int64_t sub__next(const struct sub *sub)
{
    if (sub->state == SUB_LIVE && sub->feed->is_begun &&
        sub->feed->watch.next > sub->next)
        return sub->feed->watch.next;
    return sub->state == SUB_BEHIND ? sub->own.next : sub->next;
}

/* ---- all ---------------------------------------------------------------- */

void feeds__relieve(struct runner *runner)
{
    struct list *overfull = &runner->feeds.overfull;
    while (!list_is_empty(overfull)) {
        struct work *work =
            CONTAINER_OF(list_first(overfull), struct work, overfull);
        list_remove(&work->overfull);
        work->is_held = true;
        work__stop_subs(runner, work);
    }
}

void feeds__init(struct runner *runner)
{
    map_init(&runner->feeds.by_range, feed_key, runner->hash_seed);
    list_init(&runner->feeds.overfull);
}

void feeds__deinit(struct runner *runner)
{
    CHECK_EQ(runner->feeds.by_range.count, 0);
    map_deinit(&runner->feeds.by_range);
}
